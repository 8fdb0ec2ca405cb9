//! Profiles: what people say of themselves, and who sees it.

use std::convert::Infallible;

use crate::{
    changes::EditProfile,
    chat::Chat,
    limits::PROFILES_READ_MAX,
    model::{PersonId, Profile, ProfileEdit, Time},
    rates::RetryAfter,
    store::StoreError,
};

/// Why a profile stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum EditProfileError {
    /// Too many changes at once.
    #[error(transparent)]
    TooMany(#[from] RetryAfter),
    /// The store could not; nothing was changed.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

impl Chat {
    /// The profiles of these people as they are now, at most [`PROFILES_READ_MAX`] of them; without those whom the person does
    /// not see: a guest sees with whom they share a room.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn profiles(&self, asking: PersonId, mut people: Vec<PersonId>) -> Result<Vec<Profile>, StoreError> {
        people.truncate(PROFILES_READ_MAX);
        let now = self.0.clock.now();
        let found = self.0.store.profiles(asking, people).await?;
        Ok(found.into_iter().map(|profile| profile.at(now)).collect())
    }

    /// Changes what somebody says of themselves, or their name. Whoever shares a room with them hears of it.
    ///
    /// # Errors
    /// See [`EditProfileError`].
    pub async fn edit_profile(&self, person: PersonId, edit: ProfileEdit) -> Result<Profile, EditProfileError> {
        self.0.limiters.profiles.take(person, self.0.steady.now())?;
        self.write(EditProfile { person, edit }).await
    }

    /// The time by which it is said when something ends.
    #[must_use]
    pub fn now(&self) -> Time {
        self.0.clock.now()
    }
}

impl From<Infallible> for EditProfileError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
