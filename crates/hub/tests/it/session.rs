//! The session in virtual time: commands and moments go in, actions come out. Section numbers are those of
//! `crates/protocol/PROTOCOL.md`.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidings_hub::limits::CALLS_AT_ONCE_MAX;
use tidings_hub::session::{
    Action, Admission, Connected, Control, Cost, Meter, Operation, Outcome, Prepared, Session, Setup, Subscriber, Wish,
};
use tidings_hub::{ChannelName, Expiry, Limits, Refusal, ServerSubscription};
use tidings_protocol::{
    Disconnect, Encoding, Error, Payload, Reply, Response, RpcResult, StreamPosition, SubscribeResult, Unsubscribe,
    json,
};

const SECOND: Duration = Duration::from_secs(1);

/// A session and a clock that only the test moves.
struct World {
    session: Session,
    /// What the caller's other connections have left.
    left: Left,
    now: Instant,
}

/// As many of a kind as are set, and no end of the others.
#[derive(Default)]
struct Left(RefCell<Vec<(Cost, usize)>>);

impl Meter for Left {
    fn allows(&self, cost: Cost, _: Instant) -> bool {
        let mut left = self.0.borrow_mut();
        let Some((_, left)) = left.iter_mut().find(|(kind, _)| *kind == cost) else { return true };
        let enough = *left > 0;
        *left = left.saturating_sub(1);
        enough
    }
}

impl World {
    fn new() -> Self {
        Self::with(Limits::default(), 0.0)
    }

    fn with(limits: Limits, jitter: f64) -> Self {
        let now = tokio::time::Instant::now().into_std();
        let setup = Setup {
            client: uuid::Uuid::nil(),
            version: "0.0.0 test".into(),
            encoding: Encoding::Json,
            overlapping: &["post"],
            emulation: None,
            limits: Arc::new(limits),
            pings: true,
            jitter,
            ticks_from: now,
        };
        Self { session: Session::new(setup, now), left: Left::default(), now }
    }

    /// Connected, with nothing left to do.
    fn connected() -> Self {
        Self::connected_with(Limits::default())
    }

