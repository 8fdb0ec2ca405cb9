//! Setting a server up and starting it.

use std::io;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper_util::rt::TokioTimer;
use hyper_util::server::conn::auto;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accept;
use crate::app::App;
use crate::body::ResponseData;
use crate::budget::Budget;
use crate::failure::{OnFailure, ServeError};
use crate::handle::Handle;
use crate::limits::{self, Limits};
use crate::listen::{self, Listen};
use crate::pace::Streams;
use crate::phase::Phase;
use crate::proxies::TrustedProxies;
use crate::readiness::Readiness;
use crate::shared::Shared;
use crate::shutdown;
use crate::stats::Counters;
use crate::tls::{CertificateError, Tls};
use crate::underway::UnderWay;
use crate::wakers::Wakers;

/// A server that is being set up; [`serve`](Server::serve) starts it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use std::time::Duration;
/// # #[cfg(feature = "axum")] {
/// let app = axum::Router::new().route("/", axum::routing::get(|| async { "hello" }));
/// let server = tidings_serve::Server::bind("127.0.0.1:0").serve(app).await?;
/// println!("listening on http://{}", server.local_addr());
/// let report = server.shutdown(Duration::from_secs(30)).await;
/// assert!(report.is_clean());
/// # }
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "a server does nothing until `serve` is awaited"]
pub struct Server {
    listens: Vec<Listen>,
    limits: Limits,
    announce: Duration,
    socket_close_spread: Duration,
    on_failure: OnFailure,
    trusted_proxies: TrustedProxies,
    readiness: Readiness,
}

