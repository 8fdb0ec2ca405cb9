//! Frames of protobuf: messages, each behind its length, in both directions.
//!
//! Reading is lenient as the format wants it: unknown fields are skipped, and of a field that comes twice the last counts.
//! Nothing is made room for before its bytes are there, and messages within each other are counted, so that the size of a
//! frame bounds the memory it takes.

use bytes::Bytes;

use crate::codec::{DecodeError, not_empty};
use crate::command::WireCommand;
use crate::proto3::{
    MESSAGE_DEPTH_MAX, Malformed, Message, Value, delimited, delimited_bytes, write_bytes, write_delimited,
    write_message, write_number,
};
use crate::reply::WireReply;
use crate::{Command, EmulationRequest, Label, Publication, PushEvent, Reply};

/// Bytes that most messages fit into.
const MESSAGE_BYTES: usize = 128;

/// The commands of one frame, in order; reading stops at the first malformed one.
#[must_use]
pub fn commands(frame: &[u8]) -> Commands<'_> {
    Commands(frame)
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
    let mut rest = frame;
    not_empty(std::iter::from_fn(|| next::<WireReply>(&mut rest)).map(|reply| reply.map(Reply::from)))
}

/// Reads the body of a request of the uplink, which is one message without its length.
///
/// # Errors
/// [`DecodeError::Protobuf`] when it is malformed.
pub fn decode_emulation(body: &[u8]) -> Result<EmulationRequest, DecodeError> {
    read(body).map_err(DecodeError::Protobuf)
}

/// Writes one reply.
#[must_use]
pub fn encode_reply(reply: &Reply) -> Bytes {
    match reply {
        Reply::Ping => Bytes::from_static(&[0]),
        Reply::Push(push) => encode_push(push.label(), &push.event),
        Reply::Answer { id, result } => framed(|out| {
            write_id(*id, out);
            match result {
                Ok(response) => response.write_protobuf(out),
                Err(error) => write_message(2, error, out),
            }
        }),
    }
}

/// Writes one push as a reply of its own.
#[must_use]
pub fn encode_push(label: Label<'_>, event: &PushEvent) -> Bytes {
    pushed(label, |out| event.write_protobuf(out))
}

/// Writes one publication as a push, without owning it.
#[must_use]
pub fn encode_publication(label: Label<'_>, publication: &Publication) -> Bytes {
    pushed(label, |out| write_message(4, publication, out))
}

/// Writes commands into one frame.
#[must_use]
pub fn encode_commands(commands: &[Command]) -> Bytes {
    let mut frame = Vec::new();
    for Command { id, request } in commands {
        delimited(&mut frame, |out| {
            write_id(*id, out);
            if let Some(request) = request {
                request.write_protobuf(out);
            }
        });
    }
    frame.into()
}

/// Joins messages that are already written into one frame.
#[must_use]
pub fn join<M: AsRef<[u8]>>(messages: impl IntoIterator<Item = M>) -> Bytes {
    let mut frame = Vec::new();
    messages.into_iter().for_each(|message| frame.extend_from_slice(message.as_ref()));
    frame.into()
}

/// Iterator over the commands of one frame; see [`commands`].
pub struct Commands<'a>(&'a [u8]);

impl Iterator for Commands<'_> {
    type Item = Result<Command, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        next::<WireCommand>(&mut self.0).map(|command| command.map(Command::from))
    }
}

/// The message at the front of a frame; behind a malformed one there is none.
fn next<M: Message>(rest: &mut &[u8]) -> Option<Result<M, DecodeError>> {
    if rest.is_empty() {
        return None;
    }
    let message = delimited_bytes(rest).and_then(read);
    if message.is_err() {
        *rest = &[];
    }
    Some(message.map_err(DecodeError::Protobuf))
}

fn read<M: Message>(bytes: &[u8]) -> Result<M, Malformed> {
    let mut message = M::default();
    Value::Bytes(bytes).message(&mut message, MESSAGE_DEPTH_MAX)?;
    Ok(message)
}

fn framed(write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut frame = Vec::with_capacity(MESSAGE_BYTES);
    delimited(&mut frame, write);
    frame.into()
}

fn pushed(label: Label<'_>, write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    framed(|out| {
        write_delimited(4, out, |out| {
            match label {
                Label::Number(id) => write_number(1, id.cast_unsigned(), out),
                Label::Channel("") => {}
                Label::Channel(channel) => write_bytes(2, channel.as_bytes(), out),
            }
            write(out);
        });
    })
}

fn write_id(id: u32, out: &mut Vec<u8>) {
    if id > 0 {
        write_number(1, id.into(), out);
    }
}
