//! `tidings restore`: puts a backup in the place of the database, or says that the data folder was put back as a whole.
//!
//! Either way clients that were connected before read their rooms anew, instead of going on from a number that means
//! something else now (G4).

use super::backup::describe;
use super::postgres::how_to_restore;
use crate::cli::RestoreArgs;
use crate::config::{Config, Storage};
use crate::secrets::{KeyRestored, message_key_beside, message_key_of, restore_message_key};
use anyhow::{Context, bail};
use std::path::PathBuf;
use tidings_chat::{ArchiveError, Contents, Database, Desk, OpenError};

pub(crate) async fn run(args: RestoreArgs) -> anyhow::Result<()> {
    let storage = Config::load_storage(&args.common)?;
    match args.file {
        Some(file) => restore(&storage, file, args.replace).await,
        None => restore_in_place(&storage, args.forget_move).await,
    }
}

async fn restore(storage: &Storage, file: PathBuf, replace: bool) -> anyhow::Result<()> {
    if let Database::Postgres(options) = &storage.database {
        bail!(how_to_restore(options, &storage.data_dir, &file));
    }
    // Before anything is made for it.
    file.metadata().with_context(|| format!("cannot read the backup {}", file.display()))?;
    let key = message_key_of(&file)?;
    // On another machine there is none yet.
    let data_dir = &storage.data_dir;
    let is_new = !data_dir.path().exists();
    data_dir.make()?;
    let restored = Desk::restore(storage.options(), file.clone(), replace).await;
    if is_new && restored.is_err() {
        data_dir.remove_if_unused();
    }
    let restored = explained(restored)?;
    let Contents { people, rooms, messages, .. } = restored.contents;
    println!("Restored into {data_dir}: {}.", describe(people, rooms, messages));
    if let Some(kept) = restored.kept {
        println!("What was there before is {}.", kept.display());
    }
    match restore_message_key(data_dir, key)? {
        KeyRestored::Taken { kept: None } => {}
        KeyRestored::Taken { kept: Some(kept) } => {
            println!("The key of its messages came with it; the one that was there before is {}.", kept.display());
        }
        KeyRestored::Missing => println!(
            "There is no {}: a message that is sent again is known by its author and its client_id alone. If you find that file, \
             put it into the data folder as message-key.",
            message_key_beside(&file).display()
        ),
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

async fn restore_in_place(storage: &Storage, forget_move: bool) -> anyhow::Result<()> {
    storage.ensure_there()?;
    explained(Desk::restore_in_place(storage.options(), forget_move).await)?;
    println!("What is in {storage} stays as it is; whoever was connected before reads it anew.");
    Ok(())
}

fn explained<T>(result: Result<T, ArchiveError>) -> anyhow::Result<T> {
    let in_use = matches!(&result, Err(ArchiveError::Open { source: OpenError::InUse(_), .. }));
    result.context(if in_use { "stop the server first" } else { "nothing was changed" })
}
