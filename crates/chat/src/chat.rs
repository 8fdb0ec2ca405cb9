//! The chat as its program holds it: the parts, put together and started.

use std::{
    fs::{File, TryLockError},
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, Weak, atomic::AtomicBool},
    thread,
    time::Duration,
};

use tidings_hub::ChannelOptions;

use crate::{
    announce::Announcer,
    history::RoomHistory,
    ids::{PersonId, RoomId},
    limits::{
        Rates, SESSION_SWEEP_INTERVAL, SESSION_SWEEP_OVERLAP, SIGN_INS_FREE_PER_ACCOUNT, SIGN_INS_FREE_PER_ADDRESS,
        SIGN_INS_PER_ACCOUNT, SWEEPS_PER_EXPIRY,
    },
    passwords::Hasher,
    policy::room_options,
    rates::{Backoff, Buckets},
    secrets::{Code, Digested},
    store::{
        Change, Store, StoreError,
        sqlite::{OpenError, Sqlite, SqliteOptions},
    },
    time::Clock,
    writer::Writer,
};

/// Held by the one server that uses the data directory.
const LOCK_FILE: &str = "tidings.lock";

/// The chat. Cheap to clone.
#[derive(Clone)]
pub struct Chat(pub(crate) Arc<Parts>);

/// How the chat is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the data lies; made if need be, for its owner alone.
    pub data_dir: PathBuf,
    /// What tells the time.
    pub clock: Clock,
    /// How often people may do what.
    pub rates: Rates,
    /// How the database is opened.
    pub database: SqliteOptions,
    /// How often sessions that ended in another process, or expired, are looked for; see [`SESSION_SWEEP_INTERVAL`].
    pub sweep_interval: Duration,
}

/// Why the chat did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
}

pub(crate) struct Parts {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) writer: Writer,
    pub(crate) announcer: Arc<Announcer>,
    /// How the channels of rooms and of persons work.
    pub(crate) room_options: Arc<ChannelOptions>,
    pub(crate) person_options: Arc<ChannelOptions>,
    pub(crate) hasher: Hasher,
    pub(crate) clock: Clock,
    pub(crate) limiters: Limiters,
    /// Made anew at each start; good for one set-up.
    pub(crate) set_up_code: Code,
    /// Whether the first account is known to exist; it never stops existing.
    pub(crate) is_set_up: AtomicBool,
    lock: Mutex<Option<File>>,
}

/// Who did how much lately.
pub(crate) struct Limiters {
    pub(crate) posts: Buckets<PersonId>,
    pub(crate) typing: Buckets<(PersonId, RoomId)>,
    pub(crate) memberships: Buckets<PersonId>,
    pub(crate) rooms: Buckets<PersonId>,
    pub(crate) invites: Buckets<PersonId>,
    pub(crate) codes: Buckets<IpAddr>,
    /// By the digest of the e-mail address typed in, so that one with an account behaves like one without; and by where
    /// the request came from, so that a stranger elsewhere holds nobody up.
    pub(crate) accounts: Backoff<(Digested, IpAddr)>,
    /// The same from everywhere together, and much looser.
    pub(crate) accounts_anywhere: Buckets<Digested>,
    pub(crate) password_changes: Backoff<PersonId>,
    pub(crate) addresses: Backoff<IpAddr>,
}

impl Options {
    /// The defaults, with the data in `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>, clock: Clock) -> Self {
        Self {
            data_dir: data_dir.into(),
            clock,
            rates: Rates::default(),
            database: SqliteOptions::default(),
            sweep_interval: SESSION_SWEEP_INTERVAL,
        }
    }
}

impl Chat {
    /// Opens the database and starts the writer. Call inside a tokio runtime.
    ///
    /// # Errors
    /// When another server uses the data directory, or the database cannot be opened.
    pub fn open(options: Options) -> Result<Self, StartError> {
        let store = Sqlite::open(&options.data_dir, &options.database)?;
        let lock = lock(&options.data_dir.join(LOCK_FILE))?;
        Ok(Self::start(Arc::new(store), options, lock))
    }

