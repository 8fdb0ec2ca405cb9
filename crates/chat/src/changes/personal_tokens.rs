//! Personal tokens are made, used and revoked.

use std::convert::Infallible;

use super::rooms::unknown_person;
use crate::{
    limits::PERSONAL_TOKENS_MAX,
    model::{PersonId, PersonalToken, PersonalTokenId, SecretDigest, SessionId, Time},
    store::{Applied, Change, ChangeError::Refused, ChangeResult, Tables},
};

/// Why no token was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MakeTokenRefusal {
    /// The person has as many as one may have, or may not sign in any more.
    #[error("too many personal tokens")]
    TooMany,
    /// The session that asked has ended meanwhile.
    #[error("the session has ended")]
    Ended,
}

/// The person has no such token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such personal token")]
pub(crate) struct NoSuchToken;

/// A personal token more.
#[derive(Debug, Clone)]
pub(crate) struct MakeToken {
    pub(crate) person: PersonId,
    /// By which it is asked for.
    pub(crate) session: SessionId,
    pub(crate) token: PersonalToken,
    pub(crate) digest: SecretDigest,
}

impl Change for MakeToken {
    type Answer = ();
    type Refusal = MakeTokenRefusal;

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        // Locked, so that two that are made at once are counted one after the other; and whoever was deactivated gets none.
        let person = tables.person_to_change(self.person)?.ok_or_else(unknown_person)?;
        tables.delete_tokens_expired_by(person.id, now)?;
        if !person.is_active || tables.count_tokens(person.id)? >= PERSONAL_TOKENS_MAX {
            return Err(Refused(MakeTokenRefusal::TooMany));
        }
        // Or whoever had it, and dawdled with the request, would keep by it what a new password has taken away.
        if tables.session_owner(self.session)? != Some(person.id) {
            return Err(Refused(MakeTokenRefusal::Ended));
        }
        tables.insert_token(person.id, &self.token, self.digest)?;
        Ok(Applied::quietly(()))
    }
}

/// A token ends; from the next request on it is none.
#[derive(Debug, Clone)]
pub(crate) struct RevokeToken {
    pub(crate) person: PersonId,
    pub(crate) token: PersonalTokenId,
}

impl Change for RevokeToken {
    type Answer = ();
    type Refusal = NoSuchToken;

    // Nothing is received by it that would have to be cut off, but it must go through.
    fn is_urgent(&self) -> bool {
        true
    }

    fn apply(&self, tables: &mut dyn Tables, _now: Time) -> ChangeResult<Self> {
        match tables.delete_token(self.person, self.token)? {
            true => Ok(Applied::quietly(())),
            false => Err(Refused(NoSuchToken)),
        }
    }
}

/// A token was used just now.
#[derive(Debug, Clone)]
pub(crate) struct TouchToken {
    pub(crate) token: PersonalTokenId,
}

impl Change for TouchToken {
    type Answer = ();
    type Refusal = Infallible;

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        tables.touch_token(self.token, now)?;
        Ok(Applied::quietly(()))
    }
}
