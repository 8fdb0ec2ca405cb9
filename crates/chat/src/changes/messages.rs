//! A message is posted, edited, deleted and restored; and what was deleted is erased.

use std::convert::Infallible;

use super::{
    mentions::{self, MentionRefusal, Place},
    rooms, threads,
};
use crate::{
    limits::{DELETE_UNDO, DIGESTS_KEYED_AT_ONCE, ERASED_AT_ONCE, MENTIONS_MAX},
    markup::may_mention,
    model::{
        Answered, Body, ClientId, DeleteReason, Deleted, Event, EventKind, Mentions, Message, MessageId, MessageKey,
        NewMessage, PersonId, Posted, RoomId, StoredMessage, Text, Time, Who,
    },
    store::{
        Applied, Change,
        ChangeError::{self, Refused},
        ChangeResult, StoreError, Tables,
    },
};

/// Why a message was not posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PostRefusal {
    /// There is no such room, or the author is not a member: the same answer.
    #[error("not a member of the room")]
    NotMember,
    /// The author has used this client id for another message.
    #[error("the client id was used for another message")]
    Conflict,
    /// What it answers is not in the room.
    #[error("no such message to answer in the room")]
    NothingToAnswer,
    /// What its thread is to be under is not in the room.
    #[error("no such message in the room to be in the thread of")]
    NoSuchThread,
    /// What its thread is to be under is in a thread itself.
    #[error("the message is in a thread itself")]
    InThread,
    /// What it answers is not in the same thread.
    #[error("what it answers is in another place than its thread")]
    OutsideThread,
    /// The room is archived.
    #[error("the room is archived")]
    Archived,
    /// It mentions whom it may not.
    #[error(transparent)]
    Mention(#[from] MentionRefusal),
}

/// A message, posted once however often it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Post(pub(crate) NewMessage);

impl Change for Post {
    type Answer = Posted;
    type Refusal = PostRefusal;

    fn room(&self) -> Option<RoomId> {
        Some(self.0.room)
    }

    fn send(&self) -> Option<(PersonId, ClientId)> {
        Some((self.0.author, self.0.client_id))
    }

    fn looks_for(&self) -> Vec<PersonId> {
        let Mentions { people, listening, .. } = &self.0.mentions;
        people.iter().take(MENTIONS_MAX).chain(listening).copied().collect()
    }

    fn thread(&self) -> Option<MessageId> {
        self.0.thread.map(|thread| thread.root)
    }

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        let Post(new) = self;
        // Looked for before membership: what was acknowledged stays acknowledged (G2). An author who has left since, and
        // whose device missed the answer, must learn that the message stands, or it would be shown as failed and sent
        // again under another id. The digest is that of the first text, so neither an edit nor a deletion changes the answer.
        if let Some(earlier) = tables.earlier_send(new.author, new.client_id)? {
            return if new.digest.differs_from(&earlier.digest) {
                Err(Refused(PostRefusal::Conflict))
            } else {
                Ok(Applied::quietly(Posted {
                    id: earlier.id,
                    number: earlier.number,
                    time: earlier.time,
                    repeated: true,
                }))
            };
        }
        let author = tables.member(new.room, new.author)?.ok_or(Refused(PostRefusal::NotMember))?;
        if tables.is_archived(new.room)? {
            return Err(Refused(PostRefusal::Archived));
        }
        let (root, reply_to) = match (new.thread, new.reply_to) {
            (Some(thread), _) => {
                let (root, answered) = threads::enter(tables, new, thread)?;
                (Some(root), Some(answered))
            }
            (None, Some(id)) => {
                let found = tables.message(new.room, id)?.ok_or(Refused(PostRefusal::NothingToAnswer))?;
                (None, Some(Answered::from(&found.message)))
            }
            (None, None) => (None, None),
        };
        let mentions = &new.mentions;
        let mut names = mentions::named(tables, new.room, mentions)?.ok_or(Refused(MentionRefusal::TooMany.into()))?;
        mentions::may_mention_everybody(tables, new.room, new.author, mentions)?
            .map_err(|refusal| Refused(refusal.into()))?;
        let number = tables.next_number(new.room)?;
        tables.insert_message(new, number, now)?;
        let NewMessage { id, room, client_id, .. } = *new;
        let place = Place { room, message: id, number, event: number, author: new.author, time: now };
        let answered = reply_to.as_ref().map(|answered: &Answered| answered.author.id);
        mentions::tell(tables, place, mentions, &names, answered)?;
        let mentioned: Vec<_> = names.iter().map(|who| who.id).collect();
        names.push(author.clone());
        let message = Message {
            id,
            room,
            number,
            client_id,
            author,
            body: Text::new(new.body.clone(), names),
            time: now,
            edited: None,
            deleted: None,
            reply_to,
            reactions: Vec::new(),
            thread: new.thread.map(|thread| thread.root),
            also_in_room: new.thread.is_some_and(|thread| thread.also_in_room),
            replies: None,
        };
        let event = Event { room, number, time: now, kind: EventKind::MessagePosted { message } };
        tables.insert_event(&event, new.author, new.author)?;
        let mut applied = Applied::happened(Posted { id, number, time: now, repeated: false }, event);
        if let Some(root) = root {
            applied.announcements.personal = threads::answered(tables, room, &root, (new.author, &mentioned), number)?;
        }
        Ok(applied)
    }
}

