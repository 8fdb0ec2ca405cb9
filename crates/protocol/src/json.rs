//! Frames of JSON: objects joined by one newline, in both directions.
//!
//! Reading is lenient where SDKs differ (a trailing newline, white space, unknown fields, `null` for absent), writing
//! is strict. A frame is read object by object, so that its size bounds the memory it takes.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::de::SliceRead;
use serde_json::{Deserializer, StreamDeserializer};

use crate::codec::{DecodeError, EncodeError, not_empty};
use crate::command::WireCommand;
use crate::reply::{WirePush, WireReply};
use crate::wire::Field;
use crate::{
    Command, ConnectRequest, EmulationRequest, Error, Label, Publication, Push, PushEvent, Reply, Request, Response,
    is_unreadable,
};

/// The commands of one frame, in order; reading stops at the first malformed one.
#[must_use]
pub fn commands(frame: &[u8]) -> Commands<'_> {
    Commands(objects(frame))
}

/// All commands of one frame.
///
/// # Errors
/// [`DecodeError::Empty`] without any command, the others when one is malformed: close with
/// [`Disconnect::BAD_REQUEST`](crate::Disconnect::BAD_REQUEST) in all cases.
pub fn decode_commands(frame: &[u8]) -> Result<Vec<Command>, DecodeError> {
    not_empty(commands(frame))
}

/// All replies of one frame.
///
/// # Errors
/// [`DecodeError::Empty`] without any reply, the others when one is malformed.
pub fn decode_replies(frame: &[u8]) -> Result<Vec<Reply>, DecodeError> {
    not_empty(objects::<WireReply>(frame).map(|reply| reply.map(Reply::from)))
}

/// Reads a connect request that stands alone, which is all that a client says where a transport goes in one direction.
///
/// # Errors
/// [`DecodeError`] when it is no such object.
pub fn decode_connect(body: &[u8]) -> Result<ConnectRequest, DecodeError> {
    one(body)
}

/// Reads the body of a request of the uplink.
///
/// # Errors
/// [`DecodeError`] when it is no such object.
pub fn decode_emulation(body: &[u8]) -> Result<EmulationRequest, DecodeError> {
    one(body)
}

/// All pushes of one frame that stand alone, as transports in one direction carry them; an empty one is a ping.
///
/// # Errors
/// [`DecodeError::Empty`] without any push, the others when one is malformed.
pub fn decode_pushes(frame: &[u8]) -> Result<Vec<Reply>, DecodeError> {
    let ping = Push { id: 0, channel: String::new(), event: PushEvent::Unknown };
    let reply = |push: WirePush| Some(push.into()).filter(|push| *push != ping).map_or(Reply::Ping, Reply::Push);
    not_empty(objects(frame).map(|push| push.map(reply)))
}

/// Writes one reply.
///
/// # Errors
/// [`EncodeError::NotJson`] when it carries data that is no JSON.
pub fn encode_reply(reply: &Reply) -> Result<Bytes, EncodeError> {
    match reply {
        Reply::Ping => Ok(Bytes::from_static(b"{}")),
        Reply::Push(push) => encode_push(push.label(), &push.event),
        Reply::Answer { id, result: Ok(response) } => encode(&AnswerOut { id: *id, response }),
        Reply::Answer { id, result: Err(error) } => encode(&ErrorOut { id: *id, error }),
    }
}

/// Writes one push as a reply of its own, as transports in both directions want it.
///
/// # Errors
/// [`EncodeError::NotJson`] when it carries data that is no JSON.
pub fn encode_push(label: Label<'_>, event: &PushEvent) -> Result<Bytes, EncodeError> {
    encode_labelled(label, event, false)
}

/// Writes one push that stands alone, as transports in one direction want it.
///
/// # Errors
/// [`EncodeError::NotJson`] when it carries data that is no JSON.
pub fn encode_push_alone(label: Label<'_>, event: &PushEvent) -> Result<Bytes, EncodeError> {
    encode_labelled(label, event, true)
}

/// Writes one publication as a push, without owning it.
///
/// # Errors
/// [`EncodeError::NotJson`] when it carries data that is no JSON.
pub fn encode_publication(label: Label<'_>, publication: &Publication) -> Result<Bytes, EncodeError> {
    encode_labelled(label, PubOut { publication }, false)
}

/// Writes one publication as a push that stands alone.
///
/// # Errors
/// [`EncodeError::NotJson`] when it carries data that is no JSON.
pub fn encode_publication_alone(label: Label<'_>, publication: &Publication) -> Result<Bytes, EncodeError> {
    encode_labelled(label, PubOut { publication }, true)
}

/// Writes commands into one frame.
///
/// # Errors
/// [`EncodeError::NotJson`] when one of them carries data that is no JSON.
pub fn encode_commands(commands: &[Command]) -> Result<Bytes, EncodeError> {
    if let [command] = commands {
        return encode(&CommandOut::from(command));
    }
    let written = commands.iter().map(|command| encode(&CommandOut::from(command)));
    Ok(join(written.collect::<Result<Vec<_>, _>>()?))
}

