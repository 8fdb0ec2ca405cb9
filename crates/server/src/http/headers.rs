//! Security headers on every answer (S46, S47).

use crate::app::App;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'";

const ALWAYS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), microphone=(), geolocation=(), payment=(), usb=(), interest-cohort=()",
    ),
];

/// One year, as the preload lists ask at least.
const STRICT_TRANSPORT_SECURITY: &str = "max-age=31536000";

/// What a route sets itself stays, so a transport that pages of other sites may use can say so in its answers; all others
/// are closed to them.
pub(crate) async fn add_security_headers(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if response.status().is_client_error() || response.status().is_server_error() {
        app.metrics.http_errors.count(response.status().as_u16());
    }
    let headers = response.headers_mut();
    close(headers);
    if app.config.is_https() {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(STRICT_TRANSPORT_SECURITY));
    }
    response
}

fn close(headers: &mut HeaderMap) {
    for (name, value) in ALWAYS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s46_an_answer_is_closed_to_other_sites_unless_its_route_opens_it() {
        let policy = "cross-origin-resource-policy";
        let mut usual = HeaderMap::new();
        close(&mut usual);
        assert_eq!(usual[policy], "same-origin");
        assert_eq!(usual.get(header::ACCESS_CONTROL_ALLOW_ORIGIN), None);

        let mut opened = HeaderMap::new();
        opened.insert(policy, HeaderValue::from_static("cross-origin"));
        opened.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("https://app.example.org"));
        close(&mut opened);
        assert_eq!(opened[policy], "cross-origin");
        assert_eq!(opened[header::ACCESS_CONTROL_ALLOW_ORIGIN], "https://app.example.org");
        assert_eq!(opened[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    }
}
