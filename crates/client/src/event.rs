//! What a client tells its user: states, events and errors.

use tidings_protocol::{ClientInfo, Disconnect, Error, Payload, Publication, StreamPosition};

/// Codes that no server sends: the client itself ended a connection or subscription.
pub mod local {
    /// The user closed the client or ended the subscription.
    pub const CLOSED: u16 = 0;
    /// There is no valid token and no way to get one.
    pub const UNAUTHORIZED: u16 = 1;
    /// The server sent something that is not the protocol.
    pub const BAD_PROTOCOL: u16 = 2;
    /// The server sent a message above the limit, or said that ours was.
    pub const MESSAGE_TOO_LARGE: u16 = 3;
    /// The connection broke without a reason given; the client connects again.
    pub const TRANSPORT_CLOSED: u16 = 4;
    /// The server was silent for too long; the client connects again.
    pub const NO_PING: u16 = 5;
    /// The server did not answer in time; the client connects again.
    pub const NO_REPLY: u16 = 6;
    /// The subscription waits for its reader, who left too many events unread, and resumes by itself.
    pub const READER_BEHIND: u16 = 7;
}

/// Where a connection stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Not connected yet, or interrupted and trying again.
    Connecting {
        /// How many connections and attempts have failed since the last success.
        attempt: u32,
        /// What ended the connection or the last attempt.
        why: Option<Disconnect>,
    },
    /// Ready.
    Connected {
        /// The connection's id.
        client: String,
        /// The server's version.
        version: String,
    },
    /// Over for good: the user closed it, or the server said not to come back.
    Disconnected(Disconnect),
}

/// What happens to one subscription.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// It stands, for the first time or again.
    Subscribed(Subscribed),
    /// Something was published.
    Publication(Publication),
    /// Somebody came.
    Join(ClientInfo),
    /// Somebody went.
    Leave(ClientInfo),
    /// It is interrupted and comes back by itself; a recoverable one then delivers what was missed.
    Interrupted {
        /// Why, for programs: of the connection's close, of the unsubscribe push, or one of [`local`].
        code: u32,
        /// Why, for people.
        reason: String,
    },
    /// It is over: the last event.
    Unsubscribed {
        /// Why, for programs: of an error reply, of the unsubscribe push, of the connection's close, or one of [`local`].
        code: u32,
        /// Why, for people.
        reason: String,
    },
}

/// A subscription stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Subscribed {
    /// What happened in the meantime was asked for.
    pub was_recovering: bool,
    /// The publications that were missed follow, and nothing is missing. When `was_recovering` without it, reload.
    pub recovered: bool,
    /// Interruptions will be recovered from.
    pub recoverable: bool,
    /// Where the stream stands before the publications that follow; zero and empty when the channel has no positions.
    pub position: StreamPosition,
    /// From the application.
    pub data: Option<Payload>,
}

/// What happens in a channel that the server subscribed this connection to.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerEvent {
    /// The channel; empty for [`ServerEventKind::Message`].
    pub channel: String,
    /// What happened.
    pub kind: ServerEventKind,
}

/// What happened in a channel that the server subscribed this connection to, or to the connection itself.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ServerEventKind {
    /// As for a subscription of one's own.
    Event(Event),
    /// The application says something to this connection.
    Message(Option<Payload>),
}

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The server refused it.
    #[error("the server answered: {0}")]
    Refused(Error),
    /// The server did not answer in time, or there was no connection in time; it may have been carried out.
    #[error("no answer in time")]
    Timeout,
    /// The connection broke before the answer; it may have been carried out.
    #[error("the connection broke before the answer")]
    Interrupted,
    /// The client is disconnected for good.
    #[error("disconnected: {0}")]
    Disconnected(Disconnect),
    /// Too many requests wait already.
    #[error("more than {max} requests wait for an answer")]
    TooMany {
        /// [`limits::REQUESTS_MAX`](crate::limits::REQUESTS_MAX).
        max: usize,
    },
    /// The server answered a different question.
    #[error("the server's answer does not fit the request")]
    Unexpected,
}

/// Why a subscription cannot begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// This client has a subscription to the channel: share its events, or end it first.
    #[error("already subscribed to {0}")]
    AlreadySubscribed(String),
    /// A channel has a name.
    #[error("the channel's name is empty")]
    EmptyName,
    /// The client is disconnected for good.
    #[error("disconnected: {0}")]
    Disconnected(Disconnect),
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// Not the address of a WebSocket.
    #[error("{0:?} is no WebSocket address: expected ws://HOST[:PORT]/PATH or wss://…")]
    NotWebSocket(String),
    /// Not the address of an HTTP server.
    #[error("{0:?} is no HTTP address: expected http://HOST[:PORT] or https://…")]
    NotHttp(String),
    /// The API key holds bytes that no HTTP header carries.
    #[error("the API key holds characters that no header carries")]
    BadKey,
}
