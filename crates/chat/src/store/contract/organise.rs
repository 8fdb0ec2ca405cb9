//! Rooms for some, direct messages, and who looks after what.

use super::*;
use crate::{
    changes::{
        AddMember, AddMemberRefusal, EditRoomRefusal, SetRole, SetRoleRefusal, SetRoomRole, SetRoomRoleRefusal,
        StartDirect, StartDirectRefusal,
    },
    limits::DIRECTS_PER_PERSON_MAX,
    model::{Description, PeopleKey},
};

impl World {
    async fn edit_room(&self, person: PersonId, room: RoomId, edit: RoomEdit) -> Applied<Room> {
        self.done(EditRoom { person, room, edit }).await
    }

    async fn direct(&self, person: PersonId, others: &[PersonId]) -> (Room, bool) {
        let direct = StartDirect { person, others: others.iter().copied().collect(), room: NewRoom::direct() };
        let started = self.done(direct).await.answer;
        (started.room, started.existed)
    }

    async fn becomes(&self, person: PersonId, role: Role) {
        self.done(SetRole { by: None, person, role }).await;
    }

    async fn private(&self, creator: PersonId, name: &str) -> RoomId {
        let room = self.room(creator, name).await;
        self.done(close(creator, room)).await;
        room
    }

    async fn roles(&self, room: RoomId, reader: PersonId) -> Vec<(String, RoomRole)> {
        let members = self.store.members(room, reader).await.unwrap().unwrap();
        members.into_iter().map(|member| (member.name.as_str().to_owned(), member.role)).collect()
    }

    /// The events of a room but for the first, by their names.
    async fn told_in(&self, room: RoomId) -> Vec<&'static str> {
        self.events(room).await.iter().skip(1).map(|event| event.kind.name()).collect()
    }
}

fn renamed(name: &str) -> RoomEdit {
    RoomEdit { name: Some(Name::parse(name).unwrap()), ..RoomEdit::default() }
}

fn archived(is_archived: bool) -> RoomEdit {
    RoomEdit { is_archived: Some(is_archived), ..RoomEdit::default() }
}

fn opened() -> RoomEdit {
    RoomEdit { kind: Some(RoomKind::Public), ..RoomEdit::default() }
}

pub(in crate::store) async fn whoever_is_brought_in_is_told_and_the_room_hears_who_did_it(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let (ben, eva, leo) = (world.invited("Ben").await, world.invited("Eva").await, world.invited("Leo").await);
    let room = world.private(ben, "Plans").await;
    let add = |by, person| AddMember { by, person, room };
    let applied = world.done(add(ben, eva)).await;
    let [(told, PersonEvent::RoomAdded { room: card })] = &applied.announcements.personal[..] else {
        panic!("{applied:?}")
    };
    assert_eq!((*told, card.kind, card.role, card.members), (eva, "private", Some("member"), 2));
    let stored = world.store.room(room, eva).await.unwrap().unwrap();
    assert_eq!(RoomCard::from(&stored), **card, "as it is read later");
    let [event] = &applied.announcements.events[..] else { panic!("{applied:?}") };
    assert_eq!(world.events(room).await.last(), Some(event));
    let EventKind::MemberJoined { member, by: Some(by) } = &event.kind else { panic!("{event:?}") };
    assert_eq!((member.id, by.id), (eva, ben));

    assert_eq!(world.done(add(eva, ben)).await.announcements.events, [], "who is in stays in");
    world.done(add(eva, leo)).await;
    let outsider = world.invited("Outsider").await;
    assert_eq!(world.refused(add(outsider, outsider)).await, AddMemberRefusal::NotMember, "no one lets themselves in");
    assert_eq!(world.refused(add(world.ana, outsider)).await, AddMemberRefusal::NotMember, "nor does an owner");
    assert_eq!(world.refused(add(ben, PersonId::fresh())).await, AddMemberRefusal::NoSuchPerson);
    world.done(SetActive { person: outsider, is_active: false }).await;
    assert_eq!(world.refused(add(ben, outsider)).await, AddMemberRefusal::NoSuchPerson);
    world.done(Remove { by: ben, person: leo, room }).await;
    let left = world.events(room).await.pop().unwrap();
    let EventKind::MemberLeft { member, by: Some(by) } = left.kind else { panic!("{left:?}") };
    assert_eq!((member.id, by.id), (leo, ben));
}

