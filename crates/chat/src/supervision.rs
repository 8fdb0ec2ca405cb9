//! What runs in the background of the chat, by name. What panics is begun again where that can be done; where it cannot, the
//! chat has failed, which the program is told.

use std::{future::Future, panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt;
use tokio::sync::watch;

/// Where the reason is left for which the chat cannot go on.
#[derive(Clone)]
pub(crate) struct Failures(watch::Sender<Option<String>>);

impl Failures {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Spawns what cannot be begun again: when it panics, the chat has failed.
    pub(crate) fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let failures = self.clone();
        tokio::spawn(async move {
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                failures.0.send_replace(Some(format!("{name} panicked")));
            }
        });
    }

    /// Says why the chat cannot go on.
    pub(crate) fn fail(&self, why: String) {
        self.0.send_replace(Some(why));
    }

    /// The reason, as soon as there is one.
    pub(crate) async fn first(&self) -> String {
        let mut failures = self.0.subscribe();
        let reason = failures.wait_for(Option::is_some).await;
        reason.ok().and_then(|reason| reason.clone()).unwrap_or_default()
    }

    /// The reason, if there is one.
    pub(crate) fn now(&self) -> Option<String> {
        self.0.borrow().clone()
    }
}

/// Spawns what can be begun again, after a pause, whenever it panics; it is over when it ends by itself.
pub(crate) fn spawn_again<F>(name: &'static str, pause: Duration, task: impl Fn() -> F + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(async move {
        while AssertUnwindSafe(task()).catch_unwind().await.is_err() {
            tracing::error!("{name} panicked, and is begun again");
            tokio::time::sleep(pause).await;
        }
    });
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    };

    use super::*;

    #[tokio::test]
    async fn a_panic_where_nothing_can_be_begun_again_is_a_failure_by_its_name() {
        let failures = Failures::new();
        assert_eq!(failures.now(), None);
        failures.spawn("the part under test", async { panic!("on purpose") });
        assert_eq!(failures.first().await, "the part under test panicked");
        assert!(failures.now().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_can_be_begun_again_is_until_it_ends_by_itself() {
        let (tries, failures) = (Arc::new(AtomicU32::new(0)), Failures::new());
        let (ended, end) = tokio::sync::oneshot::channel();
        let ended = Arc::new(std::sync::Mutex::new(Some(ended)));
        let counted = tries.clone();
        spawn_again("the part under test", Duration::from_secs(1), move || {
            let (tries, ended) = (counted.clone(), ended.clone());
            async move {
                assert!(tries.fetch_add(1, Relaxed) >= 2, "on purpose");
                ended.lock().unwrap().take().unwrap().send(()).unwrap();
            }
        });
        end.await.unwrap();
        assert_eq!((tries.load(Relaxed), failures.now()), (3, None));
    }
}
