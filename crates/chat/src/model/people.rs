//! People, as their own devices, the others and the store see them.

use serde::Serialize;

use super::{
    ids::PersonId,
    names::{Email, Name},
    passwords::StoredHash,
};

/// Somebody with an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Also the user of their live connections in the hub, and in the name of the channel that only they have.
    pub id: PersonId,
    /// The name others see.
    pub name: Name,
    /// The address they sign in with.
    pub email: Email,
    /// What they may do.
    pub role: Role,
    /// Whether somebody else has the same name, or one that looks alike.
    pub same_name: bool,
    /// Whether they may sign in; the operator takes that away and gives it back.
    pub is_active: bool,
}

/// What a person may do on the whole server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// What an administrator may, and says who is one. There is always somebody who is.
    Owner,
    /// Looks after people and public rooms: who is a guest, who is in a room, which invite is good. Of private rooms they
    /// learn nothing unless they are members.
    Admin,
    /// What everybody may.
    Member,
    /// Only in the rooms that others bring them into: makes none, finds none, brings nobody in.
    Guest,
}

impl Role {
    /// `owner`, `admin`, `member` or `guest`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Member => "member",
            Self::Guest => "guest",
        }
    }

    /// The role of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Owner, Self::Admin, Self::Member, Self::Guest].into_iter().find(|role| role.as_str() == name)
    }

    /// Whether they look after the server.
    #[must_use]
    pub fn is_admin(self) -> bool {
        matches!(self, Self::Owner | Self::Admin)
    }
}

/// A person as others see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Who {
    /// Which person.
    pub id: PersonId,
    /// Their present name.
    pub name: String,
    /// Whether somebody else has the same name, or one that looks alike: then the name alone does not say who it is.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub same_name: bool,
}

impl From<&Person> for Who {
    fn from(person: &Person) -> Self {
        Self { id: person.id, name: person.name.as_str().to_owned(), same_name: person.same_name }
    }
}

/// A person, and what their password is checked against.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    pub(crate) person: Person,
    pub(crate) hash: StoredHash,
}

/// An account to be made.
#[derive(Debug, Clone)]
pub(crate) struct NewPerson {
    pub(crate) id: PersonId,
    pub(crate) name: Name,
    pub(crate) email: Email,
    pub(crate) hash: StoredHash,
}
