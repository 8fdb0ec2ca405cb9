//! Who is mentioned, answered and reacted to: what is counted for them, and what they find.

use super::*;
use crate::{
    changes::{MentionRefusal, SetRole},
    limits::{EVERYBODY_ASKED_ABOVE, MENTIONS_MAX},
    model::{Activity, ActivityFrom, ActivityKind, ActivityPage, ActivityQuery},
};

impl World {
    /// How many mentions wait for somebody in a room, which two questions answer alike.
    async fn mentions(&self, room: RoomId, person: PersonId) -> u32 {
        let listed = self.store.own_rooms(person).await.unwrap().into_iter().find(|own| own.id == room).unwrap();
        let reading = listed.reading.unwrap();
        let moved = self.done(Read { person, room, to: Move::Forward(reading.read) }).await.answer.reading;
        assert_eq!(moved, reading, "the list and the answer to a move");
        reading.mentions
    }

    async fn say(&self, author: PersonId, body: &str) -> Posted {
        self.post(author, self.general, body).await
    }

    async fn activity_page(&self, person: PersonId, query: ActivityQuery) -> ActivityPage {
        self.store.activity(person, query).await.unwrap()
    }

    /// What concerns somebody, the newest first: its kind, and what the message says.
    async fn activity(&self, person: PersonId, kind: Option<ActivityKind>) -> Vec<(&'static str, String)> {
        let page = self.activity_page(person, ActivityQuery { kind, before: None, limit: 50 }).await;
        let words = |one: Activity| (one.kind, one.message.body.words());
        page.activity.into_iter().map(words).collect()
    }

    async fn answer(&self, author: PersonId, to: MessageId, body: &str) -> Posted {
        let Post(new) = message(author, self.general, ClientId::fresh(), body);
        self.done(Post(NewMessage { reply_to: Some(to), ..new })).await.answer
    }
}

fn with(mentions: Mentions, author: PersonId, room: RoomId, body: &str) -> Post {
    let Post(new) = message(author, room, ClientId::fresh(), body);
    Post(NewMessage { mentions, ..new })
}

pub(in crate::store) async fn whoever_is_mentioned_has_that_counted_until_they_have_read_it(fixture: &impl Fixture) {
    let mut world = World::new(fixture).await;
    let (ana, general) = (world.ana, world.general);
    let (ben, eva) = (world.invited("Ben").await, world.invited("Eva").await);
    let said = world.say(ana, &format!("<@{ben}> and <@{ana}>, and <@{ben}> again; `<@{eva}>`")).await;
    assert_eq!(world.mentions(general, ben).await, 1, "once a message");
    assert_eq!(world.mentions(general, ana).await, 0, "nobody is told what they say themselves");
    assert_eq!(world.mentions(general, eva).await, 0, "code is code");
    world.say(ana, &format!("*<@{eva}>*")).await;
    world.say(eva, "nobody").await;
    assert_eq!((world.mentions(general, ben).await, world.mentions(general, eva).await), (1, 1));
    let read = world.done(Read { person: ben, room: general, to: Move::Forward(said.number) }).await.answer;
    assert_eq!((read.reading.unread, read.reading.mentions), (2, 0));
    let again = world.done(Read { person: ben, room: general, to: Move::To(said.number - 1) }).await.answer;
    assert_eq!(again.reading.mentions, 1, "to be read again");

    world.done(world.delete(ana, said.id, None)).await;
    assert_eq!(world.mentions(general, ben).await, 0, "S36");
    assert_eq!(world.activity(ben, None).await, []);
    world.done(world.restore(ana, said.id)).await;
    assert_eq!(world.mentions(general, ben).await, 1);
    world.done(world.delete(ana, said.id, None)).await;
    world.now = world.now.plus(DELETE_UNDO);
    world.done(EraseDeleted).await;
    assert_eq!(world.mentions(general, ben).await, 0);

    world.say(ana, "<@room>: tea?").await;
    assert_eq!((world.mentions(general, ben).await, world.mentions(general, ana).await), (1, 0));
    world.now = world.now.plus(Duration::from_millis(1));
    let late = world.invited("Late").await;
    assert_eq!(world.mentions(general, late).await, 0, "who was not there");
    assert_eq!(world.activity(late, None).await, []);
    let everybody = format!("<@room> <@{ben}>");
    world.say(ana, &everybody).await;
    assert_eq!(world.mentions(general, ben).await, 2, "by name and with the others is once");
    assert_eq!(world.activity(ben, None).await[0], ("mention", "@room @Ben".into()));
    assert_eq!(world.activity(ben, None).await.len(), 2);
}

