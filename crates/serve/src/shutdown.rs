//! Ending a server in phases: announce, stop accepting, finish, close sockets, cut.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::Instant;

use crate::failure::{OnFailure, ServeError};
use crate::limits::SOCKET_CLOSE_INTERVAL;
use crate::phase::Phase;
use crate::shared::Shared;

/// How long a server that died of itself lets its open connections finish. 30 s: the default grace of Kubernetes and
/// systemd.
const DRAIN_TIME: Duration = Duration::from_secs(30);

/// How long tasks that were told to stop at once may take to be gone. 1 s: they only have to be polled once.
const CUT_TIME: Duration = Duration::from_secs(1);

/// How a shutdown went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// How long it took.
    pub elapsed: Duration,
    /// Requests in flight when it began that were answered in full.
    pub requests_finished: usize,
    /// Sockets open when it began that closed in time.
    pub sockets_closed: usize,
    /// Requests cut at the deadline.
    pub requests_cut: usize,
    /// Sockets still open at the deadline.
    pub sockets_cut: usize,
    /// Connections cut at the deadline, sockets included.
    pub connections_cut: usize,
}

impl Report {
    /// True when nothing had to be cut.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.connections_cut == 0
    }
}

pub(crate) async fn run(shared: &Arc<Shared>, deadline: Duration) -> Report {
    let started = Instant::now();
    let end = started + deadline;
    let announce = shared.announce.min(deadline / 2);
    if !announce.is_zero() && shared.wakers.phase() == Phase::Running {
        shared.raise(Phase::Announced);
        tokio::time::sleep(announce).await;
    }
    shared.raise(Phase::Draining);
    let counters = &shared.counters;
    let requests = counters.requests_in_flight.load(Relaxed);
    let sockets = counters.sockets.load(Relaxed);

    // Accepting has ended when its tasks have, and with them the listeners: the ports are free.
    shared.acceptors.close();
    shared.acceptors.wait().await;
    shared.tasks.close();
    shared.sockets.close();
    let spread = spread(shared.socket_close_spread, sockets + requests, deadline);
    let finished = async {
        // A connection that becomes a socket does so before its task ends.
        tokio::join!(close_sockets(shared, spread), async {
            shared.tasks.wait().await;
            shared.sockets.wait().await;
        });
    };
    let mut report = Report {
        elapsed: Duration::ZERO,
        requests_finished: requests,
        sockets_closed: sockets,
        requests_cut: 0,
        sockets_cut: 0,
        connections_cut: 0,
    };
    if tokio::time::timeout_at(end, finished).await.is_err() {
        report.requests_cut = counters.requests_in_flight.load(Relaxed);
        report.sockets_cut = counters.sockets.load(Relaxed);
        report.connections_cut = counters.connections.load(Relaxed);
        report.requests_finished = requests.saturating_sub(report.requests_cut);
        report.sockets_closed = sockets.saturating_sub(report.sockets_cut);
        tracing::warn!(
            requests = report.requests_cut,
            sockets = report.sockets_cut,
            connections = report.connections_cut,
            "the deadline of the shutdown has passed; cutting what is left"
        );
        cut(shared).await;
    }
    report.elapsed = started.elapsed();
    shared.ended.send_replace(true);
    report
}

pub(crate) fn close(shared: &Arc<Shared>) {
    shared.raise(Phase::Aborted);
    let shared = shared.clone();
    shared.runtime.clone().spawn(async move {
        shared.acceptors.close();
        shared.acceptors.wait().await;
        shared.tasks.close();
        cut(&shared).await;
        shared.ended.send_replace(true);
    });
}

/// The listener broke: say so once, and drain what is left. `wait` returns at once and not after the drain, so that the
/// program can start anew while open connections finish.
pub(crate) fn fail(shared: &Arc<Shared>, source: io::Error, address: Option<SocketAddr>) {
    let error = ServeError::Accept { address, source };
    tracing::error!(error = &error as &dyn std::error::Error, "the server died");
    match &shared.on_failure {
        OnFailure::Nothing => {}
        OnFailure::Call(callback) => callback(&error),
        OnFailure::Abort => std::process::abort(),
    }
    {
        // The first failure is the cause; later ones, of other listeners, were logged.
        let mut failure = shared.failure.lock().expect("no panic while the lock is held");
        failure.get_or_insert(error);
    }
    let draining = shared.clone();
    shared.runtime.spawn(async move {
        run(&draining, DRAIN_TIME).await;
    });
    shared.ended.send_replace(true);
}

/// Over how much time the sockets are closed: a few at once, thousands one after the other.
fn spread(wanted: Duration, sockets: usize, deadline: Duration) -> Duration {
    let needed = SOCKET_CLOSE_INTERVAL.saturating_mul(u32::try_from(sockets).unwrap_or(u32::MAX));
    wanted.min(needed).min(deadline / 4)
}

async fn close_sockets(shared: &Shared, spread: Duration) {
    let waves = u32::try_from(shared.waves.len()).unwrap_or(u32::MAX);
    for wave in &shared.waves {
        wave.cancel();
        if !spread.is_zero() {
            tokio::time::sleep(spread / waves).await;
        }
    }
}

async fn cut(shared: &Shared) {
    shared.raise(Phase::Aborted);
    shared.waves.iter().for_each(tokio_util::sync::CancellationToken::cancel);
    if tokio::time::timeout(CUT_TIME, shared.tasks.wait()).await.is_err() {
        tracing::warn!(tasks = shared.tasks.len(), "tasks that never yield are left behind");
    }
}
