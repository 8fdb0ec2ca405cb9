//! What a backend asks, and what it is told: every method, used and misused.

use crate::exchange::Question;
use crate::story::{PATIENCE, Person, Story};
use http::{Method as Verb, StatusCode};
use serde_json::{Value, json};
use tidings_api::Method;
use tidings_client::{Client, Event, Options, SubscribeOptions, Subscription};

/// A question of a backend.
fn bare(method: &str) -> Question {
    Person::stranger().ask(Verb::POST, &format!("/api/{method}"))
}

/// With the generated key.
fn call(story: &Story, method: &str, body: &Value) -> Question {
    bare(method).header("x-api-key", &story.server.api_key()).json(body)
}

pub(crate) async fn server_api(story: &mut Story) {
    let client = connected(story, "ana").await;
    let mut news = client.subscribe("news", SubscribeOptions::new().recoverable()).await.unwrap();
    next(&mut news).await;
    channels(story).await;
    connections(story, &client).await;
    users(story).await;
    batches(story).await;
    refusals(story).await;
    client.close().await;
}

async fn connected(story: &mut Story, user: &str) -> Client {
    let options = Options::new().token(story.server.token(user));
    let client = Client::connect(&story.server.socket_url(), options).unwrap();
    client.connected().await.unwrap();
    client
}

async fn next(subscription: &mut Subscription) -> Event {
    tokio::time::timeout(PATIENCE, subscription.next()).await.expect("an event").expect("a subscription that goes on")
}

async fn channels(story: &mut Story) {
    const NOUN: &str = "server_api";
    let hello = json!({"channel": "news", "data": {"hello": "wörld"}, "tags": {"from": "test"}});
    story.ask(NOUN, "without the key", bare("publish").json(&hello)).await;
    story.ask(NOUN, "with a wrong key", bare("publish").with("x-api-key", "wrong").json(&hello)).await;
    let in_url = Person::stranger().ask(Verb::POST, "/api/publish?api_key=0123456789abcdef").json(&hello);
    story.ask(NOUN, "with a key in the URL, where that is not switched on", in_url).await;
    let other = bare("info").header("authorization", &format!("apikey {}", story.server.api_key()));
    assert_eq!(story.send(&other.json(&json!({}))).await.status, StatusCode::OK);
    for (title, method, body) in [
        ("publishing", "publish", hello),
        ("publishing what is not kept", "publish", json!({"channel": "news", "data": 1, "skip_history": true})),
        ("publishing null, which is a value", "publish", json!({"channel": "nulls", "data": null})),
        (
            "publishing bytes, which no channel takes unless it is told to",
            "publish",
            json!({"channel": "bytes", "b64data": "AAEC/w=="}),
        ),
        (
            "publishing once",
            "publish",
            json!({"channel": "once", "data": 1, "idempotency_key": "a", "delta": true, "version": 2, "version_epoch": "e"}),
        ),
        ("publishing once, again", "publish", json!({"channel": "once", "data": 1, "idempotency_key": "a"})),
        (
            "publishing an older version",
            "publish",
            json!({"channel": "once", "data": 0, "version": 1, "version_epoch": "e"}),
        ),
        ("publishing to a room", "publish", json!({"channel": "room:1", "data": 1})),
        ("broadcasting", "broadcast", json!({"channels": ["news", "sport", "user:1"], "data": 2})),
        ("publishing by pattern", "publish_pattern", json!({"pattern": "n*", "data": 3})),
        ("publishing by a pattern that fits nothing", "publish_pattern", json!({"pattern": "x*", "data": 3})),
        ("history", "history", json!({"channel": "news", "limit": 10})),
        ("history, backwards", "history", json!({"channel": "news", "limit": 1, "reverse": true})),
        ("history of what was published once", "history", json!({"channel": "once", "limit": -1})),
        ("where a stream stands", "history", json!({"channel": "news"})),
        (
            "history of another epoch",
            "history",
            json!({"channel": "news", "limit": 1, "since": {"offset": 1, "epoch": "other"}}),
        ),
        ("forgetting a history", "history_remove", json!({"channel": "sport"})),
        ("a history that was forgotten", "history", json!({"channel": "sport", "limit": 10})),
        ("presence", "presence", json!({"channel": "news"})),
        ("presence in a channel that nobody reads", "presence", json!({"channel": "nobody"})),
        ("presence in figures", "presence_stats", json!({"channel": "news"})),
        ("channels", "channels", json!({})),
        ("channels by pattern", "channels", json!({"pattern": "x*"})),
        ("info", "info", json!({})),
        ("reading the configuration again", "reload", json!({})),
        ("calling what nobody answers", "rpc", json!({"method": "anything", "params": null})),
        ("an unknown method", "unknown", json!({})),
    ] {
        let question = call(story, method, &body);
        story.ask(NOUN, title, question).await;
    }
    let get = Person::stranger().get("/api/info").header("x-api-key", &story.server.api_key());
    story.ask(NOUN, "a method by GET", get).await;
    for (title, body) in [
        ("an error with a status of its own", json!({"channel": "room:1", "data": 1})),
        ("a result is 200 in that mode too", json!({"channel": "news", "data": 1, "skip_history": true})),
    ] {
        let question = call(story, "publish", &body).with("x-centrifugo-error-mode", "transport");
        story.ask(NOUN, title, question).await;
    }
}

