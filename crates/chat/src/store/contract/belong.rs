//! Profiles, accounts and sessions.

use super::*;
use crate::{
    changes::{
        EditProfile, EndOtherSessions, MakeToken, MakeTokenRefusal, NoSuchToken, RevokeToken, SetEmail,
        SetEmailRefusal, SetRole, TouchToken,
    },
    limits::PERSONAL_TOKENS_MAX,
    model::{Ended, PersonalToken, PersonalTokenId, Profile, ProfileEdit, Quiet, Scope, Status, Title, Zone},
};

impl World {
    async fn say_of_oneself(&self, person: PersonId, edit: ProfileEdit) -> Applied<Profile> {
        self.done(EditProfile { person, edit }).await
    }

    async fn seen_by(&self, asking: PersonId, people: &[PersonId]) -> Vec<String> {
        let found = self.store.profiles(asking, people.to_vec()).await.unwrap();
        found.into_iter().map(|profile| profile.name.as_str().to_owned()).collect()
    }
}

fn named(name: &str) -> ProfileEdit {
    ProfileEdit { name: Some(Name::parse(name).unwrap()), ..ProfileEdit::default() }
}

pub(in crate::store) async fn a_profile_is_told_to_who_shares_a_room_and_read_by_who_may_see_it(
    fixture: &impl Fixture,
) {
    let world = World::new(fixture).await;
    let (ana, ben, guest) = (world.ana, world.invited("Ben").await, world.invited("Guest").await);
    let room = world.room(ben, "Plans").await;
    let ends = Some(START.plus(Duration::from_secs(60)));
    let edit = ProfileEdit {
        title: Some(Title::parse("Cook").unwrap()),
        zone: Some(Zone::parse("Europe/Berlin").unwrap()),
        status: Some(Some(Status::parse("🌴", "Away", ends, START).unwrap())),
        quiet: Some(Some(Quiet { ends: None })),
        ..named("Benno")
    };
    let applied = world.say_of_oneself(ben, edit.clone()).await;
    let [changed] = &applied.announcements.changed[..] else { panic!("{applied:?}") };
    let mut rooms = changed.rooms.clone();
    rooms.sort_unstable();
    let mut expected = vec![world.general, room];
    expected.sort_unstable();
    assert_eq!((changed.profile.clone(), rooms), (applied.answer.clone(), expected));
    let told = PersonEvent::PersonChanged { person: applied.answer.clone() };
    assert_eq!(applied.announcements.personal, [(ben, told)], "their own devices too");
    assert!(applied.announcements.events.is_empty(), "no room has an event more");

    let [read] = &world.store.profiles(ana, vec![ben]).await.unwrap()[..] else { panic!() };
    assert_eq!(read, &applied.answer, "as it is read later");
    assert_eq!((read.name.as_str(), read.said.status.as_ref().unwrap().text.as_str()), ("Benno", "Away"));
    let again = world.say_of_oneself(ben, edit).await;
    assert!(again.announcements.changed.is_empty(), "what says the same again is not told");
    let status = ProfileEdit { status: Some(None), quiet: Some(None), ..ProfileEdit::default() };
    let quiet = world.say_of_oneself(ben, status).await.answer;
    assert_eq!((quiet.said.title.as_str(), quiet.said.status, quiet.said.quiet), ("Cook", None, None));
    assert!(quiet.changed > applied.answer.changed, "the later one holds, at the same moment too");
    assert_eq!(world.store.person(ben).await.unwrap().unwrap().name.as_str(), "Benno");

    world.done(SetRole { by: None, person: guest, role: Role::Guest }).await;
    assert_eq!(world.seen_by(guest, &[guest, ana, ben]).await, ["Guest", "Ana", "Benno"]);
    world.done(Remove { by: ana, person: guest, room: world.general }).await;
    assert_eq!(world.seen_by(guest, &[ana, guest, PersonId::fresh()]).await, ["Guest"], "as if they were not there");
    assert_eq!(world.seen_by(ben, &[guest]).await, ["Guest"], "and everybody else sees a guest");
}

