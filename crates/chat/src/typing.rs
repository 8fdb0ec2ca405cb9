//! Typing notices: told to whoever is there, never stored, and dropped without a word when there are too many.

use crate::{
    chat::Chat,
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
    /// Tells the room that somebody is typing.
    ///
    /// # Errors
    /// See [`TypingError`].
    pub async fn typing(&self, person: PersonId, room: RoomId) -> Result<(), TypingError> {
        // First, because a client may invent rooms without end, and each would have a bucket. So a notice too many still
        // costs a read.
        let member = self.0.store.member(room, person).await?.ok_or(TypingError::NotMember)?;
        if self.0.limiters.typing.take((person, room), self.0.clock.now()).is_ok() {
            self.0.announcer.typing(room, &Typing { person: member }).await;
        }
        Ok(())
    }
}
