//! Every example runs as its first comment says.

use std::{
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    sync::Once,
    time::Duration,
};
use tidings_websocket::{ClientStream, CloseCode, ConnectOptions, DeflateOptions, Message, WebSocket, connect};
use tokio::time::timeout;

/// A running example, killed when it is dropped.
struct Example {
    process: Child,
    output: BufReader<ChildStdout>,
    address: String,
}

impl Example {
    fn start(name: &str, arguments: &[&str]) -> Self {
        let mut example = Self::run(name, arguments);
        let mut line = String::new();
        example.output.read_line(&mut line).unwrap();
        example.address = line.trim_end().strip_prefix("listening on http://").expect("it says where").to_owned();
        example
    }

    fn run(name: &str, arguments: &[&str]) -> Self {
        let mut process =
            Command::new(binary(name)).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Example { process, output, address: String::new() }
    }

    async fn connect(&self, path: &str) -> WebSocket<ClientStream> {
        let options = ConnectOptions::new().deflate(DeflateOptions::default());
        connect(format!("ws://{}{path}", self.address), options).await.unwrap().0
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The example's program. `cargo test` builds all examples before the tests; a narrower run may not.
fn binary(name: &str) -> PathBuf {
    static BUILT: Once = Once::new();
    let folder = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("examples");
    BUILT.call_once(|| {
        if !folder.join("filewatch").exists() {
            let status =
                Command::new(env!("CARGO")).args(["build", "-q", "-p", "tidings-websocket", "--examples"]).status();
            assert!(status.unwrap().success());
        }
    });
    folder.join(name)
}

async fn text(socket: &mut WebSocket<ClientStream>) -> String {
    socket.receive().await.unwrap().unwrap().as_text().unwrap().to_owned()
}

#[tokio::test]
async fn echo_sends_messages_back_and_compresses_when_asked() {
    for (arguments, compressed) in [(&["127.0.0.1:0"][..], false), (&["127.0.0.1:0", "--deflate"], true)] {
        let example = Example::start("echo", arguments);
        let mut socket = example.connect("/").await;
        assert_eq!(socket.is_compressed(), compressed);
        let message = Message::text("to be or not to be ".repeat(100));
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.receive().await.unwrap().unwrap(), message);
        assert_eq!(socket.close(CloseCode::NORMAL, "").await, Some(CloseCode::NORMAL.into()));
    }
}

#[tokio::test]
async fn echo_client_prints_what_comes_back() {
    let server = Example::start("echo", &["127.0.0.1:0"]);
    let mut client = Example::run("echo_client", &[&format!("ws://{}/", server.address)]);
    client.process.stdin.take().unwrap().write_all("hello\n".as_bytes()).unwrap();
    let mut line = String::new();
    client.output.read_line(&mut line).unwrap();
    assert_eq!(line, "hello\n");
    assert!(client.process.wait().unwrap().success());
}

#[tokio::test]
async fn chat_carries_messages_to_everybody() {
    let example = Example::start("chat", &["127.0.0.1:0"]);
    let (mut ana, mut ben) = (example.connect("/ws").await, example.connect("/ws").await);
    ben.send("here").await.unwrap();
    assert_eq!(text(&mut ben).await, "here");
    ana.send("hello").await.unwrap();
    while text(&mut ana).await != "hello" {}
    assert_eq!(text(&mut ben).await, "hello");
}

#[tokio::test]
async fn command_runs_a_process_behind_a_socket() {
    let example = Example::start("command", &["127.0.0.1:0", "sed", "-u", "s/^/> /;/quit/q"]);
    let mut socket = example.connect("/ws").await;
    for line in ["hello", "quit"] {
        socket.send(line).await.unwrap();
        assert_eq!(text(&mut socket).await, format!("> {line}"));
    }
    assert!(socket.receive().await.is_none());
    assert_eq!(socket.close_frame().unwrap().code, CloseCode::NORMAL);
}

#[tokio::test]
async fn command_takes_and_gives_at_the_same_time() {
    let example = Example::start("command", &["127.0.0.1:0", "cat", "-n"]);
    let mut socket = example.connect("/ws").await;
    let long = "x".repeat(60_000);
    let sender = socket.sender(4 * 1024 * 1024);
    for _ in 0..40 {
        sender.try_send(long.as_str()).unwrap();
    }
    for number in 1..=40 {
        let line = timeout(Duration::from_secs(10), text(&mut socket)).await.expect("the command goes on");
        assert!(line == format!("{number:6}\t{long}"), "line {number} differs");
    }
}

#[tokio::test]
async fn command_ends_with_its_client() {
    let example = Example::start("command", &["127.0.0.1:0", "sh", "-c", "echo $$; exec cat"]);
    for closes in [true, false] {
        let mut socket = example.connect("/ws").await;
        let process = text(&mut socket).await;
        assert!(is_running(&process));
        if closes {
            socket.close(CloseCode::NORMAL, "").await;
        } else {
            // It vanishes in the middle of much that goes both ways, and has read nothing.
            let flood = async { while socket.send("x".repeat(60_000)).await.is_ok() {} };
            let _ = timeout(Duration::from_millis(500), flood).await;
            socket.abort();
        }
        let gone = async {
            while is_running(&process) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(10), gone).await.expect("the process ends soon after its client");
    }
}

fn is_running(process: &str) -> bool {
    Command::new("sh").args(["-c", &format!("kill -0 {process} 2>/dev/null")]).status().unwrap().success()
}

#[tokio::test]
async fn filewatch_shows_a_file_whenever_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "first").unwrap();
    let example = Example::start("filewatch", &["127.0.0.1:0", file.to_str().unwrap()]);
    let mut socket = example.connect("/ws").await;
    assert_eq!(text(&mut socket).await, "first");
    std::fs::write(&file, "second").unwrap();
    // The file may be caught between being emptied and being filled.
    while text(&mut socket).await != "second" {}
}
