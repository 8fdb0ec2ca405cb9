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

/// Publications or posts a second of an open loop: more than any server here takes.
pub const RATE_MAX: u32 = 200_000;

/// Publications that are under way in an open loop before it has to be said that it cannot be kept up: seconds of them.
pub const BEHIND_MAX: u64 = 8_192;

/// Posts that wait for one connection of an open loop, before the same is said.
pub const POSTS_WAITING_MAX: usize = 1_024;

/// Channels of one run.
pub const CHANNELS_MAX: u32 = 1_000_000;

/// Channels of one connection: what a server lets one client subscribe to.
pub const CHANNELS_PER_CONNECTION_MAX: u32 = 128;

/// Channels that a server gives to clients by default, of its 100,000; above it a run needs its key `channels_max`.
pub const CHANNELS_BY_DEFAULT: u32 = 90_000;

/// Connections over which the client publications of one run are spread: a server lets each publish 200 a second in the
/// long run.
pub const CLIENT_PUBLISHERS: u32 = 256;

/// People of the chat in one run: as many as one invite lets in, and each costs a password's hash.
pub const PEOPLE_MAX: u32 = 100;

/// Posts in flight at once, each on a connection of its own.
pub const IN_FLIGHT_MAX: u32 = 2_000;

/// Pause after a post that a rate limit refused, before it is sent again.
pub const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// Bytes of one message of the chat: what a server takes.
pub const BODY_BYTES_MAX: usize = 16 * 1024;

/// Bytes of one answer over HTTP: the largest page of a room's events, and more.
pub const ANSWER_BYTES_MAX: usize = 4 << 20;

/// Connections over which what streams send goes: they answer a ping each 25 s.
pub const UPLINKS: usize = 8;

/// Rounds of one command.
pub const ROUNDS_MAX: u32 = 50;

/// Servers that are measured in turn in one command.
pub const CANDIDATES_MAX: usize = 8;

/// Part of the machine that other programs may use before the result says so, in percent.
pub const OTHERS_MUCH_PERCENT: f64 = 10.0;

/// Part of the cores it has that the generator uses when it is what holds everything up, in percent.
pub const GENERATOR_FULL_PERCENT: f64 = 90.0;

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

/// Rest before a measurement unless the arguments say otherwise, so that what was needed only for connecting or disconnecting is over and freed.
pub const SETTLE_TIME: Duration = Duration::from_secs(2);

/// Connections opened and closed before the memory's zero line is taken, so that what the server allocates once is not
/// blamed on the connections.
pub const PRIMING_CONNECTIONS: u32 = 100;

/// Longest latency that the histogram holds; above it values count as this.
pub const LATENCY_MAX: Duration = Duration::from_secs(60);
