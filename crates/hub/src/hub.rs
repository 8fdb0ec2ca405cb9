//! The hub as its program holds it: put together, published through, looked into, ended.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tidings_protocol::{ClientInfo, Disconnect, Payload, PresenceStatsResult, Publication, StreamPosition};
use tokio::time::Instant;
use uuid::Uuid;

use crate::account::Accounts;
use crate::broker::memory::MemoryBroker;
use crate::channel::Channel;
use crate::channels::Channels;
use crate::connection::Connection;
use crate::core::{Core, OnDelivered};
use crate::delivery::Loops;
use crate::gaps::Gaps;
use crate::limits::SWEEP_INTERVAL;
use crate::metrics::{Metrics, Snapshot};
use crate::registry::Registry;
use crate::sharded::lock;
use crate::sync::Mutex;
use crate::{
    Application, Broker, ChannelName, ConnectionOptions, ConnectionOverview, HistoryPage, HistoryQuery, Identity,
    Limits, NewPublication, Order, Peer, Policy, PresenceError, PublishError, ReadError, SomeOf, Target,
};

/// Connections closed at a time during a shutdown: their clients come back together.
const SHUTDOWN_STEP: Duration = Duration::from_millis(20);

/// The hub. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Hub {
    pub(crate) core: Arc<Core>,
}

/// Makes a [`Hub`]; see [`Hub::builder`].
pub struct HubBuilder {
    policy: Arc<dyn Policy>,
    application: Arc<dyn Application>,
    broker: Option<Arc<dyn Broker>>,
    limits: Limits,
    loops: usize,
    version: String,
    node: String,
    on_delivered: Option<OnDelivered>,
}

/// A channel, for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelOverview {
    /// Its name.
    pub channel: ChannelName,
    /// How many are subscribed.
    pub num_clients: usize,
}

impl HubBuilder {
    /// What clients can call, and what is told about them; nothing unless given.
    #[must_use]
    pub fn application(mut self, application: Arc<dyn Application>) -> Self {
        self.application = application;
        self
    }

    /// Another broker than the one of this process's own.
    #[must_use]
    pub fn broker(mut self, broker: Arc<dyn Broker>) -> Self {
        self.broker = Some(broker);
        self
    }

    /// Other limits than the defaults.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How many loops write to connections: one a core, unless said otherwise.
    #[must_use]
    pub fn loops(mut self, number: usize) -> Self {
        self.loops = number;
        self
    }

    /// What clients are told to be connected to; never empty, because SDKs check.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// The name of this node, which clients of emulated transports are told.
    #[must_use]
    pub fn node(mut self, node: impl Into<String>) -> Self {
        self.node = node.into();
        self
    }

    /// Called for each publication with the time from the call to its being noted for every subscriber's loop.
    #[must_use]
    pub fn on_delivered(mut self, hook: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        self.on_delivered = Some(Box::new(hook));
        self
    }

    /// Makes the hub.
    #[must_use]
    pub fn build(self) -> Hub {
        let limits = Arc::new(self.limits);
        let metrics = Arc::new(Metrics::default());
        let core = Arc::new(Core {
            policy: self.policy,
            application: self.application,
            broker: self.broker.unwrap_or_else(|| Arc::new(MemoryBroker::new(&limits))),
            channels: Channels::new(limits.clone()),
            accounts: Accounts::new(limits.clone()),
            limits: limits.clone(),
            version: self.version.into(),
            node: self.node,
            loops: Loops::new(self.loops, &limits, &metrics),
            metrics,
            on_delivered: self.on_delivered,
            registry: Registry::new(),
            gaps: Gaps::default(),
            untold: Gaps::default(),
            began: Instant::now(),
            next_key: AtomicU64::new(0),
            shutting_down: AtomicBool::new(false),
        });
        let node: Arc<dyn crate::Node> = core.clone();
        core.broker.attach(Arc::downgrade(&node));
        Hub { core }
    }
}

