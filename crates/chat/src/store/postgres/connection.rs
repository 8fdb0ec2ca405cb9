//! Connections: how each begins, what is looked at before it is used, and how statements go out on it.

use std::{
    error::Error as StdError,
    future::{Future, poll_fn},
    io,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::Duration,
};

use deadpool::managed::QueueMode;
use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, Timeouts,
};
use futures_util::future::maybe_done;
use rustls::CertificateError;
use tokio::{sync::Notify, time::sleep};
use tokio_postgres::{
    Client, Config, Connection, Error, Row, Socket, error::SqlState, tls::MakeTlsConnect, types::ToSql,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    address::PostgresOptions,
    values::{in_words, is_away},
};
use crate::{
    complaint::Complaint,
    limits::{DATABASE_ANSWERS, DATABASE_CONNECT, DATABASE_LOCKS},
    store::{OpenError, StoreError},
};

/// The Postgres schema that our tables are in, whatever else is in the database.
pub(super) const SCHEMA: &str = "tidings";
/// The oldest version that is supported, and tested.
const OLDEST: i32 = 15;

/// Between two looks whether a connection is free.
const PAUSE: Duration = Duration::from_millis(20);

/// Who commits is not interrupted while the server waits for a standby: the commit would count without one. What waits for
/// a lock ends all the same, and what else hangs is called off.
pub(super) const FOR_WRITING: &str = "SET statement_timeout = 0";

