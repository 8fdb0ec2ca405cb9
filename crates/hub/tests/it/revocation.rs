//! Promise G5: revoked means out. Nothing announced after the hub was told reaches the one who lost the right, not even
//! through a subscription or an answer that was being prepared at that moment.
//!
//! Whoever revokes first makes the policy say no (here: `ban`) and then tells the hub.

use crate::world::{Who, World, name, text};
use futures_util::FutureExt;
use tidings_hub::{Grant, Limits, Order, Rate, ServerSubscription, Target};
use tidings_protocol::{Disconnect, Error, Unsubscribe};

fn remove(world: &World, user: &str, channel: &str) {
    world.rules.ban(user, channel);
    let order = Order::unsubscribe(Target::User(user.into()), Some(name(channel)), Unsubscribe::SERVER);
    world.hub.order(order).now_or_never().expect("done when it returns");
}

fn sees_secret(world: &mut World, who: Who) -> bool {
    world.settle();
    world.received(who).iter().any(|received| received.contains("secret"))
}

#[tokio::test(start_paused = true)]
async fn g5_a_removed_member_hears_nothing_that_is_announced_later() {
    let mut world = World::new();
    let ana = world.connect("ana");
    world.subscribe(ana, "room:1");
    remove(&world, "ana", "room:1");
    world.post("room:1", "secret").await;
    assert!(!sees_secret(&mut world, ana));
}

#[tokio::test(start_paused = true)]
async fn g5_a_removed_member_is_out_on_all_devices_at_once() {
    let mut world = World::new();
    let devices = ["phone", "laptop", "tablet"].map(|device| world.connect_session("ana", device));
    for device in devices {
        world.subscribe(device, "room:1");
    }
    remove(&world, "ana", "room:1");
    world.post("room:1", "secret").await;
    for device in devices {
        assert!(!sees_secret(&mut world, device));
        assert_eq!(world.closed(device), None);
    }
}

