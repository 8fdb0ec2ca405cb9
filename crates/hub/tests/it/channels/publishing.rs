//! Publishing (capabilities 4.1, 4.14, 4.16)

use super::*;
use tidings_hub::limits::{IDEMPOTENCY_KEPT, IDEMPOTENCY_KEYS_MAX};
use tidings_protocol::Payload;

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
    let refused = world.try_publish("room:1", NewPublication::new(text("x")));
    assert!(matches!(refused, Err(PublishError::KeptElsewhere)));
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
    let position = world.try_publish("room:1", NewPublication::ephemeral(text("ana is typing"))).unwrap();
    assert_eq!(position.offset, 0);
    world.post("room:1", "two").await;
    assert_eq!(world.heard(ana, "room:1"), ["one", "ana is typing", "two"]);
    world.cut(ana);
    let ana = world.connect("ana");
    assert_eq!(texts(world.resume(ana, "room:1", start.offset, &start.epoch).publications), ["one", "two"]);
}

/// Typing in a room is of no use to who has 64 KiB to read first, whoever keeps the room's history.
#[tokio::test(start_paused = true)]
async fn g8_who_lags_behind_gets_nothing_ephemeral() {
    let mut world = World::new();
    let ana = world.connect("ana");
    for channel in ["news", "room:1"] {
        world.subscribe(ana, channel);
        world.stop_reading(ana);
        for number in 0..16 {
            let long = format!("{number}{}", "x".repeat(16 << 10));
            if channel == "news" {
                world.publish(channel, [&*long]);
            } else {
                world.post(channel, &long).await;
            }
            world.try_publish(channel, NewPublication::ephemeral(text("bea is typing"))).unwrap();
        }
        world.read_on(ana);
        world.settle();
        let heard = world.heard(ana, channel);
        let (typing, texts): (Vec<_>, Vec<_>) = heard.iter().partition(|text| text.contains("typing"));
        assert_eq!(texts.len(), 16, "{channel}");
        assert!(typing.len() <= 5, "{channel}: {} of the notices, when only the last 64 KiB were left", typing.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_publication_with_the_key_of_an_earlier_one_is_answered_as_that_was_and_not_made() {
    let mut world = World::new();
    let ana = world.connect("ana");
    world.subscribe(ana, "news");
    world.subscribe(ana, "plain:x");
    let keyed =
        |data: &str, key: &str| NewPublication { idempotency_key: Some(key.into()), ..NewPublication::new(text(data)) };
    for channel in ["news", "plain:x"] {
        let first = world.try_publish(channel, keyed("one", "a")).unwrap();
        assert_eq!(world.try_publish(channel, keyed("one", "a")).unwrap(), first);
        world.try_publish(channel, keyed("two", "b")).unwrap();
        assert_eq!(world.try_publish(channel, keyed("another", "a")).unwrap(), first, "whatever it says");
        assert_eq!(world.heard(ana, channel), ["one", "two"]);
    }
    world.wait(IDEMPOTENCY_KEPT).await;
    world.try_publish("news", keyed("later", "a")).unwrap();
    assert_eq!(world.heard(ana, "news"), ["later"], "and forgotten after five minutes");
    let long = keyed("x", &"k".repeat(129));
    assert!(matches!(world.try_publish("news", long), Err(PublishError::KeyTooLong)));
}

#[tokio::test(start_paused = true)]
async fn of_a_channel_the_newest_thousand_keys_are_remembered() {
    let mut world = World::new();
    let keyed =
        |key: usize| NewPublication { idempotency_key: Some(key.to_string()), ..NewPublication::new(text("x")) };
    for key in 0..=IDEMPOTENCY_KEYS_MAX {
        world.try_publish("news", keyed(key)).unwrap();
    }
    assert_eq!(world.try_publish("news", keyed(1)).unwrap().offset, 2);
    assert_eq!(world.try_publish("news", keyed(0)).unwrap().offset, IDEMPOTENCY_KEYS_MAX as u64 + 2);
}

#[tokio::test(start_paused = true)]
async fn others_see_what_the_publisher_is_in_the_channel() {
    let mut world = World::new();
    world.rules.given.lock().unwrap().push((name("news"), Grant { info: Some(text("moderator")), ..Grant::default() }));
    let ana = world.connect("ana");
    world.ask(ana, r#""publish":{"channel":"news","data":null}"#);
    let heard = world.pushes(ana, "news", is_pub);
    let [PushEvent::Pub(publication)] = &*heard else { panic!("{heard:?}") };
    assert_eq!(publication.info.as_ref().unwrap().chan_info, Some(text("moderator")));
    assert_eq!(publication.data.as_ref().map(Payload::as_bytes), Some(&b"null"[..]), "null is a value");
}

#[tokio::test(start_paused = true)]
async fn a_policy_knows_what_a_client_is_subscribed_to() {
    let mut world = World::new();
    let ana = world.connect("ana");
    let publishes = |world: &mut World| {
        let id = world.ask(ana, r#""publish":{"channel":"own:a","data":1}"#);
        world.answer(ana, id).map(|_| ())
    };
    assert_eq!(publishes(&mut world), Err(Error::PERMISSION_DENIED));
    world.subscribe(ana, "own:ab");
    assert_eq!(publishes(&mut world), Err(Error::PERMISSION_DENIED));
    world.subscribe(ana, "own:a");
    assert_eq!(publishes(&mut world), Ok(()));
    let id = world.ask(ana, r#""unsubscribe":{"channel":"own:a"}"#);
    world.answer(ana, id).unwrap();
    assert_eq!(publishes(&mut world), Err(Error::PERMISSION_DENIED));
}
