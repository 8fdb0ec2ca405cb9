//! What the session does with the outcome of an operation.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tidings_protocol::{
    Connect, ConnectResult, Disconnect, Error, PushEvent, Refresh, RefreshResult, Reply, Response, SubRefreshResult,
    Subscribe, SubscribeResult, Unsubscribe,
};

use super::heartbeat::Pulse;
use super::{Action, Admission, Connected, Emulation, Phase, Prepared, Session, Setup, Subscription};
use crate::{ChannelName, Expiry};

impl Session {
    pub(super) fn welcome(&mut self, id: u32, connected: Connected, now: Instant) {
        let Connected { expiry, data, subscriptions } = connected;
        if subscriptions.len() > self.setup.limits.channels_per_connection_max {
            return self.close(Disconnect::CHANNEL_LIMIT);
        }
        self.phase = Phase::Open;
        let (expires, ttl) = self.set_expiry(expiry, now);
        let mut result = ConnectResult {
            client: self.setup.client.to_string(),
            version: self.setup.version.to_string(),
            expires,
            ttl,
            data,
            ..ConnectResult::default()
        };
        if let Some(Emulation { session, node }) = self.emulation() {
            (result.session, result.node) = (session.clone(), node.clone());
        }
        if self.setup.pings {
            let limits = &self.setup.limits;
            result.ping = whole_seconds(limits.ping_interval);
            result.pong = !limits.pong_timeout.is_zero() && !self.setup.encoding.is_one_way();
            self.pulse = Pulse::begin(limits, self.setup.jitter, self.setup.ticks_from, now);
        }
        let mut admissions = Vec::with_capacity(subscriptions.len());
        for (channel, prepared) in subscriptions {
            let (told, admission) = self.hold(&channel, prepared, true, now);
            result.subs.insert(channel.as_str().to_owned(), told);
            admissions.push(Action::Admit { channel, admission, reply: None });
        }
        self.send(if self.setup.encoding.is_one_way() {
            Reply::push("", PushEvent::Connect(Box::new(pushed(result))))
        } else {
            Reply::ok(id, Response::Connect(Box::new(result)))
        });
        self.actions.extend(admissions);
    }

    pub(super) fn refuse_connect(&mut self, id: u32, error: Error, now: Instant) {
        if self.setup.encoding.is_one_way() {
            return self.close(without_answer(&error));
        }
        self.phase = Phase::Refused;
        self.connect_by = self.connect_by.min(now + self.setup.limits.connect_timeout);
        // What came with the connect was meant for a connection that there is not.
        self.waiting = VecDeque::new();
        self.send(Reply::error(id, error));
    }

    pub(super) fn subscribed(
        &mut self,
        id: u32,
        channel: ChannelName,
        prepared: Prepared,
        server_side: bool,
        now: Instant,
    ) {
        let (result, admission) = self.hold(&channel, prepared, server_side, now);
        let reply = if server_side {
            let SubscribeResult { recoverable, epoch, offset, positioned, data, .. } = result;
            let push = PushEvent::Subscribe(Subscribe { recoverable, epoch, offset, positioned, data });
            Reply::push(channel.as_str(), push)
        } else {
            Reply::ok(id, Response::Subscribe(Box::new(result)))
        };
        self.actions.push_back(Action::Admit { channel, admission, reply: Some(reply) });
    }

    /// Takes a prepared subscription into the books.
    fn hold(
        &mut self,
        channel: &ChannelName,
        prepared: Prepared,
        server_side: bool,
        now: Instant,
    ) -> (SubscribeResult, Admission) {
        let Prepared { mut result, admission, expires_in } = prepared;
        if let Some(ttl) = expires_in {
            result.expires = true;
            result.ttl = whole_seconds(ttl);
        }
        let ends = expires_in.and_then(|ttl| self.end_of_grace(ttl, now));
        self.subscriptions.insert(Subscription { channel: channel.clone(), server_side, ends });
        self.update_subscription_ends();
        (result, admission)
    }

    pub(super) fn forget(&mut self, channel: &ChannelName) {
        self.subscriptions.remove(channel);
        self.update_subscription_ends();
    }

    pub(super) fn update_subscription_ends(&mut self) {
        self.subscription_ends = self.subscriptions.iter().filter_map(|subscription| subscription.ends).min();
    }