impl Hub {
    /// A hub in which `policy` decides.
    #[must_use]
    pub fn builder(policy: Arc<dyn Policy>) -> HubBuilder {
        HubBuilder {
            policy,
            application: Arc::new(()),
            broker: None,
            limits: Limits::default(),
            loops: std::thread::available_parallelism().map_or(1, usize::from),
            version: concat!(env!("CARGO_PKG_VERSION"), " tidings").to_owned(),
            node: uuid::Uuid::new_v4().to_string(),
            on_delivered: None,
        }
    }

    /// Opens a connection; the transport drives it. Dropping it leaves all channels.
    #[must_use]
    pub fn connect(&self, options: ConnectionOptions) -> Connection {
        Connection::open(self.core.clone(), options)
    }

    /// Publishes in a channel, on the server's own account, and returns where its stream stands then; offset 0 when it has
    /// none, or when the publication is ephemeral.
    ///
    /// # Errors
    /// [`PublishError`] when nobody received anything.
    pub async fn publish(
        &self,
        channel: &ChannelName,
        publication: NewPublication,
    ) -> Result<StreamPosition, PublishError> {
        self.core.publish(channel, publication, None).await
    }

    /// Publishes as [`publish`](Self::publish) does, on the account of a program: what is kept for it takes nothing from
    /// the server's own channels beyond what clients may take, and makes way for the program's own next ones first.
    ///
    /// # Errors
    /// [`PublishError`] when nobody received anything.
    pub async fn publish_for(
        &self,
        program: &str,
        channel: &ChannelName,
        publication: NewPublication,
    ) -> Result<StreamPosition, PublishError> {
        let account = self.core.accounts.of_program(program);
        self.core.publish(channel, publication, Some(&account)).await
    }

    /// Announces what the application has stored; its offset is the channel's next number. It may be called again for
    /// the same number, and need not be called in their order, though that is quicker.
    ///
    /// A number that was delivered already is dropped. One that leaves a gap is held back for
    /// [`Limits::reorder_wait`]; then [`maintain`](Self::maintain) reads the missing ones from the channel's
    /// [`History`](crate::History), so that a lost announcement heals.
    pub fn announce(&self, channel: &ChannelName, publication: Publication) {
        debug_assert!(publication.offset > 0, "what has no number is published, as ephemeral");
        if publication.offset == 0 {
            return tracing::error!(%channel, "an announcement without a number is not delivered");
        }
        self.core.announce(channel, publication);
    }

    /// Whether somebody is subscribed to a channel, or about to be. Otherwise what the application has stored before it
    /// asks need not be announced: whoever comes later reads it.
    #[must_use]
    pub fn has_subscribers(&self, channel: &ChannelName) -> bool {
        self.core.channels.contains(channel)
    }

    /// Carries out what the server wants of connections. Returns how many it concerned: subscriptions, where it ends
    /// them, and connections otherwise.
    #[expect(clippy::unused_async, reason = "other nodes are told here, and acknowledge, once there are any")]
    pub async fn order(&self, order: Order) -> usize {
        self.core.carry_out(&order)
    }

    /// Who is in a channel, by connection.
    ///
    /// # Errors
    /// [`PresenceError`] when they are more than [`Limits::presence_clients_max`].
    pub async fn presence(&self, channel: &ChannelName) -> Result<BTreeMap<String, ClientInfo>, PresenceError> {
        self.core.presence(channel, self.core.limits.presence_clients_max).await
    }

    /// How many are in a channel.
    pub async fn presence_stats(&self, channel: &ChannelName) -> PresenceStatsResult {
        self.core.presence_stats(channel).await
    }

    /// Reads what was published in a channel; `epoch` is that of `query.since`, or empty when unknown.
    ///
    /// # Errors
    /// [`ReadError`] when there is nothing to read from, or the position is of another epoch.
    pub async fn history(
        &self,
        channel: &ChannelName,
        query: HistoryQuery,
        epoch: &str,
    ) -> Result<HistoryPage, ReadError> {
        self.core.history(channel, query, epoch).await
    }

