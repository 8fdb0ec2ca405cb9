//! People: how the first account comes to be.

use std::sync::atomic::Ordering::Relaxed;

use crate::{
    changes::{AlreadySetUp, SetUpServer},
    chat::Chat,
    hashing::Asker,
    model::{
        Browser, Code, Email, Entered, Invite, Name, NewPassword, NewPerson, NewRoom, NewSession, Person, PersonId,
        Room, RoomKind, Topic,
    },
    rates::{RetryAfter, network_of},
    security::SECURITY_LOG,
    store::StoreError,
};

/// What the form of the first set-up says.
#[derive(Debug, Clone)]
pub struct SetUp {
    /// The code in the set-up link.
    pub code: String,
    /// The owner's name.
    pub name: Name,
    /// Their address to sign in with.
    pub email: Email,
    /// Their password.
    pub password: NewPassword,
    /// Where they are.
    pub browser: Browser,
}

/// The server is set up.
#[derive(Debug, Clone)]
pub struct SetUpDone {
    /// The owner, signed in.
    pub entered: Entered,
    /// The first room.
    pub room: Room,
    /// Its invite.
    pub invite: Invite,
}

/// Why set-up did not happen.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// The code is not the one that this start of the server printed.
    #[error("this is not the set-up code that the server printed at its last start")]
    WrongCode,
    /// The first account exists; there is no second set-up.
    #[error("this server is already set up")]
    AlreadySetUp,
    /// Too many attempts from this address.
    #[error(transparent)]
    TooMany(#[from] RetryAfter),
    /// The store could not; nothing was changed.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

/// What the room is called that set-up makes.
const FIRST_ROOM: &str = "General";

impl Chat {
    /// Whether the first account exists.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn is_set_up(&self) -> Result<bool, StoreError> {
        if self.0.is_set_up.load(Relaxed) {
            return Ok(true);
        }
        let is_set_up = self.0.store.is_set_up().await?;
        self.0.is_set_up.store(is_set_up, Relaxed);
        Ok(is_set_up)
    }

    /// The code for the set-up link while there is no account; another one at each start.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn set_up_code(&self) -> Result<Option<Code>, StoreError> {
        Ok((!self.is_set_up().await?).then(|| self.0.set_up_code.clone()))
    }

    /// Makes the first account, which owns the server, with the room "General" and an invite to it. Of many at the same
    /// time one wins.
    ///
    /// # Errors
    /// See [`SetUpError`].
    pub async fn set_up(&self, form: SetUp) -> Result<SetUpDone, SetUpError> {
        let network = network_of(form.browser.address);
        self.0.limiters.codes.take(network, self.0.steady.now())?;
        if self.is_set_up().await? {
            return Err(SetUpError::AlreadySetUp);
        }
        if !self.0.set_up_code.is(&form.code) {
            tracing::warn!(target: SECURITY_LOG, address = %form.browser.address, "a wrong set-up code was tried");
            return Err(SetUpError::WrongCode);
        }
        let hash = self.0.hasher.hash(form.password, Asker::Network(network)).await.map_err(StoreError::from)?;
        let (session, token) = NewSession::with_token(&form.browser);
        let id = session.id;
        let change = SetUpServer {
            person: NewPerson { id: PersonId::fresh(), name: form.name, email: form.email, hash: hash.clone() },
            session,
            room: NewRoom::fresh(Name::stored(FIRST_ROOM.into()), Topic::default(), RoomKind::Public),
            invite: Code::fresh(),
        };
        let (person, room, invite) = self.write::<_, SetUpError>(change).await?;
        tracing::info!(target: SECURITY_LOG, person = %person.id, address = %form.browser.address, "the server was set up");
        let device = self.mark_device(person.id, &hash).await;
        Ok(SetUpDone { entered: Entered { person, session: id, token, device }, room, invite })
    }

    /// One person.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn person(&self, id: PersonId) -> Result<Option<Person>, StoreError> {
        self.0.store.person(id).await
    }
}

impl From<AlreadySetUp> for SetUpError {
    fn from(AlreadySetUp: AlreadySetUp) -> Self {
        Self::AlreadySetUp
    }
}
