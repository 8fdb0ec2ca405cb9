//! Driving the state machine: reading, writing, and the four clocks (write, close, heartbeat, shutdown).

use super::{ReceiveError, Rescue, SendError, Sender, queue::WriteQueue, sender::Shared};
#[cfg(feature = "hyper")]
use crate::direct::DirectWriter;
use crate::{
    CloseFrame, Event, Frame, Kind, Limits, Machine, Outgoing, Role, Step,
    limits::{BYTES_BEFORE_DIRECT, HEARTBEAT_TIMEOUT_MAX, QUEUED_REPLIES_MAX, READ_BUFFER_BYTES, WRITE_PROGRESS_BYTES},
};
use bytes::{Bytes, buf::Limit};
use std::{
    cell::Cell,
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};
use tokio_util::{
    io::poll_read_buf,
    sync::{CancellationToken, WaitForCancellationFutureOwned},
};

thread_local! {
    /// What every socket of the thread reads into. Taken out while in use, so that a stream that is itself made of sockets
    /// finds none and makes its own.
    static READ_BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

pub(crate) struct Inner<S> {
    pub(crate) stream: S,
    pub(crate) machine: Machine,
    pub(crate) peer_close: Option<Box<CloseFrame>>,
    pub(crate) protocol: Option<Box<str>>,
    pub(crate) rescue: Option<Arc<Rescue<S>>>,
    /// Whether messages that begin from now on are wanted in parts.
    pub(super) wants_parts: bool,
    /// Nobody wants the rest of the message that is arriving in parts.
    pub(super) skip_parts: bool,
    limits: Limits,
    queue: WriteQueue,
    /// Pongs and the like that were queued since the queue was last empty.
    replies: usize,
    /// Bytes read beyond the last event.
    input: Vec<u8>,
    input_at: usize,
    unflushed: bool,
    /// Bytes read from the transport.
    pub(super) bytes_read: u64,
    /// Bytes written since the write deadline last began.
    written: usize,
    write_deadline: Option<Pin<Box<Sleep>>>,
    close_deadline: Option<Pin<Box<Sleep>>>,
    heartbeat: Option<Box<Heartbeat>>,
    shutdown_token: Option<CancellationToken>,
    /// Until it has fired; none where closing is left to the owner.
    shutdown: Option<Box<Shutdown>>,
    senders: Option<Arc<Shared>>,
    /// Who writes past this one, and how much of what it left had been written when that last moved the write deadline.
    #[cfg(feature = "hyper")]
    pub(crate) beside: Option<(DirectWriter, usize)>,
    state: State,
}

enum State {
    Open,
    Ending(Box<Ending>),
    Finished,
}

/// The last things to do, within a time limit, before the socket is done.
struct Ending {
    outcome: Result<Event, ReceiveError>,
    deadline: Pin<Box<Sleep>>,
    steps: &'static [LastStep],
}

#[derive(Clone, Copy)]
enum LastStep {
    Flush,
    /// Ends our direction of the transport.
    Shutdown,
    /// Waits until the peer ends its direction. A server that drops the transport before, with input unread, would make
    /// the kernel reset the connection and so destroy the close frame on its way.
    Drain,
}

struct Heartbeat {
    interval: Duration,
    /// How long an answer may take.
    timeout: Duration,
    ping_at: Instant,
    /// Since when an answer is waited for: anything that is heard.
    asked: Option<Instant>,
    /// Bytes written that no pong has told to be read.
    unanswered: usize,
    /// Of these, together with what waited to be written, those before the first ping that no pong has come for.
    before_ping: Option<usize>,
    /// Rings at the next ping, or when the answer is overdue.
    alarm: Pin<Box<Sleep>>,
    /// Nothing has been heard in time, unless it waits to be read.
    overdue: bool,
}

impl Heartbeat {
    fn new(interval: Duration) -> Self {
        let ping_at = Instant::now() + interval;
        let alarm = Box::pin(sleep(interval));
        Self {
            interval,
            timeout: interval,
            ping_at,
            asked: None,
            unanswered: 0,
            before_ping: None,
            alarm,
            overdue: false,
        }
    }

    /// Whatever is heard shows that the peer lives. What it has read, only a pong does.
    fn heard(&mut self) {
        self.asked = None;
        self.overdue = false;
    }

    /// What was written before the ping has been read; what was written behind it is still on its way.
    fn answered(&mut self) {
        if let Some(read) = self.before_ping.take() {
            self.unanswered = self.unanswered.saturating_sub(read);
        }
    }

    /// When the answer is overdue: what no pong has settled yet, `waiting` bytes of it still with us, takes its time.
    fn answer_by(&self, limits: &Limits, waiting: usize) -> Option<Instant> {
        let kib = |bytes: usize| u32::try_from(bytes / 1024).unwrap_or(u32::MAX);
        let takes = limits.write_timeout.saturating_mul(kib(self.unanswered.saturating_add(waiting)));
        let allowed = self.timeout.saturating_add(takes / kib(WRITE_PROGRESS_BYTES));
        Some(self.asked? + allowed.min(HEARTBEAT_TIMEOUT_MAX.max(self.timeout)))
    }
}

/// What the socket closes with by itself when its token fires.
struct Shutdown {
    fired: Pin<Box<WaitForCancellationFutureOwned>>,
    close: CloseFrame,
}

impl<S> Inner<S> {
    pub(crate) fn new(stream: S, machine: Machine, limits: Limits) -> Self {
        Inner {
            stream,
            machine,
            peer_close: None,
            protocol: None,
            rescue: None,
            wants_parts: false,
            skip_parts: false,
            limits,
            queue: WriteQueue::default(),
            replies: 0,
            input: Vec::new(),
            input_at: 0,
            unflushed: false,
            bytes_read: 0,
            written: 0,
            write_deadline: None,
            close_deadline: None,
            heartbeat: None,
            shutdown_token: None,
            shutdown: None,
            senders: None,
            #[cfg(feature = "hyper")]
            beside: None,
            state: State::Open,
        }
    }

    pub(crate) fn is_finished(&self) -> bool {
        matches!(self.state, State::Finished)
    }

    pub(super) fn read_ahead(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    pub(super) fn has_input(&self) -> bool {
        !self.input.is_empty()
    }

    pub(super) fn queued_bytes(&self) -> usize {
        self.queue.bytes()
    }

    pub(super) fn is_half_full(&self) -> bool {
        self.queue.bytes() > self.limits.queue_bytes_max / 2
    }

    pub(super) fn is_over_bound(&self, outgoing: &Outgoing) -> bool {
        !self.queue.is_empty() && self.queue.bytes() + outgoing.len() > self.limits.queue_bytes_max
    }

    pub(super) fn feed(&mut self, outgoing: Outgoing) -> Result<(), SendError> {
        if !matches!(self.state, State::Open) {
            return Err(SendError::Closed);
        }
        if self.is_over_bound(&outgoing) && !matches!(outgoing, Outgoing::Close(_)) {
            return Err(SendError::QueueFull);
        }
        let frame = self.machine.send(outgoing)?;
        self.push(frame);
        Ok(())
    }

    pub(super) fn feed_fragment(
        &mut self,
        kind: Kind,
        payload: Bytes,
        last: bool,
        compress: bool,
    ) -> Result<(), SendError> {
        if !matches!(self.state, State::Open) {
            return Err(SendError::Closed);
        }
        let frame = self.machine.send_fragment(kind, payload, last, compress)?;
        self.push(frame);
        Ok(())
    }

    pub(super) fn sender(&mut self, bytes_max: usize) -> Sender {
        let shared = Arc::clone(self.senders.get_or_insert_with(|| Arc::new(Shared::new(bytes_max))));
        if !matches!(self.state, State::Open) {
            shared.close();
        }
        Sender::new(shared)
    }

    pub(super) fn set_limits(&mut self, limits: Limits) {
        self.machine.set_limits(&limits);
        self.limits = limits;
    }

    pub(super) fn set_heartbeat(&mut self, interval: Option<Duration>) {
        self.heartbeat = interval.map(|interval| Box::new(Heartbeat::new(interval)));
    }

    pub(super) fn set_heartbeat_timeout(&mut self, timeout: Duration) {
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.timeout = timeout;
        }
    }

    pub(super) fn close_on(&mut self, token: CancellationToken, close: Option<CloseFrame>) {
        self.shutdown_token = Some(token);
        self.set_shutdown_close(close);
    }

    pub(super) fn set_shutdown_close(&mut self, frame: Option<CloseFrame>) {
        let fired = |token: &CancellationToken| Box::pin(token.clone().cancelled_owned());
        self.shutdown = frame
            .zip(self.shutdown_token.as_ref())
            .map(|(close, token)| Box::new(Shutdown { fired: fired(token), close }));
    }

    pub(super) fn shutdown_token(&self) -> Option<&CancellationToken> {
        self.shutdown_token.as_ref()
    }

    #[cfg(feature = "hyper")]
    pub(crate) fn wants_flush(&mut self) {
        self.unflushed = true;
    }

    fn push(&mut self, frame: Frame) {
        self.queue.push(frame);
        self.unflushed = true;
    }

    fn drop_input(&mut self) {
        self.input = Vec::new();
        self.input_at = 0;
    }

    fn finish(&mut self) {
        self.state = State::Finished;
        self.queue.clear();
        self.drop_input();
        self.write_deadline = None;
        self.close_deadline = None;
        self.heartbeat = None;
        self.close_senders();
    }

    pub(super) fn close_senders(&self) {
        if let Some(senders) = &self.senders {
            senders.close();
        }
    }

    fn end(&mut self, outcome: Result<Event, ReceiveError>, steps: &'static [LastStep]) {
        let deadline = Box::pin(sleep(self.limits.close_timeout));
        self.drop_input();
        self.state = State::Ending(Box::new(Ending { outcome, deadline, steps }));
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Inner<S> {
    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Event, ReceiveError>>> {
        loop {
            match &self.state {
                State::Open => {}
                State::Ending(_) => return self.poll_ending(cx).map(Some),
                State::Finished => return Poll::Ready(None),
            }
            self.poll_shutdown(cx);
            let more_to_send = self.take_from_senders(cx);
            // What the owner fed waits for more of it while input is at hand; what others sent does not.
            if !self.has_input() || self.queue.fills_a_write() || self.senders.is_some() {
                match self.poll_flush(cx) {
                    Poll::Ready(Ok(())) if more_to_send => continue,
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => {
                        self.finish();
                        return Poll::Ready(Some(Err(receive_error(error))));
                    }
                    // The peer asks for answers that it does not read.
                    Poll::Pending if self.replies > QUEUED_REPLIES_MAX => return Poll::Pending,
                    Poll::Pending => {}
                }
            }
            if let Some(error) = self.poll_clocks(cx) {
                self.finish();
                return Poll::Ready(Some(Err(error)));
            }
            self.machine.receive_in_parts(self.wants_parts);
            let step = match self.poll_step(cx) {
                Poll::Ready(step) => step,
                Poll::Pending if self.heartbeat.as_ref().is_some_and(|heartbeat| heartbeat.overdue) => {
                    Err(ReceiveError::Silent)
                }
                Poll::Pending => return Poll::Pending,
            };
            let step = match step {
                Ok(step) => step,
                Err(error) => {
                    self.finish();
                    return Poll::Ready(Some(Err(error)));
                }
            };
            if let Some(reply) = step.reply {
                self.push(reply);
                self.replies += 1;
            }
            if let Some(Ok(Event::Pong(_))) = &step.event
                && let Some(heartbeat) = &mut self.heartbeat
            {
                heartbeat.answered();
            }
            match step.event {
                None => {}
                Some(Ok(Event::Close(frame))) => {
                    self.peer_close = Some(Box::new(frame.clone()));
                    let steps: &[LastStep] = match self.machine.role() {
                        Role::Server => &[LastStep::Flush, LastStep::Shutdown],
                        // The server ends the transport first, so that it, and not the client, is rid of it at once.
                        Role::Client => &[LastStep::Flush, LastStep::Drain, LastStep::Shutdown],
                    };
                    self.end(Ok(Event::Close(frame)), steps);
                }
                Some(Ok(Event::Part(part))) if self.skip_parts => self.skip_parts = !part.last,
                Some(Ok(event)) => return Poll::Ready(Some(Ok(event))),
                Some(Err(error)) => {
                    self.end(Err(error.into()), &[LastStep::Flush, LastStep::Shutdown, LastStep::Drain]);
                }
            }
        }
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        if self.is_finished() {
            return Poll::Ready(Err(SendError::Closed));
        }
        let result = ready!(self.poll_write_queue(cx));
        if result.is_err() {
            self.finish();
        }
        Poll::Ready(result)
    }

    fn poll_write_queue(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        while !self.queue.is_empty() {
            match self.queue.poll_write(Pin::new(&mut self.stream), cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero).into())),
                Poll::Ready(Ok(bytes)) => {
                    self.written += bytes;
                    if let Some(heartbeat) = &mut self.heartbeat {
                        heartbeat.unanswered = heartbeat.unanswered.saturating_add(bytes);
                    }
                    if self.written >= WRITE_PROGRESS_BYTES || self.queue.is_empty() {
                        self.written = 0;
                        self.write_deadline = None;
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => {
                    ready!(self.poll_write_deadline(cx));
                    return Poll::Ready(Err(SendError::TimedOut));
                }
            }
        }
        self.replies = 0;
        if self.unflushed {
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Ready(result) => result?,
                Poll::Pending => {
                    ready!(self.poll_write_deadline(cx));
                    return Poll::Ready(Err(SendError::TimedOut));
                }
            }
            self.unflushed = false;
            self.write_deadline = None;
        }
        Poll::Ready(Ok(()))
    }

    /// A line that takes what a direct writer has left is as alive as one that takes what is queued here.
    #[cfg(feature = "hyper")]
    fn note_flushed(&mut self) {
        if let Some((writer, before)) = &mut self.beside
            && writer.bytes_flushed().wrapping_sub(*before) >= WRITE_PROGRESS_BYTES
        {
            *before = writer.bytes_flushed();
            self.write_deadline = None;
        }
    }

    fn poll_write_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        #[cfg(feature = "hyper")]
        self.note_flushed();
        let timeout = self.limits.write_timeout;
        self.write_deadline.get_or_insert_with(|| Box::pin(sleep(timeout))).as_mut().poll(cx)
    }

    /// What the next bytes mean, reading some if none are at hand.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<Step, ReceiveError>> {
        if self.has_input() {
            let step = self.machine.receive(&mut self.input[self.input_at..]);
            self.input_at += step.consumed;
            if self.input_at == self.input.len() {
                self.drop_input();
            }
            return Poll::Ready(Ok(step));
        }
        let stream = Pin::new(&mut self.stream);
        let read = |room: &mut Limit<&mut Vec<u8>>| poll_read_buf(stream, cx, room);
        if let Some((read, step)) = self.machine.receive_directly(read, &mut self.input) {
            let bytes = ready!(read).map_err(disconnected)?;
            self.heard(bytes)?;
            return Poll::Ready(Ok(step));
        }
        let most = if self.machine.expects_long() { BYTES_BEFORE_DIRECT } else { READ_BUFFER_BYTES };
        with_read_buffer(|buffer| {
            let mut unread = ReadBuf::new(&mut buffer[..most]);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut unread)).map_err(disconnected)?;
            let bytes = unread.filled().len();
            self.heard(bytes)?;
            let step = self.machine.receive(&mut buffer[..bytes]);
            self.input.extend_from_slice(&buffer[step.consumed..bytes]);
            Poll::Ready(Ok(step))
        })
    }

    /// Notes a read of so many bytes.
    fn heard(&mut self, bytes: usize) -> Result<(), ReceiveError> {
        if bytes == 0 {
            return Err(ReceiveError::Disconnected);
        }
        self.bytes_read += bytes as u64;
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.heard();
        }
        Ok(())
    }

    fn poll_ending(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, ReceiveError>> {
        while let State::Ending(ending) = &mut self.state {
            let Some(step) = ending.steps.first() else { break };
            if ending.deadline.as_mut().poll(cx).is_ready() {
                break;
            }
            // A transport that fails now has nothing more to give.
            let failed = match step {
                LastStep::Flush => ready!(self.poll_write_queue(cx)).is_err(),
                LastStep::Shutdown => ready!(Pin::new(&mut self.stream).poll_shutdown(cx)).is_err(),
                LastStep::Drain => ready!(self.poll_drain(cx)).is_err(),
            };
            if let State::Ending(ending) = &mut self.state {
                ending.steps = if failed { &[] } else { &ending.steps[1..] };
            }
        }
        let state = std::mem::replace(&mut self.state, State::Finished);
        self.finish();
        let State::Ending(ending) = state else { unreachable!("polled only while ending") };
        Poll::Ready(ending.outcome)
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with_read_buffer(|buffer| {
            loop {
                let mut unread = ReadBuf::new(buffer);
                ready!(Pin::new(&mut self.stream).poll_read(cx, &mut unread))?;
                if unread.filled().is_empty() {
                    return Poll::Ready(Ok(()));
                }
            }
        })
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) {
        if let Some(shutdown) = &mut self.shutdown
            && shutdown.fired.as_mut().poll(cx).is_ready()
            && let Some(shutdown) = self.shutdown.take()
            && let Ok(frame) = self.machine.send(Outgoing::Close(shutdown.close))
        {
            self.push(frame);
        }
    }

    /// Moves what other tasks send into the queue, a write's worth at a time. Returns whether there is more.
    fn take_from_senders(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(senders) = self.senders.clone() else { return false };
        if self.machine.is_sending_fragments() {
            return false;
        }
        while !self.queue.fills_a_write() {
            let Some(outgoing) = senders.take(cx) else { return false };
            match self.machine.send(outgoing) {
                Ok(frame) => self.push(frame),
                Err(_) => {
                    senders.close();
                    return false;
                }
            }
        }
        true
    }

    /// The close deadline and the heartbeat.
    fn poll_clocks(&mut self, cx: &mut Context<'_>) -> Option<ReceiveError> {
        if self.machine.close_sent() {
            let timeout = self.limits.close_timeout;
            let deadline = self.close_deadline.get_or_insert_with(|| Box::pin(sleep(timeout)));
            return deadline.as_mut().poll(cx).is_ready().then_some(ReceiveError::CloseTimedOut);
        }
        while let Some(heartbeat) = &mut self.heartbeat
            && heartbeat.alarm.as_mut().poll(cx).is_ready()
        {
            let now = Instant::now();
            match heartbeat.answer_by(&self.limits, self.queue.bytes()) {
                Some(by) if now >= by => {
                    // The owner may have been busy for longer than that: the answer may be here.
                    heartbeat.overdue = true;
                    break;
                }
                // Asked already. Once it is answered, the next ping must not wait for an alarm that is far away.
                Some(by) => {
                    heartbeat.alarm.as_mut().reset(by.min(now + heartbeat.interval));
                    continue;
                }
                None if now < heartbeat.ping_at => {
                    heartbeat.alarm.as_mut().reset(heartbeat.ping_at);
                    continue;
                }
                None => {}
            }
            heartbeat.asked = Some(now);
            heartbeat.before_ping.get_or_insert(heartbeat.unanswered.saturating_add(self.queue.bytes()));
            heartbeat.ping_at = now + heartbeat.interval;
            let next = heartbeat
                .answer_by(&self.limits, self.queue.bytes())
                .map_or(heartbeat.ping_at, |by| by.min(heartbeat.ping_at));
            heartbeat.alarm.as_mut().reset(next);
            if let Ok(frame) = self.machine.send(Outgoing::Ping(Bytes::new())) {
                self.push(frame);
            }
            if let Poll::Ready(Err(error)) = self.poll_flush(cx) {
                return Some(receive_error(error));
            }
        }
        None
    }
}

