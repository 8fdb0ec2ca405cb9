//! The store in one SQLite file: one thread that writes, a few connections that read. All that knows SQLite is in this
//! folder.
//!
//! Write-ahead log with `synchronous=FULL`: a commit is synced to the disk before it is answered. The file is readable by
//! its owner alone.

pub(crate) mod archive;
mod commit;
mod earlier;
mod mark;
mod migrations;
mod reads;
mod reserve;
mod tables;
pub(crate) mod transfer;
mod values;

#[cfg(any(test, feature = "test-kit"))]
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use futures_util::future::{BoxFuture, pending};
use rusqlite::{Connection, OpenFlags, config::DbConfig};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::spawn_blocking,
};

use self::{
    commit::{Committer, Job, Work},
    mark::{Keeper, MarkError},
    migrations::Schema,
    reserve::Reserve,
    values::store_error,
};
use super::{Batch, Done, OpenError, Read, Store, StoreError, database::Opener, state::State, transfer::PutBack};
use crate::{
    blocking::BlockingPool,
    limits::{DATABASE_BUSY, READERS_MAX, READS_WAITING_MAX},
    model::{
        ActivityPage, ActivityQuery, Arrival, Credentials, Denied, EditPage, Email, Emoji, Ended, EventPage, Invite,
        InviteCard, KeyId, Member, Message, MessageId, MessagePage, PageQuery, PeopleKey, Person, PersonId,
        PersonalToken, Profile, ReactedPage, Room, RoomId, RoomPage, SecretDigest, Session, SessionId, SessionKey,
        SignedIn, ThreadPage, ThreadsPage, Time, TokenBearer, Who,
    },
};

/// The database's name inside the data directory.
pub(super) const FILE: &str = "tidings.db";
/// Between two looks at a server that is starting.
const GUEST_PAUSE: Duration = Duration::from_millis(50);
/// Prepared statements kept by each connection: more than we have.
const STATEMENTS_MAX: usize = 96;

/// The store in one SQLite file.
#[derive(Debug)]
pub(crate) struct Sqlite {
    jobs: mpsc::Sender<Job>,
    state: watch::Receiver<State>,
    /// Connections that nobody reads with just now; `None` when the store is closed.
    readers: Arc<Mutex<Option<Vec<Connection>>>>,
    pool: BlockingPool,
    #[cfg(any(test, feature = "test-kit"))]
    reads: AtomicU64,
}

/// How the database is opened.
#[derive(Debug, Clone, Default)]
pub struct SqliteOptions {
    /// The database may not grow beyond so many pages of 4 KiB; without it, the disk is the limit.
    pub pages_max: Option<u32>,
}

impl Sqlite {
    /// Opens the database in this directory; who holds the directory also brings its schema up to date.
    ///
    /// # Errors
    /// When the file cannot be used, or the database is not one of ours, or newer than we are.
    pub(crate) async fn open(data_dir: &Path, options: &SqliteOptions, opener: Opener) -> Result<Self, OpenError> {
        let (data_dir, options) = (data_dir.to_owned(), options.clone());
        // Opening reads, syncs and may migrate: not for a thread that others wait for.
        let opening = spawn_blocking(move || Self::open_now(&data_dir, &options, opener));
        opening.await.unwrap_or(Err(OpenError::Stopping))
    }

