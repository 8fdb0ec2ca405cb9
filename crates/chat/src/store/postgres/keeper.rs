//! Who holds the database, and what is noticed of others: one connection that does nothing else.
//!
//! It has the lock by which a second server is kept out. That is for the operator's sake alone: two that wrote at the same
//! time would do no harm, because rows are locked by whoever writes them and everything is announced by what was committed.

use std::{fmt, future::poll_fn, sync::Arc, time::Duration};

use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tokio_postgres::{AsyncMessage, Client};

use super::{
    Parts,
    connection::{ConnectError, Found, Link, Way, begin},
    mark,
    migrations::{self, Schema},
    values::in_words,
};
use crate::{
    complaint::Complaint,
    limits::{DATA_DIR_BUSY, DATABASE_CONNECT, DATABASE_PATIENCE, DATABASE_POLL},
    store::{OpenError, StoreError, follow::Stir, state::State, transfer::PutBack},
};

/// Held by every server, for itself.
const HOLD_LOCK: i64 = 0x5464_6e67_0000_0001;
/// Tells the other servers that something was committed.
pub(super) const NOTIFY: &str = "NOTIFY tidings";
/// Hears of it.
const LISTEN: &str = "LISTEN tidings";
/// Between two tries to hold the database, or to reach it.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest pause between tries to reach it.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The connection, and what the server says on it by itself.
pub(super) struct Held {
    client: Client,
    told: Arc<Notify>,
    link: JoinHandle<()>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.link.abort();
    }
}

impl Held {
    /// To ask on it what nobody else may ask for.
    pub(super) fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Connects, and looks at the server.
    async fn connect(way: &Way) -> Result<(Self, Found), ConnectError> {
        let (client, link) = way.connect().await?;
        let told = Arc::new(Notify::new());
        let link = tokio::spawn(carry(link, told.clone()));
        let held = Self { client, told, link };
        let found = timeout(DATABASE_CONNECT, begin(&held.client)).await.map_err(|_| ConnectError::Late)??;
        Ok((held, found))
    }
}

/// Carries the messages of the connection until its end. Whoever is told by it alone is another program.
async fn carry(mut link: Link, told: Arc<Notify>) {
    while let Some(Ok(message)) = poll_fn(|cx| link.poll_message(cx)).await {
        if let AsyncMessage::Notification(_) = message {
            told.notify_one();
        }
    }
    told.notify_one();
}

/// Opens the database for a server: holds it, brings its schema up to date, begins a run. Whoever is `asked` to renews the
/// rooms' epochs.
pub(super) async fn hold(parts: &Parts, asked: Option<PutBack>) -> Result<Held, OpenError> {
    let (mut held, found) = take(parts, || parts.mark.refuse_emptied()).await?;
    held.client.batch_execute(LISTEN).await.map_err(ConnectError::Driver)?;
    begin_run(parts, &mut held, &found, asked).await?;
    Ok(held)
}

/// Holds the database, with our schema, and begins no run. `make` says whether the schema may be made where there is none.
pub(super) async fn take(
    parts: &Parts,
    make: impl FnOnce() -> Result<(), OpenError>,
) -> Result<(Held, Found), OpenError> {
    let deadline = Instant::now() + DATABASE_PATIENCE;
    let (mut held, found) = loop {
        match Held::connect(&parts.way).await {
            // It may be starting, at the same time as we are.
            Err(error) if error.may_pass() && Instant::now() < deadline => sleep(PAUSE).await,
            other => break other?,
        }
    };
    refuse_a_pooler(&parts.way, &held.client).await?;
    hold_or_say_who_does(parts, &held.client).await?;
    if migrations::look(&held.client).await.map_err(ConnectError::Driver)? == (Schema::Older { found: 0 }) {
        make()?;
    }
    migrations::migrate(&mut held.client).await.map_err(ConnectError::Driver)?.opened()?;
    Ok((held, found))
}

/// Connects to look around, and holds nothing.
pub(super) async fn look_at(parts: &Parts) -> Result<(Held, Found), OpenError> {
    Ok(Held::connect(&parts.way).await?)
}

/// Waits until the database has our schema, which a server that is starting is making just now.
pub(super) async fn visit(parts: &Parts) -> Result<(), OpenError> {
    let deadline = Instant::now() + DATA_DIR_BUSY;
    let (held, _) = Held::connect(&parts.way).await?;
    loop {
        match migrations::look(&held.client).await.map_err(ConnectError::Driver)? {
            Schema::Older { .. } if Instant::now() < deadline => sleep(PAUSE).await,
            other => break other.opened()?,
        }
    }
    mark::note(&held.client).await.map_err(ConnectError::Driver)?.refuse(None)
}

