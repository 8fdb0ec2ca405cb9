//! History (capability 4.26)

use super::*;

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
    let read =
        world.hub.history(&name("news"), HistoryQuery { since: Some(1), ..HistoryQuery::default() }, "other").await;
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
        async move {
            hub.history(&name("news"), HistoryQuery { since, limit: 1000, ..HistoryQuery::default() }, "")
                .await
                .unwrap()
        }
    };
    let page = read(&world, Some(1)).await;
    assert_eq!((page.publications.len(), page.publications[0].offset), (HISTORY_SIZE, 6));
    world.wait(HISTORY_TTL).await;
    let page = read(&world, None).await;
    assert_eq!((page.publications.len(), page.top.offset), (0, 105));
}

fn keep_at_most_5000_bytes(world: &World) {
    let keep = Keep { size: HISTORY_SIZE.try_into().unwrap(), ttl: HISTORY_TTL, bytes_max: 5_000 };
    *world.rules.memory.lock().unwrap() = ChannelOptions { history: Source::Memory(keep), ..memory() }.into();
}

#[tokio::test(start_paused = true)]
async fn memory_for_history_is_bounded_in_bytes_for_a_channel_and_for_all() {
    let large = "x".repeat(1_000);
    let mut world = World::new();
    keep_at_most_5000_bytes(&world);
    world.publish("news", [&*large; 20]);
    let kept = |world: &World, channel: &'static str| {
        let hub = world.hub.clone();
        async move {
            hub.history(&name(channel), HistoryQuery { limit: 99, ..HistoryQuery::default() }, "")
                .await
                .unwrap()
                .publications
                .len()
        }
    };
    assert_eq!(kept(&world, "news").await, 4);

    let mut world = World::with(Limits { history_bytes_max: 5_000, ..Limits::default() });
    world.publish("a", [&*large; 4]);
    world.wait(SECOND).await;
    world.publish("b", [&*large; 4]);
    assert_eq!((kept(&world, "a").await, kept(&world, "b").await), (0, 4), "the oldest make room");
    world.publish("a", [&*large]);
    assert_eq!((kept(&world, "a").await, world.hub.position(&name("a")).await.unwrap().offset), (1, 5));
}

#[tokio::test(start_paused = true)]
async fn many_fresh_channels_keep_no_more_than_one() {
    let large = "x".repeat(1_000);
    let mut world = World::with(Limits { history_bytes_max: 5_000, ..Limits::default() });
    let channels: Vec<_> = (0..100).map(|number| name(&format!("made up {number}"))).collect();
    for channel in &channels {
        world.publish(channel.as_str(), [&*large]);
    }
    let mut kept = 0;
    for channel in channels {
        kept += world
            .hub
            .history(&channel, HistoryQuery { limit: 9, ..HistoryQuery::default() }, "")
            .await
            .unwrap()
            .publications
            .len();
    }
    assert_eq!(kept, 4);
}

#[tokio::test(start_paused = true)]
async fn who_missed_what_was_not_kept_is_told() {
    let mut world = World::with(Limits { history_bytes_max: 5_000, ..Limits::default() });
    let ana = world.connect("ana");
    let before = world.subscribe(ana, "news");
    world.publish("news", [&*"y".repeat(6_000)]);
    assert_eq!(world.heard(ana, "news").len(), 1, "it is delivered");
    world.cut(ana);
    let ana = world.connect("ana");
    let resumed = world.resume(ana, "news", before.offset, &before.epoch);
    assert_eq!((resumed.recovered, resumed.offset, resumed.publications.len()), (false, 1, 0));
    let ben = world.connect("ben");
    assert!(world.resume(ben, "news", 1, &before.epoch).recovered, "who missed nothing still resumes");
}

