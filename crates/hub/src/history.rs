//! What was published in a channel, as its keeper tells it: the hub's memory or the application's store.

use futures_util::future::BoxFuture;
use tidings_protocol::{HistoryRequest, Payload, Publication, StreamPosition};

use crate::ChannelName;
use crate::limits::TAG_OVERHEAD_BYTES;

/// A keeper of publications outside the hub, in which a channel's publications are numbered from 1 without gaps.
///
/// What is announced to the hub must already be readable here, under the same number.
pub trait History: Send + Sync + 'static {
    /// The newest number of the channel and the epoch that it counts in; 0 when nothing was published yet.
    ///
    /// The epoch is never empty and never `_`; it changes when numbers are used again.
    fn position<'a>(&'a self, channel: &'a ChannelName) -> BoxFuture<'a, Result<StreamPosition, HistoryError>>;

    /// Reads a part of the channel together with its position at that time.
    fn read<'a>(
        &'a self,
        channel: &'a ChannelName,
        query: HistoryQuery,
    ) -> BoxFuture<'a, Result<HistoryPage, HistoryError>>;
}

/// Which part of a channel's publications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Only offsets above it or, when reversed, below it.
    pub since: Option<u64>,
    /// At most so many.
    pub limit: usize,
    /// From the newest to the oldest.
    pub reverse: bool,
    /// The keeper need not read on beyond so many bytes of data: whoever asks has no use for more.
    pub bytes_max: Option<usize>,
}

impl HistoryQuery {
    /// What a client or a backend asks for, at most `publications_max` of it; a limit of -1 asks for as many.
    #[must_use]
    pub fn of(request: &HistoryRequest, publications_max: usize) -> Self {
        let since = request.since.as_ref().filter(|since| !since.epoch.is_empty() || since.offset > 0);
        Self {
            since: since.map(|since| since.offset),
            limit: usize::try_from(request.limit).map_or(publications_max, |limit| limit.min(publications_max)),
            reverse: request.reverse,
            bytes_max: None,
        }
    }
}

/// Publications and where the channel stood when they were read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistoryPage {
    /// In the order asked for; every offset is set.
    pub publications: Vec<Publication>,
    /// The epoch and the newest offset of the channel.
    pub top: StreamPosition,
}

impl HistoryPage {
    /// Ends the page before the publication that takes it above `bytes_max`, but not before its first.
    pub fn cut(&mut self, bytes_max: usize) {
        let mut bytes = 0;
        let fits = |publication: &Publication| {
            bytes += bytes_of(publication);
            bytes <= bytes_max
        };
        let fitting = self.publications.iter().map(fits).take_while(|fits| *fits).count();
        self.publications.truncate(fitting.max(1));
    }
}

/// History could not be read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The keeper does not know the channel; asking again will not help.
    #[error("the history of this channel is unknown")]
    UnknownChannel,
    /// The keeper failed; asking again later may help.
    #[error("history is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What is written in a publication, with what its tags cost beside their letters.
pub(crate) fn bytes_of(publication: &Publication) -> usize {
    let Publication { data, info, tags, .. } = publication;
    let payload = |payload: &Option<Payload>| payload.as_ref().map_or(0, |payload| payload.as_bytes().len());
    let info = info
        .as_ref()
        .map_or(0, |info| info.user.len() + info.client.len() + payload(&info.conn_info) + payload(&info.chan_info));
    payload(data) + info + tags.iter().map(|(name, value)| TAG_OVERHEAD_BYTES + name.len() + value.len()).sum::<usize>()
}
