//! What a server sends: answers, pushes and pings.

use std::collections::BTreeMap;

use serde::Deserializer;

use crate::codes::{Disconnect, Error, Unsubscribe};
use crate::proto3::{self, Malformed, Value};
use crate::wire::{Field, choices, messages, null_is_absent};
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
        Self::Push(Push { id: 0, channel: channel.into(), event })
    }
}

choices! {
    /// The results of the methods.
    pub enum Response {
        /// Of connect.
        Connect(Box<ConnectResult>) = 5 connect,
        /// Of subscribe.
        Subscribe(Box<SubscribeResult>) = 6 subscribe,
        /// Of unsubscribe.
        Unsubscribe(UnsubscribeResult) = 7 unsubscribe,
        /// Of publish.
        Publish(PublishResult) = 8 publish,
        /// Of presence.
        Presence(PresenceResult) = 9 presence,
        /// Of presence_stats.
        PresenceStats(PresenceStatsResult) = 10 presence_stats,
        /// Of history.
        History(HistoryResult) = 11 history,
        /// Of rpc.
        Rpc(RpcResult) = 13 rpc,
        /// Of refresh.
        Refresh(RefreshResult) = 14 refresh,
        /// Of sub_refresh.
        SubRefresh(SubRefreshResult) = 15 sub_refresh,
    }
    /// A reply as it stands in a frame.
    struct WireReply {
        id: u32 = 1,
        error: Option<Error> = 2,
        push: Option<WirePush> = 4,
    }
}

impl From<WireReply> for Reply {
    fn from(mut wire: WireReply) -> Self {
        if let Some(push) = wire.push {
            return Self::Push(push.into());
        }
        if let Some(error) = wire.error {
            return Self::error(wire.id, error);
        }
        match wire.choice() {
            Some(response) => Self::ok(wire.id, response),
            // A reply of a kind that we do not know keeps the connection alive like a ping; nobody waits for it.
            None => Self::Ping,
        }
    }
}

/// Something that was not asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Push {
    /// The number that stands for the channel, as [`SubscribeResult::id`] said; 0 when `channel` names it.
    pub id: i64,
    /// The channel, or empty when it concerns the whole connection.
    pub channel: String,
    /// What happened.
    pub event: PushEvent,
}

impl Push {
    /// How it names its channel.
    #[must_use]
    pub fn label(&self) -> Label<'_> {
        if self.id > 0 { Label::Number(self.id) } else { Label::Channel(&self.channel) }
    }
}

/// How a push names its channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Label<'a> {
    /// By its name; empty when the push concerns the whole connection.
    Channel(&'a str),
    /// By the number, above 0, that [`SubscribeResult::id`] gave it on this connection.
    Number(i64),
}

choices! {
    /// What happened.
    pub enum PushEvent {
        /// Data was published.
        Pub(Publication) = 4 r#pub,
        /// Somebody came.
        Join(Join) = 5 join,
        /// Somebody went.
        Leave(Leave) = 6 leave,
        /// The server ended a subscription of this connection.
        Unsubscribe(Unsubscribe) = 7 unsubscribe,
        /// The application says something to this connection.
        Message(Message) = 8 message,
        /// The server subscribed this connection.
        Subscribe(Subscribe) = 9 subscribe,
        /// First push on transports in one direction.
        Connect(Box<Connect>) = 10 connect,
        /// Last push on transports that have no close code.
        Disconnect(Disconnect) = 11 disconnect,
        /// The server extended or shortened the connection's life.
        Refresh(Refresh) = 12 refresh,
        ;
        /// A kind that this version does not know; to be ignored.
        #[serde(skip)]
        Unknown
    }
    /// A push as it stands in a frame.
    struct WirePush {
        id: i64 = 1,
        channel: String = 2,
    }
}

impl From<WirePush> for Push {
    fn from(mut wire: WirePush) -> Self {
        let event = wire.choice().unwrap_or(PushEvent::Unknown);
        Self { id: wire.id, channel: wire.channel, event }
    }
}

