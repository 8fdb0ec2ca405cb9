//! What goes wrong between frames and messages, and what the peer is told.

use crate::CloseCode;

/// A violation by the peer. The connection has failed; [`close_code`](Self::close_code) is what the peer is told
/// (RFC 6455 §7.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// RSV1-3 is set and no agreed extension claims it (RFC 6455 §5.2).
    #[error("a reserved bit is set")]
    ReservedBits,
    /// An opcode of 3-7 or 11-15 (§5.2).
    #[error("the opcode is reserved")]
    ReservedOpCode,
    /// A control frame without FIN (§5.5).
    #[error("a control frame is fragmented")]
    FragmentedControl,
    /// A control frame of more than 125 bytes (§5.5).
    #[error("a control frame is longer than 125 bytes")]
    ControlTooLong,
    /// A length of 2^63 or more (§5.2).
    #[error("a length has its highest bit set")]
    LengthTooLarge,
    /// A length that would fit a shorter form (§5.2).
    #[error("a length is not in its shortest form")]
    LengthNotMinimal,
    /// A client's frame without a mask (§5.1).
    #[error("a client's frame is not masked")]
    NotMasked,
    /// A server's frame with a mask (§5.1).
    #[error("a server's frame is masked")]
    Masked,
    /// A continuation where no message has begun (§5.4).
    #[error("a continuation without a beginning")]
    UnexpectedContinuation,
    /// A new message before the last has ended (§5.4).
    #[error("a new message inside another")]
    ExpectedContinuation,
    /// Text or a close reason that is not UTF-8 (§8.1).
    #[error("text is not UTF-8")]
    InvalidUtf8,
    /// A close frame with a body of one byte (§5.5.1).
    #[error("a close frame has half a code")]
    CloseTooShort,
    /// A close frame with a code that may not be sent (§7.4).
    #[error("a close frame has the invalid code {0}")]
    CloseCodeInvalid(u16),
    /// A message longer than our limit (§10.4).
    #[error("a message is longer than {max} bytes")]
    MessageTooBig {
        /// The limit in bytes.
        max: usize,
    },
    /// More fragments without payload than our limit (§10.4).
    #[error("a message has too many empty fragments")]
    TooManyEmptyFragments,
    /// Compressed data that does not inflate (RFC 7692 §7.2.2).
    #[error("compressed data is corrupt")]
    BadCompression,
}

impl ProtocolError {
    /// What the peer is told (RFC 6455 §7.4.1).
    #[must_use]
    pub const fn close_code(&self) -> CloseCode {
        match self {
            ProtocolError::InvalidUtf8 | ProtocolError::BadCompression => CloseCode::INVALID_PAYLOAD,
            ProtocolError::MessageTooBig { .. } => CloseCode::MESSAGE_TOO_BIG,
            ProtocolError::TooManyEmptyFragments => CloseCode::POLICY_VIOLATION,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }
}

/// Why nothing was framed. The connection lives on as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendRefused {
    /// Our close frame has gone out, and nothing may follow it (RFC 6455 §5.5.1).
    #[error("the connection is closing")]
    Closed,
    /// A message that is being sent in fragments must be finished first (§5.4).
    #[error("a message is unfinished")]
    Unfinished,
    /// A ping or pong may carry 125 bytes (§5.5).
    #[error("a control frame may carry 125 bytes")]
    ControlTooLong,
    /// The frame is compressed, and this connection has not agreed to that, or to another window.
    #[error("the connection has not agreed to this compression")]
    NotAgreed,
}

/// Messages and bytes of one connection. Bytes are those of messages, before compression and without heads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Whole messages received.
    pub messages_received: u64,
    /// Bytes of messages received, after inflating.
    pub bytes_received: u64,
    /// Messages framed for sending.
    pub messages_sent: u64,
    /// Bytes of messages framed for sending, before compressing.
    pub bytes_sent: u64,
}
