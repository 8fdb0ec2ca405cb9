//! What the operator does on the command line, in the database itself.

use std::{fs::File, path::PathBuf, sync::Arc};

use tokio::task::spawn_blocking;

use crate::{
    changes::{SetActive, SetActiveRefusal, SetPassword, SetRole, SetRoleRefusal},
    hashing::{Asker, Hasher},
    model::{Clock, Email, NewPassword, Person, Role},
    open::{Options, hold, is_held, lock},
    security::SECURITY_LOG,
    store::{
        Change, ChangeError, OpenError, Store, StoreError, Submission,
        database::{Database, Opener, Place},
        postgres::Postgres,
        sqlite::archive::{ArchiveError, Contents, Restored},
        submit,
        transfer::{self, MoveError, MoveProgress, Moved, Planned, PutBack},
    },
};

/// Why an account was not changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Nobody else who may sign in owns the server (S44).
    #[error("the server has no other owner who may sign in; make somebody else one first, with 'tidings user role'")]
    LastOwner,
    /// The store could not, or the account is gone; nothing was changed.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

/// The operator's desk: what the command line does with the accounts, whether or not a server is running on them.
pub struct Desk {
    store: Arc<dyn Store>,
    clock: Clock,
    /// Held while no server does.
    lock: Option<File>,
}

impl Desk {
    /// Opens the database that a server with these options uses; makes none. While no server is running, nobody else can
    /// open it until this is closed.
    ///
    /// # Errors
    /// When there is none, or it cannot be opened, or the running server is of another version.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        let (lock, opener) = match lock(&options.data_dir) {
            // Whoever may have the database asks that server.
            _ if !options.database.is_a_file() => (None, Opener::Guest),
            Ok(lock) => (Some(lock), Opener::Holder),
            Err(OpenError::InUse(_)) => (None, Opener::Guest),
            Err(error) => return Err(error),
        };
        let store = options.database.open(&options.data_dir, opener).await?;
        Ok(Self { store, clock: options.clock, lock })
    }

    /// What a server with these options would be refused for, as far as that shows without connecting to anything and without
    /// changing anything: of a database behind a network, and while another program has the data directory, nothing.
    ///
    /// # Errors
    /// As [`Chat::open`](crate::Chat::open).
    pub fn look(options: &Options) -> Result<(), OpenError> {
        if is_held(&options.data_dir) {
            return Ok(());
        }
        options.database.look(&options.data_dir, options.may_be_new)
    }

    /// Closes the database, and only then lets another program have it. Without this what was written stays in the log
    /// beside it, as after a kill.
    pub async fn close(self) {
        self.store.close().await;
        drop(self.lock);
    }

    /// Writes all of the chat, as it is at one moment, into a new file. A running server goes on.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub async fn back_up(options: Options, to: PathBuf) -> Result<Contents, ArchiveError> {
        let work = move || options.database.back_up(&options.data_dir, &to);
        spawn_blocking(work).await.unwrap_or(Err(ArchiveError::Stopping))
    }

    /// Puts a backup in the place of the database, which is kept under another name if it may be replaced, or else is the
    /// reason for an error. Clients that were connected before read their rooms anew.
    ///
    /// # Errors
    /// See [`ArchiveError`]; also while a server is running.
    pub async fn restore(options: Options, from: PathBuf, replace: bool) -> Result<Restored, ArchiveError> {
        let lock = hold_for_archive(&options).await?;
        let work = move || {
            let restored = options.database.restore(&options.data_dir, &from, replace, options.clock.now());
            drop(lock);
            restored
        };
        spawn_blocking(work).await.unwrap_or(Err(ArchiveError::Stopping))
    }

    /// Says that the data that lies in its place is older than what clients have seen, which cannot always be noticed.
    /// Clients that were connected before read their rooms anew. `forget_move` says it also of data that was moved elsewhere,
    /// and makes this the place again to go on from.
    ///
    /// # Errors
    /// See [`ArchiveError`]; also while a server is running.
    pub async fn restore_in_place(options: Options, forget_move: bool) -> Result<(), ArchiveError> {
        let put_back = PutBack { forget_move };
        if let Database::Postgres(postgres) = &options.database {
            return Postgres::restore_in_place(&options.data_dir, postgres, put_back)
                .await
                .map_err(|source| ArchiveError::Open { path: postgres.to_string().into(), source });
        }
        let lock = hold_for_archive(&options).await?;
        let work = move || {
            let restored = options.database.restore_in_place(&options.data_dir, put_back);
            drop(lock);
            restored
        };
        spawn_blocking(work).await.unwrap_or(Err(ArchiveError::Stopping))
    }

    /// Moves everything that the chat knows to a database of another kind, or goes on with such a move that was cut. Clients
    /// resume over it. The source is marked as moved at the end, and not opened any more.
    ///
    /// # Errors
    /// See [`MoveError`]; also while a server has one of the two.
    pub async fn migrate(
        from: &Place,
        to: &Place,
        clock: &Clock,
        tell: &mut (dyn FnMut(MoveProgress) + Send),
    ) -> Result<Moved, MoveError> {
        refuse(from, to)?;
        let mut held = Vec::new();
        for place in [from, to] {
            if let Some(folder) = place.folder() {
                held.push(hold(folder).await.map_err(cannot_open(place))?);
            }
        }
        let mut source = from.source(to, clock.now()).await.map_err(cannot_open(from))?;
        let mut target = to.target(from, clock.now()).await.map_err(cannot_open(to))?;
        let moved = transfer::run(&mut *source, &mut *target, tell).await;
        // Both are closed before another program may have them.
        drop((source, target));
        drop(held);
        moved
    }

    /// What a move would be, and about how long it would take. Writes nothing, and servers may be running on both.
    ///
    /// # Errors
    /// See [`MoveError`].
    pub async fn estimate_migration(from: &Place, to: &Place, clock: &Clock) -> Result<Planned, MoveError> {
        refuse(from, to)?;
        let mut source = from.look(to.folder(), false, clock.now()).await.map_err(cannot_open(from))?;
        let mut target = to.look(from.folder(), true, clock.now()).await.map_err(cannot_open(to))?;
        let (moved, took) = transfer::estimate(&mut *source, &mut *target).await?;
        let mut held = Vec::new();
        for place in [from, to] {
            held.extend(held_by_another(place).await.map_err(cannot_open(place))?);
        }
        Ok(Planned { moved, took, held })
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
        Ok(self.store.credentials_as_typed(email).await?.map(|found| found.person))
    }

    /// Sets a person's password; all their sessions end, and a running server closes their sockets within about a second.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn set_password(&self, person: &Person, password: NewPassword) -> Result<(), StoreError> {
        let hash = Hasher::new(1).hash(password, Asker::Operator).await?;
        let set = SetPassword { person: person.id, hash, checked: None, keep: None };
        self.change(set).await.map_err(unavailable)?;
        tracing::info!(target: SECURITY_LOG, person = %person.id, "a password was set on the command line");
        Ok(())
    }

    /// Takes away a person's right to sign in, or gives it back. Without it all their sessions end, and a running server
    /// closes their sockets within about a second; the invites that they made end too.
    ///
    /// # Errors
    /// See [`AccountError`].
    pub async fn set_active(&self, person: &Person, is_active: bool) -> Result<(), AccountError> {
        self.change(SetActive { person: person.id, is_active }).await.map_err(|error| match error {
            ChangeError::Refused(SetActiveRefusal::LastOwner) => AccountError::LastOwner,
            other => unavailable(other).into(),
        })?;
        let what = if is_active { "activated" } else { "deactivated" };
        tracing::info!(target: SECURITY_LOG, person = %person.id, "a person was {what} on the command line");
        Ok(())
    }

    /// Says what a person may do on the server. A running server knows it from the next thing on that they do.
    ///
    /// # Errors
    /// See [`AccountError`].
    pub async fn set_role(&self, person: &Person, role: Role) -> Result<(), AccountError> {
        self.change(SetRole { by: None, person: person.id, role }).await.map_err(|error| match error {
            ChangeError::Refused(SetRoleRefusal::LastOwner) => AccountError::LastOwner,
            other => unavailable(other).into(),
        })?;
        let role = role.as_str();
        tracing::info!(target: SECURITY_LOG, person = %person.id, role, "a role was set on the command line");
        Ok(())
    }

    async fn change<C: Change>(&self, change: C) -> Result<C::Answer, ChangeError<C::Refusal>> {
        let (submission, outcome) = submit(change);
        let done = self.store.apply(0, vec![submission], self.clock.now()).await?;
        done.batch.into_iter().for_each(Submission::answer);
        outcome.await.map(|applied| applied.answer)
    }
}

