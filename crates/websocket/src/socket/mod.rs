//! The socket: the state machine over a byte stream and tokio's clock.
//!
//! One task owns it. It holds no read buffer while it waits: all sockets of a thread read into one buffer and parse in
//! place, and what is missing of a long payload is read straight into the message. It refuses to know where the stream
//! comes from and what the messages mean.

mod drive;
mod queue;
mod sender;
mod stream;

pub use sender::{Sender, TrySendError};
pub use stream::{MessageReader, MessageWriter};
#[cfg(feature = "json")]
pub use stream::{ReceiveJsonError, SendJsonError};

use crate::{
    CloseCode, CloseFrame, Event, Limits, Machine, Message, Outgoing, ProtocolError, Role, SendRefused, Statistics,
    limits::READ_BUFFER_BYTES,
};
pub(crate) use drive::Inner;
use std::{
    any::Any,
    future::poll_fn,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio_util::sync::CancellationToken;

/// A WebSocket over a byte stream, after its handshake.
///
/// ```
/// use tidings_websocket::{CloseCode, Limits, Message, pair};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let (mut client, mut server) = pair(Limits::server());
/// client.send("ahoy").await?;
/// assert_eq!(server.receive().await.unwrap()?, Message::text("ahoy"));
///
/// let (answer, end) = tokio::join!(client.close(CloseCode::NORMAL, "bye"), server.receive());
/// assert_eq!(answer.unwrap().code, CloseCode::NORMAL);
/// assert!(end.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Who writes, and when
/// [`feed`](Self::feed) queues, [`flush`](Self::flush) writes everything queued with one write, and
/// [`send`](Self::send) is both. [`receive`](Self::receive) flushes too, before it waits. So frames never wait for
/// anything but the peer as long as the owner is in one of these.
///
/// # Cancelling
/// Every method may be cancelled, as `tokio::select!` does, and loses nothing: what has been read stays, and what has
/// been queued goes out with the next flush. Only a [`MessageWriter`] must live until its message is finished.
pub struct WebSocket<S> {
    /// Empty only while it is being dropped.
    inner: Option<Box<Inner<S>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// A socket over a stream whose handshake is done and agreed on no extension.
    pub fn new(stream: S, role: Role, limits: Limits) -> Self {
        Self::with_machine(stream, Machine::new(role, &limits), limits)
    }

    /// A socket over a stream with a state machine that knows what the handshake agreed on.
    pub fn with_machine(stream: S, machine: Machine, limits: Limits) -> Self {
        WebSocket { inner: Some(Box::new(Inner::new(stream, machine, limits))) }
    }

    /// Bytes that were read together with the handshake's last.
    #[must_use]
    pub fn with_read_ahead(mut self, bytes: &[u8]) -> Self {
        self.inner_mut().read_ahead(bytes);
        self
    }

    /// The next message; `None` once the closing handshake is done, and then for ever.
    ///
    /// Meanwhile it does what the protocol asks for: answers pings and the peer's close, sends heartbeats, writes what is
    /// queued, and closes when the server shuts down. Losing the race in `tokio::select!` loses no message; so a read
    /// deadline is `tokio::time::timeout`.
    ///
    /// # Errors
    /// [`ReceiveError`] says how the connection failed. The peer has been told where that is possible; the socket is done
    /// and yields `None` from now on.
    pub async fn receive(&mut self) -> Option<Result<Message, ReceiveError>> {
        poll_fn(|cx| self.poll_receive(cx)).await
    }

    /// [`receive`](Self::receive) for those who poll.
    pub fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, ReceiveError>>> {
        self.inner_mut().wants_parts = false;
        loop {
            match std::task::ready!(self.inner_mut().poll_event(cx)) {
                Some(Ok(Event::Message(message))) => return Poll::Ready(Some(Ok(message))),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }

    /// The next message or control frame, for those who want to see pings, pongs and the close as well. They are
    /// answered all the same.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub async fn receive_event(&mut self) -> Option<Result<Event, ReceiveError>> {
        self.inner_mut().wants_parts = false;
        poll_fn(|cx| self.inner_mut().poll_event(cx)).await
    }

    /// Queues something and writes the queue.
    ///
    /// # Errors
    /// As [`feed`](Self::feed) and [`flush`](Self::flush).
    pub async fn send(&mut self, outgoing: impl Into<Outgoing>) -> Result<(), SendError> {
        let outgoing = outgoing.into();
        if self.inner().is_over_bound(&outgoing) {
            self.flush().await?;
        }
        self.feed(outgoing)?;
        self.flush().await
    }

    /// Queues something, framed as RFC 6455 §5.2 has it, without writing it. Feed a batch, then [`flush`](Self::flush) once.
    ///
    /// # Errors
    /// [`SendError::QueueFull`] when more than [`Limits::queue_bytes_max`] would wait, [`SendError::Closed`] once we have
    /// closed, and as [`SendRefused`].
    pub fn feed(&mut self, outgoing: impl Into<Outgoing>) -> Result<(), SendError> {
        self.inner_mut().feed(outgoing.into())
    }

    /// Writes everything queued with as few writes as the transport allows: usually one.
    ///
    /// # Errors
    /// [`SendError::TimedOut`] when the peer takes nothing for [`Limits::write_timeout`]; [`SendError::Io`].
    /// The socket is done then.
    pub async fn flush(&mut self) -> Result<(), SendError> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// [`flush`](Self::flush) for those who poll.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.inner_mut().poll_flush(cx)
    }

    /// Closes (RFC 6455 §7.1.2): writes what is queued and a close frame, waits for the peer's until
    /// [`Limits::close_timeout`] while discarding what still arrives, and returns it; `None` when it did not come.
    ///
    /// [`CloseCode::NO_STATUS`] sends a frame without code or reason. To close without waiting here,
    /// [`feed`](Self::feed) a [`CloseFrame`] and go on with [`receive`](Self::receive) until it says `None`.
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Option<CloseFrame> {
        // Refused when a close frame is on its way already; then this waits for its answer.
        let _ = self.feed(CloseFrame::new(code, reason));
        while let Some(Ok(_)) = self.receive_event().await {}
        self.close_frame().cloned()
    }

    /// What the peer closed with, once it has (RFC 6455 §7.1.5 and §7.1.6).
    #[must_use]
    pub fn close_frame(&self) -> Option<&CloseFrame> {
        self.inner().peer_close.as_deref()
    }

    /// Whether more input is at hand, so that the next [`receive`](Self::receive) probably need not wait. An echo server
    /// that flushes only when this is false answers a batch with one write.
    #[must_use]
    pub fn has_input(&self) -> bool {
        self.inner().has_input()
    }

    /// Bytes of frames that wait to be written.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.inner().queued_bytes()
    }

    /// A handle with which any task can send through this socket, bounded to `bytes_max` waiting bytes, some 64 of which
    /// each message takes besides its payload. What it sends goes out while the owner is in [`receive`](Self::receive). All
    /// senders of a socket share the first one's bound.
    pub fn sender(&mut self, bytes_max: usize) -> Sender {
        self.inner_mut().sender(bytes_max)
    }

    /// Sends a ping every `interval` while the owner is in [`receive`](Self::receive), which fails with
    /// [`ReceiveError::Silent`] when nothing at all has arrived for a whole interval after a ping. So a dead peer is
    /// noticed within two intervals of its last sign of life. An owner that is busy for longer than that reads what has
    /// arrived meanwhile before it gives up.
    ///
    /// What was written before a ping buys the peer time, since the ping waits behind it, until a pong shows that it has
    /// been read: [`Limits::write_timeout`] for each [`WRITE_PROGRESS_BYTES`](crate::limits::WRITE_PROGRESS_BYTES), up to
    /// [`HEARTBEAT_TIMEOUT_MAX`](crate::limits::HEARTBEAT_TIMEOUT_MAX).
    pub fn set_heartbeat(&mut self, interval: Option<Duration>) {
        self.inner_mut().set_heartbeat(interval);
    }

    /// How long the peer may take to answer a ping of [`set_heartbeat`](Self::set_heartbeat), which must come first: a whole
    /// interval unless said otherwise.
    pub fn set_heartbeat_timeout(&mut self, timeout: Duration) {
        self.inner_mut().set_heartbeat_timeout(timeout);
    }

    /// What [`receive`](Self::receive) closes with when the server shuts down: 1001 without a reason unless said
    /// otherwise. `None` leaves it to the owner, who can wait for [`shutdown_token`](Self::shutdown_token).
    pub fn set_shutdown_close(&mut self, frame: Option<CloseFrame>) {
        self.inner_mut().set_shutdown_close(frame);
    }

    /// Fires when the server shuts down, if the server has such a token.
    #[must_use]
    pub fn shutdown_token(&self) -> Option<&CancellationToken> {
        self.inner().shutdown_token()
    }

    /// Closes with `frame` when `token` fires, as long as the owner is in [`receive`](Self::receive).
    pub fn close_on(&mut self, token: CancellationToken, frame: Option<CloseFrame>) {
        self.inner_mut().close_on(token, frame);
    }

    /// Takes other limits from now on; a message that has begun to arrive goes on under the old one. A server may, for
    /// example, take longer messages once it knows who is there.
    pub fn set_limits(&mut self, limits: Limits) {
        self.inner_mut().set_limits(limits);
    }

    /// Which end this is.
    #[must_use]
    pub fn role(&self) -> Role {
        self.inner().machine.role()
    }

    /// The subprotocol that the handshake agreed on (RFC 6455 §1.9).
    #[must_use]
    pub fn protocol(&self) -> Option<&str> {
        self.inner().protocol.as_deref()
    }

    /// Whether permessage-deflate was agreed on (RFC 7692).
    #[must_use]
    pub fn is_compressed(&self) -> bool {
        self.inner().machine.is_compressed()
    }

    /// Whether it sends frames that were [compressed](crate::Prepared::deflated) when they were made.
    #[must_use]
    pub fn takes_deflated(&self) -> bool {
        self.inner().machine.takes_deflated()
    }

    /// From the next message on, compresses at another level: 1 (fast) to 9 (small).
    #[cfg(feature = "deflate")]
    pub fn set_compression_level(&mut self, level: u32) {
        self.inner_mut().machine.set_compression_level(level);
    }

    /// Messages and bytes so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.inner().machine.statistics()
    }

    /// Bytes read from the stream so far, frames' heads and unfinished messages included: whether something is arriving
    /// at all.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.inner().bytes_read
    }

    /// The byte stream underneath, for example to ask its addresses.
    #[must_use]
    pub fn stream(&self) -> &S {
        &self.inner().stream
    }

    /// The byte stream underneath, to set its options. Whoever reads or writes it breaks the connection.
    #[must_use]
    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.inner_mut().stream
    }

    /// Drops the connection at once, without a close frame and without waiting.
    pub fn abort(mut self) {
        self.inner_mut().rescue = None;
    }

    #[cfg(feature = "hyper")]
    pub(crate) fn from_inner(inner: Box<Inner<S>>) -> Self {
        WebSocket { inner: Some(inner) }
    }

    pub(crate) fn set_protocol(&mut self, protocol: Option<String>) {
        self.inner_mut().protocol = protocol.map(String::into_boxed_str);
    }
}

