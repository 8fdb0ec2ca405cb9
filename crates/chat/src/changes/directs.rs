//! Direct messages are begun: the same people always have the same one.

use std::collections::BTreeSet;

use super::rooms::{gone, record, unknown_person};
use crate::{
    limits::DIRECTS_PER_PERSON_MAX,
    model::{EventKind, NewRoom, PeopleKey, PersonEvent, PersonId, Role, Room, RoomCard, RoomId, RoomRole, Time, Who},
    store::{Applied, Change, ChangeError::Refused, ChangeResult, StoreError, Tables},
};

/// Why a direct message was not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StartDirectRefusal {
    /// One of them does not exist, may not sign in, or is nobody whom a guest knows.
    #[error("no such person")]
    NoSuchPerson,
    /// The person has begun as many as they may.
    #[error("too many direct messages of one person")]
    TooMany,
}

/// The direct message of these people: the one there is, or a new one.
#[derive(Debug, Clone)]
pub(crate) struct StartDirect {
    pub(crate) person: PersonId,
    /// The others; nobody, or the person alone, where one writes to oneself.
    pub(crate) others: BTreeSet<PersonId>,
    pub(crate) room: NewRoom,
}

/// What came of it.
#[derive(Debug, Clone)]
pub(crate) struct Started {
    pub(crate) room: Room,
    /// It was there before.
    pub(crate) existed: bool,
}

impl Change for StartDirect {
    type Answer = Started;
    type Refusal = StartDirectRefusal;

    fn room(&self) -> Option<RoomId> {
        Some(self.room.id)
    }

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        let me = tables.person(self.person)?.ok_or_else(unknown_person)?;
        let mut people = self.others.clone();
        people.insert(me.id);
        let key = PeopleKey::of(&people);
        if let Some(room) = tables.direct_of(key)? {
            return self.existing(tables, room);
        }
        for other in people.iter().filter(|other| **other != me.id) {
            let is_there = tables.person(*other)?.is_some_and(|person| person.is_active);
            if !is_there || (me.role == Role::Guest && !tables.share_a_room(me.id, *other)?) {
                return Err(Refused(StartDirectRefusal::NoSuchPerson));
            }
        }
        if tables.count_directs_of(me.id)? >= DIRECTS_PER_PERSON_MAX {
            return Err(Refused(StartDirectRefusal::TooMany));
        }
        if !tables.insert_direct(&self.room, key, me.id, now)? {
            // Another of them has begun it at the same moment.
            let room = tables.direct_of(key)?.ok_or_else(gone)?;
            return self.existing(tables, room);
        }
        let kind = EventKind::RoomCreated { member: Who::from(&me) };
        let created = record(tables, self.room.id, kind, me.id, me.id, now)?;
        for person in &people {
            tables.insert_member(self.room.id, *person, RoomRole::Member, created.number, now)?;
        }
        let as_seen_by = |person| tables.room(self.room.id, person)?.ok_or_else(gone);
        let cards = people.iter().map(|person| Ok((*person, as_seen_by(*person)?)));
        let cards = cards.collect::<Result<Vec<_>, StoreError>>()?;
        let room = cards.iter().find(|(person, _)| *person == me.id).map(|(_, room)| room.clone()).ok_or_else(gone)?;
        let applied = Applied::happened(Started { room, existed: false }, created);
        Ok(cards.into_iter().fold(applied, |applied, (person, room)| {
            applied.telling(person, PersonEvent::RoomAdded { room: Box::new(RoomCard::from(&room)) })
        }))
    }
}

impl StartDirect {
    fn existing(&self, tables: &dyn Tables, room: RoomId) -> ChangeResult<Self> {
        let room = tables.room(room, self.person)?.ok_or_else(gone)?;
        Ok(Applied::quietly(Started { room, existed: true }))
    }
}
