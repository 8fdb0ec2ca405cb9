//! What concerns somebody in particular: who mentioned them, answered them, reacted to what they wrote.

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::{
    ids::{MessageId, PersonId, RoomId},
    messages::{Answered, Message},
    people::Who,
    time::Time,
};

/// Why something concerns somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoticeKind {
    /// A message mentions them by name.
    Mention,
    /// It mentions those who listened when it was posted, and they did.
    Here,
    /// It mentions all in the room. There is one for all of them, which names nobody.
    Room,
    /// It answers one of theirs.
    Reply,
    /// Somebody reacted to one of theirs.
    Reaction,
    /// It mentioned them until it was edited: that does not concern them any more, but what it said then has their name.
    Past,
}

impl NoticeKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Mention => "mention",
            Self::Here => "here",
            Self::Room => "room",
            Self::Reply => "reply",
            Self::Reaction => "reaction",
            Self::Past => "past",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Mention, Self::Here, Self::Room, Self::Reply, Self::Reaction, Self::Past]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }

    /// Whether it counts as a mention.
    pub(crate) fn is_mention(self) -> bool {
        matches!(self, Self::Mention | Self::Here | Self::Room)
    }
}

/// A row of what concerns somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) room: RoomId,
    /// The number of the event that brought it.
    pub(crate) event: u64,
    /// Which of those that the event brought.
    pub(crate) place: u32,
    /// Whom it concerns; nobody in particular where it is all in the room.
    pub(crate) person: Option<PersonId>,
    pub(crate) kind: NoticeKind,
    /// The message that it is about, with its place in the room.
    pub(crate) message: MessageId,
    pub(crate) number: u64,
    /// Who did it.
    pub(crate) actor: PersonId,
    /// Of a reaction.
    pub(crate) emoji: Option<String>,
    pub(crate) time: Time,
}

/// What kind of activity somebody asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActivityKind {
    /// Who mentioned them.
    Mentions,
    /// Who answered them.
    Replies,
    /// Who reacted to what they wrote.
    Reactions,
}

impl ActivityKind {
    /// The kind of this name: `mentions`, `replies` or `reactions`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Mentions, Self::Replies, Self::Reactions].into_iter().find(|kind| kind.as_str() == name)
    }

    /// See [`parse`](Self::parse).
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mentions => "mentions",
            Self::Replies => "replies",
            Self::Reactions => "reactions",
        }
    }

    pub(crate) fn has(self, kind: NoticeKind) -> bool {
        match self {
            Self::Mentions => kind.is_mention(),
            Self::Replies => kind == NoticeKind::Reply,
            Self::Reactions => kind == NoticeKind::Reaction,
        }
    }
}

/// Where a page of activity ends: the time, the event, the room and the place of its last entry. What comes next is before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActivityFrom {
    pub(crate) time: Time,
    pub(crate) room: RoomId,
    pub(crate) event: u64,
    /// One event may concern somebody in two ways.
    pub(crate) place: u32,
}

impl ActivityFrom {
    /// Behind this comes everything.
    pub(crate) const NEWEST: Self = Self {
        time: Time::from_millis(i64::MAX),
        room: RoomId::from_bytes([0xff; 16]),
        event: i64::MAX as u64,
        place: 0,
    };

    /// Reads what a page said of where it ended.
    #[must_use]
    pub fn parse(cursor: &str) -> Option<Self> {
        let mut parts = cursor.splitn(4, '.');
        let time = Time::from_millis(parts.next()?.parse().ok()?);
        let event = parts.next()?.parse().ok().filter(|event| i64::try_from(*event).is_ok())?;
        let place = parts.next()?.parse().ok()?;
        Some(Self { time, event, place, room: RoomId::parse(parts.next()?)? })
    }
}

impl std::fmt::Display for ActivityFrom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}.{}", self.time.millis(), self.event, self.place, self.room)
    }
}

/// A page of what concerns somebody that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActivityQuery {
    /// Of what kind; of all without one.
    pub kind: Option<ActivityKind>,
    /// What is older than that; the newest without it.
    pub before: Option<ActivityFrom>,
    /// At most so many, up to [`ACTIVITY_PAGE_MAX`](crate::limits::ACTIVITY_PAGE_MAX).
    pub limit: u32,
}

/// Something that concerns the person who reads it. Serialises with the beginning of the message, which is enough to
/// recognise it by: a page may be of fifty long ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// `mention`, `here`, `room`, `reply` or `reaction`.
    pub kind: &'static str,
    /// When.
    pub time: Time,
    /// Who did it.
    pub actor: Who,
    /// Of a reaction.
    pub emoji: Option<String>,
    /// The number of the event that brought it.
    pub event: u64,
    /// Which of those that the event brought.
    pub place: u32,
    /// The message that mentions them, answers them, or was reacted to, with its room.
    pub message: Message,
}

impl Activity {
    fn place(&self) -> ActivityFrom {
        ActivityFrom { time: self.time, room: self.message.room, event: self.event, place: self.place }
    }
}

impl Serialize for Activity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut activity = serializer.serialize_struct("Activity", 7)?;
        activity.serialize_field("kind", self.kind)?;
        activity.serialize_field("time", &self.time)?;
        activity.serialize_field("actor", &self.actor)?;
        if let Some(emoji) = &self.emoji {
            activity.serialize_field("emoji", emoji)?;
        }
        activity.serialize_field("event", &self.event)?;
        activity.serialize_field("room", &self.message.room)?;
        activity.serialize_field("message", &Answered::from(&self.message))?;
        activity.end()
    }
}

/// A page of it, the newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivityPage {
    /// What there is.
    pub activity: Vec<Activity>,
    /// From where the next page goes on, if there is one.
    pub next: Option<ActivityFrom>,
}

impl ActivityPage {
    /// The page of what was found, one more than asked for where there is more.
    pub(crate) fn of(mut activity: Vec<Activity>, limit: u32) -> Self {
        let more = activity.len() > limit as usize;
        activity.truncate(limit as usize);
        let next = activity.last().filter(|_| more).map(Activity::place);
        Self { activity, next }
    }
}

impl Serialize for ActivityFrom {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
