//! Rooms: where people talk. Every room is open: whoever has an account may see its name and join.

use crate::{
    chat::Chat,
    ids::{PersonId, RoomId},
    names::{Name, Topic},
    rates::RetryAfter,
    store::{ApplyError, Change, NewRoom, Outcome, Refusal, StoreError},
    time::Time,
};

/// A room, as one person sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Its identity.
    pub id: RoomId,
    /// Its name; two rooms may have the same.
    pub name: Name,
    /// What it is about.
    pub topic: Topic,
    /// Who made it.
    pub creator: PersonId,
    /// The name of its stream of events.
    pub epoch: String,
    /// The number of its last event.
    pub offset: u64,
    /// When it was made.
    pub created: Time,
    /// How many members it has.
    pub members: u32,
    /// Whether the person who asks is one of them.
    pub is_member: bool,
}

/// A member of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Which person.
    pub id: PersonId,
    /// Their name.
    pub name: Name,
    /// What they may do in the room.
    pub role: MemberRole,
}

/// What a member may do in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberRole {
    /// An administrator of the server: everything.
    Admin,
    /// The room's creator: removes members who are no administrators, renews and revokes the invite.
    Creator,
    /// Reads, writes and invites.
    Member,
}

impl MemberRole {
    /// `admin`, `creator` or `member`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Creator => "creator",
            Self::Member => "member",
        }
    }
}

/// Why a room was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateRoomError {
    /// The server has as many rooms as it may have.
    #[error("this server has as many rooms as it may have")]
    TooManyRooms,
    /// Too many rooms at once.
    #[error(transparent)]
    TooMany(#[from] RetryAfter),
    /// The store could not.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

/// Why somebody did not join or leave.
#[derive(Debug, thiserror::Error)]
pub enum MembershipError {
    /// There is no such room, or who wants to leave is not a member.
    #[error("no such room")]
    NotMember,
    /// Too many at once.
    #[error(transparent)]
    TooMany(#[from] RetryAfter),
    /// The store could not.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

/// Why a member was not removed.
#[derive(Debug, thiserror::Error)]
pub enum ManageError {
    /// There is no such room, or one of the two is not a member.
    #[error("no such member")]
    NotMember,
    /// Only the room's creator, while a member, or an administrator may; and only an administrator may remove one.
    #[error("only the room's creator or an administrator may do this")]
    NotAllowed,
    /// Too many at once.
    #[error(transparent)]
    TooMany(#[from] RetryAfter),
    /// The store could not.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

impl Chat {
    /// All rooms as the person sees them: those they are a member of first, then by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn rooms(&self, person: PersonId) -> Result<Vec<Room>, StoreError> {
        self.0.store.rooms(person).await
    }

    /// One room as the person sees it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn room(&self, person: PersonId, room: RoomId) -> Result<Option<Room>, StoreError> {
        self.0.store.room(room, person).await
    }

    /// The room's members by name; `None` when there is no such room or the person is not one of them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn members(&self, person: PersonId, room: RoomId) -> Result<Option<Vec<Member>>, StoreError> {
        self.0.store.members(room, person).await
    }

    /// Makes a room with its creator in it.
    ///
    /// # Errors
    /// See [`CreateRoomError`].
    pub async fn create_room(&self, person: PersonId, name: Name, topic: Topic) -> Result<Room, CreateRoomError> {
        self.0.limiters.rooms.take(person, self.0.clock.now())?;
        match self.0.writer.write(Change::CreateRoom { person, room: NewRoom::fresh(name, topic) }).await {
            Ok(Outcome::Room(room)) => Ok(room),
            Ok(other) => unreachable!("a new room was answered with {other:?}"),
            Err(ApplyError::Store(error)) => Err(error.into()),
            Err(ApplyError::Refused(_)) => Err(CreateRoomError::TooManyRooms),
        }
    }

    /// Makes the person a member; nothing happens if they are.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn join_room(&self, person: PersonId, room: RoomId) -> Result<Room, MembershipError> {
        self.0.limiters.memberships.take(person, self.0.clock.now())?;
        match self.0.writer.write(Change::Join { person, room }).await? {
            Outcome::Room(room) => Ok(room),
            other => unreachable!("a join was answered with {other:?}"),
        }
    }

    /// Ends the person's own membership. Nothing committed afterwards reaches them.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn leave_room(&self, person: PersonId, room: RoomId) -> Result<(), MembershipError> {
        self.0.limiters.memberships.take(person, self.0.clock.now())?;
        self.0.writer.write(Change::Leave { person, room }).await?;
        Ok(())
    }

    /// Ends the membership of somebody else; for the room's creator, while a member, and administrators, whom only an
    /// administrator removes. Nothing committed afterwards reaches the one removed. Rooms are open: they may join again.
    ///
    /// # Errors
    /// See [`ManageError`].
    pub async fn remove_member(&self, by: PersonId, room: RoomId, person: PersonId) -> Result<(), ManageError> {
        self.0.limiters.memberships.take(by, self.0.clock.now())?;
        match self.0.writer.write(Change::Remove { by, person, room }).await {
            Ok(_) => Ok(()),
            Err(ApplyError::Store(error)) => Err(error.into()),
            Err(ApplyError::Refused(Refusal::NotAllowed)) => Err(ManageError::NotAllowed),
            Err(ApplyError::Refused(_)) => Err(ManageError::NotMember),
        }
    }
}

impl From<ApplyError> for MembershipError {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Store(error) => Self::Unavailable(error),
            ApplyError::Refused(_) => Self::NotMember,
        }
    }
}