    fn start(store: Arc<dyn Store>, options: Options, lock: File) -> Self {
        let Options { clock, rates, sweep_interval, .. } = options;
        let announcer = Arc::new(Announcer::default());
        let writer = Writer::start(store.clone(), announcer.clone(), clock.clone());
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let parts = Arc::new(Parts {
            room_options: room_options(Arc::new(RoomHistory::new(store.clone()))),
            person_options: Arc::default(),
            store,
            writer,
            announcer,
            hasher: Hasher::new(cores),
            clock,
            limiters: Limiters::new(&rates),
            set_up_code: Code::fresh(),
            is_set_up: AtomicBool::new(false),
            lock: Mutex::new(Some(lock)),
        });
        tokio::spawn(sweep(Arc::downgrade(&parts), sweep_interval));
        Self(parts)
    }

    /// Whether the chat can do its work: the store answers and the writer takes writes. For readiness probes.
    ///
    /// # Errors
    /// What stands in the way.
    pub async fn check(&self) -> Result<(), StoreError> {
        self.0.store.is_set_up().await?;
        if self.0.writer.is_open() { Ok(()) } else { Err(StoreError::Closed) }
    }

    /// How many writes wait for the writer, for metrics; at [`WRITES_WAITING_MAX`](crate::limits::WRITES_WAITING_MAX)
    /// the next one is refused.
    #[must_use]
    pub fn writes_waiting(&self) -> usize {
        self.0.writer.waiting()
    }

    /// Takes no more writes, finishes those that wait, and lets another server have the data directory.
    pub async fn close(&self) {
        self.0.writer.close().await;
        self.0.store.close().await;
        drop(self.0.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Limiters {
    fn new(rates: &Rates) -> Self {
        Self {
            posts: Buckets::new(rates.posts),
            typing: Buckets::new(rates.typing),
            memberships: Buckets::new(rates.memberships),
            rooms: Buckets::new(rates.rooms),
            invites: Buckets::new(rates.invites),
            codes: Buckets::new(rates.codes),
            accounts: Backoff::new(SIGN_INS_FREE_PER_ACCOUNT),
            accounts_anywhere: Buckets::new(SIGN_INS_PER_ACCOUNT),
            password_changes: Backoff::new(SIGN_INS_FREE_PER_ACCOUNT),
            addresses: Backoff::new(SIGN_INS_FREE_PER_ADDRESS),
        }
    }
}

fn lock(path: &std::path::Path) -> Result<File, OpenError> {
    let files = |source| OpenError::Files { path: path.into(), source };
    let file = File::options().create(true).append(true).open(path).map_err(files)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(path.parent().unwrap_or(path).into())),
        Err(TryLockError::Error(source)) => Err(files(source)),
    }
}

/// Ends what has expired, and closes the sockets of sessions that ended here or in another process, such as the command
/// line's change of a password.
async fn sweep(parts: Weak<Parts>, interval: Duration) {
    let mut ticks = tokio::time::interval(interval);
    let mut expiry_in = 0;
    let Some(mut since) = parts.upgrade().map(|parts| parts.clock.now()) else { return };
    loop {
        ticks.tick().await;
        let Some(parts) = parts.upgrade().filter(|parts| parts.writer.is_open()) else { return };
        if expiry_in == 0 {
            expiry_in = SWEEPS_PER_EXPIRY;
            if let Err(error) = parts.writer.write(Change::SweepSessions).await {
                tracing::warn!(%error, "expired sessions could not be ended");
            }
        }
        expiry_in -= 1;
        let now = parts.clock.now();
        // Cutting off a session twice does nothing.
        match parts.store.sessions_ended(since.minus(SESSION_SWEEP_OVERLAP)).await {
            Ok(ended) => {
                for session in ended {
                    parts.announcer.end_session(session).await;
                }
                since = now;
            }
            Err(error) => tracing::warn!(%error, "ended sessions could not be looked for"),
        }
    }
}
