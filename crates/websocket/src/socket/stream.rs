//! Messages that are too long, or too slow, to be held whole: read and written in parts.

use super::{ReceiveError, SendError, WebSocket};
use crate::{Event, Kind, Part, utf8::Utf8};
use bytes::{Buf, Bytes};
use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Longest fragment that [`AsyncWrite`] makes of a message, in bytes: what is copied at once.
const FRAGMENT_BYTES_MAX: usize = 64 * 1024;

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// The next message as a reader of its parts, as they arrive. Its whole length is not bounded by
    /// [`Limits::message_bytes_max`](crate::Limits::message_bytes_max); `reader.take(max)` of tokio bounds what is read.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub async fn receive_parts(&mut self) -> Option<Result<MessageReader<'_, S>, ReceiveError>> {
        self.inner_mut().wants_parts = true;
        let first = loop {
            match poll_fn(|cx| self.inner_mut().poll_event(cx)).await? {
                Ok(Event::Part(part)) => break part,
                // It had begun to arrive whole.
                Ok(Event::Message(message)) => {
                    break Part { kind: message.kind(), bytes: message.into_bytes(), last: true };
                }
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
        };
        Some(Ok(MessageReader { socket: self, kind: first.kind, bytes: first.bytes, ended: first.last }))
    }

    /// Begins a message that is sent in parts, each a fragment that leaves at once (RFC 6455 §5.4). Until it is finished,
    /// no other message can be sent; control frames can.
    pub fn writer(&mut self, kind: Kind) -> MessageWriter<'_, S> {
        MessageWriter { socket: self, kind, utf8: Utf8::default(), compress: true, begun: false, finished: false }
    }
}

/// A message that is arriving: part by part, or as an [`AsyncRead`]. What is left of it when this is dropped is skipped.
#[derive(Debug)]
pub struct MessageReader<'a, S> {
    socket: &'a mut WebSocket<S>,
    kind: Kind,
    /// What has arrived and nobody has taken.
    bytes: Bytes,
    /// Nothing comes after that.
    ended: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> MessageReader<'_, S> {
    /// Text or binary.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The next part; `None` after the last. Text is validated, but a part may end inside a character.
    ///
    /// # Errors
    /// As [`WebSocket::receive`]; also when the connection closes before the message has ended.
    pub async fn part(&mut self) -> Option<Result<Bytes, ReceiveError>> {
        match poll_fn(|cx| self.poll_bytes(cx)).await {
            Ok(()) if self.bytes.is_empty() => None,
            Ok(()) => Some(Ok(std::mem::take(&mut self.bytes))),
            Err(error) => Some(Err(error)),
        }
    }

    /// Waits for bytes; there are none only at the end.
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ReceiveError>> {
        while self.bytes.is_empty() && !self.ended {
            match ready!(self.socket.inner_mut().poll_event(cx)) {
                Some(Ok(Event::Part(part))) => {
                    self.bytes = part.bytes;
                    self.ended = part.last;
                }
                Some(Ok(Event::Ping(_) | Event::Pong(_))) => {}
                Some(Err(error)) => {
                    self.ended = true;
                    return Poll::Ready(Err(error));
                }
                _ => {
                    self.ended = true;
                    return Poll::Ready(Err(ReceiveError::Disconnected));
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// An error of the connection is one of [`io::ErrorKind::Other`] with the [`ReceiveError`] inside.
impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for MessageReader<'_, S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_bytes(cx)).map_err(io::Error::other)?;
        let taken = self.bytes.len().min(buffer.remaining());
        buffer.put_slice(&self.bytes[..taken]);
        self.bytes.advance(taken);
        Poll::Ready(Ok(()))
    }
}

impl<S> Drop for MessageReader<'_, S> {
    fn drop(&mut self) {
        if !self.ended {
            self.socket.inner_mut().skip_parts = true;
        }
    }
}

/// A message that is sent in fragments: part by part, or as an [`AsyncWrite`], whose shutdown finishes it.
///
/// ```
/// use tidings_websocket::{Kind, Limits, pair};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let (mut client, mut server) = pair(Limits::server());
/// let mut writer = client.writer(Kind::Binary);
/// tokio::io::copy(&mut &b"anything that can be read"[..], &mut writer).await?;
/// writer.finish().await?;
///
/// let mut reader = server.receive_parts().await.unwrap()?;
/// let mut copy = Vec::new();
/// tokio::io::copy(&mut reader, &mut copy).await?;
/// assert_eq!(copy, b"anything that can be read");
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// One that is dropped unfinished leaves the connection with half a message, which the peer never gets to see and which
/// nothing but a close can follow: sending says [`SendError::Unfinished`].
#[derive(Debug)]
#[must_use = "the message ends with finish"]
pub struct MessageWriter<'a, S> {
    socket: &'a mut WebSocket<S>,
    kind: Kind,
    utf8: Utf8,
    compress: bool,
    begun: bool,
    finished: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> MessageWriter<'_, S> {
    /// Sends the message as it is, even if the connection compresses: for secrets beside text that an attacker chooses, as
    /// [`Outgoing::Uncompressed`](crate::Outgoing::Uncompressed).
    pub fn uncompressed(mut self) -> Self {
        self.compress = false;
        self
    }

    /// Sends a part. Text may be cut anywhere, also inside a character.
    ///
    /// # Errors
    /// [`SendError::InvalidUtf8`], with nothing sent; [`SendError::Unfinished`] when another writer was dropped before its
    /// message ended; otherwise as [`WebSocket::send`].
    pub async fn write(&mut self, part: impl Into<Bytes>) -> Result<(), SendError> {
        self.feed(part.into())?;
        self.socket.flush().await
    }

    /// Ends the message.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn finish(mut self) -> Result<(), SendError> {
        self.feed_end()?;
        self.socket.flush().await
    }

    fn feed(&mut self, part: Bytes) -> Result<(), SendError> {
        let mut utf8 = self.utf8;
        if self.kind == Kind::Text {
            utf8.push(&part).map_err(|_| SendError::InvalidUtf8)?;
        }
        self.feed_fragment(part, false)?;
        self.utf8 = utf8;
        Ok(())
    }

    fn feed_end(&mut self) -> Result<(), SendError> {
        if !self.finished {
            self.utf8.finish().map_err(|_| SendError::InvalidUtf8)?;
            self.feed_fragment(Bytes::new(), true)?;
            self.finished = true;
        }
        Ok(())
    }

    fn feed_fragment(&mut self, part: Bytes, last: bool) -> Result<(), SendError> {
        let inner = self.socket.inner_mut();
        if !self.begun && inner.machine.is_sending_fragments() {
            return Err(SendError::Unfinished);
        }
        inner.feed_fragment(self.kind, part, last, self.compress)?;
        self.begun = true;
        Ok(())
    }
}

