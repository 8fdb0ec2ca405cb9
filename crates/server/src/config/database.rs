//! Where the data are: the data folder, and the database in it or behind a network.

use super::settings::{DataDirKey, DatabaseKey, DatabasePasswordFileKey};
use super::{ConfigError, wrong};
use crate::data_dir::DataDir;
use crate::serve::clock;
use std::path::PathBuf;
use tidings_chat::{Database, OpenError, Options, Place, PostgresOptions};

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

    /// What could not be opened: the data folder has its own reasons, also where the database is elsewhere.
    pub(crate) fn cannot_open(&self, error: &OpenError) -> String {
        match error {
            OpenError::InUse(_) | OpenError::Files { .. } => format!("cannot open the data folder {}", self.data_dir),
            _ => format!("cannot open {self}"),
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
        _ if is_like_an_address(text) => Err(refused(
            key,
            text,
            "looks like an address, which is written postgres://USER@HOST:PORT/DATABASE; a folder of such \
                 a name is written with ./ before it",
        )),
        _ => Ok(Place::Folder(PathBuf::from(text))),
    }
}

fn is_postgres(address: &str) -> bool {
    address.starts_with("postgres://") || address.starts_with("postgresql://")
}

/// One that is written wrongly is not taken for a folder.
fn is_like_an_address(text: &str) -> bool {
    let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme).to_ascii_lowercase();
    text.contains("://") || ["postgres", "postgresql"].contains(&scheme.as_str())
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
    let given = passwords.iter().find_map(|name| std::env::var(name).ok().filter(|password| !password.is_empty()));
    let password = match (given, &password_file.database_password_file) {
        (Some(password), _) => Some(password),
        (None, None) => None,
        (None, Some(path)) => {
            let wrong = |message: String| wrong("database_password_file", &path.display().to_string(), message);
            let text = std::fs::read_to_string(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
            let password = text.trim_end_matches(['\r', '\n']);
            if password.is_empty() {
                return Err(wrong("is empty; put the password for the database into it, and nothing else".into()));
            }
            Some(password.to_owned())
        }
    };
    PostgresOptions::parse(address, password.as_deref()).map_err(|error| refused(key, address, error.to_string()))
}

fn refused(key: &'static str, address: &str, message: impl Into<String>) -> ConfigError {
    // With its user, which is not secret.
    ConfigError::Value { key: key.into(), value: PostgresOptions::without_password(address), message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_written_wrongly_is_no_folder() {
        let no_file = DatabasePasswordFileKey { database_password_file: None };
        let place = |text| parse_place("--to", text, "TIDINGS_TEST_UNSET", &no_file);
        for text in ["postgres:/chat@x", "Postgres:chat", "postgresql:/ana:secret@host/chat", "mysql://ana@host/chat"] {
            let refused = place(text).unwrap_err().to_string();
            assert!(refused.contains("looks like an address, which is written postgres://USER@HOST"), "{refused}");
            assert!(!refused.contains("secret"), "{refused}");
        }
        for text in ["/var/lib/tidings", "postgres", "./postgres:chat", "C:/chat"] {
            assert!(matches!(place(text), Ok(Place::Folder(_))), "{text}");
        }
    }

    #[test]
    fn a_password_file_that_is_empty_says_so() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let key = DatabasePasswordFileKey { database_password_file: Some(file.path().to_owned()) };
        let options = || parse_postgres("database", "postgres://ana@host/chat", &[], &key);
        for nothing in ["", "\n", "\r\n"] {
            std::fs::write(file.path(), nothing).unwrap();
            let refused = options().unwrap_err().to_string();
            assert!(refused.contains("is empty; put the password"), "{refused}");
        }
        std::fs::write(file.path(), "secret\n").unwrap();
        assert!(options().unwrap().is_given_a_password());
    }
}
