//! The history of one channel in memory: a ring bounded in number, bytes and age.
//!
//! Numbers go up from 1 within an epoch of eight letters and survive the publications they were given to.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use tidings_protocol::{Publication, StreamPosition};

use crate::history::bytes_of;
use crate::limits::{EMPTY_STREAM_KEPT, STREAM_KEPT};
use crate::{ChannelName, HistoryPage, HistoryQuery, Keep};

/// What one publication costs beside what is written in it, roughly.
const OVERHEAD_BYTES: usize = 200;

pub(crate) struct Stream {
    /// Taken out of the broker's map; whoever still holds it must look again.
    pub(crate) gone: bool,
    epoch: String,
    top: u64,
    kept: VecDeque<Kept>,
    bytes: usize,
    /// What all streams of the broker keep together.
    total: Arc<AtomicUsize>,
    touched: Instant,
}

struct Kept {
    publication: Arc<Publication>,
    bytes: usize,
    /// `None` when the clock does not reach so far.
    until: Option<Instant>,
}

/// The epochs of streams that begin now. A stream in which nothing was published needs no memory to be the same again.
#[derive(Default)]
pub(crate) struct Epochs {
    /// Random in each hub.
    letters: RandomState,
    /// How many streams with numbers were forgotten: their channels start over, in another epoch.
    forgotten: AtomicU64,
}

impl Epochs {
    pub(crate) fn of(&self, channel: &ChannelName) -> String {
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyzABCDEFGHIJKL";
        let random = self.letters.hash_one((channel, self.forgotten.load(Ordering::SeqCst))).to_le_bytes();
        random.iter().map(|byte| char::from(LETTERS[usize::from(byte % 64)])).collect()
    }

    /// To be called before its channel can begin another one.
    pub(crate) fn forget(&self, stream: &Stream) {
        self.forgotten.fetch_add(u64::from(stream.top > 0), Ordering::SeqCst);
    }
}

impl Stream {
    pub(crate) fn new(epoch: String, total: Arc<AtomicUsize>, now: Instant) -> Self {
        Self { gone: false, epoch, top: 0, kept: VecDeque::new(), bytes: 0, total, touched: now }
    }

    pub(crate) fn epoch(&self) -> &str {
        &self.epoch
    }

    pub(crate) fn position(&self) -> StreamPosition {
        StreamPosition { offset: self.top, epoch: self.epoch.clone() }
    }

    /// Numbers a publication and keeps it, as far as the bounds allow: what is kept has no gap and ends with the newest,
    /// or it is nothing, and then a resume is told so.
    pub(crate) fn append(
        &mut self,
        mut publication: Publication,
        keep: &Keep,
        total_bytes_max: usize,
        now: Instant,
    ) -> Arc<Publication> {
        self.top += 1;
        publication.offset = self.top;
        let publication = Arc::new(publication);
        let bytes = OVERHEAD_BYTES + bytes_of(&publication);
        self.kept.push_back(Kept { publication: publication.clone(), bytes, until: now.checked_add(keep.ttl) });
        self.bytes += bytes;
        self.total.fetch_add(bytes, Ordering::Relaxed);
        self.touched = now;
        self.expire(now);
        while !self.kept.is_empty() && self.is_above(keep, total_bytes_max) {
            self.drop_oldest();
        }
        publication
    }

    pub(crate) fn read(&mut self, query: HistoryQuery, now: Instant) -> HistoryPage {
        self.expire(now);
        let publications = self.kept.iter().map(|kept| &kept.publication);
        let publications = if query.reverse {
            let before = query.since.unwrap_or(u64::MAX);
            publications.rev().filter(|p| p.offset < before).take(query.limit).map(|p| (**p).clone()).collect()
        } else {
            let after = query.since.unwrap_or(0);
            publications.filter(|p| p.offset > after).take(query.limit).map(|p| (**p).clone()).collect()
        };
        HistoryPage { publications, top: self.position() }
    }

    pub(crate) fn expire(&mut self, now: Instant) {
        while self.kept.front().is_some_and(|oldest| oldest.until.is_some_and(|until| until <= now)) {
            self.drop_oldest();
        }
    }

    /// Nobody who comes back now could still expect this numbering to go on.
    pub(crate) fn is_forgotten(&self, now: Instant) -> bool {
        let kept_for = if self.top == 0 { EMPTY_STREAM_KEPT } else { STREAM_KEPT };
        self.kept.is_empty() && now.saturating_duration_since(self.touched) >= kept_for
    }

    pub(crate) fn touch(&mut self, now: Instant) {
        self.touched = self.touched.max(now);
    }

    fn is_above(&self, keep: &Keep, total_bytes_max: usize) -> bool {
        self.kept.len() > keep.size.get()
            || (self.bytes > keep.bytes_max && self.kept.len() > 1)
            || self.total.load(Ordering::Relaxed) > total_bytes_max
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.kept.pop_front() {
            self.bytes -= oldest.bytes;
            self.total.fetch_sub(oldest.bytes, Ordering::Relaxed);
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
