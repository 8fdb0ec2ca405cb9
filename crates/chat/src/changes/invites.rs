//! A room's one invite is made, renewed, revoked and accepted.

use super::rooms::{ManageRefusal, enter, make_invite, may_manage, room_added, unknown_person};
use crate::{
    model::{Code, Invite, PersonId, Role, Room, RoomId, RoomKind, SecretDigest, Time},
    store::{Applied, Change, ChangeError::Refused, ChangeResult, StoreError, Tables},
};

/// There is no such invite, or it is used up, expired, revoked or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the invite is not valid")]
pub(crate) struct InviteInvalid;

/// The room has an invite that is good: the present one, else a new one with this code. After one that was revoked only
/// who may renew it gets a new one.
#[derive(Debug, Clone)]
pub(crate) struct EnsureInvite {
    /// Must be a member.
    pub(crate) person: PersonId,
    pub(crate) room: RoomId,
    /// Of the new one.
    pub(crate) code: Code,
}

impl Change for EnsureInvite {
    type Answer = Invite;
    type Refusal = ManageRefusal;

    fn room(&self) -> Option<RoomId> {
        Some(self.room)
    }

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        let room = tables.room(self.room, self.person)?.filter(Room::is_member);
        let room = room.ok_or(Refused(ManageRefusal::NotMember))?;
        if room.kind == RoomKind::Direct {
            return Err(Refused(ManageRefusal::IsDirect));
        }
        if tables.person(self.person)?.is_none_or(|person| person.role == Role::Guest) {
            return Err(Refused(ManageRefusal::NotAllowed));
        }
        let invite = match tables.invite_of(self.room)? {
            Some(stored) if stored.is_good(now) => stored.invite,
            dead => {
                // An invite that ran out may be followed by another; a revocation is undone by who may revoke.
                if dead.is_some_and(|stored| stored.revoked) {
                    may_manage(tables, self.person, self.room)?;
                }
                make_invite(tables, self.person, self.room, &self.code, now)?
            }
        };
        Ok(Applied::quietly(invite))
    }
}

/// A new invite in the place of the room's present one, which is dead at once and forgotten.
#[derive(Debug, Clone)]
pub(crate) struct RenewInvite {
    /// Must manage it.
    pub(crate) person: PersonId,
    pub(crate) room: RoomId,
    pub(crate) code: Code,
}

impl Change for RenewInvite {
    type Answer = Invite;
    type Refusal = ManageRefusal;

    fn room(&self) -> Option<RoomId> {
        Some(self.room)
    }

    // The code that was good before is dead.
    fn is_urgent(&self) -> bool {
        true
    }

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        may_manage(tables, self.person, self.room)?;
        Ok(Applied::quietly(make_invite(tables, self.person, self.room, &self.code, now)?))
    }
}

/// The room's invite is dead; it is remembered as revoked until there is a new one.
#[derive(Debug, Clone)]
pub(crate) struct RevokeInvite {
    /// Must manage it.
    pub(crate) person: PersonId,
    pub(crate) room: RoomId,
}

impl Change for RevokeInvite {
    type Answer = ();
    type Refusal = ManageRefusal;

    fn room(&self) -> Option<RoomId> {
        Some(self.room)
    }

    // The code that was good before is dead.
    fn is_urgent(&self) -> bool {
        true
    }

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        may_manage(tables, self.person, self.room)?;
        tables.revoke_invite(self.room, now)?;
        Ok(Applied::quietly(()))
    }
}

/// Somebody with an account joins the room of an invite.
#[derive(Debug, Clone)]
pub(crate) struct AcceptInvite {
    pub(crate) invite: SecretDigest,
    pub(crate) person: PersonId,
}

impl Change for AcceptInvite {
    type Answer = Room;
    type Refusal = InviteInvalid;

    fn invite(&self) -> Option<SecretDigest> {
        Some(self.invite)
    }

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        let room = invited_to(tables, self.invite, self.person, now)?.ok_or(Refused(InviteInvalid))?;
        if room.is_member() {
            // Whoever is in the room already uses nothing up.
            return Ok(Applied::quietly(room));
        }
        let person = tables.person(self.person)?.ok_or_else(unknown_person)?;
        tables.use_invite(self.invite)?;
        let (room, joined) = enter(tables, &person, None, room, now)?;
        Ok(room_added(self.person, room, joined))
    }
}

/// The room that a good invite leads to, as `person` sees it.
pub(super) fn invited_to(
    tables: &dyn Tables,
    invite: SecretDigest,
    person: PersonId,
    now: Time,
) -> Result<Option<Room>, StoreError> {
    match tables.invite(invite)?.and_then(|stored| stored.if_good(now)) {
        Some(invite) => tables.room(invite.room, person),
        None => Ok(None),
    }
}
