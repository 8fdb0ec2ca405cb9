//! Many channels with one subscriber each: whether a publication and a delivery cost the same whatever the number of
//! channels.
//!
//! First without subscribers: the first publication of every channel, which makes its stream; then *cold*, through all
//! channels in a scattered order, so that none was touched lately; then *warm*, into a few of them. Then all are subscribed
//! to, and cold and warm come again: what they cost more is the delivery.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use tidings_protocol::Command;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::ENCODING;
use crate::cli::{ChannelsArgs, PublishVia};
use crate::lanes::{self, Lanes, Positions, Work};
use crate::limits;
use crate::load::{self, Who, is_ping};
use crate::meter::{Meter, Spent};
use crate::pace::new_histogram;
use crate::payload::{self, Stamp};
use crate::report::{Figure, Setting, Unit, latency};
use crate::rounds::Measurement;
use crate::target::{Key, Target};
use crate::wire::Wire;

/// Channels of the warm part.
const WARM: u32 = 64;

/// Connections that are opened before those opened already are read.
const SUBSCRIBED_AT_ONCE: usize = 256;

/// How often it is looked whether everything has arrived, at the end of a part.
const DRAIN_LOOK: std::time::Duration = std::time::Duration::from_micros(200);

/// One run.
pub(crate) struct Case {
    channels: u32,
    via: PublishVia,
}

impl ChannelsArgs {
    /// Connections that the subscribers of so many channels are spread over.
    fn readers(&self, channels: u32) -> u32 {
        self.connections.min(channels)
    }
}

impl Measurement for ChannelsArgs {
    const NAME: &'static str = "channels";
    type Case = Case;

    fn cases(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        for &via in &self.via {
            cases.extend(self.channels.iter().map(|&channels| Case { channels, via }));
        }
        cases
    }

    fn setting(&self, case: &Case) -> Setting {
        vec![
            ("channels", case.channels.into()),
            ("connections", self.readers(case.channels).into()),
            ("via", case.via.name().into()),
            ("bytes", self.payload.into()),
        ]
    }

    fn connections(&self, case: &Case) -> u32 {
        self.readers(case.channels) + lanes::connections(case.via, self.publishers) + self.publishers
    }

    fn keys(&self, case: &Case) -> Vec<Key> {
        if case.channels <= limits::CHANNELS_BY_DEFAULT {
            return Vec::new();
        }
        // With what the server keeps for itself, and room for a tenth more.
        let max = u64::from(case.channels) * 11 / 10 + 20_000;
        vec![Key { name: "channels_max", value: max.to_string() }]
    }

