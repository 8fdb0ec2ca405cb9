//! A broker as bad as one may be: it loses, doubles, delays and reorders what it brings to its nodes, and lets them wait
//! for its answers. Which fate a publication meets is given, so that a run can be repeated.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, Weak};

use futures_util::FutureExt;
use tidings_hub::{Account, Answer, Broker, BrokerError, ChannelName, HistoryPage, HistoryQuery, Node, Terms, at_once};
use tidings_protocol::{Publication, StreamPosition};

const EPOCH: &str = "faulty-1";

pub struct FaultyBroker {
    state: Mutex<State>,
    /// Publications of a stream that can be read.
    kept: usize,
}

struct State {
    nodes: Vec<Weak<dyn Node>>,
    streams: HashMap<ChannelName, Vec<Publication>>,
    /// What is on its way, and to which node.
    under_way: Vec<(usize, ChannelName, Arc<Publication>)>,
    fates: VecDeque<u8>,
}

impl FaultyBroker {
    /// Each publication takes the next of `fates` for each node; when they are used up, they come again. Of a stream the
    /// newest `kept` can be read.
    pub fn new(fates: Vec<u8>, kept: usize) -> Arc<Self> {
        let fates = if fates.is_empty() { vec![0] } else { fates };
        let state = State { nodes: Vec::new(), streams: HashMap::new(), under_way: Vec::new(), fates: fates.into() };
        Arc::new(Self { state: Mutex::new(state), kept })
    }

    /// Brings one of those under way to its node, not the oldest.
    pub fn bring_one(&self) -> bool {
        let (node, channel, publication) = {
            let mut state = self.state.lock().unwrap();
            if state.under_way.is_empty() {
                return false;
            }
            let which = usize::from(state.fate()) % state.under_way.len();
            let (node, channel, publication) = state.under_way.swap_remove(which);
            (state.nodes[node].upgrade(), channel, publication)
        };
        if let Some(node) = node {
            node.receive(&channel, publication, EPOCH);
        }
        true
    }

    fn page(&self, channel: &ChannelName, query: HistoryQuery) -> HistoryPage {
        let state = self.state.lock().unwrap();
        let stream = state.streams.get(channel).map_or(&[][..], Vec::as_slice);
        let kept = &stream[stream.len().saturating_sub(self.kept)..];
        let after = query.since.unwrap_or(0);
        let publications = kept.iter().filter(|p| p.offset > after).take(query.limit).cloned().collect();
        HistoryPage { publications, top: StreamPosition { offset: stream.len() as u64, epoch: EPOCH.into() } }
    }

    fn answer<'a, T: Send + 'a>(&self, answer: T) -> Answer<'a, T> {
        if self.state.lock().unwrap().fate().is_multiple_of(2) {
            return at_once(answer);
        }
        futures_util::future::Either::Right(
            async move {
                tokio::task::yield_now().await;
                answer
            }
            .boxed(),
        )
    }
}

impl State {
    fn fate(&mut self) -> u8 {
        self.fates.rotate_left(1);
        self.fates[0]
    }
}

impl Broker for FaultyBroker {
    fn attach(&self, node: Weak<dyn Node>) {
        self.state.lock().unwrap().nodes.push(node);
    }

    fn end_unkept<'a>(&'a self, _: &'a (dyn Fn(&ChannelName) -> bool + Send + Sync)) -> Answer<'a, ()> {
        at_once(())
    }

    fn publish<'a>(
        &'a self,
        channel: &'a ChannelName,
        mut publication: Publication,
        terms: Terms<'a>,
    ) -> Answer<'a, Result<StreamPosition, BrokerError>> {
        let mut position = StreamPosition::default();
        {
            let mut state = self.state.lock().unwrap();
            if terms.keep.is_some() {
                let stream = state.streams.entry(channel.clone()).or_default();
                publication.offset = stream.len() as u64 + 1;
                // What is read later is not said to be one that may be sent as a difference.
                stream.push(Publication { delta: false, ..publication.clone() });
                position = StreamPosition { offset: publication.offset, epoch: EPOCH.into() };
            }
            let publication = Arc::new(publication);
            for node in 0..state.nodes.len() {
                let copies = match state.fate() % 8 {
                    0 | 1 => 0,
                    2 => 2,
                    _ => 1,
                };
                for _ in 0..copies {
                    state.under_way.push((node, channel.clone(), publication.clone()));
                }
            }
        }
        self.answer(Ok(position))
    }

    fn remove<'a>(&'a self, _: &'a ChannelName) -> Answer<'a, Result<(), BrokerError>> {
        at_once(Ok(()))
    }

    fn read<'a>(
        &'a self,
        channel: &'a ChannelName,
        query: HistoryQuery,
    ) -> Answer<'a, Result<HistoryPage, BrokerError>> {
        self.answer(Ok(self.page(channel, query)))
    }

    fn begin<'a>(
        &'a self,
        channel: &'a ChannelName,
        query: HistoryQuery,
        _: Option<&'a Arc<Account>>,
    ) -> Answer<'a, Result<HistoryPage, BrokerError>> {
        self.read(channel, query)
    }
}
