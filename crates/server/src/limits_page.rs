//! `docs/limits.md`, held against the limits themselves: each stands there with its value, its reason as the code has it, its
//! key and the metric that shows it; and one that is in the code and neither there nor named as internal fails.

use std::collections::BTreeMap;
use std::time::Duration;

const PAGE: &str = include_str!("../../../docs/limits.md");
/// Which metrics there are, as a test has recorded them.
const METRICS: &str = include_str!("../tests/it/snapshots/operations.snap");

/// No key: it holds for everybody.
const FIXED: &str = "fixed";
/// Whoever passes it is told when the server starts, or by `config check`.
const AT_START: &str = "the start, which it ends";

/// A part of the page.
struct Section {
    title: &'static str,
    source: &'static str,
    rows: Vec<Row>,
    /// What is in the source and cannot be felt from outside.
    internal: &'static [&'static str],
}

struct Row {
    name: &'static str,
    value: String,
    key: &'static str,
    metric: &'static str,
}

/// A value as people read it.
trait Shown {
    fn shown(&self, name: &str) -> String;
}

impl Shown for u64 {
    fn shown(&self, name: &str) -> String {
        let is_bytes = name.to_lowercase().contains("bytes");
        match *self {
            bytes if is_bytes && bytes >= 1 << 20 && bytes % (1 << 20) == 0 => format!("{} MiB", bytes >> 20),
            bytes if is_bytes && bytes >= 1 << 10 && bytes % (1 << 10) == 0 => format!("{} KiB", bytes >> 10),
            kib if name.ends_with("_KIB") => format!("{} MiB", kib >> 10),
            number => thousands(number),
        }
    }
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let parts: Vec<_> = digits.as_bytes().rchunks(3).rev().map(|part| std::str::from_utf8(part).unwrap()).collect();
    parts.join(",")
}

impl Shown for Duration {
    fn shown(&self, _: &str) -> String {
        let units = [(86_400, "days"), (3_600, "h"), (60, "min")];
        let seconds = self.as_secs();
        match units.iter().find(|(unit, _)| seconds >= 2 * unit && seconds.is_multiple_of(*unit)) {
            _ if self.subsec_nanos() > 0 || seconds == 0 => format!("{} ms", self.as_millis()),
            Some((unit, name)) => format!("{} {name}", seconds / unit),
            None => format!("{seconds} s"),
        }
    }
}

impl Shown for tidings_hub::Rate {
    fn shown(&self, name: &str) -> String {
        let shown = |number: u32| u64::from(number).shown(name);
        format!("{} a second, {} at once", shown(self.per_second), shown(self.burst))
    }
}

impl Shown for tidings_chat::limits::Rate {
    fn shown(&self, _: &str) -> String {
        let burst = thousands(self.burst.into());
        match self.per_second {
            often if often >= 1.0 => format!("{often} a second, {burst} at once"),
            often if often * 3_600.0 >= 10.0 => format!("{} an hour, {burst} at once", (often * 3_600.0).round()),
            often => format!("{} a day, {burst} at once", (often * 86_400.0).round()),
        }
    }
}

impl Shown for tidings_hub::Allowance {
    fn shown(&self, _: &str) -> String {
        let parts = [
            ("connects", self.connects),
            ("commands", self.commands),
            ("channels", self.channels),
            ("bytes", self.read_bytes),
        ];
        parts.map(|(name, rate)| format!("{name}: {}", rate.shown(name))).join("; ")
    }
}

impl Shown for Option<usize> {
    fn shown(&self, name: &str) -> String {
        self.map_or_else(|| "derived".to_owned(), |value| value.shown(name))
    }
}

impl Shown for Option<u64> {
    fn shown(&self, name: &str) -> String {
        self.map_or_else(|| "none".to_owned(), |value| value.shown(name))
    }
}

impl Shown for Option<u32> {
    fn shown(&self, name: &str) -> String {
        self.map(u64::from).shown(name)
    }
}

impl Shown for usize {
    fn shown(&self, name: &str) -> String {
        (*self as u64).shown(name)
    }
}

