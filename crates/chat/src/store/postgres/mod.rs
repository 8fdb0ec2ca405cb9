//! The store in Postgres, versions 15 to 18: a few lanes that write, a few connections that read, one that holds the
//! database. All that knows Postgres is in this folder.
//!
//! A room's row has its last number and stays locked from when a number is taken until the transaction has ended. So number
//! n+1 is given only after n was committed or taken back: who sees n+1 sees n, and there are no gaps (G3), whoever writes.
//! Isolation is READ COMMITTED: what decides is read in statements behind the locks.

mod address;
mod commit;
mod connection;
#[cfg(any(test, feature = "test-kit"))]
mod fresh;
mod keeper;
mod mark;
mod migrations;
mod posts;
mod reads;
mod tables;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod transfer;
mod values;

#[cfg(any(test, feature = "test-kit"))]
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::{
    path::{Path, PathBuf},
    process,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering::SeqCst},
    },
};

use futures_util::future::{BoxFuture, pending, ready};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_postgres::Error;
use uuid::Uuid;

pub use self::address::{AddressError, PostgresOptions};
#[cfg(any(test, feature = "test-kit"))]
pub use self::fresh::FreshDatabase;
use self::{
    connection::{ConnectError, Db, FOR_WRITING, Pools, Way},
    mark::Mark,
    tables::{COUNT, Run},
    values::store_error,
};
use super::{
    Batch, Done, OpenError, Read, Store, StoreError,
    database::Opener,
    follow::{Revocations, Shared, Stir},
    state::State,
    transfer::PutBack,
};
use crate::{
    limits::{DATABASE_PATIENCE, DATABASE_UNSETTLED, LANES, READERS_MAX, READS_WAITING_MAX},
    model::{
        ActivityPage, ActivityQuery, Arrival, Credentials, Denied, EditPage, Email, Emoji, Ended, EventPage, Invite,
        InviteCard, KeyId, Member, Message, MessageId, MessagePage, PageFrom, PageQuery, PeopleKey, Person, PersonId,
        PersonalToken, Profile, ReactedPage, Room, RoomId, RoomPage, SecretDigest, Session, SessionId, SessionKey,
        SignedIn, Stand, ThreadPage, ThreadsPage, Time, TokenBearer, Who,
    },
};

/// The file by which a data folder knows that its chat is in Postgres, if it is there.
pub(super) fn mark_in(data_dir: &Path) -> Option<PathBuf> {
    Some(data_dir.join(mark::MARK_FILE)).filter(|mark| mark.exists())
}

/// In the count of commits, beside the lanes: what tries whether commits go through.
const NO_LANE: i64 = -1;

/// The store in Postgres.
pub(crate) struct Postgres {
    parts: Arc<Parts>,
    /// A server's; the command line holds nothing.
    keeper: Mutex<Option<JoinHandle<()>>>,
    #[cfg(any(test, feature = "test-kit"))]
    reads: AtomicU64,
}

/// What the store and its keeper share.
struct Parts {
    way: Way,
    writers: Pools,
    readers: Pools,
    mark: Mark,
    /// Which run it is, in the database's count of commits.
    writer: String,
    /// Whether others are told of each commit: they may be there.
    tells: bool,
    is_shared: bool,
    state: watch::Sender<State>,
    stirred: Mutex<Option<Stir>>,
    stir: Notify,
    /// Until when each look is taken as if it had found something: what is committed may not have been told, or may yet be
    /// committed.
    unsettled: Mutex<Option<Instant>>,
    committed: Notify,
    /// How many commits were answered.
    answered: AtomicI64,
}

impl Postgres {
    /// Opens the database; a server holds it, and brings its schema up to date.
    ///
    /// # Errors
    /// When it cannot be reached, is not fit for us, is held by another server, or has another schema than ours.
    pub(crate) async fn open(data_dir: &Path, options: &PostgresOptions, opener: Opener) -> Result<Self, OpenError> {
        let is_server = matches!(opener, Opener::Server { .. });
        let parts = Arc::new(Parts::new(data_dir, options, is_server)?);
        let keeper = if is_server {
            let held = Box::pin(keeper::hold(&parts, None)).await?;
            Some(tokio::spawn(keeper::keep(parts.clone(), held)))
        } else {
            Box::pin(keeper::visit(&parts)).await?;
            None
        };
        Ok(Self {
            parts,
            keeper: Mutex::new(keeper),
            #[cfg(any(test, feature = "test-kit"))]
            reads: AtomicU64::default(),
        })
    }

