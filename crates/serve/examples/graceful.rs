//! A shutdown in phases: `cargo run -p tidings-serve --example graceful -- 127.0.0.1:8080`, then Ctrl-C.
//!
//! First `/readyz` says 503 while requests are still served, so that a load balancer looks elsewhere; then nothing new
//! is accepted while requests finish, the ticking event stream ends, and sockets close; at the deadline the rest is
//! cut. A second Ctrl-C cuts at once.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use futures_util::stream;
use tidings_serve::{Readiness, Server};
use tidings_websocket::Upgrade;

async fn slow() -> &'static str {
    tokio::time::sleep(Duration::from_secs(3)).await;
    "done\n"
}

async fn ticks() -> impl IntoResponse {
    let ticks = stream::unfold(0, |tick| async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Some((Ok::<_, Infallible>(format!("data: {tick}\n\n")), tick + 1))
    });
    ([("content-type", "text/event-stream")], Body::from_stream(ticks))
}

async fn socket(upgrade: Upgrade) -> Response {
    upgrade.on_upgrade(async |mut socket| while let Some(Ok(_)) = socket.receive().await {})
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let readiness = Readiness::new();
    let shown = readiness.clone();
    let ready = move || {
        let status = if shown.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        async move { status }
    };
    let app = Router::new()
        .route("/readyz", get(ready))
        .route("/slow", get(slow))
        .route("/ticks", get(ticks))
        .route("/ws", any(socket));
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let server = Server::bind(address).readiness(readiness).announce(Duration::from_secs(1)).serve(app).await?;
    println!("listening on {}", server.url());

    tidings_serve::stop_signal().await?;
    println!("stopping");
    tokio::select! {
        report = server.shutdown(Duration::from_secs(20)) => println!("{report:?}"),
        second = tidings_serve::stop_signal() => {
            second?;
            server.close();
            server.wait().await?;
            println!("cut");
        }
    }
    Ok(())
}
