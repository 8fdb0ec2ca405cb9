//! What proves something by being known: session tokens, invite codes and the set-up code.
//!
//! All come from the operating system's random source and are kept out of logs. A token is stored as its SHA-256 only;
//! with 256 bits behind it nothing slower is needed.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Bytes of a session's token: 256 bits (security statement S19 asks for 128).
const TOKEN_BYTES: usize = 32;
/// Bytes of an invite's or a set-up code: 128 bits (S28 and S29 ask for 80), 22 characters in a link.
const CODE_BYTES: usize = 16;

/// SHA-256 of a secret: what is stored, and by which it is found.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SecretDigest(pub(crate) [u8; 32]);

/// The secret of a session, as the cookie carries it: 43 characters of URL-safe base64.
#[derive(Clone)]
pub struct Token(String);

/// The secret of an invite or of the first set-up, as a link carries it: 22 characters of URL-safe base64.
#[derive(Clone)]
pub struct Code(String);

impl Token {
    pub(crate) fn fresh() -> Self {
        Self(random::<TOKEN_BYTES>())
    }

    /// The text for the cookie. Goes nowhere else.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub(crate) fn digest(&self) -> SecretDigest {
        digest(&self.0)
    }
}

impl Code {
    pub(crate) fn fresh() -> Self {
        Self(random::<CODE_BYTES>())
    }

    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    /// The text for the link. Goes nowhere else.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub(crate) fn digest(&self) -> SecretDigest {
        digest(&self.0)
    }

    /// Whether `text` is this code, in a time that does not depend on where they differ.
    pub(crate) fn is(&self, text: &str) -> bool {
        self.0.as_bytes().ct_eq(text.as_bytes()).into()
    }
}

/// SHA-256 of a secret that a client sent. Looking up by it tells nothing by its timing: the digest of a guess is as good
/// as random.
pub(crate) fn digest(secret: &str) -> SecretDigest {
    SecretDigest(Sha256::digest(secret.as_bytes()).into())
}

fn random<const BYTES: usize>() -> String {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).expect("the operating system has a random source");
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The name of a room's stream of events: eight letters, as the protocol's servers make them.
pub(crate) fn fresh_epoch() -> String {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the operating system has a random source");
    bytes.iter().map(|byte| char::from(b'a' + byte % 26)).collect()
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(…)")
    }
}

impl fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretDigest(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s19_s29_secrets_have_256_and_128_random_bits_and_stay_out_of_logs() {
        let (token, code) = (Token::fresh(), Code::fresh());
        assert_eq!(token.reveal().len(), 43);
        assert_eq!(code.reveal().len(), 22);
        assert_ne!(Token::fresh().reveal(), token.reveal());
        assert!(!format!("{token:?} {code:?} {:?}", token.digest()).contains(token.reveal()));
    }

    #[test]
    fn s32_a_code_is_compared_as_a_whole() {
        let code = Code::fresh();
        assert!(code.is(code.reveal()));
        assert!(!code.is(&code.reveal()[1..]));
        assert!(!code.is(""));
    }
}
