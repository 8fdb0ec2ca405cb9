//! Why a connection ends: close codes, what each means, and the frame that carries one.

use crate::Utf8Bytes;
use std::fmt;

/// A close code (RFC 6455 §7.4).
///
/// The constants are all that IANA's registry (§11.7) assigns below 3000: 1000 to 1011 and 1015 are the RFC's own
/// (§7.4.1), 1012 to 1014 were registered later. Other numbers below 3000 wait for future versions and extensions, 3000 to
/// 3999 are registered by libraries, 4000 to 4999 are for applications (§7.4.2), and all others mean nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection is fulfilled.
    pub const NORMAL: Self = CloseCode(1000);
    /// 1001: the server goes down, or the browser leaves the page.
    pub const GOING_AWAY: Self = CloseCode(1001);
    /// 1002: a violation of the protocol.
    pub const PROTOCOL_ERROR: Self = CloseCode(1002);
    /// 1003: a kind of data that this endpoint does not take, such as binary where it wants text.
    pub const UNSUPPORTED_DATA: Self = CloseCode(1003);
    /// 1004: reserved, without a meaning as yet; never on the wire.
    pub const RESERVED: Self = CloseCode(1004);
    /// 1005: stands for a close frame without a code; never on the wire.
    pub const NO_STATUS: Self = CloseCode(1005);
    /// 1006: stands for a connection that ended without a close frame; never on the wire.
    pub const ABNORMAL: Self = CloseCode(1006);
    /// 1007: data that contradicts its type, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = CloseCode(1007);
    /// 1008: against this endpoint's policy, where no other code fits.
    pub const POLICY_VIOLATION: Self = CloseCode(1008);
    /// 1009: a message longer than this endpoint takes.
    pub const MESSAGE_TOO_BIG: Self = CloseCode(1009);
    /// 1010: the server did not agree to an extension without which the client cannot go on. Only clients send it.
    pub const EXTENSION_REQUIRED: Self = CloseCode(1010);
    /// 1011: the server met a condition that it did not expect.
    pub const INTERNAL_ERROR: Self = CloseCode(1011);
    /// 1012: the server restarts; the client should reconnect after a random delay.
    pub const SERVICE_RESTART: Self = CloseCode(1012);
    /// 1013: the server is overloaded; the client should try again later.
    pub const TRY_AGAIN_LATER: Self = CloseCode(1013);
    /// 1014: a gateway got an invalid answer from upstream.
    pub const BAD_GATEWAY: Self = CloseCode(1014);
    /// 1015: stands for a failed TLS handshake; never on the wire.
    pub const TLS_HANDSHAKE: Self = CloseCode(1015);

    /// A code that may stand in a close frame; `None` for all others.
    ///
    /// ```
    /// use tidings_websocket::CloseCode;
    /// const SHUTDOWN: CloseCode = CloseCode::new(3001).unwrap();
    /// assert_eq!(CloseCode::new(1006), None);
    /// ```
    #[must_use]
    pub const fn new(code: u16) -> Option<Self> {
        let code = CloseCode(code);
        if code.may_be_sent() { Some(code) } else { None }
    }

    /// As it stands in the close frame.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Whether the code may stand in a close frame: 1000-1003, 1007-1014, and 3000-4999 (RFC 6455 §7.4).
    #[must_use]
    pub const fn may_be_sent(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }

    /// 3000-3999: registered with IANA by libraries and frameworks (RFC 6455 §7.4.2).
    #[must_use]
    pub const fn is_library(self) -> bool {
        matches!(self.0, 3000..=3999)
    }

    /// 4000-4999: agreed between applications (RFC 6455 §7.4.2).
    #[must_use]
    pub const fn is_private(self) -> bool {
        matches!(self.0, 4000..=4999)
    }

    /// An ordinary end: 1000, 1001, or a close frame without a code (1005).
    #[must_use]
    pub const fn is_expected(self) -> bool {
        matches!(self.0, 1000 | 1001 | 1005)
    }

    /// Whether connecting again, later, may work: 1001, 1006, 1011-1014. Wait for a random time before, and longer
    /// each time (RFC 6455 §7.2.3).
    #[must_use]
    pub const fn invites_retry(self) -> bool {
        matches!(self.0, 1001 | 1006 | 1011..=1014)
    }

    /// What the code means, in a few words.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self.0 {
            1000 => "normal closure",
            1001 => "going away",
            1002 => "protocol error",
            1003 => "unsupported data",
            1004 => "reserved",
            1005 => "no status",
            1006 => "abnormal closure",
            1007 => "invalid payload",
            1008 => "policy violation",
            1009 => "message too big",
            1010 => "extension required",
            1011 => "internal error",
            1012 => "service restart",
            1013 => "try again later",
            1014 => "bad gateway",
            1015 => "TLS handshake failed",
            3000..=3999 => "registered by a library",
            4000..=4999 => "private",
            1016..=2999 => "unassigned",
            0..=999 | 5000.. => "not a close code",
        }
    }
}