async fn connections(story: &mut Story, client: &Client) {
    const NOUN: &str = "server_api_connections";
    let ben = connected(story, "ben").await;
    let mut told = ben.server_events().unwrap();
    let ids = story.send(&call(story, "connections", &json!({}))).await.json();
    let ids = ids["result"]["connections"].as_object().unwrap().clone();
    for (id, connection) in &ids {
        let name = format!("connection of {}", connection["user"].as_str().unwrap());
        story.names.name(&name, id.as_str());
    }
    let of = |user: &str| ids.iter().find(|(_, one)| one["user"] == user).unwrap().0.clone();
    for (title, method, body) in [
        ("those in a channel", "connections", json!({"channel": "news"})),
        ("those of a user", "connections", json!({"user": "ben"})),
        ("one of them", "connections", json!({"client": of("ana")})),
        ("one of somebody else", "connections", json!({"client": of("ana"), "user": "ben"})),
        ("one that does not exist", "connections", json!({"client": "01890000-0000-7000-8000-000000000000"})),
        (
            "subscribing a user",
            "subscribe",
            json!({"user": "ben", "channel": "sport", "info": {"n": 1}, "data": "welcome", "override": {"presence": {"value": true}}}),
        ),
        ("subscribing a user who is not here", "subscribe", json!({"user": "cho", "channel": "sport"})),
        ("subscribing one connection", "subscribe", json!({"user": "ben", "client": of("ben"), "channel": "weather"})),
        (
            "subscribing somebody else's connection",
            "subscribe",
            json!({"user": "ben", "client": of("ana"), "channel": "weather"}),
        ),
    ] {
        let question = call(story, method, &body);
        story.ask(NOUN, title, question).await;
    }
    for _ in 0..2 {
        tokio::time::timeout(PATIENCE, told.next()).await.expect("the news of a subscription").unwrap();
    }
    for (title, method, body) in [
        ("who is there now", "presence", json!({"channel": "sport"})),
        ("unsubscribing a user", "unsubscribe", json!({"user": "ben", "channel": "sport"})),
        ("unsubscribing a user who is not there", "unsubscribe", json!({"user": "ben", "channel": "sport"})),
        ("a connection that shall end later", "refresh", json!({"user": "ben", "expire_at": 4_000_000_000_i64})),
        (
            "a connection that has expired, of somebody else",
            "refresh",
            json!({"user": "ben", "client": of("ana"), "expired": true}),
        ),
        ("closing all but some", "disconnect", json!({"user": "ben", "whitelist": [of("ben")]})),
        ("closing with a code", "disconnect", json!({"user": "ben", "disconnect": {"code": 4500, "reason": "enough"}})),
    ] {
        let question = call(story, method, &body);
        story.ask(NOUN, title, question).await;
    }
    assert!(matches!(client.state(), tidings_client::State::Connected { .. }));
    ben.close().await;
}

