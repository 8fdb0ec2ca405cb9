//! Who sends a request, as handlers see it.

use super::cookie::{device_cookie, session_token};
use crate::app::App;
use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Once;
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

/// Whether the peer is a proxy that the configuration does not name, as far as that shows; says so once. Without it all
/// its clients are one address, and share its limits.
pub(crate) fn is_untrusted_proxy(app: &App, parts: &Parts) -> bool {
    static SAID: Once = Once::new();
    let forwarded = ["forwarded", "x-forwarded-for"].into_iter().any(|name| parts.headers.contains_key(name));
    let peer = parts.extensions.get::<tidings_serve::Connection>().and_then(|connection| connection.peer().address());
    let Some(peer) = peer.map(|peer| peer.ip().to_canonical()) else { return false };
    let trusted = &app.config.trusted_proxies;
    // Anybody far away may write such a header. Who is near and does is a proxy.
    let is_proxy = forwarded && !trusted.contains(peer);
    if is_proxy && (peer.is_loopback() || app.config.settings.trusted_proxies.is_empty()) {
        SAID.call_once(|| {
            tracing::warn!(
                %peer,
                "a request came through a proxy that is not in trusted_proxies: all its clients count as one address; \
                 start with --trusted-proxies ADDRESS, such as 127.0.0.1 for a proxy on this machine"
            );
        });
    }
    is_proxy
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