impl Shown for u32 {
    fn shown(&self, name: &str) -> String {
        u64::from(*self).shown(name)
    }
}

macro_rules! rows {
    ($from:expr; $($name:ident $key:expr, $metric:expr;)*) => {
        vec![$(Row {
            name: stringify!($name),
            value: Shown::shown(&$from.$name, stringify!($name)),
            key: $key,
            metric: $metric,
        },)*]
    };
}

macro_rules! consts {
    ($from:path; $($name:ident $key:expr, $metric:expr;)*) => {{
        use $from as limits;
        vec![$(Row {
            name: stringify!($name),
            value: Shown::shown(&limits::$name, stringify!($name)),
            key: $key,
            metric: $metric,
        },)*]
    }};
}

// What shows that a limit was met.
const E100: &str = "`tidings_operations_timed_out_total`";
const E106: &str = "`tidings_errors_total{code=\"106\"}`";
const E107: &str = "`tidings_errors_total{code=\"107\"}`";
const E109: &str = "`tidings_errors_total{code=\"109\"}`";
const E111: &str = "`tidings_errors_total{code=\"111\"}`";
const API: &str = "`tidings_api_calls_total{code=\"106\"}`";
const API_107: &str = "`tidings_api_calls_total{code=\"107\"}`";
const C1002: &str = "`tidings_closed_total{code=\"1002\"}`";
const C1009: &str = "`tidings_closed_total{code=\"1009\"}`";
const C3001: &str = "`tidings_closed_total{code=\"3001\"}`";
const C3502: &str = "`tidings_closed_total{code=\"3502\"}`";
const C3504: &str = "`tidings_closed_total{code=\"3504\"}`";
const C3005: &str = "`tidings_closed_total{code=\"3005\"}`";
const C3008: &str = "`tidings_closed_total{code=\"3008\"}`";
const C3012: &str = "`tidings_closed_total{code=\"3012\"}`";
const C3013: &str = "`tidings_closed_total{code=\"3013\"}`";
const KEYS: &str = "`tidings_errors_total{code=\"100\"}`";
const C3500: &str = "`tidings_closed_total{code=\"3500\"}`";
const BEHIND: &str = "`tidings_slow_unsubscribed_total`, `tidings_delivery_bytes`";
const REPLIES: &str = "`tidings_reply_bytes`";
const CHANNELS: &str = "`tidings_channels`";
const HISTORY: &str = "`tidings_history_bytes`";
const UNRECOVERED: &str = "`tidings_unrecovered_total`";
const MESSAGES: &str = "`tidings_messages_out_total`";
const S400: &str = "`tidings_http_errors_total{status=\"400\"}`";
const S401: &str = "`tidings_http_errors_total{status=\"401\"}`";
const S404: &str = "`tidings_http_errors_total{status=\"404\"}`";
const S409: &str = "`tidings_http_errors_total{status=\"409\"}`";
const S413: &str = "`tidings_http_errors_total{status=\"413\"}`";
const S422: &str = "`tidings_http_errors_total{status=\"422\"}`";
const S428: &str = "`tidings_http_errors_total{status=\"428\"}`";
const S429: &str = "`tidings_http_errors_total{status=\"429\"}`";
const S503: &str = "`tidings_http_errors_total{status=\"503\"}`";
const REQUESTS: &str = "`tidings_http_requests_total`";
const REFUSED: &str = "`tidings_http_refused_total`, `tidings_http_connections`";
const SLOW_REQUESTS: &str = "`tidings_http_slow_requests_total`";
const STALLED: &str = "`tidings_http_stalled_total`";
const RESPONSES: &str = "`tidings_http_responses_refused_total`, `tidings_http_response_bytes`";
const OPEN: &str = "`tidings_http_connections`";
const WRITES: &str = "`tidings_writes_waiting`";
const DENIALS: &str = "`tidings_denials`";

fn sections() -> Vec<Section> {
    vec![live(), messages(), server_api(), http(), engine(), chat()]
}

