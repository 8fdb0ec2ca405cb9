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

const HOW_TO_BACK_UP: &str =
    "a Postgres database is backed up with its own tools: pg_dump --schema=tidings --format=custom";
const HOW_TO_RESTORE: &str = "a Postgres database is restored with its own tools: stop the server, pg_restore --clean --if-exists, and start \
     it; it notices that the data was put back, and clients read their rooms anew";

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
                // Whoever forgets to name it would begin a second chat, or find none.
                if !sqlite::is_there(data_dir)
                    && let Some(mark) = postgres::mark_in(data_dir)
                {
                    return Err(OpenError::Elsewhere(mark));
                }
                Ok(Arc::new(Sqlite::open(data_dir, options, opener).await?))
            }
            Self::Postgres(options) => Ok(Arc::new(Postgres::open(data_dir, options, opener).await?)),
            #[cfg(any(test, feature = "test-kit"))]
            Self::Memory => Ok(Arc::new(super::memory::Memory::default())),
        }
    }

    /// Whether it is a file in the data directory, which whoever holds that has.
    pub(crate) fn is_a_file(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }

    /// Writes a backup into a new file.
    pub(crate) fn back_up(&self, data_dir: &Path, to: &Path) -> Result<Contents, ArchiveError> {
        match self {
            Self::Sqlite(_) => archive::back_up(data_dir, to),
            Self::Postgres(_) => Err(ArchiveError::NotAFile(HOW_TO_BACK_UP)),
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
            Self::Postgres(_) => Err(ArchiveError::NotAFile(HOW_TO_RESTORE)),
            #[cfg(any(test, feature = "test-kit"))]
            Self::Memory => Err(ArchiveError::Stopping),
        }
    }

    /// Gives the rooms new epochs where the database lies; for who holds the data directory.
    pub(crate) fn restore_in_place(&self, data_dir: &Path, put_back: PutBack) -> Result<(), ArchiveError> {
        match self {
            Self::Sqlite(_) => archive::restore_in_place(data_dir, put_back),
            Self::Postgres(_) => Err(ArchiveError::NotAFile(HOW_TO_RESTORE)),
            #[cfg(any(test, feature = "test-kit"))]
            Self::Memory => Ok(()),
        }
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

    /// To look at; a server may have it.
    pub(crate) async fn look(&self, may_be_missing: bool, now: Time) -> Result<Box<dyn Side>, OpenError> {
        Ok(match self {
            Self::Folder(folder) => Box::new(SqliteSide::look(folder.clone(), now, may_be_missing).await?),
            Self::Postgres(options) => Box::new(PostgresSide::look(options, now, may_be_missing).await?),
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
