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

/// Bytes up to which replies that are ready together leave as one message: a reconnect's answers, and no more than
/// clients take as one message anyway.
pub const JOINED_BYTES_MAX: usize = 64 << 10;

/// Bytes of replies that wait for one connection beyond which it is not read while it is written to, and none of its
/// commands is begun: whoever asks for more before it has read the last answers has to wait, and is not closed for what it
/// asked itself.
pub const REPLIES_WHILE_WRITING_MAX: usize = 256 << 10;

/// Part of what is left of [`Limits::answers_bytes_max`] that one connection may have: sixteen who do not read leave a third
/// of it, and a hundred of them some 100 kB.
pub const ANSWERS_PART: usize = 16;

/// Bytes of answers that one connection may have, whatever others have: so whoever reads gets on. Ten thousand times as much
/// is 160 MiB.
pub const ANSWER_BYTES_MIN: usize = 16 << 10;

/// Orders of the server that wait for a connection's task, which takes them whenever it runs, whether its client reads or
/// not: eight for each channel that it may have. Whoever has more is closed with 3008. A name has 255 bytes at most.
pub const ORDERS_WAITING_MAX: usize = 1_024;

/// Bytes of one piece of what a returning subscriber missed: half a second of a line of 30 kB/s, so that other answers get
/// their turn in between.
pub const CATCH_UP_BYTES: usize = 16 << 10;

/// Publications that are read for a piece, at first; more when they are small, and fewer when they are large.
pub const CATCH_UP_PUBLICATIONS: usize = 16;

/// Publications that are read for a piece at most: of the smallest kind some 8 KiB, which is what a piece is to have.
pub const CATCH_UP_PUBLICATIONS_MAX: usize = 256;

/// Bytes of commands that have come since none ran or waited, beyond which the transport is not read until all of them are
/// done: a frame of the longest kind and one more, since a client that reads slowly may let them wait for minutes.
pub const COMMANDS_WAITING_BYTES_MAX: usize = 128 << 10;

/// Calls of one connection that run at once, where the application lets them overlap: more than somebody sends while a
/// disk writes once. Each is looked at whenever the connection is woken, and its answer waits for those before it.
pub const CALLS_AT_ONCE_MAX: usize = 16;

/// Bytes that one write takes at most: what a socket takes at once, and no more, so that others get their turn.
pub const WRITE_BYTES_MAX: usize = 256 << 10;

/// Channels of which one write takes something.
pub const WRITE_PIECES_MAX: usize = 32;

/// Connections that a loop serves before it hears what is new and lets others of its thread go on: with 4 to 8 us for a
/// write, about a millisecond.
pub const CONNECTIONS_IN_A_ROW: usize = 128;

/// Bytes that a loop writes before it does so: the kernel copies them in less than a millisecond.
pub const BYTES_IN_A_ROW: usize = 2 << 20;

/// Followers of one channel that a loop serves before another channel with something new gets its turn.
pub const FOLLOWERS_IN_A_ROW: usize = 32;

/// Bytes of channels that a connection which is written by its task (TLS, HTTP/2) takes at once: two records of TLS. They
/// are a copy; whoever is as far as others shares theirs.
pub const BATCH_BYTES_MAX: usize = 32 << 10;

/// Which part of what all logs may hold is freed at once when they hold too much, so that finding out who is furthest behind
/// is not done again for each publication.
pub const DELIVERY_FREED_PART: usize = 16;

/// Buffers that a loop keeps for logs to fill: 1 MiB with what they have room for, for as many channels as are busy at once.
pub const SPARES_MAX: usize = 64;

/// Room of such a buffer: a few frames, so that a busy channel does not allocate for each.
pub const SPARE_BYTES_MAX: usize = 16 << 10;

/// Bytes behind which a reader gets nothing that may be dropped.
pub const LAGGING_BYTES: u64 = 64 << 10;

/// How often expired publications and forgotten streams are swept.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

/// How long to wait before a gap is read again that could not be read.
pub const GAP_RETRY: Duration = Duration::from_secs(1);

