//! Every bound of the hub, with its unit and reason. Operators read this file first.

use std::time::Duration;

/// Bytes of a channel name: fits any log line and index, and is what SDKs expect.
pub const CHANNEL_NAME_BYTES_MAX: usize = 255;

/// How long a closing connection may still write what was queued before it is cut.
pub const CLOSING_MAX: Duration = Duration::from_secs(1);

/// How long a stream without publications is remembered when nobody is subscribed: long enough for a reconnect.
pub const EMPTY_STREAM_KEPT: Duration = Duration::from_secs(60);

/// How long the numbering of a stream outlives its last publication, so that clients who missed nothing can resume.
pub const STREAM_KEPT: Duration = Duration::from_secs(3600);

/// Bytes of replies that wait for one connection beyond which it is not read while it is written to: whoever asks for more
/// before it has read the last answers has to wait, and is not closed for what it asked itself.
pub const REPLIES_WHILE_WRITING_MAX: usize = 256 << 10;

/// How often expired publications and forgotten streams are swept.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

/// How long to wait before a gap is read again that could not be read.
pub const GAP_RETRY: Duration = Duration::from_secs(1);

/// Bytes that the history of one channel keeps in memory unless its options say otherwise.
pub const HISTORY_BYTES: usize = 1 << 20;

/// Clients that a presence reply lists unless the channel's options say otherwise: some megabytes.
pub const PRESENCE_CLIENTS: usize = 10_000;

/// Subscribers up to which a channel tells who comes and goes unless its options say otherwise.
pub const JOIN_LEAVE_SUBSCRIBERS: usize = 1_000;

/// Bytes that are kept of each header of a connection: enough for what limits and logs tell apart.
pub const PEER_HEADER_BYTES_MAX: usize = 256;

/// What one connection, one channel and the whole hub may take.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Subscriptions of one connection; more is error 106. SDK users seldom pass a few dozen.
    pub channels_per_connection_max: usize,
    /// Connections of one user; more is close 3504. A person has a few devices with a few tabs each; an application that
    /// gives one name to many can raise it. Those with a tag and those without are counted apart, so that whoever may
    /// only claim a name shuts nobody out who has signed in under it; nameless ones are not counted.
    pub connections_per_user_max: usize,
    /// Channels with history in memory that exist at once, by subscribers or by what they remember; more is error 106.
    /// Bounds what clients can create by making up names, some kilobytes each. Others exist only while somebody is in
    /// them, which the connections bound: whoever makes up names shuts nobody out of those.
    pub channels_max: usize,

    /// Bytes waiting for one connection before it counts as slow (close 3008): some seconds of a mobile link.
    pub outbox_bytes_max: usize,
    /// Messages waiting for one connection before it counts as slow: small messages cost their queue slot too.
    pub outbox_messages_max: usize,
    /// Publications held back while a subscription is being prepared; more is close 3010, and the client recovers.
    pub publications_held_max: usize,

    /// Commands of one connection that wait for an earlier one; then its transport is not read until they are done.
    pub commands_waiting_max: usize,
    /// Commands a second that one connection may send in the long run; more is error 111.
    pub commands_per_second: u32,
    /// Commands that may come at once: a client that reconnects sends all its subscriptions in one frame.
    pub commands_burst: u32,
    /// Of those, `subscribe`, `presence` and `presence_stats` commands a second: each of them makes the hub tell or ask
    /// all who are in a channel, and a person opens few rooms in a second.
    pub subscribes_per_second: u32,
    /// Of those, how many may come at once: a client that reconnects subscribes to all its channels and may ask who is
    /// in each.
    pub subscribes_burst: u32,
    /// Commands refused by a rate limit, without a real pause between them, before the connection is closed with 3013.
    pub commands_refused_max: u32,

    /// Time between pings; proxies commonly cut connections that are silent for 60 s.
    pub ping_interval: Duration,
    /// Time that a client has to answer a ping (close 3012), beside what it needs to read what was written before it.
    pub pong_timeout: Duration,
    /// Bytes a second that the slowest client reads: the time for an answer begins when what was written before has been
    /// read at this rate. The same as the slowest transport may take, 16 KiB in 10 s.
    pub read_rate_min: u32,
    /// The longest that a client may take for an answer, whatever it has to read: one that takes bytes and never answers
    /// is closed then. Five minutes are 8 MiB at 28 kB/s.
    pub pong_timeout_max: Duration,
    /// Time that a client has to connect successfully (close 3502).
    pub connect_timeout: Duration,
    /// Time that the policy and the application have for one command, and broker and history for one answer; then it is
    /// error 100. SDKs wait 5 s by themselves, so nobody is listening any more, and what hangs must not hold up the
    /// connection's other commands for ever.
    pub operation_timeout: Duration,
    /// Time beyond its ttl that a connection or subscription gets for its refresh.
    pub expiry_grace: Duration,

    /// Publications that a recovery may bring; who missed more is told `recovered: false`.
    pub recovery_publications_max: usize,
    /// Bytes that a recovery may bring: must fit the outbox with room for what comes meanwhile.
    pub recovery_bytes_max: usize,
    /// Publications that one history reply may bring.
    pub history_publications_max: usize,
    /// Bytes that one history reply may bring, but always one publication; the client asks on from the last one. Must
    /// fit the outbox as a recovery must.
    pub history_reply_bytes_max: usize,

    /// Bytes that all histories together keep in memory. Where they are used up, a publication replaces older ones of
    /// its own channel, and where there are none it is numbered and delivered but not kept: nobody can resume over it.
    pub history_bytes_max: usize,
    /// How long a publication that came ahead of its turn is held back for those before it, before they are read: other
    /// nodes' publications overtake each other by a few milliseconds.
    pub reorder_wait: Duration,
    /// Publications of one channel that are held back for those before them; what comes on top is read again later.
    pub reorder_publications_max: usize,
    /// Time between checks that channels have delivered everything that was published: heals what was lost last.
    pub position_check_interval: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            channels_per_connection_max: 128,
            connections_per_user_max: 300,
            channels_max: 100_000,
            outbox_bytes_max: 4 << 20,
            outbox_messages_max: 8_192,
            publications_held_max: 1_024,
            commands_waiting_max: 256,
            commands_per_second: 200,
            commands_burst: 1_000,
            subscribes_per_second: 5,
            subscribes_burst: 256,
            commands_refused_max: 500,
            ping_interval: Duration::from_secs(25),
            pong_timeout: Duration::from_secs(8),
            read_rate_min: 1_638,
            pong_timeout_max: Duration::from_secs(300),
            connect_timeout: Duration::from_secs(10),
            operation_timeout: Duration::from_secs(10),
            expiry_grace: Duration::from_secs(25),
            recovery_publications_max: 300,
            recovery_bytes_max: 2 << 20,
            history_publications_max: 300,
            history_reply_bytes_max: 2 << 20,
            history_bytes_max: 256 << 20,
            reorder_wait: Duration::from_millis(20),
            reorder_publications_max: 64,
            position_check_interval: Duration::from_secs(40),
        }
    }
}
