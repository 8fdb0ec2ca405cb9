//! Rooms: where people talk. Every room is open: whoever has an account may see its name and join.

use crate::{
    changes::{CreateRoom, Join, Leave, ManageRefusal, NotMember, Remove, TooManyRooms},
    chat::Chat,
    model::{Member, Name, NewRoom, PersonId, Room, RoomId, Topic},
    rates::RetryAfter,
    store::StoreError,
};

/// Why a room was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateRoomError {
    /// The server has as many rooms as it may have.
    #[error("this server has as many rooms as it may have")]
    TooManyRooms,
    /// Too many rooms at once.
    #[error(transparent)]
    TooMany(#[from] RetryAfter),
    /// The store could not; nothing was changed.
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
    /// The store could not; nothing was changed.
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
    /// The store could not; nothing was changed.
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
        self.write(CreateRoom { person, room: NewRoom::fresh(name, topic) }).await
    }

    /// Makes the person a member; nothing happens if they are.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn join_room(&self, person: PersonId, room: RoomId) -> Result<Room, MembershipError> {
        self.0.limiters.memberships.take(person, self.0.clock.now())?;
        self.write(Join { person, room }).await
    }

    /// Ends the person's own membership. Nothing committed afterwards reaches them.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn leave_room(&self, person: PersonId, room: RoomId) -> Result<(), MembershipError> {
        self.0.limiters.memberships.take(person, self.0.clock.now())?;
        self.write(Leave { person, room }).await
    }

    /// Ends the membership of somebody else; for the room's creator, while a member, and administrators, whom only an
    /// administrator removes. Nothing committed afterwards reaches the one removed. Rooms are open: they may join again.
    ///
    /// # Errors
    /// See [`ManageError`].
    pub async fn remove_member(&self, by: PersonId, room: RoomId, person: PersonId) -> Result<(), ManageError> {
        self.0.limiters.memberships.take(by, self.0.clock.now())?;
        self.write(Remove { by, person, room }).await
    }
}

impl From<TooManyRooms> for CreateRoomError {
    fn from(TooManyRooms: TooManyRooms) -> Self {
        Self::TooManyRooms
    }
}

impl From<NotMember> for MembershipError {
    fn from(NotMember: NotMember) -> Self {
        Self::NotMember
    }
}

impl From<ManageRefusal> for ManageError {
    fn from(refusal: ManageRefusal) -> Self {
        match refusal {
            ManageRefusal::NotMember => Self::NotMember,
            ManageRefusal::NotAllowed => Self::NotAllowed,
        }
    }
}
