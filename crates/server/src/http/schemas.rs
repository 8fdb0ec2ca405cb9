//! The shapes of the chat's own JSON, for the OpenAPI description; the types that serialise are the chat's.

#![expect(dead_code, reason = "these types describe, they are never made")]

use utoipa::ToSchema;

/// A room, as one person sees it.
#[derive(ToSchema)]
#[schema(as = Room)]
pub(super) struct RoomSchema {
    id: String,
    name: String,
    topic: String,
    /// Whether the person who asks is a member.
    member: bool,
    members: u32,
    /// The number of its last event.
    offset: u64,
    /// The name of its stream of events; numbers of another epoch mean nothing.
    epoch: String,
    /// Milliseconds since the Unix epoch.
    created: i64,
    /// Another room that one sees has the same name, or one that looks alike. Left out when not.
    same_name: Option<bool>,
}

/// A person as others see them.
#[derive(ToSchema)]
#[schema(as = Who)]
pub(super) struct WhoSchema {
    id: String,
    name: String,
    /// Somebody else on this server has the same name, or one that looks alike: show more than the name. Left out when not.
    same_name: Option<bool>,
}

#[derive(ToSchema)]
#[schema(as = Message)]
pub(super) struct MessageSchema {
    id: String,
    room: String,
    /// The number of the event with which it came into the room.
    number: u64,
    /// The author's own id of the send.
    client_id: String,
    author: WhoSchema,
    body: String,
    /// Milliseconds since the Unix epoch, by the server's clock.
    time: i64,
}

/// Something that happened in a room; clients ignore a type they do not know.
#[derive(ToSchema)]
#[schema(as = Event)]
pub(super) struct EventSchema {
    /// `room.created`, `member.joined`, `member.left` or `message.posted`.
    r#type: String,
    /// 1 for a room's first event, without gaps.
    number: u64,
    /// Milliseconds since the Unix epoch, by the server's clock.
    time: i64,
    /// Of `message.posted`.
    message: Option<MessageSchema>,
    /// Of the others.
    member: Option<WhoSchema>,
}
