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
//! The folder [`examples`](https://github.com/tidings-chat/tidings/tree/main/crates/websocket/examples) has whole programs:
//! `echo`, `echo_client`, `echo_http2` (TLS and HTTP/2 with nothing but hyper), `chat` (one room), `command` (a process behind
//! a socket) and `filewatch`. What follows here: [features](#features), [layers](#the-layers),
//! [what is different](#what-is-different-here), [HTTP/2](#http2), [other tasks](#sending-from-other-tasks),
//! [broadcasting](#broadcasting), [dialling](#dialling), [compression](#compression), [shutdown](#graceful-shutdown), and
//! coming from [axum](#coming-from-axums-own-websocket) or [tokio-tungstenite](#coming-from-tokio-tungstenite).
//!
//! # Features
//! All but `hyper` are on by default, and `axum` brings that.
//!
//! | feature | gives |
//! |---|---|
//! | `tokio` | [`WebSocket`] over any byte stream, [`Sender`], [`accept()`] without an HTTP server, [`pair`] for tests |
//! | `hyper` | [`Upgrade`]: servers over hyper, HTTP/1.1 and HTTP/2; implies `tokio` |
//! | `axum` | [`Upgrade`] as an extractor, [`Upgrade::on_upgrade`], [`UpgradeRefusal`] as a response; implies `hyper` |
//! | `client` | [`connect`], [`connect_over`] and [`connect_tls_over`], plain and over TLS (rustls with ring), and proxies; implies `tokio` |
//! | `deflate` | permessage-deflate (flate2 with zlib-rs): [`DeflateOptions`], [`Prepared::compressible`] |
//! | `json` | [`Message::json`], [`Message::parse_json`], [`WebSocket::send_json`], [`WebSocket::receive_json`] |
//!
//! `default-features = false` leaves the [`Machine`], the frames, the messages and the [`handshake`], for any event loop.
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
//! # What is different here
//! * **Nothing is held while idle.** All sockets of a thread read into one buffer, frames are unmasked and parsed in place,
//!   and a waiting connection has no read or write buffer. Long payloads skip the buffer: they are read straight into the
//!   message.
//! * **One write for everything queued.** [`WebSocket::feed`] queues, [`WebSocket::flush`] writes all of it at once: small
//!   frames side by side, long payloads from where they are. [`Prepared`] messages are framed once, and compressed once,
//!   for all connections.
//! * **Limits are on.** Messages of up to 64 KiB for servers, counted after inflating; a bounded queue; time limits for
//!   writing and closing. See [`limits`]; [`WebSocket::set_limits`] changes them once it is known who is there.
//! * **Long messages need not be held.** [`WebSocket::receive_parts`] and [`WebSocket::writer`] are a reader and a writer of
//!   one message, part by part or as tokio's `AsyncRead` and `AsyncWrite`.
//! * **Other sites are refused** unless allowed: [`OriginPolicy`].
//! * **Cancelling is safe.** [`WebSocket::receive`] in `tokio::select!` loses nothing.
//! * **A close is orderly.** The peer is told why, also when the handler panics (1011) or the server shuts down (1001); the
//!   transport ends in the order that keeps the last frame from being lost.
//! * **No `unsafe`.**
//!
//! # HTTP/2
//! A socket over HTTP/2 is one stream among others (RFC 8441). Three things make it work: the connection must allow
//! extended CONNECT, which `axum::serve` does and other servers do with `enable_connect_protocol()`; the route must be
//! `any()`, because the request is a CONNECT and not a GET; and TLS must offer `h2`, because browsers speak HTTP/2 over
//! TLS only. Handlers see no difference, except that [`Upgraded::tcp`] is `None`.
//!
//! ```no_run
//! use axum::{Router, routing::any};
//! use hyper_util::{rt::{TokioExecutor, TokioIo}, server::conn::auto, service::TowerToHyperService};
//! use tidings_websocket::Upgrade;
//! use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};
//!
//! async fn serve(listener: tokio::net::TcpListener, mut tls: ServerConfig) -> std::io::Result<()> {
//!     tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
//!     let tls = TlsAcceptor::from(std::sync::Arc::new(tls));
//!     let app = Router::new().route("/ws", any(|upgrade: Upgrade| async {
//!         upgrade.on_upgrade(|mut socket| async move { while let Some(Ok(_)) = socket.receive().await {} })
//!     }));
//!     loop {
//!         let (stream, _) = listener.accept().await?;
//!         let (tls, app) = (tls.clone(), TowerToHyperService::new(app.clone()));
//!         tokio::spawn(async move {
//!             let Ok(stream) = tls.accept(stream).await else { return };
//!             let mut http = auto::Builder::new(TokioExecutor::new());
//!             http.http2().enable_connect_protocol();
//!             let _ = http.serve_connection_with_upgrades(TokioIo::new(stream), app).await;
//!         });
//!     }
//! }
//! ```
//!
//! # Sending from other tasks
//! One task owns the socket and stays in [`WebSocket::receive`]; a [`Sender`] is how all others send through it, also
//! pings and a close with a code. It is bounded in bytes: beyond the bound [`Sender::try_send`] gives the message back, and
//! [`Sender::send`] waits.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! use tidings_websocket::{CloseCode, CloseFrame, Limits, pair};
//!
//! let (mut client, mut server) = pair(Limits::server());
//! let sender = server.sender(256 * 1024);
//! tokio::spawn(async move { while let Some(Ok(_)) = server.receive().await {} });
//!
//! sender.send("from another task").await?;
//! sender.send(CloseFrame::new(CloseCode::POLICY_VIOLATION, "your session has expired")).await?;
//! assert_eq!(client.receive().await.unwrap()?.as_text(), Some("from another task"));
//! assert!(client.receive().await.is_none());
//! assert_eq!(client.close_frame().unwrap().code, CloseCode::POLICY_VIOLATION);
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```
//!
//! # Broadcasting
//! A [`Prepared`] message is framed once, and compressed once, for all connections. Hand it to each connection's own task,
//! through its [`Sender`] or, as the example `chat` does, through a broadcast channel: a loop that sends to one socket after
//! the other would be as slow as the slowest reader.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! use tidings_websocket::{Limits, Prepared, Sender, pair};
//!
//! /// Who has gone, or does not keep up, leaves the room.
//! fn publish(room: &mut Vec<Sender>, news: &Prepared) {
//!     room.retain(|member| member.try_send(news).is_ok());
//! }
//!
//! let (mut room, mut clients) = (Vec::new(), Vec::new());
//! for _ in 0..3 {
//!     let (client, mut server) = pair(Limits::server());
//!     room.push(server.sender(256 * 1024));
//!     tokio::spawn(async move { while let Some(Ok(_)) = server.receive().await {} });
//!     clients.push(client);
//! }
//! publish(&mut room, &Prepared::text("hello, all of you").compressible());
//! for client in &mut clients {
//!     assert_eq!(client.receive().await.unwrap()?.as_text(), Some("hello, all of you"));
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```
//!
//! # Dialling
//!
//! ```no_run
//! use http::header::{AUTHORIZATION, HeaderValue};
//! use std::time::Duration;
//! use tidings_websocket::{ConnectError, ConnectOptions, DeflateOptions, Limits, connect};
//!
//! # async fn dial() -> Result<(), Box<dyn std::error::Error>> {
//! let options = ConnectOptions::new()
//!     .header(AUTHORIZATION, HeaderValue::from_static("Bearer 42"))
//!     .cookie("theme", "dark")?
//!     .protocols(["chat.v2", "chat.v1"])
//!     .deflate(DeflateOptions::default())
//!     .limits(Limits::client().message_bytes_max(1024 * 1024))
//!     .timeout(Duration::from_secs(5));
//! match connect("wss://chat.example/ws", options).await {
//!     Ok((mut socket, response)) => {
//!         println!("speaks {:?}, compressed: {}", socket.protocol(), socket.is_compressed());
//!         println!("says {:?}", response.headers().get("server"));
//!         socket.set_heartbeat(Some(Duration::from_secs(30)));
//!     }
//!     Err(ConnectError::Refused(response)) => println!("{}: {:?}", response.status(), response.body()),
//!     Err(error) => return Err(error.into()),
//! }
//! # Ok(()) }
//! ```
//!
//! [`ConnectOptions::tls`] brings certificates of your own, [`ConnectOptions::proxy`] a proxy; [`connect_over`] takes any
//! stream that is connected already, and [`connect_tls_over`] does so and speaks TLS over it.
//!
//! # Compression
//! Off unless asked for, on both sides: [`Upgrade::deflate`], [`ConnectOptions::deflate`]. Never compress a secret together
//! with text that an attacker chooses: [`Outgoing::Uncompressed`], [`MessageWriter::uncompressed`].
//!
//! What it costs in memory, measured:
//! * A compressor allocates 371 KiB with the default window of 15 bits, 259 KiB with 12 and 245 KiB with 9, at any level;
//!   short messages touch 55 KiB less. An inflater allocates 47 KiB.
//! * By default nobody keeps a window between messages (`no_context_takeover`, RFC 7692 §7.1.1). Then compressors and
//!   inflaters are borrowed from a pool of the thread for one message, and a waiting connection holds none. Each thread
//!   keeps up to four of either, 1.6 MiB at most, from their first use until the thread ends.
//! * [`DeflateOptions::with_context_takeover`] trades memory for bytes: a connection that has sent a compressed message
//!   keeps a compressor, and one that has received one keeps an inflater, until it ends: 418 KiB for both.
//! * A message that has arrived in part, or is being sent with [`WebSocket::writer`], holds what it has borrowed until it
//!   ends.
//! * A [`Prepared`] that is [compressible](Prepared::compressible) holds its plain frame and one compressed frame for each
//!   pair of window and level that its connections agreed on, from the first that sends it until the last clone is dropped.
//!   Where all connections have the same options, and clients ask for nothing else, that is one.
//! * On a connection that keeps its window, a compressible [`Prepared`] cannot be shared: the connection's own compressor
//!   compresses it anew. For broadcasts to many, keep the default.
//!
//! # Graceful shutdown
//! When the request's extensions hold a [`CancellationToken`](tokio_util::sync::CancellationToken), each socket closes with
//! 1001 when it fires; when they hold a [`TaskTracker`](tokio_util::task::TaskTracker), the server can wait until the last
//! is gone. What they hold as an `Arc<dyn Any + Send + Sync>` is kept instead until the socket is gone and its handler has
//! ended, and then dropped: a server that counts by it needs no task that waits for each socket. A handler that wants to close in its own words says so with [`Upgrade::shutdown_close`].
//!
//! With axum, `Extension` layers put them there:
//!
//! ```no_run
//! # use axum::{Extension, Router, routing::any};
//! # use tidings_websocket::Upgrade;
//! use tokio_util::{sync::CancellationToken, task::TaskTracker};
//!
//! # async fn ws(upgrade: Upgrade) -> axum::response::Response { upgrade.on_upgrade(|_socket| async {}) }
//! async fn serve(listener: tokio::net::TcpListener, stop: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
//!     let (shutdown, sockets) = (CancellationToken::new(), TaskTracker::new());
//!     let app = Router::new()
//!         .route("/ws", any(ws))
//!         .layer(Extension(shutdown.clone()))
//!         .layer(Extension(sockets.clone()));
//!     let stop = async move {
//!         stop.await;
//!         shutdown.cancel(); // at once, because axum waits for the streams of HTTP/2
//!     };
//!     axum::serve(listener, app).with_graceful_shutdown(stop).await?;
//!     sockets.close();
//!     sockets.wait().await;
//!     Ok(())
//! }
//! ```
//!
//! and with nothing but hyper:
//!
//! ```no_run
//! use http::{Request, Response};
//! use hyper::{body::Incoming, service::service_fn};
//! use hyper_util::{rt::{TokioExecutor, TokioIo}, server::conn::auto};
//! use std::{convert::Infallible, pin::pin};
//! use tidings_websocket::{Upgrade, Upgraded, WebSocket};
//! use tokio_util::{sync::CancellationToken, task::TaskTracker};
//!
//! async fn serve(listener: tokio::net::TcpListener, stop: impl Future<Output = ()>) -> std::io::Result<()> {
//!     let (shutdown, sockets) = (CancellationToken::new(), TaskTracker::new());
//!     let mut stop = pin!(stop);
//!     loop {
//!         let stream = tokio::select! {
//!             accepted = listener.accept() => accepted?.0,
//!             () = &mut stop => break,
//!         };
//!         let (shutdown, sockets) = (shutdown.clone(), sockets.clone());
//!         tokio::spawn(async move {
//!             let service = service_fn(|mut request: Request<Incoming>| {
//!                 request.extensions_mut().insert(shutdown.clone());
//!                 request.extensions_mut().insert(sockets.clone());
//!                 async { Ok::<_, Infallible>(answer(request)) }
//!             });
//!             let mut http = auto::Builder::new(TokioExecutor::new());
//!             http.http2().enable_connect_protocol();
//!             let _ = http.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
//!         });
//!     }
//!     shutdown.cancel();
//!     sockets.close();
//!     sockets.wait().await;
//!     Ok(())
//! }
//!
//! fn answer(request: Request<Incoming>) -> Response<String> {
//!     let (mut head, _) = request.into_parts();
//!     match Upgrade::from_parts(&mut head).and_then(|upgrade| upgrade.accept(talk)) {
//!         Ok(response) => response.map(|()| String::new()),
//!         Err(refusal) => refusal.response(),
//!     }
//! }
//!
//! async fn talk(mut socket: WebSocket<Upgraded>) {
//!     while let Some(Ok(message)) = socket.receive().await {
//!         println!("{} bytes", message.len());
//!     }
//! }
//! ```
//!
//! # Coming from axum's own WebSocket
//! **Mind the longest message**: axum takes 64 MiB unless told otherwise, a server here
//! [64 KiB](limits::SERVER_MESSAGE_BYTES_MAX). A longer message fails the connection with 1009.
//!
//! | axum | here |
//! |---|---|
//! | `axum::extract::ws::WebSocketUpgrade` | [`Upgrade`] |
//! | messages of up to 64 MiB in frames of up to 16 MiB | messages of up to 64 KiB: [`Limits::server`] |
//! | `.max_message_size(n)`, `.max_frame_size(n)` | `.limits(Limits::server().message_bytes_max(n))`: one limit for both |
//! | `.read_buffer_size(n)`, `.write_buffer_size(n)` | nothing to set: no buffers |
//! | `.max_write_buffer_size(n)`, unbounded by default | `.limits(Limits::server().queue_bytes_max(n))`, 1 MiB by default |
//! | `.accept_unmasked_frames(true)` | never: RFC 6455 §5.1 |
//! | `.protocols([..])`, `.on_upgrade(f)` | the same |
//! | `.requested_protocols()`, `.selected_protocol()` | [`Upgrade::offered_protocols`], [`Upgrade::chosen_protocol`] |
//! | `.set_selected_protocol(name)` | `.protocols([name])`, which never chooses what was not offered |
//! | `.on_failed_upgrade(f)` | logged at debug level: the client went away |
//! | `socket.recv()` | [`WebSocket::receive`]; yields only text and binary, `None` after the close |
//! | `Message::Ping`, `Pong`, `Close` | answered by the engine; to see them [`WebSocket::receive_event`], to send them [`Outgoing`] |
//! | `socket.send(message)` | the same |
//! | `socket.split()` of `futures` | the same for messages, but the sink takes no pings, and closes only with 1000: these go through [`WebSocket::sender`], taken before, which often replaces the split |
//! | `CloseFrame { code, reason }` in a message | [`WebSocket::close`] |
//! | `socket.protocol()` | [`WebSocket::protocol`], a `&str` |
//! | any page may connect | only pages of the same host: [`Upgrade::origin`] |
//!
//! # Coming from tokio-tungstenite
//! **Mind the longest message**: tungstenite takes 64 MiB in both roles; here a server takes
//! [64 KiB](limits::SERVER_MESSAGE_BYTES_MAX) and a client [16 MiB](limits::CLIENT_MESSAGE_BYTES_MAX) unless told otherwise.
//! A longer message fails the connection with 1009.
//!
//! | tokio-tungstenite | here |
//! |---|---|
//! | `connect_async(request)` | [`connect`] with [`ConnectOptions`] |
//! | `connect_async_tls_with_config(request, config, _, connector)` | [`connect`] with [`ConnectOptions::limits`] and [`ConnectOptions::tls`]; Nagle's algorithm is always off |
//! | `client_async(request, stream)` | [`connect_over`] |
//! | `client_async_tls(request, stream)` | [`connect_tls_over`] for `wss`, [`connect_over`] for `ws` |
//! | `accept_async(stream)` | [`accept()`] or [`accept_within`], then [`Handshake::accept`] |
//! | `accept_hdr_async(stream, callback)` | [`Handshake::head`], [`Handshake::request`], [`Handshake::refuse`] |
//! | any page may connect | only pages of the same host: [`Upgrade::origin`], [`Handshake::request`] |
//! | `WebSocketStream<MaybeTlsStream<TcpStream>>` | [`WebSocket<ClientStream>`](WebSocket) |
//! | `WebSocketStream::from_raw_socket(stream, role, config)` | [`WebSocket::new`] |
//! | `WebSocketStream::from_partially_read(stream, bytes, role, config)` | [`WebSocket::with_read_ahead`] |
//! | `.get_ref()`, `.get_mut()` | [`WebSocket::stream`], [`WebSocket::stream_mut`] |
//! | `.into_inner()` | none: the socket keeps its stream until both are closed |
//! | `stream.next()`, `sink.send(message)` | [`WebSocket::receive`], [`WebSocket::send`]; `Stream` and `Sink` too |
//! | `stream.split()` | the same for messages, but the sink takes no pings, and closes only with 1000: these go through [`WebSocket::sender`], taken before, which often replaces the split |
//! | `sink.feed(message)`, `sink.flush()` | [`WebSocket::feed`] (not async), [`WebSocket::flush`] |
//! | `Message::Text`, `Message::Binary` | [`Message`], which has no other variants |
//! | `Message::Ping`, `Message::Pong` | received: answered by the engine, seen with [`WebSocket::receive_event`]; sent: [`Outgoing::Ping`], [`Outgoing::Pong`] |
//! | `Message::Close(frame)` | received: `None`, then [`WebSocket::close_frame`]; sent: [`WebSocket::close`], or [`Outgoing::Close`] |
//! | `Message::Frame(frame)` | none for a socket; [`Frame`] and [`Machine`] underneath |
//! | `.close(frame)` | [`WebSocket::close`], which also waits for the peer's close |
//! | `Error::Http(response)` | [`ConnectError::Refused`] |
//! | `Error::ConnectionClosed` | `None`: a clean end is no error |
//! | other errors of reading | [`ReceiveError`], with the close code that says the same: [`ReceiveError::close_code`] |
//! | `Error::Capacity(..)` | [`ProtocolError::MessageTooBig`] in [`ReceiveError::Protocol`] |
//! | `Error::WriteBufferFull(message)` | [`SendError::QueueFull`]; [`TrySendError::Full`] gives the message back |
//! | `WebSocketConfig` | [`Limits`] |
//!
//! # Minimum Rust version
//! 1.95. Raising it is a minor release.
#![warn(missing_docs)]
#![cfg_attr(not(test), warn(unused_crate_dependencies))]
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
#[cfg(feature = "hyper")]
mod direct;
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
    ClientStream, ConnectError, ConnectOptions, InvalidCookie, InvalidProxy, Proxy, TlsStream, connect, connect_over,
    connect_tls_over,
};
pub use close::{CloseCode, CloseFrame, InvalidCloseCode};
#[cfg(feature = "deflate")]
pub use deflate::Agreement;
#[cfg(feature = "hyper")]
pub use direct::{DirectWrite, DirectWriter};
pub use error::{ProtocolError, SendRefused, Statistics};
pub use frame::{Frame, HEAD_BYTES_MAX, Head, OpCode, Role};
#[cfg(feature = "deflate")]
pub use handshake::extension::DeflateOptions;
pub use handshake::{InvalidOrigin, Origin, OriginPolicy, UpgradeRefusal};
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