/// A value of a statement.
pub(super) type Values<'a> = &'a (dyn ToSql + Sync);
/// The values of a statement, in order.
pub(super) type Params<'a> = &'a [Values<'a>];
/// A statement with its values.
pub(super) type Statement<'a> = (&'a str, Params<'a>);

/// A connection on loan.
pub(super) struct Db(Object);

impl Db {
    pub(super) async fn rows(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Error> {
        let statement = self.0.prepare_cached(sql).await?;
        self.0.query(&statement, params).await
    }

    /// The first row, if there is one.
    pub(super) async fn row(&self, sql: &str, params: Params<'_>) -> Result<Option<Row>, Error> {
        Ok(self.rows(sql, params).await?.into_iter().next())
    }

    /// The only row of a statement that always has one.
    pub(super) async fn one(&self, sql: &str, params: Params<'_>) -> Result<Row, Error> {
        let statement = self.0.prepare_cached(sql).await?;
        self.0.query_one(&statement, params).await
    }

    /// Sends all of them before the first is answered; the server runs them in their order. Answers the rows of each, or the
    /// first error: in a transaction, all that follow it fail too.
    pub(super) async fn together(&self, statements: &[Statement<'_>]) -> Result<Vec<Vec<Row>>, Error> {
        self.each(statements).await?.into_iter().collect()
    }

    /// As [`together`](Self::together), with the answer of each.
    ///
    /// # Errors
    /// Nothing was sent.
    pub(super) async fn each(&self, statements: &[Statement<'_>]) -> Result<Vec<Result<Vec<Row>, Error>>, Error> {
        // First, because whoever had to be prepared would be sent behind the others.
        let mut prepared = Vec::with_capacity(statements.len());
        for (sql, _) in statements {
            prepared.push(self.0.prepare_cached(sql).await?);
        }
        // Each is sent when it is first polled, so they are polled in their order (which joins of many do not promise).
        let asked = prepared.iter().zip(statements);
        let mut running: Vec<_> =
            asked.map(|(statement, (_, params))| Box::pin(maybe_done(self.0.query(statement, params)))).collect();
        poll_fn(|cx| {
            let waiting = running.iter_mut().filter_map(|one| one.as_mut().poll(cx).is_pending().then_some(())).count();
            if waiting == 0 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        Ok(running.iter_mut().map(|one| one.as_mut().take_output().expect("all have been answered")).collect())
    }

    /// Closes it, instead of giving it back: nobody knows what it is doing.
    pub(super) fn throw_away(self) {
        drop(Object::take(self.0));
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

impl Deref for Db {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.0
    }
}

/// Which database it is, as far as that can be told from inside: system identifier, the database's number and the timeline.
/// A dump that was restored elsewhere, and a standby that became the primary, are another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity(pub(super) String);

/// What a new connection finds.
pub(super) struct Found {
    pub(super) identity: Identity,
    /// The mark of the run that opened the database last; see `mark`.
    pub(super) mark: Option<String>,
}

/// What every connection of a run must find, so that nobody reads or writes a database that was put back under it.
#[derive(Debug, Default)]
pub(super) struct Expected {
    /// `None` until the run has begun, and for the command line.
    run: Mutex<Option<(Identity, String)>>,
    /// Somebody has found something else.
    pub(super) differs: Notify,
}

impl Expected {
    pub(super) fn set(&self, identity: Identity, mark: String) {
        *self.run.lock().unwrap_or_else(PoisonError::into_inner) = Some((identity, mark));
    }

    pub(super) fn is(&self, found: &Found) -> bool {
        let run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        run.as_ref().is_none_or(|(identity, mark)| {
            *identity == found.identity && found.mark.as_ref().is_some_and(|found| found == mark)
        })
    }
}

/// Why a connection was not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("{}", in_words(.0))]
    Driver(#[from] Error),
    #[error("{0}")]
    Refused(String),
    #[error("no answer within {} s", DATABASE_CONNECT.as_secs())]
    Late,
    #[error("the database was put back, or another server took over; it is looked at anew")]
    Another,
}

impl ConnectError {
    /// Whether waiting may help, for who is starting.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Driver(error) => {
                !lacks_password(error) && refused_here(error).is_none() && error.code().is_none_or(is_away)
            }
            Self::Refused(_) => false,
            Self::Late | Self::Another => true,
        }
    }

    /// Whether no waiting helps: it is not a database to keep a chat in, or there is none, and one that is put in its place is
    /// not to be opened half filled. All that is merely not allowed just now (a password that is being changed) may be
    /// allowed again.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Self::Driver(error) => error.code() == Some(&SqlState::INVALID_CATALOG_NAME),
            Self::Refused(_) => true,
            Self::Late | Self::Another => false,
        }
    }
}

impl From<ConnectError> for OpenError {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Refused(why) => Self::Unfit(why),
            ConnectError::Driver(error) if lacks_password(&error) => {
                Self::Password("it asks for a password, and none was given".into())
            }
            ConnectError::Driver(error) if error.code() == Some(&SqlState::INVALID_PASSWORD) => {
                Self::Password(in_words(&error))
            }
            ConnectError::Driver(error) if error.code().is_some_and(|code| !is_away(code)) => {
                Self::NotAllowed(advised(&error, hint(&error)))
            }
            ConnectError::Driver(error) => Self::Unreachable(advised(&error, refused_here(&error).unwrap_or_default())),
            other => Self::Unreachable(other.to_string()),
        }
    }
}

fn advised(error: &Error, advice: &str) -> String {
    let separator = if advice.is_empty() { "" } else { "; " };
    format!("{}{separator}{advice}", in_words(error))
}

/// Where the password comes from.
const PASSWORD: &str =
    "the password comes from TIDINGS_DATABASE_PASSWORD, or from the file that database_password_file names";

/// The driver has no other name for it.
fn lacks_password(error: &Error) -> bool {
    error.source().is_some_and(|source| source.to_string() == "password missing")
}

/// What to do where our side ends the connection, and would again: the address, or what comes with it, does not fit the
/// server.
fn refused_here(error: &Error) -> Option<&'static str> {
    let source = error.source()?;
    let tls = source.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    match tls.and_then(|tls| tls.downcast_ref()) {
        Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            return Some("name the authority that signed its certificate in the address: sslrootcert=FILE");
        }
        Some(rustls::Error::InvalidCertificate(_)) => return Some("use the host name that its certificate is for"),
        _ => {}
    }
    // The driver has no other names for them.
    match source.to_string().as_str() {
        "server does not support TLS" => Some(
            "turn TLS on there, or, where the way is safe by itself, as on loopback or in a private network, say \
             sslmode=disable in the address",
        ),
        _ => None,
    }
}

