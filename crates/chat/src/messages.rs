//! Messages: how one is posted, once however often it is sent, and how a room's history is read.

use sha2::{Digest, Sha256};

use crate::{
    chat::Chat,
    events::Message,
    ids::{ClientId, MessageId, PersonId, RoomId},
    limits::{BODY_BYTES_MAX, PAGE_MAX},
    rates::RetryAfter,
    store::{ApplyError, Change, EventPage, MessagePage, NewMessage, Outcome, Page, Posted, Refusal, StoreError},
};

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
        } else if text.chars().any(|c| c.is_control() && !['\n', '\r', '\t'].contains(&c)) {
            Err(BodyError::Control)
        } else if text.chars().all(|c| c.is_whitespace() || is_invisible(c)) {
            Err(BodyError::Empty)
        } else {
            Ok(Self(text))
        }
    }
}

/// Soft hyphen, zero-width characters, direction marks, the byte order mark: alone they show nothing.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

/// A message about to be posted.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Where.
    pub room: RoomId,
    /// The author's identity of the send: the same for every repetition of it.
    pub client_id: ClientId,
    /// The text.
    pub body: Body,
}

/// Why a message was not posted.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// There is no such room, or the author is not a member: the same answer.
    #[error("no such room")]
    NotMember,
    /// The author has used this client id for another message.
    #[error("this client_id was used for another message")]
    Conflict,
    /// Too many messages.
    #[error(transparent)]
    TooMany(#[from] RetryAfter),
    /// The store could not; nothing was posted.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

/// Why history was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no such room, or the reader is not a member: the same answer.
    #[error("no such room")]
    NotMember,
    /// The store could not.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

impl Chat {
    /// Posts a message. When this answers, the message is durable, has its number, and has been announced. The same send
    /// again, at the same time or years later, answers the same and does nothing.
    ///
    /// # Errors
    /// See [`PostError`].
    pub async fn post(&self, author: PersonId, draft: Draft) -> Result<Posted, PostError> {
        self.0.limiters.posts.take(author, self.0.clock.now())?;
        let Draft { room, client_id, body: Body(body) } = draft;
        let digest = Sha256::new().chain_update(room.bytes()).chain_update(&body).finalize().into();
        let message = NewMessage { id: MessageId::fresh(), room, author, client_id, body, digest };
        match self.0.writer.write(Change::Post(message)).await {
            Ok(Outcome::Posted(posted)) => Ok(posted),
            Ok(other) => unreachable!("a post was answered with {other:?}"),
            Err(ApplyError::Store(error)) => Err(error.into()),
            Err(ApplyError::Refused(Refusal::Conflict)) => Err(PostError::Conflict),
            Err(ApplyError::Refused(_)) => Err(PostError::NotMember),
        }
    }

    /// What happened in a room, for its members: at most [`PAGE_MAX`] events, in the order of their numbers.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn events(&self, reader: PersonId, room: RoomId, page: Page) -> Result<EventPage, ReadError> {
        self.0.store.events(room, Some(reader), page.bounded()).await?.ok_or(ReadError::NotMember)
    }

    /// A room's messages, for its members: at most [`PAGE_MAX`], in the order of their numbers.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn messages(&self, reader: PersonId, room: RoomId, page: Page) -> Result<MessagePage, ReadError> {
        self.0.store.messages(room, reader, page.bounded()).await?.ok_or(ReadError::NotMember)
    }

    /// One message, for members of its room.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn message(
        &self,
        reader: PersonId,
        room: RoomId,
        message: MessageId,
    ) -> Result<Option<Message>, StoreError> {
        self.0.store.message(room, reader, message).await
    }
}

impl Page {
    fn bounded(self) -> Self {
        Self { limit: self.limit.min(PAGE_MAX), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_some_text_and_at_most_16_kib() {
        assert_eq!(Body::parse(" \n\t".into()), Err(BodyError::Empty));
        assert_eq!(Body::parse("\u{200b}\u{feff} ".into()), Err(BodyError::Empty), "nothing to be seen");
        assert_eq!(Body::parse("a\u{0}b".into()), Err(BodyError::Control));
        assert!(Body::parse("a\r\n\tb \u{200d}".into()).is_ok());
        assert!(Body::parse("x".repeat(16_384)).is_ok());
        let error = Body::parse("é".repeat(8_193)).unwrap_err();
        assert_eq!(error, BodyError::TooLong { max: 16_384 });
        assert!(error.to_string().contains("16384"), "the error names the limit");
    }
}
