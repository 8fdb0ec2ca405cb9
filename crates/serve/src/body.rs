//! The bodies of requests and responses, under watch.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::caller::LiveResponse;
use crate::limits::{DRAIN_SILENCE, DRAIN_TIME, STREAM_PIECE_BYTES_MAX};
use crate::pace::Pace;
use crate::panics;
use crate::phase::Phase;
use crate::request_id::RequestId;
use crate::stats::count;
use crate::underway::{NoRoom, Room};
use crate::watch::Watch;

/// Any error, as tower and hyper pass them on.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A response body that can be served: one of [`Bytes`](bytes::Bytes). Implemented for all of them.
pub trait ResponseData: http_body::Body<Data = bytes::Bytes, Error: Into<BoxError>> + Send + 'static {}

impl<B> ResponseData for B where B: http_body::Body<Data = bytes::Bytes, Error: Into<BoxError>> + Send + 'static {}

/// A request's body: hyper's, within the limits on its size and its pace.
///
/// Reading fails with [`http_body_util::LengthLimitError`] when it is too long, with [`BodyStalled`] when it came too
/// slowly, and otherwise with hyper's own error.
pub struct RequestBody {
    /// None once it has been left to [`drain`].
    incoming: Option<Incoming>,
    left: u64,
    /// How much longer the reader may wait in all; what arrives buys time.
    patience: Duration,
    waiting: Option<Waiting>,
    end: BodyEnd,
    /// The client waits for a word before it sends the body, and reading it is that word.
    held_back: bool,
    watch: Arc<Watch>,
}

struct Waiting {
    since: Instant,
    alarm: Pin<Box<Sleep>>,
}

/// The client sent its request's body too slowly, or stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request's body came too slowly")]
pub struct BodyStalled;

/// Whether a request's body has been read to its end; `None` when there was none.
#[derive(Clone)]
pub(crate) struct BodyEnd(Option<Arc<AtomicBool>>);

impl BodyEnd {
    pub(crate) fn of(incoming: &Incoming) -> Self {
        Self((!incoming.is_end_stream()).then(Arc::default))
    }

    pub(crate) fn is_reached(&self) -> bool {
        self.0.as_ref().is_none_or(|reached| reached.load(Relaxed))
    }

    fn reach(&self) {
        if let Some(reached) = &self.0 {
            reached.store(true, Relaxed);
        }
    }
}

impl RequestBody {
    pub(crate) fn new(incoming: Incoming, held_back: bool, watch: Arc<Watch>) -> (Self, BodyEnd) {
        let end = BodyEnd::of(&incoming);
        let limits = &watch.shared.limits;
        let body = Self {
            left: limits.request_body_bytes_max.unwrap_or(u64::MAX),
            incoming: Some(incoming),
            patience: limits.request_body_stall,
            waiting: None,
            end: end.clone(),
            held_back,
            watch,
        };
        (body, end)
    }

    fn stop_waiting(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            self.patience = self.patience.saturating_sub(waiting.since.elapsed());
        }
    }

    fn arrived(&mut self, bytes: usize) -> Result<(), BoxError> {
        let bytes = bytes as u64;
        self.left = self.left.checked_sub(bytes).ok_or_else(too_long)?;
        let limits = &self.watch.shared.limits;
        let bought = bytes.saturating_mul(1000) / u64::from(limits.request_body_rate_min.max(1));
        self.patience = (self.patience + Duration::from_millis(bought)).min(limits.request_body_stall);
        Ok(())
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        this.held_back = false;
        let Some(incoming) = &mut this.incoming else { return Poll::Ready(None) };
        let Poll::Ready(frame) = Pin::new(incoming).poll_frame(cx) else {
            let patience = this.patience;
            let waiting = this.waiting.get_or_insert_with(|| Waiting {
                since: Instant::now(),
                alarm: Box::pin(tokio::time::sleep(patience)),
            });
            ready!(waiting.alarm.as_mut().poll(cx));
            count(&this.watch.shared.counters.body_stalls);
            return Poll::Ready(Some(Err(BodyStalled.into())));
        };
        this.stop_waiting();
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    this.arrived(data.len())?;
                }
                if this.is_end_stream() {
                    this.end.reach();
                }
                Some(Ok(frame))
            }
            Some(Err(error)) => Some(Err(error.into())),
            None => {
                this.end.reach();
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(incoming) = self.incoming.take()
            && !self.end.is_reached()
            && !self.held_back
        {
            drain(incoming, &self.watch);
        }
    }
}

