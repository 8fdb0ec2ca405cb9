//! What the kernel says about a process: CPU time, memory, file descriptors (Linux, `/proc`).

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::limits;

/// The kernel counts CPU time for `/proc/<pid>/stat` in hundredths of a second on every Linux architecture.
const TICK: Duration = Duration::from_millis(10);

/// A process of this machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process(u32);

impl Process {
    pub(crate) fn new(id: u32) -> Process {
        Process(id)
    }

    pub(crate) fn this() -> Process {
        Process(std::process::id())
    }

    /// User and system time so far, of all its threads.
    pub(crate) fn cpu(self) -> Result<Duration> {
        parse_cpu(&self.read("stat")?).with_context(|| format!("reading the CPU time of process {}", self.0))
    }

    /// Resident memory, in bytes.
    pub(crate) fn memory_bytes(self) -> Result<u64> {
        parse_memory(&self.read("status")?).with_context(|| format!("reading the memory of process {}", self.0))
    }

    /// Fails when the process may not open enough files for `connections` sockets.
    pub(crate) fn ensure_descriptors(self, connections: u32) -> Result<()> {
        let Some(max) = parse_descriptors(&self.read("limits")?) else { return Ok(()) };
        let room = max.saturating_sub(limits::DESCRIPTORS_SPARE);
        ensure!(
            u64::from(connections) <= room,
            "{connections} connections need more files than process {} may open ({max}): ask for at most {room}, or \
             raise the limit with 'ulimit -n'",
            self.0
        );
        Ok(())
    }

    fn read(self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.0);
        std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))
    }
}

fn parse_cpu(stat: &str) -> Option<Duration> {
    // The second field is the program's name in brackets and may itself hold spaces and brackets.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(TICK * (user + system))
}

fn parse_memory(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

fn parse_descriptors(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// CPU time that the whole machine has spent working, on all cores together.
pub(crate) fn machine_cpu() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/stat").context("reading /proc/stat")?;
    parse_machine_cpu(&stat).context("reading the machine's CPU time")
}

fn parse_machine_cpu(stat: &str) -> Option<Duration> {
    let ticks: Vec<u32> =
        stat.lines().next()?.split_whitespace().skip(1).map_while(|ticks| ticks.parse().ok()).collect();
    // user, nice, system, then idle and waiting for the disk, then interrupts.
    let [user, nice, system, _, _, interrupts, soft_interrupts, ..] = *ticks else { return None };
    Some(TICK * (user + nice + system + interrupts + soft_interrupts))
}

/// Cores that this process may use.
#[expect(clippy::cast_precision_loss, reason = "no machine has 2^53 cores")]
pub(crate) fn cores() -> f64 {
    std::thread::available_parallelism().map_or(1, usize::from) as f64
}

/// The machine in a few words, for the result: figures mean nothing without it.
pub(crate) fn machine() -> String {
    let cores = cores();
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split(':').nth(1));
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{cores} cores, {}, Linux {}", model.unwrap_or("unknown processor").trim(), kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_user_plus_system_whatever_the_program_is_called() {
        let stat = "71 (tidings) x) S 1 71 71 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 4 0 100 1000 10";
        assert_eq!(parse_cpu(stat), Some(Duration::from_secs(3)));
    }

    #[test]
    fn the_machine_works_when_it_neither_idles_nor_waits() {
        let stat = "cpu  100 10 50 9000 700 5 35 9 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
        assert_eq!(parse_machine_cpu(stat), Some(Duration::from_secs(2)));
        assert!(machine_cpu().is_ok());
    }

    #[test]
    fn memory_is_the_resident_size_in_bytes() {
        assert_eq!(parse_memory("Name:\ttidings\nVmRSS:\t    2048 kB\n"), Some(2 << 20));
    }

    #[test]
    fn the_limit_of_open_files_is_the_soft_one_and_may_be_absent() {
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            20000    30000    files \n";
        assert_eq!(parse_descriptors(limits), Some(20_000));
        assert_eq!(parse_descriptors("Max open files  unlimited unlimited files"), None);
    }

    #[test]
    fn this_process_can_be_read() {
        let this = Process::this();
        assert!(this.cpu().is_ok() && this.memory_bytes().unwrap() > 0);
        let error = this.ensure_descriptors(u32::MAX).unwrap_err().to_string();
        assert!(error.contains("ulimit -n"), "{error}");
    }
}
