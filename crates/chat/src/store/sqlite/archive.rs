//! Backups: one file, made while a server runs, checked before it is put back.
//!
//! A backup is a SQLite database that any tool can read, with a line behind its last page: the SHA-256 of all that comes
//! before the line, so that a copy cut short or changed on the way is found. Its mark is one that no data directory knows, so
//! wherever it is opened, by whatever way it came there, its rooms get new epochs; see [`mark`](super::mark).

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use sha2::{Digest, Sha256};

use super::{
    FILE, connect, hold, mark,
    migrations::{self, Schema},
    refusal,
    values::number,
};
use crate::{
    model::Time,
    ownership::give_to_the_owner_of,
    store::{
        OpenError,
        sqlite::SqliteOptions,
        transfer::{Note, PutBack},
    },
};

/// What the line behind the database begins with.
const LABEL: &str = "\ntidings backup, sha256 ";
/// Bytes of that line: the label, 64 digits, a line's end.
const LINE_BYTES: usize = LABEL.len() + 64 + 1;

/// How databases begin (`sqlite.org/fileformat.html` §1.3.1).
const MAGIC: &[u8] = b"SQLite format 3\0";
/// The copy that is checked before it takes the database's place.
const RESTORING: &str = "tidings.db.restoring";

/// Why there is no backup, or it was not put back. The database that was there is in its place, as it was.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The database is no file of ours.
    #[error("{0}")]
    NotAFile(&'static str),
    /// A backup overwrites nothing.
    #[error("{0} exists already; choose another name")]
    Exists(PathBuf),
    /// It is the file that a restore works in, and that it begins by removing.
    #[error("{0} is what a restore that was interrupted has left; copy it to another place if you need it")]
    Draft(PathBuf),
    /// Beside the database, the name would be taken for a file of its own.
    #[error("{0} would be taken for a part of the database; choose another name")]
    Reserved(PathBuf),
    /// There is a database where the backup would go.
    #[error("{0} exists already; with --replace it is kept under another name and the backup takes its place")]
    WouldReplace(PathBuf),
    /// The file was changed or cut short since it was written.
    #[error("{0} is damaged: its content is not what its checksum says; use another backup")]
    Checksum(PathBuf),
    /// Something else.
    #[error("{0} is no backup; name a file that 'tidings backup' has written")]
    NotABackup(PathBuf),
    /// The database in it is broken.
    #[error("{path} is damaged: {what}; use an earlier backup")]
    Damaged {
        /// The backup.
        path: PathBuf,
        /// What SQLite says.
        what: String,
    },
    /// What is in the file, or the database that is there, cannot be opened.
    #[error("{path} cannot be used")]
    Open {
        /// Which of them.
        path: PathBuf,
        /// Why.
        source: OpenError,
    },
    /// A file could not be read or written.
    #[error("{path} cannot be read or written")]
    Files {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The program is going down.
    #[error("the program is stopping")]
    Stopping,
}

/// What is in a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// Accounts.
    pub people: u64,
    /// Rooms.
    pub rooms: u64,
    /// Messages in all of them.
    pub messages: u64,
    /// When the last of them was written.
    pub last: Option<Time>,
}

/// A backup that was put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// What is in it.
    pub contents: Contents,
    /// Where the database is now that was there before.
    pub kept: Option<PathBuf>,
    /// Whether the file had a checksum; a plain copy of a database has none.
    pub had_checksum: bool,
    /// Why the rooms have no new epochs yet, although the backup is in its place. The next start of a server gives them.
    pub unfinished: Option<String>,
}

fn files(path: &Path) -> impl FnOnce(io::Error) -> ArchiveError + use<> {
    let path = path.to_owned();
    move |source| ArchiveError::Files { path, source }
}

fn database(path: &Path) -> impl FnOnce(rusqlite::Error) -> ArchiveError + use<> {
    let path = path.to_owned();
    // The path says which one.
    let open = |error| OpenError::Database { name: "it".into(), source: Box::new(error) };
    move |error| ArchiveError::Open { path, source: open(error) }
}

/// The same of the file that the operator knows, and not of a draft.
fn named(error: ArchiveError, path: &Path) -> ArchiveError {
    let path = path.to_owned();
    match error {
        ArchiveError::Open { source, .. } => ArchiveError::Open { path, source },
        ArchiveError::Damaged { what, .. } => ArchiveError::Damaged { path, what },
        ArchiveError::Files { source, .. } => ArchiveError::Files { path, source },
        other => other,
    }
}

