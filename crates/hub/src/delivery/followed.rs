//! A log and those who follow it.

#![expect(clippy::cast_possible_truncation, reason = "cursors count connections")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::log::{Base, Log, Spares, Taste};
use super::sweep::LogKey;
use crate::ChannelName;
use crate::limits::LAGGING_BYTES;
use crate::sync::atomic::{AtomicUsize, Ordering};

/// Where a connection's cursor is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Subscription {
    pub(super) log: u32,
    pub(super) cursor: u32,
}

/// See the [module](self).
pub(super) struct Followed {
    pub(super) key: LogKey,
    pub(super) channel: ChannelName,
    pub(super) log: Log,
    pub(super) cursors: Vec<Cursor>,
    /// Who is offered what is new next, how many yet in this round, and whether something has come meanwhile.
    next: usize,
    left: usize,
    again: bool,
    /// What was copied last, for a task or as the rest of a frame that was cut, and where it begins: others at the same place
    /// share it.
    copied: RefCell<Option<(u64, Bytes)>>,
    /// Cursors that are live, and those among them that hear who comes and goes.
    pub(super) live: usize,
    pub(super) hearing: usize,
    /// Its publications are written as differences; cursors that need one whole.
    takes_differences: bool,
    needing_whole: usize,
    /// It is among those to look at.
    pub(super) is_listed: bool,
}

pub(crate) struct Cursor {
    pub(super) slot: u32,
    pub(super) at: u64,
    pub(super) stage: Stage,
    pub(super) taste: Taste,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Not admitted: it only keeps its place.
    Preparing,
    Live,
    /// It hears what is before this place.
    Ending(u64),
}

/// Bytes of all copies that tasks and sockets have of what lay in the logs of a loop, each once for all who share it.
#[derive(Debug, Default)]
pub(super) struct Copies(AtomicUsize);

struct Copied {
    bytes: Box<[u8]>,
    copies: Arc<Copies>,
}

