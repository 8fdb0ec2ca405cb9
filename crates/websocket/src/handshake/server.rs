//! The server's half: judging a request, and the answer to it.

use super::{OriginPolicy, accept_key, is_key, list, list_contains, origin::is_host};
#[cfg(feature = "deflate")]
use crate::{DeflateOptions, deflate::Agreement};
use crate::{
    Limits, Machine, Role,
    limits::{HEADER_BYTES_MAX, HEADERS_MAX},
};
#[cfg(feature = "deflate")]
use http::header::SEC_WEBSOCKET_EXTENSIONS;
use http::{
    HeaderValue, Method, Response, StatusCode, Version,
    header::{
        ALLOW, CONNECTION, HOST, HeaderMap, HeaderName, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
        SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
    },
    request::Parts,
};

/// A request for a WebSocket whose form is right. What this server wants of it comes next, and then
/// [`accept`](Self::accept).
#[derive(Clone, Debug)]
pub struct ServerRequest {
    /// `None` over HTTP/2, which needs no key.
    key: Option<HeaderValue>,
    host: Option<String>,
    origin: Option<HeaderValue>,
    protocols: Vec<String>,
    policy: OriginPolicy,
    origin_required: bool,
    chosen: Option<String>,
    headers: HeaderMap,
    #[cfg(feature = "deflate")]
    deflate: Option<DeflateOptions>,
    #[cfg(feature = "deflate")]
    extensions: Vec<String>,
}

/// What was agreed.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// 101 over HTTP/1.1, 200 over HTTP/2.
    pub response: Response<()>,
    /// The first of our subprotocols that the client offered, if there is one.
    pub protocol: Option<String>,
    /// Compression, with the level and the threshold that this end wants.
    #[cfg(feature = "deflate")]
    pub deflate: Option<(Agreement, DeflateOptions)>,
}

impl Accepted {
    /// The connection as agreed.
    #[must_use]
    pub fn machine(&self, limits: &Limits) -> Machine {
        let machine = Machine::new(Role::Server, limits);
        #[cfg(feature = "deflate")]
        if let Some((agreed, options)) = self.deflate {
            return machine.with_deflate(agreed, options.level, options.threshold_bytes);
        }
        machine
    }
}

impl ServerRequest {
    /// Judges the form of a request: method, version, `Host`, `Upgrade`, `Connection` and the `Sec-WebSocket-` fields
    /// over HTTP/1.1 (RFC 6455 §4.2.1); over HTTP/2 an extended CONNECT whose `:protocol` is `protocol` (RFC 8441 §5).
    ///
    /// # Errors
    /// A [`UpgradeRefusal`], which knows its HTTP answer.
    pub fn parse(parts: &Parts, protocol: Option<&str>) -> Result<Self, UpgradeRefusal> {
        let headers = &parts.headers;
        let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if headers.len() > HEADERS_MAX || bytes > HEADER_BYTES_MAX {
            return Err(UpgradeRefusal::HeadersTooLarge);
        }
        let key = if parts.version == Version::HTTP_2 {
            Self::check_http2(parts, protocol)?;
            None
        } else {
            Some(Self::check_http1(parts)?)
        };
        let mut origins = headers.get_all(ORIGIN).iter();
        let origin = origins.next().cloned();
        if origins.next().is_some() {
            return Err(UpgradeRefusal::Origin);
        }
        let host = Self::check_host(headers)?;
        // Over HTTP/2 it is in `:authority`, which is the URI's, and Host may be missing (RFC 9113 §8.3.1).
        if host.is_none() && parts.version < Version::HTTP_2 {
            return Err(UpgradeRefusal::Host);
        }
        Ok(ServerRequest {
            key,
            host: parts.uri.authority().map(ToString::to_string).or(host),
            origin,
            protocols: list(headers, SEC_WEBSOCKET_PROTOCOL).map(str::to_owned).collect(),
            policy: OriginPolicy::default(),
            origin_required: false,
            chosen: None,
            headers: HeaderMap::new(),
            #[cfg(feature = "deflate")]
            deflate: None,
            #[cfg(feature = "deflate")]
            extensions: list(headers, SEC_WEBSOCKET_EXTENSIONS).map(str::to_owned).collect(),
        })
    }

