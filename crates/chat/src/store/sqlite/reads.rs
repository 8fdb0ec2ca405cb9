//! The reads, as SQL. Those of more than one statement run inside a transaction of the caller's, so that they see one
//! moment.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Params, Row, ToSql, params};

use super::values::{
    EventColumns, FACTS, ROOM, activity as activity_row, answered, denied, facts, invite as invite_row, message,
    notice, number, person, personal_token, profile, reacted as reacted_row, replies as replies_row, room,
    session as session_row, who,
};
use crate::{
    limits::REACTED_PAGE_MAX,
    model::{
        Activity, ActivityFrom, ActivityPage, ActivityQuery, Arrival, Credentials, DenialKey, Denied, Edit, EditPage,
        Email, Emoji, Ended, Event, EventKind, EventPage, Invite, InviteCard, KeyId, Member, Message, MessageId,
        MessagePage, Name, Notice, PageQuery, PeopleKey, Person, PersonId, PersonalToken, Profile, ReactedPage,
        Reactions, Room, RoomFacts, RoomId, RoomKind, RoomPage, Root, SecretDigest, Session, SessionId, SessionKey,
        SignedIn, Stand, StoredHash, StoredInvite, StoredMessage, Text, ThreadCard, ThreadPage, ThreadReading,
        ThreadStanding, ThreadsPage, Time, TokenBearer, Who, mentioning, mentioning_beginnings, show_names,
        show_names_in, show_reactions, show_replies,
    },
    store::{
        bounds::{Bounds, signed},
        columns::{
            self, AFTER_MESSAGE, AFTER_ROOT, ASIDE, BY, BY_JOIN, DENIAL, INVITE, MESSAGE, NAMED, NOTICE_ROW, PERSON,
            PERSON_COLUMNS, PERSONAL_TOKEN, PROFILE, SESSION, THREAD_LAST, THREAD_ROOT, WHO,
            activity as select_activity, kinds, reacted, replies, thread_root as root_of, threads as threads_of,
            threads_unread, unread_in_thread,
        },
    },
};

/// Of a message, a person and an emoji.
const REACTIONS_MET: &str = "SELECT
    coalesce(max(emoji = ?3 AND person = ?2), 0), coalesce(max(emoji = ?3), 0), count(DISTINCT emoji)
    FROM reactions WHERE message = ?1";

pub(super) fn is_set_up(db: &Connection) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT EXISTS (SELECT 1 FROM people)")?.query_row([], |row| row.get(0))
}

pub(super) fn people(db: &Connection) -> rusqlite::Result<Vec<Person>> {
    db.prepare_cached(&format!("SELECT {PERSON} FROM people p ORDER BY p.name COLLATE NOCASE, p.id"))?
        .query_map([], person)?
        .collect()
}

pub(super) fn people_alike(db: &Connection, asking: PersonId, look: &str, limit: u32) -> rusqlite::Result<Vec<Person>> {
    db.prepare_cached(&format!(
        "SELECT {PERSON} FROM people p WHERE p.deactivated IS NULL AND instr(p.look, ?2) > 0
            AND (p.id = ?1 OR NOT EXISTS (SELECT 1 FROM people g WHERE g.id = ?1 AND g.role = 'guest')
            OR EXISTS (SELECT 1 FROM memberships a JOIN memberships b ON b.room = a.room
                WHERE a.person = ?1 AND b.person = p.id))
        ORDER BY p.name COLLATE NOCASE, p.id LIMIT ?3"
    ))?
    .query_map(params![asking, look, limit], person)?
    .collect()
}

pub(super) fn person_of(db: &Connection, id: PersonId) -> rusqlite::Result<Option<Person>> {
    db.prepare_cached(&format!("SELECT {PERSON} FROM people p WHERE p.id = ?1"))?.query_row([id], person).optional()
}

pub(super) fn profile_of(db: &Connection, id: PersonId) -> rusqlite::Result<Option<Profile>> {
    db.prepare_cached(&format!("SELECT {PROFILE} FROM people p WHERE p.id = ?1"))?.query_row([id], profile).optional()
}

