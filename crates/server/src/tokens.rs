//! Client tokens: the JSON Web Tokens by which an application's users connect and subscribe.
//!
//! Signed with HS256 and nothing else; `exp` is required and numeric (S30). What a token claims is honoured or the token is
//! refused, with the reason in the log when it was signed by us: a backend that is wrong about us is found there. A
//! token's `sub` is a name of the application's and never a person of the chat.

use crate::limits::TOKEN_LEEWAY;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tidings_hub::ChannelName;
use tidings_protocol::Payload;

/// Signs and checks client tokens.
pub(crate) struct Tokens {
    signing: EncodingKey,
    checking: DecodingKey,
    validation: Validation,
    parties: Parties,
}

/// Between whom tokens pass, where the configuration says so.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parties {
    /// The claim `aud` must name it; `None`: a token with an `aud` is for somebody else (RFC 7519 §4.1.3).
    pub(crate) audience: Option<String>,
    /// The claim `iss` must be it; `None`: whoever has the secret may call themselves what they like.
    pub(crate) issuer: Option<String>,
}

/// What a good token says, be it for a connection or for a subscription (which also names its channel).
#[derive(Debug)]
pub(crate) struct Claims {
    /// The application's name for the user; empty: anonymous.
    pub(crate) user: String,
    /// Shown to others in presence, joins and publications.
    pub(crate) info: Option<Payload>,
    /// The one channel of a subscription token.
    pub(crate) channel: Option<String>,
    /// Channels that the server subscribes the connection to, by name.
    pub(crate) channels: BTreeMap<String, Given>,
    /// How long the connection or subscription lasts unless it is refreshed; `None`: for ever.
    pub(crate) lasts: Option<Duration>,
}

/// What a connection token says of one of its channels.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Given {
    pub(crate) info: Option<Payload>,
    pub(crate) data: Option<Payload>,
    /// It is told who comes and goes.
    pub(crate) join_leave: bool,
}

impl Hash for Given {
    fn hash<H: Hasher>(&self, state: &mut H) {
        [&self.info, &self.data].map(|value| value.as_ref().map(Payload::as_bytes)).hash(state);
    }
}

/// Why a token is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// It was good once, or will be: fetch a new one.
    #[error("the token has expired")]
    Expired,
    /// Not ours, damaged, without a claim that it needs, or with one that is not honoured here.
    #[error("the token is not valid")]
    Invalid,
}

/// The claims as they are written.
#[derive(Deserialize)]
struct Written {
    sub: Option<String>,
    exp: NumericDate,
    nbf: Option<NumericDate>,
    /// When a token was made decides nothing, but a date it must be.
    #[serde(rename = "iat")]
    _iat: Option<NumericDate>,
    /// The connection or subscription expires then; 0: never. `exp` itself where it is absent.
    expire_at: Option<NumericDate>,
    aud: Option<Audience>,
    iss: Option<String>,
    channel: Option<String>,
    channels: Option<Vec<String>>,
    subs: Option<BTreeMap<String, Option<WrittenGiven>>>,
    info: Option<Payload>,
    b64info: Option<String>,
    #[serde(rename = "override")]
    overrides: Option<IgnoredAny>,
}

/// The options of a channel in the claim `subs`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenGiven {
    info: Option<Payload>,
    b64info: Option<String>,
    data: Option<Payload>,
    b64data: Option<String>,
    join_leave: Option<bool>,
}

