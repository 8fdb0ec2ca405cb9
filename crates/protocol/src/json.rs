//! Frames of JSON: objects joined by one newline, in both directions.
//!
//! Reading is lenient where SDKs differ (a trailing newline, white space, unknown fields, `null` for absent), writing
//! is strict. A frame is read object by object, so that its size bounds the memory it takes.

use bytes::Bytes;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::de::SliceRead;
use serde_json::{Deserializer, StreamDeserializer};

use crate::codec::{DecodeError, EncodeError};
use crate::codes::{Disconnect, Error, Unsubscribe};
use crate::reply::{Connect, Join, Leave, Message, Publication, Push, PushEvent, Refresh, Reply, Response, Subscribe};
use crate::{Command, Request, is_unreadable};

/// The commands of one frame, in order; reading stops at the first malformed one.
#[must_use]
pub fn commands(frame: &[u8]) -> Commands<'_> {
    Commands(objects(frame))
}

/// All commands of one frame.
///
/// # Errors
/// [`DecodeError::Empty`] without any command, the others when one is malformed: close with
/// [`Disconnect::BAD_REQUEST`] in all cases.
pub fn decode_commands(frame: &[u8]) -> Result<Vec<Command>, DecodeError> {
    not_empty(commands(frame).collect::<Result<Vec<_>, _>>()?)
}

/// All replies of one frame.
///
/// # Errors
/// [`DecodeError::Empty`] without any reply, the others when one is malformed.
pub fn decode_replies(frame: &[u8]) -> Result<Vec<Reply>, DecodeError> {
    not_empty(objects::<WireReply>(frame).map(|reply| reply.map(Reply::from)).collect::<Result<Vec<_>, _>>()?)
}

/// Writes one reply.
///
/// # Errors
/// [`EncodeError`] when it carries binary data.
pub fn encode_reply(reply: &Reply) -> Result<Bytes, EncodeError> {
    encode(&ReplyOut(reply))
}

/// Writes one push as a reply of its own, as transports in both directions want it.
///
/// # Errors
/// [`EncodeError`] when it carries binary data.
pub fn encode_push(channel: &str, event: &PushEvent) -> Result<Bytes, EncodeError> {
    encode(&PushReplyOut { push: PushOut { channel, event } })
}

/// Writes one publication as a push, without owning it.
///
/// # Errors
/// [`EncodeError`] when it carries binary data.
pub fn encode_publication(channel: &str, publication: &Publication) -> Result<Bytes, EncodeError> {
    #[derive(Serialize)]
    struct Out<'a> {
        push: PubOut<'a>,
    }
    #[derive(Serialize)]
    struct PubOut<'a> {
        channel: &'a str,
        #[serde(rename = "pub")]
        publication: &'a Publication,
    }
    encode(&Out { push: PubOut { channel, publication } })
}

