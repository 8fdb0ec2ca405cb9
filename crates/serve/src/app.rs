//! What can be served. What its bodies must be is in `body`.

use std::task::{Context, Poll};

use http::{Request, Response};
use tower::Service;

use crate::body::{BoxError, RequestBody};

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
