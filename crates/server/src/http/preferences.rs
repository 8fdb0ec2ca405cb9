//! How one keeps a room among one's own.

use super::body::JsonBody;
use super::ids::room_id;
use super::problem::Problem;
use super::schemas::RoomPreferencesSchema;
use super::signed_in::SignedIn;
use crate::app::App;
use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use tidings_chat::{PreferError, PreferencesEdit, RoomPreferences, Section};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(prefer))
}

/// How one keeps a room from now on; what is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PreferencesBody {
    /// Whether it stands before all others.
    favourite: Option<bool>,
    /// Whether what is said there is not to be brought up, unless it mentions one.
    muted: Option<bool>,
    /// Under which heading of one's own it stands, up to 50 characters; an empty one for that of its kind.
    section: Option<String>,
}

/// Say how one keeps a room: among the favourites, muted, under a heading. One's other devices are told, and nobody else.
#[utoipa::path(patch, path = "/v1/rooms/{room}/preferences", request_body = PreferencesBody,
    params(("room" = String, Path)), responses(
    (status = 200, body = RoomPreferencesSchema), (status = 401, body = Problem), (status = 404, body = Problem),
    (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn prefer(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    Path(room): Path<String>,
    JsonBody(body): JsonBody<PreferencesBody>,
) -> Result<Json<RoomPreferences>, Problem> {
    let PreferencesBody { favourite, muted, section } = body;
    let section = section.as_deref().map(Section::parse).transpose();
    let section = section.map_err(|error| Problem::name("section", &error))?;
    let edit = PreferencesEdit { favourite, muted, section };
    Ok(Json(app.chat.prefer(signed_in.person.id, room_id(&room)?, edit).await?))
}

impl From<PreferError> for Problem {
    fn from(error: PreferError) -> Self {
        match error {
            PreferError::NotMember => Self::not_found(),
            PreferError::TooMany(after) => Self::too_many(after.0),
            PreferError::Unavailable(error) => error.into(),
        }
    }
}
