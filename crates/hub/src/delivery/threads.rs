//! Clients, publishers, orders and the loops beside each other, in orders of their threads that `shuttle` chooses: what
//! must hold in every one of them (G3, G5, G7), and that nobody waits for what has happened already.
//!
//! ```text
//! cargo test -p tidings-hub --features shuttle threads                       what `make test` runs: the same orders each time
//! THREADS_SCHEDULES=100000 THREADS_SEED=7 cargo test … threads               more of them, and others
//! THREADS_REPLAY=9102… cargo test … threads::the_name_of_the_test            the order that a failure has printed, again
//! ```
//!
//! A wake-up that is lost shows as `deadlock!`: everybody waits, and no time passes that could help.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::str::FromStr;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use shuttle::rand::{Rng as _, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler};
use shuttle::sync::Condvar;
use shuttle::thread::{self, JoinHandle};
use shuttle::{Config, Runner};
use tidings_protocol::{ConnectRequest, Disconnect, Encoding, Payload, SubscribeRequest, Unsubscribe};
use tokio::runtime::{Builder, Runtime};

use super::{Loops, Taken, Watch, Writer};
use crate::format::Format;
use crate::limits::REPLIES_WHILE_WRITING_MAX;
use crate::outbox::Outbox;
use crate::sharded::lock;
use crate::sync::Mutex;
use crate::{
    Accepted, Application, ChannelName, ChannelOptions, Connection, ConnectionOptions, Framing, Grant, Hub, Identity,
    Limits, NewPublication, Offered, Order, Peer, Policy, PublishGrant, Refusal, Source, Step, Target,
};

/// Orders to try for each test unless `THREADS_SCHEDULES` says otherwise: all tests together take some seconds.
const SCHEDULES: usize = 600;
/// How often one thread is stopped in favour of the others, for as long as these can go on, in most of them; a quarter goes to
/// and fro at random.
const PREEMPTIONS: usize = 3;
/// What a socket takes at a time, less than most messages: nearly every write is cut.
const SIP: usize = 90;
const LINES: Framing = Framing::new("lines", |message| [&*message, b"\n"].concat().into());

/// For the deadlines of connections, which never come: nobody drives it.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_current_thread().enable_time().build().unwrap());

/// Runs a scenario in many orders of its threads, for clients to whom their loop writes and for others.
fn in_every_order(scenario: fn(By)) {
    fn variable<T: FromStr>(name: &str) -> Option<T> {
        std::env::var(name).ok().and_then(|value| value.parse().ok())
    }
    let scenario = move || scenario(if thread_rng().gen_bool(0.5) { By::ItsLoop } else { By::ItsTask });
    let _entered = RUNTIME.enter();
    let mut config = Config::new();
    config.stack_size = 256 << 10;
    config.silence_warnings = true;
    config.ungraceful_shutdown_config.immediately_return_on_panic = true;
    if let Some(schedule) = variable::<String>("THREADS_REPLAY") {
        Runner::new(ReplayScheduler::new_from_encoded(&schedule), config).run(scenario);
        return;
    }
    let schedules = variable("THREADS_SCHEDULES").unwrap_or(SCHEDULES);
    let seed = variable("THREADS_SEED").unwrap_or(1);
    Runner::new(RandomScheduler::new_from_seed(seed, schedules / 4), config.clone()).run(scenario);
    Runner::new(PctScheduler::new_from_seed(seed, PREEMPTIONS, schedules - schedules / 4), config).run(scenario);
}

/// Everybody may do everything.
struct Anybody(Arc<ChannelOptions>);

impl Policy for Anybody {
    fn connect<'a>(&'a self, client: &'a Peer, _: &'a ConnectRequest) -> BoxFuture<'a, Result<Accepted, Refusal>> {
        let identity = client.identity().cloned().unwrap_or_default();
        async { Ok(Accepted { identity, ..Accepted::default() }) }.boxed()
    }

    fn subscribe<'a>(
        &'a self,
        _: &'a Peer,
        _: &'a ChannelName,
        _: &'a SubscribeRequest,
    ) -> BoxFuture<'a, Result<Grant, Refusal>> {
        async { Ok(Grant::default()) }.boxed()
    }

    fn publish<'a>(
        &'a self,
        _: &'a Peer,
        _: &'a ChannelName,
        _: &'a Payload,
    ) -> BoxFuture<'a, Result<PublishGrant, Refusal>> {
        async { Ok(PublishGrant::default()) }.boxed()
    }

    fn presence<'a>(&'a self, _: &'a Peer, _: &'a ChannelName) -> BoxFuture<'a, Result<(), Refusal>> {
        async { Ok(()) }.boxed()
    }

    fn history<'a>(&'a self, _: &'a Peer, _: &'a ChannelName) -> BoxFuture<'a, Result<(), Refusal>> {
        async { Ok(()) }.boxed()
    }

    fn options(&self, _: &ChannelName) -> Arc<ChannelOptions> {
        self.0.clone()
    }
}

