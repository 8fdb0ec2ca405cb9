//! What a subscriber gets of a channel, and how: differences, numbers instead of names, filters by tags, the latest alone
//! (sections 6 and 8)

use super::*;
use tidings_hub::{RecoveryMode, ServerSubscription, SomeOf, Version};
use tidings_protocol::{Payload, StreamPosition, fossil};

fn works(world: &World, change: impl FnOnce(&mut ChannelOptions)) {
    let mut options = memory();
    change(&mut options);
    *world.rules.memory.lock().unwrap() = options.into();
}

/// What a client of deltas makes of publications: the text of each, and whether it came as a difference.
#[derive(Default)]
struct Deltas(String);

impl Deltas {
    fn take(&mut self, publication: &Publication) -> (String, bool) {
        let said: String = publication.data.as_ref().unwrap().to_value().unwrap();
        self.0 = if publication.delta {
            String::from_utf8(fossil::apply(self.0.as_bytes(), said.as_bytes()).unwrap()).unwrap()
        } else {
            said
        };
        (Payload::parse(self.0.as_bytes()).unwrap().to_value().unwrap(), publication.delta)
    }

    fn hears(&mut self, world: &mut World, who: Who, channel: &str) -> Vec<(String, bool)> {
        let events = world.pushes(who, channel, is_pub);
        events
            .iter()
            .map(|event| if let PushEvent::Pub(publication) = event { self.take(publication) } else { unreachable!() })
            .collect()
    }
}

/// A long text of which a little changes, in letters of two bytes.
fn long(number: u32) -> String {
    format!("{}{number}{}", "ä".repeat(60), "ж".repeat(60))
}

