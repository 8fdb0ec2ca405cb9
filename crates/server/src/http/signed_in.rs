//! The person whose session a request carries.

use super::cookie::session_token;
use super::problem::Problem;
use crate::app::App;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;

/// The session of the request's cookie: 401 without a valid one.
pub(crate) struct SignedIn(pub(crate) tidings_chat::SignedIn);

impl FromRequestParts<App> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let token = session_token(app, &parts.headers).ok_or_else(Problem::unauthorized)?;
        let address = tidings_serve::Caller::of(parts).and_then(|caller| caller.address);
        match app.chat.session(&token, address).await? {
            Some(signed_in) => Ok(Self(signed_in)),
            None => Err(Problem::session_ended(app.chat.session_ended(&token).await?)),
        }
    }
}
