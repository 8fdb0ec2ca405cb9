//! One publisher, many subscribers of one channel.
//!
//! The window is the number of publications that are under way: the next one is published when every subscriber has
//! received the oldest of them. With a window of 1 there is nothing that a server could join into one write.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use hdrhistogram::Histogram;
use indicatif::ProgressBar;
use serde::Serialize;
use tidings_protocol::{Command, Payload, PublishRequest, Request, json};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::cli::FanoutArgs;
use crate::limits;
use crate::load::{self, is_ping};
use crate::payload::Stamp;
use crate::process::Process;
use crate::report::{Latency, Report, Row, figure, grouped, micros_each, millis};
use crate::target::Target;
use crate::wire::Wire;

const CHANNEL: &str = "bench";

/// Subscribers that share one histogram: enough of them to save memory, few enough not to wait for each other.
const SUBSCRIBERS_PER_HISTOGRAM: usize = 64;

#[derive(Debug, Serialize)]
struct Run {
    subscribers: u32,
    window: u32,
    payload_bytes: usize,
    seconds: f64,
    publications: u64,
    deliveries: u64,
    deliveries_per_second: f64,
    latency: Latency,
    /// Absent when the server's process is not known.
    server_cpu_us_per_delivery: Option<f64>,
    /// Of one core.
    server_cpu_percent: Option<f64>,
    server_memory_bytes: Option<u64>,
    generator_cpu_us_per_delivery: f64,
}

impl Row for Run {
    const HEADINGS: &'static [&'static str] = &[
        "subscribers",
        "window",
        "bytes",
        "publications",
        "deliveries/s",
        "p50",
        "p95",
        "p99",
        "max",
        "server CPU/delivery",
        "server CPU",
        "generator CPU/delivery",
    ];

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounded for people, and positive")]
    fn cells(&self) -> Vec<String> {
        let Latency { p50_us, p95_us, p99_us, max_us } = self.latency;
        vec![
            grouped(self.subscribers.into()),
            self.window.to_string(),
            self.payload_bytes.to_string(),
            grouped(self.publications),
            grouped(self.deliveries_per_second as u64),
            millis(p50_us),
            millis(p95_us),
            millis(p99_us),
            millis(max_us),
            figure(self.server_cpu_us_per_delivery, "µs"),
            figure(self.server_cpu_percent, "%"),
            figure(Some(self.generator_cpu_us_per_delivery), "µs"),
        ]
    }
}

/// Runs `tidings bench fanout`.
pub(crate) async fn run(args: FanoutArgs) -> Result<()> {
    let target = Arc::new(Target::open(&args.target).await?);
    let most = args.subscribers.iter().max().copied().unwrap_or_default();
    target.ensure_room(most + 1)?;
    let mut runs = Vec::new();
    for &subscribers in &args.subscribers {
        for &window in &args.window {
            runs.push(measure(&target, &args, subscribers, window).await?);
        }
    }
    Report::new("fan-out", runs).print(args.target.json)
}

/// What publisher and subscribers of one run share.
struct Shared {
    began: Instant,
    subscribers: u32,
    /// How many subscribers have received a publication, by its number modulo the window.
    received: Box<[AtomicU32]>,
    /// Publications that every subscriber has.
    completed: AtomicU64,
    /// Those of the warm-up do not count.
    measured_from: AtomicU64,
    places: Semaphore,
    failure: watch::Sender<Option<String>>,
}