/// What to do about it, where that can be told.
fn hint(error: &Error) -> &'static str {
    match error.code() {
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            "the role must own the database's schema 'tidings', or be allowed to make it: \
             GRANT CREATE ON DATABASE … TO …"
        }
        Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION) => PASSWORD,
        Some(&SqlState::INVALID_CATALOG_NAME) => "make it first: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0",
        _ => "",
    }
}

/// What carries the messages of a connection, and what the server says of itself.
pub(super) type Link = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// The way to the server.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) config: Config,
    tls: MakeRustlsConnect,
    /// Told to the server, so that others can see who holds the database.
    pub(super) name: String,
    pub(super) expected: Arc<Expected>,
}

impl Way {
    pub(super) fn new(options: &PostgresOptions, name: String) -> Result<Self, OpenError> {
        let mut config = options.config.clone();
        config.application_name(&name);
        let tls = options.tls().map_err(|error| OpenError::Unfit(error.to_string()))?;
        Ok(Self { config, tls, name, expected: Arc::default() })
    }

    /// A connection of its own, with what its server says of itself beside the answers.
    pub(super) async fn connect(&self) -> Result<(Client, Link), ConnectError> {
        let connecting = self.config.connect(self.tls.clone());
        Ok(tokio::time::timeout(DATABASE_CONNECT, connecting).await.map_err(|_| ConnectError::Late)??)
    }

    /// Tells the server to stop what the connection is doing: the future that waited for it is gone.
    pub(super) fn cancel(&self, db: &Db) {
        let (token, tls) = (db.cancel_token(), self.tls.clone());
        tokio::spawn(async move { tokio::time::timeout(DATABASE_CONNECT, token.cancel_query(tls)).await });
    }

    /// Connections to borrow, so many at once; each has been looked at, and begins with these settings.
    pub(super) fn pool(&self, size: usize, settings: &'static str) -> Pools {
        let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(self.config.clone(), self.tls.clone(), config);
        let expected = self.expected.clone();
        let look = Hook::async_fn(move |client, _| {
            let expected = expected.clone();
            Box::pin(async move {
                let begun = async {
                    let found = begin(client).await?;
                    client.batch_execute(settings).await?;
                    Ok::<_, ConnectError>(found)
                };
                // With its code, by which it is seen that there are too many.
                let found = begun.await.map_err(|error| match error {
                    ConnectError::Driver(error) => HookError::Backend(error),
                    error => HookError::message(error.to_string()),
                })?;
                if expected.is(&found) {
                    return Ok(());
                }
                expected.differs.notify_one();
                Err(HookError::message(ConnectError::Another.to_string()))
            })
        });
        let timeouts = Timeouts { wait: None, create: Some(DATABASE_CONNECT), recycle: Some(DATABASE_CONNECT) };
        // The last one used first: it knows the statements.
        let pool = Pool::builder(manager)
            .max_size(size)
            .queue_mode(QueueMode::Lifo)
            .runtime(Runtime::Tokio1)
            .timeouts(timeouts)
            .post_create(look);
        Pools(pool.build().expect("a runtime is given for the timeouts"), Complaint::default())
    }
}

/// Connections to borrow.
pub(super) struct Pools(Pool, Complaint);

