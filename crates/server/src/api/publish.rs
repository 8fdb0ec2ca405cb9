//! `publish`, `broadcast` and `publish_pattern`.

use super::connections::looked_up;
use super::refusal::{bad_request, not_available, other, refused, too_much};
use super::{Call, Perform, channels};
use crate::limits::{API_AT_ONCE, BROADCAST_CHANNELS_MAX, PATTERN_CHANNELS_MAX};
use crate::pattern::Pattern;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;
use tidings_api::{
    BroadcastRequest, BroadcastResult, Error, PublishPatternRequest, PublishPatternResult, PublishRequest,
    PublishResponse, PublishResult, Response,
};
use tidings_hub::{BrokerError, NewPublication, PublishError, Version};
use tidings_protocol::{Payload, StreamPosition};

impl Perform for PublishRequest {
    async fn perform(self, call: &Call) -> Result<PublishResult, Error> {
        publish(call, &self.channel, publication!(self)?).await
    }
}

impl Perform for BroadcastRequest {
    async fn perform(self, call: &Call) -> Result<BroadcastResult, Error> {
        if self.channels.is_empty() {
            return Err(bad_request("channels is missing: it lists the channels to publish in"));
        }
        if self.channels.len() > BROADCAST_CHANNELS_MAX {
            let message =
                format!("channels has at most {BROADCAST_CHANNELS_MAX}: publish in the others by another call");
            return Err(too_much(message));
        }
        let publication = publication!(self)?;
        let mut responses = Vec::with_capacity(self.channels.len());
        for (number, channel) in self.channels.iter().enumerate() {
            let_others_in(number).await;
            responses.push(PublishResponse::of(publish(call, channel, publication.clone()).await));
        }
        Ok(BroadcastResult { responses })
    }
}

impl Perform for PublishPatternRequest {
    async fn perform(self, call: &Call) -> Result<PublishPatternResult, Error> {
        if self.pattern.is_empty() {
            return Err(bad_request("pattern is missing: it says which channels, such as news:*; * is all of them"));
        }
        let publication = publication!(self)?;
        let pattern = Pattern::new(channels::checked(&self.pattern)?);
        let looking = call.clone();
        let channels = looked_up(move || channels::with_subscribers(&looking, Some(&pattern))).await?;
        if channels.len() > PATTERN_CHANNELS_MAX {
            let found = channels.len();
            return Err(too_much(format!(
                "{found} channels fit the pattern and {PATTERN_CHANNELS_MAX} are the most: say it narrower, in several calls"
            )));
        }
        let mut result = PublishPatternResult::default();
        for (number, (channel, _)) in channels.into_iter().enumerate() {
            let_others_in(number).await;
            match publish(call, channel.as_str(), publication.clone()).await {
                Ok(_) => result.num_channels += 1,
                Err(error) => drop(result.failed.insert(channel.as_str().to_owned(), error)),
            }
        }
        Ok(result)
    }
}

/// What the three requests say of the publication itself.
macro_rules! publication {
    ($request:ident) => {
        $crate::api::publish::Content {
            data: payload(&$request.data, &$request.b64data),
            tags: $request.tags,
            skip_history: $request.skip_history,
            idempotency_key: $request.idempotency_key,
            delta: $request.delta,
            version: $request.version,
            version_epoch: $request.version_epoch,
        }
        .into_publication()
    };
}
use publication;

struct Content {
    data: Result<Option<Payload>, Error>,
    tags: BTreeMap<String, String>,
    skip_history: bool,
    idempotency_key: String,
    delta: bool,
    version: u64,
    version_epoch: String,
}

impl Content {
    fn into_publication(self) -> Result<NewPublication, Error> {
        let data = self.data?.ok_or_else(|| bad_request("data is missing: it is the JSON value to publish"))?;
        if self.version == 0 && !self.version_epoch.is_empty() {
            return Err(bad_request("version is missing: it counts from 1 up within version_epoch"));
        }
        let publication = NewPublication {
            tags: self.tags,
            ephemeral: self.skip_history,
            // An empty key is none: whoever has nothing to tell two publications apart by means both.
            idempotency_key: Some(self.idempotency_key).filter(|key| !key.is_empty()),
            delta: self.delta,
            version: (self.version > 0).then_some(Version { number: self.version, epoch: self.version_epoch }),
            ..NewPublication::new(data)
        };
        // Once for all channels, before it is copied for each.
        publication.check().map_err(|error| bad_request(&error.to_string()))?;
        Ok(publication)
    }
}

/// JSON, or bytes of any form; `None` when there are none.
pub(super) fn payload(bytes: &[u8], base64: &str) -> Result<Option<Payload>, Error> {
    let decoded;
    let bytes = if base64.is_empty() {
        bytes
    } else {
        decoded = STANDARD.decode(base64).map_err(|error| bad_request(&format!("this is no base64: {error}")))?;
        &decoded
    };
    if bytes.is_empty() {
        return Ok(None);
    }
    Payload::parse(bytes).map(Some).or_else(|error| {
        // JSON that some readers could not read would cut them off, and again after each recovery.
        let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok();
        if is_json {
            return Err(bad_request(&format!("the JSON is nested too deep, or has too long a number: {error}")));
        }
        Ok(Some(Payload::from_bytes(bytes)))
    })
}

/// Where nobody is subscribed nothing here ever waits, and a body names a hundred thousand channels.
pub(super) async fn let_others_in(number: usize) {
    if number % API_AT_ONCE == API_AT_ONCE - 1 {
        tokio::task::yield_now().await;
    }
}

async fn publish(call: &Call, channel: &str, publication: NewPublication) -> Result<PublishResult, Error> {
    let (channel, namespace) = call.channel(channel)?;
    namespace.check(&publication.data, usize::MAX).map_err(refused)?;
    let (hub, key) = (&call.app.hub, &call.key);
    // A key that reaches some channels cannot make up so many of them that others lose what they keep.
    let published = match key.is_bounded() {
        true => hub.publish_for(&key.name, &channel, publication).await,
        false => hub.publish(&channel, publication).await,
    };
    let StreamPosition { offset, epoch } = published.map_err(|error| {
        use tidings_protocol::Error as Code;
        match error {
            PublishError::KeptElsewhere => not_available("this channel is written by what keeps its history"),
            PublishError::KeyTooLong | PublishError::VersionTooLong | PublishError::TooManyTags => {
                bad_request(&error.to_string())
            }
            PublishError::Broker(BrokerError::TooManyStreams { .. }) => {
                other(&Code::LIMIT_EXCEEDED, format!("limit exceeded: {error}; see channels_max in the configuration"))
            }
            PublishError::Broker(BrokerError::TooManyRequests) => refused(Code::TOO_MANY_REQUESTS),
            PublishError::Broker(BrokerError::Unavailable(_)) => {
                tracing::error!(%error, %channel, "a publication failed");
                refused(Code::INTERNAL)
            }
        }
    })?;
    Ok(PublishResult { offset, epoch })
}
