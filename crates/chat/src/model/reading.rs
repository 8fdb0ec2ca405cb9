//! How far somebody has read a room.

use serde::Serialize;

use super::ids::RoomId;

/// How far a member has read a room, and what waits for them there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// The number of the last event that they have read.
    pub read: u64,
    /// How many messages of others stand behind it: at most
    /// [`UNREAD_COUNTED_MAX`](crate::limits::UNREAD_COUNTED_MAX), which is "so many or more".
    pub unread: u32,
    /// How many of them mention this person.
    pub mentions: u32,
}

impl Reading {
    /// Of somebody who has read everything.
    pub(crate) fn nothing_behind(number: u64) -> Self {
        Self { read: number, unread: 0, mentions: 0 }
    }
}

/// The same with its room, as it was when the room's last event had the number `offset`. Its fields are named as in
/// [`RoomCard`](super::RoomCard).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RoomReading {
    /// Which room.
    pub id: RoomId,
    /// The number of its last event.
    pub offset: u64,
    /// How far it was read.
    #[serde(flatten)]
    pub reading: Reading,
}

/// Where somebody is to have read a room up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// At least up to this number: of two devices that say so, the one that is further wins.
    Forward(u64),
    /// Up to this number and no further: what comes after it is unread again.
    To(u64),
}

impl Move {
    /// Where it leads somebody who has read up to `read` of a room with `last` events. Beyond the newest there is nothing to be
    /// read: a client that has seen more has seen it before the database was put back.
    pub(crate) fn from(self, read: u64, last: u64) -> u64 {
        match self {
            Self::Forward(number) => number.min(last).max(read),
            Self::To(number) => number.min(last),
        }
    }
}
