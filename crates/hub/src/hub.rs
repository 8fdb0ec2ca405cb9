//! The hub: carries what is published in a channel to everybody who is subscribed, and lets the server act on
//! connections.

mod reading;
mod upkeep;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tidings_protocol::{
    ClientInfo, Disconnect, Payload, PresenceStatsResult, Publication, StreamPosition, Unsubscribe,
};
use tokio::time::Instant;
use uuid::Uuid;

pub use self::reading::ReadError;
use crate::connection::Connection;
use crate::item::Format;
use crate::metrics::{Metrics, Snapshot};
use crate::outbox::Control;
use crate::policy::{ChannelOptions, Identity, Policy, Source};
use crate::registry::{ConnectionOptions, ConnectionOverview, Handle, Registry, Sharded, Target, lock};
use crate::stream::{Bounds, Epochs, Stream};
use crate::subscribers::{Admission, Delivered, Revoked, Subscribers, push_unsubscribe};
use crate::{Channel, Limits};

/// The hub. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Hub(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) policy: Arc<dyn Policy>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) version: Arc<str>,
    pub(crate) metrics: Metrics,
    on_delivered: Option<OnDelivered>,
    channels: Sharded<Channel, Arc<Mutex<Subscribers>>>,
    /// Those of `channels` that count against `channels_max`.
    channels_in_memory: AtomicUsize,
    registry: Registry,
    history_bytes: Arc<AtomicUsize>,
    epochs: Epochs,
    next_key: AtomicU64,
    shutting_down: AtomicBool,
}

type OnDelivered = Box<dyn Fn(Duration) + Send + Sync>;

/// Makes a [`Hub`]; see [`Hub::builder`].
pub struct HubBuilder {
    policy: Arc<dyn Policy>,
    limits: Limits,
    version: String,
    on_delivered: Option<OnDelivered>,
}

/// How to publish.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PublishOptions {
    /// Who published, when it was a client.
    pub info: Option<ClientInfo>,
    /// For filters.
    pub tags: BTreeMap<String, String>,
    /// Only for those who are subscribed now: it gets no number, moves no position and is not kept.
    pub ephemeral: bool,
}

/// Nothing was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The application keeps this channel's history: it stores first, then announces.
    #[error("this channel is written through the application that keeps its history")]
    KeptElsewhere,
    /// There are as many channels with history in memory as the hub may hold.
    #[error("the hub holds at most {max} channels with history")]
    TooManyChannels {
        /// The limit.
        max: usize,
    },
}

/// A channel, for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelOverview {
    /// The channel.
    pub channel: Channel,
    /// How many are subscribed.
    pub num_clients: usize,
}

impl HubBuilder {
    /// Other limits than the defaults.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What clients are told to be connected to; never empty, because SDKs check.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// Called for each publication with the time from the call to its being in every subscriber's outbox.
    #[must_use]
    pub fn on_delivered(mut self, hook: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        self.on_delivered = Some(Box::new(hook));
        self
    }

    /// Makes the hub.
    #[must_use]
    pub fn build(self) -> Hub {
        Hub(Arc::new(Inner {
            policy: self.policy,
            limits: Arc::new(self.limits),
            version: self.version.into(),
            metrics: Metrics::default(),
            on_delivered: self.on_delivered,
            channels: Sharded::new(),
            channels_in_memory: AtomicUsize::new(0),
            registry: Registry::new(),
            history_bytes: Arc::default(),
            epochs: Epochs::default(),
            next_key: AtomicU64::new(0),
            shutting_down: AtomicBool::new(false),
        }))
    }
}

impl Hub {
    /// A hub in which `policy` decides.
    #[must_use]
    pub fn builder(policy: Arc<dyn Policy>) -> HubBuilder {
        let version = concat!(env!("CARGO_PKG_VERSION"), " tidings").to_owned();
        HubBuilder { policy, limits: Limits::default(), version, on_delivered: None }
    }

