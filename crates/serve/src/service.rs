//! One request: checked, given its surroundings, handed to the application, and its panic answered with 500.

use std::any::Any;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use tower::util::Oneshot;

use crate::app::App;
use crate::body::{BodyEnd, BodyStalled, BoxError, End, RequestBody, ResponseBody, ResponseData, Ticket, drain};
use crate::caller::{Connection, LiveResponse};
use crate::connection::{self, Seat};
use crate::limits::{Limits, RETRY_AFTER_SECONDS};
use crate::panics;
use crate::phase::Phase;
use crate::stats::count;
use crate::watch::Watch;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The application as one connection's hyper sees it.
pub(crate) struct Guarded<S, B> {
    pub(crate) app: S,
    pub(crate) watch: Arc<Watch>,
    pub(crate) seat: Arc<Seat>,
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
        let about = About {
            method: request.method().clone(),
            target: request.uri().path_and_query().cloned(),
            http1: request.version() < Version::HTTP_2,
        };
        let head = Head::read(&request, &self.watch.shared.limits).and_then(|head| {
            if self.watch.shared.under_way.is_full(&self.watch) {
                count(&self.watch.shared.counters.responses_refused);
                return Err(StatusCode::SERVICE_UNAVAILABLE);
            }
            let seat = if head.asks_for_socket { Some(connection::seat_for_socket(&self.watch)?) } else { None };
            Ok((head, seat))
        });
        let (head, seat) = match head {
            Ok(head) => head,
            Err(status) => {
                let end = BodyEnd::of(request.body());
                // Who asked first whether to send the body has not sent it.
                if !request.headers().contains_key(header::EXPECT) {
                    drain(request.into_body(), &self.watch);
                }
                let ticket = Some(ticket);
                let (run, refusal, socket) = (None, Some(status), None);
                return Exchange { run, refusal, ticket, about, socket, end, body: PhantomData };
            }
        };
        let mut end = None;
        let mut request = request.map(|incoming| {
            let (body, its_end) = RequestBody::new(incoming, head.expects_continue, self.watch.clone());
            end = Some(its_end);
            body
        });
        let extensions = request.extensions_mut();
        // A socket on HTTP/2 has a tracker of its own: it holds its place for as long as it lives, not its connection.
        let socket = seat.map(|seat| (TaskTracker::new(), seat));
        // Sockets begin with one of these; all others can ask their `Connection`.
        if head.asks_for_upgrade {
            extensions.insert(self.watch.closing.clone());
            match &socket {
                Some((tracker, _)) => _ = extensions.insert(tracker.clone()),
                None => {
                    extensions.insert(self.watch.sockets.clone());
                    extensions.insert(self.seat.clone() as Arc<dyn Any + Send + Sync>);
                }
            }
        }
        #[cfg(feature = "axum")]
        extensions.insert(axum::extract::ConnectInfo(self.watch.peer.address_or_unspecified()));
        extensions.insert(Connection { watch: self.watch.clone(), request: ticket.id });
        let run = Some(self.app.clone().oneshot(request));
        let end = end.expect("the request has a body, be it empty");
        Exchange { run, refusal: None, ticket: Some(ticket), about, socket, end, body: PhantomData }
    }
}

/// What the log says about a request.
struct About {
    method: Method,
    target: Option<PathAndQuery>,
    http1: bool,
}

impl About {
    /// Without the query, which may hold what no log should.
    fn path(&self) -> &str {
        self.target.as_ref().map_or("*", PathAndQuery::path)
    }
}

/// What one look at a request's head tells.
struct Head {
    asks_for_upgrade: bool,
    /// On a connection that it shares with others.
    asks_for_socket: bool,
    expects_continue: bool,
}

impl Head {
    /// Refuses what no handler should see.
    fn read(request: &Request<Incoming>, limits: &Limits) -> Result<Self, StatusCode> {
        let mut bytes = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
        let mut hosts = 0;
        let mut expects_continue = false;
        let mut asks_for_upgrade = request.method() == Method::CONNECT;
        for (name, value) in request.headers() {
            bytes += name.as_str().len() + value.len() + ": \r\n".len();
            hosts += usize::from(*name == header::HOST);
            expects_continue |= *name == header::EXPECT;
            asks_for_upgrade |= *name == header::UPGRADE;
        }
        if bytes > limits.head_bytes_max || request.headers().len() > limits.head_fields_max {
            return Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        }
        // RFC 9112 §3.2: a request without exactly one Host is answered with 400.
        if request.version() == Version::HTTP_11 && hosts != 1 {
            return Err(StatusCode::BAD_REQUEST);
        }
        let asks_for_socket = request.version() == Version::HTTP_2 && request.method() == Method::CONNECT;
        match limits.request_body_bytes_max {
            Some(max) if request.body().size_hint().lower() > max => Err(StatusCode::PAYLOAD_TOO_LARGE),
            _ => Ok(Self { asks_for_upgrade, asks_for_socket, expects_continue }),
        }
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
        about: About,
        socket: Option<(TaskTracker, Arc<Seat>)>,
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
                Ok(Poll::Ready(Err(error))) => Err(failed(&error.into(), this.about, this.ticket.as_ref())),
                Err(panic) => {
                    let ticket = this.ticket.as_ref().expect("an exchange is not polled after its end");
                    count(&ticket.watch.shared.counters.handler_panics);
                    tracing::error!(
                        request_id = %ticket.id,
                        method = %this.about.method,
                        path = this.about.path(),
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
        let http1 = this.about.http1;
        let closing = http1 && ticket.watch.shared.wakers.phase() >= Phase::Announced;
        let mut response = match outcome {
            Ok(response) => {
                if let Some((tracker, seat)) = this.socket.take()
                    && response.status().is_success()
                {
                    connection::keep_for_socket(tracker, seat, &ticket.watch);
                }
                let (mut parts, body) = response.into_parts();
                let end = match parts.extensions.remove::<LiveResponse>() {
                    Some(live) => End::Live(live),
                    None if is_event_stream(&parts.headers) => End::WithServer,
                    None => End::Own,
                };
                match ResponseBody::of_handler(body, end, ticket) {
                    Ok(body) => Response::from_parts(parts, body),
                    Err(ticket) => {
                        count(&ticket.watch.shared.counters.responses_refused);
                        answer(StatusCode::SERVICE_UNAVAILABLE, http1 && !this.end.is_reached(), ticket)
                    }
                }
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
fn failed(error: &BoxError, about: &About, ticket: Option<&Ticket>) -> StatusCode {
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
    let id = ticket.map(|ticket| ticket.id.to_string());
    tracing::error!(request_id = id, method = %about.method, path = about.path(), error = &**error, "a service failed; the client is answered with 500");
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
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
    }
    headers.insert(REQUEST_ID, HeaderValue::from_str(&id).expect("hexadecimal digits and a dash"));
    if close {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
