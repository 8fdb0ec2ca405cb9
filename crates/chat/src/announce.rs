//! What the hub is told: sessions that ended, events of rooms in the order of their numbers, who is typing.
//!
//! Called by the writer after each commit, with what each change said must be told.

use std::sync::OnceLock;

use serde::Serialize;
use tidings_hub::{Channel, Hub, Target};
use tidings_protocol::{Disconnect, Payload, Publication, Unsubscribe};

use crate::{
    model::{Event, EventKind, PersonId, RoomId, SessionId, Typing},
    store::Announcements,
};

/// Tells the hub. Until there is one, nobody is listening and the store alone knows.
#[derive(Default)]
pub(crate) struct Announcer {
    hub: OnceLock<Hub>,
}

impl Announcer {
    /// The hub to tell from now on; a second one is not taken.
    pub(crate) fn announce_to(&self, hub: Hub) {
        self.hub.set(hub).ok();
    }

    /// Tells what one change brought.
    ///
    /// The order keeps promise G5. Whoever lost a membership or a session is cut off first, before the event that says so
    /// and before anything that was committed later: the writer commits nothing more until this returns, because a batch
    /// ends with the change that revokes. The other way round, what follows could reach them through the hub.
    /// They learn of it on their own channel, which they keep.
    pub(crate) async fn announce(&self, what: Announcements) {
        let Some(hub) = self.hub.get() else { return };
        for session in what.ended {
            self.end_session(session);
        }
        for event in &what.events {
            let channel = room_channel(event.room);
            if let EventKind::MemberLeft { member } = &event.kind {
                hub.unsubscribe(Target::User(&member.id.to_string()), Some(&channel), &Unsubscribe::SERVER);
            }
            if let Err(error) = hub.announce(&channel, publication(event)).await {
                // It is stored; the hub reads it from there before the next one.
                tracing::warn!(%error, %channel, number = event.number, "an event could not be announced");
            }
        }
        for (person, told) in what.personal {
            hub.publish_ephemeral(&person_channel(person), payload(&told), None);
        }
    }

    pub(crate) fn typing(&self, room: RoomId, typing: &Typing) {
        if let Some(hub) = self.hub.get() {
            hub.publish_ephemeral(&room_channel(room), payload(typing), None);
        }
    }

    pub(crate) fn end_session(&self, session: SessionId) {
        if let Some(hub) = self.hub.get() {
            hub.disconnect(Target::Tag(&session.to_string()), &Disconnect::FORCE_DISCONNECT);
        }
    }
}

/// An event as the room's channel carries it, live and from history.
pub(crate) fn publication(event: &Event) -> Publication {
    Publication {
        data: Some(payload(event)),
        offset: event.number,
        time: event.time.millis(),
        ..Publication::default()
    }
}

fn payload(event: &impl Serialize) -> Payload {
    Payload::from_value(event).expect("events have string keys only")
}

/// `room:<id>`, the channel of a room.
pub(crate) fn room_channel(room: RoomId) -> Channel {
    Channel::parse(&format!("room:{room}")).expect("a room's channel is a channel")
}

/// `user:<id>`, the channel of one person.
pub(crate) fn person_channel(person: PersonId) -> Channel {
    Channel::parse(&format!("user:{person}")).expect("a person's channel is a channel")
}
