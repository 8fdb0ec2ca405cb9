//! How far one has read one's rooms.

use super::body::JsonBody;
use super::ids::room_id;
use super::problem::Problem;
use super::schemas::RoomReadingSchema;
use super::signed_in::SignedIn;
use crate::app::App;
use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use tidings_chat::{MarkReadError, Move, RoomReading};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(read)).routes(routes!(read_all))
}

#[derive(Deserialize, ToSchema)]
struct ReadBody {
    /// The number of the last event that was read; beyond the room's last event it is that of the last event.
    number: u64,
    /// What follows that number is unread again. Without it the position only goes forward: the device that is furthest wins.
    #[serde(default)]
    unread: bool,
}

/// Say how far one has read a room; one's other devices are told.
#[utoipa::path(put, path = "/v1/rooms/{room}/read", request_body = ReadBody, params(("room" = String, Path)), responses(
    (status = 200, body = RoomReadingSchema), (status = 401, body = Problem), (status = 404, body = Problem),
    (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn read(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    Path(room): Path<String>,
    JsonBody(body): JsonBody<ReadBody>,
) -> Result<Json<RoomReading>, Problem> {
    let to = if body.unread { Move::To(body.number) } else { Move::Forward(body.number) };
    Ok(Json(app.chat.mark_read(signed_in.person.id, room_id(&room)?, to).await?))
}

#[derive(Serialize, ToSchema)]
struct ReadAllBody {
    /// Those that were not read before.
    #[schema(value_type = Vec<RoomReadingSchema>)]
    rooms: Vec<RoomReading>,
}

/// Say that one has read all of one's rooms.
#[utoipa::path(post, path = "/v1/rooms/read-all", responses(
    (status = 200, body = ReadAllBody), (status = 401, body = Problem), (status = 429, body = Problem)))]
async fn read_all(State(app): State<App>, SignedIn(signed_in): SignedIn) -> Result<Json<ReadAllBody>, Problem> {
    Ok(Json(ReadAllBody { rooms: app.chat.mark_all_read(signed_in.person.id).await? }))
}

impl From<MarkReadError> for Problem {
    fn from(error: MarkReadError) -> Self {
        match error {
            MarkReadError::NotMember => Self::not_found(),
            MarkReadError::TooMany(after) => Self::too_many(after.0),
            MarkReadError::Unavailable(error) => error.into(),
        }
    }
}
