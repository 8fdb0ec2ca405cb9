//! Starting and stopping (capabilities 2.1 to 2.8).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::Wire;
use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use tidings_serve::{Listen, Network, ServeError, Server, StartError};

fn hello() -> Router {
    Router::new().route("/", get(|| async { "hello" }))
}

#[tokio::test(flavor = "multi_thread")]
async fn c2_2_a_thousand_times_a_server_on_port_0_answers_at_once_and_shuts_down() {
    for _ in 0..1000 {
        let server = Server::bind("127.0.0.1:0").serve(hello()).await.unwrap();
        assert_ne!(server.local_addr().port(), 0);
        assert_eq!(Wire::connect(server.local_addr()).await.get("/").await.text(), "hello");
        assert!(server.shutdown(Duration::from_secs(10)).await.is_clean());
        server.wait().await.unwrap();
    }
}

#[tokio::test]
async fn c2_3_the_port_is_free_again_after_a_shutdown_and_after_a_close() {
    let server = Server::bind("127.0.0.1:0").serve(hello()).await.unwrap();
    let address = server.local_addr();
    server.shutdown(Duration::from_secs(10)).await;
    let again = Server::bind(address).serve(hello()).await.unwrap();
    again.close();
    again.wait().await.unwrap();
    let third = Server::bind(address).serve(hello()).await.unwrap();
    assert_eq!(Wire::connect(third.local_addr()).await.get("/").await.status(), 200);
}

#[tokio::test]
async fn c2_4_a_second_server_on_the_port_is_an_error_before_serve_returns() {
    let first = Server::bind("127.0.0.1:0").serve(hello()).await.unwrap();
    let second = Server::bind(first.local_addr()).serve(hello()).await;
    assert!(
        matches!(second, Err(StartError::Bind { ref source, .. }) if source.kind() == io::ErrorKind::AddrInUse),
        "{second:?}"
    );
}

#[tokio::test]
async fn c2_8_a_shutdown_right_after_the_start_is_no_error() {
    for _ in 0..100 {
        let server = Server::bind("127.0.0.1:0").serve(hello()).await.unwrap();
        assert!(server.shutdown(Duration::from_secs(10)).await.is_clean());
        server.wait().await.unwrap();
    }
}

#[tokio::test]
async fn the_peers_address_reaches_axums_own_extractor() {
    let app = Router::new()
        .route("/", get(|ConnectInfo(peer): ConnectInfo<std::net::SocketAddr>| async move { peer.ip().to_string() }));
    let server = Server::bind("127.0.0.1:0").serve(app).await.unwrap();
    assert_eq!(Wire::connect(server.local_addr()).await.get("/").await.text(), "127.0.0.1");
}

#[tokio::test]
async fn c2_12_a_closure_is_served_without_any_framework() {
    let app = tidings_serve::service_fn(|request: http::Request<tidings_serve::RequestBody>| async move {
        let path = request.uri().path().to_owned();
        Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Full::new(bytes::Bytes::from(path))))
    });
    let server = Server::bind("127.0.0.1:0").serve(app).await.unwrap();
    assert_eq!(Wire::connect(server.local_addr()).await.get("/there").await.text(), "/there");
}

#[tokio::test]
async fn c2_10_a_listener_takes_one_ip_version_or_both() {
    let dual = Server::bind("[::]:0").serve(hello()).await.unwrap();
    let v4_of_dual = format!("127.0.0.1:{}", dual.local_addr().port()).parse().unwrap();
    assert_eq!(Wire::connect(v4_of_dual).await.get("/").await.status(), 200);

    let v6 = Server::bind(Listen::tcp("[::]:0").network(Network::V6)).serve(hello()).await.unwrap();
    let port = v6.local_addr().port();
    assert_eq!(Wire::connect(format!("[::1]:{port}").parse().unwrap()).await.get("/").await.status(), 200);
    assert!(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err());

    let v4 = Server::bind(Listen::tcp("localhost:0").network(Network::V4)).serve(hello()).await.unwrap();
    assert!(v4.local_addr().is_ipv4());
    let wrong = Server::bind(Listen::tcp("[::1]:0").network(Network::V4)).serve(hello()).await;
    assert!(matches!(wrong, Err(StartError::Bind { .. })));
}

#[tokio::test]
async fn several_listeners_stand_under_one_handle_and_one_budget() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.sock");
    let handed_in = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let handed_in_address = handed_in.local_addr().unwrap();
    let server = Server::bind("127.0.0.1:0")
        .and_bind(Listen::unix(&path))
        .and_bind(handed_in)
        .limits(tidings_serve::Limits { connections_max: Some(3), ..Default::default() })
        .serve(hello())
        .await
        .unwrap();
    let mut tcp = Wire::connect(server.local_addr()).await;
    let mut unix = Wire::over(tokio::net::UnixStream::connect(&path).await.unwrap());
    let mut handed_in = Wire::connect(handed_in_address).await;
    assert_eq!(tcp.get("/").await.text(), "hello");
    assert_eq!(unix.get("/").await.text(), "hello");
    assert_eq!(handed_in.get("/").await.text(), "hello");
    let fourth = Wire::connect(server.local_addr()).await.get("/").await;
    assert_eq!((fourth.status(), fourth.header("retry-after")), (503, Some("5")), "S17");
    assert!(server.shutdown(Duration::from_secs(10)).await.is_clean());
    assert!(!path.exists(), "the socket's file goes with the server");
}

