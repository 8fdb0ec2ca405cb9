//! Rooms are made, joined and left, and who may manage one.

use crate::{
    limits::{INVITE_LIFETIME, INVITE_USES_MAX, ROOMS_FOR_ADMINS, ROOMS_MAX, ROOMS_PER_PERSON_MAX},
    model::{
        Code, Event, EventKind, Invite, NewRoom, Person, PersonEvent, PersonId, Reading, Role, Room, RoomCard, RoomId,
        RoomReference, Time, Who,
    },
    store::{
        Applied, Change,
        ChangeError::{self, Refused},
        ChangeResult, StoreError, Tables,
    },
};

/// There is no such room, or the person is not a member: the same answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a member of the room")]
pub(crate) struct NotMember;

/// Why a room was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CreateRoomRefusal {
    /// The server has as many rooms as the person may add to.
    #[error("too many rooms")]
    TooManyRooms,
    /// The person has made as many as they may.
    #[error("too many rooms of one person")]
    TooManyOfPerson,
    /// A room that the person sees has this name.
    #[error("a room has this name")]
    NameTaken,
}

/// Why somebody may not manage a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ManageRefusal {
    /// As [`NotMember`].
    #[error("not a member of the room")]
    NotMember,
    /// A member, but neither the room's creator nor an administrator.
    #[error("only the room's creator or an administrator may do this")]
    NotAllowed,
}

/// A new room, its creator in it.
#[derive(Debug, Clone)]
pub(crate) struct CreateRoom {
    pub(crate) person: PersonId,
    pub(crate) room: NewRoom,
    /// The code of its invite.
    pub(crate) invite: Code,
}

impl Change for CreateRoom {
    type Answer = Room;
    type Refusal = CreateRoomRefusal;

    fn room(&self) -> Option<RoomId> {
        Some(self.room.id)
    }

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        let creator = tables.person(self.person)?.ok_or_else(unknown_person)?;
        let is_admin = creator.role == Role::Admin;
        // Nobody but an administrator can use up the last ones, however many accounts they have.
        let rooms_max = if is_admin { ROOMS_MAX } else { ROOMS_MAX - ROOMS_FOR_ADMINS };
        if tables.count_rooms()? >= rooms_max {
            return Err(Refused(CreateRoomRefusal::TooManyRooms));
        }
        if !is_admin && tables.count_rooms_of(self.person)? >= ROOMS_PER_PERSON_MAX {
            return Err(Refused(CreateRoomRefusal::TooManyOfPerson));
        }
        if tables.has_room_named(&self.room.name.folded(), self.person)? {
            return Err(Refused(CreateRoomRefusal::NameTaken));
        }
        let (room, _, created) = make_room(tables, &creator, &self.room, &self.invite, now)?;
        Ok(room_added(self.person, room, created))
    }
}

/// Everybody may see the room and come in, or its members alone.
#[cfg(any(test, feature = "test-kit"))]
#[derive(Debug, Clone)]
pub(crate) struct SetOpen {
    pub(crate) room: RoomId,
    pub(crate) is_open: bool,
}

#[cfg(any(test, feature = "test-kit"))]
impl Change for SetOpen {
    type Answer = ();
    type Refusal = std::convert::Infallible;

    fn room(&self) -> Option<RoomId> {
        Some(self.room)
    }

    fn apply(&self, tables: &mut dyn Tables, _now: Time) -> ChangeResult<Self> {
        tables.set_room_open(self.room, self.is_open)?;
        Ok(Applied::quietly(()))
    }
}

/// The person becomes a member; nothing happens if they are. Every room is open.
#[derive(Debug, Clone)]
pub(crate) struct Join {
    pub(crate) person: PersonId,
    pub(crate) room: RoomId,
}

impl Change for Join {
    type Answer = Room;
    type Refusal = NotMember;

    fn room(&self) -> Option<RoomId> {
        Some(self.room)
    }

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        let room = tables.room(self.room, self.person)?.filter(Room::is_seen).ok_or(Refused(NotMember))?;
        if room.is_member {
            return Ok(Applied::quietly(room));
        }
        let person = tables.person(self.person)?.ok_or_else(unknown_person)?;
        let (room, joined) = enter(tables, &person, room, now)?;
        Ok(room_added(self.person, room, joined))
    }
}

/// The person is no longer a member.
#[derive(Debug, Clone)]
pub(crate) struct Leave {
    pub(crate) person: PersonId,
    pub(crate) room: RoomId,
}

impl Change for Leave {
    type Answer = ();
    type Refusal = NotMember;

    fn room(&self) -> Option<RoomId> {
        Some(self.room)
    }

    fn revokes(&self) -> bool {
        true
    }

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        let leaver = tables.member(self.room, self.person)?.ok_or(Refused(NotMember))?;
        Ok(go_out(tables, self.room, leaver, self.person, now)?)
    }
}

/// Somebody else takes the membership away.
#[derive(Debug, Clone)]
pub(crate) struct Remove {
    /// Must be the creator, while a member, or an administrator.
    pub(crate) by: PersonId,
    /// An administrator is removed by another one only.
    pub(crate) person: PersonId,
    pub(crate) room: RoomId,
}

