//! What all tasks of one server share: its limits, its counts, its phase, and the way to wake everybody.
//!
//! State and its three small rules; what is done in each phase is in `shutdown`.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use hyper_util::server::conn::auto;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::budget::Budget;
use crate::failure::{OnFailure, ServeError};
use crate::limits::Limits;
use crate::pace::Streams;
use crate::phase::Phase;
use crate::proxies::TrustedProxies;
use crate::readiness::Readiness;
use crate::stats::Counters;
use crate::underway::UnderWay;
use crate::wakers::Wakers;

/// Knows neither the application nor its types, so that all connections of all applications are the same to `shutdown`.
pub(crate) struct Shared {
    pub(crate) http: auto::Builder<Streams>,
    pub(crate) limits: Limits,
    pub(crate) announce: Duration,
    pub(crate) socket_close_spread: Duration,
    pub(crate) on_failure: OnFailure,
    pub(crate) trusted_proxies: TrustedProxies,
    pub(crate) readiness: Readiness,
    pub(crate) counters: Counters,
    pub(crate) budget: Budget,
    pub(crate) under_way: UnderWay,
    pub(crate) phase: watch::Sender<Phase>,
    /// The connections' tasks, to be woken when the phase changes.
    pub(crate) wakers: Wakers,
    pub(crate) ended: watch::Sender<bool>,
    pub(crate) failure: Mutex<Option<ServeError>>,
    pub(crate) acceptors: TaskTracker,
    /// One task per connection.
    pub(crate) tasks: TaskTracker,
    /// The sockets that connections became.
    pub(crate) sockets: TaskTracker,
    /// The tokens that close sockets, shared by connections in turn: closing wave by wave spreads the reconnections,
    /// without a registry of sockets.
    pub(crate) waves: Box<[CancellationToken]>,
    pub(crate) wave_next: AtomicUsize,
    pub(crate) epoch: Instant,
    pub(crate) boot: u32,
    pub(crate) runtime: tokio::runtime::Handle,
}

impl Shared {
    /// The token for a new connection: the waves in turn, so that each closes about as many sockets as the next.
    pub(crate) fn wave(&self) -> CancellationToken {
        let next = self.wave_next.fetch_add(1, Relaxed);
        self.waves[next % self.waves.len()].clone()
    }

    /// Goes on to `phase`, unless the server is further already: a shutdown and a failure may meet.
    pub(crate) fn raise(&self, phase: Phase) {
        // First of all, so that a load balancer never sees "ready" on a connection that says it closes.
        if phase > Phase::Running {
            self.readiness.set(false);
        }
        let raised = self.phase.send_if_modified(|now| {
            let raised = phase > *now;
            *now = phase.max(*now);
            raised
        });
        // The channel is for the few tasks that wait for a phase; the connections look at the wakers' copy.
        if raised {
            self.wakers.raise(phase);
        }
    }

    /// Milliseconds since the server started.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