/// Seconds since the Unix epoch, perhaps with a fraction (RFC 7519 §2).
#[derive(Clone, Copy, PartialEq, PartialOrd, Deserialize)]
struct NumericDate(f64);

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Tokens {
    pub(crate) fn new(secret: &str, parties: Parties) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        // The library checks the signature; the claims are checked here, where the time can be that of a test.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        Self {
            signing: EncodingKey::from_secret(secret.as_bytes()),
            checking: DecodingKey::from_secret(secret.as_bytes()),
            validation,
            parties,
        }
    }

    /// A token for `user`, valid for `ttl` from now; with a channel, a subscription token for it.
    pub(crate) fn sign(&self, user: &str, channel: Option<&str>, ttl: Duration) -> anyhow::Result<String> {
        #[derive(Serialize)]
        struct Signed<'a> {
            sub: &'a str,
            exp: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            channel: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            aud: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            iss: Option<&'a str>,
        }
        let exp = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs().saturating_add(ttl.as_secs());
        let Parties { audience, issuer } = &self.parties;
        let claims = Signed { sub: user, exp, channel, aud: audience.as_deref(), iss: issuer.as_deref() };
        Ok(jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signing)?)
    }

    pub(crate) fn check(&self, token: &str) -> Result<Claims, TokenError> {
        self.check_at(token, SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    /// Checks a token when `now`, since the Unix epoch, is the time.
    fn check_at(&self, token: &str, now: Duration) -> Result<Claims, TokenError> {
        // Anybody can send what we did not sign, so it is not worth a line of the log.
        let read = jsonwebtoken::decode::<Box<RawValue>>(token, &self.checking, &self.validation);
        let read = read.map_err(|_| TokenError::Invalid)?;
        let sound = check_header(&read.header).and_then(|()| {
            let claims: Written = serde_json::from_str(read.claims.get()).map_err(|error| error.to_string())?;
            self.parties.check(&claims)?;
            Ok((claims.nbf, claims.exp, claims.expire_at, claims.read()?))
        });
        let (not_before, expires, ends, mut claims) = sound.map_err(|reason| {
            tracing::warn!(%reason, "a client token of the application's own is refused");
            TokenError::Invalid
        })?;
        let (now, leeway) = (now.as_secs_f64(), TOKEN_LEEWAY.as_secs_f64());
        if now >= expires.0 + leeway || not_before.is_some_and(|date| now < date.0 - leeway) {
            return Err(TokenError::Expired);
        }
        let left = |date: NumericDate| Duration::try_from_secs_f64(date.0 - now).unwrap_or(Duration::MAX);
        claims.lasts = match ends {
            Some(NumericDate(0.0)) => None,
            // No leeway: it says how long something lasts, and not whether two clocks agree.
            Some(date) if date.0 <= now => return Err(TokenError::Expired),
            Some(date) => Some(left(date)),
            // Good by leeway alone: it lasts for a moment, in which the client gets another.
            None if expires.0 <= now => Some(Duration::from_secs(1)),
            None => Some(left(expires)),
        };
        Ok(claims)
    }
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
        return Err("its header brings a key (jku, jwk, x5u or x5c); the token secret is the only one".into());
    }
    Ok(())
}

impl Parties {
    fn check(&self, claims: &Written) -> Result<(), String> {
        let named = |audience: &str| match &claims.aud {
            Some(Audience::One(name)) => name == audience,
            Some(Audience::Several(names)) => names.iter().any(|name| name == audience),
            None => false,
        };
        match &self.audience {
            Some(audience) if !named(audience) => {
                return Err(format!("its claim `aud` does not name {audience:?}, which is the token_audience here"));
            }
            None if claims.aud.is_some() => {
                return Err("it has a claim `aud`, so it may be for somebody else; set token_audience".into());
            }
            _ => {}
        }
        match &self.issuer {
            Some(issuer) if claims.iss.as_ref() != Some(issuer) => {
                Err(format!("its claim `iss` is not {issuer:?}, which is the token_issuer here"))
            }
            _ => Ok(()),
        }
    }
}

impl Written {
    /// Everything but the dates.
    fn read(self) -> Result<Claims, String> {
        if self.overrides.is_some() {
            return Err("its claim `override` is not supported".into());
        }
        // Both name channels; `subs` says more about them.
        let mut channels: BTreeMap<String, Given> =
            self.channels.into_iter().flatten().map(|name| (name, Given::default())).collect();
        for (name, given) in self.subs.into_iter().flatten() {
            let WrittenGiven { info, b64info, data, b64data, join_leave } = given.unwrap_or_default();
            let given = Given {
                info: json("b64info", b64info, info)?,
                data: json("b64data", b64data, data)?,
                join_leave: join_leave.unwrap_or_default(),
            };
            channels.insert(name, given);
        }
        for name in channels.keys().chain(&self.channel) {
            ChannelName::parse(name).map_err(|error| format!("it names the channel {name:?}: {error}"))?;
        }
        Ok(Claims {
            user: self.sub.unwrap_or_default(),
            info: json("b64info", self.b64info, self.info)?,
            channel: self.channel,
            channels,
            lasts: None,
        })
    }
}