pub(in crate::store) async fn the_names_of_the_mentioned_are_those_of_members_at_that_time(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let (ana, ben) = (world.ana, world.invited("Ben").await);
    let room = world.room(ana, "Other").await;
    let in_general = world.say(ben, &format!("<@{ana}> and <@{ben}> know <@{}>", PersonId::fresh())).await.id;
    let (read, _) = world.read(ana, in_general).await;
    assert_eq!(read.body.words(), "@Ana and @Ben know @unknown");
    let elsewhere = message(ana, room, ClientId::fresh(), &format!("not for <@{ben}>"));
    let told = world.done(elsewhere).await;
    let words = |event: &Event| event.kind.message().unwrap().body.words();
    assert_eq!(words(&told.announcements.events[0]), "not for @unknown", "S40");
    let read = world.store.message(room, ana, told.answer.id).await.unwrap().unwrap();
    assert_eq!(read.body.words(), "not for @unknown", "the same live and later");
    world.done(Join { person: ben, room }).await;
    let read = world.store.message(room, ben, told.answer.id).await.unwrap().unwrap();
    assert_eq!(read.body.words(), "not for @unknown", "whoever came later was not meant");
    assert_eq!((world.mentions(room, ben).await, world.activity(ben, None).await), (0, vec![]));

    // What answers a mention shows the name, also where the beginning ends within one.
    let answer = world.answer(ana, in_general, "yes").await.id;
    let (answer, _) = world.read(ben, answer).await;
    assert_eq!(answer.reply_to.unwrap().body.words(), "@Ana and @Ben know @unknown");
    let long = world.say(ana, &format!("{}<@{ben}>", "long ".repeat(35))).await.id;
    let answer = world.answer(ben, long, "that it is").await.id;
    let (answer, _) = world.read(ben, answer).await;
    assert_eq!(answer.reply_to.unwrap().body.words(), "long ".repeat(35).trim_end());

    let all = world.store.events(world.general, Some(ana), PageQuery { from: PageFrom::End, limit: 50 }, usize::MAX);
    let all = all.await.unwrap().unwrap().events;
    assert!(all.iter().any(|event| event.kind.message().is_some_and(|m| m.body.words().starts_with("@Ana and @Ben"))));
}

pub(in crate::store) async fn an_edit_tells_who_is_new_and_no_longer_who_is_gone(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let (ana, general) = (world.ana, world.general);
    let (ben, eva) = (world.invited("Ben").await, world.invited("Eva").await);
    let said = world.say(ana, &format!("<@{ben}>")).await.id;
    let edited = world.done(world.edit(ana, said, &format!("<@{eva}>, not Ben"))).await;
    assert_eq!(edited.answer.body.words(), "@Eva, not Ben");
    world.told(&edited).await;
    assert_eq!((world.mentions(general, ben).await, world.mentions(general, eva).await), (0, 1));
    assert_eq!((world.activity(ben, None).await.len(), world.activity(eva, None).await.len()), (0, 1));
    let (_, edits) = world.read(eva, said).await;
    assert_eq!(edits[0].body.words(), "@Ben", "what it said before has its names");

    // Whoever has left since is named as before, and told of nothing.
    world.done(Remove { by: ana, room: general, person: eva }).await;
    let edited = world.done(world.edit(ana, said, &format!("<@{eva}> and <@{ben}>"))).await;
    assert_eq!(edited.answer.body.words(), "@Eva and @Ben");
    world.told(&edited).await;
    assert_eq!((world.mentions(general, ben).await, world.activity(eva, None).await), (1, vec![]));
    world.done(Join { person: eva, room: general }).await;
    assert_eq!(world.activity(eva, None).await.len(), 1, "what one was told is there again with the room");

    world.say(ana, "<@room>").await;
    let all = world.say(ana, "<@room>!").await.id;
    assert_eq!(world.mentions(general, ben).await, 3);
    world.done(world.edit(ana, all, "nobody")).await;
    assert_eq!(world.mentions(general, ben).await, 2);
    world.done(world.edit(ana, all, "<@room> after all")).await;
    assert_eq!(world.mentions(general, ben).await, 2, "all in a room are told by a new message or never");
    let deleted = world.done(world.delete(ana, said, None)).await;
    world.told(&deleted).await;
    let restored = world.done(world.restore(ana, said)).await;
    assert_eq!(restored.answer.body.words(), "@Eva and @Ben");
    world.told(&restored).await;
}

