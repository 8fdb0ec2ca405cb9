//! Shows a file, and again whenever it changes:
//! `cargo run -p tidings-websocket --example filewatch -- 127.0.0.1:9004 Cargo.toml`
//!
//! Open http://127.0.0.1:9004/ and edit the file. The heartbeat notices browsers that vanish without a word.

use axum::{
    Router,
    response::Html,
    routing::{any, get},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};
use tidings_websocket::{SendError, Upgrade, Upgraded, WebSocket};
use tokio::{fs, time::interval};

/// How often the file's time of change is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:9004".to_owned());
    let file: Arc<Path> = PathBuf::from(arguments.next().ok_or("which file?")?).into();
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let start = move |upgrade: Upgrade| async move {
        let upgrade = upgrade.heartbeat(Duration::from_secs(30));
        upgrade.on_upgrade(|mut socket| async move { drop(watch(&mut socket, &file).await) })
    };
    Ok(axum::serve(listener, Router::new().route("/", get(Html(PAGE))).route("/ws", any(start))).await?)
}

async fn watch(socket: &mut WebSocket<Upgraded>, file: &Path) -> Result<(), SendError> {
    let mut seen: Option<SystemTime> = None;
    let mut look = interval(LOOK_EVERY);
    loop {
        tokio::select! {
            // Receiving answers pings and notices the end, even where no message is expected.
            message = socket.receive() => {
                if !matches!(message, Some(Ok(_))) {
                    return Ok(());
                }
            }
            _ = look.tick() => {
                // A file that is away for a moment, as editors do it, shows again when it is back.
                let Ok(changed) = fs::metadata(file).await.and_then(|metadata| metadata.modified()) else { continue };
                if seen.replace(changed) != Some(changed)
                    && let Ok(bytes) = fs::read(file).await
                {
                    socket.send(String::from_utf8_lossy(&bytes).into_owned()).await?;
                }
            }
        }
    }
}

const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>File</title><pre></pre>
<script>
const socket = new WebSocket(location.href.replace(/^http/, "ws") + "ws");
socket.onmessage = (event) => { document.querySelector("pre").textContent = event.data; };
</script>"#;
