//! What a returning subscriber missed, decided from what it says and what history has.
//!
//! Pure: the hub reads the page, this decides, the session writes the reply.

use tidings_protocol::{Publication, StreamPosition, SubscribeRequest};

use crate::history::bytes_of;
use crate::{HistoryPage, Limits};

/// What a subscription starts from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Start {
    /// The client asked for what it missed.
    pub was_recovering: bool,
    /// It gets exactly that.
    pub recovered: bool,
    /// What it missed, oldest first.
    pub publications: Vec<Publication>,
    /// What the reply says: where the client stands before it applies `publications`.
    pub told: StreamPosition,
    /// Where it stands after that; delivery goes on with the next offset.
    pub offset: u64,
}

impl Start {
    /// A subscription from now on.
    #[must_use]
    pub fn fresh(top: StreamPosition) -> Self {
        Self { offset: top.offset, told: top, ..Self::default() }
    }

    /// Drops what the reply does not hold, which is whatever is above so many bytes, and says whether there was any: it is
    /// read again when its turn comes.
    pub fn keep_of_reply(&mut self, bytes_max: usize) -> bool {
        let mut bytes = 0;
        let held = self.publications.iter().take_while(|publication| {
            bytes += bytes_of(publication);
            bytes <= bytes_max
        });
        let held = held.count();
        let Some(first) = self.publications.get(held) else { return false };
        self.offset = first.offset - 1;
        self.publications.truncate(held);
        true
    }

    /// A subscription that wanted more than can be given.
    #[must_use]
    pub fn unrecovered(top: StreamPosition) -> Self {
        Self { was_recovering: true, ..Self::fresh(top) }
    }
}

/// Decides from a page that was read since the position of `request`.
///
/// Recovered means that the epoch is the client's (or the client does not know one) and that the publications go on
/// directly after its offset up to the newest. The reply then repeats the client's own offset, because the client
/// advances by applying the publications.
#[must_use]
pub fn decide(request: &SubscribeRequest, page: HistoryPage, limits: &Limits) -> Start {
    let HistoryPage { publications, top } = page;
    let same_epoch = request.epoch.is_empty() || request.epoch == top.epoch;
    let continuous = match (publications.first(), publications.last()) {
        (Some(first), Some(last)) => request.offset.checked_add(1) == Some(first.offset) && last.offset == top.offset,
        _ => request.offset == top.offset,
    };
    let bytes: usize = publications.iter().map(bytes_of).sum();
    let fits = publications.len() <= limits.recovery_publications_max && bytes <= limits.recovery_bytes_max;
    if !(same_epoch && continuous && fits) {
        return Start::unrecovered(top);
    }
    Start {
        was_recovering: true,
        recovered: true,
        publications,
        offset: top.offset,
        told: StreamPosition { offset: request.offset, epoch: top.epoch },
    }
}

/// Decides in cache mode, from a page with the latest publication.
///
/// Recovered means that this is the one at the top: it is all that the client needs, unless it has it. The reply has the
/// top as its offset, because nothing before it is of interest.
#[must_use]
pub fn decide_latest(request: &SubscribeRequest, page: HistoryPage) -> Start {
    let HistoryPage { mut publications, top } = page;
    let has_it = request.recover && request.offset == top.offset && request.epoch == top.epoch;
    let recovered = publications.first().is_some_and(|latest| latest.offset == top.offset);
    publications.truncate(usize::from(recovered && !has_it));
    Start { was_recovering: true, recovered, publications, offset: top.offset, told: top }
}
