//! Making room where there is none: whoever holds most loses the oldest.
//!
//! Looked for among all streams, a part of the whole at a time, so that it is seldom done. It holds no lock but that of
//! the stream that it looks at.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use super::ledger::Ledger;
use super::stream::Stream;
use crate::sharded::lock;
use crate::sync::Mutex;
use crate::{Account, ChannelName};

pub(super) type Streams = Vec<(ChannelName, Arc<Mutex<Stream>>)>;

/// Streams in which a caller holds something, and since when.
type Oldest = BinaryHeap<Reverse<(Instant, usize)>>;

/// Those who hold something, and what each could lose, the oldest first.
struct Holders<'a> {
    /// How much a caller holds, to be compared.
    held: &'a dyn Fn(Option<&Arc<Account>>) -> usize,
    /// Each caller, by one of the accounts of its connections.
    accounts: Vec<(Option<Arc<Account>>, Oldest)>,
    numbers: HashMap<Option<usize>, usize>,
}

impl<'a> Holders<'a> {
    fn new(held: &'a dyn Fn(Option<&Arc<Account>>) -> usize) -> Self {
        Self { held, accounts: Vec::new(), numbers: HashMap::new() }
    }

    fn add(&mut self, account: Option<&Arc<Account>>, since: Instant, stream: usize) {
        let name = account.map(|account| account.caller());
        let number = *self.numbers.entry(name).or_insert_with(|| {
            self.accounts.push((account.cloned(), Oldest::new()));
            self.accounts.len() - 1
        });
        self.accounts[number].1.push(Reverse((since, stream)));
    }

    /// Takes from whoever holds most at that moment, until `wanted` is there. `take` says what it freed, and since when
    /// the same stream has had the next of that caller.
    fn take(
        mut self,
        wanted: usize,
        mut take: impl FnMut(Option<&Arc<Account>>, usize) -> (usize, Option<Instant>),
    ) -> usize {
        let held = self.held;
        let mut most: BinaryHeap<(usize, usize)> =
            self.accounts.iter().enumerate().map(|(number, (account, _))| (held(account.as_ref()), number)).collect();
        let mut freed = 0;
        while freed < wanted {
            let Some((then, number)) = most.pop() else { break };
            let (account, oldest) = &mut self.accounts[number];
            let now = held(account.as_ref());
            if now == 0 {
                continue;
            }
            if now < then {
                most.push((now, number));
                continue;
            }
            let Some(Reverse((_, stream))) = oldest.pop() else { continue };
            let (gain, next) = take(account.as_ref(), stream);
            freed += gain;
            if let Some(next) = next {
                oldest.push(Reverse((next, stream)));
            }
            most.push((held(account.as_ref()), number));
        }
        freed
    }
}

/// Frees bytes of history. The server's own are touched for a client only while clients have little.
pub(super) fn bytes(streams: &Streams, ledger: &Ledger, wanted: usize, for_client: bool) {
    let spares_server = for_client && !ledger.clients_have_little();
    let held = |account: Option<&Arc<Account>>| {
        account.map_or_else(|| ledger.servers(for_client), |account| account.history_bytes())
    };
    let mut holders = Holders::new(&held);
    for (number, (_, stream)) in streams.iter().enumerate() {
        for (account, since) in lock(stream).held_since() {
            if account.is_some() || !spares_server {
                holders.add(account.as_ref(), since, number);
            }
        }
    }
    holders.take(wanted, |account, number| lock(&streams[number].1).take_oldest_of(account));
}

/// Ends streams that nobody is subscribed to, of the makers that count. `end` says whether it did. Returns how many.
pub(super) fn streams(
    streams: &Streams,
    ledger: &Ledger,
    wanted: usize,
    counts: impl Fn(Option<&Arc<Account>>) -> bool,
    for_client: bool,
    is_idle: impl Fn(&ChannelName) -> bool,
    end: impl Fn(&ChannelName, &Mutex<Stream>) -> bool,
) -> usize {
    let held = |account: Option<&Arc<Account>>| {
        account.map_or_else(|| ledger.servers(for_client), |account| account.streams())
    };
    let mut holders = Holders::new(&held);
    for (number, (channel, stream)) in streams.iter().enumerate() {
        let (account, touched) = {
            let stream = lock(stream);
            (stream.account().cloned(), stream.touched())
        };
        if counts(account.as_ref()) && is_idle(channel) {
            holders.add(account.as_ref(), touched, number);
        }
    }
    holders.take(wanted, |_, number| {
        let (channel, stream) = &streams[number];
        (usize::from(end(channel, stream)), None)
    })
}
