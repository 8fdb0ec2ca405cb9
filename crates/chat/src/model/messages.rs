//! Messages: what may be one, how it is posted, once however often it is sent, and what becomes of it later.

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::{
    digests::{MessageKey, SendDigest, StoredDigest},
    ids::{ClientId, MessageId, PersonId, RoomId},
    looks::is_blank,
    people::Who,
    reactions::Reacted,
    text::Text,
    threads::{InThread, Replies},
    time::Time,
};
use crate::{
    limits::{ANSWERED_CHARS_MAX, BODY_BYTES_MAX, DELETE_REASON_CHARS_MAX},
    markup::{Mentioned, mentioned},
};

/// The text of a message: not empty, at most 16 KiB of UTF-8, kept as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body(String);

/// Why a text cannot be a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Nothing that could be seen.
    #[error("a message must not be empty")]
    Empty,
    /// A control character other than a line break or a tab.
    #[error("a message must not contain control characters")]
    Control,
    /// Too many bytes.
    #[error("a message may have at most {max} bytes of UTF-8")]
    TooLong {
        /// How many bytes are allowed.
        max: usize,
    },
}

impl Body {
    /// Reads a message's text.
    ///
    /// # Errors
    /// When it is empty or too long, or has control characters.
    pub fn parse(text: String) -> Result<Self, BodyError> {
        if text.len() > BODY_BYTES_MAX {
            Err(BodyError::TooLong { max: BODY_BYTES_MAX })
        } else if !is_plain(&text) && text.chars().any(|c| c.is_control() && !['\n', '\r', '\t'].contains(&c)) {
            Err(BodyError::Control)
        } else if text.chars().all(is_blank) {
            Err(BodyError::Empty)
        } else {
            Ok(Self(text))
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why somebody else's message was deleted, for its readers: up to 500 characters that can be seen, trimmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteReason(String);

/// Why a text cannot be such a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReasonError {
    /// Nothing that could be seen.
    #[error("a reason must not be empty")]
    Empty,
    /// A control character.
    #[error("a reason must be one line without control characters")]
    Control,
    /// Too many characters.
    #[error("a reason may have at most {max} characters")]
    TooLong {
        /// How many characters are allowed.
        max: usize,
    },
}

impl DeleteReason {
    /// Reads a reason.
    ///
    /// # Errors
    /// When it is empty, longer than [`DELETE_REASON_CHARS_MAX`] characters, or not one line.
    pub fn parse(text: &str) -> Result<Self, ReasonError> {
        let text = text.trim();
        if text.chars().all(is_blank) {
            Err(ReasonError::Empty)
        } else if text.chars().any(char::is_control) {
            Err(ReasonError::Control)
        } else if text.chars().count() > DELETE_REASON_CHARS_MAX {
            Err(ReasonError::TooLong { max: DELETE_REASON_CHARS_MAX })
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether it is ASCII without control characters: most texts are, and to see that takes a tenth of looking at each
/// character.
fn is_plain(text: &str) -> bool {
    text.bytes().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'))
}

/// A message about to be posted.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Where.
    pub room: RoomId,
    /// The author's identity of the send: the same for every repetition of it.
    pub client_id: ClientId,
    /// What it says.
    pub body: Body,
    /// The message of the same room that it answers; in a thread one of that thread, or the one that it is under, which is
    /// meant where none is named.
    pub reply_to: Option<MessageId>,
    /// Whether the author means to tell everybody, where it mentions all of a large room.
    pub everybody: bool,
    /// The thread that it belongs to.
    pub thread: Option<InThread>,
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
    /// What it says; empty when it was deleted.
    #[serde(flatten)]
    pub body: Text,
    /// When it was committed, by the server's clock.
    pub time: Time,
    /// When it got its present text, if that is not the first; left out when it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edited: Option<Time>,
    /// That it was deleted; left out when it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Deleted>,
    /// What it answers; left out when it answers nothing in particular.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Answered>,
    /// Who reacted to it, in the order in which each emoji came up first. Left out where nobody has, and where an event or the
    /// answer to a change brings the message: what comes live is the same for all, and reactions are events of their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reactions: Vec<Reacted>,
    /// Of an answer in a thread, the message that the thread is under; left out for all others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread: Option<MessageId>,
    /// Of such an answer, that it stands among the room's messages too; left out when not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub also_in_room: bool,
    /// What stands in the thread under it. Left out where nothing does, and like reactions where an event or the answer to a
    /// change brings the message: each answer is an event of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replies: Option<Replies>,
}

/// The message that another one answers, as it is when that one is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The server's identity of it.
    pub id: MessageId,
    /// Its place in the room.
    pub number: u64,
    /// Who wrote it.
    pub author: Who,
    /// The first [`ANSWERED_CHARS_MAX`](crate::limits::ANSWERED_CHARS_MAX) characters of its source; empty when it was deleted.
    pub body: Text,
    /// Whether it was deleted.
    pub deleted: bool,
}

impl From<&Message> for Answered {
    fn from(message: &Message) -> Self {
        let Message { id, number, author, body, deleted, .. } = message;
        let beginning: String = body.chars().take(ANSWERED_CHARS_MAX).collect();
        let body = Text::new(beginning, body.names().to_vec());
        Self { id: *id, number: *number, author: author.clone(), body, deleted: deleted.is_some() }
    }
}

/// Its text comes without marks and in one line: enough to recognise it by.
impl Serialize for Answered {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut answered = serializer.serialize_struct("Answered", 5)?;
        answered.serialize_field("id", &self.id)?;
        answered.serialize_field("number", &self.number)?;
        answered.serialize_field("author", &self.author)?;
        if self.deleted {
            answered.serialize_field("deleted", &true)?;
        } else {
            let (text, rooms) = self.body.beginning();
            answered.serialize_field("text", &text)?;
            if !rooms.is_empty() {
                answered.serialize_field("rooms", &rooms)?;
            }
        }
        answered.end()
    }
}

/// What is left of a message that was deleted, beside where it stood and who wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deleted {
    /// When.
    pub time: Time,
    /// By whom: its author, or somebody who manages the room.
    pub by: Who,
    /// Why, if that was said; always where it was somebody else's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a message said before it was edited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Edit {
    /// The number of the event that took the text away.
    pub number: u64,
    /// Since when the message had said it.
    pub time: Time,
    /// What it said.
    #[serde(flatten)]
    pub body: Text,
}

/// A message was posted, now or by an earlier send of the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posted {
    /// The server's identity of the message.
    pub id: MessageId,
    /// The number of its event: its place in the room's one order.
    pub number: u64,
    /// When it was committed.
    pub time: Time,
    /// Whether an earlier send had posted it already; then nothing happened now.
    pub repeated: bool,
}

