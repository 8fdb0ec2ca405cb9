//! The reads, as SQL. Those of more than one statement run inside a transaction of the caller's, so that they see one
//! moment.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    EventPage, MessagePage, Page, PageFrom,
    changes::member,
    values::{PERSON, ROOM, number, person, room, signed, who},
};
use crate::{
    events::{Event, EventKind, Message, Who},
    ids::{MessageId, PersonId, RoomId, SessionId},
    invites::{Invite, InviteCard},
    limits::{SESSION_IDLE, SESSION_LIFETIME},
    names::{Email, Name},
    passwords::StoredHash,
    people::{Credentials, Person, Role},
    rooms::{Member, MemberRole, Room},
    secrets::{Code, Digested},
    sessions::{Session, SignedIn},
    time::Time,
};

pub(super) fn is_set_up(db: &Connection) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT EXISTS (SELECT 1 FROM people)")?.query_row([], |row| row.get(0))
}

pub(super) fn people(db: &Connection) -> rusqlite::Result<Vec<Person>> {
    db.prepare_cached(&format!("SELECT {PERSON} FROM people p ORDER BY p.name COLLATE NOCASE, p.id"))?
        .query_map([], person)?
        .collect()
}

pub(super) fn person_of(db: &Connection, id: PersonId) -> rusqlite::Result<Option<Person>> {
    db.prepare_cached(&format!("SELECT {PERSON} FROM people p WHERE p.id = ?1"))?.query_row([id], person).optional()
}

pub(super) fn credentials(db: &Connection, email: &Email) -> rusqlite::Result<Option<Credentials>> {
    db.prepare_cached(&format!("SELECT {PERSON}, p.password FROM people p WHERE p.email = ?1"))?
        .query_row([email.as_str()], |row| Ok(Credentials { person: person(row)?, hash: StoredHash(row.get(4)?) }))
        .optional()
}

pub(super) fn session(db: &Connection, token: Digested, now: Time) -> rusqlite::Result<Option<SignedIn>> {
    db.prepare_cached(&format!(
        "SELECT {PERSON}, s.id, s.created, s.last_seen, s.user_agent FROM sessions s JOIN people p ON p.id = s.person
        WHERE s.token = ?1 AND s.ended IS NULL AND s.last_seen > ?2 AND s.created > ?3"
    ))?
    .query_row(params![token, now.minus(SESSION_IDLE), now.minus(SESSION_LIFETIME)], |row| {
        Ok(SignedIn { person: person(row)?, session: session_at(row, 4)? })
    })
    .optional()
}

pub(super) fn session_is_open(db: &Connection, session: SessionId, now: Time) -> rusqlite::Result<bool> {
    db.prepare_cached(
        "SELECT EXISTS (
            SELECT 1 FROM sessions WHERE id = ?1 AND ended IS NULL AND last_seen > ?2 AND created > ?3
        )",
    )?
    .query_row(params![session, now.minus(SESSION_IDLE), now.minus(SESSION_LIFETIME)], |row| row.get(0))
}

pub(super) fn sessions(db: &Connection, person: PersonId, now: Time) -> rusqlite::Result<Vec<Session>> {
    db.prepare_cached(
        "SELECT id, created, last_seen, user_agent FROM sessions
        WHERE person = ?1 AND ended IS NULL AND last_seen > ?2 AND created > ?3 ORDER BY last_seen DESC, id DESC",
    )?
    .query_map(params![person, now.minus(SESSION_IDLE), now.minus(SESSION_LIFETIME)], |row| session_at(row, 0))?
    .collect()
}

fn session_at(row: &Row<'_>, first: usize) -> rusqlite::Result<Session> {
    Ok(Session {
        id: row.get(first)?,
        created: row.get(first + 1)?,
        last_seen: row.get(first + 2)?,
        user_agent: row.get(first + 3)?,
    })
}

pub(super) fn sessions_ended(db: &Connection, since: Time) -> rusqlite::Result<Vec<SessionId>> {
    db.prepare_cached("SELECT id FROM sessions WHERE ended >= ?1")?.query_map([since], |row| row.get(0))?.collect()
}

