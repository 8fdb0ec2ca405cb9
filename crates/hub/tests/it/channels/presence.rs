//! Presence, join and leave (G6)

use super::*;

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
    let mut world = World::new();
    *world.rules.memory.lock().unwrap() = ChannelOptions { presence_clients_max: 1, ..memory() }.into();
    let [ana, ben] = ["ana", "ben"].map(|user| world.connect(user));
    world.subscribe(ana, "news");
    world.subscribe(ben, "news");
    let id = world.ask(ana, r#""presence":{"channel":"news"}"#);
    assert_eq!(world.answer(ana, id), Err(Error::LIMIT_EXCEEDED));
    assert_eq!(world.hub.presence_stats(&name("news")).await.num_clients, 2);
}

#[tokio::test(start_paused = true)]
async fn the_servers_own_question_has_a_limit_too() {
    let mut world = World::with(Limits { presence_clients_max: 1, ..Limits::default() });
    for user in ["ana", "ben"] {
        let who = world.connect(user);
        world.subscribe(who, "plain:x");
    }
    assert_eq!(world.hub.presence(&name("plain:x")).await, Err(PresenceError::TooMany { max: 1 }));
    let stats = world.hub.presence_stats(&name("plain:x")).await;
    assert_eq!((stats.num_clients, stats.num_users), (2, 2));
}

/// S63: two that come and go all day are told of once a second each, and in the end as it is.
#[tokio::test(start_paused = true)]
async fn who_comes_and_goes_all_the_time_is_told_of_now_and_then_and_then_as_it_is() {
    let mut world = World::with(Limits {
        subscribes_burst: 100_000,
        commands_burst: 100_000,
        user: Allowance::UNLIMITED,
        join_leave_messages: Rate { per_second: 400, burst: 4_000 },
        ..Limits::default()
    });
    let listeners: Vec<_> = (0..20).map(|number| world.connect(&format!("listener {number}"))).collect();
    for listener in &listeners {
        world.ask(*listener, r#""subscribe":{"channel":"news","join_leave":true}"#);
    }
    let mallory = world.connect("mallory");
    let upkeep = tokio::spawn({
        let hub = world.hub.clone();
        async move { hub.maintain().await }
    });
    let (mut told, mut last) = (0, Vec::new());
    let mut count = |world: &mut World| {
        for listener in &listeners {
            told += world.received(*listener).len();
        }
        told
    };
    for _ in 0..1_000 {
        world.ask(mallory, r#""subscribe":{"channel":"news"}"#);
        world.ask(mallory, r#""unsubscribe":{"channel":"news"}"#);
        world.received(mallory);
        count(&mut world);
    }
    let at_once = count(&mut world);
    assert!((3_000..5_000).contains(&at_once), "of 40,000: {at_once}");
    for _ in 0..10 {
        for _ in 0..100 {
            world.ask(mallory, r#""subscribe":{"channel":"news"}"#);
            world.ask(mallory, r#""unsubscribe":{"channel":"news"}"#);
            world.received(mallory);
        }
        world.wait(SECOND).await;
        tokio::task::yield_now().await;
    }
    let in_ten_seconds = count(&mut world) - at_once;
    assert!((20..=10 * 20).contains(&in_ten_seconds), "of 40,000, one a second for each: {in_ten_seconds}");
    world.ask(mallory, r#""subscribe":{"channel":"news"}"#);
    for _ in 0..3 {
        world.wait(SECOND).await;
        tokio::task::yield_now().await;
        last.extend(world.pushes(listeners[0], "news", joins_and_leaves));
    }
    assert!(matches!(last.last(), Some(PushEvent::Join(join)) if join.info.user == "mallory"), "{last:?}");
    upkeep.abort();
}

#[tokio::test(start_paused = true)]
async fn whom_the_server_subscribes_can_hear_who_comes_and_goes() {
    let mut world = World::new();
    world.rules.given.lock().unwrap().push((name("news"), hears()));
    let ana = world.connect("ana");
    world.rules.given.lock().unwrap().clear();
    let ben = world.connect("ben");
    world.subscribe(ben, "news");
    let heard = world.pushes(ana, "news", joins_and_leaves);
    assert!(matches!(&*heard, [PushEvent::Join(_), PushEvent::Join(ben)] if ben.info.user == "ben"), "{heard:?}");
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_is_given_twice_is_entered_once() {
    let mut world = World::new();
    for _ in 0..2 {
        world.rules.given.lock().unwrap().push((name("news"), hears()));
    }
    let ana = world.connect("ana");
    assert_eq!(world.pushes(ana, "news", joins_and_leaves).len(), 1);
    assert_eq!((world.hub.metrics().subscriptions, world.presence("news").len()), (1, 1));
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
    let mut world = World::new();
    let join_leave = Offered::Always;
    *world.rules.memory.lock().unwrap() =
        ChannelOptions { join_leave, join_leave_subscribers_max: 2, ..memory() }.into();
    let [ana, ben, cleo] = ["ana", "ben", "cleo"].map(|user| world.connect(user));
    for peer in [ana, ben, cleo] {
        world.subscribe(peer, "news");
    }
    assert_eq!(world.pushes(ana, "news", joins_and_leaves).len(), 2, "herself and ben");
    assert_eq!(world.presence("news"), ["ana", "ben", "cleo"]);
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

/// A subscription that is told who comes and goes without having asked.
fn hears() -> Grant {
    Grant { overrides: Overrides { hears_join_leave: Some(true), ..Overrides::default() }, ..Grant::default() }
}
