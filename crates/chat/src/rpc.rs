//! What a live connection asks the chat to do: the methods of `rpc`, each with its typed request and answer.

use serde::{Deserialize, Serialize};
use tidings_hub::Peer;
use tidings_protocol::{Error, Payload};

use crate::{
    chat::Chat,
    messages::{DeleteError, EditError, PostError, RestoreError},
    model::{
        Body, BodyError, ClientId, DeleteReason, Draft, Emoji, InThread, Message, MessageId, Move, PersonId,
        ReasonError, RoomId, RoomReading, ThreadReading, Time,
    },
    reactions::ReactError,
    reading::MarkReadError,
    store::StoreError,
    threads::ThreadError,
    typing::TypingError,
};

/// The table of methods: name, request, answer. A new one also gets its row in the matrix of rights (S34).
macro_rules! methods {
    ($($name:literal: $method:ident($request:ty) -> $answer:ty;)*) => {
        /// The names of all methods.
        pub const METHODS: &[&str] = &[$($name,)* PRESENCE];

        /// Answers a call of somebody signed in.
        pub(crate) async fn call(
            chat: &Chat,
            caller: PersonId,
            client: &Peer,
            method: &str,
            data: Option<&Payload>,
        ) -> Result<Payload, Error> {
            match method {
                $($name => {
                    let answer: $answer = $method(chat, caller, read::<$request>(data)?).await?;
                    Payload::from_own(&answer).map_err(|_| Error::INTERNAL)
                })*
                PRESENCE => {
                    let PresenceRequest { idle } = read(data)?;
                    chat.show_idle(caller, client, idle).await.map_err(|_| Error::TOO_MANY_REQUESTS)?;
                    Payload::from_own(&Done {}).map_err(|_| Error::INTERNAL)
                }
                _ => Err(Error::METHOD_NOT_FOUND),
            }
        }
    };
}

methods! {
    "post": post(PostRequest) -> PostAnswer;
    "edit": edit(EditRequest) -> Message;
    "delete": delete(DeleteRequest) -> Message;
    "restore": restore(RestoreRequest) -> Message;
    "react": react(ReactRequest) -> Done;
    "unreact": unreact(ReactRequest) -> Done;
    "typing": typing(TypingRequest) -> Done;
    "read": mark_read(ReadRequest) -> RoomReading;
    "read_thread": read_thread(ReadThreadRequest) -> ThreadReading;
    "follow_thread": follow_thread(ThreadRequest) -> ThreadReading;
    "unfollow_thread": unfollow_thread(ThreadRequest) -> ThreadReading;
}

/// Of the connection itself, and of no room.
const PRESENCE: &str = "presence";

#[derive(Deserialize)]
struct PresenceRequest {
    /// Nobody does anything there.
    idle: bool,
}

/// Methods of which a connection may call several at once, because what they ask is with the writer before they first wait:
/// posts that are sent one after the other are numbered so, and share a commit. Typing asks the store first.
pub(crate) const OVERLAPPING: &[&str] = &["post"];

#[derive(Deserialize)]
struct PostRequest {
    room: String,
    client_id: String,
    body: String,
    /// The message of the room that it answers.
    reply_to: Option<String>,
    /// Whether everybody in a large room is to be told.
    #[serde(default)]
    everybody: bool,
    /// The message in whose thread it is to stand.
    thread: Option<String>,
    /// Whether it is to stand among the room's messages too.
    #[serde(default)]
    also_in_room: bool,
}

#[derive(Serialize)]
struct PostAnswer {
    id: MessageId,
    number: u64,
    time: Time,
}

async fn post(chat: &Chat, author: PersonId, request: PostRequest) -> Result<PostAnswer, Error> {
    let room = RoomId::parse(&request.room).ok_or(Error::PERMISSION_DENIED)?;
    let client_id = ClientId::parse(&request.client_id).ok_or(Error::BAD_REQUEST)?;
    let body = Body::parse(request.body)?;
    let reply_to = request.reply_to.map(|id| MessageId::parse(&id).ok_or(Error::BAD_REQUEST)).transpose()?;
    let root = request.thread.map(|id| MessageId::parse(&id).ok_or(Error::BAD_REQUEST)).transpose()?;
    let thread = root.map(|root| InThread { root, also_in_room: request.also_in_room });
    let posted =
        chat.post(author, Draft { room, client_id, body, reply_to, thread, everybody: request.everybody }).await?;
    Ok(PostAnswer { id: posted.id, number: posted.number, time: posted.time })
}

