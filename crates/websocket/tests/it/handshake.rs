//! Dialling and accepting over any stream: TLS, compression in all its variants, refusals, hostile answers.

use crate::tls::tls;
use http::{HeaderValue, Response, header};
use std::time::Duration;
use tidings_websocket::{
    AcceptError, CloseCode, ConnectError, ConnectOptions, DeflateOptions, Limits, Message, OriginPolicy, Refusal,
    WebSocket, accept, accept_within, connect, connect_over,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    net::TcpListener,
};

async fn echo<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(mut socket: WebSocket<S>) -> WebSocket<S> {
    while let Some(Ok(message)) = socket.receive().await {
        socket.send(message).await.unwrap();
    }
    socket
}

/// A client and a server's echo with the given wishes for compression.
async fn connected(offered: DeflateOptions, wanted: DeflateOptions) -> WebSocket<DuplexStream> {
    let (ours, theirs) = duplex(64 * 1024);
    tokio::spawn(async move {
        let mut handshake = accept(theirs).await.unwrap();
        handshake.request().deflate(wanted);
        echo(handshake.accept(Limits::client()).await.unwrap()).await;
    });
    connect_over(ours, "ws://a/", ConnectOptions::new().deflate(offered)).await.unwrap().0
}

#[tokio::test]
async fn compression_works_in_every_combination_of_takeover_and_windows_4_35() {
    let options = |bits: u32, window: u8| DeflateOptions {
        server_no_context_takeover: bits & 1 != 0,
        client_no_context_takeover: bits & 2 != 0,
        server_max_window_bits: if bits & 4 != 0 { window } else { 15 },
        client_max_window_bits: if bits & 8 != 0 { window } else { 15 },
        threshold_bytes: 0,
        level: 1 + bits % 9,
    };
    for bits in 0..16 {
        for window in [9, 12] {
            let mut socket = connected(options(bits, window), options(15 - bits, 10)).await;
            assert!(socket.is_compressed());
            for round in 0..3u32 {
                for size in [0, 1, 100, 40_000] {
                    let text: String =
                        (0..size).map(|at| char::from(b'a' + u8::try_from(at * round / 7 % 26).unwrap())).collect();
                    socket.send(text.clone()).await.unwrap();
                    assert_eq!(socket.receive().await.unwrap().unwrap(), Message::text(text));
                }
                socket.set_compression_level(9 - round);
            }
            assert_eq!(socket.close(CloseCode::NORMAL, "").await, Some(CloseCode::NORMAL.into()));
        }
    }
}

#[tokio::test]
async fn a_refusal_can_be_read_by_the_client_4_31() {
    let (ours, theirs) = duplex(1000);
    tokio::spawn(async move {
        let handshake = accept(theirs).await.unwrap();
        assert_eq!(handshake.head().headers["cookie"], "session=stale");
        let mut response = Response::new("sign in first".to_owned());
        *response.status_mut() = http::StatusCode::UNAUTHORIZED;
        handshake.refuse(response).await.unwrap();
    });
    let options = ConnectOptions::new().header(header::COOKIE, HeaderValue::from_static("session=stale"));
    let Err(ConnectError::Refused(answer)) = connect_over(ours, "ws://a/x?y", options).await else {
        panic!("401 is no WebSocket")
    };
    assert_eq!((answer.status().as_u16(), answer.body().as_ref()), (401, &b"sign in first"[..]));
}

#[tokio::test]
async fn a_foreign_page_is_told_403_s01() {
    let (ours, theirs) = duplex(1000);
    let serving = tokio::spawn(async move {
        let mut handshake = accept(theirs).await?;
        handshake.request().origin(OriginPolicy::listed(["https://good.example"]).unwrap());
        handshake.accept(Limits::server()).await
    });
    let options = ConnectOptions::new().header(header::ORIGIN, HeaderValue::from_static("https://evil.example"));
    let refused = connect_over(ours, "ws://good.example/", options).await;
    assert!(matches!(refused, Err(ConnectError::Refused(answer)) if answer.status() == 403));
    assert!(matches!(serving.await.unwrap(), Err(AcceptError::Refused(Refusal::Origin))));
}

