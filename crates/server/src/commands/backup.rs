//! `tidings backup`: writes the chat into one file, while the server runs or not.

use crate::cli::BackupArgs;
use crate::config::Config;
use crate::serve::clock;
use anyhow::Context;
use tidings_chat::{Contents, Desk, Options};

pub(crate) async fn run(args: BackupArgs) -> anyhow::Result<()> {
    let data_dir = Config::load_data_dir(&args.common)?;
    data_dir.ensure_there()?;
    let backed_up = Desk::back_up(Options::new(data_dir.path(), clock()), args.file.clone()).await;
    let contents = backed_up.with_context(|| format!("cannot back up the data folder {data_dir}"))?;
    println!("{}: {}.", args.file.display(), describe(&contents));
    println!("Not in it: the secrets (api-key, token-secret). Keep a copy of them apart from it.");
    Ok(())
}

pub(super) fn describe(contents: &Contents) -> String {
    let Contents { people, rooms, messages, .. } = contents;
    let count = |count: &u64, one: &str, many: &str| format!("{count} {}", if *count == 1 { one } else { many });
    let [people, rooms, messages] =
        [count(people, "person", "people"), count(rooms, "room", "rooms"), count(messages, "message", "messages")];
    format!("{people}, {rooms}, {messages}")
}
