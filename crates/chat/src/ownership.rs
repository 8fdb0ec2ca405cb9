//! Whose a new file is. The command line is often run as root, and the server is not: it could not open what root leaves.

use std::{
    fs,
    os::unix::fs::{MetadataExt, chown},
    path::Path,
};

/// Gives the file to whoever owns the folder, where that may be done; only root may.
pub fn give_to_the_owner_of(folder: &Path, file: &Path) {
    let (Ok(owner), Ok(present)) = (fs::metadata(folder), fs::metadata(file)) else { return };
    if (owner.uid(), owner.gid()) != (present.uid(), present.gid()) {
        // Where it may not be done, the file is the server's already, or will be missed by it in its own words.
        chown(file, Some(owner.uid()), Some(owner.gid())).ok();
    }
}
