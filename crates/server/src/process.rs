//! This process as the system sees it: how many files it may open, and what it takes of memory, processor time and
//! descriptors (Linux only; absent elsewhere).

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::time::Instant;

/// Figures of this process at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) resident_bytes: f64,
    /// User and system together.
    pub(crate) cpu_seconds: f64,
    pub(crate) open_fds: f64,
    pub(crate) uptime_seconds: f64,
}

static STARTED: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();

/// Marks the start of the process, for its uptime.
pub(crate) fn started() -> Instant {
    *STARTED.get_or_init(Instant::now)
}

/// Lets the process open as many files as it may at most: each connection is one, and what service managers set for the
/// beginning is meant for programs with a few. What is left then bounds the connections.
pub(crate) fn raise_file_limit() {
    let before = getrlimit(Resource::Nofile);
    if before.current != before.maximum {
        let raised = setrlimit(Resource::Nofile, Rlimit { current: before.maximum, maximum: before.maximum });
        if let Err(error) = raised {
            tracing::warn!(%error, "the limit on open files could not be raised");
        }
    }
    let now = getrlimit(Resource::Nofile);
    tracing::info!(files = now.current, before = before.current, "open files at most");
}

/// Open descriptors. Since Linux 6.2 their folder says how many are in it; before, they have to be counted.
fn open_fds() -> Option<f64> {
    let count = match std::fs::metadata("/proc/self/fd").ok()?.len() {
        0 => u64::try_from(std::fs::read_dir("/proc/self/fd").ok()?.count()).ok()?,
        count => count,
    };
    u32::try_from(count).ok().map(f64::from)
}

impl Figures {
    pub(crate) fn read() -> Option<Self> {
        // proc(5): after the command's closing parenthesis, field 14 is utime, 15 stime, 24 rss.
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        Some(Self {
            resident_bytes: field(24)? * f64::from(u32::try_from(page_size()).ok()?),
            cpu_seconds: (field(14)? + field(15)?) / f64::from(u32::try_from(clock_ticks_per_second()).ok()?),
            open_fds: open_fds()?,
            uptime_seconds: started().elapsed().as_secs_f64(),
        })
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn the_process_has_memory_and_descriptors() {
        let figures = super::Figures::read().unwrap();
        assert!(figures.resident_bytes > 1e6 && figures.open_fds >= 3.0, "{figures:?}");
        let stat = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = stat.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        let ratio = figures.resident_bytes / (kib * 1024.0);
        assert!((0.5..2.0).contains(&ratio), "pages are of the size that the system says: {ratio}");
    }
}
