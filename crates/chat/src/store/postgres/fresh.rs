//! A database of a test's own, in the Postgres that `TIDINGS_TEST_POSTGRES` names.

use std::{env, thread};

use tokio::runtime;
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

use super::{PostgresOptions, connection::SCHEMA};
use crate::store::database::Database;

/// A Postgres whose role may create databases.
const SERVER: &str = "TIDINGS_TEST_POSTGRES";

/// A database in Postgres with a name of its own; dropped with it.
#[derive(Debug)]
pub struct FreshDatabase {
    name: String,
}

impl FreshDatabase {
    /// Whether there is a Postgres to test on.
    #[must_use]
    pub fn is_possible() -> bool {
        env::var_os(SERVER).is_some()
    }

    /// One that is not there before it is [made](Self::make).
    #[must_use]
    pub fn named() -> Self {
        Self { name: format!("test_{}", Uuid::new_v4().simple()) }
    }

    /// Makes it, empty.
    pub async fn make(&self) {
        query(&format!("CREATE DATABASE {}", self.name)).await;
    }

    /// How a server opens it.
    #[must_use]
    pub fn options(&self) -> PostgresOptions {
        PostgresOptions::parse(&self.address(), None).unwrap()
    }

    /// The same, for a chat.
    #[must_use]
    pub fn database(&self) -> Database {
        Database::Postgres(Box::new(self.options()))
    }

    /// For several servers at once.
    #[must_use]
    pub fn shared(&self) -> Database {
        let address = format!("{}&shared=for-tests", self.address());
        Database::Postgres(Box::new(PostgresOptions::parse(&address, None).unwrap()))
    }

    /// Another program's connection to it, which finds our tables.
    pub async fn client(&self) -> Client {
        let client = connect(&self.address()).await;
        client.batch_execute(&format!("SET search_path = {SCHEMA}")).await.unwrap();
        client
    }

    fn address(&self) -> String {
        let server = server();
        let (before, options) = server.split_once('?').unwrap_or((&server, ""));
        let (address, _) = before.rsplit_once('/').expect("the address names a database");
        format!("{address}/{}?{options}", self.name)
    }
}

impl Drop for FreshDatabase {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let dropping = move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(query(&drop));
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

async fn query(sql: &str) {
    connect(&server()).await.batch_execute(sql).await.unwrap();
}
