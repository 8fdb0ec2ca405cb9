//! How the messages of one connection are written: the one place that chooses between the codecs.
//!
//! Whoever sends or receives holds an [`Encoding`] and calls its methods; a codec that is added is added here, and the
//! compiler then names every place below that lacks it.

use bytes::Bytes;

use crate::codec::{DecodeError, EncodeError};
use crate::{
    Command, EmulationRequest, Label, Payload, Publication, PushEvent, Reply, Request, fossil, json, protobuf,
};

/// How the messages of one connection are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// Objects of JSON text, joined by a newline: subprotocol `centrifuge-json`, or none at all.
    #[default]
    Json,
    /// JSON on transports in one direction: the client says one connect request, by itself, and the server writes pushes
    /// that stand alone. There is nothing to answer.
    JsonPushes,
    /// Binary messages, each behind its length: subprotocol `centrifuge-protobuf`.
    Protobuf,
}

/// Data as it is written for a subscriber that takes deltas; see [`Encoding::chain`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chained {
    /// For who does not have the data before.
    pub full: Payload,
    /// For who has it, where it is shorter; of a publication whose `delta` is set.
    pub delta: Option<Payload>,
}

impl Encoding {
    /// Whether frames are text.
    #[must_use]
    pub const fn is_text(self) -> bool {
        match self {
            Self::Json | Self::JsonPushes => true,
            Self::Protobuf => false,
        }
    }

    /// Whether the server alone speaks, once the client has said who it is: there is nothing to answer, pings neither.
    #[must_use]
    pub const fn is_one_way(self) -> bool {
        matches!(self, Self::JsonPushes)
    }

    /// The commands of one frame, in order; reading stops at the first malformed one.
    pub fn commands(self, frame: &[u8]) -> impl Iterator<Item = Result<Command, DecodeError>> + '_ {
        match self {
            Self::Json => Commands::Json(json::commands(frame)),
            Self::JsonPushes => {
                let connect = json::decode_connect(frame);
                let command = connect.map(|connect| Command::new(1, Request::Connect(Box::new(connect))));
                Commands::JsonPushes(std::iter::once(command))
            }
            Self::Protobuf => Commands::Protobuf(protobuf::commands(frame)),
        }
    }

    /// All replies of one frame, for clients.
    ///
    /// # Errors
    /// [`DecodeError::Empty`] without any reply, the others when one is malformed.
    pub fn replies(self, frame: &[u8]) -> Result<Vec<Reply>, DecodeError> {
        match self {
            Self::Json => json::decode_replies(frame),
            Self::JsonPushes => json::decode_pushes(frame),
            Self::Protobuf => protobuf::decode_replies(frame),
        }
    }

    /// Reads the body of a request of the uplink.
    ///
    /// # Errors
    /// [`DecodeError`] when it is malformed.
    pub fn emulation_request(self, body: &[u8]) -> Result<EmulationRequest, DecodeError> {
        match self {
            Self::Json | Self::JsonPushes => json::decode_emulation(body),
            Self::Protobuf => protobuf::decode_emulation(body),
        }
    }

    /// Writes commands into one frame, for clients.
    ///
    /// # Errors
    /// [`EncodeError::NotJson`] when one of them carries data that is no JSON and this is JSON.
    pub fn encode_commands(self, commands: &[Command]) -> Result<Bytes, EncodeError> {
        match self {
            Self::Json | Self::JsonPushes => json::encode_commands(commands),
            Self::Protobuf => Ok(protobuf::encode_commands(commands)),
        }
    }

    /// Writes one reply.
    ///
    /// # Errors
    /// [`EncodeError::NotJson`] when it carries data that is no JSON and this is JSON; [`EncodeError::Answer`] for an
    /// answer where only pushes are carried.
    pub fn encode_reply(self, reply: &Reply) -> Result<Bytes, EncodeError> {
        match (self, reply) {
            (Self::JsonPushes, Reply::Push(push)) => json::encode_push_alone(push.label(), &push.event),
            (Self::JsonPushes, Reply::Answer { .. }) => Err(EncodeError::Answer),
            (Self::Json, _) | (Self::JsonPushes, Reply::Ping) => json::encode_reply(reply),
            (Self::Protobuf, _) => Ok(protobuf::encode_reply(reply)),
        }
    }

    /// Writes one publication as a push, without owning it.
    ///
    /// # Errors
    /// [`EncodeError::NotJson`] when it carries data that is no JSON and this is JSON.
    pub fn encode_publication(self, label: Label<'_>, publication: &Publication) -> Result<Bytes, EncodeError> {
        match self {
            Self::Json => json::encode_publication(label, publication),
            Self::JsonPushes => json::encode_publication_alone(label, publication),
            Self::Protobuf => Ok(protobuf::encode_publication(label, publication)),
        }
    }

    /// Writes one push as a message of its own.
    ///
    /// # Errors
    /// [`EncodeError::NotJson`] when it carries data that is no JSON and this is JSON.
    pub fn encode_push(self, label: Label<'_>, event: &PushEvent) -> Result<Bytes, EncodeError> {
        match self {
            Self::Json => json::encode_push(label, event),
            Self::JsonPushes => json::encode_push_alone(label, event),
            Self::Protobuf => Ok(protobuf::encode_push(label, event)),
        }
    }

    /// Joins messages that are already written into one frame.
    pub fn join<M: AsRef<[u8]>>(self, messages: impl IntoIterator<Item = M>) -> Bytes {
        match self {
            Self::Json | Self::JsonPushes => json::join(messages),
            Self::Protobuf => protobuf::join(messages),
        }
    }

    /// How `data` is written for a subscriber that takes deltas, when it has `previous`, which was written so too: JSON as
    /// the text of it in a string, because a delta is text and no JSON; protobuf as it is.
    ///
    /// There is no delta when it would not be shorter, nor when the previous data was no JSON and this is.
    ///
    /// # Errors
    /// [`EncodeError::NotJson`] when the data is no JSON and this is.
    pub fn chain(self, previous: Option<&Payload>, data: &Payload) -> Result<Chained, EncodeError> {
        let (full, delta) = match self {
            Self::Json | Self::JsonPushes => {
                let text = data.to_json()?;
                let previous = previous.and_then(|previous| previous.to_json().ok());
                let delta = previous.map(|previous| fossil::create_text(previous.get(), text.get()));
                (Payload::from_text(text.get())?, delta.map(|delta| Payload::from_text(&delta)).transpose()?)
            }
            Self::Protobuf => {
                let delta = |previous: &Payload| fossil::create(previous.as_bytes(), data.as_bytes());
                (data.clone(), previous.map(delta).map(|delta| Payload::from_bytes(&delta)))
            }
        };
        let delta = delta.filter(|delta| delta.as_bytes().len() < full.as_bytes().len());
        Ok(Chained { full, delta })
    }
}

enum Commands<'a> {
    Json(json::Commands<'a>),
    JsonPushes(std::iter::Once<Result<Command, DecodeError>>),
    Protobuf(protobuf::Commands<'a>),
}

impl Iterator for Commands<'_> {
    type Item = Result<Command, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Json(commands) => commands.next(),
            Self::JsonPushes(command) => command.next(),
            Self::Protobuf(commands) => commands.next(),
        }
    }
}
