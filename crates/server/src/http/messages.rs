//! Messages and the events of a room: posting, editing, deleting, restoring, reading a page, catching up.

use super::body::JsonBody;
use super::ids::{place, room_id};
use super::page::{PageQuery, fitting};
use super::problem::{Problem, sentence};
use super::schemas::{EditSchema, EventSchema, MessageSchema};
use super::signed_in::SignedIn;
use crate::app::App;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::time::Instant;
use tidings_chat::{
    Body, BodyError, ClientId, DeleteError, DeleteReason, Draft, EditError, InThread, Message, MessageId, PageFrom,
    PersonId, PostError, ReadError, ReasonError, RestoreError, RoomId, Time,
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(events))
        .routes(routes!(list, post))
        .routes(routes!(get, edit, delete))
        .routes(routes!(restore))
        .routes(routes!(edits))
}

/// From when.
#[derive(Deserialize, IntoParams)]
struct SinceQuery {
    /// Only entries of that time or later, in milliseconds since the Unix epoch, from there on; instead of before and after.
    since: Option<i64>,
}

/// The page that is asked for. Where it begins with a time, it begins behind the last event before that.
async fn page_from(
    app: &App,
    (reader, room): (PersonId, RoomId),
    page: Result<Query<PageQuery>, QueryRejection>,
    since: Result<Query<SinceQuery>, QueryRejection>,
) -> Result<tidings_chat::PageQuery, Problem> {
    let page = page?.page()?;
    let Some(since) = since?.since else { return Ok(page) };
    if page.from != PageFrom::End {
        return Err(Problem::field("since", "page_ambiguous", "Give one of before, after and since."));
    }
    let from = PageFrom::After(app.chat.last_before(reader, room, Time::from_millis(since)).await?);
    Ok(tidings_chat::PageQuery { from, ..page })
}

#[derive(Serialize, ToSchema)]
struct EventsBody {
    /// Ascending by number.
    #[schema(value_type = Vec<EventSchema>)]
    events: Vec<Box<RawValue>>,
    epoch: String,
    /// The number of the room's last event.
    offset: u64,
    /// Whether there are more in the direction of the page.
    more: bool,
}

/// What happened in a room.
#[utoipa::path(get, path = "/v1/rooms/{room}/events", params(("room" = String, Path), PageQuery, SinceQuery), responses(
    (status = 200, body = EventsBody), (status = 401, body = Problem), (status = 404, body = Problem),
    (status = 422, body = Problem)))]
async fn events(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    Path(room): Path<String>,
    query: Result<Query<PageQuery>, QueryRejection>,
    since: Result<Query<SinceQuery>, QueryRejection>,
) -> Result<Json<EventsBody>, Problem> {
    let room = room_id(&room)?;
    let query = page_from(&app, (signed_in.person.id, room), query, since).await?;
    let page = app.chat.events(signed_in.person.id, room, query).await?;
    let (events, all_fit) = fitting(&page.events, query.from)?;
    Ok(Json(EventsBody { events, epoch: page.epoch, offset: page.offset, more: page.more || !all_fit }))
}

#[derive(Serialize, ToSchema)]
struct MessagesBody {
    /// Ascending by number.
    #[schema(value_type = Vec<MessageSchema>)]
    messages: Vec<Box<RawValue>>,
    /// Whether there are more in the direction of the page.
    more: bool,
}

/// The messages of a room, without those that stand in threads alone.
#[utoipa::path(get, path = "/v1/rooms/{room}/messages", params(("room" = String, Path), PageQuery, SinceQuery), responses(
    (status = 200, body = MessagesBody), (status = 401, body = Problem), (status = 404, body = Problem),
    (status = 422, body = Problem)))]
async fn list(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    Path(room): Path<String>,
    query: Result<Query<PageQuery>, QueryRejection>,
    since: Result<Query<SinceQuery>, QueryRejection>,
) -> Result<Json<MessagesBody>, Problem> {
    let room = room_id(&room)?;
    let query = page_from(&app, (signed_in.person.id, room), query, since).await?;
    let page = app.chat.messages(signed_in.person.id, room, query).await?;
    let (messages, all_fit) = fitting(&page.messages, query.from)?;
    Ok(Json(MessagesBody { messages, more: page.more || !all_fit }))
}

#[derive(Deserialize, ToSchema)]
struct NewMessageBody {
    /// A UUID of the sender's making (UUIDv7): the same send again gets the same answer.
    client_id: String,
    /// 1 to 16384 bytes of UTF-8.
    body: String,
    /// The message of the same room that it answers.
    reply_to: Option<String>,
    /// Tell everybody, where it says `<@room>` or `<@here>` in a room of more than 25 members.
    #[serde(default)]
    everybody: bool,
    /// The message of the same room in whose thread it is to stand; without `reply_to` it answers that one.
    thread: Option<String>,
    /// Of an answer in a thread: whether it is to stand among the room's messages too.
    #[serde(default)]
    also_in_room: bool,
}