fn subscribe_with(world: &mut World, who: Who, channel: &str, more: &str) -> tidings_protocol::SubscribeResult {
    let id = world.ask(who, &format!(r#""subscribe":{{"channel":"{channel}",{more}}}"#));
    world.subscribed(who, id)
}

#[tokio::test(start_paused = true)]
async fn section_8_the_first_publication_comes_whole_and_the_next_as_differences() {
    let mut world = World::new();
    works(&world, |options| options.delta = Offered::Always);
    let [ana, ben] = ["ana", "ben"].map(|user| world.connect(user));
    assert!(subscribe_with(&mut world, ana, "doc", r#""delta":"fossil""#).delta);
    assert!(!world.subscribe(ben, "doc").delta);
    let [one, two, three] = [1, 2, 3].map(long);
    world.publish("doc", [&*one, &two, &three]);
    let heard = Deltas::default().hears(&mut world, ana, "doc");
    assert_eq!(heard, [(one.clone(), false), (two.clone(), true), (three.clone(), true)]);
    assert_eq!(world.heard(ben, "doc"), [one, two, three]);
}

#[tokio::test(start_paused = true)]
async fn section_8_who_comes_later_has_one_whole_while_others_go_on_with_differences() {
    let mut world = World::new();
    works(&world, |options| options.delta = Offered::Always);
    let [ana, ben] = ["ana", "ben"].map(|user| world.connect(user));
    let (mut of_ana, mut of_ben) = (Deltas::default(), Deltas::default());
    subscribe_with(&mut world, ana, "doc", r#""delta":"fossil""#);
    world.publish("doc", [&*long(1)]);
    assert_eq!(of_ana.hears(&mut world, ana, "doc"), [(long(1), false)]);
    subscribe_with(&mut world, ben, "doc", r#""delta":"fossil""#);
    world.publish("doc", [&*long(2), &long(3)]);
    assert_eq!(of_ana.hears(&mut world, ana, "doc"), [(long(2), true), (long(3), true)]);
    assert_eq!(of_ben.hears(&mut world, ben, "doc"), [(long(2), false), (long(3), true)]);
}

#[tokio::test(start_paused = true)]
async fn section_8_g4_what_was_missed_comes_whole_first_and_live_goes_on_from_it() {
    let mut world = World::new();
    works(&world, |options| options.delta = Offered::Always);
    let [ana, ben] = ["ana", "ben"].map(|user| world.connect(user));
    subscribe_with(&mut world, ben, "doc", r#""delta":"fossil""#);
    let start = subscribe_with(&mut world, ana, "doc", r#""delta":"fossil""#);
    world.cut(ana);
    world.publish("doc", [&*long(1), &long(2)]);
    let ana = world.connect("ana");
    let resume = format!(r#""delta":"fossil","recover":true,"offset":0,"epoch":"{}""#, start.epoch);
    let resumed = subscribe_with(&mut world, ana, "doc", &resume);
    let mut of_ana = Deltas::default();
    let missed: Vec<_> = resumed.publications.iter().map(|publication| of_ana.take(publication)).collect();
    assert_eq!(missed, [(long(1), false), (long(2), true)]);
    world.publish("doc", [&*long(3)]);
    assert_eq!(of_ana.hears(&mut world, ana, "doc"), [(long(3), true)]);
    // Who missed nothing has nothing here to start from.
    world.cut(ana);
    let ana = world.connect("ana");
    let resume = format!(r#""delta":"fossil","recover":true,"offset":3,"epoch":"{}""#, start.epoch);
    assert!(subscribe_with(&mut world, ana, "doc", &resume).recovered);
    world.publish("doc", [&*long(4)]);
    assert_eq!(of_ana.hears(&mut world, ana, "doc"), [(long(4), false)]);
}

#[tokio::test(start_paused = true)]
async fn section_8_on_request_only_what_was_published_so_is_a_difference_and_a_change_of_all_is_whole() {
    let mut world = World::new();
    works(&world, |options| options.delta = Offered::OnRequest);
    let ana = world.connect("ana");
    subscribe_with(&mut world, ana, "doc", r#""delta":"fossil""#);
    let delta = |text_: &str| NewPublication { delta: true, ..NewPublication::new(text(text_)) };
    world.publish("doc", [&*long(1), &long(2)]);
    world.try_publish("doc", delta(&long(3))).unwrap();
    world.try_publish("doc", delta("another")).unwrap();
    let heard = Deltas::default().hears(&mut world, ana, "doc");
    let expected = [(long(1), false), (long(2), false), (long(3), true), ("another".to_owned(), false)];
    assert_eq!(heard, expected);
    let kept = world.hub.history(&name("doc"), HistoryQuery { limit: 9, ..HistoryQuery::default() }, "").await.unwrap();
    assert!(kept.publications.iter().all(|publication| !publication.delta), "what is kept is no difference");
}

#[tokio::test(start_paused = true)]
async fn section_8_what_has_no_number_breaks_the_chain_for_nobody() {
    let mut world = World::new();
    works(&world, |options| options.delta = Offered::Always);
    let ana = world.connect("ana");
    subscribe_with(&mut world, ana, "doc", r#""delta":"fossil""#);
    world.publish("doc", [&*long(1), &long(2)]);
    world.try_publish("doc", NewPublication::ephemeral(text(&long(7)))).unwrap();
    world.publish("doc", [&*long(3), &long(4)]);
    let heard = Deltas::default().hears(&mut world, ana, "doc");
    let expected = [(1, false), (2, true), (7, false), (3, false), (4, true)].map(|(n, delta)| (long(n), delta));
    assert_eq!(heard, expected);
}

#[tokio::test(start_paused = true)]
async fn where_no_differences_are_offered_nobody_gets_them() {
    let mut world = World::new();
    let ana = world.connect("ana");
    assert!(!subscribe_with(&mut world, ana, "doc", r#""delta":"fossil""#).delta);
    world.publish("doc", ["one", "two"]);
    assert_eq!(world.heard(ana, "doc"), ["one", "two"]);
}

#[tokio::test(start_paused = true)]
async fn section_7_pushes_name_the_channel_by_one_number_for_all_who_understand_it() {
    let mut world = World::new();
    works(&world, |options| (options.compaction, options.join_leave) = (true, Offered::Always));
    let [ana, ben, eve] = ["ana", "ben", "eve"].map(|user| world.connect(user));
    let id = subscribe_with(&mut world, ana, "news", r#""flag":1"#).id;
    assert!(id > 0);
    assert_eq!(subscribe_with(&mut world, ben, "news", r#""flag":3"#).id, id);
    assert_eq!(world.subscribe(eve, "news").id, 0);
    for who in [ana, ben, eve] {
        world.received(who);
    }
    world.publish("news", ["hello"]);
    let numbered = format!(r#"{{"push":{{"id":{id},"pub":{{"data":"hello","offset":1,"epoch":"#);
    for who in [ana, ben] {
        let received = world.received(who);
        assert!(received.len() == 1 && received[0].starts_with(&numbered), "{received:?}");
    }
    assert_eq!(world.heard(eve, "news"), ["hello"]);
    let other = subscribe_with(&mut world, ana, "sport", r#""flag":1"#).id;
    assert!(other > 0 && other != id);
    world.ask(ben, r#""unsubscribe":{"channel":"news"}"#);
    let leaves = world.received(ana);
    assert!(leaves.iter().any(|push| push.starts_with(&format!(r#"{{"push":{{"id":{id},"leave":"#))), "{leaves:?}");
    // Ends are told by name.
    world.order(Order::unsubscribe(Target::User("ana".into()), Some(name("news")), Unsubscribe::SERVER));
    let ended = world.received(ana);
    assert!(ended.iter().any(|push| push.contains(r#""channel":"news","unsubscribe""#)), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_filter_by_tags_decides_what_is_sent_live_and_recovered_and_positions_go_on() {
    let mut world = World::new();
    works(&world, |options| options.tags_filter = true);
    let tagged = |data: &str, ticker: &str| NewPublication {
        tags: [("ticker".to_owned(), ticker.to_owned())].into(),
        ..NewPublication::new(text(data))
    };
    let wants = r#""tf":{"key":"ticker","cmp":"in","vals":["BTC","ETH"]}"#;
    let [ana, ben] = ["ana", "ben"].map(|user| world.connect(user));
    let start = subscribe_with(&mut world, ana, "prices", wants);
    world.subscribe(ben, "prices");
    for (data, ticker) in [("1", "BTC"), ("2", "DOGE"), ("3", "ETH")] {
        world.try_publish("prices", tagged(data, ticker)).unwrap();
    }
    assert_eq!(world.heard(ana, "prices"), ["1", "3"]);
    assert_eq!(world.heard(ben, "prices"), ["1", "2", "3"]);
    world.cut(ana);
    for (data, ticker) in [("4", "DOGE"), ("5", "BTC"), ("6", "DOGE")] {
        world.try_publish("prices", tagged(data, ticker)).unwrap();
    }
    let ana = world.connect("ana");
    let resume = format!(r#"{wants},"recover":true,"offset":3,"epoch":"{}""#, start.epoch);
    let resumed = subscribe_with(&mut world, ana, "prices", &resume);
    assert!(resumed.recovered);
    assert_eq!(texts(resumed.publications), ["5"]);
    world.try_publish("prices", tagged("7", "ETH")).unwrap();
    assert_eq!(world.heard(ana, "prices"), ["7"]);
    assert_eq!(world.closed(ana), None);
}

#[tokio::test(start_paused = true)]
async fn a_filter_that_is_not_offered_or_makes_no_sense_or_comes_with_delta_is_error_107() {
    let mut world = World::new();
    let ana = world.connect("ana");
    for (offered, asks) in [
        (false, r#""tf":{"key":"k","cmp":"ex"}"#),
        (true, r#""tf":{"key":"k","cmp":"like"}"#),
        (true, r#""tf":{"op":"not","nodes":[]}"#),
        (true, r#""tf":{"key":"k","cmp":"ex"},"delta":"fossil""#),
    ] {
        works(&world, |options| (options.tags_filter, options.delta) = (offered, Offered::Always));
        let id = world.ask(ana, &format!(r#""subscribe":{{"channel":"c",{asks}}}"#));
        assert_eq!(world.answer(ana, id).unwrap_err().code, 107, "{asks}");
    }
    assert_eq!(world.hub.channels().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn rule_4_in_cache_mode_a_client_gets_the_latest_unless_it_has_it() {
    let mut world = World::new();
    works(&world, |options| options.recovery_mode = RecoveryMode::Cache { unasked: false });
    world.publish("price", ["1", "2", "3"]);
    let ana = world.connect("ana");
    let fresh = world.subscribe(ana, "price");
    assert!(!fresh.was_recovering && fresh.publications.is_empty(), "it did not ask");
    for (offset, epoch, expected) in [(1, &*fresh.epoch, vec!["3"]), (3, &fresh.epoch, vec![]), (3, "other", vec!["3"])]
    {
        let ana = world.connect("ana");
        let resumed = world.resume(ana, "price", offset, epoch);
        assert!(resumed.was_recovering && resumed.recovered, "{offset} {epoch}");
        assert_eq!(
            (resumed.offset, texts(resumed.publications)),
            (3, expected.into_iter().map(String::from).collect())
        );
        world.cut(ana);
    }
    let eve = world.connect("eve");
    world.resume(eve, "price", 1, &fresh.epoch);
    world.publish("price", ["4"]);
    assert_eq!(world.heard(eve, "price"), ["4"]);
}

#[tokio::test(start_paused = true)]
async fn rule_4_where_the_latest_comes_unasked_everybody_has_it_and_of_an_empty_channel_nobody_does() {
    let mut world = World::new();
    works(&world, |options| options.recovery_mode = RecoveryMode::Cache { unasked: true });
    let [ana, ben] = ["ana", "ben"].map(|user| world.connect(user));
    let nothing = world.subscribe(ana, "price");
    assert!(nothing.was_recovering && !nothing.recovered && nothing.publications.is_empty());
    world.publish("price", ["1"]);
    let latest = world.subscribe(ben, "price");
    assert!(latest.was_recovering && latest.recovered);
    assert_eq!(texts(latest.publications), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn recovery_and_positions_on_request_are_for_those_who_ask() {
    let mut world = World::new();
    works(&world, |options| (options.recovery, options.positioning) = (Offered::OnRequest, Offered::OnRequest));
    world.publish("news", ["one"]);
    for (asks, recoverable, positioned) in [
        (r#""flag":0"#, false, false),
        (r#""positioned":true"#, false, true),
        (r#""recoverable":true"#, true, true),
        (r#""recover":true,"offset":1"#, true, true),
    ] {
        let ana = world.connect("ana");
        let result = subscribe_with(&mut world, ana, "news", asks);
        assert_eq!((result.recoverable, result.positioned), (recoverable, positioned), "{asks}");
        assert_eq!(result.offset, u64::from(positioned), "{asks}");
        world.publish("plain:x", []);
        world.cut(ana);
    }
    works(&world, |options| options.recovery = Offered::Off);
    let ana = world.connect("ana");
    let result = subscribe_with(&mut world, ana, "other", r#""recover":true,"recoverable":true"#);
    assert!(!result.recoverable && !result.was_recovering && !result.positioned);
}

#[tokio::test(start_paused = true)]
async fn a_grant_may_say_otherwise_than_the_channel_for_one_subscription() {
    let mut world = World::new();
    works(&world, |options| (options.recovery, options.join_leave) = (Offered::Off, Offered::Always));
    let ben = world.connect("ben");
    world.subscribe(ben, "news");
    let overrides = Overrides {
        presence: Some(false),
        says_join_leave: Some(false),
        hears_join_leave: Some(false),
        recovery: Some(true),
        positioning: None,
    };
    world.rules.given.lock().unwrap().push((name("news"), Grant { overrides, ..Grant::default() }));
    let ana = world.open(ConnectionOptions::default());
    let id = world.ask(ana, r#""connect":{"token":"ana"}"#);
    let Ok(Response::Connect(connected)) = world.answer(ana, id) else { panic!() };
    assert!(connected.subs["news"].recoverable);
    assert_eq!(world.presence("news"), ["ben"], "ana is not seen");
    assert_eq!(world.hub.presence_stats(&name("news")).await.num_clients, 1);
    assert!(
        world
            .pushes(ben, "news", joins_and_leaves)
            .iter()
            .all(|event| { !matches!(event, PushEvent::Join(join) if join.info.user == "ana") })
    );
    world.rules.given.lock().unwrap().clear();
    let eve = world.connect("eve");
    world.subscribe(eve, "news");
    assert!(world.pushes(ana, "news", joins_and_leaves).is_empty(), "and does not hear");
    world.publish("news", ["hello"]);
    assert_eq!(world.heard(ana, "news"), ["hello"]);
}

#[tokio::test(start_paused = true)]
async fn the_server_gives_some_of_a_users_connections_a_subscription_on_terms_of_its_own() {
    let mut world = World::new();
    world.publish("news", ["one", "two"]);
    let [laptop, phone, ben] = ["ana", "ana", "ben"].map(|user| world.connect(user));
    world.rules.ban("ana", "news");
    let epoch = world.hub.position(&name("news")).await.unwrap().epoch;
    let to = Target::Some(SomeOf { user: "ana".into(), except: vec![world.id_of(phone)], ..SomeOf::default() });
    let grant = Grant { info: Some(text("editor")), data: Some(text("welcome")), ..Grant::default() };
    let since = Some(StreamPosition { offset: 1, epoch });
    let subscription = ServerSubscription { channel: name("news"), grant: Some(grant), since };
    assert_eq!(world.order(Order::give(to, subscription)), 1);
    world.settle();
    let told = world.received(laptop);
    assert!(
        told[0].contains(r#""subscribe":{"recoverable":true"#) && told[0].contains(r#""data":"welcome""#),
        "{told:?}"
    );
    assert!(told[1].contains(r#""pub":{"data":"two","offset":2"#), "what came since: {told:?}");
    assert_eq!((world.received(phone).len(), world.received(ben).len()), (0, 0));
    let client = Some(world.id_of(phone));
    let other = Target::Some(SomeOf { user: "ben".into(), client, ..SomeOf::default() });
    assert_eq!(world.hub.connections(&other).len(), 0, "that one is ana's");
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_not_newer_is_dropped_and_answered_with_where_the_stream_stands() {
    let mut world = World::new();
    let ana = world.connect("ana");
    world.subscribe(ana, "doc");
    let version = |number: u64, epoch: &str| Some(Version { number, epoch: epoch.into() });
    for (data, version, offset) in [
        ("a2", version(2, "a"), 1),
        ("a1", version(1, "a"), 1),
        ("a2 again", version(2, "a"), 1),
        ("a3", version(3, "a"), 2),
        ("none", None, 3),
        ("b1", version(1, "b"), 4),
    ] {
        let publication = NewPublication { version, ..NewPublication::new(text(data)) };
        assert_eq!(world.try_publish("doc", publication).unwrap().offset, offset, "{data}");
    }
    assert_eq!(world.heard(ana, "doc"), ["a2", "a3", "none", "b1"]);
    let long = NewPublication { version: version(1, &"x".repeat(65)), ..NewPublication::new(text("x")) };
    assert!(matches!(world.try_publish("doc", long), Err(PublishError::VersionTooLong)));
}

#[tokio::test(start_paused = true)]
async fn history_that_is_removed_is_gone_and_numbers_go_on() {
    let mut world = World::new();
    let ana = world.connect("ana");
    let start = world.subscribe(ana, "news");
    world.publish("news", ["one", "two"]);
    world.hub.remove_history(&name("news")).await.unwrap();
    world.publish("news", ["three"]);
    assert_eq!(world.heard(ana, "news"), ["one", "two", "three"]);
    let kept =
        world.hub.history(&name("news"), HistoryQuery { limit: 9, ..HistoryQuery::default() }, "").await.unwrap();
    assert_eq!((kept.top.offset, kept.top.epoch), (3, start.epoch.clone()));
    assert_eq!(texts(kept.publications), ["three"]);
    world.cut(ana);
    let ana = world.connect("ana");
    assert!(!world.resume(ana, "news", 1, &start.epoch).recovered, "told, and never a silent hole");
    assert!(matches!(world.hub.remove_history(&name("room:1")).await, Err(ReadError::NotKept)));
}
