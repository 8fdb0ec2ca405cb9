//! Running out of file descriptors. Alone in its process, because the limit is the process's.

mod support;

use std::fs::File;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use rustix::process::{Resource, getrlimit, setrlimit};
use support::Wire;
use tidings_serve::{Limits, Server};
use tokio::net::TcpStream;

#[tokio::test]
async fn c0_2_a_server_without_file_descriptors_pauses_and_resumes_when_there_are_some() {
    setrlimit(Resource::Nofile, rustix::process::Rlimit { current: Some(256), ..getrlimit(Resource::Nofile) }).unwrap();
    let app = Router::new().route("/", get(|| async { "hello" }));
    let limits = Limits { connections_max: Some(10_000), ..Default::default() };
    let server = Server::bind("127.0.0.1:0").limits(limits).serve(app).await.unwrap();

    let mut hoard: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    // One for the client's end. The server's end finds none: the connection waits in the kernel.
    hoard.pop();
    let mut waiting = Wire::over(TcpStream::connect(server.local_addr()).await.unwrap());
    waiting.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n").await;
    while server.stats().accept_pauses < 3 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(hoard);
    assert_eq!(waiting.answer().await.unwrap().text(), "hello");
    assert!(server.shutdown(Duration::from_secs(10)).await.connections_cut <= 1);
}
