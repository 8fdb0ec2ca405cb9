//! The keys of an issuer that publishes them at an address (a JSON Web Key Set, RFC 7517): fetched, kept, and fetched again when
//! a token names one that is not known yet.
//!
//! [`Cache`] decides and knows no clock and no network; [`KeySet`] is around it. Whoever makes up names of keys has the
//! address asked once in [`JWKS_PAUSE`] and no more, and meanwhile nobody is told that a token is wrong for good: its key may
//! have come since. While the address does not answer with a set, the last one stays; a set that has no key, or none that can be
//! used, is one: what is not in it was withdrawn.

use super::fetch::Fetcher;
use super::keys::{Key, WrittenJwk};
use crate::limits::{JWKS_FRESH, JWKS_KEYS_MAX, JWKS_PAUSE, JWKS_TIME_MAX};
use http::Uri;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// The keys at an address.
pub(crate) struct KeySet {
    url: Uri,
    /// The only ones that a key may be for.
    algorithms: Vec<Algorithm>,
    fetcher: Fetcher,
    pace: Pace,
    cache: Mutex<Cache>,
    /// One at a time; the others wait for what it brings.
    fetching: tokio::sync::Mutex<()>,
}

/// How often and for how long the address is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) fresh: Duration,
    pub(crate) pause: Duration,
    pub(crate) time_max: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { fresh: JWKS_FRESH, pause: JWKS_PAUSE, time_max: JWKS_TIME_MAX }
    }
}

/// Why there is no key for a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoKey {
    /// It is not in the set.
    Unknown(String),
    /// It cannot be known now: the address does not answer, or was asked just before.
    Later(String),
}

impl KeySet {
    pub(crate) fn new(url: Uri, algorithms: Vec<Algorithm>, pace: Pace) -> Self {
        let (cache, fetching) = Default::default();
        Self { url, algorithms, fetcher: Fetcher::new(), pace, cache, fetching }
    }

    /// Whether it is the one of this address and these algorithms.
    pub(crate) fn is(&self, url: &Uri, algorithms: &[Algorithm]) -> bool {
        self.url == *url && self.algorithms == algorithms
    }

    pub(crate) fn url(&self) -> &Uri {
        &self.url
    }

    /// The keys that a token with this header may be signed with: one, unless several have the same name.
    pub(crate) async fn find(self: &Arc<Self>, kid: Option<&str>, algorithm: Algorithm) -> Result<Vec<Key>, NoKey> {
        let begun = Instant::now();
        let next = self.cache().next(kid, algorithm, begun, self.pace);
        match next {
            Next::Use(keys) => return Ok(keys),
            Next::UseAndFetch(keys) => {
                self.start_to_fetch(begun);
                return Ok(keys);
            }
            Next::Refuse(why) => return Err(why),
            Next::Fetch => {}
        }
        self.start_to_fetch(begun).await.ok();
        let cache = self.cache();
        match cache.next(kid, algorithm, Instant::now(), self.pace) {
            Next::Use(keys) | Next::UseAndFetch(keys) => Ok(keys),
            // Answered after this token came: it is not there.
            _ if cache.fetched_at.is_some_and(|at| at >= begun) => Err(unknown(kid, &cache.keys)),
            Next::Refuse(why) => Err(why),
            Next::Fetch => Err(NoKey::Later("its address does not answer".into())),
        }
    }

    /// Asks the address, unless it has answered since then. Goes on when nobody waits for it any more: what it brings is everybody's.
    pub(crate) fn start_to_fetch(self: &Arc<Self>, since: Instant) -> JoinHandle<()> {
        let set = self.clone();
        tokio::spawn(async move { set.fetch(since).await })
    }

