//! The keys of `[[api_keys]]`: who may call the server API beside whoever has the generated key.
//!
//! As `settings` does, a key is written once: its meaning in the documentation comes from here. None of them is a flag.

use super::{ConfigError, wrong};
use crate::api::keys::{GENERATED, Key, KeyDigest};
use crate::api::scopes::Scopes;
use crate::limits::{API_KEY_NAME_BYTES_MAX, API_KEYS_MAX, API_PATTERN_BYTES_MAX};
use crate::pattern::Pattern;
use crate::secrets::{SECRET_BYTES_MIN, fits_header};
use clap::Args;
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// A key of the server API. Its values are not printed.
#[derive(Clone, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ApiKeySettings {
    /// What logs and metrics call it: 1 to 64 letters, digits, dots, dashes and underscores
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(crate) name: String,

    /// The key itself, at least 16 bytes; or, instead, one of the next two
    #[arg(long, value_name = "KEY")]
    #[serde(serialize_with = "redacted")]
    pub(crate) key: Option<String>,

    /// File with the key and nothing else
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,

    /// sha256: and the key's SHA-256 in 64 hexadecimal digits, so that the key itself is in no file here
    #[arg(long, value_name = "HASH")]
    #[serde(serialize_with = "redacted")]
    pub(crate) hash: Option<String>,

    /// What it may: methods, or groups of them, or all
    #[arg(long, value_name = "SCOPES")]
    pub(crate) scopes: Vec<String>,

    /// Which channels it reaches: patterns in which * stands for any characters [default: all of the application]
    #[arg(long, value_name = "PATTERNS")]
    pub(crate) channels: Option<Vec<String>>,
}

impl std::fmt::Debug for ApiKeySettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiKeySettings").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Whether there is one, and no more (S66).
#[expect(clippy::ref_option, reason = "serde passes a reference")]
fn redacted<S: Serializer>(value: &Option<String>, to: S) -> Result<S::Ok, S::Error> {
    value.as_ref().map(|_| "(redacted)").serialize(to)
}

/// What can be seen to be wrong without reading a file.
pub(super) fn check(all: &[ApiKeySettings]) -> Result<(), ConfigError> {
    if all.len() > API_KEYS_MAX {
        return Err(wrong("api_keys", &all.len().to_string(), format!("at most {API_KEYS_MAX}")));
    }
    let mut names = BTreeSet::new();
    for settings in all {
        settings.check_name()?;
        if !names.insert(&settings.name) {
            return Err(settings.wrong("name", &settings.name, "another key has this name"));
        }
        settings.scopes()?;
        settings.channels()?;
        match (&settings.key, &settings.key_file, &settings.hash) {
            (Some(key), None, None) => drop(settings.good_value("key", key)?),
            (None, None, Some(hash)) => drop(settings.digest(hash)?),
            (None, Some(_), None) => {}
            _ => return Err(settings.wrong("key", "", "give one of key, key_file and hash")),
        }
    }
    Ok(())
}

/// The keys, of which no two are the same, nor the generated one.
pub(super) fn read(all: &[ApiKeySettings], generated: Option<&Key>) -> Result<Vec<Key>, ConfigError> {
    let keys = all.iter().map(ApiKeySettings::read).collect::<Result<Vec<_>, _>>()?;
    for (number, (settings, key)) in all.iter().zip(&keys).enumerate() {
        if let Some(other) = keys[..number].iter().chain(generated).find(|other| other.digest == key.digest) {
            return Err(settings.wrong("key", "", format!("is the same as that of {}", other.name)));
        }
    }
    Ok(keys)
}

impl ApiKeySettings {
    fn wrong(&self, key: &str, value: &str, message: impl Into<String>) -> ConfigError {
        wrong(&format!("api_keys.{}.{key}", self.name), value, message)
    }

    fn check_name(&self) -> Result<(), ConfigError> {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        let Self { name, .. } = self;
        if name.is_empty() || name.len() > API_KEY_NAME_BYTES_MAX || !name.bytes().all(is_letter) {
            return Err(wrong(
                "api_keys.name",
                name,
                "a key has a name of 1 to 64 letters, digits, dots, dashes and underscores",
            ));
        }
        if name == GENERATED {
            return Err(wrong("api_keys.name", name, "is what the generated key is called; choose another name"));
        }
        Ok(())
    }

