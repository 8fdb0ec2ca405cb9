//! What may be done with a client token: by the users of an application that publishes from its own backend, as its
//! namespaces say. The chat's channels are closed to them, and those that begin with `$` open by the backend's word alone.

#[cfg(test)]
mod tests;

use super::bearers::{Bearer, Bearers};
use crate::channels::{Channels, Namespace, NoChannel};
use crate::tokens::{Claims, GivenChannel, Operation, Subscription, TokenError, Tokens, is_loopback};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tidings_chat::{Chat, Clock, Denial, Denials, Verdict};
use tidings_hub::{
    Accepted, ChannelName, ChannelOptions, Expiry, Grant, Hub, Identity, Order, Overrides, Peer, Policy, PublishGrant,
    Refusal, Target,
};
use tidings_protocol::{ConnectRequest, Disconnect, Error, Payload, SubscribeRequest};

/// The policy for connections with a client token.
pub(crate) struct TokenPolicy {
    tokens: Arc<Tokens>,
    /// Tokens that are refused although they are good in themselves.
    denials: Denials,
    clock: Clock,
    doors: Doors,
    channels: Arc<Channels>,
    bearers: Bearers,
    /// Why users have no personal channel, by namespace, as far as it was logged.
    told: Mutex<BTreeSet<(String, String)>>,
    hub: OnceLock<Hub>,
    /// Held while a connection becomes the only one of its user.
    welcoming: Mutex<()>,
}

/// Who comes in beside those whose token names them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Doors {
    /// Whose token names nobody.
    pub(crate) anonymous_tokens: bool,
    /// Who has no token.
    pub(crate) anonymous: bool,
    /// Who has no token, and may do everything.
    pub(crate) insecure: bool,
}

/// The name by which the chat's own page introduces itself. Without a session it is nobody, also where others may be: it asks
/// who is signed in then.
const OWN_PAGE: &str = "web";

impl TokenPolicy {
    pub(crate) fn new(
        tokens: Arc<Tokens>,
        denials: Denials,
        clock: Clock,
        doors: Doors,
        channels: Arc<Channels>,
    ) -> Self {
        let (bearers, told, hub, welcoming) = Default::default();
        Self { tokens, denials, clock, doors, channels, bearers, told, hub, welcoming }
    }

    /// Whether somebody without a token is let in.
    pub(crate) fn lets_in_without_token(&self, request: &ConnectRequest) -> bool {
        (self.doors.anonymous || self.doors.insecure) && request.name != OWN_PAGE
    }

    /// What ends when something is denied.
    pub(crate) fn ended_by(&self) -> impl Fn(&Denial) -> Vec<Order> + use<> {
        let bearers = self.bearers.clone();
        move |denial| bearers.ended_by(denial)
    }

    /// Closes connections by this hub; a second one is not taken.
    pub(crate) fn close_by(&self, hub: Hub) {
        self.hub.set(hub).ok();
    }

    /// A connection is being told that it is one. Where a user has one at a time, those before it end.
    pub(crate) fn connected(&self, client: &Peer) {
        let Some(bearer) = client.context::<Bearer>() else { return };
        let hub =
            self.hub.get().filter(|_| !client.user().is_empty() && self.channels.table().has_single_connections());
        let Some(hub) = hub.cloned() else { return bearer.welcome() };
        let older = {
            // One after the other, or two that come at once would each end the other.
            let _one = self.welcoming.lock().unwrap_or_else(PoisonError::into_inner);
            let is_older = |peer: &Peer| peer.context::<Bearer>().is_some_and(Bearer::is_welcome);
            let target = Target::User(client.user().to_owned());
            let older = hub.connections_page(&target, None, None, usize::MAX, is_older);
            bearer.welcome();
            older
        };
        if !older.is_empty() {
            tokio::spawn(async move {
                for one in older {
                    hub.order(Order::disconnect(Target::Client(one.client), Disconnect::CONNECTION_LIMIT)).await;
                }
            });
        }
    }

    /// A subscription has ended.
    pub(crate) fn unsubscribed(&self, client: &Peer, channel: &ChannelName) {
        if let Some(bearer) = client.context::<Bearer>() {
            bearer.close(channel);
        }
    }

