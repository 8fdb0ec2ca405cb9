//! Who may do what: the questions that the hub asks the application.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tidings_protocol::{ConnectRequest, Disconnect, Error, Payload, SubscribeRequest};

use crate::{Channel, History};

/// The application above the hub. Every command of a client that could reveal or change something asks it first.
///
/// The hub registers a connection under its [`Identity`], and a subscription under its channel, *before* it asks.
/// Whoever revokes a right therefore first makes these methods say no and then calls
/// [`Hub::unsubscribe`](crate::Hub::unsubscribe) or [`Hub::disconnect`](crate::Hub::disconnect); nothing slips between.
/// So [`connect`](Self::connect) must check again that an identity known from the handshake is still good.
pub trait Policy: Send + Sync + 'static {
    /// A client introduces itself. `client.identity()` is what the transport knew already, such as a cookie's owner.
    fn connect<'a>(
        &'a self,
        client: &'a Client,
        request: &'a ConnectRequest,
    ) -> BoxFuture<'a, Result<Accepted, Refusal>>;

    /// A client wants to receive a channel, or the server subscribes it (then the request has no token).
    fn subscribe<'a>(
        &'a self,
        client: &'a Client,
        channel: &'a Channel,
        request: &'a SubscribeRequest,
    ) -> BoxFuture<'a, Result<Grant, Refusal>>;

    /// A client wants to publish.
    fn publish<'a>(
        &'a self,
        client: &'a Client,
        channel: &'a Channel,
        data: &'a Payload,
    ) -> BoxFuture<'a, Result<PublishGrant, Refusal>>;

    /// A client wants to know who or how many are in a channel.
    fn presence<'a>(&'a self, client: &'a Client, channel: &'a Channel) -> BoxFuture<'a, Result<(), Refusal>>;

    /// A client wants to read what was published in a channel.
    fn history<'a>(&'a self, client: &'a Client, channel: &'a Channel) -> BoxFuture<'a, Result<(), Refusal>>;

    /// A client calls the application.
    fn rpc<'a>(
        &'a self,
        client: &'a Client,
        method: &'a str,
        data: Option<&'a Payload>,
    ) -> BoxFuture<'a, Result<Option<Payload>, Refusal>> {
        let _ = (client, method, data);
        Box::pin(async { Err(Error::METHOD_NOT_FOUND.into()) })
    }

    /// A client tells the application something; an error is not answered, a disconnect is carried out.
    fn send<'a>(&'a self, client: &'a Client, data: Option<&'a Payload>) -> BoxFuture<'a, Result<(), Refusal>> {
        let _ = (client, data);
        Box::pin(async { Err(Disconnect::NOT_AVAILABLE.into()) })
    }

    /// A client extends its connection by a new token; `None` means that it does not expire any more.
    fn refresh<'a>(&'a self, client: &'a Client, token: &'a str) -> BoxFuture<'a, Result<Option<Expiry>, Refusal>> {
        let _ = (client, token);
        Box::pin(async { Err(Error::NOT_AVAILABLE.into()) })
    }

    /// A client extends a subscription by a new token; `None` means that it does not expire any more.
    fn sub_refresh<'a>(
        &'a self,
        client: &'a Client,
        channel: &'a Channel,
        token: &'a str,
    ) -> BoxFuture<'a, Result<Option<Duration>, Refusal>> {
        let _ = (client, channel, token);
        Box::pin(async { Err(Error::NOT_AVAILABLE.into()) })
    }

    /// How a channel works; the same for everybody, and asked often.
    fn options(&self, channel: &Channel) -> ChannelOptions;
}

/// The application says no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Answer the command with this error; the connection goes on.
    Error(Error),
    /// Close the connection.
    Disconnect(Disconnect),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<Disconnect> for Refusal {
    fn from(disconnect: Disconnect) -> Self {
        Self::Disconnect(disconnect)
    }
}

/// Who is behind a connection.
#[derive(Clone, Default)]
pub struct Identity {
    /// The user, as others see it; empty when anonymous.
    pub user: String,
    /// A second name by which the server can reach the connection, such as the session it was opened from.
    pub tag: Option<String>,
    /// What others see beside the user (`conn_info`).
    pub info: Option<Payload>,
    /// Anything that the application wants to find again; see [`context`](Self::context).
    pub context: Option<Arc<dyn Any + Send + Sync>>,
}

impl Identity {
    /// What the application attached, when it is a `T`.
    #[must_use]
    pub fn context<T: Any>(&self) -> Option<&T> {
        self.context.as_ref()?.downcast_ref()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("user", &self.user).field("tag", &self.tag).finish_non_exhaustive()
    }
}

/// A connection, as the policy sees it.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) id: String,
    pub(crate) identity: Option<Arc<Identity>>,
}

impl Client {
    /// A client for tests of a policy.
    #[must_use]
    pub fn new(id: impl Into<String>, identity: Option<Identity>) -> Self {
        Self { id: id.into(), identity: identity.map(Arc::new) }
    }

    /// The connection's id, a random UUID.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Who it is: what the transport knew, replaced by what [`Policy::connect`] answered.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_deref()
    }

    /// The user; empty when unknown or anonymous.
    #[must_use]
    pub fn user(&self) -> &str {
        self.identity().map_or("", |identity| &identity.user)
    }

    /// What the application attached to the identity, when it is a `T`.
    #[must_use]
    pub fn context<T: Any>(&self) -> Option<&T> {
        self.identity()?.context()
    }
}

/// When a connection ends, counted from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// The client is told and must refresh before; it gets a grace period.
    Refreshable(Duration),
    /// The client is not told; the connection is closed then with 3005.
    Final(Duration),
}

/// The connection is accepted.
#[derive(Clone, Debug, Default)]
pub struct Accepted {
    /// Who it is from now on.
    pub identity: Identity,
    /// When it ends, if it does.
    pub expiry: Option<Expiry>,
    /// For the client.
    pub data: Option<Payload>,
    /// Server-side subscriptions: the client gets these channels without asking.
    pub subscriptions: Vec<(Channel, Grant)>,
}

/// The subscription is allowed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grant {
    /// What others see about this client in this channel (`chan_info`).
    pub info: Option<Payload>,
    /// For the client.
    pub data: Option<Payload>,
    /// When the subscription ends unless it is refreshed.
    pub expires_in: Option<Duration>,
}

/// The publication is allowed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PublishGrant {
    /// Publish this instead of what the client sent.
    pub data: Option<Payload>,
}

/// How a channel works.
#[derive(Clone, Default)]
pub struct ChannelOptions {
    /// Who keeps what was published.
    pub history: Source,
    /// Subscribers are positioned and can recover what they missed; needs history.
    pub recovery: bool,
    /// Clients may ask who is there.
    pub presence: bool,
    /// Subscribers hear who comes and goes.
    pub join_leave: JoinLeave,
}

/// Who keeps what was published in a channel.
#[derive(Clone, Default)]
pub enum Source {
    /// Nobody.
    #[default]
    None,
    /// The hub, in memory.
    Memory {
        /// At most so many publications.
        size: usize,
        /// Each at most so long.
        ttl: Duration,
    },
    /// The application, which then announces publications to the hub instead of publishing through it.
    External(Arc<dyn History>),
}

/// Which subscribers hear who comes and goes, up to [`Limits::join_leave_subscribers_max`](crate::Limits) of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JoinLeave {
    /// Nobody.
    #[default]
    Off,
    /// Those who ask when they subscribe.
    OnRequest,
    /// Everybody.
    Always,
}
