//! Accounts are made, and passwords changed.

use std::convert::Infallible;

use super::{
    account::end_others,
    invites::invited_to,
    rooms::{enter, make_room, unknown_person},
    sessions::{PasswordChanged, open_session},
};
use crate::{
    device::DeviceKey,
    model::{
        Code, Ended, Invite, NewPerson, NewRoom, NewSession, Person, PersonId, Role, Room, RoomId, SecretDigest,
        SessionId, StoredHash, Time,
    },
    store::{Applied, Change, ChangeError::Refused, ChangeResult, Tables},
};

/// The first account exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("already set up")]
pub(crate) struct AlreadySetUp;

/// Why the right to sign in was not taken away or given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SetActiveRefusal {
    /// There is no such person.
    #[error("no such person")]
    NoSuchPerson,
    /// Nobody else who may sign in owns the server (S44).
    #[error("the server has no other owner who may sign in; make somebody else one first")]
    LastOwner,
}

/// Why an account was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CreateAccountRefusal {
    /// There is no such invite, or it is used up, expired, revoked or replaced.
    #[error("the invite is not valid")]
    InviteInvalid,
    /// There is an account with this address.
    #[error("the address has an account")]
    EmailTaken,
}

/// The first account, as the server's owner, with a session, a first room, and an invite to it.
#[derive(Debug, Clone)]
pub(crate) struct SetUpServer {
    pub(crate) person: NewPerson,
    pub(crate) session: NewSession,
    pub(crate) room: NewRoom,
    /// The code of the invite.
    pub(crate) invite: Code,
}

impl Change for SetUpServer {
    type Answer = (Person, Room, Invite);
    type Refusal = AlreadySetUp;

    fn room(&self) -> Option<RoomId> {
        Some(self.room.id)
    }

    fn revokes(&self) -> bool {
        self.session.replaces.is_some()
    }

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        // Asked first, because whoever comes second may well have another address.
        let is_first = !tables.is_set_up()?
            && tables.insert_person(&self.person, Role::Owner, now)?
            && tables.mark_set_up(self.person.id, now)?;
        if !is_first {
            return Err(Refused(AlreadySetUp));
        }
        let person = person(&self.person, Role::Owner);
        let ended = open_session(tables, person.id, &self.session, now)?;
        let (room, invite, created) = make_room(tables, &person, &self.room, &self.invite, now)?;
        Ok(Applied::happened((person, room, invite), created).ending(ended))
    }
}

/// An account for somebody invited, who becomes a member of the invite's room, with a session.
#[derive(Debug, Clone)]
pub(crate) struct CreateAccount {
    pub(crate) invite: SecretDigest,
    pub(crate) person: NewPerson,
    pub(crate) session: NewSession,
}

impl Change for CreateAccount {
    type Answer = (Person, Room);
    type Refusal = CreateAccountRefusal;

    fn invite(&self) -> Option<SecretDigest> {
        Some(self.invite)
    }

    fn revokes(&self) -> bool {
        self.session.replaces.is_some()
    }

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        let room = invited_to(tables, self.invite, self.person.id, now)?;
        let room = room.ok_or(Refused(CreateAccountRefusal::InviteInvalid))?;
        tables.use_invite(self.invite)?;
        if !tables.insert_person(&self.person, Role::Member, now)? {
            return Err(Refused(CreateAccountRefusal::EmailTaken));
        }
        // As the tables have them: somebody else may have the same name.
        let person = tables.person(self.person.id)?.ok_or_else(unknown_person)?;
        let ended = open_session(tables, person.id, &self.session, now)?;
        // They have no other devices yet that would have to be told of the room.
        let (room, joined) = enter(tables, &person, None, room, now)?;
        Ok(Applied::happened((person, room), joined).ending(ended))
    }
}