async fn users(story: &mut Story) {
    const NOUN: &str = "server_api_users";
    for (title, method, body) in [
        ("blocking a user", "block", json!({"user": "eve", "expire_at": 4_000_000_000_i64})),
        ("revoking a token", "revoke_token", json!({"uid": "token-1", "expire_at": 4_000_000_000_i64})),
        ("revoking a user's tokens", "revoke_user", json!({"user": "eve", "issued_before": 1_500_000_000})),
        (
            "revoking them for a channel",
            "revoke_user",
            json!({"user": "eve", "issued_before": 1_500_000_000, "channel": "news"}),
        ),
        ("how users are", "user_status", json!({"users": ["ana", "eve"]})),
        ("a user may come back", "unblock", json!({"user": "eve"})),
        ("a user who was not blocked", "unblock", json!({"user": "eve"})),
    ] {
        let question = call(story, method, &body);
        story.ask(NOUN, title, question).await;
    }
    // In no order that means anything: told one by one, the pages have all of them once.
    let (mut cursor, mut kinds) = (String::new(), Vec::new());
    loop {
        let page = story.send(&call(story, "blocked", &json!({"limit": 1, "cursor": cursor}))).await.json();
        for one in page["result"]["denials"].as_array().unwrap() {
            kinds.push((
                one["user"].as_str().map(str::to_owned),
                one["uid"].as_str().map(str::to_owned),
                one["channel"].as_str().map(str::to_owned),
            ));
        }
        match page["result"]["cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    kinds.sort();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(kinds, [(None, text("token-1"), None), (text("eve"), None, None), (text("eve"), None, text("news"))]);
}

async fn batches(story: &mut Story) {
    const NOUN: &str = "server_api_batch";
    let commands = json!([
        {"publish": {"channel": "batch", "data": 1}},
        {"publish": {"channel": "room:1", "data": 1}},
        {"history": {"channel": "batch", "limit": 1}},
        {"unknown": {}},
        {"presence_stats": {"channel": "news"}},
    ]);
    for (title, body) in [
        ("one after the other", json!({"commands": commands})),
        ("nothing", json!({"commands": []})),
        ("two methods in one", json!({"commands": [{"info": {}, "presence_stats": {"channel": "news"}}]})),
        ("too many", json!({"commands": vec![json!({"rpc": {}}); 1_001]})),
    ] {
        let question = call(story, "batch", &body);
        story.ask(NOUN, title, question).await;
    }
    let key = story.server.api_key();
    let lines = |text: &str| Person::stranger().ask(Verb::POST, "/api").header("x-api-key", &key).body(text);
    let old = "{\"method\":\"publish\",\"params\":{\"channel\":\"old\",\"data\":1,\"skip_history\":true}}\n{\"method\":\"presence_stats\",\"params\":{\"channel\":\"news\"}}\n\
               {\"method\":\"nothing\",\"params\":{}}\n{\"method\":\"publish\",\"params\":{\"channel\":7}}\n{\"method\":\"info\"";
    let (whole, _) = old.rsplit_once('\n').unwrap();
    story.ask(NOUN, "a call a line, as it was once asked", lines(whole)).await;
    story.ask(NOUN, "a line that is cut off: nothing of it is done", lines(old)).await;
    story.ask(NOUN, "too many lines", lines(&"{}".repeat(1_001))).await;
    story.ask(NOUN, "no line", lines("")).await;
}

/// Bodies that a method does not take, for each: whoever adds a method says here what can be wrong.
pub(crate) fn misused(method: Method) -> Vec<Value> {
    let channels = |more: Vec<Value>| {
        let mut all = vec![json!({}), json!({"channel": "ü"}), json!({"channel": "user:1", "data": 1})];
        all.extend(more);
        all
    };
    let past = 1;
    match method {
        Method::Publish => channels(vec![
            json!({"channel": "news"}),
            json!({"channel": "news", "data": ""  , "b64data": "?"}),
            json!({"channel": "news", "data": 1, "idempotency_key": "k".repeat(129)}),
            json!({"channel": "news", "data": 1, "tags": {"a": "v".repeat(4_096)}}),
            json!({"channel": "news", "data": 1, "version_epoch": "e"}),
            json!({"channel": "news", "data": 1, "version": 1, "version_epoch": "e".repeat(65)}),
            json!({"channel": "news", "data": 1, "version": -1}),
        ]),
        Method::Broadcast => vec![json!({}), json!({"channels": ["news"]}), json!({"channels": "news", "data": 1})],
        Method::PublishPattern => {
            vec![json!({}), json!({"pattern": "n*"}), json!({"pattern": "*".repeat(256), "data": 1})]
        }
        Method::Subscribe => channels(vec![
            json!({"user": "ana"}),
            json!({"channel": "news"}),
            json!({"user": "ana", "channel": "room:1"}),
            json!({"user": "ana", "channel": "news", "expire_at": past}),
            json!({"user": "ana", "channel": "news", "override": {"presence": true}}),
            json!({"user": "ana", "channel": "news", "b64info": "?"}),
        ]),
        Method::Unsubscribe => channels(vec![
            json!({"user": "ana"}),
            json!({"channel": "news"}),
            json!({"user": "ana", "channel": "room:1"}),
        ]),
        Method::Connections => vec![
            json!({"limit": 1_001}),
            json!({"limit": -1}),
            json!({"cursor": "1"}),
            json!({"channel": "room:1"}),
            json!({"user": "ana", "expression": "true"}),
        ],
        Method::Disconnect => vec![
            json!({}),
            json!({"user": "ana", "disconnect": {"code": 1000, "reason": "no"}}),
            json!({"user": "ana", "disconnect": {"code": 4000, "reason": "{}"}}),
            json!({"user": "ana", "disconnect": {"code": 4000, "reason": "r".repeat(124)}}),
            json!({"user": "ana", "whitelist": vec!["x"; 1_001]}),
        ],
        Method::Refresh => {
            vec![json!({}), json!({"user": "ana", "expire_at": past}), json!({"user": "ana", "info": {}})]
        }
        Method::Presence | Method::PresenceStats | Method::History | Method::HistoryRemove => channels(vec![]),
        Method::Channels => vec![json!({"pattern": "*".repeat(256)}), json!({"limit": -1}), json!({"limit": 100_001})],
        Method::UserStatus => vec![json!({}), json!({"users": vec!["x"; 1_001]}), json!({"users": "ana"})],
        Method::Block => vec![
            json!({}),
            json!({"user": "x".repeat(1_025)}),
            json!({"user": "eve", "expire_at": past}),
            json!({"user": "eve", "expire_at": -1}),
        ],
        Method::Unblock => vec![json!({}), json!({"user": 7})],
        Method::Blocked => vec![json!({"limit": 1_001}), json!({"cursor": "?"})],
        Method::RevokeToken => vec![json!({}), json!({"uid": "a\u{0}b"}), json!({"uid": "a", "expire_at": past})],
        Method::RevokeUser => vec![
            json!({}),
            json!({"user": "eve", "channel": "ü"}),
            json!({"user": "eve", "issued_before": -1}),
            json!({"user": "eve", "expire_at": past}),
        ],
        Method::Info => vec![json!("x")],
        Method::Reload => vec![json!(null)],
        Method::Rpc => vec![json!({"method": 7})],
    }
}

async fn refusals(story: &mut Story) {
    const NOUN: &str = "server_api_refusals";
    for method in Method::ALL {
        for (number, body) in misused(*method).into_iter().enumerate() {
            let question = call(story, method.name(), &body);
            story.ask(NOUN, &format!("{method}, {}", number + 1), question).await;
        }
    }
    let key = story.server.api_key();
    let text = |body: &str| bare("publish").header("x-api-key", &key).body(body);
    let deep = format!("{{\"channel\":\"news\",\"data\":{}{}}}", "[".repeat(200), "]".repeat(200));
    for (title, body) in [
        ("a list", "[\"news\", 1]"),
        ("no JSON", "{\"channel\":"),
        ("nothing at all", ""),
        ("nested deep", &deep),
        ("too large", &" ".repeat(1_048_577)),
    ] {
        story.ask(NOUN, title, text(body)).await;
    }
}
