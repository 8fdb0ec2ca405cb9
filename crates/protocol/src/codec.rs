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
    /// A payload of a well-formed command is [more than every reader can read](crate::is_unreadable): the command is
    /// answered with [`Error::BAD_REQUEST`](crate::Error::BAD_REQUEST), and the commands behind it are read.
    #[error("the payload of command {id} is nested too deep, or has too long a number")]
    Unreadable {
        /// The number of the command; 0 when it is not answered.
        id: u32,
    },
}

/// The message carries binary data, which JSON text cannot: close with
/// [`Disconnect::INAPPROPRIATE_PROTOCOL`](crate::Disconnect::INAPPROPRIATE_PROTOCOL).
#[derive(Debug, thiserror::Error)]
#[error("binary data cannot be written as JSON")]
pub struct EncodeError(#[from] serde_json::Error);
