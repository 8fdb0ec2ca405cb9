//! In which order a channel's publications are delivered, whatever the order in which they come.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidings_protocol::Publication;

use crate::HistoryPage;

/// How far a channel has been delivered on this node, and what came ahead of its turn.
///
/// Numbers are delivered one after the other. What was delivered is dropped when it comes again. What leaves a gap is
/// held back: what is missing is most often on its way. When it does not come it is [read](Self::missing_after) from the
/// stream, so a lost publication heals, and only what cannot be read any more makes subscribers start again.
#[derive(Default)]
pub(crate) struct Sequence {
    epoch: String,
    /// The last number that was delivered; `None` as long as nobody knows.
    last: Option<u64>,
    /// The highest number known of.
    highest: u64,
    ahead: BTreeMap<u64, Arc<Publication>>,
    /// A gap was noticed, and somebody is going to read it.
    healing: bool,
}

/// What to do with a publication that has come.
#[derive(Debug, PartialEq)]
pub(crate) enum Arrival {
    /// Deliver it, and then what was [held back](Sequence::pop_ahead) behind it.
    Next,
    /// It was delivered before.
    Known,
    /// Something before it is missing; it is held back. `true`: somebody must see to the gap.
    Ahead(bool),
}

/// Whether a page that was read fits behind what was delivered.
#[derive(Debug, PartialEq)]
pub(crate) enum Healing {
    /// Deliver these, and then what was held back behind them.
    Deliver(Vec<Publication>),
    /// What is missing cannot be had: everybody starts again from what the stream has.
    Lost,
}

impl Sequence {
    pub(crate) fn epoch(&self) -> &str {
        &self.epoch
    }

    /// Takes note of the epoch that numbers count in. `true` when it is another one than before: then whoever counts
    /// must start again, and `last` is where the new numbering stands.
    ///
    /// An epoch that is not told is no other one: announcements need not carry it, and pages and positions do.
    pub(crate) fn renew(&mut self, epoch: &str, last: u64) -> bool {
        if epoch.is_empty() || self.epoch == epoch {
            return false;
        }
        let known = !self.epoch.is_empty();
        epoch.clone_into(&mut self.epoch);
        if known {
            (self.last, self.highest) = (Some(last), last);
            self.ahead.clear();
        }
        known
    }

    /// Takes a numbered publication; at most `ahead_max` are held back.
    pub(crate) fn arrive(&mut self, publication: &Arc<Publication>, ahead_max: usize) -> Arrival {
        let offset = publication.offset;
        self.highest = self.highest.max(offset);
        match self.last {
            Some(last) if offset <= last => Arrival::Known,
            Some(last) if offset > last + 1 => {
                if self.ahead.len() < ahead_max {
                    self.ahead.insert(offset, publication.clone());
                }
                Arrival::Ahead(self.notice_gap())
            }
            _ => {
                self.last = Some(offset);
                Arrival::Next
            }
        }
    }

    /// The next of those held back whose turn has come.
    pub(crate) fn pop_ahead(&mut self) -> Option<Arc<Publication>> {
        let last = self.last?;
        while let Some(first) = self.ahead.first_entry().filter(|first| *first.key() <= last + 1) {
            let (offset, publication) = first.remove_entry();
            if offset > last {
                self.last = Some(offset);
                return Some(publication);
            }
        }
        None
    }

    /// A subscriber, or a check, knows that the stream stands at `top`. `true`: somebody must see to the gap.
    pub(crate) fn note_top(&mut self, top: u64) -> bool {
        self.last.get_or_insert(top);
        self.highest = self.highest.max(top);
        self.notice_gap()
    }

    /// The last number that was delivered, once somebody counts.
    pub(crate) fn last(&self) -> Option<u64> {
        self.last
    }

    /// Goes on from the highest number known, without what is missing before it.
    pub(crate) fn lose(&mut self) {
        self.last = self.last.map(|last| last.max(self.highest));
        self.healing = false;
        self.ahead.clear();
    }

    /// Whether anybody here counts.
    pub(crate) fn is_counted(&self) -> bool {
        self.last.is_some()
    }

    fn notice_gap(&mut self) -> bool {
        let gap = self.last.is_some_and(|last| last < self.highest);
        gap && !std::mem::replace(&mut self.healing, true)
    }

    /// Behind which number to read, for whoever sees to the gap. `None`: there is none any more, and whoever notices the
    /// next one sees to it.
    pub(crate) fn missing_after(&mut self) -> Option<u64> {
        let missing = self.last.filter(|last| *last < self.highest);
        self.healing = missing.is_some();
        missing
    }

