//! The store in one SQLite file: one thread that writes, a few connections that read.
//!
//! Write-ahead log with `synchronous=FULL`: a commit is synced to the disk before it is answered. The file is readable by
//! its owner alone.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use futures_util::future::BoxFuture;
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::{
    Applied, ApplyError, Change, EventPage, MessagePage, Page, Read, Store, StoreError, changes, migrations, reads,
};
use crate::{
    events::{Message, Who},
    ids::{MessageId, PersonId, RoomId, SessionId},
    invites::{Invite, InviteCard},
    limits::{DATABASE_BUSY, READERS_MAX, READS_WAITING_MAX},
    names::Email,
    people::{Credentials, Person},
    pool::{Pool, PoolError},
    rooms::{Member, Room},
    secrets::Digested,
    sessions::{Session, SignedIn},
    time::Time,
};

/// The database's name inside the data directory.
const FILE: &str = "tidings.db";
/// Prepared statements kept by each connection: more than we have.
const STATEMENTS_MAX: usize = 96;

/// The store in one SQLite file.
#[derive(Debug)]
pub struct Sqlite {
    jobs: mpsc::Sender<Job>,
    readers: Arc<Mutex<Vec<Connection>>>,
    pool: Pool,
}

/// How the database is opened.
#[derive(Debug, Clone, Default)]
pub struct SqliteOptions {
    /// The database may not grow beyond so many pages of 4 KiB; without it, the disk is the limit.
    pub pages_max: Option<u32>,
}

/// Why the database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data directory or a file in it could not be made or read.
    #[error("cannot use {path}: {source}")]
    Files {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another server is using the data directory.
    #[error("another server is using {0}")]
    InUse(PathBuf),
    /// A newer version of the program has written it. Use that one.
    #[error("the database has version {found}, and this program knows {known} and earlier; use a newer one")]
    Newer {
        /// The database's version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// It is a SQLite database, but not ours.
    #[error("the database was made by another program")]
    Foreign,
    /// It is no SQLite database, or a broken one, or the disk failed.
    #[error("tidings.db cannot be opened as a database")]
    Database(#[from] rusqlite::Error),
}

enum Job {
    Apply(Batch),
    /// Close the database and say so.
    Close(oneshot::Sender<()>),
}

struct Batch {
    changes: Vec<Change>,
    now: Time,
    answer: oneshot::Sender<Vec<Result<Applied, ApplyError>>>,
}

impl Sqlite {
    /// Opens the database in this directory, making both if need be, and brings its schema up to date.
    ///
    /// # Errors
    /// When the directory or the file cannot be used, or the database is not one of ours, or newer than we are.
    pub fn open(data_dir: &Path, options: &SqliteOptions) -> Result<Self, OpenError> {
        make_dir(data_dir)?;
        let path = data_dir.join(FILE);
        make_file(&path)?;
        let writer = connect_writer(&path, options)?;
        let readers = thread::available_parallelism().map_or(1, usize::from).clamp(2, READERS_MAX);
        let connections = (0..readers).map(|_| connect_reader(&path)).collect::<Result<Vec<_>, _>>()?;
        let (jobs, inbox) = mpsc::channel(1);
        thread::Builder::new()
            .name("tidings-store".into())
            .spawn(move || write(writer, inbox))
            .map_err(|source| OpenError::Files { path, source })?;
        Ok(Self { jobs, readers: Arc::new(Mutex::new(connections)), pool: Pool::new(readers, READS_WAITING_MAX) })
    }

    /// Opens the database that is in this directory already; for programs that must not make one by mistake.
    ///
    /// # Errors
    /// As [`open`](Self::open), and when there is none.
    pub fn open_existing(data_dir: &Path) -> Result<Self, OpenError> {
        let path = data_dir.join(FILE);
        fs::metadata(&path).map_err(|source| OpenError::Files { path, source })?;
        Self::open(data_dir, &SqliteOptions::default())
    }

    fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Read<'_, T> {
        let readers = self.readers.clone();
        Box::pin(async move {
            let work = move || {
                let mut lent = Lent::from(readers);
                // As many reads run as there are connections, until they are closed.
                let Some(connection) = lent.connection.as_mut() else { return Err(StoreError::Closed) };
                let answer = connection.transaction().and_then(|transaction| read(&transaction));
                answer.map_err(StoreError::from)
            };
            self.pool.run(work).await?
        })
    }
}

impl Store for Sqlite {
    fn apply(&self, changes: Vec<Change>, now: Time) -> BoxFuture<'_, Vec<Result<Applied, ApplyError>>> {
        Box::pin(async move {
            let count = changes.len();
            let (answer, answered) = oneshot::channel();
            let sent = self.jobs.send(Job::Apply(Batch { changes, now, answer })).await.is_ok();
            let answers = if sent { answered.await.ok() } else { None };
            answers.unwrap_or_else(|| (0..count).map(|_| Err(StoreError::Closed.into())).collect())
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

    fn session(&self, token: Digested, now: Time) -> Read<'_, Option<SignedIn>> {
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

    fn invite(&self, code: Digested, now: Time) -> Read<'_, Option<InviteCard>> {
        self.read(move |db| reads::invite(db, code, now))
    }

    fn room_invite(&self, room: RoomId, person: PersonId, now: Time) -> Read<'_, Option<Invite>> {
        self.read(move |db| reads::room_invite(db, room, person, now))
    }

    fn rooms(&self, person: PersonId) -> Read<'_, Vec<Room>> {
        self.read(move |db| reads::rooms(db, person))
    }

    fn room(&self, room: RoomId, person: PersonId) -> Read<'_, Option<Room>> {
        self.read(move |db| reads::room_of(db, room, person))
    }

    fn members(&self, room: RoomId, reader: PersonId) -> Read<'_, Option<Vec<Member>>> {
        self.read(move |db| reads::members(db, room, reader))
    }

    fn member(&self, room: RoomId, person: PersonId) -> Read<'_, Option<Who>> {
        self.read(move |db| changes::member(db, room, person))
    }

    fn events(&self, room: RoomId, reader: Option<PersonId>, page: Page) -> Read<'_, Option<EventPage>> {
        self.read(move |db| reads::events(db, room, reader, page))
    }

    fn messages(&self, room: RoomId, reader: PersonId, page: Page) -> Read<'_, Option<MessagePage>> {
        self.read(move |db| reads::messages(db, room, reader, page))
    }

    fn message(&self, room: RoomId, reader: PersonId, message: MessageId) -> Read<'_, Option<Message>> {
        self.read(move |db| reads::message_of(db, room, reader, message))
    }
}

