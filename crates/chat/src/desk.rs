//! What the operator does on the command line, in the database itself.

use std::sync::Arc;

use crate::{
    changes::{NoSuchPerson, SetActive, SetPassword},
    hashing::{Asker, Hasher},
    model::{Clock, Email, NewPassword, Person},
    open::Options,
    security::SECURITY_LOG,
    store::{Change, ChangeError, OpenError, Store, StoreError, Submission, submit},
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

    /// Who has an account with this address.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn find(&self, email: &Email) -> Result<Option<Person>, StoreError> {
        Ok(self.store.credentials(email.clone()).await?.map(|found| found.person))
    }

    /// Sets a person's password; all their sessions end, and a running server closes their sockets within about a second.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn set_password(&self, person: &Person, password: NewPassword) -> Result<(), StoreError> {
        let hash = Hasher::new(1).hash(password, Asker::Operator).await?;
        self.change(SetPassword { person: person.id, hash, keep: None }).await?;
        tracing::info!(target: SECURITY_LOG, person = %person.id, "a password was set on the command line");
        Ok(())
    }

    /// Takes away a person's right to sign in, or gives it back. Without it all their sessions end, and a running server
    /// closes their sockets within about a second; the invites that they made end too.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn set_active(&self, person: &Person, is_active: bool) -> Result<(), StoreError> {
        self.change(SetActive { person: person.id, is_active }).await?;
        let what = if is_active { "activated" } else { "deactivated" };
        tracing::info!(target: SECURITY_LOG, person = %person.id, "a person was {what} on the command line");
        Ok(())
    }

    async fn change<C: Change<Refusal = NoSuchPerson>>(&self, change: C) -> Result<C::Answer, StoreError> {
        let (submission, outcome) = submit(change);
        let batch = self.store.apply(vec![submission], self.clock.now()).await?;
        batch.into_iter().for_each(Submission::answer);
        match outcome.await {
            Ok(applied) => Ok(applied.answer),
            Err(ChangeError::Refused(NoSuchPerson)) => Err(StoreError::Failed("the account is gone".into())),
            Err(ChangeError::Store(error)) => Err(error),
        }
    }
}
