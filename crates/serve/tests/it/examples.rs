//! The examples do what they say.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::support::Wire;
use rustix::process::{Pid, Signal, kill_process};
use tidings_serve::test_kit::{Received, TestSocket};
use tokio::net::TcpStream;

struct Example {
    child: Child,
    output: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Example {
    fn start(name: &str) -> Self {
        let package = env!("CARGO_PKG_NAME");
        let built =
            Command::new(env!("CARGO")).args(["build", "-q", "-p", package, "--example", name]).status().unwrap();
        assert!(built.success());
        // Beside the test itself: target/debug/deps/it-… and target/debug/examples/….
        let test = std::env::current_exe().unwrap();
        let program = test.parent().unwrap().parent().unwrap().join("examples").join(name);
        let mut child = Command::new(program)
            .arg("127.0.0.1:0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("cargo has built the example");
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on http").expect("its first line says where it listens");
        let address = url.trim_start_matches('s').strip_prefix("://").unwrap().parse().unwrap();
        Self { child, output, address }
    }

    /// Asks it to stop, and gives what it still says.
    fn stop(mut self) -> String {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).unwrap();
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        assert!(self.child.wait().unwrap().success());
        rest
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // Already gone, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn hello_answers_sleeps_echoes_and_survives_its_panics() {
    let example = Example::start("hello");
    let mut wire = Wire::connect(example.address).await;
    assert_eq!(wire.get("/").await.text(), "hello\n");
    assert_eq!(wire.get("/sleep?ms=5").await.text(), "slept 5 ms\n");
    assert_eq!(wire.post("/echo", "and back").await.text(), "and back");
    assert_eq!(wire.get("/panic").await.status(), 500);
    assert_eq!(wire.get("/").await.text(), "hello\n");
    let cut = wire.get("/panic-body").await;
    assert_eq!((cut.text().as_str(), cut.complete), ("the first chunk\n", false));

    let mut echo = TestSocket::connect(TcpStream::connect(example.address).await.unwrap(), "/ws").await;
    echo.send("and back").await;
    assert_eq!(echo.receive().await, Received::Text("and back".to_owned()));
    let mut panic = TestSocket::connect(TcpStream::connect(example.address).await.unwrap(), "/ws-panic").await;
    panic.send("now").await;
    assert_eq!(panic.receive().await, Received::Close(1011));
    example.stop();
    assert_eq!(echo.receive().await, Received::Close(1001));
}

#[tokio::test]
async fn tls_serves_https_and_http_at_once() {
    let mut example = Example::start("tls");
    let mut line = String::new();
    example.output.read_line(&mut line).unwrap();
    let plain = line.trim().strip_prefix("and on http://").unwrap().parse().unwrap();
    assert_eq!(Wire::connect(plain).await.get("/").await.text(), "hello over http\n");
    let url = format!("https://localhost:{}/", example.address.port());
    let curl = Command::new("curl").args(["-sk", "--http2", &url]).output();
    if let Ok(curl) = curl {
        assert_eq!(String::from_utf8_lossy(&curl.stdout), "hello over https\n");
    }
    example.stop();
}

#[tokio::test]
async fn graceful_finishes_what_is_in_flight_and_says_so() {
    let example = Example::start("graceful");
    let mut slow = Wire::connect(example.address).await;
    let mut ticks = Wire::connect(example.address).await;
    ticks.send("GET /ticks HTTP/1.1\r\nhost: test\r\n\r\n").await;
    let first = ticks.some().await;
    assert!(first.starts_with(b"HTTP/1.1 200"));
    slow.send("GET /slow HTTP/1.1\r\nhost: test\r\n\r\n").await;
    assert_eq!(Wire::connect(example.address).await.get("/readyz").await.status(), 200);
    let said = tokio::task::spawn_blocking(|| example.stop()).await.unwrap();
    assert_eq!(slow.answer().await.unwrap().text(), "done\n");
    assert!(said.contains("stopping") && said.contains("connections_cut: 0"), "{said}");
}
