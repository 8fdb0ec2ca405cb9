//! The property that catches forgotten events: state fetched before + the events received = state fetched after.
//!
//! The same operations run on the database of the worlds and on the store in plain maps, whose answers say what is right.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use tidings_chat::{
    ActivityKind, ActivityQuery, Body, ClientId, Database, DeleteReason, Draft, Emoji, InThread, Invite, Message,
    MessageId, Move, Name, Options, PageFrom, PageQuery, Role, Room, RoomCard, RoomEdit, RoomId, RoomKind, RoomRole,
    Topic,
    limits::{DELETE_UNDO, THREAD_PEOPLE_SHOWN},
};

use crate::database::worlds_are_on_postgres;
use crate::world::{Browser, HOME, Somebody, World, channel};

#[derive(Debug, Clone)]
enum Operation {
    Post {
        person: usize,
        room: usize,
        /// The next person by name, who may not be there, and everybody.
        mentions: bool,
    },
    RepeatTheLastPost {
        person: usize,
    },
    /// Of one of the messages that were posted, whoever wrote it and wherever.
    Edit {
        person: usize,
        message: usize,
        text: usize,
    },
    Delete {
        person: usize,
        message: usize,
    },
    Restore {
        person: usize,
        message: usize,
    },
    /// To one of those messages, which may be in another room.
    Reply {
        person: usize,
        room: usize,
        message: usize,
    },
    /// In the thread under one of those messages, which may be in another room, or in a thread itself.
    AnswerInThread {
        person: usize,
        room: usize,
        message: usize,
        also_in_room: bool,
    },
    FollowThread {
        person: usize,
        message: usize,
        follows: bool,
    },
    ReadThread {
        person: usize,
        message: usize,
        number: u64,
        back: bool,
    },
    React {
        person: usize,
        message: usize,
        emoji: usize,
        stands: bool,
    },
    /// So much that what was deleted cannot be restored any more, and is erased.
    Later,
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
    /// Up to the number of one of the room's events, or to what follows it.
    Read {
        person: usize,
        room: usize,
        number: u64,
        back: bool,
    },
    ReadAll {
        person: usize,
    },
    Create {
        person: usize,
    },
    /// By somebody who may or may not.
    Rename {
        person: usize,
        room: usize,
        name: usize,
    },
    SetKind {
        person: usize,
        room: usize,
        is_private: bool,
    },
    Archive {
        person: usize,
        room: usize,
        is_archived: bool,
    },
    /// By the watcher, who is in both rooms, or by somebody else.
    Add {
        person: usize,
        room: usize,
        by_watcher: bool,
    },
    SetRoomRole {
        person: usize,
        room: usize,
        is_owner: bool,
    },
    SetRole {
        person: usize,
        role: usize,
    },
    /// With one of the others, or oneself.
    Direct {
        person: usize,
        other: usize,
    },
    Invite {
        person: usize,
        room: usize,
    },
    RenewInvite {
        person: usize,
        room: usize,
    },
    RevokeInvite {
        person: usize,
        room: usize,
    },
    /// With the code of the room's invite that was seen last, good or dead.
    AcceptInvite {
        person: usize,
        room: usize,
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
        4 => (both.clone(), any::<bool>())
            .prop_map(|((person, room), mentions)| Operation::Post { person, room, mentions }),
        1 => person.clone().prop_map(|person| Operation::RepeatTheLastPost { person }),
        2 => (person.clone(), 0..9_usize, 0..4_usize)
            .prop_map(|(person, message, text)| Operation::Edit { person, message, text }),
        2 => (person.clone(), 0..9_usize).prop_map(|(person, message)| Operation::Delete { person, message }),
        2 => (person.clone(), 0..9_usize).prop_map(|(person, message)| Operation::Restore { person, message }),
        1 => (both.clone(), 0..9_usize)
            .prop_map(|((person, room), message)| Operation::Reply { person, room, message }),
        4 => (both.clone(), 0..9_usize, any::<bool>()).prop_map(|((person, room), message, also_in_room)| {
            Operation::AnswerInThread { person, room, message, also_in_room }
        }),
        1 => (person.clone(), 0..9_usize, any::<bool>())
            .prop_map(|(person, message, follows)| Operation::FollowThread { person, message, follows }),
        2 => (person.clone(), 0..9_usize, 0..12_u64, any::<bool>())
            .prop_map(|(person, message, number, back)| Operation::ReadThread { person, message, number, back }),
        3 => (person.clone(), 0..9_usize, 0..2_usize, any::<bool>())
            .prop_map(|(person, message, emoji, stands)| Operation::React { person, message, emoji, stands }),
        1 => Just(Operation::Later),
        2 => both.clone().prop_map(|(person, room)| Operation::Join { person, room }),
        1 => both.clone().prop_map(|(person, room)| Operation::Leave { person, room }),
        1 => both.clone().prop_map(|(person, room)| Operation::Remove { person, room }),
        1 => both.clone().prop_map(|(person, room)| Operation::Invite { person, room }),
        1 => both.clone().prop_map(|(person, room)| Operation::RenewInvite { person, room }),
        1 => both.clone().prop_map(|(person, room)| Operation::RevokeInvite { person, room }),
        1 => both.clone().prop_map(|(person, room)| Operation::AcceptInvite { person, room }),
        3 => (both.clone(), 0..12_u64, any::<bool>())
            .prop_map(|((person, room), number, back)| Operation::Read { person, room, number, back }),
        1 => person.clone().prop_map(|person| Operation::ReadAll { person }),
        1 => person.clone().prop_map(|person| Operation::Create { person }),
        1 => (both.clone(), 0..3_usize).prop_map(|((person, room), name)| Operation::Rename { person, room, name }),
        1 => (both.clone(), any::<bool>())
            .prop_map(|((person, room), is_private)| Operation::SetKind { person, room, is_private }),
        1 => (both.clone(), any::<bool>())
            .prop_map(|((person, room), is_archived)| Operation::Archive { person, room, is_archived }),
        1 => (both.clone(), any::<bool>())
            .prop_map(|((person, room), by_watcher)| Operation::Add { person, room, by_watcher }),
        1 => (both.clone(), any::<bool>())
            .prop_map(|((person, room), is_owner)| Operation::SetRoomRole { person, room, is_owner }),
        // Not of the first, whose own connection is listened to.
        1 => (1..PEOPLE, 0..2_usize).prop_map(|(person, role)| Operation::SetRole { person, role }),
        1 => (person.clone(), person).prop_map(|(person, other)| Operation::Direct { person, other }),
        1 => Just(Operation::Fetch),
        1 => Just(Operation::Cut),
    ]
}

