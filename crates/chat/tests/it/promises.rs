//! The promises G1 to G5, as far as the chat keeps them within one process.

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tidings_chat::{
    ClientId, Database, PageFrom, PageQuery, PostError, ReadError, SqliteOptions, StoreError,
    limits::{LANES, WRITES_WAITING_MAX},
};

use crate::database::worlds_are_on_postgres;
use crate::world::{World, channel, numbers};

#[tokio::test]
async fn g1_a_sender_is_answered_after_the_message_was_announced_and_stored() {
    let world = World::new().await;
    let (ana, general, _) = world.set_up().await;
    let mut browser = world.browser(&ana).await;
    browser.subscribe(general.id).await;
    let client_id = ClientId::fresh();
    let post = json!({"room": general.id, "client_id": client_id, "body": "hello"});
    let answer = browser.rpc("post", post).await["rpc"]["data"].take();
    let announced = browser.next_in(&channel(general.id)).await;
    assert_eq!(announced["type"], "message.posted");
    assert_eq!(announced["message"]["client_id"], json!(client_id));
    for field in ["id", "number", "time"] {
        assert_eq!(announced["message"][field], answer[field], "{field}");
    }
    let world = world.restart().await;
    assert_eq!(world.history(&ana, general.id).await.last(), Some(&announced));
}

