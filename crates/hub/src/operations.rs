//! What a session wants done: asks the policy, then the core, and tells what came of it.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::future::BoxFuture;
use tidings_protocol::{
    ClientInfo, ConnectRequest, Disconnect, Encoding, Error, HistoryRequest, HistoryResult, Payload, PresenceResult,
    PublishResult, Response, RpcRequest, RpcResult, StreamPosition, SubscribeRequest, SubscribeResult, subscribe_flag,
};
use tokio::time::Instant;

use crate::channel::Wants;
use crate::core::{Core, Follows};
use crate::filter::Filter;
use crate::handle::Handle;
use crate::history::bytes_of;
use crate::limits::{PRESENCE_ENTRY_BYTES, PRESENCE_REPLY_BYTES_MAX};
use crate::metrics::Metrics;
use crate::push::as_differences;
use crate::session::{Admission, Connected, Cost, Meter, Operation, Outcome, Prepared, Subscriber};
use crate::{
    Accepted, BrokerError, ChannelName, ChannelOptions, Grant, HistoryError, HistoryQuery, NewPublication, Offered,
    Peer, PresenceError, PublishError, PublishGrant, ReadError, RecoveryMode, Refusal, Source,
};

/// Runs one operation of one connection.
pub(crate) fn perform(core: Arc<Core>, handle: Arc<Handle>, operation: Operation) -> BoxFuture<'static, Outcome> {
    Box::pin(async move {
        let task = Task { core, peer: handle.asking(), handle };
        task.run(operation).await.unwrap_or_else(Outcome::Refused)
    })
}

struct Task {
    core: Arc<Core>,
    peer: Peer,
    handle: Arc<Handle>,
}

/// What a client asks for when it subscribes, or the server for it.
struct Asked<'a> {
    channel: &'a ChannelName,
    options: &'a ChannelOptions,
    request: &'a SubscribeRequest,
    wants: Wants,
    /// By which pushes may name the channel.
    number: i64,
}

impl Task {
    async fn run(self, operation: Operation) -> Result<Outcome, Refusal> {
        let (policy, application) = (self.core.policy.clone(), self.core.application.clone());
        let response = match operation {
            Operation::Connect(request) => return self.connect(&request).await,
            Operation::Subscribe { channel, request, by } => {
                // Entered before the policy is asked: whoever takes the right away while it thinks finds the subscriber.
                let options = self.core.options(&channel);
                let wants = wants_of(&request, &options, self.encoding());
                let entered = wants.as_ref().unwrap_or(&Wants::default()).clone();
                let wish = if let Subscriber::Server(wish) = &by { Some(wish) } else { None };
                let number = self.core.enter(&self.handle, &channel, wish.is_some(), &entered, &options);
                if wish.is_some_and(|wish| !wish.stands()) {
                    return Err(Error::PERMISSION_DENIED.into());
                }
                let grant = match wish.and_then(|wish| wish.subscription().grant.clone()) {
                    Some(grant) => grant,
                    None => policy.subscribe(&self.peer, &channel, &request).await?,
                };
                let asked = Asked { channel: &channel, options: &options, request: &request, wants: wants?, number };
                let prepared = match wish {
                    None => self.prepare(asked, grant, self.reply_room()).await?,
                    Some(_) => self.prepare_wish(asked, grant).await?,
                };
                return Ok(Outcome::Subscribed(Box::new(prepared)));
            }
            Operation::Publish(channel, data) => {
                let PublishGrant { data: replaced } = policy.publish(&self.peer, &channel, &data).await?;
                self.publish(&channel, replaced.unwrap_or(data)).await?;
                Response::Publish(PublishResult {})
            }
            Operation::Presence(channel) => self.presence(&channel).await?,
            Operation::PresenceStats(channel) => self.presence_stats(&channel).await?,
            Operation::History(channel, request) => self.history(&channel, request).await?,
            Operation::Rpc(RpcRequest { data, method }) => {
                Response::Rpc(RpcResult { data: application.rpc(&self.peer, &method, data.as_ref()).await? })
            }
            Operation::Send(data) => {
                application.send(&self.peer, data.as_ref()).await?;
                return Ok(Outcome::Done);
            }
            Operation::Refresh(token) => return Ok(Outcome::Refreshed(policy.refresh(&self.peer, &token).await?)),
            Operation::SubRefresh(channel, token) => {
                return Ok(Outcome::SubRefreshed(policy.sub_refresh(&self.peer, &channel, &token).await?));
            }
        };
        Ok(Outcome::Answered(response))
    }

