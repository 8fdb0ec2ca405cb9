//! A client that shows the wire as it is: what hyper's client would tidy away is what these tests are about.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long a test waits for what must happen, before it fails. Nothing takes that long when it works.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// One HTTP/1.1 connection, byte by byte.
pub(crate) struct Wire<S = TcpStream> {
    stream: S,
    buffer: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// False when the connection ended before the body's declared end.
    pub(crate) complete: bool,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line")
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Wire {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.expect("the server accepts"))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.expect("the server reads");
    }

    /// Sends what may meet a closed connection.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n")).await;
        self.answer().await.expect("an answer")
    }

    pub(crate) async fn post(&mut self, path: &str, body: &str) -> Answer {
        let length = body.len();
        self.send(format!("POST {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n\r\n{body}")).await;
        self.answer().await.expect("an answer")
    }

    /// The next response, or `None` when the connection ends without one.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        tokio::time::timeout(PATIENCE, self.read_answer()).await.expect("an answer in time")
    }

    async fn read_answer(&mut self) -> Option<Answer> {
        let head_end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            if !self.read_more().await {
                return None;
            }
        };
        let head = String::from_utf8(self.buffer.drain(..head_end).collect()).expect("a head is text");
        let mut answer = Answer { head, body: Vec::new(), complete: true };
        if answer.header("transfer-encoding") == Some("chunked") {
            answer.complete = self.read_chunks(&mut answer.body).await;
        } else if let Some(length) = answer.header("content-length") {
            let length: usize = length.parse().expect("a length");
            while self.buffer.len() < length && self.read_more().await {}
            answer.complete = self.buffer.len() >= length;
            let end = length.min(self.buffer.len());
            answer.body = self.buffer.drain(..end).collect();
        }
        Some(answer)
    }

    async fn read_chunks(&mut self, body: &mut Vec<u8>) -> bool {
        loop {
            let line_end = loop {
                if let Some(at) = find(&self.buffer, b"\r\n") {
                    break at;
                }
                if !self.read_more().await {
                    return false;
                }
            };
            let line = String::from_utf8_lossy(&self.buffer[..line_end]).into_owned();
            let size = usize::from_str_radix(line.trim(), 16).expect("a chunk's size");
            while self.buffer.len() < line_end + 2 + size + 2 {
                if !self.read_more().await {
                    return false;
                }
            }
            let chunk: Vec<u8> = self.buffer.drain(..line_end + 2 + size + 2).collect();
            body.extend_from_slice(&chunk[line_end + 2..line_end + 2 + size]);
            if size == 0 {
                return true;
            }
        }
    }

    async fn read_more(&mut self) -> bool {
        // A reset is an end too: the client sees that nothing more will come.
        self.stream.read_buf(&mut self.buffer).await.is_ok_and(|read| read > 0)
    }

    /// True when the server has closed the connection and sent nothing more.
    pub(crate) async fn is_closed(&mut self) -> bool {
        let more = tokio::time::timeout(PATIENCE, self.read_more()).await.expect("the server closes in time");
        !more && self.buffer.is_empty()
    }

    /// One byte of whatever comes next, if anything does.
    pub(crate) async fn byte(&mut self) {
        let _ = self.stream.read_u8().await;
    }

    /// A chunk of whatever comes next.
    pub(crate) async fn some(&mut self) -> Vec<u8> {
        if self.buffer.is_empty() {
            self.buffer.reserve(64 * 1024);
            let more = tokio::time::timeout(PATIENCE, self.read_more()).await.expect("bytes in time");
            assert!(more, "the connection is open");
        }
        std::mem::take(&mut self.buffer)
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Reads to the end and gives what came. Without a time limit of its own, for tests in virtual time.
    pub(crate) async fn read_to_end(&mut self) -> Vec<u8> {
        while self.read_more().await {}
        std::mem::take(&mut self.buffer)
    }
}
