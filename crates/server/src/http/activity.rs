//! What concerns one in particular, in one list for all rooms.

use super::problem::Problem;
use super::schemas::ActivitySchema;
use super::signed_in::SignedIn;
use crate::app::App;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use tidings_chat::limits::ACTIVITY_PAGE_MAX;
use tidings_chat::{Activity, ActivityFrom, ActivityKind, ActivityQuery};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// `mentions`, `replies` or `reactions`; all of them without it.
    kind: Option<String>,
    /// The `next` of a page: what is older.
    before: Option<String>,
    /// 1 to 50; 50 without it.
    limit: Option<u32>,
}

#[derive(Serialize, ToSchema)]
struct ActivityBody {
    /// The newest first.
    #[schema(value_type = Vec<ActivitySchema>)]
    activity: Vec<Activity>,
    /// From where the next page goes on. Left out on the last.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<ActivityFrom>,
}

/// Who mentioned one, answered one, or reacted to what one wrote: in the rooms that one is in, and of messages that stand.
#[utoipa::path(get, path = "/v1/activity", params(ListQuery), responses(
    (status = 200, body = ActivityBody), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 422, body = Problem)))]
async fn list(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<ActivityBody>, Problem> {
    let Query(ListQuery { kind, before, limit }) = query?;
    let kind = kind.map(|kind| ActivityKind::parse(&kind).ok_or_else(unknown_kind)).transpose()?;
    let before = before.map(|before| ActivityFrom::parse(&before).ok_or_else(unknown_place)).transpose()?;
    let query = ActivityQuery { kind, before, limit: limit.unwrap_or(ACTIVITY_PAGE_MAX) };
    let page = app.chat.activity(signed_in.person.id, query).await?;
    Ok(Json(ActivityBody { activity: page.activity, next: page.next }))
}

fn unknown_kind() -> Problem {
    Problem::field("kind", "kind_invalid", "The kind must be mentions, replies or reactions.")
}

fn unknown_place() -> Problem {
    Problem::field("before", "before_invalid", "The place must be the next of a page before.")
}
