//! A hub, an application with simple rules, and clients that speak the protocol: everything by hand, without sockets.
//!
//! Channels: `room:…` is kept by the application's store, `plain:…` by nobody, everything else by the hub's memory.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part of the world")]

pub mod faulty;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tidings_hub::{
    Accepted, Application, Broker, ChannelName, ChannelOptions, Connection, ConnectionOptions, Expiry, Grant, History,
    HistoryError, HistoryPage, HistoryQuery, Hub, Identity, Limits, NewPublication, Offered, Order, Peer, Policy,
    PublishError, PublishGrant, Refusal, Source, Step,
};
use tidings_protocol::{
    ConnectRequest, Disconnect, Encoding, Error, Payload, Publication, PushEvent, Reply, Response, StreamPosition,
    SubscribeRequest, SubscribeResult, Unsubscribe, json,
};
use tokio::sync::Semaphore;

pub const HISTORY_SIZE: usize = 100;
pub const HISTORY_TTL: Duration = Duration::from_secs(300);

/// The application.
pub struct Rules {
    pub store: Arc<Store>,
    banned: Mutex<HashSet<(String, String)>>,
    /// Channels to which connect subscribes.
    pub given: Mutex<Vec<(ChannelName, Grant)>>,
    pub expiry: Mutex<Option<Expiry>>,
    /// While set, answers about subscriptions and presence wait for a permit.
    gate: Mutex<Option<Arc<Semaphore>>>,
    /// How channels in the hub's memory work.
    pub memory: Mutex<Arc<ChannelOptions>>,
    /// What the application was told, in order.
    told: Mutex<Vec<String>>,
}

/// Where the application keeps its channels.
pub struct Store {
    channels: Mutex<HashMap<String, Vec<Publication>>>,
    epoch: Mutex<String>,
    /// While set, reading waits for a permit before it looks.
    gate: Mutex<Option<Arc<Semaphore>>>,
    /// While set, what was read waits for a permit, and may be out of date then.
    gate_behind: Mutex<Option<Arc<Semaphore>>>,
}

impl Store {
    pub fn commit(&self, channel: &ChannelName, data: &str) -> Publication {
        let mut channels = self.channels.lock().unwrap();
        let kept = channels.entry(channel.as_str().to_owned()).or_default();
        let offset = kept.len() as u64 + 1;
        let publication = Publication { data: Some(text(data)), offset, ..Publication::default() };
        kept.push(publication.clone());
        publication
    }

    pub fn restore_from_backup(&self, epoch: &str) {
        epoch.clone_into(&mut self.epoch.lock().unwrap());
    }

    fn page(&self, channel: &ChannelName, query: HistoryQuery) -> HistoryPage {
        let channels = self.channels.lock().unwrap();
        let kept = channels.get(channel.as_str()).map_or(&[][..], Vec::as_slice);
        let top = StreamPosition { offset: kept.len() as u64, epoch: self.epoch.lock().unwrap().clone() };
        let publications = if query.reverse {
            let before = query.since.unwrap_or(u64::MAX);
            kept.iter().rev().filter(|p| p.offset < before).take(query.limit).cloned().collect()
        } else {
            let after = query.since.unwrap_or(0);
            kept.iter().filter(|p| p.offset > after).take(query.limit).cloned().collect()
        };
        HistoryPage { publications, top }
    }
}

impl History for Store {
    fn position<'a>(&'a self, channel: &'a ChannelName) -> BoxFuture<'a, Result<StreamPosition, HistoryError>> {
        async { Ok(self.read(channel, HistoryQuery::default()).await?.top) }.boxed()
    }

    fn read<'a>(
        &'a self,
        channel: &'a ChannelName,
        query: HistoryQuery,
    ) -> BoxFuture<'a, Result<HistoryPage, HistoryError>> {
        async move {
            pass(&self.gate).await;
            let page = self.page(channel, query);
            pass(&self.gate_behind).await;
            Ok(page)
        }
        .boxed()
    }
}

async fn pass(gate: &Mutex<Option<Arc<Semaphore>>>) {
    let gate = gate.lock().unwrap().clone();
    if let Some(gate) = gate {
        gate.acquire().await.unwrap().forget();
    }
}

impl Rules {
    pub fn ban(&self, user: &str, channel: &str) {
        self.banned.lock().unwrap().insert((user.into(), channel.into()));
    }