fn live() -> Section {
    Section {
        title: "Live connections",
        source: include_str!("../../hub/src/limits.rs"),
        rows: rows! { tidings_hub::Limits::default();
            connections_per_user_max "`limits.connections_per_user_max`", C3504;
            channels_per_connection_max "`limits.channels_per_connection_max`; `channels_per_connection_max` of a namespace", E106;
            channels_max "`channels_max`", CHANNELS;
            channels_reserved FIXED, CHANNELS;
            channels_per_user_max FIXED, E106;
            outbox_bytes_max "`limits.outbox_bytes_max`", BEHIND;
            outbox_messages_max FIXED, C3008;
            answers_bytes_max FIXED, REPLIES;
            delivery_bytes_max FIXED, BEHIND;
            commands_waiting_max FIXED, REPLIES;
            commands_per_second "`limits.commands_per_second`", E111;
            commands_burst "`limits.commands_burst`", E111;
            subscribes_per_second "`limits.subscribes_per_second`", E111;
            subscribes_burst "`limits.subscribes_burst`", E111;
            user "`limits.user_…`; off with `rate_limits`", E111;
            address "`limits.address_…`; off with `rate_limits`", E111;
            commands_refused_max FIXED, C3013;
            read_cost_bytes_min FIXED, E111;
            presence_clients_max "`presence_clients_max` of a namespace, for clients", E106;
            join_leave_messages FIXED, MESSAGES;
            ping_interval "`ping_interval`", C3012;
            pong_timeout "`pong_timeout`", C3012;
            read_rate_min FIXED, C3012;
            pong_timeout_max FIXED, C3012;
            connect_timeout FIXED, C3502;
            operation_timeout FIXED, E100;
            expiry_grace FIXED, C3005;
            recovery_publications_max "`limits.recovery_publications_max`", UNRECOVERED;
            recovery_bytes_max FIXED, UNRECOVERED;
            recovery_reply_bytes_max FIXED, REPLIES;
            history_publications_max "`limits.history_publications_max`", REPLIES;
            history_reply_bytes_max FIXED, REPLIES;
            history_bytes_max "`limits.history_bytes_max`", HISTORY;
            history_bytes_reserved FIXED, HISTORY;
        },
        internal: &[
            "reorder_wait",
            "reorder_publications_max",
            "position_check_interval",
            "per_second",
            "burst",
            "connects",
            "commands",
            "channels",
            "read_bytes",
            // The next section.
            "*",
        ],
    }
}

