//! The keys of issuers of client tokens, `[[client.token.issuers]]`: whose tokens are taken beside those of the server's own
//! secret, and how they are signed.
//!
//! What is wrong with an entry by itself is found when the file is read, and named with its line; what is wrong with a file that
//! it names, when that is read.

use super::{ConfigError, wrong};
use crate::limits::TOKEN_ISSUERS_MAX;
use crate::plain::without_password;
use crate::tokens::{HMAC, Held, Issuer, Key, KeySet, Keys, Pace, check_address};
use jsonwebtoken::{Algorithm, AlgorithmFamily};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use toml::value::{Datetime, Offset};

/// An issuer, as it was given and found to be possible.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub(crate) struct IssuerSettings(Written);

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// The claim `iss` of its tokens; without it, of any that no other entry names.
    iss: Option<String>,
    /// What its tokens must name in `aud`.
    audience: Option<String>,
    algorithms: Vec<Algorithm>,
    /// The name of the key; without it, it is for all names.
    kid: Option<String>,
    /// A public key in PEM.
    key: Option<String>,
    key_file: Option<PathBuf>,
    /// A secret, for HS256 and its like.
    secret_file: Option<PathBuf>,
    /// Where it publishes its keys.
    jwks_url: Option<String>,
    previous: Option<Previous>,
}

/// The key before this one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Previous {
    kid: Option<String>,
    key: Option<String>,
    key_file: Option<PathBuf>,
    secret_file: Option<PathBuf>,
    until: Datetime,
}

/// Where a key is.
enum Place<'a> {
    Text(&'a str),
    File(&'a Path),
    Secret(&'a Path),
    Address(&'a str),
}

impl Place<'_> {
    /// Whether a key that stands in the entry itself is one.
    fn check_text(&self, name: &str) -> Result<(), String> {
        let Self::Text(text) = self else { return Ok(()) };
        Key::pem(text).map(drop).map_err(|why| format!("{name} {why}"))
    }
}

impl TryFrom<Written> for IssuerSettings {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let is_empty = |text: &Option<String>| text.as_ref().is_some_and(String::is_empty);
        if is_empty(&written.iss) || is_empty(&written.audience) || is_empty(&written.kid) {
            return Err("iss, audience and kid must not be empty; leave out what may be anything".into());
        }
        if written.algorithms.is_empty() {
            return Err("algorithms must name what its tokens are signed with, such as [\"RS256\"]".into());
        }
        let hmac = written.algorithms.iter().filter(|algorithm| HMAC.contains(algorithm)).count();
        let place = written.place()?;
        // Here already: what is no public key may be a secret one, and is never printed with the others.
        place.check_text("key")?;
        match place {
            Place::Secret(_) if hmac < written.algorithms.len() => {
                return Err("a secret_file is for HS256, HS384 and HS512 alone; a public key is given by key, key_file or jwks_url".into());
            }
            Place::Secret(_) => {}
            _ if hmac > 0 => return Err("HS256, HS384 and HS512 need a secret_file".into()),
            Place::Address(url) => {
                let shown = without_password(url);
                let uri = url.parse().map_err(|_| format!("jwks_url {shown:?} is no URL"))?;
                check_address(&uri).map_err(|why| format!("jwks_url {shown:?} {why}"))?;
                if written.kid.is_some() || written.previous.is_some() {
                    return Err("kid and previous are not for a jwks_url: the set names its keys, and has the one before as long as it counts".into());
                }
            }
            Place::Text(_) | Place::File(_) => {}
        }
        if let Some(previous) = &written.previous {
            let place = previous.place()?;
            place.check_text("previous.key")?;
            let is_secret = matches!(place, Place::Secret(_));
            if is_secret != (hmac > 0) {
                return Err("the previous key must be of the kind of the present one".into());
            }
            seconds(&previous.until)?;
        }
        Ok(Self(written))
    }
}

impl Written {
    fn place(&self) -> Result<Place<'_>, String> {
        only_one(self.key.as_deref(), self.key_file.as_deref(), self.secret_file.as_deref(), self.jwks_url.as_deref())
            .ok_or_else(|| "needs exactly one of key, key_file, secret_file and jwks_url".to_owned())
    }
}

impl Previous {
    fn place(&self) -> Result<Place<'_>, String> {
        only_one(self.key.as_deref(), self.key_file.as_deref(), self.secret_file.as_deref(), None)
            .ok_or_else(|| "previous needs exactly one of key, key_file and secret_file".to_owned())
    }
}

