//! The store in plain maps, for tests: the same contract in the fewest words, and so what the others are compared with.
//!
//! It is gone with the program, and slow where a database has an index: a change copies everything first, so that it can
//! be taken back.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::future::{BoxFuture, ready};

use super::{Batch, Done, Read, Store, StoreError, StoreResult, Tables};
use crate::{
    limits::{
        ANSWERED_CHARS_MAX, REACTED_PAGE_MAX, REACTION_PEOPLE_SHOWN, REPLIES_COUNTED_MAX, REPLIES_LOOKED_AT,
        THREAD_PEOPLE_SHOWN, UNREAD_COUNTED_MAX, UNREAD_LOOKED_AT,
    },
    model::{
        Activity, ActivityFrom, ActivityPage, ActivityQuery, Answered, Arrival, ClientId, Credentials, Deleted,
        DenialKey, Denied, Description, EarlierSend, Edit, EditPage, Email, Emoji, Ended, Event, EventKind, EventPage,
        EventRow, Invite, InviteCard, KeyId, LastReply, Member, Message, MessageId, MessagePage, Name, NewMessage,
        NewPerson, NewRoom, NewSession, Notice, NoticeKind, PageFrom, PageQuery, PeopleKey, Person, PersonId,
        PersonalToken, PersonalTokenId, Preferences, Profile, Reacted, ReactedPage, Reaction, Reactions, Reading,
        Replies, Role, Room, RoomFacts, RoomId, RoomKind, RoomPage, RoomRole, Root, Said, SecretDigest, Session,
        SessionId, SessionKey, SignedIn, Stand, StoredDigest, StoredHash, StoredInvite, StoredMessage, Text,
        ThreadCard, ThreadPage, ThreadReading, ThreadStanding, ThreadsPage, Time, TokenBearer, Who,
    },
};

/// The store in plain maps. A clone is the same store.
#[derive(Debug, Clone)]
pub(crate) struct Memory(Arc<Mutex<Option<Maps>>>);

impl Default for Memory {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Some(Maps::default()))))
    }
}

#[derive(Debug, Clone, Default)]
struct Maps {
    set_up_by: Option<PersonId>,
    people: BTreeMap<PersonId, (Person, StoredHash)>,
    said: BTreeMap<PersonId, (Said, Time)>,
    keys: BTreeMap<String, [u8; 32]>,
    tokens: BTreeMap<PersonalTokenId, TokenRow>,
    sessions: BTreeMap<SessionId, SessionRow>,
    rooms: BTreeMap<RoomId, RoomRow>,
    members: BTreeMap<(RoomId, PersonId), MemberRow>,
    invites: BTreeMap<RoomId, (PersonId, StoredInvite)>,
    messages: BTreeMap<MessageId, MessageRow>,
    edits: BTreeMap<(MessageId, u64), (Time, String)>,
    reactions: BTreeMap<(MessageId, Emoji, PersonId), u64>,
    notices: BTreeMap<(RoomId, u64, u32), Notice>,
    /// Up to where they have read a thread, and whether they follow it.
    followers: BTreeMap<(MessageId, PersonId), (u64, bool)>,
    events: BTreeMap<(RoomId, u64), StoredEvent>,
    denials: BTreeMap<DenialKey, Denied>,
}

#[derive(Debug, Clone)]
struct MemberRow {
    joined: Time,
    role: RoomRole,
    read: u64,
    preferences: Preferences,
}

#[derive(Debug, Clone)]
struct SessionRow {
    person: PersonId,
    token: SecretDigest,
    session: Session,
    ended: Option<(Time, Ended)>,
}

#[derive(Debug, Clone)]
struct TokenRow {
    person: PersonId,
    digest: SecretDigest,
    token: PersonalToken,
}

#[derive(Debug, Clone)]
struct RoomRow {
    new: NewRoom,
    creator: PersonId,
    last_number: u64,
    created: Time,
    description: Description,
    archived: Option<Time>,
    people: Option<PeopleKey>,
}

#[derive(Debug, Clone)]
struct MessageRow {
    new: NewMessage,
    number: u64,
    time: Time,
    edited: Option<Time>,
    deleted: Option<(Time, PersonId, Option<String>)>,
}

#[derive(Debug, Clone)]
struct StoredEvent {
    kind: &'static str,
    room: RoomId,
    message: Option<MessageId>,
    emoji: Option<String>,
    actor: PersonId,
    subject: PersonId,
    time: Time,
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, Option<Maps>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T: Send + 'static>(&self, read: impl FnOnce(&Maps) -> T) -> Read<'_, T> {
        Box::pin(ready(self.lock().as_ref().map(read).ok_or(StoreError::Closed)))
    }
}

