//! The hub's core, which knows channels and connections: find, enter, admit, leave, publish, and what the server orders.
//!
//! Connections, their operations and the facade stand on it; it asks the policy how a channel works, but not who may do
//! what.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::Either;
use futures_util::stream::FuturesUnordered;
use tidings_protocol::{
    ClientInfo, Disconnect, EncodeError, Payload, PresenceStatsResult, Publication, StreamPosition, SubscribeRequest,
    Unsubscribe,
};
use tokio::time::{Instant, timeout};

use crate::account::Accounts;
use crate::channel::{self, Channel, Effects, Revoked, Wants, tell_unsubscribed};
use crate::channels::Channels;
use crate::delivery::Loops;
use crate::filter::Filter;
use crate::gaps::Gaps;
use crate::handle::Handle;
use crate::limits::{GAP_RETRY, JOIN_LEAVE_PAUSE};
use crate::metrics::Metrics;
use crate::publish::{NewPublication, PublishError};
use crate::push::{Form, write_whole};
use crate::read::ReadError;
use crate::recovery::{self, Start};
use crate::registry::Registry;
use crate::session::{Admission, Control, Wish};
use crate::sharded::lock;
use crate::{
    Account, Act, Answer, Application, Broker, BrokerError, ChannelName, ChannelOptions, HistoryError, HistoryPage,
    HistoryQuery, Identity, Limits, Node, Order, Policy, PresenceError, RecoveryMode, Source, Terms,
};

/// Gaps that are read at once: one that hangs must not hold up the others, and a store has a few connections for reads.
const GAPS_AT_ONCE: usize = 16;

/// Channels whose positions are compared before other tasks get a turn.
const CHECKS_IN_A_ROW: usize = 256;

pub(crate) type OnDelivered = Box<dyn Fn(Duration) + Send + Sync>;

/// What a subscription knows of its place in the channel's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follows {
    Nothing,
    /// Its position is watched.
    Position,
    /// And it can recover what it missed.
    Stream,
}

/// How a subscriber gets what it missed and its reply does not hold.
pub(crate) struct CatchesUp {
    form: Form,
    number: i64,
    filter: Option<Arc<Filter>>,
}

impl CatchesUp {
    /// Writes a publication, whole; `None` when it is not wanted.
    pub(crate) fn write(&self, channel: &ChannelName, publication: &Publication) -> Option<Result<Bytes, EncodeError>> {
        let is_wanted = self.filter.as_ref().is_none_or(|filter| filter.matches(&publication.tags));
        is_wanted.then(|| write_whole(self.form, (channel, self.number), publication))
    }
}

pub(crate) struct Core {
    pub(crate) policy: Arc<dyn Policy>,
    pub(crate) application: Arc<dyn Application>,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) version: Arc<str>,
    /// By which other nodes and emulated transports know this one.
    pub(crate) node: String,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) loops: Loops,
    pub(crate) on_delivered: Option<OnDelivered>,
    pub(crate) channels: Channels,
    pub(crate) registry: Registry,
    pub(crate) accounts: Accounts,
    pub(crate) gaps: Gaps,
    /// Channels in which somebody came or went, and was not told of yet.
    pub(crate) untold: Gaps,
    pub(crate) began: Instant,
    pub(crate) next_key: AtomicU64,
    pub(crate) shutting_down: AtomicBool,
}

impl Core {
    /// How a channel works; the same for everybody in it.
    pub(crate) fn options(&self, channel: &ChannelName) -> Arc<ChannelOptions> {
        self.policy.options(channel)
    }

    // Connections.

    pub(crate) fn identify(&self, handle: &Arc<Handle>, identity: Identity) -> Result<(), Disconnect> {
        if self.registry.others_alike(handle, &identity) >= self.limits.connections_per_user_max {
            return Err(Disconnect::CONNECTION_LIMIT);
        }
        self.registry.identify(handle, identity);
        handle.charge_to(&self.accounts);
        Ok(())
    }

    // Subscriptions.

