//! What happens in a database that others write to: each node tells its hub of everything that is committed there, whoever
//! did it, in the order of the numbers, and cuts off whoever lost something before it tells of anything that came later.
//!
//! ```text
//! our own commits ──────────► is it the next number of its room? ── yes ─► tell
//!                                    │ no: read what lies between and tell that first
//! a wake-up, a slow look ───► how far are all rooms, and what was taken away? ─► read what was not told, tell
//! ```
//!
//! Both ways begin with what was taken away: it is numbered by itself, and read at the same moment as the rooms or the
//! events, or, of our own commits, right after them. Whoever lost a right by a commit that is not seen then did so later.
//!
//! Nothing is lost when a message about a commit is: the look finds it. And nothing depends on who tells first: the hub takes
//! each number once, holds back what comes too early, and reads what is missing.

#[cfg(test)]
mod model;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use crate::{
    announce::{Announcer, Audience},
    limits::FOLLOWED_AT_ONCE,
    model::{Event, RoomId, Stand},
    standing::Standing,
    store::{
        Announcements, StoreError,
        follow::{Revocation, Revocations, Shared, Stir},
    },
};

/// See the module.
pub(crate) struct Following<A = Announcer> {
    database: Arc<dyn Shared>,
    announcer: Arc<A>,
    standing: Arc<Standing>,
    told: Mutex<Told>,
    /// One at a time, so that whoever finds it done may go on.
    carrying_out: tokio::sync::Mutex<()>,
    /// Everything up to this number of what was taken away has been carried out.
    carried_out: AtomicU64,
}

/// Behind this number nothing was taken away.
const EVERYTHING: u64 = u64::MAX >> 1;

/// How far each room was told.
#[derive(Debug, Default)]
pub(crate) struct Told(HashMap<RoomId, u64>);

/// What to do with an event that is known to be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It was told.
    Before,
    /// Tell it; from now on it counts as told.
    Now,
    /// What comes after this number is to be told first.
    After(u64),
}

impl From<&[Stand]> for Told {
    fn from(stands: &[Stand]) -> Self {
        Self(stands.iter().map(|stand| (stand.room, stand.offset)).collect())
    }
}

impl Told {
    /// An event of the room, by its number. A room that nothing is known of begins with it.
    pub(crate) fn turn(&mut self, room: RoomId, number: u64) -> Turn {
        let told = self.0.entry(room).or_insert(number - 1);
        match number {
            _ if number <= *told => Turn::Before,
            _ if number == *told + 1 => {
                *told = number;
                Turn::Now
            }
            _ => Turn::After(*told),
        }
    }

    /// How far the room was told, if it has more by now.
    fn behind(&mut self, stand: &Stand) -> Option<u64> {
        let told = self.0.entry(stand.room).or_insert(0);
        (*told < stand.offset).then_some(*told)
    }

    /// Nothing up to this number is told any more.
    pub(crate) fn skip(&mut self, room: RoomId, number: u64) {
        let told = self.0.entry(room).or_default();
        *told = (*told).max(number);
    }
}

impl<A: Audience> Following<A> {
    pub(crate) fn new(database: Arc<dyn Shared>, announcer: Arc<A>, standing: Arc<Standing>) -> Self {
        Self {
            database,
            announcer,
            standing,
            told: Mutex::default(),
            carrying_out: tokio::sync::Mutex::default(),
            carried_out: AtomicU64::default(),
        }
    }

    /// Begins from where everything stands now: nobody is listening yet.
    pub(crate) async fn begin(&self) -> Result<(), StoreError> {
        let (stands, revocations) = self.database.stands(EVERYTHING).await?;
        *self.told() = Told::from(&*stands);
        self.carried_out.store(revocations.last, SeqCst);
        Ok(())
    }

    /// Follows until the store is closed.
    pub(crate) async fn run(&self) {
        loop {
            let stir = self.database.stirred().await;
            if stir == Stir::Renewed {
                self.standing.forget_positions();
            }
            let looked = self.look().await;
            if stir == Stir::Renewed {
                self.announcer.start_again().await;
            }
            match looked {
                Ok(()) => {}
                Err(StoreError::Closed) => return,
                Err(error) => {
                    tracing::debug!(%error, "what others have written could not be looked at");
                    self.look_again();
                }
            }
        }
    }

