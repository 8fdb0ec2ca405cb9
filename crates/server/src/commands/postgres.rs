//! How a Postgres database is backed up and restored: its own tools do that, and these are the commands for them.

use crate::data_dir::{DataDir, MESSAGE_KEY};
use crate::secrets::message_key_beside;
use std::path::Path;
use tidings_chat::PostgresOptions;

/// The commands that write a backup into `file`.
pub(super) fn how_to_back_up(options: &PostgresOptions, data_dir: &DataDir, file: &Path) -> String {
    let (address, dump) = (quoted(options.address()), path(file));
    let (key, beside) = (path(&data_dir.file(MESSAGE_KEY)), path(&message_key_beside(file)));
    format!(
        "a Postgres database is backed up with its own tools. Nothing was written; say this, on the machine of the server's \
         data folder:\n\n  pg_dump --schema=tidings --format=custom --file={dump} {address}\n  cp -p {key} {beside}\n\n\
         The second keeps the key by which it knows messages that are sent again. Keep a copy of the secrets (api-key, \
         token-secret) apart from both."
    )
}

/// The commands that put a backup of `file` back.
pub(super) fn how_to_restore(options: &PostgresOptions, data_dir: &DataDir, file: &Path) -> String {
    let (address, dump) = (quoted(options.address()), path(file));
    let (key, beside) = (path(&data_dir.file(MESSAGE_KEY)), path(&message_key_beside(file)));
    format!(
        "a Postgres database is restored with its own tools. Nothing was changed; stop the server and say this:\n\n  \
         pg_restore --clean --if-exists --dbname={address} {dump}\n  cp -p {beside} {key}\n\nThe second takes the key by which \
         it knows messages that are sent again. When the server starts it notices that the data was put back, and clients \
         read their rooms anew; where postgres.mark is not in its data folder any more, say 'tidings restore --in-place' \
         with the same --database before."
    )
}

fn path(path: &Path) -> String {
    quoted(&path.display().to_string())
}

/// As one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_can_be_copied_and_have_no_password() {
        let options =
            PostgresOptions::parse("postgres://ana:secret@db.example.org/chat?sslmode=disable", None).unwrap();
        let (data_dir, file) = (DataDir::at("/var/lib/tidings"), Path::new("Ana's.dump"));
        let told = how_to_back_up(&options, &data_dir, file);
        for line in [
            r"  pg_dump --schema=tidings --format=custom --file='Ana'\''s.dump' 'postgres://ana@db.example.org/chat?sslmode=disable'",
            r"  cp -p '/var/lib/tidings/message-key' 'Ana'\''s.dump.message-key'",
        ] {
            assert!(told.lines().any(|told| told == line), "{told}");
        }
        let told = how_to_restore(&options, &data_dir, file);
        for line in [
            r"  pg_restore --clean --if-exists --dbname='postgres://ana@db.example.org/chat?sslmode=disable' 'Ana'\''s.dump'",
            r"  cp -p 'Ana'\''s.dump.message-key' '/var/lib/tidings/message-key'",
        ] {
            assert!(told.lines().any(|told| told == line), "{told}");
        }
        assert!(!told.contains(":secret"), "{told}");
    }
}
