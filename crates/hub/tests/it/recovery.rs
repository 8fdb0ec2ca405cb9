//! Promises G3 and G4 under random interleavings: whatever is published, cut, resumed and held up, a client that
//! follows the protocol has the channel's publications in order, each once, or was told that it cannot.

use crate::world::faulty::FaultyBroker;
use crate::world::{Who, World, memory, name, texts};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tidings_hub::recovery::{Start, decide};
use tidings_hub::{ChannelOptions, Expiry, HistoryPage, Limits, NewPublication, Offered, Order, Target};
use tidings_protocol::{Payload, Publication, PushEvent, StreamPosition, SubscribeRequest, fossil};

/// What may happen, in any order.
#[derive(Clone, Copy, Debug)]
enum Event {
    Publish,
    /// Stored, but the announcement is lost.
    Store,
    Ephemeral,
    Cut,
    /// The client takes nothing, and takes everything again.
    StopReading,
    ReadOn,
    Expire,
    Reconnect,
    /// Subscribing begins, and stands still before its history is read.
    BeginSubscribe,
    /// Subscribing begins, and stands still after its history was read.
    BeginAndRead,
    Proceed,
    CheckPositions,
    /// The broker brings one of what is under way.
    Bring,
    /// What is missing is read.
    Heal,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => Just(Event::Publish),
        1 => Just(Event::Store),
        1 => Just(Event::Ephemeral),
        2 => Just(Event::Cut),
        1 => Just(Event::StopReading),
        2 => Just(Event::ReadOn),
        1 => Just(Event::Expire),
        3 => Just(Event::Reconnect),
        2 => Just(Event::BeginSubscribe),
        2 => Just(Event::BeginAndRead),
        3 => Just(Event::Proceed),
        1 => Just(Event::CheckPositions),
        6 => Just(Event::Bring),
        1 => Just(Event::Heal),
    ];
    prop::collection::vec(event, 1..60)
}

/// A client as an SDK behaves: it remembers its position, and applies what it gets to what it has.
#[derive(Default)]
struct Sdk {
    link: Option<Who>,
    pending: Option<u32>,
    subscribed: bool,
    offset: u64,
    epoch: String,
    has: Vec<String>,
    /// What it got last, to which the next difference is.
    last: String,
    /// It was told that something is missing, and read the whole history instead.
    reloads: usize,
}

struct Run {
    world: World,
    channel: &'static str,
    sdk: Sdk,
    written: usize,
    gate: Option<std::sync::Arc<tokio::sync::Semaphore>>,
    /// A broker with faults, and a second node on it.
    faulty: Option<(Arc<FaultyBroker>, World)>,
    /// What the client adds to its subscribe command.
    asks: &'static str,
}

/// What is published under a number: long, so that a difference is shorter.
fn said(number: usize) -> String {
    format!("{}{number}{}", "ä".repeat(200), "ж".repeat(200))
}

impl Run {
    fn new(channel: &'static str) -> Self {
        let (world, sdk) = (World::new(), Sdk::default());
        Self { world, channel, sdk, written: 0, gate: None, faulty: None, asks: "" }
    }

