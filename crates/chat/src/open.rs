//! How the chat is opened, wired, swept and closed. Stands above all that it puts together.

use std::{
    fs::{File, Metadata, TryLockError},
    io::ErrorKind,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak, atomic::AtomicBool},
    thread,
    time::Duration,
};

use tokio::{sync::OnceCell, task::spawn_blocking, time::Instant};

use crate::{
    announce::{Announcer, Audience},
    changes::{KeyDigests, SweepDenials, SweepSessions},
    chat::{Chat, Parts},
    erasing,
    following::Following,
    hashing::Hasher,
    history::RoomHistory,
    limits::{DATA_DIR_BUSY, Rates, SESSION_SWEEP_INTERVAL, SESSION_SWEEP_OVERLAP, SWEEPS_PER_EXPIRY},
    model::{Clock, Code, MessageKey, Time},
    ownership::give_to_the_owner_of,
    rates::Limiters,
    security::SecurityLines,
    standing::Standing,
    store::{
        OpenError, Store, StoreError,
        database::{Database, Opener},
    },
    supervision::{Failures, spawn_again},
    writer::{Teller, Writer},
};

/// Held by the one server that uses the data directory.
const LOCK_FILE: &str = "tidings.lock";
/// Between two tries to hold it.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// How the chat is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the data lies. Made by whoever starts the chat, for its owner alone (S66).
    pub data_dir: PathBuf,
    /// What tells the time that messages, sessions and invites are stamped with.
    pub clock: Clock,
    /// What tells how long ago something was, for limits: somebody who has to wait a minute waits a minute, whatever happens to
    /// the clock on the wall.
    pub steady: Clock<std::time::Instant>,
    /// How often people may do what.
    pub rates: Rates,
    /// Which database it is, and how that is opened.
    pub database: Database,
    /// Whether an empty database file may be one that was just made. Not when other files say that a server has been at work
    /// here: then it was emptied.
    pub may_be_new: bool,
    /// The key of the digests by which a send is recognised that comes again. Without the one that they were made with, such
    /// sends are recognised by their author and client id alone.
    pub message_key: MessageKey,
    /// How often sessions that ended in another process, or expired, and deleted texts are looked for; see [`SESSION_SWEEP_INTERVAL`].
    pub sweep_interval: Duration,
}

impl Options {
    /// The defaults, with the data in `data_dir`, and a key of messages that nobody keeps.
    pub fn new(data_dir: impl Into<PathBuf>, clock: Clock) -> Self {
        Self {
            data_dir: data_dir.into(),
            clock,
            steady: Clock::steady(),
            rates: Rates::default(),
            database: Database::default(),
            may_be_new: true,
            message_key: MessageKey::fresh(),
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
        // Before the database is opened, which may migrate it: that is not for a server that may not have it.
        let lock = hold(&options.data_dir).await?;
        let opener = Opener::Server { may_be_new: options.may_be_new };
        let store = options.database.open(&options.data_dir, opener).await?;
        let (announcer, standing) = (Arc::<Announcer>::default(), Arc::<Standing>::default());
        let following = match store.clone().shared() {
            Some(database) => {
                let following = Following::new(database, announcer.clone(), standing.clone());
                following.begin().await.map_err(|error| OpenError::Unreachable(error.to_string()))?;
                Some(Arc::new(following))
            }
            None => None,
        };
        // Behind the number from which on what others deny is heard of.
        let denied = store.denials().await.map_err(|error| OpenError::Unreachable(error.to_string()))?;
        announcer.denials().replace(denied);
        Ok(Self::start(store, Teller { announcer, standing, following }, options, lock))
    }

    fn start(store: Arc<dyn Store>, teller: Teller, options: Options, lock: File) -> Self {
        let Options { clock, steady, rates, sweep_interval, data_dir, message_key, .. } = options;
        let failures = Failures::new();
        let writer = Writer::start(&store, &teller, &clock, &failures);
        let Teller { announcer, standing, following } = teller;
        let history = RoomHistory::new(store.clone(), standing.clone(), following.clone());
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let parts = Arc::new(Parts {
            room_options: Arc::new(history.room_options()),
            person_options: Arc::default(),
            store,
            writer,
            announcer,
            standing,
            hasher: Hasher::new(cores),
            clock,
            steady,
            limiters: Limiters::new(&rates),
            security: SecurityLines::new(),
            device_key: OnceCell::new(),
            message_key,
            set_up_code: Code::fresh(),
            is_set_up: AtomicBool::new(false),
            lock: Mutex::new(Some(lock)),
            failures,
        });
        if let Some(following) = following {
            spawn_again("the follower of the database", sweep_interval, move || {
                let following = following.clone();
                async move { following.run().await }
            });
        }
        let swept = Arc::downgrade(&parts);
        spawn_again("the sweep of sessions", sweep_interval, move || {
            sweep(swept.clone(), data_dir.clone(), sweep_interval)
        });
        let erased = Arc::downgrade(&parts);
        spawn_again("the erasing of deleted texts", sweep_interval, move || {
            erasing::run(erased.clone(), sweep_interval)
        });
        let keying = Arc::downgrade(&parts);
        spawn_again("the keying of digests", sweep_interval, move || key_digests(keying.clone(), sweep_interval));
        Self(parts)
    }

    /// Whether the last message was digested with another key than [`Options::message_key`]: repeated sends of before are then
    /// recognised by their author and client id alone. False again as soon as somebody has posted.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn has_another_message_key(&self) -> Result<bool, StoreError> {
        let last = self.0.store.last_digest_key().await?;
        Ok(last.is_some_and(|key| key != self.0.message_key.id()))
    }

