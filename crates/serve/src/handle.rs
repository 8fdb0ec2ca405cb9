//! The handle of a running server.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::failure::ServeError;
use crate::readiness::Readiness;
use crate::shared::Shared;
use crate::shutdown::{self, Report};
use crate::stats::Stats;
use crate::tls::{Acceptor, CertificateError};

/// A running server. Cheap to clone; dropping it does not stop the server.
#[derive(Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
    /// Every TCP address with whether it speaks TLS.
    pub(crate) addresses: Arc<[(SocketAddr, bool)]>,
    pub(crate) certificates: Arc<[Acceptor]>,
}

impl Handle {
    /// The real address of the first TCP listener; where port 0 was asked for, the port that the system chose.
    ///
    /// # Panics
    /// When the server listens on no TCP address at all (Unix sockets alone); see [`local_addrs`](Self::local_addrs).
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addrs().next().expect("the server listens on a TCP address")
    }

    /// The real addresses of all TCP listeners, in the order in which they were given.
    pub fn local_addrs(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.addresses.iter().map(|(address, _)| *address)
    }

    /// `http://ADDRESS` or `https://ADDRESS` of the first TCP listener, for tests and log lines.
    ///
    /// # Panics
    /// As [`local_addr`](Self::local_addr).
    #[must_use]
    pub fn url(&self) -> String {
        let (address, tls) = self.addresses.first().expect("the server listens on a TCP address");
        format!("{}://{address}", if *tls { "https" } else { "http" })
    }

    /// Stops in phases and says what had to be cut.
    ///
    /// Announces the end for the time set by [`Server::announce`](crate::Server::announce), stops accepting, lets
    /// requests in flight finish while sockets are asked to close (spread out) and event streams end; at the deadline
    /// the rest is cut. The deadline holds for all of it, sockets included. Ports are free again when this returns.
    pub async fn shutdown(&self, deadline: Duration) -> Report {
        shutdown::run(&self.shared, deadline).await
    }

    /// Stops at once: connections are cut. [`wait`](Self::wait) returns when they are gone.
    pub fn close(&self) {
        shutdown::close(&self.shared);
    }

    /// Waits until the server has ended.
    ///
    /// # Errors
    /// [`ServeError`] when it ended without having been told to; one caller gets it, once.
    pub async fn wait(&self) -> Result<(), ServeError> {
        let mut ended = self.shared.ended.subscribe();
        // The sender lives in `shared`, so waiting cannot fail.
        let _ = ended.wait_for(|ended| *ended).await;
        let failure = self.shared.failure.lock().expect("no panic while the lock is held").take();
        failure.map_or(Ok(()), Err)
    }

    /// What the server holds now and what happened since it started.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.counters.snapshot(self.shared.under_way.bytes())
    }

    /// Whether the server wants traffic.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.shared.readiness.clone()
    }

    /// Reads certificates and keys from their files again; new handshakes use them, open connections are untouched.
    ///
    /// # Errors
    /// [`CertificateError`]; the certificates in use stay in use.
    pub fn reload_certificates(&self) -> Result<(), CertificateError> {
        self.certificates.iter().try_for_each(Acceptor::reload)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("addresses", &self.addresses)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
