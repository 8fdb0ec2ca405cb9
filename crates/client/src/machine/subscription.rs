//! The rules of one subscription: when it is asked for, where it resumes, when it is over.
//!
//! The other half of [`Machine`]; what concerns the connection alone is in the parent module.

use std::time::{Duration, Instant};

use tidings_protocol::{
    Error, Payload, Publication, PushEvent, Request, StreamPosition, SubRefreshRequest, SubscribeRequest,
    SubscribeResult, Unsubscribe, UnsubscribeRequest,
};

use super::{Action, Disconnect, Link, Machine, Purpose, TokenFor};
use crate::backoff::Backoff;
use crate::event::{Event, Subscribed, local};
use crate::options::TokenError;

/// What the user wants of a subscription.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    pub(crate) token: String,
    pub(crate) has_provider: bool,
    pub(crate) data: Option<Payload>,
    pub(crate) recoverable: bool,
    pub(crate) positioned: bool,
    pub(crate) join_leave: bool,
    pub(crate) since: Option<StreamPosition>,
}

/// Where we are in a channel's stream.
#[derive(Debug, Clone, Default)]
pub(super) struct Position {
    pub(super) recoverable: bool,
    positioned: bool,
    epoch: String,
    offset: u64,
}

impl Position {
    pub(super) fn from_result(result: &SubscribeResult) -> Position {
        let SubscribeResult { recoverable, positioned, epoch, offset, .. } = result;
        Position {
            recoverable: *recoverable,
            positioned: *positioned || *recoverable,
            epoch: epoch.clone(),
            offset: *offset,
        }
    }

    pub(super) fn to_request(&self) -> SubscribeRequest {
        SubscribeRequest { epoch: self.epoch.clone(), offset: self.offset, ..SubscribeRequest::default() }
    }

    /// Moves to a publication; `false` when we already have it.
    pub(super) fn advance(&mut self, publication: &Publication) -> bool {
        // Without a number it is not part of the stream and moves nothing.
        if publication.offset == 0 {
            return true;
        }
        if self.positioned && publication.offset <= self.offset {
            return false;
        }
        self.offset = publication.offset;
        // Who subscribed to an empty stream learns its epoch from the first publication.
        if self.epoch.is_empty() && !publication.epoch.is_empty() {
            self.epoch.clone_from(&publication.epoch);
        }
        true
    }
}

#[derive(Debug)]
pub(super) struct Subscription {
    settings: Settings,
    token: String,
    position: Position,
    phase: Phase,
    backoff: Backoff,
    /// When something is due: asking again, or refreshing the token.
    alarm: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Wants to be asked for: when there is a connection, or at the alarm.
    Wanted,
    FetchingToken,
    /// The command with this id is on its way.
    Asked(u32),
    Up,
    /// Its reader left too many events unread.
    Paused,
}

impl Subscription {
    fn new(settings: Settings, backoff: Backoff) -> Subscription {
        let since = settings.since.clone().unwrap_or_default();
        let position = Position {
            recoverable: settings.since.is_some(),
            positioned: false,
            epoch: since.epoch,
            offset: since.offset,
        };
        Subscription { token: settings.token.clone(), settings, position, phase: Phase::Wanted, backoff, alarm: None }
    }

    /// The server does not trust what we know: a new token, and a position that nobody can recover from, so that the
    /// user learns that something may be missing.
    pub(super) fn invalidate(&mut self) {
        self.token.clear();
        self.lose_position();
    }

    fn lose_position(&mut self) {
        if self.position.recoverable {
            self.position = Position { epoch: "_".to_owned(), offset: 0, ..self.position };
        }
    }

    fn to_request(&self, channel: &str) -> SubscribeRequest {
        let place = if self.position.recoverable {
            SubscribeRequest { recover: true, ..self.position.to_request() }
        } else {
            SubscribeRequest::default()
        };
        SubscribeRequest {
            channel: channel.to_owned(),
            token: self.token.clone(),
            data: self.settings.data.clone(),
            recoverable: self.settings.recoverable,
            positioned: self.settings.positioned,
            join_leave: self.settings.join_leave,
            ..place
        }
    }
}

