//! Many publishers into many channels that nobody reads: what taking in a publication costs.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::cli::{PublishArgs, PublishVia};
use crate::lanes::{self, Lanes, Positions, Work};
use crate::limits;
use crate::meter::Meter;
use crate::report::{Figure, Setting, Unit, latency, micros_each};
use crate::rounds::Measurement;
use crate::target::Target;

/// One run.
pub(crate) struct Case {
    via: PublishVia,
    publishers: u32,
    channels: u32,
}

impl Measurement for PublishArgs {
    const NAME: &'static str = "publications";
    type Case = Case;

    fn cases(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        for &via in &self.via {
            for &publishers in &self.publishers {
                cases.extend(self.channels.iter().map(|&channels| Case { via, publishers, channels }));
            }
        }
        cases
    }

    fn setting(&self, case: &Case) -> Setting {
        vec![
            ("via", case.via.name().into()),
            ("publishers", case.publishers.into()),
            ("channels", case.channels.into()),
            ("bytes", self.payload.into()),
        ]
    }

    fn connections(&self, case: &Case) -> u32 {
        lanes::connections(case.via, case.publishers)
    }

    async fn measure(&self, target: &Arc<Target>, case: &Case) -> Result<Vec<Figure>> {
        let mut lanes = Lanes::open(target, case.via, case.publishers).await?;
        let acknowledged: Arc<[AtomicU64]> = (0..case.channels).map(|_| AtomicU64::new(0)).collect();
        let work = |duration: Duration| {
            let scattered = lanes::scattered(case.channels);
            Work {
                channel: Box::new(scattered),
                count: u64::MAX,
                until: Some(Instant::now() + duration),
                bytes: self.payload,
                began: Instant::now(),
                acknowledged: Arc::clone(&acknowledged),
                begun: AtomicU64::new(0),
            }
        };
        let positions = Positions::of(target, case.channels).await?;
        target.settle().await;
        lanes.publish(work(limits::WARM_UP)).await?;
        let meter = Meter::start(target)?;
        let (publications, latencies) = lanes.publish(work(self.duration)).await?;
        let spent = meter.stop(target)?;
        positions.ensure_grown_by(target, &acknowledged).await?;

        let per_second = 1e6 / micros_each(spent.elapsed, publications).max(f64::MIN_POSITIVE);
        let names = [
            ("acknowledged_p50_us", "p50"),
            ("acknowledged_p99_us", "p99"),
            ("acknowledged_p999_us", "p99.9"),
            ("acknowledged_max_us", "max"),
        ];
        let each = spent.server_each(publications);
        let mut figures = vec![
            Figure::count("publications", "", publications),
            Figure::new("publications_per_second", "publications/s", Unit::Count, Some(per_second)),
        ];
        figures.extend(latency(names, &latencies));
        figures.push(Figure::new("server_cpu_us_per_publication", "server CPU/publication", Unit::Cpu, each));
        figures.extend(spent.figures());
        Ok(figures)
    }
}

impl PublishVia {
    pub(crate) fn name(self) -> &'static str {
        match self {
            PublishVia::Api => "api",
            PublishVia::Client => "client",
        }
    }
}
