//! Threads: who may answer in them, what is told of them under their message, who follows them and how far they were read.

use super::*;
use crate::{
    changes::{FollowThread, ReadThread, ThreadRefusal},
    limits::{REPLIES_COUNTED_MAX, THREAD_PEOPLE_SHOWN},
    model::{InThread, Replies, ThreadPage, ThreadReading},
};

pub(super) fn in_thread(author: PersonId, room: RoomId, root: MessageId, body: &str) -> Post {
    let Post(new) = message(author, room, ClientId::fresh(), body);
    Post(NewMessage { reply_to: Some(root), thread: Some(InThread { root, also_in_room: false }), ..new })
}

fn also_in_room(Post(new): Post) -> Post {
    Post(NewMessage { thread: new.thread.map(|thread| InThread { also_in_room: true, ..thread }), ..new })
}

impl World {
    async fn thread(&self, reader: PersonId, root: MessageId) -> ThreadPage {
        let page = PageQuery { from: PageFrom::End, limit: 200 };
        self.store.thread(self.general, reader, root, page).await.unwrap().unwrap()
    }

    async fn replies(&self, root: MessageId) -> Option<Replies> {
        self.store.message(self.general, self.ana, root).await.unwrap().unwrap().replies
    }

    fn follow(&self, person: PersonId, root: MessageId, follows: bool) -> FollowThread {
        FollowThread { person, room: self.general, root, follows }
    }

    fn read_thread(&self, person: PersonId, root: MessageId, to: Move) -> ReadThread {
        ReadThread { person, room: self.general, root, to }
    }
}

pub(in crate::store) async fn an_answer_in_a_thread_stands_there_and_in_the_room_only_on_request(
    fixture: &impl Fixture,
) {
    let mut world = World::new(fixture).await;
    let (ana, ben, general) = (world.ana, world.invited("Ben").await, world.general);
    let root = world.post(ana, general, "lunch?").await.id;
    assert_eq!((world.replies(root).await, world.thread(ben, root).await.messages), (None, vec![]));
    let first = in_thread(ben, general, root, "yes");
    let told = world.done(first.clone()).await;
    let [event] = &told.announcements.events[..] else { panic!("{told:?}") };
    let answer = event.kind.message().unwrap();
    assert_eq!((answer.thread, answer.also_in_room, answer.reply_to.as_ref().unwrap().id), (Some(root), false, root));
    assert_eq!(world.general_events().await.last(), Some(event), "the room's one stream has it, live and later");
    assert!(world.done(first).await.answer.repeated, "G2: it is one message however often it is sent");
    let second = world.done(also_in_room(in_thread(ana, general, root, "at noon"))).await.answer;

    let texts = |messages: &[Message]| messages.iter().map(|message| message.body.clone()).collect::<Vec<_>>();
    assert_eq!(texts(&world.thread(ben, root).await.messages), ["yes", "at noon"]);
    assert_eq!(world.bodies().await, ["lunch?", "at noon"], "of the room");
    let replies = world.replies(root).await.unwrap();
    let people: Vec<_> = replies.people.iter().map(|who| who.id).collect();
    assert_eq!((replies.count, replies.last.id, replies.last.number), (2, second.id, second.number));
    assert_eq!(people, [ana, ben], "who answered last comes first");
    let page = PageQuery { from: PageFrom::After(0), limit: 9 };
    let pages = world.store.events(general, Some(ben), page, usize::MAX).await.unwrap().unwrap().events;
    let shown: Vec<_> = pages.iter().filter_map(|event| event.kind.message()?.replies.as_ref()).collect();
    assert_eq!(shown, [&replies], "beside the message, where one person reads it");
    assert!(world.general_events().await.iter().filter_map(|e| e.kind.message()).all(|m| m.replies.is_none()));

    // What was deleted counts no more, until it comes back.
    world.done(world.delete(ana, second.id, None)).await;
    let left = world.replies(root).await.unwrap();
    assert_eq!((left.count, left.people.len(), left.last.id), (1, 1, answer.id));
    world.done(world.restore(ana, second.id)).await;
    assert_eq!(world.replies(root).await.as_ref(), Some(&replies));

    // A thread stays under what was deleted, and goes on: whoever wrote while that happened loses nothing.
    world.done(world.delete(ana, root, None)).await;
    world.done(in_thread(ben, general, root, "sent meanwhile")).await;
    let page = world.thread(ben, root).await;
    assert_eq!((page.root.body.as_str(), page.root.replies.unwrap().count, page.messages.len()), ("", 3, 3));
    world.now = world.now.plus(DELETE_UNDO);
    world.done(EraseDeleted).await;
    assert_eq!(world.thread(ben, root).await.messages.len(), 3);

    for number in 0..=THREAD_PEOPLE_SHOWN {
        let person = world.invited(&format!("Person{number}")).await;
        world.done(in_thread(person, general, root, "me too")).await;
    }
    let crowd = world.replies(root).await.unwrap();
    assert_eq!(crowd.people.len(), THREAD_PEOPLE_SHOWN as usize, "only those are named");
    assert_eq!(crowd.people[0].name, format!("Person{THREAD_PEOPLE_SHOWN}"));
    for _ in 0..REPLIES_COUNTED_MAX {
        world.done(in_thread(ben, general, root, "x")).await;
    }
    assert_eq!(world.replies(root).await.unwrap().count, REPLIES_COUNTED_MAX);
    let newest = PageQuery { from: PageFrom::End, limit: 2 };
    let page = world.store.thread(general, ben, root, newest).await.unwrap().unwrap();
    assert_eq!((page.messages.len(), page.more, page.messages[1].number), (2, true, page.reading.offset));
}

