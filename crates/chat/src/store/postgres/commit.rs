//! Batches: each is one transaction, in one of a few lanes that commit side by side.

use std::{
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
};

use tokio_postgres::{Error, Row, error::SqlState};

use super::{
    connection::{Db, Params},
    tables::{Foreseen, PostgresTables, Run, Work},
    values::{in_words, is_to_be_tried_again, store_error},
};
use crate::{
    limits::TRIES_MAX,
    model::{RoomId, SecretDigest, Time},
    store::{NotApplied, StoreError, Submission},
};

/// Why a transaction was taken back.
enum Failure {
    /// Another transaction stood in the way; it may go through now.
    Passing(StoreError),
    /// Somebody has locked a row, for longer than is waited.
    Locked,
    /// One change may be to blame: without it the others may go through.
    Somebodys(StoreError),
    /// The database could not, whatever was asked of it; or nobody knows whether it could.
    Everybodys(StoreError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let said = store_error(&error);
        match error.code() {
            Some(&SqlState::LOCK_NOT_AVAILABLE) => Self::Locked,
            Some(code) if is_to_be_tried_again(code) => Self::Passing(match *code {
                // What no other transaction has done is the change's own fault, which the next tries show.
                SqlState::UNIQUE_VIOLATION => StoreError::Failed(in_words(&error)),
                _ => said,
            }),
            Some(_) if said == StoreError::Full || matches!(said, StoreError::Failed(_)) => Self::Somebodys(said),
            _ => Self::Everybodys(said),
        }
    }
}

/// What became of a batch beside its changes.
#[derive(Default)]
pub(super) struct Outcome {
    /// The last number of what was taken away, by whomever, that could be seen after the commits.
    pub(super) revoked: u64,
    /// How many transactions were committed.
    pub(super) commits: u64,
    /// The connection must not be used again: its transaction may still be open.
    pub(super) is_broken: bool,
}

/// Applies the changes in their order, together. A batch that does not go through is cut in halves, so that only those fail
/// that would have failed alone, and one among hundreds costs some twenty transactions. (A savepoint for each change would
/// cost every batch more than that: beyond 64 of them in one transaction Postgres keeps them on the disk.)
pub(super) async fn apply(db: &Db, run: &Run, batch: &mut [Box<dyn Submission>], now: Time) -> Outcome {
    let mut outcome = Outcome::default();
    let mut parts: Vec<(Range<usize>, u32)> = vec![(0..batch.len(), 0)];
    while let Some((range, tries)) = parts.pop() {
        let failure = match attempt(db, run, &mut batch[range.clone()], now).await {
            Ok(Some(revoked)) => {
                outcome.revoked = outcome.revoked.max(revoked);
                outcome.commits += 1;
                continue;
            }
            Ok(None) => continue,
            Err(failure) => failure,
        };
        // Also after an error of the way: then it is the proof that there is none any more.
        if db.is_closed() || db.together(&[("ROLLBACK", &[])]).await.is_err() {
            outcome.is_broken = true;
        }
        match failure {
            Failure::Passing(_) if tries < TRIES_MAX && !outcome.is_broken => parts.push((range, tries + 1)),
            Failure::Passing(error) | Failure::Somebodys(error) if range.len() == 1 => {
                batch[range.start].fail(error);
            }
            Failure::Locked if range.len() == 1 => batch[range.start].fail(StoreError::Busy),
            Failure::Locked
                if !outcome.is_broken
                    && let Some(locked) = locked(db, rooms_of(&batch[range.clone()])).await =>
            {
                // The others go on, and nobody waits a second time.
                let (mut first, mut free) = (range.start, Vec::new());
                for index in range.clone() {
                    if batch[index].room().is_some_and(|room| locked.contains(&room)) {
                        batch[index].fail(StoreError::Busy);
                        free.push((first..index, 0));
                        first = index + 1;
                    }
                }
                free.push((first..range.end, 0));
                parts.extend(free.into_iter().rev().filter(|(range, _)| !range.is_empty()));
            }
            Failure::Passing(_) | Failure::Somebodys(_) | Failure::Locked if !outcome.is_broken => {
                let middle = range.start + range.len() / 2;
                parts.push((middle..range.end, 0));
                parts.push((range.start..middle, 0));
            }
            _ => {
                let error = match failure {
                    Failure::Everybodys(error) if !outcome.is_broken => error,
                    _ => StoreError::Away,
                };
                for range in parts.drain(..).map(|(range, _)| range).chain([range]) {
                    batch[range].iter_mut().for_each(|change| change.fail(error.clone()));
                }
            }
        }
    }
    outcome
}

