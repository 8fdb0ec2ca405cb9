//! Tests of an application: run it in memory or on port 0, and talk to it over HTTP/1.1, HTTP/2 and WebSocket.
//!
//! The server is the real one, with its limits and its panic isolation; only the sockets can be pipes. The WebSocket
//! client is small and knows nothing of the engine under test: text and close, each in one frame.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! # #[cfg(feature = "axum")] {
//! use tidings_serve::test_kit::TestServer;
//! let app = axum::Router::new().route("/", axum::routing::get(|| async { "hello" }));
//! let server = TestServer::in_memory(app).await;
//! assert_eq!(server.get("/").await.body(), "hello");
//! # }
//! # }
//! ```
//!
//! Everything here panics when something goes wrong, because that is how a test fails.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::app::App;
use crate::body::{BoxError, ResponseData};
use crate::handle::Handle;
use crate::listen::Listen;
use crate::listener::Accept;
use crate::peer::Peer;
use crate::server::Server;
use crate::stream::BoxIo;

/// Bytes that an in-memory connection holds in each direction, like the buffer of a socket.
const PIPE_BYTES: usize = 64 * 1024;
/// Connections in memory that wait to be accepted.
const PIPE_BACKLOG: usize = 128;
/// How long the kit waits for what should be there at once.
const PATIENCE: Duration = Duration::from_secs(20);

/// An application under test. The server ends when this is dropped.
pub struct TestServer {
    handle: Handle,
    pipes: Option<mpsc::Sender<DuplexStream>>,
}

struct Pipes(mpsc::Receiver<DuplexStream>);

impl Accept for Pipes {
    type Stream = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, Peer)> {
        match self.0.recv().await {
            Some(stream) => Ok((stream, Peer::Unknown)),
            // The kit is gone, and with it the last client; the server is being closed.
            None => std::future::pending().await,
        }
    }
}

impl TestServer {
    /// Runs `app` on a free port of the loopback address.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start<S: App<B>, B: ResponseData>(app: S) -> Self {
        Self::serve(Server::bind("127.0.0.1:0"), app).await
    }

    /// Runs `app` without any socket.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn in_memory<S: App<B>, B: ResponseData>(app: S) -> Self {
        Self::in_memory_with(|server| server, app).await
    }

    /// Runs `app` without any socket, on a server with options.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn in_memory_with<S: App<B>, B: ResponseData>(options: impl FnOnce(Server) -> Server, app: S) -> Self {
        let (pipes, accepted) = mpsc::channel(PIPE_BACKLOG);
        let server = options(Server::bind(Listen::custom(Pipes(accepted))));
        Self { handle: server.serve(app).await.expect("the server starts"), pipes: Some(pipes) }
    }

    /// Runs `app` on a server of your making; requests go to its first TCP listener.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn serve<S: App<B>, B: ResponseData>(server: Server, app: S) -> Self {
        Self { handle: server.serve(app).await.expect("the server starts"), pipes: None }
    }

    /// The server's handle.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// A fresh connection, as bytes.
    ///
    /// # Panics
    /// When the server does not accept it.
    pub async fn connect(&self) -> Stream {
        match &self.pipes {
            Some(pipes) => {
                let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
                pipes.send(theirs).await.expect("the server runs");
                Box::new(ours)
            }
            None => Box::new(TcpStream::connect(self.handle.local_addr()).await.expect("the server accepts")),
        }
    }

    /// A fresh HTTP/1.1 connection.
    ///
    /// # Panics
    /// When the server does not accept it.
    pub async fn http1(&self) -> TestClient {
        TestClient::http1(self.connect().await).await
    }

    /// A fresh HTTP/2 connection.
    ///
    /// # Panics
    /// When the server does not accept it.
    pub async fn http2(&self) -> TestClient {
        TestClient::http2(self.connect().await).await
    }

    /// `GET` on a fresh HTTP/1.1 connection.
    ///
    /// # Panics
    /// When no complete answer comes.
    pub async fn get(&self, path: &str) -> Response<Bytes> {
        self.http1().await.get(path).await
    }

    /// `POST` on a fresh HTTP/1.1 connection.
    ///
    /// # Panics
    /// When no complete answer comes.
    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> Response<Bytes> {
        self.http1().await.post(path, body).await
    }

    /// A WebSocket at `path`.
    ///
    /// # Panics
    /// When the upgrade is refused.
    pub async fn websocket(&self, path: &str) -> TestSocket {
        TestSocket::connect(self.connect().await, path).await
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.handle.close();
    }
}

