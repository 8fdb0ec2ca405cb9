//! A bounded pool of blocking work: a few calls run, a bounded number waits, the next one is told to try again.

use std::sync::Arc;

use tokio::sync::{Semaphore, TryAcquireError};

/// Runs blocking work on the runtime's blocking threads, a few at a time.
#[derive(Debug)]
pub(crate) struct BlockingPool {
    running: Arc<Semaphore>,
    running_max: u32,
    admitted: Arc<Semaphore>,
}

/// Why work was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PoolError {
    /// Too much is waiting already.
    #[error("busy; try again")]
    Busy,
    /// The pool takes no more work.
    #[error("closed")]
    Closed,
    /// The work panicked, or the runtime is going down.
    #[error("the work was not finished")]
    Unfinished,
}

impl BlockingPool {
    pub(crate) fn new(running_max: usize, waiting_max: usize) -> Self {
        Self {
            running: Arc::new(Semaphore::new(running_max)),
            running_max: u32::try_from(running_max).expect("a pool is small"),
            admitted: Arc::new(Semaphore::new(running_max + waiting_max)),
        }
    }

    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let admitted = self.admitted.clone().try_acquire_owned().map_err(|error| match error {
            TryAcquireError::NoPermits => PoolError::Busy,
            TryAcquireError::Closed => PoolError::Closed,
        })?;
        let running = self.running.clone().acquire_owned().await.map_err(|_| PoolError::Unfinished)?;
        // The permits go with the work: it runs to its end even if nobody waits for it any more.
        let work = move || {
            let _permits = (admitted, running);
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| PoolError::Unfinished)
    }

    /// Takes no more work, and answers when what was taken before has ended.
    pub(crate) async fn close(&self) {
        self.admitted.close();
        // Turns are given in the order in which they were asked for, so all of them together come last.
        self.running.acquire_many(self.running_max).await.ok();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn when_enough_is_waiting_the_next_is_told_to_try_again() {
        let pool = Arc::new(BlockingPool::new(1, 1));
        let (release, held) = mpsc::channel::<()>();
        let (started, running) = tokio::sync::oneshot::channel();
        let first = tokio::spawn({
            let pool = pool.clone();
            async move {
                let work = move || {
                    started.send(()).unwrap();
                    held.recv().ok();
                };
                pool.run(work).await
            }
        });
        running.await.unwrap();
        let mut second = Box::pin(pool.run(|| 2));
        assert!(futures_util::poll!(&mut second).is_pending());
        assert_eq!(pool.run(|| 3).await, Err(PoolError::Busy));
        drop(release);
        assert_eq!(first.await.unwrap(), Ok(()));
        assert_eq!(second.await, Ok(2));
        assert_eq!(pool.run(|| 3).await, Ok(3));
    }

    #[tokio::test]
    async fn work_that_panics_gives_its_place_back() {
        let pool = BlockingPool::new(1, 0);
        assert_eq!(pool.run(|| panic!("on purpose")).await, Err::<(), _>(PoolError::Unfinished));
        assert_eq!(pool.run(|| 1).await, Ok(1));
    }

    #[tokio::test]
    async fn a_pool_is_closed_when_what_it_took_has_ended_and_takes_nothing_more() {
        let pool = Arc::new(BlockingPool::new(1, 1));
        let (go_on, wait) = mpsc::channel::<()>();
        let running = tokio::spawn({
            let pool = pool.clone();
            async move { pool.run(move || wait.recv().ok()).await }
        });
        while pool.running.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let closing = tokio::spawn({
            let pool = pool.clone();
            async move { pool.close().await }
        });
        while !pool.admitted.is_closed() {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.run(|| 1).await, Err(PoolError::Closed));
        assert!(!closing.is_finished());
        go_on.send(()).unwrap();
        closing.await.unwrap();
        assert_eq!(running.await.unwrap(), Ok(Some(())));
    }
}
