//! `tidings backup`: writes the chat into one file, while the server runs or not.

use super::postgres::how_to_back_up;
use crate::cli::BackupArgs;
use crate::config::Config;
use crate::secrets::{back_up_message_key, message_key_beside};
use anyhow::{Context, bail, ensure};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use tidings_chat::{Contents, Database, Desk};

pub(crate) async fn run(args: BackupArgs) -> anyhow::Result<()> {
    let storage = Config::load_storage(&args.common)?;
    if let Database::Postgres(options) = &storage.database {
        bail!(how_to_back_up(options, &storage.data_dir, &args.file));
    }
    storage.ensure_there()?;
    let key = message_key_beside(&args.file);
    ensure!(!key.exists(), "{} exists already; choose another name", key.display());
    let backed_up = Desk::back_up(storage.options(), args.file.clone()).await;
    let contents = backed_up.with_context(|| format!("cannot back up {storage}"))?;
    let Contents { people, rooms, messages, .. } = contents;
    println!("{}: {}.", args.file.display(), describe(people, rooms, messages));
    if let Some(key) = back_up_message_key(&storage.data_dir, &args.file)? {
        println!(
            "{}: the key by which it knows messages that are sent again; 'tidings restore' takes it from there.",
            key.display()
        );
    }
    for left in drafts_of(&args.file) {
        println!("{} was left by a backup that was killed; remove it, unless another one is running.", left.display());
    }
    println!("Not in it: the secrets (api-key, token-secret). Keep a copy of them apart from it.");
    Ok(())
}

/// The `FILE.PID.part` of backups that have not ended; ours is gone.
fn drafts_of(file: &Path) -> Vec<PathBuf> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Some(name) = file.file_name().and_then(OsStr::to_str) else { return Vec::new() };
    let is_draft = |path: &PathBuf| {
        let other = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let process = other.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')?.strip_suffix(".part"));
        process.is_some_and(|process| process.parse::<u32>().is_ok())
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(is_draft).collect()
}

pub(super) fn describe(people: u64, rooms: u64, messages: u64) -> String {
    let count = |count: u64, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    let [people, rooms, messages] =
        [count(people, "person", "people"), count(rooms, "room", "rooms"), count(messages, "message", "messages")];
    format!("{people}, {rooms}, {messages}")
}
