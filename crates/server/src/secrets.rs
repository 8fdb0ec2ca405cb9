//! The two secrets of a server: the key of the server API and the key that signs client tokens.
//!
//! Made on first start, in the data folder, readable by the owner alone (S66). The environment overrides them.

use crate::data_dir::{self, DataDir};
use anyhow::{Context, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::io::Write;
use std::path::Path;

/// Bytes of a generated secret: 256 bits, the size of an HMAC-SHA256 key.
const GENERATED_BYTES: usize = 32;
/// A shorter secret is refused: it could be guessed.
pub(crate) const SECRET_BYTES_MIN: usize = 16;

/// Redacted by `Debug`.
#[derive(Clone)]
pub(crate) struct Secrets {
    /// `X-API-Key` of the server API.
    pub(crate) api_key: String,
    /// HS256 key of the client tokens.
    pub(crate) token_secret: String,
}

impl Secrets {
    /// Whether the folder has one already, so that a server has been at work there.
    ///
    /// Fails as [`load_or_make`](Self::load_or_make) would: what is wrong with them is said before a database is opened.
    pub(crate) fn were_made(data_dir: &DataDir, bytes_min: usize) -> anyhow::Result<bool> {
        for secret in [&API_KEY, &TOKEN_SECRET] {
            secret.find(data_dir, bytes_min)?;
        }
        Ok([&API_KEY, &TOKEN_SECRET].iter().any(|secret| data_dir.file(secret.file).exists()))
    }

    /// The server's, from a folder that is there: those that are missing are made.
    pub(crate) fn load_or_make(data_dir: &DataDir, bytes_min: usize) -> anyhow::Result<Self> {
        let load = |secret: &Secret| match secret.find(data_dir, bytes_min)? {
            Some(value) => Ok(value),
            None => generate(&data_dir.file(secret.file)),
        };
        Ok(Self { api_key: load(&API_KEY)?, token_secret: load(&TOKEN_SECRET)? })
    }
}

/// Where a secret is kept, and the variable that overrides it.
pub(crate) struct Secret {
    file: &'static str,
    variable: &'static str,
    /// It is sent as it is.
    in_header: bool,
}

pub(crate) const API_KEY: Secret = Secret { file: data_dir::API_KEY, variable: "TIDINGS_API_KEY", in_header: true };
pub(crate) const TOKEN_SECRET: Secret =
    Secret { file: data_dir::TOKEN_SECRET, variable: "TIDINGS_TOKEN_SECRET", in_header: false };

/// Whether an HTTP header can carry it, and as the same: what stands around a value is dropped on the way (RFC 9110 §5.5).
pub(crate) fn fits_header(secret: &str) -> bool {
    secret.trim_ascii() == secret && !secret.contains(|c: char| c.is_control() || c == '\u{feff}')
}

impl Secret {
    /// For the commands beside the server: only the server makes secrets, another one would fit nowhere.
    pub(crate) fn load(&self, data_dir: &DataDir, bytes_min: usize) -> anyhow::Result<String> {
        self.find(data_dir, bytes_min)?.with_context(|| {
            format!(
                "there is no {} in the data folder {data_dir}; say with --data-dir where the server keeps its data, or set {}",
                self.file, self.variable
            )
        })
    }

    /// `None` where there is none yet.
    pub(crate) fn find(&self, data_dir: &DataDir, bytes_min: usize) -> anyhow::Result<Option<String>> {
        let Some(value) = std::env::var(self.variable).ok().filter(|value| !value.is_empty()) else {
            let file = data_dir.file(self.file);
            let value = read(&file, bytes_min)?;
            value.iter().try_for_each(|value| self.check(value, &file.display().to_string()))?;
            return Ok(value);
        };
        ensure!(
            value.len() >= bytes_min,
            "{} has {} bytes; at least {bytes_min} are needed so that it cannot be guessed",
            self.variable,
            value.len()
        );
        self.check(&value, self.variable)?;
        Ok(Some(value))
    }
}

impl Secret {
    fn check(&self, value: &str, place: &str) -> anyhow::Result<()> {
        ensure!(
            !self.in_header || fits_header(value),
            "{place} could be in no header: it has a space before or behind it, a control character such as the end of a line, \
             or a byte order mark"
        );
        Ok(())
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(redacted)")
    }
}

fn read(path: &Path, bytes_min: usize) -> anyhow::Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let value = text.trim();
            ensure!(value.len() >= bytes_min, "{} is damaged; delete it and a new secret will be made", path.display());
            Ok(Some(value.to_owned()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read the secret {}", path.display())),
    }
}

/// Written beside its place and linked into it, so that a crash leaves no half secret, and of two processes that start
/// at the same time one wins and the other reads the winner's.
fn generate(path: &Path) -> anyhow::Result<String> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut bytes = [0; GENERATED_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no randomness from the system: {error}"))?;
    let value = URL_SAFE_NO_PAD.encode(bytes);
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let cannot_write = || format!("cannot write the secret {}; choose a writable --data-dir", path.display());
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).with_context(cannot_write)?;
    writeln!(file, "{value}").and_then(|()| file.sync_all()).with_context(cannot_write)?;
    let linked = std::fs::hard_link(&draft, path);
    std::fs::remove_file(&draft).with_context(cannot_write)?;
    match linked {
        Ok(()) => Ok(value),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            read(path, SECRET_BYTES_MIN)?.with_context(|| format!("{} vanished while it was read", path.display()))
        }
        Err(error) => Err(error).with_context(cannot_write),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn s66_a_secret_is_made_once_by_the_server_and_only_its_owner_can_read_it() {
        let dir = std::env::temp_dir().join(format!("tidings-secrets-{}", uuid::Uuid::now_v7()));
        let data_dir = DataDir::at(&dir);
        let secret = Secret { file: data_dir::API_KEY, variable: "TIDINGS_TEST_UNSET", in_header: true };
        assert!(secret.load(&data_dir, SECRET_BYTES_MIN).unwrap_err().to_string().contains("--data-dir"));
        assert!(!dir.exists());
        data_dir.make().unwrap();
        let path = data_dir.file(secret.file);
        let first = generate(&path).unwrap();
        assert_eq!(generate(&path).unwrap(), first);
        assert_eq!(secret.load(&data_dir, SECRET_BYTES_MIN).unwrap(), first);
        assert!(first.len() >= 43);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&dir), 0o700);
        std::fs::remove_dir_all(dir).unwrap();
    }
}
