//! On whose account things happen: what each user and each network of addresses may still ask for, and what a broker
//! keeps for them in memory, across all their connections.
//!
//! A new connection finds what the ones before it have left. Whoever has neither asked for anything lately nor holds
//! anything is forgotten, so a caller takes memory only while it counts.

mod bucket;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use self::bucket::Bucket;
use crate::limits::{ADDRESS_USERS, Allowance, CALLERS_MAX, LOOKED_IN_VAIN};
use crate::session::{Cost, Meter};
use crate::sharded::Sharded;
use crate::{Identity, Limits, Peer};

/// Whose account: a user and the network that it comes from, or, where nobody is authenticated, the network alone; or a
/// program without a connection. What is done on nobody's account is the server's own. Cheap to clone inside its [`Arc`].
#[derive(Debug)]
pub struct Account {
    caller: Arc<Caller>,
    /// Above the users of tokens, since a backend may give every visitor a fresh name.
    network: Option<Arc<Caller>>,
    limits: Arc<Limits>,
    /// The moment from which times are counted.
    began: Instant,
}

/// One user, one network, or one program.
#[derive(Debug)]
pub(crate) struct Caller {
    /// How many users it counts as.
    users: usize,
    streams: AtomicUsize,
    history_bytes: AtomicUsize,
    /// Until when nobody looks again for streams of its own that could be freed, in nanoseconds.
    looked_until: AtomicU64,
    commands: Bucket,
    channels: Bucket,
    reads: Bucket,
    connects: Bucket,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Name {
    /// Whom a tag proves and who only claims a name in a token are two, as everywhere.
    User {
        user: String,
        tagged: bool,
    },
    Network(IpAddr),
    /// A program that acts for some of the application's channels, and has no connection.
    Program(String),
    /// Whoever comes from nowhere, and whoever is one too many to be known by name.
    Crowd,
}

/// All callers that count.
pub(crate) struct Accounts {
    limits: Arc<Limits>,
    callers: Sharded<Name, Arc<Caller>>,
    began: Instant,
}

impl Accounts {
    pub(crate) fn new(limits: Arc<Limits>) -> Self {
        Self { limits, callers: Sharded::new(), began: tokio::time::Instant::now().into_std() }
    }

    /// The account of a connection.
    pub(crate) fn of_peer(&self, peer: &Peer) -> Arc<Account> {
        self.of_one(peer.identity(), peer.address(), peer.network())
    }

    /// The account of a program by its name. It counts as [`ADDRESS_USERS`], as a network does.
    pub(crate) fn of_program(&self, name: &str) -> Arc<Account> {
        let caller = self.caller(Name::Program(name.to_owned()));
        Arc::new(Account { caller, network: None, limits: self.limits.clone(), began: self.began })
    }

    #[cfg(test)]
    pub(crate) fn of(&self, identity: Option<&Identity>, address: Option<IpAddr>) -> Arc<Account> {
        self.of_one(identity, address, address)
    }

    /// `address` is the one to count by where nobody has a name; `network` that which is above the users of tokens.
    fn of_one(&self, identity: Option<&Identity>, address: Option<IpAddr>, network: Option<IpAddr>) -> Arc<Account> {
        let (caller, network) = match identity.filter(|identity| !identity.user.is_empty()) {
            Some(Identity { user, tag, .. }) => {
                let tagged = tag.is_some();
                let network = network.filter(|_| !tagged).map(Name::Network);
                (Name::User { user: user.clone(), tagged }, network)
            }
            None => (address.map_or(Name::Crowd, Name::Network), None),
        };
        Arc::new(Account {
            caller: self.caller(caller),
            network: network.map(|network| self.caller(network)),
            limits: self.limits.clone(),
            began: self.began,
        })
    }

    fn caller(&self, name: Name) -> Arc<Caller> {
        let mut callers = self.callers.shard(&name);
        if let Some(caller) = callers.get(&name) {
            return caller.clone();
        }
        if callers.len() >= CALLERS_MAX / self.callers.pieces() && name != Name::Crowd {
            // The next sweep makes room.
            drop(callers);
            return self.caller(Name::Crowd);
        }
        let caller = Arc::new(Caller::new(if matches!(name, Name::User { .. }) { 1 } else { ADDRESS_USERS }));
        callers.insert(name, caller.clone());
        caller
    }

