//! Channels in which something is missing, until somebody has read it.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::ChannelName;
use crate::sharded::lock;
use crate::sync::Mutex;

/// A queue in which each channel waits for its moment: what is missing may still come by itself.
///
/// Bounded by the channels: each notices its gap once, until it was seen to.
#[derive(Default)]
pub(crate) struct Gaps {
    waiting: Mutex<BTreeSet<(Instant, ChannelName)>>,
    noticed: Notify,
}

impl Gaps {
    pub(crate) fn notice(&self, channel: ChannelName, wait: Duration) {
        lock(&self.waiting).insert((Instant::now() + wait, channel));
        self.noticed.notify_one();
    }

    /// Waits until there is one.
    pub(crate) async fn noticed(&self) {
        while lock(&self.waiting).is_empty() {
            self.noticed.notified().await;
        }
    }

    /// Waits for the next channel and its moment. Cancel-safe.
    pub(crate) async fn due(&self) -> ChannelName {
        loop {
            self.noticed().await;
            if let Some(channel) = self.next().await {
                return channel;
            }
        }
    }

    /// The next channel when its moment has come; `None` when none is waiting. Cancel-safe.
    pub(crate) async fn next(&self) -> Option<ChannelName> {
        loop {
            let due = {
                let mut waiting = lock(&self.waiting);
                let due = waiting.first()?.0;
                if due <= Instant::now() {
                    return waiting.pop_first().map(|(_, channel)| channel);
                }
                due
            };
            // Another one may have an earlier moment than one that is tried again.
            tokio::select! {
                () = sleep_until(due) => {}
                () = self.noticed.notified() => {}
            }
        }
    }
}
