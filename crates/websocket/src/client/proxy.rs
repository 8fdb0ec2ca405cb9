//! Reaching a server through a proxy: HTTP's CONNECT, and SOCKS5 (RFC 1928, RFC 1929).

use super::{ConnectError, credentials::Credentials, dial::without_brackets, environment, response};
use bytes::BytesMut;
use http::Uri;
use std::{fmt, net::IpAddr, str::FromStr};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A proxy, as `http://host:port`, `https://host:port` (itself reached over TLS) or `socks5://host:port`, with
/// `user:password@` or `user@` before the host if it asks for them. Both are percent-decoded.
///
/// The name of the WebSocket's host is resolved by the proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    kind: Kind,
    pub(super) host: String,
    pub(super) port: u16,
    credentials: Option<Credentials>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Http,
    Https,
    Socks5,
}

impl FromStr for Proxy {
    type Err = InvalidProxy;

    fn from_str(text: &str) -> Result<Self, InvalidProxy> {
        let uri: Uri = text.parse().map_err(|_| InvalidProxy)?;
        let (kind, port) = match uri.scheme_str() {
            Some("http") => (Kind::Http, 80),
            Some("https") => (Kind::Https, 443),
            Some("socks5" | "socks5h") => (Kind::Socks5, 1080),
            _ => return Err(InvalidProxy),
        };
        let authority = uri.authority().ok_or(InvalidProxy)?;
        let credentials = Credentials::of(authority);
        if let (Kind::Socks5, Some(Credentials { user, password })) = (kind, &credentials) {
            // Both lengths are one byte, and there must be a user (RFC 1929 §2).
            if user.is_empty() || user.len() > 255 || password.len() > 255 {
                return Err(InvalidProxy);
            }
        }
        let host = without_brackets(authority.host()).to_owned();
        Ok(Proxy { kind, host, port: authority.port_u16().unwrap_or(port), credentials })
    }
}

impl Proxy {
    /// The proxy that the environment names for a URL, by the rules of curl: `HTTPS_PROXY` for `wss`, `HTTP_PROXY` for `ws`,
    /// `ALL_PROXY` for both, in lower case or upper, unless `NO_PROXY` lists the host, its domain, address or network.
    /// `None` if there is none, and for a URL that [`connect`](crate::connect) refuses.
    ///
    /// # Errors
    /// [`InvalidProxy`] when the variable's value is no proxy.
    pub fn from_env(uri: impl TryInto<Uri>) -> Result<Option<Self>, InvalidProxy> {
        let Ok(uri) = uri.try_into() else { return Ok(None) };
        environment::proxy(&uri, |name| std::env::var(name).ok())
    }

    /// Whether the proxy itself is reached over TLS.
    pub(super) fn is_tls(&self) -> bool {
        self.kind == Kind::Https
    }

    /// Asks the proxy, over a stream to it, for a way to a host and port.
    pub(super) async fn tunnel<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        host: &str,
        port: u16,
    ) -> Result<(), ConnectError> {
        match self.kind {
            Kind::Http | Kind::Https => self.http(stream, host, port).await,
            Kind::Socks5 => self.socks5(stream, host, port).await,
        }
    }

    async fn http<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        host: &str,
        port: u16,
    ) -> Result<(), ConnectError> {
        let target = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n");
        if let Some(credentials) = &self.credentials {
            request.push_str(&format!("proxy-authorization: {}\r\n", credentials.basic()));
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        // Nothing follows the proxy's answer before we speak, so reading ahead takes nothing from the server.
        let response = match response::read_head(stream, &mut BytesMut::new()).await {
            Err(ConnectError::Answer { why, .. }) => return Err(ConnectError::Proxy(format!("of its answer, {why}"))),
            response => response?,
        };
        if !response.status().is_success() {
            return Err(ConnectError::Proxy(format!("it answered {}", response.status())));
        }
        Ok(())
    }

    async fn socks5<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        host: &str,
        port: u16,
    ) -> Result<(), ConnectError> {
        let failed = |why: &str| ConnectError::Proxy(why.to_owned());
        let greeting: &[u8] = if self.credentials.is_some() { &[5, 2, 0, 2] } else { &[5, 1, 0] };
        stream.write_all(greeting).await?;
        stream.flush().await?;
        let mut choice = [0; 2];
        stream.read_exact(&mut choice).await?;
        match (choice, &self.credentials) {
            ([5, 0], _) => {}
            ([5, 2], Some(Credentials { user, password })) => {
                let mut login = vec![1];
                for part in [user, password] {
                    login.push(u8::try_from(part.len()).map_err(|_| failed("its credentials are too long"))?);
                    login.extend_from_slice(part);
                }
                stream.write_all(&login).await?;
                stream.flush().await?;
                let mut answer = [0; 2];
                stream.read_exact(&mut answer).await?;
                if answer[1] != 0 {
                    return Err(failed("it refused the credentials"));
                }
            }
            _ => return Err(failed("it speaks another protocol or wants credentials")),
        }
        let mut request = vec![5, 1, 0];
        match host.parse() {
            Ok(IpAddr::V4(address)) => {
                request.push(1);
                request.extend_from_slice(&address.octets());
            }
            Ok(IpAddr::V6(address)) => {
                request.push(4);
                request.extend_from_slice(&address.octets());
            }
            Err(_) => {
                request.extend_from_slice(&[3, u8::try_from(host.len()).map_err(|_| ConnectError::Url)?]);
                request.extend_from_slice(host.as_bytes());
            }
        }
        request.extend_from_slice(&port.to_be_bytes());
        stream.write_all(&request).await?;
        stream.flush().await?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await?;
        if answer[..2] != [5, 0] {
            return Err(ConnectError::Proxy(format!("it could not connect (SOCKS reply {})", answer[1])));
        }
        // The address it connects from, and its port, which nobody needs.
        let address_bytes = match answer[3] {
            1 => 4,
            3 => usize::from(stream.read_u8().await?),
            4 => 16,
            _ => return Err(failed("its answer is wrong")),
        };
        stream.read_exact(&mut vec![0; address_bytes + 2]).await?;
        Ok(())
    }
}

/// Without the password.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({:?} {}:{})", self.kind, self.host, self.port)
    }
}

/// The text is no `http://`, `https://` or `socks5://` URL of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a proxy such as http://host:port, https://host:port or socks5://user:password@host:port")]
pub struct InvalidProxy;
