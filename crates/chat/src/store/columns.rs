//! The columns of rows that several statements read, in the same words and the same order for every database that is
//! asked in SQL. What reads a row stands in the `values` of each.

use crate::{
    limits::{
        ANSWERED_CHARS_MAX, REACTION_PEOPLE_SHOWN, REPLIES_COUNTED_MAX, REPLIES_LOOKED_AT, THREAD_PEOPLE_SHOWN,
        UNREAD_COUNTED_MAX, UNREAD_LOOKED_AT,
    },
    model::{ActivityKind, NoticeKind},
};

/// Of a person `p`.
pub(super) const PERSON: &str = "p.id, p.name, p.email, p.role, p.deactivated IS NULL,
    EXISTS (SELECT 1 FROM people q WHERE q.look = p.look AND q.id <> p.id)";
/// How many these are.
pub(super) const PERSON_COLUMNS: usize = 6;

/// Of a person `p`, as others see them.
pub(super) const WHO: &str = "p.id, p.name, EXISTS (SELECT 1 FROM people q WHERE q.look = p.look AND q.id <> p.id)";

/// Of a person `p`, with what they say of themselves.
pub(super) const PROFILE: &str = "p.id, p.name, EXISTS (SELECT 1 FROM people q WHERE q.look = p.look AND q.id <> p.id),
    p.role, p.deactivated IS NULL, p.title, p.zone, p.status_emoji, p.status_text, p.status_ends,
    p.quiet IS NOT NULL, p.quiet_ends, p.changed";

/// Of a personal token `t`.
pub(super) const PERSONAL_TOKEN: &str = "t.id, t.name, t.scopes, t.created, t.expires, t.last_used";

/// Of a session `s`.
pub(super) const SESSION: &str = "s.id, s.created, s.last_seen, s.user_agent, s.address";
/// How many these are.
pub(super) const SESSION_COLUMNS: usize = 5;

/// Of a denial `d`.
pub(super) const DENIAL: &str = "d.kind, d.subject, d.channel, d.issued_before, d.created, d.ends";

/// Of an invite `i`.
pub(super) const INVITE: &str = "i.code, i.room, i.created, i.expires, i.uses_max, i.uses, i.revoked IS NOT NULL";

/// Of a message `m`, after those of [`WHO`], joined with [`ASIDE`]: as its readers see it. The beginning of what it answers is
/// [`ANSWERED_CHARS_MAX`](crate::limits::ANSWERED_CHARS_MAX) characters.
pub(super) const MESSAGE: &str = "m.id, m.room, m.number, m.client_id,
    CASE WHEN m.deleted IS NULL THEN m.body ELSE '' END AS shown, m.time, m.edited, m.deleted, m.delete_reason,
    deleter.id AS deleter, deleter.name AS deleter_name, EXISTS (SELECT 1 FROM people q
        WHERE q.look = deleter.look AND q.id <> deleter.id) AS deleter_same_name,
    answered.id AS answered, answered.number AS answered_number, answered.deleted IS NOT NULL AS answered_deleted,
    CASE WHEN answered.deleted IS NULL THEN substr(answered.body, 1, 200) ELSE '' END AS answered_body,
    answered_author.id AS answered_author, answered_author.name AS answered_author_name, EXISTS (SELECT 1 FROM people q
        WHERE q.look = answered_author.look AND q.id <> answered_author.id) AS answered_author_same_name,
    m.thread AS thread, m.in_room AS in_room";
/// Who deleted a message `m`, what it answers, and who wrote that.
pub(super) const ASIDE: &str = "LEFT JOIN people deleter ON deleter.id = m.deleted_by
    LEFT JOIN messages answered ON answered.id = m.reply_to
    LEFT JOIN people answered_author ON answered_author.id = answered.author";
/// The first column behind those.
pub(super) const AFTER_MESSAGE: usize = 24;

/// Who did what an event `e` says, where that is somebody else than whom it concerns and the message does not say it; joined by
/// [`BY_JOIN`].
pub(super) const BY: &str = "actor.id AS by_id, actor.name AS by_name, EXISTS (SELECT 1 FROM people q
    WHERE q.look = actor.look AND q.id <> actor.id) AS by_same_name";
/// See [`BY`].
pub(super) const BY_JOIN: &str =
    "LEFT JOIN people actor ON e.message IS NULL AND e.actor <> e.subject AND actor.id = e.actor";

