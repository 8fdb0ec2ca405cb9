//! The server's side over hyper: from a request to a task that owns the socket. An axum extractor, too.
//!
//! Knows hyper's upgrades and the two extensions through which a server makes sockets part of its shutdown: a
//! [`CancellationToken`] that fires when it begins, and a [`TaskTracker`] that it waits for. It refuses to know routes.

use crate::{
    CloseCode, CloseFrame, DirectWriter, Limits, OriginPolicy, UpgradeRefusal, WebSocket,
    direct::SharedStream,
    handshake::{Accepted, ServerRequest},
    socket::Rescue,
    transport::byte_stream,
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, request::Parts};
use hyper::{ext::Protocol, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use pin_project_lite::pin_project;
use std::{
    any::Any,
    future::Future,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::net::TcpStream;
use tokio_util::{either::Either, sync::CancellationToken, task::TaskTracker};

/// A request for a WebSocket, ready to be accepted. With axum it is an extractor; route it with `any()`, because it is a
/// GET over HTTP/1.1 and a CONNECT over HTTP/2, and wrong requests get the right answer. `Option<Upgrade>` is `None` for
/// ordinary requests, so that one route can serve both.
///
/// Pages of other hosts are refused unless [`origin`](Self::origin) says otherwise.
#[derive(Debug)]
#[must_use = "the connection is not accepted until on_upgrade or accept"]
pub struct Upgrade {
    request: ServerRequest,
    on_upgrade: OnUpgrade,
    limits: Limits,
    shutdown: Option<CancellationToken>,
    shutdown_close: Option<CloseFrame>,
    tracker: Option<TaskTracker>,
    kept: Option<Arc<dyn Any + Send + Sync>>,
    heartbeat: Option<Duration>,
    heartbeat_timeout: Option<Duration>,
}

impl Upgrade {
    /// Takes what an upgrade needs out of a request's head.
    ///
    /// # Errors
    /// A [`UpgradeRefusal`], which knows its HTTP answer.
    pub fn from_parts(parts: &mut Parts) -> Result<Self, UpgradeRefusal> {
        let request = ServerRequest::parse(parts, protocol(parts))?;
        let on_upgrade = parts.extensions.remove::<OnUpgrade>().ok_or(UpgradeRefusal::NotUpgradable)?;
        Ok(Upgrade {
            request,
            on_upgrade,
            limits: Limits::server(),
            shutdown: parts.extensions.get::<CancellationToken>().cloned(),
            shutdown_close: Some(CloseCode::GOING_AWAY.into()),
            tracker: parts.extensions.get::<TaskTracker>().cloned(),
            kept: parts.extensions.remove::<Arc<dyn Any + Send + Sync>>(),
            heartbeat: None,
            heartbeat_timeout: None,
        })
    }

    /// Whether a request asks for a WebSocket at all, rightly or wrongly.
    #[must_use]
    pub fn is_attempt(parts: &Parts) -> bool {
        ServerRequest::is_attempt(parts, protocol(parts))
    }

    /// Which web pages may connect; [`OriginPolicy::SameHost`] unless said otherwise.
    pub fn origin(mut self, policy: OriginPolicy) -> Self {
        self.request.origin(policy);
        self
    }

    /// Refuses requests without `Origin`, for endpoints whose only credential is a cookie.
    pub fn require_origin(mut self) -> Self {
        self.request.require_origin();
        self
    }

    /// The subprotocols that this server speaks, by its preference; the first that the client offers is chosen.
    pub fn protocols<T: AsRef<str>>(mut self, supported: impl IntoIterator<Item = T>) -> Self {
        self.request.protocols(supported);
        self
    }

    /// What the connection may cost.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Agrees to permessage-deflate if the client offers it. Mind what is compressed together with text that an attacker
    /// chooses ([`Outgoing::Uncompressed`](crate::Outgoing::Uncompressed)).
    #[cfg(feature = "deflate")]
    pub fn deflate(mut self, options: crate::DeflateOptions) -> Self {
        self.request.deflate(options);
        self
    }

    /// Sends pings and notices a dead peer, as [`WebSocket::set_heartbeat`].
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.heartbeat = Some(interval);
        self
    }

    /// How long the peer may take to answer a heartbeat's ping, as [`WebSocket::set_heartbeat_timeout`]: a whole interval
    /// unless said otherwise.
    pub fn heartbeat_timeout(mut self, timeout: Duration) -> Self {
        self.heartbeat_timeout = Some(timeout);
        self
    }

    /// What the socket closes with when the server shuts down: 1001 unless said otherwise. `None` leaves it to the
    /// handler, as [`WebSocket::set_shutdown_close`].
    pub fn shutdown_close(mut self, frame: Option<CloseFrame>) -> Self {
        self.shutdown_close = frame;
        self
    }

    /// Adds a header field to the answer.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.request.header(name, value);
        self
    }

    /// The subprotocols that the client offers, in its order.
    #[must_use]
    pub fn offered_protocols(&self) -> &[String] {
        self.request.offered_protocols()
    }

    /// The subprotocol chosen by [`protocols`](Self::protocols).
    #[must_use]
    pub fn chosen_protocol(&self) -> Option<&str> {
        self.request.chosen_protocol()
    }

    /// The request's `Origin`.
    #[must_use]
    pub fn origin_header(&self) -> Option<&str> {
        self.request.origin_header()
    }

    /// Accepts, and runs `handler` in its own task with the socket. When the handler panics, the peer is told with 1011;
    /// when it returns without having closed, with 1000.
    ///
    /// # Errors
    /// [`UpgradeRefusal::Origin`] when the page may not connect.
    pub fn accept<F, T>(self, handler: F) -> Result<Response<()>, UpgradeRefusal>
    where
        F: FnOnce(WebSocket<Upgraded>) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let Upgrade { request, on_upgrade, limits, shutdown, shutdown_close, heartbeat, heartbeat_timeout, .. } = self;
        // The server's own way of noticing when the socket is gone, or else the task tracker.
        let (tracker, kept) = match self.kept {
            Some(kept) => (None, Some(kept)),
            None => (self.tracker.clone(), self.tracker.map(|tracker| Arc::new(tracker.token()) as _)),
        };
        let accepted = request.accept()?;
        let machine = accepted.machine(&limits);
        let Accepted { response, protocol, .. } = accepted;
        // In a box of its own, which is given back once the socket is open: sockets are many, and open for long.
        let opening = Box::pin(async move {
            let upgraded = match on_upgrade.await {
                Ok(upgraded) => upgraded,
                // The client went away between its request and our answer.
                Err(error) => {
                    tracing::debug!(%error, "a connection was not upgraded");
                    return None;
                }
            };
            let (stream, read_ahead) = Upgraded::new(upgraded);
            let mut socket = WebSocket::with_machine(stream, machine, limits).with_read_ahead(&read_ahead);
            socket.set_protocol(protocol);
            socket.set_heartbeat(heartbeat);
            if let Some(timeout) = heartbeat_timeout {
                socket.set_heartbeat_timeout(timeout);
            }
            if let Some(token) = shutdown {
                socket.close_on(token, shutdown_close);
            }
            let rescue = Arc::new(Rescue::new(kept));
            socket.inner_mut().rescue = Some(rescue.clone());
            match catch_unwind(AssertUnwindSafe(|| handler(socket))) {
                Ok(running) => Some(Watched { running, rescue }),
                Err(panic) => {
                    report(panic.as_ref());
                    close_left(rescue, CloseCode::INTERNAL_ERROR).await;
                    None
                }
            }
        });
        let task = serve(opening);
        match tracker {
            Some(tracker) => drop(tracker.spawn(task)),
            None => drop(tokio::spawn(task)),
        }
        Ok(response)
    }

    /// [`accept`](Self::accept), with the refusal as an answer.
    #[cfg(feature = "axum")]
    pub fn on_upgrade<F, T>(self, handler: F) -> axum_core::response::Response
    where
        F: FnOnce(WebSocket<Upgraded>) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        match self.accept(handler) {
            Ok(response) => response.map(|()| axum_core::body::Body::empty()),
            Err(refusal) => axum_core::response::IntoResponse::into_response(refusal),
        }
    }
}

