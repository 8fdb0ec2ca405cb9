//! What clients and the server see of channels: publishing, presence, history, recovery, server control. Section numbers
//! are those of `crates/protocol/PROTOCOL.md`.

mod world;

use std::time::Duration;

use tidings_hub::{
    ConnectionOptions, Expiry, Grant, Heartbeat, Identity, Limits, PublishError, PublishOptions, Query, ReadError,
    Target,
};
use tidings_protocol::{ClientInfo, Disconnect, Error, Publication, PushEvent, Response, Unsubscribe};
use world::{HISTORY_SIZE, HISTORY_TTL, World, name, text, texts};

const SECOND: Duration = Duration::from_secs(1);

fn is_pub(event: &PushEvent) -> bool {
    matches!(event, PushEvent::Pub(_))
}

fn joins_and_leaves(event: &PushEvent) -> bool {
    matches!(event, PushEvent::Join(_) | PushEvent::Leave(_))
}

// Publishing (capabilities 4.1, 4.14, 4.16)

#[tokio::test(start_paused = true)]
async fn what_is_published_reaches_every_subscriber_of_the_channel_and_nobody_else() {
    let mut world = World::new();
    let [ana, ben, cleo] = ["ana", "ben", "cleo"].map(|user| world.connect(user));
    world.subscribe(ana, "news");
    world.subscribe(ben, "news");
    world.subscribe(cleo, "sports");
    world.publish("news", ["one", "two"]);
    assert_eq!(world.heard(ana, "news"), ["one", "two"]);
    assert_eq!(world.heard(ben, "news"), ["one", "two"]);
    assert_eq!(world.received(cleo), Vec::<String>::new());
}

