//! What passes between a session and the hub about its subscriptions.

use std::sync::{Arc, Weak};

use tidings_protocol::{Payload, StreamPosition, Unsubscribe};

use crate::sync::atomic::{AtomicBool, Ordering};
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
    Subscribe(Box<Wish>),
    /// The connection ends then, or never.
    Refresh(Option<Expiry>),
}

/// A subscription that the server wants a connection to have, unless it has thought better of it by the time that it is made.
#[derive(Clone, Debug)]
pub struct Wish {
    subscription: ServerSubscription,
    stands: Arc<AtomicBool>,
}

impl Wish {
    /// One that stands.
    #[must_use]
    pub fn new(subscription: ServerSubscription) -> Self {
        Self { subscription, stands: Arc::new(AtomicBool::new(true)) }
    }

    /// What is wanted.
    #[must_use]
    pub fn subscription(&self) -> &ServerSubscription {
        &self.subscription
    }

    /// Whether it has not been taken back.
    #[must_use]
    pub fn stands(&self) -> bool {
        self.stands.load(Ordering::SeqCst)
    }

    /// By which it can be taken back as long as it has not been seen to.
    pub(crate) fn withdrawal(&self) -> Withdrawal {
        Withdrawal { channel: self.subscription.channel.clone(), stands: Arc::downgrade(&self.stands) }
    }
}

impl PartialEq for Wish {
    fn eq(&self, other: &Self) -> bool {
        self.subscription == other.subscription
    }
}

/// How a [`Wish`] is taken back.
pub(crate) struct Withdrawal {
    pub(crate) channel: ChannelName,
    stands: Weak<AtomicBool>,
}

impl Withdrawal {
    /// Whether the wish has not been seen to yet.
    pub(crate) fn is_open(&self) -> bool {
        self.stands.strong_count() > 0
    }

    pub(crate) fn withdraw(&self) {
        if let Some(stands) = self.stands.upgrade() {
            stands.store(false, Ordering::SeqCst);
        }
    }
}
