//! A chat with one room: `cargo run -p tidings-websocket --example chat -- 127.0.0.1:9002`
//!
//! Open http://127.0.0.1:9002/ in two windows. The hub is a broadcast channel of prepared messages: each is framed once,
//! however many are listening, and what piles up for one listener leaves in one write.

use axum::{
    Router,
    extract::State,
    response::Html,
    routing::{any, get},
};
use tidings_websocket::{CloseCode, Prepared, Upgrade, Upgraded, WebSocket};
use tokio::sync::broadcast::{self, Sender};

/// Messages that a slow listener may lag behind before it is sent away.
const BACKLOG_MAX: usize = 256;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9002".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let (room, _) = broadcast::channel(BACKLOG_MAX);
    let app = Router::new().route("/", get(Html(PAGE))).route("/ws", any(join)).with_state(room);
    Ok(axum::serve(listener, app).await?)
}

async fn join(State(room): State<Sender<Prepared>>, upgrade: Upgrade) -> axum::response::Response {
    upgrade.on_upgrade(|socket| chat(socket, room))
}

async fn chat(mut socket: WebSocket<Upgraded>, room: Sender<Prepared>) {
    let mut messages = room.subscribe();
    loop {
        tokio::select! {
            biased;
            message = messages.recv() => match message {
                Ok(message) => {
                    // What has piled up leaves in one write.
                    if socket.feed(message).is_err() || (messages.is_empty() && socket.flush().await.is_err()) {
                        return;
                    }
                }
                Err(_) => {
                    socket.close(CloseCode::TRY_AGAIN_LATER, "too slow").await;
                    return;
                }
            },
            received = socket.receive() => match received {
                // Nobody listening is no error: the sender listens, too.
                Some(Ok(message)) => drop(room.send(message.into())),
                Some(Err(_)) | None => return,
            },
        }
    }
}

const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>Chat</title>
<pre></pre><form><input autofocus><button>Send</button></form>
<script>
const socket = new WebSocket(location.href.replace(/^http/, "ws") + "ws");
socket.onmessage = (event) => document.querySelector("pre").append(event.data + "\n");
document.querySelector("form").onsubmit = (event) => {
  event.preventDefault();
  socket.send(document.querySelector("input").value);
  event.target.reset();
};
</script>"#;