fn messages() -> Section {
    Section {
        title: "Channels and what is in them",
        source: include_str!("../../hub/src/limits.rs"),
        rows: consts! { tidings_hub::limits;
            CHANNEL_NAME_BYTES_MAX FIXED, E107;
            HISTORY_BYTES "`history_bytes` of a namespace", HISTORY;
            STREAM_KEPT FIXED, UNRECOVERED;
            EMPTY_STREAM_KEPT FIXED, UNRECOVERED;
            PRESENCE_CLIENTS "`presence_clients_max` of a namespace", E106;
            PRESENCE_REPLY_BYTES_MAX FIXED, E106;
            JOIN_LEAVE_SUBSCRIBERS "`join_leave_subscribers_max` of a namespace", MESSAGES;
            JOIN_LEAVE_PAUSE FIXED, MESSAGES;
            JOIN_LEAVE_UNTOLD_MAX FIXED, MESSAGES;
            TAGS_MAX FIXED, API_107;
            TAGS_BYTES_MAX FIXED, API_107;
            VERSION_EPOCH_BYTES_MAX FIXED, API_107;
            IDEMPOTENCY_KEPT FIXED, "`tidings_publications_total`";
            IDEMPOTENCY_KEY_BYTES_MAX FIXED, API_107;
            IDEMPOTENCY_KEYS_MAX FIXED, "`tidings_publications_total`";
            IDEMPOTENCY_CHANNELS_MAX FIXED, "`tidings_publications_total`";
            IDEMPOTENCY_BYTES_MAX FIXED, "`tidings_publications_total`";
            FILTER_NODES_MAX FIXED, E107;
            FILTER_DEPTH_MAX FIXED, E107;
            FILTER_BYTES_MAX FIXED, E107;
            LAGGING_BYTES FIXED, BEHIND;
            COMMANDS_WAITING_BYTES_MAX FIXED, REPLIES;
            REPLIES_WHILE_WRITING_MAX FIXED, REPLIES;
            ANSWERS_PART FIXED, REPLIES;
            ANSWER_BYTES_MIN FIXED, REPLIES;
            CALLS_AT_ONCE_MAX FIXED, E100;
            ORDERS_WAITING_MAX FIXED, C3008;
            ADDRESS_USERS FIXED, HISTORY;
            PEER_HEADER_BYTES_MAX FIXED, "`tidings_connections`";
            CLOSING_MAX FIXED, C3008;
        },
        internal: &[
            "*fields",
            "UNLIMITED",
            "JOINED_BYTES_MAX",
            "CATCH_UP_BYTES",
            "CATCH_UP_PUBLICATIONS",
            "CATCH_UP_PUBLICATIONS_MAX",
            "WRITE_BYTES_MAX",
            "WRITE_PIECES_MAX",
            "CONNECTIONS_IN_A_ROW",
            "BYTES_IN_A_ROW",
            "FOLLOWERS_IN_A_ROW",
            "BATCH_BYTES_MAX",
            "DELIVERY_FREED_PART",
            "SPARES_MAX",
            "SPARE_BYTES_MAX",
            "SWEEP_INTERVAL",
            "GAP_RETRY",
            "PRESENCE_ENTRY_BYTES",
            "CALLERS_MAX",
            "RECLAIMED_PART",
            "LOOKED_IN_VAIN",
            "LOOKING_PART",
            "TAG_OVERHEAD_BYTES",
        ],
    }
}

fn server_api() -> Section {
    Section {
        title: "Server API, tokens, transports and the program",
        source: include_str!("limits.rs"),
        rows: consts! { crate::limits;
            API_BODY_BYTES_MAX FIXED, S413;
            BATCH_COMMANDS_MAX FIXED, API;
            BATCH_AT_ONCE FIXED, "`tidings_api_calls_total`";
            BATCH_ANSWER_BYTES_MAX FIXED, API;
            PATTERN_CHANNELS_MAX FIXED, API;
            BROADCAST_CHANNELS_MAX FIXED, API;
            API_PATTERN_BYTES_MAX FIXED, API_107;
            LISTED_DEFAULT "`limit` of a request", "`tidings_api_calls_total`";
            LISTED_MAX FIXED, API_107;
            CHANNELS_LISTED_MAX FIXED, "`tidings_api_calls_total`";
            CHANNELS_LISTED_BYTES_MAX FIXED, "`tidings_api_calls_total`";
            USERS_ASKED_MAX FIXED, API;
            CLIENTS_NAMED_MAX FIXED, API;
            ISSUED_BEFORE_AHEAD_MAX FIXED, API_107;
            INFO_BYTES_MAX FIXED, "`tidings_api_calls_total{code=\"107\"}`, `tidings_closed_total{code=\"3500\"}`";
            API_KEYS_MAX FIXED, AT_START;
            API_KEY_NAME_BYTES_MAX FIXED, AT_START;
            REQUEST_BODY_BYTES_MAX FIXED, S413;
            REQUEST_TIME_MAX FIXED, S503;
            ADMISSION_TIME_MAX FIXED, S503;
            PAGE_DEFAULT "`limit` of a request", REQUESTS;
            PAGE_MAX FIXED, S400;
            THREADS_PAGE_DEFAULT "`limit` of a request", REQUESTS;
            THREADS_PAGE_MAX FIXED, S400;
            PAGE_BYTES_MAX FIXED, REQUESTS;
            SOCKET_MESSAGE_BYTES_MAX "`limits.message_bytes_max`; `publication_bytes_max` of a namespace", C1009;
            MESSAGE_BYTES_MAX_MAX FIXED, AT_START;
            SOCKET_WRITE_TIMEOUT FIXED, C3008;
            UPLINKS_BYTES_MAX FIXED, S429;
            UPLINK_PART FIXED, S429;
            UPLINK_BYTES_MIN FIXED, S429;
            HISTORY_SIZE "`history_size` of a namespace", UNRECOVERED;
            HISTORY_TTL "`history_ttl` of a namespace", UNRECOVERED;
            NAMESPACES_MAX FIXED, AT_START;
            NAMESPACE_NAME_BYTES_MAX FIXED, AT_START;
            CHANNEL_REGEX_BYTES_MAX FIXED, AT_START;
            TOKEN_LEEWAY FIXED, E109;
            CAP_PATTERNS_MAX FIXED, C3500;
            CAP_PATTERN_BYTES_MAX FIXED, C3500;
            CAP_REGEX_BYTES_MAX FIXED, C3500;
            RSA_BITS_MIN FIXED, AT_START;
            RSA_BITS_MAX FIXED, AT_START;
            TOKEN_ISSUERS_MAX FIXED, AT_START;
            JWKS_FRESH FIXED, KEYS;
            JWKS_PAUSE FIXED, KEYS;
            JWKS_TIME_MAX FIXED, KEYS;
            JWKS_BYTES_MAX FIXED, KEYS;
            JWKS_KEYS_MAX FIXED, KEYS;
            THREADS_MAX FIXED, AT_START;
            DRAIN_MAX FIXED, C3001;
            DISCONNECT_SPREAD FIXED, C3001;
        },
        internal: &[
            "PROXIES_TOLD_OF_MAX",
            "LOGGED_CHARS_MAX",
            "API_AT_ONCE",
            "KEY_USERS_REMEMBERED",
            "UPLINK_FRAME_OVERHEAD_BYTES",
            "COMPRESSED_BYTES_MIN",
            "PREFLIGHT_KEPT",
            "ANNOUNCE",
            "CLOSE_MAX",
            "CAP_REGEXES_KEPT",
        ],
    }
}