/// Why a message was not edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EditRefusal {
    /// There is no such message, or the person is not a member of its room: the same answer.
    #[error("no such message for this person")]
    NoSuchMessage,
    /// Somebody else's.
    #[error("only its author may edit a message")]
    NotAuthor,
    /// It was deleted.
    #[error("the message was deleted")]
    Deleted,
    /// The room is archived.
    #[error("the room is archived")]
    Archived,
    /// It mentions too many by name.
    #[error("too many people are mentioned")]
    TooManyMentioned,
}

/// The author gives a message another text. The last one wins; each that was replaced is kept.
#[derive(Debug, Clone)]
pub(crate) struct EditMessage {
    pub(crate) person: PersonId,
    pub(crate) room: RoomId,
    pub(crate) message: MessageId,
    pub(crate) body: Body,
}

impl Change for EditMessage {
    type Answer = Message;
    type Refusal = EditRefusal;

    fn room(&self) -> Option<RoomId> {
        Some(self.room)
    }

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        let (_, StoredMessage { message, .. }) =
            find(tables, self.person, self.room, self.message)?.ok_or(Refused(EditRefusal::NoSuchMessage))?;
        if message.author.id != self.person {
            return Err(Refused(EditRefusal::NotAuthor));
        }
        if message.deleted.is_some() {
            return Err(Refused(EditRefusal::Deleted));
        }
        if tables.is_archived(self.room)? {
            return Err(Refused(EditRefusal::Archived));
        }
        if message.body == self.body.as_str() {
            return Ok(Applied::quietly(message));
        }
        // Before anything is written: what is taken back costs all that are committed with it.
        if Mentions::of(self.body.as_str()).people.len() > MENTIONS_MAX {
            return Err(Refused(EditRefusal::TooManyMentioned));
        }
        let number = tables.next_number(self.room)?;
        tables.insert_edit(message.id, number, message.edited.unwrap_or(message.time), &message.body)?;
        tables.set_body(message.id, self.body.as_str(), now)?;
        let body = mentions::edited(tables, &message, self.body.as_str(), (number, now))?
            .ok_or(Refused(EditRefusal::TooManyMentioned))?;
        let edited = Message { body, edited: Some(now), ..message };
        let kind = EventKind::MessageEdited { message: edited.clone() };
        happened(tables, self.person, number, kind, edited, now)
    }
}

/// Why a message was not deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DeleteRefusal {
    /// As of [`EditRefusal`].
    #[error("no such message for this person")]
    NoSuchMessage,
    /// Somebody else's, and the person does not manage the room.
    #[error("only its author, an owner of the room or an administrator may delete a message")]
    NotAllowed,
    /// Somebody else's, and its readers are to be told why.
    #[error("a reason is needed")]
    NoReason,
}

/// Nobody is told the message's text any more. Whoever did it may take it back for a moment.
#[derive(Debug, Clone)]
pub(crate) struct DeleteMessage {
    pub(crate) person: PersonId,
    pub(crate) room: RoomId,
    pub(crate) message: MessageId,
    pub(crate) reason: Option<DeleteReason>,
}

impl Change for DeleteMessage {
    type Answer = Message;
    type Refusal = DeleteRefusal;

    fn room(&self) -> Option<RoomId> {
        Some(self.room)
    }

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        let (by, StoredMessage { message, .. }) =
            find(tables, self.person, self.room, self.message)?.ok_or(Refused(DeleteRefusal::NoSuchMessage))?;
        if message.author.id != self.person {
            if !manages(tables, self.person, self.room)? {
                return Err(Refused(DeleteRefusal::NotAllowed));
            }
            if self.reason.is_none() {
                return Err(Refused(DeleteRefusal::NoReason));
            }
        }
        if message.deleted.is_some() {
            return Ok(Applied::quietly(message));
        }
        let reason = self.reason.as_ref().map(DeleteReason::as_str);
        let number = tables.next_number(self.room)?;
        tables.set_deleted(message.id, Some((self.person, reason)), now)?;
        let deleted = Some(Deleted { time: now, by, reason: reason.map(str::to_owned) });
        let gone = Message { body: Text::default(), deleted, ..message };
        let kind = EventKind::MessageDeleted { message: gone.clone() };
        happened(tables, self.person, number, kind, gone, now)
    }
}

