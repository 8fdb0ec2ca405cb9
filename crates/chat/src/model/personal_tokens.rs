//! Personal tokens: with one, a program acts over the REST API as the person who made it, within some scopes. Stored as its
//! digest only, and shown once.

use super::{
    ids::{PersonalTokenId, SessionId},
    names::Name,
    people::Person,
    secrets::{SecretDigest, Token, digest},
    sessions::{Session, SignedIn},
    time::Time,
};

/// What a personal token begins with, so that people, and programs that look for leaked secrets, know it.
pub const PERSONAL_TOKEN_PREFIX: &str = "tdp_";

/// What a personal token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// To read what its person can read.
    Read,
    /// To say something, and to change and take back what its person may.
    Write,
    /// To make, change, enter and leave rooms, and to bring others in.
    Rooms,
}

impl Scope {
    /// All that there are.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Rooms];

    /// `read`, `write` or `rooms`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Rooms => "rooms",
        }
    }

    /// The scope of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }
}

/// A personal token, as its person sees it in the list: without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonalToken {
    /// Which one; it is no secret.
    pub id: PersonalTokenId,
    /// What its person calls it.
    pub name: Name,
    /// What it is good for, in order; never nothing.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created: Time,
    /// When it ends by itself, if it does.
    pub expires: Option<Time>,
    /// When it was last used, to within an hour.
    pub last_used: Option<Time>,
}

impl PersonalToken {
    pub(crate) fn is_good(&self, now: Time) -> bool {
        self.expires.is_none_or(|expires| expires > now)
    }

    /// The scopes as they are stored.
    pub(crate) fn scope_names(&self) -> String {
        self.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ")
    }

    pub(crate) fn stored_scopes(names: &str) -> Vec<Scope> {
        names.split(' ').filter_map(Scope::parse).collect()
    }
}

/// Who comes with a personal token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenBearer {
    /// Whose it is.
    pub person: Person,
    /// Which one.
    pub token: PersonalToken,
}

impl TokenBearer {
    /// As whoever has signed in, for what may be done with a token; nothing of that asks for the session, which is none.
    #[must_use]
    pub fn as_signed_in(self) -> SignedIn {
        let PersonalToken { id, created, last_used, .. } = self.token;
        let session = Session {
            id: SessionId::from_bytes(*id.bytes()),
            created,
            last_seen: last_used.unwrap_or(created),
            user_agent: String::new(),
            address: None,
        };
        SignedIn { person: self.person, session }
    }
}

/// The secret of a personal token, to be shown once.
pub(crate) fn fresh_secret() -> (String, SecretDigest) {
    let secret = format!("{PERSONAL_TOKEN_PREFIX}{}", Token::fresh().reveal());
    let digest = digest(&secret);
    (secret, digest)
}
