//! The task that owns one connection: carries the machine's actions out and reports what happened.
//!
//! The only place of the client that awaits a socket, a token or the clock; every decision is the [`Machine`]'s.

use std::collections::{HashMap, HashSet};
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tidings_protocol::{Request, Response};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{sleep_until, timeout};

use crate::event::{Event, RequestError, ServerEvent, State, SubscribeError};
use crate::limits;
use crate::machine::{Action, DialFailure, Machine, SubscriptionSettings, TokenFor};
use crate::options::{Provider, TokenError};
use crate::socket::{Heard, Socket, Target};

/// What the handles ask of the task.
pub(crate) enum Order {
    Subscribe {
        channel: String,
        settings: Box<SubscriptionSettings>,
        provider: Option<Provider>,
        accepted: oneshot::Sender<Result<Inbox, SubscribeError>>,
    },
    Unsubscribe {
        channel: String,
        /// Which subscription to the channel: a later one is not meant.
        number: u64,
    },
    Request {
        request: Request,
        answer: oneshot::Sender<Result<Response, RequestError>>,
    },
    Close {
        closed: oneshot::Sender<()>,
    },
}

/// Where a subscription's events arrive.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) number: u64,
    pub(crate) events: mpsc::Receiver<Event>,
    /// The last event has a way of its own, so that it arrives however full the queue is.
    pub(crate) last: oneshot::Receiver<Event>,
}

/// Counters that the handles read.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) sockets_opened: AtomicU64,
    pub(crate) messages_in: AtomicU64,
    pub(crate) messages_out: AtomicU64,
    pub(crate) subscriptions: AtomicUsize,
}

pub(crate) struct Driver {
    pub(crate) machine: Machine,
    pub(crate) target: Arc<Target>,
    pub(crate) provider: Option<Provider>,
    pub(crate) orders: mpsc::Receiver<Order>,
    /// An order to close is coming, which waits for nothing that is to be written.
    pub(crate) closing: Arc<Notify>,
    pub(crate) state: watch::Sender<State>,
    pub(crate) server_events: mpsc::Sender<ServerEvent>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) io: Io,
}

/// What the task waits for, besides orders and the clock.
#[derive(Default)]
pub(crate) struct Io {
    socket: Option<Socket>,
    dialling: Option<Promise<Result<Socket, DialFailure>>>,
    tokens: FuturesUnordered<Promise<(TokenFor, Result<String, TokenError>)>>,
    readers_behind: FuturesUnordered<Promise<(String, u64)>>,
    readers: HashMap<String, Reader>,
    paused: HashSet<String>,
    /// Bytes that had arrived when the last message was complete, or when a deadline last passed.
    bytes_read: u64,
    answers: HashMap<u64, oneshot::Sender<Result<Response, RequestError>>>,
    closing: Vec<oneshot::Sender<()>>,
    last_number: u64,
}

type Promise<T> = Pin<Box<dyn Future<Output = T> + Send>>;

struct Reader {
    number: u64,
    provider: Option<Provider>,
    events: mpsc::Sender<Event>,
    last: oneshot::Sender<Event>,
}

impl Driver {
    pub(crate) async fn run(mut self) {
        let mut closing = false;
        loop {
            while let Some(action) = self.machine.poll_action() {
                self.perform(action).await;
            }
            self.counters.subscriptions.store(self.machine.subscription_count(), Relaxed);
            if self.machine.is_ended() {
                break;
            }
            let timeout = self.machine.next_timeout();
            let backed_up = self.io.socket.as_ref().is_some_and(Socket::is_backed_up);
            tokio::select! {
                () = self.closing.notified(), if backed_up && !closing => closing = true,
                order = self.orders.recv(), if !backed_up || closing => match order {
                    Some(order) => self.handle_order(order),
                    // The last handle is gone.
                    None => self.machine.close(),
                },
                heard = heard(&mut self.io.socket) => self.handle_heard(heard),
                dialled = dialled(&mut self.io.dialling) => self.handle_dialled(dialled),
                Some((wanted, token)) = self.io.tokens.next() => self.machine.handle_token(wanted, token, now()),
                Some((channel, number)) = self.io.readers_behind.next() => self.handle_reader_ready(&channel, number),
                () = sleep(timeout) => self.handle_timeout(),
            }
        }
        self.refuse_orders().await;
    }

