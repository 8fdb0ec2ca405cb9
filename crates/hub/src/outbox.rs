//! What a connection's task, its loop and the hub share: what the connection asked for itself, what the server wants of
//! it, and why it ends.
//!
//! What channels carry is not here: it stays in their logs until the connection takes it. Replies are bounded in bytes and
//! messages; whoever does not read them is closed with 3008.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tidings_protocol::Disconnect;

use crate::delivery::{Loop, Note, Taken, Writer};
use crate::format::Format;
use crate::limits::ORDERS_WAITING_MAX;
use crate::session::Control;
use crate::sharded::lock;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::{Mutex, MutexGuard};
use crate::{ChannelName, Limits};

pub(crate) struct Outbox {
    pub(crate) of: Arc<Loop>,
    pub(crate) slot: u32,
    pub(crate) writer: Option<Arc<dyn Writer>>,
    pub(crate) format: Format,
    /// Bytes of replies that are not written yet, which the [budget](crate::answers) of all counts too, and how many they are.
    reply_bytes: AtomicUsize,
    replies: AtomicUsize,
    /// How much the loop had written by itself when the session was told last.
    told: AtomicUsize,
    /// A note has been left that nobody may have heard.
    has_left: AtomicBool,
    /// The task waits until replies have been written.
    is_watched: AtomicBool,
    shared: Mutex<Shared>,
}

#[derive(Default)]
struct Shared {
    controls: Vec<Control>,
    closed: Option<Box<Disconnect>>,
    /// What the task is to write.
    batch: Vec<Bytes>,
    /// Bytes of replies among what the task is writing: its batch, and of the loop's last write what the socket did not take.
    replies_in_writing: usize,
    /// The loop waits until the task has written.
    owes_ready: bool,
    /// The task is to flush the socket.
    is_blocked: bool,
    /// There is nothing left to be written.
    is_drained: bool,
    waker: Option<Waker>,
}

/// What happened to a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    Queued,
    /// The connection is closed already, or by this very push, because its reader did not keep up.
    Closed,
}

/// What the task of a connection is to do.
pub(crate) enum Next {
    Send(Vec<Bytes>),
    Flush,
    Close(Disconnect),
}

impl Outbox {
    /// Opens it on a loop.
    pub(crate) fn open((of, slot): (Arc<Loop>, u32), writer: Option<Arc<dyn Writer>>, format: Format) -> Arc<Self> {
        let outbox = Arc::new(Self {
            of,
            slot,
            writer,
            format,
            reply_bytes: AtomicUsize::new(0),
            replies: AtomicUsize::new(0),
            told: AtomicUsize::new(0),
            has_left: AtomicBool::new(false),
            is_watched: AtomicBool::new(false),
            shared: Mutex::default(),
        });
        outbox.of.leave(Note::Opened { slot, outbox: outbox.clone() });
        outbox
    }

    /// Takes a message that concerns this connection alone, not wrapped yet. Said by its task, which looks
    /// [what to do next](Self::poll_next) afterwards; whoever else does it [wakes](Self::wake) the loop.
    pub(crate) fn reply(&self, message: Bytes, limits: &Limits) -> Pushed {
        // Under the lock until it is noted: after a close nothing is noted for this slot, which is somebody else's soon.
        let shared = self.lock();
        if shared.closed.is_some() {
            return Pushed::Closed;
        }
        // One message above the bound is let in, so that a large reply to a reader who keeps up is never refused.
        let bytes = self.reply_bytes.fetch_add(message.len(), Ordering::Relaxed);
        self.of.answers.add(message.len());
        let replies = self.replies.fetch_add(1, Ordering::Relaxed);
        let waiting = bytes.saturating_sub(shared.replies_in_writing);
        if waiting >= limits.outbox_bytes_max || replies >= limits.outbox_messages_max {
            drop(shared);
            self.close(Disconnect::SLOW);
            return Pushed::Closed;
        }
        self.leave(Note::Reply { slot: self.slot, message });
        Pushed::Queued
    }

    /// Leaves a note for its loop, which its task hears in its name when it looks what to do next.
    pub(crate) fn leave(&self, note: Note) {
        self.of.leave(note);
        self.has_left.store(true, Ordering::Release);
    }

    /// Has the loop look at it.
    pub(crate) fn wake(&self) {
        self.of.post(Note::Served { slot: self.slot });
    }

    /// Whether its task wants to know when replies have been written.
    pub(crate) fn watch_replies(&self, watched: bool) {
        // Here and where replies are counted: of two who each say something and then look at the other's, one sees it.
        self.is_watched.store(watched, Ordering::SeqCst);
    }

    /// Lets the session know what the server wants or did. What ended must be known; of what is wanted, more than may wait
    /// closes the connection.
    pub(crate) fn control(&self, control: Control) {
        let mut shared = self.lock();
        let is_order = matches!(control, Control::Subscribe(_) | Control::Refresh(_));
        if is_order && shared.controls.len() >= ORDERS_WAITING_MAX {
            drop(shared);
            return self.close(Disconnect::SLOW);
        }
        shared.controls.push(control);
        wake(shared);
    }

    /// Ends the connection; nothing that comes later is written. The first reason stands.
    pub(crate) fn close(&self, disconnect: Disconnect) {
        let mut shared = self.lock();
        if shared.closed.is_some() {
            return;
        }
        let is_cut = disconnect == Disconnect::SLOW || disconnect == Disconnect::WRITE_ERROR;
        shared.closed = Some(Box::new(disconnect));
        if is_cut {
            shared.batch = Vec::new();
        }
        self.of.post(Note::Closed { slot: self.slot, is_cut });
        wake(shared);
    }

