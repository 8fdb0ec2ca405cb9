//! Notices that the database is not the one that the last run left: a dump put back over it, or another server in its
//! place (G4). Why that matters, and what a mark is, is told for SQLite in [`mark`](crate::store::sqlite).
//!
//! The database has a row with the *mark* of the run that opened it last, random and new at each start, and with the
//! *identity* under which that was: the server's system identifier, the number of the database and its timeline. A file
//! in the data folder, `postgres.mark`, has the mark, the identity, and how many *commits* there were. The rooms get new
//! epochs when
//!
//! 1. the identity is another one than the row says: the data was brought here by a dump, or a standby took over and may
//!    not have had everything; or
//! 2. the file is about this database and knows more commits: an older dump was put back in its place; or
//! 3. the file is about this database and does not know its mark: it was opened since by a server with another data folder,
//!    which is no reason by itself. But that may have been on an older dump, of which a folder without a file knew nothing,
//!    and by now it has as many commits as before: nothing tells the two apart, so the rooms get new epochs.
//!
//! A file that is missing, or is about another database, renews nothing: a fresh container has none. So an older dump put
//! back in the place of its own database is not noticed by a server without its data folder; `tidings restore --in-place`
//! says it.
//!
//! A database that nothing is in is refused where the file has seen commits, whichever database they were in: it was
//! emptied, or made anew, or another was meant.
//!
//! A start writes the file first, with the mark that the database has and the one that it will get; then the database; then
//! the file again, with that one alone. Cut anywhere, the next start finds a mark that the file knows, or finds the same
//! reason again.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use tokio_postgres::{Client, Error};
use uuid::Uuid;

use super::{
    connection::{ConnectError, Found, Identity},
    values::number,
};
use crate::{
    ownership::give_to_the_owner_of,
    store::{
        OpenError,
        transfer::{Note, PutBack},
    },
};

/// The name of the file inside the data folder.
pub(super) const MARK_FILE: &str = "postgres.mark";
/// Bytes of the file, always the same, so that it is written in one piece.
const FILE_BYTES: usize = 320;
const NOTHING: &str = "-";

/// Why all epochs are renewed, in words for the operator's log.
type Reason = &'static str;

const ELSEWHERE: Reason =
    "the data was brought here from another database, or another server took over from the one before";
const OLDER: Reason = "the data is an older copy of what the last run left";
const UNKNOWN: Reason =
    "a server with another data folder had the database since, maybe on an older copy that was put back";
const ASKED: Reason = "the operator says that the data was put back";

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Page {
    identity: String,
    /// The mark before the last start, until that start is over.
    before: Option<String>,
    mark: String,
    commits: u64,
}

impl Page {
    fn text(&self) -> String {
        let before = self.before.as_deref().unwrap_or(NOTHING);
        let text = format!(
            "Written by tidings, about its Postgres database.\nmark {}\nbefore {before}\ncommits {}\ndatabase {}\n",
            self.mark, self.commits, self.identity,
        );
        format!("{text:<width$}\n", width = FILE_BYTES - 1)
    }

    fn parse(text: &str) -> Option<Self> {
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Some(Self {
            identity: value("database")?.to_owned(),
            before: Some(value("before")?).filter(|before| *before != NOTHING).map(str::to_owned),
            mark: value("mark")?.to_owned(),
            commits: value("commits")?.parse().ok()?,
        })
    }

    /// That there was a chat, of which something may be missed; a start that was cut before its first commit says the same
    /// of a new one.
    fn has_seen_data(&self) -> bool {
        self.commits > 0
    }

    fn knows(&self, mark: Option<&str>) -> bool {
        mark.is_some_and(|mark| mark == self.mark || self.before.as_deref() == Some(mark))
    }
}

/// What the database says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    mark: Option<String>,
    identity: Option<String>,
    commits: u64,
}

impl Row {
    async fn read(client: &Client) -> Result<Self, Error> {
        let sql = "SELECT mark, identity, (SELECT coalesce(sum(commits), 0)::bigint FROM commits) FROM mark";
        let row = client.query_one(sql, &[]).await?;
        Ok(Self { mark: row.try_get(0)?, identity: row.try_get(1)?, commits: number(&row, 2)? })
    }
}

fn driver(error: Error) -> OpenError {
    ConnectError::Driver(error).into()
}

/// What the database says of being moved.
pub(super) async fn note(client: &Client) -> Result<Note, Error> {
    let row = client.query_one("SELECT moved, moving FROM mark", &[]).await?;
    Ok(Note { moved: row.try_get(0)?, moving: row.try_get(1)? })
}

/// Which moment of the database it is: the same as long as nobody has written or begun a run.
pub(super) async fn moment(client: &Client) -> Result<String, Error> {
    let Row { mark, commits, .. } = Row::read(client).await?;
    Ok(format!("{}/{commits}", mark.unwrap_or_default()))
}