impl Store for Memory {
    fn apply(&self, _lane: usize, mut batch: Batch, now: Time) -> BoxFuture<'_, Result<Done, StoreError>> {
        let mut maps = self.lock();
        let Some(maps) = maps.as_mut() else { return Box::pin(ready(Err(StoreError::Closed))) };
        for change in &mut batch {
            let before = maps.clone();
            if change.apply(maps, now).is_err() {
                *maps = before;
            }
        }
        Box::pin(ready(Ok(batch.into())))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        *self.lock() = None;
        Box::pin(ready(()))
    }

    fn is_set_up(&self) -> Read<'_, bool> {
        self.read(|maps| !maps.people.is_empty())
    }

    fn people(&self) -> Read<'_, Vec<Person>> {
        self.read(|maps| {
            let mut people: Vec<_> = maps.people.keys().filter_map(|person| maps.person_of(*person)).collect();
            people.sort_by_key(|person| (folded(person.name.as_str()), person.id));
            people
        })
    }

    fn people_alike(&self, asking: PersonId, look: String, limit: u32) -> Read<'_, Vec<Person>> {
        self.read(|maps| {
            let is_known = |person: &Person| {
                !maps.is_guest(asking) || person.id == asking || maps.have_a_room_in_common(asking, person.id)
            };
            let people = maps.people.keys().filter_map(|person| maps.person_of(*person));
            let found = people.filter(|person| person.is_active && person.name.look().contains(&look));
            let mut found: Vec<_> = found.filter(is_known).collect();
            found.sort_by_key(|person| (folded(person.name.as_str()), person.id));
            found.truncate(limit as usize);
            found
        })
    }

    fn profiles(&self, asking: PersonId, people: Vec<PersonId>) -> Read<'_, Vec<Profile>> {
        self.read(|maps| {
            let sees = |other: PersonId| {
                !maps.is_guest(asking) || other == asking || maps.have_a_room_in_common(asking, other)
            };
            people.into_iter().filter(|person| sees(*person)).filter_map(|person| maps.profile_of(person)).collect()
        })
    }

    fn personal_tokens(&self, person: PersonId) -> Read<'_, Vec<PersonalToken>> {
        self.read(|maps| {
            maps.tokens.values().rev().filter(|row| row.person == person).map(|row| row.token.clone()).collect()
        })
    }

    fn token_bearer(&self, digest: SecretDigest) -> Read<'_, Option<TokenBearer>> {
        self.read(|maps| {
            let row = maps.tokens.values().find(|row| row.digest == digest)?;
            Some(TokenBearer { person: maps.person_of(row.person)?, token: row.token.clone() })
        })
    }

    fn session_ended(&self, token: SecretDigest) -> Read<'_, Option<Ended>> {
        self.read(|maps| {
            let row = maps.sessions.values().find(|row| row.token == token)?;
            row.ended.map(|(_, why)| why)
        })
    }

    fn person(&self, id: PersonId) -> Read<'_, Option<Person>> {
        self.read(|maps| maps.person_of(id))
    }

    fn credentials(&self, email: Email) -> Read<'_, Option<Credentials>> {
        self.read(|maps| {
            let (person, hash) = maps.people.values().find(|(person, _)| person.email == email)?;
            Some(Credentials { person: maps.person_of(person.id)?, hash: hash.clone() })
        })
    }

    fn session(&self, token: SecretDigest, now: Time) -> Read<'_, Option<SignedIn>> {
        self.read(|maps| {
            let row = maps.sessions.values().find(|row| row.token == token && row.is_open(now))?;
            Some(SignedIn { person: maps.person_of(row.person)?, session: row.session.clone() })
        })
    }

    fn arrival(&self, session: SessionKey, rooms_max: u32, now: Time) -> Read<'_, Option<Arrival>> {
        self.read(|maps| {
            let is_it = |row: &SessionRow| match session {
                SessionKey::Token(token) => row.token == token,
                SessionKey::Id(id) => row.session.id == id,
            };
            let row = maps.sessions.values().find(|row| is_it(row) && row.is_open(now))?;
            let who = SignedIn { person: maps.person_of(row.person)?, session: row.session.clone() };
            let own = maps.members.keys().filter(|(_, member)| *member == who.person.id);
            let stand = |(room, _): &(RoomId, PersonId)| {
                let RoomRow { new, last_number, .. } = maps.rooms.get(room)?;
                Some(Stand { room: *room, offset: *last_number, epoch: new.epoch.clone() })
            };
            Some(Arrival { rooms: own.filter_map(stand).take(rooms_max as usize).collect(), who })
        })
    }

    fn sessions(&self, person: PersonId, now: Time) -> Read<'_, Vec<Session>> {
        self.read(|maps| maps.last_used_first(person).into_iter().filter(|session| session.is_fresh(now)).collect())
    }

    fn sessions_ended(&self, since: Time) -> Read<'_, Vec<SessionId>> {
        self.read(|maps| {
            let ended = maps.sessions.values().filter(|row| row.ended.is_some_and(|(ended, _)| ended >= since));
            ended.map(|row| row.session.id).collect()
        })
    }

    fn denials(&self) -> Read<'_, Vec<Denied>> {
        self.read(|maps| maps.denials.values().cloned().collect())
    }

    fn invite(&self, code: SecretDigest, now: Time) -> Read<'_, Option<InviteCard>> {
        self.read(|maps| {
            let (inviter, stored) = maps.invites.values().find(|(_, stored)| stored.invite.code.digest() == code)?;
            let room = stored.clone().if_good(now)?.room;
            Some(InviteCard { inviter: maps.who(*inviter)?, room, room_name: maps.rooms.get(&room)?.new.name.clone() })
        })
    }

    fn room_invite(&self, room: RoomId, person: PersonId, now: Time) -> Read<'_, Option<Invite>> {
        self.read(|maps| {
            maps.member_of(room, person)?;
            maps.invites.get(&room)?.1.clone().if_good(now)
        })
    }

    fn invite_is_revoked(&self, room: RoomId) -> Read<'_, bool> {
        self.read(|maps| maps.invites.get(&room).is_some_and(|(_, stored)| stored.revoked))
    }

    fn own_rooms(&self, person: PersonId) -> Read<'_, Vec<Room>> {
        self.read(|maps| maps.rooms_by_name(person).into_iter().filter(Room::is_member).collect())
    }

    fn other_rooms(&self, person: PersonId, after: Option<RoomId>, limit: u32) -> Read<'_, RoomPage> {
        self.read(|maps| {
            let by_name = maps.rooms_by_name(person);
            let from = match after {
                None => 0,
                Some(after) => {
                    let is_known = |room: &Room| room.id == after && room.kind != RoomKind::Direct;
                    let seen = |room: &Room| room.kind == RoomKind::Public || room.is_member();
                    let at = by_name.iter().position(|room| is_known(room) && seen(room));
                    at.map_or(by_name.len(), |at| at + 1)
                }
            };
            let others = by_name.into_iter().skip(from).filter(|room| room.is_seen() && !room.is_member());
            let mut rooms: Vec<_> = others.take(limit as usize + 1).collect();
            let more = rooms.len() > limit as usize;
            rooms.truncate(limit as usize);
            RoomPage { rooms, more }
        })
    }

    fn direct_of(&self, people: PeopleKey, person: PersonId) -> Read<'_, Option<Room>> {
        self.read(|maps| {
            let room = maps.rooms.values().find(|room| room.people == Some(people))?;
            maps.room_as_seen_by(room.new.id, person)
        })
    }

    fn room(&self, room: RoomId, person: PersonId) -> Read<'_, Option<Room>> {
        self.read(|maps| maps.room_as_seen_by(room, person))
    }

    fn members(&self, room: RoomId, reader: PersonId) -> Read<'_, Option<Vec<Member>>> {
        self.read(|maps| {
            maps.member_of(room, reader)?;
            let inside = maps.members.iter().filter(|((known, _), _)| *known == room);
            let member = |((_, person), MemberRow { role, .. }): (&(RoomId, PersonId), &MemberRow)| {
                let Person { id, name, same_name, role: server_role, .. } = maps.person_of(*person)?;
                Some(Member { id, name, same_name, role: *role, server_role })
            };
            let mut members: Vec<_> = inside.filter_map(member).collect();
            members.sort_by_key(|member| (folded(member.name.as_str()), member.id));
            Some(members)
        })
    }

    fn member(&self, room: RoomId, person: PersonId) -> Read<'_, Option<Who>> {
        self.read(|maps| maps.member_of(room, person))
    }

    fn events(
        &self,
        room: RoomId,
        reader: Option<PersonId>,
        page: PageQuery,
        bytes_max: usize,
    ) -> Read<'_, Option<EventPage>> {
        self.read(|maps| {
            if let Some(reader) = reader {
                maps.member_of(room, reader)?;
            }
            let RoomRow { new, last_number, .. } = maps.rooms.get(&room)?;
            let all = maps.events.range((room, 0)..=(room, u64::MAX)).map(|((_, number), row)| (*number, row));
            let (rows, more) = part(all.collect(), page);
            let mut events: Vec<_> = rows.into_iter().map(|(number, row)| maps.event(room, number, row)).collect();
            for message in events.iter_mut().filter_map(|event| event.kind.message_mut()) {
                message.reactions = reader.map_or_else(Vec::new, |reader| maps.reacted_as_seen(message, reader));
                message.replies = reader.and_then(|_| maps.replies_to(message.id));
            }
            let (all, mut bytes) = (events.len(), 0);
            let mut fits = |event: &Event| {
                let fits = bytes <= bytes_max;
                bytes += event.kind.text_bytes();
                fits
            };
            if let PageFrom::After(_) = page.from {
                let kept = events.iter().take_while(|event| fits(event)).count();
                events.truncate(kept);
            } else {
                let kept = events.iter().rev().take_while(|event| fits(event)).count();
                events.drain(..all - kept);
            }
            let more = more || events.len() < all;
            Some(EventPage { events, epoch: new.epoch.clone(), offset: *last_number, more, revoked: 0 })
        })
    }

    fn last_before(&self, room: RoomId, reader: PersonId, time: Time) -> Read<'_, Option<u64>> {
        self.read(|maps| {
            maps.member_of(room, reader)?;
            let before = maps.events.range((room, 0)..=(room, u64::MAX)).filter(|(_, event)| event.time < time);
            Some(before.map(|((_, number), _)| *number).max().unwrap_or(0))
        })
    }

    fn messages(&self, room: RoomId, reader: PersonId, page: PageQuery) -> Read<'_, Option<MessagePage>> {
        self.read(|maps| {
            maps.member_of(room, reader)?;
            let inside = maps.messages.values().filter(|row| row.new.room == room && row.is_in_room());
            let mut all: Vec<_> = inside.map(|row| (row.number, row)).collect();
            all.sort_by_key(|(number, _)| *number);
            let (rows, more) = part(all, page);
            let messages = rows.into_iter().map(|(_, row)| maps.message_for(row, reader)).collect();
            Some(MessagePage { messages, more })
        })
    }

    fn message(&self, room: RoomId, reader: PersonId, message: MessageId) -> Read<'_, Option<Message>> {
        self.read(|maps| {
            maps.member_of(room, reader)?;
            maps.messages.get(&message).filter(|row| row.new.room == room).map(|row| maps.message_for(row, reader))
        })
    }

    fn thread(&self, room: RoomId, reader: PersonId, root: MessageId, page: PageQuery) -> Read<'_, Option<ThreadPage>> {
        self.read(|maps| {
            maps.member_of(room, reader)?;
            let row = maps.messages.get(&root).filter(|row| row.new.room == room)?;
            let mut all: Vec<_> = maps.in_thread(root).map(|row| (row.number, row)).collect();
            all.sort_by_key(|(number, _)| *number);
            let (rows, more) = part(all, page);
            let messages = rows.into_iter().map(|(_, row)| maps.message_for(row, reader)).collect();
            let RoomRow { new, last_number, .. } = maps.rooms.get(&room)?;
            let reading = maps.thread_reading(root, room, *last_number, reader);
            Some(ThreadPage { root: maps.message_for(row, reader), messages, more, epoch: new.epoch.clone(), reading })
        })
    }

    fn threads(&self, person: PersonId, before: Option<MessageId>, limit: u32) -> Read<'_, ThreadsPage> {
        self.read(|maps| {
            let followed = maps.followers.iter().filter(|((_, who), (_, follows))| *who == person && *follows);
            let card = |((root, _), _): (&(MessageId, PersonId), &(u64, bool))| {
                let row = maps.messages.get(root)?;
                maps.member_of(row.new.room, person)?;
                let reading =
                    maps.thread_reading(*root, row.new.room, maps.rooms.get(&row.new.room)?.last_number, person);
                let replies = maps.replies_to(*root)?;
                let last = Answered::from(&maps.message_of(maps.messages.get(&replies.last.id)?));
                Some(ThreadCard { reading, root: Answered::from(&maps.message_of(row)), replies, last })
            };
            let all: Vec<_> = followed.filter_map(card).collect();
            let unread = all.iter().filter(|card| card.reading.unread > 0).count();
            let at = |card: &ThreadCard| (card.replies.last.time, card.replies.last.id);
            let seen = |row: &&MessageRow| maps.members.contains_key(&(row.new.room, person));
            let before = before.map(|id| maps.messages.get(&id).filter(seen).map(|row| (row.time, id)));
            let mut threads: Vec<_> =
                all.into_iter().filter(|card| before.is_none_or(|it| Some(at(card)) < it)).collect();
            threads.sort_by_key(|card| std::cmp::Reverse(at(card)));
            let more = threads.len() > limit as usize;
            threads.truncate(limit as usize);
            ThreadsPage { threads, more, unread: u32::try_from(unread).unwrap_or(u32::MAX) }
        })
    }

    fn reacted(
        &self,
        room: RoomId,
        reader: PersonId,
        message: MessageId,
        emoji: Emoji,
    ) -> Read<'_, Option<ReactedPage>> {
        self.read(|maps| {
            maps.member_of(room, reader)?;
            let row = maps.messages.get(&message).filter(|row| row.new.room == room)?;
            let all = maps.reactions.iter().filter(|((of, with, _), _)| (*of, with) == (message, &emoji));
            let mut all: Vec<_> = all.filter(|_| row.deleted.is_none()).collect();
            all.sort_by_key(|(_, number)| **number);
            let more = all.len() > REACTED_PAGE_MAX as usize;
            let people = all.iter().take(REACTED_PAGE_MAX as usize).filter_map(|((.., person), _)| maps.who(*person));
            Some(ReactedPage { people: people.collect(), more })
        })
    }

    fn edits(&self, room: RoomId, reader: PersonId, message: MessageId, page: PageQuery) -> Read<'_, Option<EditPage>> {
        self.read(|maps| {
            maps.member_of(room, reader)?;
            let row = maps.messages.get(&message).filter(|row| row.new.room == room)?;
            let all = maps.edits.range((message, 0)..=(message, u64::MAX)).filter(|_| row.deleted.is_none());
            let (edits, more) = part(all.map(|((_, number), edit)| (*number, edit)).collect(), page);
            let names = maps.names_around(message);
            let edit = |(number, (time, body)): (u64, &(Time, String))| {
                let body = Text::new(body.clone(), names.clone());
                Edit { number, time: *time, body }
            };
            Some(EditPage { edits: edits.into_iter().map(edit).collect(), more })
        })
    }

    fn activity(&self, person: PersonId, query: ActivityQuery) -> Read<'_, ActivityPage> {
        self.read(|maps| {
            let from = query.before.unwrap_or(ActivityFrom::NEWEST);
            let place = |notice: &Notice| (notice.time, notice.event, notice.room, notice.place);
            let mut found: Vec<_> = maps
                .notices
                .values()
                .filter(|notice| query.kind.is_none_or(|kind| kind.has(notice.kind)) && notice.kind != NoticeKind::Past)
                .filter(|notice| maps.concerns(notice, person))
                .filter(|notice| place(notice) < (from.time, from.event, from.room, from.place))
                .collect();
            found.sort_by_key(|notice| std::cmp::Reverse(place(notice)));
            found.truncate(query.limit as usize + 1);
            let activity = |notice: &Notice| Activity {
                kind: notice.kind.as_str(),
                time: notice.time,
                actor: maps.who(notice.actor).expect("actors are people"),
                emoji: notice.emoji.clone(),
                event: notice.event,
                place: notice.place,
                message: maps.message_of(&maps.messages[&notice.message]),
            };
            ActivityPage::of(found.into_iter().map(activity).collect(), query.limit)
        })
    }

    fn has_deleted_by(&self, time: Time) -> Read<'_, bool> {
        self.read(|maps| maps.messages.values().any(|row| row.is_to_be_erased(time)))
    }

    fn last_digest_key(&self) -> Read<'_, Option<KeyId>> {
        self.read(|maps| maps.messages.last_key_value().and_then(|(_, row)| row.new.digest.stored.key))
    }
}

