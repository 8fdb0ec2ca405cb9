//! The one writer: everything that changes the store goes through it, whoever asked and whether or not they still wait.
//!
//! Changes that wait are committed together. After the commit their events are announced, each room's in the order of its
//! numbers, and only then are the senders answered; so what is acknowledged is durable, and order is commit order. What
//! came meanwhile is committed while that is done, unless a right was in fact taken away: then it waits.
//!
//! Where the database takes several batches side by side, there are as many *lanes*, and each room has its own. What is taken
//! away in one of them others wait for as they do for what another program takes away: see [`following`](crate::following).
//! A reader who cannot keep up with the announcements is the hub's affair and does not hold up the writer.

use std::sync::Arc;

use futures_util::{FutureExt, future::join};
use tokio::sync::{Notify, mpsc, watch};

use crate::{
    announce::Announcer,
    complaint::Complaint,
    following::Following,
    limits::{WRITES_PER_COMMIT_MAX, WRITES_WAITING_MAX},
    model::Clock,
    standing::{Revoking, Standing},
    store::{Announcements, Batch, Change, ChangeError, Done, Store, StoreError, Submission, submit},
    supervision::Failures,
};

/// The way to the writer. Cheap to clone; the writer ends with the last clone, or when it is closed.
#[derive(Clone)]
pub(crate) struct Writer(Arc<[Lane]>);

/// The way to one of its lanes: one, where the database takes one batch at a time.
struct Lane {
    inbox: mpsc::Sender<Box<dyn Submission>>,
    closing: Arc<Notify>,
    ended: watch::Receiver<()>,
}

impl Writer {
    pub(crate) fn start(store: &Arc<dyn Store>, teller: &Teller, clock: &Clock, failures: &Failures) -> Self {
        let lanes = store.lanes();
        let start = |lane| {
            let (inbox, waiting) = mpsc::channel(WRITES_WAITING_MAX / lanes);
            let closing = Arc::new(Notify::new());
            let (alive, ended) = watch::channel(());
            let (store, teller, clock, stop) = (store.clone(), teller.clone(), clock.clone(), closing.clone());
            failures.spawn("the writer of the chat", async move {
                run(store, lane, teller, clock, waiting, stop).await;
                drop(alive);
            });
            Lane { inbox, closing, ended }
        };
        Self((0..lanes).map(start).collect())
    }

    /// What concerns a room always goes the same way, so that what happens in it is told in its order.
    fn lane_of(&self, change: &impl Change) -> &Lane {
        let lane = change.room().map_or(0, |room| usize::from(room.bytes()[15]) % self.0.len());
        &self.0[lane]
    }

    /// Has the change made and announced. A caller that goes away changes nothing about it.
    pub(crate) async fn write<C: Change>(&self, change: C) -> Result<C::Answer, ChangeError<C::Refusal>> {
        let lane = self.lane_of(&change);
        let (submission, outcome) = submit(change);
        lane.inbox.try_send(submission).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Busy,
            mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
        })?;
        outcome.await.map(|applied| applied.answer)
    }

    /// Has the change made and announced, some time; nobody waits for it. It may be forgotten when too much is waiting.
    pub(crate) fn write_later(&self, change: impl Change) {
        let lane = self.lane_of(&change);
        lane.inbox.try_send(submit(change).0).ok();
    }

    /// How many writes wait to be taken up.
    pub(crate) fn waiting(&self) -> usize {
        self.0.iter().map(|lane| lane.inbox.max_capacity() - lane.inbox.capacity()).sum()
    }

    /// Whether it takes writes.
    pub(crate) fn is_open(&self) -> bool {
        self.0.iter().all(|lane| !lane.inbox.is_closed())
    }

    /// Takes no more writes, finishes those that wait, and ends.
    pub(crate) async fn close(&self) {
        self.0.iter().for_each(|lane| lane.closing.notify_one());
        for lane in &*self.0 {
            // Nothing is ever sent here; the sender goes with the lane.
            lane.ended.clone().changed().await.ok();
        }
    }
}

