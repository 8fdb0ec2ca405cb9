//! What one call of the server API may bring back and take in, whoever has a key.

use crate::server::Server;
use serde_json::{Value, json};
use tidings_client::{Client, Options};

const PAGE_BYTES_MAX: usize = 512 * 1024;

fn code_of(answer: &Value) -> u64 {
    answer["error"]["code"].as_u64().unwrap_or_default()
}

/// Connections of one user, each in 120 channels with long names: 30 kB of an answer for each.
async fn wide(connections: usize) -> (Server, Vec<Client>) {
    let server = Server::configured("rate_limits = false\n[channels]\njoin_leave = \"off\"\nhistory_size = 0\n");
    let mut clients = Vec::new();
    let token = server.token("ana");
    for _ in 0..connections {
        let client = Client::connect(&server.socket_url(), Options::new().token(token.clone())).unwrap();
        client.connected().await.unwrap();
        clients.push(client);
    }
    let channel = |number: usize| format!("{number:03}-{}", "x".repeat(245));
    let commands: Vec<_> =
        (0..120).map(|number| json!({"subscribe": {"user": "ana", "channel": channel(number)}})).collect();
    let told = server.api("batch", &json!({"commands": commands})).await;
    for reply in told["replies"].as_array().unwrap() {
        assert_eq!(reply["subscribe"]["num_clients"], connections, "{reply}");
    }
    // What was ordered is done when the connections say so.
    for number in 0..120 {
        while server.api("presence_stats", &json!({"channel": channel(number)})).await["result"]["num_clients"]
            != connections
        {
            tokio::task::yield_now().await;
        }
    }
    (server, clients)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_connections_ends_where_its_bytes_do_and_the_next_goes_on_there() {
    let (server, _clients) = wide(40).await;
    let (mut cursor, mut seen, mut pages) = (Value::Null, Vec::new(), 0);
    loop {
        let page = server.api("connections", &json!({"limit": 1000, "cursor": cursor})).await;
        assert!(page.to_string().len() < PAGE_BYTES_MAX + 100_000, "{} bytes", page.to_string().len());
        seen.extend(page["result"]["connections"].as_object().unwrap().keys().cloned());
        pages += 1;
        cursor = page["result"]["cursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    let unique = seen.iter().collect::<std::collections::BTreeSet<_>>().len();
    assert_eq!((seen.len(), unique, pages), (40, 40, 3));

    // Without a bound all sixteen that are begun at once would come back, and then some.
    let commands = vec![json!({"connections": {"limit": 1000}}); 40];
    let told = server.api("batch", &json!({"parallel": true, "commands": commands})).await;
    assert!(told.to_string().len() < 8 << 20, "{} bytes", told.to_string().len());
    let replies = told["replies"].as_array().unwrap();
    let done = replies.iter().filter(|reply| reply["connections"].is_object()).count();
    assert!((8..=13).contains(&done), "{done} were answered");
    assert_eq!(code_of(&replies[39]), 106);
}

#[tokio::test]
async fn a_broadcast_to_too_many_channels_publishes_in_none() {
    let server = Server::start();
    let channels: Vec<_> = (0..10_001).map(|number| format!("c{number}")).collect();
    let told = server.api("broadcast", &json!({"channels": channels, "data": 1})).await;
    assert_eq!(code_of(&told), 106, "{told}");
    let history = server.api("history", &json!({"channel": "c0", "limit": 1})).await;
    assert_eq!(history["result"]["offset"], 0, "{history}");
    let told = server.api("broadcast", &json!({"channels": channels[1..], "data": 1})).await;
    assert_eq!(told["result"]["responses"].as_array().unwrap().len(), 10_000);
}

#[tokio::test]
async fn a_key_that_reaches_some_channels_takes_from_others_nothing_that_they_keep() {
    let key = "the-key-of-the-shop";
    let server = Server::configured(&format!(
        "channels_max = 2000\n[[api_keys]]\nname = \"shop\"\nkey = \"{key}\"\nscopes = [\"publish\"]\nchannels = [\"x:*\"]\n\
         [namespaces.x]\n[namespaces.orders]\n"
    ));
    let orders: Vec<_> = (0..50).map(|number| format!("orders:{number}")).collect();
    server.api("broadcast", &json!({"channels": orders, "data": 1})).await;
    let made_up: Vec<_> = (0..5_000).map(|number| format!("x:{number}")).collect();
    let told = server.api_with(key, "broadcast", &json!({"channels": made_up, "data": 1})).await;
    assert!(told["result"]["responses"].as_array().unwrap().iter().all(|one| code_of(one) == 0));
    let histories: Vec<_> = orders.iter().map(|name| json!({"history": {"channel": name, "limit": 1}})).collect();
    let told = server.api("batch", &json!({"commands": histories})).await;
    let kept = told["replies"].as_array().unwrap().iter();
    let kept = kept.filter(|one| one["history"]["publications"].as_array().is_some_and(|kept| kept.len() == 1));
    assert_eq!(kept.count(), 50);
}

#[tokio::test]
async fn what_others_are_shown_of_a_subscription_is_no_longer_than_they_bear() {
    let server = Server::start();
    let given = |bytes: usize| json!({"user": "ana", "channel": "news", "info": "x".repeat(bytes - 2)});
    assert_eq!(code_of(&server.api("subscribe", &given(4_096)).await), 0);
    let refused = server.api("subscribe", &given(4_097)).await;
    assert_eq!(code_of(&refused), 107);
    assert!(refused["error"]["message"].as_str().unwrap().starts_with("info has 4097 bytes"), "{refused}");
}

/// As a backend does that takes seconds for milliseconds.
#[tokio::test]
async fn nobody_is_locked_out_for_ever_by_a_time_in_milliseconds_and_what_was_revoked_can_be_taken_back() {
    let server = Server::start();
    let refused = server.api("revoke_user", &json!({"user": "ana", "issued_before": 1_795_000_000_000_i64})).await;
    assert_eq!(code_of(&refused), 107);
    assert!(refused["error"]["message"].as_str().unwrap().contains("not in milliseconds"), "{refused}");
    let denied = async || {
        let told = server.api("blocked", &json!({})).await;
        told["result"]["denials"].as_array().unwrap().len()
    };
    for (method, done, undone) in [
        ("block", json!({"user": "ana"}), json!({"user": "ana"})),
        ("revoke_user", json!({"user": "ana"}), json!({"user": "ana", "tokens": true})),
        (
            "revoke_user",
            json!({"user": "ana", "channel": "news"}),
            json!({"user": "ana", "tokens": true, "channel": "news"}),
        ),
        ("revoke_token", json!({"uid": "token-1"}), json!({"uid": "token-1"})),
    ] {
        assert_eq!(denied().await, 0);
        server.api(method, &done).await;
        assert_eq!(denied().await, 1, "{method} {done}");
        for was in [json!({"was_blocked": true}), json!({})] {
            assert_eq!(server.api("unblock", &undone).await["result"], was, "{undone}");
        }
    }
    for unclear in [json!({"user": "ana", "channel": "news"}), json!({"user": "ana", "uid": "token-1"}), json!({})] {
        assert_eq!(code_of(&server.api("unblock", &unclear).await), 107, "{unclear}");
    }
}

#[tokio::test]
async fn who_is_in_a_channel_whose_namespace_is_gone_is_still_taken_out() {
    let server = Server::configured("[namespaces.news]\n");
    let client = server.client("ana").await;
    let mut news = client.listen("news:1").await;
    std::fs::write(server.path("tidings.toml"), "[namespaces.other]\n").unwrap();
    assert_eq!(server.api("reload", &json!({})).await["error"], Value::Null);
    let asked = json!({"user": "ana", "channel": "news:1"});
    assert_eq!(code_of(&server.api("subscribe", &asked).await), 102);
    assert_eq!(server.api("unsubscribe", &asked).await["result"]["num_clients"], 1);
    let event = tokio::time::timeout(crate::story::PATIENCE, news.next()).await.expect("it is told");
    assert!(matches!(event, Some(tidings_client::Event::Unsubscribed { .. })), "{event:?}");
    assert_eq!(code_of(&server.api("unsubscribe", &json!({"user": "ana", "channel": "room:1"})).await), 102);
}