    /// Whether a request asks for a WebSocket at all, rightly or wrongly; otherwise it is ordinary HTTP.
    #[must_use]
    pub fn is_attempt(parts: &Parts, protocol: Option<&str>) -> bool {
        protocol.is_some() || list_contains(&parts.headers, UPGRADE, "websocket")
    }

    fn check_http1(parts: &Parts) -> Result<HeaderValue, UpgradeRefusal> {
        let headers = &parts.headers;
        if parts.method != Method::GET {
            return Err(UpgradeRefusal::Method);
        }
        if parts.version < Version::HTTP_11 {
            return Err(UpgradeRefusal::HttpVersion);
        }
        if !list_contains(headers, UPGRADE, "websocket") || !list_contains(headers, CONNECTION, "upgrade") {
            return Err(UpgradeRefusal::NotAnUpgrade);
        }
        Self::check_version(headers)?;
        let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
        match (keys.next(), keys.next()) {
            (Some(key), None) if is_key(key.as_bytes()) => Ok(key.clone()),
            _ => Err(UpgradeRefusal::Key),
        }
    }

    /// The one valid `Host`, if there is any (RFC 9112 §3.2).
    fn check_host(headers: &HeaderMap) -> Result<Option<String>, UpgradeRefusal> {
        let mut hosts = headers.get_all(HOST).iter();
        match (hosts.next().map(HeaderValue::to_str), hosts.next()) {
            (None, _) => Ok(None),
            (Some(Ok(host)), None) if is_host(host) => Ok(Some(host.to_owned())),
            _ => Err(UpgradeRefusal::Host),
        }
    }

    fn check_http2(parts: &Parts, protocol: Option<&str>) -> Result<(), UpgradeRefusal> {
        match (parts.method == Method::CONNECT, protocol) {
            (true, Some("websocket")) => Self::check_version(&parts.headers),
            (true, _) => Err(UpgradeRefusal::NotAnUpgrade),
            (false, _) if parts.method == Method::GET => Err(UpgradeRefusal::NotAnUpgrade),
            (false, _) => Err(UpgradeRefusal::Method),
        }
    }

    fn check_version(headers: &HeaderMap) -> Result<(), UpgradeRefusal> {
        let mut versions = headers.get_all(SEC_WEBSOCKET_VERSION).iter();
        match (versions.next(), versions.next()) {
            (Some(version), None) if version == "13" => Ok(()),
            _ => Err(UpgradeRefusal::Version),
        }
    }

    /// Which pages may connect; [`OriginPolicy::SameHost`] unless said otherwise.
    pub fn origin(&mut self, policy: OriginPolicy) {
        self.policy = policy;
    }

    /// Refuses requests without `Origin`, for endpoints whose only credential is a cookie (S02).
    pub fn require_origin(&mut self) {
        self.origin_required = true;
    }

    /// Chooses the first of `supported`, in this server's order of preference, that the client offers. When it offers
    /// none of them, the connection has no subprotocol, and the client may hang up.
    pub fn protocols<T: AsRef<str>>(&mut self, supported: impl IntoIterator<Item = T>) {
        self.chosen = supported
            .into_iter()
            .find(|supported| self.protocols.iter().any(|offered| offered == supported.as_ref()))
            .map(|supported| supported.as_ref().to_owned());
    }

    /// Agrees to permessage-deflate if the client offers it in a way that fits `options`.
    #[cfg(feature = "deflate")]
    pub fn deflate(&mut self, options: DeflateOptions) {
        self.deflate = Some(options);
    }

    /// Adds a header field to the answer.
    pub fn header(&mut self, name: HeaderName, value: HeaderValue) {
        self.headers.append(name, value);
    }

    /// The subprotocols that the client offers, in its order. An empty `Sec-WebSocket-Protocol` offers none.
    #[must_use]
    pub fn offered_protocols(&self) -> &[String] {
        &self.protocols
    }

    /// The subprotocol chosen so far.
    #[must_use]
    pub fn chosen_protocol(&self) -> Option<&str> {
        self.chosen.as_deref()
    }

