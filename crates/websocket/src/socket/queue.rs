//! What waits to be written: small frames side by side in one buffer, long payloads where they are.

use crate::{
    Frame,
    limits::{
        BYTES_PER_WRITE, COPIED_PAYLOAD_BYTES_MAX, COPIED_WHILE_STUCK_BYTES_MAX, FRAMES_PER_WRITE, GATHER_BYTES,
        SPARE_BUFFER_BYTES_MAX, WRITE_SLICES_MAX,
    },
};
use bytes::{Buf, Bytes};
use std::{
    cell::Cell,
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::AsyncWrite;

thread_local! {
    /// A buffer for the thread's next queue that has something in it: a queue that is empty holds none.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// Where frames are put together for streams that cannot gather them.
    static GATHERED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Frames in the order in which they will be written. Holds no memory while it is empty.
#[derive(Default)]
pub(super) struct WriteQueue {
    /// Heads, and payloads that are cheaper to copy than to hand to the kernel one by one.
    small: Vec<u8>,
    /// Bytes of `small` that have been written.
    small_written: usize,
    /// Long payloads, shared, each with the place in `small` that it comes before.
    large: VecDeque<(usize, Bytes)>,
    /// Bytes that wait.
    bytes: usize,
    /// Frames that were queued since the queue was last empty.
    frames: usize,
}

impl WriteQueue {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Whether nothing is gained by gathering more before writing.
    pub(super) fn fills_a_write(&self) -> bool {
        self.bytes >= BYTES_PER_WRITE || self.frames >= FRAMES_PER_WRITE
    }

    pub(super) fn push(&mut self, frame: Frame) {
        if self.small.capacity() == 0 {
            self.small = SPARE.take();
        }
        // What is more than the next write takes may wait for long, and many queues may hold the same.
        let copied_max =
            if self.bytes < BYTES_PER_WRITE { COPIED_PAYLOAD_BYTES_MAX } else { COPIED_WHILE_STUCK_BYTES_MAX };
        let is_copied = frame.payload().len() <= copied_max;
        self.bytes += frame.len();
        self.frames += 1;
        self.make_room(if is_copied { frame.len() } else { frame.head().len() });
        self.small.extend_from_slice(frame.head());
        if is_copied {
            self.small.extend_from_slice(frame.payload());
        } else {
            self.large.push_back((self.small.len(), frame.into_payload()));
        }
    }

    /// Before the buffer grows, what has been written leaves it: a queue that never runs empty must not grow for ever.
    fn make_room(&mut self, bytes: usize) {
        let len = self.small.len();
        if self.small_written > len / 2 && self.small.capacity() - len < bytes {
            self.drop_written();
        }
    }

    fn drop_written(&mut self) {
        let written = std::mem::take(&mut self.small_written);
        self.small.drain(..written);
        self.large.iter_mut().for_each(|(place, _)| *place -= written);
    }

    /// One write of as much as fits. Not for an empty queue.
    pub(super) fn poll_write(
        &mut self,
        stream: Pin<&mut impl AsyncWrite>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let written = if self.large.is_empty() {
            stream.poll_write(cx, &self.small[self.small_written..])
        } else if stream.is_write_vectored() {
            let mut slices = [IoSlice::new(&[]); WRITE_SLICES_MAX];
            let pieces = self.pieces().zip(&mut slices).map(|(piece, slice)| *slice = IoSlice::new(piece)).count();
            stream.poll_write_vectored(cx, &slices[..pieces])
        } else {
            let mut gathered = GATHERED.take();
            for piece in self.pieces() {
                let room = GATHER_BYTES - gathered.len();
                gathered.extend_from_slice(&piece[..piece.len().min(room)]);
                if piece.len() >= room {
                    break;
                }
            }
            let written = stream.poll_write(cx, &gathered);
            gathered.clear();
            GATHERED.set(gathered);
            written
        };
        match written {
            Poll::Ready(Ok(bytes)) => self.wrote(bytes),
            // The peer may not read for long: hold no more than what waits.
            Poll::Pending if self.small.capacity() / 2 > self.small.len() - self.small_written => {
                self.drop_written();
                self.small.shrink_to_fit();
            }
            _ => {}
        }
        written
    }

    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let mut from = self.small_written;
        let last = self.large.back().map_or(from, |(place, _)| *place);
        let pairs = self.large.iter().flat_map(move |(place, payload)| {
            let before = &self.small[from..*place];
            from = *place;
            [before, payload]
        });
        pairs.chain([&self.small[last..]]).filter(|piece| !piece.is_empty())
    }

    fn wrote(&mut self, mut bytes: usize) {
        self.bytes -= bytes;
        if self.bytes == 0 {
            return self.clear();
        }
        while let Some((place, payload)) = self.large.front_mut() {
            let before = bytes.min(*place - self.small_written);
            self.small_written += before;
            bytes -= before;
            let taken = bytes.min(payload.len());
            payload.advance(taken);
            bytes -= taken;
            if !payload.is_empty() {
                return;
            }
            self.large.pop_front();
        }
        self.small_written += bytes;
    }

    /// Drops what waits, and the memory.
    pub(super) fn clear(&mut self) {
        let mut buffer = std::mem::take(self).small;
        if buffer.capacity() > 0 && buffer.capacity() <= SPARE_BUFFER_BYTES_MAX {
            buffer.clear();
            SPARE.set(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Head, OpCode};
    use proptest::prelude::*;

    /// Takes as many bytes at a time as it is told.
    struct Peer {
        room: usize,
        vectored: bool,
        seen: Vec<u8>,
    }

    impl AsyncWrite for Peer {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let before = self.seen.len();
            for slice in slices {
                let taken = slice.len().min(self.room);
                self.room -= taken;
                self.seen.extend_from_slice(&slice[..taken]);
            }
            match self.seen.len() - before {
                0 => Poll::Pending,
                bytes => Poll::Ready(Ok(bytes)),
            }
        }

        fn is_write_vectored(&self) -> bool {
            self.vectored
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// A frame whose bytes tell it from others.
    fn frame(number: usize, bytes: usize) -> Frame {
        let payload: Vec<u8> = (0..=u8::MAX).cycle().skip(number % 256).take(bytes).collect();
        let head = Head {
            last: true,
            compressed: false,
            opcode: OpCode::Binary,
            mask: None,
            payload_len: payload.len() as u64,
        };
        Frame::new(&head, payload.into())
    }

    fn write(queue: &mut WriteQueue, peer: &mut Peer) {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        while !queue.is_empty() && queue.poll_write(Pin::new(peer), &mut cx).is_ready() {}
    }

    proptest! {
        #[test]
        fn frames_leave_in_order_however_little_the_peer_takes(
            turns in prop::collection::vec((prop_oneof![0usize..200, 1000usize..1050, 0usize..40_000], 0usize..60_000), 1..40),
            vectored: bool,
        ) {
            let mut queue = WriteQueue::default();
            let mut peer = Peer { room: 0, vectored, seen: Vec::new() };
            let mut expected = Vec::new();
            for (number, (bytes, room)) in turns.into_iter().enumerate() {
                let frame = frame(number, bytes);
                expected.extend_from_slice(&frame.to_bytes());
                queue.push(frame);
                peer.room = room;
                write(&mut queue, &mut peer);
                prop_assert_eq!(peer.seen.len() + queue.bytes(), expected.len());
            }
            peer.room = usize::MAX;
            write(&mut queue, &mut peer);
            prop_assert!(peer.seen == expected);
            prop_assert_eq!(queue.small.capacity() + queue.large.capacity(), 0, "an empty queue holds no memory");
        }
    }

    #[test]
    fn a_queue_that_never_runs_empty_does_not_grow() {
        let mut queue = WriteQueue::default();
        let mut peer = Peer { room: 0, vectored: true, seen: Vec::new() };
        queue.push(frame(0, 5000));
        for number in 0..10_000 {
            queue.push(frame(number, 100));
            peer.room = 102;
            write(&mut queue, &mut peer);
            assert!(!queue.is_empty());
        }
        assert!(queue.small.capacity() < 32 * 1024, "{} bytes", queue.small.capacity());
    }

    #[test]
    fn what_a_stuck_queue_holds_is_shared_and_what_has_been_written_is_gone() {
        let mut queue = WriteQueue::default();
        let shared = frame(0, 900);
        let mut peer = Peer { room: 0, vectored: true, seen: Vec::new() };
        for _ in 0..1000 {
            queue.push(shared.clone());
            write(&mut queue, &mut peer);
        }
        assert!(queue.small.capacity() < 3 * BYTES_PER_WRITE, "{} bytes", queue.small.capacity());
        peer.room = queue.bytes() - 1;
        write(&mut queue, &mut peer);
        assert!(queue.bytes() == 1 && queue.small.capacity() < 1000, "{} bytes", queue.small.capacity());
    }

    #[test]
    fn a_thread_keeps_its_spare_buffer() {
        SPARE.set(Vec::with_capacity(5000));
        WriteQueue::default().clear();
        let mut queue = WriteQueue::default();
        queue.push(frame(0, 100));
        write(&mut queue, &mut Peer { room: 1000, vectored: true, seen: Vec::new() });
        assert_eq!(SPARE.take().capacity(), 5000);
    }

    #[test]
    fn a_peer_that_takes_nothing_holds_little_more_than_its_bytes() {
        SPARE.set(Vec::with_capacity(SPARE_BUFFER_BYTES_MAX));
        let mut queue = WriteQueue::default();
        queue.push(frame(0, 100));
        write(&mut queue, &mut Peer { room: 0, vectored: true, seen: Vec::new() });
        assert!(queue.small.capacity() < 300, "{} bytes", queue.small.capacity());
    }
}
