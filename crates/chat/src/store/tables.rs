//! What a change reads and writes: the tables of the chat, inside the transaction of a batch.

use super::error::StoreError;
use crate::model::{
    ClientId, EarlierSend, Event, Invite, NewMessage, NewPerson, NewRoom, NewSession, Person, PersonId, Role, Room,
    RoomId, SecretDigest, SessionId, StoredHash, StoredInvite, Time, Who,
};

/// What a table answers, or why the database could not.
pub(crate) type StoreResult<T> = Result<T, StoreError>;

/// The tables, as they stand after the changes that the same batch has made so far.
///
/// One method is about one statement. None of them knows a rule of the chat: who may do what, and what follows from it,
/// is decided in [`changes`](crate::changes), once for all databases. What must be unique is told by the table itself,
/// because only the database sees what another process has committed meanwhile.
///
/// The methods answer at once, which suits a database in the same process. A store that must not wait for each statement
/// (one behind a network) keeps the rows of the whole batch in memory, answers from them and collects the writes. It
/// learns which rows it needs by applying the changes: they read nothing but these tables and the time, and have no
/// effect but through these tables, so they can be applied again when what was missing is loaded.
pub(crate) trait Tables {
    /// Whether anybody has an account.
    fn is_set_up(&self) -> StoreResult<bool>;
    /// Writes down who made the first account; `false` when somebody has done so before.
    fn mark_set_up(&mut self, person: PersonId, now: Time) -> StoreResult<bool>;
    fn person(&self, person: PersonId) -> StoreResult<Option<Person>>;
    /// `false` when somebody has the address.
    fn insert_person(&mut self, person: &NewPerson, role: Role, now: Time) -> StoreResult<bool>;
    /// The hash of the person's password.
    fn password(&self, person: PersonId) -> StoreResult<Option<StoredHash>>;
    fn set_password(&mut self, person: PersonId, hash: &StoredHash) -> StoreResult<()>;

    fn insert_session(&mut self, person: PersonId, session: &NewSession, now: Time) -> StoreResult<()>;
    /// Whose session it is, unless it has ended.
    fn session_owner(&self, session: SessionId) -> StoreResult<Option<PersonId>>;
    /// The person's sessions that have not ended, the last used first.
    fn sessions_of(&self, person: PersonId) -> StoreResult<Vec<SessionId>>;
    /// The sessions that have not ended and were last used at or before `last_seen`, or opened at or before `created`.
    fn sessions_older_than(&self, last_seen: Time, created: Time) -> StoreResult<Vec<SessionId>>;
    /// Writes down that the session was used, unless it has ended or was used later.
    fn touch_session(&mut self, session: SessionId, now: Time) -> StoreResult<()>;
    fn end_session(&mut self, session: SessionId, now: Time) -> StoreResult<()>;
    /// Removes the rows of sessions that ended before that.
    fn delete_sessions_ended_before(&mut self, time: Time) -> StoreResult<()>;

    /// How many there are.
    fn count_rooms(&self) -> StoreResult<u32>;
    /// The room as `person` sees it.
    fn room(&self, room: RoomId, person: PersonId) -> StoreResult<Option<Room>>;
    /// A room without members and events.
    fn insert_room(&mut self, room: &NewRoom, creator: PersonId, now: Time) -> StoreResult<()>;
    /// The person as a member of the room; `None` when they are not.
    fn member(&self, room: RoomId, person: PersonId) -> StoreResult<Option<Who>>;
    fn insert_member(&mut self, room: RoomId, person: PersonId, now: Time) -> StoreResult<()>;
    fn delete_member(&mut self, room: RoomId, person: PersonId) -> StoreResult<()>;

    /// The invite of this code, good or dead.
    fn invite(&self, code: SecretDigest) -> StoreResult<Option<StoredInvite>>;
    /// The room's invite, good or dead.
    fn invite_of(&self, room: RoomId) -> StoreResult<Option<StoredInvite>>;
    /// The room has this invite in the place of any other.
    fn replace_invite(&mut self, inviter: PersonId, invite: &Invite) -> StoreResult<()>;
    /// Counts one use more.
    fn use_invite(&mut self, code: SecretDigest) -> StoreResult<()>;
    /// The room's invite is revoked, if it is not already.
    fn revoke_invite(&mut self, room: RoomId, now: Time) -> StoreResult<()>;

    /// What the author has posted under this client id, in whichever room.
    fn earlier_send(&self, author: PersonId, client_id: ClientId) -> StoreResult<Option<EarlierSend>>;
    /// Takes the room's next number.
    fn next_number(&mut self, room: RoomId) -> StoreResult<u64>;
    fn insert_message(&mut self, message: &NewMessage, number: u64, now: Time) -> StoreResult<()>;
    /// `actor` did it, `subject` is whom it concerns: the same person, except for a member removed by another.
    fn insert_event(&mut self, event: &Event, actor: PersonId, subject: PersonId) -> StoreResult<()>;
}
