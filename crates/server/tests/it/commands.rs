//! The commands that ask a running server: in words for a terminal, in JSON for programs, with exit codes for scripts.

use crate::server::Server;
use crate::story::PATIENCE;
use serde_json::{Value, json};
use tidings_api::Method;

/// What a command that succeeds prints.
fn said(server: &Server, args: &[&str]) -> String {
    let output = server.tidings(args);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && error.is_empty(), "{args:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

fn said_in_json(server: &Server, args: &[&str]) -> Value {
    serde_json::from_str(&said(server, &[args, &["--json"]].concat())).unwrap()
}

/// What a command that fails says, with its exit code.
fn failed(server: &Server, args: &[&str]) -> (i32, String) {
    let output = server.tidings(args);
    assert!(output.stdout.is_empty());
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// The lines of a table, cell by cell.
fn cells(table: &str) -> Vec<Vec<&str>> {
    table.lines().map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_is_printed_and_forgotten() {
    let server = Server::configured("[channels]\npublication_format = \"any\"\n");
    let first = said(&server, &["publish", "news", "{\"a\": 1}", "--tag", "kind=test", "--delta"]);
    assert!(first.starts_with("offset 1 epoch "), "{first}");
    assert_eq!(said(&server, &["publish", "news", "2", "--skip-history"]), "");
    assert!(said(&server, &["publish", "news", "AP8=", "--b64"]).starts_with("offset 2 "));
    let both = said(&server, &["publish", "news", "3", "--also", "sport", "--also", "room:1"]);
    let lines: Vec<_> = both.lines().collect();
    assert!(lines[0].starts_with("news: offset 3") && lines[1].starts_with("sport: offset 1"), "{both}");
    assert!(lines[2].starts_with("room:1: not published, unknown channel"), "{both}");

    let history = said(&server, &["history", "news", "--limit", "2"]);
    let history = cells(&history);
    assert_eq!(history[0], ["OFFSET", "BY", "TAGS", "DATA"]);
    assert_eq!((&*history[1], &*history[2]), (&["3", "3"][..], &["2", "base64 AP8="][..]));
    let history = said_in_json(&server, &["history", "news", "--oldest-first", "--limit", "1"]);
    assert_eq!(history["publications"], json!([{"data": {"a": 1}, "offset": 1, "tags": {"kind": "test"}}]));
    said(&server, &["history-remove", "news"]);
    assert!(said(&server, &["history", "news"]).starts_with("The stream stands at offset 3 of epoch "));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_here_is_listed_and_acted_on() {
    let server = Server::start();
    assert_eq!(said(&server, &["channels"]), "Nobody is subscribed to a channel like that.\n");
    assert_eq!(said(&server, &["connections", "--user", "42"]), "Nobody like that is connected.\n");
    let (ana, ben) = (server.client("ana").await, server.client("ben").await);
    let _subscriptions = (ana.listen("news:a").await, ben.listen("news:a").await, ben.listen("sport").await);
    let channels = said(&server, &["channels"]);
    assert_eq!(channels, "CHANNEL  CLIENTS\nnews:a   2\nsport    1\n");
    let first = said(&server, &["channels", "--limit", "1"]);
    assert!(first.ends_with("There are more: --after news:a\n"), "{first}");
    assert_eq!(said(&server, &["channels", "--after", "news:a"]), "CHANNEL  CLIENTS\nsport    1\n");
    assert_eq!(said_in_json(&server, &["channels", "s*"]), json!({"channels": {"sport": {"num_clients": 1}}}));
    assert_eq!(said(&server, &["publish", "news:*", "1", "--pattern"]), "Published in 1 channel.\n");

    let listed = said(&server, &["connections", "--user", "ben", "--channel", "sport"]);
    let listed = cells(&listed);
    assert_eq!(listed[0][..4], ["CLIENT", "USER", "ADDRESS", "TRANSPORT"]);
    assert_eq!(listed[1][1..4], ["ben", "127.0.0.1", "websocket/json"]);
    let presence = said(&server, &["presence", "news:a"]);
    assert_eq!(cells(&presence).len(), 3);
    assert_eq!(said(&server, &["presence", "news:a", "--count"]), "2 connections of 2 users\n");
    assert_eq!(said(&server, &["presence", "nobody"]), "Nobody is there.\n");

    assert_eq!(
        said(&server, &["subscribe", "weather", "--user", "ana", "--info", "{\"n\": 1}"]),
        "Subscribed 1 connection.\n"
    );
    let mut told = ana.client.server_events().unwrap();
    tokio::time::timeout(PATIENCE, told.next()).await.expect("the news of a subscription").unwrap();
    assert_eq!(said(&server, &["unsubscribe", "weather", "--user", "ana"]), "Ended 1 subscription.\n");
    let refreshed = said(&server, &["refresh", "--user", "ana", "--for", "3600"]);
    assert_eq!(refreshed, "Reached 1 connection, which expires after 1 h 0 min.\n");
    assert_eq!(said(&server, &["disconnect", "--user", "cho"]), "Closed no connection.\n");
    assert_eq!(
        said(&server, &["disconnect", "--user", "ben", "--code", "4500", "--reason", "enough"]),
        "Closed 1 connection.\n"
    );
    let info = said(&server, &["info"]);
    assert_eq!(cells(&info)[0][..2], ["NODE", "VERSION"]);
    ben.client.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_blocked_and_tokens_revoked() {
    let server = Server::start();
    assert_eq!(said(&server, &["blocked"]), "Nobody is blocked, and nothing is revoked.\n");
    assert_eq!(said(&server, &["block", "eve", "--for", "3600"]), "eve is blocked for 1 h 0 min.\n");
    assert_eq!(said(&server, &["revoke", "--token", "t-1"]), "The token t-1 is revoked for ever.\n");
    assert_eq!(said(&server, &["revoke", "--user", "eve"]), "The tokens of eve until then are revoked for ever.\n");
    let listed = said(&server, &["blocked"]);
    let mut listed: Vec<_> =
        cells(&listed)[1..].iter().map(|row| (row[0], row[1])).map(|(a, b)| format!("{a} {b}")).collect();
    listed.sort();
    assert_eq!(listed, ["token t-1", "tokens of eve", "user eve"]);
    let status = said(&server, &["status", "eve", "ana"]);
    assert_eq!(cells(&status)[1..], [["eve", "0", "yes"], ["ana", "0", "no"]]);
    assert_eq!(said(&server, &["unblock", "eve"]), "eve is blocked no more.\n");
    assert_eq!(said(&server, &["unblock", "eve"]), "eve was not blocked.\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_user_is_closed_and_stays_outside() {
    let server = Server::start();
    let eve = server.client("eve").await;
    said(&server, &["block", "eve"]);
    let mut states = eve.client.states();
    let closed = states.wait_for(|state| matches!(state, tidings_client::State::Disconnected(_)));
    tokio::time::timeout(PATIENCE, closed).await.expect("the connection ends").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_is_read_again() {
    let server = Server::start();
    assert_eq!(said(&server, &["reload"]), "Nothing has changed.\n");
    std::fs::write(server.path("tidings.toml"), "server_name = \"Other\"\n[namespaces.news]\nhistory_size = 1\n")
        .unwrap();
    let told = said(&server, &["reload"]);
    assert_eq!(
        told,
        "Changed, and in effect: namespaces.news.\nChanged, and in effect from the next start: server_name.\n"
    );
    std::fs::write(server.path("tidings.toml"), "[namespaces.news]\nhistroy_size = 1\n").unwrap();
    let (code, error) = failed(&server, &["call", "reload"]);
    assert_eq!(code, 1);
    assert!(error.contains("did you mean `history_size`?"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_can_be_called_by_its_name() {
    let server = Server::start();
    for method in Method::ALL {
        let output = server.tidings(&["call", method.name(), "{}"]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() || error.contains("the server answered: "), "{method}: {error}");
    }
    let replies = said(
        &server,
        &[
            "call",
            "batch",
            "{\"commands\": [{\"publish\": {\"channel\": \"a\", \"data\": 1, \"skip_history\": true}}]}",
        ],
    );
    assert_eq!(replies, "[{\"publish\":{}}]\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_says_why_and_has_an_exit_code() {
    let server = Server::start();
    for (args, code, says) in [
        (&["publish", "news", "hello"][..], 1, "the data must be one JSON value"),
        (&["publish", "room:1", "1"], 1, "unknown channel: it is the chat's own"),
        (&["presence", "bad\nname"], 1, "a channel name consists of printable ASCII (107)"),
        (&["disconnect"], 2, "--user <NAME>"),
        (&["refresh", "--user", "ana"], 2, "--for <SECONDS>"),
        (&["revoke"], 2, "--token <ID>"),
        (&["call", "nothing"], 1, "404"),
        (&["info", "--server", "http://127.0.0.1:1"], 1, "cannot reach the server"),
    ] {
        let (exit, error) = failed(&server, args);
        assert!(exit == code && error.contains(says), "{args:?}: {exit} {error}");
    }
}
