//! People who post into one room, on durable storage, and readers in it.
//!
//! A post is acknowledged when it is durable, and seen when a reader has it. Every acknowledged post is looked up in the
//! room's history at the end, and every reader counts what is missing, doubled or out of order by the numbers of the room's
//! events.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use hdrhistogram::Histogram;
use serde::Deserialize;
use tidings_protocol::Command;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::ENCODING;
use crate::cli::{ChatArgs, PostVia};
use crate::http_wire::HttpWire;
use crate::lanes::TURN;
use crate::limits;
use crate::load::{self, Who, is_ping};
use crate::meter::Meter;
use crate::pace::{self, Due, lateness, merge, micros, new_histogram};
use crate::payload::{self, Note, number_after};
use crate::people::People;
use crate::report::{Figure, Setting, Unit, latency};
use crate::rounds::Measurement;
use crate::target::{Key, Target};
use crate::wire::Wire;

/// Posts a second of one person that the server allows in the long run; above it a run needs its key `rate_limits`.
const POSTS_PER_PERSON: u32 = 10;

/// People whose accounts one address may make at once.
const PEOPLE_AT_ONCE: u32 = 50;

/// Connections at least for posts by rpc: a server bounds how many commands one sends.
const RPC_CONNECTIONS_MIN: u32 = 64;

/// Readers that share one histogram.
const READERS_PER_HISTOGRAM: usize = 64;

/// How often it is looked whether everything has arrived, at the end.
const DRAIN_LOOK: Duration = Duration::from_millis(1);

/// One run.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    via: PostVia,
    load: Load,
    readers: u32,
}

#[derive(Clone, Copy)]
enum Load {
    /// A closed loop with so many posts in flight.
    InFlight(u32),
    /// An open loop with so many a second.
    Rate(u32),
}

impl ChatArgs {
    /// Posters, and the connections of each.
    fn lanes(&self, case: &Case) -> (u32, u32) {
        match (case.via, case.load) {
            (PostVia::Rpc, Load::InFlight(count)) => match self.connections {
                Some(connections) => (connections.min(count), 1),
                None => (count, RPC_CONNECTIONS_MIN.div_ceil(count)),
            },
            (PostVia::Rest, Load::InFlight(count)) => (count, 1),
            (_, Load::Rate(_)) => (self.posters, 1),
        }
    }
}

impl Measurement for ChatArgs {
    const NAME: &'static str = "chat";
    type Case = Case;

    fn cases(&self) -> Vec<Case> {
        let loads: Vec<Load> = match self.rate.as_slice() {
            [] => self.in_flight.iter().copied().map(Load::InFlight).collect(),
            rates => rates.iter().copied().map(Load::Rate).collect(),
        };
        let mut cases = Vec::new();
        for &via in &self.via {
            for &load in &loads {
                cases.extend(self.readers.iter().map(|&readers| Case { via, load, readers }));
            }
        }
        cases
    }

    fn setting(&self, case: &Case) -> Setting {
        vec![
            ("people", self.people.into()),
            ("via", if case.via == PostVia::Rpc { "rpc" } else { "rest" }.into()),
            match case.load {
                Load::InFlight(count) => ("in flight", count.into()),
                Load::Rate(rate) => ("rate", rate.into()),
            },
            ("readers", case.readers.into()),
        ]
    }

    fn connections(&self, case: &Case) -> u32 {
        let (lanes, each) = self.lanes(case);
        lanes * each + case.readers
    }

    fn keys(&self, case: &Case) -> Vec<Key> {
        let is_within = match case.load {
            Load::InFlight(_) => false,
            Load::Rate(rate) => rate <= POSTS_PER_PERSON * self.people,
        };
        if is_within && self.people <= PEOPLE_AT_ONCE {
            return Vec::new();
        }
        vec![Key { name: "rate_limits", value: "false".to_owned() }]
    }