/// Another password; ends the person's sessions but `keep`. Whoever lost the right to set one while it was being hashed
/// gets no further: what took it away stays.
#[derive(Debug, Clone)]
pub(crate) struct SetPassword {
    pub(crate) person: PersonId,
    pub(crate) hash: StoredHash,
    /// The hash that the present password was checked against, which must still be theirs; the operator gives none.
    pub(crate) checked: Option<StoredHash>,
    /// The session in which the password was changed, which must go on.
    pub(crate) keep: Option<SessionId>,
}

impl Change for SetPassword {
    type Answer = ();
    type Refusal = PasswordChanged;

    fn revokes(&self) -> bool {
        true
    }

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        let present = tables.password(self.person)?.ok_or(Refused(PasswordChanged))?;
        let is_same = self.checked.as_ref().is_none_or(|checked| *checked == present);
        let owner = self.keep.map(|session| tables.session_owner(session)).transpose()?;
        if !is_same || owner.is_some_and(|owner| owner != Some(self.person)) {
            return Err(Refused(PasswordChanged));
        }
        tables.set_password(self.person, &self.hash)?;
        let ended = end_others(tables, self.person, self.keep, Ended::Password, now)?;
        Ok(Applied::ended((), ended))
    }
}

/// The same password hashed anew, if the hash is still `old`.
#[derive(Debug, Clone)]
pub(crate) struct Rehash {
    pub(crate) person: PersonId,
    /// The hash that the password was checked against.
    pub(crate) old: StoredHash,
    pub(crate) new: StoredHash,
}

impl Change for Rehash {
    type Answer = ();
    type Refusal = Infallible;

    fn apply(&self, tables: &mut dyn Tables, _now: Time) -> ChangeResult<Self> {
        if tables.password(self.person)?.as_ref() == Some(&self.old) {
            tables.set_password(self.person, &self.new)?;
        }
        Ok(Applied::quietly(()))
    }
}

/// Takes away a person's right to sign in, or gives it back. Without it they have no session, and no invite that they made
/// works; what they wrote stays, and the rooms they are in.
#[derive(Debug, Clone)]
pub(crate) struct SetActive {
    pub(crate) person: PersonId,
    pub(crate) is_active: bool,
}

impl Change for SetActive {
    type Answer = ();
    type Refusal = SetActiveRefusal;

    fn revokes(&self) -> bool {
        true
    }

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        let owners = tables.count_active_owners()?;
        let person = tables.person_to_change(self.person)?.ok_or(Refused(SetActiveRefusal::NoSuchPerson))?;
        if self.is_active {
            tables.set_deactivated(person.id, None)?;
            return Ok(Applied::quietly(()));
        }
        if person.is_active && person.role == Role::Owner && owners < 2 {
            return Err(Refused(SetActiveRefusal::LastOwner));
        }
        if person.is_active {
            tables.set_deactivated(person.id, Some(now))?;
        }
        // They know the codes of the invites that they made, and could come back by one. What acts in their name ends too, and does
        // not begin again by itself when they may sign in again.
        tables.expire_invites_of(person.id, now)?;
        tables.delete_tokens_of(person.id)?;
        let ended = end_others(tables, person.id, None, Ended::Deactivated, now)?;
        Ok(Applied::ended((), ended))
    }
}

/// The key that the cookies of known devices are signed with, made when it is first asked for.
#[derive(Debug, Clone)]
pub(crate) struct TakeDeviceKey {
    /// The one to keep if there is none.
    pub(crate) fresh: DeviceKey,
}

impl Change for TakeDeviceKey {
    type Answer = DeviceKey;
    type Refusal = Infallible;

    fn apply(&self, tables: &mut dyn Tables, _now: Time) -> ChangeResult<Self> {
        const NAME: &str = "device";
        if let Some(key) = tables.key(NAME)? {
            return Ok(Applied::quietly(DeviceKey(key)));
        }
        tables.insert_key(NAME, &self.fresh.0)?;
        Ok(Applied::quietly(self.fresh.clone()))
    }
}

fn person(new: &NewPerson, role: Role) -> Person {
    let NewPerson { id, name, email, .. } = new.clone();
    Person { id, name, email, role, same_name: false, is_active: true }
}
