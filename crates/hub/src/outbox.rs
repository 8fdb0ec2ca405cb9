//! What waits for one connection: the hub puts it in, the connection's task takes everything at once.
//!
//! Two queues behind one lock. The [`feed`] is what channels carry to all their subscribers; the [`private`] queue is
//! what concerns this connection alone: replies, and what the server wants of its session. They are two because they
//! fill in different ways, and one order binds them: a subscribe reply stands before its channel's first publication, an
//! unsubscribe push behind its last.
//!
//! Bounded in bytes and messages. A reader who cannot keep up is closed with 3008 and resumes from its position; our
//! memory never grows for them. Once idle it holds no buffer.

mod feed;
mod private;

use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tidings_protocol::Disconnect;

use self::feed::Feed;
use self::private::Private;
use crate::Limits;
use crate::format::Format;
use crate::session::Control;
use crate::sharded::lock;

#[derive(Default)]
pub(crate) struct Outbox(Mutex<Queues>);

#[derive(Default)]
struct Queues {
    feed: Feed,
    private: Private,
    /// Bytes of replies that the transport is writing.
    replies_in_writing: usize,
    closed: Option<Disconnect>,
    waker: Option<Waker>,
}

/// What happened to a pushed frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    Queued,
    /// The connection is closed already, or by this very push, because its reader did not keep up.
    Closed,
}

impl Outbox {
    /// Takes what a channel carries to its subscribers.
    pub(crate) fn push(&self, frame: Bytes, limits: &Limits) -> Pushed {
        self.put(limits, |queues| queues.feed.push(frame))
    }

    /// Takes a message that concerns this connection alone, not wrapped yet; it follows what the feed holds now.
    pub(crate) fn reply(&self, message: Bytes, limits: &Limits) -> Pushed {
        self.put(limits, |queues| queues.private.push(message, queues.feed.len()))
    }

    /// Lets the session know what the server wants or did.
    pub(crate) fn control(&self, control: Control) {
        let mut queues = self.lock();
        queues.private.controls.push(control);
        wake(queues);
    }

    /// Ends the connection; nothing is queued any more. The first reason stands.
    pub(crate) fn close(&self, disconnect: Disconnect) {
        let mut queues = self.lock();
        queues.closed.get_or_insert(disconnect);
        wake(queues);
    }

    pub(crate) fn queued_bytes(&self) -> usize {
        self.lock().bytes()
    }

    /// Bytes of what was asked for by the connection itself and waits.
    pub(crate) fn reply_bytes(&self) -> usize {
        self.lock().private.replies.bytes()
    }

    /// The same with what the transport is writing.
    pub(crate) fn unwritten_reply_bytes(&self) -> usize {
        let queues = self.lock();
        queues.private.replies.bytes() + queues.replies_in_writing
    }

    /// What the server wants or did meanwhile, and whether the connection has ended.
    pub(crate) fn take_controls(&self) -> (Vec<Control>, Option<Disconnect>) {
        let mut queues = self.lock();
        (std::mem::take(&mut queues.private.controls), queues.closed.clone())
    }

    /// The transport has written what it got.
    pub(crate) fn wrote(&self) {
        self.lock().replies_in_writing = 0;
    }

    /// Everything that is queued, or the reason of the end once nothing is.
    ///
    /// Messages for this connection alone that stand side by side leave as one frame.
    pub(crate) fn poll_take(&self, cx: &Context<'_>, format: Format) -> Poll<Result<Vec<Bytes>, Disconnect>> {
        let mut queues = self.lock();
        if !queues.private.controls.is_empty() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        queues.replies_in_writing = queues.private.replies.bytes();
        if queues.messages() > 0 {
            return Poll::Ready(Ok(queues.take(format)));
        }
        if let Some(disconnect) = &queues.closed {
            return Poll::Ready(Err(disconnect.clone()));
        }
        remember(&mut queues, cx);
        Poll::Pending
    }

    /// Wakes the task at the next change, without taking anything.
    pub(crate) fn watch(&self, cx: &Context<'_>) -> Option<Disconnect> {
        let mut queues = self.lock();
        if !queues.private.controls.is_empty() {
            cx.waker().wake_by_ref();
        }
        remember(&mut queues, cx);
        queues.closed.clone()
    }

    fn put(&self, limits: &Limits, put: impl FnOnce(&mut Queues)) -> Pushed {
        let mut queues = self.lock();
        if queues.closed.is_some() {
            return Pushed::Closed;
        }
        // One message above the bound is let in, so that a large reply to a reader who keeps up is never refused.
        let pushed = if queues.bytes() >= limits.outbox_bytes_max || queues.messages() >= limits.outbox_messages_max {
            queues.closed = Some(Disconnect::SLOW);
            (queues.feed, queues.private.replies) = (Feed::default(), private::Replies::default());
            Pushed::Closed
        } else {
            put(&mut queues);
            Pushed::Queued
        };
        wake(queues);
        pushed
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        lock(&self.0)
    }
}

impl Queues {
    fn bytes(&self) -> usize {
        self.feed.bytes() + self.private.replies.bytes()
    }

    fn messages(&self) -> usize {
        self.feed.len() + self.private.replies.len()
    }

    fn take(&mut self, format: Format) -> Vec<Bytes> {
        let feed = self.feed.take();
        if self.private.replies.len() == 0 { feed } else { self.private.replies.take_into(feed, format) }
    }
}

fn remember(queues: &mut Queues, cx: &Context<'_>) {
    match &mut queues.waker {
        Some(waker) => waker.clone_from(cx.waker()),
        none => *none = Some(cx.waker().clone()),
    }
}

/// Wakes after unlocking, so that the woken task does not run into the lock.
fn wake(mut queues: MutexGuard<'_, Queues>) {
    let waker = queues.waker.take();
    drop(queues);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use tidings_protocol::Encoding;

    use super::*;
    use crate::Framing;
    use crate::limits::JOINED_BYTES_MAX;

    fn taken(outbox: &Outbox) -> Vec<Bytes> {
        let format = Format { encoding: Encoding::Json, framing: Framing::NONE };
        std::future::poll_fn(|cx| outbox.poll_take(cx, format)).now_or_never().unwrap().unwrap()
    }

    #[test]
    fn replies_and_publications_leave_in_the_order_in_which_they_came() {
        let (outbox, limits) = (Outbox::default(), Limits::default());
        let feed = |text: &'static str| outbox.push(Bytes::from_static(text.as_bytes()), &limits);
        let reply = |text: &'static str| outbox.reply(Bytes::from_static(text.as_bytes()), &limits);
        for round in 0..2 {
            reply("1");
            feed("2");
            feed("3");
            reply("4");
            reply("5");
            feed("6");
            assert_eq!(taken(&outbox), ["1", "2", "3", "4\n5", "6"], "round {round}");
        }
        feed("7");
        assert_eq!(taken(&outbox).concat(), b"7");
        reply("8");
        assert_eq!(taken(&outbox).concat(), b"8");
    }

    #[test]
    fn replies_that_are_ready_together_leave_in_one_frame_unless_it_gets_too_large() {
        let (outbox, limits) = (Outbox::default(), Limits::default());
        let large = Bytes::from(vec![b'x'; JOINED_BYTES_MAX]);
        for reply in [Bytes::from_static(b"1"), Bytes::from_static(b"2"), large, Bytes::from_static(b"3")] {
            outbox.reply(reply, &limits);
        }
        let sizes: Vec<_> = taken(&outbox).iter().map(Bytes::len).collect();
        assert_eq!(sizes, [3, JOINED_BYTES_MAX, 1]);
    }
}
