//! What passes between a session and the hub about its subscriptions.

use tidings_protocol::{Payload, StreamPosition, Unsubscribe};

use crate::{ChannelName, Expiry, ServerSubscription};

/// How a prepared subscription goes live.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Admission {
    /// Where the client stands after its reply, when delivery is positioned.
    pub position: Option<StreamPosition>,
    /// It missed more than its reply holds, and gets that before what is published from now on.
    pub is_behind: bool,
    /// The last thing in its reply is the publication at its position.
    pub ends_with_publication: bool,
    /// What others see (`chan_info`).
    pub info: Option<Payload>,
    /// It is told who comes and goes.
    pub hears_join_leave: bool,
    /// Others are told that it comes and goes.
    pub says_join_leave: bool,
    /// Others do not see it in the channel's presence.
    pub is_hidden: bool,
}

/// What the server did to a connection, or wants of it, for its session to know.
#[derive(Clone, Debug, PartialEq)]
pub enum Control {
    /// The server ended this subscription; the client has been told why.
    Unsubscribed(ChannelName, Unsubscribe),
    /// It did not keep up in this channel, and is to recover.
    Lags(ChannelName),
    /// The server wants this subscription.
    Subscribe(Box<ServerSubscription>),
    /// The connection ends then, or never.
    Refresh(Option<Expiry>),
}