    async fn connect(mut self, request: &ConnectRequest) -> Result<Outcome, Refusal> {
        // Whom the handshake proved pays before the policy is asked. Nobody else does: whoever comes in vain, which costs
        // little beside the handshake, must not use up what those behind the same address come in with.
        let before = self.handle.account();
        let is_known = self.peer.identity().is_some();
        if is_known && !before.may_connect() {
            return Err(Error::TOO_MANY_REQUESTS.into());
        }
        let accepted = self.core.policy.connect(&self.peer, request).await?;
        let Accepted { identity, expiry, data, subscriptions } = accepted;
        if subscriptions.len() > self.core.limits.channels_per_connection_max {
            return Err(Disconnect::CHANNEL_LIMIT.into());
        }
        self.core.identify(&self.handle, identity)?;
        self.peer = self.handle.asking();
        let account = self.handle.account();
        let resumes = request.subs.values().any(|resume| resume.recover);
        let may_come = (is_known && account.is_caller(&before)) || account.may_connect();
        if !may_come || (resumes && !account.may_read(Instant::now().into_std())) {
            return Err(Error::TOO_MANY_REQUESTS.into());
        }
        let revocations = self.handle.revocations();
        let mut connected = Connected { expiry, data, subscriptions: Vec::with_capacity(subscriptions.len()) };
        let mut given = HashSet::with_capacity(subscriptions.len());
        // The connect reply holds what all of them missed.
        let mut room = self.reply_room();
        for (channel, grant) in subscriptions {
            // Named twice, it is entered once.
            if !given.insert(channel.clone()) {
                continue;
            }
            let (options, wants) = (self.core.options(&channel), Wants::default());
            let number = self.core.enter(&self.handle, &channel, true, &wants, &options);
            let resume = request.subs.get(channel.as_str()).cloned().unwrap_or_default();
            let asked = Asked { channel: &channel, options: &options, request: &resume, wants, number };
            let prepared = self.prepare_given(asked, grant, &mut room).await?;
            connected.subscriptions.push((channel, prepared));
        }
        if self.handle.outbox.format.encoding.is_one_way() {
            self.subscribe_to_wanted(request, &given, &mut connected.subscriptions, &mut room).await?;
        }
        // What was read after a right was taken away must not leave with the reply (promise G5). Who is in a channel now
        // was in it while its stream was read.
        if self.handle.revocations() != revocations {
            connected.subscriptions.retain(|(channel, _)| self.core.is_in(&self.handle, channel));
        }
        // Nothing can refuse it from here on, so who is told of a connection is told of its end too.
        self.handle.connected.store(true, Ordering::Relaxed);
        self.core.application.connected(&self.peer);
        Ok(Outcome::Connected(Box::new(connected)))
    }

    /// Subscribes a client that will say nothing more to the channels that it wants, as far as it may.
    async fn subscribe_to_wanted(
        &self,
        request: &ConnectRequest,
        given: &HashSet<ChannelName>,
        subscriptions: &mut Vec<(ChannelName, Prepared)>,
        room: &mut usize,
    ) -> Result<(), Refusal> {
        let named = request.subs.iter().filter_map(|(name, wanted)| Some((ChannelName::parse(name).ok()?, wanted)));
        let others: Vec<_> = named.filter(|(channel, _)| !given.contains(channel)).collect();
        if given.len() + others.len() > self.core.limits.channels_per_connection_max {
            return Err(Disconnect::CHANNEL_LIMIT.into());
        }
        for (channel, wanted) in others {
            let options = self.core.options(&channel);
            let Ok(wants) = wants_of(wanted, &options, self.encoding()) else { continue };
            if !self.handle.account().allows(Cost::Channel, Instant::now().into_std()) {
                return Err(Error::TOO_MANY_REQUESTS.into());
            }
            // Before the policy is asked, as in `run`.
            let number = self.core.enter(&self.handle, &channel, true, &wants, &options);
            match self.core.policy.subscribe(&self.peer, &channel, wanted).await {
                Ok(grant) => {
                    let asked = Asked { channel: &channel, options: &options, request: wanted, wants, number };
                    let prepared = self.prepare_given(asked, grant, room).await?;
                    subscriptions.push((channel, prepared));
                }
                Err(Refusal::Error(_)) => _ = self.core.leave(&self.handle, &channel),
                Err(disconnect) => return Err(disconnect),
            }
        }
        Ok(())
    }

