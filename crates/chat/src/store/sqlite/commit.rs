//! The writer's thread: it applies batches, each in one transaction, and looks after what a commit needs: the mark file, the
//! reserve on the disk, and the database's own file, which must still be there.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    mark::{self, Keeper},
    reserve::Reserve,
    tables::{Members, SqliteTables},
    values::{is_everybodys, store_error},
};
use crate::{
    limits::{DATABASE_BUSY, LOG_EMPTIED_WITHIN, UPKEEP_INTERVAL},
    model::Time,
    store::{Batch, NotApplied, StoreError, Submission, state::State},
};

pub(super) enum Job {
    Apply(Work),
    /// Look whether commits that failed go through again, and whether the database is still there.
    LookAfter,
    /// Texts were erased: remove the copies of them that are in the log.
    EmptyLog,
    /// Close the database and say so.
    Close(oneshot::Sender<()>),
}

pub(super) struct Work {
    pub(super) batch: Batch,
    pub(super) now: Time,
    pub(super) done: oneshot::Sender<Batch>,
}

/// What the thread has.
pub(super) struct Committer {
    db: Connection,
    members: Members,
    keeper: Keeper,
    reserve: Reserve,
    state: watch::Sender<State>,
    looked: Instant,
    /// Whether there may be copies in the log of what was erased; at first of what the run before erased.
    log_to_empty: bool,
}

/// Why a transaction was taken back.
enum Failure {
    /// One change may be to blame: without it the others may go through.
    Somebodys(StoreError),
    /// The database could not, whatever was asked of it.
    Everybodys(StoreError),
}

impl Failure {
    fn of(error: rusqlite::Error) -> Self {
        let is_everybodys = is_everybodys(&error);
        match store_error(error) {
            StoreError::Full => Self::Somebodys(StoreError::Full),
            error if is_everybodys => Self::Everybodys(error),
            error => Self::Somebodys(error),
        }
    }

    fn of_change(error: StoreError) -> Self {
        if error == StoreError::Full { Self::Somebodys(error) } else { Self::Everybodys(error) }
    }
}

impl Committer {
    pub(super) fn new(db: Connection, keeper: Keeper, reserve: Reserve, state: watch::Sender<State>) -> Self {
        Self { db, members: Members::default(), keeper, reserve, state, looked: Instant::now(), log_to_empty: true }
    }

    /// Why commits fail at present, if they do.
    #[cfg(test)]
    pub(super) fn check(&self) -> Option<StoreError> {
        self.state.borrow().failing.clone()
    }

    /// Until the store is closed or dropped, or the database is lost.
    pub(super) fn run(mut self, mut inbox: mpsc::Receiver<Job>) {
        while let Some(job) = inbox.blocking_recv() {
            match job {
                Job::Apply(Work { mut batch, now, done }) => {
                    self.apply(&mut batch, now);
                    // Whoever asked may have gone; the changes are made all the same.
                    done.send(batch).ok();
                }
                Job::LookAfter => self.look_after(),
                Job::EmptyLog => self.log_to_empty = true,
                Job::Close(done) => {
                    drop(self.db);
                    done.send(()).ok();
                    return;
                }
            }
        }
    }

    pub(super) fn apply(&mut self, batch: &mut [Box<dyn Submission>], now: Time) {
        let mut changes: Vec<&mut dyn Submission> = batch.iter_mut().map(|change| &mut **change as _).collect();
        if let Some(why) = self.lost() {
            changes.iter_mut().for_each(|change| change.fail(StoreError::Failed(why.clone())));
            return;
        }
        if self.reserve.is_open() {
            self.look_for_room();
        }
        if self.reserve.is_open() {
            changes.retain_mut(|change| {
                let may_be_written = change.is_urgent();
                if !may_be_written {
                    change.fail(StoreError::Full);
                }
                may_be_written
            });
        }
        self.apply_what_can_be(&mut changes, now);
        let failure = batch.iter().find_map(|change| change.failure().filter(|error| **error != StoreError::Busy));
        let all_failed = batch.iter().all(|change| change.failure().is_some());
        let failing = if self.reserve.is_open() { Some(&StoreError::Full) } else { failure.filter(|_| all_failed) };
        if failing.is_some() || !all_failed {
            let failing = failing.cloned();
            State::note(&self.state, |state| state.failing = failing);
        }
    }

