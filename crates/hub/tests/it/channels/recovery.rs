//! Recovery (section 6, promise G4)

use std::sync::Arc;

use super::*;
use futures_util::FutureExt;

#[tokio::test(start_paused = true)]
async fn a_reconnecting_subscriber_receives_exactly_what_it_missed_and_then_goes_on() {
    for channel in ["news", "room:1"] {
        let mut world = World::new();
        let ana = world.connect("ana");
        let start = world.subscribe(ana, channel);
        assert!(start.recoverable && start.positioned && !start.was_recovering && !start.recovered);
        for data in ["one", "two"] {
            world.publish_or_post(channel, data).await;
        }
        assert_eq!(world.heard(ana, channel), ["one", "two"]);
        world.cut(ana);
        for data in ["three", "four"] {
            world.publish_or_post(channel, data).await;
        }
        let ana = world.connect("ana");
        let resumed = world.resume(ana, channel, 2, &start.epoch);
        assert!(resumed.was_recovering && resumed.recovered);
        assert_eq!(resumed.offset, 2, "the request's offset: the client advances by applying what it missed");
        assert_eq!(resumed.epoch, start.epoch);
        assert_eq!(texts(resumed.publications), ["three", "four"]);
        world.publish_or_post(channel, "five").await;
        assert_eq!(world.heard(ana, channel), ["five"]);
    }
}

