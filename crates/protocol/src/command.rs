//! What a client sends.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::reply::StreamPosition;
use crate::wire::{choices, messages};
use crate::{InvalidJson, Payload};

/// One command: the number that its reply will carry, and what is asked.
///
/// Without a request, id 0 is a pong; any other id means a method that we do not know.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Command {
    /// Chosen by the client, above 0 for everything that is answered.
    pub id: u32,
    /// What is asked.
    pub request: Option<Request>,
}

impl Command {
    /// The answer to a ping.
    pub const PONG: Self = Self { id: 0, request: None };

    /// A command that asks for `request`.
    #[must_use]
    pub fn new(id: u32, request: Request) -> Self {
        Self { id, request: Some(request) }
    }
}

choices! {
    /// The methods of the protocol.
    pub enum Request {
        /// The first command of every connection.
        Connect(Box<ConnectRequest>) = 4 connect,
        /// Known to the protocol, implemented by no server.
        Ping(PingRequest) = 11 ping,
        /// Start receiving a channel.
        Subscribe(Box<SubscribeRequest>) = 5 subscribe,
        /// Stop receiving a channel.
        Unsubscribe(UnsubscribeRequest) = 6 unsubscribe,
        /// Send data to a channel.
        Publish(PublishRequest) = 7 publish,
        /// Who is in a channel.
        Presence(PresenceRequest) = 8 presence,
        /// How many are in a channel.
        PresenceStats(PresenceStatsRequest) = 9 presence_stats,
        /// What was published in a channel.
        History(HistoryRequest) = 10 history,
        /// Call the application.
        Rpc(RpcRequest) = 13 rpc,
        /// Tell the application something; not answered.
        Send(SendRequest) = 12 send,
        /// Extend the connection by a new token.
        Refresh(RefreshRequest) = 14 refresh,
        /// Extend a subscription by a new token.
        SubRefresh(SubRefreshRequest) = 15 sub_refresh,
    }
    /// A command as it stands in a frame.
    struct WireCommand {
        id: u32 = 1,
    }
}

impl From<WireCommand> for Command {
    fn from(mut wire: WireCommand) -> Self {
        Self { id: wire.id, request: wire.choice() }
    }
}

/// Bits of [`SubscribeRequest::flag`].
pub mod subscribe_flag {
    /// The client understands numeric channel ids in pushes.
    pub const CHANNEL_COMPACTION: i64 = 1;
    /// Answer error 112 instead of `recovered: false`.
    pub const REJECT_UNRECOVERED: i64 = 2;
}

