//! How many connections there may be, in all and per address, and how fast one address may open them. What the others
//! are told is in `turn_away`.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::limits::{Limits, connections_for_this_process, turned_away_for_this_process};
use crate::peer::Peer;
use crate::proxies::TrustedProxies;

/// The places of one server, counted in all and per address.
pub(crate) struct Budget {
    max: usize,
    per_address_max: usize,
    /// Milliseconds in which one address earns one connection.
    per_address_interval: u64,
    exempt: TrustedProxies,
    held: Arc<Held>,
    /// How many may be told at once to come back later.
    pub(crate) turned_away_max: usize,
    /// How many connections are being told to come back later.
    pub(crate) turned_away: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Held {
    all: AtomicUsize,
    by_address: Mutex<Addresses>,
}

#[derive(Default)]
struct Addresses {
    entries: HashMap<IpAddr, Entry>,
    /// How many entries there were when those without meaning were last removed.
    swept: usize,
}

/// One address: what it holds, and when it will have earned all that it has opened (the generic cell rate algorithm).
#[derive(Default)]
struct Entry {
    held: usize,
    earned_at: u64,
}

impl Entry {
    fn is_meaningless(&self, now: u64) -> bool {
        self.held == 0 && self.earned_at <= now
    }
}

/// Entries below which looking for meaningless ones is not worth it: some 64 KiB.
const SWEEP_ENTRIES_MIN: usize = 1024;

impl Addresses {
    fn take(&mut self, address: IpAddr, now: u64, max: usize, interval: u64) -> Result<(), OverBudget> {
        if self.entries.len() > self.swept.max(SWEEP_ENTRIES_MIN) * 2 {
            self.entries.retain(|_, entry| !entry.is_meaningless(now));
            self.swept = self.entries.len();
        }
        let entry = self.entries.entry(address).or_default();
        let burst = interval.saturating_mul(max as u64);
        if entry.held >= max || entry.earned_at > now.saturating_add(burst) {
            return Err(OverBudget::Address);
        }
        entry.held += 1;
        entry.earned_at = entry.earned_at.max(now) + interval;
        Ok(())
    }

    fn give_back(&mut self, address: IpAddr) {
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.held -= 1;
        }
    }
}

/// One connection's place; given back when dropped.
pub(crate) struct Permit {
    held: Arc<Held>,
    address: Option<IpAddr>,
}

/// Why there is no place for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OverBudget {
    /// The server has as many as it may.
    Full,
    /// The address has too many, or opens them too fast.
    Address,
}

impl Budget {
    pub(crate) fn new(limits: &Limits, exempt: TrustedProxies) -> Self {
        Self {
            max: limits.connections_max.unwrap_or_else(connections_for_this_process),
            per_address_max: limits.connections_per_address_max,
            per_address_interval: 1000 / u64::from(limits.connection_rate_per_address_max.clamp(1, 1000)),
            exempt,
            held: Arc::default(),
            turned_away_max: turned_away_for_this_process(),
            turned_away: Arc::default(),
        }
    }

    /// A place for a connection that opens at `now`, in milliseconds of any one clock.
    pub(crate) fn admit(&self, peer: Peer, now: u64) -> Result<Permit, OverBudget> {
        // Taken first and looked at afterwards: two that look first would both find the last place free.
        if self.held.all.fetch_add(1, Relaxed) >= self.max {
            self.held.all.fetch_sub(1, Relaxed);
            return Err(OverBudget::Full);
        }
        // From here on the permit gives back what was taken.
        let mut permit = Permit { held: self.held.clone(), address: None };
        let address = peer.address().map(|address| address.ip().to_canonical());
        if let Some(address) = address.filter(|address| !address.is_loopback() && !self.exempt.contains(*address)) {
            let network = network(address);
            let mut addresses = self.held.by_address.lock().expect("no panic while the lock is held");
            addresses.take(network, now, self.per_address_max, self.per_address_interval)?;
            permit.address = Some(network);
        }
        Ok(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.held.all.fetch_sub(1, Relaxed);
        if let Some(address) = self.address {
            self.held.by_address.lock().expect("no panic while the lock is held").give_back(address);
        }
    }
}

/// What counts as one address: an IPv6 customer has a whole /64 to choose from.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(exempt: TrustedProxies) -> Budget {
        let limits = Limits {
            connections_max: Some(1_000_000),
            connections_per_address_max: 10,
            connection_rate_per_address_max: 5,
            ..Limits::default()
        };
        Budget::new(&limits, exempt)
    }

    fn peer(address: &str) -> Peer {
        Peer::Tcp((address.parse::<IpAddr>().unwrap(), 4711).into())
    }

    #[test]
    fn s15_a_reconnect_storm_from_one_address_is_held_to_its_rate() {
        let budget = budget(TrustedProxies::none());
        let mut admitted = 0;
        for now in 0..10_000 {
            admitted += usize::from(budget.admit(peer("203.0.113.1"), now).is_ok());
        }
        // A burst of ten, and then five a second for ten seconds.
        assert!((60..=61).contains(&admitted), "{admitted}");
        budget.admit(peer("203.0.113.2"), 9_999).map(drop).unwrap();
        budget.admit(peer("203.0.113.1"), 20_000).map(drop).unwrap();
    }

    #[test]
    fn loopback_and_trusted_proxies_may_come_as_often_as_they_like() {
        let budget = budget(TrustedProxies::parse(["10.0.0.0/8"]).unwrap());
        for address in ["127.0.0.1", "::1", "10.0.0.1"] {
            let held: Vec<_> = (0..100).map(|_| budget.admit(peer(address), 0).map_err(drop).unwrap()).collect();
            assert_eq!(held.len(), 100);
        }
    }

    #[test]
    fn addresses_that_came_and_went_are_forgotten() {
        let budget = budget(TrustedProxies::none());
        for number in 0..100_000 {
            let address = IpAddr::from(std::net::Ipv4Addr::from_bits(0x0b00_0000 + number));
            drop(budget.admit(Peer::Tcp((address, 1).into()), u64::from(number)));
        }
        assert!(budget.held.by_address.lock().unwrap().entries.len() < 5_000);
    }
}
