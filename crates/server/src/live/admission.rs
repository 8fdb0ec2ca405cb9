//! Who may open a live connection, whatever the transport: origin, identity, address, limits, in one place. Pages of other
//! sites that may are let in by the headers that browsers ask for (CORS).

use crate::app::App;
use crate::http::caller::is_untrusted_proxy;
use crate::http::cookie::session_token;
use crate::http::deadline::within;
use crate::http::origin::{Place, is_own};
use crate::http::problem::Problem;
use crate::limits::{ADMISSION_TIME_MAX, LOGGED_CHARS_MAX, PREFLIGHT_KEPT, SOCKET_WRITE_TIMEOUT};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
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

/// From where a client comes, as far as its request shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Site {
    /// A page of ours.
    Own,
    /// A page of another site that the configuration lists, with its origin.
    Listed(HeaderValue),
    /// No page: programs send no `Origin`.
    Program,
}

/// The page is of a site that the configuration does not list.
pub(crate) struct ForeignOrigin;

/// A live connection may begin.
pub(crate) struct Admitted {
    pub(crate) site: Site,
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
    /// From where it comes; the one check of origins (S01 to S03).
    ///
    /// Browsers send no `Origin` with a GET of our own page, which event streams are; there they say so in fields that no
    /// page can set. A link that somebody follows in our page is one, too, but not of a script (S45).
    pub(crate) fn site(&self, app: &App) -> Result<Site, ForeignOrigin> {
        // In the mode for development whoever comes may do everything: not by a name that somebody has lead to this machine.
        if app.config.settings.client.insecure && !self.place.is_loopback() {
            return Err(ForeignOrigin);
        }
        let Some(origin) = self.headers.get(header::ORIGIN) else {
            let says = |name: &str, value: &str| self.headers.get(name).is_some_and(|said| said == value);
            let is_of_our_script = says("sec-fetch-site", "same-origin")
                && says("sec-fetch-mode", "cors")
                && says("sec-fetch-dest", "empty");
            return Ok(if is_of_our_script { Site::Own } else { Site::Program });
        };
        match origin.to_str() {
            Ok(text) if is_own(app, &self.place, text) => Ok(Site::Own),
            Ok(text) if app.allowed_origins.allows(text, None) => Ok(Site::Listed(origin.clone())),
            text => {
                // Browsers tell their pages nothing of it, and SDKs try again for ever.
                if let Some(left_out) = app.chat.security_line() {
                    let origin: String = text.unwrap_or_default().chars().take(LOGGED_CHARS_MAX).collect();
                    tracing::warn!(
                        ?origin,
                        left_out,
                        "a page of another site is refused; if it is yours, list its origin in allowed_origins"
                    );
                }
                Err(ForeignOrigin)
            }
        }
    }

    /// Checks the origin, then the cookie of our own page. Programs are let in; who they are, they say by a token in the
    /// connect command.
    pub(crate) async fn admit(self, app: &App, transport: &'static str) -> Result<Admitted, NotAdmitted> {
        let site = self.site(app).map_err(|ForeignOrigin| NotAdmitted::Origin)?;
        let identity = if site == Site::Own {
            let identified = within(ADMISSION_TIME_MAX, transport, self.identify(app)).await;
            identified.and_then(|identity| identity).map_err(NotAdmitted::Problem)?
        } else {
            None
        };
        let header = |name: &'static str| Some((name, self.headers.get(name)?.to_str().ok()?.to_owned()));
        let headers = REMOTE_HEADERS.into_iter().filter_map(header);
        let remote = Remote { address: self.address, is_proxy: self.is_proxy, headers: headers.collect(), transport };
        let limits = TransportLimits {
            message_bytes_max: app.config.settings.limits.message_bytes_max as usize,
            queue_bytes_max: app.hub.limits().outbox_bytes_max * 2,
            write_timeout: SOCKET_WRITE_TIMEOUT,
        };
        Ok(Admitted { site, identity, remote, limits })
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

/// Before and after what carries live connections over plain HTTP: refuses pages of foreign sites, and tells browsers that
/// pages of the listed ones may read the answer. Never with the cookie: whoever comes from elsewhere brings a token.
pub(crate) async fn share_with_listed_sites(State(app): State<App>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let Ok(handshake) = Handshake::from_request_parts(&mut parts, &app).await;
    let site = handshake.site(&app);
    let mut response = match site {
        Err(ForeignOrigin) => NotAdmitted::Origin.into_response(),
        Ok(_) => next.run(Request::from_parts(parts, body)).await,
    };
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    if let Ok(Site::Listed(origin)) = site {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers
            .insert(HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("cross-origin"));
    }
    response
}

/// What a browser asks before it sends JSON from a page of another site.
pub(crate) async fn preflight() -> impl IntoResponse {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST")),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type")),
        (header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from(PREFLIGHT_KEPT.as_secs())),
    ];
    (StatusCode::NO_CONTENT, headers)
}

impl From<Problem> for NotAdmitted {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl IntoResponse for NotAdmitted {
    fn into_response(self) -> Response {
        match self {
            Self::Origin => {
                let detail = "This page is of another site. If it is yours, list its origin in allowed_origins.";
                Problem::new(StatusCode::FORBIDDEN, "foreign_origin", detail).into_response()
            }
            Self::Problem(problem) => problem.into_response(),
        }
    }
}
