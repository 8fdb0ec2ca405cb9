//! A panic is the end of one request, and of nothing else (capabilities 0.5, 0.6; S65).

use std::convert::Infallible;
use std::time::Duration;

use crate::support::Wire;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::{get, post};
use futures_util::stream::{self, StreamExt};
use tidings_serve::test_kit::TestServer;

/// A body whose second chunk panics.
fn bursting() -> Body {
    Body::from_stream(stream::iter(0..2).map(|turn| {
        assert_eq!(turn, 0, "secret of the body");
        Ok::<_, Infallible>(Bytes::from_static(b"first"))
    }))
}

async fn panic() -> &'static str {
    panic!("secret of the handler")
}

async fn panic_later() -> &'static str {
    tokio::task::yield_now().await;
    panic!("later")
}

async fn panic_read(_: Bytes) -> &'static str {
    panic!("read")
}

async fn slow() -> &'static str {
    tokio::time::sleep(Duration::from_millis(50)).await;
    "slow"
}

fn app() -> Router {
    Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/panic", get(panic).post(panic))
        .route("/panic-read", post(panic_read))
        .route("/panic-later", get(panic_later))
        .route("/panic-body", get(|| async { bursting() }))
        .route("/panic-known-length", get(|| async { ([("content-length", "10")], bursting()) }))
        .route("/slow", get(slow))
}

#[tokio::test]
async fn c0_6_a_handlers_panic_is_answered_with_500_on_a_connection_that_serves_the_next_request() {
    let server = TestServer::start(app()).await;
    let mut wire = Wire::connect(server.handle().local_addr()).await;
    for path in ["/panic", "/panic-later", "/panic"] {
        let answer = wire.get(path).await;
        assert_eq!(answer.status(), 500);
        assert!(!answer.header("x-request-id").unwrap().is_empty());
        assert_eq!(wire.get("/").await.text(), "hello");
    }
    assert_eq!(wire.post("/panic-read", "a body").await.status(), 500);
    assert_eq!(wire.get("/").await.text(), "hello");
    assert_eq!(server.handle().stats().handler_panics, 4);
}

#[tokio::test]
async fn s65_the_answer_to_a_panic_gives_away_the_requests_id_and_nothing_else() {
    let server = TestServer::start(app()).await;
    let answer = Wire::connect(server.handle().local_addr()).await.get("/panic").await;
    let id = answer.header("x-request-id").unwrap();
    assert_eq!(answer.text(), format!("500 Internal Server Error\nrequest {id}\n"));
}

#[tokio::test]
async fn c0_6_a_panic_before_the_request_was_read_is_answered_and_ends_the_connection() {
    let server = TestServer::start(app()).await;
    let mut wire = Wire::connect(server.handle().local_addr()).await;
    // The body never comes; if the connection went on, the next request would be taken for it.
    wire.send("POST /panic HTTP/1.1\r\nhost: test\r\ncontent-length: 100000\r\n\r\nbegin").await;
    let answer = wire.answer().await.unwrap();
    assert_eq!((answer.status(), answer.header("connection")), (500, Some("close")));
    assert!(wire.is_closed().await);
}

#[tokio::test]
async fn a_client_that_sends_its_whole_body_before_it_looks_gets_the_answer() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = TestServer::start(app()).await;
    for (path, size, status) in [("/panic", 8 << 20, 500), ("/", 8 << 20, 405), ("/panic-read", 20 << 20, 413)] {
        let mut stream = tokio::net::TcpStream::connect(server.handle().local_addr()).await.unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {size}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b'x'; size]).await.expect("the server reads on");
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, format!("HTTP/1.1 {status}").as_bytes());
    }
}

#[tokio::test]
async fn a_client_that_asks_before_it_sends_its_body_is_not_told_to_send_what_nobody_reads() {
    let server = TestServer::in_memory(app()).await;
    for (path, length, status) in [("/panic", 1000, 500), ("/panic", 100 << 20, 413)] {
        let mut wire = Wire::over(server.connect().await);
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n");
        wire.send(head).await;
        assert_eq!(wire.answer().await.unwrap().status(), status);
        assert!(wire.is_closed().await);
    }
}

#[tokio::test]
async fn a_panic_in_a_body_never_looks_like_a_complete_response() {
    let server = TestServer::start(app()).await;
    for path in ["/panic-body", "/panic-known-length"] {
        let mut wire = Wire::connect(server.handle().local_addr()).await;
        let answer = wire.get(path).await;
        assert_eq!(answer.status(), 200);
        assert!(!answer.complete, "{path}");
    }
    let mut http2 = server.http2().await;
    let cut = http2.send(http::Request::get("/panic-body").body(Bytes::new()).unwrap()).await.unwrap_err();
    assert!(format!("{cut:?}").contains("Reset"), "{cut:?}");
    assert_eq!(server.handle().stats().body_panics, 3);
    assert_eq!(server.get("/").await.body(), "hello");
}

#[tokio::test]
async fn http2_siblings_of_a_panic_are_untouched() {
    let server = TestServer::start(app()).await;
    let mut client = server.http2().await;
    let mut siblings: Vec<_> = std::iter::repeat_with(|| client.share()).take(10).collect();
    let slow = siblings.iter_mut().map(|sibling| sibling.get("/slow"));
    let panics = async {
        assert_eq!(client.get("/panic").await.status(), 500);
        client.send(http::Request::get("/panic-body").body(Bytes::new()).unwrap()).await.unwrap_err();
        client.get("/").await
    };
    let (slow, after) = tokio::join!(futures_util::future::join_all(slow), panics);
    assert!(slow.iter().all(|response| response.body() == "slow"));
    assert_eq!(after.body(), "hello");
}

#[tokio::test]
async fn c0_5_a_service_that_fails_or_panics_outside_its_future_is_answered_with_500_too() {
    let app = tidings_serve::service_fn(|request: http::Request<tidings_serve::RequestBody>| {
        assert_ne!(request.uri().path(), "/panic", "in the call itself");
        std::future::ready(Err::<http::Response<String>, _>(std::io::Error::other("failed")))
    });
    let server = TestServer::in_memory(app).await;
    let mut client = server.http1().await;
    for path in ["/panic", "/fail", "/panic"] {
        let answer = client.get(path).await;
        assert_eq!(answer.status(), 500);
        assert!(!String::from_utf8_lossy(answer.body()).contains("fail"));
    }
    assert_eq!(server.handle().stats().handler_panics, 2);
}

/// A log that a test can read.
#[derive(Clone, Default)]
struct Log(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn c0_5_the_log_has_the_requests_id_the_panics_message_and_its_place() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    // The tests of this file run on one thread each, and so does everything of their servers.
    let _guard = tracing::subscriber::set_default(subscriber);
    let server = TestServer::in_memory(app()).await;
    let answer = server.get("/panic?token=secret").await;
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for part in [id.as_str(), "secret of the handler", "tests/it/panics.rs:", "path=\"/panic\"", "method=GET"] {
        assert!(log.contains(part), "{part} in {log}");
    }
    assert!(!log.contains("token=secret"), "the query may hold what no log should");
}
