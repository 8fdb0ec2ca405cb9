//! Clients of the crate `tokio-centrifuge`, led by the tests (harness/bridge.mjs): a command is a line of `name=value`
//! between tabs, an answer or an event is a line of JSON in which data is Base64.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio_centrifuge::client::{Client, RequestError};
use tokio_centrifuge::config::{BackoffReconnect, Config};
use tokio_centrifuge::protocol::{ClientInfo, Publication};

type Fields = HashMap<String, String>;

// On one thread, so that what is begun in order leaves in order.
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut clients: HashMap<String, Client> = HashMap::new();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await.expect("lines") {
        let fields = line.split('\t').map(|field| field.split_once('=').expect("name=value"));
        let given: Fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let at = given["at"].clone();
        if given["do"] == "open" {
            clients.insert(at.clone(), open(&at, &given));
        } else {
            act(&at, &clients[&at], &given);
        }
    }
}

fn open(at: &str, given: &Fields) -> Client {
    let milliseconds =
        |name: &str, default| Duration::from_millis(given.get(name).map_or(default, |ms| ms.parse().expect(name)));
    let text = |name: &str| given.get(name).cloned().unwrap_or_default();
    let mut config = Config::new()
        .with_token(text("token"))
        .with_read_timeout(milliseconds("timeout", 5_000))
        .with_reconnect_strategy(BackoffReconnect {
            factor: 2.0,
            min_delay: milliseconds("minReconnectDelay", 200),
            max_delay: milliseconds("maxReconnectDelay", 20_000),
        });
    if given.contains_key("name") {
        config = config.with_name(text("name")).with_version(text("version"));
    }
    // As its own example does: the form is said in the address, since it names no subprotocol.
    let (config, url) = if given.contains_key("protobuf") {
        (config.use_protobuf(), format!("{}?format=protobuf", given["url"]))
    } else {
        (config, given["url"].clone())
    };
    let client = Client::new(&url, config);
    let event = |name: &'static str| {
        let at = at.to_owned();
        move |more: Value| say(&at, &json!({ "of": "", "event": name }), more)
    };
    let (connecting, connected, disconnected, error) =
        (event("connecting"), event("connected"), event("disconnected"), event("error"));
    client.on_connecting(move |e| connecting(json!({ "code": e.code, "reason": e.reason })));
    client.on_connected(move |e| connected(json!({ "client": e.client_id, "data": coded(&e.data) })));
    client.on_disconnected(move |e| disconnected(json!({ "code": e.code, "reason": e.reason })));
    client.on_error(move |e| error(json!({ "error": { "code": 0, "message": e.to_string() } })));
    client
}

fn act(at: &str, client: &Client, given: &Fields) {
    let channel = given.get("channel").map(String::as_str).unwrap_or_default();
    let data = given.get("data").map(|data| data.clone().into_bytes()).unwrap_or_default();
    match given["do"].as_str() {
        "connect" => drop(client.connect()),
        "disconnect" => drop(client.disconnect()),
        "new" => listen(at, client, channel),
        "remove" => {
            let subscription = client.get_subscription(channel).expect("a subscription");
            client.remove_subscription(subscription).expect("it has ended");
        }
        "subscribe" => drop(client.get_subscription(channel).expect("a subscription").subscribe()),
        "unsubscribe" => drop(client.get_subscription(channel).expect("a subscription").unsubscribe()),
        "publish" if given.contains_key("bySubscription") => {
            let subscription = client.get_subscription(channel).expect("a subscription");
            answer(at, given, async move { subscription.publish(data).await.map(|()| Vec::new()) });
        }
        "publish" => {
            let (client, channel) = (client.clone(), channel.to_owned());
            answer(at, given, async move { client.publish(&channel, data).await.map(|()| Vec::new()) });
        }
        "rpc" => {
            let (client, method) = (client.clone(), given["method"].clone());
            answer(at, given, async move { client.rpc(&method, data).await });
        }
        other => panic!("{other} is not what this SDK does"),
    }
}

/// Tells what happens to a subscription.
fn listen(at: &str, client: &Client, channel: &str) {
    let subscription = client.new_subscription(channel);
    let event = |name: &'static str| {
        let (at, of) = (at.to_owned(), channel.to_owned());
        move |more: Value| say(&at, &json!({ "of": of, "event": name }), more)
    };
    let (subscribing, subscribed, unsubscribed, publication, error) =
        (event("subscribing"), event("subscribed"), event("unsubscribed"), event("publication"), event("error"));
    subscription.on_subscribing(move |e| subscribing(json!({ "code": e.code, "reason": e.reason })));
    subscription.on_subscribed(move |e| subscribed(json!({ "data": coded(&e.data) })));
    subscription.on_unsubscribed(move |e| unsubscribed(json!({ "code": e.code, "reason": e.reason })));
    subscription.on_publication(move |Publication { data, offset, info, tags, .. }| {
        publication(json!({ "data": coded(&data), "offset": offset, "info": info.map(shown), "tags": tags }));
    });
    subscription.on_error(move |e| error(json!({ "error": { "code": 0, "message": e.to_string() } })));
}

fn shown(info: ClientInfo) -> Value {
    json!({ "user": info.user, "client": info.client, "connInfo": coded(&info.conn_info), "chanInfo": coded(&info.chan_info) })
}

fn answer(at: &str, given: &Fields, answer: impl Future<Output = Result<Vec<u8>, RequestError>> + Send + 'static) {
    let (at, id) = (at.to_owned(), given["id"].parse::<u64>().expect("an id"));
    tokio::spawn(async move {
        let more = match answer.await {
            Ok(data) => json!({ "result": { "data": coded(&data) } }),
            Err(RequestError::ErrorResponse(error)) => {
                json!({ "error": { "code": error.code, "message": error.message } })
            }
            Err(other) => json!({ "error": { "code": 0, "message": other.to_string() } }),
        };
        say(&at, &json!({ "answer": id }), more);
    });
}

fn coded(data: &[u8]) -> String {
    BASE64_STANDARD.encode(data)
}

fn say(at: &str, what: &Value, more: Value) {
    let mut line = json!({ "at": at });
    for part in [what, &more] {
        let fields = part.as_object().expect("an object").clone();
        line.as_object_mut().expect("an object").extend(fields);
    }
    println!("{line}");
}
