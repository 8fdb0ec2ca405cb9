//! Rooms: where people talk. A public one is open to whoever has an account and is no guest; of a private one nobody but its
//! members learns anything (S37).

use crate::{
    changes::{
        CreateRoom, CreateRoomRefusal, EditRoom, EditRoomRefusal, Join, Leave, LeaveRefusal, ManageRefusal, NotMember,
        Remove,
    },
    chat::Chat,
    limits::{ROOMS_PAGE_MAX, ROOMS_PER_PERSON_MAX},
    model::{Code, Member, Name, NewRoom, PersonId, Room, RoomEdit, RoomId, RoomKind, RoomPage, Topic},
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
    /// They are a guest.
    #[error("guests make no rooms; ask a member of this server to make one and bring you in")]
    IsGuest,
    /// It is no room that is made like that.
    #[error("a direct message is begun with people, and not with a name")]
    IsDirect,
    /// Too many rooms at once.
    #[error(transparent)]
    TooMany(#[from] RetryAfter),
    /// The store could not; nothing was changed.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

/// Why a room was not changed.
#[derive(Debug, thiserror::Error)]
pub enum EditRoomError {
    /// There is no such room, or the person does not see it: the same answer.
    #[error("no such room")]
    NotMember,
    /// Only an owner of the room or an administrator may.
    #[error("only an owner of the room or an administrator may change it")]
    NotAllowed,
    /// A direct message has no name, and never becomes a room; nor a room one.
    #[error("a direct message stays as it is, and no room becomes one; make a room, and bring its people in")]
    IsDirect,
    /// Another room that the person sees has the name.
    #[error("there is a room of this name already; choose another name")]
    NameTaken,
    /// Too many changes at once.
    #[error(transparent)]
    TooMany(#[from] RetryAfter),
    /// The store could not; nothing was changed.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

/// Why somebody did not leave.
#[derive(Debug, thiserror::Error)]
pub enum LeaveError {
    /// There is no such room, or who wants to leave is not a member.
    #[error("no such room")]
    NotMember,
    /// Nobody leaves a direct message.
    #[error("nobody leaves a direct message; it can be muted")]
    IsDirect,
    /// Too many at once.
    #[error(transparent)]
    TooMany(#[from] RetryAfter),
    /// The store could not; nothing was changed.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

/// Why somebody did not join.
#[derive(Debug, thiserror::Error)]
pub enum MembershipError {
    /// There is no such room, or it is not open to them: the same answer.
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
    /// Only an owner of the room or an administrator may; and only an administrator may remove one.
    #[error("only an owner of the room or an administrator may do this")]
    NotAllowed,
    /// Nobody is removed from a direct message.
    #[error("nobody is removed from a direct message; begin another one without them")]
    IsDirect,
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

    /// Makes a room with its creator in it, who owns it.
    ///
    /// # Errors
    /// See [`CreateRoomError`].
    pub async fn create_room(
        &self,
        person: PersonId,
        name: Name,
        topic: Topic,
        kind: RoomKind,
    ) -> Result<Room, CreateRoomError> {
        if kind == RoomKind::Direct {
            return Err(CreateRoomError::IsDirect);
        }
        self.0.limiters.rooms.take(person, self.0.steady.now())?;
        self.write(CreateRoom { person, room: NewRoom::fresh(name, topic, kind), invite: Code::fresh() }).await
    }

    /// Gives a room another name, another description or another kind, or archives or restores it; for its owners and
    /// administrators. One that becomes private is as it was for its members; its invite is dead.
    ///
    /// # Errors
    /// See [`EditRoomError`].
    pub async fn edit_room(&self, person: PersonId, room: RoomId, edit: RoomEdit) -> Result<Room, EditRoomError> {
        self.0.limiters.memberships.take(person, self.0.steady.now())?;
        let (kind, is_archived) = (edit.kind, edit.is_archived);
        let edited = self.write::<_, EditRoomError>(EditRoom { person, room, edit }).await?;
        if kind.is_some() || is_archived.is_some() {
            let (kind, archived) = (edited.kind.as_str(), edited.archived.is_some());
            tracing::info!(target: SECURITY_LOG, %room, by = %person, kind, archived, "a room was changed");
        }
        Ok(edited)
    }

    /// Makes the person a member; nothing happens if they are.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn join_room(&self, person: PersonId, room: RoomId) -> Result<Room, MembershipError> {
        self.0.limiters.memberships.take(person, self.0.steady.now())?;
        self.write(Join { person, room }).await
    }

    /// Ends the person's own membership. Nothing committed afterwards reaches them. When the last owner of a private room
    /// goes, whoever has been in it for longest owns it.
    ///
    /// # Errors
    /// See [`LeaveError`].
    pub async fn leave_room(&self, person: PersonId, room: RoomId) -> Result<(), LeaveError> {
        self.0.limiters.memberships.take(person, self.0.steady.now())?;
        self.write(Leave { person, room }).await
    }

    /// Ends the membership of somebody else; for the room's owners and administrators, whom only an administrator removes.
    /// Nothing committed afterwards reaches the one removed. A public room they may join again.
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
            CreateRoomRefusal::IsGuest => Self::IsGuest,
        }
    }
}

impl From<EditRoomRefusal> for EditRoomError {
    fn from(refusal: EditRoomRefusal) -> Self {
        match refusal {
            EditRoomRefusal::Manage(ManageRefusal::NotMember) => Self::NotMember,
            EditRoomRefusal::Manage(ManageRefusal::NotAllowed) => Self::NotAllowed,
            EditRoomRefusal::Manage(ManageRefusal::IsDirect) => Self::IsDirect,
            EditRoomRefusal::NameTaken => Self::NameTaken,
        }
    }
}

impl From<LeaveRefusal> for LeaveError {
    fn from(refusal: LeaveRefusal) -> Self {
        match refusal {
            LeaveRefusal::NotMember => Self::NotMember,
            LeaveRefusal::IsDirect => Self::IsDirect,
        }
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
            ManageRefusal::IsDirect => Self::IsDirect,
        }
    }
}