/// A connection as bytes.
pub type Stream = Box<dyn StreamIo>;

/// What a connection can do: read and write.
pub trait StreamIo: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> StreamIo for T {}

/// An HTTP client on one connection; cloned, it shares the connection if that speaks HTTP/2.
pub struct TestClient(Sender);

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl TestClient {
    /// Speaks HTTP/1.1 on a stream.
    ///
    /// # Panics
    /// When the connection fails.
    pub async fn http1(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("the connection stands");
        tokio::spawn(connection.with_upgrades());
        Self(Sender::Http1(sender))
    }

    /// Speaks HTTP/2 on a stream.
    ///
    /// # Panics
    /// When the connection fails.
    pub async fn http2(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .handshake(TokioIo::new(stream))
            .await
            .expect("the connection stands");
        tokio::spawn(connection);
        Self(Sender::Http2(sender))
    }

    /// `GET`, answered in full.
    ///
    /// # Panics
    /// When no complete answer comes.
    pub async fn get(&mut self, path: &str) -> Response<Bytes> {
        self.request(Method::GET, path, Bytes::new()).await
    }

    /// `POST`, answered in full.
    ///
    /// # Panics
    /// When no complete answer comes.
    pub async fn post(&mut self, path: &str, body: impl Into<Bytes>) -> Response<Bytes> {
        self.request(Method::POST, path, body.into()).await
    }

    async fn request(&mut self, method: Method, path: &str, body: Bytes) -> Response<Bytes> {
        let request = Request::builder().method(method).uri(path).body(body).expect("a path");
        self.send(request).await.expect("an answer")
    }

    /// Sends any request; its URI may be a path alone.
    ///
    /// # Errors
    /// Whatever hyper says when the connection ends, the stream is reset, or the body is cut.
    ///
    /// # Panics
    /// When nothing happens for 20 s.
    pub async fn send(&mut self, mut request: Request<Bytes>) -> Result<Response<Bytes>, BoxError> {
        let path = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
        let answer = async {
            let response = match &mut self.0 {
                Sender::Http1(sender) => {
                    request.headers_mut().entry("host").or_insert(http::HeaderValue::from_static("test"));
                    *request.uri_mut() = path.parse()?;
                    sender.ready().await?;
                    sender.send_request(request.map(Full::new)).await?
                }
                Sender::Http2(sender) => {
                    *request.uri_mut() = format!("http://test{path}").parse()?;
                    *request.version_mut() = Version::HTTP_2;
                    sender.ready().await?;
                    sender.send_request(request.map(Full::new)).await?
                }
            };
            let (parts, body) = response.into_parts();
            Ok(Response::from_parts(parts, body.collect().await?.to_bytes()))
        };
        tokio::time::timeout(PATIENCE, answer).await.expect("an answer in time")
    }

    /// A WebSocket's stream on this HTTP/2 connection (RFC 8441); see [`TestSocket::over`].
    ///
    /// # Panics
    /// When it is refused, and on HTTP/1.1.
    pub async fn websocket_stream(&mut self, path: &str) -> Stream {
        let Sender::Http2(sender) = &mut self.0 else { panic!("RFC 8441 is about HTTP/2") };
        let request = Request::connect(format!("http://test{path}"))
            .extension(hyper::ext::Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13")
            .body(Full::default())
            .expect("a path");
        let response = sender.send_request(request).await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK);
        Box::new(TokioIo::new(hyper::upgrade::on(response).await.expect("an upgraded stream")))
    }

    /// One more client on the same HTTP/2 connection.
    ///
    /// # Panics
    /// On HTTP/1.1, which can ask but one thing at a time.
    #[must_use]
    pub fn share(&self) -> Self {
        match &self.0 {
            Sender::Http1(_) => panic!("an HTTP/1.1 connection cannot be shared"),
            Sender::Http2(sender) => Self(Sender::Http2(sender.clone())),
        }
    }
}

