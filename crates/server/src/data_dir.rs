//! The data folder: everything that a server keeps is in it, and only its owner may look into it (S66).
//!
//! The database, what belongs to it and its lock (`tidings.db`, `tidings.mark`, `reserve`, `tidings.lock`) are the chat's; the
//! secrets (`api-key`, `token-secret`, `message-key`) are made
//! by `secrets`. The folder itself is made here and nowhere else.

use anyhow::{Context, ensure};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

pub(crate) const API_KEY: &str = "api-key";
pub(crate) const TOKEN_SECRET: &str = "token-secret";
pub(crate) const MESSAGE_KEY: &str = "message-key";
const DATABASE: &str = "tidings.db";
const LOCK: &str = "tidings.lock";

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

    /// Whether it could be made, as far as that can be seen without doing it.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let there = self.0.ancestors().find(|path| path.exists());
        let is_folder = there.is_none_or(Path::is_dir);
        ensure!(
            is_folder,
            "cannot make the data folder {self}: there is a file in its place; choose another with --data-dir"
        );
        Ok(())
    }

    /// Takes back [`make`](Self::make), where nothing came of it.
    pub(crate) fn remove_if_unused(&self) {
        std::fs::remove_file(self.file(LOCK)).ok();
        std::fs::remove_dir(&self.0).ok();
    }

    /// For the commands beside the server: a folder made by mistake would hide the one that was meant.
    pub(crate) fn ensure_there(&self) -> anyhow::Result<()> {
        ensure!(self.0.is_dir(), "there is no data folder {self}; say with --data-dir where the server keeps its data");
        Ok(())
    }

    /// Warns of files that others than their owner may read or write: the secrets speak for the whole server, and the
    /// database has everybody's messages (S66).
    pub(crate) fn warn_of_lax_modes<'a>(&self, secrets_elsewhere: impl Iterator<Item = &'a Path>) {
        // Who may only look into the folder finds nothing there that they may read.
        if let Ok(metadata) = self.0.metadata()
            && metadata.mode() & 0o022 > 0
        {
            let mode = format!("{:o}", metadata.mode() & 0o777);
            tracing::warn!(path = %self, mode, "others on this machine may replace files in the data folder; chmod 700 it");
        }
        let own = [API_KEY, TOKEN_SECRET, MESSAGE_KEY, DATABASE].map(|file| self.file(file));
        for path in own.into_iter().chain(secrets_elsewhere.map(Path::to_owned)) {
            if let Ok(metadata) = path.metadata()
                && metadata.mode() & 0o077 > 0
            {
                let mode = format!("{:o}", metadata.mode() & 0o777);
                tracing::warn!(path = %path.display(), mode, "others on this machine may read or change this file; chmod 600 it");
            }
        }
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
