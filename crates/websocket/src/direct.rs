//! Writing to a plain TCP connection from outside of the task that owns its socket.
//!
//! Whoever carries the same frames to thousands of sockets writes them at once, without waking a task for each. The socket
//! goes on reading, answering pings and closing in its own task; both write whole frames, one after the other, behind a
//! lock that is held for one write.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// Writes frames past the task that owns the socket; see
/// [`WebSocket::direct_writer`](crate::WebSocket::direct_writer). Cheap to clone.
#[derive(Clone, Debug)]
pub struct DirectWriter(Arc<Mutex<Pen>>);

/// What a [`DirectWriter`] has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectWrite {
    /// Bytes that were taken: whole frames.
    pub bytes: usize,
    /// The socket takes no more until its owner has [flushed](crate::WebSocket::poll_flush) it.
    pub is_full: bool,
}

#[derive(Debug)]
struct Pen {
    half: OwnedWriteHalf,
    /// The rest of a frame whose beginning has been written: nothing else may come before it.
    rest: Vec<u8>,
    rest_at: usize,
    /// The last write found no room.
    is_full: bool,
    /// There is a writer beside the owner.
    is_shared: bool,
}

impl DirectWriter {
    /// Writes as much of these frames as there is room for, in one write and without waiting. When a frame is cut, its
    /// rest is kept and written before anything else: `whole_frames` says how many bytes so many bytes are with that rest.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn write(&self, slices: &[IoSlice<'_>], whole_frames: &dyn Fn(usize) -> usize) -> io::Result<DirectWrite> {
        let mut pen = lock(&self.0);
        if !pen.try_rest()? {
            return Ok(DirectWrite { bytes: 0, is_full: true });
        }
        let written = match slices {
            [one] => pen.half.try_write(one),
            many => pen.half.try_write_vectored(many),
        };
        let written = match written {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                pen.is_full = true;
                return Ok(DirectWrite { bytes: 0, is_full: true });
            }
            Err(error) => return Err(error),
        };
        let all: usize = slices.iter().map(|slice| slice.len()).sum();
        if written == all {
            return Ok(DirectWrite { bytes: all, is_full: false });
        }
        let whole = whole_frames(written);
        pen.is_full = true;
        let mut before = 0;
        for slice in slices {
            let from = written.saturating_sub(before).min(slice.len());
            let to = whole.saturating_sub(before).min(slice.len());
            pen.rest.extend_from_slice(&slice[from..to]);
            before += slice.len();
        }
        Ok(DirectWrite { bytes: whole, is_full: true })
    }
}

impl Pen {
    /// Whether nothing is left of the frame that was cut.
    fn try_rest(&mut self) -> io::Result<bool> {
        while self.rest_at < self.rest.len() {
            match self.half.try_write(&self.rest[self.rest_at..]) {
                Ok(bytes) => self.rest_at += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.forget_rest();
        Ok(true)
    }

    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.rest_at < self.rest.len() {
            self.rest_at += ready!(Pin::new(&mut self.half).poll_write(cx, &self.rest[self.rest_at..]))?;
        }
        self.forget_rest();
        Poll::Ready(Ok(()))
    }

    fn forget_rest(&mut self) {
        if self.rest_at > 0 {
            (self.rest, self.rest_at) = (Vec::new(), 0);
        }
    }
}

/// A TCP stream that others may write to as well.
#[derive(Debug)]
pub(crate) struct SharedStream {
    read: OwnedReadHalf,
    pen: Arc<Mutex<Pen>>,
}

impl SharedStream {
    pub(crate) fn new(stream: TcpStream) -> Self {
        let (read, half) = stream.into_split();
        let pen = Pen { half, rest: Vec::new(), rest_at: 0, is_full: false, is_shared: false };
        Self { read, pen: Arc::new(Mutex::new(pen)) }
    }

    pub(crate) fn tcp(&self) -> &TcpStream {
        self.read.as_ref()
    }

    pub(crate) fn writer(&self) -> DirectWriter {
        lock(&self.pen).is_shared = true;
        DirectWriter(self.pen.clone())
    }
}

impl AsyncRead for SharedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.read).poll_read(cx, buffer)
    }
}

impl AsyncWrite for SharedStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut pen = lock(&self.pen);
        ready!(pen.poll_rest(cx))?;
        let written = ready!(Pin::new(&mut pen.half).poll_write(cx, bytes))?;
        if pen.is_shared && written < bytes.len() {
            // Nobody may come between this and the rest of it.
            pen.rest.extend_from_slice(&bytes[written..]);
            return Poll::Ready(Ok(bytes.len()));
        }
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut pen = lock(&self.pen);
        if pen.is_shared {
            drop(pen);
            let first = slices.iter().find(|slice| !slice.is_empty());
            return self.poll_write(cx, first.map_or(&[][..], |slice| slice));
        }
        Pin::new(&mut pen.half).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut pen = lock(&self.pen);
        ready!(pen.poll_rest(cx))?;
        if pen.is_full {
            ready!(pen.half.as_ref().poll_write_ready(cx))?;
            pen.is_full = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut pen = lock(&self.pen);
        ready!(pen.poll_rest(cx))?;
        Pin::new(&mut pen.half).poll_shutdown(cx)
    }
}

fn lock(pen: &Mutex<Pen>) -> MutexGuard<'_, Pen> {
    pen.lock().unwrap_or_else(PoisonError::into_inner)
}
