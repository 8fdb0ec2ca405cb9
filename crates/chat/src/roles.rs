//! Who looks after the server, and who is a guest.

use crate::{
    changes::{SetRole, SetRoleRefusal},
    chat::Chat,
    model::{Person, PersonId, Role},
    rates::RetryAfter,
    security::SECURITY_LOG,
    store::StoreError,
};

/// Why somebody's role was not changed.
#[derive(Debug, thiserror::Error)]
pub enum SetRoleError {
    /// There is no such person.
    #[error("no such person")]
    NoSuchPerson,
    /// Who asks may not.
    #[error(
        "only an owner of the server says who looks after it, and an administrator who is a guest; ask one of them"
    )]
    NotAllowed,
    /// Nobody raises themselves.
    #[error("nobody gives themselves a role that may do more; ask an owner of the server")]
    Own,
    /// There is no other owner who may sign in.
    #[error("the server has no other owner who may sign in; make somebody else one first")]
    LastOwner,
    /// Too many at once.
    #[error(transparent)]
    TooMany(#[from] RetryAfter),
    /// The store could not; nothing was changed.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

impl Chat {
    /// Says what a person may do on the server. Owners say it of everybody; administrators say who is a guest, and may step
    /// down. Their connections begin anew.
    ///
    /// # Errors
    /// See [`SetRoleError`].
    pub async fn set_role(&self, by: PersonId, person: PersonId, role: Role) -> Result<Person, SetRoleError> {
        self.0.limiters.memberships.take(by, self.0.steady.now())?;
        let changed = self.write::<_, SetRoleError>(SetRole { by: Some(by), person, role }).await?;
        tracing::info!(target: SECURITY_LOG, %person, %by, role = role.as_str(), "a role on the server was set");
        Ok(changed)
    }
}

impl From<SetRoleRefusal> for SetRoleError {
    fn from(refusal: SetRoleRefusal) -> Self {
        match refusal {
            SetRoleRefusal::NoSuchPerson => Self::NoSuchPerson,
            SetRoleRefusal::NotAllowed => Self::NotAllowed,
            SetRoleRefusal::Own => Self::Own,
            SetRoleRefusal::LastOwner => Self::LastOwner,
        }
    }
}
