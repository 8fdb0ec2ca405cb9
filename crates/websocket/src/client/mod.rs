//! Dialling: from a URL to a socket, over TCP or TLS, or over any stream that the caller has connected.
//!
//! [`options`] is what the caller wants, [`dial`] makes the byte stream, [`proxy`] leads it on, [`request`] asks, and
//! [`response`] reads the answer, which is judged here.

mod credentials;
mod dial;
mod environment;
mod options;
mod proxy;
mod request;
mod response;

pub use dial::ClientStream;
pub use options::{ConnectOptions, InvalidCookie};
pub use proxy::{InvalidProxy, Proxy};
pub use tokio_rustls::client::TlsStream;

use crate::{Machine, Role, WebSocket, handshake, limits::REFUSAL_BODY_TIMEOUT};
use bytes::{Bytes, BytesMut};
use dial::{Target, dial, secure};
use http::{
    HeaderMap, Response, StatusCode, Uri,
    header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL, UPGRADE},
};
use request::Request;
use std::{future::Future, io, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::{Instant, timeout},
};

/// Connects to a `ws` or `wss` URL. `user:password@` in it is sent as Basic authorisation (RFC 7617).
///
/// # Errors
/// [`ConnectError`]; when the server answered with something else, the answer is in [`ConnectError::response`].
pub async fn connect(
    uri: impl TryInto<Uri>,
    options: ConnectOptions,
) -> Result<(WebSocket<ClientStream>, Response<()>), ConnectError> {
    let uri = uri.try_into().map_err(|_| ConnectError::Url)?;
    let request = Request::new(&uri, &options)?;
    open(async { ask(dial(&uri, &options).await?, request).await }, &options).await
}

/// Asks for a WebSocket over a stream that is connected already: a Unix socket, or a test's pipe.
///
/// The URL's scheme is not looked at. For `wss` the stream must be encrypted already; to have that done here, call
/// [`connect_tls_over`].
///
/// # Errors
/// As [`connect`].
pub async fn connect_over<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    uri: impl TryInto<Uri>,
    options: ConnectOptions,
) -> Result<(WebSocket<S>, Response<()>), ConnectError> {
    let uri = uri.try_into().map_err(|_| ConnectError::Url)?;
    let request = Request::new(&uri, &options)?;
    open(ask(stream, request), &options).await
}

