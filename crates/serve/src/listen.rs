//! Where to listen: addresses, networks, socket options, and binding them. Knows nothing of what is served.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};

use crate::limits::Limits;
use crate::listener::{Accept, DynAccept, Listener};
use crate::tls::Tls;

/// One place to listen on: an address, its socket options and, if wanted, TLS.
///
/// Made from `"127.0.0.1:8080"`, `":8080"`-less host names (`"localhost:8080"`), a [`SocketAddr`],
/// `"unix:/run/app.sock"`, or a listener that is already bound ([`Listen::tcp_listener`], [`Listen::unix_listener`],
/// [`Listen::custom`]).
pub struct Listen {
    pub(crate) target: Target,
    pub(crate) options: SocketOptions,
    pub(crate) tls: Option<Tls>,
}

pub(crate) enum Target {
    Name(String),
    Address(SocketAddr),
    Unix(PathBuf),
    Tcp(std::net::TcpListener),
    UnixListener(std::os::unix::net::UnixListener),
    Custom(Box<dyn DynAccept>),
}

/// Which IP versions a listener takes; only the unspecified address `[::]` can take both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// Whatever the address is; `[::]` takes IPv4 too.
    #[default]
    Any,
    /// IPv4 alone; a name is resolved to its IPv4 address.
    V4,
    /// IPv6 alone; `[::]` refuses IPv4.
    V6,
}

#[derive(Clone, Debug)]
pub(crate) struct SocketOptions {
    network: Network,
    nodelay: bool,
    keepalive: Option<Duration>,
    backlog: u32,
    reuse_port: bool,
    #[cfg(feature = "fast-open")]
    fast_open: bool,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            network: Network::Any,
            // Small frames are what this server is for; waiting 40 ms to fill a packet is not.
            nodelay: true,
            // As Go's net/http had it for years: a dead peer is noticed within minutes even when nothing is sent.
            keepalive: Some(Duration::from_secs(180)),
            // More than a burst of reconnections; the kernel caps it at net.core.somaxconn (4,096 since Linux 5.4).
            backlog: 4096,
            // Off: a second server on the same port must be an error, not half of the traffic.
            reuse_port: false,
            // Off: a request in the first packet can be replayed by the network, and only the application knows whether
            // that does harm. The kernel must allow it too.
            #[cfg(feature = "fast-open")]
            fast_open: false,
        }
    }
}

impl Listen {
    fn on(target: Target) -> Self {
        Self { target, options: SocketOptions::default(), tls: None }
    }

    /// Listens on a TCP address, given as text (`"0.0.0.0:8080"`, `"[::]:8080"`, `"localhost:0"`) or as a
    /// [`SocketAddr`].
    pub fn tcp(address: impl Into<Listen>) -> Self {
        address.into()
    }

    /// Listens on a Unix socket. A file left behind by a server that is gone is replaced; one that answers is an error.
    pub fn unix(path: impl AsRef<Path>) -> Self {
        Self::on(Target::Unix(path.as_ref().to_owned()))
    }

    /// Takes over a TCP listener that is already bound, for example one handed in by systemd.
    #[must_use]
    pub fn tcp_listener(listener: std::net::TcpListener) -> Self {
        Self::on(Target::Tcp(listener))
    }

    /// Takes over a Unix listener that is already bound.
    #[must_use]
    pub fn unix_listener(listener: std::os::unix::net::UnixListener) -> Self {
        Self::on(Target::UnixListener(listener))
    }

    /// Accepts from anything that yields byte streams.
    pub fn custom(listener: impl Accept) -> Self {
        Self::on(Target::Custom(Box::new(listener)))
    }

    /// Speaks TLS on this listener.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Restricts the listener to one IP version.
    #[must_use]
    pub fn network(mut self, network: Network) -> Self {
        self.options.network = network;
        self
    }