    /// Has somebody enter a channel, and returns the number by which pushes may name it.
    pub(crate) fn enter(
        &self,
        handle: &Arc<Handle>,
        channel: &ChannelName,
        server_side: bool,
        wants: &Wants,
        options: &Arc<ChannelOptions>,
    ) -> i64 {
        self.channels.with(channel, options, |channel| {
            channel.enter(handle, server_side, wants.clone(), options.clone());
            channel.number()
        })
    }

    pub(crate) fn is_in(&self, handle: &Handle, channel: &ChannelName) -> bool {
        self.channels.with_existing(channel, |channel| channel.contains(handle)).unwrap_or(false)
    }

    pub(crate) fn admit(
        &self,
        handle: &Handle,
        channel: &ChannelName,
        admission: Admission,
        reply: Option<Bytes>,
    ) -> Result<(), Revoked> {
        let admitted = self.channels.with_existing(channel, |channel| channel.admit(handle, admission, reply));
        let effects = admitted.unwrap_or(Err(Revoked))?;
        Metrics::add(&self.metrics.subscriptions_opened, 1);
        self.account(channel, &effects);
        Ok(())
    }

    /// Holds back for a subscriber who is behind what is published from now on; see [`Channel::hold`].
    pub(crate) fn hold(&self, handle: &Handle, channel: &ChannelName) -> Option<CatchesUp> {
        self.channels.with_existing(channel, |channel| {
            let number = channel.number();
            channel.hold(handle).map(|(form, filter)| CatchesUp { form, number, filter })
        })?
    }

    /// How far a subscriber who is behind was given the stream; see [`Channel::catch_up`].
    pub(crate) fn catch_up(&self, handle: &Handle, channel: &ChannelName, reached: u64, is_all: bool) -> bool {
        let caught_up = self.channels.with_existing(channel, |channel| channel.catch_up(handle, reached, is_all));
        let Some((has_caught_up, effects)) = caught_up else { return true };
        self.account(channel, &effects);
        has_caught_up
    }

    /// A subscriber did not keep up; see [`Channel::lag`].
    pub(crate) fn lag(&self, handle: &Handle, channel: &ChannelName) {
        if let Some(effects) = self.channels.with_existing(channel, |channel| channel.lag(handle)) {
            Metrics::add(&self.metrics.slow_unsubscribed, effects.ended);
            self.account(channel, &effects);
        }
    }

    /// What a subscriber who is behind missed cannot be had any more: it starts again.
    pub(crate) fn lose_one(&self, handle: &Handle, channel: &ChannelName) {
        if let Some(effects) = self.channels.with_existing(channel, |channel| channel.lose_one(handle)) {
            self.account(channel, &effects);
        }
    }

    /// Takes a connection out of a channel; says whether its subscription was live, if it was there.
    pub(crate) fn leave(&self, handle: &Handle, channel: &ChannelName) -> Option<bool> {
        let effects = self.channels.with_existing(channel, |channel| channel.remove(handle)).flatten()?;
        self.account(channel, &effects);
        Some(effects.ended > 0)
    }

    // Publications.

    pub(crate) async fn publish(
        &self,
        channel: &ChannelName,
        publication: NewPublication,
        account: Option<&Arc<Account>>,
    ) -> Result<StreamPosition, PublishError> {
        let started = Instant::now();
        publication.check()?;
        let NewPublication { data, info, tags, ephemeral, idempotency_key, delta, version } = publication;
        let idempotency_key = idempotency_key.as_deref();
        let publication = Publication { data: Some(data), info, tags, delta, ..Publication::default() };
        let options = self.options(channel);
        let keep = match &options.history {
            Source::External(_) if !ephemeral => return Err(PublishError::KeptElsewhere),
            Source::Memory(keep) if !ephemeral => Some(keep),
            _ => None,
        };
        let terms = Terms { keep, account, idempotency_key, version: version.as_ref() };
        let position = self.answered(self.broker.publish(channel, publication, terms)).await?;
        self.account_publications(1, started);
        Ok(position)
    }

