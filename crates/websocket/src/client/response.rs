//! The server's answer: its head, and what a refusal says. Judges form only; whether a 101 fits the request is judged
//! where the request is known.

use super::ConnectError;
use crate::{
    handshake,
    limits::{HEADER_BYTES_MAX, HEADERS_MAX, INTERIM_ANSWERS_MAX, REFUSAL_BODY_BYTES_MAX},
};
use bytes::{Buf, Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};
use std::{io, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    time::timeout,
};

/// Reads the head of the final answer. What comes behind it is left in `input`; interim answers are passed over.
pub(super) async fn read_head<S: AsyncRead + Unpin>(
    stream: &mut S,
    input: &mut BytesMut,
) -> Result<Response<()>, ConnectError> {
    let mut interim = 0;
    loop {
        match parse_head(input).map_err(ConnectError::not_http)? {
            Some(response) if !is_interim(response.status()) => return Ok(response),
            Some(_) if interim == INTERIM_ANSWERS_MAX => return Err(ConnectError::not_http("it never becomes final")),
            Some(_) => {
                interim += 1;
                continue;
            }
            None if input.len() > HEADER_BYTES_MAX => return Err(ConnectError::not_http("its header is too large")),
            None => {}
        }
        if stream.read_buf(input).await? == 0 {
            return Err(ConnectError::Io(io::ErrorKind::UnexpectedEof.into()));
        }
    }
}

/// Whether another answer follows this one, as after 100 and 103 (RFC 9110 §15.2).
fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}

/// Takes the head of a response off the front of `input`, once it is there.
fn parse_head(input: &mut BytesMut) -> Result<Option<Response<()>>, &'static str> {
    let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Response::new(&mut fields);
    let size = match parsed.parse(input) {
        Ok(httparse::Status::Complete(size)) => size,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err("its header is too large"),
        Err(_) => return Err("it is not HTTP"),
    };
    let mut response = Response::new(());
    *response.status_mut() =
        parsed.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or("its status is invalid")?;
    *response.version_mut() = if parsed.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    for field in parsed.headers {
        let name = HeaderName::try_from(field.name).map_err(|_| "a header field is invalid")?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| "a header field is invalid")?;
        response.headers_mut().append(name, value);
    }
    input.advance(size);
    Ok(Some(response))
}

/// As much of a refusal's body as comes within the limits of bytes and time: an explanation, so what is missing is no
/// error. `input` is what arrived with the head.
pub(super) async fn read_body<S: AsyncRead + Unpin>(
    stream: &mut S,
    response: &Response<()>,
    mut input: BytesMut,
    limit: Duration,
) -> Bytes {
    let mut framing = Framing::of(response);
    let mut body = BytesMut::new();
    let reading = async {
        while framing.take(&mut input, &mut body) && body.len() < REFUSAL_BODY_BYTES_MAX {
            if !stream.read_buf(&mut input).await.is_ok_and(|bytes| bytes > 0) {
                return;
            }
        }
    };
    // Whatever has come when the time is up is in the body.
    let _ = timeout(limit, reading).await;
    body.truncate(REFUSAL_BODY_BYTES_MAX);
    body.freeze()
}

/// How the end of a body is known (RFC 9112 §6.3).
enum Framing {
    /// By the bytes that are left.
    Length(u64),
    /// By a chunk without bytes; `left` of the current one, with the two of its line's end.
    Chunked { left: u64 },
    /// By the connection's end.
    Close,
}

impl Framing {
    fn of(response: &Response<()>) -> Self {
        let (status, headers) = (response.status(), response.headers());
        if status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED {
            return Framing::Length(0);
        }
        match handshake::list(headers, TRANSFER_ENCODING).last() {
            Some(last) if last.eq_ignore_ascii_case("chunked") => Framing::Chunked { left: 0 },
            Some(_) => Framing::Close,
            None => content_length(headers).map_or(Framing::Close, Framing::Length),
        }
    }

    /// Moves what belongs to the body from `input` to `body`; `false` once the body is complete, or broken.
    fn take(&mut self, input: &mut BytesMut, body: &mut BytesMut) -> bool {
        match self {
            Framing::Length(left) => {
                body.unsplit(split_up_to(input, left));
                *left > 0
            }
            Framing::Close => {
                body.unsplit(input.split());
                true
            }
            Framing::Chunked { left } => loop {
                let mut data = left.saturating_sub(2);
                let line_end = *left - data;
                body.extend_from_slice(&split_up_to(input, &mut data));
                *left = data + line_end;
                if data == 0 {
                    split_up_to(input, left);
                }
                if *left > 0 {
                    return true;
                }
                match httparse::parse_chunk_size(input) {
                    Ok(httparse::Status::Complete((_, 0))) | Err(_) => return false,
                    Ok(httparse::Status::Complete((line, size))) => {
                        input.advance(line);
                        *left = size.saturating_add(2);
                    }
                    Ok(httparse::Status::Partial) => return input.len() <= HEADER_BYTES_MAX,
                }
            },
        }
    }
}

/// Takes `left` bytes off the front of `input`, or as many as there are, and counts them down.
fn split_up_to(input: &mut BytesMut, left: &mut u64) -> BytesMut {
    let bytes = input.split_to(usize::try_from(*left).map_or(input.len(), |left| left.min(input.len())));
    *left -= bytes.len() as u64;
    bytes
}

/// The length that all `Content-Length` agree on.
fn content_length(headers: &HeaderMap) -> Option<u64> {
    let mut lengths = handshake::list(headers, CONTENT_LENGTH).map(|length| length.parse().ok());
    let first = lengths.next()??;
    lengths.all(|length| length == Some(first)).then_some(first)
}
