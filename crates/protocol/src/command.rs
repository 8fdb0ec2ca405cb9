//! What a client sends.

use std::collections::BTreeMap;

use crate::Payload;
use crate::reply::StreamPosition;
use crate::wire::messages;

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

/// The methods of the protocol.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// The first command of every connection.
    Connect(Box<ConnectRequest>),
    /// Known to the protocol, implemented by no server.
    Ping,
    /// Start receiving a channel.
    Subscribe(Box<SubscribeRequest>),
    /// Stop receiving a channel.
    Unsubscribe(UnsubscribeRequest),
    /// Send data to a channel.
    Publish(PublishRequest),
    /// Who is in a channel.
    Presence(PresenceRequest),
    /// How many are in a channel.
    PresenceStats(PresenceStatsRequest),
    /// What was published in a channel.
    History(HistoryRequest),
    /// Call the application.
    Rpc(RpcRequest),
    /// Tell the application something; not answered.
    Send(SendRequest),
    /// Extend the connection by a new token.
    Refresh(RefreshRequest),
    /// Extend a subscription by a new token.
    SubRefresh(SubRefreshRequest),
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
        pub token: String,
        /// For the application.
        pub data: Option<Payload>,
        /// Server-side subscriptions that the client knows, with the position to recover from.
        pub subs: BTreeMap<String, SubscribeRequest>,
        /// Name of the client program, such as `js`; at most 16 bytes.
        pub name: String,
        /// Version of the client program; at most 64 bytes.
        pub version: String,
        /// Headers that a browser cannot set on a WebSocket.
        pub headers: BTreeMap<String, String>,
        /// Bit field of abilities; bit 1 asks for dictionary compression.
        pub flag: i64,
    }

    /// Start receiving a channel, perhaps from a known position on.
    pub struct SubscribeRequest {
        /// The channel; empty inside [`ConnectRequest::subs`].
        pub channel: String,
        /// A subscription JWT, or empty.
        pub token: String,
        /// Deliver what was published since `epoch` and `offset`.
        pub recover: bool,
        /// The stream that `offset` counts in.
        pub epoch: String,
        /// The last publication that the client has.
        pub offset: u64,
        /// For the application.
        pub data: Option<Payload>,
        /// Ask that the server watches the position.
        pub positioned: bool,
        /// Ask that recovery be possible.
        pub recoverable: bool,
        /// Ask for join and leave pushes.
        pub join_leave: bool,
        /// Kind of delta compression wanted, such as `fossil`.
        pub delta: String,
        /// Filter by tags; carried as it is.
        pub tf: Option<Payload>,
        /// See [`subscribe_flag`].
        pub flag: i64,
        /// Kind of subscription; 0 is a stream.
        #[serde(rename = "type")]
        pub kind: i32,
    }

    /// Stop receiving a channel.
    pub struct UnsubscribeRequest {
        /// Which of the subscriptions of this connection.
        pub channel: String,
    }

    /// Send data to a channel.
    pub struct PublishRequest {
        /// Where to publish.
        pub channel: String,
        /// What to send.
        pub data: Option<Payload>,
        /// Kind of publication; 0 is a stream's.
        #[serde(rename = "type")]
        pub kind: i32,
    }

    /// Ask who is in a channel.
    pub struct PresenceRequest {
        /// Whose subscribers.
        pub channel: String,
    }

    /// Ask how many are in a channel.
    pub struct PresenceStatsRequest {
        /// Whose subscribers.
        pub channel: String,
    }

    /// Ask for what was published in a channel.
    pub struct HistoryRequest {
        /// Whose stream.
        pub channel: String,
        /// How many publications: 0 for none but the position, -1 for as many as the server gives.
        pub limit: i32,
        /// Start after (or, when reversed, before) this position.
        pub since: Option<StreamPosition>,
        /// Newest first.
        pub reverse: bool,
    }

    /// Call the application.
    pub struct RpcRequest {
        /// The arguments.
        pub data: Option<Payload>,
        /// The name of what to call.
        pub method: String,
    }

    /// Tell the application something.
    pub struct SendRequest {
        /// What to tell.
        pub data: Option<Payload>,
    }

    /// Extend the connection.
    pub struct RefreshRequest {
        /// A new JWT.
        pub token: String,
    }

    /// Extend a subscription.
    pub struct SubRefreshRequest {
        /// Which of the subscriptions of this connection.
        pub channel: String,
        /// A new JWT.
        pub token: String,
        /// What to do; 0 is to refresh.
        #[serde(rename = "type")]
        pub kind: i32,
    }
}
