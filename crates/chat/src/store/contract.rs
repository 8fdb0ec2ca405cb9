//! The contract of every store, as tests: a store's own test module calls [`runs_the_contract!`].
//!
//! Each test gets a fixture that opens the same database as often as it is asked to, which is how a restart looks to it.

pub(crate) mod batches;
pub(super) mod belong;
pub(super) mod mentions;
mod moves;
pub(super) mod organise;
pub(super) mod threads;

use std::{fmt::Debug, sync::Arc, time::Duration};

use futures_util::future::join_all;

use super::{Announcements, Applied, Change, ChangeError, ChangeResult, Store, Submission, Tables, submit};
use crate::{
    changes::{
        AcceptInvite, Allow, AlreadySetUp, CreateAccount, CreateAccountRefusal, CreateRoom, CreateRoomRefusal,
        DeleteMessage, DeleteRefusal, Deny, EditMessage, EditRefusal, EditRoom, EndSession, EnsureInvite, EraseDeleted,
        InviteInvalid, Join, KeyDigests, Leave, LeaveRefusal, ManageRefusal, NoSuchSession, NotMember, OpenSession,
        PasswordChanged, Post, PostRefusal, Prefer, React, ReactRefusal, Read, ReadAll, Rehash, Remove, RenewInvite,
        RestoreMessage, RestoreRefusal, RevokeInvite, SetActive, SetActiveRefusal, SetPassword, SetUpServer,
        SweepDenials, SweepSessions, TakeDeviceKey, TouchSession,
    },
    device::DeviceKey,
    limits::{
        ANSWERED_CHARS_MAX, DELETE_UNDO, DIGESTS_KEYED_AT_ONCE, ERASED_AT_ONCE, INVITE_LIFETIME, INVITE_USES_MAX,
        REACTION_PEOPLE_SHOWN, REACTIONS_PER_MESSAGE_MAX, ROOMS_PER_PERSON_MAX, SESSION_IDLE, SESSION_LIFETIME,
        SESSION_REMEMBERED, SESSIONS_PER_PERSON_MAX, UNREAD_COUNTED_MAX, UNREAD_LOOKED_AT,
    },
    model::{
        Body, ClientId, Code, DeleteReason, Denial, Denied, Edit, Email, Emoji, Ended, Event, EventKind, InThread,
        Mentions, Message, MessageId, MessageKey, Move, Name, NewMessage, NewPerson, NewRoom, NewSession, PageFrom,
        PageQuery, PersonEvent, PersonId, Posted, Preferences, PreferencesEdit, Reading, Role, Room, RoomCard,
        RoomEdit, RoomId, RoomKind, RoomPreferences, RoomReading, RoomRole, SecretDigest, Section, SendDigest,
        SessionId, SessionKey, Stand, StoredHash, Time, Token, Topic, Who,
    },
};

/// Opens the same database each time.
pub(super) trait Fixture {
    /// Whether there is what it needs; without it, nothing is tested.
    fn is_there(&self) -> bool {
        true
    }

    async fn open(&self) -> Arc<dyn Store>;
}

macro_rules! contract_tests {
    ($fixture:expr; $($name:ident),* $(,)?) => {$(
        #[tokio::test]
        async fn $name() {
            let fixture = $fixture;
            if $crate::store::contract::Fixture::is_there(&fixture) {
                $crate::store::contract::$name(&fixture).await;
            }
        }
    )*};
}

macro_rules! runs_the_contract {
    ($fixture:expr) => {
        $crate::store::contract::contract_tests! { $fixture;
            the_first_account_is_made_once,
            an_answer_in_a_thread_stands_there_and_in_the_room_only_on_request,
            a_thread_is_under_a_message_of_the_room_that_is_in_none_itself,
            who_takes_part_in_a_thread_follows_it_and_has_what_others_say_to_read,
            an_address_has_one_account,
            s29_an_invite_works_until_it_is_used_up_expired_or_replaced,
            an_invite_is_not_used_up_by_members,
            s29_a_revoked_invite_comes_back_by_the_hand_of_who_may_revoke,
            a_session_is_found_by_its_token_until_it_ends,
            who_comes_to_listen_is_read_at_once_with_their_rooms,
            s22_sessions_expire_by_idleness_and_by_age,
            s21_a_new_password_ends_the_other_sessions,
            a_sign_in_checked_against_an_old_password_is_refused,
            s22_a_password_is_not_set_by_who_lost_the_right_to_meanwhile,
            a_person_has_a_bounded_number_of_sessions,
            g1_what_was_answered_is_there_after_opening_again,
            g2_a_send_is_stored_once_for_ever,
            s41_a_client_id_belongs_to_its_author,
            g3_each_room_numbers_its_events_without_gaps,
            a_refused_change_leaves_the_others_of_its_batch_alone,
            g5_what_took_a_right_away_is_told_from_what_might_have,
            g3_what_happens_between_the_posts_of_a_batch_takes_its_number_in_turn,
            g3_a_change_that_is_refused_halfway_gives_its_number_back,
            history_is_read_in_pages_that_meet,
            s40_outsiders_learn_nothing_of_a_room_but_its_card,
            only_its_owners_and_administrators_manage_a_room,
            who_left_is_no_member_and_may_come_back,
            rooms_are_listed_joined_first_and_by_name,
            the_other_rooms_come_in_pages_without_a_gap,
            s37_of_a_room_that_is_not_open_nobody_but_its_members_learns,
            a_new_room_has_a_name_of_its_own_and_an_invite,
            one_person_makes_so_many_rooms_and_no_more,
            people_of_the_same_name_are_marked,
            s20_a_new_session_takes_the_place_of_the_one_before_in_the_browser,
            who_is_deactivated_has_no_session_and_gets_none,
            the_key_for_devices_stays_the_same,
            who_comes_into_a_room_is_answered_with_the_room_as_it_is_read,
            who_has_read_up_to_where_goes_forward_by_what_is_further_and_back_on_request,
            what_waits_for_somebody_is_what_others_said_and_what_stands,
            whoever_comes_in_has_read_what_was_said_before,
            somebody_who_has_read_everything_is_told_where_that_changed_something,
            how_a_member_keeps_a_room_is_theirs_alone_and_ends_with_their_membership,
            a_room_says_when_the_last_message_was_posted,
            the_last_event_before_a_time_is_found_in_a_history_of_any_length,
            what_is_denied_is_there_after_opening_again_until_it_has_ended,
            an_edited_message_has_its_last_text_and_keeps_what_it_said_before,
            a_message_is_edited_by_its_author_alone_and_not_when_it_was_deleted,
            what_was_deleted_is_told_nobody_and_comes_back_in_time_by_the_same_hand,
            who_manages_a_room_deletes_what_others_said_and_says_why,
            what_was_deleted_is_erased_and_its_place_stays,
            g2_a_send_is_recognised_after_it_was_edited_deleted_and_erased,
            g2_digests_of_a_version_before_get_a_key_some_at_a_time,
            a_direct_message_begun_by_all_at_once_is_one,
            a_guest_sees_the_rooms_they_were_brought_into_and_who_is_there,
            a_message_has_so_many_different_reactions_and_no_more,
            a_reaction_stands_once_and_is_seen_by_the_members_of_the_room,
            a_room_is_handed_over_and_a_private_one_is_never_without_an_owner,
            a_room_is_renamed_described_opened_closed_and_archived_and_each_is_an_event,
            an_answer_shows_what_it_answers_as_that_is_now,
            in_an_archived_room_nothing_is_written_until_it_is_restored,
            names_stay_unique_among_the_rooms_that_one_sees,
            one_begins_so_many_direct_messages_and_only_with_who_is_there,
            s37_nobody_else_learns_of_a_direct_message,
            s39_a_direct_message_stays_as_it_is,
            s44_of_two_owners_who_depose_each_other_one_stays,
            s44_roles_are_given_by_owners_and_there_is_always_one,
            the_same_people_always_have_the_same_direct_message,
            whoever_is_brought_in_is_told_and_the_room_hears_who_did_it,
            whoever_was_removed_from_a_private_room_does_not_come_back_by_its_link,
            an_owner_of_a_room_who_becomes_a_guest_looks_after_nothing,
            s37_a_page_of_rooms_begins_behind_no_room_that_one_does_not_see,
            s39_a_private_room_is_opened_by_its_owner_alone,
            a_large_room_is_told_by_who_says_so_and_by_no_guest,
            a_profile_is_told_to_who_shares_a_room_and_read_by_who_may_see_it,
            an_address_is_changed_by_who_proves_it_and_has_one_account,
            an_edit_tells_who_is_new_and_no_longer_who_is_gone,
            s21_of_a_session_that_was_ended_it_is_remembered_why,
            s23_a_session_remembers_where_it_was_used_from_lately,
            s43_a_personal_token_is_found_by_its_digest_until_it_is_revoked_or_its_person_deactivated,
            the_names_of_the_mentioned_are_those_of_members_at_that_time,
            what_concerns_somebody_is_found_the_newest_first,
            whoever_gets_or_gives_up_a_name_that_others_have_is_told_of_with_them,
            g5_whoever_is_gone_is_told_of_no_answer_under_what_they_wrote,
            whoever_is_mentioned_has_that_counted_until_they_have_read_it,
        }
    };
}

pub(super) use belong::*;
pub(super) use mentions::*;
pub(super) use organise::*;
pub(super) use threads::*;
pub(super) use {contract_tests, runs_the_contract};

const START: Time = Time::from_millis(1_763_630_000_000);

/// Applies changes together, in one batch, and says what became of each.
async fn apply_all<C: Change>(
    store: &dyn Store,
    now: Time,
    changes: impl IntoIterator<Item = C>,
) -> Vec<ChangeResult<C>> {
    let (batch, outcomes): (Vec<_>, Vec<_>) = changes.into_iter().map(submit).unzip();
    store.apply(0, batch, now).await.unwrap().batch.into_iter().for_each(Submission::answer);
    join_all(outcomes).await
}

/// A store with Ana, the administrator, in the first room.
pub(super) struct World {
    store: Arc<dyn Store>,
    now: Time,
    ana: PersonId,
    general: RoomId,
    invite: Code,
    token: SecretDigest,
}

impl World {
    async fn new(fixture: &impl Fixture) -> Self {
        Self::over(fixture.open().await).await
    }

    pub(super) async fn over(store: Arc<dyn Store>) -> Self {
        let (invite, token) = (Code::fresh(), Token::fresh().digest());
        let (person, room) = (new_person("Ana"), new_room("General"));
        let (ana, general) = (person.id, room.id);
        let set_up = SetUpServer { person, session: new_session(token), room, invite: invite.clone() };
        apply_all(&*store, START, [set_up]).await.remove(0).unwrap();
        Self { store, now: START, ana, general, invite, token }
    }

