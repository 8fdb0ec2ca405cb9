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
    /// The database's server cannot be reached just now; try again. Of what was to be written nobody knows whether it was:
    /// the same send again is one message.
    #[error("the database cannot be reached; try again")]
    Away,
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
            PoolError::Closed => Self::Closed,
            PoolError::Unfinished => Self::Failed(error.to_string()),
        }
    }
}

/// Why the database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data directory or a file in it could not be made or read.
    #[error("cannot use {path}")]
    Files {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another program is using the data directory: a server, or the command line.
    #[error("another program is using {0}: a server, or a 'tidings' command")]
    InUse(PathBuf),
    /// A newer version of the program has written it. Use that one.
    #[error("the database has version {found}, and this program knows {known} and earlier; use a newer one")]
    Newer {
        /// The database's version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// As [`Newer`](Self::Newer), of a database that says which version of the program it needs.
    #[error(
        "the database has version {found}, and this program knows {known} and earlier; tidings {program} or newer is needed"
    )]
    NewerProgram {
        /// The database's version.
        found: u32,
        /// Ours.
        known: u32,
        /// The first that knows it.
        program: String,
    },
    /// An older version has written it, which is running now.
    #[error(
        "the database has version {found}, and this program {ours}, but the server that is running now has not brought it \
         there; use the same version as the server"
    )]
    Older {
        /// The database's version.
        found: u32,
        /// Ours.
        ours: u32,
    },
    /// Its server cannot be reached.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
    /// Its server does not let us do what we must.
    #[error("the database does not let us in: {0}")]
    NotAllowed(String),
    /// Its server asks for a password, and has not got it.
    #[error(
        "the database does not let us in: {0}; the password comes from TIDINGS_DATABASE_PASSWORD, or from the file that \
         database_password_file names"
    )]
    Password(String),
    /// It is one that the chat's data must not be kept in, or not in this way.
    #[error("the database cannot be used: {0}")]
    Unfit(String),
    /// Another server has it.
    #[error("the database is in use: {0}")]
    Held(String),
    /// What was in it is somewhere else now.
    #[error(
        "the data was moved to {0}; {how}, or, to go on with this one as it was then, say \
         'tidings restore --in-place --forget-move' first",
        how = how_to_follow(.0)
    )]
    Moved(String),
    /// What is to be in it has not all come yet.
    #[error(
        "the move of the data of {0} into it has not ended; say the same 'tidings migrate' again, which goes on where it \
         stopped"
    )]
    Moving(String),
    /// It is a database, but not ours.
    #[error("the database was made by another program")]
    Foreign,
    /// Another program has made what is in the place of our tables.
    #[error(
        "another program has made the schema '{0}' in that database; give the chat a database of its own, or, if nobody \
         needs what is in it, remove it there: DROP SCHEMA {0} CASCADE"
    )]
    ForeignSchema(&'static str),
    /// No chat has ever been in it.
    #[error("there is no chat in it; check the address, and what is from and what is to")]
    NoChat,
    /// There is no database in the data folder, and a file in it says that the chat is in another one.
    #[error(
        "the chat of this data folder is in a Postgres database, as {0} says; name it with --database or TIDINGS_DATABASE, as \
         before, or, to begin a new chat here with SQLite, move that file away"
    )]
    Elsewhere(PathBuf),
    /// The database is gone, or has nothing in it, and other files say that there was one.
    #[error(
        "{0} is missing or empty, but there was a database here; put a backup in its place with 'tidings restore', or, to \
         begin anew, move the other files of this folder away"
    )]
    Emptied(PathBuf),
    /// The log that lies beside the database belongs to another one: opened together, they would be a mixture.
    #[error(
        "{0} is a backup or an older copy, and the log beside it ({0}-wal) belongs to the database that was there before; \
         put the copy in its place with 'tidings restore --replace COPY', which moves the log away"
    )]
    AnothersLog(PathBuf),
    /// The database is not the one that the running server has opened.
    #[error("the database is not the one that the running server has opened; restart the server")]
    NotTheServers,
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

/// How a server is started where the data is now: the address of a database, or a data folder.
fn how_to_follow(target: &str) -> String {
    if target.contains("://") {
        "start the server with that database, named with --database".to_owned()
    } else {
        format!("start the server with --data-dir {target} and without --database, since that folder has it in SQLite")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_moved_says_how_the_server_is_started_where_it_is_now() {
        let database = OpenError::Moved("postgres://ana@host/chat".into()).to_string();
        assert!(database.contains("start the server with that database, named with --database, or,"), "{database}");
        let folder = OpenError::Moved("/srv/chat".into()).to_string();
        assert!(folder.contains("with --data-dir /srv/chat and without --database,"), "{folder}");
    }
}
