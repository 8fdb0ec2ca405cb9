//! What is taken for a token and what is not. The keys in `testdata` were made for these tests and open nothing.

use super::*;
use crate::limits::INFO_BYTES_MAX;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use tidings_chat::Time;
use tidings_hub::{ChannelName, Overrides};
use tidings_protocol::Payload;

const SECRET: &str = "a-secret-of-thirty-two-bytes-or-so";
const FAR: u64 = 4_000_000_000;
/// When the tests take place.
const NOW: Duration = Duration::from_secs(2_000_000_000);

/// A kind of key, with what it is for.
struct Kind {
    private: &'static str,
    public: &'static str,
    algorithms: &'static [Algorithm],
}

use Algorithm::{ES256, ES384, EdDSA, HS256, HS384, HS512, PS256, PS384, PS512, RS256, RS384, RS512};

const ALL: [Algorithm; 12] = [HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA];
const SECRET_KEY: Kind = Kind { private: SECRET, public: SECRET, algorithms: &[HS256, HS384, HS512] };
const RSA: Kind = Kind {
    private: include_str!("testdata/rsa.pem"),
    public: include_str!("testdata/rsa.pub.pem"),
    algorithms: &[RS256, RS384, RS512, PS256, PS384, PS512],
};
const KINDS: [Kind; 5] = [
    SECRET_KEY,
    RSA,
    Kind {
        private: include_str!("testdata/p256.pem"),
        public: include_str!("testdata/p256.pub.pem"),
        algorithms: &[ES256],
    },
    Kind {
        private: include_str!("testdata/p384.pem"),
        public: include_str!("testdata/p384.pub.pem"),
        algorithms: &[ES384],
    },
    Kind {
        private: include_str!("testdata/ed25519.pem"),
        public: include_str!("testdata/ed25519.pub.pem"),
        algorithms: &[EdDSA],
    },
];

impl Kind {
    fn encoding(&self) -> EncodingKey {
        let bytes = self.private.as_bytes();
        match self.algorithms[0] {
            HS256 => EncodingKey::from_secret(bytes),
            RS256 => EncodingKey::from_rsa_pem(bytes).unwrap(),
            EdDSA => EncodingKey::from_ed_pem(bytes).unwrap(),
            _ => EncodingKey::from_ec_pem(bytes).unwrap(),
        }
    }

    fn key(&self) -> Key {
        if self.algorithms[0] == HS256 { Key::secret(self.public.as_bytes()) } else { Key::pem(self.public).unwrap() }
    }
}

fn encode(header: &Header, claims: &Value, kind: &Kind) -> String {
    jsonwebtoken::encode(header, claims, &kind.encoding()).unwrap()
}

fn signed(header: &Header, claims: &Value) -> String {
    encode(header, claims, &SECRET_KEY)
}

fn tokens() -> Tokens {
    of(Parties::default())
}

fn of(parties: Parties) -> Tokens {
    Tokens::new(Issuers::new(Issuer::own(SECRET, parties), Vec::new()), false)
}

/// An issuer with one key.
fn issuer(name: &str, iss: Option<&str>, algorithms: &[Algorithm], key: Key) -> Issuer {
    let (iss, algorithms) = (iss.map(str::to_owned), algorithms.to_vec());
    let keys = Keys::Held(vec![Held { key, until: None }]);
    Issuer { name: name.into(), iss, audience: None, algorithms, keys }
}

fn with(others: Vec<Issuer>) -> Tokens {
    Tokens::new(Issuers::new(Issuer::own(SECRET, Parties::default()), others), false)
}

async fn outcome(tokens: &Tokens, token: &str) -> Result<Claims, Fault> {
    tokens.examine(token, NOW).await.outcome
}

/// With these claims and a far `exp`, unless they say another.
fn claims_of(claims: &Value) -> Value {
    let mut all = json!({"sub": "42", "exp": FAR});
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    all
}

async fn checked(claims: &Value) -> Result<Claims, TokenError> {
    outcome(&tokens(), &signed(&Header::new(HS256), &claims_of(claims))).await.map_err(|fault| fault.error)
}

