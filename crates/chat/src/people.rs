//! People: who has an account here, how the first of them comes to be, and how passwords change.

use std::{net::IpAddr, path::Path, sync::atomic::Ordering::Relaxed};

use crate::{
    chat::Chat,
    ids::PersonId,
    invites::Invite,
    names::{Email, Name, Topic},
    passwords::{Checked, Hasher, NewPassword, StoredHash},
    rates::{RetryAfter, counted},
    rooms::Room,
    secrets::Code,
    sessions::{Entered, Opening, SignedIn},
    store::{
        ApplyError, Change, NewPerson, NewRoom, Outcome, Store, StoreError,
        sqlite::{OpenError, Sqlite},
    },
    time::Clock,
};

/// Somebody with an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Their identity.
    pub id: PersonId,
    /// The name others see.
    pub name: Name,
    /// The address they sign in with.
    pub email: Email,
    /// What they may do.
    pub role: Role,
}

/// What a person may do on the whole server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything: removes members from any room, renews and revokes any invite.
    Admin,
    /// What everybody may.
    Member,
}

impl Role {
    /// `admin` or `member`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Member => "member",
        }
    }
}

/// A person, and what their password is checked against.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The person.
    pub person: Person,
    /// Their password's hash.
    pub hash: StoredHash,
}

/// What the form of the first set-up says.
#[derive(Debug, Clone)]
pub struct SetUp {
    /// The code in the set-up link.
    pub code: String,
    /// The administrator's name.
    pub name: Name,
    /// Their address to sign in with.
    pub email: Email,
    /// Their password.
    pub password: NewPassword,
    /// What the browser says about itself.
    pub user_agent: String,
    /// Where the request came from.
    pub address: IpAddr,
}

/// The server is set up.
#[derive(Debug, Clone)]
pub struct SetUpDone {
    /// The administrator, signed in.
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
    /// The store could not.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

/// Why a password was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangePasswordError {
    /// The present password is another one.
    #[error("the present password is another one")]
    WrongPassword,
    /// Too many failed attempts.
    #[error(transparent)]
    TooMany(#[from] RetryAfter),
    /// The store could not.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

/// The first room's name.
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

    /// Makes the first account, the administrator's, with the room "General" and an invite to it. Of many at the same
    /// time one wins.
    ///
    /// # Errors
    /// See [`SetUpError`].
    pub async fn set_up(&self, form: SetUp) -> Result<SetUpDone, SetUpError> {
        self.0.limiters.codes.take(counted(form.address), self.0.clock.now())?;
        if self.is_set_up().await? {
            return Err(SetUpError::AlreadySetUp);
        }
        if !self.0.set_up_code.is(&form.code) {
            return Err(SetUpError::WrongCode);
        }
        let hash = self.0.hasher.hash(form.password).await.map_err(StoreError::from)?;
        let opening = Opening::new(&form.user_agent);
        let change = Change::SetUp {
            person: NewPerson { id: PersonId::fresh(), name: form.name, email: form.email, hash },
            session: opening.session.clone(),
            room: NewRoom::fresh(Name::stored(FIRST_ROOM.into()), Topic::default()),
            invite: Code::fresh(),
        };
        match self.0.writer.write(change).await {
            Ok(Outcome::Account { person, room, invite: Some(invite) }) => {
                Ok(SetUpDone { entered: opening.of(person), room, invite })
            }
            Ok(other) => unreachable!("set-up was answered with {other:?}"),
            Err(ApplyError::Store(error)) => Err(error.into()),
            Err(ApplyError::Refused(_)) => Err(SetUpError::AlreadySetUp),
        }
    }

    /// One person.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn person(&self, id: PersonId) -> Result<Option<Person>, StoreError> {
        self.0.store.person(id).await
    }

    /// Changes the password of somebody signed in, who proves once more who they are. Their other sessions end.
    ///
    /// # Errors
    /// See [`ChangePasswordError`].
    pub async fn change_password(
        &self,
        who: &SignedIn,
        present: String,
        new: NewPassword,
    ) -> Result<(), ChangePasswordError> {
        let person = who.person.id;
        // Not counted with the sign-ins, where a stranger could use it up; another session of the person still can.
        self.0.limiters.password_changes.attempt(person, self.0.clock.now())?;
        let stored = self.0.store.credentials(who.person.email.clone()).await?;
        let checked = self.0.hasher.check(present, stored.map(|stored| stored.hash)).await.map_err(StoreError::from)?;
        if checked == Checked::Wrong {
            return Err(ChangePasswordError::WrongPassword);
        }
        self.0.limiters.password_changes.forget(&person);
        let hash = self.0.hasher.hash(new).await.map_err(StoreError::from)?;
        match self.0.writer.write(Change::SetPassword { person, hash, keep: Some(who.session.id) }).await {
            Ok(_) => Ok(()),
            Err(ApplyError::Store(error)) => Err(error.into()),
            Err(ApplyError::Refused(_)) => Err(ChangePasswordError::WrongPassword),
        }
    }
}

/// The operator's desk: what the command line does with the accounts, whether or not a server is running on them.
pub struct Desk {
    store: Sqlite,
    clock: Clock,
}

impl Desk {
    /// Opens the database in the data directory; makes none.
    ///
    /// # Errors
    /// When there is none, or it cannot be opened.
    pub fn open(data_dir: &Path, clock: Clock) -> Result<Self, OpenError> {
        Ok(Self { store: Sqlite::open_existing(data_dir)?, clock })
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
        let change = Change::SetPassword { person: person.id, hash, keep: None };
        match self.store.apply(vec![change], self.clock.now()).await.pop() {
            Some(Ok(_)) => Ok(Some(person)),
            Some(Err(ApplyError::Store(error))) => Err(error),
            Some(Err(ApplyError::Refused(_))) | None => Ok(None),
        }
    }
}