    /// Opens a connection; the transport drives it. Dropping it leaves all channels.
    #[must_use]
    pub fn connect(&self, options: ConnectionOptions) -> Connection {
        let ConnectionOptions { identity, encoding, framing, heartbeat } = options;
        let key = self.0.next_key.fetch_add(1, Ordering::Relaxed);
        let handle = Arc::new(Handle::new(key, Uuid::new_v4(), Format { encoding, framing }, identity));
        self.0.registry.add(&handle);
        Metrics::add(&self.0.metrics.connections_opened, 1);
        if self.0.shutting_down.load(Ordering::SeqCst) {
            handle.outbox.close(Disconnect::SHUTDOWN);
        }
        Connection::new(self.clone(), handle, heartbeat)
    }

    /// Publishes in a channel and returns where its stream stands then; offset 0 when it has none.
    ///
    /// # Errors
    /// [`PublishError`] when nobody received anything.
    pub fn publish(
        &self,
        channel: &Channel,
        data: Payload,
        options: PublishOptions,
    ) -> Result<StreamPosition, PublishError> {
        let started = Instant::now();
        let PublishOptions { info, tags, ephemeral } = options;
        let publication = Publication { data: Some(data), info, tags, ..Publication::default() };
        let (position, delivered) = match self.options(channel).history {
            Source::External(_) if !ephemeral => return Err(PublishError::KeptElsewhere),
            Source::Memory { size, ttl } if !ephemeral => {
                self.publish_kept(channel, publication, size, ttl, started)?
            }
            _ => (StreamPosition::default(), self.deliver_passing(channel, publication)),
        };
        self.account_publication(delivered, started);
        Ok(position)
    }

    /// Sends something to those who are subscribed now: no number, no history, no position moves. Never fails.
    pub fn publish_ephemeral(&self, channel: &Channel, data: Payload, info: Option<ClientInfo>) {
        let started = Instant::now();
        let publication = Publication { data: Some(data), info, ..Publication::default() };
        let delivered = self.deliver_passing(channel, publication);
        self.account_publication(delivered, started);
    }

    /// Subscribes connections to a channel, as far as the policy allows it; the client is told. Returns how many
    /// connections are asked.
    pub fn subscribe(&self, target: Target<'_>, channel: &Channel) -> usize {
        let handles = self.0.registry.find(target);
        for handle in &handles {
            handle.outbox.control(Control::Subscribe(channel.clone()));
        }
        handles.len()
    }

    /// Ends the subscriptions of connections to a channel, or to all of them, and returns how many were ended.
    ///
    /// When this returns, nothing that is announced later reaches them in that channel, not even through a
    /// subscription or an answer that was being prepared.
    pub fn unsubscribe(&self, target: Target<'_>, channel: Option<&Channel>, why: &Unsubscribe) -> usize {
        let mut ended = 0;
        for handle in self.0.registry.find(target) {
            handle.revoke();
            let channels = channel.map_or_else(|| handle.channels(), |channel| vec![channel.clone()]);
            for channel in channels {
                if self.leave(&handle, &channel).is_some_and(|was_live| was_live) {
                    push_unsubscribe(&handle, &channel, why.clone(), &self.0.limits);
                    ended += 1;
                }
            }
        }
        ended
    }

    /// Closes connections and returns how many. When this returns, nothing that is announced later reaches them.
    pub fn disconnect(&self, target: Target<'_>, why: &Disconnect) -> usize {
        let handles = self.0.registry.find(target);
        for handle in &handles {
            handle.revoke();
            handle.outbox.close(why.clone());
        }
        handles.len()
    }

    /// Who is in a channel, by connection.
    #[must_use]
    pub fn presence(&self, channel: &Channel) -> BTreeMap<String, ClientInfo> {
        self.look(channel, super::subscribers::Subscribers::presence_by_client).unwrap_or_default()
    }

    /// How many are in a channel.
    #[must_use]
    pub fn presence_stats(&self, channel: &Channel) -> PresenceStatsResult {
        self.look(channel, super::subscribers::Subscribers::presence_stats).unwrap_or_default()
    }

    /// The connections that `target` means.
    #[must_use]
    pub fn connections(&self, target: Target<'_>) -> Vec<ConnectionOverview> {
        self.0.registry.find(target).iter().map(|handle| handle.overview()).collect()
    }

