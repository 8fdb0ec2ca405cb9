//! Time

use super::*;

#[tokio::test(start_paused = true)]
async fn a_socket_that_says_nothing_is_closed_as_stale() {
    let mut world = World::new();
    let silent = world.open(ConnectionOptions::default());
    world.wait(10 * SECOND).await;
    assert_eq!(world.closed(silent), Some(3502));
}

#[tokio::test(start_paused = true)]
async fn where_the_transport_has_its_own_heartbeat_the_protocol_sends_no_pings() {
    let mut world = World::new();
    let ana = world.open(ConnectionOptions { heartbeat: Heartbeat::Transport, ..ConnectionOptions::default() });
    world.ask(ana, r#""connect":{"token":"ana"}"#);
    assert!(!world.received(ana)[0].contains("ping"));
    world.wait(600 * SECOND).await;
    assert!(world.received(ana).is_empty() && world.closed(ana).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_connection_ends_when_the_policy_said_it_would() {
    let mut world = World::new();
    *world.rules.expiry.lock().unwrap() = Some(Expiry::Final(5 * SECOND));
    let ana = world.connect("ana");
    world.wait(5 * SECOND).await;
    assert_eq!(world.closed(ana), Some(3005));
}
