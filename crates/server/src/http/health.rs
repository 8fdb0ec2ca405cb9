//! `/healthz`, `/readyz` and `/metrics`: for the one who looks after the server.

use super::origin::Place;
use super::problem::Problem;
use crate::api::keys::key_of;
use crate::app::App;
use axum::extract::{ConnectInfo, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use std::net::{IpAddr, SocketAddr};
use tidings_chat::StoreError;

/// 200 while the process lives.
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// 200 when the database answers, its commits go through and the server is not draining; 503 with a word otherwise.
pub(crate) async fn readyz(State(app): State<App>) -> Response {
    if !app.readiness.is_ready() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response();
    }
    match app.chat.check().await {
        Ok(()) => "ready\n".into_response(),
        Err(StoreError::Full) => (StatusCode::SERVICE_UNAVAILABLE, "commits fail: the disk is full\n").into_response(),
        Err(error) => {
            tracing::error!(%error, "not ready: the database does not answer");
            (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n").into_response()
        }
    }
}

/// With the API key (S67); without it for this machine itself, where the configuration says so.
pub(crate) async fn metrics(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    place: Place,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let is_open = app.config.settings.metrics_open_to_loopback && is_local(peer, place.host.as_deref(), &headers);
    if !is_open {
        let Some(key) = key_of(&app, &headers, &uri) else {
            let detail =
                "Metrics need the API key in the header X-API-Key; it is in the data folder, in the file api-key.";
            return Problem::new(StatusCode::UNAUTHORIZED, "key_needed", detail).into_response();
        };
        if !key.scopes.metrics {
            let detail = format!("The key {} lacks the scope metrics; see api_keys in the configuration.", key.name);
            return Problem::new(StatusCode::FORBIDDEN, "scope_needed", detail).into_response();
        }
    }
    match app.metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
            .into_response(),
        Err(error) => Problem::internal(&error).into_response(),
    }
}

/// From a loopback peer, asking for a loopback host, and without a word of a proxy: a proxy on this machine is a loopback
/// peer too, and so is the browser of somebody who was lured to a name that resolves to 127.0.0.1. A proxy that adds
/// nothing cannot be told from this machine itself, which is why it takes the operator's word.
fn is_local(peer: SocketAddr, host: Option<&str>, headers: &HeaderMap) -> bool {
    let forwarded = headers.keys().any(|name| {
        ["forwarded", "via", "x-real-ip"].contains(&name.as_str()) || name.as_str().starts_with("x-forwarded-")
    });
    let name = host.and_then(|host| host.parse::<Authority>().ok());
    let to_loopback = name.is_some_and(|name| {
        let name = name.host().trim_matches(['[', ']']);
        name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
    });
    peer.ip().to_canonical().is_loopback() && to_loopback && !forwarded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s67_only_a_request_from_this_machine_itself_counts_as_one() {
        let local = "127.0.0.1:5000".parse().unwrap();
        let mut proxied = HeaderMap::new();
        proxied.insert("via", "1.1 proxy".parse().unwrap());
        let direct = HeaderMap::new();
        for name in ["127.0.0.1:8000", "localhost:8000", "[::1]:8000", "localhost"] {
            assert!(is_local(local, Some(name), &direct), "{name}");
            assert!(!is_local(local, Some(name), &proxied), "{name}");
            assert!(!is_local("192.0.2.1:5000".parse().unwrap(), Some(name), &direct), "{name}");
        }
        for name in ["chat.example.org", "localhost.example.org", "0.0.0.0:8000", ""] {
            assert!(!is_local(local, Some(name), &direct), "{name}");
        }
    }
}