#[derive(Deserialize)]
struct EditRequest {
    room: String,
    message: String,
    body: String,
}

async fn edit(chat: &Chat, person: PersonId, request: EditRequest) -> Result<Message, Error> {
    let (room, message) = place(&request.room, &request.message)?;
    Ok(chat.edit_message(person, room, message, Body::parse(request.body)?).await?)
}

#[derive(Deserialize)]
struct DeleteRequest {
    room: String,
    message: String,
    reason: Option<String>,
}

async fn delete(chat: &Chat, person: PersonId, request: DeleteRequest) -> Result<Message, Error> {
    let (room, message) = place(&request.room, &request.message)?;
    let reason = request.reason.as_deref().map(DeleteReason::parse).transpose()?;
    Ok(chat.delete_message(person, room, message, reason).await?)
}

#[derive(Deserialize)]
struct RestoreRequest {
    room: String,
    message: String,
}

async fn restore(chat: &Chat, person: PersonId, request: RestoreRequest) -> Result<Message, Error> {
    let (room, message) = place(&request.room, &request.message)?;
    Ok(chat.restore_message(person, room, message).await?)
}

#[derive(Deserialize)]
struct ReactRequest {
    room: String,
    message: String,
    emoji: String,
}

async fn react(chat: &Chat, person: PersonId, request: ReactRequest) -> Result<Done, Error> {
    set_reaction(chat, person, request, true).await
}

async fn unreact(chat: &Chat, person: PersonId, request: ReactRequest) -> Result<Done, Error> {
    set_reaction(chat, person, request, false).await
}

async fn set_reaction(chat: &Chat, person: PersonId, request: ReactRequest, stands: bool) -> Result<Done, Error> {
    let (room, message) = place(&request.room, &request.message)?;
    let emoji = Emoji::parse(&request.emoji).ok_or_else(|| Error::application(400, "a reaction is one emoji"))?;
    chat.react(person, room, message, emoji, stands).await?;
    Ok(Done {})
}

fn place(room: &str, message: &str) -> Result<(RoomId, MessageId), Error> {
    RoomId::parse(room).zip(MessageId::parse(message)).ok_or(Error::PERMISSION_DENIED)
}

#[derive(Deserialize)]
struct TypingRequest {
    room: String,
}

async fn typing(chat: &Chat, person: PersonId, request: TypingRequest) -> Result<Done, Error> {
    let room = RoomId::parse(&request.room).ok_or(Error::PERMISSION_DENIED)?;
    chat.typing(person, room).await?;
    Ok(Done {})
}

/// Of what answers nothing but that it was done.
#[derive(Serialize)]
struct Done {}
#[derive(Deserialize)]
struct ReadRequest {
    room: String,
    number: u64,
    /// What comes after the number is unread again.
    #[serde(default)]
    unread: bool,
}

async fn mark_read(chat: &Chat, person: PersonId, request: ReadRequest) -> Result<RoomReading, Error> {
    let room = RoomId::parse(&request.room).ok_or(Error::PERMISSION_DENIED)?;
    let to = if request.unread { Move::To(request.number) } else { Move::Forward(request.number) };
    Ok(chat.mark_read(person, room, to).await?)
}

#[derive(Deserialize)]
struct ThreadRequest {
    room: String,
    /// The message that the thread is under.
    message: String,
}

async fn follow_thread(chat: &Chat, person: PersonId, request: ThreadRequest) -> Result<ThreadReading, Error> {
    let (room, root) = place(&request.room, &request.message)?;
    Ok(chat.follow_thread(person, room, root, true).await?)
}

async fn unfollow_thread(chat: &Chat, person: PersonId, request: ThreadRequest) -> Result<ThreadReading, Error> {
    let (room, root) = place(&request.room, &request.message)?;
    Ok(chat.follow_thread(person, room, root, false).await?)
}

#[derive(Deserialize)]
struct ReadThreadRequest {
    room: String,
    message: String,
    number: u64,
    /// What comes after the number is unread again.
    #[serde(default)]
    unread: bool,
}

async fn read_thread(chat: &Chat, person: PersonId, request: ReadThreadRequest) -> Result<ThreadReading, Error> {
    let (room, root) = place(&request.room, &request.message)?;
    let to = if request.unread { Move::To(request.number) } else { Move::Forward(request.number) };
    Ok(chat.mark_thread_read(person, room, root, to).await?)
}

