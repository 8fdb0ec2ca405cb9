//! What is published through the hub.

use std::collections::BTreeMap;

use tidings_protocol::{ClientInfo, Payload};

use crate::BrokerError;
use crate::limits::{IDEMPOTENCY_KEY_BYTES_MAX, TAGS_BYTES_MAX, TAGS_MAX, VERSION_EPOCH_BYTES_MAX};

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
    /// Those who take differences may get it as its difference to the one before.
    pub delta: bool,
    /// It is dropped where the stream has had this version of what it says, or a later one; one that is not kept never is.
    pub version: Option<Version>,
}

/// Which version of something a publication tells of, for backends that publish the same thing several times in no order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// Goes up within its epoch, from 1.
    pub number: u64,
    /// Numbers of different epochs say nothing about each other.
    pub epoch: String,
}

impl NewPublication {
    /// A publication of the server's own, which takes its place in the channel's stream if it has one.
    #[must_use]
    pub fn new(data: Payload) -> Self {
        let (info, tags, idempotency_key, version) = (None, BTreeMap::new(), None, None);
        Self { data, info, tags, ephemeral: false, idempotency_key, delta: false, version }
    }

    /// Only for those who are subscribed now.
    #[must_use]
    pub fn ephemeral(data: Payload) -> Self {
        Self { ephemeral: true, ..Self::new(data) }
    }

    /// Whether it is within the limits, which publishing asks too; for who publishes the same many times.
    ///
    /// # Errors
    /// [`PublishError::KeyTooLong`], [`PublishError::VersionTooLong`] and [`PublishError::TooManyTags`].
    pub fn check(&self) -> Result<(), PublishError> {
        if self.idempotency_key.as_ref().is_some_and(|key| key.len() > IDEMPOTENCY_KEY_BYTES_MAX) {
            return Err(PublishError::KeyTooLong);
        }
        if self.version.as_ref().is_some_and(|version| version.epoch.len() > VERSION_EPOCH_BYTES_MAX) {
            return Err(PublishError::VersionTooLong);
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
    /// The epoch of its version is too long to be kept.
    #[error("the epoch of a version has at most {} bytes", VERSION_EPOCH_BYTES_MAX)]
    VersionTooLong,
    /// Every subscriber would get them, and the history keeps them.
    #[error("a publication has at most {TAGS_MAX} tags, of {TAGS_BYTES_MAX} bytes together")]
    TooManyTags,
    /// The broker could not.
    #[error(transparent)]
    Broker(#[from] BrokerError),
}
