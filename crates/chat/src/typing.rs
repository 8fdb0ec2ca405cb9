//! Typing notices: told to whoever is there, never stored, and dropped without a word when there are too many.

use crate::{
    chat::Chat,
    limits::TYPING_MEMBERS_MAX,
    model::{PersonId, RoomId, Typing},
    store::StoreError,
};

/// Why nobody was told.
#[derive(Debug, thiserror::Error)]
pub enum TypingError {
    /// There is no such room, or the person is not a member: the same answer.
    #[error("no such room")]
    NotMember,
    /// The store could not be read.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

impl Chat {
    /// Tells the room that somebody is typing; not in a large one.
    ///
    /// # Errors
    /// See [`TypingError`].
    pub async fn typing(&self, person: PersonId, room: RoomId) -> Result<(), TypingError> {
        // First, because a client may invent rooms without end, and each would have a bucket. So a notice too many still
        // costs a read.
        let member = self.0.store.member(room, person).await?.ok_or(TypingError::NotMember)?;
        let (now, limiters) = (self.0.steady.now(), &self.0.limiters);
        // Their own limit first, so that nobody takes from the others in the room what they may not use.
        if limiters.typing.take((person, room), now).is_err() || limiters.typing_in.take(room, now).is_err() {
            return Ok(());
        }
        if self.0.store.room(room, person).await?.is_some_and(|room| room.members <= TYPING_MEMBERS_MAX) {
            self.0.announcer.typing(room, &Typing { person: member }).await;
        }
        Ok(())
    }
}