    /// `TCP_NODELAY` on accepted connections; on by default.
    #[must_use]
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.options.nodelay = nodelay;
        self
    }

    /// TCP keep-alive on accepted connections: the silence before the first probe. 3 minutes by default; `None` turns
    /// it off.
    #[must_use]
    pub fn keepalive(mut self, silence: Option<Duration>) -> Self {
        self.options.keepalive = silence;
        self
    }

    /// Connections that wait in the kernel to be accepted, at most. 4,096 by default; the kernel's `somaxconn` caps it.
    #[must_use]
    pub fn backlog(mut self, connections: u32) -> Self {
        self.options.backlog = connections;
        self
    }

    /// `SO_REUSEPORT`: several processes share the port. Off by default, so that a second server on a port is an error.
    #[must_use]
    pub fn reuse_port(mut self, reuse: bool) -> Self {
        self.options.reuse_port = reuse;
        self
    }

    /// TCP Fast Open: a client that was here before sends its request in its very first packet. Off by default.
    ///
    /// The network may deliver such a first packet twice, so it is for servers whose first requests may be repeated. A
    /// warning says so when the kernel does not allow it (`net.ipv4.tcp_fastopen` must have bit 2 set); the server runs
    /// without it then.
    #[cfg(feature = "fast-open")]
    #[must_use]
    pub fn fast_open(mut self, on: bool) -> Self {
        self.options.fast_open = on;
        self
    }
}

impl From<&str> for Listen {
    fn from(address: &str) -> Self {
        Self::from(address.to_owned())
    }
}

impl From<String> for Listen {
    fn from(address: String) -> Self {
        if let Some(path) = address.strip_prefix("unix:") {
            return Self::unix(path);
        }
        Self::on(address.parse().map_or_else(|_| Target::Name(address), Target::Address))
    }
}

impl From<&String> for Listen {
    fn from(address: &String) -> Self {
        Self::from(address.as_str())
    }
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Self::on(Target::Address(address))
    }
}

impl From<(IpAddr, u16)> for Listen {
    fn from(address: (IpAddr, u16)) -> Self {
        Self::from(SocketAddr::from(address))
    }
}

impl From<std::net::TcpListener> for Listen {
    fn from(listener: std::net::TcpListener) -> Self {
        Self::tcp_listener(listener)
    }
}

impl fmt::Debug for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listen").field("target", &self.target.to_string()).field("options", &self.options).finish()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(_) | Self::UnixListener(_) | Self::Custom(_) => f.write_str("the listener handed in"),
        }
    }
}

/// Binds and listens. When this returns, connections are being queued by the kernel.
pub(crate) async fn bind(target: Target, options: &SocketOptions, limits: &Limits) -> io::Result<Listener> {
    match target {
        Target::Address(address) => bind_tcp(address, options, limits),
        Target::Name(name) => {
            let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address of the wanted IP version");
            for address in tokio::net::lookup_host(&name).await? {
                match (options.network, address) {
                    (Network::V4, SocketAddr::V6(_)) | (Network::V6, SocketAddr::V4(_)) => continue,
                    _ => {}
                }
                match bind_tcp(address, options, limits) {
                    Ok(listener) => return Ok(listener),
                    Err(error) => last = error,
                }
            }
            Err(last)
        }
        Target::Unix(path) => bind_unix(path),
        Target::Tcp(listener) => {
            let socket = Socket::from(listener);
            tune(&socket, options, limits)?;
            from_socket(socket, options)
        }
        Target::UnixListener(listener) => {
            listener.set_nonblocking(true)?;
            Ok(Listener::Unix { listener: tokio::net::UnixListener::from_std(listener)?, remove: None })
        }
        Target::Custom(listener) => Ok(Listener::Custom(listener)),
    }
}

fn bind_tcp(address: SocketAddr, options: &SocketOptions, limits: &Limits) -> io::Result<Listener> {
    let mismatch = match options.network {
        Network::V4 => address.is_ipv6(),
        Network::V6 => address.is_ipv4(),
        Network::Any => false,
    };
    if mismatch {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the address is not of the wanted IP version"));
    }
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(options.network == Network::V6)?;
    }
    // Lets a restarted server bind while connections of the old one linger in TIME_WAIT; two listeners still clash.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(options.reuse_port)?;
    tune(&socket, options, limits)?;
    socket.bind(&SockAddr::from(address))?;
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    from_socket(socket, options)
}

/// Sets on the listener what every accepted connection inherits from it on Linux, without a system call each.
fn tune(socket: &Socket, options: &SocketOptions, limits: &Limits) -> io::Result<()> {
    socket.set_tcp_nodelay(options.nodelay)?;
    socket.set_keepalive(options.keepalive.is_some())?;
    if let Some(silence) = options.keepalive {
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(silence).with_interval(Duration::from_secs(15)))?;
    }
    #[cfg(target_os = "linux")]
    {
        socket.set_tcp_user_timeout(Some(limits.unacknowledged_time))?;
        if let Some(bytes) = limits.unsent_bytes_max {
            socket.set_tcp_notsent_lowat(bytes)?;
        }
    }
    Ok(())
}

