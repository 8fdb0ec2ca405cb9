//! Frames on the wire, RFC 6455 §5.2: reading and writing their heads.

use crate::ProtocolError;
use bytes::Bytes;

/// Bytes of the longest head: two, eight of length, four of mask.
pub const HEAD_BYTES_MAX: usize = 14;

/// Which end of the connection this is. A client masks what it sends, a server does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The end that accepted the connection.
    Server,
    /// The end that dialled.
    Client,
}

/// What a frame carries (RFC 6455 §11.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpCode {
    /// A further fragment of the message that has begun.
    Continuation,
    /// Text, or its first fragment.
    Text,
    /// Binary data, or its first fragment.
    Binary,
    /// The sender sends nothing after this; its payload may say why.
    Close,
    /// A question for a sign of life.
    Ping,
    /// A sign of life.
    Pong,
}

impl OpCode {
    /// Close, ping and pong: never fragmented, never compressed, at most 125 bytes.
    #[must_use]
    pub const fn is_control(self) -> bool {
        matches!(self, OpCode::Close | OpCode::Ping | OpCode::Pong)
    }

    const fn bits(self) -> u8 {
        match self {
            OpCode::Continuation => 0,
            OpCode::Text => 1,
            OpCode::Binary => 2,
            OpCode::Close => 8,
            OpCode::Ping => 9,
            OpCode::Pong => 10,
        }
    }

    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => OpCode::Continuation,
            1 => OpCode::Text,
            2 => OpCode::Binary,
            8 => OpCode::Close,
            9 => OpCode::Ping,
            10 => OpCode::Pong,
            _ => return None,
        })
    }
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The last frame of its message.
    pub last: bool,
    /// RSV1: the message is compressed (RFC 7692 §6).
    pub compressed: bool,
    /// What the frame carries.
    pub opcode: OpCode,
    /// The masking key, from clients only.
    pub mask: Option<[u8; 4]>,
    /// Length of the payload in bytes, below 2^63.
    pub payload_len: u64,
}

impl Head {
    /// Reads a head from the front of `input`, with its size in bytes (2 to 14); `None` while incomplete.
    ///
    /// Every rule that the head alone can break is checked at the first byte that breaks it.
    ///
    /// # Errors
    /// A reserved bit or opcode, a control frame that is fragmented or longer than 125 bytes, a length that is not in
    /// its shortest form or not below 2^63. RSV1 is left to the connection, which knows its extensions.
    #[inline]
    pub fn parse(input: &[u8]) -> Result<Option<(Head, usize)>, ProtocolError> {
        let Some(&first) = input.first() else { return Ok(None) };
        if first & 0x30 != 0 {
            return Err(ProtocolError::ReservedBits);
        }
        let opcode = OpCode::from_bits(first & 0x0f).ok_or(ProtocolError::ReservedOpCode)?;
        let (last, compressed) = (first & 0x80 != 0, first & 0x40 != 0);
        if opcode.is_control() && !last {
            return Err(ProtocolError::FragmentedControl);
        }
        if opcode.is_control() && compressed {
            return Err(ProtocolError::ReservedBits);
        }
        let Some(&second) = input.get(1) else { return Ok(None) };
        let short = second & 0x7f;
        if opcode.is_control() && short > 125 {
            return Err(ProtocolError::ControlTooLong);
        }
        let (payload_len, after_len) = match (short, &input[2..]) {
            (126, [a, b, ..]) => (u64::from(u16::from_be_bytes([*a, *b])), 4),
            (127, [a, b, c, d, e, f, g, h, ..]) => (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), 10),
            (126 | 127, _) => return Ok(None),
            (len, _) => (u64::from(len), 2),
        };
        if payload_len >> 63 != 0 {
            return Err(ProtocolError::LengthTooLarge);
        }
        if (short == 126 && payload_len < 126) || (short == 127 && payload_len <= u64::from(u16::MAX)) {
            return Err(ProtocolError::LengthNotMinimal);
        }
        let (mask, size) = match (second & 0x80 != 0, input.get(after_len..after_len + 4)) {
            (true, Some(key)) => (Some([key[0], key[1], key[2], key[3]]), after_len + 4),
            (true, None) => return Ok(None),
            (false, _) => (None, after_len),
        };
        Ok(Some((Head { last, compressed, opcode, mask, payload_len }, size)))
    }

    /// Writes the head with its length in the shortest form, and returns its size in bytes.
    #[inline]
    pub fn write(&self, out: &mut [u8; HEAD_BYTES_MAX]) -> usize {
        out[0] = u8::from(self.last) << 7 | u8::from(self.compressed) << 6 | self.opcode.bits();
        let masked = u8::from(self.mask.is_some()) << 7;
        let mut size = 2;
        if let Ok(len @ 0..=125) = u8::try_from(self.payload_len) {
            out[1] = masked | len;
        } else if let Ok(len) = u16::try_from(self.payload_len) {
            out[1] = masked | 126;
            out[2..4].copy_from_slice(&len.to_be_bytes());
            size = 4;
        } else {
            out[1] = masked | 127;
            out[2..10].copy_from_slice(&self.payload_len.to_be_bytes());
            size = 10;
        }
        if let Some(key) = self.mask {
            out[size..size + 4].copy_from_slice(&key);
            size += 4;
        }
        size
    }
}