/// Names are sorted without regard to the case of Latin letters.
fn folded(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// The part that is asked for of all there is, and whether there is more in its direction.
fn part<T>(all: Vec<(u64, T)>, page: PageQuery) -> (Vec<(u64, T)>, bool) {
    let limit = page.limit as usize;
    let mut asked: Vec<_> = match page.from {
        PageFrom::End => all,
        PageFrom::Before(before) => all.into_iter().filter(|(number, _)| *number < before).collect(),
        PageFrom::After(after) => all.into_iter().filter(|(number, _)| *number > after).collect(),
    };
    let more = asked.len() > limit;
    match page.from {
        PageFrom::After(_) => asked.truncate(limit),
        PageFrom::End | PageFrom::Before(_) => drop(asked.drain(..asked.len().saturating_sub(limit))),
    }
    (asked, more)
}

impl MessageRow {
    fn is_in_room(&self) -> bool {
        self.new.thread.is_none_or(|thread| thread.also_in_room)
    }

    fn is_to_be_erased(&self, time: Time) -> bool {
        !self.new.body.is_empty() && self.deleted.as_ref().is_some_and(|(deleted, ..)| *deleted <= time)
    }
}

impl SessionRow {
    fn is_open(&self, now: Time) -> bool {
        self.ended.is_none() && self.session.is_fresh(now)
    }
}

impl Maps {
    fn person_of(&self, id: PersonId) -> Option<Person> {
        let (person, _) = self.people.get(&id)?;
        let look = person.name.look();
        let same_name = self.people.values().any(|(other, _)| other.id != id && other.name.look() == look);
        Some(Person { same_name, ..person.clone() })
    }

    fn profile_of(&self, id: PersonId) -> Option<Profile> {
        let Person { name, same_name, role, is_active, .. } = self.person_of(id)?;
        let (said, changed) = self.said.get(&id).cloned().unwrap_or((Said::default(), Time::from_millis(0)));
        Some(Profile { id, name, same_name, role, is_active, said, changed })
    }

    fn who(&self, id: PersonId) -> Option<Who> {
        self.person_of(id).as_ref().map(Who::from)
    }

    fn member_of(&self, room: RoomId, person: PersonId) -> Option<Who> {
        self.members.get(&(room, person)).and_then(|_| self.who(person))
    }

    fn room_as_seen_by(&self, room: RoomId, person: PersonId) -> Option<Room> {
        let RoomRow { new, creator, last_number, created, description, archived, .. } = self.rooms.get(&room)?.clone();
        let look = new.name.look();
        let alike = |other: &RoomRow| {
            let kind = other.new.kind;
            other.new.id != room
                && kind != RoomKind::Direct
                && other.new.name.look() == look
                && self.is_seen_by(other, person)
        };
        let inside: Vec<_> =
            self.members.keys().filter(|(known, _)| *known == room).map(|(_, person)| *person).collect();
        let own = self.members.get(&(room, person));
        let in_room = |row: &&MessageRow| row.new.room == room && row.new.thread.is_none_or(|it| it.also_in_room);
        let last_message = self.messages.values().filter(in_room).max_by_key(|row| row.number);
        let is_direct = new.kind == RoomKind::Direct;
        let beside = inside.iter().filter(|other| is_direct && **other != person);
        let mut people: Vec<_> = beside.filter_map(|other| self.who(*other)).collect();
        people.sort_by_key(|who| (folded(&who.name), who.id));
        Some(Room {
            id: room,
            name: new.name,
            topic: new.topic,
            description,
            kind: new.kind,
            archived,
            creator,
            epoch: new.epoch,
            offset: last_number,
            created,
            members: u32::try_from(inside.len()).unwrap_or(u32::MAX),
            role: own.map(|own| own.role),
            reading: own.map(|own| self.reading_of(room, person, own.read)),
            preferences: own.map(|own| own.preferences.clone()),
            last_message: last_message.map(|row| row.time),
            same_name: !is_direct && self.rooms.values().any(alike),
            is_open: new.kind == RoomKind::Public && !self.is_guest(person),
            people,
        })
    }

    fn reading_of(&self, room: RoomId, person: PersonId, read: u64) -> Reading {
        let mut behind: Vec<_> =
            self.messages.values().filter(|row| row.new.room == room && row.number > read).collect();
        behind.sort_by_key(|row| std::cmp::Reverse(row.number));
        behind.truncate(UNREAD_LOOKED_AT as usize);
        let counts = |row: &&&MessageRow| row.new.author != person && row.deleted.is_none() && row.is_in_room();
        let unread = behind.iter().filter(counts).count();
        let unread = u32::try_from(unread).unwrap_or(u32::MAX).min(UNREAD_COUNTED_MAX);
        let in_room = |notice: &Notice| self.messages.get(&notice.message).is_some_and(MessageRow::is_in_room);
        let told = self.notices.values().filter(|notice| {
            notice.room == room && notice.number > read && notice.kind.is_mention() && self.concerns(notice, person)
        });
        let told = told.filter(|notice| in_room(notice));
        let told: BTreeSet<_> = told.map(|notice| notice.message).collect();
        let mentions = u32::try_from(told.len()).unwrap_or(u32::MAX).min(UNREAD_COUNTED_MAX);
        Reading { read, unread, mentions }
    }

    /// Whether it concerns the person now: of a room that they are in, and a message that stands.
    fn concerns(&self, notice: &Notice, person: PersonId) -> bool {
        let Some(MemberRow { joined, .. }) = self.members.get(&(notice.room, person)) else { return false };
        let is_named = |other: &Notice| {
            other.message == notice.message
                && other.person == Some(person)
                && matches!(other.kind, NoticeKind::Mention | NoticeKind::Here)
        };
        let concerns = match notice.person {
            Some(concerned) => concerned == person,
            None => notice.actor != person && notice.time >= *joined && !self.notices.values().any(is_named),
        };
        concerns && self.messages.get(&notice.message).is_some_and(|row| row.deleted.is_none())
    }

    /// The names of those whom a message mentions, or has mentioned, and of its author.
    fn names_around(&self, message: MessageId) -> Vec<Who> {
        let by_name = |notice: &&Notice| matches!(notice.kind, NoticeKind::Mention | NoticeKind::Past);
        let named = self.notices.values().filter(|notice| notice.message == message).filter(by_name);
        let people =
            named.filter_map(|notice| notice.person).chain(self.messages.get(&message).map(|row| row.new.author));
        people.filter_map(|person| self.who(person)).collect()
    }

    fn is_seen_by(&self, room: &RoomRow, person: PersonId) -> bool {
        (room.new.kind == RoomKind::Public && !self.is_guest(person))
            || self.members.contains_key(&(room.new.id, person))
    }

    fn is_guest(&self, person: PersonId) -> bool {
        self.people.get(&person).is_some_and(|(person, _)| person.role == Role::Guest)
    }

    fn have_a_room_in_common(&self, one: PersonId, other: PersonId) -> bool {
        let mut rooms = self.members.keys().filter(|(_, person)| *person == one);
        rooms.any(|(room, _)| self.members.contains_key(&(*room, other)))
    }

    fn rooms_by_name(&self, person: PersonId) -> Vec<Room> {
        let mut rooms: Vec<_> = self.rooms.keys().filter_map(|room| self.room_as_seen_by(*room, person)).collect();
        rooms.sort_by_key(|room| (folded(room.name.as_str()), room.id));
        rooms
    }

    fn last_used_first(&self, person: PersonId) -> Vec<Session> {
        let open = self.sessions.values().filter(|row| row.person == person && row.ended.is_none());
        let mut sessions: Vec<_> = open.map(|row| row.session.clone()).collect();
        sessions.sort_by_key(|session| std::cmp::Reverse((session.last_seen, session.id)));
        sessions
    }

    fn message_for(&self, row: &MessageRow, reader: PersonId) -> Message {
        let message = self.message_of(row);
        let (reactions, replies) = (self.reacted_as_seen(&message, reader), self.replies_to(message.id));
        Message { reactions, replies, ..message }
    }

    fn in_thread(&self, root: MessageId) -> impl Iterator<Item = &MessageRow> {
        self.messages.values().filter(move |row| row.new.thread.is_some_and(|thread| thread.root == root))
    }

    fn thread_reading(&self, id: MessageId, room: RoomId, offset: u64, person: PersonId) -> ThreadReading {
        let (read, following) = self.followers.get(&(id, person)).copied().unwrap_or((offset, false));
        ThreadReading { id, room, offset, following, read, unread: self.unread_in_thread(id, person, read) }
    }

    fn unread_in_thread(&self, root: MessageId, person: PersonId, read: u64) -> u32 {
        let mut behind: Vec<_> = self.in_thread(root).filter(|row| row.number > read).collect();
        behind.sort_by_key(|row| std::cmp::Reverse(row.number));
        behind.truncate(UNREAD_LOOKED_AT as usize);
        let unread = behind.iter().filter(|row| row.new.author != person && row.deleted.is_none()).count();
        u32::try_from(unread).unwrap_or(u32::MAX).min(UNREAD_COUNTED_MAX)
    }

    fn replies_to(&self, root: MessageId) -> Option<Replies> {
        let mut all: Vec<_> = self.in_thread(root).filter(|row| row.deleted.is_none()).collect();
        all.sort_by_key(|row| std::cmp::Reverse(row.number));
        let newest = all.first()?;
        let mut people: Vec<PersonId> = Vec::new();
        for row in all.iter().take(REPLIES_LOOKED_AT as usize) {
            if !people.contains(&row.new.author) {
                people.push(row.new.author);
            }
        }
        Some(Replies {
            count: u32::try_from(all.len()).unwrap_or(u32::MAX).min(REPLIES_COUNTED_MAX),
            last: LastReply { id: newest.new.id, number: newest.number, time: newest.time },
            people: people.into_iter().take(THREAD_PEOPLE_SHOWN as usize).filter_map(|who| self.who(who)).collect(),
        })
    }

    fn reacted_as_seen(&self, message: &Message, reader: PersonId) -> Vec<Reacted> {
        let all = self.reactions.iter().filter(|((of, ..), _)| *of == message.id && message.deleted.is_none());
        let mut by_emoji: BTreeMap<&Emoji, Vec<(u64, PersonId)>> = BTreeMap::new();
        for ((_, emoji, person), number) in all {
            by_emoji.entry(emoji).or_default().push((*number, *person));
        }
        by_emoji.values_mut().for_each(|people| people.sort_unstable());
        let mut sorted: Vec<_> = by_emoji.into_iter().collect();
        sorted.sort_by_key(|(_, people)| people[0]);
        let reacted = |(emoji, people): (&Emoji, Vec<(u64, PersonId)>)| Reacted {
            emoji: emoji.as_str().to_owned(),
            count: u32::try_from(people.len()).unwrap_or(u32::MAX),
            mine: people.iter().any(|(_, person)| *person == reader),
            people: people
                .iter()
                .take(REACTION_PEOPLE_SHOWN as usize)
                .filter_map(|(_, person)| self.who(*person))
                .collect(),
        };
        sorted.into_iter().map(reacted).collect()
    }

    fn message_of(&self, row: &MessageRow) -> Message {
        self.stored_message(row).message
    }

    fn stored_message(&self, row: &MessageRow) -> StoredMessage {
        let MessageRow { new, number, time, edited, deleted } = row;
        let deleted = deleted.as_ref().map(|(time, by, reason)| Deleted {
            time: *time,
            by: self.who(*by).expect("who deletes is a person"),
            reason: reason.clone(),
        });
        let message = Message {
            id: new.id,
            room: new.room,
            number: *number,
            client_id: new.client_id,
            author: self.who(new.author).expect("authors are people"),
            body: Text::default(),
            time: *time,
            edited: *edited,
            deleted,
            reply_to: new.reply_to.and_then(|id| self.messages.get(&id)).map(|row| Answered {
                id: row.new.id,
                number: row.number,
                author: self.who(row.new.author).expect("authors are people"),
                body: match row.deleted {
                    None => {
                        let beginning: String = row.new.body.chars().take(ANSWERED_CHARS_MAX).collect();
                        Text::new(beginning, self.names_around(row.new.id))
                    }
                    Some(_) => Text::default(),
                },
                deleted: row.deleted.is_some(),
            }),
            reactions: Vec::new(),
            thread: new.thread.map(|thread| thread.root),
            also_in_room: new.thread.is_some_and(|thread| thread.also_in_room),
            replies: None,
        };
        let mut stored = StoredMessage::of(message, new.body.clone());
        stored.message.body = Text::new(&*stored.message.body, self.names_around(new.id));
        stored
    }

    fn event(&self, room: RoomId, number: u64, row: &StoredEvent) -> Event {
        let Ok(kind) = EventKind::read(row.kind, &EventIn { maps: self, row });
        Event { room, number, time: row.time, kind }
    }

    /// What a foreign key says in SQL.
    fn must_be_a_person(&self, person: PersonId) -> StoreResult<()> {
        self.people.get(&person).map(drop).ok_or_else(|| StoreError::Failed("no such person".into()))
    }

    fn room_row(&mut self, room: RoomId) -> StoreResult<&mut RoomRow> {
        self.rooms.get_mut(&room).ok_or_else(|| StoreError::Failed("no such room".into()))
    }
}

struct EventIn<'a> {
    maps: &'a Maps,
    row: &'a StoredEvent,
}

