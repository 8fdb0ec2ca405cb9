//! Drives one session: performs its actions, runs its operations, keeps its deadlines, hands out what to write.
//!
//! Needs no socket. A transport is one loop around it:
//!
//! ```no_run
//! # use bytes::Bytes;
//! # use tidings_hub::{ConnectionOptions, Framing, Hub, Identity, Step};
//! # struct Socket;
//! # impl Socket {
//! #     async fn receive(&mut self) -> Option<Result<String, std::io::Error>> { None }
//! #     fn feed(&mut self, _: Bytes) {}
//! #     async fn flush(&mut self) -> std::io::Result<()> { Ok(()) }
//! #     async fn close(&mut self, _: u16, _: &str) {}
//! # }
//! /// One WebSocket message each, framed once for all who receive it.
//! const FRAMING: Framing = Framing::new("websocket", |message| message /* Prepared::text(message).into_bytes() */);
//!
//! async fn serve(hub: Hub, mut socket: Socket, identity: Option<Identity>) {
//!     let mut connection = hub.connect(ConnectionOptions { identity, framing: FRAMING, ..Default::default() });
//!     let close = loop {
//!         tokio::select! {
//!             message = socket.receive(), if connection.wants_input() => match message {
//!                 Some(Ok(text)) => connection.receive(text.as_bytes()),
//!                 Some(Err(_)) | None => return, // gone; dropping the connection leaves its channels
//!             },
//!             step = connection.next() => match step {
//!                 Step::Send(frames) => {
//!                     frames.into_iter().for_each(|frame| socket.feed(frame));
//!                     // Keeps answering deadlines while the peer does not read.
//!                     match connection.during(socket.flush()).await {
//!                         Ok(Ok(())) => {}
//!                         Ok(Err(_)) => return,
//!                         Err(close) => break close,
//!                     }
//!                 }
//!                 Step::Close(close) => break close,
//!             },
//!         }
//!     };
//!     let _ = connection.end(&close); // leaves its channels before the peer answers the close
//!     socket.close(close.code, &close.reason).await;
//! }
//! ```

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tidings_protocol::{Disconnect, Error, Publication, PushEvent, Reply, Unsubscribe};
use tokio::time::{Instant, Sleep, sleep_until};
use uuid::Uuid;

use crate::channel::Revoked;
use crate::core::Core;
use crate::handle::Handle;
use crate::limits::{CATCH_UP_BYTES, CLOSING_MAX, REPLIES_WHILE_WRITING_MAX};
use crate::metrics::Metrics;
use crate::operations;
use crate::outbox::Pushed;
use crate::session::{Action, Admission, Control, Emulation, Outcome, Session, Setup};
use crate::{ChannelName, ConnectionOptions, Heartbeat};

/// One connection of the hub, without its socket.
pub struct Connection {
    core: Arc<Core>,
    handle: Arc<Handle>,
    session: Session,
    operation: Option<BoxFuture<'static, Outcome>>,
    timer: Option<Pin<Box<Sleep>>>,
    /// Set once the connection is closed: until when what is queued may still be written.
    closing_by: Option<Instant>,
    /// It is counted among those that did not keep up.
    counted_slow: bool,
    /// Bytes of answers that the transport is writing.
    writing: usize,
    /// Subscriptions whose reply has left and that get what they missed, a piece at a time, before they go live.
    catching_up: VecDeque<CatchingUp>,
}

/// A subscription on its way from its reply to the live publications, which the channel holds back for it.
struct CatchingUp {
    channel: ChannelName,
    behind: VecDeque<Publication>,
    admission: Admission,
}

/// What the transport shall do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Write these, each already framed, with as few writes as possible.
    Send(Vec<Bytes>),
    /// Close with this code and reason.
    Close(Disconnect),
}

