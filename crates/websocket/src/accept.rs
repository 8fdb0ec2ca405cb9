//! Accepting over any byte stream, without an HTTP server: reads a request, and answers it.

use crate::{
    Limits, UpgradeRefusal, WebSocket,
    handshake::{Accepted, ServerRequest},
    limits::{HANDSHAKE_TIMEOUT, HEADER_BYTES_MAX, HEADERS_MAX, REFUSED_BYTES_MAX},
};
use bytes::{Buf, BytesMut};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, request::Parts};
use std::{io, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, sink},
    time::timeout,
};

/// A request for a WebSocket that has arrived over a stream and is still to be answered.
///
/// For servers that speak nothing but WebSocket; others take [`Upgrade`](crate::Upgrade).
#[derive(Debug)]
pub struct Handshake<S> {
    stream: S,
    head: Parts,
    request: ServerRequest,
    read_ahead: BytesMut,
}

/// Reads a request from a stream, for no longer than [`HANDSHAKE_TIMEOUT`]. One that asks for no WebSocket is answered
/// here, and so is what is no HTTP; then the connection is closed.
///
/// # Errors
/// [`AcceptError`]; a refusal has been sent already.
pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> Result<Handshake<S>, AcceptError> {
    accept_within(stream, HANDSHAKE_TIMEOUT).await
}

/// As [`accept()`], with another limit of time for the request to arrive and, if need be, to be refused.
///
/// # Errors
/// As [`accept()`].
pub async fn accept_within<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    limit: Duration,
) -> Result<Handshake<S>, AcceptError> {
    let accepting = async {
        let mut input = BytesMut::new();
        match read_request(&mut stream, &mut input).await {
            Ok((head, request)) => Ok((head, request, input)),
            Err(error) => Err(answer(&mut stream, error).await),
        }
    };
    let (head, request, read_ahead) = timeout(limit, accepting).await.map_err(|_| AcceptError::TimedOut)??;
    Ok(Handshake { stream, head, request, read_ahead })
}

async fn read_request<S: AsyncRead + Unpin>(
    stream: &mut S,
    input: &mut BytesMut,
) -> Result<(Parts, ServerRequest), AcceptError> {
    loop {
        if let Some((head, size)) = parse_request(input)? {
            input.advance(size);
            let request = ServerRequest::parse(&head, None)?;
            return Ok((head, request));
        }
        if input.len() > HEADER_BYTES_MAX {
            return Err(UpgradeRefusal::HeadersTooLarge.into());
        }
        if stream.read_buf(input).await? == 0 {
            return Err(AcceptError::Io(io::ErrorKind::UnexpectedEof.into()));
        }
    }
}

/// Tells the peer why it gets no WebSocket, as far as it can be told.
async fn answer<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, error: AcceptError) -> AcceptError {
    let response = match &error {
        AcceptError::Refused(refusal) => refusal.response(),
        AcceptError::NotHttp => {
            let mut response = Response::new("this is not HTTP/1.1\n".to_owned());
            *response.status_mut() = StatusCode::BAD_REQUEST;
            response
        }
        AcceptError::TimedOut | AcceptError::Io(_) => return error,
    };
    if let Err(failed) = write_response(stream, response).await {
        return AcceptError::Io(failed);
    }
    // TCP resets a connection that is closed with bytes unread, and a reset can overtake the answer. Waits for none.
    let arrived = async { copy(&mut stream.take(REFUSED_BYTES_MAX), &mut sink()).await };
    let _ = timeout(Duration::ZERO, arrived).await;
    error
}

impl<S: AsyncRead + AsyncWrite + Unpin> Handshake<S> {
    /// The request's head: its path, its cookies.
    #[must_use]
    pub fn head(&self) -> &Parts {
        &self.head
    }

    /// What this server wants of the connection: origins, subprotocols, compression.
    pub fn request(&mut self) -> &mut ServerRequest {
        &mut self.request
    }

    /// Answers with 101.
    ///
    /// # Errors
    /// [`AcceptError::Refused`] when the page may not connect; it has been told.
    pub async fn accept(mut self, limits: Limits) -> Result<WebSocket<S>, AcceptError> {
        let accepted = match self.request.accept() {
            Ok(accepted) => accepted,
            Err(refusal) => return Err(answer(&mut self.stream, refusal.into()).await),
        };
        let machine = accepted.machine(&limits);
        let Accepted { response, protocol, .. } = accepted;
        self.stream.write_all(&head_bytes(&response)).await?;
        self.stream.flush().await?;
        let mut socket = WebSocket::with_machine(self.stream, machine, limits).with_read_ahead(&self.read_ahead);
        socket.set_protocol(protocol);
        Ok(socket)
    }

    /// Answers with something else, such as 401, and gives the stream back.
    ///
    /// # Errors
    /// Those of the stream.
    pub async fn refuse(mut self, response: Response<String>) -> io::Result<S> {
        write_response(&mut self.stream, response).await?;
        Ok(self.stream)
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The request was refused, and told so.
    #[error("refused: {0}")]
    Refused(#[from] UpgradeRefusal),
    /// What arrived is not HTTP, and was answered with 400.
    #[error("not HTTP")]
    NotHttp,
    /// The request did not arrive in time; the connection is closed without an answer (S13).
    #[error("the request did not arrive in time")]
    TimedOut,
    /// The transport failed.
    #[error("the transport failed: {0}")]
    Io(#[from] io::Error),
}

/// Reads the head of a request from the front of `input`, with its size in bytes; `None` while incomplete.
///
/// # Errors
/// [`AcceptError::NotHttp`], or a refusal when there are more than a hundred header fields.
pub fn parse_request(input: &[u8]) -> Result<Option<(Parts, usize)>, AcceptError> {
    let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut fields);
    let size = match parsed.parse(input) {
        Ok(httparse::Status::Complete(size)) => size,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(UpgradeRefusal::HeadersTooLarge.into()),
        Err(_) => return Err(AcceptError::NotHttp),
    };
    let version = if parsed.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    let mut request = Request::builder()
        .method(Method::from_bytes(parsed.method.unwrap_or_default().as_bytes()).map_err(|_| AcceptError::NotHttp)?)
        .uri(parsed.path.unwrap_or_default())
        .version(version)
        .body(())
        .map_err(|_| AcceptError::NotHttp)?;
    for field in parsed.headers {
        let name = HeaderName::try_from(field.name).map_err(|_| AcceptError::NotHttp)?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| AcceptError::NotHttp)?;
        request.headers_mut().append(name, value);
    }
    Ok(Some((request.into_parts().0, size)))
}

async fn write_response<S: AsyncWrite + Unpin>(stream: &mut S, response: Response<String>) -> io::Result<()> {
    let (mut head, body) = response.into_parts();
    head.headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    head.headers.append(http::header::CONNECTION, HeaderValue::from_static("close"));
    let mut bytes = head_bytes(&Response::from_parts(head, ()));
    bytes.extend_from_slice(body.as_bytes());
    stream.write_all(&bytes).await?;
    stream.flush().await?;
    stream.shutdown().await
}

fn head_bytes(response: &Response<()>) -> Vec<u8> {
    let status = response.status();
    let reason = status.canonical_reason().unwrap_or_default();
    let mut bytes = format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).into_bytes();
    for (name, value) in response.headers() {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}
