//! What connections are accepted from: a TCP or Unix listener, or one that the program brings.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

use crate::peer::Peer;
use crate::stream::{BoxIo, Stream};

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

impl Listener {
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix { .. } => None,
            Self::Custom(listener) => listener.local_addr(),
        }
    }

    pub(crate) async fn accept(&mut self) -> io::Result<(Stream, Peer)> {
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
