//! A server that says what the test tells it to, over real sockets.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use axum::routing::any;
use serde_json::{Value, json};
use tidings_client::Options;
use tidings_websocket::{CloseCode, Upgrade, Upgraded, WebSocket};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// Nothing in these tests takes long; what takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Server {
    address: SocketAddr,
    peers: mpsc::Receiver<Peer>,
}

/// The server's end of one connection.
pub(crate) struct Peer {
    socket: WebSocket<Upgraded>,
    unread: Vec<Value>,
    _done: oneshot::Sender<()>,
}

impl Server {
    pub(crate) async fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, peers) = mpsc::channel(16);
        let connect = move |upgrade: Upgrade| {
            let sender = sender.clone();
            async move {
                let response: Response = upgrade.on_upgrade(move |socket| async move {
                    let (done, ended) = oneshot::channel();
                    let _ = sender.send(Peer { socket, unread: Vec::new(), _done: done }).await;
                    let _ = ended.await;
                });
                response
            }
        };
        let app = Router::new().route("/connection/websocket", any(connect));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Server { address, peers }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/connection/websocket", self.address)
    }

    pub(crate) fn url_of(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    pub(crate) async fn accept(&mut self) -> Peer {
        timeout(PATIENCE, self.peers.recv()).await.expect("nobody connects").unwrap()
    }

    /// Accepts a connection and its connect command.
    pub(crate) async fn welcome(&mut self) -> Peer {
        let mut peer = self.accept().await;
        let connect = peer.expect("connect").await;
        peer.reply(&connect, "connect", json!({"client": "c1", "version": "v1", "ping": 25, "pong": true})).await;
        peer
    }
}

impl Peer {
    /// The next command, which must be of this method.
    pub(crate) async fn expect(&mut self, method: &str) -> Value {
        let command = self.next().await.expect("the client has closed");
        assert!(command.get(method).is_some(), "expected {method}, got {command}");
        command
    }

    /// The next command; `None` when the client has closed.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        if self.unread.is_empty() {
            let message = timeout(PATIENCE, self.socket.receive()).await.expect("the client says nothing")?.ok()?;
            let text = message.as_text().unwrap();
            self.unread = text.lines().rev().map(|line| serde_json::from_str(line).unwrap()).collect();
        }
        self.unread.pop()
    }

    pub(crate) async fn send(&mut self, message: &Value) {
        self.socket.send(message.to_string()).await.unwrap();
    }

    pub(crate) async fn reply(&mut self, command: &Value, method: &str, result: Value) {
        let mut reply = json!({"id": command["id"]});
        reply[method] = result;
        self.send(&reply).await;
    }

    pub(crate) async fn refuse(&mut self, command: &Value, code: u32) {
        self.send(&json!({"id": command["id"], "error": {"code": code, "message": "refused"}})).await;
    }

    /// Answers the next command, a subscribe, and gives it back.
    pub(crate) async fn subscribe(&mut self, result: Value) -> Value {
        let command = self.expect("subscribe").await;
        self.reply(&command, "subscribe", result).await;
        command
    }

    pub(crate) async fn publish(&mut self, channel: &str, offset: u64) {
        self.send(&json!({"push": {"channel": channel, "pub": {"data": offset, "offset": offset}}})).await;
    }

    pub(crate) async fn close(mut self, code: u16) {
        self.socket.close(CloseCode::new(code).unwrap(), "test").await;
    }

    /// The connection breaks without a word.
    pub(crate) fn cut(self) {
        self.socket.abort();
    }
}

/// Options of an impatient client.
pub(crate) fn options() -> Options {
    Options::new().token("token").backoff(Duration::from_millis(1), Duration::from_millis(10))
}

pub(crate) fn stream(offset: u64) -> Value {
    json!({"recoverable": true, "positioned": true, "epoch": "E", "offset": offset})
}

/// A stream that is resumed with these publications.
pub(crate) fn resumed(offset: u64, publications: impl IntoIterator<Item = u64>) -> Value {
    let mut result = stream(offset);
    result["was_recovering"] = json!(true);
    result["recovered"] = json!(true);
    let publications = publications.into_iter().map(|offset| json!({"data": offset, "offset": offset}));
    result["publications"] = publications.collect();
    result
}
