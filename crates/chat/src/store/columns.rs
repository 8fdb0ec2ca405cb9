//! The columns of rows that several statements read, in the same words and the same order for every database that is
//! asked in SQL. What reads a row stands in the `values` of each.

use crate::limits::{REACTION_PEOPLE_SHOWN, UNREAD_COUNTED_MAX, UNREAD_LOOKED_AT};

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
