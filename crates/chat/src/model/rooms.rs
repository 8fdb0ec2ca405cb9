//! Rooms and who is in them.

use super::{
    ids::{PersonId, RoomId},
    names::{Name, Topic},
    people::Role,
    secrets::fresh_epoch,
    time::Time,
};

/// A room, as one person sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Also in the name of its channel, `room:<id>`.
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
    /// An administrator is one also in the rooms they made.
    pub(crate) fn of(role: Role, is_creator: bool) -> Self {
        match (role, is_creator) {
            (Role::Admin, _) => Self::Admin,
            (Role::Member, true) => Self::Creator,
            (Role::Member, false) => Self::Member,
        }
    }

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

/// A room to be made.
#[derive(Debug, Clone)]
pub(crate) struct NewRoom {
    pub(crate) id: RoomId,
    pub(crate) name: Name,
    pub(crate) topic: Topic,
    /// The name of its stream of events.
    pub(crate) epoch: String,
}

impl NewRoom {
    pub(crate) fn fresh(name: Name, topic: Topic) -> Self {
        Self { id: RoomId::fresh(), name, topic, epoch: fresh_epoch() }
    }
}
