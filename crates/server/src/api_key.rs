//! The key that an application's backend and an operator's monitoring show.

use crate::app::App;
use crate::http::problem::RequestId;
use crate::limits::KEY_USERS_REMEMBERED;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, PoisonError};
use subtle::ConstantTimeEq;
use tidings_chat::SECURITY_LOG;

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

/// Who used the key, for the security log: the first use from each network since the start, and every try without it, as many
/// as the log takes.
#[derive(Default)]
pub(crate) struct KeyUses(Mutex<HashSet<IpAddr>>);

impl KeyUses {
    pub(crate) fn tell(&self, app: &App, parts: &Parts, has_key: bool, request_id: RequestId) {
        let address = tidings_serve::Caller::of(parts).and_then(|caller| caller.address);
        // Who comes through a Unix socket is on this machine.
        let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        if !has_key {
            if let Some(left_out) = app.chat.security_line() {
                tracing::warn!(target: SECURITY_LOG, %address, %request_id, left_out, "the server API was called without its key");
            }
        } else if self.is_first(address) {
            tracing::info!(target: SECURITY_LOG, %address, "the server API was called with its key from here, for the first time");
        }
    }

    fn is_first(&self, address: IpAddr) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.len() < KEY_USERS_REMEMBERED && known.insert(tidings_hub::network_of(address))
    }
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