/// Writes the database as it is at one moment into a new file. Beside a running server, too.
pub(crate) fn back_up(data_dir: &Path, to: &Path) -> Result<Contents, ArchiveError> {
    if to.symlink_metadata().is_ok() {
        return Err(ArchiveError::Exists(to.into()));
    }
    let is_named_as_ours = to.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(FILE.as_bytes()));
    if is_named_as_ours && is_same_file(folder_of(to), data_dir) {
        return Err(ArchiveError::Reserved(to.into()));
    }
    let source = data_dir.join(FILE);
    if mark::has_the_log_of_another(data_dir) {
        return Err(ArchiveError::Open { source: OpenError::AnothersLog(source.clone()), path: source });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(&source, flags).map_err(database(&source))?;
    db.busy_timeout(crate::limits::DATABASE_BUSY).map_err(database(&source))?;
    match migrations::look(&db).map_err(database(&source))? {
        // What was left behind grows old, and half of a chat is none.
        Schema::Newest => mark::note(&db)
            .map_err(database(&source))?
            .refuse(None)
            .map_err(|refusal| ArchiveError::Open { path: source.clone(), source: refusal })?,
        Schema::Older { .. } => {}
        other => return Err(ArchiveError::Open { path: source, source: refusal(&other) }),
    }
    let mut draft = to.as_os_str().to_owned();
    draft.push(format!(".{}.part", std::process::id()));
    let draft = Draft::make(PathBuf::from(draft)).map_err(|error| named(error, to))?;
    let path = draft.0.to_str().ok_or_else(|| files(to)(io::Error::other("the name is not UTF-8")))?;
    db.execute("VACUUM INTO ?1", [path]).map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            ArchiveError::Damaged { path: source.clone(), what: error.to_string() }
        }
        // The disk where the backup goes is full, or gone.
        _ => files(to)(io::Error::other(error)),
    })?;
    drop(db);
    // What is wrong in the copy is wrong in the database.
    let contents = check(&draft.0).map_err(|error| named(error, &source))?;
    let digest = sum(&draft.0, None).map_err(files(to))?;
    let mut file = File::options().append(true).open(&draft.0).map_err(files(to))?;
    let written = file.write_all(format!("{LABEL}{digest}\n").as_bytes()).and_then(|()| file.sync_all());
    written.map_err(files(to))?;
    // A link, and not a new name, since that would take the place of a file that came into being meanwhile.
    match fs::hard_link(&draft.0, to) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(ArchiveError::Exists(to.into())),
        // Not every file system has links.
        Err(_) => fs::rename(&draft.0, to).map_err(files(to))?,
    }
    sync_folder_of(to).map_err(files(to))?;
    Ok(contents)
}

/// Puts a backup in the place of the database. For who holds the data directory.
pub(crate) fn restore(data_dir: &Path, from: &Path, replace: bool, now: Time) -> Result<Restored, ArchiveError> {
    let path = data_dir.join(FILE);
    let is_there = path.metadata().is_ok_and(|metadata| metadata.len() > 0);
    if is_there && !replace {
        return Err(ArchiveError::WouldReplace(path));
    }
    let draft = data_dir.join(RESTORING);
    if is_same_file(from, &draft) {
        return Err(ArchiveError::Draft(from.into()));
    }
    remove_with_log(&draft).map_err(files(&draft))?;
    let draft = Draft::make(draft)?;
    give_to_the_owner_of(data_dir, &draft.0);
    let had_checksum = copy(from, &draft.0)?;
    let contents = check(&draft.0).map_err(|error| named(error, from))?;
    File::open(&draft.0).and_then(|file| file.sync_all()).map_err(files(&draft.0))?;
    let kept = if is_there { Some(keep(data_dir, now)?) } else { None };
    // A log that were left here would be brought into the backup.
    remove_log(&path).map_err(files(&path))?;
    fs::rename(&draft.0, &path).map_err(files(&path))?;
    // What every start does: the mark is another one, so the epochs are renewed. The backup is in its place by now, so what
    // fails here (a disk that is full) is no failure of the restore.
    let finished = sync_folder_of(&path).map_err(files(&path)).and_then(|()| renew(data_dir, None));
    Ok(Restored { contents, kept, had_checksum, unfinished: finished.err().map(|error| in_full(&error)) })
}

