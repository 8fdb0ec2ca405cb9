//! Every limit of the server, with its unit, its default and the reason for it.
//!
//! All of them are on by default: what a stranger on the network can make the server hold is bounded without a line of
//! configuration. What an operator changes, they change here and nowhere else.

use std::time::Duration;

/// What one client, and all of them together, may cost.
///
/// ```
/// use std::time::Duration;
/// let limits = tidings_serve::Limits { idle_time: Duration::from_secs(20), ..Default::default() };
/// ```
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a request's head: request line and header fields. Over it the answer is 431.
    ///
    /// 16 KiB: browsers send 1 to 4 KiB, a page with many cookies 8 KiB, and most servers stop at 8 to 16 KiB.
    pub head_bytes_max: usize,
    /// Header fields in a request. Over it the answer is 431.
    ///
    /// 100: browsers send about 20, a chain of proxies adds about 10; a parser's cost grows with the count.
    pub head_fields_max: usize,
    /// How long a request's head may take, from the connection (TLS included: from the end of the handshake) or, on a
    /// kept-alive HTTP/1.1 connection, from the head's first bytes. Past it the connection closes (slowloris).
    ///
    /// 10 s: a head is one packet or a few; the slowest honest phone sends it in two.
    pub head_time: Duration,
    /// How long a connection may stay without a request in flight.
    ///
    /// 75 s: more than the 60 s for which load balancers keep their connections to us, so that they close first and
    /// no request is sent into a connection that we are closing.
    pub idle_time: Duration,
    /// Bytes of a request's body; `None` is no limit. A larger `Content-Length` is answered with 413 before the handler
    /// runs; a chunked body fails with [`http_body_util::LengthLimitError`] while it is read.
    ///
    /// 16 MiB: room for a photograph, while a thousand uploads held in memory at once still fit a server of 16 GiB.
    pub request_body_bytes_max: Option<u64>,
    /// How long the reader of a request body waits for bytes in all, before what arrives has to keep pace with
    /// [`request_body_rate_min`](Self::request_body_rate_min). Past it reading fails with
    /// [`BodyStalled`](crate::BodyStalled).
    ///
    /// 10 s: covers a change of network on a phone, not more.
    pub request_body_stall: Duration,
    /// Bytes per second that a request body must bring on average, beyond the first
    /// [`request_body_stall`](Self::request_body_stall); time in which the handler does not read is not counted.
    ///
    /// 500 B/s: a byte every few seconds keeps a connection for hours at no cost to the sender; 500 B/s is slower than
    /// any link that people use (Apache's `MinRate` has the same value).
    pub request_body_rate_min: u32,
    /// How long a response waits for its reader in all, before its reader has to keep pace with
    /// [`response_rate_min`](Self::response_rate_min). Past it a stream of HTTP/2 is reset; the connection closes when
    /// that is true of all that it has to write together.
    ///
    /// 30 s: a reader who takes nothing for that long is gone or hostile, and what was written for them is our memory.
    pub response_stall: Duration,
    /// Bytes per second that the reader of a response must take on average, beyond the first
    /// [`response_stall`](Self::response_stall).
    ///
    /// 500 B/s: a window of a byte every few seconds keeps an answer in memory for ever at no cost to the reader; a link
    /// of 10 kB/s with twenty streams at once still gives each of them 500.
    pub response_rate_min: u32,
    /// Bytes of responses that one connection may have under way: made by a handler and not yet taken by their reader.
    /// A further answer is replaced by 503 with `Retry-After`; a connection with none under way gets one of any size.
    ///
    /// 8 MiB: sixteen answers of 512 KiB at once; a page in a browser needs a tenth.
    pub response_bytes_per_connection_max: usize,
    /// The same of all connections together. Beyond it the connection that holds most is cut; where nobody holds more
    /// than the one who asks, the answer is 503.
    ///
    /// 96 MiB: some thousand pages that are on their way at the same moment to readers who are slower than we, in a
    /// server that lives in 512 MiB. The buffers behind answers can be twice as large as what is in them.
    pub response_bytes_max: usize,
    /// How long the kernel keeps data that the peer does not acknowledge (`TCP_USER_TIMEOUT`) before the connection is
    /// dead; covers sockets after their upgrade too.
    ///
    /// 20 s: the kernel's own answer is about 15 minutes. It outlasts a change of network, and together with a heartbeat
    /// every 25 s it finds a dead peer within two of those, however much was written to it before.
    pub unacknowledged_time: Duration,
    /// Bytes that the kernel takes for a connection beyond what is on its way to the peer (`TCP_NOTSENT_LOWAT`); `None`
    /// leaves it to the system, which takes megabytes.
    ///
    /// 32 KiB: whoever writes learns within so many bytes that the peer has stopped to read, or goes on reading slowly,
    /// and a ping does not wait behind megabytes. What is on its way is not limited by it, so neither is the speed.
    pub unsent_bytes_max: Option<u32>,
    /// How long a TLS handshake may take. Past it the connection closes.
    ///
    /// 10 s: two round trips; the same allowance as for a request's head.
    pub tls_handshake_time: Duration,
    /// Connections in all, open sockets included; `None` means: as many as the process may open files, less those that
    /// it has open when the server starts, and less a reserve of one in eight (at least 32, the open ones among them, and
    /// 16 beside them) for the application's own files and connections. Over it: 503 with `Retry-After`.
    ///
    /// Derived, because every other default is wrong on half of all machines, and running out of files hurts more than
    /// this server alone.
    pub connections_max: Option<usize>,
    /// Connections from one IPv4 address or one IPv6 /64 network. Loopback and trusted proxies are exempt: they speak
    /// for many.
    ///
    /// 1,024: an office behind one address has hundreds of people with a few connections each; one attacker with one
    /// address cannot take the whole budget.
    pub connections_per_address_max: usize,
    /// Connections per second that one such address may open, on average; a burst of
    /// [`connections_per_address_max`](Self::connections_per_address_max) is free. At least 1 and at most 1,000; the
    /// same are exempt.
    ///
    /// 100/s: an office that comes back after a restart is let in at once by the burst; a client that reconnects
    /// without waiting is not.
    pub connection_rate_per_address_max: u32,
    /// HTTP/2 streams open at the same time on one connection.
    ///
    /// 200: RFC 9113 asks for at least 100; browsers seldom pass 100.
    pub streams_per_connection_max: u32,
    /// Bytes that HTTP/2 holds per stream for a reader who is slower than the handler.
    ///
    /// 64 KiB: with 200 streams that is 12.5 MiB for the worst connection; hyper's default of 400 KiB would make it 80
    /// MiB.
    pub stream_send_bytes_max: usize,
    /// The first pause of the accept loop when the process has run out of files or memory; doubles up to
    /// [`accept_pause_max`](Self::accept_pause_max).
    ///
    /// 5 ms: as in Go's net/http; short enough not to be noticed when one descriptor was missing for a moment.
    pub accept_pause_min: Duration,
    /// The longest pause of the accept loop.
    ///
    /// 1 s: whoever frees the descriptors sees the server answer again within a second.
    pub accept_pause_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes_max: 16 * 1024,
            head_fields_max: 100,
            head_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(75),
            request_body_bytes_max: Some(16 * 1024 * 1024),
            request_body_stall: Duration::from_secs(10),
            request_body_rate_min: 500,
            response_stall: Duration::from_secs(30),
            response_rate_min: 500,
            response_bytes_per_connection_max: 8 * 1024 * 1024,
            response_bytes_max: 96 * 1024 * 1024,
            unacknowledged_time: Duration::from_secs(20),
            unsent_bytes_max: Some(32 * 1024),
            tls_handshake_time: Duration::from_secs(10),
            connections_max: None,
            connections_per_address_max: 1024,
            connection_rate_per_address_max: 100,
            streams_per_connection_max: 200,
            stream_send_bytes_max: 64 * 1024,
            accept_pause_min: Duration::from_millis(5),
            accept_pause_max: Duration::from_secs(1),
        }
    }
}

