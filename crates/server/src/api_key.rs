//! The key that an application's backend and an operator's monitoring show.

use crate::app::App;
use axum::http::{HeaderMap, HeaderValue, header};
use subtle::ConstantTimeEq;

/// Whether a request carries the API key, as `X-API-Key: KEY` or `Authorization: apikey KEY`. A key in the URL would end
/// up in logs (S18) and is not looked at.
pub(crate) fn has_key(app: &App, headers: &HeaderMap) -> bool {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"apikey "));
    let given = headers.get("x-api-key").map(HeaderValue::as_bytes).or(authorization);
    given.is_some_and(|given| given.ct_eq(app.api_key.as_bytes()).into())
}