pub(in crate::store) async fn a_large_room_is_told_by_who_says_so_and_by_no_guest(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let (ana, general) = (world.ana, world.general);
    let ben = world.invited("Ben").await;
    for n in 2..EVERYBODY_ASKED_ABOVE {
        world.invited(&format!("Person{n}")).await;
    }
    world.say(ana, "<@room>").await;
    let last = world.invited("Last").await;
    let members = EVERYBODY_ASKED_ABOVE + 1;
    for body in ["<@room>", "<@here>"] {
        let refused = world.refused(message(ana, general, ClientId::fresh(), body)).await;
        assert_eq!(refused, PostRefusal::Mention(MentionRefusal::IsLarge { members }));
        let meant = Mentions { everybody: true, listening: vec![last, ana, PersonId::fresh()], ..Mentions::of(body) };
        world.done(with(meant, ana, general, body)).await;
    }
    assert_eq!(world.mentions(general, ben).await, 2);
    assert_eq!(world.mentions(general, last).await, 2, "of those who listen, and of all");
    assert_eq!(world.activity(last, Some(ActivityKind::Mentions)).await[0], ("here", "@here".into()));
    world.say(ana, "`<@room>` \\<@here>").await;
    let meant = Mentions { everybody: true, listening: vec![last], ..Mentions::of("<@here>") };
    let named = world.done(with(meant, ana, general, "<@here>")).await.answer.id;
    world.done(world.edit(ana, named, &format!("<@{last}> alone"))).await;
    assert_eq!(world.mentions(general, last).await, 3, "who was told with others is named now, and told still");
    assert_eq!(world.activity(last, Some(ActivityKind::Mentions)).await[0], ("mention", "@Last alone".into()));

    world.done(SetRole { by: None, person: ben, role: Role::Guest }).await;
    let meant = Mentions { everybody: true, ..Mentions::of("<@here>") };
    let refused = world.refused(with(meant, ben, general, "<@here>")).await;
    assert_eq!(refused, PostRefusal::Mention(MentionRefusal::IsGuest));
    let many: String = (0..=MENTIONS_MAX).map(|_| format!("<@{}>", PersonId::fresh())).collect();
    let refused = world.refused(message(ana, general, ClientId::fresh(), &many)).await;
    assert_eq!(refused, PostRefusal::Mention(MentionRefusal::TooMany));
    let said = world.say(ana, "x").await.id;
    assert_eq!(world.refused(world.edit(ana, said, &many)).await, EditRefusal::TooManyMentioned);
}

pub(in crate::store) async fn what_concerns_somebody_is_found_the_newest_first(fixture: &impl Fixture) {
    let mut world = World::new(fixture).await;
    let (ana, ben) = (world.ana, world.invited("Ben").await);
    let later = |world: &mut World| world.now = world.now.plus(Duration::from_secs(1));
    let tea = world.say(ben, "tea?").await.id;
    world.answer(ben, tea, "I have some").await;
    later(&mut world);
    world.answer(ana, tea, "yes please").await;
    later(&mut world);
    world.done(world.react(ana, tea, "🫖", true)).await;
    world.done(world.react(ben, tea, "👍", true)).await;
    later(&mut world);
    world.say(ana, &format!("<@{ben}> ready?")).await;
    let other = world.room(ana, "Other").await;
    world.post(ana, other, &format!("<@{ben}> is not here")).await;

    let one = |kind, words: &str| (kind, words.to_owned());
    let all = [one("mention", "@Ben ready?"), one("reaction", "tea?"), one("reply", "yes please")];
    assert_eq!(world.activity(ben, None).await, all, "and nothing of one's own");
    assert_eq!(world.activity(ana, None).await, []);
    let kinds = [ActivityKind::Mentions, ActivityKind::Reactions, ActivityKind::Replies];
    for (kind, one) in kinds.into_iter().zip(&all) {
        assert_eq!(world.activity(ben, Some(kind)).await, std::slice::from_ref(one), "{kind:?}");
    }
    let mut before = None;
    for (at, one) in all.iter().enumerate() {
        let page = world.activity_page(ben, ActivityQuery { kind: None, before, limit: 1 }).await;
        assert_eq!((page.activity.len(), page.activity[0].kind), (1, one.0));
        assert_eq!(page.next.is_some(), at < 2);
        before = page.next.map(|next| ActivityFrom::parse(&next.to_string()).unwrap());
    }
    let reaction = &world.activity_page(ben, ActivityQuery { kind: None, before: None, limit: 2 }).await.activity[1];
    assert_eq!((reaction.actor.name.as_str(), reaction.emoji.as_deref()), ("Ana", Some("🫖")));

    // One that mentions and answers is found by both, also where a page ends in between.
    world.answer(ana, tea, &format!("<@{ben}>, <@room>")).await;
    let query = |before, kind| ActivityQuery { kind, before, limit: 1 };
    let first = world.activity_page(ben, query(None, None)).await;
    let second = world.activity_page(ben, query(first.next, None)).await;
    assert_eq!((first.activity[0].event, first.activity[0].kind), (second.activity[0].event, "reply"));
    assert_eq!(second.activity[0].kind, "mention");
    world.done(world.delete(ana, first.activity[0].message.id, None)).await;

    world.done(world.react(ana, tea, "🫖", false)).await;
    assert_eq!(world.activity(ben, None).await.len(), 2, "it was taken back");
    world.done(world.react(ana, tea, "🫖", true)).await;
    world.done(Remove { by: ana, room: world.general, person: ben }).await;
    assert_eq!(world.activity(ben, None).await, [], "S36: of a room that they are in no more");
    world.done(Join { person: ben, room: world.general }).await;
    assert_eq!(world.activity(ben, None).await.len(), 3);
    world.done(world.delete(ben, tea, None)).await;
    assert_eq!(world.activity(ben, Some(ActivityKind::Reactions)).await, []);
}
