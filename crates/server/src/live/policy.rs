//! Who may do what on the wire: the hub's questions, answered.
//!
//! Two kinds of clients, and nothing of one is open to the other. A *person* of the chat came with a session cookie and
//! gets the channels of the chat (`room:`, `user:`). An *application's user* came with a client token and gets every
//! other channel. A token's `sub` is a name of the application's, even when it reads like a person's id.

use crate::limits::{HISTORY_SIZE, HISTORY_TTL};
use crate::metrics::Metrics;
use crate::tokens::{Claims, TokenError, Tokens};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tidings_chat::{Chat, SignedIn};
use tidings_hub::{
    Accepted, Channel, ChannelOptions, Client, Expiry, Grant, Identity, JoinLeave, Policy, PublishGrant, Refusal,
    Source,
};
use tidings_protocol::{ConnectRequest, Disconnect, Error, Payload, SubscribeRequest};

pub(crate) struct LivePolicy {
    chat: Chat,
    tokens: Arc<Tokens>,
    metrics: Arc<Metrics>,
}

/// The context of a connection that came with a client token.
struct ApplicationUser;

impl LivePolicy {
    pub(crate) fn new(chat: Chat, tokens: Arc<Tokens>, metrics: Arc<Metrics>) -> Self {
        Self { chat, tokens, metrics }
    }

    fn accept_token(&self, token: &str) -> Result<Accepted, Refusal> {
        let claims = self.tokens.check(token).map_err(|error| match error {
            TokenError::Expired => Refusal::Error(Error::TOKEN_EXPIRED),
            TokenError::Invalid => Refusal::Disconnect(Disconnect::INVALID_TOKEN),
        })?;
        if claims.channel.is_some() {
            // A subscription token is no connection token.
            return Err(Disconnect::INVALID_TOKEN.into());
        }
        let expiry = time_left(&claims)?.map(Expiry::Refreshable);
        let channels = claims.channels.iter().filter_map(|name| Channel::parse(name).ok());
        let subscriptions = channels.filter(|channel| !Chat::owns(channel)).map(|channel| (channel, Grant::default()));
        Ok(Accepted {
            subscriptions: subscriptions.collect(),
            identity: Identity {
                user: claims.sub,
                tag: None,
                info: claims.info,
                context: Some(Arc::new(ApplicationUser)),
            },
            expiry,
            data: None,
        })
    }

    /// Checks a subscription token; how long the subscription lasts.
    fn check_subscription(&self, client: &Client, channel: &Channel, token: &str) -> Result<Claims, Refusal> {
        let claims = self.tokens.check(token).map_err(|error| match error {
            TokenError::Expired => Error::TOKEN_EXPIRED,
            TokenError::Invalid => Error::PERMISSION_DENIED,
        })?;
        if claims.channel.as_deref() != Some(channel.as_str()) || claims.sub != client.user() {
            return Err(Disconnect::INVALID_TOKEN.into());
        }
        Ok(claims)
    }

    fn subscribe_application(
        &self,
        client: &Client,
        channel: &Channel,
        request: &SubscribeRequest,
    ) -> Result<Grant, Refusal> {
        admit(client, channel)?;
        if request.token.is_empty() {
            return Ok(Grant::default());
        }
        let claims = self.check_subscription(client, channel, &request.token)?;
        let expires_in = time_left(&claims)?;
        Ok(Grant { info: claims.info, expires_in, data: None })
    }

    fn refresh_application(&self, client: &Client, token: &str) -> Result<Option<Expiry>, Refusal> {
        if client.context::<ApplicationUser>().is_none() {
            return Err(Error::NOT_AVAILABLE.into());
        }
        let renewed = self.accept_token(token)?;
        if renewed.identity.user != client.user() {
            return Err(Disconnect::INVALID_TOKEN.into());
        }
        Ok(renewed.expiry)
    }

    /// The chat, for persons: it decides about them in all channels.
    fn for_person(&self, client: &Client) -> Option<&Chat> {
        client.context::<SignedIn>().is_some().then_some(&self.chat)
    }
}

/// Whoever came with a token gets every channel but the chat's.
fn admit(client: &Client, channel: &Channel) -> Result<(), Refusal> {
    if client.context::<ApplicationUser>().is_some() && !Chat::owns(channel) {
        Ok(())
    } else {
        Err(Error::PERMISSION_DENIED.into())
    }
}

