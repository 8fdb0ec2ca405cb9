//! What the system says of this process: memory, processor time, descriptors. Linux only; absent elsewhere.

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

/// Clock ticks a second and bytes a page, as Linux reports them in `/proc` on every architecture we build for.
const TICKS_PER_SECOND: f64 = 100.0;
const PAGE_BYTES: f64 = 4096.0;

static STARTED: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();

/// Marks the start of the process, for its uptime.
pub(crate) fn started() -> Instant {
    *STARTED.get_or_init(Instant::now)
}

impl Figures {
    pub(crate) fn read() -> Option<Self> {
        // proc(5): after the command's closing parenthesis, field 14 is utime, 15 stime, 24 rss.
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        Some(Self {
            resident_bytes: field(24)? * PAGE_BYTES,
            cpu_seconds: (field(14)? + field(15)?) / TICKS_PER_SECOND,
            open_fds: f64::from(u32::try_from(std::fs::read_dir("/proc/self/fd").ok()?.count()).ok()?),
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
    }
}