pub(in crate::store) async fn a_room_is_renamed_described_opened_closed_and_archived_and_each_is_an_event(
    fixture: &impl Fixture,
) {
    let world = World::new(fixture).await;
    let ben = world.invited("Ben").await;
    let room = world.room(ben, "Plans").await;
    let all = RoomEdit {
        name: Some(Name::parse("Ideas").unwrap()),
        topic: Some(Topic::parse("what next").unwrap()),
        description: Some(Description::parse("Line one\nline two").unwrap()),
        kind: Some(RoomKind::Private),
        is_archived: Some(true),
    };
    let applied = world.edit_room(ben, room, all.clone()).await;
    assert_eq!(world.told_in(room).await, ["room.renamed", "room.described", "room.closed", "room.archived"]);
    assert_eq!(applied.announcements.events[..], world.events(room).await[1..], "told as they are read later");
    assert_eq!(world.store.room(room, ben).await.unwrap(), Some(applied.answer.clone()));
    assert_eq!((applied.answer.description.as_str(), applied.answer.archived), ("Line one\nline two", Some(world.now)));
    assert_eq!(world.edit_room(ben, room, all).await.announcements.events, [], "it is so already");
    let again = RoomEdit { kind: Some(RoomKind::Public), is_archived: Some(false), ..RoomEdit::default() };
    world.edit_room(ben, room, again).await;
    assert_eq!(world.told_in(room).await[4..], ["room.opened", "room.restored"]);
    let back = world.edit_room(ben, room, renamed("IDEAS")).await.answer;
    assert_eq!((back.name.as_str(), back.kind, back.archived), ("IDEAS", RoomKind::Public, None));
    // Whoever reads an event later finds the room as it is then.
    let first = world.events(room).await.remove(1);
    let EventKind::RoomRenamed { room: facts, member } = first.kind else { panic!("{first:?}") };
    assert_eq!((facts.name.as_str(), facts.archived, member.id), ("IDEAS", None, ben));
}

pub(in crate::store) async fn names_stay_unique_among_the_rooms_that_one_sees(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let (ben, eva) = (world.invited("Ben").await, world.invited("Eva").await);
    let (open, hidden) = (world.room(ben, "Open").await, world.private(eva, "Hidden").await);
    let edit = |person, room, edit| EditRoom { person, room, edit };
    assert_eq!(world.refused(edit(ben, open, renamed("general"))).await, EditRoomRefusal::NameTaken);
    world.edit_room(ben, open, renamed("Hidden")).await;
    assert_eq!(
        world.refused(edit(eva, hidden, opened())).await,
        EditRoomRefusal::NameTaken,
        "everybody would see both"
    );
    world.edit_room(ben, open, renamed("Open")).await;
    world.edit_room(eva, hidden, opened()).await;
    let outsider = EditRoomRefusal::Manage(ManageRefusal::NotMember);
    let secret = world.private(eva, "Secret").await;
    for person in [ben, world.ana] {
        assert_eq!(world.refused(edit(person, secret, renamed("Mine"))).await, outsider);
    }
    world.done(Join { person: eva, room: open }).await;
    let refusal = EditRoomRefusal::Manage(ManageRefusal::NotAllowed);
    assert_eq!(world.refused(edit(eva, open, renamed("Mine"))).await, refusal);
    world.edit_room(world.ana, open, renamed("By the owner of the server")).await;
}

pub(in crate::store) async fn in_an_archived_room_nothing_is_written_until_it_is_restored(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let room = world.general;
    let client_id = ClientId::fresh();
    let said = world.done(message(world.ana, room, client_id, "before")).await.answer;
    let other = world.room(world.ana, "Other").await;
    world.edit_room(world.ana, room, archived(true)).await;
    let hello = || message(world.ana, room, ClientId::fresh(), "hello");
    assert_eq!(world.refused(hello()).await, PostRefusal::Archived);
    // In one batch with what goes through, and after another room.
    let batch = [message(world.ana, other, ClientId::fresh(), "one"), hello(), hello()];
    let answers: Vec<_> = world.all(batch).await.into_iter().map(|answer| answer.is_ok()).collect();
    assert_eq!(answers.iter().filter(|is_ok| **is_ok).count(), 1);
    assert_eq!(world.refused(world.edit(world.ana, said.id, "after")).await, EditRefusal::Archived);
    let again = world.done(message(world.ana, room, client_id, "before")).await.answer;
    assert_eq!((again.id, again.repeated), (said.id, true), "G2: what was acknowledged stays so");
    world.done(world.delete(world.ana, said.id, None)).await;
    world.edit_room(world.ana, room, archived(false)).await;
    world.done(hello()).await;
}

