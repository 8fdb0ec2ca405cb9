//! What is known about one connection, shared by its task, its requests and their bodies.
//!
//! The connection's task asks [`Watch::due`] what to do when its alarm goes off; requests and bodies only take notes.
//! All times are milliseconds since the server started, so that a note is one atomic store. Nothing here awaits.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accept::Peer;
use crate::caller::TrustedProxies;
use crate::limits::Limits;

pub(crate) struct Watch {
    pub(crate) peer: Peer,
    pub(crate) local: Option<SocketAddr>,
    pub(crate) tls: bool,
    pub(crate) trusted_proxies: TrustedProxies,
    /// Asks the sockets of this connection to close.
    pub(crate) closing: CancellationToken,
    /// The tasks of the sockets that this connection became or carries.
    pub(crate) sockets: TaskTracker,
    pub(crate) http2: AtomicBool,
    requests: AtomicU32,
    in_flight: AtomicU32,
    /// Chunks of responses in hyper's hands: while there are any, it is the reader's turn.
    unwritten: AtomicU32,
    epoch: Instant,
    /// When the connection last moved on.
    moved: AtomicU64,
}

/// What the connection has waited for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Head,
    Idle,
    Response,
    /// Nothing; look again at this time.
    Later(u64),
}

impl Watch {
    pub(crate) fn new(
        peer: Peer,
        local: Option<SocketAddr>,
        tls: bool,
        trusted_proxies: TrustedProxies,
        closing: CancellationToken,
        epoch: Instant,
    ) -> Arc<Self> {
        Arc::new(Self {
            peer,
            local,
            tls,
            trusted_proxies,
            closing,
            sockets: TaskTracker::new(),
            http2: AtomicBool::new(false),
            requests: AtomicU32::new(0),
            in_flight: AtomicU32::new(0),
            unwritten: AtomicU32::new(0),
            epoch,
            moved: AtomicU64::new(milliseconds(epoch.elapsed())),
        })
    }

    pub(crate) fn request_begins(&self) {
        self.requests.fetch_add(1, Relaxed);
        self.in_flight.fetch_add(1, Relaxed);
    }

    pub(crate) fn request_ends(&self) {
        self.moved.store(self.now(), Relaxed);
        self.in_flight.fetch_sub(1, Relaxed);
    }

    pub(crate) fn chunk_handed_over(&self) {
        if self.unwritten.fetch_add(1, Relaxed) == 0 {
            self.moved.store(self.now(), Relaxed);
        }
    }

    pub(crate) fn bytes_left(&self) {
        self.moved.store(self.now(), Relaxed);
    }

    pub(crate) fn chunk_gone(&self) {
        self.bytes_left();
        self.unwritten.fetch_sub(1, Relaxed);
    }

    /// Milliseconds since the server started.
    pub(crate) fn now(&self) -> u64 {
        milliseconds(self.epoch.elapsed())
    }

    pub(crate) fn requests(&self) -> u32 {
        self.requests.load(Relaxed)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight.load(Relaxed) == 0 && self.unwritten.load(Relaxed) == 0 && self.sockets.is_empty()
    }

    /// What is due at `now`. `head_began` is when the next request's head began to arrive, if it has.
    pub(crate) fn due(&self, now: u64, head_began: Option<u64>, limits: &Limits) -> Due {
        let moved = self.moved.load(Relaxed);
        let (since, allowed, due) = if self.is_idle() {
            match head_began {
                _ if self.requests() == 0 => (moved, limits.head_time, Due::Head),
                Some(began) => (began, limits.head_time, Due::Head),
                None => (moved, limits.idle_time, Due::Idle),
            }
        } else if self.unwritten.load(Relaxed) > 0 {
            (moved, limits.response_stall, Due::Response)
        } else {
            // Nothing is due while a handler works; and whatever begins after now is due no sooner than the shortest
            // limit.
            let soonest = limits.head_time.min(limits.idle_time).min(limits.response_stall);
            return Due::Later(now + milliseconds(soonest));
        };
        let at = since + milliseconds(allowed);
        if now >= at { due } else { Due::Later(at) }
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 2)
}
