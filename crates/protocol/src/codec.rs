//! What a codec may fail at, whichever it is.

/// This frame is not made of messages.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// There is no message in it.
    #[error("an empty frame")]
    Empty,
    /// Something else than an object stands in it.
    #[error("a message is not an object")]
    NotAnObject,
    /// An object of it is malformed, or a field has the wrong type.
    #[error("malformed message: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A message of protobuf is malformed or cut short, or a field has the wrong type.
    #[error("malformed message: {0}")]
    Protobuf(&'static str),
    /// A payload of a well-formed command is [more than every reader can read](crate::is_unreadable): the command is
    /// answered with [`Error::BAD_REQUEST`](crate::Error::BAD_REQUEST), and the commands behind it are read.
    #[error("the payload of command {id} is nested too deep, or has too long a number")]
    Unreadable {
        /// The number of the command; 0 when it is not answered.
        id: u32,
    },
}

/// A message cannot be written for this reader.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// It carries bytes that are no JSON, and the reader speaks JSON: close with
    /// [`Disconnect::INAPPROPRIATE_PROTOCOL`](crate::Disconnect::INAPPROPRIATE_PROTOCOL).
    #[error("data that is no JSON cannot be written as JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    /// It is an answer, and the transport carries only pushes: nobody asked.
    #[error("a transport in one direction carries no answers")]
    Answer,
}

/// All messages of a frame, of which there is at least one.
pub(crate) fn not_empty<T>(messages: impl Iterator<Item = Result<T, DecodeError>>) -> Result<Vec<T>, DecodeError> {
    let messages = messages.collect::<Result<Vec<_>, _>>()?;
    if messages.is_empty() { Err(DecodeError::Empty) } else { Ok(messages) }
}
