//! Threads: what stands under a message, following and reading it, and those that one follows.

use super::ids::place;
use super::problem::{Problem, sentence};
use super::schemas::{AnsweredSchema, MessageSchema, RepliesSchema, ThreadReadingSchema};
use super::signed_in::SignedIn;
use super::{body::JsonBody, page::PageQuery, page::fitting};
use crate::app::App;
use crate::limits::{THREADS_PAGE_DEFAULT, THREADS_PAGE_MAX};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidings_chat::{Message, MessageId, Move, ThreadError, ThreadReading, ThreadsPage};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(thread))
        .routes(routes!(follow, unfollow))
        .routes(routes!(read))
        .routes(routes!(list))
}

#[derive(Serialize, ToSchema)]
struct ThreadBody {
    /// The message that it is under.
    #[schema(value_type = MessageSchema)]
    root: Message,
    /// Its answers, ascending by number.
    #[schema(value_type = Vec<MessageSchema>)]
    messages: Vec<Box<RawValue>>,
    /// Whether there are more in the direction of the page.
    more: bool,
    /// The name of the room's stream of events.
    epoch: String,
    /// How far one has read it, and up to which number of the room's events this page is as it says.
    #[schema(value_type = ThreadReadingSchema)]
    reading: ThreadReading,
}

/// The thread under a message; an empty one where nobody has answered so.
#[utoipa::path(get, path = "/v1/rooms/{room}/messages/{message}/thread",
    params(("room" = String, Path), ("message" = String, Path), PageQuery), responses(
    (status = 200, body = ThreadBody), (status = 401, body = Problem), (status = 404, body = Problem)))]
async fn thread(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    Path((room, message)): Path<(String, String)>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Json<ThreadBody>, Problem> {
    let query = query?.page()?;
    let (room, root) = place(&room, &message)?;
    let page = app.chat.thread(signed_in.person.id, room, root, query).await?.ok_or_else(Problem::not_found)?;
    let (messages, all_fit) = fitting(&page.messages, query.from)?;
    let more = page.more || !all_fit;
    Ok(Json(ThreadBody { root: page.root, messages, more, epoch: page.epoch, reading: page.reading }))
}

/// Follow a thread; one's other devices are told.
#[utoipa::path(put, path = "/v1/rooms/{room}/messages/{message}/thread/following",
    params(("room" = String, Path), ("message" = String, Path)), responses(
    (status = 200, body = ThreadReadingSchema), (status = 401, body = Problem), (status = 404, body = Problem),
    (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn follow(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    Path((room, message)): Path<(String, String)>,
) -> Result<Json<ThreadReading>, Problem> {
    let (room, root) = place(&room, &message)?;
    Ok(Json(app.chat.follow_thread(signed_in.person.id, room, root, true).await?))
}

/// Do not follow a thread, also when one answers there or is mentioned later.
#[utoipa::path(delete, path = "/v1/rooms/{room}/messages/{message}/thread/following",
    params(("room" = String, Path), ("message" = String, Path)), responses(
    (status = 200, body = ThreadReadingSchema), (status = 401, body = Problem), (status = 404, body = Problem),
    (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn unfollow(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    Path((room, message)): Path<(String, String)>,
) -> Result<Json<ThreadReading>, Problem> {
    let (room, root) = place(&room, &message)?;
    Ok(Json(app.chat.follow_thread(signed_in.person.id, room, root, false).await?))
}

#[derive(Deserialize, ToSchema)]
struct ReadThreadBody {
    /// The number of the last event that was read; beyond the room's last event it is that of the last event.
    number: u64,
    /// What follows that number is unread again. Without it the position only goes forward: the device that is furthest wins.
    #[serde(default)]
    unread: bool,
}

/// Say how far one has read a thread that one follows; one's other devices are told. Of one that one never followed everything
/// is read, and this changes nothing.
#[utoipa::path(put, path = "/v1/rooms/{room}/messages/{message}/thread/read", request_body = ReadThreadBody,
    params(("room" = String, Path), ("message" = String, Path)), responses(
    (status = 200, body = ThreadReadingSchema), (status = 401, body = Problem), (status = 404, body = Problem),
    (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn read(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    Path((room, message)): Path<(String, String)>,
    JsonBody(body): JsonBody<ReadThreadBody>,
) -> Result<Json<ThreadReading>, Problem> {
    let (room, root) = place(&room, &message)?;
    let to = if body.unread { Move::To(body.number) } else { Move::Forward(body.number) };
    Ok(Json(app.chat.mark_thread_read(signed_in.person.id, room, root, to).await?))
}

/// Which of the threads that one follows.
#[derive(Deserialize, IntoParams)]
struct ThreadsQuery {
    /// Only threads that were answered last before this message: `replies.last.id` of the last one of the page before.
    before: Option<String>,
    /// At most so many, 1 to 50.
    limit: Option<u32>,
}

/// A thread that one follows.
#[derive(ToSchema)]
#[schema(as = Thread)]
#[expect(dead_code, reason = "it describes, and is never made")]
struct ThreadSchema {
    #[schema(inline)]
    #[serde(flatten)]
    reading: ThreadReadingSchema,
    /// How the message begins that it is under.
    root: AnsweredSchema,
    replies: RepliesSchema,
    /// How its newest answer begins.
    last: AnsweredSchema,
}

#[derive(ToSchema)]
#[schema(as = ThreadsPage)]
#[expect(dead_code, reason = "it describes, and is never made")]
struct ThreadsSchema {
    /// The one that was answered last first.
    threads: Vec<ThreadSchema>,
    /// Whether there are more.
    more: bool,
    /// In how many of all the threads that one follows something is unread.
    unread: u32,
}

/// The threads that one follows, in the rooms that one is in, and in which an answer stands.
#[utoipa::path(get, path = "/v1/threads", params(ThreadsQuery), responses(
    (status = 200, body = ThreadsSchema), (status = 401, body = Problem), (status = 422, body = Problem)))]
async fn list(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    query: Result<Query<ThreadsQuery>, QueryRejection>,
) -> Result<Json<ThreadsPage>, Problem> {
    let Query(ThreadsQuery { before, limit }) = query?;
    let limit = limit.unwrap_or(THREADS_PAGE_DEFAULT);
    if !(1..=THREADS_PAGE_MAX).contains(&limit) {
        return Err(Problem::field("limit", "limit_out_of_range", format!("The limit is 1 to {THREADS_PAGE_MAX}.")));
    }
    let no_message = || Problem::field("before", "message_id_invalid", "The id of a message is a UUID in lower case.");
    let before = before.map(|id| MessageId::parse(&id).ok_or_else(no_message)).transpose()?;
    Ok(Json(app.chat.threads(signed_in.person.id, before, limit).await?))
}

impl From<ThreadError> for Problem {
    fn from(error: ThreadError) -> Self {
        match error {
            ThreadError::NoSuchMessage => Self::not_found(),
            ThreadError::InThread => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "in_thread", sentence(&error)),
            ThreadError::TooMany(after) => Self::too_many(after.0),
            ThreadError::Unavailable(error) => error.into(),
        }
    }
}
