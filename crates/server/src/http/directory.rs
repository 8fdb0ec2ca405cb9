//! People, found by name and written to, and what they may do on the server.

use super::body::JsonBody;
use super::problem::{Problem, sentence};
use super::schemas::RoomSchema;
use super::signed_in::SignedIn;
use crate::app::App;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, StatusCode, header};
use serde::{Deserialize, Serialize};
use tidings_chat::{FindError, Person, PersonId, Role, RoomCard, SetRoleError, StartDirectError};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(find)).routes(routes!(set_role)).routes(routes!(start_direct))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct FindParams {
    /// A part of the name; without it, the first people by name.
    #[serde(default)]
    query: String,
}

#[derive(Serialize, ToSchema)]
struct PeopleBody {
    people: Vec<FoundBody>,
}

/// A person, as others see them.
#[derive(Serialize, ToSchema)]
struct FoundBody {
    id: String,
    name: String,
    /// What they may do on the whole server: `owner`, `admin` or `guest`. Left out when that is what everybody may.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    /// Somebody else on this server has the same name, or one that looks alike: show more than the name. Left out when not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    same_name: bool,
}

impl From<&Person> for FoundBody {
    fn from(person: &Person) -> Self {
        Self {
            id: person.id.to_string(),
            name: person.name.as_str().into(),
            role: (person.role != Role::Member).then(|| person.role.as_str()),
            same_name: person.same_name,
        }
    }
}

/// Find people by name: at most 20, the best first. Guests find those with whom they share a room.
#[utoipa::path(get, path = "/v1/people", params(FindParams), responses(
    (status = 200, body = PeopleBody), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn find(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    params: Result<Query<FindParams>, QueryRejection>,
) -> Result<Json<PeopleBody>, Problem> {
    let Query(params) = params
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "malformed", format!("{}.", error.body_text())))?;
    let found = app.chat.find_people(signed_in.person.id, &params.query).await?;
    Ok(Json(PeopleBody { people: found.iter().map(FoundBody::from).collect() }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RoleBody {
    /// `owner`, `admin`, `member` or `guest`.
    role: String,
}

/// Say what a person may do on the server. Owners say it of everybody; administrators say who is a guest, and may step down.
/// The person's connections begin anew.
#[utoipa::path(patch, path = "/v1/people/{person}", params(("person" = String, Path)), request_body = RoleBody,
    responses((status = 200, body = FoundBody), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem),
    (status = 429, body = Problem)))]
async fn set_role(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    Path(person): Path<String>,
    JsonBody(body): JsonBody<RoleBody>,
) -> Result<Json<FoundBody>, Problem> {
    let person = PersonId::parse(&person).ok_or_else(Problem::not_found)?;
    let role = Role::parse(&body.role)
        .ok_or_else(|| Problem::field("role", "role_unknown", "Somebody is owner, admin, member or guest."))?;
    let changed = app.chat.set_role(signed_in.person.id, person, role).await?;
    Ok(Json(FoundBody::from(&changed)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DirectBody {
    /// The ids of up to 8 others; one's own alone for notes to oneself.
    people: Vec<String>,
}

/// The direct message of these people and oneself: the one there is (200), or a new one (201). Who is in it stays so; it has
/// no name, and nobody else learns that it exists.
#[utoipa::path(post, path = "/v1/direct", request_body = DirectBody, responses(
    (status = 200, body = RoomSchema), (status = 201, body = RoomSchema, headers(("location" = String))),
    (status = 401, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem),
    (status = 429, body = Problem)))]
async fn start_direct(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    JsonBody(body): JsonBody<DirectBody>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<RoomCard>), Problem> {
    let people = body.people.iter().map(|person| PersonId::parse(person).ok_or(StartDirectError::NoSuchPerson));
    let (room, is_new) = app.chat.start_direct(signed_in.person.id, people.collect::<Result<_, _>>()?).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let location = [(header::LOCATION, format!("/v1/rooms/{}", room.id))];
    Ok((status, location, Json(RoomCard::from(&room))))
}

impl From<FindError> for Problem {
    fn from(error: FindError) -> Self {
        match error {
            FindError::TooLong => Self::field("query", "name_too_long", sentence(&error)),
            FindError::TooMany(after) => Self::too_many(after.0),
            FindError::Unavailable(error) => error.into(),
        }
    }
}

impl From<SetRoleError> for Problem {
    fn from(error: SetRoleError) -> Self {
        match error {
            SetRoleError::NoSuchPerson => Self::not_found(),
            SetRoleError::NotAllowed | SetRoleError::Own => {
                Self::new(StatusCode::FORBIDDEN, "not_allowed", sentence(&error))
            }
            SetRoleError::LastOwner => Self::new(StatusCode::CONFLICT, "last_owner", sentence(&error)),
            SetRoleError::TooMany(after) => Self::too_many(after.0),
            SetRoleError::Unavailable(error) => error.into(),
        }
    }
}

impl From<StartDirectError> for Problem {
    fn from(error: StartDirectError) -> Self {
        match error {
            StartDirectError::Nobody => Self::field("people", "people_empty", sentence(&error)),
            StartDirectError::TooManyPeople => Self::field("people", "too_many_people", sentence(&error)),
            StartDirectError::NoSuchPerson => Self::field("people", "no_such_person", sentence(&error)),
            StartDirectError::TooManyOfPerson => {
                Self::new(StatusCode::CONFLICT, "too_many_direct_messages", sentence(&error))
            }
            StartDirectError::TooMany(after) => Self::too_many(after.0),
            StartDirectError::Unavailable(error) => error.into(),
        }
    }
}