fn protocol(parts: &Parts) -> Option<&str> {
    parts.extensions.get::<Protocol>().map(Protocol::as_str)
}

/// The whole life of a socket, of which the longest part by far takes little more room than the handler's own future.
async fn serve<O, T>(opening: Pin<Box<O>>)
where
    O: Future<Output = Option<Watched<T>>>,
    T: Future<Output = ()>,
{
    let Some(watched) = opening.await else { return };
    let (rescue, code) = watched.await;
    Box::pin(close_left(rescue, code)).await;
}

/// Closes a socket in order that its handler has left open.
async fn close_left(rescue: Arc<Rescue<Upgraded>>, code: CloseCode) {
    let left = rescue.left().take();
    if let Some(inner) = left {
        WebSocket::from_inner(inner).close(code, "").await;
    }
}

pin_project! {
    /// Runs the handler, and says with what code its socket is to be closed if it has left it open.
    struct Watched<T> {
        #[pin]
        running: T,
        rescue: Arc<Rescue<Upgraded>>,
    }
}

impl<T: Future<Output = ()>> Future for Watched<T> {
    type Output = (Arc<Rescue<Upgraded>>, CloseCode);

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let code = match catch_unwind(AssertUnwindSafe(|| this.running.poll(cx))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(())) => CloseCode::NORMAL,
            Err(panic) => {
                report(panic.as_ref());
                CloseCode::INTERNAL_ERROR
            }
        };
        Poll::Ready((this.rescue.clone(), code))
    }
}

