//! Invites: what a link leads to, accepting one, and a room's own link.

use super::bodies::InviteBody;
use super::body::JsonBody;
use super::caller::Caller;
use super::ids::room_id;
use super::problem::Problem;
use super::schemas::{RoomSchema, WhoSchema};
use super::signed_in::SignedIn;
use crate::app::App;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use tidings_chat::{InviteError, LookUpError, RoomCard, Who};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(look_up)).routes(routes!(accept)).routes(routes!(
        of_room,
        ensure_of_room,
        renew_of_room,
        revoke_of_room
    ))
}

#[derive(Deserialize, ToSchema)]
struct CodeBody {
    code: String,
}

#[derive(Serialize, ToSchema)]
struct InviteCardBody {
    server: ServerBody,
    #[schema(value_type = WhoSchema)]
    inviter: Who,
    room: InvitedRoomBody,
}

#[derive(Serialize, ToSchema)]
struct ServerBody {
    name: String,
}

#[derive(Serialize, ToSchema)]
struct InvitedRoomBody {
    id: String,
    name: String,
}

/// Who invites, and where to. The code comes in the body so that it is in no URL and no log.
#[utoipa::path(post, path = "/v1/invites/look-up", request_body = CodeBody, responses(
    (status = 200, body = InviteCardBody), (status = 404, body = Problem), (status = 429, body = Problem)))]
async fn look_up(
    State(app): State<App>,
    caller: Caller,
    JsonBody(body): JsonBody<CodeBody>,
) -> Result<Json<InviteCardBody>, Problem> {
    let card = app.chat.look_up_invite(&body.code, caller.browser.address).await?;
    Ok(Json(InviteCardBody {
        server: ServerBody { name: app.config.settings.server_name.clone() },
        inviter: card.inviter,
        room: InvitedRoomBody { id: card.room.to_string(), name: card.room_name.as_str().into() },
    }))
}

#[derive(Serialize, ToSchema)]
struct EnteredRoomBody {
    #[schema(value_type = RoomSchema)]
    room: RoomCard,
}

/// Enter an invite's room with the account one has.
#[utoipa::path(post, path = "/v1/invites/accept", request_body = CodeBody, responses(
    (status = 200, body = EnteredRoomBody), (status = 401, body = Problem), (status = 404, body = Problem),
    (status = 429, body = Problem)))]
async fn accept(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    caller: Caller,
    JsonBody(body): JsonBody<CodeBody>,
) -> Result<Json<EnteredRoomBody>, Problem> {
    let room = app.chat.accept_invite(signed_in.person.id, &body.code, caller.browser.address).await?;
    Ok(Json(EnteredRoomBody { room: RoomCard::from(&room) }))
}

/// The room's present invite. 404 with the code `no_invite` when it has expired or is used up: PUT makes one.
/// One that was revoked stays gone, for plain members (403), until an administrator or the one who made the room makes a new
/// one.
#[utoipa::path(get, path = "/v1/rooms/{room}/invite", params(("room" = String, Path)), responses(
    (status = 200, body = InviteBody), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 429, body = Problem)))]
async fn of_room(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    caller: Caller,
    Path(room): Path<String>,
) -> Result<Json<InviteBody>, Problem> {
    let invite = app.chat.room_invite(signed_in.person.id, room_id(&room)?).await?;
    Ok(Json(InviteBody::new(&caller.base_url, &invite)))
}

/// See that the room has an invite that works. One that has expired or is used up is followed by a new one; one that was
/// revoked stays gone, for plain members (403), until an administrator or the one who made the room makes a new one.
#[utoipa::path(put, path = "/v1/rooms/{room}/invite", params(("room" = String, Path)), responses(
    (status = 200, body = InviteBody), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 429, body = Problem)))]
async fn ensure_of_room(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    caller: Caller,
    Path(room): Path<String>,
) -> Result<Json<InviteBody>, Problem> {
    let invite = app.chat.ensure_room_invite(signed_in.person.id, room_id(&room)?).await?;
    Ok(Json(InviteBody::new(&caller.base_url, &invite)))
}

/// A new invite; the old link stops working at once.
#[utoipa::path(post, path = "/v1/rooms/{room}/invite", params(("room" = String, Path)), responses(
    (status = 201, body = InviteBody), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 429, body = Problem)))]
async fn renew_of_room(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    caller: Caller,
    Path(room): Path<String>,
) -> Result<(StatusCode, Json<InviteBody>), Problem> {
    let invite = app.chat.renew_room_invite(signed_in.person.id, room_id(&room)?).await?;
    Ok((StatusCode::CREATED, Json(InviteBody::new(&caller.base_url, &invite))))
}

/// The link stops working at once, and plain members get no new one.
#[utoipa::path(delete, path = "/v1/rooms/{room}/invite", params(("room" = String, Path)), responses(
    (status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 429, body = Problem)))]
async fn revoke_of_room(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    Path(room): Path<String>,
) -> Result<StatusCode, Problem> {
    app.chat.revoke_room_invite(signed_in.person.id, room_id(&room)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<LookUpError> for Problem {
    fn from(error: LookUpError) -> Self {
        match error {
            LookUpError::Invalid => Self::invite_invalid(),
            LookUpError::TooMany(after) => Self::too_many(after.0),
            LookUpError::Unavailable(error) => error.into(),
        }
    }
}

impl From<InviteError> for Problem {
    fn from(error: InviteError) -> Self {
        match error {
            InviteError::NotMember => Self::not_found(),
            InviteError::NoInvite => {
                let detail = "This room has no invite link that works. Reload the page, and ask for the invite again.";
                Self::new(StatusCode::NOT_FOUND, "no_invite", detail)
            }
            InviteError::NotAllowed => Self::not_allowed(),
            InviteError::IsDirect => Self::is_direct(&error),
            InviteError::TooMany(after) => Self::too_many(after.0),
            InviteError::Unavailable(error) => error.into(),
        }
    }
}
