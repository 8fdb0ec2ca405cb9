//! Rooms: made, changed, joined and left.

use super::body::JsonBody;
use super::ids::room_id;
use super::problem::{Problem, sentence};
use super::schemas::RoomSchema;
use super::signed_in::SignedIn;
use crate::app::App;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, StatusCode, header};
use serde::{Deserialize, Serialize};
use tidings_chat::limits::ROOMS_PAGE;
use tidings_chat::{
    CreateRoomError, Description, EditRoomError, LeaveError, ManageError, MembershipError, Name, PersonId, RoomCard,
    RoomEdit, RoomId, RoomKind, Topic,
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, edit))
        .routes(routes!(join, leave))
        .routes(routes!(remove))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct RoomsParams {
    /// The last room of the page before: only rooms behind it come, and none of one's own.
    after: Option<String>,
    /// How many rooms that one is not a member of: 100 if left out, at most 200.
    #[serde(default = "rooms_page")]
    limit: u32,
}

fn rooms_page() -> u32 {
    ROOMS_PAGE
}

#[derive(Serialize, ToSchema)]
struct RoomsBody {
    #[schema(value_type = Vec<RoomSchema>)]
    rooms: Vec<RoomCard>,
    /// Whether there are more rooms that one is not a member of; ask for those after the last one of this page.
    more: bool,
}

/// The rooms one sees. First all those one is a member of, by name, and some of the others, by name; then the others, page by
/// page.
#[utoipa::path(get, path = "/v1/rooms", params(RoomsParams), responses(
    (status = 200, body = RoomsBody), (status = 400, body = Problem), (status = 401, body = Problem)))]
async fn list(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    params: Result<Query<RoomsParams>, QueryRejection>,
) -> Result<Json<RoomsBody>, Problem> {
    let malformed = |detail: String| Problem::new(StatusCode::BAD_REQUEST, "malformed", detail);
    let Query(params) = params.map_err(|error| malformed(format!("{}.", error.body_text())))?;
    let after = params.after.as_deref().map(|after| {
        RoomId::parse(after)
            .ok_or_else(|| malformed("after must be the id of a room, as the page before gave it.".into()))
    });
    let page = app.chat.rooms(signed_in.person.id, after.transpose()?, params.limit).await?;
    Ok(Json(RoomsBody { rooms: page.rooms.iter().map(RoomCard::from).collect(), more: page.more }))
}

#[derive(Deserialize, ToSchema)]
struct NewRoomBody {
    /// 1 to 80 characters.
    name: String,
    /// Up to 250 characters.
    #[serde(default)]
    topic: String,
    /// Whether nobody but its members is to learn of it. If left out, everybody but guests finds it and may come in.
    #[serde(default)]
    private: bool,
}

fn kind(private: bool) -> RoomKind {
    if private { RoomKind::Private } else { RoomKind::Public }
}

/// Make a room, be its first member and own it. Not for guests.
#[utoipa::path(post, path = "/v1/rooms", request_body = NewRoomBody, responses(
    (status = 201, body = RoomSchema, headers(("location" = String))), (status = 401, body = Problem),
    (status = 403, body = Problem),
    (status = 409, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn create(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    JsonBody(body): JsonBody<NewRoomBody>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<RoomCard>), Problem> {
    let name = Name::parse(&body.name).map_err(|error| Problem::name("name", &error))?;
    let topic = Topic::parse(&body.topic).map_err(|error| Problem::name("topic", &error))?;
    let room = app.chat.create_room(signed_in.person.id, name, topic, kind(body.private)).await?;
    let location = [(header::LOCATION, format!("/v1/rooms/{}", room.id))];
    Ok((StatusCode::CREATED, location, Json(RoomCard::from(&room))))
}

/// One room.
#[utoipa::path(get, path = "/v1/rooms/{room}", params(("room" = String, Path)), responses(
    (status = 200, body = RoomSchema), (status = 401, body = Problem), (status = 404, body = Problem)))]
async fn get(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    Path(room): Path<String>,
) -> Result<Json<RoomCard>, Problem> {
    let room = app.chat.room(signed_in.person.id, room_id(&room)?).await?.ok_or_else(Problem::not_found)?;
    Ok(Json(RoomCard::from(&room)))
}

/// What is to become of a room; what is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EditRoomBody {
    /// 1 to 80 characters.
    name: Option<String>,
    /// Up to 250 characters.
    topic: Option<String>,
    /// Up to 1000 characters, with line breaks.
    description: Option<String>,
    /// Whether nobody but its members is to learn of it. Made private, the room's invite is dead; made public, everything
    /// that was said there can be read by everybody who comes in.
    private: Option<bool>,
    /// Whether nothing is to be written there any more.
    archived: Option<bool>,
}

