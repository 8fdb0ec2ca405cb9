//! What can be served.

use std::task::{Context, Poll};

use http::{Request, Response};
use tower::Service;

use crate::RequestBody;

/// Any error, as tower and hyper pass them on.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What can be served: an axum `Router`, [`service_fn`](crate::service_fn), [`HyperService`], or any tower service of
/// the right types. Implemented for all of them.
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

/// A hyper service, to be served like any other.
///
/// ```
/// # use tidings_serve::{HyperService, RequestBody, Server};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let service = hyper::service::service_fn(|_: http::Request<RequestBody>| async {
///     Ok::<_, std::convert::Infallible>(http::Response::new("hello".to_owned()))
/// });
/// let server = Server::bind("127.0.0.1:0").serve(HyperService(service)).await?;
/// # server.close();
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct HyperService<S>(pub S);

impl<S: hyper::service::Service<Request<RequestBody>>> Service<Request<RequestBody>> for HyperService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> S::Future {
        self.0.call(request)
    }
}
