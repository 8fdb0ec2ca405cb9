//! Messages: how one is posted, once however often it is sent, edited, deleted and restored, and how a room's history is
//! read.

use crate::{
    changes::{
        DeleteMessage, DeleteRefusal, EditMessage, EditRefusal, MentionRefusal, Post, PostRefusal, RestoreMessage,
        RestoreRefusal,
    },
    chat::Chat,
    limits::MENTIONS_MAX,
    model::{
        Body, DeleteReason, Draft, EditPage, EventPage, Message, MessageId, MessagePage, NewMessage, PageQuery,
        PersonId, Posted, RoomId, Time,
    },
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
    /// What it answers is not in the room.
    #[error("the message that this one answers is not in this room; send it without reply_to")]
    NothingToAnswer,
    /// What its thread is to be under is not in the room.
    #[error("the message whose thread this belongs to is not in this room; send it without thread")]
    NoSuchThread,
    /// What its thread is to be under is in a thread itself.
    #[error("that message is in a thread itself; answer in the same thread, by the id in its own thread")]
    InThread,
    /// What it answers is not in the same thread.
    #[error("the message that this one answers is not in the same thread; send it without reply_to")]
    OutsideThread,
    /// The room is archived.
    #[error("this room is archived, and nothing is written there any more; ask one of its owners to restore it")]
    Archived,
    /// More than [`MENTIONS_MAX`] people by name.
    #[error("a message mentions at most {MENTIONS_MAX} people by name; @room mentions all in the room")]
    TooManyMentioned,
    /// A guest mentions everybody.
    #[error("guests mention people by name; @room and @here are for members of the server")]
    GuestMentionsEverybody,
    /// The room is large, and nobody said that everybody is meant.
    #[error(
        "this room has {members} members, and @room or @here would tell everybody; send it again with everybody: true if that is meant"
    )]
    TellsMany {
        /// How many the room has.
        members: u32,
    },
    /// Too many messages.
    #[error(transparent)]
    TooMany(#[from] RetryAfter),
    /// The store could not; nothing was posted.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

/// Why a message was not edited.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// There is no such message, or the person is not a member of its room: the same answer.
    #[error("no such message")]
    NoSuchMessage,
    /// It is somebody else's.
    #[error("only its author may edit a message")]
    NotAuthor,
    /// It was deleted.
    #[error("this message was deleted; what was deleted is not edited")]
    Deleted,
    /// The room is archived.
    #[error("this room is archived, and nothing is edited there any more; ask one of its owners to restore it")]
    Archived,
    /// More than [`MENTIONS_MAX`] people by name.
    #[error("a message mentions at most {MENTIONS_MAX} people by name; @room mentions all in the room")]
    TooManyMentioned,
    /// Too many messages.
    #[error(transparent)]
    TooMany(#[from] RetryAfter),
    /// The store could not; nothing was changed.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

/// Why a message was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// As of [`EditError`].
    #[error("no such message")]
    NoSuchMessage,
    /// It is somebody else's, and the person does not manage the room.
    #[error("only its author, an owner of the room or an administrator may delete a message")]
    NotAllowed,
    /// It is somebody else's, and its readers are to be told why.
    #[error("say why: somebody else's message is deleted with a reason")]
    NoReason,
    /// Too many messages.
    #[error(transparent)]
    TooMany(#[from] RetryAfter),
    /// The store could not; nothing was changed.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

/// Why a message was not restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// As of [`EditError`].
    #[error("no such message")]
    NoSuchMessage,
    /// Somebody else deleted it.
    #[error("only who deleted a message may restore it")]
    NotAllowed,
    /// More than [`DELETE_UNDO`](crate::limits::DELETE_UNDO) ago.
    #[error("this message was deleted too long ago; its text is gone")]
    TooLate,
    /// Too many messages.
    #[error(transparent)]
    TooMany(#[from] RetryAfter),
    /// The store could not; nothing was changed.
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
    /// again, at the same time or years later, answers the same and does nothing. Whom it mentions, of the room, has that
    /// waiting for them.
    ///
    /// # Errors
    /// See [`PostError`].
    pub async fn post(&self, author: PersonId, draft: Draft) -> Result<Posted, PostError> {
        self.0.limiters.posts.take(author, self.0.steady.now())?;
        let mut message = NewMessage::fresh(author, draft, &self.0.message_key);
        if message.mentions.here {
            message.mentions.listening = self.0.announcer.listening(message.room).await;
        }
        self.write(Post(message)).await
    }

    /// Gives one's own message another text; what it said before stays to be read by the room. The same text again changes
    /// nothing. Counts as a post.
    ///
    /// # Errors
    /// See [`EditError`].
    pub async fn edit_message(
        &self,
        person: PersonId,
        room: RoomId,
        message: MessageId,
        body: Body,
    ) -> Result<Message, EditError> {
        self.0.limiters.posts.take(person, self.0.steady.now())?;
        self.write(EditMessage { person, room, message, body }).await
    }

    /// Deletes a message: one's own, or with a reason somebody else's, where one manages the room. Its text is told nobody from
    /// now on, and erased when it cannot be [restored](Self::restore_message) any more. Counts as a post.
    ///
    /// # Errors
    /// See [`DeleteError`].
    pub async fn delete_message(
        &self,
        person: PersonId,
        room: RoomId,
        message: MessageId,
        reason: Option<DeleteReason>,
    ) -> Result<Message, DeleteError> {
        self.0.limiters.posts.take(person, self.0.steady.now())?;
        self.write(DeleteMessage { person, room, message, reason }).await
    }

    /// Takes back that one has deleted a message, within [`DELETE_UNDO`](crate::limits::DELETE_UNDO). Counts as a post.
    ///
    /// # Errors
    /// See [`RestoreError`].
    pub async fn restore_message(
        &self,
        person: PersonId,
        room: RoomId,
        message: MessageId,
    ) -> Result<Message, RestoreError> {
        self.0.limiters.posts.take(person, self.0.steady.now())?;
        self.write(RestoreMessage { person, room, message }).await
    }

    /// What happened in a room, for its members: at most [`PAGE_MAX`](crate::limits::PAGE_MAX) events, in the order of their numbers.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn events(&self, reader: PersonId, room: RoomId, page: PageQuery) -> Result<EventPage, ReadError> {
        self.0.store.events(room, Some(reader), page.bounded(), usize::MAX).await?.ok_or(ReadError::NotMember)
    }

    /// The number of a room's last event before a time, for its members; 0 where there is none.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn last_before(&self, reader: PersonId, room: RoomId, time: Time) -> Result<u64, ReadError> {
        self.0.store.last_before(room, reader, time).await?.ok_or(ReadError::NotMember)
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

    /// What a message said before it was edited, for members of its room: at most [`PAGE_MAX`](crate::limits::PAGE_MAX) texts,
    /// in the order of the numbers of their edits. Nothing of a message that was deleted.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn edits(
        &self,
        reader: PersonId,
        room: RoomId,
        message: MessageId,
        page: PageQuery,
    ) -> Result<Option<EditPage>, StoreError> {
        self.0.store.edits(room, reader, message, page.bounded()).await
    }
}

impl From<PostRefusal> for PostError {
    fn from(refusal: PostRefusal) -> Self {
        match refusal {
            PostRefusal::NotMember => Self::NotMember,
            PostRefusal::Conflict => Self::Conflict,
            PostRefusal::NothingToAnswer => Self::NothingToAnswer,
            PostRefusal::NoSuchThread => Self::NoSuchThread,
            PostRefusal::InThread => Self::InThread,
            PostRefusal::OutsideThread => Self::OutsideThread,
            PostRefusal::Archived => Self::Archived,
            PostRefusal::Mention(MentionRefusal::TooMany) => Self::TooManyMentioned,
            PostRefusal::Mention(MentionRefusal::IsGuest) => Self::GuestMentionsEverybody,
            PostRefusal::Mention(MentionRefusal::IsLarge { members }) => Self::TellsMany { members },
        }
    }
}

impl From<EditRefusal> for EditError {
    fn from(refusal: EditRefusal) -> Self {
        match refusal {
            EditRefusal::NoSuchMessage => Self::NoSuchMessage,
            EditRefusal::NotAuthor => Self::NotAuthor,
            EditRefusal::Deleted => Self::Deleted,
            EditRefusal::Archived => Self::Archived,
            EditRefusal::TooManyMentioned => Self::TooManyMentioned,
        }
    }
}

impl From<DeleteRefusal> for DeleteError {
    fn from(refusal: DeleteRefusal) -> Self {
        match refusal {
            DeleteRefusal::NoSuchMessage => Self::NoSuchMessage,
            DeleteRefusal::NotAllowed => Self::NotAllowed,
            DeleteRefusal::NoReason => Self::NoReason,
        }
    }
}

impl From<RestoreRefusal> for RestoreError {
    fn from(refusal: RestoreRefusal) -> Self {
        match refusal {
            RestoreRefusal::NoSuchMessage => Self::NoSuchMessage,
            RestoreRefusal::NotAllowed => Self::NotAllowed,
            RestoreRefusal::TooLate => Self::TooLate,
        }
    }
}
