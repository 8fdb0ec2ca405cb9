//! The store in one SQLite file: one thread that writes, a few connections that read. All that knows SQLite is in this
//! folder.
//!
//! Write-ahead log with `synchronous=FULL`: a commit is synced to the disk before it is answered. The file is readable by
//! its owner alone.

mod earlier;
mod migrations;
mod reads;
mod tables;
mod values;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use futures_util::future::BoxFuture;
use rusqlite::{Connection, TransactionBehavior};
use tokio::{
    sync::{mpsc, oneshot},
    task::spawn_blocking,
};

use self::{migrations::Schema, tables::SqliteTables, values::store_error};
use super::{Batch, NotApplied, OpenError, Read, Store, StoreError, Submission};
use crate::{
    blocking::BlockingPool,
    limits::{DATABASE_BUSY, READERS_MAX, READS_WAITING_MAX},
    model::{
        Credentials, Email, EventPage, Invite, InviteCard, Member, Message, MessageId, MessagePage, PageQuery, Person,
        PersonId, Room, RoomId, RoomPage, SecretDigest, Session, SessionId, SignedIn, Time, Who,
    },
};

/// The database's name inside the data directory.
const FILE: &str = "tidings.db";
/// Prepared statements kept by each connection: more than we have.
const STATEMENTS_MAX: usize = 96;

/// The store in one SQLite file.
#[derive(Debug)]
pub(crate) struct Sqlite {
    jobs: mpsc::Sender<Job>,
    readers: Arc<Mutex<Vec<Connection>>>,
    pool: BlockingPool,
}

/// How the database is opened.
#[derive(Debug, Clone, Default)]
pub struct SqliteOptions {
    /// The database may not grow beyond so many pages of 4 KiB; without it, the disk is the limit.
    pub pages_max: Option<u32>,
}

enum Job {
    Apply(Work),
    /// Close the database and say so.
    Close(oneshot::Sender<()>),
}

struct Work {
    batch: Batch,
    now: Time,
    done: oneshot::Sender<Batch>,
}

impl Sqlite {
    /// Opens the database in this directory, making it if need be, and brings its schema up to date.
    ///
    /// # Errors
    /// When the file cannot be used, or the database is not one of ours, or newer than we are.
    pub(crate) async fn open(data_dir: &Path, options: &SqliteOptions) -> Result<Self, OpenError> {
        Self::open_prepared(data_dir, options, make_file).await
    }

    /// Opens the database that is in this directory already; for programs that must not make one by mistake.
    ///
    /// # Errors
    /// As [`open`](Self::open), and when there is none.
    pub(crate) async fn open_existing(data_dir: &Path, options: &SqliteOptions) -> Result<Self, OpenError> {
        let must_exist = |path: &Path| fs::metadata(path).map(drop);
        Self::open_prepared(data_dir, options, must_exist).await
    }

    async fn open_prepared(
        data_dir: &Path,
        options: &SqliteOptions,
        prepare: fn(&Path) -> std::io::Result<()>,
    ) -> Result<Self, OpenError> {
        let (path, options) = (data_dir.join(FILE), options.clone());
        // Opening reads, syncs and may migrate: not for a thread that others wait for.
        let opening = spawn_blocking(move || {
            prepare(&path).map_err(|source| OpenError::Files { path: path.clone(), source })?;
            Self::open_file(path, &options)
        });
        opening.await.unwrap_or(Err(OpenError::Stopping))
    }

    fn open_file(path: PathBuf, options: &SqliteOptions) -> Result<Self, OpenError> {
        let writer = connect_writer(&path, options)?;
        let readers = thread::available_parallelism().map_or(1, usize::from).clamp(2, READERS_MAX);
        let connections = (0..readers).map(|_| connect_reader(&path)).collect::<Result<Vec<_>, _>>()?;
        let (jobs, inbox) = mpsc::channel(1);
        thread::Builder::new()
            .name("tidings-store".into())
            .spawn(move || write(writer, inbox))
            .map_err(|source| OpenError::Files { path, source })?;
        let pool = BlockingPool::new(readers, READS_WAITING_MAX);
        Ok(Self { jobs, readers: Arc::new(Mutex::new(connections)), pool })
    }

    fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Read<'_, T> {
        let readers = self.readers.clone();
        Box::pin(async move {
            let work = move || {
                let mut reader = PooledConnection::from(readers);
                // As many reads run as there are connections, until they are closed.
                let Some(connection) = reader.connection.as_mut() else { return Err(StoreError::Closed) };
                let answer = connection.transaction().and_then(|transaction| read(&transaction));
                answer.map_err(store_error)
            };
            self.pool.run(work).await?
        })
    }
}

impl Store for Sqlite {
    fn apply(&self, batch: Batch, now: Time) -> BoxFuture<'_, Result<Batch, StoreError>> {
        Box::pin(async move {
            let (done, applied) = oneshot::channel();
            self.jobs.send(Job::Apply(Work { batch, now, done })).await.map_err(|_| StoreError::Closed)?;
            applied.await.map_err(|_| StoreError::Closed)
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // The readers first: the last connection to close brings the log into the database and removes it.
            self.readers.lock().unwrap_or_else(PoisonError::into_inner).clear();
            let (done, closed) = oneshot::channel();
            if self.jobs.send(Job::Close(done)).await.is_ok() {
                closed.await.ok();
            }
        })
    }

    fn is_set_up(&self) -> Read<'_, bool> {
        self.read(reads::is_set_up)
    }

    fn people(&self) -> Read<'_, Vec<Person>> {
        self.read(reads::people)
    }

    fn person(&self, id: PersonId) -> Read<'_, Option<Person>> {
        self.read(move |db| reads::person_of(db, id))
    }

    fn credentials(&self, email: Email) -> Read<'_, Option<Credentials>> {
        self.read(move |db| reads::credentials(db, &email))
    }

    fn session(&self, token: SecretDigest, now: Time) -> Read<'_, Option<SignedIn>> {
        self.read(move |db| reads::session(db, token, now))
    }

    fn session_is_open(&self, session: SessionId, now: Time) -> Read<'_, bool> {
        self.read(move |db| reads::session_is_open(db, session, now))
    }

    fn sessions(&self, person: PersonId, now: Time) -> Read<'_, Vec<Session>> {
        self.read(move |db| reads::sessions(db, person, now))
    }

    fn sessions_ended(&self, since: Time) -> Read<'_, Vec<SessionId>> {
        self.read(move |db| reads::sessions_ended(db, since))
    }

    fn invite(&self, code: SecretDigest, now: Time) -> Read<'_, Option<InviteCard>> {
        self.read(move |db| reads::invite_card(db, code, now))
    }

    fn room_invite(&self, room: RoomId, person: PersonId, now: Time) -> Read<'_, Option<Invite>> {
        self.read(move |db| reads::room_invite(db, room, person, now))
    }

    fn invite_is_revoked(&self, room: RoomId) -> Read<'_, bool> {
        self.read(move |db| Ok(reads::invite_of(db, room)?.is_some_and(|stored| stored.revoked)))
    }

    fn own_rooms(&self, person: PersonId) -> Read<'_, Vec<Room>> {
        self.read(move |db| reads::own_rooms(db, person))
    }

    fn other_rooms(&self, person: PersonId, after: Option<RoomId>, limit: u32) -> Read<'_, RoomPage> {
        self.read(move |db| reads::other_rooms(db, person, after, limit))
    }

    fn room(&self, room: RoomId, person: PersonId) -> Read<'_, Option<Room>> {
        self.read(move |db| reads::room_of(db, room, person))
    }

    fn members(&self, room: RoomId, reader: PersonId) -> Read<'_, Option<Vec<Member>>> {
        self.read(move |db| reads::members(db, room, reader))
    }

    fn member(&self, room: RoomId, person: PersonId) -> Read<'_, Option<Who>> {
        self.read(move |db| reads::member(db, room, person))
    }

    fn events(&self, room: RoomId, reader: Option<PersonId>, page: PageQuery) -> Read<'_, Option<EventPage>> {
        self.read(move |db| reads::events(db, room, reader, page))
    }

    fn messages(&self, room: RoomId, reader: PersonId, page: PageQuery) -> Read<'_, Option<MessagePage>> {
        self.read(move |db| reads::messages(db, room, reader, page))
    }

    fn message(&self, room: RoomId, reader: PersonId, message: MessageId) -> Read<'_, Option<Message>> {
        self.read(move |db| reads::message_of(db, room, reader, message))
    }
}

