//! How the chat's words are columns of Postgres: identities as `uuid`, digests as `bytea`, times and numbers as `bigint`,
//! roles and kinds as text; and how Postgres' errors are the store's.

use std::collections::HashMap;
use std::error::Error as StdError;

use bytes::BytesMut;
use tokio_postgres::{
    Error, Row,
    error::SqlState,
    types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked},
};

use crate::{
    model::{
        Activity, Answered, ClientId, Code, Deleted, Denial, Denied, Description, Email, Emoji, EventRow, Invite,
        KeyId, LastReply, Message, MessageId, Name, Notice, NoticeKind, Person, PersonId, PersonalToken,
        PersonalTokenId, Preferences, Profile, Quiet, Reacted, Reaction, Reading, Replies, Role, Room, RoomFacts,
        RoomId, RoomKind, RoomRole, Said, SecretDigest, Section, Session, SessionId, Status, StoredDigest,
        StoredInvite, Time, Title, Topic, Who, Zone, gather, gather_replies,
    },
    store::StoreError,
    store::columns::{AFTER_MESSAGE, mentions, unread},
};

/// What a failure of Postgres is for whoever asked. What passes by itself, and what may have been done all the same, is
/// "try again": the same send again is one message.
pub(super) fn store_error(error: &Error) -> StoreError {
    match error.code() {
        None => StoreError::Away,
        Some(code) if is_full(code) => StoreError::Full,
        Some(code) if is_away(code) => StoreError::Away,
        Some(code) if is_to_be_tried_again(code) || *code == SqlState::QUERY_CANCELED => StoreError::Busy,
        Some(_) => StoreError::Failed(in_words(error)),
    }
}

/// Of an error of the server the message, which this driver does not print by itself.
pub(super) fn in_words(error: &Error) -> String {
    match error.as_db_error() {
        Some(said) => format!("{} ({})", said.message(), said.code().code()),
        None => match error.source() {
            Some(source) if source.to_string().contains("does not allow writes") => {
                format!("{error}: it is a standby, or default_transaction_read_only is on there")
            }
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}

/// Class 53: no room on the disk, or no memory.
fn is_full(code: &SqlState) -> bool {
    [SqlState::DISK_FULL, SqlState::OUT_OF_MEMORY, SqlState::INSUFFICIENT_RESOURCES].contains(code)
}

/// The server, or the way to it, is not there just now: it stops, starts, is a standby, has no place for a connection.
pub(super) fn is_away(code: &SqlState) -> bool {
    let class = &code.code()[..2];
    matches!(class, "08" | "57") && *code != SqlState::QUERY_CANCELED
        || [SqlState::TOO_MANY_CONNECTIONS, SqlState::READ_ONLY_SQL_TRANSACTION, SqlState::IO_ERROR].contains(code)
        || *code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
}

/// Two transactions stood in each other's way; the one that was taken back may go through now.
pub(super) fn is_to_be_tried_again(code: &SqlState) -> bool {
    [
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::UNIQUE_VIOLATION,
    ]
    .contains(code)
}

macro_rules! id_column {
    ($($id:ident),*) => {$(
        impl ToSql for $id {
            fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
                out.extend_from_slice(self.bytes());
                Ok(IsNull::No)
            }

            accepts!(UUID);
            to_sql_checked!();
        }

        impl FromSql<'_> for $id {
            fn from_sql(_: &Type, raw: &[u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
                Ok(Self::from_bytes(raw.try_into()?))
            }

            accepts!(UUID);
        }
    )*};
}

id_column!(PersonId, PersonalTokenId, SessionId, RoomId, MessageId, ClientId);

impl ToSql for SecretDigest {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    accepts!(BYTEA);
    to_sql_checked!();
}

impl ToSql for Time {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        self.millis().to_sql(kind, out)
    }

    accepts!(INT8);
    to_sql_checked!();
}

impl FromSql<'_> for Time {
    fn from_sql(kind: &Type, raw: &[u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        i64::from_sql(kind, raw).map(Self::from_millis)
    }

    accepts!(INT8);
}

macro_rules! word_column {
    ($($word:ident),*) => {$(
        impl ToSql for $word {
            fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
                self.as_str().to_sql(kind, out)
            }

            accepts!(TEXT);
            to_sql_checked!();
        }

        impl FromSql<'_> for $word {
            fn from_sql(kind: &Type, raw: &[u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
                let word = <&str>::from_sql(kind, raw)?;
                Self::parse(word).ok_or_else(|| format!("no {}: {word}", stringify!($word)).into())
            }

            accepts!(TEXT);
        }
    )*};
}

