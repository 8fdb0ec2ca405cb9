/** Every limit of the UI, with its unit and its reason. */

/** UTF-8 bytes in a message: the server's limit, checked here so that nobody loses a long text to a refusal. */
export const MESSAGE_BYTES_MAX = 16_384;

/** UTF-8 bytes before that limit at which people are told how many characters are left. */
export const NEARLY_FULL_BYTES = 1_000;

/** Messages into which a longer text is split, at most: more is a file. */
export const SPLIT_MESSAGES_MAX = 20;

/** Lines that are shown of a long message before somebody asks for the rest: half a screen. */
export const FOLDED_LINES = 20;

/** Lines beyond these that are shown all the same: a button for two lines would be in the way of them. */
export const FOLD_SPARES_LINES = 4;

/** Characters (UTF-16 units) from which a message may have so many lines on a narrow phone, so that it is measured. */
export const FOLDED_CHARACTERS_MIN = 600;

/** Characters of what stands above an answer to it: the server sends as many. */
export const ANSWERED_CHARS_MAX = 200;

/** People who are named with a reaction, as the server names them; all others are asked for. */
export const REACTION_PEOPLE_SHOWN = 5;

/** Answers in a thread that are counted under its message: so many are so many or more. The server holds the same limit. */
export const REPLIES_COUNTED_MAX = 1_000;

/** People who are named under a message as those who answered last, as the server names them. */
export const THREAD_PEOPLE_SHOWN = 3;

/** Answers of a thread that are read at once: some screens of the panel. */
export const THREAD_PAGE_MESSAGES = 50;

/** Milliseconds before the threads that this person follows are asked for again after something changed among them. */
export const THREADS_REFRESH_MS = 1_000;

/** Emoji that somebody used lately and finds first: two rows of the picker. */
export const EMOJI_RECENT_MAX = 18;

/** Emoji that are shown for what somebody looks for: what is further down is not what they mean. */
export const EMOJI_FOUND_MAX = 63;

/** Emoji that are offered while a short name is being written. */
export const EMOJI_OFFERED_MAX = 6;

/** People or rooms that are offered while a name is being written. */
export const NAMES_OFFERED_MAX = 8;

/** Messages of a room, from its newest back, whose authors are offered first. */
export const RECENT_AUTHORS_LOOKED_AT = 200;

/** Members of a room above which everybody is told only after a question: the server holds the same limit. */
export const EVERYBODY_ASKED_ABOVE = 25;

/** Entries of activity in a page. */
export const ACTIVITY_PAGE = 30;

/** Milliseconds for which what happened is collected before activity is read again. */
export const ACTIVITY_REFRESH_MS = 400;

/** Emoji that are shown big where a message has nothing else. */
export const EMOJI_SHOWN_BIG_MAX = 3;

/** Characters (UTF-16 units) of code that is coloured: it happens between two frames, and what is longer is read elsewhere. */
export const HIGHLIGHTED_CHARACTERS_MAX = 10_000;

/** Milliseconds for which a button says that the code was copied. */
export const COPIED_SHOWN_MS = 2_000;

/** Events per page of history: about three screens, so that scrolling rarely waits. */
export const HISTORY_PAGE_EVENTS = 50;

/** Events before the first new one that are loaded with it, so that the new ones have what they answer to. */
export const BEFORE_NEW_EVENTS = 20;

/** Events after one that was asked for that come with it: what answered it. As many come before it. */
export const AFTER_TARGET_EVENTS = 25;

/** Events per page when catching up after an absence: the server's largest page. */
export const CATCH_UP_PAGE_EVENTS = 200;

/**
 * Missed events worth reading at once. After a longer absence the room restarts at its newest page; for a reader who is
 * further up it stays, and reads on as they come down.
 */
export const CATCH_UP_EVENTS_MAX = 1_000;

/** Events kept that came before what lies between was read (as many as one catching up may bring). Later ones are read again. */
export const WAITING_EVENTS_MAX = CATCH_UP_EVENTS_MAX;

/** Milliseconds that reading from the API may take: a page of 512 KiB at 10 kB/s. A link that is dead says nothing by itself. */
export const READ_TIMEOUT_MS = 60_000;

/**
 * Milliseconds that the first list of rooms waits for a connection that neither comes nor fails, so that it is asked for
 * once and misses nothing.
 */
export const ROOMS_WITHOUT_CONNECTION_MS = 3_000;

/** Events one room keeps in memory while the reader is at the end (some 1 MB of texts). */
export const TIMELINE_EVENTS_MAX = 2_000;

/** Events shown at once, so that layout stays quick on a phone. */
export const WINDOW_EVENTS_MAX = 300;

/** Events shown on entering a room. */
export const WINDOW_EVENTS_START = 80;

/** Pixels from either end at which the next part of the list is shown or fetched. */
export const PAGING_MARGIN_PX = 600;

/** Pixels from the top at which the line before what is new stands after going to it. */
export const NEW_LINE_TOP_PX = 48;

