//! Subscriptions of one's own and of the server's, and where they resume.

use super::*;

#[test]
fn capability_4_12_subscriptions_share_one_socket_and_one_frame() {
    let mut world = World::new();
    for number in 0..100 {
        world.subscribe(&format!("channel-{number}"), recoverable());
    }
    world.accept();
    assert_eq!((world.dials, world.count_sent("subscribe")), (1, 100));
}

#[test]
fn a_batch_of_commands_stays_under_the_limit_of_a_frame() {
    let mut world = World::new();
    for number in 0..2000 {
        world.subscribe(&format!("{number}-{}", "x".repeat(200)), recoverable());
    }
    world.machine.handle_opened(world.now);
    world.run();
    world.machine.handle_message(br#"{"id":1,"connect":{"client":"c","version":"v"}}"#, world.now);
    let mut commands = 0;
    while let Some(action) = world.machine.poll_action() {
        if let Action::Send(frame) = action {
            assert!(frame.len() <= limits::BATCH_BYTES_MAX);
            commands += frame.split(|&byte| byte == b'\n').count();
        }
    }
    assert_eq!(commands, 2000);
}

#[test]
fn capability_4_26_a_reconnecting_subscriber_resumes_where_it_was_and_is_told_what_it_missed() {
    let mut world = World::subscribed(recoverable(), stream(5));
    world.publish(6);
    world.closed(3001);
    assert_eq!(world.take_told(), ["news: subscribed", "news: 6", "news: interrupted 3001"]);

    world.time_to_next_dial();
    world.accept();
    let request = &world.last_sent("subscribe")["subscribe"];
    assert_eq!((&request["recover"], &request["epoch"], &request["offset"]), (&json!(true), &json!("E"), &json!(6)));
    let mut reply = stream(6);
    reply["was_recovering"] = json!(true);
    reply["recovered"] = json!(true);
    reply["publications"] = json!([{"data": 7, "offset": 7}, {"data": 8, "offset": 8}]);
    world.reply_to_last("subscribe", reply);
    world.publish(9);
    assert_eq!(world.take_told(), ["news: subscribed, recovered", "news: 7", "news: 8", "news: 9"]);
}

#[test]
fn capability_4_26_nothing_is_told_twice() {
    let mut world = World::subscribed(recoverable(), stream(5));
    world.publish(6);
    world.publish(6);
    world.publish(5);
    world.publish(7);
    assert_eq!(world.take_told(), ["news: subscribed", "news: 6", "news: 7"]);
}

#[test]
fn a_publication_without_a_number_passes_through_and_moves_nothing() {
    let mut world = World::subscribed(recoverable(), stream(5));
    world.receive(&json!({"push": {"channel": "news", "pub": {"data": "typing"}}}));
    world.closed(None);
    world.time_to_next_dial();
    world.accept();
    assert_eq!(world.last_sent("subscribe")["subscribe"]["offset"], 5);
    assert_eq!(world.take_told()[1], "news: \"typing\"");
}

#[test]
fn who_subscribed_to_an_empty_stream_learns_its_epoch_from_the_first_publication() {
    let mut world = World::subscribed(recoverable(), json!({"recoverable": true}));
    world.receive(&json!({"push": {"channel": "news", "pub": {"data": 1, "offset": 1, "epoch": "E"}}}));
    world.closed(None);
    world.time_to_next_dial();
    world.accept();
    assert_eq!(world.last_sent("subscribe")["subscribe"]["epoch"], "E");
}

#[test]
fn a_subscription_can_start_at_a_known_position() {
    let since = Some(StreamPosition { offset: 3, epoch: "E".to_owned() });
    let mut world = World::connected();
    world.subscribe("news", SubscriptionSettings { since, ..recoverable() });
    let request = &world.last_sent("subscribe")["subscribe"];
    assert_eq!((&request["recover"], &request["offset"]), (&json!(true), &json!(3)));
}

#[test]
fn a_refused_subscription_is_over_and_a_temporary_refusal_is_asked_again() {
    let mut world = World::connected();
    world.subscribe("news", recoverable());
    world.refuse_last("subscribe", 111, true);
    world.pass(SECOND);
    assert_eq!(world.count_sent("subscribe"), 2);
    world.refuse_last("subscribe", 103, false);
    assert_eq!(world.take_told(), ["news: unsubscribed 103"]);
    assert!(!world.machine.is_subscribed("news"));
}

#[test]
fn an_expired_subscription_token_is_replaced_and_a_subscription_is_refreshed_in_time() {
    let mut world = World::connected();
    let wanted = TokenFor::Subscription("news".to_owned());
    world.subscribe("news", SubscriptionSettings { has_provider: true, ..recoverable() });
    assert_eq!(world.tokens_wanted, std::slice::from_ref(&wanted));
    world.give_token(wanted.clone(), Ok("one".to_owned()));
    world.refuse_last("subscribe", 109, false);
    world.pass(SECOND);
    world.give_token(wanted.clone(), Ok("two".to_owned()));
    assert_eq!(world.last_sent("subscribe")["subscribe"]["token"], "two");
    world.reply_to_last("subscribe", json!({"expires": true, "ttl": 20}));
    world.pass(20 * SECOND);
    world.give_token(wanted, Ok("three".to_owned()));
    assert_eq!(world.last_sent("sub_refresh")["sub_refresh"], json!({"channel": "news", "token": "three"}));
}

#[test]
fn a_token_that_is_too_old_for_the_sub_refresh_is_replaced_by_subscribing_again() {
    let wanted = TokenFor::Subscription("news".to_owned());
    let settings =
        SubscriptionSettings { token: "one".to_owned(), has_provider: true, ..SubscriptionSettings::default() };
    let push = |world: &mut World| {
        world.receive(&json!({"push": {"channel": "news", "unsubscribe": {"code": 2501, "reason": "r"}}}));
    };
    let refuse = |world: &mut World| world.refuse_last("sub_refresh", 109, false);
    for end in [&push as &dyn Fn(&mut World), &refuse] {
        let mut world = World::subscribed(settings.clone(), json!({"expires": true, "ttl": 20}));
        world.pass(20 * SECOND);
        world.give_token(wanted.clone(), Ok("old".to_owned()));
        end(&mut world);
        world.pass(SECOND);
        world.give_token(wanted.clone(), Ok("fresh".to_owned()));
        assert_eq!(world.last_sent("subscribe")["subscribe"]["token"], "fresh");
        world.reply_to_last("subscribe", json!({"expires": true, "ttl": 600}));
        // What stayed unanswered is not asked again.
        world.pass(60 * SECOND);
        assert_eq!(world.tokens_wanted.len(), 2);
        assert!(!world.told.iter().any(|event| event.contains("unsubscribed")), "{:?}", world.told);
    }
}

#[test]
fn unsubscribe_pushes_from_2500_on_resubscribe_and_lower_ones_are_final() {
    let push = |code: u32| json!({"push": {"channel": "news", "unsubscribe": {"code": code, "reason": "r"}}});
    let mut world = World::subscribed(recoverable(), stream(5));
    world.receive(&push(2500));
    world.pass(SECOND);
    assert_eq!(world.last_sent("subscribe")["subscribe"]["offset"], 5);
    world.reply_to_last("subscribe", stream(5));
    world.receive(&push(2502));
    world.pass(SECOND);
    assert_eq!(world.last_sent("subscribe")["subscribe"]["epoch"], "_");
    world.reply_to_last("subscribe", stream(5));
    world.receive(&push(2000));
    assert_eq!(world.take_told().last().unwrap(), "news: unsubscribed 2000");
}

#[test]
fn after_state_invalidated_nothing_known_is_used_again() {
    let mut world = World::with(|settings| settings.has_provider = true);
    world.accept();
    world.subscribe("news", recoverable());
    world.reply_to_last("subscribe", stream(5));
    world.closed(3014);
    world.pass(SECOND);
    world.give_token(TokenFor::Connection, Ok("second".to_owned()));
    world.accept();
    let request = &world.last_sent("subscribe")["subscribe"];
    assert_eq!((&request["recover"], &request["epoch"]), (&json!(true), &json!("_")));
}

#[test]
fn who_unsubscribes_is_told_nothing_more() {
    let mut world = World::subscribed(recoverable(), stream(5));
    world.machine.unsubscribe("news", world.now);
    world.run();
    world.publish(6);
    assert_eq!(world.last_sent("unsubscribe")["unsubscribe"], json!({"channel": "news"}));
    assert_eq!(world.take_told(), ["news: subscribed", "news: unsubscribed 0"]);
}

#[test]
fn the_reply_to_an_older_question_does_not_count_for_a_new_subscription() {
    let mut world = World::connected();
    world.subscribe("news", recoverable());
    let old = world.last_sent("subscribe")["id"].clone();
    world.machine.unsubscribe("news", world.now);
    world.subscribe("news", recoverable());
    world.take_told();
    world.receive(&json!({"id": old, "subscribe": stream(1)}));
    assert_eq!(world.take_told(), [] as [&str; 0]);
    world.reply_to_last("subscribe", stream(2));
    assert_eq!(world.take_told(), ["news: subscribed"]);
}

#[test]
fn a_reader_who_falls_behind_pauses_alone_and_resumes_after_the_last_publication_it_got() {
    let mut world = World::subscribed(recoverable(), stream(5));
    for offset in 6..=9 {
        world.publish(offset);
    }
    for offset in 8..=9 {
        let missed = Event::Publication(Publication { offset, ..Publication::default() });
        world.machine.handle_reader_behind("news", &missed, world.now);
    }
    world.run();
    world.reply_to_last("unsubscribe", json!({}));
    world.publish(10);
    world.take_told();
    world.machine.handle_reader_ready("news", world.now);
    world.run();
    assert_eq!(world.last_sent("subscribe")["subscribe"]["offset"], 7);
    assert_eq!(world.take_told(), ["news: interrupted 7"]);
    assert!(world.machine.is_subscribed("news"));
}

#[test]
fn who_was_behind_when_a_recovery_failed_is_told_of_the_gap_all_the_same() {
    let mut world = World::subscribed(recoverable(), stream(5));
    world.closed(3001);
    world.time_to_next_dial();
    world.accept();
    let mut lost = stream(40);
    lost["was_recovering"] = json!(true);
    world.reply_to_last("subscribe", lost);
    let missed = Event::Subscribed(Subscribed { was_recovering: true, ..Subscribed::default() });
    world.machine.handle_reader_behind("news", &missed, world.now);
    world.machine.handle_reader_ready("news", world.now);
    world.run();
    // Position 40 would be recovered, and nobody would know of 6 to 40.
    let asked = &world.last_sent("subscribe")["subscribe"];
    assert_eq!((&asked["recover"], &asked["epoch"]), (&json!(true), &json!("_")));
}

#[test]
fn when_the_connection_ends_for_good_subscriptions_end_with_its_reason() {
    let mut world = World::subscribed(recoverable(), stream(5));
    world.closed(3503);
    assert_eq!(world.take_told().last().unwrap(), "news: unsubscribed 3503");
}

#[test]
fn server_side_subscriptions_arrive_with_the_connection_and_resume_with_it() {
    let mut world = World::new();
    let mut position = stream(5);
    world.accept_with(json!({"client": "c", "version": "v", "subs": {"user:ana": position}}));
    world.receive(&json!({"push": {"channel": "user:ana", "pub": {"data": 6, "offset": 6}}}));
    world.closed(3001);
    world.time_to_next_dial();
    position["offset"] = json!(6);
    position["publications"] = json!([{"data": 7, "offset": 7}]);
    world.accept_with(json!({"client": "c", "version": "v", "subs": {"user:ana": position}}));
    let asked = &world.last_sent("connect")["connect"]["subs"]["user:ana"];
    assert_eq!(asked, &json!({"recover": true, "epoch": "E", "offset": 6}));
    assert_eq!(
        world.take_told(),
        ["server user:ana: subscribed", "server user:ana: 6", "server user:ana: subscribed", "server user:ana: 7"]
    );
}

#[test]
fn a_server_side_subscription_that_is_missing_after_a_reconnect_is_over() {
    let mut world = World::connected();
    world.receive(&json!({"push": {"channel": "user:ana", "subscribe": {}}}));
    world.closed(3001);
    world.time_to_next_dial();
    world.accept();
    assert_eq!(world.take_told(), ["server user:ana: subscribed", "server user:ana: unsubscribed 2000"]);
}
