//! The tables as the changes read and write them: one cached statement each, inside the transaction of the batch or the
//! savepoint of the change.

use std::{cell::RefCell, collections::HashMap, net::IpAddr};

use rusqlite::{Connection, OptionalExtension, params};

use super::{
    reads,
    values::{number, preferences, store_error, stored_digest, who},
};
use crate::{
    limits::MEMBERS_REMEMBERED,
    model::{
        ClientId, DenialKey, Denied, EarlierSend, Email, Emoji, Ended, Event, Invite, KeyId, MessageId, Name,
        NewMessage, NewPerson, NewRoom, NewSession, Notice, NoticeKind, PeopleKey, Person, PersonId, PersonalToken,
        PersonalTokenId, Preferences, Profile, Reactions, Reading, Role, Room, RoomFacts, RoomId, RoomRole, Root, Said,
        SecretDigest, SessionId, Status, StoredDigest, StoredHash, StoredInvite, StoredMessage, ThreadStanding, Time,
        Who,
    },
    store::{
        StoreResult, Tables,
        bounds::signed,
        columns::{WHO, mentions, unread},
    },
};

/// The tables inside a transaction of the caller's. What [`finish`](Self::finish) has not written down is forgotten.
pub(super) struct SqliteTables<'a> {
    db: &'a Connection,
    members: RefCell<&'a mut Members>,
    ahead: RefCell<Ahead>,
}

/// Members as they are as long as nothing but posts is written: those who write, write again.
#[derive(Default)]
pub(super) struct Members {
    known: HashMap<(RoomId, PersonId), Who>,
    /// Whether nothing is to be written there any more.
    archived: HashMap<RoomId, bool>,
    /// Of the database; it changes when another program commits.
    version: i64,
}

impl Members {
    /// Forgets them if another program has written something since the transaction before.
    pub(super) fn check(&mut self, transaction: &Connection) -> rusqlite::Result<()> {
        let version = transaction.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
        if self.version != version || self.known.len() >= MEMBERS_REMEMBERED {
            *self = Self { version, ..Self::default() };
        }
        Ok(())
    }

    /// What was found may have been written by what is taken back.
    pub(super) fn forget(&mut self) {
        self.known.clear();
        self.archived.clear();
    }
}

/// What a batch of posts would tell the database again for each of them.
#[derive(Default)]
struct Ahead {
    /// The last number of the room that numbers were taken in, to be written down before anything else looks. One is
    /// enough: a batch comes sorted by room.
    last: Option<(RoomId, u64)>,
    taken: u64,
}

impl<'a> SqliteTables<'a> {
    pub(super) fn new(db: &'a Connection, members: &'a mut Members) -> Self {
        Self { db, members: RefCell::new(members), ahead: RefCell::default() }
    }

    /// How much was written so far: when it has grown, there is something to be taken back.
    pub(super) fn written(&self) -> u64 {
        self.db.total_changes() + self.ahead.borrow().taken
    }

    /// Writes down what was only remembered.
    pub(super) fn finish(&self) -> rusqlite::Result<()> {
        let mut ahead = self.ahead.borrow_mut();
        let Some((room, last)) = ahead.last.take() else { return Ok(()) };
        // The row that is written now was counted when its number was taken: whoever comes next has not written it.
        ahead.taken -= 1;
        self.db
            .prepare_cached("UPDATE rooms SET last_number = ?2 WHERE id = ?1")?
            .execute(params![room, signed(last)])
            .map(drop)
    }

