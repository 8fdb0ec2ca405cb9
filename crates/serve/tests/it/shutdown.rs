//! Ending: what is finished, what is told, what is cut, and when (capability 2.3; the measured faults of other
//! servers).

use std::any::Any;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::Wire;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{any, get};
use futures_util::stream;
use tidings_serve::test_kit::{Received, TestServer, TestSocket};
use tidings_serve::{Connection, Limits, Readiness};
use tidings_websocket::Upgrade;
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

async fn echo(upgrade: Upgrade) -> Response {
    upgrade.on_upgrade(async |mut socket| {
        while let Some(Ok(message)) = socket.receive().await {
            if socket.send(message).await.is_err() {
                return;
            }
        }
    })
}

async fn slow() -> &'static str {
    sleep(5 * SECOND).await;
    "slow"
}

async fn hung() -> &'static str {
    std::future::pending().await
}

async fn events() -> Response {
    let events = stream::unfold((), |()| async {
        sleep(SECOND).await;
        Some((Ok::<_, Infallible>(Bytes::from_static(b"data: x\n\n")), ()))
    });
    Response::builder().header("content-type", "text/event-stream").body(Body::from_stream(events)).unwrap()
}

/// A live connection's answer: it ends when it says so, a second after it was asked to.
async fn live(request: Request) -> Result<Response, StatusCode> {
    let connection = request.extensions().get::<Connection>().unwrap().clone();
    let last_words = stream::once(async move {
        connection.closing().cancelled_owned().await;
        sleep(SECOND).await;
        Ok::<_, Infallible>(Bytes::from_static(b"data: bye\n\n"))
    });
    let live = request.extensions().get::<Connection>().unwrap().live_response()?;
    let response = Response::builder().header("content-type", "text/event-stream").extension(live);
    Ok(response.body(Body::from_stream(last_words)).unwrap())
}

fn app() -> Router {
    Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/live", get(live))
        .route("/slow", get(slow))
        .route("/hung", get(hung))
        .route("/events", get(events))
        .route("/ws", any(echo))
}

async fn server() -> TestServer {
    TestServer::in_memory(app()).await
}

