//! The frames of one channel in one form, side by side, for as long as somebody is behind them.
//!
//! Places in a log are counted in bytes from its beginning and never come again. A frame is written where it lies: a
//! reader's next write is the bytes from its place to the head, as long as it wants all of them.

#![expect(clippy::cast_possible_truncation, reason = "two places of one log lie within one buffer")]

use std::collections::VecDeque;

use crate::limits::{SPARE_BYTES_MAX, SPARES_MAX};

/// What a frame is, which decides who gets it and what may be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// For everybody, in order, without a gap.
    Publication,
    /// For everybody who keeps up.
    Ephemeral,
    /// For those who want to hear who comes and goes.
    JoinLeave,
    /// A publication as its difference to the one before, for those who have that.
    Difference,
    /// The same publication, right behind its difference, for those who do not.
    Whole,
}

/// Whether a reader has what the next difference is to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Base {
    /// There are no differences for it.
    #[default]
    NotNeeded,
    /// It needs one publication whole.
    Lacks,
    /// The last in its reply was the one before the first that it takes from here.
    Given,
    /// It has had the publication before.
    Has,
}

#[derive(Debug)]
struct Frame {
    /// Where it ends.
    end: u64,
    /// Its number in the stream; 0 for what has none.
    number: u64,
    class: Class,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Log {
    bytes: Vec<u8>,
    /// The place of the first byte.
    base: u64,
    /// Where the reader is who is furthest behind.
    first: u64,
    frames: VecDeque<Frame>,
    /// Where the last frame ends that not everybody takes.
    picky_until: u64,
    /// Bytes of frames that may be dropped, among those that somebody has not had.
    ephemeral: usize,
}

/// Buffers that logs fill one after the other: while nobody is behind, a log has none.
#[derive(Debug, Default)]
pub(super) struct Spares(Vec<(Vec<u8>, VecDeque<Frame>)>);

impl Spares {
    fn put(&mut self, bytes: Vec<u8>, frames: VecDeque<Frame>) {
        if self.0.len() < SPARES_MAX && bytes.capacity() > 0 && bytes.capacity() <= SPARE_BYTES_MAX {
            self.0.push((bytes, frames));
        }
    }
}

/// Which frames a reader wants.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Taste {
    /// Numbers up to this one it has already.
    pub(super) after: u64,
    pub(super) hears_join_leave: bool,
    /// It is behind: what may be dropped is.
    pub(super) lags: bool,
    pub(super) base: Base,
}

impl Taste {
    fn takes(self, frame: &Frame) -> bool {
        match frame.class {
            Class::Publication => !self.has(frame),
            Class::Ephemeral => !self.lags,
            Class::JoinLeave => self.hears_join_leave,
            Class::Difference => !self.has(frame) && self.has_base(),
            Class::Whole => !self.has(frame) && !self.has_base(),
        }
    }

    /// Whether its reply had it.
    fn has(self, frame: &Frame) -> bool {
        frame.number != 0 && frame.number <= self.after
    }

    fn has_base(self) -> bool {
        matches!(self.base, Base::Given | Base::Has)
    }

    /// A frame that it has taken, or not, lies behind it.
    fn pass(&mut self, frame: &Frame, takes: bool) {
        if self.base == Base::NotNeeded || frame.class == Class::JoinLeave {
            return;
        }
        if takes {
            self.base = Base::Has;
        } else if self.has(frame) && self.base == Base::Has {
            // It had that one earlier, and something else since.
            self.base = Base::Lacks;
        }
    }

    /// Whether what passes changes it: as long as it does, publications must be kept whole for it. Who has the one before may
    /// yet come to one that its reply had too.
    pub(super) fn needs_whole(self) -> bool {
        matches!(self.base, Base::Lacks | Base::Given) || self.base == Base::Has && self.after > 0
    }
}

