//! Moves from one database to another: everything is the same there, wherever the move was cut, and at no time do two
//! databases start.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration as Took,
};

use tempfile::TempDir;

use super::*;
use crate::{
    changes::{FollowThread, SetRoomRole, StartDirect},
    desk::Desk,
    model::{Clock, EventPage},
    open::Options,
    store::{
        OpenError,
        database::{Database, Opener, Place},
        postgres::{PostgresOptions, tests::Fresh},
        transfer::{self, Doing, Failure, MoveError, Moved, Note, Row, Side, TABLES, Table, Value},
    },
};

const SERVER: Opener = Opener::Server { may_be_new: true };

/// Whom to ask, and what for, so that nothing is forgotten.
struct Known {
    tokens: Vec<SecretDigest>,
    invites: Vec<SecretDigest>,
    rooms: Vec<RoomId>,
}

/// A chat with something of everything.
async fn fill(store: Arc<dyn Store>) -> Known {
    let mut world = World::over(store).await;
    let (ana, general) = (world.ana, world.general);
    let ben = world.invited("Ben").await;
    let odd = NewPerson { name: Name::parse("zoë 🌿 O'Hara \\N").unwrap(), ..new_person("zoe") };
    let zoe = odd.id;
    let session = new_session(Token::fresh().digest());
    world.done(CreateAccount { invite: world.invite.digest(), person: odd, session }).await;
    let left = world.invited("Removed").await;
    let gone = world.invited("Deactivated").await;
    world.done(TakeDeviceKey { fresh: DeviceKey::fresh() }).await;
    let garden = world.room(ben, "Garden \"; DROP TABLE rooms; --").await;
    let quiet = world.room(ana, "Quiet").await;
    world.done(close(ana, quiet)).await;
    let direct = StartDirect { person: zoe, others: [ana, ben].into(), room: NewRoom::direct() };
    world.done(direct).await;
    world.done(Join { person: zoe, room: garden }).await;
    world.done(SetRoomRole { by: ben, person: zoe, room: garden, role: RoomRole::Owner }).await;
    let longest = "é".repeat(8 * 1024);
    for (author, room, body) in [
        (ana, general, "hello"),
        (ben, general, longest.as_str()),
        (zoe, garden, "👩‍👩‍👧‍👦 \u{200d} \u{fffd} \\N \\x00 \t tab\nand a line"),
        (left, general, "x"),
    ] {
        world.now = world.now.plus(Took::from_millis(1));
        world.post(author, room, body).await;
    }
    let slip = world.post(ben, general, "a slip").await.id;
    world.done(world.edit(ben, slip, "a slip, and a correction of it")).await;
    let kept = world.post(ana, general, "kept").await.id;
    world.done(world.edit(ana, kept, "kept, and edited")).await;
    world.done(world.delete(ana, slip, Some("\"quoted\" 'reason'"))).await;
    for (person, emoji, stands) in [(ana, "👍🏽", true), (ben, "👍🏽", true), (zoe, "🇨🇿", true), (zoe, "🇨🇿", false)]
    {
        world.done(world.react(person, kept, emoji, stands)).await;
    }
    let Post(answer) = message(ben, general, ClientId::fresh(), "an answer");
    world.done(Post(NewMessage { reply_to: Some(kept), ..answer })).await;
    world.done(super::threads::in_thread(ben, general, kept, "an answer in a thread")).await;
    world.done(FollowThread { person: zoe, room: general, root: kept, follows: true }).await;
    world.done(FollowThread { person: ben, room: general, root: kept, follows: false }).await;
    let erased = world.post(ana, general, "erased").await.id;
    world.done(world.delete(ana, erased, None)).await;
    world.now = world.now.plus(DELETE_UNDO);
    world.done(EraseDeleted).await;
    let hidden = world.post(ana, general, "hidden, and not erased yet").await.id;
    world.done(world.delete(ana, hidden, None)).await;
    for number in 0..40 {
        let (author, room) = [(ana, general), (ben, general), (ben, garden)][number % 3];
        world.post(author, room, &format!("number {number}")).await;
    }
    world.done(Read { person: ben, room: garden, to: Move::Forward(5) }).await;
    world.done(Read { person: ben, room: general, to: Move::To(0) }).await;
    world.done(Leave { person: zoe, room: general }).await;
    world.done(Remove { by: ana, room: general, person: left }).await;
    world.done(SetActive { person: gone, is_active: false }).await;
    let renewed = Code::fresh();
    world.done(RenewInvite { person: ana, room: general, code: renewed.clone() }).await;
    world.done(RevokeInvite { person: ben, room: garden }).await;
    let second = Token::fresh().digest();
    let checked = StoredHash("a hash".into());
    world.done(OpenSession { person: ben, checked: checked.clone(), session: new_session(second) }).await;
    let third = Token::fresh().digest();
    let ended = new_session(third);
    let session = ended.id;
    world.done(OpenSession { person: ben, checked, session: ended }).await;
    world.done(EndSession { person: ben, session, why: Ended::Elsewhere }).await;
    for (denial, ends) in [
        (Denial::Token { id: "a".into() }, None),
        (Denial::Tokens { user: "42".into(), channel: Some("news".into()), issued_before: START }, Some(START)),
        (Denial::User { user: "zoë".into() }, None),
    ] {
        world.done(Deny { denied: Denied { denial, created: START, ends } }).await;
    }
    Known {
        tokens: vec![world.token, second, third],
        invites: vec![world.invite.digest(), renewed.digest()],
        rooms: vec![general, garden, quiet],
    }
}

