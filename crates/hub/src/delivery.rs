//! From a publication to the sockets: a few loops, each with the logs of its connections' channels and a cursor for each
//! of their subscriptions.
//!
//! ```text
//! Channel (in order) --one Note a loop--> Inbox --hear--> State: append to the log; then, a few connections at a time,
//!                                                                everything from each cursor to the head in one write
//! ```
//!
//! Whoever publishes puts one note into the inbox of each loop that has subscribers, and waits for none of them. What is
//! noted first holds first, so the order of notes is the order that clients see: a reply before its channel's first
//! publication, and nothing that was published after an unsubscribe or a close has returned.
//!
//! A connection either has a [`Writer`], to which its loop writes straight from the logs, or a task that takes batches and
//! writes them by itself (TLS, HTTP/2, compression).

mod followed;
mod log;
#[cfg(test)]
mod model;
mod private;
#[cfg(test)]
mod promises;
mod sweep;
#[cfg(all(test, feature = "shuttle"))]
mod threads;

use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

#[cfg(test)]
pub(crate) use self::followed::Cursor;
pub(crate) use self::log::{Base, Class};
#[cfg(test)]
pub(crate) use self::sweep::Connection as ConnectionState;
use self::sweep::State;
pub(crate) use self::sweep::{LogKey, Note};
use crate::Limits;
use crate::answers::Answers;
use crate::limits::CONNECTIONS_IN_A_ROW;
use crate::metrics::Metrics;
use crate::sharded::lock;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, TryLockError};

/// A transport to which frames are written from outside of its task, without waiting.
pub trait Writer: Send + Sync + std::fmt::Debug {
    /// Writes as much as there is room for. When the last frame is cut, the transport keeps its rest and writes it before
    /// anything else: `rest` gives, for so many bytes of the slices, the rest of the frame in which they end, which others
    /// may share.
    ///
    /// Returns how many bytes are the transport's now, with that rest, and whether it takes no more until its task has flushed it.
    ///
    /// # Errors
    /// The socket is broken.
    fn write(&self, slices: &[IoSlice<'_>], rest: &dyn Fn(usize) -> Bytes) -> io::Result<Taken>;

    /// Bytes that it has taken since it was opened.
    fn bytes_taken(&self) -> usize;
}

/// What a transport has taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Bytes, whole frames of them.
    pub bytes: usize,
    /// It takes no more for now.
    pub is_blocked: bool,
}

/// All loops of a hub.
pub(crate) struct Loops {
    all: Vec<Arc<Loop>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// One of them has panicked.
    failed: Arc<Notify>,
    answers: Arc<Answers>,
}

/// One loop.
pub(crate) struct Loop {
    inbox: Mutex<Inbox>,
    state: Mutex<State>,
    slots: Mutex<Slots>,
    connections: AtomicUsize,
    wake: Notify,
    metrics: Arc<Metrics>,
    /// What its connections and those of all others have been answered and have not read.
    pub(crate) answers: Arc<Answers>,
}

#[derive(Default)]
struct Inbox {
    notes: Vec<Note>,
    /// The loop has been woken for what is in it.
    is_woken: bool,
}

#[derive(Default)]
struct Slots {
    free: Vec<u32>,
    next: u32,
}

impl Loops {
    pub(crate) fn new(number: usize, limits: &Arc<Limits>, metrics: &Arc<Metrics>) -> Self {
        let number = number.max(1);
        let answers = Arc::new(Answers::new(limits.answers_bytes_max));
        let one = |_| {
            Arc::new(Loop {
                inbox: Mutex::default(),
                state: Mutex::new(State::new(limits.clone(), limits.delivery_bytes_max / number)),
                slots: Mutex::default(),
                connections: AtomicUsize::new(0),
                wake: Notify::new(),
                metrics: metrics.clone(),
                answers: answers.clone(),
            })
        };
        Self { all: (0..number).map(one).collect(), tasks: Mutex::default(), failed: Arc::default(), answers }
    }

    /// The loop with the fewest connections.
    pub(crate) fn assign(&self) -> (Arc<Loop>, u32) {
        self.run();
        let least = self.all.iter().min_by_key(|one| one.connections.load(Ordering::Relaxed)).unwrap_or(&self.all[0]);
        least.connections.fetch_add(1, Ordering::Relaxed);
        let mut slots = lock(&least.slots);
        let slot = slots.free.pop().unwrap_or_else(|| {
            slots.next += 1;
            slots.next - 1
        });
        (least.clone(), slot)
    }

    pub(crate) fn waiting_bytes(&self) -> usize {
        self.all.iter().map(|one| lock(&one.state).bytes()).sum()
    }

    /// The budget of what clients have asked for and not read.
    pub(crate) fn answers(&self) -> &Arc<Answers> {
        &self.answers
    }

    pub(crate) fn run_dry(&self) {
        self.all.iter().for_each(|one| while one.turn() {});
    }

    /// Begins with the first connection, on the runtime that has it.
    fn run(&self) {
        let mut tasks = lock(&self.tasks);
        if tasks.is_empty()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let run = |one: &Arc<Loop>| runtime.spawn(one.clone().run(Watch(self.failed.clone())));
            tasks.extend(self.all.iter().map(run));
        }
    }

    /// Returns when a loop has panicked: its connections get nothing any more.
    pub(crate) async fn failed(&self) {
        self.failed.notified().await;
    }
}

/// Says so when the loop that holds it panics.
struct Watch(Arc<Notify>);

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.notify_one();
        }
    }
}

impl Drop for Loops {
    fn drop(&mut self) {
        lock(&self.tasks).iter().for_each(JoinHandle::abort);
    }
}

impl Loop {
    /// Takes note of what the loop is to do.
    pub(crate) fn post(&self, note: Note) {
        let mut inbox = lock(&self.inbox);
        inbox.notes.push(note);
        let was_woken = std::mem::replace(&mut inbox.is_woken, true);
        drop(inbox);
        if !was_woken {
            self.wake.notify_one();
        }
    }

    /// Takes note of what can wait for the next who looks: the task that says so [serves](Self::serve) its connection.
    pub(crate) fn leave(&self, note: Note) {
        lock(&self.inbox).notes.push(note);
    }

    /// Serves one connection at once, or has the loop do it that is at work.
    pub(crate) fn serve(&self, slot: u32) {
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return self.post(Note::Served { slot }),
        };
        self.hear(&mut state);
        state.serve(slot);
        self.count(&mut state);
        if state.has_more() {
            self.wake.notify_one();
        }
    }

    async fn run(self: Arc<Self>, _watch: Watch) {
        loop {
            while self.turn() {
                // What else this thread has to do gets its turn, and new notes are heard.
                tokio::task::yield_now().await;
            }
            self.wake.notified().await;
        }
    }

    fn turn(&self) -> bool {
        let mut state = lock(&self.state);
        lock(&self.inbox).is_woken = false;
        self.hear(&mut state);
        let has_more = state.turn(CONNECTIONS_IN_A_ROW);
        self.count(&mut state);
        has_more
    }

    fn hear(&self, state: &mut State) {
        let notes = std::mem::take(&mut lock(&self.inbox).notes);
        for note in notes {
            if let Some(slot) = state.hear(note) {
                self.connections.fetch_sub(1, Ordering::Relaxed);
                lock(&self.slots).free.push(slot);
            }
        }
    }

    fn count(&self, state: &mut State) {
        let written = std::mem::take(&mut state.written);
        if written.messages > 0 {
            Metrics::add(&self.metrics.messages_out, written.messages);
        }
        if written.bytes > 0 {
            Metrics::add(&self.metrics.bytes_out, written.bytes);
        }
    }
}
