//! What the hub and the task of a connection share.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidings_protocol::{Disconnect, Encoding, Reply};
use tokio::time::Instant;
use uuid::Uuid;

use crate::account::Accounts;
use crate::delivery::{Loops, Writer};
use crate::format::{Format, Framing};
use crate::outbox::{Outbox, Pushed};
use crate::session::{Control, Emulation, Wish, Withdrawal};
use crate::sharded::lock;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::{Account, ChannelName, Identity, Limits, Peer, Remote};

/// How a transport wants its connection.
#[derive(Clone, Debug)]
pub struct ConnectionOptions {
    /// Who it is, when the handshake proved it.
    pub identity: Option<Identity>,
    /// Where it comes from.
    pub remote: Remote,
    /// How messages are written.
    pub encoding: Encoding,
    /// How messages are wrapped.
    pub framing: Framing,
    /// Who finds out that the client is gone.
    pub heartbeat: Heartbeat,
    /// Where to write without the connection's task; [`Step::Send`](crate::Step::Send) is not used then.
    pub writer: Option<Arc<dyn Writer>>,
    /// The transport's two directions are separate: the connect reply names the session and the node, by which the
    /// client's requests find the connection again.
    pub emulated: bool,
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self {
            identity: None,
            remote: Remote::default(),
            encoding: Encoding::Json,
            framing: Framing::NONE,
            heartbeat: Heartbeat::Protocol,
            writer: None,
            emulated: false,
        }
    }
}

/// Who finds out that a client is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Heartbeat {
    /// Pings of the protocol, which the client must answer.
    #[default]
    Protocol,
    /// The transport by its own means; the protocol sends no pings.
    Transport,
}

/// A connection, for operators.
#[derive(Clone, Debug)]
pub struct ConnectionOverview {
    /// Who it is and where it comes from.
    pub peer: Peer,
    /// How its messages are written.
    pub encoding: Encoding,
    /// The connection's id.
    pub client: String,
    /// The user; empty while unknown and when anonymous.
    pub user: String,
    /// The tag that the policy gave.
    pub tag: Option<String>,
    /// How long it has been open.
    pub open_for: Duration,
    /// Its subscriptions.
    pub channels: Vec<ChannelName>,
    /// Bytes that wait for the transport.
    pub queued_bytes: usize,
}

pub(crate) struct Handle {
    pub(crate) key: u64,
    pub(crate) id: Uuid,
    /// By which the requests of its transport find it, where they have to.
    pub(crate) emulation: Option<Arc<Emulation>>,
    pub(crate) outbox: Arc<Outbox>,
    /// The application was told that it is connected.
    pub(crate) connected: AtomicBool,
    peer: Mutex<Peer>,
    account: Mutex<Arc<Account>>,
    subscribed: Mutex<Subscribed>,
    revocations: AtomicU64,
    opened: Instant,
}

type Wishes = Vec<Withdrawal>;

/// In which channels a connection is, and will be.
#[derive(Default)]
struct Subscribed {
    channels: Vec<ChannelName>,
    /// What the server wants and what has not entered its channel; seldom there is any.
    wishes: Option<Box<Wishes>>,
}

impl Handle {
    pub(crate) fn new(
        key: u64,
        options: ConnectionOptions,
        emulation: Option<Arc<Emulation>>,
        accounts: &Accounts,
        loops: &Loops,
    ) -> Self {
        let ConnectionOptions { identity, remote, encoding, framing, writer, .. } = options;
        let format = Format { encoding, framing };
        let id = Uuid::new_v4();
        let peer = Peer::new(id, identity, remote);
        Self {
            key,
            id,
            emulation,
            outbox: Outbox::open(loops.assign(), writer, format),
            connected: AtomicBool::new(false),
            account: Mutex::new(accounts.of_peer(&peer)),
            peer: Mutex::new(peer),
            subscribed: Mutex::default(),
            revocations: AtomicU64::new(0),
            opened: Instant::now(),
        }
    }

    pub(crate) fn peer(&self) -> Peer {
        lock(&self.peer).clone()
    }

    /// On whose account it asks and keeps.
    pub(crate) fn account(&self) -> Arc<Account> {
        lock(&self.account).clone()
    }