impl Outgoing {
    /// Bytes that this will take in a queue, about.
    pub(super) fn len(&self) -> usize {
        match self {
            Outgoing::Message(message) | Outgoing::Uncompressed(message) => message.len(),
            Outgoing::Prepared(prepared) => prepared.as_bytes().len(),
            Outgoing::Ping(payload) | Outgoing::Pong(payload) => payload.len(),
            Outgoing::Close(frame) => frame.reason.len(),
        }
    }
}

fn with_read_buffer<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut buffer = READ_BUFFER.take();
    if buffer.is_empty() {
        buffer = vec![0; READ_BUFFER_BYTES];
    }
    let result = read(&mut buffer);
    READ_BUFFER.set(buffer);
    result
}

/// A peer that is gone is gone, whichever way the kernel says it.
fn disconnected(error: io::Error) -> ReceiveError {
    match error.kind() {
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::NotConnected
        | io::ErrorKind::UnexpectedEof => ReceiveError::Disconnected,
        _ => ReceiveError::Io(error),
    }
}

fn receive_error(error: SendError) -> ReceiveError {
    match error {
        SendError::TimedOut => ReceiveError::WriteTimedOut,
        SendError::Io(error) => disconnected(error),
        _ => ReceiveError::Disconnected,
    }
}