    fn open_now(data_dir: &Path, options: &SqliteOptions, opener: Opener) -> Result<Self, OpenError> {
        let path = data_dir.join(FILE);
        find_file(data_dir, opener).map_err(|error| match error {
            Some(source) => OpenError::Files { path: path.clone(), source },
            None => OpenError::Emptied(path.clone()),
        })?;
        let (writer, keeper) = match opener {
            Opener::Server { .. } | Opener::Holder => hold_by_the_reserve(data_dir, options)?,
            Opener::Guest => visit(data_dir, DATABASE_BUSY)?,
        };
        let readers = thread::available_parallelism().map_or(1, usize::from).clamp(2, READERS_MAX);
        let connections = (0..readers).map(|_| connect_reader(&path)).collect::<Result<Vec<_>, _>>()?;
        let reserve = match opener {
            Opener::Server { .. } => Reserve::at(data_dir),
            Opener::Holder | Opener::Guest => Reserve::of_the_server(data_dir),
        };
        let failing = reserve.is_open().then_some(StoreError::Full);
        let (told, state) = watch::channel(State { failing, lost: None });
        let committer = Committer::new(writer, keeper, reserve, told);
        let (jobs, inbox) = mpsc::channel(1);
        thread::Builder::new()
            .name("tidings-store".into())
            .spawn(move || committer.run(inbox))
            .map_err(|source| OpenError::Files { path, source })?;
        let pool = BlockingPool::new(readers, READS_WAITING_MAX);
        let readers = Arc::new(Mutex::new(Some(connections)));
        Ok(Self {
            jobs,
            state,
            readers,
            pool,
            #[cfg(any(test, feature = "test-kit"))]
            reads: AtomicU64::default(),
        })
    }

    fn is_closed(&self) -> bool {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Read<'_, T> {
        let readers = self.readers.clone();
        #[cfg(any(test, feature = "test-kit"))]
        self.reads.fetch_add(1, Relaxed);
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
    fn apply(&self, _lane: usize, batch: Batch, now: Time) -> BoxFuture<'_, Result<Done, StoreError>> {
        Box::pin(async move {
            let (done, applied) = oneshot::channel();
            self.jobs.send(Job::Apply(Work { batch, now, done })).await.map_err(|_| StoreError::Closed)?;
            applied.await.map(Done::from).map_err(|_| StoreError::Closed)
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // The readers first, those on loan too: the last connection to close brings the log into the database and
            // removes it, and that must be the writer's.
            self.readers.lock().unwrap_or_else(PoisonError::into_inner).take();
            self.pool.close().await;
            let (done, closed) = oneshot::channel();
            if self.jobs.send(Job::Close(done)).await.is_ok() {
                closed.await.ok();
            }
        })
    }

    #[cfg(any(test, feature = "test-kit"))]
    fn reads_made(&self) -> u64 {
        self.reads.load(Relaxed)
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.jobs.is_closed() { Err(StoreError::Closed) } else { self.state.borrow().check() }
    }

    fn look_after(&self) {
        // While batches wait, each of them is a look too.
        self.jobs.try_send(Job::LookAfter).ok();
    }