impl Machine {
    /// Whether there is a subscription to this channel.
    pub(crate) fn is_subscribed(&self, channel: &str) -> bool {
        self.subscriptions.contains_key(channel)
    }

    /// Subscriptions that are not over.
    pub(crate) fn subscription_count(&self) -> usize {
        self.subscriptions.len()
    }

    /// Begins a subscription; the caller has checked that there is none to this channel, and that we are not ended.
    pub(crate) fn subscribe(&mut self, channel: &str, settings: Settings, now: Instant) {
        let seed = self.subscriptions.len() as u64 + 2;
        let backoff =
            Backoff::new(self.settings.backoff_first, self.settings.backoff_cap, self.settings.seed ^ (seed << 32));
        self.subscriptions.insert(channel.to_owned(), Subscription::new(settings, backoff));
        self.start_subscription(channel, now);
    }

    /// The user does not want it any more. The last event is told.
    pub(crate) fn unsubscribe(&mut self, channel: &str, now: Instant) {
        let Some(subscription) = self.subscriptions.get(channel) else { return };
        if matches!(subscription.phase, Phase::Asked(_) | Phase::Up) {
            self.leave(channel, now);
        }
        self.end_subscription(channel, local::CLOSED.into(), "unsubscribed".to_owned());
    }

    /// The reader has no room, and this event was not delivered. Pauses, and resumes from there when the reader is ready.
    pub(crate) fn handle_reader_behind(&mut self, channel: &str, missed: &Event, now: Instant) {
        let Some(subscription) = self.subscriptions.get_mut(channel) else { return };
        match missed {
            Event::Publication(missed) if missed.offset > 0 => {
                let position = &mut subscription.position;
                position.offset = position.offset.min(missed.offset - 1);
            }
            // That something may be missing has yet to be told, and would not be if we resumed behind the gap.
            Event::Subscribed(missed) if !missed.recovered => subscription.lose_position(),
            _ => {}
        }
        let phase = std::mem::replace(&mut subscription.phase, Phase::Paused);
        subscription.alarm = None;
        if matches!(phase, Phase::Asked(_) | Phase::Up) {
            self.leave(channel, now);
        }
    }

    /// The reader of a paused subscription has room again.
    pub(crate) fn handle_reader_ready(&mut self, channel: &str, now: Instant) {
        if let Some(subscription) = self.subscriptions.get_mut(channel)
            && subscription.phase == Phase::Paused
        {
            subscription.phase = Phase::Wanted;
            let reason = "the reader was behind".to_owned();
            self.tell(channel, Event::Interrupted { code: local::READER_BEHIND.into(), reason });
            self.start_subscription(channel, now);
        }
    }

    /// Asks for a subscription that is wanted, if there is a connection.
    pub(super) fn start_subscription(&mut self, channel: &str, now: Instant) {
        let Some(subscription) = self.subscriptions.get_mut(channel) else { return };
        if !matches!(self.link, Link::Up(_)) || subscription.phase != Phase::Wanted {
            return;
        }
        subscription.alarm = None;
        if subscription.token.is_empty() && subscription.settings.has_provider {
            subscription.phase = Phase::FetchingToken;
            self.actions.push_back(Action::FetchToken(TokenFor::Subscription(channel.to_owned())));
            return;
        }
        let request = subscription.to_request(channel);
        let id = self.command(Purpose::Subscribe(channel.to_owned()), Request::Subscribe(Box::new(request)), now);
        self.set_phase(channel, Phase::Asked(id));
    }

