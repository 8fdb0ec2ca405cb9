//! The changes, as SQL inside one transaction. Each function checks what it must, changes what it may, and says what
//! happened; the batch around it commits, or takes it back.

use rusqlite::{Connection, OptionalExtension, params};

use super::{
    Applied, ApplyError, Change, NewMessage, NewPerson, NewRoom, NewSession, Outcome, Posted, Refusal,
    reads::room_invite,
    values::{ROOM, number, room, signed, who},
};
use crate::{
    events::{Event, EventKind, Message, Who},
    ids::{MessageId, PersonId, RoomId, SessionId},
    invites::Invite,
    limits::{
        INVITE_LIFETIME, INVITE_USES_MAX, ROOMS_MAX, SESSION_IDLE, SESSION_LIFETIME, SESSION_REMEMBERED,
        SESSIONS_PER_PERSON_MAX,
    },
    passwords::StoredHash,
    people::{Person, Role},
    rooms::Room,
    secrets::{Code, Digested},
    time::Time,
};

type Answer = Result<Applied, ApplyError>;

pub(super) fn apply(db: &Connection, change: &Change, now: Time) -> Answer {
    match change {
        Change::SetUp { person, session, room, invite } => set_up(db, person, session, room, invite, now),
        Change::CreateAccount { invite, person, session } => create_account(db, *invite, person, session, now),
        Change::SetPassword { person, hash, keep } => set_password(db, *person, hash, *keep, now),
        Change::Rehash { person, old, new } => rehash(db, *person, old, new),
        Change::OpenSession { person, checked, session } => sign_in(db, *person, checked, session, now),
        Change::TouchSession { session } => touch_session(db, *session, now),
        Change::EndSession { person, session } => end_session(db, *person, *session, now),
        Change::SweepSessions => sweep_sessions(db, now),
        Change::CurrentInvite { person, room, code } => current_invite(db, *person, *room, code, now),
        Change::RenewInvite { person, room, code } => renew_invite(db, *person, *room, code, now),
        Change::RevokeInvite { person, room } => revoke_invite(db, *person, *room, now),
        Change::AcceptInvite { invite, person } => accept_invite(db, *invite, *person, now),
        Change::CreateRoom { person, room } => create_room(db, *person, room, now),
        Change::Join { person, room } => join(db, *person, *room, now),
        Change::Leave { person, room } => leave(db, *person, *person, *room, now),
        Change::Remove { by, person, room } => remove(db, *by, *person, *room, now),
        Change::Post(message) => post(db, message, now),
    }
}

impl From<rusqlite::Error> for ApplyError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Outcome {
    fn with(self, events: Vec<Event>) -> Answer {
        Ok(Applied { outcome: self, events, ended: Vec::new() })
    }

    fn ending(self, ended: Vec<SessionId>) -> Answer {
        Ok(Applied { outcome: self, events: Vec::new(), ended })
    }
}

// People and sessions

fn set_up(
    db: &Connection,
    person: &NewPerson,
    session: &NewSession,
    new_room: &NewRoom,
    code: &Code,
    now: Time,
) -> Answer {
    let anybody: bool = db.prepare_cached("SELECT EXISTS (SELECT 1 FROM people)")?.query_row([], |row| row.get(0))?;
    if anybody {
        return Err(Refusal::AlreadySetUp.into());
    }
    let first = insert_person(db, person, Role::Admin, now)?;
    db.prepare_cached("INSERT INTO set_up (one, person, time) VALUES (1, ?1, ?2)")?
        .execute(params![first.id, now])
        .map_err(|error| if is_taken(&error) { Refusal::AlreadySetUp.into() } else { ApplyError::from(error) })?;
    insert_session(db, first.id, session, now)?;
    let created = insert_room(db, first.id, new_room, now)?;
    let invite = insert_invite(db, first.id, new_room.id, code, now)?;
    let room = room_of(db, new_room.id, first.id)?;
    Outcome::Account { person: first, room, invite: Some(invite) }.with(vec![created])
}