    /// Applies changes together and says what became of each.
    async fn all<C: Change>(&self, changes: impl IntoIterator<Item = C>) -> Vec<ChangeResult<C>> {
        apply_all(&*self.store, self.now, changes).await
    }

    async fn done<C>(&self, change: C) -> Applied<C::Answer>
    where
        C: Change<Answer: Debug, Refusal: Debug>,
    {
        self.all([change]).await.remove(0).unwrap()
    }

    async fn refused<C: Change<Answer: Debug>>(&self, change: C) -> C::Refusal {
        refusal(self.all([change]).await.remove(0))
    }

    async fn invited(&self, name: &str) -> PersonId {
        let person = new_person(name);
        let id = person.id;
        let session = new_session(Token::fresh().digest());
        self.done(CreateAccount { invite: self.invite.digest(), person, session }).await;
        id
    }

    async fn room(&self, creator: PersonId, name: &str) -> RoomId {
        let room = new_room(name);
        let id = room.id;
        self.done(CreateRoom { person: creator, room, invite: Code::fresh() }).await;
        id
    }

    /// The one event that a change announced, which is what is read later; with the message that it is about.
    async fn told(&self, applied: &Applied<Message>) -> (u64, &'static str) {
        let [event] = &applied.announcements.events[..] else { panic!("{applied:?}") };
        assert_eq!(event.kind.message(), Some(&applied.answer));
        assert_eq!(self.general_events().await.last(), Some(event));
        (event.number, event.kind.name())
    }

    async fn is_open(&self, session: SessionId, now: Time) -> bool {
        self.store.arrival(SessionKey::Id(session), 1, now).await.unwrap().is_some()
    }

    async fn post(&self, author: PersonId, room: RoomId, body: &str) -> Posted {
        self.done(message(author, room, ClientId::fresh(), body)).await.answer
    }

    /// What somebody reads of a message, and of what it said before.
    async fn read(&self, reader: PersonId, message: MessageId) -> (Message, Vec<Edit>) {
        let page = PageQuery { from: PageFrom::After(0), limit: 100 };
        let found = self.store.message(self.general, reader, message).await.unwrap().unwrap();
        (found, self.store.edits(self.general, reader, message, page).await.unwrap().unwrap().edits)
    }

    /// Changes that concern a message in the first room.
    fn edit(&self, person: PersonId, message: MessageId, body: &str) -> EditMessage {
        EditMessage { person, room: self.general, message, body: Body::parse(body.to_owned()).unwrap() }
    }

    fn delete(&self, person: PersonId, message: MessageId, reason: Option<&str>) -> DeleteMessage {
        let reason = reason.map(|reason| DeleteReason::parse(reason).unwrap());
        DeleteMessage { person, room: self.general, message, reason }
    }

    fn react(&self, person: PersonId, message: MessageId, emoji: &str, stands: bool) -> React {
        React { person, room: self.general, message, emoji: Emoji::parse(emoji).unwrap(), stands }
    }

    /// The reactions to a message as somebody sees them: with what, how many, whether they are among them, and who comes first.
    async fn reacted(&self, reader: PersonId, message: MessageId) -> Vec<(String, u32, bool, Vec<String>)> {
        let all = self.read(reader, message).await.0.reactions.into_iter();
        let names = |people: Vec<Who>| people.into_iter().map(|person| person.name).collect();
        all.map(|reacted| (reacted.emoji, reacted.count, reacted.mine, names(reacted.people))).collect()
    }

    fn restore(&self, person: PersonId, message: MessageId) -> RestoreMessage {
        RestoreMessage { person, room: self.general, message }
    }

    /// Posts of the administrator in the first room, in one batch.
    pub(super) async fn say_together(&self, bodies: &[&str]) -> Vec<ChangeResult<Post>> {
        let say = |body: &&str| message(self.ana, self.general, ClientId::fresh(), body);
        self.all(bodies.iter().map(say)).await
    }

    pub(super) async fn renew_the_invite(&self) {
        self.done(RenewInvite { person: self.ana, room: self.general, code: Code::fresh() }).await;
    }

    /// What stands in the first room.
    pub(super) async fn bodies(&self) -> Vec<String> {
        let page = PageQuery { from: PageFrom::End, limit: 100 };
        let page = self.store.messages(self.general, self.ana, page).await.unwrap().unwrap();
        page.messages.into_iter().map(|message| message.body.as_str().to_owned()).collect()
    }

    pub(super) async fn general_events(&self) -> Vec<Event> {
        self.events(self.general).await
    }

    async fn events(&self, room: RoomId) -> Vec<Event> {
        let page = PageQuery { from: PageFrom::After(0), limit: 1_000 };
        self.store.events(room, None, page, usize::MAX).await.unwrap().unwrap().events
    }
}

pub(crate) fn set_up(name: &str) -> SetUpServer {
    let session = new_session(Token::fresh().digest());
    SetUpServer { person: new_person(name), session, room: new_room("General"), invite: Code::fresh() }
}

pub(crate) fn set_up_and_first_post() -> (SetUpServer, Post) {
    let set_up = set_up("Ana");
    let post = message(set_up.person.id, set_up.room.id, ClientId::fresh(), "hello");
    (set_up, post)
}

fn new_person(name: &str) -> NewPerson {
    NewPerson {
        id: PersonId::fresh(),
        name: Name::parse(name).unwrap(),
        email: Email::parse(&format!("{name}@example.com")).unwrap(),
        hash: StoredHash("a hash".into()),
    }
}

pub(crate) fn new_session(token: SecretDigest) -> NewSession {
    NewSession { id: SessionId::fresh(), token, user_agent: "a browser".into(), address: None, replaces: None }
}

fn new_room(name: &str) -> NewRoom {
    NewRoom::fresh(Name::parse(name).unwrap(), Topic::default(), RoomKind::Public)
}

fn close(person: PersonId, room: RoomId) -> EditRoom {
    EditRoom { person, room, edit: RoomEdit { kind: Some(RoomKind::Private), ..RoomEdit::default() } }
}

fn message(author: PersonId, room: RoomId, client_id: ClientId, body: &str) -> Post {
    let digest = SendDigest::of(room, body, &MessageKey::new(b"the key of the tests"));
    let mentions = Mentions::of(body);
    Post(NewMessage {
        id: MessageId::fresh(),
        room,
        author,
        client_id,
        body: body.into(),
        reply_to: None,
        mentions,
        thread: None,
        digest,
    })
}

#[track_caller]
fn refusal<A: Debug, R>(answer: Result<Applied<A>, ChangeError<R>>) -> R {
    match answer {
        Err(ChangeError::Refused(refusal)) => refusal,
        Err(ChangeError::Store(error)) => panic!("not refused: {error}"),
        Ok(applied) => panic!("not refused: {applied:?}"),
    }
}

pub(super) async fn the_first_account_is_made_once(fixture: &impl Fixture) {
    let store = fixture.open().await;
    assert!(!store.is_set_up().await.unwrap());
    let mut answers = apply_all(&*store, START, [set_up("Ana"), set_up("Ben")]).await;
    assert_eq!(refusal(answers.pop().unwrap()), AlreadySetUp);
    let applied = answers.pop().unwrap().unwrap();
    let (person, room, invite) = &applied.answer;
    assert_eq!((person.role, room.members, room.is_member(), room.offset), (Role::Owner, 1, true, 1));
    assert_eq!(store.invite(invite.code.digest(), START).await.unwrap().unwrap().inviter.name, "Ana");
    assert!(matches!(
        &applied.announcements.events[..],
        [Event { number: 1, kind: EventKind::RoomCreated { .. }, .. }]
    ));
    assert!(store.is_set_up().await.unwrap());
    assert_eq!(store.people().await.unwrap().len(), 1, "the loser left nothing behind");
}

pub(super) async fn an_address_has_one_account(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    world.invited("Ben").await;
    let again = CreateAccount {
        invite: world.invite.digest(),
        person: new_person("Ben"),
        session: new_session(Token::fresh().digest()),
    };
    assert_eq!(world.refused(again).await, CreateAccountRefusal::EmailTaken);
    let invite = world.store.room_invite(world.general, world.ana, START).await.unwrap().unwrap();
    assert_eq!(invite.uses, 1, "what was refused used nothing up");
    let credentials = world.store.credentials(Email::parse("ben@example.com").unwrap()).await.unwrap().unwrap();
    assert_eq!(credentials.person.role, Role::Member);
    let nobody = Email::parse("nobody@example.com").unwrap();
    assert!(world.store.credentials(nobody).await.unwrap().is_none());
}

pub(super) async fn s29_an_invite_works_until_it_is_used_up_expired_or_replaced(fixture: &impl Fixture) {
    let mut world = World::new(fixture).await;
    let (ana, room) = (world.ana, world.general);
    let accept = |code: &Code, person| AcceptInvite { invite: code.digest(), person };
    let stranger = world.invited("Ben").await;
    world.done(Leave { person: stranger, room }).await;

    let current = world.done(EnsureInvite { person: ana, room, code: Code::fresh() }).await.answer;
    assert!(current.code.is(world.invite.reveal()), "a good invite stays");
    assert_eq!((current.uses, current.uses_max), (1, INVITE_USES_MAX));

    let renewed = world.done(RenewInvite { person: ana, room, code: Code::fresh() }).await.answer;
    assert_eq!(world.refused(accept(&current.code, stranger)).await, InviteInvalid);
    assert!(world.store.invite(current.code.digest(), world.now).await.unwrap().is_none());

    world.now = world.now.plus(INVITE_LIFETIME);
    assert_eq!(world.refused(accept(&renewed.code, stranger)).await, InviteInvalid);
    let next = world.done(EnsureInvite { person: ana, room, code: Code::fresh() }).await.answer;
    assert!(!next.code.is(renewed.code.reveal()), "an expired invite is replaced");

    world.done(RevokeInvite { person: ana, room }).await;
    assert_eq!(world.refused(accept(&next.code, stranger)).await, InviteInvalid);
    assert_eq!(world.refused(accept(&Code::fresh(), stranger)).await, InviteInvalid);

    let last = world.done(EnsureInvite { person: ana, room, code: Code::fresh() }).await.answer;
    for _ in 0..INVITE_USES_MAX {
        world.done(accept(&last.code, stranger)).await;
        world.done(Leave { person: stranger, room }).await;
    }
    assert_eq!(world.refused(accept(&last.code, stranger)).await, InviteInvalid);
}

pub(super) async fn an_invite_is_not_used_up_by_members(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let accepted = world.done(AcceptInvite { invite: world.invite.digest(), person: world.ana }).await;
    assert_eq!(accepted.announcements.events, []);
    let current = EnsureInvite { person: world.ana, room: world.general, code: Code::fresh() };
    assert_eq!(world.done(current).await.answer.uses, 0);
}