/// Who is told of what was committed.
#[derive(Clone)]
pub(crate) struct Teller {
    pub(crate) announcer: Arc<Announcer>,
    pub(crate) standing: Arc<Standing>,
    /// For a store that others write to.
    pub(crate) following: Option<Arc<Following>>,
}

impl Teller {
    /// What was taken away, by whomever, is carried out before anything later is told. Whether that could be done.
    async fn begin(&self, revoked: u64) -> bool {
        let Some(following) = &self.following else { return true };
        let carried_out = following.carry_out(revoked).await.inspect_err(|error| {
            tracing::debug!(%error, "what was committed is told at the next look");
            following.look_again();
        });
        carried_out.is_ok()
    }

    async fn tell(&self, what: Announcements) {
        match &self.following {
            Some(following) => following.tell(what).await,
            None => {
                for event in &what.events {
                    self.standing.happened(event.room, event.number);
                }
                self.announcer.announce(what).await;
            }
        }
    }
}

async fn run(
    store: Arc<dyn Store>,
    lane: usize,
    teller: Teller,
    clock: Clock,
    mut inbox: mpsc::Receiver<Box<dyn Submission>>,
    closing: Arc<Notify>,
) {
    let mut waiting = Vec::with_capacity(WRITES_PER_COMMIT_MAX);
    // What was committed and has yet to be told.
    let mut committed = Committed::default();
    let mut failed = Failed::default();
    loop {
        if closing.notified().now_or_never().is_some() {
            inbox.close();
        }
        if waiting.is_empty() && committed.batch.is_empty() {
            tokio::select! {
                count = inbox.recv_many(&mut waiting, WRITES_PER_COMMIT_MAX) => if count == 0 { return },
                () = closing.notified() => {
                    inbox.close();
                    continue;
                }
            }
        }
        while waiting.len() < WRITES_PER_COMMIT_MAX
            && let Ok(change) = inbox.try_recv()
        {
            waiting.push(change);
        }
        if waiting.is_empty() || committed.revoking.is_some() {
            tell(&mut committed, &teller, &mut failed).await;
            continue;
        }
        let mut batch: Batch = waiting.drain(..together(&waiting)).collect();
        sort_by_room(&mut batch);
        // From before the commit can be seen until the hub has cut off whoever loses something.
        let revoking = batch.last().is_some_and(|last| last.revokes()).then(|| teller.standing.revoking());
        // The disk works while the last batch is told of.
        let telling = tell(&mut committed, &teller, &mut failed);
        match join(store.apply(lane, batch, clock.now()), telling).await.0 {
            Ok(Done { batch, revoked }) if batch.last().is_some_and(|last| last.has_revoked()) => {
                committed = Committed { batch, revoked, revoking };
            }
            Ok(Done { batch, revoked }) => {
                if let Some(revoking) = revoking {
                    revoking.in_vain();
                }
                committed = Committed { batch, revoked, revoking: None };
            }
            Err(error) => failed.add(&error, 1),
        }
    }
}

#[derive(Default)]
struct Committed<'a> {
    batch: Batch,
    /// See [`Done::revoked`].
    revoked: u64,
    revoking: Option<Revoking<'a>>,
}

/// Writes that failed: the log is told once a batch at most, and not of every batch.
#[derive(Default)]
struct Failed {
    complaint: Complaint,
    /// How many there were since that was said last.
    writes: usize,
}

impl Failed {
    fn add(&mut self, error: &StoreError, writes: usize) {
        self.writes += writes;
        if self.complaint.says_so() {
            tracing::error!(%error, writes = self.writes, "writes failed; their senders were told");
            self.writes = 0;
        }
    }
}

/// Announces what was committed, and answers.
async fn tell(committed: &mut Committed<'_>, teller: &Teller, failed: &mut Failed) {
    let Committed { batch, revoked, revoking } = std::mem::take(committed);
    if batch.is_empty() {
        return;
    }
    let (mut failure, mut failures) = (None, 0);
    let may_tell = teller.begin(revoked).await;
    for mut change in batch {
        let announcements = change.take_announcements();
        if may_tell {
            teller.tell(announcements).await;
        }
        if let Some(error) = change.failure() {
            failures += 1;
            failure = Some(error.clone());
        }
        change.answer();
    }
    drop(revoking);
    if let Some(error) = failure {
        failed.add(&error, failures);
    }
}

