//! The server API: an application's backend publishes, looks into channels and acts on connections, with an API key.
//!
//! What there is to ask is in `tidings-api`. Each noun here does its methods ([`Perform`]) and knows no transport;
//! [`perform`] is the one way to them, past the key; `http` and `grpc` are two edges of it. The chat's channels and people
//! cannot be reached: what is said in a room is posted by a person.

mod batch;
mod channels;
mod connections;
mod denials;
pub(crate) mod grpc;
mod history;
mod http;
mod info;
pub(crate) mod keys;
mod presence;
mod publish;
mod refusal;
mod reload;
mod rpc;
pub(crate) mod scopes;
mod subscriptions;

use crate::app::App;
use crate::channels::Namespace;
use crate::config::ApiErrorMode;
use axum::http::HeaderMap;
pub(crate) use http::routes;
use keys::Key;
use refusal::{bad_request, other, refused};
use std::sync::Arc;
use tidings_api::{Error, Request};
use tidings_chat::Chat;
use tidings_hub::ChannelName;

/// Who asks, and of which server.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) app: App,
    pub(crate) key: Arc<Key>,
}

/// A method, by what it is asked.
pub(crate) trait Perform: Request {
    /// Does it, for a key that may.
    fn perform(self, call: &Call) -> impl Future<Output = Result<Self::Result, Error>> + Send;
}

/// Does what is asked, if the key may ask it.
pub(crate) async fn perform<Q: Perform>(call: &Call, request: Q) -> Result<Q::Result, Error> {
    let done = match call.key.may(Q::METHOD) {
        Ok(()) => request.perform(call).await,
        Err(refusal) => Err(refusal),
    };
    let code = done.as_ref().err().map_or(0, |error| error.code);
    call.app.metrics.api_calls.count(&call.key.name, Q::METHOD.name(), code);
    if let Err(error) = &done {
        tracing::debug!(method = Q::METHOD.name(), key = %call.key.name, code, message = error.message, "a call was refused");
    }
    done
}

impl Call {
    /// A channel that the call may be about: [reached](Self::reached), and known.
    pub(crate) fn channel(&self, name: &str) -> Result<(ChannelName, Arc<Namespace>), Error> {
        let channel = self.reached(name)?;
        let table = self.app.channels.table();
        let namespace = table.find(&channel).map(|place| place.namespace).map_err(|error| match error.code {
            102 => other(&error, "unknown channel: its namespace is not in the configuration"),
            _ => refused(error),
        })?;
        Ok((channel, namespace))
    }

    /// A channel that is well-formed, not the chat's, and open to the key, whether or not the configuration has its namespace.
    pub(crate) fn reached(&self, name: &str) -> Result<ChannelName, Error> {
        if name.is_empty() {
            return Err(bad_request("channel is missing: it names the channel"));
        }
        let channel = ChannelName::parse(name).map_err(|error| bad_request(&error.to_string()))?;
        if Chat::owns(&channel) {
            let message = "unknown channel: it is the chat's own, in which people write and nobody else";
            return Err(other(&tidings_protocol::Error::UNKNOWN_CHANNEL, message));
        }
        if !self.key.reaches(&channel) {
            return Err(other(
                &tidings_protocol::Error::PERMISSION_DENIED,
                format!("permission denied: the key {} does not reach the channel {channel}", self.key.name),
            ));
        }
        Ok(channel)
    }
}

/// Whether errors have a status of their own: where the configuration or the request says so.
fn errors_in_status(app: &App, headers: &HeaderMap) -> bool {
    app.config.settings.api_error_mode == ApiErrorMode::Transport
        || headers.get("x-centrifugo-error-mode").is_some_and(|mode| mode == "transport")
}
