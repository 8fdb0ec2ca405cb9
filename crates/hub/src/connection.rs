//! Drives one session: performs its actions, runs its operations, keeps its deadlines, hands out what to write.
//!
//! Needs no socket. A transport is one loop around it:
//!
//! ```no_run
//! # use bytes::Bytes;
//! # use std::pin::pin;
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
//!                     match connection.during(pin!(socket.flush())).await {
//!                         Ok(Ok(())) => {}
//!                         Ok(Err(_)) => return,
//!                         Err(close) => break close,
//!                     }
//!                 }
//!                 Step::Flush => unreachable!("there is no other writer"),
//!                 Step::Read => {} // the next turn of the loop looks
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
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::{BoxFuture, MaybeDone, maybe_done};
use tidings_protocol::{Disconnect, Error, Publication, PushEvent, Reply, StreamPosition, Unsubscribe};
use tokio::time::{Instant, Sleep, sleep_until};
use uuid::Uuid;

use crate::core::{CatchesUp, Core};
use crate::handle::Handle;
use crate::history::bytes_of;
use crate::limits::{
    CATCH_UP_BYTES, CATCH_UP_PUBLICATIONS, CATCH_UP_PUBLICATIONS_MAX, CLOSING_MAX, REPLIES_WHILE_WRITING_MAX,
};
use crate::metrics::Metrics;
use crate::operations;
use crate::outbox::{Next, Pushed};
use crate::session::{Action, Admission, Control, Emulation, Outcome, Session, Setup};
use crate::{ChannelName, ConnectionOptions, Heartbeat, HistoryPage, HistoryQuery, ReadError};

/// One connection of the hub, without its socket.
pub struct Connection {
    core: Arc<Core>,
    handle: Arc<Handle>,
    session: Session,
    /// What is being performed, in the order in which the session asked for it, and what came of it.
    operations: VecDeque<MaybeDone<BoxFuture<'static, Outcome>>>,
    timer: Option<Pin<Box<Sleep>>>,
    /// Set once the connection is closed: until when what is queued may still be written.
    closing_by: Option<Instant>,
    /// It is counted among those that did not keep up.
    counted_slow: bool,
    /// Subscriptions whose reply has left and that get what they missed, a piece at a time.
    catching_up: VecDeque<CatchingUp>,
}

/// A subscription on its way from its reply to the live publications. Nothing waits here for a client that reads slowly:
/// each piece is read when its turn comes.
struct CatchingUp {
    channel: ChannelName,
    /// How far it has come.
    position: StreamPosition,
    reading: Option<BoxFuture<'static, Result<HistoryPage, ReadError>>>,
    /// In which form it gets what is being read.
    how: Option<CatchesUp>,
    /// Publications to read for the next piece.
    publications: usize,
}

/// What the transport shall do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Write these, each already framed, with as few writes as possible.
    Send(Vec<Bytes>),
    /// The [`Writer`](crate::Writer) took not all: write what is left of it, and until then ask for nothing.
    Flush,
    /// There is room for commands again: look whether it [wants input](Connection::wants_input).
    Read,
    /// Close with this code and reason.
    Close(Disconnect),
}

