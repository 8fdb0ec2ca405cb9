//! The broker of one process: streams in memory, and one node, which is told under the stream's lock.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant as StdInstant;

use tidings_protocol::{Publication, StreamPosition};
use tokio::time::Instant;

use super::ledger::Ledger;
use super::looks::Looks;
use super::reclaim;
use super::repeats::Repeats;
use super::stream::{Epochs, Stream, cost_of};
use super::{Answer, Broker, BrokerError, Node, Terms, at_once};
use crate::limits::RECLAIMED_PART;
use crate::session::{Cost, Meter};
use crate::sharded::{Sharded, lock};
use crate::sync::Mutex;
use crate::{Account, ChannelName, HistoryPage, HistoryQuery, Keep, Limits};

/// See the [module](self).
pub(crate) struct MemoryBroker {
    node: OnceLock<Weak<dyn Node>>,
    streams: Sharded<ChannelName, Arc<Mutex<Stream>>>,
    number: Ledger,
    bytes: Arc<Ledger>,
    repeats: Repeats,
    epochs: Epochs,
    /// One looks for room at a time; others who need it find what it has freed.
    reclaiming: Mutex<()>,
    looks: Looks,
}

impl MemoryBroker {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            node: OnceLock::new(),
            streams: Sharded::new(),
            number: Ledger::of_streams(limits),
            bytes: Arc::new(Ledger::of_bytes(limits)),
            repeats: Repeats::new(),
            epochs: Epochs::default(),
            reclaiming: Mutex::default(),
            looks: Looks::default(),
        }
    }

    fn node(&self) -> Option<Arc<dyn Node>> {
        self.node.get()?.upgrade()
    }

    fn publish_now(
        &self,
        channel: &ChannelName,
        publication: Publication,
        terms: Terms<'_>,
    ) -> Result<StreamPosition, BrokerError> {
        match terms.keep {
            Some(keep) => self.append(channel, publication, keep, terms),
            None => Ok(self.pass(channel, publication)),
        }
    }

    fn append(
        &self,
        channel: &ChannelName,
        mut publication: Publication,
        keep: &Keep,
        Terms { account, version, .. }: Terms<'_>,
    ) -> Result<StreamPosition, BrokerError> {
        let now = Instant::now().into_std();
        // Who subscribes to it has paid with the command.
        let is_new = |_: &&Arc<Account>| !self.streams.shard(channel).contains_key(channel);
        if account.filter(is_new).is_some_and(|account| !account.allows(Cost::Channel, now)) {
            return Err(BrokerError::TooManyRequests);
        }
        self.make_room_for_bytes(cost_of(&publication), account);
        let delta = std::mem::take(&mut publication.delta);
        self.with_stream(channel, account, |stream| {
            if !stream.takes(version) {
                return stream.position();
            }
            let kept = stream.append(publication, keep, account, now);
            let told = if delta { Arc::new(Publication { delta, ..(*kept).clone() }) } else { kept };
            // Told under the stream's lock, so that a node hears the numbers in their order: here nothing ever has to
            // be held back or read again.
            if let Some(node) = self.node() {
                node.receive(channel, told, stream.epoch());
            }
            stream.position()
        })
    }

    fn pass(&self, channel: &ChannelName, publication: Publication) -> StreamPosition {
        if let Some(node) = self.node() {
            node.receive(channel, Arc::new(publication), "");
        }
        StreamPosition::default()
    }

    fn read_now(&self, channel: &ChannelName, query: HistoryQuery) -> HistoryPage {
        let stream = self.streams.shard(channel).get(channel).cloned();
        match stream {
            Some(stream) => lock(&stream).read(query, Instant::now().into_std()),
            // A stream that is made later has this epoch, so whoever read now can go on from here.
            None => HistoryPage {
                publications: Vec::new(),
                top: StreamPosition { offset: 0, epoch: self.epochs.of(channel) },
            },
        }
    }

    /// Runs `f` on a stream, which exists from then on.
    fn with_stream<T>(
        &self,
        channel: &ChannelName,
        account: Option<&Arc<Account>>,
        f: impl FnOnce(&mut Stream) -> T,
    ) -> Result<T, BrokerError> {
        loop {
            let stream = self.find_or_make(channel, account)?;
            let mut stream = lock(&stream);
            if !stream.gone {
                return Ok(f(&mut stream));
            }
        }
    }

    fn find_or_make(
        &self,
        channel: &ChannelName,
        account: Option<&Arc<Account>>,
    ) -> Result<Arc<Mutex<Stream>>, BrokerError> {
        if let Some(stream) = self.streams.shard(channel).get(channel) {
            return Ok(stream.clone());
        }
        self.make_room_for_stream(account)?;
        let mut shard = self.streams.shard(channel);
        let make = || {
            self.number.hold(1, account);
            let now = Instant::now().into_std();
            let stream = Stream::new(self.epochs.of(channel), self.bytes.clone(), account.cloned(), now);
            Arc::new(Mutex::new(stream))
        };
        Ok(shard.entry(channel.clone()).or_insert_with(make).clone())
    }

    /// Between this and what it is for others may take the room: so many more than the bound as there are threads.
    fn make_room_for_stream(&self, account: Option<&Arc<Account>>) -> Result<(), BrokerError> {
        let may = || account.is_none_or(|account| account.may_hold_stream());
        let is_full = || !may() || !self.number.has_room(1, account);
        let now = Instant::now().into_std();
        if is_full() && self.may_look(account, now) {
            let _one = lock(&self.reclaiming);
            // Whoever was first has found room for all, or none.
            if !may() && self.may_look(account, now) {
                self.reclaim_own(account, now);
            }
            if !self.number.has_room(1, account) && self.may_look(account, now) {
                self.reclaim_any(account.is_some(), now);
            }
        }
        if is_full() { Err(BrokerError::TooManyStreams { max: self.number.max() }) } else { Ok(()) }
    }

    /// Whether it is worth looking for what stands in the way of another stream.
    fn may_look(&self, account: Option<&Arc<Account>>, now: StdInstant) -> bool {
        match account.filter(|account| !account.may_hold_stream()) {
            Some(account) => self.looks.may_look_for(account, now),
            None => self.looks.may_look(account.is_some(), now),
        }
    }

    /// Frees streams of the user or network that has as many as it may.
    fn reclaim_own(&self, account: Option<&Arc<Account>>, now: StdInstant) {
        let Some(account) = account else { return };
        let began = Instant::now();
        let wanted = (account.streams() / RECLAIMED_PART).max(1);
        let counts = |maker: Option<&Arc<Account>>| maker.is_some_and(|maker| maker.makes_way_for(account));
        if self.reclaim_streams(wanted, counts, true) < wanted {
            self.looks.found_too_little_for(account, began.elapsed(), now);
        }
    }

    fn reclaim_any(&self, for_client: bool, now: StdInstant) {
        let wanted = (self.number.max() / RECLAIMED_PART).max(1);
        let spares_server = for_client && !self.number.clients_have_little();
        let counts = |maker: Option<&Arc<Account>>| maker.is_some() || !spares_server;
        if self.reclaim_streams(wanted, counts, for_client) < wanted {
            self.looks.found_too_little(for_client, now);
        }
    }

    /// Ends streams of those makers that count, and says how many.
    fn reclaim_streams(
        &self,
        wanted: usize,
        counts: impl Fn(Option<&Arc<Account>>) -> bool,
        for_client: bool,
    ) -> usize {
        let Some(node) = self.node() else { return 0 };
        let is_idle = |channel: &ChannelName| !node.has_subscribers(channel);
        // Asked again under the stream's lock: whoever subscribes enters the channel first, and then reads the stream.
        let end = |channel: &ChannelName, stream: &Mutex<Stream>| {
            let mut stream = lock(stream);
            is_idle(channel) && self.end(channel, &mut stream)
        };
        reclaim::streams(&self.all(), &self.number, wanted, counts, for_client, is_idle, end)
    }

    fn make_room_for_bytes(&self, bytes: usize, account: Option<&Arc<Account>>) {
        if self.bytes.has_room(bytes, account) || bytes > self.bytes.max() {
            return;
        }
        let _one = lock(&self.reclaiming);
        if !self.bytes.has_room(bytes, account) {
            let wanted = bytes.max(self.bytes.max() / RECLAIMED_PART);
            reclaim::bytes(&self.all(), &self.bytes, wanted, account.is_some());
        }
    }

    fn all(&self) -> reclaim::Streams {
        (0..self.streams.pieces()).flat_map(|piece| self.streams.copy(piece)).collect()
    }

    /// Forgets a stream. Locks go from a stream to its shard, never the other way round.
    fn end(&self, channel: &ChannelName, stream: &mut Stream) -> bool {
        if stream.gone {
            return false;
        }
        self.epochs.forget(stream);
        stream.end();
        self.streams.shard(channel).remove(channel);
        self.number.release(1, stream.account());
        true
    }

    fn sweep_stream(&self, channel: &ChannelName, stream: &Mutex<Stream>, in_use: bool, now: StdInstant) {
        let mut stream = lock(stream);
        stream.expire(now);
        if in_use {
            stream.touch(now);
        }
        if stream.is_forgotten(now) {
            self.end(channel, &mut stream);
        }
    }
}

