//! The uplink of connections whose downlink is a stream: `POST /emulation`, which finds the connection by its session.
//!
//! A session is a secret of its connection (122 random bits), so whoever has it speaks for the connection, but no page of
//! another site than the one that opened it. Each frame waits for its turn; SDKs do not number them and do not wait for one
//! another, so that one may overtake another on the way here.

use super::admission::{Handshake, NotAdmitted, Site};
use super::streamed::{Rooms, Uplink, UplinkFull};
use crate::app::App;
use crate::http::body::read_body;
use crate::http::problem::Problem;
use crate::limits::uplink_body_bytes_max;
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use subtle::ConstantTimeEq;
use tidings_protocol::Encoding;

/// Where the requests of emulated connections go, by session. An entry lives as long as its connection, so there are no more
/// of them than connections are let in. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Uplinks(Arc<Entries>);

#[derive(Default)]
struct Entries {
    by_hash: Mutex<HashMap<u64, Entry>>,
    rooms: Rooms,
    /// Keyed by what nobody knows outside, so that looking something up tells nothing of what is there (S32).
    hasher: RandomState,
}

struct Entry {
    session: Box<str>,
    site: Site,
    encoding: Encoding,
    uplink: Uplink,
}

/// A connection's entry; gone with it.
pub(super) struct Registered {
    entries: Arc<Entries>,
    hash: u64,
}

impl Uplinks {
    /// Lets the requests of a session find their way, as long as what is returned is kept.
    pub(super) fn register(&self, session: &str, site: Site, encoding: Encoding, uplink: Uplink) -> Registered {
        let hash = self.0.hasher.hash_one(session);
        self.0.lock().insert(hash, Entry { session: session.into(), site, encoding, uplink });
        Registered { entries: self.0.clone(), hash }
    }

    fn find(&self, session: &str) -> Option<(Site, Encoding, Uplink)> {
        let entries = self.0.lock();
        let entry = entries.get(&self.0.hasher.hash_one(session))?;
        let is_it: bool = entry.session.as_bytes().ct_eq(session.as_bytes()).into();
        is_it.then(|| (entry.site.clone(), entry.encoding, entry.uplink.clone()))
    }
}

impl Entries {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Entry>> {
        self.by_hash.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut entries = self.entries.lock();
        entries.remove(&self.hash);
        if entries.capacity() > 1024 && entries.capacity() > entries.len() * 4 {
            entries.shrink_to_fit();
        }
    }
}

/// In which form a request's body is.
pub(super) fn encoding_of(headers: &HeaderMap) -> Encoding {
    let is_binary = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/octet-stream");
    if is_binary { Encoding::Protobuf } else { Encoding::Json }
}

/// `POST /emulation`: 204 also where the session is gone, whose stream has ended then and told the client so.
pub(crate) async fn emulation(
    State(app): State<App>,
    Extension(uplinks): Extension<Uplinks>,
    handshake: Handshake,
    request: Request,
) -> Result<Response, Response> {
    let encoding = encoding_of(request.headers());
    let message_bytes_max = app.config.settings.limits.message_bytes_max as usize;
    let body = read_body(request, uplink_body_bytes_max(message_bytes_max)).await;
    let body = body.map_err(IntoResponse::into_response)?;
    let malformed = || {
        let detail = "Send the session and the node that the connect reply named, and in data a frame of commands.";
        Problem::new(StatusCode::BAD_REQUEST, "malformed", detail).into_response()
    };
    let request = encoding.emulation_request(&body).map_err(|_| malformed())?;
    let frame = request.frame().map_err(|_| malformed())?;
    if request.node != app.node {
        let detail = "There is no such node. Connect again.";
        return Err(Problem::new(StatusCode::NOT_FOUND, "unknown_node", detail).into_response());
    }
    if frame.len() > message_bytes_max {
        let detail = format!("A frame of commands may have at most {message_bytes_max} bytes.");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail).into_response());
    }
    let Some((site, spoken, uplink)) = uplinks.find(&request.session) else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    // What a program has opened is nobody's page's.
    if site != Site::Program && handshake.site(&app).ok() != Some(site) {
        return Err(NotAdmitted::Origin.into_response());
    }
    if spoken != encoding {
        return Err(malformed());
    }
    match uplink.send(Bytes::copy_from_slice(&frame), &uplinks.0.rooms) {
        Ok(()) => Ok(StatusCode::NO_CONTENT.into_response()),
        Err(UplinkFull) => Err(Problem::too_many(Duration::from_secs(1)).into_response()),
    }
}
