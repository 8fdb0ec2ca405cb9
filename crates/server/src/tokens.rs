//! Client tokens: the JSON Web Tokens by which an application's users connect and subscribe.
//!
//! Signed with HS256 and nothing else; `exp` is required and numeric (S30). A token's `sub` is a name of the
//! application's and never a person of the chat.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tidings_protocol::Payload;

/// Signs and checks client tokens.
pub(crate) struct Tokens {
    signing: EncodingKey,
    checking: DecodingKey,
    validation: Validation,
}

/// The claims of a connection token and of a subscription token (which also names its channel).
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// The application's name for the user; empty: anonymous.
    #[serde(default)]
    pub(crate) sub: String,
    /// Seconds since the Unix epoch after which the token is refused.
    pub(crate) exp: u64,
    /// The connection or subscription expires then; 0: never. `exp` itself where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expire_at: Option<u64>,
    /// Shown to others in presence, joins and publications.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) info: Option<Payload>,
    /// The one channel of a subscription token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) channel: Option<String>,
    /// Channels that the server subscribes the connection to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) channels: Vec<String>,
}

/// Why a token is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// It was good once: fetch a new one.
    #[error("the token has expired")]
    Expired,
    /// Not ours, damaged, or without a claim that it needs.
    #[error("the token is not valid")]
    Invalid,
}

impl Tokens {
    pub(crate) fn new(secret: &str) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        validation.validate_nbf = true;
        // The audience and issuer are the application's own; none is configured, so a token that names one is accepted.
        validation.validate_aud = false;
        Self {
            signing: EncodingKey::from_secret(secret.as_bytes()),
            checking: DecodingKey::from_secret(secret.as_bytes()),
            validation,
        }
    }

    /// A token for `user`, valid for `ttl` from now; with a channel, a subscription token for it.
    pub(crate) fn sign(&self, user: &str, channel: Option<String>, ttl: Duration) -> anyhow::Result<String> {
        let exp = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs().saturating_add(ttl.as_secs());
        let claims = Claims { sub: user.into(), exp, expire_at: None, info: None, channel, channels: Vec::new() };
        Ok(jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signing)?)
    }

    pub(crate) fn check(&self, token: &str) -> Result<Claims, TokenError> {
        match jsonwebtoken::decode::<Claims>(token, &self.checking, &self.validation) {
            Ok(data) => Ok(data.claims),
            Err(error) if matches!(error.kind(), ErrorKind::ExpiredSignature) => Err(TokenError::Expired),
            Err(_) => Err(TokenError::Invalid),
        }
    }
}

impl Claims {
    /// Seconds since the Unix epoch at which the connection or subscription ends unless refreshed; `None`: never.
    pub(crate) fn expires(&self) -> Option<u64> {
        match self.expire_at {
            Some(0) => None,
            Some(at) => Some(at),
            None => Some(self.exp),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    const SECRET: &str = "a-secret-of-thirty-two-bytes-or-so";
    const FAR: u64 = 4_000_000_000;

    fn signed(header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
    }

    #[test]
    fn a_token_that_we_made_is_good_until_it_expires() {
        let tokens = Tokens::new(SECRET);
        let token = tokens.sign("42", None, Duration::from_secs(60)).unwrap();
        assert_eq!(tokens.check(&token).unwrap().sub, "42");
        let old = signed(&Header::new(Algorithm::HS256), &json!({"sub": "42", "exp": 1_000_000_000}));
        assert_eq!(tokens.check(&old).unwrap_err(), TokenError::Expired);
    }

    #[test]
    fn s30_other_algorithms_other_keys_and_a_missing_or_textual_expiry_are_refused() {
        let tokens = Tokens::new(SECRET);
        let unsigned = format!(
            "{}.{}.",
            URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#),
            URL_SAFE_NO_PAD.encode(r#"{"sub":"42","exp":4000000000}"#)
        );
        let hs512 = signed(&Header::new(Algorithm::HS512), &json!({"sub": "42", "exp": FAR}));
        let endless = signed(&Header::new(Algorithm::HS256), &json!({"sub": "42"}));
        let textual = signed(&Header::new(Algorithm::HS256), &json!({"sub": "42", "exp": "4000000000"}));
        let early = signed(&Header::new(Algorithm::HS256), &json!({"sub": "42", "exp": FAR, "nbf": FAR}));
        let foreign = Tokens::new("another-secret-another-secret").sign("42", None, Duration::from_secs(9)).unwrap();
        for token in [unsigned.as_str(), &hs512, &endless, &textual, &early, &foreign, "", "a.b.c"] {
            assert_eq!(tokens.check(token).unwrap_err(), TokenError::Invalid, "{token}");
        }
    }
}