#[tokio::test]
async fn tls_is_one_url_away_4_30() {
    let (acceptor, client) = tls();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(stream) = acceptor.accept(stream).await {
                let handshake = accept(stream).await.unwrap();
                tokio::spawn(async move { echo(handshake.accept(Limits::client()).await.unwrap()).await });
            }
        }
    });
    let url = format!("wss://localhost:{port}/");
    let (mut socket, _) = connect(&url, ConnectOptions::new().tls(client)).await.unwrap();
    for size in [5, 100_000, 1_000_000] {
        socket.send(vec![7; size]).await.unwrap();
        assert_eq!(socket.receive().await.unwrap().unwrap().len(), size);
    }
    assert!(socket.close(CloseCode::NORMAL, "").await.is_some());
    let untrusted = connect(&url, ConnectOptions::new()).await;
    assert!(matches!(untrusted, Err(ConnectError::Tls(_))), "nobody vouches for this certificate: {untrusted:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_given_up() {
    let (ours, _theirs) = duplex(1000);
    let waiting = connect_over(ours, "ws://a/", ConnectOptions::new().timeout(Duration::from_secs(3)));
    assert!(matches!(waiting.await, Err(ConnectError::TimedOut)));
}

#[tokio::test]
async fn a_server_that_answers_wrongly_is_no_connection() {
    for (answer, why) in [
        (
            "HTTP/1.1 101 X\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: x\r\n\r\n",
            "accept key",
        ),
        ("HTTP/1.1 101 X\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n", "something else"),
        ("SSH-2.0-OpenSSH_9\r\n\r\n", "not HTTP"),
    ] {
        let (ours, mut theirs) = duplex(1000);
        tokio::spawn(async move {
            theirs.write_all(answer.as_bytes()).await.unwrap();
            theirs.read_to_end(&mut Vec::new()).await
        });
        match connect_over(ours, "ws://a/", ConnectOptions::new()).await {
            Err(ConnectError::Answer { why: said, .. }) => assert!(said.contains(why), "{said}"),
            other => panic!("{other:?}"),
        }
    }
    let (ours, mut theirs) = duplex(1000);
    tokio::spawn(async move { while theirs.write_all(b"HTTP/1.1 101 X\r\nx: y\r\n").await.is_ok() {} });
    assert!(matches!(connect_over(ours, "ws://a/", ConnectOptions::new()).await, Err(ConnectError::Answer { .. })));
    for url in ["http//x", "ftp://a/", "/path", "ws://"] {
        assert!(matches!(connect(url, ConnectOptions::new()).await, Err(ConnectError::Url)), "{url}");
    }
}

#[tokio::test]
async fn a_request_that_never_ends_is_refused_s05() {
    for field in ["x: y\r\n".repeat(101), format!("x: {}", "y".repeat(17_000))] {
        let (mut ours, theirs) = duplex(64 * 1024);
        let serving = tokio::spawn(accept(theirs));
        ours.write_all(format!("GET / HTTP/1.1\r\n{field}").as_bytes()).await.unwrap();
        let mut head = [0; 12];
        ours.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 431");
        assert!(matches!(serving.await.unwrap(), Err(AcceptError::Refused(Refusal::HeadersTooLarge))));
    }
}

