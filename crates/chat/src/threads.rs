//! Threads: how they are read, followed, and found again.

use crate::{
    changes::{FollowThread, ReadThread, ThreadRefusal},
    chat::Chat,
    limits::THREADS_PAGE_MAX,
    model::{MessageId, Move, PageQuery, PersonId, RoomId, ThreadPage, ThreadReading, ThreadsPage},
    rates::RetryAfter,
    store::StoreError,
};

/// Why a thread is neither followed nor read.
#[derive(Debug, thiserror::Error)]
pub enum ThreadError {
    /// There is no such message, or the person is not a member of its room: the same answer.
    #[error("no such message")]
    NoSuchMessage,
    /// It is in a thread itself.
    #[error("that message is in a thread itself; ask for the same thread, by the id in its own thread")]
    InThread,
    /// Too often.
    #[error(transparent)]
    TooMany(#[from] RetryAfter),
    /// The store could not; nothing was changed.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

impl Chat {
    /// The thread under a message, for members of its room, with at most [`PAGE_MAX`](crate::limits::PAGE_MAX) answers in the
    /// order of their numbers. Under a message that nobody has answered so stands an empty one.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn thread(
        &self,
        reader: PersonId,
        room: RoomId,
        root: MessageId,
        page: PageQuery,
    ) -> Result<Option<ThreadPage>, StoreError> {
        self.0.store.thread(room, reader, root, page.bounded()).await
    }

    /// The threads that somebody follows in the rooms that they are in, the one that was answered last first: at most
    /// [`THREADS_PAGE_MAX`], behind the one whose last answer is that message.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn threads(
        &self,
        person: PersonId,
        before: Option<MessageId>,
        limit: u32,
    ) -> Result<ThreadsPage, StoreError> {
        self.0.store.threads(person, before, limit.min(THREADS_PAGE_MAX)).await
    }

    /// Has somebody follow a thread, or not follow it, whatever they do there later. Counts as reading.
    ///
    /// # Errors
    /// See [`ThreadError`].
    pub async fn follow_thread(
        &self,
        person: PersonId,
        room: RoomId,
        root: MessageId,
        follows: bool,
    ) -> Result<ThreadReading, ThreadError> {
        self.0.limiters.reads.take(person, self.0.steady.now())?;
        self.write(FollowThread { person, room, root, follows }).await
    }

    /// The person has read a thread up to a number, or wants what follows it to be unread again. Of a thread that they never
    /// followed nothing is kept.
    ///
    /// # Errors
    /// See [`ThreadError`].
    pub async fn mark_thread_read(
        &self,
        person: PersonId,
        room: RoomId,
        root: MessageId,
        to: Move,
    ) -> Result<ThreadReading, ThreadError> {
        self.0.limiters.reads.take(person, self.0.steady.now())?;
        self.write(ReadThread { person, room, root, to }).await
    }
}

impl From<ThreadRefusal> for ThreadError {
    fn from(refusal: ThreadRefusal) -> Self {
        match refusal {
            ThreadRefusal::NoSuchMessage => Self::NoSuchMessage,
            ThreadRefusal::InThread => Self::InThread,
        }
    }
}