/// Gives the rooms of the database that is there new epochs: the operator says that it was put back. For who holds the
/// data directory.
pub(crate) fn restore_in_place(data_dir: &Path, put_back: PutBack) -> Result<(), ArchiveError> {
    renew(data_dir, Some(put_back))
}

fn renew(data_dir: &Path, asked: Option<PutBack>) -> Result<(), ArchiveError> {
    let path = data_dir.join(FILE);
    let opened = path.metadata().map_err(files(&path)).and_then(|_| {
        hold(data_dir, &SqliteOptions::default(), asked)
            .map_err(|source| ArchiveError::Open { path: path.clone(), source })
    });
    opened.map(drop)
}

/// An error with all its causes.
pub(super) fn in_full(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// A file that is gone again unless it becomes something else.
struct Draft(PathBuf);

impl Draft {
    fn make(path: PathBuf) -> Result<Self, ArchiveError> {
        let made = File::options().write(true).create_new(true).mode(0o600).open(&path);
        made.map_err(files(&path))?;
        Ok(Self(path))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        remove_with_log(&self.0).ok();
    }
}

/// Copies a backup without the line behind it, or a plain database with its log. Answers whether there was a line.
fn copy(from: &Path, to: &Path) -> Result<bool, ArchiveError> {
    let mut file = File::options().write(true).open(to).map_err(files(to))?;
    let mut source = File::open(from).map_err(files(from))?;
    if !begins_as_database(from).map_err(files(from))? {
        return Err(ArchiveError::NotABackup(from.into()));
    }
    let bytes = io::copy(&mut source, &mut file).map_err(files(from))?;
    let Some(content) = bytes.checked_sub(LINE_BYTES as u64) else { return Ok(false) };
    let line = line_of(to, content).map_err(files(to))?;
    if let Some(digest) = line.strip_prefix(LABEL) {
        if digest.trim_end() != sum(to, Some(content)).map_err(files(to))? {
            return Err(ArchiveError::Checksum(from.into()));
        }
        file.set_len(content).map_err(files(to))?;
        return Ok(true);
    }
    // Part of a page: the rest, and a checksum perhaps, went missing on the way.
    if bytes % page_bytes(to).map_err(files(to))? > 0 {
        return Err(ArchiveError::Damaged { path: from.into(), what: "it was cut short".into() });
    }
    // A copy of the folder of a server that was killed has part of its data in the log.
    let log = beside(from, "-wal");
    if log.exists() {
        let to = beside(to, "-wal");
        let mut options = File::options();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&to).map_err(files(&to))?;
        io::copy(&mut File::open(&log).map_err(files(&log))?, &mut file).map_err(files(&log))?;
    }
    Ok(false)
}

fn begins_as_database(path: &Path) -> io::Result<bool> {
    let mut begins = Vec::new();
    File::open(path)?.take(MAGIC.len() as u64).read_to_end(&mut begins)?;
    Ok(begins == MAGIC)
}

/// Bytes of a page, as the head of a database says (`sqlite.org/fileformat.html` §1.3.2).
fn page_bytes(path: &Path) -> io::Result<u64> {
    let mut bytes = [0; 2];
    std::os::unix::fs::FileExt::read_exact_at(&File::open(path)?, &mut bytes, 16)?;
    Ok(match u16::from_be_bytes(bytes) {
        0 | 1 => 1 << 16,
        bytes => bytes.into(),
    })
}

