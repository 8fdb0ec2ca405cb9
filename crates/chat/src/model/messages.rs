//! Messages: what may be one, and how it is posted, once however often it is sent.

use serde::{Serialize, Serializer, ser::SerializeStruct};
use sha2::{Digest, Sha256};

use super::{
    ids::{ClientId, MessageId, PersonId, RoomId},
    looks::is_blank,
    people::Who,
    time::Time,
};
use crate::{limits::BODY_BYTES_MAX, markup::Content};

/// The text of a message: not empty, at most 16 KiB of UTF-8, kept as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body(String);

/// Why a text cannot be a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Nothing that could be seen.
    #[error("a message must not be empty")]
    Empty,
    /// A control character other than a line break or a tab.
    #[error("a message must not contain control characters")]
    Control,
    /// Too many bytes.
    #[error("a message may have at most {max} bytes of UTF-8")]
    TooLong {
        /// How many bytes are allowed.
        max: usize,
    },
}

impl Body {
    /// Reads a message's text.
    ///
    /// # Errors
    /// When it is empty or too long, or has control characters.
    pub fn parse(text: String) -> Result<Self, BodyError> {
        if text.len() > BODY_BYTES_MAX {
            Err(BodyError::TooLong { max: BODY_BYTES_MAX })
        } else if !is_plain(&text) && text.chars().any(|c| c.is_control() && !['\n', '\r', '\t'].contains(&c)) {
            Err(BodyError::Control)
        } else if text.chars().all(is_blank) {
            Err(BodyError::Empty)
        } else {
            Ok(Self(text))
        }
    }
}

/// Whether it is ASCII without control characters: most texts are, and to see that takes a tenth of looking at each
/// character.
fn is_plain(text: &str) -> bool {
    text.bytes().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'))
}

/// A message about to be posted.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Where.
    pub room: RoomId,
    /// The author's identity of the send: the same for every repetition of it.
    pub client_id: ClientId,
    /// What it says.
    pub body: Body,
}

/// A message as its readers see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// The server's identity of it.
    pub id: MessageId,
    /// Where it was posted.
    pub room: RoomId,
    /// The number of the event with which it came into the room.
    pub number: u64,
    /// The author's identity of the send, by which the author's devices recognise their pending message.
    pub client_id: ClientId,
    /// Who wrote it.
    pub author: Who,
    /// What it says, byte for byte as it was sent. Written with `content` beside it, the tree of its marks, where it has
    /// any: read from the source each time, so that old messages look as this version reads them.
    #[serde(flatten, serialize_with = "with_content")]
    pub body: String,
    /// When it was committed, by the server's clock.
    pub time: Time,
}

fn with_content<S: Serializer>(body: &str, message: S) -> Result<S::Ok, S::Error> {
    let mut message = message.serialize_struct("Body", 2)?;
    message.serialize_field("body", body)?;
    if let Some(content) = Content::of(body) {
        message.serialize_field("content", &content)?;
    }
    message.end()
}

/// A message was posted, now or by an earlier send of the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posted {
    /// The server's identity of the message.
    pub id: MessageId,
    /// The number of its event: its place in the room's one order.
    pub number: u64,
    /// When it was committed.
    pub time: Time,
    /// Whether an earlier send had posted it already; then nothing happened now.
    pub repeated: bool,
}

/// A message to be posted.
#[derive(Debug, Clone)]
pub(crate) struct NewMessage {
    pub(crate) id: MessageId,
    pub(crate) room: RoomId,
    pub(crate) author: PersonId,
    pub(crate) client_id: ClientId,
    pub(crate) body: String,
    /// SHA-256 of room and text, by which a repeated send is recognised whatever becomes of the text.
    pub(crate) digest: [u8; 32],
}

impl NewMessage {
    pub(crate) fn fresh(author: PersonId, draft: Draft) -> Self {
        let Draft { room, client_id, body: Body(body) } = draft;
        let digest = Sha256::new().chain_update(room.bytes()).chain_update(&body).finalize().into();
        Self { id: MessageId::fresh(), room, author, client_id, body, digest }
    }
}

/// What was posted under an author's client id before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EarlierSend {
    pub(crate) id: MessageId,
    pub(crate) number: u64,
    pub(crate) time: Time,
    /// Of room and text, as in [`NewMessage`].
    pub(crate) digest: [u8; 32],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_some_text_and_at_most_16_kib() {
        assert_eq!(Body::parse(" \n\t".into()), Err(BodyError::Empty));
        for text in ["\u{200b}\u{feff} ", "\u{3164}", "\u{2800}\n\u{2800}", "\u{115f}\u{e0041}\u{34f}", "\u{fe0f}"] {
            assert_eq!(Body::parse(text.into()), Err(BodyError::Empty), "nothing to be seen: {text:?}");
        }
        assert!(Body::parse("\u{2803}\u{2800}\u{2801}".into()).is_ok(), "braille with its spaces");
        assert_eq!(Body::parse("a\u{0}b".into()), Err(BodyError::Control));
        assert!(Body::parse("a\r\n\tb \u{200d}".into()).is_ok());
        assert!(Body::parse("x".repeat(16_384)).is_ok());
        let error = Body::parse("é".repeat(8_193)).unwrap_err();
        assert_eq!(error, BodyError::TooLong { max: 16_384 });
        assert!(error.to_string().contains("16384"), "the error names the limit");
    }
}
