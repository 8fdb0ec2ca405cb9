//! What the log is told only now and then, however often there is reason to.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::limits::COMPLAINT_INTERVAL;

/// One thing to complain about.
#[derive(Debug, Default)]
pub(crate) struct Complaint(Mutex<Option<Instant>>);

impl Complaint {
    /// Whether it is to be said now: the first time, and [`COMPLAINT_INTERVAL`] after it was said.
    pub(crate) fn says_so(&self) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = said.is_none_or(|said| said.elapsed() >= COMPLAINT_INTERVAL);
        if is_due {
            *said = Some(Instant::now());
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_same_is_said_at_first_and_then_once_in_each_interval() {
        let complaint = Complaint::default();
        assert!(complaint.says_so());
        for _ in 0..3 {
            assert!(!complaint.says_so());
            tokio::time::advance(COMPLAINT_INTERVAL).await;
            assert!(complaint.says_so());
        }
    }
}