fn create_account(db: &Connection, invite: Digested, person: &NewPerson, session: &NewSession, now: Time) -> Answer {
    let room = use_invite(db, invite, now)?;
    let person = insert_person(db, person, Role::Member, now)?;
    insert_session(db, person.id, session, now)?;
    let joined = insert_membership(db, person.id, room, now)?;
    let room = room_of(db, room, person.id)?;
    Outcome::Account { person, room, invite: None }.with(joined.into_iter().collect())
}

fn insert_person(db: &Connection, person: &NewPerson, role: Role, now: Time) -> Result<Person, ApplyError> {
    db.prepare_cached("INSERT INTO people (id, name, email, role, password, created) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![person.id, person.name.as_str(), person.email.as_str(), role, person.hash.0, now])
        .map_err(|error| if is_taken(&error) { Refusal::EmailTaken.into() } else { ApplyError::from(error) })?;
    Ok(Person { id: person.id, name: person.name.clone(), email: person.email.clone(), role })
}

fn set_password(db: &Connection, person: PersonId, hash: &StoredHash, keep: Option<SessionId>, now: Time) -> Answer {
    let changed =
        db.prepare_cached("UPDATE people SET password = ?2 WHERE id = ?1")?.execute(params![person, hash.0])?;
    if changed == 0 {
        return Err(Refusal::NoSuchPerson.into());
    }
    let ended = db
        .prepare_cached(
            "UPDATE sessions SET ended = ?2 WHERE person = ?1 AND ended IS NULL AND id IS NOT ?3 RETURNING id",
        )?
        .query_map(params![person, now, keep], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Outcome::Done.ending(ended)
}

fn rehash(db: &Connection, person: PersonId, old: &StoredHash, new: &StoredHash) -> Answer {
    db.prepare_cached("UPDATE people SET password = ?3 WHERE id = ?1 AND password = ?2")?
        .execute(params![person, old.0, new.0])?;
    Outcome::Done.with(Vec::new())
}

fn sign_in(db: &Connection, person: PersonId, checked: &StoredHash, session: &NewSession, now: Time) -> Answer {
    let password: Option<String> = db
        .prepare_cached("SELECT password FROM people WHERE id = ?1")?
        .query_row([person], |row| row.get(0))
        .optional()?;
    if password.as_ref() != Some(&checked.0) {
        return Err(Refusal::PasswordChanged.into());
    }
    insert_session(db, person, session, now)?;
    let ended = db
        .prepare_cached(
            "UPDATE sessions SET ended = ?2 WHERE id IN (
                SELECT id FROM sessions WHERE person = ?1 AND ended IS NULL AND id <> ?3
                ORDER BY last_seen DESC, id DESC LIMIT -1 OFFSET ?4
            ) RETURNING id",
        )?
        .query_map(params![person, now, session.id, SESSIONS_PER_PERSON_MAX - 1], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Outcome::Done.ending(ended)
}

fn insert_session(db: &Connection, person: PersonId, session: &NewSession, now: Time) -> Result<(), ApplyError> {
    db.prepare_cached(
        "INSERT INTO sessions (id, person, token, user_agent, created, last_seen) VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
    )?
    .execute(params![session.id, person, session.token, session.user_agent, now])?;
    Ok(())
}

fn touch_session(db: &Connection, session: SessionId, now: Time) -> Answer {
    db.prepare_cached("UPDATE sessions SET last_seen = max(last_seen, ?2) WHERE id = ?1 AND ended IS NULL")?
        .execute(params![session, now])?;
    Outcome::Done.with(Vec::new())
}

fn end_session(db: &Connection, person: PersonId, session: SessionId, now: Time) -> Answer {
    let ended = db
        .prepare_cached("UPDATE sessions SET ended = ?3 WHERE person = ?1 AND id = ?2 AND ended IS NULL")?
        .execute(params![person, session, now])?;
    if ended == 0 { Err(Refusal::NoSuchSession.into()) } else { Outcome::Done.ending(vec![session]) }
}

fn sweep_sessions(db: &Connection, now: Time) -> Answer {
    db.prepare_cached("DELETE FROM sessions WHERE ended < ?1")?.execute([now.minus(SESSION_REMEMBERED)])?;
    let ended = db
        .prepare_cached(
            "UPDATE sessions SET ended = ?1 WHERE ended IS NULL AND (last_seen <= ?2 OR created <= ?3) RETURNING id",
        )?
        .query_map([now, now.minus(SESSION_IDLE), now.minus(SESSION_LIFETIME)], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Outcome::Done.ending(ended)
}

// Invites

fn current_invite(db: &Connection, person: PersonId, room: RoomId, code: &Code, now: Time) -> Answer {
    member(db, room, person)?.ok_or(Refusal::NotMember)?;
    let invite = match room_invite(db, room, person, now)? {
        Some(invite) => invite,
        None => {
            // An invite that ran out may be followed by another; a revocation is undone by who may revoke.
            if is_revoked(db, room)? {
                may_manage(db, person, room)?;
            }
            insert_invite(db, person, room, code, now)?
        }
    };
    Outcome::Invite(invite).with(Vec::new())
}

fn renew_invite(db: &Connection, person: PersonId, room: RoomId, code: &Code, now: Time) -> Answer {
    may_manage(db, person, room)?;
    Outcome::Invite(insert_invite(db, person, room, code, now)?).with(Vec::new())
}

fn revoke_invite(db: &Connection, person: PersonId, room: RoomId, now: Time) -> Answer {
    may_manage(db, person, room)?;
    db.prepare_cached("UPDATE invites SET revoked = ?2 WHERE room = ?1 AND revoked IS NULL")?
        .execute(params![room, now])?;
    Outcome::Done.with(Vec::new())
}

fn accept_invite(db: &Connection, invite: Digested, person: PersonId, now: Time) -> Answer {
    let room = good_invite(db, invite, now)?;
    // Whoever is in the room already uses nothing up.
    let mut joined = None;
    if member(db, room, person)?.is_none() {
        use_invite(db, invite, now)?;
        joined = insert_membership(db, person, room, now)?;
    }
    Outcome::Room(room_of(db, room, person)?).with(joined.into_iter().collect())
}

fn insert_invite(
    db: &Connection,
    inviter: PersonId,
    room: RoomId,
    code: &Code,
    now: Time,
) -> Result<Invite, ApplyError> {
    // A room has one invite, good or dead: what was there before would never be looked at again.
    db.prepare_cached("DELETE FROM invites WHERE room = ?1")?.execute([room])?;
    let expires = now.plus(INVITE_LIFETIME);
    db.prepare_cached(
        "INSERT INTO invites (digest, code, room, inviter, created, expires, uses_max, uses)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0)",
    )?
    .execute(params![code.digest(), code.reveal(), room, inviter, now, expires, INVITE_USES_MAX])?;
    Ok(Invite { code: code.clone(), room, created: now, expires, uses_max: INVITE_USES_MAX, uses: 0 })
}

/// Whether the room's last invite was revoked, and not merely used up or expired.
fn is_revoked(db: &Connection, room: RoomId) -> rusqlite::Result<bool> {
    db.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM invites WHERE room = ?1)
        AND NOT EXISTS (SELECT 1 FROM invites WHERE room = ?1 AND revoked IS NULL)",
    )?
    .query_row([room], |row| row.get(0))
}

fn good_invite(db: &Connection, invite: Digested, now: Time) -> Result<RoomId, ApplyError> {
    db.prepare_cached(
        "SELECT room FROM invites WHERE digest = ?1 AND revoked IS NULL AND expires > ?2 AND uses < uses_max",
    )?
    .query_row(params![invite, now], |row| row.get(0))
    .optional()?
    .ok_or(Refusal::InviteInvalid.into())
}

fn use_invite(db: &Connection, invite: Digested, now: Time) -> Result<RoomId, ApplyError> {
    db.prepare_cached(
        "UPDATE invites SET uses = uses + 1
        WHERE digest = ?1 AND revoked IS NULL AND expires > ?2 AND uses < uses_max RETURNING room",
    )?
    .query_row(params![invite, now], |row| row.get(0))
    .optional()?
    .ok_or(Refusal::InviteInvalid.into())
}

// Rooms and memberships

fn create_room(db: &Connection, person: PersonId, new: &NewRoom, now: Time) -> Answer {
    let rooms: u32 = db.prepare_cached("SELECT count(*) FROM rooms")?.query_row([], |row| row.get(0))?;
    if rooms >= ROOMS_MAX {
        return Err(Refusal::TooManyRooms.into());
    }
    let created = insert_room(db, person, new, now)?;
    Outcome::Room(room_of(db, new.id, person)?).with(vec![created])
}

fn join(db: &Connection, person: PersonId, room: RoomId, now: Time) -> Answer {
    let known: bool =
        db.prepare_cached("SELECT EXISTS (SELECT 1 FROM rooms WHERE id = ?1)")?.query_row([room], |row| row.get(0))?;
    if !known {
        return Err(Refusal::NotMember.into());
    }
    let joined = insert_membership(db, person, room, now)?;
    Outcome::Room(room_of(db, room, person)?).with(joined.into_iter().collect())
}

fn leave(db: &Connection, by: PersonId, person: PersonId, room: RoomId, now: Time) -> Answer {
    let leaver = member(db, room, person)?.ok_or(Refusal::NotMember)?;
    db.prepare_cached("DELETE FROM memberships WHERE room = ?1 AND person = ?2")?.execute(params![room, person])?;
    let left = insert_event(db, room, by, EventKind::MemberLeft { member: leaver }, now)?;
    Outcome::Done.with(vec![left])
}

fn remove(db: &Connection, by: PersonId, person: PersonId, room: RoomId, now: Time) -> Answer {
    may_manage(db, by, room)?;
    let is_above: bool = db
        .prepare_cached(
            "SELECT EXISTS (
                SELECT 1 FROM memberships m JOIN people p ON p.id = m.person JOIN people b ON b.id = ?1
                WHERE m.room = ?2 AND m.person = ?3 AND p.role = 'admin' AND b.role <> 'admin'
            )",
        )?
        .query_row(params![by, room, person], |row| row.get(0))?;
    if is_above {
        return Err(Refusal::NotAllowed.into());
    }
    leave(db, by, person, room, now)
}