impl EventRow for EventIn<'_> {
    type Error = Infallible;

    fn member(&self) -> Result<Who, Infallible> {
        Ok(self.maps.who(self.row.subject).expect("subjects are people"))
    }

    fn by(&self) -> Result<Option<Who>, Infallible> {
        let StoredEvent { message, actor, subject, .. } = self.row;
        Ok((message.is_none() && actor != subject).then(|| self.maps.who(*actor).expect("actors are people")))
    }

    fn room(&self) -> Result<RoomFacts, Infallible> {
        let RoomRow { new, description, archived, .. } = &self.maps.rooms[&self.row.room];
        Ok(RoomFacts {
            name: new.name.clone(),
            topic: new.topic.clone(),
            description: description.clone(),
            kind: new.kind,
            archived: *archived,
        })
    }

    fn message(&self) -> Result<Message, Infallible> {
        let message = self.row.message.and_then(|message| self.maps.messages.get(&message));
        Ok(self.maps.message_of(message.expect("a posted message is there")))
    }

    fn reaction(&self) -> Result<Reaction, Infallible> {
        let message = self.row.message.expect("a reaction is to a message");
        Ok(Reaction { message, emoji: self.row.emoji.clone().unwrap_or_default(), person: self.member()? })
    }
}

impl Tables for Maps {
    fn is_set_up(&self) -> StoreResult<bool> {
        Ok(!self.people.is_empty())
    }

