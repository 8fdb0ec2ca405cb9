//! Where the data are: the data folder, and the database in it or behind a network.

use super::settings::{DataDirKey, DatabaseKey, DatabasePasswordFileKey};
use super::{ConfigError, wrong};
use crate::data_dir::DataDir;
use crate::serve::clock;
use tidings_chat::{Database, Options, PostgresOptions};

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
            _ if address.starts_with("postgres://") || address.starts_with("postgresql://") => {
                Database::Postgres(Box::new(parse_postgres(address, password_file)?))
            }
            _ => return Err(refused(address, "must be sqlite or postgres://USER@HOST:PORT/DATABASE")),
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

fn parse_postgres(address: &str, password_file: &DatabasePasswordFileKey) -> Result<PostgresOptions, ConfigError> {
    if PostgresOptions::has_password(address) && std::env::args().any(|arg| arg.contains(address)) {
        let message = format!(
            "a password on the command line can be read by everybody on this machine; put it into {PASSWORD}, or into a file \
             that database_password_file names"
        );
        return Err(refused(address, message));
    }
    let password = match (std::env::var(PASSWORD), &password_file.database_password_file) {
        (Ok(password), _) => Some(password),
        (Err(_), None) => None,
        (Err(_), Some(path)) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                wrong("database_password_file", &path.display().to_string(), format!("cannot be read: {error}"))
            })?;
            Some(text.trim_end_matches(['\r', '\n']).to_owned())
        }
    };
    PostgresOptions::parse(address, password.as_deref()).map_err(|error| refused(address, error.to_string()))
}

fn refused(address: &str, message: impl Into<String>) -> ConfigError {
    wrong("database", &PostgresOptions::without_password(address), message)
}
