//! What persons may do on a live connection, and how the channels of the chat work.
//!
//! The hub asks before every command. It asks after it has registered a connection or a subscription, and we answer from
//! what is committed; a right revoked in between is revoked in the hub too, so nothing slips through.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::Serialize;
use tidings_hub::{
    Accepted, Application, ChannelName, ChannelOptions, Grant, Hub, Identity, Peer, Policy, PublishGrant, Refusal,
};
use tidings_protocol::{ConnectRequest, Disconnect, Error, Payload, SubscribeRequest};

use crate::{
    announce::person_channel,
    chat::Chat,
    model::{PersonId, RoomId, SignedIn},
    rpc,
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

    /// Who is behind a live connection: the user is the person, the tag is the session.
    #[must_use]
    pub fn identity(&self, who: &SignedIn) -> Identity {
        #[derive(Serialize)]
        struct Info<'a> {
            name: &'a str,
        }
        let info = Payload::from_own(&Info { name: who.person.name.as_str() });
        Identity {
            user: who.person.id.to_string(),
            tag: Some(who.session.id.to_string()),
            info: info.ok(),
            context: Some(Arc::new(who.clone())),
        }
    }

    /// Persons receive, and look at, the rooms they are members of and the channel that is their own.
    async fn may_see(&self, client: &Peer, channel: &ChannelName) -> Result<(), Refusal> {
        let who = person(client)?;
        let may = match ChatChannel::of(channel) {
            Some(ChatChannel::Room(room)) => self.0.store.member(room, who).await.map_err(Error::from)?.is_some(),
            Some(ChatChannel::Person(person)) => person == who,
            None => false,
        };
        if may { Ok(()) } else { Err(Error::PERMISSION_DENIED.into()) }
    }
}

/// For the connections of persons. The program's own policy asks this one when the client's context is a [`SignedIn`].
impl Policy for Chat {
    fn connect<'a>(
        &'a self,
        client: &'a Peer,
        _request: &'a ConnectRequest,
    ) -> BoxFuture<'a, Result<Accepted, Refusal>> {
        Box::pin(async move {
            let who: &SignedIn = client.context().ok_or(Disconnect::BAD_REQUEST)?;
            let now = self.0.clock.now();
            // The session may have ended between the handshake and now.
            if !self.0.store.session_is_open(who.session.id, now).await.map_err(Error::from)? {
                return Err(Disconnect::INVALID_TOKEN.into());
            }
            let own = person_channel(who.person.id);
            let subscriptions = vec![(own, Grant::default())];
            Ok(Accepted { identity: self.identity(who), subscriptions, ..Accepted::default() })
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
            Ok(Some(rpc::call(self, who, method, data).await?))
        })
    }
}

fn person(client: &Peer) -> Result<PersonId, Error> {
    client.context().map(|who: &SignedIn| who.person.id).ok_or(Error::PERMISSION_DENIED)
}
