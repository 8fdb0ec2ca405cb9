//! The two secrets of a server: the key of the server API and the key that signs client tokens.
//!
//! Made on first start, in the data folder, readable by the owner alone (S66). The environment overrides them.

use anyhow::{Context, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::io::Write;
use std::path::Path;

/// Bytes of a generated secret: 256 bits, the size of an HMAC-SHA256 key.
const GENERATED_BYTES: usize = 32;
/// A shorter secret from the environment is refused: it could be guessed.
const SECRET_BYTES_MIN: usize = 16;

/// Redacted by `Debug`.
#[derive(Clone)]
pub(crate) struct Secrets {
    /// `X-API-Key` of the server API.
    pub(crate) api_key: String,
    /// HS256 key of the client tokens.
    pub(crate) token_secret: String,
}

impl Secrets {
    pub(crate) fn load(data_dir: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            api_key: secret(data_dir, "TIDINGS_API_KEY", "api-key")?,
            token_secret: secret(data_dir, "TIDINGS_TOKEN_SECRET", "token-secret")?,
        })
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(redacted)")
    }
}

/// Makes the data folder if it is missing, readable by the owner alone.
pub(crate) fn make_data_dir(data_dir: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir).with_context(|| {
        format!("cannot make the data folder {}; choose a writable one with --data-dir", data_dir.display())
    })
}

fn secret(data_dir: &Path, variable: &str, name: &str) -> anyhow::Result<String> {
    if let Some(value) = std::env::var(variable).ok().filter(|value| !value.is_empty()) {
        ensure!(
            value.len() >= SECRET_BYTES_MIN,
            "{variable} has {} bytes; at least {SECRET_BYTES_MIN} are needed so that it cannot be guessed",
            value.len()
        );
        return Ok(value);
    }
    make_data_dir(data_dir)?;
    let path = data_dir.join(name);
    match read(&path)? {
        Some(value) => Ok(value),
        None => generate(&path),
    }
}

fn read(path: &Path) -> anyhow::Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let value = text.trim();
            ensure!(
                value.len() >= SECRET_BYTES_MIN,
                "{} is damaged; delete it and a new secret will be made",
                path.display()
            );
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
            read(path)?.with_context(|| format!("{} vanished while it was read", path.display()))
        }
        Err(error) => Err(error).with_context(cannot_write),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn s66_a_secret_is_made_once_and_only_its_owner_can_read_it() {
        let dir = std::env::temp_dir().join(format!("tidings-secrets-{}", uuid::Uuid::now_v7()));
        let first = secret(&dir, "TIDINGS_TEST_UNSET", "api-key").unwrap();
        assert_eq!(secret(&dir, "TIDINGS_TEST_UNSET", "api-key").unwrap(), first);
        assert!(first.len() >= 43);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&dir.join("api-key")), 0o600);
        assert_eq!(mode(&dir), 0o700);
        std::fs::remove_dir_all(dir).unwrap();
    }
}
