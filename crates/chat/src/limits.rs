//! Every limit of the chat, with its unit and its reason. Operators read this page first.

use std::time::Duration;

// Texts

/// A message's body, in bytes of UTF-8: some four pages; a longer text is a file.
pub const BODY_BYTES_MAX: usize = 16 * 1024;
/// Parts of a message's text that are inside of each other (lists, quotations, emphasis), in levels: readers build elements
/// from them, and few people follow four. What is nested deeper is shown as it was written.
pub const MARKUP_DEPTH_MAX: usize = 16;
/// Marked parts of a message's text, in parts: 500 lines of a list with something marked in each. They are an element each in
/// a page that shows 300 messages, and up to some 40 bytes beside the text for everybody who reads it. What has more is
/// shown as it was written.
pub const MARKUP_NODES_MAX: usize = 1_500;
/// The name of a code block's language, in characters; a longer word behind the fence is code.
pub const CODE_LANGUAGE_CHARS_MAX: usize = 32;
/// Why somebody else's message was deleted, in characters: two or three sentences.
pub const DELETE_REASON_CHARS_MAX: usize = 500;
/// The beginning of a message's text that stands above an answer to it, in characters of its source: a line on a wide screen,
/// two on a narrow one.
pub const ANSWERED_CHARS_MAX: usize = 200;
/// An emoji that somebody reacts with, in bytes of UTF-8: the longest that is drawn as one, a kiss of two people with skin tones,
/// has 35.
pub const EMOJI_BYTES_MAX: usize = 64;
/// Different emoji under one message, in emoji: two rows of a narrow screen; who comes later may join any of them.
pub const REACTIONS_PER_MESSAGE_MAX: u32 = 20;
/// People who are named with a reaction wherever its message is shown, in people: as many as are read in a hint. All of them can
/// be asked for.
pub const REACTION_PEOPLE_SHOWN: u32 = 5;
/// People on a page of those who reacted with an emoji, in people.
pub const REACTED_PAGE_MAX: u32 = 200;
/// A person's or a room's name, in characters: fits one line of a narrow screen twice.
pub const NAME_CHARS_MAX: usize = 80;
/// Marks above and below one letter of a name, in marks: Unicode Technical Standard 39 (§5.4) allows four, which is more than
/// any language has; a heap of them covers the lines around it.
pub const NAME_MARKS_MAX: usize = 4;
/// A room's topic, in characters.
pub const TOPIC_CHARS_MAX: usize = 250;
/// A room's description, in characters: some paragraphs, which everybody in the room has in memory.
pub const DESCRIPTION_CHARS_MAX: usize = 1_000;
/// Longest heading that somebody gives to some of their rooms, in characters: it stands on one line of a narrow list.
pub const SECTION_CHARS_MAX: usize = 50;
/// What somebody says they are or do, in characters: a line beside their name.
pub const TITLE_CHARS_MAX: usize = 80;
/// What somebody says they are at, in characters: a line on a narrow screen twice.
pub const STATUS_CHARS_MAX: usize = 100;
/// How far ahead a status, or a time without disturbance, may end: nobody plans further.
pub const STATUS_LASTS_MAX: Duration = Duration::from_hours(366 * 24);
/// The name of a time zone, in bytes: the longest there is has 32.
pub const ZONE_BYTES_MAX: usize = 64;
/// Rooms of a person that hear at once of a change of their profile, in rooms: as many as one client listens to. Others
/// hear of it when they next ask.
pub const ROOMS_TOLD_OF_PROFILE: u32 = 128;
/// Others whose name comes to look the same as somebody's new one, or did as their old one, and who are told of with it, in
/// people.
pub const PEOPLE_ALIKE_TOLD: u32 = 10;
/// People whose profiles are asked for at once, in people: the authors and partners that a page shows.
pub const PROFILES_READ_MAX: usize = 100;
/// An e-mail address, in bytes (RFC 5321 §4.5.3.1.3).
pub const EMAIL_BYTES_MAX: usize = 254;
/// What a browser says about itself, in characters kept; it is shown in the list of sessions only.
pub const USER_AGENT_CHARS_MAX: usize = 256;