    fn empty_log(&self) -> BoxFuture<'_, ()> {
        // Closed, it has no log.
        Box::pin(async { self.jobs.send(Job::EmptyLog).await.unwrap_or_default() })
    }

    fn failed(&self) -> BoxFuture<'_, String> {
        let lost = State::until_lost(self.state.clone());
        Box::pin(async move {
            match lost.await {
                Some(why) => why,
                None if self.is_closed() => pending().await,
                None => "the thread that writes the database ended".to_owned(),
            }
        })
    }

    fn is_set_up(&self) -> Read<'_, bool> {
        self.read(reads::is_set_up)
    }

    fn people(&self) -> Read<'_, Vec<Person>> {
        self.read(reads::people)
    }

    fn people_alike(&self, asking: PersonId, look: String, limit: u32) -> Read<'_, Vec<Person>> {
        self.read(move |db| reads::people_alike(db, asking, &look, limit))
    }

    fn profiles(&self, asking: PersonId, people: Vec<PersonId>) -> Read<'_, Vec<Profile>> {
        self.read(move |db| reads::profiles(db, asking, &people))
    }

    fn personal_tokens(&self, person: PersonId) -> Read<'_, Vec<PersonalToken>> {
        self.read(move |db| reads::personal_tokens(db, person))
    }

    fn token_bearer(&self, digest: SecretDigest) -> Read<'_, Option<TokenBearer>> {
        self.read(move |db| reads::token_bearer(db, digest))
    }

    fn session_ended(&self, token: SecretDigest) -> Read<'_, Option<Ended>> {
        self.read(move |db| reads::session_ended(db, token))
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

    fn arrival(&self, session: SessionKey, rooms_max: u32, now: Time) -> Read<'_, Option<Arrival>> {
        self.read(move |db| reads::arrival(db, session, rooms_max, now))
    }

    fn sessions(&self, person: PersonId, now: Time) -> Read<'_, Vec<Session>> {
        self.read(move |db| reads::sessions(db, person, now))
    }

    fn sessions_ended(&self, since: Time) -> Read<'_, Vec<SessionId>> {
        self.read(move |db| reads::sessions_ended(db, since))
    }

    fn denials(&self) -> Read<'_, Vec<Denied>> {
        self.read(reads::denials)
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

    fn direct_of(&self, people: PeopleKey, person: PersonId) -> Read<'_, Option<Room>> {
        self.read(move |db| match reads::direct_of(db, people)? {
            Some(room) => reads::room_of(db, room, person),
            None => Ok(None),
        })
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

    fn events(
        &self,
        room: RoomId,
        reader: Option<PersonId>,
        page: PageQuery,
        bytes_max: usize,
    ) -> Read<'_, Option<EventPage>> {
        self.read(move |db| reads::events(db, room, reader, page, bytes_max))
    }

    fn last_before(&self, room: RoomId, reader: PersonId, time: Time) -> Read<'_, Option<u64>> {
        self.read(move |db| reads::last_before(db, room, reader, time))
    }

    fn messages(&self, room: RoomId, reader: PersonId, page: PageQuery) -> Read<'_, Option<MessagePage>> {
        self.read(move |db| reads::messages(db, room, reader, page))
    }

    fn message(&self, room: RoomId, reader: PersonId, message: MessageId) -> Read<'_, Option<Message>> {
        self.read(move |db| reads::message_of(db, room, reader, message))
    }

    fn thread(&self, room: RoomId, reader: PersonId, root: MessageId, page: PageQuery) -> Read<'_, Option<ThreadPage>> {
        self.read(move |db| reads::thread(db, room, reader, root, page))
    }

    fn threads(&self, person: PersonId, before: Option<MessageId>, limit: u32) -> Read<'_, ThreadsPage> {
        self.read(move |db| reads::threads(db, person, before, limit))
    }

    fn reacted(
        &self,
        room: RoomId,
        reader: PersonId,
        message: MessageId,
        emoji: Emoji,
    ) -> Read<'_, Option<ReactedPage>> {
        self.read(move |db| reads::reacted_with(db, room, reader, message, &emoji))
    }

    fn edits(&self, room: RoomId, reader: PersonId, message: MessageId, page: PageQuery) -> Read<'_, Option<EditPage>> {
        self.read(move |db| reads::edits(db, room, reader, message, page))
    }

    fn activity(&self, person: PersonId, query: ActivityQuery) -> Read<'_, ActivityPage> {
        self.read(move |db| reads::activity(db, person, query))
    }

    fn has_deleted_by(&self, time: Time) -> Read<'_, bool> {
        self.read(move |db| reads::has_deleted_by(db, time))
    }

    fn last_digest_key(&self) -> Read<'_, Option<KeyId>> {
        self.read(reads::last_digest_key)
    }
}

/// A connection of one read. It goes back to the others even from a read that panics, unless they are closed.
struct PooledConnection {
    connection: Option<Connection>,
    others: Arc<Mutex<Option<Vec<Connection>>>>,
}

