//! What happens, as the chat tells it: the data of the publications on `room:` and `user:` channels, and of the pages of
//! history. These types serialise (with [`Who`] and [`Message`] inside them); their shape is a promise to clients.
//!
//! Clients ignore a `type` that they do not know.

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::{
    ids::{MessageId, RoomId},
    messages::Message,
    people::{Role, Who},
    preferences::{Preferences, RoomPreferences},
    profiles::Profile,
    reactions::Reaction,
    reading::{Reading, RoomReading},
    rooms::{Room, RoomFacts, RoomKind, RoomRole},
    threads::ThreadReading,
    time::Time,
};

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

/// The kinds of events, each in one row: its name on the wire and in the database, and what it carries. Serialising,
/// storing and reading are all made from this table.
macro_rules! event_kinds {
    ($($(#[$doc:meta])* $kind:ident: $name:literal => $($(#[$content_doc:meta])* $content:ident: $type:ty),+;)*) => {
        /// What happened in a room.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum EventKind {
            $($(#[$doc])* $kind { $($(#[$content_doc])* $content: $type),+ },)*
            /// A kind that this version does not know, stored by a newer one. It has its number and nothing else.
            // Not an error: one such row would make the room's history unreadable, and nobody could resume. Not left
            // out: numbers have no gaps, and a client would ask for the missing one for ever (G4). And not told under
            // its own name, because without its content it would mislead a client that does know the name.
            Unknown,
        }

        impl EventKind {
            /// The `type` on the wire and the kind in the database.
            pub(crate) fn name(&self) -> &'static str {
                match self {
                    $(Self::$kind { .. } => $name,)*
                    Self::Unknown => "unknown",
                }
            }

            /// The kind of this name, with what it carries taken from the rest of the row.
            pub(crate) fn read<R: EventRow>(name: &str, row: &R) -> Result<Self, R::Error> {
                match name {
                    $($name => Ok(Self::$kind { $($content: row.$content()?),+ }),)*
                    _ => Ok(Self::Unknown),
                }
            }

            fn serialize_content<S: SerializeStruct>(&self, event: &mut S) -> Result<(), S::Error> {
                match self {
                    $(Self::$kind { $($content),+ } => {
                        $($content.write(stringify!($content), event)?;)+
                    })*
                    Self::Unknown => {}
                }
                Ok(())
            }
        }
    };
}

event_kinds! {
    /// `room.created`: always the first; its creator is the first member.
    RoomCreated: "room.created" => /// The creator.
        member: Who;
    /// `member.joined`.
    MemberJoined: "member.joined" => /// Who came in.
        member: Who,
        /// Who brought them in, if somebody did.
        by: Option<Who>;
    /// `member.left`.
    MemberLeft: "member.left" => /// Who is no longer a member.
        member: Who,
        /// Who removed them, if somebody did.
        by: Option<Who>;
    /// `member.promoted`: an owner of the room from now on.
    MemberPromoted: "member.promoted" => /// Who is.
        member: Who,
        /// By whom, unless it is because the last owner went.
        by: Option<Who>;
    /// `member.demoted`: no owner any more.
    MemberDemoted: "member.demoted" => /// Who is not.
        member: Who,
        /// By whom, unless by themselves.
        by: Option<Who>;
    /// `room.renamed`.
    RoomRenamed: "room.renamed" => /// By whom.
        member: Who,
        /// The room, as it is at present.
        room: RoomFacts;
    /// `room.described`: it has another topic or description.
    RoomDescribed: "room.described" => /// By whom.
        member: Who,
        /// The room, as it is at present.
        room: RoomFacts;
    /// `room.opened`: it is public from now on.
    RoomOpened: "room.opened" => /// By whom.
        member: Who,
        /// The room, as it is at present.
        room: RoomFacts;
    /// `room.closed`: it is private from now on.
    RoomClosed: "room.closed" => /// By whom.
        member: Who,
        /// The room, as it is at present.
        room: RoomFacts;
    /// `room.archived`: nothing is written there any more.
    RoomArchived: "room.archived" => /// By whom.
        member: Who,
        /// The room, as it is at present.
        room: RoomFacts;
    /// `room.restored`: it is no longer archived.
    RoomRestored: "room.restored" => /// By whom.
        member: Who,
        /// The room, as it is at present.
        room: RoomFacts;
    /// `message.posted`.
    MessagePosted: "message.posted" => /// The message, as it is at present.
        message: Message;
    /// `message.edited`.
    MessageEdited: "message.edited" => /// The same.
        message: Message;
    /// `message.deleted`.
    MessageDeleted: "message.deleted" => /// The same: without its text, unless it was restored since.
        message: Message;
    /// `message.restored`: soon after it was deleted, by whoever did that.
    MessageRestored: "message.restored" => /// The same.
        message: Message;
    /// `reaction.added`: somebody reacted to a message.
    ReactionAdded: "reaction.added" => /// To which one, with what, and who.
        reaction: Reaction;
    /// `reaction.removed`: and took that back.
    ReactionRemoved: "reaction.removed" => /// The same.
        reaction: Reaction;
}

impl EventKind {
    /// The message that it is about, if it is about one.
    pub(crate) fn message(&self) -> Option<&Message> {
        match self {
            Self::MessagePosted { message }
            | Self::MessageEdited { message }
            | Self::MessageDeleted { message }
            | Self::MessageRestored { message } => Some(message),
            _ => None,
        }
    }

    /// The message that it brings, for whoever reads it with what only they see of it.
    pub(crate) fn message_mut(&mut self) -> Option<&mut Message> {
        match self {
            Self::MessagePosted { message }
            | Self::MessageEdited { message }
            | Self::MessageDeleted { message }
            | Self::MessageRestored { message } => Some(message),
            _ => None,
        }
    }

    /// The message that it concerns, with or without bringing it.
    pub(crate) fn concerns(&self) -> Option<MessageId> {
        self.reaction().map(|reaction| reaction.message).or_else(|| self.message().map(|message| message.id))
    }

    /// The reaction that it is about.
    pub(crate) fn reaction(&self) -> Option<&Reaction> {
        match self {
            Self::ReactionAdded { reaction } | Self::ReactionRemoved { reaction } => Some(reaction),
            _ => None,
        }
    }

    /// Bytes of its text.
    pub(crate) fn text_bytes(&self) -> usize {
        self.message().map_or(0, |message| message.body.len())
    }
}

/// What a stored event can be asked for, by its kind.
pub(crate) trait EventRow {
    type Error;
    /// Whom it concerns.
    fn member(&self) -> Result<Who, Self::Error>;
    /// Who did it, when that is somebody else.
    fn by(&self) -> Result<Option<Who>, Self::Error>;
    /// The message that it is about.
    fn message(&self) -> Result<Message, Self::Error>;
    /// The reaction that it is about, by whom it concerns.
    fn reaction(&self) -> Result<Reaction, Self::Error>;
    /// The room, as it is at present.
    fn room(&self) -> Result<RoomFacts, Self::Error>;
}

/// A part of what an event carries.
trait EventPart {
    fn write<S: SerializeStruct>(&self, name: &'static str, event: &mut S) -> Result<(), S::Error>;
}

impl EventPart for Who {
    fn write<S: SerializeStruct>(&self, name: &'static str, event: &mut S) -> Result<(), S::Error> {
        event.serialize_field(name, self)
    }
}

impl EventPart for Option<Who> {
    fn write<S: SerializeStruct>(&self, name: &'static str, event: &mut S) -> Result<(), S::Error> {
        self.as_ref().map_or(Ok(()), |who| event.serialize_field(name, who))
    }
}

impl EventPart for Reaction {
    fn write<S: SerializeStruct>(&self, name: &'static str, event: &mut S) -> Result<(), S::Error> {
        event.serialize_field(name, self)
    }
}

impl EventPart for Message {
    fn write<S: SerializeStruct>(&self, name: &'static str, event: &mut S) -> Result<(), S::Error> {
        event.serialize_field(name, self)
    }
}

impl EventPart for RoomFacts {
    fn write<S: SerializeStruct>(&self, name: &'static str, event: &mut S) -> Result<(), S::Error> {
        event.serialize_field(name, &FactsCard::from(self))
    }
}

/// What all in a room know of it.
#[derive(Serialize)]
struct FactsCard<'a> {
    name: &'a str,
    topic: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    archived: Option<Time>,
}

impl<'a> From<&'a RoomFacts> for FactsCard<'a> {
    fn from(facts: &'a RoomFacts) -> Self {
        Self {
            name: facts.name.as_str(),
            topic: facts.topic.as_str(),
            description: facts.description.as_str(),
            kind: facts.kind.as_str(),
            archived: facts.archived,
        }
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut event = serializer.serialize_struct("Event", 5)?;
        event.serialize_field("type", self.kind.name())?;
        event.serialize_field("number", &self.number)?;
        event.serialize_field("time", &self.time)?;
        self.kind.serialize_content(&mut event)?;
        event.end()
    }
}

/// Somebody is typing in a room: ephemeral, without a number, never stored.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "typing")]
pub(crate) struct Typing {
    pub(crate) person: Who,
}

/// A room as one person sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoomCard {
    /// Which room.
    pub id: RoomId,
    /// Its name; of a direct message the names of the others, nobody where one writes to oneself.
    pub name: String,
    /// What it is about, in a line; may be empty.
    pub topic: String,
    /// The same at length.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// `public`, `private` or `direct`.
    pub kind: &'static str,
    /// Since when nothing is written there any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archived: Option<Time>,
    /// Whether the person who asks is a member.
    pub member: bool,
    /// As what: `owner` or `member`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    /// Of a direct message, the others in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub people: Option<Vec<Who>>,
    /// How many members it has.
    pub members: u32,
    /// The number of its last event.
    pub offset: u64,
    /// The name of its stream of events; numbers of another epoch mean nothing.
    pub epoch: String,
    /// When it was made.
    pub created: Time,
    /// How far the person has read it, if they are a member.
    #[serde(flatten)]
    pub reading: Option<Reading>,
    /// How the person keeps it, if they are a member.
    #[serde(flatten)]
    pub preferences: Option<Preferences>,
    /// When the last message was posted there that stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_message: Option<Time>,
    /// Whether another room that the person sees has the same name, or one that looks alike.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub same_name: bool,
}