/// Bytes that the history of one channel keeps in memory unless its options say otherwise.
pub const HISTORY_BYTES: usize = 1 << 20;

/// Clients that a presence reply lists unless the channel's options say otherwise: as many as are told who comes and
/// goes, because above that a list is out of date when it arrives. Each of ten thousand that return would ask for a
/// megabyte.
pub const PRESENCE_CLIENTS: usize = 1_000;

/// Subscribers up to which a channel tells who comes and goes unless its options say otherwise.
pub const JOIN_LEAVE_SUBSCRIBERS: usize = 1_000;

/// How long what was above [`Limits::join_leave_messages`] waits, so that who comes and goes all the time is told of once.
pub const JOIN_LEAVE_PAUSE: Duration = Duration::from_secs(1);

/// Connections of a channel of which others have yet to be told; what comes on top is not told. In the
/// pause between two times no more can be told than this to some five subscribers.
pub const JOIN_LEAVE_UNTOLD_MAX: usize = 4_096;

/// Bytes that one entry of a presence reply counts beside what applications attach to it: two ids in JSON, and their names.
pub const PRESENCE_ENTRY_BYTES: usize = 128;

/// Bytes of a presence reply, which cannot be cut; above it is error 106. What one connection may have of
/// [`Limits::answers_bytes_max`] while nobody else reads; where others do it is error 111, for the moment.
pub const PRESENCE_REPLY_BYTES_MAX: usize = 4 << 20;

/// Bytes that are kept of each header of a connection: enough for what limits and logs tell apart.
pub const PEER_HEADER_BYTES_MAX: usize = 256;

/// How many users the token users of one network count as, together, where what they hold in memory is compared with
/// what others hold: an office behind one address, and whoever makes up names there.
pub const ADDRESS_USERS: usize = 10;

/// Users and networks whose allowances are known apart, some 200 bytes each. More than can ask for anything within the
/// minutes that an allowance takes to fill; whoever comes on top shares one.
pub const CALLERS_MAX: usize = 200_000;

/// Part of the streams, and of the bytes of all histories, that is freed at once where they are used up: whoever holds
/// most is looked for among all, which takes milliseconds.
pub const RECLAIMED_PART: usize = 16;

/// How long nobody looks again for streams to free where less than that part was found: meanwhile whoever needs one more
/// is refused at once, so that refusals cost nothing.
pub const LOOKED_IN_VAIN: Duration = Duration::from_secs(1);

/// Part of the time that looking among all streams for those of one user or network may take while it finds too little,
/// whoever needs one.
pub const LOOKING_PART: u32 = 20;

/// How long the key of a publication is remembered: a caller who had no answer asks again within minutes.
pub const IDEMPOTENCY_KEPT: Duration = Duration::from_secs(300);

/// Keys that are remembered of one channel, the newest; three a second for as long as they are kept.
pub const IDEMPOTENCY_KEYS_MAX: usize = 1_000;

/// Bytes of such a key: a UUID has 36.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;

/// Tags of one publication: what a filter asks for, and no second body.
pub const TAGS_MAX: usize = 64;

/// Bytes of the names and values of a publication's tags together.
pub const TAGS_BYTES_MAX: usize = 4 * 1024;

/// Bytes of a version's epoch, of which each stream keeps one.
pub const VERSION_EPOCH_BYTES_MAX: usize = 64;

/// Nodes of one filter, which all are looked at for each publication.
pub const FILTER_NODES_MAX: usize = 64;

/// Nodes of a filter within each other: reading one calls itself for each.
pub const FILTER_DEPTH_MAX: usize = 16;

/// Bytes of what is written in one filter, kept for each subscriber who brings another.
pub const FILTER_BYTES_MAX: usize = 4 * 1024;

/// What one tag costs in memory beside its letters, roughly: two strings and their place in the map.
pub const TAG_OVERHEAD_BYTES: usize = 100;

/// Channels of which keys are remembered, the last used.
pub const IDEMPOTENCY_CHANNELS_MAX: usize = 10_000;

