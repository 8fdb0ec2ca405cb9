//! What the server wants of connections.

use tidings_protocol::{Disconnect, StreamPosition, Unsubscribe};

use crate::{ChannelName, Expiry, Grant};

/// What the server wants of connections, wherever they are: owned, so that it can be kept, sent to other nodes and
/// acknowledged. [`Hub::order`](crate::Hub::order) carries it out.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Which connections.
    pub to: Target,
    /// What happens to them.
    pub act: Act,
}

/// What an [`Order`] does.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Act {
    /// Subscribe; the client is told.
    Subscribe(ServerSubscription),
    /// End the subscription to the channel, or to all of them; the client is told why.
    ///
    /// When the order is done, nothing that is published or announced later reaches them in that channel, not even
    /// through a subscription or an answer that was being prepared.
    Unsubscribe(Option<ChannelName>, Unsubscribe),
    /// Close. When the order is done, nothing that is published or announced later reaches them.
    Disconnect(Disconnect),
    /// Let the connection end then, or never; the client is told.
    Refresh(Option<Expiry>),
}

/// A subscription that the server wants a connection to have.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerSubscription {
    /// Where.
    pub channel: ChannelName,
    /// On which terms; `None`: as the policy allows it.
    pub grant: Option<Grant>,
    /// What the client has of the channel already: it gets what came after.
    pub since: Option<StreamPosition>,
}

/// Which connections the server means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// All of a user.
    User(String),
    /// The one with this id.
    Client(String),
    /// All with this tag.
    Tag(String),
    /// Those of a user for whom all of this holds.
    Some(SomeOf),
    /// Every one.
    All,
}

/// Some of a user's connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SomeOf {
    /// Whose; empty: those of nobody in particular.
    pub user: String,
    /// The one with this id.
    pub client: Option<String>,
    /// The one with this [session](crate::session::Emulation::session).
    pub session: Option<String>,
    /// None with these ids.
    pub except: Vec<String>,
    /// Only those with a [tag](crate::Identity::tag), or only those without.
    pub has_tag: Option<bool>,
}

impl Order {
    /// Subscribe `to` the channel, as far as the policy allows it.
    #[must_use]
    pub fn subscribe(to: Target, channel: ChannelName) -> Self {
        Self::give(to, ServerSubscription { channel, grant: None, since: None })
    }

    /// Subscribe `to` a channel.
    #[must_use]
    pub fn give(to: Target, subscription: ServerSubscription) -> Self {
        Self { to, act: Act::Subscribe(subscription) }
    }

    /// End the subscriptions of `to`: in one channel, or in all with `None`.
    #[must_use]
    pub fn unsubscribe(to: Target, channel: Option<ChannelName>, why: Unsubscribe) -> Self {
        Self { to, act: Act::Unsubscribe(channel, why) }
    }

    /// Close `to`.
    #[must_use]
    pub fn disconnect(to: Target, why: Disconnect) -> Self {
        Self { to, act: Act::Disconnect(why) }
    }

    /// Let `to` end after this time, or never.
    #[must_use]
    pub fn refresh(to: Target, expiry: Option<Expiry>) -> Self {
        Self { to, act: Act::Refresh(expiry) }
    }
}
