//! A transport whose downlink is the body of an HTTP response: what the server writes of it, what waits, and what its
//! client sent by other requests.
//!
//! Two tasks meet here: the one that drives the hub's connection, and the HTTP connection's own, which takes the body a
//! piece at a time. A piece counts as written when the socket has taken it; until then nothing more is asked of the hub, so
//! that what a client does not read waits where it is bounded. Knows no route and no header.

use super::driver::{Transport, Written};
use crate::limits::{UPLINK_BYTES_MIN, UPLINK_FRAME_OVERHEAD_BYTES, UPLINK_PART, UPLINKS_BYTES_MAX};
use bytes::{Bytes, BytesMut};
use http_body::Frame;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tidings_protocol::Disconnect;
use tidings_websocket::limits::{CLOSE_TIMEOUT, WRITE_PROGRESS_BYTES};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

/// The driver's end of a stream.
pub(super) struct Streamed {
    shared: Arc<Shared>,
    /// What was fed since the last write.
    fed: Vec<Bytes>,
    write_timeout: Duration,
    /// While something waits for its reader.
    patience: Option<Box<Patience>>,
}

/// How long the reader may still take.
struct Patience {
    /// What it had taken when this was last set.
    taken: usize,
    alarm: Pin<Box<Sleep>>,
}

/// The response's end of a stream.
pub(super) struct StreamBody(Arc<Shared>);

/// Where the client's other requests come in. Cheap to clone.
#[derive(Clone)]
pub(super) struct Uplink(Arc<Shared>);

/// The connection does not get through what its client sends.
pub(super) struct UplinkFull;

/// The stream was cut: its reader did not take what there was.
#[derive(Debug, thiserror::Error)]
#[error("the stream was cut")]
pub(super) struct Cut;

#[derive(Default)]
struct Shared(Mutex<State>);

#[derive(Default)]
struct State {
    /// What the response has not been given yet.
    pieces: VecDeque<Piece>,
    /// The last piece that it was given is not the end of a frame.
    is_within_frame: bool,
    /// Bytes that it was given and the socket has not taken.
    under_way: usize,
    /// Bytes that the socket has taken, wrapping.
    taken: usize,
    ended: Option<End>,
    /// Nobody takes the body any more.
    is_gone: bool,
    /// Frames that the client has sent.
    received: VecDeque<Received>,
    received_bytes: usize,
    driver: Option<Waker>,
    response: Option<Waker>,
}

struct Piece {
    bytes: Bytes,
    ends_frame: bool,
}

struct Received {
    frame: Bytes,
    room: Room,
}

/// What all uplinks together hold. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Rooms(Arc<AtomicUsize>);

/// What one frame takes of it; given back when dropped.
struct Room {
    rooms: Rooms,
    bytes: usize,
}

#[derive(Clone, Copy)]
enum End {
    /// Everything was said.
    Whole,
    Cut,
}

/// A piece in the hands of the HTTP connection, which lets go of it when the socket has taken it.
struct UnderWay {
    bytes: Bytes,
    shared: Arc<Shared>,
}

/// Both ends of a new stream, and its uplink. `begin` is what its client gets before anything else.
pub(super) fn stream(begin: Option<Bytes>, write_timeout: Duration) -> (Streamed, StreamBody, Uplink) {
    let pieces = begin.into_iter().map(|bytes| Piece { bytes, ends_frame: true }).collect();
    let state = State { pieces, ..State::default() };
    let shared = Arc::new(Shared(Mutex::new(state)));
    let streamed = Streamed { shared: shared.clone(), fed: Vec::new(), write_timeout, patience: None };
    (streamed, StreamBody(shared.clone()), Uplink(shared))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn poll_received(&mut self, cx: &Context<'_>) -> Poll<Option<Bytes>> {
        if self.is_gone {
            return Poll::Ready(None);
        }
        if let Some(frame) = self.received.pop_front() {
            self.received_bytes -= frame.room.bytes;
            if self.received.is_empty() {
                // Most connections are idle most of the time.
                self.received = VecDeque::new();
            }
            return Poll::Ready(Some(frame.frame));
        }
        remember(&mut self.driver, cx);
        Poll::Pending
    }

    fn is_written(&self) -> bool {
        self.pieces.is_empty() && self.under_way == 0
    }
}

