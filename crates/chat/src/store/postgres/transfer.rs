//! A Postgres database as a side of a move, on the one connection that holds it.
//!
//! A source is read in one transaction that locks its tables against whoever writes, and which says at its end that it was
//! moved. A target gets its rows by `COPY`, each page in a transaction of its own.

use std::{
    error::Error as StdError,
    path::Path,
    pin::pin,
    time::{Duration, Instant},
};

use bytes::{BufMut, BytesMut};
use tokio_postgres::{
    Client, Error,
    binary_copy::BinaryCopyInWriter,
    types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked},
};

use super::{
    Parts, PostgresOptions,
    connection::{ConnectError, Found, SCHEMA},
    keeper::{self, Held},
    mark, migrations,
    values::{in_words, number},
};
use crate::{
    model::Time,
    store::{
        OpenError,
        transfer::{Doing, Failure, Kind, Note, Row, Side, Table, Value, all_tables, names},
    },
};

/// Without a data folder: a mark that lies there by chance counts only if it is about the same database.
const NOWHERE: &str = "";

/// A database that the connection holds, or, where nothing is changed, looks at.
pub(crate) struct PostgresSide {
    parts: Parts,
    held: Held,
    found: Found,
    place: String,
    now: Time,
    /// Whether it has our tables.
    is_there: bool,
}

impl PostgresSide {
    /// The database to move away, from now on read and written by nobody else. `folder` is where its server's data folder may
    /// be.
    pub(crate) async fn source(options: &PostgresOptions, folder: Option<&Path>, now: Time) -> Result<Self, OpenError> {
        let mut side = Self::take(options, folder, now, || Err(OpenError::NoChat)).await?;
        refuse_put_back(&side.parts, &mut side.held, &side.found).await?;
        let sql = format!("BEGIN; LOCK TABLE {} IN SHARE MODE", all_tables());
        side.held.client().batch_execute(&sql).await.map_err(ConnectError::Driver)?;
        Ok(side)
    }

    /// Where the data is to come. `folder` is the data folder of the server that is going to have it.
    pub(crate) async fn target(options: &PostgresOptions, folder: Option<&Path>, now: Time) -> Result<Self, OpenError> {
        Self::take(options, folder, now, || Ok(())).await
    }

    /// Either of them, to look at and to change nothing; a server may have it. `folder` is as for the other two.
    pub(crate) async fn look(
        options: &PostgresOptions,
        folder: Option<&Path>,
        now: Time,
        may_be_missing: bool,
    ) -> Result<Self, OpenError> {
        let parts = Parts::new(folder.unwrap_or(NOWHERE.as_ref()), options, false)?;
        let (mut held, found) = keeper::look_at(&parts).await?;
        let schema = migrations::look(held.client()).await.map_err(ConnectError::Driver)?;
        let is_there = match schema {
            migrations::Schema::Older { found: 0 } if may_be_missing => false,
            other => other.opened().map(|()| true)?,
        };
        if may_be_missing {
            let was_moved = is_there && mark::note(held.client()).await.map_err(ConnectError::Driver)?.moved.is_some();
            if was_moved || !is_there {
                migrations::try_to_make(held.client(), was_moved).await.map_err(ConnectError::Driver)?;
            }
        } else {
            refuse_put_back(&parts, &mut held, &found).await?;
        }
        Self::over(parts, options, (held, found), now, is_there).await
    }

    async fn take(
        options: &PostgresOptions,
        folder: Option<&Path>,
        now: Time,
        make: impl FnOnce() -> Result<(), OpenError>,
    ) -> Result<Self, OpenError> {
        // Alone, also where several servers may have it.
        let mut options = options.clone();
        options.is_shared = false;
        let parts = Parts::new(folder.unwrap_or(NOWHERE.as_ref()), &options, true)?;
        let held = Box::pin(keeper::take(&parts, make)).await?;
        Self::over(parts, &options, held, now, true).await
    }

    async fn over(
        parts: Parts,
        options: &PostgresOptions,
        (mut held, found): (Held, Found),
        now: Time,
        is_there: bool,
    ) -> Result<Self, OpenError> {
        // A move takes its time; a line that is dead is noticed by itself.
        let sql = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0";
        held.client().batch_execute(sql).await.map_err(ConnectError::Driver)?;
        Ok(Self { parts, held, found, place: options.to_string(), now, is_there })
    }

