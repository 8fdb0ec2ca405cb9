//! One budget for all that clients have asked for and not read: the bytes of replies from the moment they are made until
//! the transport has written them, of all connections together.
//!
//! Nobody is refused for it. A connection may have a [part](ANSWERS_PART) of what is left: whoever has more unwritten waits
//! with its next command, and a history answer ends there. So each further one who does not read gets less, and whoever
//! reads gets on, if only by [`ANSWER_BYTES_MIN`] at a time.

use std::sync::Arc;

use crate::limits::{ANSWER_BYTES_MIN, ANSWERS_PART};
use crate::sync::atomic::{AtomicUsize, Ordering};

pub(crate) struct Answers {
    bytes: AtomicUsize,
    max: usize,
}

/// Room for an answer that is being made; given back when dropped.
pub(crate) struct Reserved {
    answers: Arc<Answers>,
    pub(crate) bytes: usize,
}

impl Answers {
    pub(crate) fn new(max: usize) -> Self {
        Self { bytes: AtomicUsize::new(0), max }
    }

    /// Bytes of all of them, and of the room for those that are being made.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes that one connection may have of them.
    pub(crate) fn share(&self) -> usize {
        (self.max.saturating_sub(self.bytes()) / ANSWERS_PART).max(ANSWER_BYTES_MIN)
    }

    /// Keeps room for an answer that is read in one piece and can be cut: at most `bytes_max`, and no more than a share.
    pub(crate) fn reserve(self: &Arc<Self>, bytes_max: usize) -> Reserved {
        let bytes = self.share().min(bytes_max);
        self.add(bytes);
        Reserved { answers: self.clone(), bytes }
    }

    pub(crate) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn give_back(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.answers.give_back(self.bytes);
    }
}
