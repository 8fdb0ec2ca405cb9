//! What every handler shares: the chat, the hub, and how the server was started.

use crate::config::Config;
use crate::http::origin::base_url;
use crate::http::problem::Problem;
use crate::metrics::Metrics;
use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::sync::{Arc, Once, OnceLock};
use tidings_chat::Chat;
use tidings_hub::Hub;
use tidings_serve::{Handle, Readiness};
use tidings_websocket::OriginPolicy;

/// The running server, as its handlers see it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

/// See [`App`].
pub(crate) struct Shared {
    pub(crate) config: Config,
    /// A name of this run of the server, new at each start.
    pub(crate) node: String,
    pub(crate) chat: Chat,
    pub(crate) hub: Hub,
    pub(crate) api_key: String,
    pub(crate) metrics: Arc<Metrics>,
    /// Off while draining.
    pub(crate) readiness: Readiness,
    /// Which pages are our own.
    pub(crate) own_origin: OriginPolicy,
    /// Which pages of other sites may open sockets, with a token.
    pub(crate) allowed_origins: OriginPolicy,
    /// The server, once it listens.
    pub(crate) handle: OnceLock<Handle>,
}

impl App {
    pub(crate) fn new(parts: Shared) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Shared {
    /// Where the server listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.handle.get().map_or(self.config.listen, Handle::local_addr)
    }
}

/// Who sends a request, for limits and lists of sessions; and the base of the links to answer with.
pub(crate) struct Caller {
    pub(crate) address: IpAddr,
    pub(crate) user_agent: String,
    pub(crate) base_url: String,
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let user_agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let address = tidings_serve::Caller::of(parts).and_then(|caller| caller.address);
        warn_of_untrusted_proxy(app, parts);
        Ok(Self {
            // Who comes through a Unix socket is on this machine.
            address: address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            user_agent: user_agent.unwrap_or_default().to_owned(),
            base_url: base_url(app, parts),
        })
    }
}

/// Says once that a proxy is in front which the configuration does not name: without it all clients are one address, and
/// share its limits.
fn warn_of_untrusted_proxy(app: &App, parts: &Parts) {
    static SAID: Once = Once::new();
    let forwarded = ["forwarded", "x-forwarded-for"].into_iter().any(|name| parts.headers.contains_key(name));
    if forwarded && app.config.trusted_proxies.is_empty() {
        SAID.call_once(|| {
            tracing::warn!(
                "a request came through a proxy that is not in trusted_proxies: all its clients count as one address; \
                 start with --trusted-proxies ADDRESS, such as 127.0.0.1 for a proxy on this machine"
            );
        });
    }
}
