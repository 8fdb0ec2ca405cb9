//! The queue between the hub and one connection: the hub pushes, the connection's task takes everything at once.
//!
//! Bounded in bytes and messages. A reader who cannot keep up is closed with 3008 and resumes from its position; our
//! memory never grows for them. Once idle it holds no buffer.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tidings_protocol::Disconnect;

use crate::{Channel, Limits};

/// Messages for which a queue keeps room, 32 bytes each, while it is in use.
const BUFFER_KEPT_MAX: usize = 32;

#[derive(Default)]
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    frames: Vec<Bytes>,
    bytes: usize,
    controls: Vec<Control>,
    closed: Option<Disconnect>,
    waker: Option<Waker>,
}

/// What the hub did to a connection, for its session to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// The server ended this subscription; the client has been told.
    Unsubscribed(Channel),
    /// The server wants this subscription.
    Subscribe(Channel),
}

/// What happened to a pushed frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    Queued,
    /// The connection is closed already.
    Closed,
    /// The reader did not keep up and is closed by this very push.
    Overflowed,
}

impl Outbox {
    pub(crate) fn push(&self, frame: Bytes, limits: &Limits) -> Pushed {
        let mut queue = self.lock();
        if queue.closed.is_some() {
            return Pushed::Closed;
        }
        // One message above the bound is let in, so that a large reply to a reader who keeps up is never refused.
        let pushed = if queue.bytes >= limits.outbox_bytes_max || queue.frames.len() >= limits.outbox_messages_max {
            queue.closed = Some(Disconnect::SLOW);
            queue.frames = Vec::new();
            queue.bytes = 0;
            Pushed::Overflowed
        } else {
            queue.bytes += frame.len();
            queue.frames.push(frame);
            Pushed::Queued
        };
        wake(queue);
        pushed
    }

    pub(crate) fn control(&self, control: Control) {
        let mut queue = self.lock();
        queue.controls.push(control);
        wake(queue);
    }

    /// Ends the connection; nothing is queued any more. The first reason stands.
    pub(crate) fn close(&self, disconnect: Disconnect) {
        let mut queue = self.lock();
        queue.closed.get_or_insert(disconnect);
        wake(queue);
    }

    pub(crate) fn queued_bytes(&self) -> usize {
        self.lock().bytes
    }

    /// What the hub did meanwhile, and whether the connection has ended.
    pub(crate) fn news(&self) -> (Vec<Control>, Option<Disconnect>) {
        let mut queue = self.lock();
        (mem::take(&mut queue.controls), queue.closed.clone())
    }

    /// Everything that is queued, or the reason of the end once nothing is.
    pub(crate) fn poll_take(&self, cx: &Context<'_>) -> Poll<Result<Vec<Bytes>, Disconnect>> {
        let mut queue = self.lock();
        if !queue.controls.is_empty() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if !queue.frames.is_empty() {
            queue.bytes = 0;
            return Poll::Ready(Ok(queue.take_frames()));
        }
        if let Some(disconnect) = &queue.closed {
            return Poll::Ready(Err(disconnect.clone()));
        }
        remember(&mut queue, cx);
        Poll::Pending
    }

    /// Wakes the task at the next change, without taking anything.
    pub(crate) fn watch(&self, cx: &Context<'_>) -> Option<Disconnect> {
        let mut queue = self.lock();
        if !queue.controls.is_empty() {
            cx.waker().wake_by_ref();
        }
        remember(&mut queue, cx);
        queue.closed.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// A busy queue keeps its buffer: the publisher allocates it and the connection's task would free it, on two cores
    /// at once. A queue with one message, such as the next ping, gives it back.
    fn take_frames(&mut self) -> Vec<Bytes> {
        if self.frames.len() == 1 || self.frames.capacity() > BUFFER_KEPT_MAX {
            return mem::take(&mut self.frames);
        }
        self.frames.drain(..).collect()
    }
}

fn remember(queue: &mut Queue, cx: &Context<'_>) {
    match &mut queue.waker {
        Some(waker) => waker.clone_from(cx.waker()),
        none => *none = Some(cx.waker().clone()),
    }
}

/// Wakes outside the lock, or the woken task would run into it.
fn wake(mut queue: MutexGuard<'_, Queue>) {
    let waker = queue.waker.take();
    drop(queue);
    if let Some(waker) = waker {
        waker.wake();
    }
}