    /// What a connection token says; a subscription token is none.
    async fn check_connection(&self, token: &str) -> Result<Claims, Refusal> {
        match self.tokens.check(token).await {
            Ok(claims) if claims.subscription.is_none() => Ok(claims),
            Ok(_) | Err(TokenError::Invalid) => Err(Disconnect::INVALID_TOKEN.into()),
            Err(TokenError::Expired) => Err(Error::TOKEN_EXPIRED.into()),
            Err(TokenError::Unavailable) => Err(Error::INTERNAL.into()),
        }
    }

    /// Whether a token is refused that is good in itself. Whoever comes with it was entered before.
    fn verdict(&self, claims: &Claims, user: &str) -> Option<Verdict> {
        self.denials.check(&claims.presented(user), self.clock.now())
    }

    fn check_denials(&self, claims: &Claims) -> Result<(), Refusal> {
        match self.verdict(claims, &claims.user) {
            None => Ok(()),
            Some(Verdict::Revoked) => Err(Disconnect::INVALID_TOKEN.into()),
            Some(Verdict::Blocked) => Err(Disconnect::PERMISSION_DENIED.into()),
        }
    }

    async fn accept(&self, client: &Peer, request: &ConnectRequest) -> Result<Accepted, Refusal> {
        if request.token.is_empty() {
            return self.accept_without_token(client, request);
        }
        let mut claims = self.check_connection(&request.token).await?;
        if claims.user.is_empty() && !self.doors.anonymous_tokens {
            return Err(Disconnect::PERMISSION_DENIED.into());
        }
        let bearer = self.bearers.enter(client, &mut claims);
        self.check_denials(&claims)?;
        let mut subscriptions: Vec<_> = given(claims.given.channels).collect();
        let own = self.personal(&claims.user);
        let channels = subscriptions.iter().map(|(channel, _)| channel);
        if let Err((channel, refusal)) = self.channels.table().check_given(channels, &own) {
            let user = &claims.user;
            tracing::warn!(?user, %channel, ?refusal, "a client token of the application's own gives a channel that cannot be given here, so the connection is refused");
            return Err(refusal);
        }
        // Who it is, is told to all its connections: they hear of each other.
        let overrides = Overrides { hears_join_leave: Some(true), ..Overrides::default() };
        subscriptions.extend(own.into_iter().map(|channel| (channel, Grant { overrides, ..Grant::default() })));
        Ok(Accepted {
            subscriptions,
            identity: identity(claims.user, claims.info, bearer),
            expiry: claims.lasts.map(Expiry::Refreshable),
            data: None,
        })
    }

    /// The channels of a user's own. That a name makes none is said once for each reason, since users come and go.
    fn personal(&self, user: &str) -> Vec<ChannelName> {
        let mut own = Vec::new();
        for channel in self.channels.table().personal(user) {
            match channel {
                Ok(channel) => own.push(channel),
                Err(NoChannel { namespace, why }) => {
                    let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
                    if told.insert((namespace.to_owned(), why.clone())) {
                        tracing::warn!(
                            ?user,
                            namespace,
                            why,
                            "a user has no personal channel, because their name makes none; nothing is said of the next ones"
                        );
                    }
                }
            }
        }
        own
    }

    fn accept_without_token(&self, client: &Peer, request: &ConnectRequest) -> Result<Accepted, Refusal> {
        if !self.lets_in_without_token(request) {
            return Err(Disconnect::BAD_REQUEST.into());
        }
        // A page that has another site's name lead to this machine comes from this server for its browser.
        if self.doors.insecure && !client.header("origin").is_none_or(is_of_this_machine) {
            return Err(Disconnect::PERMISSION_DENIED.into());
        }
        let bearer = self.bearers.enter_nobody(client, self.doors.insecure);
        Ok(Accepted { identity: identity(String::new(), None, bearer), ..Accepted::default() })
    }

    async fn extend(&self, client: &Peer, token: &str) -> Result<Option<Expiry>, Refusal> {
        let Some(bearer) = client.context::<Bearer>() else { return Err(Error::NOT_AVAILABLE.into()) };
        let claims = self.check_connection(token).await?;
        if claims.user != client.user() {
            return Err(Disconnect::INVALID_TOKEN.into());
        }
        // Rights that changed take effect by connecting anew: what was taken away ends at once.
        if !bearer.was_given(&claims.given) {
            return Err(Disconnect::INSUFFICIENT_STATE.into());
        }
        bearer.renew(&claims);
        self.check_denials(&claims)?;
        Ok(claims.lasts.map(Expiry::Refreshable))
    }

