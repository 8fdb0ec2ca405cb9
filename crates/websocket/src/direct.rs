//! Writing to a plain TCP connection from outside of the task that owns its socket.
//!
//! Whoever carries the same frames to thousands of sockets writes them at once, without waking a task for each. The socket
//! goes on reading, answering pings and closing in its own task; both write whole frames, one after the other, behind a
//! lock that is held for one write.

use bytes::{Buf, Bytes};
use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
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
pub struct DirectWriter(Arc<Shared>);

/// What a [`DirectWriter`] has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectWrite {
    /// Bytes that were taken: whole frames.
    pub bytes: usize,
    /// The socket takes no more until its owner has [flushed](crate::WebSocket::poll_flush) it.
    pub is_full: bool,
}

#[derive(Debug)]
struct Shared {
    pen: Mutex<Pen>,
    /// Bytes that direct writers were rid of.
    taken: AtomicUsize,
    /// Bytes of rests that the owner has written.
    flushed: AtomicUsize,
}

#[derive(Debug)]
struct Pen {
    half: OwnedWriteHalf,
    /// The rest of a frame whose beginning has been written: nothing else may come before it.
    rest: Bytes,
    /// The last write found no room.
    is_full: bool,
    /// There is a writer beside the owner.
    is_shared: bool,
}