#[tokio::test]
async fn what_is_no_http_is_told_400() {
    let good = "GET / HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
                sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let bad_line = good.replace("host: a\r\n", "host: a\r\nno colon\r\n");
    for (request, answer) in [
        (good.to_owned(), "101"),
        ("\u{16}\u{3}\u{1}\u{2}".to_owned(), "400"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), "400"),
        (bad_line, "400"),
        (good.replace("host: a\r\n", ""), "400"),
        (good.replace("host: a", "host: a\r\nhost: a"), "400"),
        (good.replace("host: a", "host: http://a/"), "400"),
    ] {
        let (mut ours, theirs) = duplex(1000);
        let serving = tokio::spawn(async move { accept(theirs).await?.accept(Limits::server()).await.map(drop) });
        ours.write_all(request.as_bytes()).await.unwrap();
        let mut head = String::new();
        ours.read_to_string(&mut head).await.unwrap();
        assert_eq!(head.get(9..12), Some(answer), "{request:?}");
        assert_eq!(serving.await.unwrap().is_ok(), answer == "101");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_leaves_nothing_unread_that_would_reset_the_connection() {
    for nonsense in [vec![22; 30_000], [&b"GET / HTTP/1.1\r\nx: "[..], &[b'y'; 30_000]].concat()] {
        let (mut ours, mut theirs) = duplex(64 * 1024);
        ours.write_all(&nonsense).await.unwrap();
        assert!(accept(&mut theirs).await.is_err());
        let left = tokio::time::timeout(Duration::ZERO, theirs.read_u8()).await;
        assert!(left.is_err(), "the client is still there, and silent: {left:?}");
        drop(theirs);
        let mut answer = String::new();
        ours.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_takes_too_long_is_given_up_s13() {
    let (mut ours, theirs) = duplex(1000);
    let start = tokio::time::Instant::now();
    let serving = tokio::spawn(accept(theirs));
    let trickling = tokio::spawn(async move {
        ours.write_all(b"GET / HTTP/1.1\r\nx: y").await.unwrap();
        while ours.write_all(b"y").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
    });
    assert!(matches!(serving.await.unwrap(), Err(AcceptError::TimedOut)));
    assert_eq!(start.elapsed(), Duration::from_secs(10));
    trickling.await.unwrap();
    let (_ours, theirs) = duplex(1000);
    let limit = Duration::from_secs(2);
    assert!(matches!(accept_within(theirs, limit).await, Err(AcceptError::TimedOut)));
    assert_eq!(start.elapsed().as_secs(), 12 + 2);
}

/// A proxy that answers as scripted, checks what it is sent, and then connects to a server.
async fn proxy(server: std::net::SocketAddr, script: Vec<(Vec<u8>, Vec<u8>)>) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        for (expected, answer) in script {
            let mut got = vec![0; expected.len()];
            client.read_exact(&mut got).await.unwrap();
            assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(&expected));
            client.write_all(&answer).await.unwrap();
        }
        let mut server = tokio::net::TcpStream::connect(server).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    });
    address
}

#[tokio::test]
async fn a_proxy_leads_to_the_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(
                async move { echo(accept(stream).await.unwrap().accept(Limits::server()).await.unwrap()).await },
            );
        }
    });
    let connect_request = b"CONNECT server.example:80 HTTP/1.1\r\nhost: server.example:80\r\n\
        proxy-authorization: Basic dXNlcjpwYXNz\r\n\r\n";
    let http = vec![(connect_request.to_vec(), b"HTTP/1.1 200 Connected\r\n\r\n".to_vec())];
    let socks = vec![
        (vec![5, 2, 0, 2], vec![5, 2]),
        (b"\x01\x04user\x04pass".to_vec(), vec![1, 0]),
        (b"\x05\x01\x00\x03\x0eserver.example\x00\x50".to_vec(), vec![5, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
    ];
    for (scheme, script) in [("http", http), ("socks5", socks)] {
        let proxy = format!("{scheme}://us%65r:p%61ss@{}", proxy(server, script).await).parse().unwrap();
        let (mut socket, _) = connect("ws://server.example/", ConnectOptions::new().proxy(proxy)).await.unwrap();
        socket.send("through").await.unwrap();
        assert_eq!(socket.receive().await.unwrap().unwrap(), Message::text("through"));
    }
    let user_only = vec![
        (vec![5, 2, 0, 2], vec![5, 2]),
        (b"\x01\x04user\x00".to_vec(), vec![1, 0]),
        (b"\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50".to_vec(), vec![5, 0, 0, 3, 1, b'x', 0, 0]),
    ];
    let user_only = format!("socks5://user@{}", proxy(server, user_only).await).parse().unwrap();
    assert!(connect("ws://127.0.0.1/", ConnectOptions::new().proxy(user_only)).await.is_ok());
    let refusing = vec![(vec![5, 1, 0], vec![5, 0xff])];
    let proxy = format!("socks5://{}", proxy(server, refusing).await).parse().unwrap();
    let refused = connect("ws://server.example/", ConnectOptions::new().proxy(proxy)).await;
    assert!(matches!(refused, Err(ConnectError::Proxy(_))));
    let long = format!("socks5://{}@host", "x".repeat(256));
    for invalid in ["host:80", "ftp://host", "socks5://:password@host", &long] {
        assert!(invalid.parse::<tidings_websocket::Proxy>().is_err(), "{invalid}");
    }
}
