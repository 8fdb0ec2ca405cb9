//! The contract of every store, on the Postgres that `TIDINGS_TEST_POSTGRES` names; without it nothing is tested here, and
//! `make test` says so.

use std::sync::Arc;

use tokio::sync::OnceCell;
use tokio_postgres::NoTls;
use uuid::Uuid;

use super::*;
use crate::store::contract::{Fixture, runs_the_contract};

const VARIABLE: &str = "TIDINGS_TEST_POSTGRES";

/// A database of the test's own; dropped with it.
pub(crate) struct Fresh {
    pub(crate) options: PostgresOptions,
    data_dir: tempfile::TempDir,
}

impl Fresh {
    pub(crate) fn is_possible() -> bool {
        std::env::var_os(VARIABLE).is_some()
    }

    pub(crate) async fn make() -> Self {
        let server = std::env::var(VARIABLE).expect("there is a Postgres to test on");
        let name = format!("test_{}", Uuid::new_v4().simple());
        ask(&server, &format!("CREATE DATABASE {name}")).await;
        let (before, options) = server.split_once('?').unwrap_or((&server, ""));
        let (address, _) = before.rsplit_once('/').expect("the address names a database");
        let options = PostgresOptions::parse(&format!("{address}/{name}?{options}"), None).unwrap();
        Self { options, data_dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) async fn ask(&self, sql: &str) {
        let (client, link) = self.options.config.connect(NoTls).await.unwrap();
        let link = tokio::spawn(link);
        client.batch_execute(sql).await.unwrap();
        link.abort();
    }

    pub(crate) async fn open(&self, opener: Opener) -> Result<Postgres, OpenError> {
        Postgres::open(self.data_dir.path(), &self.options, opener).await
    }
}

async fn ask(server: &str, sql: &str) {
    let (client, link) = tokio_postgres::connect(server, NoTls).await.unwrap();
    let link = tokio::spawn(link);
    client.batch_execute(sql).await.unwrap();
    link.abort();
}

/// Opens the same database each time: first as the server, and then beside it.
#[derive(Default)]
struct Server(OnceCell<Fresh>);

impl Fixture for Server {
    fn is_there(&self) -> bool {
        Fresh::is_possible()
    }

    async fn open(&self) -> Arc<dyn Store> {
        let opener = if self.0.initialized() { Opener::Guest } else { Opener::Server { may_be_new: true } };
        let fresh = self.0.get_or_init(Fresh::make).await;
        Arc::new(fresh.open(opener).await.unwrap())
    }
}

runs_the_contract!(Server::default());
