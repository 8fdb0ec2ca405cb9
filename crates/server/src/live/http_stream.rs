//! The transports whose downlink is the body of an HTTP response: HTTP streaming and server-sent events, in both directions
//! (their uplink is [`emulation`](super::emulation)) and in one.
//!
//! What opens a connection is one request, whose body or query is the first frame of its client.

use super::admission::{Handshake, NotAdmitted};
use super::driver::drive;
use super::emulation::{Uplinks, encoding_of};
use super::streamed::stream;
use crate::app::App;
use crate::http::body::read_body;
use crate::http::problem::Problem;
use axum::Extension;
use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, Bytes, BytesMut};
use serde::Deserialize;
use tidings_hub::{ConnectionOptions, Framing};
use tidings_protocol::Encoding;

/// Messages of JSON, each on a line.
const LINES: Framing = Framing::new("lines", |message| {
    let mut line = BytesMut::with_capacity(message.len() + 1);
    line.put(message);
    line.put_u8(b'\n');
    line.freeze()
});

/// Messages of JSON as events. Those that were joined are lines of one event.
const EVENTS: Framing = Framing::new("events", |message| {
    let mut event = BytesMut::with_capacity(message.len() + b"data: \n\n".len());
    for line in message.split(|byte| *byte == b'\n') {
        event.put_slice(b"data: ");
        event.put_slice(line);
        event.put_u8(b'\n');
    }
    event.put_u8(b'\n');
    event.freeze()
});

/// What leaves before anything is known, so that a page sees at once that its stream stands.
const EVENTS_BEGIN: Bytes = Bytes::from_static(b"\r\n");

const NOT_CACHED: HeaderValue = HeaderValue::from_static("private, no-cache, no-store, must-revalidate, max-age=0");

/// One of the transports.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    encoding: Encoding,
    form: Form,
    /// Whether a client may say nothing at all, as `{}`.
    may_be_silent: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Stream,
    Events,
}

/// What a client says in the query where it cannot send a body. It may hold a token, so it is written into no log.
#[derive(Deserialize)]
pub(super) struct ConnectQuery {
    cf_connect: Option<String>,
}

impl ConnectQuery {
    pub(super) fn of(uri: &Uri) -> Option<Bytes> {
        // Not with the reason of a rejection, which may quote what was asked.
        let query = Query::<Self>::try_from_uri(uri).ok()?.0;
        query.cf_connect.filter(|connect| !connect.is_empty()).map(Into::into)
    }
}

/// `POST /connection/http_stream`, JSON or protobuf.
pub(crate) async fn http_stream(
    State(app): State<App>,
    Extension(uplinks): Extension<Uplinks>,
    handshake: Handshake,
    request: Request,
) -> Response {
    let encoding = encoding_of(request.headers());
    let kind = Kind { name: "http_stream", encoding, form: Form::Stream, may_be_silent: false };
    open(app, Some(&uplinks), handshake, request, kind).await.unwrap_or_else(IntoResponse::into_response)
}

/// `GET` and `POST /connection/sse`.
pub(crate) async fn sse(
    State(app): State<App>,
    Extension(uplinks): Extension<Uplinks>,
    handshake: Handshake,
    request: Request,
) -> Response {
    let kind = Kind { name: "sse", encoding: Encoding::Json, form: Form::Events, may_be_silent: false };
    open(app, Some(&uplinks), handshake, request, kind).await.unwrap_or_else(IntoResponse::into_response)
}

/// `POST /connection/uni_http_stream`.
pub(crate) async fn uni_http_stream(State(app): State<App>, handshake: Handshake, request: Request) -> Response {
    let kind =
        Kind { name: "uni_http_stream", encoding: Encoding::JsonPushes, form: Form::Stream, may_be_silent: false };
    open(app, None, handshake, request, kind).await.unwrap_or_else(IntoResponse::into_response)
}

/// `GET` and `POST /connection/uni_sse`.
pub(crate) async fn uni_sse(State(app): State<App>, handshake: Handshake, request: Request) -> Response {
    let kind = Kind { name: "uni_sse", encoding: Encoding::JsonPushes, form: Form::Events, may_be_silent: true };
    open(app, None, handshake, request, kind).await.unwrap_or_else(IntoResponse::into_response)
}

/// Admitted, then 200 and a body that ends with the connection. With `uplinks` its client can say more.
async fn open(
    app: App,
    uplinks: Option<&Uplinks>,
    handshake: Handshake,
    request: Request,
    kind: Kind,
) -> Result<Response, NotAdmitted> {
    let live = match request.extensions().get::<tidings_serve::Connection>() {
        Some(connection) => Some(connection.live_response().map_err(|_| Problem::busy())?),
        None => None,
    };
    let message_bytes_max = app.config.settings.limits.message_bytes_max as usize;
    let first = first_frame(request, kind, message_bytes_max).await?;
    let admitted = handshake.admit(&app, kind.name).await?;
    let Kind { encoding, .. } = kind;
    let (framing, content_type, begin) = match kind.form {
        Form::Events => (EVENTS, "text/event-stream", Some(EVENTS_BEGIN)),
        Form::Stream if encoding.is_text() => (LINES, "application/json", None),
        Form::Stream => (Framing::NONE, "application/octet-stream", None),
    };
    let mut connection = app.hub.connect(ConnectionOptions {
        identity: admitted.identity,
        remote: admitted.remote,
        encoding,
        framing,
        emulated: uplinks.is_some(),
        ..ConnectionOptions::default()
    });
    connection.receive(&first);
    let (transport, body, uplink) = stream(begin, admitted.limits.write_timeout);
    let registered = uplinks
        .zip(connection.emulation_session())
        .map(|(uplinks, session)| uplinks.register(session, admitted.site, encoding, uplink));
    let connection = Box::new(connection);
    tokio::spawn(async move {
        drive(connection, transport).await;
        drop(registered);
    });
    let mut response = Response::new(Body::new(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, NOT_CACHED);
    // Proxies that know it pass on what comes as it comes.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    if let Some(live) = live {
        response.extensions_mut().insert(live);
    }
    Ok(response)
}

/// What the client says with the request that opens its connection.
async fn first_frame(request: Request, kind: Kind, message_bytes_max: usize) -> Result<Bytes, Problem> {
    let in_body = request.method() == Method::POST;
    let first = if in_body {
        Some(read_body(request, message_bytes_max).await?).filter(|body| !body.is_empty())
    } else {
        ConnectQuery::of(request.uri())
    };
    match first {
        // Whoever follows a link must not have done something by that (S45).
        Some(first) if !in_body && kind.encoding.commands(&first).nth(1).is_some() => {
            let detail = "An address has the connect command alone. Send the others to /emulation.";
            Err(Problem::new(StatusCode::BAD_REQUEST, "not_only_connect", detail))
        }
        Some(first) => Ok(first),
        None if kind.may_be_silent => Ok(Bytes::from_static(b"{}")),
        None => {
            let detail = "Send the connect command as the body of a POST, or, for an event stream, in cf_connect.";
            Err(Problem::new(StatusCode::BAD_REQUEST, "no_connect", detail))
        }
    }
}