pub(in crate::store) async fn the_same_people_always_have_the_same_direct_message(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let (ana, ben, eva) = (world.ana, world.invited("Ben").await, world.invited("Eva").await);
    let rooms = world.store.own_rooms(ana).await.unwrap().len();
    let (both, existed) = world.direct(ana, &[ben]).await;
    assert!(!existed);
    assert_eq!((both.kind, both.members, both.role), (RoomKind::Direct, 2, Some(RoomRole::Member)));
    assert_eq!(both.people.iter().map(|who| who.id).collect::<Vec<_>>(), [ben]);
    for others in [&[ana][..], &[ana, ben]] {
        let (same, existed) = world.direct(ben, others).await;
        assert_eq!((same.id, existed), (both.id, true));
        assert_eq!(same.people.iter().map(|who| who.id).collect::<Vec<_>>(), [ana], "as the other sees it");
        assert_eq!(world.store.room(both.id, ben).await.unwrap(), Some(same));
    }
    let (group, _) = world.direct(ben, &[eva, ana]).await;
    assert_eq!(group.people.iter().map(|who| who.name.as_str()).collect::<Vec<_>>(), ["Ana", "Eva"]);
    assert_eq!(world.direct(eva, &[ana, ben]).await, (world.store.room(group.id, eva).await.unwrap().unwrap(), true));
    let (notes, _) = world.direct(ana, &[ana]).await;
    assert_eq!((notes.members, notes.people.len()), (1, 0));
    assert_ne!(notes.id, both.id);
    let own = world.store.own_rooms(ana).await.unwrap();
    assert_eq!(own.len(), rooms + 3);
    let listed = own.iter().find(|room| room.id == group.id).unwrap();
    assert_eq!(Some(listed), world.store.room(group.id, ana).await.unwrap().as_ref());
    let key = PeopleKey::of(&[ana, ben].into());
    assert_eq!(world.store.direct_of(key, ben).await.unwrap().unwrap().id, both.id);
    assert!(world.store.direct_of(PeopleKey::of(&[ben, eva].into()), ben).await.unwrap().is_none());
}

pub(in crate::store) async fn a_direct_message_begun_by_all_at_once_is_one(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let (ana, ben) = (world.ana, world.invited("Ben").await);
    let eva = world.invited("Eva").await;
    let start = |person: PersonId| StartDirect {
        person,
        others: [ana, ben, eva].into_iter().filter(|other| *other != person).collect(),
        room: NewRoom::direct(),
    };
    let lanes = world.store.lanes();
    let begun = (0..12).map(|number| {
        let (batch, outcome) = submit(start([ana, ben, eva][number % 3]));
        let store = world.store.clone();
        async move {
            let done = store.apply(number % lanes, vec![batch], START).await.unwrap();
            done.batch.into_iter().for_each(Submission::answer);
            outcome.await.unwrap().answer
        }
    });
    let begun = join_all(begun).await;
    assert_eq!(begun.iter().filter(|started| !started.existed).count(), 1);
    assert!(begun.iter().all(|started| started.room.id == begun[0].room.id));
    for person in [ana, ben, eva] {
        let own = world.store.own_rooms(person).await.unwrap();
        assert_eq!(own.iter().filter(|room| room.kind == RoomKind::Direct).count(), 1);
    }
    assert_eq!(world.events(begun[0].room.id).await.len(), 1);
}