    /// What a subscription token for this client and channel says. One without a channel opens none.
    async fn check_subscription(
        &self,
        client: &Peer,
        channel: &ChannelName,
        token: &str,
    ) -> Result<(Claims, Subscription), Refusal> {
        let bearer = bearer_of(client, channel)?;
        let mut claims = self.tokens.check(token).await.map_err(|error| match error {
            TokenError::Expired => Error::TOKEN_EXPIRED,
            TokenError::Invalid => Error::PERMISSION_DENIED,
            TokenError::Unavailable => Error::INTERNAL,
        })?;
        let Some(subscription) = &claims.subscription else { return Err(Error::PERMISSION_DENIED.into()) };
        let is_theirs = match &subscription.client {
            Some(named) => *named == client.id() && (claims.user.is_empty() || claims.user == client.user()),
            None => claims.user == client.user(),
        };
        if subscription.channel != channel.as_str() || !is_theirs {
            return Err(Disconnect::INVALID_TOKEN.into());
        }
        bearer.open(channel, &claims);
        if self.verdict(&claims, client.user()).is_some() {
            bearer.close(channel);
            return Err(Error::PERMISSION_DENIED.into());
        }
        let subscription = claims.subscription.take().unwrap_or_default();
        Ok((claims, subscription))
    }

    async fn grant(&self, client: &Peer, channel: &ChannelName, request: &SubscribeRequest) -> Result<Grant, Refusal> {
        let bearer = bearer_of(client, channel)?;
        if bearer.is_insecure() {
            self.channels.table().find(channel)?;
            return Ok(Grant::default());
        }
        let by_token = match &*request.token {
            "" => {
                // Of one that had a token and did not come to be.
                bearer.close(channel);
                None
            }
            token => {
                // Before it is checked: who comes for nothing waits for nothing.
                self.takes_tokens(channel)?;
                Some(self.check_subscription(client, channel, token).await?)
            }
        };
        let granted = self.grant_checked(client, bearer, channel, by_token);
        granted.inspect_err(|_| bearer.close(channel))
    }

    /// The backend's word opens private channels, and those of others, but not what is closed to everybody.
    fn takes_tokens(&self, channel: &ChannelName) -> Result<(), Error> {
        let takes = self.channels.table().find(channel)?.namespace.rules.subscribe.token;
        if takes { Ok(()) } else { Err(Error::PERMISSION_DENIED) }
    }

    fn grant_checked(
        &self,
        client: &Peer,
        bearer: &Bearer,
        channel: &ChannelName,
        by_token: Option<(Claims, Subscription)>,
    ) -> Result<Grant, Refusal> {
        let table = self.channels.table();
        let place = table.find(channel)?;
        let grant = match by_token {
            Some((claims, Subscription { overrides, .. })) => {
                Grant { info: claims.info, expires_in: claims.lasts, overrides, ..Grant::default() }
            }
            None => {
                let rule = place.namespace.rules.subscribe;
                let by_name = match place.names(client.user()) {
                    _ if place.is_private => false,
                    Some(named) => named,
                    None => rule.allows(client.user(), || false),
                };
                let may = by_name || (rule.token && bearer.token_allows(channel, Operation::Subscribe, || false));
                if !may {
                    return Err(Error::PERMISSION_DENIED.into());
                }
                Grant::default()
            }
        };
        if let Some(max) = place.namespace.channels_per_connection_max {
            let is_alike = |one: &ChannelName| table.find(one).is_ok_and(|other| other.is_in(&place.namespace));
            // It has entered this one already.
            if client.subscriptions().iter().filter(|one| is_alike(one)).count() > max {
                return Err(Error::LIMIT_EXCEEDED.into());
            }
        }
        Ok(grant)
    }

    /// Publishing, history and presence: where the namespace allows it, in a private channel those who are subscribed, and
    /// whoever's token says so.
    fn may(&self, client: &Peer, channel: &ChannelName, wish: Operation) -> Result<Arc<Namespace>, Refusal> {
        let bearer = bearer_of(client, channel)?;
        let table = self.channels.table();
        let place = table.find(channel)?;
        let rules = &place.namespace.rules;
        let rule = match wish {
            Operation::Subscribe => rules.subscribe,
            Operation::Publish => rules.publish,
            Operation::Presence => rules.presence,
            Operation::History => rules.history,
        };
        if bearer.is_insecure() || (rule.token && bearer.token_allows(channel, wish, || client.is_subscribed(channel)))
        {
            return Ok(place.namespace);
        }
        let is_subscribed = || client.is_subscribed(channel);
        let is_let_in = match place.names(client.user()) {
            _ if place.is_private => is_subscribed(),
            Some(is_named) => is_named || is_subscribed(),
            None => true,
        };
        if is_let_in && rule.allows(client.user(), is_subscribed) {
            return Ok(place.namespace);
        }
        Err(Error::PERMISSION_DENIED.into())
    }

