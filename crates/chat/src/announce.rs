//! What the hub is told: events of rooms in the order of their numbers, whom to cut off, who is typing.
//!
//! Called by the writer after each commit. Whoever lost a membership is unsubscribed before anything that was committed
//! later is announced, and a batch ends with the change that revokes, so nothing later reaches them (promise G5).

use std::sync::OnceLock;

use tidings_hub::{ChannelName, Hub, NewPublication, Order, Target};
use tidings_protocol::{Disconnect, Payload, Unsubscribe};

use crate::{
    events::{Event, EventKind, PersonEvent, RoomCard, RoomReference, Typing},
    ids::{PersonId, RoomId, SessionId},
    store::{Applied, Outcome},
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

    pub(crate) async fn announce(&self, applied: &Applied) {
        let Some(hub) = self.hub.get() else { return };
        for session in &applied.ended {
            self.end_session(*session).await;
        }
        for event in &applied.events {
            let channel = room_channel(event.room);
            if let EventKind::MemberLeft { member } = &event.kind {
                let member = Target::User(member.id.to_string());
                hub.order(Order::unsubscribe(member, Some(channel.clone()), Unsubscribe::SERVER)).await;
            }
            hub.announce(&channel, event.publication());
            if let Some((person, told)) = for_the_person(event, &applied.outcome) {
                tell(hub, &person_channel(person), told.payload()).await;
            }
        }
    }

    pub(crate) async fn typing(&self, room: RoomId, typing: &Typing) {
        if let Some(hub) = self.hub.get() {
            tell(hub, &room_channel(room), typing.payload()).await;
        }
    }

    pub(crate) async fn end_session(&self, session: SessionId) {
        if let Some(hub) = self.hub.get() {
            let session = Target::Tag(session.to_string());
            hub.order(Order::disconnect(session, Disconnect::FORCE_DISCONNECT)).await;
        }
    }
}

/// Tells those who are there now (promise G8).
async fn tell(hub: &Hub, channel: &ChannelName, what: Payload) {
    if let Err(error) = hub.publish(channel, NewPublication::ephemeral(what)).await {
        tracing::debug!(%error, %channel, "a notice was not passed on");
    }
}

/// What one person is told on their own channel, so that their other devices know.
fn for_the_person(event: &Event, outcome: &Outcome) -> Option<(PersonId, PersonEvent)> {
    match (&event.kind, outcome) {
        (EventKind::RoomCreated { member } | EventKind::MemberJoined { member }, Outcome::Room(room)) => {
            Some((member.id, PersonEvent::RoomAdded { room: RoomCard::from(room) }))
        }
        (EventKind::MemberLeft { member }, _) => {
            Some((member.id, PersonEvent::RoomRemoved { room: RoomReference { id: event.room } }))
        }
        _ => None,
    }
}

/// `room:<id>`, the channel of a room.
pub(crate) fn room_channel(room: RoomId) -> ChannelName {
    ChannelName::parse(&format!("room:{room}")).expect("a room's channel is a channel")
}

/// `user:<id>`, the channel of one person.
pub(crate) fn person_channel(person: PersonId) -> ChannelName {
    ChannelName::parse(&format!("user:{person}")).expect("a person's channel is a channel")
}