fn report(panic: &(dyn Any + Send)) {
    tracing::error!(panic = panic_message(panic), "a WebSocket handler panicked");
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no message)")
}

#[cfg(feature = "axum")]
impl<S: Sync> axum_core::extract::FromRequestParts<S> for Upgrade {
    type Rejection = UpgradeRefusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, UpgradeRefusal> {
        Upgrade::from_parts(parts)
    }
}

#[cfg(feature = "axum")]
impl<S: Sync> axum_core::extract::OptionalFromRequestParts<S> for Upgrade {
    type Rejection = UpgradeRefusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, UpgradeRefusal> {
        if Upgrade::is_attempt(parts) { Upgrade::from_parts(parts).map(Some) } else { Ok(None) }
    }
}

#[cfg(feature = "axum")]
impl axum_core::response::IntoResponse for UpgradeRefusal {
    fn into_response(self) -> axum_core::response::Response {
        self.response().map(Into::into)
    }
}

/// The byte stream of an upgraded connection: a bare TCP stream where the server gives it back, and otherwise whatever
/// hyper holds (TLS, a stream of HTTP/2). [`WebSocket::stream`] lends it.
///
/// Over TLS and HTTP/2 the TCP stream is out of reach, and [`tcp`](Self::tcp) and the addresses are `None`. A server that
/// wants the addresses there notes them when it accepts the connection and puts them in the request's extensions, as
/// axum's `ConnectInfo` does.
#[derive(Debug)]
pub struct Upgraded(Either<SharedStream, Box<TokioIo<hyper::upgrade::Upgraded>>>);

byte_stream!(Upgraded);

impl Upgraded {
    /// The stream, and what was read beyond the handshake.
    fn new(upgraded: hyper::upgrade::Upgraded) -> (Self, Bytes) {
        match hyper_util::server::conn::auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded) {
            Ok(parts) => {
                let stream = parts.io.into_inner();
                // Coalescing is done here, by writing everything queued at once.
                let _ = stream.set_nodelay(true);
                (Upgraded(Either::Left(SharedStream::new(stream))), parts.read_buf)
            }
            Err(upgraded) => (Upgraded(Either::Right(Box::new(TokioIo::new(upgraded)))), Bytes::new()),
        }
    }

    /// The TCP stream, for its options; `None` over TLS and HTTP/2, and where the server wraps its streams.
    #[must_use]
    pub fn tcp(&self) -> Option<&TcpStream> {
        match &self.0 {
            Either::Left(stream) => Some(stream.tcp()),
            Either::Right(_) => None,
        }
    }

    /// See [`WebSocket::direct_writer`].
    fn writer(&self) -> Option<DirectWriter> {
        match &self.0 {
            Either::Left(stream) => Some(stream.writer()),
            Either::Right(_) => None,
        }
    }

    /// The peer's address; `None` where [`tcp`](Self::tcp) is, and when the peer has gone already.
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.tcp()?.peer_addr().ok()
    }

    /// Our own address; `None` where [`tcp`](Self::tcp) is.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.tcp()?.local_addr().ok()
    }
}