word_column!(NoticeKind, Role, RoomKind, RoomRole);

/// A number of events or of rows, which is never negative.
pub(super) struct Count(pub(super) u64);

impl FromSql<'_> for Count {
    fn from_sql(kind: &Type, raw: &[u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(i64::from_sql(kind, raw)?.try_into()?))
    }

    accepts!(INT8);
}

/// A digest of 32 bytes.
pub(super) struct Digest(pub(super) [u8; 32]);

impl FromSql<'_> for Digest {
    fn from_sql(_: &Type, raw: &[u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(raw.try_into()?))
    }

    accepts!(BYTEA);
}

/// The id of the key of a digest.
struct KeyOf(KeyId);

impl FromSql<'_> for KeyOf {
    fn from_sql(_: &Type, raw: &[u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(raw.try_into()?))
    }

    accepts!(BYTEA);
}

pub(super) fn number(row: &Row, column: usize) -> Result<u64, Error> {
    row.try_get(column).map(|Count(number)| number)
}

pub(super) fn small(row: &Row, column: usize) -> Result<u32, Error> {
    number(row, column).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
}

pub(super) fn person(row: &Row) -> Result<Person, Error> {
    Ok(Person {
        id: row.try_get(0)?,
        name: Name::stored(row.try_get(1)?),
        email: Email::stored(row.try_get(2)?),
        role: row.try_get(3)?,
        is_active: row.try_get(4)?,
        same_name: row.try_get(5)?,
    })
}

/// The columns that [`room`] reads, for the person `$1` and `own`, who they are in the room, if anything.
pub(super) const ROOM: &str = concat!(
    "r.id, r.name, r.topic, r.creator, r.epoch, r.last_number, r.created, r.members,
    own.role AS own_role,
    r.kind = 'public' AND NOT EXISTS (SELECT 1 FROM people g WHERE g.id = $1 AND g.role = 'guest') AS is_open,
    r.kind <> 'direct' AND EXISTS (SELECT 1 FROM rooms o WHERE o.look = r.look AND o.id <> r.id AND
        (o.kind = 'public' AND NOT EXISTS (SELECT 1 FROM people g WHERE g.id = $1 AND g.role = 'guest')
        OR o.kind = 'private' AND EXISTS (SELECT 1 FROM memberships m WHERE m.room = o.id AND m.person = $1))),
    r.description, r.kind, r.archived, own.read_number, own.favourite IS NOT NULL, own.muted IS NOT NULL, own.section,
    (SELECT m.time FROM messages m WHERE m.room = r.id AND m.in_room ORDER BY m.number DESC LIMIT 1), ",
    // Nothing is behind no number: of those who are no members nothing is counted.
    unread!("r.id", "$1", "own.read_number"),
    ", ",
    mentions!("r.id", "$1", "own.read_number")
);

/// The people of a direct message are read apart.
pub(super) fn room(row: &Row) -> Result<Room, Error> {
    Ok(Room {
        id: row.try_get(0)?,
        name: Name::stored(row.try_get(1)?),
        topic: Topic::stored(row.try_get(2)?),
        description: Description::stored(row.try_get(11)?),
        kind: row.try_get(12)?,
        archived: row.try_get(13)?,
        creator: row.try_get(3)?,
        epoch: row.try_get(4)?,
        offset: number(row, 5)?,
        created: row.try_get(6)?,
        members: small(row, 7)?,
        role: row.try_get(8)?,
        same_name: row.try_get(10)?,
        reading: reading(row, 14, 19)?,
        preferences: preferences(row, 15)?,
        last_message: row.try_get(18)?,
        is_open: row.try_get(9)?,
        people: Vec::new(),
    })
}

fn reading(row: &Row, read: usize, unread: usize) -> Result<Option<Reading>, Error> {
    let Some(Count(read)) = row.try_get(read)? else { return Ok(None) };
    Ok(Some(Reading { read, unread: small(row, unread)?, mentions: small(row, unread + 1)? }))
}

/// `None` where a left join found none.
pub(super) fn preferences(row: &Row, first: usize) -> Result<Option<Preferences>, Error> {
    let Some(section) = row.try_get(first + 2)? else { return Ok(None) };
    let (favourite, muted) = (row.try_get(first)?, row.try_get(first + 1)?);
    Ok(Some(Preferences { favourite, muted, section: Section::stored(section) }))
}

