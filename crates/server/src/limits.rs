//! Every limit of the server, with its unit and reason. The limits of the engine, the hub and the chat are in theirs.

use std::time::Duration;

/// Threads that can be configured to carry connections: more than machines have processors, and each takes a stack.
pub(crate) const THREADS_MAX: usize = 1024;

/// Bytes of a request body under `/v1/`: four of the longest messages, escaped.
pub(crate) const REQUEST_BODY_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a request body under `/api/`: backends publish more at once than people write, and a channel's history keeps
/// as much.
pub(crate) const API_BODY_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of the pattern of the server API's `channels`: as long as a channel's name.
pub(crate) const API_PATTERN_BYTES_MAX: usize = 255;

/// Proxies that are not in `trusted_proxies` of which the operator is told, each once: more than anybody has before a
/// server, and few lines where a whole private network sends such headers.
pub(crate) const PROXIES_TOLD_OF_MAX: usize = 16;

/// Channels that a broadcast publishes in before others have their turn: some milliseconds.
pub(crate) const API_AT_ONCE: usize = 256;

/// Channels in which one `publish_pattern` publishes: a tenth of a second. Who reaches more has a plan, and says it in
/// several calls.
pub(crate) const PATTERN_CHANNELS_MAX: usize = 10_000;

/// Channels that one `broadcast` names: as many as `publish_pattern` may reach, for the same reason, and each is answered.
pub(crate) const BROADCAST_CHANNELS_MAX: usize = 10_000;

/// Calls of one batch: as many as a backend has to say at once. They are carried out within one request's time.
pub(crate) const BATCH_COMMANDS_MAX: usize = 1_000;

/// Calls of a parallel batch that are carried out at once: enough that one which waits holds up nobody.
pub(crate) const BATCH_AT_ONCE: usize = 16;

/// Bytes of the answers of a batch from which on the next calls are refused, and which those carried out at once may answer
/// together: both fit into what a connection may have under way (8 MiB).
pub(crate) const BATCH_ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Entries of a page of connections or denials when the request does not say, and at most: a screen, and a program's page
/// of some 300 kB. Connections with many channels fill the bytes of a page before.
pub(crate) const LISTED_DEFAULT: usize = 100;
pub(crate) const LISTED_MAX: usize = 1_000;

/// Channels of one answer of `channels`, and their bytes: as many as may have history, and what fits into what a connection
/// may have under way (8 MiB). Where there are more, the answer says where to go on.
pub(crate) const CHANNELS_LISTED_MAX: usize = 100_000;
pub(crate) const CHANNELS_LISTED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Users that one `user_status` asks for: each is looked up.
pub(crate) const USERS_ASKED_MAX: usize = 1_000;

/// Connections that one `disconnect` leaves alone: more than a user may have.
pub(crate) const CLIENTS_NAMED_MAX: usize = 1_000;

/// How far ahead the `issued_before` of a `revoke_user` may be: clocks differ by less, and until then every token of the user is
/// refused, those that are new included.
pub(crate) const ISSUED_BEFORE_AHEAD_MAX: Duration = Duration::from_hours(24);

/// Bytes of an `info` as JSON, of a connection or a subscription, in a token or given by the API: a name, a picture's address and
/// some more. It is repeated in each join, each publication of a client, and for each client in an answer with presence.
pub(crate) const INFO_BYTES_MAX: usize = 4 * 1024;

/// API keys that can be configured: all are looked at for each request.
pub(crate) const API_KEYS_MAX: usize = 100;

/// Bytes of an API key's name: a word or two, in logs and metrics.
pub(crate) const API_KEY_NAME_BYTES_MAX: usize = 64;

/// Networks from which the API key was used that are remembered, so that the security log tells of each once.
pub(crate) const KEY_USERS_REMEMBERED: usize = 1_000;

/// Bytes of one message from a client over WebSocket: the same as a request's body.
pub(crate) const SOCKET_MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Bytes of the body of a request of the uplink: the longest message, whose quotes and backslashes are all escaped, and what
/// says where it belongs.
pub(crate) const fn uplink_body_bytes_max(message_bytes_max: usize) -> usize {
    2 * message_bytes_max + 1024
}

/// Bytes of messages that requests of the uplink have brought and that wait for their turn, of all connections. The more of
/// it is used the less one connection may have of it: a sixteenth of what is left, but [`UPLINK_BYTES_MIN`] always; more is
/// 429. Clients do not wait for one answer before they send the next message, and over WebSocket TCP would hold them back.
pub(crate) const UPLINKS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Part of what is left of [`UPLINKS_BYTES_MAX`] that one connection may have.
pub(crate) const UPLINK_PART: usize = 16;

/// Bytes of it that one connection may have, whatever others have: a message of the longest kind.
pub(crate) const UPLINK_BYTES_MIN: usize = SOCKET_MESSAGE_BYTES_MAX;

/// What each of these messages costs beside its bytes, roughly.
pub(crate) const UPLINK_FRAME_OVERHEAD_BYTES: usize = 128;

/// Bytes of a message from which on it is compressed for WebSockets that agreed to that: a shorter one gains some dozen bytes
/// at best, and costs as much time.
pub(crate) const COMPRESSED_BYTES_MIN: usize = 256;

/// Time for which a browser may remember that a page of another site may use the live connections: the most that the common
/// ones take.
pub(crate) const PREFLIGHT_KEPT: Duration = Duration::from_secs(7200);

