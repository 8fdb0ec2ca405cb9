//! Requests and their answers.

use super::*;

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

#[test]
fn nothing_is_late_while_a_long_message_is_arriving() {
    let mut world = World::connected();
    world.subscribe("news", recoverable());
    let began = world.now;
    // On a slow line its answer takes a minute, and no message is complete before.
    while world.now < began + 60 * SECOND {
        world.now = world.machine.next_timeout().unwrap();
        world.machine.handle_arriving(world.now);
        world.machine.handle_timeout(world.now);
        world.run();
    }
    assert_eq!((world.hung_up, &*world.told), (0, &[][..]));
    world.reply_to_last("subscribe", stream(0));
    assert_eq!(world.take_told(), ["news: subscribed"]);
    // And then there is silence.
    world.pass(34 * SECOND);
    assert_eq!(world.hung_up, 0);
    world.pass(2 * SECOND);
    assert_eq!(world.hung_up, 1);
}