/// Of a change whose refusals say that the account is gone.
fn unavailable<R>(error: ChangeError<R>) -> StoreError {
    match error {
        ChangeError::Refused(_) => StoreError::Failed("the account is gone".into()),
        ChangeError::Store(error) => error,
    }
}

fn refuse(from: &Place, to: &Place) -> Result<(), MoveError> {
    match (from, to) {
        (Place::Folder(_), Place::Folder(_)) => Err(MoveError::BothFolders),
        _ if from.to_string() == to.to_string() => Err(MoveError::Same(from.to_string())),
        _ => Ok(()),
    }
}

/// Who has it, in words.
async fn held_by_another(place: &Place) -> Result<Option<String>, OpenError> {
    Ok(match place {
        Place::Folder(folder) => is_held(folder).then(|| OpenError::InUse(folder.clone()).to_string()),
        Place::Postgres(options) => Postgres::holder(options).await?.map(|holder| format!("{place}: {holder}")),
    })
}

fn cannot_open(place: &Place) -> impl FnOnce(OpenError) -> MoveError + use<> {
    let place = place.to_string();
    move |source| MoveError::Open { place, source }
}

async fn hold_for_archive(options: &Options) -> Result<File, ArchiveError> {
    let held = hold(&options.data_dir).await;
    held.map_err(|source| ArchiveError::Open { path: options.data_dir.clone(), source })
}