impl From<&Room> for RoomCard {
    fn from(room: &Room) -> Self {
        Self {
            id: room.id,
            name: match room.kind {
                RoomKind::Direct => room.people.iter().map(|who| who.name.as_str()).collect::<Vec<_>>().join(", "),
                RoomKind::Public | RoomKind::Private => room.name.as_str().to_owned(),
            },
            topic: room.topic.as_str().to_owned(),
            description: room.description.as_str().to_owned(),
            kind: room.kind.as_str(),
            archived: room.archived,
            member: room.is_member(),
            role: room.role.map(RoomRole::as_str),
            people: (room.kind == RoomKind::Direct).then(|| room.people.clone()),
            members: room.members,
            offset: room.offset,
            epoch: room.epoch.clone(),
            created: room.created,
            reading: room.reading,
            preferences: room.preferences.clone(),
            last_message: room.last_message,
            same_name: room.same_name,
        }
    }
}

/// What happens to one person, on the channel `user:<id>` that only they have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type")]
pub(crate) enum PersonEvent {
    #[serde(rename = "room.added")]
    RoomAdded { room: Box<RoomCard> },
    #[serde(rename = "room.removed")]
    RoomRemoved { room: RoomReference },
    /// On one of their devices.
    #[serde(rename = "room.read")]
    Read { room: RoomReading },
    /// They follow a thread from now on, or no more.
    #[serde(rename = "thread.followed")]
    ThreadFollowed { thread: ThreadReading },
    /// On one of their devices.
    #[serde(rename = "thread.read")]
    ThreadRead { thread: ThreadReading },
    /// All of theirs, likewise.
    #[serde(rename = "threads.read")]
    ThreadsRead,
    /// Likewise.
    #[serde(rename = "room.preferences")]
    Preferences { room: RoomPreferences },
    /// Somebody's profile is another one, by their own hand, or somebody else has their name from now on, or no more.
    #[serde(rename = "person.changed")]
    PersonChanged { person: Profile },
    /// Their address to sign in with is another one.
    #[serde(rename = "account.changed")]
    AccountChanged,
    #[serde(rename = "role.changed")]
    RoleChanged { person: OwnRole },
}

