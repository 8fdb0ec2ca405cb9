//! Sessions: how somebody signs in, stays signed in and signs out.
//!
//! The token is new at every sign-in. A session ends by signing out, by being revoked, by a change of password, or by age;
//! its live sockets close then.

use std::{net::IpAddr, time::Instant};

use crate::{
    changes::{EndSession, NoSuchSession, OpenSession, PasswordChanged, Rehash, TouchSession},
    chat::Chat,
    device::Device,
    hashing::{Asker, Checked},
    limits::SESSION_TOUCH_INTERVAL,
    model::{
        Browser, Credentials, Email, Ended, Entered, NewSession, PersonId, SecretDigest, Session, SessionId, SignedIn,
        StoredHash, Time, digest,
    },
    rates::{Limiters, RetryAfter, network_of},
    security::SECURITY_LOG,
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
    /// Signs somebody in who knows their address and password, in a session of its own. The session that their browser had
    /// until now ends.
    ///
    /// # Errors
    /// See [`SignInError`]. An unknown address, a wrong password and a person who was deactivated take as long and answer the
    /// same.
    pub async fn sign_in(&self, email: &str, password: String, browser: &Browser) -> Result<Entered, SignInError> {
        let email = Email::of_account(email).ok();
        let known = self.known_device(email.as_ref(), browser).await?;
        let mut counted = match known {
            Some((device, person)) => Counted::Device(device, person),
            None => Counted::stranger(email.as_ref(), browser),
        };
        let (limiters, now) = (&self.0.limiters, self.0.steady.now());
        let mut begun = counted.begin(limiters, now);
        if let (Ok(()), Counted::Device(_, person)) = (&begun, &counted)
            && limiters.turns_ahead.take(*person, now).is_err()
        {
            // Who signs in more often than anybody needs waits their turn as everybody does.
            counted.take_back(limiters, now);
            counted = Counted::stranger(email.as_ref(), browser);
            begun = counted.begin(limiters, now);
        }
        if let Err(wait) = begun {
            self.tell_of_failure(|left_out| {
                tracing::warn!(target: SECURITY_LOG, address = %browser.address, known_device = counted.is_known(),
                    wait_s = wait.0.as_secs() + u64::from(wait.0.subsec_nanos() > 0), left_out, "a sign-in was held up after too many failures");
            });
            return Err(wait.into());
        }

        let stored = match &email {
            Some(email) => {
                let stored = self.0.store.credentials_as_typed(email).await;
                stored.inspect_err(|_| counted.take_back(limiters, now))?
            }
            None => None,
        };
        let tried = stored.as_ref().map(|stored| stored.person.id);
        // Who may not sign in gets the same answer, after the same work.
        let stored = stored.filter(|stored| stored.person.is_active);
        let hash = stored.as_ref().map(|stored| stored.hash.clone());
        let checked = match self.0.hasher.check(password, hash, counted.asker()).await {
            Ok(checked) => checked,
            Err(busy) => {
                // Nothing was guessed.
                counted.take_back(limiters, now);
                return Err(StoreError::from(busy).into());
            }
        };
        let Some(Credentials { person, hash }) = stored.filter(|_| checked != Checked::Wrong) else {
            self.tell_of_failure(|left_out| {
                let person = tried.map_or_else(|| "nobody".to_owned(), |person| person.to_string());
                tracing::warn!(target: SECURITY_LOG, address = %browser.address, %person,
                    known_device = counted.is_known(), left_out, "a sign-in failed");
            });
            return Err(SignInError::Failed);
        };
        counted.succeed(limiters, now);

        let (session, token) = NewSession::with_token(browser);
        let (person_id, session_id) = (person.id, session.id);
        let open = OpenSession { person: person_id, checked: hash.clone(), session };
        self.write::<_, SignInError>(open).await?;
        tracing::info!(target: SECURITY_LOG, person = %person_id, session = %session_id, address = %browser.address,
            known_device = counted.is_known(), "signed in");
        let hash = self.renew_hash(person_id, hash, checked).await;
        let device = self.mark_device(person_id, &hash).await;
        Ok(Entered { person, session: session_id, token, device })
    }

    /// The device that the browser shows to be, if it is known for this account as it is now.
    async fn known_device(
        &self,
        email: Option<&Email>,
        browser: &Browser,
    ) -> Result<Option<(Device, PersonId)>, StoreError> {
        let (Some(email), Some(cookie)) = (email, &browser.device) else { return Ok(None) };
        let Some(key) = self.device_key().await else { return Ok(None) };
        // Before anything is read: a forged one costs no more than none.
        let Some(device) = key.read(cookie) else { return Ok(None) };
        let stored = self.0.store.credentials_as_typed(email).await?;
        let known =
            stored.filter(|Credentials { person, hash }| person.is_active && key.knows(&device, person.id, hash));
        Ok(known.map(|stored| (device, stored.person.id)))
    }

    /// The text for the device cookie of a browser with a session that has none that counts: whoever signed in before there
    /// were such cookies, or has set another password since, would be locked out by strangers on their own device. `None`
    /// when it has one, or none can be made just now. A new password made elsewhere ends the session, so this gives a stranger
    /// no way around.
    pub async fn remember_device(&self, who: &SignedIn, browser: &Browser) -> Option<String> {
        let key = self.device_key().await?;
        let stored = self.0.store.credentials(who.person.email.clone()).await;
        let Credentials { person, hash } =
            stored.inspect_err(|error| tracing::warn!(%error, "no device is known")).ok()??;
        let shown = browser.device.as_deref().and_then(|cookie| key.read(cookie));
        let is_known = shown.is_some_and(|device| key.knows(&device, person.id, &hash));
        (!is_known && person.id == who.person.id).then(|| key.issue(person.id, &hash))
    }

    /// The person's hash after a sign-in: one made with other parameters is replaced.
    async fn renew_hash(&self, person: PersonId, old: StoredHash, checked: Checked) -> StoredHash {
        let Checked::RightButOld(new) = checked else { return old };
        let rehash = Rehash { person, old: old.clone(), new: new.clone() };
        match self.0.writer.write(rehash).await {
            Ok(()) => new,
            Err(error) => {
                tracing::warn!(%error, "a password's hash could not be renewed");
                old
            }
        }
    }

    fn tell_of_failure(&self, tell: impl FnOnce(u64)) {
        if let Some(left_out) = self.security_line() {
            tell(left_out);
        }
    }

    /// Whether one more line about what a stranger failed at may go into the security log; then with how many were left
    /// out before it.
    #[must_use]
    pub fn security_line(&self) -> Option<u64> {
        self.0.security.next(self.0.steady.now())
    }

    /// Who is behind the token of a cookie; `None` when the session does not exist, has ended or has expired. Using it
    /// keeps it from expiring.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn session(&self, token: &str, address: Option<IpAddr>) -> Result<Option<SignedIn>, StoreError> {
        let now = self.0.clock.now();
        let who = self.0.store.session(digest(token), now).await?;
        Ok(who.inspect(|who| self.was_used(who, address, now)))
    }

    /// Why the session of this token is over, if it was ended lately: for who comes with it all the same.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn session_ended(&self, token: &str) -> Result<Option<Ended>, StoreError> {
        self.0.store.session_ended(digest(token)).await
    }

    pub(crate) fn was_used(&self, who: &SignedIn, address: Option<IpAddr>, now: Time) {
        if now.since(who.session.last_seen) >= SESSION_TOUCH_INTERVAL {
            // Nobody waits for a commit to read a page, and that somebody was here may be forgotten when the writer has more
            // important things to do.
            self.0.writer.write_later(TouchSession { session: who.session.id, address });
        }
    }

    /// The person's sessions, the last used first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn sessions(&self, person: PersonId) -> Result<Vec<Session>, StoreError> {
        self.0.store.sessions(person, self.0.clock.now()).await
    }

    /// Ends a session of the person from another one; its sockets close.
    ///
    /// # Errors
    /// See [`EndSessionError`].
    pub async fn end_session(&self, person: PersonId, session: SessionId) -> Result<(), EndSessionError> {
        self.end(person, session, Ended::Elsewhere).await
    }

    /// Ends the session of who asks for it; its sockets close.
    ///
    /// # Errors
    /// See [`EndSessionError`].
    pub async fn sign_out(&self, who: &SignedIn) -> Result<(), EndSessionError> {
        self.end(who.person.id, who.session.id, Ended::SignedOut).await
    }

    async fn end(&self, person: PersonId, session: SessionId, why: Ended) -> Result<(), EndSessionError> {
        // Read first, so that whoever names sessions that are none, over and over, does not cut up everybody's commits.
        if !self.sessions(person).await?.iter().any(|known| known.id == session) {
            return Err(EndSessionError::NoSuchSession);
        }
        self.write::<_, EndSessionError>(EndSession { person, session, why }).await?;
        tracing::info!(target: SECURITY_LOG, %person, %session, "a session was ended");
        Ok(())
    }
}

