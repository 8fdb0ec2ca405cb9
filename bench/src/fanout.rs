//! One publisher, many subscribers of one channel, or of the same few channels.
//!
//! In a closed loop the window is the number of publications that are under way: the next one is published when every
//! subscriber has received the oldest of them. With a window of 1 there is nothing that a server could join into one
//! write. In an open loop they fall due at a fixed rate.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use hdrhistogram::Histogram;
use indicatif::ProgressBar;
use tidings_protocol::{Command, Payload, PublishRequest, Request};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::ENCODING;
use crate::cli::FanoutArgs;
use crate::limits;
use crate::load::{self, Who, is_ping};
use crate::meter::Meter;
use crate::pace::{self, Due, lateness, merge, new_histogram};
use crate::payload::{self, Stamp};
use crate::report::{Figure, Setting, Unit, grouped, latency, micros_each};
use crate::rounds::Measurement;
use crate::target::Target;
use crate::wire::Wire;

/// How often it is looked whether everything has arrived, at the end.
const DRAIN_LOOK: Duration = Duration::from_micros(200);

/// Subscribers that share one histogram: enough of them to save memory, few enough not to wait for each other.
const SUBSCRIBERS_PER_HISTOGRAM: usize = 64;

/// One run.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    subscribers: u32,
    channels: u32,
    load: Load,
}

#[derive(Clone, Copy)]
enum Load {
    /// A closed loop with so many publications under way.
    Window(u32),
    /// An open loop with so many a second.
    Rate(u32),
}

impl Measurement for FanoutArgs {
    const NAME: &'static str = "fan-out";
    type Case = Case;

    fn cases(&self) -> Vec<Case> {
        let loads: Vec<Load> = match self.rate.as_slice() {
            [] => self.window.iter().copied().map(Load::Window).collect(),
            rates => rates.iter().copied().map(Load::Rate).collect(),
        };
        let mut cases = Vec::new();
        for &subscribers in &self.subscribers {
            for &channels in &self.channels_per_connection {
                cases.extend(loads.iter().map(|&load| Case { subscribers, channels, load }));
            }
        }
        cases
    }

    fn setting(&self, case: &Case) -> Setting {
        let mut setting: Setting = vec![("subscribers", case.subscribers.into())];
        if self.channels_per_connection != [1] {
            setting.push(("channels each", case.channels.into()));
        }
        setting.push(match case.load {
            Load::Window(window) => ("window", window.into()),
            Load::Rate(rate) => ("rate", rate.into()),
        });
        setting.push(("bytes", self.payload.into()));
        setting
    }

    fn connections(&self, case: &Case) -> u32 {
        case.subscribers + self.publishers
    }

    async fn measure(&self, target: &Arc<Target>, case: &Case) -> Result<Vec<Figure>> {
        measure(target, self, *case).await
    }
}

fn channel(number: u32) -> String {
    format!("bench-{number}")
}

/// What publisher and subscribers of one run share.
struct Shared {
    began: Instant,
    case: Case,
    /// How many subscribers have received the publication that holds this place: of the window, or, in an open loop, of
    /// all that may be under way.
    received: Box<[AtomicU32]>,
    /// Publications that every subscriber has.
    completed: AtomicU64,
    /// Those of the warm-up do not count.
    measured_from: AtomicU64,
    /// Places of the window that are free again; nobody looks in an open loop.
    free: mpsc::Sender<usize>,
    failure: watch::Sender<Option<String>>,
}

