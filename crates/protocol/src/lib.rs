//! The words on the wire of the open real-time protocol that the Centrifugo client SDKs speak, in JSON and in protobuf.
//!
//! A client sends [`Command`]s, the server answers with [`Reply`]s, and whatever it sends unasked is a [`Push`] inside
//! a reply. A transport frame carries one or more of them; [`Encoding`] turns frames into values and back, for both
//! sides, by the codec that the connection speaks.
//!
//! The rules are in `PROTOCOL.md` beside this crate's sources.
//!
//! This crate knows no socket, no clock and no rule: what a command may do and when is the hub's business.

#![warn(missing_docs)]
#![cfg_attr(not(test), warn(unused_crate_dependencies))]

mod codec;
mod codes;
mod command;
mod encoding;
pub mod fossil;
pub mod json;
mod payload;
mod proto3;
pub mod protobuf;
mod reply;
mod wire;

pub use codec::{DecodeError, EncodeError};
pub use codes::{Disconnect, Error, Unsubscribe};
pub use command::{
    Command, ConnectRequest, EmulationRequest, FilterNode, HistoryRequest, PingRequest, PresenceRequest,
    PresenceStatsRequest, PublishRequest, RefreshRequest, Request, RpcRequest, SendRequest, SubRefreshRequest,
    SubscribeRequest, UnsubscribeRequest, subscribe_flag,
};
pub use encoding::{Chained, Encoding};
pub use payload::{InvalidJson, PAYLOAD_DEPTH_MAX, PAYLOAD_NUMBER_CHARS_MAX, Payload, is_unreadable};
pub use reply::{
    ClientInfo, Connect, ConnectResult, HistoryResult, Join, Label, Leave, Message, PresenceResult,
    PresenceStatsResult, Publication, PublishResult, Push, PushEvent, Refresh, RefreshResult, Reply, Response,
    RpcResult, StreamPosition, SubRefreshResult, Subscribe, SubscribeResult, UnsubscribeResult,
};
