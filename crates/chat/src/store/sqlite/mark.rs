//! Notices that the database is not the one that the last run left: an older copy put back over it (G4).
//!
//! A client resumes by an event's number, and an old copy gives the numbers after its end to other events. Whoever had the
//! first ones would never see the second: a hole that nobody notices. So such a copy gets new epochs for all of its rooms,
//! and with another epoch a client reads the room anew.
//!
//! Beside the database lies `tidings.mark`. The database has a row with the *mark* of the run that opened it last, random
//! and new at each start, and with the number of *commits* so far, which is counted in the transaction itself. The file has
//! both, too, and the *identity* of the database's file: its inode and time of birth. (Not the number of its device, which
//! may change with every boot.) A database is the one that the last run left when
//!
//! 1. the file knows its mark: else it is a copy from an earlier run, or of another server, or one that `tidings backup`
//!    made, whose mark no file knows;
//! 2. its commits are not fewer than the file's: else it is a copy from the same run. More are none of our business: the
//!    file may lie behind, and a copy with more has nothing that clients could have missed;
//! 3. its file is the same: else it was swapped, or the whole folder was copied back.
//!
//! # What a crash may leave
//!
//! A start has three steps, and each of them is one that a power failure does or does not undo as a whole:
//!
//! | step | the file knows | the database has | a start after a crash here |
//! |---|---|---|---|
//! | before | A | A | |
//! | 1. the file is written and synced | A and B | A | A is known: not renewed |
//! | 2. the database commits B | A and B | B | B is known: not renewed |
//! | 3. the log is brought into the database's own file; the file is written and synced | B | B | as before |
//!
//! When the epochs are to be renewed, the file of step 1 knows B alone, and step 2 renews in its transaction: crashed before
//! that, the next start finds the same reason again; crashed after it, B is known. At the first start of the version that
//! brought the mark, A is "no mark yet", which is known when there is no file, so that start renews nothing either.
//!
//! While it runs, each commit is written into the file once it is durable, so the file is never ahead of the database. It is
//! not synced: of a killed process nothing is lost, and after a power failure the file merely lies behind. It is always
//! written in place, in one write of less than a sector; were one torn all the same, the file is as good as missing, which
//! renews once. Who writes holds a lock on the file, because the command line may commit beside the server.
//!
//! # A log that belongs to another database
//!
//! Copied over `tidings.db` of a killed server whose log `tidings.db-wal` is left there, an older copy gets the pages of
//! that log, and is then neither the one nor the other. So a database beside a log is not opened at all when its own file,
//! read without the log,
//!
//! 1. says in its head that it has none: so does a backup, and whatever else `VACUUM` made, which lays the pages out anew;
//! 2. has fewer commits than the file says are *saved* there; or
//! 3. has a mark that the file does not know, though something is saved there.
//!
//! What is saved is written down when it is synced, and only while the mark there is the run's, or, until the run has
//! begun, that of the one before. For the time in which more cannot be said it is 0: while somebody reads, and the log
//! cannot be brought in at the start, and when a database without a log is another one than before. That is set before it
//! is opened, since from then on the log is its own, however the start ends.
//!
//! # What cannot be noticed
//!
//! A snapshot of the disk, or the whole folder overwritten in place: then file and database are of one moment. So are they,
//! as far as can be seen, in a folder that was copied before the version that brought the mark: put back whole, it has
//! neither a file nor a mark, as at that version's first start. That is what `tidings restore --in-place` is for.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior};

use super::{FILE, values::number};
use crate::{
    ownership::give_to_the_owner_of,
    store::transfer::{Note, PutBack},
};

/// The name of the file inside the data directory.
pub(super) const MARK_FILE: &str = "tidings.mark";
/// Bytes of the file, always the same: less than a sector, so that a write is done or is not.
const FILE_BYTES: usize = 320;
/// Characters of a mark: 128 random bits in hexadecimal.
const MARK_CHARS: usize = 32;
/// In the place of the mark before: there is none.
const NOTHING: &str = "-";
/// In the place of the mark before: the database had none yet.
const UNMARKED: &str = "none";

/// Why all epochs are renewed, in words for the operator's log.
type Reason = &'static str;

const MISSING: Reason = "tidings.mark, which says what the last run left, is missing or damaged";
const OTHER_RUN: Reason = "the database is a copy from an earlier run, or of another server";
const OLDER: Reason = "the database is an older copy of what the last run left";
const OTHER_FILE: Reason = "the database is another file than the last run had";
const ASKED: Reason = "the operator says that the data was put back";

/// Which file it is: it stays the same for as long as the file does, whatever is written into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    inode: u64,
    /// Nanoseconds after the Unix epoch; not every file system knows.
    born: Option<u128>,
}

impl Identity {
    fn of(metadata: &fs::Metadata) -> Self {
        let born = metadata.created().ok().and_then(|born| born.duration_since(UNIX_EPOCH).ok());
        Self { inode: metadata.ino(), born: born.map(|born| born.as_nanos()) }
    }

    fn is(&self, other: &Self) -> bool {
        let as_old = self.born.zip(other.born).is_none_or(|(one, other)| one == other);
        self.inode == other.inode && as_old
    }
}

