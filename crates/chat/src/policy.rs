//! What persons may do on a live connection, and how the channels of the chat work.
//!
//! The hub asks before every command. It asks after it has registered a connection or a subscription, and we answer from
//! what is committed; a right revoked in between is revoked in the hub too, so nothing slips through.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tidings_hub::{
    Accepted, Application, ChannelName, ChannelOptions, Grant, Hub, Identity, Peer, Policy, PublishGrant, Refusal,
};
use tidings_protocol::{ConnectRequest, Disconnect, Error, Payload, SubscribeRequest};

use crate::{
    announce::person_channel,
    chat::Chat,
    limits::ROOMS_READ_AT_CONNECT,
    model::{Arrival, PersonId, RoomId, SessionId, SessionKey, SignedIn, digest},
    presence::Info,
    rpc,
    store::StoreError,
};

const ROOM: &str = "room";
const USER: &str = "user";

/// What a channel of the chat stands for.
enum ChatChannel {
    Room(RoomId),
    Person(PersonId),
}

impl ChatChannel {
    fn of(channel: &ChannelName) -> Option<Self> {
        match channel.name_in(ROOM) {
            Some(room) => RoomId::parse(room).map(Self::Room),
            None => PersonId::parse(channel.name_in(USER)?).map(Self::Person),
        }
    }
}

/// Who is behind a live connection.
#[derive(Debug)]
struct Visitor {
    person: PersonId,
    session: SessionId,
}

impl Visitor {
    fn of(client: &Peer) -> Option<&Self> {
        client.context()
    }
}

impl Chat {
    /// The hub to announce to, from now on. Events before that are in the store, where the hub finds them.
    pub fn announce_to(&self, hub: Hub) {
        self.0.announcer.announce_to(hub);
    }

    /// Whether the channel is in a namespace of the chat, where nobody but persons may do anything.
    #[must_use]
    pub fn owns(channel: &ChannelName) -> bool {
        matches!(channel.namespace(), Some(ROOM | USER))
    }

    /// Whether a live connection is that of a person, by the identity that it got from [`arrive`](Self::arrive) or
    /// [`identity`](Self::identity).
    #[must_use]
    pub fn is_person(client: &Peer) -> bool {
        is_of_person(client)
    }

    /// Who is behind the token of a cookie and wants to listen, as [`session`](Self::session) and
    /// [`identity`](Self::identity); whatever the database will be asked for in the next moments is read too.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn arrive(&self, token: &str) -> Result<Option<Identity>, StoreError> {
        let arrived = self.read_arrival(SessionKey::Token(digest(token))).await?;
        Ok(arrived.map(|who| {
            self.was_used(&who, None, self.0.clock.now());
            self.identity(&who)
        }))
    }

    async fn read_arrival(&self, session: SessionKey) -> Result<Option<SignedIn>, StoreError> {
        // Before it is read: what is taken away while it is read may or may not be seen.
        let moment = self.0.standing.moment();
        let arrival = self.0.store.arrival(session, ROOMS_READ_AT_CONNECT, self.0.clock.now()).await?;
        Ok(arrival.map(|Arrival { who, rooms }| {
            rooms.iter().for_each(|stand| self.0.standing.was_read(stand));
            if let Some(moment) = moment {
                let rooms = rooms.into_iter().map(|stand| stand.room).collect();
                self.0.standing.came(who.session.id, moment, rooms, self.0.steady.now());
            }
            who
        }))
    }

    /// Who is behind a live connection: the user is the person, the tag is the session.
    #[must_use]
    pub fn identity(&self, who: &SignedIn) -> Identity {
        let info = Payload::from_own(&Info { name: who.person.name.as_str().to_owned(), idle: false });
        Identity {
            user: who.person.id.to_string(),
            tag: Some(who.session.id.to_string()),
            info: info.ok(),
            context: Some(Arc::new(Visitor { person: who.person.id, session: who.session.id })),
        }
    }

    /// Persons receive, and look at, the rooms they are members of and the channel that is their own.
    async fn may_see(&self, client: &Peer, channel: &ChannelName) -> Result<(), Refusal> {
        let who = Visitor::of(client).ok_or(Error::PERMISSION_DENIED)?;
        let may = match ChatChannel::of(channel) {
            Some(ChatChannel::Room(room)) => {
                self.0.standing.is_member(who.session, room)
                    || self.0.store.member(room, who.person).await.map_err(Error::from)?.is_some()
            }
            Some(ChatChannel::Person(person)) => person == who.person,
            None => false,
        };
        if may { Ok(()) } else { Err(Error::PERMISSION_DENIED.into()) }
    }
}