/// Moments in each ping interval at which pings are sent, so that waking up for one serves others too. 64: every 0.4 s, and
/// of 10,000 connections some 150 at once, in a few milliseconds.
pub(crate) const PING_TICKS: u32 = 64;

/// Bytes that all remembered keys take, with their channels and answers; beyond it the oldest are forgotten first. Four
/// hundred UUIDs a second for as long as they are kept.
pub const IDEMPOTENCY_BYTES_MAX: usize = 32 << 20;

/// Something that may be had steadily, and at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In the long run.
    pub per_second: u32,
    /// At once, after a pause.
    pub burst: u32,
}

/// What one caller may ask for, whichever and however many of its connections ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Connections that introduce themselves; more is error 111.
    pub connects: Rate,
    /// Commands; more is error 111.
    pub commands: Rate,
    /// Of those, `subscribe`, `presence` and `presence_stats`, and what is published in channels that had nothing to
    /// remember before; more is error 111.
    pub channels: Rate,
    /// Bytes of what history, recovery and presence read, paid for afterwards; who has a debt gets error 111.
    pub read_bytes: Rate,
}

impl Allowance {
    /// No bound.
    pub const UNLIMITED: Self = {
        let unlimited = Rate { per_second: u32::MAX, burst: u32::MAX };
        Self { connects: unlimited, commands: unlimited, channels: unlimited, read_bytes: unlimited }
    };

    /// At least so much that as many connections as come from one place can be there at once: each introduces itself,
    /// subscribes to 32 channels, and asks for 64 things at once.
    #[must_use]
    pub fn at_least_for(mut self, connections: usize) -> Self {
        let connections = u32::try_from(connections).unwrap_or(u32::MAX);
        let raise = |rate: &mut Rate, each: u32| rate.burst = rate.burst.max(connections.saturating_mul(each));
        raise(&mut self.connects, 2);
        raise(&mut self.channels, 32);
        raise(&mut self.commands, 64);
        self
    }
}