// Passwords

/// A new password, in characters: what makes guessing against Argon2 hopeless without any rule of composition.
pub const PASSWORD_CHARS_MIN: usize = 10;
/// A password, in bytes of UTF-8: beyond any passphrase; more is an attempt to keep us busy.
pub const PASSWORD_BYTES_MAX: usize = 1024;
/// Argon2id memory, in KiB: OWASP's first recommendation together with the two passes below.
pub const ARGON2_MEMORY_KIB: u32 = 19 * 1024;
/// Argon2id passes over that memory.
pub const ARGON2_PASSES: u32 = 2;
/// Argon2 memory, in KiB, that a stored hash may ask for: what is set aside for each hash computed at once. No version has
/// stored more. A person whose hash asks for more needs a new password.
pub const ARGON2_STORED_MEMORY_KIB_MAX: u32 = ARGON2_MEMORY_KIB;
/// Argon2 passes that a stored hash may ask for: so that one hash holds a processor for a moment only.
pub const ARGON2_STORED_PASSES_MAX: u32 = 8;
/// Password hashes computed at once, at most (fewer on fewer cores): 4 × 19 MiB is what sign-ins may take of our memory.
pub const HASHES_RUNNING_MAX: usize = 4;
/// Password hashes that may wait, in calls: a crowd of as many addresses is worked off in some 12 s on two cores, in turns,
/// so that whoever comes while 200 others try waits for 200. Beyond it the address that has most in line loses its oldest.
pub const HASHES_WAITING_MAX: usize = 1_024;

// Sessions and invites

/// A session ends this long after its last use.
pub const SESSION_IDLE: Duration = Duration::from_hours(30 * 24);
/// A session ends this long after sign-in, however much it is used.
pub const SESSION_LIFETIME: Duration = Duration::from_hours(180 * 24);
/// The last use of a session is written down at most this often: a write per request would be a write per read.
pub const SESSION_TOUCH_INTERVAL: Duration = Duration::from_mins(5);
/// Sessions of one person; signing in once more ends the one unused for longest.
pub const SESSIONS_PER_PERSON_MAX: u32 = 50;
/// Rooms of a person that are read, and kept in mind, when one of their clients connects: more than a client subscribes to
/// (the hub's limit is 128). Of those beyond, each subscription asks for itself.
pub const ROOMS_READ_AT_CONNECT: u32 = 256;
/// How long that is kept in mind: a client asks for its rooms as soon as it is connected.
pub const ARRIVAL_REMEMBERED: Duration = Duration::from_secs(10);
/// Of how many sessions, in sessions: some 6 MiB with 20 rooms each, 64 MiB with all that are read. Of more who come at once,
/// each subscription asks for itself.
pub const ARRIVALS_REMEMBERED_MAX: usize = 16_384;
/// How often sessions that another process ended are looked for, so that their sockets close: security statement S21
/// promises 2 s, with the time that a look and the closing take. One read of an index.
pub const SESSION_SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// Of these looks, one in so many also ends what has expired, which is a write: S22 asks for 60 s at most.
pub const SWEEPS_PER_EXPIRY: u32 = 20;
/// How far back each look reaches: another process's commit may carry an earlier time than its end.
pub const SESSION_SWEEP_OVERLAP: Duration = Duration::from_secs(20);
/// An ended session's row is kept this long, so that every running server comes to see it.
pub const SESSION_REMEMBERED: Duration = Duration::from_hours(24);
/// Personal tokens of one person: one for each program, and each for one purpose.
pub const PERSONAL_TOKENS_MAX: u32 = 50;
/// The last use of a personal token is written down at most this often: a write per request would be a write per read.
pub const PERSONAL_TOKEN_TOUCH_INTERVAL: Duration = Duration::from_hours(1);
/// An invite is good for this long.
pub const INVITE_LIFETIME: Duration = Duration::from_hours(14 * 24);
/// An invite lets in this many people, each of them once.
pub const INVITE_USES_MAX: u32 = 100;

// Denials

