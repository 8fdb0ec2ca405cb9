//! Same origin or not: the check that keeps other sites' pages from acting with a person's cookie (S01, S45).

use super::cookie::session_token;
use super::problem::Problem;
use crate::app::App;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::convert::Infallible;

/// The host and port that a request asks for: HTTP/2's `:authority`, or `Host`, or what a trusted proxy says.
pub(crate) struct Host(pub(crate) Option<String>);

impl Host {
    pub(crate) fn of(parts: &Parts) -> Self {
        Self(tidings_serve::Caller::of(parts).map(|caller| caller.host))
    }
}

impl FromRequestParts<App> for Host {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Infallible> {
        Ok(Self::of(parts))
    }
}

/// Whether `origin` is this server's own: exactly scheme, host and port, no substring.
pub(crate) fn is_own(app: &App, host: &Host, origin: &str) -> bool {
    app.own_origin.allows(origin, host.0.as_deref())
}

/// Refuses state-changing requests that a page of another site could have sent.
pub(crate) async fn require_same_origin(State(app): State<App>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    if matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS) || same_origin(&app, &parts) {
        return next.run(Request::from_parts(parts, body)).await;
    }
    let detail = "This request came from another site, or without the Origin header that a signed-in request needs.";
    Problem::new(StatusCode::FORBIDDEN, "foreign_origin", detail).into_response()
}

fn same_origin(app: &App, parts: &Parts) -> bool {
    let headers = &parts.headers;
    if let Some(origin) = headers.get(header::ORIGIN) {
        return origin.to_str().is_ok_and(|origin| is_own(app, &Host::of(parts), origin));
    }
    match headers.get("sec-fetch-site") {
        Some(site) => site == "same-origin",
        // A program that is no browser: harmless without a cookie, and with one it can say its origin.
        None => session_token(app, headers).is_none(),
    }
}
