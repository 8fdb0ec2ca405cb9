//! What happens, as the chat tells it: the data of the publications on `room:` and `user:` channels, and of the pages of
//! history. These types, and no others here, serialise; their shape is a promise to clients.
//!
//! Clients ignore a `type` that they do not know.

use serde::{Serialize, Serializer, ser::SerializeStruct};
use tidings_protocol::{Payload, Publication};

use crate::{
    ids::{ClientId, MessageId, PersonId, RoomId},
    rooms::Room,
    time::Time,
};

/// A person as others see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Who {
    /// Which person.
    pub id: PersonId,
    /// Their present name.
    pub name: String,
}

/// A message as its readers see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// The server's identity of it.
    pub id: MessageId,
    /// Where it was posted.
    pub room: RoomId,
    /// The number of the event with which it came into the room.
    pub number: u64,
    /// The author's identity of the send, by which the author's devices recognise their pending message.
    pub client_id: ClientId,
    /// Who wrote it.
    pub author: Who,
    /// The text.
    pub body: String,
    /// When it was committed, by the server's clock.
    pub time: Time,
}

/// Something that happened in a room. Serialises to the data of a publication whose offset is `number`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Where; not part of the data, the channel says it.
    pub room: RoomId,
    /// The room's number for it: 1 for the first, without gaps.
    pub number: u64,
    /// When it was committed, by the server's clock.
    pub time: Time,
    /// What happened.
    pub kind: EventKind,
}

/// What happened in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// `room.created`: always the first; its creator is the first member.
    RoomCreated {
        /// The creator.
        member: Who,
    },
    /// `member.joined`.
    MemberJoined {
        /// Who came in.
        member: Who,
    },
    /// `member.left`: by themselves, or removed.
    MemberLeft {
        /// Who is no longer a member.
        member: Who,
    },
    /// `message.posted`.
    MessagePosted {
        /// The message, with its present text.
        message: Message,
    },
}

impl Event {
    /// As the hub publishes it in the room's channel.
    pub(crate) fn publication(&self) -> Publication {
        Publication {
            data: Some(payload(self)),
            offset: self.number,
            time: self.time.millis(),
            ..Publication::default()
        }
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut event = serializer.serialize_struct("Event", 4)?;
        let kind = match self.kind {
            EventKind::RoomCreated { .. } => "room.created",
            EventKind::MemberJoined { .. } => "member.joined",
            EventKind::MemberLeft { .. } => "member.left",
            EventKind::MessagePosted { .. } => "message.posted",
        };
        event.serialize_field("type", kind)?;
        event.serialize_field("number", &self.number)?;
        event.serialize_field("time", &self.time)?;
        match &self.kind {
            EventKind::RoomCreated { member }
            | EventKind::MemberJoined { member }
            | EventKind::MemberLeft { member } => event.serialize_field("member", member)?,
            EventKind::MessagePosted { message } => event.serialize_field("message", message)?,
        }
        event.end()
    }
}

/// Somebody is typing in a room: ephemeral, without a number, never stored.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "typing")]
pub(crate) struct Typing {
    pub(crate) person: Who,
}

impl Typing {
    pub(crate) fn payload(&self) -> Payload {
        payload(self)
    }
}

/// A room as one person sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoomCard {
    /// Which room.
    pub id: RoomId,
    /// Its name.
    pub name: String,
    /// What it is about; may be empty.
    pub topic: String,
    /// Whether the person who asks is a member.
    pub member: bool,
    /// How many members it has.
    pub members: u32,
    /// The number of its last event.
    pub offset: u64,
    /// The name of its stream of events; numbers of another epoch mean nothing.
    pub epoch: String,
    /// When it was made.
    pub created: Time,
}

impl From<&Room> for RoomCard {
    fn from(room: &Room) -> Self {
        Self {
            id: room.id,
            name: room.name.as_str().to_owned(),
            topic: room.topic.as_str().to_owned(),
            member: room.is_member,
            members: room.members,
            offset: room.offset,
            epoch: room.epoch.clone(),
            created: room.created,
        }
    }
}

/// What happens to one person, on the channel `user:<id>` that only they have.
#[derive(Debug, Serialize)]
#[serde(tag = "type")]
pub(crate) enum PersonEvent {
    #[serde(rename = "room.added")]
    RoomAdded { room: RoomCard },
    #[serde(rename = "room.removed")]
    RoomRemoved { room: RoomReference },
}

#[derive(Debug, Serialize)]
pub(crate) struct RoomReference {
    pub(crate) id: RoomId,
}

impl PersonEvent {
    pub(crate) fn payload(&self) -> Payload {
        payload(self)
    }
}

fn payload(event: &impl Serialize) -> Payload {
    Payload::from_value(event).expect("events have string keys only")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ana() -> Who {
        Who { id: PersonId::from_bytes([1; 16]), name: "Ana".into() }
    }

    fn room() -> RoomId {
        RoomId::from_bytes([2; 16])
    }

    #[test]
    fn events_have_the_shape_that_clients_were_promised() {
        let time = Time::from_millis(1_763_630_000_123);
        let message = Message {
            id: MessageId::from_bytes([3; 16]),
            room: room(),
            number: 12,
            client_id: ClientId::from_bytes([4; 16]),
            author: ana(),
            body: "two\nlines".into(),
            time,
        };
        let posted = Event { room: room(), number: 12, time, kind: EventKind::MessagePosted { message } };
        assert_eq!(
            payload(&posted).as_json().unwrap(),
            concat!(
                r#"{"type":"message.posted","number":12,"time":1763630000123,"message":{"#,
                r#""id":"03030303-0303-0303-0303-030303030303","room":"02020202-0202-0202-0202-020202020202","#,
                r#""number":12,"client_id":"04040404-0404-0404-0404-040404040404","#,
                r#""author":{"id":"01010101-0101-0101-0101-010101010101","name":"Ana"},"#,
                r#""body":"two\nlines","time":1763630000123}}"#
            )
        );
        let joined = Event { room: room(), number: 13, time, kind: EventKind::MemberJoined { member: ana() } };
        assert_eq!(
            payload(&joined).as_json().unwrap(),
            concat!(
                r#"{"type":"member.joined","number":13,"time":1763630000123,"#,
                r#""member":{"id":"01010101-0101-0101-0101-010101010101","name":"Ana"}}"#
            )
        );
        assert_eq!(
            Typing { person: ana() }.payload().as_json().unwrap(),
            r#"{"type":"typing","person":{"id":"01010101-0101-0101-0101-010101010101","name":"Ana"}}"#
        );
        assert_eq!(
            PersonEvent::RoomRemoved { room: RoomReference { id: room() } }.payload().as_json().unwrap(),
            r#"{"type":"room.removed","room":{"id":"02020202-0202-0202-0202-020202020202"}}"#
        );
    }
}
