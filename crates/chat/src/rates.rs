//! How often somebody may do something: token buckets for what is allowed in moderation, a growing wait for failed sign-ins.
//!
//! In memory and bounded: when there are too many keys, those unused for longest are forgotten, so nobody new is refused
//! for the crowd. Who commands enough addresses to fill the memory can thereby make it forget. Time comes in as an
//! argument, by a clock that nobody can set: an hour's jump of the one on the wall must neither hold somebody up for an hour nor
//! forgive what was tried.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

pub(crate) use tidings_hub::network_of;

use crate::{
    device::Device,
    limits::{
        RATE_KEYS_MAX, Rate, Rates, SIGN_IN_FORGET, SIGN_IN_WAIT_FIRST, SIGN_IN_WAIT_MAX, SIGN_INS_FREE_PER_ACCOUNT,
        SIGN_INS_FREE_PER_ADDRESS, SIGN_INS_FREE_PER_DEVICE, SIGN_INS_PER_ACCOUNT, TURNS_AHEAD_PER_PERSON,
    },
    model::{PersonId, PersonalTokenId, RoomId, SecretDigest},
};

/// Too often: ask again after this long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many requests; try again in {} s", .0.as_secs().max(1))]
pub struct RetryAfter(pub Duration);

/// Who did how much lately.
pub(crate) struct Limiters {
    pub(crate) posts: Buckets<PersonId>,
    pub(crate) typing: Buckets<(PersonId, RoomId)>,
    pub(crate) memberships: Buckets<PersonId>,
    pub(crate) reads: Buckets<PersonId>,
    pub(crate) rooms: Buckets<PersonId>,
    pub(crate) directs: Buckets<PersonId>,
    pub(crate) searches: Buckets<PersonId>,
    pub(crate) profiles: Buckets<PersonId>,
    pub(crate) idles: Buckets<PersonId>,
    pub(crate) idles_in: Buckets<RoomId>,
    pub(crate) token_calls: Buckets<PersonalTokenId>,
    pub(crate) emails: Buckets<PersonId>,
    pub(crate) invites: Buckets<PersonId>,
    pub(crate) codes: Buckets<IpAddr>,
    pub(crate) accounts_at: Buckets<IpAddr>,
    pub(crate) accounts_in: Buckets<RoomId>,
    pub(crate) typing_in: Buckets<RoomId>,
    /// By the digest of the e-mail address typed in, so that one with an account behaves like one without; and by where
    /// the request came from, so that a stranger elsewhere holds nobody up.
    pub(crate) accounts: Backoff<(SecretDigest, IpAddr)>,
    /// The same from everywhere together, and much looser.
    pub(crate) accounts_anywhere: Buckets<SecretDigest>,
    pub(crate) password_changes: Backoff<PersonId>,
    pub(crate) addresses: Backoff<IpAddr>,
    /// Of devices that are known for the account; nothing else counts for them.
    pub(crate) devices: Backoff<Device>,
    /// Of sign-ins from known devices and changes of the password, right ones too: they are hashed before those of others.
    pub(crate) turns_ahead: Buckets<PersonId>,
}

impl Limiters {
    pub(crate) fn new(rates: &Rates) -> Self {
        Self {
            posts: Buckets::new(rates.posts),
            typing: Buckets::new(rates.typing),
            memberships: Buckets::new(rates.memberships),
            reads: Buckets::new(rates.reads),
            rooms: Buckets::new(rates.rooms),
            directs: Buckets::new(rates.directs),
            searches: Buckets::new(rates.searches),
            profiles: Buckets::new(rates.profiles),
            idles: Buckets::new(rates.idles),
            idles_in: Buckets::new(rates.idles_per_room),
            token_calls: Buckets::new(rates.token_calls),
            emails: Buckets::new(rates.emails),
            invites: Buckets::new(rates.invites),
            codes: Buckets::new(rates.codes),
            accounts_at: Buckets::new(rates.accounts_per_address),
            accounts_in: Buckets::new(rates.accounts_per_room),
            typing_in: Buckets::new(rates.typing_per_room),
            accounts: Backoff::new(SIGN_INS_FREE_PER_ACCOUNT),
            accounts_anywhere: Buckets::new(SIGN_INS_PER_ACCOUNT),
            password_changes: Backoff::new(SIGN_INS_FREE_PER_ACCOUNT),
            addresses: Backoff::new(SIGN_INS_FREE_PER_ADDRESS),
            devices: Backoff::new(SIGN_INS_FREE_PER_DEVICE),
            turns_ahead: Buckets::new(TURNS_AHEAD_PER_PERSON),
        }
    }
}

