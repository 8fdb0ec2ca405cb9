//! Who is in a channel, counted, and what others were not told yet of who came and went.
//!
//! Every coming and going is a message to each who hears of it. A channel has a budget of them; beyond it only the last
//! that happened to each connection is kept, and told when there is room: two that come and go all day cost as much as
//! one message a second each.

use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use tidings_protocol::{PresenceStatsResult, PushEvent};
use tokio::time::Instant;

use crate::Identity;
use crate::limits::{JOIN_LEAVE_UNTOLD_MAX, Rate};

/// Live subscribers.
#[derive(Default)]
pub(super) struct Crowd {
    clients: usize,
    users: HashMap<ByUser, usize>,
    /// Those who are told who comes and goes.
    pub(super) hearers: usize,
    /// It was too much at once: what happens is told later, until nothing does.
    pub(super) is_late: bool,
    untold: BTreeMap<u64, PushEvent>,
    budget: Option<Budget>,
}

struct Budget {
    left: f64,
    counted_at: Instant,
}

/// A user by its name, without a copy of it.
#[derive(Clone)]
pub(super) struct ByUser(pub(super) Option<Arc<Identity>>);

impl Crowd {
    /// `None` is somebody whom others do not see.
    pub(super) fn add(&mut self, user: Option<ByUser>, hears: bool) {
        self.hearers += usize::from(hears);
        if let Some(user) = user {
            self.clients += 1;
            *self.users.entry(user).or_default() += 1;
        }
    }

    pub(super) fn remove(&mut self, user: Option<&ByUser>, hears: bool) {
        self.hearers -= usize::from(hears);
        let Some(user) = user else { return };
        self.clients -= 1;
        if let Some(connections) = self.users.get_mut(user) {
            *connections -= 1;
            if *connections == 0 {
                self.users.remove(user);
            }
        }
    }

    pub(super) fn stats(&self) -> PresenceStatsResult {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        PresenceStatsResult { num_clients: count(self.clients), num_users: count(self.users.len()) }
    }

    pub(super) fn clients(&self) -> usize {
        self.clients
    }

    /// Returns the event if it may be told now; keeps it for later otherwise.
    pub(super) fn tell(&mut self, connection: u64, event: PushEvent, rate: Rate) -> Option<PushEvent> {
        if self.hearers == 0 {
            return None;
        }
        if !self.is_late && self.has_budget(rate) {
            return Some(event);
        }
        self.is_late = true;
        if self.untold.len() < JOIN_LEAVE_UNTOLD_MAX || self.untold.contains_key(&connection) {
            self.untold.insert(connection, event);
        }
        None
    }

    /// What may be told now of what was too much at once.
    pub(super) fn take_untold(&mut self, rate: Rate) -> Vec<PushEvent> {
        self.is_late = !self.untold.is_empty();
        let mut told = Vec::new();
        while !self.untold.is_empty() && self.has_budget(rate) {
            told.extend(self.untold.pop_first().map(|(_, event)| event));
        }
        told
    }

    pub(super) fn forget_untold(&mut self) {
        self.untold = BTreeMap::new();
    }

    /// Pays for one message to each who hears. What is above the budget is let in once, so that it always goes on.
    fn has_budget(&mut self, rate: Rate) -> bool {
        let (burst, now) = (f64::from(rate.burst), Instant::now());
        let Budget { left, counted_at } = self.budget.get_or_insert(Budget { left: burst, counted_at: now });
        let earned = now.saturating_duration_since(*counted_at).as_secs_f64() * f64::from(rate.per_second);
        (*left, *counted_at) = ((*left + earned).min(burst), now);
        if *left < 1.0 {
            return false;
        }
        #[expect(clippy::cast_precision_loss, reason = "a channel has fewer subscribers than that")]
        let cost = self.hearers as f64;
        *left -= cost;
        true
    }
}

impl ByUser {
    fn name(&self) -> &str {
        self.0.as_ref().map_or("", |identity| &identity.user)
    }
}

impl PartialEq for ByUser {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for ByUser {}

impl Hash for ByUser {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}
