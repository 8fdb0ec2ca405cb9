//! Many connections that do nothing but answer pings: what each costs the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::Serialize;
use tidings_protocol::Command;
use tokio::task::JoinSet;

use crate::ENCODING;
use crate::cli::IdleArgs;
use crate::limits;
use crate::load::{self, is_ping};
use crate::report::{Report, Row, figure, grouped, micros_each};
use crate::target::Target;
use crate::wire::Wire;

#[derive(Debug, Serialize)]
struct Run {
    connections: u32,
    seconds: f64,
    pings: u64,
    /// The rest is absent when the server's process is not known.
    server_bytes_per_connection: Option<f64>,
    server_cpu_us_per_connect: Option<f64>,
    server_cpu_us_per_ping: Option<f64>,
    server_cpu_percent: Option<f64>,
}

impl Row for Run {
    const HEADINGS: &'static [&'static str] = &[
        "connections",
        "held for",
        "pings",
        "server memory/connection",
        "server CPU/connect",
        "server CPU/ping",
        "server CPU",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            grouped(self.connections.into()),
            format!("{:.0} s", self.seconds),
            grouped(self.pings),
            figure(self.server_bytes_per_connection.map(|bytes| bytes / 1024.0), "KiB"),
            figure(self.server_cpu_us_per_connect, "µs"),
            figure(self.server_cpu_us_per_ping, "µs"),
            figure(self.server_cpu_percent, "%"),
        ]
    }
}

/// Runs `tidings bench idle`.
pub(crate) async fn run(args: IdleArgs) -> Result<()> {
    let target = Arc::new(Target::open(&args.target).await?);
    target.ensure_room(args.connections.iter().max().copied().unwrap_or_default())?;
    drop(load::open(&target, "priming", limits::PRIMING_CONNECTIONS, None, false).await?);
    let mut runs = Vec::new();
    for &connections in &args.connections {
        runs.push(measure(&target, connections, args.duration, !args.target.json).await?);
    }
    Report::new("idle connections", runs).print(args.target.json)
}

async fn measure(target: &Arc<Target>, connections: u32, duration: Duration, show: bool) -> Result<Run> {
    load::settle().await;
    let (memory_before, cpu_before) = (target.server_memory()?, target.server_cpu()?);
    let wires = load::open(target, "idle", connections, None, show).await?;
    let cpu_connected = target.server_cpu()?;
    let pings = Arc::new(AtomicU64::new(0));
    let mut idlers = JoinSet::new();
    for wire in wires {
        idlers.spawn(idler(wire, Arc::clone(&pings)));
    }
    load::settle().await;

    let bar = load::progress(duration.as_secs(), "holding     {bar:40} {pos}/{len} s", show);
    let (start, cpu_start, pings_start) = (Instant::now(), target.server_cpu()?, pings.load(Relaxed));
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    while start.elapsed() < duration {
        tokio::select! {
            Some(ended) = idlers.join_next() => {
                let Err(error) = ended? else { bail!("a connection ended by itself") };
                return Err(error.context("a connection was lost while idle"));
            }
            _ = tick.tick() => bar.set_position(start.elapsed().as_secs()),
        }
    }
    let elapsed = start.elapsed();
    let (cpu_end, memory_end) = (target.server_cpu()?, target.server_memory()?);
    let pings = pings.load(Relaxed) - pings_start;
    bar.finish_and_clear();

    let held = cpu_end.zip(cpu_start).map(|(end, start)| end - start);
    let connecting = cpu_connected.zip(cpu_before).map(|(after, before)| after - before);
    #[expect(clippy::cast_precision_loss, reason = "a server's memory is far below 2^53 bytes")]
    let grown = memory_end.zip(memory_before).map(|(end, before)| end.saturating_sub(before) as f64);
    Ok(Run {
        connections,
        seconds: elapsed.as_secs_f64(),
        pings,
        server_bytes_per_connection: grown.map(|bytes| bytes / f64::from(connections)),
        server_cpu_us_per_connect: connecting.map(|cpu| micros_each(cpu, connections.into())),
        server_cpu_us_per_ping: held.filter(|_| pings > 0).map(|cpu| micros_each(cpu, pings)),
        server_cpu_percent: held.map(|cpu| 100.0 * cpu.as_secs_f64() / elapsed.as_secs_f64()),
    })
}

/// Answers pings until the run drops it.
async fn idler(mut wire: Wire, pings: Arc<AtomicU64>) -> Result<()> {
    loop {
        let message = wire.receive().await?;
        for _ in message.as_str().split('\n').filter(|line| is_ping(line)) {
            pings.fetch_add(1, Relaxed);
            wire.send(ENCODING.encode_commands(&[Command::PONG])?).await?;
        }
    }
}
