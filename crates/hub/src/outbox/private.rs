//! What concerns one connection alone: replies and pings for the client, and what the server wants of its session.

use std::mem;

use bytes::Bytes;

use crate::session::Control;

#[derive(Default)]
pub(super) struct Private {
    pub(super) replies: Replies,
    pub(super) controls: Vec<Control>,
}

/// Frames with their place in the feed: how many of its frames go before.
#[derive(Default)]
pub(super) struct Replies {
    frames: Vec<(usize, Bytes)>,
    bytes: usize,
}

impl Private {
    /// Takes a frame that follows the first `behind` frames of the feed.
    pub(super) fn push(&mut self, frame: Bytes, behind: usize) {
        self.replies.bytes += frame.len();
        self.replies.frames.push((behind, frame));
    }
}

impl Replies {
    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Puts all of them in their places among what was taken of the feed. The buffer is given back: most replies are a
    /// ping or the answer of one command.
    pub(super) fn take_into(&mut self, feed: Vec<Bytes>) -> Vec<Bytes> {
        let mut frames = Vec::with_capacity(feed.len() + self.frames.len());
        let mut feed = feed.into_iter().enumerate().peekable();
        for (behind, reply) in mem::take(&mut self.frames) {
            while let Some((_, frame)) = feed.next_if(|(number, _)| *number < behind) {
                frames.push(frame);
            }
            frames.push(reply);
        }
        frames.extend(feed.map(|(_, frame)| frame));
        self.bytes = 0;
        frames
    }
}