/// The reactions to messages, which `messages` selects, as `reader` sees them: to which one, with what, how many in all, whether
/// the reader is one of them, and who reacted first; sorted by message and by when each emoji came up.
pub(super) fn reacted(messages: &str, reader: &str) -> String {
    format!(
        "SELECT r.message, r.emoji, r.there, r.mine, {WHO} FROM (
            SELECT message, emoji, person, count(*) OVER one AS there, min(number) OVER one AS first,
                max(CASE WHEN person = {reader} THEN 1 ELSE 0 END) OVER one = 1 AS mine,
                row_number() OVER (PARTITION BY message, emoji ORDER BY number) AS place
            FROM reactions WHERE message IN ({messages}) WINDOW one AS (PARTITION BY message, emoji)
        ) r JOIN people p ON p.id = r.person
        WHERE r.place <= {REACTION_PEOPLE_SHOWN} ORDER BY r.message, r.first, r.emoji, r.place"
    )
}

/// What stands in the threads under messages, which `messages` selects: under which one, how many in all, and of each of those who
/// answered last their last answer; sorted by thread, the newest first. Of a thread with more answers than are counted no more
/// are looked at.
pub(super) fn replies(messages: &str) -> String {
    format!(
        "SELECT a.thread, (SELECT count(*) FROM (SELECT 1 FROM messages c WHERE c.thread = a.thread AND c.deleted IS NULL
                LIMIT {REPLIES_COUNTED_MAX}) counted),
            a.id, a.number, a.time, {WHO} FROM (
            SELECT b.*, row_number() OVER (PARTITION BY b.thread ORDER BY b.number DESC) AS place FROM (
                SELECT n.thread, n.id, n.number, n.time, n.author,
                    row_number() OVER (PARTITION BY n.thread, n.author ORDER BY n.number DESC) AS nth
                FROM (
                    SELECT r.id, coalesce((SELECT o.number FROM messages o WHERE o.thread = r.id AND o.deleted IS NULL
                        ORDER BY o.number DESC LIMIT 1 OFFSET {}), 0) AS lowest
                    FROM messages r WHERE r.id IN ({messages})
                ) root JOIN messages n ON n.thread = root.id AND n.number >= root.lowest AND n.deleted IS NULL
            ) b WHERE b.nth = 1
        ) a JOIN people p ON p.id = a.author
        WHERE a.place <= {THREAD_PEOPLE_SHOWN} ORDER BY a.thread, a.number DESC",
        REPLIES_LOOKED_AT - 1
    )
}

/// How many answers of others than `person` stand in a thread `root` behind the number `after`, as far as that is counted.
pub(super) fn unread_in_thread(root: &str, person: &str, after: &str) -> String {
    format!(
        "(SELECT count(*) FROM (SELECT 1 FROM (SELECT n.author, n.deleted FROM messages n WHERE n.thread = {root}
            AND n.number > {after} ORDER BY n.number DESC LIMIT {UNREAD_LOOKED_AT}) n
            WHERE n.author <> {person} AND n.deleted IS NULL LIMIT {UNREAD_COUNTED_MAX}) counted)"
    )
}

/// The beginning of a message, as it stands above what answers it, with its author.
fn answered(message: &str, author: &str) -> String {
    format!(
        "{message}.id, {message}.number, {message}.deleted IS NOT NULL,
        CASE WHEN {message}.deleted IS NULL THEN substr({message}.body, 1, {ANSWERED_CHARS_MAX}) ELSE '' END,
        {author}.id, {author}.name, EXISTS (SELECT 1 FROM people q WHERE q.look = {author}.look AND q.id <> {author}.id)"
    )
}
/// How many columns that are.
const ANSWERED_COLUMNS: usize = 7;

/// The message that a thread is to be under, of the room `room`, as `person` meets it who is to answer there: the thread that it
/// is in itself, whether it is settled of that person, and of its author, that they follow it, and its beginning.
pub(super) fn thread_root(room: &str, root: &str, person: &str) -> String {
    format!(
        "SELECT {}, m.thread,
            EXISTS (SELECT 1 FROM thread_followers f WHERE f.root = m.id AND f.person = {person}),
            EXISTS (SELECT 1 FROM thread_followers f WHERE f.root = m.id AND f.person = m.author)
                OR NOT EXISTS (SELECT 1 FROM memberships s WHERE s.room = m.room AND s.person = m.author)
        FROM messages m JOIN people p ON p.id = m.author WHERE m.id = {root} AND m.room = {room}",
        answered("m", "p")
    )
}
/// Where what follows the beginning is.
pub(super) const AFTER_ROOT: usize = ANSWERED_COLUMNS;