    /// Forgets whoever holds nothing, has nothing open and may ask for as much as a stranger.
    pub(crate) fn sweep(&self) {
        let now = self.now();
        for mut callers in self.callers.all() {
            callers.retain(|_, caller| caller.counts(now));
            if callers.capacity() > callers.len() * 4 {
                callers.shrink_to_fit();
            }
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.callers.all().map(|callers| callers.len()).sum()
    }

    fn now(&self) -> u64 {
        nanos(self.began, tokio::time::Instant::now().into_std())
    }
}

impl Account {
    /// Whether one more connection may come in: the user is asked first, so whoever has used up its own costs the network
    /// nothing.
    pub(crate) fn may_connect(&self) -> bool {
        let now = tokio::time::Instant::now().into_std();
        self.takes(now, |caller, allowance, now| caller.connects.take(1, allowance.connects, now))
    }

    /// Tells callers apart: each of a caller's connections has an account of its own.
    pub(crate) fn caller(&self) -> usize {
        Arc::as_ptr(&self.caller).addr()
    }

    /// Whether the other is on the same caller's account.
    pub(crate) fn is_caller(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.caller, &other.caller)
    }

    fn nanos(&self, moment: Instant) -> u64 {
        nanos(self.began, moment)
    }

    /// Pays for what was read, which nobody knew before: then the next one has to wait.
    pub(crate) fn pay_for_read(&self, bytes: usize) {
        let cost = (bytes + self.limits.read_cost_bytes_min) as u64;
        let now = self.nanos(tokio::time::Instant::now().into_std());
        for (caller, allowance) in self.callers() {
            caller.reads.charge(cost, allowance.read_bytes, now);
        }
    }

    /// Whether a read may begin.
    pub(crate) fn may_read(&self, now: Instant) -> bool {
        let now = self.nanos(now);
        self.callers().all(|(caller, allowance)| caller.reads.has_some(allowance.read_bytes, now))
    }

    /// The user, and then the network above it, each by its own allowance.
    fn callers(&self) -> impl Iterator<Item = (&Caller, &Allowance)> {
        let allowance = |caller: &Caller| if caller.users == 1 { &self.limits.user } else { &self.limits.address };
        [Some(&self.caller), self.network.as_ref()]
            .into_iter()
            .flatten()
            .map(move |caller| (&**caller, allowance(caller)))
    }

    fn takes(&self, now: Instant, take: impl Fn(&Caller, &Allowance, u64) -> bool) -> bool {
        let now = self.nanos(now);
        self.callers().all(|(caller, allowance)| take(caller, allowance, now))
    }

    // What a broker keeps for it.

    /// Whether it may have one stream more.
    pub(crate) fn may_hold_stream(&self) -> bool {
        self.full().is_none()
    }

    /// The user or else the network that has as many streams as it may.
    fn full(&self) -> Option<&Caller> {
        let max = |caller: &Caller| self.limits.channels_per_user_max.saturating_mul(caller.users);
        let is_full = |caller: &&Caller| caller.streams.load(Ordering::Relaxed) >= max(caller);
        self.callers().map(|(caller, _)| caller).find(is_full)
    }

    /// Whether one stream of this account less would let the other, which may hold no more, have one.
    pub(crate) fn makes_way_for(&self, other: &Self) -> bool {
        other.full().is_some_and(|full| self.callers().any(|(caller, _)| std::ptr::eq(caller, full)))
    }

    /// Takes note that it has too little that could be freed for it.
    pub(crate) fn looked_in_vain(&self, now: Instant) {
        if let Some(full) = self.full() {
            full.looked_until.store(self.nanos(now + LOOKED_IN_VAIN), Ordering::Relaxed);
        }
    }

    /// Whether that was found out just now.
    pub(crate) fn was_looked_for(&self, now: Instant) -> bool {
        self.full().is_some_and(|full| self.nanos(now) < full.looked_until.load(Ordering::Relaxed))
    }