/// A connection of one read. It goes back to the others even from a read that panics.
struct PooledConnection {
    connection: Option<Connection>,
    others: Arc<Mutex<Vec<Connection>>>,
}

impl PooledConnection {
    fn from(others: Arc<Mutex<Vec<Connection>>>) -> Self {
        let connection = others.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Self { connection, others }
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        self.others.lock().unwrap_or_else(PoisonError::into_inner).extend(self.connection.take());
    }
}

/// The writer's thread; it ends when the store is closed or dropped.
fn write(mut db: Connection, mut inbox: mpsc::Receiver<Job>) {
    while let Some(job) = inbox.blocking_recv() {
        match job {
            Job::Apply(Work { mut batch, now, done }) => {
                apply(&mut db, &mut batch, now);
                // Whoever asked may have gone; the changes are made all the same.
                done.send(batch).ok();
            }
            Job::Close(done) => {
                drop(db);
                done.send(()).ok();
                return;
            }
        }
    }
}

/// Group commit: syncing the disk costs the same for one change and for hundreds, so all that wait share one
/// transaction. One that the database cannot take (too large for what is left of the disk) may end it for all; then each
/// gets a transaction of its own, so that only those fail that would have failed alone.
fn apply(db: &mut Connection, batch: &mut [Box<dyn Submission>], now: Time) {
    let Err(error) = apply_together(db, batch, now) else { return };
    match batch {
        [one] => one.fail(error),
        _ => batch.chunks_mut(1).for_each(|one| apply(db, one, now)),
    }
}

fn apply_together(db: &mut Connection, batch: &mut [Box<dyn Submission>], now: Time) -> Result<(), StoreError> {
    let mut transaction = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(store_error)?;
    for change in batch {
        // A change that is refused halfway leaves nothing behind and does not disturb the others: its savepoint alone is
        // taken back, and with it the numbers it took, so that the room has no gap (G3).
        let mut savepoint = transaction.savepoint().map_err(store_error)?;
        if let Err(not_applied) = change.apply(&mut SqliteTables(&savepoint), now) {
            if let NotApplied::Failed(error) = not_applied
                && savepoint.is_autocommit()
            {
                // SQLite has taken the whole transaction back, with what was applied before.
                return Err(error);
            }
            savepoint.rollback().map_err(store_error)?;
        }
        savepoint.commit().map_err(store_error)?;
    }
    transaction.commit().map_err(store_error)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(DATABASE_BUSY)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(connection)
}