impl PooledConnection {
    fn from(others: Arc<Mutex<Option<Vec<Connection>>>>) -> Self {
        let connection = others.lock().unwrap_or_else(PoisonError::into_inner).as_mut().and_then(Vec::pop);
        Self { connection, others }
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(others) = others.as_mut() {
            others.extend(self.connection.take());
        }
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    // Not making one: who may, has made the file.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(DATABASE_BUSY)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // Otherwise SQLite plans a statement anew for every value that is compared with a column, which costs several times as
    // much as to run it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

/// Opens the database for who holds the data directory: migrates, and begins a new run; see [`mark`].
fn hold(data_dir: &Path, options: &SqliteOptions, renew: Option<PutBack>) -> Result<(Connection, Keeper), OpenError> {
    let mut writer = open_held(data_dir, options)?;
    mark::note(&writer).map_err(broken)?.refuse(renew)?;
    let keeper = Keeper::start(data_dir, &mut writer, renew).map_err(|error| unmarked(data_dir, error))?;
    Ok((writer, keeper))
}

/// An empty database of this version.
#[cfg(test)]
pub(super) fn newest() -> Connection {
    let mut db = Connection::open_in_memory().unwrap();
    migrations::migrate(&mut db).unwrap();
    db
}

/// What comes before the run: nothing is opened that would become a mixture, and the schema is brought up to date.
fn open_held(data_dir: &Path, options: &SqliteOptions) -> Result<Connection, OpenError> {
    let path = data_dir.join(FILE);
    if mark::has_the_log_of_another(data_dir) {
        return Err(OpenError::AnothersLog(path));
    }
    mark::forget_what_another_saved(data_dir).map_err(|error| unmarked(data_dir, error.into()))?;
    connect_writer(&path, options)
}

/// As [`hold`]; on a full disk by the room that is kept, since who cannot start cannot take rights away either.
fn hold_by_the_reserve(data_dir: &Path, options: &SqliteOptions) -> Result<(Connection, Keeper), OpenError> {
    let mut reserve = Reserve::of_the_server(data_dir);
    loop {
        match hold(data_dir, options, None) {
            Err(error) if is_full(&error) && reserve.give() => {}
            other => return other,
        }
    }
}

fn is_full(error: &OpenError) -> bool {
    match error {
        OpenError::Files { source, .. } => source.kind() == std::io::ErrorKind::StorageFull,
        OpenError::Database { source, .. } => {
            source.downcast_ref().is_some_and(|error| values::kind(error) == Some(StoreError::Full))
        }
        _ => false,
    }
}

/// Opens the database beside the server that holds the data directory.
fn visit(data_dir: &Path, patience: Duration) -> Result<(Connection, Keeper), OpenError> {
    let path = data_dir.join(FILE);
    // A server that is starting has yet to migrate, and to say which database it has.
    let deadline = Instant::now() + patience;
    loop {
        let writer = open_writer(&path).map_err(broken)?;
        let refused = match migrations::look(&writer).map_err(broken)? {
            Schema::Newest => {
                mark::note(&writer).map_err(broken)?.refuse(None)?;
                match Keeper::join(data_dir, &writer).map_err(|error| unmarked(data_dir, error))? {
                    Some(keeper) => return Ok((writer, keeper)),
                    None => OpenError::NotTheServers,
                }
            }
            Schema::Older { found } => OpenError::Older { found, ours: migrations::newest() },
            other => return Err(refusal(&other)),
        };
        if Instant::now() > deadline {
            return Err(refused);
        }
        thread::sleep(GUEST_PAUSE);
    }
}

fn open_writer(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // What is erased is overwritten.
    connection.pragma_update(None, "secure_delete", "ON")?;
    Ok(connection)
}

fn connect_writer(path: &Path, options: &SqliteOptions) -> Result<Connection, OpenError> {
    bring_up_to_date(open_writer(path).map_err(broken)?, options)
}

fn bring_up_to_date(mut connection: Connection, options: &SqliteOptions) -> Result<Connection, OpenError> {
    match migrations::migrate(&mut connection).map_err(broken)? {
        Schema::Newest => {}
        other => return Err(refusal(&other)),
    }
    earlier::complete(&mut connection).map_err(broken)?;
    if let Some(pages_max) = options.pages_max {
        connection.pragma_update_and_check(None, "max_page_count", pages_max, |_| Ok(())).map_err(broken)?;
    }
    Ok(connection)
}

/// Why a database with this schema is not opened.
fn refusal(schema: &Schema) -> OpenError {
    match *schema {
        Schema::Newer { found } => OpenError::Newer { found, known: migrations::newest() },
        Schema::Older { found } => OpenError::Older { found, ours: migrations::newest() },
        Schema::Foreign | Schema::Newest => OpenError::Foreign,
    }
}

fn unmarked(data_dir: &Path, error: MarkError) -> OpenError {
    match error {
        MarkError::Files(source) => OpenError::Files { path: data_dir.join(mark::MARK_FILE), source },
        MarkError::Database(error) => broken(error),
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

/// Whether there is a database in the data folder.
pub(super) fn is_there(data_dir: &Path) -> bool {
    data_dir.join(FILE).metadata().is_ok_and(|metadata| metadata.len() > 0)
}

/// What a server would be refused for that opens it, as far as that shows without changing anything; for a data directory that
/// nobody has.
pub(super) fn look(data_dir: &Path, may_be_new: bool) -> Result<(), OpenError> {
    let path = data_dir.join(FILE);
    if !is_there(data_dir) {
        let was_emptied = mark::is_in(data_dir) || !may_be_new && path.exists();
        return if was_emptied { Err(OpenError::Emptied(path)) } else { Ok(()) };
    }
    if mark::has_the_log_of_another(data_dir) {
        return Err(OpenError::AnothersLog(path));
    }
    let db = connect_reader(&path)?;
    match migrations::look(&db).map_err(broken)? {
        Schema::Newest => mark::note(&db).map_err(broken)?.refuse(None),
        // An early one has no notes yet.
        Schema::Older { .. } => mark::note(&db).unwrap_or_default().refuse(None),
        other => Err(refusal(&other)),
    }
}

/// Whether there is a database to open; a server makes one. Fails without a word of the system where there was one and is
/// no more.
fn find_file(data_dir: &Path, opener: Opener) -> Result<(), Option<std::io::Error>> {
    let path = data_dir.join(FILE);
    let bytes = match fs::metadata(&path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(Some(error)),
    };
    match opener {
        _ if bytes > 0 => Ok(()),
        Opener::Server { may_be_new } if mark::is_in(data_dir) || !may_be_new && path.exists() => Err(None),
        Opener::Server { .. } => make_file(&path).map_err(Some),
        Opener::Holder | Opener::Guest if path.exists() => Err(None),
        Opener::Holder | Opener::Guest => Err(Some(std::io::ErrorKind::NotFound.into())),
    }
}

/// SQLite would make the file too, but readable by everybody; its log files take over the mode of this one.
fn make_file(path: &Path) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.create(true).append(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

#[cfg(test)]
mod tests {
    use std::{
        cell::{Cell, RefCell},
        convert::Infallible,
        sync::atomic::AtomicBool,
    };

    use futures_util::future::join_all;
    use rusqlite::trace::{TraceEvent, TraceEventCodes};

    use super::*;
    use crate::{
        changes::Post,
        model::{ClientId, NewMessage},
        store::{
            Applied, Change, ChangeError, ChangeResult, Submission, Tables,
            contract::{self, Fixture, World, runs_the_contract},
            submit,
        },
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
        Sqlite::open(data_dir, &SqliteOptions::default(), SERVER).await
    }

    const SERVER: Opener = Opener::Server { may_be_new: true };

    /// The thread that writes, without its thread.
    fn committer(data_dir: &Path, prepare: impl FnOnce(&mut Connection)) -> Committer {
        make_file(&data_dir.join(FILE)).unwrap();
        let (mut writer, keeper) = hold(data_dir, &SqliteOptions::default(), None).unwrap();
        prepare(&mut writer);
        Committer::new(writer, keeper, Reserve::none(), watch::Sender::new(State::default()))
    }

    fn look(data_dir: &Path) -> Connection {
        Connection::open(data_dir.join(FILE)).unwrap()
    }

    runs_the_contract!(Directory::new());

    #[tokio::test]
    async fn a_closed_store_is_one_file_and_says_that_it_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path()).await.unwrap();
        store.is_set_up().await.unwrap();
        store.close().await;
        assert!(matches!(store.is_set_up().await, Err(StoreError::Closed)));
        let mut files: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        files.sort();
        assert_eq!(files, [reserve::RESERVE_FILE, FILE, mark::MARK_FILE], "and no log");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_store_that_is_closed_while_it_is_read_is_one_file_too() {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(open(dir.path()).await.unwrap());
        let (reading, begun) = oneshot::channel();
        let (go_on, wait) = std::sync::mpsc::channel::<()>();
        let reader = tokio::spawn({
            let store = store.clone();
            async move {
                let read = move |_: &Connection| {
                    reading.send(()).unwrap();
                    wait.recv().unwrap();
                    Ok(())
                };
                store.read(read).await
            }
        });
        begun.await.unwrap();
        let closing = tokio::spawn({
            let store = store.clone();
            async move { store.close().await }
        });
        while !matches!(store.is_set_up().await, Err(StoreError::Closed)) {
            tokio::task::yield_now().await;
        }
        assert!(!closing.is_finished(), "it waits for the one that reads");
        go_on.send(()).unwrap();
        closing.await.unwrap();
        assert_eq!(reader.await.unwrap(), Ok(()));
        assert!(!dir.path().join("tidings.db-wal").exists());
    }

    #[tokio::test]
    async fn a_batch_that_meets_a_locked_database_waits_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = committer(dir.path(), |writer| writer.busy_timeout(Duration::from_millis(200)).unwrap());
        let other = look(dir.path());
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let (mut batch, outcomes): (Vec<_>, Vec<_>) = (0..50).map(|_| submit(contract::set_up("Ana"))).unzip();
        let began = Instant::now();
        writer.apply(&mut batch, Time::from_millis(0));
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        batch.into_iter().for_each(Submission::answer);
        for outcome in join_all(outcomes).await {
            assert!(matches!(outcome, Err(ChangeError::Store(StoreError::Busy))), "{outcome:?}");
        }
        assert!(writer.check().is_none(), "a moment, and no failure");
    }

    #[tokio::test]
    async fn a_change_that_panics_is_an_error_for_its_sender_alone() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path()).await.unwrap();
        let (first, made) = submit(contract::set_up("Ana"));
        let (faulty, failed) = submit(Panics);
        let (second, refused) = submit(contract::set_up("Ben"));
        let batch = store.apply(0, vec![first, faulty, second], Time::from_millis(0)).await.unwrap().batch;
        batch.into_iter().for_each(Submission::answer);
        assert!(made.await.is_ok());
        assert!(matches!(failed.await, Err(ChangeError::Store(StoreError::Failed(_)))));
        assert!(matches!(refused.await, Err(ChangeError::Refused(_))));
        assert!(store.is_set_up().await.unwrap());
    }

    #[tokio::test]
    async fn a_writers_thread_that_ends_is_a_failure_of_the_store() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path()).await.unwrap();
        assert_eq!(store.check(), Ok(()));
        let (done, gone) = oneshot::channel();
        drop(gone);
        // Nobody takes the batch, so it is dropped in the thread.
        let work = Work { batch: vec![submit(PanicsWhenDropped).0], now: Time::from_millis(0), done };
        store.jobs.send(Job::Apply(work)).await.ok().unwrap();
        assert!(store.failed().await.contains("thread"));
        assert_eq!(store.check(), Err(StoreError::Closed));
        store.close().await;
    }

    #[tokio::test]
    async fn a_database_that_is_removed_or_replaced_under_a_server_takes_no_more_writes() {
        for lose in [
            |path: &Path| fs::remove_file(path).unwrap(),
            |path: &Path| {
                fs::copy(path, path.with_extension("copy")).unwrap();
                fs::rename(path.with_extension("copy"), path).unwrap();
            },
            |path: &Path| fs::remove_file(path.with_extension("db-wal")).unwrap(),
            |path: &Path| fs::remove_file(path.with_extension("db-shm")).unwrap(),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let store = open(dir.path()).await.unwrap();
            store.look_after();
            assert_eq!(store.check(), Ok(()));
            lose(&dir.path().join(FILE));
            let (change, outcome) = submit(contract::set_up("Ana"));
            let batch = store.apply(0, vec![change], Time::from_millis(0)).await.unwrap().batch;
            batch.into_iter().for_each(Submission::answer);
            assert!(matches!(outcome.await, Err(ChangeError::Store(StoreError::Failed(_)))));
            assert!(store.failed().await.contains("removed or replaced"));
            assert!(store.check().is_err());
        }
    }

    #[tokio::test]
    async fn a_database_that_is_removed_while_nobody_writes_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path()).await.unwrap();
        fs::remove_file(dir.path().join(FILE)).unwrap();
        store.look_after();
        assert!(store.failed().await.contains("removed or replaced"));
    }

    #[tokio::test]
    async fn an_empty_database_is_not_a_new_one_where_there_was_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        fs::write(&path, "").unwrap();
        let expected = Opener::Server { may_be_new: false };
        let options = SqliteOptions::default();
        assert!(matches!(Sqlite::open(dir.path(), &options, expected).await, Err(OpenError::Emptied(_))));
        open(dir.path()).await.unwrap().close().await;
        fs::remove_file(&path).unwrap();
        assert!(matches!(open(dir.path()).await, Err(OpenError::Emptied(_))), "its mark is there");
        fs::write(&path, "").unwrap();
        assert!(matches!(open(dir.path()).await, Err(OpenError::Emptied(_))));
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
    }

    #[tokio::test]
    async fn a_guest_neither_migrates_nor_makes_anything() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let missing = Sqlite::open_now(dir.path(), &SqliteOptions::default(), Opener::Guest);
        assert!(matches!(missing, Err(OpenError::Files { .. })));
        assert!(!path.exists());
        make_file(&path).unwrap();
        let db = look(dir.path());
        migrations::migrate_to(&db, 1);
        drop(db);
        assert!(matches!(visit(dir.path(), Duration::ZERO), Err(OpenError::Older { found: 1, .. })));
        assert_eq!(migrations::look(&look(dir.path())).unwrap(), Schema::Older { found: 1 });
    }

    struct Panics;

    impl Change for Panics {
        type Answer = ();
        type Refusal = Infallible;

        fn apply(&self, _: &mut dyn Tables, _: Time) -> ChangeResult<Self> {
            panic!("on purpose")
        }
    }

    struct PanicsWhenDropped;

    impl Change for PanicsWhenDropped {
        type Answer = ();
        type Refusal = Infallible;

        fn apply(&self, _: &mut dyn Tables, _: Time) -> ChangeResult<Self> {
            Ok(Applied::quietly(()))
        }
    }

    impl Drop for PanicsWhenDropped {
        fn drop(&mut self) {
            panic!("on purpose");
        }
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
        make_file(&dir.path().join(FILE)).unwrap();
        let (writer, _keeper) = hold(dir.path(), &SqliteOptions::default(), None).unwrap();
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
        let fails = Arc::new(AtomicBool::new(true));
        let hook = fails.clone();
        let mut writer = committer(dir.path(), |writer| writer.commit_hook(Some(move || hook.load(Relaxed))).unwrap());
        let now = Time::from_millis(0);
        let changes = [contract::set_up("Ana"), contract::set_up("Ben")];
        let mut outcomes = async || {
            let (mut batch, outcomes): (Vec<_>, Vec<_>) = changes.clone().map(submit).into_iter().unzip();
            writer.apply(&mut batch, now);
            batch.into_iter().for_each(Submission::answer);
            (join_all(outcomes).await, reads::is_set_up(&look(dir.path())).unwrap())
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
    fn a_post_is_three_statements_and_who_writes_is_asked_once() {
        thread_local!(static RUN: RefCell<Vec<String>> = RefCell::default());
        let dir = tempfile::tempdir().unwrap();
        let (set_up, post) = contract::set_up_and_first_post();
        let posts = || {
            [post.clone(), post.clone(), post.clone()].map(|Post(message)| {
                submit(Post(NewMessage { id: MessageId::fresh(), client_id: ClientId::fresh(), ..message })).0
            })
        };
        let record = |event: TraceEvent<'_>| {
            if let TraceEvent::Stmt(_, sql) = event {
                RUN.with_borrow_mut(|run| run.extend(sql.split_whitespace().next().map(str::to_owned)));
            }
        };
        let mut writer = committer(dir.path(), |writer| {
            writer.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(record)).unwrap();
        });
        writer.apply(&mut [submit(set_up).0], Time::from_millis(0));
        RUN.take();
        writer.apply(&mut posts(), Time::from_millis(0));
        // Whether it was sent before, who writes, whether the room is archived, its last number.
        let first = ["SELECT", "SELECT", "SELECT", "SELECT", "INSERT", "INSERT"];
        let further = ["SELECT", "INSERT", "INSERT"];
        let (last_number, commits) = ("UPDATE", "UPDATE");
        let (begin, end) = (["BEGIN", "PRAGMA"], [last_number, commits, "COMMIT"]);
        assert_eq!(RUN.take(), [&begin[..], &first, &further, &further, &end].concat());
        writer.apply(&mut posts(), Time::from_millis(0));
        let first = ["SELECT", "SELECT", "INSERT", "INSERT"];
        assert_eq!(RUN.take(), [&begin[..], &first, &further, &further, &end].concat(), "the next batch");
    }

    #[tokio::test]
    async fn who_is_no_member_any_more_by_the_hand_of_another_program_posts_no_more() {
        let dir = Directory::new();
        let world = World::over(dir.open().await).await;
        assert!(world.say_together(&["first"]).await.remove(0).is_ok());
        let db = look(dir.0.path());
        db.execute("DELETE FROM memberships", []).unwrap();
        assert!(matches!(world.say_together(&["second"]).await.remove(0), Err(ChangeError::Refused(_))));
    }

    #[test]
    fn the_list_of_rooms_costs_what_it_shows_however_many_rooms_and_members_there_are() {
        thread_local!(static STEPS: Cell<u32> = const { Cell::new(0) });
        let dir = tempfile::tempdir().unwrap();
        let (set_up, _) = contract::set_up_and_first_post();
        let ana = set_up.person.id;
        committer(dir.path(), |_| {}).apply(&mut [submit(set_up).0], Time::from_millis(0));
        let mut writer = connect_writer(&dir.path().join(FILE), &SqliteOptions::default()).unwrap();
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
        let store = Sqlite::open(dir.path(), &SqliteOptions { pages_max: Some(120) }, SERVER).await.unwrap();
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
            SELECT room, 3, 'message.of-tomorrow', message, actor, subject, time FROM room_events WHERE number = 2;",
        )
        .unwrap();
        world.say_together(&["after"]).await;
        let kinds: Vec<_> =
            world.general_events().await.iter().map(|event| (event.number, event.kind.name())).collect();
        let posted = "message.posted";
        assert_eq!(kinds, [(1, "room.created"), (2, posted), (3, "unknown"), (4, posted)]);
    }
}
