//! A WebSocket engine: RFC 6455, 7692 and 8441. (documentation follows)
#![warn(missing_docs)]

mod close;
#[cfg(feature = "deflate")]
mod deflate;
mod error;
mod frame;
pub mod handshake;
pub mod limits;
mod machine;
mod mask;
mod message;
#[cfg(not(feature = "deflate"))]
mod no_deflate;
mod text;
mod utf8;

#[cfg(feature = "tokio")]
mod accept;
#[cfg(feature = "client")]
mod client;
#[cfg(feature = "tokio")]
mod socket;
#[cfg(feature = "hyper")]
mod upgrade;

#[cfg(feature = "tokio")]
pub use accept::{AcceptError, Handshake, accept, parse_request};
#[cfg(feature = "client")]
pub use client::{ClientStream, ConnectError, ConnectOptions, connect, connect_over};
pub use close::{CloseCode, CloseFrame, InvalidCloseCode};
#[cfg(feature = "deflate")]
pub use deflate::Agreement;
pub use error::{ProtocolError, SendRefused, Statistics};
pub use frame::{Frame, HEAD_BYTES_MAX, Head, OpCode, Role};
#[cfg(feature = "deflate")]
pub use handshake::extension::DeflateOptions;
pub use handshake::{InvalidOrigin, Origin, OriginPolicy, Refusal};
pub use limits::Limits;
pub use machine::{Event, Machine, Part, Step};
pub use message::{Kind, Message, NotAFrame, Outgoing, Prepared};
#[cfg(feature = "tokio")]
pub use socket::{MessageReader, MessageWriter, ReceiveError, SendError, Sender, TrySendError, WebSocket, pair};
#[cfg(all(feature = "tokio", feature = "json"))]
pub use socket::{ReceiveJsonError, SendJsonError};
pub use text::Utf8Bytes;
#[cfg(feature = "hyper")]
pub use upgrade::{Upgrade, Upgraded};