/// Reads what is left of a body that nobody wants, for a while.
///
/// Closing an HTTP/1.1 connection with unread bytes resets it, and a client that sends its whole request before it
/// looks at the answer would never see the answer. HTTP/2 resets the stream alone.
pub(crate) fn drain(mut incoming: Incoming, watch: &Arc<Watch>) {
    if watch.http2.load(Relaxed) || incoming.is_end_stream() || watch.shared.wakers.phase() >= Phase::Draining {
        return;
    }
    let watch = watch.clone();
    let runtime = watch.shared.runtime.clone();
    runtime.spawn(tokio::time::timeout(DRAIN_TIME, async move {
        while let Ok(Some(Ok(_))) = tokio::time::timeout(DRAIN_SILENCE, incoming.frame()).await {
            if watch.shared.wakers.phase() >= Phase::Draining {
                return;
            }
        }
    }));
}

/// The error that others know to answer with 413. It has no constructor, so its maker makes one.
fn too_long() -> BoxError {
    let mut limited = Limited::new(Full::new(Bytes::from_static(b"x")), 0);
    match Pin::new(&mut limited).poll_frame(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Some(Err(error))) => error,
        _ => unreachable!("one byte is more than none"),
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").field("size", &self.size_hint()).finish_non_exhaustive()
    }
}

/// One request in flight; ends with its response's last byte, or when it is given up.
pub(crate) struct Ticket {
    pub(crate) id: RequestId,
    pub(crate) watch: Arc<Watch>,
}

impl Ticket {
    pub(crate) fn new(watch: Arc<Watch>) -> Self {
        watch.request_begins();
        let shared = &watch.shared;
        shared.counters.requests_in_flight.fetch_add(1, Relaxed);
        let number = shared.counters.requests_total.fetch_add(1, Relaxed);
        Self { id: RequestId { boot: shared.boot, number }, watch }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.watch.request_ends();
        self.watch.shared.counters.requests_in_flight.fetch_sub(1, Relaxed);
    }
}

/// A piece of a response that hyper holds until it is written. Every byte that leaves is a note to the connection's
/// watch, and to the stream's pace.
pub(crate) struct Chunk {
    bytes: Bytes,
    to: Arc<Watch>,
    pace: Option<Arc<Pace>>,
    /// Of a piece that was not announced by its response's size.
    #[expect(dead_code, reason = "held, not read: dropping it gives the room back")]
    room: Option<Room>,
}

impl Chunk {
    fn hand_over(bytes: Bytes, to: &Arc<Watch>, pace: Option<&Arc<Pace>>, room: Option<Room>) -> Self {
        to.chunk_handed_over();
        if let Some(pace) = pace {
            pace.piece_handed_over();
        }
        Self { bytes, to: to.clone(), pace: pace.cloned(), room }
    }
}

impl Buf for Chunk {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.to.wrote(count);
        if let Some(pace) = &self.pace {
            pace.wrote(count);
        }
        self.bytes.advance(count);
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if let Some(pace) = &self.pace {
            pace.piece_gone();
        }
        self.to.chunk_gone();
    }
}

pin_project! {
    /// A response's body: the handler's, its progress watched, its panics caught, its event streams ended.
    pub(crate) struct ResponseBody<B> {
        // None after its end or its panic.
        #[pin]
        body: Option<B>,
        // Our own answer.
        text: Option<Bytes>,
        // What the body gave and a stream of HTTP/2 has not been handed yet.
        rest: Bytes,
        ticket: Ticket,
        // Whether a piece of `rest` has been handed over already.
        in_pieces: bool,
        // On HTTP/2.
        pace: Option<Arc<Pace>>,
        // For what the body announced, or for `rest`.
        room: Option<Room>,
        // Bytes that the body announced and has not given.
        announced: usize,
        failure: Option<BoxError>,
        closing: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
        // Its writer bounds what waits in it.
        live: Option<LiveResponse>,
    }
}

/// When a handler's body ends.
pub(crate) enum End {
    /// When it says so.
    Own,
    /// At a shutdown, between two chunks: it may never say so.
    WithServer,
    /// When whoever writes it says so, at a shutdown too.
    Live(LiveResponse),
}

/// A response's body panicked; the response is cut so that the client can tell.
#[derive(Debug, thiserror::Error)]
#[error("the response's body panicked")]
struct BodyPanicked;

impl<B> ResponseBody<B> {
    pub(crate) fn of_server(text: Bytes, ticket: Ticket) -> Self {
        Self {
            body: None,
            text: Some(text),
            rest: Bytes::new(),
            in_pieces: false,
            ticket,
            pace: None,
            room: None,
            announced: 0,
            failure: None,
            closing: None,
            live: None,
        }
    }
}