    async fn measure(&self, target: &Arc<Target>, case: &Case) -> Result<Vec<Figure>> {
        let readers = self.readers(case.channels);
        ensure!(
            case.channels.div_ceil(readers) <= limits::CHANNELS_PER_CONNECTION_MAX,
            "{} channels on {readers} connections are more than a server lets each have ({}): use more --connections",
            case.channels,
            limits::CHANNELS_PER_CONNECTION_MAX
        );
        let positions = Positions::of(target, case.channels).await?;
        target.settle().await;
        let memory = target.server_memory()?;
        let mut run = Run {
            target,
            bytes: self.payload,
            began: Instant::now(),
            acknowledged: (0..case.channels).map(|_| AtomicU64::new(0)).collect(),
            delivered: None,
        };
        let mut api = Lanes::open(target, PublishVia::Api, self.publishers).await?;
        let first = run.part(&mut api, case.channels.into(), lanes::scattered(case.channels)).await?;
        let made = target.server_memory()?;
        let mut lanes = match case.via {
            PublishVia::Api => api,
            PublishVia::Client => Lanes::open(target, case.via, self.publishers).await?,
        };
        let warm = case.channels.min(WARM);
        let cold_publish = run.part(&mut lanes, self.messages, lanes::scattered(case.channels)).await?;
        let warm_publish = run.part(&mut lanes, self.messages, lanes::scattered(warm)).await?;
        // A million subscriptions take a minute: no publisher stays connected that long without a word.
        drop(lanes);

        let received = Arc::new(Received {
            began: run.began,
            readers: readers as usize,
            channels: case.channels as usize,
            delivered: AtomicU64::new(0),
            failure: watch::Sender::new(None),
            latencies: Mutex::new(new_histogram()?),
        });
        let mut tasks = JoinSet::new();
        subscribe(target, &received, &mut tasks, !self.target.json).await?;
        let mut lanes = Lanes::open(target, case.via, self.publishers).await?;
        target.settle().await;
        run.delivered = Some(Arc::clone(&received));
        let cold_both = run.part(&mut lanes, self.messages, lanes::scattered(case.channels)).await?;
        let latencies = received.take_latencies()?;
        let warm_both = run.part(&mut lanes, self.messages, lanes::scattered(warm)).await?;
        tasks.shutdown().await;
        positions.ensure_grown_by(target, &run.acknowledged).await?;

        let grown = made.zip(memory).map(|(made, before)| made.saturating_sub(before));
        #[expect(clippy::cast_precision_loss, reason = "a server's memory is far below 2^53 bytes")]
        let bytes_each = grown.map(|bytes| bytes as f64 / f64::from(case.channels));
        let delivery = |both: &Part, alone: &Part| both.each().zip(alone.each()).map(|(both, alone)| both - alone);
        let mut figures: Vec<Figure> = [
            ("server_cpu_us_per_first_publication", "first", first.each()),
            ("server_cpu_us_per_publication_cold", "publish, cold", cold_publish.each()),
            ("server_cpu_us_per_publication_warm", "publish, warm", warm_publish.each()),
            ("server_cpu_us_per_delivered_publication_cold", "with delivery, cold", cold_both.each()),
            ("server_cpu_us_per_delivered_publication_warm", "with delivery, warm", warm_both.each()),
            ("server_cpu_us_per_delivery_cold", "delivery, cold", delivery(&cold_both, &cold_publish)),
            ("server_cpu_us_per_delivery_warm", "delivery, warm", delivery(&warm_both, &warm_publish)),
        ]
        .into_iter()
        .map(|(key, heading, value)| Figure::new(key, heading, Unit::Cpu, value))
        .collect();
        let names = [
            ("seen_cold_p50_us", "seen p50"),
            ("seen_cold_p99_us", "seen p99"),
            ("seen_cold_p999_us", ""),
            ("seen_cold_max_us", ""),
        ];
        figures.extend(latency(names, &latencies));
        figures.push(Figure::new("server_bytes_per_channel", "memory/channel", Unit::Bytes, bytes_each));
        figures.extend(cold_both.spent.figures());
        Ok(figures)
    }
}

/// What is common to all parts of a run.
struct Run<'t> {
    target: &'t Arc<Target>,
    bytes: usize,
    began: Instant,
    acknowledged: Arc<[AtomicU64]>,
    /// Absent as long as nobody is subscribed.
    delivered: Option<Arc<Received>>,
}

/// What one part cost.
struct Part {
    publications: u64,
    spent: Spent,
}

impl Part {
    fn each(&self) -> Option<f64> {
        self.spent.server_each(self.publications)
    }
}

impl Run<'_> {
    /// Publishes, and waits until every publication has come to its subscriber.
    async fn part(
        &self,
        lanes: &mut Lanes,
        count: u64,
        channel: impl Fn(u64) -> u32 + Send + Sync + 'static,
    ) -> Result<Part> {
        let work = Work {
            channel: Box::new(channel),
            count,
            until: None,
            bytes: self.bytes,
            began: self.began,
            acknowledged: Arc::clone(&self.acknowledged),
            begun: AtomicU64::new(0),
        };
        let before = self.delivered.as_ref().map_or(0, |received| received.delivered.load(Relaxed));
        let meter = Meter::start(self.target)?;
        let (publications, _) = lanes.publish(work).await?;
        if let Some(received) = &self.delivered {
            received.wait_for(before + publications).await?;
        }
        Ok(Part { publications, spent: meter.stop(self.target)? })
    }
}