impl DirectWriter {
    /// Writes as much of these frames as there is room for, in one write and without waiting. When a frame is cut, its
    /// rest is kept and written before anything else: `rest` gives, for so many bytes of the slices, the rest of the frame in
    /// which they end; none where they end with a frame.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn write(&self, slices: &[IoSlice<'_>], rest: &dyn Fn(usize) -> Bytes) -> io::Result<DirectWrite> {
        let mut pen = self.0.lock();
        if !pen.try_rest()? {
            return Ok(DirectWrite { bytes: 0, is_full: true });
        }
        let written = match pen.write_now(slices) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                pen.is_full = true;
                return Ok(DirectWrite { bytes: 0, is_full: true });
            }
            Err(error) => return Err(error),
        };
        let all: usize = slices.iter().map(|slice| slice.len()).sum();
        if written < all {
            pen.is_full = true;
            pen.rest = rest(written);
        }
        let bytes = written + pen.rest.len();
        self.0.taken.fetch_add(bytes, Ordering::Relaxed);
        Ok(DirectWrite { bytes, is_full: written < all })
    }

    /// Bytes that the owner has written so far of frames that were cut.
    pub(crate) fn bytes_flushed(&self) -> usize {
        self.0.flushed.load(Ordering::Relaxed)
    }

    /// Bytes that this and its clones have taken so far; it begins again at 0 behind the largest number.
    #[must_use]
    pub fn bytes_taken(&self) -> usize {
        self.0.taken.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pen> {
        self.pen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pen {
    /// One write, which takes what there is room for.
    fn write_now(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let [one] = slices else { return self.half.try_write_vectored(slices) };
        // Nearly every write succeeds at once. Asking the reactor first whether the socket is writable would touch memory
        // that nothing else here needs; only who is told that it is not has to let the reactor know, by trying again.
        #[cfg(unix)]
        match rustix::net::send(self.half.as_ref(), one, rustix::net::SendFlags::NOSIGNAL) {
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
            done => return Ok(done?),
        }
        self.half.try_write(one)
    }

    /// Whether nothing is left of the frame that was cut.
    fn try_rest(&mut self) -> io::Result<bool> {
        while !self.rest.is_empty() {
            match self.half.try_write(&self.rest) {
                Ok(bytes) => self.rest.advance(bytes),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.rest = Bytes::new();
        Ok(true)
    }

    fn poll_rest(&mut self, cx: &mut Context<'_>, flushed: &AtomicUsize) -> Poll<io::Result<()>> {
        while !self.rest.is_empty() {
            let bytes = ready!(Pin::new(&mut self.half).poll_write(cx, &self.rest))?;
            self.rest.advance(bytes);
            flushed.fetch_add(bytes, Ordering::Relaxed);
        }
        self.rest = Bytes::new();
        Poll::Ready(Ok(()))
    }
}

/// A TCP stream that others may write to as well.
#[derive(Debug)]
pub(crate) struct SharedStream {
    read: OwnedReadHalf,
    shared: Arc<Shared>,
}

impl SharedStream {
    pub(crate) fn new(stream: TcpStream) -> Self {
        let (read, half) = stream.into_split();
        let pen = Pen { half, rest: Bytes::new(), is_full: false, is_shared: false };
        Self {
            read,
            shared: Arc::new(Shared { pen: Mutex::new(pen), taken: AtomicUsize::new(0), flushed: AtomicUsize::new(0) }),
        }
    }

    pub(crate) fn tcp(&self) -> &TcpStream {
        self.read.as_ref()
    }

    pub(crate) fn writer(&self) -> DirectWriter {
        self.shared.lock().is_shared = true;
        DirectWriter(self.shared.clone())
    }
}

impl AsyncRead for SharedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.read).poll_read(cx, buffer)
    }
}

impl AsyncWrite for SharedStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut pen = self.shared.lock();
        ready!(pen.poll_rest(cx, &self.shared.flushed))?;
        let written = ready!(Pin::new(&mut pen.half).poll_write(cx, bytes))?;
        if pen.is_shared && written < bytes.len() {
            // Nobody may come between this and the rest of it.
            pen.rest = Bytes::copy_from_slice(&bytes[written..]);
            return Poll::Ready(Ok(bytes.len()));
        }
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut pen = self.shared.lock();
        ready!(pen.poll_rest(cx, &self.shared.flushed))?;
        let written = ready!(Pin::new(&mut pen.half).poll_write_vectored(cx, slices))?;
        if !pen.is_shared {
            return Poll::Ready(Ok(written));
        }
        let all = slices.iter().map(|slice| &**slice).collect::<Vec<_>>().concat();
        pen.rest = Bytes::copy_from_slice(&all[written..]);
        Poll::Ready(Ok(all.len()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut pen = self.shared.lock();
        ready!(pen.poll_rest(cx, &self.shared.flushed))?;
        if pen.is_full {
            ready!(pen.half.as_ref().poll_write_ready(cx))?;
            pen.is_full = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut pen = self.shared.lock();
        ready!(pen.poll_rest(cx, &self.shared.flushed))?;
        Pin::new(&mut pen.half).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, Prepared, Role, WebSocket};
    use std::time::Duration;
    use tokio::{io::AsyncReadExt, net::TcpSocket};

    const FRAME_BYTES: usize = 1 << 20;
    const WRITE_TIMEOUT: Duration = Duration::from_millis(300);

    /// A client that takes a frame within several write timeouts, a fraction of it in each.
    #[tokio::test]
    async fn a_line_that_takes_a_long_frame_slowly_is_not_given_up_whoever_has_begun_it() {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_send_buffer_size(32 << 10).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let client = TcpSocket::new_v4().unwrap();
        client.set_recv_buffer_size(32 << 10).unwrap();
        let mut client = client.connect(listener.local_addr().unwrap()).await.unwrap();
        let shared = SharedStream::new(listener.accept().await.unwrap().0);
        let writer = shared.writer();
        let limits = Limits::server().write_timeout(WRITE_TIMEOUT);
        let mut server = WebSocket::new(shared, Role::Server, limits);
        server.inner_mut().beside = Some((writer.clone(), 0));
        let reader = tokio::spawn(async move {
            let (mut buffer, mut read) = (vec![0; 64 << 10], 0);
            let mut pace = tokio::time::interval(WRITE_TIMEOUT / 5);
            while read < FRAME_BYTES {
                pace.tick().await;
                read += client.read(&mut buffer).await.unwrap();
            }
        });
        let frame = Prepared::text("x".repeat(FRAME_BYTES)).into_bytes();
        let written = writer.write(&[IoSlice::new(&frame)], &|written| frame.slice(written..)).unwrap();
        assert_eq!(written, DirectWrite { bytes: frame.len(), is_full: true });
        server.inner_mut().wants_flush();
        // What the owner has to say meanwhile waits behind it, and is no reason to give up either.
        server.feed(Prepared::text("y")).unwrap();
        server.flush().await.unwrap();
        reader.await.unwrap();
        assert_eq!(writer.bytes_taken(), frame.len());
    }
}
