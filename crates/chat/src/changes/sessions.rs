//! Sessions are opened, used and ended.

use std::{convert::Infallible, net::IpAddr};

use crate::{
    limits::{SESSION_REMEMBERED, SESSIONS_PER_PERSON_MAX},
    model::{Ended, NewSession, PersonId, Session, SessionId, StoredHash, Time},
    store::{Applied, Change, ChangeError::Refused, ChangeResult, StoreError, Tables},
};

/// The password was changed while it was being checked, or the person was deactivated, or their session has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the password has changed")]
pub(crate) struct PasswordChanged;

/// There is no such session of this person, or it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such session")]
pub(crate) struct NoSuchSession;

/// A sign-in, valid only if the password's hash is still the one that was checked. Ends the session unused for longest
/// when the person has too many.
#[derive(Debug, Clone)]
pub(crate) struct OpenSession {
    pub(crate) person: PersonId,
    /// The hash that the password was checked against.
    pub(crate) checked: StoredHash,
    pub(crate) session: NewSession,
}

impl Change for OpenSession {
    type Answer = ();
    type Refusal = PasswordChanged;

    fn revokes(&self) -> bool {
        true
    }

    // It gives a right; that it may end an old session is by the way.
    fn is_urgent(&self) -> bool {
        false
    }

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        let is_active = tables.person_to_change(self.person)?.is_some_and(|person| person.is_active);
        if !is_active || tables.password(self.person)?.as_ref() != Some(&self.checked) {
            return Err(Refused(PasswordChanged));
        }
        Ok(Applied::ended((), open_session(tables, self.person, &self.session, now)?))
    }
}

/// Opens a session, and ends those it takes the place of: the one whose cookie came along, and the one unused for longest
/// when the person has too many. Answers which.
pub(super) fn open_session(
    tables: &mut dyn Tables,
    person: PersonId,
    session: &NewSession,
    now: Time,
) -> Result<Vec<SessionId>, StoreError> {
    let replaced = session.replaces.map(|token| tables.session_of_token(token)).transpose()?.flatten();
    let mut ended: Vec<_> = replaced.into_iter().collect();
    end_all(tables, &ended, Ended::Replaced, now)?;
    // One place is for the new one.
    let too_many = tables.sessions_of(person)?.into_iter().skip(SESSIONS_PER_PERSON_MAX as usize - 1);
    let too_many: Vec<_> = too_many.collect();
    end_all(tables, &too_many, Ended::Replaced, now)?;
    ended.extend(too_many);
    tables.insert_session(person, session, now)?;
    Ok(ended)
}

/// The session was used just now.
#[derive(Debug, Clone)]
pub(crate) struct TouchSession {
    pub(crate) session: SessionId,
    /// From where, if that is known.
    pub(crate) address: Option<IpAddr>,
}

impl Change for TouchSession {
    type Answer = ();
    type Refusal = Infallible;

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        tables.touch_session(self.session, self.address, now)?;
        Ok(Applied::quietly(()))
    }
}

/// A session of the person ends.
#[derive(Debug, Clone)]
pub(crate) struct EndSession {
    pub(crate) person: PersonId,
    pub(crate) session: SessionId,
    pub(crate) why: Ended,
}

impl Change for EndSession {
    type Answer = ();
    type Refusal = NoSuchSession;

    fn revokes(&self) -> bool {
        true
    }

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        if tables.session_owner(self.session)? != Some(self.person) {
            return Err(Refused(NoSuchSession));
        }
        tables.end_session(self.session, self.why, now)?;
        Ok(Applied::ended((), vec![self.session]))
    }
}

/// Sessions that have expired end; those that ended long ago are forgotten.
#[derive(Debug, Clone)]
pub(crate) struct SweepSessions;

impl Change for SweepSessions {
    type Answer = ();
    type Refusal = Infallible;

    fn revokes(&self) -> bool {
        true
    }

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        tables.delete_sessions_ended_before(now.minus(SESSION_REMEMBERED))?;
        let expired =
            tables.sessions_older_than(Session::last_seen_of_expired(now), Session::created_of_expired(now))?;
        end_all(tables, &expired, Ended::Expired, now)?;
        Ok(Applied::ended((), expired))
    }
}

pub(super) fn end_all(
    tables: &mut dyn Tables,
    sessions: &[SessionId],
    why: Ended,
    now: Time,
) -> Result<(), StoreError> {
    sessions.iter().try_for_each(|session| tables.end_session(*session, why, now))
}
