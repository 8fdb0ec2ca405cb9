//! A name for each request, for the log and for the person who reports a fault.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};

/// A request's name: from its [`Connection`](crate::Connection), on the log line of a panic, and in the `x-request-id`
/// field of the 500.
///
/// Unique within a run of the server; the first part differs from run to run. It is no secret and no proof of anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId {
    pub(crate) boot: u32,
    pub(crate) number: u64,
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{:x}", self.boot, self.number)
    }
}

/// A number that differs from one run of the process to the next.
pub(crate) fn boot() -> u32 {
    let random = RandomState::new().build_hasher().finish();
    u32::try_from(random >> 32).expect("32 bits are left")
}
