//! A server that ends of itself: why, and what the program wants to happen then. `shutdown` does it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// Why a running server ended without having been told to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The listener is broken; connections that were open are drained.
    #[error("cannot accept connections any more{}", at(.address))]
    Accept {
        /// Where it listened, if that was an address.
        address: Option<SocketAddr>,
        /// What accepting said.
        source: io::Error,
    },
}

fn at(address: &Option<SocketAddr>) -> String {
    address.map_or_else(String::new, |address| format!(" on {address}"))
}

type FailureCallback = Arc<dyn Fn(&ServeError) + Send + Sync>;

/// What happens when the server dies of itself, beside the log line and the error from `wait`.
pub(crate) enum OnFailure {
    Nothing,
    Call(FailureCallback),
    Abort,
}

impl fmt::Debug for OnFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Call(_) => "Call",
            Self::Abort => "Abort",
        })
    }
}
