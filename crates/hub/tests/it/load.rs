//! Many at once: slow readers (promise G7), coming and going while others publish (capability 3.8), one order (G3).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::world::{World, name, text};
use bytes::Bytes;
use tidings_hub::{Connection, ConnectionOptions, Framing, Hub, Identity, Limits, NewPublication, Order, Step, Target};
use tidings_protocol::{Disconnect, Error, PushEvent, Reply, Unsubscribe, json};

/// Capability 4.29, S14.
#[tokio::test(start_paused = true)]
async fn g7_a_client_that_never_reads_is_closed_with_3008_and_a_thousand_others_miss_nothing() {
    let limits = Limits { outbox_bytes_max: 20_000, ..Limits::default() };
    let mut world = World::with(limits.clone());
    let readers: Vec<_> = (0..1_000).map(|number| world.connect(&format!("user{number}"))).collect();
    for reader in &readers {
        world.subscribe(*reader, "news");
    }
    let slow = world.connect("slow");
    world.subscribe(slow, "news");
    world.stop_reading(slow);
    let id = world.id_of(slow);
    let large = "x".repeat(1_000);
    let mut most = 0;
    for round in 0..40 {
        world.publish("news", [&*format!("{round} {large}")]);
        most = most.max(world.hub.connections(&Target::Client(id.clone())).first().map_or(0, |slow| slow.queued_bytes));
    }
    assert!(most <= limits.outbox_bytes_max + 2_000, "memory is bounded: {most}");
    assert_eq!(world.hub.connections(&Target::Client(id.clone()))[0].queued_bytes, 0, "and freed when it overflows");
    assert_eq!(world.hub.metrics().slow_closed, 1);
    for reader in &readers {
        let heard = world.heard(*reader, "news");
        assert_eq!(heard.len(), 40);
        assert!(heard.iter().enumerate().all(|(round, text)| text.starts_with(&format!("{round} "))));
        assert_eq!(world.closed(*reader), None);
    }
    // Its write hangs, and the connection tells it to stop.
    let closed = world.connection(slow).during(std::future::pending::<()>()).await;
    assert_eq!(closed.map_err(|disconnect| disconnect.code), Err(3008));
    // Nothing of what was queued is kept for it.
    assert_eq!(world.connection(slow).next().await, Step::Close(Disconnect::SLOW));
}

#[tokio::test(start_paused = true)]
async fn small_messages_count_too() {
    let mut world = World::with(Limits { outbox_messages_max: 10, ..Limits::default() });
    let slow = world.connect("slow");
    world.subscribe(slow, "plain:x");
    world.stop_reading(slow);
    world.publish("plain:x", ["x"; 11]);
    assert_eq!(world.hub.metrics().slow_closed, 1);
}

#[tokio::test(start_paused = true)]
async fn one_message_may_be_larger_than_the_bound_of_a_reader_who_keeps_up() {
    let mut world = World::with(Limits { outbox_bytes_max: 100, ..Limits::default() });
    let ana = world.connect("ana");
    world.subscribe(ana, "news");
    world.publish("news", [&*"x".repeat(10_000), "y"]);
    assert_eq!(world.closed(ana), Some(3008), "a second one behind it is too much");
    let ana = world.connect("ana");
    world.subscribe(ana, "news");
    world.publish("news", [&*"x".repeat(10_000)]);
    world.publish("news", ["y"]);
    assert_eq!(world.heard(ana, "news").len(), 2);
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
    let closed = world.connection(ana).during(tokio::time::sleep(Duration::from_millis(900))).await;
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
    assert!(shared.iter().all(|frame| frame.as_ptr() == shared[0].as_ptr()));
}

/// Drives a connection on the multi-threaded runtime until `stop`, checking what it hears.
async fn listen(hub: Hub, user: usize, stop: Arc<AtomicBool>) -> usize {
    let mut heard = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut connection = hub.connect(ConnectionOptions::default());
        connection.receive(
            format!("{{\"id\":1,\"connect\":{{\"token\":\"user{user}\"}}}}\n{{\"id\":2,\"subscribe\":{{\"channel\":\"news\"}}}}")
                .as_bytes(),
        );
        heard += hear(&mut connection, user).await;
    }
    heard
}