pub(in crate::store) async fn a_thread_is_under_a_message_of_the_room_that_is_in_none_itself(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let (ana, ben, general) = (world.ana, world.invited("Ben").await, world.general);
    let root = world.post(ana, general, "lunch?").await.id;
    let answer = world.done(in_thread(ben, general, root, "yes")).await.answer.id;
    let aside = world.post(ben, general, "beside it").await.id;
    let other = world.room(ana, "Other").await;
    let hidden = world.post(ana, other, "not for Ben").await.id;
    let refused = |post| world.refused::<Post>(post);
    assert_eq!(refused(in_thread(ben, general, MessageId::fresh(), "x")).await, PostRefusal::NoSuchThread);
    assert_eq!(refused(in_thread(ben, general, hidden, "x")).await, PostRefusal::NoSuchThread, "S40: the same");
    assert_eq!(refused(in_thread(ben, other, hidden, "x")).await, PostRefusal::NotMember, "S36");
    assert_eq!(refused(in_thread(ben, general, answer, "x")).await, PostRefusal::InThread);
    let answering = |reply_to| {
        let Post(new) = in_thread(ben, general, root, "indeed");
        Post(NewMessage { reply_to: Some(reply_to), ..new })
    };
    assert_eq!(refused(answering(aside)).await, PostRefusal::OutsideThread);
    assert_eq!(refused(answering(hidden)).await, PostRefusal::NothingToAnswer);
    let told = world.done(answering(answer)).await;
    let said = told.announcements.events[0].kind.message().unwrap();
    assert_eq!((said.thread, said.reply_to.as_ref().unwrap().id), (Some(root), answer), "one of the same thread");

    for (room, message) in [(general, hidden), (general, MessageId::fresh()), (other, hidden)] {
        let follow = FollowThread { room, ..world.follow(ben, message, true) };
        assert_eq!(world.refused(follow).await, ThreadRefusal::NoSuchMessage, "S36, S40");
        let read = ReadThread { room, ..world.read_thread(ben, message, Move::Forward(9)) };
        assert_eq!(world.refused(read).await, ThreadRefusal::NoSuchMessage);
        let page = PageQuery { from: PageFrom::End, limit: 9 };
        assert_eq!(world.store.thread(room, ben, message, page).await.unwrap(), None);
    }
    assert_eq!(world.refused(world.follow(ben, answer, true)).await, ThreadRefusal::InThread);
    assert_eq!(world.refused(world.read_thread(ben, answer, Move::Forward(9))).await, ThreadRefusal::InThread);
    world.done(archive(ana, general)).await;
    assert_eq!(world.refused(in_thread(ben, general, root, "x")).await, PostRefusal::Archived);
}

