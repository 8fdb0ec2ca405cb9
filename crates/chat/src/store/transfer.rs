//! Moves everything from one database to another of a different kind: all rows as they are, so that numbers, epochs,
//! sessions and keys are the same on the other side and clients resume over the move.
//!
//! Both sides are held by us alone meanwhile. The order is what makes it safe to be killed anywhere:
//!
//! 1. the target is emptied and says that it is being moved into, from where, and from which moment of the source;
//! 2. rows are copied in pages, table after table, in the order of their keys. So the last row that is there says how far it
//!    went, and nothing else has to be written down;
//! 3. what is in both is compared, by counts and checksums;
//! 4. the source says that it was moved, and where to: from now on it is not opened;
//! 5. the target says no more that it is being moved into: from now on it is opened.
//!
//! So at no time there are two that start. The same again goes on in the step that was cut, if the source is still at the
//! moment where the move began; if it is not, because it was opened in between, the move begins anew.
//!
//! Knows the columns and no SQL; each side writes its own, in the folder of its database. What belongs to a database
//! itself (marks, counts of commits, what was taken away lately) is not moved, and not how many members a room has: the
//! target counts.

use std::time::{Duration, Instant};

use futures_util::{
    FutureExt,
    future::{BoxFuture, try_join},
};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::OpenError;
use crate::limits::{MOVE_PAGE, MOVE_SAMPLE, MOVE_SAMPLE_FACTOR};

/// The operator says that what lies in a database is older than what clients have seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PutBack {
    /// Also of what was moved elsewhere: this is the place again to go on from.
    pub(crate) forget_move: bool,
}

/// What a database says of being moved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Note {
    /// Where to.
    pub(crate) moved: Option<String>,
    /// Where from, as long as that has not ended; see [`Origin`].
    pub(crate) moving: Option<String>,
}

impl Note {
    /// A database that was moved is not opened, nor one that not everything has come into yet.
    pub(crate) fn refuse(self, put_back: Option<PutBack>) -> Result<(), OpenError> {
        let forgotten = put_back.is_some_and(|put_back| put_back.forget_move);
        match (self.moving, self.moved) {
            (Some(moving), _) => Err(OpenError::Moving(Origin::parse(&moving).place.to_owned())),
            (None, Some(target)) if !forgotten => Err(OpenError::Moved(target)),
            _ => Ok(()),
        }
    }
}

/// Where a move comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Origin<'a> {
    place: &'a str,
    /// Of the source; never one, once both were found to differ.
    moment: &'a str,
}

impl<'a> Origin<'a> {
    fn parse(text: &'a str) -> Self {
        let (place, moment) = text.split_once('\n').unwrap_or((text, ""));
        Self { place, moment }
    }

    fn text(&self) -> String {
        format!("{}\n{}", self.place, self.moment)
    }
}

/// What a value is in its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Id,
    Bytes,
    Text,
    Number,
    /// True or not.
    Flag,
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Nothing,
    Bytes(Vec<u8>),
    Text(String),
    /// A flag is 0 or 1.
    Number(i64),
}

/// The values of all columns, in their order.
pub(crate) type Row = Vec<Value>;

/// A table, as far as its rows are moved.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// Those of the key come first, and never hold nothing.
    pub(crate) columns: &'static [(&'static str, Kind)],
    pub(crate) key: usize,
    /// What is compared by itself.
    group: Group,
}

#[derive(Debug, Clone, Copy)]
enum Group {
    /// The whole table.
    All,
    /// The rows of each room, whose id is the first column.
    Room,
}

impl Table {
    pub(crate) fn key_columns(&self) -> &'static [(&'static str, Kind)] {
        &self.columns[..self.key]
    }

    fn key_of(&self, row: &Row) -> Vec<Value> {
        row[..self.key].to_vec()
    }
}

use Kind::{Bytes, Flag, Id, Number, Text};