    fn mark_set_up(&mut self, person: PersonId, _now: Time) -> StoreResult<bool> {
        Ok(self.set_up_by.replace(person).is_none())
    }

    fn person(&self, person: PersonId) -> StoreResult<Option<Person>> {
        Ok(self.person_of(person))
    }

    fn insert_person(&mut self, person: &NewPerson, role: Role, _now: Time) -> StoreResult<bool> {
        let NewPerson { id, name, email, hash } = person.clone();
        if self.people.values().any(|(known, _)| known.email == email) {
            return Ok(false);
        }
        self.people.insert(id, (Person { id, name, email, role, same_name: false, is_active: true }, hash));
        Ok(true)
    }

    fn password(&self, person: PersonId) -> StoreResult<Option<StoredHash>> {
        Ok(self.people.get(&person).map(|(_, hash)| hash.clone()))
    }

    fn set_password(&mut self, person: PersonId, hash: &StoredHash) -> StoreResult<()> {
        self.people.entry(person).and_modify(|(_, known)| *known = hash.clone());
        Ok(())
    }

    fn insert_token(&mut self, person: PersonId, token: &PersonalToken, digest: SecretDigest) -> StoreResult<()> {
        self.must_be_a_person(person)?;
        self.tokens.insert(token.id, TokenRow { person, digest, token: token.clone() });
        Ok(())
    }

    fn count_tokens(&self, person: PersonId) -> StoreResult<u32> {
        Ok(u32::try_from(self.tokens.values().filter(|row| row.person == person).count()).unwrap_or(u32::MAX))
    }

    fn touch_token(&mut self, token: PersonalTokenId, now: Time) -> StoreResult<()> {
        self.tokens.entry(token).and_modify(|row| row.token.last_used = Some(now));
        Ok(())
    }

    fn delete_token(&mut self, person: PersonId, token: PersonalTokenId) -> StoreResult<bool> {
        let before = self.tokens.len();
        self.tokens.retain(|id, row| *id != token || row.person != person);
        Ok(self.tokens.len() < before)
    }

