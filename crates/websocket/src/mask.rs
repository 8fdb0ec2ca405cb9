//! Masking: the XOR that clients apply to every payload (RFC 6455 §5.3), and where its keys come from.

use std::cell::RefCell;

/// Keys drawn from the operating system at once: one system call for 64 frames.
const KEYS_PER_DRAW: usize = 64;

thread_local! {
    static KEYS: RefCell<([[u8; 4]; KEYS_PER_DRAW], usize)> = const { RefCell::new(([[0; 4]; KEYS_PER_DRAW], KEYS_PER_DRAW)) };
}

/// A key that nobody can predict, from the operating system's secure source.
///
/// # Panics
/// When the operating system cannot give random bytes: no connection is safe then.
pub(crate) fn random_key() -> [u8; 4] {
    KEYS.with_borrow_mut(|(keys, next)| {
        if *next == KEYS_PER_DRAW {
            getrandom::fill(keys.as_flattened_mut()).expect("the operating system's random source works");
            *next = 0;
        }
        *next += 1;
        std::mem::take(&mut keys[*next - 1])
    })
}

/// Masks or unmasks `payload` in place, and turns `key` so that it fits the byte after the last.
#[inline]
pub(crate) fn apply(payload: &mut [u8], key: &mut [u8; 4]) {
    let wide = u64::from_ne_bytes([key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3]]);
    let (chunks, rest) = payload.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
    if !rest.len().is_multiple_of(4) {
        key.rotate_left(rest.len() % 4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn masking_in_pieces_equals_masking_byte_by_byte(payload: Vec<u8>, key: [u8; 4], cut: proptest::sample::Index) {
            let mut expected = payload.clone();
            for (at, byte) in expected.iter_mut().enumerate() {
                *byte ^= key[at % 4];
            }
            let (mut masked, mut turning) = (payload, key);
            let cut = if masked.is_empty() { 0 } else { cut.index(masked.len()) };
            let (first, second) = masked.split_at_mut(cut);
            apply(first, &mut turning);
            apply(second, &mut turning);
            prop_assert_eq!(masked, expected);
        }
    }

    #[test]
    fn keys_differ() {
        let keys: std::collections::HashSet<_> = std::iter::repeat_with(random_key).take(1000).collect();
        assert!(keys.len() > 990);
    }
}
