//! Counters of one server: what it holds now and what happened since it started.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// What a server holds now and what happened since it started; from [`Handle::stats`](crate::Handle::stats).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Connections open now, upgraded sockets included.
    pub connections: usize,
    /// Of these, the HTTP/1.1 connections that became sockets; and the sockets on HTTP/2, which count as connections,
    /// too.
    pub sockets: usize,
    /// Requests whose response is not complete yet.
    pub requests_in_flight: usize,
    /// Connections accepted.
    pub connections_total: u64,
    /// Requests received.
    pub requests_total: u64,
    /// Handlers that panicked and were answered with 500.
    pub handler_panics: u64,
    /// Response bodies that panicked and were cut.
    pub body_panics: u64,
    /// Connections turned away because the server was full.
    pub refused_full: u64,
    /// Connections turned away because their address had too many or opened them too fast.
    pub refused_address: u64,
    /// Times that accepting failed for want of files or memory.
    pub accept_pauses: u64,
    /// TLS handshakes that failed or took too long.
    pub tls_failures: u64,
    /// Connections closed because a request's head took too long.
    pub head_timeouts: u64,
    /// Connections closed because they were idle.
    pub idle_timeouts: u64,
    /// Request bodies that stalled.
    pub body_stalls: u64,
    /// Connections closed and streams of HTTP/2 reset because their reader took too little.
    pub response_stalls: u64,
    /// Responses replaced by 503 because too much was under way.
    pub responses_refused: u64,
    /// Connections cut because they held most of what responses may hold.
    pub responses_cut: u64,
    /// Bytes of responses that are under way now.
    pub response_bytes: usize,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) connections: AtomicUsize,
    pub(crate) sockets: AtomicUsize,
    pub(crate) requests_in_flight: AtomicUsize,
    pub(crate) connections_total: AtomicU64,
    pub(crate) requests_total: AtomicU64,
    pub(crate) handler_panics: AtomicU64,
    pub(crate) body_panics: AtomicU64,
    pub(crate) refused_full: AtomicU64,
    pub(crate) refused_address: AtomicU64,
    pub(crate) accept_pauses: AtomicU64,
    pub(crate) tls_failures: AtomicU64,
    pub(crate) head_timeouts: AtomicU64,
    pub(crate) idle_timeouts: AtomicU64,
    pub(crate) body_stalls: AtomicU64,
    pub(crate) response_stalls: AtomicU64,
    pub(crate) responses_refused: AtomicU64,
    pub(crate) responses_cut: AtomicU64,
}

impl Counters {
    pub(crate) fn snapshot(&self, response_bytes: usize) -> Stats {
        Stats {
            connections: self.connections.load(Relaxed),
            sockets: self.sockets.load(Relaxed),
            requests_in_flight: self.requests_in_flight.load(Relaxed),
            connections_total: self.connections_total.load(Relaxed),
            requests_total: self.requests_total.load(Relaxed),
            handler_panics: self.handler_panics.load(Relaxed),
            body_panics: self.body_panics.load(Relaxed),
            refused_full: self.refused_full.load(Relaxed),
            refused_address: self.refused_address.load(Relaxed),
            accept_pauses: self.accept_pauses.load(Relaxed),
            tls_failures: self.tls_failures.load(Relaxed),
            head_timeouts: self.head_timeouts.load(Relaxed),
            idle_timeouts: self.idle_timeouts.load(Relaxed),
            body_stalls: self.body_stalls.load(Relaxed),
            response_stalls: self.response_stalls.load(Relaxed),
            responses_refused: self.responses_refused.load(Relaxed),
            responses_cut: self.responses_cut.load(Relaxed),
            response_bytes,
        }
    }
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
