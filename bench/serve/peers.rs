//! One small application on four servers, for `bench/serve/run`: `peers hyper|axum|serve|serve-axum ADDRESS`.
//!
//! `hyper` and `serve` run the same plain function, `axum` and `serve-axum` the same router, so that each pair differs
//! by the server alone. Ours runs with everything on that is on by default.

use std::convert::Infallible;

use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;

const JSON: &str =
    r#"{"id":"0190f3a2-7d2c-7e61-9d1c-3f5a7b8c9d0e","name":"Ana","rooms":["general","random"],"online":true}"#;

async fn application<B: Body>(request: Request<B>) -> Result<Response<Full<Bytes>>, Infallible>
where
    B::Data: Send,
{
    let (parts, body) = request.into_parts();
    let (kind, bytes) = match (&parts.method, parts.uri.path()) {
        (&Method::GET, "/") => ("text/plain", Bytes::from_static(b"hello")),
        (&Method::GET, "/json") => ("application/json", Bytes::from_static(JSON.as_bytes())),
        (&Method::POST, "/echo") => {
            let bytes = body.collect().await.map_or_else(|_| Bytes::new(), http_body_util::Collected::to_bytes);
            ("application/octet-stream", bytes)
        }
        _ => {
            let mut response = Response::new(Full::default());
            *response.status_mut() = StatusCode::NOT_FOUND;
            return Ok(response);
        }
    };
    let mut response = Response::new(Full::new(bytes));
    response.headers_mut().insert("content-type", http::HeaderValue::from_static(kind));
    Ok(response)
}

fn router() -> Router {
    Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/json", get(|| async { ([("content-type", "application/json")], JSON) }))
        .route("/echo", post(|body: Bytes| async { body }))
}

async fn bare_hyper(listener: TcpListener) -> std::io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let service = hyper::service::service_fn(application);
            let builder = auto::Builder::new(TokioExecutor::new());
            let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
        });
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (peer, address) = (arguments.next().ok_or("which server?")?, arguments.next().ok_or("which address?")?);
    match peer.as_str() {
        "hyper" => bare_hyper(TcpListener::bind(address).await?).await?,
        "axum" => axum::serve(TcpListener::bind(address).await?, router()).await?,
        "serve" => {
            let application = tidings_serve::service_fn(application);
            tidings_serve::Server::bind(address).serve(application).await?.wait().await?;
        }
        "serve-axum" => tidings_serve::Server::bind(address).serve(router()).await?.wait().await?,
        other => return Err(format!("no server is called {other}").into()),
    }
    Ok(())
}
