//! The background tasks of the program, each with a name; none of them may end while the program runs.
//!
//! A task that panics takes nothing else down, and whatever it looked after stays undone from then on: the server goes on
//! to look alive. So everything that is started here is waited for, and the first end is the program's.
//!
//! Not here, because something else waits for them: the accept loops and the connections (`tidings-serve`, whose handle
//! says when the server has died), its watchers of certificates (started again), and the chat's writer.

use std::any::Any;
use std::collections::HashMap;
use tokio::task::{Id, JoinError, JoinSet};

#[derive(Default)]
pub(crate) struct Tasks {
    running: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

/// A task that was to run for as long as the program has ended.
#[derive(Debug, thiserror::Error)]
#[error("the background task \"{name}\" {how}; what it did is not done any more, so the server stops: start it again")]
pub(crate) struct TaskEnded {
    name: &'static str,
    how: String,
}

impl Tasks {
    pub(crate) fn spawn(&mut self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let fault = injected_fault(name);
        let task = self.running.spawn(async move {
            assert!(!fault, "a test made this task fail");
            work.await;
        });
        self.names.insert(task.id(), name);
    }

    /// Waits until one of them has ended; for ever when there is none. Cancel-safe.
    pub(crate) async fn ended(&mut self) -> TaskEnded {
        let Some(ended) = self.running.join_next_with_id().await else { return std::future::pending().await };
        let (id, how) = match ended {
            Ok((id, ())) => (id, "ended".to_owned()),
            Err(error) => (error.id(), how_it_failed(error)),
        };
        let name = self.names.get(&id).copied().unwrap_or_default();
        let ended = TaskEnded { name, how };
        tracing::error!(task = name, error = %ended, "a background task has ended");
        ended
    }
}

fn how_it_failed(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => format!("panicked: {}", message(&*panic)),
        Err(_) => "was cancelled".to_owned(),
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no message)")
}

/// In a debug build, which is what tests run, `TIDINGS_FAULT` names a task that panics at its start.
fn injected_fault(name: &str) -> bool {
    cfg!(debug_assertions) && std::env::var("TIDINGS_FAULT").is_ok_and(|fault| fault == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    #[tokio::test]
    async fn the_task_that_ends_is_named_and_so_is_its_panic() {
        let mut tasks = Tasks::default();
        tasks.spawn("sweeping", pending());
        tasks.spawn("healing", async { panic!("no {}", "way") });
        let ended = tasks.ended().await.to_string();
        assert!(ended.contains("\"healing\" panicked: no way"), "{ended}");
        tasks.spawn("counting", async {});
        assert!(tasks.ended().await.to_string().contains("\"counting\" ended"));
    }
}
