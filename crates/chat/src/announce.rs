//! What the writer tells the hub: events of rooms in the order of their numbers, and whom to cut off.

use crate::{
    events::Typing,
    ids::{RoomId, SessionId},
    store::Applied,
};

/// Tells the hub.
#[derive(Debug, Default)]
pub(crate) struct Announcer {}

impl Announcer {
    pub(crate) async fn announce(&self, _applied: &Applied) {}
    pub(crate) fn typing(&self, _room: RoomId, _typing: &Typing) {}
    pub(crate) fn end_session(&self, _session: SessionId) {}
}