fn connect_writer(path: &Path, options: &SqliteOptions) -> Result<Connection, OpenError> {
    let prepared = || {
        let mut connection = connect(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        let schema = migrations::migrate(&mut connection)?;
        if schema == Schema::Newest {
            earlier::complete(&mut connection)?;
        }
        if let Some(pages_max) = options.pages_max {
            connection.pragma_update_and_check(None, "max_page_count", pages_max, |_| Ok(()))?;
        }
        Ok((connection, schema))
    };
    match prepared().map_err(broken)? {
        (connection, Schema::Newest) => Ok(connection),
        (_, Schema::Newer { found }) => Err(OpenError::Newer { found, known: migrations::newest() }),
        (_, Schema::Foreign) => Err(OpenError::Foreign),
    }
}

fn connect_reader(path: &Path) -> Result<Connection, OpenError> {
    let prepared = || {
        let connection = connect(path)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    };
    prepared().map_err(broken)
}

fn broken(error: rusqlite::Error) -> OpenError {
    OpenError::Database { name: FILE.into(), source: Box::new(error) }
}

/// SQLite would make the file too, but readable by everybody; its log files take over the mode of this one.
fn make_file(path: &Path) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

#[cfg(test)]
mod tests {
    use std::{
        cell::{Cell, RefCell},
        sync::atomic::{AtomicBool, Ordering::Relaxed},
    };

    use futures_util::future::join_all;
    use rusqlite::trace::{TraceEvent, TraceEventCodes};

    use super::*;
    use crate::store::{
        ChangeError,
        contract::{self, Fixture, World, runs_the_contract},
        submit,
    };

    struct Directory(tempfile::TempDir);

    impl Directory {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }
    }

    impl Fixture for Directory {
        async fn open(&self) -> Arc<dyn Store> {
            Arc::new(open(self.0.path()).await.unwrap())
        }
    }

    async fn open(data_dir: &Path) -> Result<Sqlite, OpenError> {
        Sqlite::open(data_dir, &SqliteOptions::default()).await
    }

    runs_the_contract!(Directory::new());

    #[tokio::test]
    async fn a_closed_store_is_one_file_and_says_that_it_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path()).await.unwrap();
        store.is_set_up().await.unwrap();
        store.close().await;
        assert!(matches!(store.is_set_up().await, Err(StoreError::Closed)));
        let files: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(files, [FILE]);
    }

    #[tokio::test]
    async fn a_room_keeps_one_invite_however_often_it_is_renewed() {
        let dir = Directory::new();
        let world = World::over(dir.open().await).await;
        for _ in 0..3 {
            world.renew_the_invite().await;
        }
        let db = Connection::open(dir.0.path().join(FILE)).unwrap();
        let invites: u32 = db.query_row("SELECT count(*) FROM invites", [], |row| row.get(0)).unwrap();
        assert_eq!(invites, 1);
    }

    #[test]
    fn g1_the_writers_connection_syncs_every_commit() {
        let dir = tempfile::tempdir().unwrap();
        let writer = connect_writer(&dir.path().join(FILE), &SqliteOptions::default()).unwrap();
        let synchronous: i32 = writer.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
        let journal: String = writer.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!((synchronous, journal.as_str()), (2, "wal"));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn the_database_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;

        let dir = tempfile::tempdir().unwrap();
        let _store = open(dir.path()).await.unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        for file in fs::read_dir(&dir).unwrap() {
            let path = file.unwrap().path();
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
    }

    #[tokio::test]
    async fn g1_a_commit_that_fails_is_an_error_for_all_of_it_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = connect_writer(&dir.path().join(FILE), &SqliteOptions::default()).unwrap();
        let fails = Arc::new(AtomicBool::new(true));
        let hook = fails.clone();
        writer.commit_hook(Some(move || hook.load(Relaxed))).unwrap();
        let now = Time::from_millis(0);
        let changes = [contract::set_up("Ana"), contract::set_up("Ben")];
        let mut outcomes = async || {
            let (mut batch, outcomes): (Vec<_>, Vec<_>) = changes.clone().map(submit).into_iter().unzip();
            apply(&mut writer, &mut batch, now);
            batch.into_iter().for_each(Submission::answer);
            (join_all(outcomes).await, reads::is_set_up(&writer).unwrap())
        };
        let (failed, is_set_up) = outcomes().await;
        let has_failed = |outcome: &Result<_, _>| matches!(outcome, Err(ChangeError::Store(StoreError::Failed(_))));
        assert!(failed.iter().all(has_failed) && !is_set_up, "{failed:?}");

        fails.store(false, Relaxed);
        let (outcomes, is_set_up) = outcomes().await;
        assert!(matches!(&outcomes[..], [Ok(_), Err(ChangeError::Refused(_))]), "the writer goes on: {outcomes:?}");
        assert!(is_set_up);
    }

    #[test]
    fn a_post_is_five_statements_in_its_own_savepoint() {
        thread_local!(static RUN: RefCell<Vec<String>> = RefCell::default());
        let dir = tempfile::tempdir().unwrap();
        let mut writer = connect_writer(&dir.path().join(FILE), &SqliteOptions::default()).unwrap();
        let (set_up, post) = contract::set_up_and_first_post();
        apply(&mut writer, &mut [submit(set_up).0], Time::from_millis(0));
        let record = |event: TraceEvent<'_>| {
            if let TraceEvent::Stmt(_, sql) = event {
                RUN.with_borrow_mut(|run| run.extend(sql.split_whitespace().next().map(str::to_owned)));
            }
        };
        writer.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(record)).unwrap();
        apply(&mut writer, &mut [submit(post).0], Time::from_millis(0));
        let around = ["BEGIN", "SAVEPOINT", "RELEASE", "COMMIT"];
        let run = RUN.take();
        assert_eq!([&run[..2], &run[7..]].concat(), around);
        assert_eq!(run[2..7], ["SELECT", "SELECT", "UPDATE", "INSERT", "INSERT"]);
    }

    #[test]
    fn the_list_of_rooms_costs_what_it_shows_however_many_rooms_and_members_there_are() {
        thread_local!(static STEPS: Cell<u32> = const { Cell::new(0) });
        let dir = tempfile::tempdir().unwrap();
        let mut writer = connect_writer(&dir.path().join(FILE), &SqliteOptions::default()).unwrap();
        let (set_up, _) = contract::set_up_and_first_post();
        let ana = set_up.person.id;
        apply(&mut writer, &mut [submit(set_up).0], Time::from_millis(0));
        writer.pragma_update(None, "foreign_keys", false).unwrap();
        let grow = |writer: &Connection, rooms: u32| {
            // Each with 50 members, who are nobody here; names as different as names are.
            let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
                INSERT INTO rooms (id, name, topic, creator, epoch, last_number, created, folded, look)
                SELECT randomblob(16), t, '', randomblob(16), '', 0, 0, t, t FROM (SELECT hex(randomblob(8)) t FROM n)";
            writer.execute(sql, [rooms]).unwrap();
            let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)
                INSERT INTO memberships (room, person, joined) SELECT r.id, randomblob(16), 0 FROM rooms r, n
                WHERE r.members = 0";
            writer.execute(sql, []).unwrap();
        };
        let steps_of_a_list = |writer: &mut Connection| {
            STEPS.set(0);
            let count = || {
                STEPS.set(STEPS.get() + 1);
                false
            };
            writer.progress_handler(10, Some(count)).unwrap();
            assert_eq!(reads::own_rooms(writer, ana).unwrap().len(), 1);
            assert_eq!(reads::other_rooms(writer, ana, None, 20).unwrap().rooms.len(), 20);
            writer.progress_handler(0, None::<fn() -> bool>).unwrap();
            STEPS.get()
        };
        grow(&writer, 30);
        let few = steps_of_a_list(&mut writer);
        grow(&writer, 1_000);
        let many = steps_of_a_list(&mut writer);
        assert!(few > 0 && many < 2 * few, "{few} steps with 30 rooms, {many} with 1,030");
    }

    #[tokio::test]
    async fn reads_that_panic_use_up_no_connection() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path()).await.unwrap();
        for _ in 0..2 * READERS_MAX {
            let failed = store.read::<()>(|_| panic!("on purpose")).await;
            assert!(matches!(failed, Err(StoreError::Failed(_))));
        }
        assert!(!store.is_set_up().await.unwrap());
    }

    #[tokio::test]
    async fn a_write_that_does_not_fit_takes_nobody_along() {
        let dir = tempfile::tempdir().unwrap();
        let store = Sqlite::open(dir.path(), &SqliteOptions { pages_max: Some(120) }).await.unwrap();
        let world = World::over(Arc::new(store)).await;
        let too_large = "x".repeat(1 << 20);
        let answers = world.say_together(&["first", &too_large, "second"]).await;
        assert!(matches!(&answers[1], Err(ChangeError::Store(StoreError::Full))), "{:?}", answers[1]);
        assert!(answers[0].is_ok() && answers[2].is_ok(), "{answers:?}");
        assert_eq!(world.bodies().await, ["first", "second"]);
    }

    #[tokio::test]
    async fn a_file_that_is_no_database_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "this is not a database, however long it may be ".repeat(50)).unwrap();
        let error = open(dir.path()).await.unwrap_err();
        assert!(matches!(error, OpenError::Database { .. }), "{error}");
    }

    #[tokio::test]
    async fn g4_an_event_of_a_kind_that_a_newer_version_stored_is_no_gap_and_no_message() {
        let dir = Directory::new();
        let world = World::over(dir.open().await).await;
        world.say_together(&["before"]).await;
        let db = Connection::open(dir.0.path().join(FILE)).unwrap();
        db.execute_batch(
            "UPDATE rooms SET last_number = 3;
            INSERT INTO room_events (room, number, kind, message, actor, subject, time)
            SELECT room, 3, 'message.edited', message, actor, subject, time FROM room_events WHERE number = 2;",
        )
        .unwrap();
        world.say_together(&["after"]).await;
        let kinds: Vec<_> =
            world.general_events().await.iter().map(|event| (event.number, event.kind.name())).collect();
        let posted = "message.posted";
        assert_eq!(kinds, [(1, "room.created"), (2, posted), (3, "unknown"), (4, posted)]);
    }
}
