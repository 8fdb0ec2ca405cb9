//! Rooms and who is in them.

use super::{
    ids::{PersonId, RoomId},
    names::{Name, Topic},
    people::Role,
    reading::Reading,
    secrets::fresh_epoch,
    time::Time,
};

/// A room, as one person sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Also in the name of its channel, `room:<id>`.
    pub id: RoomId,
    /// Its name.
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
    /// How far the person has read it, if they are one of them.
    pub reading: Option<Reading>,
    /// Whether another room that the person sees has the same name, or one that looks alike.
    pub same_name: bool,
    /// Whether everybody with an account may see it and come in. All rooms are, today.
    pub is_open: bool,
}

impl Room {
    /// The one rule of who sees a room, which whoever may not must not learn anything of (S37): not its name, how many
    /// members it has, nor the number of its last event.
    pub(crate) fn is_seen(&self) -> bool {
        self.is_open || self.is_member
    }
}

/// Some of the rooms that a person sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomPage {
    /// On the first page, those they are a member of come first, all of them; then the others, by name.
    pub rooms: Vec<Room>,
    /// Whether there are others behind the last one.
    pub more: bool,
}

/// A member of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Which person.
    pub id: PersonId,
    /// Their name.
    pub name: Name,
    /// Whether somebody else on this server has the same name, or one that looks alike.
    pub same_name: bool,
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