proptest! {
    // Fewer where each step is some exchanges with a server.
    #![proptest_config(ProptestConfig { cases: if worlds_are_on_postgres() { 5 } else { 16 }, ..ProptestConfig::default() })]

    #[test]
    fn state_fetched_before_and_the_events_received_are_the_state_fetched_after(
        operations in prop::collection::vec(operation(), 1..40)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let real = runtime.block_on(run(&operations, |options| options));
        let plain = runtime.block_on(run(&operations, |options| Options { database: Database::Memory, ..options }));
        prop_assert_eq!(real.0, plain.0);
    }
}

/// What the watcher knows of a room: members and messages.
#[derive(Debug, Default, Clone, PartialEq)]
struct RoomState {
    /// With what each is in the room.
    members: BTreeMap<String, &'static str>,
    /// What it is called, whom it is for, whether it is archived.
    facts: Value,
    messages: BTreeMap<u64, Value>,
    /// Who watches, and so is one of those who reacted or not.
    watcher: String,
    /// What was reacted to messages that are deleted; of those that were so when they were fetched, nothing.
    reacted_before: BTreeMap<u64, Option<Value>>,
    offset: u64,
}

impl RoomState {
    async fn fetch(world: &World, watcher: &Somebody, room: RoomId) -> Self {
        let members = world.chat.members(watcher.id, room).await.unwrap().unwrap();
        let page = PageQuery { from: PageFrom::After(0), limit: 200 };
        let mut messages = world.chat.messages(watcher.id, room, page).await.unwrap().messages;
        assert!(messages.iter().all(|message| message.thread.is_none() || message.also_in_room));
        for root in messages.clone() {
            let thread = world.chat.thread(watcher.id, room, root.id, page).await.unwrap().unwrap();
            assert_eq!(thread.root, root);
            messages.retain(|message| message.thread != Some(root.id));
            messages.extend(thread.messages);
        }
        let card = world.chat.room(watcher.id, room).await.unwrap().unwrap();
        let offset = card.offset;
        let gone = messages.iter().filter(|message| message.deleted.is_some());
        Self {
            members: members.iter().map(|member| (member.id.to_string(), member.role.as_str())).collect(),
            facts: facts(&serde_json::to_value(RoomCard::from(&card)).unwrap()),
            messages: messages.iter().map(|message| (message.number, told(message))).collect(),
            watcher: watcher.id.to_string(),
            reacted_before: gone.map(|message| (message.number, None)).collect(),
            offset,
        }
    }

