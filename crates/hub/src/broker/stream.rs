//! The history of one channel in memory: a ring bounded in number, bytes and age.
//!
//! Numbers go up from 1 within an epoch of eight letters and survive the publications they were given to.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tidings_protocol::{Publication, StreamPosition};

use super::ledger::Ledger;
use crate::history::bytes_of;
use crate::limits::{EMPTY_STREAM_KEPT, STREAM_KEPT};
use crate::{Account, ChannelName, HistoryPage, HistoryQuery, Keep, Version};

/// What one publication costs beside what is written in it, roughly.
const OVERHEAD_BYTES: usize = 200;

pub(crate) struct Stream {
    /// Taken out of the broker's map; whoever still holds it must look again.
    pub(crate) gone: bool,
    epoch: String,
    top: u64,
    /// The newest version that was published, where publications have any.
    version: Option<Box<Version>>,
    kept: VecDeque<Kept>,
    bytes: usize,
    /// What all streams of the broker keep together.
    ledger: Arc<Ledger>,
    /// Who made it, when that was a client.
    account: Option<Arc<Account>>,
    touched: Instant,
}

struct Kept {
    publication: Arc<Publication>,
    bytes: usize,
    /// Who published it, when that was a client.
    account: Option<Arc<Account>>,
    since: Instant,
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

    /// Streams that begin from now on are of other epochs than before.
    pub(crate) fn renew(&self) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
    }

    /// To be called before its channel can begin another one.
    pub(crate) fn forget(&self, stream: &Stream) {
        if stream.top > 0 {
            self.renew();
        }
    }
}

impl Stream {
    pub(super) fn new(epoch: String, ledger: Arc<Ledger>, account: Option<Arc<Account>>, now: Instant) -> Self {
        if let Some(account) = &account {
            account.hold_stream();
        }
        let (version, kept) = (None, VecDeque::new());
        Self { gone: false, epoch, top: 0, version, kept, bytes: 0, ledger, account, touched: now }
    }

    /// Who made it, when that was a client.
    pub(super) fn account(&self) -> Option<&Arc<Account>> {
        self.account.as_ref()
    }

    pub(super) fn touched(&self) -> Instant {
        self.touched
    }

    /// Since when each caller has something in here.
    pub(super) fn held_since(&self) -> Vec<(Option<Arc<Account>>, Instant)> {
        let mut held: Vec<(Option<Arc<Account>>, Instant)> = Vec::new();
        for Kept { account, since, .. } in &self.kept {
            if !held.iter().any(|(known, _)| same(known.as_ref(), account.as_ref())) {
                held.push((account.clone(), *since));
            }
        }
        held
    }

    /// Takes the oldest of what a caller has in here, with what is older, so that what is kept has no gap. Returns the
    /// bytes that were freed, and since when the caller's next has been here.
    pub(super) fn take_oldest_of(&mut self, account: Option<&Arc<Account>>) -> (usize, Option<Instant>) {
        let before = self.bytes;
        let is_its = |kept: &Kept| same(kept.account.as_ref(), account);
        let oldest = self.kept.iter().position(is_its).map_or(0, |index| index + 1);
        (0..oldest).for_each(|_| self.drop_oldest());
        (before - self.bytes, self.kept.iter().find(|kept| is_its(kept)).map(|kept| kept.since))
    }

    pub(crate) fn epoch(&self) -> &str {
        &self.epoch
    }

    pub(crate) fn position(&self) -> StreamPosition {
        StreamPosition { offset: self.top, epoch: self.epoch.clone() }
    }

    /// Whether a version is newer than what was published; takes note of it then. Without one everything is new.
    pub(super) fn takes(&mut self, version: Option<&Version>) -> bool {
        let Some(version) = version else { return true };
        let is_old = |last: &Version| last.epoch == version.epoch && last.number >= version.number;
        if self.version.as_deref().is_some_and(is_old) {
            return false;
        }
        self.version = Some(Box::new(version.clone()));
        true
    }

    /// Lets go of everything that is kept; the numbers go on.
    pub(super) fn clear(&mut self) {
        while !self.kept.is_empty() {
            self.drop_oldest();
        }
    }

    /// Numbers a publication and keeps it, as far as the bounds allow: what is kept has no gap and ends with the newest,
    /// or it is nothing, and then a resume is told so.
    pub(crate) fn append(
        &mut self,
        mut publication: Publication,
        keep: &Keep,
        account: Option<&Arc<Account>>,
        now: Instant,
    ) -> Arc<Publication> {
        self.top += 1;
        publication.offset = self.top;
        let bytes = cost_of(&publication);
        let publication = Arc::new(publication);
        let (account, until) = (account.cloned(), now.checked_add(keep.ttl));
        self.bytes += bytes;
        self.ledger.hold(bytes, account.as_ref());
        if let Some(account) = &account {
            account.hold_bytes(bytes);
        }
        self.kept.push_back(Kept { publication: publication.clone(), bytes, account, since: now, until });
        self.touched = now;
        self.expire(now);
        while self.kept.back().is_some_and(|newest| self.is_above(keep, newest)) {
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

    fn is_above(&self, keep: &Keep, newest: &Kept) -> bool {
        self.kept.len() > keep.size.get()
            || (self.bytes > keep.bytes_max && self.kept.len() > 1)
            || !self.ledger.has_room(0, newest.account.as_ref())
    }

    /// Lets go of everything: it was taken out of the broker's map.
    pub(super) fn end(&mut self) {
        self.gone = true;
        self.clear();
        if let Some(account) = &self.account {
            account.release_stream();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(Kept { bytes, account, .. }) = self.kept.pop_front() {
            self.bytes -= bytes;
            self.ledger.release(bytes, account.as_ref());
            if let Some(account) = account {
                account.release_bytes(bytes);
            }
        }
    }
}

/// What it takes to keep a publication, in bytes.
pub(super) fn cost_of(publication: &Publication) -> usize {
    OVERHEAD_BYTES + bytes_of(publication)
}

fn same(one: Option<&Arc<Account>>, other: Option<&Arc<Account>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.is_caller(other),
        (None, None) => true,
        _ => false,
    }
}
