//! The broker of one process: streams in memory, and one node, which is told under the stream's lock.

use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Instant as StdInstant;

use tidings_protocol::{Publication, StreamPosition};
use tokio::time::Instant;

use super::ledger::Ledger;
use super::reclaim;
use super::repeats::Repeats;
use super::stream::{Epochs, Stream, cost_of};
use super::{Answer, Broker, BrokerError, Node, Terms, at_once};
use crate::limits::RECLAIMED_PART;
use crate::sharded::{Sharded, lock};
use crate::{Account, ChannelName, HistoryPage, HistoryQuery, Keep, Limits};

/// See the [module](self).
pub(crate) struct MemoryBroker {
    node: OnceLock<Weak<dyn Node>>,
    streams: Sharded<ChannelName, Arc<Mutex<Stream>>>,
    number: Ledger,
    bytes: Arc<Ledger>,
    repeats: Repeats,
    epochs: Epochs,
    /// One looks for room at a time; others who need it find what it has freed.
    reclaiming: Mutex<()>,
}

impl MemoryBroker {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            node: OnceLock::new(),
            streams: Sharded::new(),
            number: Ledger::of_streams(limits),
            bytes: Arc::new(Ledger::of_bytes(limits)),
            repeats: Repeats::new(),
            epochs: Epochs::default(),
            reclaiming: Mutex::default(),
        }
    }

    fn node(&self) -> Option<Arc<dyn Node>> {
        self.node.get()?.upgrade()
    }

    fn publish_now(
        &self,
        channel: &ChannelName,
        publication: Publication,
        keep: Option<&Keep>,
        account: Option<&Arc<Account>>,
    ) -> Result<StreamPosition, BrokerError> {
        match keep {
            Some(keep) => self.append(channel, publication, keep, account),
            None => Ok(self.pass(channel, publication)),
        }
    }

    fn append(
        &self,
        channel: &ChannelName,
        publication: Publication,
        keep: &Keep,
        account: Option<&Arc<Account>>,
    ) -> Result<StreamPosition, BrokerError> {
        let now = Instant::now().into_std();
        self.make_room_for_bytes(cost_of(&publication), account);
        self.with_stream(channel, account, |stream| {
            let kept = stream.append(publication, keep, account, now);
            // Told under the stream's lock, so that a node hears the numbers in their order: here nothing ever has to
            // be held back or read again.
            if let Some(node) = self.node() {
                node.receive(channel, kept, stream.epoch());
            }
            stream.position()
        })
    }

    fn pass(&self, channel: &ChannelName, publication: Publication) -> StreamPosition {
        if let Some(node) = self.node() {
            node.receive(channel, Arc::new(publication), "");
        }
        StreamPosition::default()
    }

    fn read_now(&self, channel: &ChannelName, query: HistoryQuery) -> HistoryPage {
        let stream = self.streams.shard(channel).get(channel).cloned();
        match stream {
            Some(stream) => lock(&stream).read(query, Instant::now().into_std()),
            // A stream that is made later has this epoch, so whoever read now can go on from here.
            None => HistoryPage {
                publications: Vec::new(),
                top: StreamPosition { offset: 0, epoch: self.epochs.of(channel) },
            },
        }
    }

    /// Runs `f` on a stream, which exists from then on.
    fn with_stream<T>(
        &self,
        channel: &ChannelName,
        account: Option<&Arc<Account>>,
        f: impl FnOnce(&mut Stream) -> T,
    ) -> Result<T, BrokerError> {
        loop {
            let stream = self.find_or_make(channel, account)?;
            let mut stream = lock(&stream);
            if !stream.gone {
                return Ok(f(&mut stream));
            }
        }
    }

    fn find_or_make(
        &self,
        channel: &ChannelName,
        account: Option<&Arc<Account>>,
    ) -> Result<Arc<Mutex<Stream>>, BrokerError> {
        if let Some(stream) = self.streams.shard(channel).get(channel) {
            return Ok(stream.clone());
        }
        self.make_room_for_stream(account)?;
        let mut shard = self.streams.shard(channel);
        let make = || {
            self.number.hold(1, account);
            let now = Instant::now().into_std();
            let stream = Stream::new(self.epochs.of(channel), self.bytes.clone(), account.cloned(), now);
            Arc::new(Mutex::new(stream))
        };
        Ok(shard.entry(channel.clone()).or_insert_with(make).clone())
    }

    /// Between this and what it is for others may take the room: so many more than the bound as there are threads.
    fn make_room_for_stream(&self, account: Option<&Arc<Account>>) -> Result<(), BrokerError> {
        let may = || account.is_none_or(|account| account.may_hold_stream());
        if may() && self.number.has_room(1, account) {
            return Ok(());
        }
        let _one = lock(&self.reclaiming);
        if !may() {
            self.reclaim_streams(account.map(|account| &**account), account);
        }
        if !self.number.has_room(1, account) {
            self.reclaim_streams(None, account);
        }
        let full = BrokerError::TooManyStreams { max: self.number.max() };
        if may() && self.number.has_room(1, account) { Ok(()) } else { Err(full) }
    }

    fn reclaim_streams(&self, only: Option<&Account>, account: Option<&Arc<Account>>) {
        let Some(node) = self.node() else { return };
        let held = if only.is_some() { account.map_or(0, |account| account.streams()) } else { self.number.max() };
        let wanted = (held / RECLAIMED_PART).max(1);
        let is_idle = |channel: &ChannelName| !node.has_subscribers(channel);
        // Asked again under the stream's lock: whoever subscribes enters the channel first, and then reads the stream.
        let end = |channel: &ChannelName, stream: &Mutex<Stream>| {
            let mut stream = lock(stream);
            is_idle(channel) && self.end(channel, &mut stream)
        };
        reclaim::streams(&self.all(), &self.number, wanted, only, account.is_some(), is_idle, end);
    }

    fn make_room_for_bytes(&self, bytes: usize, account: Option<&Arc<Account>>) {
        if self.bytes.has_room(bytes, account) || bytes > self.bytes.max() {
            return;
        }
        let _one = lock(&self.reclaiming);
        if !self.bytes.has_room(bytes, account) {
            let wanted = bytes.max(self.bytes.max() / RECLAIMED_PART);
            reclaim::bytes(&self.all(), &self.bytes, wanted, account.is_some());
        }
    }

    fn all(&self) -> reclaim::Streams {
        (0..self.streams.pieces()).flat_map(|piece| self.streams.copy(piece)).collect()
    }

    /// Forgets a stream. Locks go from a stream to its shard, never the other way round.
    fn end(&self, channel: &ChannelName, stream: &mut Stream) -> bool {
        if stream.gone {
            return false;
        }
        self.epochs.forget(stream);
        stream.end();
        self.streams.shard(channel).remove(channel);
        self.number.release(1, stream.account());
        true
    }

    fn sweep_stream(&self, channel: &ChannelName, stream: &Mutex<Stream>, in_use: bool, now: StdInstant) {
        let mut stream = lock(stream);
        stream.expire(now);
        if in_use {
            stream.touch(now);
        }
        if stream.is_forgotten(now) {
            self.end(channel, &mut stream);
        }
    }
}