/// Answers a call of `much` with as much as a client may leave unread before its commands wait, and others with nothing.
struct Generous;

static MUCH: LazyLock<Payload> = LazyLock::new(|| Payload::from_value(&"x".repeat(REPLIES_WHILE_WRITING_MAX)).unwrap());

impl Application for Generous {
    fn rpc<'a>(
        &'a self,
        _: &'a Peer,
        method: &'a str,
        _: Option<&'a Payload>,
    ) -> BoxFuture<'a, Result<Option<Payload>, Refusal>> {
        async move { Ok((method == "much").then(|| MUCH.clone())) }.boxed()
    }
}

/// A hub whose loops run as threads among the others.
fn hub(loops: usize, limits: Limits) -> Hub {
    let options = ChannelOptions {
        history: Source::memory(100, Duration::from_secs(60)),
        recovery: Offered::Always,
        ..ChannelOptions::default()
    };
    let policy = Arc::new(Anybody(Arc::new(options)));
    let hub = Hub::builder(policy).application(Arc::new(Generous)).loops(loops).limits(limits).build();
    // With the first connection the loops would begin on tokio's runtime, were there no task yet.
    lock(&hub.core.loops.tasks).push(tokio::spawn(async {}));
    for one in &hub.core.loops.all {
        drop(shuttle::future::spawn(one.clone().run(Watch(Arc::default()))));
    }
    hub
}

fn channel(name: &str) -> ChannelName {
    ChannelName::parse(name).unwrap()
}

fn publish(hub: &Hub, to: &str, text: &str) -> u64 {
    let publication = NewPublication::new(Payload::from_value(text).unwrap());
    hub.publish(&channel(to), publication).now_or_never().expect("at once").unwrap().offset
}

fn order(hub: &Hub, order: Order) {
    hub.order(order).now_or_never().expect("at once");
}