/// How many of the waiting changes are committed together: up to the first that revokes something.
///
/// What comes after it is committed when whoever lost something is cut off, so they can never have read it, not even in
/// between (G5). In one batch with it, an event committed after a removal would already be readable, and be announced,
/// while the one removed is still subscribed.
fn together(waiting: &[Box<dyn Submission>]) -> usize {
    let revoking = waiting.iter().position(|change| change.revokes());
    revoking.map_or(waiting.len(), |index| index + 1)
}

/// Puts the changes of one room side by side, in the order in which they came; no order is promised across rooms.
///
/// A store that locks the rows of rooms must lock them in one order, or two batches (in two lanes or on two nodes) wait
/// for each other for ever. The change that revokes stays last, for the reason above: such a store locks its room among
/// the others before it applies the first change.
fn sort_by_room(batch: &mut [Box<dyn Submission>]) {
    let revoking = batch.last().is_some_and(|last| last.revokes());
    let sorted = batch.len() - usize::from(revoking);
    batch[..sorted].sort_by_key(|change| change.room());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        changes::{EndSession, Join, Leave, Remove, SweepSessions, TouchSession},
        model::{PersonId, RoomId, SessionId, Time},
        store::{contract, memory::Memory},
    };

    fn waiting(change: impl Change) -> Box<dyn Submission> {
        submit(change).0
    }

    #[test]
    fn g5_a_batch_ends_with_a_change_that_revokes() {
        let (person, by, room) = (PersonId::fresh(), PersonId::fresh(), RoomId::fresh());
        let join = || waiting(Join { person, room });
        for revoking in [
            waiting(Leave { person, room }),
            waiting(Remove { by, person, room }),
            waiting(EndSession { person, session: SessionId::fresh(), why: crate::model::Ended::Elsewhere }),
            waiting(SweepSessions),
        ] {
            let all = [join(), join(), revoking, join(), join()];
            assert_eq!(together(&all), 3);
            assert_eq!(together(&all[3..]), 2);
        }
    }

    #[tokio::test]
    async fn what_takes_nothing_away_leaves_what_is_known_of_everybody() {
        let standing = Arc::new(Standing::default());
        let clock = Clock::new(|| Time::from_millis(0));
        let failures = Failures::new();
        let store: Arc<dyn Store> = Arc::new(Memory::default());
        let teller = Teller { announcer: Arc::default(), standing: standing.clone(), following: None };
        let writer = Writer::start(&store, &teller, &clock, &failures);
        let set_up = contract::set_up("Ana");
        let (person, room) = (set_up.person.id, set_up.room.id);
        writer.write(set_up).await.unwrap();

        let before = standing.moment();
        writer.write(SweepSessions).await.unwrap();
        writer.write(Leave { person: PersonId::fresh(), room }).await.unwrap_err();
        writer
            .write(EndSession { person, session: SessionId::fresh(), why: crate::model::Ended::Elsewhere })
            .await
            .unwrap_err();
        assert_eq!(standing.moment(), before);
        writer.write(Leave { person, room }).await.unwrap();
        assert_ne!(standing.moment(), before);
    }

    #[test]
    fn the_rooms_of_a_batch_are_in_order_and_what_revokes_stays_last() {
        let person = PersonId::fresh();
        let rooms = [RoomId::fresh(), RoomId::fresh(), RoomId::fresh()];
        let join = |room: usize| waiting(Join { person, room: rooms[room] });
        let touch = waiting(TouchSession { session: SessionId::fresh(), address: None });
        let mut batch = [join(2), join(1), touch, join(2), waiting(Leave { person, room: rooms[0] })];
        sort_by_room(&mut batch);
        let order: Vec<_> = batch.iter().map(|change| change.room()).collect();
        assert_eq!(order, [None, Some(rooms[1]), Some(rooms[2]), Some(rooms[2]), Some(rooms[0])]);
    }
}
