//! The tables as the changes read and write them, inside the transaction of a batch, over a network.
//!
//! A change is plain code that asks and writes and never waits. So what it asks is written down instead: it is *suspended*
//! with an error of our own, the question is put to the server, and the change is applied again from its beginning, with
//! the answers that it had before and in the same order, until it has all it asks for. That is right because a change
//! reads nothing but these tables and the time and has no effect but through these tables ([`Change::apply`]), and every
//! answer is that of the server at its place in the order: whatever was written before it has been sent before it.
//!
//! What a batch of posts asks is read before the first of them is applied, all at once ([`Foreseen`]), and what they write
//! goes out at the end, all at once: two exchanges with the server, however many they are.
//!
//! [`Change::apply`]: crate::store::Change::apply

use std::{
    any::Any,
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    mem,
    net::IpAddr,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
};

use futures_util::future::BoxFuture;
use tokio_postgres::{Error, Row, types::ToSql};

use super::{
    connection::{Db, Params, Statement, Values},
    posts::Posts,
    reads,
    values::{Digest, number, preferences, small, stored_digest, who},
};
use crate::{
    model::{
        ClientId, DenialKey, Denied, EarlierSend, Email, Emoji, Ended, Event, Invite, KeyId, MessageId, Name,
        NewMessage, NewPerson, NewRoom, NewSession, Notice, NoticeKind, PeopleKey, Person, PersonId, PersonalToken,
        PersonalTokenId, Preferences, Profile, Reactions, Reading, Role, Room, RoomFacts, RoomId, RoomRole, Root, Said,
        SecretDigest, SessionId, Status, StoredHash, StoredInvite, StoredMessage, ThreadStanding, Time, Who,
    },
    store::{
        NOT_READ, StoreError, StoreResult, Tables,
        bounds::signed,
        columns::{WHO, mentions, thread_root as root_of, unread},
        follow::Revocation,
    },
};

/// What makes all changes of who owns the server wait for each other.
const OWNERS_LOCK: i64 = 0x5464_6e67_0000_0004;
/// What makes all changes of names and numbers of rooms wait for each other: whoever looks at all rooms before making one.
const ROOMS_LOCK: i64 = 0x5464_6e67_0000_0003;

/// What is known of the database inside a transaction, and what is to be written.
#[derive(Default)]
pub(super) struct Work {
    /// The last numbers of the rooms whose rows the transaction has locked.
    heads: HashMap<RoomId, u64>,
    /// Rooms whose number has moved.
    moved: BTreeMap<RoomId, u64>,
    sends: HashMap<(PersonId, ClientId), Option<EarlierSend>>,
    /// As they are as long as nothing but posts is written.
    members: HashMap<(RoomId, PersonId), Option<Who>>,
    /// Whether nothing is to be written there any more; likewise.
    archived: HashMap<RoomId, bool>,
    /// As the one who answers meets the messages under which the answers are to stand; likewise.
    roots: HashMap<(MessageId, PersonId), Option<Root>>,
    posts: Posts,
    /// What is to be sent before anything else is asked.
    writes: Vec<Write>,
    /// How much was written, sent or not.
    written: u64,
    revoked: Vec<Revocation>,
    /// What the change that is being applied was answered so far.
    answers: Vec<Answer>,
}

/// What is foreseeable of a batch: what its posts will ask.
#[derive(Default)]
pub(super) struct Foreseen {
    pub(super) rooms: Vec<RoomId>,
    pub(super) authors: Vec<PersonId>,
    pub(super) client_ids: Vec<ClientId>,
    /// Who is looked for among the members of rooms: the authors and those whom they mention. The rooms, beside the people.
    pub(super) looked_in: Vec<RoomId>,
    pub(super) looked_for: Vec<PersonId>,
    /// The rooms, messages and authors of those that are answers in a thread.
    pub(super) threads: Threads,
}

/// See [`Foreseen`].
#[derive(Default)]
pub(super) struct Threads {
    pub(super) rooms: Vec<RoomId>,
    pub(super) roots: Vec<MessageId>,
    pub(super) authors: Vec<PersonId>,
}

type Answer = Box<dyn Any + Send>;
type Asked = Box<dyn for<'a> FnOnce(&'a Db) -> BoxFuture<'a, Result<Answer, Error>> + Send>;

/// A statement that is to be sent.
pub(super) struct Write {
    pub(super) sql: &'static str,
    pub(super) params: Vec<Box<dyn ToSql + Sync + Send>>,
}

const LOCK_ROOMS: &str =
    "SELECT id, last_number, archived IS NOT NULL FROM rooms WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE";
const EARLIER_SENDS: &str = "SELECT m.author, m.client_id, m.id, m.number, m.time, m.digest, m.digest_key
    FROM unnest($1::uuid[], $2::uuid[]) AS asked(author, client_id)
    JOIN messages m ON m.author = asked.author AND m.client_id = asked.client_id";
const MEMBERS: &str = "SELECT m.room, p.id, p.name,
        EXISTS (SELECT 1 FROM people q WHERE q.look = p.look AND q.id <> p.id)
    FROM (SELECT DISTINCT room, person FROM unnest($1::uuid[], $2::uuid[]) AS all_asked(room, person)) asked
    JOIN memberships m ON m.room = asked.room AND m.person = asked.person JOIN people p ON p.id = m.person";
const MOVE_ROOMS: &str = "UPDATE rooms SET last_number = moved.number
    FROM unnest($1::uuid[], $2::bigint[]) AS moved(id, number) WHERE rooms.id = moved.id";
/// One commit more of a run's lane.
pub(super) const COUNT: &str = "INSERT INTO commits (writer, lane, commits) VALUES ($1, $2, 1)
    ON CONFLICT (writer, lane) DO UPDATE SET commits = commits.commits + 1";
/// All that one transaction takes away has one number, and numbers have no gaps: the row stays locked until the end.
const REVOKE: &str = "WITH head AS (UPDATE revoked SET last = last + 1 RETURNING last)
    INSERT INTO revocations (number, time, session, room, person, denial)
    SELECT head.last, $1, these.session, these.room, these.person, these.denial
    FROM head, unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::bytea[]) AS these(session, room, person, denial)";

/// The values of a statement, to be kept until it is sent.
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$(Box::new($value) as Box<dyn tokio_postgres::types::ToSql + Sync + Send>),*] };
}
pub(super) use values;