    pub fn hold_answers(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        *self.gate.lock().unwrap() = Some(gate.clone());
        gate
    }

    pub fn hold_reads(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        *self.store.gate.lock().unwrap() = Some(gate.clone());
        gate
    }

    pub fn hold_pages(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        *self.store.gate_behind.lock().unwrap() = Some(gate.clone());
        gate
    }

    /// What the application was told since it was last asked.
    pub fn told(&self) -> Vec<String> {
        std::mem::take(&mut self.told.lock().unwrap())
    }

    /// A call begins, and ends when what comes back is dropped.
    fn begins(&self, call: String) -> Begun<'_> {
        self.told.lock().unwrap().push(format!("{call} begins"));
        Begun { rules: self, call }
    }

    fn allows(&self, client: &Peer, channel: &ChannelName) -> Result<(), Refusal> {
        let banned = self.banned.lock().unwrap();
        if banned.contains(&(client.user().into(), channel.as_str().into())) {
            return Err(Error::PERMISSION_DENIED.into());
        }
        Ok(())
    }
}

struct Begun<'a> {
    rules: &'a Rules,
    call: String,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.rules.told.lock().unwrap().push(format!("{} ends", self.call));
    }
}

impl Policy for Rules {
    fn connect<'a>(
        &'a self,
        client: &'a Peer,
        request: &'a ConnectRequest,
    ) -> BoxFuture<'a, Result<Accepted, Refusal>> {
        async move {
            let identity = match (client.identity(), &*request.token) {
                (Some(identity), "") => identity.clone(),
                (_, "") => return Err(Disconnect::BAD_REQUEST.into()),
                (_, "forged") => return Err(Disconnect::INVALID_TOKEN.into()),
                (_, "old") => return Err(Error::TOKEN_EXPIRED.into()),
                (_, user) => Identity { user: user.into(), info: Some(text(user)), ..Identity::default() },
            };
            let subscriptions = self.given.lock().unwrap().clone();
            Ok(Accepted { identity, expiry: *self.expiry.lock().unwrap(), data: None, subscriptions })
        }
        .boxed()
    }

    fn subscribe<'a>(
        &'a self,
        client: &'a Peer,
        channel: &'a ChannelName,
        _: &'a SubscribeRequest,
    ) -> BoxFuture<'a, Result<Grant, Refusal>> {
        async move {
            let allowed = self.allows(client, channel);
            pass(&self.gate).await;
            allowed.map(|()| Grant::default())
        }
        .boxed()
    }

    fn publish<'a>(
        &'a self,
        client: &'a Peer,
        channel: &'a ChannelName,
        _: &'a Payload,
    ) -> BoxFuture<'a, Result<PublishGrant, Refusal>> {
        async move {
            self.allows(client, channel)?;
            // In these, only who is in them may speak.
            if channel.namespace() == Some("own") && !client.is_subscribed(channel) {
                return Err(Error::PERMISSION_DENIED.into());
            }
            Ok(PublishGrant::default())
        }
        .boxed()
    }

    fn presence<'a>(&'a self, client: &'a Peer, channel: &'a ChannelName) -> BoxFuture<'a, Result<(), Refusal>> {
        async move {
            let allowed = self.allows(client, channel);
            pass(&self.gate).await;
            allowed
        }
        .boxed()
    }

    fn history<'a>(&'a self, client: &'a Peer, channel: &'a ChannelName) -> BoxFuture<'a, Result<(), Refusal>> {
        async move { self.allows(client, channel) }.boxed()
    }

    fn options(&self, channel: &ChannelName) -> Arc<ChannelOptions> {
        match channel.namespace() {
            Some("room") => Arc::new(ChannelOptions {
                history: Source::External(self.store.clone()),
                recovery: Offered::Always,
                presence: true,
                join_leave: Offered::Always,
                ..ChannelOptions::default()
            }),
            Some("plain") => Arc::default(),
            _ => self.memory.lock().unwrap().clone(),
        }
    }
}