    /// Whether the chat can do its work: the store answers, its commits go through, and the writer takes writes. For
    /// readiness probes.
    ///
    /// # Errors
    /// What stands in the way.
    pub async fn check(&self) -> Result<(), StoreError> {
        if let Some(why) = self.0.failures.now() {
            return Err(StoreError::Failed(why));
        }
        self.0.store.check()?;
        self.0.store.is_set_up().await?;
        if self.0.writer.is_open() { Ok(()) } else { Err(StoreError::Closed) }
    }

    /// Answers when the chat cannot go on, with the reason, and never before: a part that cannot be begun again has ended,
    /// or the database is gone. The program should end and be started again.
    pub async fn failed(&self) -> String {
        tokio::select! {
            why = self.0.failures.first() => why,
            why = self.0.store.failed() => why,
        }
    }

    /// How many writes wait for the writer, for metrics; at [`WRITES_WAITING_MAX`](crate::limits::WRITES_WAITING_MAX)
    /// the next one is refused.
    #[must_use]
    pub fn writes_waiting(&self) -> usize {
        self.0.writer.waiting()
    }

    /// How often the database was read since it was opened.
    #[cfg(any(test, feature = "test-kit"))]
    #[must_use]
    pub fn reads_made(&self) -> u64 {
        self.0.store.reads_made()
    }