fn http() -> Section {
    Section {
        title: "Connections and HTTP",
        source: include_str!("../../serve/src/limits.rs"),
        rows: rows! { tidings_serve::Limits::default();
            connections_max FIXED, REFUSED;
            connections_per_address_max "`limits.connections_per_address_max`", REFUSED;
            connection_rate_per_address_max FIXED, REFUSED;
            head_bytes_max FIXED, REQUESTS;
            head_fields_max FIXED, REQUESTS;
            head_time FIXED, SLOW_REQUESTS;
            idle_time FIXED, OPEN;
            request_body_bytes_max FIXED, S413;
            request_body_stall FIXED, SLOW_REQUESTS;
            request_body_rate_min FIXED, SLOW_REQUESTS;
            response_stall FIXED, STALLED;
            response_rate_min FIXED, STALLED;
            response_bytes_per_connection_max FIXED, RESPONSES;
            response_bytes_max FIXED, RESPONSES;
            unacknowledged_time FIXED, OPEN;
            unsent_bytes_max FIXED, BEHIND;
            tls_handshake_time FIXED, "`tidings_tls_failures_total`";
            streams_per_connection_max FIXED, "`tidings_http_requests_in_flight`";
            stream_send_bytes_max FIXED, RESPONSES;
        },
        internal: &["accept_pause_min", "accept_pause_max"],
    }
}

fn engine() -> Section {
    Section {
        title: "WebSocket",
        source: include_str!("../../websocket/src/limits.rs"),
        rows: consts! { tidings_websocket::limits;
            EMPTY_FRAGMENTS_MAX FIXED, C1002;
            CONTROL_BYTES_MAX FIXED, C1002;
            CLOSE_REASON_BYTES_MAX FIXED, API_107;
            WRITE_PROGRESS_BYTES FIXED, C3008;
            HEARTBEAT_TIMEOUT_MAX FIXED, C3012;
            CLOSE_TIMEOUT FIXED, "`tidings_connections`";
        },
        internal: &[
            // Of clients, or set otherwise by the program.
            "SERVER_MESSAGE_BYTES_MAX",
            "CLIENT_MESSAGE_BYTES_MAX",
            "QUEUE_BYTES_MAX",
            "WRITE_TIMEOUT",
            "HANDSHAKE_TIMEOUT",
            "HEADER_BYTES_MAX",
            "HEADERS_MAX",
            "REFUSAL_BODY_BYTES_MAX",
            "REFUSAL_BODY_TIMEOUT",
            "message_bytes_max",
            "empty_fragments_max",
            "queue_bytes_max",
            "write_timeout",
            "close_timeout",
        ],
    }
}