#[derive(Serialize, ToSchema)]
struct PostedBody {
    id: String,
    number: u64,
    /// Milliseconds since the Unix epoch, by the server's clock.
    #[schema(value_type = i64)]
    time: Time,
}

/// Post a message; it is durable when this answers. 201 the first time, 200 for the same send again.
#[utoipa::path(post, path = "/v1/rooms/{room}/messages", request_body = NewMessageBody,
    params(("room" = String, Path)), responses(
    (status = 201, body = PostedBody, headers(("location" = String))), (status = 200, body = PostedBody),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem), (status = 413, body = Problem), (status = 422, body = Problem),
    (status = 428, body = Problem), (status = 429, body = Problem)))]
async fn post(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    Path(room): Path<String>,
    JsonBody(body): JsonBody<NewMessageBody>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<PostedBody>), Problem> {
    let start = Instant::now();
    let room = room_id(&room)?;
    let client_id = ClientId::parse(&body.client_id).ok_or_else(|| {
        Problem::field(
            "client_id",
            "client_id_invalid",
            "The client_id must be a UUID in lower case, such as a UUIDv7.",
        )
    })?;
    let reply_to = body.reply_to.map(|id| MessageId::parse(&id).ok_or_else(nothing_to_answer)).transpose()?;
    let no_thread = || Problem::from(PostError::NoSuchThread);
    let root = body.thread.map(|id| MessageId::parse(&id).ok_or_else(no_thread)).transpose()?;
    let thread = root.map(|root| InThread { root, also_in_room: body.also_in_room });
    let draft = Draft { room, client_id, body: Body::parse(body.body)?, reply_to, thread, everybody: body.everybody };
    let posted = app.chat.post(signed_in.person.id, draft).await?;
    app.metrics.post_latency.observe(start.elapsed().as_secs_f64());
    let status = if posted.repeated { StatusCode::OK } else { StatusCode::CREATED };
    let location = [(header::LOCATION, format!("/v1/rooms/{room}/messages/{}", posted.id))];
    let body = PostedBody { id: posted.id.to_string(), number: posted.number, time: posted.time };
    Ok((status, location, Json(body)))
}

/// One message.
#[utoipa::path(get, path = "/v1/rooms/{room}/messages/{message}",
    params(("room" = String, Path), ("message" = String, Path)), responses(
    (status = 200, body = MessageSchema), (status = 401, body = Problem), (status = 404, body = Problem)))]
async fn get(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    Path((room, message)): Path<(String, String)>,
) -> Result<Json<Message>, Problem> {
    let (room, message) = place(&room, &message)?;
    let found = app.chat.message(signed_in.person.id, room, message).await?;
    found.map(Json).ok_or_else(Problem::not_found)
}

#[derive(Deserialize, ToSchema)]
struct EditBody {
    /// 1 to 16384 bytes of UTF-8.
    body: String,
}

/// Give one's own message another text. Answers the message; the same text again changes nothing.
#[utoipa::path(patch, path = "/v1/rooms/{room}/messages/{message}", request_body = EditBody,
    params(("room" = String, Path), ("message" = String, Path)), responses(
    (status = 200, body = MessageSchema), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem),
    (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn edit(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    Path((room, message)): Path<(String, String)>,
    JsonBody(body): JsonBody<EditBody>,
) -> Result<Json<Message>, Problem> {
    let (room, message) = place(&room, &message)?;
    Ok(Json(app.chat.edit_message(signed_in.person.id, room, message, Body::parse(body.body)?).await?))
}

#[derive(Deserialize, ToSchema)]
struct DeleteBody {
    /// Why, for the room to read: one line of 1 to 500 characters. Needed for somebody else's message.
    reason: Option<String>,
}

/// Delete a message: one's own, or with a reason any in a room that one manages. Answers what is left of it. Its text is told
/// nobody from now on, and erased after ten seconds.
#[utoipa::path(delete, path = "/v1/rooms/{room}/messages/{message}", request_body = Option<DeleteBody>,
    params(("room" = String, Path), ("message" = String, Path)), responses(
    (status = 200, body = MessageSchema), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn delete(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    Path((room, message)): Path<(String, String)>,
    body: Option<JsonBody<DeleteBody>>,
) -> Result<Json<Message>, Problem> {
    let (room, message) = place(&room, &message)?;
    let reason = body.and_then(|JsonBody(body)| body.reason);
    let reason = reason.as_deref().map(DeleteReason::parse).transpose()?;
    Ok(Json(app.chat.delete_message(signed_in.person.id, room, message, reason).await?))
}

/// Take back that one has deleted a message, within ten seconds. Answers the message as it was.
#[utoipa::path(post, path = "/v1/rooms/{room}/messages/{message}/restore",
    params(("room" = String, Path), ("message" = String, Path)), responses(
    (status = 200, body = MessageSchema), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 409, body = Problem), (status = 429, body = Problem)))]