/// A frame ready to be written: the head inline, the payload shared.
#[derive(Clone, Debug)]
pub struct Frame {
    head: [u8; HEAD_BYTES_MAX],
    head_len: u8,
    payload: Bytes,
}

impl Frame {
    /// A frame of `payload`, which is masked already if `head` says so.
    #[inline]
    pub(crate) fn new(head: &Head, payload: Bytes) -> Self {
        let mut bytes = [0; HEAD_BYTES_MAX];
        let size = head.write(&mut bytes);
        Frame { head: bytes, head_len: u8::try_from(size).expect("at most 14"), payload }
    }

    /// Bytes that are a whole frame already.
    pub(crate) fn framed(bytes: Bytes) -> Self {
        Frame { head: [0; HEAD_BYTES_MAX], head_len: 0, payload: bytes }
    }

    /// The bytes of the head, which may be empty when the payload contains it.
    #[must_use]
    #[inline]
    pub fn head(&self) -> &[u8] {
        &self.head[..usize::from(self.head_len)]
    }

    /// The bytes after the head.
    #[must_use]
    #[inline]
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// The bytes after the head.
    #[must_use]
    #[inline]
    pub fn into_payload(self) -> Bytes {
        self.payload
    }

    /// Size on the wire in bytes.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        usize::from(self.head_len) + self.payload.len()
    }

    /// Never: every frame has a head.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All bytes in one piece.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        if self.head_len == 0 {
            return self.payload.clone();
        }
        let mut bytes = Vec::with_capacity(self.len());
        bytes.extend_from_slice(self.head());
        bytes.extend_from_slice(&self.payload);
        bytes.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn heads() -> impl Strategy<Value = Head> {
        let lengths = prop_oneof![0u64..300, 65_000u64..66_000, 0..1u64 << 63];
        let opcodes = prop_oneof![Just(OpCode::Continuation), Just(OpCode::Text), Just(OpCode::Binary)];
        (any::<bool>(), any::<bool>(), opcodes, any::<Option<[u8; 4]>>(), lengths).prop_map(
            |(last, compressed, opcode, mask, payload_len)| Head { last, compressed, opcode, mask, payload_len },
        )
    }

    proptest! {
        #[test]
        fn a_head_reads_back_as_it_was_written_and_not_before_it_is_complete(head in heads()) {
            let mut bytes = [0; HEAD_BYTES_MAX];
            let size = head.write(&mut bytes);
            prop_assert_eq!(Head::parse(&bytes), Ok(Some((head, size))));
            for cut in 0..size {
                prop_assert_eq!(Head::parse(&bytes[..cut]), Ok(None));
            }
        }
    }

    #[test]
    fn a_length_must_be_in_its_shortest_form() {
        assert_eq!(Head::parse(&[0x82, 126, 0, 125]), Err(ProtocolError::LengthNotMinimal));
        assert_eq!(Head::parse(&[0x82, 127, 0, 0, 0, 0, 0, 0, 255, 255]), Err(ProtocolError::LengthNotMinimal));
        assert_eq!(Head::parse(&[0x82, 127, 128, 0, 0, 0, 0, 0, 0, 0]), Err(ProtocolError::LengthTooLarge));
    }
}
