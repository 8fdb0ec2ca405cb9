//! How the messages of one connection are written: the one place that chooses between the codecs.
//!
//! Whoever sends or receives holds an [`Encoding`] and calls its methods; a codec that is added is added here, and the
//! compiler then names every place below that lacks it.

use bytes::Bytes;

use crate::codec::{DecodeError, EncodeError};
use crate::{Command, Publication, PushEvent, Reply, json};

/// How the messages of one connection are written. Protobuf is the other form that the protocol knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// Objects of JSON text, joined by a newline: subprotocol `centrifuge-json`, or none at all.
    #[default]
    Json,
}

impl Encoding {
    /// The commands of one frame, in order; reading stops at the first malformed one.
    pub fn commands(self, frame: &[u8]) -> impl Iterator<Item = Result<Command, DecodeError>> + '_ {
        match self {
            Self::Json => json::commands(frame),
        }
    }

    /// All replies of one frame, for clients.
    ///
    /// # Errors
    /// [`DecodeError::Empty`] without any reply, the others when one is malformed.
    pub fn replies(self, frame: &[u8]) -> Result<Vec<Reply>, DecodeError> {
        match self {
            Self::Json => json::decode_replies(frame),
        }
    }

    /// Writes commands into one frame, for clients.
    ///
    /// # Errors
    /// [`EncodeError`] when one of them carries binary data and this is JSON.
    pub fn encode_commands(self, commands: &[Command]) -> Result<Bytes, EncodeError> {
        match self {
            Self::Json => json::encode_commands(commands),
        }
    }

    /// Writes one reply.
    ///
    /// # Errors
    /// [`EncodeError`] when it carries binary data and this is JSON.
    pub fn encode_reply(self, reply: &Reply) -> Result<Bytes, EncodeError> {
        match self {
            Self::Json => json::encode_reply(reply),
        }
    }

    /// Writes one publication as a push, without owning it.
    ///
    /// # Errors
    /// [`EncodeError`] when it carries binary data and this is JSON.
    pub fn encode_publication(self, channel: &str, publication: &Publication) -> Result<Bytes, EncodeError> {
        match self {
            Self::Json => json::encode_publication(channel, publication),
        }
    }

    /// Writes one push as a reply of its own, as transports in both directions want it.
    ///
    /// # Errors
    /// [`EncodeError`] when it carries binary data and this is JSON.
    pub fn encode_push(self, channel: &str, event: &PushEvent) -> Result<Bytes, EncodeError> {
        match self {
            Self::Json => json::encode_push(channel, event),
        }
    }

    /// Joins messages that are already written into one frame.
    pub fn join<M: AsRef<[u8]>>(self, messages: impl IntoIterator<Item = M>) -> Bytes {
        match self {
            Self::Json => json::join(messages),
        }
    }
}
