//! `/healthz`, `/readyz` and `/metrics`: for the one who looks after the server.

use super::problem::Problem;
use crate::app::App;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::net::SocketAddr;

/// 200 while the process lives.
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// 200 when the database answers and the server is not draining; 503 otherwise.
pub(crate) async fn readyz(State(app): State<App>) -> Response {
    if !app.readiness.is_ready() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response();
    }
    match app.chat.check().await {
        Ok(()) => "ready\n".into_response(),
        Err(error) => {
            tracing::error!(%error, "not ready: the database does not answer");
            (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n").into_response()
        }
    }
}

/// Without a key only for a loopback peer whose request no proxy forwarded (S67).
pub(crate) async fn metrics(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    let forwarded =
        headers.keys().any(|name| name.as_str() == "forwarded" || name.as_str().starts_with("x-forwarded-"));
    let local = peer.ip().to_canonical().is_loopback() && !forwarded;
    if !local && !crate::api::has_key(&app, &headers) {
        let detail = "Metrics from another machine need the API key in the header X-API-Key.";
        return Problem::new(StatusCode::UNAUTHORIZED, "key_needed", detail).into_response();
    }
    match app.metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
            .into_response(),
        Err(error) => Problem::internal(&error).into_response(),
    }
}