/// Change a room, archive or restore it; for its owners and administrators. The room is told by an event for each change:
/// `room.renamed`, `room.described`, `room.opened`, `room.closed`, `room.archived`, `room.restored`.
#[utoipa::path(patch, path = "/v1/rooms/{room}", params(("room" = String, Path)), request_body = EditRoomBody, responses(
    (status = 200, body = RoomSchema), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem),
    (status = 429, body = Problem)))]
async fn edit(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    Path(room): Path<String>,
    JsonBody(body): JsonBody<EditRoomBody>,
) -> Result<Json<RoomCard>, Problem> {
    let room = room_id(&room)?;
    let name = body.name.as_deref().map(Name::parse).transpose().map_err(|error| Problem::name("name", &error))?;
    let topic = body.topic.as_deref().map(Topic::parse).transpose().map_err(|error| Problem::name("topic", &error))?;
    let description = body.description.as_deref().map(Description::parse).transpose();
    let description = description.map_err(|error| Problem::name("description", &error))?;
    let edit = RoomEdit { name, topic, description, kind: body.private.map(kind), is_archived: body.archived };
    let room = app.chat.edit_room(signed_in.person.id, room, edit).await?;
    Ok(Json(RoomCard::from(&room)))
}

/// Join a public room; joining twice is no error.
#[utoipa::path(put, path = "/v1/rooms/{room}/members/me", params(("room" = String, Path)), responses(
    (status = 200, body = RoomSchema), (status = 401, body = Problem), (status = 404, body = Problem)))]
async fn join(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    Path(room): Path<String>,
) -> Result<Json<RoomCard>, Problem> {
    let room = app.chat.join_room(signed_in.person.id, room_id(&room)?).await?;
    Ok(Json(RoomCard::from(&room)))
}

/// Leave a room. When the last owner of a private one goes, whoever has been in it for longest owns it.
#[utoipa::path(delete, path = "/v1/rooms/{room}/members/me", params(("room" = String, Path)), responses(
    (status = 204), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn leave(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    Path(room): Path<String>,
) -> Result<StatusCode, Problem> {
    app.chat.leave_room(signed_in.person.id, room_id(&room)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Remove a member; for the room's owners and administrators.
#[utoipa::path(delete, path = "/v1/rooms/{room}/members/{person}",
    params(("room" = String, Path), ("person" = String, Path)), responses(
    (status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem)))]
async fn remove(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    Path((room, person)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let person = PersonId::parse(&person).ok_or_else(Problem::not_found)?;
    app.chat.remove_member(signed_in.person.id, room_id(&room)?, person).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<CreateRoomError> for Problem {
    fn from(error: CreateRoomError) -> Self {
        match error {
            CreateRoomError::TooManyRooms => Self::new(StatusCode::CONFLICT, "too_many_rooms", sentence(&error)),
            CreateRoomError::TooManyOfPerson => {
                Self::new(StatusCode::CONFLICT, "too_many_rooms_of_one_person", sentence(&error))
            }
            CreateRoomError::NameTaken => Self::conflict("name", "room_name_taken", sentence(&error)),
            CreateRoomError::IsGuest => Self::new(StatusCode::FORBIDDEN, "guest", sentence(&error)),
            CreateRoomError::IsDirect => Self::is_direct(&error),
            CreateRoomError::TooMany(after) => Self::too_many(after.0),
            CreateRoomError::Unavailable(error) => error.into(),
        }
    }
}

impl From<EditRoomError> for Problem {
    fn from(error: EditRoomError) -> Self {
        match error {
            EditRoomError::NotMember => Self::not_found(),
            EditRoomError::NotAllowed => Self::not_allowed(),
            EditRoomError::IsDirect => Self::is_direct(&error),
            EditRoomError::NameTaken => Self::conflict("name", "room_name_taken", sentence(&error)),
            EditRoomError::TooMany(after) => Self::too_many(after.0),
            EditRoomError::Unavailable(error) => error.into(),
        }
    }
}

impl From<LeaveError> for Problem {
    fn from(error: LeaveError) -> Self {
        match error {
            LeaveError::NotMember => Self::not_found(),
            LeaveError::IsDirect => Self::is_direct(&error),
            LeaveError::TooMany(after) => Self::too_many(after.0),
            LeaveError::Unavailable(error) => error.into(),
        }
    }
}

impl From<MembershipError> for Problem {
    fn from(error: MembershipError) -> Self {
        match error {
            MembershipError::NotMember => Self::not_found(),
            MembershipError::TooMany(after) => Self::too_many(after.0),
            MembershipError::Unavailable(error) => error.into(),
        }
    }
}

impl From<ManageError> for Problem {
    fn from(error: ManageError) -> Self {
        match error {
            ManageError::NotMember => Self::not_found(),
            ManageError::NotAllowed => Self::not_allowed(),
            ManageError::IsDirect => Self::is_direct(&error),
            ManageError::TooMany(after) => Self::too_many(after.0),
            ManageError::Unavailable(error) => error.into(),
        }
    }
}