impl Work {
    /// Begins the transaction: locks the rooms in one order, and then reads what the posts will ask; what is read after a
    /// lock is taken is what whoever had it before has left.
    pub(super) async fn begin(db: &Db, foreseen: &Foreseen) -> Result<Self, Error> {
        let Foreseen { rooms, authors, client_ids, looked_in, looked_for, threads } = foreseen;
        let mut statements: Vec<Statement<'_>> = vec![("BEGIN", &[])];
        let locks: Params<'_> = &[rooms];
        let sends: Params<'_> = &[authors, client_ids];
        let members: Params<'_> = &[looked_in, looked_for];
        if !rooms.is_empty() {
            statements.push((LOCK_ROOMS, locks));
        }
        if !authors.is_empty() {
            statements.push((EARLIER_SENDS, sends));
            statements.push((MEMBERS, members));
        }
        let roots = format!(
            "SELECT asked.root, asked.author, it.* FROM unnest($1::uuid[], $2::uuid[], $3::uuid[])
                AS asked(room, root, author) JOIN LATERAL ({}) it ON true",
            root_of("asked.room", "asked.root", "asked.author")
        );
        let threads_of: Params<'_> = &[&threads.rooms, &threads.roots, &threads.authors];
        if !threads.roots.is_empty() {
            statements.push((&roots, threads_of));
        }
        let mut answers = db.together(&statements).await?.into_iter().skip(1);
        let mut work = Self::default();
        if !rooms.is_empty() {
            for row in answers.next().unwrap_or_default() {
                work.heads.insert(row.try_get(0)?, number(&row, 1)?);
                work.archived.insert(row.try_get(0)?, row.try_get(2)?);
            }
        }
        if !authors.is_empty() {
            work.sends = authors.iter().copied().zip(client_ids.iter().copied()).map(|key| (key, None)).collect();
            for row in answers.next().unwrap_or_default() {
                work.sends.insert((row.try_get(0)?, row.try_get(1)?), Some(earlier_send(&row, 2)?));
            }
            work.members = looked_in.iter().copied().zip(looked_for.iter().copied()).map(|key| (key, None)).collect();
            for row in answers.next().unwrap_or_default() {
                let who = Who { id: row.try_get(1)?, name: row.try_get(2)?, same_name: row.try_get(3)? };
                work.members.insert((row.try_get(0)?, who.id), Some(who));
            }
        }
        if !threads.roots.is_empty() {
            let asked = threads.roots.iter().copied().zip(threads.authors.iter().copied());
            work.roots = asked.map(|key| (key, None)).collect();
            for row in answers.next().unwrap_or_default() {
                work.roots.insert((row.try_get(0)?, row.try_get(1)?), Some(reads::root(&row, 2)?));
            }
        }
        Ok(work)
    }

    /// How much was written so far: when it has grown, there is something to be taken back.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// The next change has no answers yet.
    pub(super) fn next_change(&mut self) {
        self.answers.clear();
    }

    /// Puts the question that suspended the change, behind whatever was written before it, and keeps the answer.
    pub(super) async fn answer(&mut self, db: &Db, asked: Question) -> Result<(), Error> {
        self.send(db, &[]).await?;
        let answer = (asked.0)(db).await?;
        self.answers.push(answer);
        Ok(())
    }

    /// Sends what is to be written, and these statements behind it, whose answers it gives.
    async fn send(&mut self, db: &Db, behind: &[Statement<'_>]) -> Result<Vec<Result<Vec<Row>, Error>>, Error> {
        self.write_posts();
        let writes = mem::take(&mut self.writes);
        let params: Vec<Vec<Values<'_>>> =
            writes.iter().map(|write| write.params.iter().map(|param| &**param as Values<'_>).collect()).collect();
        let mut statements: Vec<Statement<'_>> =
            writes.iter().zip(&params).map(|(write, params)| (write.sql, &params[..])).collect();
        let first = statements.len();
        statements.extend_from_slice(behind);
        if statements.is_empty() {
            return Ok(Vec::new());
        }
        let mut answers = db.each(&statements).await?;
        let behind = answers.split_off(first);
        answers.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(behind)
    }

    /// Writes all that is left, and commits. `None` when nothing was written; else the last number of what was taken away,
    /// by whomever, that can be seen now, or [`NOT_READ`]: whoever lost something up to it is to be cut off before anything of
    /// this batch is told.
    pub(super) async fn commit(mut self, db: &Db, run: &Run, now: Time) -> Result<Option<u64>, Error> {
        if self.written == 0 {
            db.together(&[("ROLLBACK", &[])]).await?;
            return Ok(None);
        }
        if !self.revoked.is_empty() {
            let revoked = mem::take(&mut self.revoked);
            let sessions: Vec<Option<SessionId>> = revoked.iter().map(Revocation::session).collect();
            let (rooms, people): (Vec<_>, Vec<_>) = revoked.iter().map(Revocation::membership).unzip();
            let denials: Vec<Option<Vec<u8>>> =
                revoked.iter().map(|revocation| revocation.denial().map(Vec::from)).collect();
            self.push(REVOKE, values![now, sessions, rooms, people, denials]);
        }
        let behind: [Statement<'_>; 3] = [
            (COUNT, &[&run.writer, &run.lane]),
            ("COMMIT", &[]),
            // After the commit: what is not seen now was committed after it.
            ("SELECT last FROM revoked", &[]),
        ];
        run.is_committing.store(true, SeqCst);
        let answers = self.send(db, &behind).await;
        run.is_committing.store(false, SeqCst);
        let mut answers = answers?;
        let revoked = answers.pop();
        answers.into_iter().collect::<Result<Vec<_>, _>>()?;
        // What is committed is so whatever became of the question behind it.
        let revoked = revoked.and_then(Result::ok).and_then(|rows| number(rows.first()?, 0).ok());
        Ok(Some(revoked.unwrap_or(NOT_READ)))
    }

    /// Puts the rows of messages and events, and the numbers that were taken, among the statements.
    fn write_posts(&mut self) {
        self.writes.extend(mem::take(&mut self.posts).into_writes());
        if !self.moved.is_empty() {
            let (rooms, numbers): (Vec<_>, Vec<_>) =
                mem::take(&mut self.moved).into_iter().map(|(room, number)| (room, signed(number))).unzip();
            self.push_quietly(MOVE_ROOMS, vec![Box::new(rooms), Box::new(numbers)]);
        }
    }

    /// The other nodes hear of it as of what is taken away.
    fn denied(&mut self, key: DenialKey) {
        self.revoked.push(Revocation::Denial { key, denied: None });
    }

    fn push_quietly(&mut self, sql: &'static str, params: Vec<Box<dyn ToSql + Sync + Send>>) {
        self.writes.push(Write { sql, params });
    }

    fn push(&mut self, sql: &'static str, params: Vec<Box<dyn ToSql + Sync + Send>>) {
        self.write_posts();
        // What it changes may be what is remembered.
        self.members.clear();
        self.archived.clear();
        self.roots.clear();
        self.written += 1;
        self.push_quietly(sql, params);
    }
}

fn earlier_send(row: &Row, first: usize) -> Result<EarlierSend, Error> {
    let digest = stored_digest(row, first + 3)?;
    Ok(EarlierSend { id: row.try_get(first)?, number: number(row, first + 1)?, time: row.try_get(first + 2)?, digest })
}

/// Who commits: a program's run, and which of its lanes.
pub(super) struct Run {
    writer: String,
    lane: i64,
    /// Whether the last transaction has been sent as a whole.
    is_committing: AtomicBool,
}

impl Run {
    pub(super) fn new(writer: String, lane: i64) -> Self {
        Self { writer, lane, is_committing: AtomicBool::new(false) }
    }

    /// Whether a commit is on its way, and may be done whatever is heard of it.
    pub(super) fn is_committing(&self) -> bool {
        self.is_committing.load(SeqCst)
    }
}

/// What a change was suspended for.
pub(super) struct Question(Asked);

/// One application of a change.
pub(super) struct PostgresTables<'a> {
    state: RefCell<State<'a>>,
}

struct State<'a> {
    work: &'a mut Work,
    /// How many answers it was given.
    given: usize,
    question: Option<Question>,
}

impl<'a> PostgresTables<'a> {
    pub(super) fn new(work: &'a mut Work) -> Self {
        Self { state: RefCell::new(State { work, given: 0, question: None }) }
    }