/// What the subscribers have received together.
struct Received {
    began: Instant,
    readers: usize,
    channels: usize,
    delivered: AtomicU64,
    failure: watch::Sender<Option<String>>,
    latencies: Mutex<Histogram<u64>>,
}

impl Received {
    /// The channels of one connection: every one whose number by the count of all connections leaves its own.
    fn channels_of(&self, reader: usize) -> impl Iterator<Item = u32> + use<> {
        (reader..self.channels).step_by(self.readers).filter_map(|channel| u32::try_from(channel).ok())
    }

    async fn wait_for(&self, count: u64) -> Result<()> {
        let start = Instant::now();
        loop {
            if let Some(failure) = &*self.failure.borrow() {
                bail!("{failure}");
            }
            let delivered = self.delivered.load(Relaxed);
            if delivered >= count {
                ensure!(delivered == count, "{} publications came twice", delivered - count);
                return Ok(());
            }
            ensure!(start.elapsed() < limits::STALL_TIME, "stalled: {} publications were lost", count - delivered);
            tokio::time::sleep(DRAIN_LOOK).await;
        }
    }

    fn take_latencies(&self) -> Result<Histogram<u64>> {
        let mut latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::replace(&mut *latencies, new_histogram()?))
    }
}

/// Opens every subscriber, some at a time: those that are open answer their pings meanwhile.
async fn subscribe(target: &Arc<Target>, received: &Arc<Received>, tasks: &mut JoinSet<()>, show: bool) -> Result<()> {
    let mut users = Who::users(target, "subscriber", u32::try_from(received.readers)?)?.into_iter();
    let mut first = 0;
    while first < received.readers {
        let some: Vec<Who> = users.by_ref().take(SUBSCRIBED_AT_ONCE).collect();
        let names = |number| received.channels_of(first + number).map(lanes::channel).collect();
        let opened = load::open(target, some, names, show).await?;
        let next = first + opened.len();
        for (number, opened) in (first..).zip(opened) {
            let received = Arc::clone(received);
            tasks.spawn(async move {
                if let Err(error) = receive(opened.wire, number, &received).await {
                    received.failure.send_replace(Some(format!("a subscriber failed: {error:#}")));
                }
            });
        }
        first = next;
    }
    Ok(())
}

/// Reads until the run drops it.
async fn receive(mut wire: Wire, number: usize, received: &Received) -> Result<()> {
    let mut offsets: Vec<Option<u64>> = vec![None; received.channels_of(number).count()];
    loop {
        let message = wire.receive().await?;
        let now_ns = u64::try_from(received.began.elapsed().as_nanos())?;
        let mut pings = 0;
        for line in message.as_str().split('\n') {
            if let Some(stamp) = Stamp::find(line) {
                let channel = payload::channel(line).context("a publication of no channel of ours")?;
                ensure!(channel % received.readers == number, "a publication of somebody else's channel");
                let last = offsets.get_mut(channel / received.readers).context("a channel that is not there")?;
                let offset = payload::offset(line);
                if let (Some(last), Some(offset)) = (*last, offset) {
                    ensure!(offset == last + 1, "publication {offset} of channel {channel} came after {last}");
                }
                *last = offset;
                let took = now_ns.saturating_sub(stamp.sent_ns) / 1000;
                received.latencies.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(took);
                received.delivered.fetch_add(1, Relaxed);
            } else if is_ping(line) {
                pings += 1;
            }
        }
        for _ in 0..pings {
            wire.send(ENCODING.encode_commands(&[Command::PONG])?).await?;
        }
    }
}