/// A connection lent to one read. It comes back even from a read that panics.
struct Lent {
    connection: Option<Connection>,
    home: Arc<Mutex<Vec<Connection>>>,
}

impl Lent {
    fn from(home: Arc<Mutex<Vec<Connection>>>) -> Self {
        let connection = home.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Self { connection, home }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.lock().unwrap_or_else(PoisonError::into_inner).extend(self.connection.take());
    }
}

/// The writer's thread; it ends when the store is closed or dropped.
fn write(mut db: Connection, mut inbox: mpsc::Receiver<Job>) {
    while let Some(job) = inbox.blocking_recv() {
        match job {
            // Whoever asked may have gone; the changes are made all the same.
            Job::Apply(batch) => _ = batch.answer.send(apply(&mut db, &batch.changes, batch.now)),
            Job::Close(done) => {
                drop(db);
                done.send(()).ok();
                return;
            }
        }
    }
}

fn apply(db: &mut Connection, changes: &[Change], now: Time) -> Vec<Result<Applied, ApplyError>> {
    match apply_together(db, changes, now) {
        Ok(answers) => answers,
        Err(error) if changes.len() <= 1 => changes.iter().map(|_| Err(error.clone().into())).collect(),
        // The transaction failed as a whole, perhaps by one change alone: the others get their own chance.
        Err(_) => changes.chunks(1).flat_map(|change| apply(db, change, now)).collect(),
    }
}

fn apply_together(
    db: &mut Connection,
    changes: &[Change],
    now: Time,
) -> Result<Vec<Result<Applied, ApplyError>>, StoreError> {
    let mut transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut answers = Vec::with_capacity(changes.len());
    for change in changes {
        let mut savepoint = transaction.savepoint()?;
        let answer = changes::apply(&savepoint, change, now);
        if let Err(ApplyError::Store(error)) = &answer
            && savepoint.is_autocommit()
        {
            // SQLite has taken the whole transaction back, with what was applied before.
            return Err(error.clone());
        }
        if answer.is_err() {
            savepoint.rollback()?;
        }
        savepoint.commit()?;
        answers.push(answer);
    }
    transaction.commit()?;
    Ok(answers)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(DATABASE_BUSY)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(connection)
}

fn connect_writer(path: &Path, options: &SqliteOptions) -> Result<Connection, OpenError> {
    let mut connection = connect(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    migrations::migrate(&mut connection)?;
    if let Some(pages_max) = options.pages_max {
        connection.pragma_update_and_check(None, "max_page_count", pages_max, |_| Ok(()))?;
    }
    Ok(connection)
}

fn connect_reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(path)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn make_dir(path: &Path) -> Result<(), OpenError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|source| OpenError::Files { path: path.into(), source })
}

