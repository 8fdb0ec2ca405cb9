//! Rooms are made, changed, joined and left, and who may manage one.

use crate::{
    limits::{INVITE_LIFETIME, INVITE_USES_MAX, ROOMS_FOR_ADMINS, ROOMS_MAX, ROOMS_PER_PERSON_MAX},
    model::{
        Code, Event, EventKind, Invite, NewRoom, Person, PersonEvent, PersonId, Preferences, Reading, Role, Room,
        RoomCard, RoomEdit, RoomFacts, RoomId, RoomKind, RoomReference, RoomRole, Time, Who,
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
    /// They are a guest.
    #[error("guests make no rooms")]
    IsGuest,
}

/// Why somebody did not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LeaveRefusal {
    /// As [`NotMember`].
    #[error("not a member of the room")]
    NotMember,
    /// Nobody leaves a direct message.
    #[error("a direct message is not left")]
    IsDirect,
}

/// Why somebody may not manage a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ManageRefusal {
    /// As [`NotMember`].
    #[error("not a member of the room")]
    NotMember,
    /// A member, but neither an owner of the room nor an administrator.
    #[error("only an owner of the room or an administrator may do this")]
    NotAllowed,
    /// Nobody manages a direct message.
    #[error("a direct message stays as it is")]
    IsDirect,
}

/// Why a room was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EditRoomRefusal {
    /// The person may not.
    #[error(transparent)]
    Manage(#[from] ManageRefusal),
    /// Another room that they see has the name.
    #[error("a room has this name")]
    NameTaken,
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
        if creator.role == Role::Guest {
            return Err(Refused(CreateRoomRefusal::IsGuest));
        }
        let is_admin = creator.role.is_admin();
        // Nobody but an administrator can use up the last ones, however many accounts they have.
        let rooms_max = if is_admin { ROOMS_MAX } else { ROOMS_MAX - ROOMS_FOR_ADMINS };
        if tables.count_rooms()? >= rooms_max {
            return Err(Refused(CreateRoomRefusal::TooManyRooms));
        }
        if !is_admin && tables.count_rooms_of(self.person)? >= ROOMS_PER_PERSON_MAX {
            return Err(Refused(CreateRoomRefusal::TooManyOfPerson));
        }
        if tables.has_room_named(&self.room.name.folded(), self.person, self.room.id)? {
            return Err(Refused(CreateRoomRefusal::NameTaken));
        }
        let (room, _, created) = make_room(tables, &creator, &self.room, &self.invite, now)?;
        Ok(room_added(self.person, room, created))
    }
}

/// A room gets another name, another description or another kind, or is archived or restored.
#[derive(Debug, Clone)]
pub(crate) struct EditRoom {
    /// Must manage it.
    pub(crate) person: PersonId,
    pub(crate) room: RoomId,
    pub(crate) edit: RoomEdit,
}

impl Change for EditRoom {
    type Answer = Room;
    type Refusal = EditRoomRefusal;

    fn room(&self) -> Option<RoomId> {
        Some(self.room)
    }

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        let (by, room) = managed(tables, self.person, self.room)?.map_err(|refusal| Refused(refusal.into()))?;
        // A direct message never becomes a room, nor a room one (S39).
        if self.edit.kind == Some(RoomKind::Direct) {
            return Err(Refused(ManageRefusal::IsDirect.into()));
        }
        let before = RoomFacts::from(&room);
        let after = self.edited(&before, now);
        let is_opened = before.kind != after.kind && after.kind == RoomKind::Public;
        // What was said among a few is opened by whom they chose, and not by who looks after the server (S39).
        if is_opened && room.role != Some(RoomRole::Owner) {
            return Err(Refused(ManageRefusal::NotAllowed.into()));
        }
        // Nobody outside looks after a private room, so somebody inside has to.
        let is_closed = before.kind != after.kind && after.kind == RoomKind::Private;
        let heir = if is_closed && tables.owners(self.room)?.is_empty() {
            Some(tables.oldest_member(self.room)?.ok_or_else(|| Refused(ManageRefusal::NotAllowed.into()))?)
        } else {
            None
        };
        // Whoever opens a room shows its name to everybody.
        if before.name != after.name || is_opened {
            tables.count_rooms()?;
            if tables.has_room_named(&after.name.folded(), self.person, self.room)? {
                return Err(Refused(EditRoomRefusal::NameTaken));
            }
        }
        if before == after {
            return Ok(Applied::quietly(room));
        }
        tables.set_room(self.room, &after)?;
        if is_closed {
            // Its link got about while everybody was welcome.
            tables.revoke_invite(self.room, now)?;
        }
        let member = Who::from(&by);
        let mut applied = Applied::quietly(Room {
            name: after.name.clone(),
            topic: after.topic.clone(),
            description: after.description.clone(),
            kind: after.kind,
            archived: after.archived,
            is_open: after.kind == RoomKind::Public,
            ..room
        });
        for kind in what_changed(&before, &after, &member) {
            let event = record(tables, self.room, kind, by.id, by.id, now)?;
            applied.answer.offset = event.number;
            applied.announcements.events.push(event);
        }
        if let Some(heir) = heir {
            let event = promoted(tables, self.room, heir, now)?;
            applied.answer.offset = event.number;
            applied.announcements.events.push(event);
        }
        Ok(applied)
    }
}