fn rooms_of(batch: &[Box<dyn Submission>]) -> Vec<RoomId> {
    batch.iter().filter_map(|change| change.room()).collect()
}

/// Which of the rooms somebody else has locked; `None` when it is none of them.
async fn locked(db: &Db, rooms: Vec<RoomId>) -> Option<Vec<RoomId>> {
    let (all, free) = {
        let rooms: Params<'_> = &[&rooms];
        let asked = [
            ("SELECT id FROM rooms WHERE id = ANY($1)", rooms),
            ("SELECT id FROM rooms WHERE id = ANY($1) FOR NO KEY UPDATE SKIP LOCKED", rooms),
        ];
        let mut answers = db.together(&asked).await.ok()?.into_iter();
        (answers.next()?, answers.next()?)
    };
    let ids = |rows: &[Row]| rows.iter().filter_map(|row| row.try_get(0).ok()).collect::<Vec<RoomId>>();
    let (mut locked, free) = (ids(&all), ids(&free));
    locked.retain(|room| !free.contains(room));
    (!locked.is_empty()).then_some(locked)
}

/// One transaction. Answers as [`Work::commit`].
async fn attempt(db: &Db, run: &Run, batch: &mut [Box<dyn Submission>], now: Time) -> Result<Option<u64>, Failure> {
    let (foreseen, invites) = foresee(batch);
    let foreseen = foreseen.with_rooms_of(db, &invites).await?;
    let mut work = Work::begin(db, &foreseen).await?;
    let is_alone = batch.len() == 1;
    for change in batch {
        work.next_change();
        let written = work.written();
        loop {
            let mut tables = PostgresTables::new(&mut work);
            let applied = catch_unwind(AssertUnwindSafe(|| change.apply(&mut tables, now)));
            // Whoever was suspended may have made anything of it, a panic too.
            if let Some(question) = tables.into_question() {
                work.answer(db, question).await?;
                continue;
            }
            match applied {
                Ok(Ok(())) => break,
                Ok(Err(NotApplied::Refused)) if work.written() == written => break,
                Ok(Err(NotApplied::Refused)) if is_alone => {
                    // It was alone in the transaction: what it wrote is taken back, and its refusal stands.
                    db.together(&[("ROLLBACK", &[])]).await?;
                    return Ok(None);
                }
                Ok(Err(NotApplied::Refused)) => {
                    return Err(Failure::Somebodys(StoreError::Failed("refused halfway".into())));
                }
                Ok(Err(NotApplied::Failed(error))) => return Err(Failure::Somebodys(error)),
                Err(_) => return Err(Failure::Somebodys(StoreError::Failed("a change panicked".into()))),
            }
        }
    }
    Ok(work.commit(db, run, now).await?)
}

/// What is known of the batch before it is applied: the rooms that it names, the invites by which others are found, and what
/// its posts will ask.
fn foresee(batch: &[Box<dyn Submission>]) -> (Foreseen, Vec<SecretDigest>) {
    let mut foreseen = Foreseen::default();
    foreseen.rooms.extend(batch.iter().filter_map(|change| change.room()));
    for change in batch {
        let Some((room, (author, client_id))) = change.room().zip(change.send()) else { continue };
        if let Some(root) = change.thread() {
            foreseen.threads.rooms.push(room);
            foreseen.threads.roots.push(root);
            foreseen.threads.authors.push(author);
        }
        foreseen.authors.push(author);
        foreseen.client_ids.push(client_id);
        for person in [author].into_iter().chain(change.looks_for()) {
            foreseen.looked_in.push(room);
            foreseen.looked_for.push(person);
        }
    }
    (foreseen, batch.iter().filter_map(|change| change.invite()).collect())
}

impl Foreseen {
    async fn with_rooms_of(mut self, db: &Db, invites: &Vec<SecretDigest>) -> Result<Self, Error> {
        if !invites.is_empty() {
            let rows = db.rows("SELECT room FROM invites WHERE digest = ANY($1)", &[invites]).await?;
            let rooms = rows.iter().map(|row| row.try_get::<_, RoomId>(0)).collect::<Result<Vec<_>, _>>()?;
            self.rooms.extend(rooms);
        }
        self.rooms.sort_unstable();
        self.rooms.dedup();
        Ok(self)
    }
}
