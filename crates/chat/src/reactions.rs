//! Reactions: emoji that people put under messages.

use crate::{
    changes::{React, ReactRefusal},
    chat::Chat,
    limits::REACTIONS_PER_MESSAGE_MAX,
    model::{Emoji, MessageId, PersonId, ReactedPage, RoomId},
    rates::RetryAfter,
    store::StoreError,
};

/// Why nobody reacted.
#[derive(Debug, thiserror::Error)]
pub enum ReactError {
    /// There is no such message, or the person is not a member of its room: the same answer.
    #[error("no such message")]
    NoSuchMessage,
    /// It was deleted.
    #[error("this message was deleted; nobody reacts to it any more")]
    Deleted,
    /// The room is archived.
    #[error("this room is archived, and nobody reacts there any more; ask one of its owners to restore it")]
    Archived,
    /// As many different emoji as there may be are under it.
    #[error(
        "this message has {REACTIONS_PER_MESSAGE_MAX} different reactions, which is as many as there may be; join one of them"
    )]
    TooManyKinds,
    /// Too many at once.
    #[error(transparent)]
    TooMany(#[from] RetryAfter),
    /// The store could not; nothing was changed.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

impl Chat {
    /// Has the person's reaction stand under a message, or taken away from it; nothing happens where that is so already.
    /// Counts as a post.
    ///
    /// # Errors
    /// See [`ReactError`].
    pub async fn react(
        &self,
        person: PersonId,
        room: RoomId,
        message: MessageId,
        emoji: Emoji,
        stands: bool,
    ) -> Result<(), ReactError> {
        self.0.limiters.posts.take(person, self.0.steady.now())?;
        self.write(React { person, room, message, emoji, stands }).await
    }

    /// Who reacted to a message with this emoji, for members of its room: the first
    /// [`REACTED_PAGE_MAX`](crate::limits::REACTED_PAGE_MAX), in the order in which they did.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn reacted(
        &self,
        reader: PersonId,
        room: RoomId,
        message: MessageId,
        emoji: Emoji,
    ) -> Result<Option<ReactedPage>, StoreError> {
        self.0.store.reacted(room, reader, message, emoji).await
    }
}

impl From<ReactRefusal> for ReactError {
    fn from(refusal: ReactRefusal) -> Self {
        match refusal {
            ReactRefusal::NoSuchMessage => Self::NoSuchMessage,
            ReactRefusal::Deleted => Self::Deleted,
            ReactRefusal::Archived => Self::Archived,
            ReactRefusal::TooManyKinds => Self::TooManyKinds,
        }
    }
}