    /// Its connection has left all channels.
    pub(crate) fn gone(&self) {
        self.of.post(Note::Gone { slot: self.slot });
    }

    /// Bytes of replies that wait for the transport.
    pub(crate) fn queued_bytes(&self) -> usize {
        let waiting = self.reply_bytes.load(Ordering::SeqCst);
        waiting.saturating_sub(self.lock().replies_in_writing)
    }

    /// Bytes of replies that are not written yet.
    pub(crate) fn unwritten_reply_bytes(&self) -> usize {
        self.reply_bytes.load(Ordering::SeqCst)
    }

    /// What the server wants or did meanwhile, and whether the connection has ended.
    pub(crate) fn take_controls(&self) -> (Vec<Control>, Option<Disconnect>) {
        let mut shared = self.lock();
        (std::mem::take(&mut shared.controls), shared.closed.as_deref().cloned())
    }

    /// Bytes that were written without the task since it asked last.
    pub(crate) fn take_written(&self) -> usize {
        let taken = self.writer.as_ref().map_or(0, |writer| writer.bytes_taken());
        taken.wrapping_sub(self.told.swap(taken, Ordering::Relaxed))
    }

    /// What the task is to do next. Whoever asks has done the last.
    pub(crate) fn poll_next(&self, cx: &Context<'_>) -> Poll<Next> {
        let mut shared = self.lock();
        if std::mem::take(&mut shared.owes_ready) {
            let written = std::mem::take(&mut shared.replies_in_writing);
            self.has_written(written);
            self.of.post(Note::Ready { slot: self.slot });
            if written > 0 && self.is_watched.load(Ordering::SeqCst) {
                cx.waker().wake_by_ref();
            }
        }
        let has_left = self.has_left.swap(false, Ordering::Acquire);
        if shared.batch.is_empty() && (has_left || self.writer.is_none()) {
            drop(shared);
            self.of.serve(self.slot);
            shared = self.lock();
        }
        if !shared.controls.is_empty() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if !shared.batch.is_empty() {
            shared.owes_ready = true;
            return Poll::Ready(Next::Send(std::mem::take(&mut shared.batch)));
        }
        if std::mem::take(&mut shared.is_blocked) {
            shared.owes_ready = true;
            return Poll::Ready(Next::Flush);
        }
        if let Some(disconnect) = shared.closed.as_ref().filter(|_| shared.is_drained) {
            return Poll::Ready(Next::Close((**disconnect).clone()));
        }
        remember(&mut shared, cx);
        Poll::Pending
    }

    /// Wakes the task at the next change, without taking anything.
    pub(crate) fn watch(&self, cx: &Context<'_>) -> Option<Disconnect> {
        let mut shared = self.lock();
        if !shared.controls.is_empty() {
            cx.waker().wake_by_ref();
        }
        remember(&mut shared, cx);
        shared.closed.as_deref().cloned()
    }

    // For its loop.

    /// Gives the task something to write, of which so many bytes are replies.
    pub(crate) fn hand_over(&self, frames: Vec<Bytes>, reply_bytes: usize) -> Taken {
        let bytes = frames.iter().map(Bytes::len).sum();
        let mut shared = self.lock();
        shared.batch = frames;
        shared.replies_in_writing += reply_bytes;
        wake(shared);
        Taken { bytes, is_blocked: true }
    }

    /// The loop has written so many replies of so many bytes. Where the socket `is_blocked` the last of them may have been
    /// cut: they are written when the task has flushed it.
    pub(crate) fn wrote(&self, replies: usize, bytes: usize, is_blocked: bool) {
        self.replies.fetch_sub(replies, Ordering::SeqCst);
        if self.writer.is_none() {
            return; // the task says when
        }
        if is_blocked {
            let mut shared = self.lock();
            shared.replies_in_writing += bytes;
            shared.is_blocked = true;
            return wake(shared);
        }
        self.has_written(bytes);
        if self.is_watched.load(Ordering::SeqCst) {
            wake(self.lock());
        }
    }

    /// Its socket is broken: what waits is never written.
    pub(crate) fn fail(&self) {
        let mut shared = self.lock();
        shared.closed.get_or_insert_with(|| Box::new(Disconnect::WRITE_ERROR));
        shared.batch = Vec::new();
        self.of.post(Note::Closed { slot: self.slot, is_cut: true });
        wake(shared);
    }

    fn has_written(&self, bytes: usize) {
        self.reply_bytes.fetch_sub(bytes, Ordering::SeqCst);
        self.of.answers.give_back(bytes);
    }

    /// There is nothing left to be written.
    pub(crate) fn drained(&self) {
        let mut shared = self.lock();
        shared.is_drained = true;
        wake(shared);
    }

    /// It did not keep up in this channel, and follows it no more.
    pub(crate) fn lags(&self, channel: ChannelName) {
        self.control(Control::Lags(channel));
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        lock(&self.shared)
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.of.answers.give_back(*self.reply_bytes.get_mut());
    }
}

fn remember(shared: &mut Shared, cx: &Context<'_>) {
    match &mut shared.waker {
        Some(waker) => waker.clone_from(cx.waker()),
        none => *none = Some(cx.waker().clone()),
    }
}

/// Wakes after unlocking, so that the woken task does not run into the lock.
fn wake(mut shared: MutexGuard<'_, Shared>) {
    let waker = shared.waker.take();
    drop(shared);
    if let Some(waker) = waker {
        waker.wake();
    }
}