    pub(crate) async fn end_unkept_streams(&self) {
        let keeps = |channel: &ChannelName| matches!(self.options(channel).history, Source::Memory(_));
        self.broker.end_unkept(&keeps).await;
    }

    /// Takes what the application has stored under a number.
    pub(crate) fn announce(&self, channel: &ChannelName, mut publication: Publication) {
        let started = Instant::now();
        let epoch = std::mem::take(&mut publication.epoch);
        let delivered = self.deliver(channel, Arc::new(publication), &epoch);
        self.account_publications(delivered, started);
    }

    /// The one way to subscribers, from a broker and from the application; says how many publications it let through.
    fn deliver(&self, channel: &ChannelName, publication: Arc<Publication>, epoch: &str) -> usize {
        let received = self.channels.with_existing(channel, |channel| channel.receive(publication, epoch));
        let Some(effects) = received else { return 0 };
        self.account(channel, &effects);
        effects.delivered
    }

    fn account_publications(&self, number: usize, started: Instant) {
        Metrics::add(&self.metrics.publications, number);
        if let Some(hook) = &self.on_delivered {
            (0..number).for_each(|_| hook(started.elapsed()));
        }
    }

    /// Counts what followed from a change of a channel, and has somebody see to a gap. May run under a stream's lock, so
    /// nobody outside is called from here.
    fn account(&self, channel: &ChannelName, effects: &Effects) {
        let Effects { ended, gap, untold, .. } = *effects;
        let metrics = &self.metrics;
        if ended > 0 {
            Metrics::add(&metrics.subscriptions_closed, ended);
        }
        if gap {
            self.gaps.notice(channel.clone(), self.limits.reorder_wait);
        }
        if untold {
            self.untold.notice(channel.clone(), JOIN_LEAVE_PAUSE);
        }
    }

    /// Tells who came and went where it was too much at once, for ever.
    pub(crate) async fn tell_rest(&self) {
        loop {
            let channel = self.untold.due().await;
            if let Some(effects) = self.channels.with_existing(&channel, Channel::tell_rest) {
                self.account(&channel, &effects);
            }
        }
    }

    // Streams.

    /// Reads what was published in a channel.
    pub(crate) async fn read(&self, channel: &ChannelName, query: HistoryQuery) -> Result<HistoryPage, ReadError> {
        match &self.options(channel).history {
            Source::None => Err(ReadError::NotKept),
            Source::Memory(_) => Ok(self.answered(self.broker.read(channel, query)).await?),
            Source::External(history) => {
                let reading = async {
                    if query.limit == 0 {
                        return Ok(HistoryPage { publications: Vec::new(), top: history.position(channel).await? });
                    }
                    history.read(channel, query).await
                };
                let late = |error| HistoryError::Unavailable(Box::new(error));
                Ok(timeout(self.limits.operation_timeout, reading).await.map_err(late)??)
            }
        }
    }

    /// Forgets what is kept of a channel.
    pub(crate) async fn remove_history(&self, channel: &ChannelName) -> Result<(), ReadError> {
        match &self.options(channel).history {
            Source::None | Source::External(_) => Err(ReadError::NotKept),
            Source::Memory(_) => Ok(self.answered(self.broker.remove(channel)).await?),
        }
    }

    /// Whatever a broker is asked has a deadline, for backends as for clients. One that answers at once sets no timer.
    async fn answered<T>(&self, answer: Answer<'_, Result<T, BrokerError>>) -> Result<T, BrokerError> {
        match answer {
            Either::Left(answer) => answer.await,
            Either::Right(later) => {
                let late = |error| BrokerError::Unavailable(Box::new(error));
                timeout(self.limits.operation_timeout, later).await.map_err(late)?
            }
        }
    }

    /// Reads what was published in a channel; `epoch` is that of `query.since`, or empty when unknown.
    pub(crate) async fn history(
        &self,
        channel: &ChannelName,
        query: HistoryQuery,
        epoch: &str,
    ) -> Result<HistoryPage, ReadError> {
        let page = self.read(channel, query).await?;
        if query.since.is_some() && !epoch.is_empty() && epoch != page.top.epoch {
            return Err(ReadError::OtherEpoch);
        }
        Ok(page)
    }