    fn scopes(&self) -> Result<Scopes, ConfigError> {
        let mut scopes = Scopes::default();
        for scope in &self.scopes {
            scopes.add(scope).map_err(|message| self.wrong("scopes", scope, message))?;
        }
        if self.scopes.is_empty() {
            return Err(self.wrong("scopes", "", "says what the key may, such as [\"publish\"], or [\"all\"]"));
        }
        Ok(scopes)
    }

    fn channels(&self) -> Result<Option<Vec<Pattern>>, ConfigError> {
        let Some(patterns) = &self.channels else { return Ok(None) };
        if let Some(long) = patterns.iter().find(|pattern| pattern.len() > API_PATTERN_BYTES_MAX) {
            return Err(self.wrong("channels", long, format!("a pattern has at most {API_PATTERN_BYTES_MAX} bytes")));
        }
        Ok(Some(patterns.iter().map(|pattern| Pattern::new(pattern)).collect()))
    }

    fn good_value(&self, key: &str, value: &str) -> Result<KeyDigest, ConfigError> {
        let given = value.len();
        if given < SECRET_BYTES_MIN {
            let message =
                format!("has {given} bytes; at least {SECRET_BYTES_MIN} are needed so that it cannot be guessed");
            return Err(self.wrong(key, "(redacted)", message));
        }
        if !fits_header(value) {
            let message = "could be in no header: it has a space before or behind it, a control character such as the end of a \
                           line, or a byte order mark; a file has the key on one line and nothing else";
            return Err(self.wrong(key, "(redacted)", message));
        }
        Ok(KeyDigest::of(value.as_bytes()))
    }

