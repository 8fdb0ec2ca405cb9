//! What the chat needs of a database. [`sqlite`] is one and [`postgres`] another; `memory` is for tests, and also says in
//! the plainest way what is meant; the tests in `contract` are what every one must do.
//!
//! Reads may run at any time and side by side. Changes are applied in batches, by the one writer: a batch is one
//! transaction, each change in it succeeds or fails alone, and when [`Store::apply`] has answered, what succeeded is
//! durable. What a change may do is not the store's affair: it lends its [`Tables`] and keeps what was
//! written, or takes it back.

mod bounds;
mod change;
mod columns;
#[cfg(test)]
pub(crate) mod contract;
pub(crate) mod database;
mod error;
pub(crate) mod follow;
#[cfg(any(test, feature = "test-kit"))]
pub(crate) mod memory;
pub(crate) mod postgres;
pub(crate) mod sqlite;
mod state;
mod tables;
pub(crate) mod transfer;

use std::sync::Arc;

use futures_util::future::{BoxFuture, pending, ready};

pub(crate) use change::{
    Announcements, Applied, Batch, Change, ChangeError, ChangeResult, NotApplied, Submission, submit,
};
pub use error::{OpenError, StoreError};
use follow::Shared;
pub(crate) use tables::{StoreResult, Tables};

use crate::model::{
    ActivityPage, ActivityQuery, Arrival, Credentials, Denied, EditPage, Email, Emoji, Ended, EventPage, Invite,
    InviteCard, KeyId, Member, Message, MessageId, MessagePage, PageQuery, PeopleKey, Person, PersonId, PersonalToken,
    Profile, ReactedPage, Room, RoomId, RoomPage, SecretDigest, Session, SessionId, SessionKey, SignedIn, ThreadPage,
    ThreadsPage, Time, TokenBearer, Who,
};

/// What is read, or why the database could not.
pub(crate) type Read<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// A batch that was applied.
pub(crate) struct Done {
    pub(crate) batch: Batch,
    /// In a store that others write to: the last number of what was taken away, by whomever, that could be seen after the
    /// commit, or [`NOT_READ`]. Whatever has such a number is to be carried out before anything of the batch is told.
    pub(crate) revoked: u64,
}

/// In the place of the last number of what was taken away: it is to be read before anything is told.
pub(crate) const NOT_READ: u64 = u64::MAX;

impl From<Batch> for Done {
    fn from(batch: Batch) -> Self {
        Self { batch, revoked: 0 }
    }
}