pub(super) async fn s29_a_revoked_invite_comes_back_by_the_hand_of_who_may_revoke(fixture: &impl Fixture) {
    let mut world = World::new(fixture).await;
    let (ana, ben, room) = (world.ana, world.invited("Ben").await, world.general);
    let current = |person| EnsureInvite { person, room, code: Code::fresh() };
    let seen = async |world: &World| world.store.room_invite(room, ben, world.now).await.unwrap();
    assert!(seen(&world).await.is_some());
    assert!(world.store.room_invite(room, PersonId::fresh(), START).await.unwrap().is_none(), "for members alone");

    world.done(RevokeInvite { person: ana, room }).await;
    assert!(seen(&world).await.is_none());
    assert_eq!(world.refused(current(ben)).await, ManageRefusal::NotAllowed);
    world.now = world.now.plus(INVITE_LIFETIME * 10);
    world.done(SweepSessions).await;
    assert_eq!(world.refused(current(ben)).await, ManageRefusal::NotAllowed, "a revocation does not wear off");
    let renewed = world.done(RenewInvite { person: ana, room, code: Code::fresh() }).await.answer;
    assert_eq!(seen(&world).await.unwrap(), renewed);

    world.now = world.now.plus(INVITE_LIFETIME);
    let next = world.done(current(ben)).await.answer;
    assert!(!next.code.is(renewed.code.reveal()), "one that merely ran out is followed by another");
}

pub(super) async fn a_session_is_found_by_its_token_until_it_ends(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let who = world.store.session(world.token, START).await.unwrap().unwrap();
    assert_eq!((who.person.id, who.session.user_agent.as_str()), (world.ana, "a browser"));
    assert!(world.store.session(Token::fresh().digest(), START).await.unwrap().is_none());

    let stranger = world.invited("Ben").await;
    let session = who.session.id;
    let theirs = EndSession { person: stranger, session, why: Ended::Elsewhere };
    assert_eq!(world.refused(theirs).await, NoSuchSession, "S41: somebody else's session");
    assert!(world.is_open(session, START).await);
    let ended = world.done(EndSession { person: world.ana, session, why: Ended::Elsewhere }).await;
    assert_eq!(ended.announcements.ended, [session]);
    assert!(!world.is_open(session, START).await);
    assert!(world.store.session(world.token, START).await.unwrap().is_none());
    assert!(world.store.sessions(world.ana, START).await.unwrap().is_empty());
    assert_eq!(world.store.sessions_ended(START).await.unwrap(), [session]);
    assert_eq!(world.refused(EndSession { person: world.ana, session, why: Ended::Elsewhere }).await, NoSuchSession);
}

pub(super) async fn who_comes_to_listen_is_read_at_once_with_their_rooms(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let (ben, other) = (world.invited("Ben").await, world.room(world.ana, "Other").await);
    world.room(ben, "Elsewhere").await;
    world.post(world.ana, other, "hello").await;
    let who = world.store.session(world.token, START).await.unwrap().unwrap();
    let by = async |key, rooms_max| world.store.arrival(key, rooms_max, START).await.unwrap();
    let arrival = by(SessionKey::Token(world.token), 9).await.unwrap();
    assert_eq!((&arrival.who, by(SessionKey::Id(who.session.id), 9).await.as_ref()), (&who, Some(&arrival)));
    let mut stands = Vec::new();
    for room in world.store.own_rooms(world.ana).await.unwrap() {
        stands.push(Stand { room: room.id, offset: room.offset, epoch: room.epoch });
    }
    let by_room = |mut stands: Vec<Stand>| {
        stands.sort_by_key(|stand| stand.room);
        stands
    };
    assert_eq!(stands.len(), 2);
    assert_eq!(by_room(arrival.rooms), by_room(stands));
    assert_eq!(by(SessionKey::Token(world.token), 1).await.unwrap().rooms.len(), 1, "no more than is asked for");
    assert_eq!(by(SessionKey::Token(Token::fresh().digest()), 9).await, None);
}

pub(super) async fn s22_sessions_expire_by_idleness_and_by_age(fixture: &impl Fixture) {
    let mut world = World::new(fixture).await;
    let session = world.store.session(world.token, START).await.unwrap().unwrap().session.id;
    assert!(!world.is_open(session, START.plus(SESSION_IDLE)).await);

    let mut now = START;
    while now < START.plus(SESSION_LIFETIME).minus(Duration::from_hours(24)) {
        now = now.plus(Duration::from_hours(24));
        apply_all(&*world.store, now, [TouchSession { session, address: None }]).await.remove(0).unwrap();
    }
    assert!(world.is_open(session, now).await, "a session in use stays open");
    assert!(!world.is_open(session, START.plus(SESSION_LIFETIME)).await, "but not for ever");

    world.now = START.plus(SESSION_LIFETIME);
    assert_eq!(world.done(SweepSessions).await.announcements.ended, [session]);
    assert_eq!(world.store.sessions_ended(world.now).await.unwrap(), [session]);
    world.now = world.now.plus(SESSION_REMEMBERED).plus(Duration::from_secs(1));
    assert_eq!(world.done(SweepSessions).await.announcements.ended, []);
    assert_eq!(world.store.sessions_ended(START).await.unwrap(), [], "ended sessions are forgotten");
}

pub(super) async fn s21_a_new_password_ends_the_other_sessions(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let first = world.store.session(world.token, START).await.unwrap().unwrap().session.id;
    let session = new_session(Token::fresh().digest());
    let second = session.id;
    let checked = StoredHash("a hash".into());
    world.done(OpenSession { person: world.ana, checked, session }).await;
    let hash = StoredHash("another hash".into());
    let set = SetPassword { person: world.ana, hash: hash.clone(), checked: None, keep: Some(second) };
    assert_eq!(world.done(set).await.announcements.ended, [first]);
    let set = SetPassword { person: world.ana, hash, checked: None, keep: None };
    assert_eq!(world.done(set).await.announcements.ended, [second]);
}

pub(super) async fn a_sign_in_checked_against_an_old_password_is_refused(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let old = StoredHash("a hash".into());
    let new = StoredHash("another hash".into());
    world.done(SetPassword { person: world.ana, hash: new.clone(), checked: None, keep: None }).await;
    let session = new_session(Token::fresh().digest());
    let sign_in = OpenSession { person: world.ana, checked: old.clone(), session };
    assert_eq!(world.refused(sign_in).await, PasswordChanged);
    // Nor does a hash renewed meanwhile bring the old password back.
    world.done(Rehash { person: world.ana, old, new: StoredHash("renewed".into()) }).await;
    let credentials = world.store.credentials(Email::parse("ana@example.com").unwrap()).await.unwrap().unwrap();
    assert_eq!(credentials.hash, new);
}

pub(super) async fn s22_a_password_is_not_set_by_who_lost_the_right_to_meanwhile(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let first = world.store.session(world.token, START).await.unwrap().unwrap().session.id;
    let [old, new, late] = ["a hash", "another hash", "a late hash"].map(|hash| StoredHash(hash.into()));
    let set = SetPassword { person: world.ana, hash: late, checked: Some(old), keep: Some(first) };
    // The operator set another password, and the person signed in with it.
    world.done(SetPassword { person: world.ana, hash: new.clone(), checked: None, keep: Some(first) }).await;
    assert_eq!(world.refused(set.clone()).await, PasswordChanged);
    let set = SetPassword { checked: Some(new.clone()), ..set };
    world.done(EndSession { person: world.ana, session: first, why: Ended::Elsewhere }).await;
    assert_eq!(world.refused(set.clone()).await, PasswordChanged);
    assert_eq!(world.refused(SetPassword { person: PersonId::fresh(), ..set }).await, PasswordChanged);
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
        ended.extend(world.done(OpenSession { person: world.ana, checked, session }).await.announcements.ended);
    }
    assert_eq!(ended, [first], "the one unused for longest gave way");
}

pub(super) async fn g1_what_was_answered_is_there_after_opening_again(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let said = world.post(world.ana, world.general, "hello").await;
    // While the first one is still open: what was answered is committed, not merely promised.
    let reopened = fixture.open().await;
    let message = reopened.message(world.general, world.ana, said.id).await.unwrap().unwrap();
    assert_eq!((message.body.as_str(), message.number, message.time), ("hello", said.number, said.time));
}

pub(super) async fn g2_a_send_is_stored_once_for_ever(fixture: &impl Fixture) {
    let mut world = World::new(fixture).await;
    let (ana, room, client_id) = (world.ana, world.general, ClientId::fresh());
    let first = world.done(message(ana, room, client_id, "hello")).await.answer;
    assert!(!first.repeated);
    world.now = world.now.plus(Duration::from_secs(1));
    for _ in 0..2 {
        let again = world.done(message(ana, room, client_id, "hello")).await;
        assert_eq!(again.announcements.events, [], "nothing is announced twice");
        let Posted { id, number, time, repeated } = again.answer;
        assert_eq!((id, number, time, repeated), (first.id, first.number, first.time, true));
        world.store = fixture.open().await;
    }
    assert_eq!(world.refused(message(ana, room, client_id, "other")).await, PostRefusal::Conflict);
    let twice = vec![message(ana, room, ClientId::fresh(), "once"); 2];
    let answers: Vec<_> = world.all(twice).await.into_iter().map(|answer| answer.unwrap().answer).collect();
    assert_eq!(answers[0].id, answers[1].id, "not even within one batch");
    assert_eq!(world.events(room).await.len(), 3);

    world.done(Leave { person: ana, room }).await;
    assert!(world.done(message(ana, room, client_id, "hello")).await.answer.repeated, "it stays acknowledged");
}

pub(super) async fn s41_a_client_id_belongs_to_its_author(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let (ben, client_id) = (world.invited("Ben").await, ClientId::fresh());
    let hers = world.done(message(world.ana, world.general, client_id, "hers")).await.answer;
    let his = world.done(message(ben, world.general, client_id, "his")).await.answer;
    assert!(hers.id != his.id && !his.repeated);
}

pub(super) async fn g3_each_room_numbers_its_events_without_gaps(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let other = world.room(world.ana, "Other").await;
    let batch = (0..40).map(|i| {
        let room = if i % 3 == 0 { other } else { world.general };
        message(world.ana, room, ClientId::fresh(), &format!("message {i}"))
    });
    let answers = world.all(batch).await;
    let announced: Vec<Event> = answers.into_iter().flat_map(|answer| answer.unwrap().announcements.events).collect();
    for room in [world.general, other] {
        let events = world.events(room).await;
        let numbers: Vec<_> = events.iter().map(|event| event.number).collect();
        assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());
        let announced: Vec<_> = announced.iter().filter(|event| event.room == room).cloned().collect();
        assert_eq!(announced, events[1..], "what is announced is what is read later");
        let page =
            world.store.events(room, None, PageQuery { from: PageFrom::End, limit: 0 }, 0).await.unwrap().unwrap();
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
    assert_eq!(answers.next().unwrap().unwrap().answer.number, 2);
    assert_eq!(refusal(answers.next().unwrap()), PostRefusal::NotMember);
    assert_eq!(refusal(answers.next().unwrap()), PostRefusal::NotMember);
    assert_eq!(answers.next().unwrap().unwrap().answer.number, 3, "the refused ones took no number");
}

