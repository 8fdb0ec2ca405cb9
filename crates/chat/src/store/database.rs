//! Which database it is: the one place that knows them all.

use std::{path::Path, sync::Arc};

use super::{
    OpenError, Store,
    sqlite::{
        Opener, Sqlite, SqliteOptions,
        archive::{self, ArchiveError, Contents, Restored},
    },
};
use crate::model::Time;

/// Which database the chat keeps its data in, and how that is opened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Database {
    /// One SQLite file in the data directory.
    Sqlite(SqliteOptions),
    /// Nothing but memory, for tests: what is in it is gone with the program.
    #[cfg(any(test, feature = "test-kit"))]
    Memory,
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
            Self::Sqlite(options) => Ok(Arc::new(Sqlite::open(data_dir, options, opener).await?)),
            #[cfg(any(test, feature = "test-kit"))]
            Self::Memory => Ok(Arc::new(super::memory::Memory::default())),
        }
    }

    /// Writes a backup into a new file.
    pub(crate) fn back_up(&self, data_dir: &Path, to: &Path) -> Result<Contents, ArchiveError> {
        match self {
            Self::Sqlite(_) => archive::back_up(data_dir, to),
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
            #[cfg(any(test, feature = "test-kit"))]
            Self::Memory => Err(ArchiveError::Stopping),
        }
    }

    /// Gives the rooms new epochs where the database lies; for who holds the data directory.
    pub(crate) fn restore_in_place(&self, data_dir: &Path) -> Result<(), ArchiveError> {
        match self {
            Self::Sqlite(_) => archive::restore_in_place(data_dir),
            #[cfg(any(test, feature = "test-kit"))]
            Self::Memory => Ok(()),
        }
    }
}
