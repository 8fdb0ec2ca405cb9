//! How passwords are hashed and checked.
//!
//! Argon2id with OWASP's parameters, stored as a PHC string, so that they can change later: a hash made with other
//! parameters is renewed at the next sign-in. Each takes 19 MiB and a core, so few are computed at once, each in memory
//! that was set aside for it and is used again: what sign-ins take of our memory is [`HASHES_RUNNING_MAX`] times that, however
//! many are tried. The others wait in a [`FairQueue`], where a flood waits behind itself.

use std::{
    net::IpAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::phc::{Output, ParamsString, PasswordHash, Salt},
};
use tokio::sync::oneshot;

use crate::{
    blocking::PoolError,
    fair::{FairQueue, Source},
    limits::{
        ARGON2_MEMORY_KIB, ARGON2_PASSES, ARGON2_STORED_MEMORY_KIB_MAX, ARGON2_STORED_PASSES_MAX, HASHES_RUNNING_MAX,
        HASHES_WAITING_MAX, PASSWORD_BYTES_MAX,
    },
    model::{NewPassword, PersonId, StoredHash},
};

/// Bytes of a hash, and of its salt (RFC 9106 §4 asks for 32 and 16).
const HASH_BYTES: usize = 32;
const SALT_BYTES: usize = 16;

/// What checking a password found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Checked {
    /// It is not the password, or there is no such account.
    Wrong,
    /// It is.
    Right,
    /// It is, and the hash was made with other parameters: this one should replace it.
    RightButOld(StoredHash),
}

/// Who asks for a hash, as far as it says whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Asker {
    /// Somebody at this network. Networks take turns.
    Network(IpAddr),
    /// Somebody who is signed in, or whose device is known. They go first, two turns of three, and are held to a
    /// few such turns each.
    Known(PersonId),
    /// The operator, on the command line.
    Operator,
}

impl Source for Asker {
    fn goes_first(&self) -> bool {
        !matches!(self, Self::Network(_))
    }
}

/// Hashes and checks passwords, a few at a time.
#[derive(Debug, Clone)]
pub(crate) struct Hasher {
    pool: Arc<Pool>,
    argon2: Argon2<'static>,
    nobody: Arc<StoredHash>,
}

impl Hasher {
    pub(crate) fn new(cores: usize) -> Self {
        let params = Params::new(ARGON2_MEMORY_KIB, ARGON2_PASSES, 1, None).expect("the parameters are valid");
        Self::with(params, cores)
    }

    fn with(params: Params, cores: usize) -> Self {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        Self {
            pool: Arc::new(Pool::new(cores.clamp(1, HASHES_RUNNING_MAX), HASHES_WAITING_MAX)),
            // Of no password: what it is compared with never matters.
            nobody: Arc::new(phc(&argon2, [0; SALT_BYTES], &[0; HASH_BYTES])),
            argon2,
        }
    }

    /// Hashes a new password with a fresh salt, by which devices tell it from the one before.
    pub(crate) async fn hash(&self, password: NewPassword, asker: Asker) -> Result<StoredHash, PoolError> {
        let argon2 = self.argon2.clone();
        self.pool.run(asker, move |memory| hash(&argon2, password.reveal(), fresh_salt(), memory)).await
    }

    /// Checks a password against an account's hash. Without an account the same work is done in vain, so that the answer
    /// takes as long (S26).
    pub(crate) async fn check(
        &self,
        password: String,
        stored: Option<StoredHash>,
        asker: Asker,
    ) -> Result<Checked, PoolError> {
        if password.len() > PASSWORD_BYTES_MAX {
            return Ok(Checked::Wrong);
        }
        let (argon2, nobody) = (self.argon2.clone(), self.nobody.clone());
        let work = move |memory: &mut [Block]| {
            let known = stored.is_some();
            let right = verify(&password, stored.as_ref().unwrap_or(&nobody), memory);
            match stored {
                Some(stored) if known && right && is_old(&argon2, &stored) => {
                    // The same salt where it has our length: the password is the same, and known devices go by the salt.
                    let salt = salt_of(&stored).unwrap_or_else(fresh_salt);
                    Checked::RightButOld(hash(&argon2, &password, salt, memory))
                }
                Some(_) if known && right => Checked::Right,
                _ => Checked::Wrong,
            }
        };
        self.pool.run(asker, work).await
    }
}

