//! Tokens are revoked, and users blocked and let in again.

use std::convert::Infallible;

use crate::{
    model::{Denial, Denied, Time},
    store::{Applied, Change, ChangeResult, Tables},
};

/// Refuses something from now on. Answers what then holds, which may be more when it was refused before.
#[derive(Debug, Clone)]
pub(crate) struct Deny {
    pub(crate) denied: Denied,
}

impl Change for Deny {
    type Answer = Denied;
    type Refusal = Infallible;

    // What it takes away is nobody's who could read a room: no batch has to end with it.
    fn is_urgent(&self) -> bool {
        true
    }

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        let earlier = tables.denial(self.denied.denial.key())?;
        let is_new = earlier.is_none();
        let denied = self.denied.clone().after(earlier, now);
        match is_new {
            true => tables.insert_denial(&denied)?,
            false => tables.replace_denial(&denied)?,
        }
        Ok(Applied::denied(denied.clone(), denied.denial.key(), Some(denied)))
    }
}

/// Refuses something no more. Answers whether it was.
#[derive(Debug, Clone)]
pub(crate) struct Allow {
    /// Of which the times do not matter.
    pub(crate) denial: Denial,
}

impl Change for Allow {
    type Answer = bool;
    type Refusal = Infallible;

    fn apply(&self, tables: &mut dyn Tables, _now: Time) -> ChangeResult<Self> {
        let key = self.denial.key();
        if tables.denial(key)?.is_none() {
            return Ok(Applied::quietly(false));
        }
        tables.delete_denial(key)?;
        Ok(Applied::denied(true, key, None))
    }
}

/// Denials that have ended are forgotten.
#[derive(Debug, Clone)]
pub(crate) struct SweepDenials;

impl Change for SweepDenials {
    type Answer = ();
    type Refusal = Infallible;

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        tables.delete_denials_ended_by(now)?;
        Ok(Applied::quietly(()))
    }
}