/** Pixels that the label of a day takes at the top of the list: what stands there is not in view. */
export const DAY_LABEL_PX = 40;

/** Pixels from the end within which the list follows new messages. */
export const FOLLOW_MARGIN_PX = 100;

/** Milliseconds for which a message is in view before somebody looking has seen it: the time that a line takes to be read. */
export const SEEN_AFTER_MS = 700;

/**
 * Milliseconds without a key, a pointer or a finger after which nobody is taken to be there any more: longer than people read
 * without moving, shorter than they are away for.
 */
export const AT_REST_MS = 180_000;

/** Milliseconds between two times that the server is told how far this person has read a room; also when the page goes away. */
export const READ_SEND_EVERY_MS = 1_000;

/** Milliseconds before it is told again what it could not take: nothing is lost meanwhile but that other devices know. */
export const READ_RETRY_MS = 5_000;

/** Unread messages that the server counts in one room: so many are so many or more. The server holds the same limit. */
export const UNREAD_COUNTED_MAX = 100;

/** Milliseconds within which messages of one author share a header: of the header, so that a long burst gets a new one. */
export const GROUPING_MS = 5 * 60_000;

/** Milliseconds that a typing notice stays without being renewed. */
export const TYPING_SHOWN_MS = 5_000;

/** Milliseconds between two typing notices that we send: renewed before the last one fades. */
export const TYPING_SEND_EVERY_MS = 3_000;

/** Milliseconds without a connection, or without a server that takes messages, before we speak of it: most cuts heal sooner. */
export const RECONNECTING_SHOWN_AFTER_MS = 5_000;

/** Milliseconds that a message may be under way on a standing connection before the page says that it still tries. */
export const STILL_TRYING_AFTER_MS = 10_000;

/** Milliseconds for which a deletion can be taken back. The server holds the same limit, and begins to count a little later. */
export const DELETE_UNDO_MS = 10_000;

/** Milliseconds that a short line over the composer stays: long enough to read two of them. */
export const NOTICE_SHOWN_MS = 6_000;

/** Characters in the reason for deleting somebody else's message, at most. The server holds the same limit. */
export const DELETE_REASON_CHARACTERS_MAX = 500;

/** Milliseconds that a finger rests on a message before its menu opens: as long as elsewhere on phones. */
export const LONG_PRESS_MS = 500;

/** Pixels that such a finger may move. */
export const LONG_PRESS_MOVE_PX = 10;

/** Milliseconds over which announcements to a screen reader are collected. */
export const ANNOUNCE_EVERY_MS = 1_000;

/**
 * Milliseconds before the rooms are asked for after the server ended one of them: a server in two minds must not make
 * us ask without pause.
 */
export const ENDED_REFRESH_MS = 1_000;

/** Messages of this person that are remembered as sent, so that an older reading of the disk does not bring them back (some 100 kB). */
export const SENT_REMEMBERED_MAX = 1_000;

/**
 * Milliseconds: the first and the longest wait before something that the server did not do is asked for again. The longest
 * is what somebody waits for after the server has come to itself; 1,000 pages that wait then ask 200 times a second.
 */
export const RESEND_DELAY_MIN_MS = 500;
export const RESEND_DELAY_MAX_MS = 10_000;

/** Characters in a password, at least. The server holds the same limit. */
export const PASSWORD_CHARACTERS_MIN = 10;

/** How long typing rests before people are looked for by what was typed. */
export const FIND_PEOPLE_DELAY_MS = 150;
/** People who are added to a room at once: each is a request. */
export const ADD_PEOPLE_MAX = 10;
/** Others in one direct message, as on the server. */
export const DIRECT_OTHERS_MAX = 8;
/** A room's description, as on the server. */
export const DESCRIPTION_CHARACTERS_MAX = 1_000;
/** The heading that one gives to some of one's rooms, as on the server. */
export const SECTION_CHARACTERS_MAX = 50;

/** Characters in a person's or a room's name, at most. The server holds the same limit. */
export const NAME_CHARACTERS_MAX = 80;

/** Characters in a room's topic, at most. The server holds the same limit. */
export const TOPIC_CHARACTERS_MAX = 250;

/** Characters in a person's title and status, at most. The server holds the same limits. */
export const TITLE_CHARACTERS_MAX = 80;
export const STATUS_CHARACTERS_MAX = 100;

/** People whose profiles are asked for at once. The server holds the same limit. */
export const PROFILES_READ_MAX = 100;

/** People whose profiles are kept: some 200 bytes each, of everybody in a large room and of whoever was told of. */
export const PROFILES_KEPT_MAX = 1_000;

/** Milliseconds without a key, a pointer or a finger at any of their pages after which somebody is shown as idle. */
export const IDLE_AFTER_MS = 600_000;

/** Milliseconds after which a page says again whether somebody works at it, where the server did not take it. */
export const IDLE_RETRY_MS = 20_000;
