//! How many connections there may be, in all and per address, and what the others are told.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::accept::{BoxIo, Peer, Stream};
use crate::caller::TrustedProxies;
use crate::limits::{RETRY_AFTER_SECONDS, TURN_AWAY_TIME, TURNED_AWAY_MAX};
use crate::server::Shared;
use crate::stats::count;

pub(crate) struct Budget {
    max: usize,
    per_address_max: usize,
    exempt: TrustedProxies,
    held: Arc<Held>,
    turned_away: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Held {
    all: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection's place; given back when dropped.
pub(crate) struct Permit {
    held: Arc<Held>,
    address: Option<IpAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Full,
    Address,
}

impl Budget {
    pub(crate) fn new(max: usize, per_address_max: usize, exempt: TrustedProxies) -> Self {
        Self { max, per_address_max, exempt, held: Arc::default(), turned_away: Arc::default() }
    }

    pub(crate) fn admit(&self, peer: Peer) -> Result<Permit, Refusal> {
        if self.held.all.fetch_add(1, Relaxed) >= self.max {
            self.held.all.fetch_sub(1, Relaxed);
            return Err(Refusal::Full);
        }
        // From here on the permit gives back what was taken.
        let mut permit = Permit { held: self.held.clone(), address: None };
        let address = peer.address().map(|address| address.ip().to_canonical());
        if let Some(address) = address.filter(|address| !address.is_loopback() && !self.exempt.contains(*address)) {
            let network = network(address);
            let mut by_address = self.held.by_address.lock().expect("no panic while the lock is held");
            let held = by_address.entry(network).or_default();
            if *held >= self.per_address_max {
                return Err(Refusal::Address);
            }
            *held += 1;
            permit.address = Some(network);
        }
        Ok(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.held.all.fetch_sub(1, Relaxed);
        if let Some(address) = self.address {
            let mut by_address = self.held.by_address.lock().expect("no panic while the lock is held");
            if let Some(held) = by_address.get_mut(&address) {
                *held -= 1;
                if *held == 0 {
                    by_address.remove(&address);
                }
            }
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

/// Tells a client over the budget to come back later, or closes when too many are being told already.
///
/// A TLS client is closed without a word: a handshake costs more than the request it would refuse.
pub(crate) fn turn_away(stream: Stream, refusal: Refusal, tls: bool, shared: &Arc<Shared>) {
    count(match refusal {
        Refusal::Full => &shared.counters.refused_full,
        Refusal::Address => &shared.counters.refused_address,
    });
    let turned_away = shared.budget.turned_away.clone();
    if tls || turned_away.fetch_add(1, Relaxed) >= TURNED_AWAY_MAX {
        if !tls {
            turned_away.fetch_sub(1, Relaxed);
        }
        return;
    }
    let stream: BoxIo = match stream {
        Stream::Tcp(stream) => Box::new(stream),
        Stream::Boxed(stream) => stream,
    };
    shared.runtime.spawn(async move {
        let _ = tokio::time::timeout(TURN_AWAY_TIME, say_later(stream)).await;
        turned_away.fetch_sub(1, Relaxed);
    });
}

async fn say_later(mut stream: BoxIo) -> std::io::Result<()> {
    // Closing with unread bytes resets the connection, and the client would lose the answer: so read the request first.
    let mut request = [0; 1024];
    if stream.read(&mut request).await? == 0 {
        return Ok(());
    }
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nretry-after: {RETRY_AFTER_SECONDS}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    while stream.read(&mut request).await? > 0 {}
    Ok(())
}
