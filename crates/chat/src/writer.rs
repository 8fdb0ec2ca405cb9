//! The one writer: everything that changes the store goes through it, whoever asked and whether or not they still wait.
//!
//! Writes that wait are committed together. After the commit their events are announced, each room's in the order of its
//! numbers, and only then are the senders answered; so what is acknowledged is durable, and order is commit order.
//! A reader who cannot keep up with the announcements is the hub's affair and does not hold up the writer.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::{
    announce::Announcer,
    limits::{WRITES_PER_COMMIT_MAX, WRITES_WAITING_MAX},
    store::{ApplyError, Change, Outcome, Store, StoreError},
    time::Clock,
};

/// The way to the writer. Cheap to clone; the writer ends with the last clone, or when it is closed.
#[derive(Clone)]
pub(crate) struct Writer {
    inbox: mpsc::Sender<Write>,
    closing: Arc<Notify>,
    ended: watch::Receiver<()>,
}

struct Write {
    change: Change,
    answer: oneshot::Sender<Result<Outcome, ApplyError>>,
}

impl Writer {
    pub(crate) fn start(store: Arc<dyn Store>, announcer: Arc<Announcer>, clock: Clock) -> Self {
        let (inbox, waiting) = mpsc::channel(WRITES_WAITING_MAX);
        let closing = Arc::new(Notify::new());
        let (alive, ended) = watch::channel(());
        let stop = closing.clone();
        tokio::spawn(async move {
            run(store, announcer, clock, waiting, stop).await;
            drop(alive);
        });
        Self { inbox, closing, ended }
    }

    /// Has the change made and announced. A caller that goes away changes nothing about it.
    pub(crate) async fn write(&self, change: Change) -> Result<Outcome, ApplyError> {
        let (answer, answered) = oneshot::channel();
        self.inbox.try_send(Write { change, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Busy,
            mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
        })?;
        answered.await.unwrap_or(Err(ApplyError::Store(StoreError::Closed)))
    }

    /// How many writes wait to be taken up.
    pub(crate) fn waiting(&self) -> usize {
        self.inbox.max_capacity() - self.inbox.capacity()
    }

    /// Whether it takes writes.
    pub(crate) fn is_open(&self) -> bool {
        !self.inbox.is_closed()
    }

    /// Takes no more writes, finishes those that wait, and ends.
    pub(crate) async fn close(&self) {
        self.closing.notify_one();
        // Nothing is ever sent here; the sender goes with the writer.
        self.ended.clone().changed().await.ok();
    }
}

async fn run(
    store: Arc<dyn Store>,
    announcer: Arc<Announcer>,
    clock: Clock,
    mut inbox: mpsc::Receiver<Write>,
    closing: Arc<Notify>,
) {
    let mut waiting = Vec::with_capacity(WRITES_PER_COMMIT_MAX);
    loop {
        if waiting.is_empty() {
            tokio::select! {
                count = inbox.recv_many(&mut waiting, WRITES_PER_COMMIT_MAX) => if count == 0 { return },
                () = closing.notified() => {
                    inbox.close();
                    continue;
                }
            }
        }
        let together = together(waiting.iter().map(|write| &write.change));
        let (changes, senders): (Vec<_>, Vec<_>) =
            waiting.drain(..together).map(|write| (write.change, write.answer)).unzip();
        let answers = store.apply(changes, clock.now()).await;
        let mut failure = None;
        for (answer, sender) in answers.into_iter().zip(senders) {
            let outcome = match answer {
                Ok(applied) => {
                    announcer.announce(&applied).await;
                    Ok(applied.outcome)
                }
                Err(error) => {
                    if let ApplyError::Store(error) = &error {
                        failure = Some(error.clone());
                    }
                    Err(error)
                }
            };
            sender.send(outcome).ok();
        }
        // Once a batch: a full disk fails thousands of writes a second.
        if let Some(error) = failure {
            tracing::error!(%error, "writes failed; their senders were told");
        }
    }
}

/// How many of the waiting changes are committed together: up to the first that revokes something. What comes after it is
/// committed when whoever lost something is cut off, so they can never have read it, not even in between.
fn together<'a>(waiting: impl ExactSizeIterator<Item = &'a Change>) -> usize {
    let all = waiting.len();
    waiting.take_while(|change| !change.revokes()).count().saturating_add(1).min(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{PersonId, RoomId, SessionId};

    #[test]
    fn g5_a_batch_ends_with_a_change_that_revokes() {
        let (person, by, room) = (PersonId::fresh(), PersonId::fresh(), RoomId::fresh());
        let join = || Change::Join { person, room };
        for revoking in [
            Change::Leave { person, room },
            Change::Remove { by, person, room },
            Change::EndSession { person, session: SessionId::fresh() },
            Change::SweepSessions,
        ] {
            let waiting = [join(), join(), revoking, join(), join()];
            assert_eq!(together(waiting.iter()), 3);
            assert_eq!(together(waiting[3..].iter()), 2);
        }
    }
}
