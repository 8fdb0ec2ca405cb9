//! One publisher, many subscribers of one channel.
//!
//! The window is the number of publications that are under way: the next one is published when every subscriber has
//! received the oldest of them. With a window of 1 there is nothing that a server could join into one write.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use hdrhistogram::Histogram;
use indicatif::ProgressBar;
use serde::Serialize;
use tidings_protocol::{Command, Payload, PublishRequest, Request};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::ENCODING;
use crate::cli::FanoutArgs;
use crate::limits;
use crate::load::{self, is_ping};
use crate::payload::{self, Stamp};
use crate::process::{self, Process};
use crate::report::{Latency, Report, Row, figure, grouped, micros_each, millis};
use crate::target::Target;
use crate::wire::Wire;

const CHANNEL: &str = "bench";

/// How often it is looked whether everything has arrived, at the end.
const DRAIN_LOOK: Duration = Duration::from_micros(200);

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
    /// Of the whole machine: what neither the server nor the generator used. Absent as above.
    other_cpu_percent: Option<f64>,
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
        "others",
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
            figure(self.other_cpu_percent, "%"),
        ]
    }
}

/// Runs `tidings bench fanout`.
pub(crate) async fn run(args: FanoutArgs) -> Result<()> {
    let target = Arc::new(Target::open(&args.target).await?);
    let most = args.subscribers.iter().max().copied().unwrap_or_default();
    target.ensure_room(most + args.publishers)?;
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
    /// How many subscribers have received the publication that holds this place of the window.
    received: Box<[AtomicU32]>,
    /// Publications that every subscriber has.
    completed: AtomicU64,
    /// Those of the warm-up do not count.
    measured_from: AtomicU64,
    /// Places that are free again.
    free: mpsc::Sender<usize>,
    failure: watch::Sender<Option<String>>,
}

async fn measure(target: &Arc<Target>, args: &FanoutArgs, subscribers: u32, window: u32) -> Result<Run> {
    let show = !args.target.json;
    let wires = load::open(target, "subscriber", subscribers, Some(CHANNEL), show).await?;
    let publishers = load::open(target, "publisher", args.publishers, None, show).await?;
    let (free, free_places) = mpsc::channel(window as usize);
    for place in 0..window {
        free.try_send(place as usize)?;
    }
    let shared = Arc::new(Shared {
        began: Instant::now(),
        subscribers,
        received: (0..window).map(|_| AtomicU32::new(0)).collect(),
        completed: AtomicU64::new(0),
        measured_from: AtomicU64::new(u64::MAX),
        free,
        failure: watch::Sender::new(None),
    });
    let mut tasks = JoinSet::new();
    let histograms = spawn_subscribers(wires, &shared, &mut tasks)?;
    let senders = spawn_publishers(publishers, &shared, &mut tasks);
    let mut publisher =
        Publisher { senders, free_places, shared: Arc::clone(&shared), published: 0, bytes: args.payload };
    load::settle().await;

    let bar = load::progress(args.duration.as_secs(), "measuring   {bar:40} {pos}/{len} s  {msg}", show);
    publisher.publish(limits::WARM_UP, u64::MAX, &ProgressBar::hidden()).await.context("warming up")?;
    let warm_up = publisher.published;
    shared.measured_from.store(warm_up + 1, Relaxed);
    let before = Spent::until_now(target)?;
    let start = Instant::now();
    publisher.publish(args.duration, args.messages.unwrap_or(u64::MAX), &bar).await?;
    let elapsed = start.elapsed();
    let spent = Spent::until_now(target)?.since(before);
    let server_memory_bytes = target.server_memory()?;
    bar.finish_and_clear();
    drop(tasks);

    let publications = publisher.published - warm_up;
    let deliveries = publications * u64::from(subscribers);
    let percent_of = |cpu: Duration, cores: f64| 100.0 * cpu.as_secs_f64() / elapsed.as_secs_f64() / cores;
    Ok(Run {
        subscribers,
        window,
        payload_bytes: args.payload,
        seconds: elapsed.as_secs_f64(),
        publications,
        deliveries,
        deliveries_per_second: 1e6 / micros_each(elapsed, deliveries).max(f64::MIN_POSITIVE),
        latency: merge(&histograms)?,
        server_cpu_us_per_delivery: spent.server.map(|cpu| micros_each(cpu, deliveries)),
        server_cpu_percent: spent.server.map(|cpu| percent_of(cpu, 1.0)),
        server_memory_bytes,
        generator_cpu_us_per_delivery: micros_each(spent.generator, deliveries),
        other_cpu_percent: spent.others().map(|cpu| percent_of(cpu, process::cores())),
    })
}

