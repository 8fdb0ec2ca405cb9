//! The key that an application's backend and an operator's monitoring show.

use crate::app::App;
use axum::http::{HeaderMap, HeaderValue, header};
use subtle::ConstantTimeEq;

/// Whether a request carries the API key, as `X-API-Key: KEY` or `Authorization: apikey KEY`. A key in the URL would end
/// up in logs (S18) and is not looked at.
pub(crate) fn has_key(app: &App, headers: &HeaderMap) -> bool {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| apikey(value.as_bytes()));
    let given = headers.get("x-api-key").map(HeaderValue::as_bytes).or(authorization);
    given.is_some_and(|given| given.ct_eq(app.api_key.as_bytes()).into())
}

/// What follows the scheme `apikey`, in any case and after any number of spaces (RFC 9110 §11.4).
fn apikey(authorization: &[u8]) -> Option<&[u8]> {
    let space = authorization.iter().position(|byte| *byte == b' ')?;
    let (scheme, credentials) = authorization.split_at(space);
    scheme.eq_ignore_ascii_case(b"apikey").then(|| credentials.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::apikey;

    #[test]
    fn the_scheme_of_authorization_is_read_in_any_case() {
        for given in ["apikey KEY", "ApiKey KEY", "APIKEY   KEY"] {
            assert_eq!(apikey(given.as_bytes()), Some(&b"KEY"[..]), "{given}");
        }
        for given in ["apikeyKEY", "Bearer KEY", "KEY", "apikey", ""] {
            assert_eq!(apikey(given.as_bytes()), None, "{given}");
        }
    }
}