impl Broker for MemoryBroker {
    fn attach(&self, node: Weak<dyn Node>) {
        self.node.set(node).ok();
    }

    fn publish<'a>(
        &'a self,
        channel: &'a ChannelName,
        publication: Publication,
        terms: Terms<'a>,
    ) -> Answer<'a, Result<StreamPosition, BrokerError>> {
        let Terms { keep, account, idempotency_key } = terms;
        let publish = || self.publish_now(channel, publication, keep, account);
        at_once(match idempotency_key {
            Some(key) => self.repeats.once(channel, key, Instant::now().into_std(), publish),
            None => publish(),
        })
    }

    fn read<'a>(
        &'a self,
        channel: &'a ChannelName,
        query: HistoryQuery,
    ) -> Answer<'a, Result<HistoryPage, BrokerError>> {
        at_once(Ok(self.read_now(channel, query)))
    }

    fn begin<'a>(
        &'a self,
        channel: &'a ChannelName,
        query: HistoryQuery,
        account: Option<&'a Arc<Account>>,
    ) -> Answer<'a, Result<HistoryPage, BrokerError>> {
        at_once(self.with_stream(channel, account, |stream| {
            let now = Instant::now().into_std();
            stream.touch(now);
            stream.read(query, now)
        }))
    }

    fn sweep(&self) -> Answer<'_, ()> {
        futures_util::future::Either::Right(Box::pin(async move {
            let Some(node) = self.node() else { return };
            let now = Instant::now().into_std();
            self.repeats.sweep(now);
            for index in 0..self.streams.pieces() {
                // A shard at a time, and other tasks in between: a hundred thousand would hold them up.
                tokio::task::yield_now().await;
                for (channel, stream) in self.streams.copy(index) {
                    self.sweep_stream(&channel, &stream, node.has_subscribers(&channel), now);
                }
            }
        }))
    }

    fn streams(&self) -> usize {
        self.number.total()
    }
}
