//! What applications exchange: whole messages, and messages framed once for many connections.

use crate::{
    CloseCode, CloseFrame, Frame, Utf8Bytes,
    frame::{Head, OpCode},
};
use bytes::Bytes;

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// UTF-8 text, validated.
    Text(Utf8Bytes),
    /// Anything else.
    Binary(Bytes),
}

/// The two kinds of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// Anything else.
    Binary,
}

impl Kind {
    pub(crate) const fn opcode(self) -> OpCode {
        match self {
            Kind::Text => OpCode::Text,
            Kind::Binary => OpCode::Binary,
        }
    }
}

impl Message {
    /// A text message.
    pub fn text(text: impl Into<Utf8Bytes>) -> Self {
        Message::Text(text.into())
    }

    /// A binary message.
    pub fn binary(bytes: impl Into<Bytes>) -> Self {
        Message::Binary(bytes.into())
    }

    /// Text or binary.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Message::Text(_) => Kind::Text,
            Message::Binary(_) => Kind::Binary,
        }
    }

    /// The text of a text message.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Message::Text(text) => Some(text.as_str()),
            Message::Binary(_) => None,
        }
    }

    /// The bytes, whatever the kind.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
        }
    }

    /// The bytes, whatever the kind.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self {
            Message::Text(text) => text.into_bytes(),
            Message::Binary(bytes) => bytes,
        }
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether the message is empty, which is a message all the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A text message that carries a value as JSON.
    ///
    /// # Errors
    /// Serde's, when the value cannot be JSON.
    #[cfg(feature = "json")]
    pub fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::to_string(value).map(Message::text)
    }

    /// Reads a message of either kind as JSON.
    ///
    /// # Errors
    /// Serde's, when the message is not the JSON that is wanted.
    #[cfg(feature = "json")]
    pub fn parse_json<T: serde::de::DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(self.as_bytes())
    }

    pub(crate) fn from_validated(kind: Kind, bytes: Bytes) -> Self {
        match kind {
            Kind::Text => Message::Text(Utf8Bytes::from_validated(bytes)),
            Kind::Binary => Message::Binary(bytes),
        }
    }
}

impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Message::text(text)
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Message::text(text)
    }
}

impl From<Utf8Bytes> for Message {
    fn from(text: Utf8Bytes) -> Self {
        Message::Text(text)
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Self {
        Message::Binary(bytes)
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Message::binary(bytes)
    }
}

/// Something to be sent.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Outgoing {
    /// A message; compressed when the connection agreed on it and the message is long enough to gain.
    Message(Message),
    /// A message that is never compressed, for secrets beside text that an attacker chooses (CRIME, BREACH).
    Uncompressed(Message),
    /// A message framed earlier.
    Prepared(Prepared),
    /// A question for a sign of life, with at most 125 bytes that come back (RFC 6455 §5.5.2).
    Ping(Bytes),
    /// A sign of life nobody asked for, with at most 125 bytes (RFC 6455 §5.5.3). Pings are answered by the engine itself.
    Pong(Bytes),
    /// The end of what we send (RFC 6455 §5.5.1).
    Close(CloseFrame),
}

impl<T: Into<Message>> From<T> for Outgoing {
    fn from(message: T) -> Self {
        Outgoing::Message(message.into())
    }
}

impl From<Prepared> for Outgoing {
    fn from(prepared: Prepared) -> Self {
        Outgoing::Prepared(prepared)
    }
}

impl From<&Prepared> for Outgoing {
    fn from(prepared: &Prepared) -> Self {
        Outgoing::Prepared(prepared.clone())
    }
}

impl From<CloseFrame> for Outgoing {
    fn from(frame: CloseFrame) -> Self {
        Outgoing::Close(frame)
    }
}

impl From<CloseCode> for Outgoing {
    fn from(code: CloseCode) -> Self {
        Outgoing::Close(code.into())
    }
}

/// A message framed once, as servers send it, and shared by all connections that it goes to. Cloning copies nothing.
///
/// A client can send one too; it must mask it, so it gains nothing.
///
/// ```
/// use tidings_websocket::{Limits, Prepared, pair};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let news = Prepared::text("high tide at nine");
/// let mut everyone = [pair(Limits::server()), pair(Limits::server())];
/// for (_, server) in &mut everyone {
///     server.send(&news).await?;
/// }
/// for (client, _) in &mut everyone {
///     assert_eq!(client.receive().await.unwrap()?.as_text(), Some("high tide at nine"));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Prepared {
    frame: Bytes,
    #[cfg(feature = "deflate")]
    compressed: Option<std::sync::Arc<crate::deflate::Variants>>,
}