pub(in crate::store) async fn who_takes_part_in_a_thread_follows_it_and_has_what_others_say_to_read(
    fixture: &impl Fixture,
) {
    let mut world = World::new(fixture).await;
    let (ana, ben, general) = (world.ana, world.invited("Ben").await, world.general);
    let eva = world.invited("Eva").await;
    let root = world.post(ana, general, "lunch?").await.id;
    let told = world.done(in_thread(ben, general, root, "yes")).await;
    let number = told.answer.number;
    let reading =
        |following, offset, read, unread| ThreadReading { id: root, room: general, offset, following, read, unread };
    let followed = |person, thread| (person, PersonEvent::ThreadFollowed { thread });
    assert_eq!(
        told.announcements.personal,
        [followed(ben, reading(true, number, number, 0)), followed(ana, reading(true, number, number - 1, 1))],
        "who wrote the message has it to read, who answered has not"
    );
    assert_eq!(world.thread(ana, root).await.reading, reading(true, number, number - 1, 1));
    assert_eq!(world.thread(eva, root).await.reading, reading(false, number, number, 0));
    let third = world.done(in_thread(ben, general, root, "at noon")).await;
    assert_eq!(third.announcements.personal, [], "once");
    let last = third.answer.number;
    let listed = |person| {
        let store = world.store.clone();
        async move {
            let page = store.threads(person, None, 9).await.unwrap();
            (page.unread, page.threads.into_iter().map(|it| (it.reading.unread, it.last.body)).collect::<Vec<_>>())
        }
    };
    assert_eq!(listed(ana).await, (1, vec![(2, "at noon".into())]));
    assert_eq!(listed(ben).await, (0, vec![(0, "at noon".into())]));
    assert_eq!(listed(eva).await, (0, vec![]));

    // Of the room it is no part: it is not unread there.
    let seen = world.store.room(general, eva).await.unwrap().unwrap();
    assert_eq!(seen.reading.unwrap().unread, 1, "Ana's message alone");

    let read = world.done(world.read_thread(ana, root, Move::Forward(number))).await;
    assert_eq!(read.answer, reading(true, last, number, 1));
    assert_eq!(read.announcements.personal, [(ana, PersonEvent::ThreadRead { thread: read.answer })]);
    let again = world.done(world.read_thread(ana, root, Move::Forward(1))).await;
    assert_eq!((again.answer, again.announcements.personal), (read.answer, vec![]), "only forward");
    let back = world.done(world.read_thread(ana, root, Move::To(1))).await;
    assert_eq!(back.answer, reading(true, last, 1, 2), "but on request");
    let beyond = world.done(world.read_thread(ana, root, Move::Forward(9_999))).await;
    assert_eq!(beyond.answer, reading(true, last, last, 0));
    let stranger = world.done(world.read_thread(eva, root, Move::Forward(1))).await;
    assert_eq!(stranger.answer, reading(false, last, last, 0), "who never followed has read everything");

    // A stop by hand stays, whatever they say there later.
    let stopped = world.done(world.follow(ben, root, false)).await;
    assert_eq!(stopped.announcements.personal, [followed(ben, stopped.answer)]);
    assert!(!stopped.answer.following);
    assert_eq!(world.done(world.follow(ben, root, false)).await.announcements.personal, []);
    assert_eq!(world.done(in_thread(ben, general, root, "never mind")).await.announcements.personal, []);
    assert_eq!(listed(ben).await, (0, vec![]));
    assert!(world.done(world.follow(eva, root, true)).await.answer.following, "and whoever wants to follows");
    world.done(in_thread(ben, general, root, "now")).await;
    assert_eq!((listed(eva).await.0, listed(ana).await), (1, (1, vec![(2, "now".into())])));
    let all = world.done(ReadAll { person: eva }).await;
    assert!(all.announcements.personal.contains(&(eva, PersonEvent::ThreadsRead)));
    assert_eq!(listed(eva).await.0, 0);
    assert!(
        !world.done(ReadAll { person: eva }).await.announcements.personal.contains(&(eva, PersonEvent::ThreadsRead))
    );

    // Whoever leaves sees nothing of it; what they followed is there again when they are back.
    world.done(Leave { person: eva, room: general }).await;
    assert_eq!(listed(eva).await, (0, vec![]));
    let page = PageQuery { from: PageFrom::End, limit: 9 };
    assert_eq!(world.store.thread(general, eva, root, page).await.unwrap(), None, "S36");
    world.done(Join { person: eva, room: general }).await;
    assert_eq!(listed(eva).await.1.len(), 1);

    // The one that was answered last comes first, in pages that meet.
    let mut roots = vec![root];
    for n in 0..3 {
        world.now = world.now.plus(Duration::from_secs(1));
        let another = world.post(ana, general, &format!("thread {n}")).await.id;
        world.done(in_thread(eva, general, another, "yes")).await;
        roots.push(another);
    }
    world.now = world.now.plus(Duration::from_secs(1));
    let newest = world.done(in_thread(eva, general, roots[1], "again")).await.answer.id;
    let order = [roots[1], roots[3], roots[2], roots[0]];
    let (mut before, mut found) = (None, Vec::new());
    loop {
        let page = world.store.threads(ana, before, 2).await.unwrap();
        assert_eq!(page.unread, 4, "of all of them");
        before = page.threads.last().map(|thread| thread.replies.last.id);
        found.extend(page.threads.iter().map(|thread| thread.reading.id));
        if !page.more {
            break;
        }
    }
    assert_eq!(found, order);
    world.done(world.delete(eva, newest, None)).await;
    let page = world.store.threads(ana, None, 9).await.unwrap();
    assert_eq!(
        page.threads.iter().map(|it| it.reading.id).collect::<Vec<_>>(),
        [roots[3], roots[2], roots[1], roots[0]]
    );
    assert_eq!(world.store.threads(ana, Some(MessageId::fresh()), 9).await.unwrap().threads, []);
}

