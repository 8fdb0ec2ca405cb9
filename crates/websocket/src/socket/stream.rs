//! Messages that are too long, or too slow, to be held whole: read and written in parts.

use super::{ReceiveError, SendError, WebSocket};
use crate::{Event, Kind, Part, utf8::Utf8};
use bytes::Bytes;
use std::future::poll_fn;
use tokio::io::{AsyncRead, AsyncWrite};

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// The next message as a reader of its parts, as they arrive. Its whole length is not bounded by
    /// [`Limits::message_bytes_max`](crate::Limits::message_bytes_max).
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
        Some(Ok(MessageReader { kind: first.kind, next: Some(first), ended: false, socket: self }))
    }

    /// Begins a message that is sent in parts, each a fragment that leaves at once. Until it is finished, no other
    /// message can be sent.
    pub fn writer(&mut self, kind: Kind) -> MessageWriter<'_, S> {
        MessageWriter { socket: self, kind, utf8: Utf8::default() }
    }
}

/// A message that is arriving. What is left of it when this is dropped is skipped.
#[derive(Debug)]
pub struct MessageReader<'a, S> {
    socket: &'a mut WebSocket<S>,
    kind: Kind,
    next: Option<Part>,
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
        while !self.ended {
            let part = match self.next.take() {
                Some(part) => part,
                None => match poll_fn(|cx| self.socket.inner_mut().poll_event(cx)).await {
                    Some(Ok(Event::Part(part))) => part,
                    Some(Ok(Event::Ping(_) | Event::Pong(_))) => continue,
                    Some(Err(error)) => {
                        self.ended = true;
                        return Some(Err(error));
                    }
                    _ => {
                        self.ended = true;
                        return Some(Err(ReceiveError::Disconnected));
                    }
                },
            };
            self.ended = part.last;
            if !part.bytes.is_empty() {
                return Some(Ok(part.bytes));
            }
        }
        None
    }
}

impl<S> Drop for MessageReader<'_, S> {
    fn drop(&mut self) {
        let last_is_here = self.next.as_ref().is_some_and(|part| part.last);
        if !self.ended && !last_is_here {
            self.socket.inner_mut().skip_parts = true;
        }
    }
}

/// A message that is being sent in fragments.
#[derive(Debug)]
#[must_use = "the message ends with finish"]
pub struct MessageWriter<'a, S> {
    socket: &'a mut WebSocket<S>,
    kind: Kind,
    utf8: Utf8,
}

impl<S: AsyncRead + AsyncWrite + Unpin> MessageWriter<'_, S> {
    /// Sends a part. Text may be cut anywhere, also inside a character.
    ///
    /// # Errors
    /// [`SendError::InvalidUtf8`], with nothing sent; otherwise as [`WebSocket::send`].
    pub async fn write(&mut self, part: impl Into<Bytes>) -> Result<(), SendError> {
        let part = part.into();
        if self.kind == Kind::Text {
            let mut utf8 = self.utf8;
            utf8.push(&part).map_err(|_| SendError::InvalidUtf8)?;
            self.utf8 = utf8;
        }
        self.socket.inner_mut().feed_fragment(self.kind, part, false)?;
        self.socket.flush().await
    }

    /// Ends the message.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn finish(mut self) -> Result<(), SendError> {
        self.utf8.finish().map_err(|_| SendError::InvalidUtf8)?;
        self.socket.inner_mut().feed_fragment(self.kind, Bytes::new(), true)?;
        self.socket.flush().await
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