impl WebSocket<Upgraded> {
    /// A handle that writes frames past the task that owns this socket: for whoever carries the same frames to many
    /// sockets, in one write each and without waking their tasks. What it is given must be whole [`Prepared`] frames, and
    /// is not in [`statistics`](Self::statistics). `None` over TLS and HTTP/2, and with permessage-deflate.
    ///
    /// When it says that the socket is full, the owner calls [`wants_flush`](Self::wants_flush) and flushes.
    ///
    /// [`Prepared`]: crate::Prepared
    pub fn direct_writer(&mut self) -> Option<DirectWriter> {
        let writer = if self.is_compressed() { None } else { self.stream().writer() };
        self.inner_mut().beside = writer.clone().map(|writer| (writer, 0));
        writer
    }

    /// The next [`flush`](Self::flush) waits until the socket takes something again, within the limits of a write.
    pub fn wants_flush(&mut self) {
        self.inner_mut().wants_flush();
    }
}

#[cfg(all(test, feature = "client"))]
mod tests {
    use super::*;
    use crate::{ConnectOptions, connect_over};
    use hyper::service::service_fn;
    use hyper_util::{rt::TokioExecutor, server::conn::auto};
    use std::convert::Infallible;
    use tokio::{
        io::{AsyncRead, AsyncWrite, duplex},
        net::TcpListener,
    };

    /// The addresses that a handler sees, with its own first, and whether it can reach the TCP stream.
    async fn seen_over<S, C>(server: S, client: C) -> (Option<SocketAddr>, Option<SocketAddr>, bool)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        C: AsyncRead + AsyncWrite + Unpin,
    {
        let (report, mut reports) = tokio::sync::mpsc::channel(1);
        let answer = move |request: http::Request<hyper::body::Incoming>| {
            let report = report.clone();
            let accepted = Upgrade::from_parts(&mut request.into_parts().0).unwrap().accept(|socket| async move {
                let stream = socket.stream();
                report.try_send((stream.local_addr(), stream.peer_addr(), stream.tcp().is_some())).unwrap();
            });
            std::future::ready(Ok::<_, Infallible>(accepted.unwrap().map(|()| String::new())))
        };
        tokio::spawn(async move {
            let http = auto::Builder::new(TokioExecutor::new());
            let _ = http.serve_connection_with_upgrades(TokioIo::new(server), service_fn(answer)).await;
        });
        let _connected = connect_over(client, "ws://a.example/", ConnectOptions::new()).await.unwrap();
        reports.recv().await.unwrap()
    }

    #[tokio::test]
    async fn a_handler_reaches_a_bare_tcp_stream_and_no_other() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let server = listener.accept().await.unwrap().0;
        let expected = (listener.local_addr().ok(), client.local_addr().ok(), true);
        assert_eq!(seen_over(server, client).await, expected);

        let (server, client) = duplex(1024);
        assert_eq!(seen_over(server, client).await, (None, None, false));
    }

    /// A task takes some 100 bytes of its own, and a multiple of 128.
    #[test]
    fn a_sockets_task_takes_little_more_than_its_handlers_future() {
        fn task_of<T: Future<Output = ()>>(_: &T) -> usize {
            type Opening<T> = std::future::Ready<Option<Watched<T>>>;
            fn size_of_result<A, B>(_: fn(A) -> B) -> usize {
                size_of::<B>()
            }
            size_of_result(serve::<Opening<T>, T>)
        }
        let handler = |bytes: [u8; 100]| async move {
            std::future::pending::<()>().await;
            assert_eq!(bytes.len(), 100);
        };
        let handler = handler([0; 100]);
        let (task, inner) = (task_of(&handler), size_of::<crate::socket::Inner<Upgraded>>());
        println!("a socket's task beside its handler's future: {} bytes", task - size_of_val(&handler));
        println!("a socket: {inner} bytes, of which the state machine: {}", size_of::<crate::Machine>());
        assert!(task - size_of_val(&handler) <= 32);
        assert!(inner <= 475, "{inner} bytes a socket: put what is seldom needed in a box");
    }
}