/// A message to be posted.
#[derive(Debug, Clone)]
pub(crate) struct NewMessage {
    pub(crate) id: MessageId,
    pub(crate) room: RoomId,
    pub(crate) author: PersonId,
    pub(crate) client_id: ClientId,
    pub(crate) body: String,
    pub(crate) reply_to: Option<MessageId>,
    /// Whom it mentions, and whether its author means to tell everybody.
    pub(crate) mentions: Mentions,
    pub(crate) thread: Option<InThread>,
    /// By which a repeated send is recognised whatever becomes of the text.
    pub(crate) digest: SendDigest,
}

impl NewMessage {
    pub(crate) fn fresh(author: PersonId, draft: Draft, key: &MessageKey) -> Self {
        let Draft { room, client_id, body: Body(body), reply_to, thread, everybody } = draft;
        let digest = SendDigest::of(room, &body, key);
        let mentions = Mentions { everybody, ..Mentions::of(&body) };
        // Whoever does not know threads sees at least what it answers.
        let reply_to = reply_to.or(thread.map(|thread| thread.root));
        Self { id: MessageId::fresh(), room, author, client_id, body, reply_to, thread, mentions, digest }
    }
}

/// Whom a message that is written mentions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mentions {
    /// By name, each once; who is none of the room's is among them.
    pub(crate) people: Vec<PersonId>,
    /// Those who listen to the room: whether it mentions them, and who they are.
    pub(crate) here: bool,
    pub(crate) listening: Vec<PersonId>,
    /// All in the room.
    pub(crate) room: bool,
    /// Whether the author has said that everybody in a large room is to be told.
    pub(crate) everybody: bool,
}

impl Mentions {
    pub(crate) fn of(body: &str) -> Self {
        let Mentioned { people, here, room } = mentioned(body);
        let people = people.iter().filter_map(|person| PersonId::parse(person)).collect();
        Self { people, here, room, ..Self::default() }
    }
}

/// What was posted under an author's client id before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EarlierSend {
    pub(crate) id: MessageId,
    pub(crate) number: u64,
    pub(crate) time: Time,
    pub(crate) digest: StoredDigest,
}

/// A message with all that the database still has of it.
#[derive(Debug, Clone)]
pub(crate) struct StoredMessage {
    /// As its readers see it.
    pub(crate) message: Message,
    /// Its text, also while it is deleted and can be restored; `None` once it is erased.
    pub(crate) body: Option<String>,
}

impl StoredMessage {
    /// As it stands in a row: the text is empty when it was erased, which no text is that was posted.
    pub(crate) fn of(message: Message, body: String) -> Self {
        let shown = if message.deleted.is_some() { String::new() } else { body.clone() };
        Self { message: Message { body: shown.into(), ..message }, body: Some(body).filter(|body| !body.is_empty()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_some_text_and_at_most_16_kib() {
        assert_eq!(Body::parse(" \n\t".into()), Err(BodyError::Empty));
        for text in ["\u{200b}\u{feff} ", "\u{3164}", "\u{2800}\n\u{2800}", "\u{115f}\u{e0041}\u{34f}", "\u{fe0f}"] {
            assert_eq!(Body::parse(text.into()), Err(BodyError::Empty), "nothing to be seen: {text:?}");
        }
        assert!(Body::parse("\u{2803}\u{2800}\u{2801}".into()).is_ok(), "braille with its spaces");
        assert_eq!(Body::parse("a\u{0}b".into()), Err(BodyError::Control));
        assert!(Body::parse("a\r\n\tb \u{200d}".into()).is_ok());
        assert!(Body::parse("x".repeat(16_384)).is_ok());
        let error = Body::parse("é".repeat(8_193)).unwrap_err();
        assert_eq!(error, BodyError::TooLong { max: 16_384 });
        assert!(error.to_string().contains("16384"), "the error names the limit");
    }

    #[test]
    fn a_reason_is_one_line_of_at_most_500_characters_that_can_be_seen() {
        assert_eq!(DeleteReason::parse("  not for here ").unwrap().as_str(), "not for here");
        assert_eq!(DeleteReason::parse(" \u{200b}"), Err(ReasonError::Empty));
        assert_eq!(DeleteReason::parse("two\nlines"), Err(ReasonError::Control));
        assert!(DeleteReason::parse(&"é".repeat(500)).is_ok());
        assert_eq!(DeleteReason::parse(&"é".repeat(501)), Err(ReasonError::TooLong { max: 500 }));
    }
}
