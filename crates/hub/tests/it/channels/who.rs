//! Who it is

use super::*;

#[tokio::test(start_paused = true)]
async fn wrong_missing_and_expired_credentials_are_told_apart() {
    let mut world = World::new();
    for (token, closed, error) in
        [("forged", Some(3500), None), ("", Some(3501), None), ("old", None, Some(Error::TOKEN_EXPIRED))]
    {
        let peer = world.open(ConnectionOptions::default());
        let id = world.ask(peer, &format!(r#""connect":{{"token":"{token}"}}"#));
        assert_eq!(world.closed(peer), closed);
        assert_eq!(world.try_answer(peer, id).map(Result::unwrap_err), error);
    }
}

#[tokio::test(start_paused = true)]
async fn rpc_reaches_the_application() {
    let mut world = World::new();
    let ana = world.connect("ana");
    world.ask(ana, r#""rpc":{"method":"echo","data":{"a":[1, 2]}}"#);
    world.ask(ana, r#""rpc":{"method":"nothing"}"#);
    let error = r#"{"id":3,"error":{"code":104,"message":"method not found"}}"#;
    assert_eq!(world.received(ana), [r#"{"id":2,"rpc":{"data":{"a":[1, 2]}}}"#, error]);
}

#[tokio::test(start_paused = true)]
async fn what_the_hub_counts_adds_up() {
    let mut world = World::new();
    let [ana, ben] = ["ana", "ben"].map(|user| world.connect(user));
    world.subscribe(ana, "news");
    world.subscribe(ben, "news");
    world.publish("news", ["one", "two"]);
    assert_eq!(world.pushes(ana, "news", is_pub).len(), 2);
    let counted = world.hub.metrics();
    assert_eq!((counted.connections, counted.subscriptions, counted.channels), (2, 2, 1));
    assert_eq!((counted.messages_in, counted.publications, counted.messages_out), (4, 2, 4 + 4));
    assert!(counted.bytes_in > 0 && counted.bytes_out > 0);
    world.cut(ana);
    world.cut(ben);
    let counted = world.hub.metrics();
    assert_eq!((counted.connections, counted.subscriptions, counted.connections_total), (0, 0, 2));
}
