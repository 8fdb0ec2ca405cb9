//! One connection, from the handshake to the last byte, in one task.
//!
//! hyper speaks HTTP; this task polls it, and beside that only compares a few numbers: its alarm is set once and rung
//! rarely, and a change of the server's phase wakes it from outside.

use std::future::{Future as _, poll_fn};
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::Poll;

use http::StatusCode;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::app::App;
use crate::body::ResponseData;
use crate::budget::{OverBudget, Permit};
use crate::limits::{GOAWAY_TIME, SETTLING_TIME};
use crate::pace::Patience;
use crate::peer::Peer;
use crate::phase::Phase;
use crate::service::Guarded;
use crate::shared::Shared;
use crate::stats::count;
use crate::stream::{Accepted, BoxIo, Stream};
use crate::tls::Acceptor;
use crate::wakers::Place;
use crate::watch::{Due, Watch};

/// Puts an accepted connection into a task of its own.
pub(crate) fn spawn<S, B>(accepted: Accepted, tls: Option<Acceptor>, app: S, shared: &Arc<Shared>, permit: Permit)
where
    S: App<B>,
    B: ResponseData,
{
    let Accepted { stream, peer, local } = accepted;
    shared.counters.connections.fetch_add(1, Relaxed);
    let seat = Seat::new(shared, permit);
    let is_tls = tls.is_some();
    let watched = move |shared: &Arc<Shared>| Watch::new(shared.clone(), peer, local, is_tls);
    // Three tasks, so that the most common one is no larger than it needs to be.
    match (stream, tls) {
        (Stream::Tcp(stream), None) => {
            shared.tasks.spawn(drive(TokioIo::new(stream), app, watched(shared), seat));
        }
        (Stream::Boxed(stream), None) => {
            shared.tasks.spawn(drive(TokioIo::new(stream), app, watched(shared), seat));
        }
        (stream, Some(acceptor)) => {
            let stream = stream.boxed();
            shared.tasks.spawn(async move {
                if let Some(stream) = handshake(stream, &acceptor, peer, &seat.shared).await {
                    let watch = watched(&seat.shared);
                    drive(TokioIo::new(stream), app, watch, seat).await;
                }
            });
        }
    }
}

async fn handshake(stream: BoxIo, acceptor: &Acceptor, peer: Peer, shared: &Shared) -> Option<BoxIo> {
    let mut phase = shared.phase.subscribe();
    let shaken = tokio::select! {
        _ = phase.wait_for(|phase| *phase >= Phase::Draining) => return None,
        shaken = tokio::time::timeout(shared.limits.tls_handshake_time, acceptor.tls.accept(stream)) => shaken,
    };
    match shaken {
        Ok(Ok(stream)) => return Some(Box::new(stream)),
        Ok(Err(error)) => tracing::debug!(%peer, %error, "a TLS handshake failed"),
        Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
    }
    count(&shared.counters.tls_failures);
    None
}

/// A connection's place in the budget and in the counts, kept for as long as its socket is open: by its task, and by what
/// it becomes.
pub(crate) struct Seat {
    shared: Arc<Shared>,
    #[expect(dead_code, reason = "held, not read: dropping it gives the place back")]
    permit: Permit,
    /// It has become a socket, for which a shutdown waits.
    socket: OnceLock<TaskTrackerToken>,
}

impl Seat {
    fn new(shared: &Arc<Shared>, permit: Permit) -> Arc<Self> {
        Arc::new(Self { shared: shared.clone(), permit, socket: OnceLock::new() })
    }

    /// The connection's task has ended, and somebody else has its seat.
    fn is_passed_on(&self) {
        let token = || {
            self.shared.counters.sockets.fetch_add(1, Relaxed);
            self.shared.sockets.token()
        };
        self.socket.get_or_init(token);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.counters.connections.fetch_sub(1, Relaxed);
        if self.socket.get().is_some() {
            self.shared.counters.sockets.fetch_sub(1, Relaxed);
        }
    }
}