/// A page of the threads that `person` follows: id, room, the room's last number, up to where it was read and what is unread, and
/// the beginnings of the message that it is under and of the newest answer.
pub(super) fn threads(person: &str, before: &str, limit: &str) -> String {
    format!(
        "WITH page AS ({page}) SELECT r.id, r.room, o.last_number, page.read_number, {unread}, {root}, {last}
        FROM page JOIN messages r ON r.id = page.root JOIN people rp ON rp.id = r.author JOIN rooms o ON o.id = r.room
        JOIN messages l ON l.id = page.last JOIN people lp ON lp.id = l.author ORDER BY page.at DESC, page.last DESC",
        page = page_of_threads(person, before, limit),
        unread = unread_in_thread("r.id", person, "page.read_number"),
        root = answered("r", "rp"),
        last = answered("l", "lp"),
    )
}
/// Which these are: `root`, with where they were read up to, and the newest answer.
pub(super) fn page_of_threads(person: &str, before: &str, limit: &str) -> String {
    format!(
        "SELECT f.root, f.read_number, l.id AS last, l.time AS at {FOLLOWED}
        JOIN messages l ON l.thread = f.root
            AND l.number = (SELECT max(n.number) FROM messages n WHERE n.thread = f.root AND n.deleted IS NULL)
        WHERE f.person = {person} AND f.following AND ({before} IS NULL
            OR (l.time, l.id) < (SELECT c.time, c.id FROM messages c JOIN memberships s ON s.room = c.room AND s.person = {person}
                WHERE c.id = {before}))
        ORDER BY l.time DESC, l.id DESC LIMIT {limit}"
    )
}
/// Where the two beginnings are.
pub(super) const THREAD_ROOT: usize = 5;
pub(super) const THREAD_LAST: usize = THREAD_ROOT + ANSWERED_COLUMNS;

/// In how many of the threads that `person` follows something is unread.
pub(super) fn threads_unread(person: &str) -> String {
    format!(
        "SELECT count(*) {FOLLOWED} WHERE f.person = {person} AND f.following AND EXISTS (SELECT 1 FROM messages n
            WHERE n.thread = f.root AND n.number > f.read_number AND n.deleted IS NULL AND n.author <> {person})"
    )
}

/// Those who follow threads, in rooms that they are in.
const FOLLOWED: &str = "FROM thread_followers f JOIN messages r ON r.id = f.root
    JOIN memberships own ON own.room = r.room AND own.person = f.person";

/// The number of the last event before a time: halved until it is found, since numbers have no gaps and events no other index.
/// Of the room, the reader and the time, as the database names them.
pub(super) fn last_before(room: &str, reader: &str, time: &str) -> String {
    format!(
        "WITH RECURSIVE part(low, high) AS (
            SELECT CAST(0 AS bigint), r.last_number FROM rooms r JOIN memberships m ON m.room = r.id
                WHERE r.id = {room} AND m.person = {reader}
            UNION ALL
            SELECT CASE WHEN e.time < {time} THEN e.number ELSE part.low END,
                CASE WHEN e.time < {time} THEN part.high ELSE e.number - 1 END
            FROM part JOIN room_events e ON e.room = {room} AND e.number = (part.low + part.high + 1) / 2
            WHERE part.low < part.high
        ) SELECT low FROM part WHERE low = high"
    )
}

/// How many messages of others than `$person` stand in a room `$room` behind the number `$after`, as far as that is counted: what
/// is newest is looked at first, so that whoever is far behind costs no more than who is a little.
macro_rules! unread {
    ($room:literal, $person:literal, $after:literal) => {
        concat!(
            "(SELECT count(*) FROM (SELECT 1 FROM (SELECT n.author, n.deleted, n.in_room FROM messages n WHERE n.room = ",
            $room,
            " AND n.number > ",
            $after,
            " ORDER BY n.number DESC LIMIT 1000) n WHERE n.author <> ",
            $person,
            " AND n.deleted IS NULL AND n.in_room LIMIT 100) counted)"
        )
    };
}
pub(super) use unread;