/// S17: whoever publishes most loses the oldest of it, and others resume.
#[tokio::test(start_paused = true)]
async fn who_fills_the_history_loses_its_own_and_others_recover() {
    let limits = Limits { history_bytes_max: 100_000, history_bytes_reserved: 10_000, ..Limits::default() };
    let mut world = World::with(limits);
    let [ana, mallory] = ["ana", "mallory"].map(|user| world.connect(user));
    let (of_ana, of_the_backend) = (world.subscribe(ana, "of ana"), world.subscribe(ana, "of the backend"));
    world.cut(ana);
    let ana = world.connect("ana");
    world.ask(ana, r#""publish":{"channel":"of ana","data":"quiet"}"#);
    world.publish("of the backend", ["quiet"]);
    let large = "x".repeat(1_000);
    for number in 0..500 {
        world.ask(mallory, &format!(r#""publish":{{"channel":"mallory {}","data":"{large}"}}"#, number % 50));
        world.wait(Duration::from_millis(10)).await;
        world.received(mallory);
    }
    for (channel, before) in [("of ana", of_ana), ("of the backend", of_the_backend)] {
        let resumed = world.resume(ana, channel, before.offset, &before.epoch);
        assert_eq!((resumed.recovered, texts(resumed.publications)), (true, vec!["quiet".to_owned()]), "{channel}");
    }
    let newest = world.hub.history(&name("mallory 49"), HistoryQuery { limit: 9, ..HistoryQuery::default() }, "").await;
    assert!(!newest.unwrap().publications.is_empty(), "its newest are kept");
    let oldest = world.hub.history(&name("mallory 0"), HistoryQuery { limit: 99, ..HistoryQuery::default() }, "").await;
    assert!(oldest.unwrap().publications.len() < 10, "its oldest went");
}

#[tokio::test(start_paused = true)]
async fn reading_costs_by_what_was_read_and_who_read_too_much_waits() {
    let limits = Limits::default();
    let read_bytes = Rate { per_second: 64_000, burst: 1_000_000 };
    let user = Allowance { read_bytes, ..limits.user };
    let mut world = World::with(Limits { user, read_cost_bytes_min: 100, ..limits });
    let large = "x".repeat(1_000);
    world.publish("news", [&*large; 16]);
    let read = |world: &mut World| {
        let ana = world.connect("ana");
        let answers = (0..3).map(|_| {
            let id = world.ask(ana, r#""history":{"channel":"news","limit":-1}"#);
            world.answer(ana, id).is_ok()
        });
        let answers = answers.filter(|answered| *answered).count();
        world.cut(ana);
        answers
    };
    let answered: usize = (0..40).map(|_| read(&mut world)).sum();
    assert!((60..80).contains(&answered), "a burst of a million, 16,000 each, over forty connections: {answered}");
    world.wait(SECOND).await;
    assert_eq!(read(&mut world), 3, "and what time has brought");
}

/// So much read at once, and then nothing for an hour.
fn reads_at_once(bytes: u32) -> Limits {
    let limits = Limits::default();
    let user = Allowance { read_bytes: Rate { per_second: 1, burst: bytes }, ..limits.user };
    Limits { user, read_cost_bytes_min: 100, ..limits }
}

#[tokio::test(start_paused = true)]
async fn what_waits_in_one_frame_is_paid_for_one_after_another() {
    let mut world = World::with(reads_at_once(100_000));
    let large = "x".repeat(1_000);
    let start = world.hub.position(&name("news")).await.unwrap();
    world.publish("news", [&*large; 16]);
    world.publish("other", ["x"]);
    let ana = world.connect("ana");
    world.subscribe(ana, "who");
    let histories = (100..200).map(|id| format!(r#"{{"id":{id},"history":{{"channel":"news","limit":-1}}}}"#));
    let frame: Vec<_> = histories
        .chain([r#"{"id":200,"presence":{"channel":"who"}}"#.to_owned()])
        .chain([format!(
            r#"{{"id":201,"subscribe":{{"channel":"news","recover":true,"offset":0,"epoch":"{}"}}}}"#,
            start.epoch
        )])
        .collect();
    world.say(ana, &frame.join("\n"));
    let answers: Vec<_> = (100..=201).map(|id| world.answer(ana, id)).collect();
    let read = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!((6..=8).contains(&read), "16,000 each of 100,000: {read}");
    assert!(answers[10..].iter().all(|answer| *answer == Err(Error::TOO_MANY_REQUESTS)));
}

/// It would come back to the same for ever.
#[tokio::test(start_paused = true)]
async fn who_has_missed_more_than_it_may_read_comes_in_and_is_told_so() {
    let mut world = World::with(reads_at_once(30_000));
    let large = "x".repeat(1_000);
    let channels = ["a", "b", "c", "d"];
    *world.rules.given.lock().unwrap() = channels.map(|channel| (name(channel), Grant::default())).into();
    let start = world.hub.position(&name("a")).await.unwrap();
    let mut subs = Vec::new();
    for channel in channels {
        let epoch = world.hub.position(&name(channel)).await.unwrap().epoch;
        subs.push(format!(r#""{channel}":{{"recover":true,"offset":{},"epoch":"{epoch}"}}"#, start.offset));
        world.publish(channel, [&*large; 16]);
    }
    let ana = world.open(ConnectionOptions::default());
    let id = world.ask(ana, &format!(r#""connect":{{"token":"ana","subs":{{{}}}}}"#, subs.join(",")));
    let Ok(Response::Connect(result)) = world.answer(ana, id) else { panic!("not connected") };
    let told = channels.map(|channel| (result.subs[channel].was_recovering, result.subs[channel].recovered));
    assert_eq!(told, [(true, true), (true, true), (true, false), (true, false)]);
    assert_eq!((result.subs["d"].offset, result.subs["d"].publications.len()), (16, 0));
}

#[tokio::test(start_paused = true)]
async fn tags_and_what_is_said_about_the_publisher_count_as_bytes_too() {
    let mut world = World::new();
    keep_at_most_5000_bytes(&world);
    let large = "x".repeat(1_000);
    let small = NewPublication::new(text("x"));
    let tagged = NewPublication { tags: [("tag".into(), large.clone())].into(), ..small.clone() };
    let info = ClientInfo { conn_info: Some(text(&large)), ..ClientInfo::default() };
    let informed = NewPublication { info: Some(info), ..small };
    // A tag costs its place in memory too.
    for (channel, publication, kept) in [("tagged", tagged, 3), ("informed", informed, 4)] {
        for _ in 0..20 {
            world.try_publish(channel, publication.clone()).unwrap();
        }
        let page =
            world.hub.history(&name(channel), HistoryQuery { limit: 99, ..HistoryQuery::default() }, "").await.unwrap();
        assert_eq!(page.publications.len(), kept, "{channel}");
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
