//! What the hub is told: sessions that ended, events of rooms in the order of their numbers, who is typing.
//!
//! Called by the writer after each commit, with what each change said must be told.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use serde::Serialize;
use tidings_hub::{ChannelName, Hub, NewPublication, Order, Target};
use tidings_protocol::{Disconnect, Payload, Publication, Unsubscribe};

use crate::{
    denials::Denials,
    limits::HERE_TOLD_MAX,
    model::{Changed, DenialKey, Denied, Event, EventKind, PersonEvent, PersonId, RoomId, SessionId, Typing},
    presence,
    store::Announcements,
};

/// Who is told of what is committed.
pub(crate) trait Audience: Send + Sync {
    /// Tells the room of an event. Whoever lost something by it, or before it, was cut off.
    fn announce_event(&self, event: &Event) -> impl Future<Output = ()> + Send;
    /// Tells persons what concerns them alone.
    fn tell_persons(&self, what: Vec<(PersonId, PersonEvent)>) -> impl Future<Output = ()> + Send;
    /// Tells the rooms of people whose profile changed.
    fn tell_of_profiles(&self, what: Vec<Changed>) -> impl Future<Output = ()> + Send;
    /// Whether anybody here hears what is told in the room, or is about to.
    fn is_heard(&self, room: RoomId) -> impl Future<Output = bool> + Send;
    /// The session is over: its connections are closed.
    fn end_session(&self, session: SessionId) -> impl Future<Output = ()> + Send;
    /// The person may do something else: their connections begin anew, and are asked again who they are.
    fn connect_person_again(&self, person: PersonId) -> impl Future<Output = ()> + Send;
    /// Somebody is no longer a member: from now on the room tells them nothing. If they have come back since, their client
    /// subscribes again by itself.
    fn cut_off(&self, room: RoomId, person: PersonId, is_back: bool) -> impl Future<Output = ()> + Send;
    /// Client tokens are refused for this from now on, or no more: connections of theirs end.
    fn deny(&self, key: DenialKey, denied: Option<Denied>) -> impl Future<Output = ()> + Send;
    /// Client tokens are refused for these, and for nothing else.
    fn deny_only(&self, all: Vec<Denied>);
    /// Whoever is connected connects again, and is asked anew who they are.
    fn connect_again(&self) -> impl Future<Output = ()> + Send;
    /// The rooms' streams are others than before: whoever is subscribed begins again.
    fn start_again(&self) -> impl Future<Output = ()> + Send;
}