    /// The request's `Origin`.
    #[must_use]
    pub fn origin_header(&self) -> Option<&str> {
        self.origin.as_ref()?.to_str().ok()
    }

    /// Checks the origin and writes the answer.
    ///
    /// # Errors
    /// [`UpgradeRefusal::Origin`] when the page may not connect.
    pub fn accept(self) -> Result<Accepted, UpgradeRefusal> {
        let allowed = match &self.origin {
            None => !self.origin_required,
            Some(origin) => origin.to_str().is_ok_and(|origin| self.policy.allows(origin, self.host.as_deref())),
        };
        if !allowed {
            return Err(UpgradeRefusal::Origin);
        }
        let mut response = Response::new(());
        *response.headers_mut() = self.headers;
        let headers = response.headers_mut();
        if let Some(key) = &self.key {
            let accept = HeaderValue::try_from(accept_key(key.as_bytes())).expect("base64 is a header value");
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        }
        if let Some(protocol) = &self.chosen {
            // It equals a token that arrived in a header field.
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_str(protocol).expect("it came in a header"));
        }
        #[cfg(feature = "deflate")]
        let deflate = self.deflate.and_then(|options| {
            let (agreed, answer) = super::extension::agree(self.extensions.iter().map(String::as_str), &options)?;
            headers.insert(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::try_from(answer).expect("made of tokens"));
            Some((agreed, options))
        });
        *response.status_mut() = if self.key.is_some() { StatusCode::SWITCHING_PROTOCOLS } else { StatusCode::OK };
        Ok(Accepted {
            response,
            protocol: self.chosen,
            #[cfg(feature = "deflate")]
            deflate,
        })
    }
}

/// Why a request gets no WebSocket. Each has its HTTP answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeRefusal {
    /// 405: a WebSocket is asked for with GET.
    #[error("a WebSocket is asked for with GET")]
    Method,
    /// 400: a WebSocket needs HTTP/1.1 or later.
    #[error("a WebSocket needs HTTP/1.1 or later")]
    HttpVersion,
    /// 426: the request does not ask for a WebSocket, and there is nothing else here.
    #[error("this is a WebSocket endpoint: the request needs Upgrade: websocket and Connection: Upgrade")]
    NotAnUpgrade,
    /// 426 with the version that we speak.
    #[error("Sec-WebSocket-Version must be 13")]
    Version,
    /// 400: `Sec-WebSocket-Key` is missing or not 16 bytes in base64.
    #[error("Sec-WebSocket-Key must be 16 bytes in base64")]
    Key,
    /// 400: `Host` is missing, there is more than one, or it is not a host with or without a port (RFC 9112 §3.2).
    #[error("there must be one Host, with a host and perhaps a port")]
    Host,
    /// 403: the page that asks may not connect here.
    #[error("this origin may not connect")]
    Origin,
    /// 431: more header fields than any honest client sends.
    #[error("the header fields are too large")]
    HeadersTooLarge,
    /// 500: the HTTP server cannot hand over this connection.
    #[error("the HTTP server cannot upgrade this connection")]
    NotUpgradable,
}

impl UpgradeRefusal {
    /// The status of the answer.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            UpgradeRefusal::Method => StatusCode::METHOD_NOT_ALLOWED,
            UpgradeRefusal::NotAnUpgrade | UpgradeRefusal::Version => StatusCode::UPGRADE_REQUIRED,
            UpgradeRefusal::HttpVersion | UpgradeRefusal::Key | UpgradeRefusal::Host => StatusCode::BAD_REQUEST,
            UpgradeRefusal::Origin => StatusCode::FORBIDDEN,
            UpgradeRefusal::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            UpgradeRefusal::NotUpgradable => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The whole answer, whose body is a sentence in plain text.
    #[must_use]
    pub fn response(&self) -> Response<String> {
        let mut response = Response::new(format!("{self}\n"));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        match self {
            UpgradeRefusal::Method => {
                headers.insert(ALLOW, HeaderValue::from_static("GET"));
            }
            UpgradeRefusal::NotAnUpgrade | UpgradeRefusal::Version => {
                headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
                headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            _ => {}
        }
        response
    }
}