/// What one connection, one channel and the whole hub may take.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Subscriptions of one connection; more is error 106, and close 3505 where the server wants them, as many as
    /// may wait for a client that does not read. SDK users seldom pass a few dozen.
    pub channels_per_connection_max: usize,
    /// Connections of one user; more is close 3504. A person has a few devices with a few tabs each; an application that
    /// gives one name to many can raise it. Those with a tag and those without are counted apart, so that whoever may
    /// only claim a name shuts nobody out who has signed in under it; nameless ones are not counted.
    pub connections_per_user_max: usize,
    /// Channels with history in memory that exist at once, by subscribers or by what they remember; more is error 106.
    /// Bounds what clients can create by making up names, some kilobytes each. Others exist only while somebody is in
    /// them, which the connections bound: whoever makes up names shuts nobody out of those.
    ///
    /// Where they are used up, those go that nobody is subscribed to and that were made by whoever holds most, the
    /// longest unused first.
    pub channels_max: usize,
    /// Of [`channels_max`](Self::channels_max), those that no client makes: the server's own.
    pub channels_reserved: usize,
    /// Of [`channels_max`](Self::channels_max), those that one user may have made, by subscribing or publishing, and
    /// [`ADDRESS_USERS`] times as many the token users of one address; more is error 106. Sixteen connections full of
    /// them.
    pub channels_per_user_max: usize,

    /// Bytes of replies waiting for one connection before it counts as slow (close 3008), and bytes that it may be behind in
    /// a channel before it is cut off from it (2500): some seconds of a mobile link.
    pub outbox_bytes_max: usize,
    /// Replies waiting for one connection before it counts as slow: small ones cost their queue slot too.
    pub outbox_messages_max: usize,
    /// Bytes of the replies of all connections that are made and not written yet. The more of it is used the less one
    /// connection may have of it: its commands wait, and its history answers are shorter; nobody is refused.
    pub answers_bytes_max: usize,
    /// Bytes that wait in the logs of all channels, each once for all who are behind; beyond it whoever is furthest behind
    /// is cut off (2500). Each reader may be [`outbox_bytes_max`](Self::outbox_bytes_max) behind in a channel.
    pub delivery_bytes_max: usize,

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
    /// What one user may ask for, whichever connection asks: as much as ten pages that come back at once.
    pub user: Allowance,
    /// What the token users of one address may ask for together, and the nameless there: an office comes back at once.
    /// Persons are counted by themselves. Never below what as many connections need as the transport lets in from one
    /// address; see [`Allowance::at_least_for`].
    pub address: Allowance,
    /// Bytes that every read costs at least: looking for nothing is work too.
    pub read_cost_bytes_min: usize,
    /// Commands refused by a rate limit, without a real pause between them, before the connection is closed with 3013.
    pub commands_refused_max: u32,

    /// Clients that the server's own question for presence lists; more is refused, and the stats still count them.
    pub presence_clients_max: usize,

    /// Messages about who comes and goes that one channel sends to all who hear of it: six hundred that return together
    /// tell each other at once. Beyond it each connection's last coming or going is told once a second as long as there
    /// are any.
    pub join_leave_messages: Rate,

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
    /// Bytes that a recovery may bring.
    pub recovery_bytes_max: usize,
    /// Bytes of it that come with replies, all that are not written yet together; what is above follows as pushes, a piece
    /// at a time, behind the replies to the other subscribes. SDKs wait 5 s for a reply, and the slowest reader takes no
    /// more in that time.
    pub recovery_reply_bytes_max: usize,
    /// Publications that one history reply may bring.
    pub history_publications_max: usize,
    /// Bytes that one history reply may bring, but always one publication; the client asks on from the last one. Must
    /// fit the outbox as a recovery must.
    pub history_reply_bytes_max: usize,

    /// Bytes that all histories together keep in memory, each on the account of its publisher. Where they are used up,
    /// whoever holds most loses the oldest; what is larger than all that is numbered and delivered but not kept: nobody
    /// can resume over it.
    pub history_bytes_max: usize,
    /// Of [`history_bytes_max`](Self::history_bytes_max), those that clients never take from the server's own, nor the
    /// server from them.
    pub history_bytes_reserved: usize,
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
            channels_reserved: 10_000,
            channels_per_user_max: 2_048,
            outbox_bytes_max: 4 << 20,
            outbox_messages_max: 8_192,
            answers_bytes_max: 64 << 20,
            delivery_bytes_max: 128 << 20,
            commands_waiting_max: 256,
            commands_per_second: 200,
            commands_burst: 1_000,
            subscribes_per_second: 5,
            subscribes_burst: 256,
            user: Allowance {
                connects: Rate { per_second: 10, burst: 300 },
                commands: Rate { per_second: 500, burst: 10_000 },
                channels: Rate { per_second: 20, burst: 2_560 },
                read_bytes: Rate { per_second: 4 << 20, burst: 64 << 20 },
            },
            address: Allowance {
                connects: Rate { per_second: 100, burst: 2_048 },
                commands: Rate { per_second: 10_000, burst: 100_000 },
                channels: Rate { per_second: 500, burst: 32_768 },
                read_bytes: Rate { per_second: 64 << 20, burst: 1 << 30 },
            },
            read_cost_bytes_min: 4 << 10,
            commands_refused_max: 500,
            presence_clients_max: 10_000,
            join_leave_messages: Rate { per_second: 20_000, burst: 200_000 },
            ping_interval: Duration::from_secs(25),
            pong_timeout: Duration::from_secs(8),
            read_rate_min: 1_638,
            pong_timeout_max: Duration::from_secs(300),
            connect_timeout: Duration::from_secs(10),
            operation_timeout: Duration::from_secs(10),
            expiry_grace: Duration::from_secs(25),
            recovery_publications_max: 300,
            recovery_bytes_max: 2 << 20,
            recovery_reply_bytes_max: 8 << 10,
            history_publications_max: 300,
            history_reply_bytes_max: 2 << 20,
            history_bytes_max: 256 << 20,
            history_bytes_reserved: 32 << 20,
            reorder_wait: Duration::from_millis(20),
            reorder_publications_max: 64,
            position_check_interval: Duration::from_secs(40),
        }
    }
}
