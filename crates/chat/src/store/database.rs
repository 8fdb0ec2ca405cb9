//! Which database it is: the one place that knows them all.

use std::{path::Path, sync::Arc};

use super::{
    OpenError, Store,
    sqlite::{Sqlite, SqliteOptions},
};

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
    /// Opens the database, making it if need be, and brings its schema up to date.
    pub(crate) async fn open(&self, data_dir: &Path) -> Result<Arc<dyn Store>, OpenError> {
        match self {
            Self::Sqlite(options) => Ok(Arc::new(Sqlite::open(data_dir, options).await?)),
            #[cfg(any(test, feature = "test-kit"))]
            Self::Memory => Ok(Arc::new(super::memory::Memory::default())),
        }
    }

    /// Opens the database that is there already; for programs that must not make one by mistake.
    pub(crate) async fn open_existing(&self, data_dir: &Path) -> Result<Arc<dyn Store>, OpenError> {
        match self {
            Self::Sqlite(options) => Ok(Arc::new(Sqlite::open_existing(data_dir, options).await?)),
            #[cfg(any(test, feature = "test-kit"))]
            Self::Memory => self.open(data_dir).await,
        }
    }
}
