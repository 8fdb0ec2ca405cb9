//! What was deleted: told nobody by any route from that moment on, and in no file of the database soon after.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tidings_chat::{Body, MessageId, Options, PageFrom, PageQuery, Posted, RestoreError, limits::DELETE_UNDO};

use crate::{
    database::worlds_are_on_postgres,
    world::{World, channel},
};

/// Longer than the log of a busy database may take to be emptied.
const PATIENCE: Duration = Duration::from_secs(20);

/// A message, and the numbers of all texts that it has had.
type Said = (Posted, Vec<usize>);

fn often(options: Options) -> Options {
    Options { sweep_interval: Duration::from_millis(5), ..options }
}

/// Everything that is in the database's files; the marks of texts are ASCII.
fn files_of_the_database(folder: &Path) -> String {
    let files = ["tidings.db", "tidings.db-wal", "tidings.db-shm"].map(|name| fs::read(folder.join(name)));
    files.iter().flatten().map(|bytes| String::from_utf8_lossy(bytes)).collect()
}

/// Texts of all lengths that a page of the database holds one, some, or a part of; each can be told from all others.
fn text(number: usize) -> (String, String) {
    let mark = format!("<mark {number:04} of a text>");
    let text = format!("{mark}{}", ".".repeat([3, 40, 700, 3_000, 9_000, 15_000][number % 6]));
    (text, mark)
}

#[tokio::test]
async fn what_was_deleted_is_in_no_file_of_the_database_ten_seconds_later() {
    if worlds_are_on_postgres() {
        return; // what is dead there is gone after a vacuum
    }
    let world = World::with(often).await;
    let (ana, general, _) = world.set_up().await;
    let edit = async |message: MessageId, number: usize| {
        world.chat.edit_message(ana.id, general.id, message, Body::parse(text(number).0).unwrap()).await.unwrap();
    };
    let (mut gone, mut kept) = (Vec::<Said>::new(), Vec::<Said>::new());
    for number in 0..150 {
        let posted = world.say(&ana, general.id, &text(number).0).await;
        let mut numbers = vec![number];
        // Edits make rows longer and shorter, which moves others.
        for again in (0..number % 3).map(|again| 1_000 * (again + 1) + number) {
            edit(posted.id, again + number % 5).await;
            numbers.push(again + number % 5);
        }
        if number % 2 == 0 { gone.push((posted, numbers)) } else { kept.push((posted, numbers)) }
    }
    for (posted, _) in &gone {
        world.chat.delete_message(ana.id, general.id, posted.id, None).await.unwrap();
    }
    let marks = |of: &[Said]| -> Vec<String> {
        of.iter().flat_map(|(_, numbers)| numbers).map(|number| text(*number).1).collect()
    };
    let before = files_of_the_database(world.dir.path());
    assert!(marks(&gone).iter().all(|mark| before.contains(mark.as_str())), "until then they can be restored");
    world.later(DELETE_UNDO);
    let begun = Instant::now();
    loop {
        let files = files_of_the_database(world.dir.path());
        let left: Vec<_> = marks(&gone).into_iter().filter(|mark| files.contains(mark.as_str())).collect();
        if left.is_empty() {
            assert!(marks(&kept).iter().all(|mark| files.contains(mark.as_str())), "and nothing else");
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "still there: {left:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let late = world.chat.restore_message(ana.id, general.id, gone[0].0.id).await;
    assert!(matches!(late, Err(RestoreError::TooLate)));
}

#[tokio::test]
async fn what_was_deleted_before_a_restart_is_erased_after_it() {
    let world = World::with(|options| Options { sweep_interval: Duration::from_hours(1), ..options }).await;
    let (ana, general, _) = world.set_up().await;
    let said = world.say(&ana, general.id, &text(2).0).await;
    world.chat.delete_message(ana.id, general.id, said.id, None).await.unwrap();
    world.later(DELETE_UNDO);
    let world = world.restart_with(often).await;
    let begun = Instant::now();
    while !worlds_are_on_postgres() && files_of_the_database(world.dir.path()).contains(&text(2).1) {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let page = PageQuery { from: PageFrom::End, limit: 10 };
    let left = world.chat.messages(ana.id, general.id, page).await.unwrap().messages.remove(0);
    assert_eq!((left.id, left.body.as_str(), left.author.id), (said.id, "", ana.id));
    let again = world.send(&ana, general.id, left.client_id, &text(2).0).await.unwrap();
    assert!(again.repeated, "G2: it is recognised without its text");
}

#[tokio::test]
async fn s36_a_deleted_text_is_told_nobody_by_any_route() {
    let world = World::new().await;
    let (ana, general, invite) = world.set_up().await;
    let (ben, eva) = (world.invited("Ben", &invite).await, world.invited("Eva", &invite).await);
    let mut live = world.browser(&eva).await;
    live.subscribe(general.id).await;
    let from = world.chat.room(eva.id, general.id).await.unwrap().unwrap();
    let said = world.say(&ben, general.id, "the first secret").await;
    let body = Body::parse("the second secret".into()).unwrap();
    world.chat.edit_message(ben.id, general.id, said.id, body).await.unwrap();
    let seen = live.all_in(&channel(general.id)).await;
    assert_eq!(seen.iter().map(|event| &event["type"]).collect::<Vec<_>>(), ["message.posted", "message.edited"]);
    world.chat.remove_member(ana.id, general.id, ben.id).await.unwrap();

    let mut removed = world.browser(&ben).await;
    let refused = removed.rpc("edit", json!({"room": general.id, "message": said.id, "body": "a third"})).await;
    assert_eq!(refused["error"]["code"], 103, "who was removed edits nothing");
    let gone = json!({"room": general.id, "message": said.id, "reason": "a secret"});
    let gone = world.browser(&ana).await.rpc("delete", gone).await["rpc"]["data"].take();
    assert_eq!((&gone["body"], &gone["deleted"]["reason"]), (&json!(""), &json!("a secret")));

    // Live, by recovery, from the pages and one by one.
    let told = live.next_in(&channel(general.id)).await;
    assert_eq!(told["type"], "member.left");
    let told = live.next_in(&channel(general.id)).await;
    assert_eq!((&told["type"], &told["message"]), (&json!("message.deleted"), &gone));
    let resumed = world.browser(&eva).await.resume(general.id, &from.epoch, from.offset).await;
    assert_eq!(resumed["recovered"], true);
    let page = PageQuery { from: PageFrom::After(0), limit: 100 };
    let all = json!([
        resumed,
        world.history(&eva, general.id).await,
        world.chat.messages(eva.id, general.id, page).await.unwrap().messages,
        world.chat.message(eva.id, general.id, said.id).await.unwrap(),
        world.chat.edits(eva.id, general.id, said.id, page).await.unwrap().unwrap().edits,
    ]);
    assert!(!all.to_string().contains("the first secret") && !all.to_string().contains("the second secret"), "{all}");
    // Everything that tells of the message tells what is left of it.
    let about: Vec<&Value> =
        resumed["publications"].as_array().unwrap().iter().map(|one| &one["data"]["message"]).collect();
    assert_eq!(about.into_iter().filter(|message| !message.is_null()).collect::<Vec<_>>(), vec![&gone; 3]);

    let seen = removed.all_in(&channel(general.id)).await;
    assert_eq!(seen, Vec::<Value>::new(), "G5");
}
