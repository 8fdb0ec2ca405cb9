//! `tidings token explain`: what a token says, whether this server would take it, what is wrong with it and what to do.
//!
//! Checks with the configuration and the keys of the server, and with the same code; needs no running one. Prints no secret, and
//! of the token nothing that could be used as one: its signature stays out.

use crate::config::{Config, Sources, StorageSettings};
use crate::plain::plain;
use crate::secrets::TOKEN_SECRET;
use crate::tokens::{Checked, Claims, Issuers, Keys, Subscription, TokenError, Tokens, now};
use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use std::io::{IsTerminal, Read};
use std::time::Duration;
use tidings_chat::Chat;
use tidings_hub::{ChannelName, Refusal};

/// Nobody means a token to last so long.
const LASTS_TOO_LONG: Duration = Duration::from_hours(100 * 365 * 24);

pub(super) async fn run(common: &Sources<StorageSettings>, token: String) -> anyhow::Result<()> {
    let token = read(token)?;
    let config = Config::load_beside(common)?;
    let secret = TOKEN_SECRET.load(&config.storage.data_dir, config.secret_bytes_min())?;
    let tokens = Tokens::new(config.token_issuers_with(&secret)?, config.settings.client.token.allow_without_exp);
    let (text, is_good) = explained(&token, &tokens, &config).await;
    print!("{text}");
    // For scripts: what would be refused is no success.
    if is_good { Ok(()) } else { bail!("this server would refuse the token") }
}

/// The text, and whether the token is good. Whoever wrote the token may have wanted to write on a terminal.
async fn explained(token: &str, tokens: &Tokens, config: &Config) -> (String, bool) {
    let now = now();
    let checked = tokens.examine(token, now).await;
    let mut lines = said(token, now);
    let refused = checked.outcome.as_ref().ok().and_then(|claims| refusal(claims, config));
    lines.extend(judged(&checked, refused.as_deref(), &tokens.issuers(), config, now));
    if checked.outcome.is_err() && token.contains(|c: char| c.is_whitespace() || "\"'".contains(c)) {
        lines.push(
            "note: a token is letters, digits, - and _ with two dots; leave out `Bearer`, quotes and spaces".into(),
        );
    }
    let is_good = checked.outcome.is_ok() && refused.is_none();
    (lines.into_iter().map(|line| plain(&line) + "\n").collect(), is_good)
}

/// Why a token that is good in itself opens nothing with this configuration.
fn refusal(claims: &Claims, config: &Config) -> Option<String> {
    let table = config.channels();
    let said = |refusal: Refusal| match refusal {
        Refusal::Error(error) => format!("{} ({})", error.message, error.code),
        Refusal::Disconnect(why) => format!("{} ({})", why.reason, why.code),
    };
    if let Some(Subscription { channel, .. }) = &claims.subscription {
        let refused = |why: String| Some(format!("the channel {channel:?}: {why}"));
        return match ChannelName::parse(channel) {
            Err(error) => refused(error.to_string()),
            Ok(name) if Chat::owns(&name) => refused("it is the chat's own, which no token opens (103)".into()),
            Ok(name) => match table.find(&name) {
                Err(error) => refused(said(error.into())),
                Ok(place) if !place.namespace.rules.subscribe.token => {
                    refused("its namespace lets nobody subscribe by a token (103)".into())
                }
                Ok(_) => None,
            },
        };
    }
    if claims.user.is_empty() && !config.settings.anonymous_tokens {
        return Some("it names no user (sub): close 3507, unless anonymous_tokens is true".into());
    }
    let channels: Vec<_> = claims.given.channels.keys().filter_map(|name| ChannelName::parse(name).ok()).collect();
    let given = channels.iter().filter(|channel| !Chat::owns(channel));
    let own: Vec<_> = table.personal(&claims.user).filter_map(Result::ok).collect();
    let refused = table.check_given(given, &own).err();
    refused.map(|(channel, why)| format!("the channel {:?} that it gives: {}", channel.as_str(), said(why)))
}

