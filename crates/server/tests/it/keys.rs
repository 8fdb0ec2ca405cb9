//! Keys of the server API: what each may, where it reaches, how it is rotated, and that its value is told nobody.

use crate::server::Server;
use http_body_util::Full;
use serde_json::{Value, json};
use std::fmt::Write;
use tidings_api::Method;

/// A body for each method that a key which may is answered for with anything but 103. Whoever adds a method adds its row.
fn body_of(method: Method) -> Value {
    match method {
        Method::Publish => json!({"channel": "news", "data": 1, "skip_history": true}),
        Method::Broadcast => json!({"channels": ["news"], "data": 1, "skip_history": true}),
        Method::PublishPattern => json!({"pattern": "news", "data": 1}),
        Method::Subscribe | Method::Unsubscribe => json!({"user": "nobody", "channel": "news"}),
        Method::Connections => json!({"channel": "news"}),
        Method::Disconnect | Method::Refresh | Method::Block | Method::Unblock => json!({"user": "nobody"}),
        Method::Presence | Method::PresenceStats | Method::History | Method::HistoryRemove => {
            json!({"channel": "news"})
        }
        Method::UserStatus => json!({"users": ["nobody"]}),
        Method::RevokeToken => json!({"uid": "none"}),
        Method::RevokeUser => json!({"user": "nobody"}),
        Method::Channels | Method::Blocked | Method::Info | Method::Reload => json!({}),
        Method::Rpc => json!({"method": "any"}),
    }
}

/// Every method and every group that it is in, which the documentation says in these words.
const GROUPS: [(&str, &[Method]); 8] = [
    ("publish", &[Method::Publish, Method::Broadcast, Method::PublishPattern]),
    ("subscribe", &[Method::Subscribe, Method::Unsubscribe]),
    ("presence", &[Method::Presence, Method::PresenceStats, Method::Channels, Method::UserStatus]),
    ("history", &[Method::History]),
    ("connections", &[Method::Connections, Method::Disconnect, Method::Refresh]),
    ("users", &[Method::Block, Method::Unblock, Method::Blocked, Method::RevokeToken, Method::RevokeUser]),
    ("rpc", &[Method::Rpc]),
    ("admin", &[Method::HistoryRemove, Method::Info, Method::Reload]),
];

fn key_of(scope: &str) -> String {
    format!("the-key-of-{scope}-which-is-long")
}

fn code_of(answer: &Value) -> u64 {
    answer["error"]["code"].as_u64().unwrap_or_default()
}

#[tokio::test]
async fn s34_each_method_is_open_to_the_keys_with_its_scope_and_closed_to_all_others() {
    let groups = GROUPS.iter().map(|(group, _)| *group);
    let alone =
        Method::ALL.iter().map(|method| method.name()).filter(|name| GROUPS.iter().all(|(group, _)| group != name));
    let scopes: Vec<&str> = groups.chain(alone).chain(["all", "metrics"]).collect();
    let mut file = String::new();
    for scope in &scopes {
        let (name, key) = (scope, key_of(scope));
        writeln!(file, "[[api_keys]]\nname = \"{name}\"\nkey = \"{key}\"\nscopes = [\"{scope}\"]").unwrap();
    }
    let server = Server::configured(&file);
    for method in Method::ALL {
        let group = GROUPS.iter().find(|(_, methods)| methods.contains(method)).expect("a method belongs to a group").0;
        for scope in &scopes {
            let may = [group, method.name(), "all"].contains(scope);
            let one = server.api_with(&key_of(scope), method.name(), &body_of(*method)).await;
            assert_eq!(code_of(&one) != 103, may, "{method} with the scope {scope}: {one}");
            // The same call as part of a batch, which is open to every key.
            let batch = json!({"commands": [{method.name(): body_of(*method)}]});
            let batch = server.api_with(&key_of(scope), "batch", &batch).await;
            assert_eq!(
                code_of(&batch["replies"][0]) != 103,
                may,
                "{method} in a batch with the scope {scope}: {batch}"
            );
            if !may {
                let message = one["error"]["message"].as_str().unwrap();
                assert!(message.contains(&format!("the key {scope} lacks the scope {group}")), "{message}");
            }
        }
    }
    for scope in &scopes {
        let request = http::Request::get("/metrics").header("x-api-key", key_of(scope));
        let status = server.send(request.body(Full::default()).unwrap()).await.status;
        assert_eq!(status.as_u16(), if ["all", "metrics"].contains(scope) { 200 } else { 403 }, "{scope}");
    }
}