    /// Says that what is in the database is older than what clients have seen: all rooms get new epochs.
    ///
    /// # Errors
    /// As [`open`](Self::open); also while a server has it.
    pub(crate) async fn restore_in_place(
        data_dir: &Path,
        options: &PostgresOptions,
        put_back: PutBack,
    ) -> Result<(), OpenError> {
        let parts = Parts::new(data_dir, options, true)?;
        Box::pin(keeper::hold(&parts, Some(put_back))).await.map(drop)
    }

    /// Who has the database now, in words; looks, and holds nothing.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(crate) async fn holder(options: &PostgresOptions) -> Result<Option<String>, OpenError> {
        let parts = Parts::new("".as_ref(), options, false)?;
        let (mut held, _) = keeper::look_at(&parts).await?;
        let holder = keeper::holder(held.client()).await.map_err(ConnectError::Driver)?;
        Ok(holder.map(|holder| holder.to_string()))
    }

    /// Lets go of everything; answers what ends.
    fn end(&self) -> Option<JoinHandle<()>> {
        self.parts.writers.close();
        self.parts.readers.close();
        // Whoever follows finds that it is closed.
        self.parts.stir(Stir::Changed);
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        keeper.inspect(JoinHandle::abort)
    }

    /// Reads on a connection, within the time that a read may take; once more if the connection turned out to be a dead one.
    /// It runs to its end even if nobody waits for it any more: to call it off would cost a connection.
    fn read<T, F>(&self, read: F) -> Read<'_, T>
    where
        T: Send + 'static,
        F: for<'a> Fn(&'a Db) -> BoxFuture<'a, Result<T, Error>> + Send + Sync + 'static,
    {
        #[cfg(any(test, feature = "test-kit"))]
        self.reads.fetch_add(1, Relaxed);
        self.read_for_itself(read)
    }

    /// As [`read`](Self::read), for nobody who asked.
    fn read_for_itself<T, F>(&self, read: F) -> Read<'_, T>
    where
        T: Send + 'static,
        F: for<'a> Fn(&'a Db) -> BoxFuture<'a, Result<T, Error>> + Send + Sync + 'static,
    {
        if self.parts.readers.waiting() > READS_WAITING_MAX {
            return Box::pin(ready(Err(StoreError::Busy)));
        }
        let parts = self.parts.clone();
        let reading = tokio::spawn(async move {
            timeout(DATABASE_PATIENCE, parts.read(&read)).await.unwrap_or(Err(StoreError::Away))
        });
        Box::pin(async move { reading.await.unwrap_or_else(|error| Err(StoreError::Failed(error.to_string()))) })
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.end();
    }
}

/// A connection on loan. Given up in the middle of something, it is closed, and its server told to stop that.
struct Borrowed<'a> {
    parts: &'a Parts,
    db: Option<Db>,
}

impl Borrowed<'_> {
    fn give_back(&mut self) {
        self.db.take();
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        if let Some(db) = self.db.take() {
            if !db.is_closed() {
                self.parts.way.cancel(&db);
            }
            db.throw_away();
        }
    }
}

impl Parts {
    fn new(data_dir: &Path, options: &PostgresOptions, is_server: bool) -> Result<Self, OpenError> {
        let writer = Uuid::new_v4().simple().to_string();
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host: String = host.trim().chars().take(24).collect();
        let way = Way::new(options, format!("tidings at {host}, process {} {}", process::id(), &writer[..8]))?;
        Ok(Self {
            writers: way.pool(LANES, FOR_WRITING),
            readers: way.pool(READERS_MAX, ""),
            mark: Mark::in_folder(data_dir),
            writer,
            tells: options.is_shared || !is_server,
            is_shared: options.is_shared,
            state: watch::Sender::default(),
            stirred: Mutex::default(),
            stir: Notify::new(),
            unsettled: Mutex::default(),
            committed: Notify::new(),
            answered: AtomicI64::new(0),
            way,
        })
    }

    /// Somebody is to look; that epochs are new is not forgotten for a lesser reason.
    fn stir(&self, stir: Stir) {
        let mut stirred = self.stirred.lock().unwrap_or_else(PoisonError::into_inner);
        if *stirred != Some(Stir::Renewed) {
            *stirred = Some(stir);
        }
        self.stir.notify_one();
    }