impl<S> WebSocket<S> {
    fn inner(&self) -> &Inner<S> {
        self.inner.as_deref().expect("only dropping empties it")
    }

    pub(crate) fn inner_mut(&mut self) -> &mut Inner<S> {
        self.inner.as_deref_mut().expect("only dropping empties it")
    }
}

/// A socket that was not closed goes back to whoever watches over its task and closes it in order.
impl<S> Drop for WebSocket<S> {
    fn drop(&mut self) {
        if let Some(mut inner) = self.inner.take()
            && let Some(rescue) = inner.rescue.take()
            && !inner.is_finished()
        {
            *rescue.left() = Some(inner);
        }
    }
}

impl<S> std::fmt::Debug for WebSocket<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebSocket").field("machine", &self.inner().machine).finish_non_exhaustive()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> futures_core::Stream for WebSocket<S> {
    type Item = Result<Message, ReceiveError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_receive(cx)
    }
}

/// Closing the sink sends a close frame with 1000 and writes it, without waiting for the peer's.
impl<S: AsyncRead + AsyncWrite + Unpin> futures_sink::Sink<Message> for WebSocket<S> {
    type Error = SendError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        if self.inner().is_half_full() { WebSocket::poll_flush(&mut self, cx) } else { Poll::Ready(Ok(())) }
    }

    fn start_send(mut self: Pin<&mut Self>, item: Message) -> Result<(), SendError> {
        self.feed(item)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        WebSocket::poll_flush(&mut self, cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let _ = self.feed(CloseCode::NORMAL);
        WebSocket::poll_flush(&mut self, cx)
    }
}

