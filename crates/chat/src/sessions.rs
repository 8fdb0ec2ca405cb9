//! Sessions: how somebody signs in, stays signed in and signs out.
//!
//! The token is new at every sign-in. A session ends by signing out, by being revoked, by a change of password, or by age;
//! its live sockets close then.

use std::net::IpAddr;

use crate::{
    changes::{EndSession, NoSuchSession, OpenSession, PasswordChanged, Rehash, TouchSession},
    chat::Chat,
    hashing::Checked,
    limits::SESSION_TOUCH_INTERVAL,
    model::{Credentials, Email, Entered, NewSession, PersonId, Session, SessionId, SignedIn, digest},
    rates::{RetryAfter, network_of},
    store::StoreError,
};

/// Why somebody is not signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// No account has this address, or the password is wrong: which of the two is not told.
    #[error("the e-mail address or the password is not right")]
    Failed,
    /// Too many failed attempts for this account from this address, from this address, or for this account from
    /// everywhere.
    #[error(transparent)]
    TooMany(#[from] RetryAfter),
    /// The store could not, or too many are signing in.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

/// Why a session was not ended.
#[derive(Debug, thiserror::Error)]
pub enum EndSessionError {
    /// The person has no such session.
    #[error("no such session")]
    NoSuchSession,
    /// The store could not; nothing was changed.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

impl Chat {
    /// Signs somebody in who knows their address and password, in a session of its own.
    ///
    /// # Errors
    /// See [`SignInError`]. An unknown address and a wrong password take as long and answer the same.
    pub async fn sign_in(
        &self,
        email: &str,
        password: String,
        user_agent: &str,
        address: IpAddr,
    ) -> Result<Entered, SignInError> {
        let (email, address) = (Email::parse(email).ok(), network_of(address));
        let account = digest(email.as_ref().map_or("", Email::as_str));
        let (now, limiters) = (self.0.clock.now(), &self.0.limiters);
        // What is refused further down stays counted for the address: asking in vain is no way to ask for ever.
        limiters.addresses.attempt(address, now)?;
        // Before the account's count from everywhere, so that who is refused here takes nothing from others there.
        limiters.accounts.attempt((account, address), now)?;
        if let Err(wait) = limiters.accounts_anywhere.take(account, now) {
            limiters.accounts.take_back(&(account, address));
            return Err(wait.into());
        }

        let stored = match email {
            Some(email) => self.0.store.credentials(email).await?,
            None => None,
        };
        let hash = stored.as_ref().map(|stored| stored.hash.clone());
        let checked = match self.0.hasher.check(password, hash).await {
            Ok(checked) => checked,
            Err(busy) => {
                // Nothing was guessed.
                limiters.accounts.take_back(&(account, address));
                limiters.accounts_anywhere.give_back(&account);
                limiters.addresses.take_back(&address);
                return Err(StoreError::from(busy).into());
            }
        };
        let Some(Credentials { person, hash }) = stored.filter(|_| checked != Checked::Wrong) else {
            return Err(SignInError::Failed);
        };
        limiters.accounts.forget(&(account, address));
        limiters.accounts_anywhere.give_back(&account);
        limiters.addresses.take_back(&address);

        let (session, token) = NewSession::with_token(user_agent);
        let entered = Entered { person, session: session.id, token };
        let person = entered.person.id;
        self.write::<_, SignInError>(OpenSession { person, checked: hash.clone(), session }).await?;
        if let Checked::RightButOld(new) = checked
            && let Err(error) = self.0.writer.write(Rehash { person, old: hash, new }).await
        {
            tracing::warn!(%error, "a password's hash could not be renewed");
        }
        Ok(entered)
    }

    /// Who is behind the token of a cookie; `None` when the session does not exist, has ended or has expired. Using it
    /// keeps it from expiring.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn session(&self, token: &str) -> Result<Option<SignedIn>, StoreError> {
        let now = self.0.clock.now();
        let Some(who) = self.0.store.session(digest(token), now).await? else { return Ok(None) };
        if now.since(who.session.last_seen) >= SESSION_TOUCH_INTERVAL {
            // Nobody waits for a commit to read a page, and that somebody was here may be forgotten when the writer has more
            // important things to do.
            self.0.writer.write_later(TouchSession { session: who.session.id });
        }
        Ok(Some(who))
    }

    /// The person's sessions, the last used first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn sessions(&self, person: PersonId) -> Result<Vec<Session>, StoreError> {
        self.0.store.sessions(person, self.0.clock.now()).await
    }

    /// Ends a session of the person, the present one or another; its sockets close.
    ///
    /// # Errors
    /// See [`EndSessionError`].
    pub async fn end_session(&self, person: PersonId, session: SessionId) -> Result<(), EndSessionError> {
        self.write(EndSession { person, session }).await
    }
}

impl From<PasswordChanged> for SignInError {
    fn from(PasswordChanged: PasswordChanged) -> Self {
        Self::Failed
    }
}

impl From<NoSuchSession> for EndSessionError {
    fn from(NoSuchSession: NoSuchSession) -> Self {
        Self::NoSuchSession
    }
}
