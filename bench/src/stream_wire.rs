//! One live connection over plain HTTP of the load generator: an answer that does not end, and requests beside it that
//! share a few connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use anyhow::{Context, Result, bail, ensure};
use tidings_protocol::{Reply, Response};
use tidings_websocket::Utf8Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use crate::cli::Transport;
use crate::http_wire::HttpWire;
use crate::{ENCODING, limits};

pub(crate) struct StreamWire {
    stream: TcpStream,
    transport: Transport,
    uplinks: Arc<Uplinks>,
    session: String,
    node: String,
    /// Bytes of the answer that are not taken apart yet, with the frames of the transfer around them.
    raw: Vec<u8>,
    /// What is left of the answer behind the last message.
    text: String,
}

/// The connections over which the requests of all streams go.
pub(crate) struct Uplinks {
    lanes: Vec<Mutex<HttpWire>>,
    next: AtomicUsize,
}

impl Uplinks {
    pub(crate) async fn dial(authority: &str) -> Result<Uplinks> {
        let mut lanes = Vec::with_capacity(limits::UPLINKS);
        for _ in 0..limits::UPLINKS {
            let mut lane = HttpWire::dial(authority, &[]).await?;
            // A connection that says nothing at first is closed before the first ping wants an answer.
            lane.get("/healthz").await?.ensure_ok()?;
            lanes.push(Mutex::new(lane));
        }
        Ok(Uplinks { lanes, next: AtomicUsize::new(0) })
    }

    async fn post(&self, body: &str) -> Result<()> {
        let lane = self.next.fetch_add(1, Relaxed) % self.lanes.len();
        self.lanes[lane].lock().await.post("/emulation", body).await?.ensure_ok()
    }
}

impl StreamWire {
    /// Opens a stream with a frame that connects, and reads the answer to it.
    pub(crate) async fn open(
        authority: &str,
        transport: Transport,
        connect: &[u8],
        uplinks: Arc<Uplinks>,
    ) -> Result<StreamWire> {
        let mut stream = TcpStream::connect(authority).await.context("dialling")?;
        stream.set_nodelay(true)?;
        let (path, length) = (transport.path(), connect.len());
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {authority}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all(&[head.as_bytes(), connect].concat()).await.context("sending")?;
        let (session, node, raw, text) = Default::default();
        let mut wire = StreamWire { stream, transport, uplinks, session, node, raw, text };
        let end = loop {
            if let Some(end) = wire.raw.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
            ensure!(wire.raw.len() < limits::ANSWER_BYTES_MAX, "an answer without an end of its head");
            wire.read().await?;
        };
        let head = String::from_utf8_lossy(&wire.raw[..end]).into_owned();
        ensure!(head.starts_with("HTTP/1.1 200"), "the server answered {}", head.lines().next().unwrap_or_default());
        ensure!(head.to_ascii_lowercase().contains("transfer-encoding: chunked"), "a stream of a stated length");
        wire.raw.drain(..end);
        let answer = wire.receive().await?;
        match ENCODING.replies(answer.as_bytes())?.into_iter().next() {
            Some(Reply::Answer { result: Ok(Response::Connect(welcome)), .. }) => {
                (wire.session, wire.node) = (welcome.session, welcome.node);
                Ok(wire)
            }
            other => bail!("the server did not connect: {other:?}"),
        }
    }

    /// The next message. May be cancelled without loss.
    pub(crate) async fn receive(&mut self) -> Result<Utf8Bytes> {
        loop {
            if let Some(message) = self.next_message() {
                return Ok(Utf8Bytes::from(message));
            }
            if !self.take_chunk()? {
                self.read().await?;
            }
        }
    }

    pub(crate) async fn send(&self, command: &[u8]) -> Result<()> {
        let data = std::str::from_utf8(command)?;
        let (session, node) = (&self.session, &self.node);
        self.uplinks.post(&serde_json::json!({ "session": session, "node": node, "data": data }).to_string()).await
    }

    fn next_message(&mut self) -> Option<String> {
        let end = if self.transport == Transport::Sse { "\n\n" } else { "\n" };
        loop {
            let (message, rest) = self.text.split_once(end)?;
            let lines = message.lines().filter_map(|line| match self.transport {
                Transport::Sse => line.strip_prefix("data: "),
                _ => Some(line),
            });
            let message = lines.collect::<Vec<_>>().join("\n");
            self.text = rest.to_owned();
            if !message.is_empty() {
                return Some(message);
            }
        }
    }

    /// Takes a chunk of the transfer out of its frame, once it is whole.
    fn take_chunk(&mut self) -> Result<bool> {
        let Some(line) = self.raw.windows(2).position(|bytes| bytes == b"\r\n") else { return Ok(false) };
        let size = std::str::from_utf8(&self.raw[..line])?.split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(size.trim(), 16).context("reading the size of a chunk")?;
        ensure!(size > 0, "the server ended the stream: {}", self.text);
        let (begin, end) = (line + 2, line + 2 + size);
        if self.raw.len() < end + 2 {
            return Ok(false);
        }
        self.text += std::str::from_utf8(&self.raw[begin..end]).context("a chunk that is no text")?;
        self.raw.drain(..end + 2);
        Ok(true)
    }

    async fn read(&mut self) -> Result<()> {
        // Grows when there is something, so that idle connections hold little here.
        let count = self.stream.read_buf(&mut self.raw).await.context("receiving")?;
        ensure!(count > 0, "the server closed the connection");
        Ok(())
    }
}
