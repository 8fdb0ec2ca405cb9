//! What a stranger may cost, in virtual time and over pipes: no test here waits for a real second.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::Wire;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::{get, post};
use futures_util::stream;
use tidings_serve::test_kit::{TestClient, TestServer};
use tidings_serve::{Accept, Limits, Listen, Peer, Server};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

fn app() -> Router {
    Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/echo", post(|body: Bytes| async { body }))
        .route(
            "/late",
            get(async || {
                // Its timer is gone before it would ring, and so is the other one that it raced.
                let _ = tokio::time::timeout(SECOND / 2, sleep(SECOND / 4)).await;
                "abc"
            }),
        )
        .route("/large", get(|| async { Bytes::from(vec![b'x'; 1024 * 1024]) }))
        .route(
            "/long",
            get(|| async {
                sleep(Duration::from_secs(3600)).await;
                "at last"
            }),
        )
}

async fn server() -> TestServer {
    TestServer::in_memory(app()).await
}

fn seconds(range: std::ops::RangeInclusive<u64>, since: Instant) {
    let elapsed = since.elapsed().as_secs();
    assert!(range.contains(&elapsed), "after {elapsed} s, expected {range:?}");
}

#[tokio::test(start_paused = true)]
async fn s13_half_a_request_head_is_held_for_10_seconds_and_no_longer() {
    let server = server().await;
    let mut wire = Wire::over(server.connect().await);
    let began = Instant::now();
    wire.send("GET / HTTP/1.1\r\nhost: te").await;
    assert!(wire.read_to_end().await.is_empty());
    seconds(10..=10, began);
    assert_eq!(server.handle().stats().head_timeouts, 1);
}

#[tokio::test(start_paused = true)]
async fn s13_a_head_that_drips_gains_no_time_by_dripping() {
    let server = server().await;
    let mut wire = Wire::over(server.connect().await);
    let began = Instant::now();
    wire.send("GET / HTTP/1.1\r\n").await;
    let mut fields = 0;
    while wire.try_send("x: y\r\n").await && fields < 1000 {
        fields += 1;
        sleep(SECOND).await;
    }
    seconds(10..=12, began);
}

#[tokio::test(start_paused = true)]
async fn s13_the_head_of_a_later_request_has_its_own_10_seconds() {
    let server = server().await;
    let mut wire = Wire::over(server.connect().await);
    wire.get("/").await;
    sleep(30 * SECOND).await;
    assert_eq!(wire.get("/").await.text(), "hello", "30 s of idleness are fine");
    sleep(30 * SECOND).await;
    wire.send("GET / HT").await;
    let began = Instant::now();
    assert!(wire.read_to_end().await.is_empty());
    seconds(10..=10, began);
    assert_eq!(server.handle().stats().head_timeouts, 1);
}