/// Why a message was not restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RestoreRefusal {
    /// As of [`EditRefusal`].
    #[error("no such message for this person")]
    NoSuchMessage,
    /// Somebody else deleted it.
    #[error("only who deleted a message may restore it")]
    NotAllowed,
    /// Its text is gone, or about to be.
    #[error("the message was deleted too long ago")]
    TooLate,
}

/// The message is as it was before it was deleted.
#[derive(Debug, Clone)]
pub(crate) struct RestoreMessage {
    pub(crate) person: PersonId,
    pub(crate) room: RoomId,
    pub(crate) message: MessageId,
}

impl Change for RestoreMessage {
    type Answer = Message;
    type Refusal = RestoreRefusal;

    fn room(&self) -> Option<RoomId> {
        Some(self.room)
    }

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        let (_, StoredMessage { message, body }) =
            find(tables, self.person, self.room, self.message)?.ok_or(Refused(RestoreRefusal::NoSuchMessage))?;
        let Some(deleted) = &message.deleted else {
            // Of a message that stands only its author learns whether they had deleted it.
            return if message.author.id == self.person || manages(tables, self.person, self.room)? {
                Ok(Applied::quietly(message))
            } else {
                Err(Refused(RestoreRefusal::NotAllowed))
            };
        };
        if deleted.by.id != self.person {
            return Err(Refused(RestoreRefusal::NotAllowed));
        }
        let Some(body) = body.filter(|_| now < deleted.time.plus(DELETE_UNDO)) else {
            return Err(Refused(RestoreRefusal::TooLate));
        };
        let number = tables.next_number(self.room)?;
        tables.set_deleted(message.id, None, now)?;
        let mut names = if may_mention(&body) { tables.names_of(message.id)? } else { Vec::new() };
        names.push(message.author.clone());
        let restored = Message { body: Text::new(body, names), deleted: None, ..message };
        let kind = EventKind::MessageRestored { message: restored.clone() };
        happened(tables, self.person, number, kind, restored, now)
    }
}

/// The texts of messages that cannot be restored any more are gone from the database, with what they said before they were
/// edited. Answers how many messages there were, at most [`ERASED_AT_ONCE`].
#[derive(Debug, Clone)]
pub(crate) struct EraseDeleted;

impl Change for EraseDeleted {
    type Answer = usize;
    type Refusal = Infallible;

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        Ok(Applied::quietly(tables.erase_deleted_by(now.minus(DELETE_UNDO), ERASED_AT_ONCE)?))
    }
}

/// Digests that a version before has left are keyed, some at a time. Answers how many these were.
#[derive(Debug, Clone)]
pub(crate) struct KeyDigests(pub(crate) MessageKey);

impl Change for KeyDigests {
    type Answer = usize;
    type Refusal = Infallible;

    fn apply(&self, tables: &mut dyn Tables, _now: Time) -> ChangeResult<Self> {
        let Self(key) = self;
        let plain = tables.plain_digests(DIGESTS_KEYED_AT_ONCE)?;
        let keyed: Vec<_> = plain.iter().map(|(message, digest)| (*message, key.digest(digest))).collect();
        tables.set_digests(&keyed, key.id())?;
        Ok(Applied::quietly(keyed.len()))
    }
}

/// The message, as the person may see it; with the person as a member of its room.
pub(super) fn find(
    tables: &dyn Tables,
    person: PersonId,
    room: RoomId,
    message: MessageId,
) -> Result<Option<(Who, StoredMessage)>, StoreError> {
    let Some(who) = tables.member(room, person)? else { return Ok(None) };
    Ok(tables.message(room, message)?.map(|found| (who, found)))
}

/// Whether a member of the room may do in it what members may not.
fn manages(tables: &dyn Tables, member: PersonId, room: RoomId) -> Result<bool, StoreError> {
    let (room, person) = (tables.room(room, member)?, tables.person(member)?);
    Ok(room.zip(person).is_some_and(|(room, person)| rooms::manages(&room, &person)))
}

/// Writes down what has become of the message.
fn happened<R>(
    tables: &mut dyn Tables,
    actor: PersonId,
    number: u64,
    kind: EventKind,
    message: Message,
    now: Time,
) -> Result<Applied<Message>, ChangeError<R>> {
    let event = Event { room: message.room, number, time: now, kind };
    // Its subject is the author, as of the event that brought it.
    tables.insert_event(&event, actor, message.author.id)?;
    Ok(Applied::happened(message, event))
}