    /// Runs a statement, whose failure is one of the store.
    fn sql<T>(&self, statement: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> StoreResult<T> {
        self.finish().and_then(|()| statement(self.db)).map_err(store_error)
    }

    /// Runs a statement that answers nothing, and says how many rows it changed.
    fn execute(&self, sql: &str, params: impl rusqlite::Params) -> StoreResult<usize> {
        self.members.borrow_mut().forget();
        self.sql(|db| db.prepare_cached(sql)?.execute(params))
    }

    /// As [`sql`](Self::sql), of a statement that sees and changes nothing of what is remembered.
    fn aside<T>(&self, statement: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> StoreResult<T> {
        statement(self.db).map_err(store_error)
    }
}

impl Tables for SqliteTables<'_> {
    fn is_set_up(&self) -> StoreResult<bool> {
        self.sql(reads::is_set_up)
    }

    fn mark_set_up(&mut self, person: PersonId, now: Time) -> StoreResult<bool> {
        let sql = "INSERT INTO set_up (one, person, time) VALUES (1, ?1, ?2) ON CONFLICT DO NOTHING";
        Ok(self.execute(sql, params![person, now])? > 0)
    }

    fn person(&self, person: PersonId) -> StoreResult<Option<Person>> {
        self.sql(|db| reads::person_of(db, person))
    }

    fn insert_person(&mut self, person: &NewPerson, role: Role, now: Time) -> StoreResult<bool> {
        let sql = "INSERT INTO people (id, name, email, role, password, created, look)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (email) DO NOTHING";
        let NewPerson { id, name, email, hash } = person;
        Ok(self.execute(sql, params![id, name.as_str(), email.as_str(), role, hash.0, now, name.look()])? > 0)
    }

    fn password(&self, person: PersonId) -> StoreResult<Option<StoredHash>> {
        self.sql(|db| {
            db.prepare_cached("SELECT password FROM people WHERE id = ?1")?
                .query_row([person], |row| row.get(0).map(StoredHash))
                .optional()
        })
    }

    fn set_password(&mut self, person: PersonId, hash: &StoredHash) -> StoreResult<()> {
        self.execute("UPDATE people SET password = ?2 WHERE id = ?1", params![person, hash.0]).map(drop)
    }

    fn set_name(&mut self, person: PersonId, name: &Name) -> StoreResult<()> {
        let sql = "UPDATE people SET name = ?2, look = ?3 WHERE id = ?1";
        self.execute(sql, params![person, name.as_str(), name.look()]).map(drop)
    }

    fn set_email(&mut self, person: PersonId, email: &Email) -> StoreResult<bool> {
        let sql = "UPDATE people SET email = ?2 WHERE id = ?1
            AND NOT EXISTS (SELECT 1 FROM people o WHERE o.email = ?2 AND o.id <> ?1)";
        Ok(self.execute(sql, params![person, email.as_str()])? > 0)
    }

    fn profile(&self, person: PersonId) -> StoreResult<Option<Profile>> {
        self.sql(|db| reads::profile_of(db, person))
    }

    fn set_said(&mut self, person: PersonId, said: &Said, changed: Time) -> StoreResult<()> {
        let sql = "UPDATE people SET title = ?2, zone = ?3, status_emoji = ?4, status_text = ?5, status_ends = ?6,
            quiet = ?7, quiet_ends = ?8, changed = ?9 WHERE id = ?1";
        let Said { title, zone, status, quiet } = said;
        let (emoji, text, ends) = Status::columns(status.as_ref());
        let (quiet, quiet_ends) = (quiet.map(|_| changed), quiet.and_then(|quiet| quiet.ends));
        let params = params![person, title.as_str(), zone.as_str(), emoji, text, ends, quiet, quiet_ends, changed];
        self.execute(sql, params).map(drop)
    }

    fn people_looking(&self, look: &str, other_than: PersonId, limit: u32) -> StoreResult<Vec<PersonId>> {
        self.sql(|db| {
            db.prepare_cached("SELECT id FROM people WHERE look = ?1 AND id <> ?2 ORDER BY id LIMIT ?3")?
                .query_map(params![look, other_than, limit], |row| row.get(0))?
                .collect()
        })
    }

    fn rooms_of(&self, person: PersonId, limit: u32) -> StoreResult<Vec<RoomId>> {
        self.sql(|db| {
            db.prepare_cached("SELECT room FROM memberships WHERE person = ?1 ORDER BY joined DESC, room LIMIT ?2")?
                .query_map(params![person, limit], |row| row.get(0))?
                .collect()
        })
    }

    fn set_deactivated(&mut self, person: PersonId, since: Option<Time>) -> StoreResult<()> {
        self.execute("UPDATE people SET deactivated = ?2 WHERE id = ?1", params![person, since]).map(drop)
    }

    fn count_active_owners(&self) -> StoreResult<u32> {
        self.sql(|db| {
            db.prepare_cached("SELECT count(*) FROM people WHERE role = 'owner' AND deactivated IS NULL")?
                .query_row([], |row| row.get(0))
        })
    }

    fn set_role(&mut self, person: PersonId, role: Role) -> StoreResult<()> {
        self.execute("UPDATE people SET role = ?2 WHERE id = ?1", params![person, role]).map(drop)
    }

    fn share_a_room(&self, one: PersonId, other: PersonId) -> StoreResult<bool> {
        self.sql(|db| {
            db.prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM memberships a JOIN memberships b ON b.room = a.room
                WHERE a.person = ?1 AND b.person = ?2)",
            )?
            .query_row([one, other], |row| row.get(0))
        })
    }

    fn key(&self, name: &str) -> StoreResult<Option<[u8; 32]>> {
        self.sql(|db| {
            db.prepare_cached("SELECT key FROM keys WHERE name = ?1")?.query_row([name], |row| row.get(0)).optional()
        })
    }

    fn insert_key(&mut self, name: &str, key: &[u8; 32]) -> StoreResult<()> {
        self.execute("INSERT INTO keys (name, key) VALUES (?1, ?2)", params![name, key]).map(drop)
    }

    fn insert_session(&mut self, person: PersonId, session: &NewSession, now: Time) -> StoreResult<()> {
        let sql = "INSERT INTO sessions (id, person, token, user_agent, created, last_seen, address) VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6)";
        let NewSession { id, token, user_agent, address, .. } = session;
        let address = address.map(|address| address.to_string());
        self.execute(sql, params![id, person, token, user_agent, now, address]).map(drop)
    }

    fn session_owner(&self, session: SessionId) -> StoreResult<Option<PersonId>> {
        self.sql(|db| {
            db.prepare_cached("SELECT person FROM sessions WHERE id = ?1 AND ended IS NULL")?
                .query_row([session], |row| row.get(0))
                .optional()
        })
    }

    fn session_of_token(&self, token: SecretDigest) -> StoreResult<Option<SessionId>> {
        self.sql(|db| {
            db.prepare_cached("SELECT id FROM sessions WHERE token = ?1 AND ended IS NULL")?
                .query_row([token], |row| row.get(0))
                .optional()
        })
    }

    fn sessions_of(&self, person: PersonId) -> StoreResult<Vec<SessionId>> {
        self.sql(|db| {
            db.prepare_cached(
                "SELECT id FROM sessions WHERE person = ?1 AND ended IS NULL ORDER BY last_seen DESC, id DESC",
            )?
            .query_map([person], |row| row.get(0))?
            .collect()
        })
    }

    fn sessions_older_than(&self, last_seen: Time, created: Time) -> StoreResult<Vec<SessionId>> {
        self.sql(|db| {
            db.prepare_cached("SELECT id FROM sessions WHERE ended IS NULL AND (last_seen <= ?1 OR created <= ?2)")?
                .query_map([last_seen, created], |row| row.get(0))?
                .collect()
        })
    }

    fn touch_session(&mut self, session: SessionId, address: Option<IpAddr>, now: Time) -> StoreResult<()> {
        let sql = "UPDATE sessions SET last_seen = max(last_seen, ?2), address = coalesce(?3, address)
            WHERE id = ?1 AND ended IS NULL";
        self.execute(sql, params![session, now, address.map(|address| address.to_string())]).map(drop)
    }

    fn end_session(&mut self, session: SessionId, why: Ended, now: Time) -> StoreResult<()> {
        self.execute("UPDATE sessions SET ended = ?2, why = ?3 WHERE id = ?1", params![session, now, why.as_str()])
            .map(drop)
    }

    fn delete_sessions_ended_before(&mut self, time: Time) -> StoreResult<()> {
        self.execute("DELETE FROM sessions WHERE ended < ?1", [time]).map(drop)
    }

    fn insert_token(&mut self, person: PersonId, token: &PersonalToken, digest: SecretDigest) -> StoreResult<()> {
        let sql = "INSERT INTO personal_tokens (id, person, digest, name, scopes, created, expires)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let (scopes, PersonalToken { id, name, created, expires, .. }) = (token.scope_names(), token);
        self.execute(sql, params![id, person, digest, name.as_str(), scopes, created, expires]).map(drop)
    }

    fn count_tokens(&self, person: PersonId) -> StoreResult<u32> {
        self.sql(|db| {
            db.prepare_cached("SELECT count(*) FROM personal_tokens WHERE person = ?1")?
                .query_row([person], |row| row.get(0))
        })
    }

    fn touch_token(&mut self, token: PersonalTokenId, now: Time) -> StoreResult<()> {
        self.execute("UPDATE personal_tokens SET last_used = ?2 WHERE id = ?1", params![token, now]).map(drop)
    }

    fn delete_token(&mut self, person: PersonId, token: PersonalTokenId) -> StoreResult<bool> {
        let sql = "DELETE FROM personal_tokens WHERE id = ?1 AND person = ?2";
        Ok(self.execute(sql, params![token, person])? > 0)
    }

    fn delete_tokens_of(&mut self, person: PersonId) -> StoreResult<()> {
        self.execute("DELETE FROM personal_tokens WHERE person = ?1", [person]).map(drop)
    }

    fn delete_tokens_expired_by(&mut self, person: PersonId, time: Time) -> StoreResult<()> {
        let sql = "DELETE FROM personal_tokens WHERE person = ?1 AND expires <= ?2";
        self.execute(sql, params![person, time]).map(drop)
    }

    fn denial(&self, key: DenialKey) -> StoreResult<Option<Denied>> {
        self.sql(|db| reads::denial(db, key))
    }

    fn insert_denial(&mut self, denied: &Denied) -> StoreResult<()> {
        let sql = "INSERT INTO denials (key, kind, subject, channel, issued_before, created, ends)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let Denied { denial, created, ends } = denied;
        let (kind, subject, channel) = (denial.kind(), denial.subject(), denial.channel());
        self.execute(sql, params![denial.key(), kind, subject, channel, denial.issued_before(), created, ends])
            .map(drop)
    }

    fn replace_denial(&mut self, denied: &Denied) -> StoreResult<()> {
        let sql = "UPDATE denials SET issued_before = ?2, created = ?3, ends = ?4 WHERE key = ?1";
        let Denied { denial, created, ends } = denied;
        self.execute(sql, params![denial.key(), denial.issued_before(), created, ends]).map(drop)
    }

    fn delete_denial(&mut self, key: DenialKey) -> StoreResult<()> {
        self.execute("DELETE FROM denials WHERE key = ?1", [key]).map(drop)
    }

    fn delete_denials_ended_by(&mut self, time: Time) -> StoreResult<()> {
        self.execute("DELETE FROM denials WHERE ends <= ?1", [time]).map(drop)
    }

    fn count_rooms(&self) -> StoreResult<u32> {
        self.sql(|db| {
            db.prepare_cached("SELECT count(*) FROM rooms WHERE kind IN ('public', 'private')")?
                .query_row([], |row| row.get(0))
        })
    }

    fn count_rooms_of(&self, creator: PersonId) -> StoreResult<u32> {
        self.sql(|db| {
            db.prepare_cached("SELECT count(*) FROM rooms WHERE creator = ?1 AND kind <> 'direct'")?
                .query_row([creator], |row| row.get(0))
        })
    }

    fn count_directs_of(&self, creator: PersonId) -> StoreResult<u32> {
        self.sql(|db| {
            db.prepare_cached("SELECT count(*) FROM rooms WHERE creator = ?1 AND kind = 'direct'")?
                .query_row([creator], |row| row.get(0))
        })
    }

    fn has_room_named(&self, folded: &str, person: PersonId, other_than: RoomId) -> StoreResult<bool> {
        self.sql(|db| {
            db.prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM rooms r WHERE r.folded = ?1 AND r.id <> ?3 AND (r.kind = 'public'
                OR r.kind = 'private'
                    AND EXISTS (SELECT 1 FROM memberships m WHERE m.room = r.id AND m.person = ?2)))",
            )?
            .query_row(params![folded, person, other_than], |row| row.get(0))
        })
    }

    fn room(&self, room: RoomId, person: PersonId) -> StoreResult<Option<Room>> {
        self.sql(|db| reads::room_of(db, room, person))
    }

    fn is_archived(&self, room: RoomId) -> StoreResult<bool> {
        if let Some(archived) = self.members.borrow().archived.get(&room) {
            return Ok(*archived);
        }
        let archived = self.aside(|db| {
            db.prepare_cached("SELECT archived IS NOT NULL FROM rooms WHERE id = ?1")?
                .query_row([room], |row| row.get(0))
        })?;
        self.members.borrow_mut().archived.insert(room, archived);
        Ok(archived)
    }

    fn insert_room(&mut self, room: &NewRoom, creator: PersonId, now: Time) -> StoreResult<()> {
        let sql = "INSERT INTO rooms (id, name, topic, creator, epoch, last_number, created, folded, look, kind)
            VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7, ?8, ?9)";
        let NewRoom { id, name, topic, kind, epoch } = room;
        let (folded, look) = (name.folded(), name.look());
        self.execute(sql, params![id, name.as_str(), topic.as_str(), creator, epoch, now, folded, look, kind]).map(drop)
    }

    fn insert_direct(&mut self, room: &NewRoom, people: PeopleKey, creator: PersonId, now: Time) -> StoreResult<bool> {
        let sql =
            "INSERT INTO rooms (id, name, topic, creator, epoch, last_number, created, folded, look, kind, people)
            VALUES (?1, '', '', ?2, ?3, 0, ?4, '', '', ?5, ?6) ON CONFLICT DO NOTHING";
        let NewRoom { id, kind, epoch, .. } = room;
        Ok(self.execute(sql, params![id, creator, epoch, now, kind, people.0])? > 0)
    }

    fn direct_of(&self, people: PeopleKey) -> StoreResult<Option<RoomId>> {
        self.sql(|db| reads::direct_of(db, people))
    }

    fn set_room(&mut self, room: RoomId, facts: &RoomFacts) -> StoreResult<()> {
        let sql = "UPDATE rooms SET name = ?2, topic = ?3, description = ?4, kind = ?5, archived = ?6, folded = ?7,
            look = ?8 WHERE id = ?1";
        let RoomFacts { name, topic, description, kind, archived } = facts;
        let (folded, look) = (name.folded(), name.look());
        let (name, topic, description) = (name.as_str(), topic.as_str(), description.as_str());
        self.execute(sql, params![room, name, topic, description, kind, archived, folded, look]).map(drop)
    }

    fn member(&self, room: RoomId, person: PersonId) -> StoreResult<Option<Who>> {
        if let Some(who) = self.members.borrow().known.get(&(room, person)) {
            return Ok(Some(who.clone()));
        }
        let found = self.aside(|db| reads::member(db, room, person))?;
        if let Some(who) = &found {
            self.members.borrow_mut().known.insert((room, person), who.clone());
        }
        Ok(found)
    }

    fn room_role(&self, room: RoomId, person: PersonId) -> StoreResult<Option<RoomRole>> {
        self.sql(|db| {
            db.prepare_cached("SELECT role FROM memberships WHERE room = ?1 AND person = ?2")?
                .query_row(params![room, person], |row| row.get(0))
                .optional()
        })
    }

    fn owners(&self, room: RoomId) -> StoreResult<Vec<PersonId>> {
        self.sql(|db| {
            db.prepare_cached(
                "SELECT m.person FROM memberships m JOIN people p ON p.id = m.person
                WHERE m.room = ?1 AND m.role = 'owner' AND p.deactivated IS NULL AND p.role <> 'guest'",
            )?
            .query_map([room], |row| row.get(0))?
            .collect()
        })
    }

    fn oldest_member(&self, room: RoomId) -> StoreResult<Option<Who>> {
        self.sql(|db| {
            db.prepare_cached(&format!(
                "SELECT {WHO} FROM memberships m JOIN people p ON p.id = m.person
                WHERE m.room = ?1 AND p.deactivated IS NULL AND p.role <> 'guest' ORDER BY m.joined, p.id LIMIT 1"
            ))?
            .query_row([room], |row| who(row, 0))
            .optional()
        })
    }

    fn insert_member(
        &mut self,
        room: RoomId,
        person: PersonId,
        role: RoomRole,
        read: u64,
        now: Time,
    ) -> StoreResult<()> {
        let sql = "INSERT INTO memberships (room, person, joined, role, read_number) VALUES (?1, ?2, ?3, ?4, ?5)";
        self.execute(sql, params![room, person, now, role, signed(read)]).map(drop)
    }

    fn set_room_role(&mut self, room: RoomId, person: PersonId, role: RoomRole) -> StoreResult<()> {
        let sql = "UPDATE memberships SET role = ?3 WHERE room = ?1 AND person = ?2";
        self.execute(sql, params![room, person, role]).map(drop)
    }

    fn delete_member(&mut self, room: RoomId, person: PersonId) -> StoreResult<()> {
        self.execute("DELETE FROM memberships WHERE room = ?1 AND person = ?2", params![room, person]).map(drop)
    }

    fn read_position(&self, room: RoomId, person: PersonId) -> StoreResult<Option<(u64, u64)>> {
        self.sql(|db| {
            db.prepare_cached(
                "SELECT m.read_number, r.last_number FROM memberships m JOIN rooms r ON r.id = m.room
                WHERE m.room = ?1 AND m.person = ?2",
            )?
            .query_row(params![room, person], |row| Ok((number(row, 0)?, number(row, 1)?)))
            .optional()
        })
    }

    fn reading(&self, room: RoomId, person: PersonId, read: u64) -> StoreResult<Reading> {
        self.aside(|db| {
            db.prepare_cached(concat!("SELECT ", unread!("?1", "?2", "?3"), ", ", mentions!("?1", "?2", "?3")))?
                .query_row(params![room, person, signed(read)], |row| {
                    Ok(Reading { read, unread: row.get(0)?, mentions: row.get(1)? })
                })
        })
    }

    // Says nothing of who is a member.
    fn set_read_position(&mut self, room: RoomId, person: PersonId, read: u64) -> StoreResult<()> {
        let sql = "UPDATE memberships SET read_number = ?3 WHERE room = ?1 AND person = ?2";
        self.aside(|db| db.prepare_cached(sql)?.execute(params![room, person, signed(read)])).map(drop)
    }

    fn read_everything(&mut self, person: PersonId) -> StoreResult<Vec<(RoomId, u64)>> {
        self.sql(|db| {
            db.prepare_cached(
                "UPDATE memberships SET read_number = r.last_number FROM rooms r
                WHERE memberships.person = ?1 AND r.id = memberships.room AND r.last_number > memberships.read_number
                RETURNING memberships.room, memberships.read_number",
            )?
            .query_map([person], |row| Ok((row.get(0)?, number(row, 1)?)))?
            .collect()
        })
    }

    fn preferences(&self, room: RoomId, person: PersonId) -> StoreResult<Option<Preferences>> {
        self.sql(|db| {
            db.prepare_cached(
                "SELECT favourite IS NOT NULL, muted IS NOT NULL, section FROM memberships WHERE room = ?1 AND person = ?2",
            )?
            .query_row(params![room, person], |row| preferences(row, 0))
            .optional()
            .map(Option::flatten)
        })
    }

    // Says nothing of who is a member.
    fn set_preferences(
        &mut self,
        room: RoomId,
        person: PersonId,
        Preferences { favourite, muted, section }: &Preferences,
        now: Time,
    ) -> StoreResult<()> {
        let sql = "UPDATE memberships SET favourite = iif(?3, coalesce(favourite, ?6), NULL),
            muted = iif(?4, coalesce(muted, ?6), NULL), section = ?5 WHERE room = ?1 AND person = ?2";
        let values = params![room, person, favourite, muted, section.as_str(), now];
        self.aside(|db| db.prepare_cached(sql)?.execute(values)).map(drop)
    }

    fn invite(&self, code: SecretDigest) -> StoreResult<Option<StoredInvite>> {
        self.sql(|db| reads::invite(db, code))
    }

    fn invite_of(&self, room: RoomId) -> StoreResult<Option<StoredInvite>> {
        self.sql(|db| reads::invite_of(db, room))
    }

    fn replace_invite(&mut self, inviter: PersonId, invite: &Invite) -> StoreResult<()> {
        self.execute("DELETE FROM invites WHERE room = ?1", [invite.room])?;
        let sql = "INSERT INTO invites (digest, code, room, inviter, created, expires, uses_max, uses)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let Invite { code, room, created, expires, uses_max, uses } = invite;
        self.execute(sql, params![code.digest(), code.reveal(), room, inviter, created, expires, uses_max, uses])
            .map(drop)
    }

    fn expire_invites_of(&mut self, inviter: PersonId, now: Time) -> StoreResult<()> {
        let sql = "UPDATE invites SET expires = min(expires, ?2) WHERE inviter = ?1";
        self.execute(sql, params![inviter, now]).map(drop)
    }

    fn use_invite(&mut self, code: SecretDigest) -> StoreResult<()> {
        self.execute("UPDATE invites SET uses = uses + 1 WHERE digest = ?1", [code]).map(drop)
    }

    fn revoke_invite(&mut self, room: RoomId, now: Time) -> StoreResult<()> {
        let sql = "UPDATE invites SET revoked = ?2 WHERE room = ?1 AND revoked IS NULL";
        self.execute(sql, params![room, now]).map(drop)
    }

    fn earlier_send(&self, author: PersonId, client_id: ClientId) -> StoreResult<Option<EarlierSend>> {
        self.aside(|db| {
            db.prepare_cached(
                "SELECT id, number, time, digest, digest_key FROM messages WHERE author = ?1 AND client_id = ?2",
            )?
            .query_row(params![author, client_id], |row| {
                let (id, number, time) = (row.get(0)?, number(row, 1)?, row.get(2)?);
                Ok(EarlierSend { id, number, time, digest: stored_digest(row, 3)? })
            })
            .optional()
        })
    }

    fn next_number(&mut self, room: RoomId) -> StoreResult<u64> {
        let remembered = self.ahead.borrow().last.filter(|(of, _)| *of == room);
        let last = match remembered {
            Some((_, last)) => last,
            None => self.sql(|db| {
                db.prepare_cached("SELECT last_number FROM rooms WHERE id = ?1")?
                    .query_row([room], |row| number(row, 0))
            })?,
        };
        let mut ahead = self.ahead.borrow_mut();
        ahead.last = Some((room, last + 1));
        ahead.taken += 1;
        Ok(last + 1)
    }

    fn insert_message(&mut self, message: &NewMessage, number: u64, now: Time) -> StoreResult<()> {
        let sql = "INSERT INTO messages (id, room, number, author, client_id, digest, digest_key, body, time, reply_to,
            thread, in_room) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
        let NewMessage { id, room, author, client_id, body, reply_to, thread, digest, .. } = message;
        let (thread, in_room) = (thread.map(|it| it.root), thread.is_none_or(|it| it.also_in_room));
        let StoredDigest { bytes, key } = digest.stored;
        let params =
            params![id, room, signed(number), author, client_id, bytes, key, body, now, reply_to, thread, in_room];
        self.aside(|db| db.prepare_cached(sql)?.execute(params)).map(drop)
    }

    fn message(&self, room: RoomId, message: MessageId) -> StoreResult<Option<StoredMessage>> {
        self.sql(|db| reads::stored_message(db, room, message))
    }

    fn insert_edit(&mut self, message: MessageId, number: u64, since: Time, body: &str) -> StoreResult<()> {
        let sql = "INSERT INTO edits (message, number, time, body) VALUES (?1, ?2, ?3, ?4)";
        self.execute(sql, params![message, signed(number), since, body]).map(drop)
    }

    fn set_body(&mut self, message: MessageId, body: &str, now: Time) -> StoreResult<()> {
        self.execute("UPDATE messages SET body = ?2, edited = ?3 WHERE id = ?1", params![message, body, now]).map(drop)
    }

    fn set_deleted(&mut self, message: MessageId, by: Option<(PersonId, Option<&str>)>, now: Time) -> StoreResult<()> {
        let sql = "UPDATE messages SET deleted = ?2, deleted_by = ?3, delete_reason = ?4 WHERE id = ?1";
        let (person, reason) = by.unzip();
        self.execute(sql, params![message, person.map(|_| now), person, reason.flatten()]).map(drop)
    }

    fn erase_deleted_by(&mut self, time: Time, limit: u32) -> StoreResult<usize> {
        let old = "SELECT id FROM messages WHERE deleted <= ?1 AND body <> '' ORDER BY deleted LIMIT ?2";
        self.execute(&format!("DELETE FROM edits WHERE message IN ({old})"), params![time, limit])?;
        self.execute(&format!("DELETE FROM reactions WHERE message IN ({old})"), params![time, limit])?;
        self.execute(&format!("DELETE FROM notices WHERE message IN ({old})"), params![time, limit])?;
        self.execute(&format!("UPDATE messages SET body = '' WHERE id IN ({old})"), params![time, limit])
    }

    fn reactions(&self, message: MessageId, person: PersonId, emoji: &Emoji) -> StoreResult<Reactions> {
        self.sql(|db| reads::reactions(db, message, person, emoji))
    }

    fn insert_reaction(&mut self, message: MessageId, person: PersonId, emoji: &Emoji, number: u64) -> StoreResult<()> {
        let sql = "INSERT INTO reactions (message, emoji, person, number) VALUES (?1, ?2, ?3, ?4)";
        self.execute(sql, params![message, emoji.as_str(), person, signed(number)]).map(drop)
    }

    fn delete_reaction(&mut self, message: MessageId, person: PersonId, emoji: &Emoji) -> StoreResult<()> {
        let sql = "DELETE FROM reactions WHERE message = ?1 AND emoji = ?2 AND person = ?3";
        self.execute(sql, params![message, emoji.as_str(), person]).map(drop)
    }

    fn insert_notices(&mut self, notices: &[Notice]) -> StoreResult<()> {
        let sql = "INSERT INTO notices (room, event, place, person, kind, message, number, actor, emoji, time)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        notices.iter().try_for_each(|notice| {
            let Notice { room, event, place, person, kind, message, number, actor, emoji, time } = notice;
            let (event, number) = (signed(*event), signed(*number));
            let params = params![room, event, place, person, kind, message, number, actor, emoji, time];
            self.aside(|db| db.prepare_cached(sql)?.execute(params)).map(drop)
        })
    }

    fn mentions_of(&self, message: MessageId) -> StoreResult<Vec<Notice>> {
        self.sql(|db| reads::mentions_of(db, message))
    }

    fn set_notice_kind(&mut self, notice: &Notice, kind: NoticeKind) -> StoreResult<()> {
        let sql = "UPDATE notices SET kind = ?4 WHERE room = ?1 AND event = ?2 AND place = ?3";
        self.execute(sql, params![notice.room, signed(notice.event), notice.place, kind]).map(drop)
    }

    fn names_of(&self, message: MessageId) -> StoreResult<Vec<Who>> {
        self.sql(|db| reads::names_of(db, message))
    }

    fn delete_notice_of_reaction(&mut self, message: MessageId, actor: PersonId, emoji: &Emoji) -> StoreResult<()> {
        let sql = "DELETE FROM notices WHERE message = ?1 AND actor = ?2 AND emoji = ?3 AND kind = 'reaction'";
        self.execute(sql, params![message, actor, emoji.as_str()]).map(drop)
    }

    fn thread_root(&self, room: RoomId, root: MessageId, person: PersonId) -> StoreResult<Option<Root>> {
        self.aside(|db| reads::thread_root(db, room, root, person))
    }

    // Says nothing of who is a member.
    fn follow_thread(&mut self, root: MessageId, person: PersonId, read: u64) -> StoreResult<()> {
        let sql = "INSERT INTO thread_followers (root, person, read_number, following) VALUES (?1, ?2, ?3, 1)
            ON CONFLICT DO NOTHING";
        self.aside(|db| db.prepare_cached(sql)?.execute(params![root, person, signed(read)])).map(drop)
    }

    fn thread_standing(&self, room: RoomId, root: MessageId, person: PersonId) -> StoreResult<Option<ThreadStanding>> {
        self.sql(|db| reads::thread_standing(db, room, root, person))
    }

    fn thread_unread(&self, root: MessageId, person: PersonId, read: u64) -> StoreResult<u32> {
        self.aside(|db| reads::thread_unread(db, root, person, read))
    }

    fn set_thread_position(&mut self, root: MessageId, person: PersonId, read: u64, follows: bool) -> StoreResult<()> {
        let sql = "INSERT INTO thread_followers (root, person, read_number, following) VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT DO UPDATE SET read_number = excluded.read_number, following = excluded.following";
        self.aside(|db| db.prepare_cached(sql)?.execute(params![root, person, signed(read), follows])).map(drop)
    }

    fn read_every_thread(&mut self, person: PersonId) -> StoreResult<usize> {
        let sql = "UPDATE thread_followers SET read_number = o.last_number
            FROM messages r JOIN rooms o ON o.id = r.room JOIN memberships own ON own.room = r.room
            WHERE thread_followers.person = ?1 AND thread_followers.following AND r.id = thread_followers.root
                AND own.person = ?1 AND EXISTS (SELECT 1 FROM messages n WHERE n.thread = r.id
                    AND n.number > thread_followers.read_number AND n.deleted IS NULL AND n.author <> ?1)";
        self.sql(|db| db.prepare_cached(sql)?.execute([person]))
    }

    fn plain_digests(&self, limit: u32) -> StoreResult<Vec<(MessageId, [u8; 32])>> {
        self.sql(|db| {
            db.prepare_cached("SELECT id, digest FROM messages WHERE digest_key IS NULL LIMIT ?1")?
                .query_map([limit], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        })
    }

    fn set_digests(&mut self, digests: &[(MessageId, [u8; 32])], key: KeyId) -> StoreResult<()> {
        let sql = "UPDATE messages SET digest = ?2, digest_key = ?3 WHERE id = ?1 AND digest_key IS NULL";
        digests.iter().try_for_each(|(message, digest)| self.execute(sql, params![message, digest, key]).map(drop))
    }

    fn insert_event(&mut self, event: &Event, actor: PersonId, subject: PersonId) -> StoreResult<()> {
        let sql = "INSERT INTO room_events (room, number, kind, message, actor, subject, time, emoji)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let Event { room, number, time, kind } = event;
        let emoji = kind.reaction().map(|reaction| &reaction.emoji);
        let params = params![room, signed(*number), kind.name(), kind.concerns(), actor, subject, time, emoji];
        self.aside(|db| db.prepare_cached(sql)?.execute(params)).map(drop)
    }
}
