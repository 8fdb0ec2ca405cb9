//! Who may sign client tokens: each issuer has keys, a fixed list of algorithms, and names between whom its tokens pass.
//!
//! A token says by `iss` whose it is, before anything of it can be believed: that only chooses with whose keys and by whose rules
//! it is checked. Whoever has an entry of their own is checked by it alone.

use super::claims::Written;
use super::jwks::{KeySet, NoKey};
use super::keys::{HMAC, Key, NotSigned};
use jsonwebtoken::{Algorithm, Header, TokenData};
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Duration;

/// Whoever may sign tokens.
pub(crate) struct Issuers(Vec<Issuer>);

/// One of them.
pub(crate) struct Issuer {
    /// For people: where it stands in the configuration.
    pub(crate) name: String,
    /// The claim `iss` must be it; `None`: whoever has the key may call themselves what they like.
    pub(crate) iss: Option<String>,
    /// The claim `aud` must name it; `None`: a token with an `aud` is for somebody else (RFC 7519 §4.1.3).
    pub(crate) audience: Option<String>,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) keys: Keys,
}

/// What its tokens are signed with.
pub(crate) enum Keys {
    Held(Vec<Held>),
    Published(Arc<KeySet>),
}

/// A key that the configuration has.
pub(crate) struct Held {
    pub(crate) key: Key,
    /// A previous one, which is taken until then, since the Unix epoch.
    pub(crate) until: Option<Duration>,
}

/// Between whom tokens pass, where the configuration says so.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parties {
    pub(crate) audience: Option<String>,
    pub(crate) issuer: Option<String>,
}

/// Why a token is not signed by an issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unsigned {
    /// For good.
    Wrong(String),
    /// As far as is known: its key may come.
    Later(String),
}

impl Issuers {
    /// The server's own secret comes behind all others.
    pub(crate) fn new(own: Issuer, mut others: Vec<Issuer>) -> Self {
        others.push(own);
        Self(others)
    }

    /// Those whose rules a token comes under that says to be of `iss`: those of that name, or else those who take any. The server's
    /// own secret is always looked at where nobody has the name, so that a backend that is wrong about its name is told.
    pub(crate) fn of<'a>(&'a self, iss: Option<&str>) -> impl Iterator<Item = &'a Issuer> {
        let named = |issuer: &Issuer| issuer.iss.is_some() && issuer.iss.as_deref() == iss;
        let has_a_name = self.0.iter().any(named);
        let iss = iss.map(str::to_owned);
        self.0.iter().enumerate().filter_map(move |(index, issuer)| {
            let is_own = index + 1 == self.0.len();
            let is_named = issuer.iss.is_some() && issuer.iss == iss;
            let fits = if has_a_name { is_named } else { issuer.iss.is_none() || is_own };
            fits.then_some(issuer)
        })
    }

    /// Takes over the sets of keys that another one has fetched.
    pub(super) fn keep_fetched(&mut self, other: &Self) {
        for issuer in &mut self.0 {
            let Keys::Published(set) = &mut issuer.keys else { continue };
            let same = other.0.iter().find_map(|other| match &other.keys {
                Keys::Published(known) if known.is(set.url(), &issuer.algorithms) => Some(known.clone()),
                _ => None,
            });
            if let Some(known) = same {
                *set = known;
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Issuer> {
        self.0.iter()
    }
}

impl Issuer {
    /// Whoever has the server's own secret.
    pub(crate) fn own(secret: &str, Parties { audience, issuer }: Parties) -> Self {
        let held = Held { key: Key::secret(secret.as_bytes()), until: None };
        Self {
            name: "the token secret".into(),
            iss: issuer,
            audience,
            algorithms: vec![HMAC[0]],
            keys: Keys::Held(vec![held]),
        }
    }

    /// What a token says that this issuer has signed.
    pub(crate) async fn verify(
        &self,
        token: &str,
        header: &Header,
        now: Duration,
    ) -> Result<TokenData<Box<RawValue>>, Unsigned> {
        if !self.algorithms.contains(&header.alg) {
            let taken: Vec<_> = self.algorithms.iter().map(|algorithm| format!("{algorithm:?}")).collect();
            let why = format!("its header `alg` is {:?}; {} takes {}", header.alg, self.name, taken.join(", "));
            return Err(Unsigned::Wrong(why));
        }
        let fetched;
        let (keys, ended): (Vec<&Key>, bool) = match &self.keys {
            Keys::Held(held) => {
                let is_asked_for = |held: &&Held| match (&held.key.kid, &header.kid) {
                    // A key without a name is for all names.
                    (Some(own), Some(asked)) => own == asked,
                    _ => true,
                };
                let (good, ended): (Vec<_>, Vec<_>) =
                    held.iter().filter(is_asked_for).partition(|held| held.until.is_none_or(|until| now < until));
                if good.is_empty() && ended.is_empty() {
                    let kid = header.kid.as_deref().unwrap_or_default();
                    return Err(Unsigned::Wrong(format!(
                        "its header `kid` is {kid:?}, and {} has no key of that name",
                        self.name
                    )));
                }
                let is_ended = ended.iter().any(|held| held.key.verify(token, header.alg).is_ok());
                (good.into_iter().map(|held| &held.key).collect(), is_ended)
            }
            Keys::Published(set) => {
                let found = set.find(header.kid.as_deref(), header.alg).await;
                fetched = found.map_err(|why| match why {
                    NoKey::Unknown(why) => Unsigned::Wrong(why),
                    NoKey::Later(why) => Unsigned::Later(why),
                })?;
                (fetched.iter().collect(), false)
            }
        };
        let verified = keys.into_iter().map(|key| key.verify(token, header.alg)).find(Result::is_ok);
        verified.unwrap_or(Err(NotSigned)).map_err(|NotSigned| {
            Unsigned::Wrong(if ended {
                format!(
                    "it is signed with the previous key of {}, whose time has ended; sign with the present one",
                    self.name
                )
            } else {
                format!("its signature is not that of {}", self.name)
            })
        })
    }

    /// Whether a token is meant for this server, and says whose it is.
    pub(super) fn check_parties(&self, claims: &Written) -> Result<(), String> {
        let named = |audience: &str| claims.aud.as_ref().is_some_and(|aud| aud.names(audience));
        match &self.audience {
            Some(audience) if !named(audience) => {
                return Err(format!(
                    "its claim `aud` does not name {audience:?}, which is the audience of {}",
                    self.name
                ));
            }
            None if claims.aud.is_some() => {
                return Err(format!(
                    "it has a claim `aud`, so it may be for somebody else; set the audience of {}",
                    self.name
                ));
            }
            _ => {}
        }
        match &self.iss {
            Some(issuer) if claims.iss.as_ref() != Some(issuer) => {
                Err(format!("its claim `iss` is not {issuer:?}, which is the issuer of {}", self.name))
            }
            _ => Ok(()),
        }
    }
}