/// CPU time.
#[derive(Clone, Copy)]
struct Spent {
    server: Option<Duration>,
    generator: Duration,
    machine: Duration,
}

impl Spent {
    fn until_now(target: &Target) -> Result<Spent> {
        let (generator, machine) = (Process::this().cpu()?, process::machine_cpu()?);
        Ok(Spent { server: target.server_cpu()?, generator, machine })
    }

    fn since(self, before: Spent) -> Spent {
        Spent {
            server: self.server.zip(before.server).map(|(now, before)| now.saturating_sub(before)),
            generator: self.generator.saturating_sub(before.generator),
            machine: self.machine.saturating_sub(before.machine),
        }
    }

    fn others(self) -> Option<Duration> {
        self.server.map(|server| self.machine.saturating_sub(server + self.generator))
    }
}

type Histograms = Vec<Arc<Mutex<Histogram<u64>>>>;

fn spawn_subscribers(wires: Vec<Wire>, shared: &Arc<Shared>, tasks: &mut JoinSet<()>) -> Result<Histograms> {
    let mut histograms = Vec::new();
    for (index, wire) in wires.into_iter().enumerate() {
        if index.is_multiple_of(SUBSCRIBERS_PER_HISTOGRAM) {
            histograms.push(Arc::new(Mutex::new(new_histogram()?)));
        }
        let histogram = Arc::clone(histograms.last().context("there is one")?);
        let shared = Arc::clone(shared);
        tasks.spawn(async move {
            if let Err(error) = subscriber(wire, &shared, &histogram).await {
                shared.fail(&error.context("a subscriber failed"));
            }
        });
    }
    Ok(histograms)
}

fn spawn_publishers(wires: Vec<Wire>, shared: &Arc<Shared>, tasks: &mut JoinSet<()>) -> Vec<mpsc::Sender<Bytes>> {
    let mut senders = Vec::new();
    for wire in wires {
        let (sender, commands) = mpsc::channel(limits::WINDOW_MAX as usize);
        let shared = Arc::clone(shared);
        tasks.spawn(async move {
            if let Err(error) = send_all(wire, commands).await {
                shared.fail(&error.context("a publisher failed"));
            }
        });
        senders.push(sender);
    }
    senders
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
    let mut seen = Seen { offset: None, numbers: vec![0; shared.received.len()] };
    loop {
        let message = wire.receive().await?;
        for _ in 0..note(message.as_str(), &mut seen, shared, histogram)? {
            wire.send(ENCODING.encode_commands(&[Command::PONG])?).await?;
        }
    }
}

/// What one subscriber has received: every publication must come, once and in order. One that never comes keeps its
/// place for ever, which the watchdog notices.
struct Seen {
    offset: Option<u64>,
    /// The last publication in each place of the window.
    numbers: Vec<u64>,
}

impl Seen {
    fn note(&mut self, stamp: Stamp, offset: Option<u64>) -> Result<()> {
        if let (Some(last), Some(offset)) = (self.offset, offset) {
            ensure!(offset == last + 1, "publication {offset} of the channel came after {last}");
        }
        self.offset = offset;
        let last = self.numbers.get_mut(stamp.place).context("a publication from another run")?;
        ensure!(stamp.number > *last, "publication {} came twice", stamp.number);
        *last = stamp.number;
        Ok(())
    }
}

