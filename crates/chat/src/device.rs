//! The cookie of a device on which somebody has signed in before (OWASP calls it a device cookie): failed sign-ins
//! from it are counted apart, so that strangers who try the same account do not lock its owner out.
//!
//! It names the account by a keyed hash and carries a number of its own, both signed with a key in the database. It says
//! nothing to whoever reads it and grants nothing: the password is asked for all the same. What it names is the account
//! with the salt of its present password, so a new password makes it void, and a renewed hash of the same password does not.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::model::{PersonId, StoredHash};

/// Bytes of what names the account, of the device's own number, and of the signature: 128 bits are beyond guessing.
const PART_BYTES: usize = 16;

/// Signs and reads the cookies of known devices.
#[derive(Clone)]
pub(crate) struct DeviceKey(pub(crate) [u8; 32]);

/// A device that has shown a cookie of ours; whose, and whether it still counts, is to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Device {
    account: [u8; PART_BYTES],
    number: [u8; PART_BYTES],
}

impl DeviceKey {
    pub(crate) fn fresh() -> Self {
        let mut key = [0; 32];
        getrandom::fill(&mut key).expect("the operating system has a random source");
        Self(key)
    }

    /// The text for a cookie on a device where the person has just signed in.
    pub(crate) fn issue(&self, person: PersonId, password: &StoredHash) -> String {
        let mut number = [0; PART_BYTES];
        getrandom::fill(&mut number).expect("the operating system has a random source");
        let account = self.account(person, password);
        let signature = self.sign(&account, &number);
        URL_SAFE_NO_PAD.encode([account, number, signature].concat())
    }

    /// The device of a cookie, if the cookie is one of ours.
    pub(crate) fn read(&self, cookie: &str) -> Option<Device> {
        let bytes = URL_SAFE_NO_PAD.decode(cookie).ok()?;
        let (parts, []) = bytes.as_chunks::<PART_BYTES>() else { return None };
        let &[account, number, signature] = parts else { return None };
        let is_ours: bool = self.sign(&account, &number).ct_eq(&signature).into();
        is_ours.then_some(Device { account, number })
    }

    /// Whether the device is known for this account with this password.
    pub(crate) fn knows(&self, device: &Device, person: PersonId, password: &StoredHash) -> bool {
        self.account(person, password).ct_eq(&device.account).into()
    }

    fn account(&self, person: PersonId, password: &StoredHash) -> [u8; PART_BYTES] {
        self.keyed(b"account", &[person.bytes(), salt_of(password).as_bytes()])
    }

    fn sign(&self, account: &[u8], number: &[u8]) -> [u8; PART_BYTES] {
        self.keyed(b"device", &[account, number])
    }

    /// The first half of an HMAC; `of` has parts of which all but the last have a fixed length.
    fn keyed(&self, purpose: &[u8], of: &[&[u8]]) -> [u8; PART_BYTES] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(purpose);
        of.iter().for_each(|part| mac.update(part));
        let mac: [u8; 2 * PART_BYTES] = mac.finalize().into_bytes().into();
        *mac.first_chunk().expect("a half is shorter than the whole")
    }
}

/// The salt in the form of the PHC string, `$ID$v=VERSION$PARAMETERS$SALT$HASH`: each new password gets another.
fn salt_of(password: &StoredHash) -> &str {
    password.0.rsplit('$').nth(1).unwrap_or(&password.0)
}

impl std::fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeviceKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s26_a_device_is_known_for_one_account_with_one_password_and_cannot_be_forged() {
        let (key, ana, ben) = (DeviceKey([1; 32]), PersonId::fresh(), PersonId::fresh());
        let [old, new] = ["$argon2id$v=19$m=8,t=1,p=1$c2FsdA$one", "$argon2id$v=19$m=8,t=1,p=1$b3RoZXI$two"]
            .map(|hash| StoredHash(hash.to_owned()));
        let cookie = key.issue(ana, &old);
        let device = key.read(&cookie).unwrap();
        assert!(key.knows(&device, ana, &old));
        assert!(!key.knows(&device, ana, &new), "a new password makes it void");
        let renewed = StoredHash("$argon2id$v=19$m=64,t=2,p=1$c2FsdA$three".to_owned());
        assert!(key.knows(&device, ana, &renewed), "the same password with other parameters does not");
        assert!(!key.knows(&device, ben, &old));
        assert_ne!(key.read(&key.issue(ana, &old)).unwrap(), device, "each device has a number of its own");

        assert_eq!(DeviceKey([2; 32]).read(&cookie), None);
        for at in 0..cookie.len() {
            let other = if &cookie[at..=at] == "A" { "B" } else { "A" };
            let forged = format!("{}{other}{}", &cookie[..at], &cookie[at + 1..]);
            assert_eq!(key.read(&forged), None, "{at}");
        }
        for text in ["", "AAAA", &cookie[1..], &format!("{cookie}A"), &cookie.repeat(2)] {
            assert_eq!(key.read(text), None, "{text}");
        }
    }
}