#[cfg_attr(not(feature = "fast-open"), expect(unused_variables, reason = "one option is used here"))]
fn from_socket(socket: Socket, options: &SocketOptions) -> io::Result<Listener> {
    socket.set_nonblocking(true)?;
    let listener = std::net::TcpListener::from(socket);
    #[cfg(feature = "fast-open")]
    if options.fast_open
        && let Err(error) = allow_fast_open(&listener)
    {
        tracing::warn!(%error, "TCP Fast Open is not available; connections open as usual");
    }
    Ok(Listener::Tcp(tokio::net::TcpListener::from_std(listener)?))
}

#[cfg(feature = "fast-open")]
fn allow_fast_open(listener: &std::net::TcpListener) -> io::Result<()> {
    // The option belongs to the socket, which the clone shares; the clone itself has then done its work.
    tokio_tfo::TfoListener::from_std(listener.try_clone()?)?;
    // Linux takes the option and ignores it unless this setting allows servers to use it.
    let setting = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_fastopen").unwrap_or_default();
    match setting.trim().parse::<u32>() {
        Ok(bits) if bits & 2 == 0 => Err(io::Error::other("net.ipv4.tcp_fastopen does not allow it for servers")),
        _ => Ok(()),
    }
}

fn bind_unix(path: PathBuf) -> io::Result<Listener> {
    let listener = match tokio::net::UnixListener::bind(&path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_left_behind(&path) => {
            std::fs::remove_file(&path)?;
            tokio::net::UnixListener::bind(&path)?
        }
        bound => bound?,
    };
    Ok(Listener::Unix { listener, remove: Some(path) })
}

fn is_left_behind(path: &Path) -> bool {
    let answer = std::os::unix::net::UnixStream::connect(path);
    answer.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::SockRef;

    async fn accepted(options: SocketOptions) -> tokio::net::TcpStream {
        let address = Target::Address(SocketAddr::from(([127, 0, 0, 1], 0)));
        let mut listener = bind(address, &options, &Limits::default()).await.unwrap();
        let _client = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let Listener::Tcp(listener) = &mut listener else { panic!("a TCP listener") };
        listener.accept().await.unwrap().0
    }

    #[tokio::test]
    async fn c2_9_accepted_connections_have_what_was_set_on_their_listener() {
        let stream = accepted(SocketOptions::default()).await;
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(180));
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(20)));
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), 32 * 1024);
        assert!(!socket.reuse_port().unwrap());
    }

    #[tokio::test]
    async fn c1_4_socket_options_can_be_set_otherwise() {
        let options = SocketOptions { nodelay: false, keepalive: None, reuse_port: true, ..Default::default() };
        let stream = accepted(options).await;
        let socket = SockRef::from(&stream);
        assert!(!socket.tcp_nodelay().unwrap());
        assert!(!socket.keepalive().unwrap());
        assert!(socket.reuse_port().unwrap());
    }

    /// Needs `sysctl net.ipv4.tcp_fastopen=3`; elsewhere it shows that the option does no harm.
    #[cfg(feature = "fast-open")]
    #[tokio::test]
    async fn c4_37_a_second_connection_carries_data_in_its_first_packet() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let passive = || {
            let netstat = std::fs::read_to_string("/proc/net/netstat").unwrap();
            let mut lines = netstat.lines().filter(|line| line.starts_with("TcpExt:"));
            let (names, values) = (lines.next().unwrap().split(' '), lines.next().unwrap().split(' '));
            let mut pairs = names.zip(values);
            pairs.find(|(name, _)| *name == "TCPFastOpenPassive").map_or(0, |(_, value)| value.parse::<u64>().unwrap())
        };
        let before = passive();
        let options = SocketOptions { fast_open: true, ..Default::default() };
        let address = Target::Address(SocketAddr::from(([127, 0, 0, 1], 0)));
        let listener = bind(address, &options, &Limits::default()).await.unwrap();
        let Listener::Tcp(listener) = &listener else { panic!("a TCP listener") };
        for _ in 0..2 {
            let mut client = tokio_tfo::TfoStream::connect(listener.local_addr().unwrap()).await.unwrap();
            client.write_all(b"at once").await.unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut received = [0; 7];
            stream.read_exact(&mut received).await.unwrap();
            assert_eq!(&received, b"at once");
        }
        let setting = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_fastopen").unwrap();
        if setting.trim().parse::<u32>().unwrap() & 3 == 3 {
            assert!(passive() > before);
        }
    }
}