pub(super) fn profiles(db: &Connection, asking: PersonId, people: &[PersonId]) -> rusqlite::Result<Vec<Profile>> {
    let mut one = db.prepare_cached(&format!(
        "SELECT {PROFILE} FROM people p WHERE p.id = ?2
            AND (p.id = ?1 OR NOT EXISTS (SELECT 1 FROM people g WHERE g.id = ?1 AND g.role = 'guest')
            OR EXISTS (SELECT 1 FROM memberships a JOIN memberships b ON b.room = a.room
                WHERE a.person = ?1 AND b.person = p.id))"
    ))?;
    let found = people.iter().map(|person| one.query_row([asking, *person], profile).optional());
    Ok(found.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

pub(super) fn personal_tokens(db: &Connection, person: PersonId) -> rusqlite::Result<Vec<PersonalToken>> {
    let sql = format!("SELECT {PERSONAL_TOKEN} FROM personal_tokens t WHERE t.person = ?1 ORDER BY t.id DESC");
    db.prepare_cached(&sql)?.query_map([person], |row| personal_token(row, 0))?.collect()
}

pub(super) fn token_bearer(db: &Connection, digest: SecretDigest) -> rusqlite::Result<Option<TokenBearer>> {
    let sql = format!(
        "SELECT {PERSON}, {PERSONAL_TOKEN} FROM personal_tokens t JOIN people p ON p.id = t.person WHERE t.digest = ?1"
    );
    db.prepare_cached(&sql)?
        .query_row([digest], |row| {
            Ok(TokenBearer { person: person(row)?, token: personal_token(row, PERSON_COLUMNS)? })
        })
        .optional()
}

pub(super) fn session_ended(db: &Connection, token: SecretDigest) -> rusqlite::Result<Option<Ended>> {
    let why: Option<Option<String>> = db
        .prepare_cached("SELECT why FROM sessions WHERE token = ?1 AND ended IS NOT NULL")?
        .query_row([token], |row| row.get(0))
        .optional()?;
    Ok(why.flatten().as_deref().and_then(Ended::parse))
}

pub(super) fn credentials(db: &Connection, email: &Email) -> rusqlite::Result<Option<Credentials>> {
    db.prepare_cached(&format!("SELECT {PERSON}, p.password FROM people p WHERE p.email = ?1"))?
        .query_row([email.as_str()], |row| {
            Ok(Credentials { person: person(row)?, hash: StoredHash(row.get(PERSON_COLUMNS)?) })
        })
        .optional()
}

pub(super) fn session(db: &Connection, token: SecretDigest, now: Time) -> rusqlite::Result<Option<SignedIn>> {
    session_where(db, "s.token = ?1", token, now)
}

fn session_where(db: &Connection, condition: &str, key: impl ToSql, now: Time) -> rusqlite::Result<Option<SignedIn>> {
    let signed_in = db
        .prepare_cached(&format!(
            "SELECT {PERSON}, {SESSION} FROM sessions s JOIN people p ON p.id = s.person
            WHERE {condition} AND s.ended IS NULL"
        ))?
        .query_row([key], |row| Ok(SignedIn { person: person(row)?, session: session_row(row, PERSON_COLUMNS)? }))
        .optional()?;
    Ok(signed_in.filter(|who| who.session.is_fresh(now)))
}

pub(super) fn arrival(
    db: &Connection,
    session: SessionKey,
    rooms_max: u32,
    now: Time,
) -> rusqlite::Result<Option<Arrival>> {
    let who = match session {
        SessionKey::Token(token) => session_where(db, "s.token = ?1", token, now)?,
        SessionKey::Id(id) => session_where(db, "s.id = ?1", id, now)?,
    };
    let Some(who) = who else { return Ok(None) };
    let rooms = db
        .prepare_cached(
            "SELECT r.id, r.last_number, r.epoch FROM memberships m JOIN rooms r ON r.id = m.room
            WHERE m.person = ?1 LIMIT ?2",
        )?
        .query_map(params![who.person.id, rooms_max], |row| {
            Ok(Stand { room: row.get(0)?, offset: number(row, 1)?, epoch: row.get(2)? })
        })?
        .collect::<Result<_, _>>()?;
    Ok(Some(Arrival { who, rooms }))
}

pub(super) fn sessions(db: &Connection, person: PersonId, now: Time) -> rusqlite::Result<Vec<Session>> {
    let mut sessions: Vec<_> = db
        .prepare_cached(&format!(
            "SELECT {SESSION} FROM sessions s WHERE s.person = ?1 AND s.ended IS NULL
            ORDER BY s.last_seen DESC, s.id DESC"
        ))?
        .query_map([person], |row| session_row(row, 0))?
        .collect::<Result<_, _>>()?;
    sessions.retain(|session| session.is_fresh(now));
    Ok(sessions)
}

pub(super) fn sessions_ended(db: &Connection, since: Time) -> rusqlite::Result<Vec<SessionId>> {
    db.prepare_cached("SELECT id FROM sessions WHERE ended >= ?1")?.query_map([since], |row| row.get(0))?.collect()
}

pub(super) fn denials(db: &Connection) -> rusqlite::Result<Vec<Denied>> {
    db.prepare_cached(&format!("SELECT {DENIAL} FROM denials d"))?.query_map([], denied)?.collect()
}

pub(super) fn denial(db: &Connection, key: DenialKey) -> rusqlite::Result<Option<Denied>> {
    db.prepare_cached(&format!("SELECT {DENIAL} FROM denials d WHERE d.key = ?1"))?.query_row([key], denied).optional()
}

pub(super) fn invite_card(db: &Connection, code: SecretDigest, now: Time) -> rusqlite::Result<Option<InviteCard>> {
    let found = db
        .prepare_cached(&format!(
            "SELECT {INVITE}, r.name, {WHO} FROM invites i
            JOIN people p ON p.id = i.inviter JOIN rooms r ON r.id = i.room WHERE i.digest = ?1"
        ))?
        .query_row([code], |row| Ok((invite_row(row)?, who(row, 8)?, Name::stored(row.get(7)?))))
        .optional()?;
    Ok(found.filter(|(stored, ..)| stored.is_good(now)).map(|(stored, inviter, room_name)| InviteCard {
        inviter,
        room: stored.invite.room,
        room_name,
    }))
}

pub(super) fn invite(db: &Connection, code: SecretDigest) -> rusqlite::Result<Option<StoredInvite>> {
    db.prepare_cached(&format!("SELECT {INVITE} FROM invites i WHERE i.digest = ?1"))?
        .query_row([code], invite_row)
        .optional()
}

pub(super) fn invite_of(db: &Connection, room: RoomId) -> rusqlite::Result<Option<StoredInvite>> {
    // A room has one; were there others, they would be dead.
    db.prepare_cached(&format!(
        "SELECT {INVITE} FROM invites i WHERE i.room = ?1 ORDER BY i.revoked IS NOT NULL LIMIT 1"
    ))?
    .query_row([room], invite_row)
    .optional()
}

pub(super) fn room_invite(
    db: &Connection,
    room: RoomId,
    person: PersonId,
    now: Time,
) -> rusqlite::Result<Option<Invite>> {
    if member(db, room, person)?.is_none() {
        return Ok(None);
    }
    Ok(invite_of(db, room)?.and_then(|stored| stored.if_good(now)))
}

pub(super) fn own_rooms(db: &Connection, person: PersonId) -> rusqlite::Result<Vec<Room>> {
    let mut rooms: Vec<_> = db
        .prepare_cached(&format!(
            "SELECT {ROOM} FROM memberships own JOIN rooms r ON r.id = own.room
            WHERE own.person = ?1 ORDER BY r.name COLLATE NOCASE, r.id"
        ))?
        .query_map([person], room)?
        .collect::<rusqlite::Result<_>>()?;
    for room in rooms.iter_mut().filter(|room| room.kind == RoomKind::Direct) {
        room.people = people_beside(db, room.id, person)?;
    }
    Ok(rooms)
}

/// Who is in a direct message beside the person, by name.
fn people_beside(db: &Connection, room: RoomId, person: PersonId) -> rusqlite::Result<Vec<Who>> {
    db.prepare_cached(&format!(
        "SELECT {WHO} FROM memberships m JOIN people p ON p.id = m.person
        WHERE m.room = ?1 AND m.person <> ?2 ORDER BY p.name COLLATE NOCASE, p.id"
    ))?
    .query_map(params![room, person], |row| who(row, 0))?
    .collect()
}

pub(super) fn other_rooms(
    db: &Connection,
    person: PersonId,
    after: Option<RoomId>,
    limit: u32,
) -> rusqlite::Result<RoomPage> {
    let from = match after {
        // An unknown one has no name, and nothing comes after that; nor after one that the person does not see (S37).
        Some(_) => {
            "AND (r.name COLLATE NOCASE, r.id) > (SELECT a.name, a.id FROM rooms a WHERE a.id = ?3 AND (a.kind = 'public'
                OR a.kind = 'private' AND EXISTS (SELECT 1 FROM memberships s WHERE s.room = a.id AND s.person = ?1)))"
        }
        None => "AND ?3 IS NULL",
    };
    let mut rooms: Vec<_> = db
        .prepare_cached(&format!(
            "SELECT {ROOM} FROM rooms r LEFT JOIN memberships own ON own.room = r.id AND own.person = ?1
            WHERE r.kind = 'public'
            AND NOT EXISTS (SELECT 1 FROM people g WHERE g.id = ?1 AND g.role = 'guest')
            AND own.room IS NULL {from}
            ORDER BY r.name COLLATE NOCASE, r.id LIMIT ?2"
        ))?
        .query_map(params![person, i64::from(limit) + 1, after], room)?
        .collect::<Result<_, _>>()?;
    let more = rooms.len() > limit as usize;
    rooms.truncate(limit as usize);
    Ok(RoomPage { rooms, more })
}