/// What client tokens are refused for at once, in denials: kept in memory by every server, some 200 bytes each with names as
/// applications have them. Those that end make room; more is refused, and nothing that was denied is forgotten for it.
pub const DENIALS_MAX: usize = 100_000;
/// The id of a token, or the application's name for a user, as far as one can be denied, in bytes: above any that applications
/// have.
pub const DENIAL_NAME_BYTES_MAX: usize = 512;

// Rooms

/// Rooms on one server, in rooms: what one search through all of them may cost. They cannot be removed yet.
pub const ROOMS_MAX: u32 = 20_000;
/// Of these, the last ones are for administrators: whoever fills the server with rooms leaves them some.
pub const ROOMS_FOR_ADMINS: u32 = 1_000;
/// Rooms that one person may make who is no administrator, in rooms: nobody reaches the end of the server's alone, nor a
/// hundred accounts together, which is what one address gets in a day.
pub const ROOMS_PER_PERSON_MAX: u32 = 30;
/// People in a direct message beside the one who begins it, in people: their names still fit a line or two, and a larger
/// crowd wants a room, which others can be brought into.
pub const DIRECT_OTHERS_MAX: usize = 8;
/// Direct messages that one person may begin, in conversations: with each of some hundred others, and a few hundred groups;
/// they stay for ever.
pub const DIRECTS_PER_PERSON_MAX: u32 = 500;
/// People in one answer to who has such a name, in people: what fits a list to choose from.
pub const PEOPLE_FOUND_MAX: u32 = 20;
/// People whose names are read for such an answer, in people; the best of them are told. A longer query finds who is not
/// among them.
pub const PEOPLE_FOUND_READ: u32 = 400;
/// Rooms that the person is not in, in one page of the list of rooms: by itself, and at most. 200 of the longest names and
/// topics are some 300 KiB.
pub const ROOMS_PAGE: u32 = 100;
/// See [`ROOMS_PAGE`].
pub const ROOMS_PAGE_MAX: u32 = 200;
/// Members of a room above which typing is not told: each notice goes to all of them, and in a crowd somebody always types.
pub const TYPING_MEMBERS_MAX: u32 = 300;
/// Connections in a room above which it is not told that somebody does nothing at theirs, or something again: in a crowd
/// somebody always does, and whoever asks who is there sees it.
pub const IDLE_TOLD_CLIENTS_MAX: u32 = 300;
/// Events or messages in one page of history.
pub const PAGE_MAX: u32 = 200;
/// Events that the hub may read at once for a recovery; the hub's own limit is 300.
pub const HISTORY_READ_MAX: u32 = 1_000;

/// Unread messages of a room that are counted, in messages: who has more is told "99+", and nobody reads them one by one.
pub const UNREAD_COUNTED_MAX: u32 = 100;
/// The newest messages of a room that are looked at to count them, in messages: one's own and those that were deleted do not
/// count, and of a program that only writes there may be a million. So the list of rooms takes milliseconds, whatever is unread.
pub const UNREAD_LOOKED_AT: u32 = 1_000;

/// People whom one message mentions by name, in people: each is a row and a badge of somebody's, and whoever means more of a
/// room can say so.
pub const MENTIONS_MAX: usize = 50;
/// Members of a room that `@room` and `@here` tell without a question, in people: of a team they are, and beyond it the author
/// says that everybody is meant.
pub const EVERYBODY_ASKED_ABOVE: u32 = 25;
/// People whom `@here` tells, in people: each is a row, in the transaction of the post. Where more listen, `@room` is one.
pub const HERE_TOLD_MAX: usize = 500;
/// Activity in one page, in entries.
pub const ACTIVITY_PAGE_MAX: u32 = 50;
/// Answers in a thread that are counted under its message, in answers: beyond that it is "1,000 or more", so that a page of
/// history takes milliseconds, whatever was answered.
pub const REPLIES_COUNTED_MAX: u32 = 1_000;
/// The newest answers of a thread among which it is looked for who answered last, in answers.
pub const REPLIES_LOOKED_AT: u32 = 100;
/// People who are named under a message as those who answered last, in people.
pub const THREAD_PEOPLE_SHOWN: u32 = 3;
/// Threads in one page of those that somebody follows, in threads: each has the beginnings of two messages, so some 100 KiB.
pub const THREADS_PAGE_MAX: u32 = 50;

