//! The byte stream to a URL's host: TCP, through a proxy if there is one, with TLS if the URL says so.

use super::{ConnectError, ConnectOptions};
use crate::{limits::ATTEMPT_DELAY, transport::byte_stream};
use http::Uri;
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::{Arc, OnceLock},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::either::Either;

/// The byte stream of a dialled connection: TCP, or TLS over it, with another TLS below if the proxy wants it.
#[derive(Debug)]
pub struct ClientStream(Either<Route, Box<TlsStream<Route>>>);

/// What leads to the server: TCP, or TLS to a proxy.
type Route = Either<TcpStream, Box<TlsStream<TcpStream>>>;

byte_stream!(ClientStream);

impl ClientStream {
    /// The TCP stream underneath, for its addresses and options.
    #[must_use]
    pub fn tcp(&self) -> &TcpStream {
        let route = match &self.0 {
            Either::Left(route) => route,
            Either::Right(tls) => tls.get_ref().0,
        };
        match route {
            Either::Left(tcp) => tcp,
            Either::Right(tls) => tls.get_ref().0,
        }
    }
}

/// Where a URL leads.
pub(super) struct Target<'a> {
    pub(super) tls: bool,
    /// Without the brackets of an IPv6 address.
    pub(super) host: &'a str,
    pub(super) port: u16,
}

impl<'a> Target<'a> {
    pub(super) fn of(uri: &'a Uri) -> Result<Self, ConnectError> {
        let tls = match uri.scheme_str() {
            Some("ws" | "http") => false,
            Some("wss" | "https") => true,
            _ => return Err(ConnectError::Url),
        };
        let host = without_brackets(uri.host().ok_or(ConnectError::Url)?);
        Ok(Target { tls, host, port: uri.port_u16().unwrap_or(if tls { 443 } else { 80 }) })
    }
}

/// The address of `[address]`, as URLs write IPv6 (RFC 3986 §3.2.2); anything else as it is.
pub(super) fn without_brackets(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

pub(super) async fn dial(uri: &Uri, options: &ConnectOptions) -> Result<ClientStream, ConnectError> {
    let Target { tls, host, port } = Target::of(uri)?;
    let route = match &options.proxy {
        None => Either::Left(tcp(host, port).await?),
        Some(proxy) => {
            let stream = tcp(&proxy.host, proxy.port).await?;
            let mut route = if proxy.is_tls() {
                let secured = secure(stream, &proxy.host, options.proxy_tls.as_ref()).await;
                Either::Right(Box::new(secured.map_err(|error| ConnectError::Proxy(error.to_string()))?))
            } else {
                Either::Left(stream)
            };
            proxy.tunnel(&mut route, host, port).await?;
            route
        }
    };
    if !tls {
        return Ok(ClientStream(Either::Left(route)));
    }
    Ok(ClientStream(Either::Right(Box::new(secure(route, host, options.tls.as_ref()).await?))))
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let addresses = alternating(lookup_host((host, port)).await?.collect());
    let stream = first(addresses, TcpStream::connect).await?;
    // Coalescing is done here, by writing everything queued at once.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The addresses with both families in turn, so that a broken one costs one delay (RFC 8305 §4).
fn alternating(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let favourite_is_ipv6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (favourites, others): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == favourite_is_ipv6);
    let (mut favourites, mut others) = (favourites.into_iter(), others.into_iter());
    let pairs = std::iter::from_fn(|| match (favourites.next(), others.next()) {
        (None, None) => None,
        pair => Some(<[_; 2]>::from(pair)),
    });
    pairs.flatten().flatten().collect()
}

/// The first connection that comes about. The next address is tried when an attempt fails or takes longer than
/// [`ATTEMPT_DELAY`], beside those still under way (RFC 8305 §5).
async fn first<T: Send + 'static, F: Future<Output = io::Result<T>> + Send + 'static>(
    addresses: Vec<SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<T> {
    let mut addresses = addresses.into_iter();
    let mut attempts = JoinSet::new();
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        if let Some(address) = addresses.next() {
            attempts.spawn(connect(address));
        }
        match timeout(ATTEMPT_DELAY, attempts.join_next()).await {
            Ok(Some(Ok(Ok(connection)))) => return Ok(connection),
            Ok(Some(Ok(Err(error)))) => failure = error,
            Ok(Some(Err(panic))) => failure = io::Error::other(panic),
            Ok(None) => return Err(failure),
            Err(_) => {}
        }
    }
}

/// TLS as a client, for the certificate of `host`.
pub(super) async fn secure<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    host: &str,
    config: Option<&Arc<ClientConfig>>,
) -> Result<TlsStream<S>, ConnectError> {
    let config = match config {
        Some(config) => Arc::clone(config),
        None => system_tls()?,
    };
    let name = ServerName::try_from(host.to_owned()).map_err(|_| ConnectError::Url)?;
    TlsConnector::from(config).connect(name, stream).await.map_err(ConnectError::Tls)
}

/// TLS with the certificates that the operating system trusts, loaded once.
fn system_tls() -> Result<Arc<ClientConfig>, ConnectError> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(Arc::clone(config));
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| ConnectError::Tls(io::Error::other(error)))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::clone(CONFIG.get_or_init(|| Arc::new(config))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::{Instant, sleep};

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn both_families_are_tried_in_turn() {
        let found = addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "1.0.0.1:1"]);
        assert_eq!(alternating(found), addresses(&["[::1]:1", "1.0.0.1:1", "[::2]:1", "[::3]:1"]));
        let found = addresses(&["1.0.0.1:1", "1.0.0.2:1", "[::1]:1"]);
        assert_eq!(alternating(found), addresses(&["1.0.0.1:1", "[::1]:1", "1.0.0.2:1"]));
        assert_eq!(alternating(Vec::new()), []);
    }

    /// Dials addresses whose ports say how they behave: 1 is dead, 2 refuses, 3 takes half a second, 4 answers.
    async fn dialled(ports: &[u16]) -> (io::Result<u16>, Duration) {
        let start = Instant::now();
        let addresses = ports.iter().map(|port| SocketAddr::from(([127, 0, 0, 1], *port))).collect();
        let connected = first(addresses, |address| async move {
            match address.port() {
                1 => std::future::pending().await,
                2 => return Err(io::ErrorKind::ConnectionRefused.into()),
                3 => sleep(Duration::from_millis(500)).await,
                _ => {}
            }
            Ok(address.port())
        });
        (connected.await, start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_address_costs_a_quarter_of_a_second() {
        for (ports, winner, millis) in [
            (&[4, 1][..], 4, 0),
            (&[1, 4], 4, 250),
            (&[2, 2, 4], 4, 0),
            (&[1, 2, 4], 4, 250),
            (&[3, 1], 3, 500),
            (&[3, 1, 1, 1], 3, 500),
            (&[1, 3, 4], 4, 500),
            (&[1, 3], 3, 750),
        ] {
            let (connected, time) = dialled(ports).await;
            assert_eq!((connected.unwrap(), time), (winner, Duration::from_millis(millis)), "{ports:?}");
        }
        assert_eq!(dialled(&[2, 2]).await.0.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(dialled(&[]).await.0.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