    fn may_publish(&self, client: &Peer, channel: &ChannelName, data: &Payload) -> Result<PublishGrant, Refusal> {
        let namespace = self.may(client, channel, Operation::Publish)?;
        namespace.check(data, namespace.publication_bytes_max)?;
        if let Some(rate) = namespace.publishes
            && !bearer_of(client, channel)?.may_publish(&namespace.name, rate, Instant::now())
        {
            return Err(Error::TOO_MANY_REQUESTS.into());
        }
        Ok(PublishGrant::default())
    }

    async fn extend_subscription(
        &self,
        client: &Peer,
        channel: &ChannelName,
        token: &str,
    ) -> Result<Option<Duration>, Refusal> {
        self.takes_tokens(channel)?;
        match self.check_subscription(client, channel, token).await {
            Ok((claims, _)) => Ok(claims.lasts),
            // Whoever had a good token and comes with a bad one is not to be trusted with the rest.
            Err(Refusal::Error(error)) if error == Error::PERMISSION_DENIED && bearer_of(client, channel).is_ok() => {
                Err(Disconnect::INVALID_TOKEN.into())
            }
            Err(refusal) => Err(refusal),
        }
    }
}

fn identity(user: String, info: Option<Payload>, bearer: Arc<Bearer>) -> Identity {
    Identity { user, tag: None, info, context: Some(bearer) }
}

/// Whether a page's origin is a server of this machine.
fn is_of_this_machine(origin: &str) -> bool {
    origin.parse::<http::Uri>().ok().as_ref().and_then(http::Uri::host).is_some_and(is_loopback)
}

/// The channels of a connection token that it can give: the chat's are not the application's to give.
fn given(channels: BTreeMap<String, GivenChannel>) -> impl Iterator<Item = (ChannelName, Grant)> {
    channels.into_iter().filter_map(|(name, GivenChannel { info, data, overrides })| {
        let channel = ChannelName::parse(&name).ok().filter(|channel| !Chat::owns(channel))?;
        Some((channel, Grant { info, data, overrides, ..Grant::default() }))
    })
}

/// Whoever came with a token, or without any, may ask for every channel but the chat's.
fn bearer_of<'a>(client: &'a Peer, channel: &ChannelName) -> Result<&'a Bearer, Refusal> {
    let bearer = client.context::<Bearer>().filter(|_| !Chat::owns(channel));
    bearer.ok_or_else(|| Error::PERMISSION_DENIED.into())
}

impl Policy for TokenPolicy {
    fn connect<'a>(
        &'a self,
        client: &'a Peer,
        request: &'a ConnectRequest,
    ) -> BoxFuture<'a, Result<Accepted, Refusal>> {
        self.accept(client, request).boxed()
    }

    fn subscribe<'a>(
        &'a self,
        client: &'a Peer,
        channel: &'a ChannelName,
        request: &'a SubscribeRequest,
    ) -> BoxFuture<'a, Result<Grant, Refusal>> {
        self.grant(client, channel, request).boxed()
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
        ready(self.may(client, channel, Operation::Presence).map(drop)).boxed()
    }

    fn history<'a>(&'a self, client: &'a Peer, channel: &'a ChannelName) -> BoxFuture<'a, Result<(), Refusal>> {
        ready(self.may(client, channel, Operation::History).map(drop)).boxed()
    }

    fn refresh<'a>(&'a self, client: &'a Peer, token: &'a str) -> BoxFuture<'a, Result<Option<Expiry>, Refusal>> {
        self.extend(client, token).boxed()
    }

    fn sub_refresh<'a>(
        &'a self,
        client: &'a Peer,
        channel: &'a ChannelName,
        token: &'a str,
    ) -> BoxFuture<'a, Result<Option<Duration>, Refusal>> {
        self.extend_subscription(client, channel, token).boxed()
    }

    fn options(&self, channel: &ChannelName) -> Arc<ChannelOptions> {
        self.channels.table().options(channel)
    }
}