    pub(crate) fn hold_stream(&self) {
        for (caller, _) in self.callers() {
            caller.streams.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn release_stream(&self) {
        for (caller, _) in self.callers() {
            caller.streams.fetch_sub(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn hold_bytes(&self, bytes: usize) {
        for (caller, _) in self.callers() {
            caller.history_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    pub(crate) fn release_bytes(&self, bytes: usize) {
        for (caller, _) in self.callers() {
            caller.history_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// How much it holds, to be compared with others': the user, or the network for each of the users that it counts as.
    pub(crate) fn streams(&self) -> usize {
        self.share(|caller| &caller.streams)
    }

    /// As [`streams`](Self::streams), of bytes.
    pub(crate) fn history_bytes(&self) -> usize {
        self.share(|caller| &caller.history_bytes)
    }

    fn share(&self, held: impl Fn(&Caller) -> &AtomicUsize) -> usize {
        let share = |caller: &Caller| held(caller).load(Ordering::Relaxed).div_ceil(caller.users);
        self.callers().map(|(caller, _)| share(caller)).max().unwrap_or(0)
    }
}

impl Meter for Account {
    fn allows(&self, cost: Cost, now: Instant) -> bool {
        let commands = |caller: &Caller, allowance: &Allowance, now| caller.commands.take(1, allowance.commands, now);
        let channels = |caller: &Caller, allowance: &Allowance, now| caller.channels.take(1, allowance.channels, now);
        match cost {
            Cost::Command => self.takes(now, commands),
            Cost::Channel => self.takes(now, channels),
            Cost::Read => self.may_read(now),
        }
    }
}

impl Caller {
    fn new(users: usize) -> Self {
        Self {
            users,
            streams: AtomicUsize::new(0),
            history_bytes: AtomicUsize::new(0),
            looked_until: AtomicU64::new(0),
            commands: Bucket::default(),
            channels: Bucket::default(),
            reads: Bucket::default(),
            connects: Bucket::default(),
        }
    }
}

trait Counts {
    fn counts(&self, now: u64) -> bool;
}

impl Counts for Arc<Caller> {
    /// Somebody has its account, or its allowance is not full again.
    fn counts(&self, now: u64) -> bool {
        let buckets = [&self.commands, &self.channels, &self.reads, &self.connects];
        Arc::strong_count(self) > 1 || !buckets.iter().all(|bucket| bucket.is_full(now))
    }
}

fn nanos(began: Instant, now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(began).as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        Accounts::new(Arc::new(Limits::default()))
    }

    fn user(name: &str) -> Identity {
        Identity { user: name.into(), ..Identity::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_finds_what_the_ones_before_it_have_left() {
        let accounts = accounts();
        let now = tokio::time::Instant::now().into_std();
        let burst = Limits::default().user.channels.burst;
        let spent = (0..burst).all(|_| accounts.of(Some(&user("ana")), None).allows(Cost::Channel, now));
        assert!(spent && !accounts.of(Some(&user("ana")), None).allows(Cost::Channel, now));
        assert!(accounts.of(Some(&user("bea")), None).allows(Cost::Channel, now), "others have their own");
        accounts.sweep();
        assert!(!accounts.of(Some(&user("ana")), None).allows(Cost::Channel, now), "nobody is forgotten too early");
        tokio::time::advance(std::time::Duration::from_secs(3_600)).await;
        accounts.sweep();
        assert_eq!(accounts.len(), 0, "and nobody is remembered for ever");
    }

    #[tokio::test(start_paused = true)]
    async fn the_token_users_of_one_address_share_a_wide_allowance_and_persons_do_not() {
        let accounts = accounts();
        let now = tokio::time::Instant::now().into_std();
        let here: IpAddr = "192.0.2.1".parse().unwrap();
        let burst = Limits::default().address.channels.burst;
        let fresh = |number: u32| accounts.of(Some(&user(&format!("visitor {number}"))), Some(here));
        assert_eq!((0..=burst).filter(|number| fresh(*number).allows(Cost::Channel, now)).count(), burst as usize);
        let person = Identity { tag: Some("session".into()), ..user("visitor 1") };
        assert!(accounts.of(Some(&person), Some(here)).allows(Cost::Channel, now));
        let elsewhere: IpAddr = "192.0.2.2".parse().unwrap();
        assert!(accounts.of(None, Some(elsewhere)).allows(Cost::Channel, now));
        assert!(!accounts.of(None, Some(here)).allows(Cost::Channel, now), "the nameless are the address");
    }

    #[tokio::test(start_paused = true)]
    async fn as_many_callers_are_known_as_there_is_room_for_and_the_rest_are_one() {
        let accounts = accounts();
        let now = tokio::time::Instant::now().into_std();
        for number in 0..CALLERS_MAX + CALLERS_MAX / 10 {
            accounts.of(Some(&user(&number.to_string())), None).allows(Cost::Command, now);
        }
        assert!(accounts.len() <= CALLERS_MAX + 1, "{}", accounts.len());
    }
}
