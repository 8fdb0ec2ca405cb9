//! What waits for one connection alone, in order: its replies, and where its subscriptions begin and end among them.

use std::collections::VecDeque;

use bytes::Bytes;

use super::log::Taste;
use crate::format::Format;
use crate::limits::JOINED_BYTES_MAX;

/// See the [module](self).
#[derive(Default)]
pub(super) struct Private {
    queue: VecDeque<Item>,
    /// The next of these as it is written.
    framed: Option<Framed>,
}

/// One of what waits.
pub(super) enum Item {
    Message(Bytes),
    /// From here on it hears this subscription.
    Begins {
        log: u32,
        taste: Taste,
    },
    /// It has everything up to the end of this subscription before what follows.
    Ends {
        log: u32,
    },
}

/// Replies as they are written.
pub(super) struct Framed {
    pub(super) frame: Bytes,
    /// How many are in it.
    pub(super) replies: usize,
    /// Their bytes.
    pub(super) bytes: usize,
    /// What comes before it: the logs in which something waits, each up to this place.
    owed: Vec<(u32, u64)>,
    /// The subscriptions that begin behind it.
    pub(super) begins: Vec<(u32, Taste)>,
}

impl Private {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.framed.is_none()
    }

    pub(super) fn push(&mut self, item: Item) {
        self.queue.push_back(item);
    }

    /// What has its turn; nothing while replies stand before it that are being written, but for an end.
    pub(super) fn front(&self) -> Option<&Item> {
        let front = self.queue.front();
        if self.framed.is_some() { front.filter(|item| matches!(item, Item::Ends { .. })) } else { front }
    }

    pub(super) fn pop(&mut self) {
        self.queue.pop_front();
    }

    pub(super) fn framed(&self) -> Option<&Bytes> {
        self.framed.as_ref().map(|framed| &framed.frame)
    }

    /// Bytes of the replies that are being written, without their framing.
    pub(super) fn framed_bytes(&self) -> usize {
        self.framed.as_ref().map_or(0, |framed| framed.bytes)
    }

    /// Up to where a log is written before the replies that are being written, and nothing of others; `None`: there are none.
    pub(super) fn before_framed(&self, log: u32) -> Option<u64> {
        let owed = &self.framed.as_ref()?.owed;
        Some(owed.iter().find(|(of, _)| *of == log).map_or(0, |(_, until)| *until))
    }

    /// What lay in a log lies elsewhere now.
    pub(super) fn moved(&mut self, log: u32, place: &impl Fn(u64) -> u64) {
        let owed = self.framed.iter_mut().flat_map(|framed| &mut framed.owed);
        owed.filter(|(of, _)| *of == log).for_each(|(_, until)| *until = place(*until));
    }

    pub(super) fn take_framed(&mut self) -> Option<Framed> {
        self.framed.take()
    }

    /// It was to hear a subscription, and is not any more.
    pub(super) fn forget_begins(&mut self, is_meant: impl Fn(u32) -> bool) {
        self.queue.retain(|item| !matches!(item, Item::Begins { log, .. } if is_meant(*log)));
        if let Some(framed) = &mut self.framed {
            framed.begins.retain(|(log, _)| !is_meant(*log));
        }
    }

    pub(super) fn forget_end(&mut self, of: u32) {
        self.queue.retain(|item| !matches!(item, Item::Ends { log } if *log == of));
    }

    /// Puts what waits and stands side by side into one frame, behind what has been published so far. What the connection is
    /// said to be subscribed to in it begins behind it.
    pub(super) fn frame_next(&mut self, format: Format, owed: Vec<(u32, u64)>) {
        let (mut together, mut bytes, mut begins) = (Vec::new(), 0, Vec::new());
        // Pushes that stand alone do so to the end.
        let joined_max = if format.encoding.is_one_way() { 0 } else { JOINED_BYTES_MAX };
        while let Some(item) = self.queue.pop_front() {
            match item {
                Item::Message(message) if together.is_empty() || bytes + message.len() <= joined_max => {
                    bytes += message.len();
                    together.push(message);
                }
                Item::Begins { log, taste } => {
                    begins.push((log, taste));
                    // What was published there meanwhile comes before what is said later.
                    if owed.iter().any(|(of, _)| *of == log) {
                        break;
                    }
                }
                other => {
                    self.queue.push_front(other);
                    break;
                }
            }
        }
        if !together.is_empty() {
            let frame = format.join(&together);
            self.framed = Some(Framed { frame, replies: together.len(), bytes, owed, begins });
        }
    }
}
