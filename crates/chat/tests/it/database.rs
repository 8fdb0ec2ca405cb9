//! Which database the worlds are on: a file of SQLite each, or, with `TIDINGS_TEST_DATABASE=postgres`, a database each in the
//! Postgres that `TIDINGS_TEST_POSTGRES` names.

use std::{env, path::Path};

use tidings_chat::FreshDatabase;
use tokio_postgres::Client;

pub(crate) fn worlds_are_on_postgres() -> bool {
    env::var("TIDINGS_TEST_DATABASE").is_ok_and(|database| database == "postgres")
}

/// Somebody else's connection to a world's database.
pub(crate) enum Other {
    Sqlite(rusqlite::Connection),
    Postgres(Client),
}

impl Other {
    pub(crate) async fn of(fresh: Option<&FreshDatabase>, data_dir: &Path) -> Self {
        match fresh {
            Some(fresh) => Self::Postgres(fresh.client().await),
            None => Self::Sqlite(rusqlite::Connection::open(data_dir.join("tidings.db")).unwrap()),
        }
    }

    pub(crate) async fn execute(&self, sql: &str) {
        match self {
            Self::Sqlite(other) => other.execute_batch(sql).unwrap(),
            Self::Postgres(other) => other.batch_execute(sql).await.unwrap(),
        }
    }

    /// Lets nobody else write, until it is dropped.
    pub(crate) async fn hold_up_writes(&self) {
        match self {
            Self::Sqlite(_) => self.execute("BEGIN IMMEDIATE").await,
            Self::Postgres(_) => {
                self.execute("BEGIN; LOCK TABLE people, sessions, rooms, commits IN EXCLUSIVE MODE").await;
            }
        }
    }
}
