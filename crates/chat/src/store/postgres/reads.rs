//! The reads, as SQL. What takes several statements sees one moment: they go out together, in one transaction that repeats
//! what it reads.

use std::collections::HashMap;

use tokio_postgres::{Error, Row};

use super::{
    connection::{Db, Params, Statement, Values},
    values::{
        Count, Digest, EventColumns, ROOM, activity as activity_row, answered, denied, invite as invite_row, message,
        notice, number, person, personal_token, profile, reacted as reacted_row, replies as replies_row, room,
        session as session_row, small, who,
    },
};
use crate::{
    limits::REACTED_PAGE_MAX,
    markup::may_mention,
    model::{
        ActivityFrom, ActivityPage, ActivityQuery, Arrival, Credentials, DenialKey, Denied, Edit, EditPage, Email,
        Emoji, Ended, Event, EventKind, EventPage, Invite, InviteCard, KeyId, Member, Message, MessageId, MessagePage,
        Name, Notice, PageQuery, PeopleKey, Person, PersonId, PersonalToken, Profile, Reacted, ReactedPage, Reactions,
        Replies, Room, RoomId, RoomKind, RoomPage, Root, SecretDigest, Session, SessionId, SessionKey, SignedIn, Stand,
        StoredHash, StoredInvite, StoredMessage, Text, ThreadCard, ThreadPage, ThreadReading, ThreadStanding,
        ThreadsPage, Time, TokenBearer, Who, mentioning, mentioning_beginnings, show_names, show_names_in,
        show_reactions, show_replies,
    },
    store::{
        bounds::Bounds,
        columns::{
            self, AFTER_MESSAGE, AFTER_ROOT, ASIDE, BY, BY_JOIN, DENIAL, INVITE, MESSAGE, NAMED, NOTICE_ROW, PERSON,
            PERSON_COLUMNS, PERSONAL_TOKEN, PROFILE, SESSION, SESSION_COLUMNS, THREAD_LAST, THREAD_ROOT, WHO,
            activity as select_activity, kinds, page_of_threads, reacted, replies, thread_root as root_of,
            threads as threads_of, threads_unread, unread_in_thread,
        },
        follow::{Revocation, Revocations},
    },
};

/// As [`name COLLATE NOCASE`](https://sqlite.org/datatype3.html#collation) sorts: Latin letters without their case, all else
/// by bytes. In the same words as the index.
pub(super) const BY_NAME: &str = "lower(r.name COLLATE \"C\"), r.id";

