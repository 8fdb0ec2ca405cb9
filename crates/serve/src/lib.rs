//! Runs any axum, tower or hyper service: bind, then serve; TLS, HTTP/1.1 and HTTP/2; panic isolation; limits; and a shutdown
//! in phases that includes sockets.
#![warn(missing_docs)]

mod accept;
mod body;
mod budget;
mod caller;
mod connection;
mod handle;
mod limits;
mod listen;
mod panics;
mod readiness;
mod request_id;
mod server;
mod service;
mod shutdown;
mod signals;
mod stats;
#[cfg(feature = "test-kit")]
pub mod test_kit;
mod tls;
mod wakers;
mod watch;

use http::{Request, Response};
use tower::Service;

pub use accept::{Accept, Peer};
pub use body::{BodyStalled, RequestBody, ResponseBody};
pub use caller::{Caller, Connection, NetworkError, TrustedProxies};
pub use handle::Handle;
pub use limits::Limits;
pub use listen::{Listen, Network};
pub use readiness::Readiness;
pub use request_id::RequestId;
pub use server::{ServeError, Server, StartError};
pub use shutdown::Report;
pub use signals::stop_signal;
pub use stats::Stats;
pub use tls::{CertificateError, Tls};
pub use tower::service_fn;

/// Any error, as tower and hyper pass them on.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What can be served: an axum `Router`, [`service_fn`], or any tower service of the right types. Implemented for all of them.
pub trait App<B>:
    Service<Request<RequestBody>, Response = Response<B>, Error: Into<BoxError>, Future: Send + 'static>
    + Clone
    + Send
    + 'static
{
}

impl<S, B> App<B> for S where
    S: Service<Request<RequestBody>, Response = Response<B>, Error: Into<BoxError>, Future: Send + 'static>
        + Clone
        + Send
        + 'static
{
}

/// A response body that can be served: one of [`Bytes`](bytes::Bytes). Implemented for all of them.
pub trait ResponseData: http_body::Body<Data = bytes::Bytes, Error: Into<BoxError>> + Send + 'static {}

impl<B> ResponseData for B where B: http_body::Body<Data = bytes::Bytes, Error: Into<BoxError>> + Send + 'static {}
