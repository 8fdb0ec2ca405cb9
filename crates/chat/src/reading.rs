//! How far people have read their rooms: moved by what they have seen, told their other devices at once.

use crate::{
    changes::{NotMember, Read, ReadAll},
    chat::Chat,
    model::{Move, PersonId, RoomId, RoomReading},
    rates::RetryAfter,
    store::StoreError,
};

/// Why a read position was not moved.
#[derive(Debug, thiserror::Error)]
pub enum MarkReadError {
    /// There is no such room, or the person is not a member: the same answer.
    #[error("no such room")]
    NotMember,
    /// Too often.
    #[error(transparent)]
    TooMany(#[from] RetryAfter),
    /// The store could not; nothing was moved.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

impl Chat {
    /// The person has read a room up to a number, or wants what follows it to be unread again. A number beyond the room's last
    /// event is that of the last event.
    ///
    /// # Errors
    /// See [`MarkReadError`].
    pub async fn mark_read(&self, person: PersonId, room: RoomId, to: Move) -> Result<RoomReading, MarkReadError> {
        self.0.limiters.reads.take(person, self.0.steady.now())?;
        self.write(Read { person, room, to }).await
    }

    /// The person has read all of their rooms. Answers those that they had not read before.
    ///
    /// # Errors
    /// See [`MarkReadError`]; not that they are no member.
    pub async fn mark_all_read(&self, person: PersonId) -> Result<Vec<RoomReading>, MarkReadError> {
        self.0.limiters.reads.take(person, self.0.steady.now())?;
        Ok(self.write::<_, StoreError>(ReadAll { person }).await?)
    }
}

impl From<NotMember> for MarkReadError {
    fn from(NotMember: NotMember) -> Self {
        Self::NotMember
    }
}
