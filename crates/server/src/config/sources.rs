//! The sources of a configuration laid over each other: the defaults, the file, the environment, the flags.
//!
//! Works on TOML tables, nested to any depth, and knows no key by name: the keys are a type, [`Sources`] a way to fill it.

use crate::plain::without_password;
use clap::builder::Resettable;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

const DEFAULT_FILE: &str = "tidings.toml";

/// Where the keys `K` of a command come from.
#[derive(Debug, Clone, Args)]
pub(crate) struct Sources<K: Args + Serialize> {
    /// Configuration file; an unknown key in it is an error [default: ./tidings.toml, if there is one]
    #[arg(long, value_name = "FILE", env = "TIDINGS_CONFIG")]
    config: Option<PathBuf>,

    #[command(flatten)]
    given: Given<K>,
}

/// What flags and environment say, without the defaults that clap fills in: over those the file wins.
#[derive(Debug, Clone)]
struct Given<K>(Table, PhantomData<K>);

/// Why a configuration file is refused. The message names the file, line and key, and what is wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("cannot read the configuration file {}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{}, line {line}, key `{key}`: {message}", path.display())]
    Syntax { path: PathBuf, line: usize, key: String, message: String },
    #[error("the environment: {0}")]
    Environment(String),
}

impl<K: Args + Serialize + DeserializeOwned> Sources<K> {
    /// The keys as the sources fill them; a flag wins over a variable, that over the file, and that over the default.
    ///
    /// The file is read as `F`: all keys that it may have, of which this command perhaps uses a few.
    pub(crate) fn load<F: DeserializeOwned>(&self) -> Result<K, FileError> {
        let mut table = Table::try_from(defaults::<K>()).expect("defaults can be written as TOML");
        overlay(&mut table, self.read_file::<F>()?);
        overlay(&mut table, self.given.0.clone());
        // `F` has every key of `K`, with the same type.
        Ok(table.try_into().expect("each source was checked by itself"))
    }

    /// All keys `F` of the server's configuration as a server in the same place would have them: of its flags, only those
    /// that this command has as well.
    pub(crate) fn load_all<F: Args + Serialize + DeserializeOwned>(&self) -> Result<F, FileError> {
        let environment = Given::<F>::augment_args(Command::new("environment")).try_get_matches_from(["environment"]);
        let environment = environment.and_then(|matches| Given::<F>::from_arg_matches(&matches));
        let environment = environment.map_err(|error| FileError::Environment(error.to_string()))?;
        let mut table = Table::try_from(defaults::<F>()).expect("defaults can be written as TOML");
        overlay(&mut table, self.read_file::<F>()?);
        overlay(&mut table, environment.0);
        overlay(&mut table, self.given.0.clone());
        Ok(table.try_into().expect("each source was checked by itself"))
    }

    fn read_file<F: DeserializeOwned>(&self) -> Result<Table, FileError> {
        let path = self.config.clone().unwrap_or_else(|| DEFAULT_FILE.into());
        match std::fs::read_to_string(&path) {
            Ok(text) => parse_file::<F>(&path, &text),
            // Without --config there need not be a file.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && self.config.is_none() => Ok(Table::new()),
            Err(source) => Err(FileError::Unreadable { path, source }),
        }
    }
}

impl<K: Args + Serialize> FromArgMatches for Given<K> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        for arg in K::augment_args(Command::new("keys")).get_arguments() {
            let mut values = matches.get_raw(arg.get_id().as_str()).into_iter().flatten();
            if let Some(value) = values.find(|value| value.to_str().is_none()) {
                let long = arg.get_long().unwrap_or_default();
                let message = format!("--{long} {}: must be UTF-8\n", without_password(&value.to_string_lossy()));
                return Err(clap::Error::raw(clap::error::ErrorKind::InvalidUtf8, message));
            }
        }
        let not_toml = |error: toml::ser::Error| clap::Error::raw(clap::error::ErrorKind::InvalidUtf8, error);
        let all = Table::try_from(K::from_arg_matches(matches)?).map_err(not_toml)?;
        let mut given = Table::new();
        for arg in K::augment_args(Command::new("keys")).get_arguments() {
            let id = arg.get_id().as_str();
            if matches!(matches.value_source(id), Some(ValueSource::CommandLine | ValueSource::EnvVariable)) {
                copy(&all, id, &mut given).expect("the id of an argument is the dotted path of its key");
            }
        }
        Ok(Self(given, PhantomData))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<K: Args + Serialize> Args for Given<K> {
    fn augment_args(command: Command) -> Command {
        K::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        K::augment_args_for_update(command)
    }
}