    /// Fits a page that was read behind the number `since`. Publications that came meanwhile are not delivered twice.
    pub(crate) fn heal(&mut self, since: u64, page: HistoryPage) -> Healing {
        let continues = page.publications.first().is_some_and(|first| first.offset == since + 1);
        let last = self.last.unwrap_or(since);
        if !continues {
            if last > since {
                // What was missing has come by itself while nothing could be read.
                return Healing::Deliver(Vec::new());
            }
            self.last = Some(page.top.offset.max(self.highest));
            self.ahead.clear();
            return Healing::Lost;
        }
        let missing: Vec<_> = page.publications.into_iter().filter(|publication| publication.offset > last).collect();
        if let Some(newest) = missing.last() {
            self.last = Some(newest.offset);
        }
        Healing::Deliver(missing)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidings_protocol::StreamPosition;

    use super::*;

    fn publication(offset: u64) -> Publication {
        Publication { offset, ..Publication::default() }
    }

    /// What a subscriber would get.
    fn deliver(sequence: &mut Sequence, offset: u64, ahead_max: usize, delivered: &mut Vec<u64>) {
        if sequence.arrive(&Arc::new(publication(offset)), ahead_max) == Arrival::Next {
            delivered.push(offset);
            delivered.extend(std::iter::from_fn(|| sequence.pop_ahead()).map(|publication| publication.offset));
        }
    }

    fn heal(sequence: &mut Sequence, top: u64, delivered: &mut Vec<u64>) {
        while let Some(since) = sequence.missing_after() {
            let publications = (since + 1..=top).map(publication).collect();
            let page = HistoryPage { publications, top: StreamPosition { offset: top, epoch: "e".into() } };
            match sequence.heal(since, page) {
                Healing::Deliver(missing) => delivered.extend(missing.iter().map(|publication| publication.offset)),
                Healing::Lost => panic!("nothing is lost"),
            }
            delivered.extend(std::iter::from_fn(|| sequence.pop_ahead()).map(|publication| publication.offset));
        }
    }

    #[test]
    fn what_comes_ahead_of_its_turn_waits_for_what_is_before_it() {
        let (mut sequence, mut delivered) = (Sequence::default(), Vec::new());
        sequence.note_top(0);
        for offset in [2, 4, 3, 1, 1, 5] {
            deliver(&mut sequence, offset, 64, &mut delivered);
        }
        assert_eq!(delivered, [1, 2, 3, 4, 5]);
        assert_eq!(sequence.missing_after(), None);
    }

    #[test]
    fn one_sees_to_a_gap_however_many_notice_it() {
        let mut sequence = Sequence::default();
        sequence.note_top(0);
        assert_eq!(sequence.arrive(&Arc::new(publication(3)), 64), Arrival::Ahead(true));
        assert_eq!(sequence.arrive(&Arc::new(publication(4)), 64), Arrival::Ahead(false));
        assert_eq!(sequence.missing_after(), Some(0));
        assert!(!sequence.note_top(9), "it is being seen to");
    }

    #[test]
    fn what_cannot_be_read_is_lost_and_said_so_once() {
        let mut sequence = Sequence::default();
        sequence.note_top(0);
        sequence.arrive(&Arc::new(publication(3)), 64);
        let since = sequence.missing_after().unwrap();
        let trimmed =
            HistoryPage { publications: vec![publication(3)], top: StreamPosition { offset: 3, epoch: String::new() } };
        assert_eq!(sequence.heal(since, trimmed), Healing::Lost);
        assert_eq!((sequence.missing_after(), sequence.pop_ahead()), (None, None));
    }

    proptest! {
        #[test]
        fn g3_whatever_is_lost_doubled_or_reordered_each_number_is_delivered_once_and_in_order(
            came in prop::collection::vec(1_u64..40, 0..120),
            ahead_max in 0_usize..8,
            heal_every in 1_usize..20,
        ) {
            let (mut sequence, mut delivered) = (Sequence::default(), Vec::new());
            sequence.note_top(0);
            let mut top = 0;
            for (number, offset) in came.into_iter().enumerate() {
                top = top.max(offset);
                deliver(&mut sequence, offset, ahead_max, &mut delivered);
                if number % heal_every == 0 {
                    heal(&mut sequence, top, &mut delivered);
                }
            }
            heal(&mut sequence, top, &mut delivered);
            prop_assert_eq!(delivered, (1..=top).collect::<Vec<_>>());
        }
    }
}
