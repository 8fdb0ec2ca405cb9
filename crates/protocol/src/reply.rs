//! What a server sends: answers, pushes and pings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::codes::{Disconnect, Error, Unsubscribe};
use crate::wire::{Zero, messages, null_is_absent};
use crate::{ConnectRequest, Payload};

/// One message of the server.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// The client shall answer with [`Command::PONG`](crate::Command::PONG).
    Ping,
    /// Something that was not asked for.
    Push(Push),
    /// What a command led to.
    Answer {
        /// The id of the command.
        id: u32,
        /// Its result.
        result: Result<Response, Error>,
    },
}

impl Reply {
    /// The command `id` succeeded.
    #[must_use]
    pub fn ok(id: u32, response: Response) -> Self {
        Self::Answer { id, result: Ok(response) }
    }

    /// The command `id` failed.
    #[must_use]
    pub fn error(id: u32, error: Error) -> Self {
        Self::Answer { id, result: Err(error) }
    }

    /// Something that was not asked for, in a channel.
    #[must_use]
    pub fn push(channel: impl Into<String>, event: PushEvent) -> Self {
        Self::Push(Push { channel: channel.into(), event })
    }
}

/// The results of the methods.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// Of connect.
    Connect(Box<ConnectResult>),
    /// Of subscribe.
    Subscribe(Box<SubscribeResult>),
    /// Of unsubscribe.
    Unsubscribe(UnsubscribeResult),
    /// Of publish.
    Publish(PublishResult),
    /// Of presence.
    Presence(PresenceResult),
    /// Of presence_stats.
    PresenceStats(PresenceStatsResult),
    /// Of history.
    History(HistoryResult),
    /// Of rpc.
    Rpc(RpcResult),
    /// Of refresh.
    Refresh(RefreshResult),
    /// Of sub_refresh.
    SubRefresh(SubRefreshResult),
}

/// Something that was not asked for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Push {
    /// The channel, or empty when it concerns the whole connection.
    #[serde(skip_serializing_if = "Zero::is_zero")]
    pub channel: String,
    /// What happened.
    #[serde(flatten)]
    pub event: PushEvent,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PushEvent {
    /// Data was published.
    Pub(Publication),
    /// Somebody came.
    Join(Join),
    /// Somebody went.
    Leave(Leave),
    /// The server ended a subscription of this connection.
    Unsubscribe(Unsubscribe),
    /// The application says something to this connection.
    Message(Message),
    /// The server subscribed this connection.
    Subscribe(Subscribe),
    /// First push on transports in one direction.
    Connect(Box<Connect>),
    /// Last push on transports that have no close code.
    Disconnect(Disconnect),
    /// The server extended or shortened the connection's life.
    Refresh(Refresh),
    /// A kind that this version does not know; to be ignored.
    #[serde(skip)]
    Unknown,
}

/// Who a connection is, as others in the channel see it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientInfo {
    /// The user; always written, empty when anonymous.
    #[serde(deserialize_with = "null_is_absent")]
    pub user: String,
    /// The connection; always written.
    #[serde(deserialize_with = "null_is_absent")]
    pub client: String,
    /// What the application attached to the connection.
    #[serde(skip_serializing_if = "Zero::is_zero")]
    pub conn_info: Option<Payload>,
    /// What the application attached to the subscription.
    #[serde(skip_serializing_if = "Zero::is_zero")]
    pub chan_info: Option<Payload>,
}

/// Who is in a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PresenceResult {
    /// By connection; always written.
    #[serde(deserialize_with = "null_is_absent")]
    pub presence: BTreeMap<String, ClientInfo>,
}

/// How many are in a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PresenceStatsResult {
    /// Connections; always written.
    #[serde(deserialize_with = "null_is_absent")]
    pub num_clients: u32,
    /// Different users; always written.
    #[serde(deserialize_with = "null_is_absent")]
    pub num_users: u32,
}

/// What was published in a channel.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HistoryResult {
    /// The publications; always written.
    #[serde(deserialize_with = "null_is_absent")]
    pub publications: Vec<Publication>,
    /// The stream that offsets count in; always written.
    #[serde(deserialize_with = "null_is_absent")]
    pub epoch: String,
    /// The newest offset; always written.
    #[serde(deserialize_with = "null_is_absent")]
    pub offset: u64,
}