pub(super) fn direct_of(db: &Connection, people: PeopleKey) -> rusqlite::Result<Option<RoomId>> {
    db.prepare_cached("SELECT id FROM rooms WHERE people = ?1")?.query_row([people.0], |row| row.get(0)).optional()
}

pub(super) fn room_of(db: &Connection, id: RoomId, person: PersonId) -> rusqlite::Result<Option<Room>> {
    let found = db
        .prepare_cached(&format!(
            "SELECT {ROOM} FROM rooms r LEFT JOIN memberships own ON own.room = r.id AND own.person = ?1 WHERE r.id = ?2"
        ))?
        .query_row(params![person, id], room)
        .optional()?;
    match found {
        Some(found) if found.kind == RoomKind::Direct => {
            Ok(Some(Room { people: people_beside(db, id, person)?, ..found }))
        }
        other => Ok(other),
    }
}

pub(super) fn members(db: &Connection, room: RoomId, reader: PersonId) -> rusqlite::Result<Option<Vec<Member>>> {
    if member(db, room, reader)?.is_none() {
        return Ok(None);
    }
    db.prepare_cached(&format!(
        "SELECT {WHO}, m.role, p.role FROM memberships m JOIN people p ON p.id = m.person
        WHERE m.room = ?1 ORDER BY p.name COLLATE NOCASE, p.id",
    ))?
    .query_map([room], |row| {
        let (role, server_role) = (row.get(3)?, row.get(4)?);
        Ok(Member { id: row.get(0)?, name: Name::stored(row.get(1)?), same_name: row.get(2)?, role, server_role })
    })?
    .collect::<Result<_, _>>()
    .map(Some)
}