fn line_of(path: &Path, at: u64) -> io::Result<String> {
    let mut line = [0; LINE_BYTES];
    std::os::unix::fs::FileExt::read_exact_at(&File::open(path)?, &mut line, at)?;
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// SHA-256 of a file, or of its first bytes, in hexadecimal.
fn sum(path: &Path, bytes: Option<u64>) -> io::Result<String> {
    let mut file = File::open(path)?.take(bytes.unwrap_or(u64::MAX));
    let (mut digest, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        digest.update(&buffer[..read]);
    }
    let mut text = String::new();
    for byte in digest.finalize() {
        write!(text, "{byte:02x}").expect("a string takes everything");
    }
    Ok(text)
}

/// Looks whether the database is ours and whole, brings its schema up to date, and gives it a mark that nobody knows.
pub(super) fn check(path: &Path) -> Result<Contents, ArchiveError> {
    let mut db = connect(path).map_err(database(path))?;
    db.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(())).map_err(database(path))?;
    match migrations::look(&db).map_err(database(path))? {
        // An empty file is no backup of ours.
        Schema::Older { found: 0 } => {
            return Err(ArchiveError::Open { path: path.into(), source: OpenError::Foreign });
        }
        Schema::Older { .. } => {
            migrations::migrate(&mut db).map_err(database(path))?;
        }
        Schema::Newest => {}
        other => return Err(ArchiveError::Open { path: path.into(), source: refusal(&other) }),
    }
    let damaged = |what: String| ArchiveError::Damaged { path: path.into(), what };
    let found: String = db.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(database(path))?;
    if found != "ok" {
        return Err(damaged(found));
    }
    let orphan = "SELECT count(*), \"table\" FROM pragma_foreign_key_check";
    let (orphans, table): (u64, Option<String>) =
        db.query_row(orphan, [], |row| Ok((number(row, 0)?, row.get(1)?))).map_err(database(path))?;
    if orphans > 0 {
        return Err(damaged(format!("{orphans} rows of {} belong to nothing", table.unwrap_or_default())));
    }
    if let Some(difference) = migrations::difference(&db).map_err(database(path))? {
        return Err(damaged(difference));
    }
    let note = mark::note(&db).map_err(database(path))?;
    // That it was moved away is forgotten, since its epochs are going to be new.
    let note = Note { moved: None, ..note };
    note.refuse(None).map_err(|source| ArchiveError::Open { path: path.into(), source })?;
    mark::disown(&db).map_err(database(path))?;
    let contents =
        "SELECT (SELECT count(*) FROM people), (SELECT count(*) FROM rooms), count(*), max(time) FROM messages";
    db.query_row(contents, [], |row| {
        Ok(Contents { people: number(row, 0)?, rooms: number(row, 1)?, messages: number(row, 2)?, last: row.get(3)? })
    })
    .map_err(database(path))
}

/// Gives the database another name, with its log if it cannot be closed properly.
pub(super) fn keep(data_dir: &Path, now: Time) -> Result<PathBuf, ArchiveError> {
    let path = data_dir.join(FILE);
    // Brings the log into it, unless it is broken, or another's; then they stay together as they are.
    if !mark::has_the_log_of_another(data_dir) {
        drop(connect(&path).and_then(|db| db.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))));
    }
    let kept = keep_under(&path, &format!(".replaced-{}", stamp(now)))?;
    let log = beside(&path, "-wal");
    if log.exists() {
        let to = beside(&kept, "-wal");
        fs::rename(&log, &to).map_err(files(&to))?;
    }
    Ok(kept)
}

/// Gives the file a second name that no other file has: with a number behind it, if there was a restore in the same second.
fn keep_under(path: &Path, more: &str) -> Result<PathBuf, ArchiveError> {
    let mut number = 1_u32;
    loop {
        let kept = beside(path, &if number == 1 { more.to_owned() } else { format!("{more}-{number}") });
        let made = match fs::hard_link(path, &kept) {
            // Not every file system has links.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => copy_to_new(path, &kept),
            made => made,
        };
        match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            made => return made.map(|()| kept.clone()).map_err(files(&kept)),
        }
    }
}

/// Copies a file whole, or leaves nothing.
fn copy_to_new(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(to)?;
    let copied = io::copy(&mut source, &mut file).and_then(|_| file.sync_all());
    copied.inspect_err(|_| drop(fs::remove_file(to)))
}

/// A moment as part of a file's name, in UTC.
fn stamp(now: Time) -> String {
    let format = "SELECT strftime('%Y%m%d-%H%M%S', ?1 / 1000, 'unixepoch')";
    let asked = Connection::open_in_memory().and_then(|db| db.query_row(format, [now.millis()], |row| row.get(0)));
    asked.unwrap_or_else(|_| now.millis().to_string())
}

fn beside(path: &Path, more: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(more);
    name.into()
}

pub(super) fn remove_with_log(path: &Path) -> io::Result<()> {
    remove(path)?;
    remove_log(path)
}

pub(super) fn remove_log(path: &Path) -> io::Result<()> {
    ["-wal", "-shm", "-journal"].iter().try_for_each(|suffix| remove(&beside(path, suffix)))
}

pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