/// Asks for a WebSocket over TLS, over a stream that is connected already, such as one with options of the caller's own.
/// The certificate must be for the URL's host.
///
/// # Errors
/// As [`connect`]; [`ConnectError::Url`] also when the URL is not `wss`.
pub async fn connect_tls_over<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    uri: impl TryInto<Uri>,
    options: ConnectOptions,
) -> Result<(WebSocket<TlsStream<S>>, Response<()>), ConnectError> {
    let uri = uri.try_into().map_err(|_| ConnectError::Url)?;
    let target = Target::of(&uri)?;
    if !target.tls {
        return Err(ConnectError::Url);
    }
    let request = Request::new(&uri, &options)?;
    open(async { ask(secure(stream, target.host, options.tls.as_ref()).await?, request).await }, &options).await
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Not a `ws` or `wss` URL with a host.
    #[error("not a ws or wss URL with a host")]
    Url,
    /// What [`ConnectOptions`] say cannot be asked for; nothing was sent.
    #[error("wrong options: {0}")]
    Options(&'static str),
    /// The name, the network or the transport failed.
    #[error("could not connect: {0}")]
    Io(#[from] io::Error),
    /// The TLS handshake failed.
    #[error("TLS failed: {0}")]
    Tls(#[source] io::Error),
    /// The proxy did not connect us.
    #[error("the proxy failed: {0}")]
    Proxy(String),
    /// The server answered with something else than a WebSocket; the answer is inside, with as much of its body as came
    /// in [`REFUSAL_BODY_TIMEOUT`], up to [`REFUSAL_BODY_BYTES_MAX`](crate::limits::REFUSAL_BODY_BYTES_MAX) bytes.
    #[error("the server answered {}", .0.status())]
    Refused(Box<Response<Bytes>>),
    /// The server's answer breaks the protocol.
    #[error("the server's answer is wrong: {why}")]
    Answer {
        /// What is wrong with it.
        why: &'static str,
        /// The answer without a body, if it is HTTP.
        response: Option<Box<Response<Bytes>>>,
    },
    /// It took longer than [`ConnectOptions::timeout`].
    #[error("connecting took too long")]
    TimedOut,
}

impl ConnectError {
    /// The server's answer, if there was one: of a refusal, or one that breaks the protocol.
    #[must_use]
    pub fn response(&self) -> Option<&Response<Bytes>> {
        match self {
            ConnectError::Refused(response) => Some(response),
            ConnectError::Answer { response, .. } => response.as_deref(),
            _ => None,
        }
    }

    fn not_http(why: &'static str) -> Self {
        ConnectError::Answer { why, response: None }
    }
}

/// A server that has answered.
struct Answered<S> {
    stream: S,
    key: String,
    response: Response<()>,
    /// What came behind the answer's head.
    rest: BytesMut,
}

/// Bounds the time until the answer, and makes a socket or an error of it.
async fn open<S: AsyncRead + AsyncWrite + Unpin>(
    asking: impl Future<Output = Result<Answered<S>, ConnectError>>,
    options: &ConnectOptions,
) -> Result<(WebSocket<S>, Response<()>), ConnectError> {
    let start = Instant::now();
    let answered = timeout(options.timeout, asking).await.map_err(|_| ConnectError::TimedOut)??;
    if answered.response.status() != StatusCode::SWITCHING_PROTOCOLS {
        // Apart from the answer's head, so that a body that stalls does not hide the refusal.
        let left = options.timeout.saturating_sub(start.elapsed()).min(REFUSAL_BODY_TIMEOUT);
        return Err(answered.refusal(left).await);
    }
    answered.upgrade(options)
}

/// Asks for a WebSocket, and waits for the head of the answer.
async fn ask<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, request: Request) -> Result<Answered<S>, ConnectError> {
    stream.write_all(&request.head).await?;
    stream.flush().await?;
    let mut rest = BytesMut::new();
    let response = response::read_head(&mut stream, &mut rest).await?;
    Ok(Answered { stream, key: request.key, response, rest })
}

impl<S: AsyncRead + AsyncWrite + Unpin> Answered<S> {
    async fn refusal(mut self, limit: Duration) -> ConnectError {
        let body = response::read_body(&mut self.stream, &self.response, self.rest, limit).await;
        ConnectError::Refused(Box::new(self.response.map(|()| body)))
    }

    fn upgrade(self, options: &ConnectOptions) -> Result<(WebSocket<S>, Response<()>), ConnectError> {
        match judge(self.response.headers(), &self.key, options) {
            Ok((machine, protocol)) => {
                let socket = WebSocket::with_machine(self.stream, machine, options.limits);
                let mut socket = socket.with_read_ahead(&self.rest);
                socket.set_protocol(protocol);
                Ok((socket, self.response))
            }
            Err(why) => {
                let response = Some(Box::new(self.response.map(|()| Bytes::new())));
                Err(ConnectError::Answer { why, response })
            }
        }
    }
}

/// Judges a 101 (RFC 6455 §4.1), and returns the connection as agreed with its subprotocol.
fn judge(headers: &HeaderMap, key: &str, options: &ConnectOptions) -> Result<(Machine, Option<String>), &'static str> {
    let upgrades = handshake::list_contains(headers, UPGRADE, "websocket");
    if !upgrades || !handshake::list_contains(headers, CONNECTION, "upgrade") {
        return Err("it upgrades to something else");
    }
    let mut accepts = headers.get_all(SEC_WEBSOCKET_ACCEPT).iter();
    let accepted =
        accepts.next().is_some_and(|accept| accept.as_bytes() == handshake::accept_key(key.as_bytes()).as_bytes());
    if !accepted || accepts.next().is_some() {
        return Err("its accept key is wrong");
    }
    let mut protocols = handshake::list(headers, SEC_WEBSOCKET_PROTOCOL);
    let protocol = protocols.next().map(str::to_owned);
    let offered = protocol.as_ref().is_none_or(|protocol| options.protocols.contains(protocol));
    if !offered || protocols.next().is_some() {
        return Err("it chooses a subprotocol that was not offered");
    }
    let machine = Machine::new(Role::Client, &options.limits);
    #[cfg(feature = "deflate")]
    let machine = with_deflate(machine, headers, options).map_err(|()| NOT_OFFERED)?;
    #[cfg(not(feature = "deflate"))]
    if headers.contains_key(SEC_WEBSOCKET_EXTENSIONS) {
        return Err(NOT_OFFERED);
    }
    Ok((machine, protocol))
}

const NOT_OFFERED: &str = "it agrees to an extension that was not offered";

#[cfg(feature = "deflate")]
fn with_deflate(machine: Machine, headers: &HeaderMap, options: &ConnectOptions) -> Result<Machine, ()> {
    let elements = handshake::list(headers, SEC_WEBSOCKET_EXTENSIONS);
    let agreed = handshake::extension::read_answer(elements, options.deflate.as_ref())?;
    Ok(match (agreed, &options.deflate) {
        (Some(agreed), Some(deflate)) => machine.with_deflate(agreed, deflate.level, deflate.threshold_bytes),
        _ => machine,
    })
}