/// How many messages that stand there in a room `$room` behind the number `$after` mention `$person`, as far as that is counted:
/// by name, as one of those who listened, or as one of all in the room.
macro_rules! mentions {
    ($room:literal, $person:literal, $after:literal) => {
        concat!(
            "(SELECT count(*) FROM (SELECT 1 FROM (
                SELECT message FROM (SELECT n.message FROM notices n WHERE n.room = ",
            $room,
            " AND n.person = ",
            $person,
            " AND n.number > ",
            $after,
            " AND n.kind IN ('mention', 'here') ORDER BY n.number DESC LIMIT 1000) named
                UNION
                SELECT message FROM (SELECT n.message FROM notices n WHERE n.room = ",
            $room,
            " AND n.person IS NULL AND n.number > ",
            $after,
            " AND n.kind = 'room' AND n.actor <> ",
            $person,
            " ORDER BY n.number DESC LIMIT 1000) everybody
            ) told JOIN messages t ON t.id = told.message WHERE t.deleted IS NULL AND t.in_room LIMIT 100) counted)"
        )
    };
}
pub(super) use mentions;

/// What concerns a person, behind the columns of [`WHO`] and [`MESSAGE`] of the message.
pub(super) const NOTICE: &str =
    "n.kind AS notice_kind, n.time AS notice_time, n.emoji AS notice_emoji, n.event, n.place,
    actor.id AS actor, actor.name AS actor_name, EXISTS (SELECT 1 FROM people q
        WHERE q.look = actor.look AND q.id <> actor.id) AS actor_same_name";

/// What concerns `person`, the newest first: of these kinds, older than the place, at most `limit`; of rooms that they are in, and
/// of messages that stand. All in a room are told with one row, which concerns those who were there, and who are not named beside.
pub(super) fn activity(kinds: &str, [person, time, event, room, place, limit]: [&str; 6]) -> String {
    let of = |whose: &str| {
        format!(
            "SELECT n.room, n.event, n.place, n.time FROM notices n
            JOIN memberships own ON own.room = n.room AND own.person = {person}
            JOIN messages m ON m.id = n.message AND m.deleted IS NULL
            WHERE {whose} AND n.kind IN ({kinds}) AND n.time <= {time}
            AND (n.time < {time} OR n.event < {event} OR n.event = {event}
                AND (n.room < {room} OR n.room = {room} AND n.place < {place}))
            ORDER BY n.time DESC, n.event DESC, n.room DESC, n.place DESC LIMIT {limit}"
        )
    };
    let named = of(&format!("n.person = {person}"));
    let everybody = of(&format!(
        "n.person IS NULL AND n.actor <> {person} AND n.time >= own.joined AND NOT EXISTS (SELECT 1 FROM notices b
            WHERE b.message = n.message AND b.person = {person} AND b.kind IN ('mention', 'here'))"
    ));
    format!(
        "SELECT {WHO}, {MESSAGE}, {NOTICE} FROM (
            SELECT * FROM ({named}) named UNION ALL SELECT * FROM ({everybody}) everybody
        ) found JOIN notices n ON n.room = found.room AND n.event = found.event AND n.place = found.place
        JOIN people actor ON actor.id = n.actor
        JOIN messages m ON m.id = n.message JOIN people p ON p.id = m.author {ASIDE}
        ORDER BY n.time DESC, n.event DESC, n.room DESC, n.place DESC LIMIT {limit}"
    )
}

/// The kinds of rows that a kind of activity is made of, as SQL.
pub(super) fn kinds(kind: Option<ActivityKind>) -> String {
    let all = [NoticeKind::Mention, NoticeKind::Here, NoticeKind::Room, NoticeKind::Reply, NoticeKind::Reaction];
    let asked = all.into_iter().filter(|notice| kind.is_none_or(|kind| kind.has(*notice)));
    asked.map(|notice| format!("'{}'", notice.as_str())).collect::<Vec<_>>().join(", ")
}

/// The names of those whom a message `n.message` mentions, or has mentioned, by name.
pub(super) const NAMED: &str =
    "FROM notices n JOIN people p ON p.id = n.person WHERE n.kind IN ('mention', 'past') AND n.message";

/// Of a row of what concerns somebody.
pub(super) const NOTICE_ROW: &str =
    "n.room, n.event, n.place, n.person, n.kind, n.message, n.number, n.actor, n.emoji, n.time";

const _: () = assert!(UNREAD_LOOKED_AT == 1_000 && UNREAD_COUNTED_MAX == 100, "as in the statement");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_what_is_answered_is_as_long_as_its_limit_says() {
        assert!(MESSAGE.contains(&format!("substr(answered.body, 1, {ANSWERED_CHARS_MAX})")));
    }
}