    async fn perform(&mut self, action: Action) {
        match action {
            Action::Dial => {
                let target = Arc::clone(&self.target);
                self.io.dialling = Some(Box::pin(async move {
                    let too_long = || DialFailure { message: "no connection in time".to_owned(), ..Default::default() };
                    timeout(limits::DIAL_TIME, Socket::dial(&target)).await.unwrap_or_else(|_| Err(too_long()))
                }));
            }
            Action::FetchToken(wanted) => self.fetch_token(wanted),
            Action::Send(frame) => {
                let Some(socket) = &mut self.io.socket else { return };
                self.counters.messages_out.fetch_add(1, Relaxed);
                // Written while we listen; a server that does not read for long ends the listening.
                if socket.feed(frame).is_err() {
                    self.io.socket = None;
                    self.machine.handle_closed(None, "sending failed", now());
                }
            }
            Action::HangUp => {
                self.io.dialling = None;
                match self.io.socket.take() {
                    // Who closes the client may end the program right after.
                    Some(socket) if self.machine.is_ended() => {
                        let _ = timeout(limits::CLOSE_TIME, socket.hang_up()).await;
                    }
                    Some(socket) => {
                        tokio::spawn(timeout(limits::CLOSE_TIME, socket.hang_up()));
                    }
                    None => {}
                }
            }
            Action::Enter(state) => {
                tracing::debug!(?state, "connection");
                self.state.send_replace(state);
            }
            Action::Answer { key, answer } => {
                if let Some(asker) = self.io.answers.remove(&key) {
                    let _ = asker.send(answer);
                }
            }
            Action::Tell { channel, event } => self.tell(&channel, event),
            Action::TellServerSide(event) => {
                if let Err(mpsc::error::TrySendError::Full(event)) = self.server_events.try_send(event) {
                    tracing::warn!(channel = event.channel, "server-side events are not read, dropped one");
                }
            }
        }
    }

    fn fetch_token(&mut self, wanted: TokenFor) {
        let provider = match &wanted {
            TokenFor::Connection => self.provider.clone(),
            TokenFor::Subscription(channel) => self.io.readers.get(channel).and_then(|reader| reader.provider.clone()),
        };
        let Some(provider) = provider else { return };
        self.io.tokens.push(Box::pin(async move {
            let too_long = || TokenError::Unavailable("the token provider took too long".to_owned());
            let token = timeout(limits::TOKEN_TIME, provider.provide()).await.unwrap_or_else(|_| Err(too_long()));
            (wanted, token)
        }));
    }

