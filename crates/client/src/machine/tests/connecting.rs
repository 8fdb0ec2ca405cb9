//! Dialling, coming back, staying alive, tokens.

use super::*;

#[test]
fn the_first_command_is_connect_with_token_and_name() {
    let mut world = World::new();
    assert_eq!(world.dials, 1);
    world.accept();
    assert_eq!(world.sent[0], json!({"id": 1, "connect": {"token": "first", "name": "test", "version": "1"}}));
    assert_eq!(world.state(), &State::Connected { client: "c1".to_owned(), version: "v".to_owned() });
}

#[test]
fn capability_4_41_retries_stay_under_a_doubling_ceiling_and_begin_anew_after_a_connection_that_stood() {
    let mut world = World::new();
    let fail = |world: &mut World, ceiling: u32| {
        world.machine.handle_dial_failed(DialFailure::default(), world.now);
        world.run();
        let delay = world.time_to_next_dial();
        assert!(delay <= ceiling * SECOND, "{delay:?} with a ceiling of {ceiling} s");
    };
    for ceiling in [1, 2, 4, 8, 16, 20, 20] {
        fail(&mut world, ceiling);
    }
    world.accept_with(json!({"client": "c1", "version": "v"}));
    world.pass(limits::STABLE_AFTER);
    world.closed(None);
    assert!(world.time_to_next_dial() <= SECOND);
    for ceiling in [2, 4] {
        fail(&mut world, ceiling);
    }
}

#[test]
fn capability_4_41_a_server_that_accepts_and_drops_at_once_is_called_less_and_less_often() {
    let mut world = World::new();
    let mut waited = Duration::ZERO;
    for _ in 0..30 {
        world.accept();
        world.closed(3001);
        waited += world.time_to_next_dial();
    }
    assert!(waited > 120 * SECOND, "30 connections within {waited:?}");
}

#[test]
fn capability_4_41_ten_thousand_clients_of_a_restarted_server_come_back_spread_over_the_first_second() {
    let mut arrivals = [0_u32; 20];
    for seed in 0..10_000 {
        let mut world = World::with(|settings| settings.seed = seed);
        world.accept();
        world.pass(limits::STABLE_AFTER);
        world.closed(3001);
        let delay = world.time_to_next_dial();
        arrivals[usize::try_from(delay.as_millis() / 50).unwrap()] += 1;
    }
    assert!(arrivals.iter().all(|&count| (400..600).contains(&count)), "per 50 ms: {arrivals:?}");
}

#[test]
fn capability_4_41_retry_after_is_honoured_and_jitter_is_added_to_it() {
    let mut delays = Vec::new();
    for seed in 0..20 {
        let mut world = World::with(|settings| settings.seed = seed);
        let failure = DialFailure { status: Some(503), retry_after: Some(30 * SECOND), message: "busy".to_owned() };
        world.machine.handle_dial_failed(failure, world.now);
        delays.push(world.time_to_next_dial());
    }
    assert!(delays.iter().all(|delay| (30 * SECOND..=31 * SECOND).contains(delay)));
    assert!(delays.iter().any(|delay| *delay != delays[0]));
}

#[test]
fn capability_4_41_try_again_later_and_too_many_requests_add_a_pause() {
    for code in [1013, 3013] {
        let mut world = World::connected();
        world.closed(code);
        assert!(world.time_to_next_dial() >= limits::OVERLOAD_PAUSE);
    }
}

#[test]
fn close_codes_say_whether_to_come_back() {
    for code in [1000, 1001, 1006, 1011, 3000, 3001, 3004, 3005, 3008, 3010, 3011, 3012, 3014, 4000, 4499, 5000] {
        let mut world = World::connected();
        world.closed(code);
        assert!(matches!(world.state(), State::Connecting { why: Some(why), .. } if why.code == code), "{code}");
        world.time_to_next_dial();
    }
    for code in [3500, 3501, 3503, 3507, 3999, 4500, 4999] {
        let mut world = World::connected();
        world.closed(code);
        assert!(world.is_disconnected(code), "{code}");
        assert_eq!(world.machine.next_timeout(), None);
    }
    let mut world = World::connected();
    world.closed(1009);
    assert!(world.is_disconnected(local::MESSAGE_TOO_LARGE));
}

#[test]
fn a_wrong_address_or_refused_credentials_are_final_and_a_busy_server_is_not() {
    for (status, last) in [(401, true), (403, true), (404, true), (429, false), (502, false), (503, false)] {
        let mut world = World::new();
        world.machine.handle_dial_failed(DialFailure { status: Some(status), ..Default::default() }, world.now);
        world.run();
        assert_eq!(world.is_disconnected(status), last, "{status}");
    }
}

#[test]
fn a_connect_without_a_reply_is_given_up_and_tried_again() {
    let mut world = World::new();
    world.machine.handle_opened(world.now);
    world.run();
    world.pass(limits::REPLY_TIME);
    assert_eq!(world.hung_up, 1);
    world.time_to_next_dial();
}

#[test]
fn something_else_than_the_protocol_ends_the_connection() {
    let mut world = World::connected();
    world.machine.handle_message(b"<html>", world.now);
    world.run();
    assert!(world.is_disconnected(local::BAD_PROTOCOL));
    assert_eq!(world.hung_up, 1);
}

