//! One logical connection as a sans-IO state machine: what happened and the time come in, actions go out.
//!
//! Decides when to dial, what to say, when to try again and where to resume. Knows no socket, clock or task: `driver`
//! carries the actions out and reports back. Subscriptions' own rules are in [`subscription`].

mod requests;
#[cfg(test)]
mod simulation;
mod subscription;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidings_protocol::{
    Command, ConnectRequest, ConnectResult, Disconnect, Encoding, Error, Payload, Push, PushEvent, RefreshRequest,
    RefreshResult, Reply, Request, Response, SubscribeRequest, SubscribeResult,
};

use crate::backoff::Backoff;
use crate::event::{Event, RequestError, ServerEvent, ServerEventKind, State, local};
use crate::limits;
use crate::options::TokenError;
use requests::{Purpose, Requests};
use subscription::{Position, Subscription};

pub(crate) use subscription::Settings as SubscriptionSettings;

/// What this client speaks.
const ENCODING: Encoding = Encoding::Json;

/// What the driver has to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// Open a socket within [`limits::DIAL_TIME`], then report `handle_opened` or `handle_dial_failed`.
    Dial,
    /// Ask the provider within [`limits::TOKEN_TIME`], then report `handle_token`.
    FetchToken(TokenFor),
    /// Send one text message.
    Send(Bytes),
    /// Close the socket; nothing more is reported about it.
    HangUp,
    /// The connection is in a new state.
    Enter(State),
    /// A request has its answer.
    Answer { key: u64, answer: Result<Response, RequestError> },
    /// Something happened to a subscription; after `Unsubscribed` it is gone.
    Tell { channel: String, event: Event },
    /// Something happened in a channel that the server subscribed us to.
    TellServerSide(ServerEvent),
}

/// What a token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TokenFor {
    Connection,
    Subscription(String),
}

/// Why no socket could be opened.
#[derive(Debug, Clone, Default)]
pub(crate) struct DialFailure {
    /// The HTTP status, when there was an answer other than 101.
    pub(crate) status: Option<u16>,
    /// The server's `Retry-After`.
    pub(crate) retry_after: Option<Duration>,
    pub(crate) message: String,
}

/// What is sent with every connect, and what is known of tokens.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) token: String,
    pub(crate) has_provider: bool,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) data: Option<Payload>,
    pub(crate) backoff_first: Duration,
    pub(crate) backoff_cap: Duration,
    pub(crate) seed: u64,
}

#[derive(Debug)]
enum Link {
    /// Until the next attempt.
    Waiting {
        until: Instant,
    },
    FetchingToken,
    Dialling,
    /// The connect command is on its way.
    Introducing,
    Up(Up),
    Ended(Disconnect),
}

#[derive(Debug)]
struct Up {
    since: Instant,
    /// Longest silence; `None` when the server sends no pings.
    silence_max: Option<Duration>,
    heard: Instant,
    answers_pings: bool,
    refresh: Refresh,
}

#[derive(Debug)]
enum Refresh {
    Never,
    At(Instant),
    Running,
}

#[derive(Debug)]
pub(crate) struct Machine {
    settings: Settings,
    token: String,
    link: Link,
    backoff: Backoff,
    /// For the refresh of the connection's token, which must not disturb the reconnect's ceiling.
    refresh_backoff: Backoff,
    requests: Requests,
    subscriptions: BTreeMap<String, Subscription>,
    /// When which subscription wants to be looked at; may hold times that no longer matter.
    alarms: BTreeSet<(Instant, String)>,
    server_side: BTreeMap<String, Position>,
    outgoing: Vec<Bytes>,
    actions: VecDeque<Action>,
}

