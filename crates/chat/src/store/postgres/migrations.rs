//! The schema in Postgres and its versions. A version, once released, is never edited: a change is a new one at the end.
//!
//! Each step is one transaction with its version, under a lock that only migrations take: cut anywhere, the database has
//! the version it says, and of two programs that start at once one migrates and the other finds it done.

use std::cmp::Ordering;

use tokio_postgres::{Client, Error};

use super::connection::SCHEMA;
use crate::store::OpenError;

/// Held while a step is made.
const LOCK: i64 = 0x5464_6e67_0000_0002;

/// Each step leads from the version of its index to the next one.
const STEPS: [&str; 5] = ["
    CREATE TABLE people (
        id uuid PRIMARY KEY,
        name text NOT NULL,
        email text NOT NULL UNIQUE,
        role text NOT NULL CHECK (role IN ('admin', 'member')),
        password text NOT NULL,
        created bigint NOT NULL,
        -- Since when the person may not sign in.
        deactivated bigint,
        -- How the name looks, by the rules of the program.
        look text NOT NULL
    );
    CREATE INDEX people_by_look ON people (look);

    -- The one row says that the first account exists; its key makes set-up a race that one wins.
    CREATE TABLE set_up (
        one boolean PRIMARY KEY DEFAULT true CHECK (one),
        person uuid NOT NULL REFERENCES people,
        time bigint NOT NULL
    );

    CREATE TABLE sessions (
        id uuid PRIMARY KEY,
        person uuid NOT NULL REFERENCES people,
        token bytea NOT NULL UNIQUE,
        user_agent text NOT NULL,
        created bigint NOT NULL,
        last_seen bigint NOT NULL,
        ended bigint
    );
    CREATE INDEX sessions_of_a_person ON sessions (person, last_seen);
    CREATE INDEX sessions_ended ON sessions (ended) WHERE ended IS NOT NULL;

    -- Room in each page for the next versions of its rows: a number moves with every batch of posts.
    CREATE TABLE rooms (
        id uuid PRIMARY KEY,
        name text NOT NULL,
        topic text NOT NULL,
        creator uuid NOT NULL REFERENCES people,
        epoch text NOT NULL,
        last_number bigint NOT NULL,
        created bigint NOT NULL,
        look text NOT NULL,
        folded text NOT NULL,
        is_open boolean NOT NULL DEFAULT true,
        members bigint NOT NULL DEFAULT 0
    ) WITH (fillfactor = 50);
    CREATE INDEX rooms_by_look ON rooms (look);
    CREATE INDEX rooms_by_folded ON rooms (folded);
    CREATE INDEX rooms_by_name ON rooms (lower(name COLLATE \"C\"), id);
    CREATE INDEX rooms_of_a_creator ON rooms (creator);

    CREATE TABLE memberships (
        room uuid NOT NULL REFERENCES rooms,
        person uuid NOT NULL REFERENCES people,
        joined bigint NOT NULL,
        PRIMARY KEY (room, person)
    );
    CREATE INDEX memberships_of_a_person ON memberships (person);

    CREATE TABLE invites (
        digest bytea PRIMARY KEY,
        code text NOT NULL,
        room uuid NOT NULL REFERENCES rooms,
        inviter uuid NOT NULL REFERENCES people,
        created bigint NOT NULL,
        expires bigint NOT NULL,
        uses_max bigint NOT NULL,
        uses bigint NOT NULL,
        revoked bigint
    );
    CREATE UNIQUE INDEX the_invite_of_a_room ON invites (room) WHERE revoked IS NULL;
    CREATE INDEX invites_of_an_inviter ON invites (inviter);

    -- Without foreign keys, as the events: each would lock two rows more for every row, and who writes here has the room's
    -- row locked and has just read the membership. Rooms and people are never removed.
    CREATE TABLE messages (
        id uuid PRIMARY KEY,
        room uuid NOT NULL,
        number bigint NOT NULL,
        author uuid NOT NULL,
        client_id uuid NOT NULL,
        -- SHA-256 of the room and the original text: a repeated send is recognised whatever becomes of the text.
        digest bytea NOT NULL,
        body text NOT NULL,
        time bigint NOT NULL,
        UNIQUE (author, client_id),
        UNIQUE (room, number)
    );

    -- Never removed. The text is joined from the message when an event is read.
    CREATE TABLE room_events (
        room uuid NOT NULL,
        number bigint NOT NULL,
        kind text NOT NULL,
        message uuid,
        -- Who did it, and whom it concerns: the same person, except for a member removed by another.
        actor uuid NOT NULL,
        subject uuid NOT NULL,
        time bigint NOT NULL,
        PRIMARY KEY (room, number)
    );

    -- Secrets that the server keeps for itself.
    CREATE TABLE keys (
        name text PRIMARY KEY,
        key bytea NOT NULL
    );

    -- Which run of a server opened the database last, and which database it was then; see `mark`.
    CREATE TABLE mark (
        one boolean PRIMARY KEY DEFAULT true CHECK (one),
        mark text,
        identity text,
        -- Where the data was moved to; a database that was moved is not opened.
        moved text,
        -- Where it comes from, as long as the move into this database has not ended: such a one is not opened either.
        moving text
    );
    INSERT INTO mark DEFAULT VALUES;

    -- How many transactions each run of a program has committed, by lane.
    CREATE TABLE commits (
        writer text NOT NULL,
        lane bigint NOT NULL,
        commits bigint NOT NULL,
        PRIMARY KEY (writer, lane)
    ) WITH (fillfactor = 20);

    -- What was taken away, in the order of its commits: numbers without gaps, one for each transaction.
    CREATE TABLE revoked (
        one boolean PRIMARY KEY DEFAULT true CHECK (one),
        last bigint NOT NULL DEFAULT 0,
        -- The last of those that are no longer in the list.
        forgotten bigint NOT NULL DEFAULT 0
    );
    INSERT INTO revoked DEFAULT VALUES;
    CREATE TABLE revocations (
        number bigint NOT NULL,
        time bigint NOT NULL,
        -- A session that ended, or a membership.
        session uuid,
        room uuid,
        person uuid
    );
    CREATE INDEX revocations_by_number ON revocations (number);
    CREATE INDEX revocations_by_time ON revocations (time);
    ", "
    -- What client tokens are refused for: tokens that were revoked, users whose tokens were, users who are blocked.
    CREATE TABLE denials (
        -- SHA-256 of the kind, the subject and the channel.
        key bytea PRIMARY KEY NOT NULL,
        kind text NOT NULL CHECK (kind IN ('token', 'tokens', 'user')),
        -- The token's id, or the application's name for the user.
        subject text NOT NULL,
        -- Of a user's tokens: only those for subscribing to it.
        channel text,
        -- Of a user's tokens: only those that were issued before.
        issued_before bigint,
        created bigint NOT NULL,
        ends bigint
    );
    CREATE INDEX denials_by_end ON denials (ends) WHERE ends IS NOT NULL;

    -- Or what became of a denial.
    ALTER TABLE revocations ADD COLUMN denial bytea;
    ", "
    -- When the message got its present text, if that is not its first.
    ALTER TABLE messages ADD COLUMN edited bigint;
    -- When it was deleted; its text is empty as soon as it is erased.
    ALTER TABLE messages ADD COLUMN deleted bigint;
    ALTER TABLE messages ADD COLUMN deleted_by uuid;
    ALTER TABLE messages ADD COLUMN delete_reason text;
    CREATE INDEX messages_to_erase ON messages (deleted) WHERE deleted IS NOT NULL AND body <> '';
    -- Which key the digest was made with: from now on it is an HMAC of what it was before. NULL in rows of the version before
    -- until theirs are.
    ALTER TABLE messages ADD COLUMN digest_key bytea;
    CREATE INDEX messages_to_key ON messages (digest_key) WHERE digest_key IS NULL;

    -- What messages said before they were edited. Without foreign keys, as the messages.
    CREATE TABLE edits (
        message uuid NOT NULL,
        -- Of the event that took the text away.
        number bigint NOT NULL,
        -- Since when the message had said it.
        time bigint NOT NULL,
        body text NOT NULL,
        PRIMARY KEY (message, number)
    );
    ", "
    -- Rooms for some, read positions, answers.
    -- The message that it answers, of the same room.
    ALTER TABLE messages ADD COLUMN reply_to uuid;

    -- Who has reacted to messages, and with what.
    CREATE TABLE reactions (
        message uuid NOT NULL,
        emoji text NOT NULL,
        person uuid NOT NULL,
        -- Of the event that brought it.
        number bigint NOT NULL,
        PRIMARY KEY (message, emoji, person)
    );
    -- Of an event about a reaction.
    ALTER TABLE room_events ADD COLUMN emoji text;

    -- The number of the last event of the room that the person has read. Whoever was there before has read everything.
    ALTER TABLE memberships ADD COLUMN read_number bigint NOT NULL DEFAULT 0;
    UPDATE memberships SET read_number = (SELECT r.last_number FROM rooms r WHERE r.id = memberships.room);

    ALTER TABLE rooms ADD COLUMN kind text NOT NULL DEFAULT 'public' CHECK (kind IN ('public', 'private', 'direct'));
    UPDATE rooms SET kind = 'private' WHERE NOT is_open;
    ALTER TABLE rooms DROP COLUMN is_open;
    DROP INDEX rooms_by_name;
    CREATE INDEX rooms_by_kind_and_name ON rooms (kind, lower(name COLLATE \"C\"), id);
    ALTER TABLE rooms ADD COLUMN description text NOT NULL DEFAULT '';
    -- Since when nothing is written there.
    ALTER TABLE rooms ADD COLUMN archived bigint;
    -- Of a direct message: SHA-256 of the ids of everybody in it, in order.
    ALTER TABLE rooms ADD COLUMN people bytea;
    CREATE UNIQUE INDEX the_direct_message_of_people ON rooms (people) WHERE people IS NOT NULL;
    ALTER TABLE memberships ADD COLUMN role text NOT NULL DEFAULT 'member' CHECK (role IN ('owner', 'member'));
    UPDATE memberships SET role = 'owner' FROM rooms r WHERE r.id = memberships.room AND r.creator = memberships.person;

    -- Whoever set the server up owns it.
    ALTER TABLE people DROP CONSTRAINT people_role_check;
    ALTER TABLE people ADD CONSTRAINT people_role_check CHECK (role IN ('owner', 'admin', 'member', 'guest'));
    UPDATE people SET role = 'owner' WHERE id IN (SELECT person FROM set_up);
    ", "
    -- Mentions, threads, profiles, tokens of people.
    -- What concerns people in particular: who mentioned them, answered them, reacted to what they wrote.
    CREATE TABLE notices (
        room uuid NOT NULL,
        -- The number of the event that brought it, and which of those it is that the event brought.
        event bigint NOT NULL,
        place bigint NOT NULL,
        -- Whom it concerns; NULL where it is all in the room.
        person uuid,
        kind text NOT NULL CHECK (kind IN ('mention', 'here', 'room', 'reply', 'reaction', 'past')),
        -- The message that it is about, with its number.
        message uuid NOT NULL,
        number bigint NOT NULL,
        actor uuid NOT NULL,
        -- Of a reaction.
        emoji text,
        time bigint NOT NULL,
        PRIMARY KEY (room, event, place)
    );
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
    ALTER TABLE messages ADD COLUMN thread uuid;
    -- Whether it stands among the room's messages.
    ALTER TABLE messages ADD COLUMN in_room boolean NOT NULL DEFAULT true;
    CREATE INDEX messages_of_threads ON messages (thread, number) WHERE thread IS NOT NULL;
    -- Of whom it is settled whether they follow a thread, and how far they have read it.
    CREATE TABLE thread_followers (
        root uuid NOT NULL,
        person uuid NOT NULL,
        read_number bigint NOT NULL,
        following boolean NOT NULL,
        PRIMARY KEY (root, person)
    );
    CREATE INDEX threads_of_followers ON thread_followers (person, root) WHERE following;
    -- How somebody keeps a room: since when it comes first, since when nothing of it is brought up, and under which heading of theirs.
    ALTER TABLE memberships ADD COLUMN favourite bigint;
    ALTER TABLE memberships ADD COLUMN muted bigint;
    ALTER TABLE memberships ADD COLUMN section text NOT NULL DEFAULT '';
    -- Profiles. A status and a time without disturbance end by themselves: whoever reads compares.
    ALTER TABLE people ADD COLUMN title text NOT NULL DEFAULT '';
    ALTER TABLE people ADD COLUMN zone text NOT NULL DEFAULT '';
    ALTER TABLE people ADD COLUMN status_emoji text NOT NULL DEFAULT '';
    ALTER TABLE people ADD COLUMN status_text text NOT NULL DEFAULT '';
    ALTER TABLE people ADD COLUMN status_ends bigint;
    -- Since when they do not want to be disturbed, and until when if they have said so.
    ALTER TABLE people ADD COLUMN quiet bigint;
    ALTER TABLE people ADD COLUMN quiet_ends bigint;
    ALTER TABLE people ADD COLUMN changed bigint NOT NULL DEFAULT 0;
    -- Where it was used from lately, and why it ended.
    ALTER TABLE sessions ADD COLUMN address text;
    ALTER TABLE sessions ADD COLUMN why text;
    -- With one, a program acts as the person.
    CREATE TABLE personal_tokens (
        id uuid PRIMARY KEY,
        person uuid NOT NULL REFERENCES people,
        -- SHA-256 of its secret.
        digest bytea NOT NULL UNIQUE,
        name text NOT NULL,
        -- With spaces between them.
        scopes text NOT NULL,
        created bigint NOT NULL,
        expires bigint,
        last_used bigint
    );
    CREATE INDEX personal_tokens_of_a_person ON personal_tokens (person);
    "];

/// The version that this program writes.
pub(super) fn newest() -> u32 {
    u32::try_from(STEPS.len()).expect("there are few versions")
}

/// Makes all tables as temporary ones, inside the transaction that the client is in.
pub(super) async fn rehearse(client: &Client) -> Result<(), Error> {
    client.batch_execute(&format!("SET LOCAL search_path = pg_temp, pg_catalog; {}", STEPS.concat())).await
}

/// Begins to make our schema, and takes that back: whether it may be made. What was moved away from there gives its place.
pub(super) async fn try_to_make(client: &mut Client, was_moved: bool) -> Result<(), Error> {
    let transaction = client.transaction().await?;
    if was_moved {
        transaction.batch_execute(&format!("ALTER SCHEMA {SCHEMA} RENAME TO {SCHEMA}_tried")).await?;
    }
    let sql = format!("CREATE SCHEMA IF NOT EXISTS {SCHEMA}; CREATE TABLE {SCHEMA}.tried ()");
    transaction.batch_execute(&sql).await?;
    transaction.rollback().await
}

/// What became of the schema.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Schema {
    Newest,
    Older {
        found: u32,
    },
    Newer {
        found: u32,
        program: String,
    },
    /// Something else is in the place of our tables.
    Foreign,
}

impl Schema {
    /// Why a database with it is not opened, unless it is.
    pub(super) fn opened(self) -> Result<(), OpenError> {
        match self {
            Self::Newest => Ok(()),
            Self::Older { found: 0 } => Err(OpenError::NoChat),
            Self::Older { found } => Err(OpenError::Older { found, ours: newest() }),
            Self::Newer { found, program } => Err(OpenError::NewerProgram { found, known: newest(), program }),
            Self::Foreign => Err(OpenError::ForeignSchema(SCHEMA)),
        }
    }
}

/// What schema the database has.
pub(super) async fn look(client: &Client) -> Result<Schema, Error> {
    let sql = format!(
        "SELECT to_regclass('{SCHEMA}.schema_version') IS NOT NULL,
            EXISTS (SELECT 1 FROM pg_class WHERE relnamespace = to_regnamespace('{SCHEMA}'))
                OR EXISTS (SELECT 1 FROM pg_proc WHERE pronamespace = to_regnamespace('{SCHEMA}'))
                OR EXISTS (SELECT 1 FROM pg_type WHERE typnamespace = to_regnamespace('{SCHEMA}'))"
    );
    let row = client.query_one(&sql, &[]).await?;
    match (row.try_get(0)?, row.try_get(1)?) {
        (true, _) => {}
        (false, true) => return Ok(Schema::Foreign),
        (false, false) => return Ok(Schema::Older { found: 0 }),
    }
    // Also a table of that name may be somebody else's.
    let sql = "SELECT 1 FROM pg_attribute WHERE attrelid = $1::text::regclass AND NOT attisdropped
        AND (attname, atttypid) IN (('version', 'int'::regtype), ('program', 'text'::regtype))";
    if client.query(sql, &[&format!("{SCHEMA}.schema_version")]).await?.len() < 2 {
        return Ok(Schema::Foreign);
    }
    let row = client.query_opt(&format!("SELECT version, program FROM {SCHEMA}.schema_version"), &[]).await?;
    let Some(row) = row else { return Ok(Schema::Foreign) };
    let (version, program): (i32, String) = (row.try_get(0)?, row.try_get(1)?);
    let found = u32::try_from(version).unwrap_or(0);
    Ok(match found.cmp(&newest()) {
        Ordering::Less => Schema::Older { found },
        Ordering::Equal => Schema::Newest,
        Ordering::Greater => Schema::Newer { found, program },
    })
}

/// Brings the database to the newest version, each step in a transaction of its own.
pub(super) async fn migrate(client: &mut Client) -> Result<Schema, Error> {
    loop {
        let transaction = client.transaction().await?;
        // As long as another program migrates: nothing that the server may end for us.
        transaction.batch_execute("SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0").await?;
        transaction.query("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
        let version = match look(transaction.client()).await? {
            Schema::Older { found } => found,
            other => return Ok(other),
        };
        if version == 0 {
            transaction
                .batch_execute(&format!(
                    "CREATE SCHEMA IF NOT EXISTS {SCHEMA};
                    CREATE TABLE {SCHEMA}.schema_version (
                        one boolean PRIMARY KEY DEFAULT true CHECK (one),
                        version int NOT NULL,
                        -- The first program that knows it.
                        program text NOT NULL
                    );
                    INSERT INTO {SCHEMA}.schema_version (version, program) VALUES (0, '')"
                ))
                .await?;
        }
        transaction.batch_execute(STEPS[version as usize]).await?;
        let next = i32::try_from(version + 1).expect("there are few versions");
        let sql = format!("UPDATE {SCHEMA}.schema_version SET version = $1, program = $2");
        transaction.execute(&sql, &[&next, &env!("CARGO_PKG_VERSION")]).await?;
        transaction.commit().await?;
    }
}