/// For how long whoever deleted a message can take that back: long enough to see what one has done, short enough for whoever
/// posted a secret by mistake. Then its text is erased, within [`SESSION_SWEEP_INTERVAL`] and as long as the log takes.
pub const DELETE_UNDO: Duration = Duration::from_secs(10);
/// Messages whose texts are erased in one transaction, in messages: more follow at once.
pub const ERASED_AT_ONCE: u32 = 500;

// The store

/// Digests of messages that a version before has left and that are keyed in one transaction, in digests: some milliseconds,
/// for which posts wait. A million took 47 s on two cores, with a build without optimisation, beside a server that listens.
pub const DIGESTS_KEYED_AT_ONCE: u32 = 500;
/// How long the writer of SQLite waits for those who read, when it empties the log of what was erased, before it tries again
/// at the next look: posts wait meanwhile.
pub const LOG_EMPTIED_WITHIN: Duration = Duration::from_millis(50);

/// Writes that may wait for the writer, in writes: under a second at full speed; the next one is told to try again. Where it has
/// several lanes, each has its share.
pub const WRITES_WAITING_MAX: usize = 4_096;
/// Writes committed together, in writes: beyond this a commit's cost per write no longer falls, only its latency grows.
pub const WRITES_PER_COMMIT_MAX: usize = 512;
/// Members of rooms that the writer remembers from one batch of posts to the next: some 200 bytes each.
pub const MEMBERS_REMEMBERED: usize = 4_096;
/// Connections that read the database at the same time, at most (fewer on fewer cores).
pub const READERS_MAX: usize = 8;
/// Reads that may wait for a connection, in calls: ten thousand clients resume at once after a restart.
pub const READS_WAITING_MAX: usize = 20_000;
/// How long a connection waits for another process (the command line) that holds the database.
pub const DATABASE_BUSY: Duration = Duration::from_secs(5);
/// How long a program waits for another one to let go of the data directory: the command line holds it for as long as a
/// password takes to hash, and a server that is being restarted until it has closed its database.
pub const DATA_DIR_BUSY: Duration = Duration::from_secs(3);
/// Batches that are committed side by side in Postgres, each on a connection of its own: while one waits for the disk, or for
/// the network, the next one of another room goes on.
pub const LANES: usize = 4;
/// How often a batch is tried again that another transaction stood in the way of.
pub const TRIES_MAX: u32 = 3;
/// How long connecting to the database's server may take, TLS and signing in included.
pub const DATABASE_CONNECT: Duration = Duration::from_secs(3);
/// How long a read or a batch may take on a database behind a network, connecting included; then whoever asked is told to
/// try again. Who comes while a batch hangs waits for that one too, so nobody longer than twice as long.
pub const DATABASE_PATIENCE: Duration = Duration::from_secs(4);
/// How long a statement waits for a lock of another transaction, before its server takes it back: ours hold theirs for some
/// milliseconds. Meanwhile its lane waits.
pub const DATABASE_LOCKS: Duration = Duration::from_secs(1);
/// How long a statement may take, or a transaction stay idle, before its server ends it: above our own patience, for what we
/// could not call off any more.
pub const DATABASE_ANSWERS: Duration = Duration::from_secs(7);
/// For how long after a commit whose answer was lost, or after a connection was, everything is looked at as often as that:
/// above the time that the database's server leaves a transaction, because it may yet commit what nobody waits for.
pub const DATABASE_UNSETTLED: Duration = Duration::from_mins(1);
/// Events of a room that were committed by others and are read and told at once.
pub const FOLLOWED_AT_ONCE: u32 = 200;
/// How often it is looked whether others have written to the database, and whether it is still held.
pub const DATABASE_POLL: Duration = Duration::from_secs(1);
/// Rows that a move to another database reads, and writes in one transaction, in rows: a commit costs little for each, and
/// three such pages of the longest texts are 100 MiB.
pub const MOVE_PAGE: u32 = 2_000;
/// Messages, and as many events, by which it is told how long a move would take, in rows.
pub const MOVE_SAMPLE: u32 = 20_000;
/// How many times as long a whole move takes as its sample says: that is written into small tables and never to the disk.
/// Measured with a million messages, both ways: 2.3 and 2.7.
pub const MOVE_SAMPLE_FACTOR: f64 = 2.5;
/// Room kept on the disk for what takes rights away (signing out, removing somebody, a new password), in bytes: two logs of
/// the size at which SQLite begins anew, so hundreds of such changes on a disk that is full.
pub const RESERVE_BYTES: u64 = 8 << 20;
/// What is given back of it at a time, in bytes: other programs on the same disk may take what is left of each piece, and
/// one is enough for a change of some ten pages. A change that needs more gets another piece.
pub const RESERVE_PIECE_BYTES: u64 = 64 << 10;
/// What must be free beside the whole reserve before anything else is written again, in bytes: with less, the next posts
/// would find the disk full.
pub const RESERVE_SPARE_BYTES: u64 = 1 << 20;
/// How often commits that failed are tried again, and a database at rest is looked for on the disk.
pub const UPKEEP_INTERVAL: Duration = Duration::from_secs(1);
/// Time between two lines in the log that say that writes fail: a full disk fails thousands a second, and the log may lie
/// on the same disk.
pub const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

