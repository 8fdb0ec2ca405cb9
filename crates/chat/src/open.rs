//! How the chat is opened, wired, swept and closed. Stands above all that it puts together.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak, atomic::AtomicBool},
    thread,
    time::Duration,
};

use tokio::{sync::OnceCell, task::spawn_blocking};

use crate::{
    announce::Announcer,
    changes::SweepSessions,
    chat::{Chat, Parts},
    hashing::Hasher,
    history::RoomHistory,
    limits::{Rates, SESSION_SWEEP_INTERVAL, SESSION_SWEEP_OVERLAP, SWEEPS_PER_EXPIRY},
    model::{Clock, Code},
    rates::Limiters,
    security::SecurityLines,
    store::{OpenError, Store, StoreError, database::Database},
    writer::Writer,
};

/// Held by the one server that uses the data directory.
const LOCK_FILE: &str = "tidings.lock";

/// How the chat is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the data lies. Made by whoever starts the chat, for its owner alone (S66).
    pub data_dir: PathBuf,
    /// What tells the time.
    pub clock: Clock,
    /// How often people may do what.
    pub rates: Rates,
    /// Which database it is, and how that is opened.
    pub database: Database,
    /// How often sessions that ended in another process, or expired, are looked for; see [`SESSION_SWEEP_INTERVAL`].
    pub sweep_interval: Duration,
}

impl Options {
    /// The defaults, with the data in `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>, clock: Clock) -> Self {
        Self {
            data_dir: data_dir.into(),
            clock,
            rates: Rates::default(),
            database: Database::default(),
            sweep_interval: SESSION_SWEEP_INTERVAL,
        }
    }
}

impl Chat {
    /// Opens the database and starts the writer. Call inside a tokio runtime.
    ///
    /// # Errors
    /// When another server uses the data directory, or the database cannot be opened.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        let data_dir = options.data_dir.clone();
        // Before the database is opened, which may migrate it: that is not for a server that may not have it.
        let lock = spawn_blocking(move || lock(&data_dir)).await.unwrap_or(Err(OpenError::Stopping))?;
        let store = options.database.open(&options.data_dir).await?;
        Ok(Self::start(store, options, lock))
    }

    fn start(store: Arc<dyn Store>, options: Options, lock: File) -> Self {
        let Options { clock, rates, sweep_interval, .. } = options;
        let announcer = Arc::new(Announcer::default());
        let writer = Writer::start(store.clone(), announcer.clone(), clock.clone());
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let parts = Arc::new(Parts {
            room_options: Arc::new(RoomHistory::room_options(store.clone())),
            person_options: Arc::default(),
            store,
            writer,
            announcer,
            hasher: Hasher::new(cores),
            clock,
            limiters: Limiters::new(&rates),
            security: SecurityLines::new(),
            device_key: OnceCell::new(),
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

/// Holds the data directory for this server.
fn lock(data_dir: &Path) -> Result<File, OpenError> {
    let path = data_dir.join(LOCK_FILE);
    let failed = |source| OpenError::Files { path: path.clone(), source };
    let file = File::options().create(true).append(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(data_dir.into())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
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
            if let Err(error) = parts.writer.write(SweepSessions).await {
                tracing::warn!(%error, "expired sessions could not be ended");
            }
        }
        expiry_in -= 1;
        let now = parts.clock.now();
        // Each look reaches back over the last ones: another process takes the time when it begins to write and commits
        // later, so an end may come to light after a look that was made after its time. Ending a session twice does
        // nothing, and missing one would leave its sockets open.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_that_is_not_there_is_named_in_the_error() {
        let dir = tempfile::tempdir().unwrap();
        let error = lock(&dir.path().join("data")).unwrap_err();
        assert!(matches!(error, OpenError::Files { .. }) && error.to_string().contains("data"), "{error}");
    }
}
