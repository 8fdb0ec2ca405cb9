//! Makes client tokens, for `tidings token` and for our own commands.

use super::issuers::Parties;
use super::keys::HMAC;
use super::now;
use anyhow::{Context, bail, ensure};
use jsonwebtoken::{Algorithm, AlgorithmFamily, EncodingKey, Header};
use serde_json::{Map, Value};
use std::time::Duration;

/// Signs tokens.
pub(crate) struct Signer {
    key: EncodingKey,
    header: Header,
    parties: Parties,
}

/// What a token is to say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Order {
    /// The claim `sub`.
    pub(crate) user: String,
    /// Makes it a subscription token.
    pub(crate) channel: Option<String>,
    /// For how long it is valid; `None`: for ever, where the server takes that.
    pub(crate) ttl: Option<Duration>,
    /// Further claims as they are, which win over those of the configuration.
    pub(crate) more: Map<String, Value>,
}

impl Signer {
    /// With the server's own secret, for those whom the configuration names.
    pub(crate) fn own(secret: &str, parties: Parties) -> Self {
        Self { key: EncodingKey::from_secret(secret.as_bytes()), header: Header::new(HMAC[0]), parties }
    }

    /// With a key of another issuer: a secret, or a private key in PEM.
    ///
    /// # Errors
    /// When it is none for that algorithm.
    pub(crate) fn with_key(text: &str, algorithm: Algorithm, kid: Option<String>) -> anyhow::Result<Self> {
        let bytes = text.as_bytes();
        let is_pem = text.contains("-----BEGIN");
        let key = match algorithm.family() {
            AlgorithmFamily::Hmac if is_pem => {
                bail!("it is a key in PEM, and {algorithm:?} takes a secret; choose another --algorithm")
            }
            AlgorithmFamily::Hmac => {
                let secret = text.trim_end_matches(['\r', '\n']);
                ensure!(!secret.is_empty(), "it is empty");
                EncodingKey::from_secret(secret.as_bytes())
            }
            AlgorithmFamily::Rsa => EncodingKey::from_rsa_pem(bytes).context("it is no RSA private key in PEM")?,
            AlgorithmFamily::Ec => EncodingKey::from_ec_pem(bytes).context(
                "it is no EC private key in PEM of PKCS#8; openssl pkcs8 -topk8 -nocrypt makes one of another form",
            )?,
            AlgorithmFamily::Ed => EncodingKey::from_ed_pem(bytes).context("it is no Ed25519 private key in PEM")?,
        };
        Ok(Self { key, header: Header { kid, ..Header::new(algorithm) }, parties: Parties::default() })
    }

    /// Makes a token.
    ///
    /// # Errors
    /// When the key does not fit the algorithm.
    pub(crate) fn sign(&self, order: Order) -> anyhow::Result<String> {
        let Order { user, channel, ttl, more } = order;
        let mut claims = Map::new();
        let mut claim = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                claims.insert(name.into(), value);
            }
        };
        let now = now().as_secs();
        claim("sub", Some(user.into()));
        claim("exp", ttl.map(|ttl| now.saturating_add(ttl.as_secs()).into()));
        claim("iat", Some(now.into()));
        claim("channel", channel.map(Value::from));
        claim("aud", self.parties.audience.clone().map(Value::from));
        claim("iss", self.parties.issuer.clone().map(Value::from));
        claims.extend(more);
        jsonwebtoken::encode(&self.header, &claims, &self.key).context("the key cannot be used with this algorithm")
    }
}
