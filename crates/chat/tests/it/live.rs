//! What persons may do on a live connection, line by line: "Who may do what on the wire".

use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tidings_chat::{
    ClientId, Options, RoomEdit, RoomId, RoomKind, SessionId,
    limits::{BODY_BYTES_MAX, Rate, Rates, TYPING_MEMBERS_MAX},
};
use tidings_hub::{ChannelName, ConnectionOptions, History, Policy, Source};

use crate::world::{HOME, PASSWORD, Somebody, World, browser_at, channel};

fn code(answer: &Value) -> u64 {
    answer["error"]["code"].as_u64().unwrap_or_else(|| panic!("no error: {answer}"))
}

#[tokio::test]
async fn a_connection_of_nobody_is_none_of_the_chats() {
    let world = World::new().await;
    world.set_up().await;
    let mut browser = world.browser_with(ConnectionOptions::default());
    browser.tell(&json!({"id": 1, "connect": {}}));
    assert_eq!(browser.closed().await, 3501);
}

#[tokio::test]
async fn a_member_sees_who_is_in_the_room_and_who_comes_and_goes() {
    let world = World::new().await;
    let (ana, general, invite) = world.set_up().await;
    let ben = world.invited("Ben", &invite).await;
    let mut browser = world.browser(&ana).await;
    browser.subscribe(general.id).await;
    let mut other = world.browser(&ben).await;
    other.subscribe(general.id).await;

    let name = channel(general.id);
    let presence = browser.ask(json!({"presence": {"channel": name}})).await["presence"]["presence"].take();
    let mut users: Vec<_> = presence.as_object().unwrap().values().map(|client| client["user"].clone()).collect();
    users.sort_by_key(Value::to_string);
    let mut expected = vec![json!(ana.id), json!(ben.id)];
    expected.sort_by_key(Value::to_string);
    assert_eq!(users, expected);
    assert!(presence.as_object().unwrap().values().any(|client| client["conn_info"] == json!({"name": "Ben"})));

    drop(other);
    let mut came_and_went = Vec::new();
    while came_and_went.len() < 2 {
        let push = browser.next().await["push"].take();
        for kind in ["join", "leave"] {
            if push[kind]["info"]["user"] == json!(ben.id) {
                came_and_went.push(kind);
            }
        }
    }
    assert_eq!(came_and_went, ["join", "leave"]);
}

#[tokio::test]
async fn unknown_and_not_yours_get_the_same_answer() {
    let world = World::new().await;
    let (ana, _, invite) = world.set_up().await;
    let ben = world.invited("Ben", &invite).await;
    let room = world.room(&ana, "Other").await;
    let mut browser = world.browser(&ben).await;
    let upper = channel(room).to_uppercase().replace("ROOM", "room");
    let rooms = [channel(room), channel(RoomId::fresh()), upper, "room:".into(), "room:x".into()];
    let others = [format!("user:{}", ana.id), "user:".into(), "news".into(), "rooms".into()];
    for name in rooms.iter().chain(&others) {
        for command in ["subscribe", "presence", "presence_stats", "history"] {
            let answer = browser.ask(json!({command: {"channel": name}})).await;
            assert!(matches!(code(&answer), 103 | 108), "{command} {name}: {answer}");
        }
        assert_eq!(code(&browser.ask(json!({"subscribe": {"channel": name}})).await), 103, "{name}");
        let publish = json!({"publish": {"channel": name, "data": {}}});
        assert_eq!(code(&browser.ask(publish).await), 103, "{name}");
    }
    for room in [json!(room), json!(RoomId::fresh()), json!("x")] {
        let post = json!({"room": room, "client_id": ClientId::fresh(), "body": "hello"});
        assert_eq!(code(&browser.rpc("post", post).await), 103, "{room}");
        assert_eq!(code(&browser.rpc("typing", json!({"room": room})).await), 103, "{room}");
    }
}

#[tokio::test]
async fn publishing_to_a_room_is_refused_also_for_members() {
    let world = World::new().await;
    let (ana, general, _) = world.set_up().await;
    let mut browser = world.browser(&ana).await;
    browser.subscribe(general.id).await;
    for name in [channel(general.id), format!("user:{}", ana.id)] {
        let forged = json!({"publish": {"channel": name, "data": {"type": "message.posted"}}});
        assert_eq!(code(&browser.ask(forged).await), 103);
    }
    assert_eq!(world.history(&ana, general.id).await.len(), 1);
}