/// Bytes of hyper's read and write buffers per HTTP/1.1 connection, at most. No request head above this is even
/// collected; between this and [`Limits::head_bytes_max`] we answer 431 ourselves. 64 KiB: larger buffers did not make
/// uploads faster.
pub(crate) const CONNECTION_BUFFER_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a response that are not counted against [`Limits::response_bytes_max`]. 2 KiB: less than what the stream
/// itself costs.
pub(crate) const RESPONSE_BYTES_UNCOUNTED: usize = 2 * 1024;
/// Bytes under way from which on a connection is among those that are cut when there are too many in all. 256 KiB: some
/// hundred such connections hold what all may hold, and are looked through at once.
pub(crate) const RESPONSE_BYTES_WATCHED: usize = 256 * 1024;
/// Bytes of a response that are handed to an HTTP/2 connection at a time. 16 KiB: the largest frame that every peer
/// takes; what has been handed over cannot be taken back by resetting one stream.
pub(crate) const STREAM_PIECE_BYTES_MAX: usize = 16 * 1024;

/// How long the rest of a request's body is read and thrown away after its handler has answered without it, so that the
/// client gets to the answer. 10 s, and no longer than 500 ms of silence: a client that has seen the answer stops.
pub(crate) const DRAIN_TIME: Duration = Duration::from_secs(10);
pub(crate) const DRAIN_SILENCE: Duration = Duration::from_millis(500);