/// What the database says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    mark: Option<String>,
    commits: u64,
}

impl Row {
    fn read(db: &Connection) -> rusqlite::Result<Self> {
        db.query_row("SELECT mark, commits FROM mark", [], |row| {
            Ok(Self { mark: row.get(0)?, commits: number(row, 1)? })
        })
    }
}

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Page {
    /// The mark that the database had before the last start, until that start is over.
    before: Before,
    mark: String,
    commits: u64,
    /// Of the commits, those that are known to be in the database's own file and not only in its log, with a mark that is
    /// known. 0 when nothing is.
    saved: u64,
    identity: Identity,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Before {
    Nothing,
    Unmarked,
    Mark(String),
}

impl Page {
    fn knows(&self, mark: Option<&str>) -> bool {
        match (mark, &self.before) {
            (None, before) => *before == Before::Unmarked,
            (Some(mark), Before::Mark(before)) => mark == before || mark == self.mark,
            (Some(mark), Before::Nothing | Before::Unmarked) => mark == self.mark,
        }
    }

    /// Whether the database's own file may be the one whose commits were saved.
    fn has_saved(&self, own: &Row) -> bool {
        self.saved == 0 || own.commits >= self.saved && self.knows(own.mark.as_deref())
    }

    fn text(&self) -> String {
        let before = match &self.before {
            Before::Nothing => NOTHING,
            Before::Unmarked => UNMARKED,
            Before::Mark(mark) => mark,
        };
        let born = self.identity.born.map_or_else(|| NOTHING.to_owned(), |born| born.to_string());
        let text = format!(
            "Written by tidings, about tidings.db as it lies beside this file.\nmark {}\nbefore {before}\ncommits {}\nsaved {}\ninode {}\nborn {born}\n",
            self.mark, self.commits, self.saved, self.identity.inode,
        );
        format!("{text:<width$}\n", width = FILE_BYTES - 1)
    }

    /// `None` when it is damaged.
    fn parse(text: &str) -> Option<Self> {
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let mark = |text: &str| (text.len() == MARK_CHARS).then(|| text.to_owned());
        let before = match value("before")? {
            NOTHING => Before::Nothing,
            UNMARKED => Before::Unmarked,
            text => Before::Mark(mark(text)?),
        };
        let born = match value("born")? {
            NOTHING => None,
            text => Some(text.parse().ok()?),
        };
        let number = |name| value(name)?.parse().ok();
        Some(Self {
            before,
            mark: mark(value("mark")?)?,
            commits: number("commits")?,
            saved: number("saved")?,
            identity: Identity { inode: number("inode")?, born },
        })
        .filter(|_| text.len() == FILE_BYTES)
    }
}

/// What lies in the data directory in the place of the file.
#[derive(Debug)]
enum Found {
    Missing,
    Damaged,
    Page(Page),
}

impl Found {
    fn at(path: &Path) -> io::Result<Self> {
        match fs::read(path) {
            Ok(bytes) => {
                Ok(String::from_utf8(bytes).ok().and_then(|text| Page::parse(&text)).map_or(Self::Damaged, Self::Page))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::Missing),
            Err(error) => Err(error),
        }
    }
}

/// Whether the database is the one that the last run left, and why not.
fn judge(found: &Found, row: &Row, identity: &Identity) -> Option<Reason> {
    let page = match found {
        // The first start of a version that has a mark.
        Found::Missing if row.mark.is_none() => return None,
        Found::Missing | Found::Damaged => return Some(MISSING),
        Found::Page(page) => page,
    };
    if !page.knows(row.mark.as_deref()) {
        Some(OTHER_RUN)
    } else if row.commits < page.commits {
        Some(OLDER)
    } else {
        (!page.identity.is(identity)).then_some(OTHER_FILE)
    }
}

/// Whether a run has left its file here: then there was a database.
pub(super) fn is_in(data_dir: &Path) -> bool {
    data_dir.join(MARK_FILE).exists()
}

/// Whether the log that lies beside the database belongs to another one, so that the two must not be opened together.
pub(super) fn has_the_log_of_another(data_dir: &Path) -> bool {
    // First, because what a server saves meanwhile is in the database before it is in the file.
    let page = Found::at(&data_dir.join(MARK_FILE));
    let database = data_dir.join(FILE);
    has_log(data_dir)
        && (says_that_it_has_no_log(&database)
            || matches!(page, Ok(Found::Page(page)) if own(&database).is_some_and(|own| !page.has_saved(&own))))
}

/// Before a database without a log is opened: what comes into its log from then on belongs to it, also when it is not the
/// one whose commits were saved.
pub(super) fn forget_what_another_saved(data_dir: &Path) -> io::Result<()> {
    let path = data_dir.join(MARK_FILE);
    let Found::Page(page) = Found::at(&path)? else { return Ok(()) };
    if has_log(data_dir) || own(&data_dir.join(FILE)).is_none_or(|own| page.has_saved(&own)) {
        return Ok(());
    }
    let file = File::options().write(true).open(path)?;
    file.write_all_at(Page { saved: 0, ..page }.text().as_bytes(), 0)?;
    file.sync_all()
}

fn has_log(data_dir: &Path) -> bool {
    fs::metadata(data_dir.join(format!("{FILE}-wal"))).is_ok_and(|log| log.len() > 0)
}

/// A server's database says in its head, from before it has a log, that it has one (`sqlite.org/fileformat2.html` §1.3.3).
fn says_that_it_has_no_log(database: &Path) -> bool {
    let mut versions = [0; 2];
    let read = File::open(database).and_then(|file| file.read_exact_at(&mut versions, 18));
    read.is_ok() && versions == [1, 1]
}

/// What the database's own file says, read as if there were no log; `None` when it cannot be read.
fn own(database: &Path) -> Option<Row> {
    let mut uri = String::from("file:");
    for byte in database.to_str()?.bytes() {
        match byte {
            b'?' | b'#' | b'%' => uri.push_str(&format!("%{byte:02x}")),
            _ => uri.push(byte.into()),
        }
    }
    uri.push_str("?immutable=1");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let db = Connection::open_with_flags(uri, flags).ok()?;
    let is_marked = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'mark')";
    if !db.query_row(is_marked, [], |row| row.get::<_, bool>(0)).ok()? {
        return Some(Row { mark: None, commits: 0 });
    }
    Row::read(&db).ok()
}

