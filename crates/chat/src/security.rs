//! The security log: what whoever runs the server wants to know of later, under the target [`SECURITY_LOG`].
//!
//! It names people, rooms and sessions by their ids and says where requests came from. It has no secret in it and nothing
//! that somebody typed: no e-mail address, which may be a password in the wrong field, and no name, which could forge a line
//! (S50).

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Instant,
};

use crate::{limits::SECURITY_LINES, rates::Buckets};

/// The target of the security log's lines, in every crate.
pub const SECURITY_LOG: &str = "tidings::security";

/// Bounds the lines that strangers can cause.
pub(crate) struct SecurityLines {
    lines: Buckets<()>,
    left_out: AtomicU64,
}

impl SecurityLines {
    /// So many lines as [`SECURITY_LINES`] says.
    pub(crate) fn new() -> Self {
        Self { lines: Buckets::new(SECURITY_LINES), left_out: AtomicU64::new(0) }
    }

    /// Whether one more line may be written at `now`; then with how many were left out before it.
    pub(crate) fn next(&self, now: Instant) -> Option<u64> {
        if self.lines.take((), now).is_ok() {
            return Some(self.left_out.swap(0, Relaxed));
        }
        self.left_out.fetch_add(1, Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_flood_is_told_of_and_not_written_down_try_by_try() {
        let (lines, start) = (SecurityLines::new(), Instant::now());
        let written = (0..1_000).filter(|_| lines.next(start).is_some()).count();
        assert_eq!(written, SECURITY_LINES.burst as usize);
        assert_eq!(lines.next(start + Duration::from_secs(1)), Some(1_000 - u64::from(SECURITY_LINES.burst)));
        assert_eq!(lines.next(start + Duration::from_secs(1)), Some(0));
    }
}
