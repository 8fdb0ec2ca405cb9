//! Reaching a server through a proxy: HTTP's CONNECT, and SOCKS5 (RFC 1928, RFC 1929).

use super::{ConnectError, response};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::BytesMut;
use http::Uri;
use std::{fmt, str::FromStr};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A proxy, as `http://host:port` or `socks5://host:port`, with `user:password@` before the host if it asks for them.
///
/// The name of the WebSocket's host is resolved by the proxy. For a proxy that is itself reached over TLS, connect a stream
/// and give it to [`connect_over`](crate::connect_over).
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    kind: Kind,
    pub(super) host: String,
    pub(super) port: u16,
    credentials: Option<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Http,
    Socks5,
}

impl FromStr for Proxy {
    type Err = InvalidProxy;

    fn from_str(text: &str) -> Result<Self, InvalidProxy> {
        let uri: Uri = text.parse().map_err(|_| InvalidProxy)?;
        let (kind, port) = match uri.scheme_str() {
            Some("http") => (Kind::Http, 80),
            Some("socks5" | "socks5h") => (Kind::Socks5, 1080),
            _ => return Err(InvalidProxy),
        };
        let authority = uri.authority().ok_or(InvalidProxy)?;
        let credentials = match authority.as_str().rsplit_once('@') {
            Some((credentials, _)) => {
                let (user, password) = credentials.split_once(':').ok_or(InvalidProxy)?;
                // Both lengths are one byte in SOCKS5.
                if user.len() > 255 || password.len() > 255 {
                    return Err(InvalidProxy);
                }
                Some((user.to_owned(), password.to_owned()))
            }
            None => None,
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Proxy { kind, host, port: authority.port_u16().unwrap_or(port), credentials })
    }
}

impl Proxy {
    /// Asks the proxy, over a stream to it, for a way to a host and port.
    pub(super) async fn tunnel<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        host: &str,
        port: u16,
    ) -> Result<(), ConnectError> {
        match self.kind {
            Kind::Http => self.http(stream, host, port).await,
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
        if let Some((user, password)) = &self.credentials {
            let basic = STANDARD.encode(format!("{user}:{password}"));
            request.push_str(&format!("proxy-authorization: Basic {basic}\r\n"));
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
            ([5, 2], Some((user, password))) => {
                let mut login = vec![1];
                for part in [user, password] {
                    login.push(u8::try_from(part.len()).map_err(|_| failed("its credentials are too long"))?);
                    login.extend_from_slice(part.as_bytes());
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
        let length = u8::try_from(host.len()).map_err(|_| ConnectError::Url)?;
        let mut request = vec![5, 1, 0, 3, length];
        request.extend_from_slice(host.as_bytes());
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

/// The text is no `http://` or `socks5://` URL of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a proxy such as http://host:port or socks5://user:password@host:port")]
pub struct InvalidProxy;
