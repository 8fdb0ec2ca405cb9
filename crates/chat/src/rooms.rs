//! Rooms: where people talk. Every room is open today: whoever has an account may see its name and join. Of one that is not,
//! nobody but its members learns anything (S37).

use crate::{
    changes::{CreateRoom, CreateRoomRefusal, Join, Leave, ManageRefusal, NotMember, Remove},
    chat::Chat,
    limits::{ROOMS_PAGE_MAX, ROOMS_PER_PERSON_MAX},
    model::{Code, Member, Name, NewRoom, PersonId, Room, RoomId, RoomPage, Topic},
    rates::RetryAfter,
    security::SECURITY_LOG,
    store::StoreError,
};

/// Why a room was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateRoomError {
    /// The server has as many rooms as the person may add to.
    #[error("this server has as many rooms as it may have; ask an administrator to make one")]
    TooManyRooms,
    /// The person has made as many rooms as they may.
    #[error(
        "you have made {ROOMS_PER_PERSON_MAX} rooms, which is as many as one person may; ask an administrator to make more"
    )]
    TooManyOfPerson,
    /// A room that the person sees has the same name, but for case and what cannot be seen.
    #[error("there is a room of this name already; join it, or choose another name")]
    NameTaken,
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
    /// The rooms that the person sees: all those they are a member of, and up to `limit` others; behind the room `after`,
    /// only others.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn rooms(&self, person: PersonId, after: Option<RoomId>, limit: u32) -> Result<RoomPage, StoreError> {
        let own = if after.is_none() { self.0.store.own_rooms(person).await? } else { Vec::new() };
        let others = self.0.store.other_rooms(person, after, limit.min(ROOMS_PAGE_MAX)).await?;
        Ok(RoomPage { rooms: [own, others.rooms].concat(), more: others.more })
    }

    /// One room as the person sees it; `None` when there is none, or they may not see it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn room(&self, person: PersonId, room: RoomId) -> Result<Option<Room>, StoreError> {
        Ok(self.0.store.room(room, person).await?.filter(Room::is_seen))
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
        self.0.limiters.rooms.take(person, self.0.steady.now())?;
        self.write(CreateRoom { person, room: NewRoom::fresh(name, topic), invite: Code::fresh() }).await
    }

    /// Makes the person a member; nothing happens if they are.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn join_room(&self, person: PersonId, room: RoomId) -> Result<Room, MembershipError> {
        self.0.limiters.memberships.take(person, self.0.steady.now())?;
        self.write(Join { person, room }).await
    }

    /// Ends the person's own membership. Nothing committed afterwards reaches them.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn leave_room(&self, person: PersonId, room: RoomId) -> Result<(), MembershipError> {
        self.0.limiters.memberships.take(person, self.0.steady.now())?;
        self.write(Leave { person, room }).await
    }

    /// Ends the membership of somebody else; for the room's creator, while a member, and administrators, whom only an
    /// administrator removes. Nothing committed afterwards reaches the one removed. Rooms are open: they may join again.
    ///
    /// # Errors
    /// See [`ManageError`].
    pub async fn remove_member(&self, by: PersonId, room: RoomId, person: PersonId) -> Result<(), ManageError> {
        self.0.limiters.memberships.take(by, self.0.steady.now())?;
        self.write::<_, ManageError>(Remove { by, person, room }).await?;
        tracing::info!(target: SECURITY_LOG, %room, %person, %by, "a member was removed");
        Ok(())
    }
}

impl From<CreateRoomRefusal> for CreateRoomError {
    fn from(refusal: CreateRoomRefusal) -> Self {
        match refusal {
            CreateRoomRefusal::TooManyRooms => Self::TooManyRooms,
            CreateRoomRefusal::TooManyOfPerson => Self::TooManyOfPerson,
            CreateRoomRefusal::NameTaken => Self::NameTaken,
        }
    }
}

#[cfg(feature = "test-kit")]
impl Chat {
    /// Lets everybody see a room and come in, or its members alone: for tests of who learns what. Nothing else closes one.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn set_room_open(&self, room: RoomId, is_open: bool) -> Result<(), StoreError> {
        self.write(crate::changes::SetOpen { room, is_open }).await
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