/// Writes commands into one frame.
///
/// # Errors
/// [`EncodeError`] when one of them carries binary data.
pub fn encode_commands(commands: &[Command]) -> Result<Bytes, EncodeError> {
    if let [command] = commands {
        return encode(&CommandOut(command));
    }
    let written = commands.iter().map(|command| encode(&CommandOut(command)));
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

fn not_empty<T>(messages: Vec<T>) -> Result<Vec<T>, DecodeError> {
    if messages.is_empty() { Err(DecodeError::Empty) } else { Ok(messages) }
}

/// Messages have string keys and are written into memory, so binary data is all that can fail.
fn encode<T: Serialize>(message: &T) -> Result<Bytes, EncodeError> {
    Ok(serde_json::to_vec(message)?.into())
}

/// A command as it stands in the frame; of several methods the first in this order counts.
#[derive(Default, Deserialize)]
#[serde(default)]
struct WireCommand {
    id: Option<u32>,
    connect: Option<Box<crate::ConnectRequest>>,
    ping: Option<Empty>,
    subscribe: Option<Box<crate::SubscribeRequest>>,
    unsubscribe: Option<crate::UnsubscribeRequest>,
    publish: Option<crate::PublishRequest>,
    presence: Option<crate::PresenceRequest>,
    presence_stats: Option<crate::PresenceStatsRequest>,
    history: Option<crate::HistoryRequest>,
    rpc: Option<crate::RpcRequest>,
    send: Option<crate::SendRequest>,
    refresh: Option<crate::RefreshRequest>,
    sub_refresh: Option<crate::SubRefreshRequest>,
}

#[derive(Deserialize, Serialize)]
struct Empty {}

impl From<WireCommand> for Command {
    fn from(wire: WireCommand) -> Self {
        let request = (wire.connect.map(Request::Connect))
            .or_else(|| wire.ping.map(|Empty {}| Request::Ping))
            .or_else(|| wire.subscribe.map(Request::Subscribe))
            .or_else(|| wire.unsubscribe.map(Request::Unsubscribe))
            .or_else(|| wire.publish.map(Request::Publish))
            .or_else(|| wire.presence.map(Request::Presence))
            .or_else(|| wire.presence_stats.map(Request::PresenceStats))
            .or_else(|| wire.history.map(Request::History))
            .or_else(|| wire.rpc.map(Request::Rpc))
            .or_else(|| wire.send.map(Request::Send))
            .or_else(|| wire.refresh.map(Request::Refresh))
            .or_else(|| wire.sub_refresh.map(Request::SubRefresh));
        Self { id: wire.id.unwrap_or_default(), request }
    }
}

/// A reply as it stands in the frame.
#[derive(Deserialize, Default)]
#[serde(default)]
struct WireReply {
    id: Option<u32>,
    error: Option<Error>,
    push: Option<WirePush>,
    connect: Option<Box<crate::ConnectResult>>,
    subscribe: Option<Box<crate::SubscribeResult>>,
    unsubscribe: Option<crate::UnsubscribeResult>,
    publish: Option<crate::PublishResult>,
    presence: Option<crate::PresenceResult>,
    presence_stats: Option<crate::PresenceStatsResult>,
    history: Option<crate::HistoryResult>,
    rpc: Option<crate::RpcResult>,
    refresh: Option<crate::RefreshResult>,
    sub_refresh: Option<crate::SubRefreshResult>,
}

impl From<WireReply> for Reply {
    fn from(wire: WireReply) -> Self {
        if let Some(push) = wire.push {
            return Self::Push(push.into());
        }
        let id = wire.id.unwrap_or_default();
        if let Some(error) = wire.error {
            return Self::error(id, error);
        }
        let response = (wire.connect.map(Response::Connect))
            .or_else(|| wire.subscribe.map(Response::Subscribe))
            .or_else(|| wire.unsubscribe.map(Response::Unsubscribe))
            .or_else(|| wire.publish.map(Response::Publish))
            .or_else(|| wire.presence.map(Response::Presence))
            .or_else(|| wire.presence_stats.map(Response::PresenceStats))
            .or_else(|| wire.history.map(Response::History))
            .or_else(|| wire.rpc.map(Response::Rpc))
            .or_else(|| wire.refresh.map(Response::Refresh))
            .or_else(|| wire.sub_refresh.map(Response::SubRefresh));
        match response {
            Some(response) => Self::ok(id, response),
            // A reply of a kind that we do not know keeps the connection alive like a ping; nobody waits for it.
            None => Self::Ping,
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WirePush {
    channel: Option<String>,
    #[serde(rename = "pub")]
    publication: Option<Publication>,
    join: Option<Join>,
    leave: Option<Leave>,
    unsubscribe: Option<Unsubscribe>,
    message: Option<Message>,
    subscribe: Option<Subscribe>,
    connect: Option<Box<Connect>>,
    disconnect: Option<Disconnect>,
    refresh: Option<Refresh>,
}

impl From<WirePush> for Push {
    fn from(wire: WirePush) -> Self {
        let event = (wire.publication.map(PushEvent::Pub))
            .or_else(|| wire.join.map(PushEvent::Join))
            .or_else(|| wire.leave.map(PushEvent::Leave))
            .or_else(|| wire.unsubscribe.map(PushEvent::Unsubscribe))
            .or_else(|| wire.message.map(PushEvent::Message))
            .or_else(|| wire.subscribe.map(PushEvent::Subscribe))
            .or_else(|| wire.connect.map(PushEvent::Connect))
            .or_else(|| wire.disconnect.map(PushEvent::Disconnect))
            .or_else(|| wire.refresh.map(PushEvent::Refresh));
        Self { channel: wire.channel.unwrap_or_default(), event: event.unwrap_or(PushEvent::Unknown) }
    }
}

struct CommandOut<'a>(&'a Command);

impl Serialize for CommandOut<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Command { id, request } = self.0;
        let mut map = serializer.serialize_map(None)?;
        if *id > 0 {
            map.serialize_entry("id", id)?;
        }
        match request {
            None => {}
            Some(Request::Connect(request)) => map.serialize_entry("connect", request)?,
            Some(Request::Ping) => map.serialize_entry("ping", &Empty {})?,
            Some(Request::Subscribe(request)) => map.serialize_entry("subscribe", request)?,
            Some(Request::Unsubscribe(request)) => map.serialize_entry("unsubscribe", request)?,
            Some(Request::Publish(request)) => map.serialize_entry("publish", request)?,
            Some(Request::Presence(request)) => map.serialize_entry("presence", request)?,
            Some(Request::PresenceStats(request)) => map.serialize_entry("presence_stats", request)?,
            Some(Request::History(request)) => map.serialize_entry("history", request)?,
            Some(Request::Rpc(request)) => map.serialize_entry("rpc", request)?,
            Some(Request::Send(request)) => map.serialize_entry("send", request)?,
            Some(Request::Refresh(request)) => map.serialize_entry("refresh", request)?,
            Some(Request::SubRefresh(request)) => map.serialize_entry("sub_refresh", request)?,
        }
        map.end()
    }
}

struct ReplyOut<'a>(&'a Reply);

impl Serialize for ReplyOut<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Reply::Ping => Empty {}.serialize(serializer),
            Reply::Push(Push { channel, event }) => {
                PushReplyOut { push: PushOut { channel, event } }.serialize(serializer)
            }
            Reply::Answer { id, result: Ok(response) } => AnswerOut { id: *id, response }.serialize(serializer),
            Reply::Answer { id, result: Err(error) } => ErrorOut { id: *id, error }.serialize(serializer),
        }
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

#[derive(Serialize)]
struct PushReplyOut<'a> {
    push: PushOut<'a>,
}

#[derive(Serialize)]
struct PushOut<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    channel: &'a str,
    #[serde(flatten)]
    event: &'a PushEvent,
}
