//! What a store says of others who write to the same database: for a node that must hear of what it has not done itself.

use futures_util::future::BoxFuture;

use super::Read;
use crate::model::{DenialKey, Denied, EventPage, PersonId, RoomId, SessionId, Stand};

/// A right that was taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Revocation {
    /// The session ended.
    Session(SessionId),
    /// The person was a member of the room; by now they may be one again.
    Membership { room: RoomId, person: PersonId, is_back: bool },
    /// The person may do something else on the server.
    Role(PersonId),
    /// Client tokens are refused for something; or no more, which the others have to hear of as well. As it is by now.
    Denial { key: DenialKey, denied: Option<Denied> },
}

impl Revocation {
    pub(super) fn session(&self) -> Option<SessionId> {
        if let Self::Session(session) = self { Some(*session) } else { None }
    }

    pub(super) fn membership(&self) -> (Option<RoomId>, Option<PersonId>) {
        match self {
            Self::Membership { room, person, .. } => (Some(*room), Some(*person)),
            Self::Role(person) => (None, Some(*person)),
            Self::Session(_) | Self::Denial { .. } => (None, None),
        }
    }

    pub(super) fn denial(&self) -> Option<DenialKey> {
        if let Self::Denial { key, .. } = self { Some(*key) } else { None }
    }
}

/// What was taken away behind a number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Revocations {
    /// The last number there is.
    pub(crate) last: u64,
    /// Whether these are all; some may have been forgotten.
    pub(crate) are_complete: bool,
    /// By their numbers, which those of one transaction share.
    pub(crate) these: Vec<(u64, Revocation)>,
}

/// What was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stir {
    /// Somebody else has written, or nobody knows whether we have.
    Changed,
    /// The rooms have new epochs: the database was put back, or another server took its place.
    Renewed,
}

/// A database that others write to as well.
pub(crate) trait Shared: Send + Sync {
    /// Where all rooms stand, and what was taken away behind that number, at one moment.
    fn stands(&self, revoked: u64) -> Read<'_, (Vec<Stand>, Revocations)>;
    /// What happened in a room behind a number, in order, with how far the room is and what was taken away at that moment.
    fn events_after(&self, room: RoomId, number: u64, limit: u32) -> Read<'_, Option<EventPage>>;
    /// What was taken away behind that number.
    fn revocations(&self, after: u64) -> Read<'_, Revocations>;
    /// All that client tokens are refused for.
    fn all_denials(&self) -> Read<'_, Vec<Denied>>;
    /// To be stirred again before long: what is committed could not be told of.
    fn look_again(&self);
    /// Answers when something was noticed; once for each time at least.
    fn stirred(&self) -> BoxFuture<'_, Stir>;
}
