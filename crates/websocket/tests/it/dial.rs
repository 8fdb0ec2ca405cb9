//! Dialling: what a failed handshake says, what the request may say, and the ways to a server.

use crate::tls::tls;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use std::{sync::Arc, time::Duration};
use tidings_websocket::{
    ConnectError, ConnectOptions, Limits, Message, WebSocket, accept, connect, connect_over, connect_tls_over,
    limits::REFUSAL_BODY_BYTES_MAX,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex},
    net::TcpListener,
    time::Instant,
};

/// Reads a whole request or answer, without a body.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// What a client makes of a server that answers so, and then keeps the connection open.
async fn failure(answer: impl Into<Vec<u8>>) -> ConnectError {
    let (ours, mut theirs) = duplex(1024);
    let answer = answer.into();
    tokio::spawn(async move {
        head(&mut theirs).await;
        // Fails when the client has had enough.
        let _ = theirs.write_all(&answer).await;
        theirs.read_to_end(&mut Vec::new()).await
    });
    connect_over(ours, "ws://a/", ConnectOptions::new()).await.map(drop).expect_err("no WebSocket")
}

async fn refusal(answer: impl Into<Vec<u8>>) -> (StatusCode, HeaderMap, Vec<u8>) {
    let ConnectError::Refused(response) = failure(answer).await else { panic!("not a refusal") };
    (response.status(), response.headers().clone(), response.body().to_vec())
}