pub(in crate::store) async fn g5_whoever_is_gone_is_told_of_no_answer_under_what_they_wrote(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let (ana, general) = (world.ana, world.general);
    let (ben, eva) = (world.invited("Ben").await, world.invited("Eva").await);
    let root = world.post(ben, general, "who comes?").await.id;
    world.done(Leave { person: ben, room: general }).await;
    let told = world.done(in_thread(ana, general, root, &format!("I do, and <@{eva}>, and <@{ben}>"))).await;
    let people: Vec<_> = told.announcements.personal.iter().map(|(person, _)| *person).collect();
    assert_eq!(people, [ana, eva], "who answers and who is mentioned follow it, of those who are there");
    world.done(Join { person: ben, room: general }).await;
    let told = world.done(in_thread(eva, general, root, "and you?")).await;
    let people: Vec<_> = told.announcements.personal.iter().map(|(person, _)| *person).collect();
    assert_eq!(people, [ben], "back again, they are told");
    assert_eq!(
        world.store.room(general, eva).await.unwrap().unwrap().reading.unwrap().mentions,
        0,
        "it is not in the room"
    );
}

fn archive(person: PersonId, room: RoomId) -> EditRoom {
    EditRoom { person, room, edit: RoomEdit { is_archived: Some(true), ..RoomEdit::default() } }
}