const SHOP: &str = "the-key-of-the-shop";
const SHOP_FILE: &str = "[namespaces.news]\n[namespaces.orders]\nname_regex = \"^[0-9]+$\"\npublication_format = \"json\"\n\
    [[api_keys]]\nname = \"shop\"\nkey = \"the-key-of-the-shop\"\nscopes = [\"all\"]\nchannels = [\"orders:*\", \"lobby\"]\n";

#[tokio::test]
async fn a_key_reaches_its_channels_and_no_other_by_any_method() {
    let server = Server::configured(SHOP_FILE);
    let shop = async |method: &str, body: Value| server.api_with(SHOP, method, &body).await;
    for (channel, code) in [("orders:1", 0), ("lobby", 0), ("news:1", 103), ("lobby2", 103), ("room:1", 102)] {
        for (method, more) in [
            ("publish", json!({"data": 1})),
            ("subscribe", json!({"user": "nobody"})),
            ("unsubscribe", json!({"user": "nobody"})),
            ("presence", json!({})),
            ("presence_stats", json!({})),
            ("history", json!({})),
            ("history_remove", json!({})),
            ("connections", json!({})),
        ] {
            let mut body = more;
            body["channel"] = channel.into();
            assert_eq!(code_of(&shop(method, body).await), code, "{method} of {channel}");
        }
    }
    let many = shop("broadcast", json!({"channels": ["orders:1", "news:1"], "data": 1})).await;
    let codes: Vec<_> = many["result"]["responses"].as_array().unwrap().iter().map(code_of).collect();
    assert_eq!(codes, [0, 103]);
    // All connections are more than it reaches.
    let all = shop("connections", json!({})).await;
    assert_eq!(code_of(&all), 107);
}

#[tokio::test]
async fn a_key_with_channels_sees_and_reaches_those_alone_where_it_names_none() {
    let server = Server::configured(SHOP_FILE);
    let client = server.client("ana").await;
    let _subscriptions = (client.listen("orders:1").await, client.listen("news:1").await);
    let listed = server.api_with(SHOP, "channels", &json!({})).await;
    assert_eq!(listed["result"]["channels"], json!({"orders:1": {"num_clients": 1}}));
    let reached = server.api_with(SHOP, "publish_pattern", &json!({"pattern": "*", "data": 1})).await;
    assert_eq!(reached["result"], json!({"num_channels": 1}));
    let listed = server.api_with(SHOP, "connections", &json!({"channel": "orders:1"})).await;
    let one = listed["result"]["connections"].as_object().unwrap().values().next().unwrap().clone();
    assert_eq!((&one["user"], &one["channels"]), (&json!("ana"), &json!(["orders:1"])));
    let all = server.api("channels", &json!({})).await;
    assert_eq!(all["result"]["channels"].as_object().unwrap().len(), 2);
}

#[tokio::test]
async fn the_namespaces_hold_for_the_backend_too() {
    let server = Server::configured(
        "[channels]\npresence = false\nhistory_size = 0\n[namespaces.orders]\nname_regex = \"^[0-9]+$\"\npublication_format = \"json\"\npublish = []\n",
    );
    for (method, body, code) in [
        ("publish", json!({"channel": "orders:1", "data": 1}), 0),
        ("publish", json!({"channel": "orders:one", "data": 1}), 107),
        ("publish", json!({"channel": "orders:1", "b64data": "AP8="}), 107),
        ("publish", json!({"channel": "orders:1", "b64data": "eyJhIjoxfQ=="}), 0),
        ("publish", json!({"channel": "other:1", "data": 1}), 102),
        ("subscribe", json!({"channel": "other:1", "user": "ana"}), 102),
        ("presence", json!({"channel": "lobby"}), 108),
        ("presence_stats", json!({"channel": "lobby"}), 108),
        ("history", json!({"channel": "lobby", "limit": 1}), 108),
        ("history_remove", json!({"channel": "lobby"}), 108),
    ] {
        let answer = server.api(method, &body).await;
        assert_eq!(code_of(&answer), code, "{method} {body}: {answer}");
    }
}