impl Machine {
    /// A machine that dials at once.
    pub(crate) fn new(settings: Settings) -> Machine {
        let backoff = |salt| Backoff::new(settings.backoff_first, settings.backoff_cap, settings.seed ^ salt);
        let mut machine = Machine {
            token: settings.token.clone(),
            backoff: backoff(0),
            refresh_backoff: backoff(1),
            settings,
            link: Link::Dialling,
            requests: Requests::default(),
            subscriptions: BTreeMap::new(),
            alarms: BTreeSet::new(),
            server_side: BTreeMap::new(),
            outgoing: Vec::new(),
            actions: VecDeque::new(),
        };
        machine.attempt();
        machine
    }

    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front().or_else(|| self.next_frame().map(Action::Send))
    }

    pub(crate) fn is_ended(&self) -> bool {
        matches!(self.link, Link::Ended(_))
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let link = match &self.link {
            Link::Waiting { until } => Some(*until),
            Link::Up(up) => {
                let silence = up.silence_max.map(|max| up.heard + max);
                let refresh = if let Refresh::At(at) = up.refresh { Some(at) } else { None };
                silence.into_iter().chain(refresh).min()
            }
            Link::FetchingToken | Link::Dialling | Link::Introducing | Link::Ended(_) => None,
        };
        let alarm = self.alarms.first().map(|(at, _)| *at);
        [link, alarm, self.requests.next_deadline()].into_iter().flatten().min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        match &self.link {
            Link::Waiting { until } if *until <= now => self.attempt(),
            Link::Up(up) => {
                if up.silence_max.is_some_and(|max| up.heard + max <= now) {
                    self.drop_link(local_disconnect(local::NO_PING, "no ping"), now);
                } else if matches!(up.refresh, Refresh::At(at) if at <= now) {
                    self.set_refresh(Refresh::Running);
                    self.actions.push_back(Action::FetchToken(TokenFor::Connection));
                }
            }
            _ => {}
        }
        while let Some((_, channel)) = self.alarms.first().filter(|(at, _)| *at <= now).cloned() {
            self.alarms.pop_first();
            self.handle_alarm(&channel, now);
        }
        for key in self.requests.take_stale_waiting(now) {
            self.answer(key, Err(RequestError::Timeout));
        }
        while let Some(purpose) = self.requests.take_overdue(now) {
            match purpose {
                Purpose::Caller(key) => self.answer(key, Err(RequestError::Timeout)),
                Purpose::Refresh => self.retry_refresh(now),
                Purpose::SubRefresh(channel) => self.retry_sub_refresh(&channel, now),
                // Whether the server did it is unknown; a new connection settles it.
                Purpose::Connect | Purpose::Subscribe(_) | Purpose::Unsubscribe => {
                    self.drop_link(local_disconnect(local::NO_REPLY, "no reply"), now);
                }
            }
        }
    }

    /// The user is done.
    pub(crate) fn close(&mut self) {
        if !self.is_ended() {
            self.end(local_disconnect(local::CLOSED, "closed"));
        }
    }

    /// Sends a request now or, within [`limits::REPLY_TIME`], when there is a connection.
    pub(crate) fn request(&mut self, key: u64, request: Request, now: Instant) {
        if let Link::Ended(why) = &self.link {
            let why = why.clone();
            self.answer(key, Err(RequestError::Disconnected(why)));
        } else if self.requests.is_full() {
            self.answer(key, Err(RequestError::TooMany { max: limits::REQUESTS_MAX }));
        } else if matches!(self.link, Link::Up(_)) {
            self.command(Purpose::Caller(key), request, now);
        } else {
            self.requests.wait(key, request, now + limits::REPLY_TIME);
        }
    }

    pub(crate) fn handle_token(&mut self, wanted: TokenFor, token: Result<String, TokenError>, now: Instant) {
        match (wanted, token) {
            (TokenFor::Subscription(channel), token) => self.handle_subscription_token(&channel, token, now),
            (TokenFor::Connection, Ok(token)) => {
                self.token = token;
                match self.link {
                    Link::FetchingToken => self.attempt(),
                    Link::Up(_) => {
                        let request = RefreshRequest { token: self.token.clone() };
                        self.command(Purpose::Refresh, Request::Refresh(request), now);
                    }
                    _ => {}
                }
            }
            (TokenFor::Connection, Err(TokenError::Refused(reason))) => {
                if !self.is_ended() {
                    self.end(local_disconnect(local::UNAUTHORIZED, reason));
                }
            }
            (TokenFor::Connection, Err(TokenError::Unavailable(reason))) => match self.link {
                Link::FetchingToken => self.retry(local_disconnect(local::UNAUTHORIZED, reason), Duration::ZERO, now),
                Link::Up(_) => self.retry_refresh(now),
                _ => {}
            },
        }
    }

    /// The socket is open.
    pub(crate) fn handle_opened(&mut self, now: Instant) {
        let recoverable = self.server_side.iter().filter(|(_, position)| position.recoverable);
        let resumed = recoverable
            .map(|(channel, position)| (channel.clone(), SubscribeRequest { recover: true, ..position.to_request() }));
        let request = ConnectRequest {
            token: self.token.clone(),
            data: self.settings.data.clone(),
            subs: resumed.collect(),
            name: self.settings.name.clone(),
            version: self.settings.version.clone(),
            ..ConnectRequest::default()
        };
        self.link = Link::Introducing;
        self.command(Purpose::Connect, Request::Connect(Box::new(request)), now);
    }

    /// No socket could be opened.
    ///
    /// Most client errors of HTTP are final: the address or the credentials are wrong and stay wrong.
    pub(crate) fn handle_dial_failed(&mut self, failure: DialFailure, now: Instant) {
        let DialFailure { status, retry_after, message } = failure;
        let pause = match (status, retry_after) {
            (_, Some(asked)) => asked.min(limits::RETRY_AFTER_MAX),
            (Some(429), None) => limits::OVERLOAD_PAUSE,
            _ => Duration::ZERO,
        };
        match status {
            Some(status @ 400..=499) if !matches!(status, 408 | 425 | 429) => {
                self.end(local_disconnect(status, message));
            }
            _ => self.retry(local_disconnect(local::TRANSPORT_CLOSED, message), pause, now),
        }
    }

    /// The socket was closed by the server (`code`) or broke (`None`).
    pub(crate) fn handle_closed(&mut self, code: Option<u16>, reason: &str, now: Instant) {
        let why = match code {
            Some(code) => Disconnect { code, reason: reason.to_owned().into() },
            None => local_disconnect(local::TRANSPORT_CLOSED, reason.to_owned()),
        };
        if code == Some(1009) {
            return self.end(local_disconnect(local::MESSAGE_TOO_LARGE, "message too large"));
        }
        if !why.reconnects() {
            return self.end(why);
        }
        if why.code == Disconnect::STATE_INVALIDATED.code {
            self.token.clear();
            self.server_side.clear();
            self.subscriptions.values_mut().for_each(Subscription::invalidate);
        }
        if why.code == Disconnect::EXPIRED.code && self.settings.has_provider {
            self.token.clear();
        }
        let overloaded = matches!(code, Some(1013)) || why.code == Disconnect::TOO_MANY_REQUESTS.code;
        let pause = if overloaded { limits::OVERLOAD_PAUSE } else { Duration::ZERO };
        self.retry(why, pause, now);
    }

    /// A message is arriving that is not complete yet: neither silence nor a late answer.
    pub(crate) fn handle_arriving(&mut self, now: Instant) {
        if let Link::Up(up) = &mut self.link {
            up.heard = now;
        }
        self.requests.put_off(now + limits::REPLY_TIME);
    }

    /// One message of the server.
    pub(crate) fn handle_message(&mut self, message: &[u8], now: Instant) {
        if let Link::Up(up) = &mut self.link {
            up.heard = now;
        }
        let Ok(replies) = ENCODING.replies(message) else {
            return self.end(local_disconnect(local::BAD_PROTOCOL, "the server sent something else than the protocol"));
        };
        for reply in replies {
            match reply {
                Reply::Ping => self.handle_ping(),
                Reply::Push(push) => self.handle_push(push, now),
                Reply::Answer { id, result } => self.handle_answer(id, result, now),
            }
        }
    }

    fn handle_ping(&mut self) {
        if let Link::Up(up) = &self.link
            && up.answers_pings
        {
            self.outgoing.extend(ENCODING.encode_commands(&[Command::PONG]));
        }
    }

    fn handle_push(&mut self, push: Push, now: Instant) {
        let Push { channel, event, .. } = push;
        match event {
            PushEvent::Disconnect(why) => {
                self.actions.push_back(Action::HangUp);
                self.handle_closed(Some(why.code), &why.reason, now);
            }
            PushEvent::Message(message) => {
                self.tell_server_side(String::new(), ServerEventKind::Message(message.data));
            }
            PushEvent::Refresh(refresh) => self.schedule_refresh(refresh.expires, refresh.ttl, now),
            event if self.subscriptions.contains_key(&channel) => self.handle_channel_push(&channel, event, now),
            event => self.handle_server_side_push(channel, event),
        }
    }

    fn handle_server_side_push(&mut self, channel: String, event: PushEvent) {
        if let PushEvent::Subscribe(subscribe) = event {
            let result = SubscribeResult {
                recoverable: subscribe.recoverable,
                positioned: subscribe.positioned,
                epoch: subscribe.epoch,
                offset: subscribe.offset,
                data: subscribe.data,
                ..SubscribeResult::default()
            };
            return self.begin_server_side(channel, result);
        }
        let Some(position) = self.server_side.get_mut(&channel) else { return };
        let event = match event {
            PushEvent::Pub(publication) if position.advance(&publication) => Event::Publication(publication),
            PushEvent::Join(join) => Event::Join(join.info),
            PushEvent::Leave(leave) => Event::Leave(leave.info),
            PushEvent::Unsubscribe(why) => {
                self.server_side.remove(&channel);
                Event::Unsubscribed { code: why.code, reason: why.reason.into_owned() }
            }
            _ => return,
        };
        self.tell_server_side(channel, ServerEventKind::Event(event));
    }

    fn begin_server_side(&mut self, channel: String, mut result: SubscribeResult) {
        let publications = std::mem::take(&mut result.publications);
        let mut position = Position::from_result(&result);
        let subscribed = Event::Subscribed(subscription::subscribed(result));
        self.tell_server_side(channel.clone(), ServerEventKind::Event(subscribed));
        for publication in publications {
            if position.advance(&publication) {
                self.tell_server_side(channel.clone(), ServerEventKind::Event(Event::Publication(publication)));
            }
        }
        self.server_side.insert(channel, position);
    }

    fn handle_answer(&mut self, id: u32, result: Result<Response, Error>, now: Instant) {
        match (self.requests.take(id), result) {
            (Some(Purpose::Caller(key)), result) => self.answer(key, result.map_err(RequestError::Refused)),
            (Some(Purpose::Connect), Ok(Response::Connect(result))) => self.handle_connected(*result, now),
            (Some(Purpose::Connect), Err(error)) => self.handle_connect_error(error, now),
            (Some(Purpose::Subscribe(channel)), Ok(Response::Subscribe(result))) => {
                self.handle_subscribed(&channel, id, *result, now);
            }
            (Some(Purpose::Subscribe(channel)), Err(error)) => self.handle_subscribe_error(&channel, id, error, now),
            (Some(Purpose::Refresh), Ok(Response::Refresh(RefreshResult { expires, ttl, .. }))) => {
                self.refresh_backoff.reset();
                self.schedule_refresh(expires, ttl, now);
            }
            (Some(Purpose::Refresh), Err(error)) if error.temporary => self.retry_refresh(now),
            (Some(Purpose::Refresh), Err(error)) if self.may_ask_anew(&error) => {
                self.token.clear();
                self.drop_link(error_disconnect(error), now);
            }
            (Some(Purpose::Refresh), Err(error)) => self.end(error_disconnect(error)),
            (Some(Purpose::SubRefresh(channel)), Ok(Response::SubRefresh(result))) => {
                self.schedule_sub_refresh(&channel, result.expires, result.ttl, now);
            }
            (Some(Purpose::SubRefresh(channel)), Err(error)) => self.handle_sub_refresh_error(&channel, error, now),
            (Some(Purpose::Unsubscribe) | None, _) => {}
            (Some(_), Ok(_)) => {
                self.drop_link(local_disconnect(local::BAD_PROTOCOL, "the answer does not fit the command"), now);
            }
        }
    }

    fn handle_connected(&mut self, result: ConnectResult, now: Instant) {
        let ConnectResult { client, version, subs, ping, pong, expires, ttl, .. } = result;
        let silence_max = (ping > 0).then(|| Duration::from_secs(ping.into()) + limits::PING_GRACE);
        self.link = Link::Up(Up { since: now, silence_max, heard: now, answers_pings: pong, refresh: Refresh::Never });
        self.schedule_refresh(expires, ttl, now);
        self.actions.push_back(Action::Enter(State::Connected { client, version }));

        let gone: Vec<String> =
            self.server_side.keys().filter(|channel| !subs.contains_key(*channel)).cloned().collect();
        for channel in gone {
            self.server_side.remove(&channel);
            let event = Event::Unsubscribed { code: 2000, reason: "not subscribed by the server any more".to_owned() };
            self.tell_server_side(channel, ServerEventKind::Event(event));
        }
        for (channel, result) in subs {
            self.begin_server_side(channel, result);
        }
        for channel in self.subscriptions.keys().cloned().collect::<Vec<_>>() {
            self.start_subscription(&channel, now);
        }
        for (key, request) in self.requests.take_waiting() {
            self.command(Purpose::Caller(key), request, now);
        }
    }

    fn handle_connect_error(&mut self, error: Error, now: Instant) {
        if self.may_ask_anew(&error) {
            self.token.clear();
        }
        if error.temporary || error.code < 100 || self.may_ask_anew(&error) {
            let overloaded = error.code == Error::TOO_MANY_REQUESTS.code;
            let pause = if overloaded { limits::OVERLOAD_PAUSE } else { Duration::ZERO };
            self.actions.push_back(Action::HangUp);
            self.retry(error_disconnect(error), pause, now);
        } else {
            self.end(error_disconnect(error));
        }
    }

    /// Whether the token is too old, and there is somebody to ask for another.
    fn may_ask_anew(&self, error: &Error) -> bool {
        error.code == Error::TOKEN_EXPIRED.code && self.settings.has_provider
    }

    fn schedule_refresh(&mut self, expires: bool, ttl_seconds: u32, now: Instant) {
        let due = expires && self.settings.has_provider;
        let at = now + Duration::from_secs(ttl_seconds.into());
        self.set_refresh(if due { Refresh::At(at) } else { Refresh::Never });
    }

    fn retry_refresh(&mut self, now: Instant) {
        let at = now + self.refresh_backoff.next_delay();
        self.set_refresh(Refresh::At(at));
    }

    fn set_refresh(&mut self, refresh: Refresh) {
        if let Link::Up(up) = &mut self.link {
            up.refresh = refresh;
        }
    }

    /// Begins an attempt to connect: with a token if there is one or a provider of one.
    fn attempt(&mut self) {
        if self.token.is_empty() && self.settings.has_provider {
            self.link = Link::FetchingToken;
            self.actions.push_back(Action::FetchToken(TokenFor::Connection));
        } else {
            self.link = Link::Dialling;
            self.actions.push_back(Action::Dial);
        }
    }

    /// Gives up a connection that does not work any more.
    fn drop_link(&mut self, why: Disconnect, now: Instant) {
        self.actions.push_back(Action::HangUp);
        self.retry(why, Duration::ZERO, now);
    }

    /// The connection or the attempt is lost: tries again after `pause` and the backoff.
    fn retry(&mut self, why: Disconnect, pause: Duration, now: Instant) {
        let was_up = if let Link::Up(up) = &self.link { Some(up.since) } else { None };
        if was_up.is_some_and(|since| now.saturating_duration_since(since) >= limits::STABLE_AFTER) {
            self.backoff.reset();
        }
        self.link = Link::Waiting { until: now + pause + self.backoff.next_delay() };
        let attempt = self.backoff.attempt();
        self.forget_link();
        for key in self.requests.take_in_flight() {
            self.answer(key, Err(RequestError::Interrupted));
        }
        self.interrupt_subscriptions(&why);
        self.actions.push_back(Action::Enter(State::Connecting { attempt, why: Some(why) }));
    }

    /// Over for good.
    fn end(&mut self, why: Disconnect) {
        if matches!(self.link, Link::Dialling | Link::Introducing | Link::Up(_)) {
            self.actions.push_back(Action::HangUp);
        }
        self.link = Link::Ended(why.clone());
        self.forget_link();
        let waiting = self.requests.take_waiting().into_iter().map(|(key, _)| key);
        for key in waiting.chain(self.requests.take_in_flight()).collect::<Vec<_>>() {
            self.answer(key, Err(RequestError::Disconnected(why.clone())));
        }
        for channel in self.subscriptions.keys().cloned().collect::<Vec<_>>() {
            self.end_subscription(&channel, why.code.into(), why.reason.clone().into_owned());
        }
        self.actions.push_back(Action::Enter(State::Disconnected(why)));
    }

    fn forget_link(&mut self) {
        self.outgoing.clear();
        self.alarms.clear();
    }

    fn command(&mut self, purpose: Purpose, request: Request, now: Instant) -> u32 {
        let id = self.requests.begin(purpose, now + limits::REPLY_TIME);
        match ENCODING.encode_commands(&[Command::new(id, request)]) {
            Ok(command) => self.outgoing.push(command),
            // Nothing is sent, and the answer is what the server would say of data that it cannot read.
            Err(error) => {
                let error = Error { message: error.to_string().into(), ..Error::BAD_REQUEST };
                self.handle_answer(id, Err(error), now);
            }
        }
        id
    }

    /// Joins waiting commands into one frame, as far as it may be filled.
    fn next_frame(&mut self) -> Option<Bytes> {
        let mut bytes = 0;
        let fits = |command: &&Bytes| {
            bytes += command.len() + 1;
            bytes <= limits::BATCH_BYTES_MAX
        };
        // A command that is too large for a batch goes alone.
        let count = self.outgoing.iter().take_while(fits).count().max(1).min(self.outgoing.len());
        (count > 0).then(|| ENCODING.join(self.outgoing.drain(..count)))
    }

    fn answer(&mut self, key: u64, answer: Result<Response, RequestError>) {
        self.actions.push_back(Action::Answer { key, answer });
    }

    fn tell(&mut self, channel: &str, event: Event) {
        self.actions.push_back(Action::Tell { channel: channel.to_owned(), event });
    }

    fn tell_server_side(&mut self, channel: String, kind: ServerEventKind) {
        self.actions.push_back(Action::TellServerSide(ServerEvent { channel, kind }));
    }
}

fn local_disconnect(code: u16, reason: impl Into<std::borrow::Cow<'static, str>>) -> Disconnect {
    Disconnect { code, reason: reason.into() }
}

fn error_disconnect(error: Error) -> Disconnect {
    Disconnect { code: u16::try_from(error.code).unwrap_or(u16::MAX), reason: error.message }
}
