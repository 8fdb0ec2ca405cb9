//! How somebody keeps a room among theirs.

use super::rooms::NotMember;
use crate::{
    model::{PersonEvent, PersonId, PreferencesEdit, RoomId, RoomPreferences, Time},
    store::{Applied, Change, ChangeError::Refused, ChangeResult, Tables},
};

/// A member keeps a room otherwise.
// By no room's way, as of `Read`.
#[derive(Debug, Clone)]
pub(crate) struct Prefer {
    pub(crate) person: PersonId,
    pub(crate) room: RoomId,
    pub(crate) edit: PreferencesEdit,
}

impl Change for Prefer {
    type Answer = RoomPreferences;
    type Refusal = NotMember;

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        let before = tables.preferences(self.room, self.person)?.ok_or(Refused(NotMember))?;
        let preferences = before.changed_by(&self.edit);
        let is_new = preferences != before;
        let answer = RoomPreferences { id: self.room, preferences };
        if !is_new {
            return Ok(Applied::quietly(answer));
        }
        tables.set_preferences(self.room, self.person, &answer.preferences, now)?;
        let told = PersonEvent::Preferences { room: answer.clone() };
        Ok(Applied::quietly(answer).telling(self.person, told))
    }
}