/// Brings the log into the database's own file, as far as nobody reads from it just now. Answers whether all of it is there
/// and synced.
fn bring_in_the_log(db: &Connection) -> bool {
    let number = |row: &rusqlite::Row<'_>, index| row.get::<_, i64>(index);
    let moved = db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        Ok(number(row, 0)? == 0 && number(row, 1)? == number(row, 2)?)
    });
    moved.unwrap_or(false)
}

/// One start, in its steps.
struct Start {
    path: PathBuf,
    database: PathBuf,
    row: Row,
    page: Page,
    reason: Option<Reason>,
}

impl Start {
    /// Looks, and changes nothing. `is_whole` says that the database's own file needs no log.
    fn of(data_dir: &Path, db: &Connection, is_whole: bool, asked: Option<PutBack>) -> io::Result<Self> {
        let (path, database) = (data_dir.join(MARK_FILE), data_dir.join(FILE));
        let identity = Identity::of(&fs::metadata(&database)?);
        let row = Row::read(db).map_err(io::Error::other)?;
        let found = Found::at(&path)?;
        let reason = asked.map(|_| ASKED).or_else(|| judge(&found, &row, &identity));
        let before = match (reason, &row.mark) {
            (Some(_), _) => Before::Nothing,
            (None, None) => Before::Unmarked,
            (None, Some(mark)) => Before::Mark(mark.clone()),
        };
        let saved = match (reason, &found) {
            (None, Found::Page(page)) if is_whole => page.saved,
            _ => 0,
        };
        let page = Page { before, mark: fresh(), commits: row.commits, saved, identity };
        Ok(Self { path, database, row, page, reason })
    }

    /// Step 1: from now on both marks are known, or, if the epochs are to be renewed, the new one alone.
    fn announce(&self) -> io::Result<File> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let file = File::options().create(true).truncate(false).read(true).write(true).mode(0o600).open(&self.path)?;
        give_to_the_owner_of(folder, &self.path);
        file.lock()?;
        // A longer one is no page of ours.
        if file.metadata()?.len() > FILE_BYTES as u64 {
            file.set_len(0)?;
        }
        file.write_all_at(self.page.text().as_bytes(), 0)?;
        file.sync_all()?;
        // So that the file itself is there after a power failure.
        File::open(folder)?.sync_all()?;
        file.unlock()?;
        Ok(file)
    }

    /// Step 2: the database takes the new mark, and new epochs if it needs them.
    fn commit(&self, db: &mut Connection) -> rusqlite::Result<u64> {
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if self.reason.is_some() {
            renew_epochs(&transaction)?;
        }
        set_mark(&transaction, &self.page.mark)?;
        let commits = count(&transaction)?;
        transaction.commit()?;
        Ok(commits)
    }

    /// Step 3: the mark before is forgotten.
    fn finish(self, file: File, db: &Connection, commits: u64) -> io::Result<Keeper> {
        let saved = if bring_in_the_log(db) { commits } else { 0 };
        let beside = beside(&self.database);
        let identity = self.page.identity;
        let mut keeper = Keeper { file, database: self.database, identity, beside, saved_at: None, is_late: false };
        keeper.file.lock()?;
        let text = Page { before: Before::Nothing, commits, saved, ..self.page }.text();
        keeper.file.write_all_at(text.as_bytes(), 0)?;
        keeper.file.sync_all()?;
        keeper.file.unlock()?;
        keeper.saved_at = fs::metadata(&keeper.database)?.modified().ok();
        Ok(keeper)
    }
}

/// Gives every room another name for its stream of events, so that nobody resumes in it.
fn renew_epochs(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute("UPDATE rooms SET epoch = lower(hex(randomblob(16)))", []).map(drop)
}

/// What had been moved away is here again: else there is no new mark.
fn set_mark(db: &Connection, mark: &str) -> rusqlite::Result<()> {
    db.execute("UPDATE mark SET mark = ?1, moved = NULL", [mark]).map(drop)
}