    /// Looks up whose it is now.
    pub(crate) fn charge_to(&self, accounts: &Accounts) {
        *lock(&self.account) = accounts.of_peer(&self.peer());
    }

    /// The peer for a question to the policy, which may look at the subscriptions.
    pub(crate) fn asking(self: &Arc<Self>) -> Peer {
        let mut peer = self.peer();
        peer.handle = Arc::downgrade(self);
        peer
    }

    pub(crate) fn identity(&self) -> Option<Arc<Identity>> {
        lock(&self.peer).identity.clone()
    }

    pub(crate) fn set_identity(&self, identity: Option<Arc<Identity>>) {
        lock(&self.peer).identity = identity;
    }

    pub(crate) fn is_tagged(&self) -> bool {
        lock(&self.peer).identity().is_some_and(|identity| identity.tag.is_some())
    }

    /// Writes a reply for this connection alone, to be wrapped together with others; `None` when its encoding cannot carry
    /// it, which closes it (3506).
    pub(crate) fn encode(&self, reply: &Reply) -> Option<Bytes> {
        let message = self.outbox.format.encoding.encode_reply(reply).ok();
        if message.is_none() {
            self.refuse_encoding();
        }
        message
    }

    pub(crate) fn reply(&self, reply: &Reply, limits: &Limits) -> Pushed {
        self.push(self.outbox.format.encoding.encode_reply(reply).ok(), limits)
    }

    /// Queues a message that is written for this connection alone; `None`: its encoding cannot carry it.
    pub(crate) fn push(&self, message: Option<Bytes>, limits: &Limits) -> Pushed {
        match message {
            Some(message) => self.outbox.reply(message, limits),
            None => self.refuse_encoding(),
        }
    }

    pub(crate) fn refuse_encoding(&self) -> Pushed {
        self.outbox.close(Disconnect::INAPPROPRIATE_PROTOCOL);
        Pushed::Closed
    }

    pub(crate) fn joined(&self, channel: &ChannelName) {
        let channels = &mut lock(&self.subscribed).channels;
        if channels.is_empty() {
            // Most are in one.
            channels.reserve_exact(1);
        }
        channels.push(channel.clone());
    }

    pub(crate) fn left(&self, channel: &ChannelName) {
        lock(&self.subscribed).channels.retain(|joined| joined != channel);
    }

    pub(crate) fn is_in(&self, channel: &ChannelName) -> bool {
        lock(&self.subscribed).channels.contains(channel)
    }

    pub(crate) fn channels(&self) -> Vec<ChannelName> {
        lock(&self.subscribed).channels.clone()
    }

    /// Lets the session know of a subscription that the server wants; until it has entered its channel it can be taken back.
    pub(crate) fn wish(&self, wish: Wish) {
        let mut subscribed = lock(&self.subscribed);
        let wishes = subscribed.wishes.get_or_insert_default();
        wishes.retain(Withdrawal::is_open);
        wishes.push(wish.withdrawal());
        drop(subscribed);
        self.outbox.control(Control::Subscribe(Box::new(wish)));
    }

    /// Takes back what the server wanted in a channel, or in all.
    pub(crate) fn withdraw_wishes(&self, channel: Option<&ChannelName>) {
        let mut subscribed = lock(&self.subscribed);
        let Some(wishes) = &mut subscribed.wishes else { return };
        let is_meant = |wish: &mut Withdrawal| channel.is_none_or(|channel| wish.channel == *channel);
        wishes.extract_if(.., is_meant).for_each(|wish| wish.withdraw());
        if wishes.is_empty() {
            subscribed.wishes = None;
        }
    }

    /// Counts how often a right of this connection was taken away, so that an answer that was being prepared
    /// meanwhile can be checked again.
    pub(crate) fn revocations(&self) -> u64 {
        self.revocations.load(Ordering::SeqCst)
    }

    pub(crate) fn revoke(&self) {
        self.revocations.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn overview(&self) -> ConnectionOverview {
        let peer = self.peer();
        ConnectionOverview {
            encoding: self.outbox.format.encoding,
            client: peer.id(),
            user: peer.user().to_owned(),
            tag: peer.identity().and_then(|identity| identity.tag.clone()),
            open_for: self.opened.elapsed(),
            channels: self.channels(),
            queued_bytes: self.outbox.queued_bytes(),
            peer,
        }
    }
}
