//! The data folder: everything that a server keeps is in it, and only its owner may look into it (S66).
//!
//! The database and its lock (`tidings.db`, `tidings.lock`) are the chat's; the secrets (`api-key`, `token-secret`) are made
//! by `secrets`. The folder itself is made here and nowhere else.

use anyhow::{Context, ensure};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

pub(crate) const API_KEY: &str = "api-key";
pub(crate) const TOKEN_SECRET: &str = "token-secret";

/// A data folder, which need not be there yet.
#[derive(Debug, Clone)]
pub(crate) struct DataDir(PathBuf);

impl DataDir {
    pub(crate) fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Makes the folder if it is missing, with those above it.
    pub(crate) fn make(&self) -> anyhow::Result<()> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0)
            .with_context(|| format!("cannot make the data folder {self}; choose a writable one with --data-dir"))
    }

    /// For the commands beside the server: a folder made by mistake would hide the one that was meant.
    pub(crate) fn ensure_there(&self) -> anyhow::Result<()> {
        ensure!(self.0.is_dir(), "there is no data folder {self}; say with --data-dir where the server keeps its data");
        Ok(())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl std::fmt::Display for DataDir {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.display().fmt(f)
    }
}