fn only_one<'a>(
    key: Option<&'a str>,
    file: Option<&'a Path>,
    secret: Option<&'a Path>,
    url: Option<&'a str>,
) -> Option<Place<'a>> {
    let given = [key.map(Place::Text), file.map(Place::File), secret.map(Place::Secret), url.map(Place::Address)];
    let mut given = given.into_iter().flatten();
    given.next().filter(|_| given.next().is_none())
}

/// The issuers, with their keys read. Secrets have so many bytes at least.
///
/// # Errors
/// [`ConfigError`] with the entry, its key and what would be right.
pub(super) fn parse(settings: &[IssuerSettings], secret_bytes_min: usize) -> Result<Vec<Issuer>, ConfigError> {
    if settings.len() > TOKEN_ISSUERS_MAX {
        let message = format!("there may be {TOKEN_ISSUERS_MAX} entries at most");
        return Err(wrong("client.token.issuers", &settings.len().to_string(), message));
    }
    let parse = |(index, IssuerSettings(written)): (usize, &IssuerSettings)| {
        let name = format!("client.token.issuers[{index}]");
        let wrong = |key: &str, value: &str, message: String| wrong(&format!("{name}.{key}"), value, message);
        let held = |prefix: &str, place: Place<'_>, kid: &Option<String>, until: Option<Duration>| {
            let (key, value, read) = match place {
                Place::Text(text) => ("key", String::new(), Key::pem(text)),
                Place::File(path) => {
                    ("key_file", path.display().to_string(), read(path).and_then(|text| Key::pem(&text)))
                }
                Place::Secret(path) => (
                    "secret_file",
                    path.display().to_string(),
                    read(path).and_then(|text| secret(&text, secret_bytes_min)),
                ),
                Place::Address(_) => unreachable!("an address has no key of its own"),
            };
            let key_name = format!("{prefix}{key}");
            let read = read.and_then(|key| suits(&key, &written.algorithms).map(|()| key));
            let mut key = read.map_err(|message| wrong(&key_name, &value, message))?;
            key.kid.clone_from(kid);
            Ok::<_, ConfigError>(Held { key, until })
        };
        let keys = match written.place().expect("it was looked at when it was read") {
            Place::Address(url) => {
                let url = url.parse().expect("it was parsed when it was read");
                Keys::Published(Arc::new(KeySet::new(url, written.algorithms.clone(), Pace::default())))
            }
            place => {
                let mut keys = vec![held("", place, &written.kid, None)?];
                if let Some(previous) = &written.previous {
                    let place = previous.place().expect("it was looked at when it was read");
                    let until = seconds(&previous.until).expect("it was looked at when it was read");
                    keys.push(held("previous.", place, &previous.kid, Some(until))?);
                }
                Keys::Held(keys)
            }
        };
        let (iss, audience, algorithms) = (written.iss.clone(), written.audience.clone(), written.algorithms.clone());
        Ok(Issuer { name, iss, audience, algorithms, keys })
    };
    settings.iter().enumerate().map(parse).collect()
}

/// The files with secrets, whose modes are to be looked at.
pub(super) fn secret_files(settings: &[IssuerSettings]) -> impl Iterator<Item = &Path> {
    settings.iter().flat_map(|IssuerSettings(written)| {
        let previous = written.previous.as_ref().and_then(|previous| previous.secret_file.as_deref());
        written.secret_file.as_deref().into_iter().chain(previous)
    })
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))
}

fn secret(text: &str, bytes_min: usize) -> Result<Key, String> {
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.contains("-----BEGIN") {
        return Err("is a key in PEM and no secret; whoever has a public key could sign with it".into());
    }
    if secret.len() < bytes_min {
        return Err(format!(
            "has {} bytes; at least {bytes_min} are needed so that it cannot be guessed",
            secret.len()
        ));
    }
    Ok(Key::secret(secret.as_bytes()))
}

/// Each algorithm must be one of the key.
fn suits(key: &Key, algorithms: &[Algorithm]) -> Result<(), String> {
    let Some(other) = algorithms.iter().find(|algorithm| !key.fits(**algorithm)) else { return Ok(()) };
    let kind = match key.family() {
        AlgorithmFamily::Hmac => "a secret",
        AlgorithmFamily::Rsa => "an RSA key",
        AlgorithmFamily::Ec => "an EC key",
        AlgorithmFamily::Ed => "an Ed25519 key",
    };
    let can: Vec<_> = key.algorithms().iter().map(|algorithm| format!("{algorithm:?}")).collect();
    Err(format!("is {kind}, which cannot be used with {other:?}; algorithms may have {}", can.join(", ")))
}

