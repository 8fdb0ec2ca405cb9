//! Announcing what the application stored (design: the store is the truth)

use super::*;

#[tokio::test(start_paused = true)]
async fn a_number_that_was_announced_already_is_dropped() {
    let mut world = World::new();
    let ana = world.connect("ana");
    world.subscribe(ana, "room:1");
    let one = world.rules.store.commit(&name("room:1"), "one");
    for _ in 0..3 {
        world.hub.announce(&name("room:1"), one.clone());
    }
    world.settle();
    assert_eq!(world.heard(ana, "room:1"), ["one"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_stored_when_nobody_was_subscribed_is_read_by_whoever_comes_and_need_not_be_announced() {
    let mut world = World::new();
    let (ana, room) = (world.connect("ana"), name("room:1"));
    assert!(!world.hub.has_subscribers(&room));
    world.rules.store.commit(&room, "one");
    let thinking = world.rules.hold_answers();
    let id = world.ask(ana, r#""subscribe":{"channel":"room:1"}"#);
    assert!(world.hub.has_subscribers(&room), "from before the policy is asked");
    thinking.add_permits(1);
    world.settle();
    let Ok(Response::Subscribe(result)) = world.answer(ana, id) else { panic!() };
    assert_eq!(result.offset, 1);
    world.post("room:1", "two").await;
    assert_eq!(world.heard(ana, "room:1"), ["two"]);
}

#[tokio::test(start_paused = true)]
async fn before_a_number_that_leaves_a_gap_the_missing_ones_are_read() {
    let mut world = World::new();
    let ana = world.connect("ana");
    world.subscribe(ana, "room:1");
    for data in ["one", "two", "three"] {
        world.rules.store.commit(&name("room:1"), data);
    }
    world.post("room:1", "four").await;
    assert_eq!(world.heard(ana, "room:1"), ["one", "two", "three", "four"]);
}

#[tokio::test(start_paused = true)]
async fn numbers_that_overtook_each_other_are_delivered_in_order_without_reading() {
    let mut world = World::new();
    let ana = world.connect("ana");
    world.subscribe(ana, "room:1");
    let room = name("room:1");
    let _nobody_may_read = world.rules.hold_reads();
    let committed = ["one", "two", "three"].map(|data| world.rules.store.commit(&room, data));
    for overtaken in [2, 1, 0] {
        assert_eq!(world.heard(ana, "room:1"), Vec::<String>::new(), "held back for what is before it");
        world.hub.announce(&room, committed[overtaken].clone());
    }
    assert_eq!(world.heard(ana, "room:1"), ["one", "two", "three"]);
}

#[tokio::test(start_paused = true)]
async fn announcements_that_come_while_a_gap_is_filled_are_not_lost() {
    let mut world = World::new();
    let ana = world.connect("ana");
    world.subscribe(ana, "room:1");
    let room = name("room:1");
    let reading = world.rules.hold_reads();
    world.rules.store.commit(&room, "one");
    let two = world.rules.store.commit(&room, "two");
    world.hub.announce(&room, two);
    let healing = tokio::spawn({
        let hub = world.hub.clone();
        async move { hub.heal().await }
    });
    tokio::time::sleep(SECOND).await;
    let three = world.rules.store.commit(&room, "three");
    world.hub.announce(&room, three);
    reading.add_permits(9);
    healing.await.unwrap();
    world.settle();
    assert_eq!(world.heard(ana, "room:1"), ["one", "two", "three"]);
}

#[tokio::test(start_paused = true)]
async fn a_gap_whose_reader_went_away_is_filled_by_the_next_one() {
    let mut world = World::new();
    let ana = world.connect("ana");
    world.subscribe(ana, "room:1");
    let room = name("room:1");
    let reading = world.rules.hold_reads();
    world.rules.store.commit(&room, "one");
    let two = world.rules.store.commit(&room, "two");
    world.hub.announce(&room, two);
    let dropped = tokio::time::timeout(SECOND, world.hub.heal()).await;
    assert!(dropped.is_err());
    reading.add_permits(9);
    world.post("room:1", "three").await;
    assert_eq!(world.heard(ana, "room:1"), ["one", "two", "three"]);
}

#[tokio::test(start_paused = true)]
async fn a_gap_that_takes_too_long_to_read_is_tried_again() {
    let mut world = World::new();
    let ana = world.connect("ana");
    world.subscribe(ana, "room:1");
    let reading = world.rules.hold_reads();
    world.rules.store.commit(&name("room:1"), "one");
    let two = world.rules.store.commit(&name("room:1"), "two");
    world.hub.announce(&name("room:1"), two);
    let maintaining = tokio::spawn({
        let hub = world.hub.clone();
        async move { hub.maintain().await }
    });
    tokio::time::sleep(12 * SECOND).await;
    reading.add_permits(9);
    tokio::time::sleep(12 * SECOND).await;
    assert_eq!(world.heard(ana, "room:1"), ["one", "two"]);
    maintaining.abort();
}

#[tokio::test(start_paused = true)]
async fn who_reads_ahead_of_the_announcements_takes_nothing_from_the_others() {
    let mut world = World::new();
    let [ana, ben] = ["ana", "ben"].map(|user| world.connect(user));
    world.subscribe(ana, "room:1");
    let committed = ["one", "two"].map(|data| world.rules.store.commit(&name("room:1"), data));
    assert_eq!(world.resume(ben, "room:1", 0, "store-1").publications.len(), 2);
    for publication in committed {
        world.hub.announce(&name("room:1"), publication);
    }
    assert_eq!(world.heard(ana, "room:1"), ["one", "two"]);
    assert_eq!(world.heard(ben, "room:1"), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_lost_announcement_heals_at_the_next_check_of_positions() {
    let mut world = World::new();
    let ana = world.connect("ana");
    world.subscribe(ana, "room:1");
    world.rules.store.commit(&name("room:1"), "never announced");
    world.hub.check_positions().await;
    world.hub.heal().await;
    world.settle();
    assert_eq!(world.heard(ana, "room:1"), ["never announced"]);
}

/// Section 6.6: insufficient state is 2500 for the client's own subscription.
#[tokio::test(start_paused = true)]
async fn when_the_epoch_changes_subscribers_are_told_to_subscribe_again() {
    let mut world = World::new();
    let ana = world.connect("ana");
    world.subscribe(ana, "room:1");
    world.post("room:1", "one").await;
    world.received(ana);
    world.rules.store.restore_from_backup("store-2");
    world.hub.check_positions().await;
    world.settle();
    let told = r#"{"push":{"channel":"room:1","unsubscribe":{"code":2500,"reason":"insufficient state"}}}"#;
    assert_eq!(world.received(ana).last().map(String::as_str), Some(told));
    let again = world.resume(ana, "room:1", 1, "store-1");
    assert!(again.was_recovering && !again.recovered && again.epoch == "store-2");
    world.post("room:1", "two").await;
    assert_eq!(world.heard(ana, "room:1"), ["two"]);
}

/// Section 6.6: insufficient state closes the connection when the server made the subscription.
#[tokio::test(start_paused = true)]
async fn when_the_epoch_changes_server_side_subscribers_are_closed_to_connect_again() {
    let mut world = World::new();
    world.rules.given.lock().unwrap().push((name("room:1"), Grant::default()));
    let ana = world.connect("ana");
    world.post("room:1", "one").await;
    let two = Publication { epoch: "store-2".into(), ..world.rules.store.commit(&name("room:1"), "two") };
    world.hub.announce(&name("room:1"), two);
    world.settle();
    assert_eq!(world.closed(ana), Some(3010));
}
