//! What all streams of a broker hold together, of the server's own and of clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{Account, Limits};

/// How much is held, in one unit: streams, or bytes of history.
#[derive(Debug)]
pub(super) struct Ledger {
    max: usize,
    /// What clients cannot take from the server, nor the server from them.
    reserved: usize,
    total: AtomicUsize,
    clients: AtomicUsize,
}

impl Ledger {
    pub(super) fn of_streams(limits: &Limits) -> Self {
        Self::new(limits.channels_max, limits.channels_reserved)
    }

    pub(super) fn of_bytes(limits: &Limits) -> Self {
        Self::new(limits.history_bytes_max, limits.history_bytes_reserved)
    }

    /// The reserve is at most half, so that nobody is shut out by small limits.
    fn new(max: usize, reserved: usize) -> Self {
        Self { max, reserved: reserved.min(max / 2), total: AtomicUsize::new(0), clients: AtomicUsize::new(0) }
    }

    pub(super) fn max(&self) -> usize {
        self.max
    }

    pub(super) fn total(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    /// What is the server's, beyond what no client takes from it; itself it may, where nobody else has anything.
    pub(super) fn servers(&self, for_client: bool) -> usize {
        let servers = self.total().saturating_sub(self.clients.load(Ordering::Relaxed));
        servers.saturating_sub(self.reserved).max(usize::from(!for_client && servers > 0))
    }

    /// Whether a client's need may be met by what is the server's.
    pub(super) fn clients_have_little(&self) -> bool {
        self.clients.load(Ordering::Relaxed) < self.reserved
    }

    pub(super) fn has_room(&self, more: usize, account: Option<&Arc<Account>>) -> bool {
        let clients = || self.clients.load(Ordering::Relaxed) + more <= self.max - self.reserved;
        self.total() + more <= self.max && (account.is_none() || clients())
    }

    pub(super) fn hold(&self, number: usize, account: Option<&Arc<Account>>) {
        self.total.fetch_add(number, Ordering::Relaxed);
        if account.is_some() {
            self.clients.fetch_add(number, Ordering::Relaxed);
        }
    }

    pub(super) fn release(&self, number: usize, account: Option<&Arc<Account>>) {
        self.total.fetch_sub(number, Ordering::Relaxed);
        if account.is_some() {
            self.clients.fetch_sub(number, Ordering::Relaxed);
        }
    }
}
