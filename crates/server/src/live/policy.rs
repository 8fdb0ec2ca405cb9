//! Who may do what on the wire: the hub's questions, passed to whom they concern.
//!
//! Two kinds of clients, and nothing of one is open to the other. A *person* of the chat came with a session cookie and
//! gets the channels of the chat (`room:`, `user:`). All others, with a *client token* or where it is allowed without any, get of the other channels what their namespaces say. A token's `sub` is a name of the application's, even when it reads like a person's id.

use super::token_policy::TokenPolicy;
use crate::metrics::Metrics;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidings_chat::Chat;
use tidings_hub::{
    Accepted, Application, ChannelName, ChannelOptions, Expiry, Grant, Hub, Peer, Policy, PublishGrant, Refusal,
};
use tidings_protocol::{ConnectRequest, Disconnect, Error, Payload, SubscribeRequest, Unsubscribe};

/// Policy and application of the server.
pub(crate) struct LivePolicy {
    chat: Chat,
    tokens: TokenPolicy,
    metrics: Arc<Metrics>,
}

impl LivePolicy {
    pub(crate) fn new(chat: Chat, tokens: TokenPolicy, metrics: Arc<Metrics>) -> Self {
        Self { chat, tokens, metrics }
    }

    /// Closes connections by this hub.
    pub(crate) fn close_by(&self, hub: Hub) {
        self.tokens.close_by(hub);
    }

    /// The chat decides about persons in all channels, and so does the other about all others.
    fn of(&self, client: &Peer) -> &dyn Policy {
        if is_person(client) { &self.chat } else { &self.tokens }
    }
}

fn is_person(client: &Peer) -> bool {
    Chat::is_person(client)
}

impl Policy for LivePolicy {
    fn connect<'a>(
        &'a self,
        client: &'a Peer,
        request: &'a ConnectRequest,
    ) -> BoxFuture<'a, Result<Accepted, Refusal>> {
        // An explicit token wins over the cookie that a browser sends along by itself.
        if !request.token.is_empty() {
            return self.tokens.connect(client, request);
        }
        if is_person(client) {
            return self.chat.connect(client, request);
        }
        if self.tokens.lets_in_without_token(request) {
            return self.tokens.connect(client, request);
        }
        ready(Err(Disconnect::BAD_REQUEST.into())).boxed()
    }

    fn subscribe<'a>(
        &'a self,
        client: &'a Peer,
        channel: &'a ChannelName,
        request: &'a SubscribeRequest,
    ) -> BoxFuture<'a, Result<Grant, Refusal>> {
        self.of(client).subscribe(client, channel, request)
    }

    fn publish<'a>(
        &'a self,
        client: &'a Peer,
        channel: &'a ChannelName,
        data: &'a Payload,
    ) -> BoxFuture<'a, Result<PublishGrant, Refusal>> {
        self.of(client).publish(client, channel, data)
    }

    fn presence<'a>(&'a self, client: &'a Peer, channel: &'a ChannelName) -> BoxFuture<'a, Result<(), Refusal>> {
        self.of(client).presence(client, channel)
    }

    fn history<'a>(&'a self, client: &'a Peer, channel: &'a ChannelName) -> BoxFuture<'a, Result<(), Refusal>> {
        self.of(client).history(client, channel)
    }

    // Only tokens are refreshed; a person's session is renewed by using it.

    fn refresh<'a>(&'a self, client: &'a Peer, token: &'a str) -> BoxFuture<'a, Result<Option<Expiry>, Refusal>> {
        self.tokens.refresh(client, token)
    }

    fn sub_refresh<'a>(
        &'a self,
        client: &'a Peer,
        channel: &'a ChannelName,
        token: &'a str,
    ) -> BoxFuture<'a, Result<Option<Duration>, Refusal>> {
        self.tokens.sub_refresh(client, channel, token)
    }

    fn options(&self, channel: &ChannelName) -> Arc<ChannelOptions> {
        if Chat::owns(channel) { self.chat.options(channel) } else { self.tokens.options(channel) }
    }
}

/// Persons call the chat; with a client token there is nothing to call.
impl Application for LivePolicy {
    fn rpc<'a>(
        &'a self,
        client: &'a Peer,
        method: &'a str,
        data: Option<&'a Payload>,
    ) -> BoxFuture<'a, Result<Option<Payload>, Refusal>> {
        if !is_person(client) {
            return ready(Err(Error::NOT_AVAILABLE.into())).boxed();
        }
        let answer = self.chat.rpc(client, method, data);
        if method != "post" {
            return answer;
        }
        async move {
            let start = Instant::now();
            let answer = answer.await;
            if answer.is_ok() {
                self.metrics.post_latency.observe(start.elapsed().as_secs_f64());
            }
            answer
        }
        .boxed()
    }

    fn overlapping(&self) -> &'static [&'static str] {
        self.chat.overlapping()
    }

    fn connected(&self, client: &Peer) {
        self.tokens.connected(client);
    }

    fn unsubscribed(&self, client: &Peer, channel: &ChannelName, _: &Unsubscribe) {
        self.tokens.unsubscribed(client, channel);
    }
}