async fn measure(target: &Arc<Target>, args: &FanoutArgs, subscribers: u32, window: u32) -> Result<Run> {
    let show = !args.target.json;
    let wires = load::open(target, subscribers, Some(CHANNEL), show).await?;
    let publisher = load::open_one(target, "bench-publisher", None).await?;
    let shared = Arc::new(Shared {
        began: Instant::now(),
        subscribers,
        received: (0..window).map(|_| AtomicU32::new(0)).collect(),
        completed: AtomicU64::new(0),
        measured_from: AtomicU64::new(u64::MAX),
        places: Semaphore::new(window as usize),
        failure: watch::Sender::new(None),
    });
    let (histograms, readers) = spawn_subscribers(wires, &shared)?;
    let mut publisher = Publisher { wire: publisher, shared: Arc::clone(&shared), published: 0, payload: args.payload };
    load::settle().await;

    let bar = load::progress(args.duration.as_secs(), "measuring   {bar:40} {pos}/{len} s  {msg}", show);
    publisher.publish(limits::WARM_UP, u64::MAX, &ProgressBar::hidden()).await.context("warming up")?;
    let warm_up = publisher.published;
    shared.measured_from.store(warm_up + 1, Relaxed);
    let (server_before, generator_before) = (target.server_cpu()?, Process::this().cpu()?);
    let start = Instant::now();
    publisher.publish(args.duration, args.messages.unwrap_or(u64::MAX), &bar).await?;
    let elapsed = start.elapsed();
    let (server_after, generator_after) = (target.server_cpu()?, Process::this().cpu()?);
    let server_memory_bytes = target.server_memory()?;
    bar.finish_and_clear();
    drop(readers);

    let publications = publisher.published - warm_up;
    let deliveries = publications * u64::from(subscribers);
    let server = server_after.zip(server_before).map(|(after, before)| after - before);
    Ok(Run {
        subscribers,
        window,
        payload_bytes: args.payload,
        seconds: elapsed.as_secs_f64(),
        publications,
        deliveries,
        deliveries_per_second: 1e6 / micros_each(elapsed, deliveries).max(f64::MIN_POSITIVE),
        latency: merge(&histograms)?,
        server_cpu_us_per_delivery: server.map(|cpu| micros_each(cpu, deliveries)),
        server_cpu_percent: server.map(|cpu| 100.0 * cpu.as_secs_f64() / elapsed.as_secs_f64()),
        server_memory_bytes,
        generator_cpu_us_per_delivery: micros_each(generator_after - generator_before, deliveries),
    })
}

type Histograms = Vec<Arc<Mutex<Histogram<u64>>>>;

fn spawn_subscribers(wires: Vec<Wire>, shared: &Arc<Shared>) -> Result<(Histograms, JoinSet<()>)> {
    let mut histograms = Vec::new();
    let mut readers = JoinSet::new();
    for (index, wire) in wires.into_iter().enumerate() {
        if index.is_multiple_of(SUBSCRIBERS_PER_HISTOGRAM) {
            histograms.push(Arc::new(Mutex::new(new_histogram()?)));
        }
        let histogram = Arc::clone(histograms.last().context("there is one")?);
        let shared = Arc::clone(shared);
        readers.spawn(async move {
            if let Err(error) = subscriber(wire, &shared, &histogram).await {
                shared.failure.send_replace(Some(format!("a subscriber failed: {error:#}")));
            }
        });
    }
    Ok((histograms, readers))
}

fn new_histogram() -> Result<Histogram<u64>> {
    let max = u64::try_from(limits::LATENCY_MAX.as_micros())?;
    Histogram::new_with_bounds(1, max, 3).context("making a histogram")
}

fn merge(histograms: &Histograms) -> Result<Latency> {
    let mut all = new_histogram()?;
    for histogram in histograms {
        all.add(&*histogram.lock().unwrap_or_else(PoisonError::into_inner)).context("adding histograms")?;
    }
    Ok(Latency::of(&all))
}

/// Reads until the run drops it.
async fn subscriber(mut wire: Wire, shared: &Shared, histogram: &Mutex<Histogram<u64>>) -> Result<()> {
    let mut last = 0;
    loop {
        let message = wire.receive().await?;
        for _ in 0..note(message.as_str(), &mut last, shared, histogram)? {
            wire.send(json::encode_commands(&[Command::PONG])).await?;
        }
    }
}

/// Notes what one message brought to one subscriber, and counts its pings. Every publication must come, once and in
/// order.
fn note(message: &str, last: &mut u64, shared: &Shared, histogram: &Mutex<Histogram<u64>>) -> Result<u32> {
    let now_ns = shared.now_ns();
    let measured_from = shared.measured_from.load(Relaxed);
    let mut histogram = histogram.lock().unwrap_or_else(PoisonError::into_inner);
    let mut pings = 0;
    for line in message.split('\n') {
        if let Some(Stamp { number, sent_ns }) = Stamp::find(line) {
            ensure!(number == *last + 1, "publication {number} came after {last}");
            *last = number;
            if number >= measured_from {
                histogram.saturating_record(now_ns.saturating_sub(sent_ns) / 1000);
            }
            shared.note_received(number);
        } else if is_ping(line) {
            pings += 1;
        }
    }
    Ok(pings)
}

