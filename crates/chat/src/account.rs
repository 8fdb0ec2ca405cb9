//! One's own account: another password, another address, and signing out everywhere else. For the first two somebody signed in
//! proves once more who they are.

use crate::{
    changes::{EndOtherSessions, PasswordChanged, SetEmail, SetEmailRefusal, SetPassword},
    chat::Chat,
    hashing::{Asker, Checked},
    model::{Email, NewPassword, SignedIn, StoredHash},
    rates::RetryAfter,
    security::SECURITY_LOG,
    store::StoreError,
};

/// Why an account stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum ChangeAccountError {
    /// The present password is another one, perhaps since a moment ago, or the session has ended meanwhile.
    #[error("the present password is another one")]
    WrongPassword,
    /// Somebody else here signs in with the address.
    #[error("this address cannot be used here; take another one")]
    EmailTaken,
    /// Too many failed attempts, or changes.
    #[error(transparent)]
    TooMany(#[from] RetryAfter),
    /// The store could not; nothing was changed.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

impl Chat {
    /// Changes the password of somebody signed in, who proves once more who they are. Their other sessions end.
    ///
    /// # Errors
    /// See [`ChangeAccountError`].
    pub async fn change_password(
        &self,
        who: &SignedIn,
        present: String,
        new: NewPassword,
    ) -> Result<(), ChangeAccountError> {
        let person = who.person.id;
        let checked = self.prove(who, present, "password").await?;
        let hash = self.0.hasher.hash(new, Asker::Known(person)).await.map_err(StoreError::from)?;
        let set = SetPassword { person, hash, checked, keep: Some(who.session.id) };
        self.write::<_, ChangeAccountError>(set).await?;
        tracing::info!(target: SECURITY_LOG, %person, "a password was changed; the person's other sessions ended");
        Ok(())
    }

    /// Changes the address that somebody signs in with, who proves once more who they are. Their sessions go on.
    ///
    /// # Errors
    /// See [`ChangeAccountError`].
    pub async fn change_email(&self, who: &SignedIn, present: String, email: Email) -> Result<(), ChangeAccountError> {
        let person = who.person.id;
        let checked = self.prove(who, present, "address").await?;
        // After the proof, so that nobody else uses it up; whoever has it may not look through all addresses there are.
        self.0.limiters.emails.take(person, self.0.steady.now())?;
        let set = SetEmail { person, email, checked, session: who.session.id };
        self.write::<_, ChangeAccountError>(set).await?;
        tracing::info!(target: SECURITY_LOG, %person, "an e-mail address was changed");
        Ok(())
    }

    /// Ends all sessions of the person but the present one; answers how many.
    ///
    /// # Errors
    /// See [`ChangeAccountError`].
    pub async fn end_other_sessions(&self, who: &SignedIn) -> Result<usize, ChangeAccountError> {
        let (person, keep) = (who.person.id, who.session.id);
        // Read first, as for a single one: a change that revokes ends a batch.
        if self.sessions(person).await?.iter().all(|session| session.id == keep) {
            return Ok(0);
        }
        let ended = self.write::<_, ChangeAccountError>(EndOtherSessions { person, keep }).await?;
        tracing::info!(target: SECURITY_LOG, %person, ended, "the person's other sessions were ended");
        Ok(ended)
    }

    /// Checks the present password of somebody signed in; answers the hash that it was checked against.
    async fn prove(
        &self,
        who: &SignedIn,
        present: String,
        what: &'static str,
    ) -> Result<Option<StoredHash>, ChangeAccountError> {
        let person = who.person.id;
        // Not counted with the sign-ins, where a stranger could use it up; another session of the person still can.
        let (limiters, now) = (&self.0.limiters, self.0.steady.now());
        limiters.password_changes.attempt(person, now)?;
        // Where nothing was guessed, it was no attempt.
        let take_back = || limiters.password_changes.take_back(&person, now);
        limiters.turns_ahead.take(person, now).inspect_err(|_| take_back())?;
        let stored = self.0.store.credentials(who.person.email.clone()).await.inspect_err(|_| take_back())?;
        // The address may have become somebody else's since the session was read.
        let stored = stored.filter(|stored| stored.person.id == person).map(|stored| stored.hash);
        let checked = self.0.hasher.check(present, stored.clone(), Asker::Known(person)).await;
        let checked = checked.inspect_err(|_| take_back()).map_err(StoreError::from)?;
        if checked == Checked::Wrong {
            tracing::warn!(target: SECURITY_LOG, %person, session = %who.session.id, "a change of the {what} failed");
            return Err(ChangeAccountError::WrongPassword);
        }
        limiters.password_changes.forget(&person);
        Ok(stored)
    }
}

impl From<PasswordChanged> for ChangeAccountError {
    fn from(PasswordChanged: PasswordChanged) -> Self {
        Self::WrongPassword
    }
}

impl From<SetEmailRefusal> for ChangeAccountError {
    fn from(refusal: SetEmailRefusal) -> Self {
        match refusal {
            SetEmailRefusal::PasswordChanged => Self::WrongPassword,
            SetEmailRefusal::Taken => Self::EmailTaken,
        }
    }
}