/// Joins messages that are already written into one frame.
#[must_use]
pub fn join<M: AsRef<[u8]>>(messages: impl IntoIterator<Item = M>) -> Bytes {
    let mut frame = Vec::new();
    for message in messages {
        if !frame.is_empty() {
            frame.push(b'\n');
        }
        frame.extend_from_slice(message.as_ref());
    }
    frame.into()
}

/// Iterator over the commands of one frame; see [`commands`].
pub struct Commands<'a>(Objects<'a, WireCommand>);

impl Iterator for Commands<'_> {
    type Item = Result<Command, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.0.rest();
        match self.0.next()? {
            Ok(command) => Some(Ok(command.into())),
            Err(error) => Some(Err(self.skip_unreadable(rest).unwrap_or(error))),
        }
    }
}

impl Commands<'_> {
    /// Goes on behind a command that is well-formed but for a payload that readers could not read.
    fn skip_unreadable(&mut self, rest: &[u8]) -> Option<DecodeError> {
        #[derive(Deserialize)]
        struct Numbered {
            id: Option<u32>,
        }
        let mut commands = Deserializer::from_slice(rest).into_iter::<Numbered>();
        let id = commands.next()?.ok()?.id.unwrap_or_default();
        let (command, behind) = rest.split_at(commands.byte_offset());
        if !is_unreadable(command) {
            return None;
        }
        self.0 = objects(&self.0.frame[self.0.frame.len() - behind.len()..]);
        Some(DecodeError::Unreadable { id })
    }
}

/// The objects of one frame, read one by one.
struct Objects<'a, T> {
    frame: &'a [u8],
    failed: bool,
    stream: StreamDeserializer<'a, SliceRead<'a>, T>,
}

fn objects<'a, T: Deserialize<'a>>(frame: &'a [u8]) -> Objects<'a, T> {
    Objects { frame, failed: false, stream: Deserializer::from_slice(frame).into_iter() }
}

impl<'a, T: Deserialize<'a>> Objects<'a, T> {
    /// What was not read yet.
    fn rest(&self) -> &'a [u8] {
        &self.frame[self.stream.byte_offset()..]
    }
}

impl<'a, T: Deserialize<'a>> Iterator for Objects<'a, T> {
    type Item = Result<T, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        // Serde would also read a struct from an array, field by field.
        let first = self.rest().trim_ascii_start().first();
        let object = if first.is_some_and(|&byte| byte != b'{') {
            Err(DecodeError::NotAnObject)
        } else {
            self.stream.next()?.map_err(DecodeError::Malformed)
        };
        self.failed = object.is_err();
        Some(object)
    }
}

/// The one object that a body is.
fn one<T: DeserializeOwned>(body: &[u8]) -> Result<T, DecodeError> {
    let mut objects = objects(body);
    let object = objects.next().unwrap_or(Err(DecodeError::Empty))?;
    if objects.next().is_some() { Err(DecodeError::NotAnObject) } else { Ok(object) }
}

/// Messages have string keys and are written into memory, so data that is no JSON is all that can fail.
fn encode<T: Serialize>(message: &T) -> Result<Bytes, EncodeError> {
    Ok(serde_json::to_vec(message)?.into())
}

/// Writes a push as a reply of its own, or the push itself where `alone`.
fn encode_labelled(label: Label<'_>, event: impl Serialize, alone: bool) -> Result<Bytes, EncodeError> {
    #[derive(Serialize)]
    struct Wrapped<P> {
        push: P,
    }
    let (id, channel) = match label {
        Label::Channel(channel) => (0, channel),
        Label::Number(id) => (id, ""),
    };
    let push = PushOut { id, channel, event };
    if alone { encode(&push) } else { encode(&Wrapped { push }) }
}

#[derive(Serialize)]
struct PushOut<'a, E> {
    #[serde(skip_serializing_if = "Field::is_zero")]
    id: i64,
    #[serde(skip_serializing_if = "str::is_empty")]
    channel: &'a str,
    #[serde(flatten)]
    event: E,
}

#[derive(Serialize)]
struct PubOut<'a> {
    #[serde(rename = "pub")]
    publication: &'a Publication,
}

#[derive(Serialize)]
struct CommandOut<'a> {
    #[serde(skip_serializing_if = "Field::is_zero")]
    id: u32,
    #[serde(flatten)]
    request: Option<&'a Request>,
}

impl<'a> From<&'a Command> for CommandOut<'a> {
    fn from(Command { id, request }: &'a Command) -> Self {
        Self { id: *id, request: request.as_ref() }
    }
}

#[derive(Serialize)]
struct AnswerOut<'a> {
    id: u32,
    #[serde(flatten)]
    response: &'a Response,
}

#[derive(Serialize)]
struct ErrorOut<'a> {
    id: u32,
    error: &'a Error,
}
