//! Who sends a request, as handlers see it.

use super::cookie::{device_cookie, session_token};
use crate::app::App;
use crate::limits::PROXIES_TOLD_OF_MAX;
use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, PoisonError};
use tidings_chat::Browser;

/// Who sends a request, for limits and lists of sessions; and the base of the links to answer with.
pub(crate) struct Caller {
    pub(crate) browser: Browser,
    pub(crate) base_url: String,
}

impl FromRequestParts<App> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let user_agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let address = tidings_serve::Caller::of(parts).and_then(|caller| caller.address);
        is_untrusted_proxy(app, parts);
        Ok(Self {
            // Who comes through a Unix socket is on this machine.
            browser: Browser {
                address: address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
                user_agent: user_agent.unwrap_or_default().to_owned(),
                session: session_token(app, &parts.headers),
                device: device_cookie(app, &parts.headers),
            },
            base_url: base_url(app, parts),
        })
    }
}

/// Whether the peer is a proxy that the configuration does not name, as far as that shows; says so once of each. Without it
/// all its clients are one address, and share its limits.
pub(crate) fn is_untrusted_proxy(app: &App, parts: &Parts) -> bool {
    static TOLD: ToldOf = ToldOf::new();
    let forwarded = ["forwarded", "x-forwarded-for"].into_iter().any(|name| parts.headers.contains_key(name));
    let peer = parts.extensions.get::<tidings_serve::Connection>().and_then(|connection| connection.peer().address());
    let Some(peer) = peer.map(|peer| peer.ip().to_canonical()) else { return false };
    let trusted = &app.config.trusted_proxies;
    let is_proxy = forwarded && !trusted.contains(peer);
    let may_be_meant = peer.is_loopback() || app.config.settings.trusted_proxies.is_empty();
    if is_proxy && may_be_meant && TOLD.is_worth_telling(peer) {
        tracing::warn!(
            %peer,
            "a request came through what seems to be a proxy and is not in trusted_proxies: all its clients count as one \
             address. If it is your proxy, start with --trusted-proxies {peer}; if not, nothing is to be done: what it \
             says is not believed"
        );
    }
    is_proxy
}

/// The untrusted proxies that the operator has been told of.
struct ToldOf(Mutex<Vec<IpAddr>>);

impl ToldOf {
    const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Whether to warn of `peer`, once. Anybody far away may write such a header, to be trusted or to use the warning up;
    /// who is near and does is likely a proxy.
    fn is_worth_telling(&self, peer: IpAddr) -> bool {
        if !is_near(peer) {
            return false;
        }
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = told.len() < PROXIES_TOLD_OF_MAX && !told.contains(&peer);
        if is_new {
            told.push(peer);
        }
        is_new
    }
}

/// On this machine or in a private network.
fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback() || address.is_private() || address.is_link_local(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local(),
    }
}

/// The base of the links that a request's page should use, such as `http://127.0.0.1:8000`: the configured public
/// URL, or else the scheme and host that the request itself names.
fn base_url(app: &App, parts: &Parts) -> String {
    if let Some(url) = &app.config.public_url {
        return url.as_str().to_owned();
    }
    let caller = tidings_serve::Caller::of(parts);
    let https = app.config.tls.is_some() || caller.as_ref().is_some_and(|caller| caller.is_https);
    let scheme = if https { "https" } else { "http" };
    match caller.map(|caller| caller.host).filter(|host| host.parse::<http::uri::Authority>().is_ok()) {
        Some(host) => format!("{scheme}://{host}"),
        None => format!("{scheme}://{}", app.address()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_is_told_once_of_each_near_proxy_and_never_to_trust_a_public_address() {
        let told = ToldOf::new();
        let is_told = |peer: &str| told.is_worth_telling(peer.parse().unwrap());
        for public in ["203.0.113.7", "2001:db8::7", "100.64.0.1", "8.8.8.8", "0.0.0.0"] {
            assert!(!is_told(public), "{public}");
        }
        for near in ["127.0.0.1", "::1", "10.1.2.3", "172.17.0.1", "192.168.1.1", "fd00::1", "fe80::1"] {
            assert_eq!((is_told(near), is_told(near)), (true, false), "{near}, whoever came before");
        }
        let crowd = (0..=u8::MAX).filter(|last| is_told(&format!("10.0.0.{last}"))).count();
        assert_eq!(7 + crowd, PROXIES_TOLD_OF_MAX);
    }
}
