//! Signing in and out, and the cookie that says who one is.

use super::json::JsonBody;
use super::people::PersonBody;
use super::problem::Problem;
use crate::app::{App, Caller};
use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tidings_chat::limits::SESSION_LIFETIME;
use tidings_chat::{EndSessionError, SessionId, SignInError, Token};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(sign_in, sign_out)).routes(routes!(list)).routes(routes!(revoke))
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

/// Sign in. The answer to a wrong password and to an unknown address is the same.
#[utoipa::path(post, path = "/v1/session", request_body = SignInBody, responses(
    (status = 201, body = SignedInBody), (status = 401, body = Problem), (status = 429, body = Problem)))]
async fn sign_in(
    State(app): State<App>,
    caller: Caller,
    JsonBody(body): JsonBody<SignInBody>,
) -> Result<Response, Problem> {
    let entered = app.chat.sign_in(&body.email, body.password, &caller.user_agent, caller.address).await?;
    let body = SignedInBody { person: PersonBody::from(&entered.person) };
    Ok((StatusCode::CREATED, cookie(&app, Some(&entered.token)), Json(body)).into_response())
}

/// Sign out: the session ends, and its sockets are closed.
#[utoipa::path(delete, path = "/v1/session", responses((status = 204), (status = 401, body = Problem)))]
async fn sign_out(State(app): State<App>, SignedIn(signed_in): SignedIn) -> Result<Response, Problem> {
    app.chat.end_session(signed_in.person.id, signed_in.session.id).await?;
    Ok((StatusCode::NO_CONTENT, cookie(&app, None)).into_response())
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
        current: session.id == signed_in.session.id,
    };
    Ok(Json(SessionsBody { sessions: sessions.into_iter().map(body).collect() }))
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

/// The session of the request's cookie: 401 without a valid one.
pub(crate) struct SignedIn(pub(crate) tidings_chat::SignedIn);

impl FromRequestParts<App> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let token = session_token(app, &parts.headers).ok_or_else(Problem::unauthorized)?;
        app.chat.session(&token).await?.map(Self).ok_or_else(Problem::unauthorized)
    }
}

/// Over HTTPS the cookie is bound to this very host by its name's prefix (S19); over plain HTTP browsers refuse that.
fn cookie_name(app: &App) -> &'static str {
    if app.config.is_https() { "__Host-tidings" } else { "tidings" }
}

/// The session token in the request's cookies, if there is one.
pub(crate) fn session_token(app: &App, headers: &HeaderMap) -> Option<String> {
    let name = cookie_name(app);
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find(|(key, value)| *key == name && !value.is_empty())
        .map(|(_, value)| value.to_owned())
}

/// `Set-Cookie` for a new session, or one that ends it.
pub(super) fn cookie(app: &App, token: Option<&Token>) -> [(HeaderName, HeaderValue); 1] {
    let (token, max_age) = token.map_or(("", 0), |token| (token.reveal(), SESSION_LIFETIME.as_secs()));
    let secure = if app.config.is_https() { "; Secure" } else { "" };
    let name = cookie_name(app);
    let text = format!("{name}={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age}{secure}");
    // Our own tokens are plain ASCII, so this cannot fail.
    [(header::SET_COOKIE, HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("")))]
}
