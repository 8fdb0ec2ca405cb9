//! What may be done with a client token: by the users of an application that publishes from its own backend. The chat's
//! channels are closed to them, and those that begin with `$` open by the backend's word alone.

use crate::limits::{HISTORY_SIZE, HISTORY_TTL};
use crate::tokens::{Claims, Given, TokenError, Tokens};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tidings_chat::Chat;
use tidings_hub::{
    Accepted, ChannelName, ChannelOptions, Expiry, Grant, Identity, Offered, Overrides, Peer, Policy, PublishGrant,
    Refusal, Source,
};
use tidings_protocol::{ConnectRequest, Disconnect, Error, Payload, SubscribeRequest};

/// The policy for connections with a client token.
pub(crate) struct TokenPolicy {
    tokens: Arc<Tokens>,
    /// Whether a token without a user connects.
    anonymous: bool,
    /// How every channel of theirs works.
    options: Arc<ChannelOptions>,
}

/// The context of a connection that came with a client token.
struct TokenUser {
    /// Of what the token had the server subscribe it to, and with what: a refresh must say the same.
    given: u64,
}

impl TokenPolicy {
    pub(crate) fn new(tokens: Arc<Tokens>, anonymous: bool) -> Self {
        let options = ChannelOptions {
            history: Source::memory(HISTORY_SIZE, HISTORY_TTL),
            recovery: Offered::Always,
            presence: true,
            join_leave: Offered::OnRequest,
            ..ChannelOptions::default()
        };
        Self { tokens, anonymous, options: Arc::new(options) }
    }

    /// What a connection token says; a subscription token is none.
    fn check_connection(&self, token: &str) -> Result<Claims, Refusal> {
        match self.tokens.check(token) {
            Ok(claims) if claims.channel.is_none() => Ok(claims),
            Ok(_) | Err(TokenError::Invalid) => Err(Disconnect::INVALID_TOKEN.into()),
            Err(TokenError::Expired) => Err(Error::TOKEN_EXPIRED.into()),
        }
    }

    fn accept(&self, token: &str) -> Result<Accepted, Refusal> {
        let claims = self.check_connection(token)?;
        if claims.user.is_empty() && !self.anonymous {
            return Err(Disconnect::PERMISSION_DENIED.into());
        }
        let context = Some(Arc::new(TokenUser { given: digest(&claims.channels) }) as _);
        Ok(Accepted {
            subscriptions: given(claims.channels).collect(),
            identity: Identity { user: claims.user, tag: None, info: claims.info, context },
            expiry: claims.lasts.map(Expiry::Refreshable),
            data: None,
        })
    }

    fn extend(&self, client: &Peer, token: &str) -> Result<Option<Expiry>, Refusal> {
        let Some(user) = client.context::<TokenUser>() else { return Err(Error::NOT_AVAILABLE.into()) };
        let claims = self.check_connection(token)?;
        if claims.user != client.user() {
            return Err(Disconnect::INVALID_TOKEN.into());
        }
        // Rights that changed take effect by connecting anew: what was taken away ends at once.
        if digest(&claims.channels) != user.given {
            return Err(Disconnect::INSUFFICIENT_STATE.into());
        }
        Ok(claims.lasts.map(Expiry::Refreshable))
    }

    /// What a subscription token for this client and channel says. One without a channel opens none.
    fn check_subscription(&self, client: &Peer, channel: &ChannelName, token: &str) -> Result<Claims, Refusal> {
        let claims = self.tokens.check(token).map_err(|error| match error {
            TokenError::Expired => Error::TOKEN_EXPIRED,
            TokenError::Invalid => Error::PERMISSION_DENIED,
        })?;
        match &claims.channel {
            None => Err(Error::PERMISSION_DENIED.into()),
            Some(name) if name == channel.as_str() && claims.user == client.user() => Ok(claims),
            Some(_) => Err(Disconnect::INVALID_TOKEN.into()),
        }
    }

    fn grant(&self, client: &Peer, channel: &ChannelName, request: &SubscribeRequest) -> Result<Grant, Refusal> {
        may_enter(client, channel)?;
        if request.token.is_empty() {
            return if is_private(channel) { Err(Error::PERMISSION_DENIED.into()) } else { Ok(Grant::default()) };
        }
        let claims = self.check_subscription(client, channel, &request.token)?;
        Ok(Grant { info: claims.info, expires_in: claims.lasts, ..Grant::default() })
    }

    fn extend_subscription(
        &self,
        client: &Peer,
        channel: &ChannelName,
        token: &str,
    ) -> Result<Option<Duration>, Refusal> {
        may_enter(client, channel)?;
        match self.check_subscription(client, channel, token) {
            Ok(claims) => Ok(claims.lasts),
            // Whoever had a good token and comes with a bad one is not to be trusted with the rest.
            Err(Refusal::Error(error)) if error == Error::PERMISSION_DENIED => Err(Disconnect::INVALID_TOKEN.into()),
            Err(refusal) => Err(refusal),
        }
    }
}

/// By which two tokens' channels, and what is said of them, are compared; a connection need not hold them for that.
fn digest(channels: &BTreeMap<String, Given>) -> u64 {
    let mut hasher = DefaultHasher::new();
    channels.hash(&mut hasher);
    hasher.finish()
}

/// The channels of a connection token that it can give: the chat's are not the application's to give.
fn given(channels: BTreeMap<String, Given>) -> impl Iterator<Item = (ChannelName, Grant)> {
    channels.into_iter().filter_map(|(name, Given { info, data, join_leave })| {
        let channel = ChannelName::parse(&name).ok().filter(|channel| !Chat::owns(channel))?;
        let overrides = Overrides { hears_join_leave: join_leave.then_some(true), ..Overrides::default() };
        Some((channel, Grant { info, data, overrides, ..Grant::default() }))
    })
}

/// Whether a channel is open to those alone whom the backend lets in, by a subscription token or by naming it in the
/// connection token.
fn is_private(channel: &ChannelName) -> bool {
    channel.as_str().starts_with('$')
}

/// Whoever came with a token may ask for every channel but the chat's.
fn may_enter(client: &Peer, channel: &ChannelName) -> Result<(), Refusal> {
    if client.context::<TokenUser>().is_some() && !Chat::owns(channel) {
        Ok(())
    } else {
        Err(Error::PERMISSION_DENIED.into())
    }
}

/// Publishing, history and presence: of a private channel only for those who are subscribed to it.
fn may_use(client: &Peer, channel: &ChannelName) -> Result<(), Refusal> {
    may_enter(client, channel)?;
    if is_private(channel) && !client.is_subscribed(channel) {
        return Err(Error::PERMISSION_DENIED.into());
    }
    Ok(())
}

impl Policy for TokenPolicy {
    fn connect<'a>(&'a self, _: &'a Peer, request: &'a ConnectRequest) -> BoxFuture<'a, Result<Accepted, Refusal>> {
        ready(self.accept(&request.token)).boxed()
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
        ready(self.extend_subscription(client, channel, token)).boxed()
    }

    fn options(&self, _: &ChannelName) -> Arc<ChannelOptions> {
        self.options.clone()
    }
}