fn chat() -> Section {
    let rates = rows! { tidings_chat::limits::Rates::default();
        posts "off with `rate_limits`", S429;
        typing "off with `rate_limits`", MESSAGES;
        memberships "off with `rate_limits`", S429;
        reads "off with `rate_limits`", S429;
        rooms "off with `rate_limits`", S429;
        directs "off with `rate_limits`", S429;
        searches "off with `rate_limits`", S429;
        profiles "off with `rate_limits`", S429;
        idles "off with `rate_limits`", MESSAGES;
        idles_per_room "off with `rate_limits`", MESSAGES;
        token_calls "off with `rate_limits`", S429;
        emails "off with `rate_limits`", S429;
        invites "off with `rate_limits`", S429;
        codes "off with `rate_limits`", S429;
        accounts_per_address "off with `rate_limits`", S429;
        accounts_per_room "off with `rate_limits`", S429;
        typing_per_room "off with `rate_limits`", MESSAGES;
    };
    let mut rows = consts! { tidings_chat::limits;
        BODY_BYTES_MAX FIXED, S422;
        MARKUP_DEPTH_MAX FIXED, MESSAGES;
        MARKUP_NODES_MAX FIXED, MESSAGES;
        CODE_LANGUAGE_CHARS_MAX FIXED, MESSAGES;
        DELETE_REASON_CHARS_MAX FIXED, S422;
        ANSWERED_CHARS_MAX FIXED, MESSAGES;
        EMOJI_BYTES_MAX FIXED, S422;
        REACTIONS_PER_MESSAGE_MAX FIXED, S409;
        REACTION_PEOPLE_SHOWN FIXED, MESSAGES;
        REACTED_PAGE_MAX FIXED, MESSAGES;
        NAME_CHARS_MAX FIXED, S422;
        NAME_MARKS_MAX FIXED, S422;
        TOPIC_CHARS_MAX FIXED, S422;
        DESCRIPTION_CHARS_MAX FIXED, S422;
        SECTION_CHARS_MAX FIXED, S422;
        TITLE_CHARS_MAX FIXED, S422;
        STATUS_CHARS_MAX FIXED, S422;
        STATUS_LASTS_MAX FIXED, S422;
        ZONE_BYTES_MAX FIXED, S422;
        ROOMS_TOLD_OF_PROFILE FIXED, MESSAGES;
        PEOPLE_ALIKE_TOLD FIXED, MESSAGES;
        PROFILES_READ_MAX FIXED, S422;
        EMAIL_BYTES_MAX FIXED, S422;
        USER_AGENT_CHARS_MAX FIXED, REQUESTS;
        PASSWORD_CHARS_MIN FIXED, S422;
        PASSWORD_BYTES_MAX FIXED, S422;
        HASHES_RUNNING_MAX FIXED, S503;
        HASHES_WAITING_MAX FIXED, S503;
        SESSION_IDLE FIXED, S401;
        SESSION_LIFETIME FIXED, S401;
        SESSIONS_PER_PERSON_MAX FIXED, S401;
        PERSONAL_TOKENS_MAX FIXED, S409;
        INVITE_LIFETIME FIXED, S404;
        INVITE_USES_MAX FIXED, S404;
        DENIALS_MAX FIXED, DENIALS;
        DENIAL_NAME_BYTES_MAX FIXED, API_107;
        ROOMS_MAX FIXED, S409;
        ROOMS_FOR_ADMINS FIXED, S409;
        ROOMS_PER_PERSON_MAX FIXED, S409;
        DIRECT_OTHERS_MAX FIXED, S422;
        DIRECTS_PER_PERSON_MAX FIXED, S409;
        PEOPLE_FOUND_MAX FIXED, REQUESTS;
        PEOPLE_FOUND_READ FIXED, REQUESTS;
        ROOMS_PAGE "`limit` of a request", REQUESTS;
        ROOMS_PAGE_MAX FIXED, S400;
        UNREAD_COUNTED_MAX FIXED, REQUESTS;
        UNREAD_LOOKED_AT FIXED, REQUESTS;
        MENTIONS_MAX FIXED, S422;
        EVERYBODY_ASKED_ABOVE FIXED, S428;
        HERE_TOLD_MAX FIXED, MESSAGES;
        ACTIVITY_PAGE_MAX FIXED, REQUESTS;
        REPLIES_COUNTED_MAX FIXED, REQUESTS;
        REPLIES_LOOKED_AT FIXED, REQUESTS;
        THREAD_PEOPLE_SHOWN FIXED, REQUESTS;
        THREADS_PAGE_MAX FIXED, REQUESTS;
        TYPING_MEMBERS_MAX FIXED, MESSAGES;
        IDLE_TOLD_CLIENTS_MAX FIXED, MESSAGES;
        PAGE_MAX FIXED, S400;
        DELETE_UNDO FIXED, S409;
        WRITES_WAITING_MAX FIXED, WRITES;
        READS_WAITING_MAX FIXED, S503;
        DATABASE_PATIENCE FIXED, S503;
        SIGN_INS_FREE_PER_ACCOUNT FIXED, S429;
        SIGN_INS_PER_ACCOUNT FIXED, S429;
        SIGN_INS_FREE_PER_ADDRESS FIXED, S429;
        SIGN_INS_FREE_PER_DEVICE FIXED, S429;
        SIGN_IN_WAIT_FIRST FIXED, S429;
        SIGN_IN_WAIT_MAX FIXED, S429;
        SIGN_IN_FORGET FIXED, S429;
        DEVICE_REMEMBERED FIXED, S429;
    };
    rows.extend(rates);
    Section {
        title: "The chat",
        source: include_str!("../../chat/src/limits.rs"),
        rows,
        internal: &[
            "ARGON2_MEMORY_KIB",
            "ARGON2_PASSES",
            "ARGON2_STORED_MEMORY_KIB_MAX",
            "ARGON2_STORED_PASSES_MAX",
            "SESSION_TOUCH_INTERVAL",
            "PERSONAL_TOKEN_TOUCH_INTERVAL",
            "ROOMS_READ_AT_CONNECT",
            "ARRIVAL_REMEMBERED",
            "ARRIVALS_REMEMBERED_MAX",
            "SESSION_SWEEP_INTERVAL",
            "SWEEPS_PER_EXPIRY",
            "SESSION_SWEEP_OVERLAP",
            "SESSION_REMEMBERED",
            "HISTORY_READ_MAX",
            "ERASED_AT_ONCE",
            "DIGESTS_KEYED_AT_ONCE",
            "LOG_EMPTIED_WITHIN",
            "WRITES_PER_COMMIT_MAX",
            "MEMBERS_REMEMBERED",
            "READERS_MAX",
            "DATABASE_BUSY",
            "DATA_DIR_BUSY",
            "LANES",
            "TRIES_MAX",
            "DATABASE_CONNECT",
            "DATABASE_LOCKS",
            "DATABASE_ANSWERS",
            "DATABASE_UNSETTLED",
            "FOLLOWED_AT_ONCE",
            "DATABASE_POLL",
            "MOVE_PAGE",
            "MOVE_SAMPLE",
            "MOVE_SAMPLE_FACTOR",
            "RESERVE_BYTES",
            "RESERVE_PIECE_BYTES",
            "RESERVE_SPARE_BYTES",
            "UPKEEP_INTERVAL",
            "COMPLAINT_INTERVAL",
            "TURNS_AHEAD_PER_PERSON",
            "SECURITY_LINES",
            "RATE_KEYS_MAX",
            "burst",
            "per_second",
        ],
    }
}