    pub(super) fn handle_subscription_token(&mut self, channel: &str, token: Result<String, TokenError>, now: Instant) {
        let Some(subscription) = self.subscriptions.get_mut(channel) else { return };
        let refreshing = subscription.phase == Phase::Up;
        match token {
            Ok(token) => {
                subscription.token = token.clone();
                if refreshing {
                    let request = SubRefreshRequest { channel: channel.to_owned(), token, ..Default::default() };
                    self.command(Purpose::SubRefresh(channel.to_owned()), Request::SubRefresh(request), now);
                } else if subscription.phase == Phase::FetchingToken {
                    subscription.phase = Phase::Wanted;
                    self.start_subscription(channel, now);
                }
            }
            Err(TokenError::Refused(reason)) => {
                if refreshing {
                    self.leave(channel, now);
                }
                self.end_subscription(channel, local::UNAUTHORIZED.into(), reason);
            }
            Err(TokenError::Unavailable(_)) if refreshing => self.retry_sub_refresh(channel, now),
            Err(TokenError::Unavailable(_)) if subscription.phase == Phase::FetchingToken => {
                self.retry_subscription(channel, now);
            }
            Err(TokenError::Unavailable(_)) => {}
        }
    }

    pub(super) fn handle_subscribed(&mut self, channel: &str, id: u32, mut result: SubscribeResult, now: Instant) {
        let Some(subscription) = self.subscriptions.get_mut(channel) else { return };
        // An older question of a subscription that was ended and begun again, or paused, meanwhile.
        if subscription.phase != Phase::Asked(id) {
            return;
        }
        subscription.phase = Phase::Up;
        subscription.backoff.reset();
        let publications = std::mem::take(&mut result.publications);
        subscription.position = Position::from_result(&result);
        let (expires, ttl) = (result.expires, result.ttl);
        self.tell(channel, Event::Subscribed(subscribed(result)));
        for publication in publications {
            self.handle_publication(channel, publication);
        }
        self.schedule_sub_refresh(channel, expires, ttl, now);
    }

    pub(super) fn handle_subscribe_error(&mut self, channel: &str, id: u32, error: Error, now: Instant) {
        let Some(subscription) = self.subscriptions.get_mut(channel) else { return };
        if subscription.phase != Phase::Asked(id) {
            return;
        }
        let expired = error.code == Error::TOKEN_EXPIRED.code;
        if expired {
            subscription.token.clear();
        }
        if error.temporary || error.code < 100 || (expired && subscription.settings.has_provider) {
            self.retry_subscription(channel, now);
        } else {
            self.end_subscription(channel, error.code, error.message.into_owned());
        }
    }

    pub(super) fn handle_sub_refresh_error(&mut self, channel: &str, error: Error, now: Instant) {
        if error.temporary {
            self.retry_sub_refresh(channel, now);
        } else if self.is_subscribed(channel) {
            self.leave(channel, now);
            let expired = error.code == Error::TOKEN_EXPIRED.code;
            if let Some(subscription) = self.subscriptions.get_mut(channel)
                && expired
                && subscription.settings.has_provider
            {
                subscription.token.clear();
                self.tell(channel, Event::Interrupted { code: error.code, reason: error.message.into_owned() });
                return self.retry_subscription(channel, now);
            }
            self.end_subscription(channel, error.code, error.message.into_owned());
        }
    }

    pub(super) fn handle_channel_push(&mut self, channel: &str, event: PushEvent, now: Instant) {
        if self.subscriptions.get(channel).is_none_or(|subscription| subscription.phase != Phase::Up) {
            return;
        }
        match event {
            PushEvent::Pub(publication) => self.handle_publication(channel, publication),
            PushEvent::Join(join) => self.tell(channel, Event::Join(join.info)),
            PushEvent::Leave(leave) => self.tell(channel, Event::Leave(leave.info)),
            PushEvent::Unsubscribe(why) => self.handle_unsubscribed(channel, why, now),
            _ => {}
        }
    }

    fn handle_publication(&mut self, channel: &str, publication: Publication) {
        if let Some(subscription) = self.subscriptions.get_mut(channel)
            && subscription.position.advance(&publication)
        {
            self.tell(channel, Event::Publication(publication));
        }
    }

