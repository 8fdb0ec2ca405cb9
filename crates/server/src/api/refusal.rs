//! Errors of the server API: the protocol's codes, with a word on what to do.

use tidings_api::Error;

/// As the protocol says it.
pub(crate) fn refused(error: tidings_protocol::Error) -> Error {
    Error { code: error.code, message: error.message.into_owned() }
}

/// The same code in other words.
pub(crate) fn other(error: &tidings_protocol::Error, message: impl Into<String>) -> Error {
    Error { code: error.code, message: message.into() }
}

/// 107: the request makes no sense.
pub(crate) fn bad_request(message: &str) -> Error {
    other(&tidings_protocol::Error::BAD_REQUEST, message)
}

/// 106: it asks for too much.
pub(crate) fn too_much(message: impl Into<String>) -> Error {
    other(&tidings_protocol::Error::LIMIT_EXCEEDED, message)
}

/// 108: it is switched off for this channel.
pub(crate) fn not_available(message: &str) -> Error {
    other(&tidings_protocol::Error::NOT_AVAILABLE, message)
}