pub(super) fn who(row: &Row, first: usize) -> Result<Who, Error> {
    Ok(Who { id: row.try_get(first)?, name: row.try_get(first + 1)?, same_name: row.try_get(first + 2)? })
}

pub(super) fn personal_token(row: &Row, first: usize) -> Result<PersonalToken, Error> {
    let scopes: String = row.try_get(first + 2)?;
    Ok(PersonalToken {
        id: row.try_get(first)?,
        name: Name::stored(row.try_get(first + 1)?),
        scopes: PersonalToken::stored_scopes(&scopes),
        created: row.try_get(first + 3)?,
        expires: row.try_get(first + 4)?,
        last_used: row.try_get(first + 5)?,
    })
}

pub(super) fn profile(row: &Row) -> Result<Profile, Error> {
    let (emoji, text): (String, String) = (row.try_get(7)?, row.try_get(8)?);
    let emoji = (!emoji.is_empty()).then(|| Emoji::stored(emoji));
    let status = (emoji.is_some() || !text.is_empty()).then_some(Status { emoji, text, ends: row.try_get(9)? });
    let is_quiet: bool = row.try_get(10)?;
    let quiet = is_quiet.then_some(Quiet { ends: row.try_get(11)? });
    let (title, zone) = (Title::stored(row.try_get(5)?), Zone::stored(row.try_get(6)?));
    Ok(Profile {
        id: row.try_get(0)?,
        name: Name::stored(row.try_get(1)?),
        same_name: row.try_get(2)?,
        role: row.try_get(3)?,
        is_active: row.try_get(4)?,
        said: Said { title, zone, status, quiet },
        changed: row.try_get(12)?,
    })
}

pub(super) fn session(row: &Row, first: usize) -> Result<Session, Error> {
    Ok(Session {
        id: row.try_get(first)?,
        created: row.try_get(first + 1)?,
        last_seen: row.try_get(first + 2)?,
        user_agent: row.try_get(first + 3)?,
        address: row.try_get::<_, Option<String>>(first + 4)?.and_then(|address| address.parse().ok()),
    })
}

pub(super) fn invite(row: &Row) -> Result<StoredInvite, Error> {
    let invite = Invite {
        code: Code::stored(row.try_get(0)?),
        room: row.try_get(1)?,
        created: row.try_get(2)?,
        expires: row.try_get(3)?,
        uses_max: small(row, 4)?,
        uses: small(row, 5)?,
    };
    Ok(StoredInvite { invite, revoked: row.try_get(6)? })
}

/// `None` where a left join found none.
pub(super) fn denied(row: &Row, first: usize) -> Result<Option<Denied>, Error> {
    let Some(kind) = row.try_get::<_, Option<&str>>(first)? else { return Ok(None) };
    let denial = Denial::read(kind, row.try_get(first + 1)?, row.try_get(first + 2)?, row.try_get(first + 3)?);
    let (created, ends) = (row.try_get(first + 4)?, row.try_get(first + 5)?);
    Ok(denial.map(|denial| Denied { denial, created, ends }))
}

pub(super) fn message(row: &Row) -> Result<Message, Error> {
    Ok(Message {
        author: who(row, 0)?,
        id: row.try_get(3)?,
        room: row.try_get(4)?,
        number: number(row, 5)?,
        client_id: row.try_get(6)?,
        body: row.try_get::<_, String>(7)?.into(),
        time: row.try_get(8)?,
        edited: row.try_get(9)?,
        deleted: match row.try_get(10)? {
            Some(time) => Some(Deleted { time, by: who(row, 12)?, reason: row.try_get(11)? }),
            None => None,
        },
        reply_to: match row.try_get(15)? {
            Some(id) => Some(Answered {
                id,
                number: number(row, 16)?,
                author: who(row, 19)?,
                body: row.try_get::<_, String>(18)?.into(),
                deleted: row.try_get(17)?,
            }),
            None => None,
        },
        reactions: Vec::new(),
        thread: row.try_get(AFTER_MESSAGE - 2)?,
        also_in_room: row.try_get::<_, Option<MessageId>>(AFTER_MESSAGE - 2)?.is_some()
            && row.try_get(AFTER_MESSAGE - 1)?,
        replies: None,
    })
}

/// The beginning of a message.
pub(super) fn answered(row: &Row, first: usize) -> Result<Answered, Error> {
    Ok(Answered {
        id: row.try_get(first)?,
        number: number(row, first + 1)?,
        deleted: row.try_get(first + 2)?,
        body: row.try_get::<_, String>(first + 3)?.into(),
        author: who(row, first + 4)?,
    })
}

