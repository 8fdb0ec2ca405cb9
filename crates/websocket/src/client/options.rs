//! What a caller can say about a connection before there is one.

use super::{Proxy, request::is_token};
use crate::{Limits, limits::HANDSHAKE_TIMEOUT};
use http::{HeaderMap, HeaderName, HeaderValue, header::COOKIE};
use rustls::ClientConfig;
use std::{sync::Arc, time::Duration};

/// How to connect. The default asks for nothing special and waits ten seconds.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    pub(super) limits: Limits,
    pub(super) headers: HeaderMap,
    pub(super) protocols: Vec<String>,
    pub(super) timeout: Duration,
    pub(super) tls: Option<Arc<ClientConfig>>,
    pub(super) proxy: Option<Proxy>,
    pub(super) proxy_tls: Option<Arc<ClientConfig>>,
    #[cfg(feature = "deflate")]
    pub(super) deflate: Option<crate::DeflateOptions>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        ConnectOptions {
            limits: Limits::client(),
            headers: HeaderMap::new(),
            protocols: Vec::new(),
            timeout: HANDSHAKE_TIMEOUT,
            tls: None,
            proxy: None,
            proxy_tls: None,
            #[cfg(feature = "deflate")]
            deflate: None,
        }
    }
}

impl ConnectOptions {
    /// No subprotocol, no header fields but the necessary ones, no proxy, and the limits of a client.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What the connection may cost.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Adds a header field to the request, such as `Authorization` or `Origin`. A `Host` replaces the URL's, an
    /// `Authorization` its user and password. The handshake's own fields end in [`ConnectError::Options`](crate::ConnectError::Options).
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Adds a cookie to the request's one `Cookie` field (RFC 6265 §4.2.1). The value is sent as it is.
    ///
    /// # Errors
    /// [`InvalidCookie`] when it cannot be sent without another encoding.
    pub fn cookie(self, name: &str, value: &str) -> Result<Self, InvalidCookie> {
        let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        let is_value = |byte: u8| byte.is_ascii_graphic() && !b"\",;\\".contains(&byte);
        if !is_token(name) || !quoted.bytes().all(is_value) {
            return Err(InvalidCookie);
        }
        let mut cookie = HeaderValue::try_from(format!("{name}={value}")).map_err(|_| InvalidCookie)?;
        cookie.set_sensitive(true);
        Ok(self.header(COOKIE, cookie))
    }

    /// Subprotocols to offer, the favourite first. Each is a token, and there once, or connecting ends in
    /// [`ConnectError::Options`](crate::ConnectError::Options).
    #[must_use]
    pub fn protocols<T: Into<String>>(mut self, protocols: impl IntoIterator<Item = T>) -> Self {
        self.protocols = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// Time for everything from the name's resolution to the server's answer.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// TLS for `wss`, instead of the operating system's certificates.
    #[must_use]
    pub fn tls(mut self, config: Arc<ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// Connects through a proxy. The environment's is not looked at unless asked for: [`Proxy::from_env`].
    #[must_use]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = Some(proxy);
        self
    }

    /// TLS to a proxy that is itself reached over TLS, instead of the operating system's certificates.
    #[must_use]
    pub fn proxy_tls(mut self, config: Arc<ClientConfig>) -> Self {
        self.proxy_tls = Some(config);
        self
    }

    /// Offers permessage-deflate.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(mut self, options: crate::DeflateOptions) -> Self {
        self.deflate = Some(options);
        self
    }
}

/// The text is no cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a cookie's name is a token, and its value has no spaces, quotes, commas, semicolons or backslashes")]
pub struct InvalidCookie;
