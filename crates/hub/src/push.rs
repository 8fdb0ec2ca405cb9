//! One event of a channel on its way to many: written and framed once for each form that a subscriber may need.

use std::sync::Arc;

use bytes::Bytes;
use tidings_protocol::{Label, Publication, PushEvent};

use crate::ChannelName;
use crate::format::Format;

/// An event of a channel, while it is given to all who follow it.
pub(crate) struct Push {
    channel: ChannelName,
    event: Event,
    frames: Vec<(Format, Bytes)>,
}

enum Event {
    Publication(Arc<Publication>),
    Other(Box<PushEvent>),
}

impl Push {
    pub(crate) fn publication(channel: &ChannelName, publication: Arc<Publication>) -> Self {
        Self { channel: channel.clone(), event: Event::Publication(publication), frames: Vec::new() }
    }

    pub(crate) fn event(channel: &ChannelName, event: PushEvent) -> Self {
        Self { channel: channel.clone(), event: Event::Other(Box::new(event)), frames: Vec::new() }
    }

    /// 0 for what is not part of the stream.
    pub(crate) fn offset(&self) -> u64 {
        match &self.event {
            Event::Publication(publication) => publication.offset,
            Event::Other(_) => 0,
        }
    }

    /// The event as `format` wants it; all subscribers of that format share the same bytes. `None` when the format's
    /// encoding cannot carry it.
    pub(crate) fn frame(&mut self, format: Format) -> Option<Bytes> {
        if let Some((_, frame)) = self.frames.iter().find(|(known, _)| known.is(format)) {
            return Some(frame.clone());
        }
        let label = Label::Channel(self.channel.as_str());
        let frame = format.encode(|encoding| match &self.event {
            Event::Publication(publication) => encoding.encode_publication(label, publication),
            Event::Other(event) => encoding.encode_push(label, event),
        })?;
        self.frames.push((format, frame.clone()));
        Some(frame)
    }
}