impl Log {
    /// Behind the last byte.
    pub(super) fn head(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    /// Bytes that somebody has not had. What is held is about twice that at most.
    pub(super) fn len(&self) -> usize {
        (self.head() - self.first) as usize
    }

    /// Those of them that may be dropped.
    pub(super) fn ephemeral(&self) -> usize {
        self.ephemeral
    }

    /// Where the reader is who is furthest behind.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    pub(super) fn append(&mut self, frame: &[u8], number: u64, class: Class, spares: &mut Spares) {
        if self.bytes.capacity() == 0 {
            (self.bytes, self.frames) = spares.0.pop().unwrap_or_default();
        }
        self.bytes.extend_from_slice(frame);
        let end = self.head();
        // A difference alone is for everybody.
        if !matches!(class, Class::Publication | Class::Difference) {
            self.picky_until = end;
        }
        if class == Class::Ephemeral {
            self.ephemeral += frame.len();
        }
        self.frames.push_back(Frame { end, number, class });
    }

    /// The next bytes for a reader at `at`, up to `end` and to about `bytes_max`: from where to where. Whoever has numbers
    /// already, or does not want everything, gets as much as lies side by side. The error is where it stands when
    /// there is nothing for it.
    pub(super) fn next(&self, at: u64, end: u64, taste: Taste, bytes_max: usize) -> Result<(u64, u64), u64> {
        if at >= end {
            return Err(at);
        }
        let whole = end - at <= bytes_max as u64;
        if taste.after == 0 && at >= self.picky_until && whole {
            return Ok((at, end));
        }
        let (mut taste, mut range, mut begin) = (taste, None::<(u64, u64)>, at);
        for frame in self.frames.range(self.frame_at(at)..).take_while(|frame| frame.end <= end) {
            let takes = taste.takes(frame);
            match &mut range {
                Some((from, to)) if takes && frame.end - *from <= bytes_max as u64 => *to = frame.end,
                Some(_) => break,
                None if takes => range = Some((begin, frame.end)),
                None => {}
            }
            taste.pass(frame, takes);
            begin = frame.end;
        }
        range.ok_or(begin)
    }

    /// What a reader wants once it has taken what it wanted between two places.
    pub(super) fn passed(&self, mut taste: Taste, from: u64, to: u64) -> Taste {
        if taste.needs_whole() {
            for frame in self.frames.range(self.frame_at(from)..).take_while(|frame| frame.end <= to) {
                taste.pass(frame, taste.takes(frame));
            }
        }
        if taste.after > 0 && self.number_at(to) > taste.after {
            taste.after = 0;
        }
        taste
    }

    /// Where the first frame lies that a reader at `at` wants.
    pub(super) fn wanted_from(&self, at: u64, taste: Taste) -> u64 {
        if taste.after == 0 && at >= self.picky_until {
            return at;
        }
        self.next(at, self.head(), taste, 0).map_or_else(|nothing| nothing, |(from, _)| from)
    }

    /// The number of the frame that ends at a place; 0 when it has none.
    fn number_at(&self, place: u64) -> u64 {
        let index = self.frames.partition_point(|frame| frame.end < place);
        self.frames.get(index).map_or(0, |frame| frame.number)
    }

    /// Where the frame begins and ends that has the byte before `place`.
    pub(super) fn frame_around(&self, place: u64) -> (u64, u64) {
        let index = self.frames.partition_point(|frame| frame.end < place);
        let begin = index.checked_sub(1).map_or(self.base, |before| self.frames[before].end);
        self.frames.get(index).map_or((place, place), |frame| (begin, frame.end))
    }

    /// The bytes from one place to another.
    pub(super) fn bytes(&self, from: u64, to: u64) -> &[u8] {
        &self.bytes[self.index(from)..self.index(to)]
    }

    /// The frames from one place to another, as ranges within [`bytes`](Self::bytes).
    pub(super) fn frames(&self, from: u64, to: u64) -> impl Iterator<Item = (usize, usize)> {
        let mut begin = from;
        self.frames.range(self.frame_at(from)..).take_while(move |frame| frame.end <= to).map(move |frame| {
            let range = ((begin - from) as usize, (frame.end - from) as usize);
            begin = frame.end;
            range
        })
    }

    /// Bytes from a place to the head that its reader wants and nobody may drop.
    pub(super) fn behind(&self, at: u64, taste: Taste) -> usize {
        if at >= self.picky_until && taste.after == 0 {
            return (self.head() - at) as usize;
        }
        let (mut taste, mut begin, mut bytes) = (taste, at, 0);
        for frame in self.frames.range(self.frame_at(at)..) {
            let takes = taste.takes(frame);
            if frame.class != Class::Ephemeral && takes {
                bytes += (frame.end - begin) as usize;
            }
            taste.pass(frame, takes);
            begin = frame.end;
        }
        bytes
    }