pub(super) async fn g5_what_took_a_right_away_is_told_from_what_might_have(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let has_revoked = async |change: Box<dyn Submission>| {
        assert!(change.revokes());
        world.store.apply(0, vec![change], world.now).await.unwrap().batch.remove(0).has_revoked()
    };
    let (ana, room, ben) = (world.ana, world.general, world.invited("Ben").await);
    let checked = StoredHash("a hash".into());
    let sign_in = |replaces| {
        let session = NewSession { replaces, ..new_session(Token::fresh().digest()) };
        submit(OpenSession { person: ben, checked: checked.clone(), session }).0
    };
    let set_password = || SetPassword { person: ben, hash: checked.clone(), checked: None, keep: None };
    assert!(!has_revoked(submit(Remove { by: ben, person: ana, room }).0).await);
    assert!(
        !has_revoked(submit(EndSession { person: ben, session: SessionId::fresh(), why: Ended::Elsewhere }).0).await
    );
    assert!(!has_revoked(submit(SweepSessions).0).await);
    assert!(!has_revoked(submit(SetActive { person: ben, is_active: true }).0).await);
    assert!(!has_revoked(sign_in(None)).await);
    assert!(has_revoked(submit(set_password()).0).await);
    assert!(!has_revoked(submit(set_password()).0).await, "no session was left to be ended");
    assert!(has_revoked(submit(Remove { by: ana, person: ben, room }).0).await);
    assert!(!has_revoked(submit(Leave { person: ben, room }).0).await);
    assert!(has_revoked(submit(Leave { person: ana, room }).0).await);
    assert!(has_revoked(sign_in(Some(world.token))).await);
    assert!(has_revoked(submit(SetActive { person: ben, is_active: false }).0).await);
    assert!(!has_revoked(sign_in(None)).await, "refused");
}

pub(super) async fn g3_what_happens_between_the_posts_of_a_batch_takes_its_number_in_turn(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let ben = world.invited("Ben").await;
    let room = world.room(world.ana, "Other").await;
    let say = |author, body| submit(message(author, room, ClientId::fresh(), body));
    let (first, _) = say(world.ana, "first");
    let (too_early, refused) = say(ben, "too early");
    let (join, joined) = submit(Join { person: ben, room });
    let (second, posted) = say(ben, "second");
    let (leave, _) = submit(Leave { person: ben, room });
    let batch = vec![first, too_early, join, second, leave];
    world.store.apply(0, batch, world.now).await.unwrap().batch.into_iter().for_each(Submission::answer);
    assert_eq!(refusal(refused.await), PostRefusal::NotMember);
    assert_eq!(joined.await.unwrap().answer.offset, 3, "the room as it is after the first post");
    assert_eq!(posted.await.unwrap().answer.number, 4);
    assert_eq!(world.refused(message(ben, room, ClientId::fresh(), "too late")).await, PostRefusal::NotMember);
    let kinds: Vec<_> = world.events(room).await.iter().map(|event| (event.number, event.kind.name())).collect();
    let (posted, joined, left) = ("message.posted", "member.joined", "member.left");
    assert_eq!(kinds, [(1, "room.created"), (2, posted), (3, joined), (4, posted), (5, left)]);
}

/// Posts, and is refused all the same.
struct Halfway(Post);

impl Change for Halfway {
    type Answer = Posted;
    type Refusal = PostRefusal;

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        self.0.apply(tables, now)?;
        Err(ChangeError::Refused(PostRefusal::Conflict))
    }
}

pub(super) async fn g3_a_change_that_is_refused_halfway_gives_its_number_back(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let say = |body| message(world.ana, world.general, ClientId::fresh(), body);
    let (first, _) = submit(say("first"));
    let (halfway, refused) = submit(Halfway(say("halfway")));
    let (second, posted) = submit(say("second"));
    let batch = vec![first, halfway, second];
    world.store.apply(0, batch, world.now).await.unwrap().batch.into_iter().for_each(Submission::answer);
    assert_eq!(refusal(refused.await), PostRefusal::Conflict);
    assert_eq!(posted.await.unwrap().answer.number, 3);
    assert_eq!(world.bodies().await, ["first", "second"]);
    assert_eq!(world.post(world.ana, world.general, "third").await.number, 4);
}

