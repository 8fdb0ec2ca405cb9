//! Between nodes: who numbers and keeps the publications of channels in memory, and brings them to every node.
//!
//! A broker is only transport. It may lose, double, delay and reorder what it brings to a [`Node`]: the node delivers
//! in the order of numbers, drops what it has, holds back for a moment what came too early, and reads what is missing
//! from the broker's stream. The one that stands ([`memory`]) serves one process, answers at once and does none of that.

mod ledger;
mod looks;
pub(crate) mod memory;
mod reclaim;
mod repeats;
mod stream;

use std::sync::{Arc, Weak};

use futures_util::future::{BoxFuture, Either, Ready, ready};
use tidings_protocol::{Publication, StreamPosition};

use crate::{Account, ChannelName, HistoryPage, HistoryQuery, Keep, Version};

/// An answer that is there already, or has to be waited for. Without a box where it is there.
pub type Answer<'a, T> = Either<Ready<T>, BoxFuture<'a, T>>;

/// An answer that is there already.
pub fn at_once<'a, T>(answer: T) -> Answer<'a, T> {
    Either::Left(ready(answer))
}

/// How a publication is to be treated.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms<'a> {
    /// How much of the stream is kept; `None`: it gets no number and is not kept.
    pub keep: Option<&'a Keep>,
    /// On whose account it is kept; `None`: the server's own.
    pub account: Option<&'a Arc<Account>>,
    /// A publication in the same channel that had the same key not long ago was this one: it is answered as that was,
    /// and nothing is done. Keys are remembered for [`IDEMPOTENCY_KEPT`](crate::limits::IDEMPOTENCY_KEPT), the newest
    /// [`IDEMPOTENCY_KEYS_MAX`](crate::limits::IDEMPOTENCY_KEYS_MAX) of a channel and
    /// [`IDEMPOTENCY_BYTES_MAX`](crate::limits::IDEMPOTENCY_BYTES_MAX) of all.
    pub idempotency_key: Option<&'a str>,
    /// Where the stream has had this version or a later one nothing is done, and the answer says where it stands. Without
    /// `keep` there is no stream that knows, and every version passes.
    pub version: Option<&'a Version>,
}

/// Numbers, keeps and distributes publications.
pub trait Broker: Send + Sync + 'static {
    /// The node to bring publications to. Called once, before everything else.
    fn attach(&self, node: Weak<dyn Node>);

    /// Brings a publication to every node, this one included, with `delta` as it was given; what is read later has none.
    /// With `keep` it gets its stream's next number first and
    /// can be [read](Self::read) when this answers; without, it is for those who are there now, and its position is 0.
    fn publish<'a>(
        &'a self,
        channel: &'a ChannelName,
        publication: Publication,
        terms: Terms<'a>,
    ) -> Answer<'a, Result<StreamPosition, BrokerError>>;

    /// Reads a part of the channel's stream together with where it stands; a limit of 0 asks for that alone. Makes
    /// nothing: whoever asks for names that it made up takes no memory.
    fn read<'a>(
        &'a self,
        channel: &'a ChannelName,
        query: HistoryQuery,
    ) -> Answer<'a, Result<HistoryPage, BrokerError>>;

    /// Reads for somebody who subscribes: from here on the numbering goes on as long as a node has subscribers. What it
    /// takes is on `account`.
    fn begin<'a>(
        &'a self,
        channel: &'a ChannelName,
        query: HistoryQuery,
        account: Option<&'a Arc<Account>>,
    ) -> Answer<'a, Result<HistoryPage, BrokerError>>;

    /// Forgets what is kept of a channel; its numbers go on.
    fn remove<'a>(&'a self, channel: &'a ChannelName) -> Answer<'a, Result<(), BrokerError>>;

    /// Ends the streams of channels that keep nothing any more. What passes there from now on has no number, so whatever
    /// the channel keeps later begins in another epoch: nobody may recover over the hole.
    fn end_unkept<'a>(&'a self, keeps: &'a (dyn Fn(&ChannelName) -> bool + Send + Sync)) -> Answer<'a, ()>;

    /// Forgets what has expired. Called every [`SWEEP_INTERVAL`](crate::limits::SWEEP_INTERVAL).
    fn sweep(&self) -> Answer<'_, ()> {
        at_once(())
    }

    /// How many streams it keeps, for metrics.
    fn streams(&self) -> usize {
        0
    }

    /// How many bytes of history it keeps in memory, for metrics.
    fn history_bytes(&self) -> usize {
        0
    }
}

/// A node of the hub, as a broker sees it.
pub trait Node: Send + Sync + 'static {
    /// Takes what was published on any node. It may come late, twice or in another order than that of its numbers; but it
    /// can be read by then, and after the first of a new epoch none of an older one comes.
    fn receive(&self, channel: &ChannelName, publication: Arc<Publication>, epoch: &str);

    /// Whether anybody on this node relies on the channel.
    fn has_subscribers(&self, channel: &ChannelName) -> bool;
}

/// The broker could not.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// It keeps as many streams as it may, in all or for this caller, and each of them is in use.
    #[error("at most {max} channels may have history")]
    TooManyStreams {
        /// [`Limits::channels_max`](crate::Limits::channels_max), for the one in memory.
        max: usize,
    },
    /// Its caller makes streams too fast; asking again later helps.
    #[error("too many channels in a short time")]
    TooManyRequests,
    /// It failed; asking again later may help.
    #[error("the broker is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}