/// What the source says of each of its limits, by name. What stands directly below another and has no words of its own shares
/// that one's.
fn reasons(source: &str) -> BTreeMap<String, String> {
    let (mut reasons, mut said, mut shared) = (BTreeMap::new(), Vec::new(), String::new());
    // What a library keeps to itself is its own affair.
    let keyword = if source.contains("\npub const ") { "pub const " } else { "pub(crate) const " };
    for line in source.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            said.push(text.trim());
            continue;
        }
        let declared = line.strip_prefix(keyword);
        let declared = declared.filter(|rest| !rest.starts_with("fn ")).or_else(|| line.strip_prefix("pub "));
        let name = declared.and_then(|rest| rest.split_once(':')).map(|(name, _)| name.trim());
        match name.filter(|name| name.chars().all(|c| c.is_alphanumeric() || c == '_')) {
            Some(name) => {
                if !said.is_empty() {
                    shared = without_links(&said.join(" ").replace("  ", " "));
                }
                reasons.entry(name.to_owned()).or_insert_with(|| shared.clone());
            }
            None if line.starts_with("#[") => continue,
            None => shared.clear(),
        }
        said.clear();
    }
    reasons
}

/// As the page has it: the names of items stay, their links go.
fn without_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text.trim();
    while let Some(at) = rest.find('[') {
        plain += &rest[..at];
        let Some(end) = rest[at..].find(']') else { break };
        plain += &rest[at + 1..at + end];
        rest = &rest[at + end + 1..];
        if let Some(target) = rest.strip_prefix('(') {
            rest = target.split_once(')').map_or("", |(_, after)| after);
        }
    }
    (plain + rest).replace("Limits::", "").replace('|', "\\|")
}

