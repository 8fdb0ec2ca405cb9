//! Bytes of responses that are under way: made by a handler and not yet taken by their reader. Budgeted per connection
//! and in all.
//!
//! A handler's answer stays in memory until its reader has taken it, and on HTTP/2 one reader asks for hundreds and opens
//! no window. So an answer that has no room is thrown away and a short 503 said instead; and where all connections
//! together hold too much, the one that holds most is cut, so that whoever hoards shuts out nobody but themselves.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, Weak};

use crate::limits::{Limits, RESPONSE_BYTES_UNCOUNTED, RESPONSE_BYTES_WATCHED};
use crate::stats::count;
use crate::watch::Watch;

/// What all responses of one server together hold.
pub(crate) struct UnderWay {
    max: usize,
    per_connection_max: usize,
    held: AtomicUsize,
    /// Connections that held much once; dead ones are swept.
    holders: Mutex<Vec<Weak<Watch>>>,
}

/// There is no room for this response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoRoom;

/// The room of one response; given back when dropped.
pub(crate) struct Room {
    watch: Arc<Watch>,
    bytes: usize,
}

impl UnderWay {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            max: limits.response_bytes_max,
            per_connection_max: limits.response_bytes_per_connection_max,
            held: AtomicUsize::new(0),
            holders: Mutex::default(),
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.held.load(Relaxed)
    }

    /// Whether the connection holds all that it may, or as much as when it was refused last: then asking its handler for
    /// more is work in vain.
    pub(crate) fn is_full(&self, watch: &Watch) -> bool {
        watch.under_way.load(Relaxed) >= watch.refused_at.load(Relaxed).min(self.per_connection_max)
    }

    /// Room for a response. A connection that holds nothing gets it whatever its size.
    pub(crate) fn room(&self, watch: &Arc<Watch>, bytes: usize) -> Result<Room, NoRoom> {
        // Taken first and looked at afterwards: two that look first would both find the last room free. From here on the
        // room gives back what was taken.
        let before = watch.under_way.fetch_add(bytes, Relaxed);
        let all = self.held.fetch_add(bytes, Relaxed) + bytes;
        let room = Room { watch: watch.clone(), bytes };
        let mine = before + bytes;
        if before > 0 && mine > self.per_connection_max {
            watch.refused_at.store(before, Relaxed);
            return Err(NoRoom);
        }
        if before < RESPONSE_BYTES_WATCHED && mine >= RESPONSE_BYTES_WATCHED {
            self.list(watch);
        }
        if all > self.max && !self.reclaim(all - self.max, mine) {
            return Err(NoRoom);
        }
        Ok(room)
    }

    fn list(&self, watch: &Arc<Watch>) {
        let mut holders = self.holders.lock().expect("no panic while the lock is held");
        if holders.len() == holders.capacity() {
            holders.retain(|holder| holder.upgrade().is_some_and(|holder| holder.under_way.load(Relaxed) > 0));
        }
        holders.push(Arc::downgrade(watch));
    }

    /// Cuts those who hold most, and more than `mine`, until so many bytes are free; they are when the tasks that are
    /// woken here have ended.
    fn reclaim(&self, mut bytes: usize, mine: usize) -> bool {
        let mut holders = self.holders.lock().expect("no panic while the lock is held");
        let mut most: Vec<_> = holders.iter().filter_map(Weak::upgrade).collect();
        holders.retain(|holder| holder.strong_count() > 0);
        drop(holders);
        most.sort_unstable_by_key(|holder| std::cmp::Reverse(holder.under_way.load(Relaxed)));
        most.dedup_by(|one, other| Arc::ptr_eq(one, other));
        for holder in most {
            let held = holder.under_way.load(Relaxed);
            // Those that are cut already are about to give back what they hold.
            if !holder.is_cut() {
                if held < mine {
                    return false;
                }
                tracing::warn!(peer = %holder.peer, bytes = held, "a connection holds most of what responses may; it is cut");
                count(&holder.shared.counters.responses_cut);
                holder.cut();
            }
            bytes = bytes.saturating_sub(held);
            if bytes == 0 {
                return true;
            }
        }
        false
    }
}

impl Room {
    /// Room for `bytes` that turned up without having been announced; nobody is refused in the middle of an answer.
    pub(crate) fn unannounced(watch: &Arc<Watch>, bytes: usize) -> Self {
        watch.under_way.fetch_add(bytes, Relaxed);
        watch.shared.under_way.held.fetch_add(bytes, Relaxed);
        Self { watch: watch.clone(), bytes }
    }

    /// What is too little to count.
    pub(crate) fn is_needed(bytes: usize) -> bool {
        bytes > RESPONSE_BYTES_UNCOUNTED
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.watch.under_way.fetch_sub(self.bytes, Relaxed);
        self.watch.shared.under_way.held.fetch_sub(self.bytes, Relaxed);
    }
}