    async fn fetch(&self, since: Instant) {
        let _one = self.fetching.lock().await;
        {
            let mut cache = self.cache();
            if cache.answered_at.is_some_and(|at| at >= since) {
                return;
            }
            (cache.asked_at, cache.is_asked) = (Some(Instant::now()), true);
        }
        let fetched = timeout(self.pace.time_max, self.fetcher.get(&self.url)).await;
        let fetched = fetched.unwrap_or_else(|_| Err("it did not answer in time".into()));
        let read = fetched.and_then(|body| read_set(&body, &self.algorithms));
        let mut cache = self.cache();
        (cache.answered_at, cache.is_asked) = (Some(Instant::now()), false);
        match read {
            Ok((keys, why_not_others)) => {
                let (url, count) = (&self.url, keys.len());
                let useless = why_not_others.filter(|_| keys.is_empty());
                let failing =
                    useless.map(|why| format!("there is no key in it that can be used; of the last one, {why}"));
                let changes = cache.keys.len() != count || cache.failing != failing || cache.fetched_at.is_none();
                if changes && keys.is_empty() {
                    let why = failing.as_deref().unwrap_or("it has none");
                    tracing::warn!(%url, why, "the set of an issuer of client tokens has no key: none of its tokens is taken");
                } else if changes {
                    tracing::info!(%url, keys = count, "the keys of an issuer of client tokens were read");
                }
                cache.failing = failing;
                (cache.keys, cache.fetched_at) = (keys.into(), Some(Instant::now()));
            }
            Err(why) => {
                let (url, kept) = (&self.url, cache.keys.len());
                tracing::warn!(%url, why, kept, "the keys of an issuer of client tokens cannot be read; those that were read before stay");
                cache.failing = Some(why);
            }
        }
    }

