//! Rooms and their members.

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
use tidings_chat::{CreateRoomError, ManageError, Member, MembershipError, Name, PersonId, RoomCard, RoomId, Topic};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get))
        .routes(routes!(members))
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
}

/// Make a room and be its first member.
#[utoipa::path(post, path = "/v1/rooms", request_body = NewRoomBody, responses(
    (status = 201, body = RoomSchema, headers(("location" = String))), (status = 401, body = Problem),
    (status = 409, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn create(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    JsonBody(body): JsonBody<NewRoomBody>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<RoomCard>), Problem> {
    let name = Name::parse(&body.name).map_err(|error| Problem::name("name", &error))?;
    let topic = Topic::parse(&body.topic).map_err(|error| Problem::name("topic", &error))?;
    let room = app.chat.create_room(signed_in.person.id, name, topic).await?;
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

#[derive(Serialize, ToSchema)]
struct MembersBody {
    members: Vec<MemberBody>,
}

#[derive(Serialize, ToSchema)]
struct MemberBody {
    id: String,
    name: String,
    /// `admin`, `creator` or `member`.
    role: &'static str,
    /// Somebody else on this server has the same name, or one that looks alike: show more than the name. Left out when not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    same_name: bool,
}

impl From<Member> for MemberBody {
    fn from(member: Member) -> Self {
        Self {
            id: member.id.to_string(),
            name: member.name.as_str().into(),
            role: member.role.as_str(),
            same_name: member.same_name,
        }
    }
}

/// Who is a member, for its members.
#[utoipa::path(get, path = "/v1/rooms/{room}/members", params(("room" = String, Path)), responses(
    (status = 200, body = MembersBody), (status = 401, body = Problem), (status = 404, body = Problem)))]
async fn members(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    Path(room): Path<String>,
) -> Result<Json<MembersBody>, Problem> {
    let members = app.chat.members(signed_in.person.id, room_id(&room)?).await?.ok_or_else(Problem::not_found)?;
    Ok(Json(MembersBody { members: members.into_iter().map(MemberBody::from).collect() }))
}

/// Join an open room; joining twice is no error.
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

/// Leave a room.
#[utoipa::path(delete, path = "/v1/rooms/{room}/members/me", params(("room" = String, Path)), responses(
    (status = 204), (status = 401, body = Problem), (status = 404, body = Problem)))]
async fn leave(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    Path(room): Path<String>,
) -> Result<StatusCode, Problem> {
    app.chat.leave_room(signed_in.person.id, room_id(&room)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Remove a member; for administrators and the one who made the room.
#[utoipa::path(delete, path = "/v1/rooms/{room}/members/{person}",
    params(("room" = String, Path), ("person" = String, Path)), responses(
    (status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
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
            CreateRoomError::TooMany(after) => Self::too_many(after.0),
            CreateRoomError::Unavailable(error) => error.into(),
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
            ManageError::TooMany(after) => Self::too_many(after.0),
            ManageError::Unavailable(error) => error.into(),
        }
    }
}