    /// What it was suspended for; then whatever became of it does not count.
    pub(super) fn into_question(self) -> Option<Question> {
        self.state.into_inner().question
    }

    /// The answer of the server: the one that was given before, or else the change is suspended.
    fn ask<T, F>(&self, ask: F) -> StoreResult<T>
    where
        T: Clone + Send + 'static,
        F: for<'c> FnOnce(&'c Db) -> BoxFuture<'c, Result<T, Error>> + Send + 'static,
    {
        let mut state = self.state.borrow_mut();
        if let Some(answer) = state.next::<T>()? {
            return Ok(answer);
        }
        let asked: Asked = Box::new(move |db| Box::pin(async move { Ok(Box::new(ask(db).await?) as Answer) }));
        state.question = Some(Question(asked));
        Err(suspended())
    }

    /// What is known without the server, or was when it was answered first.
    fn know<T: Clone + Send + 'static>(&self, know: impl FnOnce(&mut Work) -> T) -> StoreResult<T> {
        let mut state = self.state.borrow_mut();
        if let Some(answer) = state.next::<T>()? {
            return Ok(answer);
        }
        let answer = know(state.work);
        state.work.answers.push(Box::new(answer.clone()));
        state.given += 1;
        Ok(answer)
    }

    /// Writes, once however often the change is applied.
    fn write(&self, sql: &'static str, params: Vec<Box<dyn ToSql + Sync + Send>>) -> StoreResult<()> {
        self.know(|work| work.push(sql, params))
    }

    fn count_of(&self, person: PersonId, sql: &'static str) -> StoreResult<u32> {
        self.ask(move |db| {
            Box::pin(async move { Ok(u32::try_from(number(&db.one(sql, &[&person]).await?, 0)?).unwrap_or(u32::MAX)) })
        })
    }

    /// As [`write`](Self::write), and answers how many rows it changed.
    fn write_and_count(&self, sql: &'static str, params: Vec<Box<dyn ToSql + Sync + Send>>) -> StoreResult<usize> {
        self.write_what_counts(format!("WITH changed AS ({sql} RETURNING 1) SELECT count(*) FROM changed"), params)
    }

    /// As [`write`](Self::write), by a statement that answers itself how many rows it changed.
    fn write_what_counts(&self, statement: String, params: Vec<Box<dyn ToSql + Sync + Send>>) -> StoreResult<usize> {
        let count = self.ask(move |db| {
            Box::pin(async move {
                let params: Vec<Values<'_>> = params.iter().map(|param| &**param as Values<'_>).collect();
                let count = number(&db.one(&statement, &params).await?, 0)?;
                Ok(usize::try_from(count).unwrap_or(usize::MAX))
            })
        })?;
        self.know(|work| {
            if count > 0 {
                work.members.clear();
                work.archived.clear();
                work.roots.clear();
                work.written += 1;
            }
        })?;
        Ok(count)
    }
}

impl State<'_> {
    /// The next answer, if it was given before. Whoever goes on although they were suspended is suspended again.
    fn next<T: Clone + 'static>(&mut self) -> StoreResult<Option<T>> {
        if self.question.is_some() {
            return Err(suspended());
        }
        let Some(answer) = self.work.answers.get(self.given) else { return Ok(None) };
        self.given += 1;
        let answer = answer.downcast_ref::<T>().cloned();
        answer.map(Some).ok_or_else(|| StoreError::Failed("a change asked for something else the second time".into()))
    }
}

fn suspended() -> StoreError {
    StoreError::Failed("suspended".into())
}