/// Gives the database a mark that no file knows, and a count that begins anew: it is nobody's, and was never moved.
pub(super) fn disown(db: &Connection) -> rusqlite::Result<()> {
    db.execute("UPDATE mark SET mark = ?1, commits = 0, moved = NULL", [fresh()]).map(drop)
}

/// Which moment of the database it is: the same as long as nobody has written or begun a run.
pub(super) fn moment(db: &Connection) -> rusqlite::Result<String> {
    let Row { mark, commits } = Row::read(db)?;
    Ok(format!("{}/{commits}", mark.unwrap_or_default()))
}

/// What the database says of being moved.
pub(super) fn note(db: &Connection) -> rusqlite::Result<Note> {
    db.query_row("SELECT moved, moving FROM mark", [], |row| Ok(Note { moved: row.get(0)?, moving: row.get(1)? }))
}

/// Counts the transaction that it is in. Answers its number.
pub(super) fn count(db: &Connection) -> rusqlite::Result<u64> {
    db.prepare_cached("UPDATE mark SET commits = commits + 1 RETURNING commits")?.query_row([], |row| number(row, 0))
}

/// A mark that no file knows.
fn fresh() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// Why a program may not write.
#[derive(Debug)]
pub(super) enum MarkError {
    Files(io::Error),
    Database(rusqlite::Error),
}

impl From<io::Error> for MarkError {
    fn from(error: io::Error) -> Self {
        Self::Files(error)
    }
}

impl From<rusqlite::Error> for MarkError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

/// What SQLite has open beside the database, where it is there.
fn beside(database: &Path) -> [Option<Identity>; 2] {
    let identity = |suffix| fs::metadata(database.with_file_name(format!("{FILE}{suffix}"))).ok();
    ["-wal", "-shm"].map(|suffix| identity(suffix).as_ref().map(Identity::of))
}

/// Whether this is the file that the path leads to.
fn leads_to(path: &Path, identity: &Identity) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Identity::of(&metadata).is(identity)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Keeps the file while a program commits.
#[derive(Debug)]
pub(super) struct Keeper {
    file: File,
    database: PathBuf,
    identity: Identity,
    /// The files that SQLite has open beside it, which stay the same until the last connection is closed.
    beside: [Option<Identity>; 2],
    /// When the database's own file was last written, as it was when it was last looked into.
    saved_at: Option<SystemTime>,
    /// Whether the file could not be written, which is said once.
    is_late: bool,
}

impl Keeper {
    /// The start of a program that holds the data directory. Renews the epochs when they have to be, or when it is `asked`.
    pub(super) fn start(data_dir: &Path, db: &mut Connection, asked: Option<PutBack>) -> Result<Self, MarkError> {
        let is_whole = bring_in_the_log(db);
        let start = Start::of(data_dir, db, is_whole, asked)?;
        if let Some(reason @ (OLDER | OTHER_RUN)) = start.reason {
            // Also without rooms: what was acknowledged is missing. The mark itself may have been in the log.
            tracing::warn!(
                reason,
                "what the last run wrote is missing in the database; unless you put it there, its log (tidings.db-wal) is gone"
            );
        }
        let has_rooms = db.query_row("SELECT 1 FROM rooms", [], |_| Ok(())).optional()?.is_some();
        if let Some(reason) = start.reason.filter(|_| has_rooms) {
            tracing::warn!(reason, "the rooms get new epochs: whoever was connected before reads them anew (G4)");
        }
        let file = start.announce()?;
        let commits = start.commit(db)?;
        Ok(start.finish(file, db, commits)?)
    }

    /// Beside the program that holds the data directory and has started. `None` when the database is not the one that it
    /// has: it may be starting just now, or the database was put in its place meanwhile.
    pub(super) fn join(data_dir: &Path, db: &Connection) -> Result<Option<Self>, MarkError> {
        let Start { path, database, row, page, reason } = Start::of(data_dir, db, false, None)?;
        if reason.is_some() || row.mark.is_none() {
            return Ok(None);
        }
        let file = File::options().read(true).write(true).open(path)?;
        let beside = beside(&database);
        Ok(Some(Self { file, database, identity: page.identity, beside, saved_at: None, is_late: false }))
    }

