//! Every bound of the load generator in one place, with its unit and its reason.

use std::time::Duration;

/// Connections of one run: below the 20,000 file descriptors that a process has on many machines, on both ends, with
/// room for everything else.
pub const CONNECTIONS_MAX: u32 = 18_000;

/// File descriptors that a run needs beside its connections.
pub const DESCRIPTORS_SPARE: u64 = 200;

/// Publications in flight at once; the server's own queue for one connection is what ends sooner.
pub const WINDOW_MAX: u32 = 1024;

/// Publishing connections of one run.
pub const PUBLISHERS_MAX: u32 = 1_000;

/// Publications that one publisher sends before it is the next one's turn. Servers bound how much one client publishes
/// in the long run and allow bursts; taking turns in blocks stays below that and yet looks like one publisher.
pub const TURN: u64 = 100;

/// Bytes of one payload: what fits a server's 64 KiB message limit with its envelope.
pub const PAYLOAD_BYTES_MAX: usize = 60_000;

/// Bytes of one payload at least: room for the number and the time inside it.
pub const PAYLOAD_BYTES_MIN: usize = 72;

/// Longest measured time of one run.
pub const DURATION_MAX: Duration = Duration::from_secs(600);

/// Publications of one run at most.
pub const MESSAGES_MAX: u64 = 10_000_000;

/// Connections being opened at the same time: keeps the listen queue of any server from overflowing.
pub const OPENING_MAX: usize = 64;

/// How long one connection may take to be opened, authenticated and subscribed.
pub const OPEN_TIME: Duration = Duration::from_secs(20);

/// A run in which nothing arrives for this long has failed.
pub const STALL_TIME: Duration = Duration::from_secs(10);

/// How long the server that a run starts may take until it says where it listens.
pub const START_TIME: Duration = Duration::from_secs(20);

/// Publishing before the measurement, to fill caches and grow buffers.
pub const WARM_UP: Duration = Duration::from_secs(1);

/// Rest before a measurement, so that what was needed only for connecting or disconnecting is over and freed.
pub const SETTLE_TIME: Duration = Duration::from_secs(2);

/// Connections opened and closed before the memory's zero line is taken, so that what the server allocates once is not
/// blamed on the connections.
pub const PRIMING_CONNECTIONS: u32 = 100;

/// Longest latency that the histogram holds; above it values count as this.
pub const LATENCY_MAX: Duration = Duration::from_secs(60);
