//! The request of an opening handshake, and what callers may say in it.

use super::{ConnectError, ConnectOptions, credentials::Credentials};
use crate::handshake;
use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{
        AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
        SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
    },
};

/// Fields that are not the caller's to set, with what to do instead.
const OWN_FIELDS: [(HeaderName, &str); 8] = [
    (UPGRADE, "Upgrade is the handshake's own: leave it out"),
    (CONNECTION, "Connection is the handshake's own: leave it out"),
    (SEC_WEBSOCKET_KEY, "Sec-WebSocket-Key is made anew for each connection: leave it out"),
    (SEC_WEBSOCKET_VERSION, "Sec-WebSocket-Version is always 13: leave it out"),
    (SEC_WEBSOCKET_EXTENSIONS, "Sec-WebSocket-Extensions comes from ConnectOptions::deflate: call that instead"),
    (SEC_WEBSOCKET_PROTOCOL, "Sec-WebSocket-Protocol comes from ConnectOptions::protocols: call that instead"),
    (CONTENT_LENGTH, "Content-Length does not fit: the request has no body"),
    (TRANSFER_ENCODING, "Transfer-Encoding does not fit: the request has no body"),
];

pub(super) struct Request {
    /// What the answer must prove to have read.
    pub(super) key: String,
    /// The request as it goes over the wire (RFC 6455 §4.1).
    pub(super) head: Vec<u8>,
}

impl Request {
    pub(super) fn new(uri: &Uri, options: &ConnectOptions) -> Result<Self, ConnectError> {
        check(options).map_err(ConnectError::Options)?;
        let key = handshake::random_key();
        let authority = uri.authority().ok_or(ConnectError::Url)?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let slash = if path.starts_with('/') { "" } else { "/" };
        let mut head = format!("GET {slash}{path} HTTP/1.1\r\n").into_bytes();
        let mut field = |name: &HeaderName, value: &[u8]| {
            head.extend_from_slice(name.as_str().as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value);
            head.extend_from_slice(b"\r\n");
        };
        if !options.headers.contains_key(HOST) {
            field(&HOST, authority.as_str().rsplit('@').next().unwrap_or_default().as_bytes());
        }
        field(&UPGRADE, b"websocket");
        field(&CONNECTION, b"Upgrade");
        field(&SEC_WEBSOCKET_VERSION, b"13");
        field(&SEC_WEBSOCKET_KEY, key.as_bytes());
        if !options.protocols.is_empty() {
            field(&SEC_WEBSOCKET_PROTOCOL, options.protocols.join(", ").as_bytes());
        }
        #[cfg(feature = "deflate")]
        if let Some(deflate) = &options.deflate {
            field(&SEC_WEBSOCKET_EXTENSIONS, handshake::extension::offer(deflate).as_bytes());
        }
        if let Some(credentials) = Credentials::of(authority)
            && !options.headers.contains_key(AUTHORIZATION)
        {
            field(&AUTHORIZATION, credentials.basic().as_bytes());
        }
        if let Some(cookies) = cookies(&options.headers) {
            field(&COOKIE, &cookies);
        }
        for (name, value) in options.headers.iter().filter(|(name, _)| *name != COOKIE) {
            field(name, value.as_bytes());
        }
        head.extend_from_slice(b"\r\n");
        Ok(Request { key, head })
    }
}

/// All cookies in one field, because there must not be two (RFC 6265 §5.4).
fn cookies(headers: &HeaderMap) -> Option<Vec<u8>> {
    let cookies: Vec<_> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    (!cookies.is_empty()).then(|| cookies.join(&b"; "[..]))
}

fn check(options: &ConnectOptions) -> Result<(), &'static str> {
    if let Some((_, instead)) = OWN_FIELDS.iter().find(|(name, _)| options.headers.contains_key(name)) {
        return Err(instead);
    }
    if options.headers.get_all(HOST).iter().count() > 1 {
        return Err("there can be only one Host");
    }
    let protocols = &options.protocols;
    if !protocols.iter().all(|protocol| is_token(protocol)) {
        return Err("a subprotocol is a token: letters, digits and !#$%&'*+-.^_`|~");
    }
    if protocols.iter().enumerate().any(|(at, protocol)| protocols[..at].contains(protocol)) {
        return Err("a subprotocol can be offered only once");
    }
    Ok(())
}

/// Whether the text is a token of HTTP (RFC 9110 §5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_token)
}
