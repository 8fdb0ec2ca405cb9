//! How a store fares: noted by whoever commits, read by whoever asks.

use tokio::sync::watch;

use super::StoreError;

/// How a store fares.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct State {
    /// Why commits fail at present.
    pub(super) failing: Option<StoreError>,
    /// Why there will be no more of them.
    pub(super) lost: Option<String>,
}

impl State {
    /// Whether commits go through, as far as is known, and why not.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match (&self.lost, &self.failing) {
            (Some(why), _) => Err(StoreError::Failed(why.clone())),
            (None, Some(error)) => Err(error.clone()),
            (None, None) => Ok(()),
        }
    }

    /// Wakes those who wait only if that changes something.
    pub(super) fn note(state: &watch::Sender<Self>, change: impl FnOnce(&mut Self)) {
        state.send_if_modified(|state| {
            let before = state.clone();
            change(state);
            *state != before
        });
    }

    /// Answers when there will be no more commits, with the reason; `None` when nobody is there any more to note it.
    pub(super) async fn until_lost(mut state: watch::Receiver<Self>) -> Option<String> {
        state.wait_for(|state| state.lost.is_some()).await.ok()?.lost.clone()
    }
}
