//! What a user decides before connecting and before subscribing.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tidings_protocol::{Payload, StreamPosition};

use crate::limits;

/// How a client introduces itself and how patient it is.
#[derive(Debug, Clone)]
pub struct Options {
    pub(crate) token: Token,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) data: Option<Payload>,
    pub(crate) headers: http::HeaderMap,
    pub(crate) backoff_first: Duration,
    pub(crate) backoff_cap: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            token: Token::default(),
            name: "rust".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            data: None,
            headers: http::HeaderMap::new(),
            backoff_first: limits::BACKOFF_FIRST,
            backoff_cap: limits::BACKOFF_CAP,
        }
    }
}

impl Options {
    /// No token, the name `rust`, the limits of [`limits`].
    #[must_use]
    pub fn new() -> Options {
        Options::default()
    }

    /// The token (a JWT) to connect with. When it expires the connection ends, unless there is a provider too.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Options {
        self.token.first = token.into();
        self
    }

    /// Where new tokens come from: asked at the first connect when no token is given, and whenever one expires.
    #[must_use]
    pub fn token_provider<F, P>(mut self, provide: P) -> Options
    where
        P: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<String, TokenError>> + Send + 'static,
    {
        self.token.provider = Some(Provider::new(provide));
        self
    }

    /// Name of the client program, at most 16 bytes; shown in the server's logs.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Options {
        self.name = name.into();
        self
    }

    /// Version of the client program, at most 64 bytes.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Options {
        self.version = version.into();
        self
    }

    /// Data for the application, sent with every connect.
    #[must_use]
    pub fn data(mut self, data: Payload) -> Options {
        self.data = Some(data);
        self
    }

    /// A header of the opening handshake, such as `Cookie` or `Origin`.
    #[must_use]
    pub fn header(mut self, name: http::HeaderName, mut value: http::HeaderValue) -> Options {
        value.set_sensitive(true);
        self.headers.append(name, value);
        self
    }

    /// Ceilings of the delay before reconnecting: of the first attempt, and the highest that it grows to by doubling.
    /// The delay itself is random between zero and the ceiling.
    #[must_use]
    pub fn backoff(mut self, first: Duration, cap: Duration) -> Options {
        (self.backoff_first, self.backoff_cap) = (first, cap);
        self
    }
}

/// What is wanted of one subscription.
#[derive(Debug, Clone, Default)]
pub struct SubscribeOptions {
    pub(crate) token: Token,
    pub(crate) data: Option<Payload>,
    pub(crate) recoverable: bool,
    pub(crate) positioned: bool,
    pub(crate) join_leave: bool,
    pub(crate) since: Option<StreamPosition>,
}

impl SubscribeOptions {
    /// What the server grants unasked, from now on.
    #[must_use]
    pub fn new() -> SubscribeOptions {
        SubscribeOptions::default()
    }

    /// The subscription token (a JWT) for a channel that wants one.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> SubscribeOptions {
        self.token.first = token.into();
        self
    }

    /// Where new subscription tokens come from.
    #[must_use]
    pub fn token_provider<F, P>(mut self, provide: P) -> SubscribeOptions
    where
        P: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<String, TokenError>> + Send + 'static,
    {
        self.token.provider = Some(Provider::new(provide));
        self
    }

    /// Data for the application, sent with every subscribe.
    #[must_use]
    pub fn data(mut self, data: Payload) -> SubscribeOptions {
        self.data = Some(data);
        self
    }

    /// Ask that what is missed during an interruption is delivered after it.
    #[must_use]
    pub fn recoverable(mut self) -> SubscribeOptions {
        self.recoverable = true;
        self
    }

    /// Ask that the server watches our position and says when it lost it.
    #[must_use]
    pub fn positioned(mut self) -> SubscribeOptions {
        self.positioned = true;
        self
    }

    /// Ask for the coming and going of others.
    #[must_use]
    pub fn join_leave(mut self) -> SubscribeOptions {
        self.join_leave = true;
        self
    }

    /// Start after this position, with what was published since, as a subscription that was interrupted there.
    #[must_use]
    pub fn since(mut self, position: StreamPosition) -> SubscribeOptions {
        self.since = Some(position);
        self.recoverable = true;
        self
    }
}

/// Why a token provider has no token.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TokenError {
    /// There will be none: the connection or subscription ends.
    #[error("not allowed: {0}")]
    Refused(String),
    /// It may work later: asked again after the backoff.
    #[error("no token for now: {0}")]
    Unavailable(String),
}

/// A token to begin with and where the next ones come from.
#[derive(Clone, Default)]
pub(crate) struct Token {
    pub(crate) first: String,
    pub(crate) provider: Option<Provider>,
}

/// Tokens do not belong in logs.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = if self.first.is_empty() { "none" } else { "redacted" };
        f.debug_struct("Token").field("first", &first).field("provided", &self.provider.is_some()).finish()
    }
}

type TokenFuture = Pin<Box<dyn Future<Output = Result<String, TokenError>> + Send>>;

#[derive(Clone)]
pub(crate) struct Provider(Arc<dyn Fn() -> TokenFuture + Send + Sync>);

impl Provider {
    fn new<F, P>(provide: P) -> Provider
    where
        P: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<String, TokenError>> + Send + 'static,
    {
        Provider(Arc::new(move || Box::pin(provide())))
    }

    pub(crate) fn provide(&self) -> TokenFuture {
        (self.0)()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_headers_are_not_printed() {
        let cookie = http::HeaderValue::from_static("session=s3cret");
        let options = Options::new().token("s3cret").header(http::header::COOKIE, cookie);
        let subscribe = SubscribeOptions::new().token("s3cret");
        assert!(!format!("{options:?} {subscribe:?}").contains("s3cret"));
    }
}
