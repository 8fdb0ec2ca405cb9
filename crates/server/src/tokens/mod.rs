//! Client tokens: the JSON Web Tokens by which an application's users connect and subscribe.
//!
//! Each issuer has its keys and a fixed list of algorithms, and `exp` is required and numeric (S30). What a token claims is
//! honoured or the token is refused, with the reason in the log when it was signed by an issuer of ours: a backend that is
//! wrong about us is found there. A token's `sub` is a name of the application's and never a person of the chat.
//!
//! `issuers` says who signs with what, `keys` is what a signature is checked with, `jwks` and `fetch` bring the keys that are
//! published elsewhere, `claims` and `caps` are what is said, `sign` makes tokens.

mod caps;
mod claims;
mod fetch;
mod issuers;
mod jwks;
mod keys;
mod sign;
#[cfg(test)]
mod tests;

use crate::limits::TOKEN_LEEWAY;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
pub(crate) use caps::{Caps, Operation, Operations};
pub(crate) use claims::{Claims, Given, GivenChannel, Subscription};
use claims::{NumericDate, Written};
pub(crate) use fetch::{check_address, is_loopback};
pub(crate) use issuers::{Held, Issuer, Issuers, Keys, Parties, Unsigned};
use jsonwebtoken::Header;
pub(crate) use jwks::{KeySet, Pace};
pub(crate) use keys::{HMAC, Key};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
pub(crate) use sign::{Order, Signer};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Checks client tokens.
pub(crate) struct Tokens {
    issuers: RwLock<Arc<Issuers>>,
    /// Whether a token without `exp` is good, for ever.
    without_exp: bool,
    strangers: OnceLock<TellOfStrangers>,
}

type TellOfStrangers = Box<dyn Fn(&str) + Send + Sync>;

/// Why a token is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// It was good once, or will be: fetch a new one.
    #[error("the token has expired")]
    Expired,
    /// Not ours, damaged, without a claim that it needs, or with one that is not honoured here.
    #[error("the token is not valid")]
    Invalid,
    /// Whether it is good cannot be known just now: come again.
    #[error("the keys of the token's issuer cannot be had")]
    Unavailable,
}

/// What was found out about a token.
pub(crate) struct Checked {
    /// The issuer that has signed it, by its name.
    pub(crate) issuer: Option<String>,
    pub(crate) outcome: Result<Claims, Fault>,
}

/// What is wrong with a token, in words that follow "the token is refused:".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) error: TokenError,
    pub(crate) reason: String,
}

impl Fault {
    fn invalid(reason: impl Into<String>) -> Self {
        Self { error: TokenError::Invalid, reason: reason.into() }
    }
}

impl Tokens {
    pub(crate) fn new(issuers: Issuers, without_exp: bool) -> Self {
        Self { issuers: RwLock::new(Arc::new(issuers)), without_exp, strangers: OnceLock::new() }
    }

    /// Puts other issuers in the place of these. Keys that were fetched stay, where their address does.
    pub(crate) fn replace(&self, mut issuers: Issuers) {
        issuers.keep_fetched(&self.issuers());
        *self.issuers.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(issuers);
    }