impl Application for Rules {
    fn rpc<'a>(
        &'a self,
        client: &'a Peer,
        method: &'a str,
        data: Option<&'a Payload>,
    ) -> BoxFuture<'a, Result<Option<Payload>, Refusal>> {
        async move {
            match method {
                "echo" => Ok(data.cloned()),
                "hang" => std::future::pending().await,
                "wait" => {
                    let _end = self.begins(format!("{:?}", data.unwrap()));
                    pass(&self.gate).await;
                    Ok(data.cloned())
                }
                "refuse" => {
                    let _end = self.begins("refusal".into());
                    Err(Error::PERMISSION_DENIED.into())
                }
                "where" => Ok(Some(text(&format!(
                    "{} {:?} {:?}",
                    client.transport(),
                    client.address(),
                    client.header("user-agent")
                )))),
                _ => Err(Error::METHOD_NOT_FOUND.into()),
            }
        }
        .boxed()
    }

    fn overlapping(&self) -> &'static [&'static str] {
        &["wait", "refuse"]
    }

    fn connected(&self, client: &Peer) {
        self.told.lock().unwrap().push(format!("connected {}", client.user()));
    }

    fn disconnected(&self, client: &Peer, why: &Disconnect) {
        self.told.lock().unwrap().push(format!("disconnected {} {}", client.user(), why.code));
    }

    fn unsubscribed(&self, client: &Peer, channel: &ChannelName, why: &Unsubscribe) {
        self.told.lock().unwrap().push(format!("unsubscribed {} {channel} {}", client.user(), why.code));
    }
}

pub struct World {
    pub hub: Hub,
    pub rules: Arc<Rules>,
    peers: Vec<Client>,
}

/// A client of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who(usize);

struct Client {
    connection: Option<Connection>,
    replies: Vec<Reply>,
    closed: Option<Disconnect>,
    next_id: u32,
    reads: bool,
    encoding: Encoding,
}

impl World {
    pub fn new() -> Self {
        Self::with(Limits::default())
    }

    pub fn with(limits: Limits) -> Self {
        Self::with_broker(limits, None)
    }

    pub fn with_broker(limits: Limits, broker: Option<Arc<dyn Broker>>) -> Self {
        let store = Store {
            channels: Mutex::default(),
            epoch: Mutex::new("store-1".into()),
            gate: Mutex::default(),
            gate_behind: Mutex::default(),
        };
        let rules = Arc::new(Rules {
            store: Arc::new(store),
            banned: Mutex::default(),
            given: Mutex::default(),
            expiry: Mutex::default(),
            gate: Mutex::default(),
            memory: Mutex::new(Arc::new(memory())),
            told: Mutex::default(),
        });
        let hub = Hub::builder(rules.clone()).application(rules.clone()).limits(limits).version("0.0.0 test");
        let hub = match broker {
            Some(broker) => hub.broker(broker).node("here").build(),
            None => hub.node("here").build(),
        };
        Self { hub, rules, peers: Vec::new() }
    }

    /// A socket that has said nothing yet.
    pub fn open(&mut self, options: ConnectionOptions) -> Who {
        let encoding = options.encoding;
        let connection = Some(self.hub.connect(options));
        self.peers.push(Client { connection, replies: Vec::new(), closed: None, next_id: 1, reads: true, encoding });
        Who(self.peers.len() - 1)
    }