fn table(section: &Section) -> String {
    let reasons = reasons(section.source);
    let row = |Row { name, value, key, metric }: &Row| {
        let reason = reasons.get(*name).unwrap_or_else(|| panic!("{name} is not in the source"));
        format!("| `{name}` | {value} | {reason} | {key} | {metric} |\n")
    };
    let rows: String = section.rows.iter().map(row).collect();
    format!("## {}\n\n| limit | is | what it is for | key | seen in |\n|---|---|---|---|---|\n{rows}", section.title)
}

#[test]
fn the_page_on_limits_has_each_with_its_value_reason_key_and_metric() {
    let tables: Vec<String> = sections().iter().map(table).collect();
    if let Some(missing) = tables.iter().find(|table| !PAGE.contains(&**table)) {
        let all = tables.join("\n");
        panic!("docs/limits.md is not true any more, first in {missing}\nits tables should be\n\n{all}");
    }
}

#[test]
fn a_limit_is_on_the_page_or_named_as_one_that_cannot_be_felt() {
    for section in sections() {
        let is_field = |name: &str| name.chars().next().is_some_and(char::is_lowercase);
        for name in reasons(section.source).keys() {
            let is_elsewhere =
                if is_field(name) { section.internal.contains(&"*fields") } else { section.internal.contains(&"*") };
            let is_known = is_elsewhere
                || section.rows.iter().any(|row| row.name == name)
                || section.internal.contains(&name.as_str())
                // Its other constants are how it works.
                || (section.title == "Connections and HTTP" && !is_field(name));
            assert!(
                is_known,
                "{name}: give it a row in crates/server/src/limits_page.rs, or name it there as internal"
            );
        }
    }
}

#[test]
fn each_metric_of_the_page_exists() {
    for section in sections() {
        for row in section.rows.iter().filter(|row| row.metric != AT_START) {
            for metric in row.metric.split(", ") {
                let name = metric.trim_matches('`').split('{').next().unwrap().trim_end_matches("_total");
                assert!(METRICS.contains(&format!("# HELP {name} ")), "{} names {name}, which is no metric", row.name);
            }
        }
    }
}