async fn measure(target: &Arc<Target>, args: &FanoutArgs, case: Case) -> Result<Vec<Figure>> {
    let show = !args.target.json;
    let channels: Vec<String> = (0..case.channels).map(channel).collect();
    let subscribers = Who::users(target, "subscriber", case.subscribers)?;
    let wires = load::open(target, subscribers, |_| channels.clone(), show).await?;
    let publishers = load::open_alone(target, Who::users(target, "publisher", args.publishers)?, show).await?;
    let (places, window) = match case.load {
        Load::Window(window) => (u64::from(window), window),
        Load::Rate(_) => (limits::BEHIND_MAX, 1),
    };
    let (free, free_places) = mpsc::channel(window as usize);
    for place in 0..window {
        free.try_send(place as usize)?;
    }
    let shared = Arc::new(Shared {
        began: Instant::now(),
        case,
        received: (0..places).map(|_| AtomicU32::new(0)).collect(),
        completed: AtomicU64::new(0),
        measured_from: AtomicU64::new(u64::MAX),
        free,
        failure: watch::Sender::new(None),
    });
    let mut tasks = JoinSet::new();
    let histograms = spawn_subscribers(wires.into_iter().map(|opened| opened.wire), &shared, &mut tasks)?;
    let senders = spawn_publishers(publishers, &shared, &mut tasks);
    let mut publisher = Publisher {
        lines: Lines { senders, shared: Arc::clone(&shared), bytes: args.payload },
        free_places,
        shared: Arc::clone(&shared),
        published: 0,
    };
    target.settle().await;

    let bar = load::progress(args.duration.as_secs(), "measuring   {bar:40} {pos}/{len} s  {msg}", show);
    publisher.publish(limits::WARM_UP, u64::MAX, &ProgressBar::hidden()).await.context("warming up")?;
    let warm_up = publisher.published;
    shared.measured_from.store(warm_up + 1, Relaxed);
    let meter = Meter::start(target)?;
    let late = publisher.publish(args.duration, args.messages.unwrap_or(u64::MAX), &bar).await?;
    let spent = meter.stop(target)?;
    let server_memory = target.server_memory()?;
    bar.finish_and_clear();
    tasks.shutdown().await;

    let publications = publisher.published - warm_up;
    let deliveries = publications * u64::from(case.subscribers);
    let per_second = 1e6 / micros_each(spent.elapsed, deliveries).max(f64::MIN_POSITIVE);
    let names = [("p50_us", "p50"), ("p99_us", "p99"), ("p999_us", "p99.9"), ("max_us", "max")];
    let generator = micros_each(spent.generator, deliveries);
    #[expect(clippy::cast_precision_loss, reason = "a server's memory is far below 2^53 bytes")]
    let memory = server_memory.map(|bytes| bytes as f64);
    let mut figures = vec![
        Figure::count("publications", "publications", publications),
        Figure::count("deliveries", "", deliveries),
        Figure::new("deliveries_per_second", "deliveries/s", Unit::Count, Some(per_second)),
    ];
    figures.extend(latency(names, &merge(histograms.iter().map(AsRef::as_ref))?));
    figures.extend([
        Figure::new("server_cpu_us_per_delivery", "server CPU/delivery", Unit::Cpu, spent.server_each(deliveries)),
        Figure::new("server_memory_bytes", "", Unit::Bytes, memory),
        Figure::new("generator_cpu_us_per_delivery", "generator CPU/delivery", Unit::Cpu, Some(generator)),
    ]);
    if matches!(case.load, Load::Rate(_)) {
        figures.push(lateness(late.as_ref()));
    }
    figures.extend(spent.figures());
    Ok(figures)
}

type Histograms = Vec<Arc<Mutex<Histogram<u64>>>>;