fn fresh_salt() -> [u8; SALT_BYTES] {
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).expect("the operating system has a random source");
    salt
}

fn salt_of(stored: &StoredHash) -> Option<[u8; SALT_BYTES]> {
    let salt = PasswordHash::new(&stored.0).ok()?.salt?;
    salt.as_ref().try_into().ok()
}

fn hash(argon2: &Argon2<'_>, password: &str, salt: [u8; SALT_BYTES], memory: &mut [Block]) -> StoredHash {
    let mut output = [0; HASH_BYTES];
    argon2
        .hash_password_into_with_memory(password.as_bytes(), &salt, &mut output, memory)
        .expect("the parameters are valid, and the memory is enough for them");
    phc(argon2, salt, &output)
}

fn phc(argon2: &Argon2<'_>, salt: [u8; SALT_BYTES], output: &[u8; HASH_BYTES]) -> StoredHash {
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(argon2.params()).expect("the parameters are valid"),
        salt: Some(Salt::new(&salt).expect("it is long enough")),
        hash: Some(Output::new(output).expect("it is long enough")),
    };
    StoredHash(hash.to_string())
}

/// The parameters in the stored hash are used, not ours. A hash that cannot be read matches nothing, nor does one that asks
/// for more than was set aside: its person needs a new password.
fn verify(password: &str, stored: &StoredHash, memory: &mut [Block]) -> bool {
    let compare = || {
        let parsed = PasswordHash::new(&stored.0).ok()?;
        let params = Params::try_from(&parsed).ok()?;
        if params.m_cost() > ARGON2_STORED_MEMORY_KIB_MAX || params.t_cost() > ARGON2_STORED_PASSES_MAX {
            tracing::warn!("a stored password hash asks for more than this server computes; set a new password");
            return None;
        }
        let algorithm = Algorithm::try_from(parsed.algorithm.as_str()).ok()?;
        let version = parsed.version.map_or(Ok(Version::default()), Version::try_from).ok()?;
        let (salt, expected) = (parsed.salt?, parsed.hash?);
        let mut output = vec![0; expected.len()];
        Argon2::new(algorithm, version, params)
            .hash_password_into_with_memory(password.as_bytes(), &salt, &mut output, memory)
            .ok()?;
        // Compares in constant time.
        Some(Output::new(&output).ok()? == expected)
    };
    compare().unwrap_or(false)
}

fn is_old(argon2: &Argon2<'_>, stored: &StoredHash) -> bool {
    let Ok(hash) = PasswordHash::new(&stored.0) else { return true };
    let same = Params::try_from(&hash).is_ok_and(|params| {
        let ours = argon2.params();
        (params.m_cost(), params.t_cost(), params.p_cost()) == (ours.m_cost(), ours.t_cost(), ours.p_cost())
    });
    !same || hash.algorithm.as_str() != "argon2id"
}

/// A few threads, each with memory of its own, and what waits for them.
#[derive(Debug)]
struct Pool {
    running_max: usize,
    state: Mutex<PoolState>,
}

#[derive(Debug)]
struct PoolState {
    running: usize,
    /// Memory set aside when it was first needed, while nobody uses it. It is never given back: the allocator would keep
    /// it, and the next hash get other.
    idle: Vec<Vec<Block>>,
    waiting: FairQueue<Asker, Box<dyn Job>>,
}

trait Job: Send {
    /// Whether somebody still waits for it.
    fn is_wanted(&self) -> bool;
    fn run(self: Box<Self>, memory: &mut [Block]);
}

impl std::fmt::Debug for dyn Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Job")
    }
}

struct Asked<T, W> {
    work: W,
    answer: oneshot::Sender<Result<T, PoolError>>,
}

