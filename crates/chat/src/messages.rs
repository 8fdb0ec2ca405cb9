//! Messages: how one is posted, once however often it is sent, and how a room's history is read.

use crate::{
    changes::{Post, PostRefusal},
    chat::Chat,
    model::{Draft, EventPage, Message, MessageId, MessagePage, NewMessage, PageQuery, PersonId, Posted, RoomId},
    rates::RetryAfter,
    store::StoreError,
};

/// Why a message was not posted.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// There is no such room, or the author is not a member: the same answer.
    #[error("no such room")]
    NotMember,
    /// The author has used this client id for another message.
    #[error("this client_id was used for another message")]
    Conflict,
    /// Too many messages.
    #[error(transparent)]
    TooMany(#[from] RetryAfter),
    /// The store could not; nothing was posted.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

/// Why history was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no such room, or the reader is not a member: the same answer.
    #[error("no such room")]
    NotMember,
    /// The store could not be read.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

impl Chat {
    /// Posts a message. When this answers, the message is durable, has its number, and has been announced. The same send
    /// again, at the same time or years later, answers the same and does nothing.
    ///
    /// # Errors
    /// See [`PostError`].
    pub async fn post(&self, author: PersonId, draft: Draft) -> Result<Posted, PostError> {
        self.0.limiters.posts.take(author, self.0.steady.now())?;
        self.write(Post(NewMessage::fresh(author, draft))).await
    }

    /// What happened in a room, for its members: at most [`PAGE_MAX`](crate::limits::PAGE_MAX) events, in the order of their numbers.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn events(&self, reader: PersonId, room: RoomId, page: PageQuery) -> Result<EventPage, ReadError> {
        self.0.store.events(room, Some(reader), page.bounded(), usize::MAX).await?.ok_or(ReadError::NotMember)
    }

    /// A room's messages, for its members: at most [`PAGE_MAX`](crate::limits::PAGE_MAX), in the order of their numbers.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn messages(&self, reader: PersonId, room: RoomId, page: PageQuery) -> Result<MessagePage, ReadError> {
        self.0.store.messages(room, reader, page.bounded()).await?.ok_or(ReadError::NotMember)
    }

    /// One message, for members of its room.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn message(
        &self,
        reader: PersonId,
        room: RoomId,
        message: MessageId,
    ) -> Result<Option<Message>, StoreError> {
        self.0.store.message(room, reader, message).await
    }
}

impl From<PostRefusal> for PostError {
    fn from(refusal: PostRefusal) -> Self {
        match refusal {
            PostRefusal::NotMember => Self::NotMember,
            PostRefusal::Conflict => Self::Conflict,
        }
    }
}
