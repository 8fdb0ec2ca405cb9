//! Publishers in a closed loop: each publishes the next when its last publication is acknowledged.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use serde::Deserialize;
use tidings_protocol::{Command, Payload, PublishRequest, Request};
use tokio::task::JoinSet;

use crate::ENCODING;
use crate::cli::PublishVia;
use crate::http_wire::HttpWire;
use crate::limits;
use crate::load::{self, Who};
use crate::pace::{micros, new_histogram};
use crate::payload::Stamp;
use crate::target::Target;
use crate::wire::Wire;

/// Publications before a publisher goes on over its next connection: often enough for each to answer its pings in time.
pub(crate) const TURN: u64 = 20;

/// Channels whose positions are looked up at the end, at most.
const CHECKED_MAX: u32 = 1_000;

pub(crate) fn channel(number: u32) -> String {
    format!("bench-{number}")
}

/// Connections that so many publishers open.
pub(crate) fn connections(via: PublishVia, publishers: u32) -> u32 {
    match via {
        PublishVia::Api => publishers,
        PublishVia::Client => publishers.max(limits::CLIENT_PUBLISHERS),
    }
}

/// The publishers of a run, for as many stretches of work as it has.
pub(crate) struct Lanes {
    lanes: Vec<Lane>,
    latencies: Arc<Mutex<Histogram<u64>>>,
}

enum Lane {
    Api(HttpWire),
    /// Several connections, since a server bounds how much one client publishes.
    Client {
        wires: Vec<Wire>,
        sent: u64,
    },
}

/// What the publishers do together.
pub(crate) struct Work {
    /// Which channel the publication of this number goes to; the first has number 1.
    pub(crate) channel: Box<dyn Fn(u64) -> u32 + Send + Sync>,
    /// Ends after so many, or when the time is up.
    pub(crate) count: u64,
    pub(crate) until: Option<Instant>,
    pub(crate) bytes: usize,
    /// The zero of the times that payloads carry.
    pub(crate) began: Instant,
    /// How many were acknowledged in each channel, of all work so far.
    pub(crate) acknowledged: Arc<[AtomicU64]>,
    /// How many have been begun.
    pub(crate) begun: AtomicU64,
}

impl Work {
    /// The next publication, unless it is all done.
    fn next(&self) -> Option<u64> {
        let is_late = self.until.is_some_and(|until| Instant::now() >= until);
        let number = self.begun.fetch_add(1, Relaxed) + 1;
        (!is_late && number <= self.count).then_some(number)
    }
}

impl Lanes {
    pub(crate) async fn open(target: &Arc<Target>, via: PublishVia, count: u32) -> Result<Lanes> {
        let mut lanes = Vec::with_capacity(count as usize);
        match via {
            PublishVia::Api => {
                let headers = [("x-api-key", target.api_key()?)];
                for _ in 0..count {
                    lanes.push(Lane::Api(HttpWire::dial(target.authority()?, &headers).await?));
                }
            }
            PublishVia::Client => {
                let users = Who::users(target, "publisher", connections(via, count))?;
                let mut wires: Vec<Vec<Wire>> = (0..count).map(|_| Vec::new()).collect();
                for (number, wire) in load::open_alone(target, users, false).await?.into_iter().enumerate() {
                    wires[number % count as usize].push(wire);
                }
                lanes.extend(wires.into_iter().map(|wires| Lane::Client { wires, sent: 0 }));
            }
        }
        Ok(Lanes { lanes, latencies: Arc::new(Mutex::new(new_histogram()?)) })
    }

    /// Does the work, and returns how many publications that were, and how long each took to be acknowledged.
    pub(crate) async fn publish(&mut self, work: Work) -> Result<(u64, Histogram<u64>)> {
        let (work, done) = (Arc::new(work), Arc::new(AtomicU64::new(0)));
        let mut publishing = JoinSet::new();
        for mut lane in self.lanes.drain(..) {
            let (work, done, latencies) = (Arc::clone(&work), Arc::clone(&done), Arc::clone(&self.latencies));
            publishing.spawn(async move {
                while let Some(number) = work.next() {
                    let start = Instant::now();
                    let channel = (work.channel)(number);
                    lane.publish(number, channel, start, &work).await.context("publishing")?;
                    let took = micros(start.elapsed());
                    latencies.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(took);
                    work.acknowledged[channel as usize].fetch_add(1, Relaxed);
                    done.fetch_add(1, Relaxed);
                }
                anyhow::Ok(lane)
            });
        }
        while let Some(lane) = publishing.join_next().await {
            self.lanes.push(lane.context("a publisher failed")??);
        }
        let mut latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((done.load(Relaxed), std::mem::replace(&mut latencies, new_histogram()?)))
    }
}