fn insert_room(db: &Connection, creator: PersonId, new: &NewRoom, now: Time) -> Result<Event, ApplyError> {
    db.prepare_cached(
        "INSERT INTO rooms (id, name, topic, creator, epoch, last_number, created) VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6)",
    )?
    .execute(params![new.id, new.name.as_str(), new.topic.as_str(), creator, new.epoch, now])?;
    db.prepare_cached("INSERT INTO memberships (room, person, joined) VALUES (?1, ?2, ?3)")?
        .execute(params![new.id, creator, now])?;
    let member = member(db, new.id, creator)?.ok_or(Refusal::NoSuchPerson)?;
    insert_event(db, new.id, creator, EventKind::RoomCreated { member }, now)
}

/// The event, unless the person was a member already.
fn insert_membership(db: &Connection, person: PersonId, room: RoomId, now: Time) -> Result<Option<Event>, ApplyError> {
    let inserted = db
        .prepare_cached("INSERT INTO memberships (room, person, joined) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?
        .execute(params![room, person, now])?;
    if inserted == 0 {
        return Ok(None);
    }
    let member = member(db, room, person)?.ok_or(Refusal::NoSuchPerson)?;
    insert_event(db, room, person, EventKind::MemberJoined { member }, now).map(Some)
}

pub(super) fn member(db: &Connection, room: RoomId, person: PersonId) -> rusqlite::Result<Option<Who>> {
    db.prepare_cached(
        "SELECT p.id, p.name FROM memberships m JOIN people p ON p.id = m.person WHERE m.room = ?1 AND m.person = ?2",
    )?
    .query_row(params![room, person], who)
    .optional()
}

/// Administrators may, and the room's creator while a member; another member is told that they may not, everybody else
/// nothing. A creator who was removed may join again, as everybody may, and then manages the room again.
fn may_manage(db: &Connection, person: PersonId, room: RoomId) -> Result<(), ApplyError> {
    let may: Option<bool> = db
        .prepare_cached(
            "SELECT p.role = 'admin' OR (r.creator = p.id AND EXISTS (
                SELECT 1 FROM memberships m WHERE m.room = r.id AND m.person = p.id
            )) FROM rooms r JOIN people p ON p.id = ?2 WHERE r.id = ?1",
        )?
        .query_row(params![room, person], |row| row.get(0))
        .optional()?;
    match may {
        Some(true) => Ok(()),
        Some(false) if member(db, room, person)?.is_some() => Err(Refusal::NotAllowed.into()),
        _ => Err(Refusal::NotMember.into()),
    }
}

