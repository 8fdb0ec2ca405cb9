//! Signing in and out, and where one is signed in.

use super::bodies::PersonBody;
use super::body::JsonBody;
use super::caller::Caller;
use super::cookie::{entered_cookies, no_session};
use super::problem::Problem;
use super::signed_in::SignedIn;
use crate::app::App;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tidings_chat::{EndSessionError, SessionId, SignInError};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(sign_in, sign_out)).routes(routes!(list, revoke_others)).routes(routes!(revoke))
}

#[derive(Deserialize, ToSchema)]
struct SignInBody {
    email: String,
    password: String,
}

#[derive(Serialize, ToSchema)]
struct SignedInBody {
    person: PersonBody,
}

/// Sign in. The answer to a wrong password and to an unknown address is the same. The session whose cookie comes along ends.
#[utoipa::path(post, path = "/v1/session", request_body = SignInBody, responses(
    (status = 201, body = SignedInBody), (status = 401, body = Problem), (status = 429, body = Problem)))]
async fn sign_in(
    State(app): State<App>,
    caller: Caller,
    JsonBody(body): JsonBody<SignInBody>,
) -> Result<Response, Problem> {
    let entered = app.chat.sign_in(&body.email, body.password, &caller.browser).await?;
    let body = SignedInBody { person: PersonBody::from(&entered.person) };
    Ok((StatusCode::CREATED, entered_cookies(&app, &entered), Json(body)).into_response())
}

/// Sign out: the session ends, and its sockets are closed.
#[utoipa::path(delete, path = "/v1/session", responses((status = 204), (status = 401, body = Problem)))]
async fn sign_out(State(app): State<App>, SignedIn(signed_in): SignedIn) -> Result<Response, Problem> {
    app.chat.sign_out(&signed_in).await?;
    Ok((StatusCode::NO_CONTENT, no_session(&app)).into_response())
}

#[derive(Serialize, ToSchema)]
struct SessionsBody {
    sessions: Vec<SessionBody>,
}

#[derive(Serialize, ToSchema)]
struct SessionBody {
    id: String,
    /// Milliseconds since the Unix epoch.
    created: i64,
    /// Milliseconds since the Unix epoch, to within five minutes.
    last_seen: i64,
    user_agent: String,
    /// The address it was used from lately, to within five minutes. Left out when it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// The session of this very request.
    current: bool,
}

/// Where one is signed in.
#[utoipa::path(get, path = "/v1/sessions", responses((status = 200, body = SessionsBody), (status = 401, body = Problem)))]
async fn list(State(app): State<App>, SignedIn(signed_in): SignedIn) -> Result<Json<SessionsBody>, Problem> {
    let sessions = app.chat.sessions(signed_in.person.id).await?;
    let body = |session: tidings_chat::Session| SessionBody {
        id: session.id.to_string(),
        created: session.created.millis(),
        last_seen: session.last_seen.millis(),
        user_agent: session.user_agent,
        address: session.address.map(|address| address.to_canonical().to_string()),
        current: session.id == signed_in.session.id,
    };
    Ok(Json(SessionsBody { sessions: sessions.into_iter().map(body).collect() }))
}

#[derive(Serialize, ToSchema)]
struct EndedBody {
    /// How many sessions.
    ended: usize,
}

/// Sign out everywhere else: all sessions end but the one of this request, and their sockets are closed.
#[utoipa::path(delete, path = "/v1/sessions", responses((status = 200, body = EndedBody), (status = 401, body = Problem)))]
async fn revoke_others(State(app): State<App>, SignedIn(signed_in): SignedIn) -> Result<Json<EndedBody>, Problem> {
    Ok(Json(EndedBody { ended: app.chat.end_other_sessions(&signed_in).await? }))
}

/// Sign out somewhere else.
#[utoipa::path(delete, path = "/v1/sessions/{session}", params(("session" = String, Path)), responses(
    (status = 204), (status = 401, body = Problem), (status = 404, body = Problem)))]
async fn revoke(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    Path(session): Path<String>,
) -> Result<StatusCode, Problem> {
    let session = SessionId::parse(&session).ok_or_else(Problem::not_found)?;
    app.chat.end_session(signed_in.person.id, session).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<SignInError> for Problem {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Failed => Self::new(
                StatusCode::UNAUTHORIZED,
                "sign_in_failed",
                "E-mail and password do not match. If you forgot the password, ask the one who runs this server.",
            ),
            SignInError::TooMany(after) => Self::too_many(after.0),
            SignInError::Unavailable(error) => error.into(),
        }
    }
}

impl From<EndSessionError> for Problem {
    fn from(error: EndSessionError) -> Self {
        match error {
            EndSessionError::NoSuchSession => Self::not_found(),
            EndSessionError::Unavailable(error) => error.into(),
        }
    }
}
