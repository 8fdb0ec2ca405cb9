//! One HTTP/1.1 connection of the load generator, kept open: a request out, its answer in, and nothing else.

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::limits;

pub(crate) struct HttpWire {
    stream: TcpStream,
    authority: String,
    /// What every request carries beside its length, each line with its end.
    headers: String,
    request: Vec<u8>,
    answer: Vec<u8>,
}

/// An answer, as long as its connection is not used again.
pub(crate) struct Answer<'w> {
    pub(crate) status: u16,
    /// The first cookie that it sets, as a request sends it back.
    pub(crate) cookie: Option<String>,
    pub(crate) body: &'w str,
}

impl HttpWire {
    pub(crate) async fn dial(authority: &str, headers: &[(&str, &str)]) -> Result<HttpWire> {
        let stream = TcpStream::connect(authority).await.context("dialling")?;
        stream.set_nodelay(true)?;
        let headers = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        Ok(HttpWire { stream, authority: authority.to_owned(), headers, request: Vec::new(), answer: Vec::new() })
    }

    pub(crate) async fn post(&mut self, path: &str, json: &str) -> Result<Answer<'_>> {
        self.ask("POST", path, json).await
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<Answer<'_>> {
        self.ask("GET", path, "").await
    }

    async fn ask(&mut self, method: &str, path: &str, json: &str) -> Result<Answer<'_>> {
        use std::io::Write as _;
        self.request.clear();
        let (authority, headers) = (&self.authority, &self.headers);
        let length = json.len();
        write!(
            self.request,
            "{method} {path} HTTP/1.1\r\nhost: {authority}\r\n{headers}content-type: application/json\r\n\
             content-length: {length}\r\n\r\n{json}"
        )?;
        self.stream.write_all(&self.request).await.context("sending")?;
        self.answer.clear();
        let Head { status, cookie, bytes, body_bytes } = loop {
            if let Some(head) = head(&self.answer)? {
                break head;
            }
            self.read().await?;
        };
        ensure!(body_bytes <= limits::ANSWER_BYTES_MAX, "an answer of {body_bytes} bytes");
        let body = bytes..bytes + body_bytes;
        while self.answer.len() < body.end {
            self.read().await?;
        }
        Ok(Answer { status, cookie, body: std::str::from_utf8(&self.answer[body]).context("reading the answer")? })
    }

    async fn read(&mut self) -> Result<()> {
        self.answer.reserve(4096);
        let count = self.stream.read_buf(&mut self.answer).await.context("receiving")?;
        ensure!(count > 0, "the server closed the connection");
        Ok(())
    }
}

impl Answer<'_> {
    /// Fails with what the server said, unless it said yes.
    pub(crate) fn ensure_ok(&self) -> Result<()> {
        ensure!((200..300).contains(&self.status), "the server answered {}: {}", self.status, self.body);
        Ok(())
    }
}

/// What is to be known of an answer's head.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    /// The first that is set, with its name.
    cookie: Option<String>,
    /// Bytes of the head itself.
    bytes: usize,
    body_bytes: usize,
}

/// `None` while the head is not all there.
fn head(answer: &[u8]) -> Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(bytes) = response.parse(answer).context("reading the answer's head")? else {
        return Ok(None);
    };
    let status = response.code.unwrap_or_default();
    let header = |name: &str| {
        let header = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(header.value).ok()
    };
    let cookie = header("set-cookie").and_then(|cookie| cookie.split(';').next()).map(str::to_owned);
    let body_bytes = match header("content-length") {
        Some(length) => length.parse().context("reading the answer's length")?,
        None if status == 204 => 0,
        None => bail!("an answer without its length"),
    };
    Ok(Some(Head { status, cookie, bytes, body_bytes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_when_its_head_is_there() {
        let text = b"HTTP/1.1 201 Created\r\nSet-Cookie: tidings=abc; Path=/\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(head(&text[..40]).unwrap(), None);
        let cookie = Some("tidings=abc".to_owned());
        assert_eq!(head(text).unwrap(), Some(Head { status: 201, cookie, bytes: text.len() - 2, body_bytes: 2 }));
        assert_eq!(head(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap().unwrap().body_bytes, 0);
        assert!(head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
    }
}
