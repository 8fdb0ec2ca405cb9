//! What the chat needs of a database. SQLite is one ([`sqlite`]); the tests in `contract` are what every one must do.
//!
//! Reads may run at any time and side by side. Changes are applied in batches, by the one writer: a batch is one
//! transaction, each change in it succeeds or fails alone, and when [`Store::apply`] has answered, what succeeded is
//! durable. A change decides what it refuses inside the transaction, so two changes can never both pass a check that
//! only one of them may pass.

mod changes;
#[cfg(test)]
mod contract;
mod migrations;
mod reads;
pub mod sqlite;
mod values;

use futures_util::future::BoxFuture;

pub use crate::{passwords::StoredHash, people::Credentials, secrets::Digested};

use crate::{
    events::{Event, Message, Who},
    ids::{ClientId, MessageId, PersonId, RoomId, SessionId},
    invites::{Invite, InviteCard},
    names::{Email, Name, Topic},
    people::Person,
    rooms::{Member, Room},
    secrets::{Code, fresh_epoch},
    sessions::{Session, SignedIn},
    time::Time,
};

/// The answer of a read.
pub type Read<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// The database of the chat.
pub trait Store: Send + Sync + 'static {
    /// Applies the changes in their order, in one transaction, at the time `now`; answers each of them, in the same
    /// order, when those that succeeded are durable. Called by one writer only, one batch at a time.
    fn apply(&self, changes: Vec<Change>, now: Time) -> BoxFuture<'_, Vec<Result<Applied, ApplyError>>>;

    /// Lets go of the database, after the last batch; what comes later is answered with [`StoreError::Closed`].
    fn close(&self) -> BoxFuture<'_, ()>;

    /// Whether the first account exists.
    fn is_set_up(&self) -> Read<'_, bool>;
    /// Everybody with an account, by name.
    fn people(&self) -> Read<'_, Vec<Person>>;
    /// One person.
    fn person(&self, id: PersonId) -> Read<'_, Option<Person>>;
    /// Who signs in with this address, and the hash of their password.
    fn credentials(&self, email: Email) -> Read<'_, Option<Credentials>>;

    /// The session of this token, with its person, unless it has ended or expired at `now`.
    fn session(&self, token: Digested, now: Time) -> Read<'_, Option<SignedIn>>;
    /// Whether the session exists and has not ended or expired at `now`.
    fn session_is_open(&self, session: SessionId, now: Time) -> Read<'_, bool>;
    /// The person's sessions that have not ended or expired at `now`, the last used first.
    fn sessions(&self, person: PersonId, now: Time) -> Read<'_, Vec<Session>>;
    /// The sessions that ended at or after `since`, by whichever process.
    fn sessions_ended(&self, since: Time) -> Read<'_, Vec<SessionId>>;

    /// The invite of this code, if it is good at `now`.
    fn invite(&self, code: Digested, now: Time) -> Read<'_, Option<InviteCard>>;
    /// The room's invite, if it is good at `now` and `person` is a member.
    fn room_invite(&self, room: RoomId, person: PersonId, now: Time) -> Read<'_, Option<Invite>>;

    /// All rooms as `person` sees them: those they are a member of first, then by name.
    fn rooms(&self, person: PersonId) -> Read<'_, Vec<Room>>;
    /// One room as `person` sees it.
    fn room(&self, room: RoomId, person: PersonId) -> Read<'_, Option<Room>>;
    /// The room's members by name; `None` when `reader` is not one of them.
    fn members(&self, room: RoomId, reader: PersonId) -> Read<'_, Option<Vec<Member>>>;
    /// The person as a member of the room; `None` when they are not.
    fn member(&self, room: RoomId, person: PersonId) -> Read<'_, Option<Who>>;

    /// Events of a room, in the order of their numbers, with the position of its stream, all at one moment; `None` when
    /// there is no such room, or `reader` is given and is not a member.
    fn events(&self, room: RoomId, reader: Option<PersonId>, page: Page) -> Read<'_, Option<EventPage>>;
    /// Messages of a room, in the order of their numbers; `None` as for [`events`](Self::events).
    fn messages(&self, room: RoomId, reader: PersonId, page: Page) -> Read<'_, Option<MessagePage>>;
    /// One message; `None` when there is none, or `reader` is not a member of its room.
    fn message(&self, room: RoomId, reader: PersonId, message: MessageId) -> Read<'_, Option<Message>>;
}