    fn digest(&self, hash: &str) -> Result<KeyDigest, ConfigError> {
        let wrong = || {
            self.wrong(
                "hash",
                "(redacted)",
                "must be sha256: and 64 hexadecimal digits, as `printf %s KEY | sha256sum` prints them",
            )
        };
        let is_hexadecimal =
            |digits: &&str| digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let digits = hash.strip_prefix("sha256:").filter(is_hexadecimal).ok_or_else(wrong)?;
        let mut digest = [0; 32];
        for (byte, at) in digest.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| wrong())?;
        }
        Ok(KeyDigest(digest))
    }

    fn read(&self) -> Result<Key, ConfigError> {
        let digest = match (&self.key, &self.key_file, &self.hash) {
            (Some(key), ..) => self.good_value("key", key)?,
            (None, Some(path), _) => {
                let shown = path.display().to_string();
                let text = std::fs::read_to_string(path)
                    .map_err(|error| self.wrong("key_file", &shown, format!("cannot be read: {error}")))?;
                self.good_value("key_file", text.trim())?
            }
            (None, None, hash) => self.digest(hash.as_deref().unwrap_or_default())?,
        };
        Ok(Key { name: (&*self.name).into(), digest, scopes: self.scopes()?, channels: self.channels()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Arg, Command};

    const PAGE: &str = include_str!("../../../../docs/server-api.md");

    #[test]
    fn the_page_on_the_server_api_lists_every_key_of_an_api_key_as_it_is_defined() {
        let command = ApiKeySettings::augment_args(Command::new("api_keys"));
        let row = |arg: &Arg| {
            let help = arg.get_help().unwrap().to_string();
            let (meaning, default) = help.split_once(" [default: ").unwrap_or((&help, "none]"));
            format!("| `{}` | {} | {meaning} |\n", arg.get_id(), default.trim_end_matches(']'))
        };
        let rows: String = command.get_arguments().map(row).collect();
        let table = format!("| key | default | meaning |\n|---|---|---|\n{rows}");
        assert!(PAGE.contains(&table), "the table in docs/server-api.md is not true any more; it should be\n\n{table}");
    }

    fn parsed(file: &str) -> Result<Vec<Key>, ConfigError> {
        let settings: super::super::Settings = toml::from_str(file).unwrap();
        check(&settings.api_keys)?;
        read(&settings.api_keys, Some(&Key::generated("the-generated-key")))
    }

    fn refused(lines: &str) -> String {
        parsed(&format!("[[api_keys]]\n{lines}")).unwrap_err().to_string()
    }

    const GOOD: &str = "key = \"0123456789abcdef\"\n";

    #[test]
    fn a_key_is_given_by_itself_in_a_file_or_by_its_hash() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "fedcba9876543210\n").unwrap();
        // printf %s 0123456789abcdeF | sha256sum
        let hash = "72bfd571e1d27072278bd2ab343ada9bedad6ee2e371d0776bf0978f4bd055bb";
        let text = format!(
            "[[api_keys]]\nname = \"a\"\nkey = \"0123456789abcdef\"\nscopes = [\"publish\"]\n\
             [[api_keys]]\nname = \"b\"\nkey_file = \"{}\"\nscopes = [\"all\"]\nchannels = [\"news:*\"]\n\
             [[api_keys]]\nname = \"c\"\nhash = \"sha256:{hash}\"\nscopes = [\"info\", \"metrics\"]\n",
            file.display()
        );
        let keys = parsed(&text).unwrap();
        assert_eq!(keys[0].digest, KeyDigest::of(b"0123456789abcdef"));
        std::fs::write(&file, "fedcba9876543210\nanother-of-those-keys\n").unwrap();
        let refusal = parsed(&text).unwrap_err().to_string();
        assert!(refusal.contains("api_keys.b.key_file") && refusal.contains("could be in no header"), "{refusal}");
        assert_eq!(keys[1].digest, KeyDigest::of(b"fedcba9876543210"));
        assert_eq!(keys.iter().map(|key| key.channels.is_some()).collect::<Vec<_>>(), [false, true, false]);
        assert!(keys[2].scopes.metrics && !keys[0].scopes.metrics);
    }

    #[test]
    fn what_cannot_be_is_named_with_its_key_and_with_what_would_be_right() {
        let with = |lines: &str| format!("name = \"a\"\nscopes = [\"publish\"]\n{lines}");
        for (lines, says) in [
            (GOOD.to_owned(), "api_keys.name ``: a key has a name of"),
            (format!("name = \"api-key\"\n{GOOD}"), "api_keys.name `api-key`: is what the generated key is called"),
            (format!("name = \"a\"\n{GOOD}"), "api_keys.a.scopes ``: says what the key may"),
            (
                format!("name = \"a\"\n{GOOD}scopes = [\"publsh\"]"),
                "api_keys.a.scopes `publsh`: there is no such scope; did you mean `publish`?",
            ),
            (with(""), "api_keys.a.key ``: give one of key, key_file and hash"),
            (with(&format!("{GOOD}hash = \"x\"\n")), "api_keys.a.key ``: give one of"),
            (with("key = \"short\"\n"), "api_keys.a.key `(redacted)`: has 5 bytes; at least 16"),
            (with("hash = \"sha256:00\"\n"), "api_keys.a.hash `(redacted)`: must be sha256: and 64"),
            (
                with("hash = \"sha256:+f000000000000000000000000000000000000000000000000000000000000000\"\n"),
                "api_keys.a.hash `(redacted)`: must be sha256: and 64",
            ),
            (with("key = \" 0123456789abcdef\"\n"), "api_keys.a.key `(redacted)`: could be in no header"),
            (with("key = \"0123456789\\nabcdef\"\n"), "api_keys.a.key `(redacted)`: could be in no header"),
            (with("key = \"\\uFEFF0123456789abcdef\"\n"), "api_keys.a.key `(redacted)`: could be in no header"),
            (with("key = \"the-generated-key\"\n"), "api_keys.a.key ``: is the same as that of api-key"),
            (with("key_file = \"/nowhere/key\"\n"), "api_keys.a.key_file `/nowhere/key`: cannot be read: "),
            (with(&format!("{GOOD}[[api_keys]]\n{}", with(GOOD))), "api_keys.a.name `a`: another key has this name"),
            (
                with(&format!("{GOOD}[[api_keys]]\nname = \"b\"\nscopes = [\"all\"]\n{GOOD}")),
                "api_keys.b.key ``: is the same as that of a",
            ),
        ] {
            let refusal = refused(&lines);
            assert!(refusal.starts_with(says), "{refusal}\nshould begin with\n{says}");
        }
    }

    #[test]
    fn s66_no_value_is_printed() {
        let hash = format!("sha256:{}", "ab".repeat(32));
        let settings: super::super::Settings = toml::from_str(&format!(
            "[[api_keys]]\nname = \"a\"\n{GOOD}scopes = [\"all\"]\n[[api_keys]]\nname = \"b\"\nhash = \"{hash}\"\nscopes = [\"all\"]\n"
        ))
        .unwrap();
        let printed = super::super::sources::to_toml(&settings);
        assert!(printed.contains("name = \"a\"") && printed.contains("key = \"(redacted)\""), "{printed}");
        assert!(!printed.contains("0123456789") && !printed.contains("abab"), "{printed}");
        assert!(!format!("{settings:?}").contains("0123456789"));
    }
}
