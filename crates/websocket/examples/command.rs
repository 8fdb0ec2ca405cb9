//! A process behind a socket: `cargo run -p tidings-websocket --example command -- 127.0.0.1:9003 cat -n`
//!
//! Open http://127.0.0.1:9003/. Each connection runs the command; each message is a line of its input, and each line of its
//! output is a message. Everybody who reaches the address can talk to the command, so keep to the loopback address.

use axum::{
    Router,
    response::Html,
    routing::{any, get},
};
use std::{process::Stdio, sync::Arc};
use tidings_websocket::{CloseCode, Upgrade, Upgraded, WebSocket};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::Command,
};

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

async fn run(socket: &mut WebSocket<Upgraded>, command: &[String]) -> Result<(), Error> {
    let mut process = Command::new(&command[0])
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut input = process.stdin.take().ok_or("no standard input")?;
    let mut output = BufReader::new(process.stdout.take().ok_or("no standard output")?).lines();
    loop {
        tokio::select! {
            message = socket.receive() => match message {
                Some(message) => {
                    input.write_all(message?.as_bytes()).await?;
                    input.write_all(b"\n").await?;
                    input.flush().await?;
                }
                None => return Ok(()),
            },
            line = output.next_line() => match line? {
                Some(line) => socket.send(line).await?,
                None => return Ok(()),
            },
        }
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