pub(super) fn member(db: &Connection, room: RoomId, person: PersonId) -> rusqlite::Result<Option<Who>> {
    db.prepare_cached(&format!(
        "SELECT {WHO} FROM memberships m JOIN people p ON p.id = m.person WHERE m.room = ?1 AND m.person = ?2"
    ))?
    .query_row(params![room, person], |row| who(row, 0))
    .optional()
}

pub(super) fn events(
    db: &Connection,
    room: RoomId,
    reader: Option<PersonId>,
    page: PageQuery,
    bytes_max: usize,
) -> rusqlite::Result<Option<EventPage>> {
    if let Some(reader) = reader
        && member(db, room, reader)?.is_none()
    {
        return Ok(None);
    }
    let head: Option<(String, u64, RoomFacts)> = db
        .prepare_cached(&format!("SELECT epoch, last_number, {FACTS} FROM rooms WHERE id = ?1"))?
        .query_row([room], |row| Ok((row.get(0)?, number(row, 1)?, facts(row, 2)?)))
        .optional()?;
    let Some((epoch, offset, facts)) = head else { return Ok(None) };
    if page.limit == 0 {
        return Ok(Some(EventPage { events: Vec::new(), epoch, offset, more: offset > 0, revoked: 0 }));
    }
    let bounds = Bounds::of(page);
    let mut statement = db.prepare_cached(&format!(
        "SELECT {WHO}, {MESSAGE}, e.number, e.kind, e.time, e.emoji, {BY} FROM room_events e
            JOIN people p ON p.id = e.subject LEFT JOIN messages m ON m.id = e.message {ASIDE} {BY_JOIN}
            WHERE e.room = ?1 AND e.number > ?2 AND e.number < ?3 ORDER BY e.number {} LIMIT ?4",
        bounds.order()
    ))?;
    let mut rows = statement.query(params![room, bounds.above, bounds.below, bounds.rows()])?;
    let (mut events, mut bytes, mut is_cut) = (Vec::new(), 0, false);
    while let Some(row) = rows.next()? {
        is_cut = bytes > bytes_max;
        if is_cut {
            break;
        }
        let event = event(row, room, &facts)?;
        bytes += event.kind.text_bytes();
        events.push(event);
    }
    if let Some(reader) = reader {
        let those = format!(
            "SELECT message FROM room_events WHERE room = ?2 AND number > ?3 AND number < ?4 AND emoji IS NULL
            ORDER BY number {} LIMIT ?5",
            bounds.order()
        );
        let params = params![reader, room, bounds.above, bounds.below, bounds.rows()];
        let all = events.iter_mut().filter_map(|event| event.kind.message_mut());
        add_reactions(db, &those, params, all)?;
    }
    let mut all: Vec<_> = events.iter_mut().filter_map(|event| event.kind.message_mut()).collect();
    add_names(db, &mut all)?;
    let (events, more) = bounds.finish(events);
    Ok(Some(EventPage { events, epoch, offset, more: more || is_cut, revoked: 0 }))
}