    fn delete_tokens_of(&mut self, person: PersonId) -> StoreResult<()> {
        self.tokens.retain(|_, row| row.person != person);
        Ok(())
    }

    fn delete_tokens_expired_by(&mut self, person: PersonId, time: Time) -> StoreResult<()> {
        self.tokens.retain(|_, row| row.person != person || row.token.is_good(time));
        Ok(())
    }

    fn set_name(&mut self, person: PersonId, name: &Name) -> StoreResult<()> {
        self.people.entry(person).and_modify(|(known, _)| known.name = name.clone());
        Ok(())
    }

    fn set_email(&mut self, person: PersonId, email: &Email) -> StoreResult<bool> {
        if self.people.values().any(|(known, _)| known.email == *email && known.id != person) {
            return Ok(false);
        }
        self.people.entry(person).and_modify(|(known, _)| known.email = email.clone());
        Ok(true)
    }

    fn profile(&self, person: PersonId) -> StoreResult<Option<Profile>> {
        Ok(self.profile_of(person))
    }

    fn set_said(&mut self, person: PersonId, said: &Said, changed: Time) -> StoreResult<()> {
        self.said.insert(person, (said.clone(), changed));
        Ok(())
    }

    fn people_looking(&self, look: &str, other_than: PersonId, limit: u32) -> StoreResult<Vec<PersonId>> {
        let alike = self.people.values().filter(|(known, _)| known.name.look() == look && known.id != other_than);
        Ok(alike.map(|(known, _)| known.id).take(limit as usize).collect())
    }

    fn rooms_of(&self, person: PersonId, limit: u32) -> StoreResult<Vec<RoomId>> {
        let own = self.members.iter().filter(|((_, member), _)| *member == person);
        let mut rooms: Vec<_> = own.map(|((room, _), own)| (std::cmp::Reverse(own.joined), *room)).collect();
        rooms.sort_unstable();
        Ok(rooms.into_iter().map(|(_, room)| room).take(limit as usize).collect())
    }

    fn set_deactivated(&mut self, person: PersonId, since: Option<Time>) -> StoreResult<()> {
        self.people.entry(person).and_modify(|(known, _)| known.is_active = since.is_none());
        Ok(())
    }

    fn count_active_owners(&self) -> StoreResult<u32> {
        let owners = self.people.values().filter(|(person, _)| person.is_active && person.role == Role::Owner);
        Ok(u32::try_from(owners.count()).unwrap_or(u32::MAX))
    }

    fn set_role(&mut self, person: PersonId, role: Role) -> StoreResult<()> {
        self.people.entry(person).and_modify(|(known, _)| known.role = role);
        Ok(())
    }

    fn share_a_room(&self, one: PersonId, other: PersonId) -> StoreResult<bool> {
        Ok(self.have_a_room_in_common(one, other))
    }

    fn key(&self, name: &str) -> StoreResult<Option<[u8; 32]>> {
        Ok(self.keys.get(name).copied())
    }

    fn insert_key(&mut self, name: &str, key: &[u8; 32]) -> StoreResult<()> {
        self.keys.insert(name.to_owned(), *key);
        Ok(())
    }

    fn insert_session(&mut self, person: PersonId, session: &NewSession, now: Time) -> StoreResult<()> {
        self.must_be_a_person(person)?;
        let NewSession { id, token, user_agent, address, .. } = session.clone();
        let session = Session { id, created: now, last_seen: now, user_agent, address };
        self.sessions.insert(id, SessionRow { person, token, session, ended: None });
        Ok(())
    }

    fn session_owner(&self, session: SessionId) -> StoreResult<Option<PersonId>> {
        Ok(self.sessions.get(&session).filter(|row| row.ended.is_none()).map(|row| row.person))
    }

    fn session_of_token(&self, token: SecretDigest) -> StoreResult<Option<SessionId>> {
        Ok(self.sessions.values().find(|row| row.token == token && row.ended.is_none()).map(|row| row.session.id))
    }

    fn sessions_of(&self, person: PersonId) -> StoreResult<Vec<SessionId>> {
        Ok(self.last_used_first(person).into_iter().map(|session| session.id).collect())
    }

    fn sessions_older_than(&self, last_seen: Time, created: Time) -> StoreResult<Vec<SessionId>> {
        let open = self.sessions.values().filter(|row| row.ended.is_none()).map(|row| &row.session);
        let older = open.filter(|session| session.last_seen <= last_seen || session.created <= created);
        Ok(older.map(|session| session.id).collect())
    }

    fn touch_session(&mut self, session: SessionId, address: Option<IpAddr>, now: Time) -> StoreResult<()> {
        if let Some(row) = self.sessions.get_mut(&session).filter(|row| row.ended.is_none()) {
            row.session.last_seen = row.session.last_seen.max(now);
            row.session.address = address.or(row.session.address);
        }
        Ok(())
    }

    fn end_session(&mut self, session: SessionId, why: Ended, now: Time) -> StoreResult<()> {
        self.sessions.entry(session).and_modify(|row| row.ended = Some((now, why)));
        Ok(())
    }

    fn delete_sessions_ended_before(&mut self, time: Time) -> StoreResult<()> {
        self.sessions.retain(|_, row| row.ended.is_none_or(|(ended, _)| ended >= time));
        Ok(())
    }

    fn denial(&self, key: DenialKey) -> StoreResult<Option<Denied>> {
        Ok(self.denials.get(&key).cloned())
    }

    fn insert_denial(&mut self, denied: &Denied) -> StoreResult<()> {
        self.denials.insert(denied.denial.key(), denied.clone());
        Ok(())
    }

    fn replace_denial(&mut self, denied: &Denied) -> StoreResult<()> {
        self.denials.insert(denied.denial.key(), denied.clone());
        Ok(())
    }

    fn delete_denial(&mut self, key: DenialKey) -> StoreResult<()> {
        self.denials.remove(&key);
        Ok(())
    }

    fn delete_denials_ended_by(&mut self, time: Time) -> StoreResult<()> {
        self.denials.retain(|_, denied| !denied.is_over(time));
        Ok(())
    }

    fn count_rooms(&self) -> StoreResult<u32> {
        let rooms = self.rooms.values().filter(|room| room.new.kind != RoomKind::Direct).count();
        Ok(u32::try_from(rooms).unwrap_or(u32::MAX))
    }

    fn count_rooms_of(&self, creator: PersonId) -> StoreResult<u32> {
        let rooms = self.rooms.values().filter(|room| room.new.kind != RoomKind::Direct);
        Ok(u32::try_from(rooms.filter(|room| room.creator == creator).count()).unwrap_or(u32::MAX))
    }

    fn count_directs_of(&self, creator: PersonId) -> StoreResult<u32> {
        let directs = self.rooms.values().filter(|room| room.new.kind == RoomKind::Direct);
        Ok(u32::try_from(directs.filter(|room| room.creator == creator).count()).unwrap_or(u32::MAX))
    }

    fn has_room_named(&self, folded: &str, person: PersonId, other_than: RoomId) -> StoreResult<bool> {
        let is_in = |room: RoomId| self.members.contains_key(&(room, person));
        Ok(self.rooms.values().any(|room| {
            let is_seen = match room.new.kind {
                RoomKind::Public => true,
                RoomKind::Private => is_in(room.new.id),
                RoomKind::Direct => false,
            };
            is_seen && room.new.id != other_than && room.new.name.folded() == folded
        }))
    }

    fn room(&self, room: RoomId, person: PersonId) -> StoreResult<Option<Room>> {
        Ok(self.room_as_seen_by(room, person))
    }