    async fn measure(&self, target: &Arc<Target>, case: &Case) -> Result<Vec<Figure>> {
        let people = People::gather(target, self.people).await?;
        let shared = Arc::new(Shared::new(&people, self.payload, case.readers)?);
        let mut tasks = JoinSet::new();
        let histograms = open_readers(target, &people, &shared, &mut tasks, !self.target.json).await?;
        let posters = open_posters(target, &people, self.lanes(case), case.via).await?;
        let begin = top_of(target, &people).await?;
        target.settle().await;

        let posting = match case.load {
            Load::InFlight(count) => Posting::closed(posters, count, &shared),
            Load::Rate(rate) => Posting::open(posters, &shared, rate, limits::WARM_UP + self.duration),
        };
        shared.go_on_for(limits::WARM_UP).await?;
        shared.measured_from.store(shared.begun.load(Relaxed) + 1, Relaxed);
        let (meter, before) = (Meter::start(target)?, shared.acknowledged.load(Relaxed));
        shared.go_on_for(self.duration).await?;
        let (spent, after) = (meter.stop(target)?, shared.acknowledged.load(Relaxed));
        let (posts, late) = posting.finish(&shared).await?;

        let history = History::read(target, &people, begin).await?;
        history.wait_for_readers(&shared).await?;
        tasks.shutdown().await;
        let found = history.compare(&posts, &shared);
        let acknowledged = after - before;
        #[expect(clippy::cast_precision_loss, reason = "no count here comes near 2^53")]
        let per_second = acknowledged as f64 / spent.elapsed.as_secs_f64();
        let mut figures = vec![Figure::new("acknowledged_per_second", "acknowledged/s", Unit::Count, Some(per_second))];
        let names = [
            ("acknowledged_p50_us", "ack p50"),
            ("acknowledged_p99_us", "p99"),
            ("acknowledged_p999_us", "p99.9"),
            ("acknowledged_max_us", "max"),
        ];
        figures.extend(latency(names, &merge([&shared.latencies])?));
        let names =
            [("seen_p50_us", "seen p50"), ("seen_p99_us", "p99"), ("seen_p999_us", "p99.9"), ("seen_max_us", "max")];
        figures.extend(latency(names, &merge(histograms.iter().map(AsRef::as_ref))?));
        figures.extend([
            Figure::count("lost", "lost", found.lost),
            Figure::count("doubled", "doubled", found.doubled),
            Figure::count("reordered", "reordered", found.reordered),
            Figure::count("refused", "refused", shared.refused.load(Relaxed)),
            Figure::new("server_cpu_us_per_post", "server CPU/post", Unit::Cpu, spent.server_each(acknowledged)),
        ]);
        if matches!(case.load, Load::Rate(_)) {
            figures.push(lateness(late.as_ref()));
        }
        figures.extend(spent.figures());
        Ok(figures)
    }
}

/// What posters and readers of one run share.
struct Shared {
    began: Instant,
    room: String,
    bytes: usize,
    /// Tells the ids of this run's posts from those of all others.
    ids: Ids,
    begun: AtomicU64,
    acknowledged: AtomicU64,
    /// Posts that a rate limit refused.
    refused: AtomicU64,
    /// Posts before this one do not count for latency.
    measured_from: AtomicU64,
    stop: AtomicBool,
    latencies: Mutex<Histogram<u64>>,
    /// The last event that each reader has.
    seen: Box<[AtomicU64]>,
    missing: AtomicU64,
    doubled: AtomicU64,
    reordered: AtomicU64,
    failure: watch::Sender<Option<String>>,
}

/// Makes UUIDs of version 7, as senders do.
struct Ids {
    unix_ms: u64,
    random: u16,
}

impl Ids {
    fn new() -> Result<Ids> {
        let mut bytes = [0; 2];
        getrandom::fill(&mut bytes).context("the system gives no random bytes")?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Ids { unix_ms: u64::try_from(now.as_millis())?, random: u16::from_be_bytes(bytes) & 0xfff })
    }

    fn of(&self, post: u64, age: Duration) -> String {
        let ms = self.unix_ms + u64::try_from(age.as_millis()).unwrap_or_default();
        format!(
            "{:08x}-{:04x}-7{:03x}-8{:03x}-{:012x}",
            ms >> 16,
            ms & 0xffff,
            self.random,
            post >> 48,
            post & 0xffff_ffff_ffff
        )
    }
}

/// One message on its way.
#[derive(Clone, Copy)]
struct Post {
    number: u64,
    due: Instant,
}

/// Acknowledged posts of one poster in the order in which they were sent: which, and the number of its event.
type Acknowledged = Vec<(u64, u64)>;

enum Answered {
    With(u64),
    Refused,
}