#[tokio::test]
async fn keys_are_rotated_without_a_restart_by_the_api_and_by_a_signal() {
    let file = |key: &str| format!("[[api_keys]]\nname = \"shop\"\nkey = \"{key}\"\nscopes = [\"info\"]\n");
    let (first, second, third) = ("the-first-key-of-it", "the-second-key-of-it", "the-third-key-of-it");
    let server = Server::configured(&file(first));
    assert_eq!(server.status_with(first, "info").await, 200);

    std::fs::write(server.path("tidings.toml"), file(second)).unwrap();
    assert_eq!(server.status_with(second, "info").await, 401);
    let told = server.api("reload", &json!({})).await;
    assert_eq!(told["result"], json!({"changed": ["api_keys"], "at_next_start": []}));
    assert_eq!((server.status_with(first, "info").await, server.status_with(second, "info").await), (401, 200));

    // What is wrong changes nothing, and says where it is.
    std::fs::write(
        server.path("tidings.toml"),
        "[[api_keys]]\nname = \"shop\"\nkey = \"short\"\nscopes = [\"info\"]\n",
    )
    .unwrap();
    let told = server.api("reload", &json!({})).await;
    assert_eq!(code_of(&told), 107);
    assert!(told["error"]["message"].as_str().unwrap().contains("api_keys.shop.key"), "{told}");
    assert_eq!(server.status_with(second, "info").await, 200);

    // The generated key is read again as well.
    let generated = server.api_key();
    std::fs::write(server.path("tidings.toml"), file(third)).unwrap();
    std::fs::write(server.path("data/api-key"), "another-generated-key\n").unwrap();
    server.signal("HUP");
    while server.status_with(third, "info").await != 200 {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.status_with(&generated, "info").await, 401);
    assert_eq!(server.status_with("another-generated-key", "info").await, 200);
}

/// The body of such a request may take minutes.
#[tokio::test]
async fn a_key_that_is_taken_back_does_nothing_through_a_request_that_is_under_way() {
    let key = |name: &str| format!("the-key-{name}-that-is-taken-back");
    let paths = [("one", "/api/publish"), ("lines", "/api"), ("grpc", "/tidings.api.ServerApi/Publish")];
    let row = |(name, _)| format!("[[api_keys]]\nname = \"{name}\"\nkey = \"{}\"\nscopes = [\"all\"]\n", key(name));
    let server = Server::configured(&paths.map(row).concat());
    let mut requests = Vec::new();
    for (name, path) in paths {
        requests.push((path, server.begin(path, &key(name)).await));
        // The log names it when it was found to be good.
        while !server.log().contains(&format!("\"key\":\"{name}\"")) {
            tokio::task::yield_now().await;
        }
    }
    std::fs::write(server.path("tidings.toml"), "").unwrap();
    assert_eq!(server.api("reload", &json!({})).await["result"]["changed"], json!(["api_keys"]));
    for (path, request) in requests {
        assert_eq!(request.end().await, if path.starts_with("/api") { "401" } else { "16" }, "{path}");
    }
    let history = server.api("history", &json!({"channel": "news"})).await;
    assert_eq!(history["result"]["offset"], 0, "{history}");
}