impl Connection {
    /// Opens a connection; see [`Hub::connect`](crate::Hub::connect).
    pub(crate) fn open(core: Arc<Core>, options: ConnectionOptions) -> Self {
        let (heartbeat, encoding) = (options.heartbeat, options.encoding);
        let emulation = options
            .emulated
            .then(|| Box::new(Emulation { session: Uuid::new_v4().to_string(), node: core.node.clone() }));
        let key = core.next_key.fetch_add(1, Ordering::Relaxed);
        let handle = Arc::new(Handle::new(key, options, &core.accounts));
        core.registry.add(&handle);
        Metrics::add(&core.metrics.connections_opened, 1);
        if core.shutting_down.load(Ordering::SeqCst) {
            handle.outbox.close(Disconnect::SHUTDOWN);
        }
        let setup = Setup {
            client: handle.peer().id,
            version: core.version.clone(),
            limits: core.limits.clone(),
            encoding,
            emulation,
            pings: heartbeat == Heartbeat::Protocol,
            jitter: f64::from(handle.id.as_bytes()[0]) / 255.0,
        };
        let session = Session::new(setup, Instant::now().into_std());
        Self {
            core,
            handle,
            session,
            operation: None,
            timer: None,
            closing_by: None,
            counted_slow: false,
            writing: 0,
            catching_up: VecDeque::new(),
        }
    }

    /// The secret by which the requests of a transport with two separate directions find this connection again, when
    /// [`ConnectionOptions::emulated`] asked for one.
    #[must_use]
    pub fn emulation_session(&self) -> Option<&str> {
        self.session.emulation().map(|emulation| &*emulation.session)
    }

    /// Ends the connection before its peer answers the close: leaves its channels, and counts why, which may be that the
    /// transport could not write. Returns the last message for a transport that has no close codes, written and wrapped
    /// as all others.
    #[must_use]
    pub fn end(mut self, why: &Disconnect) -> Option<Bytes> {
        self.count_slow(why);
        self.handle.outbox.close(why.clone());
        let push = Reply::push("", PushEvent::Disconnect(why.clone()));
        self.handle.format.encode(|encoding| encoding.encode_reply(&push))
    }

    /// The connection's id.
    #[must_use]
    pub fn id(&self) -> String {
        self.handle.id.to_string()
    }

    /// Takes one message of the transport.
    pub fn receive(&mut self, frame: &[u8]) {
        let metrics = &self.core.metrics;
        Metrics::add(&metrics.bytes_in, frame.len());
        self.apply_controls();
        let account = self.handle.account();
        let commands = self.session.handle_frame(frame, &*account, Instant::now().into_std());
        Metrics::add(&self.core.metrics.commands, commands);
        self.act();
    }

