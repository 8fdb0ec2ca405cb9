//! What may be done with a client token: by the users of an application that publishes from its own backend, as its
//! namespaces say. The chat's channels are closed to them, and those that begin with `$` open by the backend's word alone.

use crate::channels::{Channels, Namespace};
use crate::tokens::{Claims, Given, TokenError, Tokens};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tidings_chat::Chat;
use tidings_hub::{
    Accepted, ChannelName, ChannelOptions, Expiry, Grant, Identity, Overrides, Peer, Policy, PublishGrant, Rate,
    Refusal,
};
use tidings_protocol::{ConnectRequest, Disconnect, Error, Payload, SubscribeRequest};

/// The policy for connections with a client token.
pub(crate) struct TokenPolicy {
    tokens: Arc<Tokens>,
    /// Whether a token without a user connects.
    anonymous: bool,
    channels: Arc<Channels>,
}

/// The context of a connection that came with a client token.
struct TokenUser {
    /// Of what the token had the server subscribe it to, and with what: a refresh must say the same.
    given: u64,
    /// How much it may still publish in the namespaces that bound it.
    publishes: Mutex<BTreeMap<String, Bucket>>,
}

/// What a client wants of a channel.
#[derive(Clone, Copy)]
enum Wish {
    Publish,
    Presence,
    History,
}

impl TokenPolicy {
    pub(crate) fn new(tokens: Arc<Tokens>, anonymous: bool, channels: Arc<Channels>) -> Self {
        Self { tokens, anonymous, channels }
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
        let context = TokenUser { given: digest(&claims.channels), publishes: Mutex::default() };
        let context = Some(Arc::new(context) as _);
        let mut subscriptions: Vec<_> = given(claims.channels).collect();
        // Who it is, is told to all its connections: they hear of each other.
        let overrides = Overrides { hears_join_leave: Some(true), ..Overrides::default() };
        let own = self.channels.table();
        let own = own.personal(&claims.user).map(|channel| (channel, Grant { overrides, ..Grant::default() }));
        subscriptions.extend(own);
        Ok(Accepted {
            subscriptions,
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
        let table = self.channels.table();
        let place = table.find(channel)?;
        let rule = place.namespace.rules.subscribe;
        let grant = if request.token.is_empty() {
            let by_name = match place.names(client.user()) {
                _ if place.is_private => false,
                Some(named) => named,
                None => rule.allows(client.user(), || false, false),
            };
            if by_name { Ok(Grant::default()) } else { Err(Error::PERMISSION_DENIED.into()) }
        } else {
            let claims = self.check_subscription(client, channel, &request.token)?;
            // The backend's word opens private channels, and those of others, but not what is closed to everybody.
            if !rule.token {
                return Err(Error::PERMISSION_DENIED.into());
            }
            Ok(Grant { info: claims.info, expires_in: claims.lasts, ..Grant::default() })
        };
        if let Some(max) = place.namespace.channels_per_connection_max {
            let is_alike = |one: &ChannelName| table.find(one).is_ok_and(|other| other.is_in(&place.namespace));
            // It has entered this one already.
            if client.subscriptions().iter().filter(|one| is_alike(one)).count() > max {
                return Err(Error::LIMIT_EXCEEDED.into());
            }
        }
        grant
    }

    /// Publishing, history and presence: where the namespace allows it, and in a private channel those who are subscribed.
    fn may(&self, client: &Peer, channel: &ChannelName, wish: Wish) -> Result<Arc<Namespace>, Refusal> {
        may_enter(client, channel)?;
        let table = self.channels.table();
        let place = table.find(channel)?;
        let rules = &place.namespace.rules;
        let rule = match wish {
            Wish::Publish => rules.publish,
            Wish::Presence => rules.presence,
            Wish::History => rules.history,
        };
        let is_subscribed = || client.is_subscribed(channel);
        let is_let_in = match place.names(client.user()) {
            _ if place.is_private => is_subscribed(),
            Some(is_named) => is_named || is_subscribed(),
            None => true,
        };
        if is_let_in && rule.allows(client.user(), is_subscribed, false) {
            return Ok(place.namespace);
        }
        Err(Error::PERMISSION_DENIED.into())
    }

    fn may_publish(&self, client: &Peer, channel: &ChannelName, data: &Payload) -> Result<PublishGrant, Refusal> {
        let namespace = self.may(client, channel, Wish::Publish)?;
        namespace.check(data, namespace.publication_bytes_max)?;
        if let (Some(rate), Some(user)) = (namespace.publishes, client.context::<TokenUser>()) {
            let mut buckets = user.publishes.lock().unwrap_or_else(PoisonError::into_inner);
            if !buckets.entry(namespace.name.clone()).or_default().take(rate, Instant::now()) {
                return Err(Error::TOO_MANY_REQUESTS.into());
            }
        }
        Ok(PublishGrant::default())
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

/// Whoever came with a token may ask for every channel but the chat's.
fn may_enter(client: &Peer, channel: &ChannelName) -> Result<(), Refusal> {
    if client.context::<TokenUser>().is_some() && !Chat::owns(channel) {
        Ok(())
    } else {
        Err(Error::PERMISSION_DENIED.into())
    }
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
        data: &'a Payload,
    ) -> BoxFuture<'a, Result<PublishGrant, Refusal>> {
        ready(self.may_publish(client, channel, data)).boxed()
    }

    fn presence<'a>(&'a self, client: &'a Peer, channel: &'a ChannelName) -> BoxFuture<'a, Result<(), Refusal>> {
        ready(self.may(client, channel, Wish::Presence).map(drop)).boxed()
    }

    fn history<'a>(&'a self, client: &'a Peer, channel: &'a ChannelName) -> BoxFuture<'a, Result<(), Refusal>> {
        ready(self.may(client, channel, Wish::History).map(drop)).boxed()
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

    fn options(&self, channel: &ChannelName) -> Arc<ChannelOptions> {
        self.channels.table().options(channel)
    }
}

/// What is left of a rate.
#[derive(Default)]
struct Bucket {
    /// What was taken and is not earned again yet.
    taken: f64,
    counted_at: Option<Instant>,
}

impl Bucket {
    fn take(&mut self, rate: Rate, now: Instant) -> bool {
        let since = self.counted_at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.taken = (self.taken - since.as_secs_f64() * f64::from(rate.per_second)).max(0.0);
        self.counted_at = Some(now);
        let may = self.taken + 1.0 <= f64::from(rate.burst);
        self.taken += if may { 1.0 } else { 0.0 };
        may
    }
}
