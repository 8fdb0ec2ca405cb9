//! A WebSocket engine for servers and clients: RFC 6455, permessage-deflate (RFC 7692), and HTTP/2 (RFC 8441).
//!
//! An echo server with axum is ten lines:
//!
//! ```no_run
//! use axum::{Router, routing::any};
//! use tidings_websocket::Upgrade;
//!
//! # async fn serve() -> std::io::Result<()> {
//! let app = Router::new().route("/ws", any(|upgrade: Upgrade| async {
//!     upgrade.on_upgrade(|mut socket| async move {
//!         while let Some(Ok(message)) = socket.receive().await {
//!             if socket.send(message).await.is_err() { return }
//!         }
//!     })
//! }));
//! axum::serve(tokio::net::TcpListener::bind("127.0.0.1:9001").await?, app).await
//! # }
//! ```
//!
//! and a client is four:
//!
//! ```no_run
//! # async fn talk() -> Result<(), Box<dyn std::error::Error>> {
//! use tidings_websocket::{CloseCode, ConnectOptions, connect};
//!
//! let (mut socket, _response) = connect("wss://echo.example/ws", ConnectOptions::new()).await?;
//! socket.send("hello").await?;
//! println!("{:?}", socket.receive().await);
//! socket.close(CloseCode::NORMAL, "").await;
//! # Ok(()) }
//! ```
//!
//! # The layers
//!
//! ```text
//!   Upgrade (axum, hyper)    connect, connect_over    accept          who speaks HTTP
//!        └───────────┬───────────────┴───────────────────┘
//!                    │          handshake: what requests and answers must say, no I/O
//!                    ▼
//!   WebSocket<S>: receive, feed, flush, close          over any AsyncRead + AsyncWrite; tokio's clock
//!        │      Sender: from any task                  one task owns the socket, others send through a bounded queue
//!        ▼
//!   Machine: bytes in, events and frames out           no async, no clock, no socket; at most 128 bytes
//!        ├── Head, Frame                               frames on the wire
//!        └── compression                               owned by the connection, or borrowed from the thread
//! ```
//!
//! `default-features = false` leaves the [`Machine`], the frames and the [`handshake`], for any event loop.
//!
//! # What is different here
//! * **Nothing is held while idle.** All sockets of a thread read into one buffer, frames are unmasked and parsed in place,
//!   and a waiting connection has no read or write buffer. Long payloads skip the buffer: they are read straight into the
//!   message.
//! * **One write for everything queued.** [`WebSocket::feed`] queues, [`WebSocket::flush`] writes all of it at once: small
//!   frames side by side, long payloads from where they are. [`Prepared`] messages are framed once, and compressed once,
//!   for all connections.
//! * **Limits are on.** Messages of up to 64 KiB for servers, counted after inflating; a bounded queue; time limits for
//!   writing and closing. See [`limits`].
//! * **Other sites are refused** unless allowed: [`OriginPolicy`].
//! * **Cancelling is safe.** [`WebSocket::receive`] in `tokio::select!` loses nothing.
//! * **A close is orderly.** The peer is told why, also when the handler panics (1011) or the server shuts down (1001); the
//!   transport ends in the order that keeps the last frame from being lost.
//! * **No `unsafe`.**
//!
//! # Compression
//! Off unless asked for, on both sides: [`Upgrade::deflate`], [`ConnectOptions::deflate`]. By default nobody keeps a window
//! between messages, so that compression costs no memory while idle;
//! [`DeflateOptions::with_context_takeover`] trades memory for bytes. Never compress a secret together with text that an
//! attacker chooses: [`Outgoing::Uncompressed`].
//!
//! # Graceful shutdown
//! When the request's extensions hold a [`CancellationToken`](tokio_util::sync::CancellationToken), each socket closes with
//! 1001 when it fires; when they hold a [`TaskTracker`](tokio_util::task::TaskTracker), the server can wait until the last
//! is gone. A handler that wants to close in its own words says so with [`Upgrade::shutdown_close`].
//!
//! # Coming from axum's own WebSocket
//!
//! | axum | here |
//! |---|---|
//! | `axum::extract::ws::WebSocketUpgrade` | [`Upgrade`] |
//! | `.max_message_size(n)`, `.max_frame_size(n)` | `.limits(Limits::server().message_bytes_max(n))`: one limit for both |
//! | `.read_buffer_size(n)`, `.write_buffer_size(n)` | nothing to set: no buffers |
//! | `.max_write_buffer_size(n)` | `.limits(Limits::server().queue_bytes_max(n))` |
//! | `.protocols([..])`, `.on_upgrade(f)` | the same |
//! | `.on_failed_upgrade(f)` | logged at debug level: the client went away |
//! | `socket.recv()` | [`WebSocket::receive`]; yields only text and binary, `None` after the close |
//! | `Message::Ping`, `Pong`, `Close` | answered by the engine; to see them [`WebSocket::receive_event`], to send them [`Outgoing`] |
//! | `socket.send(message)` | the same |
//! | `socket.split()` of `futures` | the same, or [`WebSocket::sender`] |
//! | `CloseFrame { code, reason }` in a message | [`WebSocket::close`] |
//! | any page may connect | only pages of the same host: [`Upgrade::origin`] |
//!
//! # Coming from tokio-tungstenite
//!
//! | tokio-tungstenite | here |
//! |---|---|
//! | `connect_async(request)` | [`connect`] with [`ConnectOptions`] |
//! | `client_async(request, stream)` | [`connect_over`] |
//! | `accept_async(stream)` | [`accept()`] then [`Handshake::accept`] |
//! | `accept_hdr_async(stream, callback)` | [`Handshake::head`], [`Handshake::request`], [`Handshake::refuse`] |
//! | `WebSocketStream<MaybeTlsStream<TcpStream>>` | [`WebSocket<ClientStream>`](WebSocket) |
//! | `WebSocketStream::from_raw_socket(stream, role, config)` | [`WebSocket::new`] |
//! | `stream.next()`, `sink.send(message)` | [`WebSocket::receive`], [`WebSocket::send`]; `Stream` and `Sink` too |
//! | `sink.feed(message)`, `sink.flush()` | [`WebSocket::feed`] (not async), [`WebSocket::flush`] |
//! | `Error::Http(response)` | [`ConnectError::Refused`] |
//! | `Error::ConnectionClosed` | `None`: a clean end is no error |
//! | `WebSocketConfig` | [`Limits`] |
//!
//! # Minimum Rust version
//! 1.95. Raising it is a minor release.
#![warn(missing_docs)]
#![cfg_attr(docsrs, feature(doc_cfg))]

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
#[cfg(any(feature = "client", feature = "hyper"))]
mod transport;
#[cfg(feature = "hyper")]
mod upgrade;

#[cfg(feature = "tokio")]
pub use accept::{AcceptError, Handshake, accept, accept_within, parse_request};
#[cfg(feature = "client")]
pub use client::{
    ClientStream, ConnectError, ConnectOptions, InvalidCookie, InvalidProxy, Proxy, connect, connect_over,
};
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
