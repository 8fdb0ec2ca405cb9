//! Which database it is: the one place that knows them all.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    OpenError, Store,
    postgres::{self, Postgres, PostgresOptions, transfer::PostgresSide},
    sqlite::{
        self, Sqlite, SqliteOptions,
        archive::{self, ArchiveError, Contents, Restored},
        transfer::SqliteSide,
    },
    transfer::{PutBack, Side},
};
use crate::model::Time;

const OWN_TOOLS: &str = "a Postgres database is backed up and restored with its own tools, pg_dump and pg_restore";

/// Which database the chat keeps its data in, and how that is opened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Database {
    /// One SQLite file in the data directory.
    Sqlite(SqliteOptions),
    /// A Postgres database, in its schema `tidings`.
    Postgres(Box<PostgresOptions>),
    /// Nothing but memory, for tests: what is in it is gone with the program.
    #[cfg(any(test, feature = "test-kit"))]
    Memory,
}

/// What a program that opens the database is, as far as the data directory is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opener {
    /// The server. It holds the data directory, and makes a database where there is none; where there must have been one,
    /// it does not.
    Server { may_be_new: bool },
    /// The command line, which holds the data directory while no server does; makes no database.
    Holder,
    /// The command line beside a server, which holds the data directory; makes and migrates nothing.
    Guest,
}

impl Default for Database {
    fn default() -> Self {
        Self::Sqlite(SqliteOptions::default())
    }
}

impl Database {
    /// Opens the database; who holds the data directory also brings its schema up to date.
    pub(crate) async fn open(&self, data_dir: &Path, opener: Opener) -> Result<Arc<dyn Store>, OpenError> {
        match self {
            Self::Sqlite(options) => {
                refuse_elsewhere(data_dir)?;
                Ok(Arc::new(Sqlite::open(data_dir, options, opener).await?))
            }
            Self::Postgres(options) => Ok(Arc::new(Postgres::open(data_dir, options, opener).await?)),
            #[cfg(any(test, feature = "test-kit"))]
            Self::Memory => Ok(Arc::new(super::memory::Memory::default())),
        }
    }

    /// What a server would be refused for that opens it, as far as that shows without connecting to anything: of a database
    /// behind a network, nothing. Nobody has the data directory.
    pub(crate) fn look(&self, data_dir: &Path, may_be_new: bool) -> Result<(), OpenError> {
        if self.is_a_file() {
            refuse_elsewhere(data_dir)?;
            sqlite::look(data_dir, may_be_new)?;
        }
        Ok(())
    }

    /// Whether it is a file in the data directory, which whoever holds that has.
    pub(crate) fn is_a_file(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }

    /// Writes a backup into a new file.
    pub(crate) fn back_up(&self, data_dir: &Path, to: &Path) -> Result<Contents, ArchiveError> {
        match self {
            Self::Sqlite(_) => archive::back_up(data_dir, to),
            Self::Postgres(_) => Err(ArchiveError::NotAFile(OWN_TOOLS)),
            #[cfg(any(test, feature = "test-kit"))]
            Self::Memory => Err(ArchiveError::Stopping),
        }
    }

    /// Puts a backup in the place of the database; for who holds the data directory.
    pub(crate) fn restore(
        &self,
        data_dir: &Path,
        from: &Path,
        replace: bool,
        now: Time,
    ) -> Result<Restored, ArchiveError> {
        match self {
            Self::Sqlite(_) => archive::restore(data_dir, from, replace, now),
            Self::Postgres(_) => Err(ArchiveError::NotAFile(OWN_TOOLS)),
            #[cfg(any(test, feature = "test-kit"))]
            Self::Memory => Err(ArchiveError::Stopping),
        }
    }

    /// Gives the rooms new epochs where the database lies; for who holds the data directory.
    pub(crate) fn restore_in_place(&self, data_dir: &Path, put_back: PutBack) -> Result<(), ArchiveError> {
        match self {
            Self::Sqlite(_) => archive::restore_in_place(data_dir, put_back),
            Self::Postgres(_) => Err(ArchiveError::NotAFile(OWN_TOOLS)),
            #[cfg(any(test, feature = "test-kit"))]
            Self::Memory => Ok(()),
        }
    }
}

/// Whoever forgets to name the database in Postgres would begin a second chat, or find none.
fn refuse_elsewhere(data_dir: &Path) -> Result<(), OpenError> {
    match postgres::mark_in(data_dir) {
        Some(mark) if !sqlite::is_there(data_dir) => Err(OpenError::Elsewhere(mark)),
        _ => Ok(()),
    }
}

/// From where to where data is moved.
#[derive(Debug, Clone)]
pub enum Place {
    /// A data folder, with SQLite.
    Folder(PathBuf),
    /// A Postgres database.
    Postgres(Box<PostgresOptions>),
}

impl Place {
    /// The data folder that it is.
    pub(crate) fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) => Some(folder),
            Self::Postgres(_) => None,
        }
    }

    /// To move away from, to `other`; for who holds the data folder.
    pub(crate) async fn source(&self, other: &Self, now: Time) -> Result<Box<dyn Side>, OpenError> {
        Ok(match self {
            Self::Folder(folder) => Box::new(SqliteSide::source(folder.clone(), now).await?),
            Self::Postgres(options) => Box::new(PostgresSide::source(options, other.folder(), now).await?),
        })
    }

    /// To move to, from `other`; for who holds the data folder.
    pub(crate) async fn target(&self, other: &Self, now: Time) -> Result<Box<dyn Side>, OpenError> {
        Ok(match self {
            Self::Folder(folder) => Box::new(SqliteSide::target(folder.clone(), now).await?),
            Self::Postgres(options) => Box::new(PostgresSide::target(options, other.folder(), now).await?),
        })
    }

    /// To look at, with the `folder` that the other one is, if it is one; a server may have it.
    pub(crate) async fn look(
        &self,
        folder: Option<&Path>,
        may_be_missing: bool,
        now: Time,
    ) -> Result<Box<dyn Side>, OpenError> {
        Ok(match self {
            Self::Folder(own) => Box::new(SqliteSide::look(own.clone(), now, may_be_missing).await?),
            Self::Postgres(options) => Box::new(PostgresSide::look(options, folder, now, may_be_missing).await?),
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "the data folder {}", folder.display()),
            Self::Postgres(options) => write!(f, "the database {options}"),
        }
    }
}
