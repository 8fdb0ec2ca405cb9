//! Runs any axum, tower or hyper service: bind, then serve; TLS, HTTP/1.1 and HTTP/2; panic isolation; limits; and a
//! shutdown in phases that includes sockets.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use std::time::Duration;
//! # #[cfg(feature = "axum")] {
//! use axum::{Router, routing::get};
//! use tidings_serve::Server;
//!
//! let app = Router::new().route("/", get(|| async { "hello" }));
//! let server = Server::bind("127.0.0.1:0").serve(app).await?; // it listens now, or this is the error
//! println!("listening on {}", server.url()); // the real port
//! // … until told to stop:
//! let report = server.shutdown(Duration::from_secs(30)).await;
//! println!("{} connections had to be cut", report.connections_cut);
//! # }
//! # Ok(()) }
//! ```
//!
//! # What `axum::serve` does, and what this does
//!
//! Measured on axum 0.8.9; every right-hand cell is a test of this crate.
//!
//! | when | `axum::serve` | `tidings_serve` |
//! |---|---|---|
//! | a handler panics | the connection closes without a byte | 500 with a request id; the connection serves the next request |
//! | a response's body panics | the connection closes | the same, visibly incomplete, logged and counted; HTTP/2 siblings go on |
//! | the listener breaks | errors are logged and retried for ever | lack of files or memory: pauses and resumes; anything else: `wait()` says so, once |
//! | a client sends half a request head | it is held for ever | it is closed after 10 s |
//! | a request body drips | it is read for ever | reading fails once it is slower than 500 B/s |
//! | a reader stops reading | the connection is held for ever | it is closed, or its HTTP/2 stream reset, after 30 s and once it is slower than 500 B/s |
//! | a reader asks for more than it reads | all of it is held | 8 MiB a connection, 96 MiB in all; then 503, and the one who holds most is cut |
//! | a connection is idle | it is held for ever | it is closed after 75 s; HTTP/2 peers are pinged |
//! | a head is too large | 431 beyond about 400 KiB or 100 fields | 431 beyond 16 KiB or 100 fields |
//! | there are too many connections | descriptors run out | 503 with `Retry-After`, in all and per address |
//! | shutdown, a request hangs | it never returns | the request is cut at the deadline and reported |
//! | shutdown, sockets are open | it returns and leaves them | they are told 1001, spread out, and waited for |
//! | shutdown, event streams are open | it never returns | they end between two events |
//! | TLS | is somebody else's | from files, memory or a configuration; SNI; renewed without a restart |
//! | several listeners | one task each, to be stopped one by one | one handle, one budget: TCP, TLS, Unix, handed in |
//! | who is calling | the TCP peer | the client behind *trusted* proxies, with scheme and host: [`Caller`] |
//! | `TCP_NODELAY` | off | on |
//!
//! # Limits
//!
//! All of them are on by default and stand in one place, with their reasons: [`Limits`].
//!
//! # Sockets
//!
//! A request that asks for an upgrade (or is a CONNECT) carries a `tokio_util` `CancellationToken` and a `TaskTracker` in
//! its extensions; every other gets them from its [`Connection`]. A WebSocket library that closes when the token fires,
//! and runs its socket in a task of the tracker, is part of the shutdown and of the budget of connections; on HTTP/1.1 it
//! may instead keep the extension `Arc<dyn Any + Send + Sync>`, the connection's seat, for as long as the socket lives, which
//! saves a task. `tidings-websocket` does. On plain TCP, hyper's upgrade gives the bare `TcpStream` back (through
//! `hyper_util::server::conn::auto::upgrade::downcast::<TokioIo<TcpStream>>`).
//!
//! # In a request's extensions
//!
//! [`Connection`] (with the [`RequestId`]), the two types above, and axum's `ConnectInfo<SocketAddr>`, so that its extractor works
//! without `into_make_service_with_connect_info`. A peer without an address is `0.0.0.0:0` there.
//!
//! # Features
//!
//! `axum` (on): its `ConnectInfo`, and [`Caller`] as an extractor. `fast-open` (on): `Listen::fast_open`. `test-kit`:
//! the `test_kit` module.
#![warn(missing_docs)]
#![cfg_attr(not(test), warn(unused_crate_dependencies))]

mod accept;
mod app;
mod body;
mod budget;
mod caller;
mod connection;
mod failure;
mod handle;
mod limits;
mod listen;
mod listener;
mod pace;
mod panics;
mod peer;
mod phase;
mod proxies;
mod readiness;
mod request_id;
mod server;
mod service;
mod shared;
mod shutdown;
mod signals;
mod stats;
mod stream;
#[cfg(feature = "test-kit")]
pub mod test_kit;
mod tls;
mod turn_away;
mod underway;
mod wakers;
mod watch;

pub use app::{App, HyperService};
pub use body::{BodyStalled, BoxError, RequestBody, ResponseData};
pub use caller::{Caller, Connection, LiveResponse};
pub use failure::ServeError;
pub use handle::Handle;
pub use limits::Limits;
pub use listen::{Listen, Network};
pub use listener::Accept;
pub use peer::Peer;
pub use proxies::{NetworkError, TrustedProxies};
pub use readiness::Readiness;
pub use request_id::RequestId;
pub use server::{Server, StartError};
pub use shutdown::Report;
pub use signals::stop_signal;
pub use stats::Stats;
pub use tls::{CertificateError, Tls};
pub use tower::service_fn;
