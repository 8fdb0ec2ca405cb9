//! The axum extractor and the dialler against each other over real sockets.

use axum::{Extension, Router, routing::any};
use std::{net::SocketAddr, time::Duration};
use tidings_websocket::{
    CloseCode, CloseFrame, ConnectError, ConnectOptions, Limits, Message, OriginPolicy, ReceiveError, Upgrade,
    Upgraded, WebSocket, connect,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

async fn echo(mut socket: WebSocket<Upgraded>) {
    while let Some(Ok(message)) = socket.receive().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}

fn echo_app() -> Router {
    Router::new().route("/ws", any(|upgrade: Upgrade| async { upgrade.protocols(["b", "a"]).on_upgrade(echo) }))
}

/// Sends raw HTTP and returns the head of the answer.
async fn raw(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.replace('\n', "\r\n").as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

const GOOD: &str = "GET /ws HTTP/1.1\nHost: a.example\nUpgrade: h2c, WebSocket\nConnection: keep-alive, UPGRADE\n\
                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Version: 13\n";

#[tokio::test]
async fn messages_come_back_as_they_went() {
    let address = serve(echo_app()).await;
    let (mut socket, response) =
        connect(format!("ws://{address}/ws"), ConnectOptions::new().protocols(["a", "b"])).await.unwrap();
    assert_eq!((response.status().as_u16(), socket.protocol()), (101, Some("b")));
    for message in [Message::text("hällo"), Message::binary(vec![7; 65_000]), Message::text("")] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.receive().await.unwrap().unwrap(), message);
    }
    let answer = socket.close(CloseCode::NORMAL, "done").await;
    assert_eq!(answer, Some(CloseFrame::from(CloseCode::NORMAL)));
    assert!(socket.receive().await.is_none());
}

