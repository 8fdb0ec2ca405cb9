//! Every limit of the engine, with its unit and its reason.

use std::time::Duration;

/// Longest whole message a server takes by default, in bytes after inflating. Chat and live data are far smaller, and
/// every connection may make us hold one of these.
pub const SERVER_MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Longest whole message a client takes by default, in bytes after inflating. A client chose its server, so it trusts more.
pub const CLIENT_MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Fragments without payload in one message. They cost the sender two bytes and us a turn of the loop, and no honest
/// peer needs more than a few.
pub const EMPTY_FRAGMENTS_MAX: u32 = 100;

/// Longest payload of a control frame, in bytes (RFC 6455 §5.5).
pub const CONTROL_BYTES_MAX: usize = 125;

/// Longest reason of a close frame, in bytes of UTF-8: a control payload less the two bytes of the code.
pub const CLOSE_REASON_BYTES_MAX: usize = CONTROL_BYTES_MAX - 2;

/// Bytes of frames that may wait to be written, by default. More means that the peer does not read.
pub const QUEUE_BYTES_MAX: usize = 1024 * 1024;

/// Answers to pings that may wait to be written, in frames. Beyond it we stop reading until the peer reads.
#[cfg(feature = "tokio")]
pub(crate) const QUEUED_REPLIES_MAX: usize = 256;

/// How long the transport may take to accept [`WRITE_PROGRESS_BYTES`], or all that waits if that is less.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes that a peer must take within a write timeout, so that a slow line is not cut off in the middle of a long frame,
/// and a peer that reads a byte now and then is: half a kilobyte a second by default.
pub const WRITE_PROGRESS_BYTES: usize = 16 * 1024;

/// The longest that a peer may take to answer a heartbeat's ping, however much was written before it. 5 minutes: some
/// megabytes on the slowest line.
pub const HEARTBEAT_TIMEOUT_MAX: Duration = Duration::from_secs(300);

/// How long we wait for the peer's half of the closing handshake, and for it to take what we wrote last.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a handshake may take, from the first byte to the last.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest block of HTTP header fields in a handshake, in bytes of names and values (431 beyond).
pub const HEADER_BYTES_MAX: usize = 16 * 1024;

/// Header fields in a handshake (431 beyond).
pub const HEADERS_MAX: usize = 100;

/// Bytes behind a refused request that are read and thrown away, so that the answer arrives: far more than honest clients
/// send before they are answered.
#[cfg(feature = "tokio")]
pub(crate) const REFUSED_BYTES_MAX: u64 = 64 * 1024;

/// Bytes of a refusal's body that a client keeps: enough for any explanation.
pub const REFUSAL_BODY_BYTES_MAX: usize = 64 * 1024;

/// How long a client waits for one address of a host before it tries the next beside it (RFC 8305 §5, the "Connection
/// Attempt Delay").
#[cfg(feature = "client")]
pub(crate) const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// How long a client waits for a refusal's body: the refusal itself is known already.
pub const REFUSAL_BODY_TIMEOUT: Duration = Duration::from_secs(1);

/// Interim answers, such as 100 and 103, that a client passes over before the final one: servers send one or two.
#[cfg(feature = "client")]
pub(crate) const INTERIM_ANSWERS_MAX: usize = 8;

/// Buffer that all connections of a thread read into, in bytes: as much as one read usually yields under load, and a
/// message of 64 KiB with its head.
#[cfg(feature = "tokio")]
pub(crate) const READ_BUFFER_BYTES: usize = 68 * 1024;

/// Bytes read before a message that is probably long, to learn its length: the rest is read straight to where it stays.
#[cfg(feature = "tokio")]
pub(crate) const BYTES_BEFORE_DIRECT: usize = 1024;

/// Slices handed to the kernel in one vectored write; two for each long payload at most.
#[cfg(feature = "tokio")]
pub(crate) const WRITE_SLICES_MAX: usize = 64;

/// Bytes to gather before receiving pauses in order to write them: about what the kernel takes at once.
#[cfg(feature = "tokio")]
pub(crate) const BYTES_PER_WRITE: usize = 64 * 1024;

