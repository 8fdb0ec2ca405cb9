//! Tokens of an application that are refused: kept over a restart, carried out at once, on every server.

use std::{sync::Arc, time::Duration};

use tidings_chat::{Chat, Denial, DenyError, Presented, Time, Verdict, limits::DENIAL_NAME_BYTES_MAX};
use tidings_hub::{Order, Target};
use tidings_protocol::Disconnect;
use tokio::sync::mpsc;

use crate::{nodes::Nodes, world::World};

fn of(user: &'static str) -> Presented<'static> {
    Presented { user, id: Some("a"), issued: Some(Time::from_millis(1_000)), channel: None }
}

fn verdict(world: &World, user: &'static str) -> Option<Verdict> {
    world.chat.denials().check(&of(user), now(world))
}

fn now(world: &World) -> Time {
    world.options().clock.now()
}

/// What the server is told to carry out, from now on.
fn told(chat: &Chat) -> mpsc::UnboundedReceiver<Denial> {
    let (tell, told) = mpsc::unbounded_channel();
    chat.denials().enforce_by(move |denial| {
        tell.send(denial.clone()).ok();
        vec![Order::disconnect(Target::User("nobody".into()), Disconnect::FORCE_DISCONNECT)]
    });
    told
}

#[tokio::test]
async fn what_is_denied_is_denied_after_a_restart_until_it_ends() {
    let world = World::new().await;
    let hour = now(&world).plus(Duration::from_hours(1));
    world.chat.revoke_user("ana", None, None, None).await.unwrap();
    world.chat.block("bea", Some(hour)).await.unwrap();
    world.chat.block("eva", None).await.unwrap();
    assert!(world.chat.unblock("eva").await.unwrap());
    let verdicts = |world: &World| ["ana", "bea", "eva"].map(|user| verdict(world, user));
    let before = [Some(Verdict::Revoked), Some(Verdict::Blocked), None];
    assert_eq!(verdicts(&world), before);
    let world = world.restart().await;
    assert_eq!(verdicts(&world), before);
    world.chat.revoke_token("a", Some(hour)).await.unwrap();
    assert_eq!(verdicts(&world), [Some(Verdict::Revoked), Some(Verdict::Blocked), Some(Verdict::Revoked)]);
    world.later(Duration::from_hours(1));
    let ended = [Some(Verdict::Revoked), None, None];
    assert_eq!(verdicts(&world), ended);
    assert_eq!(world.chat.denials().list(None, 10, now(&world)).len(), 1);
    assert_eq!(verdicts(&world.restart().await), ended);
}

#[tokio::test]
async fn a_denial_is_carried_out_before_whoever_asked_for_it_is_answered() {
    let world = World::new().await;
    let mut told = told(&world.chat);
    world.chat.block("ana", None).await.unwrap();
    assert_eq!(told.try_recv(), Ok(Denial::User { user: "ana".into() }));
    world.chat.unblock("ana").await.unwrap();
    assert!(told.try_recv().is_err(), "whoever is let in again loses nothing");
    let denied = world.chat.revoke_user("ana", Some("news"), Some(Time::from_millis(5)), None).await.unwrap();
    assert_eq!(told.try_recv(), Ok(denied.denial));
}

#[tokio::test]
async fn denials_are_listed_in_pages_that_meet() {
    let world = World::new().await;
    for user in 0..7 {
        world.chat.block(&format!("user {user}"), None).await.unwrap();
    }
    let denials = world.chat.denials();
    let mut listed = Vec::new();
    while let Some(page) = Some(denials.list(listed.last(), 3, now(&world))).filter(|page| !page.is_empty()) {
        listed.extend(page.into_iter().map(|denied| denied.denial));
    }
    assert_eq!((listed.len(), denials.len()), (7, 7));
    listed.dedup();
    assert_eq!(listed.len(), 7);
}

#[tokio::test]
async fn what_can_be_no_name_is_refused_with_what_would_be_right() {
    let world = World::new().await;
    for name in ["", "zero\0byte", &"x".repeat(DENIAL_NAME_BYTES_MAX + 1)] {
        for refused in [
            world.chat.block(name, None).await.map(drop),
            world.chat.revoke_token(name, None).await.map(drop),
            world.chat.revoke_user(name, None, None, None).await.map(drop),
            world.chat.unblock(name).await.map(drop),
        ] {
            assert_eq!(refused, Err(DenyError::Name));
        }
    }
    assert_eq!(DenyError::Name.to_string(), "must have 1 to 512 bytes, and no zero byte");
    world.chat.block(&"x".repeat(DENIAL_NAME_BYTES_MAX), None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_denied_on_one_node_is_carried_out_on_the_other_and_so_is_its_end() {
    let Some(nodes) = Nodes::start().await else { return };
    let (mut on_a, mut on_b) = (told(&nodes.a.chat), told(&nodes.b.chat));
    nodes.a.chat.block("ana", None).await.unwrap();
    let denial = Denial::User { user: "ana".into() };
    assert_eq!(on_a.try_recv(), Ok(denial.clone()));
    assert_eq!(on_b.recv().await, Some(denial));
    assert_eq!(verdict(&nodes.b, "ana"), Some(Verdict::Blocked));
    nodes.b.chat.unblock("ana").await.unwrap();
    assert_eq!(verdict(&nodes.b, "ana"), None);
    // What was committed before is carried out before.
    nodes.b.chat.block("bea", None).await.unwrap();
    assert_eq!(on_a.recv().await, Some(Denial::User { user: "bea".into() }));
    assert_eq!(verdict(&nodes.a, "ana"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_denied_on_two_nodes_at_once_is_the_stricter_of_both() {
    let Some(nodes) = Nodes::start().await else { return };
    let nodes = Arc::new(nodes);
    for round in 0..5 {
        let (user, at) = (format!("user {round}"), |second: i64| Some(Time::from_millis(second * 1_000)));
        let (a, b) = futures_util::join!(
            nodes.a.chat.revoke_user(&user, None, at(5), at(100)),
            nodes.b.chat.revoke_user(&user, None, at(9), None),
        );
        let last = [a.unwrap(), b.unwrap()].into_iter().max_by_key(|denied| denied.ends.is_none()).unwrap();
        assert_eq!(
            (last.ends, last.denial.denies(&Presented { user: &user, issued: at(8), ..Presented::default() })),
            (None, Some(Verdict::Revoked))
        );
    }
}
