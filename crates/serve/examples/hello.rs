//! A few routes, some of which misbehave: `cargo run -p tidings-serve --example hello -- 127.0.0.1:8080`.
//!
//! `/panic` and `/panic-body` show what becomes of a panic, `/sleep?ms=N` what becomes of a slow request at Ctrl-C, and
//! `/ws` and `/ws-panic` the same for sockets.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Query;
use axum::response::Response;
use axum::routing::{any, get, post};
use futures_util::{StreamExt, stream};
use tidings_serve::Server;
use tidings_websocket::Upgrade;

#[derive(serde::Deserialize)]
struct Sleep {
    #[serde(default)]
    ms: u64,
}

async fn sleep(Query(Sleep { ms }): Query<Sleep>) -> String {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    format!("slept {ms} ms\n")
}

async fn panic() -> &'static str {
    panic!("this handler always panics")
}

async fn panic_body() -> Body {
    let chunks = stream::iter(["the first chunk\n", ""]).map(|chunk| {
        assert!(!chunk.is_empty(), "this body panics after its first chunk");
        Ok::<_, Infallible>(chunk)
    });
    Body::from_stream(chunks)
}

async fn echo(upgrade: Upgrade) -> Response {
    upgrade.on_upgrade(async |mut socket| {
        while let Some(Ok(message)) = socket.receive().await {
            if socket.send(message).await.is_err() {
                return;
            }
        }
    })
}

async fn socket_panic(upgrade: Upgrade) -> Response {
    upgrade.on_upgrade(async |mut socket| {
        socket.receive().await;
        panic!("this socket panics at its first message")
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let app = Router::new()
        .route("/", get(|| async { "hello\n" }))
        .route("/panic", get(panic))
        .route("/panic-body", get(panic_body))
        .route("/sleep", any(sleep))
        .route("/echo", post(|body: Bytes| async { body }))
        .route("/ws", any(echo))
        .route("/ws-panic", any(socket_panic));
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let server = Server::bind(address).serve(app).await?;
    println!("listening on {}", server.url());

    tidings_serve::stop_signal().await?;
    let report = server.shutdown(Duration::from_secs(10)).await;
    eprintln!("stopped after {:?}, {} connections cut", report.elapsed, report.connections_cut);
    Ok(())
}
