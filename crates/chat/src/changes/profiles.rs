//! What people say of themselves.

use std::convert::Infallible;

use super::rooms::unknown_person;
use crate::{
    limits::{PEOPLE_ALIKE_TOLD, ROOMS_TOLD_OF_PROFILE},
    model::{Changed, PersonEvent, PersonId, Profile, ProfileEdit, Time},
    store::{Applied, Change, ChangeResult, StoreError, Tables},
};

/// Somebody changes their name, or what they say of themselves. Whoever shares a room with them hears of it, and their own
/// devices; so does whoever sees somebody else of the same name, who is marked from now on, or no more.
#[derive(Debug, Clone)]
pub(crate) struct EditProfile {
    pub(crate) person: PersonId,
    pub(crate) edit: ProfileEdit,
}

impl Change for EditProfile {
    type Answer = Profile;
    type Refusal = Infallible;

    fn apply(&self, tables: &mut dyn Tables, now: Time) -> ChangeResult<Self> {
        tables.person_to_change(self.person)?;
        let before = tables.profile(self.person)?.ok_or_else(unknown_person)?;
        let after = before.clone().edited(&self.edit, now);
        if (&before.name, &before.said) == (&after.name, &after.said) {
            return Ok(Applied::quietly(before));
        }
        tables.set_said(self.person, &after.said, after.changed)?;
        let mut changed = vec![self.person];
        if before.name != after.name {
            tables.set_name(self.person, &after.name)?;
            let looks = [before.name.look(), after.name.look()];
            // Who had the same name as before has it alone now, perhaps; who has the same as now, no more.
            if looks[0] != looks[1] {
                for look in &looks {
                    changed.extend(tables.people_looking(look, self.person, PEOPLE_ALIKE_TOLD)?);
                }
            }
        }
        let told = changed.into_iter().map(|person| tell(tables, person, now)).collect::<Result<Vec<_>, _>>()?;
        let profile = told.first().map(|changed| changed.profile.clone()).ok_or_else(unknown_person)?;
        let own = PersonEvent::PersonChanged { person: profile.clone() };
        Ok(Applied::quietly(profile).changing(told).telling(self.person, own))
    }
}

fn tell(tables: &mut dyn Tables, person: PersonId, now: Time) -> Result<Changed, StoreError> {
    let profile = tables.profile(person)?.ok_or_else(unknown_person)?.at(now);
    Ok(Changed { rooms: tables.rooms_of(person, ROOMS_TOLD_OF_PROFILE)?, profile })
}
