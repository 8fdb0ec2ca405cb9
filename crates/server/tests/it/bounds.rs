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