/// A WebSocket as a client sees it: whole text messages, and the close code.
pub struct TestSocket {
    stream: BoxIo,
}

/// What a socket's server sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A close frame with its code; 1005 when it had none.
    Close(u16),
    /// The end of the connection without a close frame.
    End,
}

impl TestSocket {
    /// Upgrades a connection.
    ///
    /// # Panics
    /// When the answer is not 101.
    pub async fn connect(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, path: &str) -> Self {
        let (mut sender, connection) =
            http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await.expect("the connection stands");
        tokio::spawn(connection.with_upgrades());
        let request = Request::get(path)
            .header("host", "test")
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .body(Full::default())
            .expect("a path");
        let response = sender.send_request(request).await.expect("an answer");
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        // The answer to the key of RFC 6455 §1.3, which is the one sent above.
        assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let upgraded = hyper::upgrade::on(response).await.expect("an upgraded connection");
        Self::over(TokioIo::new(upgraded))
    }

    /// Speaks on a stream that is upgraded already.
    pub fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        Self { stream: Box::new(stream) }
    }

    /// Sends a text message.
    ///
    /// # Panics
    /// When the connection has ended.
    pub async fn send(&mut self, text: &str) {
        self.send_frame(1, text.as_bytes()).await;
    }

    /// Sends a close frame.
    ///
    /// # Panics
    /// When the connection has ended.
    pub async fn close(&mut self, code: u16) {
        self.send_frame(8, &code.to_be_bytes()).await;
    }

    async fn send_frame(&mut self, opcode: u8, payload: &[u8]) {
        let mut frame = vec![0x80 | opcode];
        match payload.len() {
            small @ 0..126 => frame.push(0x80 | u8::try_from(small).expect("below 126")),
            large => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(large).expect("a test's message is below 64 KiB").to_be_bytes());
            }
        }
        // A mask of zeros is a mask, and leaves the payload readable in a capture.
        frame.extend([0; 4]);
        frame.extend(payload);
        self.stream.write_all(&frame).await.expect("the socket is open");
    }

    /// The next message or the end; pings are passed over.
    ///
    /// # Panics
    /// When nothing comes for 20 s, or a fragment does.
    pub async fn receive(&mut self) -> Received {
        tokio::time::timeout(PATIENCE, async {
            loop {
                let Ok((opcode, payload)) = self.read_frame().await else { return Received::End };
                match opcode {
                    1 => return Received::Text(String::from_utf8(payload).expect("text is UTF-8")),
                    2 => return Received::Binary(payload),
                    8 => {
                        let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                        return Received::Close(code);
                    }
                    _ => {}
                }
            }
        })
        .await
        .expect("a message in time")
    }

    async fn read_frame(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let first = self.stream.read_u8().await?;
        assert!(first & 0x80 != 0, "the kit reads whole messages alone");
        let length = match self.stream.read_u8().await? {
            126 => u64::from(self.stream.read_u16().await?),
            127 => self.stream.read_u64().await?,
            small => u64::from(small),
        };
        let mut payload = vec![0; usize::try_from(length).expect("a message fits in memory")];
        self.stream.read_exact(&mut payload).await?;
        Ok((first & 0x0f, payload))
    }
}