#[tokio::test(start_paused = true)]
async fn who_missed_nothing_recovers_nothing() {
    let mut world = World::new();
    world.publish("news", ["one"]);
    let ana = world.connect("ana");
    let start = world.subscribe(ana, "news");
    assert_eq!((start.offset, start.publications.len()), (1, 0));
    world.cut(ana);
    let ana = world.connect("ana");
    let resumed = world.resume(ana, "news", 1, &start.epoch);
    assert!(resumed.recovered && resumed.publications.is_empty());
    assert_eq!(resumed.offset, 1);
    world.cut(ana);
    let ana = world.connect("ana");
    assert!(world.resume(ana, "news", 1, "").recovered, "an empty epoch is one that the client does not know");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_recovered_is_said_and_the_reply_holds_the_present_position() {
    let mut world = World::new();
    for number in 0..HISTORY_SIZE + 5 {
        world.publish("news", [&*number.to_string()]);
    }
    let top = world.hub.position(&name("news")).await.unwrap();
    let ana = world.connect("ana");
    for (offset, epoch, why) in [
        (3, &*top.epoch, "older than what is kept"),
        (105, "other", "another epoch"),
        (106, &*top.epoch, "from the future"),
        (u64::MAX, &*top.epoch, "from the far future"),
        (0, "_", "the client threw its state away"),
    ] {
        let result = world.resume(ana, "news", offset, epoch);
        assert!(result.was_recovering && !result.recovered && result.publications.is_empty(), "{why}");
        assert_eq!((result.offset, &result.epoch), (105, &top.epoch), "{why}");
        world.ask(ana, r#""unsubscribe":{"channel":"news"}"#);
    }
    assert_eq!(world.hub.metrics().unrecovered, 5);
}

#[tokio::test(start_paused = true)]
async fn at_most_300_publications_are_recovered_and_one_more_is_too_many() {
    let mut world = World::new();
    for number in 0..301 {
        world.post("room:1", &number.to_string()).await;
    }
    let ana = world.connect("ana");
    assert!(!world.resume(ana, "room:1", 0, "store-1").recovered);
    world.ask(ana, r#""unsubscribe":{"channel":"room:1"}"#);
    let resumed = world.resume(ana, "room:1", 1, "store-1");
    assert!(resumed.recovered);
    assert_eq!(resumed.publications.len(), 300);
}

#[tokio::test(start_paused = true)]
async fn more_bytes_than_a_recovery_may_bring_are_not_recovered() {
    let mut world = World::with(Limits { recovery_bytes_max: 1_000, ..Limits::default() });
    world.publish("news", [&*"x".repeat(600), &*"y".repeat(600)]);
    let ana = world.connect("ana");
    assert!(!world.resume(ana, "news", 0, "").recovered);
    world.ask(ana, r#""unsubscribe":{"channel":"news"}"#);
    assert!(world.resume(ana, "news", 1, "").recovered);
}

/// The slowest reader takes no more than 8 KiB in the time that SDKs wait for a reply.
#[tokio::test(start_paused = true)]
async fn what_the_reply_to_a_recovery_does_not_hold_follows_it_before_what_is_live() {
    let mut world = World::new();
    for number in 0..20 {
        world.post("room:1", &format!("{number}{}", "x".repeat(16 << 10))).await;
    }
    let ana = world.connect("ana");
    let reading = world.rules.hold_reads();
    let id = world.ask(ana, r#""subscribe":{"channel":"room:1","recover":true,"offset":0,"epoch":"store-1"}"#);
    world.post("room:1", "held back").await;
    reading.add_permits(100);
    world.settle();
    let reply = world.subscribed(ana, id);
    assert!(reply.recovered && reply.offset == 0 && reply.publications.is_empty(), "each is above what a reply holds");
    world.post("room:1", "live").await;
    let mut offsets: Vec<_> = reply.publications.iter().map(|publication| publication.offset).collect();
    for event in world.pushes(ana, "room:1", |event| matches!(event, PushEvent::Pub(_))) {
        let PushEvent::Pub(publication) = event else { unreachable!() };
        offsets.push(publication.offset);
    }
    assert_eq!(offsets, (1..=22).collect::<Vec<_>>());
}

/// On a slow line that takes minutes, in which more is published than is held back for anybody.
#[tokio::test(start_paused = true)]
async fn s16_who_takes_long_to_catch_up_gets_all_that_is_published_meanwhile_and_holds_nothing() {
    let mut world = World::with(Limits { outbox_bytes_max: 64 << 10, ..Limits::default() });
    for number in 0..20 {
        world.post("room:1", &format!("{number}{}", "x".repeat(16 << 10))).await;
    }
    let ana = world.connect("ana");
    let subscribe = r#"{"id":7,"subscribe":{"channel":"room:1","recover":true,"offset":0,"epoch":"store-1"}}"#;
    world.connection(ana).receive(subscribe.as_bytes());
    let mut most = 0;
    for _ in 0..5 {
        world.settle_step(ana);
        for number in 0..100 {
            world.post_to_others("room:1", &format!("meanwhile {number}")).await;
        }
        most = most.max(world.hub.connections(&Target::User("ana".into()))[0].queued_bytes);
    }
    assert!(most < 64 << 10, "{most} bytes wait for it");
    world.settle();
    world.post("room:1", "live").await;
    let heard = world.pushes(ana, "room:1", |event| matches!(event, PushEvent::Pub(_)));
    let offset = |event| if let PushEvent::Pub(publication) = event { publication.offset } else { 0 };
    let offsets: Vec<_> = heard.into_iter().map(offset).collect();
    assert_eq!(offsets, (1..=521).collect::<Vec<_>>());
    assert_eq!(world.closed(ana), None);
}

#[tokio::test(start_paused = true)]
async fn g4_who_takes_so_long_that_the_history_is_gone_is_told_to_start_again() {
    let mut world = World::new();
    let large = "x".repeat(16 << 10);
    for _ in 0..20 {
        world.publish("news", [&*large]);
    }
    let epoch = world.hub.position(&name("news")).await.unwrap().epoch;
    let ana = world.connect("ana");
    let subscribe =
        format!(r#"{{"id":7,"subscribe":{{"channel":"news","recover":true,"offset":0,"epoch":"{epoch}"}}}}"#);
    world.connection(ana).receive(subscribe.as_bytes());
    world.settle_step(ana);
    for _ in 0..HISTORY_SIZE {
        world.try_publish("news", NewPublication::new(text("meanwhile"))).unwrap();
    }
    world.settle();
    let received = world.received(ana);
    let ended = received.iter().position(|line| line.contains(r#""unsubscribe":{"code":2500"#)).expect("it is told");
    assert_eq!(ended, received.len() - 1, "and hears nothing any more");
    let id = world.ask(ana, r#""presence_stats":{"channel":"news"}"#);
    let Ok(Response::PresenceStats(stats)) = world.answer(ana, id) else { panic!() };
    assert_eq!(stats.num_clients, 0);
}

/// G6: its reply says that it is subscribed.
#[tokio::test(start_paused = true)]
async fn who_is_catching_up_is_present_and_hears_who_comes_and_goes() {
    let mut world = World::new();
    for _ in 0..20 {
        world.post("room:1", &"x".repeat(16 << 10)).await;
    }
    let ana = world.connect("ana");
    let subscribe = r#"{"id":7,"subscribe":{"channel":"room:1","recover":true,"offset":0,"epoch":"store-1"}}"#;
    world.connection(ana).receive(subscribe.as_bytes());
    world.settle_step(ana);
    assert_eq!(world.presence("room:1"), ["ana"]);
    let bea = world.connect("bea");
    world.subscribe(bea, "room:1");
    world.settle();
    assert_eq!(world.pushes(ana, "room:1", |event| matches!(event, PushEvent::Join(_))).len(), 2, "its own, and bea's");
}

/// All replies of a frame, and all that a connect reply says, must arrive while clients wait for them.
#[tokio::test(start_paused = true)]
async fn s16_replies_that_are_not_written_yet_hold_little_of_what_was_missed_all_together() {
    let mut world = World::new();
    let rooms: Vec<_> = (1..=60).map(|number| format!("room:{number}")).collect();
    for room in &rooms {
        for _ in 0..6 {
            world.post(room, &"x".repeat(1_000)).await;
        }
    }
    let ana = world.connect("ana");
    let subscribe = |(index, room): (usize, &String)| {
        format!(
            r#"{{"id":{},"subscribe":{{"channel":"{room}","recover":true,"offset":0,"epoch":"store-1"}}}}"#,
            10 + index
        )
    };
    let frame = rooms.iter().enumerate().map(subscribe).collect::<Vec<_>>().join("\n");
    world.connection(ana).receive(frame.as_bytes());
    let bytes = world.settle_step(ana);
    assert!(bytes < 32 << 10, "{bytes} bytes before all are answered");
    world.settle();
    let received = world.received(ana);
    assert_eq!(received.iter().filter(|line| line.contains(r#""recovered":true"#)).count(), 60);
    assert_eq!(received.concat().matches("xxx\"").count(), 360, "and all of it arrives");

    let given = rooms.iter().map(|room| (name(room), Grant::default()));
    world.rules.given.lock().unwrap().extend(given);
    let bea = world.open(ConnectionOptions::default());
    let subs: Vec<_> =
        rooms.iter().map(|room| format!(r#""{room}":{{"recover":true,"offset":0,"epoch":"store-1"}}"#)).collect();
    let connect = format!(r#"{{"id":1,"connect":{{"token":"bea","subs":{{{}}}}}}}"#, subs.join(","));
    world.connection(bea).receive(connect.as_bytes());
    let bytes = world.settle_step(bea);
    assert!(bytes < 32 << 10, "a connect reply of {bytes} bytes");
    world.settle();
    assert_eq!(world.received(bea).concat().matches("xxx\"").count(), 360);
}

#[tokio::test(start_paused = true)]
async fn a_channel_without_positions_recovers_nothing_and_does_not_claim_to() {
    let mut world = World::new();
    let ana = world.connect("ana");
    let result = world.resume(ana, "plain:x", 7, "e");
    assert_eq!(result, tidings_protocol::SubscribeResult::default());
}

/// Section 6.5.
#[tokio::test(start_paused = true)]
async fn what_is_published_while_a_subscription_is_prepared_comes_after_its_reply_once() {
    let mut world = World::new();
    let ana = world.connect("ana");
    world.post("room:1", "one").await;
    let reading = world.rules.hold_reads();
    let id = world.ask(ana, r#""subscribe":{"channel":"room:1","recover":true,"offset":0,"epoch":"store-1"}"#);
    world.post("room:1", "two").await;
    world.try_publish("room:1", NewPublication::ephemeral(text("typing"))).unwrap();
    assert!(world.received(ana).is_empty(), "nothing before the reply");
    reading.add_permits(1);
    world.settle();
    let reply = world.subscribed(ana, id);
    // The store had "two" already when it was read; what was held back of it is dropped by its number.
    assert_eq!(texts(reply.publications), ["one", "two"]);
    assert_eq!(world.heard(ana, "room:1"), ["typing"]);
    world.post("room:1", "three").await;
    assert_eq!(world.heard(ana, "room:1"), ["three"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_a_publication_is_completed_by_what_was_held_back() {
    let mut world = World::new();
    let ana = world.connect("ana");
    world.post("room:1", "one").await;
    let reading = world.rules.hold_pages();
    let id = world.ask(ana, r#""subscribe":{"channel":"room:1","recover":true,"offset":0,"epoch":"store-1"}"#);
    world.post("room:1", "two").await;
    reading.add_permits(1);
    world.settle();
    assert_eq!(texts(world.subscribed(ana, id).publications), ["one"]);
    assert_eq!(world.heard(ana, "room:1"), ["two"]);
}

#[tokio::test(start_paused = true)]
async fn more_than_a_reader_may_be_behind_while_it_is_prepared_closes_the_connection_for_a_recovery() {
    let mut world = World::with(Limits { outbox_bytes_max: 100, ..Limits::default() });
    let ana = world.connect("ana");
    let asking = world.rules.hold_answers();
    world.ask(ana, r#""subscribe":{"channel":"plain:x"}"#);
    world.publish("plain:x", ["one", "two", "three"]);
    world.publish("plain:x", ["four"]);
    asking.add_permits(1);
    world.settle();
    assert_eq!(world.closed(ana), Some(3010));
}

#[tokio::test(start_paused = true)]
async fn server_side_subscriptions_recover_in_the_connect_reply() {
    let mut world = World::new();
    world.rules.given.lock().unwrap().push((name("user:ana"), Grant::default()));
    world.publish("user:ana", ["one", "two"]);
    let epoch = world.hub.position(&name("user:ana")).await.unwrap().epoch;
    let ana = world.open(ConnectionOptions::default());
    let command =
        format!(r#""connect":{{"token":"ana","subs":{{"user:ana":{{"recover":true,"offset":1,"epoch":"{epoch}"}}}}}}"#);
    let id = world.ask(ana, &command);
    let Ok(Response::Connect(connected)) = world.answer(ana, id) else { panic!() };
    let sub = connected.subs["user:ana"].clone();
    assert!(sub.was_recovering && sub.recovered);
    assert_eq!((sub.offset, texts(sub.publications)), (1, vec!["two".to_owned()]));
    world.publish("user:ana", ["three"]);
    assert_eq!(world.heard(ana, "user:ana"), ["three"]);
}

/// Clients wait 5 s for each reply, and send all their subscribes in one frame.
#[tokio::test(start_paused = true)]
async fn the_replies_of_many_channels_come_before_what_was_missed_in_them_and_nothing_is_too_much() {
    let mut world = World::new();
    let large = "x".repeat(16 << 10);
    let rooms: Vec<_> = (1..=6).map(|number| format!("room:{number}")).collect();
    for room in &rooms {
        for _ in 0..60 {
            world.post(room, &large).await;
        }
    }
    let ana = world.connect("ana");
    let subscribe = |(index, room): (usize, &String)| {
        format!(
            r#"{{"id":{},"subscribe":{{"channel":"{room}","recover":true,"offset":0,"epoch":"store-1"}}}}"#,
            10 + index
        )
    };
    world.say(ana, &rooms.iter().enumerate().map(subscribe).collect::<Vec<_>>().join("\n"));
    world.settle();
    assert_eq!(world.closed(ana), None, "6 MiB through a queue of 4");
    let received = world.received(ana);
    let first_push = received.iter().position(|line| line.contains(r#""pub""#)).unwrap();
    let replies = received[..first_push].iter().filter(|line| line.contains(r#""recovered":true"#)).count();
    assert_eq!(replies, 6, "all of them");
    for room in &rooms {
        let of_room = received.iter().filter(|line| line.contains(&format!(r#""channel":"{room}""#)));
        let offsets: Vec<_> =
            of_room.filter_map(|line| line.rsplit_once(r#""offset":"#)).map(|(_, rest)| rest).collect();
        let number = |rest: &&str| rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<u64>();
        assert_eq!(offsets.iter().map(number).collect::<Result<Vec<_>, _>>().unwrap(), (1..=60).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn g5_who_is_removed_while_catching_up_gets_no_more_of_it() {
    let mut world = World::new();
    for _ in 0..60 {
        world.post("room:1", &"x".repeat(16 << 10)).await;
    }
    let ana = world.connect("ana");
    let subscribe = r#"{"id":7,"subscribe":{"channel":"room:1","recover":true,"offset":0,"epoch":"store-1"}}"#;
    world.connection(ana).receive(subscribe.as_bytes());
    for _ in 0..5 {
        world.connection(ana).next().now_or_never().unwrap();
    }
    world.rules.ban("ana", "room:1");
    let room = Some(name("room:1"));
    world.order(Order::unsubscribe(Target::User("ana".into()), room, Unsubscribe::SERVER));
    world.post("room:1", "a secret").await;
    world.settle();
    let received = world.received(ana);
    assert!(received.iter().any(|line| line.contains(r#""unsubscribe""#)), "it is told");
    assert!(received.len() < 5 && !received.concat().contains("secret"), "{} more", received.len());
    let again = world.ask(ana, r#""subscribe":{"channel":"room:1"}"#);
    assert_eq!(world.answer(ana, again).unwrap_err().code, Error::PERMISSION_DENIED.code);
}

#[tokio::test(start_paused = true)]
async fn s14_one_frame_that_asks_for_much_waits_for_its_reader() {
    let mut world = World::new();
    for _ in 0..60 {
        world.post("room:1", &"x".repeat(16 << 10)).await;
    }
    let ana = world.connect("ana");
    world.subscribe(ana, "room:1");
    world.stop_reading(ana);
    let ask = |id: usize| format!(r#"{{"id":{},"history":{{"channel":"room:1","limit":-1}}}}"#, 100 + id);
    world.connection(ana).receive((0..30).map(ask).collect::<Vec<_>>().join("\n").as_bytes());
    let step = world.connection(ana).next().now_or_never();
    assert!(step.is_some(), "the first is being written");
    // What a transport does while it writes.
    let writing = futures_util::future::pending::<()>();
    assert!(world.connection(ana).during(writing).now_or_never().is_none());
    let queued = world.hub.connections(&Target::All)[0].queued_bytes;
    assert!(queued < 1 << 20, "{queued} bytes wait");
}

/// G4: what passes while a channel keeps nothing has no number, so nobody may recover over it.
#[tokio::test(start_paused = true)]
async fn nobody_recovers_over_a_time_in_which_the_channel_kept_nothing() {
    for published_before in [0, 3] {
        let mut world = World::new();
        let ana = world.connect("ana");
        let start = world.resume(ana, "news", 0, "");
        (0..published_before).for_each(|_| world.publish("news", ["kept"]));
        world.settle();
        assert_eq!(world.hub.position(&name("news")).await.unwrap().epoch, start.epoch);

        let nothing = ChannelOptions { history: Source::None, ..memory() };
        *world.rules.memory.lock().unwrap() = Arc::new(nothing);
        world.hub.options_changed().await;
        world.publish("news", ["missed"]);
        *world.rules.memory.lock().unwrap() = Arc::new(memory());
        world.hub.options_changed().await;

        let bea = world.connect("bea");
        let resumed = world.resume(bea, "news", published_before, &start.epoch);
        assert!(!resumed.recovered && resumed.epoch != start.epoch);
        world.publish("news", ["kept again"]);
        world.settle();
        let told = world.pushes(ana, "news", |event| matches!(event, PushEvent::Unsubscribe(_)));
        assert_eq!(told.len(), 1, "who was there is told that its position is lost");
    }
}

/// A reload that changes something else costs nobody anything.
#[tokio::test(start_paused = true)]
async fn other_options_leave_the_streams_of_channels_that_keep_something_as_they_are() {
    let mut world = World::new();
    let ana = world.connect("ana");
    let start = world.resume(ana, "news", 0, "");
    world.publish("news", ["one", "two"]);
    let fewer = ChannelOptions { history: Source::memory(5, HISTORY_TTL), ..memory() };
    *world.rules.memory.lock().unwrap() = Arc::new(fewer);
    world.hub.options_changed().await;
    let bea = world.connect("bea");
    let resumed = world.resume(bea, "news", 1, &start.epoch);
    assert!(resumed.recovered);
    assert_eq!(resumed.publications.len(), 1);
}