fn event(row: &Row<'_>, room: RoomId, facts: &RoomFacts) -> rusqlite::Result<Event> {
    let columns = EventColumns { row, room: facts };
    let kind = EventKind::read(row.get_ref(AFTER_MESSAGE + 1)?.as_str()?, &columns)?;
    Ok(Event { room, number: number(row, AFTER_MESSAGE)?, time: row.get(AFTER_MESSAGE + 2)?, kind })
}

pub(super) fn last_before(
    db: &Connection,
    room: RoomId,
    reader: PersonId,
    time: Time,
) -> rusqlite::Result<Option<u64>> {
    let mut statement = db.prepare_cached(&columns::last_before("?1", "?2", "?3"))?;
    statement.query_row(params![room, reader, time], |row| number(row, 0)).optional()
}

pub(super) fn messages(
    db: &Connection,
    room: RoomId,
    reader: PersonId,
    page: PageQuery,
) -> rusqlite::Result<Option<MessagePage>> {
    if member(db, room, reader)?.is_none() {
        return Ok(None);
    }
    let bounds = Bounds::of(page);
    let mut rows = db
        .prepare_cached(&format!(
            "SELECT {WHO}, {MESSAGE} FROM messages m JOIN people p ON p.id = m.author {ASIDE}
            WHERE m.room = ?1 AND m.number > ?2 AND m.number < ?3 AND m.in_room ORDER BY m.number {} LIMIT ?4",
            bounds.order()
        ))?
        .query_map(params![room, bounds.above, bounds.below, bounds.rows()], message)?
        .collect::<Result<Vec<_>, _>>()?;
    let those = format!(
        "SELECT id FROM messages WHERE room = ?2 AND number > ?3 AND number < ?4 AND in_room ORDER BY number {} LIMIT ?5",
        bounds.order()
    );
    let params = params![reader, room, bounds.above, bounds.below, bounds.rows()];
    add_reactions(db, &those, params, rows.iter_mut())?;
    add_names(db, &mut rows.iter_mut().collect::<Vec<_>>())?;
    let (messages, more) = bounds.finish(rows);
    Ok(Some(MessagePage { messages, more }))
}

pub(super) fn message_of(
    db: &Connection,
    room: RoomId,
    reader: PersonId,
    id: MessageId,
) -> rusqlite::Result<Option<Message>> {
    if member(db, room, reader)?.is_none() {
        return Ok(None);
    }
    let mut found = db
        .prepare_cached(&format!(
            "SELECT {WHO}, {MESSAGE} FROM messages m JOIN people p ON p.id = m.author {ASIDE}
            WHERE m.id = ?1 AND m.room = ?2"
        ))?
        .query_row(params![id, room], message)
        .optional()?;
    add_reactions(db, "?2", params![reader, id], found.iter_mut())?;
    add_names(db, &mut found.iter_mut().collect::<Vec<_>>())?;
    Ok(found)
}