/// Each write is a fragment of at most 64 KiB, and waits until the one before has been written. An error of the connection
/// is one of [`io::ErrorKind::Other`] with the [`SendError`] inside.
impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for MessageWriter<'_, S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.socket.poll_flush(cx)).map_err(io::Error::other)?;
        let taken = bytes.len().min(FRAGMENT_BYTES_MAX);
        if taken > 0 {
            self.feed(Bytes::copy_from_slice(&bytes[..taken])).map_err(io::Error::other)?;
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_flush(cx).map_err(io::Error::other)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.feed_end().map_err(io::Error::other)?;
        self.socket.poll_flush(cx).map_err(io::Error::other)
    }
}

#[cfg(feature = "json")]
impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Sends a value as JSON in a text message.
    ///
    /// # Errors
    /// [`SendJsonError`]; nothing is sent when the value has no JSON.
    pub async fn send_json<T: serde::Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SendJsonError> {
        let message = crate::Message::json(value)?;
        Ok(self.send(message).await?)
    }

    /// The next message, read as JSON.
    ///
    /// # Errors
    /// [`ReceiveJsonError`]; after one of [`ReceiveJsonError::Json`] the connection lives on.
    pub async fn receive_json<T: serde::de::DeserializeOwned>(&mut self) -> Option<Result<T, ReceiveJsonError>> {
        Some(match self.receive().await? {
            Ok(message) => message.parse_json().map_err(ReceiveJsonError::Json),
            Err(error) => Err(error.into()),
        })
    }
}

/// Why no JSON was sent.
#[cfg(feature = "json")]
#[derive(Debug, thiserror::Error)]
pub enum SendJsonError {
    /// The value cannot be JSON.
    #[error("the value cannot be JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The message was not sent.
    #[error(transparent)]
    Send(#[from] SendError),
}

/// Why no value was received.
#[cfg(feature = "json")]
#[derive(Debug, thiserror::Error)]
pub enum ReceiveJsonError {
    /// The message is not the JSON that was wanted.
    #[error("the message is not the JSON that was wanted: {0}")]
    Json(#[source] serde_json::Error),
    /// The connection failed.
    #[error(transparent)]
    Receive(#[from] ReceiveError),
}
