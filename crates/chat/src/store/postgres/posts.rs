//! The rows of a batch's messages and events, column by column, as they go out: each table's in one statement, however many
//! they are.

use super::tables::{Write, values};
use crate::{
    model::{ClientId, Event, MessageId, NewMessage, Notice, PersonId, RoomId, StoredDigest, Time},
    store::bounds::signed,
};

/// In one order, because who waits for a row of an index that another transaction has written can wait in a circle.
const INSERT_MESSAGES: &str = "INSERT INTO messages (id, room, number, author, client_id, digest, digest_key, body, time,
        reply_to, thread, in_room)
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::uuid[], $5::uuid[], $6::bytea[], $7::bytea[], $8::text[],
        $9::bigint[], $10::uuid[], $11::uuid[], $12::boolean[])
        AS new(id, room, number, author, client_id, digest, digest_key, body, time, reply_to, thread, in_room)
    ORDER BY author, client_id";
const INSERT_NOTICES: &str = "INSERT INTO notices (room, event, place, person, kind, message, number, actor, emoji, time)
    SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::uuid[], $5::text[], $6::uuid[], $7::bigint[], $8::uuid[],
        $9::text[], $10::bigint[])";
const INSERT_EVENTS: &str = "INSERT INTO room_events (room, number, kind, message, actor, subject, time, emoji)
    SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::uuid[], $5::uuid[], $6::uuid[], $7::bigint[], $8::text[])";

const INSERT_FOLLOWERS: &str = "INSERT INTO thread_followers (root, person, read_number, following)
    SELECT new.*, true FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS new(root, person, read_number)
    ORDER BY root, person ON CONFLICT DO NOTHING";

#[derive(Default)]
pub(super) struct Posts {
    pub(super) messages: Messages,
    pub(super) events: Events,
    pub(super) notices: Notices,
    pub(super) followers: Followers,
}

/// Of each kind of value one array.
#[derive(Default)]
pub(super) struct Notices {
    room: Vec<RoomId>,
    event: Vec<i64>,
    place: Vec<i64>,
    person: Vec<Option<PersonId>>,
    kind: Vec<&'static str>,
    message: Vec<MessageId>,
    number: Vec<i64>,
    actor: Vec<PersonId>,
    emoji: Vec<Option<String>>,
    time: Vec<Time>,
}

#[derive(Default)]
pub(super) struct Messages {
    id: Vec<MessageId>,
    room: Vec<RoomId>,
    number: Vec<i64>,
    author: Vec<PersonId>,
    client_id: Vec<ClientId>,
    digest: Vec<Vec<u8>>,
    digest_key: Vec<Option<Vec<u8>>>,
    body: Vec<String>,
    time: Vec<Time>,
    reply_to: Vec<Option<MessageId>>,
    thread: Vec<Option<MessageId>>,
    in_room: Vec<bool>,
}

#[derive(Default)]
pub(super) struct Events {
    room: Vec<RoomId>,
    number: Vec<i64>,
    kind: Vec<&'static str>,
    message: Vec<Option<MessageId>>,
    actor: Vec<PersonId>,
    subject: Vec<PersonId>,
    time: Vec<Time>,
    emoji: Vec<Option<String>>,
}

/// Who follows a thread from now on, unless it was settled before whether they do.
#[derive(Default)]
pub(super) struct Followers {
    root: Vec<MessageId>,
    person: Vec<PersonId>,
    read: Vec<i64>,
}

impl Posts {
    /// The statements that insert them; none for a table that gets nothing.
    pub(super) fn into_writes(self) -> impl Iterator<Item = Write> {
        let Self { messages, events, notices, followers } = self;
        [messages.into_write(), events.into_write(), notices.into_write(), followers.into_write()].into_iter().flatten()
    }
}

impl Notices {
    pub(super) fn add(&mut self, notice: &Notice) {
        let Notice { room, event, place, person, kind, message, number, actor, emoji, time } = notice.clone();
        self.room.push(room);
        self.event.push(signed(event));
        self.place.push(i64::from(place));
        self.person.push(person);
        self.kind.push(kind.as_str());
        self.message.push(message);
        self.number.push(signed(number));
        self.actor.push(actor);
        self.emoji.push(emoji);
        self.time.push(time);
    }

    fn into_write(self) -> Option<Write> {
        let Self { room, event, place, person, kind, message, number, actor, emoji, time } = self;
        (!room.is_empty()).then(|| Write {
            sql: INSERT_NOTICES,
            params: values![room, event, place, person, kind, message, number, actor, emoji, time],
        })
    }
}

impl Messages {
    pub(super) fn add(&mut self, message: &NewMessage, number: u64, now: Time) {
        let NewMessage { id, room, author, client_id, body, reply_to, thread, digest, .. } = message;
        self.id.push(*id);
        self.room.push(*room);
        self.number.push(signed(number));
        self.author.push(*author);
        self.client_id.push(*client_id);
        let StoredDigest { bytes, key } = digest.stored;
        self.digest.push(bytes.to_vec());
        self.digest_key.push(key.map(Vec::from));
        self.body.push(body.clone());
        self.time.push(now);
        self.reply_to.push(*reply_to);
        self.thread.push(thread.map(|it| it.root));
        self.in_room.push(thread.is_none_or(|it| it.also_in_room));
    }

    fn into_write(self) -> Option<Write> {
        let Self { id, room, number, author, client_id, digest, digest_key, body, time, reply_to, thread, in_room } =
            self;
        (!id.is_empty()).then(|| Write {
            sql: INSERT_MESSAGES,
            params: values![
                id, room, number, author, client_id, digest, digest_key, body, time, reply_to, thread, in_room
            ],
        })
    }
}

impl Followers {
    pub(super) fn add(&mut self, root: MessageId, person: PersonId, read: u64) {
        self.root.push(root);
        self.person.push(person);
        self.read.push(signed(read));
    }

    fn into_write(self) -> Option<Write> {
        let Self { root, person, read } = self;
        (!root.is_empty()).then(|| Write { sql: INSERT_FOLLOWERS, params: values![root, person, read] })
    }
}

impl Events {
    pub(super) fn add(&mut self, event: &Event, actor: PersonId, subject: PersonId) {
        let Event { room, number, time, kind } = event;
        self.room.push(*room);
        self.number.push(signed(*number));
        self.kind.push(kind.name());
        self.message.push(kind.concerns());
        self.actor.push(actor);
        self.subject.push(subject);
        self.time.push(*time);
        self.emoji.push(kind.reaction().map(|reaction| reaction.emoji.clone()));
    }

    fn into_write(self) -> Option<Write> {
        let Self { room, number, kind, message, actor, subject, time, emoji } = self;
        (!room.is_empty()).then(|| Write {
            sql: INSERT_EVENTS,
            params: values![room, number, kind, message, actor, subject, time, emoji],
        })
    }
}