    /// Forgets what lies before a place, from which on all readers are.
    pub(super) fn forget_before(&mut self, place: u64, spares: &mut Spares) {
        if self.ephemeral > 0 {
            self.ephemeral -= self.ephemeral_between(self.first, place);
        }
        self.first = place;
        if place >= self.head() {
            self.base = self.head();
            let (mut bytes, mut frames) = (std::mem::take(&mut self.bytes), std::mem::take(&mut self.frames));
            bytes.clear();
            frames.clear();
            return spares.put(bytes, frames);
        }
        // What stays is moved once for each time that half as much has been passed.
        if self.index(place) < self.bytes.len() / 3 {
            return;
        }
        while self.frames.front().is_some_and(|frame| frame.end <= place) {
            self.frames.pop_front();
        }
        let passed = self.index(place);
        self.bytes.drain(..passed);
        self.base = place;
        self.bytes.shrink_to(self.bytes.len() + self.bytes.len() / 2);
    }

    fn ephemeral_between(&self, from: u64, to: u64) -> usize {
        let mut begin = from;
        let mut bytes = 0;
        for frame in self.frames.range(self.frame_at(from)..).take_while(|frame| frame.end <= to) {
            if frame.class == Class::Ephemeral {
                bytes += (frame.end - begin) as usize;
            }
            begin = frame.end;
        }
        bytes
    }

    /// Drops what may be dropped, since it keeps places for those who are behind. Returns where every place is now.
    pub(super) fn drop_ephemeral(&mut self) -> impl Fn(u64) -> u64 + use<> {
        let (mut kept, mut frames, mut ends) = (Vec::new(), VecDeque::new(), Vec::new());
        let mut begin = self.base;
        for frame in &self.frames {
            if frame.class != Class::Ephemeral {
                kept.extend_from_slice(self.bytes(begin, frame.end));
                frames.push_back(Frame { end: kept.len() as u64, ..*frame });
            }
            begin = frame.end;
            ends.push((frame.end, kept.len() as u64));
        }
        let base = self.head() - kept.len() as u64;
        frames.iter_mut().for_each(|frame| frame.end += base);
        (self.bytes, self.frames, self.base) = (kept, frames, base);
        let place = move |old: u64| {
            let index = ends.partition_point(|(end, _)| *end <= old);
            base + index.checked_sub(1).map_or(0, |index| ends[index].1)
        };
        (self.first, self.picky_until, self.ephemeral) = (place(self.first), place(self.picky_until), 0);
        place
    }

    fn frame_at(&self, at: u64) -> usize {
        self.frames.partition_point(|frame| frame.end <= at)
    }

    fn index(&self, place: u64) -> usize {
        usize::try_from(place - self.base).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_nobody_is_behind_keeps_no_memory_and_the_next_uses_its_buffer() {
        let (mut spares, mut first, mut second) = (Spares::default(), Log::default(), Log::default());
        first.append(&[b'x'; 5_000], 1, Class::Publication, &mut spares);
        let buffer = first.bytes.as_ptr();
        first.forget_before(first.head(), &mut spares);
        assert_eq!((first.bytes.capacity(), first.frames.capacity(), first.len()), (0, 0, 0));
        second.append(b"y", 1, Class::Publication, &mut spares);
        assert_eq!((second.bytes.as_ptr(), second.bytes(0, 1)), (buffer, &b"y"[..]));
    }

    #[test]
    fn what_is_held_is_little_more_than_what_somebody_has_not_had() {
        let (mut spares, mut log) = (Spares::default(), Log::default());
        for number in 1..=10_000 {
            log.append(&[b'x'; 100], number, Class::Publication, &mut spares);
            // Its reader is 1,000 frames behind.
            log.forget_before((number * 100).saturating_sub(100_000), &mut spares);
        }
        assert!(log.len() == 100_000 && log.bytes.capacity() <= 300_000, "{} for {}", log.bytes.capacity(), log.len());
    }
}