/// Whether the database is the one that the last run left, and why not.
fn judge(page: Option<&Page>, row: &Row, identity: &Identity) -> Result<Option<Reason>, OpenError> {
    let Some(before) = &row.identity else { return refuse_emptied(page).map(|()| None) };
    let page = page.filter(|page| page.identity == identity.0);
    match page {
        _ if *before != identity.0 => Ok(Some(ELSEWHERE)),
        Some(page) if row.commits < page.commits => Ok(Some(OLDER)),
        Some(page) if !page.knows(row.mark.as_deref()) => Ok(Some(UNKNOWN)),
        _ => Ok(None),
    }
}

/// Of a database that nothing is in: it is a new one only where the data folder knows of no other.
fn refuse_emptied(page: Option<&Page>) -> Result<(), OpenError> {
    if page.is_none_or(|page| !page.has_seen_data()) {
        return Ok(());
    }
    Err(OpenError::Unfit(format!(
        "there is no chat in it, although {MARK_FILE} in the data folder says that this server has one in Postgres; check the \
         address, or put a dump back, or, to begin anew, move {MARK_FILE} away"
    )))
}

/// The file, for as long as the run is going on.
#[derive(Debug)]
pub(super) struct Mark {
    path: PathBuf,
    state: Mutex<Option<(File, Page)>>,
}

impl Mark {
    pub(super) fn in_folder(data_dir: &Path) -> Self {
        Self { path: data_dir.join(MARK_FILE), state: Mutex::default() }
    }

    /// Begins a run on the database, which nobody else may have meanwhile. Answers the run's mark, and whether the rooms
    /// got new epochs.
    pub(super) async fn begin(
        &self,
        client: &mut Client,
        found: &Found,
        asked: Option<PutBack>,
    ) -> Result<(String, bool), OpenError> {
        let row = Row::read(client).await.map_err(driver)?;
        let reason = match asked {
            Some(_) => Some(ASKED),
            None => judge(self.page()?.as_ref(), &row, &found.identity)?,
        };
        let mark = Uuid::new_v4().simple().to_string();
        let before = row.mark.clone().filter(|_| reason.is_none());
        let page = Page { identity: found.identity.0.clone(), before, mark: mark.clone(), commits: row.commits };
        let file = self.write(&page).map_err(|source| self.files(source))?;

        let transaction = client.transaction().await.map_err(driver)?;
        if reason.is_some() {
            transaction.execute(RENEW, &[]).await.map_err(driver)?;
            transaction.execute(RENUMBER, &[]).await.map_err(driver)?;
        }
        let sql = "UPDATE mark SET mark = $1, identity = $2, moved = NULL";
        transaction.execute(sql, &[&mark, &found.identity.0]).await.map_err(driver)?;
        // What the runs before have committed is one row from now on.
        let sql = "WITH all_runs AS (DELETE FROM commits RETURNING commits)
            SELECT coalesce(sum(commits), 0)::bigint FROM all_runs";
        let commits: i64 = transaction.query_one(sql, &[]).await.and_then(|row| row.try_get(0)).map_err(driver)?;
        let sql = "INSERT INTO commits (writer, lane, commits) VALUES ('earlier', 0, $1)";
        transaction.execute(sql, &[&commits]).await.map_err(driver)?;
        transaction.commit().await.map_err(driver)?;

        let page = Page { before: None, ..page };
        file.write_all_at(page.text().as_bytes(), 0)
            .and_then(|()| file.sync_all())
            .map_err(|source| self.files(source))?;
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Some((file, page));
        if let Some(reason) = reason {
            tracing::warn!("{reason}: all rooms have new epochs, and whoever was connected reads them anew");
        }
        Ok((mark, reason.is_some()))
    }

    /// Refuses a database in which nothing is, where there was a chat.
    pub(super) fn refuse_emptied(&self) -> Result<(), OpenError> {
        refuse_emptied(self.page()?.as_ref())
    }

    /// How many transactions the database has at least, if it is the one that this run began on.
    pub(super) fn commits(&self) -> u64 {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.as_ref().map_or(0, |(_, page)| page.commits)
    }

    /// Refuses a database whose rooms are to have new epochs, which they get when a server starts.
    pub(super) async fn refuse_put_back(&self, client: &Client, found: &Found) -> Result<(), OpenError> {
        // The file first: a server that is at work writes it behind its commits.
        let page = self.page()?;
        let row = Row::read(client).await.map_err(driver)?;
        match judge(page.as_ref(), &row, &found.identity)? {
            Some(reason) => Err(OpenError::Unfit(format!(
                "{reason}; start the server on it once, so that its rooms get new epochs, and move it then"
            ))),
            None => Ok(()),
        }
    }

    /// Ends a move into the database: the next start of a server, with this data folder or another, renews nothing.
    pub(super) async fn end_move(&self, client: &mut Client, found: &Found) -> Result<(), OpenError> {
        let mark = Uuid::new_v4().simple().to_string();
        let page = Page { identity: found.identity.0.clone(), before: None, mark: mark.clone(), commits: 0 };
        if self.path.parent().is_some_and(Path::is_dir) {
            self.write(&page).map_err(|source| self.files(source))?;
        }
        let sql = "UPDATE mark SET mark = $1, identity = $2, moving = NULL";
        client.execute(sql, &[&mark, &page.identity]).await.map_err(driver).map(drop)
    }

