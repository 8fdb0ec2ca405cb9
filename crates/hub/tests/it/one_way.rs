//! Connections whose client says who it is and what it wants, and nothing more: section 12 of the protocol.

use std::time::Duration;

use futures_util::FutureExt;
use tidings_hub::{ConnectionOptions, Expiry, Grant, Limits, Order, SomeOf, Step, Target};
use tidings_protocol::{Connect, Disconnect, Encoding, Push, PushEvent, Reply};

use crate::world::{Who, World, name, text, texts};

const SECOND: Duration = Duration::from_secs(1);

fn listen(world: &mut World, request: &str) -> Who {
    let options = ConnectionOptions { encoding: Encoding::JsonPushes, ..ConnectionOptions::default() };
    let peer = world.open(options);
    world.say(peer, request);
    peer
}

/// What the first push says.
fn welcomed(world: &mut World, peer: Who) -> Connect {
    let first = &world.received(peer)[0];
    assert!(first.starts_with(r#"{"connect":{"#), "{first}");
    match Encoding::JsonPushes.replies(first.as_bytes()).unwrap().remove(0) {
        Reply::Push(Push { event: PushEvent::Connect(welcome), .. }) => *welcome,
        other => panic!("no welcome: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_push_is_the_welcome_and_others_stand_alone() {
    let mut world = World::new();
    let ana = listen(&mut world, r#"{"token":"ana","subs":{"news":{}}}"#);
    let welcome = welcomed(&mut world, ana);
    assert_eq!((welcome.ping, welcome.pong, &*welcome.node, &*welcome.version), (25, false, "", "0.0.0 test"));
    assert!(welcome.subs["news"].recoverable);
    world.publish("news", ["one"]);
    assert!(world.received(ana)[0].starts_with(r#"{"channel":"news","pub":{"data":"one","#));
    // Its session is a name by which the server can mean it.
    let session = Some(welcome.session);
    let some = SomeOf { user: "ana".into(), session, ..SomeOf::default() };
    assert_eq!(world.order(Order::disconnect(Target::Some(some), Disconnect::FORCE_DISCONNECT)), 1);
}

#[tokio::test(start_paused = true)]
async fn what_the_policy_refuses_is_left_out_without_a_word_and_not_entered() {
    let mut world = World::new();
    world.rules.ban("ana", "closed");
    let ana = listen(&mut world, r#"{"token":"ana","subs":{"closed":{},"open":{},"":{},"n\u00f6":{}}}"#);
    let welcome = welcomed(&mut world, ana);
    assert_eq!(welcome.subs.keys().collect::<Vec<_>>(), ["open"]);
    world.publish("closed", ["secret"]);
    world.publish("open", ["fine"]);
    let heard = world.received(ana);
    assert!(heard.len() == 1 && heard[0].contains("fine"), "{heard:?}");
    assert_eq!(world.hub.channels().iter().map(|channel| channel.num_clients).sum::<usize>(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_is_given_and_wanted_is_entered_once_on_the_terms_that_were_given() {
    let mut world = World::new();
    let grant = Grant { data: Some(text("yours")), ..Grant::default() };
    *world.rules.given.lock().unwrap() = vec![(name("news"), grant)];
    world.rules.ban("ana", "news");
    let ana = listen(&mut world, r#"{"token":"ana","subs":{"news":{},"other":{}}}"#);
    let welcome = welcomed(&mut world, ana);
    assert_eq!((&welcome.subs["news"].data, welcome.subs.len()), (&Some(text("yours")), 2));
    world.publish("news", ["once"]);
    assert_eq!(world.received(ana).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn more_channels_than_a_connection_may_have_are_3505() {
    let mut world = World::with(Limits { channels_per_connection_max: 2, ..Limits::default() });
    let too_many = listen(&mut world, r#"{"token":"ana","subs":{"a":{},"b":{},"c":{}}}"#);
    assert_eq!(world.closed(too_many), Some(3505));
    let fine = listen(&mut world, r#"{"token":"ana","subs":{"a":{},"b":{},"":{}}}"#);
    assert_eq!(world.closed(fine), None);
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_comes_with_the_welcome() {
    let mut world = World::new();
    let first = listen(&mut world, r#"{"token":"ana","subs":{"news":{"recoverable":true}}}"#);
    let welcome = welcomed(&mut world, first);
    let epoch = &welcome.subs["news"].epoch;
    world.publish("news", ["one"]);
    world.cut(first);
    world.publish("news", ["two", "three"]);
    let request = format!(r#"{{"token":"ana","subs":{{"news":{{"recover":true,"offset":1,"epoch":"{epoch}"}}}}}}"#);
    let back = listen(&mut world, &request);
    let welcome = welcomed(&mut world, back);
    let missed = &welcome.subs["news"];
    assert_eq!((missed.recovered, missed.offset), (true, 1));
    assert_eq!(texts(missed.publications.clone()), ["two", "three"]);
}

#[tokio::test(start_paused = true)]
async fn errors_of_connect_are_codes_of_the_end() {
    let mut world = World::new();
    for (request, code) in [
        (r#"{"token":"old"}"#, 3005),
        (r#"{"token":"forged"}"#, 3500),
        ("{}", 3501),
        ("nonsense", 3501),
        ("", 3501),
        (r#"[]"#, 3501),
    ] {
        let peer = listen(&mut world, request);
        assert_eq!((world.closed(peer), world.received(peer).len()), (Some(code), 0), "{request}");
    }
    let gate = world.rules.hold_answers();
    let late = listen(&mut world, r#"{"token":"ana","subs":{"slow":{}}}"#);
    world.wait(11 * SECOND).await;
    assert_eq!(world.closed(late), Some(3004), "what would be error 100");
    drop(gate);
}

#[tokio::test(start_paused = true)]
async fn pings_want_no_answer_and_an_answer_does_no_harm() {
    let mut world = World::new();
    let ana = listen(&mut world, r#"{"token":"ana"}"#);
    world.received(ana);
    for _ in 0..5 {
        world.wait(25 * SECOND).await;
        assert_eq!(world.received(ana), ["{}"]);
    }
    world.say(ana, "{}");
    world.say(ana, "whatever");
    assert_eq!((world.closed(ana), world.received(ana).len()), (None, 0));
    // A flood is what it is everywhere.
    for _ in 0..2_000 {
        if world.closed(ana).is_none() {
            world.say(ana, "{}");
        }
    }
    assert_eq!(world.closed(ana), Some(3013));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_expires_ends_because_it_cannot_be_refreshed() {
    let mut world = World::new();
    *world.rules.expiry.lock().unwrap() = Some(Expiry::Refreshable(60 * SECOND));
    let ana = listen(&mut world, r#"{"token":"ana"}"#);
    let welcome = welcomed(&mut world, ana);
    assert_eq!((welcome.expires, welcome.ttl), (true, 60));
    world.wait(84 * SECOND).await;
    assert_eq!(world.closed(ana), None);
    world.wait(2 * SECOND).await;
    assert_eq!(world.closed(ana), Some(3005));
}

#[tokio::test(start_paused = true)]
async fn pushes_that_wait_side_by_side_are_messages_by_themselves() {
    let world = World::new();
    let options = ConnectionOptions { encoding: Encoding::JsonPushes, ..ConnectionOptions::default() };
    let mut connection = world.hub.connect(options);
    let mut messages = |say: &[u8]| {
        connection.receive(say);
        let mut messages = Vec::new();
        while let Some(Step::Send(frames)) = connection.next().now_or_never() {
            messages.extend(frames);
        }
        messages
    };
    assert_eq!(messages(br#"{"token":"ana"}"#).len(), 1);
    for channel in ["a", "b", "c"] {
        world.hub.order(Order::subscribe(Target::User("ana".into()), name(channel))).await;
    }
    let pushes = messages(b"{}");
    assert_eq!(pushes.len(), 3, "{pushes:?}");
    assert!(pushes.iter().all(|push| push.starts_with(b"{") && !push.contains(&b'\n')), "{pushes:?}");
}