    fn apply(&mut self, event: &Value) {
        let Some(number) = event["number"].as_u64().filter(|number| *number > self.offset) else { return };
        assert_eq!(number, self.offset + 1, "a gap before {event}");
        self.offset = number;
        let member = || event["member"]["id"].as_str().unwrap().to_owned();
        match event["type"].as_str().unwrap() {
            "member.joined" => assert!(self.members.insert(member(), "member").is_none(), "{event}"),
            "member.left" => assert!(self.members.remove(&member()).is_some(), "{event}"),
            "member.promoted" => assert_eq!(self.members.insert(member(), "owner"), Some("member"), "{event}"),
            "member.demoted" => assert_eq!(self.members.insert(member(), "member"), Some("owner"), "{event}"),
            kind if kind.starts_with("room.") => self.facts = facts(&event["room"]),
            kind if kind.starts_with("message.") => {
                let message = &event["message"];
                let came = message["number"].as_u64().unwrap();
                // What becomes of a message that the watcher has not seen come would be a hole.
                assert!(kind == "message.posted" || self.messages.contains_key(&came), "{event}");
                let reactions = self.messages.get(&came).map(|before| before["reactions"].clone());
                self.messages.insert(came, message.clone());
                match kind {
                    "message.deleted" => {
                        self.reacted_before.entry(came).or_insert(reactions);
                    }
                    "message.restored" => {
                        let before = self.reacted_before.remove(&came).flatten();
                        self.set_reactions(came, before.unwrap_or(json!("to be asked for")));
                    }
                    _ => self.set_reactions(came, reactions.unwrap_or_default()),
                }
                self.show_above_answers(message);
            }
            kind if kind.starts_with("reaction.") => self.react(&event["reaction"], kind == "reaction.added"),
            other => panic!("{other}"),
        }
    }
}

impl RoomState {
    /// What is said of threads follows from what stands in them.
    fn show_replies(&mut self) {
        let mut replies: BTreeMap<String, Value> = BTreeMap::new();
        for message in self.messages.values().rev().filter(|message| message.get("deleted").is_none()) {
            let Some(root) = message["thread"].as_str() else { continue };
            let last = json!({"id": message["id"], "number": message["number"], "time": message["time"]});
            let first = json!({"count": 0, "last": last, "people": []});
            let all = replies.entry(root.to_owned()).or_insert(first);
            all["count"] = json!(all["count"].as_u64().unwrap() + 1);
            let people = all["people"].as_array_mut().unwrap();
            if !people.contains(&message["author"]) && people.len() < THREAD_PEOPLE_SHOWN as usize {
                people.push(message["author"].clone());
            }
        }
        for message in self.messages.values_mut() {
            let id = message["id"].as_str().unwrap().to_owned();
            let message = message.as_object_mut().unwrap();
            message.remove("replies");
            message.extend(replies.remove(&id).map(|all| ("replies".to_owned(), all)));
        }
    }

