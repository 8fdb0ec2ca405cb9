//! What a stretch of time cost: CPU of the server, of the generator, and of everybody else on the machine.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::process::{self, Cpu, Process};
use crate::report::{Figure, Unit, micros_each};
use crate::target::Target;

/// Runs from [`Meter::start`] to [`Meter::stop`].
pub(crate) struct Meter {
    start: Instant,
    server: Option<Cpu>,
    generator: Cpu,
    machine: Duration,
}

/// CPU time spent meanwhile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spent {
    pub(crate) elapsed: Duration,
    /// Absent when the server's process is not known.
    pub(crate) server: Option<Duration>,
    pub(crate) generator: Duration,
    machine: Duration,
    generator_cores: usize,
}

impl Meter {
    pub(crate) fn start(target: &Target) -> Result<Meter> {
        let (machine, generator) = (process::machine_cpu()?, Process::this().cpu()?);
        Ok(Meter { server: target.server_cpu()?, generator, machine, start: Instant::now() })
    }

    pub(crate) fn stop(self, target: &Target) -> Result<Spent> {
        let elapsed = self.start.elapsed();
        let (server, generator) = (target.server_cpu()?, Process::this().cpu()?);
        Ok(Spent {
            elapsed,
            server: server.zip(self.server).map(|(now, before)| now.since(&before)),
            generator: generator.since(&self.generator),
            machine: process::machine_cpu()?.saturating_sub(self.machine),
            generator_cores: target.layout.generator.len(),
        })
    }
}

impl Spent {
    /// Microseconds of the server for each of `count` things.
    pub(crate) fn server_each(&self, count: u64) -> Option<f64> {
        self.server.filter(|_| count > 0).map(|cpu| micros_each(cpu, count))
    }

    /// What every result ends with: how busy the server was, the generator on the cores that it has, and the rest of the
    /// machine, of all its cores.
    #[expect(clippy::cast_precision_loss, reason = "no machine has 2^53 cores")]
    pub(crate) fn figures(&self) -> [Figure; 3] {
        let percent = |cpu: Duration, cores: usize| {
            100.0 * cpu.as_secs_f64() / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE) / cores.max(1) as f64
        };
        let others = self.server.map(|server| self.machine.saturating_sub(server + self.generator));
        [
            Figure::new("server_cpu_percent", "server CPU", Unit::Percent, self.server.map(|cpu| percent(cpu, 1))),
            Figure::new(
                Figure::GENERATOR_CPU,
                "generator CPU",
                Unit::Percent,
                Some(percent(self.generator, self.generator_cores)),
            ),
            Figure::new(Figure::OTHER_CPU, "others", Unit::Percent, others.map(|cpu| percent(cpu, process::cores()))),
        ]
    }
}