/// All tables, each behind those that its rows refer to.
pub(crate) static TABLES: [Table; 15] = [
    Table {
        name: "people",
        columns: &[
            ("id", Id),
            ("name", Text),
            ("email", Text),
            ("role", Text),
            ("password", Text),
            ("created", Number),
            ("deactivated", Number),
            ("look", Text),
            ("title", Text),
            ("zone", Text),
            ("status_emoji", Text),
            ("status_text", Text),
            ("status_ends", Number),
            ("quiet", Number),
            ("quiet_ends", Number),
            ("changed", Number),
        ],
        key: 1,
        group: Group::All,
    },
    Table { name: "set_up", columns: &[("person", Id), ("time", Number)], key: 1, group: Group::All },
    Table { name: "keys", columns: &[("name", Text), ("key", Bytes)], key: 1, group: Group::All },
    Table {
        name: "denials",
        columns: &[
            ("key", Bytes),
            ("kind", Text),
            ("subject", Text),
            ("channel", Text),
            ("issued_before", Number),
            ("created", Number),
            ("ends", Number),
        ],
        key: 1,
        group: Group::All,
    },
    Table {
        name: "sessions",
        columns: &[
            ("id", Id),
            ("person", Id),
            ("token", Bytes),
            ("user_agent", Text),
            ("created", Number),
            ("last_seen", Number),
            ("ended", Number),
            ("address", Text),
            ("why", Text),
        ],
        key: 1,
        group: Group::All,
    },
    Table {
        name: "personal_tokens",
        columns: &[
            ("id", Id),
            ("person", Id),
            ("digest", Bytes),
            ("name", Text),
            ("scopes", Text),
            ("created", Number),
            ("expires", Number),
            ("last_used", Number),
        ],
        key: 1,
        group: Group::All,
    },
    Table {
        name: "rooms",
        columns: &[
            ("id", Id),
            ("name", Text),
            ("topic", Text),
            ("creator", Id),
            ("epoch", Text),
            ("last_number", Number),
            ("created", Number),
            ("look", Text),
            ("folded", Text),
            ("kind", Text),
            ("description", Text),
            ("archived", Number),
            ("people", Bytes),
        ],
        key: 1,
        group: Group::Room,
    },
    Table {
        name: "memberships",
        columns: &[
            ("room", Id),
            ("person", Id),
            ("joined", Number),
            ("role", Text),
            ("read_number", Number),
            ("favourite", Number),
            ("muted", Number),
            ("section", Text),
        ],
        key: 2,
        group: Group::Room,
    },
    Table {
        name: "invites",
        columns: &[
            ("digest", Bytes),
            ("code", Text),
            ("room", Id),
            ("inviter", Id),
            ("created", Number),
            ("expires", Number),
            ("uses_max", Number),
            ("uses", Number),
            ("revoked", Number),
        ],
        key: 1,
        group: Group::All,
    },
    Table {
        name: "messages",
        columns: &[
            ("room", Id),
            ("number", Number),
            ("id", Id),
            ("author", Id),
            ("client_id", Id),
            ("digest", Bytes),
            ("body", Text),
            ("time", Number),
            ("edited", Number),
            ("deleted", Number),
            ("deleted_by", Id),
            ("delete_reason", Text),
            ("digest_key", Bytes),
            ("reply_to", Id),
            ("thread", Id),
            ("in_room", Flag),
        ],
        key: 2,
        group: Group::Room,
    },
    Table {
        name: "edits",
        columns: &[("message", Id), ("number", Number), ("time", Number), ("body", Text)],
        key: 2,
        group: Group::All,
    },
    Table {
        name: "reactions",
        columns: &[("message", Id), ("emoji", Text), ("person", Id), ("number", Number)],
        key: 3,
        group: Group::All,
    },
    Table {
        name: "notices",
        columns: &[
            ("room", Id),
            ("event", Number),
            ("place", Number),
            ("person", Id),
            ("kind", Text),
            ("message", Id),
            ("number", Number),
            ("actor", Id),
            ("emoji", Text),
            ("time", Number),
        ],
        key: 3,
        group: Group::Room,
    },
    Table {
        name: "thread_followers",
        columns: &[("root", Id), ("person", Id), ("read_number", Number), ("following", Flag)],
        key: 2,
        group: Group::All,
    },
    Table {
        name: "room_events",
        columns: &[
            ("room", Id),
            ("number", Number),
            ("kind", Text),
            ("message", Id),
            ("actor", Id),
            ("subject", Id),
            ("time", Number),
            ("emoji", Text),
        ],
        key: 2,
        group: Group::Room,
    },
];

/// The names of columns, with commas between them.
pub(crate) fn names(columns: &[(&str, Kind)]) -> String {
    columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// The names of all tables, likewise.
pub(crate) fn all_tables() -> String {
    TABLES.each_ref().map(|table| table.name).join(", ")
}

fn table(name: &str) -> &'static Table {
    TABLES.iter().find(|table| table.name == name).expect("it is one of ours")
}

/// Why a side could not, in its database's words.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

/// What a side is doing.
pub(crate) type Doing<'a, T> = BoxFuture<'a, Result<T, Failure>>;