/// Notices what one message brought to one subscriber, and counts its pings.
fn note(message: &str, seen: &mut Seen, shared: &Shared, histogram: &Mutex<Histogram<u64>>) -> Result<u32> {
    let now_ns = shared.now_ns();
    let measured_from = shared.measured_from.load(Relaxed);
    let mut histogram = histogram.lock().unwrap_or_else(PoisonError::into_inner);
    let mut pings = 0;
    for line in message.split('\n') {
        if let Some(stamp) = Stamp::find(line) {
            seen.note(stamp, payload::offset(line))?;
            if stamp.number >= measured_from {
                histogram.saturating_record(now_ns.saturating_sub(stamp.sent_ns) / 1000);
            }
            shared.note_received(stamp.place);
        } else if is_ping(line) {
            pings += 1;
        }
    }
    Ok(pings)
}

/// Sends what it is given, with one write for what has gathered, and reads the answers.
async fn send_all(mut wire: Wire, mut commands: mpsc::Receiver<Bytes>) -> Result<()> {
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            count = commands.recv_many(&mut batch, limits::WINDOW_MAX as usize) => {
                if count == 0 {
                    return Ok(());
                }
                wire.send_all(std::mem::take(&mut batch)).await?;
            }
            message = wire.receive() => {
                let message = message?;
                for line in load::without_pings(&mut wire, message.as_str()).await? {
                    load::ensure_not_refused(line)?;
                }
            }
        }
    }
}

impl Shared {
    fn now_ns(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// One more subscriber has the publication in this place; the last one frees it.
    fn note_received(&self, place: usize) {
        if self.received[place].fetch_add(1, Relaxed) + 1 == self.subscribers {
            self.received[place].store(0, Relaxed);
            self.completed.fetch_add(1, Relaxed);
            // There is room for every place, and at the end nobody waits for them any more.
            let _ = self.free.try_send(place);
        }
    }

    /// The first failure is the one that counts.
    fn fail(&self, error: &anyhow::Error) {
        self.failure.send_if_modified(|failure| {
            let first = failure.is_none();
            failure.get_or_insert_with(|| format!("{error:#}"));
            first
        });
    }
}

struct Publisher {
    senders: Vec<mpsc::Sender<Bytes>>,
    free_places: mpsc::Receiver<usize>,
    shared: Arc<Shared>,
    published: u64,
    bytes: usize,
}

impl Publisher {
    /// Publishes until the time or the count is used up, and waits until everything has arrived everywhere.
    async fn publish(&mut self, duration: Duration, count: u64, bar: &ProgressBar) -> Result<()> {
        let end = Instant::now() + duration;
        let last = self.published.saturating_add(count);
        let mut failure = self.shared.failure.subscribe();
        let mut watchdog = Watchdog::new(&self.shared);
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        let window = self.shared.received.len();
        loop {
            let more = Instant::now() < end && self.published < last;
            if !more && self.free_places.len() == window {
                return Ok(());
            }
            tokio::select! {
                Some(place) = self.free_places.recv(), if more => self.send(place).await?,
                // Looking again soon is what notices the end of draining.
                () = tokio::time::sleep(DRAIN_LOOK), if !more => {}
                _ = failure.changed() => bail!(failure.borrow().clone().unwrap_or_default()),
                _ = tick.tick() => {
                    watchdog.check(&self.shared)?;
                    let left = end.saturating_duration_since(Instant::now()).as_secs();
                    bar.set_position(bar.length().unwrap_or(0).saturating_sub(left));
                    bar.set_message(format!("{} publications", grouped(self.shared.completed.load(Relaxed))));
                }
            }
        }
    }

    async fn send(&mut self, place: usize) -> Result<()> {
        self.published += 1;
        let stamp = Stamp { number: self.published, place, sent_ns: self.shared.now_ns() };
        let data = Payload::parse(stamp.write(self.bytes).as_bytes())?;
        let request = PublishRequest { channel: CHANNEL.to_owned(), data: Some(data), ..Default::default() };
        // Nobody tells the replies apart; ids only have to be above zero.
        let id = u32::try_from(self.published % u64::from(u32::MAX) + 1)?;
        let command = ENCODING.encode_commands(&[Command::new(id, Request::Publish(request))])?;
        let turn = usize::try_from(self.published / limits::TURN)? % self.senders.len();
        self.senders[turn].send(command).await.context("a publisher has ended")
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
