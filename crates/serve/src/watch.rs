//! What is known about one connection, shared by its task, its requests and their bodies.
//!
//! Requests and bodies take notes: counters, without a clock. The connection's task looks at them whenever it is polled, stamps
//! progress with the time, and asks [`Watch::due`] when its alarm goes off. Nothing here awaits.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::limits::Limits;
use crate::peer::Peer;
use crate::shared::Shared;
use crate::wakers::Place;

pub(crate) struct Watch {
    pub(crate) shared: Arc<Shared>,
    pub(crate) peer: Peer,
    pub(crate) local: Option<SocketAddr>,
    pub(crate) tls: bool,
    /// Asks the sockets of this connection to close.
    pub(crate) closing: CancellationToken,
    /// The tasks of the sockets that this connection became or carries.
    pub(crate) sockets: TaskTracker,
    pub(crate) http2: AtomicBool,
    requests: AtomicU32,
    in_flight: AtomicU32,
    /// Chunks of responses in hyper's hands: while there are any, it is the reader's turn.
    unwritten: AtomicU32,
    /// Goes up whenever the connection moves on.
    steps: AtomicU32,
    /// Bytes of responses that have left, wrapping.
    written: AtomicU32,
    /// Bytes of responses that have been made and have not left; see `underway`.
    pub(crate) under_way: AtomicUsize,
    /// What it held when the last one of these was refused.
    pub(crate) refused_at: AtomicUsize,
    cut: AtomicBool,
    /// Where the connection's task is to be woken while it lives.
    listed: Mutex<Option<Place>>,
}

/// What the connection has waited for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Head,
    Idle,
    Response,
    /// Nothing; look again at this time.
    Later(Instant),
}

impl Watch {
    pub(crate) fn new(shared: Arc<Shared>, peer: Peer, local: Option<SocketAddr>, tls: bool) -> Arc<Self> {
        Arc::new(Self {
            peer,
            local,
            tls,
            closing: shared.wave(),
            shared,
            sockets: TaskTracker::new(),
            http2: AtomicBool::new(false),
            requests: AtomicU32::new(0),
            in_flight: AtomicU32::new(0),
            unwritten: AtomicU32::new(0),
            steps: AtomicU32::new(0),
            written: AtomicU32::new(0),
            under_way: AtomicUsize::new(0),
            refused_at: AtomicUsize::new(usize::MAX),
            cut: AtomicBool::new(false),
            listed: Mutex::new(None),
        })
    }

    pub(crate) fn request_begins(&self) {
        self.requests.fetch_add(1, Relaxed);
        self.in_flight.fetch_add(1, Relaxed);
    }

    pub(crate) fn request_ends(&self) {
        self.moves_on();
        self.in_flight.fetch_sub(1, Relaxed);
    }

    pub(crate) fn chunk_handed_over(&self) {
        if self.unwritten.fetch_add(1, Relaxed) == 0 {
            self.moves_on();
        }
    }

    pub(crate) fn chunk_gone(&self) {
        self.moves_on();
        self.unwritten.fetch_sub(1, Relaxed);
    }

    /// Some bytes of a response have left.
    pub(crate) fn moves_on(&self) {
        self.steps.fetch_add(1, Relaxed);
    }

    pub(crate) fn wrote(&self, bytes: usize) {
        self.written.fetch_add(u32::try_from(bytes).unwrap_or(u32::MAX), Relaxed);
        self.moves_on();
    }

    pub(crate) fn written(&self) -> u32 {
        self.written.load(Relaxed)
    }

    /// Whether a response waits for its reader.
    pub(crate) fn is_writing(&self) -> bool {
        self.unwritten.load(Relaxed) > 0
    }

    pub(crate) fn set_listed(&self, place: Option<Place>) {
        *self.listed.lock().expect("no panic while the lock is held") = place;
    }

    /// Ends the connection from outside.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Relaxed);
        let listed = self.listed.lock().expect("no panic while the lock is held");
        if let Some(place) = *listed {
            self.shared.wakers.wake(place);
        }
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Relaxed)
    }

    pub(crate) fn steps(&self) -> u32 {
        self.steps.load(Relaxed)
    }

    pub(crate) fn requests(&self) -> u32 {
        self.requests.load(Relaxed)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight.load(Relaxed) == 0 && self.unwritten.load(Relaxed) == 0 && self.sockets.is_empty()
    }

    /// What is due at `now`, when the connection last moved on at `moved`, its readers have until `reading_until` where
    /// it is writing, and the next request's head began to arrive at `head_began`, if it has.
    pub(crate) fn due(
        &self,
        now: Instant,
        moved: Instant,
        reading_until: Option<Instant>,
        head_began: Option<Instant>,
        limits: &Limits,
    ) -> Due {
        let (since, allowed, due) = if self.is_idle() {
            match head_began {
                _ if self.requests() == 0 => (moved, limits.head_time, Due::Head),
                Some(began) => (began, limits.head_time, Due::Head),
                None => (moved, limits.idle_time, Due::Idle),
            }
        } else if let Some(until) = reading_until {
            return if now >= until { Due::Response } else { Due::Later(until) };
        } else {
            // Nothing is due while a handler works; and whatever begins after now is due no sooner than the shortest limit.
            return Due::Later(now + limits.head_time.min(limits.idle_time).min(limits.response_stall));
        };
        let at = since + allowed;
        if now >= at { due } else { Due::Later(at) }
    }
}