#[test]
fn capability_4_40_every_ping_gets_exactly_one_answer() {
    let mut world = World::connected();
    let before = world.sent.len();
    world.receive(&json!({}));
    world.receive(&json!({}));
    assert_eq!(world.sent[before..], [json!({}), json!({})]);
}

#[test]
fn a_server_that_wants_no_answers_to_its_pings_gets_none() {
    let mut world = World::new();
    world.accept_with(json!({"client": "c", "version": "v", "ping": 25}));
    let before = world.sent.len();
    world.receive(&json!({}));
    assert_eq!(world.sent.len(), before);
}

#[test]
fn capability_4_18_a_silent_server_is_left_after_ping_and_grace_and_anything_heard_counts() {
    let mut world = World::connected();
    world.pass(30 * SECOND);
    world.publish(1);
    world.pass(34 * SECOND);
    assert_eq!(world.hung_up, 0);
    world.pass(SECOND);
    assert_eq!(world.hung_up, 1);
    assert!(matches!(world.state(), State::Connecting { why: Some(why), .. } if why.code == local::NO_PING));
}

#[test]
fn capability_4_31_an_expired_token_is_replaced_by_the_provider_and_without_one_it_is_final() {
    let mut world = World::with(|settings| settings.has_provider = true);
    world.machine.handle_opened(world.now);
    world.run();
    world.refuse_last("connect", 109, false);
    world.pass(SECOND);
    assert_eq!(world.tokens_wanted, [TokenFor::Connection]);
    world.give_token(TokenFor::Connection, Ok("second".to_owned()));
    world.accept();
    assert_eq!(world.last_sent("connect")["connect"]["token"], "second");

    let mut world = World::new();
    world.machine.handle_opened(world.now);
    world.run();
    world.refuse_last("connect", 109, false);
    assert!(world.is_disconnected(109));
}

#[test]
fn without_a_first_token_the_provider_is_asked_before_dialling() {
    let mut world = World::with(|settings| {
        settings.token.clear();
        settings.has_provider = true;
    });
    assert_eq!((world.dials, world.tokens_wanted.len()), (0, 1));
    world.give_token(TokenFor::Connection, Err(TokenError::Unavailable("later".to_owned())));
    world.pass(SECOND);
    assert_eq!((world.dials, world.tokens_wanted.len()), (0, 2));
    world.give_token(TokenFor::Connection, Ok("fresh".to_owned()));
    assert_eq!(world.dials, 1);

    world.give_token(TokenFor::Connection, Err(TokenError::Refused("signed out".to_owned())));
    assert!(world.is_disconnected(local::UNAUTHORIZED));
}

#[test]
fn a_connection_that_expires_is_refreshed_in_time_and_temporary_failures_are_retried() {
    let mut world = World::with(|settings| settings.has_provider = true);
    world.accept_with(json!({"client": "c", "version": "v", "expires": true, "ttl": 60}));
    world.pass(59 * SECOND);
    assert_eq!(world.tokens_wanted.len(), 0);
    world.pass(SECOND);
    world.give_token(TokenFor::Connection, Ok("second".to_owned()));
    assert_eq!(world.last_sent("refresh")["refresh"]["token"], "second");
    world.refuse_last("refresh", 100, true);
    world.pass(SECOND);
    world.give_token(TokenFor::Connection, Ok("third".to_owned()));
    world.reply_to_last("refresh", json!({"client": "c", "version": "v", "expires": true, "ttl": 60}));
    world.pass(60 * SECOND);
    assert_eq!(world.tokens_wanted.len(), 3);
    assert_eq!(world.hung_up, 0);
}

#[test]
fn a_token_that_is_too_old_for_the_refresh_is_replaced_over_a_new_connection() {
    let refreshing = |has_provider: bool| {
        let mut world = World::with(|settings| settings.has_provider = has_provider);
        world.accept_with(json!({"client": "c", "version": "v", "expires": true, "ttl": 60}));
        world.pass(60 * SECOND);
        world
    };
    let refused = |world: &mut World| {
        world.give_token(TokenFor::Connection, Ok("old".to_owned()));
        world.refuse_last("refresh", 109, false);
    };
    let closed = |world: &mut World| {
        world.give_token(TokenFor::Connection, Ok("old".to_owned()));
        world.closed(3005);
    };
    for end in [&refused as &dyn Fn(&mut World), &closed] {
        let mut world = refreshing(true);
        end(&mut world);
        world.pass(SECOND);
        world.give_token(TokenFor::Connection, Ok("fresh".to_owned()));
        world.accept();
        assert_eq!(world.last_sent("connect")["connect"]["token"], "fresh");
    }
    // With nobody to ask, the first token is tried again, and the server's answer to it is final.
    let mut world = refreshing(false);
    world.closed(3005);
    world.pass(SECOND);
    world.machine.handle_opened(world.now);
    world.run();
    world.refuse_last("connect", 109, false);
    assert!(world.is_disconnected(109));
}

#[test]
fn a_temporary_connect_error_is_retried_and_any_other_is_final() {
    for (code, temporary) in [(100, true), (103, false)] {
        let mut world = World::new();
        world.machine.handle_opened(world.now);
        world.run();
        world.refuse_last("connect", code, temporary);
        assert_eq!(world.is_disconnected(u16::try_from(code).unwrap()), !temporary);
        assert_eq!(world.hung_up, 1);
    }
}
