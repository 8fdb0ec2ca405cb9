//! Personal tokens: made, listed and revoked by who is signed in; never by a token.

use super::body::JsonBody;
use super::problem::{Problem, sentence};
use super::signed_in::SignedIn;
use crate::app::App;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderName, StatusCode, header};
use serde::{Deserialize, Serialize};
use tidings_chat::{Name, PersonalToken, PersonalTokenError, PersonalTokenId, Scope, Time};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, make)).routes(routes!(revoke))
}

/// A personal token, without its secret.
#[derive(Serialize, ToSchema)]
struct TokenBody {
    id: String,
    name: String,
    /// Of `read`, `write` and `rooms`.
    scopes: Vec<&'static str>,
    /// Milliseconds since the Unix epoch.
    created: i64,
    /// When it ends by itself, in milliseconds since the Unix epoch. Left out when it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<i64>,
    /// When it was last used, in milliseconds since the Unix epoch, to within an hour. Left out when it was not yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used: Option<i64>,
}

impl From<PersonalToken> for TokenBody {
    fn from(token: PersonalToken) -> Self {
        Self {
            id: token.id.to_string(),
            name: token.name.as_str().into(),
            scopes: token.scopes.iter().map(|scope| scope.as_str()).collect(),
            created: token.created.millis(),
            expires: token.expires.map(Time::millis),
            last_used: token.last_used.map(Time::millis),
        }
    }
}

#[derive(Serialize, ToSchema)]
struct TokensBody {
    tokens: Vec<TokenBody>,
}

/// One's personal tokens, the newest first.
#[utoipa::path(get, path = "/v1/me/tokens", responses((status = 200, body = TokensBody), (status = 401, body = Problem)))]
async fn list(State(app): State<App>, SignedIn(signed_in): SignedIn) -> Result<Json<TokensBody>, Problem> {
    let tokens = app.chat.personal_tokens(signed_in.person.id).await?;
    Ok(Json(TokensBody { tokens: tokens.into_iter().map(TokenBody::from).collect() }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewTokenBody {
    /// What one calls it: 1 to 80 characters.
    name: String,
    /// Of `read`, `write` and `rooms`: at least one.
    scopes: Vec<String>,
    /// When it ends by itself, in milliseconds since the Unix epoch; without it, when it is revoked.
    expires: Option<i64>,
}

#[derive(Serialize, ToSchema)]
struct MadeTokenBody {
    #[serde(flatten)]
    token: TokenBody,
    /// What a program shows: `Authorization: Bearer tdp_…`. It is told here and never again.
    secret: String,
}

/// Make a personal token, with which a program acts in one's name over this API, within its scopes.
#[utoipa::path(post, path = "/v1/me/tokens", request_body = NewTokenBody, responses(
    (status = 201, body = MadeTokenBody, headers(("location" = String))), (status = 401, body = Problem),
    (status = 409, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn make(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    JsonBody(body): JsonBody<NewTokenBody>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<MadeTokenBody>), Problem> {
    let name = Name::parse(&body.name).map_err(|error| Problem::name("name", &error))?;
    let scopes = body.scopes.iter().map(|scope| Scope::parse(scope)).collect::<Option<Vec<_>>>();
    let scopes = scopes.ok_or_else(|| Problem::field("scopes", "scope_unknown", "A scope is read, write or rooms."))?;
    let expires = body.expires.map(Time::from_millis);
    let (token, secret) =
        app.chat.make_token((signed_in.person.id, signed_in.session.id), name, scopes, expires).await?;
    let location = [(header::LOCATION, format!("/v1/me/tokens/{}", token.id))];
    Ok((StatusCode::CREATED, location, Json(MadeTokenBody { token: token.into(), secret })))
}

/// Revoke a personal token: from the next request on it is none.
#[utoipa::path(delete, path = "/v1/me/tokens/{token}", params(("token" = String, Path)), responses(
    (status = 204), (status = 401, body = Problem), (status = 404, body = Problem)))]
async fn revoke(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    Path(token): Path<String>,
) -> Result<StatusCode, Problem> {
    let token = PersonalTokenId::parse(&token).ok_or_else(Problem::not_found)?;
    app.chat.revoke_personal_token(signed_in.person.id, token).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<PersonalTokenError> for Problem {
    fn from(error: PersonalTokenError) -> Self {
        match error {
            PersonalTokenError::NoScope => Self::field("scopes", "scopes_empty", sentence(&error)),
            PersonalTokenError::Expired => Self::field("expires", "end_invalid", sentence(&error)),
            PersonalTokenError::TooMany => Self::new(StatusCode::CONFLICT, "too_many_tokens", sentence(&error)),
            PersonalTokenError::Ended => Self::unauthorized(),
            PersonalTokenError::NoSuchToken => Self::not_found(),
            PersonalTokenError::TooFast(after) => Self::too_many(after.0),
            PersonalTokenError::Unavailable(error) => error.into(),
        }
    }
}
