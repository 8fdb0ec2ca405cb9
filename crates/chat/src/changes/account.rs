//! What people change about how they sign in, and where they are signed in.

use super::sessions::{PasswordChanged, end_all};
use crate::{
    model::{Email, Ended, PersonEvent, PersonId, SessionId, StoredHash, Time},
    store::{Applied, Change, ChangeError::Refused, ChangeResult, StoreError, Tables},
};

/// Why somebody does not get another address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SetEmailRefusal {
    /// The password was changed while it was being checked, or the session has ended.
    #[error("the password has changed")]
    PasswordChanged,
    /// Somebody else signs in with it.
    #[error("the address has an account")]
    Taken,
}

/// Another address to sign in with, valid only if the password's hash is still the one that was checked, and the session
/// goes on in which that was.
#[derive(Debug, Clone)]
pub(crate) struct SetEmail {
    pub(crate) person: PersonId,
    pub(crate) email: Email,
    pub(crate) checked: Option<StoredHash>,
    pub(crate) session: SessionId,
}

impl Change for SetEmail {
    type Answer = ();
    type Refusal = SetEmailRefusal;

    fn apply(&self, tables: &mut dyn Tables, _now: Time) -> ChangeResult<Self> {
        let present = tables.password(self.person)?;
        let owner = tables.session_owner(self.session)?;
        if present != self.checked || owner != Some(self.person) {
            return Err(Refused(SetEmailRefusal::PasswordChanged));
        }
        if !tables.set_email(self.person, &self.email)? {
            return Err(Refused(SetEmailRefusal::Taken));
        }
        Ok(Applied::quietly(()).telling(self.person, PersonEvent::AccountChanged))
    }
}

/// All sessions of the person end but the one in which they ask for it, which must still be theirs.
#[derive(Debug, Clone)]
pub(crate) struct EndOtherSessions {
    pub(crate) person: PersonId,
    pub(crate) keep: SessionId,
}

impl Change for EndOtherSessions {
    /// How many.
    type Answer = usize;
    type Refusal = PasswordChanged;

    fn revokes(&self) -> bool {
        true
    }

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        if tables.session_owner(self.keep)? != Some(self.person) {
            return Err(Refused(PasswordChanged));
        }
        let ended = end_others(tables, self.person, Some(self.keep), Ended::Elsewhere, now)?;
        Ok(Applied::ended(ended.len(), ended))
    }
}

/// Ends the person's sessions but `keep`, and answers which.
pub(super) fn end_others(
    tables: &mut dyn Tables,
    person: PersonId,
    keep: Option<SessionId>,
    why: Ended,
    now: Time,
) -> Result<Vec<SessionId>, StoreError> {
    let mut ended = tables.sessions_of(person)?;
    ended.retain(|session| Some(*session) != keep);
    end_all(tables, &ended, why, now)?;
    Ok(ended)
}