    /// Whether the database that is open is still the one in the data directory, with its log: what is written into a log
    /// that has no name any more is lost when the program is killed.
    pub(super) fn is_in_place(&self) -> io::Result<bool> {
        let [log, shared] = &self.beside;
        let expected = [("", Some(&self.identity)), ("-wal", log.as_ref()), ("-shm", shared.as_ref())];
        for (suffix, identity) in expected {
            if let Some(identity) = identity
                && !leads_to(&self.database.with_file_name(format!("{FILE}{suffix}")), identity)?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes the file anew if it was removed or replaced under us. Without it `tidings user` cannot work beside us, and the
    /// next start would take the database for a copy.
    pub(super) fn look_after(&mut self) {
        match self.put_back() {
            Ok(false) => {}
            Ok(true) => tracing::warn!("{MARK_FILE} was removed or replaced; it is made anew. Leave it where it is"),
            Err(error) if !self.is_late => {
                self.is_late = true;
                tracing::warn!(%error, "{MARK_FILE} was removed or replaced, and cannot be made anew");
            }
            Err(_) => {}
        }
    }

    fn put_back(&mut self) -> io::Result<bool> {
        let folder = self.database.parent().unwrap_or(Path::new("."));
        let path = folder.join(MARK_FILE);
        if leads_to(&path, &Identity::of(&self.file.metadata()?))? {
            return Ok(false);
        }
        let mut bytes = [0; FILE_BYTES];
        self.file.read_exact_at(&mut bytes, 0)?;
        // Under another name first, so that nobody reads half of it.
        let draft = folder.join(format!("{MARK_FILE}.new"));
        let mut options = File::options();
        let file = options.create(true).truncate(true).read(true).write(true).mode(0o600).open(&draft)?;
        give_to_the_owner_of(folder, &draft);
        file.write_all_at(&bytes, 0)?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        File::open(folder)?.sync_all()?;
        self.file = file;
        Ok(true)
    }

    /// Writes what is in a database whose file is gone, but still open, into another one beside it.
    pub(super) fn rescue(&self, db: &Connection) -> io::Result<PathBuf> {
        let commits = Row::read(db).map_err(io::Error::other)?.commits;
        let path = self.database.with_file_name(format!("{FILE}.rescued-{commits}"));
        File::options().write(true).create_new(true).mode(0o600).open(&path)?;
        let name = path.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
        db.execute("VACUUM INTO ?1", [name]).map_err(io::Error::other)?;
        File::open(&path)?.sync_all()?;
        Ok(path)
    }

    /// Writes down how many commits there are, after the last of them.
    pub(super) fn committed(&mut self, commits: u64) {
        match self.write_down(commits) {
            Ok(()) => self.is_late = false,
            Err(error) if !self.is_late => {
                self.is_late = true;
                tracing::warn!(%error, "{MARK_FILE} cannot be written; an old copy put back now may go unnoticed");
            }
            Err(_) => {}
        }
    }

    fn write_down(&mut self, commits: u64) -> io::Result<()> {
        self.file.lock()?;
        let written = self.write_locked(commits);
        self.file.unlock()?;
        written
    }

    fn write_locked(&mut self, commits: u64) -> io::Result<()> {
        let mut bytes = [0; FILE_BYTES];
        self.file.read_exact_at(&mut bytes, 0)?;
        let page = std::str::from_utf8(&bytes).ok().and_then(Page::parse);
        let mut page = page.ok_or_else(|| io::Error::other("it is damaged"))?;
        // Another program may have written down a later one.
        page.commits = page.commits.max(commits);
        let saved_at = fs::metadata(&self.database)?.modified().ok();
        if saved_at != self.saved_at {
            // The log was brought into the file.
            let own = own(&self.database).filter(|own| own.mark.as_ref() == Some(&page.mark));
            page.saved = own.map_or(page.saved, |own| own.commits.max(page.saved));
            self.saved_at = saved_at;
        }
        self.file.write_all_at(page.text().as_bytes(), 0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rusqlite::{config::DbConfig, params};

    use super::{
        super::{SqliteOptions, archive, bring_up_to_date, hold, make_file, migrations, open_writer, visit},
        *,
    };
    use crate::store::OpenError;

    /// A data directory with one room, and what a program does with it.
    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            let folder = Self(tempfile::tempdir().unwrap());
            make_file(&folder.file(FILE)).unwrap();
            let (db, _) = folder.start();
            add_room(&db);
            folder
        }

        fn path(&self) -> &Path {
            self.0.path()
        }

        fn file(&self, name: &str) -> PathBuf {
            self.path().join(name)
        }

        /// A start, as a server makes it. What is dropped without more ado is a server that was killed.
        fn start(&self) -> (Connection, Keeper) {
            hold(self.path(), &SqliteOptions::default(), None).unwrap()
        }

        fn restart(&self) {
            drop(self.start());
        }

        /// The start of a program that is killed after so many steps: its log stays.
        fn start_that_ends_after(&self, steps: usize) {
            let mut db = super::super::open_held(self.path(), &SqliteOptions::default()).unwrap();
            leave_the_log(&db);
            let is_whole = bring_in_the_log(&db);
            let start = Start::of(self.path(), &db, is_whole, None).unwrap();
            if steps >= 1 {
                start.announce().unwrap();
            }
            if steps >= 2 {
                start.commit(&mut db).unwrap();
            }
            if steps >= 3 {
                assert!(bring_in_the_log(&db));
            }
        }

        /// The start of a program that is killed after so many transactions that bring the schema up to date.
        fn migration_that_ends_after(&self, transactions: usize) {
            assert!(!has_the_log_of_another(self.path()));
            forget_what_another_saved(self.path()).unwrap();
            let mut db = open_writer(&self.file(FILE)).unwrap();
            leave_the_log(&db);
            let mut left = transactions;
            let is_killed = move || {
                let is_killed = left == 0;
                left = left.saturating_sub(1);
                is_killed
            };
            db.commit_hook(Some(is_killed)).unwrap();
            bring_up_to_date(db, &SqliteOptions::default()).map(drop).ok();
        }

        /// Neither the database nor the log is touched.
        fn is_refused(&self) {
            let files = || (self.read(FILE), self.read("tidings.db-wal"));
            let before = files();
            let refused = hold(self.path(), &SqliteOptions::default(), None).map(drop);
            assert!(matches!(refused, Err(OpenError::AnothersLog(_))), "{refused:?}");
            let refused = archive::back_up(self.path(), &self.file("another backup"));
            assert!(refused.is_err(), "{refused:?}");
            assert!(files() == before, "nothing was touched");
        }

        fn epoch(&self) -> String {
            Connection::open(self.file(FILE))
                .unwrap()
                .query_row("SELECT epoch FROM rooms", [], |row| row.get(0))
                .unwrap()
        }

        fn said(&self) -> Page {
            Page::parse(std::str::from_utf8(&self.read(MARK_FILE)).unwrap()).unwrap()
        }

        fn read(&self, name: &str) -> Vec<u8> {
            fs::read(self.file(name)).unwrap()
        }

        /// Overwrites the database: it stays the same file.
        fn overwrite(&self, with: &[u8]) {
            fs::write(self.file(FILE), with).unwrap();
        }
    }

    fn add_room(db: &Connection) {
        let id = [1; 16];
        let person = "INSERT INTO people (id, name, email, role, password, created)
            VALUES (?1, 'Ana', 'ana@example.com', 'admin', 'x', 0)";
        db.execute(person, [id]).unwrap();
        let room = "INSERT INTO rooms (id, name, topic, creator, epoch, last_number, created)
            VALUES (?1, 'General', '', ?1, 'the first epoch', 0, 0)";
        db.execute(room, params![id]).unwrap();
    }

    /// As if the program were killed: closing the database does not bring the log into it.
    fn leave_the_log(db: &Connection) {
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
    }

    fn commit((db, keeper): &mut (Connection, Keeper)) {
        let transaction = db.transaction().unwrap();
        let commits = count(&transaction).unwrap();
        transaction.commit().unwrap();
        keeper.committed(commits);
    }

    #[test]
    fn g4_a_hundred_restarts_renew_nothing() {
        let folder = Folder::new();
        for _ in 0..100 {
            commit(&mut folder.start());
        }
        assert_eq!(folder.epoch(), "the first epoch");
    }

    #[test]
    fn g4_a_start_that_is_killed_at_any_step_renews_nothing() {
        for steps in 0..=3 {
            for next in 0..=3 {
                let folder = Folder::new();
                folder.start_that_ends_after(steps);
                folder.start_that_ends_after(next);
                folder.restart();
                assert_eq!(folder.epoch(), "the first epoch", "killed after {steps} and {next} steps");
            }
        }
    }

    #[test]
    fn g4_the_first_start_of_a_version_with_a_mark_renews_nothing_wherever_it_is_killed() {
        for steps in 0..=3 {
            let folder = Folder(tempfile::tempdir().unwrap());
            make_file(&folder.file(FILE)).unwrap();
            let db = super::super::connect_writer(&folder.file(FILE), &SqliteOptions::default()).unwrap();
            add_room(&db);
            drop(db);
            folder.start_that_ends_after(steps);
            folder.restart();
            folder.restart();
            assert_eq!(folder.epoch(), "the first epoch", "killed after {steps} steps");
        }
    }

    #[test]
    fn g4_a_renewal_that_is_killed_at_any_step_happens_all_the_same_and_once() {
        for steps in 0..=3 {
            let folder = Folder::new();
            let old = folder.read(FILE);
            folder.restart();
            folder.overwrite(&old);
            folder.start_that_ends_after(steps);
            let after = folder.epoch();
            assert_eq!(after != "the first epoch", steps >= 2, "after {steps} steps");
            folder.restart();
            let renewed = folder.epoch();
            assert_ne!(renewed, "the first epoch", "killed after {steps} steps");
            assert!(steps < 2 || renewed == after, "once");
            folder.restart();
            assert_eq!(folder.epoch(), renewed);
        }
    }

    #[test]
    fn g4_a_copy_from_an_earlier_run_has_another_mark() {
        let folder = Folder::new();
        let old = folder.read(FILE);
        folder.restart();
        folder.overwrite(&old);
        folder.restart();
        assert_ne!(folder.epoch(), "the first epoch");
    }

    #[test]
    fn g4_a_copy_from_the_same_run_has_fewer_commits() {
        let folder = Folder::new();
        let mut running = folder.start();
        running.0.pragma_update(None, "wal_checkpoint", "TRUNCATE").ok();
        let old = folder.read(FILE);
        commit(&mut running);
        drop(running);
        folder.overwrite(&old);
        folder.restart();
        assert_ne!(folder.epoch(), "the first epoch");
    }

    #[test]
    fn g4_the_same_content_in_another_file_is_a_copy() {
        let folder = Folder::new();
        folder.restart();
        fs::copy(folder.file(FILE), folder.file("copy")).unwrap();
        fs::rename(folder.file("copy"), folder.file(FILE)).unwrap();
        folder.restart();
        let renewed = folder.epoch();
        assert_ne!(renewed, "the first epoch");
        folder.restart();
        assert_eq!(folder.epoch(), renewed, "once");
    }

    #[test]
    fn g4_without_the_file_the_epochs_are_renewed_once() {
        for spoil in [|path: &Path| fs::remove_file(path), |path: &Path| fs::write(path, "nonsense")] {
            let folder = Folder::new();
            spoil(&folder.file(MARK_FILE)).unwrap();
            folder.restart();
            let renewed = folder.epoch();
            assert_ne!(renewed, "the first epoch");
            folder.restart();
            assert_eq!(folder.epoch(), renewed);
        }
    }

    #[test]
    fn g4_a_database_with_more_commits_than_the_file_says_is_no_copy() {
        let folder = Folder::new();
        let mut running = folder.start();
        let behind = folder.read(MARK_FILE);
        commit(&mut running);
        drop(running);
        fs::write(folder.file(MARK_FILE), behind).unwrap();
        folder.restart();
        assert_eq!(folder.epoch(), "the first epoch");
    }

    #[test]
    fn the_mark_of_a_version_before_beside_a_file_is_that_of_an_old_backup() {
        let folder = Folder::new();
        let db = Connection::open(folder.file(FILE)).unwrap();
        db.execute("UPDATE mark SET mark = NULL", []).unwrap();
        drop(db);
        folder.restart();
        assert_ne!(folder.epoch(), "the first epoch");
    }

    #[test]
    fn an_old_copy_is_not_opened_with_the_log_of_a_newer_one() {
        let folder = Folder::new();
        let old = folder.read(FILE);
        let mut running = folder.start();
        let before = folder.said().saved;
        // More than once, because the clock of a file system may be coarse.
        while folder.said().saved == before {
            running.0.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
            commit(&mut running);
        }
        // As a killed server leaves them: the log has what came last.
        let (log, newest) = (folder.read("tidings.db-wal"), folder.read(FILE));
        drop(running);
        folder.overwrite(&old);
        fs::write(folder.file("tidings.db-wal"), &log).unwrap();
        let refused = hold(folder.path(), &SqliteOptions::default(), None).map(drop);
        assert!(matches!(refused, Err(OpenError::AnothersLog(_))), "{refused:?}");
        assert_eq!((folder.read(FILE), folder.read("tidings.db-wal")), (old, log), "nothing was touched");

        folder.overwrite(&newest);
        folder.restart();
        assert_eq!(folder.epoch(), "the first epoch", "with the database that it belongs to, it is");
    }

    #[test]
    fn what_was_laid_out_anew_is_not_opened_with_a_log_whatever_it_counts() {
        for is_saved in [true, false] {
            let folder = Folder::new();
            let backup = folder.file("backup");
            let mut running = folder.start();
            leave_the_log(&running.0);
            commit(&mut running);
            if !is_saved {
                let page = Page { saved: 0, ..folder.said() };
                fs::write(folder.file(MARK_FILE), page.text()).unwrap();
            }
            archive::back_up(folder.path(), &backup).unwrap();
            commit(&mut running);
            drop(running);
            fs::copy(&backup, folder.file(FILE)).unwrap();
            folder.is_refused();
        }
    }

    #[test]
    fn the_database_of_another_server_is_not_opened_with_a_log_that_was_left() {
        let (folder, other) = (Folder::new(), Folder::new());
        (0..10).for_each(|_| other.restart());
        let mut running = folder.start();
        leave_the_log(&running.0);
        commit(&mut running);
        drop(running);
        fs::copy(other.file(FILE), folder.file(FILE)).unwrap();
        folder.is_refused();
    }

    #[test]
    fn a_log_that_could_not_be_brought_in_at_the_start_is_the_databases_own() {
        for reads_in in [0..1, 0..2, 0..3, 1..2, 1..3, 2..3] {
            let folder = Folder::new();
            let reader = Connection::open(folder.file(FILE)).unwrap();
            let count = "SELECT count(*) FROM rooms";
            for run in 0..3 {
                if run == reads_in.start {
                    reader.execute_batch("BEGIN").unwrap();
                    reader.query_row(count, [], |_| Ok(())).unwrap();
                }
                let mut running = folder.start();
                leave_the_log(&running.0);
                commit(&mut running);
                if run + 1 == reads_in.end {
                    reader.execute_batch("COMMIT").unwrap();
                }
            }
            leave_the_log(&reader);
            drop(reader);
            assert!(has_log(folder.path()));
            folder.restart();
            assert_eq!(folder.epoch(), "the first epoch", "{reads_in:?}");
        }
    }

    #[test]
    fn g4_a_database_of_a_version_before_is_migrated_wherever_that_is_killed() {
        // Three steps of the schema, and what SQL cannot make; after all four the start is killed before it says that it has
        // begun.
        for transactions in 0..=4 {
            for is_put_back in [false, true] {
                let folder = if is_put_back { Folder::new() } else { Folder(tempfile::tempdir().unwrap()) };
                (0..3).filter(|_| is_put_back).for_each(|_| folder.restart());
                fs::remove_file(folder.file(FILE)).ok();
                let db = Connection::open(folder.file(FILE)).unwrap();
                migrations::migrate_to(&db, 1);
                add_room(&db);
                drop(db);
                folder.migration_that_ends_after(transactions);
                folder.restart();
                let epoch = folder.epoch();
                assert_eq!(epoch != "the first epoch", is_put_back, "killed after {transactions} transactions");
                folder.restart();
                assert_eq!(folder.epoch(), epoch, "once");
            }
        }
    }

    #[test]
    fn g4_what_a_released_version_left_is_migrated_wherever_that_is_killed_and_renews_nothing() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
        let epochs = |folder: &Folder| -> Vec<String> {
            let db = Connection::open(folder.file(FILE)).unwrap();
            let mut rooms = db.prepare("SELECT epoch FROM rooms ORDER BY id").unwrap();
            rooms.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        };
        for version in [
            "0.1.0-first",
            "0.1.0-second",
            "0.1.0-third",
            "0.1.0-fourth",
            "0.1.0-fifth",
            "0.1.0-sixth",
            "0.1.0-seventh",
        ] {
            for transactions in 0..=6 {
                let folder = Folder(tempfile::tempdir().unwrap());
                let data = fixtures.join(version).join("data");
                fs::copy(data.join(FILE), folder.file(FILE)).unwrap();
                // The folder stands for the one that the version left: its mark is about this file.
                if let Found::Page(page) = Found::at(&data.join(MARK_FILE)).unwrap() {
                    let identity = Identity::of(&fs::metadata(folder.file(FILE)).unwrap());
                    fs::write(folder.file(MARK_FILE), Page { identity, ..page }.text()).unwrap();
                }
                let before = epochs(&folder);
                assert!(!before.is_empty());
                folder.migration_that_ends_after(transactions);
                folder.start_that_ends_after(1);
                (0..2).for_each(|_| folder.restart());
                assert_eq!(epochs(&folder), before, "{version}, killed after {transactions} transactions");
            }
        }
    }

    #[test]
    fn g4_a_backup_of_a_version_before_is_restored_wherever_that_is_killed() {
        for transactions in 0..=1 {
            let (folder, old) = (Folder::new(), tempfile::tempdir().unwrap());
            (0..3).for_each(|_| folder.restart());
            let old = old.path().join("old");
            let db = Connection::open(&old).unwrap();
            migrations::migrate_to(&db, 1);
            add_room(&db);
            drop(db);
            // What `restore` does, until it opens the database as every start does.
            archive::check(&old).unwrap();
            fs::rename(&old, folder.file(FILE)).unwrap();
            folder.migration_that_ends_after(transactions);
            folder.restart();
            assert_ne!(folder.epoch(), "the first epoch", "killed after {transactions} transactions");
        }
    }

    #[test]
    fn who_commits_beside_a_server_keeps_the_file_too() {
        let folder = Folder::new();
        let mut server = folder.start();
        commit(&mut server);
        let mut beside = visit(folder.path(), Duration::ZERO).unwrap();
        commit(&mut beside);
        let said = Page::parse(std::str::from_utf8(&folder.read(MARK_FILE)).unwrap()).unwrap();
        assert_eq!(said.commits, Row::read(&server.0).unwrap().commits);
        // Written late, an earlier number takes nothing back.
        server.1.committed(1);
        assert_eq!(Page::parse(std::str::from_utf8(&folder.read(MARK_FILE)).unwrap()), Some(said));
    }

    #[test]
    fn a_file_that_is_removed_or_replaced_under_a_program_is_made_anew() {
        for spoil in [
            |path: &Path| fs::remove_file(path).unwrap(),
            |path: &Path| {
                fs::copy(path, path.with_extension("copy")).unwrap();
                fs::rename(path.with_extension("copy"), path).unwrap();
            },
        ] {
            let folder = Folder::new();
            let mut server = folder.start();
            commit(&mut server);
            let said = folder.read(MARK_FILE);
            spoil(&folder.file(MARK_FILE));
            server.1.look_after();
            assert_eq!(folder.read(MARK_FILE), said);
            commit(&mut visit(folder.path(), Duration::ZERO).unwrap());
            commit(&mut server);
            let said = Page::parse(std::str::from_utf8(&folder.read(MARK_FILE)).unwrap()).unwrap();
            assert_eq!(said.commits, Row::read(&server.0).unwrap().commits, "and kept");
            drop(server);
            folder.restart();
            assert_eq!(folder.epoch(), "the first epoch");
        }
    }

    #[test]
    fn the_file_can_be_read_back_in_all_its_forms() {
        for before in [Before::Nothing, Before::Unmarked, Before::Mark(fresh())] {
            for born in [None, Some(u128::from(u64::MAX))] {
                let identity = Identity { inode: u64::MAX, born };
                let (commits, saved) = (u64::MAX, u64::MAX);
                let page = Page { before: before.clone(), mark: fresh(), commits, saved, identity };
                assert_eq!(page.text().len(), FILE_BYTES);
                assert_eq!(Page::parse(&page.text()), Some(page));
            }
        }
        assert_eq!(Page::parse(""), None);
    }
}
