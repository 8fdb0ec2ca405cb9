//! The contract of every store, as tests: a store's own test module calls [`runs_the_contract!`].
//!
//! Each test gets a fixture that opens the same database as often as it is asked to, which is how a restart looks to it.

use std::{sync::Arc, time::Duration};

use super::{
    Applied, ApplyError, Change, NewMessage, NewPerson, NewRoom, NewSession, Outcome, Page, PageFrom, Posted, Refusal,
    Store,
};
use crate::{
    events::{Event, EventKind},
    ids::{ClientId, MessageId, PersonId, RoomId, SessionId},
    invites::Invite,
    limits::{
        INVITE_LIFETIME, INVITE_USES_MAX, SESSION_IDLE, SESSION_LIFETIME, SESSION_REMEMBERED, SESSIONS_PER_PERSON_MAX,
    },
    names::{Email, Name, Topic},
    passwords::StoredHash,
    people::Role,
    rooms::MemberRole,
    secrets::{Code, Digested, Token},
    time::Time,
};

/// Opens the same database each time.
pub(super) trait Fixture {
    fn open(&self) -> Arc<dyn Store>;
}

macro_rules! contract_tests {
    ($fixture:expr; $($name:ident),* $(,)?) => {$(
        #[tokio::test]
        async fn $name() {
            $crate::store::contract::$name(&$fixture).await;
        }
    )*};
}

macro_rules! runs_the_contract {
    ($fixture:expr) => {
        $crate::store::contract::contract_tests! { $fixture;
            the_first_account_is_made_once,
            an_address_has_one_account,
            s29_an_invite_works_until_it_is_used_up_expired_or_replaced,
            an_invite_is_not_used_up_by_members,
            s29_a_revoked_invite_comes_back_by_the_hand_of_who_may_revoke,
            a_session_is_found_by_its_token_until_it_ends,
            s22_sessions_expire_by_idleness_and_by_age,
            s21_a_new_password_ends_the_other_sessions,
            a_sign_in_checked_against_an_old_password_is_refused,
            a_person_has_a_bounded_number_of_sessions,
            g1_what_was_answered_is_there_after_opening_again,
            g2_a_send_is_stored_once_for_ever,
            s41_a_client_id_belongs_to_its_author,
            g3_each_room_numbers_its_events_without_gaps,
            a_refused_change_leaves_the_others_of_its_batch_alone,
            history_is_read_in_pages_that_meet,
            s40_outsiders_learn_nothing_of_a_room_but_its_card,
            only_the_creator_and_administrators_manage_a_room,
            who_left_is_no_member_and_may_come_back,
            rooms_are_listed_joined_first_and_by_name,
        }
    };
}

pub(super) use {contract_tests, runs_the_contract};

const START: Time = Time::from_millis(1_763_630_000_000);

/// A store with Ana, the administrator, in the first room.
pub(super) struct World {
    store: Arc<dyn Store>,
    now: Time,
    ana: PersonId,
    general: RoomId,
    invite: Code,
    token: Digested,
}

impl World {
    async fn new(fixture: &impl Fixture) -> Self {
        Self::over(fixture.open()).await
    }

    pub(super) async fn over(store: Arc<dyn Store>) -> Self {
        let (invite, token) = (Code::fresh(), Token::fresh().digest());
        let (person, room) = (new_person("Ana"), new_room("General"));
        let (ana, general) = (person.id, room.id);
        let change = Change::SetUp { person, session: new_session(token), room, invite: invite.clone() };
        store.apply(vec![change], START).await.remove(0).unwrap();
        Self { store, now: START, ana, general, invite, token }
    }

    async fn all(&self, changes: Vec<Change>) -> Vec<Result<Applied, ApplyError>> {
        self.store.apply(changes, self.now).await
    }

    async fn done(&self, change: Change) -> Applied {
        self.all(vec![change]).await.remove(0).unwrap()
    }

    async fn refused(&self, change: Change) -> Refusal {
        refusal(self.all(vec![change]).await.remove(0))
    }