impl Lane {
    async fn publish(&mut self, number: u64, to: u32, now: Instant, work: &Work) -> Result<()> {
        let sent_ns = u64::try_from(now.duration_since(work.began).as_nanos())?;
        let data = Stamp { number, place: 0, sent_ns }.write(work.bytes);
        let to = channel(to);
        match self {
            Lane::Api(wire) => {
                let answer = wire.post("/api/publish", &format!(r#"{{"channel":"{to}","data":{data}}}"#)).await?;
                let is_done = answer.status == 200 && answer.body.starts_with(r#"{"result""#);
                ensure!(is_done, "the server answered {}: {}", answer.status, answer.body);
            }
            Lane::Client { wires, sent } => {
                let turn = (*sent / TURN % wires.len() as u64) as usize;
                *sent += 1;
                let data = Some(Payload::parse(data.as_bytes())?);
                let request = Request::Publish(PublishRequest { channel: to, data, ..Default::default() });
                wires[turn].send(ENCODING.encode_commands(&[Command::new(1, request)])?).await?;
                until_answered(&mut wires[turn]).await?;
            }
        }
        Ok(())
    }
}

/// One publication is under way on this connection: the first line that is no ping is its answer.
async fn until_answered(wire: &mut Wire) -> Result<()> {
    loop {
        let message = wire.receive().await?;
        if let Some(line) = load::without_pings(wire, message.as_str()).await?.next() {
            return load::ensure_not_refused(line);
        }
    }
}

/// Where the channels' streams stood before a run; of very many channels, some of them. Nothing where the API key of a
/// running server is not known: then it is believed.
pub(crate) struct Positions(Vec<(u32, u64)>);

impl Positions {
    pub(crate) async fn of(target: &Target, channels: u32) -> Result<Positions> {
        let step = channels.div_ceil(CHECKED_MAX).max(1) as usize;
        Positions::read(target, (0..channels).step_by(step)).await.map(Positions)
    }

    async fn read(target: &Target, channels: impl Iterator<Item = u32>) -> Result<Vec<(u32, u64)>> {
        #[derive(Deserialize)]
        struct Answer {
            result: Position,
        }
        #[derive(Deserialize)]
        struct Position {
            #[serde(default)]
            offset: u64,
        }
        let Some(key) = &target.api_key else { return Ok(Vec::new()) };
        let mut wire = HttpWire::dial(target.authority()?, &[("x-api-key", key)]).await?;
        let mut positions = Vec::new();
        for number in channels {
            let name = channel(number);
            let answer = wire.post("/api/history", &format!(r#"{{"channel":"{name}","limit":0}}"#)).await?;
            let Answer { result: Position { offset } } =
                serde_json::from_str(answer.body).with_context(|| format!("the history of {name}: {}", answer.body))?;
            positions.push((number, offset));
        }
        Ok(positions)
    }

    /// Fails unless each stream has counted as many publications since as were acknowledged.
    pub(crate) async fn ensure_grown_by(&self, target: &Target, acknowledged: &[AtomicU64]) -> Result<()> {
        let now = Positions::read(target, self.0.iter().map(|(channel, _)| *channel)).await?;
        for ((number, before), (_, now)) in self.0.iter().zip(now) {
            let (count, grown) = (acknowledged[*number as usize].load(Relaxed), now.saturating_sub(*before));
            let name = channel(*number);
            ensure!(grown == count, "{count} publications into {name} were acknowledged, and its stream has {grown}");
        }
        Ok(())
    }
}

/// Goes through all of `count` once, in an order in which neighbours are far apart.
pub(crate) fn scattered(count: u32) -> impl Fn(u64) -> u32 + Send + Sync {
    // A step that has no divisor in common with the count meets each number once; near the golden section of the count,
    // what follows each other lies far apart.
    let count = u64::from(count);
    let from = (count * 618 / 1000).max(1);
    let step = (from..).find(|step| greatest_common_divisor(*step, count) == 1).unwrap_or(1);
    move |number| u32::try_from(number % count * step % count).unwrap_or_default()
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_scattered_order_meets_every_channel_once() {
        for count in [1, 2, 3, 10, 64, 1000, 99_999] {
            let channel = scattered(count);
            let met: HashSet<u32> = (1..=u64::from(count)).map(&channel).collect();
            assert_eq!(met.len(), count as usize);
            assert!(met.iter().all(|channel| *channel < count));
        }
    }

    #[test]
    fn work_ends_at_its_count_or_its_time() {
        let work = |count, until| Work {
            channel: Box::new(|_| 0),
            count,
            until,
            bytes: 72,
            began: Instant::now(),
            acknowledged: [AtomicU64::new(0)].into(),
            begun: AtomicU64::new(0),
        };
        let two = work(2, None);
        assert_eq!([two.next(), two.next(), two.next()], [Some(1), Some(2), None]);
        assert_eq!(work(2, Some(Instant::now())).next(), None);
    }
}
