//! The contract of every store, on the Postgres that `TIDINGS_TEST_POSTGRES` names; without it nothing is tested here, and
//! `make test` says so.

use std::sync::Arc;

use tokio::sync::OnceCell;
use tokio_postgres::NoTls;
use uuid::Uuid;

use super::*;
use crate::{
    changes::{CreateRoom, Post},
    model::{ClientId, Code, Name, NewMessage, NewRoom, Topic},
    store::{
        ChangeError, NOT_READ, Submission,
        contract::{
            self, Fixture,
            batches::{TakeAway, a_sequence_of_batches, seeds},
            runs_the_contract,
        },
        database::Place,
        submit,
        transfer::PutBack,
    },
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

    pub(crate) fn place(&self) -> Place {
        Place::Postgres(Box::new(self.options.clone()))
    }

    pub(crate) async fn open(&self, opener: Opener) -> Result<Postgres, OpenError> {
        Postgres::open(self.data_dir.path(), &self.options, opener).await
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        let Some(name) = self.options.config.get_dbname() else { return };
        let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        // The test's own runtime may be in the middle of something.
        let dropping = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(ask(&std::env::var(VARIABLE).unwrap(), &drop));
        };
        std::thread::spawn(dropping).join().ok();
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

/// As the role of the tests, in the database itself.
pub(crate) async fn in_the_database(fresh: &Fresh, sql: &str) {
    let (client, link) = fresh.options.config.connect(NoTls).await.unwrap();
    let link = tokio::spawn(link);
    client.batch_execute(&format!("SET search_path = tidings; {sql}")).await.unwrap();
    link.abort();
}

const SERVER: Opener = Opener::Server { may_be_new: true };

#[tokio::test]
async fn two_that_start_at_once_on_an_empty_database_migrate_it_once_and_one_has_it() {
    if !Fresh::is_possible() {
        return;
    }
    let fresh = Fresh::make().await;
    let (one, other) = tokio::join!(fresh.open(SERVER), fresh.open(SERVER));
    let refused = [&one, &other].into_iter().filter_map(|opened| opened.as_ref().err()).collect::<Vec<_>>();
    let [OpenError::Held(who)] = &refused[..] else { panic!("{refused:?}") };
    assert!(who.contains(&format!("process {}", process::id())), "{who}");
    assert!(one.or(other).unwrap().check().is_ok());
}

#[tokio::test]
async fn s69_a_newer_schema_is_refused_with_the_version_that_is_needed_and_another_programs_as_it_is() {
    if !Fresh::is_possible() {
        return;
    }
    let fresh = Fresh::make().await;
    fresh.open(SERVER).await.unwrap().close().await;
    in_the_database(&fresh, "UPDATE schema_version SET version = version + 1, program = '7.8.9'").await;
    for opener in [SERVER, Opener::Guest] {
        let refused = fresh.open(opener).await.err().unwrap().to_string();
        assert!(refused.contains("7.8.9"), "{refused}");
    }
    let foreign = Fresh::make().await;
    in_the_database(&foreign, "CREATE SCHEMA tidings; CREATE TABLE tidings.theirs (id int)").await;
    for opener in [SERVER, Opener::Guest] {
        assert!(matches!(foreign.open(opener).await, Err(OpenError::Foreign)));
    }
}

#[tokio::test]
async fn a_guest_migrates_and_makes_nothing() {
    if !Fresh::is_possible() {
        return;
    }
    let fresh = Fresh::make().await;
    assert!(matches!(fresh.open(Opener::Guest).await, Err(OpenError::Older { found: 0, .. })));
    in_the_database(&fresh, "DO $$ BEGIN ASSERT to_regnamespace('tidings') IS NULL; END $$").await;
}

#[tokio::test]
async fn g4_what_was_opened_before_keeps_its_epochs_and_what_was_brought_here_gets_new_ones() {
    if !Fresh::is_possible() {
        return;
    }
    let fresh = Fresh::make().await;
    let store = fresh.open(SERVER).await.unwrap();
    let (change, _made) = submit(contract::set_up("Ana"));
    store.apply(0, vec![change], Time::from_millis(0)).await.unwrap();
    let epoch = async |store: &Postgres| store.stands(0).await.unwrap().0.remove(0).epoch;
    let first = epoch(&store).await;
    store.close().await;

    let reopened = fresh.open(SERVER).await.unwrap();
    assert_eq!(epoch(&reopened).await, first);
    reopened.close().await;
    std::fs::remove_file(fresh.data_dir.path().join(mark::MARK_FILE)).unwrap();
    let in_a_fresh_container = fresh.open(SERVER).await.unwrap();
    assert_eq!(epoch(&in_a_fresh_container).await, first);
    in_a_fresh_container.close().await;

    in_the_database(&fresh, "UPDATE mark SET identity = 'another/1/00000001'").await;
    let brought_here = fresh.open(SERVER).await.unwrap();
    let second = epoch(&brought_here).await;
    assert_ne!(second, first);
    brought_here.close().await;

    Postgres::restore_in_place(fresh.data_dir.path(), &fresh.options, PutBack { forget_move: false }).await.unwrap();
    let told = fresh.open(SERVER).await.unwrap();
    assert_ne!(epoch(&told).await, second);
}

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
    let store = fresh.open(SERVER).await.unwrap();
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

#[tokio::test]
async fn a_room_that_somebody_else_has_locked_holds_up_no_other() {
    if !Fresh::is_possible() {
        return;
    }
    let fresh = Fresh::make().await;
    let store = fresh.open(SERVER).await.unwrap();
    let (set_up, Post(first)) = contract::set_up_and_first_post();
    let another = NewRoom::fresh(Name::parse("Another").unwrap(), Topic::default());
    let second = NewMessage { id: MessageId::fresh(), room: another.id, client_id: ClientId::fresh(), ..first.clone() };
    let create = CreateRoom { person: first.author, room: another, invite: Code::fresh() };
    store.apply(0, vec![submit(set_up).0, submit(create).0], Time::from_millis(0)).await.unwrap();

    let (other, link) = fresh.options.config.connect(NoTls).await.unwrap();
    tokio::spawn(link);
    let lock = format!("BEGIN; SELECT 1 FROM tidings.rooms WHERE id = '{}' FOR UPDATE", first.room);
    other.batch_execute(&lock).await.unwrap();
    let ((first, locked), (second, free)) = (submit(Post(first)), submit(Post(second)));
    let done = store.apply(0, vec![first, second], Time::from_millis(0)).await.unwrap();
    done.batch.into_iter().for_each(Submission::answer);
    assert!(matches!(locked.await, Err(ChangeError::Store(StoreError::Busy))));
    assert_eq!(free.await.unwrap().answer.number, 2);
}