    /// Group commit: syncing the disk costs the same for one change and for hundreds, so all that wait share one
    /// transaction. One that the database cannot take (too large for what is left of the disk) may end it for all; then
    /// each gets a transaction of its own, so that only those fail that would have failed alone. What is no change's fault
    /// is not tried again: of a database that is locked, each would wait for the whole time again.
    fn apply_what_can_be(&mut self, changes: &mut [&mut dyn Submission], now: Time) {
        if changes.is_empty() {
            return;
        }
        let applied = catch_unwind(AssertUnwindSafe(|| apply_together(&mut self.db, &mut self.members, changes, now)));
        if !matches!(applied, Ok(Ok(_))) {
            self.members.forget();
        }
        // The transaction was taken back while the panic passed through it.
        let applied =
            applied.unwrap_or_else(|_| Err(Failure::Somebodys(StoreError::Failed("a change panicked".into()))));
        match (applied, changes) {
            (Ok(None), _) => {}
            (Ok(Some(commits)), _) => self.keeper.committed(commits),
            (Err(Failure::Somebodys(error)), [one]) => {
                if error == StoreError::Full && one.is_urgent() && self.reserve.give() {
                    tracing::warn!(
                        "the disk is full: a piece of the reserve was given away for what takes rights away"
                    );
                    self.apply_what_can_be(&mut [&mut **one], now);
                } else {
                    one.fail(error);
                }
            }
            (Err(Failure::Somebodys(_)), many) => {
                for one in many {
                    self.apply_what_can_be(&mut [&mut **one], now);
                }
            }
            (Err(Failure::Everybodys(error)), all) => all.iter_mut().for_each(|one| one.fail(error.clone())),
        }
    }

    /// Why nothing may be written any more: whatever went into a file that is no longer in its place would be lost with it.
    fn lost(&mut self) -> Option<String> {
        if let Some(why) = self.state.borrow().lost.clone() {
            return Some(why);
        }
        match self.keeper.is_in_place() {
            Ok(false) => {
                let rescued = self.keeper.rescue(&self.db);
                let rescued = match rescued {
                    Ok(path) => format!("what was in it is now in {}, for 'tidings restore'", path.display()),
                    Err(error) => format!("what was in it could not be saved: {error}"),
                };
                let why = format!(
                    "the database's file, or its log, was removed or replaced while the server was running; {rescued}"
                );
                State::note(&self.state, |state| state.lost = Some(why.clone()));
                Some(why)
            }
            // What cannot be looked at (no descriptors, a network drive that hangs) is not gone.
            Ok(true) | Err(_) => None,
        }
    }

    fn look_after(&mut self) {
        if self.lost().is_none() {
            self.keeper.look_after();
            if self.log_to_empty {
                self.log_to_empty = !empty_log(&self.db);
            }
            self.reserve.look();
            self.look_for_room();
        }
    }

    /// Now and then, when commits fail: whether they would go through.
    fn look_for_room(&mut self) {
        if self.state.borrow().failing.is_none() && !self.reserve.is_open() || self.looked.elapsed() < UPKEEP_INTERVAL {
            return;
        }
        self.looked = Instant::now();
        if self.reserve.refill() && self.reserve.has_room() {
            match touch(&mut self.db) {
                Ok(commits) => {
                    self.keeper.committed(commits);
                    tracing::info!("commits go through again");
                    State::note(&self.state, |state| state.failing = None);
                }
                Err(error) => {
                    let error = store_error(error);
                    State::note(&self.state, |state| state.failing = Some(error));
                }
            }
        }
    }
}