// How often

/// Something allowed in bursts and, over time, at a steady rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// How many at once.
    pub burst: u32,
    /// How many a second, over time.
    pub per_second: f64,
}

/// How often one person may do what (security statement S63). The program may set others; these are the defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Posts of one person: far above any typist, below what drowns a room.
    pub posts: Rate,
    /// Typing notices of one person in one room. A client sends one every few seconds; more are dropped silently.
    pub typing: Rate,
    /// Joining, leaving, adding, removing, and changes of rooms and roles, per person: each is an event that everybody in the room receives.
    pub memberships: Rate,
    /// Read positions moved, per person: each device writes one a second at most, while somebody reads.
    pub reads: Rate,
    /// Rooms made, per person.
    pub rooms: Rate,
    /// Direct messages begun, per person; opening one that exists is not counted.
    pub directs: Rate,
    /// Questions for people by name, per person: a client asks after each letter.
    pub searches: Rate,
    /// Changes of one's own profile, per person: each is told to all in the rooms they are in.
    pub profiles: Rate,
    /// How often somebody's pages say that nobody does anything there, or something again, per person: a page says it once in ten
    /// minutes, and when somebody is back.
    pub idles: Rate,
    /// The same in one room, from everybody together: what is more is not told, and whoever asks sees it.
    pub idles_per_room: Rate,
    /// Requests with one personal token, beside what limits their kinds: a program that reads a long history, and no more.
    pub token_calls: Rate,
    /// New e-mail addresses that were tried, per person: an answer tells whether somebody else here has one.
    pub emails: Rate,
    /// Invites made, renewed or revoked, per person; reading one that is good is not counted.
    pub invites: Rate,
    /// Invite codes tried, accounts tried and set-up codes tried, per address of a client: a household or an office
    /// behind one address may sign up together.
    pub codes: Rate,
    /// Accounts made from one address, by its /64: an office on its first day.
    pub accounts_per_address: Rate,
    /// Accounts made by the invites of one room, however often the invite is renewed: a link that got about lets in so many
    /// before somebody looks.
    pub accounts_per_room: Rate,
    /// Typing notices in one room, from everybody together: more names are not shown.
    pub typing_per_room: Rate,
}