pub(in crate::store) async fn s37_nobody_else_learns_of_a_direct_message(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let (ana, ben, eva) = (world.ana, world.invited("Ben").await, world.invited("Eva").await);
    let (room, page) = (world.direct(ben, &[eva]).await.0.id, PageQuery { from: PageFrom::End, limit: 10 });
    let said = world.post(ben, room, "between us").await;
    let store = &world.store;
    let seen = store.room(room, ana).await.unwrap().unwrap();
    assert!(!seen.is_seen(), "not by the server's owner either");
    assert!(store.other_rooms(ana, None, 100).await.unwrap().rooms.is_empty());
    assert!(store.own_rooms(ana).await.unwrap().iter().all(|own| own.id != room));
    assert!(store.events(room, Some(ana), page, usize::MAX).await.unwrap().is_none());
    assert!(store.message(room, ana, said.id).await.unwrap().is_none());
    assert_eq!(world.refused(Join { person: ana, room }).await, NotMember);
    assert_eq!(world.refused(AddMember { by: ana, person: ana, room }).await, AddMemberRefusal::NotMember);
    assert_eq!(world.refused(Leave { person: ana, room }).await, LeaveRefusal::NotMember);
    let refusal = ManageRefusal::NotMember;
    assert_eq!(world.refused(RenewInvite { person: ana, room, code: Code::fresh() }).await, refusal);
    assert_eq!(world.refused(Remove { by: ana, person: ben, room }).await, refusal);
    let edit = EditRoom { person: ana, room, edit: opened() };
    assert_eq!(world.refused(edit).await, EditRoomRefusal::Manage(refusal));
    // Nor by what it has no name for, nor by how many rooms there may be.
    let own = world.room(ana, "Ben").await;
    assert!(!store.room(own, ana).await.unwrap().unwrap().same_name);
}

pub(in crate::store) async fn s39_a_direct_message_stays_as_it_is(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let (ana, ben, eva) = (world.ana, world.invited("Ben").await, world.invited("Eva").await);
    let room = world.direct(ana, &[ben]).await.0.id;
    let is_direct = ManageRefusal::IsDirect;
    // The server's owner is in it, and may no more than the other.
    for person in [ana, ben] {
        for edit in [opened(), renamed("Ours"), archived(true)] {
            assert_eq!(world.refused(EditRoom { person, room, edit }).await, EditRoomRefusal::Manage(is_direct));
        }
        let other = if person == ana { ben } else { ana };
        assert_eq!(world.refused(Remove { by: person, person: other, room }).await, is_direct);
        assert_eq!(world.refused(EnsureInvite { person, room, code: Code::fresh() }).await, is_direct);
        assert_eq!(world.refused(RenewInvite { person, room, code: Code::fresh() }).await, is_direct);
        assert_eq!(world.refused(AddMember { by: person, person: eva, room }).await, AddMemberRefusal::IsDirect);
        assert_eq!(world.refused(Leave { person, room }).await, LeaveRefusal::IsDirect);
        let owner = SetRoomRole { by: person, person, room, role: RoomRole::Owner };
        assert_eq!(world.refused(owner).await, SetRoomRoleRefusal::Manage(is_direct));
    }
    let said = world.post(ben, room, "mine").await.id;
    let reason = Some(DeleteReason::parse("because").unwrap());
    let delete = DeleteMessage { person: ana, room, message: said, reason };
    assert_eq!(world.refused(delete).await, DeleteRefusal::NotAllowed, "nobody moderates it");
    let plans = world.room(ben, "Plans").await;
    let edit = RoomEdit { kind: Some(RoomKind::Direct), ..RoomEdit::default() };
    let turned = EditRoom { person: ben, room: plans, edit };
    assert_eq!(world.refused(turned).await, EditRoomRefusal::Manage(is_direct), "nor does a room become one");
}

pub(in crate::store) async fn one_begins_so_many_direct_messages_and_only_with_who_is_there(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let (ben, gone) = (world.invited("Ben").await, world.invited("Gone").await);
    let start = |person, others: &[PersonId]| StartDirect {
        person,
        others: others.iter().copied().collect(),
        room: NewRoom::direct(),
    };
    let before = world.direct(ben, &[gone]).await.0.id;
    world.done(SetActive { person: gone, is_active: false }).await;
    assert_eq!(world.refused(start(world.ana, &[gone])).await, StartDirectRefusal::NoSuchPerson);
    assert_eq!(world.refused(start(ben, &[PersonId::fresh()])).await, StartDirectRefusal::NoSuchPerson);
    assert_eq!(world.direct(ben, &[gone]).await.0.id, before, "what was said stays");
    let rooms = world.store.own_rooms(ben).await.unwrap().len();
    assert_eq!(rooms, 2, "nothing is left of what was refused");
    assert_eq!(DIRECTS_PER_PERSON_MAX, 500, "too many to make here; see the limits of rooms for how it is counted");
}

