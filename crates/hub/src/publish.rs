//! What is published through the hub.

use std::collections::BTreeMap;

use tidings_protocol::{ClientInfo, Payload};

use crate::BrokerError;

/// Something to be published.
#[derive(Clone, Debug, PartialEq)]
pub struct NewPublication {
    /// What subscribers get, unread by the hub.
    pub data: Payload,
    /// Who published it, when it was a client.
    pub info: Option<ClientInfo>,
    /// For filters.
    pub tags: BTreeMap<String, String>,
    /// Only for those who are subscribed now: it gets no number, moves no position and is not kept.
    pub ephemeral: bool,
    /// Of publications in a channel with the same key only the first is made, and the others are answered as it was; at
    /// most [`IDEMPOTENCY_KEY_BYTES_MAX`](crate::limits::IDEMPOTENCY_KEY_BYTES_MAX), remembered for
    /// [`IDEMPOTENCY_KEPT`](crate::limits::IDEMPOTENCY_KEPT).
    pub idempotency_key: Option<String>,
}

impl NewPublication {
    /// A publication of the server's own, which takes its place in the channel's stream if it has one.
    #[must_use]
    pub fn new(data: Payload) -> Self {
        Self { data, info: None, tags: BTreeMap::new(), ephemeral: false, idempotency_key: None }
    }

    /// Only for those who are subscribed now.
    #[must_use]
    pub fn ephemeral(data: Payload) -> Self {
        Self { ephemeral: true, ..Self::new(data) }
    }
}

/// Nothing was published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The application keeps this channel's history: it stores first, then announces.
    #[error("this channel is written through the application that keeps its history")]
    KeptElsewhere,
    /// The key is too long to be remembered.
    #[error("an idempotency key has at most {} bytes", crate::limits::IDEMPOTENCY_KEY_BYTES_MAX)]
    KeyTooLong,
    /// The broker could not.
    #[error(transparent)]
    Broker(#[from] BrokerError),
}