    fn tell(&mut self, channel: &str, event: Event) {
        if matches!(event, Event::Unsubscribed { .. }) {
            self.io.paused.remove(channel);
            if let Some(reader) = self.io.readers.remove(channel) {
                let _ = reader.last.send(event);
            }
            return;
        }
        let Some(reader) = self.io.readers.get(channel) else { return };
        // What follows a dropped event is dropped too: the order of events is a promise.
        let refused = if self.io.paused.contains(channel) {
            Err(mpsc::error::TrySendError::Full(event))
        } else {
            reader.events.try_send(event)
        };
        match refused {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Closed(_)) => self.machine.unsubscribe(channel, now()),
            Err(mpsc::error::TrySendError::Full(event)) => {
                self.machine.handle_reader_behind(channel, &event, now());
                if self.io.paused.insert(channel.to_owned()) {
                    tracing::debug!(channel, "the reader is behind, pausing");
                    let (events, number, channel) = (reader.events.clone(), reader.number, channel.to_owned());
                    self.io.readers_behind.push(Box::pin(async move {
                        // Half the queue, so that a slow reader does not make us pause and resume all the time.
                        let _ = events.reserve_many(limits::EVENTS_MAX / 2).await;
                        (channel, number)
                    }));
                }
            }
        }
    }

    fn handle_reader_ready(&mut self, channel: &str, number: u64) {
        if self.io.readers.get(channel).is_some_and(|reader| reader.number == number) {
            self.io.paused.remove(channel);
            self.machine.handle_reader_ready(channel, now());
        }
    }

    fn handle_order(&mut self, order: Order) {
        match order {
            Order::Subscribe { channel, settings, provider, accepted } => {
                let _ = accepted.send(self.subscribe(&channel, *settings, provider));
            }
            Order::Unsubscribe { channel, number } => {
                if self.io.readers.get(&channel).is_some_and(|reader| reader.number == number) {
                    self.machine.unsubscribe(&channel, now());
                }
            }
            Order::Request { request, answer } => {
                let key = self.next_number();
                self.io.answers.insert(key, answer);
                self.machine.request(key, request, now());
            }
            Order::Close { closed } => {
                self.machine.close();
                self.io.closing.push(closed);
            }
        }
    }

    fn subscribe(
        &mut self,
        channel: &str,
        settings: SubscriptionSettings,
        provider: Option<Provider>,
    ) -> Result<Inbox, SubscribeError> {
        if channel.is_empty() {
            return Err(SubscribeError::EmptyName);
        }
        if self.machine.is_subscribed(channel) {
            return Err(SubscribeError::AlreadySubscribed(channel.to_owned()));
        }
        let number = self.next_number();
        let (events, events_inbox) = mpsc::channel(limits::EVENTS_MAX);
        let (last, last_inbox) = oneshot::channel();
        self.io.readers.insert(channel.to_owned(), Reader { number, provider, events, last });
        self.machine.subscribe(channel, settings, now());
        Ok(Inbox { number, events: events_inbox, last: last_inbox })
    }

    fn next_number(&mut self) -> u64 {
        self.io.last_number += 1;
        self.io.last_number
    }

    /// What is due, unless a long message is on its way: on a slow line it takes longer than any deadline, and the server
    /// is alive all the while.
    fn handle_timeout(&mut self) {
        let bytes_read = self.io.socket.as_ref().map_or(0, Socket::bytes_read);
        if bytes_read > self.io.bytes_read {
            self.machine.handle_arriving(now());
        }
        self.io.bytes_read = bytes_read;
        self.machine.handle_timeout(now());
    }

    fn handle_heard(&mut self, heard: Heard) {
        self.io.bytes_read = self.io.socket.as_ref().map_or(0, Socket::bytes_read);
        match heard {
            Heard::Message(message) => {
                self.counters.messages_in.fetch_add(1, Relaxed);
                self.machine.handle_message(&message, now());
            }
            Heard::Closed { code, reason } => {
                self.io.socket = None;
                self.machine.handle_closed(code, &reason, now());
            }
        }
    }

    fn handle_dialled(&mut self, dialled: Result<Socket, DialFailure>) {
        self.io.dialling = None;
        match dialled {
            Ok(socket) => {
                self.counters.sockets_opened.fetch_add(1, Relaxed);
                self.io.bytes_read = socket.bytes_read();
                self.io.socket = Some(socket);
                self.machine.handle_opened(now());
            }
            Err(failure) => {
                tracing::debug!(?failure, "dialling failed");
                self.machine.handle_dial_failed(failure, now());
            }
        }
    }

    /// After the end every order gets the same answer, until the last handle is gone.
    async fn refuse_orders(self) {
        let Driver { mut orders, state, io, .. } = self;
        let State::Disconnected(why) = state.borrow().clone() else { return };
        for closed in io.closing {
            let _ = closed.send(());
        }
        drop((io.readers_behind, io.tokens));
        while let Some(order) = orders.recv().await {
            match order {
                Order::Subscribe { accepted, .. } => {
                    let _ = accepted.send(Err(SubscribeError::Disconnected(why.clone())));
                }
                Order::Request { answer, .. } => {
                    let _ = answer.send(Err(RequestError::Disconnected(why.clone())));
                }
                Order::Close { closed } => {
                    let _ = closed.send(());
                }
                Order::Unsubscribe { .. } => {}
            }
        }
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

async fn heard(socket: &mut Option<Socket>) -> Heard {
    match socket {
        Some(socket) => socket.receive().await,
        None => pending().await,
    }
}

async fn dialled(dialling: &mut Option<Promise<Result<Socket, DialFailure>>>) -> Result<Socket, DialFailure> {
    match dialling {
        Some(dialling) => dialling.await,
        None => pending().await,
    }
}

async fn sleep(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until.into()).await,
        None => pending().await,
    }
}