async fn refused(claims: &Value) -> TokenError {
    checked(claims).await.map(|claims| format!("{claims:?}")).unwrap_err()
}

/// Why a token with these claims is refused.
async fn reason(claims: &Value) -> String {
    let token = signed(&Header::new(HS256), &claims_of(claims));
    outcome(&tokens(), &token).await.map(|claims| format!("{claims:?}")).unwrap_err().reason
}

#[tokio::test]
async fn a_token_that_we_made_is_good_until_it_expires() {
    let order = Order { user: "42".into(), ttl: Some(Duration::from_secs(60)), ..Order::default() };
    let token = Signer::own(SECRET, Parties::default()).sign(order).unwrap();
    assert_eq!(tokens().check(&token).await.unwrap().user, "42");
    assert_eq!(refused(&json!({"exp": 1_000_000_000})).await, TokenError::Expired);
}

#[tokio::test]
async fn s30_each_algorithm_is_taken_where_it_is_listed_and_nowhere_else() {
    for kind in &KINDS {
        for algorithm in kind.algorithms {
            let token = encode(&Header::new(*algorithm), &claims_of(&json!({"iss": "b"})), kind);
            let listed = with(vec![issuer("b", Some("b"), &[*algorithm], kind.key())]);
            assert_eq!(outcome(&listed, &token).await.unwrap().user, "42", "{algorithm:?}");
            for other in kind.algorithms.iter().filter(|other| *other != algorithm) {
                let others = with(vec![issuer("b", Some("b"), &[*other], kind.key())]);
                let fault = outcome(&others, &token).await.unwrap_err();
                assert_eq!(fault.error, TokenError::Invalid, "{algorithm:?} where {other:?} is listed");
                assert!(fault.reason.contains(&format!("b takes {other:?}")), "{}", fault.reason);
            }
        }
    }
}

/// Every key against every algorithm, as if an operator had listed all of them: a public key is never a secret, and no key is used
/// with an algorithm of another kind.
#[tokio::test]
async fn s30_no_key_checks_what_was_signed_by_another_kind_of_key_whatever_the_header_says() {
    let text = |kind: &Kind| kind.public.to_owned();
    let (mut tried, mut forged) = (0, Vec::new());
    for (holder, kind) in KINDS.iter().enumerate() {
        let tokens = with(vec![issuer("b", Some("b"), &ALL, kind.key())]);
        for (signer, other) in KINDS.iter().enumerate() {
            for algorithm in ALL {
                // Signed as the header says, or, where the key is of another kind, with the published text as a secret.
                let is_own = other.algorithms.contains(&algorithm);
                let token = if is_own {
                    encode(&Header::new(algorithm), &claims_of(&json!({"iss": "b"})), other)
                } else if HMAC.contains(&algorithm) {
                    let secret = EncodingKey::from_secret(text(kind).as_bytes());
                    jsonwebtoken::encode(&Header::new(algorithm), &claims_of(&json!({"iss": "b"})), &secret).unwrap()
                } else {
                    continue;
                };
                // The text of the shared secret is the secret.
                let is_good = holder == signer && is_own || holder == 0 && HMAC.contains(&algorithm);
                let good = outcome(&tokens, &token).await.is_ok();
                tried += 1;
                if good != is_good {
                    forged.push((holder, signer, algorithm));
                }
            }
        }
    }
    assert_eq!((forged, tried), (vec![], 5 * (12 + 4 * 3)));
}