/// For the connections of persons. The program's own policy asks this one when [`Chat::is_person`] says so.
impl Policy for Chat {
    fn connect<'a>(
        &'a self,
        client: &'a Peer,
        _request: &'a ConnectRequest,
    ) -> BoxFuture<'a, Result<Accepted, Refusal>> {
        Box::pin(async move {
            let who = Visitor::of(client).ok_or(Disconnect::BAD_REQUEST)?;
            let proven = client.identity().filter(|_| self.0.standing.is_open(who.session)).cloned();
            let identity = match proven {
                Some(identity) => identity,
                // The session may have ended between the handshake and now.
                None => {
                    let arrived = self.read_arrival(SessionKey::Id(who.session)).await.map_err(Error::from)?;
                    self.identity(&arrived.ok_or(Disconnect::INVALID_TOKEN)?)
                }
            };
            let subscriptions = vec![(person_channel(who.person), Grant::default())];
            Ok(Accepted { identity, subscriptions, ..Accepted::default() })
        })
    }

    fn subscribe<'a>(
        &'a self,
        client: &'a Peer,
        channel: &'a ChannelName,
        _request: &'a SubscribeRequest,
    ) -> BoxFuture<'a, Result<Grant, Refusal>> {
        Box::pin(async move { self.may_see(client, channel).await.map(|()| Grant::default()) })
    }

    fn publish<'a>(
        &'a self,
        _client: &'a Peer,
        _channel: &'a ChannelName,
        _data: &'a Payload,
    ) -> BoxFuture<'a, Result<PublishGrant, Refusal>> {
        // The protocol's answer to a publication has no place for what a post is answered with; see `rpc`.
        Box::pin(async { Err(Error::PERMISSION_DENIED.into()) })
    }

    fn presence<'a>(&'a self, client: &'a Peer, channel: &'a ChannelName) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(self.may_see(client, channel))
    }

    fn history<'a>(&'a self, client: &'a Peer, channel: &'a ChannelName) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(self.may_see(client, channel))
    }

    fn options(&self, channel: &ChannelName) -> Arc<ChannelOptions> {
        match ChatChannel::of(channel) {
            Some(ChatChannel::Room(_)) => self.0.room_options.clone(),
            // What a person was told is all in the list of their rooms, which clients read after every connect.
            Some(ChatChannel::Person(_)) | None => self.0.person_options.clone(),
        }
    }
}

/// What persons do by a live connection. Each method asks the store who may.
impl Application for Chat {
    fn rpc<'a>(
        &'a self,
        client: &'a Peer,
        method: &'a str,
        data: Option<&'a Payload>,
    ) -> BoxFuture<'a, Result<Option<Payload>, Refusal>> {
        Box::pin(async move {
            let who = person(client)?;
            Ok(Some(rpc::call(self, who, client, method, data).await?))
        })
    }

    fn overlapping(&self) -> &'static [&'static str] {
        rpc::OVERLAPPING
    }
}

/// Whether a person of the chat is behind it.
pub(crate) fn is_of_person(client: &Peer) -> bool {
    Visitor::of(client).is_some()
}

fn person(client: &Peer) -> Result<PersonId, Error> {
    Visitor::of(client).map(|who| who.person).ok_or(Error::PERMISSION_DENIED)
}
