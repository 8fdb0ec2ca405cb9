//! The identities of the chat: each a UUID of its own type, so that a room cannot be passed where a person is asked for.
//!
//! Those we make are version 7, whose order is roughly the order of making. Parsing accepts only the canonical text (36
//! characters, lower case), because a second spelling of a room would be a second channel of the hub.

use std::fmt;

use serde::{Serialize, Serializer};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// A new one, unlike every other.
            #[must_use]
            pub fn fresh() -> Self {
                Self(Uuid::now_v7())
            }

            /// Reads the canonical text: 36 characters, lower case; `None` for everything else and for the nil UUID.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                canonical(text).map(Self)
            }

            pub(crate) fn bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            pub(crate) const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0.as_hyphenated())
            }
        }

        // Identities are words of the wire as they are, unlike the rows that carry them.
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.0.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()))
            }
        }
    };
}

id! {
    /// A person with an account.
    PersonId
}
id! {
    /// A signed-in browser or device; it is not its secret (that is [`crate::Token`]) and may be shown.
    SessionId
}
id! {
    /// A personal token; it is not its secret, and may be shown.
    PersonalTokenId
}
id! {
    /// A room.
    RoomId
}
id! {
    /// A message, made by the server.
    MessageId
}
id! {
    /// A send, made by the client; unique per author, so that a repeated send is recognised.
    ClientId
}

fn canonical(text: &str) -> Option<Uuid> {
    let id = Uuid::try_parse(text).ok().filter(|id| !id.is_nil())?;
    let mut buffer = Uuid::encode_buffer();
    (id.hyphenated().encode_lower(&mut buffer) == text).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_spelling_of_an_identity_is_refused() {
        let id = RoomId::fresh();
        assert_eq!(RoomId::parse(&id.to_string()), Some(id));
        assert_eq!(RoomId::parse(&id.to_string().to_uppercase()), None);
        assert_eq!(RoomId::parse(&id.to_string().replace('-', "")), None);
        assert_eq!(RoomId::parse("00000000-0000-0000-0000-000000000000"), None);
    }
}