/// Somebody owns the room because nobody else does.
fn promoted(tables: &mut dyn Tables, room: RoomId, heir: Who, now: Time) -> Result<Event, StoreError> {
    tables.set_room_role(room, heir.id, RoomRole::Owner)?;
    let id = heir.id;
    record(tables, room, EventKind::MemberPromoted { member: heir, by: None }, id, id, now)
}

impl EditRoom {
    fn edited(&self, before: &RoomFacts, now: Time) -> RoomFacts {
        let RoomEdit { name, topic, description, kind, is_archived } = self.edit.clone();
        RoomFacts {
            name: name.unwrap_or_else(|| before.name.clone()),
            topic: topic.unwrap_or_else(|| before.topic.clone()),
            description: description.unwrap_or_else(|| before.description.clone()),
            kind: kind.unwrap_or(before.kind),
            archived: match is_archived {
                Some(true) => before.archived.or(Some(now)),
                Some(false) => None,
                None => before.archived,
            },
        }
    }
}

/// An event for each thing that everybody should be able to see who did.
fn what_changed(before: &RoomFacts, after: &RoomFacts, by: &Who) -> Vec<EventKind> {
    let mut kinds = Vec::new();
    let both = || (by.clone(), after.clone());
    if before.name != after.name {
        let (member, room) = both();
        kinds.push(EventKind::RoomRenamed { member, room });
    }
    if before.topic != after.topic || before.description != after.description {
        let (member, room) = both();
        kinds.push(EventKind::RoomDescribed { member, room });
    }
    if before.kind != after.kind {
        let (member, room) = both();
        kinds.push(match room.kind {
            RoomKind::Public => EventKind::RoomOpened { member, room },
            RoomKind::Private | RoomKind::Direct => EventKind::RoomClosed { member, room },
        });
    }
    if before.archived != after.archived {
        let (member, room) = both();
        kinds.push(match room.archived {
            Some(_) => EventKind::RoomArchived { member, room },
            None => EventKind::RoomRestored { member, room },
        });
    }
    kinds
}

/// The person becomes a member of a room that is open to them; nothing happens if they are one.
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
        if room.is_member() {
            return Ok(Applied::quietly(room));
        }
        let person = tables.person(self.person)?.ok_or_else(unknown_person)?;
        let (room, joined) = enter(tables, &person, None, room, now)?;
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
    type Refusal = LeaveRefusal;

    fn room(&self) -> Option<RoomId> {
        Some(self.room)
    }

    fn revokes(&self) -> bool {
        true
    }

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        let room =
            tables.room(self.room, self.person)?.filter(Room::is_member).ok_or(Refused(LeaveRefusal::NotMember))?;
        if room.kind == RoomKind::Direct {
            return Err(Refused(LeaveRefusal::IsDirect));
        }
        let leaver = tables.member(self.room, self.person)?.ok_or(Refused(LeaveRefusal::NotMember))?;
        Ok(go_out(tables, &room, leaver, None, now)?)
    }
}

/// Somebody else takes the membership away.
#[derive(Debug, Clone)]
pub(crate) struct Remove {
    /// Must manage it.
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
        let (by, room) = managed(tables, self.by, self.room)?.map_err(Refused)?;
        let leaver = tables.member(self.room, self.person)?.ok_or(Refused(ManageRefusal::NotMember))?;
        let is_admin = tables.person(self.person)?.is_some_and(|person| person.role.is_admin());
        if is_admin && !by.role.is_admin() {
            return Err(Refused(ManageRefusal::NotAllowed));
        }
        Ok(go_out(tables, &room, leaver, Some(&by), now)?)
    }
}