    /// Where a subscription starts; `None` when it has no position.
    pub(crate) async fn start(
        &self,
        channel: &ChannelName,
        options: &ChannelOptions,
        follows: Follows,
        request: &SubscribeRequest,
        account: Option<&Arc<Account>>,
    ) -> Result<Option<Start>, ReadError> {
        if follows == Follows::Nothing {
            return Ok(None);
        }
        let latest = matches!(options.recovery_mode, RecoveryMode::Cache { .. });
        let unasked = options.recovery_mode == RecoveryMode::Cache { unasked: true };
        let recovers = follows == Follows::Stream && (request.recover || unasked);
        // What is above is not recovered, so its rest need not be read.
        let bytes_max = Some(self.limits.recovery_bytes_max);
        let query = match (recovers, latest) {
            (false, _) => HistoryQuery::default(),
            (true, true) => HistoryQuery { since: None, limit: 1, reverse: true, bytes_max },
            (true, false) => {
                let limit = self.limits.recovery_publications_max;
                HistoryQuery { since: Some(request.offset), limit, reverse: false, bytes_max }
            }
        };
        let page = match &options.history {
            Source::None => return Ok(None),
            Source::Memory(_) => self.answered(self.broker.begin(channel, query, account)).await?,
            Source::External(_) => self.read(channel, query).await?,
        };
        let start = match (recovers, latest) {
            (false, _) => return Ok(Some(Start::fresh(page.top))),
            (true, true) => recovery::decide_latest(request, page),
            (true, false) => recovery::decide(request, page, &self.limits),
        };
        let metrics = &self.metrics;
        Metrics::add(if start.recovered { &metrics.recovered } else { &metrics.unrecovered }, 1);
        Ok(Some(start))
    }

    /// Reads and delivers what is missing in the channels that noticed a gap, each when its moment has come, a few at a
    /// time; until there is none.
    pub(crate) async fn heal(&self) {
        let mut repairs = FuturesUnordered::new();
        loop {
            if repairs.is_empty() {
                let Some(channel) = self.gaps.next().await else { return };
                repairs.push(self.repair(channel));
            }
            tokio::select! {
                channel = self.gaps.due(), if repairs.len() < GAPS_AT_ONCE => repairs.push(self.repair(channel)),
                _ = repairs.next() => {}
            }
        }
    }

    async fn repair(&self, channel: ChannelName) {
        let mut repair = Repair { core: self, channel, retry: Some(Duration::ZERO) };
        let channel = &repair.channel;
        repair.retry = match self.fill(channel).await {
            Ok(()) => None,
            // Asking again will not help.
            Err(ReadError::NotKept | ReadError::History(HistoryError::UnknownChannel)) => {
                if let Some(effects) = self.channels.with_existing(channel, Channel::lose) {
                    self.account(channel, &effects);
                }
                None
            }
            Err(error) => {
                tracing::warn!(%channel, %error, "cannot read what is missing; trying again");
                Some(GAP_RETRY)
            }
        };
    }

    async fn fill(&self, channel: &ChannelName) -> Result<(), ReadError> {
        while let Some(since) = self.channels.with_existing(channel, Channel::missing_after).flatten() {
            let limit = self.limits.history_publications_max;
            let page =
                self.read(channel, HistoryQuery { since: Some(since), limit, ..HistoryQuery::default() }).await?;
            let started = Instant::now();
            if let Some(effects) = self.channels.with_existing(channel, |channel| channel.heal(since, page)) {
                self.account(channel, &effects);
                self.account_publications(effects.delivered, started);
            }
        }
        Ok(())
    }

