//! Batches of all kinds of changes against the store in plain maps, one by one, whatever fails or panics among them.

use super::*;
use crate::store::{
    StoreError,
    database::Opener,
    memory::Memory,
    sqlite::{Sqlite, SqliteOptions},
};

/// Batches after the same beginning.
const STEPS: i64 = 60;

/// The same sequence for the same seed.
struct Dice(u64);

impl Dice {
    fn of(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % count
    }

    fn one_of<T: Copy>(&mut self, these: &[T]) -> T {
        these[self.below(these.len())]
    }
}

#[derive(Debug, Clone)]
enum Any {
    Post(Post),
    Join(Join),
    Leave(Leave),
    Remove(Remove),
    Create(CreateAccount),
    Accept(AcceptInvite),
    End(EndSession),
    Faulty(Box<Any>, Fault),
}

/// What becomes of a change after it has done what it does.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Refused,
    Fails,
    Panics,
    FailsInTheDatabase,
}

impl Change for Any {
    type Answer = String;
    type Refusal = String;

    fn room(&self) -> Option<RoomId> {
        match self {
            Self::Post(it) => it.room(),
            Self::Join(it) => it.room(),
            Self::Leave(it) => it.room(),
            Self::Remove(it) => it.room(),
            Self::Faulty(it, _) => it.room(),
            Self::Create(_) | Self::Accept(_) | Self::End(_) => None,
        }
    }

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        match self {
            Self::Post(it) => in_words::<Post>(it.apply(tables, now)),
            Self::Join(it) => in_words::<Join>(it.apply(tables, now)),
            Self::Leave(it) => in_words::<Leave>(it.apply(tables, now)),
            Self::Remove(it) => in_words::<Remove>(it.apply(tables, now)),
            Self::Create(it) => in_words::<CreateAccount>(it.apply(tables, now)),
            Self::Accept(it) => in_words::<AcceptInvite>(it.apply(tables, now)),
            Self::End(it) => in_words::<EndSession>(it.apply(tables, now)),
            Self::Faulty(it, fault) => {
                it.apply(tables, now).ok();
                // So that what is taken back has been read.
                if let Self::Join(Join { person, room }) = **it {
                    tables.member(room, person)?;
                }
                match fault {
                    Fault::Refused => Err(ChangeError::Refused("no".into())),
                    Fault::Fails => Err(StoreError::Failed("no".into()).into()),
                    Fault::Panics => panic!("a change panicked on purpose"),
                    Fault::FailsInTheDatabase => {
                        tables.insert_key("same", &[0; 32])?;
                        tables.insert_key("same", &[0; 32])?;
                        unreachable!("a key has one value")
                    }
                }
            }
        }
    }
}

fn in_words<C: Change<Answer: Debug, Refusal: Debug>>(result: ChangeResult<C>) -> ChangeResult<Any> {
    match result {
        Ok(Applied { answer, announcements }) => Ok(Applied { answer: format!("{answer:?}"), announcements }),
        Err(ChangeError::Refused(why)) => Err(ChangeError::Refused(format!("{why:?}"))),
        Err(ChangeError::Store(error)) => Err(ChangeError::Store(error)),
    }
}

/// Another program's change: the server's writer learns nothing of it.
#[derive(Clone, Copy)]
pub(crate) struct TakeAway {
    pub(crate) person: PersonId,
    pub(crate) room: RoomId,
}

impl Change for TakeAway {
    type Answer = ();
    type Refusal = std::convert::Infallible;

    fn apply(&self, tables: &mut dyn Tables, _now: Time) -> ChangeResult<Self> {
        tables.delete_member(self.room, self.person)?;
        Ok(Applied::quietly(()))
    }
}

/// What the changes of a batch choose from.
struct Cast {
    seed: u64,
    invite: SecretDigest,
    rooms: Vec<RoomId>,
    people: Vec<PersonId>,
    client_ids: Vec<ClientId>,
}

impl Cast {
    fn change(&mut self, dice: &mut Dice) -> Any {
        if dice.below(9) > 0 {
            return self.sound_change(dice);
        }
        let people = self.people.len();
        let change = self.sound_change(dice);
        // Who is taken back with it never was.
        self.people.truncate(people);
        let fault = dice.one_of(&[Fault::Refused, Fault::Fails, Fault::Panics, Fault::FailsInTheDatabase]);
        Any::Faulty(Box::new(change), fault)
    }

