//! A SQLite database as a side of a move.
//!
//! A source is read in one transaction that nobody else writes in, and which says at its end that it was moved. A target is
//! the database's file from the beginning, made under another name first, so that it never lies there without a word about
//! the move.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rusqlite::{
    Connection, OptionalExtension, ToSql, Transaction, params_from_iter,
    types::{ToSqlOutput, ValueRef},
};
use tokio::task::spawn_blocking;

use super::{
    FILE, SqliteOptions,
    archive::{self, ArchiveError},
    broken, connect, connect_reader, is_there,
    mark::{self, Keeper, MARK_FILE},
    migrations::{self, Schema},
    open_held, refusal, unmarked,
    values::number,
};
use crate::{
    model::Time,
    ownership::give_to_the_owner_of,
    store::{
        OpenError,
        transfer::{Doing, Failure, Note, Row, Side, Table, Value, names},
    },
};

/// The database before it has its name.
const DRAFT: &str = "tidings.db.moving";
/// The version that brought the last of the columns that are moved, of the tables that it has.
const COMPLETE_SINCE: u32 = 8;
/// Pages of the database kept in memory, in KiB: what is inserted in the order of rooms comes anywhere in the index of
/// senders.
const CACHE_KIB: i32 = 64 * 1024;

/// The database in a data folder, which the caller holds.
pub(crate) struct SqliteSide {
    data_dir: PathBuf,
    place: String,
    now: Time,
    /// Of a target there may be none yet.
    db: Arc<Mutex<Option<Connection>>>,
}

impl SqliteSide {
    /// The database to move away, from now on read and written by nobody else.
    pub(crate) async fn source(data_dir: PathBuf, now: Time) -> Result<Self, OpenError> {
        Self::open(data_dir, now, |data_dir| {
            let path = data_dir.join(FILE);
            path.metadata().map_err(|source| OpenError::Files { path, source })?;
            let mut db = open_held(data_dir, &SqliteOptions::default())?;
            let is_here = mark::note(&db).map_err(broken)? == Note::default();
            let unmarked = |error| unmarked(data_dir, error);
            // What was put back is renewed before it is moved.
            if is_here && Keeper::join(data_dir, &db).map_err(unmarked)?.is_none() {
                Keeper::start(data_dir, &mut db, None).map_err(unmarked)?;
            }
            db.execute_batch("BEGIN IMMEDIATE").map_err(broken)?;
            Ok(Some(db))
        })
        .await
    }

    /// Where a database is to come.
    pub(crate) async fn target(data_dir: PathBuf, now: Time) -> Result<Self, OpenError> {
        Self::open(data_dir, now, |data_dir| match is_there(data_dir) {
            true => open_held(data_dir, &SqliteOptions::default()).and_then(prepared).map(Some),
            false => Ok(None),
        })
        .await
    }

    /// Either of them, to look at and to change nothing; a server may have it.
    pub(crate) async fn look(data_dir: PathBuf, now: Time, may_be_missing: bool) -> Result<Self, OpenError> {
        Self::open(data_dir, now, move |data_dir| {
            if may_be_missing && !is_there(data_dir) {
                return Ok(None);
            }
            let path = data_dir.join(FILE);
            if mark::has_the_log_of_another(data_dir) {
                return Err(OpenError::AnothersLog(path));
            }
            path.metadata().map_err(|source| OpenError::Files { path: path.clone(), source })?;
            let db = connect_reader(&path)?;
            match migrations::look(&db).map_err(broken)? {
                Schema::Newest => Ok(Some(db)),
                Schema::Older { found } if found >= COMPLETE_SINCE => Ok(Some(db)),
                other => Err(refusal(&other)),
            }
        })
        .await
    }

    async fn open(
        data_dir: PathBuf,
        now: Time,
        open: impl FnOnce(&Path) -> Result<Option<Connection>, OpenError> + Send + 'static,
    ) -> Result<Self, OpenError> {
        let folder = data_dir.clone();
        let opening = spawn_blocking(move || open(&folder));
        let db = Arc::new(Mutex::new(opening.await.unwrap_or(Err(OpenError::Stopping))?));
        // The same folder by another name is the same place.
        let place = fs::canonicalize(&data_dir).unwrap_or_else(|_| data_dir.clone()).display().to_string();
        Ok(Self { data_dir, place, now, db })
    }

