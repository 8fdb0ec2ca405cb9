//! UTF-8 that arrives in pieces, refused at the first byte that cannot be right.

use crate::ProtocolError;

/// A validator that remembers the start of a character cut off by the end of a piece.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Utf8 {
    /// An incomplete character, which is a valid beginning of one.
    partial: [u8; 3],
    len: u8,
}

impl Utf8 {
    /// Takes the next piece.
    pub(crate) fn push(&mut self, mut piece: &[u8]) -> Result<(), ProtocolError> {
        while self.len > 0 {
            let Some((&byte, rest)) = piece.split_first() else { return Ok(()) };
            let len = usize::from(self.len);
            let mut character = [0; 4];
            character[..len].copy_from_slice(&self.partial[..len]);
            character[len] = byte;
            piece = rest;
            match std::str::from_utf8(&character[..=len]) {
                Ok(_) => self.len = 0,
                Err(error) if error.error_len().is_some() => return Err(ProtocolError::InvalidUtf8),
                Err(_) => {
                    self.partial[len] = byte;
                    self.len += 1;
                }
            }
        }
        if let Err(error) = simdutf8::compat::from_utf8(piece) {
            if error.error_len().is_some() {
                return Err(ProtocolError::InvalidUtf8);
            }
            let tail = &piece[error.valid_up_to()..];
            self.partial[..tail.len()].copy_from_slice(tail);
            self.len = u8::try_from(tail.len()).expect("an incomplete character has at most 3 bytes");
        }
        Ok(())
    }

    /// The text ends here: no character may be incomplete.
    pub(crate) fn finish(&mut self) -> Result<(), ProtocolError> {
        if std::mem::take(&mut self.len) == 0 { Ok(()) } else { Err(ProtocolError::InvalidUtf8) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn in_pieces(bytes: &[u8], size: usize) -> bool {
        let mut utf8 = Utf8::default();
        bytes.chunks(size).all(|piece| utf8.push(piece).is_ok()) && utf8.finish().is_ok()
    }

    #[test]
    fn a_surrogate_is_refused_at_its_second_byte() {
        let mut utf8 = Utf8::default();
        assert_eq!(utf8.push(b"\xed"), Ok(()));
        assert_eq!(utf8.push(b"\xa0"), Err(ProtocolError::InvalidUtf8));
    }

    proptest! {
        #[test]
        fn any_pieces_give_the_verdict_of_the_whole(text in ".{0,20}", at in 0usize..60, byte: u8, size in 1usize..5) {
            let mut bytes = text.into_bytes();
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            prop_assert_eq!(in_pieces(&bytes, size), std::str::from_utf8(&bytes).is_ok());
        }
    }
}
