//! The columns of rows that several statements read, in the same words and the same order for every database that is
//! asked in SQL. What reads a row stands in the `values` of each.

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

/// Of a message `m`, after those of [`WHO`], joined with [`DELETER`]: as its readers see it.
pub(super) const MESSAGE: &str = "m.id, m.room, m.number, m.client_id,
    CASE WHEN m.deleted IS NULL THEN m.body ELSE '' END AS shown, m.time, m.edited, m.deleted, m.delete_reason,
    deleter.id AS deleter, deleter.name AS deleter_name, EXISTS (SELECT 1 FROM people q
        WHERE q.look = deleter.look AND q.id <> deleter.id) AS deleter_same_name";
/// Who deleted a message `m`.
pub(super) const DELETER: &str = "LEFT JOIN people deleter ON deleter.id = m.deleted_by";
/// The first column behind those.
pub(super) const AFTER_MESSAGE: usize = 15;

/// Who did what an event `e` says, where that is somebody else than whom it concerns and the message does not say it; joined by
/// [`BY_JOIN`].
pub(super) const BY: &str = "actor.id AS by_id, actor.name AS by_name, EXISTS (SELECT 1 FROM people q
    WHERE q.look = actor.look AND q.id <> actor.id) AS by_same_name";
/// See [`BY`].
pub(super) const BY_JOIN: &str =
    "LEFT JOIN people actor ON e.message IS NULL AND e.actor <> e.subject AND actor.id = e.actor";
