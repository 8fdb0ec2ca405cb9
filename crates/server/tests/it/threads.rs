//! Threads over REST: answering in one, following and reading it, finding it again; and all that is refused.

use crate::story::{Cast, Person, Story};
use serde_json::{Value, json};

pub(crate) async fn threads(story: &mut Story, Cast { ana, ben, cho, .. }: &Cast) {
    const NOUN: &str = "threads";
    let loft = story.send(&ana.post("/v1/rooms", &json!({"name": "Loft"}))).await.text("/id");
    story.names.name("loft", loft.as_str());
    story.send(&ben.put(&format!("/v1/rooms/{loft}/members/me"))).await;
    let path = format!("/v1/rooms/{loft}/messages");
    let send =
        |number: u32, body: &str| json!({"client_id": format!("01890000-0000-7000-8000-{number:012}"), "body": body});
    let within = |number: u32, body: &str, more: &Value| {
        let mut message = send(number, body);
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        message
    };
    let root = story.send(&ana.post(&path, &send(501, "what is it under?"))).await.text("/id");
    story.names.name("root", root.as_str());
    let other = story.send(&ana.post(&path, &send(502, "something else"))).await.text("/id");
    story.names.name("other message", other.as_str());
    let thread = format!("{path}/{root}/thread");
    let (following, read) = (format!("{thread}/following"), format!("{thread}/read"));
    story.ask(NOUN, "a thread without answers", ben.get(&thread)).await;
    let told =
        story.ask(NOUN, "answering in it", ben.post(&path, &within(503, "this", &json!({"thread": root})))).await;
    let first = told.text("/id");
    story.names.name("first answer", first.as_str());
    let again = ben.post(&path, &within(503, "this", &json!({"thread": root})));
    story.ask(NOUN, "the same send again", again).await;
    let also = json!({"thread": root, "also_in_room": true, "reply_to": first});
    let told =
        story.ask(NOUN, "answering that, also in the room", ana.post(&path, &within(504, "and that", &also))).await;
    story.names.name("second answer", told.text("/id"));
    story.ask(NOUN, "the thread", ben.get(&thread)).await;
    story.ask(NOUN, "a page of it", ben.get(&format!("{thread}?limit=1"))).await;
    story.ask(NOUN, "the messages of the room", ben.get(&path)).await;
    story.ask(NOUN, "the threads that one follows", ana.get("/v1/threads")).await;
    story.ask(NOUN, "having read it", ana.put(&read).json(&json!({"number": 1_000_000}))).await;
    story.ask(NOUN, "wanting to read it again", ana.put(&read).json(&json!({"number": 1, "unread": true}))).await;
    story.ask(NOUN, "not following it", ana.delete(&following)).await;
    story.ask(NOUN, "no threads that one follows", ana.get("/v1/threads")).await;
    story.ask(NOUN, "following it again", ana.put(&following)).await;
    for (title, more) in [
        ("under an unknown message", json!({"thread": "01890000-0000-7000-8000-000000000000"})),
        ("under what is no id", json!({"thread": "root"})),
        ("under an answer in a thread", json!({"thread": first})),
        ("answering what is elsewhere", json!({"thread": root, "reply_to": other})),
    ] {
        story.ask(NOUN, title, ben.post(&path, &within(505, "nowhere", &more))).await;
    }
    story.ask(NOUN, "following an answer", ben.put(&format!("{path}/{first}/thread/following"))).await;
    story.ask(NOUN, "threads in pages that are too long", ana.get("/v1/threads?limit=51")).await;
    story.ask(NOUN, "threads behind what is no id", ana.get("/v1/threads?before=root")).await;
    story.ask(NOUN, "a thread of a room one is not in", cho.get(&thread)).await;
    story.ask(NOUN, "following it from outside", cho.put(&following)).await;
    story.ask(NOUN, "reading it from outside", cho.put(&read).json(&json!({"number": 1}))).await;
    story
        .ask(NOUN, "answering in it from outside", cho.post(&path, &within(506, "me too", &json!({"thread": root}))))
        .await;
    story.ask(NOUN, "a thread of an unknown room", ana.get(&thread.replacen(&loft, "loft", 1))).await;
    story.ask(NOUN, "threads, signed out", Person::stranger().get("/v1/threads")).await;
}
