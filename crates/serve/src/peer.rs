//! Who is at the other end of a connection.

use std::fmt;
use std::net::SocketAddr;

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