pub(in crate::store) async fn whoever_gets_or_gives_up_a_name_that_others_have_is_told_of_with_them(
    fixture: &impl Fixture,
) {
    let world = World::new(fixture).await;
    let (ben, eva) = (world.invited("Ben").await, world.invited("Eva").await);
    let marks = |applied: &Applied<Profile>| -> Vec<(PersonId, bool)> {
        applied.announcements.changed.iter().map(|changed| (changed.profile.id, changed.profile.same_name)).collect()
    };
    let same = world.say_of_oneself(eva, named("BEN")).await;
    assert_eq!(marks(&same), [(eva, true), (ben, true)]);
    assert!(world.store.person(ben).await.unwrap().unwrap().same_name);
    let other = world.say_of_oneself(eva, named("Eve")).await;
    assert_eq!(marks(&other), [(eva, false), (ben, false)]);
}

pub(in crate::store) async fn an_address_is_changed_by_who_proves_it_and_has_one_account(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    world.invited("Ben").await;
    let session = world.store.session(world.token, START).await.unwrap().unwrap().session.id;
    let email = |text| Email::parse(text).unwrap();
    let right = SetEmail {
        person: world.ana,
        email: email("other@example.com"),
        checked: Some(StoredHash("a hash".into())),
        session,
    };
    let changed = SetEmailRefusal::PasswordChanged;
    let wrong = SetEmail { checked: Some(StoredHash("another hash".into())), ..right.clone() };
    assert_eq!(world.refused(wrong).await, changed);
    assert_eq!(world.refused(SetEmail { checked: None, ..right.clone() }).await, changed);
    assert_eq!(world.refused(SetEmail { session: SessionId::fresh(), ..right.clone() }).await, changed);
    let taken = SetEmail { email: email("ben@example.com"), ..right.clone() };
    assert_eq!(world.refused(taken).await, SetEmailRefusal::Taken);
    let applied = world.done(right.clone()).await;
    assert_eq!(applied.announcements.personal, [(world.ana, PersonEvent::AccountChanged)]);
    assert!(world.store.credentials(email("ana@example.com")).await.unwrap().is_none());
    let found = world.store.credentials(email("other@example.com")).await.unwrap().unwrap();
    assert_eq!(found.person.id, world.ana);
    world.done(right).await;
}

pub(in crate::store) async fn s21_of_a_session_that_was_ended_it_is_remembered_why(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let first = world.store.session(world.token, START).await.unwrap().unwrap().session.id;
    let open = async || {
        let token = Token::fresh().digest();
        let session = new_session(token);
        let id = session.id;
        let checked = StoredHash("a hash".into());
        world.done(OpenSession { person: world.ana, checked, session }).await;
        (token, id)
    };
    let why = async |token| world.store.session_ended(token).await.unwrap();
    let (token, id) = open().await;
    assert_eq!(why(token).await, None, "it goes on");
    world.done(EndSession { person: world.ana, session: id, why: Ended::SignedOut }).await;
    assert_eq!(why(token).await, Some(Ended::SignedOut));

    let (one, other) = (open().await, open().await);
    let mut ended = world.done(EndOtherSessions { person: world.ana, keep: other.1 }).await.announcements.ended;
    ended.sort_unstable();
    let mut expected = vec![first, one.1];
    expected.sort_unstable();
    assert_eq!(ended, expected);
    assert_eq!((why(one.0).await, why(other.0).await), (Some(Ended::Elsewhere), None));
    let gone = EndOtherSessions { person: world.ana, keep: one.1 };
    assert_eq!(world.refused(gone).await, PasswordChanged, "who was signed out ends nobody's");

    let hash = StoredHash("another hash".into());
    world.done(SetPassword { person: world.ana, hash, checked: None, keep: None }).await;
    assert_eq!(why(other.0).await, Some(Ended::Password));
    assert_eq!(why(Token::fresh().digest()).await, None);
}