/// Hears some publications, then goes: half of the time politely.
async fn hear(connection: &mut Connection, user: usize) -> usize {
    let (mut next, mut heard) = (None, 0);
    let until = tokio::time::Instant::now() + Duration::from_millis(20);
    while let Ok(Step::Send(frames)) = tokio::time::timeout_at(until, connection.next()).await {
        for reply in frames.iter().flat_map(|frame| json::decode_replies(frame).unwrap()) {
            match reply {
                Reply::Answer { id: 2, result: Ok(tidings_protocol::Response::Subscribe(result)) } => {
                    next = Some(result.offset + 1);
                }
                // Only user3 is unsubscribed from outside, perhaps while it subscribes.
                Reply::Answer { id: 2, result } => assert_eq!((user, result), (3, Err(Error::PERMISSION_DENIED))),
                Reply::Push(push) => {
                    let PushEvent::Pub(publication) = push.event else { continue };
                    assert_eq!(Some(publication.offset), next, "without gap and duplicate, after the reply");
                    next = Some(publication.offset + 1);
                    heard += 1;
                }
                _ => {}
            }
        }
    }
    if user.is_multiple_of(2) {
        connection.receive(br#"{"id":3,"unsubscribe":{"channel":"news"}}"#);
    }
    heard
}

/// Capability 3.8; G3: everybody sees one order.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn g3_joining_leaving_and_publishing_at_once_keeps_order_and_leaves_nothing_behind() {
    let hub = World::new().hub;
    let stop = Arc::new(AtomicBool::new(false));
    let listeners: Vec<_> = (0..16).map(|user| tokio::spawn(listen(hub.clone(), user, stop.clone()))).collect();
    let publishers: Vec<_> = (0..4)
        .map(|_| {
            let (hub, stop) = (hub.clone(), stop.clone());
            tokio::spawn(async move {
                let mut published = 0;
                while !stop.load(Ordering::Relaxed) {
                    hub.publish(&name("news"), NewPublication::new(text("x"))).await.unwrap();
                    published += 1;
                    tokio::task::yield_now().await;
                }
                published
            })
        })
        .collect();
    let meddler = tokio::spawn({
        let (hub, stop) = (hub.clone(), stop.clone());
        async move {
            while !stop.load(Ordering::Relaxed) {
                hub.order(Order::unsubscribe(Target::User("user3".into()), Some(name("news")), Unsubscribe::SERVER))
                    .await;
                hub.order(Order::disconnect(Target::User("user5".into()), Disconnect::FORCE_RECONNECT)).await;
                let _ = hub.presence(&name("news")).await;
                hub.sweep().await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    });
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    stop.store(true, Ordering::Relaxed);
    let mut heard = 0;
    for listener in listeners {
        heard += listener.await.unwrap();
    }
    let mut published = 0;
    for publisher in publishers {
        published += publisher.await.unwrap();
    }
    meddler.await.unwrap();
    assert!(heard > 0 && published > 0);
    assert_eq!(hub.position(&name("news")).await.unwrap().offset, published);
    let counted = hub.metrics();
    assert_eq!((counted.connections, counted.subscriptions), (0, 0));
    assert!(hub.presence(&name("news")).await.is_empty() && hub.connections(&Target::All).is_empty());
    assert_eq!(hub.num_users(), 0);
}

/// G5 under load: the highest number at the moment when the revocation returned is the last that may arrive.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn g5_nothing_published_after_a_revocation_arrives_while_many_publish() {
    let World { hub, rules, .. } = World::new();
    let stop = Arc::new(AtomicBool::new(false));
    let publishers: Vec<_> = (0..2)
        .map(|_| {
            let (hub, stop) = (hub.clone(), stop.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    hub.publish(&name("news"), NewPublication::new(text("x"))).await.unwrap();
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for round in 0..200 {
        let user = format!("user{round}");
        let mut connection = hub.connect(ConnectionOptions::default());
        let frame = format!(
            "{{\"id\":1,\"connect\":{{\"token\":\"{user}\"}}}}\n{{\"id\":2,\"subscribe\":{{\"channel\":\"news\"}}}}"
        );
        let listener = tokio::spawn(async move {
            connection.receive(frame.as_bytes());
            let mut last = 0;
            while let Ok(Step::Send(frames)) = tokio::time::timeout(Duration::from_millis(10), connection.next()).await
            {
                for reply in frames.iter().flat_map(|frame| json::decode_replies(frame).unwrap()) {
                    if let Reply::Push(push) = reply {
                        match push.event {
                            PushEvent::Pub(publication) => last = publication.offset,
                            PushEvent::Unsubscribe(_) => return last,
                            _ => {}
                        }
                    }
                }
            }
            last
        });
        tokio::time::sleep(Duration::from_micros(round * 10)).await;
        rules.ban(&user, "news");
        hub.order(Order::unsubscribe(Target::User(user.clone()), Some(name("news")), Unsubscribe::SERVER)).await;
        let top = hub.position(&name("news")).await.unwrap().offset;
        let last = listener.await.unwrap();
        assert!(last <= top, "number {last} arrived, and {top} was the newest when the revocation had returned");
    }
    stop.store(true, Ordering::Relaxed);
    for publisher in publishers {
        publisher.await.unwrap();
    }
}