/// All that the store answers, in words.
async fn told(store: &dyn Store, known: &Known) -> Vec<String> {
    let mut told = vec![format!("{:?}", store.is_set_up().await.unwrap())];
    let people = store.people().await.unwrap();
    for person in &people {
        told.push(format!("{person:?}, {:?}", store.person(person.id).await.unwrap()));
        let credentials = store.credentials(person.email.clone()).await.unwrap().unwrap();
        told.push(format!("{:?} {:?}", credentials.person, credentials.hash.0));
        told.push(format!("{:?}", store.sessions(person.id, START).await.unwrap()));
        told.push(format!("{:?}", store.own_rooms(person.id).await.unwrap()));
        told.push(format!("{:?}", store.other_rooms(person.id, None, 10).await.unwrap()));
        told.push(format!("{:?}", store.threads(person.id, None, 9).await.unwrap()));
        for room in &known.rooms {
            told.push(format!("{:?}", store.room(*room, person.id).await.unwrap()));
            told.push(format!("{:?}", store.members(*room, person.id).await.unwrap()));
            told.push(format!("{:?}", store.member(*room, person.id).await.unwrap()));
            let invite = store.room_invite(*room, person.id, START).await.unwrap();
            told.push(format!("{invite:?} {:?}", invite.as_ref().map(|invite| invite.code.reveal().to_owned())));
            let page = PageQuery { from: PageFrom::After(0), limit: 1_000 };
            let messages = store.messages(*room, person.id, page).await.unwrap();
            for message in messages.iter().flat_map(|page| &page.messages) {
                told.push(format!("{:?}", store.message(*room, person.id, message.id).await.unwrap()));
                let thumb = Emoji::parse("👍🏽").unwrap();
                told.push(format!("{:?}", store.reacted(*room, person.id, message.id, thumb).await.unwrap()));
                told.push(format!("{:?}", store.thread(*room, person.id, message.id, page).await.unwrap()));
                told.push(format!("{:?}", store.edits(*room, person.id, message.id, page).await.unwrap()));
            }
            told.push(format!("{messages:?}"));
        }
    }
    for room in &known.rooms {
        let page = PageQuery { from: PageFrom::After(0), limit: 1_000 };
        let page = store.events(*room, None, page, usize::MAX).await.unwrap();
        // What was taken away is numbered anew.
        told.push(format!("{:?}", page.map(|page| EventPage { revoked: 0, ..page })));
        told.push(format!("{}", store.invite_is_revoked(*room).await.unwrap()));
    }
    for token in &known.tokens {
        told.push(format!("{:?}", store.session(*token, START).await.unwrap()));
        told.push(format!("{:?}", store.arrival(SessionKey::Token(*token), 100, START).await.unwrap()));
    }
    for invite in &known.invites {
        told.push(format!("{:?}", store.invite(*invite, START).await.unwrap()));
    }
    told.push(format!("{:?}", store.sessions_ended(Time::from_millis(0)).await.unwrap()));
    let mut denied = store.denials().await.unwrap();
    denied.sort_by_key(|denied| denied.denial.key());
    told.push(format!("{denied:?}"));
    told
}