async fn restore(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    Path((room, message)): Path<(String, String)>,
) -> Result<Json<Message>, Problem> {
    let (room, message) = place(&room, &message)?;
    Ok(Json(app.chat.restore_message(signed_in.person.id, room, message).await?))
}

#[derive(Serialize, ToSchema)]
struct EditsBody {
    /// Ascending by number. None of a message that was deleted.
    #[schema(value_type = Vec<EditSchema>)]
    edits: Vec<Box<RawValue>>,
    /// Whether there are more in the direction of the page.
    more: bool,
}

/// What a message said before it was edited; its present text is the message's own.
#[utoipa::path(get, path = "/v1/rooms/{room}/messages/{message}/edits",
    params(("room" = String, Path), ("message" = String, Path), PageQuery), responses(
    (status = 200, body = EditsBody), (status = 401, body = Problem), (status = 404, body = Problem)))]
async fn edits(
    State(app): State<App>,
    SignedIn(signed_in): SignedIn,
    Path((room, message)): Path<(String, String)>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Json<EditsBody>, Problem> {
    let query = query?.page()?;
    let (room, message) = place(&room, &message)?;
    let page = app.chat.edits(signed_in.person.id, room, message, query).await?.ok_or_else(Problem::not_found)?;
    let (edits, all_fit) = fitting(&page.edits, query.from)?;
    Ok(Json(EditsBody { edits, more: page.more || !all_fit }))
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Empty => Self::field("body", "body_empty", "A message needs some text."),
            BodyError::Control => Self::field("body", "body_control_character", sentence(&error)),
            BodyError::TooLong { .. } => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_long", sentence(&error)),
        }
    }
}

fn nothing_to_answer() -> Problem {
    Problem::field("reply_to", "nothing_to_answer", sentence(&PostError::NothingToAnswer))
}

impl From<PostError> for Problem {
    fn from(error: PostError) -> Self {
        match error {
            PostError::NotMember => Self::not_found(),
            PostError::Conflict => Self::new(
                StatusCode::CONFLICT,
                "client_id_used",
                "This client_id was used for another message. Make a new one for each message.",
            ),
            PostError::NothingToAnswer => nothing_to_answer(),
            PostError::NoSuchThread => Self::field("thread", "no_such_thread", sentence(&error)),
            PostError::InThread => Self::field("thread", "in_thread", sentence(&error)),
            PostError::OutsideThread => Self::field("reply_to", "outside_thread", sentence(&error)),
            PostError::Archived => Self::room_archived(&error),
            PostError::TooManyMentioned => Self::field("body", "too_many_mentioned", sentence(&error)),
            PostError::GuestMentionsEverybody => {
                Self::new(StatusCode::FORBIDDEN, "guest_mentions_everybody", sentence(&error))
            }
            PostError::TellsMany { .. } => {
                Self::new(StatusCode::PRECONDITION_REQUIRED, "everybody_not_confirmed", sentence(&error))
            }
            PostError::TooMany(after) => Self::too_many(after.0),
            PostError::Unavailable(error) => error.into(),
        }
    }
}

impl From<ReasonError> for Problem {
    fn from(error: ReasonError) -> Self {
        Self::field("reason", "reason_invalid", sentence(&error))
    }
}

impl From<EditError> for Problem {
    fn from(error: EditError) -> Self {
        match error {
            EditError::NoSuchMessage => Self::not_found(),
            EditError::NotAuthor => Self::new(StatusCode::FORBIDDEN, "not_author", sentence(&error)),
            EditError::Deleted => Self::new(StatusCode::CONFLICT, "message_deleted", sentence(&error)),
            EditError::Archived => Self::room_archived(&error),
            EditError::TooManyMentioned => Self::field("body", "too_many_mentioned", sentence(&error)),
            EditError::TooMany(after) => Self::too_many(after.0),
            EditError::Unavailable(error) => error.into(),
        }
    }
}

impl From<DeleteError> for Problem {
    fn from(error: DeleteError) -> Self {
        match error {
            DeleteError::NoSuchMessage => Self::not_found(),
            DeleteError::NotAllowed => Self::new(StatusCode::FORBIDDEN, "not_allowed", sentence(&error)),
            DeleteError::NoReason => Self::field("reason", "reason_needed", sentence(&error)),
            DeleteError::TooMany(after) => Self::too_many(after.0),
            DeleteError::Unavailable(error) => error.into(),
        }
    }
}

impl From<RestoreError> for Problem {
    fn from(error: RestoreError) -> Self {
        match error {
            RestoreError::NoSuchMessage => Self::not_found(),
            RestoreError::NotAllowed => Self::new(StatusCode::FORBIDDEN, "not_deleter", sentence(&error)),
            RestoreError::TooLate => Self::new(StatusCode::CONFLICT, "too_late", sentence(&error)),
            RestoreError::TooMany(after) => Self::too_many(after.0),
            RestoreError::Unavailable(error) => error.into(),
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotMember => Self::not_found(),
            ReadError::Unavailable(error) => error.into(),
        }
    }
}
