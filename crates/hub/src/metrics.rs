//! What the hub counts. Reading is a handful of atomic loads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sharded::lock;
use crate::sync::Mutex;

/// Counters that only go up; what goes down again is counted by its ends.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) connections_opened: AtomicU64,
    pub(crate) connections_closed: AtomicU64,
    pub(crate) subscriptions_opened: AtomicU64,
    pub(crate) subscriptions_closed: AtomicU64,
    pub(crate) commands: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) publications: AtomicU64,
    pub(crate) messages_out: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    pub(crate) slow_closed: AtomicU64,
    pub(crate) slow_unsubscribed: AtomicU64,
    pub(crate) operations_timed_out: AtomicU64,
    pub(crate) recovered: AtomicU64,
    pub(crate) unrecovered: AtomicU64,
    pub(crate) errors: Codes,
    pub(crate) closes: Codes,
}

/// How often each code was sent. Those of applications count together, as 0, so that there are only so many.
#[derive(Debug, Default)]
pub(crate) struct Codes(Mutex<BTreeMap<u32, u64>>);

impl Codes {
    /// Above it codes are applications' own, for errors; close codes have theirs from 4000 on.
    const OF_THE_PROTOCOL: [std::ops::Range<u32>; 2] = [0..400, 1000..4000];

    pub(crate) fn count(&self, code: u32) {
        let is_ours = Self::OF_THE_PROTOCOL.iter().any(|codes| codes.contains(&code));
        *lock(&self.0).entry(if is_ours { code } else { 0 }).or_default() += 1;
    }

    pub(crate) fn all(&self) -> Vec<(u32, u64)> {
        lock(&self.0).iter().map(|(code, count)| (*code, *count)).collect()
    }
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Open connections.
    pub connections: u64,
    /// Connections since the start.
    pub connections_total: u64,
    /// Subscriptions that stand.
    pub subscriptions: u64,
    /// Channels that have subscribers or history.
    pub channels: u64,
    /// Commands received since the start.
    pub messages_in: u64,
    /// Bytes of frames received since the start.
    pub bytes_in: u64,
    /// Publications since the start, each counted once.
    pub publications: u64,
    /// Messages put into outboxes since the start.
    pub messages_out: u64,
    /// Bytes handed to transports since the start.
    pub bytes_out: u64,
    /// Connections closed because they did not keep up, since the start.
    pub slow_closed: u64,
    /// Subscriptions ended because their client did not keep up in the channel, since the start.
    pub slow_unsubscribed: u64,
    /// Commands that were given up because their answer took too long, since the start.
    pub operations_timed_out: u64,
    /// Recoveries that succeeded, since the start.
    pub recovered: u64,
    /// Recoveries that did not, since the start.
    pub unrecovered: u64,
}

impl Metrics {
    pub(crate) fn add(counter: &AtomicU64, amount: usize) {
        counter.fetch_add(amount as u64, Ordering::Relaxed);
    }

    /// Reads all counters; how many channels there are is known elsewhere.
    pub(crate) fn snapshot(&self, channels: usize) -> Snapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let connections_closed = read(&self.connections_closed);
        let subscriptions_closed = read(&self.subscriptions_closed);
        Snapshot {
            connections: read(&self.connections_opened).saturating_sub(connections_closed),
            connections_total: read(&self.connections_opened),
            subscriptions: read(&self.subscriptions_opened).saturating_sub(subscriptions_closed),
            channels: channels as u64,
            messages_in: read(&self.commands),
            bytes_in: read(&self.bytes_in),
            publications: read(&self.publications),
            messages_out: read(&self.messages_out),
            bytes_out: read(&self.bytes_out),
            slow_closed: read(&self.slow_closed),
            slow_unsubscribed: read(&self.slow_unsubscribed),
            operations_timed_out: read(&self.operations_timed_out),
            recovered: read(&self.recovered),
            unrecovered: read(&self.unrecovered),
        }
    }
}