/// Two connected sockets in memory, client and server, for tests.
#[must_use]
pub fn pair(limits: Limits) -> (WebSocket<DuplexStream>, WebSocket<DuplexStream>) {
    let (client, server) = tokio::io::duplex(READ_BUFFER_BYTES);
    (WebSocket::new(client, Role::Client, limits), WebSocket::new(server, Role::Server, limits))
}

/// How a connection failed. A clean close is no error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// The peer broke the protocol or a limit, and has been told with [`ProtocolError::close_code`].
    #[error("the peer broke the protocol: {0}")]
    Protocol(#[from] ProtocolError),
    /// The connection ended without a close frame (1006).
    #[error("the connection ended without a close frame")]
    Disconnected,
    /// No sign of life for a heartbeat's time.
    #[error("the peer has gone silent")]
    Silent,
    /// The peer took nothing for [`Limits::write_timeout`].
    #[error("the peer does not read")]
    WriteTimedOut,
    /// The peer did not answer our close frame within [`Limits::close_timeout`].
    #[error("the peer did not answer the close frame")]
    CloseTimedOut,
    /// The transport failed.
    #[error("the transport failed: {0}")]
    Io(#[from] io::Error),
}

impl ReceiveError {
    /// The close code that says the same: what the peer was told about a violation, and otherwise 1006
    /// ([`CloseCode::ABNORMAL`]), which never travels (RFC 6455 §7.1.5).
    #[must_use]
    pub const fn close_code(&self) -> CloseCode {
        match self {
            ReceiveError::Protocol(error) => error.close_code(),
            _ => CloseCode::ABNORMAL,
        }
    }
}

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The connection is closing, closed, or has failed.
    #[error("the connection is closed")]
    Closed,
    /// A message that is being written in fragments must be finished first.
    #[error("a message is unfinished")]
    Unfinished,
    /// A ping or pong may carry 125 bytes.
    #[error("a control frame may carry 125 bytes")]
    ControlTooLong,
    /// Text that is written in parts must be UTF-8.
    #[error("text must be UTF-8")]
    InvalidUtf8,
    /// The frame is compressed, and this connection has not agreed to that, or to another window.
    #[error("the connection has not agreed to this compression")]
    NotAgreed,
    /// More than [`Limits::queue_bytes_max`] would wait to be written.
    #[error("too much waits to be written")]
    QueueFull,
    /// The peer took nothing for [`Limits::write_timeout`].
    #[error("the peer does not read")]
    TimedOut,
    /// The transport failed.
    #[error("the transport failed: {0}")]
    Io(#[from] io::Error),
}

impl From<SendRefused> for SendError {
    fn from(refused: SendRefused) -> Self {
        match refused {
            SendRefused::Closed => SendError::Closed,
            SendRefused::Unfinished => SendError::Unfinished,
            SendRefused::ControlTooLong => SendError::ControlTooLong,
            SendRefused::NotAgreed => SendError::NotAgreed,
        }
    }
}

/// What a socket and whoever watches over its task share.
pub(crate) struct Rescue<S> {
    /// Where the socket goes when it is dropped and was not closed.
    left: Mutex<Option<Box<Inner<S>>>>,
    /// What is kept for the server until the socket is gone and its handler has ended.
    _kept: Option<Arc<dyn Any + Send + Sync>>,
}

impl<S> Rescue<S> {
    #[cfg(feature = "hyper")]
    pub(crate) fn new(kept: Option<Arc<dyn Any + Send + Sync>>) -> Self {
        Self { left: Mutex::new(None), _kept: kept }
    }

    pub(crate) fn left(&self) -> MutexGuard<'_, Option<Box<Inner<S>>>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
