//! The client's promises in virtual time, against a server that is only a list of frames.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidings_protocol::StreamPosition;

use super::*;
use crate::event::Subscribed;

const SECOND: Duration = Duration::from_secs(1);

struct World {
    machine: Machine,
    now: Instant,
    sent: Vec<Value>,
    told: Vec<String>,
    answers: Vec<(u64, Result<Response, RequestError>)>,
    states: Vec<State>,
    tokens_wanted: Vec<TokenFor>,
    dials: u32,
    hung_up: u32,
}

impl World {
    fn new() -> World {
        World::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Settings)) -> World {
        let mut settings = Settings {
            token: "first".to_owned(),
            has_provider: false,
            name: "test".to_owned(),
            version: "1".to_owned(),
            data: None,
            backoff_first: SECOND,
            backoff_cap: 20 * SECOND,
            seed: 42,
        };
        change(&mut settings);
        let mut world = World {
            machine: Machine::new(settings),
            now: Instant::now(),
            sent: Vec::new(),
            told: Vec::new(),
            answers: Vec::new(),
            states: Vec::new(),
            tokens_wanted: Vec::new(),
            dials: 0,
            hung_up: 0,
        };
        world.run();
        world
    }

    fn connected() -> World {
        let mut world = World::new();
        world.accept();
        world
    }

    fn subscribed(options: SubscriptionSettings, reply: Value) -> World {
        let mut world = World::connected();
        world.subscribe("news", options);
        world.reply_to_last("subscribe", reply);
        world
    }

    fn run(&mut self) {
        while let Some(action) = self.machine.poll_action() {
            match action {
                Action::Dial => self.dials += 1,
                Action::FetchToken(wanted) => self.tokens_wanted.push(wanted),
                Action::Send(frame) => {
                    let commands = frame.split(|&byte| byte == b'\n');
                    self.sent.extend(commands.map(|command| serde_json::from_slice::<Value>(command).unwrap()));
                }
                Action::HangUp => self.hung_up += 1,
                Action::Enter(state) => self.states.push(state),
                Action::Answer { key, answer } => self.answers.push((key, answer)),
                Action::Tell { channel, event } => self.told.push(format!("{channel}: {}", in_words(&event))),
                Action::TellServerSide(ServerEvent { channel, kind: ServerEventKind::Event(event) }) => {
                    self.told.push(format!("server {channel}: {}", in_words(&event)));
                }
                Action::TellServerSide(event) => self.told.push(format!("server {event:?}")),
            }
        }
    }

    /// The server accepts the connection.
    fn accept(&mut self) {
        self.accept_with(json!({"client": "c1", "version": "v", "ping": 25, "pong": true}));
    }

    fn accept_with(&mut self, result: Value) {
        self.machine.handle_opened(self.now);
        self.run();
        self.reply_to_last("connect", result);
    }

    fn reply_to_last(&mut self, method: &str, result: Value) {
        let id = self.last_sent(method)["id"].clone();
        let mut reply = json!({"id": id});
        reply[method] = result;
        self.receive(&reply);
    }

    fn refuse_last(&mut self, method: &str, code: u32, temporary: bool) {
        let id = self.last_sent(method)["id"].clone();
        self.receive(&json!({"id": id, "error": {"code": code, "message": "no", "temporary": temporary}}));
    }

    fn receive(&mut self, message: &Value) {
        self.machine.handle_message(message.to_string().as_bytes(), self.now);
        self.run();
    }

    fn publish(&mut self, offset: u64) {
        self.receive(&json!({"push": {"channel": "news", "pub": {"data": offset, "offset": offset}}}));
    }

    fn closed(&mut self, code: impl Into<Option<u16>>) {
        self.machine.handle_closed(code.into(), "test", self.now);
        self.run();
    }

    fn subscribe(&mut self, channel: &str, settings: SubscriptionSettings) {
        self.machine.subscribe(channel, settings, self.now);
        self.run();
    }

    fn give_token(&mut self, wanted: TokenFor, token: Result<String, TokenError>) {
        self.machine.handle_token(wanted, token, self.now);
        self.run();
    }

    /// Lets time pass, stopping wherever the machine wants to be called.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.machine.next_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.machine.handle_timeout(self.now);
            self.run();
        }
        self.now = end;
    }

    /// How long the client waits before it dials again.
    fn time_to_next_dial(&mut self) -> Duration {
        let (start, dials) = (self.now, self.dials);
        while self.dials == dials {
            let at = self.machine.next_timeout().expect("the client has given up");
            self.pass(at.saturating_duration_since(self.now));
        }
        self.now - start
    }

    fn last_sent(&self, method: &str) -> &Value {
        self.sent.iter().rev().find(|command| command.get(method).is_some()).expect(method)
    }

    fn count_sent(&self, method: &str) -> usize {
        self.sent.iter().filter(|command| command.get(method).is_some()).count()
    }

    fn state(&self) -> &State {
        self.states.last().unwrap()
    }

    fn is_disconnected(&self, with_code: u16) -> bool {
        matches!(self.state(), State::Disconnected(why) if why.code == with_code)
    }

    fn take_told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }
}