/// A pooler that gives each transaction another session takes the locks of sessions, their settings and their listening with
/// it. Two sessions are then served by one: while the second is in a transaction, it is where the first was.
async fn refuse_a_pooler(way: &Way, first: &Client) -> Result<(), OpenError> {
    let process = async |client: &Client| -> Result<i32, ConnectError> {
        Ok(client.query_typed_one("SELECT pg_backend_pid()", &[]).await?.try_get(0)?)
    };
    let (second, link) = way.connect().await?;
    let link = tokio::spawn(link);
    let look = async {
        let before = process(first).await?;
        second.batch_execute("BEGIN").await?;
        let between = process(&second).await?;
        let after = process(first).await?;
        second.batch_execute("ROLLBACK").await?;
        Ok::<_, ConnectError>(before == between || before != after)
    };
    let is_pooled = timeout(DATABASE_PATIENCE, look).await;
    link.abort();
    match is_pooled {
        Ok(Ok(false)) => Ok(()),
        Ok(Ok(true)) => Err(OpenError::Unfit(
            "a pooler stands before it that gives each transaction another session (pool_mode=transaction); let it keep \
             sessions (pool_mode=session), or give the address of the server itself"
                .into(),
        )),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(ConnectError::Late.into()),
    }
}

/// Takes the lock, as soon as no other server has it.
async fn hold_or_say_who_does(parts: &Parts, client: &Client) -> Result<(), OpenError> {
    let take = if parts.is_shared { "pg_try_advisory_lock_shared" } else { "pg_try_advisory_lock" };
    let driver = |error| OpenError::from(ConnectError::Driver(error));
    let deadline = Instant::now() + DATA_DIR_BUSY;
    loop {
        let row = client.query_one(&format!("SELECT {take}($1)"), &[&HOLD_LOCK]).await.map_err(driver)?;
        if row.try_get(0).map_err(driver)? {
            return Ok(());
        }
        let Some(holder) = holder(client).await.map_err(driver)? else {
            // It has just let go, or may not be seen.
            if Instant::now() > deadline {
                return Err(OpenError::Held("another server holds it".into()));
            }
            sleep(PAUSE).await;
            continue;
        };
        if holder.name == parts.way.name {
            // Ours from before the line was cut, which its server has not noticed yet.
            client.query("SELECT pg_terminate_backend($1)", &[&holder.process]).await.map_err(driver)?;
        } else if Instant::now() > deadline {
            return Err(OpenError::Held(format!("{holder}; stop that server first")));
        }
        sleep(PAUSE).await;
    }
}

/// The server that has the lock.
pub(super) struct Holder {
    process: i32,
    name: String,
    address: String,
    since: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, address, since, .. } = self;
        // Without the name of the run, which is for us alone.
        let name = match name.rsplit_once(' ') {
            Some((shown, _)) if name.starts_with("tidings at ") => shown,
            _ => name,
        };
        write!(f, "'{name}' holds it, connected from {address}{since}")
    }
}

