//! The handles that users hold: [`Client`] and [`Subscription`].

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tidings_protocol::{
    ClientInfo, Disconnect, HistoryRequest, HistoryResult, Payload, PresenceRequest, PresenceStatsRequest,
    PresenceStatsResult, PublishRequest, Request, Response, RpcRequest, StreamPosition,
};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::driver::{Counters, Driver, Inbox, Io, Order};
use crate::event::{AddressError, Event, RequestError, ServerEvent, State, SubscribeError, local};
use crate::limits;
use crate::machine::{Machine, Settings, SubscriptionSettings};
use crate::options::{Options, SubscribeOptions};
use crate::server_api::HistoryQuery;
use crate::socket::Target;

/// A connection to a server that looks after itself. Cheap to clone; all clones share one socket.
///
/// It ends when [`close`](Client::close) is called, when the server says not to come back, or when the last clone and
/// the last [`Subscription`] are dropped.
#[derive(Debug, Clone)]
pub struct Client {
    orders: mpsc::Sender<Order>,
    /// Has the orders taken, those before the close included, although what was said before waits to be written.
    closing: Arc<Notify>,
    state: watch::Receiver<State>,
    server_events: Arc<Mutex<Option<mpsc::Receiver<ServerEvent>>>>,
    counters: Arc<Counters>,
}

/// What a client has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statistics {
    /// Sockets opened since the beginning: 1 until the first reconnect, whatever the number of subscriptions.
    pub sockets_opened: u64,
    /// Subscriptions that are not over.
    pub subscriptions: usize,
    /// WebSocket messages received.
    pub messages_in: u64,
    /// WebSocket messages sent.
    pub messages_out: u64,
}

impl Client {
    /// Begins to connect to `url` (`ws://` or `wss://`) and returns at once; see [`connected`](Client::connected).
    ///
    /// # Errors
    /// [`AddressError::NotWebSocket`] for another kind of address. Everything else is a [`State`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn connect(url: &str, options: Options) -> Result<Client, AddressError> {
        let target = Arc::new(Target::parse(url, options.headers)?);
        let machine = Machine::new(Settings {
            token: options.token.first,
            has_provider: options.token.provider.is_some(),
            name: options.name,
            version: options.version,
            data: options.data,
            backoff_first: options.backoff_first,
            backoff_cap: options.backoff_cap,
            // Clients must not retry in step; without a source of randomness the address of the target differs at least.
            seed: getrandom::u64().unwrap_or(Arc::as_ptr(&target) as usize as u64),
        });
        let (orders, orders_inbox) = mpsc::channel(limits::ORDERS_MAX);
        let closing = Arc::new(Notify::new());
        let (state_sender, state) = watch::channel(State::Connecting { attempt: 0, why: None });
        let (server_events, server_events_inbox) = mpsc::channel(limits::SERVER_EVENTS_MAX);
        let counters = Arc::new(Counters::default());
        let driver = Driver {
            machine,
            target,
            provider: options.token.provider,
            orders: orders_inbox,
            closing: Arc::clone(&closing),
            state: state_sender,
            server_events,
            counters: Arc::clone(&counters),
            io: Io::default(),
        };
        tokio::spawn(driver.run());
        Ok(Client { orders, closing, state, server_events: Arc::new(Mutex::new(Some(server_events_inbox))), counters })
    }

    /// Waits until it is connected.
    ///
    /// # Errors
    /// Why it is over for good.
    pub async fn connected(&self) -> Result<(), Disconnect> {
        let mut states = self.state.clone();
        let settled = states.wait_for(|state| !matches!(state, State::Connecting { .. })).await;
        match settled.as_deref() {
            Ok(State::Disconnected(why)) => Err(why.clone()),
            Ok(_) => Ok(()),
            Err(_) => Err(gone()),
        }
    }

    /// Where the connection stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// To watch the state; changes that follow each other quickly may be seen as one.
    #[must_use]
    pub fn states(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Begins a subscription, which then lasts across interruptions. Whether the server accepts it is an [`Event`].
    ///
    /// # Errors
    /// See [`SubscribeError`]: nothing was sent.
    pub async fn subscribe(&self, channel: &str, options: SubscribeOptions) -> Result<Subscription, SubscribeError> {
        let settings = SubscriptionSettings {
            token: options.token.first,
            has_provider: options.token.provider.is_some(),
            data: options.data,
            recoverable: options.recoverable,
            positioned: options.positioned,
            join_leave: options.join_leave,
            since: options.since.clone(),
        };
        let (accepted, inbox) = oneshot::channel();
        let order = Order::Subscribe {
            channel: channel.to_owned(),
            settings: Box::new(settings),
            provider: options.token.provider,
            accepted,
        };
        self.orders.send(order).await.map_err(|_| SubscribeError::Disconnected(gone()))?;
        let inbox = inbox.await.unwrap_or_else(|_| Err(SubscribeError::Disconnected(gone())))?;
        let position = options.since.unwrap_or_default();
        Ok(Subscription { channel: channel.to_owned(), inbox, position, orders: self.orders.clone(), over: false })
    }

    /// Publishes into a channel.
    ///
    /// # Errors
    /// See [`RequestError`]; after `Timeout` and `Interrupted` it may have been published.
    pub async fn publish(&self, channel: &str, data: Payload) -> Result<(), RequestError> {
        let request = PublishRequest { channel: channel.to_owned(), data: Some(data), ..Default::default() };
        match self.request(Request::Publish(request)).await? {
            Response::Publish(_) => Ok(()),
            _ => Err(RequestError::Unexpected),
        }
    }

    /// What was published in a channel.
    ///
    /// # Errors
    /// See [`RequestError`]; `Refused` with code 112 when the query's position is of another epoch.
    pub async fn history(&self, channel: &str, query: HistoryQuery) -> Result<HistoryResult, RequestError> {
        let HistoryQuery { limit, since, reverse } = query;
        let request = HistoryRequest { channel: channel.to_owned(), limit, since, reverse };
        match self.request(Request::History(request)).await? {
            Response::History(result) => Ok(result),
            _ => Err(RequestError::Unexpected),
        }
    }

    /// Who is in a channel, by connection.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn presence(&self, channel: &str) -> Result<BTreeMap<String, ClientInfo>, RequestError> {
        match self.request(Request::Presence(PresenceRequest { channel: channel.to_owned() })).await? {
            Response::Presence(result) => Ok(result.presence),
            _ => Err(RequestError::Unexpected),
        }
    }

    /// How many are in a channel.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn presence_stats(&self, channel: &str) -> Result<PresenceStatsResult, RequestError> {
        match self.request(Request::PresenceStats(PresenceStatsRequest { channel: channel.to_owned() })).await? {
            Response::PresenceStats(result) => Ok(result),
            _ => Err(RequestError::Unexpected),
        }
    }

    /// Calls the application.
    ///
    /// # Errors
    /// See [`RequestError`]; after `Timeout` and `Interrupted` it may have been carried out.
    pub async fn rpc(&self, method: &str, data: Payload) -> Result<Option<Payload>, RequestError> {
        match self.request(Request::Rpc(RpcRequest { method: method.to_owned(), data: Some(data) })).await? {
            Response::Rpc(result) => Ok(result.data),
            _ => Err(RequestError::Unexpected),
        }
    }

    /// The events of channels that the server subscribes this connection to. `None` when they were taken already.
    #[must_use]
    pub fn server_events(&self) -> Option<ServerEvents> {
        self.server_events.lock().unwrap_or_else(PoisonError::into_inner).take().map(ServerEvents)
    }

    /// What this client has done so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        Statistics {
            sockets_opened: self.counters.sockets_opened.load(Relaxed),
            subscriptions: self.counters.subscriptions.load(Relaxed),
            messages_in: self.counters.messages_in.load(Relaxed),
            messages_out: self.counters.messages_out.load(Relaxed),
        }
    }

    /// Ends the connection and every subscription, for all clones.
    pub async fn close(&self) {
        let (closed, done) = oneshot::channel();
        self.closing.notify_one();
        if self.orders.send(Order::Close { closed }).await.is_ok() {
            let _ = done.await;
        }
    }

    async fn request(&self, request: Request) -> Result<Response, RequestError> {
        let (answer, inbox) = oneshot::channel();
        self.orders.send(Order::Request { request, answer }).await.map_err(|_| RequestError::Disconnected(gone()))?;
        inbox.await.unwrap_or_else(|_| Err(RequestError::Disconnected(gone())))
    }
}

