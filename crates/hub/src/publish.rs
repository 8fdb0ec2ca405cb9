//! What is published through the hub.

use std::collections::BTreeMap;

use tidings_protocol::{ClientInfo, Payload};

use crate::BrokerError;
use crate::limits::{IDEMPOTENCY_KEY_BYTES_MAX, TAGS_BYTES_MAX, TAGS_MAX};

/// Something to be published.
#[derive(Clone, Debug, PartialEq)]
pub struct NewPublication {
    /// What subscribers get, unread by the hub.
    pub data: Payload,
    /// Who published it, when it was a client.
    pub info: Option<ClientInfo>,
    /// For filters; at most [`TAGS_MAX`] of [`TAGS_BYTES_MAX`] together.
    pub tags: BTreeMap<String, String>,
    /// Only for those who are subscribed now: it gets no number, moves no position and is not kept.
    pub ephemeral: bool,
    /// Of publications in a channel with the same key only the first is made, and the others are answered as it was; at
    /// most [`IDEMPOTENCY_KEY_BYTES_MAX`], remembered for
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

    /// Whether it is within the limits, which publishing asks too; for who publishes the same many times.
    ///
    /// # Errors
    /// [`PublishError::KeyTooLong`] and [`PublishError::TooManyTags`].
    pub fn check(&self) -> Result<(), PublishError> {
        if self.idempotency_key.as_ref().is_some_and(|key| key.len() > IDEMPOTENCY_KEY_BYTES_MAX) {
            return Err(PublishError::KeyTooLong);
        }
        let tags_bytes = self.tags.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        if self.tags.len() > TAGS_MAX || tags_bytes > TAGS_BYTES_MAX {
            return Err(PublishError::TooManyTags);
        }
        Ok(())
    }
}

/// Nothing was published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The application keeps this channel's history: it stores first, then announces.
    #[error("this channel is written through the application that keeps its history")]
    KeptElsewhere,
    /// The key is too long to be remembered.
    #[error("an idempotency key has at most {} bytes", IDEMPOTENCY_KEY_BYTES_MAX)]
    KeyTooLong,
    /// Every subscriber would get them, and the history keeps them.
    #[error("a publication has at most {TAGS_MAX} tags, of {TAGS_BYTES_MAX} bytes together")]
    TooManyTags,
    /// The broker could not.
    #[error(transparent)]
    Broker(#[from] BrokerError),
}
