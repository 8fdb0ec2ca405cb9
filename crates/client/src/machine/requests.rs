//! Commands that wait for a connection or for their reply, by id and in order of their deadlines.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use tidings_protocol::Request;

use crate::limits;

/// Who wants the reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Purpose {
    Connect,
    Refresh,
    Subscribe(String),
    SubRefresh(String),
    Unsubscribe,
    /// A request of the user, by the driver's key.
    Caller(u64),
}

/// All commands get the same time, so ids, which count up, are in order of their deadlines as well.
#[derive(Debug, Default)]
pub(super) struct Requests {
    last_id: u32,
    in_flight: BTreeMap<u32, (Purpose, Instant)>,
    waiting: VecDeque<(u64, Request, Instant)>,
}

impl Requests {
    pub(super) fn is_full(&self) -> bool {
        self.in_flight.len() + self.waiting.len() >= limits::REQUESTS_MAX
    }

    /// Notes a command that is sent now, and gives it its id.
    pub(super) fn begin(&mut self, purpose: Purpose, deadline: Instant) -> u32 {
        // Id 0 means something else; ids may be used again after four thousand million commands.
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        self.in_flight.insert(self.last_id, (purpose, deadline));
        self.last_id
    }

    /// Keeps a request until there is a connection.
    pub(super) fn wait(&mut self, key: u64, request: Request, deadline: Instant) {
        self.waiting.push_back((key, request, deadline));
    }

    /// The one who wants the reply with this id.
    pub(super) fn take(&mut self, id: u32) -> Option<Purpose> {
        self.in_flight.remove(&id).map(|(purpose, _)| purpose)
    }

    /// Nobody waits for these replies any more.
    pub(super) fn forget(&mut self, purpose: &Purpose) {
        self.in_flight.retain(|_, (other, _)| other != purpose);
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let in_flight = self.in_flight.first_key_value().map(|(_, (_, deadline))| *deadline);
        let waiting = self.waiting.front().map(|(_, _, deadline)| *deadline);
        in_flight.into_iter().chain(waiting).min()
    }

    /// Gives what is in flight time until then at least.
    pub(super) fn put_off(&mut self, until: Instant) {
        for (_, deadline) in self.in_flight.values_mut() {
            *deadline = until.max(*deadline);
        }
    }

    /// The next command whose reply is overdue.
    pub(super) fn take_overdue(&mut self, now: Instant) -> Option<Purpose> {
        let entry = self.in_flight.first_entry().filter(|entry| entry.get().1 <= now)?;
        Some(entry.remove().0)
    }

    /// Requests that waited too long for a connection.
    pub(super) fn take_stale_waiting(&mut self, now: Instant) -> Vec<u64> {
        let count = self.waiting.iter().take_while(|(_, _, deadline)| *deadline <= now).count();
        self.waiting.drain(..count).map(|(key, ..)| key).collect()
    }

    /// Requests that can go now.
    pub(super) fn take_waiting(&mut self) -> Vec<(u64, Request)> {
        self.waiting.drain(..).map(|(key, request, _)| (key, request)).collect()
    }

    /// Forgets what is in flight, and says which requests of the user are among it.
    pub(super) fn take_in_flight(&mut self) -> Vec<u64> {
        let in_flight = std::mem::take(&mut self.in_flight).into_values();
        in_flight.filter_map(|(purpose, _)| if let Purpose::Caller(key) = purpose { Some(key) } else { None }).collect()
    }
}
