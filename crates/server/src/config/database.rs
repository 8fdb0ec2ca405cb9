//! Where the data are: the data folder, and the database in it or behind a network.

use super::settings::{DataDirKey, DatabaseKey, DatabasePasswordFileKey};
use super::{ConfigError, wrong};
use crate::data_dir::DataDir;
use crate::serve::clock;
use std::path::PathBuf;
use tidings_chat::{Database, Options, Place, PostgresOptions};

/// The password for the database. No flag: everybody on the machine can read those.
const PASSWORD: &str = "TIDINGS_DATABASE_PASSWORD";

/// Where the data are.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    pub(crate) data_dir: DataDir,
    pub(crate) database: Database,
}

impl Storage {
    pub(super) fn parse(
        data_dir: &DataDirKey,
        database: &DatabaseKey,
        password_file: &DatabasePasswordFileKey,
    ) -> Result<Self, ConfigError> {
        let data_dir = DataDir::at(&data_dir.data_dir);
        let address = database.database.as_str();
        let database = match address {
            "sqlite" => Database::default(),
            _ if is_postgres(address) => {
                Database::Postgres(Box::new(parse_postgres("database", address, &[PASSWORD], password_file)?))
            }
            _ => return Err(refused("database", address, "must be sqlite or postgres://USER@HOST:PORT/DATABASE")),
        };
        Ok(Self { data_dir, database })
    }

    /// For the commands beside the server: a folder made by mistake would hide the one that was meant. For a database behind a
    /// network there need not be one here.
    pub(crate) fn ensure_there(&self) -> anyhow::Result<()> {
        match self.database {
            Database::Postgres(_) => Ok(()),
            _ => self.data_dir.ensure_there(),
        }
    }

    pub(crate) fn options(&self) -> Options {
        Options { database: self.database.clone(), ..Options::new(self.data_dir.path(), clock()) }
    }
}

/// The database, and for one in the data folder that.
impl std::fmt::Display for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.database {
            Database::Postgres(options) => write!(f, "the database {options}"),
            _ => write!(f, "the data folder {}", self.data_dir),
        }
    }
}

/// A data folder or a Postgres database, whose password may be in a variable of its own.
pub(super) fn parse_place(
    key: &'static str,
    text: &str,
    password: &str,
    password_file: &DatabasePasswordFileKey,
) -> Result<Place, ConfigError> {
    match text {
        _ if is_postgres(text) => {
            Ok(Place::Postgres(Box::new(parse_postgres(key, text, &[password, PASSWORD], password_file)?)))
        }
        _ if text.contains("://") => Err(refused(key, text, "must be a folder or postgres://USER@HOST:PORT/DATABASE")),
        _ => Ok(Place::Folder(PathBuf::from(text))),
    }
}

fn is_postgres(address: &str) -> bool {
    address.starts_with("postgres://") || address.starts_with("postgresql://")
}

/// The first of the variables that is there has the password.
fn parse_postgres(
    key: &'static str,
    address: &str,
    passwords: &[&str],
    password_file: &DatabasePasswordFileKey,
) -> Result<PostgresOptions, ConfigError> {
    if PostgresOptions::has_password(address) && std::env::args().any(|arg| arg.contains(address)) {
        let message = format!(
            "a password on the command line can be read by everybody on this machine; put it into {PASSWORD}, or into a file \
             that database_password_file names"
        );
        return Err(refused(key, address, message));
    }
    let given = passwords.iter().find_map(|name| std::env::var(name).ok());
    let password = match (given, &password_file.database_password_file) {
        (Some(password), _) => Some(password),
        (None, None) => None,
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                wrong("database_password_file", &path.display().to_string(), format!("cannot be read: {error}"))
            })?;
            Some(text.trim_end_matches(['\r', '\n']).to_owned())
        }
    };
    PostgresOptions::parse(address, password.as_deref()).map_err(|error| refused(key, address, error.to_string()))
}

fn refused(key: &'static str, address: &str, message: impl Into<String>) -> ConfigError {
    // With its user, which is not secret.
    ConfigError::Value { key: key.into(), value: PostgresOptions::without_password(address), message: message.into() }
}