fn clock() -> Clock {
    Clock::new(|| START)
}

fn options(folder: &Path, postgres: Option<&PostgresOptions>) -> Options {
    let database = postgres.map_or_else(Database::default, |postgres| Database::Postgres(Box::new(postgres.clone())));
    Options { database, ..Options::new(folder, clock()) }
}

async fn open(folder: &Path, postgres: Option<&PostgresOptions>) -> Result<Arc<dyn Store>, OpenError> {
    options(folder, postgres).database.open(folder, SERVER).await
}

/// What a server with this database would tell.
async fn told_by(folder: &Path, postgres: Option<&PostgresOptions>, known: &Known) -> Vec<String> {
    let store = open(folder, postgres).await.unwrap();
    let told = told(&*store, known).await;
    store.close().await;
    told
}

async fn migrate(from: &Place, to: &Place) -> Result<Moved, MoveError> {
    Desk::migrate(from, to, &clock(), &mut |_| {}).await
}

/// A data folder with a chat in it, closed.
async fn filled() -> (TempDir, Known, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), None).await.unwrap();
    let known = fill(store.clone()).await;
    let told = told(&*store, &known).await;
    store.close().await;
    (dir, known, told)
}

fn folder(dir: &TempDir) -> Place {
    Place::Folder(dir.path().to_owned())
}