#[tokio::test]
async fn a_handshake_is_answered_as_rfc_6455_says_4_7_4_9() {
    let address = serve(echo_app()).await;
    let good = raw(address, &format!("{GOOD}Sec-WebSocket-Protocol:\n\n")).await.to_lowercase();
    assert!(good.starts_with("http/1.1 101"), "{good}");
    assert!(good.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{good}");
    assert!(!good.contains("sec-websocket-protocol"), "an empty list of subprotocols counts as none: {good}");
    let status = async |request: String| raw(address, &format!("{request}\n")).await[9..12].to_owned();
    assert_eq!(status(GOOD.replace("GET", "POST")).await, "405");
    assert_eq!(status(GOOD.replace("n: 13", "n: 8")).await, "426");
    assert_eq!(status(GOOD.replace("WebSocket\nC", "x\nC")).await, "426");
    assert_eq!(status(GOOD.replace("dGhl", "")).await, "400");
    for host in ["", "Host:\n", "Host: a b\n", "Host: a/b\n", "Host: a.example\nHost: a.example\n"] {
        assert_eq!(status(GOOD.replace("Host: a.example\n", host)).await, "400", "{host:?}");
    }
    assert_eq!(status(format!("{GOOD}Origin: https://evil.example\n")).await, "403");
    assert_eq!(status(format!("{GOOD}Origin: https://a.example\n")).await, "101");
    assert_eq!(status(format!("{GOOD}{}", "X: y\n".repeat(96))).await, "431");
    assert_eq!(status(format!("{GOOD}X: {}\n", "y".repeat(17_000))).await, "431");
    let version = raw(address, &format!("{}\n", GOOD.replace("n: 13", "n: 8"))).await.to_lowercase();
    assert!(version.contains("sec-websocket-version: 13"), "{version}");
}

#[tokio::test]
async fn one_route_serves_pages_and_sockets_4_8() {
    let app = Router::new().route(
        "/ws",
        any(|upgrade: Option<Upgrade>| async {
            match upgrade {
                Some(upgrade) => upgrade.origin(OriginPolicy::Any).on_upgrade(echo),
                None => axum::response::Html("<p>hello").into_response(),
            }
        }),
    );
    use axum::response::IntoResponse;
    let address = serve(app).await;
    assert!(raw(address, "GET /ws HTTP/1.1\nHost: a\n\n").await.starts_with("HTTP/1.1 200"));
    let refused = connect(format!("ws://{address}/nothing"), ConnectOptions::new()).await;
    assert!(matches!(refused, Err(ConnectError::Refused(answer)) if answer.status() == 404));
    assert!(connect(format!("ws://{address}/ws"), ConnectOptions::new()).await.is_ok());
}

#[tokio::test]
async fn a_message_over_the_limit_is_answered_with_1009_and_no_reason_s07() {
    let app = Router::new().route(
        "/ws",
        any(|upgrade: Upgrade| async { upgrade.limits(Limits::server().message_bytes_max(10)).on_upgrade(echo) }),
    );
    let address = serve(app).await;
    let (mut socket, _) = connect(format!("ws://{address}/ws"), ConnectOptions::new()).await.unwrap();
    socket.send("12345678901").await.unwrap();
    assert!(socket.receive().await.is_none());
    assert_eq!(socket.close_frame(), Some(&CloseFrame::from(CloseCode::MESSAGE_TOO_BIG)));
}

#[tokio::test]
async fn a_panicking_handler_closes_with_1011_and_a_returning_one_with_1000() {
    let app = Router::new()
        .route(
            "/panic",
            any(|upgrade: Upgrade| async {
                upgrade.on_upgrade(|mut socket| async move {
                    socket.receive().await;
                    panic!("on purpose");
                })
            }),
        )
        .route(
            "/return",
            any(|upgrade: Upgrade| async {
                upgrade.on_upgrade(|mut socket| async move { drop(socket.feed("last words")) })
            }),
        );
    let address = serve(app).await;
    let (mut socket, _) = connect(format!("ws://{address}/panic"), ConnectOptions::new()).await.unwrap();
    socket.send("go").await.unwrap();
    assert!(socket.receive().await.is_none());
    assert_eq!(socket.close_frame().unwrap().code, CloseCode::INTERNAL_ERROR);
    let (mut socket, _) = connect(format!("ws://{address}/return"), ConnectOptions::new()).await.unwrap();
    assert_eq!(socket.receive().await.unwrap().unwrap(), Message::text("last words"));
    assert!(socket.receive().await.is_none());
    assert_eq!(socket.close_frame().unwrap().code, CloseCode::NORMAL);
}

#[tokio::test]
async fn sockets_take_part_in_the_servers_shutdown() {
    let (token, tracker) = (CancellationToken::new(), TaskTracker::new());
    let app = echo_app()
        .route(
            "/own",
            any(|upgrade: Upgrade| async {
                upgrade.shutdown_close(None).on_upgrade(|mut socket| async move {
                    let token = socket.shutdown_token().unwrap().clone();
                    tokio::select! {
                        _ = socket.receive() => {}
                        () = token.cancelled() => {
                            socket.close(CloseCode::new(3001).unwrap(), "shutdown").await;
                        }
                    }
                })
            }),
        )
        .layer(Extension(token.clone()))
        .layer(Extension(tracker.clone()));
    let address = serve(app).await;
    let (mut plain, _) = connect(format!("ws://{address}/ws"), ConnectOptions::new()).await.unwrap();
    let (mut own, _) = connect(format!("ws://{address}/own"), ConnectOptions::new()).await.unwrap();
    plain.send("ready?").await.unwrap();
    plain.receive().await.unwrap().unwrap();
    token.cancel();
    assert!(plain.receive().await.is_none());
    assert_eq!(plain.close_frame(), Some(&CloseFrame::from(CloseCode::GOING_AWAY)));
    assert!(own.receive().await.is_none());
    assert_eq!(own.close_frame(), Some(&CloseFrame::new(CloseCode::new(3001).unwrap(), "shutdown")));
    tracker.close();
    tokio::time::timeout(Duration::from_secs(4), tracker.wait()).await.expect("every socket is gone");
}

#[tokio::test]
async fn a_connection_that_just_ends_is_an_error() {
    let app = Router::new()
        .route("/ws", any(|upgrade: Upgrade| async { upgrade.on_upgrade(|socket| async { socket.abort() }) }));
    let address = serve(app).await;
    let (mut socket, _) = connect(format!("ws://{address}/ws"), ConnectOptions::new()).await.unwrap();
    assert!(matches!(socket.receive().await, Some(Err(ReceiveError::Disconnected))));
    assert!(socket.receive().await.is_none());
}

#[tokio::test]
async fn an_endpoint_with_cookies_alone_can_insist_on_an_origin_s02() {
    let app = Router::new().route(
        "/ws",
        any(|upgrade: Upgrade| async {
            let name = axum::http::HeaderName::from_static("x-room");
            let upgrade = upgrade.require_origin().header(name, axum::http::HeaderValue::from_static("7"));
            upgrade.heartbeat(Duration::from_secs(30)).on_upgrade(echo)
        }),
    );
    let address = serve(app).await;
    assert!(raw(address, &format!("{GOOD}\n")).await.starts_with("HTTP/1.1 403"));
    let good = raw(address, &format!("{GOOD}Origin: http://a.example\n\n")).await;
    assert!(good.starts_with("HTTP/1.1 101") && good.contains("x-room: 7"), "{good}");
}