/// What has to do with a request may wake its connection after the answer, too, and is no head.
#[tokio::test(start_paused = true)]
async fn a_connection_stays_open_for_75_seconds_after_a_request_with_a_body_and_after_one_that_took_its_time() {
    let server = server().await;
    for request in [
        "POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 3\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 3\r\n\r\n",
        "GET /late HTTP/1.1\r\nhost: test\r\n\r\n",
    ] {
        let mut wire = Wire::over(server.connect().await);
        wire.send(request).await;
        if request.ends_with("\r\n\r\n") && request.starts_with("POST") {
            sleep(SECOND / 10).await;
            wire.send("abc").await;
        }
        assert_eq!(wire.answer().await.unwrap().text(), "abc");
        let began = Instant::now();
        assert!(wire.read_to_end().await.is_empty());
        seconds(75..=75, began);
    }
    assert_eq!(server.handle().stats().head_timeouts, 0);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_after_75_seconds_on_both_protocols() {
    let server = server().await;
    let mut wire = Wire::over(server.connect().await);
    let mut http2 = server.http2().await;
    wire.get("/").await;
    assert_eq!(http2.get("/").await.body(), "hello");
    let began = Instant::now();
    assert!(wire.read_to_end().await.is_empty());
    seconds(75..=75, began);
    sleep(6 * SECOND).await;
    assert!(http2.send(http::Request::get("/").body(Bytes::new()).unwrap()).await.is_err());
    assert_eq!(server.handle().stats().idle_timeouts, 2);
    assert_eq!(server.handle().stats().connections, 0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_says_nothing_at_all_is_closed_after_10_seconds() {
    let server = server().await;
    let began = Instant::now();
    assert!(Wire::over(server.connect().await).read_to_end().await.is_empty());
    seconds(10..=10, began);
    let mut preface = Wire::over(server.connect().await);
    let began = Instant::now();
    preface.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    preface.read_to_end().await;
    seconds(10..=16, began);
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_take_an_hour() {
    let server = server().await;
    let mut wire = Wire::over(server.connect().await);
    wire.send("GET /long HTTP/1.1\r\nhost: test\r\n\r\n").await;
    sleep(Duration::from_secs(3599)).await;
    assert_eq!(wire.answer().await.unwrap().text(), "at last");
    assert_eq!(wire.get("/").await.text(), "hello");
}

#[tokio::test]
async fn c0_3_a_request_that_takes_its_time_delays_nobody() {
    let server = server().await;
    let mut slow = Wire::over(server.connect().await);
    slow.send("GET /long HTTP/1.1\r\nhost: test\r\n\r\n").await;
    let mut worst = Duration::ZERO;
    for _ in 0..1000 {
        let began = Instant::now();
        assert_eq!(server.get("/").await.body(), "hello");
        worst = worst.max(began.elapsed());
    }
    assert!(worst < SECOND, "{worst:?}, on a machine that may be busy");
}

#[tokio::test(start_paused = true)]
async fn s13_a_body_of_one_byte_every_5_seconds_is_given_up() {
    let server = server().await;
    let mut wire = Wire::over(server.connect().await);
    let began = Instant::now();
    wire.send("POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 1000\r\n\r\n").await;
    let mut sent = 0;
    while sent < 100 && wire.try_send("x").await {
        sent += 1;
        sleep(5 * SECOND).await;
    }
    seconds(10..=20, began);
    assert_eq!(server.handle().stats().body_stalls, 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_but_honest_upload_goes_through() {
    let server = server().await;
    let mut wire = Wire::over(server.connect().await);
    wire.send("POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 60000\r\n\r\n").await;
    for _ in 0..60 {
        sleep(SECOND).await;
        wire.send([b'x'; 1000]).await;
    }
    assert_eq!(wire.answer().await.unwrap().body.len(), 60_000);
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_takes_nothing_is_cut_after_30_seconds_and_costs_little_until_then() {
    let produced = Arc::new(AtomicUsize::new(0));
    let counted = produced.clone();
    let endless = move || {
        let counted = counted.clone();
        async move {
            Body::from_stream(stream::repeat_with(move || {
                counted.fetch_add(16 * 1024, Ordering::Relaxed);
                Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 16 * 1024]))
            }))
        }
    };
    let server = TestServer::in_memory(app().route("/endless", get(endless))).await;
    let mut http1 = Wire::over(server.connect().await);
    http1.send("GET /endless HTTP/1.1\r\nhost: test\r\n\r\n").await;
    let mut large = Wire::over(server.connect().await);
    large.send("GET /large HTTP/1.1\r\nhost: test\r\n\r\n").await;
    let began = Instant::now();
    sleep(SECOND).await;
    assert_eq!(server.handle().stats().connections, 2);
    while server.handle().stats().connections > 0 {
        sleep(SECOND).await;
    }
    seconds(30..=32, began);
    assert_eq!(server.handle().stats().response_stalls, 2);
    assert!(produced.load(Ordering::Relaxed) <= 256 * 1024, "{produced:?}");
    let received = large.read_to_end().await;
    assert!(received.len() < 1024 * 1024, "cut, and so not taken for complete");
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_of_a_large_response_is_served() {
    let server = server().await;
    let mut wire = Wire::over(server.connect().await);
    wire.send("GET /large HTTP/1.1\r\nhost: test\r\n\r\n").await;
    let mut received = 0;
    while received < 1024 * 1024 {
        sleep(20 * SECOND).await;
        received += wire.some().await.len();
    }
    assert_eq!(server.handle().stats().response_stalls, 0);
}

/// The preface, and SETTINGS with INITIAL_WINDOW_SIZE 0.
const NO_WINDOW: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\0";

/// GET /large on a stream of HTTP/2: ":path" is a literal, the rest is in the static table.
fn get_large(stream: u8) -> Vec<u8> {
    [b"\0\0\x10\x01\x05\0\0\0".as_slice(), &[stream], b"\x82\x86\x41\x04test\x04\x06/large"].concat()
}

/// WINDOW_UPDATE.
fn window(stream: u8, bytes: u16) -> Vec<u8> {
    let [high, low] = bytes.to_be_bytes();
    vec![0, 0, 4, 8, 0, 0, 0, 0, stream, 0, 0, high, low]
}

#[tokio::test(start_paused = true)]
async fn s14_an_http2_reader_who_opens_no_window_is_cut_after_30_seconds() {
    let server = server().await;
    let mut wire = Wire::over(server.connect().await);
    wire.send(NO_WINDOW).await;
    wire.send(get_large(1)).await;
    let began = Instant::now();
    while server.handle().stats().response_stalls == 0 {
        sleep(SECOND).await;
    }
    seconds(30..=31, began);
    assert_eq!((server.handle().stats().requests_total, server.handle().stats().response_bytes), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn s14_a_window_of_a_byte_now_and_then_holds_no_stream_and_its_sibling_goes_on() {
    let server = server().await;
    let mut wire = Wire::over(server.connect().await);
    wire.send(NO_WINDOW).await;
    wire.send(get_large(1)).await;
    wire.send(get_large(3)).await;
    let began = Instant::now();
    // One byte every five seconds on the first, 5,000 on the second, so that the connection itself moves on.
    let mut reset_after = None;
    for _ in 0..40 {
        sleep(5 * SECOND).await;
        wire.send([window(1, 1), window(3, 5000), window(0, 5001)].concat()).await;
        // RST_STREAM on the first, with CANCEL.
        let seen = wire.some().await;
        // A sign of life, when it is asked for.
        if let Some(ping) = seen.windows(17).find(|frame| frame.starts_with(b"\0\0\x08\x06\0\0\0\0\0")) {
            wire.send([b"\0\0\x08\x06\x01\0\0\0\0", &ping[9..]].concat()).await;
        }
        if seen.windows(13).any(|frame| frame == b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x08") {
            reset_after.get_or_insert(began.elapsed().as_secs());
        }
    }
    assert!(reset_after.is_some_and(|after| (30..=40).contains(&after)), "{reset_after:?}");
    let stats = server.handle().stats();
    assert_eq!((stats.requests_in_flight, stats.response_stalls, stats.connections), (1, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn s14_a_reader_who_takes_a_byte_now_and_then_is_cut() {
    let server = server().await;
    let mut wire = Wire::over(server.connect().await);
    wire.send("GET /large HTTP/1.1\r\nhost: test\r\n\r\n").await;
    let began = Instant::now();
    while server.handle().stats().response_stalls == 0 {
        sleep(5 * SECOND).await;
        wire.byte().await;
        assert!(began.elapsed() < 60 * SECOND);
    }
    assert_eq!((server.handle().stats().response_stalls, server.handle().stats().response_bytes), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn s14_a_connection_has_so_many_bytes_of_responses_under_way_and_gets_503_beyond() {
    let server = server().await;
    let mut wire = Wire::over(server.connect().await);
    wire.send(NO_WINDOW).await;
    for stream in 0..20 {
        wire.send(get_large(2 * stream + 1)).await;
    }
    while server.handle().stats().requests_total < 20 || server.handle().stats().responses_refused < 12 {
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(server.handle().stats().response_bytes, 8 << 20);
    // Another connection is not concerned, and what is given up is given back.
    assert_eq!(server.get("/large").await.body().len(), 1 << 20);
    drop(wire);
    while server.handle().stats().response_bytes > 0 {
        sleep(SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn s14_where_all_hold_too_much_the_one_who_holds_most_is_cut() {
    // 96 MiB where nothing else is said; with fewer it is quicker.
    assert_eq!(Limits::default().response_bytes_max, 96 << 20);
    let limits = Limits { response_bytes_max: 5 << 20, ..Default::default() };
    let server = TestServer::in_memory_with(|server| server.limits(limits), app()).await;
    let holding = async |answers: u8| {
        let mut wire = Wire::over(server.connect().await);
        wire.send(NO_WINDOW).await;
        let before = server.handle().stats().response_bytes;
        for stream in 0..answers {
            wire.send(get_large(2 * stream + 1)).await;
        }
        while server.handle().stats().response_bytes < before + (usize::from(answers) << 20) {
            sleep(Duration::from_millis(1)).await;
        }
        wire
    };
    let (few, mut most) = (holding(1).await, holding(4).await);
    assert_eq!(server.get("/large").await.body().len(), 1 << 20);
    most.read_to_end().await;
    let stats = server.handle().stats();
    assert_eq!((stats.responses_cut, stats.response_bytes, stats.responses_refused), (1, 1 << 20, 0));
    drop(few);
}

#[tokio::test]
async fn s05_a_head_over_16_kib_or_100_fields_is_answered_with_431() {
    let server = server().await;
    for size in [17 * 1024, 60 * 1024, 200 * 1024] {
        let mut wire = Wire::over(server.connect().await);
        let large = "x".repeat(size);
        let _ = wire.try_send(format!("GET / HTTP/1.1\r\nhost: test\r\ncookie: {large}\r\n\r\n")).await;
        assert_eq!(wire.answer().await.unwrap().status(), 431, "{size}");
    }
    let mut wire = Wire::over(server.connect().await);
    wire.send(format!("GET / HTTP/1.1\r\nhost: test\r\n{}\r\n", "a: b\r\n".repeat(101))).await;
    assert_eq!(wire.answer().await.unwrap().status(), 431);

    let mut request = http::Request::get("/").body(Bytes::new()).unwrap();
    for _ in 0..101 {
        request.headers_mut().append("a", http::HeaderValue::from_static("b"));
    }
    assert_eq!(server.http2().await.send(request).await.unwrap().status(), 431);
    let mut request = http::Request::get("/").body(Bytes::new()).unwrap();
    request.headers_mut().insert("cookie", "x".repeat(17 * 1024).parse().unwrap());
    match server.http2().await.send(request).await {
        Ok(answer) => assert_eq!(answer.status(), 431),
        // A client that heeds the server's MAX_HEADER_LIST_SIZE does not even send it.
        Err(error) => assert!(
            format!("{error:?}").contains("HeaderListTooLarge") || format!("{error:?}").contains("too big"),
            "{error:?}"
        ),
    }
}

#[tokio::test]
async fn a_request_without_exactly_one_host_is_answered_with_400() {
    let server = server().await;
    for fields in ["", "host: a\r\nhost: b\r\n"] {
        let mut wire = Wire::over(server.connect().await);
        wire.send(format!("GET / HTTP/1.1\r\n{fields}\r\n")).await;
        assert_eq!(wire.answer().await.unwrap().status(), 400);
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_answered_with_413_declared_or_not() {
    let limits = Limits { request_body_bytes_max: Some(1000), ..Default::default() };
    let server = TestServer::in_memory_with(|server| server.limits(limits), app()).await;
    assert_eq!(server.post("/echo", vec![b'x'; 1000]).await.body().len(), 1000);

    let mut wire = Wire::over(server.connect().await);
    wire.send("POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 1001\r\n\r\n").await;
    let answer = wire.answer().await.unwrap();
    assert_eq!((answer.status(), answer.header("connection")), (413, Some("close")));

    let mut wire = Wire::over(server.connect().await);
    wire.send("POST /echo HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n").await;
    wire.send(format!("3e9\r\n{}\r\n0\r\n\r\n", "x".repeat(1001))).await;
    assert_eq!(wire.answer().await.unwrap().status(), 413);
}

/// Connections from whatever address a test names.
struct Addressed(mpsc::Receiver<(DuplexStream, SocketAddr)>);

impl Accept for Addressed {
    type Stream = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, Peer)> {
        match self.0.recv().await {
            Some((stream, address)) => Ok((stream, Peer::Tcp(address))),
            None => std::future::pending().await,
        }
    }
}

#[tokio::test]
async fn s17_one_address_holds_its_share_of_the_connections_and_gets_503_for_more() {
    let (connect, accepted) = mpsc::channel(16);
    let limits = Limits { connections_per_address_max: 2, ..Default::default() };
    let server = Server::bind(Listen::custom(Addressed(accepted)))
        .limits(limits)
        .trusted_proxies(tidings_serve::TrustedProxies::parse(["10.0.0.0/8"]).unwrap())
        .serve(app())
        .await
        .unwrap();
    let from = async |address: &str| {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        connect.send((theirs, format!("{address}:4711").parse().unwrap())).await.unwrap();
        let mut wire = Wire::over(ours);
        let answer = wire.get("/").await;
        (wire, answer)
    };
    let mut held = Vec::new();
    let statuses = [
        ("203.0.113.1", 200),
        ("203.0.113.1", 200),
        ("203.0.113.1", 503),
        ("203.0.113.2", 200),
        // One IPv6 network of 64 bits is one address.
        ("[2001:db8::1]", 200),
        ("[2001:db8::2]", 200),
        ("[2001:db8::3]", 503),
        ("[2001:db8:0:1::1]", 200),
        // These speak for many.
        ("127.0.0.1", 200),
        ("127.0.0.1", 200),
        ("127.0.0.1", 200),
        ("10.1.1.1", 200),
        ("10.1.1.1", 200),
        ("10.1.1.1", 200),
    ];
    for (address, status) in statuses {
        let (wire, answer) = from(address).await;
        assert_eq!(answer.status(), status, "{address}");
        if status == 503 {
            assert_eq!(answer.header("retry-after"), Some("5"));
        } else {
            held.push(wire);
        }
    }
    assert_eq!(server.stats().refused_address, 2);
    held.clear();
    while server.stats().connections > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(from("203.0.113.1").await.1.status(), 200, "a place given back is a place");
    server.close();
}

#[tokio::test(start_paused = true)]
async fn s15_ten_thousand_half_open_connections_leave_the_server_responsive_and_go() {
    let limits = Limits { connections_max: Some(20_000), ..Default::default() };
    let server = TestServer::in_memory_with(|server| server.limits(limits), app()).await;
    let mut half_open = Vec::new();
    for _ in 0..10_000 {
        let mut wire = Wire::over(server.connect().await);
        wire.send("GET / HT").await;
        half_open.push(wire);
    }
    assert_eq!(server.get("/").await.body(), "hello");
    sleep(11 * SECOND).await;
    assert_eq!(server.handle().stats().head_timeouts, 10_000);
    assert_eq!(server.get("/").await.body(), "hello");
}

#[tokio::test]
async fn c1_8_a_hundred_requests_are_in_flight_at_once_on_one_http2_connection() {
    let barrier = Arc::new(tokio::sync::Barrier::new(100));
    let meet = move || {
        let barrier = barrier.clone();
        async move { barrier.wait().await.is_leader().to_string() }
    };
    let server = TestServer::in_memory(app().route("/meet", get(meet))).await;
    let client = server.http2().await;
    let requests = std::iter::repeat_with(|| client.share())
        .take(100)
        .map(|mut client: TestClient| async move { client.get("/meet").await.into_body() });
    let answers = futures_util::future::join_all(requests).await;
    assert_eq!(answers.iter().filter(|answer| **answer == "true").count(), 1);
    assert_eq!(server.handle().stats().connections_total, 1);
}

#[tokio::test]
async fn c0_7_ten_thousand_requests_are_in_flight_at_once() {
    let barrier = Arc::new(tokio::sync::Barrier::new(10_000));
    let meet = move || {
        let barrier = barrier.clone();
        async move { barrier.wait().await.is_leader().to_string() }
    };
    let limits = Limits { connections_max: Some(20_000), ..Default::default() };
    let app = app().route("/meet", get(meet));
    let server = TestServer::in_memory_with(|server| server.limits(limits), app).await;
    let mut wires = Vec::new();
    for _ in 0..10_000 {
        let mut wire = Wire::over(server.connect().await);
        wire.send("GET /meet HTTP/1.1\r\nhost: test\r\n\r\n").await;
        wires.push(wire);
    }
    let answers = futures_util::future::join_all(wires.iter_mut().map(Wire::answer)).await;
    assert!(answers.iter().flatten().all(|answer| answer.status() == 200) && answers.len() == 10_000);
}