#[tokio::test]
async fn a_sender_who_goes_away_changes_nothing() {
    let world = World::new().await;
    let (ana, general, _) = world.set_up().await;
    let client_id = ClientId::fresh();
    {
        let mut send = Box::pin(world.send(&ana, general.id, client_id, "hello"));
        assert!(futures_util::poll!(&mut send).is_pending());
    }
    assert!(world.send(&ana, general.id, client_id, "hello").await.unwrap().repeated);
    assert_eq!(world.history(&ana, general.id).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn g2_a_hundred_repeats_of_a_send_post_one_message_before_and_after_a_restart() {
    let mut world = World::new().await;
    let (ana, general, _) = world.set_up().await;
    let mut browser = world.browser(&ana).await;
    browser.subscribe(general.id).await;
    let client_id = ClientId::fresh();
    let mut answers = BTreeSet::new();
    for _ in 0..2 {
        let repeats = join_all((0..100).map(|_| world.send(&ana, general.id, client_id, "hello"))).await;
        answers.extend(repeats.into_iter().map(|answer| {
            let answer = answer.unwrap();
            (answer.id, answer.number, answer.time)
        }));
        let other = world.send(&ana, general.id, client_id, "another text").await;
        assert!(matches!(other, Err(PostError::Conflict)), "{other:?}");
        world.later(Duration::from_secs(60));
        world = world.restart().await;
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(world.history(&ana, general.id).await.len(), 2);
    assert_eq!(numbers(&browser.all_in(&channel(general.id)).await), [2], "announced once");
}

#[tokio::test(flavor = "multi_thread")]
async fn g3_all_readers_see_one_order_without_gaps_whoever_writes() {
    const WRITERS: usize = 8;
    const EACH: usize = 40;
    let world = World::new().await;
    let (ana, general, invite) = world.set_up().await;
    let ben = world.invited("Ben", &invite).await;
    let mut readers = Vec::new();
    for who in [&ana, &ben, &ben] {
        let mut reader = world.browser(who).await;
        reader.subscribe(general.id).await;
        readers.push(reader);
    }
    let writers = (0..WRITERS).map(|writer| {
        let (world, author) = (&world, if writer % 2 == 0 { &ana } else { &ben });
        async move {
            for i in 0..EACH {
                world.say(author, general.id, &format!("{writer}: {i}")).await;
            }
        }
    });
    join_all(writers).await;

    let history = world.history(&ana, general.id).await;
    assert_eq!(numbers(&history), (1..=(WRITERS * EACH) as u64 + 2).collect::<Vec<_>>());
    for reader in &mut readers {
        assert_eq!(reader.all_in(&channel(general.id)).await, history[2..]);
    }
    for writer in 0..WRITERS {
        let theirs: Vec<_> = history.iter().filter_map(|event| event["message"]["body"].as_str()).collect();
        let theirs: Vec<_> = theirs.into_iter().filter(|body| body.starts_with(&format!("{writer}:"))).collect();
        assert_eq!(theirs, (0..EACH).map(|i| format!("{writer}: {i}")).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g4_history_and_live_events_meet_without_gap_or_duplicate_while_others_write() {
    let world = World::new().await;
    let (ana, general, invite) = world.set_up().await;
    let ben = world.invited("Ben", &invite).await;
    let writing = async {
        for i in 0..300 {
            world.say(&ben, general.id, &format!("message {i}")).await;
        }
    };
    let reading = async {
        world.say(&ana, general.id, "I am coming in").await;
        let mut browser = world.browser(&ana).await;
        // Subscribe first, then read, then drop by number.
        let subscribed = browser.subscribe(general.id).await["subscribe"].take();
        let mut read = world.history(&ana, general.id).await;
        assert!(read.len() as u64 >= subscribed["offset"].as_u64().unwrap());
        (browser, read.split_off(0))
    };
    let ((), (mut browser, mut seen)) = tokio::join!(writing, reading);
    let last = seen.last().unwrap()["number"].as_u64().unwrap();
    let live = browser.all_in(&channel(general.id)).await;
    seen.extend(live.into_iter().filter(|event| event["number"].as_u64().unwrap() > last));
    assert_eq!(seen, world.history(&ana, general.id).await);
}

#[tokio::test]
async fn g4_a_resumed_reader_gets_exactly_what_was_missed_also_after_a_restart() {
    let mut world = World::new().await;
    let (ana, general, invite) = world.set_up().await;
    let ben = world.invited("Ben", &invite).await;
    for restarted in [false, true] {
        let mut browser = world.browser(&ben).await;
        let position = browser.subscribe(general.id).await["subscribe"].take();
        let (epoch, offset) = (position["epoch"].as_str().unwrap().to_owned(), position["offset"].as_u64().unwrap());
        drop(browser);
        // In the same millisecond: numbers, not times, say what was missed.
        world.say(&ana, general.id, "one").await;
        world.say(&ana, general.id, "two").await;
        world.chat.leave_room(ana.id, general.id).await.unwrap();
        world.chat.join_room(ana.id, general.id).await.unwrap();
        if restarted {
            world = world.restart().await;
        }
        let resumed = world.browser(&ben).await.resume(general.id, &epoch, offset).await;
        assert_eq!((&resumed["was_recovering"], &resumed["recovered"]), (&json!(true), &json!(true)));
        let missed: Vec<Value> = resumed["publications"].as_array().unwrap().clone();
        let missed: Vec<Value> = missed.into_iter().map(|mut publication| publication["data"].take()).collect();
        assert_eq!(missed, world.history_after(&ben, general.id, offset).await);
        assert_eq!(missed.len(), 4);
    }
}

#[tokio::test]
async fn g4_who_missed_too_much_is_told_and_pages_up_to_the_live_events() {
    let world = World::new().await;
    let (ana, general, _) = world.set_up().await;
    join_all((0..400).map(|_| world.say(&ana, general.id, "hello"))).await;
    let mut browser = world.browser(&ana).await;
    let resumed = browser.resume(general.id, &general.epoch, 1).await;
    assert_ne!(resumed["recovered"], json!(true));
    assert_eq!(resumed["offset"], 401);
    assert_eq!(world.history_after(&ana, general.id, 1).await.len(), 400);

    let resumed = world.browser(&ana).await.resume(general.id, "elsewhere", 400).await;
    assert_ne!(resumed["recovered"], json!(true), "a number of another epoch means nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn g5_a_removed_member_receives_nothing_committed_afterwards() {
    let world = World::new().await;
    let (ana, general, invite) = world.set_up().await;
    for round in 0..10 {
        let ben = world.invited(&format!("Ben{round}"), &invite).await;
        let (mut live, mut late) = (world.browser(&ben).await, world.browser(&ben).await);
        let position = live.subscribe(general.id).await["subscribe"].take();
        let offset = position["offset"].as_u64().unwrap();
        let writing = || join_all((0..20).map(|_| world.say(&ana, general.id, "hello")));
        let removing = world.chat.remove_member(ana.id, general.id, ben.id);
        let subscribing = late.resume(general.id, &general.epoch, offset);
        let reading = world.chat.events(ben.id, general.id, PageQuery { from: PageFrom::After(offset), limit: 200 });
        let (_, removed, _, resumed, read) = tokio::join!(writing(), removing, writing(), subscribing, reading);
        removed.unwrap();
        world.say(&ana, general.id, "among ourselves").await;

        let history = world.history(&ana, general.id).await;
        let left = |event: &&Value| event["type"] == "member.left" && event["member"]["id"] == json!(ben.id);
        let left = history.iter().find(left).unwrap()["number"].as_u64().unwrap();
        let name = channel(general.id);
        let mut received = live.all_in(&name).await;
        received.extend(late.all_in(&name).await);
        received.extend(
            resumed["publications"].as_array().into_iter().flatten().map(|publication| publication["data"].clone()),
        );
        let mut received = numbers(&received);
        received.extend(read.into_iter().flat_map(|page| page.events).map(|event| event.number));
        // An answer on its way may tell that they were removed; nothing may come after that.
        assert!(received.iter().all(|number| *number <= left), "{received:?}, removed at {left}");
    }
}

#[tokio::test]
async fn g5_who_was_removed_is_out_by_every_route() {
    let world = World::new().await;
    let (ana, general, invite) = world.set_up().await;
    let ben = world.invited("Ben", &invite).await;
    let mut browser = world.browser(&ben).await;
    browser.subscribe(general.id).await;
    world.chat.remove_member(ana.id, general.id, ben.id).await.unwrap();

    let told = browser.next_in(&format!("user:{}", ben.id)).await;
    assert_eq!(told, json!({"type": "room.removed", "room": {"id": general.id}}));
    let name = channel(general.id);
    let denied = json!(103);
    assert_eq!(browser.subscribe(general.id).await["error"]["code"], denied);
    assert_eq!(browser.ask(json!({"presence": {"channel": name}})).await["error"]["code"], denied);
    assert_eq!(browser.ask(json!({"history": {"channel": name, "limit": 10}})).await["error"]["code"], denied);
    let post = json!({"room": general.id, "client_id": ClientId::fresh(), "body": "let me in"});
    assert_eq!(browser.rpc("post", post).await["error"]["code"], denied);
    assert_eq!(browser.rpc("typing", json!({"room": general.id})).await["error"]["code"], denied);
    let page = PageQuery { from: PageFrom::End, limit: 10 };
    assert!(matches!(world.chat.events(ben.id, general.id, page).await, Err(ReadError::NotMember)));
    assert!(matches!(world.chat.messages(ben.id, general.id, page).await, Err(ReadError::NotMember)));
    assert!(world.chat.members(ben.id, general.id).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_a_clear_error_that_loses_nothing_and_stops_nobody_for_long() {
    if worlds_are_on_postgres() {
        return println!("this is about the size of SQLite's file");
    }
    let world = World::with(|options| {
        let database = Database::Sqlite(SqliteOptions { pages_max: Some(120) });
        tidings_chat::Options { database, ..options }
    })
    .await;
    let (ana, general, _) = world.set_up().await;
    let mut browser = world.browser(&ana).await;
    browser.subscribe(general.id).await;
    let body = "x".repeat(4_000);
    let mut acknowledged = Vec::new();
    let error = loop {
        // Several at a time: who fails must not take the others along.
        let answers = join_all((0..4).map(|_| world.send(&ana, general.id, ClientId::fresh(), &body))).await;
        let (stored, failed): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        acknowledged.extend(stored.into_iter().map(|answer| answer.unwrap().number));
        if let Some(Err(error)) = failed.into_iter().next() {
            break error;
        }
        assert!(acknowledged.len() < 1_000, "the database never fills up");
    };
    assert!(matches!(error, PostError::Unavailable(StoreError::Full)), "{error}");
    let post = json!({"room": general.id, "client_id": ClientId::fresh(), "body": body});
    assert_eq!(browser.rpc("post", post).await["error"]["code"], 507);

    let expected: Vec<_> = (2..=acknowledged.len() as u64 + 1).collect();
    acknowledged.sort_unstable();
    assert_eq!(acknowledged, expected, "the failed ones took no number");
    assert_eq!(numbers(&browser.all_in(&channel(general.id)).await), expected, "and were not announced");
    // Reading goes on, and so does what needs no room.
    let session = world.signed_in(&ana).await.unwrap().session.id;
    world.chat.end_session(ana.id, session).await.unwrap();

    let world = world.restart().await;
    let numbers = numbers(&world.history(&ana, general.id).await);
    assert_eq!(numbers[1..], expected, "everything acknowledged is there");
    assert_eq!(world.say(&ana, general.id, "there is room again").await.number, expected.len() as u64 + 2);
}

#[tokio::test]
async fn when_too_many_writes_wait_the_next_is_told_to_try_again_and_the_others_are_stored() {
    let world = World::new().await;
    let (ana, general, _) = world.set_up().await;
    // What waits is in one lane, because it is for one room.
    let waiting_max = if worlds_are_on_postgres() { WRITES_WAITING_MAX / LANES } else { WRITES_WAITING_MAX };
    // On one thread the writer gets no turn before all have asked.
    let answers = join_all((0..waiting_max + 100).map(|_| world.send(&ana, general.id, ClientId::fresh(), "hello")));
    let (stored, refused): (Vec<_>, Vec<_>) = answers.await.into_iter().partition(Result::is_ok);
    assert_eq!((stored.len(), refused.len()), (waiting_max, 100));
    assert!(refused.iter().all(|answer| matches!(answer, Err(PostError::Unavailable(StoreError::Busy)))));
    let next = world.say(&ana, general.id, "now there is room").await;
    assert_eq!(next.number, waiting_max as u64 + 2, "the refused ones took no number");
}