impl Shared {
    fn new(people: &People, bytes: usize, readers: u32) -> Result<Shared> {
        Ok(Shared {
            began: Instant::now(),
            room: people.room.clone(),
            bytes,
            ids: Ids::new()?,
            begun: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            measured_from: AtomicU64::new(u64::MAX),
            stop: AtomicBool::new(false),
            latencies: Mutex::new(new_histogram()?),
            seen: (0..readers).map(|_| AtomicU64::new(0)).collect(),
            missing: AtomicU64::new(0),
            doubled: AtomicU64::new(0),
            reordered: AtomicU64::new(0),
            failure: watch::Sender::new(None),
        })
    }

    /// Time passes, unless something fails.
    async fn go_on_for(&self, time: Duration) -> Result<()> {
        let mut failure = self.failure.subscribe();
        tokio::select! {
            () = tokio::time::sleep(time) => Ok(()),
            _ = failure.wait_for(Option::is_some) => bail!(self.failed()),
        }
    }

    fn failed(&self) -> String {
        self.failure.borrow().clone().unwrap_or_default()
    }

    /// The first failure is the one that counts.
    fn fail(&self, error: &anyhow::Error) {
        self.failure.send_if_modified(|failure| {
            let first = failure.is_none();
            failure.get_or_insert_with(|| format!("{error:#}"));
            first
        });
    }

    fn text(&self, post: Post) -> String {
        let due_ns = u64::try_from(post.due.duration_since(self.began).as_nanos()).unwrap_or_default();
        Note { number: post.number, due_ns }.write(self.bytes)
    }

    fn id(&self, post: Post) -> String {
        self.ids.of(post.number, post.due.duration_since(self.began))
    }

