//! Who is in a room: the list, those who are brought in, and those who own it.

use super::body::JsonBody;
use super::ids::room_id;
use super::problem::{Problem, sentence};
use super::signed_in::SignedIn;
use crate::app::App;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use tidings_chat::{AddMemberError, Member, PersonId, Role, RoomRole, SetRoomRoleError};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(members, add)).routes(routes!(set_role))
}

#[derive(Serialize, ToSchema)]
struct MembersBody {
    members: Vec<MemberBody>,
}

#[derive(Serialize, ToSchema)]
struct MemberBody {
    id: String,
    name: String,
    /// What they are in the room: `owner` or `member`.
    role: &'static str,
    /// What they may do on the whole server: `owner`, `admin` or `guest`. Left out when that is what everybody may.
    #[serde(skip_serializing_if = "Option::is_none")]
    server_role: Option<&'static str>,
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
            server_role: (member.server_role != Role::Member).then(|| member.server_role.as_str()),
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

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AddMemberBody {
    /// The id of whom to bring in.
    person: String,
}

/// Bring somebody into a room that one is a member of, and no guest; who is in it stays so. They hear of it at once.
#[utoipa::path(post, path = "/v1/rooms/{room}/members", params(("room" = String, Path)), request_body = AddMemberBody,
    responses((status = 200, body = MemberBody), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem),
    (status = 429, body = Problem)))]
async fn add(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    Path(room): Path<String>,
    JsonBody(body): JsonBody<AddMemberBody>,
) -> Result<Json<MemberBody>, Problem> {
    let room = room_id(&room)?;
    let person = PersonId::parse(&body.person).ok_or_else(|| Problem::from(AddMemberError::NoSuchPerson))?;
    let member = app.chat.add_member(signed_in.person.id, room, person).await?;
    Ok(Json(member.into()))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RoomRoleBody {
    /// `owner` or `member`.
    role: String,
}

/// Make a member an owner of the room, or one no more; for its owners and administrators.
#[utoipa::path(patch, path = "/v1/rooms/{room}/members/{person}",
    params(("room" = String, Path), ("person" = String, Path)), request_body = RoomRoleBody, responses(
    (status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn set_role(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    Path((room, person)): Path<(String, String)>,
    JsonBody(body): JsonBody<RoomRoleBody>,
) -> Result<StatusCode, Problem> {
    let (room, person) = (room_id(&room)?, PersonId::parse(&person).ok_or_else(Problem::not_found)?);
    let role = RoomRole::parse(&body.role)
        .ok_or_else(|| Problem::field("role", "role_unknown", "In a room somebody is owner or member."))?;
    app.chat.set_room_role(signed_in.person.id, room, person, role).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<AddMemberError> for Problem {
    fn from(error: AddMemberError) -> Self {
        match error {
            AddMemberError::NotMember => Self::not_found(),
            AddMemberError::IsGuest => Self::new(StatusCode::FORBIDDEN, "guest", sentence(&error)),
            AddMemberError::IsDirect => Self::is_direct(&error),
            AddMemberError::NoSuchPerson => Self::field("person", "no_such_person", sentence(&error)),
            AddMemberError::TooMany(after) => Self::too_many(after.0),
            AddMemberError::Unavailable(error) => error.into(),
        }
    }
}

impl From<SetRoomRoleError> for Problem {
    fn from(error: SetRoomRoleError) -> Self {
        match error {
            SetRoomRoleError::NotMember => Self::not_found(),
            SetRoomRoleError::NotAllowed => Self::not_allowed(),
            SetRoomRoleError::IsDirect => Self::is_direct(&error),
            SetRoomRoleError::LastOwner => Self::new(StatusCode::CONFLICT, "last_owner", sentence(&error)),
            SetRoomRoleError::IsGuest => Self::new(StatusCode::CONFLICT, "guest", sentence(&error)),
            SetRoomRoleError::TooMany(after) => Self::too_many(after.0),
            SetRoomRoleError::Unavailable(error) => error.into(),
        }
    }
}
