//! Why a database could not, without the words of any one database.

use std::{convert::Infallible, path::PathBuf};

use crate::blocking::PoolError;

/// The database could not do it; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The disk, or the database's permitted size, is full.
    #[error("the storage is full")]
    Full,
    /// Too much is waiting; try again.
    #[error("busy; try again")]
    Busy,
    /// The server is stopping.
    #[error("the server is stopping")]
    Closed,
    /// Anything else; the text is for the operator's log.
    #[error("the database failed: {0}")]
    Failed(String),
}

/// So that a change that is never refused is answered with nothing but the store's own errors.
impl From<Infallible> for StoreError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl From<PoolError> for StoreError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Busy => Self::Busy,
            PoolError::Unfinished => Self::Failed(error.to_string()),
        }
    }
}

/// Why the database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data directory or a file in it could not be made or read.
    #[error("cannot use {path}: {source}")]
    Files {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another server is using the data directory.
    #[error("another server is using {0}")]
    InUse(PathBuf),
    /// A newer version of the program has written it. Use that one.
    #[error("the database has version {found}, and this program knows {known} and earlier; use a newer one")]
    Newer {
        /// The database's version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// It is a database, but not ours.
    #[error("the database was made by another program")]
    Foreign,
    /// It is no database, or a broken one, or the disk failed.
    #[error("{name} cannot be opened as a database")]
    Database {
        /// Which file or server.
        name: String,
        /// What its driver says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The program is going down.
    #[error("the program is stopping")]
    Stopping,
}