impl<B: Body> ResponseBody<B> {
    /// The ticket comes back when there is no room for the answer.
    pub(crate) fn of_handler(body: B, end: End, ticket: Ticket) -> Result<Self, Ticket> {
        let watch = &ticket.watch;
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX / 2);
        let room = match Room::is_needed(announced).then(|| watch.shared.under_way.room(watch, announced)) {
            None => None,
            Some(Ok(room)) => Some(room),
            Some(Err(NoRoom)) => return Err(ticket),
        };
        let (closing, live) = match end {
            End::Own => (None, None),
            End::WithServer => (Some(Box::pin(watch.closing.clone().cancelled_owned())), None),
            End::Live(live) => (None, Some(live)),
        };
        let pace = watch.http2.load(Relaxed).then(|| Pace::begin(watch));
        Ok(Self {
            body: Some(body),
            text: None,
            rest: Bytes::new(),
            in_pieces: false,
            ticket,
            pace,
            room,
            announced,
            failure: None,
            closing,
            live,
        })
    }
}

/// Cuts the next piece off what is to be handed to a stream of HTTP/2; with the `last` one goes the room. What is left in
/// the connection's buffer must not keep the whole, so the end of what was cut is copied.
fn next_piece(
    rest: &mut Bytes,
    in_pieces: &mut bool,
    last: bool,
    room: &mut Option<Room>,
    watch: &Arc<Watch>,
    pace: Option<&Arc<Pace>>,
) -> Chunk {
    if rest.len() > STREAM_PIECE_BYTES_MAX {
        *in_pieces = true;
        return Chunk::hand_over(rest.split_to(STREAM_PIECE_BYTES_MAX), watch, pace, None);
    }
    let mut piece = std::mem::take(rest);
    if std::mem::take(in_pieces) {
        piece = Bytes::copy_from_slice(&piece);
        if last {
            *room = Some(Room::unannounced(watch, piece.len()));
        }
    }
    Chunk::hand_over(piece, watch, pace, if last { room.take() } else { None })
}

/// Fails at the next poll: on an error hyper drops what it has not written yet, and while it waits it writes. So the
/// client gets all that there was before the failure.
fn after_flush<T>(failure: &mut Option<BoxError>, error: BoxError, cx: &Context<'_>) -> Poll<T> {
    *failure = Some(error);
    cx.waker().wake_by_ref();
    Poll::Pending
}

impl<B: ResponseData> Body for ResponseBody<B> {
    type Data = Chunk;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Chunk>, BoxError>>> {
        let mut this = self.project();
        let watch = &this.ticket.watch;
        if let Some(text) = this.text.take() {
            return Poll::Ready(Some(Ok(Frame::data(Chunk::hand_over(text, watch, None, None)))));
        }
        if !this.rest.is_empty() {
            let last = *this.announced == 0;
            let chunk = next_piece(this.rest, this.in_pieces, last, this.room, watch, this.pace.as_ref());
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        if let Some(failure) = this.failure.take() {
            return Poll::Ready(Some(Err(failure)));
        }
        if let Some(closing) = this.closing
            && closing.as_mut().poll(cx).is_ready()
        {
            // An event stream ends between two chunks; its client comes back by itself.
            this.body.set(None);
        }
        let Some(body) = this.body.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        match panics::catch(|| body.poll_frame(cx)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(None)) => Poll::Ready(None),
            Ok(Poll::Ready(Some(Ok(frame)))) => Poll::Ready(Some(Ok(frame.map_data(|bytes| {
                let is_counted = this.live.is_none() && Room::is_needed(bytes.len());
                if this.room.is_none() && *this.announced == 0 && is_counted {
                    *this.room = Some(Room::unannounced(watch, bytes.len()));
                }
                *this.announced = this.announced.saturating_sub(bytes.len());
                let last = *this.announced == 0;
                if this.pace.is_none() {
                    return Chunk::hand_over(bytes, watch, None, if last { this.room.take() } else { None });
                }
                *this.rest = bytes;
                next_piece(this.rest, this.in_pieces, last, this.room, watch, this.pace.as_ref())
            })))),
            Ok(Poll::Ready(Some(Err(error)))) => {
                this.body.set(None);
                after_flush(this.failure, error.into(), cx)
            }
            Err(panic) => {
                count(&watch.shared.counters.body_panics);
                tracing::error!(
                    request_id = %this.ticket.id,
                    panic = panic.message,
                    location = panic.location,
                    backtrace = panic.backtrace,
                    "a response's body panicked; the response is cut"
                );
                // Dropping what panicked may panic as well; that one is caught too, and has been reported by the hook.
                let _ = panics::catch(|| this.body.set(None));
                after_flush(this.failure, BodyPanicked.into(), cx)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.text.is_none()
            && self.rest.is_empty()
            && self.failure.is_none()
            && self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.body, &self.text) {
            (Some(body), _) => body.size_hint(),
            (None, text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
        }
    }
}