    /// The command that posts it; its id is the post's number.
    fn command(&self, post: Post) -> Bytes {
        let (room, id, text) = (&self.room, self.id(post), self.text(post));
        let data = format!(r#"{{"room":"{room}","client_id":"{id}","body":"{text}"}}"#);
        format!(r#"{{"id":{},"rpc":{{"method":"post","data":{data}}}}}"#, command_id(post.number)).into()
    }

    fn note_acknowledged(&self, post: Post) {
        self.acknowledged.fetch_add(1, Relaxed);
        if post.number >= self.measured_from.load(Relaxed) {
            let took = micros(post.due.elapsed());
            self.latencies.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(took);
        }
    }
}

fn command_id(number: u64) -> u64 {
    number % u64::from(u32::MAX) + 1
}

/// What a line of the server says about a post, and about which.
fn answer(line: &str) -> Result<Option<(u64, Answered)>> {
    let Some(id) = number_after(line, r#"{"id":"#) else { return Ok(None) };
    if let Some(code) = number_after::<u32>(line, r#""error":{"code":"#) {
        ensure!(code == 111, "the server refused a post: {line}");
        return Ok(Some((id, Answered::Refused)));
    }
    let number = number_after(line, r#""number":"#).with_context(|| format!("an answer without a number: {line}"))?;
    Ok(Some((id, Answered::With(number))))
}

/// Somebody who posts.
enum Poster {
    /// Over one connection after the other, each of another person.
    Rpc {
        wires: Vec<Wire>,
        sent: u64,
    },
    Rest(HttpWire),
}

async fn open_posters(
    target: &Arc<Target>,
    people: &People,
    (count, each): (u32, u32),
    via: PostVia,
) -> Result<Vec<Poster>> {
    let cookies = people.cookies.iter().cycle();
    match via {
        PostVia::Rpc => {
            let who = cookies.cloned().map(Who::Session).take((count * each) as usize).collect();
            let mut wires: Vec<Vec<Wire>> = (0..count).map(|_| Vec::new()).collect();
            for (number, wire) in load::open_alone(target, who, false).await?.into_iter().enumerate() {
                wires[number % count as usize].push(wire);
            }
            Ok(wires.into_iter().map(|wires| Poster::Rpc { wires, sent: 0 }).collect())
        }
        PostVia::Rest => {
            let origin = format!("http://{}", target.authority()?);
            let mut posters = Vec::with_capacity(count as usize);
            for cookie in cookies.take(count as usize) {
                let headers = [("cookie", cookie.as_str()), ("origin", origin.as_str())];
                posters.push(Poster::Rest(HttpWire::dial(target.authority()?, &headers).await?));
            }
            Ok(posters)
        }
    }
}

impl Poster {
    /// Posts, and waits for the answer.
    async fn post(&mut self, post: Post, shared: &Shared) -> Result<Answered> {
        match self {
            Poster::Rpc { wires, sent } => {
                let turn = (*sent / TURN % wires.len() as u64) as usize;
                *sent += 1;
                let wire = &mut wires[turn];
                wire.send(shared.command(post)).await?;
                loop {
                    let message = wire.receive().await?;
                    for line in load::without_pings(wire, message.as_str()).await? {
                        if let Some((_, answered)) = answer(line)? {
                            return Ok(answered);
                        }
                    }
                }
            }
            Poster::Rest(wire) => {
                let json = format!(r#"{{"client_id":"{}","body":"{}"}}"#, shared.id(post), shared.text(post));
                let answer = wire.post(&format!("/v1/rooms/{}/messages", shared.room), &json).await?;
                if answer.status == 429 {
                    return Ok(Answered::Refused);
                }
                answer.ensure_ok().context("posting")?;
                Ok(Answered::With(number_after(answer.body, r#""number":"#).context("an answer without a number")?))
            }
        }
    }

    /// Posts the next when the last is acknowledged, until it is told to stop. What a rate limit refuses is sent again.
    async fn post_in_turn(mut self, shared: &Shared) -> Result<Acknowledged> {
        let mut acknowledged = Vec::new();
        while !shared.stop.load(Relaxed) {
            let post = Post { number: shared.begun.fetch_add(1, Relaxed) + 1, due: Instant::now() };
            loop {
                match self.post(post, shared).await? {
                    Answered::With(number) => {
                        shared.note_acknowledged(post);
                        acknowledged.push((post.number, number));
                        break;
                    }
                    Answered::Refused if shared.stop.load(Relaxed) => break,
                    Answered::Refused => {
                        shared.refused.fetch_add(1, Relaxed);
                        tokio::time::sleep(limits::REFUSED_PAUSE).await;
                    }
                }
            }
        }
        Ok(acknowledged)
    }

    /// Keeps so many posts in flight, until it is told to stop.
    async fn keep_in_flight(self, count: u32, shared: &Shared) -> Result<Acknowledged> {
        match self {
            Poster::Rpc { mut wires, .. } if count > 1 => pipeline_closed(wires.swap_remove(0), count, shared).await,
            poster => poster.post_in_turn(shared).await,
        }
    }

    /// Posts what falls due, until nothing more does.
    async fn post_as_due(self, mut due: mpsc::Receiver<Post>, shared: &Shared) -> Result<Acknowledged> {
        match self {
            Poster::Rpc { mut wires, .. } => pipeline(wires.swap_remove(0), due, shared).await,
            Poster::Rest(_) => {
                let (mut poster, mut acknowledged) = (self, Vec::new());
                while let Some(post) = due.recv().await {
                    match poster.post(post, shared).await? {
                        Answered::With(number) => {
                            shared.note_acknowledged(post);
                            acknowledged.push((post.number, number));
                        }
                        Answered::Refused => drop(shared.refused.fetch_add(1, Relaxed)),
                    }
                }
                Ok(acknowledged)
            }
        }
    }
}

/// Sends each post when it is due, whatever is still unanswered on the same connection.
async fn pipeline(mut wire: Wire, mut due: mpsc::Receiver<Post>, shared: &Shared) -> Result<Acknowledged> {
    let (mut acknowledged, mut waiting) = (Vec::new(), VecDeque::new());
    let mut more = true;
    while more || !waiting.is_empty() {
        tokio::select! {
            post = due.recv(), if more => match post {
                Some(post) => {
                    waiting.push_back(post);
                    wire.send(shared.command(post)).await?;
                }
                None => more = false,
            },
            message = wire.receive() => {
                take_answers(message?.as_str(), &mut wire, &mut waiting, &mut acknowledged, shared).await?;
            }
        }
    }
    // In the order in which they were sent, whatever the answers' order was.
    acknowledged.sort_unstable();
    Ok(acknowledged)
}

/// Keeps so many posts unanswered on one connection, until it is told to stop.
async fn pipeline_closed(mut wire: Wire, count: u32, shared: &Shared) -> Result<Acknowledged> {
    let (mut acknowledged, mut waiting) = (Vec::new(), VecDeque::new());
    loop {
        while waiting.len() < count as usize && !shared.stop.load(Relaxed) {
            let post = Post { number: shared.begun.fetch_add(1, Relaxed) + 1, due: Instant::now() };
            waiting.push_back(post);
            wire.send(shared.command(post)).await?;
        }
        if waiting.is_empty() {
            acknowledged.sort_unstable();
            return Ok(acknowledged);
        }
        let message = wire.receive().await?;
        if take_answers(message.as_str(), &mut wire, &mut waiting, &mut acknowledged, shared).await? {
            tokio::time::sleep(limits::REFUSED_PAUSE).await;
        }
    }
}

/// Takes what a message answers out of what waits for an answer; says whether a rate limit refused something.
async fn take_answers(
    message: &str,
    wire: &mut Wire,
    waiting: &mut VecDeque<Post>,
    acknowledged: &mut Acknowledged,
    shared: &Shared,
) -> Result<bool> {
    let mut is_refused = false;
    for line in load::without_pings(wire, message).await? {
        let Some((id, answered)) = answer(line)? else { continue };
        let place = waiting.iter().position(|post| command_id(post.number) == id);
        let post = place.and_then(|place| waiting.remove(place)).context("an answer to no post")?;
        match answered {
            Answered::With(number) => {
                shared.note_acknowledged(post);
                acknowledged.push((post.number, number));
            }
            Answered::Refused => {
                is_refused = true;
                shared.refused.fetch_add(1, Relaxed);
            }
        }
    }
    Ok(is_refused)
}

/// All posters at work.
struct Posting {
    posters: JoinSet<Option<Acknowledged>>,
    /// Of an open loop.
    clock: Option<tokio::task::JoinHandle<Result<Histogram<u64>>>>,
}

impl Posting {
    fn closed(posters: Vec<Poster>, in_flight: u32, shared: &Arc<Shared>) -> Posting {
        let mut working = JoinSet::new();
        let lanes = u32::try_from(posters.len()).unwrap_or(u32::MAX);
        for (number, poster) in (0..).zip(posters) {
            let shared = Arc::clone(shared);
            let count = in_flight / lanes + u32::from(number < in_flight % lanes);
            working.spawn(async move { told(poster.keep_in_flight(count, &shared).await, &shared) });
        }
        Posting { posters: working, clock: None }
    }

    fn open(posters: Vec<Poster>, shared: &Arc<Shared>, rate: u32, duration: Duration) -> Posting {
        let (mut working, mut lanes) = (JoinSet::new(), Vec::new());
        for poster in posters {
            let (lane, due) = mpsc::channel(limits::POSTS_WAITING_MAX);
            lanes.push(lane);
            let shared = Arc::clone(shared);
            working.spawn(async move { told(poster.post_as_due(due, &shared).await, &shared) });
        }
        let clock = tokio::spawn({
            let shared = Arc::clone(shared);
            async move {
                let begun = Arc::clone(&shared);
                let send = move |Due { number, at: due }: Due| {
                    begun.begun.store(number, Relaxed);
                    let lane = &lanes[usize::try_from(number)? % lanes.len()];
                    lane.try_send(Post { number, due }).context("this rate cannot be kept up: a poster is behind")
                };
                let late = pace::at_rate(rate, duration, 1, send).await;
                if let Err(error) = &late {
                    shared.failure.send_replace(Some(format!("{error:#}")));
                }
                late
            }
        });
        Posting { posters: working, clock: Some(clock) }
    }

    /// Waits until all that was sent is answered.
    async fn finish(mut self, shared: &Shared) -> Result<(Vec<Acknowledged>, Option<Histogram<u64>>)> {
        shared.stop.store(true, Relaxed);
        let late = match self.clock {
            Some(clock) => Some(clock.await.context("the clock failed")??),
            None => None,
        };
        let mut all = Vec::new();
        let answering = async {
            while let Some(done) = self.posters.join_next().await {
                let Some(acknowledged) = done.context("a poster failed")? else { bail!(shared.failed()) };
                all.push(acknowledged);
            }
            Ok(())
        };
        let answered = tokio::time::timeout(limits::STALL_TIME, answering).await;
        answered.context("posts stayed without an answer")??;
        Ok((all, late))
    }
}

/// A poster's failure ends the run.
fn told(result: Result<Acknowledged>, shared: &Shared) -> Option<Acknowledged> {
    result.inspect_err(|error| shared.fail(error)).ok()
}

type Histograms = Vec<Arc<Mutex<Histogram<u64>>>>;

async fn open_readers(
    target: &Arc<Target>,
    people: &People,
    shared: &Arc<Shared>,
    tasks: &mut JoinSet<()>,
    show: bool,
) -> Result<Histograms> {
    let who = people.cookies.iter().cycle().cloned().map(Who::Session).take(shared.seen.len()).collect();
    let room = format!("room:{}", people.room);
    let mut histograms = Vec::new();
    for (number, opened) in load::open(target, who, |_| vec![room.clone()], show).await?.into_iter().enumerate() {
        if number.is_multiple_of(READERS_PER_HISTOGRAM) {
            histograms.push(Arc::new(Mutex::new(new_histogram()?)));
        }
        let histogram = Arc::clone(histograms.last().context("there is one")?);
        let shared = Arc::clone(shared);
        tasks.spawn(async move {
            if let Err(error) = read(opened.wire, number, &shared, &histogram).await {
                shared.fail(&error.context("a reader failed"));
            }
        });
    }
    Ok(histograms)
}

/// Reads until the run drops it.
async fn read(mut wire: Wire, reader: usize, shared: &Shared, histogram: &Mutex<Histogram<u64>>) -> Result<()> {
    let mut seen = Seen::default();
    loop {
        let message = wire.receive().await?;
        let now_ns = u64::try_from(shared.began.elapsed().as_nanos())?;
        let mut pings = 0;
        for line in message.as_str().split('\n') {
            if is_ping(line) {
                pings += 1;
                continue;
            }
            let Some(offset) = payload::offset(line) else { continue };
            seen.note(offset, shared);
            let measured_from = shared.measured_from.load(Relaxed);
            if let Some(note) = Note::find(line).filter(|note| note.number >= measured_from) {
                let took = now_ns.saturating_sub(note.due_ns) / 1000;
                histogram.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(took);
            }
        }
        shared.seen[reader].store(seen.last.unwrap_or(0), Relaxed);
        for _ in 0..pings {
            wire.send(ENCODING.encode_commands(&[Command::PONG])?).await?;
        }
    }
}

/// Which events one reader has.
#[derive(Default)]
struct Seen {
    last: Option<u64>,
    missing: HashSet<u64>,
}

impl Seen {
    fn note(&mut self, number: u64, shared: &Shared) {
        let last = *self.last.get_or_insert(number - 1);
        if number > last {
            self.missing.extend(last + 1..number);
            shared.missing.fetch_add(number - last - 1, Relaxed);
            self.last = Some(number);
        } else if self.missing.remove(&number) {
            shared.missing.fetch_sub(1, Relaxed);
            shared.reordered.fetch_add(1, Relaxed);
        } else {
            shared.doubled.fetch_add(1, Relaxed);
        }
    }
}

/// What the room's history says at the end.
struct History {
    /// The number of the last event.
    top: u64,
    /// Each post with the numbers of its events; there should be one.
    posts: HashMap<u64, Vec<u64>>,
}

/// What went wrong.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    lost: u64,
    doubled: u64,
    reordered: u64,
}

#[derive(Deserialize)]
struct Page {
    events: Vec<Event>,
    offset: u64,
}

#[derive(Deserialize)]
struct Event {
    number: u64,
    message: Option<Message>,
}

#[derive(Deserialize)]
struct Message {
    body: String,
}

async fn reader_of(target: &Target, people: &People) -> Result<HttpWire> {
    let cookie = people.cookies.first().context("there is somebody")?;
    HttpWire::dial(target.authority()?, &[("cookie", cookie)]).await
}

async fn page(wire: &mut HttpWire, people: &People, after: u64) -> Result<Page> {
    let answer = wire.get(&format!("/v1/rooms/{}/events?after={after}&limit=200", people.room)).await?;
    answer.ensure_ok().context("reading the room's history")?;
    serde_json::from_str(answer.body).context("reading the room's history")
}

/// The number of the room's last event.
async fn top_of(target: &Target, people: &People) -> Result<u64> {
    Ok(page(&mut reader_of(target, people).await?, people, 0).await?.offset)
}

impl History {
    async fn read(target: &Target, people: &People, begin: u64) -> Result<History> {
        let mut wire = reader_of(target, people).await?;
        let mut history = History { top: begin, posts: HashMap::new() };
        loop {
            let Page { events, offset } = page(&mut wire, people, history.top).await?;
            for Event { number, message } in events {
                if let Some(note) = message.and_then(|message| Note::parse(&message.body)) {
                    history.posts.entry(note.number).or_default().push(number);
                }
                history.top = number;
            }
            if history.top >= offset {
                return Ok(history);
            }
        }
    }

    /// Returns when every reader has come to the end, or none comes any further.
    async fn wait_for_readers(&self, shared: &Shared) -> Result<()> {
        let (mut least, mut since) = (0, Instant::now());
        loop {
            let now = shared.seen.iter().map(|seen| seen.load(Relaxed)).min().unwrap_or(self.top);
            if now >= self.top || since.elapsed() > limits::STALL_TIME {
                return Ok(());
            }
            if now > least {
                (least, since) = (now, Instant::now());
            }
            shared.go_on_for(DRAIN_LOOK).await?;
        }
    }

    /// Acknowledged is what must be there, once, and in the order in which each poster sent it; the readers' own counts come
    /// on top.
    fn compare(&self, posters: &[Acknowledged], shared: &Shared) -> Found {
        let behind = shared.seen.iter().map(|seen| self.top.saturating_sub(seen.load(Relaxed)));
        let mut found = Found {
            lost: shared.missing.load(Relaxed) + behind.sum::<u64>(),
            doubled: shared.doubled.load(Relaxed),
            reordered: shared.reordered.load(Relaxed),
        };
        for acknowledged in posters {
            let is_kept = |(post, number): &&(u64, u64)| self.posts.get(post).is_some_and(|at| at.contains(number));
            found.lost += (acknowledged.len() - acknowledged.iter().filter(is_kept).count()) as u64;
            found.reordered += acknowledged.windows(2).filter(|two| two[0].1 >= two[1].1).count() as u64;
        }
        found.doubled += self.posts.values().map(|at| at.len() as u64 - 1).sum::<u64>();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(readers: u32) -> Shared {
        let people = People { room: "r".to_owned(), cookies: Vec::new() };
        Shared::new(&people, 72, readers).unwrap()
    }

    #[test]
    fn a_reader_counts_what_is_missing_doubled_and_late() {
        let (shared, mut seen) = (shared(1), Seen::default());
        for number in [5, 6, 9, 7, 7, 10] {
            seen.note(number, &shared);
        }
        let counts = [&shared.missing, &shared.reordered, &shared.doubled].map(|count| count.load(Relaxed));
        assert_eq!((counts, seen.missing), ([1, 1, 1], [8].into()));
    }

    #[test]
    fn the_history_shows_what_was_lost_doubled_or_reordered() {
        let history = History { top: 4, posts: [(1, vec![1]), (2, vec![3]), (3, vec![2, 4])].into() };
        let fine = Found { doubled: 1, ..Found::default() };
        assert_eq!(history.compare(&[vec![(1, 1), (2, 3)], vec![(3, 2)]], &shared(0)), fine);
        let worse = Found { lost: 1, doubled: 1, reordered: 1 };
        assert_eq!(history.compare(&[vec![(2, 3), (1, 1)], vec![(9, 5)]], &shared(0)), worse);
        assert_eq!(history.compare(&[], &shared(2)).lost, 8, "two readers that have seen none of four");
    }

    #[test]
    fn an_answer_says_which_post_has_which_number() {
        let yes = r#"{"id":7,"rpc":{"data":{"id":"x","number":12,"time":5}}}"#;
        assert!(matches!(answer(yes).unwrap(), Some((7, Answered::With(12)))));
        let limited = r#"{"id":7,"error":{"code":111,"message":"too many requests"}}"#;
        assert!(matches!(answer(limited).unwrap(), Some((7, Answered::Refused))));
        assert!(answer(r#"{"id":7,"error":{"code":103,"message":"permission denied"}}"#).is_err());
        assert!(answer(r#"{"push":{}}"#).unwrap().is_none());
    }

    #[test]
    fn every_post_has_an_id_of_its_own() {
        let ids = Ids { unix_ms: 0x0123_4567_89ab, random: 0xabc };
        assert_eq!(ids.of(5, Duration::from_millis(1)), "01234567-89ac-7abc-8000-000000000005");
    }
}