impl Prepared {
    /// A text message.
    pub fn text(text: impl Into<Utf8Bytes>) -> Self {
        Self::new(OpCode::Text, text.into().into_bytes())
    }

    /// A binary message.
    pub fn binary(bytes: impl Into<Bytes>) -> Self {
        Self::new(OpCode::Binary, bytes.into())
    }

    /// One that connections with permessage-deflate get compressed. Those that agreed to start every message of ours with
    /// an empty window (`no_context_takeover`) share it: it is compressed once for each size of window and level, when the
    /// first such connection sends it, and keeps those frames as long as it lives. The others each compress it anew.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn compressible(mut self) -> Self {
        self.compressed = Some(std::sync::Arc::default());
        self
    }

    /// Compressed already, where that is shorter: for queues that know only bytes. Only connections that
    /// [take it](crate::Machine::takes_deflated) can send it.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflated(self) -> Self {
        let (opcode, payload) = self.unframed();
        let frame = crate::deflate::frame(opcode, &payload);
        frame.map_or(self, |frame| Prepared { frame, compressed: None })
    }

    /// Takes bytes that are one whole unmasked frame of a whole message, as [`into_bytes`](Self::into_bytes) gave them,
    /// [compressed](Self::deflated) or not. For queues that know only bytes. What is in it is not checked again.
    ///
    /// # Errors
    /// [`NotAFrame`] when they are something else.
    pub fn from_bytes(frame: Bytes) -> Result<Self, NotAFrame> {
        let (head, size) = Head::parse(&frame).ok().flatten().ok_or(NotAFrame)?;
        let is_ours = cfg!(feature = "deflate") || !head.compressed;
        let whole = head.last && is_ours && head.mask.is_none() && !head.opcode.is_control();
        if !whole || head.opcode == OpCode::Continuation || head.payload_len != (frame.len() - size) as u64 {
            return Err(NotAFrame);
        }
        Ok(Prepared {
            frame,
            #[cfg(feature = "deflate")]
            compressed: None,
        })
    }

    /// The whole frame.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.frame
    }

    /// The whole frame.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.frame
    }

    fn new(opcode: OpCode, payload: Bytes) -> Self {
        let head = Head { last: true, compressed: false, opcode, mask: None, payload_len: payload.len() as u64 };
        Prepared {
            frame: Frame::new(&head, payload).to_bytes(),
            #[cfg(feature = "deflate")]
            compressed: None,
        }
    }

    #[cfg(feature = "deflate")]
    pub(crate) fn is_compressible(&self) -> bool {
        self.compressed.is_some()
    }

    #[cfg(not(feature = "deflate"))]
    pub(crate) fn is_compressible(&self) -> bool {
        false
    }

    /// Whether it was [compressed](Self::deflated) when it was made.
    pub(crate) fn is_deflated(&self) -> bool {
        Head::parse(&self.frame).ok().flatten().is_some_and(|(head, _)| head.compressed)
    }

    pub(crate) fn payload_len(&self) -> usize {
        match self.frame.get(1) {
            Some(126) => self.frame.len() - 4,
            Some(127) => self.frame.len() - 10,
            _ => self.frame.len() - 2,
        }
    }

    /// The opcode and the payload.
    pub(crate) fn unframed(&self) -> (OpCode, Bytes) {
        let (head, size) = Head::parse(&self.frame).ok().flatten().expect("every constructor makes a whole frame");
        (head.opcode, self.frame.slice(size..))
    }

    #[cfg(feature = "deflate")]
    pub(crate) fn variants(&self) -> Option<&crate::deflate::Variants> {
        self.compressed.as_deref()
    }
}

impl From<Message> for Prepared {
    fn from(message: Message) -> Self {
        Self::new(message.kind().opcode(), message.into_bytes())
    }
}

/// The bytes are not one whole unmasked frame of a whole message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are not one whole unmasked frame of a whole message")]
pub struct NotAFrame;
