//! Who may open a live connection, whatever the transport: origin, identity, address, limits, in one place.

use crate::app::App;
use crate::http::caller::is_untrusted_proxy;
use crate::http::cookie::session_token;
use crate::http::deadline::within;
use crate::http::origin::{Place, is_own};
use crate::http::problem::Problem;
use crate::limits::{ADMISSION_TIME_MAX, SOCKET_MESSAGE_BYTES_MAX, SOCKET_WRITE_TIMEOUT};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use std::convert::Infallible;
use std::net::IpAddr;
use std::time::Duration;
use tidings_hub::{Identity, Remote};

/// The headers of a handshake that the hub's policy and logs may want to know.
const REMOTE_HEADERS: [&str; 2] = ["origin", "user-agent"];

/// What a request says of where it comes from.
pub(crate) struct Handshake {
    place: Place,
    address: Option<IpAddr>,
    is_proxy: bool,
    headers: HeaderMap,
}

/// A live connection may begin.
pub(crate) struct Admitted {
    /// The person, when the handshake proves one.
    pub(crate) identity: Option<Identity>,
    pub(crate) remote: Remote,
    pub(crate) limits: TransportLimits,
}

/// What a transport may take and hold of one connection, whichever it is.
pub(crate) struct TransportLimits {
    /// Bytes of one message of the client.
    pub(crate) message_bytes_max: usize,
    /// Bytes that wait to be written. The hub bounds what waits for a connection; whatever it hands over at once must
    /// fit.
    pub(crate) queue_bytes_max: usize,
    /// How long a peer may take nothing of what is written to it.
    pub(crate) write_timeout: Duration,
}

/// Why it may not.
pub(crate) enum NotAdmitted {
    /// The page is of a site that the configuration does not list.
    Origin,
    Problem(Problem),
}

impl FromRequestParts<App> for Handshake {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let address = tidings_serve::Caller::of(parts).and_then(|caller| caller.address);
        let is_proxy = is_untrusted_proxy(app, parts);
        Ok(Self { place: Place::of(parts), address, is_proxy, headers: parts.headers.clone() })
    }
}

impl Handshake {
    /// Checks the origin, then the cookie of our own page. Programs send no `Origin` and are let in; who they are, they
    /// say by a token in the connect command.
    pub(crate) async fn admit(self, app: &App, transport: &'static str) -> Result<Admitted, NotAdmitted> {
        let origin = self.headers.get(header::ORIGIN);
        let is_own = match origin.map(|origin| origin.to_str().unwrap_or_default()) {
            None => false,
            Some(origin) if is_own(app, &self.place, origin) => true,
            Some(origin) if app.allowed_origins.allows(origin, None) => false,
            Some(_) => return Err(NotAdmitted::Origin),
        };
        let identity = if is_own {
            let identified = within(ADMISSION_TIME_MAX, "upgrade", self.identify(app)).await;
            identified.and_then(|identity| identity).map_err(NotAdmitted::Problem)?
        } else {
            None
        };
        let header = |name: &'static str| Some((name, self.headers.get(name)?.to_str().ok()?.to_owned()));
        let headers = REMOTE_HEADERS.into_iter().filter_map(header);
        let remote = Remote { address: self.address, is_proxy: self.is_proxy, headers: headers.collect(), transport };
        let limits = TransportLimits {
            message_bytes_max: SOCKET_MESSAGE_BYTES_MAX,
            queue_bytes_max: app.hub.limits().outbox_bytes_max * 2,
            write_timeout: SOCKET_WRITE_TIMEOUT,
        };
        Ok(Admitted { identity, remote, limits })
    }

    /// The person of the session cookie: only for a page of ours (S01, S02). Pages of other sites say who they are by a
    /// token, never by the cookie that the browser sends along.
    ///
    /// A cookie whose session has ended makes nobody: a token may follow in the connect command. Where none does, the
    /// connection ends with 3501, and our page asks who is signed in.
    async fn identify(&self, app: &App) -> Result<Option<Identity>, Problem> {
        let Some(token) = session_token(app, &self.headers) else { return Ok(None) };
        Ok(app.chat.arrive(&token).await?)
    }
}
