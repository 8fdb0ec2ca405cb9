//! Connections opened with a token, one after another on a few lanes: what a client that comes costs, and one that goes.

use std::sync::Arc;

use anyhow::Result;

use crate::cli::{ConnectArgs, Subscription};
use crate::limits;
use crate::load::{self, Who};
use crate::meter::Meter;
use crate::pace::{micros, new_histogram};
use crate::report::{Figure, Setting, Unit, latency, micros_each};
use crate::rounds::Measurement;
use crate::target::Target;

/// One run.
pub(crate) struct Case {
    connections: u32,
    subscribe: Subscription,
}

impl Measurement for ConnectArgs {
    const NAME: &'static str = "connects";
    type Case = Case;

    fn cases(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        for &connections in &self.connections {
            cases.extend(self.subscribe.iter().map(|&subscribe| Case { connections, subscribe }));
        }
        cases
    }

    fn setting(&self, case: &Case) -> Setting {
        vec![
            ("connections", case.connections.into()),
            ("subscribed to", case.subscribe.name().into()),
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
        let channels = |number| case.subscribe.channels(number);
        let priming = Who::users(target, "priming", limits::PRIMING_CONNECTIONS.min(case.connections))?;
        drop(load::open(target, priming, channels, false).await?);
        // Signed before, so that the generator has less to do meanwhile.
        let users = Who::users(target, "connect", case.connections)?;
        target.settle().await;

        let meter = Meter::start(target)?;
        let opened = load::open(target, users, channels, !self.target.json).await?;
        let spent = meter.stop(target)?;
        let mut latencies = new_histogram()?;
        for one in &opened {
            latencies.saturating_record(micros(one.took));
        }
        let meter = Meter::start(target)?;
        drop(opened);
        target.settle().await;
        let leaving = meter.stop(target)?;

        let count = u64::from(case.connections);
        let per_second = 1e6 / micros_each(spent.elapsed, count).max(f64::MIN_POSITIVE);
        let names =
            [("connect_p50_us", "p50"), ("connect_p99_us", "p99"), ("connect_p999_us", ""), ("connect_max_us", "max")];
        let mut figures = vec![Figure::new("connects_per_second", "connects/s", Unit::Count, Some(per_second))];
        figures.extend(latency(names, &latencies));
        figures.extend([
            Figure::new("server_cpu_us_per_connect", "server CPU/connect", Unit::Cpu, spent.server_each(count)),
            Figure::new("server_cpu_us_per_disconnect", "server CPU/disconnect", Unit::Cpu, leaving.server_each(count)),
        ]);
        figures.extend(spent.figures());
        Ok(figures)
    }
}

impl Subscription {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Subscription::None => "nothing",
            Subscription::Shared => "one for all",
            Subscription::Own => "one each",
        }
    }

    /// The channels of the connection with this number.
    pub(crate) fn channels(self, number: usize) -> Vec<String> {
        match self {
            Subscription::None => Vec::new(),
            Subscription::Shared => vec!["bench".to_owned()],
            Subscription::Own => vec![format!("bench-{number}")],
        }
    }
}
