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

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use http_body_util::BodyExt;
    use std::iter::repeat_n;

    const TIMEOUT: Duration = Duration::from_secs(10);

    /// What the response gives when it is asked, without waiting.
    fn next(body: &mut StreamBody) -> Option<Bytes> {
        body.frame().now_or_never()?.map(|frame| frame.unwrap().into_data().unwrap())
    }

    fn frames(sizes: &[usize]) -> Vec<Bytes> {
        sizes.iter().map(|size| repeat_n(b'x', *size).collect()).collect()
    }

    #[test]
    fn short_frames_leave_together_and_long_ones_in_pieces() {
        let sizes = |given: &[usize]| {
            let pieces = in_pieces(frames(given));
            pieces.iter().map(|piece| (piece.bytes.len(), piece.ends_frame)).collect::<Vec<_>>()
        };
        assert_eq!(sizes(&[10, 20, 30]), [(60, true)]);
        assert_eq!(sizes(&[16_384, 1]), [(16_384, true), (1, true)]);
        assert_eq!(sizes(&[5, 40_000, 6]), [(5, true), (16_384, false), (16_384, false), (7_238, true)]);
        assert_eq!(sizes(&[10_000, 10_000]), [(10_000, true), (10_000, true)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_ends_when_the_socket_has_taken_all_of_it() {
        let (mut streamed, mut body, _) = stream(None, TIMEOUT);
        streamed.feed(Bytes::from_static(b"one")).unwrap();
        streamed.feed(Bytes::from_static(b"two")).unwrap();
        assert!(streamed.write(false).now_or_never().is_none());
        let piece = next(&mut body).unwrap();
        assert_eq!(&piece[..], b"onetwo");
        assert!(streamed.write(false).now_or_never().is_none(), "it is in the server's hands");
        drop(piece);
        assert!(matches!(streamed.write(false).await, Written::All));
    }

    #[tokio::test(start_paused = true)]
    async fn one_piece_at_a_time_is_in_the_servers_hands() {
        let (mut streamed, mut body, _) = stream(None, TIMEOUT);
        streamed.feed(frames(&[50_000]).remove(0)).unwrap();
        assert!(streamed.write(false).now_or_never().is_none());
        let first = next(&mut body).unwrap();
        assert!(next(&mut body).is_none());
        drop(first);
        assert_eq!(next(&mut body).unwrap().len(), WRITE_PROGRESS_BYTES);
    }

    #[tokio::test(start_paused = true)]
    async fn s14_who_takes_nothing_for_ten_seconds_is_slow_and_who_takes_16_kib_in_that_time_is_not() {
        let (mut streamed, mut body, _) = stream(None, TIMEOUT);
        streamed.feed(frames(&[100_000]).remove(0)).unwrap();
        let began = Instant::now();
        for _ in 0..5 {
            let slowly = tokio::time::timeout(Duration::from_secs(9), streamed.write(false));
            assert!(slowly.await.is_err());
            drop(next(&mut body));
        }
        assert!(matches!(streamed.write(false).await, Written::Failed(why) if why == Disconnect::SLOW));
        assert!((54..=66).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn g7_the_farewell_comes_behind_the_frame_that_has_begun_and_in_the_place_of_all_others() {
        let (mut streamed, mut body, _) = stream(None, TIMEOUT);
        for frame in [frames(&[20_000]).remove(0), frames(&[20_000]).remove(0)] {
            streamed.feed(frame).unwrap();
        }
        assert!(streamed.write(false).now_or_never().is_none());
        let mut taken = next(&mut body).unwrap().len();
        let closing = tokio::spawn(async move {
            streamed.close(&Disconnect::SLOW, Some(Bytes::from_static(b"farewell"))).await;
        });
        tokio::task::yield_now().await;
        let mut last = Bytes::new();
        while let Some(Ok(frame)) = body.frame().await {
            last = frame.into_data().unwrap();
            taken += last.len();
        }
        assert_eq!((taken, &last[..]), (20_000 + 8, &b"farewell"[..]));
        drop(last);
        closing.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_take_the_farewell_either_is_cut() {
        let (mut streamed, mut body, _) = stream(Some(Bytes::from_static(b"begin")), TIMEOUT);
        let stuck = next(&mut body).unwrap();
        let began = Instant::now();
        streamed.close(&Disconnect::SLOW, Some(Bytes::from_static(b"farewell"))).await;
        assert_eq!(began.elapsed(), CLOSE_TIMEOUT);
        drop(stuck);
        assert!(body.frame().await.unwrap().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_driver_that_is_gone_cuts_its_stream_and_a_response_that_is_gone_ends_its_driver() {
        let (streamed, mut body, _) = stream(None, TIMEOUT);
        drop(streamed);
        assert!(body.frame().await.unwrap().is_err(), "as after a panic");

        let (mut streamed, body, uplink) = stream(None, TIMEOUT);
        let rooms = Rooms::default();
        assert!(uplink.send(Bytes::from_static(b"x"), &rooms).is_ok());
        drop(body);
        assert!(streamed.receive().await.is_none());
        streamed.feed(Bytes::from_static(b"y")).unwrap();
        assert!(matches!(streamed.write(true).await, Written::Gone(_)));
        assert_eq!(rooms.0.load(Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_uplink_brings_is_heard_in_order_and_while_something_is_written() {
        let (mut streamed, _body, uplink) = stream(None, TIMEOUT);
        let rooms = Rooms::default();
        for frame in [&b"1"[..], b"2", b"3"] {
            assert!(uplink.send(Bytes::from_static(frame), &rooms).is_ok());
        }
        assert_eq!(streamed.receive().await.unwrap().unwrap(), "1");
        streamed.feed(Bytes::from_static(b"x")).unwrap();
        assert!(matches!(streamed.write(true).await, Written::Received(frame) if frame == "2"));
        assert!(streamed.write(false).now_or_never().is_none(), "not while nobody listens");
        assert_eq!(streamed.receive().await.unwrap().unwrap(), "3");
        assert_eq!(rooms.0.load(Relaxed), 0);
    }

    #[test]
    fn s15_an_uplink_holds_its_share_and_one_frame_always() {
        let rooms = Rooms::default();
        let fill = |uplink: &Uplink| {
            let frame = Bytes::from(vec![0; 64 * 1024]);
            (0..).take_while(|_| uplink.send(frame.clone(), &rooms).is_ok()).count()
        };
        let streams: Vec<_> = (0..200).map(|_| stream(None, TIMEOUT)).collect();
        let held: Vec<_> = streams.iter().map(|(_, _, uplink)| fill(uplink)).collect();
        assert!(held[0] > 50 && held[20] < held[0] && held[199] == 1, "{held:?}");
        assert!(rooms.0.load(Relaxed) < UPLINKS_BYTES_MAX + 200 * 2 * UPLINK_BYTES_MIN);
        drop(streams);
        assert_eq!(rooms.0.load(Relaxed), 0);
    }
}
