//! The opening handshake (RFC 6455 §4, RFC 8441) without any I/O: what a request must say, and what the answer says.

#[cfg(feature = "deflate")]
pub(crate) mod extension;
mod origin;
mod server;

pub use origin::{InvalidOrigin, Origin, OriginPolicy};
pub use server::{Accepted, ServerRequest, UpgradeRefusal};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, header::HeaderName};
use sha1::{Digest, Sha1};

/// What the accept key is salted with (RFC 6455 §1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The `Sec-WebSocket-Accept` that proves that a server read this `Sec-WebSocket-Key` (RFC 6455 §4.2.2).
#[must_use]
pub fn accept_key(key: &[u8]) -> String {
    let mut sha1 = Sha1::new();
    sha1.update(key);
    sha1.update(GUID);
    STANDARD.encode(sha1.finalize())
}

/// A new `Sec-WebSocket-Key`: 16 random bytes in base64.
#[cfg(feature = "client")]
pub(crate) fn random_key() -> String {
    let mut key = [0; 16];
    getrandom::fill(&mut key).expect("the operating system's random source works");
    STANDARD.encode(key)
}

/// Whether the text is a `Sec-WebSocket-Key`: 16 bytes in base64.
fn is_key(key: &[u8]) -> bool {
    let mut decoded = [0; 18];
    key.len() == 24 && STANDARD.decode_slice(key, &mut decoded) == Ok(16)
}

/// The elements of a comma-separated list, which may stand in several header fields.
pub(crate) fn list(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|element| !element.is_empty())
}

/// Whether a list contains a token, in any case of letters.
pub(crate) fn list_contains(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    list(headers, name).any(|element| element.eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_example_of_rfc_6455_is_answered_as_it_says() {
        assert_eq!(super::accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