impl Uplink {
    /// Lets a frame wait for its turn. A connection that has ended hears nothing.
    ///
    /// # Errors
    /// [`UplinkFull`] when too much waits already; then nothing of it is heard.
    pub(super) fn send(&self, frame: Bytes, rooms: &Rooms) -> Result<(), UplinkFull> {
        let mut state = self.0.lock();
        if state.is_gone || state.ended.is_some() {
            return Ok(());
        }
        let room = rooms.take(frame.len() + UPLINK_FRAME_OVERHEAD_BYTES, state.received_bytes).ok_or(UplinkFull)?;
        state.received_bytes += room.bytes;
        state.received.push_back(Received { frame, room });
        wake(state.driver.take());
        Ok(())
    }
}

impl Rooms {
    /// Room for one more frame of a connection that has so many bytes already; one frame is always taken.
    fn take(&self, bytes: usize, held: usize) -> Option<Room> {
        let all = self.0.fetch_add(bytes, Relaxed);
        let room = Room { rooms: self.clone(), bytes };
        let share = UPLINKS_BYTES_MAX.saturating_sub(all) / UPLINK_PART;
        (held == 0 || held + bytes <= share.max(UPLINK_BYTES_MIN)).then_some(room)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.rooms.0.fetch_sub(self.bytes, Relaxed);
    }
}

impl Streamed {
    /// Gives the response what was fed.
    fn hand_over(&mut self) {
        if self.fed.is_empty() {
            return;
        }
        let pieces = in_pieces(std::mem::take(&mut self.fed));
        let mut state = self.shared.lock();
        state.pieces.extend(pieces);
        wake(state.response.take());
    }

    fn poll_write(&mut self, reading: bool, cx: &mut Context<'_>) -> Poll<Written<Bytes>> {
        self.hand_over();
        let taken = {
            let mut state = self.shared.lock();
            if state.is_gone {
                return Poll::Ready(Written::Gone("the client is gone".to_owned()));
            }
            if state.is_written() {
                self.patience = None;
                return Poll::Ready(Written::All);
            }
            if reading && let Poll::Ready(Some(frame)) = state.poll_received(cx) {
                return Poll::Ready(Written::Received(frame));
            }
            remember(&mut state.driver, cx);
            state.taken
        };
        if self.poll_patience(taken, cx).is_ready() {
            return Poll::Ready(Written::Failed(Disconnect::SLOW));
        }
        Poll::Pending
    }

    /// Ready when the reader has taken too little for too long.
    fn poll_patience(&mut self, taken: usize, cx: &mut Context<'_>) -> Poll<()> {
        let until = || Instant::now() + self.write_timeout;
        let patience =
            self.patience.get_or_insert_with(|| Box::new(Patience { taken, alarm: Box::pin(sleep_until(until())) }));
        while patience.alarm.as_mut().poll(cx).is_ready() {
            if taken.wrapping_sub(patience.taken) < WRITE_PROGRESS_BYTES {
                return Poll::Ready(());
            }
            patience.taken = taken;
            patience.alarm.as_mut().reset(until());
        }
        Poll::Pending
    }

    fn poll_written(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.shared.lock();
        if state.is_gone || state.is_written() {
            return Poll::Ready(());
        }
        remember(&mut state.driver, cx);
        Poll::Pending
    }

    fn end(&self, end: End) {
        let mut state = self.shared.lock();
        if state.ended.is_none() {
            state.ended = Some(end);
        }
        (state.received, state.received_bytes) = (VecDeque::new(), 0);
        wake(state.response.take());
    }
}

impl Transport for Streamed {
    type Message = Bytes;
    type Error = Infallible;

    fn receive(&mut self) -> impl Future<Output = Option<Result<Bytes, Infallible>>> + Send {
        poll_fn(|cx| self.shared.lock().poll_received(cx).map(|frame| frame.map(Ok)))
    }