    /// The channels that somebody is subscribed to, in no order.
    #[must_use]
    pub fn channels(&self) -> Vec<ChannelOverview> {
        let overview = |(channel, cell): (Channel, Arc<Mutex<Subscribers>>)| {
            let num_clients = lock(&cell).len();
            (num_clients > 0).then_some(ChannelOverview { channel, num_clients })
        };
        self.cells().filter_map(overview).collect()
    }

    /// How many different users are connected.
    #[must_use]
    pub fn num_users(&self) -> usize {
        self.0.registry.users()
    }

    /// What the hub has counted.
    #[must_use]
    pub fn metrics(&self) -> Snapshot {
        self.0.metrics.snapshot()
    }

    /// The limits that hold.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// How a channel works. A memory that keeps nothing is no memory: its positions would promise what is not there.
    pub(crate) fn options(&self, channel: &Channel) -> ChannelOptions {
        let options = self.0.policy.options(channel);
        match options.history {
            Source::Memory { size: 0, .. } => ChannelOptions { history: Source::None, ..options },
            _ => options,
        }
    }

    // What connections need.

    pub(crate) fn identify(&self, handle: &Arc<Handle>, identity: Identity) -> Result<(), Disconnect> {
        if self.0.registry.others_alike(handle, &identity) >= self.0.limits.connections_per_user_max {
            return Err(Disconnect::CONNECTION_LIMIT);
        }
        self.0.registry.identify(handle, identity);
        Ok(())
    }

    pub(crate) fn enter(&self, handle: &Arc<Handle>, channel: &Channel, server_side: bool) -> Result<(), PublishError> {
        let in_memory = matches!(self.options(channel).history, Source::Memory { .. });
        self.with(channel, in_memory, |subscribers| subscribers.enter(handle, channel, server_side))
    }

    pub(crate) fn admit(
        &self,
        handle: &Handle,
        channel: &Channel,
        admission: Admission,
        reply: Option<Bytes>,
    ) -> Result<(), Revoked> {
        let limits = &self.0.limits;
        let delivered = self
            .look_mut(channel, |subscribers| subscribers.admit(handle, channel, admission, reply, limits))
            .unwrap_or(Err(Revoked))?;
        Metrics::add(&self.0.metrics.subscriptions_opened, 1);
        self.account(delivered);
        Ok(())
    }

    /// Takes a connection out of a channel; says whether its subscription was live.
    pub(crate) fn leave(&self, handle: &Handle, channel: &Channel) -> Option<bool> {
        let limits = &self.0.limits;
        let (was_live, delivered) =
            self.look_mut(channel, |subscribers| subscribers.remove(handle, channel, limits)).flatten()?;
        Metrics::add(&self.0.metrics.subscriptions_closed, usize::from(was_live));
        self.account(delivered);
        Some(was_live)
    }

    pub(crate) fn forget(&self, handle: &Arc<Handle>) {
        self.0.registry.remove(handle);
        for channel in handle.channels() {
            self.leave(handle, &channel);
        }
        Metrics::add(&self.0.metrics.connections_closed, 1);
    }

    // How publications go.

    fn publish_kept(
        &self,
        channel: &Channel,
        publication: Publication,
        size: usize,
        ttl: Duration,
        now: Instant,
    ) -> Result<(StreamPosition, Delivered), PublishError> {
        let limits = &self.0.limits;
        let bounds = Bounds {
            publications: size,
            bytes: limits.history_channel_bytes_max,
            total_bytes: limits.history_bytes_max,
            ttl,
        };
        self.with(channel, true, |subscribers| {
            let stream = self.stream(channel, subscribers, now);
            let kept = stream.append(publication, &bounds, now.into_std());
            let position = stream.position();
            let delivered = subscribers.deliver(channel, with_epoch((*kept).clone(), &position.epoch), limits);
            (position, delivered)
        })
    }

    fn deliver_passing(&self, channel: &Channel, publication: Publication) -> Delivered {
        let limits = &self.0.limits;
        self.look_mut(channel, |subscribers| subscribers.deliver(channel, publication, limits)).unwrap_or_default()
    }

    fn account_publication(&self, delivered: Delivered, started: Instant) {
        Metrics::add(&self.0.metrics.publications, 1);
        self.account(delivered);
        if let Some(hook) = &self.0.on_delivered {
            hook(started.elapsed());
        }
    }

