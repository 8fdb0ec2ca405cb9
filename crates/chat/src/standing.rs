//! What is kept in memory of what is committed, so that clients who come back ask the database for little: where the streams
//! of rooms stand, and what was read of who came just now, as long as no right was taken away since.
//!
//! It is right because whatever happens in rooms is told here, by the one writer or, in a database that others write to, by
//! whoever follows it; there it may lie behind by a moment, and what is read beside it says so. What is not known here is
//! read from the store.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Instant,
};

use tidings_protocol::StreamPosition;

use crate::{
    limits::{ARRIVAL_REMEMBERED, ARRIVALS_REMEMBERED_MAX},
    model::{RoomId, SessionId, Stand},
};

/// See the module. Bounded by how many rooms there are, and by the limits of arrivals.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    rooms: Mutex<HashMap<RoomId, Last>>,
    arrivals: Mutex<HashMap<SessionId, Known>>,
    /// Without those that were in vain.
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

/// What was known of a session, which was open, after a moment: true as long as no right was taken away since.
#[derive(Debug)]
struct Known {
    at: Moment,
    read: Instant,
    /// Of its person, in order.
    rooms: Box<[RoomId]>,
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

    /// Where the streams stand is to be read anew: the database is another one.
    pub(crate) fn forget_positions(&self) {
        self.rooms().clear();
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

    /// Somebody came with this session, and is a member of these rooms; both were read after that moment.
    pub(crate) fn came(&self, session: SessionId, at: Moment, mut rooms: Box<[RoomId]>, read: Instant) {
        rooms.sort_unstable();
        let mut arrivals = self.arrivals();
        if arrivals.len() < ARRIVALS_REMEMBERED_MAX || arrivals.contains_key(&session) {
            arrivals.insert(session, Known { at, read, rooms });
        }
    }

    /// Whether the session is known to be open.
    pub(crate) fn is_open(&self, session: SessionId) -> bool {
        self.knows(session, |_| true)
    }

    /// Whether the session is known to be open, and its person a member of the room.
    pub(crate) fn is_member(&self, session: SessionId, room: RoomId) -> bool {
        self.knows(session, |rooms| rooms.binary_search(&room).is_ok())
    }

    fn knows(&self, session: SessionId, whether: impl FnOnce(&[RoomId]) -> bool) -> bool {
        let arrivals = self.arrivals();
        arrivals.get(&session).is_some_and(|known| self.is_as_at(known.at) && whether(&known.rooms))
    }

    /// Forgets who came long ago: what their clients ask after that, the store answers.
    pub(crate) fn forget_arrivals(&self, now: Instant) {
        self.arrivals().retain(|_, known| now.saturating_duration_since(known.read) < ARRIVAL_REMEMBERED);
    }

    /// Whether what was read after that moment is as good as read now (G5): nobody has begun to take a right away since.
    fn is_as_at(&self, moment: Moment) -> bool {
        Moment(self.begun.load(SeqCst)) == moment
    }

    fn arrivals(&self) -> MutexGuard<'_, HashMap<SessionId, Known>> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<RoomId, Last>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Revoking<'_> {
    /// Nothing was taken away after all: what was known before is as good as it was.
    pub(crate) fn in_vain(self) {
        // What is left are those that were not: once one of them has begun, it stays above every moment before.
        self.0.begun.fetch_sub(1, SeqCst);
        std::mem::forget(self);
    }
}

impl Drop for Revoking<'_> {
    fn drop(&mut self) {
        self.0.over.fetch_add(1, SeqCst);
        // None of them counts any more.
        self.0.arrivals().clear();
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
    fn g5_what_was_read_counts_again_once_a_right_was_not_taken_away_after_all() {
        let standing = Standing::default();
        let before = standing.moment().unwrap();
        let vain = standing.revoking();
        assert_eq!((standing.is_as_at(before), standing.moment()), (false, None), "until that is known");
        vain.in_vain();
        assert_eq!((standing.is_as_at(before), standing.moment()), (true, Some(before)));

        let (vain, other) = (standing.revoking(), standing.revoking());
        vain.in_vain();
        assert_eq!((standing.is_as_at(before), standing.moment()), (false, None), "another goes on");
        let (vain, ()) = (standing.revoking(), drop(other));
        assert_eq!((standing.is_as_at(before), standing.moment()), (false, None));
        vain.in_vain();
        let after = standing.moment().unwrap();
        assert_eq!((standing.is_as_at(before), standing.is_as_at(after)), (false, true), "the other was not in vain");
    }

    #[test]
    fn what_is_known_of_who_came_is_kept_for_as_long_as_they_arrive_and_counts() {
        let (standing, start) = (Standing::default(), Instant::now());
        let (room, other) = (RoomId::fresh(), RoomId::fresh());
        let come = |read| {
            let session = SessionId::fresh();
            standing.came(session, standing.moment().unwrap(), [room].into(), read);
            session
        };
        let kept = || standing.arrivals().len();
        let first = come(start);
        assert!(standing.is_open(first) && standing.is_member(first, room) && !standing.is_member(first, other));
        let second = come(start + ARRIVAL_REMEMBERED / 2);
        standing.forget_arrivals(start + ARRIVAL_REMEMBERED);
        assert_eq!((kept(), standing.is_open(first), standing.is_open(second)), (1, false, true));

        drop(standing.revoking());
        assert_eq!((kept(), standing.is_open(second)), (0, false));

        for _ in 0..=ARRIVALS_REMEMBERED_MAX {
            come(start);
        }
        assert_eq!(kept(), ARRIVALS_REMEMBERED_MAX);
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