    fn sound_change(&mut self, dice: &mut Dice) -> Any {
        let (person, room) = (dice.one_of(&self.people), dice.one_of(&self.rooms));
        match dice.below(12) {
            0 => Any::Join(Join { person, room }),
            1 => Any::Leave(Leave { person, room }),
            2 => Any::Remove(Remove { by: dice.one_of(&self.people), person, room }),
            3 if self.people.len() < 6 => {
                // With the name of others, so that who has the same one changes; and now and then with their address.
                let mut person = new_person(dice.one_of(&["Ben", "Bén", "Eva"]));
                person.email = Email::parse(&format!("p{}x{}@example.com", self.seed, dice.below(8))).unwrap();
                self.people.push(person.id);
                let session = new_session(Token::fresh().digest());
                Any::Create(CreateAccount { invite: self.invite, person, session })
            }
            4 => Any::Accept(AcceptInvite { invite: self.invite, person }),
            5 => Any::End(EndSession { person, session: SessionId::fresh(), why: Ended::Elsewhere }),
            _ => {
                let again = dice.one_of(&self.client_ids);
                let client_id = if dice.below(2) == 0 { again } else { ClientId::fresh() };
                Any::Post(message(person, room, client_id, dice.one_of(&["a", "b"])))
            }
        }
    }
}

/// How many sequences of batches are tried.
pub(crate) fn seeds(unless_told: u64) -> impl Iterator<Item = u64> {
    1..=std::env::var("SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(unless_told)
}

#[tokio::test]
async fn batches_do_what_their_changes_do_one_by_one() {
    for seed in seeds(3) {
        let dir = tempfile::tempdir().unwrap();
        let opener = Opener::Server { may_be_new: true };
        let real = Sqlite::open(dir.path(), &SqliteOptions::default(), opener).await.unwrap();
        let by_another_program = async |TakeAway { person, room }| {
            let other = rusqlite::Connection::open(dir.path().join("tidings.db")).unwrap();
            let sql = "DELETE FROM memberships WHERE room = ?1 AND person = ?2";
            other.execute(sql, rusqlite::params![room, person]).unwrap();
        };
        a_sequence_of_batches(&real, seed, by_another_program).await;
        real.close().await;
    }
}

/// Applies batches to a new store and to plain maps.
pub(crate) async fn a_sequence_of_batches(real: &dyn Store, seed: u64, by_another_program: impl AsyncFn(TakeAway)) {
    let (plain, mut dice) = (Memory::default(), Dice::of(seed));
    let set_up = set_up("Ana");
    let ana = set_up.person.id;
    let rooms = ["One", "Two"].map(|name| CreateRoom { person: ana, room: new_room(name), invite: Code::fresh() });
    for store in [real, &plain] {
        apply_all(store, START, [set_up.clone()]).await.remove(0).unwrap();
        apply_all(store, START, rooms.clone()).await;
    }
    let mut cast = Cast {
        seed,
        invite: set_up.invite.digest(),
        rooms: vec![set_up.room.id, rooms[0].room.id, rooms[1].room.id],
        people: vec![ana],
        client_ids: (0..12).map(|_| ClientId::fresh()).collect(),
    };
    for step in 0..STEPS {
        let now = START.plus(Duration::from_millis(step.unsigned_abs()));
        let mut changes: Vec<_> = (0..=dice.below(6)).map(|_| cast.change(&mut dice)).collect();
        changes.sort_by_key(Change::room);
        if dice.below(8) == 0 {
            let take = TakeAway { person: dice.one_of(&cast.people), room: dice.one_of(&cast.rooms) };
            by_another_program(take).await;
            apply_all(&plain, now, [take]).await;
        }
        let outcomes = apply_all(real, now, changes.clone()).await;
        for (change, outcome) in changes.into_iter().zip(outcomes) {
            if let Any::Faulty(..) = change {
                assert!(outcome.is_err(), "seed {seed}, step {step}, {change:?}: {outcome:?}");
            } else {
                let alone = apply_all(&plain, now, [change]).await.remove(0);
                assert_eq!(outcome, alone, "seed {seed}, step {step}");
            }
        }
        for &room in &cast.rooms {
            let events = async |store: &dyn Store| {
                let page = PageQuery { from: PageFrom::After(0), limit: 1_000 };
                store.events(room, None, page, usize::MAX).await.unwrap().unwrap()
            };
            let (there, wanted) = (events(real).await, events(&plain).await);
            assert_eq!((there.events, there.offset), (wanted.events, wanted.offset), "seed {seed}, step {step}");
            for &person in &cast.people {
                let member = async |store: &dyn Store| store.member(room, person).await.unwrap();
                assert_eq!(member(real).await, member(&plain).await, "seed {seed}, step {step}");
            }
        }
    }
}
