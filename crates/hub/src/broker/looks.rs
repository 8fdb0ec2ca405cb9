//! How often room for another stream is looked for: among all streams that takes milliseconds, and whoever is refused may
//! ask again at once.

use std::time::{Duration, Instant};

use crate::Account;
use crate::limits::{LOOKED_IN_VAIN, LOOKING_PART};
use crate::sharded::lock;
use crate::sync::Mutex;

/// When looking is worth its time again, after looks that found too little.
#[derive(Default)]
pub(super) struct Looks(Mutex<Until>);

#[derive(Default)]
struct Until {
    /// Among those that clients may take from.
    for_clients: Option<Instant>,
    /// Among those that the server may take from, which are others.
    for_server: Option<Instant>,
    /// Among those of one user or network.
    for_one: Option<Instant>,
}

impl Looks {
    /// Whether to look among all.
    pub(super) fn may_look(&self, for_client: bool, now: Instant) -> bool {
        let until = lock(&self.0);
        is_over(if for_client { until.for_clients } else { until.for_server }, now)
    }

    /// Whether to look among those of one user or network, which has as many as it may.
    pub(super) fn may_look_for(&self, account: &Account, now: Instant) -> bool {
        !account.was_looked_for(now) && is_over(lock(&self.0).for_one, now)
    }

    pub(super) fn found_too_little(&self, for_client: bool, now: Instant) {
        let mut until = lock(&self.0);
        let until = if for_client { &mut until.for_clients } else { &mut until.for_server };
        *until = now.checked_add(LOOKED_IN_VAIN);
    }

    /// There may be many such users and networks, so that what each of them costs must be bounded together.
    pub(super) fn found_too_little_for(&self, account: &Account, took: Duration, now: Instant) {
        account.looked_in_vain(now);
        lock(&self.0).for_one = now.checked_add(took * LOOKING_PART);
    }
}

fn is_over(until: Option<Instant>, now: Instant) -> bool {
    until.is_none_or(|until| until <= now)
}
