//! Invites: a link that lets people into a room, with or without an account. A room has one at a time.

use super::{ids::RoomId, names::Name, people::Who, secrets::Code, time::Time};

/// A room's invite, as its members see it.
#[derive(Debug, Clone)]
pub struct Invite {
    /// The secret in the link.
    pub code: Code,
    /// The room it leads to.
    pub room: RoomId,
    /// When it was made.
    pub created: Time,
    /// When it stops working.
    pub expires: Time,
    /// How many people it lets in.
    pub uses_max: u32,
    /// How many it has let in.
    pub uses: u32,
}

/// An invite, as somebody who holds its code sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InviteCard {
    /// Who made it.
    pub inviter: Who,
    /// The room it leads to.
    pub room: RoomId,
    /// The room's name.
    pub room_name: Name,
}

impl PartialEq for Invite {
    fn eq(&self, other: &Self) -> bool {
        self.code.is(other.code.reveal()) && self.room == other.room && self.uses == other.uses
    }
}

/// An invite, good or dead, as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct StoredInvite {
    pub(crate) invite: Invite,
    pub(crate) revoked: bool,
}

impl StoredInvite {
    /// The one rule of what an invite is good for: neither revoked nor expired nor used up.
    pub(crate) fn is_good(&self, now: Time) -> bool {
        !self.revoked && self.invite.expires > now && self.invite.uses < self.invite.uses_max
    }

    pub(crate) fn if_good(self, now: Time) -> Option<Invite> {
        self.is_good(now).then_some(self.invite)
    }
}
