//! Why what was published could not be read.

use crate::{BrokerError, HistoryError};

/// What was published could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The channel keeps no history.
    #[error("this channel keeps no history")]
    NotKept,
    /// The position lies in another epoch.
    #[error("the position lies in another epoch")]
    OtherEpoch,
    /// The keeper of the history failed.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The broker failed.
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

/// Who is in a channel is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PresenceError {
    /// The stats still count them.
    #[error("more than {max} are in this channel")]
    TooMany {
        /// How many may be listed.
        max: usize,
    },
}