    /// Answers show the message as it is now.
    fn show_above_answers(&mut self, answered: &Value) {
        for message in self.messages.values_mut().filter(|message| message["reply_to"]["id"] == answered["id"]) {
            let shown = message["reply_to"].as_object_mut().unwrap();
            shown.remove("text");
            shown.remove("deleted");
            match answered.get("deleted") {
                Some(_) => shown.insert("deleted".into(), json!(true)),
                None => shown.insert("text".into(), answered["body"].clone()),
            };
        }
    }

    fn react(&mut self, reaction: &Value, stands: bool) {
        let id = &reaction["message"];
        let (number, message) = self.messages.iter().find(|(_, message)| message["id"] == *id).expect("it came before");
        let (number, mut all) = (*number, message["reactions"].as_array().cloned().unwrap_or_default());
        let at = all.iter().position(|one| one["emoji"] == reaction["emoji"]);
        let at = at.unwrap_or_else(|| {
            all.push(json!({"emoji": reaction["emoji"], "count": 0, "people": []}));
            all.len() - 1
        });
        let one = all[at].as_object_mut().unwrap();
        let mut people = one["people"].as_array().unwrap().clone();
        people.retain(|person| *person != reaction["person"]);
        if stands {
            people.push(reaction["person"].clone());
        }
        if reaction["person"]["id"] == *self.watcher {
            if stands {
                one.insert("mine".into(), json!(true))
            } else {
                one.remove("mine")
            };
        }
        one.insert("count".into(), json!(people.len()));
        one.insert("people".into(), json!(people));
        all.retain(|one| one["count"] != 0);
        self.set_reactions(number, json!(all));
    }

    fn set_reactions(&mut self, number: u64, reactions: Value) {
        let message = self.messages.get_mut(&number).unwrap().as_object_mut().unwrap();
        match &reactions {
            Value::Null => message.remove("reactions"),
            Value::Array(all) if all.is_empty() => message.remove("reactions"),
            _ => message.insert("reactions".into(), reactions),
        };
    }
}

/// In an order that does not depend on who was first.
fn told(message: &Message) -> Value {
    let mut message = serde_json::to_value(message).unwrap();
    sort_reactions(&mut message);
    message
}

fn sort_reactions(message: &mut Value) {
    if let Some(all) = message.get_mut("reactions").and_then(Value::as_array_mut) {
        all.sort_by_key(|one| one["emoji"].to_string());
    }
}

/// What a card and an event say of a room alike.
fn facts(of: &Value) -> Value {
    json!([of["name"], of["topic"], of["description"], of["kind"], of["archived"]])
}

/// What a person knows of their rooms, kept up by their own channel.
fn apply_to_rooms(rooms: &mut BTreeMap<String, Value>, threads: &mut BTreeMap<String, Value>, event: &Value) {
    match event["type"].as_str().unwrap() {
        "thread.followed" | "thread.read" => {
            let thread = &event["thread"];
            let known = json!([thread["following"], thread["read"]]);
            threads.insert(thread["id"].as_str().unwrap().to_owned(), known);
            return;
        }
        // Up to where that was is not said.
        "threads.read" => {
            threads.values_mut().for_each(|thread| thread[1] = Value::Null);
            return;
        }
        _ => {}
    }
    if event["type"] == "role.changed" {
        return;
    }
    let room = event["room"]["id"].as_str().unwrap().to_owned();
    let read = event["room"]["read"].clone();
    match event["type"].as_str().unwrap() {
        "room.added" => assert!(rooms.insert(room, read).is_none(), "{event}"),
        "room.removed" => assert!(rooms.remove(&room).is_some(), "{event}"),
        "room.read" => assert!(rooms.insert(room, read).is_some(), "{event}"),
        other => panic!("{other}"),
    }
}

/// The rooms, and how far each was read.
async fn rooms_of(world: &World, person: &Somebody) -> BTreeMap<String, Value> {
    let rooms = world.chat.rooms(person.id, None, 200).await.unwrap().rooms;
    let cards = rooms.iter().map(RoomCard::from);
    cards.filter(|room| room.member).map(|room| (room.id.to_string(), json!(room.reading.unwrap().read))).collect()
}

async fn watch(world: &World, watcher: &Somebody, rooms: &[RoomId]) -> Browser {
    let mut browser = world.browser(watcher).await;
    for room in rooms {
        browser.subscribe(*room).await;
    }
    browser
}