fn room_of(db: &Connection, id: RoomId, person: PersonId) -> rusqlite::Result<Room> {
    db.prepare_cached(&format!("SELECT {ROOM} FROM rooms r WHERE r.id = ?2"))?.query_row(params![person, id], room)
}

// Messages and events

fn post(db: &Connection, new: &NewMessage, now: Time) -> Answer {
    if let Some((posted, digest)) = earlier_send(db, new)? {
        // Recognised before membership is looked at: what was acknowledged stays acknowledged.
        return if digest == new.digest {
            Outcome::Posted(posted).with(Vec::new())
        } else {
            Err(Refusal::Conflict.into())
        };
    }
    let author = member(db, new.room, new.author)?.ok_or(Refusal::NotMember)?;
    let number = next_number(db, new.room)?;
    db.prepare_cached(
        "INSERT INTO messages (id, room, number, author, client_id, digest, body, time)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![new.id, new.room, signed(number), new.author, new.client_id, new.digest, new.body, now])?;
    let message = Message {
        id: new.id,
        room: new.room,
        number,
        client_id: new.client_id,
        author,
        body: new.body.clone(),
        time: now,
    };
    let event = Event { room: new.room, number, time: now, kind: EventKind::MessagePosted { message } };
    insert_event_row(db, new.author, &event)?;
    Outcome::Posted(Posted { id: new.id, number, time: now, repeated: false }).with(vec![event])
}

fn earlier_send(db: &Connection, new: &NewMessage) -> rusqlite::Result<Option<(Posted, [u8; 32])>> {
    db.prepare_cached("SELECT id, number, time, digest FROM messages WHERE author = ?1 AND client_id = ?2")?
        .query_row(params![new.author, new.client_id], |row| {
            let posted = Posted { id: row.get(0)?, number: number(row, 1)?, time: row.get(2)?, repeated: true };
            Ok((posted, row.get(3)?))
        })
        .optional()
}

fn next_number(db: &Connection, room: RoomId) -> rusqlite::Result<u64> {
    db.prepare_cached("UPDATE rooms SET last_number = last_number + 1 WHERE id = ?1 RETURNING last_number")?
        .query_row([room], |row| number(row, 0))
}

fn insert_event(
    db: &Connection,
    room: RoomId,
    actor: PersonId,
    kind: EventKind,
    now: Time,
) -> Result<Event, ApplyError> {
    let event = Event { room, number: next_number(db, room)?, time: now, kind };
    insert_event_row(db, actor, &event)?;
    Ok(event)
}

fn insert_event_row(db: &Connection, actor: PersonId, event: &Event) -> rusqlite::Result<()> {
    let (kind, message, subject): (_, Option<MessageId>, _) = match &event.kind {
        EventKind::RoomCreated { member } => ("room.created", None, member.id),
        EventKind::MemberJoined { member } => ("member.joined", None, member.id),
        EventKind::MemberLeft { member } => ("member.left", None, member.id),
        EventKind::MessagePosted { message } => ("message.posted", Some(message.id), message.author.id),
    };
    db.prepare_cached(
        "INSERT INTO room_events (room, number, kind, message, actor, subject, time)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![event.room, signed(event.number), kind, message, actor, subject, event.time])?;
    Ok(())
}

fn is_taken(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| {
        matches!(
            error.extended_code,
            rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY
        )
    })
}