/// One of the two databases, which nobody else writes to meanwhile.
pub(crate) trait Side: Send {
    /// Which one it is, for people.
    fn place(&self) -> &str;
    /// What to do to be rid of what has come of a move.
    fn way_to_remove(&self) -> &'static str;
    fn note(&mut self) -> Doing<'_, Note>;
    fn count(&mut self, table: &'static Table) -> Doing<'_, u64>;
    /// The rows behind that key, in the order of the keys: at most so many.
    fn page(&mut self, table: &'static Table, after: Option<Vec<Value>>, rows: u32) -> Doing<'_, Vec<Row>>;
    /// The key of the last row.
    fn last(&mut self, table: &'static Table) -> Doing<'_, Option<Vec<Value>>>;

    /// Of a source: the same as long as nobody has written to it or opened it.
    fn moment(&mut self) -> Doing<'_, String>;
    /// Of a source: it was moved. What was read before is as it was all the time.
    fn moved<'a>(&'a mut self, to: &'a str) -> Doing<'a, ()>;

    /// Of a target: nothing is in it, and a move into it begins. What was moved away from there is kept; answers where.
    fn begin<'a>(&'a mut self, moving: &'a str) -> Doing<'a, Option<String>>;
    /// Of a target: adds rows behind those that are there, durably; all of them or none.
    fn write(&mut self, table: &'static Table, rows: Vec<Row>) -> Doing<'_, ()>;
    /// Of a target: all rows have come.
    fn complete(&mut self) -> Doing<'_, ()>;
    /// Of a target: the move has ended, and the next start of a server renews nothing.
    fn end(&mut self) -> Doing<'_, ()>;
    /// Of a target: how long it takes to write such rows, which are not kept.
    fn rehearse(&mut self, rows: Vec<(&'static Table, Vec<Row>)>) -> Doing<'_, Duration>;
}

/// Why nothing was moved, or not all of it. The source is as it was.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// Nothing that a move is for.
    #[error(
        "both are data folders, and such a chat is moved with its folder, or by 'tidings backup' and 'tidings restore'; \
         'tidings migrate' is for a move to Postgres, and back"
    )]
    BothFolders,
    /// The same twice.
    #[error("{0} is both the source and the target")]
    Same(String),
    /// One of them cannot be opened.
    #[error("cannot use {place}")]
    Open {
        /// Which.
        place: String,
        /// Why.
        source: OpenError,
    },
    /// One of them failed on the way. The same again goes on from there.
    #[error("{place} failed: {why}; the same command again goes on from where it was")]
    Failed {
        /// Which.
        place: String,
        /// Why.
        why: String,
    },
    /// There is a chat where this one would go.
    #[error("there is a chat in {0} already, and nothing is moved over another one; choose an empty target")]
    NotEmpty(String),
    /// Another move into the target has not ended.
    #[error(
        "a move of the data of {origin} into {place} has not ended; end that one first, or give it up and {way_to_remove}"
    )]
    Another {
        /// The target.
        place: String,
        /// What to do to be rid of what has come.
        way_to_remove: &'static str,
        /// The other one's source.
        origin: String,
    },
    /// What has come is not what there was.
    #[error("what came to {place} is not what there was: {what}; the same command begins anew")]
    Differs {
        /// The target.
        place: String,
        /// What differs.
        what: String,
    },
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MoveProgress {
    /// Whether rows are compared by now, and no more copied.
    pub is_comparing: bool,
    /// Whether what an earlier move had brought is copied once more; see [`Moved::begun_anew`].
    pub begun_anew: bool,
    /// How many rows that was done with.
    pub rows: u64,
    /// Of how many.
    pub of: u64,
}

/// What was moved, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moved {
    /// Accounts.
    pub people: u64,
    /// Rooms.
    pub rooms: u64,
    /// Messages in all of them.
    pub messages: u64,
    /// All rows of all tables.
    pub rows: u64,
    /// Whether it went on from where an earlier one was cut.
    pub went_on: bool,
    /// Whether what an earlier one had brought was of no use: the source was opened since, or both were found to differ.
    pub begun_anew: bool,
    /// Where that is now which had been moved away from the target before.
    pub kept: Option<String>,
}

/// What a move would be.
#[derive(Debug, Clone)]
pub struct Planned {
    /// As far as that can be told before.
    pub moved: Moved,
    /// About how long it would take.
    pub took: Duration,
    /// Who has one of the two now, in words: until they have let go of it, the move is refused.
    pub held: Vec<String>,
}

/// Who hears how far it is.
pub(crate) type Tell<'a> = &'a mut (dyn FnMut(MoveProgress) + Send);

fn failed(side: &dyn Side) -> impl FnOnce(Failure) -> MoveError + use<> {
    let place = side.place().to_owned();
    move |Failure(why)| MoveError::Failed { place, why }
}

/// Asks a side, and names it if it fails.
macro_rules! ask {
    ($side:ident.$method:ident($($argument:expr),*)) => {{
        let failed = failed(&*$side);
        $side.$method($($argument),*).await.map_err(failed)?
    }};
}

/// What is to be done about the target.
#[derive(Debug, PartialEq, Eq)]
enum Start {
    Anew,
    /// What has come is of no use: the source was opened since, or both were found to differ.
    Again,
    GoOn,
    /// Everything has come, and the source says so; only the target does not.
    End,
}

/// Moves everything, or goes on with that.
pub(crate) async fn run(source: &mut dyn Side, target: &mut dyn Side, tell: Tell<'_>) -> Result<Moved, MoveError> {
    let place = source.place().to_owned();
    let moment = ask!(source.moment());
    let origin = Origin { place: &place, moment: &moment };
    let start = look(source, target, origin).await?;
    let mut moved = counted(source).await?;
    moved.went_on = matches!(start, Start::GoOn | Start::End);
    moved.begun_anew = start == Start::Again;
    if !moved.went_on {
        moved.kept = ask!(target.begin(&origin.text()));
    }
    if start != Start::End {
        copy(source, target, &moved, tell).await?;
        ask!(target.complete());
        if let Some(what) = compare(source, target, moved.rows, tell).await? {
            // What has come is not gone on with: the next one begins anew.
            ask!(target.begin(&Origin { moment: "", ..origin }.text()));
            return Err(MoveError::Differs { place: target.place().to_owned(), what });
        }
        ask!(source.moved(target.place()));
    }
    ask!(target.end());
    Ok(moved)
}

/// What a move would be, and how long it would take, by a sample. Writes nothing.
pub(crate) async fn estimate(source: &mut dyn Side, target: &mut dyn Side) -> Result<(Moved, Duration), MoveError> {
    let place = source.place().to_owned();
    let moment = ask!(source.moment());
    let start = look(source, target, Origin { place: &place, moment: &moment }).await?;
    let mut moved = counted(source).await?;
    moved.went_on = matches!(start, Start::GoOn | Start::End);
    moved.begun_anew = start == Start::Again;
    let begun = Instant::now();
    let (messages, events) = (table("messages"), table("room_events"));
    // A message is a row in each.
    let sample = vec![
        (messages, ask!(source.page(messages, None, MOVE_SAMPLE))),
        (events, ask!(source.page(events, None, MOVE_SAMPLE))),
    ];
    let read = begun.elapsed();
    let rows = sample.iter().map(|(_, rows)| rows.len() as u64).sum::<u64>();
    let written = if rows > 0 { ask!(target.rehearse(sample)) } else { Duration::ZERO };
    // Copying reads while it writes, and comparing reads both at once.
    let took = read.max(written) + read;
    let per_row = took.div_f64(rows.max(1) as f64);
    let took = per_row.mul_f64(moved.rows as f64 * MOVE_SAMPLE_FACTOR);
    Ok((moved, took))
}

async fn look(source: &mut dyn Side, target: &mut dyn Side, origin: Origin<'_>) -> Result<Start, MoveError> {
    let (at_source, at_target) = (ask!(source.note()), ask!(target.note()));
    let moving = at_target.moving.as_deref().map(Origin::parse);
    let is_ours = moving.is_some_and(|moving| moving.moment == origin.moment);
    if at_source.moved.is_some() && is_ours {
        return Ok(Start::End);
    }
    let place = origin.place.to_owned();
    at_source.refuse(None).map_err(|source| MoveError::Open { place, source })?;
    let place = target.place().to_owned();
    match moving {
        Some(_) if is_ours => return Ok(Start::GoOn),
        Some(moving) if moving.place == origin.place => return Ok(Start::Again),
        Some(moving) => {
            let (origin, way_to_remove) = (moving.place.to_owned(), target.way_to_remove());
            return Err(MoveError::Another { place, way_to_remove, origin });
        }
        None if at_target.moved.is_some() => return Ok(Start::Anew),
        None => {}
    }
    for table in &TABLES {
        if ask!(target.last(table)).is_some() {
            return Err(MoveError::NotEmpty(place));
        }
    }
    Ok(Start::Anew)
}

async fn counted(source: &mut dyn Side) -> Result<Moved, MoveError> {
    let mut counted = Moved::default();
    for table in &TABLES {
        let rows = ask!(source.count(table));
        counted.rows += rows;
        match table.name {
            "people" => counted.people = rows,
            "rooms" => counted.rooms = rows,
            "messages" => counted.messages = rows,
            _ => {}
        }
    }
    Ok(counted)
}

async fn copy(source: &mut dyn Side, target: &mut dyn Side, all: &Moved, tell: Tell<'_>) -> Result<(), MoveError> {
    let &Moved { rows: of, begun_anew, .. } = all;
    let mut rows = 0;
    for table in &TABLES {
        rows += ask!(target.count(table));
        let last = ask!(target.last(table));
        let mut page = ask!(source.page(table, last, MOVE_PAGE));
        while let Some(last) = page.last() {
            let last = table.key_of(last);
            rows += page.len() as u64;
            let (at_source, at_target) = (failed(&*source), failed(&*target));
            // The next one is read while this one is written.
            let read = source.page(table, Some(last), MOVE_PAGE).map(|read| read.map_err(at_source));
            let write = target.write(table, page).map(|written| written.map_err(at_target));
            (page, ()) = try_join(read, write).await?;
            tell(MoveProgress { is_comparing: false, begun_anew, rows, of });
        }
    }
    Ok(())
}

/// What differs, if anything does.
async fn compare(
    source: &mut dyn Side,
    target: &mut dyn Side,
    of: u64,
    tell: Tell<'_>,
) -> Result<Option<String>, MoveError> {
    let mut compared = 0;
    for table in &TABLES {
        let heard = &mut |rows| {
            compared += rows;
            tell(MoveProgress { is_comparing: true, begun_anew: false, rows: compared, of });
        };
        let (there, here) = try_join(summed(source, table, heard), summed(target, table, &mut |_| {})).await?;
        if let Some(what) = difference(table, &there, &here) {
            return Ok(Some(what));
        }
    }
    Ok(None)
}

/// What belongs together, how many rows that is, and their checksum.
type Sum = (Option<Value>, u64, [u8; 32]);

async fn summed(
    side: &mut dyn Side,
    table: &'static Table,
    heard: &mut (dyn FnMut(u64) + Send),
) -> Result<Vec<Sum>, MoveError> {
    let mut sums: Vec<Sum> = Vec::new();
    let mut open: Option<(Option<Value>, u64, Sha256)> = None;
    let mut page = ask!(side.page(table, None, MOVE_PAGE));
    while let Some(last) = page.last().map(|last| table.key_of(last)) {
        for row in &page {
            let group = match table.group {
                Group::All => None,
                Group::Room => Some(row[0].clone()),
            };
            if open.as_ref().is_none_or(|(before, ..)| *before != group) {
                sums.extend(open.take().map(|(group, rows, sum)| (group, rows, sum.finalize().into())));
                open = Some((group, 0, Sha256::new()));
            }
            let (_, rows, sum) = open.as_mut().expect("it was just put there");
            *rows += 1;
            row.iter().for_each(|value| add(sum, value));
        }
        heard(page.len() as u64);
        page = ask!(side.page(table, Some(last), MOVE_PAGE));
    }
    sums.extend(open.map(|(group, rows, sum)| (group, rows, sum.finalize().into())));
    Ok(sums)
}

/// Each value with its kind and its length, so that no two rows are the same bytes.
fn add(sum: &mut Sha256, value: &Value) {
    let (kind, number);
    let bytes: &[u8] = match value {
        Value::Nothing => {
            kind = 0;
            &[]
        }
        Value::Bytes(bytes) => {
            kind = 1;
            bytes
        }
        Value::Text(text) => {
            kind = 2;
            text.as_bytes()
        }
        Value::Number(value) => {
            kind = 3;
            number = value.to_be_bytes();
            &number
        }
    };
    sum.update([kind]);
    sum.update((bytes.len() as u64).to_be_bytes());
    sum.update(bytes);
}

fn difference(table: &Table, there: &[Sum], here: &[Sum]) -> Option<String> {
    let index = there.iter().zip(here).take_while(|(there, here)| there == here).count();
    let (before, after) = (there.get(index), here.get(index));
    let (group, ..) = before.or(after)?;
    let of = match group {
        Some(Value::Bytes(id)) => {
            Uuid::from_slice(id).map_or_else(|_| String::new(), |id| format!(" of the room {id}"))
        }
        _ => String::new(),
    };
    // Those of another room say that there are none of this one.
    let rows = |sum: Option<&Sum>| sum.filter(|sum| sum.0 == *group).map_or(0, |(_, rows, _)| *rows);
    let what = match (rows(before), rows(after)) {
        (before, after) if before == after => format!("{before} rows with another content"),
        (before, after) => format!("{after} rows instead of {before}"),
    };
    Some(format!("{}{of}: {what}", table.name))
}