    /// Takes no more writes, finishes those that wait, and lets another server have the data directory.
    pub async fn close(&self) {
        self.0.writer.close().await;
        self.0.store.close().await;
        drop(self.0.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// Holds the data directory for this program, as soon as no other does.
///
/// # Errors
/// [`OpenError::InUse`] when another still does after [`DATA_DIR_BUSY`].
pub(crate) async fn hold(data_dir: &Path) -> Result<File, OpenError> {
    let deadline = Instant::now() + DATA_DIR_BUSY;
    loop {
        let data_dir = data_dir.to_owned();
        match spawn_blocking(move || lock(&data_dir)).await.unwrap_or(Err(OpenError::Stopping)) {
            Err(OpenError::InUse(_)) if Instant::now() < deadline => tokio::time::sleep(LOCK_PAUSE).await,
            other => return other,
        }
    }
}

/// Holds the data directory if no other program does.
pub(crate) fn lock(data_dir: &Path) -> Result<File, OpenError> {
    let path = data_dir.join(LOCK_FILE);
    let failed = |source| OpenError::Files { path: path.clone(), source };
    let file = File::options().create(true).append(true).open(&path).map_err(failed)?;
    give_to_the_owner_of(data_dir, &path);
    match file.try_lock() {
        // Removed or replaced meanwhile, it keeps nobody out.
        Ok(()) if !is_at(&file, &path) => Err(OpenError::InUse(data_dir.into())),
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(data_dir.into())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Whether another program holds the data directory just now. Makes nothing; whoever wants to hold it in this moment tries
/// again.
pub(crate) fn is_held(data_dir: &Path) -> bool {
    let file = File::open(data_dir.join(LOCK_FILE));
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Whether this is the file that the path leads to. What cannot be looked at (a network drive that hangs) is not gone.
fn is_at(file: &File, path: &Path) -> bool {
    let which = |metadata: Metadata| (metadata.dev(), metadata.ino());
    match path.metadata() {
        Ok(there) => file.metadata().is_ok_and(|ours| which(ours) == which(there)),
        Err(error) => error.kind() != ErrorKind::NotFound,
    }
}

/// Holds the data directory again when somebody has removed the lock's file under us. Answers why we must end: another
/// program holds the directory by now.
fn hold_on(data_dir: &Path, held: &Mutex<Option<File>>) -> Option<String> {
    let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
    // Given back: we are closing.
    let file = held.as_ref()?;
    if is_at(file, &data_dir.join(LOCK_FILE)) {
        return None;
    }
    match lock(data_dir) {
        Ok(file) => {
            tracing::warn!(
                "{LOCK_FILE} was removed or replaced; it is held anew. Leave it: it keeps a second server out"
            );
            *held = Some(file);
            None
        }
        Err(OpenError::InUse(_)) => Some(format!(
            "{LOCK_FILE} was removed or replaced while the server was running, and another program holds the data folder now"
        )),
        // Tried again at the next look.
        Err(error) => {
            tracing::warn!(%error, "{LOCK_FILE} was removed, and cannot be made anew");
            None
        }
    }
}

/// Ends what has expired, forgets who came long ago, and closes the sockets of sessions that ended in another process, such
/// as the command line's change of a password.
async fn sweep(parts: Weak<Parts>, data_dir: PathBuf, interval: Duration) {
    let mut ticks = tokio::time::interval_at(Instant::now() + interval, interval);
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
            if parts.announcer.denials().forget_ended(parts.clock.now()) > 0
                && let Err(error) = parts.writer.write(SweepDenials).await
            {
                tracing::warn!(%error, "denials that have ended could not be removed");
            }
        }
        expiry_in -= 1;
        parts.store.look_after();
        let (holder, folder) = (parts.clone(), data_dir.clone());
        if let Ok(Some(why)) = spawn_blocking(move || hold_on(&folder, &holder.lock)).await {
            parts.failures.fail(why);
        }
        parts.standing.forget_arrivals(parts.steady.now());
        // Where others write, whoever follows them hears of it.
        if parts.store.clone().shared().is_none() {
            let now = parts.clock.now();
            match carry_out_ends(&parts, since).await {
                Ok(()) => since = now,
                Err(error) => tracing::warn!(%error, "ended sessions could not be looked for"),
            }
        }
    }
}

/// Keys the digests that a version before has left, beside whatever else is written, and ends. Until then a send is also
/// recognised by those.
async fn key_digests(parts: Weak<Parts>, pause: Duration) {
    let mut keyed = 0;
    while let Some(parts) = parts.upgrade().filter(|parts| parts.writer.is_open()) {
        match parts.writer.write(KeyDigests(parts.message_key.clone())).await {
            Ok(0) => break,
            Ok(more) => keyed += more,
            Err(error) => {
                tracing::debug!(%error, "digests of messages could not be keyed; tried again");
                drop(parts);
                tokio::time::sleep(pause).await;
            }
        }
    }
    if keyed > 0 {
        tracing::info!(messages = keyed, "the digests that a version before had left have a key now");
    }
}

/// Closes the sockets of sessions that another process has ended.
///
/// Each look reaches back over the last ones: another process takes the time when it begins to write and commits later, so
/// an end may come to light after a look that was made after its time, and missing one would leave its sockets open. What
/// was carried out, by the writer or after an earlier look, is not done again: what is known of everybody would count for
/// nothing each time.
async fn carry_out_ends(parts: &Parts, since: Time) -> Result<(), StoreError> {
    let found = parts.store.sessions_ended(since.minus(SESSION_SWEEP_OVERLAP)).await?;
    let ended = parts.announcer.not_told_of(found);
    if !ended.is_empty() {
        let _revoking = parts.standing.revoking();
        for session in ended {
            parts.announcer.end_session(session).await;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tidings_hub::Hub;

    use super::*;
    use crate::{
        changes::OpenSession,
        desk::Desk,
        model::{NewPassword, Token},
        store::contract,
    };

    #[test]
    fn a_lock_whose_file_was_removed_is_taken_again_unless_another_has_it() {
        for remove in [
            |path: &Path| fs::remove_file(path).unwrap(),
            |path: &Path| {
                fs::write(path.with_extension("new"), "").unwrap();
                fs::rename(path.with_extension("new"), path).unwrap();
            },
        ] {
            let dir = tempfile::tempdir().unwrap();
            let held = Mutex::new(Some(lock(dir.path()).unwrap()));
            assert_eq!(hold_on(dir.path(), &held), None);
            assert!(is_held(dir.path()));

            remove(&dir.path().join(LOCK_FILE));
            assert_eq!(hold_on(dir.path(), &held), None);
            assert!(matches!(lock(dir.path()), Err(OpenError::InUse(_))), "it is held anew");

            remove(&dir.path().join(LOCK_FILE));
            let other = lock(dir.path()).unwrap();
            assert!(hold_on(dir.path(), &held).unwrap().contains("another program"));
            drop(other);
            assert!(!is_held(dir.path()), "its file is left");
            assert_eq!(hold_on(dir.path(), &Mutex::new(None)), None, "who is closing holds nothing");
        }
    }

    #[tokio::test]
    async fn a_chat_ends_when_another_program_has_taken_the_data_directory_from_it() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::new(|| crate::model::Time::from_millis(0));
        let options = Options { sweep_interval: Duration::from_millis(5), ..Options::new(dir.path(), clock) };
        let chat = Chat::open(options).await.unwrap();
        // Under another name first, so that the chat cannot be the one that makes it anew.
        let theirs = dir.path().join("theirs");
        let file = File::create(&theirs).unwrap();
        file.lock().unwrap();
        fs::rename(&theirs, dir.path().join(LOCK_FILE)).unwrap();
        assert!(chat.failed().await.contains(LOCK_FILE));
        assert!(chat.check().await.is_err());
    }

    #[tokio::test]
    async fn an_end_of_a_session_is_carried_out_once_whoever_ended_it() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::new(|| Time::from_millis(1_763_630_000_000));
        let options = Options { sweep_interval: Duration::from_hours(1), ..Options::new(dir.path(), clock.clone()) };
        let chat = Chat::open(options.clone()).await.unwrap();
        chat.announce_to(Hub::builder(Arc::new(chat.clone())).build());
        let parts = &chat.0;
        let look = async || {
            carry_out_ends(parts, clock.now()).await.unwrap();
            parts.standing.moment()
        };
        let (first, second) = (contract::set_up("Ana"), contract::new_session(Token::fresh().digest()));
        let (session, checked) = (first.session.id, first.person.hash.clone());
        let (person, ..) = parts.writer.write(first).await.unwrap();
        parts.writer.write(OpenSession { person: person.id, checked, session: second }).await.unwrap();
        chat.end_session(person.id, session).await.unwrap();

        let carried_out = parts.standing.moment();
        assert_eq!(look().await, carried_out, "the writer did");
        let desk = Desk::open(options).await.unwrap();
        let password = NewPassword::parse("correct horse battery", &person.email).unwrap();
        desk.set_password(&person, password).await.unwrap();
        desk.close().await;
        let found = look().await;
        assert_ne!(found, carried_out);
        assert_eq!(look().await, found, "a look before did");
    }

    #[test]
    fn a_data_directory_that_is_not_there_is_named_in_the_error() {
        let dir = tempfile::tempdir().unwrap();
        let error = lock(&dir.path().join("data")).unwrap_err();
        assert!(matches!(error, OpenError::Files { .. }) && error.to_string().contains("data"), "{error}");
    }
}
