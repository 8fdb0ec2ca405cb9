//! What concerns one connection alone: replies and pings for the client, and what the server wants of its session.

use std::mem;

use bytes::Bytes;

use crate::format::Format;
use crate::limits::JOINED_BYTES_MAX;
use crate::session::Control;

#[derive(Default)]
pub(super) struct Private {
    pub(super) replies: Replies,
    pub(super) controls: Vec<Control>,
}

/// Messages with their place in the feed: how many of its frames go before.
#[derive(Default)]
pub(super) struct Replies {
    messages: Vec<(usize, Bytes)>,
    bytes: usize,
}

impl Private {
    /// Takes a message that follows the first `behind` frames of the feed.
    pub(super) fn push(&mut self, message: Bytes, behind: usize) {
        self.replies.bytes += message.len();
        self.replies.messages.push((behind, message));
    }
}

impl Replies {
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Puts all of them in their places among what was taken of the feed, and those that stand side by side into one
    /// frame. The buffer is given back: most replies are a ping or the answer of one command.
    pub(super) fn take_into(&mut self, feed: Vec<Bytes>, format: Format) -> Vec<Bytes> {
        let mut frames = Vec::with_capacity(feed.len() + self.messages.len());
        let mut feed = feed.into_iter().enumerate().peekable();
        let (mut together, mut bytes) = (Vec::new(), 0);
        for (behind, message) in mem::take(&mut self.messages) {
            let parted = feed.peek().is_some_and(|(number, _)| *number < behind);
            if !together.is_empty() && (parted || bytes + message.len() > JOINED_BYTES_MAX) {
                frames.push(format.join(&mem::take(&mut together)));
                bytes = 0;
            }
            while let Some((_, frame)) = feed.next_if(|(number, _)| *number < behind) {
                frames.push(frame);
            }
            bytes += message.len();
            together.push(message);
        }
        if !together.is_empty() {
            frames.push(format.join(&together));
        }
        frames.extend(feed.map(|(_, frame)| frame));
        self.bytes = 0;
        frames
    }
}
