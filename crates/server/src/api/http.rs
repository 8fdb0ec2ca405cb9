//! The server API as JSON over HTTP: `POST /api/{method}`, and `POST /api` with a call a line as it was once asked.
//!
//! 200 with `result` or `error`; in the transport error mode an error has a status of its own. 401 without a key, before
//! anything is read. The body is JSON whatever its Content-Type says, since the key protects it.

use super::keys::Key;
use super::refusal::{bad_request, other, too_much};
use super::{Call, Perform, batch, errors_in_status, perform};
use crate::app::App;
use crate::http::body::read_body;
use crate::http::problem::{RequestId, named};
use crate::limits::{API_BODY_BYTES_MAX, BATCH_ANSWER_BYTES_MAX, BATCH_COMMANDS_MAX};
use axum::Router;
use axum::extract::{Extension, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::Arc;
use tidings_api::{BatchRequest, BatchResponse, Error, Method, OPENAPI, PROTO, Response as _, each_method};
use tidings_protocol::is_unreadable;
use tracing::Instrument;

pub(crate) fn routes(app: &App) -> Router<App> {
    let calls = Router::new()
        .route("/api", post(lines))
        .route("/api/{method}", post(call))
        .route_layer(from_fn_with_state(app.clone(), require_key))
        .route_layer(map_response(named));
    calls
        .route("/api/openapi.json", get(([(header::CONTENT_TYPE, "application/json")], OPENAPI)))
        .route("/api/server_api.proto", get(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], PROTO)))
}

/// 401 without a key, before anything is read.
async fn require_key(State(app): State<App>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let key = super::keys::key_of(&app, &parts.headers, &parts.uri);
    let id = RequestId::fresh();
    app.key_uses.tell(&app, &parts, key.as_deref(), id);
    let Some(key) = key else { return unauthorized(id) };
    parts.extensions.insert(key);
    next.run(Request::from_parts(parts, body)).await
}

fn unauthorized(id: RequestId) -> Response {
    let detail =
        "The server API needs its key in the header X-API-Key; it is in the data folder, in the file api-key.\n";
    (StatusCode::UNAUTHORIZED, [id.header()], detail).into_response()
}

/// `POST /api/{method}`.
async fn call(
    State(app): State<App>,
    Extension(key): Extension<Arc<Key>>,
    Path(method): Path<String>,
    request: Request,
) -> Response {
    let in_status = errors_in_status(&app, request.headers());
    let body = match read_body(request, API_BODY_BYTES_MAX).await {
        Ok(body) => body,
        Err(problem) => return problem.into_response(),
    };
    let id = RequestId::fresh();
    // A body takes its time, and a key that was taken back meanwhile does nothing.
    let Some(key) = app.keys.current(&key) else { return unauthorized(id) };
    let span = tracing::info_span!("api", method, key = %key.name, request_id = %id);
    let call = Call { app, key };
    match answer(&call, &method, &body).instrument(span).await {
        Ok(answer) => answer.into_response(in_status, id),
        Err(NoAnswer::Method) => {
            (StatusCode::NOT_FOUND, "There is no such method in the server API.\n").into_response()
        }
        Err(NoAnswer::Body(why)) => {
            (StatusCode::BAD_REQUEST, format!("The body is not what this method takes: {why}.\n")).into_response()
        }
    }
}

/// `POST /api`: an object with `method` and `params` a line, and an answer a line.
async fn lines(State(app): State<App>, Extension(key): Extension<Arc<Key>>, request: Request) -> Response {
    #[derive(Deserialize)]
    struct Line<'a> {
        #[serde(default)]
        method: String,
        #[serde(borrow)]
        params: Option<&'a RawValue>,
    }
    let in_status = errors_in_status(&app, request.headers());
    let body = match read_body(request, API_BODY_BYTES_MAX).await {
        Ok(body) => body,
        Err(problem) => return problem.into_response(),
    };
    let id = RequestId::fresh();
    let Some(key) = app.keys.current(&key) else { return unauthorized(id) };
    let span = tracing::info_span!("api", key = %key.name, request_id = %id);
    let call = Call { app, key };
    // All of them before the first is carried out: whoever gets a 400 may send everything again.
    let lines = serde_json::Deserializer::from_slice(&body).into_iter::<Line<'_>>().take(BATCH_COMMANDS_MAX + 1);
    let lines: Vec<_> = match lines.collect::<Result<_, _>>() {
        Ok(lines) => lines,
        Err(why) => return no_lines(&why.to_string()),
    };
    if lines.is_empty() {
        return no_lines("the body is empty");
    }
    if let Err(error) = batch::check_number(&call, lines.len(), "a request", "lines") {
        return Answer::refusal(&error).into_response(in_status, id);
    }
    let answers = async {
        let (mut all, mut last) = (Vec::new(), None);
        for Line { method, params } in &lines {
            let answer = if all.len() > BATCH_ANSWER_BYTES_MAX {
                call.app.metrics.api_calls.count(&call.key.name, batch::BATCH, 106);
                Answer::refusal(&too_much(
                    "limit exceeded: the answers before this one are too long already; ask again",
                ))
            } else {
                match answer(&call, method, params.map_or("{}", RawValue::get).as_bytes()).await {
                    Ok(answer) => answer,
                    Err(NoAnswer::Method) => Answer::refusal(&other(
                        &tidings_protocol::Error::METHOD_NOT_FOUND,
                        "method not found: see docs/server-api.md",
                    )),
                    Err(NoAnswer::Body(why)) => Answer::refusal(&bad_request(&why)),
                }
            };
            if last.is_some() {
                all.push(b'\n');
            }
            all.extend_from_slice(&answer.json);
            last = Some(answer.code);
            // Most calls never wait, and others want their turn.
            tokio::task::yield_now().await;
        }
        // Of several lines each says for itself.
        Answer { json: all, code: last.flatten().filter(|_| lines.len() == 1) }
    };
    answers.instrument(span).await.into_response(in_status, id)
}