    /// Why the address was not read when it was asked last.
    pub(crate) fn failing(&self) -> Option<String> {
        self.cache().failing.clone()
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of a set.
#[derive(Default)]
struct Cache {
    keys: Arc<[Key]>,
    /// When the set was read last.
    fetched_at: Option<Instant>,
    /// When the address was asked last, and when it had answered or was given up.
    asked_at: Option<Instant>,
    answered_at: Option<Instant>,
    /// It is being asked.
    is_asked: bool,
    /// Why it failed then.
    failing: Option<String>,
}

/// What to do about a token.
enum Next {
    Use(Vec<Key>),
    /// It is old: the next one shall find it new.
    UseAndFetch(Vec<Key>),
    Fetch,
    Refuse(NoKey),
}

impl Cache {
    fn next(&self, kid: Option<&str>, algorithm: Algorithm, now: Instant, pace: Pace) -> Next {
        let is_past = |at: Option<Instant>, span| at.is_none_or(|at| now.saturating_duration_since(at) >= span);
        // Whoever comes while it is asked waits for the same answer.
        let may_fetch = self.is_asked || is_past(self.asked_at, pace.pause);
        let fitting = self.keys.iter().filter(|key| key.fits(algorithm));
        let mut found: Vec<_> = fitting.filter(|key| kid.is_none() || key.kid.as_deref() == kid).cloned().collect();
        if kid.is_none() && found.len() > 1 {
            // To try them all would be work for nothing with each token that somebody made up.
            found.clear();
        }
        match (found.is_empty(), may_fetch) {
            // Long enough that a key may have been taken out for a reason; if the address does not answer, it stays.
            (false, true) if is_past(self.fetched_at, pace.fresh * 2) => Next::Fetch,
            (false, true) if is_past(self.fetched_at, pace.fresh) => Next::UseAndFetch(found),
            (false, _) => Next::Use(found),
            // A set that has been read does not change for a token that names none of it.
            (true, _) if kid.is_none() && self.fetched_at.is_some() && !is_past(self.fetched_at, pace.fresh) => {
                Next::Refuse(unknown(kid, &self.keys))
            }
            (true, true) => Next::Fetch,
            (true, false) => {
                let why = self.failing.as_ref().map_or_else(
                    || "the set was asked for just before, and does not have it".to_owned(),
                    |failing| format!("its address does not give the keys: {failing}"),
                );
                Next::Refuse(NoKey::Later(why))
            }
        }
    }
}

fn unknown(kid: Option<&str>, keys: &[Key]) -> NoKey {
    NoKey::Unknown(match kid {
        Some(kid) => format!(
            "its header `kid` is {kid:?}, and no key of that name and its algorithm is in the set ({} keys)",
            keys.len()
        ),
        None => format!("its header has no `kid`, and {} keys are in the set", keys.len()),
    })
}

/// The keys of a set that can be used, and why the last of the others is passed over.
fn read_set(body: &[u8], algorithms: &[Algorithm]) -> Result<(Vec<Key>, Option<String>), String> {
    #[derive(Deserialize)]
    struct Written<'a> {
        #[serde(borrow)]
        keys: Vec<&'a RawValue>,
    }
    let Written { keys } =
        serde_json::from_slice(body).map_err(|error| format!("it is no JSON Web Key Set: {error}"))?;
    if keys.len() > JWKS_KEYS_MAX {
        return Err(format!("it has {} keys; at most {JWKS_KEYS_MAX} are read", keys.len()));
    }
    let mut passed_over = None;
    let read = |key: &RawValue| {
        let key = serde_json::from_str::<WrittenJwk>(key.get()).map_err(|error| error.to_string()).and_then(Key::jwk);
        let key = key.and_then(|key| {
            let is_allowed = algorithms.iter().any(|algorithm| key.fits(*algorithm));
            if is_allowed { Ok(key) } else { Err("it is for none of the algorithms that are configured".to_owned()) }
        });
        key.map_err(|why| passed_over = Some(why)).ok()
    };
    let usable = keys.into_iter().filter_map(read).collect();
    Ok((usable, passed_over))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::Algorithm::{ES256, EdDSA, PS256, RS256};
    use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
    use jsonwebtoken::{DecodingKey, EncodingKey, Header};
    use serde_json::{Value, json};
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::sync::watch;

    const RSA: &str = include_str!("testdata/rsa.pub.pem");
    const P256: &str = include_str!("testdata/p256.pub.pem");
    const ED: &str = include_str!("testdata/ed25519.pub.pem");

    /// A public key as a set has it, with what else is said of it.
    #[expect(clippy::needless_pass_by_value, reason = "it is written where it is given")]
    fn jwk(pem: &str, more: Value) -> Value {
        let bytes = pem.as_bytes();
        let key = DecodingKey::from_rsa_pem(bytes)
            .or_else(|_| DecodingKey::from_ec_pem(bytes))
            .or_else(|_| DecodingKey::from_ed_pem(bytes));
        let parts: AlgorithmParameters = Jwk::from_decoding_key(&key.unwrap(), None).unwrap().algorithm;
        let mut written = serde_json::to_value(parts).unwrap();
        written.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        written
    }

    fn set(keys: &[Value]) -> String {
        json!({"keys": keys}).to_string()
    }

    fn named(kid: &str) -> Value {
        jwk(RSA, json!({"kid": kid, "alg": "RS256", "use": "sig"}))
    }

    /// How the test's server answers.
    #[derive(Clone)]
    enum Answer {
        Body(String),
        Raw(String),
        /// Takes the request and says nothing.
        Silence,
        /// Never ends.
        Flood,
        Close,
    }

    /// A small server for one address.
    struct Publisher {
        url: Uri,
        answer: watch::Sender<Answer>,
        asked: Arc<AtomicUsize>,
    }

    impl Publisher {
        async fn start(first: Answer) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}/keys", listener.local_addr().unwrap()).parse().unwrap();
            let (answer, answers) = watch::channel(first);
            let asked = Arc::<AtomicUsize>::default();
            let count = asked.clone();
            tokio::spawn(async move {
                loop {
                    let (mut socket, _) = listener.accept().await.unwrap();
                    let (answer, count) = (answers.borrow().clone(), count.clone());
                    tokio::spawn(async move {
                        let mut head = Vec::new();
                        while !head.ends_with(b"\r\n\r\n") {
                            head.push(socket.read_u8().await?);
                        }
                        count.fetch_add(1, SeqCst);
                        match answer {
                            Answer::Body(body) => {
                                let length = body.len();
                                let head =
                                    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
                                socket.write_all((head + &body).as_bytes()).await?;
                            }
                            Answer::Raw(text) => socket.write_all(text.as_bytes()).await?,
                            Answer::Silence => std::future::pending().await,
                            Answer::Flood => {
                                socket.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await?;
                                loop {
                                    socket.write_all(&[b' '; 8192]).await?;
                                }
                            }
                            Answer::Close => {}
                        }
                        Ok::<_, std::io::Error>(())
                    });
                }
            });
            Self { url, answer, asked }
        }

        fn answers(&self, answer: Answer) {
            self.answer.send_replace(answer);
        }

        fn asked(&self) -> usize {
            self.asked.load(SeqCst)
        }

