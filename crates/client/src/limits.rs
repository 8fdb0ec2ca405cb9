//! Every bound of the client in one place, with its unit and its reason.

use std::time::Duration;

/// Events that wait for one subscription's reader. Above it the subscription pauses and resumes by recovery, so a slow
/// reader costs the others nothing. More than the 300 publications that one recovery brings.
pub const EVENTS_MAX: usize = 1024;

/// Server-side events (for channels that the server subscribed us to) that wait for their reader; beyond it the oldest
/// unread stay and new ones are dropped with a warning, because the server decides on these channels, not the reader.
pub const SERVER_EVENTS_MAX: usize = 1024;

/// Orders from the handles to the connection's task that wait; above it the callers wait.
pub const ORDERS_MAX: usize = 256;

/// Requests in flight or waiting for a connection; above it a request fails at once instead of piling up.
pub const REQUESTS_MAX: usize = 4096;

/// Bytes of commands joined into one frame: half of the 64 KiB that a server accepts in one message by default.
pub const BATCH_BYTES_MAX: usize = 32 * 1024;

/// Bytes of one message from the server. Large enough for a recovery of 300 publications of 16 KiB.
pub const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes of commands that wait to be written; above twice [`BATCH_BYTES_MAX`] no new orders are taken, so that what comes on
/// top is what a reconnect makes by itself: the subscriptions, with their tokens.
pub const QUEUE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes of one answer of the HTTP API, which is at most one page of history.
pub const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How long one attempt to open a socket, including TLS and the upgrade, may take.
pub const DIAL_TIME: Duration = Duration::from_secs(10);

/// How long a close handshake may take that nobody needs the result of.
pub const CLOSE_TIME: Duration = Duration::from_secs(1);

/// How long the server may take to answer a request, and a request may wait for a connection; and how long it may take to
/// read 16 KiB. While a message is arriving that is not complete, no answer is late: it may be in it, or behind it.
pub const REPLY_TIME: Duration = Duration::from_secs(5);

/// Silence allowed beyond the server's ping interval before the connection counts as dead.
pub const PING_GRACE: Duration = Duration::from_secs(10);

/// How long a token provider may take.
pub const TOKEN_TIME: Duration = Duration::from_secs(10);

/// How long one call of the HTTP API may take altogether.
pub const API_TIME: Duration = Duration::from_secs(15);

/// Ceiling of the first reconnect delay. 10,000 clients of a restarted server come back at about 10 per millisecond.
pub const BACKOFF_FIRST: Duration = Duration::from_secs(1);

/// Ceiling that the reconnect delays grow to.
pub const BACKOFF_CAP: Duration = Duration::from_secs(20);

/// A connection that stood this long was a success: the next failure starts again from [`BACKOFF_FIRST`]. One that fell
/// earlier counts as a failure, so that a server which accepts and drops at once is not called twice a second for ever.
pub const STABLE_AFTER: Duration = Duration::from_secs(5);

/// Least pause after the server said "too many requests" or "try again later" without naming a time.
pub const OVERLOAD_PAUSE: Duration = Duration::from_secs(5);

/// Longest time that a server's `Retry-After` is believed.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);