/// What stands in each of these threads, from rows as [`replies`](crate::store::columns::replies) selects them.
pub(super) fn replies(all: &mut HashMap<MessageId, Replies>, row: &Row) -> Result<(), Error> {
    let last = LastReply { id: row.try_get(2)?, number: number(row, 3)?, time: row.try_get(4)? };
    gather_replies(all, row.try_get(0)?, small(row, 1)?, last, who(row, 5)?);
    Ok(())
}

/// The reactions of each of these messages, from rows as [`reacted`](crate::store::columns::reacted) selects them.
pub(super) fn reacted(reacted: &mut HashMap<MessageId, Vec<Reacted>>, row: &Row) -> Result<(), Error> {
    let emoji: String = row.try_get(1)?;
    let all = reacted.entry(row.try_get(0)?).or_default();
    gather(all, &emoji, small(row, 2)?, row.try_get(3)?, who(row, 4)?);
    Ok(())
}

/// As [`NOTICE_ROW`](crate::store::columns::NOTICE_ROW).
pub(super) fn notice(row: &Row) -> Result<Notice, Error> {
    Ok(Notice {
        room: row.try_get(0)?,
        event: number(row, 1)?,
        place: small(row, 2)?,
        person: row.try_get(3)?,
        kind: row.try_get(4)?,
        message: row.try_get(5)?,
        number: number(row, 6)?,
        actor: row.try_get(7)?,
        emoji: row.try_get(8)?,
        time: row.try_get(9)?,
    })
}

/// Behind the message, as [`NOTICE`](crate::store::columns::NOTICE).
pub(super) fn activity(row: &Row) -> Result<Activity, Error> {
    let first = AFTER_MESSAGE;
    Ok(Activity {
        kind: row.try_get::<_, NoticeKind>(first)?.as_str(),
        time: row.try_get(first + 1)?,
        emoji: row.try_get(first + 2)?,
        event: number(row, first + 3)?,
        place: small(row, first + 4)?,
        actor: who(row, first + 5)?,
        message: message(row)?,
    })
}

pub(super) fn stored_digest(row: &Row, first: usize) -> Result<StoredDigest, Error> {
    let (Digest(bytes), key) = (row.try_get(first)?, row.try_get::<_, Option<KeyOf>>(first + 1)?);
    Ok(StoredDigest { bytes, key: key.map(|KeyOf(id)| id) })
}

/// A row of an event, joined with its subject and, if it has one, its message: the columns
/// [`WHO`](crate::store::columns::WHO) and [`MESSAGE`](crate::store::columns::MESSAGE) come first.
pub(super) struct EventColumns<'a>(pub(super) &'a Row);

impl EventRow for EventColumns<'_> {
    type Error = Error;

    fn member(&self) -> Result<Who, Error> {
        who(self.0, 0)
    }

    fn by(&self) -> Result<Option<Who>, Error> {
        let Some(id) = self.0.try_get("by_id")? else { return Ok(None) };
        Ok(Some(Who { id, name: self.0.try_get("by_name")?, same_name: self.0.try_get("by_same_name")? }))
    }

    /// The subject of a posted message is its author.
    fn message(&self) -> Result<Message, Error> {
        message(self.0)
    }

    fn reaction(&self) -> Result<Reaction, Error> {
        Ok(Reaction { message: self.0.try_get(3)?, emoji: self.0.try_get(AFTER_MESSAGE + 3)?, person: who(self.0, 0)? })
    }

    fn room(&self) -> Result<RoomFacts, Error> {
        Ok(RoomFacts {
            name: Name::stored(self.0.try_get("room_name")?),
            topic: Topic::stored(self.0.try_get("room_topic")?),
            description: Description::stored(self.0.try_get("room_description")?),
            kind: self.0.try_get("room_kind")?,
            archived: self.0.try_get("room_archived")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_by_itself_is_away_and_what_stands_in_the_way_is_tried_again() {
        for code in [
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::CONNECTION_FAILURE,
            SqlState::TOO_MANY_CONNECTIONS,
            SqlState::READ_ONLY_SQL_TRANSACTION,
        ] {
            assert!(is_away(&code), "{code:?}");
        }
        assert!(!is_away(&SqlState::QUERY_CANCELED));
        assert!(is_to_be_tried_again(&SqlState::T_R_DEADLOCK_DETECTED));
        assert!(is_full(&SqlState::DISK_FULL));
    }
}