pub(super) fn invite(db: &Connection, code: Digested, now: Time) -> rusqlite::Result<Option<InviteCard>> {
    db.prepare_cached(
        "SELECT p.id, p.name, r.id, r.name FROM invites i JOIN people p ON p.id = i.inviter JOIN rooms r ON r.id = i.room
        WHERE i.digest = ?1 AND i.revoked IS NULL AND i.expires > ?2 AND i.uses < i.uses_max",
    )?
    .query_row(params![code, now], |row| {
        Ok(InviteCard { inviter: who(row)?, room: row.get(2)?, room_name: Name::stored(row.get(3)?) })
    })
    .optional()
}

/// The room's invite if it is good and the person is a member; the change that makes one looks the same way.
pub(super) fn room_invite(
    db: &Connection,
    room: RoomId,
    person: PersonId,
    now: Time,
) -> rusqlite::Result<Option<Invite>> {
    db.prepare_cached(
        "SELECT code, created, expires, uses_max, uses FROM invites
        WHERE room = ?1 AND revoked IS NULL AND expires > ?3 AND uses < uses_max
        AND EXISTS (SELECT 1 FROM memberships m WHERE m.room = ?1 AND m.person = ?2)",
    )?
    .query_row(params![room, person, now], |row| {
        Ok(Invite {
            code: Code::stored(row.get(0)?),
            room,
            created: row.get(1)?,
            expires: row.get(2)?,
            uses_max: row.get(3)?,
            uses: row.get(4)?,
        })
    })
    .optional()
}

pub(super) fn rooms(db: &Connection, person: PersonId) -> rusqlite::Result<Vec<Room>> {
    db.prepare_cached(&format!("SELECT {ROOM} FROM rooms r ORDER BY is_member DESC, r.name COLLATE NOCASE, r.id"))?
        .query_map([person], room)?
        .collect()
}

pub(super) fn room_of(db: &Connection, id: RoomId, person: PersonId) -> rusqlite::Result<Option<Room>> {
    db.prepare_cached(&format!("SELECT {ROOM} FROM rooms r WHERE r.id = ?2"))?
        .query_row(params![person, id], room)
        .optional()
}

pub(super) fn members(db: &Connection, room: RoomId, reader: PersonId) -> rusqlite::Result<Option<Vec<Member>>> {
    if member(db, room, reader)?.is_none() {
        return Ok(None);
    }
    db.prepare_cached(
        "SELECT p.id, p.name, p.role, r.creator = p.id FROM memberships m
        JOIN people p ON p.id = m.person JOIN rooms r ON r.id = m.room
        WHERE m.room = ?1 ORDER BY p.name COLLATE NOCASE, p.id",
    )?
    .query_map([room], |row| {
        let role = match (row.get(2)?, row.get(3)?) {
            (Role::Admin, _) => MemberRole::Admin,
            (Role::Member, true) => MemberRole::Creator,
            (Role::Member, false) => MemberRole::Member,
        };
        Ok(Member { id: row.get(0)?, name: Name::stored(row.get(1)?), role })
    })?
    .collect::<Result<_, _>>()
    .map(Some)
}

/// How a page is asked of SQLite: strictly between two numbers, in one direction, and one row more than wanted, to know
/// whether there are more.
struct Bounds {
    above: i64,
    below: i64,
    wanted: usize,
    descending: bool,
}

impl Bounds {
    fn of(page: Page) -> Self {
        let wanted = page.limit as usize;
        match page.from {
            PageFrom::End => Self { above: 0, below: i64::MAX, wanted, descending: true },
            PageFrom::Before(number) => Self { above: 0, below: signed(number), wanted, descending: true },
            PageFrom::After(number) => Self { above: signed(number), below: i64::MAX, wanted, descending: false },
        }
    }

    fn rows(&self) -> i64 {
        i64::try_from(self.wanted).unwrap_or(i64::MAX).saturating_add(1)
    }