    /// Tells of everything that is committed and was not told.
    async fn look(&self) -> Result<(), StoreError> {
        let (stands, revocations) = self.database.stands(self.carried_out.load(SeqCst)).await?;
        self.carry_out_these(revocations).await?;
        for stand in stands {
            let Some(after) = self.told().behind(&stand) else { continue };
            self.tell_between(stand.room, after, stand.offset).await?;
        }
        Ok(())
    }

    /// Carries out what was taken away, up to this number at least.
    ///
    /// # Errors
    /// When the store cannot say what it was; then nothing that may be later is to be told.
    pub(crate) async fn carry_out(&self, up_to: u64) -> Result<(), StoreError> {
        if self.carried_out.load(SeqCst) >= up_to {
            return Ok(());
        }
        let revocations = self.database.revocations(self.carried_out.load(SeqCst)).await?;
        self.carry_out_these(revocations).await
    }

    async fn carry_out_these(&self, revocations: Revocations) -> Result<(), StoreError> {
        let _one = self.carrying_out.lock().await;
        let done = self.carried_out.load(SeqCst);
        if done >= revocations.last {
            return Ok(());
        }
        let revoking = self.standing.revoking();
        if !revocations.are_complete {
            return self.begin_anew().await;
        }
        // Others may have been carried out since these were read. Not twice: who is back by now would be cut off again.
        for (_, revocation) in revocations.these.into_iter().filter(|(number, _)| *number > done) {
            match revocation {
                Revocation::Session(session) => self.announcer.end_session(session).await,
                Revocation::Membership { room, person, is_back } => {
                    self.announcer.cut_off(room, person, is_back).await;
                }
                Revocation::Role(person) => self.announcer.connect_person_again(person).await,
                Revocation::Denial { key, denied } => self.announcer.deny(key, denied).await,
            }
        }
        drop(revoking);
        self.carried_out.fetch_max(revocations.last, SeqCst);
        Ok(())
    }

    /// What was taken away cannot be known: this server was away for too long, or the database is another one than before,
    /// whose rooms may have other numbers. All connect again, and are asked anew who they are.
    async fn begin_anew(&self) -> Result<(), StoreError> {
        tracing::warn!("who lost what since this server last saw the database is not known: all connect again");
        let (stands, revocations) = self.database.stands(EVERYTHING).await?;
        self.announcer.deny_only(self.database.all_denials().await?);
        // Before they come back, to what stands there now.
        *self.told() = Told::from(&*stands);
        self.standing.forget_positions();
        self.announcer.connect_again().await;
        self.carried_out.store(revocations.last, SeqCst);
        Ok(())
    }

    /// What is committed could not be told of: it is by a look, before long.
    pub(crate) fn look_again(&self) {
        self.database.look_again();
    }

    /// Tells of our own commit, after [`carry_out`](Self::carry_out).
    pub(crate) async fn tell(&self, what: Announcements) {
        for event in &what.events {
            let turn = self.told().turn(event.room, event.number);
            match turn {
                Turn::Before => {}
                Turn::Now => self.tell_event(event).await,
                Turn::After(number) => {
                    if self.tell_between(event.room, number, event.number).await.is_err() {
                        // The hub holds it back, and reads what is missing as soon as that can be read.
                        self.told().skip(event.room, event.number);
                        self.tell_event(event).await;
                    }
                }
            }
        }
        self.announcer.tell_of_profiles(what.changed).await;
        self.announcer.tell_persons(what.personal).await;
    }

    async fn tell_event(&self, event: &Event) {
        self.standing.happened(event.room, event.number);
        self.announcer.announce_event(event).await;
    }

    /// Reads and tells what comes after one number, up to another.
    async fn tell_between(&self, room: RoomId, mut after: u64, up_to: u64) -> Result<(), StoreError> {
        // First: whoever is found to be here hears of it, and whoever comes later begins behind it.
        self.standing.happened(room, up_to);
        while after < up_to {
            if !self.announcer.is_heard(room).await {
                self.told().skip(room, up_to);
                return Ok(());
            }
            let page = self.database.events_after(room, after, FOLLOWED_AT_ONCE).await?;
            let Some(page) = page.filter(|page| !page.events.is_empty()) else {
                self.told().skip(room, up_to);
                return Ok(());
            };
            self.carry_out(page.revoked).await?;
            for event in &page.events {
                after = event.number;
                let turn = self.told().turn(room, event.number);
                if turn == Turn::Now {
                    self.tell_event(event).await;
                }
            }
        }
        Ok(())
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