/// With whose failures those of a sign-in are counted.
enum Counted {
    /// Of a device known for the account, alone: strangers do not hold it up, and it holds up nobody.
    Device(Device, PersonId),
    /// Of the account and of the network, each for itself and both together.
    Stranger { account: SecretDigest, network: IpAddr },
}

impl Counted {
    fn stranger(email: Option<&Email>, browser: &Browser) -> Self {
        // Composed: other ways to type one address are no further tries.
        let account = digest(email.map(Email::composed).as_ref().map_or("", Email::as_str));
        Self::Stranger { account, network: network_of(browser.address) }
    }

    fn begin(&self, limiters: &Limiters, now: Instant) -> Result<(), RetryAfter> {
        match *self {
            Self::Device(device, _) => limiters.devices.attempt(device, now),
            Self::Stranger { account, network } => {
                // What is refused further down stays counted for the address: asking in vain is no way to ask for ever.
                limiters.addresses.attempt(network, now)?;
                // Before the account's count from everywhere, so that who is refused here takes nothing from others there.
                limiters.accounts.attempt((account, network), now)?;
                limiters
                    .accounts_anywhere
                    .take(account, now)
                    .inspect_err(|_| limiters.accounts.take_back(&(account, network), now))
            }
        }
    }

    fn take_back(&self, limiters: &Limiters, begun: Instant) {
        match self {
            Self::Device(device, _) => limiters.devices.take_back(device, begun),
            Self::Stranger { account, network } => {
                limiters.accounts.take_back(&(*account, *network), begun);
                limiters.accounts_anywhere.give_back(account);
                limiters.addresses.take_back(network, begun);
            }
        }
    }

    fn succeed(&self, limiters: &Limiters, begun: Instant) {
        match self {
            Self::Device(device, _) => limiters.devices.forget(device),
            Self::Stranger { account, network } => {
                limiters.accounts.forget(&(*account, *network));
                limiters.accounts_anywhere.give_back(account);
                limiters.addresses.take_back(network, begun);
            }
        }
    }

    fn asker(&self) -> Asker {
        match *self {
            Self::Device(_, person) => Asker::Known(person),
            Self::Stranger { network, .. } => Asker::Network(network),
        }
    }

    fn is_known(&self) -> bool {
        matches!(self, Self::Device(..))
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
