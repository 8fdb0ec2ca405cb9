//! Who is calling: the client's address, scheme and host, believed from trusted proxies alone (S51).

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use http::header::{self, HeaderMap, HeaderName};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connection::{Seat, seat_for_socket};
use crate::peer::Peer;
use crate::proxies::TrustedProxies;
use crate::request_id::RequestId;
use crate::watch::Watch;

/// The connection that a request came on, in every request's extensions. Cheap to clone.
///
/// Its peer is who connected to us; who is *calling* may be somebody behind it: see [`Caller`].
#[derive(Clone)]
pub struct Connection {
    pub(crate) watch: Arc<Watch>,
    pub(crate) request: RequestId,
}

impl Connection {
    /// The request's name in the log.
    #[must_use]
    pub fn request_id(&self) -> RequestId {
        self.request
    }

    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.watch.peer
    }

    /// The address of ours that was called, if it is one.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.watch.local
    }

    /// Whether the connection itself is encrypted by us.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.watch.tls
    }

    /// Fires when a shutdown asks what lives on this connection to end: sockets, streams, long polls.
    #[must_use]
    pub fn closing(&self) -> CancellationToken {
        self.watch.closing.clone()
    }

    /// Tracks the tasks of sockets: a shutdown waits for them, and until they end they count as a connection.
    #[must_use]
    pub fn sockets(&self) -> TaskTracker {
        self.watch.sockets.clone()
    }

    /// Lets the answer to this request live as long as a socket would. On HTTP/2, where it shares its connection with
    /// others, it takes a place of its own in the budget of connections.
    ///
    /// # Errors
    /// 503 when there is no place: answer with it.
    pub fn live_response(&self) -> Result<LiveResponse, http::StatusCode> {
        let shares = self.watch.http2.load(Relaxed);
        let seat = if shares { Some(seat_for_socket(&self.watch)?) } else { None };
        Ok(LiveResponse { _seat: seat })
    }
}

/// In a response's extensions: its body is one direction of a live connection, as a socket is. Whoever writes it bounds
/// what waits in it, so that it counts among sockets and not among [answers under way](crate::Limits::response_bytes_max);
/// and ends it when a shutdown begins. See [`Connection::live_response`].
#[derive(Clone)]
pub struct LiveResponse {
    /// Held, not read: dropping the last gives the place back.
    _seat: Option<Arc<Seat>>,
}

impl fmt::Debug for LiveResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveResponse").finish_non_exhaustive()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("peer", &self.watch.peer)
            .field("local", &self.watch.local)
            .field("tls", &self.watch.tls)
            .finish()
    }
}

/// Who is calling, as far as it can be believed: the peer itself, or, behind trusted proxies, what the last of them to
/// be trusted says.
///
/// In axum handlers it is an extractor; elsewhere [`Caller::of`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The client's address; `None` on a Unix socket without a proxy's word.
    pub address: Option<IpAddr>,
    /// Whether the client's own connection is encrypted, be it by us or by a trusted proxy.
    pub is_https: bool,
    /// The host that the client asked for, with its port if it named one; empty when it named none.
    pub host: String,
}

impl Caller {
    /// Who sent the request. `None` when the request did not come through a [`Server`](crate::Server).
    #[must_use]
    pub fn of(parts: &http::request::Parts) -> Option<Self> {
        let connection = parts.extensions.get::<Connection>()?;
        let authority = parts.uri.authority().map(http::uri::Authority::as_str);
        let host = authority.or_else(|| parts.headers.get(http::header::HOST)?.to_str().ok()).unwrap_or_default();
        let caller = Self {
            address: connection.peer().address().map(|address| address.ip().to_canonical()),
            is_https: connection.is_tls(),
            host: host.to_owned(),
        };
        Some(caller.behind(&connection.watch.shared.trusted_proxies, connection.peer() == Peer::Unix, &parts.headers))
    }

    /// Walks the chain of proxies from ours to the client, for as long as each one is trusted.
    fn behind(mut self, trusted: &TrustedProxies, is_unix: bool, headers: &HeaderMap) -> Self {
        let believed = |address: Option<IpAddr>| match address {
            Some(address) => trusted.contains(address),
            None => is_unix && trusted.unix,
        };
        if !believed(self.address) {
            return self;
        }
        for hop in hops(headers).into_iter().rev() {
            if let Some(is_https) = hop.is_https {
                self.is_https = is_https;
            }
            if let Some(host) = hop.host {
                self.host = host;
            }
            // An obfuscated or unknown address ends the chain: whoever is behind it cannot be told.
            let Some(address) = hop.address else { break };
            self.address = Some(address);
            if !trusted.contains(address) {
                break;
            }
        }
        self
    }
}

/// What one proxy says about who called it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Hop {
    address: Option<IpAddr>,
    is_https: Option<bool>,
    host: Option<String>,
}