    pub(super) fn drop_subscription(&mut self, id: u32, channel: ChannelName, error: Error, server_side: bool) {
        self.actions.push_back(Action::Leave { channel, why: None });
        if !server_side {
            self.send(Reply::error(id, error));
        }
    }

    pub(super) fn refreshed(&mut self, id: u32, expiry: Option<Expiry>, now: Instant) {
        let (expires, ttl) = self.set_expiry(expiry, now);
        let Setup { client, version, .. } = &self.setup;
        let result = RefreshResult { client: client.to_string(), version: version.to_string(), expires, ttl };
        self.send(Reply::ok(id, Response::Refresh(result)));
    }

    /// The server sets the connection's life, and the client learns of it by a push.
    pub(super) fn refreshed_by_the_server(&mut self, expiry: Option<Expiry>, now: Instant) {
        let (expires, ttl) = self.set_expiry(expiry, now);
        self.send(Reply::push("", PushEvent::Refresh(Refresh { expires, ttl })));
    }

    pub(super) fn sub_refreshed(&mut self, id: u32, channel: &ChannelName, ttl: Option<Duration>, now: Instant) {
        let ends = ttl.and_then(|ttl| self.end_of_grace(ttl, now));
        let Some(subscription) = self.subscriptions.get_mut(channel) else {
            return self.send(Reply::error(id, Error::PERMISSION_DENIED));
        };
        subscription.ends = ends;
        self.update_subscription_ends();
        let result = SubRefreshResult { expires: ttl.is_some(), ttl: ttl.map_or(0, whole_seconds) };
        self.send(Reply::ok(id, Response::SubRefresh(result)));
    }

    /// Ends a subscription before its time, as if it had not been refreshed. The command is not answered: an error before
    /// the push is final to SDKs, and nothing is left to be said after it.
    pub(super) fn expire(&mut self, channel: &ChannelName) {
        match self.subscriptions.get(channel) {
            Some(subscription) if subscription.server_side => self.close(Disconnect::SUBSCRIPTION_EXPIRED),
            Some(_) => {
                self.forget(channel);
                let why = Some(Unsubscribe::EXPIRED);
                self.actions.push_back(Action::Leave { channel: channel.clone(), why });
            }
            // It was ended meanwhile, and the client was told so.
            None => {}
        }
    }

    /// None when the clock does not reach so far: what ends in some billions of years does not end.
    fn end_of_grace(&self, ttl: Duration, now: Instant) -> Option<Instant> {
        now.checked_add(ttl)?.checked_add(self.setup.limits.expiry_grace)
    }

    /// Sets when the connection ends; returns what the client is told.
    fn set_expiry(&mut self, expiry: Option<Expiry>, now: Instant) -> (bool, u32) {
        match expiry {
            None => {
                self.ends = None;
                (false, 0)
            }
            Some(Expiry::Final(ttl)) => {
                self.ends = now.checked_add(ttl);
                (false, 0)
            }
            Some(Expiry::Refreshable(ttl)) => {
                self.ends = self.end_of_grace(ttl, now);
                (true, whole_seconds(ttl))
            }
        }
    }
}

/// The welcome as a push.
fn pushed(welcome: ConnectResult) -> Connect {
    let ConnectResult { client, version, expires, ttl, data, subs, ping, pong, session, node, time } = welcome;
    Connect { client, version, data, subs, expires, ttl, ping, pong, session, node, time }
}

/// Why a connection ends whose request led to an error, where errors are not said.
fn without_answer(error: &Error) -> Disconnect {
    match error.code {
        code if code == Error::TOKEN_EXPIRED.code || code == Error::EXPIRED.code => Disconnect::EXPIRED,
        code if code == Error::TOO_MANY_REQUESTS.code => Disconnect::TOO_MANY_REQUESTS,
        code if code == Error::PERMISSION_DENIED.code => Disconnect::PERMISSION_DENIED,
        _ => Disconnect::SERVER_ERROR,
    }
}

/// Rounded up, because 0 would mean "does not expire".
fn whole_seconds(duration: Duration) -> u32 {
    let seconds = duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0));
    u32::try_from(seconds.max(1)).unwrap_or(u32::MAX)
}
