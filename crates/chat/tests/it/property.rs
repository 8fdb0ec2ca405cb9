//! The property that catches forgotten events: state fetched before + the events received = state fetched after.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::Value;
use tidings_chat::{ClientId, PageFrom, PageQuery, RoomCard, RoomId};

use crate::world::{Browser, Somebody, World, channel};

#[derive(Debug, Clone)]
enum Operation {
    Post {
        person: usize,
        room: usize,
    },
    RepeatTheLastPost {
        person: usize,
    },
    Join {
        person: usize,
        room: usize,
    },
    Leave {
        person: usize,
        room: usize,
    },
    Remove {
        person: usize,
        room: usize,
    },
    Create {
        person: usize,
    },
    /// The watcher fetches everything and starts anew from there.
    Fetch,
    /// The watcher's link is cut and it resumes.
    Cut,
}

const PEOPLE: usize = 3;
const ROOMS: usize = 2;

fn operation() -> impl Strategy<Value = Operation> {
    let (person, room) = (0..PEOPLE, 0..ROOMS);
    let both = (person.clone(), room);
    prop_oneof![
        4 => both.clone().prop_map(|(person, room)| Operation::Post { person, room }),
        1 => person.clone().prop_map(|person| Operation::RepeatTheLastPost { person }),
        2 => both.clone().prop_map(|(person, room)| Operation::Join { person, room }),
        1 => both.clone().prop_map(|(person, room)| Operation::Leave { person, room }),
        1 => both.prop_map(|(person, room)| Operation::Remove { person, room }),
        1 => person.prop_map(|person| Operation::Create { person }),
        1 => Just(Operation::Fetch),
        1 => Just(Operation::Cut),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn state_fetched_before_and_the_events_received_are_the_state_fetched_after(
        operations in prop::collection::vec(operation(), 1..40)
    ) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run(operations));
    }
}

/// What the watcher knows of a room: members and messages.
#[derive(Debug, Default, Clone, PartialEq)]
struct RoomState {
    members: BTreeSet<String>,
    messages: BTreeMap<u64, Value>,
    offset: u64,
}

impl RoomState {
    async fn fetch(world: &World, watcher: &Somebody, room: RoomId) -> Self {
        let members = world.chat.members(watcher.id, room).await.unwrap().unwrap();
        let page = PageQuery { from: PageFrom::After(0), limit: 200 };
        let messages = world.chat.messages(watcher.id, room, page).await.unwrap().messages;
        let offset = world.chat.room(watcher.id, room).await.unwrap().unwrap().offset;
        Self {
            members: members.iter().map(|member| member.id.to_string()).collect(),
            messages: messages.iter().map(|message| (message.number, serde_json::to_value(message).unwrap())).collect(),
            offset,
        }
    }

    fn apply(&mut self, event: &Value) {
        let Some(number) = event["number"].as_u64().filter(|number| *number > self.offset) else { return };
        assert_eq!(number, self.offset + 1, "a gap before {event}");
        self.offset = number;
        let member = || event["member"]["id"].as_str().unwrap().to_owned();
        match event["type"].as_str().unwrap() {
            "member.joined" => assert!(self.members.insert(member()), "{event}"),
            "member.left" => assert!(self.members.remove(&member()), "{event}"),
            "message.posted" => {
                self.messages.insert(number, event["message"].clone());
            }
            other => panic!("{other}"),
        }
    }
}

/// What a person knows of their rooms, kept up by their own channel.
fn apply_to_rooms(rooms: &mut BTreeSet<String>, event: &Value) {
    let room = event["room"]["id"].as_str().unwrap().to_owned();
    match event["type"].as_str().unwrap() {
        "room.added" => assert!(rooms.insert(room), "{event}"),
        "room.removed" => assert!(rooms.remove(&room), "{event}"),
        other => panic!("{other}"),
    }
}

async fn rooms_of(world: &World, person: &Somebody) -> BTreeSet<String> {
    let rooms = world.chat.rooms(person.id).await.unwrap();
    let cards = rooms.iter().map(RoomCard::from);
    cards.filter(|room| room.member).map(|room| room.id.to_string()).collect()
}