    /// What was sent may be committed although nobody was told so, and later than now: its server goes on by itself.
    fn unsettle(&self) {
        *self.unsettled.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + DATABASE_UNSETTLED);
    }

    fn is_unsettled(&self) -> bool {
        let unsettled = self.unsettled.lock().unwrap_or_else(PoisonError::into_inner);
        unsettled.is_some_and(|until| Instant::now() < until)
    }

    /// So many commits more were answered.
    fn count(&self, commits: u64) {
        self.mark.committed(commits);
        self.answered.fetch_add(i64::try_from(commits).unwrap_or(0), SeqCst);
    }

    fn answered(&self) -> i64 {
        self.answered.load(SeqCst)
    }

    fn forget_connections(&self) {
        self.writers.forget();
        self.readers.forget();
    }

    /// When commits fail for want of room: whether they would go through.
    async fn try_to_commit(&self, client: &tokio_postgres::Client) {
        let failing = self.state.borrow().failing.clone();
        let Some(failing) = failing else { return };
        if failing != StoreError::Away {
            if client.execute(COUNT, &[&self.writer, &NO_LANE]).await.is_err() {
                return;
            }
            self.count(1);
        }
        State::note(&self.state, |state| state.failing = None);
    }

    async fn read<T, F>(&self, read: &F) -> Result<T, StoreError>
    where
        F: for<'a> Fn(&'a Db) -> BoxFuture<'a, Result<T, Error>>,
    {
        let mut may_be_dead = true;
        loop {
            let mut borrowed = Borrowed { parts: self, db: None };
            let db = &*borrowed.db.insert(self.readers.get(None).await?);
            match read(db).await {
                Err(_) if db.is_closed() && may_be_dead => may_be_dead = false,
                answer => {
                    borrowed.give_back();
                    return answer.map_err(|error| store_error(&error));
                }
            }
        }
    }

    async fn apply(&self, lane: usize, batch: &mut Batch, now: Time) -> u64 {
        if let Some(why) = self.state.borrow().lost.clone() {
            batch.iter_mut().for_each(|change| change.fail(StoreError::Failed(why.clone())));
            return 0;
        }
        let run = Run::new(self.writer.clone(), i64::try_from(lane).unwrap_or(0));
        let mut borrowed = Borrowed { parts: self, db: None };
        let applying = async {
            let db = &*borrowed.db.insert(self.writers.get(Some(&self.readers)).await?);
            Ok::<_, StoreError>(commit::apply(db, &run, batch, now).await)
        };
        let revoked = match timeout(DATABASE_PATIENCE, applying).await {
            Ok(Ok(outcome)) => {
                if !outcome.is_broken {
                    borrowed.give_back();
                }
                self.count(outcome.commits);
                outcome.revoked
            }
            Ok(Err(error)) => {
                batch.iter_mut().for_each(|change| change.fail(error.clone()));
                0
            }
            Err(_) => {
                if run.is_committing() {
                    // Called off, a commit would no longer wait for a standby, and count all the same.
                    if let Some(db) = borrowed.db.take() {
                        db.throw_away();
                    }
                }
                batch.iter_mut().for_each(|change| change.fail(StoreError::Away));
                0
            }
        };
        self.note_failures(batch);
        if self.tells {
            self.tell().await;
        }
        revoked
    }

    fn note_failures(&self, batch: &Batch) {
        let failure = batch.iter().find_map(|change| change.failure());
        if failure == Some(&StoreError::Away) {
            self.unsettle();
        }
        let all_failed = batch.iter().all(|change| change.failure().is_some());
        let failing = failure.filter(|error| all_failed && **error != StoreError::Busy).cloned();
        if failing.is_some() || !all_failed {
            State::note(&self.state, |state| state.failing = failing);
        }
    }

    /// Tells whoever else may have the database open: a server through its keeper, the command line by itself.
    async fn tell(&self) {
        if self.is_shared {
            self.committed.notify_one();
        } else if let Ok(db) = self.writers.get(Some(&self.readers)).await {
            // Who is not told finds it at the next look.
            timeout(DATABASE_PATIENCE, db.batch_execute(keeper::NOTIFY)).await.ok();
        }
    }
}

impl Store for Postgres {
    fn lanes(&self) -> usize {
        LANES
    }