    /// So many transactions more were committed.
    pub(super) fn committed(&self, commits: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((file, page)) = state.as_mut() else { return };
        page.commits += commits;
        // Not synced: after a power failure the file merely lies behind. Where it cannot be written it lies behind too.
        file.write_all_at(page.text().as_bytes(), 0).ok();
    }

    fn page(&self) -> Result<Option<Page>, OpenError> {
        match fs::read_to_string(&self.path) {
            Ok(text) => Ok(Page::parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.files(error)),
        }
    }

    fn write(&self, page: &Page) -> io::Result<File> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let file = File::options().create(true).truncate(false).read(true).write(true).mode(0o600).open(&self.path)?;
        give_to_the_owner_of(folder, &self.path);
        file.write_all_at(page.text().as_bytes(), 0)?;
        file.set_len(FILE_BYTES as u64)?;
        file.sync_all()?;
        File::open(folder)?.sync_all()?;
        Ok(file)
    }

    fn files(&self, source: io::Error) -> OpenError {
        OpenError::Files { path: self.path.clone(), source }
    }
}

/// Eight letters for each room, as a new one has.
const RENEW: &str = "UPDATE rooms
    SET epoch = translate(left(md5(gen_random_uuid()::text), 8), '0123456789', 'ghijklmnop')";

/// What was taken away is numbered from where no run has been, and none of it can be had: whoever has seen more of it than
/// is there now, or something else under the same numbers, is told so.
const RENUMBER: &str = "UPDATE revoked
    SET (last, forgotten) = (SELECT n, n FROM greatest(last + 1, (extract(epoch FROM clock_timestamp()) * 1e6)::bigint) n)";

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Page {
        Page { identity: "1/2/00000001".into(), before: None, mark: "now".into(), commits: 7 }
    }

    fn row(mark: &str, commits: u64) -> Row {
        Row { mark: Some(mark.into()), identity: Some("1/2/00000001".into()), commits }
    }

    fn judged(page: Option<&Page>, row: &Row, identity: &str) -> Option<Reason> {
        judge(page, row, &Identity(identity.into())).unwrap()
    }

    #[test]
    fn g4_a_database_that_the_last_run_left_keeps_its_epochs_whatever_is_missing_outside() {
        let same = "1/2/00000001";
        assert_eq!(judged(Some(&page()), &row("now", 7), same), None);
        assert_eq!(judged(Some(&page()), &row("now", 9), same), None, "the file lies behind after a power failure");
        assert_eq!(judged(None, &row("now", 7), same), None, "a fresh container");
        let about_another = Page { identity: "5/6/00000001".into(), ..page() };
        assert_eq!(judged(Some(&about_another), &row("other", 1), same), None, "the folder was used elsewhere");
        let starting = Page { before: Some("before".into()), ..page() };
        assert_eq!(judged(Some(&starting), &row("before", 7), same), None, "cut before the database knew");
        assert_eq!(judged(Some(&starting), &row("now", 7), same), None, "cut after that");
    }

    #[test]
    fn g4_a_dump_put_back_and_a_standby_that_took_over_are_other_databases() {
        let same = "1/2/00000001";
        assert_eq!(judged(Some(&page()), &row("now", 6), same), Some(OLDER));
        assert_eq!(judged(Some(&page()), &row("earlier", 6), same), Some(OLDER));
        for elsewhere in ["9/2/00000001", "1/3/00000001", "1/2/00000002"] {
            assert_eq!(judged(None, &row("now", 7), elsewhere), Some(ELSEWHERE), "{elsewhere}");
            assert_eq!(judged(Some(&page()), &row("now", 7), elsewhere), Some(ELSEWHERE), "{elsewhere}");
        }
    }

    #[test]
    fn g4_a_database_that_another_data_folder_served_since_is_not_called_older_and_renewed_all_the_same() {
        for commits in [7, 9] {
            assert_eq!(judged(Some(&page()), &row("another's", commits), "1/2/00000001"), Some(UNKNOWN));
        }
    }

    #[test]
    fn a_database_that_was_emptied_or_made_anew_is_not_a_new_one() {
        let empty = Row { mark: None, identity: None, commits: 0 };
        for identity in ["1/2/00000001", "1/3/00000001"] {
            assert!(judge(Some(&page()), &empty, &Identity(identity.into())).is_err(), "{identity}");
            assert_eq!(judged(None, &empty, identity), None, "a new one, or a fresh container");
            let cut = Page { commits: 0, ..page() };
            assert_eq!(judged(Some(&cut), &empty, identity), None, "a first start that was cut");
        }
    }

    #[test]
    fn the_file_can_be_read_back() {
        for before in [None, Some("another".to_owned())] {
            let page = Page { before, ..page() };
            assert_eq!(page.text().len(), FILE_BYTES);
            assert_eq!(Page::parse(&page.text()), Some(page));
        }
        assert_eq!(Page::parse(""), None);
    }
}