#[tokio::test]
async fn bad_posts_are_answered_with_what_is_wrong() {
    let world = World::new().await;
    let (ana, general, _) = world.set_up().await;
    let mut browser = world.browser(&ana).await;
    let client_id = ClientId::fresh();
    let post = |body: &str| json!({"room": general.id, "client_id": client_id, "body": body});
    assert_eq!(code(&browser.rpc("post", post(" \n ")).await), 400);
    let long = browser.rpc("post", post(&"é".repeat(BODY_BYTES_MAX / 2 + 1))).await;
    assert_eq!(code(&long), 413);
    assert!(long["error"]["message"].as_str().unwrap().contains("16384"), "{long}");
    for data in [
        json!({}),
        json!(null),
        json!("text"),
        json!({"room": general.id, "body": "no client id"}),
        json!({"room": general.id, "client_id": "not a uuid", "body": "hello"}),
        json!({"room": general.id, "client_id": client_id, "body": 7}),
    ] {
        assert_eq!(code(&browser.rpc("post", data.clone()).await), 107, "{data}");
    }
    assert_eq!(code(&browser.rpc("no such method", json!({})).await), 104);

    let first = browser.rpc("post", post("hello")).await["rpc"]["data"].take();
    assert_eq!(browser.rpc("post", post("hello")).await["rpc"]["data"], first, "the original answer again");
    assert_eq!(code(&browser.rpc("post", post("other")).await), 409);
    assert_eq!(world.history(&ana, general.id).await.len(), 2);
}

#[tokio::test]
async fn posts_of_one_connection_wait_for_the_writer_together_and_what_is_behind_them_waits_for_them() {
    let world = World::new().await;
    let (ana, general, _) = world.set_up().await;
    let mut browser = world.browser(&ana).await;
    let rpc = |id: u32, method, body| {
        let data = json!({"room": general.id, "client_id": ClientId::fresh(), "body": body});
        json!({"id": id, "rpc": {"method": method, "data": data}})
    };
    for command in [rpc(10, "post", "one"), rpc(11, "post", "two"), rpc(12, "typing", ""), rpc(13, "post", "three")] {
        browser.tell(&command);
    }
    browser.begin();
    assert_eq!(world.chat.writes_waiting(), 2);
    for (id, number) in [(10, json!(2)), (11, json!(3)), (12, Value::Null), (13, json!(4))] {
        let answer = browser.next().await;
        assert_eq!((&answer["id"], &answer["rpc"]["data"]["number"]), (&json!(id), &number));
    }
}

