//! The person for whom a request is: by the session of its cookie, or by a personal token.

use super::cookie::session_token;
use super::problem::Problem;
use super::scopes::scope_of;
use crate::app::App;
use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use tidings_chat::PERSONAL_TOKEN_PREFIX;

/// Who asks: 401 without a session or a token that is good, 403 with a token that is not good for this.
pub(crate) struct SignedIn(pub(crate) tidings_chat::SignedIn);

impl FromRequestParts<App> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        // Whoever shows a token means it, whatever cookie a browser has sent along.
        if let Some(secret) = personal_token(&parts.headers) {
            return by_token(parts, app, secret).await.map(Self);
        }
        let token = session_token(app, &parts.headers).ok_or_else(Problem::unauthorized)?;
        let address = tidings_serve::Caller::of(parts).and_then(|caller| caller.address);
        match app.chat.session(&token, address).await? {
            Some(signed_in) => Ok(Self(signed_in)),
            None => Err(Problem::session_ended(app.chat.session_ended(&token).await?)),
        }
    }
}

/// Whether it is a token that says who asks.
pub(crate) fn is_by_token(headers: &HeaderMap) -> bool {
    personal_token(headers).is_some()
}

fn personal_token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = value.split_once(' ')?;
    let secret = secret.trim();
    (scheme.eq_ignore_ascii_case("bearer") && secret.starts_with(PERSONAL_TOKEN_PREFIX)).then_some(secret)
}

async fn by_token(parts: &Parts, app: &App, secret: &str) -> Result<tidings_chat::SignedIn, Problem> {
    let bearer = app.chat.token_bearer(secret).await?.ok_or_else(|| {
        let detail = "This token is none, or none any more. Make another one in the settings of the page.";
        Problem::new(StatusCode::UNAUTHORIZED, "token_invalid", detail)
    })?;
    let path = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let Some(needed) = scope_of(&parts.method, path) else {
        let detail = "No token may do this: sign in with a browser.";
        return Err(Problem::new(StatusCode::FORBIDDEN, "not_with_a_token", detail));
    };
    if !bearer.token.scopes.contains(&needed) {
        let detail = format!("This token does not have the scope {}. Make one that has.", needed.as_str());
        return Err(Problem::new(StatusCode::FORBIDDEN, "scope_missing", detail));
    }
    Ok(bearer.as_signed_in())
}