/// A database of the chat.
pub(crate) trait Store: Send + Sync + 'static {
    /// How many batches it applies side by side. What concerns a room is always in the same lane.
    fn lanes(&self) -> usize {
        1
    }

    /// Applies the changes in their order, in one transaction, at the time `now`; gives them back, in the same order,
    /// when those that succeeded are durable. Called by one writer only, in each lane one batch at a time.
    ///
    /// # Errors
    /// [`StoreError::Closed`]; what was in the batch is dropped, and whoever waits for it learns the same. Every other
    /// error is that of a single change, and stands in it.
    fn apply(&self, lane: usize, batch: Batch, now: Time) -> BoxFuture<'_, Result<Done, StoreError>>;

    /// What others write to the same database, if there can be others.
    fn shared(self: Arc<Self>) -> Option<Arc<dyn Shared>> {
        None
    }

    /// Whether commits go through, as far as is known, and why not.
    fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }
    /// Asked every second or so: looks whether commits that failed go through again, and whether the database is still
    /// there.
    fn look_after(&self) {}
    /// Texts were erased: old copies of them that the store has beside its tables are removed, at one of the next looks.
    fn empty_log(&self) -> BoxFuture<'_, ()> {
        Box::pin(ready(()))
    }
    /// Answers when the store cannot go on, with the reason; not before, and not when it is closed.
    fn failed(&self) -> BoxFuture<'_, String> {
        Box::pin(pending())
    }

    /// How often the database was read since it was opened.
    #[cfg(any(test, feature = "test-kit"))]
    fn reads_made(&self) -> u64 {
        0
    }

    /// Lets go of the database, after the last batch; what comes later is answered with [`StoreError::Closed`].
    fn close(&self) -> BoxFuture<'_, ()>;

    /// Whether the first account exists.
    fn is_set_up(&self) -> Read<'_, bool>;
    /// Everybody with an account, by name.
    fn people(&self) -> Read<'_, Vec<Person>>;
    fn person(&self, id: PersonId) -> Read<'_, Option<Person>>;
    /// The people of these ids whom `asking` sees: everybody; for a guest those with whom they share a room, and themselves.
    fn profiles(&self, asking: PersonId, people: Vec<PersonId>) -> Read<'_, Vec<Profile>>;
    /// Those who may sign in and whose name has this in its look, by name, at most so many; for a guest only those with whom
    /// they share a room.
    fn people_alike(&self, asking: PersonId, look: String, limit: u32) -> Read<'_, Vec<Person>>;
    /// Who signs in with this address, and the hash of their password.
    fn credentials(&self, email: Email) -> Read<'_, Option<Credentials>>;
    /// The same for an address that was typed in: first as it is, then as an account that is new would have it.
    fn credentials_as_typed<'a>(&'a self, email: &Email) -> Read<'a, Option<Credentials>> {
        let (typed, composed) = (email.clone(), email.composed());
        Box::pin(async move {
            let found = self.credentials(typed.clone()).await?;
            if found.is_some() || composed == typed { Ok(found) } else { self.credentials(composed).await }
        })
    }

    /// The session of this token, with its person, unless it has ended or expired at `now`.
    fn session(&self, token: SecretDigest, now: Time) -> Read<'_, Option<SignedIn>>;
    /// Why the session of this token is over, if it was ended and that is remembered.
    fn session_ended(&self, token: SecretDigest) -> Read<'_, Option<Ended>>;
    /// The person's personal tokens, also those that have ended, the newest first.
    fn personal_tokens(&self, person: PersonId) -> Read<'_, Vec<PersonalToken>>;
    /// The personal token of this digest with its person, also where it has ended or they may not sign in.
    fn token_bearer(&self, digest: SecretDigest) -> Read<'_, Option<TokenBearer>>;
    /// Who comes to listen, unless their session has ended or expired at `now`; with at most so many of their rooms.
    fn arrival(&self, session: SessionKey, rooms_max: u32, now: Time) -> Read<'_, Option<Arrival>>;
    /// The person's sessions that have not ended or expired at `now`, the last used first.
    fn sessions(&self, person: PersonId, now: Time) -> Read<'_, Vec<Session>>;
    /// The sessions that ended at or after `since`, by whichever process.
    fn sessions_ended(&self, since: Time) -> Read<'_, Vec<SessionId>>;

    /// All that client tokens are refused for, also what has ended.
    fn denials(&self) -> Read<'_, Vec<Denied>>;

    /// The invite of this code, if it is good at `now`.
    fn invite(&self, code: SecretDigest, now: Time) -> Read<'_, Option<InviteCard>>;
    /// The room's invite, if it is good at `now` and `person` is a member.
    fn room_invite(&self, room: RoomId, person: PersonId, now: Time) -> Read<'_, Option<Invite>>;

    /// Whether the room's invite was revoked, and there is no other since.
    fn invite_is_revoked(&self, room: RoomId) -> Read<'_, bool>;

    /// The rooms that `person` is a member of, by name.
    fn own_rooms(&self, person: PersonId) -> Read<'_, Vec<Room>>;
    /// The other rooms that `person` sees, by name: those behind the room `after`, the first ones without it.
    fn other_rooms(&self, person: PersonId, after: Option<RoomId>, limit: u32) -> Read<'_, RoomPage>;
    /// The direct message of these people, `person` among them.
    fn direct_of(&self, people: PeopleKey, person: PersonId) -> Read<'_, Option<Room>>;
    /// One room as it is for `person`, whether or not they may see it.
    fn room(&self, room: RoomId, person: PersonId) -> Read<'_, Option<Room>>;
    /// The room's members by name; `None` when `reader` is not one of them.
    fn members(&self, room: RoomId, reader: PersonId) -> Read<'_, Option<Vec<Member>>>;
    /// The person as a member of the room; `None` when they are not.
    fn member(&self, room: RoomId, person: PersonId) -> Read<'_, Option<Who>>;

    /// Events of a room, in the order of their numbers, with the position of its stream, all at one moment; `None` when
    /// there is no such room, or `reader` is given and is not a member. The page ends with the event that takes the texts in
    /// it above `bytes_max`.
    fn events(
        &self,
        room: RoomId,
        reader: Option<PersonId>,
        page: PageQuery,
        bytes_max: usize,
    ) -> Read<'_, Option<EventPage>>;
    /// The number of the last event of a room before a time, 0 where there is none; `None` when `reader` is not a member. Where
    /// the clock was put back meanwhile, one of those around it.
    fn last_before(&self, room: RoomId, reader: PersonId, time: Time) -> Read<'_, Option<u64>>;
    /// Messages of a room, in the order of their numbers; `None` as for [`events`](Self::events).
    fn messages(&self, room: RoomId, reader: PersonId, page: PageQuery) -> Read<'_, Option<MessagePage>>;
    /// One message; `None` when there is none, or `reader` is not a member of its room.
    fn message(&self, room: RoomId, reader: PersonId, message: MessageId) -> Read<'_, Option<Message>>;
    /// The thread under a message, which need not have any answers; `None` as for [`message`](Self::message).
    fn thread(&self, room: RoomId, reader: PersonId, root: MessageId, page: PageQuery) -> Read<'_, Option<ThreadPage>>;
    /// The threads that the person follows in the rooms that they are in, the one that was answered last first: those behind
    /// the one whose last answer is that message.
    fn threads(&self, person: PersonId, before: Option<MessageId>, limit: u32) -> Read<'_, ThreadsPage>;
    /// Who reacted to a message with this emoji, in the order in which they did; nobody to one that was deleted. `None` as for
    /// [`message`](Self::message).
    fn reacted(
        &self,
        room: RoomId,
        reader: PersonId,
        message: MessageId,
        emoji: Emoji,
    ) -> Read<'_, Option<ReactedPage>>;
    /// What a message said before it was edited, in the order of the numbers of the events that took it away; nothing of one
    /// that was deleted. `None` as for [`message`](Self::message).
    fn edits(&self, room: RoomId, reader: PersonId, message: MessageId, page: PageQuery) -> Read<'_, Option<EditPage>>;
    /// What concerns `person`, the newest first; of rooms that they are in, and of messages that stand.
    fn activity(&self, person: PersonId, query: ActivityQuery) -> Read<'_, ActivityPage>;
    /// Whether there are texts to be erased of messages that were deleted then or before.
    fn has_deleted_by(&self, time: Time) -> Read<'_, bool>;
    /// The key that the last message was digested with; `None` where there is no message, or it has a digest of a version
    /// before.
    fn last_digest_key(&self) -> Read<'_, Option<KeyId>>;
}
