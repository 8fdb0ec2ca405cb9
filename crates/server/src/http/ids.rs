//! Ids as they stand in paths.

use super::problem::Problem;
use tidings_chat::{MessageId, RoomId};

/// The room of a path; what is no id is answered like an unknown room (S40).
pub(super) fn room_id(text: &str) -> Result<RoomId, Problem> {
    RoomId::parse(text).ok_or_else(Problem::not_found)
}

/// A message of a room.
pub(super) fn place(room: &str, message: &str) -> Result<(RoomId, MessageId), Problem> {
    Ok((room_id(room)?, MessageId::parse(message).ok_or_else(Problem::not_found)?))
}
