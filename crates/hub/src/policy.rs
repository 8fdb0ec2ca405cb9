//! Who may do what: the questions that the hub asks before it does anything.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tidings_protocol::{ConnectRequest, Disconnect, Error, Payload, SubscribeRequest};

use crate::{ChannelName, ChannelOptions, Identity, Peer};

/// Who may do what. Every command of a client that could reveal or change something asks it first; what the application
/// itself does for a client is its [`Application`](crate::Application).
///
/// Every question has [`Limits::operation_timeout`](crate::Limits::operation_timeout) for its answer; then its future is
/// dropped and the client gets error 100.
///
/// The hub registers a connection under its [`Identity`], and a subscription under its channel, *before* it asks.
/// Whoever revokes a right therefore first makes these methods say no and then gives the hub an
/// [`Order`](crate::Order) to unsubscribe or disconnect; nothing slips between.
/// So [`connect`](Self::connect) must check again that an identity known from the handshake is still good.
pub trait Policy: Send + Sync + 'static {
    /// A client introduces itself. `client.identity()` is what the transport knew already, such as a cookie's owner.
    fn connect<'a>(&'a self, client: &'a Peer, request: &'a ConnectRequest)
    -> BoxFuture<'a, Result<Accepted, Refusal>>;

    /// A client wants to receive a channel, or the server subscribes it (then the request has no token).
    fn subscribe<'a>(
        &'a self,
        client: &'a Peer,
        channel: &'a ChannelName,
        request: &'a SubscribeRequest,
    ) -> BoxFuture<'a, Result<Grant, Refusal>>;

    /// A client wants to publish.
    fn publish<'a>(
        &'a self,
        client: &'a Peer,
        channel: &'a ChannelName,
        data: &'a Payload,
    ) -> BoxFuture<'a, Result<PublishGrant, Refusal>>;

    /// A client wants to know who or how many are in a channel.
    fn presence<'a>(&'a self, client: &'a Peer, channel: &'a ChannelName) -> BoxFuture<'a, Result<(), Refusal>>;

    /// A client wants to read what was published in a channel.
    fn history<'a>(&'a self, client: &'a Peer, channel: &'a ChannelName) -> BoxFuture<'a, Result<(), Refusal>>;

    /// A client extends its connection by a new token; `None` means that it does not expire any more.
    ///
    /// [`Error::TOKEN_EXPIRED`] is no reply here, because clients take an error reply as final: it closes with 3005, and they
    /// come back with another token.
    fn refresh<'a>(&'a self, client: &'a Peer, token: &'a str) -> BoxFuture<'a, Result<Option<Expiry>, Refusal>> {
        let _ = (client, token);
        Box::pin(async { Err(Error::NOT_AVAILABLE.into()) })
    }

    /// A client extends a subscription by a new token; `None` means that it does not expire any more.
    ///
    /// [`Error::TOKEN_EXPIRED`] is no reply here either: it ends the subscription with 2501, and clients subscribe again with
    /// another token.
    fn sub_refresh<'a>(
        &'a self,
        client: &'a Peer,
        channel: &'a ChannelName,
        token: &'a str,
    ) -> BoxFuture<'a, Result<Option<Duration>, Refusal>> {
        let _ = (client, channel, token);
        Box::pin(async { Err(Error::NOT_AVAILABLE.into()) })
    }

    /// How a channel works; the same for everybody, and asked several times a command: answer with a copy of what is
    /// kept, not with something new.
    fn options(&self, channel: &ChannelName) -> Arc<ChannelOptions>;
}

/// The policy or the application says no.
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
    pub subscriptions: Vec<(ChannelName, Grant)>,
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
    /// What is otherwise for this subscription than the channel's options say.
    pub overrides: Overrides,
}

/// What is otherwise for one subscription than its channel's options say; `None`: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Overrides {
    /// Others see it in the channel's presence.
    pub presence: Option<bool>,
    /// Others are told that it comes and goes.
    pub says_join_leave: Option<bool>,
    /// It is told who comes and goes, without having asked: whom the server subscribes cannot ask.
    pub hears_join_leave: Option<bool>,
    /// It can recover what it missed, where something is kept.
    pub recovery: Option<bool>,
    /// Its position is watched, where something is kept.
    pub positioning: Option<bool>,
}

/// The publication is allowed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PublishGrant {
    /// Publish this instead of what the client sent.
    pub data: Option<Payload>,
}
