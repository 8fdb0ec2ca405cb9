//! The protocol of one connection as a state machine: commands and time come in, actions go out.
//!
//! No async, no clock, no socket. One operation runs at a time; commands that arrive meanwhile wait in order, so that
//! a frame with a connect and its subscribes works. Only calls of which the application says so overlap, each other and
//! nothing else; they too begin, and are answered, in order. Knows what the client holds (its subscriptions, its
//! deadlines), not what is published: that goes from the hub straight into the outbox.

mod admission;
mod heartbeat;
mod outcomes;
mod rate;
mod subscriptions;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidings_protocol::{
    Command, ConnectRequest, DecodeError, Disconnect, Encoding, Error, HistoryRequest, Payload, PublishRequest, Reply,
    Request, Response, RpcRequest, StreamPosition, SubscribeRequest, SubscribeResult, Unsubscribe, UnsubscribeResult,
    subscribe_flag,
};
use uuid::Uuid;

pub(crate) use self::admission::Withdrawal;
pub use self::admission::{Admission, Control, Wish};
use self::heartbeat::Pulse;
use self::rate::{CommandRate, Verdict};
use self::subscriptions::{Subscription, Subscriptions};
use crate::limits::{CALLS_AT_ONCE_MAX, COMMANDS_WAITING_BYTES_MAX};
use crate::{ChannelName, ChannelNameError, Expiry, Limits, Refusal, ServerSubscription};

/// One connection.
pub struct Session {
    setup: Setup,
    phase: Phase,
    subscriptions: Subscriptions,
    waiting: VecDeque<Work>,
    /// Bytes of the frames that were received since nothing waited or ran.
    waiting_bytes: usize,
    /// In the order in which they were begun: one, or calls that overlap.
    running: VecDeque<Running>,
    /// No command is begun: the client has not read the answers to those before.
    paused: bool,
    actions: VecDeque<Action>,
    pulse: Pulse,
    rate: CommandRate,
    /// When a client that has not connected successfully is closed.
    connect_by: Instant,
    /// When the connection ends unless it is refreshed.
    ends: Option<Instant>,
    /// When the first of the subscriptions ends; counted when they change, because every wake-up asks.
    subscription_ends: Option<Instant>,
}

/// What a session is told at its beginning.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The connection's id.
    pub client: Uuid,
    /// The server's version.
    pub version: Arc<str>,
    /// How its messages are written.
    pub encoding: Encoding,
    /// Methods whose calls may overlap; see [`Application::overlapping`](crate::Application::overlapping).
    pub overlapping: &'static [&'static str],
    /// What the connect reply tells a client whose transport needs it.
    pub emulation: Option<Arc<Emulation>>,
    /// The limits that hold.
    pub limits: Arc<Limits>,
    /// Whether to send pings.
    pub pings: bool,
    /// A random number from 0 to 1 that decides when the first ping is sent.
    pub jitter: f64,
    /// From when the ticks are counted at which pings are sent: the same moment for all sessions.
    pub ticks_from: Instant,
}

/// What a client repeats with every request of a transport whose two directions are separate, so that it finds its
/// connection: the fields `session` and `node` of the connect reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emulation {
    /// A secret of this connection.
    pub session: String,
    /// The node that has it.
    pub node: String,
}

/// What the driver shall do, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Write this.
    Send(Reply),
    /// Do this, beside what is being performed already, and hand the outcomes to [`Session::complete`] in the order in
    /// which they were asked for.
    Perform(Operation),
    /// Stop the first of what is being performed: it has taken too long, and its outcome is not wanted any more.
    Abandon,
    /// Let the prepared subscription go live, `reply` first.
    Admit {
        /// Where it goes live.
        channel: ChannelName,
        /// How it goes live.
        admission: Admission,
        /// What the client is told.
        reply: Option<Reply>,
    },
    /// Take the connection out of the channel, and tell the client so if there is something to tell.
    Leave {
        /// Which channel it leaves.
        channel: ChannelName,
        /// What the client is told.
        why: Option<Unsubscribe>,
    },
    /// End the connection.
    Close(Disconnect),
}