pub(in crate::store) async fn a_room_is_handed_over_and_a_private_one_is_never_without_an_owner(
    fixture: &impl Fixture,
) {
    let mut world = World::new(fixture).await;
    let (ben, eva, leo) = (world.invited("Ben").await, world.invited("Eva").await, world.invited("Leo").await);
    let room = world.private(ben, "Plans").await;
    let role = |by, person, role| SetRoomRole { by, person, room, role };
    for person in [eva, leo] {
        world.now = world.now.plus(Duration::from_millis(1));
        world.done(AddMember { by: ben, person, room }).await;
    }
    let refusal = SetRoomRoleRefusal::Manage(ManageRefusal::NotAllowed);
    assert_eq!(world.refused(role(eva, eva, RoomRole::Owner)).await, refusal, "nobody promotes themselves");
    assert_eq!(world.refused(role(ben, ben, RoomRole::Member)).await, SetRoomRoleRefusal::LastOwner);
    let outsider = SetRoomRoleRefusal::Manage(ManageRefusal::NotMember);
    assert_eq!(world.refused(role(world.ana, world.ana, RoomRole::Owner)).await, outsider);
    assert_eq!(world.refused(role(ben, world.ana, RoomRole::Owner)).await, outsider);
    world.done(role(ben, leo, RoomRole::Owner)).await;
    world.done(role(leo, ben, RoomRole::Member)).await;
    assert_eq!(world.refused(Remove { by: ben, person: eva, room }).await, ManageRefusal::NotAllowed);
    assert_eq!(world.told_in(room).await[3..], ["member.promoted", "member.demoted"]);
    let last = world.events(room).await.pop().unwrap();
    let EventKind::MemberDemoted { member, by: Some(by) } = last.kind else { panic!("{last:?}") };
    assert_eq!((member.id, by.id), (ben, leo));

    let applied = world.done(Leave { person: leo, room }).await;
    let kinds: Vec<_> = applied.announcements.events.iter().map(|event| event.kind.name()).collect();
    assert_eq!(kinds, ["member.left", "member.promoted"]);
    let all = world.events(room).await;
    assert_eq!(applied.announcements.events[..], all[all.len() - 2..]);
    let expected = [("Ben".to_owned(), RoomRole::Owner), ("Eva".to_owned(), RoomRole::Member)];
    assert_eq!(world.roles(room, ben).await, expected, "who has been there for longest");
    let public = world.room(eva, "Public").await;
    world.done(Join { person: ben, room: public }).await;
    world.done(Leave { person: eva, room: public }).await;
    assert_eq!(world.roles(public, ben).await, [("Ben".to_owned(), RoomRole::Member)], "administrators look after it");
    world.done(Remove { by: world.ana, person: ben, room: public }).await;
}

