//! What the messages to one connection look like: how they are written, and how its transport wraps them.

use bytes::Bytes;
use tidings_protocol::Encoding;

/// How a transport wraps one message, so that the hub can do it once for all subscribers.
#[derive(Clone, Copy, Debug)]
pub struct Framing {
    name: &'static str,
    wrap: fn(Bytes) -> Bytes,
    wrap_shared: fn(Bytes) -> Bytes,
}

impl Framing {
    /// The message as it is: the transport joins or wraps messages itself.
    pub const NONE: Self = Self::new("none", |message| message);

    /// A framing; two of the same name must do the same.
    #[must_use]
    pub const fn new(name: &'static str, wrap: fn(Bytes) -> Bytes) -> Self {
        Self { name, wrap, wrap_shared: wrap }
    }

    /// Another way for what happens in a channel, which all of its subscribers may know: for compression, which tells by the
    /// length of a message what is in it.
    #[must_use]
    pub const fn shared(self, wrap_shared: fn(Bytes) -> Bytes) -> Self {
        Self { wrap_shared, ..self }
    }
}

/// Encoding and framing of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format {
    pub(crate) encoding: Encoding,
    pub(crate) framing: Framing,
}

impl Format {
    /// Wraps one message that is already written.
    pub(crate) fn wrap(self, message: Bytes) -> Bytes {
        (self.framing.wrap)(message)
    }

    /// Wraps one message that all subscribers of a channel get.
    pub(crate) fn wrap_shared(self, message: Bytes) -> Bytes {
        (self.framing.wrap_shared)(message)
    }

    /// Wraps messages that are already written as one.
    pub(crate) fn join(self, messages: &[Bytes]) -> Bytes {
        let joined = if let [message] = messages { message.clone() } else { self.encoding.join(messages) };
        self.wrap(joined)
    }

    pub(crate) fn is(self, other: Self) -> bool {
        self.encoding == other.encoding && self.framing.name == other.framing.name
    }
}