/// A publisher's thread.
fn publisher(hub: &Hub, to: &'static str, texts: &'static [&'static str]) -> JoinHandle<()> {
    let hub = hub.clone();
    thread::spawn(move || {
        for text in texts {
            publish(&hub, to, text);
        }
    })
}

/// Two ends of a wire that holds a [`SIP`] at a time: one for the connection, one for its client.
#[derive(Debug, Default)]
struct Socket {
    wire: Mutex<Wire>,
    for_client: Condvar,
}

#[derive(Debug, Default)]
struct Wire {
    /// What it takes before the client reads again.
    room: usize,
    /// The rest of a frame that was cut.
    rest: Vec<u8>,
    seen: Vec<u8>,
    said: VecDeque<String>,
    task: Option<Waker>,
    /// The client is gone.
    is_cut: bool,
    closed: Option<u16>,
}

impl Wire {
    fn take(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.room);
        self.room -= taken;
        self.seen.extend_from_slice(&bytes[..taken]);
        taken
    }

    /// Whether nothing is left of a frame that was cut, and there is room.
    fn flush(&mut self) -> bool {
        let mut rest = std::mem::take(&mut self.rest);
        let taken = self.take(&rest);
        rest.drain(..taken);
        self.rest = rest;
        self.room > 0
    }

    fn wait<T>(&mut self, cx: &Context<'_>) -> Poll<T> {
        self.task = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// The client is gone.
struct Cut;

impl Socket {
    async fn receive(&self) -> Option<String> {
        poll_fn(|cx| {
            let mut wire = lock(&self.wire);
            match wire.said.pop_front() {
                None if !wire.is_cut => wire.wait(cx),
                said => Poll::Ready(said),
            }
        })
        .await
    }

    async fn write(&self, frames: Vec<Bytes>) -> Result<(), Cut> {
        lock(&self.wire).rest.extend(frames.concat());
        self.flush().await
    }

    async fn flush(&self) -> Result<(), Cut> {
        poll_fn(|cx| {
            let mut wire = lock(&self.wire);
            if wire.is_cut {
                return Poll::Ready(Err(Cut));
            }
            let is_flushed = wire.flush();
            self.for_client.notify_all();
            if is_flushed { Poll::Ready(Ok(())) } else { wire.wait(cx) }
        })
        .await
    }

    /// What a transport does.
    async fn carry(&self, mut connection: Connection) {
        let why = loop {
            tokio::select! {
                biased;
                said = self.receive(), if connection.wants_input() => match said {
                    Some(frame) => connection.receive(frame.as_bytes()),
                    None => return,
                },
                step = connection.next() => {
                    let written = match step {
                        Step::Send(frames) => connection.during(Box::pin(self.write(frames))).await,
                        Step::Flush => connection.during(Box::pin(self.flush())).await,
                        Step::Read => continue,
                        Step::Close(why) => break why,
                    };
                    match written {
                        Ok(Ok(())) => {}
                        Ok(Err(Cut)) => return,
                        Err(why) => break why,
                    }
                }
            }
        };
        drop(connection.end(&why));
        lock(&self.wire).closed = Some(why.code);
        self.for_client.notify_all();
    }
}

impl Writer for Socket {
    fn write(&self, slices: &[IoSlice<'_>], rest_of: &dyn Fn(usize) -> Bytes) -> io::Result<Taken> {
        let mut wire = lock(&self.wire);
        if !wire.rest.is_empty() && !wire.flush() {
            return Ok(Taken { bytes: 0, is_blocked: true });
        }
        let all = slices.iter().map(|slice| &**slice).collect::<Vec<_>>().concat();
        let taken = wire.take(&all);
        let more = if taken == all.len() { Bytes::new() } else { rest_of(taken) };
        wire.rest.extend_from_slice(&more);
        self.for_client.notify_all();
        Ok(Taken { bytes: taken + more.len(), is_blocked: taken < all.len() })
    }

    fn bytes_taken(&self) -> usize {
        lock(&self.wire).seen.len()
    }
}

/// Who writes to a client.
#[derive(Clone, Copy)]
enum By {
    ItsLoop,
    ItsTask,
}

/// A client, beside the task that carries its connection.
struct Client {
    socket: Arc<Socket>,
    task: JoinHandle<()>,
    sip: usize,
}

impl Client {
    /// Connects, and subscribes to a channel.
    fn open(hub: &Hub, by: By, user: &str, to: &str) -> Self {
        let client = Self::connect(hub, by, user);
        client.say(&format!("{{\"id\":2,\"subscribe\":{{\"channel\":\"{to}\"}}}}"));
        client
    }

    fn connect(hub: &Hub, by: By, user: &str) -> Self {
        let socket = Arc::new(Socket::default());
        let options = ConnectionOptions {
            identity: Some(Identity { user: user.to_owned(), ..Identity::default() }),
            framing: LINES,
            writer: matches!(by, By::ItsLoop).then(|| socket.clone() as Arc<dyn Writer>),
            ..ConnectionOptions::default()
        };
        let connection = hub.connect(options);
        let task = {
            let socket = socket.clone();
            thread::spawn(move || shuttle::future::block_on(async move { socket.carry(connection).await }))
        };
        let client = Self { socket, task, sip: SIP };
        client.say("{\"id\":1,\"connect\":{}}");
        client
    }

    fn say(&self, frame: &str) {
        self.change(|wire| wire.said.push_back(frame.to_owned()));
    }

    /// Goes away without a word.
    fn cut(&self) {
        self.change(|wire| wire.is_cut = true);
    }

    fn change(&self, change: impl FnOnce(&mut Wire)) {
        let mut wire = lock(&self.socket.wire);
        change(&mut wire);
        let task = wire.task.take();
        drop(wire);
        if let Some(task) = task {
            task.wake();
        }
    }

    /// Reads, a sip at a time, until it has seen what it waits for.
    fn read_until(&self, is_enough: impl Fn(&str, &Wire) -> bool) -> String {
        loop {
            let wire = lock(&self.socket.wire);
            let seen = str::from_utf8(&wire.seen).unwrap();
            if is_enough(seen, &wire) {
                return seen.to_owned();
            }
            if wire.room == 0 {
                drop(wire);
                self.change(|wire| wire.room = self.sip);
            } else {
                drop(self.socket.for_client.wait(wire).unwrap());
            }
        }
    }

    /// What it has seen when it has seen the whole line with this.
    fn read_to(&self, what: &str) -> String {
        self.read_until(|seen, _| seen.split_once(what).is_some_and(|(_, behind)| behind.contains('\n')))
    }

    /// What it has seen when it is closed, and the code.
    fn read_to_close(&self) -> (String, u16) {
        let seen = self.read_until(|_, wire| wire.closed.is_some());
        (seen, lock(&self.socket.wire).closed.unwrap())
    }

    fn done(self) {
        self.cut();
        self.task.join().unwrap();
    }
}

/// The numbers that somebody saw in a channel: where its subscription began, and what came.
fn numbers(seen: &str, of: &str) -> (u64, Vec<u64>) {
    let offset = |line: &str| {
        let (_, behind) = line.split_once("\"offset\":")?;
        behind.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u64>().ok()
    };
    let begins = seen.lines().find(|line| line.contains("\"subscribe\":{")).and_then(offset).unwrap_or(0);
    let of = format!("\"push\":{{\"channel\":\"{of}\",\"pub\"");
    (begins, seen.lines().filter(|line| line.contains(&of)).filter_map(offset).collect())
}

/// G3: all that was published behind its beginning, up to a number, once and in order.
#[track_caller]
fn assert_whole(seen: &str, of: &str, up_to: u64) {
    let (begins, came) = numbers(seen, of);
    assert_eq!(came, (begins + 1..=up_to).collect::<Vec<_>>(), "behind {begins} in\n{seen}");
}

/// Text that a subscription that is live has been answered with, and others.
const SUBSCRIBED: &str = "\"id\":2,\"subscribe\":";
const UNSUBSCRIBED: &str = "\"unsubscribe\":";

#[test]
fn g3_a_reader_gets_everything_in_order_however_little_it_takes_at_a_time() {
    in_every_order(|by| {
        let hub = hub(1, Limits::default());
        let publishers = [publisher(&hub, "room", &["a", "b"]), publisher(&hub, "room", &["c"])];
        let ana = Client::open(&hub, by, "ana", "room");
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        ana.read_to(SUBSCRIBED);
        assert_eq!(publish(&hub, "room", "the last"), 4);
        assert_whole(&ana.read_to("the last"), "room", 4);
        ana.done();
    });
}

#[test]
fn g3_readers_of_two_loops_get_the_same_in_the_same_order() {
    in_every_order(|by| {
        let hub = hub(2, Limits::default());
        let clients = [(by, "ana"), (By::ItsTask, "bea")].map(|(by, user)| Client::open(&hub, by, user, "room"));
        let publishers = [publisher(&hub, "room", &["a"]), publisher(&hub, "room", &["b"])];
        clients.iter().for_each(|client| _ = client.read_to(SUBSCRIBED));
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        assert_eq!(publish(&hub, "room", "the last"), 3);
        for client in clients {
            assert_whole(&client.read_to("the last"), "room", 3);
            client.done();
        }
    });
}

/// Its reply holds nothing of what it missed: a piece at a time comes behind it, and then what is published meanwhile.
#[test]
fn g3_who_missed_much_gets_it_before_what_is_published_meanwhile() {
    in_every_order(|by| {
        let hub = hub(1, Limits { recovery_reply_bytes_max: 0, ..Limits::default() });
        let bea = Client::open(&hub, By::ItsLoop, "bea", "room");
        bea.read_to(SUBSCRIBED);
        publish(&hub, "room", "a");
        publish(&hub, "room", "b");
        let position = hub.position(&channel("room")).now_or_never().unwrap().unwrap();
        let ana = Client::connect(&hub, by, "ana");
        let others = publisher(&hub, "room", &["c", "d"]);
        let from = format!("\"recover\":true,\"epoch\":\"{}\",\"offset\":0", position.epoch);
        ana.say(&format!("{{\"id\":2,\"subscribe\":{{\"channel\":\"room\",{from}}}}}"));
        ana.read_to(SUBSCRIBED);
        others.join().unwrap();
        assert_eq!(publish(&hub, "room", "the last"), 5);
        let seen = ana.read_to("the last");
        assert_eq!(numbers(&seen, "room").1, [1, 2, 3, 4, 5], "{seen}");
        [ana, bea].into_iter().for_each(Client::done);
    });
}

#[test]
fn answers_come_in_the_order_of_the_questions_while_others_publish() {
    in_every_order(|by| {
        let hub = hub(1, Limits::default());
        let ana = Client::open(&hub, by, "ana", "room");
        let others = publisher(&hub, "room", &["a", "b"]);
        ana.say("{\"id\":3,\"rpc\":{}}\n{\"id\":4,\"rpc\":{}}");
        ana.say("{\"id\":5,\"rpc\":{}}");
        let seen = ana.read_to("\"id\":5");
        let answers: Vec<_> = (1..=5).filter_map(|id| seen.find(&format!("{{\"id\":{id},"))).collect();
        assert!(answers.len() == 5 && answers.is_sorted(), "{seen}");
        others.join().unwrap();
        ana.done();
    });
}

#[test]
fn whoever_asks_for_more_than_it_may_leave_unread_gets_all_answers() {
    in_every_order(|by| {
        let hub = hub(1, Limits::default());
        let mut ana = Client::open(&hub, by, "ana", "room");
        ana.sip = usize::MAX;
        ana.read_to(SUBSCRIBED);
        let others = publisher(&hub, "room", &["a", "b", "c"]);
        ana.say("{\"id\":3,\"rpc\":{\"method\":\"much\"}}\n{\"id\":4,\"rpc\":{}}\n{\"id\":5,\"rpc\":{}}");
        ana.read_to("\"id\":5");
        others.join().unwrap();
        ana.done();
    });
}

/// A client that is subscribed to the room, and has heard its first publication.
fn hearing(hub: &Hub, by: By) -> Client {
    let ana = Client::open(hub, by, "ana", "room");
    ana.read_to(SUBSCRIBED);
    publish(hub, "room", "the first");
    ana.read_to("the first");
    ana
}

#[test]
fn g5_who_is_disconnected_gets_what_came_before_and_nothing_later() {
    in_every_order(|by| {
        let hub = hub(1, Limits::default());
        let ana = hearing(&hub, by);
        let others = publisher(&hub, "room", &["between"]);
        let before = publish(&hub, "room", "before");
        order(&hub, Order::disconnect(Target::User("ana".into()), Disconnect::FORCE_DISCONNECT));
        publish(&hub, "room", "later");
        let (seen, code) = ana.read_to_close();
        assert_eq!(code, Disconnect::FORCE_DISCONNECT.code);
        assert!(!seen.contains("later"), "{seen}");
        let last = numbers(&seen, "room").1.last().copied();
        assert_whole(&seen, "room", last.unwrap_or(0).max(before));
        others.join().unwrap();
        ana.done();
    });
}

#[test]
fn who_is_disconnected_is_told_though_nothing_else_happens() {
    in_every_order(|by| {
        let hub = hub(1, Limits::default());
        let ana = Client::open(&hub, by, "ana", "room");
        ana.read_to(SUBSCRIBED);
        publisher(&hub, "room", &["a"]).join().unwrap();
        ana.read_to("\"a\"");
        order(&hub, Order::disconnect(Target::User("ana".into()), Disconnect::FORCE_DISCONNECT));
        let (_, code) = ana.read_to_close();
        assert_eq!(code, Disconnect::FORCE_DISCONNECT.code);
        ana.done();
    });
}

#[test]
fn g5_who_is_unsubscribed_gets_what_came_before_and_nothing_later() {
    in_every_order(|by| {
        let hub = hub(1, Limits::default());
        let ana = hearing(&hub, by);
        // With somebody else there the channel goes on.
        let bea = Client::open(&hub, By::ItsLoop, "bea", "room");
        bea.read_to(SUBSCRIBED);
        let others = publisher(&hub, "room", &["between"]);
        publish(&hub, "room", "before");
        order(&hub, Order::unsubscribe(Target::User("ana".into()), Some(channel("room")), Unsubscribe::SERVER));
        publish(&hub, "room", "later");
        assert!(ana.read_to(UNSUBSCRIBED).contains("before"));
        others.join().unwrap();
        // What is written to her later is behind everything that was to be written before.
        ana.say(r#"{"id":3,"subscribe":{"channel":"other"}}"#);
        ana.read_to("\"id\":3");
        publish(&hub, "other", "the last");
        let seen = ana.read_to("the last");
        let (_, behind) = seen.split_once(UNSUBSCRIBED).unwrap();
        assert!(!seen.contains("later") && numbers(behind, "room").1.is_empty(), "{seen}");
        [ana, bea].into_iter().for_each(Client::done);
    });
}

#[test]
fn g7_who_is_cut_off_from_its_channel_finds_everything_when_it_comes_back() {
    in_every_order(|by| {
        let hub = hub(1, Limits { outbox_bytes_max: 300, ..Limits::default() });
        let ana = Client::open(&hub, by, "ana", "room");
        let (begins, _) = numbers(&ana.read_to(SUBSCRIBED), "room");
        let publishers = [publisher(&hub, "room", &["a", "b", "c"]), publisher(&hub, "room", &["d", "e"])];
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        let has_all = |seen: &str| numbers(seen, "room").1.last() == Some(&5);
        let is_cut_off = |seen: &str| seen.contains("\"unsubscribe\":{\"code\":2500");
        let seen = ana.read_until(|seen, _| has_all(seen) || is_cut_off(seen));
        let (_, mut came) = numbers(&seen, "room");
        if !has_all(&seen) {
            let (_, behind) = seen.split_once("\"epoch\":\"").unwrap();
            let (epoch, _) = behind.split_once('"').unwrap();
            let had = came.last().copied().unwrap_or(begins);
            let from = format!("\"recover\":true,\"epoch\":\"{epoch}\",\"offset\":{had}");
            ana.say(&format!("{{\"id\":3,\"subscribe\":{{\"channel\":\"room\",{from}}}}}"));
            let seen = ana.read_to("\"id\":3");
            let answer = seen.lines().find(|line| line.contains("\"id\":3")).unwrap();
            came.extend((had + 1..=5).filter(|number| answer.contains(&format!("\"offset\":{number}"))));
        }
        assert_eq!(came, (begins + 1..=5).collect::<Vec<_>>(), "{seen}");
        ana.done();
    });
}

/// Ana goes while she is written to and taken out of her channel, and Bea, who comes, mostly gets her slot.
#[test]
fn who_comes_while_somebody_goes_gets_nothing_of_theirs() {
    in_every_order(|by| {
        let hub = hub(1, Limits::default());
        let mut ana = Client::open(&hub, by, "ana", "room");
        ana.sip = usize::MAX;
        ana.read_to(SUBSCRIBED);
        let (to, room) = (Target::User("ana".into()), Some(channel("room")));
        let out = if thread_rng().gen_bool(0.5) {
            Order::unsubscribe(to, room, Unsubscribe::SERVER)
        } else {
            Order::disconnect(to, Disconnect::FORCE_DISCONNECT)
        };
        let orders = {
            let hub = hub.clone();
            thread::spawn(move || {
                publish(&hub, "room", "a");
                order(&hub, out);
            })
        };
        ana.cut();
        let mut bea = Client::open(&hub, by, "bea", "room");
        bea.sip = usize::MAX;
        bea.read_to(SUBSCRIBED);
        orders.join().unwrap();
        publish(&hub, "room", "the last");
        let seen = bea.read_to("the last");
        assert_whole(&seen, "room", 2);
        assert!(!seen.contains(UNSUBSCRIBED), "{seen}");
        [ana, bea].into_iter().for_each(Client::done);
    });
}

/// Who still knows Ana may speak to her when she is gone and Bea has her slot.
#[test]
fn what_is_said_to_somebody_who_is_gone_reaches_nobody_else() {
    in_every_order(|_| {
        let limits = Arc::new(Limits::default());
        let loops = Loops::new(1, &limits, &Arc::default());
        lock(&loops.tasks).push(tokio::spawn(async {}));
        let open = || {
            let socket = Arc::new(Socket::default());
            lock(&socket.wire).room = usize::MAX;
            let format = Format { encoding: Encoding::Json, framing: LINES };
            (Outbox::open(loops.assign(), Some(socket.clone()), format), socket)
        };
        let (ana, _) = open();
        let late = [0, 1].map(|number| {
            let (ana, limits) = (ana.clone(), limits.clone());
            thread::spawn(move || match number {
                0 => _ = ana.reply(Bytes::from("for Ana"), &limits),
                _ => ana.close(Disconnect::FORCE_DISCONNECT),
            })
        });
        ana.close(Disconnect::CONNECTION_CLOSED);
        ana.gone();
        loops.run_dry();
        let (bea, socket) = open();
        assert_eq!(bea.slot, ana.slot);
        late.into_iter().for_each(|thread| thread.join().unwrap());
        bea.reply(Bytes::from("for Bea"), &limits);
        bea.wake();
        loops.run_dry();
        assert_eq!(str::from_utf8(&lock(&socket.wire).seen), Ok("for Bea\n"));
    });
}