#[tokio::test(start_paused = true)]
async fn g5_a_subscription_that_the_policy_was_deciding_on_is_not_made() {
    let mut world = World::new();
    let ana = world.connect("ana");
    let asking = world.rules.hold_answers();
    let id = world.ask(ana, r#""subscribe":{"channel":"room:1","recover":true,"epoch":"store-1"}"#);
    remove(&world, "ana", "room:1");
    world.post("room:1", "secret").await;
    asking.add_permits(1);
    world.settle();
    assert_eq!(world.answer(ana, id), Err(Error::PERMISSION_DENIED));
    world.post("room:1", "secret").await;
    assert!(!sees_secret(&mut world, ana));
    asking.add_permits(1);
    let id = world.ask(ana, r#""subscribe":{"channel":"room:1"}"#);
    assert_eq!(world.answer(ana, id), Err(Error::PERMISSION_DENIED));
}

#[tokio::test(start_paused = true)]
async fn g5_a_recovery_that_was_being_read_does_not_leave() {
    let mut world = World::new();
    let ana = world.connect("ana");
    let reading = world.rules.hold_reads();
    let id = world.ask(ana, r#""subscribe":{"channel":"room:1","recover":true,"epoch":"store-1"}"#);
    remove(&world, "ana", "room:1");
    world.post("room:1", "secret").await;
    reading.add_permits(9);
    world.settle();
    assert_eq!(world.try_answer(ana, id), Some(Err(Error::PERMISSION_DENIED)));
    assert!(!sees_secret(&mut world, ana));
}

#[tokio::test(start_paused = true)]
async fn g5_history_that_was_being_read_does_not_leave() {
    let mut world = World::new();
    let ana = world.connect("ana");
    let reading = world.rules.hold_reads();
    let id = world.ask(ana, r#""history":{"channel":"room:1","limit":10}"#);
    remove(&world, "ana", "room:1");
    world.post("room:1", "secret").await;
    reading.add_permits(9);
    world.settle();
    assert_eq!(world.try_answer(ana, id), Some(Err(Error::PERMISSION_DENIED)));
    assert!(!sees_secret(&mut world, ana));
}

#[tokio::test(start_paused = true)]
async fn g5_presence_that_was_being_prepared_does_not_leave() {
    for method in ["presence", "presence_stats"] {
        let mut world = World::new();
        let [ana, ben] = ["ana", "ben"].map(|user| world.connect(user));
        world.subscribe(ben, "room:1");
        let asking = world.rules.hold_answers();
        let id = world.ask(ana, &format!(r#""{method}":{{"channel":"room:1"}}"#));
        // The policy has said yes, and its answer is on the way.
        remove(&world, "ana", "room:1");
        asking.add_permits(9);
        world.settle();
        assert_eq!(world.try_answer(ana, id), Some(Err(Error::PERMISSION_DENIED)), "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn g5_a_server_side_subscription_that_was_being_prepared_is_not_in_the_connect_reply() {
    let mut world = World::new();
    world.rules.given.lock().unwrap().push((name("room:1"), tidings_hub::Grant::default()));
    let reading = world.rules.hold_reads();
    let identity = tidings_hub::Identity { user: "ana".into(), ..Default::default() };
    let ana = world.open(tidings_hub::ConnectionOptions { identity: Some(identity), ..Default::default() });
    world.ask(ana, r#""connect":{"subs":{"room:1":{"recover":true,"epoch":"store-1"}}}"#);
    remove(&world, "ana", "room:1");
    world.post("room:1", "secret").await;
    reading.add_permits(9);
    world.settle();
    let received = world.received(ana);
    assert_eq!(world.closed(ana), None);
    assert!(received[0].contains(r#""connect""#) && !received[0].contains("room:1"), "{received:?}");
    assert_eq!(received.len(), 1, "{received:?}");
    world.post("room:1", "secret").await;
    assert!(!sees_secret(&mut world, ana));
}

#[tokio::test(start_paused = true)]
async fn g5_a_logged_out_session_hears_nothing_that_is_announced_later() {
    let mut world = World::new();
    let (here, elsewhere) = (world.connect_session("ana", "here"), world.connect_session("ana", "elsewhere"));
    world.subscribe(here, "room:1");
    world.subscribe(elsewhere, "room:1");
    assert_eq!(world.hub.order(Order::disconnect(Target::Tag("here".into()), Disconnect::FORCE_DISCONNECT)).await, 1);
    world.post("room:1", "secret").await;
    assert!(!sees_secret(&mut world, here));
    assert!(sees_secret(&mut world, elsewhere));
    assert_eq!(world.closed(here), Some(3503));
}

#[tokio::test(start_paused = true)]
async fn g5_a_session_that_is_logged_out_between_handshake_and_connect_is_closed() {
    let mut world = World::new();
    let identity = tidings_hub::Identity { user: "ana".into(), tag: Some("here".into()), ..Default::default() };
    let ana = world.open(tidings_hub::ConnectionOptions { identity: Some(identity), ..Default::default() });
    assert_eq!(world.hub.order(Order::disconnect(Target::Tag("here".into()), Disconnect::FORCE_DISCONNECT)).await, 1);
    world.settle();
    assert_eq!(world.closed(ana), Some(3503));
}

fn give(world: &World, channel: &str, data: &str) {
    let grant = Some(Grant { data: Some(text(data)), ..Grant::default() });
    let subscription = ServerSubscription { channel: name(channel), grant, since: None };
    world.hub.order(Order::give(Target::User("ana".into()), subscription)).now_or_never().unwrap();
}

fn take(world: &World, channel: Option<&str>) {
    let order = Order::unsubscribe(Target::User("ana".into()), channel.map(name), Unsubscribe::SERVER);
    world.hub.order(order).now_or_never().unwrap();
}

/// The policy is not asked about it again: the server has said on which terms.
#[tokio::test(start_paused = true)]
async fn g5_a_subscription_that_the_server_takes_back_before_its_turn_is_not_made() {
    for taken in [Some("room:1"), None] {
        let mut world = World::new();
        let ana = world.connect("ana");
        let asking = world.rules.hold_answers();
        let id = world.ask(ana, r#""subscribe":{"channel":"news"}"#);
        give(&world, "room:1", "first");
        // Once before the connection has heard of it, once while it waits for its turn.
        take(&world, taken);
        give(&world, "room:1", "second");
        world.settle();
        take(&world, taken);
        asking.add_permits(10);
        world.settle();
        let _ = world.try_answer(ana, id);
        assert!(!world.rules.told().iter().any(|told| told.contains("room:1")));
        world.post("room:1", "secret").await;
        assert!(!sees_secret(&mut world, ana));
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_the_server_gives_again_is_made_on_the_last_terms() {
    let mut world = World::new();
    let ana = world.connect("ana");
    let asking = world.rules.hold_answers();
    world.ask(ana, r#""subscribe":{"channel":"news"}"#);
    give(&world, "room:1", "first");
    take(&world, Some("room:1"));
    give(&world, "room:1", "second");
    asking.add_permits(10);
    world.settle();
    let received = world.received(ana);
    let made: Vec<_> = received.iter().filter(|line| line.contains(r#""channel":"room:1","subscribe""#)).collect();
    assert_eq!(made.len(), 1, "{received:?}");
    assert!(made[0].contains("second"));
}

/// Otherwise the server's subscription would be refused for what the user's other connections have read.
#[tokio::test(start_paused = true)]
async fn what_the_server_subscribes_to_is_not_refused_for_what_its_user_has_read() {
    let mut limits = Limits::default();
    limits.user.read_bytes = Rate { per_second: 1, burst: 1 };
    let mut world = World::with(limits);
    let ana = world.connect("ana");
    world.post("room:1", &"x".repeat(1 << 20)).await;
    for _ in 0..4 {
        world.ask(ana, r#""history":{"channel":"room:1","limit":-1}"#);
    }
    world.settle();
    let since = Some(tidings_protocol::StreamPosition { offset: 0, epoch: "store-1".into() });
    let grant = Some(Grant::default());
    let subscription = ServerSubscription { channel: name("room:1"), grant, since };
    world.order(Order::give(Target::User("ana".into()), subscription));
    world.settle();
    let received = world.received(ana);
    assert!(received.iter().any(|line| line.contains(r#""channel":"room:1","subscribe""#)));
}
