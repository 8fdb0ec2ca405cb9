//! A message is posted.

use crate::{
    model::{ClientId, EarlierSend, Event, EventKind, Message, NewMessage, PersonId, Posted, RoomId, Time},
    store::{Applied, Change, ChangeError::Refused, ChangeResult, Tables},
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

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        let Post(new) = self;
        // Looked for before membership: what was acknowledged stays acknowledged (G2). An author who has left since, and
        // whose device missed the answer, must learn that the message stands, or it would be shown as failed and sent
        // again under another id.
        if let Some(EarlierSend { id, number, time, digest }) = tables.earlier_send(new.author, new.client_id)? {
            return if digest == new.digest {
                Ok(Applied::quietly(Posted { id, number, time, repeated: true }))
            } else {
                Err(Refused(PostRefusal::Conflict))
            };
        }
        let author = tables.member(new.room, new.author)?.ok_or(Refused(PostRefusal::NotMember))?;
        let number = tables.next_number(new.room)?;
        tables.insert_message(new, number, now)?;
        let NewMessage { id, room, client_id, .. } = *new;
        let message = Message { id, room, number, client_id, author, body: new.body.clone(), time: now };
        let event = Event { room, number, time: now, kind: EventKind::MessagePosted { message } };
        tables.insert_event(&event, new.author, new.author)?;
        Ok(Applied::happened(Posted { id, number, time: now, repeated: false }, event))
    }
}