/// Which part of a room's events or messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// From where.
    pub from: PageFrom,
    /// How many at most. 0 asks for the position alone.
    pub limit: u32,
}

/// Where a page lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageFrom {
    /// The newest.
    End,
    /// Those right before this number.
    Before(u64),
    /// Those right after this number.
    After(u64),
}

/// A page of a room's events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPage {
    /// In ascending order of their numbers.
    pub events: Vec<Event>,
    /// The name of the stream.
    pub epoch: String,
    /// The number of the room's last event.
    pub offset: u64,
    /// Whether there are more in the direction of the page.
    pub more: bool,
}

/// A page of a room's messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessagePage {
    /// In ascending order of their numbers.
    pub messages: Vec<Message>,
    /// Whether there are more in the direction of the page.
    pub more: bool,
}

/// Something to be changed.
#[derive(Debug, Clone)]
pub enum Change {
    /// The first account, as administrator, with a first room, an invite to it, and a session.
    SetUp {
        /// The administrator.
        person: NewPerson,
        /// The first session.
        session: NewSession,
        /// The first room.
        room: NewRoom,
        /// The code of its invite.
        invite: Code,
    },
    /// An account for somebody invited, who becomes a member of the invite's room, with a session.
    CreateAccount {
        /// The invite's code.
        invite: Digested,
        /// The new person.
        person: NewPerson,
        /// Their first session.
        session: NewSession,
    },
    /// Another password; ends the person's sessions but `keep`.
    SetPassword {
        /// Whose.
        person: PersonId,
        /// Its hash.
        hash: StoredHash,
        /// The session that stays: the one in which the password was changed.
        keep: Option<SessionId>,
    },
    /// The same password hashed anew, if the hash is still `old`.
    Rehash {
        /// Whose.
        person: PersonId,
        /// The hash that the password was checked against.
        old: StoredHash,
        /// The new one.
        new: StoredHash,
    },

    /// A sign-in, valid only if the password's hash is still the one that was checked. Ends the least used session of
    /// the person when they have too many.
    OpenSession {
        /// Whose.
        person: PersonId,
        /// The hash that the password was checked against.
        checked: StoredHash,
        /// The session.
        session: NewSession,
    },
    /// The session was used just now.
    TouchSession {
        /// Which.
        session: SessionId,
    },
    /// The session ends.
    EndSession {
        /// Whose.
        person: PersonId,
        /// Which.
        session: SessionId,
    },
    /// Sessions that have expired end; those that ended long ago are forgotten.
    SweepSessions,

    /// The room's invite: the present one if it is good, else a new one with this code. After one that was revoked only
    /// who may renew it gets a new one.
    CurrentInvite {
        /// Who asks; must be a member.
        person: PersonId,
        /// The room.
        room: RoomId,
        /// The code of a new one.
        code: Code,
    },
    /// A new invite in the place of the room's present one, which is dead at once and forgotten.
    RenewInvite {
        /// Who asks; must be the creator, while a member, or an administrator.
        person: PersonId,
        /// The room.
        room: RoomId,
        /// The new code.
        code: Code,
    },
    /// The room's invite is dead; it is remembered as revoked until there is a new one.
    RevokeInvite {
        /// Who asks; must be the creator, while a member, or an administrator.
        person: PersonId,
        /// The room.
        room: RoomId,
    },
    /// Somebody with an account joins the room of an invite.
    AcceptInvite {
        /// The invite's code.
        invite: Digested,
        /// Who joins.
        person: PersonId,
    },

    /// A new room, its creator in it.
    CreateRoom {
        /// The creator.
        person: PersonId,
        /// The room.
        room: NewRoom,
    },
    /// The person becomes a member; nothing happens if they are.
    Join {
        /// Who.
        person: PersonId,
        /// The room.
        room: RoomId,
    },
    /// The person is no longer a member.
    Leave {
        /// Who.
        person: PersonId,
        /// The room.
        room: RoomId,
    },
    /// Somebody else takes the membership away.
    Remove {
        /// Who removes; must be the creator, while a member, or an administrator.
        by: PersonId,
        /// Who is removed.
        person: PersonId,
        /// The room.
        room: RoomId,
    },
    /// A message.
    Post(NewMessage),
}

