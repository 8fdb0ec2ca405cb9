//! The columns of rows that several statements read, in the same words and the same order for every database that is
//! asked in SQL. What reads a row stands in the `values` of each.

use crate::{
    limits::{REACTION_PEOPLE_SHOWN, UNREAD_COUNTED_MAX, UNREAD_LOOKED_AT},
    model::{ActivityKind, NoticeKind},
};

/// Of a person `p`.
pub(super) const PERSON: &str = "p.id, p.name, p.email, p.role, p.deactivated IS NULL,
    EXISTS (SELECT 1 FROM people q WHERE q.look = p.look AND q.id <> p.id)";
/// How many these are.
pub(super) const PERSON_COLUMNS: usize = 6;

/// Of a person `p`, as others see them.
pub(super) const WHO: &str = "p.id, p.name, EXISTS (SELECT 1 FROM people q WHERE q.look = p.look AND q.id <> p.id)";

/// Of a session `s`.
pub(super) const SESSION: &str = "s.id, s.created, s.last_seen, s.user_agent";
/// How many these are.
pub(super) const SESSION_COLUMNS: usize = 4;

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
        WHERE q.look = answered_author.look AND q.id <> answered_author.id) AS answered_author_same_name";
/// Who deleted a message `m`, what it answers, and who wrote that.
pub(super) const ASIDE: &str = "LEFT JOIN people deleter ON deleter.id = m.deleted_by
    LEFT JOIN messages answered ON answered.id = m.reply_to
    LEFT JOIN people answered_author ON answered_author.id = answered.author";
/// The first column behind those.
pub(super) const AFTER_MESSAGE: usize = 22;

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
            "(SELECT count(*) FROM (SELECT 1 FROM (SELECT n.author, n.deleted FROM messages n WHERE n.room = ",
            $room,
            " AND n.number > ",
            $after,
            " ORDER BY n.number DESC LIMIT 1000) n WHERE n.author <> ",
            $person,
            " AND n.deleted IS NULL LIMIT 100) counted)"
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
            ) told JOIN messages t ON t.id = told.message WHERE t.deleted IS NULL LIMIT 100) counted)"
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
    use crate::limits::ANSWERED_CHARS_MAX;

    #[test]
    fn the_beginning_of_what_is_answered_is_as_long_as_its_limit_says() {
        assert!(MESSAGE.contains(&format!("substr(answered.body, 1, {ANSWERED_CHARS_MAX})")));
    }
}