        fn keys(&self, pace: Pace) -> Arc<KeySet> {
            Arc::new(KeySet::new(self.url.clone(), vec![RS256, ES256, EdDSA], pace))
        }
    }

    /// No pause: each unknown name is asked for.
    const EAGER: Pace =
        Pace { fresh: Duration::from_hours(1), pause: Duration::ZERO, time_max: Duration::from_secs(5) };
    const PATIENT: Pace = Pace { pause: Duration::from_hours(1), ..EAGER };

    async fn names(set: &Arc<KeySet>, kid: Option<&str>) -> Result<Vec<Option<String>>, NoKey> {
        Ok(set.find(kid, RS256).await?.into_iter().map(|key| key.kid).collect())
    }

    fn found(kid: &str) -> Result<Vec<Option<String>>, NoKey> {
        Ok(vec![Some(kid.to_owned())])
    }

    #[tokio::test]
    async fn a_key_that_came_since_is_found_by_the_first_token_that_names_it_and_one_that_went_is_gone() {
        let publisher = Publisher::start(Answer::Body(set(&[named("one")]))).await;
        let keys = publisher.keys(EAGER);
        assert_eq!(names(&keys, Some("one")).await, found("one"));
        assert_eq!(names(&keys, Some("one")).await, found("one"));
        assert_eq!(publisher.asked(), 1, "what is known is not asked for");
        publisher.answers(Answer::Body(set(&[named("two")])));
        assert_eq!(names(&keys, Some("two")).await, found("two"));
        assert!(matches!(names(&keys, Some("one")).await, Err(NoKey::Unknown(_))));
    }

    #[tokio::test]
    async fn s30_names_that_somebody_makes_up_have_the_address_asked_once_in_a_while_and_nobody_told_for_good() {
        let publisher = Publisher::start(Answer::Body(set(&[named("one")]))).await;
        let keys = publisher.keys(PATIENT);
        assert!(matches!(names(&keys, Some("made up")).await, Err(NoKey::Unknown(_))), "asked for this one");
        for number in 0..200 {
            let kid = format!("made up {number}");
            assert!(matches!(names(&keys, Some(&kid)).await, Err(NoKey::Later(_))));
        }
        assert_eq!(names(&keys, Some("one")).await, found("one"));
        assert_eq!(publisher.asked(), 1);
    }

    #[tokio::test]
    async fn all_who_come_at_once_wait_for_one_answer() {
        let publisher = Publisher::start(Answer::Body(set(&[named("one")]))).await;
        let keys = publisher.keys(PATIENT);
        let all = (0..50).map(|_| names(&keys, Some("one")));
        let all = futures_util::future::join_all(all).await;
        assert!(all.into_iter().all(|one| one == found("one")));
        assert_eq!(publisher.asked(), 1);
    }

    #[tokio::test]
    async fn the_last_set_stays_while_the_address_gives_none() {
        let publisher = Publisher::start(Answer::Body(set(&[named("one")]))).await;
        let keys = publisher.keys(EAGER);
        assert_eq!(names(&keys, Some("one")).await, found("one"));
        let large = json!({"keys": [], "padding": "x".repeat(crate::limits::JWKS_BYTES_MAX)}).to_string();
        for (answer, why) in [
            (Answer::Close, ""),
            (Answer::Body("no JSON".into()), "no JSON Web Key Set"),
            (Answer::Body("[]".into()), "no JSON Web Key Set"),
            (Answer::Body(set(&vec![named("two"); crate::limits::JWKS_KEYS_MAX + 1])), "keys; at most"),
            (Answer::Body(large), "more than"),
            (Answer::Flood, "more than"),
            (Answer::Raw("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n".into()), "it answers 500"),
            (
                Answer::Raw("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".into()),
                "where nobody goes",
            ),
            (Answer::Raw("garbage\r\n\r\n".into()), ""),
        ] {
            publisher.answers(answer);
            let refused = names(&keys, Some("two")).await;
            assert!(matches!(&refused, Err(NoKey::Later(_))), "{refused:?}");
            let failing = keys.failing().unwrap();
            assert!(failing.contains(why), "{failing}");
            assert_eq!(names(&keys, Some("one")).await, found("one"));
        }
        publisher.answers(Answer::Body(set(&[named("two")])));
        assert_eq!(names(&keys, Some("two")).await, found("two"));
        assert_eq!(keys.failing(), None);
    }

    #[tokio::test]
    async fn s30_a_set_without_keys_withdraws_those_that_were_in_it() {
        let useless = json!({"kty": "oct", "k": "c2VjcmV0", "kid": "two"});
        for (withdrawn, why) in [(vec![], None), (vec![useless], Some("it is none of RSA, EC"))] {
            let publisher = Publisher::start(Answer::Body(set(&[named("one")]))).await;
            let keys = publisher.keys(EAGER);
            assert_eq!(names(&keys, Some("one")).await, found("one"));
            publisher.answers(Answer::Body(set(&withdrawn)));
            // Another name has it asked for; what was known is not known any more.
            assert!(matches!(names(&keys, Some("two")).await, Err(NoKey::Unknown(_))));
            assert!(matches!(names(&keys, Some("one")).await, Err(NoKey::Unknown(_))));
            let failing = keys.failing();
            assert!(failing.is_some() == why.is_some() && failing.is_none_or(|said| said.contains(why.unwrap())));
            publisher.answers(Answer::Body(set(&[named("one")])));
            assert_eq!((names(&keys, Some("one")).await, keys.failing()), (found("one"), None));
        }
    }

    #[tokio::test]
    async fn an_address_that_does_not_answer_holds_nobody_up_for_long() {
        let publisher = Publisher::start(Answer::Silence).await;
        let keys = publisher.keys(Pace { time_max: Duration::from_millis(50), ..PATIENT });
        let refused = names(&keys, Some("one")).await;
        assert!(matches!(&refused, Err(NoKey::Later(why)) if why.contains("did not answer in time")), "{refused:?}");
        // Meanwhile nobody asks it again.
        assert!(matches!(names(&keys, Some("one")).await, Err(NoKey::Later(_))));
        assert_eq!(publisher.asked(), 1);
    }

    #[tokio::test]
    async fn a_set_that_is_old_is_used_once_more_and_renewed_behind_it_and_one_that_is_very_old_is_renewed_first() {
        let publisher = Publisher::start(Answer::Body(set(&[named("one")]))).await;
        let ages = |fresh| Pace { fresh, ..EAGER };
        let old = publisher.keys(ages(Duration::from_hours(1)));
        assert_eq!(names(&old, Some("one")).await, found("one"));
        let very_old = publisher.keys(ages(Duration::ZERO));
        very_old.fetch(Instant::now()).await;
        publisher.answers(Answer::Body(set(&[named("two")])));
        // As old as twice what is fresh: a key that was taken out is asked about before it is used.
        assert!(matches!(names(&very_old, Some("one")).await, Err(NoKey::Unknown(_))));
        let mut cache = Cache { fetched_at: Some(Instant::now()), asked_at: Some(Instant::now()), ..Cache::default() };
        cache.keys = [Key::jwk(serde_json::from_value(named("one")).unwrap()).unwrap()].into();
        let pace = Pace { fresh: Duration::from_secs(60), pause: Duration::from_secs(10), ..EAGER };
        let at = |seconds| match cache.next(Some("one"), RS256, Instant::now() + Duration::from_secs(seconds), pace) {
            Next::Use(_) => "use",
            Next::UseAndFetch(_) => "use and fetch",
            Next::Fetch => "fetch",
            Next::Refuse(_) => "refuse",
        };
        assert_eq!([at(0), at(59), at(61), at(121)], ["use", "use", "use and fetch", "fetch"]);
    }

    #[tokio::test]
    async fn s30_only_keys_whose_use_and_algorithm_fit_are_taken() {
        let keys = |keys: &[Value]| read_set(set(keys).as_bytes(), &[RS256, ES256]);
        let good = [
            jwk(RSA, json!({"kid": "a"})),
            jwk(RSA, json!({"kid": "b", "alg": "RS256", "use": "sig", "key_ops": ["verify"], "x5c": ["MIIB"]})),
            jwk(P256, json!({"kid": "c", "alg": "ES256"})),
        ];
        assert_eq!(keys(&good).unwrap().0.len(), 3);
        for (bad, why) in [
            (jwk(RSA, json!({"use": "enc"})), "`use`"),
            (jwk(RSA, json!({"key_ops": ["encrypt"]})), "`key_ops`"),
            (jwk(RSA, json!({"alg": "RSA-OAEP"})), "`alg`"),
            (jwk(RSA, json!({"alg": "HS256"})), "`alg`"),
            (jwk(RSA, json!({"alg": "PS256"})), "none of the algorithms that are configured"),
            (jwk(ED, json!({})), "none of the algorithms that are configured"),
            (jwk(P256, json!({"crv": "P-384"})), "the curve that it names"),
            (jwk(P256, json!({"crv": "P-521"})), "it is none of"),
            (jwk(P256, json!({"x": "AAAA"})), ""),
            (jwk(P256, json!({"y": jwk(P256, json!({}))["x"]})), ""),
            (jwk(ED, json!({"x": "AAAA"})), ""),
            (jwk(RSA, json!({"n": "AQAB"})), "an RSA key of 17 bits"),
            (jwk(RSA, json!({"n": "no base 64!"})), ""),
            (json!({"kty": "oct", "k": "c2VjcmV0"}), "it is none of"),
            (json!("a key"), ""),
            (json!({"kid": "nothing"}), ""),
        ] {
            let (taken, refused) = keys(std::slice::from_ref(&bad)).unwrap();
            assert!(taken.is_empty() && refused.as_ref().unwrap().contains(why), "{bad} {refused:?}");
            // What is wrong with one is no harm to the others.
            assert_eq!(keys(&[bad, good[0].clone()]).unwrap().0.len(), 1);
        }
        let only = keys(&[jwk(RSA, json!({"alg": "RS256"}))]).unwrap().0.remove(0);
        assert!(only.fits(RS256) && !only.fits(PS256));
    }

    #[tokio::test]
    async fn without_a_name_a_token_is_for_the_one_key_that_fits_and_for_none_of_several() {
        let publisher = Publisher::start(Answer::Body(set(&[named("one"), jwk(P256, json!({"kid": "two"}))]))).await;
        let keys = publisher.keys(PATIENT);
        assert_eq!(names(&keys, None).await, found("one"));
        let publisher = Publisher::start(Answer::Body(set(&[named("one"), named("two")]))).await;
        let keys = publisher.keys(PATIENT);
        for _ in 0..2 {
            let refused = names(&keys, None).await;
            assert!(matches!(&refused, Err(NoKey::Unknown(why)) if why.contains("no `kid`")), "{refused:?}");
        }
    }

    #[tokio::test]
    async fn s30_a_token_is_checked_with_the_key_that_it_names() {
        use crate::tokens::{Issuer, Issuers, Keys, Parties, TokenError, Tokens, now};
        let publisher = Publisher::start(Answer::Body(set(&[named("one"), jwk(ED, json!({"kid": "two"}))]))).await;
        let issuer = Issuer {
            name: "login".into(),
            iss: Some("login".into()),
            audience: None,
            algorithms: vec![RS256, EdDSA],
            keys: Keys::Published(publisher.keys(EAGER)),
        };
        let tokens =
            Tokens::new(Issuers::new(Issuer::own("the-own-secret-of-it", Parties::default()), vec![issuer]), false);
        let claims = json!({"sub": "42", "iss": "login", "exp": now().as_secs() + 60});
        let rsa = EncodingKey::from_rsa_pem(include_bytes!("testdata/rsa.pem")).unwrap();
        let ed = EncodingKey::from_ed_pem(include_bytes!("testdata/ed25519.pem")).unwrap();
        let token = |algorithm, kid: &str, key: &EncodingKey| {
            let header = Header { kid: Some(kid.into()), ..Header::new(algorithm) };
            jsonwebtoken::encode(&header, &claims, key).unwrap()
        };
        assert!(tokens.check(&token(RS256, "one", &rsa)).await.is_ok());
        assert!(tokens.check(&token(EdDSA, "two", &ed)).await.is_ok());
        for wrong in [
            token(RS256, "two", &rsa),
            token(EdDSA, "one", &ed),
            token(PS256, "one", &rsa),
            token(RS256, "three", &rsa),
        ] {
            assert_eq!(tokens.check(&wrong).await.unwrap_err(), TokenError::Invalid);
        }
        publisher.answers(Answer::Close);
        assert_eq!(tokens.check(&token(RS256, "three", &rsa)).await.unwrap_err(), TokenError::Unavailable);
        assert!(tokens.check(&token(RS256, "one", &rsa)).await.is_ok());
    }
}
