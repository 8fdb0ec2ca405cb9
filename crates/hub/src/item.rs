//! One event of a channel on its way to many: written and framed once for each form that a subscriber may need.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use tidings_protocol::{Encoding, Publication, PushEvent, json};

use crate::Channel;

/// How a transport wraps one message, so that the hub can do it once for all subscribers.
#[derive(Clone, Copy, Debug)]
pub struct Framing {
    name: &'static str,
    wrap: fn(Bytes) -> Bytes,
}

impl Framing {
    /// The message as it is: the transport joins or wraps messages itself.
    pub const NONE: Self = Self::new("none", |message| message);

    /// A framing; two of the same name must do the same.
    #[must_use]
    pub const fn new(name: &'static str, wrap: fn(Bytes) -> Bytes) -> Self {
        Self { name, wrap }
    }
}

/// What the messages to one connection look like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format {
    pub(crate) encoding: Encoding,
    pub(crate) framing: Framing,
}

impl Format {
    pub(crate) fn frame(self, message: Bytes) -> Bytes {
        (self.framing.wrap)(message)
    }

    fn is(self, other: Self) -> bool {
        self.encoding == other.encoding && self.framing.name == other.framing.name
    }
}

/// An event of a channel.
pub(crate) struct Item {
    channel: Channel,
    event: Event,
    frames: Mutex<Vec<(Format, Bytes)>>,
}

enum Event {
    Publication(Publication),
    Other(PushEvent),
}

impl Item {
    pub(crate) fn publication(channel: &Channel, publication: Publication) -> Self {
        Self { channel: channel.clone(), event: Event::Publication(publication), frames: Mutex::default() }
    }

    pub(crate) fn event(channel: &Channel, event: PushEvent) -> Self {
        Self { channel: channel.clone(), event: Event::Other(event), frames: Mutex::default() }
    }

    /// 0 for what is not part of the stream.
    pub(crate) fn offset(&self) -> u64 {
        match &self.event {
            Event::Publication(publication) => publication.offset,
            Event::Other(_) => 0,
        }
    }

    /// The event as `format` wants it; all subscribers of that format share the same bytes.
    pub(crate) fn frame(&self, format: Format) -> Bytes {
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, frame)) = frames.iter().find(|(known, _)| known.is(format)) {
            return frame.clone();
        }
        let frame = format.frame(self.encode(format.encoding));
        frames.push((format, frame.clone()));
        frame
    }

    fn encode(&self, encoding: Encoding) -> Bytes {
        match (encoding, &self.event) {
            (_, Event::Publication(publication)) => json::encode_publication(self.channel.as_str(), publication),
            (_, Event::Other(event)) => json::encode_push(self.channel.as_str(), event),
        }
    }
}
