//! One request: checked, given its surroundings, handed to the application, and its panic answered with 500.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tower::ServiceExt as _;
use tower::util::Oneshot;

use crate::body::{BodyEnd, BodyStalled, RequestBody, ResponseBody, Ticket};
use crate::caller::Connection;
use crate::limits::Limits;
use crate::panics;
use crate::server::Phase;
use crate::stats::count;
use crate::watch::Watch;
use crate::{App, BoxError, ResponseData};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The application as one connection's hyper sees it.
pub(crate) struct Guarded<S, B> {
    pub(crate) app: S,
    pub(crate) watch: Arc<Watch>,
    pub(crate) body: PhantomData<fn() -> B>,
}

impl<S, B> hyper::service::Service<Request<Incoming>> for Guarded<S, B>
where
    S: App<B>,
    B: ResponseData,
{
    type Response = Response<ResponseBody<B>>;
    type Error = std::convert::Infallible;
    type Future = Exchange<S, B>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        if request.version() == Version::HTTP_2 {
            self.watch.http2.store(true, Relaxed);
        }
        let ticket = Ticket::new(self.watch.clone());
        let method = request.method().clone();
        let uri = request.uri().clone();
        let version = request.version();
        if let Err(status) = check(&request, &self.watch.shared.limits) {
            return Exchange {
                run: None,
                refusal: Some(status),
                ticket: Some(ticket),
                method,
                uri,
                version,
                end: BodyEnd::of(request.body()),
                body: PhantomData,
            };
        }
        let (mut parts, incoming) = request.into_parts();
        let (body, end) = RequestBody::new(incoming, self.watch.clone());
        let extensions = &mut parts.extensions;
        // Sockets begin with one of these; all others can ask their `Connection`.
        if parts.headers.contains_key(header::UPGRADE) || parts.method == Method::CONNECT {
            extensions.insert(self.watch.closing.clone());
            extensions.insert(self.watch.sockets.clone());
        }
        #[cfg(feature = "axum")]
        extensions.insert(axum::extract::ConnectInfo(self.watch.peer.address_or_unspecified()));
        extensions.insert(Connection(self.watch.clone()));
        extensions.insert(ticket.id);
        let run = self.app.clone().oneshot(Request::from_parts(parts, body));
        Exchange { run: Some(run), refusal: None, ticket: Some(ticket), method, uri, version, end, body: PhantomData }
    }
}

/// Refuses what no handler should see.
fn check(request: &Request<Incoming>, limits: &Limits) -> Result<(), StatusCode> {
    let headers = request.headers();
    let fields: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if fields + target > limits.head_bytes_max || headers.len() > limits.head_fields_max {
        return Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    // RFC 9112 §3.2: a request without exactly one Host is answered with 400.
    if request.version() == Version::HTTP_11 {
        let mut hosts = headers.get_all(header::HOST).iter();
        if hosts.next().is_none() || hosts.next().is_some() {
            return Err(StatusCode::BAD_REQUEST);
        }
    }
    match limits.request_body_bytes_max {
        Some(max) if request.body().size_hint().lower() > max => Err(StatusCode::PAYLOAD_TOO_LARGE),
        _ => Ok(()),
    }
}

pin_project! {
    /// A request on its way through the application.
    pub(crate) struct Exchange<S, B>
    where
        S: App<B>,
    {
        // None before a refusal and after a panic.
        #[pin]
        run: Option<Oneshot<S, Request<RequestBody>>>,
        refusal: Option<StatusCode>,
        ticket: Option<Ticket>,
        method: Method,
        uri: Uri,
        version: Version,
        end: BodyEnd,
        body: PhantomData<fn() -> B>,
    }
}

impl<S, B> Future for Exchange<S, B>
where
    S: App<B>,
    B: ResponseData,
{
    type Output = Result<Response<ResponseBody<B>>, std::convert::Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let outcome = match this.run.as_mut().as_pin_mut() {
            None => Err(this.refusal.take().expect("an exchange is not polled after its end")),
            Some(run) => match panics::catch(|| run.poll(cx)) {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(Ok(response))) => Ok(response),
                Ok(Poll::Ready(Err(error))) => Err(failed(&error.into(), this.method, this.uri, this.ticket)),
                Err(panic) => {
                    let ticket = this.ticket.as_ref().expect("an exchange is not polled after its end");
                    count(&ticket.watch.shared.counters.handler_panics);
                    tracing::error!(
                        request_id = %ticket.id,
                        method = %this.method,
                        path = this.uri.path(),
                        panic = panic.message,
                        location = panic.location,
                        backtrace = panic.backtrace,
                        "a handler panicked; the client is answered with 500"
                    );
                    // Dropping what panicked may panic as well; that one is caught too, and has been reported by the
                    // hook.
                    let _ = panics::catch(|| this.run.set(None));
                    Err(StatusCode::INTERNAL_SERVER_ERROR)
                }
            },
        };
        let ticket = this.ticket.take().expect("an exchange is not polled after its end");
        let http1 = *this.version < Version::HTTP_2;
        let closing = http1 && ticket.watch.shared.wakers.phase() >= Phase::Announced;
        let mut response = match outcome {
            Ok(response) => {
                let (parts, body) = response.into_parts();
                let is_event_stream = is_event_stream(&parts.headers);
                Response::from_parts(parts, ResponseBody::of_handler(body, is_event_stream, ticket))
            }
            Err(status) => answer(status, http1 && !this.end.is_reached(), ticket),
        };
        if closing && response.status() != StatusCode::SWITCHING_PROTOCOLS {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Poll::Ready(Ok(response))
    }
}

/// The status for a service that failed instead of answering.
fn failed(error: &BoxError, method: &Method, uri: &Uri, ticket: &Option<Ticket>) -> StatusCode {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&**error);
    while let Some(error) = cause {
        if error.is::<BodyStalled>() {
            return StatusCode::REQUEST_TIMEOUT;
        }
        if error.is::<http_body_util::LengthLimitError>() {
            return StatusCode::PAYLOAD_TOO_LARGE;
        }
        cause = error.source();
    }
    let id = ticket.as_ref().map(|ticket| ticket.id.to_string());
    tracing::error!(request_id = id, %method, path = uri.path(), error = &**error, "a service failed; the client is answered with 500");
    StatusCode::INTERNAL_SERVER_ERROR
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

/// Our own answer: the status, its name and the request's id, and nothing of what went wrong (S65).
fn answer<B>(status: StatusCode, close: bool, ticket: Ticket) -> Response<ResponseBody<B>> {
    let id = ticket.id.to_string();
    let reason = status.canonical_reason().unwrap_or_default();
    let text = format!("{} {reason}\nrequest {id}\n", status.as_u16());
    let mut response = Response::new(ResponseBody::of_server(Bytes::from(text), ticket));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REQUEST_ID, HeaderValue::from_str(&id).expect("hexadecimal digits and a dash"));
    if close {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