/// Whether the person may do in the room what members may not. Its owners may, and administrators: in public rooms, whether or
/// not they are in, and in private ones that they are in. In a direct message nobody may, and guests nowhere.
pub(crate) fn manages(room: &Room, person: &Person) -> bool {
    match room.kind {
        RoomKind::Direct => false,
        _ if person.role == Role::Guest => false,
        _ if room.role == Some(RoomRole::Owner) => true,
        RoomKind::Public => person.role.is_admin(),
        RoomKind::Private => person.role.is_admin() && room.is_member(),
    }
}

/// The person and the room that they manage; another member is told that they may not, everybody else nothing.
pub(super) fn managed(
    tables: &dyn Tables,
    person: PersonId,
    room: RoomId,
) -> Result<Result<(Person, Room), ManageRefusal>, StoreError> {
    let room = tables.room(room, person)?.filter(Room::is_seen);
    let (Some(person), Some(room)) = (tables.person(person)?, room) else {
        return Ok(Err(ManageRefusal::NotMember));
    };
    Ok(if manages(&room, &person) {
        Ok((person, room))
    } else if !room.is_member() {
        Err(ManageRefusal::NotMember)
    } else if room.kind == RoomKind::Direct {
        Err(ManageRefusal::IsDirect)
    } else {
        Err(ManageRefusal::NotAllowed)
    })
}

/// As [`managed`], for whoever needs to know that alone.
pub(super) fn may_manage(
    tables: &dyn Tables,
    person: PersonId,
    room: RoomId,
) -> Result<Person, ChangeError<ManageRefusal>> {
    managed(tables, person, room)?.map(|(person, _)| person).map_err(Refused)
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
    tables.insert_member(new.id, creator.id, RoomRole::Owner, created.number, now)?;
    let invite = make_invite(tables, creator.id, new.id, invite, now)?;
    let room = tables.room(new.id, creator.id)?.ok_or_else(gone)?;
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

/// Makes somebody a member who is none, and who sees the room like that.
pub(super) fn enter(
    tables: &mut dyn Tables,
    person: &Person,
    by: Option<&Person>,
    room: Room,
    now: Time,
) -> Result<(Room, Event), StoreError> {
    let kind = EventKind::MemberJoined { member: person.into(), by: by.map(Who::from) };
    let joined = record(tables, room.id, kind, by.unwrap_or(person).id, person.id, now)?;
    // What was said before is there to be read, and asks for nothing.
    tables.insert_member(room.id, person.id, RoomRole::Member, joined.number, now)?;
    let (role, reading) = (Some(RoomRole::Member), Some(Reading::nothing_behind(joined.number)));
    let preferences = Some(Preferences::default());
    let room = Room { offset: joined.number, members: room.members + 1, role, reading, preferences, ..room };
    Ok((room, joined))
}

/// Somebody is in a room now; their other devices are told.
pub(super) fn room_added(person: PersonId, room: Room, event: Event) -> Applied<Room> {
    let added = PersonEvent::RoomAdded { room: Box::new(RoomCard::from(&room)) };
    Applied::happened(room, event).telling(person, added)
}

/// Somebody is no member any more, by themselves or by somebody else. A private room, which nobody outside looks after, gets
/// an owner in the place of the last one: whoever has been in it for longest.
fn go_out(
    tables: &mut dyn Tables,
    room: &Room,
    leaver: Who,
    by: Option<&Person>,
    now: Time,
) -> Result<Applied<()>, StoreError> {
    let (id, person) = (room.id, leaver.id);
    let was_owner = tables.room_role(id, person)? == Some(RoomRole::Owner);
    tables.delete_member(id, person)?;
    let actor = by.map_or(person, |by| by.id);
    let kind = EventKind::MemberLeft { member: leaver, by: by.map(Who::from).filter(|by| by.id != person) };
    let left = record(tables, id, kind, actor, person, now)?;
    let removed = PersonEvent::RoomRemoved { room: RoomReference { id } };
    let mut applied = Applied::happened((), left).telling(person, removed);
    if was_owner
        && room.kind == RoomKind::Private
        && tables.owners(id)?.is_empty()
        && let Some(heir) = tables.oldest_member(id)?
    {
        applied.announcements.events.push(promoted(tables, id, heir, now)?);
    }
    // Whoever was removed has seen its link, and the last one out leaves nobody to let others in.
    if room.kind == RoomKind::Private && (by.is_some() || room.members <= 1) {
        tables.revoke_invite(id, now)?;
    }
    Ok(applied)
}

/// Writes down what happened, under the room's next number.
pub(super) fn record(
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

/// Rooms are never removed either.
pub(super) fn gone() -> StoreError {
    StoreError::Failed("a room is gone".into())
}

/// Accounts are never removed, so whoever asks for something has one.
pub(super) fn unknown_person() -> StoreError {
    StoreError::Failed("a person without an account".into())
}