impl Policy for LivePolicy {
    fn connect<'a>(
        &'a self,
        client: &'a Client,
        request: &'a ConnectRequest,
    ) -> BoxFuture<'a, Result<Accepted, Refusal>> {
        // An explicit token wins over the cookie that a browser sends along by itself.
        if !request.token.is_empty() {
            return ready(self.accept_token(&request.token)).boxed();
        }
        match self.for_person(client) {
            Some(chat) => chat.connect(client, request),
            None => ready(Err(Disconnect::BAD_REQUEST.into())).boxed(),
        }
    }

    fn subscribe<'a>(
        &'a self,
        client: &'a Client,
        channel: &'a Channel,
        request: &'a SubscribeRequest,
    ) -> BoxFuture<'a, Result<Grant, Refusal>> {
        match self.for_person(client) {
            Some(chat) => chat.subscribe(client, channel, request),
            None => ready(self.subscribe_application(client, channel, request)).boxed(),
        }
    }

    fn publish<'a>(
        &'a self,
        client: &'a Client,
        channel: &'a Channel,
        data: &'a Payload,
    ) -> BoxFuture<'a, Result<PublishGrant, Refusal>> {
        match self.for_person(client) {
            Some(chat) => chat.publish(client, channel, data),
            None => ready(admit(client, channel).map(|()| PublishGrant::default())).boxed(),
        }
    }

    fn presence<'a>(&'a self, client: &'a Client, channel: &'a Channel) -> BoxFuture<'a, Result<(), Refusal>> {
        match self.for_person(client) {
            Some(chat) => chat.presence(client, channel),
            None => ready(admit(client, channel)).boxed(),
        }
    }

    fn history<'a>(&'a self, client: &'a Client, channel: &'a Channel) -> BoxFuture<'a, Result<(), Refusal>> {
        match self.for_person(client) {
            Some(chat) => chat.history(client, channel),
            None => ready(admit(client, channel)).boxed(),
        }
    }

    fn rpc<'a>(
        &'a self,
        client: &'a Client,
        method: &'a str,
        data: Option<&'a Payload>,
    ) -> BoxFuture<'a, Result<Option<Payload>, Refusal>> {
        let Some(chat) = self.for_person(client) else {
            return ready(Err(Error::METHOD_NOT_FOUND.into())).boxed();
        };
        let answer = chat.rpc(client, method, data);
        if method != "post" {
            return answer;
        }
        async move {
            let start = Instant::now();
            let answer = answer.await;
            if answer.is_ok() {
                self.metrics.post_latency.observe(start.elapsed().as_secs_f64());
            }
            answer
        }
        .boxed()
    }

    fn refresh<'a>(&'a self, client: &'a Client, token: &'a str) -> BoxFuture<'a, Result<Option<Expiry>, Refusal>> {
        ready(self.refresh_application(client, token)).boxed()
    }

    fn sub_refresh<'a>(
        &'a self,
        client: &'a Client,
        channel: &'a Channel,
        token: &'a str,
    ) -> BoxFuture<'a, Result<Option<Duration>, Refusal>> {
        let claims = admit(client, channel).and_then(|()| self.check_subscription(client, channel, token));
        ready(claims.and_then(|claims| time_left(&claims))).boxed()
    }

    fn options(&self, channel: &Channel) -> ChannelOptions {
        if Chat::owns(channel) {
            return self.chat.options(channel);
        }
        ChannelOptions {
            history: Source::Memory { size: HISTORY_SIZE, ttl: HISTORY_TTL },
            recovery: true,
            presence: true,
            join_leave: JoinLeave::OnRequest,
        }
    }
}

/// How long the token's connection or subscription lasts; `None`: for ever. Error 109 when that is over.
fn time_left(claims: &Claims) -> Result<Option<Duration>, Refusal> {
    let Some(at) = claims.expires() else { return Ok(None) };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    match at.checked_sub(now) {
        Some(left) if left > 0 => Ok(Some(Duration::from_secs(left))),
        _ => Err(Error::TOKEN_EXPIRED.into()),
    }
}