async fn run(operations: &[Operation], change: impl FnOnce(Options) -> Options) -> Transcript {
    let world = World::with(change).await;
    let (watcher, general, invite) = world.set_up().await;
    let mut people = Vec::new();
    for name in ["Ben", "Eva", "Leo"] {
        people.push(world.invited(name, &invite).await);
    }
    let rooms = [general.id, world.room(&watcher, "Other").await];
    let mut created = 0;
    let mut said: Vec<(RoomId, MessageId)> = Vec::new();
    let mut last_posts: Vec<Option<(RoomId, ClientId, String)>> = vec![None; PEOPLE];
    let mut codes = [invite, "no code yet".to_owned()];
    let mut transcript = Transcript::default();

    let ben = &people[0];
    let mut bens_browser = world.browser(ben).await;
    let mut bens_rooms = rooms_of(&world, ben).await;
    let mut browser = watch(&world, &watcher, &rooms).await;
    let mut states = Vec::new();
    for room in rooms {
        states.push(RoomState::fetch(&world, &watcher, room).await);
    }

    let mention = |by: usize| format!("hello <@{}> <@room>", people[(by + 1) % PEOPLE].id);
    for operation in operations {
        match *operation {
            Operation::Post { person, room, mentions } => {
                let client_id = ClientId::fresh();
                let text = if mentions { mention(person) } else { "hello".to_owned() };
                // Refused to those who are no members, and then nothing may be announced.
                let posted = world.send(&people[person], rooms[room], client_id, &text).await;
                if let Ok(posted) = &posted {
                    last_posts[person] = Some((rooms[room], client_id, text));
                    said.push((rooms[room], posted.id));
                }
                transcript.answer(posted, |posted| json!([posted.id, posted.number, posted.time, posted.repeated]));
            }
            Operation::RepeatTheLastPost { person } => {
                if let Some((room, client_id, text)) = &last_posts[person] {
                    let posted = world.send(&people[person], *room, *client_id, text).await.unwrap();
                    assert!(posted.repeated);
                    transcript.tell(json!([posted.id, posted.number, posted.time]));
                }
            }
            Operation::Edit { person, message, text } => {
                let Some((room, message)) = said.get(message).copied() else { continue };
                let body =
                    ["hello".to_owned(), "hello again".to_owned(), "no".to_owned(), mention(person)][text].clone();
                let body = Body::parse(body).unwrap();
                let edited = world.chat.edit_message(people[person].id, room, message, body).await;
                transcript.answer(edited, |message| json!(message));
            }
            Operation::Delete { person, message } => {
                let Some((room, message)) = said.get(message).copied() else { continue };
                // The first of them is no author of what the others say, and manages nothing.
                let (who, reason) = match person {
                    0 => (watcher.id, Some(DeleteReason::parse("not here").unwrap())),
                    _ => (people[person].id, None),
                };
                let deleted = world.chat.delete_message(who, room, message, reason).await;
                transcript.answer(deleted, |message| json!(message));
            }
            Operation::Restore { person, message } => {
                let Some((room, message)) = said.get(message).copied() else { continue };
                let who = if person == 0 { watcher.id } else { people[person].id };
                let restored = world.chat.restore_message(who, room, message).await;
                transcript.answer(restored, |message| json!(message));
            }
            Operation::Reply { person, room, message } => {
                let Some((_, reply_to)) = said.get(message).copied() else { continue };
                let (room, body) = (rooms[room], Body::parse("indeed".to_owned()).unwrap());
                let reply_to = Some(reply_to);
                let draft =
                    Draft { room, client_id: ClientId::fresh(), body, reply_to, thread: None, everybody: false };
                let posted = world.chat.post(people[person].id, draft).await;
                if let Ok(posted) = &posted {
                    said.push((room, posted.id));
                }
                transcript.answer(posted, |posted| json!([posted.id, posted.number]));
            }
            Operation::AnswerInThread { person, room, message, also_in_room } => {
                let Some((_, root)) = said.get(message).copied() else { continue };
                let (room, body) = (rooms[room], Body::parse("besides".to_owned()).unwrap());
                let thread = Some(InThread { root, also_in_room });
                let draft =
                    Draft { room, client_id: ClientId::fresh(), body, reply_to: None, thread, everybody: false };
                let who = if person == 0 { watcher.id } else { people[person - 1].id };
                let posted = world.chat.post(who, draft).await;
                if let Ok(posted) = &posted {
                    said.push((room, posted.id));
                }
                transcript.answer(posted, |posted| json!([posted.id, posted.number]));
            }
            Operation::FollowThread { person, message, follows } => {
                let Some((room, root)) = said.get(message).copied() else { continue };
                let followed = world.chat.follow_thread(people[person].id, room, root, follows).await;
                transcript.answer(followed, |thread| json!(thread));
            }
            Operation::ReadThread { person, message, number, back } => {
                let Some((room, root)) = said.get(message).copied() else { continue };
                let to = if back { Move::To(number) } else { Move::Forward(number) };
                let read = world.chat.mark_thread_read(people[person].id, room, root, to).await;
                transcript.answer(read, |thread| json!(thread));
            }
            Operation::React { person, message, emoji, stands } => {
                let Some((room, message)) = said.get(message).copied() else { continue };
                // The watcher too.
                let who = if person == 0 { watcher.id } else { people[person].id };
                let emoji = Emoji::parse(["👍", "🎉"][emoji]).unwrap();
                transcript.answer(world.chat.react(who, room, message, emoji, stands).await, |()| json!({}));
            }
            Operation::Later => world.later(DELETE_UNDO),
            Operation::Join { person, room } => {
                // A guest does not, nor anybody into a room that is private just now.
                let joined = world.chat.join_room(people[person].id, rooms[room]).await;
                transcript.answer(joined, |room| card(&room));
            }
            Operation::Leave { person, room } => {
                transcript.answer(world.chat.leave_room(people[person].id, rooms[room]).await, |()| json!({}));
            }
            Operation::Remove { person, room } => {
                let removed = world.chat.remove_member(watcher.id, rooms[room], people[person].id).await;
                transcript.answer(removed, |()| json!({}));
            }
            Operation::Read { person, room, number, back } => {
                let to = if back { Move::To(number) } else { Move::Forward(number) };
                let read = world.chat.mark_read(people[person].id, rooms[room], to).await;
                transcript.answer(read, |read| json!(read));
            }
            Operation::ReadAll { person } => {
                let mut read = world.chat.mark_all_read(people[person].id).await.unwrap();
                // In no order.
                read.sort_by_key(|room| rooms.iter().position(|known| *known == room.id));
                transcript.tell(json!(read.iter().map(|room| room.reading).collect::<Vec<_>>()));
            }
            Operation::Create { person } => {
                created += 1;
                let name = Name::parse(&format!("Room number {created}")).unwrap();
                let made = world.chat.create_room(people[person].id, name, Topic::default(), RoomKind::Public).await;
                transcript.answer(made, |room| card(&room));
            }
            Operation::Rename { person, room, name } => {
                let name = Some(Name::parse(["General", "Ideas", "Room number 1"][name]).unwrap());
                let edit = RoomEdit { name, ..RoomEdit::default() };
                let renamed = world.chat.edit_room(people[person].id, rooms[room], edit.clone()).await;
                transcript.answer(renamed, |room| card(&room));
                let renamed = world.chat.edit_room(watcher.id, rooms[room], edit).await;
                transcript.answer(renamed, |room| card(&room));
            }
            Operation::SetKind { person, room, is_private } => {
                let kind = Some(if is_private { RoomKind::Private } else { RoomKind::Public });
                for who in [&people[person], &watcher] {
                    let edit = RoomEdit { kind, ..RoomEdit::default() };
                    transcript.answer(world.chat.edit_room(who.id, rooms[room], edit).await, |room| card(&room));
                }
            }
            Operation::Archive { person, room, is_archived } => {
                for who in [&people[person], &watcher] {
                    let topic = Some(Topic::parse(if is_archived { "done" } else { "goes on" }).unwrap());
                    let edit = RoomEdit { topic, is_archived: Some(is_archived), ..RoomEdit::default() };
                    transcript.answer(world.chat.edit_room(who.id, rooms[room], edit).await, |room| card(&room));
                }
            }
            Operation::Add { person, room, by_watcher } => {
                let by = if by_watcher { &watcher } else { &people[(person + 1) % PEOPLE] };
                let added = world.chat.add_member(by.id, rooms[room], people[person].id).await;
                transcript.answer(added, |member| json!([member.id, member.role.as_str()]));
            }
            Operation::SetRoomRole { person, room, is_owner } => {
                let role = if is_owner { RoomRole::Owner } else { RoomRole::Member };
                let by = &people[(person + 1) % PEOPLE];
                for by in [by, &watcher] {
                    let set = world.chat.set_room_role(by.id, rooms[room], people[person].id, role).await;
                    transcript.answer(set, |()| json!({}));
                }
            }
            Operation::SetRole { person, role } => {
                let role = [Role::Guest, Role::Member][role];
                let set = world.chat.set_role(watcher.id, people[person].id, role).await;
                transcript.answer(set, |person| json!([person.id, person.role.as_str()]));
            }
            Operation::Direct { person, other } => {
                let others = [people[other].id].into();
                let started = world.chat.start_direct(people[person].id, others).await;
                transcript.answer(started, |(room, is_new)| json!([card(&room), is_new]));
            }
            Operation::Invite { person, room } => {
                let invite = world.chat.ensure_room_invite(people[person].id, rooms[room]).await;
                transcript.answer(invite, |invite| seen(&invite, &mut codes[room]));
            }
            Operation::RenewInvite { person, room } => {
                let invite = world.chat.renew_room_invite(people[person].id, rooms[room]).await;
                transcript.answer(invite, |invite| seen(&invite, &mut codes[room]));
                let invite = world.chat.renew_room_invite(watcher.id, rooms[room]).await;
                transcript.answer(invite, |invite| seen(&invite, &mut codes[room]));
            }
            Operation::RevokeInvite { person, room } => {
                for who in [&people[person], &watcher] {
                    transcript.answer(world.chat.revoke_room_invite(who.id, rooms[room]).await, |()| json!({}));
                }
            }
            Operation::AcceptInvite { person, room } => {
                let accepted = world.chat.accept_invite(people[person].id, &codes[room], HOME).await;
                transcript.answer(accepted, |room| card(&room));
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
    for (room, mut state) in rooms.iter().zip(states) {
        let fetched = RoomState::fetch(&world, &watcher, *room).await;
        // Reactions to what was deleted when it was fetched, and restored since, are asked for with the message.
        state.messages.values_mut().for_each(sort_reactions);
        state.show_replies();
        for (number, message) in &mut state.messages {
            if message["reactions"] == "to be asked for" {
                *message = fetched.messages[number].clone();
            }
        }
        state.reacted_before.clone_from(&fetched.reacted_before);
        assert_eq!(state, fetched);
    }
    let own = format!("user:{}", ben.id);
    let mut bens_threads = BTreeMap::new();
    let told = bens_browser.all_in(&own).await;
    told.iter().for_each(|event| apply_to_rooms(&mut bens_rooms, &mut bens_threads, event));
    assert_eq!(bens_rooms, rooms_of(&world, ben).await);
    for thread in world.chat.threads(ben.id, None, 50).await.unwrap().threads {
        let known = &bens_threads[&thread.reading.id.to_string()];
        assert_eq!(known[0], json!(true), "{thread:?}");
        assert!(known[1].is_null() || known[1] == json!(thread.reading.read), "{thread:?}");
    }

    for reader in people.iter().chain([&watcher]) {
        pages(&world, reader, &rooms, &mut transcript).await;
    }
    world.chat.close().await;
    transcript
}

/// Everything that one store answered, in words that another can answer too: identities are numbered as they appear.
#[derive(Debug, Default)]
struct Transcript(Vec<Value>, BTreeMap<String, usize>);

impl Transcript {
    fn answer<T, E: ToString>(&mut self, answer: Result<T, E>, told: impl FnOnce(T) -> Value) {
        self.tell(answer.map_or_else(|error| json!({"error": error.to_string()}), told));
    }

    fn tell(&mut self, mut answer: Value) {
        self.number_identities(&mut answer);
        self.0.push(answer);
    }

    fn number_identities(&mut self, value: &mut Value) {
        match value {
            Value::String(text) if ClientId::parse(text).is_some() => {
                let next = self.1.len();
                let number = *self.1.entry(text.clone()).or_insert(next);
                *value = json!({"identity": number});
            }
            // A person is mentioned.
            Value::String(text) if text.contains("<@") => {
                let parts: Vec<_> = text
                    .split("<@")
                    .map(|part| {
                        let mut id = json!(part.get(..36).unwrap_or_default());
                        self.number_identities(&mut id);
                        if id.is_object() { format!("{id}{}", &part[36..]) } else { part.to_owned() }
                    })
                    .collect();
                *text = parts.join("<@");
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.number_identities(value)),
            Value::Object(fields) => fields.values_mut().for_each(|value| self.number_identities(value)),
            _ => {}
        }
    }
}

/// A room as one person sees it; the name of its stream is random.
fn card(room: &Room) -> Value {
    let mut card = serde_json::to_value(RoomCard::from(room)).unwrap();
    card["epoch"].take();
    card
}

/// An invite, and whether it is the one that was seen last.
fn seen(invite: &Invite, last: &mut String) -> Value {
    let code = invite.code.reveal();
    let same = last == code;
    code.clone_into(last);
    json!([same, invite.room, invite.created, invite.expires, invite.uses_max, invite.uses])
}

/// What there is to read, by one person, in pages of several sizes.
async fn pages(world: &World, reader: &Somebody, rooms: &[RoomId], transcript: &mut Transcript) {
    let all = world.chat.rooms(reader.id, None, 200).await.unwrap().rooms;
    transcript.tell(all.iter().map(card).collect());
    for kind in [None, Some(ActivityKind::Mentions), Some(ActivityKind::Replies), Some(ActivityKind::Reactions)] {
        let mut before = None;
        loop {
            let page = world.chat.activity(reader.id, ActivityQuery { kind, before, limit: 4 }).await.unwrap();
            transcript.tell(json!(page.activity));
            before = page.next;
            if before.is_none() {
                break;
            }
        }
    }
    let threads = world.chat.threads(reader.id, None, 50).await.unwrap();
    let mut before = None;
    for thread in &threads.threads {
        let page = world.chat.threads(reader.id, before, 1).await.unwrap();
        assert_eq!(page.threads, *std::slice::from_ref(thread), "in pages of one");
        before = Some(thread.replies.last.id);
    }
    transcript.tell(json!(threads));
    let positions = [PageFrom::End, PageFrom::Before(4), PageFrom::After(0), PageFrom::After(2)];
    for room in rooms {
        let members = world.chat.members(reader.id, *room).await.unwrap().unwrap_or_default();
        transcript.tell(
            members.iter().map(|member| json!([member.id, member.name.as_str(), member.role.as_str()])).collect(),
        );
        for query in positions.into_iter().flat_map(|from| [1, 3, 200].map(|limit| PageQuery { from, limit })) {
            let events = world.chat.events(reader.id, *room, query).await;
            transcript.answer(events, |page| json!([page.events, page.offset, page.more]));
            let messages = world.chat.messages(reader.id, *room, query).await;
            transcript.answer(messages, |page| json!([page.messages, page.more]));
            for message in world.chat.messages(reader.id, *room, query).await.iter().flat_map(|page| &page.messages) {
                let thread = world.chat.thread(reader.id, *room, message.id, query).await.unwrap();
                transcript.tell(json!(thread.map(|it| json!([it.root, it.messages, it.more, it.reading]))));
            }
            for message in world.chat.messages(reader.id, *room, query).await.iter().flat_map(|page| &page.messages) {
                let edits = world.chat.edits(reader.id, *room, message.id, query).await.unwrap();
                transcript.tell(json!(edits.map(|page| json!([page.edits, page.more]))));
            }
        }
    }
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