/// Gives each of the messages, and what it answers, the names of those whom it mentions.
fn add_names(db: &Connection, messages: &mut [&mut Message]) -> rusqlite::Result<()> {
    let those = mentioning(messages.iter().map(|message| &**message));
    if those.is_empty() {
        return Ok(());
    }
    let names = names_of_all(db, those)?;
    show_names(|id| names.get(&id).cloned(), messages.iter_mut().map(|message| &mut **message));
    Ok(())
}

fn names_of_all(db: &Connection, messages: Vec<MessageId>) -> rusqlite::Result<HashMap<MessageId, Vec<Who>>> {
    messages.into_iter().map(|id| Ok((id, names_of(db, id)?))).collect()
}

pub(super) fn names_of(db: &Connection, message: MessageId) -> rusqlite::Result<Vec<Who>> {
    db.prepare_cached(&format!("SELECT {WHO} {NAMED} = ?1"))?.query_map([message], |row| who(row, 0))?.collect()
}

pub(super) fn mentions_of(db: &Connection, message: MessageId) -> rusqlite::Result<Vec<Notice>> {
    db.prepare_cached(&format!(
        "SELECT {NOTICE_ROW} FROM notices n WHERE n.message = ?1 AND n.kind IN ('mention', 'here', 'room', 'past')
        ORDER BY n.event, n.place"
    ))?
    .query_map([message], notice)?
    .collect()
}

pub(super) fn activity(db: &Connection, person: PersonId, query: ActivityQuery) -> rusqlite::Result<ActivityPage> {
    let ActivityQuery { kind, before, limit } = query;
    let from = before.unwrap_or(ActivityFrom::NEWEST);
    let sql = select_activity(&kinds(kind), ["?1", "?2", "?3", "?4", "?5", "?6"]);
    let mut activity: Vec<Activity> = db
        .prepare_cached(&sql)?
        .query_map(
            params![person, from.time, signed(from.event), from.room, from.place, i64::from(limit) + 1],
            activity_row,
        )?
        .collect::<Result<_, _>>()?;
    add_names(db, &mut activity.iter_mut().map(|one| &mut one.message).collect::<Vec<_>>())?;
    Ok(ActivityPage::of(activity, limit))
}

/// Gives each of the messages what was reacted to it, and what stands in the thread under it; `those` selects at least these.
fn add_reactions<'a>(
    db: &Connection,
    those: &str,
    params: impl Params + Copy,
    messages: impl Iterator<Item = &'a mut Message>,
) -> rusqlite::Result<()> {
    let (mut reactions, mut answers) = (HashMap::new(), HashMap::new());
    let mut statement = db.prepare_cached(&reacted(those, "?1"))?;
    let mut rows = statement.query(params)?;
    while let Some(row) = rows.next()? {
        reacted_row(&mut reactions, row)?;
    }
    let mut statement = db.prepare_cached(&replies(those))?;
    let mut rows = statement.query(params)?;
    while let Some(row) = rows.next()? {
        replies_row(&mut answers, row)?;
    }
    let mut messages: Vec<_> = messages.collect();
    show_reactions(&reactions, messages.iter_mut().map(|message| &mut **message));
    show_replies(&answers, messages.into_iter());
    Ok(())
}

pub(super) fn reacted_with(
    db: &Connection,
    room: RoomId,
    reader: PersonId,
    id: MessageId,
    emoji: &Emoji,
) -> rusqlite::Result<Option<ReactedPage>> {
    let Some(message) = message_of(db, room, reader, id)? else { return Ok(None) };
    if message.deleted.is_some() {
        return Ok(Some(ReactedPage { people: Vec::new(), more: false }));
    }
    let mut people = db
        .prepare_cached(&format!(
            "SELECT {WHO} FROM reactions r JOIN people p ON p.id = r.person
            WHERE r.message = ?1 AND r.emoji = ?2 ORDER BY r.number LIMIT ?3"
        ))?
        .query_map(params![id, emoji.as_str(), REACTED_PAGE_MAX + 1], |row| who(row, 0))?
        .collect::<Result<Vec<_>, _>>()?;
    let more = people.len() > REACTED_PAGE_MAX as usize;
    people.truncate(REACTED_PAGE_MAX as usize);
    Ok(Some(ReactedPage { people, more }))
}