    /// A connected user.
    pub fn connect(&mut self, user: &str) -> Who {
        let peer = self.open(ConnectionOptions::default());
        let id = self.ask(peer, &format!(r#""connect":{{"token":"{user}"}}"#));
        assert!(matches!(self.answer(peer, id), Ok(Response::Connect(_))));
        peer
    }

    /// A connected user whom the handshake proved, with a tag.
    pub fn connect_session(&mut self, user: &str, tag: &str) -> Who {
        let identity = Identity { user: user.into(), tag: Some(tag.into()), ..Identity::default() };
        let peer = self.open(ConnectionOptions { identity: Some(identity), ..ConnectionOptions::default() });
        let id = self.ask(peer, r#""connect":{}"#);
        assert!(matches!(self.answer(peer, id), Ok(Response::Connect(_))));
        peer
    }

    pub fn id_of(&self, peer: Who) -> String {
        self.peers[peer.0].connection.as_ref().unwrap().id()
    }

    /// Sends one command and lets everything happen that follows from it; returns its id.
    pub fn ask(&mut self, peer: Who, command: &str) -> u32 {
        let id = self.peers[peer.0].next_id;
        self.peers[peer.0].next_id += 1;
        self.say(peer, &format!(r#"{{"id":{id},{command}}}"#));
        id
    }

    /// Sends a frame as it is.
    pub fn say(&mut self, peer: Who, frame: &str) {
        self.peers[peer.0].connection.as_mut().unwrap().receive(frame.as_bytes());
        self.settle_one(peer);
    }

    /// Lets everything happen that can happen now.
    pub fn settle(&mut self) {
        self.hub.run_loops();
        while (0..self.peers.len()).filter(|index| self.settle_one(Who(*index))).count() > 0 {}
    }

    /// Lets everything happen that one client can see now; says whether there was anything.
    fn settle_one(&mut self, who: Who) -> bool {
        self.hub.run_loops();
        let peer = &mut self.peers[who.0];
        let mut busy = false;
        while let Some(connection) = peer.connection.as_mut().filter(|_| peer.reads) {
            match connection.next().now_or_never() {
                Some(Step::Send(frames)) => {
                    peer.replies.extend(frames.iter().flat_map(|frame| peer.encoding.replies(frame).unwrap()));
                }
                Some(Step::Flush) => unreachable!("nobody writes past the task"),
                Some(Step::Read) => {}
                Some(Step::Close(disconnect)) => {
                    peer.closed = Some(disconnect);
                    peer.connection = None;
                }
                None => break,
            }
            busy = true;
        }
        busy
    }

    /// Lets a client take what is ready for it now and no more, in as many bytes as it is.
    pub fn settle_step(&mut self, who: Who) -> usize {
        let peer = &mut self.peers[who.0];
        let Some(Step::Send(frames)) = peer.connection.as_mut().unwrap().next().now_or_never() else {
            panic!("nothing is ready")
        };
        peer.replies.extend(frames.iter().flat_map(|frame| json::decode_replies(frame).unwrap()));
        frames.iter().map(Bytes::len).sum()
    }

    pub async fn wait(&mut self, duration: Duration) {
        self.settle();
        tokio::time::advance(duration).await;
        self.settle();
    }

    /// Takes the answer to a command out of what was received.
    pub fn answer(&mut self, peer: Who, id: u32) -> Result<Response, Error> {
        self.try_answer(peer, id).unwrap_or_else(|| panic!("no answer to {id} in {:?}", self.peers[peer.0].replies))
    }

    pub fn try_answer(&mut self, peer: Who, id: u32) -> Option<Result<Response, Error>> {
        let replies = &mut self.peers[peer.0].replies;
        let index =
            replies.iter().position(|reply| matches!(reply, Reply::Answer { id: other, .. } if *other == id))?;
        let Reply::Answer { result, .. } = replies.remove(index) else { unreachable!() };
        Some(result)
    }

    pub fn subscribe(&mut self, peer: Who, channel: &str) -> SubscribeResult {
        let id = self.ask(peer, &format!(r#""subscribe":{{"channel":"{channel}"}}"#));
        self.subscribed(peer, id)
    }

    /// Subscribes as a client does that was at `offset` before its link was cut.
    pub fn resume(&mut self, peer: Who, channel: &str, offset: u64, epoch: &str) -> SubscribeResult {
        let command = format!(
            r#""subscribe":{{"channel":"{channel}","recover":true,"recoverable":true,"positioned":true,"offset":{offset},"epoch":"{epoch}","flag":1}}"#
        );
        let id = self.ask(peer, &command);
        self.subscribed(peer, id)
    }

    pub fn subscribed(&mut self, peer: Who, id: u32) -> SubscribeResult {
        match self.answer(peer, id) {
            Ok(Response::Subscribe(result)) => *result,
            other => panic!("not subscribed: {other:?}"),
        }
    }

    /// The server publishes texts.
    pub fn publish<const N: usize>(&mut self, channel: &str, texts: [&str; N]) {
        for data in texts {
            self.try_publish(channel, NewPublication::new(text(data))).unwrap();
        }
        self.settle();
    }

    /// The server publishes; the broker of one process answers at once.
    pub fn try_publish(&mut self, channel: &str, publication: NewPublication) -> Result<StreamPosition, PublishError> {
        self.hub.publish(&name(channel), publication).now_or_never().expect("no waiting on the way of a publication")
    }

    /// The server gives an order.
    pub fn order(&mut self, order: Order) -> usize {
        self.hub.order(order).now_or_never().expect("this node alone has nobody to wait for")
    }

    /// The application stores a text and announces it; what is missing before it is read.
    pub async fn post(&mut self, channel: &str, data: &str) {
        let publication = self.rules.store.commit(&name(channel), data);
        self.hub.announce(&name(channel), publication);
        self.hub.heal().await;
        self.settle();
    }

    /// The same, before anybody takes anything.
    pub async fn post_to_others(&mut self, channel: &str, data: &str) {
        let publication = self.rules.store.commit(&name(channel), data);
        self.hub.announce(&name(channel), publication);
        self.hub.heal().await;
    }

    /// Through the hub or through the application, as the channel wants it.
    pub async fn publish_or_post(&mut self, channel: &str, data: &str) {
        if channel.starts_with("room:") { self.post(channel, data).await } else { self.publish(channel, [data]) }
    }

    /// Answers a ping, if there was one.
    pub fn say_pong(&mut self, peer: Who) {
        let replies = &mut self.peers[peer.0].replies;
        let before = replies.len();
        replies.retain(|reply| *reply != Reply::Ping);
        if replies.len() < before {
            self.say(peer, "{}");
        }
    }

    /// The texts published in a channel that a client heard since it was last asked; recovered ones are in replies.
    pub fn heard(&mut self, peer: Who, channel: &str) -> Vec<String> {
        let pubs = self.pushes(peer, channel, |event| matches!(event, PushEvent::Pub(_)));
        texts(pubs.into_iter().map(|event| match event {
            PushEvent::Pub(publication) => publication,
            _ => unreachable!(),
        }))
    }

    /// All pushes in a channel that `wanted` picks, since the client was last asked.
    pub fn pushes(&mut self, peer: Who, channel: &str, wanted: fn(&PushEvent) -> bool) -> Vec<PushEvent> {
        self.settle_one(peer);
        let replies = std::mem::take(&mut self.peers[peer.0].replies);
        let picked =
            |reply: &Reply| matches!(reply, Reply::Push(push) if push.channel == channel && wanted(&push.event));
        let (pushes, rest): (Vec<_>, Vec<_>) = replies.into_iter().partition(picked);
        self.peers[peer.0].replies = rest;
        let event = |reply| match reply {
            Reply::Push(push) => push.event,
            _ => unreachable!(),
        };
        pushes.into_iter().map(event).collect()
    }

    /// Everything that a client received since it was last asked, as JSON.
    pub fn received(&mut self, peer: Who) -> Vec<String> {
        self.settle_one(peer);
        let Client { replies, encoding, .. } = &mut self.peers[peer.0];
        let write = |reply| String::from_utf8(encoding.encode_reply(&reply).unwrap().to_vec()).unwrap();
        std::mem::take(replies).into_iter().map(write).collect()
    }

    pub fn closed(&self, peer: Who) -> Option<u16> {
        self.peers[peer.0].closed.as_ref().map(|disconnect| disconnect.code)
    }

    /// The client's link is gone, and the server knows it.
    pub fn cut(&mut self, peer: Who) {
        self.peers[peer.0].connection = None;
        self.settle();
    }

    /// The client takes nothing from its socket from now on.
    pub fn stop_reading(&mut self, peer: Who) {
        self.peers[peer.0].reads = false;
    }

    /// The client takes what there is again.
    pub fn read_on(&mut self, peer: Who) {
        self.peers[peer.0].reads = true;
        self.settle();
    }

    pub fn connection(&mut self, peer: Who) -> &mut Connection {
        self.peers[peer.0].connection.as_mut().unwrap()
    }

    /// Takes a connection out of the world, as its transport has it.
    pub fn take(&mut self, peer: Who) -> Connection {
        self.peers[peer.0].connection.take().unwrap()
    }

    pub fn presence(&self, channel: &str) -> Vec<String> {
        let by_client: BTreeMap<_, _> = self.hub.presence(&name(channel)).now_or_never().unwrap().unwrap();
        let mut users: Vec<_> = by_client.into_values().map(|info| info.user).collect();
        users.sort();
        users
    }
}

/// How channels in the hub's memory work unless a test says otherwise.
pub fn memory() -> ChannelOptions {
    ChannelOptions {
        history: Source::memory(HISTORY_SIZE, HISTORY_TTL),
        recovery: Offered::Always,
        presence: true,
        join_leave: Offered::OnRequest,
        ..ChannelOptions::default()
    }
}

pub fn name(channel: &str) -> ChannelName {
    ChannelName::parse(channel).unwrap()
}

pub fn text(text: &str) -> Payload {
    Payload::from_value(text).unwrap()
}

pub fn texts(publications: impl IntoIterator<Item = Publication>) -> Vec<String> {
    publications.into_iter().map(|publication| publication.data.unwrap().to_value().unwrap()).collect()
}