impl Change for Remove {
    type Answer = ();
    type Refusal = ManageRefusal;

    fn room(&self) -> Option<RoomId> {
        Some(self.room)
    }

    fn revokes(&self) -> bool {
        true
    }

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        let by = may_manage(tables, self.by, self.room)?;
        let leaver = tables.member(self.room, self.person)?.ok_or(Refused(ManageRefusal::NotMember))?;
        let is_admin = tables.person(self.person)?.is_some_and(|person| person.role == Role::Admin);
        if is_admin && by.role != Role::Admin {
            return Err(Refused(ManageRefusal::NotAllowed));
        }
        Ok(go_out(tables, self.room, leaver, self.by, now)?)
    }
}

/// Administrators may, and the room's creator while a member; another member is told that they may not, everybody else
/// nothing. A creator who was removed may join again, as everybody may, and then manages the room again.
pub(super) fn may_manage(
    tables: &dyn Tables,
    person: PersonId,
    room: RoomId,
) -> Result<Person, ChangeError<ManageRefusal>> {
    let room = tables.room(room, person)?.filter(Room::is_seen);
    let (Some(person), Some(room)) = (tables.person(person)?, room) else {
        return Err(Refused(ManageRefusal::NotMember));
    };
    if person.role == Role::Admin || (room.is_member && room.creator == person.id) {
        Ok(person)
    } else if room.is_member {
        Err(Refused(ManageRefusal::NotAllowed))
    } else {
        Err(Refused(ManageRefusal::NotMember))
    }
}

/// A new room with its first event, its first member and its invite: reading that later makes none (S45).
pub(super) fn make_room(
    tables: &mut dyn Tables,
    creator: &Person,
    new: &NewRoom,
    invite: &Code,
    now: Time,
) -> Result<(Room, Invite, Event), StoreError> {
    tables.insert_room(new, creator.id, now)?;
    let kind = EventKind::RoomCreated { member: creator.into() };
    let created = record(tables, new.id, kind, creator.id, creator.id, now)?;
    tables.insert_member(new.id, creator.id, created.number, now)?;
    let invite = make_invite(tables, creator.id, new.id, invite, now)?;
    let room = tables.room(new.id, creator.id)?.ok_or_else(|| StoreError::Failed("a room is gone".into()))?;
    Ok((room, invite, created))
}

/// A room has one invite, good or dead: what was there before would never be looked at again.
pub(super) fn make_invite(
    tables: &mut dyn Tables,
    inviter: PersonId,
    room: RoomId,
    code: &Code,
    now: Time,
) -> Result<Invite, StoreError> {
    let expires = now.plus(INVITE_LIFETIME);
    let invite = Invite { code: code.clone(), room, created: now, expires, uses_max: INVITE_USES_MAX, uses: 0 };
    tables.replace_invite(inviter, &invite)?;
    Ok(invite)
}

/// Makes somebody a member who is none.
pub(super) fn enter(
    tables: &mut dyn Tables,
    person: &Person,
    room: Room,
    now: Time,
) -> Result<(Room, Event), StoreError> {
    let kind = EventKind::MemberJoined { member: person.into() };
    let joined = record(tables, room.id, kind, person.id, person.id, now)?;
    // What was said before is there to be read, and asks for nothing.
    tables.insert_member(room.id, person.id, joined.number, now)?;
    let reading = Some(Reading::nothing_behind(joined.number));
    let room = Room { offset: joined.number, members: room.members + 1, is_member: true, reading, ..room };
    Ok((room, joined))
}

/// Somebody is in a room now; their other devices are told.
pub(super) fn room_added(person: PersonId, room: Room, event: Event) -> Applied<Room> {
    let added = PersonEvent::RoomAdded { room: RoomCard::from(&room) };
    Applied::happened(room, event).telling(person, added)
}

fn go_out(
    tables: &mut dyn Tables,
    room: RoomId,
    leaver: Who,
    by: PersonId,
    now: Time,
) -> Result<Applied<()>, StoreError> {
    let person = leaver.id;
    tables.delete_member(room, person)?;
    let left = record(tables, room, EventKind::MemberLeft { member: leaver }, by, person, now)?;
    let removed = PersonEvent::RoomRemoved { room: RoomReference { id: room } };
    Ok(Applied::happened((), left).telling(person, removed))
}

/// Writes down what happened, under the room's next number.
fn record(
    tables: &mut dyn Tables,
    room: RoomId,
    kind: EventKind,
    actor: PersonId,
    subject: PersonId,
    now: Time,
) -> Result<Event, StoreError> {
    let event = Event { room, number: tables.next_number(room)?, time: now, kind };
    tables.insert_event(&event, actor, subject)?;
    Ok(event)
}

/// Accounts are never removed, so whoever asks for something has one.
pub(super) fn unknown_person() -> StoreError {
    StoreError::Failed("a person without an account".into())
}