impl Change {
    /// Whether somebody may receive less after it than before. A batch ends with such a change, so that nothing
    /// committed later can be read by them before they are cut off.
    pub(crate) fn revokes(&self) -> bool {
        matches!(
            self,
            Self::Leave { .. }
                | Self::Remove { .. }
                | Self::EndSession { .. }
                | Self::SetPassword { .. }
                | Self::OpenSession { .. }
                | Self::SweepSessions
        )
    }
}

/// An account to be made.
#[derive(Debug, Clone)]
pub struct NewPerson {
    /// Its identity.
    pub id: PersonId,
    /// The name others see.
    pub name: Name,
    /// The address to sign in with.
    pub email: Email,
    /// The password's hash.
    pub hash: StoredHash,
}

/// A session to be opened.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Its identity.
    pub id: SessionId,
    /// Its token's digest.
    pub token: Digested,
    /// What the browser says about itself.
    pub user_agent: String,
}

/// A room to be made.
#[derive(Debug, Clone)]
pub struct NewRoom {
    /// Its identity.
    pub id: RoomId,
    /// Its name.
    pub name: Name,
    /// What it is about.
    pub topic: Topic,
    /// The name of its stream of events.
    pub epoch: String,
}

impl NewRoom {
    pub(crate) fn fresh(name: Name, topic: Topic) -> Self {
        Self { id: RoomId::fresh(), name, topic, epoch: fresh_epoch() }
    }
}

/// A message to be posted.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// Its identity.
    pub id: MessageId,
    /// Where.
    pub room: RoomId,
    /// By whom.
    pub author: PersonId,
    /// The author's identity of the send.
    pub client_id: ClientId,
    /// The text.
    pub body: String,
    /// SHA-256 of room and text, by which a repeated send is recognised whatever becomes of the text.
    pub digest: [u8; 32],
}

/// A change that is durable, with what must now be told.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// The answer for whoever asked.
    pub outcome: Outcome,
    /// What happened in rooms, each room's in the order of its numbers. Empty when the change had been made before.
    pub events: Vec<Event>,
    /// Sessions that ended.
    pub ended: Vec<SessionId>,
}

/// The answer to a change.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Nothing to say but that it is done.
    Done,
    /// To [`Change::SetUp`] and [`Change::CreateAccount`].
    Account {
        /// The new person.
        person: Person,
        /// The room they are in.
        room: Room,
        /// To set-up: the invite to it.
        invite: Option<Invite>,
    },
    /// To [`Change::CreateRoom`], [`Change::Join`] and [`Change::AcceptInvite`].
    Room(Room),
    /// To [`Change::CurrentInvite`] and [`Change::RenewInvite`].
    Invite(Invite),
    /// To [`Change::Post`].
    Posted(Posted),
}

/// A message was posted, now or by an earlier send of the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posted {
    /// The message's identity.
    pub id: MessageId,
    /// Its number in the room.
    pub number: u64,
    /// When it was committed.
    pub time: Time,
    /// Whether an earlier send had posted it already; then nothing happened now.
    pub repeated: bool,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The rules say no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database could not.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A rule that a change would break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The first account exists.
    #[error("already set up")]
    AlreadySetUp,
    /// There is an account with this address.
    #[error("the address has an account")]
    EmailTaken,
    /// There is no such invite, or it is used up, expired or revoked.
    #[error("the invite is not valid")]
    InviteInvalid,
    /// There is no such person.
    #[error("no such person")]
    NoSuchPerson,
    /// There is no such session of this person.
    #[error("no such session")]
    NoSuchSession,
    /// The password was changed while it was being checked.
    #[error("the password has changed")]
    PasswordChanged,
    /// There is no such room, or the person is not a member: the same answer.
    #[error("not a member of the room")]
    NotMember,
    /// A member, but neither the room's creator nor an administrator.
    #[error("only the room's creator or an administrator may do this")]
    NotAllowed,
    /// The server has as many rooms as it may have.
    #[error("too many rooms")]
    TooManyRooms,
    /// The author has used this client id for another message.
    #[error("the client id was used for another message")]
    Conflict,
}

/// The database could not do it; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The disk, or the database's permitted size, is full.
    #[error("the storage is full")]
    Full,
    /// Too much is waiting; try again.
    #[error("busy; try again")]
    Busy,
    /// The server is stopping.
    #[error("the server is stopping")]
    Closed,
    /// Anything else; the text is for the operator's log.
    #[error("the database failed: {0}")]
    Failed(String),
}
