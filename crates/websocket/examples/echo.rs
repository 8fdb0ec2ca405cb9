//! Sends every message back: `cargo run -p tidings-websocket --example echo -- 127.0.0.1:9001 [--deflate]`
//!
//! Then open http://127.0.0.1:9001/ in a browser, or point any WebSocket client at ws://127.0.0.1:9001/.

use axum::{
    Router,
    response::{Html, IntoResponse, Response},
    routing::any,
};
use tidings_websocket::{DeflateOptions, Limits, OriginPolicy, SendError, Upgrade, Upgraded, WebSocket};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let deflate = arguments.iter().any(|argument| argument == "--deflate");
    let address = arguments.iter().find(|argument| !argument.starts_with("--"));
    let listener = tokio::net::TcpListener::bind(address.map_or("127.0.0.1:9001", String::as_str)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let app = Router::new().fallback(any(move |upgrade: Option<Upgrade>| async move { answer(upgrade, deflate) }));
    Ok(axum::serve(listener, app).await?)
}

/// A socket for those who ask for one, a page for everybody else.
fn answer(upgrade: Option<Upgrade>, deflate: bool) -> Response {
    let Some(mut upgrade) = upgrade else { return Html(PAGE).into_response() };
    if deflate {
        upgrade = upgrade.deflate(DeflateOptions::default().with_context_takeover());
    }
    // An echo has nothing to protect, so any page may use it, and large messages are welcome.
    upgrade.origin(OriginPolicy::Any).limits(Limits::server().message_bytes_max(128 * 1024 * 1024)).on_upgrade(
        |mut socket| async move {
            if let Err(error) = echo(&mut socket).await {
                eprintln!("a connection ended: {error}");
            }
        },
    )
}

async fn echo(socket: &mut WebSocket<Upgraded>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    while let Some(message) = socket.receive().await {
        match socket.feed(message?) {
            Err(SendError::Closed) => return Ok(()),
            result => result?,
        }
        // Messages that arrived together go back together.
        if !socket.has_input() {
            socket.flush().await?;
        }
    }
    Ok(())
}

const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>Echo</title>
<form><input autofocus><button>Send</button></form><pre></pre>
<script>
const socket = new WebSocket(location.href.replace(/^http/, "ws"));
socket.onmessage = (event) => document.querySelector("pre").append(event.data + "\n");
document.querySelector("form").onsubmit = (event) => {
  event.preventDefault();
  socket.send(document.querySelector("input").value);
};
</script>"#;