/// Why a server did not start. Nothing is listening after any of these.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is in use, not ours, not allowed, or not an address.
    #[error("cannot listen on {address}")]
    Bind {
        /// What was to be bound, as it was given.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// A certificate or key is missing, unreadable, or they do not belong together.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The limits contradict themselves.
    #[error("{0}")]
    Limits(&'static str),
}

impl Server {
    /// A server that will listen on `listen`: an address as text, a `SocketAddr`, or a [`Listen`] with options.
    pub fn bind(listen: impl Into<Listen>) -> Self {
        Self {
            listens: vec![listen.into()],
            limits: Limits::default(),
            announce: Duration::ZERO,
            socket_close_spread: Duration::from_secs(2),
            on_failure: OnFailure::Nothing,
            trusted_proxies: TrustedProxies::none(),
            readiness: Readiness::new(),
        }
    }

    /// Listens on one more place, under the same handle and the same limits.
    pub fn and_bind(mut self, listen: impl Into<Listen>) -> Self {
        self.listens.push(listen.into());
        self
    }

    /// Replaces the default [`Limits`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How long a shutdown goes on accepting after it has announced itself (readiness off, `Connection: close`,
    /// `GOAWAY`), so that a load balancer notices first. Zero by default; at most half of the shutdown's deadline is
    /// used.
    pub fn announce(mut self, time: Duration) -> Self {
        self.announce = time;
        self
    }

    /// Over how much time a shutdown spreads the closing of sockets, at most, so that their clients do not all come
    /// back at once. 2 s by default, less when there are few of them; at most a quarter of the shutdown's deadline is
    /// used.
    pub fn socket_close_spread(mut self, time: Duration) -> Self {
        self.socket_close_spread = time;
        self
    }

    /// Calls back when the server dies of itself. The error is logged and returned by [`Handle::wait`] in any case.
    pub fn on_failure(mut self, callback: impl Fn(&ServeError) + Send + Sync + 'static) -> Self {
        self.on_failure = OnFailure::Call(Arc::new(callback));
        self
    }

    /// Aborts the process when the server dies of itself, for programs that are nothing without it.
    pub fn abort_on_failure(mut self) -> Self {
        self.on_failure = OnFailure::Abort;
        self
    }

    /// The proxies whose word on the client's address, scheme and host is believed; nobody's by default.
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.trusted_proxies = proxies;
        self
    }

    /// A readiness flag that the application shows to its load balancer; on once the server listens, off when it shuts
    /// down.
    pub fn readiness(mut self, readiness: Readiness) -> Self {
        self.readiness = readiness;
        self
    }

    /// Binds, listens, and serves `app` in the background. When this returns, connections are accepted.
    ///
    /// `app` is an axum `Router` or any tower service from
    /// [`Request`](http::Request)`<`[`RequestBody`](crate::RequestBody)`>` to a response of bytes; it is cloned per
    /// request. Must be called within a tokio runtime, whose end is the server's end too.
    ///
    /// # Errors
    /// [`StartError`] when an address cannot be bound or a certificate not be used; nothing is left listening then.
    pub async fn serve<S, B>(self, app: S) -> Result<Handle, StartError>
    where
        S: App<B>,
        B: ResponseData,
    {
        if self.limits.connections_max == Some(0) || self.limits.connections_per_address_max == 0 {
            return Err(StartError::Limits("a server needs room for at least one connection"));
        }
        let mut listeners = Vec::with_capacity(self.listens.len());
        let mut certificates = Vec::new();
        for listen in self.listens {
            let address = listen.target.to_string();
            let acceptor = listen.tls.map(Tls::load).transpose()?;
            let listener = listen::bind(listen.target, &listen.options, &self.limits)
                .await
                .map_err(|source| StartError::Bind { address, source })?;
            certificates.extend(acceptor.clone());
            listeners.push((listener, acceptor));
        }
        let addresses =
            listeners.iter().filter_map(|(listener, tls)| Some((listener.local_addr()?, tls.is_some()))).collect();
        let shared = Arc::new(Shared {
            http: http(&self.limits),
            budget: Budget::new(&self.limits, self.trusted_proxies.clone()),
            under_way: UnderWay::new(&self.limits),
            limits: self.limits,
            announce: self.announce,
            socket_close_spread: self.socket_close_spread,
            on_failure: self.on_failure,
            trusted_proxies: self.trusted_proxies,
            readiness: self.readiness,
            counters: Counters::default(),
            phase: watch::Sender::new(Phase::Running),
            wakers: Wakers::default(),
            ended: watch::Sender::new(false),
            failure: Mutex::new(None),
            acceptors: TaskTracker::new(),
            tasks: TaskTracker::new(),
            sockets: TaskTracker::new(),
            waves: std::iter::repeat_with(CancellationToken::new).take(limits::SOCKET_WAVES).collect(),
            wave_next: AtomicUsize::new(0),
            epoch: Instant::now(),
            boot: crate::request_id::boot(),
            runtime: tokio::runtime::Handle::current(),
        });
        crate::panics::watch();
        for (listener, acceptor) in listeners {
            if let Some(acceptor) = &acceptor {
                acceptor.keep_fresh(&shared.phase);
            }
            let address = listener.local_addr();
            let accepting = tokio::spawn(accept::run(listener, acceptor, app.clone(), shared.clone()));
            let watcher = shared.clone();
            // In two tasks, so that a panic of the loop (a custom listener's, say) is a failure that `wait` reports.
            shared.acceptors.spawn(async move {
                if accepting.await.is_err_and(|end| end.is_panic()) {
                    shutdown::fail(&watcher, io::Error::other("accepting panicked"), address);
                }
            });
        }
        shared.readiness.set(true);
        Ok(Handle { shared, addresses, certificates: certificates.into() })
    }
}

fn http(limits: &Limits) -> auto::Builder<Streams> {
    let mut builder = auto::Builder::new(Streams);
    builder
        .http1()
        .timer(TokioTimer::new())
        // Ours tells a head that crawls from a connection that is idle; hyper's cannot.
        .header_read_timeout(None)
        .max_headers(limits.head_fields_max)
        .max_buf_size(limits::CONNECTION_BUFFER_BYTES_MAX.max(limits.head_bytes_max));
    builder
        .http2()
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_header_list_size(u32::try_from(limits.head_bytes_max).unwrap_or(u32::MAX))
        .max_concurrent_streams(limits.streams_per_connection_max)
        .max_send_buf_size(limits.stream_send_bytes_max)
        .keep_alive_interval(limits::HTTP2_PING_INTERVAL)
        .keep_alive_timeout(limits::HTTP2_PING_TIME);
    builder
}