    fn apply(&self, lane: usize, mut batch: Batch, now: Time) -> BoxFuture<'_, Result<Done, StoreError>> {
        Box::pin(async move {
            let revoked = self.parts.apply(lane, &mut batch, now).await;
            Ok(Done { batch, revoked })
        })
    }

    fn shared(self: Arc<Self>) -> Option<Arc<dyn Shared>> {
        Some(self)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Some(keeper) = self.end() {
                keeper.await.ok();
            }
        })
    }

    #[cfg(any(test, feature = "test-kit"))]
    fn reads_made(&self) -> u64 {
        self.reads.load(Relaxed)
    }

    fn check(&self) -> Result<(), StoreError> {
        self.parts.state.borrow().check()
    }

    fn failed(&self) -> BoxFuture<'_, String> {
        let lost = State::until_lost(self.parts.state.subscribe());
        Box::pin(async move {
            match lost.await {
                Some(why) => why,
                None => pending().await,
            }
        })
    }

    fn is_set_up(&self) -> Read<'_, bool> {
        self.read(|db| Box::pin(reads::is_set_up(db)))
    }

    fn people(&self) -> Read<'_, Vec<Person>> {
        self.read(|db| Box::pin(reads::people(db)))
    }

    fn people_alike(&self, asking: PersonId, look: String, limit: u32) -> Read<'_, Vec<Person>> {
        self.read(move |db| {
            let look = look.clone();
            Box::pin(async move { reads::people_alike(db, asking, &look, limit).await })
        })
    }

    fn profiles(&self, asking: PersonId, people: Vec<PersonId>) -> Read<'_, Vec<Profile>> {
        self.read(move |db| {
            let people = people.clone();
            Box::pin(async move { reads::profiles(db, asking, &people).await })
        })
    }

    fn personal_tokens(&self, person: PersonId) -> Read<'_, Vec<PersonalToken>> {
        self.read(move |db| Box::pin(reads::personal_tokens(db, person)))
    }

    fn token_bearer(&self, digest: SecretDigest) -> Read<'_, Option<TokenBearer>> {
        self.read(move |db| Box::pin(reads::token_bearer(db, digest)))
    }

    fn session_ended(&self, token: SecretDigest) -> Read<'_, Option<Ended>> {
        self.read(move |db| Box::pin(reads::session_ended(db, token)))
    }

    fn person(&self, id: PersonId) -> Read<'_, Option<Person>> {
        self.read(move |db| Box::pin(reads::person_of(db, id)))
    }

    fn credentials(&self, email: Email) -> Read<'_, Option<Credentials>> {
        self.read(move |db| {
            let email = email.clone();
            Box::pin(async move { reads::credentials(db, &email).await })
        })
    }

    fn session(&self, token: SecretDigest, now: Time) -> Read<'_, Option<SignedIn>> {
        self.read(move |db| Box::pin(reads::session(db, token, now)))
    }

    fn arrival(&self, session: SessionKey, rooms_max: u32, now: Time) -> Read<'_, Option<Arrival>> {
        self.read(move |db| Box::pin(reads::arrival(db, session, rooms_max, now)))
    }

    fn sessions(&self, person: PersonId, now: Time) -> Read<'_, Vec<Session>> {
        self.read(move |db| Box::pin(reads::sessions(db, person, now)))
    }

    fn sessions_ended(&self, since: Time) -> Read<'_, Vec<SessionId>> {
        self.read(move |db| Box::pin(reads::sessions_ended(db, since)))
    }

    fn denials(&self) -> Read<'_, Vec<Denied>> {
        self.read(|db| Box::pin(reads::denials(db)))
    }

    fn invite(&self, code: SecretDigest, now: Time) -> Read<'_, Option<InviteCard>> {
        self.read(move |db| Box::pin(reads::invite_card(db, code, now)))
    }

    fn room_invite(&self, room: RoomId, person: PersonId, now: Time) -> Read<'_, Option<Invite>> {
        self.read(move |db| Box::pin(reads::room_invite(db, room, person, now)))
    }

    fn invite_is_revoked(&self, room: RoomId) -> Read<'_, bool> {
        self.read(move |db| {
            Box::pin(async move { Ok(reads::invite_of(db, room).await?.is_some_and(|stored| stored.revoked)) })
        })
    }

    fn own_rooms(&self, person: PersonId) -> Read<'_, Vec<Room>> {
        self.read(move |db| Box::pin(reads::own_rooms(db, person)))
    }

    fn other_rooms(&self, person: PersonId, after: Option<RoomId>, limit: u32) -> Read<'_, RoomPage> {
        self.read(move |db| Box::pin(reads::other_rooms(db, person, after, limit)))
    }

    fn direct_of(&self, people: PeopleKey, person: PersonId) -> Read<'_, Option<Room>> {
        self.read(move |db| {
            Box::pin(async move {
                match reads::direct_of(db, people).await? {
                    Some(room) => reads::room_of(db, room, person).await,
                    None => Ok(None),
                }
            })
        })
    }

    fn room(&self, room: RoomId, person: PersonId) -> Read<'_, Option<Room>> {
        self.read(move |db| Box::pin(reads::room_of(db, room, person)))
    }

    fn members(&self, room: RoomId, reader: PersonId) -> Read<'_, Option<Vec<Member>>> {
        self.read(move |db| Box::pin(reads::members(db, room, reader)))
    }

    fn member(&self, room: RoomId, person: PersonId) -> Read<'_, Option<Who>> {
        self.read(move |db| Box::pin(reads::member(db, room, person)))
    }

    fn events(
        &self,
        room: RoomId,
        reader: Option<PersonId>,
        page: PageQuery,
        bytes_max: usize,
    ) -> Read<'_, Option<EventPage>> {
        self.read(move |db| Box::pin(reads::events(db, room, reader, page, bytes_max)))
    }

    fn last_before(&self, room: RoomId, reader: PersonId, time: Time) -> Read<'_, Option<u64>> {
        self.read(move |db| Box::pin(reads::last_before(db, room, reader, time)))
    }

    fn messages(&self, room: RoomId, reader: PersonId, page: PageQuery) -> Read<'_, Option<MessagePage>> {
        self.read(move |db| Box::pin(reads::messages(db, room, reader, page)))
    }

    fn message(&self, room: RoomId, reader: PersonId, message: MessageId) -> Read<'_, Option<Message>> {
        self.read(move |db| Box::pin(reads::message_of(db, room, reader, message)))
    }

    fn thread(&self, room: RoomId, reader: PersonId, root: MessageId, page: PageQuery) -> Read<'_, Option<ThreadPage>> {
        self.read(move |db| Box::pin(reads::thread(db, room, reader, root, page)))
    }

    fn threads(&self, person: PersonId, before: Option<MessageId>, limit: u32) -> Read<'_, ThreadsPage> {
        self.read(move |db| Box::pin(reads::threads(db, person, before, limit)))
    }

    fn reacted(
        &self,
        room: RoomId,
        reader: PersonId,
        message: MessageId,
        emoji: Emoji,
    ) -> Read<'_, Option<ReactedPage>> {
        self.read(move |db| {
            let emoji = emoji.clone();
            Box::pin(async move { reads::reacted_with(db, room, reader, message, &emoji).await })
        })
    }

    fn edits(&self, room: RoomId, reader: PersonId, message: MessageId, page: PageQuery) -> Read<'_, Option<EditPage>> {
        self.read(move |db| Box::pin(reads::edits(db, room, reader, message, page)))
    }

    fn activity(&self, person: PersonId, query: ActivityQuery) -> Read<'_, ActivityPage> {
        self.read(move |db| Box::pin(reads::activity(db, person, query)))
    }

    fn has_deleted_by(&self, time: Time) -> Read<'_, bool> {
        self.read_for_itself(move |db| Box::pin(reads::has_deleted_by(db, time)))
    }

    fn last_digest_key(&self) -> Read<'_, Option<KeyId>> {
        self.read_for_itself(|db| Box::pin(reads::last_digest_key(db)))
    }
}

impl Shared for Postgres {
    fn stands(&self, revoked: u64) -> Read<'_, (Vec<Stand>, Revocations)> {
        self.read_for_itself(move |db| Box::pin(reads::stands(db, revoked)))
    }

    fn events_after(&self, room: RoomId, number: u64, limit: u32) -> Read<'_, Option<EventPage>> {
        let page = PageQuery { from: PageFrom::After(number), limit };
        self.read_for_itself(move |db| Box::pin(reads::events(db, room, None, page, usize::MAX)))
    }

    fn revocations(&self, after: u64) -> Read<'_, Revocations> {
        self.read_for_itself(move |db| Box::pin(reads::revocations(db, after)))
    }

    fn all_denials(&self) -> Read<'_, Vec<Denied>> {
        self.read_for_itself(|db| Box::pin(reads::denials(db)))
    }

    fn look_again(&self) {
        self.parts.unsettle();
    }

    fn stirred(&self) -> BoxFuture<'_, Stir> {
        Box::pin(async move {
            loop {
                self.parts.stir.notified().await;
                let stirred = self.parts.stirred.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(stir) = stirred {
                    return stir;
                }
            }
        })
    }
}