    /// A client that takes differences, of a hub in which little fits into a reply and little may wait for a reader.
    fn with_differences(broker: &Arc<FaultyBroker>) -> Self {
        let limits = Limits { outbox_bytes_max: 20_000, recovery_reply_bytes_max: 2_000, ..Limits::default() };
        let node = || {
            let world = World::with_broker(limits.clone(), Some(broker.clone()));
            let options = ChannelOptions { delta: Offered::Always, ..memory() };
            *world.rules.memory.lock().unwrap() = options.into();
            world
        };
        let faulty = Some((broker.clone(), node()));
        Self { world: node(), faulty, asks: r#","delta":"fossil""#, ..Self::new("news") }
    }

    fn over(broker: &Arc<FaultyBroker>, channel: &'static str) -> Self {
        let node = || World::with_broker(Limits::default(), Some(broker.clone()));
        Self { world: node(), faulty: Some((broker.clone(), node())), ..Self::new(channel) }
    }

    /// By this node and by the other in turn, where there is another.
    async fn publish(&mut self, text: &str) {
        match &self.faulty {
            Some((_, elsewhere)) => {
                let hub = if self.written.is_multiple_of(2) { &self.world.hub } else { &elsewhere.hub };
                let publication = NewPublication::new(crate::world::text(text));
                hub.publish(&name(self.channel), publication).await.unwrap();
                self.world.settle();
            }
            None => self.world.publish_or_post(self.channel, text).await,
        }
    }

    fn bring(&self) -> bool {
        self.faulty.as_ref().is_some_and(|(broker, _)| broker.bring_one())
    }

    async fn apply(&mut self, event: Event) {
        match event {
            Event::Publish => {
                self.written += 1;
                let text = said(self.written);
                // An announcement that has to read runs into a closed gate; the application then goes on.
                let post = self.publish(&text);
                let _ = tokio::time::timeout(Duration::from_millis(1), post).await;
            }
            Event::Store if self.channel.starts_with("room:") => {
                self.written += 1;
                self.world.rules.store.commit(&name(self.channel), &said(self.written));
            }
            Event::Store => {}
            Event::Ephemeral => {
                let typing = NewPublication::ephemeral(crate::world::text("typing"));
                self.world.hub.publish(&name(self.channel), typing).await.unwrap();
            }
            Event::Bring => _ = self.bring(),
            Event::Heal => {
                let heal = self.world.hub.heal();
                let _ = tokio::time::timeout(Duration::from_millis(50), heal).await;
            }
            Event::Cut => self.cut(),
            Event::StopReading => {
                if let Some(link) = self.sdk.link {
                    self.world.stop_reading(link);
                }
            }
            Event::ReadOn => {
                if let Some(link) = self.sdk.link {
                    self.world.read_on(link);
                }
            }
            // The connection's time is over, and it comes back with another token.
            Event::Expire => {
                self.world.order(Order::refresh(Target::All, Some(Expiry::Final(Duration::ZERO))));
                self.world.settle();
            }
            Event::Reconnect => {
                self.begin();
                self.proceed();
            }
            Event::BeginSubscribe | Event::BeginAndRead if self.sdk.link.is_some() => {}
            Event::BeginSubscribe => {
                self.proceed();
                self.gate = Some(self.world.rules.hold_answers());
                self.begin();
            }
            Event::BeginAndRead => {
                self.proceed();
                self.gate = Some(self.world.rules.hold_pages());
                self.begin();
            }
            Event::Proceed => self.proceed(),
            Event::CheckPositions => {
                let check = self.world.hub.check_positions();
                let _ = tokio::time::timeout(Duration::from_millis(1), check).await;
            }
        }
        self.listen();
    }

    fn cut(&mut self) {
        self.listen();
        if let Some(link) = self.sdk.link.take() {
            self.world.cut(link);
            (self.sdk.pending, self.sdk.subscribed) = (None, false);
        }
    }

    fn begin(&mut self) {
        if self.sdk.link.is_some() {
            return;
        }
        let link = self.world.connect("ana");
        let first = self.sdk.epoch.is_empty();
        let recover = format!(r#","recover":true,"offset":{},"epoch":"{}""#, self.sdk.offset, self.sdk.epoch);
        let recover = if first { "" } else { &recover };
        let subscribe = format!(r#""subscribe":{{"channel":"{}"{recover}{}}}"#, self.channel, self.asks);
        self.sdk.pending = Some(self.world.ask(link, &subscribe));
        self.sdk.link = Some(link);
    }

    fn proceed(&mut self) {
        if let Some(gate) = self.gate.take() {
            gate.add_permits(100_000);
        }
        self.world.settle();
    }

    /// Applies what has arrived.
    fn listen(&mut self) {
        self.world.settle();
        let Some(link) = self.sdk.link else { return };
        if let Some(id) = self.sdk.pending
            && let Some(answer) = self.world.try_answer(link, id)
        {
            assert!(answer.is_ok(), "{answer:?}");
            let Ok(tidings_protocol::Response::Subscribe(result)) = answer else { panic!() };
            self.sdk.pending = None;
            self.sdk.subscribed = true;
            let lost = result.was_recovering && !result.recovered;
            let first = self.sdk.epoch.is_empty();
            if lost || first {
                self.sdk.reloads += usize::from(lost);
                self.sdk.has = (1..=usize::try_from(result.offset).unwrap()).map(said).collect();
            } else {
                assert_eq!(result.offset, self.sdk.offset);
            }
            (self.sdk.offset, self.sdk.epoch) = (result.offset, result.epoch.clone());
            result.publications.iter().for_each(|publication| self.take(publication));
        }
        let pushes = self
            .world
            .pushes(link, self.channel, |event| matches!(event, PushEvent::Pub(_) | PushEvent::Unsubscribe(_)));
        for push in pushes {
            match push {
                PushEvent::Pub(publication) => {
                    assert!(self.sdk.subscribed, "a publication before the subscribe reply");
                    self.take(&publication);
                }
                PushEvent::Unsubscribe(_) => self.sdk.subscribed = false,
                _ => unreachable!(),
            }
        }
        if self.world.closed(link).is_some() {
            self.sdk.link = None;
            (self.sdk.pending, self.sdk.subscribed) = (None, false);
        }
    }

    fn take(&mut self, publication: &Publication) {
        let mut text = texts([publication.clone()]).remove(0);
        if !self.asks.is_empty() {
            // A string in which JSON is written, or the difference to the one before.
            if publication.delta {
                let whole =
                    fossil::apply(self.sdk.last.as_bytes(), text.as_bytes()).expect("a difference to what it has");
                text = String::from_utf8(whole).unwrap();
            }
            self.sdk.last.clone_from(&text);
            text = Payload::parse(text.as_bytes()).unwrap().to_value().unwrap();
        }
        if publication.offset > 0 {
            assert_eq!(publication.offset, self.sdk.offset + 1, "a gap or a duplicate");
            self.sdk.offset = publication.offset;
            self.sdk.has.push(text);
        }
    }

    /// In the end, after the link is good again, the client has everything.
    async fn finish(mut self) -> usize {
        if let Some(link) = self.sdk.link {
            self.world.read_on(link);
        }
        self.proceed();
        self.listen();
        while self.bring() {}
        self.world.hub.check_positions().await;
        self.world.hub.heal().await;
        self.listen();
        for _ in 0..1_000 {
            // Cut off again, where much was behind, it comes again.
            if !self.sdk.subscribed && self.sdk.pending.is_none() {
                self.cut();
                self.begin();
            }
            if self.sdk.subscribed {
                break;
            }
            tokio::task::yield_now().await;
            self.listen();
        }
        assert!(self.sdk.subscribed, "it cannot subscribe");
        // What does not fit into a reply follows in pieces, each of which the broker may take its time for.
        for _ in 0..2 * self.written {
            tokio::task::yield_now().await;
            self.listen();
            self.world.hub.heal().await;
        }
        let all: Vec<_> = (1..=self.written).map(said).collect();
        assert_eq!(self.sdk.has, all);
        self.sdk.reloads
    }
}

fn run(channel: &'static str, events: &[Event]) -> usize {
    follow(Run::new(channel), events)
}

fn follow(mut run: Run, events: &[Event]) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        for event in events {
            run.apply(*event).await;
        }
        run.finish().await
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn g4_a_client_of_a_stored_channel_has_everything_once_and_in_order(events in events()) {
        // Nothing is lost from the store, so no client ever has to reload.
        prop_assert_eq!(run("room:1", &events), 0);
    }

    #[test]
    fn g4_a_client_of_a_channel_in_memory_has_everything_once_and_in_order(events in events()) {
        prop_assert_eq!(run("news", &events), 0);
    }

    /// Whatever the broker does to what it brings: its stream is the truth.
    #[test]
    fn g3_g4_over_a_broker_that_loses_doubles_delays_and_reorders(
        events in events(),
        fates in prop::collection::vec(any::<u8>(), 1..200),
    ) {
        prop_assert_eq!(follow(Run::over(&FaultyBroker::new(fates, usize::MAX), "news"), &events), 0);
    }

    /// What is missing may be gone from the stream too: then clients are told, and none has a hole.
    #[test]
    fn g4_over_such_a_broker_that_also_forgets(
        events in events(),
        fates in prop::collection::vec(any::<u8>(), 1..200),
        kept in 1_usize..4,
    ) {
        follow(Run::over(&FaultyBroker::new(fates, kept), "news"), &events);
    }

    /// Section 8: with differences, slow readers and what does not fit into a reply, over such a broker.
    #[test]
    fn g3_g4_g7_a_client_of_differences_can_read_every_one_of_them(
        events in events(),
        fates in prop::collection::vec(any::<u8>(), 1..200),
        kept in prop_oneof![Just(usize::MAX), 1_usize..4],
    ) {
        let reloads = follow(Run::with_differences(&FaultyBroker::new(fates, kept)), &events);
        prop_assert!(reloads == 0 || kept < usize::MAX);
    }

    /// Section 6.3 of `crates/protocol/PROTOCOL.md`, for any page that a history may give.
    #[test]
    fn g4_recovered_means_without_a_gap_up_to_the_top(
        offset in 0u64..20,
        first in 1u64..20,
        count in 0u64..10,
        beyond in 0u64..3,
        same_epoch in any::<bool>(),
        limit in 0usize..10,
    ) {
        let publications: Vec<_> =
            (first..first + count).map(|offset| Publication { offset, ..Publication::default() }).collect();
        let last = if count == 0 { first } else { first + count - 1 };
        let top = StreamPosition { offset: last + beyond, epoch: "now".into() };
        let epoch = if same_epoch { "now" } else { "then" };
        let request = SubscribeRequest { recover: true, offset, epoch: epoch.into(), ..SubscribeRequest::default() };
        let limits = Limits { recovery_publications_max: limit, ..Limits::default() };
        let start = decide(&request, HistoryPage { publications: publications.clone(), top: top.clone() }, &limits);
        let exactly: Vec<_> = (offset + 1..=top.offset).collect();
        let has: Vec<_> = publications.iter().map(|publication| publication.offset).collect();
        let complete = same_epoch && offset <= top.offset && has == exactly && has.len() <= limit;
        prop_assert!(start.was_recovering);
        prop_assert_eq!(start.recovered, complete);
        if complete {
            prop_assert_eq!((start.told.offset, start.offset), (offset, top.offset));
        } else {
            prop_assert_eq!(start, Start::unrecovered(top));
        }
    }
}