/// The keys when nobody says anything, not even the environment.
pub(crate) fn defaults<K: Args>() -> K {
    let command = K::augment_args(Command::new("defaults")).mut_args(|arg| arg.env(Resettable::Reset));
    let matches = command.try_get_matches_from(["defaults"]);
    matches.and_then(|matches| K::from_arg_matches(&matches)).expect("every key has a default or may be absent")
}

/// As TOML that could be the file. Tables with nothing in them are left out.
pub(crate) fn to_toml<K: Serialize>(keys: &K) -> String {
    let mut table = Table::try_from(keys).expect("the keys came from TOML");
    remove_empty(&mut table);
    table.to_string()
}

/// The dotted paths of the values in which two sets of keys differ.
pub(crate) fn differing_keys<K: Serialize>(one: &K, other: &K) -> Vec<String> {
    let table = |keys: &K| Table::try_from(keys).expect("the keys came from TOML");
    let mut paths = Vec::new();
    differing(&table(one), &table(other), "", &mut paths);
    paths
}

fn differing(one: &Table, other: &Table, prefix: &str, paths: &mut Vec<String>) {
    let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    for key in keys {
        let path = format!("{prefix}{key}");
        match (one.get(key), other.get(key)) {
            (Some(Value::Table(one)), Some(Value::Table(other))) => differing(one, other, &format!("{path}."), paths),
            (one, other) if one != other => paths.push(path),
            _ => {}
        }
    }
}

fn remove_empty(table: &mut Table) {
    table.retain(|_, value| match value {
        Value::Table(inner) => {
            remove_empty(inner);
            !inner.is_empty()
        }
        // An empty list is not the same as none: it may be the default that is otherwise.
        _ => true,
    });
}

/// Lays `upper` over `lower`: tables key by key, everything else as a whole.
fn overlay(lower: &mut Table, upper: Table) {
    for (key, value) in upper {
        match (lower.get_mut(&key), value) {
            (Some(Value::Table(lower)), Value::Table(upper)) => overlay(lower, upper),
            (Some(lower), value) => *lower = value,
            (None, value) => {
                lower.insert(key, value);
            }
        }
    }
}

/// Copies the value at a dotted path to the same place in another table; `None` when there is none.
fn copy(from: &Table, path: &str, to: &mut Table) -> Option<()> {
    if let Some((outer, rest)) = path.split_once('.') {
        let inner = to.entry(outer).or_insert_with(|| Table::new().into());
        return copy(from.get(outer)?.as_table()?, rest, inner.as_table_mut()?);
    }
    to.insert(path.to_owned(), from.get(path)?.clone());
    Some(())
}

/// What a file with this text says, and for the rest the defaults.
pub(crate) fn parse_text<F: DeserializeOwned>(text: &str) -> Result<F, FileError> {
    let table = parse_file::<F>(Path::new(DEFAULT_FILE), text)?;
    Ok(table.try_into().expect("it was checked"))
}

/// The file as a table, once it has been found to be an `F`.
fn parse_file<F: DeserializeOwned>(path: &Path, text: &str) -> Result<Table, FileError> {
    toml::from_str::<F>(text).and_then(|_| toml::from_str(text)).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start).min(text.len());
        let line = text[..offset].matches('\n').count() + 1;
        let key = key_at(&DeTable::parse_recoverable(text).0.into_inner(), offset);
        let key = key.unwrap_or_else(|| key_on_line(text, line));
        let message = with_nearest(&without_value(&error.message().replace('\n', " ")));
        FileError::Syntax { path: path.into(), line, key, message }
    })
}

/// What is wrong with a value, without the value: it may be a password, or a key that lacks its quotes (S66).
fn without_value(message: &str) -> String {
    let parts = message.strip_prefix("invalid type: ").and_then(|rest| rest.rsplit_once(", expected "));
    let Some((given, expected)) = parts else { return without_password(message) };
    let kind = given.split(['`', '"']).next().unwrap_or_default().trim_end();
    format!("invalid type: {kind}, expected {expected}")
}