    /// Does what waits for the disk where nobody waits for us.
    fn with<'a, T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Option<Connection>) -> Result<T, Failure> + Send + 'static,
    ) -> Doing<'a, T> {
        let db = self.db.clone();
        Box::pin(async move {
            let working = spawn_blocking(move || work(&mut db.lock().unwrap_or_else(PoisonError::into_inner)));
            working.await.unwrap_or_else(|_| Err(Failure("its thread ended".into())))
        })
    }

    /// In a database that need not be there: then nothing is in it.
    fn read<'a, T: Default + Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Doing<'a, T> {
        self.with(|db| db.as_ref().map_or_else(|| Ok(T::default()), read).map_err(Failure::from))
    }

    fn write<'a, T: Send + 'static>(
        &self,
        write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Doing<'a, T> {
        self.with(|db| {
            let db = db.as_mut().ok_or_else(|| Failure("it is not there".into()))?;
            let transaction = db.transaction()?;
            let answer = write(&transaction)?;
            transaction.commit()?;
            Ok(answer)
        })
    }
}

impl Side for SqliteSide {
    fn place(&self) -> &str {
        &self.place
    }

    fn way_to_remove(&self) -> &'static str {
        "remove the file tidings.db in it"
    }

    fn note(&mut self) -> Doing<'_, Note> {
        self.read(|db| match migrations::look(db)? {
            Schema::Newest => mark::note(db),
            _ => Ok(Note::default()),
        })
    }

    fn count(&mut self, table: &'static Table) -> Doing<'_, u64> {
        self.read(|db| {
            // A database that is only looked at may be of a version before the table.
            let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1)";
            if !db.query_row(sql, [table.name], |row| row.get::<_, bool>(0))? {
                return Ok(0);
            }
            db.query_row(&format!("SELECT count(*) FROM {}", table.name), [], |row| number(row, 0))
        })
    }

    fn page(&mut self, table: &'static Table, after: Option<Vec<Value>>, rows: u32) -> Doing<'_, Vec<Row>> {
        self.read(move |db| {
            let (columns, keys) = (names(table.columns), names(table.key_columns()));
            let behind = match &after {
                Some(after) => format!("WHERE ({keys}) > ({})", places(after.len())),
                None => String::new(),
            };
            let sql = format!("SELECT {columns} FROM {} {behind} ORDER BY {keys} LIMIT {rows}", table.name);
            let mut statement = db.prepare_cached(&sql)?;
            let found = statement.query_map(params_from_iter(after.iter().flatten()), |row| {
                (0..table.columns.len()).map(|index| row.get_ref(index).and_then(value)).collect()
            })?;
            found.collect()
        })
    }

    fn last(&mut self, table: &'static Table) -> Doing<'_, Option<Vec<Value>>> {
        self.read(|db| {
            let keys = table.key_columns();
            let order: Vec<_> = keys.iter().map(|(name, _)| format!("{name} DESC")).collect();
            let sql = format!("SELECT {} FROM {} ORDER BY {} LIMIT 1", names(keys), table.name, order.join(", "));
            let read =
                |row: &rusqlite::Row<'_>| (0..keys.len()).map(|index| row.get_ref(index).and_then(value)).collect();
            db.query_row(&sql, [], read).optional()
        })
    }

    fn moment(&mut self) -> Doing<'_, String> {
        self.read(mark::moment)
    }

    fn moved<'a>(&'a mut self, to: &'a str) -> Doing<'a, ()> {
        let to = to.to_owned();
        // The end of the transaction that everything was read in.
        self.read(move |db| {
            db.execute("UPDATE mark SET moved = ?1", [to])?;
            db.execute_batch("COMMIT")
        })
    }

    fn begin<'a>(&'a mut self, moving: &'a str) -> Doing<'a, Option<String>> {
        let (data_dir, now, moving) = (self.data_dir.clone(), self.now, moving.to_owned());
        self.with(move |db| {
            let was_moved = match db.as_ref() {
                Some(db) => mark::note(db)?.moved.is_some(),
                None => false,
            };
            // The last connection takes the log with it.
            drop(db.take());
            let kept = if was_moved { Some(archive::keep(&data_dir, now)?.display().to_string()) } else { None };
            make(&data_dir, &moving)?;
            let made = open_held(&data_dir, &SqliteOptions::default()).and_then(prepared);
            *db = Some(made.map_err(|error| Failure(archive::in_full(&error)))?);
            Ok(kept)
        })
    }

    fn write(&mut self, table: &'static Table, rows: Vec<Row>) -> Doing<'_, ()> {
        Self::write(self, move |db| insert(db, table, &rows))
    }

    fn complete(&mut self) -> Doing<'_, ()> {
        // A trigger has counted the members.
        Box::pin(async { Ok(()) })
    }

    fn end(&mut self) -> Doing<'_, ()> {
        let data_dir = self.data_dir.clone();
        self.with(move |db| {
            let db = db.as_mut().ok_or_else(|| Failure("it is not there".into()))?;
            let started = Keeper::start(&data_dir, db, None).map_err(|error| unmarked(&data_dir, error));
            started.map_err(|error| Failure(archive::in_full(&error)))?;
            db.execute("UPDATE mark SET moving = NULL", [])?;
            Ok(())
        })
    }

    fn rehearse(&mut self, rows: Vec<(&'static Table, Vec<Row>)>) -> Doing<'_, Duration> {
        self.with(move |_| {
            let mut db = Connection::open_in_memory()?;
            migrations::migrate(&mut db)?;
            // Whom the rows refer to is not there.
            db.pragma_update(None, "foreign_keys", false)?;
            let begun = Instant::now();
            let transaction = db.transaction()?;
            rows.iter().try_for_each(|(table, rows)| insert(&transaction, table, rows))?;
            transaction.commit()?;
            Ok(begun.elapsed())
        })
    }
}

fn prepared(db: Connection) -> Result<Connection, OpenError> {
    db.pragma_update(None, "cache_size", -CACHE_KIB).map_err(broken)?;
    Ok(db)
}

/// Puts an empty database in its place, which says that it is being moved into.
fn make(data_dir: &Path, moving: &str) -> Result<(), Failure> {
    let (path, draft) = (data_dir.join(FILE), data_dir.join(DRAFT));
    archive::remove_with_log(&draft)?;
    super::make_file(&draft)?;
    give_to_the_owner_of(data_dir, &draft);
    let mut db = connect(&draft)?;
    migrations::migrate(&mut db)?;
    db.execute("UPDATE mark SET moving = ?1", [moving])?;
    drop(db);
    File::open(&draft)?.sync_all()?;
    // What it says is about another database.
    archive::remove(&data_dir.join(MARK_FILE))?;
    archive::remove_log(&path)?;
    fs::rename(&draft, &path)?;
    Ok(archive::sync_folder_of(&path)?)
}

fn insert(db: &Connection, table: &Table, rows: &[Row]) -> rusqlite::Result<()> {
    let values = places(table.columns.len());
    let sql = format!("INSERT INTO {} ({}) VALUES ({values})", table.name, names(table.columns));
    let mut statement = db.prepare_cached(&sql)?;
    rows.iter().try_for_each(|row| statement.execute(params_from_iter(row)).map(drop))
}

fn places(values: usize) -> String {
    vec!["?"; values].join(", ")
}

fn value(value: ValueRef<'_>) -> rusqlite::Result<Value> {
    Ok(match value {
        ValueRef::Null => Value::Nothing,
        ValueRef::Integer(number) => Value::Number(number),
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_owned()),
        ValueRef::Text(_) => Value::Text(value.as_str()?.to_owned()),
        // No table of ours has any.
        ValueRef::Real(number) => Value::Text(number.to_string()),
    })
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Nothing => ValueRef::Null,
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Number(number) => ValueRef::Integer(*number),
        }))
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<ArchiveError> for Failure {
    fn from(error: ArchiveError) -> Self {
        Self(archive::in_full(&error))
    }
}
