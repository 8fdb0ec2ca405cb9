//! Which database the worlds are on: a file of SQLite each, or, with `TIDINGS_TEST_DATABASE=postgres`, a database each in the
//! Postgres that `TIDINGS_TEST_POSTGRES` names.

use std::{env, path::Path, thread};

use tidings_chat::{ClientId, Database, PostgresOptions};
use tokio_postgres::{Client, NoTls};

const SERVER: &str = "TIDINGS_TEST_POSTGRES";

pub(crate) fn worlds_are_on_postgres() -> bool {
    env::var("TIDINGS_TEST_DATABASE").is_ok_and(|database| database == "postgres")
}

/// Whether there is a Postgres, for what is about it alone.
pub(crate) fn there_is_postgres() -> bool {
    env::var_os(SERVER).is_some()
}

/// A database in Postgres with a name of its own; dropped with it.
pub(crate) struct Fresh {
    name: String,
}

impl Fresh {
    pub(crate) fn named() -> Self {
        Self { name: format!("it_{}", ClientId::fresh()).replace('-', "") }
    }

    pub(crate) async fn make(&self) {
        query(&server(), &format!("CREATE DATABASE {}", self.name)).await;
    }

    pub(crate) fn options(&self) -> Database {
        Database::Postgres(Box::new(PostgresOptions::parse(&self.address(), None).unwrap()))
    }

    /// For several servers at once.
    pub(crate) fn shared(&self) -> Database {
        let address = format!("{}&shared=for-tests", self.address());
        Database::Postgres(Box::new(PostgresOptions::parse(&address, None).unwrap()))
    }

    fn address(&self) -> String {
        let server = server();
        let (before, options) = server.split_once('?').unwrap_or((&server, ""));
        let (address, _) = before.rsplit_once('/').expect("the address names a database");
        format!("{address}/{}?{options}", self.name)
    }

    async fn client(&self) -> Client {
        let client = connect(&self.address()).await;
        client.batch_execute("SET search_path = tidings").await.unwrap();
        client
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let dropping = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(query(&server(), &drop));
        };
        // The test's own runtime may be in the middle of something.
        thread::spawn(dropping).join().ok();
    }
}

fn server() -> String {
    env::var(SERVER).expect("TIDINGS_TEST_POSTGRES names a Postgres to test on")
}

async fn connect(address: &str) -> Client {
    let (client, link) = tokio_postgres::connect(address, NoTls).await.unwrap();
    tokio::spawn(link);
    client
}

async fn query(address: &str, sql: &str) {
    connect(address).await.batch_execute(sql).await.unwrap();
}

/// Somebody else's connection to a world's database.
pub(crate) enum Other {
    Sqlite(rusqlite::Connection),
    Postgres(Client),
}

impl Other {
    pub(crate) async fn of(fresh: Option<&Fresh>, data_dir: &Path) -> Self {
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
