//! The keys that client tokens are checked with. A key knows the algorithms that it is for, and is never used with another:
//! a public key is no secret of HMAC, however it is written.

use crate::limits::{RSA_BITS_MAX, RSA_BITS_MIN};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Header, TokenData, Validation};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeSet;

/// All that is known here, by the family of their keys. ES512 is not: the library has none.
pub(crate) const HMAC: &[Algorithm] = &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
const RSA: &[Algorithm] =
    &[Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];

/// A key that signatures are checked with.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) kid: Option<String>,
    decoding: DecodingKey,
    algorithms: &'static [Algorithm],
    /// The one that it is for alone, where it says so.
    only: Option<Algorithm>,
}

/// The token is not signed with this key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotSigned;

impl Key {
    pub(crate) fn secret(secret: &[u8]) -> Self {
        Self { kid: None, decoding: DecodingKey::from_secret(secret), algorithms: HMAC, only: None }
    }

    /// A public key in PEM.
    ///
    /// # Errors
    /// In words, with what would be right.
    pub(crate) fn pem(text: &str) -> Result<Self, String> {
        if text.contains("PRIVATE KEY") {
            return Err("is a private key, which signs tokens and belongs to whoever does; give the public key: openssl pkey -pubout".into());
        }
        if text.contains("BEGIN CERTIFICATE") {
            return Err("is a certificate; give the public key in it: openssl x509 -pubkey -noout".into());
        }
        let bytes = text.as_bytes();
        let decoding = DecodingKey::from_rsa_pem(bytes)
            .or_else(|_| DecodingKey::from_ec_pem(bytes))
            .or_else(|_| DecodingKey::from_ed_pem(bytes))
            .map_err(|_| "is no public key in PEM: RSA, EC on P-256 or P-384, or Ed25519".to_owned())?;
        let parts = Jwk::from_decoding_key(&decoding, None);
        let parts = parts.map_err(|_| format!("is no key that can be used here; RSA keys have {RSA_BITS_MIN} to {RSA_BITS_MAX} bits, and EC keys are on P-256 or P-384"))?;
        Self::checked(decoding, &parts.algorithm)
    }

    /// A key of a JSON Web Key Set (RFC 7517).
    ///
    /// # Errors
    /// Why it is passed over.
    pub(crate) fn jwk(written: WrittenJwk) -> Result<Self, String> {
        let WrittenJwk { kty, kid, alg, usage, key_ops, crv, n, e, x, y } = written;
        if usage.as_deref().is_some_and(|usage| usage != "sig") {
            return Err("its `use` is not \"sig\"".into());
        }
        if key_ops.is_some_and(|operations| !operations.iter().any(|operation| operation == "verify")) {
            return Err("its `key_ops` have no \"verify\"".into());
        }
        let made = match (kty.as_str(), crv.as_deref(), n, e, x, y) {
            ("RSA", _, Some(n), Some(e), ..) => DecodingKey::from_rsa_components(&n, &e),
            ("EC", Some("P-256" | "P-384"), _, _, Some(x), Some(y)) => DecodingKey::from_ec_components(&x, &y),
            ("OKP", Some("Ed25519"), _, _, Some(x), _) => DecodingKey::from_ed_components(&x),
            // A secret that everybody can read is none.
            _ => return Err("it is none of RSA, EC on P-256 or P-384, and Ed25519".into()),
        };
        let decoding = made.map_err(|error| error.to_string())?;
        let parts = Jwk::from_decoding_key(&decoding, None).map_err(|error| error.to_string())?;
        if let (AlgorithmParameters::EllipticCurve(parts), Some(crv)) = (&parts.algorithm, &crv)
            && (parts.curve == EllipticCurve::P256) != (crv == "P-256")
        {
            return Err("it is not on the curve that it names".into());
        }
        let mut key = Self::checked(decoding, &parts.algorithm)?;
        key.kid = kid;
        if let Some(alg) = alg {
            let only = alg.parse().ok().filter(|only| key.algorithms.contains(only));
            key.only = Some(only.ok_or("its `alg` is not one of its kind")?);
        }
        Ok(key)
    }

    fn checked(decoding: DecodingKey, parts: &AlgorithmParameters) -> Result<Self, String> {
        let algorithms: &[Algorithm] = match parts {
            AlgorithmParameters::RSA(parts) => {
                let modulus = URL_SAFE_NO_PAD.decode(&parts.n).unwrap_or_default();
                let zeros: u32 = modulus.iter().take_while(|byte| **byte == 0).map(|_| 8).sum();
                let first = modulus.iter().find(|byte| **byte != 0).map_or(0, |byte| byte.leading_zeros());
                let bits = u32::try_from(modulus.len() * 8).unwrap_or(u32::MAX) - zeros - first;
                if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
                    return Err(format!("is an RSA key of {bits} bits; {RSA_BITS_MIN} to {RSA_BITS_MAX} are taken"));
                }
                RSA
            }
            AlgorithmParameters::EllipticCurve(parts) => match parts.curve {
                EllipticCurve::P256 => &[Algorithm::ES256],
                _ => &[Algorithm::ES384],
            },
            AlgorithmParameters::OctetKeyPair(_) => &[Algorithm::EdDSA],
            _ => return Err("is of no kind that is known here".into()),
        };
        let key = Self { kid: None, decoding, algorithms, only: None };
        key.try_out()?;
        Ok(key)
    }

    /// Whether the library can use it at all, which it says only when it checks a signature: a point may be on another curve.
    fn try_out(&self) -> Result<(), String> {
        let header = serde_json::to_vec(&Header::new(self.algorithms[0])).expect("a header can be written");
        let token = format!("{}.e30.AAAA", URL_SAFE_NO_PAD.encode(header));
        match jsonwebtoken::decode::<Box<RawValue>>(token, &self.decoding, &validation(self.algorithms[0])) {
            Err(error) if *error.kind() == ErrorKind::InvalidSignature => Ok(()),
            _ => Err("is a key that cannot be used; EC keys are on P-256 or P-384".into()),
        }
    }

    pub(crate) fn fits(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm) && self.only.is_none_or(|only| only == algorithm)
    }

    pub(crate) fn family(&self) -> AlgorithmFamily {
        self.decoding.family()
    }

    pub(crate) fn algorithms(&self) -> &'static [Algorithm] {
        self.algorithms
    }

    /// What the token says, if it is signed with this key by this algorithm.
    pub(crate) fn verify(&self, token: &str, algorithm: Algorithm) -> Result<TokenData<Box<RawValue>>, NotSigned> {
        if !self.fits(algorithm) {
            return Err(NotSigned);
        }
        jsonwebtoken::decode(token, &self.decoding, &validation(algorithm)).map_err(|_| NotSigned)
    }
}

/// The library checks the signature; the claims are checked here, where the time can be that of a test.
fn validation(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation
}

/// A key of a set, of which only what is used is looked at.
#[derive(Deserialize)]
pub(crate) struct WrittenJwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<BTreeSet<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}