fn read(token: String) -> anyhow::Result<String> {
    if token != "-" {
        return Ok(token);
    }
    if std::io::stdin().is_terminal() {
        eprintln!("Paste the token and end with Ctrl-D:");
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("reading standard input")?;
    Ok(text.trim().to_owned())
}

/// What stands in the token, whoever wrote it.
fn said(token: &str, now: Duration) -> Vec<String> {
    let mut lines = Vec::new();
    let mut parts = token.split('.');
    let mut part = |name: &str| {
        let decoded = parts.next().and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
        let object = decoded.and_then(|bytes| serde_json::from_slice::<Map<String, Value>>(&bytes).ok());
        if object.is_none() {
            lines.push(format!("{name}: cannot be read"));
        }
        object.unwrap_or_default()
    };
    let (header, claims) = (part("header"), part("claims"));
    for (name, value) in &header {
        lines.push(format!("header {name}: {value}"));
    }
    for (name, value) in &claims {
        let meaning = meaning(name, value, now).map(|meaning| format!(" ({meaning})")).unwrap_or_default();
        lines.push(format!("claim {name}: {value}{meaning}"));
    }
    lines
}

/// What a claim is for, in words.
fn meaning(name: &str, value: &Value, now: Duration) -> Option<String> {
    let date = |value: &Value| {
        let seconds = value.as_f64()? - now.as_secs_f64();
        let far = in_words(seconds.abs());
        Some(if seconds < 0.0 { format!("{far} ago") } else { format!("in {far}") })
    };
    Some(match name {
        "sub" => "the application's name for the user".into(),
        "exp" => format!("good until then, {}", date(value)?),
        "nbf" => format!("good from then on, {}", date(value)?),
        "iat" => format!("made then, {}", date(value)?),
        "expire_at" if value.as_f64() == Some(0.0) => "the connection or subscription never ends by itself".into(),
        "expire_at" => format!("the connection or subscription ends then unless it is refreshed, {}", date(value)?),
        "aud" => "whom it is for".into(),
        "iss" => "whose it is".into(),
        "jti" => "the token's own id, by which it can be revoked".into(),
        "info" | "b64info" => "what others see of the user".into(),
        "meta" => "for the server alone".into(),
        "channel" => "it is a subscription token, for this channel alone".into(),
        "channels" | "subs" => "channels that the server subscribes the connection to".into(),
        "caps" => "what it may do in channels by their names".into(),
        "allow" => "what it may do in the channel beside subscribing".into(),
        "override" => "what is otherwise than the channel's options say".into(),
        "client" => "the one connection that may use it".into(),
        _ => "not looked at".into(),
    })
}

fn in_words(seconds: f64) -> String {
    let (span, unit) = match seconds {
        s if s < 120.0 => (s, "seconds"),
        s if s < 7_200.0 => (s / 60.0, "minutes"),
        s if s < 172_800.0 => (s / 3_600.0, "hours"),
        s => (s / 86_400.0, "days"),
    };
    format!("{span:.0} {unit}")
}

/// Whether the server would take it, and what to do.
fn judged(checked: &Checked, refused: Option<&str>, issuers: &Issuers, config: &Config, now: Duration) -> Vec<String> {
    let signed = match &checked.issuer {
        Some(issuer) => format!("signed by: {issuer}"),
        None => format!("signed by: nobody that this server knows ({})", known(issuers)),
    };
    let mut lines = vec![String::new(), signed];
    match &checked.outcome {
        Ok(claims) => lines.extend(good(claims, refused, config, now)),
        Err(fault) => {
            let what = match fault.error {
                TokenError::Expired => "refused as expired (error 109): clients ask for another token and come again",
                TokenError::Invalid => {
                    "refused (close 3500; 103 for a subscription): clients do not come again with it"
                }
                TokenError::Unavailable => "not known from here (error 100): clients come again after a while",
            };
            lines.push(format!("result: {what}"));
            lines.push(format!("why: {}", fault.reason));
            lines.push(format!("what to do: {}", advice(&fault.error, checked.issuer.is_some())));
        }
    }
    for issuer in issuers.iter() {
        if let Keys::Published(set) = &issuer.keys
            && let Some(why) = set.failing()
        {
            let name = &issuer.name;
            lines.push(format!("note: the keys of {name} cannot be read from here ({why}); the server may have them"));
        }
    }
    lines
}

fn known(issuers: &Issuers) -> String {
    let described = issuers.iter().map(|issuer| {
        let algorithms: Vec<_> = issuer.algorithms.iter().map(|algorithm| format!("{algorithm:?}")).collect();
        let whose = issuer.iss.as_ref().map_or_else(|| "any iss".to_owned(), |iss| format!("iss {iss:?}"));
        format!("{}: {}, {whose}", issuer.name, algorithms.join(", "))
    });
    described.collect::<Vec<_>>().join("; ")
}

fn good(claims: &Claims, refused: Option<&str>, config: &Config, now: Duration) -> Vec<String> {
    let mut lines = Vec::new();
    let client = &config.settings.client;
    let who =
        if claims.user.is_empty() { "nobody in particular".to_owned() } else { format!("user {:?}", claims.user) };
    lines.push(match &claims.subscription {
        _ if let Some(why) = refused => format!("result: good in itself, and refused for {why}"),
        None => format!("result: good for a connection of {who}"),
        Some(Subscription { channel, .. }) => format!("result: good for {who} to subscribe to {channel:?}"),
    });
    lines.push(match claims.lasts {
        None => "lasts: for ever".into(),
        Some(left) => format!("lasts: {} from now, then it must be refreshed", in_words(left.as_secs_f64())),
    });
    lines.extend(claims.given.caps.described().map(|cap| format!("may: {cap}")));
    if let Some(Subscription { allow, .. }) = claims.subscription.as_ref().filter(|one| one.allow != Default::default())
    {
        lines.push(format!("may: {allow} in the channel"));
    }
    let of_the_chat = |name: &&String| ChannelName::parse(name).is_ok_and(|name| Chat::owns(&name));
    let of_the_chat = claims.given.channels.keys().filter(of_the_chat);
    lines.extend(of_the_chat.map(|name| format!("note: {name:?} is a channel of the chat, which no token opens")));
    if claims.lasts.is_some_and(|left| left > LASTS_TOO_LONG) {
        lines.push("note: it lasts for centuries; exp and expire_at are seconds since 1970, not milliseconds".into());
    }
    if claims.issued.is_some_and(|issued| issued.millis() > i64::try_from(now.as_millis()).unwrap_or(i64::MAX)) {
        lines.push("note: it says that it was made in the future (iat); the clock of whoever made it is fast".into());
    }
    let missing = [("iat", claims.issued.is_none()), ("jti", claims.id.is_none())];
    let missing: Vec<_> = missing.into_iter().filter_map(|(name, is_missing)| is_missing.then_some(name)).collect();
    if !missing.is_empty() {
        let missing = missing.join(" and ");
        lines.push(format!("note: without {missing} it cannot be told from others when some are to be revoked"));
    }
    if client.insecure {
        lines.push("note: client.insecure is on, so nobody needs a token".into());
    }
    lines.push("note: whether it was revoked, or its user is blocked, the running server alone says".into());
    lines
}

fn advice(error: &TokenError, is_signed: bool) -> &'static str {
    match (error, is_signed) {
        (TokenError::Expired, _) => {
            "make a new one, and let the client fetch one when it is asked (getToken); compare the clocks of both machines"
        }
        (TokenError::Invalid, true) => {
            "the signature is good, so change what the backend writes into the token, or the configuration here"
        }
        (TokenError::Invalid, false) => {
            "sign with the key and the algorithm of one of the issuers above (TIDINGS_TOKEN_SECRET, or the file token-secret in the data folder), or add the issuer to [[client.token.issuers]]"
        }
        (TokenError::Unavailable, _) => "look at the address of the issuer's keys (jwks_url)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::{Issuer, Order, Parties, Signer};
    use serde_json::json;

    const SECRET: &str = "a-secret-of-thirty-two-bytes-or-so";

    async fn text_of(token: &str) -> String {
        let config = Config::parse_for_tests("token_audience = 'chat'\n");
        let parties = Parties { audience: Some("chat".into()), issuer: None };
        let tokens = Tokens::new(Issuers::new(Issuer::own(SECRET, parties), Vec::new()), false);
        explained(token, &tokens, &config).await.0
    }

    fn signed(secret: &str, claims: Value, ttl: i64) -> String {
        let Value::Object(mut more) = claims else { panic!("{claims}") };
        if ttl < 0 {
            more.insert("exp".into(), (i64::try_from(now().as_secs()).unwrap() + ttl).into());
        }
        let order = Order { user: "ana".into(), ttl: Some(Duration::from_secs(3_600)), more, ..Order::default() };
        Signer::own(secret, Parties::default()).sign(order).unwrap()
    }

    #[tokio::test]
    async fn a_good_token_is_explained_claim_by_claim() {
        let text = text_of(&signed(SECRET, json!({"aud": "chat", "jti": "a", "other": 1, "caps": [{"channels": ["news:*"], "match": "wildcard", "allow": ["sub", "hst"]}]}), 60)).await;
        for part in [
            "header alg: \"HS256\"",
            "claim sub: \"ana\" (the application's name for the user)",
            "(good until then, in 60 minutes)",
            "claim other: 1 (not looked at)",
            "signed by: the token secret",
            "result: good for a connection of user \"ana\"",
            "may: sub, hst in news:* (wildcards)",
            "note: whether it was revoked, or its user is blocked, the running server alone says",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(!text.contains(SECRET));
    }

    /// So a script that asks before it hands out the token learns it.
    #[tokio::test]
    async fn what_the_configuration_refuses_a_good_token_for_is_named_and_no_success() {
        let config = Config::parse_for_tests(
            "[namespaces.news]\nchannels_per_connection_max = 1\n[namespaces.shut]\nsubscribe = ['user']\n",
        );
        let tokens = Tokens::new(Issuers::new(Issuer::own(SECRET, Parties::default()), Vec::new()), false);
        for (claims, why) in [
            (json!({"channels": ["news:a", "lobby", "room:1"]}), None),
            (json!({"channel": "news:a"}), None),
            (json!({"channels": ["nwes:a"]}), Some("the channel \"nwes:a\" that it gives: unknown channel (102)")),
            (
                json!({"channels": ["news:a", "news:b"]}),
                Some("the channel \"news:b\" that it gives: channel limit (3505)"),
            ),
            (json!({"channel": "nwes:a"}), Some("the channel \"nwes:a\": unknown channel (102)")),
            (json!({"channel": "room:1"}), Some("the channel \"room:1\": it is the chat's own")),
            (
                json!({"channel": "shut:1"}),
                Some("the channel \"shut:1\": its namespace lets nobody subscribe by a token"),
            ),
            (json!({"sub": ""}), Some("it names no user (sub): close 3507")),
        ] {
            let (text, is_good) = explained(&signed(SECRET, claims, 60), &tokens, &config).await;
            let result = text.lines().find(|line| line.starts_with("result: ")).unwrap();
            assert_eq!((why.is_none(), is_good), (is_good, result.starts_with("result: good for ")), "{text}");
            assert!(why.is_none_or(|why| result.contains(why)), "{text}");
        }
    }

    #[tokio::test]
    async fn s50_a_claim_does_nothing_to_a_terminal() {
        let claims = json!({"aud": "chat", "a\x1b[2J\u{9b}": "\x1b]0;\u{9b}\u{202e}", "caps": [{"channels": ["\u{9b}c"], "allow": ["sub"]}]});
        let text = text_of(&signed(SECRET, claims, 60)).await;
        assert!(text.contains("claim a\\u001b[2J\\u009b: \"\\u001b]0;\\u009b\\u202e\" (not looked at)"), "{text:?}");
        assert!(text.contains("may: sub in \\u009bc"), "{text:?}");
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    }

    #[tokio::test]
    async fn what_is_wrong_is_named_and_what_to_do() {
        for (token, why, what) in [
            (
                signed(SECRET, json!({"aud": "chat"}), -60),
                "it has expired: its claim `exp` is 60 s ago",
                "make a new one",
            ),
            (signed(SECRET, json!({}), 60), "its claim `aud` does not name \"chat\"", "change what the backend writes"),
            (
                signed("another-secret-of-somebody", json!({"aud": "chat"}), 60),
                "its signature is not that of the token secret",
                "sign with the key",
            ),
            ("a.b".into(), "three parts with dots between them", "sign with the key"),
            ("Bearer a.b.c".into(), "", "leave out `Bearer`, quotes and spaces"),
            (
                signed(SECRET, json!({"aud": "chat", "jti": "a", "exp": 1_900_000_000_000_u64}), 60),
                "result: good",
                "seconds since 1970, not milliseconds",
            ),
            (
                signed(SECRET, json!({"aud": "chat", "exp": "soon"}), 60),
                "a claim is wrong",
                "change what the backend writes",
            ),
        ] {
            let text = text_of(&token).await;
            assert!(text.contains(why) && text.contains(what), "{why}\n{text}");
            let signature = token.rsplit('.').next().unwrap();
            assert!(!text.contains(signature) || signature.len() < 10, "{text}");
        }
    }
}