/// Frames to gather before receiving pauses in order to write them: fewer would not fill a write, and more would keep the
/// first answer waiting.
#[cfg(feature = "tokio")]
pub(crate) const FRAMES_PER_WRITE: usize = 128;

/// Longest payload that is copied beside its neighbours, in bytes. Longer ones are shared with whoever else has them, and
/// the kernel gathers them: that costs a reference count and a slice, which is more than copying so little.
#[cfg(feature = "tokio")]
pub(crate) const COPIED_PAYLOAD_BYTES_MAX: usize = 1024;

/// The same when more than one write's worth waits already, in bytes: no more than the reference would take.
#[cfg(feature = "tokio")]
pub(crate) const COPIED_WHILE_STUCK_BYTES_MAX: usize = 64;

/// Bytes put together for one write to a stream that cannot gather from several places, such as HTTP/2: a TLS record's
/// worth.
#[cfg(feature = "tokio")]
pub(crate) const GATHER_BYTES: usize = 16 * 1024;

/// Largest write buffer that a thread keeps for its next queue, in bytes: one write's worth and as much again.
#[cfg(feature = "tokio")]
pub(crate) const SPARE_BUFFER_BYTES_MAX: usize = 2 * BYTES_PER_WRITE;

/// What one connection may cost. Start from [`Limits::server`] or [`Limits::client`] and change what you need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Longest message in bytes, after reassembly and inflating. A longer one fails the connection with close code
    /// 1009 and an empty reason, as soon as it announces itself. Messages read in parts are not bounded by it.
    pub message_bytes_max: usize,
    /// Fragments without payload (RFC 6455 §5.4) in one message; more fail the connection with close code 1008.
    pub empty_fragments_max: u32,
    /// Bytes of frames that may wait to be written; a frame beyond it is refused. One frame is always taken.
    pub queue_bytes_max: usize,
    /// How long the transport may take to accept [`WRITE_PROGRESS_BYTES`], or all that waits if that is less. A transport
    /// with buffers of its own, such as TLS, must pass on all that is in them within one such time, too.
    pub write_timeout: Duration,
    /// How long to wait for the peer's half of the closing handshake (RFC 6455 §7.1.1).
    pub close_timeout: Duration,
}

impl Limits {
    /// The defaults for a server, which trusts nobody: messages of up to [`SERVER_MESSAGE_BYTES_MAX`].
    #[must_use]
    pub const fn server() -> Self {
        Limits {
            message_bytes_max: SERVER_MESSAGE_BYTES_MAX,
            empty_fragments_max: EMPTY_FRAGMENTS_MAX,
            queue_bytes_max: QUEUE_BYTES_MAX,
            write_timeout: WRITE_TIMEOUT,
            close_timeout: CLOSE_TIMEOUT,
        }
    }

    /// The defaults for a client: messages of up to [`CLIENT_MESSAGE_BYTES_MAX`].
    #[must_use]
    pub const fn client() -> Self {
        Limits { message_bytes_max: CLIENT_MESSAGE_BYTES_MAX, ..Self::server() }
    }

    /// The same with another [`message_bytes_max`](Self::message_bytes_max).
    #[must_use]
    pub const fn message_bytes_max(mut self, bytes: usize) -> Self {
        self.message_bytes_max = bytes;
        self
    }

    /// The same with another [`empty_fragments_max`](Self::empty_fragments_max).
    #[must_use]
    pub const fn empty_fragments_max(mut self, fragments: u32) -> Self {
        self.empty_fragments_max = fragments;
        self
    }

    /// The same with another [`queue_bytes_max`](Self::queue_bytes_max).
    #[must_use]
    pub const fn queue_bytes_max(mut self, bytes: usize) -> Self {
        self.queue_bytes_max = bytes;
        self
    }

    /// The same with another [`write_timeout`](Self::write_timeout).
    #[must_use]
    pub const fn write_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeout = timeout;
        self
    }

    /// The same with another [`close_timeout`](Self::close_timeout).
    #[must_use]
    pub const fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }
}

/// The server's.
impl Default for Limits {
    fn default() -> Self {
        Self::server()
    }
}