impl<T: Send, W: FnOnce(&mut [Block]) -> T + Send> Job for Asked<T, W> {
    fn is_wanted(&self) -> bool {
        !self.answer.is_closed()
    }

    fn run(self: Box<Self>, memory: &mut [Block]) {
        let Self { work, answer } = *self;
        let done = catch_unwind(AssertUnwindSafe(|| work(memory)));
        answer.send(done.map_err(|_| PoolError::Unfinished)).ok();
    }
}

impl Pool {
    fn new(running_max: usize, waiting_max: usize) -> Self {
        let state = PoolState { running: 0, idle: Vec::new(), waiting: FairQueue::new(waiting_max) };
        Self { running_max, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        asker: Asker,
        work: impl FnOnce(&mut [Block]) -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let (answer, answered) = oneshot::channel();
        let is_new = {
            let mut state = self.lock();
            // What comes back found no place, or gave its own to this one. Dropping it tells whoever asked.
            drop(state.waiting.push(asker, Box::new(Asked { work, answer })));
            let is_new = state.running < self.running_max;
            state.running += usize::from(is_new);
            is_new
        };
        if is_new {
            let pool = self.clone();
            tokio::task::spawn_blocking(move || pool.work_off());
        }
        answered.await.unwrap_or(Err(PoolError::Busy))
    }

    /// Does what waits until nothing does.
    fn work_off(&self) {
        let mut memory = self.lock().idle.pop().unwrap_or_default();
        memory.resize(ARGON2_STORED_MEMORY_KIB_MAX as usize, Block::new());
        while let Some(job) = self.next_or_rest(&mut memory) {
            job.run(&mut memory);
        }
    }

    /// The next job that somebody still waits for; without one, the memory is put back and this thread counted out, so that
    /// the next job starts another.
    fn next_or_rest(&self, memory: &mut Vec<Block>) -> Option<Box<dyn Job>> {
        let mut state = self.lock();
        loop {
            match state.waiting.pop() {
                Some(job) if job.is_wanted() => return Some(job),
                Some(_) => {}
                None => {
                    state.running -= 1;
                    state.idle.push(std::mem::take(memory));
                    return None;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, sync::mpsc};

    use super::*;
    use crate::model::{Email, PasswordError};

    const HOME: Asker = Asker::Network(IpAddr::V4(Ipv4Addr::LOCALHOST));

    fn parse(text: &str) -> Result<NewPassword, PasswordError> {
        NewPassword::parse(text, &Email::parse("ana.banana@example.com").unwrap())
    }

    async fn check(hasher: &Hasher, password: &str, stored: Option<&StoredHash>) -> Checked {
        hasher.check(password.into(), stored.cloned(), HOME).await.unwrap()
    }

    #[tokio::test]
    async fn s24_a_password_is_stored_as_an_argon2id_phc_string_of_owasps_parameters() {
        let hasher = Hasher::new(2);
        let stored = hasher.hash(parse("correct horse").unwrap(), HOME).await.unwrap();
        assert!(stored.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", stored.0);
        assert_eq!(check(&hasher, "correct horse", Some(&stored)).await, Checked::Right);
        assert_eq!(check(&hasher, "correct house", Some(&stored)).await, Checked::Wrong);
        assert_eq!(check(&hasher, "nobody's password", None).await, Checked::Wrong);
    }

    #[tokio::test]
    async fn s24_a_hash_that_the_library_made_by_itself_is_understood() {
        // As every version before stored it, with memory of its own.
        let before = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21l$";
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 1, 1, None).unwrap());
        let mut output = [0; HASH_BYTES];
        argon2.hash_password_into(b"correct horse", b"somesaltsome", &mut output).unwrap();
        let stored = StoredHash(format!("{before}{}", Output::new(&output).unwrap()));
        assert!(matches!(check(&Hasher::new(1), "correct horse", Some(&stored)).await, Checked::RightButOld(_)));
    }

    #[tokio::test]
    async fn s24_a_hash_of_other_parameters_is_renewed_when_it_is_used() {
        let weak = Hasher::with(Params::new(64, 1, 1, None).unwrap(), 1);
        let old = weak.hash(parse("correct horse").unwrap(), HOME).await.unwrap();
        let hasher = Hasher::new(1);
        let Checked::RightButOld(new) = check(&hasher, "correct horse", Some(&old)).await else {
            panic!("the old hash was kept");
        };
        assert_eq!(check(&hasher, "correct horse", Some(&new)).await, Checked::Right);
        assert_eq!(salt_of(&new), salt_of(&old), "devices that are known go by the salt");
        let again = hasher.hash(parse("correct horse").unwrap(), HOME).await.unwrap();
        assert_ne!(salt_of(&again), salt_of(&new));
    }

    #[tokio::test]
    async fn s24_a_stored_hash_that_asks_for_more_than_is_set_aside_matches_nothing() {
        for (memory, passes) in [(ARGON2_STORED_MEMORY_KIB_MAX + 4, 1), (64, ARGON2_STORED_PASSES_MAX + 1)] {
            let argon2 =
                Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(memory, passes, 1, None).unwrap());
            let mut output = [0; HASH_BYTES];
            argon2.hash_password_into(b"correct horse", &[7; SALT_BYTES], &mut output).unwrap();
            let stored = phc(&argon2, [7; SALT_BYTES], &output);
            assert_eq!(check(&Hasher::new(1), "correct horse", Some(&stored)).await, Checked::Wrong);
        }
    }

    /// A pool of one thread that is held up until the sender is dropped.
    async fn held_up(waiting_max: usize) -> (Arc<Pool>, mpsc::Sender<()>) {
        let pool = Arc::new(Pool::new(1, waiting_max));
        let (release, held) = mpsc::channel::<()>();
        let (started, running) = oneshot::channel();
        let work = move |_: &mut [Block]| {
            started.send(()).unwrap();
            held.recv().ok();
        };
        tokio::spawn({
            let pool = pool.clone();
            async move { pool.run(Asker::Operator, work).await }
        });
        running.await.unwrap();
        (pool, release)
    }

    fn network(n: u8) -> Asker {
        Asker::Network(IpAddr::from([192, 0, 2, n]))
    }

    #[tokio::test]
    async fn s26_when_no_more_may_wait_the_flood_makes_room_for_who_comes() {
        let (pool, release) = held_up(2).await;
        let mut greedy = [1, 2].map(|n| Box::pin(pool.run(network(1), move |_| n)));
        for waiting in &mut greedy {
            assert!(futures_util::poll!(waiting).is_pending());
        }
        let mut other = Box::pin(pool.run(network(2), |_| 3));
        assert!(futures_util::poll!(&mut other).is_pending());
        assert_eq!(pool.run(network(3), |_| 4).await, Err(PoolError::Busy), "everybody waits for one");
        let mut known = Box::pin(pool.run(Asker::Known(PersonId::fresh()), |_| 5));
        assert!(futures_util::poll!(&mut known).is_pending());
        drop(release);
        assert_eq!(known.await, Ok(5));
        let [first, second] = greedy;
        assert_eq!(first.await, Err(PoolError::Busy));
        assert_eq!([second.await, other.await].into_iter().filter(Result::is_ok).count(), 1, "one of them made room");
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_not_computed() {
        let (pool, release) = held_up(8).await;
        let (begun, is_begun) = mpsc::channel();
        let mut given_up = Box::pin(pool.run(network(1), move |_| begun.send(()).unwrap()));
        assert!(futures_util::poll!(&mut given_up).is_pending());
        drop(given_up);
        drop(release);
        pool.run(network(1), |_| ()).await.unwrap();
        assert!(is_begun.try_recv().is_err());
    }

    #[tokio::test]
    async fn work_that_panics_gives_its_place_back() {
        let pool = Arc::new(Pool::new(1, 8));
        assert_eq!(pool.run(network(1), |_| panic!("on purpose")).await, Err::<(), _>(PoolError::Unfinished));
        assert_eq!(pool.run(network(1), |_| 1).await, Ok(1));
    }
}
