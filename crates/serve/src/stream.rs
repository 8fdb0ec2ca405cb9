//! The byte stream of one connection, as it was accepted.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::peer::Peer;

pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}
pub(crate) type BoxIo = Box<dyn Io>;

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

impl Stream {
    pub(crate) fn boxed(self) -> BoxIo {
        match self {
            Self::Tcp(stream) => Box::new(stream),
            Self::Boxed(stream) => stream,
        }
    }
}