    fn is_archived(&self, room: RoomId) -> StoreResult<bool> {
        Ok(self.rooms.get(&room).is_some_and(|room| room.archived.is_some()))
    }

    fn insert_room(&mut self, room: &NewRoom, creator: PersonId, now: Time) -> StoreResult<()> {
        self.must_be_a_person(creator)?;
        let (description, archived, people) = (Description::default(), None, None);
        let row = RoomRow { new: room.clone(), creator, last_number: 0, created: now, description, archived, people };
        self.rooms.insert(room.id, row);
        Ok(())
    }

    fn insert_direct(&mut self, room: &NewRoom, people: PeopleKey, creator: PersonId, now: Time) -> StoreResult<bool> {
        if self.direct_of(people)?.is_some() {
            return Ok(false);
        }
        self.insert_room(room, creator, now)?;
        self.room_row(room.id)?.people = Some(people);
        Ok(true)
    }

    fn direct_of(&self, people: PeopleKey) -> StoreResult<Option<RoomId>> {
        Ok(self.rooms.values().find(|room| room.people == Some(people)).map(|room| room.new.id))
    }

    fn set_room(&mut self, room: RoomId, facts: &RoomFacts) -> StoreResult<()> {
        let row = self.room_row(room)?;
        let RoomFacts { name, topic, description, kind, archived } = facts.clone();
        row.new = NewRoom { name, topic, kind, ..row.new.clone() };
        (row.description, row.archived) = (description, archived);
        Ok(())
    }

    fn member(&self, room: RoomId, person: PersonId) -> StoreResult<Option<Who>> {
        Ok(self.member_of(room, person))
    }

    fn room_role(&self, room: RoomId, person: PersonId) -> StoreResult<Option<RoomRole>> {
        Ok(self.members.get(&(room, person)).map(|own| own.role))
    }

    fn owners(&self, room: RoomId) -> StoreResult<Vec<PersonId>> {
        let owners = self.members.iter().filter(|((known, _), own)| *known == room && own.role == RoomRole::Owner);
        let may = |person: &PersonId| {
            self.people.get(person).is_some_and(|(person, _)| person.is_active && person.role != Role::Guest)
        };
        Ok(owners.map(|((_, person), _)| *person).filter(may).collect())
    }

    fn oldest_member(&self, room: RoomId) -> StoreResult<Option<Who>> {
        let inside = self.members.iter().filter(|((known, _), _)| *known == room);
        let may = |person: &PersonId| {
            self.people.get(person).is_some_and(|(person, _)| person.is_active && person.role != Role::Guest)
        };
        let oldest =
            inside.filter(|((_, person), _)| may(person)).min_by_key(|((_, person), own)| (own.joined, *person));
        Ok(oldest.and_then(|((_, person), _)| self.who(*person)))
    }

    fn set_room_role(&mut self, room: RoomId, person: PersonId, role: RoomRole) -> StoreResult<()> {
        self.members.entry((room, person)).and_modify(|own| own.role = role);
        Ok(())
    }

    fn insert_member(
        &mut self,
        room: RoomId,
        person: PersonId,
        role: RoomRole,
        read: u64,
        now: Time,
    ) -> StoreResult<()> {
        self.must_be_a_person(person)?;
        self.room_row(room)?;
        let preferences = Preferences::default();
        self.members.insert((room, person), MemberRow { joined: now, role, read, preferences });
        Ok(())
    }

    fn read_position(&self, room: RoomId, person: PersonId) -> StoreResult<Option<(u64, u64)>> {
        let last = self.rooms.get(&room).map_or(0, |row| row.last_number);
        Ok(self.members.get(&(room, person)).map(|own| (own.read, last)))
    }

    fn reading(&self, room: RoomId, person: PersonId, read: u64) -> StoreResult<Reading> {
        Ok(self.reading_of(room, person, read))
    }

    fn set_read_position(&mut self, room: RoomId, person: PersonId, read: u64) -> StoreResult<()> {
        self.members.entry((room, person)).and_modify(|own| own.read = read);
        Ok(())
    }

    fn read_everything(&mut self, person: PersonId) -> StoreResult<Vec<(RoomId, u64)>> {
        let rooms = &self.rooms;
        let own = self.members.iter_mut().filter(|((_, member), _)| *member == person);
        let moved = own.filter_map(|((room, _), own)| {
            let last = rooms.get(room)?.last_number;
            (std::mem::replace(&mut own.read, last) < last).then_some((*room, last))
        });
        Ok(moved.collect())
    }

    fn preferences(&self, room: RoomId, person: PersonId) -> StoreResult<Option<Preferences>> {
        Ok(self.members.get(&(room, person)).map(|own| own.preferences.clone()))
    }

    fn set_preferences(
        &mut self,
        room: RoomId,
        person: PersonId,
        preferences: &Preferences,
        _: Time,
    ) -> StoreResult<()> {
        self.members.entry((room, person)).and_modify(|own| own.preferences = preferences.clone());
        Ok(())
    }

    fn delete_member(&mut self, room: RoomId, person: PersonId) -> StoreResult<()> {
        self.members.remove(&(room, person));
        Ok(())
    }

    fn invite(&self, code: SecretDigest) -> StoreResult<Option<StoredInvite>> {
        let mut invites = self.invites.values().map(|(_, stored)| stored);
        Ok(invites.find(|stored| stored.invite.code.digest() == code).cloned())
    }

    fn invite_of(&self, room: RoomId) -> StoreResult<Option<StoredInvite>> {
        Ok(self.invites.get(&room).map(|(_, stored)| stored.clone()))
    }

    fn replace_invite(&mut self, inviter: PersonId, invite: &Invite) -> StoreResult<()> {
        self.must_be_a_person(inviter)?;
        self.room_row(invite.room)?;
        self.invites.insert(invite.room, (inviter, StoredInvite { invite: invite.clone(), revoked: false }));
        Ok(())
    }

    fn expire_invites_of(&mut self, inviter: PersonId, now: Time) -> StoreResult<()> {
        for (_, stored) in self.invites.values_mut().filter(|(by, _)| *by == inviter) {
            stored.invite.expires = stored.invite.expires.min(now);
        }
        Ok(())
    }

    fn use_invite(&mut self, code: SecretDigest) -> StoreResult<()> {
        for (_, stored) in self.invites.values_mut().filter(|(_, stored)| stored.invite.code.digest() == code) {
            stored.invite.uses += 1;
        }
        Ok(())
    }

    fn revoke_invite(&mut self, room: RoomId, _now: Time) -> StoreResult<()> {
        self.invites.entry(room).and_modify(|(_, stored)| stored.revoked = true);
        Ok(())
    }

    fn earlier_send(&self, author: PersonId, client_id: ClientId) -> StoreResult<Option<EarlierSend>> {
        let mut known = self.messages.values();
        let earlier = known.find(|MessageRow { new, .. }| (new.author, new.client_id) == (author, client_id));
        Ok(earlier.map(|MessageRow { new, number, time, .. }| EarlierSend {
            id: new.id,
            number: *number,
            time: *time,
            digest: new.digest.stored,
        }))
    }

    fn next_number(&mut self, room: RoomId) -> StoreResult<u64> {
        let row = self.room_row(room)?;
        row.last_number += 1;
        Ok(row.last_number)
    }

    fn insert_message(&mut self, message: &NewMessage, number: u64, now: Time) -> StoreResult<()> {
        self.must_be_a_person(message.author)?;
        let row = MessageRow { new: message.clone(), number, time: now, edited: None, deleted: None };
        self.messages.insert(message.id, row);
        Ok(())
    }

    fn message(&self, room: RoomId, message: MessageId) -> StoreResult<Option<StoredMessage>> {
        let row = self.messages.get(&message).filter(|row| row.new.room == room);
        Ok(row.map(|row| self.stored_message(row)))
    }