    fn account(&self, delivered: Delivered) {
        let metrics = &self.0.metrics;
        Metrics::add(&metrics.messages_out, delivered.messages);
        if delivered.slow > 0 {
            Metrics::add(&metrics.slow_closed, delivered.slow);
        }
        if delivered.removed > 0 {
            Metrics::add(&metrics.subscriptions_closed, delivered.removed);
        }
    }

    fn stream<'a>(&self, channel: &Channel, subscribers: &'a mut Subscribers, now: Instant) -> &'a mut Stream {
        let new = || Stream::new(self.0.epochs.of(channel), self.0.history_bytes.clone(), now.into_std());
        subscribers.stream.get_or_insert_with(new)
    }

    // How channels are found.

    /// Runs `f` on a channel, which exists from then on as long as something is in it. One with history `in_memory`
    /// counts.
    fn with<T>(
        &self,
        channel: &Channel,
        in_memory: bool,
        f: impl FnOnce(&mut Subscribers) -> T,
    ) -> Result<T, PublishError> {
        loop {
            let cell = {
                let mut shard = self.0.channels.shard(channel);
                match shard.get(channel) {
                    Some(cell) => cell.clone(),
                    None => {
                        if in_memory {
                            self.count_in_memory()?;
                        }
                        Metrics::add(&self.0.metrics.channels, 1);
                        let cell = Arc::new(Mutex::new(Subscribers::new(in_memory)));
                        shard.insert(channel.clone(), cell.clone());
                        cell
                    }
                }
            };
            let mut subscribers = lock(&cell);
            if subscribers.gone {
                continue;
            }
            let result = f(&mut subscribers);
            self.drop_if_empty(channel, &mut subscribers);
            return Ok(result);
        }
    }

    /// Runs `f` on a channel if it exists.
    fn look_mut<T>(&self, channel: &Channel, f: impl FnOnce(&mut Subscribers) -> T) -> Option<T> {
        let cell = self.0.channels.shard(channel).get(channel).cloned()?;
        let mut subscribers = lock(&cell);
        if subscribers.gone {
            // Whoever makes it anew has not been seen by this caller: as if the call had come before.
            return None;
        }
        let result = f(&mut subscribers);
        self.drop_if_empty(channel, &mut subscribers);
        Some(result)
    }

    fn look<T>(&self, channel: &Channel, f: impl FnOnce(&Subscribers) -> T) -> Option<T> {
        let cell = self.0.channels.shard(channel).get(channel).cloned()?;
        let subscribers = lock(&cell);
        Some(f(&subscribers))
    }

    /// Locks go from a channel to its shard, never the other way round.
    fn drop_if_empty(&self, channel: &Channel, subscribers: &mut Subscribers) {
        if subscribers.len() == 0 && subscribers.stream.is_none() && !subscribers.announced.filling {
            subscribers.gone = true;
            if self.0.channels.shard(channel).remove(channel).is_some() {
                self.0.metrics.channels.fetch_sub(1, Ordering::Relaxed);
                self.0.channels_in_memory.fetch_sub(usize::from(subscribers.in_memory), Ordering::Relaxed);
            }
        }
    }

    fn count_in_memory(&self) -> Result<(), PublishError> {
        let max = self.0.limits.channels_max;
        let one_more = |number| (number < max).then_some(number + 1);
        let counted = self.0.channels_in_memory.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        counted.map(drop).map_err(|_| PublishError::TooManyChannels { max })
    }

    /// All channels, shard by shard, so that no lock is held while they are looked at.
    fn cells(&self) -> impl Iterator<Item = (Channel, Arc<Mutex<Subscribers>>)> {
        let copy = |(channel, cell): (&Channel, &Arc<Mutex<Subscribers>>)| (channel.clone(), cell.clone());
        self.0.channels.all().flat_map(move |shard| shard.iter().map(copy).collect::<Vec<_>>())
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("metrics", &self.metrics()).finish_non_exhaustive()
    }
}

/// The first publication of a stream carries its epoch, for clients who subscribed while it was empty.
pub(crate) fn with_epoch(publication: Publication, epoch: &str) -> Publication {
    let epoch = if publication.offset == 1 { epoch.to_owned() } else { String::new() };
    Publication { epoch, ..publication }
}
