//! People react to messages, and take that back.

use super::{messages::find, rooms::record};
use crate::{
    limits::REACTIONS_PER_MESSAGE_MAX,
    model::{Emoji, EventKind, MessageId, Notice, NoticeKind, PersonId, Reaction, RoomId, StoredMessage, Time},
    store::{Applied, Change, ChangeError::Refused, ChangeResult, Tables},
};

/// Why nobody reacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReactRefusal {
    /// There is no such message, or the person is not a member of its room: the same answer.
    #[error("no such message for this person")]
    NoSuchMessage,
    /// It was deleted.
    #[error("the message was deleted")]
    Deleted,
    /// The room is archived.
    #[error("the room is archived")]
    Archived,
    /// As many different ones as there may be are under it.
    #[error("the message has as many different reactions as it may have")]
    TooManyKinds,
}

/// A reaction of the person stands under the message, or none with this emoji. What is so already stays so, and nothing
/// happens.
#[derive(Debug, Clone)]
pub(crate) struct React {
    pub(crate) person: PersonId,
    pub(crate) room: RoomId,
    pub(crate) message: MessageId,
    pub(crate) emoji: Emoji,
    /// Whether it is to stand there.
    pub(crate) stands: bool,
}

impl Change for React {
    type Answer = ();
    type Refusal = ReactRefusal;

    fn room(&self) -> Option<RoomId> {
        Some(self.room)
    }

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        let Self { person, room, message, ref emoji, stands } = *self;
        let (who, StoredMessage { message: found, .. }) =
            find(tables, person, room, message)?.ok_or(Refused(ReactRefusal::NoSuchMessage))?;
        if found.deleted.is_some() {
            return Err(Refused(ReactRefusal::Deleted));
        }
        if tables.is_archived(room)? {
            return Err(Refused(ReactRefusal::Archived));
        }
        let there = tables.reactions(message, person, emoji)?;
        if there.is_mine == stands {
            return Ok(Applied::quietly(()));
        }
        if stands && !there.is_used && there.kinds >= REACTIONS_PER_MESSAGE_MAX {
            return Err(Refused(ReactRefusal::TooManyKinds));
        }
        let reaction = Reaction { message, emoji: emoji.as_str().to_owned(), person: who };
        let event = if stands {
            let event = record(tables, room, EventKind::ReactionAdded { reaction }, person, person, now)?;
            tables.insert_reaction(message, person, emoji, event.number)?;
            if found.author.id != person {
                let (number, emoji) = (found.number, Some(emoji.as_str().to_owned()));
                let (to, kind, event) = (Some(found.author.id), NoticeKind::Reaction, event.number);
                let notice = Notice {
                    room,
                    event,
                    place: 0,
                    person: to,
                    kind,
                    message,
                    number,
                    actor: person,
                    emoji,
                    time: now,
                };
                tables.insert_notices(&[notice])?;
            }
            event
        } else {
            tables.delete_reaction(message, person, emoji)?;
            tables.delete_notice_of_reaction(message, person, emoji)?;
            record(tables, room, EventKind::ReactionRemoved { reaction }, person, person, now)?
        };
        Ok(Applied::happened((), event))
    }
}