    fn connected_with(limits: Limits) -> Self {
        let mut world = Self::with(limits, 0.0);
        world.client_says(r#"{"id":1,"connect":{}}"#);
        world.policy_says(welcome());
        world
    }

    /// Connected and subscribed to `channel`.
    fn subscribed(channel: &str) -> Self {
        let mut world = Self::connected();
        world.client_says(&format!(r#"{{"id":2,"subscribe":{{"channel":"{channel}"}}}}"#));
        world.policy_says(subscribed(Prepared::default()));
        world
    }

    fn client_says(&mut self, frame: &str) -> Vec<String> {
        self.session.handle_frame(frame.as_bytes(), &self.left, self.now);
        self.actions()
    }

    fn policy_says(&mut self, outcome: Outcome) -> Vec<String> {
        self.session.complete(outcome, &self.left, self.now);
        self.actions()
    }

    /// Lets time pass, doing what is due on the way at the moment that it is due.
    fn wait(&mut self, duration: Duration) -> Vec<String> {
        let until = self.now + duration;
        let mut actions = Vec::new();
        while let Some(due) = self.session.next_timeout().filter(|due| *due <= until) {
            self.now = due;
            self.session.handle_timeout(&self.left, due);
            actions.extend(self.actions());
        }
        self.now = until;
        actions
    }

    fn actions(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.session.poll_action()).map(|action| describe(&action)).collect()
    }
}

fn describe(action: &Action) -> String {
    let text = |reply: &Reply| String::from_utf8(json::encode_reply(reply).unwrap().to_vec()).unwrap();
    match action {
        Action::Send(reply) => text(reply),
        Action::Perform(operation) => format!("perform {}", name(operation)),
        Action::Abandon => "abandon".into(),
        Action::Admit { channel, reply: Some(reply), .. } => format!("admit {channel}: {}", text(reply)),
        Action::Admit { channel, reply: None, .. } => format!("admit {channel}"),
        Action::Leave { channel, why: None } => format!("leave {channel}"),
        Action::Leave { channel, why: Some(why) } => format!("leave {channel}: {}", why.code),
        Action::Close(disconnect) => format!("close {}", disconnect.code),
    }
}

fn name(operation: &Operation) -> String {
    match operation {
        Operation::Connect(_) => "connect".into(),
        Operation::Subscribe { channel, by: Subscriber::Client, .. } => format!("subscribe {channel}"),
        Operation::Subscribe { channel, .. } => format!("subscribe {channel} for the server"),
        Operation::Publish(channel, data) => format!("publish {channel} {data:?}"),
        Operation::Presence(channel) => format!("presence {channel}"),
        Operation::PresenceStats(channel) => format!("presence_stats {channel}"),
        Operation::History(channel, _) => format!("history {channel}"),
        Operation::Rpc(rpc) => format!("rpc {}", rpc.method),
        Operation::Send(_) => "send".into(),
        Operation::Refresh(token) => format!("refresh {token}"),
        Operation::SubRefresh(channel, token) => format!("sub_refresh {channel} {token}"),
    }
}

fn welcome() -> Outcome {
    Outcome::Connected(Box::default())
}

fn subscribed(prepared: Prepared) -> Outcome {
    Outcome::Subscribed(Box::new(prepared))
}

fn answer() -> Outcome {
    Outcome::Answered(Response::Rpc(RpcResult { data: Some(Payload::parse(b"42").unwrap()) }))
}

fn no(why: impl Into<Refusal>) -> Outcome {
    Outcome::Refused(why.into())
}

fn channel(name: &str) -> ChannelName {
    ChannelName::parse(name).unwrap()
}

// 3 Commands

#[test]
fn the_first_command_must_be_connect() {
    for first in [
        r#"{"id":1,"subscribe":{"channel":"a"}}"#,
        r#"{"id":1,"rpc":{"method":"m"}}"#,
        r#"{"send":{"data":1}}"#,
        r#"{"id":1}"#,
        "{}",
    ] {
        assert_eq!(World::new().client_says(first), ["close 3501"], "{first}");
    }
}

#[test]
fn a_second_connect_breaks_the_protocol() {
    assert_eq!(World::connected().client_says(r#"{"id":2,"connect":{}}"#), ["close 3501"]);
}

#[test]
fn every_command_but_send_needs_an_id() {
    for command in [r#"{"connect":{}}"#, r#"{"id":0,"connect":{}}"#] {
        assert_eq!(World::new().client_says(command), ["close 3501"], "{command}");
    }
    for method in ["subscribe", "unsubscribe", "publish", "presence", "presence_stats", "history", "sub_refresh"] {
        let command = format!(r#"{{"{method}":{{"channel":"a"}}}}"#);
        assert_eq!(World::connected().client_says(&command), ["close 3501"], "{command}");
    }
    assert_eq!(World::connected().client_says(r#"{"send":{"data":1}}"#), ["perform send"]);
}

#[test]
fn an_unknown_method_and_a_ping_command_break_the_protocol() {
    assert_eq!(World::connected().client_says(r#"{"id":7,"teleport":{}}"#), ["close 3501"]);
    assert_eq!(World::connected().client_says(r#"{"id":11,"ping":{}}"#), ["close 3501"]);
}

/// Capability 4.20.
#[test]
fn a_frame_without_or_with_malformed_commands_breaks_the_protocol() {
    for frame in ["", "\n", "[]", "x", "{\"id\":", "{\"id\":\"1\",\"rpc\":{}}"] {
        assert_eq!(World::connected().client_says(frame), ["close 3501"], "{frame:?}");
    }
}

#[test]
fn what_stands_before_a_malformed_command_is_still_done() {
    let actions = World::connected().client_says("{\"id\":2,\"unsubscribe\":{\"channel\":\"a\"}}\n{\"id\":");
    assert_eq!(actions, [r#"{"id":2,"unsubscribe":{}}"#, "close 3501"]);
}

#[test]
fn after_an_error_reply_to_connect_the_next_command_breaks_the_protocol() {
    let mut world = World::new();
    world.client_says(r#"{"id":1,"connect":{"token":"old"}}"#);
    let refused = world.policy_says(no(Error::TOKEN_EXPIRED));
    assert_eq!(refused, [r#"{"id":1,"error":{"code":109,"message":"token expired"}}"#]);
    assert_eq!(world.client_says(r#"{"id":2,"connect":{}}"#), ["close 3501"]);
}

/// What nobody could read is error 107 of its command; the connection lives, in whatever method it came.
#[test]
fn a_payload_that_readers_could_not_read_is_an_error_of_its_command_alone() {
    let number = "9".repeat(5_000);
    let refused = r#"{"id":2,"error":{"code":107,"message":"bad request"}}"#;
    for method in ["publish", "rpc", "subscribe"] {
        let command = format!(r#"{{"id":2,"{method}":{{"channel":"a","data":{number}}}}}"#);
        let mut world = World::connected();
        assert_eq!(world.client_says(&command), [refused], "{method}");
        assert_eq!(world.client_says(r#"{"id":3,"rpc":{"method":"m"}}"#), ["perform rpc m"]);
    }
    assert!(World::connected().client_says(&format!(r#"{{"send":{{"data":{number}}}}}"#)).is_empty());
    // Of a connect too, and as after every refused connect the client opens another connection.
    let mut world = World::new();
    let frame = format!("{{\"id\":2,\"connect\":{{\"data\":{number}}}}}\n{{\"id\":3,\"rpc\":{{\"method\":\"m\"}}}}");
    assert_eq!(world.client_says(&frame), [refused]);
    assert_eq!(world.client_says(r#"{"id":4,"connect":{}}"#), ["close 3501"]);
}

#[test]
fn commands_in_the_frame_of_a_connect_that_failed_are_ignored_and_later_ones_break_the_protocol() {
    let mut world = World::new();
    let frame = "{\"id\":1,\"connect\":{\"token\":\"old\"}}\n{\"id\":2,\"subscribe\":{\"channel\":\"a\"}}";
    world.client_says(frame);
    assert_eq!(world.policy_says(no(Error::TOKEN_EXPIRED)).len(), 1);
    assert_eq!(world.client_says(r#"{"id":3,"subscribe":{"channel":"a"}}"#), ["close 3501"]);
}

#[test]
fn an_empty_channel_breaks_the_protocol_and_a_bad_one_is_an_error() {
    for method in ["subscribe", "unsubscribe", "publish", "presence", "presence_stats", "history", "sub_refresh"] {
        let empty = format!(r#"{{"id":2,"{method}":{{"data":1}}}}"#);
        assert_eq!(World::connected().client_says(&empty), ["close 3501"], "{empty}");
        for bad in ["é", &"x".repeat(256)] {
            let command = format!(r#"{{"id":2,"{method}":{{"channel":"{bad}","data":1}}}}"#);
            let answer = World::connected().client_says(&command);
            assert_eq!(answer, [r#"{"id":2,"error":{"code":107,"message":"bad request"}}"#], "{command}");
        }
    }
}

#[test]
fn connect_and_subscribes_of_one_frame_are_done_in_order_each_after_the_other() {
    let mut world = World::new();
    let frame = "{\"id\":1,\"connect\":{}}\n{\"id\":2,\"subscribe\":{\"channel\":\"a\"}}\n{\"id\":3,\"subscribe\":{\"channel\":\"b\"}}";
    assert_eq!(world.client_says(frame), ["perform connect"]);
    assert_eq!(world.policy_says(welcome())[1..], ["perform subscribe a"]);
    assert_eq!(
        world.policy_says(subscribed(Prepared::default())),
        [r#"admit a: {"id":2,"subscribe":{}}"#, "perform subscribe b"]
    );
    assert_eq!(world.policy_says(no(Error::PERMISSION_DENIED))[0], "leave b");
}

#[test]
fn replies_echo_ids_in_any_order_of_numbers() {
    let mut world = World::connected();
    assert_eq!(
        world.client_says("{\"id\":9,\"rpc\":{\"method\":\"m\"}}\n{\"id\":4,\"rpc\":{\"method\":\"n\"}}"),
        ["perform rpc m"]
    );
    assert_eq!(world.policy_says(answer()), [r#"{"id":9,"rpc":{"data":42}}"#, "perform rpc n"]);
    assert_eq!(
        world.policy_says(no(Error::METHOD_NOT_FOUND)),
        [r#"{"id":4,"error":{"code":104,"message":"method not found"}}"#]
    );
}

#[test]
fn calls_that_may_overlap_begin_at_once_and_are_answered_in_order() {
    let mut world = World::connected();
    let posts = (2..5).map(call).collect::<Vec<_>>().join("\n");
    assert_eq!(world.client_says(&posts), ["perform rpc post"; 3]);
    assert_eq!(world.client_says(&call(5)), ["perform rpc post"]);
    assert_eq!(world.policy_says(answer()), [r#"{"id":2,"rpc":{"data":42}}"#]);
    assert_eq!(
        world.policy_says(no(Error::PERMISSION_DENIED)),
        [r#"{"id":3,"error":{"code":103,"message":"permission denied"}}"#]
    );
    assert_eq!(world.policy_says(answer()), [r#"{"id":4,"rpc":{"data":42}}"#]);
    assert_eq!(world.policy_says(answer()), [r#"{"id":5,"rpc":{"data":42}}"#]);
}

#[test]
fn every_other_command_waits_for_the_calls_before_it_and_the_calls_behind_it_wait_for_it() {
    for (other, performed) in [
        (r#"{"id":3,"rpc":{"method":"typing"}}"#, "perform rpc typing"),
        (r#"{"id":3,"subscribe":{"channel":"a"}}"#, "perform subscribe a"),
        (r#"{"id":3,"presence":{"channel":"a"}}"#, "perform presence a"),
        (r#"{"id":3,"publish":{"channel":"a","data":1}}"#, "perform publish a 1"),
    ] {
        let mut world = World::connected();
        let frame = [call(2), other.into(), call(4), call(5)].join("\n");
        assert_eq!(world.client_says(&frame), ["perform rpc post"]);
        assert_eq!(world.policy_says(answer())[1..], [performed]);
        assert_eq!(world.policy_says(no(Error::NOT_AVAILABLE)).last().unwrap(), "perform rpc post", "{other}");
        assert_eq!(world.policy_says(answer()).len(), 1, "the other one had begun");
    }
    let mut world = World::subscribed("a");
    let frame = [&call(2), r#"{"id":3,"unsubscribe":{"channel":"a"}}"#, &call(4)].join("\n");
    assert_eq!(world.client_says(&frame), ["perform rpc post"]);
    assert_eq!(world.policy_says(answer())[1..], ["leave a", r#"{"id":3,"unsubscribe":{}}"#, "perform rpc post"]);
}

#[test]
fn what_breaks_the_protocol_behind_a_call_leaves_the_call_its_answer() {
    for broken in [r#"{"rpc":{"method":"post"}}"#, r#"{"id":"#] {
        let mut world = World::connected();
        assert_eq!(world.client_says(&[&call(2), broken].join("\n")), ["perform rpc post"]);
        assert_eq!(world.policy_says(answer()), [r#"{"id":2,"rpc":{"data":42}}"#, "close 3501"]);
    }
}

#[test]
fn no_more_calls_of_a_connection_run_at_once_than_the_limit_says() {
    let mut world = World::connected();
    let calls = CALLS_AT_ONCE_MAX + 2;
    let posts = (2..).take(calls).map(call).collect::<Vec<_>>().join("\n");
    assert_eq!(world.client_says(&posts), ["perform rpc post"; CALLS_AT_ONCE_MAX]);
    assert_eq!(world.policy_says(answer())[1..], ["perform rpc post"]);
    world.session.pause(true, &world.left, world.now);
    assert_eq!(world.policy_says(answer()).len(), 1, "none is begun while the client does not read");
    world.session.pause(false, &world.left, world.now);
    assert_eq!(world.actions(), ["perform rpc post"]);
}

#[test]
fn each_call_that_overlaps_has_a_time_limit_of_its_own() {
    let mut world = World::connected();
    world.client_says(&call(2));
    world.wait(4 * SECOND);
    world.client_says(&call(3));
    let late =
        |id| format!(r#"{{"id":{id},"error":{{"code":100,"message":"internal server error","temporary":true}}}}"#);
    assert_eq!(world.wait(6 * SECOND), ["abandon", &late(2)]);
    assert_eq!(world.policy_says(answer()), [r#"{"id":3,"rpc":{"data":42}}"#]);
    let mut world = World::connected();
    world.client_says(&[call(4), call(5)].join("\n"));
    assert_eq!(world.wait(10 * SECOND), ["abandon", &late(4), "abandon", &late(5)]);
}

/// A call that may overlap.
fn call(id: usize) -> String {
    format!(r#"{{"id":{id},"rpc":{{"method":"post"}}}}"#)
}

#[test]
fn while_too_many_commands_wait_the_transport_is_not_read() {
    let mut world = World::connected_with(Limits { commands_waiting_max: 2, ..Limits::default() });
    for id in 2..5 {
        assert!(world.session.wants_input());
        world.client_says(&format!(r#"{{"id":{id},"rpc":{{"method":"m"}}}}"#));
    }
    assert!(!world.session.wants_input());
    world.policy_says(answer());
    assert!(world.session.wants_input());
}

#[test]
fn an_error_of_send_is_not_answered_and_without_a_handler_the_connection_is_closed() {
    let mut world = World::connected();
    world.client_says(r#"{"send":{"data":1}}"#);
    assert!(world.policy_says(no(Error::BAD_REQUEST)).is_empty());
    world.client_says(r#"{"send":{"data":1}}"#);
    assert_eq!(world.policy_says(no(Disconnect::NOT_AVAILABLE)), ["close 3508"]);
}

#[test]
fn after_the_end_nothing_is_done_any_more() {
    let mut world = World::connected();
    world.client_says(r#"{"id":2,"rpc":{"method":"m"}}"#);
    world.session.close(Disconnect::SHUTDOWN);
    assert_eq!(world.actions(), ["close 3001"]);
    assert!(world.policy_says(answer()).is_empty());
    assert!(world.client_says(r#"{"id":3,"rpc":{"method":"m"}}"#).is_empty());
    assert!(world.wait(3600 * SECOND).is_empty());
    assert!(world.session.next_timeout().is_none() && !world.session.wants_input());
}

// Rates (capability 4.33)

#[test]
fn commands_above_the_rate_are_refused_and_a_pause_makes_good() {
    let limits = Limits { commands_burst: 4, commands_per_second: 2, commands_refused_max: 3, ..Limits::default() };
    let mut world = World::connected_with(limits);
    let unsubscribe = r#"{"id":2,"unsubscribe":{"channel":"a"}}"#;
    let done = r#"{"id":2,"unsubscribe":{}}"#;
    let refused = r#"{"id":2,"error":{"code":111,"message":"too many requests","temporary":true}}"#;
    // Connect was the first of four.
    assert_eq!(
        (0..4).map(|_| world.client_says(unsubscribe).remove(0)).collect::<Vec<_>>(),
        [done, done, done, refused]
    );
    world.wait(SECOND);
    assert_eq!((0..3).map(|_| world.client_says(unsubscribe).remove(0)).collect::<Vec<_>>(), [done, done, refused]);
    world.wait(2 * SECOND);
    assert_eq!(world.client_says(unsubscribe), [done]);
}

/// S63: what other connections of the same caller have used up is refused here too.
#[test]
fn what_the_callers_other_connections_have_used_up_is_refused() {
    let refused =
        |id: u32| format!(r#"{{"id":{id},"error":{{"code":111,"message":"too many requests","temporary":true}}}}"#);
    for (cost, command) in [
        (Cost::Command, r#""rpc":{"method":"m"}"#),
        (Cost::Channel, r#""subscribe":{"channel":"a"}"#),
        (Cost::Channel, r#""presence":{"channel":"a"}"#),
        (Cost::Channel, r#""presence_stats":{"channel":"a"}"#),
        (Cost::Read, r#""history":{"channel":"a"}"#),
        (Cost::Read, r#""subscribe":{"channel":"a","recover":true}"#),
        (Cost::Read, r#""presence":{"channel":"a"}"#),
    ] {
        let mut world = World::connected();
        world.left = Left(vec![(cost, 1)].into());
        assert!(world.client_says(&format!(r#"{{"id":2,{command}}}"#))[0].starts_with("perform"), "{command}");
        world.policy_says(no(Error::INTERNAL));
        assert_eq!(world.client_says(&format!(r#"{{"id":3,{command}}}"#)), [refused(3)], "{command}");
    }
}

#[test]
fn what_comes_before_it_is_known_who_asks_is_paid_for_by_who_it_was() {
    let mut world = World::new();
    let history = |id: u32| format!(r#"{{"id":{id},"history":{{"channel":"a"}}}}"#);
    let frame = [r#"{"id":1,"connect":{}}"#.to_owned(), history(2), history(3)].join("\n");
    // Nobody has anything left yet.
    world.left = Left(vec![(Cost::Read, 0)].into());
    assert_eq!(world.client_says(&frame), ["perform connect"]);
    world.left = Left(vec![(Cost::Read, 1)].into());
    assert_eq!(world.policy_says(welcome())[1..], ["perform history a"]);
    let answers = world.policy_says(no(Error::INTERNAL));
    assert_eq!(answers[1..], [r#"{"id":3,"error":{"code":111,"message":"too many requests","temporary":true}}"#]);
}

#[test]
fn who_never_slows_down_is_closed_with_too_many_requests() {
    let limits = Limits { commands_burst: 2, commands_per_second: 1, commands_refused_max: 3, ..Limits::default() };
    let mut world = World::connected_with(limits);
    let mut answers = Vec::new();
    for _ in 0..5 {
        answers.extend(world.client_says(r#"{"id":2,"unsubscribe":{"channel":"a"}}"#));
    }
    assert_eq!(answers.len(), 5);
    assert!(answers[1..4].iter().all(|answer| answer.contains("111")), "{answers:?}");
    assert_eq!(answers[4], "close 3013");
}

#[test]
fn a_reconnect_with_all_channels_is_within_the_rate() {
    let mut world = World::connected();
    let max = Limits::default().channels_per_connection_max;
    for number in 0..max {
        let told = world.client_says(&format!(r#"{{"id":2,"subscribe":{{"channel":"{number}"}}}}"#));
        assert_eq!(told, [format!("perform subscribe {number}")]);
        world.policy_says(subscribed(Prepared::default()));
        let told = world.client_says(&format!(r#"{{"id":3,"presence":{{"channel":"{number}"}}}}"#));
        assert_eq!(told, [format!("perform presence {number}")]);
        world.policy_says(answer());
    }
}

#[test]
fn nobody_comes_and_goes_in_a_channel_all_the_time() {
    let limits = Limits { subscribes_burst: 3, subscribes_per_second: 2, ..Limits::default() };
    let mut world = World::connected_with(limits);
    let mut come_and_go = || {
        let told = world.client_says(r#"{"id":2,"subscribe":{"channel":"a"}}"#);
        if told != ["perform subscribe a"] {
            return Err(told.concat());
        }
        world.policy_says(subscribed(Prepared::default()));
        assert_eq!(world.client_says(r#"{"id":3,"unsubscribe":{"channel":"a"}}"#).len(), 2);
        Ok(())
    };
    let refused = r#"{"id":2,"error":{"code":111,"message":"too many requests","temporary":true}}"#;
    for _ in 0..3 {
        assert_eq!(come_and_go(), Ok(()));
    }
    assert_eq!(come_and_go(), Err(refused.into()));
    for command in ["presence", "presence_stats"] {
        let told = world.client_says(&format!(r#"{{"id":2,"{command}":{{"channel":"a"}}}}"#));
        assert_eq!(told, [refused], "{command}");
    }
    assert_eq!(world.client_says(r#"{"id":2,"rpc":{"method":"m"}}"#), ["perform rpc m"], "others are not refused");
    world.policy_says(answer());
    world.wait(SECOND);
    for expected in [["perform presence a"], ["perform presence a"], [refused]] {
        assert_eq!(world.client_says(r#"{"id":2,"presence":{"channel":"a"}}"#), expected);
        world.policy_says(answer());
    }
}

// 4 Connect

#[test]
fn the_connect_reply_says_who_and_how() {
    let mut world = World::new();
    assert_eq!(world.client_says(r#"{"id":1,"connect":{"name":"js"}}"#), ["perform connect"]);
    let reply = r#"{"id":1,"connect":{"client":"00000000-0000-0000-0000-000000000000","version":"0.0.0 test","ping":25,"pong":true}}"#;
    assert_eq!(world.policy_says(welcome()), [reply]);
}

#[test]
fn server_side_subscriptions_stand_in_the_connect_reply_and_go_live_after_it() {
    let mut world = World::new();
    world.client_says(r#"{"id":1,"connect":{}}"#);
    let result =
        SubscribeResult { recoverable: true, epoch: "e".into(), positioned: true, ..SubscribeResult::default() };
    let prepared = Prepared { result, ..Prepared::default() };
    let connected = Connected { subscriptions: vec![(channel("user:1"), prepared)], ..Connected::default() };
    let actions = world.policy_says(Outcome::Connected(Box::new(connected)));
    assert!(
        actions[0].contains(r#""subs":{"user:1":{"recoverable":true,"epoch":"e","positioned":true}}"#),
        "{actions:?}"
    );
    assert_eq!(actions[1], "admit user:1");
}

#[test]
fn more_server_side_subscriptions_than_a_connection_may_hold_close_it() {
    let mut world = World::with(Limits { channels_per_connection_max: 1, ..Limits::default() }, 0.0);
    world.client_says(r#"{"id":1,"connect":{}}"#);
    let subscriptions = ["a", "b"].map(|name| (channel(name), Prepared::default())).to_vec();
    let connected = Connected { subscriptions, ..Connected::default() };
    assert_eq!(world.policy_says(Outcome::Connected(Box::new(connected))), ["close 3505"]);
}

#[test]
fn a_refused_client_is_closed_with_the_code_that_the_policy_says() {
    for (disconnect, close) in [
        (Disconnect::INVALID_TOKEN, "close 3500"),
        (Disconnect::BAD_REQUEST, "close 3501"),
        (Disconnect::PERMISSION_DENIED, "close 3507"),
        (Disconnect::CONNECTION_LIMIT, "close 3504"),
    ] {
        let mut world = World::new();
        world.client_says(r#"{"id":1,"connect":{}}"#);
        assert_eq!(world.policy_says(no(disconnect)), [close]);
    }
}

#[test]
fn a_policy_that_takes_too_long_lets_the_client_come_back() {
    let mut world = World::new();
    world.client_says("{\"id\":1,\"connect\":{}}\n{\"id\":2,\"subscribe\":{\"channel\":\"a\"}}");
    let gave_up = r#"{"id":1,"error":{"code":100,"message":"internal server error","temporary":true}}"#;
    assert_eq!(world.wait(10 * SECOND), ["abandon", gave_up], "and what came with the connect closes nothing for good");
}

#[test]
fn who_does_not_connect_in_time_is_stale() {
    let mut world = World::new();
    assert!(world.wait(9 * SECOND).is_empty());
    assert_eq!(world.wait(SECOND), ["close 3502"]);

    let mut refused = World::new();
    refused.client_says(r#"{"id":1,"connect":{}}"#);
    refused.policy_says(no(Error::TOKEN_EXPIRED));
    assert_eq!(refused.wait(10 * SECOND), ["close 3502"]);
}

// 5 Ping and pong (capabilities 4.18, 4.40)

#[test]
fn the_first_ping_comes_between_half_an_interval_and_a_whole_one() {
    for (jitter, first) in [(0.0, 12.5), (0.5, 18.75), (1.0, 25.0)] {
        let mut world = World::with(Limits::default(), jitter);
        world.client_says(r#"{"id":1,"connect":{}}"#);
        world.policy_says(welcome());
        let first = Duration::from_secs_f64(first);
        assert!(world.wait(first - Duration::from_millis(1)).is_empty());
        assert_eq!(world.wait(Duration::from_millis(1)), ["{}"]);
    }
}

#[test]
fn pings_leave_at_ticks_that_all_connections_share() {
    let tick = (Limits::default().ping_interval / 64).as_nanos();
    for (jitter, opened_after) in [(0.0, 1), (0.3, 130), (1.0, 9_999)] {
        let mut world = World::with(Limits::default(), jitter);
        let ticks_from = world.now;
        world.wait(Duration::from_millis(opened_after));
        world.client_says(r#"{"id":1,"connect":{}}"#);
        world.policy_says(welcome());
        for _ in 0..3 {
            let due = world.session.next_timeout().unwrap();
            assert_eq!((due - ticks_from).as_nanos() % tick, 0);
            // Timers are late.
            world.now = due + Duration::from_millis(3);
            world.session.handle_timeout(&world.left, world.now);
            assert_eq!(world.actions(), ["{}"]);
            world.client_says("{}");
        }
    }
}

#[test]
fn pings_go_on_as_long_as_they_are_answered() {
    let mut world = World::connected();
    let mut pings = world.wait(Duration::from_millis(12_500)).len();
    for _ in 0..100 {
        assert!(world.client_says("{}").is_empty());
        pings += world.wait(25 * SECOND).len();
    }
    assert_eq!(pings, 101);
}

#[test]
fn without_a_pong_the_client_is_gone_after_8_seconds() {
    let mut world = World::connected();
    assert_eq!(world.wait(Duration::from_millis(12_500)), ["{}"]);
    assert!(world.wait(Duration::from_millis(7_999)).is_empty());
    assert_eq!(world.wait(Duration::from_millis(1)), ["close 3012"]);
}

#[test]
fn s16_what_was_written_before_a_ping_buys_time_for_its_answer() {
    let mut world = World::connected();
    // 64 KiB are read in 40 s at 16 KiB in 10 s, and from then on there are 8 s.
    world.session.wrote(64 << 10, world.now);
    assert_eq!(world.wait(12_500 * SECOND / 1000), ["{}"]);
    assert!(world.wait(35 * SECOND).is_empty());
    // And so it is with what is written while the answer is waited for.
    world.session.wrote(16 << 10, world.now);
    assert!(world.wait(17_900 * SECOND / 1000).is_empty());
    assert_eq!(world.wait(SECOND), ["close 3012"]);
}

#[test]
fn s16_what_was_written_long_before_a_ping_buys_no_time() {
    let mut world = World::connected();
    world.session.wrote(16 << 10, world.now);
    assert_eq!(world.wait(12_500 * SECOND / 1000), ["{}"]);
    assert_eq!(world.wait(8 * SECOND), ["close 3012"]);
}

#[test]
fn s16_an_answer_ends_the_time_that_was_bought() {
    let mut world = World::connected();
    world.session.wrote(2 << 20, world.now);
    assert_eq!(world.wait(12_500 * SECOND / 1000), ["{}"]);
    assert!(world.wait(200 * SECOND).is_empty(), "two megabytes take a slow line minutes");
    assert!(world.client_says("{}").is_empty());
    assert_eq!(world.wait(25 * SECOND), ["{}"]);
    assert_eq!(world.wait(8 * SECOND), ["close 3012"]);
}

#[test]
fn s16_what_was_written_behind_a_ping_keeps_the_time_that_it_bought() {
    let mut world = World::connected();
    // It asks, hears the ping, is sent 64 KiB, and only then is its answer to the ping here.
    assert_eq!(world.wait(12_500 * SECOND / 1000), ["{}"]);
    world.session.wrote(64 << 10, world.now);
    world.wait(5 * SECOND);
    assert!(world.client_says("{}").is_empty());
    // 40 s from the answer on, as it may have begun to read only then; and 8 s to answer the second ping, behind it.
    assert_eq!(world.wait(20 * SECOND), ["{}"]);
    assert!(world.wait(27_900 * SECOND / 1000).is_empty());
    assert_eq!(world.wait(SECOND), ["close 3012"]);
}

#[test]
fn s16_what_one_answer_left_the_next_one_settles() {
    let mut world = World::connected();
    assert_eq!(world.wait(12_500 * SECOND / 1000), ["{}"]);
    world.session.wrote(2 << 20, world.now);
    assert!(world.client_says("{}").is_empty());
    assert_eq!(world.wait(25 * SECOND), ["{}"]);
    assert!(world.wait(200 * SECOND).is_empty());
    assert!(world.client_says("{}").is_empty());
    assert_eq!(world.wait(25 * SECOND), ["{}"]);
    assert_eq!(world.wait(8 * SECOND), ["close 3012"]);
}

#[test]
fn s16_a_peer_that_takes_whatever_it_is_given_and_never_answers_is_closed_after_five_minutes() {
    let mut world = World::connected();
    assert_eq!(world.wait(12_500 * SECOND / 1000), ["{}"]);
    let mut seconds = 0;
    while world.wait(SECOND).is_empty() {
        world.session.wrote(100_000, world.now);
        seconds += 1;
        assert!(seconds < 1000);
    }
    assert_eq!(seconds, 299);
}

#[test]
fn a_pong_that_nobody_asked_for_breaks_the_protocol() {
    assert_eq!(World::connected().client_says("{}"), ["close 3501"]);
    let mut world = World::connected();
    world.wait(Duration::from_millis(12_500));
    assert!(world.client_says("{}").is_empty());
    assert_eq!(world.client_says("{}"), ["close 3501"]);
}

#[test]
fn a_pong_is_heard_while_commands_wait() {
    let mut world = World::connected();
    world.client_says(r#"{"id":2,"rpc":{"method":"slow"}}"#);
    world.wait(Duration::from_millis(12_500));
    world.client_says("{}");
    assert_eq!(world.wait(20 * SECOND), Vec::<String>::new());
}

#[test]
fn who_is_not_read_cannot_be_late_with_a_pong() {
    let limits = Limits { commands_waiting_max: 1, operation_timeout: 100 * SECOND, ..Limits::default() };
    let mut world = World::connected_with(limits);
    world.client_says("{\"id\":2,\"rpc\":{\"method\":\"slow\"}}\n{\"id\":3,\"rpc\":{\"method\":\"slow\"}}");
    assert_eq!(world.wait(60 * SECOND), ["{}"]);
    world.policy_says(answer());
    assert!(world.client_says("{}").is_empty());
}

#[test]
fn s16_who_keeps_us_from_reading_is_closed_after_five_minutes_all_the_same() {
    let limits = Limits { commands_waiting_max: 1, operation_timeout: 10_000 * SECOND, ..Limits::default() };
    let mut world = World::connected_with(limits);
    world.client_says("{\"id\":2,\"rpc\":{\"method\":\"slow\"}}\n{\"id\":3,\"rpc\":{\"method\":\"slow\"}}");
    assert_eq!(world.wait(13 * SECOND), ["{}"]);
    assert!(world.wait(290 * SECOND).is_empty());
    assert_eq!(world.wait(20 * SECOND), ["close 3012"]);
}

#[test]
fn s14_commands_that_wait_are_bounded_in_bytes_and_the_rest_is_not_read() {
    let mut world = World::connected();
    let large = format!(r#"{{"id":2,"rpc":{{"method":"slow","data":"{}"}}}}"#, "x".repeat(60 << 10));
    let mut read = 0;
    while world.session.wants_input() {
        world.client_says(&large);
        read += large.len();
    }
    assert!(read < 256 << 10, "{read} bytes");
    for _ in 0..3 {
        world.policy_says(answer());
    }
    assert!(world.session.wants_input(), "none of them waits any more");
}

// 6 Subscriptions

#[test]
fn a_second_subscribe_is_an_error() {
    let mut world = World::subscribed("a");
    let again = world.client_says(r#"{"id":3,"subscribe":{"channel":"a"}}"#);
    assert_eq!(again, [r#"{"id":3,"error":{"code":105,"message":"already subscribed"}}"#]);
}

#[test]
fn more_subscriptions_than_allowed_are_an_error() {
    let mut world = World::connected_with(Limits { channels_per_connection_max: 1, ..Limits::default() });
    world.client_says(r#"{"id":2,"subscribe":{"channel":"a"}}"#);
    world.policy_says(subscribed(Prepared::default()));
    let over = world.client_says(r#"{"id":3,"subscribe":{"channel":"b"}}"#);
    assert_eq!(over, [r#"{"id":3,"error":{"code":106,"message":"limit exceeded"}}"#]);
    world.client_says(r#"{"id":4,"unsubscribe":{"channel":"a"}}"#);
    assert_eq!(world.client_says(r#"{"id":5,"subscribe":{"channel":"b"}}"#), ["perform subscribe b"]);
}

#[test]
fn unsubscribe_leaves_the_channel_and_succeeds_also_for_an_unknown_one() {
    let mut world = World::subscribed("a");
    let gone = world.client_says(r#"{"id":3,"unsubscribe":{"channel":"a"}}"#);
    assert_eq!(gone, ["leave a", r#"{"id":3,"unsubscribe":{}}"#]);
    assert_eq!(world.client_says(r#"{"id":4,"unsubscribe":{"channel":"a"}}"#), [r#"{"id":4,"unsubscribe":{}}"#]);
}

#[test]
fn a_refused_subscription_leaves_no_trace() {
    let mut world = World::connected();
    world.client_says(r#"{"id":2,"subscribe":{"channel":"a"}}"#);
    let refused = world.policy_says(no(Error::PERMISSION_DENIED));
    assert_eq!(refused, ["leave a", r#"{"id":2,"error":{"code":103,"message":"permission denied"}}"#]);
    assert_eq!(world.client_says(r#"{"id":3,"subscribe":{"channel":"a"}}"#), ["perform subscribe a"]);
}

#[test]
fn what_this_server_does_not_offer_is_refused_as_the_protocol_says() {
    for (request, answer) in [
        (r#""delta":"xdelta""#, "close 3501"),
        (r#""delta":"fossil""#, "perform subscribe a"),
        (r#""type":1"#, r#"{"id":2,"error":{"code":103,"message":"permission denied"}}"#),
    ] {
        let command = format!(r#"{{"id":2,"subscribe":{{"channel":"a",{request}}}}}"#);
        assert_eq!(World::connected().client_says(&command), [answer], "{command}");
    }
}

#[test]
fn flag_2_turns_an_unrecovered_subscription_into_error_112() {
    let result = SubscribeResult { was_recovering: true, ..SubscribeResult::default() };
    let unrecovered = subscribed(Prepared { result, ..Prepared::default() });
    for (flag, answer) in [
        (0, vec![r#"admit a: {"id":2,"subscribe":{"was_recovering":true}}"#]),
        (1, vec![r#"admit a: {"id":2,"subscribe":{"was_recovering":true}}"#]),
        (2, vec!["leave a", r#"{"id":2,"error":{"code":112,"message":"unrecoverable position"}}"#]),
        (3, vec!["leave a", r#"{"id":2,"error":{"code":112,"message":"unrecoverable position"}}"#]),
    ] {
        let mut world = World::connected();
        world.client_says(&format!(
            r#"{{"id":2,"subscribe":{{"channel":"a","recover":true,"epoch":"_","flag":{flag}}}}}"#
        ));
        assert_eq!(world.policy_says(unrecovered.clone()), answer, "flag {flag}");
    }
}

#[test]
fn the_server_subscribes_with_a_push_and_in_turn() {
    let mut world = World::connected();
    world.client_says(r#"{"id":2,"rpc":{"method":"slow"}}"#);
    world.session.handle_control(
        Control::Subscribe(Box::new(Wish::new(ServerSubscription {
            channel: channel("user:1"),
            grant: None,
            since: None,
        }))),
        &world.left,
        world.now,
    );
    assert!(world.actions().is_empty(), "one operation at a time");
    assert_eq!(world.policy_says(answer())[1..], ["perform subscribe user:1 for the server"]);
    let result =
        SubscribeResult { recoverable: true, epoch: "e".into(), positioned: true, ..SubscribeResult::default() };
    let position = Some(StreamPosition { offset: 0, epoch: "e".into() });
    let admission = Admission { position, ..Admission::default() };
    let pushed = world.policy_says(subscribed(Prepared { result, admission, expires_in: None }));
    let push = r#"{"push":{"channel":"user:1","subscribe":{"recoverable":true,"epoch":"e","positioned":true}}}"#;
    assert_eq!(pushed, [format!("admit user:1: {push}")]);
}

#[test]
fn a_subscription_that_the_server_ended_can_be_made_again() {
    let mut world = World::subscribed("a");
    world.session.handle_control(Control::Unsubscribed(channel("a"), Unsubscribe::SERVER), &world.left, world.now);
    assert_eq!(world.client_says(r#"{"id":3,"subscribe":{"channel":"a"}}"#), ["perform subscribe a"]);
}

// 6 Expiry

#[test]
fn a_connection_that_is_not_refreshed_ends_after_its_ttl_and_a_grace_of_25_seconds() {
    let mut world = World::with(Limits { ping_interval: 3600 * SECOND, ..Limits::default() }, 0.0);
    world.client_says(r#"{"id":1,"connect":{}}"#);
    let expiry = Some(Expiry::Refreshable(Duration::from_millis(59_500)));
    let reply = world.policy_says(Outcome::Connected(Box::new(Connected { expiry, ..Connected::default() })));
    assert!(reply[0].contains(r#""expires":true,"ttl":60"#), "{reply:?}");
    assert!(world.wait(60 * SECOND).is_empty());
    assert_eq!(world.client_says(r#"{"id":2,"refresh":{"token":"new"}}"#), ["perform refresh new"]);
    let refreshed = world.policy_says(Outcome::Refreshed(Some(Expiry::Refreshable(100 * SECOND))));
    assert_eq!(
        refreshed,
        [
            r#"{"id":2,"refresh":{"client":"00000000-0000-0000-0000-000000000000","version":"0.0.0 test","expires":true,"ttl":100}}"#
        ]
    );
    assert!(world.wait(124 * SECOND).is_empty());
    assert_eq!(world.wait(SECOND), ["close 3005"]);
}

#[test]
fn a_connection_with_a_final_end_is_closed_then_without_having_been_told() {
    let mut world = World::with(Limits { ping_interval: 3600 * SECOND, ..Limits::default() }, 0.0);
    world.client_says(r#"{"id":1,"connect":{}}"#);
    let expiry = Some(Expiry::Final(60 * SECOND));
    let reply = world.policy_says(Outcome::Connected(Box::new(Connected { expiry, ..Connected::default() })));
    assert!(!reply[0].contains("expires"));
    assert_eq!(world.wait(60 * SECOND), ["close 3005"]);
}

#[test]
fn a_subscription_that_is_not_refreshed_ends_with_2501_and_the_connection_lives_on() {
    let mut world = World::connected_with(Limits { ping_interval: 3600 * SECOND, ..Limits::default() });
    world.client_says(r#"{"id":2,"subscribe":{"channel":"a","token":"t"}}"#);
    let told = world.policy_says(subscribed(Prepared { expires_in: Some(10 * SECOND), ..Prepared::default() }));
    assert_eq!(told, [r#"admit a: {"id":2,"subscribe":{"expires":true,"ttl":10}}"#]);
    world.wait(30 * SECOND);
    assert_eq!(world.client_says(r#"{"id":3,"sub_refresh":{"channel":"a","token":"u"}}"#), ["perform sub_refresh a u"]);
    let refreshed = world.policy_says(Outcome::SubRefreshed(Some(10 * SECOND)));
    assert_eq!(refreshed, [r#"{"id":3,"sub_refresh":{"expires":true,"ttl":10}}"#]);
    assert!(world.wait(34 * SECOND).is_empty());
    assert_eq!(world.wait(SECOND), [format!("leave a: {}", Unsubscribe::EXPIRED.code)]);
    assert!(world.wait(60 * SECOND).is_empty());
}

#[test]
fn a_server_side_subscription_that_expires_closes_the_connection_with_3006() {
    let mut world = World::with(Limits { ping_interval: 3600 * SECOND, ..Limits::default() }, 0.0);
    world.client_says(r#"{"id":1,"connect":{}}"#);
    let prepared = Prepared { expires_in: Some(10 * SECOND), ..Prepared::default() };
    let connected = Connected { subscriptions: vec![(channel("user:1"), prepared)], ..Connected::default() };
    world.policy_says(Outcome::Connected(Box::new(connected)));
    assert_eq!(world.wait(35 * SECOND), ["close 3006"]);
}

#[test]
fn what_ends_later_than_the_clock_can_tell_does_not_end() {
    for ttl in [Duration::MAX, Duration::from_secs(u64::MAX), Duration::from_secs(i64::MAX as u64)] {
        for expiry in [Expiry::Refreshable(ttl), Expiry::Final(ttl)] {
            let mut world = World::with(Limits { ping_interval: 3600 * SECOND, ..Limits::default() }, 0.0);
            world.client_says(r#"{"id":1,"connect":{}}"#);
            let given = Prepared { expires_in: Some(ttl), ..Prepared::default() };
            let subscriptions = vec![(channel("user:1"), given.clone())];
            let expiry = Some(expiry);
            let connected = Connected { expiry, subscriptions, ..Connected::default() };
            world.policy_says(Outcome::Connected(Box::new(connected)));
            world.client_says(r#"{"id":2,"subscribe":{"channel":"a"}}"#);
            world.policy_says(subscribed(given));
            world.client_says(r#"{"id":3,"sub_refresh":{"channel":"a","token":"t"}}"#);
            let refreshed = world.policy_says(Outcome::SubRefreshed(Some(ttl)));
            assert_eq!(refreshed, [r#"{"id":3,"sub_refresh":{"expires":true,"ttl":4294967295}}"#]);
            world.client_says(r#"{"id":4,"refresh":{"token":"t"}}"#);
            assert_eq!(world.policy_says(Outcome::Refreshed(expiry)).len(), 1);
            assert!(world.wait(1_000 * SECOND).is_empty());
        }
    }
}

#[test]
fn sub_refresh_of_what_is_not_subscribed_is_denied() {
    let answer = World::connected().client_says(r#"{"id":3,"sub_refresh":{"channel":"a","token":"u"}}"#);
    assert_eq!(answer, [r#"{"id":3,"error":{"code":103,"message":"permission denied"}}"#]);
}

#[test]
fn a_refresh_with_an_expired_token_closes_with_3005_after_which_clients_come_back() {
    let mut world = World::connected();
    world.client_says(r#"{"id":2,"refresh":{"token":"old"}}"#);
    assert_eq!(world.policy_says(no(Error::TOKEN_EXPIRED)), ["close 3005"]);
    assert!(Disconnect::EXPIRED.reconnects());
}

#[test]
fn any_other_error_of_a_refresh_is_its_reply() {
    let mut world = World::connected();
    world.client_says(r#"{"id":2,"refresh":{"token":"t"}}"#);
    let refused = world.policy_says(no(Error::NOT_AVAILABLE));
    assert_eq!(refused, [r#"{"id":2,"error":{"code":108,"message":"not available"}}"#]);
}

#[test]
fn a_sub_refresh_with_an_expired_token_ends_the_subscription_by_push_2501_and_no_error_before_it() {
    let mut world = World::subscribed("a");
    world.client_says(r#"{"id":3,"sub_refresh":{"channel":"a","token":"old"}}"#);
    assert_eq!(world.policy_says(no(Error::TOKEN_EXPIRED)), [format!("leave a: {}", Unsubscribe::EXPIRED.code)]);
    assert!(Unsubscribe::EXPIRED.resubscribes());
    // It is free to subscribe again, and the connection goes on.
    assert_eq!(world.client_says(r#"{"id":4,"subscribe":{"channel":"a"}}"#), ["perform subscribe a"]);
}

#[test]
fn a_sub_refresh_of_a_server_side_subscription_with_an_expired_token_closes_with_3006() {
    let mut world = World::new();
    world.client_says(r#"{"id":1,"connect":{}}"#);
    let subscriptions = vec![(ChannelName::parse("a").unwrap(), Prepared::default())];
    world.policy_says(Outcome::Connected(Box::new(Connected { subscriptions, ..Connected::default() })));
    world.client_says(r#"{"id":3,"sub_refresh":{"channel":"a","token":"old"}}"#);
    assert_eq!(world.policy_says(no(Error::TOKEN_EXPIRED)), ["close 3006"]);
}

#[test]
fn an_empty_token_to_refresh_with_is_3501() {
    for command in [r#"{"id":3,"refresh":{}}"#, r#"{"id":3,"sub_refresh":{"channel":"a"}}"#] {
        assert_eq!(World::subscribed("a").client_says(command), ["close 3501"], "{command}");
    }
}