pub(super) fn sync_folder_of(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

/// Whether two paths lead to one file or folder.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let which = |path: &Path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()));
    matches!((which(one), which(other)), (Ok(one), Ok(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::store::sqlite::make_file;

    const NOW: Time = Time::from_millis(1_763_630_000_000);

    /// A data directory with Ana in one room.
    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        make_file(&dir.path().join(FILE)).unwrap();
        let (db, _) = hold(dir.path(), &SqliteOptions::default(), None).unwrap();
        let id = [1; 16];
        let person = "INSERT INTO people (id, name, email, role, password, created)
            VALUES (?1, 'Ana', 'ana@example.com', 'admin', 'x', 0)";
        db.execute(person, [id]).unwrap();
        let room = "INSERT INTO rooms (id, name, topic, creator, epoch, last_number, created)
            VALUES (?1, 'General', '', ?1, 'the first epoch', 0, 0)";
        db.execute(room, [id]).unwrap();
        dir
    }

    fn room(dir: &Path) -> (String, String) {
        let db = Connection::open(dir.join(FILE)).unwrap();
        db.query_row("SELECT name, epoch FROM rooms", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    }

    fn rename_room(dir: &Path, name: &str) {
        Connection::open(dir.join(FILE)).unwrap().execute("UPDATE rooms SET name = ?1", [name]).unwrap();
    }

    #[test]
    fn a_backup_is_one_private_file_that_sqlite_can_read_and_that_overwrites_nothing() {
        let dir = folder();
        let to = dir.path().join("backup");
        let contents = back_up(dir.path(), &to).unwrap();
        assert_eq!(contents, Contents { people: 1, rooms: 1, messages: 0, last: None });
        assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
        let db = Connection::open_with_flags(&to, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let found: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(found, "ok");
        let before = fs::read(&to).unwrap();
        assert!(matches!(back_up(dir.path(), &to), Err(ArchiveError::Exists(_))));
        assert_eq!(fs::read(&to).unwrap(), before);
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| !name.to_string_lossy().contains("part")), "{left:?}");
    }

    #[test]
    fn a_backup_is_made_beside_a_server_that_writes() {
        let dir = folder();
        let (server, _keeper) = hold(dir.path(), &SqliteOptions::default(), None).unwrap();
        server.execute_batch("BEGIN IMMEDIATE; UPDATE rooms SET name = 'not yet committed'").unwrap();
        let to = dir.path().join("backup");
        back_up(dir.path(), &to).unwrap();
        server.execute_batch("COMMIT").unwrap();
        let empty = tempfile::tempdir().unwrap();
        restore(empty.path(), &to, false, NOW).unwrap();
        assert_eq!(room(empty.path()).0, "General");
    }

    #[test]
    fn g4_a_backup_that_is_put_back_gets_new_epochs_by_whatever_way() {
        let dir = folder();
        let to = dir.path().join("backup");
        back_up(dir.path(), &to).unwrap();
        rename_room(dir.path(), "Later");

        let restored = restore(dir.path(), &to, true, NOW).unwrap();
        let (name, epoch) = room(dir.path());
        assert_eq!(name, "General");
        assert_ne!(epoch, "the first epoch");
        let kept = restored.kept.unwrap();
        assert_eq!(kept, dir.path().join("tidings.db.replaced-20251120-091320"));
        let kept = Connection::open(kept).unwrap();
        assert_eq!(kept.query_row("SELECT name FROM rooms", [], |row| row.get::<_, String>(0)).unwrap(), "Later");
        assert!(restored.had_checksum);
        drop(hold(dir.path(), &SqliteOptions::default(), None).unwrap());
        assert_eq!(room(dir.path()).1, epoch, "once");

        let by_hand = tempfile::tempdir().unwrap();
        fs::copy(&to, by_hand.path().join(FILE)).unwrap();
        drop(hold(by_hand.path(), &SqliteOptions::default(), None).unwrap());
        assert_ne!(room(by_hand.path()).1, "the first epoch");
    }

    #[test]
    fn two_restores_in_one_second_keep_both_databases_that_were_there() {
        let dir = folder();
        let to = dir.path().join("backup");
        back_up(dir.path(), &to).unwrap();
        rename_room(dir.path(), "Later");
        let kept: Vec<_> = (0..3).map(|_| restore(dir.path(), &to, true, NOW).unwrap().kept.unwrap()).collect();
        let names: Vec<_> = kept.iter().map(|kept| kept.file_name().unwrap().to_str().unwrap()).collect();
        let first = "tidings.db.replaced-20251120-091320";
        assert_eq!(names, [first, &format!("{first}-2"), &format!("{first}-3")]);
        let first = Connection::open(&kept[0]).unwrap();
        assert_eq!(first.query_row("SELECT name FROM rooms", [], |row| row.get::<_, String>(0)).unwrap(), "Later");
    }

    #[test]
    fn g4_a_restore_that_cannot_renew_the_epochs_has_put_the_backup_in_its_place_and_says_so() {
        let dir = folder();
        let to = dir.path().join("backup");
        back_up(dir.path(), &to).unwrap();
        rename_room(dir.path(), "Later");
        // Nothing can be written there.
        let mark = dir.path().join(mark::MARK_FILE);
        fs::remove_file(&mark).unwrap();
        fs::create_dir(&mark).unwrap();
        let restored = restore(dir.path(), &to, true, NOW).unwrap();
        assert!(restored.unfinished.unwrap().contains(mark::MARK_FILE));
        assert!(restored.kept.unwrap().exists());
        assert_eq!(room(dir.path()), ("General".into(), "the first epoch".into()));
        fs::remove_dir(&mark).unwrap();
        drop(hold(dir.path(), &SqliteOptions::default(), None).unwrap());
        assert_ne!(room(dir.path()).1, "the first epoch", "the next start does it");
    }

    #[test]
    fn a_backup_whose_schema_is_not_ours_is_damaged() {
        let dir = folder();
        let other = tempfile::tempdir().unwrap();
        let to = other.path().join("backup");
        let restored = |change: &str| {
            fs::copy(dir.path().join(FILE), &to).unwrap();
            Connection::open(&to).unwrap().execute_batch(change).unwrap();
            restore(dir.path(), &to, true, NOW)
        };
        for (change, name) in [
            ("DROP TABLE invites", "invites"),
            ("DROP INDEX sessions_ended", "sessions_ended"),
            ("DROP TRIGGER a_member_went", "a_member_went"),
            ("CREATE TRIGGER theirs AFTER INSERT ON messages BEGIN DELETE FROM messages; END", "theirs"),
            ("CREATE VIEW theirs AS SELECT 1", "theirs"),
            ("ALTER TABLE people ADD COLUMN theirs TEXT", "people"),
            ("DELETE FROM mark", "mark"),
        ] {
            let refused = restored(change);
            let Err(ArchiveError::Damaged { what, .. }) = refused else { panic!("{change}: {refused:?}") };
            assert!(what.contains(name), "{change}: {what}");
        }
        // What an administrator of databases leaves is no harm.
        restored("CREATE INDEX theirs ON messages (time); ANALYZE").unwrap();
    }

    #[test]
    fn what_goes_wrong_is_said_once_and_of_the_file_that_the_operator_named() {
        let dir = folder();
        let (no_database, nowhere) = (dir.path().join("notes"), dir.path().join("nowhere/backup"));
        fs::write(&no_database, [b'x'; 8_192]).unwrap();
        for (said, path) in [
            (in_full(&restore(dir.path(), &no_database, true, NOW).unwrap_err()), &no_database),
            (in_full(&restore(dir.path(), &nowhere, true, NOW).unwrap_err()), &nowhere),
            (in_full(&back_up(dir.path(), &nowhere).unwrap_err()), &nowhere),
        ] {
            assert!(said.starts_with(path.to_str().unwrap()), "{said}");
            assert!(!said.contains(".part") && !said.contains(FILE), "{said}");
            let parts: Vec<_> = said.split(": ").collect();
            assert!(parts.iter().enumerate().all(|(at, part)| !parts[..at].contains(part)), "{said}");
        }
    }

    #[test]
    fn the_file_that_a_restore_works_in_is_not_one_to_restore_from() {
        let dir = folder();
        let draft = dir.path().join(RESTORING);
        back_up(dir.path(), &dir.path().join("backup")).unwrap();
        fs::rename(dir.path().join("backup"), &draft).unwrap();
        let before = fs::read(&draft).unwrap();
        let linked = dir.path().join("linked");
        std::os::unix::fs::symlink(&draft, &linked).unwrap();
        for from in [&draft, &linked] {
            assert!(matches!(restore(dir.path(), from, true, NOW), Err(ArchiveError::Draft(_))));
            assert_eq!(fs::read(&draft).unwrap(), before);
        }
    }

    #[test]
    fn a_backup_is_not_named_as_a_part_of_the_database_beside_it() {
        let dir = folder();
        for name in ["tidings.db-journal", "tidings.db-wal", "tidings.db.restoring"] {
            let refused = back_up(dir.path(), &dir.path().join(name));
            assert!(matches!(refused, Err(ArchiveError::Reserved(_))), "{name}: {refused:?}");
        }
        let elsewhere = tempfile::tempdir().unwrap();
        back_up(dir.path(), &elsewhere.path().join("tidings.db-of-today")).unwrap();
    }

    #[test]
    fn a_database_that_is_there_is_not_replaced_without_a_word() {
        let dir = folder();
        let to = dir.path().join("backup");
        back_up(dir.path(), &to).unwrap();
        let before = fs::read(dir.path().join(FILE)).unwrap();
        assert!(matches!(restore(dir.path(), &to, false, NOW), Err(ArchiveError::WouldReplace(_))));
        assert_eq!(fs::read(dir.path().join(FILE)).unwrap(), before);
    }

    #[test]
    fn a_damaged_backup_is_refused_and_changes_nothing() {
        let dir = folder();
        let to = dir.path().join("backup");
        back_up(dir.path(), &to).unwrap();
        let whole = fs::read(&to).unwrap();
        let mut flipped = whole.clone();
        flipped[5_000] ^= 1;
        let before = fs::read(dir.path().join(FILE)).unwrap();
        for damaged in [&flipped[..], &whole[..whole.len() - 4_096], &whole[..100], b""] {
            fs::write(&to, damaged).unwrap();
            let refused = restore(dir.path(), &to, true, NOW);
            assert!(refused.is_err(), "{} bytes: {refused:?}", damaged.len());
            assert_eq!(fs::read(dir.path().join(FILE)).unwrap(), before);
            assert!(!dir.path().join(RESTORING).exists());
        }
        assert!(matches!(restore(dir.path(), Path::new("/nowhere"), true, NOW), Err(ArchiveError::Files { .. })));
    }

    #[test]
    fn s69_a_backup_of_a_newer_version_or_of_another_program_is_refused() {
        let dir = folder();
        let to = dir.path().join("other");
        Connection::open(&to).unwrap().execute_batch("CREATE TABLE theirs (id INTEGER)").unwrap();
        let refused = restore(dir.path(), &to, true, NOW);
        assert!(matches!(refused, Err(ArchiveError::Open { source: OpenError::Foreign, .. })), "{refused:?}");
        fs::copy(dir.path().join(FILE), &to).unwrap();
        Connection::open(&to).unwrap().pragma_update(None, "user_version", migrations::newest() + 1).unwrap();
        let refused = restore(dir.path(), &to, true, NOW);
        assert!(matches!(refused, Err(ArchiveError::Open { source: OpenError::Newer { .. }, .. })), "{refused:?}");
    }

    #[test]
    fn a_plain_copy_of_the_files_of_a_server_is_a_backup_without_a_checksum() {
        let dir = folder();
        let (server, _keeper) = hold(dir.path(), &SqliteOptions::default(), None).unwrap();
        server.execute("UPDATE rooms SET name = 'in the log'", []).unwrap();
        let copies = tempfile::tempdir().unwrap();
        for suffix in ["", "-wal"] {
            fs::copy(beside(&dir.path().join(FILE), suffix), beside(&copies.path().join("copy"), suffix)).unwrap();
        }
        drop(server);
        let restored = restore(dir.path(), &copies.path().join("copy"), true, NOW).unwrap();
        assert!(!restored.had_checksum);
        assert_eq!(room(dir.path()).0, "in the log");
        assert_ne!(room(dir.path()).1, "the first epoch");
    }

    #[test]
    fn g4_what_cannot_be_noticed_is_said_by_the_operator() {
        let dir = folder();
        let put_back = PutBack { forget_move: false };
        restore_in_place(dir.path(), put_back).unwrap();
        let (name, epoch) = room(dir.path());
        assert_eq!(name, "General");
        assert_ne!(epoch, "the first epoch");
        let empty = tempfile::tempdir().unwrap();
        assert!(matches!(restore_in_place(empty.path(), put_back), Err(ArchiveError::Files { .. })));
    }
}
