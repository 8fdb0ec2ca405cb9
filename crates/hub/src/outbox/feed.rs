//! What channels carry to a connection as one of their subscribers: frames that are shared with all others.

use std::mem;

use bytes::Bytes;

/// Frames for which a feed keeps room, 32 bytes each, while it is in use.
const BUFFER_KEPT_MAX: usize = 32;

#[derive(Default)]
pub(super) struct Feed {
    frames: Vec<Bytes>,
    bytes: usize,
}

impl Feed {
    pub(super) fn push(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        self.frames.push(frame);
    }

    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A busy feed keeps its buffer: the publisher allocates it and the connection's task would free it, on two cores
    /// at once. A feed with one frame gives it back.
    pub(super) fn take(&mut self) -> Vec<Bytes> {
        self.bytes = 0;
        if self.frames.len() <= 1 || self.frames.capacity() > BUFFER_KEPT_MAX {
            return mem::take(&mut self.frames);
        }
        self.frames.drain(..).collect()
    }
}
