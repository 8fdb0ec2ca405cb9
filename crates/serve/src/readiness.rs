//! Whether the server wants traffic, for the application's readiness route.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the server wants traffic. Give one to [`Server::readiness`](crate::Server::readiness) and show it at
/// `/readyz`.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// A flag that is off until a server has started.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// True from the moment the server listens until its shutdown begins.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }
}
