//! One's own account: the password and the address that one signs in with.

use super::bodies::MeBody;
use super::body::JsonBody;
use super::credentials::{parse_email, parse_password};
use super::problem::{Problem, sentence};
use super::signed_in::SignedIn;
use crate::app::App;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use tidings_chat::{ChangeAccountError, Person};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(set_password)).routes(routes!(set_email))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PasswordBody {
    /// The password as it is now.
    present: String,
    /// The new one: at least 10 characters, at most 1024 bytes.
    password: String,
}

/// Take another password. All other sessions end; this one goes on.
#[utoipa::path(put, path = "/v1/me/password", request_body = PasswordBody, responses((status = 204),
    (status = 401, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn set_password(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    JsonBody(body): JsonBody<PasswordBody>,
) -> Result<StatusCode, Problem> {
    let password = parse_password(&body.password, &signed_in.person.email)?;
    app.chat.change_password(&signed_in, body.present, password).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EmailBody {
    /// The password as it is now.
    present: String,
    /// The new address.
    email: String,
}

/// Take another address to sign in with. All sessions go on.
#[utoipa::path(put, path = "/v1/me/email", request_body = EmailBody, responses((status = 200, body = MeBody),
    (status = 401, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem),
    (status = 429, body = Problem)))]
async fn set_email(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    JsonBody(body): JsonBody<EmailBody>,
) -> Result<Json<MeBody>, Problem> {
    let email = parse_email(&body.email)?;
    app.chat.change_email(&signed_in, body.present, email.clone()).await?;
    Ok(Json(MeBody::of(&Person { email, ..signed_in.person })))
}

impl From<ChangeAccountError> for Problem {
    fn from(error: ChangeAccountError) -> Self {
        match error {
            ChangeAccountError::WrongPassword => {
                Self::field("present", "password_wrong", "This is not the password of this account.")
            }
            ChangeAccountError::EmailTaken => Self::conflict("email", "email_taken", sentence(&error)),
            ChangeAccountError::TooMany(after) => Self::too_many(after.0),
            ChangeAccountError::Unavailable(error) => error.into(),
        }
    }
}
