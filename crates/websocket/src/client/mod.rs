//! Dialling: from a URL to a socket, over TCP or TLS, or over any stream that the caller has connected.

mod proxy;
mod response;

pub use proxy::{InvalidProxy, Proxy};

use crate::{
    Limits, Machine, Role, WebSocket, handshake,
    limits::{HANDSHAKE_TIMEOUT, REFUSAL_BODY_TIMEOUT},
    transport::byte_stream,
};
use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Uri,
    header::{
        CONNECTION, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
        SEC_WEBSOCKET_VERSION, UPGRADE,
    },
};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use std::{
    future::Future,
    io,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::either::Either;

/// How to connect. The default asks for nothing special and waits ten seconds.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    limits: Limits,
    headers: HeaderMap,
    protocols: Vec<String>,
    timeout: Duration,
    tls: Option<Arc<ClientConfig>>,
    proxy: Option<Proxy>,
    #[cfg(feature = "deflate")]
    deflate: Option<crate::DeflateOptions>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        ConnectOptions {
            limits: Limits::client(),
            headers: HeaderMap::new(),
            protocols: Vec::new(),
            timeout: HANDSHAKE_TIMEOUT,
            tls: None,
            proxy: None,
            #[cfg(feature = "deflate")]
            deflate: None,
        }
    }
}

impl ConnectOptions {
    /// The default.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What the connection may cost.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Adds a header field to the request: cookies, authorization, origin.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Subprotocols to offer, the favourite first.
    #[must_use]
    pub fn protocols<T: Into<String>>(mut self, protocols: impl IntoIterator<Item = T>) -> Self {
        self.protocols = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// Time for everything from the name's resolution to the server's answer.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// TLS for `wss`, instead of the operating system's certificates.
    #[must_use]
    pub fn tls(mut self, config: Arc<ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// Connects through a proxy. The environment's proxies are not looked at.
    #[must_use]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = Some(proxy);
        self
    }

    /// Offers permessage-deflate.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(mut self, options: crate::DeflateOptions) -> Self {
        self.deflate = Some(options);
        self
    }
}

/// Connects to a `ws` or `wss` URL.
///
/// # Errors
/// [`ConnectError`]; when the server answered with something else, the answer is in [`ConnectError::response`].
pub async fn connect(
    uri: impl TryInto<Uri>,
    options: ConnectOptions,
) -> Result<(WebSocket<ClientStream>, Response<()>), ConnectError> {
    let uri = uri.try_into().map_err(|_| ConnectError::Url)?;
    open(async { ask(dial(&uri, &options).await?, &uri, &options).await }, &options).await
}

/// The byte stream to a URL's host: TCP, with TLS if the URL says so.
async fn dial(uri: &Uri, options: &ConnectOptions) -> Result<ClientStream, ConnectError> {
    let tls = match uri.scheme_str() {
        Some("ws" | "http") => false,
        Some("wss" | "https") => true,
        _ => return Err(ConnectError::Url),
    };
    let host = uri.host().ok_or(ConnectError::Url)?.trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let (next_host, next_port) = options.proxy.as_ref().map_or((host, port), |proxy| (&proxy.host, proxy.port));
    let mut tcp = TcpStream::connect((next_host, next_port)).await?;
    // Coalescing is done here, by writing everything queued at once.
    tcp.set_nodelay(true)?;
    if let Some(proxy) = &options.proxy {
        proxy.tunnel(&mut tcp, host, port).await?;
    }
    if !tls {
        return Ok(ClientStream(Either::Left(tcp)));
    }
    let config = match &options.tls {
        Some(config) => Arc::clone(config),
        None => system_tls()?,
    };
    let name = ServerName::try_from(host.to_owned()).map_err(|_| ConnectError::Url)?;
    let stream = TlsConnector::from(config).connect(name, tcp).await.map_err(ConnectError::Tls)?;
    Ok(ClientStream(Either::Right(Box::new(stream))))
}

/// Asks for a WebSocket over a stream that is connected already: through a proxy, a Unix socket, or a test's pipe.
///
/// # Errors
/// As [`connect`].
pub async fn connect_over<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    uri: impl TryInto<Uri>,
    options: ConnectOptions,
) -> Result<(WebSocket<S>, Response<()>), ConnectError> {
    let uri = uri.try_into().map_err(|_| ConnectError::Url)?;
    open(ask(stream, &uri, &options), &options).await
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Not a `ws` or `wss` URL with a host.
    #[error("not a ws or wss URL with a host")]
    Url,
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
async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    uri: &Uri,
    options: &ConnectOptions,
) -> Result<Answered<S>, ConnectError> {
    let key = handshake::random_key();
    stream.write_all(&request(uri, &key, options)?).await?;
    stream.flush().await?;
    let mut rest = BytesMut::new();
    let response = response::read_head(&mut stream, &mut rest).await?;
    Ok(Answered { stream, key, response, rest })
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

/// The request as it goes over the wire (RFC 6455 §4.1).
fn request(uri: &Uri, key: &str, options: &ConnectOptions) -> Result<Vec<u8>, ConnectError> {
    let authority = uri.authority().ok_or(ConnectError::Url)?;
    let host = authority.as_str().rsplit('@').next().unwrap_or_default();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let slash = if path.starts_with('/') { "" } else { "/" };
    let mut head = format!("GET {slash}{path} HTTP/1.1\r\n").into_bytes();
    let mut field = |name: &HeaderName, value: &[u8]| {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value);
        head.extend_from_slice(b"\r\n");
    };
    if !options.headers.contains_key(HOST) {
        field(&HOST, host.as_bytes());
    }
    field(&UPGRADE, b"websocket");
    field(&CONNECTION, b"Upgrade");
    field(&SEC_WEBSOCKET_VERSION, b"13");
    field(&SEC_WEBSOCKET_KEY, key.as_bytes());
    if !options.protocols.is_empty() {
        let protocols = HeaderValue::try_from(options.protocols.join(", ")).map_err(|_| ConnectError::Url)?;
        field(&SEC_WEBSOCKET_PROTOCOL, protocols.as_bytes());
    }
    #[cfg(feature = "deflate")]
    if let Some(deflate) = &options.deflate {
        field(&SEC_WEBSOCKET_EXTENSIONS, handshake::extension::offer(deflate).as_bytes());
    }
    for (name, value) in &options.headers {
        field(name, value.as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    Ok(head)
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

/// TLS with the certificates that the operating system trusts, loaded once.
fn system_tls() -> Result<Arc<ClientConfig>, ConnectError> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(Arc::clone(config));
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| ConnectError::Tls(io::Error::other(error)))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::clone(CONFIG.get_or_init(|| Arc::new(config))))
}

/// The byte stream of a dialled connection: TCP, or TLS over it.
#[derive(Debug)]
pub struct ClientStream(Either<TcpStream, Box<TlsStream<TcpStream>>>);

byte_stream!(ClientStream);

impl ClientStream {
    /// The TCP stream underneath, for its addresses and options.
    #[must_use]
    pub fn tcp(&self) -> &TcpStream {
        match &self.0 {
            Either::Left(stream) => stream,
            Either::Right(stream) => stream.get_ref().0,
        }
    }
}
