//! Members are brought into a room, and made its owners.

use super::rooms::{ManageRefusal, enter, managed, record, unknown_person};
use crate::{
    model::{EventKind, Member, PersonEvent, PersonId, Role, Room, RoomCard, RoomId, RoomKind, RoomRole, Time, Who},
    store::{Applied, Change, ChangeError::Refused, ChangeResult, Tables},
};

/// Why somebody was not brought into a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AddMemberRefusal {
    /// There is no such room, or who asks is not a member: the same answer.
    #[error("not a member of the room")]
    NotMember,
    /// Who asks is a guest.
    #[error("guests bring nobody in")]
    IsGuest,
    /// Others come to a direct message by another one.
    #[error("a direct message stays as it is")]
    IsDirect,
    /// There is no such person, or they may not sign in.
    #[error("no such person")]
    NoSuchPerson,
}

/// A member brings somebody else in; nothing happens if they are in.
#[derive(Debug, Clone)]
pub(crate) struct AddMember {
    /// Must be a member.
    pub(crate) by: PersonId,
    pub(crate) person: PersonId,
    pub(crate) room: RoomId,
}

impl Change for AddMember {
    type Answer = Member;
    type Refusal = AddMemberRefusal;

    fn room(&self) -> Option<RoomId> {
        Some(self.room)
    }

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        let room = tables.room(self.room, self.by)?.filter(Room::is_member);
        let room = room.ok_or(Refused(AddMemberRefusal::NotMember))?;
        if room.kind == RoomKind::Direct {
            return Err(Refused(AddMemberRefusal::IsDirect));
        }
        let by = tables.person(self.by)?.ok_or_else(unknown_person)?;
        if by.role == Role::Guest {
            return Err(Refused(AddMemberRefusal::IsGuest));
        }
        let person = tables.person(self.person)?.filter(|person| person.is_active);
        let person = person.ok_or(Refused(AddMemberRefusal::NoSuchPerson))?;
        let member = |role| Member {
            id: person.id,
            name: person.name.clone(),
            same_name: person.same_name,
            role,
            server_role: person.role,
        };
        if let Some(role) = tables.room_role(self.room, person.id)? {
            return Ok(Applied::quietly(member(role)));
        }
        // As they see it.
        let room = tables.room(self.room, person.id)?.ok_or(Refused(AddMemberRefusal::NotMember))?;
        let (room, joined) = enter(tables, &person, Some(&by), room, now)?;
        let added = PersonEvent::RoomAdded { room: Box::new(RoomCard::from(&room)) };
        Ok(Applied::happened(member(RoomRole::Member), joined).telling(person.id, added))
    }
}

/// Why a member did not become an owner, or not a member like others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SetRoomRoleRefusal {
    /// The person may not, or one of the two is not a member.
    #[error(transparent)]
    Manage(#[from] ManageRefusal),
    /// There is no other owner.
    #[error("the room has no other owner")]
    LastOwner,
    /// A guest looks after nothing.
    #[error("guests own no rooms")]
    IsGuest,
}

/// A member becomes an owner of the room, or one no more; nothing happens if they are.
#[derive(Debug, Clone)]
pub(crate) struct SetRoomRole {
    /// Must manage it.
    pub(crate) by: PersonId,
    pub(crate) person: PersonId,
    pub(crate) room: RoomId,
    pub(crate) role: RoomRole,
}

impl Change for SetRoomRole {
    type Answer = ();
    type Refusal = SetRoomRoleRefusal;

    fn room(&self) -> Option<RoomId> {
        Some(self.room)
    }

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        let (by, _) = managed(tables, self.by, self.room)?.map_err(|refusal| Refused(refusal.into()))?;
        let not_member = || Refused(ManageRefusal::NotMember.into());
        let present = tables.room_role(self.room, self.person)?.ok_or_else(not_member)?;
        let member = tables.person(self.person)?.ok_or_else(not_member)?;
        if present == self.role {
            return Ok(Applied::quietly(()));
        }
        match self.role {
            RoomRole::Owner if member.role == Role::Guest => return Err(Refused(SetRoomRoleRefusal::IsGuest)),
            RoomRole::Member if tables.owners(self.room)?.len() < 2 => {
                return Err(Refused(SetRoomRoleRefusal::LastOwner));
            }
            RoomRole::Owner | RoomRole::Member => {}
        }
        tables.set_room_role(self.room, self.person, self.role)?;
        let (who, by) = (Who::from(&member), Some(Who::from(&by)).filter(|by| by.id != member.id));
        let kind = match self.role {
            RoomRole::Owner => EventKind::MemberPromoted { member: who, by },
            RoomRole::Member => EventKind::MemberDemoted { member: who, by },
        };
        let event = record(tables, self.room, kind, self.by, self.person, now)?;
        Ok(Applied::happened((), event))
    }
}