/// What the person may do on the whole server from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct OwnRole {
    pub(crate) role: &'static str,
}

impl From<Role> for OwnRole {
    fn from(role: Role) -> Self {
        Self { role: role.as_str() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct RoomReference {
    pub(crate) id: RoomId,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Answered, Deleted, Reacted, Text,
        ids::{ClientId, MessageId, PersonId},
    };

    fn json(event: &impl Serialize) -> String {
        serde_json::to_string(event).unwrap()
    }

    fn ana() -> Who {
        Who { id: PersonId::from_bytes([1; 16]), name: "Ana".into(), same_name: false }
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
            edited: None,
            deleted: None,
            reply_to: None,
            reactions: Vec::new(),
            thread: None,
            also_in_room: false,
            replies: None,
        };
        let kind = EventKind::MessagePosted { message: message.clone() };
        let posted = Event { room: room(), number: 12, time, kind };
        assert_eq!(
            json(&posted),
            concat!(
                r#"{"type":"message.posted","number":12,"time":1763630000123,"message":{"#,
                r#""id":"03030303-0303-0303-0303-030303030303","room":"02020202-0202-0202-0202-020202020202","#,
                r#""number":12,"client_id":"04040404-0404-0404-0404-040404040404","#,
                r#""author":{"id":"01010101-0101-0101-0101-010101010101","name":"Ana"},"#,
                r#""body":"two\nlines","time":1763630000123}}"#
            )
        );
        let marked = Message { body: "two *lines*".into(), ..message.clone() };
        let content = r#""body":"two *lines*","content":[{"type":"p","content":["two ",{"type":"em","content":["lines"]}]}],"time""#;
        assert!(json(&marked).contains(content), "marks come as a tree, and the source as it is: {}", json(&marked));
        let edited = Message { edited: Some(Time::from_millis(1_763_630_000_456)), ..message.clone() };
        let edited = Event { room: room(), number: 13, time, kind: EventKind::MessageEdited { message: edited } };
        let edited = json(&edited);
        assert!(edited.starts_with(r#"{"type":"message.edited","number":13,"time":1763630000123,"message":{"#));
        assert!(edited.ends_with(r#""body":"two\nlines","time":1763630000123,"edited":1763630000456}}"#), "{edited}");
        let deleted = |reason| Message {
            body: Text::default(),
            deleted: Some(Deleted { time, by: ana(), reason }),
            ..message.clone()
        };
        let told =
            |message| json(&Event { room: room(), number: 14, time, kind: EventKind::MessageDeleted { message } });
        assert!(told(deleted(None)).ends_with(concat!(
            r#""body":"","time":1763630000123,"#,
            r#""deleted":{"time":1763630000123,"by":{"id":"01010101-0101-0101-0101-010101010101","name":"Ana"}}}}"#
        )));
        assert!(told(deleted(Some("spam".into()))).ends_with(r#""name":"Ana"},"reason":"spam"}}}"#));
        let answered = Answered {
            id: MessageId::from_bytes([5; 16]),
            number: 3,
            author: ana(),
            body: "# why\n**so** [late](https://example.org)?".into(),
            deleted: false,
        };
        let reply = Message { reply_to: Some(answered.clone()), ..message.clone() };
        assert!(
            json(&reply).ends_with(concat!(
                r#""time":1763630000123,"reply_to":{"id":"05050505-0505-0505-0505-050505050505","number":3,"#,
                r#""author":{"id":"01010101-0101-0101-0101-010101010101","name":"Ana"},"text":"why so late?"}}"#
            )),
            "{}",
            json(&reply)
        );
        let gone = Message {
            reply_to: Some(Answered { deleted: true, body: Text::default(), ..answered }),
            ..message.clone()
        };
        assert!(json(&gone).ends_with(r#""name":"Ana"},"deleted":true}}"#), "{}", json(&gone));
        let reaction = Reaction { message: message.id, emoji: "👍".into(), person: ana() };
        assert_eq!(
            json(&Event { room: room(), number: 15, time, kind: EventKind::ReactionAdded { reaction } }),
            concat!(
                r#"{"type":"reaction.added","number":15,"time":1763630000123,"reaction":{"message":"03030303-0303-0303-0303-030303030303","#,
                r#""emoji":"👍","person":{"id":"01010101-0101-0101-0101-010101010101","name":"Ana"}}}"#
            )
        );
        let reacted = Reacted { emoji: "👍".into(), count: 7, mine: true, people: vec![ana()] };
        assert!(json(&Message { reactions: vec![reacted], ..message }).ends_with(
            r#""reactions":[{"emoji":"👍","count":7,"mine":true,"people":[{"id":"01010101-0101-0101-0101-010101010101","name":"Ana"}]}]}"#
        ));
        let joined =
            Event { room: room(), number: 13, time, kind: EventKind::MemberJoined { member: ana(), by: None } };
        assert_eq!(
            json(&joined),
            concat!(
                r#"{"type":"member.joined","number":13,"time":1763630000123,"#,
                r#""member":{"id":"01010101-0101-0101-0101-010101010101","name":"Ana"}}"#
            )
        );
        assert_eq!(
            json(&Typing { person: ana() }),
            r#"{"type":"typing","person":{"id":"01010101-0101-0101-0101-010101010101","name":"Ana"}}"#
        );
        assert_eq!(
            json(&PersonEvent::RoomRemoved { room: RoomReference { id: room() } }),
            r#"{"type":"room.removed","room":{"id":"02020202-0202-0202-0202-020202020202"}}"#
        );
    }

    #[test]
    fn an_event_of_a_kind_we_do_not_know_keeps_its_number_and_says_nothing_else() {
        struct Row;
        impl EventRow for Row {
            type Error = String;
            fn member(&self) -> Result<Who, String> {
                Err("not asked for".into())
            }
            fn by(&self) -> Result<Option<Who>, String> {
                Err("not asked for".into())
            }
            fn message(&self) -> Result<Message, String> {
                Err("not asked for".into())
            }
            fn reaction(&self) -> Result<Reaction, String> {
                Err("not asked for".into())
            }
            fn room(&self) -> Result<RoomFacts, String> {
                Err("not asked for".into())
            }
        }
        let kind = EventKind::read("message.of-tomorrow", &Row).unwrap();
        let event = Event { room: room(), number: 14, time: Time::from_millis(1), kind };
        assert_eq!(json(&event), r#"{"type":"unknown","number":14,"time":1}"#);
        assert!(EventKind::read("message.posted", &Row).is_err(), "a message is read as one or not at all");
    }
}
