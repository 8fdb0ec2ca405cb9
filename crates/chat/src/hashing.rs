//! How passwords are hashed and checked.
//!
//! Argon2id with OWASP's parameters, stored as a PHC string, so that they can change later: a hash made with other
//! parameters is renewed at the next sign-in. Hashing runs on a bounded pool, because each takes 19 MiB and a core.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};

use crate::{
    blocking::{BlockingPool, PoolError},
    limits::{ARGON2_MEMORY_KIB, ARGON2_PASSES, HASHES_RUNNING_MAX, HASHES_WAITING_MAX, PASSWORD_BYTES_MAX},
    model::{NewPassword, StoredHash},
};

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
    pool: Arc<BlockingPool>,
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
            pool: Arc::new(BlockingPool::new(cores.clamp(1, HASHES_RUNNING_MAX), HASHES_WAITING_MAX)),
            nobody: Arc::new(hash(&argon2, "nobody's password")),
            argon2,
        }
    }

    /// Hashes a new password with a fresh salt.
    pub(crate) async fn hash(&self, password: NewPassword) -> Result<StoredHash, PoolError> {
        let argon2 = self.argon2.clone();
        self.pool.run(move || hash(&argon2, password.reveal())).await
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
    use crate::model::{Email, PasswordError};

    fn parse(text: &str) -> Result<NewPassword, PasswordError> {
        NewPassword::parse(text, &Email::parse("ana.banana@example.com").unwrap())
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
