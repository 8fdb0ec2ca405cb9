//! The other end of a connection: who it is and where it comes from, as policy and application see it.

use std::any::Any;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Weak};

use tidings_protocol::{ClientInfo, Payload};
use uuid::Uuid;

use crate::ChannelName;
use crate::handle::Handle;
use crate::limits::PEER_HEADER_BYTES_MAX;

/// Who is behind a connection.
#[derive(Clone, Default)]
pub struct Identity {
    /// The user, as others see it; empty when anonymous.
    pub user: String,
    /// A second name by which the server can reach the connection, such as the session it was opened from.
    pub tag: Option<String>,
    /// What others see beside the user (`conn_info`).
    pub info: Option<Payload>,
    /// Anything that the application wants to find again; see [`context`](Self::context).
    pub context: Option<Arc<dyn Any + Send + Sync>>,
}

impl Identity {
    /// What the application attached, when it is a `T`.
    #[must_use]
    pub fn context<T: Any>(&self) -> Option<&T> {
        self.context.as_ref()?.downcast_ref()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("user", &self.user).field("tag", &self.tag).finish_non_exhaustive()
    }
}

/// Where a connection comes from, as its transport knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remote {
    /// The address that limits count by, when there is one.
    pub address: Option<IpAddr>,
    /// The address is that of a proxy whose word is not believed: its clients count together, also where it is on this
    /// machine. Whoever comes from this machine itself may be a backend for many, and is counted by name alone.
    pub is_proxy: bool,
    /// A chosen few headers of the handshake, names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The kind of transport, such as `websocket`.
    pub transport: &'static str,
}

/// A connection, as policy and application see it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Peer {
    pub(crate) id: Uuid,
    pub(crate) identity: Option<Arc<Identity>>,
    address: Option<IpAddr>,
    is_proxy: bool,
    transport: &'static str,
    /// `None` when there are none: there are many connections, and most of them idle.
    headers: Option<Arc<[(&'static str, String)]>>,
    /// Set while a question about it is being asked.
    pub(crate) handle: Weak<Handle>,
}

impl Peer {
    /// A peer; transports get theirs by [`Hub::connect`](crate::Hub::connect), tests of a policy make them. Of an IPv6
    /// address the first 64 bits are kept, which is what one customer has; of a header, 256 bytes.
    #[must_use]
    pub fn new(id: Uuid, identity: Option<Identity>, mut remote: Remote) -> Self {
        remote.address = remote.address.map(network_of);
        for (_, value) in &mut remote.headers {
            let kept = value.floor_char_boundary(PEER_HEADER_BYTES_MAX);
            if kept < value.len() {
                // Not cut in place: the memory of what is cut off would stay.
                *value = value[..kept].to_owned();
            }
        }
        let Remote { address, is_proxy, headers, transport } = remote;
        let headers = (!headers.is_empty()).then(|| headers.into());
        let identity = identity.map(Arc::new);
        Self { id, identity, address, is_proxy, transport, headers, handle: Weak::new() }
    }

    /// The connection's id, a random UUID.
    #[must_use]
    pub fn id(&self) -> String {
        self.id.to_string()
    }

    /// Who it is: what the transport knew, replaced by what [`Policy::connect`](crate::Policy::connect) answered.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_deref()
    }

    /// The user; empty when unknown or anonymous.
    #[must_use]
    pub fn user(&self) -> &str {
        self.identity().map_or("", |identity| &identity.user)
    }

    /// What the application attached to the identity, when it is a `T`.
    #[must_use]
    pub fn context<T: Any>(&self) -> Option<&T> {
        self.identity()?.context()
    }

    /// Whether it is subscribed to the channel, by itself or by the server, at the moment that policy or application are
    /// asked about it; `false` for a peer that a test made.
    #[must_use]
    pub fn is_subscribed(&self, channel: &ChannelName) -> bool {
        self.handle.upgrade().is_some_and(|handle| handle.is_in(channel))
    }

    /// What it is subscribed to at that moment, itself included where it is about to be.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<ChannelName> {
        self.handle.upgrade().map(|handle| handle.channels()).unwrap_or_default()
    }

    /// The address to count by, of IPv6 its /64; `None` when the transport knows none.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// The network whose token users are counted together.
    pub(crate) fn network(&self) -> Option<IpAddr> {
        self.address.filter(|address| self.is_proxy || !address.is_loopback())
    }

    /// A header of the handshake, if the transport kept it; `name` in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.as_deref()?.iter().find(|(known, _)| *known == name).map(|(_, value)| &**value)
    }

    /// The kind of transport.
    #[must_use]
    pub fn transport(&self) -> &'static str {
        self.transport
    }

    /// How others in a channel see it.
    pub(crate) fn info(&self, chan_info: Option<Payload>) -> ClientInfo {
        ClientInfo {
            user: self.user().to_owned(),
            client: self.id(),
            conn_info: self.identity().and_then(|identity| identity.info.clone()),
            chan_info,
        }
    }
}

/// What limits count as one address: an IPv6 host usually owns its whole /64.
#[must_use]
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        address if address.is_loopback() => address,
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_count_an_ipv6_address_by_its_first_64_bits() {
        let counted = |address: &str| {
            let remote = Remote { address: Some(address.parse().unwrap()), ..Remote::default() };
            Peer::new(Uuid::nil(), None, remote).address().unwrap().to_string()
        };
        assert_eq!(counted("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(counted("192.0.2.1"), "192.0.2.1");
        assert_eq!(counted("::ffff:192.0.2.1"), "192.0.2.1");
    }

    #[test]
    fn a_header_is_kept_up_to_256_bytes() {
        let remote = Remote { headers: vec![("user-agent", "ü".repeat(200))], ..Remote::default() };
        let peer = Peer::new(Uuid::nil(), None, remote);
        assert_eq!(peer.header("user-agent").map(str::len), Some(256));
        assert_eq!(peer.header("remote"), None);
    }
}
