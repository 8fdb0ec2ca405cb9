//! The faults that were measured on axum 0.8.9 and tower-http 0.7.1 before this crate was written, and where each is
//! tested.
//!
//! | measured | tested |
//! |---|---|
//! | a handler's panic sends 0 bytes and closes | `panics.rs`, c0_6 |
//! | a panic in a body stream escapes `CatchPanic` | `panics.rs`, a_panic_in_a_body… |
//! | a panic in a socket's task resets the connection | `shutdown.rs`, a_panic_in_a_sockets_task… |
//! | a graceful shutdown returns in 0.2 ms while sockets live on | `shutdown.rs`, sockets_are_told_1001… |
//! | it never returns while one request hangs | `shutdown.rs`, a_hung_request… |
//! | half a request head is held for ever | `limits.rs`, s13 |
//! | a foreign `Origin` is accepted | here |
//! | permessage-deflate is ignored | here |
//! | 130 KiB a socket by default | here |

use crate::support::{Answer, Wire};
use axum::Router;
use axum::response::Response;
use axum::routing::{any, get};
use tidings_serve::test_kit::{TestServer, TestSocket};
use tidings_websocket::{DeflateOptions, Upgrade};

async fn idle(upgrade: Upgrade) -> Response {
    upgrade.deflate(DeflateOptions::default()).on_upgrade(async |mut socket| {
        socket.receive().await;
    })
}

fn app() -> Router {
    Router::new().route("/ws", any(idle)).route("/rss", get(|| async { resident_bytes().to_string() }))
}

fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

async fn handshake(server: &TestServer, fields: &str) -> Answer {
    let mut wire = Wire::over(server.connect().await);
    wire.send(format!(
        "GET /ws HTTP/1.1\r\nhost: chat.example\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n"
    ))
    .await;
    wire.answer().await.unwrap()
}

#[tokio::test]
async fn s01_a_page_of_another_host_gets_no_socket() {
    let server = TestServer::in_memory(app()).await;
    for foreign in ["https://evil.example", "https://chat.example.evil", "null"] {
        assert_eq!(handshake(&server, &format!("origin: {foreign}\r\n")).await.status(), 403, "{foreign}");
    }
    assert_eq!(handshake(&server, "origin: http://chat.example\r\n").await.status(), 101);
}

#[tokio::test]
async fn permessage_deflate_is_negotiated_where_it_is_asked_for() {
    let server = TestServer::in_memory(app()).await;
    let answer = handshake(&server, "sec-websocket-extensions: permessage-deflate\r\n").await;
    assert!(answer.header("sec-websocket-extensions").unwrap().starts_with("permessage-deflate"));
    assert_eq!(handshake(&server, "").await.header("sec-websocket-extensions"), None);
}

/// Counts both ends: the client's half of each pair is in this process too.
#[tokio::test]
async fn an_idle_socket_costs_a_few_kilobytes_and_not_130() {
    const ROUNDS: usize = 5;
    const SOCKETS: usize = 500;
    let server = TestServer::start(app()).await;
    // What the first few allocate is not theirs alone.
    let mut sockets = Vec::new();
    let open = async || TestSocket::connect(server.connect().await, "/ws").await;
    for _ in 0..50 {
        sockets.push(open().await);
    }
    let mut each = usize::MAX;
    for _ in 0..ROUNDS {
        let before = resident_bytes();
        for _ in 0..SOCKETS {
            sockets.push(open().await);
        }
        // Other tests take memory in the same process meanwhile, so the round with the least noise counts.
        each = each.min(resident_bytes().saturating_sub(before) / SOCKETS);
    }
    println!("{each} bytes per idle socket, its client included");
    assert!(each < 40 * 1024, "{each}");
}