messages! {
    /// Who the client is, and which server-side subscriptions it wants to resume.
    pub struct ConnectRequest {
        /// A JWT, or empty.
        pub token: String = 1,
        /// For the application.
        pub data: Option<Payload> = 2,
        /// Server-side subscriptions that the client knows, with the position to recover from.
        pub subs: BTreeMap<String, SubscribeRequest> = 3,
        /// Name of the client program, such as `js`; at most 16 bytes.
        pub name: String = 4,
        /// Version of the client program; at most 64 bytes.
        pub version: String = 5,
        /// Headers that a browser cannot set on a WebSocket.
        pub headers: BTreeMap<String, String> = 6,
        /// Bit field of abilities; bit 1 asks for dictionary compression.
        pub flag: i64 = 7,
    }

    /// Start receiving a channel, perhaps from a known position on.
    pub struct SubscribeRequest {
        /// The channel; empty inside [`ConnectRequest::subs`].
        pub channel: String = 1,
        /// A subscription JWT, or empty.
        pub token: String = 2,
        /// Deliver what was published since `epoch` and `offset`.
        pub recover: bool = 3,
        /// The stream that `offset` counts in.
        pub epoch: String = 6,
        /// The last publication that the client has.
        pub offset: u64 = 7,
        /// For the application.
        pub data: Option<Payload> = 8,
        /// Ask that the server watches the position.
        pub positioned: bool = 9,
        /// Ask that recovery be possible.
        pub recoverable: bool = 10,
        /// Ask for join and leave pushes.
        pub join_leave: bool = 11,
        /// Kind of delta compression wanted, such as `fossil`.
        pub delta: String = 12,
        /// Filter by tags: only publications whose tags it matches are wanted.
        pub tf: Option<FilterNode> = 13,
        /// See [`subscribe_flag`].
        pub flag: i64 = 14,
        /// Kind of subscription; 0 is a stream.
        #[serde(rename = "type")]
        pub kind: i32 = 15,
    }

    /// An expression over the tags of a publication: a comparison of one tag, or nodes joined by `op`.
    #[derive(Eq)]
    pub struct FilterNode {
        /// `and`, `or` or `not` of [`nodes`](Self::nodes); empty for a comparison.
        pub op: String = 1,
        /// The tag that is compared.
        pub key: String = 2,
        /// How: `eq`, `neq`, `in`, `nin`, `ex` (exists), `nex`, `sw` (starts with), `ew`, `ct` (contains), `lt`, `lte`, `gt`, `gte`.
        pub cmp: String = 3,
        /// What the tag is compared with.
        pub val: String = 4,
        /// What it is compared with by `in` and `nin`.
        pub vals: Vec<String> = 5,
        /// What `op` joins.
        pub nodes: Vec<FilterNode> = 6,
    }

    /// Known to the protocol, implemented by no server.
    pub struct PingRequest {}

    /// Stop receiving a channel.
    pub struct UnsubscribeRequest {
        /// Which of the subscriptions of this connection.
        pub channel: String = 1,
    }

    /// Send data to a channel.
    pub struct PublishRequest {
        /// Where to publish.
        pub channel: String = 1,
        /// What to send.
        pub data: Option<Payload> = 2,
        /// Kind of publication; 0 is a stream's.
        #[serde(rename = "type")]
        pub kind: i32 = 3,
    }

    /// Ask who is in a channel.
    pub struct PresenceRequest {
        /// Whose subscribers.
        pub channel: String = 1,
    }

    /// Ask how many are in a channel.
    pub struct PresenceStatsRequest {
        /// Whose subscribers.
        pub channel: String = 1,
    }

    /// Ask for what was published in a channel.
    pub struct HistoryRequest {
        /// Whose stream.
        pub channel: String = 1,
        /// How many publications: 0 for none but the position, -1 for as many as the server gives.
        pub limit: i32 = 7,
        /// Start after (or, when reversed, before) this position.
        pub since: Option<StreamPosition> = 8,
        /// Newest first.
        pub reverse: bool = 9,
    }

    /// Call the application.
    pub struct RpcRequest {
        /// The arguments.
        pub data: Option<Payload> = 1,
        /// The name of what to call.
        pub method: String = 2,
    }

    /// Tell the application something.
    pub struct SendRequest {
        /// What to tell.
        pub data: Option<Payload> = 1,
    }

    /// Extend the connection.
    pub struct RefreshRequest {
        /// A new JWT.
        pub token: String = 1,
    }

    /// Extend a subscription.
    pub struct SubRefreshRequest {
        /// Which of the subscriptions of this connection.
        pub channel: String = 1,
        /// A new JWT.
        pub token: String = 2,
        /// What to do; 0 is to refresh.
        #[serde(rename = "type")]
        pub kind: i32 = 3,
    }

    /// The uplink of emulated transports: a frame for the connection that a stream of another request belongs to.
    pub struct EmulationRequest {
        /// Where the connection is, as its connect result says.
        pub node: String = 1,
        /// Which connection, as its connect result says.
        pub session: String = 2,
        /// The frame: bytes, or in JSON its text in a string; see [`frame`](Self::frame).
        pub data: Option<Payload> = 3,
    }
}

impl EmulationRequest {
    /// The frame of commands in it.
    ///
    /// # Errors
    /// [`InvalidJson`] when the request is JSON, and its data is no string: answer 400.
    pub fn frame(&self) -> Result<Cow<'_, [u8]>, InvalidJson> {
        match &self.data {
            None => Ok(Cow::Borrowed(&[])),
            Some(payload) if payload.as_json().is_some() => Ok(Cow::Owned(payload.to_value::<String>()?.into_bytes())),
            Some(payload) => Ok(Cow::Borrowed(payload.as_bytes())),
        }
    }
}
