//! The contract of every store, on the Postgres that `TIDINGS_TEST_POSTGRES` names; without it nothing is tested here, and
//! `make test` says so.

use std::sync::Arc;

use tokio::sync::OnceCell;
use tokio_postgres::NoTls;
use uuid::Uuid;

use super::*;
use crate::store::{
    NOT_READ,
    contract::{
        self, Fixture,
        batches::{TakeAway, a_sequence_of_batches, seeds},
        runs_the_contract,
    },
    submit,
};

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

#[tokio::test]
async fn batches_do_what_their_changes_do_one_by_one() {
    if !Fresh::is_possible() {
        return;
    }
    for seed in seeds(2) {
        let fresh = Fresh::make().await;
        let real = fresh.open(Opener::Server { may_be_new: true }).await.unwrap();
        let (other, link) = fresh.options.config.connect(NoTls).await.unwrap();
        tokio::spawn(link);
        let by_another_program = async |TakeAway { person, room }| {
            let sql = "WITH gone AS (DELETE FROM tidings.memberships WHERE room = $1 AND person = $2 RETURNING room)
                UPDATE tidings.rooms SET members = members - 1 FROM gone WHERE rooms.id = gone.room";
            other.execute(sql, &[&room, &person]).await.unwrap();
        };
        a_sequence_of_batches(&real, seed, by_another_program).await;
        real.close().await;
    }
}

#[tokio::test]
async fn g1_what_is_committed_is_answered_so_whatever_becomes_of_the_question_behind_it() {
    if !Fresh::is_possible() {
        return;
    }
    let fresh = Fresh::make().await;
    let store = fresh.open(Opener::Server { may_be_new: true }).await.unwrap();
    let (set_up, post) = contract::set_up_and_first_post();
    store.apply(0, vec![submit(set_up).0], Time::from_millis(0)).await.unwrap();

    let (other, link) = fresh.options.config.connect(NoTls).await.unwrap();
    tokio::spawn(link);
    other.batch_execute("BEGIN; LOCK TABLE tidings.revoked IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let (post, posted) = submit(post);
    let mut done = store.apply(0, vec![post], Time::from_millis(0)).await.unwrap();
    done.batch.remove(0).answer();
    assert_eq!(posted.await.unwrap().announcements.events.len(), 1, "neither refused nor made a second time");
    assert_eq!(done.revoked, NOT_READ);
}