/// Brings the log into the database's own file and cuts it off, unless somebody reads from it for too long: what stood in a
/// page before it was overwritten is in the log until then. Answers whether it is empty.
fn empty_log(db: &Connection) -> bool {
    let emptied = || {
        db.busy_timeout(LOG_EMPTIED_WITHIN)?;
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
    };
    let is_empty = emptied().is_ok_and(|busy| busy == 0);
    // It is as it was for whatever is written next; were it not, that would fail sooner and say so.
    db.busy_timeout(DATABASE_BUSY).ok();
    is_empty
}

/// Applies the changes in one transaction. Answers its number; `None` when nothing was written.
fn apply_together(
    db: &mut Connection,
    members: &mut Members,
    changes: &mut [&mut dyn Submission],
    now: Time,
) -> Result<Option<u64>, Failure> {
    // A savepoint has SQLite keep every page as it was before: for a post a fifth of the statements' cost, and something is
    // taken back hardly ever. So there are none until it is.
    match apply_at_once(db, members, changes, now)? {
        AtOnce::Done(commits) => Ok(commits),
        AtOnce::Halfway => apply_one_by_one(db, changes, now),
    }
}

enum AtOnce {
    Done(Option<u64>),
    /// A change failed, or was refused after it had written something. All was taken back.
    Halfway,
}

fn apply_at_once(
    db: &mut Connection,
    members: &mut Members,
    changes: &mut [&mut dyn Submission],
    now: Time,
) -> Result<AtOnce, Failure> {
    let transaction = begin(db)?;
    let before = transaction.total_changes();
    members.check(&transaction).map_err(Failure::of)?;
    let mut tables = SqliteTables::new(&transaction, members);
    for change in changes {
        let written = tables.written();
        match change.apply(&mut tables, now) {
            Err(NotApplied::Refused) if tables.written() == written => {}
            Err(_) => {
                members.forget();
                return Ok(AtOnce::Halfway);
            }
            Ok(()) => {}
        }
    }
    tables.finish().map_err(Failure::of)?;
    commit(transaction, before).map(AtOnce::Done)
}

/// A change that is refused halfway leaves nothing behind and does not disturb the others: its savepoint alone is taken
/// back, and with it the numbers it took, so that the room has no gap (G3).
fn apply_one_by_one(
    db: &mut Connection,
    changes: &mut [&mut dyn Submission],
    now: Time,
) -> Result<Option<u64>, Failure> {
    let mut transaction = begin(db)?;
    let before = transaction.total_changes();
    for change in changes {
        let mut savepoint = transaction.savepoint().map_err(Failure::of)?;
        let mut members = Members::default();
        let mut tables = SqliteTables::new(&savepoint, &mut members);
        match change.apply(&mut tables, now) {
            Ok(()) => tables.finish().map_err(Failure::of)?,
            Err(NotApplied::Failed(error)) if savepoint.is_autocommit() => {
                // SQLite has taken the whole transaction back, with what was applied before.
                return Err(Failure::of_change(error));
            }
            Err(_) => savepoint.rollback().map_err(Failure::of)?,
        }
        savepoint.commit().map_err(Failure::of)?;
    }
    commit(transaction, before)
}

fn begin(db: &mut Connection) -> Result<Transaction<'_>, Failure> {
    db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(Failure::of)
}

/// Commits, if anything was written since there were `before` changes.
fn commit(transaction: Transaction<'_>, before: u64) -> Result<Option<u64>, Failure> {
    let written = transaction.total_changes() > before;
    let commits = written.then(|| mark::count(&transaction)).transpose().map_err(Failure::of)?;
    transaction.commit().map_err(Failure::of)?;
    Ok(commits)
}

