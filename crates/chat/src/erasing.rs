//! Erases the texts of messages that were deleted too long ago to be restored, by whichever process and in whichever run.
//! Beside the sweep of sessions and not in it, so that neither waits for the other while a database does not answer.

use std::{sync::Weak, time::Duration};

use tokio::time::Instant;

use crate::{changes::EraseDeleted, chat::Parts, limits::DELETE_UNDO, store::StoreError};

/// Looks again and again, until the chat is closed.
pub(crate) async fn run(parts: Weak<Parts>, interval: Duration) {
    let mut ticks = tokio::time::interval_at(Instant::now() + interval, interval);
    let mut failures = Failures::default();
    loop {
        ticks.tick().await;
        let Some(parts) = parts.upgrade().filter(|parts| parts.writer.is_open()) else { return };
        let looked = erase_deleted(&parts).await;
        if let Some(error) = failures.worth_saying(looked) {
            tracing::warn!(%error, "texts of deleted messages are not erased; it is tried again until they are, without a further word");
        }
    }
}

/// Why texts were not erased, or not all of them.
#[derive(Debug, PartialEq, Eq)]
enum Failure {
    /// Whether one waits is not known.
    Look(StoreError),
    /// One waits.
    Erase(StoreError),
}

/// What went wrong since the last look that went well.
#[derive(Debug, Default)]
struct Failures {
    was_said: bool,
}

impl Failures {
    /// What the log is to be told: once until it goes well again. That the database is away, or busy, is said elsewhere, and
    /// here only of texts that wait.
    fn worth_saying(&mut self, looked: Result<(), Failure>) -> Option<StoreError> {
        let error = match looked {
            Ok(()) => {
                self.was_said = false;
                return None;
            }
            Err(Failure::Look(StoreError::Away | StoreError::Busy)) => return None,
            Err(Failure::Look(StoreError::Closed) | Failure::Erase(StoreError::Closed)) => return None,
            Err(Failure::Look(error) | Failure::Erase(error)) => error,
        };
        (!std::mem::replace(&mut self.was_said, true)).then_some(error)
    }
}

async fn erase_deleted(parts: &Parts) -> Result<(), Failure> {
    let mut has_erased = false;
    let outcome = loop {
        match parts.store.has_deleted_by(parts.clock.now().minus(DELETE_UNDO)).await {
            Ok(true) => {}
            Ok(false) => break Ok(()),
            Err(error) => break Err(Failure::Look(error)),
        }
        match parts.writer.write(EraseDeleted).await {
            // Another node is at it.
            Ok(0) => break Ok(()),
            Ok(_) => has_erased = true,
            Err(error) => break Err(Failure::Erase(error.into_error())),
        }
    };
    // Also when it went wrong further on: what is erased is found by no later look.
    if has_erased {
        parts.store.empty_log().await;
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_wait_are_said_once_in_an_outage_and_a_database_that_is_away_is_not() {
        let mut failures = Failures::default();
        let look = |error| Err(Failure::Look(error));
        let erase = |error| Err(Failure::Erase(error));
        assert_eq!(failures.worth_saying(look(StoreError::Away)), None, "nobody knows whether one waits");
        assert_eq!(failures.worth_saying(erase(StoreError::Away)), Some(StoreError::Away));
        assert_eq!(failures.worth_saying(look(StoreError::Away)), None);
        assert_eq!(failures.worth_saying(erase(StoreError::Full)), None, "the same outage");
        assert_eq!(failures.worth_saying(Ok(())), None);
        assert_eq!(failures.worth_saying(erase(StoreError::Full)), Some(StoreError::Full), "the next one");

        let broken = StoreError::Failed("broken".into());
        assert_eq!(Failures::default().worth_saying(look(broken.clone())), Some(broken), "nobody else says that");
    }
}
