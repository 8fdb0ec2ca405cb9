//! How long to wait before the next attempt: exponential backoff with full jitter.
//!
//! Knows no clock: it returns durations, and its randomness comes from a seed, so that tests are exact.

use std::time::Duration;

/// Delays drawn uniformly from zero to a ceiling that doubles with every attempt up to a cap ("full jitter").
///
/// The jitter is what protects a server that comes back: clients that lost it in the same instant return spread over
/// the whole ceiling, not in a wave.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    attempt: u32,
    random: Random,
}

impl Backoff {
    /// Ceilings from `first`, doubling, up to `cap`; the same `seed` gives the same delays.
    #[must_use]
    pub fn new(first: Duration, cap: Duration, seed: u64) -> Backoff {
        Backoff { first, cap: cap.max(first), attempt: 0, random: Random(seed) }
    }

    /// The delay before the next attempt.
    pub fn next_delay(&mut self) -> Duration {
        let ceiling = self.ceiling();
        self.attempt = self.attempt.saturating_add(1);
        ceiling.mul_f64(self.random.fraction())
    }

    /// The longest that [`next_delay`](Backoff::next_delay) can answer now.
    #[must_use]
    pub fn ceiling(&self) -> Duration {
        // Past 2^20 every sensible cap is reached; the bound keeps the multiplication from overflowing.
        self.first.saturating_mul(1 << self.attempt.min(20)).min(self.cap)
    }

    /// Attempts since the last success.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// After a success the next failure starts again with the first ceiling.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}

/// splitmix64: enough to spread retries, which is all that it is used for here.
#[derive(Debug, Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Uniform in `0.0..1.0`.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what an f64 holds exactly")]
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn capability_4_41_delays_stay_between_zero_and_a_ceiling_that_doubles_up_to_the_cap() {
        for seed in 0..1000 {
            let mut backoff = Backoff::new(SECOND, 20 * SECOND, seed);
            for ceiling in [1, 2, 4, 8, 16, 20, 20, 20] {
                assert_eq!(backoff.ceiling(), ceiling * SECOND);
                assert!(backoff.next_delay() < ceiling * SECOND);
            }
        }
    }

    #[test]
    fn capability_4_41_jitter_is_full_so_delays_fill_the_whole_range_evenly() {
        let mut tenths = [0_u32; 10];
        for seed in 0..10_000 {
            let delay = Backoff::new(SECOND, 20 * SECOND, seed).next_delay();
            tenths[usize::try_from(delay.as_millis() / 100).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|&count| (850..1150).contains(&count)), "{tenths:?}");
    }

    #[test]
    fn capability_4_41_a_success_starts_again_from_the_first_ceiling() {
        let mut backoff = Backoff::new(SECOND, 20 * SECOND, 7);
        for _ in 0..10 {
            backoff.next_delay();
        }
        backoff.reset();
        assert_eq!(backoff.ceiling(), SECOND);
    }

    #[test]
    fn endless_attempts_do_not_overflow() {
        let mut backoff = Backoff::new(SECOND, Duration::MAX, 7);
        for _ in 0..1000 {
            backoff.next_delay();
        }
        assert_eq!(Backoff::new(SECOND, Duration::ZERO, 7).ceiling(), SECOND);
    }
}