    /// Prepares one of the subscriptions that a connect reply tells of.
    async fn prepare_given(&self, asked: Asked<'_>, grant: Grant, room: &mut usize) -> Result<Prepared, Refusal> {
        let mut resume = asked.request.clone();
        // To refuse all of it for what one channel has missed would bring the client back to the same, again and again.
        let reads_too_much = resume.recover && self.may_read().is_err();
        resume.recover &= !reads_too_much;
        let mut prepared = self.prepare(Asked { request: &resume, ..asked }, grant, *room).await?;
        *room = room.saturating_sub(prepared.result.publications.iter().map(bytes_of).sum());
        if reads_too_much && prepared.result.recoverable {
            prepared.result.was_recovering = true;
            Metrics::add(&self.core.metrics.unrecovered, 1);
        }
        Ok(prepared)
    }

    /// Prepares a subscription that the server wants of an open connection. Nobody waits for an answer that could say what
    /// is wrong with it.
    async fn prepare_wish(&self, asked: Asked<'_>, grant: Grant) -> Result<Prepared, Refusal> {
        let channel = asked.channel;
        // There is no reply that could hold what was missed: it follows.
        let prepared = self.prepare_given(asked, grant, &mut 0).await;
        if let Err(Refusal::Error(error)) = &prepared {
            self.core.metrics.errors.count(error.code);
            tracing::warn!(client = %self.handle.id, %channel, %error, "a subscription that the server wants was not made");
        }
        prepared
    }

    /// Bytes of what was missed that a reply may hold: those that others have not used up and that are not written yet.
    /// On a slow line all of them must arrive in the time that clients wait for a reply.
    fn reply_room(&self) -> usize {
        self.core.limits.recovery_reply_bytes_max.saturating_sub(self.handle.outbox.unwritten_reply_bytes())
    }

    /// Prepares a subscription that has entered its channel: reads where it starts and what it missed, of which its reply
    /// has `room` for so many bytes.
    async fn prepare(&self, asked: Asked<'_>, grant: Grant, room: usize) -> Result<Prepared, Refusal> {
        let Asked { channel, options, request, wants, number } = asked;
        let Grant { info, data, expires_in, overrides } = grant;
        let offers_recovery = options.recovery.is_given(request.recoverable || request.recover);
        let offers_position = options.positioning.is_given(request.positioned);
        let follows = match (overrides.recovery.unwrap_or(offers_recovery), overrides.positioning) {
            (true, _) => Follows::Stream,
            (false, position) if position.unwrap_or(offers_position) => Follows::Position,
            (false, _) => Follows::Nothing,
        };
        // It has entered, so what is published from here on is held back for it: nothing falls between.
        let account = self.handle.account();
        let reads = follows == Follows::Stream
            && (request.recover || options.recovery_mode == RecoveryMode::Cache { unasked: true });
        if reads {
            self.may_read()?;
        }
        let start = self.core.start(channel, options, follows, request, Some(&account)).await;
        let start = start.map_err(|error| refuse(channel, error))?;
        if reads {
            let read = start.iter().flat_map(|start| &start.publications).map(bytes_of).sum();
            account.pay_for_read(read);
        }
        let hears_join_leave = match overrides.hears_join_leave {
            Some(hears) => hears && options.join_leave != Offered::Off,
            None => options.join_leave.is_given(request.join_leave),
        };
        let says_join_leave = overrides.says_join_leave.unwrap_or(options.join_leave != Offered::Off);
        let mut prepared = Prepared {
            result: SubscribeResult { data, delta: wants.differences, ..SubscribeResult::default() },
            admission: Admission {
                info,
                hears_join_leave,
                says_join_leave,
                is_hidden: overrides.presence == Some(false),
                ..Admission::default()
            },
            expires_in,
        };
        let result = &mut prepared.result;
        result.id = if wants.by_number { number } else { 0 };
        if let Some(mut start) = start {
            let admission = &mut prepared.admission;
            admission.is_behind = start.keep_of_reply(room);
            admission.position = Some(StreamPosition { offset: start.offset, epoch: start.told.epoch.clone() });
            admission.ends_with_publication = !start.publications.is_empty();
            result.positioned = true;
            result.recoverable = follows == Follows::Stream;
            (result.epoch, result.offset) = (start.told.epoch, start.told.offset);
            (result.was_recovering, result.recovered) = (start.was_recovering, start.recovered);
            result.publications = start.publications;
            if let Some(filter) = &wants.filter {
                result.publications.retain(|publication| filter.matches(&publication.tags));
            }
            if wants.differences {
                result.publications = as_differences(self.encoding(), std::mem::take(&mut result.publications))
                    .map_err(|_| Disconnect::INAPPROPRIATE_PROTOCOL)?;
            }
        }
        Ok(prepared)
    }