/// So many at once, and as many a day. Counted in memory: a restart begins a new day.
const fn a_day(burst: u32) -> Rate {
    Rate { burst, per_second: burst as f64 / 86_400.0 }
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            posts: Rate { burst: 120, per_second: 10.0 },
            typing: Rate { burst: 5, per_second: 0.5 },
            memberships: Rate { burst: 30, per_second: 0.5 },
            reads: Rate { burst: 60, per_second: 5.0 },
            rooms: Rate { burst: 10, per_second: 0.02 },
            directs: Rate { burst: 20, per_second: 0.1 },
            searches: Rate { burst: 60, per_second: 3.0 },
            profiles: Rate { burst: 20, per_second: 0.1 },
            idles: Rate { burst: 10, per_second: 0.1 },
            idles_per_room: Rate { burst: 30, per_second: 2.0 },
            token_calls: Rate { burst: 200, per_second: 20.0 },
            emails: a_day(10),
            invites: Rate { burst: 10, per_second: 0.1 },
            codes: Rate { burst: 60, per_second: 0.5 },
            accounts_per_address: a_day(100),
            accounts_per_room: a_day(200),
            typing_per_room: Rate { burst: 20, per_second: 5.0 },
        }
    }
}

impl Rates {
    /// No limits, for tests and benchmarks that measure something else.
    #[must_use]
    pub fn unlimited() -> Self {
        let rate = Rate { burst: u32::MAX, per_second: 1e9 };
        Self {
            posts: rate,
            typing: rate,
            memberships: rate,
            reads: rate,
            rooms: rate,
            directs: rate,
            searches: rate,
            profiles: rate,
            idles: rate,
            idles_per_room: rate,
            token_calls: rate,
            emails: rate,
            invites: rate,
            codes: rate,
            accounts_per_address: rate,
            accounts_per_room: rate,
            typing_per_room: rate,
        }
    }
}

/// Failed sign-ins to one account from one address before each further one must wait; and failed changes of one's
/// password.
pub const SIGN_INS_FREE_PER_ACCOUNT: u32 = 5;
/// Failed sign-ins to one account from all addresses together. One address, held to one a minute in the end, takes a tenth
/// of what flows back, so it locks nobody out; more than ten together hold up everybody but the owner on a device where
/// they have signed in before, which has a count of its own: the price of a bound on guessing from everywhere.
pub const SIGN_INS_PER_ACCOUNT: Rate = Rate { burst: 100, per_second: 1.0 / 6.0 };
/// Failed sign-ins from one address before each further one must wait: many people may share one. Those refused for the
/// account's sake count too.
pub const SIGN_INS_FREE_PER_ADDRESS: u32 = 30;
/// Failed sign-ins from a device on which the account's owner has signed in before each further one must wait: the only ones
/// that are counted there, and nowhere else. Whoever has a copy of a device's cookie can use them up; its owner then signs in
/// where they have no such cookie (a private window), and each sign-in gives the device another number with a new count.
pub const SIGN_INS_FREE_PER_DEVICE: u32 = 5;
/// Passwords of one person that are hashed before those of strangers, from devices where they have signed in and in changes
/// of the password, right ones too: more than anybody needs. What goes beyond waits in turns with everybody's, so that a
/// member keeps nobody waiting.
pub const TURNS_AHEAD_PER_PERSON: Rate = Rate { burst: 10, per_second: 1.0 / 6.0 };
/// A device is remembered, by its cookie, for so long after the last sign-in.
pub const DEVICE_REMEMBERED: Duration = Duration::from_hours(400 * 24);
/// Lines of the security log about what strangers failed at: a flood is told of, not written down try by try. How many were
/// left out stands in the next line.
pub const SECURITY_LINES: Rate = Rate { burst: 200, per_second: 5.0 };
/// The first wait; it doubles with each further failure.
pub const SIGN_IN_WAIT_FIRST: Duration = Duration::from_secs(1);
/// The longest wait between attempts: slow enough for guessing, short enough for somebody who mistyped. It protects nobody
/// from being locked out, since a stranger may take each free moment first; that failures are counted by account and
/// address does, unless the stranger shares the address.
pub const SIGN_IN_WAIT_MAX: Duration = Duration::from_secs(60);
/// Failures are forgotten after this long without another.
pub const SIGN_IN_FORGET: Duration = Duration::from_mins(15);
/// Keys (people, addresses, accounts) that one rate limit remembers: some 10 MB; keys at rest are forgotten
/// first, then those unused for longest.
pub const RATE_KEYS_MAX: usize = 100_000;