#[tokio::test]
async fn s30_no_algorithm_none_an_unknown_one_and_a_signature_that_was_taken_off_are_refused() {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let claims = part(r#"{"sub":"42","exp":4000000000}"#);
    for header in [
        r#"{"alg":"none","typ":"JWT"}"#,
        r#"{"alg":"None"}"#,
        r#"{"alg":"NONE"}"#,
        r#"{"alg":""}"#,
        r#"{"alg":"ES512"}"#,
        r#"{"alg":"HS257"}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":"HS256","alg":"none"}"#,
        r#"{"typ":"JWT"}"#,
        "",
    ] {
        for signature in ["", "AAAA"] {
            let token = format!("{}.{claims}.{signature}", part(header));
            assert_eq!(outcome(&tokens(), &token).await.unwrap_err().error, TokenError::Invalid, "{header}");
        }
    }
    let good = signed(&Header::new(HS256), &claims_of(&json!({})));
    let (body, signature) = good.rsplit_once('.').unwrap();
    for token in [format!("{body}."), format!("{body}.{}", &signature[..signature.len() - 1]), body.to_owned()] {
        assert_eq!(outcome(&tokens(), &token).await.unwrap_err().error, TokenError::Invalid, "{token}");
    }
}

#[tokio::test]
async fn s30_other_algorithms_other_keys_and_a_missing_or_textual_expiry_are_refused() {
    let hs512 = signed(&Header::new(HS512), &json!({"sub": "42", "exp": FAR}));
    let endless = signed(&Header::new(HS256), &json!({"sub": "42"}));
    let foreign = Signer::own("another-secret-another-secret", Parties::default());
    let foreign = foreign.sign(Order { ttl: Some(Duration::from_secs(9)), ..Order::default() }).unwrap();
    for token in [hs512.as_str(), &endless, &foreign, "", "a.b.c", "...."] {
        assert_eq!(outcome(&tokens(), token).await.unwrap_err().error, TokenError::Invalid, "{token}");
    }
    for claims in [json!({"exp": "4000000000"}), json!({"exp": null}), json!({"exp": [FAR]}), json!({"nbf": "1"})] {
        assert_eq!(refused(&claims).await, TokenError::Invalid, "{claims}");
    }
}

#[tokio::test]
async fn s30_a_token_without_an_end_is_good_only_where_the_configuration_says_so() {
    let endless = signed(&Header::new(HS256), &json!({"sub": "42"}));
    let allowed = Tokens::new(Issuers::new(Issuer::own(SECRET, Parties::default()), Vec::new()), true);
    assert_eq!(outcome(&allowed, &endless).await.unwrap().lasts, None);
    assert!(outcome(&tokens(), &endless).await.unwrap_err().reason.contains("no claim `exp`"));
    // What it says is held to all the same.
    let past = signed(&Header::new(HS256), &json!({"sub": "42", "exp": 1}));
    assert_eq!(outcome(&allowed, &past).await.unwrap_err().error, TokenError::Expired);
    let textual = signed(&Header::new(HS256), &json!({"sub": "42", "exp": "never"}));
    assert_eq!(outcome(&allowed, &textual).await.unwrap_err().error, TokenError::Invalid);
    let ends = signed(&Header::new(HS256), &json!({"sub": "42", "expire_at": NOW.as_secs() + 7}));
    assert_eq!(outcome(&allowed, &ends).await.unwrap().lasts, Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn s30_a_header_that_brings_a_key_or_demands_an_extension_or_is_of_another_type_is_refused() {
    let claims = json!({"sub": "42", "exp": FAR});
    let plain = || Header::new(HS256);
    for header in [
        Header { crit: Some(vec!["exp".into()]), ..plain() },
        Header { crit: Some(vec!["b64".into()]), ..plain() },
        Header { typ: Some("at+jwt".into()), ..plain() },
        Header { typ: Some(String::new()), ..plain() },
        Header { jku: Some("https://example.org/keys".into()), ..plain() },
        Header { x5u: Some("https://example.org/keys".into()), ..plain() },
        Header { x5c: Some(vec!["MIIB".into()]), ..plain() },
    ] {
        let answer = outcome(&tokens(), &signed(&header, &claims)).await.map(|_| ()).map_err(|fault| fault.error);
        assert_eq!(answer, Err(TokenError::Invalid), "{header:?}");
    }
    for header in [
        Header { typ: None, ..plain() },
        Header { typ: Some("jwt".into()), ..plain() },
        Header { kid: Some("any".into()), ..plain() },
    ] {
        assert!(outcome(&tokens(), &signed(&header, &claims)).await.is_ok(), "{header:?}");
    }
}

#[tokio::test]
async fn s30_a_key_that_has_a_name_is_not_used_for_another_one() {
    let mut named = issuer("b", Some("b"), &[RS256], RSA.key());
    let Keys::Held(keys) = &mut named.keys else { unreachable!() };
    keys[0].key.kid = Some("now".into());
    let tokens = with(vec![named]);
    let token = |kid: Option<&str>| {
        let header = Header { kid: kid.map(str::to_owned), ..Header::new(RS256) };
        encode(&header, &claims_of(&json!({"iss": "b"})), &RSA)
    };
    assert!(outcome(&tokens, &token(Some("now"))).await.is_ok());
    assert!(outcome(&tokens, &token(None)).await.is_ok(), "there is no other that it could be");
    let fault = outcome(&tokens, &token(Some("later"))).await.unwrap_err();
    assert_eq!(
        (fault.error, fault.reason),
        (TokenError::Invalid, "its header `kid` is \"later\", and b has no key of that name".into())
    );
}

#[tokio::test]
async fn a_previous_key_is_taken_until_its_end_and_not_a_moment_longer() {
    let before = Kind { private: "the-secret-that-was-before-this", ..SECRET_KEY };
    let previous = Held { key: Key::secret(before.private.as_bytes()), until: Some(NOW) };
    let mut rotated = issuer("b", Some("b"), &[HS256], SECRET_KEY.key());
    let Keys::Held(keys) = &mut rotated.keys else { unreachable!() };
    keys.push(previous);
    let tokens = with(vec![rotated]);
    let claims = claims_of(&json!({"iss": "b"}));
    let (old, new) = (encode(&Header::new(HS256), &claims, &before), signed(&Header::new(HS256), &claims));
    let at = async |token: &str, now| tokens.examine(token, now).await.outcome.map(|_| ());
    assert_eq!(at(&old, NOW - Duration::from_millis(1)).await, Ok(()));
    assert_eq!(at(&new, NOW).await, Ok(()));
    let fault = at(&old, NOW).await.unwrap_err();
    assert_eq!(fault.error, TokenError::Invalid);
    assert!(fault.reason.contains("the previous key of b, whose time has ended"), "{}", fault.reason);
}

#[tokio::test]
async fn s30_whoever_has_an_entry_of_their_own_is_checked_by_it_alone() {
    let tokens = with(vec![
        issuer("login", Some("login"), &[RS256], RSA.key()),
        issuer("others", None, &[ES256], KINDS[2].key()),
    ]);
    let of = |iss: Option<Value>| {
        let mut claims = claims_of(&json!({}));
        if let Some(iss) = iss {
            claims["iss"] = iss;
        }
        claims
    };
    let login = Some(json!("login"));
    assert!(outcome(&tokens, &encode(&Header::new(RS256), &of(login.clone()), &RSA)).await.is_ok());
    // The server's own secret does not make tokens of somebody who has an entry, nor does another issuer.
    for token in [
        signed(&Header::new(HS256), &of(login.clone())),
        encode(&Header::new(ES256), &of(login), &KINDS[2]),
        encode(&Header::new(RS256), &of(Some(json!("others"))), &RSA),
        encode(&Header::new(RS256), &of(None), &RSA),
        signed(&Header::new(HS256), &of(Some(json!(["login"])))),
    ] {
        assert_eq!(outcome(&tokens, &token).await.unwrap_err().error, TokenError::Invalid, "{token}");
    }
    // Whoever is named nowhere comes under the entries for any, or the own secret.
    for iss in [None, Some(json!("whoever"))] {
        assert!(outcome(&tokens, &encode(&Header::new(ES256), &of(iss.clone()), &KINDS[2])).await.is_ok());
        assert!(outcome(&tokens, &signed(&Header::new(HS256), &of(iss))).await.is_ok());
    }
}

#[tokio::test]
async fn dates_may_have_fractions_and_clocks_may_differ_by_the_leeway() {
    let now = NOW.as_secs_f64();
    let leeway = TOKEN_LEEWAY.as_secs_f64();
    for claims in [
        json!({"exp": now + 0.5, "nbf": now - 0.5, "iat": now - 0.5}),
        json!({"exp": now - leeway + 0.1}),
        json!({"nbf": now + leeway - 0.1}),
        json!({"iat": now + 3600.0}),
    ] {
        assert!(checked(&claims).await.is_ok(), "{claims}");
    }
    for claims in [json!({"exp": now - leeway}), json!({"nbf": now + leeway + 0.1}), json!({"exp": -1.5})] {
        assert_eq!(refused(&claims).await, TokenError::Expired, "{claims}");
    }
}

#[tokio::test]
async fn a_connection_lasts_until_expire_at_or_else_until_exp() {
    let now = NOW.as_secs_f64();
    let lasts = async |claims: Value| checked(&claims).await.unwrap().lasts.map(|left| left.as_secs_f64());
    assert_eq!(lasts(json!({"exp": now + 60.5})).await, Some(60.5));
    assert_eq!(lasts(json!({"expire_at": now + 7.25})).await, Some(7.25));
    assert_eq!(lasts(json!({"expire_at": 0})).await, None);
    assert_eq!(lasts(json!({"expire_at": null, "exp": now + 9.0})).await, Some(9.0));
    // Accepted by leeway alone.
    assert_eq!(lasts(json!({"exp": now - 1.0})).await, Some(1.0));
    assert!(lasts(json!({"exp": 1e300})).await.unwrap() > 1e18);
    assert_eq!(refused(&json!({"expire_at": now - 1.0})).await, TokenError::Expired);
}

#[tokio::test]
async fn an_audience_must_be_the_configured_one_and_without_one_a_token_names_none() {
    let token = |claims: Value| signed(&Header::new(HS256), &claims_of(&claims));
    let parties = || Parties { audience: Some("chat".into()), issuer: Some("backend".into()) };
    let named = of(parties());
    for claims in [json!({"aud": "chat", "iss": "backend"}), json!({"aud": ["x", "chat"], "iss": "backend"})] {
        assert!(outcome(&named, &token(claims.clone())).await.is_ok(), "{claims}");
        assert_eq!(
            outcome(&tokens(), &token(claims.clone())).await.unwrap_err().error,
            TokenError::Invalid,
            "{claims}"
        );
    }
    for claims in [
        json!({"iss": "backend"}),
        json!({"aud": "chats", "iss": "backend"}),
        json!({"aud": [], "iss": "backend"}),
        json!({"aud": "chat"}),
        json!({"aud": "chat", "iss": "another"}),
        json!({"aud": 7, "iss": "backend"}),
    ] {
        let checked = named.examine(&token(claims.clone()), NOW).await;
        assert_eq!(checked.outcome.unwrap_err().error, TokenError::Invalid, "{claims}");
        assert_eq!(checked.issuer.as_deref(), Some("the token secret"), "the log says why: {claims}");
    }
    assert!(outcome(&tokens(), &token(json!({"iss": "whoever"}))).await.is_ok());
    // What is made here is good here.
    let order = Order { ttl: Some(Duration::from_secs(9)), ..Order::default() };
    assert!(named.check(&Signer::own(SECRET, parties()).sign(order).unwrap()).await.is_ok());
}

#[tokio::test]
async fn claims_are_honoured_or_refused_and_never_ignored() {
    let json = |text: &str| Some(Payload::parse(text.as_bytes()).unwrap());
    let claims = checked(&json!({
        "info": {"name": "plain"},
        "b64info": STANDARD.encode(r#"{"name":"Ana"}"#),
        "meta": {"tier": 2},
        "jti": "a",
        "iat": 1_999_999_999.25,
        "channels": ["a", "b", "a"],
        "subs": {
            "b": {"info": {"n": 1}, "data": [2], "override": {"presence": {"value": false}, "force_push_join_leave": {"value": true}}},
            "c": {"b64info": STANDARD.encode("3"), "join_leave": true},
            "d": null,
        },
        "caps": [{"channels": ["news:*"], "match": "wildcard", "allow": ["sub"]}],
    }))
    .await
    .unwrap();
    assert_eq!((claims.info, claims.meta), (json(r#"{"name":"Ana"}"#), json(r#"{"tier":2}"#)));
    assert_eq!((claims.id.as_deref(), claims.issued), (Some("a"), Some(Time::from_millis(1_999_999_999_250))));
    let Given { channels, caps } = claims.given;
    assert_eq!(channels.keys().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    let overrides = Overrides { presence: Some(false), hears_join_leave: Some(true), ..Overrides::default() };
    assert_eq!(channels["b"], GivenChannel { info: json(r#"{"n":1}"#), data: json("[2]"), overrides });
    assert_eq!((channels["c"].info.clone(), channels["c"].overrides.hears_join_leave), (json("3"), Some(true)));
    assert!(caps.allow(&ChannelName::parse("news:1").unwrap(), Operation::Subscribe));
    for claims in [
        json!({"b64info": "no base 64"}),
        json!({"info": "x".repeat(INFO_BYTES_MAX - 1)}),
        json!({"b64info": STANDARD.encode(json!("x".repeat(INFO_BYTES_MAX - 1)).to_string())}),
        json!({"subs": {"a": {"info": "x".repeat(INFO_BYTES_MAX - 1)}}}),
        json!({"b64info": STANDARD.encode("no JSON")}),
        json!({"subs": {"a": {"b64data": STANDARD.encode(b"\xff")}}}),
        json!({"subs": {"a": {"override": {"presence": true}}}}),
        json!({"subs": {"a": {"override": {"absence": {"value": true}}}}}),
        json!({"subs": {"a": {"unknown": 1}}}),
        json!({"subs": ["a"]}),
        json!({"channels": "a"}),
        json!({"channels": ["a", ""]}),
        json!({"subs": {"ü": {}}}),
        json!({"channel": "x".repeat(256)}),
        json!({"override": {}}),
        json!({"allow": ["pub"]}),
        json!({"caps": [{"channels": ["["], "match": "regex", "allow": ["sub"]}]}),
        json!({"caps": [{"channels": ["a"]}]}),
        json!({"caps": [{"channels": ["a"], "allow": ["sub"], "deny": ["pub"]}]}),
        json!({"jti": 7}),
    ] {
        assert_eq!(refused(&claims).await, TokenError::Invalid, "{claims}");
    }
    let absent = json!({"sub": null, "channels": null, "subs": null, "info": null, "b64info": null, "aud": null, "jti": null, "caps": null});
    assert_eq!(checked(&absent).await.unwrap().user, "");
}

#[tokio::test]
async fn a_subscription_token_says_what_is_otherwise_and_what_else_it_allows() {
    let written = json!({
        "channel": "news",
        "client": "a-connection",
        "allow": ["pub", "hst"],
        "override": {"force_recovery": {"value": true}, "force_positioning": {"value": false}, "join_leave": {}},
    });
    let Subscription { channel, client, overrides, allow } = checked(&written).await.unwrap().subscription.unwrap();
    assert_eq!((channel.as_str(), client.as_deref()), ("news", Some("a-connection")));
    let expected = Overrides {
        recovery: Some(true),
        positioning: Some(false),
        says_join_leave: Some(false),
        ..Overrides::default()
    };
    assert_eq!(overrides, expected);
    assert!(allow.contains(Operation::Publish) && allow.contains(Operation::History));
    assert!(!allow.contains(Operation::Presence));
    assert!(reason(&json!({"channel": "news", "allow": ["read"]})).await.contains("known are sub, pub, prs and hst"));
}

#[tokio::test]
async fn two_tokens_give_the_same_only_when_they_say_the_same_of_every_channel() {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let digest = async |claims: Value| {
        let mut hasher = DefaultHasher::new();
        checked(&claims).await.unwrap().given.hash(&mut hasher);
        hasher.finish()
    };
    let all = [
        json!({}),
        json!({"channels": ["a"]}),
        json!({"subs": {"a": {"info": 1}}}),
        json!({"subs": {"a": {"data": 1}}}),
        json!({"subs": {"a": {"override": {"presence": {"value": false}}}}}),
        json!({"caps": [{"channels": ["a"], "allow": ["sub"]}]}),
        json!({"caps": [{"channels": ["a"], "allow": ["pub"]}]}),
    ];
    let mut digests = Vec::new();
    for claims in all {
        assert_eq!(digest(claims.clone()).await, digest(claims.clone()).await);
        digests.push(digest(claims).await);
    }
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), 7);
}