impl TryFrom<u16> for CloseCode {
    type Error = InvalidCloseCode;

    fn try_from(code: u16) -> Result<Self, InvalidCloseCode> {
        CloseCode::new(code).ok_or(InvalidCloseCode(code))
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> u16 {
        code.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0, self.meaning())
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({})", self.0)
    }
}

/// A number that may not stand in a close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a code that a close frame may carry")]
pub struct InvalidCloseCode(pub u16);

/// What a close frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseFrame {
    /// Why. [`CloseCode::NO_STATUS`] when the frame carried no code.
    pub code: CloseCode,
    /// For people and logs; at most 123 bytes, longer ones are cut at a character when sent.
    pub reason: Utf8Bytes,
}

impl CloseFrame {
    /// A frame with a code and a reason.
    pub fn new(code: CloseCode, reason: impl Into<Utf8Bytes>) -> Self {
        CloseFrame { code, reason: reason.into() }
    }

    /// The frame without a code.
    #[must_use]
    pub const fn empty() -> Self {
        CloseFrame { code: CloseCode::NO_STATUS, reason: Utf8Bytes::EMPTY }
    }
}

impl From<CloseCode> for CloseFrame {
    fn from(code: CloseCode) -> Self {
        CloseFrame { code, reason: Utf8Bytes::EMPTY }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The code, its constant, and whether it may be sent, is expected, and invites to a retry.
    const ASSIGNED: [(u16, CloseCode, bool, bool, bool); 16] = [
        (1000, CloseCode::NORMAL, true, true, false),
        (1001, CloseCode::GOING_AWAY, true, true, true),
        (1002, CloseCode::PROTOCOL_ERROR, true, false, false),
        (1003, CloseCode::UNSUPPORTED_DATA, true, false, false),
        (1004, CloseCode::RESERVED, false, false, false),
        (1005, CloseCode::NO_STATUS, false, true, false),
        (1006, CloseCode::ABNORMAL, false, false, true),
        (1007, CloseCode::INVALID_PAYLOAD, true, false, false),
        (1008, CloseCode::POLICY_VIOLATION, true, false, false),
        (1009, CloseCode::MESSAGE_TOO_BIG, true, false, false),
        (1010, CloseCode::EXTENSION_REQUIRED, true, false, false),
        (1011, CloseCode::INTERNAL_ERROR, true, false, true),
        (1012, CloseCode::SERVICE_RESTART, true, false, true),
        (1013, CloseCode::TRY_AGAIN_LATER, true, false, true),
        (1014, CloseCode::BAD_GATEWAY, true, false, true),
        (1015, CloseCode::TLS_HANDSHAKE, false, false, false),
    ];

    #[test]
    fn every_assigned_code_has_a_constant_a_meaning_and_the_right_uses_s7_4_1() {
        for (number, code, may_be_sent, is_expected, invites_retry) in ASSIGNED {
            assert_eq!(code.get(), number);
            assert!(!["unassigned", "not a close code"].contains(&code.meaning()), "{number}");
            assert_eq!(code.may_be_sent(), may_be_sent, "{number}");
            assert_eq!(CloseCode::try_from(number).ok(), may_be_sent.then_some(code), "{number}");
            assert_eq!(code.is_expected(), is_expected, "{number}");
            assert_eq!(code.invites_retry(), invites_retry, "{number}");
            assert!(!code.is_library() && !code.is_private(), "{number}");
        }
    }

    #[test]
    fn ranges_belong_to_the_protocol_libraries_and_applications_s7_4_2() {
        for (numbers, meaning, may_be_sent) in [
            (0..=999, "not a close code", false),
            (1016..=2999, "unassigned", false),
            (3000..=3999, "registered by a library", true),
            (4000..=4999, "private", true),
            (5000..=u16::MAX, "not a close code", false),
        ] {
            for number in numbers {
                let code = CloseCode(number);
                assert_eq!((code.meaning(), code.may_be_sent()), (meaning, may_be_sent), "{number}");
                assert_eq!(code.is_library(), (3000..4000).contains(&number), "{number}");
                assert_eq!(code.is_private(), (4000..5000).contains(&number), "{number}");
                assert!(!code.is_expected() && !code.invites_retry(), "{number}");
            }
        }
    }
}
