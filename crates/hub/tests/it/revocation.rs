//! Promise G5: revoked means out. Nothing announced after the hub was told reaches the one who lost the right, not even
//! through a subscription or an answer that was being prepared at that moment.
//!
//! Whoever revokes first makes the policy say no (here: `ban`) and then tells the hub.

use crate::world::{Who, World, name};
use futures_util::FutureExt;
use tidings_hub::{Order, Target};
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
