//! The pace at which readers take what is written to them: bytes buy time.
//!
//! Per connection it is the connection's task that looks ([`Patience`]); per stream of HTTP/2 it is the stream's own task,
//! which [`Streams`] wraps. hyper does not poll a body while the peer opens no window, so nobody else could end such a
//! stream alone and leave its siblings in peace.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use crate::limits::Limits;
use crate::stats::count;
use crate::watch::Watch;

/// How long a reader may still take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    written: u32,
    until: Instant,
}

impl Patience {
    /// A reader who begins to wait at `now`, when so many bytes had been written before.
    pub(crate) fn new(written: u32, now: Instant, limits: &Limits) -> Self {
        Self { written, until: now + limits.response_stall }
    }

    /// Lets the bytes written since the last look buy time.
    pub(crate) fn look(&mut self, written: u32, now: Instant, limits: &Limits) {
        let bytes = u64::from(written.wrapping_sub(self.written));
        if bytes > 0 {
            let bought = Duration::from_millis(bytes * 1000 / u64::from(limits.response_rate_min.max(1)));
            self.until = (self.until + bought).min(now + limits.response_stall);
            self.written = written;
        }
    }

    pub(crate) fn until(&self) -> Instant {
        self.until
    }
}

/// One stream of HTTP/2, from its answer's head to its last byte; shared by the answer's body, its pieces, and the task
/// that looks.
pub(crate) struct Pace {
    watch: Arc<Watch>,
    /// Pieces in hyper's hands.
    waiting: AtomicU32,
    /// Bytes that have left, wrapping.
    written: AtomicU32,
}

thread_local! {
    /// The pace of the stream whose task is being polled, once its answer has begun.
    static CURRENT: RefCell<Option<Arc<Pace>>> = const { RefCell::new(None) };
}

impl Pace {
    /// Begins the answer of the stream whose task is being polled.
    pub(crate) fn begin(watch: &Arc<Watch>) -> Arc<Self> {
        let pace = Arc::new(Self { watch: watch.clone(), waiting: AtomicU32::new(0), written: AtomicU32::new(0) });
        CURRENT.replace(Some(pace.clone()));
        pace
    }

    pub(crate) fn piece_handed_over(&self) {
        self.waiting.fetch_add(1, Relaxed);
    }

    pub(crate) fn piece_gone(&self) {
        self.waiting.fetch_sub(1, Relaxed);
    }

    pub(crate) fn wrote(&self, bytes: usize) {
        self.written.fetch_add(u32::try_from(bytes).unwrap_or(u32::MAX), Relaxed);
    }
}

/// Where hyper puts the tasks of HTTP/2 streams: each in a task that gives it up when its reader takes too little.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Streams;

impl<F: Future<Output: Send> + Send + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, stream: F) {
        tokio::spawn(Paced { stream, pace: None, watching: None });
    }
}

pin_project! {
    struct Paced<F> {
        #[pin]
        stream: F,
        pace: Option<Arc<Pace>>,
        // Only while a piece waits for its reader.
        watching: Option<Watching>,
    }
}

struct Watching {
    patience: Patience,
    alarm: Pin<Box<Sleep>>,
}

impl<F: Future> Future for Paced<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let outer = CURRENT.replace(this.pace.take());
        let polled = this.stream.poll(cx);
        *this.pace = CURRENT.replace(outer);
        if polled.is_ready() {
            return Poll::Ready(());
        }
        let Some(pace) = this.pace else { return Poll::Pending };
        if pace.waiting.load(Relaxed) == 0 {
            *this.watching = None;
            return Poll::Pending;
        }
        let (written, now, limits) = (pace.written.load(Relaxed), Instant::now(), &pace.watch.shared.limits);
        let watching = this.watching.get_or_insert_with(|| {
            let patience = Patience::new(written, now, limits);
            Watching { patience, alarm: Box::pin(tokio::time::sleep_until(patience.until())) }
        });
        watching.patience.look(written, now, limits);
        loop {
            if watching.alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            // The alarm may have been set before bytes left that bought time.
            if watching.patience.until() > watching.alarm.deadline() {
                watching.alarm.as_mut().reset(watching.patience.until());
                continue;
            }
            count(&pace.watch.shared.counters.response_stalls);
            tracing::debug!(peer = %pace.watch.peer, "a stream's reader takes too little; the stream is reset");
            // Dropped with this task, unfinished: that resets it.
            return Poll::Ready(());
        }
    }
}
