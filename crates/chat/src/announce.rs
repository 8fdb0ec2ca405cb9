//! What the hub is told: sessions that ended, events of rooms in the order of their numbers, who is typing.
//!
//! Called by the writer after each commit, with what each change said must be told.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use serde::Serialize;
use tidings_hub::{ChannelName, Hub, NewPublication, Order, Target};
use tidings_protocol::{Disconnect, Payload, Publication, Unsubscribe};

use crate::{
    model::{Event, EventKind, PersonId, RoomId, SessionId, Typing},
    store::Announcements,
};

/// Tells the hub. Until there is one, nobody is listening and the store alone knows.
#[derive(Default)]
pub(crate) struct Announcer {
    hub: OnceLock<Hub>,
    /// Sessions that it was told have ended, as long as looks for such sessions find them.
    ended: Mutex<HashSet<SessionId>>,
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
            self.end_session(session).await;
        }
        for event in &what.events {
            let channel = room_channel(event.room);
            if let EventKind::MemberLeft { member } = &event.kind {
                let member = Target::User(member.id.to_string());
                hub.order(Order::unsubscribe(member, Some(channel.clone()), Unsubscribe::SERVER)).await;
            }
            if hub.has_subscribers(&channel) {
                hub.announce(&channel, publication(event));
            }
        }
        for (person, told) in what.personal {
            tell(hub, &person_channel(person), payload(&told)).await;
        }
    }

    pub(crate) async fn typing(&self, room: RoomId, typing: &Typing) {
        if let Some(hub) = self.hub.get() {
            tell(hub, &room_channel(room), payload(typing)).await;
        }
    }

    pub(crate) async fn end_session(&self, session: SessionId) {
        if let Some(hub) = self.hub.get() {
            let tag = Target::Tag(session.to_string());
            hub.order(Order::disconnect(tag, Disconnect::FORCE_DISCONNECT)).await;
            self.ended().insert(session);
        }
    }

    /// Of the sessions that a look has found to have ended, those that the hub was not told of. What is found no more is
    /// forgotten.
    pub(crate) fn not_told_of(&self, found: Vec<SessionId>) -> Vec<SessionId> {
        let mut found: HashSet<_> = found.into_iter().collect();
        self.ended().retain(|told| found.remove(told));
        found.into_iter().collect()
    }

    fn ended(&self) -> MutexGuard<'_, HashSet<SessionId>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells those who are there now (promise G8).
async fn tell(hub: &Hub, channel: &ChannelName, what: Payload) {
    if let Err(error) = hub.publish(channel, NewPublication::ephemeral(what)).await {
        tracing::debug!(%error, %channel, "a notice was not passed on");
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
    Payload::from_own(event).expect("events have string keys only")
}

/// `room:<id>`, the channel of a room.
pub(crate) fn room_channel(room: RoomId) -> ChannelName {
    ChannelName::parse(&format!("room:{room}")).expect("a room's channel is a channel")
}

/// `user:<id>`, the channel of one person.
pub(crate) fn person_channel(person: PersonId) -> ChannelName {
    ChannelName::parse(&format!("user:{person}")).expect("a person's channel is a channel")
}