#[tokio::test]
async fn a_socket_file_left_behind_is_replaced_and_one_in_use_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let server = Server::bind(Listen::unix(&path)).serve(hello()).await.unwrap();
    assert!(matches!(Server::bind(Listen::unix(&path)).serve(hello()).await, Err(StartError::Bind { .. })));
    let mut unix = Wire::over(tokio::net::UnixStream::connect(&path).await.unwrap());
    assert_eq!(unix.get("/").await.text(), "hello");
    server.shutdown(Duration::from_secs(10)).await;
}

/// A listener that fails as it is told, and then goes on as the real one that it wraps.
struct Failing {
    listener: tokio::net::TcpListener,
    errors: Vec<io::Error>,
}

impl tidings_serve::Accept for Failing {
    type Stream = tokio::net::TcpStream;

    async fn accept(&mut self) -> io::Result<(Self::Stream, tidings_serve::Peer)> {
        if let Some(error) = self.errors.pop() {
            return Err(error);
        }
        let (stream, peer) = self.listener.accept().await?;
        Ok((stream, tidings_serve::Peer::Tcp(peer)))
    }

    fn local_addr(&self) -> Option<std::net::SocketAddr> {
        self.listener.local_addr().ok()
    }
}

async fn failing(errors: Vec<io::Error>) -> Failing {
    Failing { listener: tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap(), errors }
}

#[tokio::test]
async fn c2_5_a_broken_listener_is_reported_by_wait_exactly_once() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let server = Server::bind(Listen::custom(failing(vec![io::Error::other("injected")]).await))
        .on_failure(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
        })
        .serve(hello())
        .await
        .unwrap();
    let ServeError::Accept { source, .. } = server.wait().await.unwrap_err() else { panic!("the injected one") };
    assert_eq!(source.to_string(), "injected");
    server.wait().await.unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn c0_2_accepting_goes_on_after_a_lack_of_files_and_after_failed_connections() {
    let errors = [24, 23, 103, 105, 104, 1].map(io::Error::from_raw_os_error).into();
    let server = Server::bind(Listen::custom(failing(errors).await)).serve(hello()).await.unwrap();
    assert_eq!(Wire::connect(server.local_addr()).await.get("/").await.text(), "hello");
    assert_eq!(server.stats().accept_pauses, 3, "EMFILE, ENFILE and ENOBUFS");
}

#[test]
fn c2_5_the_process_can_be_made_to_end_with_its_server() {
    const AGAIN: &str = "SERVE_TEST_ABORTS";
    if std::env::var_os(AGAIN).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(async {
            let listener = failing(vec![io::Error::other("injected")]).await;
            let server = Server::bind(Listen::custom(listener)).abort_on_failure().serve(hello()).await.unwrap();
            let _ = server.wait().await;
        });
    }
    let this = std::env::current_exe().unwrap();
    let test = "start::c2_5_the_process_can_be_made_to_end_with_its_server";
    let end = std::process::Command::new(this).args([test, "--exact"]).env(AGAIN, "1").output().unwrap().status;
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&end), Some(6), "SIGABRT");
}

/// A listener whose accepting panics.
struct Panicking;

impl tidings_serve::Accept for Panicking {
    type Stream = tokio::io::DuplexStream;

    async fn accept(&mut self) -> io::Result<(Self::Stream, tidings_serve::Peer)> {
        panic!("in the listener")
    }
}

#[tokio::test]
async fn c2_5_a_listener_that_panics_is_reported_too() {
    let server = Server::bind(Listen::custom(Panicking)).serve(hello()).await.unwrap();
    server.wait().await.unwrap_err();
    server.wait().await.unwrap();
}

/// A service with room for one request at a time, as tower's limits are.
#[derive(Clone)]
struct OneAtATime {
    room: Arc<tokio::sync::Semaphore>,
    permit: Option<Arc<tokio::sync::OwnedSemaphorePermit>>,
    waiting: Option<Arc<std::sync::Mutex<Acquire>>>,
}

type Acquire = std::pin::Pin<Box<dyn Future<Output = tokio::sync::OwnedSemaphorePermit> + Send>>;

impl tower::Service<http::Request<tidings_serve::RequestBody>> for OneAtATime {
    type Response = http::Response<String>;
    type Error = std::convert::Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        let room = self.room.clone();
        let waiting = self.waiting.get_or_insert_with(|| {
            Arc::new(std::sync::Mutex::new(Box::pin(async move { room.acquire_owned().await.unwrap() })))
        });
        let polled = waiting.lock().unwrap().as_mut().poll(cx);
        polled.map(|permit| {
            self.permit = Some(Arc::new(permit));
            Ok(())
        })
    }

    fn call(&mut self, _: http::Request<tidings_serve::RequestBody>) -> Self::Future {
        let permit = self.permit.take().expect("it is called when it is ready");
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            drop(permit);
            Ok(http::Response::new("in turn".to_owned()))
        })
    }
}

#[tokio::test]
async fn a_service_that_is_not_ready_is_waited_for() {
    let room = Arc::new(tokio::sync::Semaphore::new(1));
    let server = Server::bind("127.0.0.1:0").serve(OneAtATime { room, permit: None, waiting: None }).await.unwrap();
    let mut wires = Vec::new();
    for _ in 0..20 {
        let mut wire = Wire::connect(server.local_addr()).await;
        wire.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n").await;
        wires.push(wire);
    }
    for wire in &mut wires {
        assert_eq!(wire.answer().await.unwrap().text(), "in turn");
    }
}