/// What several statements see at one moment.
async fn at_once(db: &Db, statements: &[Statement<'_>]) -> Result<Vec<Vec<Row>>, Error> {
    let begin = ("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", &[] as Params<'_>);
    let all: Vec<_> =
        [begin].into_iter().chain(statements.iter().copied()).chain([("COMMIT", &[] as Params<'_>)]).collect();
    let mut rows = db.together(&all).await?;
    rows.pop();
    rows.remove(0);
    Ok(rows)
}

fn every<T>(rows: &[Row], read: impl Fn(&Row) -> Result<T, Error>) -> Result<Vec<T>, Error> {
    rows.iter().map(read).collect()
}

pub(super) async fn is_set_up(db: &Db) -> Result<bool, Error> {
    db.one("SELECT EXISTS (SELECT 1 FROM people)", &[]).await?.try_get(0)
}

pub(super) async fn people(db: &Db) -> Result<Vec<Person>, Error> {
    let sql = format!("SELECT {PERSON} FROM people p ORDER BY lower(p.name COLLATE \"C\"), p.id");
    every(&db.rows(&sql, &[]).await?, person)
}

pub(super) async fn people_alike(db: &Db, asking: PersonId, look: &str, limit: u32) -> Result<Vec<Person>, Error> {
    let sql = format!(
        "SELECT {PERSON} FROM people p WHERE p.deactivated IS NULL AND strpos(p.look, $2) > 0
            AND (p.id = $1 OR NOT EXISTS (SELECT 1 FROM people g WHERE g.id = $1 AND g.role = 'guest')
            OR EXISTS (SELECT 1 FROM memberships a JOIN memberships b ON b.room = a.room
                WHERE a.person = $1 AND b.person = p.id))
        ORDER BY lower(p.name COLLATE \"C\"), p.id LIMIT $3"
    );
    every(&db.rows(&sql, &[&asking, &look, &i64::from(limit)]).await?, person)
}

pub(super) async fn person_of(db: &Db, id: PersonId) -> Result<Option<Person>, Error> {
    let sql = format!("SELECT {PERSON} FROM people p WHERE p.id = $1");
    db.row(&sql, &[&id]).await?.as_ref().map(person).transpose()
}

pub(super) async fn profile_of(db: &Db, id: PersonId) -> Result<Option<Profile>, Error> {
    let sql = format!("SELECT {PROFILE} FROM people p WHERE p.id = $1");
    db.row(&sql, &[&id]).await?.as_ref().map(profile).transpose()
}

pub(super) async fn profiles(db: &Db, asking: PersonId, people: &[PersonId]) -> Result<Vec<Profile>, Error> {
    let sql = format!(
        "SELECT {PROFILE} FROM people p WHERE p.id = ANY($2)
            AND (p.id = $1 OR NOT EXISTS (SELECT 1 FROM people g WHERE g.id = $1 AND g.role = 'guest')
            OR EXISTS (SELECT 1 FROM memberships a JOIN memberships b ON b.room = a.room
                WHERE a.person = $1 AND b.person = p.id))
        ORDER BY array_position($2, p.id)"
    );
    every(&db.rows(&sql, &[&asking, &people]).await?, profile)
}

pub(super) async fn personal_tokens(db: &Db, person: PersonId) -> Result<Vec<PersonalToken>, Error> {
    let sql = format!("SELECT {PERSONAL_TOKEN} FROM personal_tokens t WHERE t.person = $1 ORDER BY t.id DESC");
    every(&db.rows(&sql, &[&person]).await?, |row| personal_token(row, 0))
}

pub(super) async fn token_bearer(db: &Db, digest: SecretDigest) -> Result<Option<TokenBearer>, Error> {
    let sql = format!(
        "SELECT {PERSON}, {PERSONAL_TOKEN} FROM personal_tokens t JOIN people p ON p.id = t.person WHERE t.digest = $1"
    );
    let read = |row: Row| Ok(TokenBearer { person: person(&row)?, token: personal_token(&row, PERSON_COLUMNS)? });
    db.row(&sql, &[&digest]).await?.map(read).transpose()
}

pub(super) async fn session_ended(db: &Db, token: SecretDigest) -> Result<Option<Ended>, Error> {
    let row = db.row("SELECT why FROM sessions WHERE token = $1 AND ended IS NOT NULL", &[&token]).await?;
    let why: Option<String> = row.map(|row| row.try_get(0)).transpose()?.flatten();
    Ok(why.as_deref().and_then(Ended::parse))
}

pub(super) async fn credentials(db: &Db, email: &Email) -> Result<Option<Credentials>, Error> {
    let sql = format!("SELECT {PERSON}, p.password FROM people p WHERE p.email = $1");
    let found = db.row(&sql, &[&email.as_str()]).await?;
    let read = |row: &Row| Ok(Credentials { person: person(row)?, hash: StoredHash(row.try_get(PERSON_COLUMNS)?) });
    found.as_ref().map(read).transpose()
}

fn signed_in(row: Option<&Row>, now: Time) -> Result<Option<SignedIn>, Error> {
    let read = |row: &Row| Ok(SignedIn { person: person(row)?, session: session_row(row, PERSON_COLUMNS)? });
    Ok(row.map(read).transpose()?.filter(|who| who.session.is_fresh(now)))
}

fn session_where(condition: &str) -> String {
    format!(
        "SELECT {PERSON}, {SESSION} FROM sessions s JOIN people p ON p.id = s.person
        WHERE {condition} AND s.ended IS NULL"
    )
}

pub(super) async fn session(db: &Db, token: SecretDigest, now: Time) -> Result<Option<SignedIn>, Error> {
    signed_in(db.row(&session_where("s.token = $1"), &[&token]).await?.as_ref(), now)
}

pub(super) async fn arrival(db: &Db, session: SessionKey, rooms_max: u32, now: Time) -> Result<Option<Arrival>, Error> {
    let (condition, key): (_, Values<'_>) = match &session {
        SessionKey::Token(token) => ("s.token = $1", token),
        SessionKey::Id(id) => ("s.id = $1", id),
    };
    let sql = format!(
        "SELECT {PERSON}, {SESSION}, own.rooms, own.numbers, own.epochs
        FROM sessions s JOIN people p ON p.id = s.person
        CROSS JOIN LATERAL (
            SELECT array_agg(r.id) AS rooms, array_agg(r.last_number) AS numbers, array_agg(r.epoch) AS epochs FROM (
                SELECT r.id, r.last_number, r.epoch FROM memberships m JOIN rooms r ON r.id = m.room
                WHERE m.person = s.person ORDER BY m.room LIMIT $2
            ) r
        ) own
        WHERE {condition} AND s.ended IS NULL"
    );
    let row = db.row(&sql, &[key, &i64::from(rooms_max)]).await?;
    let (Some(who), Some(row)) = (signed_in(row.as_ref(), now)?, row) else { return Ok(None) };
    let first = PERSON_COLUMNS + SESSION_COLUMNS;
    // None of all, where there is none.
    let rooms: Option<Vec<RoomId>> = row.try_get(first)?;
    let numbers: Option<Vec<Count>> = row.try_get(first + 1)?;
    let epochs: Option<Vec<String>> = row.try_get(first + 2)?;
    let stands = rooms.unwrap_or_default().into_iter().zip(numbers.unwrap_or_default()).zip(epochs.unwrap_or_default());
    let rooms = stands.map(|((room, Count(offset)), epoch)| Stand { room, offset, epoch }).collect();
    Ok(Some(Arrival { who, rooms }))
}

fn stand(row: &Row, first: usize) -> Result<Stand, Error> {
    Ok(Stand { room: row.try_get(first)?, offset: number(row, first + 1)?, epoch: row.try_get(first + 2)? })
}

/// How many columns that are.
const STAND_COLUMNS: usize = 3;

pub(super) async fn sessions(db: &Db, person: PersonId, now: Time) -> Result<Vec<Session>, Error> {
    let sql = format!(
        "SELECT {SESSION} FROM sessions s WHERE s.person = $1 AND s.ended IS NULL ORDER BY s.last_seen DESC, s.id DESC"
    );
    let mut sessions = every(&db.rows(&sql, &[&person]).await?, |row| session_row(row, 0))?;
    sessions.retain(|session| session.is_fresh(now));
    Ok(sessions)
}

pub(super) async fn sessions_ended(db: &Db, since: Time) -> Result<Vec<SessionId>, Error> {
    every(&db.rows("SELECT id FROM sessions WHERE ended >= $1", &[&since]).await?, |row| row.try_get(0))
}

pub(super) async fn denials(db: &Db) -> Result<Vec<Denied>, Error> {
    let rows = db.rows(&format!("SELECT {DENIAL} FROM denials d"), &[]).await?;
    Ok(every(&rows, |row| denied(row, 0))?.into_iter().flatten().collect())
}

/// Its row stays as it is until the end of the transaction.
pub(super) async fn denial(db: &Db, key: DenialKey) -> Result<Option<Denied>, Error> {
    let sql = format!("SELECT {DENIAL} FROM denials d WHERE d.key = $1 FOR UPDATE");
    Ok(db.row(&sql, &[&&key[..]]).await?.map(|row| denied(&row, 0)).transpose()?.flatten())
}

pub(super) async fn invite_card(db: &Db, code: SecretDigest, now: Time) -> Result<Option<InviteCard>, Error> {
    let sql = format!(
        "SELECT {INVITE}, r.name, {WHO} FROM invites i
        JOIN people p ON p.id = i.inviter JOIN rooms r ON r.id = i.room WHERE i.digest = $1"
    );
    let Some(row) = db.row(&sql, &[&code]).await? else { return Ok(None) };
    let invite = invite_row(&row)?.if_good(now);
    invite
        .map(|Invite { room, .. }| {
            Ok(InviteCard { inviter: who(&row, 8)?, room, room_name: Name::stored(row.try_get(7)?) })
        })
        .transpose()
}

pub(super) async fn invite(db: &Db, code: SecretDigest) -> Result<Option<StoredInvite>, Error> {
    let sql = format!("SELECT {INVITE} FROM invites i WHERE i.digest = $1");
    db.row(&sql, &[&code]).await?.as_ref().map(invite_row).transpose()
}

/// A room has one; were there others, they would be dead.
const INVITE_OF: &str = "FROM invites i WHERE i.room = $1 ORDER BY i.revoked IS NOT NULL LIMIT 1";

pub(super) async fn invite_of(db: &Db, room: RoomId) -> Result<Option<StoredInvite>, Error> {
    let sql = format!("SELECT {INVITE} {INVITE_OF}");
    db.row(&sql, &[&room]).await?.as_ref().map(invite_row).transpose()
}

pub(super) async fn room_invite(db: &Db, room: RoomId, person: PersonId, now: Time) -> Result<Option<Invite>, Error> {
    let sql = format!("SELECT {INVITE} {INVITE_OF}");
    let answers = at_once(db, &[(IS_MEMBER, &[&room, &person]), (&sql, &[&room])]).await?;
    let [reader, invites] = &answers[..] else { return Ok(None) };
    let invite = invites.first().filter(|_| !reader.is_empty()).map(invite_row).transpose()?;
    Ok(invite.and_then(|stored| stored.if_good(now)))
}

pub(super) async fn own_rooms(db: &Db, person: PersonId) -> Result<Vec<Room>, Error> {
    let sql = format!(
        "SELECT {ROOM} FROM memberships own JOIN rooms r ON r.id = own.room WHERE own.person = $1 ORDER BY {BY_NAME}"
    );
    let beside = format!(
        "SELECT {WHO}, r.id FROM memberships own JOIN rooms r ON r.id = own.room AND r.kind = 'direct'
        JOIN memberships m ON m.room = r.id AND m.person <> $1 JOIN people p ON p.id = m.person
        WHERE own.person = $1 ORDER BY lower(p.name COLLATE \"C\"), p.id"
    );
    let answers = at_once(db, &[(&sql, &[&person]), (&beside, &[&person])]).await?;
    let mut rooms = every(&answers[0], room)?;
    let mut people: HashMap<RoomId, Vec<Who>> = HashMap::new();
    for row in &answers[1] {
        people.entry(row.try_get(3)?).or_default().push(who(row, 0)?);
    }
    for room in &mut rooms {
        room.people = people.remove(&room.id).unwrap_or_default();
    }
    Ok(rooms)
}

pub(super) async fn other_rooms(
    db: &Db,
    person: PersonId,
    after: Option<RoomId>,
    limit: u32,
) -> Result<RoomPage, Error> {
    let from = match after {
        // An unknown one has no name, and nothing comes after that; nor after one that the person does not see (S37).
        Some(_) => {
            "AND (lower(r.name COLLATE \"C\"), r.id)
                > (SELECT lower(a.name COLLATE \"C\"), a.id FROM rooms a WHERE a.id = $3 AND (a.kind = 'public'
                OR a.kind = 'private' AND EXISTS (SELECT 1 FROM memberships s WHERE s.room = a.id AND s.person = $1)))"
        }
        None => "AND $3::uuid IS NULL",
    };
    let sql = format!(
        "SELECT {ROOM} FROM rooms r LEFT JOIN memberships own ON own.room = r.id AND own.person = $1
        WHERE r.kind = 'public'
        AND NOT EXISTS (SELECT 1 FROM people g WHERE g.id = $1 AND g.role = 'guest')
        AND own.room IS NULL {from}
        ORDER BY {BY_NAME} LIMIT $2"
    );
    let mut rooms = every(&db.rows(&sql, &[&person, &(i64::from(limit) + 1), &after]).await?, room)?;
    let more = rooms.len() > limit as usize;
    rooms.truncate(limit as usize);
    Ok(RoomPage { rooms, more })
}

pub(super) async fn direct_of(db: &Db, people: PeopleKey) -> Result<Option<RoomId>, Error> {
    let row = db.row("SELECT id FROM rooms WHERE people = $1", &[&&people.0[..]]).await?;
    row.map(|row| row.try_get(0)).transpose()
}

pub(super) async fn room_of(db: &Db, id: RoomId, person: PersonId) -> Result<Option<Room>, Error> {
    let sql = format!(
        "SELECT {ROOM} FROM rooms r LEFT JOIN memberships own ON own.room = r.id AND own.person = $1 WHERE r.id = $2"
    );
    let found = db.row(&sql, &[&person, &id]).await?.as_ref().map(room).transpose()?;
    let Some(found) = found else { return Ok(None) };
    if found.kind != RoomKind::Direct {
        return Ok(Some(found));
    }
    // Who is in a direct message never changes, so another statement sees the same.
    let sql = format!(
        "SELECT {WHO} FROM memberships m JOIN people p ON p.id = m.person
        WHERE m.room = $1 AND m.person <> $2 ORDER BY lower(p.name COLLATE \"C\"), p.id"
    );
    let people = every(&db.rows(&sql, &[&id, &person]).await?, |row| who(row, 0))?;
    Ok(Some(Room { people, ..found }))
}

const IS_MEMBER: &str = "SELECT 1 FROM memberships m WHERE m.room = $1 AND m.person = $2";

pub(super) async fn members(db: &Db, room: RoomId, reader: PersonId) -> Result<Option<Vec<Member>>, Error> {
    let sql = format!(
        "SELECT {WHO}, m.role, p.role FROM memberships m JOIN people p ON p.id = m.person
        WHERE m.room = $1 ORDER BY lower(p.name COLLATE \"C\"), p.id"
    );
    let answers = at_once(db, &[(IS_MEMBER, &[&room, &reader]), (&sql, &[&room])]).await?;
    if answers[0].is_empty() {
        return Ok(None);
    }
    let member = |row: &Row| {
        let (id, name, same_name) = (row.try_get(0)?, Name::stored(row.try_get(1)?), row.try_get(2)?);
        Ok(Member { id, name, same_name, role: row.try_get(3)?, server_role: row.try_get(4)? })
    };
    every(&answers[1], member).map(Some)
}

pub(super) async fn member(db: &Db, room: RoomId, person: PersonId) -> Result<Option<Who>, Error> {
    let sql =
        format!("SELECT {WHO} FROM memberships m JOIN people p ON p.id = m.person WHERE m.room = $1 AND m.person = $2");
    db.row(&sql, &[&room, &person]).await?.as_ref().map(|row| who(row, 0)).transpose()
}

pub(super) async fn events(
    db: &Db,
    room: RoomId,
    reader: Option<PersonId>,
    page: PageQuery,
    bytes_max: usize,
) -> Result<Option<EventPage>, Error> {
    let nobody = reader.is_none();
    let head = "SELECT r.id, r.last_number, r.epoch, v.last FROM rooms r, revoked v WHERE r.id = $1
        AND ($3 OR EXISTS (SELECT 1 FROM memberships m WHERE m.room = $1 AND m.person = $2))";
    if page.limit == 0 {
        let Some(row) = db.row(head, &[&room, &reader, &nobody]).await? else { return Ok(None) };
        let Stand { offset, epoch, .. } = stand(&row, 0)?;
        let revoked = number(&row, STAND_COLUMNS)?;
        return Ok(Some(EventPage { events: Vec::new(), epoch, offset, more: offset > 0, revoked }));
    }
    let bounds = Bounds::of(page);
    // How many there are within the bounds, and those of them that come before there is too much text; beside each where the
    // room stands, which is told without any too.
    let sql = format!(
        "WITH head AS ({head}), page AS (
            SELECT {WHO}, {MESSAGE}, e.number AS at, e.kind, e.time AS happened, e.emoji, CASE WHEN m.deleted IS NULL THEN octet_length(m.body) END AS bytes,
                {BY}
            FROM room_events e JOIN people p ON p.id = e.subject LEFT JOIN messages m ON m.id = e.message {ASIDE} {BY_JOIN}
            WHERE e.room = $1 AND e.number > $4 AND e.number < $5 AND EXISTS (SELECT 1 FROM head)
            ORDER BY e.number {order} LIMIT $6
        ), counted AS (
            SELECT *, count(*) OVER () AS there,
                coalesce(sum(bytes) OVER (ORDER BY at {order} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)
                    AS bytes_before
            FROM page
        )
        SELECT counted.*, head.*, f.name AS room_name, f.topic AS room_topic, f.description AS room_description,
            f.kind AS room_kind, f.archived AS room_archived
        FROM head LEFT JOIN counted ON bytes_before <= $7 LEFT JOIN rooms f ON counted.kind LIKE 'room.%' AND f.id = $1
        ORDER BY at {order}",
        order = bounds.order(),
    );
    let bytes_max = i64::try_from(bytes_max).unwrap_or(i64::MAX);
    let (above, below, limit) = (bounds.above, bounds.below, bounds.rows());
    let page: Statement<'_> = (&sql, &[&room, &reader, &nobody, &above, &below, &limit, &bytes_max]);
    // Whoever reads for all needs none: they are events of their own.
    let those = format!(
        "SELECT message FROM room_events WHERE room = $1 AND number > $2 AND number < $3 AND emoji IS NULL
        ORDER BY number {} LIMIT $4",
        bounds.order()
    );
    let (rows, aside) = match reader {
        None => (db.rows(page.0, page.1).await?, Aside::default()),
        Some(reader) => with_aside(db, page, &those, &[&room, &above, &below, &limit, &reader]).await?,
    };
    let Some(first) = rows.first() else { return Ok(None) };
    let Stand { offset, epoch, .. } = stand(first, HEAD)?;
    let revoked = number(first, HEAD + STAND_COLUMNS)?;
    let (events, there) = match first.try_get::<_, Option<Count>>(THERE)? {
        None => (Vec::new(), 0),
        Some(Count(there)) => (every(&rows, |row| event(row, room))?, there),
    };
    let is_cut = there > events.len() as u64;
    let mut events: Vec<Event> = events;
    aside.show(events.iter_mut().filter_map(|event| event.kind.message_mut()));
    add_names(db, events.iter_mut().filter_map(|event| event.kind.message_mut()).collect()).await?;
    let (events, more) = bounds.finish(events);
    Ok(Some(EventPage { events, epoch, offset, more: more || is_cut, revoked }))
}

/// The column `there` of a page: behind the number, the kind, the time, the emoji and the bytes of an event, and who did it.
const THERE: usize = AFTER_MESSAGE + 8;
/// Where the room stands: behind that, and the bytes before.
const HEAD: usize = THERE + 2;

fn event(row: &Row, room: RoomId) -> Result<Event, Error> {
    let kind = EventKind::read(row.try_get(AFTER_MESSAGE + 1)?, &EventColumns(row))?;
    Ok(Event { room, number: number(row, AFTER_MESSAGE)?, time: row.try_get(AFTER_MESSAGE + 2)?, kind })
}

pub(super) async fn last_before(db: &Db, room: RoomId, reader: PersonId, time: Time) -> Result<Option<u64>, Error> {
    let sql = columns::last_before("$1", "$2", "$3");
    db.row(&sql, &[&room, &reader, &time]).await?.map(|row| number(&row, 0)).transpose()
}

pub(super) async fn messages(
    db: &Db,
    room: RoomId,
    reader: PersonId,
    page: PageQuery,
) -> Result<Option<MessagePage>, Error> {
    let bounds = Bounds::of(page);
    // The reader's membership is a row also where there are no messages.
    let sql = format!(
        "SELECT page.* FROM memberships reader LEFT JOIN LATERAL (
            SELECT {WHO}, {MESSAGE} FROM messages m JOIN people p ON p.id = m.author {ASIDE}
            WHERE m.room = $1 AND m.number > $3 AND m.number < $4 AND m.in_room ORDER BY m.number {order} LIMIT $5
        ) page ON true WHERE reader.room = $1 AND reader.person = $2 ORDER BY page.number {order}",
        order = bounds.order()
    );
    let (above, below, limit) = (bounds.above, bounds.below, bounds.rows());
    let page: Statement<'_> = (&sql, &[&room, &reader, &above, &below, &limit]);
    let those = format!(
        "SELECT id FROM messages WHERE room = $1 AND number > $2 AND number < $3 AND in_room ORDER BY number {} LIMIT $4",
        bounds.order()
    );
    let (rows, aside) = with_aside(db, page, &those, &[&room, &above, &below, &limit, &reader]).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let is_empty = first.try_get::<_, Option<PersonId>>(0)?.is_none();
    let (mut messages, more) = bounds.finish(if is_empty { Vec::new() } else { every(&rows, message)? });
    aside.show(messages.iter_mut());
    add_names(db, messages.iter_mut().collect()).await?;
    Ok(Some(MessagePage { messages, more }))
}

pub(super) async fn message_of(
    db: &Db,
    room: RoomId,
    reader: PersonId,
    id: MessageId,
) -> Result<Option<Message>, Error> {
    let sql = format!(
        "SELECT {WHO}, {MESSAGE} FROM messages m JOIN people p ON p.id = m.author {ASIDE}
        WHERE m.id = $1 AND m.room = $2 AND EXISTS (SELECT 1 FROM memberships s WHERE s.room = $2 AND s.person = $3)"
    );
    let (rows, aside) = with_aside(db, (&sql, &[&id, &room, &reader]), "$1", &[&id, &reader]).await?;
    let mut found = rows.first().map(message).transpose()?;
    aside.show(found.iter_mut());
    add_names(db, found.iter_mut().collect()).await?;
    Ok(found)
}

/// Gives each of the messages, and what it answers, the names of those whom it mentions: asked for where there are any.
async fn add_names(db: &Db, messages: Vec<&mut Message>) -> Result<(), Error> {
    let those = mentioning(messages.iter().map(|message| &**message));
    if those.is_empty() {
        return Ok(());
    }
    let names = names_of_all(db, those).await?;
    show_names(|id| names.get(&id).cloned(), messages.into_iter());
    Ok(())
}

async fn names_of_all(db: &Db, messages: Vec<MessageId>) -> Result<HashMap<MessageId, Vec<Who>>, Error> {
    let sql = format!("SELECT {WHO}, n.message {NAMED} = ANY($1)");
    let mut names: HashMap<MessageId, Vec<Who>> = HashMap::new();
    for row in db.rows(&sql, &[&messages]).await? {
        names.entry(row.try_get(3)?).or_default().push(who(&row, 0)?);
    }
    Ok(names)
}

pub(super) async fn names_of(db: &Db, message: MessageId) -> Result<Vec<Who>, Error> {
    every(&db.rows(&format!("SELECT {WHO} {NAMED} = $1"), &[&message]).await?, |row| who(row, 0))
}

pub(super) async fn mentions_of(db: &Db, message: MessageId) -> Result<Vec<Notice>, Error> {
    let sql = format!(
        "SELECT {NOTICE_ROW} FROM notices n WHERE n.message = $1 AND n.kind IN ('mention', 'here', 'room', 'past')
        ORDER BY n.event, n.place"
    );
    every(&db.rows(&sql, &[&message]).await?, notice)
}

pub(super) async fn activity(db: &Db, person: PersonId, query: ActivityQuery) -> Result<ActivityPage, Error> {
    let ActivityQuery { kind, before, limit } = query;
    let ActivityFrom { time, event, room, place } = before.unwrap_or(ActivityFrom::NEWEST);
    let sql = select_activity(&kinds(kind), ["$1", "$2", "$3", "$4", "$5", "$6"]);
    let rows =
        db.rows(&sql, &[&person, &time, &signed(event), &room, &i64::from(place), &(i64::from(limit) + 1)]).await?;
    let mut activity = every(&rows, activity_row)?;
    add_names(db, activity.iter_mut().map(|one| &mut one.message).collect()).await?;
    Ok(ActivityPage::of(activity, limit))
}

/// What was reacted to messages, and what stands in the threads under them.
#[derive(Default)]
struct Aside {
    reactions: HashMap<MessageId, Vec<Reacted>>,
    replies: HashMap<MessageId, Replies>,
}

impl Aside {
    fn show<'a>(&self, messages: impl Iterator<Item = &'a mut Message>) {
        let mut messages: Vec<_> = messages.collect();
        show_reactions(&self.reactions, messages.iter_mut().map(|message| &mut **message));
        show_replies(&self.replies, messages.into_iter());
    }
}

/// A page, and of the same moment what belongs to the messages that `those` selects, by all of the parameters but the last: the
/// reader.
async fn with_aside(db: &Db, page: Statement<'_>, those: &str, params: Params<'_>) -> Result<(Vec<Row>, Aside), Error> {
    let reactions = reacted(those, &format!("${}", params.len()));
    let replies = replies(those);
    let statements = [page, (&reactions, params), (&replies, &params[..params.len() - 1])];
    let mut answers = at_once(db, &statements).await?.into_iter();
    let rows = answers.next().unwrap_or_default();
    let mut aside = Aside::default();
    answers.next().unwrap_or_default().iter().try_for_each(|row| reacted_row(&mut aside.reactions, row))?;
    answers.next().unwrap_or_default().iter().try_for_each(|row| replies_row(&mut aside.replies, row))?;
    Ok((rows, aside))
}

/// The message that a thread is to be under, as a person meets it who is to answer there.
pub(super) fn root(row: &Row, first: usize) -> Result<Root, Error> {
    Ok(Root {
        answered: answered(row, first)?,
        thread: row.try_get(first + AFTER_ROOT)?,
        is_settled: row.try_get(first + AFTER_ROOT + 1)?,
        is_settled_for_author: row.try_get(first + AFTER_ROOT + 2)?,
    })
}

pub(super) async fn thread_root(db: &Db, room: RoomId, id: MessageId, person: PersonId) -> Result<Option<Root>, Error> {
    db.row(&root_of("$1", "$2", "$3"), &[&room, &id, &person]).await?.as_ref().map(|row| root(row, 0)).transpose()
}

/// The row of how far the person has read it stays as it is until the end of the transaction.
pub(super) async fn thread_standing(
    db: &Db,
    room: RoomId,
    root: MessageId,
    person: PersonId,
) -> Result<Option<ThreadStanding>, Error> {
    let sql = "SELECT read_number, following FROM thread_followers WHERE root = $1 AND person = $2 FOR NO KEY UPDATE";
    let position = db.row(sql, &[&root, &person]).await?;
    let position = position.map(|row| Ok((number(&row, 0)?, row.try_get(1)?))).transpose()?;
    let sql = "SELECT r.last_number, m.thread FROM messages m JOIN rooms r ON r.id = m.room
        JOIN memberships s ON s.room = m.room AND s.person = $3 WHERE m.id = $2 AND m.room = $1";
    let found = db.row(sql, &[&room, &root, &person]).await?;
    found.map(|row| Ok(ThreadStanding { offset: number(&row, 0)?, thread: row.try_get(1)?, position })).transpose()
}

pub(super) async fn thread_unread(db: &Db, root: MessageId, person: PersonId, read: u64) -> Result<u32, Error> {
    let sql = format!("SELECT {}", unread_in_thread("$1", "$2", "$3"));
    small(&db.one(&sql, &[&root, &person, &signed(read)]).await?, 0)
}

pub(super) async fn thread(
    db: &Db,
    room: RoomId,
    reader: PersonId,
    id: MessageId,
    page: PageQuery,
) -> Result<Option<ThreadPage>, Error> {
    let bounds = Bounds::of(page);
    let (above, below, limit) = (bounds.above, bounds.below, bounds.rows());
    let root = format!(
        "SELECT {WHO}, {MESSAGE}, o.epoch, o.last_number, coalesce(f.read_number, o.last_number),
            coalesce(f.following, false), {unread}
        FROM messages m JOIN people p ON p.id = m.author {ASIDE} JOIN rooms o ON o.id = m.room
        LEFT JOIN thread_followers f ON f.root = m.id AND f.person = $3
        WHERE m.id = $1 AND m.room = $2 AND EXISTS (SELECT 1 FROM memberships s WHERE s.room = $2 AND s.person = $3)",
        unread = unread_in_thread("m.id", "$3", "coalesce(f.read_number, o.last_number)")
    );
    let answers = format!(
        "SELECT {WHO}, {MESSAGE} FROM messages m JOIN people p ON p.id = m.author {ASIDE}
        WHERE m.thread = $1 AND m.number > $2 AND m.number < $3 ORDER BY m.number {} LIMIT $4",
        bounds.order()
    );
    let those = format!(
        "SELECT $1::uuid UNION ALL (SELECT id FROM messages WHERE thread = $1 AND number > $2 AND number < $3
            ORDER BY number {} LIMIT $4)",
        bounds.order()
    );
    let (reactions, replies) = (reacted(&those, "$5"), replies(&those));
    let page: Params<'_> = &[&id, &above, &below, &limit];
    let statements: [Statement<'_>; 4] = [
        (&root, &[&id, &room, &reader]),
        (&answers, page),
        (&reactions, &[&id, &above, &below, &limit, &reader]),
        (&replies, page),
    ];
    let found = at_once(db, &statements).await?;
    let Some(first) = found[0].first() else { return Ok(None) };
    let mut aside = Aside::default();
    found[2].iter().try_for_each(|row| reacted_row(&mut aside.reactions, row))?;
    found[3].iter().try_for_each(|row| replies_row(&mut aside.replies, row))?;
    let mut root = message(first)?;
    let (mut messages, more) = bounds.finish(every(&found[1], message)?);
    aside.show(messages.iter_mut().chain([&mut root]));
    add_names(db, messages.iter_mut().chain([&mut root]).collect()).await?;
    let reading = ThreadReading {
        id,
        room,
        offset: number(first, AFTER_MESSAGE + 1)?,
        following: first.try_get(AFTER_MESSAGE + 3)?,
        read: number(first, AFTER_MESSAGE + 2)?,
        unread: small(first, AFTER_MESSAGE + 4)?,
    };
    Ok(Some(ThreadPage { root, messages, more, epoch: first.try_get(AFTER_MESSAGE)?, reading }))
}

pub(super) async fn threads(
    db: &Db,
    person: PersonId,
    before: Option<MessageId>,
    limit: u32,
) -> Result<ThreadsPage, Error> {
    let (page, unread) = (threads_of("$1", "$2::uuid", "$3"), threads_unread("$1"));
    let replies = replies(&format!("SELECT page.root FROM ({}) page", page_of_threads("$1", "$2::uuid", "$3")));
    let rows = i64::from(limit) + 1;
    let params: Params<'_> = &[&person, &before, &rows];
    let found = at_once(db, &[(&page, params), (&replies, params), (&unread, &[&person])]).await?;
    let mut all = HashMap::new();
    found[1].iter().try_for_each(|row| replies_row(&mut all, row))?;
    let mut threads = Vec::with_capacity(found[0].len());
    for row in &found[0] {
        let (root, last) = (answered(row, THREAD_ROOT)?, answered(row, THREAD_LAST)?);
        let (id, room, offset) = (row.try_get(0)?, row.try_get(1)?, number(row, 2)?);
        let (read, unread) = (number(row, 3)?, small(row, 4)?);
        let reading = ThreadReading { id, room, offset, following: true, read, unread };
        threads.extend(all.remove(&id).map(|replies| ThreadCard { reading, root, replies, last }));
    }
    let more = threads.len() > limit as usize;
    threads.truncate(limit as usize);
    let those = mentioning_beginnings(threads.iter_mut().flat_map(ThreadCard::beginnings).map(|answered| &*answered));
    if !those.is_empty() {
        let names = names_of_all(db, those).await?;
        show_names_in(|id| names.get(&id).cloned(), threads.iter_mut().flat_map(ThreadCard::beginnings));
    }
    Ok(ThreadsPage { threads, more, unread: found[2].first().map_or(Ok(0), |row| small(row, 0))? })
}

pub(super) async fn reacted_with(
    db: &Db,
    room: RoomId,
    reader: PersonId,
    id: MessageId,
    emoji: &Emoji,
) -> Result<Option<ReactedPage>, Error> {
    // The message is a row also where nobody has.
    let sql = format!(
        "SELECT page.* FROM messages m LEFT JOIN LATERAL (
            SELECT {WHO}, r.number FROM reactions r JOIN people p ON p.id = r.person
            WHERE r.message = m.id AND m.deleted IS NULL AND r.emoji = $4 ORDER BY r.number LIMIT $5
        ) page ON true
        WHERE m.id = $2 AND m.room = $1
        AND EXISTS (SELECT 1 FROM memberships s WHERE s.room = $1 AND s.person = $3) ORDER BY page.number"
    );
    let limit = i64::from(REACTED_PAGE_MAX) + 1;
    let rows = db.rows(&sql, &[&room, &id, &reader, &emoji.as_str(), &limit]).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let is_empty = first.try_get::<_, Option<PersonId>>(0)?.is_none();
    let mut people = if is_empty { Vec::new() } else { every(&rows, |row| who(row, 0))? };
    let more = people.len() > REACTED_PAGE_MAX as usize;
    people.truncate(REACTED_PAGE_MAX as usize);
    Ok(Some(ReactedPage { people, more }))
}

/// What a reaction of this person with this emoji meets.
pub(super) async fn reactions(
    db: &Db,
    message: MessageId,
    person: PersonId,
    emoji: &Emoji,
) -> Result<Reactions, Error> {
    let sql = "SELECT coalesce(bool_or(emoji = $3 AND person = $2), false), coalesce(bool_or(emoji = $3), false),
        count(DISTINCT emoji) FROM reactions WHERE message = $1";
    let row = db.one(sql, &[&message, &person, &emoji.as_str()]).await?;
    Ok(Reactions { is_mine: row.try_get(0)?, is_used: row.try_get(1)?, kinds: small(&row, 2)? })
}

/// Its row stays as it is until the end of the transaction.
pub(super) async fn stored_message(db: &Db, room: RoomId, id: MessageId) -> Result<Option<StoredMessage>, Error> {
    let sql = format!(
        "SELECT {WHO}, {MESSAGE}, m.body FROM messages m JOIN people p ON p.id = m.author {ASIDE}
        WHERE m.id = $1 AND m.room = $2 FOR UPDATE OF m"
    );
    let found = db.row(&sql, &[&id, &room]).await?;
    let Some(row) = found else { return Ok(None) };
    let mut stored = StoredMessage::of(message(&row)?, row.try_get(AFTER_MESSAGE)?);
    add_names(db, vec![&mut stored.message]).await?;
    Ok(Some(stored))
}

pub(super) async fn edits(
    db: &Db,
    room: RoomId,
    reader: PersonId,
    id: MessageId,
    page: PageQuery,
) -> Result<Option<EditPage>, Error> {
    let bounds = Bounds::of(page);
    // The message is a row also where there are none.
    let sql = format!(
        "SELECT page.number, page.time, page.body FROM messages m LEFT JOIN LATERAL (
            SELECT number, time, body FROM edits
            WHERE message = $2 AND m.deleted IS NULL AND number > $4 AND number < $5 ORDER BY number {order} LIMIT $6
        ) page ON true
        WHERE m.id = $2 AND m.room = $1
        AND EXISTS (SELECT 1 FROM memberships s WHERE s.room = $1 AND s.person = $3) ORDER BY page.number {order}",
        order = bounds.order()
    );
    let (above, below, limit) = (bounds.above, bounds.below, bounds.rows());
    let rows = db.rows(&sql, &[&room, &id, &reader, &above, &below, &limit]).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let is_empty = first.try_get::<_, Option<Count>>(0)?.is_none();
    let texts = every(&rows, |row| row.try_get::<_, Option<String>>(2))?;
    let mentions = texts.iter().flatten().any(|text| may_mention(text));
    let names = if mentions { names_around(db, id).await? } else { Vec::new() };
    let edit = |row: &Row| {
        let body = Text::new(row.try_get::<_, String>(2)?, names.clone());
        Ok(Edit { number: number(row, 0)?, time: row.try_get(1)?, body })
    };
    let (edits, more) = bounds.finish(if is_empty { Vec::new() } else { every(&rows, edit)? });
    Ok(Some(EditPage { edits, more }))
}

/// The names of those whom a message mentions, or has mentioned, and of its author.
async fn names_around(db: &Db, message: MessageId) -> Result<Vec<Who>, Error> {
    let sql = format!("SELECT {WHO} FROM messages m JOIN people p ON p.id = m.author WHERE m.id = $1");
    let mut names = every(&db.rows(&sql, &[&message]).await?, |row| who(row, 0))?;
    names.extend(names_of(db, message).await?);
    Ok(names)
}

pub(super) async fn has_deleted_by(db: &Db, time: Time) -> Result<bool, Error> {
    let sql = "SELECT EXISTS (SELECT 1 FROM messages WHERE deleted <= $1 AND body <> '')";
    db.one(sql, &[&time]).await?.try_get(0)
}

pub(super) async fn last_digest_key(db: &Db) -> Result<Option<KeyId>, Error> {
    // Ids begin with the time.
    let sql = "SELECT digest_key FROM messages ORDER BY id DESC LIMIT 1";
    let Some(row) = db.row(sql, &[]).await? else { return Ok(None) };
    // What has another length is no key of ours.
    Ok(row.try_get::<_, Option<Vec<u8>>>(0)?.and_then(|key| key.try_into().ok()))
}

/// How far all rooms are, and what was taken away behind that number, at one moment.
pub(super) async fn stands(db: &Db, revoked: u64) -> Result<(Vec<Stand>, Revocations), Error> {
    let behind = signed(revoked);
    let statements: [Statement<'_>; 3] =
        [("SELECT id, last_number, epoch FROM rooms", &[]), (REVOKED, &[]), (REVOCATIONS, &[&behind])];
    let answers = at_once(db, &statements).await?;
    Ok((every(&answers[0], |row| stand(row, 0))?, revocations_of(&answers[1], &answers[2], revoked)?))
}

/// What was taken away behind that number.
pub(super) async fn revocations(db: &Db, after: u64) -> Result<Revocations, Error> {
    let behind = signed(after);
    let answers = at_once(db, &[(REVOKED, &[]), (REVOCATIONS, &[&behind])]).await?;
    revocations_of(&answers[0], &answers[1], after)
}

const REVOKED: &str = "SELECT last, forgotten FROM revoked";
const REVOCATIONS: &str = "SELECT v.number, v.session, v.room, v.person,
    EXISTS (SELECT 1 FROM memberships m WHERE m.room = v.room AND m.person = v.person),
    v.denial, d.kind, d.subject, d.channel, d.issued_before, d.created, d.ends
    FROM revocations v LEFT JOIN denials d ON d.key = v.denial WHERE v.number > $1 ORDER BY v.number";
/// The columns before those of the denial.
const BEFORE_DENIAL: usize = 6;

fn revocations_of(heads: &[Row], rows: &[Row], after: u64) -> Result<Revocations, Error> {
    let Some(head) = heads.first() else { return Ok(Revocations::default()) };
    let (last, forgotten) = (number(head, 0)?, number(head, 1)?);
    let mut these = Vec::with_capacity(rows.len());
    for row in rows {
        let (session, room, person): (Option<SessionId>, Option<RoomId>, Option<PersonId>) =
            (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        let is_back = row.try_get(4)?;
        let of_person = || match (room, person) {
            (Some(room), Some(person)) => Some(Revocation::Membership { room, person, is_back }),
            (None, person) => person.map(Revocation::Role),
            (Some(_), None) => None,
        };
        let denial = match row.try_get::<_, Option<Digest>>(BEFORE_DENIAL - 1)? {
            Some(Digest(key)) => Some(Revocation::Denial { key, denied: denied(row, BEFORE_DENIAL)? }),
            None => None,
        };
        if let Some(revocation) = session.map(Revocation::Session).or_else(of_person).or(denial) {
            these.push((number(row, 0)?, revocation));
        }
    }
    Ok(Revocations { last, are_complete: after >= forgotten, these })
}

use crate::store::bounds::signed;