pub(super) fn reactions(
    db: &Connection,
    message: MessageId,
    person: PersonId,
    emoji: &Emoji,
) -> rusqlite::Result<Reactions> {
    db.prepare_cached(REACTIONS_MET)?.query_row(params![message, person, emoji.as_str()], |row| {
        Ok(Reactions { is_mine: row.get(0)?, is_used: row.get(1)?, kinds: row.get(2)? })
    })
}

pub(super) fn stored_message(db: &Connection, room: RoomId, id: MessageId) -> rusqlite::Result<Option<StoredMessage>> {
    db.prepare_cached(&format!(
        "SELECT {WHO}, {MESSAGE}, m.body FROM messages m JOIN people p ON p.id = m.author {ASIDE}
        WHERE m.id = ?1 AND m.room = ?2"
    ))?
    .query_row(params![id, room], |row| Ok(StoredMessage::of(message(row)?, row.get(AFTER_MESSAGE)?)))
    .optional()?
    .map(|mut found| {
        add_names(db, &mut [&mut found.message])?;
        Ok(found)
    })
    .transpose()
}

/// How far the reader has read a thread, and whether they follow it; of one that is not settled everything is read.
fn thread_position(db: &Connection, root: MessageId, person: PersonId) -> rusqlite::Result<Option<(u64, bool)>> {
    db.prepare_cached("SELECT read_number, following FROM thread_followers WHERE root = ?1 AND person = ?2")?
        .query_row(params![root, person], |row| Ok((number(row, 0)?, row.get(1)?)))
        .optional()
}

pub(super) fn thread_unread(db: &Connection, root: MessageId, person: PersonId, read: u64) -> rusqlite::Result<u32> {
    let sql = format!("SELECT {}", unread_in_thread("?1", "?2", "?3"));
    db.prepare_cached(&sql)?.query_row(params![root, person, signed(read)], |row| row.get(0))
}

pub(super) fn thread_root(
    db: &Connection,
    room: RoomId,
    root: MessageId,
    person: PersonId,
) -> rusqlite::Result<Option<Root>> {
    db.prepare_cached(&root_of("?1", "?2", "?3"))?
        .query_row(params![room, root, person], |row| {
            Ok(Root {
                answered: answered(row, 0)?,
                thread: row.get(AFTER_ROOT)?,
                is_settled: row.get(AFTER_ROOT + 1)?,
                is_settled_for_author: row.get(AFTER_ROOT + 2)?,
            })
        })
        .optional()
}

pub(super) fn thread_standing(
    db: &Connection,
    room: RoomId,
    root: MessageId,
    person: PersonId,
) -> rusqlite::Result<Option<ThreadStanding>> {
    let found = db
        .prepare_cached(
            "SELECT r.last_number, m.thread FROM messages m JOIN rooms r ON r.id = m.room
            JOIN memberships s ON s.room = m.room AND s.person = ?3 WHERE m.id = ?2 AND m.room = ?1",
        )?
        .query_row(params![room, root, person], |row| Ok((number(row, 0)?, row.get(1)?)))
        .optional()?;
    let Some((offset, thread)) = found else { return Ok(None) };
    Ok(Some(ThreadStanding { offset, thread, position: thread_position(db, root, person)? }))
}

pub(super) fn thread(
    db: &Connection,
    room: RoomId,
    reader: PersonId,
    id: MessageId,
    page: PageQuery,
) -> rusqlite::Result<Option<ThreadPage>> {
    let Some(root) = message_of(db, room, reader, id)? else { return Ok(None) };
    let (epoch, offset) = db
        .prepare_cached("SELECT epoch, last_number FROM rooms WHERE id = ?1")?
        .query_row([room], |row| Ok((row.get(0)?, number(row, 1)?)))?;
    let bounds = Bounds::of(page);
    let mut rows = db
        .prepare_cached(&format!(
            "SELECT {WHO}, {MESSAGE} FROM messages m JOIN people p ON p.id = m.author {ASIDE}
            WHERE m.thread = ?1 AND m.number > ?2 AND m.number < ?3 ORDER BY m.number {} LIMIT ?4",
            bounds.order()
        ))?
        .query_map(params![id, bounds.above, bounds.below, bounds.rows()], message)?
        .collect::<Result<Vec<_>, _>>()?;
    let those = format!(
        "SELECT id FROM messages WHERE thread = ?2 AND number > ?3 AND number < ?4 ORDER BY number {} LIMIT ?5",
        bounds.order()
    );
    let params = params![reader, id, bounds.above, bounds.below, bounds.rows()];
    add_reactions(db, &those, params, rows.iter_mut())?;
    add_names(db, &mut rows.iter_mut().collect::<Vec<_>>())?;
    let (messages, more) = bounds.finish(rows);
    let (read, following) = thread_position(db, id, reader)?.unwrap_or((offset, false));
    let unread = thread_unread(db, id, reader, read)?;
    Ok(Some(ThreadPage {
        root,
        messages,
        more,
        epoch,
        reading: ThreadReading { id, room, offset, following, read, unread },
    }))
}