    async fn invited(&self, name: &str) -> PersonId {
        let person = new_person(name);
        let id = person.id;
        let session = new_session(Token::fresh().digest());
        self.done(Change::CreateAccount { invite: self.invite.digest(), person, session }).await;
        id
    }

    async fn room(&self, creator: PersonId, name: &str) -> RoomId {
        let room = new_room(name);
        let id = room.id;
        self.done(Change::CreateRoom { person: creator, room }).await;
        id
    }

    async fn post(&self, author: PersonId, room: RoomId, body: &str) -> Posted {
        posted(&self.done(message(author, room, ClientId::fresh(), body)).await)
    }

    /// Posts of the administrator in the first room, in one batch.
    pub(super) async fn say_together(&self, bodies: &[&str]) -> Vec<Result<Applied, ApplyError>> {
        let say = |body: &&str| message(self.ana, self.general, ClientId::fresh(), body);
        self.all(bodies.iter().map(say).collect()).await
    }

    pub(super) async fn renew_the_invite(&self) {
        self.done(Change::RenewInvite { person: self.ana, room: self.general, code: Code::fresh() }).await;
    }

    /// What stands in the first room.
    pub(super) async fn bodies(&self) -> Vec<String> {
        let page = Page { from: PageFrom::End, limit: 100 };
        let page = self.store.messages(self.general, self.ana, page).await.unwrap().unwrap();
        page.messages.into_iter().map(|message| message.body).collect()
    }

    async fn events(&self, room: RoomId) -> Vec<Event> {
        let page = Page { from: PageFrom::After(0), limit: 1_000 };
        self.store.events(room, None, page).await.unwrap().unwrap().events
    }
}

pub(super) fn set_up(name: &str) -> Change {
    let session = new_session(Token::fresh().digest());
    Change::SetUp { person: new_person(name), session, room: new_room("General"), invite: Code::fresh() }
}

fn new_person(name: &str) -> NewPerson {
    NewPerson {
        id: PersonId::fresh(),
        name: Name::parse(name).unwrap(),
        email: Email::parse(&format!("{name}@example.com")).unwrap(),
        hash: StoredHash("a hash".into()),
    }
}

fn new_session(token: Digested) -> NewSession {
    NewSession { id: SessionId::fresh(), token, user_agent: "a browser".into() }
}

fn new_room(name: &str) -> NewRoom {
    NewRoom::fresh(Name::parse(name).unwrap(), Topic::default())
}

fn message(author: PersonId, room: RoomId, client_id: ClientId, body: &str) -> Change {
    let mut digest = [0; 32];
    digest[..body.len().min(32)].copy_from_slice(&body.as_bytes()[..body.len().min(32)]);
    Change::Post(NewMessage { id: MessageId::fresh(), room, author, client_id, body: body.into(), digest })
}

fn posted(applied: &Applied) -> Posted {
    let Outcome::Posted(posted) = applied.outcome else { panic!("{applied:?}") };
    posted
}

fn invite_of(applied: Applied) -> Invite {
    let Outcome::Invite(invite) = applied.outcome else { panic!("{applied:?}") };
    invite
}

