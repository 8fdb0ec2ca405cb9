//! `tidings restore`: puts a backup in the place of the database, or says that the data folder was put back as a whole.
//!
//! Either way clients that were connected before read their rooms anew, instead of going on from a number that means
//! something else now (G4).

use super::backup::describe;
use crate::cli::RestoreArgs;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::serve::clock;
use anyhow::Context;
use std::path::PathBuf;
use tidings_chat::{ArchiveError, Desk, OpenError, Options};

pub(crate) async fn run(args: RestoreArgs) -> anyhow::Result<()> {
    let data_dir = Config::load_data_dir(&args.common)?;
    match args.file {
        Some(file) => restore(&data_dir, file, args.replace).await,
        None => restore_in_place(&data_dir).await,
    }
}

async fn restore(data_dir: &DataDir, file: PathBuf, replace: bool) -> anyhow::Result<()> {
    // Before anything is made for it.
    file.metadata().with_context(|| format!("cannot read the backup {}", file.display()))?;
    // On another machine there is none yet.
    let is_new = !data_dir.path().exists();
    data_dir.make()?;
    let restored = Desk::restore(Options::new(data_dir.path(), clock()), file, replace).await;
    if is_new && restored.is_err() {
        data_dir.remove_if_unused();
    }
    let restored = explained(restored)?;
    println!("Restored into {data_dir}: {}.", describe(&restored.contents));
    if let Some(kept) = restored.kept {
        println!("What was there before is {}.", kept.display());
    }
    if !restored.had_checksum {
        println!("The file had no checksum, as those of 'tidings backup' have; the database in it is in order.");
    }
    if let Some(why) = restored.unfinished {
        println!(
            "Not done yet, because it failed ({why}): new epochs for the rooms. The server does it at its next start."
        );
    }
    println!("Accounts, passwords, sessions, members and invites are again what they were then.");
    Ok(())
}

async fn restore_in_place(data_dir: &DataDir) -> anyhow::Result<()> {
    data_dir.ensure_there()?;
    explained(Desk::restore_in_place(Options::new(data_dir.path(), clock())).await)?;
    println!("The data in {data_dir} stays as it is; whoever was connected before reads it anew.");
    Ok(())
}

fn explained<T>(result: Result<T, ArchiveError>) -> anyhow::Result<T> {
    let in_use = matches!(&result, Err(ArchiveError::Open { source: OpenError::InUse(_), .. }));
    result.context(if in_use { "stop the server first" } else { "nothing was changed" })
}