/// A seat for a socket that shares its connection with others, so that two hundred sockets through one connection are two
/// hundred; or the answer for the client when there is none.
pub(crate) fn seat_for_socket(watch: &Watch) -> Result<Arc<Seat>, StatusCode> {
    let shared = &watch.shared;
    match shared.budget.admit(watch.peer, shared.now()) {
        Ok(permit) => {
            shared.counters.connections.fetch_add(1, Relaxed);
            Ok(Seat::new(shared, permit))
        }
        Err(over) => {
            count(refused(over, shared));
            Err(StatusCode::SERVICE_UNAVAILABLE)
        }
    }
}

/// Keeps the seat of such a socket until its task ends; `tracker` is the socket's own.
pub(crate) fn keep_for_socket(tracker: TaskTracker, seat: Arc<Seat>, watch: &Watch) {
    // Its connection is not idle meanwhile.
    let token = watch.sockets.token();
    watch.shared.tasks.spawn(async move {
        outlive(tracker, seat).await;
        drop(token);
    });
}

/// The counter of those for whom there is no place.
pub(crate) fn refused(over: OverBudget, shared: &Shared) -> &AtomicU64 {
    match over {
        OverBudget::Full => &shared.counters.refused_full,
        OverBudget::Address => &shared.counters.refused_address,
    }
}

/// A task's place among those to wake; left when dropped.
struct Listed<'a> {
    shared: &'a Shared,
    place: Option<Place>,
    /// Who else knows the place.
    watch: Option<&'a Watch>,
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        if let Some(watch) = self.watch {
            watch.set_listed(None);
        }
        if let Some(place) = self.place {
            self.shared.wakers.remove(place);
        }
    }
}

async fn drive<I, S, B>(io: I, app: S, watch: Arc<Watch>, seat: Arc<Seat>)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    S: App<B>,
    B: ResponseData,
{
    run(io, app, &watch, &seat).await;
    if !watch.sockets.is_empty() {
        watch.shared.tasks.spawn(outlive(watch.sockets.clone(), seat));
    } else if Arc::strong_count(&seat) > 1 {
        seat.is_passed_on();
    }
}

