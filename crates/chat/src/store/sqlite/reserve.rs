//! Room on the disk that is kept for taking rights away (G5): signing out, removing somebody, changing a password.
//!
//! A file of nothing, whose blocks are given back piece by piece when the disk is full and such a change needs them. From
//! then on everything else is refused, or posts would have the room at once, until the reserve is whole again.

use std::{
    fs::{File, Metadata},
    io,
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{FallocateFlags, fallocate};

use crate::limits::{RESERVE_BYTES, RESERVE_PIECE_BYTES, RESERVE_SPARE_BYTES};

/// The name of the file inside the data directory.
pub(super) const RESERVE_FILE: &str = "reserve";

/// What is kept of the disk.
#[derive(Debug)]
pub(super) struct Reserve {
    /// Where it lies. `None` for a program that may give of it and does not keep it whole, and where there can be none, for
    /// another reason than a full disk.
    path: Option<PathBuf>,
    /// `None` while there is no room even for an empty file.
    file: Option<File>,
    bytes: u64,
}

impl Reserve {
    /// Makes the file whole if there is room for it.
    pub(super) fn at(data_dir: &Path) -> Self {
        let mut reserve = Self { path: Some(data_dir.join(RESERVE_FILE)), file: None, bytes: 0 };
        if let Err(error) = reserve.open() {
            tracing::warn!(%error, "no room is kept on the disk for revocations");
            return Self::none();
        }
        if !reserve.refill() {
            tracing::warn!(
                reserve_mib = RESERVE_BYTES >> 20,
                "the disk is too full for the reserve: only what takes rights away is written until there is room"
            );
        }
        reserve
    }

    /// Opens the file, if there is room for one.
    fn open(&mut self) -> io::Result<()> {
        let Some(path) = self.path.as_ref().filter(|_| self.file.is_none()) else { return Ok(()) };
        let mut options = File::options();
        match options.create(true).truncate(false).read(true).write(true).mode(0o600).open(path) {
            Ok(file) => {
                self.bytes = bytes_on_disk(&file.metadata()?).min(RESERVE_BYTES);
                file.set_len(self.bytes)?;
                self.file = Some(file);
                Ok(())
            }
            Err(error) if is_full(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// For the command line: it may give away of what a server keeps.
    pub(super) fn of_the_server(data_dir: &Path) -> Self {
        let file = File::options().read(true).write(true).open(data_dir.join(RESERVE_FILE)).ok();
        let bytes = file.as_ref().map_or(0, |file| file.metadata().map_or(0, |metadata| metadata.len()));
        Self { path: None, file, bytes }
    }

    /// For a place where none can be kept.
    pub(super) fn none() -> Self {
        Self { path: None, file: None, bytes: 0 }
    }

    /// Looks whether the command line has given some of it away, or somebody has removed it.
    pub(super) fn look(&mut self) {
        if self.path.is_some() && self.file.is_some() && self.is_removed() {
            tracing::warn!("{RESERVE_FILE} was removed or replaced; it is made anew. Leave it: it is for a full disk");
            // With its last descriptor its blocks are free.
            (self.file, self.bytes) = (None, 0);
            self.refill();
        }
        if let Some(Ok(metadata)) = self.file.as_ref().map(File::metadata) {
            self.bytes = self.bytes.min(metadata.len());
        }
    }

    fn is_removed(&self) -> bool {
        let (Some(path), Some(file)) = (&self.path, &self.file) else { return false };
        match (path.metadata(), file.metadata()) {
            (Ok(there), Ok(ours)) => (there.dev(), there.ino()) != (ours.dev(), ours.ino()),
            (Err(error), _) => error.kind() == io::ErrorKind::NotFound,
            (Ok(_), Err(_)) => false,
        }
    }

    /// Whether some of it was given away, so that only what it is for may be written.
    pub(super) fn is_open(&self) -> bool {
        self.path.is_some() && self.bytes < RESERVE_BYTES
    }

    /// Gives a piece back to the disk; `false` when there is none left.
    pub(super) fn give(&mut self) -> bool {
        let Some(file) = self.file.as_ref().filter(|_| self.bytes > 0) else { return false };
        let left = self.bytes.saturating_sub(RESERVE_PIECE_BYTES);
        // Synced, because some file systems give the blocks back no earlier.
        let given = file.set_len(left).and_then(|()| file.sync_all());
        self.bytes = left;
        given.is_ok()
    }

    /// Takes back what was given away; `false` while there is no room for all of it.
    pub(super) fn refill(&mut self) -> bool {
        if !self.is_open() {
            return true;
        }
        if self.open().is_ok() && self.grow(RESERVE_BYTES).is_ok() {
            self.bytes = RESERVE_BYTES;
        }
        !self.is_open()
    }

    /// Whether there is room on the disk beside it.
    pub(super) fn has_room(&self) -> bool {
        !self.is_open() && self.grow(RESERVE_BYTES + RESERVE_SPARE_BYTES).is_ok() && self.shrink().is_ok()
    }

    /// All or nothing: what does not fit is not kept in part, or the disk would be full by our own doing.
    fn grow(&self, bytes: u64) -> io::Result<()> {
        let Some(file) = &self.file else {
            return self.path.as_ref().map_or(Ok(()), |_| Err(io::ErrorKind::StorageFull.into()));
        };
        let grown = match fallocate(file, FallocateFlags::empty(), 0, bytes) {
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS | rustix::io::Errno::INVAL) => {
                fill(file, self.bytes, bytes)
            }
            other => other.map_err(io::Error::from),
        };
        grown.inspect_err(|error| {
            if !is_full(error) {
                tracing::warn!(%error, "no room can be kept on the disk for revocations");
            }
            self.shrink().ok();
        })
    }

    fn shrink(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), |file| file.set_len(self.bytes))
    }
}

/// What a file has of the disk: a copy of one that was made by `tar -S`, or `truncate`, has the length and no blocks.
fn bytes_on_disk(metadata: &Metadata) -> u64 {
    // In units of 512 bytes, whatever the file system's own are.
    metadata.len().min(metadata.blocks() * 512)
}

/// Where the file system cannot set blocks aside, they are written: with noise, which no file system makes smaller.
fn fill(file: &File, from: u64, to: u64) -> io::Result<()> {
    let mut noise = vec![0; usize::try_from(RESERVE_PIECE_BYTES).expect("a piece fits into memory")];
    getrandom::fill(&mut noise).map_err(io::Error::other)?;
    let mut at = from;
    while at < to {
        let bytes = noise.len().min(usize::try_from(to - at).unwrap_or(usize::MAX));
        file.write_all_at(&noise[..bytes], at)?;
        at += bytes as u64;
    }
    file.sync_all()
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_given_away_in_pieces_and_taken_back_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = || std::fs::metadata(dir.path().join(RESERVE_FILE)).unwrap().len();
        let mut reserve = Reserve::at(dir.path());
        assert_eq!((bytes(), reserve.is_open(), reserve.has_room()), (RESERVE_BYTES, false, true));
        assert_eq!(bytes(), RESERVE_BYTES, "looking for room leaves it as it was");
        let pieces = std::iter::from_fn(|| reserve.give().then_some(())).count() as u64;
        assert_eq!((pieces * RESERVE_PIECE_BYTES, bytes(), reserve.is_open()), (RESERVE_BYTES, 0, true));
        assert!(reserve.refill());
        assert_eq!((bytes(), reserve.is_open()), (RESERVE_BYTES, false));
    }

    #[test]
    fn there_are_at_least_a_hundred_pieces_in_the_reserve() {
        const { assert!(RESERVE_BYTES / RESERVE_PIECE_BYTES >= 100) };
    }

    #[test]
    fn a_reserve_made_of_holes_is_filled_before_it_is_taken_for_whole() {
        for real in [0, RESERVE_BYTES / 2] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(RESERVE_FILE);
            let sparse = File::create(&path).unwrap();
            fill(&sparse, 0, real).unwrap();
            sparse.set_len(RESERVE_BYTES).unwrap();
            assert!(bytes_on_disk(&sparse.metadata().unwrap()) < RESERVE_BYTES, "the file system knows holes");
            assert!(!Reserve::at(dir.path()).is_open());
            assert_eq!(bytes_on_disk(&path.metadata().unwrap()), RESERVE_BYTES);
        }
    }

    #[test]
    fn a_reserve_that_is_removed_under_a_server_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(RESERVE_FILE);
        let mut reserve = Reserve::at(dir.path());
        std::fs::remove_file(&path).unwrap();
        reserve.look();
        assert_eq!((std::fs::metadata(&path).unwrap().len(), reserve.is_open()), (RESERVE_BYTES, false));
        assert!(reserve.give() && reserve.is_open());
        assert!(std::fs::metadata(&path).unwrap().len() < RESERVE_BYTES, "it gives of that one");
    }

    #[test]
    fn what_was_given_away_before_a_restart_is_missing_after_it_until_there_is_room() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Reserve::at(dir.path()).give());
        assert!(!Reserve::at(dir.path()).is_open(), "there is room");
    }
}