    fn feed(&mut self, frame: Bytes) -> Result<(), Disconnect> {
        self.fed.push(frame);
        Ok(())
    }

    fn write(&mut self, reading: bool) -> impl Future<Output = Written<Bytes>> + Send + Unpin {
        poll_fn(move |cx| self.poll_write(reading, cx))
    }

    async fn close(&mut self, _: &Disconnect, farewell: Option<Bytes>) {
        {
            let mut state = self.shared.lock();
            // A frame that has begun must end, or nobody understands what comes behind it; the others come again when the
            // client resumes.
            let rest =
                if state.is_within_frame { state.pieces.iter().position(|piece| piece.ends_frame) } else { None };
            state.pieces.truncate(rest.map_or(0, |last| last + 1));
            state.pieces.extend(farewell.map(|bytes| Piece { bytes, ends_frame: true }));
        }
        self.end(End::Whole);
        if timeout(CLOSE_TIMEOUT, poll_fn(|cx| self.poll_written(cx))).await.is_err() {
            let mut state = self.shared.lock();
            state.ended = Some(End::Cut);
            state.pieces.clear();
            wake(state.response.take());
        }
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        self.end(End::Cut);
    }
}

impl http_body::Body for StreamBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let mut state = self.0.lock();
        // One at a time, so that what is not taken waits here and not in the buffers behind us.
        if state.under_way < WRITE_PROGRESS_BYTES
            && let Some(Piece { bytes, ends_frame }) = state.pieces.pop_front()
        {
            state.is_within_frame = !ends_frame;
            state.under_way += bytes.len();
            if state.pieces.is_empty() {
                state.pieces = VecDeque::new();
            }
            let under_way = UnderWay { bytes, shared: self.0.clone() };
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(under_way)))));
        }
        match state.ended {
            Some(End::Whole) if state.pieces.is_empty() => Poll::Ready(None),
            Some(End::Cut) => Poll::Ready(Some(Err(Cut))),
            _ => {
                remember(&mut state.response, cx);
                Poll::Pending
            }
        }
    }
}

impl Drop for StreamBody {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_gone = true;
        (state.pieces, state.received, state.received_bytes) = (VecDeque::new(), VecDeque::new(), 0);
        wake(state.driver.take());
    }
}

impl AsRef<[u8]> for UnderWay {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.under_way -= self.bytes.len();
        state.taken = state.taken.wrapping_add(self.bytes.len());
        if state.is_written() {
            wake(state.driver.take());
        } else if !state.pieces.is_empty() {
            wake(state.response.take());
        }
    }
}

/// Frames in pieces of [`WRITE_PROGRESS_BYTES`] at most: short ones together, long ones cut.
fn in_pieces(frames: Vec<Bytes>) -> Vec<Piece> {
    let mut pieces = Vec::with_capacity(frames.len().min(4));
    let mut short: Vec<Bytes> = Vec::new();
    let mut short_bytes = 0;
    for mut frame in frames {
        if short_bytes + frame.len() > WRITE_PROGRESS_BYTES {
            pieces.extend(together(&mut short, &mut short_bytes));
        }
        while frame.len() > WRITE_PROGRESS_BYTES {
            pieces.push(Piece { bytes: frame.split_to(WRITE_PROGRESS_BYTES), ends_frame: false });
        }
        short_bytes += frame.len();
        short.push(frame);
    }
    pieces.extend(together(&mut short, &mut short_bytes));
    pieces
}

fn together(frames: &mut Vec<Bytes>, bytes: &mut usize) -> Option<Piece> {
    let size = std::mem::take(bytes);
    let piece = if frames.len() > 1 {
        let mut piece = BytesMut::with_capacity(size);
        frames.iter().for_each(|frame| piece.extend_from_slice(frame));
        frames.clear();
        piece.freeze()
    } else {
        frames.pop()?
    };
    Some(Piece { bytes: piece, ends_frame: true })
}

fn remember(place: &mut Option<Waker>, cx: &Context<'_>) {
    match place {
        Some(waker) => waker.clone_from(cx.waker()),
        none => *none = Some(cx.waker().clone()),
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