/// Token buckets, one per key.
#[derive(Debug)]
pub(crate) struct Buckets<K> {
    rate: Rate,
    buckets: Mutex<HashMap<K, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl<K: Eq + Hash> Buckets<K> {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, buckets: Mutex::default() }
    }

    /// Takes one from the key's bucket, or says how long until there is one.
    pub(crate) fn take(&self, key: K, now: Instant) -> Result<(), RetryAfter> {
        let rate = self.rate;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= RATE_KEYS_MAX && !buckets.contains_key(&key) {
            buckets.retain(|_, bucket| bucket.refilled(rate, now) < f64::from(rate.burst));
            evict(&mut buckets, |bucket| bucket.at);
        }
        let bucket = buckets.entry(key).or_insert(Bucket { tokens: f64::from(rate.burst), at: now });
        bucket.tokens = bucket.refilled(rate, now);
        bucket.at = now;
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            Ok(())
        } else {
            Err(RetryAfter(Duration::from_secs_f64((1.0 - bucket.tokens) / rate.per_second)))
        }
    }

    /// What one was taken for did not take place, or is not what is limited.
    pub(crate) fn give_back(&self, key: &K) {
        if let Some(bucket) = self.buckets.lock().unwrap_or_else(PoisonError::into_inner).get_mut(key) {
            bucket.tokens = (bucket.tokens + 1.0).min(f64::from(self.rate.burst));
        }
    }
}

/// Forgets the keys unused for longest until a tenth of the room is free: looking at all of them is then paid for by many
/// new ones.
fn evict<K: Eq + Hash, V>(known: &mut HashMap<K, V>, used: impl Fn(&V) -> Instant) {
    let excess = known.len().saturating_sub(RATE_KEYS_MAX - RATE_KEYS_MAX / 10);
    let Some(last) = excess.checked_sub(1) else { return };
    let mut times: Vec<Instant> = known.values().map(&used).collect();
    let (older, &mut cutoff, _) = times.select_nth_unstable(last);
    let mut at_cutoff = excess - older.iter().filter(|&&time| time < cutoff).count();
    known.retain(|_, value| {
        let time = used(value);
        if time == cutoff && at_cutoff > 0 {
            at_cutoff -= 1;
            return false;
        }
        time >= cutoff
    });
}

impl Bucket {
    fn refilled(&self, rate: Rate, now: Instant) -> f64 {
        (self.tokens + now.saturating_duration_since(self.at).as_secs_f64() * rate.per_second)
            .min(f64::from(rate.burst))
    }
}

/// Counts failures per key; after some free ones each further attempt must wait, and each wait is twice the last.
#[derive(Debug)]
pub(crate) struct Backoff<K> {
    free: u32,
    failures: Mutex<HashMap<K, Failures>>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
    /// The one before the last, from which the wait goes on when the last is taken back.
    before: Instant,
}

impl<K: Eq + Hash> Backoff<K> {
    pub(crate) fn new(free: u32) -> Self {
        Self { free, failures: Mutex::default() }
    }

