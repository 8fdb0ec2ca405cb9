//! Accounts: the first one by set-up, the others by invite, and who one is.

use super::bodies::{InviteBody, MeBody, PersonBody};
use super::body::JsonBody;
use super::caller::Caller;
use super::cookie::{entered_cookies, known_device};
use super::credentials::{parse_email, parse_password};
use super::problem::Problem;
use super::schemas::RoomSchema;
use super::signed_in::{SignedIn, is_by_token};
use crate::app::App;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tidings_chat::{CreateAccountError, Email, Name, NewAccount, NewPassword, RoomCard, SetUp, SetUpError};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(set_up)).routes(routes!(create_account)).routes(routes!(me))
}

#[derive(Deserialize, ToSchema)]
struct SetUpBody {
    /// The one-time code of the set-up link.
    code: String,
    /// 1 to 80 characters.
    name: String,
    email: String,
    /// At least 10 characters, at most 1024 bytes.
    password: String,
}

#[derive(Serialize, ToSchema)]
struct SetUpDoneBody {
    person: PersonBody,
    #[schema(value_type = RoomSchema)]
    room: RoomCard,
    invite: InviteBody,
}

/// Make the first account, which becomes the administrator, and its room "General".
#[utoipa::path(post, path = "/v1/setup", request_body = SetUpBody, responses(
    (status = 201, body = SetUpDoneBody), (status = 403, body = Problem), (status = 409, body = Problem),
    (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn set_up(
    State(app): State<App>,
    caller: Caller,
    JsonBody(body): JsonBody<SetUpBody>,
) -> Result<Response, Problem> {
    let (name, email, password) = parse_account(&body.name, &body.email, &body.password)?;
    let set_up = SetUp { code: body.code, name, email, password, browser: caller.browser };
    let done = app.chat.set_up(set_up).await?;
    let body = SetUpDoneBody {
        person: PersonBody::from(&done.entered.person),
        room: RoomCard::from(&done.room),
        invite: InviteBody::new(&caller.base_url, &done.invite),
    };
    Ok((StatusCode::CREATED, entered_cookies(&app, &done.entered), Json(body)).into_response())
}

#[derive(Deserialize, ToSchema)]
struct NewAccountBody {
    /// The code of an invite link.
    invite: String,
    /// 1 to 80 characters.
    name: String,
    email: String,
    /// At least 10 characters, at most 1024 bytes.
    password: String,
}

#[derive(Serialize, ToSchema)]
struct AccountBody {
    person: PersonBody,
    #[schema(value_type = RoomSchema)]
    room: RoomCard,
}

/// Make an account with an invite, and enter its room.
#[utoipa::path(post, path = "/v1/accounts", request_body = NewAccountBody, responses(
    (status = 201, body = AccountBody), (status = 404, body = Problem), (status = 409, body = Problem),
    (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn create_account(
    State(app): State<App>,
    caller: Caller,
    JsonBody(body): JsonBody<NewAccountBody>,
) -> Result<Response, Problem> {
    let (name, email, password) = parse_account(&body.name, &body.email, &body.password)?;
    let account = NewAccount { invite: body.invite, name, email, password, browser: caller.browser };
    let (entered, room) = app.chat.create_account(account).await?;
    let body = AccountBody { person: PersonBody::from(&entered.person), room: RoomCard::from(&room) };
    Ok((StatusCode::CREATED, entered_cookies(&app, &entered), Json(body)).into_response())
}

/// Who the session belongs to.
#[utoipa::path(get, path = "/v1/me", responses((status = 200, body = MeBody), (status = 401, body = Problem)))]
async fn me(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    caller: Caller,
    headers: HeaderMap,
) -> (HeaderMap, Json<MeBody>) {
    // The page asks this at its start. Nothing is kept of the cookie here: it is no change (S45). A program is no device of
    // the person's: with what it is given, nobody is to have tries at the password (S26).
    let device = match is_by_token(&headers) {
        true => None,
        false => app.chat.remember_device(&signed_in, &caller.browser).await,
    };
    let cookies = device.iter().map(|device| known_device(&app, device)).collect();
    (cookies, Json(MeBody::of(&signed_in.person)))
}

fn parse_account(name: &str, email: &str, password: &str) -> Result<(Name, Email, NewPassword), Problem> {
    let name = Name::parse(name).map_err(|error| Problem::name("name", &error))?;
    let email = parse_email(email)?;
    let password = parse_password(password, &email)?;
    Ok((name, email, password))
}

impl From<SetUpError> for Problem {
    fn from(error: SetUpError) -> Self {
        match error {
            SetUpError::WrongCode => Self::new(
                StatusCode::FORBIDDEN,
                "setup_code_wrong",
                "This set-up link is not the newest one. Use the link that the server printed at its last start.",
            ),
            SetUpError::AlreadySetUp => Self::new(
                StatusCode::CONFLICT,
                "already_set_up",
                "This server is set up already. Sign in, or ask its administrator for an invite.",
            ),
            SetUpError::TooMany(after) => Self::too_many(after.0),
            SetUpError::Unavailable(error) => error.into(),
        }
    }
}

impl From<CreateAccountError> for Problem {
    fn from(error: CreateAccountError) -> Self {
        match error {
            CreateAccountError::InviteInvalid => Self::invite_invalid(),
            CreateAccountError::AccountExists => Self::new(
                StatusCode::CONFLICT,
                "account_exists",
                "An account could not be made with this e-mail address. If you have one already, sign in.",
            ),
            CreateAccountError::TooMany(after) => Self::too_many(after.0),
            CreateAccountError::TooManyAccounts(after) => Self::too_many_accounts(after.0),
            CreateAccountError::Unavailable(error) => error.into(),
        }
    }
}
