//! What people may do on the whole server.

use super::rooms::unknown_person;
use crate::{
    model::{OwnRole, Person, PersonEvent, PersonId, Role, Time},
    store::{Applied, Change, ChangeError::Refused, ChangeResult, Tables},
};

/// Why somebody's role was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SetRoleRefusal {
    /// There is no such person.
    #[error("no such person")]
    NoSuchPerson,
    /// Who asks is no administrator; or no owner, and it is about who is one.
    #[error("only an owner says who looks after the server, and an administrator who is a guest")]
    NotAllowed,
    /// Nobody raises themselves.
    #[error("nobody gives themselves a role that may do more")]
    Own,
    /// There is no other owner who may sign in.
    #[error("the server has no other owner")]
    LastOwner,
}

/// A person may do something else on the server from now on. Their connections begin anew, so that whatever was known of
/// them is asked again (S21).
#[derive(Debug, Clone)]
pub(crate) struct SetRole {
    /// Who asks; `None` is the operator, who may everything but leave the server without an owner.
    pub(crate) by: Option<PersonId>,
    pub(crate) person: PersonId,
    pub(crate) role: Role,
}

impl Change for SetRole {
    type Answer = Person;
    type Refusal = SetRoleRefusal;

    fn revokes(&self) -> bool {
        true
    }

    fn apply(&self, tables: &mut dyn Tables, _now: Time) -> ChangeResult<Self> {
        // Whoever looks at who the owners are does so before locking anybody's row, and one after the other.
        let owners = tables.count_active_owners()?;
        let by = self.by.map(|by| tables.person(by)?.ok_or_else(unknown_person)).transpose()?;
        // Who may not change roles is told so whether or not there is such a person.
        if by.as_ref().is_some_and(|by| !by.is_active || !(by.role.is_admin() || by.id == self.person)) {
            return Err(Refused(SetRoleRefusal::NotAllowed));
        }
        let person = tables.person_to_change(self.person)?.ok_or(Refused(SetRoleRefusal::NoSuchPerson))?;
        if let Some(by) = &by {
            let knows = |role: Role| matches!(role, Role::Member | Role::Guest);
            let may = by.role == Role::Owner || (by.role == Role::Admin && knows(person.role) && knows(self.role));
            if by.id == person.id && !steps_down(person.role, self.role) && person.role != self.role {
                return Err(Refused(SetRoleRefusal::Own));
            }
            let steps_down = by.id == person.id && by.role.is_admin();
            if !(may || steps_down) {
                return Err(Refused(SetRoleRefusal::NotAllowed));
            }
        }
        if person.role == self.role {
            return Ok(Applied::quietly(person));
        }
        if person.role == Role::Owner && person.is_active && owners < 2 {
            return Err(Refused(SetRoleRefusal::LastOwner));
        }
        tables.set_role(person.id, self.role)?;
        let told = PersonEvent::RoleChanged { person: OwnRole::from(self.role) };
        let person = Person { role: self.role, ..person };
        let id = person.id;
        Ok(Applied::quietly(person).telling(id, told).connecting_again(id))
    }
}

/// Whether the second may do less than the first.
fn steps_down(from: Role, to: Role) -> bool {
    let rank = |role| match role {
        Role::Owner => 3,
        Role::Admin => 2,
        Role::Member => 1,
        Role::Guest => 0,
    };
    rank(to) < rank(from)
}
