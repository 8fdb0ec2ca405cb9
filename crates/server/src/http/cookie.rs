//! The cookie that says who one is: its name, reading it, setting it.

use crate::app::App;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use tidings_chat::Token;
use tidings_chat::limits::SESSION_LIFETIME;

/// Over HTTPS the cookie is bound to this very host by its name's prefix (S19); over plain HTTP browsers refuse that.
fn cookie_name(app: &App) -> &'static str {
    if app.config.is_https() { "__Host-tidings" } else { "tidings" }
}

/// The session token in the request's cookies, if there is one.
pub(crate) fn session_token(app: &App, headers: &HeaderMap) -> Option<String> {
    let name = cookie_name(app);
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find(|(key, value)| *key == name && !value.is_empty())
        .map(|(_, value)| value.to_owned())
}

/// `Set-Cookie` for a new session, or one that ends it.
pub(super) fn session_cookie(app: &App, token: Option<&Token>) -> [(HeaderName, HeaderValue); 1] {
    let (token, max_age) = token.map_or(("", 0), |token| (token.reveal(), SESSION_LIFETIME.as_secs()));
    let secure = if app.config.is_https() { "; Secure" } else { "" };
    let name = cookie_name(app);
    let text = format!("{name}={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age}{secure}");
    // Our own tokens are plain ASCII, so this cannot fail.
    [(header::SET_COOKIE, HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("")))]
}
