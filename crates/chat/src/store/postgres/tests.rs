//! The contract of every store, on the Postgres that `TIDINGS_TEST_POSTGRES` names; without it nothing is tested here, and
//! `make test` says so.

use std::sync::Arc;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::OnceCell,
};

use super::*;
use crate::{
    changes::{CreateRoom, Post},
    model::{ClientId, Code, Name, NewMessage, NewRoom, RoomKind, Topic},
    store::{
        ChangeError, NOT_READ, Submission,
        contract::{
            self, Fixture,
            batches::{TakeAway, a_sequence_of_batches, seeds},
            runs_the_contract,
        },
        database::{Database, Place},
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
        let refused = foreign.open(opener).await.err().unwrap().to_string();
        assert!(refused.contains("DROP SCHEMA tidings CASCADE"), "{refused}");
    }
}

#[tokio::test]
async fn a_guest_migrates_and_makes_nothing() {
    if !Fresh::is_possible() {
        return;
    }
    let fresh = Fresh::make().await;
    assert!(matches!(fresh.open(Opener::Guest).await, Err(OpenError::NoChat)));
    fresh.execute("DO $$ BEGIN ASSERT to_regnamespace('tidings') IS NULL; END $$").await;
}

#[tokio::test]
async fn a_database_that_was_emptied_or_made_anew_is_refused_until_the_mark_is_moved_away() {
    if !Fresh::is_possible() {
        return;
    }
    let (fresh, another) = (Fresh::make().await, Fresh::make().await);
    let data_dir = fresh.data_dir.path();
    let open = async |options| Postgres::open(data_dir, options, SERVER).await;
    let store = open(&fresh.options).await.unwrap();
    let (change, _made) = submit(contract::set_up("Ana"));
    store.apply(0, vec![change], Time::from_millis(0)).await.unwrap();
    store.close().await;

    fresh.execute("DROP SCHEMA tidings CASCADE").await;
    // The second is what a database that was dropped and made again is.
    for emptied in [&fresh, &another] {
        let refused = open(&emptied.options).await.err().unwrap().to_string();
        assert!(refused.contains(mark::MARK_FILE) && refused.contains("put a dump back"), "{refused}");
        emptied.execute("DO $$ BEGIN ASSERT to_regnamespace('tidings') IS NULL; END $$").await;
    }
    std::fs::remove_file(data_dir.join(mark::MARK_FILE)).unwrap();
    open(&another.options).await.unwrap().close().await;
}

#[tokio::test]
async fn a_folder_whose_chat_is_in_postgres_begins_none_in_sqlite_until_the_mark_is_moved_away() {
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join(mark::MARK_FILE);
    std::fs::write(&mark, "").unwrap();
    for opener in [SERVER, Opener::Holder, Opener::Guest] {
        let refused = Database::default().open(dir.path(), opener).await.err().unwrap();
        assert!(matches!(&refused, OpenError::Elsewhere(path) if *path == mark), "{refused}");
        assert!(!dir.path().join("tidings.db").exists());
    }
    std::fs::remove_file(&mark).unwrap();
    Database::default().open(dir.path(), SERVER).await.unwrap().close().await;
    // A chat that came back from Postgres lies beside what was left of it.
    std::fs::write(&mark, "").unwrap();
    Database::default().open(dir.path(), SERVER).await.unwrap().close().await;
}

/// Why a server does not start on it, which it says without trying for long.
async fn refused_at_once(address: &str) -> String {
    let options = PostgresOptions::parse(address, None).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let refused = Postgres::open(dir.path(), &options, SERVER).await.err().unwrap().to_string();
    assert!(begun.elapsed() < DATABASE_PATIENCE / 2, "{refused}: after {:?}", begun.elapsed());
    refused
}

#[tokio::test]
async fn a_server_without_tls_is_told_from_one_that_is_away_with_what_to_do() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("postgres://ana:secret@{}/chat", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            client.read_exact(&mut [0; 8]).await.unwrap();
            client.write_all(b"N").await.unwrap();
        }
    });
    let refused = refused_at_once(&address).await;
    assert!(refused.contains("sslmode=disable") && refused.contains("private network"), "{refused}");
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_and_a_missing_password_are_said_at_once_with_what_to_do() {
    if !Fresh::is_possible() {
        return;
    }
    let fresh = Fresh::make().await;
    let options = &fresh.options.config;
    let (user, database) = (options.get_user().unwrap(), options.get_dbname().unwrap());
    let at = format!("127.0.0.1:{}/{database}", options.get_ports()[0]);
    let refused = refused_at_once(&format!("postgres://{user}@{at}?sslmode=disable")).await;
    assert!(refused.contains("TIDINGS_DATABASE_PASSWORD") && refused.contains("database_password_file"), "{refused}");
    let refused = refused_at_once(&format!("postgres://{user}:secret@{at}")).await;
    assert!(refused.contains("sslrootcert=FILE"), "{refused}");
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
    let another = NewRoom::fresh(Name::parse("Another").unwrap(), Topic::default(), RoomKind::Public);
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