fn spawn_subscribers(
    wires: impl Iterator<Item = Wire>,
    shared: &Arc<Shared>,
    tasks: &mut JoinSet<()>,
) -> Result<Histograms> {
    let mut histograms = Vec::new();
    for (index, wire) in wires.enumerate() {
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

/// Reads until the run drops it.
async fn subscriber(mut wire: Wire, shared: &Shared, histogram: &Mutex<Histogram<u64>>) -> Result<()> {
    let mut seen = Seen { offsets: vec![None; shared.case.channels as usize], numbers: Vec::new() };
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
    /// The last one of each channel that has numbers.
    offsets: Vec<Option<u64>>,
    /// The last publication of each lane, a place of the window or a publisher of the open loop, in each channel.
    numbers: Vec<u64>,
}

impl Seen {
    fn note(&mut self, stamp: Stamp, channel: usize, offset: Option<u64>) -> Result<()> {
        let last = &mut self.offsets[channel];
        if let (Some(last), Some(offset)) = (*last, offset) {
            ensure!(offset == last + 1, "publication {offset} of the channel came after {last}");
        }
        *last = offset;
        ensure!(stamp.place < limits::WINDOW_MAX as usize, "a publication from another run");
        // Each channel has an order of its own.
        let lane = stamp.place * self.offsets.len() + channel;
        if lane >= self.numbers.len() {
            self.numbers.resize(lane + 1, 0);
        }
        let last = &mut self.numbers[lane];
        ensure!(stamp.number > *last, "publication {} came twice, or late", stamp.number);
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
            seen.note(stamp, shared.channel_of(stamp.number), payload::offset(line))?;
            if stamp.number >= measured_from {
                histogram.saturating_record(now_ns.saturating_sub(stamp.sent_ns) / 1000);
            }
            shared.note_received(stamp);
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

    /// They are published into in turn.
    #[expect(clippy::cast_possible_truncation, reason = "less than the number of channels")]
    fn channel_of(&self, number: u64) -> usize {
        (number % u64::from(self.case.channels)) as usize
    }

    /// One more subscriber has this publication; the last one frees its place.
    fn note_received(&self, stamp: Stamp) {
        let place = match self.case.load {
            Load::Window(_) => stamp.place,
            Load::Rate(_) => (stamp.number % limits::BEHIND_MAX) as usize,
        };
        let Some(received) = self.received.get(place) else { return };
        if received.fetch_add(1, Relaxed) + 1 == self.case.subscribers {
            received.store(0, Relaxed);
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
    lines: Lines,
    free_places: mpsc::Receiver<usize>,
    shared: Arc<Shared>,
    published: u64,
}

/// The connections that publish, taking turns.
#[derive(Clone)]
struct Lines {
    senders: Vec<mpsc::Sender<Bytes>>,
    shared: Arc<Shared>,
    bytes: usize,
}

impl Publisher {
    /// Publishes until the time or the count is used up, and waits until everything has arrived everywhere. Of an open
    /// loop, returns how late each was sent.
    async fn publish(&mut self, duration: Duration, count: u64, bar: &ProgressBar) -> Result<Option<Histogram<u64>>> {
        match self.shared.case.load {
            Load::Window(window) => self.publish_in_turn(window as usize, duration, count, bar).await.map(|()| None),
            Load::Rate(rate) => self.publish_as_due(rate, duration, count, bar).await.map(Some),
        }
    }

    async fn publish_in_turn(
        &mut self,
        window: usize,
        duration: Duration,
        count: u64,
        bar: &ProgressBar,
    ) -> Result<()> {
        let end = Instant::now() + duration;
        let last = self.published.saturating_add(count);
        let mut failure = self.shared.failure.subscribe();
        let mut watchdog = Watchdog::new(&self.shared);
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            let more = Instant::now() < end && self.published < last;
            if !more && self.free_places.len() == window {
                return Ok(());
            }
            tokio::select! {
                Some(place) = self.free_places.recv(), if more => {
                    self.published += 1;
                    let stamp = Stamp { number: self.published, place, sent_ns: self.shared.now_ns() };
                    let (turn, command) = self.lines.command(stamp)?;
                    self.lines.senders[turn].send(command).await.context("a publisher has ended")?;
                }
                // Looking again soon is what notices the end of draining.
                () = tokio::time::sleep(DRAIN_LOOK), if !more => {}
                _ = failure.changed() => bail!(failure.borrow().clone().unwrap_or_default()),
                _ = tick.tick() => {
                    watchdog.check(&self.shared)?;
                    show(bar, end, &self.shared);
                }
            }
        }
    }

    async fn publish_as_due(
        &mut self,
        rate: u32,
        duration: Duration,
        count: u64,
        bar: &ProgressBar,
    ) -> Result<Histogram<u64>> {
        #[expect(clippy::cast_precision_loss, reason = "beyond 2^53 the duration ends it")]
        let duration =
            duration.min(Duration::try_from_secs_f64(count as f64 / f64::from(rate)).unwrap_or(Duration::MAX));
        let end = Instant::now() + duration;
        let (lines, before) = (self.lines.clone(), self.published);
        let lanes = lines.senders.len();
        let send = move |due: Due| {
            let sent_ns = u64::try_from(due.at.duration_since(lines.shared.began).as_nanos())?;
            let behind = due.number - lines.shared.completed.load(Relaxed);
            ensure!(behind < limits::BEHIND_MAX, "{behind} publications are under way: this rate cannot be kept up");
            let place = lines.turn(due.number);
            let (turn, command) = lines.command(Stamp { number: due.number, place, sent_ns })?;
            lines.senders[turn].try_send(command).context("this rate cannot be kept up: a publisher is behind")
        };
        ensure!(lanes <= limits::WINDOW_MAX as usize, "too many publishers");
        let clock = pace::at_rate(rate, duration, before + 1, send);
        tokio::pin!(clock);
        let mut failure = self.shared.failure.subscribe();
        let mut watchdog = Watchdog::new(&self.shared);
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        let mut late = None;
        loop {
            if late.is_some() && self.shared.completed.load(Relaxed) == self.published {
                return late.context("the clock has ended");
            }
            tokio::select! {
                beaten = &mut clock, if late.is_none() => {
                    let beaten = beaten?;
                    self.published = before + beaten.len();
                    late = Some(beaten);
                }
                () = tokio::time::sleep(DRAIN_LOOK), if late.is_some() => {}
                _ = failure.changed() => bail!(failure.borrow().clone().unwrap_or_default()),
                _ = tick.tick() => {
                    watchdog.check(&self.shared)?;
                    show(bar, end, &self.shared);
                }
            }
        }
    }
}

fn show(bar: &ProgressBar, end: Instant, shared: &Shared) {
    let left = end.saturating_duration_since(Instant::now()).as_secs();
    bar.set_position(bar.length().unwrap_or(0).saturating_sub(left));
    bar.set_message(format!("{} publications", grouped(shared.completed.load(Relaxed))));
}

impl Lines {
    fn turn(&self, number: u64) -> usize {
        (number / limits::TURN % self.senders.len() as u64) as usize
    }

    /// Whose turn it is, and what to send.
    fn command(&self, stamp: Stamp) -> Result<(usize, Bytes)> {
        let data = Payload::parse(stamp.write(self.bytes).as_bytes())?;
        let channel = channel(u32::try_from(self.shared.channel_of(stamp.number))?);
        let request = PublishRequest { channel, data: Some(data), ..Default::default() };
        // Nobody tells the replies apart; ids only have to be above zero.
        let id = u32::try_from(stamp.number % u64::from(u32::MAX) + 1)?;
        let command = ENCODING.encode_commands(&[Command::new(id, Request::Publish(request))])?;
        Ok((self.turn(stamp.number), command))
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
            shared.case.subscribers,
            limits::STALL_TIME.as_secs()
        );
        Ok(())
    }
}
