//! The server acts on connections (capabilities 4.15, 4.39)

use super::*;
use tidings_hub::SomeOf;

#[tokio::test(start_paused = true)]
async fn connections_are_found_by_user_by_tag_and_by_id() {
    let mut world = World::new();
    let laptop = world.connect_session("ana", "session-1");
    let phone = world.connect_session("ana", "session-2");
    let ben = world.connect("ben");
    world.subscribe(laptop, "news");
    let id = world.id_of(laptop);
    let count = |target| world.hub.connections(&target).len();
    assert_eq!(
        (count(Target::All), count(Target::User("ana".into())), count(Target::Tag("session-2".into()))),
        (3, 2, 1)
    );
    assert_eq!(
        (count(Target::Client("nobody".into())), count(Target::User("".into())), count(Target::User("x".into()))),
        (0, 0, 0)
    );
    let found = world.hub.connections(&Target::Client(id.clone())).remove(0);
    assert_eq!((&*found.user, found.tag.as_deref(), found.channels), ("ana", Some("session-1"), vec![name("news")]));
    assert_eq!((world.hub.num_users(), world.hub.metrics().connections), (2, 3));
    assert_eq!(world.hub.channels().len(), 1);

    assert_eq!(world.order(Order::disconnect(Target::Tag("session-1".into()), Disconnect::FORCE_DISCONNECT)), 1);
    world.settle();
    assert_eq!((world.closed(laptop), world.closed(phone), world.closed(ben)), (Some(3503), None, None));
    assert_eq!((world.hub.num_users(), world.hub.metrics().connections, world.hub.channels().len()), (2, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn connections_are_listed_a_page_at_a_time_each_once() {
    let mut world = World::new();
    let all: Vec<_> = (0..10).map(|_| world.connect("ana")).collect();
    let session = world.connect_session("ana", "session");
    world.subscribe(all[3], "news");
    let mut ids: Vec<_> = all.iter().chain([&session]).map(|one| world.id_of(*one)).collect();
    ids.sort();
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = world.hub.connections_page(&Target::All, None, after, 4, |_| true);
        let Some(last) = page.last() else { break };
        after = Some(last.client.parse().unwrap());
        listed.extend(page.into_iter().map(|one| one.client));
    }
    assert_eq!(listed, ids);
    let clients = |target: &Target, channel: Option<&str>| -> Vec<_> {
        let channel = channel.map(name);
        let page = world.hub.connections_page(target, channel.as_ref(), None, 4, |peer| peer.user() == "ana");
        page.into_iter().map(|one| one.client).collect()
    };
    assert_eq!(clients(&Target::All, Some("news")), [world.id_of(all[3])]);
    assert_eq!(clients(&Target::User("ana".into()), Some("news")), [world.id_of(all[3])]);
    assert_eq!(clients(&Target::All, Some("nobody")), [""; 0]);
    assert_eq!(clients(&Target::User("ben".into()), None), [""; 0]);
    assert_eq!((world.hub.num_connections("ana", false), world.hub.num_connections("ana", true)), (10, 1));
}

#[tokio::test(start_paused = true)]
async fn the_server_reaches_those_of_a_user_that_have_no_tag() {
    let mut world = World::new();
    let (token, session) = (world.connect("ana"), world.connect_session("ana", "session"));
    let untagged = SomeOf { user: "ana".into(), has_tag: Some(false), ..SomeOf::default() };
    assert_eq!(world.order(Order::disconnect(Target::Some(untagged), Disconnect::FORCE_DISCONNECT)), 1);
    world.settle();
    assert_eq!((world.closed(token), world.closed(session)), (Some(3503), None));
}

#[tokio::test(start_paused = true)]
async fn the_server_ends_a_subscription_and_the_client_is_told() {
    let mut world = World::new();
    let [ana, ben] = ["ana", "ben"].map(|user| world.connect(user));
    world.subscribe(ana, "news");
    world.subscribe(ben, "news");
    assert_eq!(world.order(Order::unsubscribe(Target::User("ana".into()), Some(name("news")), Unsubscribe::SERVER)), 1);
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
    assert_eq!(world.order(Order::unsubscribe(Target::User("ana".into()), None, Unsubscribe::SERVER)), 2);
    assert_eq!((world.hub.metrics().subscriptions, world.hub.channels().len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_server_subscribes_a_user_as_far_as_the_policy_allows() {
    let mut world = World::new();
    let [ana, ben] = ["ana", "ben"].map(|user| world.connect(user));
    world.rules.ban("ben", "user:x");
    for user in ["ana", "ben"] {
        world.order(Order::subscribe(Target::User(user.into()), name("user:x")));
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

/// Subscribes to made-up channels and leaves them again; how many of them were refused.
fn make_up(world: &mut World, who: Who, names: impl IntoIterator<Item = String>) -> usize {
    let mut refused = 0;
    for channel in names {
        let id = world.ask(who, &format!(r#""subscribe":{{"channel":"{channel}"}}"#));
        match world.answer(who, id) {
            Ok(_) => drop(world.ask(who, &format!(r#""unsubscribe":{{"channel":"{channel}"}}"#))),
            Err(error) => {
                assert_eq!(error, Error::LIMIT_EXCEEDED);
                refused += 1;
            }
        }
        world.received(who);
    }
    refused
}

fn of_mallory(number: usize) -> String {
    format!("mallory {number}")
}

fn generous() -> Limits {
    let rate = Rate { per_second: 1_000_000, burst: 1_000_000 };
    Limits {
        commands_per_second: 1_000_000,
        commands_burst: 1_000_000,
        subscribes_per_second: 1_000_000,
        subscribes_burst: 1_000_000,
        user: Allowance { connects: rate, commands: rate, channels: rate, read_bytes: rate },
        ..Limits::default()
    }
}

/// S17: whoever makes up most channels loses them, and quiet ones of others stay.
#[tokio::test(start_paused = true)]
async fn who_makes_up_most_channels_loses_its_own_and_quiet_ones_stay() {
    let mut world =
        World::with(Limits { channels_max: 100, channels_reserved: 20, channels_per_user_max: 1_000, ..generous() });
    let [ana, mallory] = ["ana", "mallory"].map(|user| world.connect(user));
    world.ask(ana, r#""publish":{"channel":"quiet","data":1}"#);
    world.publish("of the backend", ["x"]);
    let before = world.hub.position(&name("quiet")).await.unwrap();
    assert_eq!(make_up(&mut world, mallory, (0..1_000).map(of_mallory)), 0);
    assert!(world.hub.metrics().channels <= 100, "{}", world.hub.metrics().channels);
    assert_eq!(world.hub.position(&name("quiet")).await.unwrap(), before);
    assert_eq!(world.hub.position(&name("of the backend")).await.unwrap().offset, 1);
    // Whom somebody is subscribed to goes on too, whoever made it.
    let shared = world.subscribe(mallory, "shared");
    world.subscribe(ana, "shared");
    world.ask(mallory, r#""unsubscribe":{"channel":"shared"}"#);
    make_up(&mut world, mallory, (1_000..2_000).map(of_mallory));
    assert_eq!(world.hub.position(&name("shared")).await.unwrap().epoch, shared.epoch);
    world.publish("shared", ["still here"]);
    assert_eq!(world.heard(ana, "shared"), ["still here"]);
}

/// The reserve: clients in use of all that they may have keep the backend from nothing.
#[tokio::test(start_paused = true)]
async fn clients_who_use_all_their_channels_leave_the_reserve_to_the_server() {
    let mut world = World::with(Limits { channels_max: 20, channels_reserved: 5, ..generous() });
    let mallory = world.connect("mallory");
    for number in 0..15 {
        world.subscribe(mallory, &of_mallory(number));
    }
    assert_eq!(make_up(&mut world, mallory, ["one more".into()]), 1);
    for number in 0..50 {
        world.publish(&format!("of the backend {number}"), ["x"]);
    }
    assert_eq!(world.hub.metrics().channels, 20, "of its own the oldest are forgotten");
    assert_eq!(world.hub.position(&name("of the backend 49")).await.unwrap().offset, 1);
}

/// The quota holds across reconnects, and where names cost nothing, for the address.
#[tokio::test(start_paused = true)]
async fn one_user_has_so_many_channels_and_the_users_of_one_address_ten_times_as_many() {
    let mut world = World::with(Limits { channels_per_user_max: 10, channels_per_connection_max: 8, ..generous() });
    let at = |address: &str| {
        let remote = Remote { address: Some(address.parse().unwrap()), ..Remote::default() };
        ConnectionOptions { remote, ..ConnectionOptions::default() }
    };
    let come = |world: &mut World, user: &str, address: &str, channels: usize| {
        let who = world.open(at(address));
        world.ask(who, &format!(r#""connect":{{"token":"{user}"}}"#));
        let asked = (0..channels).map(|_| {
            let id = world.ask(who, &format!(r#""subscribe":{{"channel":"{}"}}"#, world.hub.metrics().channels));
            world.answer(who, id)
        });
        asked.filter(Result::is_err).count()
    };
    assert_eq!(come(&mut world, "mallory", "192.0.2.1", 8), 0);
    assert_eq!(come(&mut world, "mallory", "192.0.2.1", 8), 6, "in use, and two are left");
    let refused: usize = (0..20).map(|user| come(&mut world, &user.to_string(), "192.0.2.1", 8)).sum();
    assert_eq!(20 * 8 - refused, 90, "a fresh name for each visitor");
    assert_eq!(come(&mut world, "ana", "192.0.2.2", 8), 0);
}

/// Whoever comes from this machine may be a backend for many; a proxy in front that nobody believes is none.
#[tokio::test(start_paused = true)]
async fn the_token_users_behind_a_proxy_on_this_machine_count_together_although_nobody_believes_it() {
    let limits = Limits { channels_per_user_max: 3, ..generous() };
    let made = |is_proxy: bool, address: &str| {
        let mut world = World::with(limits.clone());
        for user in 0..100 {
            let remote = Remote { address: Some(address.parse().unwrap()), is_proxy, ..Remote::default() };
            let who = world.open(ConnectionOptions { remote, ..ConnectionOptions::default() });
            world.ask(who, &format!(r#""connect":{{"token":"visitor {user}"}}"#));
            world.ask(who, &format!(r#""subscribe":{{"channel":"{user}"}}"#));
        }
        world.hub.metrics().channels
    };
    for address in ["127.0.0.1", "::1"] {
        assert_eq!((made(false, address), made(true, address)), (100, 30), "{address}");
    }
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
    world.wait(tidings_hub::limits::LOOKED_IN_VAIN).await;
    let ana = world.connect("ana");
    world.subscribe(ana, "more");
}

/// S17: a publication that makes a channel costs what a subscription costs.
#[tokio::test(start_paused = true)]
async fn publishing_to_fresh_names_is_counted_as_subscribing_to_them() {
    let channels = Rate { per_second: 1, burst: 5 };
    let limits = generous();
    let mut world = World::with(Limits { user: Allowance { channels, ..limits.user }, ..limits });
    let mallory = world.connect("mallory");
    let publish = |world: &mut World, channel: &str| {
        let id = world.ask(mallory, &format!(r#""publish":{{"channel":"{channel}","data":1}}"#));
        world.answer(mallory, id).map(|_| ())
    };
    let refused = (0..20).filter(|number| publish(&mut world, &of_mallory(*number)).is_err()).count();
    assert_eq!((refused, world.hub.metrics().channels), (15, 5));
    assert_eq!(publish(&mut world, "more"), Err(Error::TOO_MANY_REQUESTS));
    assert!((0..100).all(|_| publish(&mut world, &of_mallory(0)).is_ok()), "those that are there cost nothing");
    world.wait(SECOND).await;
    assert_eq!(publish(&mut world, "more"), Ok(()));
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
