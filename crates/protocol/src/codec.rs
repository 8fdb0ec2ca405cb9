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
}

/// The message carries binary data, which JSON text cannot: close with
/// [`Disconnect::INAPPROPRIATE_PROTOCOL`](crate::Disconnect::INAPPROPRIATE_PROTOCOL).
#[derive(Debug, thiserror::Error)]
#[error("binary data cannot be written as JSON")]
pub struct EncodeError(#[from] serde_json::Error);
