//! Running out of file descriptors.

use std::fs::File;
use std::process::Command;
use std::time::Duration;

use crate::support::Wire;
use axum::Router;
use axum::routing::get;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tidings_serve::{Limits, Server};
use tokio::net::TcpStream;

/// The limit is the process's, so the test runs itself again in a process of its own.
#[test]
fn c0_2_a_server_without_file_descriptors_pauses_and_resumes_when_there_are_some() {
    const AGAIN: &str = "SERVE_TEST_DESCRIPTORS";
    if std::env::var_os(AGAIN).is_some() {
        setrlimit(Resource::Nofile, Rlimit { current: Some(256), ..getrlimit(Resource::Nofile) }).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(run_out_and_recover());
    }
    let this = std::env::current_exe().unwrap();
    let test = "files::c0_2_a_server_without_file_descriptors_pauses_and_resumes_when_there_are_some";
    let end = Command::new(this).args([test, "--exact"]).env(AGAIN, "1").output().unwrap();
    let said = String::from_utf8_lossy(&end.stdout);
    assert!(end.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&end.stderr));
}

async fn run_out_and_recover() {
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