    fn client(&mut self) -> &mut Client {
        self.held.client()
    }
}

/// Refuses a source whose rooms are to have new epochs first; what was moved before is refused for that.
async fn refuse_put_back(parts: &Parts, held: &mut Held, found: &Found) -> Result<(), OpenError> {
    let note = mark::note(held.client()).await.map_err(ConnectError::Driver)?;
    if note == Note::default() { parts.mark.refuse_put_back(held.client(), found).await } else { Ok(()) }
}

impl Side for PostgresSide {
    fn place(&self) -> &str {
        &self.place
    }

    fn way_to_remove(&self) -> &'static str {
        "say DROP SCHEMA tidings CASCADE in it"
    }

    fn note(&mut self) -> Doing<'_, Note> {
        Box::pin(async {
            match self.is_there {
                true => Ok(mark::note(self.client()).await?),
                false => Ok(Note::default()),
            }
        })
    }

    fn count(&mut self, table: &'static Table) -> Doing<'_, u64> {
        Box::pin(async {
            let row = self.client().query_one(&format!("SELECT count(*) FROM {}", table.name), &[]).await?;
            Ok(number(&row, 0)?)
        })
    }

    fn page(&mut self, table: &'static Table, after: Option<Vec<Value>>, rows: u32) -> Doing<'_, Vec<Row>> {
        Box::pin(async move {
            let keys = keys(table, "");
            let places: Vec<_> = (1..=table.key).map(|place| format!("${place}")).collect();
            let behind = match after {
                Some(_) => format!("WHERE ({keys}) > ({})", places.join(", ")),
                None => String::new(),
            };
            let columns = names(table.columns);
            let sql = format!("SELECT {columns} FROM {} {behind} ORDER BY {keys} LIMIT {rows}", table.name);
            let after: Vec<_> = after.iter().flatten().map(|value| value as &(dyn ToSql + Sync)).collect();
            let found = self.client().query(&sql, &after).await?;
            let row = |row: &tokio_postgres::Row| (0..row.len()).map(|index| row.try_get(index)).collect();
            Ok(found.iter().map(row).collect::<Result<_, Error>>()?)
        })
    }

    fn last(&mut self, table: &'static Table) -> Doing<'_, Option<Vec<Value>>> {
        Box::pin(async {
            if !self.is_there {
                return Ok(None);
            }
            let (columns, order) = (keys(table, ""), keys(table, " DESC"));
            let sql = format!("SELECT {columns} FROM {} ORDER BY {order} LIMIT 1", table.name);
            let Some(row) = self.client().query_opt(&sql, &[]).await? else { return Ok(None) };
            Ok(Some((0..row.len()).map(|index| row.try_get(index)).collect::<Result<_, Error>>()?))
        })
    }

    fn moment(&mut self) -> Doing<'_, String> {
        Box::pin(async { Ok(mark::moment(self.client()).await?) })
    }

    fn moved<'a>(&'a mut self, to: &'a str) -> Doing<'a, ()> {
        Box::pin(async move {
            self.client().execute("UPDATE mark SET moved = $1", &[&to]).await?;
            // The end of the transaction that everything was read in.
            Ok(self.client().batch_execute("COMMIT").await?)
        })
    }

    fn begin<'a>(&'a mut self, moving: &'a str) -> Doing<'a, Option<String>> {
        Box::pin(async move {
            let now = self.now.millis();
            let mut kept = None;
            if mark::note(self.client()).await?.moved.is_some() {
                let sql = "SELECT to_char(to_timestamp($1::bigint / 1000.0) AT TIME ZONE 'UTC', 'YYYYMMDD_HH24MISS')";
                let stamp: String = self.client().query_one(sql, &[&now]).await?.try_get(0)?;
                let name = format!("{SCHEMA}_replaced_{stamp}");
                self.client().batch_execute(&format!("ALTER SCHEMA {SCHEMA} RENAME TO {name}")).await?;
                migrations::migrate(self.client()).await?;
                kept = Some(format!("the schema {name} of {}", self.place));
            }
            let transaction = self.client().transaction().await?;
            transaction.batch_execute(&format!("TRUNCATE {}, commits, revocations", all_tables())).await?;
            let sql = "UPDATE mark SET mark = NULL, identity = NULL, moving = $1";
            transaction.execute(sql, &[&moving]).await?;
            transaction.commit().await?;
            Ok(kept)
        })
    }

    fn write(&mut self, table: &'static Table, rows: Vec<Row>) -> Doing<'_, ()> {
        Box::pin(async move { Ok(copy(self.client(), table, &rows).await?) })
    }

    fn complete(&mut self) -> Doing<'_, ()> {
        Box::pin(async {
            let sql = "UPDATE rooms r SET members = (SELECT count(*) FROM memberships m WHERE m.room = r.id)";
            self.client().execute(sql, &[]).await?;
            // Or the first statements would be planned as if nothing were there.
            Ok(self.client().batch_execute(&format!("ANALYZE {}", all_tables())).await?)
        })
    }

    fn end(&mut self) -> Doing<'_, ()> {
        Box::pin(async {
            let ended = self.parts.mark.end_move(self.held.client(), &self.found).await;
            ended.map_err(|error| Failure(error.to_string()))
        })
    }

    fn rehearse(&mut self, rows: Vec<(&'static Table, Vec<Row>)>) -> Doing<'_, Duration> {
        Box::pin(async move {
            let transaction = self.client().transaction().await?;
            migrations::rehearse(transaction.client()).await?;
            let begun = Instant::now();
            for (table, rows) in &rows {
                copy(transaction.client(), table, rows).await?;
            }
            let took = begun.elapsed();
            transaction.rollback().await?;
            Ok(took)
        })
    }
}

/// One statement, and so all rows or none.
async fn copy(client: &Client, table: &Table, rows: &[Row]) -> Result<(), Error> {
    let sql = format!("COPY {} ({}) FROM STDIN BINARY", table.name, names(table.columns));
    let types: Vec<_> = table.columns.iter().map(|(_, kind)| type_of(*kind)).collect();
    let mut writer = pin!(BinaryCopyInWriter::new(client.copy_in(&sql).await?, &types));
    for row in rows {
        writer.as_mut().write_raw(row).await?;
    }
    writer.finish().await.map(drop)
}

/// Texts in the order of their bytes, as they are everywhere else, and not in that of a language.
fn keys(table: &Table, order: &str) -> String {
    let key = |(name, kind): &(&str, Kind)| match kind {
        Kind::Text => format!("{name} COLLATE \"C\"{order}"),
        _ => format!("{name}{order}"),
    };
    table.key_columns().iter().map(key).collect::<Vec<_>>().join(", ")
}

fn type_of(kind: Kind) -> Type {
    match kind {
        Kind::Id => Type::UUID,
        Kind::Bytes => Type::BYTEA,
        Kind::Text => Type::TEXT,
        Kind::Number => Type::INT8,
        Kind::Flag => Type::BOOL,
    }
}

impl ToSql for Value {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match self {
            Self::Nothing => return Ok(IsNull::Yes),
            Self::Bytes(bytes) => out.extend_from_slice(bytes),
            Self::Text(text) => out.extend_from_slice(text.as_bytes()),
            Self::Number(number) if *kind == Type::BOOL => out.put_u8((*number != 0).into()),
            Self::Number(number) => out.put_i64(*number),
        }
        Ok(IsNull::No)
    }

    accepts!(UUID, BYTEA, TEXT, INT8, BOOL);
    to_sql_checked!();
}

impl FromSql<'_> for Value {
    fn from_sql(kind: &Type, raw: &[u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(match *kind {
            Type::TEXT => Self::Text(String::from_sql(kind, raw)?),
            Type::INT8 => Self::Number(i64::from_sql(kind, raw)?),
            Type::BOOL => Self::Number(bool::from_sql(kind, raw)?.into()),
            _ => Self::Bytes(raw.to_owned()),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self::Nothing)
    }

    accepts!(UUID, BYTEA, TEXT, INT8, BOOL);
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(in_words(&error))
    }
}
