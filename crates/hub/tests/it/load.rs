//! Many at once: slow readers (promise G7), coming and going while others publish (capability 3.8), one order (G3).

use std::io::{self, IoSlice};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::world::{World, name, text};
use bytes::Bytes;
use futures_util::FutureExt;
use tidings_hub::{
    Allowance, Connection, ConnectionOptions, Framing, Hub, Identity, Limits, NewPublication, Order, Remote, Step,
    Taken, Target, Writer,
};
use tidings_protocol::{Disconnect, Error, PresenceStatsResult, PushEvent, Reply, Unsubscribe, json};
use tokio::sync::oneshot;

/// Capability 4.29, S14.
#[tokio::test(start_paused = true)]
async fn g7_a_client_that_never_reads_is_cut_off_from_its_channel_and_a_thousand_others_miss_nothing() {
    let limits = Limits { outbox_bytes_max: 48_000, ..Limits::default() };
    let mut world = World::with(limits.clone());
    let readers: Vec<_> = (0..1_000).map(|number| world.connect(&format!("user{number}"))).collect();
    for reader in &readers {
        world.subscribe(*reader, "news");
    }
    let slow = world.connect("slow");
    let epoch = world.subscribe(slow, "news").epoch;
    world.stop_reading(slow);
    let large = "x".repeat(1_000);
    for round in 0..80 {
        world.publish("news", [&*format!("{round} {large}")]);
        assert!(world.hub.waiting_bytes() <= limits.outbox_bytes_max + 4_000, "{} bytes", world.hub.waiting_bytes());
    }
    for reader in &readers {
        let heard = world.heard(*reader, "news");
        assert_eq!(heard.len(), 80);
        assert!(heard.iter().enumerate().all(|(round, text)| text.starts_with(&format!("{round} "))));
        assert_eq!(world.closed(*reader), None);
    }
    // Its connection works on while its write hangs.
    world.connection(slow).during(pin!(tokio::time::sleep(Duration::from_millis(1)))).await.unwrap();
    assert_eq!(world.hub.waiting_bytes(), 0, "nothing is kept for it");
    world.read_on(slow);
    let heard = world.received(slow);
    assert!(heard.last().unwrap().contains(r#""unsubscribe":{"code":2500"#), "{heard:?}");
    let had = heard.len() as u64 - 1;
    assert!(had < 60, "{had}");
    let resumed = world.resume(slow, "news", had, &epoch);
    assert!(resumed.recovered, "and it goes on where it was");
    assert_eq!(world.hub.metrics().slow_unsubscribed, 1);
}

/// Whom the server subscribed it subscribes again only with a new connection.
#[tokio::test(start_paused = true)]
async fn g7_who_does_not_read_what_the_server_subscribed_it_to_is_closed_with_3008() {
    let mut world = World::with(Limits { outbox_bytes_max: 2_000, ..Limits::default() });
    let slow = world.connect("slow");
    world.order(Order::subscribe(Target::User("slow".into()), name("news")));
    world.settle();
    world.stop_reading(slow);
    for _ in 0..5 {
        world.publish("news", [&*"x".repeat(1_000)]);
    }
    let closed = world.connection(slow).during(std::future::pending::<()>()).await;
    assert_eq!(closed.map_err(|disconnect| disconnect.code), Err(3008));
    assert_eq!(world.connection(slow).next().await, Step::Close(Disconnect::SLOW));
    world.cut(slow);
    assert_eq!(world.hub.metrics().slow_closed, 1, "counted once");
}

/// S14: a place in each of many logs is one reader all the same.
#[tokio::test(start_paused = true)]
async fn g7_all_logs_together_are_bounded_and_whoever_is_furthest_behind_goes_first() {
    let limits = Limits { delivery_bytes_max: 30_000, ..Limits::default() };
    let mut world = World::with(limits.clone());
    let [slow, slower] = ["slow", "slower"].map(|user| world.connect(user));
    for channel in 0..20 {
        world.subscribe(slower, &format!("c{channel}"));
    }
    world.stop_reading(slower);
    world.publish("c0", ["in its hands"]);
    for channel in 0..20 {
        world.publish(&format!("c{channel}"), [&*"x".repeat(1_000)]);
    }
    world.subscribe(slow, "c0");
    world.stop_reading(slow);
    world.publish("c0", ["in its hands"]);
    for channel in (0..20).chain(0..20) {
        world.publish(&format!("c{channel}"), [&*"x".repeat(1_000)]);
        assert!(world.hub.waiting_bytes() <= limits.delivery_bytes_max, "{}", world.hub.waiting_bytes());
    }
    world.read_on(slow);
    assert_eq!(world.heard(slow, "c0").len(), 3, "nobody who is less behind is concerned");
    world.read_on(slower);
    let cut = world.received(slower).iter().filter(|line| line.contains("2500")).count();
    assert!((1..20).contains(&cut), "{cut}");
}

/// However it comes to it: a full outbox at a push, at a reply, or a transport that could not write.
#[tokio::test(start_paused = true)]
async fn every_connection_that_is_closed_with_3008_is_counted_once() {
    let mut world = World::with(Limits { outbox_messages_max: 2, ..Limits::default() });
    let [replies, ordered, stuck, fine] = ["replies", "ordered", "stuck", "fine"].map(|user| world.connect(user));
    world.stop_reading(replies);
    world.say(
        replies,
        &(3..9).map(|id| format!(r#"{{"id":{id},"unsubscribe":{{"channel":"a"}}}}"#)).collect::<Vec<_>>().join("\n"),
    );
    for channel in ["a", "b", "c", "d"] {
        world.subscribe(ordered, channel);
    }
    world.stop_reading(ordered);
    world.order(Order::unsubscribe(Target::User("ordered".into()), None, Unsubscribe::SERVER));
    let _ = world.take(stuck).end(&Disconnect::SLOW);
    let _ = world.take(fine).end(&Disconnect::SHUTDOWN);
    for who in [replies, ordered] {
        assert_eq!(world.connection(who).next().await, Step::Close(Disconnect::SLOW));
        let _ = world.take(who).end(&Disconnect::SLOW);
    }
    assert_eq!(world.hub.metrics().slow_closed, 3);
}

#[tokio::test(start_paused = true)]
async fn a_message_may_be_larger_than_the_bound_for_a_reader_who_keeps_up() {
    let mut world = World::with(Limits { outbox_bytes_max: 100, ..Limits::default() });
    let ana = world.connect("ana");
    world.subscribe(ana, "news");
    world.publish("news", [&*"x".repeat(10_000)]);
    world.publish("news", ["y"]);
    assert_eq!(world.heard(ana, "news").len(), 2);
    world.stop_reading(ana);
    world.publish("news", ["in its hands"]);
    world.publish("news", [&*"x".repeat(10_000)]);
    world.read_on(ana);
    assert!(world.received(ana).concat().contains("2500"), "behind another it is too much");
}

#[tokio::test(start_paused = true)]
async fn a_hanging_write_is_given_up_when_the_client_answers_no_ping() {
    let mut world = World::new();
    let ana = world.connect("ana");
    let closed = world.connection(ana).during(std::future::pending::<()>()).await;
    assert_eq!(closed.map_err(|disconnect| disconnect.code), Err(3012));
}

#[tokio::test(start_paused = true)]
async fn a_hanging_write_gets_a_moment_when_the_server_closes() {
    let mut world = World::new();
    let ana = world.connect("ana");
    let begun = tokio::time::Instant::now();
    world.hub.order(Order::disconnect(Target::All, Disconnect::SHUTDOWN)).await;
    let closed = world.connection(ana).during(pin!(tokio::time::sleep(Duration::from_millis(900)))).await;
    assert!(closed.is_ok());
    let closed = world.connection(ana).during(std::future::pending::<()>()).await;
    assert_eq!(closed.map_err(|disconnect| disconnect.code), Err(3001));
    assert!(begun.elapsed() < Duration::from_millis(1_100));
}

#[tokio::test(start_paused = true)]
async fn a_publication_is_written_and_framed_once_for_all() {
    static FRAMED: AtomicUsize = AtomicUsize::new(0);
    const COUNTED: Framing = Framing::new("counted", |message| {
        FRAMED.fetch_add(1, Ordering::Relaxed);
        message
    });
    let mut world = World::new();
    let readers: Vec<_> = (0..10)
        .map(|_| {
            let identity = Some(Identity { user: "ana".into(), ..Identity::default() });
            let reader = world.open(ConnectionOptions { identity, framing: COUNTED, ..ConnectionOptions::default() });
            world.ask(reader, r#""connect":{}"#);
            world.subscribe(reader, "plain:x");
            reader
        })
        .collect();
    let before = FRAMED.load(Ordering::Relaxed);
    world.try_publish("plain:x", NewPublication::new(text("hello"))).unwrap();
    let mut shared: Vec<Bytes> = Vec::new();
    for reader in readers {
        let Step::Send(frames) = world.connection(reader).next().await else { panic!() };
        shared.extend(frames);
    }
    assert_eq!(FRAMED.load(Ordering::Relaxed) - before, 1);
    assert_eq!(shared.len(), 10);
    assert!(shared.iter().all(|frame| frame == &shared[0]));
}

/// How many times each listener of the crowd comes and goes.
const ROUNDS: usize = 20;

#[tokio::test(start_paused = true)]
async fn the_answers_of_a_reconnect_leave_in_one_frame() {
    let mut world = World::new();
    let ana = world.open(ConnectionOptions::default());
    let subscribes = (2..20).map(|id| format!(r#"{{"id":{id},"subscribe":{{"channel":"plain:{id}"}}}}"#));
    let commands: Vec<_> = [r#"{"id":1,"connect":{"token":"ana"}}"#.to_owned()].into_iter().chain(subscribes).collect();
    let connection = world.connection(ana);
    connection.receive(commands.join("\n").as_bytes());
    let Step::Send(frames) = connection.next().await else { panic!() };
    assert_eq!((frames.len(), json::decode_replies(&frames[0]).unwrap().len()), (1, 19));
}

/// Comes and goes on the multi-threaded runtime, checking what it hears.
async fn listen(hub: Hub, user: usize) -> usize {
    let mut heard = 0;
    for _ in 0..ROUNDS {
        let mut connection = hub.connect(ConnectionOptions::default());
        connection.receive(
            format!("{{\"id\":1,\"connect\":{{\"token\":\"user{user}\"}}}}\n{{\"id\":2,\"subscribe\":{{\"channel\":\"news\"}}}}")
                .as_bytes(),
        );
        let hearing = tokio::time::timeout(Duration::from_secs(60), hear(&mut connection, user));
        heard += hearing.await.expect("those who publish do not stop");
        if user.is_multiple_of(2) {
            connection.receive(br#"{"id":3,"unsubscribe":{"channel":"news"}}"#);
        }
    }
    heard
}

/// Hears five publications, or less when it is thrown out.
async fn hear(connection: &mut Connection, user: usize) -> usize {
    let (mut next, mut heard) = (None, 0);
    while heard < 5 {
        let Step::Send(frames) = connection.next().await else { return heard };
        for reply in frames.iter().flat_map(|frame| json::decode_replies(frame).unwrap()) {
            match reply {
                Reply::Answer { id: 2, result: Ok(tidings_protocol::Response::Subscribe(result)) } => {
                    next = Some(result.offset + 1);
                }
                // Only user3 is unsubscribed from outside, perhaps while it subscribes.
                Reply::Answer { id: 2, result } => {
                    assert_eq!((user, result), (3, Err(Error::PERMISSION_DENIED)));
                    return heard;
                }
                Reply::Push(push) => match push.event {
                    PushEvent::Pub(publication) => {
                        assert_eq!(Some(publication.offset), next, "without gap and duplicate, after the reply");
                        next = Some(publication.offset + 1);
                        heard += 1;
                    }
                    PushEvent::Unsubscribe(_) => return heard,
                    _ => {}
                },
                _ => {}
            }
        }
    }
    heard
}

/// Publishes until `stop`, and says how often.
async fn publish_on(hub: Hub, stop: Arc<AtomicBool>) -> u64 {
    let mut published = 0;
    while !stop.load(Ordering::Relaxed) {
        hub.publish(&name("news"), NewPublication::new(text("x"))).await.unwrap();
        published += 1;
        tokio::task::yield_now().await;
    }
    published
}

/// Capability 3.8; G3: everybody sees one order.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn g3_joining_leaving_and_publishing_at_once_keeps_order_and_leaves_nothing_behind() {
    // They come and go as no caller may.
    let unlimited = Limits { user: Allowance::UNLIMITED, address: Allowance::UNLIMITED, ..Limits::default() };
    let hub = World::with(unlimited).hub;
    let stop = Arc::new(AtomicBool::new(false));
    let publishers: Vec<_> = (0..4).map(|_| tokio::spawn(publish_on(hub.clone(), stop.clone()))).collect();
    let meddler = tokio::spawn({
        let (hub, stop) = (hub.clone(), stop.clone());
        async move {
            while !stop.load(Ordering::Relaxed) {
                hub.order(Order::unsubscribe(Target::User("user3".into()), Some(name("news")), Unsubscribe::SERVER))
                    .await;
                hub.order(Order::disconnect(Target::User("user5".into()), Disconnect::FORCE_RECONNECT)).await;
                hub.presence(&name("news")).await.unwrap();
                hub.sweep().await;
                tokio::task::yield_now().await;
            }
        }
    });
    let listeners: Vec<_> = (0..16).map(|user| tokio::spawn(listen(hub.clone(), user))).collect();
    let mut heard = 0;
    for (user, listener) in listeners.into_iter().enumerate() {
        let its = listener.await.unwrap();
        assert!(its >= 5 * ROUNDS || user == 3 || user == 5, "user{user} heard {its}");
        heard += its;
    }
    stop.store(true, Ordering::Relaxed);
    let mut published = 0;
    for publisher in publishers {
        published += publisher.await.unwrap();
    }
    meddler.await.unwrap();
    assert!(heard >= 14 * 5 * ROUNDS);
    assert_eq!(hub.position(&name("news")).await.unwrap().offset, published);
    let counted = hub.metrics();
    assert_eq!((counted.connections, counted.subscriptions), (0, 0));
    assert!(hub.presence(&name("news")).await.unwrap().is_empty() && hub.connections(&Target::All).is_empty());
    assert_eq!(hub.presence_stats(&name("news")).await, PresenceStatsResult::default());
    assert_eq!(hub.num_users(), 0);
}

/// Hears everything until it is told that the revocation is over, and then what was on its way to it: up to the answer
/// to a command that it sends then. Returns the highest number that it heard.
async fn hear_all(mut connection: Connection, mut over: oneshot::Receiver<()>) -> u64 {
    const LAST: u32 = 9;
    let (mut last, mut asked) = (0, false);
    loop {
        let frames = tokio::select! {
            _ = &mut over, if !asked => {
                asked = true;
                connection.receive(format!(r#"{{"id":{LAST},"rpc":{{"method":"echo"}}}}"#).as_bytes());
                continue;
            }
            step = connection.next() => match step {
                Step::Send(frames) => frames,
                Step::Flush => unreachable!("nobody writes past the task"),
                Step::Read => continue,
                Step::Close(why) => panic!("closed with {}", why.code),
            },
        };
        for reply in frames.iter().flat_map(|frame| json::decode_replies(frame).unwrap()) {
            match reply {
                Reply::Push(push) => {
                    if let PushEvent::Pub(publication) = push.event {
                        last = last.max(publication.offset);
                    }
                }
                Reply::Answer { id: LAST, .. } => return last,
                _ => {}
            }
        }
    }
}

/// G5 under load: the highest number at the moment when the revocation returned is the last that may arrive.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn g5_nothing_published_after_a_revocation_arrives_while_many_publish() {
    let World { hub, rules, .. } = World::new();
    let stop = Arc::new(AtomicBool::new(false));
    let publishers: Vec<_> = (0..2).map(|_| tokio::spawn(publish_on(hub.clone(), stop.clone()))).collect();
    let (mut before, mut during) = (0, 0);
    for round in 0..200 {
        let user = format!("user{round}");
        let mut connection = hub.connect(ConnectionOptions::default());
        let frame = format!(
            "{{\"id\":1,\"connect\":{{\"token\":\"{user}\"}}}}\n{{\"id\":2,\"subscribe\":{{\"channel\":\"news\"}}}}"
        );
        connection.receive(frame.as_bytes());
        let (tell, over) = oneshot::channel();
        let listener = tokio::spawn(hear_all(connection, over));
        // At another moment each time: while it subscribes, and when it has long been hearing.
        for _ in 0..round * 2 {
            tokio::task::yield_now().await;
        }
        rules.ban(&user, "news");
        let ended =
            hub.order(Order::unsubscribe(Target::User(user.clone()), Some(name("news")), Unsubscribe::SERVER)).await;
        let top = hub.position(&name("news")).await.unwrap().offset;
        // It would hear these.
        while hub.position(&name("news")).await.unwrap().offset < top + 5 {
            tokio::task::yield_now().await;
        }
        tell.send(()).unwrap();
        let last = listener.await.unwrap();
        assert!(last <= top, "number {last} arrived, and {top} was the newest when the revocation had returned");
        if ended == 0 { before += 1 } else { during += 1 }
    }
    assert!(during > 0, "no subscription was live when it was taken away: {before} of 200 were not");
    stop.store(true, Ordering::Relaxed);
    for publisher in publishers {
        publisher.await.unwrap();
    }
}

/// S15: tokens that are none do not use up what those behind the same address connect with.
#[tokio::test(start_paused = true)]
async fn whoever_connects_in_vain_shuts_nobody_out_of_its_address() {
    let mut world = World::new();
    let remote = Remote { address: Some("192.0.2.1".parse().unwrap()), ..Remote::default() };
    let here = || ConnectionOptions { remote: remote.clone(), ..ConnectionOptions::default() };
    for _ in 0..=Limits::default().address.connects.burst {
        let mallory = world.open(here());
        world.ask(mallory, r#""connect":{"token":"forged"}"#);
        assert_eq!(world.closed(mallory), Some(Disconnect::INVALID_TOKEN.code));
        world.cut(mallory);
    }
    let ana = world.open(here());
    let id = world.ask(ana, r#""connect":{"token":"ana"}"#);
    assert!(world.answer(ana, id).is_ok());
}

/// A transport that takes everything, until it fails in a way that nobody foresaw.
#[derive(Debug)]
struct Failing(AtomicBool);

impl Writer for Failing {
    fn write(&self, slices: &[IoSlice<'_>], _: &dyn Fn(usize) -> bytes::Bytes) -> io::Result<Taken> {
        assert!(!self.0.load(Ordering::SeqCst), "a test made this fail");
        Ok(Taken { bytes: slices.iter().map(|slice| slice.len()).sum(), is_blocked: false })
    }

    fn bytes_taken(&self) -> usize {
        0
    }
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_fails_ends_the_upkeep_of_the_hub_so_that_it_is_noticed() {
    let mut world = World::new();
    let failing = Arc::new(Failing(AtomicBool::new(false)));
    let ana = world.open(ConnectionOptions { writer: Some(failing.clone()), ..ConnectionOptions::default() });
    world.say(ana, "{\"id\":1,\"connect\":{\"token\":\"ana\"}}\n{\"id\":2,\"subscribe\":{\"channel\":\"news\"}}");
    failing.0.store(true, Ordering::SeqCst);
    world.try_publish("news", NewPublication::new(text("hello"))).unwrap();
    tokio::time::timeout(Duration::from_secs(60), world.hub.maintain()).await.expect("the upkeep ends");
}

/// Where the loop writes, no answer passes the transport, which has yet to know that it may read on.
#[tokio::test(start_paused = true)]
async fn a_transport_that_was_told_not_to_read_is_told_when_it_may_again() {
    let mut world = World::with(Limits { commands_waiting_max: 2, ..Limits::default() });
    let takes_all = Some(Arc::new(Failing(AtomicBool::new(false))) as Arc<dyn Writer>);
    let ana = world.open(ConnectionOptions { writer: takes_all, ..ConnectionOptions::default() });
    world.say(ana, r#"{"id":1,"connect":{"token":"ana"}}"#);
    let thinking = world.rules.hold_answers();
    for _ in 0..3 {
        world.ask(ana, r#""presence":{"channel":"news"}"#);
    }
    assert!(!world.connection(ana).wants_input());
    assert_eq!(world.connection(ana).next().now_or_never(), None);
    thinking.add_permits(3);
    assert_eq!(world.connection(ana).next().now_or_never(), Some(Step::Read));
    assert!(world.connection(ana).wants_input());
    assert_eq!(world.connection(ana).next().now_or_never(), None);
}