/// What a session asks before it takes a command: whether the connections of the same caller have left enough.
pub trait Meter {
    /// Takes it from what is left, unless there is not enough.
    fn allows(&self, cost: Cost, now: Instant) -> bool;
}

/// What a command takes of its caller's allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// Every command.
    Command,
    /// Those that make the hub tell or ask all who are in a channel.
    Channel,
    /// Those that read what was published. What they cost is known, and paid, afterwards.
    Read,
}

/// What needs the application or the hub.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Ask who it is, and prepare its server-side subscriptions.
    Connect(Box<ConnectRequest>),
    /// Ask whether it may, and prepare the subscription.
    Subscribe {
        /// Which, well-formed.
        channel: ChannelName,
        /// What the client asks for.
        request: Box<SubscribeRequest>,
        /// Who wants it.
        by: Subscriber,
    },
    /// Ask whether it may, and publish.
    Publish(ChannelName, Payload),
    /// Who is there.
    Presence(ChannelName),
    /// How many are there.
    PresenceStats(ChannelName),
    /// What was published.
    History(ChannelName, HistoryRequest),
    /// Call the application.
    Rpc(RpcRequest),
    /// Tell the application.
    Send(Option<Payload>),
    /// Extend the connection.
    Refresh(String),
    /// Extend a subscription.
    SubRefresh(ChannelName, String),
}

/// Who wants a subscription.
#[derive(Clone, Debug, PartialEq)]
pub enum Subscriber {
    /// The client.
    Client,
    /// The server, perhaps on terms of its own, and else as the policy allows it.
    Server(Box<Wish>),
}

/// What came of an operation.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The client is welcome.
    Connected(Box<Connected>),
    /// The subscription is prepared.
    Subscribed(Box<Prepared>),
    /// The answer is this.
    Answered(Response),
    /// There is no answer.
    Done,
    /// The connection lives on.
    Refreshed(Option<Expiry>),
    /// The subscription lives on.
    SubRefreshed(Option<Duration>),
    /// The application said no.
    Refused(Refusal),
}

/// The client is welcome.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Connected {
    /// When the connection ends, if it does.
    pub expiry: Option<Expiry>,
    /// For the client.
    pub data: Option<Payload>,
    /// Server-side subscriptions, prepared.
    pub subscriptions: Vec<(ChannelName, Prepared)>,
}

/// A subscription that can go live.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prepared {
    /// What the client is told; its expiry is filled in by the session.
    pub result: SubscribeResult,
    /// How it goes live.
    pub admission: Admission,
    /// When it ends unless it is refreshed.
    pub expires_in: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing was said yet.
    Fresh,
    /// The policy is thinking.
    Connecting,
    Open,
    /// The policy answered with an error: the client must open another connection.
    Refused,
    Closed,
}

enum Work {
    Command(Command),
    /// A command that came before it was known who asks: it is paid for when its turn comes.
    Early(Command),
    /// A command whose payload readers could not read.
    Unreadable(u32),
    Subscribe(Box<Wish>),
    /// The client broke the protocol after the commands before this.
    Close(Disconnect),
}

/// An operation that runs, and what its outcome will need.
struct Running {
    id: u32,
    what: Pending,
    by: Instant,
}

enum Pending {
    Connect,
    Subscribe { channel: ChannelName, server_side: bool, reject_unrecovered: bool },
    Refresh,
    SubRefresh(ChannelName),
    Overlapping,
    Other,
}

