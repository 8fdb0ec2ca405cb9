//! Members bring others into a room, and its owners make others owners.

use crate::{
    changes::{AddMember, AddMemberRefusal, ManageRefusal, SetRoomRole, SetRoomRoleRefusal},
    chat::Chat,
    model::{Member, PersonId, RoomId, RoomRole},
    rates::RetryAfter,
    security::SECURITY_LOG,
    store::StoreError,
};

/// Why somebody was not brought into a room.
#[derive(Debug, thiserror::Error)]
pub enum AddMemberError {
    /// There is no such room, or who asks is not a member: the same answer.
    #[error("no such room")]
    NotMember,
    /// Who asks is a guest.
    #[error("guests bring nobody in; ask another member of the room")]
    IsGuest,
    /// Nobody is brought into a direct message.
    #[error("nobody is brought into a direct message; begin another one with everybody who should be in it")]
    IsDirect,
    /// There is no such person, or they may not sign in.
    #[error("there is nobody of this id who could be brought in; look for people by name")]
    NoSuchPerson,
    /// Too many at once.
    #[error(transparent)]
    TooMany(#[from] RetryAfter),
    /// The store could not; nothing was changed.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

/// Why a member did not become an owner of the room, or one no more.
#[derive(Debug, thiserror::Error)]
pub enum SetRoomRoleError {
    /// There is no such room, or one of the two is not a member.
    #[error("no such member")]
    NotMember,
    /// Only an owner of the room or an administrator may.
    #[error("only an owner of the room or an administrator may do this")]
    NotAllowed,
    /// Nobody owns a direct message.
    #[error("nobody owns a direct message")]
    IsDirect,
    /// There is no other owner.
    #[error("the room has no other owner; make somebody else one first")]
    LastOwner,
    /// The member is a guest.
    #[error("guests own no rooms; an administrator can make them a member of this server first")]
    IsGuest,
    /// Too many at once.
    #[error(transparent)]
    TooMany(#[from] RetryAfter),
    /// The store could not; nothing was changed.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

impl Chat {
    /// Brings somebody into a room that `by` is a member of; nothing happens if they are in it. They hear of it at once.
    ///
    /// # Errors
    /// See [`AddMemberError`].
    pub async fn add_member(&self, by: PersonId, room: RoomId, person: PersonId) -> Result<Member, AddMemberError> {
        self.0.limiters.memberships.take(by, self.0.steady.now())?;
        self.write(AddMember { by, person, room }).await
    }

    /// Makes a member an owner of the room, or one like others; for its owners and administrators.
    ///
    /// # Errors
    /// See [`SetRoomRoleError`].
    pub async fn set_room_role(
        &self,
        by: PersonId,
        room: RoomId,
        person: PersonId,
        role: RoomRole,
    ) -> Result<(), SetRoomRoleError> {
        self.0.limiters.memberships.take(by, self.0.steady.now())?;
        self.write::<_, SetRoomRoleError>(SetRoomRole { by, person, room, role }).await?;
        tracing::info!(target: SECURITY_LOG, %room, %person, %by, role = role.as_str(), "a role in a room was set");
        Ok(())
    }
}

impl From<AddMemberRefusal> for AddMemberError {
    fn from(refusal: AddMemberRefusal) -> Self {
        match refusal {
            AddMemberRefusal::NotMember => Self::NotMember,
            AddMemberRefusal::IsGuest => Self::IsGuest,
            AddMemberRefusal::IsDirect => Self::IsDirect,
            AddMemberRefusal::NoSuchPerson => Self::NoSuchPerson,
        }
    }
}

impl From<SetRoomRoleRefusal> for SetRoomRoleError {
    fn from(refusal: SetRoomRoleRefusal) -> Self {
        match refusal {
            SetRoomRoleRefusal::Manage(ManageRefusal::NotMember) => Self::NotMember,
            SetRoomRoleRefusal::Manage(ManageRefusal::NotAllowed) => Self::NotAllowed,
            SetRoomRoleRefusal::Manage(ManageRefusal::IsDirect) => Self::IsDirect,
            SetRoomRoleRefusal::LastOwner => Self::LastOwner,
            SetRoomRoleRefusal::IsGuest => Self::IsGuest,
        }
    }
}