fn in_words(event: &Event) -> String {
    match event {
        Event::Subscribed(Subscribed { was_recovering: false, .. }) => "subscribed".to_owned(),
        Event::Subscribed(Subscribed { recovered: true, .. }) => "subscribed, recovered".to_owned(),
        Event::Subscribed(_) => "subscribed, not recovered".to_owned(),
        Event::Publication(publication) => format!("{:?}", publication.data.as_ref().unwrap()),
        Event::Join(info) => format!("{} joined", info.user),
        Event::Leave(info) => format!("{} left", info.user),
        Event::Interrupted { code, .. } => format!("interrupted {code}"),
        Event::Unsubscribed { code, .. } => format!("unsubscribed {code}"),
    }
}

fn recoverable() -> SubscriptionSettings {
    SubscriptionSettings { recoverable: true, ..SubscriptionSettings::default() }
}

fn stream(offset: u64) -> Value {
    json!({"recoverable": true, "positioned": true, "epoch": "E", "offset": offset})
}

// Connecting

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

// Pings

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

// Tokens

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

// Subscriptions

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
    world.machine.handle_reader_behind("news", Some(8), world.now);
    world.machine.handle_reader_behind("news", Some(9), world.now);
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
fn when_the_connection_ends_for_good_subscriptions_end_with_its_reason() {
    let mut world = World::subscribed(recoverable(), stream(5));
    world.closed(3503);
    assert_eq!(world.take_told().last().unwrap(), "news: unsubscribed 3503");
}

// Channels that the server decides on

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

// Requests

#[test]
fn a_request_waits_for_the_connection_and_gets_its_own_answer() {
    let mut world = World::new();
    let publish = |channel: &str| {
        let data = Some(Payload::parse(b"1").unwrap());
        let channel = channel.to_owned();
        Request::Publish(tidings_protocol::PublishRequest { channel, data, ..Default::default() })
    };
    world.machine.request(7, publish("a"), world.now);
    world.machine.request(8, publish("b"), world.now);
    world.accept();
    let id = |world: &World, channel: &str| {
        let sent = world.sent.iter().find(|command| command["publish"]["channel"] == channel);
        sent.unwrap()["id"].clone()
    };
    let (a, b) = (id(&world, "a"), id(&world, "b"));
    world.receive(&json!({"id": b, "publish": {}}));
    world.receive(&json!({"id": a, "error": {"code": 103, "message": "permission denied"}}));
    assert!(matches!(&world.answers[0], (8, Ok(Response::Publish(_)))));
    assert!(matches!(&world.answers[1], (7, Err(RequestError::Refused(error))) if error.code == 103));
}

#[test]
fn a_request_without_an_answer_fails_in_time_and_one_whose_connection_broke_at_once() {
    let rpc = || Request::Rpc(tidings_protocol::RpcRequest::default());
    let mut world = World::new();
    world.machine.request(1, rpc(), world.now);
    world.pass(limits::REPLY_TIME);
    assert_eq!(world.answers, [(1, Err(RequestError::Timeout))]);
    world.accept();
    world.machine.request(2, rpc(), world.now);
    world.pass(limits::REPLY_TIME);
    assert_eq!(world.answers[1], (2, Err(RequestError::Timeout)));
    world.machine.request(3, rpc(), world.now);
    world.closed(None);
    assert_eq!(world.answers[2], (3, Err(RequestError::Interrupted)));
    world.machine.close();
    world.machine.request(4, rpc(), world.now);
    world.run();
    assert!(matches!(&world.answers[3], (4, Err(RequestError::Disconnected(why))) if why.code == local::CLOSED));
}

#[test]
fn requests_do_not_pile_up_without_end() {
    let mut world = World::new();
    for key in 0..=limits::REQUESTS_MAX as u64 {
        world.machine.request(key, Request::Rpc(tidings_protocol::RpcRequest::default()), world.now);
    }
    world.run();
    assert_eq!(world.answers, [(4096, Err(RequestError::TooMany { max: 4096 }))]);
}