async fn rows(side: &mut dyn Side) -> Vec<Vec<Row>> {
    let mut rows = Vec::new();
    for table in &TABLES {
        rows.push(side.page(table, None, 1_000).await.unwrap());
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_that_is_moved_to_postgres_and_back_is_the_same_to_everybody() {
    if !Fresh::is_possible() {
        return;
    }
    let (dir, known, before) = filled().await;
    let fresh = Fresh::make().await;
    let postgres = fresh.place();

    let planned = Desk::estimate_migration(&folder(&dir), &postgres, &clock()).await.unwrap();
    let moved = migrate(&folder(&dir), &postgres).await.unwrap();
    assert_eq!((moved.people, moved.rooms, moved.went_on, &moved.kept), (5, 4, false, &None));
    assert_eq!(planned.moved, moved, "the dry run says the same, and changed nothing");
    assert!(matches!(open(dir.path(), None).await, Err(OpenError::Moved(to)) if to == fresh.options.to_string()));
    assert!(matches!(Desk::open(options(dir.path(), None)).await, Err(OpenError::Moved(_))));
    assert_eq!(told_by(dir.path(), Some(&fresh.options), &known).await, before, "with the same data folder");
    let again = migrate(&folder(&dir), &postgres).await;
    assert!(matches!(again, Err(MoveError::Open { source: OpenError::Moved(_), .. })), "{again:?}");

    let moved = migrate(&postgres, &folder(&dir)).await.unwrap();
    assert!(moved.kept.unwrap().contains("tidings.db.replaced-"), "what was moved away before is kept");
    assert!(matches!(open(dir.path(), Some(&fresh.options)).await, Err(OpenError::Moved(_))));
    assert!(matches!(Desk::open(options(dir.path(), Some(&fresh.options))).await, Err(OpenError::Moved(_))));
    assert_eq!(told_by(dir.path(), None, &known).await, before);

    let moved = migrate(&folder(&dir), &postgres).await.unwrap();
    assert!(moved.kept.unwrap().contains("tidings_replaced_"));
    for _ in 0..2 {
        assert_eq!(told_by(dir.path(), Some(&fresh.options), &known).await, before, "a start renews nothing");
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let moved = migrate(&postgres, &folder(&elsewhere)).await.unwrap();
    assert_eq!(moved.kept, None);
    for _ in 0..2 {
        assert_eq!(told_by(elsewhere.path(), None, &known).await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_is_moved_from_one_postgres_to_another() {
    if !Fresh::is_possible() {
        return;
    }
    let (one, other) = (Fresh::make().await, Fresh::make().await);
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Some(&one.options)).await.unwrap();
    let known = fill(store.clone()).await;
    let before = told(&*store, &known).await;
    let (from, to) = (one.place(), other.place());
    let held = migrate(&from, &to).await;
    assert!(matches!(held, Err(MoveError::Open { source: OpenError::Held(_), .. })), "{held:?}");
    assert!(matches!(migrate(&from, &from).await, Err(MoveError::Same(_))));
    store.close().await;
    drop(store);
    // As a dump of another one that no server has started on yet.
    let sql = "CREATE TABLE public.kept AS SELECT identity FROM mark; UPDATE mark SET identity = 'another/1/00000001'";
    one.execute(sql).await;
    let refused = migrate(&from, &to).await;
    assert!(matches!(refused, Err(MoveError::Open { source: OpenError::Unfit(_), .. })), "{refused:?}");
    one.execute("UPDATE mark SET identity = (SELECT identity FROM public.kept)").await;
    migrate(&from, &to).await.unwrap();
    assert!(matches!(open(dir.path(), Some(&one.options)).await, Err(OpenError::Moved(_))));
    assert_eq!(told_by(dir.path(), Some(&other.options), &known).await, before);
}

/// A side that is cut before one of its calls, as if the program were killed there, and that answers in short pages.
struct Cut {
    side: Box<dyn Side>,
    /// Calls of both sides before that.
    left: Arc<AtomicUsize>,
    /// What is done to a target in this folder when all rows have come.
    spoil: &'static str,
    folder: PathBuf,
}

impl Cut {
    fn call(&self) -> Result<(), Failure> {
        let left = self.left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
        left.map(drop).map_err(|_| Failure("cut".into()))
    }
}

macro_rules! calls {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)*) => {$(
        fn $name<'a>(&'a mut self $(, $argument: $kind)*) -> Doing<'a, $answer> {
            match self.call() {
                Ok(()) => self.side.$name($($argument),*),
                Err(cut) => Box::pin(async { Err(cut) }),
            }
        }
    )*};
}

impl Side for Cut {
    fn place(&self) -> &str {
        self.side.place()
    }

    fn way_to_remove(&self) -> &'static str {
        self.side.way_to_remove()
    }

    fn page(&mut self, table: &'static Table, after: Option<Vec<Value>>, rows: u32) -> Doing<'_, Vec<Row>> {
        match self.call() {
            Ok(()) => self.side.page(table, after, rows.min(9)),
            Err(cut) => Box::pin(async { Err(cut) }),
        }
    }

    fn complete(&mut self) -> Doing<'_, ()> {
        if !self.spoil.is_empty() {
            execute(&self.folder, self.spoil);
        }
        match self.call() {
            Ok(()) => self.side.complete(),
            Err(cut) => Box::pin(async { Err(cut) }),
        }
    }

    calls! {
        note() -> Note;
        count(table: &'static Table) -> u64;
        last(table: &'static Table) -> Option<Vec<Value>>;
        moment() -> String;
        moved(to: &'a str) -> ();
        begin(moving: &'a str) -> Option<String>;
        write(table: &'static Table, rows: Vec<Row>) -> ();
        end() -> ();
        rehearse(rows: Vec<(&'static Table, Vec<Row>)>) -> Took;
    }
}

/// Moves as far as so many calls go. Answers how many were left.
async fn migrate_cut(from: &Place, to: &Place, calls: usize, spoil: &'static str) -> (Result<Moved, MoveError>, usize) {
    let left = Arc::new(AtomicUsize::new(calls));
    let folder = to.folder().unwrap_or(Path::new("")).to_owned();
    let cut = |side| Cut { side, left: left.clone(), spoil, folder: folder.clone() };
    let (mut source, mut target) =
        (cut(from.source(to, START).await.unwrap()), cut(to.target(from, START).await.unwrap()));
    let moved = transfer::run(&mut source, &mut target, &mut |_| {}).await;
    (moved, left.load(SeqCst))
}

/// Whether a server would start on it and find a chat.
async fn starts(place: &Place) -> bool {
    let mut side = place.look(None, true, START).await.unwrap();
    side.note().await.unwrap().refuse(None).is_ok() && side.last(&TABLES[0]).await.unwrap().is_some()
}

/// Every call of a move is its last once, or some of them; then it is said again.
async fn is_the_same_wherever_it_is_cut(
    (from, to): (&Place, &Place),
    every: usize,
    begin_anew: impl AsyncFn(),
    is_the_same: impl AsyncFn(&str),
) {
    let (moved, left) = migrate_cut(from, to, usize::MAX / 2, "").await;
    moved.unwrap();
    let calls = usize::MAX / 2 - left;
    let late = calls - 6..=calls;
    for cut in (0..=calls).filter(|cut| cut % every == 0 || late.contains(cut)) {
        begin_anew().await;
        let (moved, _) = migrate_cut(from, to, cut, "").await;
        assert_eq!(moved.is_ok(), cut == calls, "{cut} of {calls}: {moved:?}");
        assert!(!(starts(from).await && starts(to).await), "two that start, cut at {cut} of {calls}");
        if moved.is_err() {
            migrate_cut(from, to, usize::MAX / 2, "").await.0.unwrap();
        }
        assert!(!starts(from).await && starts(to).await, "cut at {cut} of {calls}");
        is_the_same(&format!("cut at {cut} of {calls}")).await;
    }
}

/// As if nobody had ever moved what is there.
fn unmove(folder: &Path) {
    execute(folder, "UPDATE mark SET moved = NULL");
}

fn execute(folder: &Path, sql: &str) {
    let db = rusqlite::Connection::open(folder.join("tidings.db")).unwrap();
    db.execute_batch(sql).unwrap();
}

fn empty(folder: &Path) {
    for file in fs::read_dir(folder).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_is_cut_anywhere_goes_on_and_at_no_time_do_two_start() {
    let (dir, ..) = filled().await;
    let before = rows(&mut *folder(&dir).look(None, false, START).await.unwrap()).await;
    let other = tempfile::tempdir().unwrap();
    let begin_anew = async || {
        unmove(dir.path());
        empty(other.path());
    };
    let is_the_same = async |cut: &str| {
        assert!(rows(&mut *folder(&other).look(None, false, START).await.unwrap()).await == before, "{cut}");
    };
    is_the_same_wherever_it_is_cut((&folder(&dir), &folder(&other)), 5, begin_anew, is_the_same).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_to_postgres_or_from_it_that_is_cut_goes_on_and_at_no_time_do_two_start() {
    if !Fresh::is_possible() {
        return;
    }
    let (dir, ..) = filled().await;
    let before = rows(&mut *folder(&dir).look(None, false, START).await.unwrap()).await;
    let fresh = Fresh::make().await;
    let postgres = fresh.place();
    let begin_anew = async || {
        unmove(dir.path());
        fresh.execute("DROP SCHEMA tidings CASCADE").await;
    };
    let is_the_same = async |cut: &str| {
        assert!(rows(&mut *postgres.look(None, false, START).await.unwrap()).await == before, "{cut}");
    };
    is_the_same_wherever_it_is_cut((&folder(&dir), &postgres), 16, begin_anew, is_the_same).await;

    let other = tempfile::tempdir().unwrap();
    let begin_anew = async || {
        fresh.execute("UPDATE tidings.mark SET moved = NULL").await;
        empty(other.path());
    };
    let is_the_same = async |cut: &str| {
        assert!(rows(&mut *folder(&other).look(None, false, START).await.unwrap()).await == before, "{cut}");
    };
    is_the_same_wherever_it_is_cut((&postgres, &folder(&other)), 16, begin_anew, is_the_same).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_begins_anew_when_a_server_had_the_source_in_between() {
    let (dir, known, _) = filled().await;
    let other = tempfile::tempdir().unwrap();
    let (from, to) = (folder(&dir), folder(&other));
    assert!(migrate_cut(&from, &to, 120, "").await.0.is_err());
    assert!(matches!(open(other.path(), None).await, Err(OpenError::Moving(_))));
    let backup = other.path().join("backup");
    assert!(Desk::back_up(options(other.path(), None), backup).await.is_err(), "half of a chat is none");

    let store = open(dir.path(), None).await.unwrap();
    let ana = store.people().await.unwrap().into_iter().find(|person| person.name.as_str() == "Ana").unwrap();
    apply_all(&*store, START, [message(ana.id, known.rooms[0], ClientId::fresh(), "in between")]).await;
    let before = told(&*store, &known).await;
    store.close().await;
    let (moved, _) = migrate_cut(&from, &to, usize::MAX / 2, "").await;
    let moved = moved.unwrap();
    assert!(!moved.went_on && moved.begun_anew);
    assert_eq!(told_by(other.path(), None, &known).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_otherwise_than_it_was_is_found_by_its_checksum_and_moved_anew() {
    let (dir, known, before) = filled().await;
    let other = tempfile::tempdir().unwrap();
    let (from, to) = (folder(&dir), folder(&other));
    for (spoil, found) in [
        ("UPDATE messages SET body = 'hallo' WHERE body = 'hello'", "messages of the room"),
        ("UPDATE messages SET client_id = id WHERE body = 'hello'", "messages of the room"),
        ("UPDATE room_events SET time = time + 1 WHERE number = 2", "room_events of the room"),
        ("DELETE FROM room_events WHERE number = 3", "instead of"),
        ("UPDATE rooms SET epoch = 'another'", "rooms of the room"),
        ("UPDATE sessions SET ended = NULL", "sessions: 7 rows with another content"),
    ] {
        let (moved, _) = migrate_cut(&from, &to, usize::MAX / 2, spoil).await;
        let Err(MoveError::Differs { what, .. }) = moved else { panic!("{spoil}: {moved:?}") };
        assert!(what.contains(found), "{spoil}: {what}");
        assert!(starts(&from).await && !starts(&to).await);
    }
    migrate_cut(&from, &to, usize::MAX / 2, "").await.0.unwrap();
    assert_eq!(told_by(other.path(), None, &known).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_moved_over_another_chat_nor_while_a_server_runs() {
    if !Fresh::is_possible() {
        return;
    }
    let ((one, ..), (other, ..)) = (filled().await, filled().await);
    let (fresh, fresh_third) = (Fresh::make().await, Fresh::make().await);
    let (postgres, third) = (fresh.place(), fresh_third.place());
    assert!(matches!(migrate(&folder(&one), &folder(&other)).await, Err(MoveError::BothFolders)));

    // Another one's that was cut.
    assert!(migrate_cut(&folder(&other), &postgres, 100, "").await.0.is_err());
    let refused = migrate(&folder(&one), &postgres).await;
    assert!(matches!(&refused, Err(MoveError::Another { origin, .. }) if origin.contains("tmp")), "{refused:?}");
    assert!(refused.unwrap_err().to_string().contains("DROP SCHEMA tidings CASCADE"));
    let server = open(one.path(), Some(&fresh.options)).await;
    assert!(matches!(server.map(drop), Err(OpenError::Moving(_))));
    migrate(&folder(&other), &postgres).await.unwrap();

    let refused = migrate(&folder(&one), &postgres).await;
    assert!(matches!(refused, Err(MoveError::NotEmpty(_))), "{refused:?}");
    let refused = migrate(&postgres, &folder(&one)).await;
    assert!(matches!(refused, Err(MoveError::NotEmpty(_))), "{refused:?}");
    assert!(starts(&folder(&one)).await && starts(&postgres).await, "and nothing was changed");

    let server = crate::Chat::open(options(one.path(), None)).await.unwrap();
    let refused = migrate(&folder(&one), &third).await;
    assert!(matches!(refused, Err(MoveError::Open { source: OpenError::InUse(_), .. })), "{refused:?}");
    let held = async || Desk::estimate_migration(&folder(&one), &third, &clock()).await.unwrap().held;
    let [holder] = &held().await[..] else { panic!() };
    assert!(holder.contains(&one.path().display().to_string()), "{holder}");
    server.close().await;
    assert_eq!(held().await, Vec::<String>::new());

    // Nobody has set that one up, so that it is a target.
    let elsewhere = tempfile::tempdir().unwrap();
    let server = open(elsewhere.path(), Some(&fresh_third.options)).await.unwrap();
    let [holder] = &held().await[..] else { panic!() };
    assert!(holder.contains(&fresh_third.options.to_string()) && holder.contains("holds it"), "{holder}");
    let refused = migrate(&folder(&one), &third).await;
    assert!(matches!(refused, Err(MoveError::Open { source: OpenError::Held(_), .. })), "{refused:?}");
    server.close().await;
    migrate(&folder(&one), &third).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn g4_a_dry_run_is_refused_where_another_data_folder_had_the_source_as_the_move_is() {
    if !Fresh::is_possible() {
        return;
    }
    let fresh = Fresh::make().await;
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for dir in [&one, &other] {
        let store = open(dir.path(), Some(&fresh.options)).await.unwrap();
        if dir.path() == one.path() {
            fill(store.clone()).await;
        }
        store.close().await;
    }
    let (postgres, to) = (fresh.place(), folder(&one));
    let (planned, moved) = (Desk::estimate_migration(&postgres, &to, &clock()).await, migrate(&postgres, &to).await);
    for refused in [planned.map(drop), moved.map(drop)] {
        let Err(MoveError::Open { source: OpenError::Unfit(why), .. }) = refused else { panic!("{refused:?}") };
        assert!(why.contains("another data folder") && why.contains("start the server on it once"), "{why}");
    }
    open(one.path(), Some(&fresh.options)).await.unwrap().close().await;
    Desk::estimate_migration(&postgres, &to, &clock()).await.unwrap();
    migrate(&postgres, &to).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_nothing_is_in_is_refused_and_left_empty() {
    if !Fresh::is_possible() {
        return;
    }
    let (dir, ..) = filled().await;
    let fresh = Fresh::make().await;
    let (postgres, folder) = (fresh.place(), folder(&dir));
    // As when --from and --to are taken for each other.
    let planned = Desk::estimate_migration(&postgres, &folder, &clock()).await;
    assert!(matches!(planned, Err(MoveError::Open { source: OpenError::NoChat, .. })), "{planned:?}");
    let moved = migrate(&postgres, &folder).await;
    assert!(matches!(moved, Err(MoveError::Open { source: OpenError::NoChat, .. })), "{moved:?}");
    fresh.execute("DO $$ BEGIN ASSERT to_regnamespace('tidings') IS NULL; END $$").await;
    migrate(&folder, &postgres).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_fails_where_the_move_would_for_want_of_a_right() {
    if !Fresh::is_possible() {
        return;
    }
    let (dir, ..) = filled().await;
    let fresh = Fresh::make().await;
    let (from, to) = (folder(&dir), fresh.place());
    let right = async |change: &str| {
        fresh
            .execute(&format!("DO $$ BEGIN EXECUTE format('{change}', current_database(), current_user); END $$"))
            .await;
    };
    let both = async || {
        let (planned, moved) = (Desk::estimate_migration(&from, &to, &clock()).await, migrate(&from, &to).await);
        for failed in [planned.map(drop), moved.map(drop)] {
            let Err(MoveError::Open { source: OpenError::NotAllowed(why), .. }) = failed else { panic!("{failed:?}") };
            assert!(why.contains("GRANT CREATE ON DATABASE"), "{why}");
        }
    };
    right("REVOKE CREATE ON DATABASE %I FROM %I").await;
    both().await;
    right("GRANT CREATE ON DATABASE %I TO %I").await;
    Desk::estimate_migration(&from, &to, &clock()).await.unwrap();
    fresh.execute("DO $$ BEGIN ASSERT to_regnamespace('tidings') IS NULL; END $$").await;
    migrate(&from, &to).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn g4_a_move_that_is_to_be_forgotten_renews_the_epochs() {
    let (dir, known, _) = filled().await;
    let other = tempfile::tempdir().unwrap();
    let epochs = async |folder: &Path, postgres: Option<&PostgresOptions>| {
        let store = open(folder, postgres).await.unwrap();
        let (ana, mut epochs) = (store.people().await.unwrap().remove(0), Vec::new());
        for room in &known.rooms {
            epochs.push(store.room(*room, ana.id).await.unwrap().unwrap().epoch);
        }
        store.close().await;
        epochs
    };
    let before = epochs(dir.path(), None).await;
    migrate_cut(&folder(&dir), &folder(&other), usize::MAX / 2, "").await.0.unwrap();
    let copy = dir.path().join("copy");
    fs::copy(dir.path().join("tidings.db"), &copy).unwrap();
    assert!(Desk::restore_in_place(options(dir.path(), None), false).await.is_err());
    Desk::restore_in_place(options(dir.path(), None), true).await.unwrap();
    let renewed = epochs(dir.path(), None).await;
    assert!(renewed.iter().zip(&before).all(|(now, before)| now != before));
    assert_eq!(epochs(other.path(), None).await, before);

    // A backup that was made of it is restored as every other.
    let third = tempfile::tempdir().unwrap();
    Desk::restore(options(third.path(), None), copy, false).await.unwrap();
    assert!(epochs(third.path(), None).await.iter().zip(&before).all(|(now, before)| now != before));

    if Fresh::is_possible() {
        let fresh = Fresh::make().await;
        let postgres = fresh.place();
        migrate(&folder(&other), &postgres).await.unwrap();
        migrate(&postgres, &Place::Folder(other.path().to_owned())).await.unwrap();
        assert_eq!(epochs(other.path(), None).await, before);
        assert!(Desk::restore_in_place(options(other.path(), Some(&fresh.options)), false).await.is_err());
        Desk::restore_in_place(options(other.path(), Some(&fresh.options)), true).await.unwrap();
        let renewed = epochs(other.path(), Some(&fresh.options)).await;
        assert!(renewed.iter().zip(&before).all(|(now, before)| now != before));
    }
}

#[test]
fn every_column_of_every_table_is_moved_or_left_with_a_reason() {
    let db = crate::store::sqlite::newest();
    let columns = |sql: &str| -> Vec<String> {
        db.prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    // Of the database itself; a key that says nothing; counted by the target.
    let left = ["mark", "set_up.one", "rooms.members"];
    for table in columns("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'") {
        let moved = TABLES.iter().find(|one| one.name == table).map_or(&[][..], |table| table.columns);
        for column in columns(&format!("SELECT name FROM pragma_table_info('{table}')")) {
            let is_moved = moved.iter().any(|(name, _)| *name == column);
            let is_left = left.contains(&table.as_str()) || left.contains(&format!("{table}.{column}").as_str());
            assert!(is_moved != is_left, "{table}.{column}");
        }
    }
}