pub(in crate::store) async fn s44_roles_are_given_by_owners_and_there_is_always_one(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let (ana, ben, eva) = (world.ana, world.invited("Ben").await, world.invited("Eva").await);
    let set = |by, person, role| SetRole { by: Some(by), person, role };
    for role in [Role::Owner, Role::Admin] {
        assert_eq!(world.refused(set(ben, ben, role)).await, SetRoleRefusal::Own);
        assert_eq!(world.refused(set(ben, eva, role)).await, SetRoleRefusal::NotAllowed);
    }
    assert_eq!(world.refused(set(ana, ana, Role::Member)).await, SetRoleRefusal::LastOwner);
    let operator = SetRole { by: None, person: ana, role: Role::Admin };
    assert_eq!(world.refused(operator).await, SetRoleRefusal::LastOwner, "by nobody");
    let deactivate = SetActive { person: ana, is_active: false };
    assert_eq!(world.refused(deactivate).await, SetActiveRefusal::LastOwner);

    let applied = world.done(set(ana, ben, Role::Admin)).await;
    assert_eq!(applied.announcements.connecting_again, [ben]);
    assert_eq!(world.refused(set(ben, ben, Role::Owner)).await, SetRoleRefusal::Own);
    assert_eq!(world.refused(set(ben, eva, Role::Admin)).await, SetRoleRefusal::NotAllowed);
    assert_eq!(world.refused(set(ben, ana, Role::Guest)).await, SetRoleRefusal::NotAllowed);
    world.done(set(ben, eva, Role::Guest)).await;
    world.done(set(ben, eva, Role::Member)).await;
    world.done(set(ben, ben, Role::Member)).await;
    assert_eq!(world.store.person(ben).await.unwrap().unwrap().role, Role::Member, "they may step down");

    world.done(set(ana, eva, Role::Owner)).await;
    world.done(set(eva, ana, Role::Admin)).await;
    assert_eq!(world.refused(set(eva, eva, Role::Member)).await, SetRoleRefusal::LastOwner);
    assert_eq!(world.refused(set(ana, eva, Role::Member)).await, SetRoleRefusal::NotAllowed);
    assert_eq!(world.refused(set(eva, PersonId::fresh(), Role::Member)).await, SetRoleRefusal::NoSuchPerson);
}

pub(in crate::store) async fn s44_of_two_owners_who_depose_each_other_one_stays(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let (ana, ben) = (world.ana, world.invited("Ben").await);
    let lanes = world.store.lanes();
    for _ in 0..5 {
        world.becomes(ana, Role::Owner).await;
        world.becomes(ben, Role::Owner).await;
        let set = [(ana, ben), (ben, ana)].into_iter().enumerate().map(|(lane, (by, person))| {
            let (batch, outcome) = submit(SetRole { by: Some(by), person, role: Role::Member });
            let store = world.store.clone();
            async move {
                let done = store.apply(lane % lanes, vec![batch], START).await.unwrap();
                done.batch.into_iter().for_each(Submission::answer);
                outcome.await
            }
        });
        join_all(set).await;
        let people = world.store.people().await.unwrap();
        assert!(people.iter().any(|person| person.role == Role::Owner), "{people:?}");
    }
}

pub(in crate::store) async fn a_guest_sees_the_rooms_they_were_brought_into_and_who_is_there(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let (ana, ben, eva) = (world.ana, world.invited("Ben").await, world.invited("Eva").await);
    let guest = world.invited("Guest").await;
    let open = world.room(ana, "Open").await;
    world.becomes(guest, Role::Guest).await;
    let store = &world.store;
    let named = async |asking, look: &str| -> Vec<String> {
        let found = store.people_alike(asking, Name::parse(look).unwrap().look(), 10).await.unwrap();
        found.into_iter().map(|person| person.name.as_str().to_owned()).collect()
    };
    assert_eq!(named(guest, "e").await, ["Ben", "Eva", "Guest"], "all are in the first room");
    world.done(Remove { by: ana, person: eva, room: world.general }).await;
    assert_eq!(named(guest, "e").await, ["Ben", "Guest"]);
    assert_eq!(named(eva, "ES").await, ["Guest"], "whatever the case");
    world.done(SetActive { person: ben, is_active: false }).await;
    assert_eq!(named(eva, "e").await, ["Eva", "Guest"]);

    assert!(store.other_rooms(guest, None, 10).await.unwrap().rooms.is_empty());
    assert!(!store.room(open, guest).await.unwrap().unwrap().is_seen());
    assert_eq!(world.refused(Join { person: guest, room: open }).await, NotMember);
    let make = CreateRoom { person: guest, room: new_room("Theirs"), invite: Code::fresh() };
    assert_eq!(world.refused(make).await, CreateRoomRefusal::IsGuest);
    let room = world.general;
    assert_eq!(world.refused(AddMember { by: guest, person: eva, room }).await, AddMemberRefusal::IsGuest);
    let invite = EnsureInvite { person: guest, room, code: Code::fresh() };
    assert_eq!(world.refused(invite).await, ManageRefusal::NotAllowed);
    let owner = SetRoomRole { by: ana, person: guest, room, role: RoomRole::Owner };
    assert_eq!(world.refused(owner).await, SetRoomRoleRefusal::IsGuest);
    let start = |other| StartDirect { person: guest, others: [other].into(), room: NewRoom::direct() };
    assert_eq!(world.refused(start(eva)).await, StartDirectRefusal::NoSuchPerson, "as if they were not there");
    world.done(start(ana)).await;
    world.done(AddMember { by: ana, person: guest, room: open }).await;
    assert!(store.room(open, guest).await.unwrap().unwrap().is_seen());
    world.post(guest, open, "hello").await;
}