impl Broker for MemoryBroker {
    fn attach(&self, node: Weak<dyn Node>) {
        self.node.set(node).ok();
    }

    fn publish<'a>(
        &'a self,
        channel: &'a ChannelName,
        publication: Publication,
        terms: Terms<'a>,
    ) -> Answer<'a, Result<StreamPosition, BrokerError>> {
        let publish = || self.publish_now(channel, publication, terms);
        at_once(match terms.idempotency_key {
            Some(key) => self.repeats.once(channel, key, Instant::now().into_std(), publish),
            None => publish(),
        })
    }

    fn read<'a>(
        &'a self,
        channel: &'a ChannelName,
        query: HistoryQuery,
    ) -> Answer<'a, Result<HistoryPage, BrokerError>> {
        at_once(Ok(self.read_now(channel, query)))
    }

    fn begin<'a>(
        &'a self,
        channel: &'a ChannelName,
        query: HistoryQuery,
        account: Option<&'a Arc<Account>>,
    ) -> Answer<'a, Result<HistoryPage, BrokerError>> {
        at_once(self.with_stream(channel, account, |stream| {
            let now = Instant::now().into_std();
            stream.touch(now);
            stream.read(query, now)
        }))
    }

    fn remove<'a>(&'a self, channel: &'a ChannelName) -> Answer<'a, Result<(), BrokerError>> {
        let stream = self.streams.shard(channel).get(channel).cloned();
        if let Some(stream) = stream {
            lock(&stream).clear();
        }
        at_once(Ok(()))
    }

    fn end_unkept<'a>(&'a self, keeps: &'a (dyn Fn(&ChannelName) -> bool + Send + Sync)) -> Answer<'a, ()> {
        futures_util::future::Either::Right(Box::pin(async move {
            // Also for those that have no stream now: somebody may hold a position of 0 in one that was forgotten.
            self.epochs.renew();
            for index in 0..self.streams.pieces() {
                tokio::task::yield_now().await;
                for (channel, stream) in self.streams.copy(index) {
                    if !keeps(&channel) {
                        self.end(&channel, &mut lock(&stream));
                    }
                }
            }
        }))
    }

    fn sweep(&self) -> Answer<'_, ()> {
        futures_util::future::Either::Right(Box::pin(async move {
            let Some(node) = self.node() else { return };
            let now = Instant::now().into_std();
            self.repeats.sweep(now);
            for index in 0..self.streams.pieces() {
                // A shard at a time, and other tasks in between: a hundred thousand would hold them up.
                tokio::task::yield_now().await;
                for (channel, stream) in self.streams.copy(index) {
                    self.sweep_stream(&channel, &stream, node.has_subscribers(&channel), now);
                }
            }
        }))
    }

    fn streams(&self) -> usize {
        self.number.total()
    }

    fn history_bytes(&self) -> usize {
        self.bytes.total()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::account::Accounts;
    use crate::limits::LOOKED_IN_VAIN;
    use crate::{ChannelName, Identity};

    /// A node that counts how often it is asked who is in a channel.
    #[derive(Default)]
    struct Asked {
        subscribed: Mutex<HashSet<ChannelName>>,
        times: AtomicUsize,
    }

    impl Node for Asked {
        fn receive(&self, _: &ChannelName, _: Arc<Publication>, _: &str) {}

        fn has_subscribers(&self, channel: &ChannelName) -> bool {
            self.times.fetch_add(1, Ordering::Relaxed);
            lock(&self.subscribed).contains(channel)
        }
    }

    struct Setting {
        broker: MemoryBroker,
        node: Arc<Asked>,
        accounts: Accounts,
    }

    impl Setting {
        fn new(limits: Limits) -> Self {
            let node = Arc::new(Asked::default());
            let broker = MemoryBroker::new(&limits);
            let weak: Weak<Asked> = Arc::downgrade(&node);
            broker.attach(weak);
            Self { broker, node, accounts: Accounts::new(Arc::new(limits)) }
        }

        fn account(&self, user: &str) -> Arc<Account> {
            self.accounts.of(Some(&Identity { user: user.into(), ..Identity::default() }), None)
        }

        /// Makes a stream that nobody is subscribed to.
        fn pass_through(&self, channel: &str, account: &Arc<Account>) {
            assert!(self.begin(channel, Some(account)));
            self.leave(channel);
        }

        fn has(&self, channel: &str) -> bool {
            let channel = ChannelName::parse(channel).unwrap();
            self.broker.streams.shard(&channel).contains_key(&channel)
        }

        fn begin(&self, channel: &str, account: Option<&Arc<Account>>) -> bool {
            let channel = ChannelName::parse(channel).unwrap();
            lock(&self.node.subscribed).insert(channel.clone());
            let made = self.broker.with_stream(&channel, account, |_| ()).is_ok();
            if !made {
                lock(&self.node.subscribed).remove(&channel);
            }
            made
        }

        fn leave(&self, channel: &str) {
            lock(&self.node.subscribed).remove(&ChannelName::parse(channel).unwrap());
        }

        /// How often the node was asked while so many tried to make a stream, and were refused.
        fn asked_for_refusals(&self, number: usize, account: Option<&Arc<Account>>) -> usize {
            let before = self.node.times.load(Ordering::Relaxed);
            assert!((0..number).all(|_| !self.begin("one more", account)));
            self.node.times.load(Ordering::Relaxed) - before
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_as_many_streams_as_it_may_all_in_use_is_refused_without_looking_each_time() {
        let setting = Setting::new(Limits { channels_per_user_max: 100, ..Limits::default() });
        let mallory = setting.account("mallory");
        assert!((0..100).all(|number| setting.begin(&number.to_string(), Some(&mallory))));
        let asked = setting.asked_for_refusals(1_000, Some(&mallory));
        assert!(asked <= 100, "asked {asked} times about 100 streams");
        assert!(setting.begin("of ana", Some(&setting.account("ana"))), "others are not concerned");
        setting.leave("7");
        tokio::time::advance(LOOKED_IN_VAIN).await;
        assert!(setting.begin("one more", Some(&mallory)), "what is idle later is found");
    }

    #[tokio::test(start_paused = true)]
    async fn who_holds_most_loses_the_oldest_first_whichever_of_its_connections_made_it() {
        let setting = Setting::new(Limits { channels_per_user_max: 64, ..Limits::default() });
        let connections: Vec<_> = (0..8).map(|_| setting.account("mallory")).collect();
        for number in 0..64 {
            setting.pass_through(&number.to_string(), &connections[number / 8]);
            tokio::time::advance(LOOKED_IN_VAIN).await;
        }
        setting.pass_through("one more", &setting.account("mallory"));
        let gone: Vec<_> = (0..64).filter(|number| !setting.has(&number.to_string())).collect();
        assert_eq!(gone, [0, 1, 2, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_makes_way_for_its_own_and_takes_nothing_from_the_server() {
        let setting = Setting::new(Limits { channels_max: 100, channels_per_user_max: 4, ..Limits::default() });
        for number in 0..20 {
            assert!(setting.begin(&format!("server {number}"), None));
            setting.leave(&format!("server {number}"));
        }
        for number in 0..200 {
            setting.pass_through(&number.to_string(), &setting.accounts.of_program("shop"));
        }
        assert!((0..20).all(|number| setting.has(&format!("server {number}"))));
        let held = (0..200).filter(|number| setting.has(&number.to_string())).count();
        assert!((30..=40).contains(&held), "{held} of ten users' {}", 10 * 4);
    }

    #[tokio::test(start_paused = true)]
    async fn where_all_streams_are_in_use_refusals_cost_nothing_and_the_server_looks_for_itself() {
        let setting = Setting::new(Limits { channels_max: 100, channels_reserved: 20, ..Limits::default() });
        let accounts: Vec<_> = (0..80).map(|number| setting.account(&number.to_string())).collect();
        assert!(accounts.iter().enumerate().all(|(number, of)| setting.begin(&number.to_string(), Some(of))));
        let asked: usize = accounts.iter().map(|of| setting.asked_for_refusals(10, Some(of))).sum();
        assert!(asked <= 80, "asked {asked} times about 80 streams");
        assert!((0..20).all(|number| setting.begin(&format!("of the server {number}"), None)));
        setting.leave("of the server 3");
        assert!(setting.begin("of the server", None), "a client's look says nothing about the server's");
    }
}
