//! Wakes every connection's task when the server's phase changes.
//!
//! A connection looks at the phase with one atomic load per poll, and is in this list only to be woken. A `Notify` or a
//! cancellation token per connection would take a lock, shared by all, on every poll.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::task::Waker;

use crate::phase::Phase;

/// Shards of the list: as many as cores that accept at the same time on an ordinary server.
const SHARDS: usize = 16;

#[derive(Default)]
pub(crate) struct Wakers {
    phase: AtomicU8,
    next: AtomicUsize,
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Default)]
struct Shard {
    entries: Vec<Option<Waker>>,
    free: Vec<usize>,
}

/// A task's place in the list.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    shard: usize,
    index: usize,
}

impl Wakers {
    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Running,
            1 => Phase::Announced,
            2 => Phase::Draining,
            _ => Phase::Aborted,
        }
    }

    pub(crate) fn raise(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::AcqRel);
        for shard in &self.shards {
            let shard = shard.lock().expect("no panic while the lock is held");
            shard.entries.iter().flatten().for_each(Waker::wake_by_ref);
        }
    }

    /// Adds a task. It must look at the phase after this, or it may miss a change.
    pub(crate) fn add(&self, waker: Waker) -> Place {
        let shard = self.next.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let mut entries = self.shards[shard].lock().expect("no panic while the lock is held");
        let index = if let Some(index) = entries.free.pop() {
            entries.entries[index] = Some(waker);
            index
        } else {
            entries.entries.push(Some(waker));
            entries.entries.len() - 1
        };
        Place { shard, index }
    }

    /// Wakes one task.
    pub(crate) fn wake(&self, place: Place) {
        let entries = self.shards[place.shard].lock().expect("no panic while the lock is held");
        if let Some(waker) = &entries.entries[place.index] {
            waker.wake_by_ref();
        }
    }

    pub(crate) fn remove(&self, place: Place) {
        let mut entries = self.shards[place.shard].lock().expect("no panic while the lock is held");
        entries.entries[place.index] = None;
        entries.free.push(place.index);
    }
}
