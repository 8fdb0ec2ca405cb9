//! What every handler shares: the chat, the hub, and how the server was started.
//!
//! State alone: it knows no request and no route.

use crate::api::keys::{KeyUses, Keys};
use crate::channels::Channels;
use crate::config::{Config, Settings, Sources};
use crate::metrics::Metrics;
use crate::tokens::Tokens;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};
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
    /// Where the configuration comes from.
    pub(crate) sources: Sources<Settings>,
    /// Its keys as they hold now: some have been read again since the start. Held while they are: one reload at a time.
    pub(crate) in_effect: tokio::sync::Mutex<Settings>,
    /// How the application's channels work.
    pub(crate) channels: Arc<Channels>,
    /// A name of this run of the server, new at each start.
    pub(crate) node: String,
    pub(crate) chat: Chat,
    pub(crate) hub: Hub,
    /// Of the server API.
    pub(crate) keys: Keys,
    pub(crate) tokens: Arc<Tokens>,
    /// The server's own.
    pub(crate) token_secret: String,
    pub(crate) key_uses: KeyUses,
    pub(crate) metrics: Arc<Metrics>,
    /// Off while draining.
    pub(crate) readiness: Readiness,
    /// Which pages are our own.
    pub(crate) own_origin: OriginPolicy,
    /// Which pages of other sites may open live connections, with a token.
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