/// SQLite would make the file too, but readable by everybody; its log files take over the mode of this one.
fn make_file(path: &Path) -> Result<(), OpenError> {
    let mut options = fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop).map_err(|source| OpenError::Files { path: path.into(), source })
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<PoolError> for StoreError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Busy => Self::Busy,
            PoolError::Unfinished => Self::Failed("a read was not finished".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use super::*;
    use crate::store::contract::{self, Fixture, World, runs_the_contract};

    struct Directory(tempfile::TempDir);

    impl Directory {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }
    }

    impl Fixture for Directory {
        fn open(&self) -> Arc<dyn Store> {
            Arc::new(Sqlite::open(self.0.path(), &SqliteOptions::default()).unwrap())
        }
    }

    runs_the_contract!(Directory::new());

    #[tokio::test]
    async fn a_closed_store_is_one_file_and_says_that_it_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let store = Sqlite::open(dir.path(), &SqliteOptions::default()).unwrap();
        store.is_set_up().await.unwrap();
        store.close().await;
        assert!(matches!(store.is_set_up().await, Err(StoreError::Closed)));
        let files: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(files, [FILE]);
    }

    #[tokio::test]
    async fn a_room_keeps_one_invite_however_often_it_is_renewed() {
        let dir = Directory::new();
        let world = World::over(dir.open()).await;
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
    #[test]
    fn the_database_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;

        let outer = tempfile::tempdir().unwrap();
        let dir = outer.path().join("data");
        let _store = Sqlite::open(&dir, &SqliteOptions::default()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&dir), 0o700);
        for file in fs::read_dir(&dir).unwrap() {
            let path = file.unwrap().path();
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
    }

    #[test]
    fn g1_a_commit_that_fails_is_an_error_for_all_of_it_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = connect_writer(&dir.path().join(FILE), &SqliteOptions::default()).unwrap();
        let fails = Arc::new(AtomicBool::new(true));
        let hook = fails.clone();
        writer.commit_hook(Some(move || hook.load(Relaxed))).unwrap();
        let now = Time::from_millis(0);
        let changes = [contract::set_up("Ana"), contract::set_up("Ben")];
        let answers = apply(&mut writer, &changes, now);
        assert!(
            answers.iter().all(|answer| matches!(answer, Err(ApplyError::Store(StoreError::Failed(_))))),
            "{answers:?}"
        );
        assert!(!reads::is_set_up(&writer).unwrap());

        fails.store(false, Relaxed);
        let answers = apply(&mut writer, &changes, now);
        assert!(matches!(&answers[..], [Ok(_), Err(ApplyError::Refused(_))]), "the writer goes on: {answers:?}");
    }

    #[tokio::test]
    async fn reads_that_panic_use_up_no_connection() {
        let dir = tempfile::tempdir().unwrap();
        let store = Sqlite::open(dir.path(), &SqliteOptions::default()).unwrap();
        for _ in 0..2 * READERS_MAX {
            let failed = store.read::<()>(|_| panic!("on purpose")).await;
            assert!(matches!(failed, Err(StoreError::Failed(_))));
        }
        assert!(!store.is_set_up().await.unwrap());
    }

    #[tokio::test]
    async fn a_write_that_does_not_fit_takes_nobody_along() {
        let dir = tempfile::tempdir().unwrap();
        let store = Sqlite::open(dir.path(), &SqliteOptions { pages_max: Some(120) }).unwrap();
        let world = World::over(Arc::new(store)).await;
        let too_large = "x".repeat(1 << 20);
        let answers = world.say_together(&["first", &too_large, "second"]).await;
        assert!(matches!(&answers[1], Err(ApplyError::Store(StoreError::Full))), "{:?}", answers[1]);
        assert!(answers[0].is_ok() && answers[2].is_ok(), "{answers:?}");
        assert_eq!(world.bodies().await, ["first", "second"]);
    }

    #[test]
    fn a_data_directory_that_cannot_be_made_is_named_in_the_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Sqlite::open(&file.join("data"), &SqliteOptions::default()).unwrap_err();
        assert!(matches!(error, OpenError::Files { .. }) && error.to_string().contains("data"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_database_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "this is not a database, however long it may be ".repeat(50)).unwrap();
        let error = Sqlite::open(dir.path(), &SqliteOptions::default()).unwrap_err();
        assert!(matches!(error, OpenError::Database(_)), "{error}");
    }
}