impl Session {
    /// A connection that has just been opened.
    #[must_use]
    pub fn new(setup: Setup, now: Instant) -> Self {
        Self {
            phase: Phase::Fresh,
            subscriptions: Subscriptions::default(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            running: VecDeque::new(),
            paused: false,
            actions: VecDeque::new(),
            pulse: Pulse::default(),
            rate: CommandRate::new(&setup.limits, now),
            connect_by: now + setup.limits.connect_timeout,
            ends: None,
            subscription_ends: None,
            setup,
        }
    }

    /// What the connect reply tells a client whose transport needs it.
    #[must_use]
    pub fn emulation(&self) -> Option<&Emulation> {
        self.setup.emulation.as_deref()
    }

    /// Takes one frame of the transport; returns how many commands were in it. `meter` is that of the caller.
    pub fn handle_frame(&mut self, frame: &[u8], meter: &dyn Meter, now: Instant) -> usize {
        if self.phase == Phase::Closed {
            return 0;
        }
        if self.setup.encoding.is_one_way() && self.phase != Phase::Fresh {
            return self.pass_over(now);
        }
        let mut commands = 0;
        self.waiting_bytes += frame.len();
        for command in self.setup.encoding.commands(frame) {
            commands += 1;
            match command {
                Ok(Command { id: 0, request: None }) => self.handle_pong(now),
                Ok(command) => {
                    let (id, costs) = (command.id, costs(&command));
                    if self.phase == Phase::Open {
                        self.take_in(id, costs, Work::Command(command), || allows(meter, costs, now), now);
                    } else {
                        self.take_in(id, costs, Work::Early(command), || true, now);
                    }
                }
                // Nobody could read what it carries; the connection has done nothing wrong otherwise.
                Err(DecodeError::Unreadable { id }) => {
                    let costs = &[Cost::Command];
                    self.take_in(id, costs, Work::Unreadable(id), || allows(meter, costs, now), now);
                }
                Err(_) => self.waiting.push_back(Work::Close(Disconnect::BAD_REQUEST)),
            }
        }
        if commands == 0 {
            self.waiting.push_back(Work::Close(Disconnect::BAD_REQUEST));
        }
        self.work(meter, now);
        commands
    }

    /// What comes after the request of a client that has nothing more to say, such as answers to pings.
    fn pass_over(&mut self, now: Instant) -> usize {
        if self.rate.check(false, || true, &self.setup.limits, now) == Verdict::Abuse {
            self.close(Disconnect::TOO_MANY_REQUESTS);
        }
        0
    }

    /// Whether it was told to begin no command.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Begins no command, or goes on: the driver knows how much of what was asked for waits to be read.
    pub fn pause(&mut self, paused: bool, meter: &dyn Meter, now: Instant) {
        if std::mem::replace(&mut self.paused, paused) && !paused {
            self.work(meter, now);
        }
    }

    /// Takes note of what the hub did.
    pub fn handle_control(&mut self, control: Control, meter: &dyn Meter, now: Instant) {
        match control {
            Control::Unsubscribed(channel, _) => self.forget(&channel),
            Control::Subscribe(wish) => {
                self.want(wish);
                self.work(meter, now);
            }
            Control::Refresh(expiry) if self.phase == Phase::Open => self.refreshed_by_the_server(expiry, now),
            // Who is not welcome yet gets its time with the welcome.
            Control::Refresh(_) => {}
            // The hub ends the subscription, and says so.
            Control::Lags(_) => {}
        }
    }

    /// Takes the outcome of the operation that was begun first. `meter` is that of the caller, as it is known by now.
    pub fn complete(&mut self, outcome: Outcome, meter: &dyn Meter, now: Instant) {
        let Some(Running { id, what, .. }) = self.running.pop_front() else { return };
        if self.phase == Phase::Closed {
            return;
        }
        match (what, outcome) {
            (_, Outcome::Refused(Refusal::Disconnect(disconnect))) => self.close(disconnect),
            (Pending::Connect, Outcome::Connected(connected)) => self.welcome(id, *connected, now),
            (Pending::Connect, Outcome::Refused(Refusal::Error(error))) => self.refuse_connect(id, error, now),
            (Pending::Subscribe { channel, server_side, reject_unrecovered }, outcome) => match outcome {
                Outcome::Subscribed(prepared) => {
                    let unrecovered = prepared.result.was_recovering && !prepared.result.recovered;
                    if reject_unrecovered && unrecovered {
                        self.drop_subscription(id, channel, Error::UNRECOVERABLE_POSITION, server_side);
                    } else {
                        self.subscribed(id, channel, *prepared, server_side, now);
                    }
                }
                Outcome::Refused(Refusal::Error(error)) => self.drop_subscription(id, channel, error, server_side),
                _ => self.close(Disconnect::SERVER_ERROR),
            },
            (Pending::SubRefresh(channel), Outcome::SubRefreshed(ttl)) => self.sub_refreshed(id, &channel, ttl, now),
            (Pending::Other | Pending::Overlapping, Outcome::Answered(response)) => self.send(Reply::ok(id, response)),
            (Pending::Other, Outcome::Done) => {}
            (Pending::Refresh, Outcome::Refreshed(expiry)) => self.refreshed(id, expiry, now),
            // SDKs give up after an error reply to a refresh, unless it is temporary. Whoever came with a token that ran out
            // on its way is to come back and ask for another one.
            (Pending::Refresh, Outcome::Refused(Refusal::Error(error))) if has_expired(&error) => {
                self.close(Disconnect::EXPIRED);
            }
            (Pending::SubRefresh(channel), Outcome::Refused(Refusal::Error(error))) if has_expired(&error) => {
                self.expire(&channel);
            }
            // What is not answered cannot fail either: `send` has no id.
            (_, Outcome::Refused(Refusal::Error(_))) if id == 0 => {}
            (_, Outcome::Refused(Refusal::Error(error))) => self.send(Reply::error(id, error)),
            _ => self.close(Disconnect::SERVER_ERROR),
        }
        self.work(meter, now);
    }

    /// Takes note that a subscription was taken away before it went live.
    pub fn revoked(&mut self, channel: &ChannelName) {
        self.forget(channel);
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, meter: &dyn Meter, now: Instant) {
        if self.running.front().is_some_and(|first| now >= first.by) {
            self.actions.push_back(Action::Abandon);
            self.complete(Outcome::Refused(Error::INTERNAL.into()), meter, now);
        }
        match self.phase {
            Phase::Closed => {}
            Phase::Fresh | Phase::Connecting | Phase::Refused if now >= self.connect_by => {
                self.close(Disconnect::STALE);
            }
            Phase::Fresh | Phase::Connecting | Phase::Refused => {}
            Phase::Open if self.ends.is_some_and(|ends| now >= ends) => self.close(Disconnect::EXPIRED),
            Phase::Open => {
                self.end_expired_subscriptions(now);
                self.beat(now);
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do; `None` once closed.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        let running = self.running.front().map(|first| first.by);
        match self.phase {
            Phase::Closed => None,
            Phase::Fresh | Phase::Connecting | Phase::Refused => running.into_iter().chain([self.connect_by]).min(),
            Phase::Open => {
                let ends = self.subscription_ends.into_iter().chain(self.ends);
                ends.chain(self.pulse.next(&self.setup.limits)).chain(running).min()
            }
        }
    }

    /// Takes note that the transport was given so many bytes to write: they buy time for the next answer to a ping.
    pub fn wrote(&mut self, bytes: usize, now: Instant) {
        self.pulse.wrote(bytes, &self.setup.limits, now);
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        let action = self.actions.pop_front();
        if action.is_none() && self.actions.capacity() > 0 {
            // Most connections are idle most of the time, and there are many of them.
            self.actions = VecDeque::new();
        }
        action
    }

    /// Whether the transport should be read; not while too many commands wait.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        let fits = self.waiting.len() < self.setup.limits.commands_waiting_max
            && self.waiting_bytes < COMMANDS_WAITING_BYTES_MAX;
        self.phase != Phase::Closed && fits
    }

    /// Ends the session from outside.
    pub fn close(&mut self, why: Disconnect) {
        if self.phase != Phase::Closed {
            self.phase = Phase::Closed;
            self.waiting = VecDeque::new();
            self.actions.push_back(Action::Close(why));
        }
    }

    fn send(&mut self, reply: Reply) {
        self.actions.push_back(Action::Send(reply));
    }

    // Commands.

    /// Lets a command wait for its turn, unless there are too many. `shared` says whether its caller's other connections
    /// have left enough.
    fn take_in(&mut self, id: u32, costs: &[Cost], work: Work, shared: impl FnOnce() -> bool, now: Instant) {
        match self.rate.check(costs.contains(&Cost::Channel), shared, &self.setup.limits, now) {
            Verdict::Fine => self.waiting.push_back(work),
            Verdict::TooMany => self.refuse_too_many(id),
            Verdict::Abuse => self.close(Disconnect::TOO_MANY_REQUESTS),
        }
    }

    fn refuse_too_many(&mut self, id: u32) {
        if id > 0 {
            self.send(Reply::error(id, Error::TOO_MANY_REQUESTS));
        }
    }

    /// Works off what waits, up to what has to wait for an operation.
    fn work(&mut self, meter: &dyn Meter, now: Instant) {
        while !self.paused && self.may_begin() {
            match self.waiting.pop_front() {
                Some(Work::Early(command)) if !allows(meter, costs(&command), now) => {
                    self.refuse_too_many(command.id);
                }
                Some(Work::Command(command) | Work::Early(command)) => {
                    if let Err(disconnect) = self.start(command, now) {
                        self.close(disconnect);
                    }
                }
                Some(Work::Unreadable(id)) => self.refuse_unreadable(id, now),
                Some(Work::Subscribe(wish)) => self.start_server_side(wish, now),
                Some(Work::Close(disconnect)) => self.close(disconnect),
                None => break,
            }
        }
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
            if self.running.is_empty() {
                self.running = VecDeque::new();
                self.waiting_bytes = 0;
            }
        }
    }

    /// Whether the next command may begin: when nothing runs, or beside calls of its kind.
    fn may_begin(&self) -> bool {
        let Some(first) = self.running.front() else { return true };
        let next_overlaps = match self.waiting.front() {
            // Without an id it closes the connection, in its turn.
            Some(Work::Command(Command { id: 1.., request: Some(Request::Rpc(call)) })) => self.overlaps(call),
            _ => false,
        };
        next_overlaps && matches!(first.what, Pending::Overlapping) && self.running.len() < CALLS_AT_ONCE_MAX
    }

    fn overlaps(&self, call: &RpcRequest) -> bool {
        self.setup.overlapping.contains(&&*call.method)
    }

    fn refuse_unreadable(&mut self, id: u32, now: Instant) {
        match self.phase {
            Phase::Fresh => self.refuse_connect(id, Error::BAD_REQUEST, now),
            Phase::Open if id == 0 => {}
            Phase::Open => self.send(Reply::error(id, Error::BAD_REQUEST)),
            _ => self.close(Disconnect::BAD_REQUEST),
        }
    }

    fn start(&mut self, command: Command, now: Instant) -> Result<(), Disconnect> {
        let Command { id, request } = command;
        let Some(request) = request else { return Err(Disconnect::BAD_REQUEST) };
        if id == 0 && !matches!(request, Request::Send(_)) {
            return Err(Disconnect::BAD_REQUEST);
        }
        match (self.phase, request) {
            (Phase::Fresh, Request::Connect(request)) => {
                self.phase = Phase::Connecting;
                // The policy may take its time; the client has shown itself. If it takes too much, that is error 100, and
                // the client comes back; it must not be closed for good before that.
                let limits = &self.setup.limits;
                self.connect_by = self.connect_by.max(now + limits.operation_timeout + limits.connect_timeout);
                self.perform(id, Pending::Connect, Operation::Connect(request), now);
                Ok(())
            }
            (Phase::Open, request) => match self.start_open(id, request, now) {
                Err(Refusal::Disconnect(disconnect)) => Err(disconnect),
                Err(Refusal::Error(error)) => {
                    self.send(Reply::error(id, error));
                    Ok(())
                }
                Ok(()) => Ok(()),
            },
            _ => Err(Disconnect::BAD_REQUEST),
        }
    }

    fn start_open(&mut self, id: u32, request: Request, now: Instant) -> Result<(), Refusal> {
        match request {
            Request::Connect(_) | Request::Ping(_) => return Err(Disconnect::BAD_REQUEST.into()),
            Request::Subscribe(request) => return self.start_subscribe(id, request, now),
            Request::Unsubscribe(request) => {
                let channel = channel(&request.channel)?;
                if self.subscriptions.contains(&channel) {
                    self.forget(&channel);
                    self.actions.push_back(Action::Leave { channel, why: None });
                }
                self.send(Reply::ok(id, Response::Unsubscribe(UnsubscribeResult {})));
            }
            Request::Publish(PublishRequest { channel: name, data, kind }) => {
                let channel = channel(&name)?;
                let data = data.ok_or(Error::BAD_REQUEST)?;
                if kind != 0 {
                    return Err(Error::NOT_AVAILABLE.into());
                }
                self.perform(id, Pending::Other, Operation::Publish(channel, data), now);
            }
            Request::Presence(request) => {
                let operation = Operation::Presence(channel(&request.channel)?);
                self.perform(id, Pending::Other, operation, now);
            }
            Request::PresenceStats(request) => {
                let operation = Operation::PresenceStats(channel(&request.channel)?);
                self.perform(id, Pending::Other, operation, now);
            }
            Request::History(request) => {
                let operation = Operation::History(channel(&request.channel)?, request);
                self.perform(id, Pending::Other, operation, now);
            }
            Request::Rpc(request) => {
                let what = if self.overlaps(&request) { Pending::Overlapping } else { Pending::Other };
                self.perform(id, what, Operation::Rpc(request), now);
            }
            Request::Send(request) => self.perform(0, Pending::Other, Operation::Send(request.data), now),
            Request::Refresh(request) => {
                let token = token(request.token)?;
                self.perform(id, Pending::Refresh, Operation::Refresh(token), now);
            }
            Request::SubRefresh(request) => {
                let (channel, token) = (channel(&request.channel)?, token(request.token)?);
                if !self.subscriptions.contains(&channel) {
                    return Err(Error::PERMISSION_DENIED.into());
                }
                let operation = Operation::SubRefresh(channel.clone(), token);
                self.perform(id, Pending::SubRefresh(channel), operation, now);
            }
        }
        Ok(())
    }

    fn start_subscribe(&mut self, id: u32, request: Box<SubscribeRequest>, now: Instant) -> Result<(), Refusal> {
        let channel = channel(&request.channel)?;
        if !matches!(&*request.delta, "" | "fossil") {
            return Err(Disconnect::BAD_REQUEST.into());
        }
        if request.kind != 0 {
            return Err(Error::PERMISSION_DENIED.into());
        }
        if self.subscriptions.contains(&channel) {
            return Err(Error::ALREADY_SUBSCRIBED.into());
        }
        if self.subscriptions.len() >= self.setup.limits.channels_per_connection_max {
            return Err(Error::LIMIT_EXCEEDED.into());
        }
        let pending = Pending::Subscribe {
            channel: channel.clone(),
            server_side: false,
            reject_unrecovered: request.flag & subscribe_flag::REJECT_UNRECOVERED != 0,
        };
        self.perform(id, pending, Operation::Subscribe { channel, request, by: Subscriber::Client }, now);
        Ok(())
    }

    /// Lets a subscription that the server wants wait for its turn, the newest wish for each channel, and no more of them
    /// than a connection may have.
    fn want(&mut self, wish: Box<Wish>) {
        let mut waiting = 0;
        for work in &mut self.waiting {
            match work {
                Work::Subscribe(earlier) if earlier.subscription().channel == wish.subscription().channel => {
                    *earlier = wish;
                    return;
                }
                Work::Subscribe(_) => waiting += 1,
                _ => {}
            }
        }
        if waiting >= self.setup.limits.channels_per_connection_max {
            return self.close(Disconnect::CHANNEL_LIMIT);
        }
        self.waiting.push_back(Work::Subscribe(wish));
    }

    fn start_server_side(&mut self, wish: Box<Wish>, now: Instant) {
        let ServerSubscription { channel, since, .. } = wish.subscription().clone();
        if self.phase != Phase::Open || self.subscriptions.contains(&channel) {
            return;
        }
        if self.subscriptions.len() >= self.setup.limits.channels_per_connection_max {
            return self.close(Disconnect::CHANNEL_LIMIT);
        }
        let pending = Pending::Subscribe { channel: channel.clone(), server_side: true, reject_unrecovered: false };
        let recover = since.is_some();
        let StreamPosition { offset, epoch } = since.unwrap_or_default();
        let name = channel.as_str().to_owned();
        let request = SubscribeRequest { channel: name, recover, offset, epoch, ..SubscribeRequest::default() };
        let by = Subscriber::Server(wish);
        self.perform(0, pending, Operation::Subscribe { channel, request: Box::new(request), by }, now);
    }

    fn perform(&mut self, id: u32, what: Pending, operation: Operation, now: Instant) {
        self.running.push_back(Running { id, what, by: now + self.setup.limits.operation_timeout });
        self.actions.push_back(Action::Perform(operation));
    }

    // Time.

    fn end_expired_subscriptions(&mut self, now: Instant) {
        if self.subscription_ends.is_none_or(|first| now < first) {
            return;
        }
        let expired = |subscription: &Subscription| subscription.ends.is_some_and(|ends| now >= ends);
        if self.subscriptions.iter().any(|subscription| subscription.server_side && expired(subscription)) {
            return self.close(Disconnect::SUBSCRIPTION_EXPIRED);
        }
        for Subscription { channel, .. } in self.subscriptions.extract_if(expired) {
            self.actions.push_back(Action::Leave { channel, why: Some(Unsubscribe::EXPIRED) });
        }
        self.update_subscription_ends();
    }

    fn beat(&mut self, now: Instant) {
        let listening = self.wants_input();
        match self.pulse.beat(&self.setup.limits, listening, !self.setup.encoding.is_one_way(), now) {
            heartbeat::Beat::Nothing => {}
            heartbeat::Beat::Ping => self.send(Reply::Ping),
            heartbeat::Beat::Dead => self.close(Disconnect::NO_PONG),
        }
    }

    fn handle_pong(&mut self, now: Instant) {
        if !self.pulse.pong(now) {
            self.close(Disconnect::BAD_REQUEST);
        }
    }
}

fn costs(command: &Command) -> &'static [Cost] {
    match &command.request {
        Some(Request::Subscribe(request)) if request.recover => &[Cost::Command, Cost::Channel, Cost::Read],
        Some(Request::Subscribe(_)) => &[Cost::Command, Cost::Channel],
        Some(Request::Presence(_) | Request::PresenceStats(_)) => &[Cost::Command, Cost::Channel, Cost::Read],
        Some(Request::History(_)) => &[Cost::Command, Cost::Read],
        // Who may come in is asked when it is known who it is.
        Some(Request::Connect(_)) => &[],
        _ => &[Cost::Command],
    }
}

fn allows(meter: &dyn Meter, costs: &[Cost], now: Instant) -> bool {
    costs.iter().all(|cost| meter.allows(*cost, now))
}

fn has_expired(error: &Error) -> bool {
    error.code == Error::TOKEN_EXPIRED.code
}

/// There is nothing to ask the policy without a token.
fn token(token: String) -> Result<String, Refusal> {
    if token.is_empty() { Err(Disconnect::BAD_REQUEST.into()) } else { Ok(token) }
}

/// An empty name breaks the protocol, a bad one is only an error.
fn channel(name: &str) -> Result<ChannelName, Refusal> {
    ChannelName::parse(name).map_err(|error| match error {
        ChannelNameError::Empty => Disconnect::BAD_REQUEST.into(),
        ChannelNameError::TooLong | ChannelNameError::NotPrintableAscii => Error::BAD_REQUEST.into(),
    })
}