/// Tells the hub. Until there is one, nobody is listening and the store alone knows.
#[derive(Default)]
pub(crate) struct Announcer {
    hub: OnceLock<Hub>,
    /// Sessions that it was told have ended, as long as looks for such sessions find them.
    ended: Mutex<HashSet<SessionId>>,
    denials: Denials,
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
        for (key, denied) in what.denied {
            self.deny(key, denied).await;
        }
        if self.hub.get().is_none() {
            return;
        }
        for session in what.ended {
            self.end_session(session).await;
        }
        // What they learn of themselves they learn before they are sent away, or never.
        let (told_first, told_last) =
            if what.connecting_again.is_empty() { (Vec::new(), what.personal) } else { (what.personal, Vec::new()) };
        self.tell_persons(told_first).await;
        for person in what.connecting_again {
            self.connect_person_again(person).await;
        }
        for event in &what.events {
            if let EventKind::MemberLeft { member, .. } = &event.kind {
                self.cut_off(event.room, member.id, false).await;
            }
            self.announce_event(event).await;
        }
        self.tell_of_profiles(what.changed).await;
        self.tell_persons(told_last).await;
    }

    /// Who is told, once there is somebody.
    pub(crate) fn hub(&self) -> Option<&Hub> {
        self.hub.get()
    }

    /// What client tokens are refused for.
    pub(crate) fn denials(&self) -> &Denials {
        &self.denials
    }

    pub(crate) async fn typing(&self, room: RoomId, typing: &Typing) {
        if let Some(hub) = self.hub.get() {
            tell(hub, &room_channel(room), payload(typing)).await;
        }
    }

    /// Who listens to the room here, each once.
    pub(crate) async fn listening(&self, room: RoomId) -> Vec<PersonId> {
        let Some(hub) = self.hub.get() else { return Vec::new() };
        // More than can be listed: then `@room` is what is meant.
        let present = hub.presence(&room_channel(room)).await.unwrap_or_default();
        let people: BTreeSet<_> = present.values().filter_map(|client| PersonId::parse(&client.user)).collect();
        people.into_iter().take(HERE_TOLD_MAX).collect()
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

impl Audience for Announcer {
    async fn announce_event(&self, event: &Event) {
        let Some(hub) = self.hub.get() else { return };
        let channel = room_channel(event.room);
        if hub.has_subscribers(&channel) {
            hub.announce(&channel, publication(event));
        }
    }

    async fn tell_persons(&self, what: Vec<(PersonId, PersonEvent)>) {
        let Some(hub) = self.hub.get() else { return };
        for (person, told) in what {
            tell(hub, &person_channel(person), payload(&told)).await;
        }
    }

    // In each room, without a number: it is of the moment, and whoever was away asks. One message a room is what all there get
    // at once, where one a person would be a message for each of them; who shares several rooms with somebody gets several.
    async fn tell_of_profiles(&self, what: Vec<Changed>) {
        let Some(hub) = self.hub.get() else { return };
        for Changed { profile, rooms } in what {
            presence::rename(hub, profile.id, profile.name.as_str());
            let told = payload(&PersonEvent::PersonChanged { person: profile });
            for channel in rooms.into_iter().map(room_channel).filter(|channel| hub.has_subscribers(channel)) {
                tell(hub, &channel, told.clone()).await;
            }
        }
    }

    async fn is_heard(&self, room: RoomId) -> bool {
        self.hub.get().is_some_and(|hub| hub.has_subscribers(&room_channel(room)))
    }

    async fn end_session(&self, session: SessionId) {
        if let Some(hub) = self.hub.get() {
            let tag = Target::Tag(session.to_string());
            hub.order(Order::disconnect(tag, Disconnect::FORCE_DISCONNECT)).await;
            self.ended().insert(session);
        }
    }

    async fn connect_person_again(&self, person: PersonId) {
        if let Some(hub) = self.hub.get() {
            let theirs = Target::User(person.to_string());
            hub.order(Order::disconnect(theirs, Disconnect::INSUFFICIENT_STATE)).await;
        }
    }

    async fn cut_off(&self, room: RoomId, person: PersonId, is_back: bool) {
        if let Some(hub) = self.hub.get() {
            let why = if is_back { Unsubscribe::INSUFFICIENT_STATE } else { Unsubscribe::SERVER };
            let member = Target::User(person.to_string());
            hub.order(Order::unsubscribe(member, Some(room_channel(room)), why)).await;
        }
    }

    async fn deny(&self, key: DenialKey, denied: Option<Denied>) {
        let orders = self.denials.set(key, denied);
        let Some(hub) = self.hub.get() else { return };
        for order in orders {
            hub.order(order).await;
        }
    }

    fn deny_only(&self, all: Vec<Denied>) {
        self.denials.replace(all);
    }

    async fn connect_again(&self) {
        if let Some(hub) = self.hub.get() {
            hub.order(Order::disconnect(Target::All, Disconnect::INSUFFICIENT_STATE)).await;
        }
    }

    async fn start_again(&self) {
        if let Some(hub) = self.hub.get() {
            hub.check_positions().await;
        }
    }
}

/// Tells those who are there now (promise G8).
pub(crate) async fn tell(hub: &Hub, channel: &ChannelName, what: Payload) {
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
