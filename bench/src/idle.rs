//! Many connections that do nothing but answer pings: what each costs the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use anyhow::{Result, bail};
use tidings_protocol::Command;
use tokio::task::JoinSet;

use crate::ENCODING;
use crate::cli::{IdleArgs, Subscription, Transport};
use crate::limits;
use crate::load::{self, Who, is_ping};
use crate::meter::Meter;
use crate::report::{Figure, Setting, Unit};
use crate::rounds::Measurement;
use crate::target::Target;
use crate::wire::Wire;

/// One run.
pub(crate) struct Case {
    connections: u32,
    subscribe: Subscription,
    transport: Transport,
}

impl Transport {
    /// Where a server has it.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Transport::Websocket => "/connection/websocket",
            Transport::HttpStream => "/connection/http_stream",
            Transport::Sse => "/connection/sse",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Transport::Websocket => "WebSocket",
            Transport::HttpStream => "HTTP streaming",
            Transport::Sse => "event streams",
        }
    }
}

impl Measurement for IdleArgs {
    const NAME: &'static str = "idle connections";
    type Case = Case;

    fn cases(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        for &connections in &self.connections {
            for &subscribe in &self.subscribe {
                cases.extend(self.transport.iter().map(|&transport| Case { connections, subscribe, transport }));
            }
        }
        cases
    }

    fn setting(&self, case: &Case) -> Setting {
        vec![
            ("connections", case.connections.into()),
            ("subscribed to", case.subscribe.name().into()),
            ("by", case.transport.name().into()),
            ("over", if self.tls { "TLS" } else { "TCP" }.into()),
        ]
    }

    fn connections(&self, case: &Case) -> u32 {
        case.connections
    }

    fn tls(&self) -> bool {
        self.tls
    }

    async fn measure(&self, target: &Arc<Target>, case: &Case) -> Result<Vec<Figure>> {
        let show = !self.target.json;
        let channels = |number| case.subscribe.channels(number);
        let priming = Who::users(target, "priming", limits::PRIMING_CONNECTIONS)?;
        drop(load::open_over(target, case.transport, priming, channels, false).await?);
        let users = Who::users(target, "idle", case.connections)?;
        target.settle().await;
        let memory_before = target.server_memory()?;
        let meter = Meter::start(target)?;
        let opened = load::open_over(target, case.transport, users, channels, show).await?;
        let connecting = meter.stop(target)?;
        let pings = Arc::new(AtomicU64::new(0));
        let mut idlers = JoinSet::new();
        for one in opened {
            idlers.spawn(idler(one.wire, Arc::clone(&pings)));
        }
        target.settle().await;

        let bar = load::progress(self.duration.as_secs(), "holding     {bar:40} {pos}/{len} s", show);
        let (start, meter, pings_start) = (Instant::now(), Meter::start(target)?, pings.load(Relaxed));
        let mut tick = tokio::time::interval(std::time::Duration::from_secs(1));
        while start.elapsed() < self.duration {
            tokio::select! {
                Some(ended) = idlers.join_next() => {
                    let Err(error) = ended? else { bail!("a connection ended by itself") };
                    return Err(error.context("a connection was lost while idle"));
                }
                _ = tick.tick() => bar.set_position(start.elapsed().as_secs()),
            }
        }
        let (held, memory_end) = (meter.stop(target)?, target.server_memory()?);
        let pings = pings.load(Relaxed) - pings_start;
        bar.finish_and_clear();
        idlers.shutdown().await;

        let connections = f64::from(case.connections);
        #[expect(clippy::cast_precision_loss, reason = "a server's memory is far below 2^53 bytes")]
        let grown = memory_end.zip(memory_before).map(|(end, before)| end.saturating_sub(before) as f64);
        let core = held.server.map(|cpu| 100.0 * cpu.as_secs_f64() / held.elapsed.as_secs_f64());
        let mut figures = vec![
            Figure::count("pings", "pings", pings),
            Figure::new(
                "server_bytes_per_connection",
                "server memory/connection",
                Unit::KiB,
                grown.map(|bytes| bytes / connections),
            ),
            Figure::new(
                "server_cpu_us_per_connect",
                "server CPU/connect",
                Unit::Cpu,
                connecting.server_each(case.connections.into()),
            ),
            Figure::new("server_cpu_us_per_ping", "server CPU/ping", Unit::Cpu, held.server_each(pings)),
            Figure::new(
                "core_percent_per_10000",
                "of a core/10,000",
                Unit::Percent,
                core.map(|percent| percent * 10_000.0 / connections),
            ),
        ];
        figures.extend(held.figures());
        Ok(figures)
    }
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