#[track_caller]
fn refusal(answer: Result<Applied, ApplyError>) -> Refusal {
    match answer {
        Err(ApplyError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

pub(super) async fn the_first_account_is_made_once(fixture: &impl Fixture) {
    let store = fixture.open();
    assert!(!store.is_set_up().await.unwrap());
    let mut answers = store.apply(vec![set_up("Ana"), set_up("Ben")], START).await;
    assert_eq!(refusal(answers.pop().unwrap()), Refusal::AlreadySetUp);
    let applied = answers.pop().unwrap().unwrap();
    let Outcome::Account { person, room, invite: Some(invite) } = &applied.outcome else { panic!("{applied:?}") };
    assert_eq!((person.role, room.members, room.is_member, room.offset), (Role::Admin, 1, true, 1));
    assert_eq!(store.invite(invite.code.digest(), START).await.unwrap().unwrap().inviter.name, "Ana");
    assert!(matches!(&applied.events[..], [Event { number: 1, kind: EventKind::RoomCreated { .. }, .. }]));
    assert!(store.is_set_up().await.unwrap());
    assert_eq!(store.people().await.unwrap().len(), 1, "the loser left nothing behind");
}

pub(super) async fn an_address_has_one_account(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    world.invited("Ben").await;
    let again = Change::CreateAccount {
        invite: world.invite.digest(),
        person: new_person("Ben"),
        session: new_session(Token::fresh().digest()),
    };
    assert_eq!(world.refused(again).await, Refusal::EmailTaken);
    let credentials = world.store.credentials(Email::parse("ben@example.com").unwrap()).await.unwrap().unwrap();
    assert_eq!(credentials.person.role, Role::Member);
    let nobody = Email::parse("nobody@example.com").unwrap();
    assert!(world.store.credentials(nobody).await.unwrap().is_none());
}

pub(super) async fn s29_an_invite_works_until_it_is_used_up_expired_or_replaced(fixture: &impl Fixture) {
    let mut world = World::new(fixture).await;
    let (ana, room) = (world.ana, world.general);
    let accept = |code: &Code, person| Change::AcceptInvite { invite: code.digest(), person };
    let stranger = world.invited("Ben").await;
    world.done(Change::Leave { person: stranger, room }).await;

    let current = invite_of(world.done(Change::CurrentInvite { person: ana, room, code: Code::fresh() }).await);
    assert!(current.code.is(world.invite.reveal()), "a good invite stays");
    assert_eq!((current.uses, current.uses_max), (1, INVITE_USES_MAX));

    let renewed = invite_of(world.done(Change::RenewInvite { person: ana, room, code: Code::fresh() }).await);
    assert_eq!(world.refused(accept(&current.code, stranger)).await, Refusal::InviteInvalid);
    assert!(world.store.invite(current.code.digest(), world.now).await.unwrap().is_none());

    world.now = world.now.plus(INVITE_LIFETIME);
    assert_eq!(world.refused(accept(&renewed.code, stranger)).await, Refusal::InviteInvalid);
    let next = invite_of(world.done(Change::CurrentInvite { person: ana, room, code: Code::fresh() }).await);
    assert!(!next.code.is(renewed.code.reveal()), "an expired invite is replaced");

    world.done(Change::RevokeInvite { person: ana, room }).await;
    assert_eq!(world.refused(accept(&next.code, stranger)).await, Refusal::InviteInvalid);
    assert_eq!(world.refused(accept(&Code::fresh(), stranger)).await, Refusal::InviteInvalid);

    let last = invite_of(world.done(Change::CurrentInvite { person: ana, room, code: Code::fresh() }).await);
    for _ in 0..INVITE_USES_MAX {
        world.done(accept(&last.code, stranger)).await;
        world.done(Change::Leave { person: stranger, room }).await;
    }
    assert_eq!(world.refused(accept(&last.code, stranger)).await, Refusal::InviteInvalid);
}

pub(super) async fn an_invite_is_not_used_up_by_members(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let accepted = world.done(Change::AcceptInvite { invite: world.invite.digest(), person: world.ana }).await;
    assert_eq!(accepted.events, []);
    let current = Change::CurrentInvite { person: world.ana, room: world.general, code: Code::fresh() };
    assert_eq!(invite_of(world.done(current).await).uses, 0);
}

pub(super) async fn s29_a_revoked_invite_comes_back_by_the_hand_of_who_may_revoke(fixture: &impl Fixture) {
    let mut world = World::new(fixture).await;
    let (ana, ben, room) = (world.ana, world.invited("Ben").await, world.general);
    let current = |person| Change::CurrentInvite { person, room, code: Code::fresh() };
    let seen = async |world: &World| world.store.room_invite(room, ben, world.now).await.unwrap();
    assert!(seen(&world).await.is_some());
    assert!(world.store.room_invite(room, PersonId::fresh(), START).await.unwrap().is_none(), "for members alone");

    world.done(Change::RevokeInvite { person: ana, room }).await;
    assert!(seen(&world).await.is_none());
    assert_eq!(world.refused(current(ben)).await, Refusal::NotAllowed);
    world.now = world.now.plus(INVITE_LIFETIME * 10);
    world.done(Change::SweepSessions).await;
    assert_eq!(world.refused(current(ben)).await, Refusal::NotAllowed, "a revocation does not wear off");
    let renewed = invite_of(world.done(Change::RenewInvite { person: ana, room, code: Code::fresh() }).await);
    assert_eq!(seen(&world).await.unwrap(), renewed);

    world.now = world.now.plus(INVITE_LIFETIME);
    let next = invite_of(world.done(current(ben)).await);
    assert!(!next.code.is(renewed.code.reveal()), "one that merely ran out is followed by another");
}

pub(super) async fn a_session_is_found_by_its_token_until_it_ends(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let who = world.store.session(world.token, START).await.unwrap().unwrap();
    assert_eq!((who.person.id, who.session.user_agent.as_str()), (world.ana, "a browser"));
    assert!(world.store.session(Token::fresh().digest(), START).await.unwrap().is_none());

    let stranger = world.invited("Ben").await;
    let session = who.session.id;
    let theirs = Change::EndSession { person: stranger, session };
    assert_eq!(world.refused(theirs).await, Refusal::NoSuchSession, "S41: somebody else's session");
    assert!(world.store.session_is_open(session, START).await.unwrap());
    let ended = world.done(Change::EndSession { person: world.ana, session }).await;
    assert_eq!(ended.ended, [session]);
    assert!(!world.store.session_is_open(session, START).await.unwrap());
    assert!(world.store.session(world.token, START).await.unwrap().is_none());
    assert!(world.store.sessions(world.ana, START).await.unwrap().is_empty());
    assert_eq!(world.store.sessions_ended(START).await.unwrap(), [session]);
    assert_eq!(world.refused(Change::EndSession { person: world.ana, session }).await, Refusal::NoSuchSession);
}

pub(super) async fn s22_sessions_expire_by_idleness_and_by_age(fixture: &impl Fixture) {
    let mut world = World::new(fixture).await;
    let session = world.store.session(world.token, START).await.unwrap().unwrap().session.id;
    let is_open = |now| world.store.session_is_open(session, now);
    assert!(!is_open(START.plus(SESSION_IDLE)).await.unwrap());

    let mut now = START;
    while now < START.plus(SESSION_LIFETIME).minus(Duration::from_hours(24)) {
        now = now.plus(Duration::from_hours(24));
        world.store.apply(vec![Change::TouchSession { session }], now).await.remove(0).unwrap();
    }
    assert!(is_open(now).await.unwrap(), "a session in use stays open");
    assert!(!is_open(START.plus(SESSION_LIFETIME)).await.unwrap(), "but not for ever");

    world.now = START.plus(SESSION_LIFETIME);
    assert_eq!(world.done(Change::SweepSessions).await.ended, [session]);
    assert_eq!(world.store.sessions_ended(world.now).await.unwrap(), [session]);
    world.now = world.now.plus(SESSION_REMEMBERED).plus(Duration::from_secs(1));
    assert_eq!(world.done(Change::SweepSessions).await.ended, []);
    assert_eq!(world.store.sessions_ended(START).await.unwrap(), [], "ended sessions are forgotten");
}

pub(super) async fn s21_a_new_password_ends_the_other_sessions(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let first = world.store.session(world.token, START).await.unwrap().unwrap().session.id;
    let session = new_session(Token::fresh().digest());
    let second = session.id;
    let checked = StoredHash("a hash".into());
    world.done(Change::OpenSession { person: world.ana, checked, session }).await;
    let hash = StoredHash("another hash".into());
    let set = Change::SetPassword { person: world.ana, hash: hash.clone(), keep: Some(second) };
    assert_eq!(world.done(set).await.ended, [first]);
    let set = Change::SetPassword { person: world.ana, hash, keep: None };
    assert_eq!(world.done(set).await.ended, [second]);
}

pub(super) async fn a_sign_in_checked_against_an_old_password_is_refused(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let old = StoredHash("a hash".into());
    let new = StoredHash("another hash".into());
    world.done(Change::SetPassword { person: world.ana, hash: new.clone(), keep: None }).await;
    let session = new_session(Token::fresh().digest());
    let sign_in = Change::OpenSession { person: world.ana, checked: old.clone(), session };
    assert_eq!(world.refused(sign_in).await, Refusal::PasswordChanged);
    // Nor does a hash renewed meanwhile bring the old password back.
    world.done(Change::Rehash { person: world.ana, old, new: StoredHash("renewed".into()) }).await;
    let credentials = world.store.credentials(Email::parse("ana@example.com").unwrap()).await.unwrap().unwrap();
    assert_eq!(credentials.hash, new);
}

pub(super) async fn a_person_has_a_bounded_number_of_sessions(fixture: &impl Fixture) {
    let mut world = World::new(fixture).await;
    let first = world.store.session(world.token, START).await.unwrap().unwrap().session.id;
    let mut ended = Vec::new();
    for _ in 0..SESSIONS_PER_PERSON_MAX {
        world.now = world.now.plus(Duration::from_secs(1));
        let session = new_session(Token::fresh().digest());
        let checked = StoredHash("a hash".into());
        ended.extend(world.done(Change::OpenSession { person: world.ana, checked, session }).await.ended);
    }
    assert_eq!(ended, [first], "the one unused for longest gave way");
}

pub(super) async fn g1_what_was_answered_is_there_after_opening_again(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let said = world.post(world.ana, world.general, "hello").await;
    // While the first one is still open: what was answered is committed, not merely promised.
    let reopened = fixture.open();
    let message = reopened.message(world.general, world.ana, said.id).await.unwrap().unwrap();
    assert_eq!((message.body.as_str(), message.number, message.time), ("hello", said.number, said.time));
}

pub(super) async fn g2_a_send_is_stored_once_for_ever(fixture: &impl Fixture) {
    let mut world = World::new(fixture).await;
    let (ana, room, client_id) = (world.ana, world.general, ClientId::fresh());
    let first = posted(&world.done(message(ana, room, client_id, "hello")).await);
    assert!(!first.repeated);
    world.now = world.now.plus(Duration::from_secs(1));
    for _ in 0..2 {
        let again = world.done(message(ana, room, client_id, "hello")).await;
        assert_eq!(again.events, [], "nothing is announced twice");
        let Posted { id, number, time, repeated } = posted(&again);
        assert_eq!((id, number, time, repeated), (first.id, first.number, first.time, true));
        world.store = fixture.open();
    }
    assert_eq!(world.refused(message(ana, room, client_id, "other")).await, Refusal::Conflict);
    let twice = vec![message(ana, room, ClientId::fresh(), "once"); 2];
    let answers: Vec<_> = world.all(twice).await.into_iter().map(|answer| posted(&answer.unwrap())).collect();
    assert_eq!(answers[0].id, answers[1].id, "not even within one batch");
    assert_eq!(world.events(room).await.len(), 3);

    world.done(Change::Leave { person: ana, room }).await;
    assert!(posted(&world.done(message(ana, room, client_id, "hello")).await).repeated, "it stays acknowledged");
}

pub(super) async fn s41_a_client_id_belongs_to_its_author(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let (ben, client_id) = (world.invited("Ben").await, ClientId::fresh());
    let hers = posted(&world.done(message(world.ana, world.general, client_id, "hers")).await);
    let his = posted(&world.done(message(ben, world.general, client_id, "his")).await);
    assert!(hers.id != his.id && !his.repeated);
}

pub(super) async fn g3_each_room_numbers_its_events_without_gaps(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let other = world.room(world.ana, "Other").await;
    let batch = (0..40).map(|i| {
        let room = if i % 3 == 0 { other } else { world.general };
        message(world.ana, room, ClientId::fresh(), &format!("message {i}"))
    });
    let answers = world.all(batch.collect()).await;
    let announced: Vec<Event> = answers.into_iter().flat_map(|answer| answer.unwrap().events).collect();
    for room in [world.general, other] {
        let events = world.events(room).await;
        let numbers: Vec<_> = events.iter().map(|event| event.number).collect();
        assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());
        let announced: Vec<_> = announced.iter().filter(|event| event.room == room).cloned().collect();
        assert_eq!(announced, events[1..], "what is announced is what is read later");
        let page = world.store.events(room, None, Page { from: PageFrom::End, limit: 0 }).await.unwrap().unwrap();
        assert_eq!(page.offset, events.len() as u64);
    }
}

pub(super) async fn a_refused_change_leaves_the_others_of_its_batch_alone(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let batch = vec![
        message(world.ana, world.general, ClientId::fresh(), "first"),
        message(PersonId::fresh(), world.general, ClientId::fresh(), "stranger"),
        message(world.ana, RoomId::fresh(), ClientId::fresh(), "nowhere"),
        message(world.ana, world.general, ClientId::fresh(), "second"),
    ];
    let mut answers = world.all(batch).await.into_iter();
    assert_eq!(posted(&answers.next().unwrap().unwrap()).number, 2);
    assert_eq!(refusal(answers.next().unwrap()), Refusal::NotMember);
    assert_eq!(refusal(answers.next().unwrap()), Refusal::NotMember);
    assert_eq!(posted(&answers.next().unwrap().unwrap()).number, 3, "the refused ones took no number");
}

pub(super) async fn history_is_read_in_pages_that_meet(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let (ana, room) = (world.ana, world.general);
    for i in 0..10 {
        world.post(ana, room, &format!("message {i}")).await;
    }
    let read = async |from, limit| {
        let page = world.store.events(room, Some(ana), Page { from, limit }).await.unwrap().unwrap();
        assert_eq!(page.offset, 11);
        (page.events.iter().map(|event| event.number).collect::<Vec<_>>(), page.more)
    };
    assert_eq!(read(PageFrom::End, 4).await, (vec![8, 9, 10, 11], true));
    assert_eq!(read(PageFrom::Before(8), 4).await, (vec![4, 5, 6, 7], true));
    assert_eq!(read(PageFrom::Before(4), 4).await, (vec![1, 2, 3], false));
    assert_eq!(read(PageFrom::After(0), 11).await, ((1..=11).collect(), false));
    assert_eq!(read(PageFrom::After(9), 2).await, (vec![10, 11], false));
    assert_eq!(read(PageFrom::After(8), 2).await, (vec![9, 10], true));
    assert_eq!(read(PageFrom::After(11), 5).await, (vec![], false));
    assert_eq!(read(PageFrom::After(u64::MAX), 5).await, (vec![], false));

    let read = async |from, limit| {
        let page = world.store.messages(room, ana, Page { from, limit }).await.unwrap().unwrap();
        (page.messages.iter().map(|message| message.number).collect::<Vec<_>>(), page.more)
    };
    assert_eq!(read(PageFrom::End, 3).await, (vec![9, 10, 11], true));
    assert_eq!(read(PageFrom::Before(5), 3).await, (vec![2, 3, 4], false));
    assert_eq!(read(PageFrom::After(2), 3).await, (vec![3, 4, 5], true));
}

pub(super) async fn s40_outsiders_learn_nothing_of_a_room_but_its_card(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let ben = world.invited("Ben").await;
    let private = world.room(world.ana, "Other").await;
    let said = world.post(world.ana, private, "for members").await;
    let (store, page) = (&world.store, Page { from: PageFrom::End, limit: 10 });
    for room in [private, RoomId::fresh()] {
        assert!(store.events(room, Some(ben), page).await.unwrap().is_none());
        assert!(store.messages(room, ben, page).await.unwrap().is_none());
        assert!(store.message(room, ben, said.id).await.unwrap().is_none());
        assert!(store.members(room, ben).await.unwrap().is_none());
        assert!(store.member(room, ben).await.unwrap().is_none());
        let code = Code::fresh();
        for change in [
            message(ben, room, ClientId::fresh(), "hello"),
            Change::Leave { person: ben, room },
            Change::Remove { by: ben, person: world.ana, room },
            Change::CurrentInvite { person: ben, room, code: code.clone() },
            Change::RenewInvite { person: ben, room, code: code.clone() },
            Change::RevokeInvite { person: ben, room },
        ] {
            assert_eq!(world.refused(change).await, Refusal::NotMember);
        }
    }
    assert!(!store.room(private, ben).await.unwrap().unwrap().is_member);
    assert!(store.message(world.general, ben, said.id).await.unwrap().is_none(), "not through another room either");
}

pub(super) async fn only_the_creator_and_administrators_manage_a_room(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let (ben, eva) = (world.invited("Ben").await, world.invited("Eva").await);
    let room = world.room(ben, "Ben's").await;
    world.done(Change::Join { person: eva, room }).await;
    for change in [
        Change::Remove { by: eva, person: ben, room },
        Change::RenewInvite { person: eva, room, code: Code::fresh() },
        Change::RevokeInvite { person: eva, room },
    ] {
        assert_eq!(world.refused(change).await, Refusal::NotAllowed);
    }
    world.done(Change::CurrentInvite { person: eva, room, code: Code::fresh() }).await;
    let roles: Vec<_> = world.store.members(room, ben).await.unwrap().unwrap();
    let roles: Vec<_> = roles.iter().map(|member| (member.name.as_str(), member.role)).collect();
    assert_eq!(roles, [("Ben", MemberRole::Creator), ("Eva", MemberRole::Member)]);

    world.done(Change::Remove { by: ben, person: eva, room }).await;
    world.done(Change::Join { person: eva, room }).await;
    world.done(Change::Remove { by: world.ana, person: eva, room }).await;
    assert_eq!(world.refused(Change::Remove { by: ben, person: eva, room }).await, Refusal::NotMember);
}

pub(super) async fn who_left_is_no_member_and_may_come_back(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let (ben, room) = (world.invited("Ben").await, world.general);
    let again = world.done(Change::Join { person: ben, room }).await;
    assert_eq!(again.events, [], "joining twice is joining once");
    world.done(Change::Leave { person: ben, room }).await;
    assert_eq!(world.refused(Change::Leave { person: ben, room }).await, Refusal::NotMember);
    assert_eq!(world.refused(message(ben, room, ClientId::fresh(), "hello")).await, Refusal::NotMember);
    world.done(Change::Join { person: ben, room }).await;
    let kinds: Vec<_> = world.events(room).await.into_iter().map(|event| event.kind).collect();
    assert!(
        matches!(
            &kinds[..],
            [
                EventKind::RoomCreated { .. },
                EventKind::MemberJoined { .. },
                EventKind::MemberLeft { .. },
                EventKind::MemberJoined { member },
            ] if member.id == ben
        ),
        "{kinds:?}"
    );
}

pub(super) async fn rooms_are_listed_joined_first_and_by_name(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let ben = world.invited("Ben").await;
    let zoo = world.room(ben, "zoo").await;
    world.room(world.ana, "Attic").await;
    world.room(world.ana, "cellar").await;
    world.post(ben, zoo, "hello").await;
    let rooms = world.store.rooms(ben).await.unwrap();
    let seen: Vec<_> =
        rooms.iter().map(|room| (room.name.as_str(), room.is_member, room.members, room.offset)).collect();
    assert_eq!(seen, [("General", true, 2, 2), ("zoo", true, 1, 2), ("Attic", false, 1, 1), ("cellar", false, 1, 1)]);
    assert_eq!(world.store.room(zoo, ben).await.unwrap().as_ref(), Some(&rooms[1]));
    assert!(world.store.room(RoomId::fresh(), ben).await.unwrap().is_none());
}