/// A claim's value, which its form in Base64 wins over. It must be JSON, because all messages here are.
fn json(claim: &str, base64: Option<String>, plain: Option<Payload>) -> Result<Option<Payload>, String> {
    let Some(text) = base64.filter(|text| !text.is_empty()) else { return Ok(plain) };
    let decoded = STANDARD.decode(text).map_err(|error| format!("its claim `{claim}` is not Base64: {error}"))?;
    match Payload::parse(&decoded) {
        Ok(value) => Ok(Some(value)),
        Err(error) => Err(format!("its claim `{claim}` holds {error}; other data is not supported")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    const SECRET: &str = "a-secret-of-thirty-two-bytes-or-so";
    const FAR: u64 = 4_000_000_000;
    /// When the tests take place.
    const NOW: Duration = Duration::from_secs(2_000_000_000);

    fn signed(header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
    }

    fn tokens() -> Tokens {
        Tokens::new(SECRET, Parties::default())
    }

    /// What comes of a token with these claims and a far `exp`, unless they say another.
    fn checked(claims: &Value) -> Result<Claims, TokenError> {
        let mut all = json!({"sub": "42", "exp": FAR});
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        tokens().check_at(&signed(&Header::new(Algorithm::HS256), &all), NOW)
    }

    fn refused(claims: &Value) -> TokenError {
        checked(claims).map(|claims| format!("{claims:?}")).unwrap_err()
    }

    #[test]
    fn a_token_that_we_made_is_good_until_it_expires() {
        let token = tokens().sign("42", None, Duration::from_secs(60)).unwrap();
        assert_eq!(tokens().check(&token).unwrap().user, "42");
        assert_eq!(refused(&json!({"exp": 1_000_000_000})), TokenError::Expired);
    }

    #[test]
    fn s30_other_algorithms_other_keys_and_a_missing_or_textual_expiry_are_refused() {
        let unsigned = format!(
            "{}.{}.",
            URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#),
            URL_SAFE_NO_PAD.encode(r#"{"sub":"42","exp":4000000000}"#)
        );
        let hs512 = signed(&Header::new(Algorithm::HS512), &json!({"sub": "42", "exp": FAR}));
        let endless = signed(&Header::new(Algorithm::HS256), &json!({"sub": "42"}));
        let foreign = Tokens::new("another-secret-another-secret", Parties::default());
        let foreign = foreign.sign("42", None, Duration::from_secs(9)).unwrap();
        for token in [unsigned.as_str(), &hs512, &endless, &foreign, "", "a.b.c"] {
            assert_eq!(tokens().check(token).unwrap_err(), TokenError::Invalid, "{token}");
        }
        for claims in [json!({"exp": "4000000000"}), json!({"exp": null}), json!({"exp": [FAR]}), json!({"nbf": "1"})] {
            assert_eq!(refused(&claims), TokenError::Invalid, "{claims}");
        }
    }

    #[test]
    fn s30_a_header_that_brings_a_key_or_demands_an_extension_or_is_of_another_type_is_refused() {
        let claims = json!({"sub": "42", "exp": FAR});
        let plain = || Header::new(Algorithm::HS256);
        for header in [
            Header { crit: Some(vec!["exp".into()]), ..plain() },
            Header { crit: Some(vec!["b64".into()]), ..plain() },
            Header { typ: Some("at+jwt".into()), ..plain() },
            Header { typ: Some(String::new()), ..plain() },
            Header { jku: Some("https://example.org/keys".into()), ..plain() },
            Header { x5u: Some("https://example.org/keys".into()), ..plain() },
            Header { x5c: Some(vec!["MIIB".into()]), ..plain() },
        ] {
            let answer = tokens().check(&signed(&header, &claims)).map(|_| ());
            assert_eq!(answer, Err(TokenError::Invalid), "{header:?}");
        }
        for header in [
            Header { typ: None, ..plain() },
            Header { typ: Some("jwt".into()), ..plain() },
            Header { kid: Some("any".into()), ..plain() },
        ] {
            assert!(tokens().check(&signed(&header, &claims)).is_ok(), "{header:?}");
        }
    }

    #[test]
    fn dates_may_have_fractions_and_clocks_may_differ_by_the_leeway() {
        let now = NOW.as_secs_f64();
        let leeway = TOKEN_LEEWAY.as_secs_f64();
        for claims in [
            json!({"exp": now + 0.5, "nbf": now - 0.5, "iat": now - 0.5}),
            json!({"exp": now - leeway + 0.1}),
            json!({"nbf": now + leeway - 0.1}),
            json!({"iat": now + 3600.0}),
        ] {
            assert!(checked(&claims).is_ok(), "{claims}");
        }
        for claims in [json!({"exp": now - leeway}), json!({"nbf": now + leeway + 0.1}), json!({"exp": -1.5})] {
            assert_eq!(refused(&claims), TokenError::Expired, "{claims}");
        }
    }

    #[test]
    fn a_connection_lasts_until_expire_at_or_else_until_exp() {
        let now = NOW.as_secs_f64();
        let lasts = |claims: Value| checked(&claims).unwrap().lasts.map(|left| left.as_secs_f64());
        assert_eq!(lasts(json!({"exp": now + 60.5})), Some(60.5));
        assert_eq!(lasts(json!({"expire_at": now + 7.25})), Some(7.25));
        assert_eq!(lasts(json!({"expire_at": 0})), None);
        assert_eq!(lasts(json!({"expire_at": null, "exp": now + 9.0})), Some(9.0));
        // Accepted by leeway alone.
        assert_eq!(lasts(json!({"exp": now - 1.0})), Some(1.0));
        assert!(lasts(json!({"exp": 1e300})).unwrap() > 1e18);
        assert_eq!(refused(&json!({"expire_at": now - 1.0})), TokenError::Expired);
    }

    #[test]
    fn an_audience_must_be_the_configured_one_and_without_one_a_token_names_none() {
        let token = |claims: Value| {
            let mut all = json!({"sub": "42", "exp": FAR});
            all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
            signed(&Header::new(Algorithm::HS256), &all)
        };
        let named = Parties { audience: Some("chat".into()), issuer: Some("backend".into()) };
        let named = Tokens::new(SECRET, named);
        for claims in [json!({"aud": "chat", "iss": "backend"}), json!({"aud": ["x", "chat"], "iss": "backend"})] {
            assert!(named.check(&token(claims.clone())).is_ok(), "{claims}");
            assert_eq!(tokens().check(&token(claims.clone())).unwrap_err(), TokenError::Invalid, "{claims}");
        }
        for claims in [
            json!({"iss": "backend"}),
            json!({"aud": "chats", "iss": "backend"}),
            json!({"aud": [], "iss": "backend"}),
            json!({"aud": "chat"}),
            json!({"aud": "chat", "iss": "another"}),
            json!({"aud": 7, "iss": "backend"}),
        ] {
            assert_eq!(named.check(&token(claims.clone())).unwrap_err(), TokenError::Invalid, "{claims}");
        }
        assert!(tokens().check(&token(json!({"iss": "whoever"}))).is_ok());
        // What is made here is good here.
        assert!(named.check(&named.sign("42", None, Duration::from_secs(9)).unwrap()).is_ok());
    }

    #[test]
    fn claims_are_honoured_or_refused_and_never_ignored() {
        let json = |text: &str| Some(Payload::parse(text.as_bytes()).unwrap());
        let claims = checked(&json!({
            "info": {"name": "plain"},
            "b64info": STANDARD.encode(r#"{"name":"Ana"}"#),
            "channels": ["a", "b", "a"],
            "subs": {"b": {"info": {"n": 1}, "data": [2]}, "c": {"b64info": STANDARD.encode("3")}, "d": null},
        }));
        let claims = claims.unwrap();
        assert_eq!(claims.info, json(r#"{"name":"Ana"}"#));
        assert_eq!(claims.channels.keys().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
        assert_eq!(claims.channels["b"], Given { info: json(r#"{"n":1}"#), data: json("[2]"), join_leave: false });
        assert_eq!(claims.channels["c"].info, json("3"));
        for claims in [
            json!({"b64info": "no base 64"}),
            json!({"b64info": STANDARD.encode("no JSON")}),
            json!({"subs": {"a": {"override": {"presence": {"value": false}}}}}),
            json!({"subs": ["a"]}),
            json!({"channels": "a"}),
            json!({"channels": ["a", ""]}),
            json!({"subs": {"ü": {}}}),
            json!({"channel": "x".repeat(256)}),
            json!({"override": {}}),
        ] {
            assert_eq!(refused(&claims), TokenError::Invalid, "{claims}");
        }
        let absent = json!({"sub": null, "channels": null, "subs": null, "info": null, "b64info": null, "aud": null});
        assert_eq!(checked(&absent).unwrap().user, "");
    }
}