/// Serves requests until the connection ends, becomes a socket, or has made us wait too long.
async fn run<I, S, B>(io: I, app: S, watch: &Arc<Watch>, seat: &Arc<Seat>)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    S: App<B>,
    B: ResponseData,
{
    let shared = &*watch.shared;
    let service = Guarded { app, watch: watch.clone(), seat: seat.clone(), body: PhantomData };
    let mut http = pin!(shared.http.serve_connection_with_upgrades(io, service));
    let mut alarm = pin!(tokio::time::sleep(shared.limits.head_time));
    let mut listed = Listed { shared, place: None, watch: Some(watch) };
    let mut phase = Phase::Running;
    let mut head = NextHead::default();
    let mut moved = Moved { steps: watch.steps(), at: Instant::now(), reading: None };
    let mut leaving = false;
    poll_fn(|cx| {
        let mut by_us = false;
        if listed.place.is_none() {
            by_us = true;
            let place = shared.wakers.add(cx.waker().clone());
            listed.place = Some(place);
            watch.set_listed(Some(place));
            // Registers this task's waker, which stays the same; from here on looking at the clock costs one load.
            let _ = alarm.as_mut().poll(cx);
        }
        if watch.is_cut() {
            return Poll::Ready(());
        }
        let is_http2 = watch.http2.load(Relaxed);
        let now = shared.wakers.phase();
        if now > phase {
            by_us = true;
            phase = now;
            match phase {
                Phase::Aborted => return Poll::Ready(()),
                Phase::Draining => http.as_mut().graceful_shutdown(),
                // HTTP/1.1 is told with its next response.
                Phase::Announced if is_http2 => http.as_mut().graceful_shutdown(),
                Phase::Announced | Phase::Running => {}
            }
        }
        let rung = alarm.is_elapsed();
        if let Poll::Ready(ended) = http.as_mut().poll(cx) {
            if let Err(error) = ended {
                tracing::debug!(peer = %watch.peer, error, "a connection ended early");
            }
            return Poll::Ready(());
        }
        moved.look(watch);
        let began = head.polled(watch, by_us || rung || is_http2);
        if !rung && !began {
            return Poll::Pending;
        }
        loop {
            let now = Instant::now();
            let reading = moved.reading.map(|patience| patience.until());
            let due = if leaving { Due::Idle } else { watch.due(now, moved.at, reading, head.began, &shared.limits) };
            let next = match due {
                Due::Later(at) => at,
                Due::Idle if is_http2 && !leaving => {
                    // HTTP/2 wants a goodbye, and time to hear it.
                    leaving = true;
                    given_up(due, watch, shared);
                    http.as_mut().graceful_shutdown();
                    if http.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(());
                    }
                    now + GOAWAY_TIME
                }
                Due::Idle if leaving => return Poll::Ready(()),
                Due::Idle | Due::Head | Due::Response => {
                    given_up(due, watch, shared);
                    return Poll::Ready(());
                }
            };
            alarm.as_mut().reset(next);
            if alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await;
}

fn given_up(due: Due, watch: &Watch, shared: &Shared) {
    tracing::debug!(peer = %watch.peer, ?due, "a connection made us wait too long");
    match due {
        Due::Head => count(&shared.counters.head_timeouts),
        Due::Idle => count(&shared.counters.idle_timeouts),
        Due::Response => count(&shared.counters.response_stalls),
        Due::Later(_) => {}
    }
}

/// When the connection last moved on, as far as its task has seen.
struct Moved {
    steps: u32,
    at: Instant,
    /// While responses wait for their reader: until when.
    reading: Option<Patience>,
}

impl Moved {
    /// Whatever moves a connection on wakes its task or happens within it, so looking at every poll misses nothing.
    fn look(&mut self, watch: &Watch) {
        let steps = watch.steps();
        if steps == self.steps {
            return;
        }
        let now = Instant::now();
        (self.steps, self.at) = (steps, now);
        let (written, limits) = (watch.written(), &watch.shared.limits);
        self.reading = watch.is_writing().then(|| {
            let mut patience = self.reading.unwrap_or_else(|| Patience::new(written, now, limits));
            patience.look(written, now, limits);
            patience
        });
    }
}

/// Notices when the head of a kept-alive HTTP/1.1 connection's next request begins to arrive.
///
/// hyper does not say. But the task of an idle connection, with nothing left to write, is woken by us and by arriving
/// bytes alone, once what had to do with the request before has woken it for the last time ([`SETTLING_TIME`]); so if it is
/// polled, not by us, and is idle before and after, the bytes were the beginning of a head. A head whose first bytes come
/// sooner has its time from the next ones, and until then the time of an idle connection.
#[derive(Default)]
struct NextHead {
    /// The count of requests at the first poll that left the connection idle, and when that was.
    idle: Option<(u32, Instant)>,
    began: Option<Instant>,
}

impl NextHead {
    /// True when a head has just begun, so that the alarm must be set anew.
    fn polled(&mut self, watch: &Watch, for_other_reasons: bool) -> bool {
        if !watch.is_idle() {
            *self = Self::default();
            return false;
        }
        let (requests, now) = (watch.requests(), Instant::now());
        let Some((_, since)) = self.idle.filter(|(after, _)| *after == requests) else {
            *self = Self { idle: Some((requests, now)), began: None };
            return false;
        };
        let settles = now.saturating_duration_since(since) < SETTLING_TIME;
        if for_other_reasons || settles || self.began.is_some() || requests == 0 {
            return false;
        }
        self.began = Some(now);
        true
    }
}

/// Keeps the seat of a connection that has become a socket and was not given it, until the socket's task ends or is past
/// its time.
async fn outlive(sockets: TaskTracker, seat: Arc<Seat>) {
    let shared = &*seat.shared;
    seat.is_passed_on();
    sockets.close();
    let mut ended = pin!(sockets.wait());
    let mut listed = Listed { shared, place: None, watch: None };
    poll_fn(|cx| {
        if listed.place.is_none() {
            listed.place = Some(shared.wakers.add(cx.waker().clone()));
        }
        if shared.wakers.phase() == Phase::Aborted { Poll::Ready(()) } else { ended.as_mut().poll(cx) }
    })
    .await;
}