/// How long after an answer what had to do with its request may still wake the connection's task: the request's body, a
/// timer, another task. 100 ms: it is a matter of microseconds, on a machine that is not overloaded.
pub(crate) const SETTLING_TIME: Duration = Duration::from_millis(100);

/// How long an HTTP/2 connection may take to end after its last `GOAWAY`. 5 s: the frame and its answer, on a poor
/// link.
pub(crate) const GOAWAY_TIME: Duration = Duration::from_secs(5);

/// How often an HTTP/2 peer is asked for a sign of life while it has streams open, and how long its answer may take.
/// 20 s + 20 s: below the 60 s after which proxies forget a silent connection.
pub(crate) const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(20);
pub(crate) const HTTP2_PING_TIME: Duration = Duration::from_secs(20);

/// Connections over the budget that are told so (503) at the same time; the rest is closed without a word.
/// 64: each costs a descriptor from the reserve for at most [`TURN_AWAY_TIME`]; where files are few it is one in sixteen
/// of them.
pub(crate) const TURNED_AWAY_MAX: usize = 64;
/// How long turning one connection away may take. 1 s: read one packet, write one packet.
pub(crate) const TURN_AWAY_TIME: Duration = Duration::from_secs(1);
/// Seconds that a client over the budget is asked to wait (`Retry-After`). 5 s: connections free up within a page load.
pub(crate) const RETRY_AFTER_SECONDS: u32 = 5;

/// How long a background task that panicked rests before it is started again. 1 s: one that panics at once and always must
/// not fill the log.
pub(crate) const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// Groups in which sockets are closed during a shutdown. 64: over 2 s that is a group every 31 ms, below what one
/// notices and above what a timer costs.
pub(crate) const SOCKET_WAVES: usize = 64;
/// How closely sockets may follow one another while they are closed. 1 ms: 1,000 reconnections a second is what a small
/// server takes easily when it comes back.
pub(crate) const SOCKET_CLOSE_INTERVAL: Duration = Duration::from_millis(1);

/// The connections that fit this process when [`Limits::connections_max`] is `None`.
pub(crate) fn connections_for_this_process() -> usize {
    connections_for(files_of_this_process(), open_files())
}

/// How many of those for whom there is no place may be told so at the same time.
pub(crate) fn turned_away_for_this_process() -> usize {
    turned_away_for(files_of_this_process())
}

fn files_of_this_process() -> usize {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    files.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX))
}

/// Linux says; elsewhere the reserve must do.
fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

fn connections_for(files: usize, open: usize) -> usize {
    files.saturating_sub((files / 8).max(32).max(open + 16)).max(1)
}

fn turned_away_for(files: usize) -> usize {
    (files / 16).clamp(1, TURNED_AWAY_MAX)
}

#[cfg(test)]
mod tests {
    use super::{connections_for, turned_away_for};

    #[test]
    fn s17_the_budget_leaves_a_reserve_of_files_to_the_application() {
        assert_eq!(connections_for(20_000, 20), 17_500);
        assert_eq!(connections_for(256, 10), 224);
        assert_eq!(connections_for(64, 20), 28, "those that are open already are no room");
        assert_eq!(connections_for(16, 20), 1);
        assert_eq!((turned_away_for(20_000), turned_away_for(64), turned_away_for(8)), (64, 4, 1));
    }
}