/// Time a peer has to take what is written to it. A live client reads within a ping interval; whoever does not is
/// closed with a code that lets them resume.
pub(crate) const SOCKET_WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Time that a request of the REST or server API has for its answer; then it is 503. The time in which it waits for its body
/// is not counted: `serve` bounds that (500 B/s). More than the hub's and the chat's own deadlines (10 s).
pub(crate) const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);

/// Time that the session of a handshake's cookie may take to be looked up; then the upgrade is 503. The same as the hub gives
/// the policy for any question.
pub(crate) const ADMISSION_TIME_MAX: Duration = Duration::from_secs(10);

/// Time in which a draining server still accepts, so that a load balancer which asks `/readyz` sees 503 and not a closed
/// port: small beside [`DRAIN_MAX`].
pub(crate) const ANNOUNCE: Duration = Duration::from_millis(500);

/// Time from SIGTERM to exit at most: service managers kill after 10 s.
pub(crate) const DRAIN_MAX: Duration = Duration::from_secs(8);

/// Of [`DRAIN_MAX`], time for the database to finish what waits: a commit takes milliseconds.
pub(crate) const CLOSE_MAX: Duration = Duration::from_secs(2);

/// Time over which the sockets are told to go at a shutdown, so that they do not all reconnect at once.
pub(crate) const DISCONNECT_SPREAD: Duration = Duration::from_millis(500);

/// Publications that a channel outside the chat keeps, and how long each: a reconnect, not an archive.
pub(crate) const HISTORY_SIZE: usize = 100;
pub(crate) const HISTORY_TTL: Duration = Duration::from_secs(300);

/// Entries of a REST page when the request does not say, and at most: a screen, and a catch-up that is not chatty.
pub(crate) const PAGE_DEFAULT: u32 = 50;
pub(crate) const PAGE_MAX: u32 = 200;
/// Threads that one follows in one page, in threads, when the request does not say, and at most: each has the beginnings of two
/// messages.
pub(crate) const THREADS_PAGE_DEFAULT: u32 = 20;
pub(crate) const THREADS_PAGE_MAX: u32 = 50;

/// Bytes of the entries of a page of the REST API and of the server API's history and connections, but always one entry; the reader asks
/// on from the last. 200 of the longest messages are 3.3 MB, which slow readers would have us hold.
pub(crate) const PAGE_BYTES_MAX: usize = 512 * 1024;

/// How far the clocks of a backend and of this server may differ for a client token's `exp` and `nbf`: machines that keep
/// their time differ by less.
pub(crate) const TOKEN_LEEWAY: Duration = Duration::from_secs(5);

/// Namespaces that can be configured: each is a few hundred bytes, and somebody has to read them.
pub(crate) const NAMESPACES_MAX: usize = 1_000;

/// Bytes of a namespace's name: a word or two of a channel's 255.
pub(crate) const NAMESPACE_NAME_BYTES_MAX: usize = 64;

/// Bytes that the compiled regular expression for names may take: it is looked at for every command.
pub(crate) const CHANNEL_REGEX_BYTES_MAX: usize = 256 * 1024;

/// Bytes that one message of a client may be configured to have at most: it lies in memory as a whole, several times.
pub(crate) const MESSAGE_BYTES_MAX_MAX: u32 = 16 << 20;
/// Patterns in the claim `caps` of one token, in channels that it names: a page of them, and a bound on what each question costs.
pub(crate) const CAP_PATTERNS_MAX: usize = 100;
/// Bytes of one of them: as long as a channel's name.
pub(crate) const CAP_PATTERN_BYTES_MAX: usize = 255;
/// Bytes that a regular expression in `caps` may take when it is compiled: above what a channel's name needs.
pub(crate) const CAP_REGEX_BYTES_MAX: usize = 64 * 1024;
/// Compiled ones that are kept for the next question, of all connections: 16 MiB at most twice over, and most are a few kilobytes.
/// Beyond it they are compiled again.
pub(crate) const CAP_REGEXES_KEPT: usize = 256;

/// Bits of an RSA key that is taken: with less a signature can be forged (NIST SP 800-131A), and the library takes no more.
pub(crate) const RSA_BITS_MIN: u32 = 2048;
pub(crate) const RSA_BITS_MAX: u32 = 4096;

/// Issuers of client tokens in the configuration, in entries: each may be asked about a token.
pub(crate) const TOKEN_ISSUERS_MAX: usize = 32;
/// How long a set of keys from an address is used before the next token has it asked for again. Twice as long, and the token waits
/// for it: so old is a key at most that its issuer has taken out.
pub(crate) const JWKS_FRESH: Duration = Duration::from_mins(5);
/// Between two times that an address is asked for its keys, whatever tokens name: so often at most can strangers have it asked.
pub(crate) const JWKS_PAUSE: Duration = Duration::from_secs(10);
/// Time that an address has for its answer: half of what a command of a client has, because a token may wait for it.
pub(crate) const JWKS_TIME_MAX: Duration = Duration::from_secs(5);
/// Bytes of the answer: sets have some kilobytes, with certificates some ten.
pub(crate) const JWKS_BYTES_MAX: usize = 256 * 1024;
/// Characters of what a stranger has sent that a line of the log repeats: an origin or the name of a key, and no flood.
pub(crate) const LOGGED_CHARS_MAX: usize = 300;
/// Keys in it: issuers have two or three, a large one with a key for each of its tenants some dozen.
pub(crate) const JWKS_KEYS_MAX: usize = 100;