messages! {
    /// Who a connection is, as others in the channel see it.
    #[derive(Eq)]
    pub struct ClientInfo with zeros {
        /// The user; in JSON always written, empty when anonymous.
        pub user: String = 1,
        /// The connection; in JSON always written.
        pub client: String = 2,
        /// What the application attached to the connection.
        pub conn_info: Option<Payload> = 3,
        /// What the application attached to the subscription.
        pub chan_info: Option<Payload> = 4,
    }

    /// Who is in a channel.
    #[derive(Eq)]
    pub struct PresenceResult with zeros {
        /// By connection; in JSON always written.
        pub presence: BTreeMap<String, ClientInfo> = 1,
    }

    /// How many are in a channel.
    #[derive(Copy, Eq)]
    pub struct PresenceStatsResult with zeros {
        /// Connections; in JSON always written.
        pub num_clients: u32 = 1,
        /// Different users; in JSON always written.
        pub num_users: u32 = 2,
    }

    /// What was published in a channel.
    pub struct HistoryResult with zeros {
        /// The publications; in JSON always written.
        pub publications: Vec<Publication> = 1,
        /// The stream that offsets count in; in JSON always written.
        pub epoch: String = 2,
        /// The newest offset; in JSON always written.
        pub offset: u64 = 3,
    }

    /// A place in a channel's stream of publications.
    #[derive(Eq)]
    pub struct StreamPosition {
        /// How many publications the stream had.
        pub offset: u64 = 1,
        /// Which stream; it changes when numbering starts over.
        pub epoch: String = 2,
    }

    /// One item of a channel.
    pub struct Publication {
        /// What was published.
        pub data: Option<Payload> = 4,
        /// Who published it, when it was a client.
        pub info: Option<ClientInfo> = 5,
        /// Its number in the stream, from 1; 0 when it is not part of it.
        pub offset: u64 = 6,
        /// For filters.
        pub tags: BTreeMap<String, String> = 7,
        /// `data` is a [delta](crate::fossil) against the publication before, which the subscriber has.
        pub delta: bool = 8,
        /// When, in milliseconds since the Unix epoch.
        pub time: i64 = 9,
        /// The channel, when it differs from the one that was subscribed.
        pub channel: String = 10,
        /// The stream; sent with the first publication of it.
        pub epoch: String = 14,
        /// The application's version of the data, where it has one.
        pub version: u64 = 16,
    }

    /// Somebody came.
    pub struct Join {
        /// As others see them from now on.
        pub info: ClientInfo = 1,
    }

    /// Somebody went.
    pub struct Leave {
        /// As others saw them.
        pub info: ClientInfo = 1,
    }

    /// The application says something to one connection.
    pub struct Message {
        /// In a form that the two agree on.
        pub data: Option<Payload> = 1,
    }

    /// The server subscribed this connection to a channel.
    pub struct Subscribe {
        /// Recovery is possible.
        pub recoverable: bool = 1,
        /// The stream.
        pub epoch: String = 4,
        /// The newest offset.
        pub offset: u64 = 5,
        /// The server watches the position.
        pub positioned: bool = 6,
        /// From the application.
        pub data: Option<Payload> = 7,
    }

    /// The connection is accepted; on transports in one direction.
    pub struct Connect {
        /// The connection's id.
        pub client: String = 1,
        /// The server's version.
        pub version: String = 2,
        /// From the application.
        pub data: Option<Payload> = 3,
        /// Server-side subscriptions.
        pub subs: BTreeMap<String, SubscribeResult> = 4,
        /// The connection ends after `ttl` unless it is refreshed.
        pub expires: bool = 5,
        /// Seconds.
        pub ttl: u32 = 6,
        /// Seconds between pings.
        pub ping: u32 = 7,
        /// Pings want an answer.
        pub pong: bool = 8,
        /// For emulated transports.
        pub session: String = 9,
        /// For emulated transports.
        pub node: String = 10,
        /// Milliseconds since the Unix epoch.
        pub time: i64 = 11,
    }

    /// The connection's life was extended or shortened.
    pub struct Refresh {
        /// It ends after `ttl`.
        pub expires: bool = 1,
        /// Seconds.
        pub ttl: u32 = 2,
    }

    /// The connection is accepted.
    pub struct ConnectResult {
        /// The connection's id.
        pub client: String = 1,
        /// The server's version.
        pub version: String = 2,
        /// The connection ends after `ttl` unless the client refreshes it.
        pub expires: bool = 3,
        /// Seconds.
        pub ttl: u32 = 4,
        /// From the application.
        pub data: Option<Payload> = 5,
        /// Server-side subscriptions.
        pub subs: BTreeMap<String, SubscribeResult> = 6,
        /// Seconds between pings; 0 when there are none.
        pub ping: u32 = 7,
        /// Pings want an answer.
        pub pong: bool = 8,
        /// For emulated transports.
        pub session: String = 9,
        /// For emulated transports.
        pub node: String = 10,
        /// Milliseconds since the Unix epoch.
        pub time: i64 = 11,
    }

    /// The subscription stands.
    pub struct SubscribeResult {
        /// It ends after `ttl` unless the client refreshes it.
        pub expires: bool = 1,
        /// Seconds.
        pub ttl: u32 = 2,
        /// Recovery is possible.
        pub recoverable: bool = 3,
        /// The stream.
        pub epoch: String = 6,
        /// What was missed, oldest first.
        pub publications: Vec<Publication> = 7,
        /// Everything that was missed is in `publications`.
        pub recovered: bool = 8,
        /// Where the client stands before it applies `publications`.
        pub offset: u64 = 9,
        /// The server watches the position.
        pub positioned: bool = 10,
        /// From the application.
        pub data: Option<Payload> = 11,
        /// The client had asked to recover.
        pub was_recovering: bool = 12,
        /// Publications may come as [deltas](crate::fossil).
        pub delta: bool = 13,
        /// The number, above 0, that stands for the channel in pushes; 0 when its name does.
        pub id: i64 = 14,
    }

    /// The subscription is gone.
    pub struct UnsubscribeResult {}

    /// The data was accepted.
    pub struct PublishResult {}

    /// What the application answered.
    pub struct RpcResult {
        /// The answer.
        pub data: Option<Payload> = 1,
    }

    /// The connection lives on.
    pub struct RefreshResult {
        /// The connection's id.
        pub client: String = 1,
        /// The server's version.
        pub version: String = 2,
        /// It ends after `ttl`.
        pub expires: bool = 3,
        /// Seconds.
        pub ttl: u32 = 4,
    }

    /// The subscription lives on.
    pub struct SubRefreshResult {
        /// It ends after `ttl`.
        pub expires: bool = 1,
        /// Seconds.
        pub ttl: u32 = 2,
    }
}

impl ConnectRequest {
    /// A request that proves itself by `token`.
    #[must_use]
    pub fn with_token(token: impl Into<String>) -> Self {
        Self { token: token.into(), ..Self::default() }
    }
}

impl Field for ClientInfo {
    /// Whose it is stays visible even when the user is anonymous.
    fn is_zero(&self) -> bool {
        false
    }

    fn read_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        null_is_absent(deserializer)
    }

    fn write_protobuf(&self, number: u32, out: &mut Vec<u8>) {
        proto3::write_message(number, self, out);
    }

    fn read_protobuf(&mut self, value: Value<'_>, depth: usize) -> Result<(), Malformed> {
        value.message(self, depth)
    }
}