/// An unknown word beside the known ones, with the one that was probably meant.
fn with_nearest(message: &str) -> String {
    let mut words = message.split('`').skip(1).step_by(2);
    let Some(given) = words.next().filter(|_| message.starts_with("unknown ")) else { return message.to_owned() };
    let near = |known: &&str| strsim::damerau_levenshtein(given, known);
    match words.min_by_key(near).filter(|known| near(known) <= given.len().max(3) / 3) {
        Some(known) => format!("{message}; did you mean `{known}`?"),
        None => message.to_owned(),
    }
}

/// The dotted path of the innermost key whose name or value is at this byte of the file.
fn key_at(table: &DeTable<'_>, offset: usize) -> Option<String> {
    table.iter().find_map(|(key, value)| {
        let inner = match value.get_ref() {
            DeValue::Table(table) => key_at(table, offset),
            DeValue::Array(items) => {
                items.iter().filter_map(|item| item.get_ref().as_table()).find_map(|table| key_at(table, offset))
            }
            _ => None,
        };
        let here = key.span().contains(&offset) || value.span().contains(&offset);
        let name = key.get_ref();
        inner.map(|inner| format!("{name}.{inner}")).or_else(|| here.then(|| name.to_string()))
    })
}

/// For a line that is not TOML: what stands before the equals sign, under the last header above.
fn key_on_line(text: &str, line: usize) -> String {
    let mut lines = text.lines().take(line).collect::<Vec<_>>().into_iter().rev();
    let name = lines.next().unwrap_or_default().split_once('=').map_or("", |(name, _)| name.trim());
    // A line of something else may be one of a key in PEM that has lost its quotes.
    let is_letter = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "_-.\"' ".contains(letter);
    let name = if !name.is_empty() && name.chars().all(is_letter) { name } else { "…" };
    match lines.find(|line| line.starts_with('[')) {
        Some(header) => format!("{}.{name}", header.trim_matches(['[', ']', ' '])),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    /// Keys with a nested table of flags, and one of tables whose names the file chooses.
    #[derive(Debug, Args, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Keys {
        #[arg(long, default_value = "127.0.0.1:8000")]
        listen: String,
        #[command(flatten)]
        tls: TlsKeys,
        #[arg(skip)]
        namespaces: BTreeMap<String, NamespaceKeys>,
    }

    #[derive(Debug, Args, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct TlsKeys {
        #[arg(id = "tls.cert", long = "tls-cert")]
        cert: Option<String>,
        #[arg(id = "tls.key", long = "tls-key")]
        key: Option<String>,
        #[arg(id = "tls.reload", long = "tls-reload", default_value_t = 30)]
        reload: u32,
    }

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct NamespaceKeys {
        history_size: u32,
        origins: Vec<String>,
    }

    impl Default for Keys {
        fn default() -> Self {
            defaults()
        }
    }

    impl Default for TlsKeys {
        fn default() -> Self {
            defaults()
        }
    }

    /// What a command line makes of a file.
    fn load<K: Args + Serialize + DeserializeOwned>(flags: &[&str], file: &str) -> Result<K, FileError> {
        let command = Given::<K>::augment_args(Command::new("test")).mut_args(|arg| arg.env(Resettable::Reset));
        let matches = command.try_get_matches_from([&["test"], flags].concat()).unwrap();
        let given = Given::from_arg_matches(&matches).unwrap();
        let path = std::env::temp_dir().join(format!("tidings-{}.toml", uuid::Uuid::now_v7()));
        std::fs::write(&path, file).unwrap();
        let loaded = Sources { config: Some(path.clone()), given }.load::<K>();
        std::fs::remove_file(path).unwrap();
        loaded
    }

    /// Why a file is refused, from the line on.
    fn refused<K: DeserializeOwned>(file: &str) -> String {
        let refusal = parse_file::<K>(Path::new("tidings.toml"), file).unwrap_err().to_string();
        refusal.strip_prefix("tidings.toml, ").unwrap().to_owned()
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_the_defaults() {
        let file = "listen = \"127.0.0.1:7000\"\nserver_name = \"Aviary\"\nrate_limits = false\n";
        let settings: Settings = load(&["--listen", "127.0.0.1:9000", "--rate-limits", "true"], file).unwrap();
        assert_eq!(settings.listen, "127.0.0.1:9000");
        assert_eq!(settings.server_name, "Aviary");
        assert_eq!(settings.ping_interval, 25);
        // A flag wins even when it says what the default is.
        assert!(settings.rate_limits);
    }

    #[test]
    fn in_nested_tables_too_flags_win_over_the_file_key_by_key() {
        let file = "[tls]\ncert = \"file.pem\"\nkey = \"key.pem\"\n[namespaces.news]\nhistory_size = 7\n";
        let keys: Keys = load(&["--tls-cert", "flag.pem"], file).unwrap();
        assert_eq!(keys.tls.cert.as_deref(), Some("flag.pem"));
        assert_eq!(keys.tls.key.as_deref(), Some("key.pem"));
        assert_eq!(keys.tls.reload, 30);
        assert_eq!(keys.namespaces["news"], NamespaceKeys { history_size: 7, origins: Vec::new() });
    }

    #[test]
    fn a_nested_table_is_printed_as_a_file_would_have_it() {
        let keys: Keys = load(&["--tls-cert", "flag.pem"], "[namespaces.news]\nhistory_size = 7\n").unwrap();
        let printed = to_toml(&keys);
        assert_eq!(
            printed,
            "listen = \"127.0.0.1:8000\"\n\n[namespaces.news]\nhistory_size = 7\norigins = []\n\n[tls]\ncert = \"flag.pem\"\nreload = 30\n"
        );
        assert_eq!(to_toml(&load::<Keys>(&[], &printed).unwrap()), printed);
    }

    #[test]
    fn a_misspelt_key_is_named_with_its_file_and_line() {
        let refusal = refused::<Settings>("listen = \"127.0.0.1:1\"\npublic_ulr = \"https://a\"\n");
        assert!(refusal.starts_with("line 2, key `public_ulr`: unknown field"), "{refusal}");
        for (file, place) in [
            ("[tls]\ncret = \"a\"\n", "line 2, key `tls.cret`: unknown field"),
            ("tls = { cret = \"a\" }\n", "line 1, key `tls.cret`: unknown field"),
            ("[tsl]\ncert = \"a\"\n", "line 1, key `tsl`: unknown field"),
            ("[namespaces.news]\n\nhistroy_size = 7\n", "line 3, key `namespaces.news.histroy_size`: unknown field"),
        ] {
            let refusal = refused::<Keys>(file);
            assert!(refusal.starts_with(place), "{refusal}");
        }
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named_with_its_file_and_line() {
        let refusal = refused::<Settings>("\n\nping_interval = \"soon\"\n");
        assert!(refusal.starts_with("line 3, key `ping_interval`: invalid type"), "{refusal}");
        for (file, place) in [
            ("listen = \"a\"\ntls.reload = \"soon\"\n", "line 2, key `tls.reload`: invalid type"),
            (
                "[namespaces.news]\norigins = [\n  \"a\",\n  5,\n]\n",
                "line 4, key `namespaces.news.origins`: invalid type",
            ),
            ("tls = 5\n", "line 1, key `tls`: invalid type"),
        ] {
            let refusal = refused::<Keys>(file);
            assert!(refusal.starts_with(place), "{refusal}");
        }
    }

    #[test]
    fn broken_toml_is_named_with_its_file_and_line() {
        for (file, place) in [
            ("listen = \n", "line 1, key `listen`:"),
            ("[tls]\ncert = \n", "line 2, key `tls.cert`:"),
            ("listen = \"a\"\nlisten = \"b\"\n", "line 2, key `listen`:"),
            ("listen = \"a\"\n%%%\n", "line 2, key `…`:"),
        ] {
            let refusal = refused::<Keys>(file);
            assert!(refusal.starts_with(place), "{refusal}");
        }
    }

    #[test]
    fn s66_a_file_that_is_refused_is_not_repeated_where_it_may_have_a_secret() {
        for file in [
            "allowed_origins = \"https://ana:5ecret@a.example\"\n",
            "[[api_keys]]\nkey = 5_000_000_000_000_001\n",
            "api_keys = \"5ecret\"\n",
            "[[client.token.issuers]]\nkey = \"\"\nMIIEvQ5ecretA==\n",
            "[[client.token.issuers]]\nkey =\nMIIEvQ5ecretA==\n-----END PRIVATE KEY-----\n",
            "[[api_keys]]\nname = \"a\"\n5ecret\n",
        ] {
            let refusal = refused::<Settings>(file);
            assert!(!refusal.contains("5ecret") && !refusal.contains("5000"), "{refusal}");
        }
    }
}
