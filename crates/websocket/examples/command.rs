//! A process behind a socket: `cargo run -p tidings-websocket --example command -- 127.0.0.1:9003 cat -n`
//!
//! Open http://127.0.0.1:9003/. Each connection runs the command; each message is a line of its input, and each line of its
//! output is a message. Everybody who reaches the address can talk to the command, so keep to the loopback address.

use axum::{
    Router,
    response::Html,
    routing::{any, get},
};
use futures_util::{SinkExt, StreamExt};
use std::{process::Stdio, sync::Arc, time::Duration};
use tidings_websocket::{CloseCode, Message, Upgrade, Upgraded, WebSocket};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{ChildStdin, ChildStdout, Command},
    time::timeout,
};

/// How long the command may take to accept one line of input. While it accepts none we receive nothing, and would not
/// notice that the client has gone.
const INPUT_TIMEOUT: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:9003".to_owned());
    let mut command: Vec<String> = arguments.collect();
    if command.is_empty() {
        command = vec!["cat".to_owned()];
    }
    let command = Arc::new(command);
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let start = move |upgrade: Upgrade| async move {
        upgrade.on_upgrade(|mut socket| async move {
            let reason = match run(&mut socket, &command).await {
                Ok(()) => String::new(),
                Err(error) => error.to_string(),
            };
            let code = if reason.is_empty() { CloseCode::NORMAL } else { CloseCode::INTERNAL_ERROR };
            socket.close(code, &reason).await;
        })
    };
    Ok(axum::serve(listener, Router::new().route("/", get(Html(PAGE))).route("/ws", any(start))).await?)
}

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Runs the command until it ends or the client goes.
async fn run(socket: &mut WebSocket<Upgraded>, command: &[String]) -> Result<(), Error> {
    let mut process = Command::new(&command[0])
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let input = process.stdin.take().ok_or("no standard input")?;
    let output = process.stdout.take().ok_or("no standard output")?;
    let outcome = pump(socket, input, output).await;
    process.kill().await?;
    outcome
}

/// Carries messages and lines until one side has no more.
///
/// The two directions wait for nothing of each other: a command that answers before it has read everything would
/// otherwise wait for us to take its answer while we wait for it to take its input.
async fn pump(socket: &mut WebSocket<Upgraded>, mut input: ChildStdin, output: ChildStdout) -> Result<(), Error> {
    let (mut sink, mut messages) = socket.split();
    let to_command = async {
        while let Some(message) = messages.next().await {
            let line = [message?.as_bytes(), b"\n"].concat();
            timeout(INPUT_TIMEOUT, input.write_all(&line)).await.map_err(|_| "the command takes no input")??;
        }
        Ok(())
    };
    let from_command = async {
        let mut lines = BufReader::new(output).lines();
        while let Some(line) = lines.next_line().await? {
            sink.send(Message::text(line)).await?;
        }
        Ok(())
    };
    tokio::select! {
        outcome = to_command => outcome,
        outcome = from_command => outcome,
    }
}

const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>Command</title>
<pre></pre><form><input autofocus><button>Send</button></form>
<script>
const socket = new WebSocket(location.href.replace(/^http/, "ws") + "ws");
const say = (text) => document.querySelector("pre").append(text + "\n");
socket.onmessage = (event) => say(event.data);
socket.onclose = (event) => say(`ended: ${event.code} ${event.reason}`);
document.querySelector("form").onsubmit = (event) => {
  event.preventDefault();
  socket.send(document.querySelector("input").value);
  event.target.reset();
};
</script>"#;
