//! The SQLite schema and its versions. A version, once released, is never edited: a change is a new one at the end.

use std::{cmp::Ordering, collections::BTreeMap};

use rusqlite::{Connection, TransactionBehavior};

/// Marks a database file as ours ("Tdng").
const APPLICATION_ID: i32 = 0x5464_6e67;

/// Each step leads from the version of its index to the next one.
const STEPS: [&str; 8] = ["
    CREATE TABLE people (
        id BLOB PRIMARY KEY NOT NULL,
        name TEXT NOT NULL,
        email TEXT NOT NULL UNIQUE,
        role TEXT NOT NULL CHECK (role IN ('admin', 'member')),
        password TEXT NOT NULL,
        created INTEGER NOT NULL
    ) STRICT;

    -- The one row says that the first account exists; its key makes set-up a race that one wins.
    CREATE TABLE set_up (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        person BLOB NOT NULL REFERENCES people,
        time INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE sessions (
        id BLOB PRIMARY KEY NOT NULL,
        person BLOB NOT NULL REFERENCES people,
        token BLOB NOT NULL UNIQUE,
        user_agent TEXT NOT NULL,
        created INTEGER NOT NULL,
        last_seen INTEGER NOT NULL,
        ended INTEGER
    ) STRICT;
    CREATE INDEX sessions_of_a_person ON sessions (person, last_seen);
    CREATE INDEX sessions_ended ON sessions (ended) WHERE ended IS NOT NULL;

    CREATE TABLE rooms (
        id BLOB PRIMARY KEY NOT NULL,
        name TEXT NOT NULL,
        topic TEXT NOT NULL,
        creator BLOB NOT NULL REFERENCES people,
        epoch TEXT NOT NULL,
        last_number INTEGER NOT NULL,
        created INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE memberships (
        room BLOB NOT NULL REFERENCES rooms,
        person BLOB NOT NULL REFERENCES people,
        joined INTEGER NOT NULL,
        PRIMARY KEY (room, person)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX memberships_of_a_person ON memberships (person);

    CREATE TABLE invites (
        digest BLOB PRIMARY KEY NOT NULL,
        code TEXT NOT NULL,
        room BLOB NOT NULL REFERENCES rooms,
        inviter BLOB NOT NULL REFERENCES people,
        created INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        uses_max INTEGER NOT NULL,
        uses INTEGER NOT NULL,
        revoked INTEGER
    ) STRICT;
    CREATE UNIQUE INDEX the_invite_of_a_room ON invites (room) WHERE revoked IS NULL;

    CREATE TABLE messages (
        id BLOB PRIMARY KEY NOT NULL,
        room BLOB NOT NULL REFERENCES rooms,
        number INTEGER NOT NULL,
        author BLOB NOT NULL REFERENCES people,
        client_id BLOB NOT NULL,
        -- SHA-256 of the room and the original text: a repeated send is recognised whatever becomes of the text.
        digest BLOB NOT NULL,
        body TEXT NOT NULL,
        time INTEGER NOT NULL,
        UNIQUE (author, client_id),
        UNIQUE (room, number)
    ) STRICT;

    -- Never removed. The text is joined from the message when an event is read.
    CREATE TABLE room_events (
        room BLOB NOT NULL REFERENCES rooms,
        number INTEGER NOT NULL,
        kind TEXT NOT NULL,
        message BLOB REFERENCES messages,
        -- Who did it, and whom it concerns: the same person, except for a member removed by another.
        actor BLOB NOT NULL REFERENCES people,
        subject BLOB NOT NULL REFERENCES people,
        time INTEGER NOT NULL,
        PRIMARY KEY (room, number)
    ) STRICT, WITHOUT ROWID;
    ", "
    -- Which run of a program wrote last, and how many transactions there were; see `mark`. No mark until the first start
    -- of a version that knows this table.
    CREATE TABLE mark (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        mark TEXT,
        commits INTEGER NOT NULL
    ) STRICT;
    INSERT INTO mark (one, mark, commits) VALUES (1, NULL, 0);
    ", "
    -- Secrets that the server keeps for itself.
    CREATE TABLE keys (
        name TEXT PRIMARY KEY NOT NULL,
        key BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;

    -- Since when the person may not sign in.
    ALTER TABLE people ADD COLUMN deactivated INTEGER;
    -- How names look and fold, by the rules of the program; NULL in rows of the version before until they are filled in.
    ALTER TABLE people ADD COLUMN look TEXT;
    CREATE INDEX people_by_look ON people (look);
    ALTER TABLE rooms ADD COLUMN look TEXT;
    CREATE INDEX rooms_by_look ON rooms (look);
    ALTER TABLE rooms ADD COLUMN folded TEXT;
    CREATE INDEX rooms_by_folded ON rooms (folded);

    ALTER TABLE rooms ADD COLUMN is_open INTEGER NOT NULL DEFAULT 1;
    CREATE INDEX rooms_by_name ON rooms (name COLLATE NOCASE, id);
    CREATE INDEX rooms_of_a_creator ON rooms (creator);

    -- How many memberships a room has, whoever writes them.
    ALTER TABLE rooms ADD COLUMN members INTEGER NOT NULL DEFAULT 0;
    UPDATE rooms SET members = (SELECT count(*) FROM memberships m WHERE m.room = rooms.id);
    CREATE TRIGGER a_member_came AFTER INSERT ON memberships BEGIN
        UPDATE rooms SET members = members + 1 WHERE id = new.room;
    END;
    CREATE TRIGGER a_member_went AFTER DELETE ON memberships BEGIN
        UPDATE rooms SET members = members - 1 WHERE id = old.room;
    END;
    ", "
    -- Where the data was moved to: a database that was moved is not opened.
    ALTER TABLE mark ADD COLUMN moved TEXT;
    -- Where it comes from, as long as the move into this database has not ended: such a one is not opened either.
    ALTER TABLE mark ADD COLUMN moving TEXT;
    ", "
    -- What client tokens are refused for: tokens that were revoked, users whose tokens were, users who are blocked.
    CREATE TABLE denials (
        -- SHA-256 of the kind, the subject and the channel.
        key BLOB PRIMARY KEY NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('token', 'tokens', 'user')),
        -- The token's id, or the application's name for the user.
        subject TEXT NOT NULL,
        -- Of a user's tokens: only those for subscribing to it.
        channel TEXT,
        -- Of a user's tokens: only those that were issued before.
        issued_before INTEGER,
        created INTEGER NOT NULL,
        ends INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX denials_by_end ON denials (ends) WHERE ends IS NOT NULL;
    ", "
    -- When the message got its present text, if that is not its first.
    ALTER TABLE messages ADD COLUMN edited INTEGER;
    -- When it was deleted; its text is empty as soon as it is erased.
    ALTER TABLE messages ADD COLUMN deleted INTEGER;
    ALTER TABLE messages ADD COLUMN deleted_by BLOB REFERENCES people;
    ALTER TABLE messages ADD COLUMN delete_reason TEXT;
    CREATE INDEX messages_to_erase ON messages (deleted) WHERE deleted IS NOT NULL AND body <> '';
    -- Which key the digest was made with: from now on it is an HMAC of what it was before. NULL in rows of the version before
    -- until theirs are.
    ALTER TABLE messages ADD COLUMN digest_key BLOB;
    CREATE INDEX messages_to_key ON messages (digest_key) WHERE digest_key IS NULL;

    -- What messages said before they were edited.
    CREATE TABLE edits (
        message BLOB NOT NULL REFERENCES messages,
        -- Of the event that took the text away.
        number INTEGER NOT NULL,
        -- Since when the message had said it.
        time INTEGER NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (message, number)
    ) STRICT;
    ", "
    -- Rooms for some, read positions, answers.
    -- The message that it answers, of the same room.
    ALTER TABLE messages ADD COLUMN reply_to BLOB REFERENCES messages;

    -- Who has reacted to messages, and with what.
    CREATE TABLE reactions (
        message BLOB NOT NULL REFERENCES messages,
        emoji TEXT NOT NULL,
        person BLOB NOT NULL REFERENCES people,
        -- Of the event that brought it.
        number INTEGER NOT NULL,
        PRIMARY KEY (message, emoji, person)
    ) STRICT, WITHOUT ROWID;
    -- Of an event about a reaction.
    ALTER TABLE room_events ADD COLUMN emoji TEXT;

    -- The number of the last event of the room that the person has read. Whoever was there before has read everything.
    ALTER TABLE memberships ADD COLUMN read_number INTEGER NOT NULL DEFAULT 0;
    UPDATE memberships SET read_number = (SELECT r.last_number FROM rooms r WHERE r.id = memberships.room);

    ALTER TABLE rooms ADD COLUMN kind TEXT NOT NULL DEFAULT 'public' CHECK (kind IN ('public', 'private', 'direct'));
    UPDATE rooms SET kind = 'private' WHERE is_open = 0;
    ALTER TABLE rooms DROP COLUMN is_open;
    DROP INDEX rooms_by_name;
    CREATE INDEX rooms_by_kind_and_name ON rooms (kind, name COLLATE NOCASE, id);
    ALTER TABLE rooms ADD COLUMN description TEXT NOT NULL DEFAULT '';
    -- Since when nothing is written there.
    ALTER TABLE rooms ADD COLUMN archived INTEGER;
    -- Of a direct message: SHA-256 of the ids of everybody in it, in order.
    ALTER TABLE rooms ADD COLUMN people BLOB;
    CREATE UNIQUE INDEX the_direct_message_of_people ON rooms (people) WHERE people IS NOT NULL;
    ALTER TABLE memberships ADD COLUMN role TEXT NOT NULL DEFAULT 'member' CHECK (role IN ('owner', 'member'));
    UPDATE memberships SET role = 'owner' WHERE person = (SELECT r.creator FROM rooms r WHERE r.id = memberships.room);

    -- A column whose check is another one; whoever set the server up owns it.
    ALTER TABLE people ADD COLUMN new_role TEXT NOT NULL DEFAULT 'member'
        CHECK (new_role IN ('owner', 'admin', 'member', 'guest'));
    UPDATE people SET new_role = CASE WHEN id IN (SELECT person FROM set_up) THEN 'owner' ELSE role END;
    ALTER TABLE people DROP COLUMN role;
    ALTER TABLE people RENAME COLUMN new_role TO role;
    ", "
    -- Mentions, threads, profiles, tokens of people.
    -- What concerns people in particular: who mentioned them, answered them, reacted to what they wrote.
    CREATE TABLE notices (
        room BLOB NOT NULL REFERENCES rooms,
        -- The number of the event that brought it, and which of those it is that the event brought.
        event INTEGER NOT NULL,
        place INTEGER NOT NULL,
        -- Whom it concerns; NULL where it is all in the room.
        person BLOB REFERENCES people,
        kind TEXT NOT NULL CHECK (kind IN ('mention', 'here', 'room', 'reply', 'reaction', 'past')),
        -- The message that it is about, with its number.
        message BLOB NOT NULL REFERENCES messages,
        number INTEGER NOT NULL,
        actor BLOB NOT NULL REFERENCES people,
        -- Of a reaction.
        emoji TEXT,
        time INTEGER NOT NULL,
        PRIMARY KEY (room, event, place)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX notices_by_message ON notices (message, person);
    CREATE INDEX notices_by_number ON notices (room, person, number);
    CREATE INDEX notices_by_time ON notices (person, time, event, room);
    -- What was answered and reacted before.
    INSERT INTO notices (room, event, place, person, kind, message, number, actor, time)
        SELECT m.room, m.number, 0, a.author, 'reply', m.id, m.number, m.author, m.time
        FROM messages m JOIN messages a ON a.id = m.reply_to WHERE a.author <> m.author AND m.body <> '';
    INSERT INTO notices (room, event, place, person, kind, message, number, actor, emoji, time)
        SELECT m.room, r.number, 0, m.author, 'reaction', m.id, m.number, r.person, r.emoji, e.time
        FROM reactions r JOIN messages m ON m.id = r.message JOIN room_events e ON e.room = m.room AND e.number = r.number
        WHERE r.person <> m.author;
    -- The message whose thread it belongs to, of the same room.
    ALTER TABLE messages ADD COLUMN thread BLOB REFERENCES messages;
    -- Whether it stands among the room's messages.
    ALTER TABLE messages ADD COLUMN in_room INTEGER NOT NULL DEFAULT 1 CHECK (in_room IN (0, 1));
    CREATE INDEX messages_of_threads ON messages (thread, number) WHERE thread IS NOT NULL;
    -- Of whom it is settled whether they follow a thread, and how far they have read it.
    CREATE TABLE thread_followers (
        root BLOB NOT NULL REFERENCES messages,
        person BLOB NOT NULL REFERENCES people,
        read_number INTEGER NOT NULL,
        following INTEGER NOT NULL CHECK (following IN (0, 1)),
        PRIMARY KEY (root, person)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX threads_of_followers ON thread_followers (person, root) WHERE following;
    -- How somebody keeps a room: since when it comes first, since when nothing of it is brought up, and under which heading of theirs.
    ALTER TABLE memberships ADD COLUMN favourite INTEGER;
    ALTER TABLE memberships ADD COLUMN muted INTEGER;
    ALTER TABLE memberships ADD COLUMN section TEXT NOT NULL DEFAULT '';
    -- Profiles. A status and a time without disturbance end by themselves: whoever reads compares.
    ALTER TABLE people ADD COLUMN title TEXT NOT NULL DEFAULT '';
    ALTER TABLE people ADD COLUMN zone TEXT NOT NULL DEFAULT '';
    ALTER TABLE people ADD COLUMN status_emoji TEXT NOT NULL DEFAULT '';
    ALTER TABLE people ADD COLUMN status_text TEXT NOT NULL DEFAULT '';
    ALTER TABLE people ADD COLUMN status_ends INTEGER;
    -- Since when they do not want to be disturbed, and until when if they have said so.
    ALTER TABLE people ADD COLUMN quiet INTEGER;
    ALTER TABLE people ADD COLUMN quiet_ends INTEGER;
    ALTER TABLE people ADD COLUMN changed INTEGER NOT NULL DEFAULT 0;
    -- Where it was used from lately, and why it ended.
    ALTER TABLE sessions ADD COLUMN address TEXT;
    ALTER TABLE sessions ADD COLUMN why TEXT;
    -- With one, a program acts as the person.
    CREATE TABLE personal_tokens (
        id BLOB PRIMARY KEY NOT NULL,
        person BLOB NOT NULL REFERENCES people,
        -- SHA-256 of its secret.
        digest BLOB NOT NULL UNIQUE,
        name TEXT NOT NULL,
        -- With spaces between them.
        scopes TEXT NOT NULL,
        created INTEGER NOT NULL,
        expires INTEGER,
        last_used INTEGER
    ) STRICT;
    CREATE INDEX personal_tokens_of_a_person ON personal_tokens (person);
    "];

/// What became of the schema.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Schema {
    /// It is the newest that we know.
    Newest,
    /// It has yet to be migrated.
    Older { found: u32 },
    /// A newer program has written the database; nothing was changed.
    Newer { found: u32 },
    /// Another program has; nothing was changed.
    Foreign,
}

/// The version that this program writes.
pub(super) fn newest() -> u32 {
    u32::try_from(STEPS.len()).expect("there are few versions")
}

/// What schema the database has.
pub(super) fn look(db: &Connection) -> rusqlite::Result<Schema> {
    let version: u32 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i32 = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: u32 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application != APPLICATION_ID && (tables > 0 || version > 0) {
        return Ok(Schema::Foreign);
    }
    Ok(match version.cmp(&newest()) {
        Ordering::Less => Schema::Older { found: version },
        Ordering::Equal => Schema::Newest,
        Ordering::Greater => Schema::Newer { found: version },
    })
}

/// Brings the database to the newest version, each step in a transaction of its own.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<Schema> {
    loop {
        // The version is read under the write lock: another process may be migrating at the same time.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let version = match look(&transaction)? {
            Schema::Older { found } => found,
            other => return Ok(other),
        };
        transaction.execute_batch(STEPS[version as usize])?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", version + 1)?;
        transaction.commit()?;
    }
}

/// What is not in this database as the newest version makes it, in words; such a database is damaged, or somebody has added
/// to it what acts on its own. Tables and indexes of others are no harm.
pub(super) fn difference(db: &Connection) -> rusqlite::Result<Option<String>> {
    let mut fresh = Connection::open_in_memory()?;
    migrate(&mut fresh)?;
    let (found, expected) = (parts(db)?, parts(&fresh)?);
    for (name, (kind, sql)) in &expected {
        match found.get(name) {
            Some((_, found)) if found == sql => {}
            Some(_) => return Ok(Some(format!("the {kind} {name} is not what this version makes"))),
            None => return Ok(Some(format!("the {kind} {name} is missing"))),
        }
    }
    let acts = |(name, (kind, _)): &(&String, &(String, String))| {
        matches!(kind.as_str(), "trigger" | "view") && !expected.contains_key(*name)
    };
    if let Some((name, (kind, _))) = found.iter().find(acts) {
        return Ok(Some(format!("the {kind} {name} is not ours")));
    }
    let marks: u32 = db.query_row("SELECT count(*) FROM mark", [], |row| row.get(0))?;
    Ok((marks != 1).then(|| "the table mark has no row".to_owned()))
}

/// The kind and the definition of everything that the schema names.
fn parts(db: &Connection) -> rusqlite::Result<BTreeMap<String, (String, String)>> {
    // Without what SQLite makes for itself.
    let sql =
        "SELECT name, type, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    db.prepare(sql)?.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?.collect()
}

/// Makes a database of an earlier version.
#[cfg(test)]
pub(super) fn migrate_to(connection: &Connection, version: usize) {
    STEPS[..version].iter().for_each(|step| connection.execute_batch(step).unwrap());
    connection.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
    connection.pragma_update(None, "user_version", u32::try_from(version).unwrap()).unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrating_twice_changes_nothing() {
        let mut connection = Connection::open_in_memory().unwrap();
        assert_eq!(migrate(&mut connection).unwrap(), Schema::Newest);
        assert_eq!(migrate(&mut connection).unwrap(), Schema::Newest);
        let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(version, newest());
    }

    #[test]
    fn s69_a_newer_schema_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        connection.pragma_update(None, "user_version", newest() + 1).unwrap();
        assert_eq!(migrate(&mut connection).unwrap(), Schema::Newer { found: newest() + 1 });
    }

    #[test]
    fn s69_another_programs_database_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE theirs (id INTEGER)").unwrap();
        assert_eq!(migrate(&mut connection).unwrap(), Schema::Foreign);
    }
}