pub(in crate::store) async fn s23_a_session_remembers_where_it_was_used_from_lately(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let token = Token::fresh().digest();
    let home = "203.0.113.7".parse().unwrap();
    let session = NewSession { address: Some(home), ..new_session(token) };
    let id = session.id;
    world.done(OpenSession { person: world.ana, checked: StoredHash("a hash".into()), session }).await;
    let address = async || world.store.session(token, START).await.unwrap().unwrap().session.address;
    assert_eq!(address().await, Some(home));
    world.done(TouchSession { session: id, address: None }).await;
    assert_eq!(address().await, Some(home), "where that is not known, it is as it was");
    let away = "2001:db8::7".parse().unwrap();
    world.done(TouchSession { session: id, address: Some(away) }).await;
    assert_eq!(address().await, Some(away));
    let old = world.store.session(world.token, START).await.unwrap().unwrap().session.address;
    assert_eq!(old, None, "a version before has not written it down");
}

pub(in crate::store) async fn s43_a_personal_token_is_found_by_its_digest_until_it_is_revoked_or_its_person_deactivated(
    fixture: &impl Fixture,
) {
    let world = World::new(fixture).await;
    let ben = world.invited("Ben").await;
    let session_of = async |person| {
        let session = new_session(Token::fresh().digest());
        let id = session.id;
        world.done(OpenSession { person, checked: StoredHash("a hash".into()), session }).await;
        id
    };
    let (of_ana, of_ben) = (session_of(world.ana).await, session_of(ben).await);
    let make = |person, expires| {
        let session = if person == ben { of_ben } else { of_ana };
        let token = PersonalToken {
            id: PersonalTokenId::fresh(),
            name: Name::parse("A program").unwrap(),
            scopes: vec![Scope::Read, Scope::Rooms],
            created: START,
            expires,
            last_used: None,
        };
        MakeToken { person, session, token, digest: Token::fresh().digest() }
    };
    let bearer = async |digest| world.store.token_bearer(digest).await.unwrap();
    let one = make(ben, None);
    world.done(one.clone()).await;
    let found = bearer(one.digest).await.unwrap();
    assert_eq!((found.person.id, &found.token), (ben, &one.token));
    assert!(bearer(Token::fresh().digest()).await.is_none());
    world.done(TouchToken { token: one.token.id }).await;
    assert!(bearer(one.digest).await.unwrap().token.last_used.is_some());

    let other = make(ben, Some(START.minus(Duration::from_secs(1))));
    world.done(other.clone()).await;
    let ids: Vec<_> = world.store.personal_tokens(ben).await.unwrap().into_iter().map(|token| token.id).collect();
    assert_eq!(ids, [other.token.id, one.token.id], "the newest first");
    assert!(world.store.personal_tokens(world.ana).await.unwrap().is_empty());
    assert_eq!(world.refused(RevokeToken { person: world.ana, token: one.token.id }).await, NoSuchToken, "not theirs");
    world.done(RevokeToken { person: ben, token: one.token.id }).await;
    assert!(bearer(one.digest).await.is_none());
    assert_eq!(world.refused(RevokeToken { person: ben, token: one.token.id }).await, NoSuchToken);

    // Whoever's session ended while they asked gets none, nor does anybody by the session of another.
    let ended = session_of(ben).await;
    world.done(EndOtherSessions { person: ben, keep: of_ben }).await;
    for session in [ended, of_ana] {
        let late = MakeToken { session, ..make(ben, None) };
        assert_eq!(world.refused(late).await, MakeTokenRefusal::Ended);
    }

    // The one that has ended makes room.
    for _ in 0..PERSONAL_TOKENS_MAX {
        world.done(make(ben, None)).await;
    }
    assert!(bearer(other.digest).await.is_none());
    assert_eq!(world.refused(make(ben, None)).await, MakeTokenRefusal::TooMany);
    let last = make(world.ana, None);
    world.done(last.clone()).await;
    world.done(SetActive { person: ben, is_active: false }).await;
    assert!(world.store.personal_tokens(ben).await.unwrap().is_empty());
    assert_eq!(world.refused(make(ben, None)).await, MakeTokenRefusal::TooMany, "nor do they get one");
    world.done(SetActive { person: ben, is_active: true }).await;
    assert!(world.store.personal_tokens(ben).await.unwrap().is_empty(), "and none comes back");
    assert!(bearer(last.digest).await.is_some());
}