#[tokio::test(start_paused = true)]
async fn a_refusals_body_ends_where_rfc_9112_says() {
    let start = Instant::now();
    for (answer, body) in [
        ("401 No\r\ncontent-length: 5\r\n\r\nsorry, but", "sorry"),
        ("401 No\r\ncontent-length: 5, 5\r\n\r\nsorry, but", "sorry"),
        ("401 No\r\ntransfer-encoding: chunked\r\n\r\n3\r\nsor\r\n2;x=y\r\nry\r\n0\r\n\r\n", "sorry"),
        ("401 No\r\ntransfer-encoding: gzip, Chunked\r\ncontent-length: 1\r\n\r\n5\r\nsorry\r\n0\r\n\r\n", "sorry"),
        ("401 No\r\ntransfer-encoding: chunked\r\n\r\n5\r\nsorry\r\nnonsense", "sorry"),
        ("204 Nothing\r\n\r\nsorry", ""),
        ("304 As before\r\ncontent-length: 5\r\n\r\n", ""),
    ] {
        assert_eq!(refusal(format!("HTTP/1.1 {answer}")).await.2, body.as_bytes(), "{answer}");
    }
    assert_eq!(start.elapsed(), Duration::ZERO, "nothing was waited for");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_whose_body_stalls_is_still_a_refusal() {
    for answer in [
        "\r\n\r\nsor",
        "\r\ncontent-length: 5\r\n\r\nsor",
        "\r\ncontent-length: 5, 6\r\n\r\nsor",
        "\r\ntransfer-encoding: chunked\r\n\r\n5\r\nsor",
        "\r\ntransfer-encoding: chunked\r\n\r\n3\r\nsor\r\n",
        "\r\ntransfer-encoding: gzip\r\ncontent-length: 1\r\n\r\nsor",
    ] {
        let start = Instant::now();
        let (status, _, body) = refusal(format!("HTTP/1.1 503 Later{answer}")).await;
        assert_eq!((status.as_u16(), &body[..]), (503, &b"sor"[..]), "{answer:?}");
        assert_eq!(start.elapsed(), Duration::from_secs(1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusals_body_takes_no_more_than_the_time_to_connect() {
    let (ours, mut theirs) = duplex(1024);
    theirs.write_all(b"HTTP/1.1 503 Later\r\n\r\nsor").await.unwrap();
    let (start, limit) = (Instant::now(), Duration::from_millis(300));
    let refused = connect_over(ours, "ws://a/", ConnectOptions::new().timeout(limit)).await;
    assert!(matches!(refused, Err(ConnectError::Refused(response)) if response.body() == "sor"));
    assert_eq!(start.elapsed(), limit);
}

#[tokio::test]
async fn a_refusals_body_is_cut_at_its_limit() {
    let endless = "7".repeat(2 * REFUSAL_BODY_BYTES_MAX);
    for framing in ["x: y\r\n\r\n", "content-length: 999999\r\n\r\n", "transfer-encoding: chunked\r\n\r\nfffffff\r\n"] {
        let (_, _, body) = refusal(format!("HTTP/1.1 401 No\r\n{framing}{endless}")).await;
        assert_eq!(body.len(), REFUSAL_BODY_BYTES_MAX, "{framing}");
    }
}

#[tokio::test]
async fn interim_answers_are_passed_over() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n";
    let (status, headers, _) = refusal(format!("{interim}HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n")).await;
    assert_eq!((status.as_u16(), headers.get(header::LINK)), (404, None));
    let endless = failure(interim.repeat(5)).await;
    assert!(matches!(endless, ConnectError::Answer { why: "it never becomes final", .. }), "{endless}");
}

#[tokio::test]
async fn a_wrong_answer_can_be_looked_at() {
    let error = failure("HTTP/1.1 101 X\r\nupgrade: h2c\r\nconnection: upgrade\r\nserver: odd\r\n\r\n").await;
    assert_eq!(error.to_string(), "the server's answer is wrong: it upgrades to something else");
    let response = error.response().unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["server"]), (101, &HeaderValue::from_static("odd")));
    assert_eq!(failure("HTTP/1.1 401 No\r\ncontent-length: 2\r\n\r\nno").await.response().unwrap().body(), "no");
    assert!(failure("SSH-2.0-OpenSSH_9\r\n\r\n").await.response().is_none());
}

/// The request that a server reads.
async fn request(url: &str, options: ConnectOptions) -> String {
    let (ours, mut theirs) = duplex(4096);
    let (request, _) =
        tokio::join!(head(&mut theirs), async { connect_over(ours, url, options.timeout(Duration::ZERO)).await });
    request
}

/// Why options are refused.
async fn mistake(options: ConnectOptions) -> String {
    match connect_over(duplex(1).0, "ws://a/", options).await {
        Err(ConnectError::Options(why)) => why.to_owned(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_handshakes_own_fields_are_not_the_callers() {
    for (name, instead) in [
        (header::UPGRADE, "leave it out"),
        (header::CONNECTION, "leave it out"),
        (header::SEC_WEBSOCKET_KEY, "leave it out"),
        (header::SEC_WEBSOCKET_VERSION, "leave it out"),
        (header::SEC_WEBSOCKET_EXTENSIONS, "ConnectOptions::deflate"),
        (header::SEC_WEBSOCKET_PROTOCOL, "ConnectOptions::protocols"),
        (header::CONTENT_LENGTH, "no body"),
        (header::TRANSFER_ENCODING, "no body"),
    ] {
        let why = mistake(ConnectOptions::new().header(name.clone(), HeaderValue::from_static("x"))).await;
        assert!(why.to_lowercase().starts_with(name.as_str()) && why.contains(instead), "{why}");
    }
    let host = |options: ConnectOptions| options.header(header::HOST, HeaderValue::from_static("b.example"));
    let sent = request("ws://a/", host(ConnectOptions::new())).await;
    assert!(sent.contains("host: b.example\r\n") && !sent.contains("host: a\r\n"), "{sent}");
    assert!(mistake(host(host(ConnectOptions::new()))).await.contains("only one Host"));
}

#[tokio::test]
async fn subprotocols_are_tokens_and_different() {
    for protocols in [vec![""], vec!["a b"], vec!["a,b"], vec!["a\r\nb"]] {
        assert!(mistake(ConnectOptions::new().protocols(protocols)).await.contains("token"));
    }
    assert!(mistake(ConnectOptions::new().protocols(["a", "b", "a"])).await.contains("once"));
}

#[tokio::test]
async fn a_user_in_the_url_is_authorised_unless_the_caller_says_otherwise() {
    let sent = request("ws://us%65r:p%40ss@a.example:81/x?y", ConnectOptions::new()).await;
    assert!(sent.starts_with("GET /x?y HTTP/1.1\r\nhost: a.example:81\r\n"), "{sent}");
    assert!(sent.contains("authorization: Basic dXNlcjpwQHNz\r\n"), "{sent}");
    let token = ConnectOptions::new().header(header::AUTHORIZATION, HeaderValue::from_static("Bearer t"));
    let sent = request("ws://user:pass@a/", token).await;
    assert!(sent.contains("authorization: Bearer t\r\n") && !sent.contains("Basic"), "{sent}");
    assert!(!request("ws://a/", ConnectOptions::new()).await.contains("authorization"));
}

#[tokio::test]
async fn cookies_share_one_field() {
    let options = ConnectOptions::new().header(header::COOKIE, HeaderValue::from_static("old=1; older=2"));
    let options = options.cookie("session", "a=b/c%20").unwrap().cookie("__Host-x", "\"quoted\"").unwrap();
    assert!(!format!("{options:?}").contains("a=b/c"), "a cookie is a secret");
    let sent = request("ws://a/", options.cookie("empty", "").unwrap()).await;
    let cookies: Vec<_> = sent.lines().filter(|line| line.starts_with("cookie")).collect();
    assert_eq!(cookies, ["cookie: old=1; older=2; session=a=b/c%20; __Host-x=\"quoted\"; empty="]);
    for (name, value) in [("", "x"), ("a b", "x"), ("a=", "x"), ("a", "x y"), ("a", "x;y"), ("a", "\""), ("a", "ä")] {
        assert!(ConnectOptions::new().cookie(name, value).is_err(), "{name:?}={value:?}");
    }
    assert!(ConnectOptions::new().cookie("a", "x\r\nupgrade: y").is_err());
}

async fn echo_once<S: AsyncRead + AsyncWrite + Unpin>(stream: S) {
    let mut socket = accept(stream).await.unwrap().accept(Limits::server()).await.unwrap();
    let message = socket.receive().await.unwrap().unwrap();
    socket.send(message).await.unwrap();
}

async fn expect_echo<S: AsyncRead + AsyncWrite + Unpin>(mut socket: WebSocket<S>) {
    socket.send("hello").await.unwrap();
    assert_eq!(socket.receive().await.unwrap().unwrap(), Message::text("hello"));
}

#[tokio::test]
async fn tls_works_over_a_stream_of_the_callers_own() {
    let (acceptor, trusting) = tls();
    let options = ConnectOptions::new().tls(trusting);
    let (ours, theirs) = duplex(4096);
    tokio::spawn(async move { echo_once(acceptor.accept(theirs).await.unwrap()).await });
    let (socket, _) = connect_tls_over(ours, "wss://localhost/", options.clone()).await.unwrap();
    expect_echo(socket).await;
    let plain = connect_tls_over(duplex(1).0, "ws://localhost/", options).await;
    assert!(matches!(plain, Err(ConnectError::Url)), "{plain:?}");
}

#[tokio::test]
async fn a_proxy_can_itself_be_reached_over_tls() {
    let (server, trusts_server) = tls();
    let (proxy, trusts_proxy) = tls();
    let listener = TcpListener::bind("localhost:0").await.unwrap();
    let proxy_url = format!("https://ana:%3f@localhost:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        for secure in [false, true] {
            // The server answers where the proxy would pass on.
            let mut stream = proxy.accept(listener.accept().await.unwrap().0).await.unwrap();
            let asked = head(&mut stream).await;
            assert!(asked.starts_with("CONNECT localhost:") && asked.contains(": Basic YW5hOj8=\r\n"), "{asked}");
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            stream.flush().await.unwrap();
            match secure {
                false => echo_once(stream).await,
                true => echo_once(server.accept(stream).await.unwrap()).await,
            }
        }
        let _ = proxy.accept(listener.accept().await.unwrap().0).await;
    });
    let options = ConnectOptions::new().proxy(proxy_url.parse().unwrap()).tls(trusts_server);
    for url in ["ws://localhost/", "wss://localhost/"] {
        let (socket, _) = connect(url, options.clone().proxy_tls(Arc::clone(&trusts_proxy))).await.unwrap();
        assert!(socket.stream().tcp().nodelay().unwrap());
        expect_echo(socket).await;
    }
    let distrusted = connect("ws://localhost/", options).await;
    assert!(matches!(&distrusted, Err(ConnectError::Proxy(why)) if why.contains("TLS")), "{distrusted:?}");
}
