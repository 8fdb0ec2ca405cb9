//! What is kept in memory of what is committed, so that clients who come back ask the database for little: where the streams
//! of rooms stand, and whether a right was taken away since somebody's rights were read.
//!
//! It is right because whatever happens in rooms is written by the one writer of the one server of the data directory, which
//! tells it here. What is not known here is read from the store.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use tidings_protocol::StreamPosition;

use crate::model::{RoomId, Stand};

/// See the module. Bounded by how many rooms there are.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    rooms: Mutex<HashMap<RoomId, Last>>,
    begun: AtomicU64,
    over: AtomicU64,
}

/// Where a room's stream stands.
#[derive(Debug, Default)]
struct Last {
    number: u64,
    /// Unknown until somebody has read it.
    epoch: Option<String>,
}

/// A moment at which no right was about to be taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(u64);

/// Rights are being taken away, until it is dropped.
#[derive(Debug)]
pub(crate) struct Revoking<'a>(&'a Standing);

impl Standing {
    /// Where the room's stream stands, if that is known.
    pub(crate) fn position(&self, room: RoomId) -> Option<StreamPosition> {
        let rooms = self.rooms();
        let Last { number, epoch } = rooms.get(&room)?;
        Some(StreamPosition { offset: *number, epoch: epoch.clone()? })
    }

    /// The database had this; by now it may have more.
    pub(crate) fn was_read(&self, stand: &Stand) {
        let mut rooms = self.rooms();
        let last = rooms.entry(stand.room).or_default();
        last.number = last.number.max(stand.offset);
        if last.epoch.as_ref() != Some(&stand.epoch) {
            last.epoch = Some(stand.epoch.clone());
        }
    }

    /// An event was committed.
    pub(crate) fn happened(&self, room: RoomId, number: u64) {
        let mut rooms = self.rooms();
        let last = rooms.entry(room).or_default();
        last.number = last.number.max(number);
    }

    /// To be held from before a right is taken away in the database until the hub has carried it out.
    pub(crate) fn revoking(&self) -> Revoking<'_> {
        self.begun.fetch_add(1, SeqCst);
        Revoking(self)
    }

    /// Taken before rights are read; `None` while some are being taken away, because what is read then may be out of date
    /// already.
    pub(crate) fn moment(&self) -> Option<Moment> {
        // In this order: whatever had begun by then was over before.
        let over = self.over.load(SeqCst);
        (self.begun.load(SeqCst) == over).then_some(Moment(over))
    }

    /// Whether what was read after that moment is as good as read now (G5): nobody has begun to take a right away since.
    pub(crate) fn is_as_at(&self, moment: Moment) -> bool {
        Moment(self.begun.load(SeqCst)) == moment
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<RoomId, Last>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Revoking<'_> {
    fn drop(&mut self) {
        self.0.over.fetch_add(1, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g5_what_was_read_before_or_while_a_right_was_taken_away_is_read_again() {
        let standing = Standing::default();
        let before = standing.moment().unwrap();
        assert!(standing.is_as_at(before));
        let one = standing.revoking();
        let other = standing.revoking();
        drop(one);
        assert_eq!((standing.is_as_at(before), standing.moment()), (false, None), "another goes on");
        drop(other);
        let after = standing.moment().unwrap();
        assert_eq!((standing.is_as_at(before), standing.is_as_at(after)), (false, true));
    }

    #[test]
    fn g4_a_position_that_was_read_late_does_not_hide_what_was_committed_meanwhile() {
        let (standing, room) = (Standing::default(), RoomId::fresh());
        standing.happened(room, 8);
        assert_eq!(standing.position(room), None, "its epoch is not known");
        standing.was_read(&Stand { room, offset: 7, epoch: "one".into() });
        assert_eq!(standing.position(room), Some(StreamPosition { offset: 8, epoch: "one".into() }));
    }
}
