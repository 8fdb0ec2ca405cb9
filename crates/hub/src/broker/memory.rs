//! The broker of one process: streams in memory, and one node, which is told under the stream's lock.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use tidings_protocol::{Publication, StreamPosition};
use tokio::time::Instant;

use super::stream::{Epochs, Stream};
use super::{Answer, Broker, BrokerError, Node, at_once};
use crate::sharded::{Sharded, lock};
use crate::{ChannelName, HistoryPage, HistoryQuery, Keep, Limits};

/// See the [module](self).
pub(crate) struct MemoryBroker {
    node: OnceLock<Weak<dyn Node>>,
    limits: Arc<Limits>,
    streams: Sharded<ChannelName, Arc<Mutex<Stream>>>,
    number: AtomicUsize,
    bytes: Arc<AtomicUsize>,
    epochs: Epochs,
}

impl MemoryBroker {
    pub(crate) fn new(limits: Arc<Limits>) -> Self {
        Self {
            node: OnceLock::new(),
            limits,
            streams: Sharded::new(),
            number: AtomicUsize::new(0),
            bytes: Arc::default(),
            epochs: Epochs::default(),
        }
    }

    fn node(&self) -> Option<Arc<dyn Node>> {
        self.node.get()?.upgrade()
    }

    fn append(
        &self,
        channel: &ChannelName,
        publication: Publication,
        keep: &Keep,
    ) -> Result<StreamPosition, BrokerError> {
        let now = Instant::now().into_std();
        self.with_stream(channel, |stream| {
            let kept = stream.append(publication, keep, self.limits.history_bytes_max, now);
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
    fn with_stream<T>(&self, channel: &ChannelName, f: impl FnOnce(&mut Stream) -> T) -> Result<T, BrokerError> {
        loop {
            let stream = self.find_or_make(channel)?;
            let mut stream = lock(&stream);
            if !stream.gone {
                return Ok(f(&mut stream));
            }
        }
    }

    fn find_or_make(&self, channel: &ChannelName) -> Result<Arc<Mutex<Stream>>, BrokerError> {
        let mut shard = self.streams.shard(channel);
        if let Some(stream) = shard.get(channel) {
            return Ok(stream.clone());
        }
        let max = self.limits.channels_max;
        let one_more = |number| (number < max).then_some(number + 1);
        self.number
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .map_err(|_| BrokerError::TooManyStreams { max })?;
        let stream = Stream::new(self.epochs.of(channel), self.bytes.clone(), Instant::now().into_std());
        let stream = Arc::new(Mutex::new(stream));
        shard.insert(channel.clone(), stream.clone());
        Ok(stream)
    }

    fn sweep_stream(&self, channel: &ChannelName, stream: &Mutex<Stream>, in_use: bool) {
        let now = Instant::now().into_std();
        let mut stream = lock(stream);
        stream.expire(now);
        if in_use {
            stream.touch(now);
        }
        // Locks go from a stream to its shard, never the other way round.
        if !stream.gone && stream.is_forgotten(now) {
            self.epochs.forget(&stream);
            stream.gone = true;
            self.streams.shard(channel).remove(channel);
            self.number.fetch_sub(1, Ordering::Relaxed);
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
        keep: Option<&'a Keep>,
    ) -> Answer<'a, Result<StreamPosition, BrokerError>> {
        at_once(match keep {
            Some(keep) => self.append(channel, publication, keep),
            None => Ok(self.pass(channel, publication)),
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
    ) -> Answer<'a, Result<HistoryPage, BrokerError>> {
        at_once(self.with_stream(channel, |stream| {
            let now = Instant::now().into_std();
            stream.touch(now);
            stream.read(query, now)
        }))
    }

    fn sweep(&self) -> Answer<'_, ()> {
        futures_util::future::Either::Right(Box::pin(async move {
            let Some(node) = self.node() else { return };
            for index in 0..self.streams.pieces() {
                // A shard at a time, and other tasks in between: a hundred thousand would hold them up.
                tokio::task::yield_now().await;
                for (channel, stream) in self.streams.copy(index) {
                    self.sweep_stream(&channel, &stream, node.has_subscribers(&channel));
                }
            }
        }))
    }

    fn streams(&self) -> usize {
        self.number.load(Ordering::Relaxed)
    }
}