impl Copies {
    pub(super) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl AsRef<[u8]> for Copied {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        self.copies.0.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

impl Cursor {
    /// What it wants of what lies before a place: nothing that may be dropped, where that is far.
    pub(super) fn taste_until(&self, end: u64) -> Taste {
        Taste { lags: end.saturating_sub(self.at) > LAGGING_BYTES, ..self.taste }
    }
}

impl Followed {
    pub(super) fn new(key: LogKey, channel: ChannelName, takes_differences: bool) -> Self {
        Self {
            key,
            channel,
            log: Log::default(),
            cursors: Vec::new(),
            next: 0,
            left: 0,
            again: false,
            copied: RefCell::default(),
            live: 0,
            hearing: 0,
            takes_differences,
            needing_whole: 0,
            is_listed: false,
        }
    }

    /// Whether a publication must lie here whole beside its difference.
    pub(super) fn needs_whole(&self) -> bool {
        self.needing_whole > 0
    }

    /// A cursor has had what it wanted up to a place.
    pub(super) fn pass(&mut self, cursor: u32, to: u64) {
        let Cursor { at, taste, .. } = self.cursors[cursor as usize];
        self.cursors[cursor as usize].at = to;
        self.set_taste(cursor, self.log.passed(taste, at, to));
    }

    fn set_taste(&mut self, cursor: u32, taste: Taste) {
        let cursor = &mut self.cursors[cursor as usize];
        self.needing_whole -= usize::from(cursor.taste.needs_whole());
        self.needing_whole += usize::from(taste.needs_whole());
        cursor.taste = taste;
    }

    /// Has all be offered what is new: in a round of their own, so that each comes to an end.
    pub(super) fn offer_all(&mut self) {
        // Also where all have been offered it, and the round has not been ended yet.
        if self.is_listed {
            self.again = true;
        } else {
            self.left = self.cursors.len();
        }
    }

    /// Begins the next round, if something has come since this one began.
    pub(super) fn go_on(&mut self) -> bool {
        let again = std::mem::take(&mut self.again);
        if again {
            self.left = self.cursors.len();
        }
        again
    }

    /// The next one in this round who may want what is new.
    pub(super) fn next_behind(&mut self) -> Option<u32> {
        while self.left > 0 {
            self.left -= 1;
            if self.next >= self.cursors.len() {
                self.next = 0;
            }
            let cursor = self.cursors.get(self.next)?;
            self.next += 1;
            if cursor.stage == Stage::Live && cursor.at < self.log.head() {
                return Some(cursor.slot);
            }
        }
        None
    }

    /// A new cursor, not admitted yet, at the head.
    pub(super) fn enter(&mut self, slot: u32) -> u32 {
        let taste = self.taste_at_first();
        self.needing_whole += usize::from(taste.needs_whole());
        self.cursors.push(Cursor { slot, at: self.log.head(), stage: Stage::Preparing, taste });
        self.cursors.len() as u32 - 1
    }

    /// As long as nobody knows what it has.
    fn taste_at_first(&self) -> Taste {
        let base = if self.takes_differences { Base::Lacks } else { Base::NotNeeded };
        Taste { base, ..Taste::default() }
    }

    /// A cursor keeps its place. What it has of what lies behind that is known when it is admitted again.
    pub(super) fn hold(&mut self, cursor: u32) {
        self.stop(cursor, Stage::Preparing);
        self.set_taste(cursor, self.taste_at_first());
    }

    pub(super) fn begin(&mut self, cursor: u32, taste: Taste) {
        self.set_taste(cursor, taste);
        self.cursors[cursor as usize].stage = Stage::Live;
        self.live += 1;
        self.hearing += usize::from(taste.hears_join_leave);
    }

    /// A cursor is not among the live ones any more, if it was.
    pub(super) fn stop(&mut self, cursor: u32, stage: Stage) {
        let cursor = &mut self.cursors[cursor as usize];
        if cursor.stage == Stage::Live {
            cursor.stage = stage;
            self.live -= 1;
            self.hearing -= usize::from(cursor.taste.hears_join_leave);
        }
    }

    /// Takes a cursor out. Returns whose it was, and who has its place now.
    pub(super) fn remove(&mut self, cursor: u32) -> (u32, Option<u32>) {
        self.stop(cursor, Stage::Preparing);
        let gone = self.cursors.swap_remove(cursor as usize);
        self.needing_whole -= usize::from(gone.taste.needs_whole());
        // Whoever has taken its place may not have been offered what is new.
        self.again |= self.left > 0;
        (gone.slot, self.cursors.get(cursor as usize).map(|moved| moved.slot))
    }

    /// Forgets what all have had who want it.
    pub(super) fn forget_passed(&mut self, spares: &mut Spares) {
        let head = self.log.head();
        let mut first = head;
        for index in 0..self.cursors.len() {
            let cursor = &self.cursors[index];
            if cursor.stage != Stage::Preparing && cursor.at < head {
                self.pass(index as u32, self.log.wanted_from(cursor.at, cursor.taste_until(head)));
            }
            first = first.min(self.cursors[index].at);
        }
        self.log.forget_before(first, spares);
        if first == head {
            self.copied.take();
        }
    }

    /// Drops what may be dropped. Returns where every place is now.
    pub(super) fn drop_ephemeral(&mut self) -> impl Fn(u64) -> u64 + use<> {
        self.copied.take();
        let place = self.log.drop_ephemeral();
        for cursor in &mut self.cursors {
            cursor.at = place(cursor.at);
            if let Stage::Ending(end) = &mut cursor.stage {
                *end = place(*end);
            }
        }
        place
    }

    /// Those who read the stream by themselves, and are further behind here, do without who came and went meanwhile.
    pub(super) fn skip(&mut self, bytes_max: usize) {
        let head = self.log.head();
        let is_far = |cursor: &&mut Cursor| cursor.taste.after == u64::MAX && head - cursor.at > bytes_max as u64;
        self.cursors.iter_mut().filter(is_far).for_each(|cursor| cursor.at = head);
    }

    /// The cursors that are further behind than so many bytes.
    pub(super) fn behind(&self, bytes_max: usize) -> impl Iterator<Item = &Cursor> {
        self.cursors.iter().filter(move |cursor| self.log.behind(cursor.at, cursor.taste) > bytes_max)
    }

    /// A copy of what lies between two places, counted for as long as somebody has it.
    pub(super) fn copy(&self, from: u64, to: u64, copies: &Arc<Copies>) -> Bytes {
        let mut last = self.copied.borrow_mut();
        if let Some((at, copied)) = &*last
            && *at <= from
            && to <= *at + copied.len() as u64
        {
            return copied.slice((from - at) as usize..(to - at) as usize);
        }
        let bytes = self.log.bytes(from, to);
        copies.0.fetch_add(bytes.len(), Ordering::Relaxed);
        let copied = Bytes::from_owner(Copied { bytes: bytes.into(), copies: copies.clone() });
        *last = Some((from, copied.clone()));
        copied
    }

    /// Lists it among those to look at: something is new, or was kept for a reader who is behind no more.
    pub(super) fn look_again(&mut self, new: &mut VecDeque<u32>, log: u32) {
        if self.log.len() > 0 && !std::mem::replace(&mut self.is_listed, true) {
            new.push_back(log);
        }
    }
}
