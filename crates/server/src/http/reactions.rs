//! Reactions under messages: reacting, taking that back, and who reacted.

use super::ids::place;
use super::problem::{Problem, sentence};
use super::schemas::WhoSchema;
use super::signed_in::SignedIn;
use crate::app::App;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use tidings_chat::{Emoji, ReactError, ReactedPage};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(reacted, add, remove))
}

/// Who reacted with one emoji.
#[derive(ToSchema)]
#[schema(as = ReactedPage)]
#[expect(dead_code, reason = "it describes, and is never made")]
struct ReactedPageSchema {
    /// In the order in which they did; at most 200.
    people: Vec<WhoSchema>,
    /// Whether there are more.
    more: bool,
}

/// Who reacted to a message with an emoji.
#[utoipa::path(get, path = "/v1/rooms/{room}/messages/{message}/reactions/{emoji}",
    params(("room" = String, Path), ("message" = String, Path), ("emoji" = String, Path)), responses(
    (status = 200, body = ReactedPageSchema), (status = 401, body = Problem), (status = 404, body = Problem),
    (status = 422, body = Problem)))]
async fn reacted(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    Path((room, message, emoji)): Path<(String, String, String)>,
) -> Result<Json<ReactedPage>, Problem> {
    let (room, message) = place(&room, &message)?;
    let found = app.chat.reacted(signed_in.person.id, room, message, one(&emoji)?).await?;
    found.map(Json).ok_or_else(Problem::not_found)
}

/// React to a message; once however often it is sent.
#[utoipa::path(put, path = "/v1/rooms/{room}/messages/{message}/reactions/{emoji}",
    params(("room" = String, Path), ("message" = String, Path), ("emoji" = String, Path)), responses(
    (status = 204), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
    (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn add(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    Path((room, message, emoji)): Path<(String, String, String)>,
) -> Result<StatusCode, Problem> {
    let (room, message) = place(&room, &message)?;
    app.chat.react(signed_in.person.id, room, message, one(&emoji)?, true).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Take one's reaction back; also when there is none.
#[utoipa::path(delete, path = "/v1/rooms/{room}/messages/{message}/reactions/{emoji}",
    params(("room" = String, Path), ("message" = String, Path), ("emoji" = String, Path)), responses(
    (status = 204), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
    (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn remove(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    Path((room, message, emoji)): Path<(String, String, String)>,
) -> Result<StatusCode, Problem> {
    let (room, message) = place(&room, &message)?;
    app.chat.react(signed_in.person.id, room, message, one(&emoji)?, false).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn one(emoji: &str) -> Result<Emoji, Problem> {
    Emoji::parse(emoji)
        .ok_or_else(|| Problem::field("emoji", "emoji_invalid", "A reaction is one emoji, percent-encoded."))
}

impl From<ReactError> for Problem {
    fn from(error: ReactError) -> Self {
        match error {
            ReactError::NoSuchMessage => Self::not_found(),
            ReactError::Deleted => Self::new(StatusCode::CONFLICT, "message_deleted", sentence(&error)),
            ReactError::Archived => Self::room_archived(&error),
            ReactError::TooManyKinds => Self::new(StatusCode::CONFLICT, "too_many_reactions", sentence(&error)),
            ReactError::TooMany(after) => Self::too_many(after.0),
            ReactError::Unavailable(error) => error.into(),
        }
    }
}