pub(in crate::store) async fn whoever_was_removed_from_a_private_room_does_not_come_back_by_its_link(
    fixture: &impl Fixture,
) {
    let world = World::new(fixture).await;
    let (ben, eva) = (world.invited("Ben").await, world.invited("Eva").await);
    let room = world.private(ben, "Plans").await;
    let code = Code::fresh();
    world.done(RenewInvite { person: ben, room, code: code.clone() }).await;
    world.done(AddMember { by: ben, person: eva, room }).await;
    world.done(Remove { by: ben, person: eva, room }).await;
    let accept = |person| AcceptInvite { invite: code.digest(), person };
    assert_eq!(world.refused(accept(eva)).await, InviteInvalid);

    // Nor does anybody once the last one has gone.
    let code = Code::fresh();
    world.done(RenewInvite { person: ben, room, code: code.clone() }).await;
    world.done(Leave { person: ben, room }).await;
    assert_eq!(world.refused(AcceptInvite { invite: code.digest(), person: ben }).await, InviteInvalid);
}

pub(in crate::store) async fn an_owner_of_a_room_who_becomes_a_guest_looks_after_nothing(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let (ben, eva) = (world.invited("Ben").await, world.invited("Eva").await);
    let room = world.private(ben, "Plans").await;
    world.done(AddMember { by: ben, person: eva, room }).await;
    world.becomes(ben, Role::Guest).await;
    assert_eq!(world.refused(RenewInvite { person: ben, room, code: Code::fresh() }).await, ManageRefusal::NotAllowed);
    let edit = EditRoom { person: ben, room, edit: renamed("Mine") };
    assert_eq!(world.refused(edit).await, EditRoomRefusal::Manage(ManageRefusal::NotAllowed));
    world.done(Leave { person: ben, room }).await;
    assert_eq!(world.roles(room, eva).await, [("Eva".to_owned(), RoomRole::Owner)]);
}

pub(in crate::store) async fn s37_a_page_of_rooms_begins_behind_no_room_that_one_does_not_see(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let (ben, eva) = (world.invited("Ben").await, world.invited("Eva").await);
    let hidden = world.private(ben, "M").await;
    let (direct, _) = world.direct(ben, &[world.ana]).await;
    for name in ["A", "Z"] {
        world.room(ben, name).await;
    }
    for after in [hidden, direct.id, RoomId::fresh()] {
        let page = world.store.other_rooms(eva, Some(after), 10).await.unwrap();
        assert_eq!((page.rooms.len(), page.more), (0, false), "as behind a room that does not exist");
    }
    assert_eq!(world.store.other_rooms(ben, Some(hidden), 10).await.unwrap().rooms.len(), 0, "he is in all of them");
    assert_eq!(world.store.other_rooms(eva, None, 10).await.unwrap().rooms.len(), 2);
}

pub(in crate::store) async fn s39_a_private_room_is_opened_by_its_owner_alone(fixture: &impl Fixture) {
    let world = World::new(fixture).await;
    let ben = world.invited("Ben").await;
    let room = world.private(ben, "Plans").await;
    world.done(AddMember { by: ben, person: world.ana, room }).await;
    let open = |person| EditRoom { person, room, edit: opened() };
    assert_eq!(
        world.refused(open(world.ana)).await,
        EditRoomRefusal::Manage(ManageRefusal::NotAllowed),
        "she is no owner of it"
    );
    world.done(open(ben)).await;
    // Closed by somebody outside, when nobody owns it, it has an owner all the same.
    world.done(Leave { person: ben, room }).await;
    world.done(close(world.ana, room)).await;
    assert_eq!(world.roles(room, world.ana).await, [("Ana".to_owned(), RoomRole::Owner)]);
}
