//! Live connections: the WebSocket transport of the hub, and the policy that decides who may do what.
//!
//! The loop in [`carry`] is all there is between a socket and the hub; it knows no channel and no person.

mod policy;

use crate::app::App;
use crate::http::cookie::session_token;
use crate::http::origin::{Host, is_own};
use crate::http::problem::Problem;
use crate::limits::{SOCKET_MESSAGE_BYTES_MAX, SOCKET_WRITE_TIMEOUT};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
pub(crate) use policy::LivePolicy;
use tidings_hub::{Connection, ConnectionOptions, Framing, Heartbeat, Identity, Step};
use tidings_protocol::Disconnect;
use tidings_websocket::{
    CloseCode, Limits, OriginPolicy, Prepared, SendError, Upgrade, UpgradeRefusal, Upgraded, Utf8Bytes, WebSocket,
};

/// Each message of the hub is one text frame, made once for all who receive it.
const FRAMING: Framing = Framing::new("websocket text", |message| match Utf8Bytes::try_from(message) {
    Ok(text) => Prepared::text(text).into_bytes(),
    // The hub writes JSON, which is UTF-8; were it otherwise, nobody should receive it.
    Err(_) => Prepared::text("{}").into_bytes(),
});

/// `/connection/websocket`: the origin is checked, the cookie of our own page says who one is, then 101.
pub(crate) async fn upgrade(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    host: Host,
    upgrade: Upgrade,
) -> Response {
    if upgrade.origin_header().is_some_and(|origin| !may_connect(&app, &host, origin)) {
        return UpgradeRefusal::Origin.into_response();
    }
    let query = query.unwrap_or_default();
    let asks = |parameter: &str| query.split('&').any(|pair| pair == parameter);
    let offers = |protocol: &str| upgrade.offered_protocols().iter().any(|offered| offered == protocol);
    let only_protobuf = offers("centrifuge-protobuf") && !offers("centrifuge-json");
    if only_protobuf || asks("cf_protocol=protobuf") || asks("format=protobuf") {
        let detail = "This server does not speak protobuf yet. Connect with JSON.";
        return Problem::new(StatusCode::BAD_REQUEST, "no_protobuf", detail).into_response();
    }
    let identity = match identify(&app, &headers, &host, upgrade.origin_header()).await {
        Ok(identity) => identity,
        Err(problem) => return problem.into_response(),
    };
    let limits = Limits::server()
        .message_bytes_max(SOCKET_MESSAGE_BYTES_MAX)
        // The hub bounds what waits for a connection; whatever it hands over at once must fit.
        .queue_bytes_max(app.hub.limits().outbox_bytes_max * 2)
        .write_timeout(SOCKET_WRITE_TIMEOUT);
    let mut upgrade = upgrade
        .origin(OriginPolicy::Any) // looked at above, together with the other allowed ones
        .protocols(["centrifuge-json"])
        .limits(limits)
        .shutdown_close(None); // the hub closes with the protocol's own code
    let heartbeat = if asks("cf_ws_frame_ping_pong=true") {
        upgrade = upgrade.heartbeat(app.config.ping_interval);
        Heartbeat::Transport
    } else {
        Heartbeat::Protocol
    };
    let options = ConnectionOptions { identity, framing: FRAMING, heartbeat, ..ConnectionOptions::default() };
    upgrade.on_upgrade(move |socket| carry(app.hub.connect(options), socket))
}

/// Our own pages, and those of other sites that the configuration lists.
fn may_connect(app: &App, host: &Host, origin: &str) -> bool {
    is_own(app, host, origin) || app.allowed_origins.allows(origin, None)
}

/// The person of the session cookie, if the request comes from a page of ours (S01, S02). Pages of other sites, and
/// programs, say who they are by a token in the connect command.
async fn identify(
    app: &App,
    headers: &HeaderMap,
    host: &Host,
    origin: Option<&str>,
) -> Result<Option<Identity>, Problem> {
    if !origin.is_some_and(|origin| is_own(app, host, origin)) {
        return Ok(None);
    }
    let Some(token) = session_token(app, headers) else { return Ok(None) };
    match app.chat.session(&token).await? {
        Some(signed_in) => Ok(Some(app.chat.identity(&signed_in))),
        None => Err(Problem::unauthorized()),
    }
}

/// Carries messages between one socket and the hub until either ends.
async fn carry(mut connection: Connection, mut socket: WebSocket<Upgraded>) {
    let close = loop {
        tokio::select! {
            message = socket.receive(), if connection.wants_input() => match message {
                Some(Ok(message)) => connection.receive(message.as_bytes()),
                // Gone, or closed by the engine with the code that says why; dropping the connection leaves its channels.
                Some(Err(error)) => return tracing::debug!(client = connection.id(), %error, "a socket ended"),
                None => return,
            },
            step = connection.next() => match step {
                Step::Send(frames) => {
                    if let Err(close) = write(&mut connection, &mut socket, frames).await {
                        break close;
                    }
                }
                Step::Close(close) => break close,
            },
        }
    };
    tracing::debug!(client = connection.id(), code = close.code, reason = %close.reason, "closing a socket");
    drop(connection); // leaves its channels before the peer answers the close
    if let Some(code) = CloseCode::new(close.code) {
        socket.close(code, &close.reason).await;
    }
}

/// Writes a batch with as few writes as possible, while the connection keeps its deadlines.
async fn write(
    connection: &mut Connection,
    socket: &mut WebSocket<Upgraded>,
    frames: Vec<Bytes>,
) -> Result<(), Disconnect> {
    for frame in frames {
        let prepared = Prepared::from_bytes(frame).map_err(|_| Disconnect::SERVER_ERROR)?;
        socket.feed(prepared).map_err(|_| Disconnect::SLOW)?;
    }
    match connection.during(socket.flush()).await? {
        Ok(()) => Ok(()),
        Err(SendError::TimedOut) => Err(Disconnect::SLOW),
        Err(_) => Err(Disconnect::WRITE_ERROR),
    }
}