pub(super) async fn history_is_read_in_pages_that_meet(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let (ana, room) = (world.ana, world.general);
    for i in 0..10 {
        world.post(ana, room, &format!("message {i}")).await;
    }
    let read = async |from, limit| {
        let page = world.store.events(room, Some(ana), PageQuery { from, limit }, usize::MAX).await.unwrap().unwrap();
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

    // Each text has nine bytes.
    let read = async |from, bytes_max| {
        let page = PageQuery { from, limit: 10 };
        let page = world.store.events(room, None, page, bytes_max).await.unwrap().unwrap();
        (page.events.iter().map(|event| event.number).collect::<Vec<_>>(), page.more)
    };
    assert_eq!(read(PageFrom::After(1), 20).await, (vec![2, 3, 4], true));
    assert_eq!(read(PageFrom::Before(8), 20).await, (vec![5, 6, 7], true));
    assert_eq!(read(PageFrom::End, 0).await, (vec![11], true));
    assert_eq!(read(PageFrom::After(8), 26).await, (vec![9, 10, 11], false));

    let read = async |from, limit| {
        let page = world.store.messages(room, ana, PageQuery { from, limit }).await.unwrap().unwrap();
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
    let (store, page) = (&world.store, PageQuery { from: PageFrom::End, limit: 10 });
    for room in [private, RoomId::fresh()] {
        assert!(store.events(room, Some(ben), page, usize::MAX).await.unwrap().is_none());
        assert!(store.messages(room, ben, page).await.unwrap().is_none());
        assert!(store.message(room, ben, said.id).await.unwrap().is_none());
        assert!(store.members(room, ben).await.unwrap().is_none());
        assert!(store.member(room, ben).await.unwrap().is_none());
        let (code, refusal) = (Code::fresh(), ManageRefusal::NotMember);
        let hello = message(ben, room, ClientId::fresh(), "hello");
        assert_eq!(world.refused(hello).await, PostRefusal::NotMember);
        assert_eq!(world.refused(Leave { person: ben, room }).await, LeaveRefusal::NotMember);
        assert_eq!(world.refused(Remove { by: ben, person: world.ana, room }).await, refusal);
        assert_eq!(world.refused(EnsureInvite { person: ben, room, code: code.clone() }).await, refusal);
        assert_eq!(world.refused(RenewInvite { person: ben, room, code }).await, refusal);
        assert_eq!(world.refused(RevokeInvite { person: ben, room }).await, refusal);
    }
    assert!(!store.room(private, ben).await.unwrap().unwrap().is_member());
    assert!(store.message(world.general, ben, said.id).await.unwrap().is_none(), "not through another room either");
}

pub(super) async fn only_its_owners_and_administrators_manage_a_room(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let (ben, eva) = (world.invited("Ben").await, world.invited("Eva").await);
    let room = world.room(ben, "Ben's").await;
    world.done(Join { person: eva, room }).await;
    let refusal = ManageRefusal::NotAllowed;
    assert_eq!(world.refused(Remove { by: eva, person: ben, room }).await, refusal);
    assert_eq!(world.refused(RenewInvite { person: eva, room, code: Code::fresh() }).await, refusal);
    assert_eq!(world.refused(RevokeInvite { person: eva, room }).await, refusal);
    world.done(EnsureInvite { person: eva, room, code: Code::fresh() }).await;
    let roles: Vec<_> = world.store.members(room, ben).await.unwrap().unwrap();
    let roles: Vec<_> = roles.iter().map(|member| (member.name.as_str(), member.role)).collect();
    assert_eq!(roles, [("Ben", RoomRole::Owner), ("Eva", RoomRole::Member)]);

    world.done(Remove { by: ben, person: eva, room }).await;
    world.done(Join { person: eva, room }).await;
    world.done(Remove { by: world.ana, person: eva, room }).await;
    assert_eq!(world.refused(Remove { by: ben, person: eva, room }).await, ManageRefusal::NotMember);
}

pub(super) async fn who_left_is_no_member_and_may_come_back(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let (ben, room) = (world.invited("Ben").await, world.general);
    let again = world.done(Join { person: ben, room }).await;
    assert_eq!(again.announcements.events, [], "joining twice is joining once");
    world.done(Leave { person: ben, room }).await;
    assert_eq!(world.refused(Leave { person: ben, room }).await, LeaveRefusal::NotMember);
    assert_eq!(world.refused(message(ben, room, ClientId::fresh(), "hello")).await, PostRefusal::NotMember);
    world.done(Join { person: ben, room }).await;
    let kinds: Vec<_> = world.events(room).await.into_iter().map(|event| event.kind).collect();
    assert!(
        matches!(
            &kinds[..],
            [
                EventKind::RoomCreated { .. },
                EventKind::MemberJoined { .. },
                EventKind::MemberLeft { .. },
                EventKind::MemberJoined { member, by: None },
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
    let rooms = world.store.own_rooms(ben).await.unwrap();
    let seen = |rooms: &[Room]| -> Vec<_> {
        rooms.iter().map(|room| (room.name.as_str().to_owned(), room.is_member(), room.members, room.offset)).collect()
    };
    assert_eq!(seen(&rooms), [("General".into(), true, 2, 2), ("zoo".into(), true, 1, 2)]);
    let others = world.store.other_rooms(ben, None, 10).await.unwrap();
    assert_eq!(seen(&others.rooms), [("Attic".into(), false, 1, 1), ("cellar".into(), false, 1, 1)]);
    assert!(!others.more);
    assert_eq!(world.store.room(zoo, ben).await.unwrap().as_ref(), Some(&rooms[1]));
    assert!(world.store.room(RoomId::fresh(), ben).await.unwrap().is_none());
}

pub(super) async fn the_other_rooms_come_in_pages_without_a_gap(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let ben = world.invited("Ben").await;
    for name in ["b", "A", "c", "ä", "D", "e"] {
        world.room(world.ana, name).await;
    }
    let own = world.room(ben, "bb").await;
    let (mut names, mut after) = (Vec::new(), None);
    loop {
        let page = world.store.other_rooms(ben, after, 2).await.unwrap();
        assert!(page.rooms.len() <= 2);
        names.extend(page.rooms.iter().map(|room| room.name.as_str().to_owned()));
        after = page.rooms.last().map(|room| room.id);
        if !page.more {
            break;
        }
    }
    assert_eq!(names, ["A", "b", "c", "D", "e", "ä"]);
    let behind_own = world.store.other_rooms(ben, Some(own), 1).await.unwrap();
    assert_eq!(behind_own.rooms[0].name.as_str(), "c", "any room that is there is a place to go on from");
    let unknown = world.store.other_rooms(ben, Some(RoomId::fresh()), 2).await.unwrap();
    assert_eq!((unknown.rooms.len(), unknown.more), (0, false));
}

pub(super) async fn s37_of_a_room_that_is_not_open_nobody_but_its_members_learns(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let (ana, ben) = (world.ana, world.invited("Ben").await);
    let secret = world.room(ana, "Secret").await;
    world.done(close(ana, secret)).await;
    assert_eq!(world.refused(Join { person: ben, room: secret }).await, NotMember);
    assert!(world.store.other_rooms(ben, None, 10).await.unwrap().rooms.is_empty());
    assert!(world.store.own_rooms(ana).await.unwrap().iter().any(|room| room.id == secret), "its members see it");
    let room = |name| CreateRoom { person: ben, room: new_room(name), invite: Code::fresh() };
    let own = world.done(room("Secret")).await.answer;
    assert!(!own.same_name, "neither by a name that is taken, nor by a mark");
    assert!(world.store.room_invite(secret, ana, world.now).await.unwrap().is_none(), "the link got about");
    let code = world.done(RenewInvite { person: ana, room: secret, code: Code::fresh() }).await.answer.code.digest();
    let entered = world.done(AcceptInvite { invite: code, person: ben }).await.answer;
    assert!(entered.is_member() && entered.same_name, "an invite lets in");
    world.done(Leave { person: ben, room: secret }).await;
    assert_eq!(world.refused(Join { person: ben, room: secret }).await, NotMember);
}

pub(super) async fn a_new_room_has_a_name_of_its_own_and_an_invite(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let ben = world.invited("Ben").await;
    let room = |name| CreateRoom { person: ben, room: new_room(name), invite: Code::fresh() };
    for name in ["General", "GENERAL", "Ｇeneral", " general "] {
        assert_eq!(world.refused(room(name)).await, CreateRoomRefusal::NameTaken, "{name}");
    }
    let alike = world.done(room("Genera1")).await.answer;
    assert!(alike.same_name, "one that only looks like it is marked");
    assert!(world.store.room(world.general, ben).await.unwrap().unwrap().same_name, "and so is the other");
    assert!(!world.done(room("Garden")).await.answer.same_name);
    assert!(world.store.room_invite(alike.id, ben, world.now).await.unwrap().is_some());
}

pub(super) async fn one_person_makes_so_many_rooms_and_no_more(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let ben = world.invited("Ben").await;
    let room = |person, n: u32| CreateRoom {
        person,
        room: new_room(&format!("Room number {n} of {person}")),
        invite: Code::fresh(),
    };
    for n in 0..ROOMS_PER_PERSON_MAX {
        world.done(room(ben, n)).await;
    }
    assert_eq!(world.refused(room(ben, 99)).await, CreateRoomRefusal::TooManyOfPerson);
    for n in 0..=ROOMS_PER_PERSON_MAX {
        world.done(room(world.ana, n)).await;
    }
}

pub(super) async fn people_of_the_same_name_are_marked(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let (ana, ben) = (world.ana, world.invited("Ben").await);
    let marked = async |person| world.store.member(world.general, person).await.unwrap().unwrap().same_name;
    assert!(!marked(ana).await);
    // Cyrillic letters that look like the Latin ones.
    let person = NewPerson { name: Name::parse("Аnа").unwrap(), ..new_person("other") };
    let (other, session) = (person.id, new_session(Token::fresh().digest()));
    let made = world.done(CreateAccount { invite: world.invite.digest(), person, session }).await;
    assert!(made.answer.0.same_name);
    assert!(marked(ana).await && marked(other).await && !marked(ben).await);
    let members = world.store.members(world.general, ben).await.unwrap().unwrap();
    assert_eq!(members.iter().filter(|member| member.same_name).count(), 2);
    let post = world.post(other, world.general, "hello").await;
    assert!(world.store.message(world.general, ben, post.id).await.unwrap().unwrap().author.same_name);
}

pub(super) async fn s20_a_new_session_takes_the_place_of_the_one_before_in_the_browser(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let ben = world.invited("Ben").await;
    let before = world.store.session(world.token, world.now).await.unwrap().unwrap().session.id;
    let session = NewSession { replaces: Some(world.token), ..new_session(Token::fresh().digest()) };
    let opened = OpenSession { person: ben, checked: StoredHash("a hash".into()), session };
    assert_eq!(world.done(opened).await.announcements.ended, [before], "whoever's it is");
    assert!(world.store.session(world.token, world.now).await.unwrap().is_none());
    let session = NewSession { replaces: Some(world.token), ..new_session(Token::fresh().digest()) };
    let again = OpenSession { person: ben, checked: StoredHash("a hash".into()), session };
    assert_eq!(world.done(again).await.announcements.ended, [], "one that has ended is no more");
}

pub(super) async fn who_is_deactivated_has_no_session_and_gets_none(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let ben = world.invited("Ben").await;
    let room = world.room(ben, "Ben's").await;
    let invite = world.store.room_invite(room, ben, world.now).await.unwrap().unwrap();
    let open = || {
        let session = new_session(Token::fresh().digest());
        OpenSession { person: ben, checked: StoredHash("a hash".into()), session }
    };
    let done = world.done(SetActive { person: ben, is_active: false }).await;
    assert_eq!(done.announcements.ended.len(), 1);
    assert!(world.store.sessions(ben, world.now).await.unwrap().is_empty());
    assert_eq!(world.refused(open()).await, PasswordChanged);
    let known = async || world.store.person(ben).await.unwrap().unwrap().is_active;
    assert!(!known().await);
    assert!(world.store.invite(invite.code.digest(), world.now).await.unwrap().is_none(), "nor do their invites work");
    assert!(world.store.invite(world.invite.digest(), world.now).await.unwrap().is_some(), "those of others do");

    world.done(SetActive { person: ben, is_active: true }).await;
    assert!(known().await);
    world.done(open()).await;
    assert_eq!(
        world.refused(SetActive { person: PersonId::fresh(), is_active: false }).await,
        SetActiveRefusal::NoSuchPerson
    );
}

pub(super) async fn the_key_for_devices_stays_the_same(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let first = world.done(TakeDeviceKey { fresh: DeviceKey::fresh() }).await.answer;
    let again = world.done(TakeDeviceKey { fresh: DeviceKey::fresh() }).await.answer;
    assert_eq!(first.0, again.0);
}

pub(super) async fn who_comes_into_a_room_is_answered_with_the_room_as_it_is_read(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let (ana, ben) = (world.ana, world.invited("Ben").await);
    let read = async |room: RoomId, person| world.store.room(room, person).await.unwrap().unwrap();
    let created = world.done(CreateRoom { person: ana, room: new_room("Other"), invite: Code::fresh() }).await;
    assert_eq!(created.answer, read(created.answer.id, ana).await);
    let room = created.answer.id;
    let joined = world.done(Join { person: ben, room }).await;
    assert_eq!(joined.answer, read(room, ben).await);
    let joined_again = world.done(Join { person: ben, room }).await;
    assert_eq!(joined_again.answer, joined.answer);

    let code = world.done(EnsureInvite { person: ana, room, code: Code::fresh() }).await.answer.code.digest();
    let (person, session) = (new_person("Eva"), new_session(Token::fresh().digest()));
    let made = world.done(CreateAccount { invite: code, person, session }).await;
    let (eva, entered) = &made.answer;
    assert_eq!(*entered, read(room, eva.id).await);
    let accepted = world.done(AcceptInvite { invite: world.invite.digest(), person: eva.id }).await;
    assert_eq!(accepted.answer, read(world.general, eva.id).await);

    // Their other devices are told of the same room; somebody new has none.
    let added = |room: &Room| PersonEvent::RoomAdded { room: Box::new(RoomCard::from(room)) };
    assert_eq!(joined.announcements.personal, [(ben, added(&joined.answer))]);
    assert_eq!(accepted.announcements.personal, [(eva.id, added(&accepted.answer))]);
    assert_eq!((joined_again.announcements.personal, made.announcements.personal), (vec![], vec![]));
}

pub(super) async fn who_has_read_up_to_where_goes_forward_by_what_is_further_and_back_on_request(
    fixture: &impl Fixture,
) {
    let world = World::new(fixture).await;
    let (ana, room) = (world.ana, world.general);
    let ben = world.invited("Ben").await;
    for text in ["one", "two", "three"] {
        world.post(ana, room, text).await;
    }
    let read = |to| Read { person: ben, room, to };
    let kept = async || fixture.open().await.room(room, ben).await.unwrap().unwrap().reading.unwrap();
    assert_eq!(kept().await, Reading { read: 2, unread: 3, mentions: 0 }, "since they came in");

    let moved = world.done(read(Move::Forward(4))).await;
    let reading = Reading { read: 4, unread: 1, mentions: 0 };
    let answer = RoomReading { id: room, offset: 5, reading };
    assert_eq!(moved.answer, answer);
    assert_eq!(moved.announcements.personal, [(ben, PersonEvent::Read { room: answer })]);
    assert_eq!(moved.announcements.events, [], "nobody else is told");
    assert_eq!(kept().await, reading);

    // Another device of theirs is not as far: nothing is lost by that.
    let behind = world.done(read(Move::Forward(3))).await;
    assert_eq!((behind.answer, behind.announcements), (answer, Announcements::default()));
    let beyond = world.done(read(Move::Forward(1_000))).await;
    assert_eq!(beyond.answer.reading, Reading::nothing_behind(5), "beyond the newest there is nothing to be read");
    let back = world.done(read(Move::To(2))).await;
    assert_eq!(back.answer.reading, Reading { read: 2, unread: 3, mentions: 0 });
    assert_eq!(kept().await, back.answer.reading);
    let to_beyond = world.done(read(Move::To(u64::MAX))).await;
    assert_eq!(to_beyond.answer.reading, Reading::nothing_behind(5));

    // Of several in one batch each sees what came before it.
    let all = world.all([read(Move::To(0)), read(Move::Forward(3)), read(Move::Forward(4))]).await;
    let numbers: Vec<_> = all.into_iter().map(|one| one.unwrap().answer.reading.read).collect();
    assert_eq!((numbers, kept().await.read), (vec![0, 3, 4], 4));

    let outsider = world.invited("Eva").await;
    world.done(Leave { person: outsider, room }).await;
    assert_eq!(world.refused(Read { person: outsider, room, to: Move::Forward(3) }).await, NotMember);
    let nowhere = Read { person: ben, room: RoomId::fresh(), to: Move::Forward(3) };
    assert_eq!(world.refused(nowhere).await, NotMember);
    assert_eq!(world.store.room(room, outsider).await.unwrap().unwrap().reading, None);
}

pub(super) async fn what_waits_for_somebody_is_what_others_said_and_what_stands(fixture: &impl Fixture) {
    let mut world = World::new(fixture).await;
    let (ana, room) = (world.ana, world.general);
    let ben = world.invited("Ben").await;
    let unread = async |person| world.store.room(room, person).await.unwrap().unwrap().reading.unwrap().unread;
    let first = world.post(ana, room, "first").await.id;
    world.post(ben, room, "my own").await;
    world.post(ana, room, "second").await;
    world.invited("Eva").await;
    assert_eq!((unread(ben).await, unread(ana).await), (2, 1), "who came is no message");
    world.done(world.edit(ana, first, "first, edited")).await;
    assert_eq!(unread(ben).await, 2, "nor is an edit one more");
    world.done(world.delete(ana, first, None)).await;
    assert_eq!(unread(ben).await, 1);
    world.done(world.restore(ana, first)).await;
    assert_eq!(unread(ben).await, 2);
    let room_of = async |person| world.store.own_rooms(person).await.unwrap().remove(0).reading.unwrap().unread;
    assert_eq!(room_of(ben).await, 2, "the list of rooms says the same");

    world.now = START.plus(Duration::from_secs(1));
    let many = |author, count| {
        let one = move |number| message(author, room, ClientId::fresh(), &format!("number {number}"));
        (0..count).map(one).collect::<Vec<_>>()
    };
    world.all(many(ana, UNREAD_COUNTED_MAX + 50)).await;
    assert_eq!(unread(ben).await, UNREAD_COUNTED_MAX, "so many or more");
    world.all(many(ben, UNREAD_LOOKED_AT - 7)).await;
    assert_eq!(unread(ben).await, 7, "behind so many of their own it is not counted on");
    let last = world.store.room(room, ben).await.unwrap().unwrap().offset;
    assert_eq!(world.done(Read { person: ben, room, to: Move::Forward(last) }).await.answer.reading.unread, 0);
}

pub(super) async fn how_a_member_keeps_a_room_is_theirs_alone_and_ends_with_their_membership(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let (ana, room) = (world.ana, world.general);
    let ben = world.invited("Ben").await;
    let kept = async |person| fixture.open().await.room(room, person).await.unwrap().unwrap().preferences;
    assert_eq!(kept(ben).await, Some(Preferences::default()));

    let edit = PreferencesEdit { favourite: Some(true), section: Some(Section::parse("Work").unwrap()), muted: None };
    let prefer = |edit: &PreferencesEdit| Prefer { person: ben, room, edit: edit.clone() };
    let preferred = world.done(prefer(&edit)).await;
    let preferences = Preferences { favourite: true, muted: false, section: Section::parse("Work").unwrap() };
    let answer = RoomPreferences { id: room, preferences: preferences.clone() };
    assert_eq!(preferred.answer, answer);
    assert_eq!(preferred.announcements.personal, [(ben, PersonEvent::Preferences { room: answer.clone() })]);
    assert_eq!(preferred.announcements.events, [], "nobody else is told");
    assert_eq!((kept(ben).await, kept(ana).await), (Some(preferences.clone()), Some(Preferences::default())));
    let own = world.store.own_rooms(ben).await.unwrap().remove(0).preferences;
    assert_eq!(own, Some(preferences.clone()), "the list of rooms says the same");
    let again = world.done(prefer(&edit)).await;
    assert_eq!((again.answer, again.announcements), (answer, Announcements::default()));

    // What an edit does not speak of stays, and each can be taken back.
    let muted = PreferencesEdit { muted: Some(true), ..PreferencesEdit::default() };
    let not = PreferencesEdit { favourite: Some(false), section: Some(Section::default()), muted: None };
    let all = world.all([prefer(&muted), prefer(&not)]).await;
    let all: Vec<_> = all.into_iter().map(|one| one.unwrap().answer.preferences).collect();
    let (with, without) =
        (Preferences { muted: true, ..preferences }, Preferences { muted: true, ..Default::default() });
    assert_eq!(all, [with, without.clone()]);
    assert_eq!(kept(ben).await, Some(without));

    world.done(Leave { person: ben, room }).await;
    assert_eq!(world.refused(prefer(&edit)).await, NotMember);
    assert_eq!(world.refused(Prefer { room: RoomId::fresh(), ..prefer(&edit) }).await, NotMember);
    assert_eq!(world.store.room(room, ben).await.unwrap().unwrap().preferences, None);
    let again = world.done(Join { person: ben, room }).await;
    assert_eq!(again.answer.preferences, Some(Preferences::default()), "anew");
    assert_eq!(kept(ben).await, again.answer.preferences);
}

pub(super) async fn the_last_event_before_a_time_is_found_in_a_history_of_any_length(fixture: &impl Fixture) {
    let mut world = World::new(fixture).await;
    let (ana, room) = (world.ana, world.general);
    let at = |seconds| START.plus(Duration::from_secs(seconds));
    let found = async |world: &World, seconds| world.store.last_before(room, ana, at(seconds)).await.unwrap();
    assert_eq!((found(&world, 0).await, found(&world, 1).await), (Some(0), Some(1)), "that it was made is an event");
    for count in 2..=20 {
        // Every second event comes with the one before it.
        world.now = at(count / 2 * 10);
        world.post(ana, room, "again").await;
        for seconds in 1..=count / 2 * 10 + 1 {
            let expected = if seconds <= 10 { 1 } else { ((seconds - 1) / 10 * 2 + 1).min(count) };
            assert_eq!(found(&world, seconds).await, Some(expected), "of {count}, before {seconds} s");
        }
    }
    let ben = world.invited("Ben").await;
    world.done(Leave { person: ben, room }).await;
    assert_eq!(world.store.last_before(room, ben, at(100)).await.unwrap(), None);
    assert_eq!(world.store.last_before(RoomId::fresh(), ana, at(100)).await.unwrap(), None);
}

pub(super) async fn a_room_says_when_the_last_message_was_posted(fixture: &impl Fixture) {
    let mut world = World::new(fixture).await;
    let (ana, room) = (world.ana, world.general);
    let last = async |world: &World| world.store.room(room, ana).await.unwrap().unwrap().last_message;
    assert_eq!(last(&world).await, None, "that somebody made it is no message");
    let first = world.post(ana, room, "first").await.id;
    assert_eq!(last(&world).await, Some(START));
    world.now = START.plus(Duration::from_secs(1));
    world.done(world.edit(ana, first, "an edit is none")).await;
    assert_eq!(last(&world).await, Some(START));
    world.post(ana, room, "second").await;
    assert_eq!(last(&world).await, Some(world.now));
    world.now = START.plus(Duration::from_secs(2));
    let mut reply = message(ana, room, ClientId::fresh(), "in a thread alone");
    reply.0.thread = Some(InThread { root: first, also_in_room: false });
    world.done(reply).await;
    assert_eq!(
        last(&world).await,
        Some(START.plus(Duration::from_secs(1))),
        "what stands in a thread is not in the room"
    );
}

pub(super) async fn whoever_comes_in_has_read_what_was_said_before(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let (ana, room) = (world.ana, world.general);
    let reading = async |person| world.store.room(room, person).await.unwrap().unwrap().reading;
    assert_eq!(reading(ana).await, Some(Reading::nothing_behind(1)), "who made the room");
    world.post(ana, room, "before").await;
    let ben = world.invited("Ben").await;
    assert_eq!(reading(ben).await, Some(Reading::nothing_behind(3)));
    world.post(ana, room, "after").await;
    assert_eq!(reading(ben).await, Some(Reading { read: 3, unread: 1, mentions: 0 }));
    world.done(Leave { person: ben, room }).await;
    assert_eq!(reading(ben).await, None);
    world.post(ana, room, "meanwhile").await;
    let again = world.done(Join { person: ben, room }).await;
    assert_eq!(again.answer.reading, Some(Reading::nothing_behind(7)), "anew");
    assert_eq!(reading(ben).await, again.answer.reading);
}

pub(super) async fn somebody_who_has_read_everything_is_told_where_that_changed_something(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let (ana, general) = (world.ana, world.general);
    let ben = world.invited("Ben").await;
    let [other, quiet] = [world.room(ana, "Other").await, world.room(ana, "Quiet").await];
    for room in [other, quiet] {
        world.done(Join { person: ben, room }).await;
    }
    world.post(ana, general, "one").await;
    world.post(ana, other, "two").await;
    let mut done = world.done(ReadAll { person: ben }).await;
    done.answer.sort_by_key(|room| room.id != general);
    let read = |id, offset| RoomReading { id, offset, reading: Reading::nothing_behind(offset) };
    assert_eq!(done.answer, [read(general, 3), read(other, 3)]);
    assert_eq!(done.announcements.personal.len(), 2);
    assert_eq!(world.done(ReadAll { person: ben }).await, Applied::quietly(vec![]));
    let rooms = fixture.open().await.own_rooms(ben).await.unwrap();
    assert!(rooms.iter().all(|room| room.reading == Some(Reading::nothing_behind(room.offset))));
    let anas = world.store.room(general, ana).await.unwrap().unwrap().reading.unwrap();
    assert_eq!(anas.read, 1, "everybody has their own");
}

pub(super) async fn what_is_denied_is_there_after_opening_again_until_it_has_ended(fixture: &impl Fixture) {
    let mut world = World::new(fixture).await;
    let after = |seconds| START.plus(Duration::from_secs(seconds));
    let denied = |denial: &Denial, ends| Denied { denial: denial.clone(), created: START, ends };
    let token = Denial::Token { id: "a".into() };
    let tokens = |before| Denial::Tokens { user: "42".into(), channel: None, issued_before: after(before) };
    let in_a_channel = Denial::Tokens { user: "42".into(), channel: Some("news".into()), issued_before: after(3) };
    let user = Denial::User { user: "42".into() };
    let known = async || {
        let mut all = fixture.open().await.denials().await.unwrap();
        all.sort_by_key(|denied| denied.denial.key());
        all
    };
    let sorted = |mut all: Vec<Denied>| {
        all.sort_by_key(|denied| denied.denial.key());
        all
    };

    let first = denied(&token, Some(after(9)));
    let done = world.done(Deny { denied: first.clone() }).await;
    assert_eq!(done.announcements.denied, [(token.key(), Some(first.clone()))]);
    let more = [denied(&tokens(5), None), denied(&in_a_channel, None), denied(&user, Some(after(9)))];
    for denied in &more {
        world.done(Deny { denied: denied.clone() }).await;
    }
    // A revocation that says less takes nothing back, also not from an end that is later.
    let kept = world.done(Deny { denied: denied(&tokens(4), Some(after(1))) }).await;
    assert_eq!(kept.answer, more[0]);
    assert_eq!(known().await, sorted([vec![first], more.to_vec()].concat()));

    world.now = after(9);
    world.done(SweepDenials).await;
    assert_eq!(known().await, sorted(more[..2].to_vec()), "what ends then has ended");
    world.done(Deny { denied: denied(&user, None) }).await;
    let allowed = world.done(Allow { denial: user.clone() }).await;
    assert!(allowed.answer);
    assert_eq!(allowed.announcements.denied, [(user.key(), None)]);
    assert!(!world.done(Allow { denial: user }).await.answer, "there is nothing to take back");
    assert_eq!(known().await, sorted(more[..2].to_vec()));
}

pub(super) async fn an_edited_message_has_its_last_text_and_keeps_what_it_said_before(fixture: &impl Fixture) {
    let mut world = World::new(fixture).await;
    let (ana, room) = (world.ana, world.general);
    let said = world.post(ana, room, "one").await;
    let times = [1, 2].map(|seconds| START.plus(Duration::from_secs(seconds)));
    for (time, text) in times.into_iter().zip(["two", "three"]) {
        world.now = time;
        let edited = world.done(world.edit(ana, said.id, text)).await;
        assert_eq!((edited.answer.body.as_str(), edited.answer.edited, edited.answer.time), (text, Some(time), START));
        assert_eq!(world.told(&edited).await.1, "message.edited");
    }
    world.now = START.plus(Duration::from_secs(3));
    let again = world.done(world.edit(ana, said.id, "three")).await;
    assert_eq!(
        (again.answer.edited, &again.announcements.events[..]),
        (Some(times[1]), &[][..]),
        "the same text again"
    );

    let edit = |number, time, body: &str| Edit { number, time, body: body.into() };
    let all = vec![edit(3, START, "one"), edit(4, times[0], "two")];
    let (read, edits) = world.read(ana, said.id).await;
    assert_eq!((read, &edits), (again.answer.clone(), &all));
    assert_eq!(world.bodies().await, ["three"]);
    // Whoever reads on from before finds its present text, under the number that it came with.
    let told: Vec<_> = world.general_events().await.iter().filter_map(|event| event.kind.message().cloned()).collect();
    assert_eq!(told, vec![again.answer; 3]);
    let page = async |from, limit| {
        let page = world.store.edits(room, ana, said.id, PageQuery { from, limit }).await.unwrap().unwrap();
        (page.edits, page.more)
    };
    assert_eq!(page(PageFrom::End, 1).await, (vec![all[1].clone()], true));
    assert_eq!(page(PageFrom::Before(4), 1).await, (vec![all[0].clone()], false));
    assert_eq!(page(PageFrom::After(4), 1).await, (vec![], false));
}

pub(super) async fn a_message_is_edited_by_its_author_alone_and_not_when_it_was_deleted(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let (ana, ben) = (world.ana, world.invited("Ben").await);
    let his = world.post(ben, world.general, "his").await.id;
    let other = world.room(ben, "Other").await;
    assert_eq!(world.refused(world.edit(ana, his, "hers")).await, EditRefusal::NotAuthor);
    let nothing = EditRefusal::NoSuchMessage;
    assert_eq!(world.refused(world.edit(ben, MessageId::fresh(), "x")).await, nothing);
    assert_eq!(world.refused(EditMessage { room: other, ..world.edit(ben, his, "x") }).await, nothing, "another room");
    world.done(world.delete(ben, his, None)).await;
    assert_eq!(world.refused(world.edit(ben, his, "x")).await, EditRefusal::Deleted);
    world.done(world.restore(ben, his)).await;
    world.done(Leave { person: ben, room: world.general }).await;
    assert_eq!(world.refused(world.edit(ben, his, "x")).await, nothing);
    assert_eq!(world.refused(world.delete(ben, his, None)).await, DeleteRefusal::NoSuchMessage);
    assert_eq!(world.refused(world.restore(ben, his)).await, RestoreRefusal::NoSuchMessage);
    let page = PageQuery { from: PageFrom::End, limit: 9 };
    assert_eq!(world.store.edits(world.general, ben, his, page).await.unwrap(), None, "S36");
    assert_eq!(world.store.edits(other, ben, his, page).await.unwrap(), None, "not through another room either");
    assert_eq!(world.bodies().await, ["his"]);
}

pub(super) async fn what_was_deleted_is_told_nobody_and_comes_back_in_time_by_the_same_hand(fixture: &impl Fixture) {
    let mut world = World::new(fixture).await;
    let (ana, ben) = (world.ana, world.invited("Ben").await);
    let said = world.post(ben, world.general, "first").await;
    world.done(world.edit(ben, said.id, "secret")).await;
    let before = world.read(ana, said.id).await;
    world.now = START.plus(Duration::from_secs(1));
    let gone = world.done(world.delete(ben, said.id, None)).await;
    assert_eq!(world.told(&gone).await.1, "message.deleted");
    let deleted = gone.answer.deleted.as_ref().unwrap();
    assert_eq!((deleted.time, deleted.by.id, &deleted.reason), (world.now, ben, &None));
    assert_eq!(world.read(ana, said.id).await, (gone.answer.clone(), vec![]));
    assert_eq!(world.read(ben, said.id).await, (gone.answer.clone(), vec![]), "nor its author");
    assert_eq!(world.bodies().await, [""], "its place in the room stays");
    let events = world.general_events().await;
    assert!(events.iter().filter_map(|event| event.kind.message()).all(|message| *message == gone.answer));
    assert!(!format!("{events:?}").contains("secret"));
    let page = PageQuery { from: PageFrom::After(0), limit: 9 };
    let page = world.store.events(world.general, None, page, 0).await.unwrap().unwrap();
    assert_eq!((page.events.len(), page.more), (5, false), "what is hidden takes no room in a page");
    assert_eq!(world.done(world.delete(ben, said.id, None)).await.announcements.events, [], "twice is once");

    assert_eq!(world.refused(world.restore(ana, said.id)).await, RestoreRefusal::NotAllowed, "who did not delete it");
    world.now = world.now.plus(DELETE_UNDO).minus(Duration::from_millis(1));
    assert!(!world.store.has_deleted_by(world.now.minus(DELETE_UNDO)).await.unwrap());
    let restored = world.done(world.restore(ben, said.id)).await;
    assert_eq!(world.told(&restored).await.1, "message.restored");
    assert_eq!(world.read(ana, said.id).await, before, "as it was, with what it said before");
    assert_eq!(world.done(world.restore(ben, said.id)).await.announcements.events, [], "twice is once");

    world.done(world.delete(ben, said.id, None)).await;
    world.now = world.now.plus(DELETE_UNDO);
    assert_eq!(world.refused(world.restore(ben, said.id)).await, RestoreRefusal::TooLate);
}

pub(super) async fn who_manages_a_room_deletes_what_others_said_and_says_why(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let (ana, ben, eva) = (world.ana, world.invited("Ben").await, world.invited("Eva").await);
    let his = world.post(ben, world.general, "his").await.id;
    assert_eq!(world.refused(world.delete(eva, his, Some("rude"))).await, DeleteRefusal::NotAllowed);
    assert_eq!(world.refused(world.delete(ana, his, None)).await, DeleteRefusal::NoReason);
    let gone = world.done(world.delete(ana, his, Some("rude"))).await.answer.deleted.unwrap();
    assert_eq!((gone.by.id, gone.reason.as_deref()), (ana, Some("rude")));
    assert_eq!(world.refused(world.restore(ben, his)).await, RestoreRefusal::NotAllowed, "not by its author");
    world.done(world.restore(ana, his)).await;

    let room = world.room(ben, "Ben's").await;
    world.done(Join { person: eva, room }).await;
    let hers = world.post(eva, room, "hers").await.id;
    let delete = |person| DeleteMessage { room, ..world.delete(person, hers, Some("no reason")) };
    let outside = world.refused(delete(ana)).await;
    assert_eq!(outside, DeleteRefusal::NoSuchMessage, "an administrator deletes what they may read");
    world.done(delete(ben)).await;
}

pub(super) async fn what_was_deleted_is_erased_and_its_place_stays(fixture: &impl Fixture) {
    let mut world = World::new(fixture).await;
    let (ana, room) = (world.ana, world.general);
    let (gone, kept) = (world.post(ana, room, "one").await, world.post(ana, room, "kept").await);
    world.done(world.edit(ana, gone.id, "two")).await;
    world.done(world.edit(ana, kept.id, "edited")).await;
    let tombstone = world.done(world.delete(ana, gone.id, Some("a slip"))).await.answer;
    let is_left = async |world: &World| world.store.has_deleted_by(world.now.minus(DELETE_UNDO)).await.unwrap();
    world.now = START.plus(DELETE_UNDO).minus(Duration::from_millis(1));
    assert_eq!(world.done(EraseDeleted).await.answer, 0);
    world.now = START.plus(DELETE_UNDO);
    assert!(is_left(&world).await);
    // Another run of the server, or another node, does it too.
    world.store = fixture.open().await;
    let erased = world.done(EraseDeleted).await;
    assert_eq!((erased.answer, &erased.announcements.events[..]), (1, &[][..]), "nobody is told of it");
    assert!(!is_left(&world).await);
    assert_eq!(world.done(EraseDeleted).await.answer, 0);
    assert_eq!(world.read(ana, gone.id).await, (tombstone, vec![]), "where it stood, by whom, who deleted it, and why");
    assert_eq!(world.read(ana, kept.id).await.1.len(), 1, "nothing else is erased");
    assert_eq!(world.refused(world.restore(ana, gone.id)).await, RestoreRefusal::TooLate);

    let many = ERASED_AT_ONCE as usize + 1;
    let say = |_| message(ana, room, ClientId::fresh(), "again");
    let all = world.all((0..many).map(say)).await.into_iter().map(|posted| posted.unwrap().answer.id);
    let delete: Vec<_> = all.map(|id| world.delete(ana, id, None)).collect();
    assert!(world.all(delete).await.iter().all(Result::is_ok));
    world.now = world.now.plus(DELETE_UNDO);
    assert_eq!(world.done(EraseDeleted).await.answer, many - 1);
    assert!(is_left(&world).await, "the rest follows");
    assert_eq!(world.done(EraseDeleted).await.answer, 1);
}

pub(super) async fn g2_a_send_is_recognised_after_it_was_edited_deleted_and_erased(fixture: &impl Fixture) {
    let mut world = World::new(fixture).await;
    let (ana, room, client_id) = (world.ana, world.general, ClientId::fresh());
    let first = world.done(message(ana, room, client_id, "hello")).await.answer;
    let check = async |world: &World| {
        let again = world.done(message(ana, room, client_id, "hello")).await;
        assert_eq!((again.answer.id, again.answer.number, again.answer.repeated), (first.id, first.number, true));
        assert_eq!(again.announcements.events, []);
        assert_eq!(world.refused(message(ana, room, client_id, "edited")).await, PostRefusal::Conflict);
    };
    world.done(world.edit(ana, first.id, "edited")).await;
    check(&world).await;
    world.done(world.delete(ana, first.id, None)).await;
    check(&world).await;
    world.now = world.now.plus(DELETE_UNDO);
    assert_eq!(world.done(EraseDeleted).await.answer, 1);
    check(&world).await;
    assert_eq!(world.bodies().await, [""], "nothing came back with it");

    let lost = NewMessage {
        digest: SendDigest::of(room, "another", &MessageKey::fresh()),
        ..message(ana, room, client_id, "another").0
    };
    assert!(world.done(Post(lost)).await.answer.repeated, "without its key a row answers by author and client id");
}

pub(super) async fn g2_digests_of_a_version_before_get_a_key_some_at_a_time(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let (ana, room, key) = (world.ana, world.general, MessageKey::new(b"the key of the tests"));
    let many = DIGESTS_KEYED_AT_ONCE as usize + 1;
    let client_ids: Vec<_> = (0..many).map(|_| ClientId::fresh()).collect();
    // As the version before stored them.
    let old = |client_id: &ClientId| {
        let new = message(ana, room, *client_id, "hello").0;
        Post(NewMessage { digest: new.digest.of_a_version_before(), ..new })
    };
    assert!(world.all(client_ids.iter().map(old)).await.iter().all(Result::is_ok));
    let check = async || {
        for client_id in [client_ids[0], client_ids[many - 1]] {
            assert!(world.done(message(ana, room, client_id, "hello")).await.answer.repeated);
            assert_eq!(world.refused(message(ana, room, client_id, "other")).await, PostRefusal::Conflict);
        }
    };
    check().await;
    let last_key = async || world.store.last_digest_key().await.unwrap();
    assert_eq!(last_key().await, None, "they have none");
    assert_eq!(world.done(KeyDigests(key.clone())).await.answer, many - 1);
    check().await;
    assert_eq!(world.done(KeyDigests(key.clone())).await.answer, 1);
    assert_eq!(world.done(KeyDigests(MessageKey::fresh())).await.answer, 0, "what has a key keeps it");
    check().await;
    assert_eq!(last_key().await, Some(key.id()));
    let (lost, new) = (MessageKey::fresh(), message(ana, room, ClientId::fresh(), "hello").0);
    world.done(Post(NewMessage { digest: SendDigest::of(room, "hello", &lost), ..new })).await;
    assert_eq!(last_key().await, Some(lost.id()), "that of the last message, whatever those before have");
}

pub(super) async fn an_answer_shows_what_it_answers_as_that_is_now(fixture: &impl Fixture) {
    let mut world = World::new(fixture).await;
    let (ana, ben) = (world.ana, world.invited("Ben").await);
    let asked = world.post(ana, world.general, &"why? ".repeat(100)).await;
    let Post(plain) = message(ben, world.general, ClientId::fresh(), "because");
    let answer = Post(NewMessage { reply_to: Some(asked.id), ..plain });
    let told = world.done(answer.clone()).await;
    let reply_to = |message: &Message| message.reply_to.clone().unwrap();
    let [event] = &told.announcements.events[..] else { panic!("{told:?}") };
    let stands = reply_to(event.kind.message().unwrap());
    assert_eq!((stands.id, stands.number, stands.author.id, stands.deleted), (asked.id, asked.number, ana, false));
    assert_eq!(stands.body, "why? ".repeat(ANSWERED_CHARS_MAX / 5));
    assert_eq!(world.general_events().await.last(), Some(event), "the same live and later");
    assert!(world.done(answer.clone()).await.answer.repeated, "it is one message however often it is sent");

    world.done(world.edit(ana, asked.id, "how?")).await;
    assert_eq!(reply_to(&world.read(ben, told.answer.id).await.0).body, "how?");
    world.done(world.delete(ana, asked.id, None)).await;
    let gone = reply_to(&world.read(ben, told.answer.id).await.0);
    assert_eq!((gone.body.as_str(), gone.deleted, gone.author.id), ("", true, ana), "S36");
    let Post(late) = message(ben, world.general, ClientId::fresh(), "sent while that was deleted");
    world.done(Post(NewMessage { reply_to: Some(asked.id), ..late })).await;
    world.done(world.restore(ana, asked.id)).await;
    assert_eq!(reply_to(&world.read(ben, told.answer.id).await.0).body, "how?");

    let elsewhere = world.room(ben, "Other").await;
    for (room, reply_to) in [(elsewhere, asked.id), (world.general, MessageId::fresh())] {
        let Post(new) = message(ben, room, ClientId::fresh(), "to nothing here");
        let refused = world.refused(Post(NewMessage { reply_to: Some(reply_to), ..new })).await;
        assert_eq!(refused, PostRefusal::NothingToAnswer, "S40: another room's is as one that does not exist");
    }
    world.now = START.plus(DELETE_UNDO);
    world.done(world.delete(ana, asked.id, None)).await;
    world.now = world.now.plus(DELETE_UNDO);
    world.done(EraseDeleted).await;
    assert!(reply_to(&world.read(ben, told.answer.id).await.0).deleted);
}

pub(super) async fn a_reaction_stands_once_and_is_seen_by_the_members_of_the_room(fixture: &impl Fixture) {
    let mut world = World::new(fixture).await;
    let (ana, ben) = (world.ana, world.invited("Ben").await);
    let said = world.post(ana, world.general, "tea?").await.id;
    let told = world.done(world.react(ben, said, "👍", true)).await;
    let [event] = &told.announcements.events[..] else { panic!("{told:?}") };
    assert_eq!((event.kind.name(), event.kind.concerns()), ("reaction.added", Some(said)));
    assert_eq!(world.general_events().await.last(), Some(event), "the same live and later");
    assert_eq!(world.done(world.react(ben, said, "👍", true)).await.announcements.events, [], "twice is once");
    assert_eq!(world.done(world.react(ana, said, "🫖", false)).await.announcements.events, [], "nothing to take back");
    world.done(world.react(ana, said, "🫖", true)).await;
    world.done(world.react(ana, said, "👍", true)).await;
    let one = |emoji: &str, count, mine, people: &[&str]| {
        (emoji.to_owned(), count, mine, people.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(world.reacted(ben, said).await, [one("👍", 2, true, &["Ben", "Ana"]), one("🫖", 1, false, &["Ana"])]);
    assert_eq!(world.reacted(ana, said).await[1], one("🫖", 1, true, &["Ana"]));

    // In every page that shows the message, and in nothing that goes to all alike.
    let page = PageQuery { from: PageFrom::After(0), limit: 9 };
    let messages = world.store.messages(world.general, ben, page).await.unwrap().unwrap().messages;
    assert_eq!(messages.last().unwrap().reactions.len(), 2);
    let events = world.store.events(world.general, Some(ben), page, usize::MAX).await.unwrap().unwrap().events;
    let in_page: Vec<_> = events.iter().filter_map(|event| event.kind.message()).map(|m| m.reactions.len()).collect();
    assert_eq!(in_page, [2]);
    assert!(world.general_events().await.iter().filter_map(|e| e.kind.message()).all(|m| m.reactions.is_empty()));

    let taken = world.done(world.react(ben, said, "👍", false)).await;
    assert_eq!(taken.announcements.events[0].kind.name(), "reaction.removed");
    assert_eq!(world.reacted(ben, said).await, [one("🫖", 1, false, &["Ana"]), one("👍", 1, false, &["Ana"])]);
    for n in 0..7 {
        let person = world.invited(&format!("Person{n}")).await;
        world.done(world.react(person, said, "🫖", true)).await;
    }
    let tea = world.reacted(ben, said).await.remove(0);
    assert_eq!((tea.1, tea.3.len()), (8, REACTION_PEOPLE_SHOWN as usize), "only the first are named");
    let with = |emoji| world.store.reacted(world.general, ben, said, Emoji::parse(emoji).unwrap());
    let all = with("🫖").await.unwrap().unwrap();
    assert_eq!((all.people.len(), all.people[7].name.as_str(), all.more), (8, "Person6", false));
    assert_eq!(with("🎉").await.unwrap().unwrap().people, []);

    world.done(world.delete(ana, said, None)).await;
    assert_eq!(world.refused(world.react(ben, said, "👍", true)).await, ReactRefusal::Deleted);
    assert_eq!((world.reacted(ben, said).await, with("🫖").await.unwrap().unwrap().people), (vec![], vec![]));
    world.done(world.restore(ana, said)).await;
    assert_eq!(world.reacted(ben, said).await.len(), 2, "they come back with it");
    world.done(world.delete(ana, said, None)).await;
    world.now = world.now.plus(DELETE_UNDO);
    world.done(EraseDeleted).await;

    let other = world.room(ana, "Other").await;
    let hidden = world.post(ana, other, "not for Ben").await.id;
    for (room, message) in [(other, hidden), (world.general, hidden), (world.general, MessageId::fresh())] {
        let react = React { room, ..world.react(ben, message, "👍", true) };
        assert_eq!(world.refused(react).await, ReactRefusal::NoSuchMessage, "S36, S40");
        let asked = world.store.reacted(room, ben, message, Emoji::parse("👍").unwrap()).await.unwrap();
        assert_eq!(asked, None);
    }
}

pub(super) async fn a_message_has_so_many_different_reactions_and_no_more(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let (ana, ben) = (world.ana, world.invited("Ben").await);
    let said = world.post(ana, world.general, "x").await.id;
    let emoji = |n: u32| char::from_u32(0x1f600 + n).unwrap().to_string();
    world.all((0..REACTIONS_PER_MESSAGE_MAX).map(|n| world.react(ana, said, &emoji(n), true))).await;
    assert_eq!(world.reacted(ana, said).await.len(), REACTIONS_PER_MESSAGE_MAX as usize);
    let another = || world.react(ben, said, &emoji(REACTIONS_PER_MESSAGE_MAX), true);
    assert_eq!(world.refused(another()).await, ReactRefusal::TooManyKinds);
    world.done(world.react(ben, said, &emoji(3), true)).await;
    world.done(world.react(ana, said, &emoji(0), false)).await;
    world.done(another()).await;
}