    fn insert_edit(&mut self, message: MessageId, number: u64, since: Time, body: &str) -> StoreResult<()> {
        self.edits.insert((message, number), (since, body.to_owned()));
        Ok(())
    }

    fn set_body(&mut self, message: MessageId, body: &str, now: Time) -> StoreResult<()> {
        self.messages.entry(message).and_modify(|row| {
            body.clone_into(&mut row.new.body);
            row.edited = Some(now);
        });
        Ok(())
    }

    fn set_deleted(&mut self, message: MessageId, by: Option<(PersonId, Option<&str>)>, now: Time) -> StoreResult<()> {
        let deleted = by.map(|(person, reason)| (now, person, reason.map(str::to_owned)));
        self.messages.entry(message).and_modify(|row| row.deleted = deleted);
        Ok(())
    }

    fn erase_deleted_by(&mut self, time: Time, limit: u32) -> StoreResult<usize> {
        let mut old: Vec<_> = self.messages.values_mut().filter(|row| row.is_to_be_erased(time)).collect();
        old.sort_by_key(|row| row.deleted.as_ref().map(|(time, ..)| *time));
        old.truncate(limit as usize);
        for row in &mut old {
            row.new.body.clear();
            self.edits.retain(|(message, _), _| *message != row.new.id);
            self.reactions.retain(|(message, ..), _| *message != row.new.id);
            self.notices.retain(|_, notice| notice.message != row.new.id);
        }
        Ok(old.len())
    }

    fn reactions(&self, message: MessageId, person: PersonId, emoji: &Emoji) -> StoreResult<Reactions> {
        let of_it: Vec<_> = self.reactions.keys().filter(|(of, ..)| *of == message).collect();
        let kinds: BTreeSet<_> = of_it.iter().map(|(_, emoji, _)| emoji).collect();
        Ok(Reactions {
            is_mine: of_it.iter().any(|(_, with, by)| (with, *by) == (emoji, person)),
            is_used: kinds.contains(emoji),
            kinds: u32::try_from(kinds.len()).unwrap_or(u32::MAX),
        })
    }

    fn insert_reaction(&mut self, message: MessageId, person: PersonId, emoji: &Emoji, number: u64) -> StoreResult<()> {
        self.reactions.insert((message, emoji.clone(), person), number);
        Ok(())
    }

    fn delete_reaction(&mut self, message: MessageId, person: PersonId, emoji: &Emoji) -> StoreResult<()> {
        self.reactions.remove(&(message, emoji.clone(), person));
        Ok(())
    }

    fn insert_notices(&mut self, notices: &[Notice]) -> StoreResult<()> {
        self.notices.extend(notices.iter().map(|notice| ((notice.room, notice.event, notice.place), notice.clone())));
        Ok(())
    }

    fn mentions_of(&self, message: MessageId) -> StoreResult<Vec<Notice>> {
        let of_it = self.notices.values().filter(|notice| notice.message == message);
        Ok(of_it.filter(|notice| notice.kind.is_mention() || notice.kind == NoticeKind::Past).cloned().collect())
    }

    fn set_notice_kind(&mut self, notice: &Notice, kind: NoticeKind) -> StoreResult<()> {
        self.notices.entry((notice.room, notice.event, notice.place)).and_modify(|row| row.kind = kind);
        Ok(())
    }

    fn names_of(&self, message: MessageId) -> StoreResult<Vec<Who>> {
        Ok(self.names_around(message))
    }

    fn delete_notice_of_reaction(&mut self, message: MessageId, actor: PersonId, emoji: &Emoji) -> StoreResult<()> {
        let is_it = |notice: &Notice| {
            (notice.message, notice.actor) == (message, actor) && notice.emoji.as_deref() == Some(emoji.as_str())
        };
        self.notices.retain(|_, notice| !is_it(notice));
        Ok(())
    }

    fn thread_root(&self, room: RoomId, root: MessageId, person: PersonId) -> StoreResult<Option<Root>> {
        let row = self.messages.get(&root).filter(|row| row.new.room == room);
        Ok(row.map(|row| Root {
            answered: Answered::from(&self.message_of(row)),
            thread: row.new.thread.map(|thread| thread.root),
            is_settled: self.followers.contains_key(&(root, person)),
            is_settled_for_author: self.followers.contains_key(&(root, row.new.author))
                || !self.members.contains_key(&(room, row.new.author)),
        }))
    }

    fn follow_thread(&mut self, root: MessageId, person: PersonId, read: u64) -> StoreResult<()> {
        self.followers.entry((root, person)).or_insert((read, true));
        Ok(())
    }

    fn thread_standing(&self, room: RoomId, root: MessageId, person: PersonId) -> StoreResult<Option<ThreadStanding>> {
        let row = self.messages.get(&root).filter(|row| row.new.room == room);
        let Some(row) = row.filter(|_| self.members.contains_key(&(room, person))) else { return Ok(None) };
        let offset = self.rooms.get(&room).map_or(0, |room| room.last_number);
        let position = self.followers.get(&(root, person)).copied();
        Ok(Some(ThreadStanding { offset, thread: row.new.thread.map(|thread| thread.root), position }))
    }

    fn thread_unread(&self, root: MessageId, person: PersonId, read: u64) -> StoreResult<u32> {
        Ok(self.unread_in_thread(root, person, read))
    }

    fn set_thread_position(&mut self, root: MessageId, person: PersonId, read: u64, follows: bool) -> StoreResult<()> {
        self.followers.insert((root, person), (read, follows));
        Ok(())
    }

    fn read_every_thread(&mut self, person: PersonId) -> StoreResult<usize> {
        let followed = self.followers.iter().filter(|((_, who), (_, follows))| *who == person && *follows);
        let unread = |(key, (read, _)): (&(MessageId, PersonId), &(u64, bool))| {
            let room = self.messages.get(&key.0)?.new.room;
            let waits = self.members.contains_key(&(room, person)) && self.unread_in_thread(key.0, person, *read) > 0;
            waits.then_some((*key, self.rooms.get(&room)?.last_number))
        };
        let moved: Vec<_> = followed.filter_map(unread).collect();
        for (key, number) in &moved {
            self.followers.insert(*key, (*number, true));
        }
        Ok(moved.len())
    }

    fn plain_digests(&self, limit: u32) -> StoreResult<Vec<(MessageId, [u8; 32])>> {
        let digests = self.messages.values().map(|row| (row.new.id, row.new.digest.stored));
        let plain = digests.filter(|(_, digest)| digest.key.is_none()).map(|(message, digest)| (message, digest.bytes));
        Ok(plain.take(limit as usize).collect())
    }

    fn set_digests(&mut self, digests: &[(MessageId, [u8; 32])], key: KeyId) -> StoreResult<()> {
        for (message, bytes) in digests {
            let stored = StoredDigest { bytes: *bytes, key: Some(key) };
            self.messages.entry(*message).and_modify(|row| row.new.digest.stored = stored);
        }
        Ok(())
    }

    fn insert_event(&mut self, event: &Event, actor: PersonId, subject: PersonId) -> StoreResult<()> {
        self.must_be_a_person(actor)?;
        self.must_be_a_person(subject)?;
        let emoji = event.kind.reaction().map(|reaction| reaction.emoji.clone());
        let (kind, room, time) = (event.kind.name(), event.room, event.time);
        let row = StoredEvent { kind, room, message: event.kind.concerns(), emoji, actor, subject, time };
        self.events.insert((event.room, event.number), row);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::contract::{Fixture, runs_the_contract};

    impl Fixture for Memory {
        async fn open(&self) -> Arc<dyn Store> {
            Arc::new(self.clone())
        }
    }

    runs_the_contract!(Memory::default());
}
