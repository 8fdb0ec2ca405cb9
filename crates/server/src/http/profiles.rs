//! Profiles: what people say of themselves, as others see it.

use super::body::JsonBody;
use super::problem::{Problem, sentence};
use super::schemas::ProfileSchema;
use super::signed_in::SignedIn;
use crate::app::App;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Deserializer, Serialize};
use tidings_chat::limits::PROFILES_READ_MAX;
use tidings_chat::{
    EditProfileError, Name, NameError, PersonId, Profile, ProfileEdit, Quiet, Status, StatusError, Time, Title, Zone,
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(own, edit)).routes(routes!(one)).routes(routes!(some))
}

/// What others see of oneself.
#[utoipa::path(get, path = "/v1/me/profile", responses((status = 200, body = ProfileSchema),
    (status = 401, body = Problem)))]
async fn own(State(app): State<App>, SignedIn(signed_in): SignedIn) -> Result<Json<Profile>, Problem> {
    profile(&app, signed_in.person.id, signed_in.person.id).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ProfileBody {
    /// 1 to 80 characters.
    name: Option<String>,
    /// What one is or does: up to 80 characters; empty for none.
    title: Option<String>,
    /// The name of a time zone, such as `Europe/Berlin`; empty for none.
    zone: Option<String>,
    /// `null` for none.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<StatusBody>)]
    status: Option<Option<StatusBody>>,
    /// Not to be disturbed; `null` to be disturbed again.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<QuietBody>)]
    quiet: Option<Option<QuietBody>>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct StatusBody {
    /// One emoji, or none.
    #[serde(default)]
    emoji: String,
    /// Up to 100 characters.
    #[serde(default)]
    text: String,
    /// When it is over, in milliseconds since the Unix epoch; without it, when it is taken away.
    ends: Option<i64>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct QuietBody {
    /// Until when, in milliseconds since the Unix epoch; without it, until one says so.
    ends: Option<i64>,
}

/// Tells what is `null` from what is left out.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(value).map(Some)
}

/// Change what one says of oneself, or one's name; what is left out stays. Whoever shares a room with one hears of it.
#[utoipa::path(patch, path = "/v1/me/profile", request_body = ProfileBody, responses(
    (status = 200, body = ProfileSchema), (status = 401, body = Problem), (status = 422, body = Problem),
    (status = 429, body = Problem)))]
async fn edit(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    JsonBody(body): JsonBody<ProfileBody>,
) -> Result<Json<Profile>, Problem> {
    let edit = body.parse(app.chat.now())?;
    Ok(Json(app.chat.edit_profile(signed_in.person.id, edit).await?))
}

impl ProfileBody {
    fn parse(self, now: Time) -> Result<ProfileEdit, Problem> {
        let name = self.name.as_deref().map(Name::parse).transpose().map_err(|error| Problem::name("name", &error))?;
        let title = self.title.as_deref().map(Title::parse).transpose();
        let zone = self.zone.as_deref().map(Zone::parse).transpose();
        let status = |body: StatusBody| Status::parse(&body.emoji, &body.text, body.ends.map(Time::from_millis), now);
        let quiet = |body: QuietBody| Quiet::until(body.ends.map(Time::from_millis), now);
        Ok(ProfileEdit {
            name,
            title: title.map_err(|error| Problem::name("title", &error))?,
            zone: zone.map_err(|error| Problem::field("zone", "zone_invalid", sentence(&error)))?,
            status: self.status.map(|given| given.map(status).transpose()).transpose().map_err(status_problem)?,
            quiet: self
                .quiet
                .map(|given| given.map(quiet).transpose())
                .transpose()
                .map_err(|error| Problem::field("quiet", "end_invalid", sentence(&error)))?,
        })
    }
}

fn status_problem(error: StatusError) -> Problem {
    let code = match error {
        StatusError::Empty => "status_empty",
        StatusError::Emoji => "emoji_invalid",
        StatusError::Text(NameError::TooLong { .. }) => "status_too_long",
        StatusError::Text(_) => "status_control_character",
        StatusError::Ends => "end_invalid",
    };
    Problem::field("status", code, sentence(&error))
}

/// Somebody, as one sees them: everybody, or for a guest those with whom they share a room.
#[utoipa::path(get, path = "/v1/people/{person}", params(("person" = String, Path)), responses(
    (status = 200, body = ProfileSchema), (status = 401, body = Problem), (status = 404, body = Problem)))]
async fn one(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    Path(person): Path<String>,
) -> Result<Json<Profile>, Problem> {
    profile(&app, signed_in.person.id, PersonId::parse(&person).ok_or_else(Problem::not_found)?).await
}

async fn profile(app: &App, asking: PersonId, person: PersonId) -> Result<Json<Profile>, Problem> {
    app.chat.profiles(asking, vec![person]).await?.pop().map(Json).ok_or_else(Problem::not_found)
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct SomeParams {
    /// Ids, with commas between them: at most 100.
    people: String,
}

#[derive(Serialize, ToSchema)]
struct ProfilesBody {
    #[schema(value_type = Vec<ProfileSchema>)]
    people: Vec<Profile>,
}

/// Several people, as one sees them. Whom one does not see is not among them.
#[utoipa::path(get, path = "/v1/profiles", params(SomeParams), responses((status = 200, body = ProfilesBody),
    (status = 400, body = Problem), (status = 401, body = Problem), (status = 422, body = Problem)))]
async fn some(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    params: Result<Query<SomeParams>, QueryRejection>,
) -> Result<Json<ProfilesBody>, Problem> {
    let Query(params) = params
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "malformed", format!("{}.", error.body_text())))?;
    let people: Vec<_> = params.people.split(',').filter_map(PersonId::parse).collect();
    if people.len() > PROFILES_READ_MAX {
        let detail = format!("Ask for at most {PROFILES_READ_MAX} people at once.");
        return Err(Problem::field("people", "too_many_people", detail));
    }
    Ok(Json(ProfilesBody { people: app.chat.profiles(signed_in.person.id, people).await? }))
}

impl From<EditProfileError> for Problem {
    fn from(error: EditProfileError) -> Self {
        match error {
            EditProfileError::TooMany(after) => Self::too_many(after.0),
            EditProfileError::Unavailable(error) => error.into(),
        }
    }
}
