//! An allowance that fills steadily and holds a burst, in one number: when it will be full again.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::limits::Rate;

/// Full from this moment on, in nanoseconds since some beginning. No lock: whoever takes moves the moment.
#[derive(Debug, Default)]
pub(super) struct Bucket(AtomicU64);

impl Bucket {
    /// Takes `cost` if it is there.
    pub(super) fn take(&self, cost: u64, rate: Rate, now: u64) -> bool {
        let take = |full_at: u64| {
            let full_at = full_at.max(now).saturating_add(time_for(cost, rate));
            (full_at - now <= time_for(rate.burst.into(), rate)).then_some(full_at)
        };
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    /// Takes `cost` whether it is there or not, but no more debt than a burst.
    pub(super) fn charge(&self, cost: u64, rate: Rate, now: u64) {
        let owed_until = now.saturating_add(time_for(rate.burst.into(), rate).saturating_mul(2));
        let charge = |full_at: u64| Some(full_at.max(now).saturating_add(time_for(cost, rate)).min(owed_until));
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, charge).ok();
    }

    pub(super) fn has_some(&self, rate: Rate, now: u64) -> bool {
        self.0.load(Ordering::Relaxed).saturating_sub(now) < time_for(rate.burst.into(), rate).max(1)
    }

    pub(super) fn is_full(&self, now: u64) -> bool {
        self.0.load(Ordering::Relaxed) <= now
    }
}

/// Nanoseconds in which so much is earned.
fn time_for(cost: u64, rate: Rate) -> u64 {
    let nanos = u128::from(cost) * 1_000_000_000 / u128::from(rate.per_second.max(1));
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 10, burst: 3 };
    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_burst_and_then_what_time_brings() {
        let bucket = Bucket::default();
        assert_eq!((0..5).filter(|_| bucket.take(1, RATE, 0)).count(), 3);
        assert_eq!((0..5).filter(|_| bucket.take(1, RATE, SECOND / 5)).count(), 2);
        assert!(!bucket.is_full(SECOND * 2 / 5) && bucket.is_full(SECOND / 2));
    }

    #[test]
    fn a_debt_is_paid_by_waiting_and_is_no_longer_than_a_burst() {
        let bucket = Bucket::default();
        bucket.charge(1_000, RATE, 0);
        assert!(!bucket.has_some(RATE, 0));
        assert!(bucket.has_some(RATE, SECOND * 301 / 1_000));
    }
}