/// Sends a request and waits until the server has it.
async fn ask<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
    server: &TestServer,
    wire: &mut Wire<S>,
    path: &str,
) {
    let before = server.handle().stats().requests_total;
    wire.send(format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n")).await;
    while server.handle().stats().requests_total == before {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn c2_3_requests_in_flight_finish_and_idle_connections_close_at_once() {
    let server = server().await;
    let (mut idle, mut busy) = (Wire::over(server.connect().await), Wire::over(server.connect().await));
    idle.get("/").await;
    ask(&server, &mut busy, "/slow").await;
    let mut http2 = server.http2().await;
    let mut http2_busy = http2.share();
    assert_eq!(http2.get("/").await.status(), 200);
    let on_http2 = tokio::spawn(async move { http2_busy.get("/slow").await });
    while server.handle().stats().requests_in_flight < 2 {
        tokio::task::yield_now().await;
    }

    let handle = server.handle().clone();
    let shutdown = tokio::spawn(async move { handle.shutdown(30 * SECOND).await });
    let began = Instant::now();
    assert!(idle.read_to_end().await.is_empty());
    assert_eq!(began.elapsed(), Duration::ZERO);
    let answer = busy.answer().await.unwrap();
    assert_eq!((answer.text().as_str(), answer.header("connection")), ("slow", Some("close")));
    assert_eq!(on_http2.await.unwrap().body(), "slow");
    let report = shutdown.await.unwrap();
    assert!(report.is_clean() && report.elapsed.as_secs() == 5, "{report:?}");
    assert_eq!(report.requests_finished, 2);
    server.handle().wait().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_hung_request_cannot_hold_a_shutdown_beyond_its_deadline() {
    struct Dropped(Arc<AtomicUsize>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let counted = dropped.clone();
    let guarded = move || {
        let guard = Dropped(counted.clone());
        async move {
            let _guard = guard;
            std::future::pending::<&'static str>().await
        }
    };
    let server = TestServer::in_memory(app().route("/guarded", get(guarded))).await;
    let mut wire = Wire::over(server.connect().await);
    ask(&server, &mut wire, "/guarded").await;
    let mut http2 = server.http2().await;
    tokio::spawn(async move { http2.get("/guarded").await });
    while server.handle().stats().requests_in_flight < 2 {
        tokio::task::yield_now().await;
    }
    let report = server.handle().shutdown(10 * SECOND).await;
    assert_eq!(report.elapsed.as_secs(), 10);
    assert_eq!((report.requests_cut, report.connections_cut, report.sockets_cut), (2, 2, 0));
    assert!(wire.read_to_end().await.is_empty());
    sleep(SECOND).await;
    assert_eq!(dropped.load(Ordering::Relaxed), 2, "the handlers are gone on both protocols");
    assert_eq!(server.handle().stats().connections, 0);
}

#[tokio::test]
async fn c2_3_close_cuts_at_once() {
    let server = server().await;
    let mut wire = Wire::over(server.connect().await);
    ask(&server, &mut wire, "/hung").await;
    let mut socket = server.websocket("/ws").await;
    server.handle().close();
    server.handle().wait().await.unwrap();
    assert!(wire.read_to_end().await.is_empty());
    assert_eq!(socket.receive().await, Received::Close(1001));
}

#[tokio::test(start_paused = true)]
async fn sockets_are_told_1001_and_waited_for() {
    let cleaned_up = Arc::new(AtomicBool::new(false));
    let flag = cleaned_up.clone();
    let careful = move |upgrade: Upgrade| {
        let flag = flag.clone();
        async move {
            upgrade.on_upgrade(async move |mut socket| {
                while let Some(Ok(_)) = socket.receive().await {}
                sleep(2 * SECOND).await;
                flag.store(true, Ordering::Relaxed);
            })
        }
    };
    let server = TestServer::in_memory(app().route("/careful", any(careful))).await;
    let mut socket = server.websocket("/careful").await;
    while server.handle().stats().sockets == 0 {
        tokio::task::yield_now().await;
    }
    let handle = server.handle().clone();
    let shutdown = tokio::spawn(async move { handle.shutdown(30 * SECOND).await });
    assert_eq!(socket.receive().await, Received::Close(1001));
    socket.close(1001).await;
    let report = shutdown.await.unwrap();
    assert!(cleaned_up.load(Ordering::Relaxed), "the shutdown waited for the socket's own task");
    assert_eq!((report.sockets_closed, report.sockets_cut, report.is_clean()), (1, 0, true));
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_will_not_end_is_reported_at_the_deadline() {
    let deaf = |upgrade: Upgrade| async { upgrade.on_upgrade(async |_socket| std::future::pending().await) };
    let server = TestServer::in_memory(app().route("/deaf", any(deaf))).await;
    let _socket = server.websocket("/deaf").await;
    while server.handle().stats().sockets == 0 {
        tokio::task::yield_now().await;
    }
    let report = server.handle().shutdown(8 * SECOND).await;
    assert_eq!((report.elapsed.as_secs(), report.sockets_cut, report.is_clean()), (8, 1, false));
}

#[tokio::test(start_paused = true)]
async fn a_socket_of_a_library_that_knows_task_trackers_alone_is_waited_for_as_well() {
    let deaf = |request: axum::extract::Request| async {
        let mut parts = request.into_parts().0;
        parts.extensions.remove::<Arc<dyn Any + Send + Sync>>();
        Upgrade::from_parts(&mut parts).unwrap().on_upgrade(async |_socket| std::future::pending().await)
    };
    let server = TestServer::in_memory(app().route("/deaf", any(deaf))).await;
    let _socket = server.websocket("/deaf").await;
    while server.handle().stats().sockets == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.handle().stats().connections, 1);
    let report = server.handle().shutdown(8 * SECOND).await;
    assert_eq!((report.elapsed.as_secs(), report.sockets_cut, report.is_clean()), (8, 1, false));
    assert_eq!(server.handle().stats().sockets, 0);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_sockets_are_closed_one_after_the_other() {
    let server = server().await;
    let mut clients = Vec::new();
    for _ in 0..1000 {
        let mut socket = server.websocket("/ws").await;
        clients.push(tokio::spawn(async move {
            assert_eq!(socket.receive().await, Received::Close(1001));
            let told = Instant::now();
            socket.close(1001).await;
            told
        }));
    }
    while server.handle().stats().sockets < 1000 {
        tokio::task::yield_now().await;
    }
    let began = Instant::now();
    let report = server.handle().shutdown(30 * SECOND).await;
    assert!(report.is_clean() && report.sockets_closed == 1000);
    let mut told = Vec::new();
    for client in clients {
        told.push(client.await.unwrap().duration_since(began).as_millis());
    }
    told.sort_unstable();
    let busiest = told.chunk_by(|a, b| a == b).map(<[_]>::len).max().unwrap();
    assert!(busiest <= 16, "at most one wave at a time, and {busiest} were told together");
    assert!((800..=1100).contains(told.last().unwrap()), "over a second in all: {:?}", told.last());
}

#[tokio::test(start_paused = true)]
async fn event_streams_end_between_two_events_and_look_complete() {
    let server = server().await;
    let mut wire = Wire::over(server.connect().await);
    ask(&server, &mut wire, "/events").await;
    sleep(3 * SECOND + SECOND / 2).await;
    let report = server.handle().shutdown(30 * SECOND).await;
    assert!(report.is_clean() && report.elapsed < SECOND, "{report:?}");
    let answer = wire.answer().await.unwrap();
    assert!(answer.complete);
    assert_eq!(answer.text(), "data: x\n\n".repeat(3));
}

#[tokio::test(start_paused = true)]
async fn a_live_response_ends_when_its_writer_says_so_and_has_its_last_words() {
    let server = server().await;
    let mut wire = Wire::over(server.connect().await);
    ask(&server, &mut wire, "/live").await;
    let mut http2 = server.http2().await;
    let on_http2 = tokio::spawn(async move { http2.get("/live").await });
    while server.handle().stats().requests_in_flight < 2 {
        tokio::task::yield_now().await;
    }
    let report = server.handle().shutdown(30 * SECOND).await;
    assert!(report.is_clean() && report.elapsed >= SECOND, "{report:?}");
    let answer = wire.answer().await.unwrap();
    assert!(answer.complete);
    assert_eq!(answer.text(), "data: bye\n\n");
    assert_eq!(on_http2.await.unwrap().body(), "data: bye\n\n");
}

#[tokio::test]
async fn s17_live_responses_through_one_http2_connection_count_as_many() {
    let limits = Limits { connections_max: Some(3), ..Default::default() };
    let server = TestServer::in_memory_with(|server| server.limits(limits), app()).await;
    let mut client = server.http2().await;
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let mut share = client.share();
            tokio::spawn(async move { share.get("/live").await })
        })
        .collect();
    while server.handle().stats().connections < 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(client.get("/live").await.status(), 503);
    assert_eq!(client.get("/").await.status(), 200, "an ordinary answer takes no place");
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
    while server.handle().stats().connections > 1 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_is_announced_while_it_still_accepts() {
    let readiness = Readiness::new();
    assert!(!readiness.is_ready());
    let ready = readiness.clone();
    let server = TestServer::in_memory_with(|server| server.readiness(ready).announce(5 * SECOND), app()).await;
    assert!(readiness.is_ready());
    let mut kept = Wire::over(server.connect().await);
    assert_eq!(kept.get("/").await.header("connection"), None);
    let mut http2 = server.http2().await;
    http2.get("/").await;
    let (mut sibling, mut late) = (http2.share(), http2.share());
    let slow = tokio::spawn(async move { sibling.get("/slow").await });
    while server.handle().stats().requests_in_flight == 0 {
        tokio::task::yield_now().await;
    }
    let handle = server.handle().clone();
    let shutdown = tokio::spawn(async move { handle.shutdown(30 * SECOND).await });
    sleep(SECOND).await;
    assert!(!readiness.is_ready());
    assert_eq!(kept.get("/").await.header("connection"), Some("close"));
    assert!(kept.is_closed().await);
    let mut fresh = Wire::over(server.connect().await);
    assert_eq!(fresh.get("/").await.text(), "hello", "a balancer that has not noticed yet is served");
    let after_goaway = late.send(http::Request::get("/").body(Bytes::new()).unwrap()).await;
    assert!(after_goaway.is_err(), "HTTP/2 was told to open no more streams");
    assert_eq!(server.http2().await.get("/").await.status(), 200);
    assert_eq!(slow.await.unwrap().body(), "slow");
    assert_eq!(shutdown.await.unwrap().elapsed.as_secs(), 5);
}

#[tokio::test]
async fn s17_a_socket_counts_against_the_budget_until_it_ends() {
    let limits = Limits { connections_max: Some(1), ..Default::default() };
    let server = TestServer::in_memory_with(|server| server.limits(limits), app()).await;
    let mut socket = server.websocket("/ws").await;
    socket.send("hello").await;
    assert_eq!(socket.receive().await, Received::Text("hello".to_owned()));
    assert_eq!(server.get("/").await.status(), 503);
    socket.close(1000).await;
    assert_eq!(socket.receive().await, Received::Close(1000));
    while server.handle().stats().connections > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.get("/").await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_socket_over_http2_lives_beyond_the_idle_time_and_is_told_1001() {
    let server = server().await;
    let mut client = server.http2().await;
    client.get("/").await;
    let stream = client.websocket_stream("/ws").await;
    let mut socket = TestSocket::over(stream);
    for _ in 0..3 {
        sleep(100 * SECOND).await;
        socket.send("still here").await;
        assert_eq!(socket.receive().await, Received::Text("still here".to_owned()));
    }
    let handle = server.handle().clone();
    let shutdown = tokio::spawn(async move { handle.shutdown(30 * SECOND).await });
    assert_eq!(socket.receive().await, Received::Close(1001));
    socket.close(1001).await;
    assert!(shutdown.await.unwrap().is_clean());
}

#[tokio::test]
async fn a_panic_in_a_sockets_task_closes_it_with_1011_and_nothing_else() {
    let panicking = |upgrade: Upgrade| async {
        upgrade.on_upgrade(async |mut socket| {
            socket.receive().await;
            panic!("in the socket's task")
        })
    };
    let server = TestServer::start(app().route("/panic", any(panicking))).await;
    let mut sibling = server.websocket("/ws").await;
    let mut socket = server.websocket("/panic").await;
    socket.send("now").await;
    assert_eq!(socket.receive().await, Received::Close(1011));
    sibling.send("hello").await;
    assert_eq!(sibling.receive().await, Received::Text("hello".to_owned()));
}
