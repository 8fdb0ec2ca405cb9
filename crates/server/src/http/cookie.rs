//! The cookies that say who one is, and that a device is known: their names, reading and setting them.

use crate::app::App;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use std::time::Duration;
use tidings_chat::Entered;
use tidings_chat::limits::{DEVICE_REMEMBERED, SESSION_LIFETIME};

/// Over HTTPS the cookie is bound to this very host by its name's prefix (S19); over plain HTTP browsers refuse that.
fn cookie_name(app: &App) -> &'static str {
    if app.config.is_https() { "__Host-tidings" } else { "tidings" }
}

/// The cookie by which a device is known where somebody has signed in. It grants nothing: it only counts that device's failed
/// sign-ins apart from those of strangers.
fn device_cookie_name(app: &App) -> &'static str {
    if app.config.is_https() { "__Host-tidings-device" } else { "tidings-device" }
}

/// The session token in the request's cookies, if there is one.
pub(crate) fn session_token(app: &App, headers: &HeaderMap) -> Option<String> {
    cookie(headers, cookie_name(app))
}

/// The device cookie of the request, if there is one.
pub(super) fn device_cookie(app: &App, headers: &HeaderMap) -> Option<String> {
    cookie(headers, device_cookie_name(app))
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find(|(key, value)| *key == name && !value.is_empty())
        .map(|(_, value)| value.to_owned())
}

/// `Set-Cookie` for somebody who has just signed in: their session, and the device as known.
pub(super) fn entered_cookies(app: &App, entered: &Entered) -> HeaderMap {
    let (name, token) = (cookie_name(app), entered.token.reveal());
    let session = set_cookie(app, name, token, SESSION_LIFETIME);
    let device = entered.device.as_deref().map(|device| known_device(app, device));
    [Some(session), device].into_iter().flatten().collect()
}

/// `Set-Cookie` by which a device is known from now on.
pub(super) fn known_device(app: &App, device: &str) -> (HeaderName, HeaderValue) {
    set_cookie(app, device_cookie_name(app), device, DEVICE_REMEMBERED)
}

/// `Set-Cookie` that ends a session. The device stays known.
pub(super) fn no_session(app: &App) -> HeaderMap {
    [set_cookie(app, cookie_name(app), "", Duration::ZERO)].into_iter().collect()
}

fn set_cookie(app: &App, name: &str, value: &str, lifetime: Duration) -> (HeaderName, HeaderValue) {
    let secure = if app.config.is_https() { "; Secure" } else { "" };
    let max_age = lifetime.as_secs();
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age}{secure}");
    // Our own values are plain ASCII, so this cannot fail.
    (header::SET_COOKIE, HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("")))
}
