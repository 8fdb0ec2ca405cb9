//! What a change reads and writes: the tables of the chat, inside the transaction of a batch.

use std::net::IpAddr;

use super::error::StoreError;
use crate::model::{
    ClientId, DenialKey, Denied, EarlierSend, Email, Emoji, Ended, Event, Invite, KeyId, MessageId, Name, NewMessage,
    NewPerson, NewRoom, NewSession, Notice, NoticeKind, PeopleKey, Person, PersonId, PersonalToken, PersonalTokenId,
    Preferences, Profile, Reactions, Reading, Role, Room, RoomFacts, RoomId, RoomRole, Root, Said, SecretDigest,
    SessionId, StoredHash, StoredInvite, StoredMessage, ThreadStanding, Time, Who,
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
    /// As [`person`](Self::person), for who goes on to change something about them: a store in which changes meet lets those
    /// wait for each other here, and not in a circle further on.
    fn person_to_change(&self, person: PersonId) -> StoreResult<Option<Person>> {
        self.person(person)
    }
    /// `false` when somebody has the address.
    fn insert_person(&mut self, person: &NewPerson, role: Role, now: Time) -> StoreResult<bool>;
    /// The hash of the person's password.
    fn password(&self, person: PersonId) -> StoreResult<Option<StoredHash>>;
    fn set_password(&mut self, person: PersonId, hash: &StoredHash) -> StoreResult<()>;

    fn set_name(&mut self, person: PersonId, name: &Name) -> StoreResult<()>;
    /// `false` when somebody else has the address.
    fn set_email(&mut self, person: PersonId, email: &Email) -> StoreResult<bool>;
    /// The person as others see them, also with what is over.
    fn profile(&self, person: PersonId) -> StoreResult<Option<Profile>>;
    /// What the person says of themselves, since then.
    fn set_said(&mut self, person: PersonId, said: &Said, changed: Time) -> StoreResult<()>;
    /// Others whose name looks like that, at most so many.
    fn people_looking(&self, look: &str, other_than: PersonId, limit: u32) -> StoreResult<Vec<PersonId>>;
    /// Rooms that the person is in, at most so many, the latest first.
    fn rooms_of(&self, person: PersonId, limit: u32) -> StoreResult<Vec<RoomId>>;

    /// Lets the person sign in, or not from that time on.
    fn set_deactivated(&mut self, person: PersonId, since: Option<Time>) -> StoreResult<()>;

    /// How many of the owners of the server may sign in; nobody else changes who they are until the end.
    fn count_active_owners(&self) -> StoreResult<u32>;
    fn set_role(&mut self, person: PersonId, role: Role) -> StoreResult<()>;
    /// Whether there is a room that both are in.
    fn share_a_room(&self, one: PersonId, other: PersonId) -> StoreResult<bool>;

    /// The secret of this name that the server keeps for itself.
    fn key(&self, name: &str) -> StoreResult<Option<[u8; 32]>>;
    fn insert_key(&mut self, name: &str, key: &[u8; 32]) -> StoreResult<()>;

    fn insert_session(&mut self, person: PersonId, session: &NewSession, now: Time) -> StoreResult<()>;
    /// Whose session it is, unless it has ended.
    fn session_owner(&self, session: SessionId) -> StoreResult<Option<PersonId>>;
    /// The session of this token, unless it has ended.
    fn session_of_token(&self, token: SecretDigest) -> StoreResult<Option<SessionId>>;
    /// The person's sessions that have not ended, the last used first.
    fn sessions_of(&self, person: PersonId) -> StoreResult<Vec<SessionId>>;
    /// The sessions that have not ended and were last used at or before `last_seen`, or opened at or before `created`.
    fn sessions_older_than(&self, last_seen: Time, created: Time) -> StoreResult<Vec<SessionId>>;
    /// Writes down that the session was used, and from where if that is known, unless it has ended or was used later.
    fn touch_session(&mut self, session: SessionId, address: Option<IpAddr>, now: Time) -> StoreResult<()>;
    fn end_session(&mut self, session: SessionId, why: Ended, now: Time) -> StoreResult<()>;
    /// Removes the rows of sessions that ended before that.
    fn delete_sessions_ended_before(&mut self, time: Time) -> StoreResult<()>;

    fn insert_token(&mut self, person: PersonId, token: &PersonalToken, digest: SecretDigest) -> StoreResult<()>;
    /// How many personal tokens the person has.
    fn count_tokens(&self, person: PersonId) -> StoreResult<u32>;
    /// Writes down that the personal token was used, if it is there.
    fn touch_token(&mut self, token: PersonalTokenId, now: Time) -> StoreResult<()>;
    /// `false` when the person has no such token.
    fn delete_token(&mut self, person: PersonId, token: PersonalTokenId) -> StoreResult<bool>;
    fn delete_tokens_of(&mut self, person: PersonId) -> StoreResult<()>;
    /// Removes those of the person that end then or before.
    fn delete_tokens_expired_by(&mut self, person: PersonId, time: Time) -> StoreResult<()>;

    /// What client tokens are refused for under this key, also when it has ended.
    fn denial(&self, key: DenialKey) -> StoreResult<Option<Denied>>;
    /// Where there is none of the same key.
    fn insert_denial(&mut self, denied: &Denied) -> StoreResult<()>;
    /// In the place of the one of the same key.
    fn replace_denial(&mut self, denied: &Denied) -> StoreResult<()>;
    fn delete_denial(&mut self, key: DenialKey) -> StoreResult<()>;
    /// Removes the rows of those that end then or before.
    fn delete_denials_ended_by(&mut self, time: Time) -> StoreResult<()>;

    /// How many there are, without direct messages; nobody else changes the names of rooms until the end.
    fn count_rooms(&self) -> StoreResult<u32>;
    /// How many of them the person has made.
    fn count_rooms_of(&self, creator: PersonId) -> StoreResult<u32>;
    /// How many direct messages the person has begun.
    fn count_directs_of(&self, creator: PersonId) -> StoreResult<u32>;
    /// Whether a room that `person` sees, other than that one, has this name, as it is folded.
    fn has_room_named(&self, folded: &str, person: PersonId, other_than: RoomId) -> StoreResult<bool>;
    /// The room as it is for `person`, whether or not they may see it.
    fn room(&self, room: RoomId, person: PersonId) -> StoreResult<Option<Room>>;
    /// Whether nothing is to be written in the room any more.
    fn is_archived(&self, room: RoomId) -> StoreResult<bool>;
    /// A room without members and events.
    fn insert_room(&mut self, room: &NewRoom, creator: PersonId, now: Time) -> StoreResult<()>;
    /// The same of a direct message; `false` when these people have one.
    fn insert_direct(&mut self, room: &NewRoom, people: PeopleKey, creator: PersonId, now: Time) -> StoreResult<bool>;
    /// The direct message of these people.
    fn direct_of(&self, people: PeopleKey) -> StoreResult<Option<RoomId>>;
    /// The room is as that from now on.
    fn set_room(&mut self, room: RoomId, facts: &RoomFacts) -> StoreResult<()>;
    /// The person as a member of the room; `None` when they are not.
    fn member(&self, room: RoomId, person: PersonId) -> StoreResult<Option<Who>>;
    /// What the person is in the room; `None` when they are no member.
    fn room_role(&self, room: RoomId, person: PersonId) -> StoreResult<Option<RoomRole>>;
    /// The room's owners who may sign in and are no guests.
    fn owners(&self, room: RoomId) -> StoreResult<Vec<PersonId>>;
    /// Who has been a member for longest, of those who may sign in and are no guests.
    fn oldest_member(&self, room: RoomId) -> StoreResult<Option<Who>>;
    /// Who has read up to the event of this number.
    fn insert_member(
        &mut self,
        room: RoomId,
        person: PersonId,
        role: RoomRole,
        read: u64,
        now: Time,
    ) -> StoreResult<()>;
    fn set_room_role(&mut self, room: RoomId, person: PersonId, role: RoomRole) -> StoreResult<()>;
    fn delete_member(&mut self, room: RoomId, person: PersonId) -> StoreResult<()>;

    /// The number of the last event that the person has read, and of the room's last; `None` when they are no member. Nobody else
    /// moves the first until the end.
    fn read_position(&self, room: RoomId, person: PersonId) -> StoreResult<Option<(u64, u64)>>;
    /// What waits for the person in the room if they have read up to that number.
    fn reading(&self, room: RoomId, person: PersonId, read: u64) -> StoreResult<Reading>;
    fn set_read_position(&mut self, room: RoomId, person: PersonId, read: u64) -> StoreResult<()>;
    /// The person has read all of their rooms. Answers where that changed something, and the number of the last event there.
    fn read_everything(&mut self, person: PersonId) -> StoreResult<Vec<(RoomId, u64)>>;

    /// How the person keeps the room; `None` when they are no member. Nobody else changes it until the end.
    fn preferences(&self, room: RoomId, person: PersonId) -> StoreResult<Option<Preferences>>;
    fn set_preferences(
        &mut self,
        room: RoomId,
        person: PersonId,
        preferences: &Preferences,
        now: Time,
    ) -> StoreResult<()>;

    /// The invite of this code, good or dead.
    fn invite(&self, code: SecretDigest) -> StoreResult<Option<StoredInvite>>;
    /// The room's invite, good or dead.
    fn invite_of(&self, room: RoomId) -> StoreResult<Option<StoredInvite>>;
    /// The room has this invite in the place of any other.
    fn replace_invite(&mut self, inviter: PersonId, invite: &Invite) -> StoreResult<()>;
    /// Whatever invites the person has made end now.
    fn expire_invites_of(&mut self, inviter: PersonId, now: Time) -> StoreResult<()>;
    /// Counts one use more.
    fn use_invite(&mut self, code: SecretDigest) -> StoreResult<()>;
    /// The room's invite is revoked, if it is not already.
    fn revoke_invite(&mut self, room: RoomId, now: Time) -> StoreResult<()>;

    /// What the author has posted under this client id, in whichever room.
    fn earlier_send(&self, author: PersonId, client_id: ClientId) -> StoreResult<Option<EarlierSend>>;
    /// Takes the room's next number.
    fn next_number(&mut self, room: RoomId) -> StoreResult<u64>;
    fn insert_message(&mut self, message: &NewMessage, number: u64, now: Time) -> StoreResult<()>;
    /// A message of this room; nobody else changes it until the end.
    fn message(&self, room: RoomId, message: MessageId) -> StoreResult<Option<StoredMessage>>;
    /// Keeps what the message has said since then, until the event of this number.
    fn insert_edit(&mut self, message: MessageId, number: u64, since: Time, body: &str) -> StoreResult<()>;
    /// Gives the message another text.
    fn set_body(&mut self, message: MessageId, body: &str, now: Time) -> StoreResult<()>;
    /// Hides the message's text, by whom and why, or shows it again.
    fn set_deleted(&mut self, message: MessageId, by: Option<(PersonId, Option<&str>)>, now: Time) -> StoreResult<()>;
    /// Erases the texts, what they were before, and what was reacted to them, of messages that were deleted then or before: of the oldest, at most so
    /// many. Answers how many.
    fn erase_deleted_by(&mut self, time: Time, limit: u32) -> StoreResult<usize>;
    /// What a reaction of this person to the message meets.
    fn reactions(&self, message: MessageId, person: PersonId, emoji: &Emoji) -> StoreResult<Reactions>;
    /// Where there is none of the same.
    fn insert_reaction(&mut self, message: MessageId, person: PersonId, emoji: &Emoji, number: u64) -> StoreResult<()>;
    fn delete_reaction(&mut self, message: MessageId, person: PersonId, emoji: &Emoji) -> StoreResult<()>;
    /// What concerns people in particular.
    fn insert_notices(&mut self, notices: &[Notice]) -> StoreResult<()>;
    /// Whom the message mentions, and whom it did until it was edited.
    fn mentions_of(&self, message: MessageId) -> StoreResult<Vec<Notice>>;
    fn set_notice_kind(&mut self, notice: &Notice, kind: NoticeKind) -> StoreResult<()>;
    /// The present names of those whom the message mentions, or has mentioned, by name.
    fn names_of(&self, message: MessageId) -> StoreResult<Vec<Who>>;
    /// Of the reaction that somebody has taken back.
    fn delete_notice_of_reaction(&mut self, message: MessageId, actor: PersonId, emoji: &Emoji) -> StoreResult<()>;
    /// The message of this room that an answer of `person` in its thread is to stand under.
    fn thread_root(&self, room: RoomId, root: MessageId, person: PersonId) -> StoreResult<Option<Root>>;
    /// The person follows the thread and has read it up to that number, unless it was settled before whether they do.
    fn follow_thread(&mut self, root: MessageId, person: PersonId, read: u64) -> StoreResult<()>;
    /// What somebody meets in the thread under a message; `None` when they are no member of its room, or there is none. Nobody
    /// else changes how far they have read it until the end.
    fn thread_standing(&self, room: RoomId, root: MessageId, person: PersonId) -> StoreResult<Option<ThreadStanding>>;
    /// How many answers of others wait for the person behind that number.
    fn thread_unread(&self, root: MessageId, person: PersonId, read: u64) -> StoreResult<u32>;
    /// How far the person has read the thread, and whether they follow it.
    fn set_thread_position(&mut self, root: MessageId, person: PersonId, read: u64, follows: bool) -> StoreResult<()>;
    /// The person has read all threads that they follow, in the rooms that they are in. Answers how many they had not read.
    fn read_every_thread(&mut self, person: PersonId) -> StoreResult<usize>;
    /// At most so many of the digests that have no key yet.
    fn plain_digests(&self, limit: u32) -> StoreResult<Vec<(MessageId, [u8; 32])>>;
    /// Puts keyed digests in the place of those that have no key.
    fn set_digests(&mut self, digests: &[(MessageId, [u8; 32])], key: KeyId) -> StoreResult<()>;
    /// `actor` did it, `subject` is whom it concerns: the same person, except for a member who was brought in, made an owner or
    /// removed by another, and for what becomes of a message, which concerns its author.
    fn insert_event(&mut self, event: &Event, actor: PersonId, subject: PersonId) -> StoreResult<()>;
}
