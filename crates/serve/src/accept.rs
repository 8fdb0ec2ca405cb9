//! Accepting: one loop per listener, which outlives every error that is not its own end.
//!
//! Hands each connection to `connection::serve` in a task of its own and never waits for one.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};

use crate::App;
use crate::connection;
use crate::server::{Phase, Shared};
use crate::stats::count;
use crate::tls::Acceptor;

/// A source of connections, for [`Listen::custom`](crate::Listen::custom): a test's pipe, a tunnel, a listener with a
/// twist.
pub trait Accept: Send + 'static {
    /// The byte stream of one connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Waits for the next connection. Dropping the future must lose none.
    ///
    /// # Errors
    /// A failed connection (`ConnectionAborted`, …) and a lack of files or memory are survived; any other error ends
    /// the server and is returned by [`Handle::wait`](crate::Handle::wait).
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Stream, Peer)>> + Send;

    /// Where it listens, if that is an address.
    fn local_addr(&self) -> Option<SocketAddr> {
        None
    }
}

/// Who is at the other end of a connection, as the operating system says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A TCP peer.
    Tcp(SocketAddr),
    /// A process on this machine, through a Unix socket.
    Unix,
    /// A stream without an address.
    Unknown,
}

impl Peer {
    /// The peer's address, if it has one.
    #[must_use]
    pub fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(address),
            Self::Unix | Self::Unknown => None,
        }
    }

    /// For those who want an address in any case: one that is nobody's, and so neither loopback nor a trusted proxy's.
    #[cfg(feature = "axum")]
    pub(crate) fn address_or_unspecified(self) -> SocketAddr {
        self.address().unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)))
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix => f.write_str("unix"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}
pub(crate) type BoxIo = Box<dyn Io>;

type AcceptFuture<'a> = Pin<Box<dyn Future<Output = io::Result<(BoxIo, Peer)>> + Send + 'a>>;

pub(crate) trait DynAccept: Send {
    fn accept(&mut self) -> AcceptFuture<'_>;
    fn local_addr(&self) -> Option<SocketAddr>;
}

impl<A: Accept> DynAccept for A {
    fn accept(&mut self) -> AcceptFuture<'_> {
        Box::pin(async move {
            let (stream, peer) = Accept::accept(self).await?;
            Ok((Box::new(stream) as BoxIo, peer))
        })
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        Accept::local_addr(self)
    }
}

pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix { listener: UnixListener, remove: Option<PathBuf> },
    Custom(Box<dyn DynAccept>),
}

pub(crate) enum Stream {
    /// Kept bare, so that an HTTP/1.1 upgrade gives it back as it is.
    Tcp(TcpStream),
    Boxed(BoxIo),
}

pub(crate) struct Accepted {
    pub(crate) stream: Stream,
    pub(crate) peer: Peer,
    pub(crate) local: Option<SocketAddr>,
}

impl Listener {
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix { .. } => None,
            Self::Custom(listener) => listener.local_addr(),
        }
    }

    async fn accept(&mut self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Stream::Tcp(stream), Peer::Tcp(peer)))
            }
            Self::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Boxed(Box::new(stream)), Peer::Unix))
            }
            Self::Custom(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Stream::Boxed(stream), peer))
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix { remove: Some(path), .. } = self
            && let Err(error) = std::fs::remove_file(&*path)
        {
            tracing::debug!(path = %path.display(), %error, "the socket file was already gone");
        }
    }
}

/// Accepts until the server drains or the listener fails for good.
pub(crate) async fn run<S, B>(mut listener: Listener, tls: Option<Acceptor>, app: S, shared: Arc<Shared>)
where
    S: App<B>,
    B: crate::ResponseData,
{
    let local = listener.local_addr();
    let mut phase = shared.phase.subscribe();
    let mut pause = shared.limits.accept_pause_min;
    loop {
        let accepted = tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase >= Phase::Draining) => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                pause = shared.limits.accept_pause_min;
                count(&shared.counters.connections_total);
                match shared.budget.admit(peer, shared.now()) {
                    Ok(permit) => {
                        let accepted = Accepted { stream, peer, local };
                        connection::spawn(accepted, tls.clone(), app.clone(), &shared, permit);
                    }
                    Err(refusal) => crate::budget::turn_away(stream, refusal, tls.is_some(), &shared),
                }
            }
            Err(error) => match severity(&error) {
                Severity::Connection => tracing::debug!(%error, "a connection failed before it was accepted"),
                Severity::Exhausted => {
                    count(&shared.counters.accept_pauses);
                    tracing::warn!(%error, ?pause, "cannot accept connections for now; trying again");
                    tokio::select! {
                        _ = phase.wait_for(|phase| *phase >= Phase::Draining) => return,
                        () = tokio::time::sleep(pause) => {}
                    }
                    pause = (pause * 2).min(shared.limits.accept_pause_max);
                }
                Severity::Listener => {
                    drop(listener);
                    return shared.fail(error, local);
                }
            },
        }
    }
}

enum Severity {
    /// That connection is lost; the next one is as good as ever.
    Connection,
    /// Files or memory are short; they come back when connections end.
    Exhausted,
    /// The listener itself is broken.
    Listener,
}

fn severity(error: &io::Error) -> Severity {
    use rustix::io::Errno;
    if let Some(code) = error.raw_os_error() {
        return match Errno::from_raw_os_error(code) {
            Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM => Severity::Exhausted,
            // accept(2): pending network errors of the new connection are reported by accept, and the firewall's no is
            // PERM.
            Errno::CONNABORTED
            | Errno::CONNRESET
            | Errno::INTR
            | Errno::PROTO
            | Errno::PERM
            | Errno::NETDOWN
            | Errno::NETUNREACH
            | Errno::NOPROTOOPT
            | Errno::HOSTDOWN
            | Errno::HOSTUNREACH
            | Errno::OPNOTSUPP
            | Errno::TIMEDOUT => Severity::Connection,
            _ => Severity::Listener,
        };
    }
    match error.kind() {
        io::ErrorKind::ConnectionAborted
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionRefused
        | io::ErrorKind::Interrupted
        | io::ErrorKind::TimedOut => Severity::Connection,
        io::ErrorKind::OutOfMemory => Severity::Exhausted,
        _ => Severity::Listener,
    }
}