    /// Compares every channel in which somebody counts with its stream, and notices what was never delivered.
    pub(crate) async fn check_positions(&self) {
        for (number, (name, channel)) in self.channels.all().enumerate() {
            if number % CHECKS_IN_A_ROW == CHECKS_IN_A_ROW - 1 {
                // A broker that answers at once never waits, and other tasks want their turn.
                tokio::task::yield_now().await;
            }
            if !lock(&channel).is_counted() {
                continue;
            }
            match self.read(&name, HistoryQuery::default()).await {
                Ok(page) => {
                    if let Some(effects) = self.channels.with_existing(&name, |channel| channel.check(&page.top)) {
                        self.account(&name, &effects);
                    }
                }
                // Its options have changed.
                Err(ReadError::NotKept) => {}
                Err(error) => tracing::warn!(channel = %name, %error, "cannot check the position of a channel"),
            }
        }
    }

    // Presence: of this node's connections, at once; where there are more nodes, the others are asked here.

    #[expect(clippy::unused_async, reason = "the others are asked here")]
    pub(crate) async fn presence(
        &self,
        channel: &ChannelName,
        max: usize,
    ) -> Result<BTreeMap<String, ClientInfo>, PresenceError> {
        let present = self.channels.with_existing(channel, |channel| channel.presence(max));
        Ok(channel::list(present.transpose()?.unwrap_or_default()))
    }

    #[expect(clippy::unused_async, reason = "the others are asked here")]
    pub(crate) async fn presence_stats(&self, channel: &ChannelName) -> PresenceStatsResult {
        self.channels.with_existing(channel, |channel| channel.presence_stats()).unwrap_or_default()
    }

    /// The connections that are subscribed to a channel.
    pub(crate) fn handles_in(&self, channel: &ChannelName) -> Vec<Arc<Handle>> {
        self.channels.with_existing(channel, |channel| channel.handles()).unwrap_or_default()
    }

    /// What others see of a subscriber in a channel (`chan_info`).
    pub(crate) fn info_in(&self, handle: &Handle, channel: &ChannelName) -> Option<Payload> {
        self.channels.with_existing(channel, |channel| channel.info_of(handle)).flatten()
    }

    // Orders.

    /// Carries out an order on the connections of this node, and returns how many it concerned: connections, or, where
    /// subscriptions end, subscriptions.
    pub(crate) fn carry_out(&self, order: &Order) -> usize {
        let handles = self.registry.find(&order.to);
        match &order.act {
            Act::Subscribe(subscription) => {
                handles.iter().for_each(|handle| handle.wish(Wish::new(subscription.clone())));
            }
            Act::Refresh(expiry) => {
                handles.iter().for_each(|handle| handle.outbox.control(Control::Refresh(*expiry)));
            }
            Act::Disconnect(why) => {
                for handle in &handles {
                    handle.revoke();
                    handle.outbox.close(why.clone());
                }
            }
            Act::Unsubscribe(channel, why) => {
                return handles.iter().map(|handle| self.end_subscriptions(handle, channel.as_ref(), why)).sum();
            }
        }
        handles.len()
    }

    fn end_subscriptions(&self, handle: &Handle, channel: Option<&ChannelName>, why: &Unsubscribe) -> usize {
        handle.revoke();
        // Before it is looked who has entered: a wish is looked at after that (`operations`), so one of both sees it.
        handle.withdraw_wishes(channel);
        let channels = channel.map_or_else(|| handle.channels(), |channel| vec![channel.clone()]);
        let mut ended = 0;
        for channel in channels {
            if self.leave(handle, &channel).is_some_and(|was_live| was_live) {
                tell_unsubscribed(handle, &channel, why.clone(), &self.limits);
                ended += 1;
            }
        }
        ended
    }
}

impl Node for Core {
    fn receive(&self, channel: &ChannelName, publication: Arc<Publication>, epoch: &str) {
        self.deliver(channel, publication, epoch);
    }

    fn has_subscribers(&self, channel: &ChannelName) -> bool {
        self.channels.contains(channel)
    }
}

/// A gap that is being seen to. When that fails, or its future is dropped, the channel waits for the next one who does.
struct Repair<'a> {
    core: &'a Core,
    channel: ChannelName,
    retry: Option<Duration>,
}

impl Drop for Repair<'_> {
    fn drop(&mut self) {
        if let Some(wait) = self.retry {
            self.core.gaps.notice(self.channel.clone(), wait);
        }
    }
}