/// Since the Unix epoch.
fn seconds(until: &Datetime) -> Result<Duration, String> {
    let (Some(date), Some(time), Some(offset)) = (until.date, until.time, until.offset) else {
        return Err(format!("until {until} must have a date, a time and an offset, such as 2030-01-31T00:00:00Z"));
    };
    let minutes = match offset {
        Offset::Z => 0,
        Offset::Custom { minutes } => i64::from(minutes),
    };
    // Days since 0000-03-01, so that the day that is sometimes there comes last (Howard Hinnant, days_from_civil).
    let (year, month, day) = (i64::from(date.year), i64::from(date.month), i64::from(date.day));
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let days = days - 719_468;
    let second = i64::from(time.second.unwrap_or(0));
    let seconds = days * 86_400 + i64::from(time.hour) * 3_600 + (i64::from(time.minute) - minutes) * 60 + second;
    u64::try_from(seconds).map(Duration::from_secs).map_err(|_| format!("until {until} is before 1970"))
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Settings};
    use super::*;

    const PUBLIC: &str = include_str!("../tokens/testdata/rsa.pub.pem");
    const PRIVATE: &str = include_str!("../tokens/testdata/rsa.pem");

    fn entry(keys: &str) -> Result<Settings, String> {
        toml::from_str(&format!("[[client.token.issuers]]\n{keys}\n")).map_err(|error| error.message().to_owned())
    }

    /// What is said of an entry when the file is read, or when the files that it names are.
    fn refused(keys: &str) -> String {
        match entry(keys) {
            Err(error) => error,
            Ok(settings) => match Config::parse(settings).unwrap().token_issuers() {
                Err(error) => error.to_string(),
                Ok(_) => "nothing".into(),
            },
        }
    }

    fn file(name: &str, text: &str) -> String {
        let dir = std::env::temp_dir().join(format!("tidings-issuers-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&dir).unwrap();
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    #[test]
    fn s30_an_entry_whose_key_and_algorithms_do_not_go_together_is_refused() {
        let public = file("key.pem", PUBLIC);
        let secret = file("secret", "a-secret-of-the-tests\n");
        for (keys, why) in [
            (String::new(), "missing field `algorithms`"),
            (format!("algorithms = []\nkey_file = '{public}'"), "algorithms must name"),
            ("algorithms = ['RS256']".into(), "exactly one of key, key_file, secret_file and jwks_url"),
            (format!("algorithms = ['RS256']\nkey_file = '{public}'\nsecret_file = '{secret}'"), "exactly one of"),
            (format!("algorithms = ['none']\nkey_file = '{public}'"), "unknown variant `none`"),
            (format!("algorithms = ['HS256', 'RS256']\nkey_file = '{public}'"), "need a secret_file"),
            (format!("algorithms = ['HS256', 'RS256']\nsecret_file = '{secret}'"), "for HS256, HS384 and HS512 alone"),
            ("algorithms = ['HS256']\njwks_url = 'https://login.example.org/keys'".into(), "need a secret_file"),
            (format!("algorithms = ['HS256']\nsecret_file = '{public}'"), "a key in PEM and no secret"),
            (
                format!("algorithms = ['ES256']\nkey_file = '{public}'"),
                "an RSA key, which cannot be used with ES256; algorithms may have RS256",
            ),
            (format!("algorithms = ['RS256']\nkey = '''{PRIVATE}'''"), "is a private key"),
            (format!("algorithms = ['RS256']\nkey_file = '{secret}'"), "no public key in PEM"),
            ("algorithms = ['RS256']\nkey_file = '/nowhere/key.pem'".into(), "cannot be read"),
            ("algorithms = ['HS256']\nsecret_file = '/nowhere/secret'".into(), "cannot be read"),
            (
                format!("algorithms = ['HS256']\nsecret_file = '{}'", file("short", "fifteen-bytes-.")),
                "at least 16 are needed",
            ),
            (format!("algorithms = ['RS256']\niss = ''\nkey_file = '{public}'"), "must not be empty"),
            ("algorithms = ['RS256']\njwks_url = 'http://login.example.org/keys'".into(), "must begin with https://"),
            ("algorithms = ['RS256']\njwks_url = 'login.example.org'".into(), "must begin with https://"),
            (
                "algorithms = ['RS256']\nkid = 'a'\njwks_url = 'https://login.example.org/keys'".into(),
                "not for a jwks_url",
            ),
            (
                format!("algorithms = ['RS256']\nkey_file = '{public}'\nprevious = {{ key_file = '{public}' }}"),
                "missing field `until`",
            ),
            (
                format!(
                    "algorithms = ['RS256']\nkey_file = '{public}'\nprevious = {{ key_file = '{public}', until = 2030-01-31 }}"
                ),
                "such as 2030-01-31T00:00:00Z",
            ),
            (
                format!(
                    "algorithms = ['RS256']\nkey_file = '{public}'\nprevious = {{ secret_file = '{secret}', until = 2030-01-31T00:00:00Z }}"
                ),
                "of the kind of the present one",
            ),
            (format!("algorithms = ['RS256']\nkey_file = '{public}'\nkye = 'a'"), "unknown field `kye`"),
        ] {
            let refused = refused(&keys);
            assert!(refused.contains(why), "{keys}\n{refused}");
        }
    }

    #[test]
    fn a_file_that_an_entry_names_is_named_with_its_key_when_it_is_wrong() {
        let refused = refused("algorithms = ['RS256']\nkey_file = '/nowhere/key.pem'");
        assert!(
            refused.starts_with("client.token.issuers[0].key_file `/nowhere/key.pem`: cannot be read"),
            "{refused}"
        );
    }

    #[test]
    fn an_entry_is_printed_as_the_file_would_have_it_and_without_a_secret() {
        let secret = file("secret", "a-secret-of-the-tests\n");
        let keys = format!(
            "iss = 'backend'\nalgorithms = ['HS512']\nsecret_file = '{secret}'\n\
             previous = {{ secret_file = '{secret}', until = 2030-01-31T00:00:00+01:00 }}"
        );
        let settings = entry(&keys).unwrap();
        let config = Config::parse(settings.clone()).unwrap();
        assert_eq!(config.token_issuers().unwrap().len(), 1);
        let printed = config.to_toml();
        assert!(!printed.contains("a-secret-of-the-tests"), "{printed}");
        let read: Settings = toml::from_str(&printed).unwrap();
        assert_eq!(read.client.token.issuers, settings.client.token.issuers);
    }

    /// Nothing prints what is in an entry that was refused; the refusal must not either.
    #[test]
    fn s66_a_private_key_and_a_password_in_an_entry_are_refused_when_the_file_is_read_and_not_repeated() {
        let private = PRIVATE.lines().nth(1).unwrap();
        for keys in [
            format!("algorithms = ['RS256']\nkey = '''{PRIVATE}'''"),
            format!("algorithms = ['RS256']\nkey = '''{PUBLIC}{PRIVATE}'''"),
            format!("algorithms = ['RS256']\nkey = '{private}'"),
            format!(
                "algorithms = ['RS256']\nkey = '''{PUBLIC}'''\n[client.token.issuers.previous]\nkey = '''{PRIVATE}'''\nuntil = 2030-01-31T00:00:00Z"
            ),
        ] {
            let refused = entry(&keys).map(drop).unwrap_err();
            assert!(refused.contains("key is ") && !refused.contains(private), "{refused}");
        }
        for url in ["https://ana:5ecret@login.example.org/", "http://ana:5ecret@a.example/", "https://ana:5ecret@[/"] {
            let refused = entry(&format!("algorithms = ['RS256']\njwks_url = '{url}'")).map(drop).unwrap_err();
            assert!(refused.contains("jwks_url \"http") && !refused.contains("5ecret"), "{refused}");
        }
    }

    #[test]
    fn s30_a_certificate_a_short_key_and_another_curve_are_refused_with_what_would_be_right() {
        let of = |text: &str| Key::pem(text).map(drop).unwrap_err();
        assert!(of("-----BEGIN CERTIFICATE-----").contains("openssl x509 -pubkey"));
        assert!(of(include_str!("../tokens/testdata/rsa1024.pub.pem")).contains("RSA key of 1024 bits; 2048 to 4096"));
        assert!(of(include_str!("../tokens/testdata/secp256k1.pub.pem")).contains("P-256 or P-384"));
        assert!(of(include_str!("../tokens/testdata/p521.pub.pem")).contains("P-256 or P-384"));
    }

    #[test]
    fn an_end_date_is_read_with_its_offset() {
        let until = |text: &str| seconds(&text.parse().unwrap()).map(|until| until.as_secs());
        assert_eq!(until("1970-01-01T00:00:00Z"), Ok(0));
        assert_eq!(until("2000-02-29T12:34:56Z"), Ok(951_827_696));
        assert_eq!(until("2030-01-31T00:00:00+01:00"), Ok(1_896_044_400));
        assert_eq!(until("2030-12-31T23:59:59-05:30"), Ok(1_925_011_799));
        assert!(until("1969-12-31T00:00:00Z").is_err());
        assert!(until("2030-01-31T00:00:00").is_err());
    }
}
