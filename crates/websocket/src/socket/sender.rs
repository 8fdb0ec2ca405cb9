//! Sending from any task: a byte-bounded queue whose other end the socket's owner empties while it receives.

use crate::{Outgoing, limits::CONTROL_BYTES_MAX};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Waker},
};
use tokio::sync::Notify;

/// Sends through a socket that another task owns. Cheap to clone.
///
/// ```
/// use tidings_websocket::{Limits, pair};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let (mut client, mut server) = pair(Limits::server());
/// let sender = server.sender(64 * 1024);
/// tokio::spawn(async move { while let Some(Ok(_)) = server.receive().await {} });
///
/// sender.send("from another task").await?;
/// assert_eq!(client.receive().await.unwrap()?.as_text(), Some("from another task"));
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The socket lives on without its senders, and they notice its end: sending fails then.
#[derive(Clone, Debug)]
pub struct Sender {
    shared: Arc<Shared>,
}

impl Sender {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Sender { shared }
    }

    /// Queues something, or says at once that it cannot.
    ///
    /// # Errors
    /// [`TrySendError::Full`] when too many bytes wait already: the peer, or the socket's owner, does not keep up.
    /// [`TrySendError::ControlTooLong`], [`TrySendError::Closed`].
    pub fn try_send(&self, outgoing: impl Into<Outgoing>) -> Result<(), TrySendError> {
        self.shared.push(outgoing.into())
    }

    /// Queues something, waiting for room.
    ///
    /// # Errors
    /// [`TrySendError::Closed`] when the socket is done, [`TrySendError::ControlTooLong`].
    pub async fn send(&self, outgoing: impl Into<Outgoing>) -> Result<(), TrySendError> {
        let mut outgoing = outgoing.into();
        loop {
            let room = self.shared.room.notified();
            match self.shared.push(outgoing) {
                Err(TrySendError::Full(back)) => outgoing = *back,
                result => return result,
            }
            room.await;
        }
    }

    /// Whether the socket is done.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.lock().closed
    }

    /// Bytes that wait for the socket's owner, with what it takes to hold them.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.shared.lock().bytes
    }
}

/// Why nothing was queued.
#[derive(Debug, thiserror::Error)]
pub enum TrySendError {
    /// Too many bytes wait already. The message comes back.
    #[error("too much waits to be sent")]
    Full(Box<Outgoing>),
    /// A ping or pong may carry 125 bytes.
    #[error("a control frame may carry 125 bytes")]
    ControlTooLong,
    /// The socket is done.
    #[error("the connection is closed")]
    Closed,
}

#[derive(Debug)]
pub(super) struct Shared {
    bytes_max: usize,
    queue: Mutex<Queue>,
    room: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    outgoing: VecDeque<Outgoing>,
    bytes: usize,
    closed: bool,
    owner: Option<Waker>,
}

impl Shared {
    pub(super) fn new(bytes_max: usize) -> Self {
        Shared { bytes_max, queue: Mutex::default(), room: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, outgoing: Outgoing) -> Result<(), TrySendError> {
        if let Outgoing::Ping(payload) | Outgoing::Pong(payload) = &outgoing
            && payload.len() > CONTROL_BYTES_MAX
        {
            return Err(TrySendError::ControlTooLong);
        }
        let mut queue = self.lock();
        if queue.closed {
            return Err(TrySendError::Closed);
        }
        // One is always taken, however long.
        if !queue.outgoing.is_empty() && queue.bytes + held_bytes(&outgoing) > self.bytes_max {
            return Err(TrySendError::Full(Box::new(outgoing)));
        }
        queue.bytes += held_bytes(&outgoing);
        queue.outgoing.push_back(outgoing);
        let owner = queue.owner.take();
        drop(queue);
        if let Some(owner) = owner {
            owner.wake();
        }
        Ok(())
    }

    /// The next one, or `None` and a wake-up when there is one.
    pub(super) fn take(&self, cx: &Context<'_>) -> Option<Outgoing> {
        let mut queue = self.lock();
        if let Some(outgoing) = queue.outgoing.pop_front() {
            queue.bytes -= held_bytes(&outgoing);
            drop(queue);
            self.room.notify_waiters();
            return Some(outgoing);
        }
        queue.outgoing = VecDeque::new();
        match &mut queue.owner {
            Some(owner) => owner.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        None
    }

    pub(super) fn close(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        queue.outgoing = VecDeque::new();
        queue.bytes = 0;
        drop(queue);
        self.room.notify_waiters();
    }
}

/// What something takes in the queue: its payload, and the entry, so that a flood of empty messages is bounded, too.
fn held_bytes(outgoing: &Outgoing) -> usize {
    outgoing.len() + size_of::<Outgoing>()
}

/// Senders of a socket that is gone must not wait for it.
impl<S> Drop for super::Inner<S> {
    fn drop(&mut self) {
        self.close_senders();
    }
}