    fn encoding(&self) -> Encoding {
        self.handle.outbox.format.encoding
    }

    async fn publish(&self, channel: &ChannelName, data: Payload) -> Result<(), Refusal> {
        let info = Some(self.peer.info(self.core.info_in(&self.handle, channel)));
        let publication = NewPublication { info, ..NewPublication::new(data) };
        match self.core.publish(channel, publication, Some(&self.handle.account())).await {
            Ok(_) => Ok(()),
            Err(PublishError::KeyTooLong | PublishError::VersionTooLong | PublishError::TooManyTags) => {
                Err(Error::BAD_REQUEST.into())
            }
            Err(PublishError::KeptElsewhere) => Err(Error::NOT_AVAILABLE.into()),
            Err(PublishError::Broker(error)) => Err(refuse_broker(channel, error)),
        }
    }

    async fn presence(&self, channel: &ChannelName) -> Result<Response, Refusal> {
        let revocations = self.handle.revocations();
        let options = self.may_see_presence(channel).await?;
        self.may_read()?;
        let presence = self.core.presence(channel, options.presence_clients_max).await;
        let presence = presence.map_err(|PresenceError::TooMany { .. }| Error::LIMIT_EXCEEDED)?;
        let bytes = presence.values().map(presence_bytes).sum();
        self.handle.account().pay_for_read(bytes);
        if bytes > PRESENCE_REPLY_BYTES_MAX {
            return Err(Error::LIMIT_EXCEEDED.into());
        }
        let room = self.core.loops.answers().reserve(PRESENCE_REPLY_BYTES_MAX);
        if bytes > room.bytes {
            return Err(Error::TOO_MANY_REQUESTS.into());
        }
        self.still_may_see_presence(channel, revocations).await?;
        Ok(Response::Presence(PresenceResult { presence }))
    }

    async fn presence_stats(&self, channel: &ChannelName) -> Result<Response, Refusal> {
        let revocations = self.handle.revocations();
        self.may_see_presence(channel).await?;
        let stats = self.core.presence_stats(channel).await;
        self.still_may_see_presence(channel, revocations).await?;
        Ok(Response::PresenceStats(stats))
    }

    /// Asked right before reading, as well as when the command came: many may have come in one frame, and each of them is
    /// paid for when it has been answered.
    fn may_read(&self) -> Result<(), Refusal> {
        let may = self.handle.account().may_read(Instant::now().into_std());
        if may { Ok(()) } else { Err(Error::TOO_MANY_REQUESTS.into()) }
    }

    async fn may_see_presence(&self, channel: &ChannelName) -> Result<Arc<ChannelOptions>, Refusal> {
        self.core.policy.presence(&self.peer, channel).await?;
        let options = self.core.options(channel);
        if options.presence { Ok(options) } else { Err(Error::NOT_AVAILABLE.into()) }
    }