messages! {
    /// A place in a channel's stream of publications.
    #[derive(Eq)]
    pub struct StreamPosition {
        /// How many publications the stream had.
        pub offset: u64,
        /// Which stream; it changes when numbering starts over.
        pub epoch: String,
    }

    /// One item of a channel.
    pub struct Publication {
        /// What was published.
        pub data: Option<Payload>,
        /// Who published it, when it was a client.
        pub info: Option<ClientInfo>,
        /// Its number in the stream, from 1; 0 when it is not part of it.
        pub offset: u64,
        /// For filters.
        pub tags: BTreeMap<String, String>,
        /// When, in milliseconds since the Unix epoch.
        pub time: i64,
        /// The channel, when it differs from the one that was subscribed.
        pub channel: String,
        /// The stream; sent with the first publication of it.
        pub epoch: String,
    }

    /// Somebody came.
    pub struct Join {
        /// As others see them from now on.
        pub info: ClientInfo,
    }

    /// Somebody went.
    pub struct Leave {
        /// As others saw them.
        pub info: ClientInfo,
    }

    /// The application says something to one connection.
    pub struct Message {
        /// In a form that the two agree on.
        pub data: Option<Payload>,
    }

    /// The server subscribed this connection to a channel.
    pub struct Subscribe {
        /// Recovery is possible.
        pub recoverable: bool,
        /// The stream.
        pub epoch: String,
        /// The newest offset.
        pub offset: u64,
        /// The server watches the position.
        pub positioned: bool,
        /// From the application.
        pub data: Option<Payload>,
    }

    /// The connection is accepted; on transports in one direction.
    pub struct Connect {
        /// The connection's id.
        pub client: String,
        /// The server's version.
        pub version: String,
        /// From the application.
        pub data: Option<Payload>,
        /// Server-side subscriptions.
        pub subs: BTreeMap<String, SubscribeResult>,
        /// The connection ends after `ttl` unless it is refreshed.
        pub expires: bool,
        /// Seconds.
        pub ttl: u32,
        /// Seconds between pings.
        pub ping: u32,
        /// Pings want an answer.
        pub pong: bool,
        /// For emulated transports.
        pub session: String,
        /// For emulated transports.
        pub node: String,
        /// Milliseconds since the Unix epoch.
        pub time: i64,
    }

    /// The connection's life was extended or shortened.
    pub struct Refresh {
        /// It ends after `ttl`.
        pub expires: bool,
        /// Seconds.
        pub ttl: u32,
    }

    /// The connection is accepted.
    pub struct ConnectResult {
        /// The connection's id.
        pub client: String,
        /// The server's version.
        pub version: String,
        /// The connection ends after `ttl` unless the client refreshes it.
        pub expires: bool,
        /// Seconds.
        pub ttl: u32,
        /// From the application.
        pub data: Option<Payload>,
        /// Server-side subscriptions.
        pub subs: BTreeMap<String, SubscribeResult>,
        /// Seconds between pings; 0 when there are none.
        pub ping: u32,
        /// Pings want an answer.
        pub pong: bool,
        /// For emulated transports.
        pub session: String,
        /// For emulated transports.
        pub node: String,
        /// Milliseconds since the Unix epoch.
        pub time: i64,
    }

    /// The subscription stands.
    pub struct SubscribeResult {
        /// It ends after `ttl` unless the client refreshes it.
        pub expires: bool,
        /// Seconds.
        pub ttl: u32,
        /// Recovery is possible.
        pub recoverable: bool,
        /// The stream.
        pub epoch: String,
        /// What was missed, oldest first.
        pub publications: Vec<Publication>,
        /// Everything that was missed is in `publications`.
        pub recovered: bool,
        /// Where the client stands before it applies `publications`.
        pub offset: u64,
        /// The server watches the position.
        pub positioned: bool,
        /// From the application.
        pub data: Option<Payload>,
        /// The client had asked to recover.
        pub was_recovering: bool,
    }

    /// The subscription is gone.
    pub struct UnsubscribeResult {}

    /// The data was accepted.
    pub struct PublishResult {}

    /// What the application answered.
    pub struct RpcResult {
        /// The answer.
        pub data: Option<Payload>,
    }

    /// The connection lives on.
    pub struct RefreshResult {
        /// The connection's id.
        pub client: String,
        /// The server's version.
        pub version: String,
        /// It ends after `ttl`.
        pub expires: bool,
        /// Seconds.
        pub ttl: u32,
    }

    /// The subscription lives on.
    pub struct SubRefreshResult {
        /// It ends after `ttl`.
        pub expires: bool,
        /// Seconds.
        pub ttl: u32,
    }
}

impl ConnectRequest {
    /// A request that proves itself by `token`.
    #[must_use]
    pub fn with_token(token: impl Into<String>) -> Self {
        Self { token: token.into(), ..Self::default() }
    }
}
