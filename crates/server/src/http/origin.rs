//! Same origin or not: the check that keeps other sites' pages from acting with a person's cookie (S01, S45).

use super::cookie::session_token;
use super::problem::Problem;
use crate::app::App;
use crate::tokens::is_loopback;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::convert::Infallible;

/// Where the client believes to be, by the connection and the request itself or by what a trusted proxy says.
pub(crate) struct Place {
    /// The host and port: HTTP/2's `:authority`, or `Host`.
    pub(crate) host: Option<String>,
    is_https: bool,
}

impl Place {
    pub(crate) fn of(parts: &Parts) -> Self {
        let caller = tidings_serve::Caller::of(parts);
        Self { is_https: caller.as_ref().is_some_and(|caller| caller.is_https), host: caller.map(|caller| caller.host) }
    }

    /// Whether the request names a host that is this machine itself, and nobody else's name for it.
    pub(crate) fn is_loopback(&self) -> bool {
        let authority = self.host.as_deref().and_then(|host| host.parse::<http::uri::Authority>().ok());
        authority.is_some_and(|authority| is_loopback(authority.host()))
    }

    /// Whether an origin has the scheme of this place.
    fn has_scheme_of(&self, origin: &str) -> bool {
        let scheme = if self.is_https { "https" } else { "http" };
        origin.split_once("://").is_some_and(|(given, _)| given.eq_ignore_ascii_case(scheme))
    }
}

impl FromRequestParts<App> for Place {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Infallible> {
        Ok(Self::of(parts))
    }
}

/// Whether `origin` is this server's own: exactly scheme, host and port, no substring. A configured public URL says all
/// three.
pub(crate) fn is_own(app: &App, place: &Place, origin: &str) -> bool {
    let same_scheme = app.config.public_url.is_some() || place.has_scheme_of(origin);
    same_scheme && app.own_origin.allows(origin, place.host.as_deref())
}

/// Refuses state-changing requests that a page of another site could have sent.
pub(crate) async fn require_same_origin(State(app): State<App>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    if matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS) || same_origin(&app, &parts) {
        return next.run(Request::from_parts(parts, body)).await;
    }
    Problem::new(StatusCode::FORBIDDEN, "foreign_origin", explain(&app, &parts)).into_response()
}

/// Says what is wrong, and to the operator of a proxy what to do: there it is not the visitor's doing.
fn explain(app: &App, parts: &Parts) -> &'static str {
    let place = Place::of(parts);
    let origin = parts.headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    let same_host = origin.is_some_and(|origin| app.own_origin.allows(origin, place.host.as_deref()));
    if same_host {
        "The page was loaded over another scheme (http or https) than this request came by. Where a proxy in front of the \
         server ends TLS, set public_url to the address that people open, or list the proxy in trusted_proxies."
    } else {
        "This request came from another site, or without the Origin header that a signed-in request needs."
    }
}

fn same_origin(app: &App, parts: &Parts) -> bool {
    let headers = &parts.headers;
    if let Some(origin) = headers.get(header::ORIGIN) {
        return origin.to_str().is_ok_and(|origin| is_own(app, &Place::of(parts), origin));
    }
    match headers.get("sec-fetch-site") {
        Some(site) => site == "same-origin",
        // A program that is no browser: harmless without a cookie, and with one it can say its origin.
        None => session_token(app, headers).is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn s01_a_page_of_another_scheme_is_another_origin() {
        let (plain, tls) = (Place { host: None, is_https: false }, Place { host: None, is_https: true });
        for (origin, at_plain, at_tls) in [
            ("http://a.example", true, false),
            ("HTTP://a.example", true, false),
            ("https://a.example", false, true),
            ("null", false, false),
            ("", false, false),
        ] {
            assert_eq!((plain.has_scheme_of(origin), tls.has_scheme_of(origin)), (at_plain, at_tls), "{origin}");
        }
    }
}