    /// Those that hold now.
    pub(crate) fn issuers(&self) -> Arc<Issuers> {
        self.issuers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has the keys that are published elsewhere fetched, so that the first token does not wait for them. Call inside a tokio
    /// runtime.
    pub(crate) fn fetch_keys(&self) {
        for issuer in self.issuers().iter() {
            if let Keys::Published(set) = &issuer.keys {
                set.start_to_fetch(tokio::time::Instant::now());
            }
        }
    }

    /// Whom to tell why a token is refused that nobody of ours has signed. Anybody can send one, so not each is worth a line of
    /// the log; but a backend that has the wrong secret sends nothing else.
    pub(crate) fn tell_of_strangers(&self, tell: impl Fn(&str) + Send + Sync + 'static) {
        self.strangers.set(Box::new(tell)).ok();
    }

    pub(crate) async fn check(&self, token: &str) -> Result<Claims, TokenError> {
        let Checked { issuer, outcome } = self.examine(token, now()).await;
        outcome.map_err(|Fault { error, reason }| {
            match (issuer, &error) {
                (Some(issuer), TokenError::Invalid) => {
                    tracing::warn!(%reason, %issuer, "a client token of the application's own is refused");
                }
                (None, TokenError::Invalid) => _ = self.strangers.get().map(|tell| tell(&reason)),
                _ => {}
            }
            error
        })
    }

    /// Checks a token when `now`, since the Unix epoch, is the time.
    pub(crate) async fn examine(&self, token: &str, now: Duration) -> Checked {
        let (header, iss) = match unverified(token) {
            Ok(read) => read,
            Err(reason) => return Checked { issuer: None, outcome: Err(Fault::invalid(reason)) },
        };
        let issuers = self.issuers();
        let (mut faults, mut may_come) = (Vec::new(), false);
        for issuer in issuers.of(iss.as_deref()) {
            match issuer.verify(token, &header, now).await {
                Ok(signed) => {
                    let outcome = self.read(issuer, &signed.header, &signed.claims, now);
                    return Checked { issuer: Some(issuer.name.clone()), outcome };
                }
                Err(Unsigned::Wrong(why)) => faults.push(why),
                Err(Unsigned::Later(why)) => {
                    may_come = true;
                    faults.push(why);
                }
            }
        }
        let error = if may_come { TokenError::Unavailable } else { TokenError::Invalid };
        Checked { issuer: None, outcome: Err(Fault { error, reason: faults.join("; ") }) }
    }

    /// What a token says that an issuer of ours has signed.
    fn read(&self, issuer: &Issuer, header: &Header, claims: &RawValue, now: Duration) -> Result<Claims, Fault> {
        check_header(header).map_err(Fault::invalid)?;
        let written: Written =
            serde_json::from_str(claims.get()).map_err(|error| Fault::invalid(format!("a claim is wrong: {error}")))?;
        issuer.check_parties(&written).map_err(Fault::invalid)?;
        let (not_before, expires, ends) = (written.nbf, written.exp, written.expire_at);
        if expires.is_none() && !self.without_exp {
            return Err(Fault::invalid("it has no claim `exp`, a number of seconds since 1970, when it expires"));
        }
        let mut claims = written.read().map_err(Fault::invalid)?;
        claims.lasts = lasts(not_before, expires, ends, now)?;
        Ok(claims)
    }
}

/// How long what came with the token lasts unless it is refreshed; `None`: for ever.
fn lasts(
    not_before: Option<NumericDate>,
    expires: Option<NumericDate>,
    ends: Option<NumericDate>,
    now: Duration,
) -> Result<Option<Duration>, Fault> {
    let (now, leeway) = (now.as_secs_f64(), TOKEN_LEEWAY.as_secs_f64());
    let expired = |reason: String| Fault { error: TokenError::Expired, reason };
    if let Some(date) = expires.filter(|date| now >= date.0 + leeway) {
        return Err(expired(format!("it has expired: its claim `exp` is {} s ago", (now - date.0).floor())));
    }
    if let Some(date) = not_before.filter(|date| now < date.0 - leeway) {
        return Err(expired(format!("it is not good yet: its claim `nbf` is in {} s", (date.0 - now).floor())));
    }
    let left = |date: NumericDate| Duration::try_from_secs_f64(date.0 - now).unwrap_or(Duration::MAX);
    Ok(match (ends, expires) {
        (Some(NumericDate(0.0)), _) | (None, None) => None,
        // No leeway: it says how long something lasts, and not whether two clocks agree.
        (Some(date), _) if date.0 <= now => {
            return Err(expired(format!("its claim `expire_at` is {} s ago", (now - date.0).floor())));
        }
        (Some(date), _) => Some(left(date)),
        // Good by leeway alone: it lasts for a moment, in which the client gets another.
        (None, Some(expires)) if expires.0 <= now => Some(Duration::from_secs(1)),
        (None, Some(expires)) => Some(left(expires)),
    })
}

/// The time, since the Unix epoch.
pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// What a token says of itself before anything of it can be believed: its header, and whose it claims to be.
pub(crate) fn unverified(token: &str) -> Result<(Header, Option<String>), String> {
    /// Whatever is no text names nobody; the claims are refused for it later.
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Name {
        Text(String),
        Other(IgnoredAny),
    }
    #[derive(Deserialize)]
    struct Whose {
        iss: Option<Name>,
    }
    let mut parts = token.split('.');
    let (Some(header), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err("it is no token: three parts with dots between them".into());
    };
    let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| "its header is no Base64 for URLs")?;
    let header: Header = serde_json::from_slice(&header).map_err(|error| {
        format!("its header is not taken ({error}); `alg` is one of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 and EdDSA")
    })?;
    let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| "its claims are no Base64 for URLs")?;
    let whose: Whose =
        serde_json::from_slice(&claims).map_err(|error| format!("its claims are no JSON object: {error}"))?;
    let iss = whose.iss.and_then(|iss| if let Name::Text(iss) = iss { Some(iss) } else { None });
    Ok((header, iss))
}

/// What a header may ask of us: nothing that we would have to understand, and no key but ours.
fn check_header(header: &Header) -> Result<(), String> {
    if let Some(names) = &header.crit {
        return Err(format!("its header `crit` demands {names:?}, and no extension is known here"));
    }
    if let Some(kind) = header.typ.as_deref().filter(|kind| !kind.eq_ignore_ascii_case("JWT")) {
        return Err(format!("its header `typ` is {kind:?}; it must be \"JWT\" or absent"));
    }
    if header.jku.is_some() || header.jwk.is_some() || header.x5u.is_some() || header.x5c.is_some() {
        return Err("its header brings a key (jku, jwk, x5u or x5c); only keys that are configured count".into());
    }
    Ok(())
}