    /// Forgets what the hub keeps of a channel; its numbers go on, so nobody takes an old publication for a new one.
    ///
    /// # Errors
    /// [`ReadError`] when the hub keeps nothing of it.
    pub async fn remove_history(&self, channel: &ChannelName) -> Result<(), ReadError> {
        self.core.remove_history(channel).await
    }

    /// To be called when [`Policy::options`](crate::Policy::options) has begun to answer otherwise, and before it does
    /// so again: ends the streams of channels that keep nothing any more. Whoever held a position there is told that it
    /// is lost, now or when the channel keeps publications again.
    pub async fn options_changed(&self) {
        self.core.end_unkept_streams().await;
    }

    /// Where a channel's stream stands.
    ///
    /// # Errors
    /// [`ReadError`] when it has none.
    pub async fn position(&self, channel: &ChannelName) -> Result<StreamPosition, ReadError> {
        Ok(self.core.read(channel, HistoryQuery::default()).await?.top)
    }

    /// The connections of this node that `target` means.
    #[must_use]
    pub fn connections(&self, target: &Target) -> Vec<ConnectionOverview> {
        self.core.registry.find(target).iter().map(|handle| handle.overview()).collect()
    }

    /// A page of the connections of this node that `target` means, that are in `channel`, where one is named, and that are
    /// `wanted`: at most `limit`, in the order of their ids, behind `after`. It looks at all of them, which takes
    /// milliseconds where there are very many.
    pub fn connections_page(
        &self,
        target: &Target,
        channel: Option<&ChannelName>,
        after: Option<Uuid>,
        limit: usize,
        wanted: impl Fn(&Peer) -> bool,
    ) -> Vec<ConnectionOverview> {
        let mut found = match (target, channel) {
            (Target::All, Some(channel)) => self.core.handles_in(channel),
            (target, None) => self.core.registry.find(target),
            (target, Some(channel)) => {
                self.core.registry.find(target).into_iter().filter(|handle| handle.is_in(channel)).collect()
            }
        };
        found.retain(|handle| after.is_none_or(|after| handle.id > after) && wanted(&handle.peer()));
        if found.len() > limit {
            found.select_nth_unstable_by_key(limit, |handle| handle.id);
            found.truncate(limit);
        }
        found.sort_unstable_by_key(|handle| handle.id);
        found.iter().map(|handle| handle.overview()).collect()
    }

    /// How many connections a user has to this node, of those with a [tag](crate::Identity::tag) or of those without.
    #[must_use]
    pub fn num_connections(&self, user: &str, has_tag: bool) -> usize {
        let some = SomeOf { user: user.to_owned(), has_tag: Some(has_tag), ..SomeOf::default() };
        self.core.registry.find(&Target::Some(some)).len()
    }

    /// The channels that somebody on this node is subscribed to, in no order.
    #[must_use]
    pub fn channels(&self) -> Vec<ChannelOverview> {
        let overview = |(name, channel): (ChannelName, Arc<Mutex<Channel>>)| ChannelOverview {
            channel: name,
            num_clients: lock(&channel).len(),
        };
        self.core.channels.all().map(overview).filter(|overview| overview.num_clients > 0).collect()
    }

    /// How many different users are connected to this node.
    #[must_use]
    pub fn num_users(&self) -> usize {
        self.core.registry.users()
    }

    /// What the hub has counted.
    #[must_use]
    pub fn metrics(&self) -> Snapshot {
        self.core.metrics.snapshot(self.core.channels.without_stream() + self.core.broker.streams())
    }

    /// How often clients were told of each error since the start, by its code; 0: of those of the application.
    #[must_use]
    pub fn errors(&self) -> Vec<(u32, u64)> {
        self.core.metrics.errors.all()
    }

