//! How the chat's words are columns of SQLite: identities and digests as blobs, times as integers, roles and kinds as text; and
//! how SQLite's errors are the store's.

use std::collections::HashMap;

use rusqlite::{
    ErrorCode, Row, ToSql, ffi,
    types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef},
};

use crate::{
    model::{
        Activity, Answered, ClientId, Code, Deleted, Denial, Denied, Description, Email, Emoji, EventRow, Invite,
        LastReply, Message, MessageId, Name, Notice, NoticeKind, Person, PersonId, PersonalToken, PersonalTokenId,
        Preferences, Profile, Quiet, Reacted, Reaction, Reading, Replies, Role, Room, RoomFacts, RoomId, RoomKind,
        RoomRole, Said, SecretDigest, Section, Session, SessionId, Status, StoredDigest, StoredInvite, Time, Title,
        Topic, Who, Zone, gather, gather_replies,
    },
    store::StoreError,
    store::columns::{AFTER_MESSAGE, mentions, unread},
};

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` passes")]
pub(super) fn store_error(error: rusqlite::Error) -> StoreError {
    kind(&error).unwrap_or_else(|| StoreError::Failed(error.to_string()))
}

/// What kind of an error it is, if it is none of which only the text can be told.
pub(super) fn kind(error: &rusqlite::Error) -> Option<StoreError> {
    match error.sqlite_error()? {
        ffi::Error { code: ErrorCode::DiskFull, .. } => Some(StoreError::Full),
        // No room for the index of the log.
        ffi::Error { extended_code: ffi::SQLITE_IOERR_SHMSIZE, .. } => Some(StoreError::Full),
        // The last: two programs met while they opened or closed the log.
        ffi::Error {
            code: ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed,
            ..
        } => Some(StoreError::Busy),
        _ => None,
    }
}

/// Whether a transaction failed by no fault of a change in it, so that each of them would fail alone too.
pub(super) fn is_everybodys(error: &rusqlite::Error) -> bool {
    use ErrorCode::{
        CannotOpen, DatabaseBusy, DatabaseCorrupt, DatabaseLocked, FileLockingProtocolFailed, NotADatabase,
        PermissionDenied, ReadOnly, SystemIoFailure,
    };
    matches!(
        error.sqlite_error_code(),
        Some(
            DatabaseBusy
                | DatabaseLocked
                | FileLockingProtocolFailed
                | SystemIoFailure
                | DatabaseCorrupt
                | NotADatabase
                | CannotOpen
                | PermissionDenied
                | ReadOnly
        )
    )
}

macro_rules! id_column {
    ($($id:ident),*) => {$(
        impl ToSql for $id {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.bytes())))
            }
        }

        impl FromSql for $id {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                <[u8; 16]>::column_result(value).map(Self::from_bytes)
            }
        }
    )*};
}

id_column!(PersonId, PersonalTokenId, SessionId, RoomId, MessageId, ClientId);

impl ToSql for SecretDigest {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(&self.0)))
    }
}

impl ToSql for Time {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.millis().into())
    }
}

impl FromSql for Time {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(Self::from_millis)
    }
}

macro_rules! word_column {
    ($($word:ident),*) => {$(
        impl ToSql for $word {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(self.as_str().into())
            }
        }

        impl FromSql for $word {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                Self::parse(value.as_str()?).ok_or(FromSqlError::InvalidType)
            }
        }
    )*};
}

word_column!(NoticeKind, Role, RoomKind, RoomRole);

pub(super) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

pub(super) fn person(row: &Row<'_>) -> rusqlite::Result<Person> {
    let (name, email) = (Name::stored(row.get(1)?), Email::stored(row.get(2)?));
    let (is_active, same_name) = (row.get(4)?, row.get(5)?);
    Ok(Person { id: row.get(0)?, name, email, role: row.get(3)?, same_name, is_active })
}

/// The columns that [`room`] reads, for the person `?1` and `own`, who they are in the room, if anything.
pub(super) const ROOM: &str = concat!(
    "r.id, r.name, r.topic, r.creator, r.epoch, r.last_number, r.created, r.members,
    own.role AS own_role,
    r.kind = 'public' AND NOT EXISTS (SELECT 1 FROM people g WHERE g.id = ?1 AND g.role = 'guest') AS is_open,
    r.kind <> 'direct' AND EXISTS (SELECT 1 FROM rooms o WHERE o.look = r.look AND o.id <> r.id AND
        (o.kind = 'public' AND NOT EXISTS (SELECT 1 FROM people g WHERE g.id = ?1 AND g.role = 'guest')
        OR o.kind = 'private' AND EXISTS (SELECT 1 FROM memberships m WHERE m.room = o.id AND m.person = ?1))),
    r.description, r.kind, r.archived, own.read_number, own.favourite IS NOT NULL, own.muted IS NOT NULL, own.section,
    (SELECT m.time FROM messages m WHERE m.room = r.id AND m.in_room ORDER BY m.number DESC LIMIT 1), ",
    // Nothing is behind no number: of those who are no members nothing is counted.
    unread!("r.id", "?1", "own.read_number"),
    ", ",
    mentions!("r.id", "?1", "own.read_number")
);

/// The people of a direct message are read apart.
pub(super) fn room(row: &Row<'_>) -> rusqlite::Result<Room> {
    Ok(Room {
        id: row.get(0)?,
        name: Name::stored(row.get(1)?),
        topic: Topic::stored(row.get(2)?),
        description: Description::stored(row.get(11)?),
        kind: row.get(12)?,
        archived: row.get(13)?,
        creator: row.get(3)?,
        epoch: row.get(4)?,
        offset: number(row, 5)?,
        created: row.get(6)?,
        members: row.get(7)?,
        role: row.get(8)?,
        same_name: row.get(10)?,
        reading: reading(row, 14, 19)?,
        preferences: preferences(row, 15)?,
        last_message: row.get(18)?,
        is_open: row.get(9)?,
        people: Vec::new(),
    })
}

/// The columns of a room that [`facts`] reads.
pub(super) const FACTS: &str = "name, topic, description, kind, archived";

pub(super) fn facts(row: &Row<'_>, first: usize) -> rusqlite::Result<RoomFacts> {
    Ok(RoomFacts {
        name: Name::stored(row.get(first)?),
        topic: Topic::stored(row.get(first + 1)?),
        description: Description::stored(row.get(first + 2)?),
        kind: row.get(first + 3)?,
        archived: row.get(first + 4)?,
    })
}

fn reading(row: &Row<'_>, read: usize, unread: usize) -> rusqlite::Result<Option<Reading>> {
    if row.get_ref(read)? == ValueRef::Null {
        return Ok(None);
    }
    Ok(Some(Reading { read: number(row, read)?, unread: row.get(unread)?, mentions: row.get(unread + 1)? }))
}

/// `None` where a left join found none.
pub(super) fn preferences(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<Preferences>> {
    let Some(section) = row.get(first + 2)? else { return Ok(None) };
    let (favourite, muted) = (row.get(first)?, row.get(first + 1)?);
    Ok(Some(Preferences { favourite, muted, section: Section::stored(section) }))
}

pub(super) fn who(row: &Row<'_>, first: usize) -> rusqlite::Result<Who> {
    Ok(Who { id: row.get(first)?, name: row.get(first + 1)?, same_name: row.get(first + 2)? })
}

pub(super) fn personal_token(row: &Row<'_>, first: usize) -> rusqlite::Result<PersonalToken> {
    let scopes: String = row.get(first + 2)?;
    Ok(PersonalToken {
        id: row.get(first)?,
        name: Name::stored(row.get(first + 1)?),
        scopes: PersonalToken::stored_scopes(&scopes),
        created: row.get(first + 3)?,
        expires: row.get(first + 4)?,
        last_used: row.get(first + 5)?,
    })
}

pub(super) fn profile(row: &Row<'_>) -> rusqlite::Result<Profile> {
    let (emoji, text): (String, String) = (row.get(7)?, row.get(8)?);
    let emoji = (!emoji.is_empty()).then(|| Emoji::stored(emoji));
    let status = (emoji.is_some() || !text.is_empty()).then_some(Status { emoji, text, ends: row.get(9)? });
    let is_quiet: bool = row.get(10)?;
    let quiet = is_quiet.then_some(Quiet { ends: row.get(11)? });
    let (title, zone) = (Title::stored(row.get(5)?), Zone::stored(row.get(6)?));
    Ok(Profile {
        id: row.get(0)?,
        name: Name::stored(row.get(1)?),
        same_name: row.get(2)?,
        role: row.get(3)?,
        is_active: row.get(4)?,
        said: Said { title, zone, status, quiet },
        changed: row.get(12)?,
    })
}

pub(super) fn session(row: &Row<'_>, first: usize) -> rusqlite::Result<Session> {
    Ok(Session {
        id: row.get(first)?,
        created: row.get(first + 1)?,
        last_seen: row.get(first + 2)?,
        user_agent: row.get(first + 3)?,
        address: row.get::<_, Option<String>>(first + 4)?.and_then(|address| address.parse().ok()),
    })
}

pub(super) fn invite(row: &Row<'_>) -> rusqlite::Result<StoredInvite> {
    let invite = Invite {
        code: Code::stored(row.get(0)?),
        room: row.get(1)?,
        created: row.get(2)?,
        expires: row.get(3)?,
        uses_max: row.get(4)?,
        uses: row.get(5)?,
    };
    Ok(StoredInvite { invite, revoked: row.get(6)? })
}

pub(super) fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    Ok(Message {
        author: who(row, 0)?,
        id: row.get(3)?,
        room: row.get(4)?,
        number: number(row, 5)?,
        client_id: row.get(6)?,
        body: row.get::<_, String>(7)?.into(),
        time: row.get(8)?,
        edited: row.get(9)?,
        deleted: match row.get(10)? {
            Some(time) => Some(Deleted { time, by: who(row, 12)?, reason: row.get(11)? }),
            None => None,
        },
        reply_to: match row.get(15)? {
            Some(id) => Some(Answered {
                id,
                number: number(row, 16)?,
                author: who(row, 19)?,
                body: row.get::<_, String>(18)?.into(),
                deleted: row.get(17)?,
            }),
            None => None,
        },
        reactions: Vec::new(),
        thread: row.get(AFTER_MESSAGE - 2)?,
        also_in_room: row.get_ref(AFTER_MESSAGE - 2)? != ValueRef::Null && row.get(AFTER_MESSAGE - 1)?,
        replies: None,
    })
}

/// The beginning of a message.
pub(super) fn answered(row: &Row<'_>, first: usize) -> rusqlite::Result<Answered> {
    Ok(Answered {
        id: row.get(first)?,
        number: number(row, first + 1)?,
        deleted: row.get(first + 2)?,
        body: row.get::<_, String>(first + 3)?.into(),
        author: who(row, first + 4)?,
    })
}

/// What stands in each of these threads, from rows as [`replies`](crate::store::columns::replies) selects them.
pub(super) fn replies(all: &mut HashMap<MessageId, Replies>, row: &Row<'_>) -> rusqlite::Result<()> {
    let last = LastReply { id: row.get(2)?, number: number(row, 3)?, time: row.get(4)? };
    gather_replies(all, row.get(0)?, row.get(1)?, last, who(row, 5)?);
    Ok(())
}

/// The reactions of each of these messages, from rows as [`reacted`](crate::store::columns::reacted) selects them.
pub(super) fn reacted(reacted: &mut HashMap<MessageId, Vec<Reacted>>, row: &Row<'_>) -> rusqlite::Result<()> {
    let emoji: String = row.get(1)?;
    let all = reacted.entry(row.get(0)?).or_default();
    gather(all, &emoji, row.get(2)?, row.get(3)?, who(row, 4)?);
    Ok(())
}

/// As [`NOTICE_ROW`](crate::store::columns::NOTICE_ROW).
pub(super) fn notice(row: &Row<'_>) -> rusqlite::Result<Notice> {
    Ok(Notice {
        room: row.get(0)?,
        event: number(row, 1)?,
        place: row.get(2)?,
        person: row.get(3)?,
        kind: row.get(4)?,
        message: row.get(5)?,
        number: number(row, 6)?,
        actor: row.get(7)?,
        emoji: row.get(8)?,
        time: row.get(9)?,
    })
}

/// Behind the message, as [`NOTICE`](crate::store::columns::NOTICE).
pub(super) fn activity(row: &Row<'_>) -> rusqlite::Result<Activity> {
    let first = AFTER_MESSAGE;
    Ok(Activity {
        kind: row.get::<_, NoticeKind>(first)?.as_str(),
        time: row.get(first + 1)?,
        emoji: row.get(first + 2)?,
        event: number(row, first + 3)?,
        place: row.get(first + 4)?,
        actor: who(row, first + 5)?,
        message: message(row)?,
    })
}

pub(super) fn stored_digest(row: &Row<'_>, first: usize) -> rusqlite::Result<StoredDigest> {
    Ok(StoredDigest { bytes: row.get(first)?, key: row.get(first + 1)? })
}

pub(super) fn denied(row: &Row<'_>) -> rusqlite::Result<Denied> {
    let denial = Denial::read(&row.get::<_, String>(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
    let denial = denial.ok_or(rusqlite::Error::InvalidQuery)?;
    Ok(Denied { denial, created: row.get(4)?, ends: row.get(5)? })
}

/// A row of an event, joined with its subject and, if it has one, its message: the columns [`WHO`](crate::store::columns::WHO) and
/// [`MESSAGE`](crate::store::columns::MESSAGE) come first, those of [`BY`](crate::store::columns::BY) are found by name. With
/// the room as it is.
pub(super) struct EventColumns<'a> {
    pub(super) row: &'a Row<'a>,
    pub(super) room: &'a RoomFacts,
}

impl EventRow for EventColumns<'_> {
    type Error = rusqlite::Error;

    fn member(&self) -> rusqlite::Result<Who> {
        who(self.row, 0)
    }

    fn by(&self) -> rusqlite::Result<Option<Who>> {
        let Some(id) = self.row.get("by_id")? else { return Ok(None) };
        Ok(Some(Who { id, name: self.row.get("by_name")?, same_name: self.row.get("by_same_name")? }))
    }

    /// The subject of a posted message is its author.
    fn message(&self) -> rusqlite::Result<Message> {
        message(self.row)
    }

    fn room(&self) -> rusqlite::Result<RoomFacts> {
        Ok(self.room.clone())
    }

    fn reaction(&self) -> rusqlite::Result<Reaction> {
        Ok(Reaction { message: self.row.get(3)?, emoji: self.row.get(AFTER_MESSAGE + 3)?, person: who(self.row, 0)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_by_itself_is_busy_and_what_needs_room_is_full() {
        let error = |code| store_error(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        for code in [ffi::SQLITE_BUSY, ffi::SQLITE_LOCKED, ffi::SQLITE_PROTOCOL, ffi::SQLITE_BUSY_SNAPSHOT] {
            assert_eq!(error(code), StoreError::Busy, "{code}");
        }
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_SHMSIZE] {
            assert_eq!(error(code), StoreError::Full, "{code}");
        }
        assert!(matches!(error(ffi::SQLITE_IOERR_READ), StoreError::Failed(_)));
    }
}