fn read<'a, T: Deserialize<'a>>(data: Option<&'a Payload>) -> Result<T, Error> {
    data.and_then(|data| data.to_value().ok()).ok_or(Error::BAD_REQUEST)
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy | StoreError::Away => {
                Self { temporary: true, ..Self::application(503, error.to_string()) }
            }
            StoreError::Full => Self::application(507, "the server's storage is full; nothing was stored"),
            StoreError::Closed | StoreError::Failed(_) => Self::INTERNAL,
        }
    }
}

impl From<BodyError> for Error {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Empty | BodyError::Control => Self::application(400, error.to_string()),
            BodyError::TooLong { .. } => Self::application(413, error.to_string()),
        }
    }
}

impl From<PostError> for Error {
    fn from(error: PostError) -> Self {
        match error {
            PostError::NotMember => Self::PERMISSION_DENIED,
            PostError::Conflict => Self::application(409, error.to_string()),
            PostError::NothingToAnswer | PostError::NoSuchThread | PostError::InThread | PostError::OutsideThread => {
                Self::application(422, error.to_string())
            }
            PostError::Archived => Self::application(423, error.to_string()),
            PostError::TooManyMentioned => Self::application(422, error.to_string()),
            PostError::GuestMentionsEverybody => Self::application(403, error.to_string()),
            PostError::TellsMany { .. } => Self::application(428, error.to_string()),
            PostError::TooMany(_) => Self::TOO_MANY_REQUESTS,
            PostError::Unavailable(error) => error.into(),
        }
    }
}

impl From<ReactError> for Error {
    fn from(error: ReactError) -> Self {
        match error {
            ReactError::NoSuchMessage => Self::PERMISSION_DENIED,
            ReactError::Deleted | ReactError::TooManyKinds => Self::application(409, error.to_string()),
            ReactError::Archived => Self::application(423, error.to_string()),
            ReactError::TooMany(_) => Self::TOO_MANY_REQUESTS,
            ReactError::Unavailable(error) => error.into(),
        }
    }
}

impl From<ReasonError> for Error {
    fn from(error: ReasonError) -> Self {
        Self::application(400, error.to_string())
    }
}

impl From<EditError> for Error {
    fn from(error: EditError) -> Self {
        match error {
            EditError::NoSuchMessage => Self::PERMISSION_DENIED,
            EditError::NotAuthor => Self::application(403, error.to_string()),
            EditError::Deleted => Self::application(409, error.to_string()),
            EditError::Archived => Self::application(423, error.to_string()),
            EditError::TooManyMentioned => Self::application(422, error.to_string()),
            EditError::TooMany(_) => Self::TOO_MANY_REQUESTS,
            EditError::Unavailable(error) => error.into(),
        }
    }
}

impl From<DeleteError> for Error {
    fn from(error: DeleteError) -> Self {
        match error {
            DeleteError::NoSuchMessage => Self::PERMISSION_DENIED,
            DeleteError::NotAllowed => Self::application(403, error.to_string()),
            DeleteError::NoReason => Self::application(400, error.to_string()),
            DeleteError::TooMany(_) => Self::TOO_MANY_REQUESTS,
            DeleteError::Unavailable(error) => error.into(),
        }
    }
}

impl From<RestoreError> for Error {
    fn from(error: RestoreError) -> Self {
        match error {
            RestoreError::NoSuchMessage => Self::PERMISSION_DENIED,
            RestoreError::NotAllowed => Self::application(403, error.to_string()),
            RestoreError::TooLate => Self::application(409, error.to_string()),
            RestoreError::TooMany(_) => Self::TOO_MANY_REQUESTS,
            RestoreError::Unavailable(error) => error.into(),
        }
    }
}

impl From<MarkReadError> for Error {
    fn from(error: MarkReadError) -> Self {
        match error {
            MarkReadError::NotMember => Self::PERMISSION_DENIED,
            MarkReadError::TooMany(_) => Self::TOO_MANY_REQUESTS,
            MarkReadError::Unavailable(error) => error.into(),
        }
    }
}

impl From<ThreadError> for Error {
    fn from(error: ThreadError) -> Self {
        match error {
            ThreadError::NoSuchMessage => Self::PERMISSION_DENIED,
            ThreadError::InThread => Self::application(422, error.to_string()),
            ThreadError::TooMany(_) => Self::TOO_MANY_REQUESTS,
            ThreadError::Unavailable(error) => error.into(),
        }
    }
}

impl From<TypingError> for Error {
    fn from(error: TypingError) -> Self {
        match error {
            TypingError::NotMember => Self::PERMISSION_DENIED,
            TypingError::Unavailable(error) => error.into(),
        }
    }
}