    /// How often connections were closed with each code since the start, by us or by their transport; 0: with one of the
    /// application's.
    #[must_use]
    pub fn closes(&self) -> Vec<(u32, u64)> {
        self.core.metrics.closes.all()
    }

    /// Bytes that histories keep in the broker's memory.
    #[must_use]
    pub fn history_bytes(&self) -> usize {
        self.core.broker.history_bytes()
    }

    /// Bytes that wait in the logs of all channels, each once for all who are behind.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.core.loops.waiting_bytes()
    }

    /// Bytes of the replies of all connections that are made and not written yet.
    #[must_use]
    pub fn unwritten_reply_bytes(&self) -> usize {
        self.core.loops.answers().bytes()
    }

    /// The limits that hold.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.core.limits
    }

    /// Changes what others see of a connection beside its user (`conn_info`): whoever asks who is there, or hears that it comes
    /// or goes, sees this from now on. Nobody is told; whether it is there still.
    pub fn describe(&self, client: &str, info: Payload) -> bool {
        let handles = self.core.registry.find(&Target::Client(client.to_owned()));
        let identified = handles.first().and_then(|handle| Some((handle, handle.identity()?)));
        let Some((handle, identity)) = identified else { return false };
        handle.set_identity(Some(Arc::new(Identity { info: Some(info), ..Identity::clone(&identity) })));
        true
    }

    // What the hub does by itself, and how it ends.

    /// Forgets what has expired, and delivers what was missed, for ever; it returns only when the hub is broken. Spawn it once beside the transports; without
    /// it a lost publication is never noticed.
    pub async fn maintain(&self) {
        let healing = async {
            loop {
                self.core.gaps.noticed().await;
                self.core.heal().await;
            }
        };
        let sweeping = async {
            let mut positions_due = Instant::now() + self.core.limits.position_check_interval;
            loop {
                tokio::time::sleep(SWEEP_INTERVAL).await;
                self.sweep().await;
                if Instant::now() >= positions_due {
                    self.check_positions().await;
                    positions_due = Instant::now() + self.core.limits.position_check_interval;
                }
            }
        };
        let upkeep = async { tokio::join!(healing, sweeping, self.core.tell_rest()) };
        tokio::select! {
            _ = upkeep => {}
            () = self.core.loops.failed() => tracing::error!("a loop that writes to connections has panicked"),
        }
    }

    /// Delivers what is missing where a gap was noticed, and returns when there is none. [`maintain`](Self::maintain)
    /// does it whenever there is one.
    pub async fn heal(&self) {
        self.core.heal().await;
    }

    /// Drops expired publications, and streams that nobody can expect to go on.
    pub async fn sweep(&self) {
        self.core.broker.sweep().await;
        self.core.accounts.sweep();
    }

    /// Compares every channel in which somebody counts with its stream, and notices what was never delivered.
    pub async fn check_positions(&self) {
        self.core.check_positions().await;
    }

    /// Does at once what the loops do by themselves, for programs that have no runtime to run them, such as tests.
    pub fn run_loops(&self) {
        self.core.loops.run_dry();
    }

    /// Closes all connections with 3001, spread evenly over `spread` so that their clients do not come back all at
    /// once; connections that open from now on are closed at once. Returns when all are told, not when they are gone:
    /// the transports then drop their [`Connection`]s.
    pub async fn shutdown(&self, spread: Duration) {
        self.core.shutting_down.store(true, Ordering::SeqCst);
        let handles = self.core.registry.find(&Target::All);
        let steps = (spread.as_millis() / SHUTDOWN_STEP.as_millis()).max(1);
        let per_step = handles.len().div_ceil(usize::try_from(steps).unwrap_or(usize::MAX)).max(1);
        for (step, handles) in handles.chunks(per_step).enumerate() {
            if step > 0 {
                tokio::time::sleep(SHUTDOWN_STEP).await;
            }
            for handle in handles {
                handle.outbox.close(Disconnect::SHUTDOWN);
            }
        }
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("metrics", &self.metrics()).finish_non_exhaustive()
    }
}