/// The runtime ended our task.
fn gone() -> Disconnect {
    Disconnect { code: local::CLOSED, reason: "closed".into() }
}

/// The events of channels that the server subscribes a connection to.
///
/// Read them: above [`limits::SERVER_EVENTS_MAX`] unread ones new ones are dropped.
#[derive(Debug)]
pub struct ServerEvents(mpsc::Receiver<ServerEvent>);

impl ServerEvents {
    /// The next event; `None` when the connection is over. May be cancelled without loss.
    pub async fn next(&mut self) -> Option<ServerEvent> {
        self.0.recv().await
    }
}

/// A subscription to one channel: a stream of [`Event`]s. Dropping it unsubscribes.
#[derive(Debug)]
pub struct Subscription {
    channel: String,
    inbox: Inbox,
    position: StreamPosition,
    orders: mpsc::Sender<Order>,
    over: bool,
}

impl Subscription {
    /// The channel.
    #[must_use]
    pub fn channel(&self) -> &str {
        &self.channel
    }

    /// The next event; `None` after [`Event::Unsubscribed`]. May be cancelled without loss.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|context| self.poll_event(context)).await
    }

    /// Where in the channel's stream the events that were taken end: what
    /// [`SubscribeOptions::since`] wants in order to go on from here later.
    #[must_use]
    pub fn position(&self) -> &StreamPosition {
        &self.position
    }

    /// Ends the subscription.
    pub async fn unsubscribe(mut self) {
        self.over = true;
        let order = Order::Unsubscribe { channel: self.channel.clone(), number: self.inbox.number };
        let _ = self.orders.send(order).await;
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        if let Some(event) = ready!(self.inbox.events.poll_recv(context)) {
            self.follow(&event);
            return Poll::Ready(Some(event));
        }
        if self.over {
            return Poll::Ready(None);
        }
        let last = ready!(Pin::new(&mut self.inbox.last).poll(context));
        self.over = true;
        Poll::Ready(last.ok())
    }

    fn follow(&mut self, event: &Event) {
        match event {
            Event::Subscribed(subscribed) => self.position.clone_from(&subscribed.position),
            Event::Publication(publication) if publication.offset > 0 => {
                self.position.offset = publication.offset;
                if self.position.epoch.is_empty() {
                    self.position.epoch.clone_from(&publication.epoch);
                }
            }
            _ => {}
        }
    }
}

impl Stream for Subscription {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.poll_event(context)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if !self.over {
            let order = Order::Unsubscribe { channel: self.channel.clone(), number: self.inbox.number };
            // With a full queue the task notices at the next event that nobody reads.
            let _ = self.orders.try_send(order);
        }
    }
}