#[tokio::test]
async fn text_comes_back_byte_for_byte() {
    let world = World::new().await;
    let (ana, general, _) = world.set_up().await;
    let mut browser = world.browser(&ana).await;
    browser.subscribe(general.id).await;
    for body in ["a\r\nb\tc", " kept as it is ", "<b>&amp;</b>", "\u{1F469}\u{200D}\u{1F52C} \u{2028} é", r#""\u0000\"#]
    {
        world.say(&ana, general.id, body).await;
        assert_eq!(browser.next_in(&channel(general.id)).await["message"]["body"], body);
        assert_eq!(world.history(&ana, general.id).await.last().unwrap()["message"]["body"], body);
    }
}

#[tokio::test]
async fn outsiders_who_type_are_refused_each_time_and_not_counted() {
    let world = World::with(|options| {
        let rates = tidings_chat::limits::Rates::default();
        tidings_chat::Options { rates, ..options }
    })
    .await;
    let (ana, _, invite) = world.set_up().await;
    let ben = world.invited("Ben", &invite).await;
    let room = world.room(&ana, "Other").await;
    for _ in 0..20 {
        assert!(world.chat.typing(ben.id, room).await.is_err());
    }
    world.chat.join_room(ben.id, room).await.unwrap();
    let mut reader = world.browser(&ana).await;
    reader.subscribe(room).await;
    world.chat.typing(ben.id, room).await.unwrap();
    reader.next_in(&channel(room)).await;
}

#[tokio::test]
async fn c4_25_typing_is_told_without_a_number_throttled_and_not_stored() {
    let world = World::with(|options| {
        let rates = tidings_chat::limits::Rates::default();
        tidings_chat::Options { rates, ..options }
    })
    .await;
    let (ana, general, invite) = world.set_up().await;
    let ben = world.invited("Ben", &invite).await;
    let mut reader = world.browser(&ben).await;
    reader.subscribe(general.id).await;
    let mut typist = world.browser(&ana).await;
    for _ in 0..50 {
        assert_eq!(typist.rpc("typing", json!({"room": general.id})).await["rpc"]["data"], json!({}));
    }
    let told = reader.all_in(&channel(general.id)).await;
    assert_eq!(told[0], json!({"type": "typing", "person": {"id": ana.id, "name": "Ana"}}));
    assert!((1..10).contains(&told.len()), "{} notices", told.len());
    assert_eq!(world.history(&ana, general.id).await.len(), 2);
}

#[tokio::test]
async fn s37_a_room_that_is_not_open_is_for_others_as_if_it_were_not_there() {
    let world = World::new().await;
    let (ana, _, invite) = world.set_up().await;
    let (ben, cho) = (world.invited("Ben", &invite).await, world.invited("Cho", &invite).await);
    let closed = world.room(&ben, "Closed").await;
    world.say(&ben, closed, "hush").await;
    let close = async |who: &Somebody, room, kind| {
        let edit = RoomEdit { kind: Some(kind), ..RoomEdit::default() };
        world.chat.edit_room(who.id, room, edit).await.unwrap();
    };
    close(&ben, closed, RoomKind::Private).await;
    let unknown = RoomId::fresh();
    // Neither somebody else nor the administrator, who is no member.
    for outsider in [&cho, &ana] {
        let mut browser = world.browser(outsider).await;
        for room in [closed, unknown] {
            assert!(world.chat.room(outsider.id, room).await.unwrap().is_none());
            assert!(world.chat.members(outsider.id, room).await.unwrap().is_none());
            let join = world.chat.join_room(outsider.id, room).await;
            assert!(matches!(join, Err(tidings_chat::MembershipError::NotMember)), "{join:?}");
            let renewed = world.chat.renew_room_invite(outsider.id, room).await;
            assert!(matches!(renewed, Err(tidings_chat::InviteError::NotMember)), "{renewed:?}");
            for ask in ["subscribe", "presence", "presence_stats", "history"] {
                assert_eq!(code(&browser.ask(json!({ask: {"channel": channel(room)}})).await), 103, "{ask}");
            }
        }
        let listed = world.chat.rooms(outsider.id, None, 200).await.unwrap().rooms;
        assert!(listed.iter().all(|room| room.id != closed));
        let same = world.room(outsider, "Closed").await;
        assert!(!world.chat.room(outsider.id, same).await.unwrap().unwrap().same_name, "its name is not taken");
        close(outsider, same, RoomKind::Private).await;
        close(&ben, closed, RoomKind::Public).await;
        assert!(world.chat.room(outsider.id, closed).await.unwrap().is_some());
        close(&ben, closed, RoomKind::Private).await;
    }
    assert_eq!(world.chat.room(ben.id, closed).await.unwrap().unwrap().offset, 7, "its members see it");
}

#[tokio::test]
async fn typing_is_not_told_in_a_crowd_and_of_a_few_at_a_time_elsewhere() {
    let slow = Rate { burst: 3, per_second: 0.001 };
    let world = World::with(|options| {
        let rates = Rates { typing_per_room: slow, ..Rates::unlimited() };
        tidings_chat::Options { rates, ..options }
    })
    .await;
    let (ana, general, invite) = world.set_up().await;
    let ben = world.invited("Ben", &invite).await;
    let mut reader = world.browser(&ben).await;
    reader.subscribe(general.id).await;
    for _ in 0..10 {
        world.chat.typing(ana.id, general.id).await.unwrap();
    }
    assert_eq!(reader.all_in(&channel(general.id)).await.len(), 3, "of one room, whoever types");

    let crowded = world.room(&ana, "Crowd").await;
    world.chat.join_room(ben.id, crowded).await.unwrap();
    reader.subscribe(crowded).await;
    let filled = format!("UPDATE rooms SET members = {} WHERE name = 'Crowd'", TYPING_MEMBERS_MAX + 1);
    world.other().await.execute(&filled).await;
    world.chat.typing(ana.id, crowded).await.unwrap();
    assert!(reader.all_in(&channel(crowded)).await.iter().all(|data| data["type"] != "typing"));
}

#[tokio::test]
async fn c4_23_a_persons_other_devices_learn_which_rooms_they_joined_and_left() {
    let world = World::new().await;
    let (ana, _, invite) = world.set_up().await;
    let ben = world.invited("Ben", &invite).await;
    let (mut browser, mut others) = (world.browser(&ben).await, world.browser(&ana).await);
    let own = format!("user:{}", ben.id);
    let made = world.room(&ben, "Ben's").await;
    let added = browser.next_in(&own).await;
    assert_eq!((&added["type"], &added["room"]["id"]), (&json!("room.added"), &json!(made)));
    assert_eq!((&added["room"]["member"], &added["room"]["members"]), (&json!(true), &json!(1)));

    let joined = world.room(&ana, "Ana's").await;
    world.chat.join_room(ben.id, joined).await.unwrap();
    assert_eq!(browser.next_in(&own).await["room"]["name"], "Ana's");
    world.chat.leave_room(ben.id, joined).await.unwrap();
    assert_eq!(browser.next_in(&own).await, json!({"type": "room.removed", "room": {"id": joined}}));
    let left = world.chat.accept_invite(ben.id, &world.invite(&ana, joined).await, crate::world::HOME).await.unwrap();
    assert!(left.is_member());
    assert_eq!(browser.next_in(&own).await["type"], "room.added");
    assert!(others.all_in(&own).await.is_empty(), "nobody else learns it there");
}

#[tokio::test]
async fn capability_3_10_the_history_of_a_room_is_lent_as_the_trait_and_its_type_has_no_public_name() {
    let world = World::new().await;
    let (_, general, _) = world.set_up().await;
    let room = ChannelName::parse(&channel(general.id)).unwrap();
    let Source::External(history) = &world.chat.options(&room).history else { panic!("rooms keep their history") };
    let history: Arc<dyn History> = history.clone();
    assert_eq!(history.position(&room).await.unwrap().offset, 1);
}

#[tokio::test]
async fn who_comes_back_costs_one_read_and_one_for_each_room_in_which_something_was_missed() {
    let world = World::new().await;
    let (ana, general, _) = world.set_up().await;
    let mut rooms = vec![general.id];
    for number in 0..20 {
        rooms.push(world.room(&ana, &format!("Room {number}")).await);
    }
    let mut browser = world.browser(&ana).await;
    let mut stands = Vec::new();
    for room in &rooms {
        let subscribed = browser.subscribe(*room).await["subscribe"].take();
        stands.push((*room, subscribed["epoch"].as_str().unwrap().to_owned(), subscribed["offset"].as_u64().unwrap()));
    }
    drop(browser);
    // With the server, all that it had in memory goes. No sweep of sessions comes in between.
    let unswept = |options| Options { sweep_interval: Duration::from_hours(1), ..options };
    let world = world.restart_with(unswept).await;
    let come_back = async |missed: usize| {
        let before = world.chat.reads_made();
        let mut browser = world.arriving(&ana).await;
        browser.ask(json!({"connect": {}})).await;
        let mut recovered = 0;
        for (room, epoch, offset) in &stands {
            let resumed = browser.resume(*room, epoch, *offset).await;
            assert_eq!(resumed["recovered"], true, "{resumed}");
            recovered += resumed["publications"].as_array().map_or(0, Vec::len);
        }
        assert_eq!(recovered, missed);
        world.chat.reads_made() - before
    };
    assert_eq!(come_back(0).await, 1);
    for body in ["one", "two", "three"] {
        world.say(&ana, general.id, body).await;
    }
    world.say(&ana, rooms[7], "elsewhere").await;
    assert_eq!(come_back(4).await, 3);
}

#[tokio::test]
async fn g5_what_was_read_of_somebody_who_came_counts_for_nothing_once_a_right_was_taken_away() {
    let world = World::new().await;
    let (ana, general, invite) = world.set_up().await;
    let ben = world.invited("Ben", &invite).await;
    let mut browser = world.arriving(&ben).await;
    browser.ask(json!({"connect": {}})).await;
    let mut early = world.arriving(&ben).await;
    world.chat.remove_member(ana.id, general.id, ben.id).await.unwrap();
    assert_eq!(code(&browser.subscribe(general.id).await), 103);
    early.ask(json!({"connect": {}})).await;
    assert_eq!(code(&early.subscribe(general.id).await), 103);

    let mut late = world.arriving(&ben).await;
    let session = world.signed_in(&ben).await.unwrap().session.id;
    world.chat.end_session(ben.id, session).await.unwrap();
    late.tell(&json!({"id": 1, "connect": {}}));
    assert!([3500, 3503].contains(&late.closed().await), "the token is invalid, or the server has cut it off first");
}

#[tokio::test]
async fn what_was_read_of_somebody_who_came_counts_while_others_sign_in_and_are_refused() {
    let world = World::with(|options| Options { sweep_interval: Duration::from_hours(1), ..options }).await;
    let (ana, general, invite) = world.set_up().await;
    let ben = world.invited("Ben", &invite).await;
    let mut browser = world.arriving(&ana).await;
    browser.ask(json!({"connect": {}})).await;
    world.chat.sign_in("Ben@example.com", PASSWORD.to_owned(), &browser_at(HOME)).await.unwrap();
    world.chat.leave_room(ben.id, RoomId::fresh()).await.unwrap_err();
    world.chat.end_session(ben.id, SessionId::fresh()).await.unwrap_err();
    let before = world.chat.reads_made();
    assert!(browser.subscribe(general.id).await["subscribe"].is_object());
    assert_eq!(world.chat.reads_made(), before);
}

#[tokio::test]
async fn a_room_that_somebody_enters_after_they_came_is_asked_for() {
    let world = World::new().await;
    let (ana, _, invite) = world.set_up().await;
    let ben = world.invited("Ben", &invite).await;
    let mut browser = world.arriving(&ben).await;
    browser.ask(json!({"connect": {}})).await;
    let room = world.room(&ana, "Later").await;
    assert_eq!(code(&browser.subscribe(room).await), 103);
    world.chat.join_room(ben.id, room).await.unwrap();
    assert!(browser.subscribe(room).await["subscribe"].is_object());
}
