//! How far somebody has read their rooms.

use std::convert::Infallible;

use super::rooms::NotMember;
use crate::{
    model::{Move, PersonEvent, PersonId, Reading, RoomId, RoomReading, Time},
    store::{Applied, Change, ChangeError::Refused, ChangeResult, Tables},
};

/// A member has read a room, or wants to have read less of it.
// By no room's way, although it concerns one: it takes no number, and whoever posts there need not wait for it.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    pub(crate) person: PersonId,
    pub(crate) room: RoomId,
    pub(crate) to: Move,
}

impl Change for Read {
    type Answer = RoomReading;
    type Refusal = NotMember;

    fn apply(&self, tables: &mut dyn Tables, _now: Time) -> ChangeResult<Self> {
        let (read, offset) = tables.read_position(self.room, self.person)?.ok_or(Refused(NotMember))?;
        let number = self.to.from(read, offset);
        let reading = tables.reading(self.room, self.person, number)?;
        let answer = RoomReading { id: self.room, offset, reading };
        if number == read {
            return Ok(Applied::quietly(answer));
        }
        tables.set_read_position(self.room, self.person, number)?;
        Ok(Applied::quietly(answer).telling(self.person, PersonEvent::Read { room: answer }))
    }
}

/// A member has read all of their rooms, and the threads that they follow there. Answers those that they had not read before.
#[derive(Debug, Clone)]
pub(crate) struct ReadAll {
    pub(crate) person: PersonId,
}

impl Change for ReadAll {
    type Answer = Vec<RoomReading>;
    type Refusal = Infallible;

    fn apply(&self, tables: &mut dyn Tables, _now: Time) -> ChangeResult<Self> {
        let read = tables.read_everything(self.person)?.into_iter();
        let rooms: Vec<_> =
            read.map(|(id, offset)| RoomReading { id, offset, reading: Reading::nothing_behind(offset) }).collect();
        let told =
            |applied: Applied<_>, room: &RoomReading| applied.telling(self.person, PersonEvent::Read { room: *room });
        let applied = rooms.iter().fold(Applied::quietly(rooms.clone()), told);
        let threads = tables.read_every_thread(self.person)?;
        Ok(if threads > 0 { applied.telling(self.person, PersonEvent::ThreadsRead) } else { applied })
    }
}