impl Tables for PostgresTables<'_> {
    fn is_set_up(&self) -> StoreResult<bool> {
        self.ask(|db| Box::pin(reads::is_set_up(db)))
    }

    fn mark_set_up(&mut self, person: PersonId, now: Time) -> StoreResult<bool> {
        let sql = "INSERT INTO set_up (person, time) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        Ok(self.write_and_count(sql, values![person, now])? > 0)
    }

    /// Their row stays as it is until the end: who was deactivated meanwhile, or has another password, is seen so.
    fn person(&self, person: PersonId) -> StoreResult<Option<Person>> {
        self.ask(move |db| {
            Box::pin(async move {
                db.rows("SELECT 1 FROM people WHERE id = $1 FOR SHARE", &[&person]).await?;
                reads::person_of(db, person).await
            })
        })
    }

    fn person_to_change(&self, person: PersonId) -> StoreResult<Option<Person>> {
        self.ask(move |db| {
            Box::pin(async move {
                db.rows("SELECT 1 FROM people WHERE id = $1 FOR NO KEY UPDATE", &[&person]).await?;
                reads::person_of(db, person).await
            })
        })
    }

    fn insert_person(&mut self, person: &NewPerson, role: Role, now: Time) -> StoreResult<bool> {
        let sql = "INSERT INTO people (id, name, email, role, password, created, look)
            VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (email) DO NOTHING";
        let NewPerson { id, name, email, hash } = person;
        let (text, look) = (name.as_str().to_owned(), name.look());
        let params = values![*id, text, email.as_str().to_owned(), role, hash.0.clone(), now, look];
        Ok(self.write_and_count(sql, params)? > 0)
    }

    fn password(&self, person: PersonId) -> StoreResult<Option<StoredHash>> {
        self.ask(move |db| {
            Box::pin(async move {
                let sql = "SELECT password FROM people WHERE id = $1 FOR NO KEY UPDATE";
                db.row(sql, &[&person]).await?.map(|row| row.try_get(0).map(StoredHash)).transpose()
            })
        })
    }

    fn set_password(&mut self, person: PersonId, hash: &StoredHash) -> StoreResult<()> {
        self.write("UPDATE people SET password = $2 WHERE id = $1", values![person, hash.0.clone()])
    }

    fn set_name(&mut self, person: PersonId, name: &Name) -> StoreResult<()> {
        let sql = "UPDATE people SET name = $2, look = $3 WHERE id = $1";
        self.write(sql, values![person, name.as_str().to_owned(), name.look()])
    }

    /// Two who want the same at once meet in the index, and one of them begins again.
    fn set_email(&mut self, person: PersonId, email: &Email) -> StoreResult<bool> {
        let sql = "UPDATE people SET email = $2 WHERE id = $1
            AND NOT EXISTS (SELECT 1 FROM people o WHERE o.email = $2 AND o.id <> $1)";
        Ok(self.write_and_count(sql, values![person, email.as_str().to_owned()])? > 0)
    }

    fn profile(&self, person: PersonId) -> StoreResult<Option<Profile>> {
        self.ask(move |db| Box::pin(reads::profile_of(db, person)))
    }

    fn set_said(&mut self, person: PersonId, said: &Said, changed: Time) -> StoreResult<()> {
        let sql = "UPDATE people SET title = $2, zone = $3, status_emoji = $4, status_text = $5, status_ends = $6,
            quiet = $7, quiet_ends = $8, changed = $9 WHERE id = $1";
        let Said { title, zone, status, quiet } = said;
        let (emoji, text, ends) = Status::columns(status.as_ref());
        let (title, zone) = (title.as_str().to_owned(), zone.as_str().to_owned());
        let (quiet, quiet_ends) = (quiet.map(|_| changed), quiet.and_then(|quiet| quiet.ends));
        self.write(sql, values![person, title, zone, emoji, text, ends, quiet, quiet_ends, changed])
    }

    fn people_looking(&self, look: &str, other_than: PersonId, limit: u32) -> StoreResult<Vec<PersonId>> {
        let look = look.to_owned();
        self.ask(move |db| {
            Box::pin(async move {
                let sql = "SELECT id FROM people WHERE look = $1 AND id <> $2 ORDER BY id LIMIT $3";
                let rows = db.rows(sql, &[&look, &other_than, &i64::from(limit)]).await?;
                rows.iter().map(|row| row.try_get(0)).collect()
            })
        })
    }

    fn rooms_of(&self, person: PersonId, limit: u32) -> StoreResult<Vec<RoomId>> {
        self.ask(move |db| {
            Box::pin(async move {
                let sql = "SELECT room FROM memberships WHERE person = $1 ORDER BY joined DESC, room LIMIT $2";
                let rows = db.rows(sql, &[&person, &i64::from(limit)]).await?;
                rows.iter().map(|row| row.try_get(0)).collect()
            })
        })
    }

    fn set_deactivated(&mut self, person: PersonId, since: Option<Time>) -> StoreResult<()> {
        self.write("UPDATE people SET deactivated = $2 WHERE id = $1", values![person, since])
    }

    /// From here on nobody else changes who they are until the end.
    fn count_active_owners(&self) -> StoreResult<u32> {
        self.ask(|db| {
            Box::pin(async move {
                db.rows("SELECT pg_advisory_xact_lock($1)", &[&OWNERS_LOCK]).await?;
                let sql = "SELECT count(*) FROM people WHERE role = 'owner' AND deactivated IS NULL";
                Ok(u32::try_from(number(&db.one(sql, &[]).await?, 0)?).unwrap_or(u32::MAX))
            })
        })
    }

    fn set_role(&mut self, person: PersonId, role: Role) -> StoreResult<()> {
        self.know(|work| {
            work.push("UPDATE people SET role = $2 WHERE id = $1", values![person, role]);
            work.revoked.push(Revocation::Role(person));
        })
    }

    fn share_a_room(&self, one: PersonId, other: PersonId) -> StoreResult<bool> {
        self.ask(move |db| {
            Box::pin(async move {
                let sql = "SELECT EXISTS (SELECT 1 FROM memberships a JOIN memberships b ON b.room = a.room
                    WHERE a.person = $1 AND b.person = $2)";
                db.one(sql, &[&one, &other]).await?.try_get(0)
            })
        })
    }

    fn key(&self, name: &str) -> StoreResult<Option<[u8; 32]>> {
        let name = name.to_owned();
        self.ask(move |db| {
            Box::pin(async move {
                let row = db.row("SELECT key FROM keys WHERE name = $1", &[&name]).await?;
                row.map(|row| row.try_get(0).map(|Digest(key)| key)).transpose()
            })
        })
    }

    fn insert_key(&mut self, name: &str, key: &[u8; 32]) -> StoreResult<()> {
        let sql = "INSERT INTO keys (name, key) VALUES ($1, $2)";
        self.write_and_count(sql, values![name.to_owned(), key.to_vec()]).map(drop)
    }

    fn insert_session(&mut self, person: PersonId, session: &NewSession, now: Time) -> StoreResult<()> {
        let sql = "INSERT INTO sessions (id, person, token, user_agent, created, last_seen, address) VALUES ($1, $2, $3, $4, $5, $5, $6)";
        let NewSession { id, token, user_agent, address, .. } = session.clone();
        self.write(sql, values![id, person, token, user_agent, now, address.map(|address| address.to_string())])
    }

    fn session_owner(&self, session: SessionId) -> StoreResult<Option<PersonId>> {
        self.ask(move |db| {
            Box::pin(async move {
                let sql = "SELECT person FROM sessions WHERE id = $1 AND ended IS NULL";
                db.row(sql, &[&session]).await?.map(|row| row.try_get(0)).transpose()
            })
        })
    }

    fn session_of_token(&self, token: SecretDigest) -> StoreResult<Option<SessionId>> {
        self.ask(move |db| {
            Box::pin(async move {
                let sql = "SELECT id FROM sessions WHERE token = $1 AND ended IS NULL";
                db.row(sql, &[&token]).await?.map(|row| row.try_get(0)).transpose()
            })
        })
    }

    fn sessions_of(&self, person: PersonId) -> StoreResult<Vec<SessionId>> {
        self.ask(move |db| {
            Box::pin(async move {
                let sql =
                    "SELECT id FROM sessions WHERE person = $1 AND ended IS NULL ORDER BY last_seen DESC, id DESC";
                db.rows(sql, &[&person]).await?.iter().map(|row| row.try_get(0)).collect()
            })
        })
    }

    fn sessions_older_than(&self, last_seen: Time, created: Time) -> StoreResult<Vec<SessionId>> {
        self.ask(move |db| {
            Box::pin(async move {
                let sql = "SELECT id FROM sessions WHERE ended IS NULL AND (last_seen <= $1 OR created <= $2)
                    ORDER BY id";
                db.rows(sql, &[&last_seen, &created]).await?.iter().map(|row| row.try_get(0)).collect()
            })
        })
    }

    fn touch_session(&mut self, session: SessionId, address: Option<IpAddr>, now: Time) -> StoreResult<()> {
        let sql = "UPDATE sessions SET last_seen = greatest(last_seen, $2), address = coalesce($3, address)
            WHERE id = $1 AND ended IS NULL";
        self.write(sql, values![session, now, address.map(|address| address.to_string())])
    }

    fn end_session(&mut self, session: SessionId, why: Ended, now: Time) -> StoreResult<()> {
        self.know(|work| {
            let sql = "UPDATE sessions SET ended = $2, why = $3 WHERE id = $1";
            work.push(sql, values![session, now, why.as_str()]);
            work.revoked.push(Revocation::Session(session));
        })
    }

    fn delete_sessions_ended_before(&mut self, time: Time) -> StoreResult<()> {
        self.write_and_count("DELETE FROM sessions WHERE ended < $1", values![time])?;
        // Whoever has not come to see these by now begins anew.
        let sql = "UPDATE revoked SET forgotten = (SELECT max(number) FROM revocations WHERE time < $1)
            WHERE EXISTS (SELECT 1 FROM revocations WHERE time < $1)";
        if self.write_and_count(sql, values![time])? > 0 {
            self.write("DELETE FROM revocations WHERE number <= (SELECT forgotten FROM revoked)", values![])?;
        }
        Ok(())
    }

    fn insert_token(&mut self, person: PersonId, token: &PersonalToken, digest: SecretDigest) -> StoreResult<()> {
        let sql = "INSERT INTO personal_tokens (id, person, digest, name, scopes, created, expires)
            VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let PersonalToken { id, name, created, expires, .. } = token;
        let (name, scopes) = (name.as_str().to_owned(), token.scope_names());
        self.write(sql, values![*id, person, digest, name, scopes, *created, *expires])
    }

    fn count_tokens(&self, person: PersonId) -> StoreResult<u32> {
        self.count_of(person, "SELECT count(*) FROM personal_tokens WHERE person = $1")
    }

    fn touch_token(&mut self, token: PersonalTokenId, now: Time) -> StoreResult<()> {
        self.write("UPDATE personal_tokens SET last_used = $2 WHERE id = $1", values![token, now])
    }

    fn delete_token(&mut self, person: PersonId, token: PersonalTokenId) -> StoreResult<bool> {
        let sql = "DELETE FROM personal_tokens WHERE id = $1 AND person = $2";
        Ok(self.write_and_count(sql, values![token, person])? > 0)
    }

    fn delete_tokens_of(&mut self, person: PersonId) -> StoreResult<()> {
        self.write("DELETE FROM personal_tokens WHERE person = $1", values![person])
    }

    fn delete_tokens_expired_by(&mut self, person: PersonId, time: Time) -> StoreResult<()> {
        self.write_and_count("DELETE FROM personal_tokens WHERE person = $1 AND expires <= $2", values![person, time])
            .map(drop)
    }

    /// Its row stays as it is until the end. Two who deny the same for the first time meet in the key, and one of them begins
    /// again.
    fn denial(&self, key: DenialKey) -> StoreResult<Option<Denied>> {
        self.ask(move |db| Box::pin(reads::denial(db, key)))
    }

    fn insert_denial(&mut self, denied: &Denied) -> StoreResult<()> {
        let sql = "INSERT INTO denials (key, kind, subject, channel, issued_before, created, ends)
            VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let Denied { denial, created, ends } = denied.clone();
        let (kind, subject, channel) =
            (denial.kind(), denial.subject().to_owned(), denial.channel().map(str::to_owned));
        let key = denial.key();
        self.know(|work| {
            work.push(sql, values![key.to_vec(), kind, subject, channel, denial.issued_before(), created, ends]);
            work.denied(key);
        })
    }

    fn replace_denial(&mut self, denied: &Denied) -> StoreResult<()> {
        let sql = "UPDATE denials SET issued_before = $2, created = $3, ends = $4 WHERE key = $1";
        let Denied { denial, created, ends } = denied.clone();
        let key = denial.key();
        self.know(|work| {
            work.push(sql, values![key.to_vec(), denial.issued_before(), created, ends]);
            work.denied(key);
        })
    }

    fn delete_denial(&mut self, key: DenialKey) -> StoreResult<()> {
        self.know(|work| {
            work.push("DELETE FROM denials WHERE key = $1", values![key.to_vec()]);
            work.denied(key);
        })
    }

    // Each node forgets what has ended by itself.
    fn delete_denials_ended_by(&mut self, time: Time) -> StoreResult<()> {
        self.write_and_count("DELETE FROM denials WHERE ends <= $1", values![time]).map(drop)
    }

    /// From here on nobody else makes a room until the end.
    fn count_rooms(&self) -> StoreResult<u32> {
        self.ask(|db| {
            Box::pin(async move {
                db.rows("SELECT pg_advisory_xact_lock($1)", &[&ROOMS_LOCK]).await?;
                let count =
                    number(&db.one("SELECT count(*) FROM rooms WHERE kind IN ('public', 'private')", &[]).await?, 0)?;
                Ok(u32::try_from(count).unwrap_or(u32::MAX))
            })
        })
    }

    fn count_rooms_of(&self, creator: PersonId) -> StoreResult<u32> {
        self.count_of(creator, "SELECT count(*) FROM rooms WHERE creator = $1 AND kind <> 'direct'")
    }

    fn count_directs_of(&self, creator: PersonId) -> StoreResult<u32> {
        self.count_of(creator, "SELECT count(*) FROM rooms WHERE creator = $1 AND kind = 'direct'")
    }

    fn has_room_named(&self, folded: &str, person: PersonId, other_than: RoomId) -> StoreResult<bool> {
        let folded = folded.to_owned();
        self.ask(move |db| {
            Box::pin(async move {
                let sql =
                    "SELECT EXISTS (SELECT 1 FROM rooms r WHERE r.folded = $1 AND r.id <> $3 AND (r.kind = 'public'
                    OR r.kind = 'private'
                        AND EXISTS (SELECT 1 FROM memberships m WHERE m.room = r.id AND m.person = $2)))";
                db.one(sql, &[&folded, &person, &other_than]).await?.try_get(0)
            })
        })
    }

    fn room(&self, room: RoomId, person: PersonId) -> StoreResult<Option<Room>> {
        self.ask(move |db| Box::pin(reads::room_of(db, room, person)))
    }

    fn is_archived(&self, room: RoomId) -> StoreResult<bool> {
        let is_known = self.state.borrow().work.archived.contains_key(&room);
        if is_known {
            return self.know(|work| work.archived.get(&room).copied().unwrap_or_default());
        }
        self.ask(move |db| {
            Box::pin(async move {
                db.one("SELECT archived IS NOT NULL FROM rooms WHERE id = $1", &[&room]).await?.try_get(0)
            })
        })
    }

    fn insert_room(&mut self, room: &NewRoom, creator: PersonId, now: Time) -> StoreResult<()> {
        let sql = "INSERT INTO rooms (id, name, topic, creator, epoch, last_number, created, folded, look, kind)
            VALUES ($1, $2, $3, $4, $5, 0, $6, $7, $8, $9)";
        let NewRoom { id, name, topic, kind, epoch } = room;
        let (text, topic, epoch) = (name.as_str().to_owned(), topic.as_str().to_owned(), epoch.clone());
        let (id, folded, look, kind) = (*id, name.folded(), name.look(), *kind);
        self.know(|work| {
            work.push(sql, values![id, text, topic, creator, epoch, now, folded, look, kind]);
            // Nobody else can have it.
            work.heads.insert(id, 0);
        })
    }

    fn insert_direct(&mut self, room: &NewRoom, people: PeopleKey, creator: PersonId, now: Time) -> StoreResult<bool> {
        // Whoever begins it at the same moment is waited for.
        let sql = "INSERT INTO rooms (id, name, topic, creator, epoch, last_number, created, folded, look, kind, people)
            VALUES ($1, '', '', $2, $3, 0, $4, '', '', $5, $6) ON CONFLICT (people) WHERE people IS NOT NULL DO NOTHING";
        let NewRoom { id, kind, epoch, .. } = room;
        let params = values![*id, creator, epoch.clone(), now, *kind, people.0.to_vec()];
        let is_new = self.write_and_count(sql, params)? > 0;
        let id = *id;
        self.know(|work| {
            if is_new {
                work.heads.insert(id, 0);
            }
        })?;
        Ok(is_new)
    }

    fn direct_of(&self, people: PeopleKey) -> StoreResult<Option<RoomId>> {
        self.ask(move |db| Box::pin(reads::direct_of(db, people)))
    }

    fn set_room(&mut self, room: RoomId, facts: &RoomFacts) -> StoreResult<()> {
        let sql = "UPDATE rooms SET name = $2, topic = $3, description = $4, kind = $5, archived = $6, folded = $7,
            look = $8 WHERE id = $1";
        let RoomFacts { name, topic, description, kind, archived } = facts;
        let (folded, look) = (name.folded(), name.look());
        let (name, topic) = (name.as_str().to_owned(), topic.as_str().to_owned());
        let description = description.as_str().to_owned();
        self.write(sql, values![room, name, topic, description, *kind, *archived, folded, look])
    }

    fn member(&self, room: RoomId, person: PersonId) -> StoreResult<Option<Who>> {
        let is_known = self.state.borrow().work.members.contains_key(&(room, person));
        if is_known {
            return self.know(|work| work.members.get(&(room, person)).cloned().flatten());
        }
        self.ask(move |db| Box::pin(reads::member(db, room, person)))
    }

    fn room_role(&self, room: RoomId, person: PersonId) -> StoreResult<Option<RoomRole>> {
        self.ask(move |db| {
            Box::pin(async move {
                let sql = "SELECT role FROM memberships WHERE room = $1 AND person = $2";
                db.row(sql, &[&room, &person]).await?.map(|row| row.try_get(0)).transpose()
            })
        })
    }

    fn owners(&self, room: RoomId) -> StoreResult<Vec<PersonId>> {
        self.ask(move |db| {
            Box::pin(async move {
                let sql = "SELECT m.person FROM memberships m JOIN people p ON p.id = m.person
                    WHERE m.room = $1 AND m.role = 'owner' AND p.deactivated IS NULL AND p.role <> 'guest'";
                db.rows(sql, &[&room]).await?.iter().map(|row| row.try_get(0)).collect()
            })
        })
    }

    fn oldest_member(&self, room: RoomId) -> StoreResult<Option<Who>> {
        self.ask(move |db| {
            Box::pin(async move {
                let sql = format!(
                    "SELECT {WHO} FROM memberships m JOIN people p ON p.id = m.person
                    WHERE m.room = $1 AND p.deactivated IS NULL AND p.role <> 'guest' ORDER BY m.joined, p.id LIMIT 1"
                );
                db.row(&sql, &[&room]).await?.map(|row| who(&row, 0)).transpose()
            })
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
        let sql = "WITH new AS (
                INSERT INTO memberships (room, person, joined, role, read_number) VALUES ($1, $2, $3, $4, $5) RETURNING room
            )
            UPDATE rooms SET members = members + 1 FROM new WHERE rooms.id = new.room";
        self.write(sql, values![room, person, now, role, signed(read)])
    }

    fn set_room_role(&mut self, room: RoomId, person: PersonId, role: RoomRole) -> StoreResult<()> {
        self.write("UPDATE memberships SET role = $3 WHERE room = $1 AND person = $2", values![room, person, role])
    }

    fn delete_member(&mut self, room: RoomId, person: PersonId) -> StoreResult<()> {
        let sql = "WITH gone AS (DELETE FROM memberships WHERE room = $1 AND person = $2 RETURNING room)
            UPDATE rooms SET members = members - 1 FROM gone WHERE rooms.id = gone.room";
        self.know(|work| {
            work.push(sql, values![room, person]);
            work.revoked.push(Revocation::Membership { room, person, is_back: false });
        })
    }

    fn read_position(&self, room: RoomId, person: PersonId) -> StoreResult<Option<(u64, u64)>> {
        self.ask(move |db| {
            Box::pin(async move {
                let sql = "SELECT m.read_number, r.last_number FROM memberships m JOIN rooms r ON r.id = m.room
                    WHERE m.room = $1 AND m.person = $2 FOR NO KEY UPDATE OF m";
                let found = db.row(sql, &[&room, &person]).await?;
                found.map(|row| Ok((number(&row, 0)?, number(&row, 1)?))).transpose()
            })
        })
    }

    fn reading(&self, room: RoomId, person: PersonId, read: u64) -> StoreResult<Reading> {
        self.ask(move |db| {
            Box::pin(async move {
                let sql = concat!("SELECT ", unread!("$1", "$2", "$3"), ", ", mentions!("$1", "$2", "$3"));
                let row = db.one(sql, &[&room, &person, &signed(read)]).await?;
                Ok(Reading { read, unread: small(&row, 0)?, mentions: small(&row, 1)? })
            })
        })
    }

    // Says nothing of who is a member.
    fn set_read_position(&mut self, room: RoomId, person: PersonId, read: u64) -> StoreResult<()> {
        let sql = "UPDATE memberships SET read_number = $3 WHERE room = $1 AND person = $2";
        self.know(|work| {
            work.written += 1;
            work.push_quietly(sql, values![room, person, signed(read)]);
        })
    }

    fn read_everything(&mut self, person: PersonId) -> StoreResult<Vec<(RoomId, u64)>> {
        let read: Vec<(RoomId, u64)> = self.ask(move |db| {
            Box::pin(async move {
                let sql = "UPDATE memberships SET read_number = r.last_number FROM rooms r
                    WHERE memberships.person = $1 AND r.id = memberships.room AND r.last_number > memberships.read_number
                    RETURNING memberships.room, memberships.read_number";
                let rows = db.rows(sql, &[&person]).await?;
                rows.iter().map(|row| Ok((row.try_get(0)?, number(row, 1)?))).collect()
            })
        })?;
        if !read.is_empty() {
            self.know(|work| work.written += 1)?;
        }
        Ok(read)
    }

    fn preferences(&self, room: RoomId, person: PersonId) -> StoreResult<Option<Preferences>> {
        self.ask(move |db| {
            Box::pin(async move {
                let sql = "SELECT favourite IS NOT NULL, muted IS NOT NULL, section FROM memberships
                    WHERE room = $1 AND person = $2 FOR NO KEY UPDATE";
                let found = db.row(sql, &[&room, &person]).await?;
                Ok(found.map(|row| preferences(&row, 0)).transpose()?.flatten())
            })
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
        let sql = "UPDATE memberships SET favourite = CASE WHEN $3 THEN coalesce(favourite, $6) END,
            muted = CASE WHEN $4 THEN coalesce(muted, $6) END, section = $5 WHERE room = $1 AND person = $2";
        let (favourite, muted, section) = (*favourite, *muted, section.as_str().to_owned());
        self.know(|work| {
            work.written += 1;
            work.push_quietly(sql, values![room, person, favourite, muted, section, now]);
        })
    }

    fn invite(&self, code: SecretDigest) -> StoreResult<Option<StoredInvite>> {
        self.ask(move |db| Box::pin(reads::invite(db, code)))
    }

    fn invite_of(&self, room: RoomId) -> StoreResult<Option<StoredInvite>> {
        self.ask(move |db| Box::pin(reads::invite_of(db, room)))
    }

    fn replace_invite(&mut self, inviter: PersonId, invite: &Invite) -> StoreResult<()> {
        self.write("DELETE FROM invites WHERE room = $1", values![invite.room])?;
        let sql = "INSERT INTO invites (digest, code, room, inviter, created, expires, uses_max, uses)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        let Invite { code, room, created, expires, uses_max, uses } = invite;
        let (digest, code) = (code.digest(), code.reveal().to_owned());
        let (uses_max, uses) = (i64::from(*uses_max), i64::from(*uses));
        self.write(sql, values![digest, code, *room, inviter, *created, *expires, uses_max, uses])
    }

    fn expire_invites_of(&mut self, inviter: PersonId, now: Time) -> StoreResult<()> {
        self.write("UPDATE invites SET expires = least(expires, $2) WHERE inviter = $1", values![inviter, now])
    }

    fn use_invite(&mut self, code: SecretDigest) -> StoreResult<()> {
        self.write("UPDATE invites SET uses = uses + 1 WHERE digest = $1", values![code])
    }

    fn revoke_invite(&mut self, room: RoomId, now: Time) -> StoreResult<()> {
        let sql = "UPDATE invites SET revoked = $2 WHERE room = $1 AND revoked IS NULL";
        self.write(sql, values![room, now])
    }

    fn earlier_send(&self, author: PersonId, client_id: ClientId) -> StoreResult<Option<EarlierSend>> {
        let key = (author, client_id);
        let is_known = self.state.borrow().work.sends.contains_key(&key);
        if is_known {
            return self.know(|work| work.sends.get(&key).copied().flatten());
        }
        self.ask(move |db| {
            Box::pin(async move {
                let sql =
                    "SELECT id, number, time, digest, digest_key FROM messages WHERE author = $1 AND client_id = $2";
                db.row(sql, &[&author, &client_id]).await?.map(|row| earlier_send(&row, 0)).transpose()
            })
        })
    }

    fn next_number(&mut self, room: RoomId) -> StoreResult<u64> {
        let is_locked = self.state.borrow().work.heads.contains_key(&room);
        let take = |work: &mut Work, last: u64| {
            work.moved.insert(room, last + 1);
            work.written += 1;
            last + 1
        };
        if is_locked {
            return self.know(|work| {
                let number = take(work, work.heads[&room]);
                work.heads.insert(room, number);
                number
            });
        }
        // Nobody said beforehand that it would be this room: an invite led to it that was not there when it was looked up.
        let last = self.ask(move |db| {
            Box::pin(async move {
                let sql = "SELECT last_number FROM rooms WHERE id = $1 FOR NO KEY UPDATE";
                number(&db.one(sql, &[&room]).await?, 0)
            })
        })?;
        self.know(|work| take(work, last))
    }

    fn insert_message(&mut self, message: &NewMessage, number: u64, now: Time) -> StoreResult<()> {
        self.know(|work| {
            work.posts.messages.add(message, number, now);
            let send = EarlierSend { id: message.id, number, time: now, digest: message.digest.stored };
            work.sends.insert((message.author, message.client_id), Some(send));
            work.written += 1;
        })
    }

    fn message(&self, room: RoomId, message: MessageId) -> StoreResult<Option<StoredMessage>> {
        self.ask(move |db| Box::pin(reads::stored_message(db, room, message)))
    }

    fn insert_edit(&mut self, message: MessageId, number: u64, since: Time, body: &str) -> StoreResult<()> {
        let sql = "INSERT INTO edits (message, number, time, body) VALUES ($1, $2, $3, $4)";
        self.write(sql, values![message, signed(number), since, body.to_owned()])
    }

    fn set_body(&mut self, message: MessageId, body: &str, now: Time) -> StoreResult<()> {
        let sql = "UPDATE messages SET body = $2, edited = $3 WHERE id = $1";
        self.write(sql, values![message, body.to_owned(), now])
    }

    fn set_deleted(&mut self, message: MessageId, by: Option<(PersonId, Option<&str>)>, now: Time) -> StoreResult<()> {
        let sql = "UPDATE messages SET deleted = $2, deleted_by = $3, delete_reason = $4 WHERE id = $1";
        let (person, reason) = by.unzip();
        self.write(sql, values![message, person.map(|_| now), person, reason.flatten().map(str::to_owned)])
    }

    /// What another transaction has locked is restored just now, or erased by another node.
    fn erase_deleted_by(&mut self, time: Time, limit: u32) -> StoreResult<usize> {
        let sql = "WITH old AS (
                SELECT id FROM messages WHERE deleted <= $1 AND body <> '' ORDER BY deleted LIMIT $2
                FOR UPDATE SKIP LOCKED
            ), erased AS (
                UPDATE messages SET body = '' FROM old WHERE messages.id = old.id RETURNING messages.id
            ), gone AS (
                DELETE FROM edits USING erased WHERE edits.message = erased.id
            ), unreacted AS (
                DELETE FROM reactions USING erased WHERE reactions.message = erased.id
            ), unnoticed AS (
                DELETE FROM notices USING erased WHERE notices.message = erased.id
            )
            SELECT count(*) FROM erased";
        self.write_what_counts(sql.into(), values![time, i64::from(limit)])
    }

    fn reactions(&self, message: MessageId, person: PersonId, emoji: &Emoji) -> StoreResult<Reactions> {
        let emoji = emoji.clone();
        self.ask(move |db| Box::pin(async move { reads::reactions(db, message, person, &emoji).await }))
    }

    fn insert_reaction(&mut self, message: MessageId, person: PersonId, emoji: &Emoji, number: u64) -> StoreResult<()> {
        let sql = "INSERT INTO reactions (message, emoji, person, number) VALUES ($1, $2, $3, $4)";
        self.write(sql, values![message, emoji.as_str().to_owned(), person, signed(number)])
    }

    fn delete_reaction(&mut self, message: MessageId, person: PersonId, emoji: &Emoji) -> StoreResult<()> {
        let sql = "DELETE FROM reactions WHERE message = $1 AND emoji = $2 AND person = $3";
        self.write(sql, values![message, emoji.as_str().to_owned(), person])
    }

    fn insert_notices(&mut self, notices: &[Notice]) -> StoreResult<()> {
        self.know(|work| {
            notices.iter().for_each(|notice| work.posts.notices.add(notice));
            work.written += 1;
        })
    }

    fn mentions_of(&self, message: MessageId) -> StoreResult<Vec<Notice>> {
        self.ask(move |db| Box::pin(reads::mentions_of(db, message)))
    }

    fn set_notice_kind(&mut self, notice: &Notice, kind: NoticeKind) -> StoreResult<()> {
        let sql = "UPDATE notices SET kind = $4 WHERE room = $1 AND event = $2 AND place = $3";
        self.write(sql, values![notice.room, signed(notice.event), i64::from(notice.place), kind])
    }

    fn names_of(&self, message: MessageId) -> StoreResult<Vec<Who>> {
        self.ask(move |db| Box::pin(reads::names_of(db, message)))
    }

    fn delete_notice_of_reaction(&mut self, message: MessageId, actor: PersonId, emoji: &Emoji) -> StoreResult<()> {
        let sql = "DELETE FROM notices WHERE message = $1 AND actor = $2 AND emoji = $3 AND kind = 'reaction'";
        self.write(sql, values![message, actor, emoji.as_str().to_owned()])
    }

    fn thread_root(&self, room: RoomId, root: MessageId, person: PersonId) -> StoreResult<Option<Root>> {
        let key = (root, person);
        let is_known = self.state.borrow().work.roots.contains_key(&key);
        if is_known {
            return self.know(|work| work.roots.get(&key).cloned().flatten());
        }
        self.ask(move |db| Box::pin(reads::thread_root(db, room, root, person)))
    }

    // Says nothing of who is a member.
    fn follow_thread(&mut self, root: MessageId, person: PersonId, read: u64) -> StoreResult<()> {
        self.know(|work| {
            work.posts.followers.add(root, person, read);
            work.written += 1;
            for ((of, asking), known) in &mut work.roots {
                let Some(known) = known.as_mut().filter(|_| *of == root) else { continue };
                known.is_settled |= *asking == person;
                known.is_settled_for_author |= known.answered.author.id == person;
            }
        })
    }

    fn thread_standing(&self, room: RoomId, root: MessageId, person: PersonId) -> StoreResult<Option<ThreadStanding>> {
        self.ask(move |db| Box::pin(reads::thread_standing(db, room, root, person)))
    }

    fn thread_unread(&self, root: MessageId, person: PersonId, read: u64) -> StoreResult<u32> {
        self.ask(move |db| Box::pin(reads::thread_unread(db, root, person, read)))
    }

    fn set_thread_position(&mut self, root: MessageId, person: PersonId, read: u64, follows: bool) -> StoreResult<()> {
        let sql = "INSERT INTO thread_followers (root, person, read_number, following) VALUES ($1, $2, $3, $4)
            ON CONFLICT (root, person) DO UPDATE SET read_number = excluded.read_number, following = excluded.following";
        self.write(sql, values![root, person, signed(read), follows])
    }

    fn read_every_thread(&mut self, person: PersonId) -> StoreResult<usize> {
        let sql = "UPDATE thread_followers f SET read_number = o.last_number
            FROM messages r JOIN rooms o ON o.id = r.room JOIN memberships own ON own.room = r.room
            WHERE f.person = $1 AND f.following AND r.id = f.root AND own.person = $1
                AND EXISTS (SELECT 1 FROM messages n WHERE n.thread = r.id
                    AND n.number > f.read_number AND n.deleted IS NULL AND n.author <> $1)";
        self.write_and_count(sql, values![person])
    }

    fn plain_digests(&self, limit: u32) -> StoreResult<Vec<(MessageId, [u8; 32])>> {
        self.ask(move |db| {
            Box::pin(async move {
                let sql = "SELECT id, digest FROM messages WHERE digest_key IS NULL LIMIT $1 FOR UPDATE SKIP LOCKED";
                let rows = db.rows(sql, &[&i64::from(limit)]).await?;
                rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1).map(|Digest(digest)| digest)?))).collect()
            })
        })
    }

    fn set_digests(&mut self, digests: &[(MessageId, [u8; 32])], key: KeyId) -> StoreResult<()> {
        if digests.is_empty() {
            return Ok(());
        }
        let (ids, digests): (Vec<_>, Vec<_>) =
            digests.iter().map(|(message, digest)| (*message, digest.to_vec())).unzip();
        let sql = "UPDATE messages SET digest = keyed.digest, digest_key = $3
            FROM unnest($1::uuid[], $2::bytea[]) AS keyed(id, digest)
            WHERE messages.id = keyed.id AND messages.digest_key IS NULL";
        self.write(sql, values![ids, digests, key.to_vec()])
    }

    fn insert_event(&mut self, event: &Event, actor: PersonId, subject: PersonId) -> StoreResult<()> {
        self.know(|work| {
            work.posts.events.add(event, actor, subject);
            work.written += 1;
        })
    }
}