impl Connection {
    /// Opens a connection; see [`Hub::connect`](crate::Hub::connect).
    pub(crate) fn open(core: Arc<Core>, options: ConnectionOptions) -> Self {
        let (heartbeat, encoding) = (options.heartbeat, options.encoding);
        // Of the node nobody has to know who says nothing more.
        let node = if encoding.is_one_way() { String::new() } else { core.node.clone() };
        let has_session = options.emulated || encoding.is_one_way();
        let emulation = has_session.then(|| Arc::new(Emulation { session: Uuid::new_v4().to_string(), node }));
        let key = core.next_key.fetch_add(1, Ordering::Relaxed);
        let handle = Arc::new(Handle::new(key, options, emulation.clone(), &core.accounts, &core.loops));
        core.registry.add(&handle);
        Metrics::add(&core.metrics.connections_opened, 1);
        if core.shutting_down.load(Ordering::SeqCst) {
            handle.outbox.close(Disconnect::SHUTDOWN);
        }
        let setup = Setup {
            client: handle.id,
            version: core.version.clone(),
            limits: core.limits.clone(),
            encoding,
            overlapping: core.application.overlapping(),
            emulation,
            pings: heartbeat == Heartbeat::Protocol,
            jitter: f64::from(handle.id.as_bytes()[0]) / 255.0,
            ticks_from: core.began.into_std(),
        };
        let session = Session::new(setup, Instant::now().into_std());
        Self {
            core,
            handle,
            session,
            operations: VecDeque::new(),
            timer: None,
            closing_by: None,
            counted_slow: false,
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
        self.core.metrics.closes.count(why.code.into());
        self.handle.outbox.close(why.clone());
        let push = Reply::push("", PushEvent::Disconnect(why.clone()));
        let format = self.handle.outbox.format;
        format.encoding.encode_reply(&push).ok().map(|message| format.wrap(message))
    }

    /// The transport has closed it by itself, with a code of its own, such as 1009 for a message that is too long.
    pub fn was_closed(&self, code: u16) {
        self.core.metrics.closes.count(code.into());
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
        self.wants_input() && self.handle.outbox.queued_bytes() < REPLIES_WHILE_WRITING_MAX
    }

    /// What to do next. Cancel-safe.
    #[expect(clippy::should_implement_trait, reason = "awaited; an `async fn` has a future of three times the size")]
    pub fn next(&mut self) -> impl Future<Output = Step> {
        poll_fn(|cx| self.poll_next(cx))
    }

    /// Runs `write` while the connection goes on working; gives up when it is closed and `write` does not come to an
    /// end. This is what closes a reader who does not read. A transport that can read while it writes lets `write` end
    /// early with what it read, as long as [`wants_input_while_writing`](Self::wants_input_while_writing): the answers to
    /// pings are in it.
    ///
    /// # Errors
    /// The reason to close, with `write` dropped halfway.
    pub fn during<F: Future + Unpin>(&mut self, mut write: F) -> impl Future<Output = Result<F::Output, Disconnect>> {
        poll_fn(move |cx| {
            let mut write = Pin::new(&mut write);
            if let Poll::Ready(written) = write.as_mut().poll(cx) {
                return Poll::Ready(Ok(written));
            }
            self.poll_background(cx);
            let Some(disconnect) = self.handle.outbox.watch(cx) else { return Poll::Pending };
            if self.is_cut(&disconnect) { Poll::Ready(Err(disconnect)) } else { Poll::Pending }
        })
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        let is_read = self.wants_input();
        self.poll_background(cx);
        self.catch_up(cx);
        self.handle.outbox.watch_replies(self.session.is_paused() || !self.catching_up.is_empty());
        let next = self.handle.outbox.poll_next(cx);
        if next.is_pending() && self.closing_by.is_some_and(|by| Instant::now() >= by) {
            return Poll::Ready(Step::Close(self.handle.outbox.watch(cx).unwrap_or_default()));
        }
        if next.is_pending() && !is_read && self.wants_input() {
            // Where the loop writes, nothing else has whoever reads look again.
            return Poll::Ready(Step::Read);
        }
        // Replies that were written between the look at them and the watch have woken nobody.
        if next.is_pending() && self.can_go_on() {
            cx.waker().wake_by_ref();
        }
        next.map(|next| match next {
            Next::Send(frames) => {
                self.session.wrote(frames.iter().map(Bytes::len).sum(), Instant::now().into_std());
                Step::Send(frames)
            }
            Next::Flush => Step::Flush,
            Next::Close(disconnect) => Step::Close(disconnect),
        })
    }

    /// Does everything but writing.
    fn poll_background(&mut self, cx: &mut Context<'_>) {
        loop {
            if let Some(disconnect) = self.apply_controls() {
                self.session.close(disconnect);
                self.operations = VecDeque::new();
                self.closing_by.get_or_insert_with(|| Instant::now() + CLOSING_MAX);
            }
            self.act();
            self.pace();
            let written = self.handle.outbox.take_written();
            if written > 0 {
                self.session.wrote(written, Instant::now().into_std());
            }
            if self.poll_operations(cx) {
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

    /// Goes on with all that is being performed, and tells the session what came of it, both in order; says whether there
    /// was anything to tell.
    fn poll_operations(&mut self, cx: &mut Context<'_>) -> bool {
        for operation in &mut self.operations {
            // Whether it is done is asked of the first alone.
            let _ = Pin::new(operation).poll(cx);
        }
        let mut told = false;
        while let Some(outcome) = self.operations.front_mut().and_then(|first| Pin::new(first).take_output()) {
            self.operations.pop_front();
            let (account, now) = (self.handle.account(), Instant::now().into_std());
            // The next command waits for a look at what this answer adds to those that are not read yet.
            self.session.pause(true, &*account, now);
            self.session.complete(outcome, &*account, now);
            told = true;
        }
        if self.operations.is_empty() && self.operations.capacity() > 0 {
            self.operations = VecDeque::new();
        }
        told
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
            match &control {
                Control::Unsubscribed(channel, why) => {
                    self.tell_application(channel, why);
                    self.catching_up.retain(|one| one.channel != *channel);
                }
                Control::Lags(channel) => {
                    self.core.lag(&self.handle, channel);
                    continue;
                }
                _ => {}
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
                    if let Reply::Answer { result: Err(error), .. } = &reply {
                        self.core.metrics.errors.count(error.code);
                    }
                    self.send(&reply);
                }
                Action::Perform(operation) => {
                    let operation = operations::perform(self.core.clone(), self.handle.clone(), operation);
                    self.operations.push_back(maybe_done(operation));
                }
                Action::Abandon => {
                    self.operations.pop_front();
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
        let paused = !self.may_ask();
        if paused || self.session.is_paused() {
            let account = self.handle.account();
            self.session.pause(paused, &*account, Instant::now().into_std());
            self.act();
        }
    }

    /// Whether its client has read enough of the answers to what it asked before.
    fn may_ask(&self) -> bool {
        let may_wait = self.core.loops.answers().share().min(REPLIES_WHILE_WRITING_MAX);
        self.handle.outbox.unwritten_reply_bytes() < may_wait
    }

    /// Whether it waits for replies to be written that have been.
    fn can_go_on(&self) -> bool {
        let outbox = &self.handle.outbox;
        let is_to_read = self.catching_up.front().is_some_and(|first| first.reading.is_none());
        self.session.is_paused() && self.may_ask() || is_to_read && outbox.queued_bytes() < CATCH_UP_BYTES
    }

    fn admit(&mut self, channel: &ChannelName, admission: Admission, reply: Option<&Reply>) {
        let message = match reply.map(|reply| self.handle.encode(reply)) {
            Some(None) => return,
            written => written.flatten(),
        };
        let behind = admission.position.clone().filter(|_| admission.is_behind);
        if self.core.admit(&self.handle, channel, admission, message).is_ok() {
            if let Some(position) = behind {
                let publications = CATCH_UP_PUBLICATIONS;
                let catching_up =
                    CatchingUp { channel: channel.clone(), position, reading: None, how: None, publications };
                self.catching_up.push_back(catching_up);
            }
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

    /// Reads and queues the next piece of what was missed, once nothing else waits: so the replies to all subscribes of a
    /// frame leave before it, in the time that clients wait for them, and no queue holds more than a piece.
    fn catch_up(&mut self, cx: &mut Context<'_>) {
        while self.handle.outbox.queued_bytes() < CATCH_UP_BYTES {
            let Some(first) = self.catching_up.front_mut() else { return };
            let Some(reading) = &mut first.reading else {
                // From here on nothing falls between what is read and what is held back.
                match self.core.hold(&self.handle, &first.channel) {
                    Some(how) => (first.how, first.reading) = (Some(how), Some(first.read(self.core.clone()))),
                    None => _ = self.catching_up.pop_front(),
                }
                continue;
            };
            let Poll::Ready(page) = reading.as_mut().poll(cx) else { return };
            let Some(mut first) = self.catching_up.pop_front() else { return };
            first.reading = None;
            // Taken away meanwhile, and told so, or about to be.
            if !self.handle.is_in(&first.channel) {
                continue;
            }
            let Some((piece, is_all)) = page.ok().and_then(|page| first.piece_of(page)) else {
                self.core.lose_one(&self.handle, &first.channel);
                continue;
            };
            let written = |publication| first.how.as_ref()?.write(&first.channel, publication);
            for message in piece.iter().filter_map(written) {
                if self.handle.push(message.ok(), &self.core.limits) == Pushed::Closed {
                    return;
                }
            }
            if !self.core.catch_up(&self.handle, &first.channel, first.position.offset, is_all) {
                self.catching_up.push_front(first);
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
        self.handle.reply(reply, &self.core.limits)
    }
}

impl CatchingUp {
    fn read(&self, core: Arc<Core>) -> BoxFuture<'static, Result<HistoryPage, ReadError>> {
        let channel = self.channel.clone();
        let query = HistoryQuery {
            since: Some(self.position.offset),
            limit: self.publications,
            bytes_max: Some(CATCH_UP_BYTES),
            ..HistoryQuery::default()
        };
        Box::pin(async move { core.read(&channel, query).await })
    }

    /// Takes a piece of a page, and says whether the stream has no more; `None` when something is missing before it.
    fn piece_of(&mut self, page: HistoryPage) -> Option<(Vec<Publication>, bool)> {
        let HistoryPage { mut publications, top } = page;
        let next = publications.first().map_or(top.offset + 1, |first| first.offset);
        if top.epoch != self.position.epoch || next != self.position.offset + 1 {
            return None;
        }
        let mut bytes = 0;
        let before_the_last = publications.iter().take_while(|publication| {
            bytes += bytes_of(publication);
            bytes < CATCH_UP_BYTES
        });
        let taken = before_the_last.count() + 1;
        let more = if taken < publications.len() { taken + 1 } else { self.publications * 2 };
        self.publications = more.min(CATCH_UP_PUBLICATIONS_MAX);
        publications.truncate(taken);
        self.position.offset = publications.last().map_or(self.position.offset, |last| last.offset);
        Some((publications, self.position.offset == top.offset))
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
        self.handle.outbox.gone();
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
