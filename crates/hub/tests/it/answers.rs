//! What waits for clients that ask and do not read, and what the server wants of them meanwhile (S14): bounded for each of
//! them and for all together.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::world::{Who, World, name, text};
use tidings_hub::limits::{ANSWER_BYTES_MIN, ORDERS_WAITING_MAX};
use tidings_hub::{ConnectionOptions, Identity, Limits, Order, Step, Taken, Target, Writer};
use tidings_protocol::{Error, Response, json};
use tokio::time::{Instant, sleep, timeout};

const PUBLICATION: usize = 10_000;

fn publish(world: &mut World, publications: usize) {
    for _ in 0..publications {
        world.publish("news", [&*"x".repeat(PUBLICATION)]);
    }
}

/// One frame that asks for all of it over and over.
fn ask_for_history(times: u32) -> String {
    let ask = |id| format!(r#"{{"id":{id},"history":{{"channel":"news","limit":-1,"reverse":true}}}}"#);
    (101..=100 + times).map(ask).collect::<Vec<_>>().join("\n")
}

async fn ask_and_do_not_read(world: &mut World, who: Who, frame: &str) {
    world.stop_reading(who);
    world.say(who, frame);
    // Its task works on while its write hangs.
    world.connection(who).during(Box::pin(sleep(Duration::from_millis(1)))).await.unwrap();
    world.settle();
}

#[tokio::test(start_paused = true)]
async fn s14_what_is_answered_to_all_who_do_not_read_is_bounded_and_whoever_reads_gets_on() {
    let limits = Limits { answers_bytes_max: 1 << 20, ..Limits::default() };
    let mut world = World::with(limits.clone());
    publish(&mut world, 40);
    let deaf: Vec<_> = (0..30).map(|number| world.connect(&format!("deaf {number}"))).collect();
    for one in &deaf {
        ask_and_do_not_read(&mut world, *one, &ask_for_history(3)).await;
    }
    let more_each = 2 * ANSWER_BYTES_MIN + PUBLICATION;
    let bound = limits.answers_bytes_max + deaf.len() * more_each;
    let unwritten = world.hub.unwritten_reply_bytes();
    assert!((limits.answers_bytes_max / 2..bound).contains(&unwritten), "{unwritten} bytes");

    let ana = world.connect("ana");
    let (mut seen, mut since) = (0, String::new());
    while seen < 40 {
        let id = world.ask(ana, &format!(r#""history":{{"channel":"news","limit":-1,"reverse":true{since}}}"#));
        let Ok(Response::History(page)) = world.answer(ana, id) else { panic!("nobody is refused") };
        seen += page.publications.len();
        let last = page.publications.last().expect("always one").offset;
        since = format!(r#","since":{{"offset":{last},"epoch":"{}"}}"#, page.epoch);
    }

    for one in &deaf[1..] {
        world.read_on(*one);
        assert!((101..=103).all(|id| world.answer(*one, id).is_ok()), "nothing is lost");
    }
    assert_eq!(world.closed(deaf[0]), None);
    world.cut(deaf[0]);
    assert_eq!(world.hub.unwritten_reply_bytes(), 0, "what nobody waits for is given back");
}

/// A socket that takes whole frames, and keeps the rest of the last while it is full.
#[derive(Debug, Default)]
struct Socket(AtomicBool);

impl Writer for Socket {
    fn write(&self, slices: &[IoSlice<'_>], _: &dyn Fn(usize) -> bytes::Bytes) -> io::Result<Taken> {
        let bytes = slices.iter().map(|slice| slice.len()).sum();
        Ok(Taken { bytes, is_blocked: self.0.load(Ordering::SeqCst) })
    }

    fn bytes_taken(&self) -> usize {
        0
    }
}

#[tokio::test(start_paused = true)]
async fn s14_what_a_socket_has_not_taken_of_an_answer_counts_until_it_has() {
    let mut world = World::new();
    publish(&mut world, 40);
    let socket = Arc::new(Socket::default());
    let ana = world.open(ConnectionOptions { writer: Some(socket.clone()), ..ConnectionOptions::default() });
    world.say(ana, r#"{"id":1,"connect":{"token":"ana"}}"#);
    assert_eq!(world.hub.unwritten_reply_bytes(), 0);
    socket.0.store(true, Ordering::SeqCst);
    ask_and_do_not_read(&mut world, ana, &ask_for_history(2)).await;
    let unwritten = world.hub.unwritten_reply_bytes();
    assert!((400_000..500_000).contains(&unwritten), "one of them, and the other has not begun: {unwritten} bytes");
    assert_eq!(world.connection(ana).next().await, Step::Flush);
    socket.0.store(false, Ordering::SeqCst);
    // It has been flushed, so the other begins.
    assert!(timeout(Duration::from_secs(1), world.connection(ana).next()).await.is_err(), "all is written");
    assert_eq!(world.hub.unwritten_reply_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_waits_for_earlier_answers_begins_when_the_task_has_written_them() {
    let mut world = World::new();
    publish(&mut world, 40);
    let ana = world.connect("ana");
    let mut connection = world.take(ana);
    connection.receive(ask_for_history(5).as_bytes());
    let (began, mut answers) = (Instant::now(), 0);
    while answers < 5 {
        let step = connection.next().await;
        let Step::Send(frames) = step else { panic!("{step:?}") };
        answers += frames.iter().flat_map(|frame| json::decode_replies(frame).unwrap()).count();
    }
    assert_eq!(began.elapsed(), Duration::ZERO, "no ping has to wake it");
}

#[tokio::test(start_paused = true)]
async fn s14_more_subscriptions_than_a_connection_may_have_do_not_wait_for_who_does_not_read() {
    let mut world = World::with(Limits { outbox_bytes_max: 8 << 20, ..Limits::default() });
    publish(&mut world, 40);
    let [ana, ben] = ["ana", "ben"].map(|user| world.connect(user));
    for who in [ana, ben] {
        ask_and_do_not_read(&mut world, who, &ask_for_history(2)).await;
    }
    for number in 0..10_000 {
        // One and the same is wanted once.
        world.order(Order::subscribe(Target::User("ben".into()), name("always")));
        if number <= 128 {
            world.order(Order::subscribe(Target::User("ana".into()), name(&format!("c{number}"))));
        }
        if number % 100 == 0 {
            world.connection(ana).during(std::future::ready(())).await.unwrap();
            let _ = world.connection(ben).during(Box::pin(sleep(Duration::from_micros(1)))).await;
            let _ = world.connection(ana).during(Box::pin(sleep(Duration::from_micros(1)))).await;
        }
    }
    for who in [ana, ben] {
        world.read_on(who);
    }
    assert_eq!(world.closed(ana), Some(3505), "as when it reads");
    assert_eq!(world.closed(ben), None);
    assert!(world.received(ben).concat().contains(r#""channel":"always","subscribe""#));
}

#[tokio::test(start_paused = true)]
async fn s14_orders_that_a_connection_does_not_come_to_carry_out_are_bounded() {
    let mut world = World::new();
    let [ana, ben] = ["ana", "ben"].map(|user| world.connect(user));
    for who in [ana, ben] {
        world.stop_reading(who);
    }
    for _ in 0..ORDERS_WAITING_MAX {
        world.order(Order::subscribe(Target::All, name("news")));
    }
    world.order(Order::refresh(Target::User("ben".into()), None));
    for who in [ana, ben] {
        world.read_on(who);
    }
    assert_eq!(world.closed(ana), None);
    assert_eq!(world.closed(ben), Some(3008), "it comes back, and the server decides anew");
    assert_eq!(world.hub.metrics().slow_closed, 1);
}

/// What applications attach to connections is told to whoever asks who is there.
#[tokio::test(start_paused = true)]
async fn a_presence_reply_has_a_limit_in_bytes_and_waits_where_others_have_not_read_theirs() {
    let mut world = World::with(Limits { answers_bytes_max: 32 << 20, ..Limits::default() });
    let connect = |world: &mut World, user: &str, channel: &str, bytes: usize| {
        let info = Some(text(&"i".repeat(bytes)));
        let identity = Identity { user: user.into(), info, ..Identity::default() };
        let who = world.open(ConnectionOptions { identity: Some(identity), ..ConnectionOptions::default() });
        let id = world.ask(who, r#""connect":{}"#);
        assert!(world.answer(who, id).is_ok());
        world.subscribe(who, channel);
        who
    };
    for number in 0..5 {
        connect(&mut world, &format!("m{number}"), "large", 1 << 20);
        connect(&mut world, &format!("n{number}"), "news", 300 << 10);
    }
    let ana = world.connect("ana");
    for (channel, refusal) in [("large", Some(Error::LIMIT_EXCEEDED)), ("news", None)] {
        let id = world.ask(ana, &format!(r#""presence":{{"channel":"{channel}"}}"#));
        assert_eq!(world.answer(ana, id).err(), refusal, "{channel}");
    }
    let deaf: Vec<_> = (0..40).map(|number| world.connect(&format!("deaf {number}"))).collect();
    for who in &deaf {
        ask_and_do_not_read(&mut world, *who, r#"{"id":9,"presence":{"channel":"news"}}"#).await;
    }
    let unwritten = world.hub.unwritten_reply_bytes();
    assert!(unwritten <= 32 << 20, "{unwritten} bytes");
    let id = world.ask(ana, r#""presence":{"channel":"news"}"#);
    assert_eq!(world.answer(ana, id).err(), Some(Error::TOO_MANY_REQUESTS));
    for who in deaf {
        world.cut(who);
    }
    let id = world.ask(ana, r#""presence":{"channel":"news"}"#);
    assert!(world.answer(ana, id).is_ok(), "for the moment");
}