/// Who has the lock; nobody of whom nothing may be known.
pub(super) async fn holder(client: &Client) -> Result<Option<Holder>, tokio_postgres::Error> {
    let sql = "SELECT a.pid, coalesce(a.application_name, 'a session of another role'), coalesce(host(a.client_addr), 'its own machine'),
            coalesce(', since ' || to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC', '')
        FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
        WHERE l.locktype = 'advisory' AND l.granted AND l.pid <> pg_backend_pid()
            AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND (l.classid::bigint << 32 | l.objid::bigint) = $1 AND l.objsubid = 1";
    let Some(row) = client.query(sql, &[&HOLD_LOCK]).await?.into_iter().next() else { return Ok(None) };
    Ok(Some(Holder {
        process: row.try_get(0)?,
        name: row.try_get(1)?,
        address: row.try_get(2)?,
        since: row.try_get(3)?,
    }))
}

/// Begins a run, or the next one after the database was put back or another server took its place.
async fn begin_run(parts: &Parts, held: &mut Held, found: &Found, asked: Option<PutBack>) -> Result<bool, OpenError> {
    mark::note(&held.client).await.map_err(ConnectError::Driver)?.refuse(asked)?;
    // Several that share a database would each take it for another's.
    if parts.is_shared && found.mark.is_some() && asked.is_none() {
        return Ok(false);
    }
    let (mark, is_renewed) = parts.mark.begin(&mut held.client, found, asked).await?;
    if !parts.is_shared {
        parts.way.expected.set(found.identity.clone(), mark);
    }
    Ok(is_renewed)
}

/// Keeps the database, and says what it notices, until the store is closed.
pub(super) async fn keep(parts: Arc<Parts>, held: Held) {
    let mut held = Some(held);
    let mut seen = None;
    let mut pause = PAUSE;
    let complaint = Complaint::default();
    let mut ticks = interval(DATABASE_POLL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let Some(connection) = &held else {
            match reconnect(&parts).await {
                Ok(connection) => {
                    tracing::info!("the database is there again");
                    (held, pause, seen) = (Some(connection), PAUSE, None);
                    State::note(&parts.state, |state| state.failing = None);
                }
                Err(Reconnect::Never(why)) => {
                    State::note(&parts.state, |state| state.lost = Some(why));
                    return;
                }
                Err(Reconnect::Later(why)) => {
                    if complaint.says_so() {
                        tracing::warn!(why, "the database cannot be had; it is tried again");
                    }
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
            continue;
        };
        let noticed = tokio::select! {
            _ = ticks.tick() => look(&parts, connection, &mut seen).await,
            () = connection.told.notified() => Ok(true),
            () = parts.committed.notified() => tell(connection).await.map(|()| false),
            () = parts.way.expected.differs.notified() => Err("another database answers".to_owned()),
        };
        match noticed {
            Ok(true) => parts.stir(Stir::Changed),
            Ok(false) => {}
            Err(why) => {
                tracing::warn!(why, "the connection that holds the database was lost");
                State::note(&parts.state, |state| state.failing = Some(StoreError::Away));
                parts.forget_connections();
                held = None;
            }
        }
    }
}

enum Reconnect {
    Later(String),
    /// Somebody else has the database, or it is another one.
    Never(String),
}

async fn reconnect(parts: &Parts) -> Result<Held, Reconnect> {
    let connecting = async {
        let (mut held, found) = Held::connect(&parts.way).await.map_err(|error| match error {
            error if error.is_final() => Reconnect::Never(error.to_string()),
            error => Reconnect::Later(error.to_string()),
        })?;
        let of = |error: OpenError| match error {
            OpenError::Unreachable(why) | OpenError::NotAllowed(why) | OpenError::Password(why) => {
                Reconnect::Later(why)
            }
            other => Reconnect::Never(other.to_string()),
        };
        hold_or_say_who_does(parts, &held.client).await.map_err(of)?;
        let is_older = found.mark.is_some()
            && is_older(parts, &held.client).await.map_err(|error| Reconnect::Later(in_words(&error)))?;
        held.client.batch_execute(LISTEN).await.map_err(|error| of(ConnectError::Driver(error).into()))?;
        let is_renewed = if parts.way.expected.is(&found) && !is_older {
            false
        } else {
            begin_run(parts, &mut held, &found, None).await.map_err(of)?
        };
        Ok((held, is_renewed))
    };
    let (held, is_renewed) = match timeout(DATABASE_PATIENCE * 2, connecting).await {
        Ok(connected) => connected?,
        Err(_) => return Err(Reconnect::Later("no answer".into())),
    };
    parts.unsettle();
    parts.stir(if is_renewed { Stir::Renewed } else { Stir::Changed });
    Ok(held)
}

/// Whether others have written since the last look, and whether we still hold the database, and it is the one we wrote to.
async fn look(parts: &Parts, held: &Held, seen: &mut Option<Seen>) -> Result<bool, String> {
    let sql = "SELECT coalesce(sum(commits) FILTER (WHERE writer <> $1), 0)::bigint,
            coalesce(sum(commits) FILTER (WHERE writer = $1), 0)::bigint,
            EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted)
        FROM commits";
    // Before the question: what is committed meanwhile is no reason.
    let known = parts.mark.commits();
    let looking = async {
        let row = held.client.query_one(sql, &[&parts.writer]).await?;
        Ok::<(i64, i64, bool), tokio_postgres::Error>((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))
    };
    let (others, own, is_held) = match timeout(DATABASE_PATIENCE, looking).await {
        Ok(answer) => answer.map_err(|error| in_words(&error))?,
        Err(_) => return Err("it does not answer".into()),
    };
    if !is_held {
        return Err("the lock that keeps a second server out is gone: a pooler may stand before the database".into());
    }
    if u64::try_from(others + own).unwrap_or(0) < known {
        return Err("the database was put back while the server was running".into());
    }
    parts.try_to_commit(&held.client).await;
    // Ours that were never answered: they may have been committed long after that was given up.
    let unanswered = own - parts.answered();
    // The first look is one, too: what was written before it is not noticed by the next.
    let before = seen.replace(Seen { others, unanswered });
    let is_new = before.is_none_or(|before| before.others != others || before.unanswered < unanswered);
    Ok(is_new || parts.is_unsettled())
}

/// What a look has found.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// How many transactions others have committed.
    others: i64,
    /// How many of ours were committed without an answer, as far as can be seen while others are on their way.
    unanswered: i64,
}

/// Whether a dump was put back under us.
async fn is_older(parts: &Parts, client: &Client) -> Result<bool, tokio_postgres::Error> {
    // Before the question: what is committed meanwhile is no reason.
    let known = parts.mark.commits();
    let row = client.query_one("SELECT coalesce(sum(commits), 0)::bigint FROM commits", &[]).await?;
    Ok(u64::try_from(row.try_get::<_, i64>(0)?).unwrap_or(0) < known)
}

/// Tells the others that something was committed; however often it was.
async fn tell(held: &Held) -> Result<(), String> {
    let telling = held.client.batch_execute(NOTIFY);
    match timeout(DATABASE_PATIENCE, telling).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(in_words(&error)),
        Err(_) => Err("it does not answer".into()),
    }
}