impl Pools {
    /// The next one that is free. Where no more can be opened, that is one of those there are, or one takes the place of
    /// `others` that are idle.
    ///
    /// # Errors
    /// [`StoreError::Away`], or [`StoreError::Closed`].
    pub(super) async fn get(&self, others: Option<&Pools>) -> Result<Db, StoreError> {
        loop {
            let error = match self.0.get().await {
                Ok(object) => return Ok(Db(object)),
                Err(PoolError::Closed) => return Err(StoreError::Closed),
                Err(error) => error,
            };
            let why = match &error {
                PoolError::Backend(error) => in_words(error),
                error => error.to_string(),
            };
            if !is_too_many(&error) || self.0.status().size == 0 && others.is_none() {
                tracing::debug!(why, "no connection to the database");
                return Err(StoreError::Away);
            }
            if self.1.says_so() {
                tracing::warn!(why, "the database's server gives no more connections; those that there are are shared");
            }
            if self.0.status().size == 0 {
                others.inspect(|others| others.forget());
            }
            sleep(PAUSE).await;
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.0.status().waiting
    }

    pub(super) fn close(&self) {
        self.0.close();
    }

    /// Closes those that nobody has just now: what is asked next is asked on new ones.
    pub(super) fn forget(&self) {
        self.0.retain(|_, _| false);
    }
}

fn is_too_many(error: &PoolError) -> bool {
    matches!(error, PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error))
        if error.code() == Some(&SqlState::TOO_MANY_CONNECTIONS))
}

/// What a session of ours is like, and what the server must be like. `synchronous_commit` is never lowered, nor taken as low
/// as it would make an acknowledgement untrue (G1); what may hold others up ends by itself.
pub(super) async fn begin(client: &Client) -> Result<Found, ConnectError> {
    let milliseconds = |duration: Duration| duration.as_millis();
    client
        .batch_execute(&format!(
            "SET search_path = {SCHEMA}, pg_catalog, pg_temp;
            SET lock_timeout = {};
            SET statement_timeout = {};
            SET idle_in_transaction_session_timeout = {};
            SET idle_session_timeout = 0;
            SET client_connection_check_interval = 1000;
            SET default_transaction_isolation = 'read committed';
            SET jit = off;
            SELECT set_config('synchronous_commit', 'on', false)
                WHERE current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')",
            milliseconds(DATABASE_LOCKS),
            milliseconds(DATABASE_ANSWERS),
            milliseconds(DATABASE_ANSWERS),
        ))
        .await?;
    let sql = format!(
        "SELECT current_setting('server_version_num')::int / 10000, current_setting('fsync'),
            current_setting('server_encoding'), pg_is_in_recovery(), to_regclass('{SCHEMA}.mark') IS NOT NULL"
    );
    let row = client.query_typed_one(&sql, &[]).await?;
    let (version, fsync, encoding, is_standby, is_marked): (i32, &str, &str, bool, bool) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
    if version < OLDEST {
        return Err(ConnectError::Refused(format!("Postgres {version} is too old; {OLDEST} or newer is needed")));
    }
    if fsync != "on" {
        let why = "its server has fsync=off: what is acknowledged would be lost with the power. Set fsync=on there";
        return Err(ConnectError::Refused(why.into()));
    }
    if encoding != "UTF8" {
        let why = format!("its encoding is {encoding}; make one with ENCODING 'UTF8' TEMPLATE template0");
        return Err(ConnectError::Refused(why));
    }
    // The driver has looked too; it may have become one meanwhile.
    if is_standby {
        return Err(ConnectError::Late);
    }
    let mark = match is_marked {
        true => client.query_typed_one("SELECT mark FROM mark", &[]).await?.try_get(0)?,
        false => None,
    };
    // Not every hosted server lets one ask for the first.
    let system = match client.query_typed_one("SELECT system_identifier::text FROM pg_control_system()", &[]).await {
        Ok(row) => row.try_get(0)?,
        Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => "unknown".to_owned(),
        Err(error) => return Err(error.into()),
    };
    let sql = "SELECT oid::bigint, left(pg_walfile_name(pg_current_wal_lsn()), 8) FROM pg_database
        WHERE datname = current_database()";
    let row = client.query_typed_one(sql, &[]).await?;
    let (database, timeline): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
    Ok(Found { identity: Identity(format!("{system}/{database}/{timeline}")), mark })
}