pub(super) fn threads(
    db: &Connection,
    person: PersonId,
    before: Option<MessageId>,
    limit: u32,
) -> rusqlite::Result<ThreadsPage> {
    let mut found = db
        .prepare_cached(&threads_of("?1", "?2", "?3"))?
        .query_map(params![person, before, i64::from(limit) + 1], |row| {
            let (root, last) = (answered(row, THREAD_ROOT)?, answered(row, THREAD_LAST)?);
            let (id, room, offset) = (row.get(0)?, row.get(1)?, number(row, 2)?);
            let (read, unread) = (number(row, 3)?, row.get(4)?);
            Ok((ThreadReading { id, room, offset, following: true, read, unread }, root, last))
        })?
        .collect::<Result<Vec<_>, _>>()?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let mut statement = db.prepare_cached(&replies("?1"))?;
    let mut threads = Vec::with_capacity(found.len());
    for (reading, root, last) in found {
        let mut all = HashMap::new();
        let mut rows = statement.query([reading.id])?;
        while let Some(row) = rows.next()? {
            replies_row(&mut all, row)?;
        }
        threads.extend(all.remove(&reading.id).map(|replies| ThreadCard { reading, root, replies, last }));
    }
    let those = mentioning_beginnings(threads.iter_mut().flat_map(ThreadCard::beginnings).map(|answered| &*answered));
    let names = names_of_all(db, those)?;
    show_names_in(|id| names.get(&id).cloned(), threads.iter_mut().flat_map(ThreadCard::beginnings));
    let unread = db.prepare_cached(&threads_unread("?1"))?.query_row([person], |row| row.get(0))?;
    Ok(ThreadsPage { threads, more, unread })
}

pub(super) fn edits(
    db: &Connection,
    room: RoomId,
    reader: PersonId,
    id: MessageId,
    page: PageQuery,
) -> rusqlite::Result<Option<EditPage>> {
    let Some(message) = message_of(db, room, reader, id)? else { return Ok(None) };
    if message.deleted.is_some() {
        return Ok(Some(EditPage { edits: Vec::new(), more: false }));
    }
    let mut names = names_of(db, id)?;
    names.push(message.author);
    let bounds = Bounds::of(page);
    let rows = db
        .prepare_cached(&format!(
            "SELECT number, time, body FROM edits
            WHERE message = ?1 AND number > ?2 AND number < ?3 ORDER BY number {} LIMIT ?4",
            bounds.order()
        ))?
        .query_map(params![id, bounds.above, bounds.below, bounds.rows()], |row| {
            let body = Text::new(row.get::<_, String>(2)?, names.clone());
            Ok(Edit { number: number(row, 0)?, time: row.get(1)?, body })
        })?
        .collect::<Result<Vec<_>, _>>()?;
    let (edits, more) = bounds.finish(rows);
    Ok(Some(EditPage { edits, more }))
}

pub(super) fn has_deleted_by(db: &Connection, time: Time) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT EXISTS (SELECT 1 FROM messages WHERE deleted <= ?1 AND body <> '')")?
        .query_row([time], |row| row.get(0))
}

pub(super) fn last_digest_key(db: &Connection) -> rusqlite::Result<Option<KeyId>> {
    // Ids begin with the time.
    let sql = "SELECT digest_key FROM messages ORDER BY id DESC LIMIT 1";
    db.query_row(sql, [], |row| row.get(0)).optional().map(Option::flatten)
}