/// The hops in the order of the fields, the client's first. `Forwarded` (RFC 7239) wins over `X-Forwarded-*`.
fn hops(headers: &HeaderMap) -> Vec<Hop> {
    let forwarded = elements(headers, &header::FORWARDED, ',');
    if !forwarded.is_empty() {
        return forwarded.into_iter().map(|element| forwarded_hop(&element)).collect();
    }
    let addresses = elements(headers, &X_FORWARDED_FOR, ',').into_iter().map(|address| parse_node(&address));
    let mut hops: Vec<_> = addresses.map(|address| Hop { address, ..Hop::default() }).collect();
    // These two are seldom lists: what the nearest proxy says is about the client's own connection.
    let scheme = elements(headers, &X_FORWARDED_PROTO, ',').pop();
    let host = elements(headers, &X_FORWARDED_HOST, ',').pop();
    if hops.is_empty() && (scheme.is_some() || host.is_some()) {
        hops.push(Hop::default());
    }
    if let Some(nearest) = hops.last_mut() {
        nearest.is_https = scheme.map(|scheme| scheme.eq_ignore_ascii_case("https"));
        nearest.host = host;
    }
    hops
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The elements of a list field that may come in several lines; a separator within quotes does not count.
fn elements(headers: &HeaderMap, name: &HeaderName, separator: char) -> Vec<String> {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| split(line, separator)).collect()
}

fn split(line: &str, separator: char) -> Vec<String> {
    let mut quoted = false;
    line.split(|character| {
        quoted ^= character == '"';
        character == separator && !quoted
    })
    .map(|element| element.trim().to_owned())
    .filter(|element| !element.is_empty())
    .collect()
}

fn forwarded_hop(element: &str) -> Hop {
    let mut hop = Hop::default();
    for pair in split(element, ';') {
        let Some((name, value)) = pair.split_once('=') else { continue };
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "for" => hop.address = parse_node(value),
            "proto" => hop.is_https = Some(value.eq_ignore_ascii_case("https")),
            "host" => hop.host = Some(value.to_owned()),
            _ => {}
        }
    }
    hop
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn parse_node(node: &str) -> Option<IpAddr> {
    let address = node
        .parse::<SocketAddr>()
        .map(|address| address.ip())
        .or_else(|_| node.trim_start_matches('[').trim_end_matches(']').parse())
        .ok()?;
    Some(address.to_canonical())
}

#[cfg(feature = "axum")]
impl<S: Sync> axum::extract::FromRequestParts<S> for Caller {
    type Rejection = http::StatusCode;

    async fn from_request_parts(parts: &mut http::request::Parts, _: &S) -> Result<Self, http::StatusCode> {
        // Only a server that is not ours leaves the extension out, and then there is nobody to believe.
        Self::of(parts).ok_or(http::StatusCode::INTERNAL_SERVER_ERROR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(peer: &str, trusted: &[&str], fields: &[(&'static str, &str)]) -> Caller {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        let direct = Caller { address: Some(peer.parse().unwrap()), is_https: false, host: "inner".to_owned() };
        direct.behind(&TrustedProxies::parse(trusted.iter().copied()).unwrap(), false, &headers)
    }

    fn address(caller: &Caller) -> String {
        caller.address.unwrap().to_string()
    }

    #[test]
    fn s51_by_default_nobody_is_believed() {
        let spoofed = [("x-forwarded-for", "1.2.3.4"), ("forwarded", "for=1.2.3.4;proto=https;host=evil")];
        let caller = caller("203.0.113.9", &[], &spoofed);
        assert_eq!((address(&caller).as_str(), caller.is_https, caller.host.as_str()), ("203.0.113.9", false, "inner"));
    }

    #[test]
    fn s51_what_a_client_writes_in_front_of_a_trusted_proxys_word_is_not_believed() {
        let caller = caller("10.0.0.1", &["10.0.0.0/8"], &[("x-forwarded-for", "1.2.3.4, 198.51.100.7, 10.0.0.2")]);
        assert_eq!(address(&caller), "198.51.100.7");
    }

    #[test]
    fn a_trusted_proxys_forwarded_field_gives_address_scheme_and_host() {
        let fields = [("forwarded", r#"for="[2001:db8::7]:4711";proto=https;host="chat.example, inc""#)];
        let caller = caller("10.0.0.1", &["10.0.0.1"], &fields);
        assert_eq!(address(&caller), "2001:db8::7");
        assert!(caller.is_https);
        assert_eq!(caller.host, "chat.example, inc");
    }

    #[test]
    fn an_obfuscated_address_ends_the_chain_at_the_proxy_that_wrote_it() {
        let fields = [("forwarded", "for=1.2.3.4, for=_hidden, for=10.0.0.2")];
        assert_eq!(address(&caller("10.0.0.1", &["10.0.0.0/8"], &fields)), "10.0.0.2");
    }

    #[test]
    fn scheme_and_host_come_from_x_forwarded_fields_too() {
        let fields = [("x-forwarded-proto", "https"), ("x-forwarded-host", "chat.example")];
        let caller = caller("::1", &["::1/128"], &fields);
        assert_eq!((caller.is_https, caller.host.as_str()), (true, "chat.example"));
    }
}