    /// Counts an attempt as failed from its start, so that many at the same time get no more guesses than one after the
    /// other. A refused attempt is not counted: who waits gets in.
    pub(crate) fn attempt(&self, key: K, now: Instant) -> Result<(), RetryAfter> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= RATE_KEYS_MAX && !failures.contains_key(&key) {
            failures.retain(|_, known| now.saturating_duration_since(known.last) < SIGN_IN_FORGET);
            evict(&mut failures, |known| known.last);
        }
        let known = failures.entry(key).or_insert(Failures { count: 0, last: now, before: now });
        let passed = now.saturating_duration_since(known.last);
        if passed >= SIGN_IN_FORGET {
            known.count = 0;
        }
        if let Some(step) = known.count.checked_sub(self.free) {
            let wait =
                SIGN_IN_WAIT_FIRST.saturating_mul(1u32.checked_shl(step).unwrap_or(u32::MAX)).min(SIGN_IN_WAIT_MAX);
            if passed < wait {
                return Err(RetryAfter(wait - passed));
            }
        }
        known.count = known.count.saturating_add(1);
        (known.before, known.last) = (known.last, now);
        Ok(())
    }

    /// The attempt succeeded: everything that failed before it is forgotten.
    pub(crate) fn forget(&self, key: &K) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// The attempt that began at `begun` succeeded or never took place: it alone is taken back, and whoever waited after the
    /// one before it has waited.
    pub(crate) fn take_back(&self, key: &K, begun: Instant) {
        if let Some(known) = self.failures.lock().unwrap_or_else(PoisonError::into_inner).get_mut(key) {
            known.count = known.count.saturating_sub(1);
            // Not when another began since: that one still counts from its start.
            if known.last == begun {
                known.last = known.before;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    static START: LazyLock<Instant> = LazyLock::new(Instant::now);

    fn after(seconds: u64) -> Instant {
        *START + Duration::from_secs(seconds)
    }

    #[test]
    fn a_bucket_allows_a_burst_and_then_the_steady_rate() {
        let buckets = Buckets::new(Rate { burst: 3, per_second: 0.5 });
        for _ in 0..3 {
            assert_eq!(buckets.take("ana", *START), Ok(()));
        }
        assert_eq!(buckets.take("ana", *START), Err(RetryAfter(Duration::from_secs(2))));
        assert_eq!(buckets.take("ben", *START), Ok(()), "another key has its own bucket");
        assert_eq!(buckets.take("ana", after(2)), Ok(()));
        assert!(buckets.take("ana", after(2)).is_err());
    }

    #[test]
    fn s26_each_failed_attempt_beyond_the_free_ones_doubles_the_wait() {
        let backoff = Backoff::new(2);
        assert_eq!(backoff.attempt("ana", *START), Ok(()));
        assert_eq!(backoff.attempt("ana", *START), Ok(()));
        assert_eq!(backoff.attempt("ana", *START), Err(RetryAfter(Duration::from_secs(1))));
        assert_eq!(backoff.attempt("ana", after(1)), Ok(()));
        assert_eq!(backoff.attempt("ana", after(1)), Err(RetryAfter(Duration::from_secs(2))));
        assert_eq!(backoff.attempt("ben", after(1)), Ok(()), "another account is not held up");
        backoff.forget(&"ana");
        assert_eq!(backoff.attempt("ana", after(1)), Ok(()));
    }

    #[test]
    fn an_attempt_that_is_taken_back_begins_no_wait() {
        let backoff = Backoff::new(1);
        assert_eq!(backoff.attempt("ana", *START), Ok(()));
        assert_eq!(backoff.attempt("ana", after(5)), Ok(()));
        backoff.take_back(&"ana", after(5));
        assert_eq!(backoff.attempt("ana", after(5)), Ok(()), "the wait after the first attempt was over");

        assert_eq!(backoff.attempt("ben", *START), Ok(()));
        assert_eq!(backoff.attempt("ben", after(5)), Ok(()));
        assert_eq!(backoff.attempt("ben", after(10)), Ok(()));
        backoff.take_back(&"ben", after(5));
        assert_eq!(backoff.attempt("ben", after(10)), Err(RetryAfter(SIGN_IN_WAIT_FIRST * 2)), "the last one counts");
    }

    #[test]
    fn the_wait_has_a_ceiling_and_failures_are_forgotten() {
        let backoff = Backoff::new(1);
        let mut now = *START;
        for _ in 0..80 {
            now += SIGN_IN_WAIT_MAX;
            assert_eq!(backoff.attempt("ana", now), Ok(()), "waiting the longest wait always helps");
        }
        assert!(backoff.attempt("ana", now).is_err());
        assert_eq!(backoff.attempt("ana", now + SIGN_IN_FORGET), Ok(()));
    }

    #[test]
    fn the_memory_for_keys_is_bounded() {
        let buckets = Buckets::new(Rate { burst: 2, per_second: 1.0 });
        for key in 0..RATE_KEYS_MAX {
            assert_eq!(buckets.take(key, *START), Ok(()));
        }
        assert_eq!(buckets.take(RATE_KEYS_MAX, after(10)), Ok(()), "keys at rest made room");
        assert!(buckets.buckets.lock().unwrap().len() < 10);
    }

    #[test]
    fn when_the_memory_is_full_the_keys_unused_for_longest_make_room() {
        let (buckets, backoff) = (Buckets::new(Rate { burst: 1, per_second: 1e-6 }), Backoff::new(1));
        assert_eq!((buckets.take(0, *START), backoff.attempt(0, *START)), (Ok(()), Ok(())));
        for key in 1..RATE_KEYS_MAX + 10 {
            assert_eq!((buckets.take(key, after(1)), backoff.attempt(key, after(1))), (Ok(()), Ok(())), "{key}");
        }
        assert!(buckets.buckets.lock().unwrap().len() <= RATE_KEYS_MAX);
        assert!(backoff.failures.lock().unwrap().len() <= RATE_KEYS_MAX);
        let newest = RATE_KEYS_MAX + 9;
        assert!(buckets.take(newest, after(1)).is_err() && backoff.attempt(newest, after(1)).is_err());
        assert_eq!(
            (buckets.take(0, after(1)), backoff.attempt(0, *START)),
            (Ok(()), Ok(())),
            "the oldest was forgotten"
        );
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let one: IpAddr = "2001:db8:1:2::1".parse().unwrap();
        let other: IpAddr = "2001:db8:1:2:ffff::9".parse().unwrap();
        assert_eq!(network_of(one), network_of(other));
        assert_eq!(network_of("::ffff:192.0.2.1".parse().unwrap()), "192.0.2.1".parse::<IpAddr>().unwrap());
    }
}
