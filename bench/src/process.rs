//! What the kernel says about a process: CPU time, memory, file descriptors (Linux, `/proc`).

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

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

    /// Whether it has ended, or was never there.
    pub(crate) fn is_gone(self) -> bool {
        self.read("stat").map_or(true, |stat| stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z')))
    }

    /// User and system time so far, of all its threads.
    pub(crate) fn cpu(self) -> Result<Cpu> {
        let ticks = parse_cpu(&self.read("stat")?);
        let ticks = ticks.with_context(|| format!("reading the CPU time of process {}", self.0))?;
        Ok(Cpu { ticks, threads: self.threads().unwrap_or_default() })
    }

    /// The time on a core of each thread there is, in nanoseconds.
    fn threads(self) -> Option<HashMap<u32, u64>> {
        let ids = self.thread_ids().ok()?;
        // A thread may end between the listing and the reading.
        let time = |id: u32| Some((id, parse_thread(&self.read(&format!("task/{id}/schedstat")).ok()?)?));
        Some(ids.into_iter().filter_map(time).collect())
    }

    pub(crate) fn thread_ids(self) -> Result<Vec<u32>> {
        let path = format!("/proc/{}/task", self.0);
        let entries = std::fs::read_dir(&path).with_context(|| format!("reading {path}"))?;
        let id = |entry: std::io::Result<std::fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
        Ok(entries.filter_map(id).collect())
    }

    /// The cores on which its first thread may run.
    pub(crate) fn cores(self) -> Option<Vec<usize>> {
        parse_cores(&self.read("status").ok()?)
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

/// CPU time of a process at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cpu {
    /// Of all threads there ever were, in hundredths of a second.
    ticks: Duration,
    /// In nanoseconds, of the threads there are: a connect costs microseconds, and a run may have a thousand of them.
    threads: HashMap<u32, u64>,
}

impl Cpu {
    /// What was spent since `before`: exactly where no thread has ended meanwhile, in whole ticks else.
    pub(crate) fn since(&self, before: &Cpu) -> Duration {
        let ticks = self.ticks.saturating_sub(before.ticks);
        let ended = before.threads.keys().any(|id| !self.threads.contains_key(id));
        let spent = |(id, now): (&u32, &u64)| now.saturating_sub(before.threads.get(id).copied().unwrap_or(0));
        let exact = Duration::from_nanos(self.threads.iter().map(spent).sum());
        // A thread that came and went in between shows in the ticks alone.
        if ended || exact + 2 * TICK < ticks { ticks } else { exact }
    }
}

/// Time on a core, time waiting for one, turns.
fn parse_thread(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().next()?.parse().ok()
}

/// A list such as `0-3,8`.
fn parse_cores(status: &str) -> Option<Vec<usize>> {
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let mut cores = Vec::new();
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        cores.extend(first.parse::<usize>().ok()?..=last.parse().ok()?);
    }
    Some(cores)
}

/// Lets this process open as many files as it may; says from what to what, where that changed anything.
pub(crate) fn raise_descriptors() -> Option<(u64, u64)> {
    let before = getrlimit(Resource::Nofile);
    let (now, most) = (before.current?, before.maximum?);
    let raised = Rlimit { current: Some(most), maximum: Some(most) };
    (now < most && setrlimit(Resource::Nofile, raised).is_ok()).then_some((now, most))
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

/// Cores of the machine.
pub(crate) fn cores() -> usize {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let is_core =
        |line: &&str| line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    stat.lines().filter(is_core).count().max(1)
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
    fn cpu_time_is_exact_as_long_as_no_thread_ends() {
        let at = |millis, threads: &[(u32, u64)]| Cpu {
            ticks: Duration::from_millis(millis),
            threads: threads.iter().copied().collect(),
        };
        let before = at(100, &[(1, 60_000_000), (2, 41_000_000)]);
        let and_a_new_one = at(110, &[(1, 61_500_000), (2, 42_000_000), (3, 700_000)]);
        assert_eq!(and_a_new_one.since(&before), Duration::from_micros(3_200));
        assert_eq!(at(150, &[(1, 61_500_000)]).since(&before), Duration::from_millis(50), "one has ended");
        assert_eq!(at(150, &[(1, 60_000_000), (2, 41_000_000)]).since(&before), Duration::from_millis(50));
        assert_eq!(parse_thread("84276835 240756240 214\n"), Some(84_276_835));
    }

    #[test]
    fn the_cores_of_a_process_are_a_list_of_ranges() {
        assert_eq!(parse_cores("Cpus_allowed:\tff\nCpus_allowed_list:\t0-2,5\n"), Some(vec![0, 1, 2, 5]));
        assert!(!Process::this().cores().unwrap().is_empty());
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
        assert!(this.cpu().is_ok() && this.memory_bytes().unwrap() > 0 && !this.is_gone());
        assert!(Process::new(u32::MAX).is_gone());
        let error = this.ensure_descriptors(u32::MAX).unwrap_err().to_string();
        assert!(error.contains("ulimit -n"), "{error}");
    }
}