    /// Whether the transport should be read; not while too many commands wait, so that the peer feels it.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        self.session.wants_input()
    }

    /// As [`wants_input`](Self::wants_input), while something is being written: the answer to a ping must not wait for
    /// the end of a long write, and what a client asks for meanwhile must not fill its queue.
    #[must_use]
    pub fn wants_input_while_writing(&self) -> bool {
        self.wants_input() && self.handle.outbox.reply_bytes() < REPLIES_WHILE_WRITING_MAX
    }

    /// What to do next. Cancel-safe.
    pub async fn next(&mut self) -> Step {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Runs `write` while the connection goes on working; gives up when it is closed and `write` does not come to an
    /// end. This is what closes a reader who does not read. A transport that can read while it writes lets `write` end
    /// early with what it read, as long as [`wants_input_while_writing`](Self::wants_input_while_writing): the answers to
    /// pings are in it.
    ///
    /// # Errors
    /// The reason to close, with `write` dropped halfway.
    pub async fn during<F: Future>(&mut self, write: F) -> Result<F::Output, Disconnect> {
        let mut write = pin!(write);
        poll_fn(|cx| {
            if let Poll::Ready(written) = write.as_mut().poll(cx) {
                return Poll::Ready(Ok(written));
            }
            self.poll_background(cx);
            let Some(disconnect) = self.handle.outbox.watch(cx) else { return Poll::Pending };
            if self.is_cut(&disconnect) { Poll::Ready(Err(disconnect)) } else { Poll::Pending }
        })
        .await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        // Whoever asks for the next step has written the last one.
        self.writing = 0;
        self.poll_background(cx);
        self.catch_up();
        self.writing = self.handle.outbox.reply_bytes();
        self.handle.outbox.poll_take(cx, self.handle.format).map(|taken| match taken {
            Ok(frames) => {
                let bytes = frames.iter().map(Bytes::len).sum();
                Metrics::add(&self.core.metrics.bytes_out, bytes);
                self.session.wrote(bytes, Instant::now().into_std());
                Step::Send(frames)
            }
            Err(disconnect) => Step::Close(disconnect),
        })
    }

    /// Does everything but writing.
    fn poll_background(&mut self, cx: &mut Context<'_>) {
        loop {
            if let Some(disconnect) = self.apply_controls() {
                self.session.close(disconnect);
                self.operation = None;
                self.closing_by.get_or_insert_with(|| Instant::now() + CLOSING_MAX);
            }
            self.act();
            self.pace();
            if let Some(operation) = &mut self.operation
                && let Poll::Ready(outcome) = operation.as_mut().poll(cx)
            {
                self.operation = None;
                let account = self.handle.account();
                self.session.complete(outcome, &*account, Instant::now().into_std());
                continue;
            }
            if self.poll_timer(cx).is_pending() {
                return;
            }
            let account = self.handle.account();
            self.session.handle_timeout(&*account, Instant::now().into_std());
            if self.closing_by.is_some_and(|by| Instant::now() >= by) {
                return;
            }
        }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let next = self.session.next_timeout().map(Instant::from_std).or(self.closing_by);
        let Some(next) = next else { return Poll::Pending };
        let timer = match &mut self.timer {
            Some(timer) => {
                if timer.deadline() != next {
                    timer.as_mut().reset(next);
                }
                timer
            }
            none => none.insert(Box::pin(sleep_until(next))),
        };
        timer.as_mut().poll(cx)
    }

    /// Whether a write that hangs is to be given up.
    fn is_cut(&self, why: &Disconnect) -> bool {
        let peer_does_not_read = *why == Disconnect::SLOW || *why == Disconnect::NO_PONG;
        peer_does_not_read || self.closing_by.is_some_and(|by| Instant::now() >= by)
    }

    /// Lets the session know what the hub did; returns why the connection has ended, if it has.
    fn apply_controls(&mut self) -> Option<Disconnect> {
        let (controls, closed) = self.handle.outbox.take_controls();
        for control in controls {
            if let Control::Unsubscribed(channel, why) = &control {
                self.tell_application(channel, why);
                self.catching_up.retain(|one| one.channel != *channel);
            }
            let account = self.handle.account();
            self.session.handle_control(control, &*account, Instant::now().into_std());
        }
        if let Some(why) = &closed {
            self.count_slow(why);
        }
        closed
    }

    /// Once, whether the outbox was full or the transport gave up.
    fn count_slow(&mut self, why: &Disconnect) {
        if *why == Disconnect::SLOW && !std::mem::replace(&mut self.counted_slow, true) {
            Metrics::add(&self.core.metrics.slow_closed, 1);
        }
    }

    fn act(&mut self) {
        while let Some(action) = self.session.poll_action() {
            match action {
                Action::Send(reply) => {
                    self.send(&reply);
                }
                Action::Perform(operation) => {
                    let operation = operations::perform(self.core.clone(), self.handle.clone(), operation);
                    self.operation = Some(operation);
                }
                Action::Abandon => {
                    self.operation = None;
                    Metrics::add(&self.core.metrics.operations_timed_out, 1);
                    tracing::warn!(client = self.id(), "a command was given up: its answer takes too long");
                }
                Action::Admit { channel, admission, reply } => self.admit(&channel, admission, reply.as_ref()),
                Action::Leave { channel, why } => {
                    self.catching_up.retain(|one| one.channel != channel);
                    if self.core.leave(&self.handle, &channel) == Some(true) {
                        self.tell_application(&channel, why.as_ref().unwrap_or(&Unsubscribe::CLIENT));
                    }
                    if let Some(why) = why {
                        self.tell_unsubscribed(&channel, why);
                    }
                }
                Action::Close(disconnect) => self.handle.outbox.close(disconnect),
            }
        }
    }

    /// Begins no command while the client has not read the answers to those before: one frame can ask for much.
    fn pace(&mut self) {
        let paused = self.writing + self.handle.outbox.reply_bytes() >= REPLIES_WHILE_WRITING_MAX;
        if paused || self.session.is_paused() {
            let account = self.handle.account();
            self.session.pause(paused, &*account, Instant::now().into_std());
            self.act();
        }
    }

    fn admit(&mut self, channel: &ChannelName, mut admission: Admission, reply: Option<&Reply>) {
        let behind = VecDeque::from(std::mem::take(&mut admission.behind));
        let admitted = if behind.is_empty() {
            let message = match reply.map(|reply| self.handle.encode(reply)) {
                Some(None) => return,
                written => written.flatten(),
            };
            self.core.admit(&self.handle, channel, admission, message)
        } else if self.handle.is_in(channel) {
            if let Some(reply) = reply {
                self.send(reply);
            }
            self.catching_up.push_back(CatchingUp { channel: channel.clone(), behind, admission });
            Ok(())
        } else {
            Err(Revoked)
        };
        if admitted.is_ok() {
            return;
        }
        self.session.revoked(channel);
        match reply {
            Some(Reply::Answer { id, .. }) => {
                self.send(&Reply::error(*id, Error::PERMISSION_DENIED));
            }
            // Wanted by the server, and not told to the client yet.
            Some(_) => {}
            // The connect reply has told it already.
            None => self.tell_unsubscribed(channel, Unsubscribe::SERVER),
        }
    }

    /// Queues the next piece of what was missed, once nothing else waits: so the replies to all subscribes of a frame
    /// leave before it, in the time that clients wait for them, and no queue holds more than a piece.
    fn catch_up(&mut self) {
        while self.handle.outbox.queued_bytes() < CATCH_UP_BYTES {
            let Some(first) = self.catching_up.front_mut() else { return };
            let is_in = self.handle.is_in(&first.channel);
            if is_in && let Some(publication) = first.behind.pop_front() {
                let push = Reply::push(first.channel.as_str(), PushEvent::Pub(publication));
                if self.send(&push) == Pushed::Closed {
                    return;
                }
                continue;
            }
            let Some(CatchingUp { channel, admission, .. }) = self.catching_up.pop_front() else { return };
            // Taken away meanwhile: its reply has said that it is subscribed.
            if !is_in || self.core.admit(&self.handle, &channel, admission, None).is_err() {
                self.session.revoked(&channel);
                self.tell_unsubscribed(&channel, Unsubscribe::SERVER);
            }
        }
    }

    /// In the connection's own task, so that an application is told in order and may call the hub.
    fn tell_application(&self, channel: &ChannelName, why: &Unsubscribe) {
        self.core.application.unsubscribed(&self.handle.peer(), channel, why);
    }

    fn tell_unsubscribed(&self, channel: &ChannelName, why: Unsubscribe) {
        self.send(&Reply::push(channel.as_str(), PushEvent::Unsubscribe(why)));
    }

    fn send(&self, reply: &Reply) -> Pushed {
        let pushed = self.handle.reply(reply, &self.core.limits);
        Metrics::add(&self.core.metrics.messages_out, usize::from(pushed == Pushed::Queued));
        pushed
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.handle.outbox.close(Disconnect::CONNECTION_CLOSED);
        self.core.registry.remove(&self.handle);
        let closed = self.apply_controls().unwrap_or_default();
        for channel in self.handle.channels() {
            if self.core.leave(&self.handle, &channel) == Some(true) {
                self.tell_application(&channel, &Unsubscribe::DISCONNECTED);
            }
        }
        Metrics::add(&self.core.metrics.connections_closed, 1);
        if self.handle.connected.load(Ordering::Relaxed) {
            self.core.application.disconnected(&self.handle.peer(), &closed);
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("id", &self.handle.id).finish_non_exhaustive()
    }
}
