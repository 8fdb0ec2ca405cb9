//! What may be done with a client token: by the users of an application that publishes from its own backend. The chat's
//! channels are closed to them.

use crate::limits::{HISTORY_SIZE, HISTORY_TTL};
use crate::tokens::{Claims, TokenError, Tokens};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tidings_chat::Chat;
use tidings_hub::{
    Accepted, ChannelName, ChannelOptions, Expiry, Grant, Identity, JoinLeave, Peer, Policy, PublishGrant, Refusal,
    Source,
};
use tidings_protocol::{ConnectRequest, Disconnect, Error, Payload, SubscribeRequest};

/// The policy for connections with a client token.
pub(crate) struct TokenPolicy {
    tokens: Arc<Tokens>,
    /// How every channel of theirs works.
    options: Arc<ChannelOptions>,
}

/// The context of a connection that came with a client token.
struct TokenUser;

impl TokenPolicy {
    pub(crate) fn new(tokens: Arc<Tokens>) -> Self {
        let options = ChannelOptions {
            history: Source::memory(HISTORY_SIZE, HISTORY_TTL),
            recovery: true,
            presence: true,
            join_leave: JoinLeave::OnRequest,
            ..ChannelOptions::default()
        };
        Self { tokens, options: Arc::new(options) }
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
        let channels = claims.channels.iter().filter_map(|name| ChannelName::parse(name).ok());
        let subscriptions = channels.filter(|channel| !Chat::owns(channel)).map(|channel| (channel, Grant::default()));
        Ok(Accepted {
            subscriptions: subscriptions.collect(),
            identity: Identity { user: claims.sub, tag: None, info: claims.info, context: Some(Arc::new(TokenUser)) },
            expiry,
            data: None,
        })
    }

    /// Checks a subscription token; how long the subscription lasts.
    fn check_subscription(&self, client: &Peer, channel: &ChannelName, token: &str) -> Result<Claims, Refusal> {
        let claims = self.tokens.check(token).map_err(|error| match error {
            TokenError::Expired => Error::TOKEN_EXPIRED,
            TokenError::Invalid => Error::PERMISSION_DENIED,
        })?;
        if claims.channel.as_deref() != Some(channel.as_str()) || claims.sub != client.user() {
            return Err(Disconnect::INVALID_TOKEN.into());
        }
        Ok(claims)
    }

    fn grant(&self, client: &Peer, channel: &ChannelName, request: &SubscribeRequest) -> Result<Grant, Refusal> {
        may_use(client, channel)?;
        if request.token.is_empty() {
            return Ok(Grant::default());
        }
        let claims = self.check_subscription(client, channel, &request.token)?;
        let expires_in = time_left(&claims)?;
        Ok(Grant { info: claims.info, expires_in, data: None })
    }

    fn extend(&self, client: &Peer, token: &str) -> Result<Option<Expiry>, Refusal> {
        if client.context::<TokenUser>().is_none() {
            return Err(Error::NOT_AVAILABLE.into());
        }
        let renewed = self.accept_token(token)?;
        if renewed.identity.user != client.user() {
            return Err(Disconnect::INVALID_TOKEN.into());
        }
        Ok(renewed.expiry)
    }
}

/// Whoever came with a token gets every channel but the chat's.
fn may_use(client: &Peer, channel: &ChannelName) -> Result<(), Refusal> {
    if client.context::<TokenUser>().is_some() && !Chat::owns(channel) {
        Ok(())
    } else {
        Err(Error::PERMISSION_DENIED.into())
    }
}

impl Policy for TokenPolicy {
    fn connect<'a>(&'a self, _: &'a Peer, request: &'a ConnectRequest) -> BoxFuture<'a, Result<Accepted, Refusal>> {
        ready(self.accept_token(&request.token)).boxed()
    }

    fn subscribe<'a>(
        &'a self,
        client: &'a Peer,
        channel: &'a ChannelName,
        request: &'a SubscribeRequest,
    ) -> BoxFuture<'a, Result<Grant, Refusal>> {
        ready(self.grant(client, channel, request)).boxed()
    }

    fn publish<'a>(
        &'a self,
        client: &'a Peer,
        channel: &'a ChannelName,
        _: &'a Payload,
    ) -> BoxFuture<'a, Result<PublishGrant, Refusal>> {
        ready(may_use(client, channel).map(|()| PublishGrant::default())).boxed()
    }

    fn presence<'a>(&'a self, client: &'a Peer, channel: &'a ChannelName) -> BoxFuture<'a, Result<(), Refusal>> {
        ready(may_use(client, channel)).boxed()
    }

    fn history<'a>(&'a self, client: &'a Peer, channel: &'a ChannelName) -> BoxFuture<'a, Result<(), Refusal>> {
        ready(may_use(client, channel)).boxed()
    }

    fn refresh<'a>(&'a self, client: &'a Peer, token: &'a str) -> BoxFuture<'a, Result<Option<Expiry>, Refusal>> {
        ready(self.extend(client, token)).boxed()
    }

    fn sub_refresh<'a>(
        &'a self,
        client: &'a Peer,
        channel: &'a ChannelName,
        token: &'a str,
    ) -> BoxFuture<'a, Result<Option<Duration>, Refusal>> {
        let claims = may_use(client, channel).and_then(|()| self.check_subscription(client, channel, token));
        ready(claims.and_then(|claims| time_left(&claims))).boxed()
    }

    fn options(&self, _: &ChannelName) -> Arc<ChannelOptions> {
        self.options.clone()
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