    /// What was prepared while a right was taken away must not leave (promise G5).
    async fn still_may_see_presence(&self, channel: &ChannelName, revocations: u64) -> Result<(), Refusal> {
        if self.handle.revocations() == revocations {
            return Ok(());
        }
        self.core.policy.presence(&self.peer, channel).await
    }

    async fn history(&self, channel: &ChannelName, request: HistoryRequest) -> Result<Response, Refusal> {
        let policy = &self.core.policy;
        let revocations = self.handle.revocations();
        policy.history(&self.peer, channel).await?;
        if matches!(self.core.options(channel).history, Source::None) {
            return Err(Error::NOT_AVAILABLE.into());
        }
        self.may_read()?;
        // Room is kept from before the page is read; the answer counts by itself right after.
        let room = self.core.loops.answers().reserve(self.core.limits.history_reply_bytes_max);
        let mut query = HistoryQuery::of(&request, self.core.limits.history_publications_max);
        query.bytes_max = Some(room.bytes);
        let epoch = request.since.unwrap_or_default().epoch;
        let mut page = self.core.history(channel, query, &epoch).await.map_err(|error| refuse(channel, error))?;
        page.cut(room.bytes);
        self.handle.account().pay_for_read(page.publications.iter().map(bytes_of).sum());
        // What was read after a right was taken away must not leave (promise G5).
        if self.handle.revocations() != revocations {
            policy.history(&self.peer, channel).await?;
        }
        Ok(Response::History(HistoryResult {
            publications: page.publications,
            epoch: page.top.epoch,
            offset: page.top.offset,
        }))
    }
}

/// What an entry of a presence reply counts.
fn presence_bytes(info: &ClientInfo) -> usize {
    let attached = [&info.conn_info, &info.chan_info].into_iter().flatten();
    PRESENCE_ENTRY_BYTES + info.user.len() + attached.map(|info| info.as_bytes().len()).sum::<usize>()
}

/// In which form a client wants what is published, and of what, as far as the channel has that.
fn wants_of(request: &SubscribeRequest, options: &ChannelOptions, encoding: Encoding) -> Result<Wants, Error> {
    let bad_request = |message: String| Error { message: message.into(), ..Error::BAD_REQUEST };
    let filter = match &request.tf {
        None => None,
        Some(_) if !options.tags_filter => return Err(bad_request("no filter by tags in this channel".into())),
        Some(_) if !request.delta.is_empty() => return Err(bad_request("either delta or a filter by tags".into())),
        Some(filter) => Some(Filter::new(filter.clone()).map_err(|error| bad_request(error.to_string()))?),
    };
    Ok(Wants {
        differences: !request.delta.is_empty() && options.delta != Offered::Off,
        // The JavaScript SDK asks for it in protobuf too, but there it reads 64-bit numbers into objects and compares these
        // by identity: it would find the channel of no push, and say nothing.
        by_number: options.compaction
            && request.flag & subscribe_flag::CHANNEL_COMPACTION != 0
            && encoding == Encoding::Json,
        filter: filter.map(Arc::new),
    })
}

fn refuse(channel: &ChannelName, error: ReadError) -> Refusal {
    match error {
        ReadError::NotKept => Error::NOT_AVAILABLE.into(),
        ReadError::OtherEpoch => Error::UNRECOVERABLE_POSITION.into(),
        ReadError::History(HistoryError::UnknownChannel) => Error::UNKNOWN_CHANNEL.into(),
        ReadError::History(HistoryError::Unavailable(error)) => {
            tracing::error!(%channel, %error, "history is not available");
            Error::INTERNAL.into()
        }
        ReadError::Broker(error) => refuse_broker(channel, error),
    }
}

fn refuse_broker(channel: &ChannelName, error: BrokerError) -> Refusal {
    match error {
        BrokerError::TooManyStreams { .. } => Error::LIMIT_EXCEEDED.into(),
        BrokerError::TooManyRequests => Error::TOO_MANY_REQUESTS.into(),
        BrokerError::Unavailable(error) => {
            tracing::error!(%channel, %error, "the broker is not available");
            Error::INTERNAL.into()
        }
    }
}
