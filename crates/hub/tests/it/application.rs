//! What the application is asked and told, how long it has for an answer, and what it learns of a client.

use std::time::Duration;

use tidings_hub::{ConnectionOptions, Expiry, Identity, Order, Remote, Target};
use tidings_protocol::{Disconnect, Error, Response, Unsubscribe};

use crate::world::{World, name};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn the_application_is_told_who_comes_who_goes_and_which_subscriptions_end() {
    let mut world = World::new();
    let stranger = world.open(ConnectionOptions::default());
    world.ask(stranger, r#""connect":{"token":"forged"}"#);
    assert!(world.rules.told().is_empty(), "who was not let in was never there");

    let ana = world.connect("ana");
    for channel in ["a", "b", "c", "d"] {
        world.subscribe(ana, channel);
    }
    assert_eq!(world.rules.told(), ["connected ana"]);
    world.ask(ana, r#""unsubscribe":{"channel":"a"}"#);
    world.order(Order::unsubscribe(Target::User("ana".into()), Some(name("b")), Unsubscribe::SERVER));
    world.settle();
    assert_eq!(world.rules.told(), ["unsubscribed ana a 0", "unsubscribed ana b 2000"]);
    world.order(Order::disconnect(Target::User("ana".into()), Disconnect::FORCE_RECONNECT));
    world.settle();
    assert_eq!(world.rules.told(), ["unsubscribed ana c 1", "unsubscribed ana d 1", "disconnected ana 3011"]);

    let ben = world.connect("ben");
    world.cut(ben);
    assert_eq!(world.rules.told(), ["connected ben", "disconnected ben 3000"]);
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_takes_too_long_is_a_passing_error_and_holds_nothing_up_for_ever() {
    let mut world = World::new();
    let ana = world.connect("ana");
    let hangs = world.ask(ana, r#""rpc":{"method":"hang"}"#);
    let waits = world.ask(ana, r#""rpc":{"method":"echo","data":1}"#);
    world.wait(9 * SECOND).await;
    assert!(world.try_answer(ana, hangs).is_none() && world.try_answer(ana, waits).is_none());
    world.wait(SECOND).await;
    assert_eq!(world.answer(ana, hangs), Err(Error::INTERNAL));
    assert!(matches!(world.answer(ana, waits), Ok(Response::Rpc(_))));
}

#[tokio::test(start_paused = true)]
async fn calls_that_overlap_begin_in_the_order_of_the_commands_and_are_answered_in_it() {
    let mut world = World::new();
    let ana = world.connect("ana");
    let gate = world.rules.hold_answers();
    world.rules.told();
    world.received(ana);
    let [one, three] = [1, 3].map(|number| format!(r#""rpc":{{"method":"wait","data":{number}}}"#));
    world
        .say(ana, &format!("{{\"id\":7,{one}}}\n{{\"id\":8,\"rpc\":{{\"method\":\"refuse\"}}}}\n{{\"id\":9,{three}}}"));
    assert_eq!(world.rules.told(), ["1 begins", "refusal begins", "refusal ends", "3 begins"]);
    assert!(world.received(ana).is_empty(), "what is known already waits for the answer before it");
    gate.add_permits(2);
    let answers = [
        r#"{"id":7,"rpc":{"data":1}}"#,
        r#"{"id":8,"error":{"code":103,"message":"permission denied"}}"#,
        r#"{"id":9,"rpc":{"data":3}}"#,
    ];
    assert_eq!(world.received(ana), answers);
}

#[tokio::test(start_paused = true)]
async fn no_call_outlives_its_connection() {
    let mut world = World::new();
    let [ana, ben] = ["ana", "ben"].map(|user| world.connect(user));
    let _gate = world.rules.hold_answers();
    for who in [ana, ben] {
        world.ask(who, r#""rpc":{"method":"wait","data":1}"#);
        world.ask(who, r#""rpc":{"method":"wait","data":2}"#);
    }
    world.rules.told();
    world.cut(ana);
    assert_eq!(world.rules.told(), ["disconnected ana 3000", "1 ends", "2 ends"]);
    world.order(Order::disconnect(Target::User("ben".into()), Disconnect::FORCE_RECONNECT));
    world.settle();
    assert_eq!(world.rules.told(), ["1 ends", "2 ends", "disconnected ben 3011"]);
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_takes_too_long_leaves_no_half_subscription_behind() {
    let mut world = World::new();
    let ana = world.connect("ana");
    let thinking = world.rules.hold_answers();
    let id = world.ask(ana, r#""subscribe":{"channel":"news"}"#);
    world.wait(10 * SECOND).await;
    assert_eq!(world.answer(ana, id), Err(Error::INTERNAL));
    assert_eq!((world.hub.channels().len(), world.hub.metrics().subscriptions), (0, 0));
    thinking.add_permits(9);
    world.subscribe(ana, "news");
}

#[tokio::test(start_paused = true)]
async fn the_application_learns_where_a_client_comes_from() {
    let mut world = World::new();
    let remote = Remote {
        address: Some("2001:db8::1:2:3:4".parse().unwrap()),
        is_proxy: false,
        headers: vec![("user-agent", "a browser".into())],
        transport: "paper",
    };
    let identity = Some(Identity { user: "ana".into(), ..Identity::default() });
    let ana = world.open(ConnectionOptions { identity, remote, ..ConnectionOptions::default() });
    world.ask(ana, r#""connect":{}"#);
    let id = world.ask(ana, r#""rpc":{"method":"where"}"#);
    let Ok(Response::Rpc(answer)) = world.answer(ana, id) else { panic!() };
    let answer: String = answer.data.unwrap().to_value().unwrap();
    assert_eq!(answer, r#"paper Some(2001:db8::) Some("a browser")"#);
}

/// Section 7: the push `refresh`.
#[tokio::test(start_paused = true)]
async fn the_server_gives_a_connection_another_end_and_the_client_is_told() {
    let mut world = World::new();
    let [ana, ben] = ["ana", "ben"].map(|user| world.connect(user));
    world.received(ana);
    let soon = Some(Expiry::Refreshable(5 * SECOND));
    assert_eq!(world.order(Order::refresh(Target::User("ana".into()), soon)), 1);
    world.settle();
    assert_eq!(world.received(ana), [r#"{"push":{"refresh":{"expires":true,"ttl":5}}}"#]);
    assert_eq!(world.order(Order::refresh(Target::User("ben".into()), Some(Expiry::Final(5 * SECOND)))), 1);
    world.wait(5 * SECOND).await;
    assert_eq!((world.closed(ana), world.closed(ben)), (None, Some(3005)), "ana has 25 s of grace");
    world.order(Order::refresh(Target::User("ana".into()), None));
    for _ in 0..10 {
        world.wait(5 * SECOND).await;
        world.say_pong(ana);
    }
    assert_eq!(world.closed(ana), None);
}

/// Close 3506: what is published is bytes, and the reader speaks JSON.
#[tokio::test(start_paused = true)]
async fn who_speaks_json_is_closed_by_what_json_cannot_carry() {
    let mut world = World::new();
    let [ana, ben] = ["ana", "ben"].map(|user| world.connect(user));
    world.subscribe(ana, "news");
    world.subscribe(ben, "sports");
    let bytes = tidings_protocol::Payload::from_bytes(b"\0\x01");
    world.try_publish("news", tidings_hub::NewPublication::new(bytes)).unwrap();
    world.settle();
    assert_eq!((world.closed(ana), world.closed(ben)), (Some(3506), None));
}