fn no_lines(why: &str) -> Response {
    (StatusCode::BAD_REQUEST, format!("A line is an object with method and params: {why}.\n")).into_response()
}

/// What came of a call, as JSON.
struct Answer {
    json: Vec<u8>,
    /// Of the error, when it is one.
    code: Option<u32>,
}

/// Why there is nothing to answer as JSON.
enum NoAnswer {
    Method,
    Body(String),
}

impl Answer {
    fn of<T: Serialize>(answer: &T, code: Option<u32>) -> Self {
        // Messages of texts and numbers; what is no JSON in them is written as null.
        Self { json: serde_json::to_vec(answer).unwrap_or_default(), code }
    }

    fn refusal(error: &Error) -> Self {
        Self::of(&serde_json::json!({"error": {"code": error.code, "message": error.message}}), Some(error.code))
    }

    /// An error has a name, by which the log knows more of it.
    fn into_response(self, in_status: bool, id: RequestId) -> Response {
        let status = self.code.filter(|_| in_status).map_or(StatusCode::OK, status_of);
        let json = [(header::CONTENT_TYPE, "application/json")];
        match self.code {
            None => (json, self.json).into_response(),
            Some(_) => (status, json, [id.header()], self.json).into_response(),
        }
    }
}

/// The status of an error, in the transport error mode.
fn status_of(code: u32) -> StatusCode {
    match code {
        100 => StatusCode::INTERNAL_SERVER_ERROR,
        102 | 104 => StatusCode::NOT_FOUND,
        103 => StatusCode::FORBIDDEN,
        111 => StatusCode::TOO_MANY_REQUESTS,
        112 => StatusCode::RANGE_NOT_SATISFIABLE,
        113 => StatusCode::CONFLICT,
        _ => StatusCode::BAD_REQUEST,
    }
}

macro_rules! by_name {
    ($($method:ident $path:literal $variant:ident $request:ident $response:ident $result:ident;)*) => {
        async fn answer(call: &Call, method: &str, body: &[u8]) -> Result<Answer, NoAnswer> {
            if method == batch::BATCH {
                return answer_batch(call, body).await;
            }
            match Method::named(method).ok_or(NoAnswer::Method)? {
                $(Method::$variant => Box::pin(answer_one::<tidings_api::$request>(call, body)).await,)*
            }
        }
    };
}
each_method!(by_name);

async fn answer_one<Q: Perform>(call: &Call, body: &[u8]) -> Result<Answer, NoAnswer> {
    // For a key that may not, it is not even read.
    let request = if call.key.may(Q::METHOD).is_ok() { read(body) } else { Ok(Q::default()) };
    let request = match request {
        Ok(request) => request,
        Err(Unread::Refused(error)) => return Ok(Answer::refusal(&error)),
        Err(Unread::Malformed(why)) => return Err(NoAnswer::Body(why)),
    };
    let done = perform::<Q>(call, request).await;
    let code = done.as_ref().err().map(|error| error.code);
    Ok(Answer::of(&Q::Response::of(done), code))
}

async fn answer_batch(call: &Call, body: &[u8]) -> Result<Answer, NoAnswer> {
    /// A batch of which nothing is kept but how many commands there are.
    #[derive(Deserialize)]
    struct Counted {
        commands: Option<Vec<IgnoredAny>>,
    }
    let request = read::<Counted>(body).and_then(|counted| {
        let checked = batch::check(call, counted.commands.map_or(0, |commands| commands.len()));
        checked.map_or_else(|error| Ok(Err(error)), |()| read::<BatchRequest>(body).map(Ok))
    });
    let request = match request {
        Ok(request) => request,
        Err(Unread::Refused(error)) => return Ok(Answer::refusal(&error)),
        Err(Unread::Malformed(why)) => return Err(NoAnswer::Body(why)),
    };
    let response = match request {
        Ok(request) => batch::batch(call, request).await,
        Err(error) => BatchResponse { error: Some(error), ..BatchResponse::default() },
    };
    let code = response.error.as_ref().map(|error| error.code);
    Ok(Answer::of(&response, code))
}

enum Unread {
    Refused(Error),
    Malformed(String),
}

fn read<'a, Q: Deserialize<'a>>(body: &'a [u8]) -> Result<Q, Unread> {
    // A list of the members without their names would be read as well.
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(Unread::Malformed("it must be an object".to_owned()));
    }
    serde_json::from_slice(body).map_err(|error| {
        if is_unreadable(body) {
            return Unread::Refused(bad_request("nested too deep, or with too long a number"));
        }
        Unread::Malformed(error.to_string())
    })
}