    fn order(&self) -> &'static str {
        if self.descending { "DESC" } else { "ASC" }
    }

    /// Takes the row too many off again and puts the rest into ascending order.
    fn finish<T>(&self, mut rows: Vec<T>) -> (Vec<T>, bool) {
        let more = rows.len() > self.wanted;
        rows.truncate(self.wanted);
        if self.descending {
            rows.reverse();
        }
        (rows, more)
    }
}

pub(super) fn events(
    db: &Connection,
    room: RoomId,
    reader: Option<PersonId>,
    page: Page,
) -> rusqlite::Result<Option<EventPage>> {
    if let Some(reader) = reader
        && member(db, room, reader)?.is_none()
    {
        return Ok(None);
    }
    let position: Option<(String, u64)> = db
        .prepare_cached("SELECT epoch, last_number FROM rooms WHERE id = ?1")?
        .query_row([room], |row| Ok((row.get(0)?, number(row, 1)?)))
        .optional()?;
    let Some((epoch, offset)) = position else { return Ok(None) };
    if page.limit == 0 {
        return Ok(Some(EventPage { events: Vec::new(), epoch, offset, more: offset > 0 }));
    }
    let bounds = Bounds::of(page);
    let rows = db
        .prepare_cached(&format!(
            "SELECT p.id, p.name, e.number, e.kind, e.time, m.id, m.client_id, m.body FROM room_events e
            JOIN people p ON p.id = e.subject LEFT JOIN messages m ON m.id = e.message
            WHERE e.room = ?1 AND e.number > ?2 AND e.number < ?3 ORDER BY e.number {} LIMIT ?4",
            bounds.order()
        ))?
        .query_map(params![room, bounds.above, bounds.below, bounds.rows()], |row| event(row, room))?
        .collect::<Result<Vec<_>, _>>()?;
    let (events, more) = bounds.finish(rows);
    Ok(Some(EventPage { events, epoch, offset, more }))
}

fn event(row: &Row<'_>, room: RoomId) -> rusqlite::Result<Event> {
    let (number, time) = (number(row, 2)?, row.get(4)?);
    let kind = match row.get_ref(3)?.as_str()? {
        "room.created" => EventKind::RoomCreated { member: who(row)? },
        "member.joined" => EventKind::MemberJoined { member: who(row)? },
        "member.left" => EventKind::MemberLeft { member: who(row)? },
        _ => {
            let message = Message {
                id: row.get(5)?,
                room,
                number,
                client_id: row.get(6)?,
                author: who(row)?,
                body: row.get(7)?,
                time,
            };
            EventKind::MessagePosted { message }
        }
    };
    Ok(Event { room, number, time, kind })
}

const MESSAGE: &str = "SELECT p.id, p.name, m.id, m.room, m.number, m.client_id, m.body, m.time
    FROM messages m JOIN people p ON p.id = m.author";

pub(super) fn messages(
    db: &Connection,
    room: RoomId,
    reader: PersonId,
    page: Page,
) -> rusqlite::Result<Option<MessagePage>> {
    if member(db, room, reader)?.is_none() {
        return Ok(None);
    }
    let bounds = Bounds::of(page);
    let rows = db
        .prepare_cached(&format!(
            "{MESSAGE} WHERE m.room = ?1 AND m.number > ?2 AND m.number < ?3 ORDER BY m.number {} LIMIT ?4",
            bounds.order()
        ))?
        .query_map(params![room, bounds.above, bounds.below, bounds.rows()], message)?
        .collect::<Result<Vec<_>, _>>()?;
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
    db.prepare_cached(&format!("{MESSAGE} WHERE m.id = ?1 AND m.room = ?2"))?
        .query_row(params![id, room], message)
        .optional()
}

fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    Ok(Message {
        author: Who { id: row.get(0)?, name: row.get(1)? },
        id: row.get(2)?,
        room: row.get(3)?,
        number: number(row, 4)?,
        client_id: row.get(5)?,
        body: row.get(6)?,
        time: row.get(7)?,
    })
}
