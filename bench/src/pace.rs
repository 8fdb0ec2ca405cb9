//! The clock of an open loop: things fall due at a fixed rate, whether or not what went before is done.
//!
//! Latency counts from when a thing was due and not from when there was time to send it, so a server that stands still
//! for a second shows in every one that fell due meanwhile (no "coordinated omission").

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;

use crate::limits;
use crate::report::{Figure, Unit};

/// Something fell due.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Due {
    /// Counts from 1.
    pub(crate) number: u64,
    pub(crate) at: Instant,
}

/// Calls `due` at a fixed rate, each time with the moment that it was due at, until the time is up or `due` fails. On a
/// thread of its own: timers of the runtime are a millisecond coarse. Returns how late each was sent, in microseconds.
pub(crate) async fn at_rate(
    rate: u32,
    duration: Duration,
    first: u64,
    mut due: impl FnMut(Due) -> Result<()> + Send + 'static,
) -> Result<Histogram<u64>> {
    let beat = move || {
        let mut late = new_histogram()?;
        let start = Instant::now();
        for number in 0u32.. {
            let after = Duration::from_secs_f64(f64::from(number) / f64::from(rate));
            if after >= duration {
                break;
            }
            let at = start + after;
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            late.saturating_record(micros(at.elapsed()));
            due(Due { number: first + u64::from(number), at })?;
        }
        Ok(late)
    };
    let number_fits = f64::from(rate) * duration.as_secs_f64() < f64::from(u32::MAX);
    anyhow::ensure!(number_fits, "too many for one run");
    tokio::task::spawn_blocking(beat).await.context("the clock of the open loop failed")?
}

/// How late the generator itself was: above a millisecond or two, its latencies are its own.
#[expect(clippy::cast_precision_loss, reason = "no latency here comes near 2^53")]
pub(crate) fn lateness(late: Option<&Histogram<u64>>) -> Figure {
    let p99 = late.map(|late| late.value_at_quantile(0.99) as f64);
    Figure::new("generator_late_p99_us", "sent late p99", Unit::Latency, p99)
}

pub(crate) fn new_histogram() -> Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, micros(limits::LATENCY_MAX), 3).context("making a histogram")
}

pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// One histogram of many.
pub(crate) fn merge<'a>(histograms: impl IntoIterator<Item = &'a Mutex<Histogram<u64>>>) -> Result<Histogram<u64>> {
    let mut all = new_histogram()?;
    for histogram in histograms {
        all.add(&*histogram.lock().unwrap_or_else(PoisonError::into_inner)).context("adding histograms")?;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[tokio::test]
    async fn things_fall_due_at_even_distances_whatever_the_sender_does() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        let note = move |due: Due| {
            noted.lock().unwrap().push(due);
            Ok(())
        };
        let late = at_rate(1000, Duration::from_millis(20), 5, note).await.unwrap();
        let seen = seen.lock().unwrap();
        assert_eq!((seen.len(), late.len(), seen[0].number), (20, 20, 5));
        assert!(seen.windows(2).all(|two| two[1].at - two[0].at == Duration::from_millis(1)));
    }

    #[tokio::test]
    async fn it_ends_with_the_first_failure() {
        let failed = at_rate(1000, Duration::from_secs(60), 1, |_| anyhow::bail!("behind")).await;
        assert_eq!(failed.unwrap_err().to_string(), "behind");
    }
}