/// Sections 6.7 and 7.
#[tokio::test(start_paused = true)]
async fn a_push_carries_its_offset_and_the_first_one_also_the_epoch() {
    let mut world = World::new();
    let ana = world.connect("ana");
    let epoch = world.subscribe(ana, "news").epoch;
    assert_eq!(epoch.len(), 8);
    world.publish("news", ["one", "two"]);
    let first = format!(r#"{{"push":{{"channel":"news","pub":{{"data":"one","offset":1,"epoch":"{epoch}"}}}}}}"#);
    assert_eq!(world.received(ana), [first.as_str(), r#"{"push":{"channel":"news","pub":{"data":"two","offset":2}}}"#]);
}

#[tokio::test(start_paused = true)]
async fn a_publisher_hears_itself_before_the_reply_and_others_see_who_it_is() {
    let mut world = World::new();
    let ana = world.connect("ana");
    world.subscribe(ana, "plain:x");
    world.ask(ana, r#""publish":{"channel":"plain:x","data":{"k":1}}"#);
    let client = world.id_of(ana);
    let push = format!(
        r#"{{"push":{{"channel":"plain:x","pub":{{"data":{{"k":1}},"info":{{"user":"ana","client":"{client}","conn_info":"ana"}}}}}}}}"#
    );
    assert_eq!(world.received(ana), [push.as_str(), r#"{"id":3,"publish":{}}"#]);
}

#[tokio::test(start_paused = true)]
async fn whoever_may_not_publish_gets_an_error_and_nobody_hears_anything() {
    let mut world = World::new();
    let [ana, ben] = ["ana", "ben"].map(|user| world.connect(user));
    world.subscribe(ana, "news");
    world.rules.ban("ben", "news");
    let id = world.ask(ben, r#""publish":{"channel":"news","data":1}"#);
    assert_eq!(world.answer(ben, id), Err(Error::PERMISSION_DENIED));
    assert!(world.received(ana).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_the_application_keeps_is_not_written_through_the_hub() {
    let mut world = World::new();
    let refused = world.hub.publish(&name("room:1"), text("x"), PublishOptions::default());
    assert_eq!(refused, Err(PublishError::KeptElsewhere));
    let ana = world.connect("ana");
    let id = world.ask(ana, r#""publish":{"channel":"room:1","data":1}"#);
    assert_eq!(world.answer(ana, id), Err(Error::NOT_AVAILABLE));
}

/// Section 6.6 and promise G8.
#[tokio::test(start_paused = true)]
async fn an_ephemeral_publication_passes_through_and_moves_nothing() {
    let mut world = World::new();
    let ana = world.connect("ana");
    let start = world.subscribe(ana, "room:1");
    world.post("room:1", "one").await;
    world.hub.publish_ephemeral(&name("room:1"), text("ana is typing"), None);
    world
        .hub
        .announce(&name("room:1"), Publication { data: Some(text("ben is typing")), ..Publication::default() })
        .await
        .unwrap();
    world.post("room:1", "two").await;
    assert_eq!(world.heard(ana, "room:1"), ["one", "ana is typing", "ben is typing", "two"]);
    world.cut(ana);
    let ana = world.connect("ana");
    assert_eq!(texts(world.resume(ana, "room:1", start.offset, &start.epoch).publications), ["one", "two"]);
}

// Presence, join and leave (G6)

#[tokio::test(start_paused = true)]
async fn presence_shows_who_is_subscribed_now() {
    let mut world = World::new();
    let [ana, ben, phone] = ["ana", "ben", "ana"].map(|user| world.connect(user));
    for peer in [ana, ben, phone] {
        world.subscribe(peer, "news");
    }
    let id = world.ask(ana, r#""presence_stats":{"channel":"news"}"#);
    let Ok(Response::PresenceStats(stats)) = world.answer(ana, id) else { panic!() };
    assert_eq!((stats.num_clients, stats.num_users), (3, 2));
    world.cut(phone);
    let id = world.ask(ana, r#""presence":{"channel":"news"}"#);
    let Ok(Response::Presence(presence)) = world.answer(ana, id) else { panic!() };
    let (ana_id, ben_id) = (world.id_of(ana), world.id_of(ben));
    assert_eq!(presence.presence.len(), 2);
    assert_eq!((&*presence.presence[&ana_id].user, &*presence.presence[&ben_id].user), ("ana", "ben"));
    assert_eq!(presence.presence[&ben_id].conn_info, Some(text("ben")));
}

#[tokio::test(start_paused = true)]
async fn presence_where_it_is_off_is_not_available() {
    let mut world = World::new();
    let ana = world.connect("ana");
    for method in ["presence", "presence_stats"] {
        let id = world.ask(ana, &format!(r#""{method}":{{"channel":"plain:x"}}"#));
        assert_eq!(world.answer(ana, id), Err(Error::NOT_AVAILABLE));
    }
}

#[tokio::test(start_paused = true)]
async fn a_presence_reply_has_a_limit_and_stats_still_count() {
    let mut world = World::with(Limits { presence_clients_max: 1, ..Limits::default() });
    let [ana, ben] = ["ana", "ben"].map(|user| world.connect(user));
    world.subscribe(ana, "news");
    world.subscribe(ben, "news");
    let id = world.ask(ana, r#""presence":{"channel":"news"}"#);
    assert_eq!(world.answer(ana, id), Err(Error::LIMIT_EXCEEDED));
    assert_eq!(world.hub.presence_stats(&name("news")).num_clients, 2);
}

/// Section 3: the subscribe reply, then the own join.
#[tokio::test(start_paused = true)]
async fn subscribers_of_a_room_hear_who_comes_and_goes_themselves_included() {
    let mut world = World::new();
    let [ana, ben] = ["ana", "ben"].map(|user| world.connect(user));
    world.ask(ana, r#""subscribe":{"channel":"room:1"}"#);
    let received = world.received(ana);
    assert!(received[0].starts_with(r#"{"id":2,"subscribe":"#), "{received:?}");
    assert!(received[1].contains(r#""join":{"info":{"user":"ana""#), "{received:?}");
    world.subscribe(ben, "room:1");
    world.cut(ben);
    let events = world.pushes(ana, "room:1", joins_and_leaves);
    let said: Vec<_> = events
        .iter()
        .map(|event| match event {
            PushEvent::Join(join) => ("join", &*join.info.user),
            PushEvent::Leave(leave) => ("leave", &*leave.info.user),
            _ => unreachable!(),
        })
        .collect();
    assert_eq!(said, [("join", "ben"), ("leave", "ben")]);
}

#[tokio::test(start_paused = true)]
async fn elsewhere_only_those_who_ask_hear_who_comes_and_goes() {
    let mut world = World::new();
    let [ana, ben] = ["ana", "ben"].map(|user| world.connect(user));
    world.ask(ana, r#""subscribe":{"channel":"news","join_leave":true}"#);
    world.subscribe(ben, "news");
    world.ask(ben, r#""unsubscribe":{"channel":"news"}"#);
    assert_eq!(world.pushes(ana, "news", joins_and_leaves).len(), 3);
    assert!(world.pushes(ben, "news", joins_and_leaves).is_empty());
}

#[tokio::test(start_paused = true)]
async fn in_a_large_channel_nobody_is_told_who_comes_and_goes() {
    let mut world = World::with(Limits { join_leave_subscribers_max: 2, ..Limits::default() });
    let [ana, ben, cleo] = ["ana", "ben", "cleo"].map(|user| world.connect(user));
    for peer in [ana, ben, cleo] {
        world.subscribe(peer, "room:1");
    }
    assert_eq!(world.pushes(ana, "room:1", joins_and_leaves).len(), 2, "herself and ben");
    assert_eq!(world.presence("room:1"), ["ana", "ben", "cleo"]);
}

/// Capability 4.18, S16.
#[tokio::test(start_paused = true)]
async fn a_dead_client_is_out_of_presence_after_ping_interval_and_pong_timeout() {
    let mut world = World::new();
    let ana = world.connect("ana");
    world.subscribe(ana, "news");
    for _ in 0..7 {
        world.wait(5 * SECOND).await;
    }
    assert_eq!(world.closed(ana), Some(3012));
    assert!(world.presence("news").is_empty());
}

// History (capability 4.26)

#[tokio::test(start_paused = true)]
async fn history_is_read_forwards_backwards_and_from_a_position() {
    let mut world = World::new();
    let ana = world.connect("ana");
    world.publish("news", ["one", "two", "three", "four"]);
    for data in ["one", "two", "three", "four"] {
        world.post("room:1", data).await;
    }
    for channel in ["news", "room:1"] {
        let mut history = |rest: &str| {
            let id = world.ask(ana, &format!(r#""history":{{"channel":"{channel}"{rest}}}"#));
            match world.answer(ana, id) {
                Ok(Response::History(history)) => (texts(history.publications), history.offset),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(history(""), (vec![], 4), "limit 0 asks for the position only");
        assert_eq!(history(r#","limit":-1"#).0, ["one", "two", "three", "four"]);
        assert_eq!(history(r#","limit":2"#).0, ["one", "two"]);
        assert_eq!(history(r#","limit":2,"reverse":true"#).0, ["four", "three"]);
        assert_eq!(history(r#","limit":-1,"since":{"offset":2}"#).0, ["three", "four"]);
        assert_eq!(history(r#","limit":-1,"since":{"offset":3},"reverse":true"#).0, ["two", "one"]);
        assert_eq!(history(r#","limit":-1,"since":{"offset":99}"#).0, Vec::<String>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn a_history_reply_has_a_limit_in_bytes_and_the_client_asks_on() {
    let mut world = World::new();
    let ana = world.connect("ana");
    // Each becomes six bytes in JSON.
    let large = "\u{1}".repeat(16 << 10);
    for _ in 0..50 {
        world.post("room:1", &large).await;
    }
    for reverse in [false, true] {
        let (mut read, mut rest) = (Vec::new(), String::new());
        while read.len() < 50 {
            let id =
                world.ask(ana, &format!(r#""history":{{"channel":"room:1","limit":-1,"reverse":{reverse}{rest}}}"#));
            let Ok(Response::History(page)) = world.answer(ana, id) else { panic!() };
            let bytes: usize = page.publications.iter().map(|p| p.data.as_ref().unwrap().as_bytes().len()).sum();
            assert!(bytes <= 2 << 20 && page.offset == 50, "{bytes}");
            read.extend(page.publications.iter().map(|publication| publication.offset));
            rest = format!(r#","since":{{"offset":{},"epoch":"{}"}}"#, read.last().unwrap(), page.epoch);
        }
        if reverse {
            read.reverse();
        }
        assert_eq!(read, (1..=50).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn a_history_reply_brings_one_publication_however_large() {
    let mut world = World::with(Limits { history_reply_bytes_max: 10, ..Limits::default() });
    let ana = world.connect("ana");
    world.publish("news", [&*"x".repeat(100), "y"]);
    for (limit, brings) in [(9, 1), (0, 0)] {
        let id = world.ask(ana, &format!(r#""history":{{"channel":"news","limit":{limit}}}"#));
        let Ok(Response::History(page)) = world.answer(ana, id) else { panic!() };
        assert_eq!(page.publications.len(), brings);
    }
}

#[tokio::test(start_paused = true)]
async fn a_position_of_another_epoch_is_error_112() {
    let mut world = World::new();
    let ana = world.connect("ana");
    world.publish("news", ["one"]);
    let id = world.ask(ana, r#""history":{"channel":"news","limit":1,"since":{"offset":1,"epoch":"other"}}"#);
    assert_eq!(world.answer(ana, id), Err(Error::UNRECOVERABLE_POSITION));
    let read = world.hub.history(&name("news"), Query { since: Some(1), ..Query::default() }, "other").await;
    assert!(matches!(read, Err(ReadError::OtherEpoch)));
}

#[tokio::test(start_paused = true)]
async fn history_of_a_channel_without_one_is_not_available() {
    let mut world = World::new();
    let ana = world.connect("ana");
    let id = world.ask(ana, r#""history":{"channel":"plain:x","limit":1}"#);
    assert_eq!(world.answer(ana, id), Err(Error::NOT_AVAILABLE));
}

#[tokio::test(start_paused = true)]
async fn memory_keeps_so_many_publications_so_long_and_older_positions_get_what_is_left() {
    let mut world = World::new();
    for number in 0..HISTORY_SIZE + 5 {
        world.publish("news", [&*number.to_string()]);
    }
    let read = |world: &World, since| {
        let hub = world.hub.clone();
        async move { hub.history(&name("news"), Query { since, limit: 1000, reverse: false }, "").await.unwrap() }
    };
    let page = read(&world, Some(1)).await;
    assert_eq!((page.publications.len(), page.publications[0].offset), (HISTORY_SIZE, 6));
    world.wait(HISTORY_TTL).await;
    let page = read(&world, None).await;
    assert_eq!((page.publications.len(), page.top.offset), (0, 105));
}

#[tokio::test(start_paused = true)]
async fn memory_for_history_is_bounded_in_bytes_for_a_channel_and_for_all() {
    let large = "x".repeat(1_000);
    let mut world = World::with(Limits { history_channel_bytes_max: 5_000, ..Limits::default() });
    world.publish("news", [&*large; 20]);
    let kept = |world: &World, channel: &'static str| {
        let hub = world.hub.clone();
        async move {
            hub.history(&name(channel), Query { limit: 99, ..Query::default() }, "").await.unwrap().publications.len()
        }
    };
    assert_eq!(kept(&world, "news").await, 4);

    let mut world = World::with(Limits { history_bytes_max: 5_000, ..Limits::default() });
    world.publish("a", [&*large; 4]);
    world.publish("b", [&*large; 4]);
    assert_eq!((kept(&world, "a").await, kept(&world, "b").await), (4, 0), "it has no older ones to replace");
    world.publish("a", [&*large]);
    assert_eq!((kept(&world, "a").await, world.hub.position(&name("a")).await.unwrap().offset), (4, 5));
}

#[tokio::test(start_paused = true)]
async fn many_fresh_channels_keep_no_more_than_one() {
    let large = "x".repeat(1_000);
    let mut world = World::with(Limits { history_bytes_max: 5_000, ..Limits::default() });
    let mut kept = 0;
    for number in 0..100 {
        let channel = name(&format!("made up {number}"));
        world.publish(channel.as_str(), [&*large]);
        kept +=
            world.hub.history(&channel, Query { limit: 9, ..Query::default() }, "").await.unwrap().publications.len();
    }
    assert_eq!(kept, 4);
}

#[tokio::test(start_paused = true)]
async fn who_missed_what_was_not_kept_is_told() {
    let mut world = World::with(Limits { history_bytes_max: 5_000, ..Limits::default() });
    world.publish("full", [&*"x".repeat(1_000); 4]);
    let ana = world.connect("ana");
    let before = world.subscribe(ana, "news");
    world.publish("news", [&*"y".repeat(1_000)]);
    assert_eq!(world.heard(ana, "news").len(), 1, "it is delivered");
    world.cut(ana);
    let ana = world.connect("ana");
    let resumed = world.resume(ana, "news", before.offset, &before.epoch);
    assert_eq!((resumed.recovered, resumed.offset, resumed.publications.len()), (false, 1, 0));
    let ben = world.connect("ben");
    assert!(world.resume(ben, "news", 1, &before.epoch).recovered, "who missed nothing still resumes");
}

#[tokio::test(start_paused = true)]
async fn tags_and_what_is_said_about_the_publisher_count_as_bytes_too() {
    let world = World::with(Limits { history_channel_bytes_max: 5_000, ..Limits::default() });
    let large = "x".repeat(1_000);
    let tagged = PublishOptions { tags: [("tag".into(), large.clone())].into(), ..PublishOptions::default() };
    let info = ClientInfo { conn_info: Some(text(&large)), ..ClientInfo::default() };
    let informed = PublishOptions { info: Some(info), ..PublishOptions::default() };
    for (channel, options) in [("tagged", tagged), ("informed", informed)] {
        for _ in 0..20 {
            world.hub.publish(&name(channel), text("x"), options.clone()).unwrap();
        }
        let page = world.hub.history(&name(channel), Query { limit: 99, ..Query::default() }, "").await.unwrap();
        assert_eq!(page.publications.len(), 4, "{channel}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_stream_starts_over_in_another_epoch() {
    let mut world = World::new();
    world.publish("news", ["one"]);
    let before = world.hub.position(&name("news")).await.unwrap();
    world.wait(3_601 * SECOND).await;
    world.hub.sweep().await;
    assert_eq!(world.hub.metrics().channels, 0);
    world.publish("news", ["two"]);
    let after = world.hub.position(&name("news")).await.unwrap();
    assert_eq!((before.offset, after.offset), (1, 1));
    assert_ne!(before.epoch, after.epoch);
}

#[tokio::test(start_paused = true)]
async fn a_stream_outlives_its_publications_while_somebody_is_subscribed() {
    let mut world = World::new();
    let ana = world.connect("ana");
    let epoch = world.subscribe(ana, "news").epoch;
    world.publish("news", ["one"]);
    for _ in 0..720 {
        world.wait(10 * SECOND).await;
        world.say_pong(ana);
        world.hub.sweep().await;
    }
    assert_eq!(world.hub.position(&name("news")).await.unwrap().epoch, epoch);
}

// Recovery (section 6, promise G4)

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
    world.hub.publish_ephemeral(&name("room:1"), text("typing"), None);
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
async fn more_than_can_be_held_back_closes_the_connection_for_a_recovery() {
    let mut world = World::with(Limits { publications_held_max: 2, ..Limits::default() });
    let ana = world.connect("ana");
    let asking = world.rules.hold_answers();
    world.ask(ana, r#""subscribe":{"channel":"plain:x"}"#);
    world.publish("plain:x", ["one", "two", "three"]);
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

// Announcing what the application stored (design: the store is the truth)

#[tokio::test(start_paused = true)]
async fn a_number_that_was_announced_already_is_dropped() {
    let mut world = World::new();
    let ana = world.connect("ana");
    world.subscribe(ana, "room:1");
    let one = world.rules.store.commit(&name("room:1"), "one");
    for _ in 0..3 {
        world.hub.announce(&name("room:1"), one.clone()).await.unwrap();
    }
    world.settle();
    assert_eq!(world.heard(ana, "room:1"), ["one"]);
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
async fn announcements_that_come_while_a_gap_is_filled_are_not_lost() {
    let mut world = World::new();
    let ana = world.connect("ana");
    world.subscribe(ana, "room:1");
    let room = name("room:1");
    let reading = world.rules.hold_reads();
    world.rules.store.commit(&room, "one");
    let two = world.rules.store.commit(&room, "two");
    let filling = tokio::spawn({
        let (hub, room) = (world.hub.clone(), room.clone());
        async move { hub.announce(&room, two).await }
    });
    tokio::task::yield_now().await;
    let three = world.rules.store.commit(&room, "three");
    world.hub.announce(&room, three).await.unwrap();
    reading.add_permits(9);
    filling.await.unwrap().unwrap();
    world.settle();
    assert_eq!(world.heard(ana, "room:1"), ["one", "two", "three"]);
}

#[tokio::test(start_paused = true)]
async fn a_gap_whose_reader_went_away_is_filled_by_the_next_announcement() {
    let mut world = World::new();
    let ana = world.connect("ana");
    world.subscribe(ana, "room:1");
    let room = name("room:1");
    let reading = world.rules.hold_reads();
    world.rules.store.commit(&room, "one");
    let two = world.rules.store.commit(&room, "two");
    let dropped = tokio::time::timeout(SECOND, world.hub.announce(&room, two)).await;
    assert!(dropped.is_err());
    reading.add_permits(9);
    world.post("room:1", "three").await;
    assert_eq!(world.heard(ana, "room:1"), ["one", "two", "three"]);
}

#[tokio::test(start_paused = true)]
async fn who_reads_ahead_of_the_announcements_takes_nothing_from_the_others() {
    let mut world = World::new();
    let [ana, ben] = ["ana", "ben"].map(|user| world.connect(user));
    world.subscribe(ana, "room:1");
    let committed = ["one", "two"].map(|data| world.rules.store.commit(&name("room:1"), data));
    assert_eq!(world.resume(ben, "room:1", 0, "store-1").publications.len(), 2);
    for publication in committed {
        world.hub.announce(&name("room:1"), publication).await.unwrap();
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
    world.hub.announce(&name("room:1"), two).await.unwrap();
    world.settle();
    assert_eq!(world.closed(ana), Some(3010));
}

// The server acts on connections (capabilities 4.15, 4.39)

#[tokio::test(start_paused = true)]
async fn connections_are_found_by_user_by_tag_and_by_id() {
    let mut world = World::new();
    let laptop = world.connect_session("ana", "session-1");
    let phone = world.connect_session("ana", "session-2");
    let ben = world.connect("ben");
    world.subscribe(laptop, "news");
    let id = world.id_of(laptop);
    let count = |target| world.hub.connections(target).len();
    assert_eq!((count(Target::All), count(Target::User("ana")), count(Target::Tag("session-2"))), (3, 2, 1));
    assert_eq!((count(Target::Client("nobody")), count(Target::User("")), count(Target::User("x"))), (0, 0, 0));
    let found = world.hub.connections(Target::Client(&id)).remove(0);
    assert_eq!((&*found.user, found.tag.as_deref(), found.channels), ("ana", Some("session-1"), vec![name("news")]));
    assert_eq!((world.hub.num_users(), world.hub.metrics().connections), (2, 3));
    assert_eq!(world.hub.channels().len(), 1);

    assert_eq!(world.hub.disconnect(Target::Tag("session-1"), &Disconnect::FORCE_DISCONNECT), 1);
    world.settle();
    assert_eq!((world.closed(laptop), world.closed(phone), world.closed(ben)), (Some(3503), None, None));
    assert_eq!((world.hub.num_users(), world.hub.metrics().connections, world.hub.channels().len()), (2, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn the_server_ends_a_subscription_and_the_client_is_told() {
    let mut world = World::new();
    let [ana, ben] = ["ana", "ben"].map(|user| world.connect(user));
    world.subscribe(ana, "news");
    world.subscribe(ben, "news");
    assert_eq!(world.hub.unsubscribe(Target::User("ana"), Some(&name("news")), &Unsubscribe::SERVER), 1);
    world.publish("news", ["later"]);
    let told = r#"{"push":{"channel":"news","unsubscribe":{"code":2000,"reason":"server unsubscribe"}}}"#;
    assert_eq!(world.received(ana), [told]);
    assert_eq!(world.heard(ben, "news"), ["later"]);
    assert_eq!(world.subscribe(ana, "news").offset, 1);
}

#[tokio::test(start_paused = true)]
async fn the_server_ends_all_subscriptions_of_a_user() {
    let mut world = World::new();
    let ana = world.connect("ana");
    world.subscribe(ana, "a");
    world.subscribe(ana, "b");
    assert_eq!(world.hub.unsubscribe(Target::User("ana"), None, &Unsubscribe::SERVER), 2);
    assert_eq!((world.hub.metrics().subscriptions, world.hub.channels().len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_server_subscribes_a_user_as_far_as_the_policy_allows() {
    let mut world = World::new();
    let [ana, ben] = ["ana", "ben"].map(|user| world.connect(user));
    world.rules.ban("ben", "user:x");
    for user in ["ana", "ben"] {
        world.hub.subscribe(Target::User(user), &name("user:x"));
    }
    world.settle();
    world.publish("user:x", ["hello"]);
    let pushed = world.received(ana);
    assert!(pushed[0].starts_with(r#"{"push":{"channel":"user:x","subscribe":{"recoverable":true"#), "{pushed:?}");
    assert!(pushed[1].contains("hello"));
    assert!(world.received(ben).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_user_has_so_many_connections_and_no_more() {
    let mut world = World::with(Limits { connections_per_user_max: 2, ..Limits::default() });
    let [ana, _phone] = ["ana", "ana"].map(|user| world.connect(user));
    let third = world.open(ConnectionOptions::default());
    world.ask(third, r#""connect":{"token":"ana"}"#);
    assert_eq!(world.closed(third), Some(3504));
    world.cut(ana);
    world.connect("ana");
}

#[tokio::test(start_paused = true)]
async fn who_only_claims_a_name_shuts_nobody_out_who_has_signed_in_under_it() {
    let mut world = World::with(Limits { connections_per_user_max: 2, ..Limits::default() });
    let claimed = ["ana", "ana"].map(|user| world.connect(user));
    for _ in 0..2 {
        world.connect_session("ana", "session-1");
    }
    let third = |world: &mut World, tag: Option<&str>| {
        let identity = Identity { user: "ana".into(), tag: tag.map(str::to_owned), ..Identity::default() };
        let third = world.open(ConnectionOptions { identity: Some(identity), ..ConnectionOptions::default() });
        world.ask(third, r#""connect":{}"#);
        world.closed(third)
    };
    assert_eq!(third(&mut world, Some("session-2")), Some(3504));
    assert_eq!(third(&mut world, None), Some(3504));
    world.cut(claimed[0]);
    assert_eq!(third(&mut world, None), None);
}

#[tokio::test(start_paused = true)]
async fn nameless_connections_are_not_counted_together() {
    let mut world = World::with(Limits { connections_per_user_max: 2, ..Limits::default() });
    for _ in 0..10 {
        let identity = Some(Identity::default());
        let nameless = world.open(ConnectionOptions { identity, ..ConnectionOptions::default() });
        world.ask(nameless, r#""connect":{}"#);
        assert_eq!(world.closed(nameless), None);
    }
}

#[tokio::test(start_paused = true)]
async fn made_up_channels_cannot_fill_the_memory() {
    let mut world = World::with(Limits { channels_max: 2, ..Limits::default() });
    let ana = world.connect("ana");
    world.publish("a", ["x"]);
    world.publish("b", ["x"]);
    let id = world.ask(ana, r#""subscribe":{"channel":"c"}"#);
    assert_eq!(world.answer(ana, id), Err(Error::LIMIT_EXCEEDED));
    let refused = world.hub.publish(&name("c"), text("x"), PublishOptions::default());
    assert_eq!(refused, Err(PublishError::TooManyChannels { max: 2 }));
}

#[tokio::test(start_paused = true)]
async fn made_up_channels_shut_nobody_out_of_channels_that_remember_nothing_here() {
    let mut world = World::with(Limits { channels_max: 2, ..Limits::default() });
    world.rules.given.lock().unwrap().push((name("plain:ana"), Grant::default()));
    world.publish("a", ["x"]);
    world.publish("b", ["x"]);
    let ana = world.connect("ana");
    world.subscribe(ana, "room:1");
    world.cut(ana);

    let mut world = World::with(Limits { channels_max: 1, ..Limits::default() });
    let ana = world.connect("ana");
    world.subscribe(ana, "room:1");
    world.subscribe(ana, "plain:x");
    world.subscribe(ana, "news");
    let id = world.ask(ana, r#""subscribe":{"channel":"more"}"#);
    assert_eq!(world.answer(ana, id), Err(Error::LIMIT_EXCEEDED), "they do not count either");
    world.cut(ana);
    world.wait(61 * SECOND).await;
    world.hub.sweep().await;
    let ana = world.connect("ana");
    world.subscribe(ana, "more");
}

#[tokio::test(start_paused = true)]
async fn reading_the_history_of_made_up_channels_makes_none() {
    let mut world = World::new();
    let ana = world.connect("ana");
    let mut history = |rest: &str| {
        let id = world.ask(ana, &format!(r#""history":{{"channel":"news","limit":9{rest}}}"#));
        world.answer(ana, id)
    };
    let Ok(Response::History(empty)) = history("") else { panic!() };
    assert_eq!((empty.epoch.len(), empty.offset, empty.publications.len()), (8, 0, 0));
    let since = format!(r#","since":{{"offset":0,"epoch":"{}"}}"#, empty.epoch);
    assert_eq!(history(&since), Ok(Response::History(empty.clone())), "who asks again goes on from there");
    assert_eq!(world.hub.metrics().channels, 0);
    world.publish("news", ["one"]);
    assert_eq!(world.resume(ana, "news", 0, &empty.epoch).publications.len(), 1, "and misses nothing");
}

#[tokio::test(start_paused = true)]
async fn a_position_from_before_a_stream_was_forgotten_is_of_another_epoch() {
    let mut world = World::new();
    let before = world.hub.position(&name("news")).await.unwrap();
    world.publish("news", ["one"]);
    world.wait(3_601 * SECOND).await;
    world.hub.sweep().await;
    world.publish("news", ["two"]);
    let ana = world.connect("ana");
    assert!(!world.resume(ana, "news", 0, &before.epoch).recovered, "one is missing");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_closes_everybody_with_3001_spread_over_the_given_time() {
    let mut world = World::new();
    let peers: Vec<_> = (0..100).map(|number| world.connect(&format!("user{number}"))).collect();
    let hub = world.hub.clone();
    let shutdown = tokio::spawn(async move { hub.shutdown(2 * SECOND).await });
    tokio::task::yield_now().await;
    for _ in 0..100 {
        world.wait(Duration::from_millis(10)).await;
        tokio::task::yield_now().await;
    }
    world.settle();
    let closed = peers.iter().filter(|peer| world.closed(**peer) == Some(3001)).count();
    assert!((40..=60).contains(&closed), "half the time, about half the connections: {closed}");
    let late = world.open(ConnectionOptions::default());
    world.settle();
    assert_eq!(world.closed(late), Some(3001));
    for _ in 0..110 {
        world.wait(Duration::from_millis(10)).await;
        tokio::task::yield_now().await;
    }
    assert!(peers.iter().all(|peer| world.closed(*peer) == Some(3001)));
    assert!(shutdown.is_finished());
    assert_eq!(world.hub.metrics().connections, 0);
}

// Time

#[tokio::test(start_paused = true)]
async fn a_socket_that_says_nothing_is_closed_as_stale() {
    let mut world = World::new();
    let silent = world.open(ConnectionOptions::default());
    world.wait(10 * SECOND).await;
    assert_eq!(world.closed(silent), Some(3502));
}

#[tokio::test(start_paused = true)]
async fn where_the_transport_has_its_own_heartbeat_the_protocol_sends_no_pings() {
    let mut world = World::new();
    let ana = world.open(ConnectionOptions { heartbeat: Heartbeat::Transport, ..ConnectionOptions::default() });
    world.ask(ana, r#""connect":{"token":"ana"}"#);
    assert!(!world.received(ana)[0].contains("ping"));
    world.wait(600 * SECOND).await;
    assert!(world.received(ana).is_empty() && world.closed(ana).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_connection_ends_when_the_policy_said_it_would() {
    let mut world = World::new();
    *world.rules.expiry.lock().unwrap() = Some(Expiry::Final(5 * SECOND));
    let ana = world.connect("ana");
    world.wait(5 * SECOND).await;
    assert_eq!(world.closed(ana), Some(3005));
}

// Who it is

#[tokio::test(start_paused = true)]
async fn wrong_missing_and_expired_credentials_are_told_apart() {
    let mut world = World::new();
    for (token, closed, error) in
        [("forged", Some(3500), None), ("", Some(3501), None), ("old", None, Some(Error::TOKEN_EXPIRED))]
    {
        let peer = world.open(ConnectionOptions::default());
        let id = world.ask(peer, &format!(r#""connect":{{"token":"{token}"}}"#));
        assert_eq!(world.closed(peer), closed);
        assert_eq!(world.try_answer(peer, id).map(Result::unwrap_err), error);
    }
}

#[tokio::test(start_paused = true)]
async fn rpc_reaches_the_application() {
    let mut world = World::new();
    let ana = world.connect("ana");
    world.ask(ana, r#""rpc":{"method":"echo","data":{"a":[1, 2]}}"#);
    world.ask(ana, r#""rpc":{"method":"nothing"}"#);
    let error = r#"{"id":3,"error":{"code":104,"message":"method not found"}}"#;
    assert_eq!(world.received(ana), [r#"{"id":2,"rpc":{"data":{"a":[1, 2]}}}"#, error]);
}

#[tokio::test(start_paused = true)]
async fn what_the_hub_counts_adds_up() {
    let mut world = World::new();
    let [ana, ben] = ["ana", "ben"].map(|user| world.connect(user));
    world.subscribe(ana, "news");
    world.subscribe(ben, "news");
    world.publish("news", ["one", "two"]);
    assert_eq!(world.pushes(ana, "news", is_pub).len(), 2);
    let counted = world.hub.metrics();
    assert_eq!((counted.connections, counted.subscriptions, counted.channels), (2, 2, 1));
    assert_eq!((counted.messages_in, counted.publications, counted.messages_out), (4, 2, 4 + 4));
    assert!(counted.bytes_in > 0 && counted.bytes_out > 0);
    world.cut(ana);
    world.cut(ben);
    let counted = world.hub.metrics();
    assert_eq!((counted.connections, counted.subscriptions, counted.connections_total), (0, 0, 2));
}
