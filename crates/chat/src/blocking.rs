//! A bounded pool of blocking work: a few calls run, a bounded number waits, the next one is told to try again.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Runs blocking work on the runtime's blocking threads, a few at a time.
#[derive(Debug)]
pub(crate) struct BlockingPool {
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
}

/// Why work was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PoolError {
    /// Too much is waiting already.
    #[error("busy; try again")]
    Busy,
    /// The work panicked, or the runtime is going down.
    #[error("the work was not finished")]
    Unfinished,
}

impl BlockingPool {
    pub(crate) fn new(running_max: usize, waiting_max: usize) -> Self {
        Self {
            running: Arc::new(Semaphore::new(running_max)),
            admitted: Arc::new(Semaphore::new(running_max + waiting_max)),
        }
    }

    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let admitted = self.admitted.clone().try_acquire_owned().map_err(|_| PoolError::Busy)?;
        let running = self.running.clone().acquire_owned().await.map_err(|_| PoolError::Unfinished)?;
        // The permits go with the work: it runs to its end even if nobody waits for it any more.
        let work = move || {
            let _permits = (admitted, running);
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| PoolError::Unfinished)
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
}
