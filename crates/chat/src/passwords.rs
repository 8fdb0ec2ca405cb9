//! Passwords: what may be one, and how it is hashed and checked.
//!
//! Argon2id with OWASP's parameters, stored as a PHC string, so that they can change later: a hash made with other
//! parameters is renewed at the next sign-in. Hashing runs on a bounded pool, because each takes 19 MiB and a core.

use std::{
    collections::HashSet,
    sync::{Arc, LazyLock},
};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};

use crate::{
    limits::{
        ARGON2_MEMORY_KIB, ARGON2_PASSES, HASHES_RUNNING_MAX, HASHES_WAITING_MAX, PASSWORD_BYTES_MAX,
        PASSWORD_CHARS_MIN,
    },
    names::Email,
    pool::{Pool, PoolError},
};

/// A password that may be set: long enough, not too long, not a common one. No rules of composition (S25).
#[derive(Clone)]
pub struct NewPassword(String);

/// Why a text may not become a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Fewer than [`PASSWORD_CHARS_MIN`] characters.
    #[error("must have at least {PASSWORD_CHARS_MIN} characters")]
    TooShort,
    /// More than [`PASSWORD_BYTES_MAX`] bytes.
    #[error("may have at most {PASSWORD_BYTES_MAX} bytes")]
    TooLong,
    /// One of those everybody tries first, or the account's own e-mail address.
    #[error("is one of the passwords that are guessed first")]
    Common,
}

/// The passwords guessed first that are long enough to be set, one a line, in lower case.
static COMMON: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| include_str!("passwords.txt").lines().filter(|line| !line.starts_with('#')).collect());

impl NewPassword {
    /// Reads a password that is to be set for the account of `email`.
    ///
    /// # Errors
    /// When it is too short, too long, or easily guessed.
    pub fn parse(text: &str, email: &Email) -> Result<Self, PasswordError> {
        if text.len() > PASSWORD_BYTES_MAX {
            return Err(PasswordError::TooLong);
        }
        if text.chars().count() < PASSWORD_CHARS_MIN {
            return Err(PasswordError::TooShort);
        }
        let folded = text.trim().to_lowercase();
        let first = folded.chars().next();
        let one_character = folded.chars().all(|c| Some(c) == first);
        if one_character || COMMON.contains(folded.as_str()) || folded == email.as_str() {
            return Err(PasswordError::Common);
        }
        Ok(Self(text.to_owned()))
    }
}

impl std::fmt::Debug for NewPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NewPassword(…)")
    }
}

/// A stored hash: a PHC string.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredHash(pub(crate) String);

impl std::fmt::Debug for StoredHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoredHash(…)")
    }
}

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
            nobody: Arc::new(hash(&argon2, "nobody's password")),
            argon2,
        }
    }

    /// Hashes a new password with a fresh salt.
    pub(crate) async fn hash(&self, password: NewPassword) -> Result<StoredHash, PoolError> {
        let argon2 = self.argon2.clone();
        self.pool.run(move || hash(&argon2, &password.0)).await
    }

    /// Checks a password against an account's hash. Without an account the same work is done in vain, so that the answer
    /// takes as long (S26).
    pub(crate) async fn check(&self, password: String, stored: Option<StoredHash>) -> Result<Checked, PoolError> {
        if password.len() > PASSWORD_BYTES_MAX {
            return Ok(Checked::Wrong);
        }
        let (argon2, nobody) = (self.argon2.clone(), self.nobody.clone());
        let work = move || {
            let known = stored.is_some();
            let right = verify(&argon2, &password, stored.as_ref().unwrap_or(&nobody));
            match stored {
                Some(stored) if known && right && is_old(&argon2, &stored) => {
                    Checked::RightButOld(hash(&argon2, &password))
                }
                Some(_) if known && right => Checked::Right,
                _ => Checked::Wrong,
            }
        };
        self.pool.run(work).await
    }
}

fn hash(argon2: &Argon2<'_>, password: &str) -> StoredHash {
    let hash: PasswordHash = argon2.hash_password(password.as_bytes()).expect("the parameters are valid");
    StoredHash(hash.to_string())
}

fn verify(argon2: &Argon2<'_>, password: &str, stored: &StoredHash) -> bool {
    // The parameters in the stored hash are used, not ours; a hash that cannot be read matches nothing.
    PasswordHash::new(&stored.0).is_ok_and(|hash| argon2.verify_password(password.as_bytes(), &hash).is_ok())
}

fn is_old(argon2: &Argon2<'_>, stored: &StoredHash) -> bool {
    let Ok(hash) = PasswordHash::new(&stored.0) else { return true };
    let same = Params::try_from(&hash).is_ok_and(|params| {
        let ours = argon2.params();
        (params.m_cost(), params.t_cost(), params.p_cost()) == (ours.m_cost(), ours.t_cost(), ours.p_cost())
    });
    !same || hash.algorithm.as_str() != "argon2id"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn email() -> Email {
        Email::parse("ana.banana@example.com").unwrap()
    }

    fn parse(text: &str) -> Result<NewPassword, PasswordError> {
        NewPassword::parse(text, &email())
    }

    #[test]
    fn s25_a_password_has_at_least_ten_characters_and_no_rules_of_composition() {
        assert_eq!(parse("ninechars").unwrap_err(), PasswordError::TooShort);
        assert!(parse("only letters").is_ok());
        assert!(parse("десятьбукв").is_ok(), "characters are counted, not bytes");
        assert!(parse(&"long ".repeat(204)).is_ok());
        assert_eq!(parse(&"x".repeat(1025)).unwrap_err(), PasswordError::TooLong);
    }

    #[test]
    fn s25_a_password_that_is_guessed_first_is_refused() {
        assert!(COMMON.len() > 3_000, "{}", COMMON.len());
        for text in ["password123", "Password123", "1234567890", "qwertyuiop", "aaaaaaaaaaaa", "Ana.Banana@example.com"]
        {
            assert_eq!(parse(text).unwrap_err(), PasswordError::Common, "{text}");
        }
    }

    #[tokio::test]
    async fn s24_a_password_is_stored_as_an_argon2id_phc_string_of_owasps_parameters() {
        let hasher = Hasher::new(2);
        let stored = hasher.hash(parse("correct horse").unwrap()).await.unwrap();
        assert!(stored.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", stored.0);
        assert_eq!(hasher.check("correct horse".into(), Some(stored.clone())).await.unwrap(), Checked::Right);
        assert_eq!(hasher.check("correct house".into(), Some(stored)).await.unwrap(), Checked::Wrong);
        assert_eq!(hasher.check("nobody's password".into(), None).await.unwrap(), Checked::Wrong);
    }

    #[tokio::test]
    async fn s24_a_hash_of_other_parameters_is_renewed_when_it_is_used() {
        let weak = Hasher::with(Params::new(64, 1, 1, None).unwrap(), 1);
        let old = weak.hash(parse("correct horse").unwrap()).await.unwrap();
        let hasher = Hasher::new(1);
        let Checked::RightButOld(new) = hasher.check("correct horse".into(), Some(old)).await.unwrap() else {
            panic!("the old hash was kept");
        };
        assert_eq!(hasher.check("correct horse".into(), Some(new)).await.unwrap(), Checked::Right);
    }
}