impl Shared {
    fn now_ns(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// One more subscriber has this publication. All receive in the same order, so publications complete in order, and
    /// a number's counter is free again before the number that shares it is published.
    fn note_received(&self, number: u64) {
        let window = self.received.len() as u64;
        let place = usize::try_from(number % window).unwrap_or_default();
        if self.received[place].fetch_add(1, Relaxed) + 1 == self.subscribers {
            self.received[place].store(0, Relaxed);
            self.completed.fetch_add(1, Relaxed);
            self.places.add_permits(1);
        }
    }
}

struct Publisher {
    wire: Wire,
    shared: Arc<Shared>,
    published: u64,
    payload: usize,
}

impl Publisher {
    /// Publishes until the time or the count is used up, and waits until everything has arrived everywhere.
    async fn publish(&mut self, duration: Duration, count: u64, bar: &ProgressBar) -> Result<()> {
        let end = Instant::now() + duration;
        let last = self.published.saturating_add(count);
        let mut failure = self.shared.failure.subscribe();
        let mut watchdog = Watchdog::new(&self.shared);
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        let shared = Arc::clone(&self.shared);
        loop {
            let more = Instant::now() < end && self.published < last;
            if !more && shared.completed.load(Relaxed) == self.published {
                return Ok(());
            }
            tokio::select! {
                // While draining, a place that becomes free only means that something has arrived.
                place = shared.places.acquire(), if more => {
                    place.context("places do not end")?.forget();
                    let mut room = 1;
                    while self.published + room < last && shared.places.try_acquire().map(tokio::sync::SemaphorePermit::forget).is_ok() {
                        room += 1;
                    }
                    self.send(room).await?;
                }
                message = self.wire.receive() => {
                    let message = message.context("the publisher's connection")?;
                    for line in load::without_pings(&mut self.wire, message.as_str()).await? {
                        load::ensure_not_refused(line)?;
                    }
                }
                _ = failure.changed() => {
                    return Err(anyhow!(failure.borrow().clone().unwrap_or_default()));
                }
                _ = tick.tick() => {
                    watchdog.check(&shared)?;
                    bar.set_position(bar.length().unwrap_or(0).saturating_sub((end - Instant::now().min(end)).as_secs()));
                    bar.set_message(format!("{} publications", grouped(shared.completed.load(Relaxed))));
                }
                () = tokio::time::sleep(Duration::from_millis(1)), if !more => {}
            }
        }
    }

    async fn send(&mut self, count: u64) -> Result<()> {
        let mut commands = Vec::new();
        for _ in 0..count {
            self.published += 1;
            let stamp = Stamp { number: self.published, sent_ns: self.shared.now_ns() };
            let data = Payload::parse(stamp.write(self.payload).as_bytes())?;
            let request = PublishRequest { channel: CHANNEL.to_owned(), data: Some(data), ..Default::default() };
            // Replies are told apart by nobody; ids only have to be above zero.
            let id = load::SET_UP_IDS + u32::try_from(self.published % u64::from(u32::MAX / 2))?.max(1);
            commands.push(json::encode_commands(&[Command::new(id, Request::Publish(request))]));
        }
        self.wire.send_all(commands).await
    }
}

/// Notices a server that stopped delivering.
struct Watchdog {
    completed: u64,
    since: Instant,
}

impl Watchdog {
    fn new(shared: &Shared) -> Watchdog {
        Watchdog { completed: shared.completed.load(Relaxed), since: Instant::now() }
    }

    fn check(&mut self, shared: &Shared) -> Result<()> {
        let completed = shared.completed.load(Relaxed);
        if completed != self.completed {
            *self = Watchdog::new(shared);
        }
        ensure!(
            self.since.elapsed() < limits::STALL_TIME,
            "stalled: no publication reached all {} subscribers for {} s",
            shared.subscribers,
            limits::STALL_TIME.as_secs()
        );
        Ok(())
    }
}