/// A commit that changes nothing but its number.
fn touch(db: &mut Connection) -> rusqlite::Result<u64> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let commits = mark::count(&transaction)?;
    transaction.commit()?;
    Ok(commits)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::{Path, PathBuf},
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering::Relaxed},
        },
    };

    use super::{
        super::{FILE, SqliteOptions, hold, make_file, reserve::RESERVE_FILE},
        *,
    };
    use crate::{
        changes::{EndSession, Post},
        limits::{RESERVE_BYTES, RESERVE_PIECE_BYTES},
        model::{ClientId, MessageId, NewMessage, SessionId},
        store::{Change, ChangeResult, Tables, contract, submit},
    };

    fn committer(dir: &Path, pages_max: Option<u32>) -> Committer {
        make_file(&dir.join(FILE)).unwrap();
        let (db, keeper) = hold(dir, &SqliteOptions { pages_max }, None).unwrap();
        Committer::new(db, keeper, Reserve::at(dir), watch::Sender::new(State::default()))
    }

    /// A post that counts how often it is applied.
    struct Counted(Post, Arc<AtomicUsize>);

    impl Change for Counted {
        type Answer = <Post as Change>::Answer;
        type Refusal = <Post as Change>::Refusal;

        fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
            self.1.fetch_add(1, Relaxed);
            self.0.apply(tables, now)
        }
    }

    #[test]
    fn who_is_refused_without_having_written_anything_does_not_have_the_others_applied_again() {
        let dir = tempfile::tempdir().unwrap();
        let (set_up, post) = contract::set_up_and_first_post();
        let mut writer = committer(dir.path(), None);
        writer.apply(&mut [submit(set_up.clone()).0], Time::from_millis(0));
        let count = Arc::new(AtomicUsize::new(0));
        let post = || {
            let post = Post(NewMessage { id: MessageId::fresh(), client_id: ClientId::fresh(), ..post.0.clone() });
            submit(Counted(post, count.clone())).0
        };
        let refused = submit(EndSession {
            person: set_up.person.id,
            session: SessionId::fresh(),
            why: crate::model::Ended::Elsewhere,
        })
        .0;
        writer.apply(&mut [post(), post(), refused, post()], Time::from_millis(0));
        assert_eq!(count.load(Relaxed), 3);
    }

    /// A change that takes rights away, and fits into the database once so many pieces of the reserve were given.
    struct Urgent {
        reserve: PathBuf,
        pieces: u64,
        too_large: Post,
        fits: Post,
    }

    impl Change for Urgent {
        type Answer = <Post as Change>::Answer;
        type Refusal = <Post as Change>::Refusal;

        fn is_urgent(&self) -> bool {
            true
        }

        fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
            let given = RESERVE_BYTES - fs::metadata(&self.reserve).unwrap().len();
            let has_room = given >= self.pieces * RESERVE_PIECE_BYTES;
            if has_room { &self.fits } else { &self.too_large }.apply(tables, now)
        }
    }

    #[test]
    fn g5_when_the_database_is_full_the_reserve_is_given_for_what_takes_rights_away_and_for_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = dir.path().join(RESERVE_FILE);
        let mut writer = committer(dir.path(), Some(120));
        let (set_up, fits) = contract::set_up_and_first_post();
        let mut too_large = fits.clone();
        too_large.0.body = "x".repeat(1 << 20);
        let apply = |writer: &mut Committer, change: Box<dyn Submission>| {
            let mut batch = [change];
            writer.apply(&mut batch, Time::from_millis(0));
            batch[0].failure().cloned()
        };
        let given = || (RESERVE_BYTES - fs::metadata(&reserve).unwrap().len()) / RESERVE_PIECE_BYTES;
        let full = Some(StoreError::Full);
        assert_eq!(apply(&mut writer, submit(set_up).0), None);
        assert_eq!((apply(&mut writer, submit(too_large.clone()).0), given()), (full.clone(), 0), "not for a post");

        let urgent = Urgent { reserve: reserve.clone(), pieces: 3, too_large, fits: fits.clone() };
        assert_eq!((apply(&mut writer, submit(urgent).0), given()), (None, 3));
        assert_eq!((apply(&mut writer, submit(fits.clone()).0), given()), (full.clone(), 3), "not though it would fit");
        assert_eq!(writer.check(), full);

        writer.looked = Instant::now().checked_sub(UPKEEP_INTERVAL).unwrap();
        writer.look_after();
        assert_eq!((writer.check(), given()), (None, 0), "taken back as soon as there is room");
        assert_eq!(apply(&mut writer, submit(fits).0), None);
    }
}