    fn handle_unsubscribed(&mut self, channel: &str, why: Unsubscribe, now: Instant) {
        // What was asked of the subscription that has ended may stay unanswered.
        self.requests.forget(&Purpose::SubRefresh(channel.to_owned()));
        let final_end = !why.resubscribes();
        let (code, reason) = (why.code, why.reason.into_owned());
        if final_end {
            return self.end_subscription(channel, code, reason);
        }
        if let Some(subscription) = self.subscriptions.get_mut(channel) {
            if code == Unsubscribe::EXPIRED.code {
                subscription.token.clear();
            } else if code == Unsubscribe::STATE_INVALIDATED.code {
                subscription.invalidate();
            }
            self.tell(channel, Event::Interrupted { code, reason });
            self.retry_subscription(channel, now);
        }
    }

    /// Asks again after the subscription's own backoff.
    fn retry_subscription(&mut self, channel: &str, now: Instant) {
        if let Some(subscription) = self.subscriptions.get_mut(channel) {
            subscription.phase = Phase::Wanted;
            let at = now + subscription.backoff.next_delay();
            self.set_alarm(channel, at);
        }
    }

    pub(super) fn schedule_sub_refresh(&mut self, channel: &str, expires: bool, ttl_seconds: u32, now: Instant) {
        let provided = self.subscriptions.get(channel).is_some_and(|subscription| subscription.settings.has_provider);
        if expires && provided {
            self.set_alarm(channel, now + Duration::from_secs(ttl_seconds.into()));
        }
    }

    pub(super) fn retry_sub_refresh(&mut self, channel: &str, now: Instant) {
        if let Some(subscription) = self.subscriptions.get_mut(channel) {
            let at = now + subscription.backoff.next_delay();
            self.set_alarm(channel, at);
        }
    }

    /// Something may be due for this subscription.
    pub(super) fn handle_alarm(&mut self, channel: &str, now: Instant) {
        let Some(subscription) = self.subscriptions.get_mut(channel) else { return };
        if subscription.alarm.is_none_or(|at| at > now) {
            return;
        }
        subscription.alarm = None;
        match subscription.phase {
            Phase::Wanted => self.start_subscription(channel, now),
            Phase::Up => self.actions.push_back(Action::FetchToken(TokenFor::Subscription(channel.to_owned()))),
            Phase::FetchingToken | Phase::Asked(_) | Phase::Paused => {}
        }
    }

    /// The connection is lost: everything that stood or was asked for is wanted again.
    pub(super) fn interrupt_subscriptions(&mut self, why: &Disconnect) {
        let mut interrupted = Vec::new();
        for (channel, subscription) in &mut self.subscriptions {
            subscription.alarm = None;
            if subscription.phase == Phase::Up {
                interrupted.push(channel.clone());
            }
            if subscription.phase != Phase::Paused {
                subscription.phase = Phase::Wanted;
            }
        }
        for channel in interrupted {
            let reason = why.reason.clone().into_owned();
            self.tell(&channel, Event::Interrupted { code: why.code.into(), reason });
        }
    }

    pub(super) fn end_subscription(&mut self, channel: &str, code: u32, reason: String) {
        if self.subscriptions.remove(channel).is_some() {
            self.tell(channel, Event::Unsubscribed { code, reason });
        }
    }

    /// Tells the server that we do not listen any more.
    fn leave(&mut self, channel: &str, now: Instant) {
        if matches!(self.link, Link::Up(_)) {
            let request = UnsubscribeRequest { channel: channel.to_owned() };
            self.command(Purpose::Unsubscribe, Request::Unsubscribe(request), now);
        }
    }

    fn set_phase(&mut self, channel: &str, phase: Phase) {
        if let Some(subscription) = self.subscriptions.get_mut(channel) {
            subscription.phase = phase;
        }
    }

    fn set_alarm(&mut self, channel: &str, at: Instant) {
        if let Some(subscription) = self.subscriptions.get_mut(channel) {
            subscription.alarm = Some(at);
            self.alarms.insert((at, channel.to_owned()));
        }
    }
}

/// What the user is told of a subscribe reply.
pub(super) fn subscribed(result: SubscribeResult) -> Subscribed {
    Subscribed {
        was_recovering: result.was_recovering,
        recovered: result.recovered,
        recoverable: result.recoverable,
        position: StreamPosition { offset: result.offset, epoch: result.epoch },
        data: result.data,
    }
}