#[tokio::test]
async fn s66_a_key_is_named_in_logs_and_metrics_and_its_value_is_nowhere() {
    let server = Server::configured(SHOP_FILE);
    server.api_with(SHOP, "publish", &json!({"channel": "orders:1", "data": 1})).await;
    server.api_with(SHOP, "publish", &json!({"channel": "news:1", "data": 1})).await;
    server.status_with("a-key-that-is-wrong", "publish").await;
    let request = http::Request::get("/metrics").header("x-api-key", server.api_key());
    let metrics = server.send(request.body(Full::default()).unwrap()).await;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    for line in [
        "tidings_api_calls_total{key=\"shop\",method=\"publish\",code=\"0\"} 1",
        "tidings_api_calls_total{key=\"shop\",method=\"publish\",code=\"103\"} 1",
        "tidings_api_unauthorized_total 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    let log = server.log();
    assert!(log.contains("with this key from here, for the first time") && log.contains("\"key\":\"shop\""), "{log}");
    assert!(log.contains("the server API was called without its key"), "{log}");
    let printed = server.tidings(&["config"]);
    let printed = String::from_utf8(printed.stdout).unwrap();
    assert!(printed.contains("name = \"shop\""), "{printed}");
    for value in [SHOP, &*server.api_key(), "a-key-that-is-wrong"] {
        assert!(!log.contains(value) && !metrics.contains(value) && !printed.contains(value), "{value}");
    }
}

#[tokio::test]
async fn s18_a_key_in_the_url_is_taken_where_that_is_configured_and_is_in_no_log() {
    let server = Server::configured("api_key_in_url = true\n");
    let key = server.api_key();
    let post = |path: String| http::Request::post(path).body(Full::from("{}")).unwrap();
    let answer = server.send(post(format!("/api/info?api_key={key}"))).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["referrer-policy"], "no-referrer");
    assert_eq!(server.send(post("/api/info?api_key=a-key-that-is-wrong".into())).await.status, 401);
    assert_eq!(server.send(post(format!("/api/nothing?api_key={key}"))).await.status, 404);
    let log = server.log();
    assert!(!log.contains(&key) && !log.contains("a-key-that-is-wrong"), "{log}");
}

#[tokio::test]
async fn s65_an_error_has_a_name_by_which_the_log_knows_it() {
    let server = Server::configured("api_error_mode = \"transport\"\n");
    let body = json!({"channel": "room:1", "data": 1}).to_string();
    let request =
        http::Request::post("/api/publish").header("x-api-key", server.api_key()).body(Full::from(body)).unwrap();
    let answer = server.send(request).await;
    assert_eq!((answer.status.as_u16(), answer.json()["error"]["code"].as_u64()), (404, Some(102)));
    let id = answer.headers["x-request-id"].to_str().unwrap().to_owned();
    let log = server.log();
    let line = log.lines().find(|line| line.contains(&id)).unwrap_or_else(|| panic!("{id} is not in {log}"));
    assert!(line.contains("a call was refused") && line.contains("\"code\":102"), "{line}");
}

#[tokio::test]
async fn what_is_wrong_with_the_keys_ends_the_start_with_a_word() {
    for (file, says) in [
        (
            "[[api_keys]]\nname = \"a\"\nkey_file = \"nowhere\"\nscopes = [\"all\"]\n",
            "api_keys.a.key_file `nowhere`: cannot be read",
        ),
        ("[[api_keys]]\nname = \"a\"\nkye = \"x\"\n", "did you mean `key`?"),
    ] {
        let refused = Server::refused(file);
        assert!(refused.contains(says), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_are_refused_and_closed_for_shows_in_the_metrics_by_code() {
    let server = Server::configured("[limits]\nchannels_per_connection_max = 1\n");
    let client = server.client("ana").await;
    let _first = client.listen("one").await;
    let mut second = client.client.subscribe("two", tidings_client::SubscribeOptions::new()).await.unwrap();
    assert!(matches!(second.next().await, Some(tidings_client::Event::Unsubscribed { code: 106, .. })));
    server.api("disconnect", &json!({"user": "ana"})).await;
    let ended = |state: &tidings_client::State| matches!(state, tidings_client::State::Disconnected(_));
    let mut states = client.client.states();
    tokio::time::timeout(crate::story::PATIENCE, states.wait_for(ended)).await.expect("it is closed").unwrap();
    let request = http::Request::get("/metrics").header("x-api-key", server.api_key());
    let metrics = server.send(request.body(Full::default()).unwrap()).await;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    for line in ["tidings_errors_total{code=\"106\"} 1", "tidings_closed_total{code=\"3503\"} 1"] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
}
