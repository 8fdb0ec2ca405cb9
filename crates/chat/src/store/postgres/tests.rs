//! The contract of every store, on the Postgres that `TIDINGS_TEST_POSTGRES` names; without it nothing is tested here, and
//! `make test` says so.

use std::sync::Arc;

use tokio::sync::OnceCell;

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

/// A database of the test's own, with the data folder of its server.
pub(crate) struct Fresh {
    database: FreshDatabase,
    pub(crate) options: PostgresOptions,
    data_dir: tempfile::TempDir,
}

impl Fresh {
    pub(crate) fn is_possible() -> bool {
        FreshDatabase::is_possible()
    }

    pub(crate) async fn make() -> Self {
        let database = FreshDatabase::named();
        database.make().await;
        Self { options: database.options(), database, data_dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn place(&self) -> Place {
        Place::Postgres(Box::new(self.options.clone()))
    }

    pub(crate) async fn open(&self, opener: Opener) -> Result<Postgres, OpenError> {
        Postgres::open(self.data_dir.path(), &self.options, opener).await
    }

    /// As another program.
    pub(crate) async fn execute(&self, sql: &str) {
        self.database.client().await.batch_execute(sql).await.unwrap();
    }
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
    fresh.execute("UPDATE schema_version SET version = version + 1, program = '7.8.9'").await;
    for opener in [SERVER, Opener::Guest] {
        let refused = fresh.open(opener).await.err().unwrap().to_string();
        assert!(refused.contains("7.8.9"), "{refused}");
    }
    let foreign = Fresh::make().await;
    foreign.execute("CREATE SCHEMA tidings; CREATE TABLE tidings.theirs (id int)").await;
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
    fresh.execute("DO $$ BEGIN ASSERT to_regnamespace('tidings') IS NULL; END $$").await;
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

    fresh.execute("UPDATE mark SET identity = 'another/1/00000001'").await;
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
        let other = fresh.database.client().await;
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

    let other = fresh.database.client().await;
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

    let other = fresh.database.client().await;
    let lock = format!("BEGIN; SELECT 1 FROM tidings.rooms WHERE id = '{}' FOR UPDATE", first.room);
    other.batch_execute(&lock).await.unwrap();
    let ((first, locked), (second, free)) = (submit(Post(first)), submit(Post(second)));
    let done = store.apply(0, vec![first, second], Time::from_millis(0)).await.unwrap();
    done.batch.into_iter().for_each(Submission::answer);
    assert!(matches!(locked.await, Err(ChangeError::Store(StoreError::Busy))));
    assert_eq!(free.await.unwrap().answer.number, 2);
}
