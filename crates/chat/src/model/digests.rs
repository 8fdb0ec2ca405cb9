//! By what a repeated send is recognised, whatever has become of its text: a keyed digest of room and text.
//!
//! The plain hash of a short text that was deleted could be guessed by whoever has the database. So what is stored is
//! HMAC-SHA256 of it, under a key that is not in the database. Versions before stored the plain hash, so that theirs are
//! keyed without their texts.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::ids::RoomId;

/// The key of the digests of messages. `Debug` shows its id alone.
#[derive(Clone)]
pub struct MessageKey {
    mac: Hmac<Sha256>,
    id: KeyId,
}

/// Which key: the first bytes of its SHA-256.
pub(crate) type KeyId = [u8; 8];

impl MessageKey {
    /// The key that this secret is: any bytes, of which at least 16 cannot be guessed.
    ///
    /// # Panics
    /// Never: HMAC takes keys of any length.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        let mac = Hmac::new_from_slice(secret).expect("HMAC takes keys of any length");
        let mut id = KeyId::default();
        id.copy_from_slice(&Sha256::digest(secret)[..8]);
        Self { mac, id }
    }

    /// One that nobody else has, and that is gone with the program.
    ///
    /// # Panics
    /// When the system has no randomness.
    #[must_use]
    pub fn fresh() -> Self {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).expect("the system has randomness");
        Self::new(&secret)
    }

    pub(crate) fn id(&self) -> KeyId {
        self.id
    }

    /// What is stored for a plain digest.
    pub(crate) fn digest(&self, plain: &[u8; 32]) -> [u8; 32] {
        self.mac.clone().chain_update(plain).finalize().into_bytes().into()
    }
}

impl fmt::Debug for MessageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageKey({:02x?})", self.id)
    }
}

/// The digest of a send: as it is stored, and as versions before stored it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SendDigest {
    plain: [u8; 32],
    /// As it is stored.
    pub(crate) stored: StoredDigest,
}

/// As it stands in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredDigest {
    pub(crate) bytes: [u8; 32],
    /// The key it was made with; `None` for a plain one, of a version before.
    pub(crate) key: Option<KeyId>,
}

impl SendDigest {
    pub(crate) fn of(room: RoomId, body: &str, key: &MessageKey) -> Self {
        let plain = Sha256::new().chain_update(room.bytes()).chain_update(body).finalize().into();
        Self { plain, stored: StoredDigest { bytes: key.digest(&plain), key: Some(key.id()) } }
    }

    /// As a version before would have stored it.
    #[cfg(test)]
    pub(crate) fn of_a_version_before(self) -> Self {
        Self { stored: StoredDigest { bytes: self.plain, key: None }, ..self }
    }

    /// Whether what was sent under the same author and client id before had another text, as far as that can be told: where
    /// the key of the row is not at hand, the author and the client id say that it is the same send.
    pub(crate) fn differs_from(&self, earlier: &StoredDigest) -> bool {
        match earlier.key {
            None => earlier.bytes != self.plain,
            Some(_) if earlier.key == self.stored.key => earlier.bytes != self.stored.bytes,
            Some(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g2_a_send_is_recognised_by_a_digest_of_before_by_its_own_key_and_without_the_key_by_its_client_id() {
        let (room, key, lost) = (RoomId::fresh(), MessageKey::new(b"a key"), MessageKey::fresh());
        let (hello, other) = (SendDigest::of(room, "hello", &key), SendDigest::of(room, "other", &key));
        let plain = StoredDigest { bytes: hello.plain, key: None };
        let migrated = StoredDigest { bytes: key.digest(&hello.plain), key: Some(key.id()) };
        assert_eq!(migrated, hello.stored, "what is keyed later is what would have been stored at once");
        for earlier in [plain, migrated] {
            assert!(!hello.differs_from(&earlier) && other.differs_from(&earlier));
            assert!(SendDigest::of(RoomId::fresh(), "hello", &key).differs_from(&earlier), "in another room");
        }
        let made_with_another = SendDigest::of(room, "hello", &lost).stored;
        assert!(!hello.differs_from(&made_with_another) && !other.differs_from(&made_with_another));
        assert_ne!(made_with_another.bytes, hello.stored.bytes);
    }
}