async fn watch(world: &World, watcher: &Somebody, rooms: &[RoomId]) -> Browser {
    let mut browser = world.browser(watcher).await;
    for room in rooms {
        browser.subscribe(*room).await;
    }
    browser
}

async fn run(operations: Vec<Operation>) {
    let world = World::new().await;
    let (watcher, general, invite) = world.set_up().await;
    let mut people = Vec::new();
    for name in ["Ben", "Eva", "Leo"] {
        people.push(world.invited(name, &invite).await);
    }
    let rooms = [general.id, world.room(&watcher, "Other").await];
    let mut last_posts: Vec<Option<(RoomId, ClientId)>> = vec![None; PEOPLE];

    let ben = &people[0];
    let mut bens_browser = world.browser(ben).await;
    let mut bens_rooms = rooms_of(&world, ben).await;
    let mut browser = watch(&world, &watcher, &rooms).await;
    let mut states = Vec::new();
    for room in rooms {
        states.push(RoomState::fetch(&world, &watcher, room).await);
    }

    for operation in operations {
        match operation {
            Operation::Post { person, room } => {
                let client_id = ClientId::fresh();
                // Refused to those who are no members, and then nothing may be announced.
                if world.send(&people[person], rooms[room], client_id, "hello").await.is_ok() {
                    last_posts[person] = Some((rooms[room], client_id));
                }
            }
            Operation::RepeatTheLastPost { person } => {
                if let Some((room, client_id)) = last_posts[person] {
                    world.send(&people[person], room, client_id, "hello").await.unwrap();
                }
            }
            Operation::Join { person, room } => {
                world.chat.join_room(people[person].id, rooms[room]).await.unwrap();
            }
            Operation::Leave { person, room } => {
                world.chat.leave_room(people[person].id, rooms[room]).await.ok();
            }
            Operation::Remove { person, room } => {
                world.chat.remove_member(watcher.id, rooms[room], people[person].id).await.ok();
            }
            Operation::Create { person } => {
                world.room(&people[person], "One more").await;
            }
            Operation::Fetch => {
                // Subscribe first, then fetch, then drop by number what is in both.
                browser = watch(&world, &watcher, &rooms).await;
                for (room, state) in rooms.iter().zip(&mut states) {
                    *state = RoomState::fetch(&world, &watcher, *room).await;
                }
            }
            Operation::Cut => {
                let mut resumed = world.browser(&watcher).await;
                for (room, state) in rooms.iter().zip(&mut states) {
                    let answer = resumed.resume(*room, &epoch(&world, &watcher, *room).await, state.offset).await;
                    assert_eq!(answer["recovered"], true, "{answer}");
                    let missed = answer["publications"].as_array();
                    missed.into_iter().flatten().for_each(|publication| state.apply(&publication["data"]));
                }
                browser = resumed;
            }
        }
    }

    for (event, state) in received(&mut browser, &rooms).await {
        states[state].apply(&event);
    }
    for (room, state) in rooms.iter().zip(states) {
        assert_eq!(state, RoomState::fetch(&world, &watcher, *room).await);
    }
    let own = format!("user:{}", ben.id);
    bens_browser.all_in(&own).await.iter().for_each(|event| apply_to_rooms(&mut bens_rooms, event));
    assert_eq!(bens_rooms, rooms_of(&world, ben).await);
    world.chat.close().await;
}

async fn epoch(world: &World, watcher: &Somebody, room: RoomId) -> String {
    world.chat.room(watcher.id, room).await.unwrap().unwrap().epoch
}

async fn received(browser: &mut Browser, rooms: &[RoomId]) -> Vec<(Value, usize)> {
    let names: Vec<_> = rooms.iter().map(|room| channel(*room)).collect();
    let all = browser.all().await;
    let place = |name: &Value| names.iter().position(|known| *name == **known);
    all.into_iter().filter_map(|(name, data)| Some((data, place(&name)?))).collect()
}
