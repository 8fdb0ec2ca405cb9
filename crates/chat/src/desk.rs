//! What the operator does on the command line, in the database itself.

use std::sync::Arc;

use crate::{
    changes::{NoSuchPerson, SetPassword},
    hashing::Hasher,
    model::{Clock, Credentials, Email, NewPassword, Person},
    open::Options,
    store::{ChangeError, OpenError, Store, StoreError, Submission, submit},
};

/// The operator's desk: what the command line does with the accounts, whether or not a server is running on them.
pub struct Desk {
    store: Arc<dyn Store>,
    clock: Clock,
}

impl Desk {
    /// Opens the database that a server with these options uses; makes none.
    ///
    /// # Errors
    /// When there is none, or it cannot be opened.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        let store = options.database.open_existing(&options.data_dir).await?;
        Ok(Self { store, clock: options.clock })
    }

    /// Everybody with an account, by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn people(&self) -> Result<Vec<Person>, StoreError> {
        self.store.people().await
    }

    /// Sets a password; all sessions of the person end, and a running server closes their sockets within a minute.
    /// Answers whose it was; `None` when nobody has this address.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn set_password(&self, email: &Email, password: NewPassword) -> Result<Option<Person>, StoreError> {
        let Some(Credentials { person, .. }) = self.store.credentials(email.clone()).await? else { return Ok(None) };
        let hash = Hasher::new(1).hash(password).await?;
        let (submission, outcome) = submit(SetPassword { person: person.id, hash, keep: None });
        let batch = self.store.apply(vec![submission], self.clock.now()).await?;
        batch.into_iter().for_each(Submission::answer);
        match outcome.await {
            Ok(_) => Ok(Some(person)),
            Err(ChangeError::Refused(NoSuchPerson)) => Ok(None),
            Err(ChangeError::Store(error)) => Err(error),
        }
    }
}
