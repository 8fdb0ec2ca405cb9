//! Sends each line of standard input and prints what comes back:
//! `cargo run -p tidings-websocket --example echo_client -- ws://127.0.0.1:9001/`
//!
//! With `--autobahn` it runs every case that an Autobahn fuzzing server offers at the URL; with `--deflate` it offers
//! compression.

use std::error::Error;
use tidings_websocket::{CloseCode, ConnectOptions, DeflateOptions, Limits, Message, connect};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let url = arguments.iter().find(|argument| !argument.starts_with("--"));
    let url = url.map_or("ws://127.0.0.1:9001", |url| url.trim_end_matches('/'));
    let mut options = ConnectOptions::new().limits(Limits::client().message_bytes_max(128 * 1024 * 1024));
    if has("--deflate") || has("--autobahn") {
        options = options.deflate(DeflateOptions {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            threshold_bytes: 0,
            ..DeflateOptions::default()
        });
    }
    if has("--autobahn") { autobahn(url, options).await } else { talk(url, options).await }
}

async fn talk(url: &str, options: ConnectOptions) -> Result<(), Box<dyn Error>> {
    let (mut socket, _) = connect(url, options).await?;
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        socket.send(line).await?;
        match socket.receive().await {
            Some(message) => println!("{}", message?.as_text().unwrap_or("(binary)")),
            None => break,
        }
    }
    socket.close(CloseCode::NORMAL, "").await;
    Ok(())
}

async fn autobahn(url: &str, options: ConnectOptions) -> Result<(), Box<dyn Error>> {
    let agent = "agent=tidings-websocket";
    let (mut socket, _) = connect(format!("{url}/getCaseCount"), options.clone()).await?;
    let count = socket.receive().await.ok_or("the fuzzing server said nothing")??;
    let count: u32 = count.as_text().ok_or("the count is not text")?.parse()?;
    socket.close(CloseCode::NORMAL, "").await;
    for case in 1..=count {
        let (mut socket, _) = connect(format!("{url}/runCase?case={case}&{agent}"), options.clone()).await?;
        while let Some(Ok(message)) = socket.receive().await {
            let message: Message = message;
            if socket.send(message).await.is_err() {
                break;
            }
        }
    }
    let (mut socket, _) = connect(format!("{url}/updateReports?{agent}"), options).await?;
    while let Some(Ok(_)) = socket.receive().await {}
    println!("ran {count} cases");
    Ok(())
}
