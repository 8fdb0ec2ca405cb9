//! The proxies that are believed, by their addresses.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

/// The proxies whose `Forwarded` and `X-Forwarded-*` fields are believed. By default there are none.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    networks: Arc<[AddressBlock]>,
    pub(crate) unix: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AddressBlock {
    address: IpAddr,
    prefix: u8,
}

/// What is wrong with a network in the list of trusted proxies.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither an address nor a network such as 10.0.0.0/8")]
pub struct NetworkError(String);

impl NetworkError {
    /// What was given in place of a network.
    #[must_use]
    pub fn given(&self) -> &str {
        &self.0
    }
}

impl TrustedProxies {
    /// Nobody is believed.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Believes proxies in these networks: `"10.0.0.0/8"`, `"fd00::/8"`, `"127.0.0.1"`.
    ///
    /// # Errors
    /// [`NetworkError`] names the first that is not one.
    pub fn parse<'a>(networks: impl IntoIterator<Item = &'a str>) -> Result<Self, NetworkError> {
        networks
            .into_iter()
            .map(str::parse)
            .collect::<Result<Vec<_>, _>>()
            .map(|networks| Self { networks: networks.into(), unix: false })
    }

    /// Believes whoever connects through a Unix socket too: who may do that, the file's permissions say.
    #[must_use]
    pub fn and_unix(mut self) -> Self {
        self.unix = true;
        self
    }

    /// True when `address` belongs to a trusted proxy.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(address))
    }
}

impl FromStr for AddressBlock {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let wrong = || NetworkError(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| wrong())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(bits), |prefix| prefix.trim().parse().map_err(|_| wrong()))?;
        if prefix > bits {
            return Err(wrong());
        }
        Ok(Self { address, prefix })
    }
}

impl AddressBlock {
    fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_peer_on_a_dual_listener_is_its_ipv4_self() {
        let proxies = TrustedProxies::parse(["10.0.0.0/8"]).unwrap();
        assert!(proxies.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(TrustedProxies::parse(["0.0.0.0/0"]).unwrap().contains("9.9.9.9".parse().unwrap()));
        assert!(!TrustedProxies::parse(["10.0.0.0/9"]).unwrap().contains("10.128.0.1".parse().unwrap()));
    }

    #[test]
    fn what_is_no_network_is_named() {
        for wrong in ["10.0.0.0/33", "example.com", "10.0.0.0/-1", ""] {
            assert_eq!(TrustedProxies::parse([wrong]).unwrap_err(), NetworkError(wrong.to_owned()));
        }
    }
}
