//! Direct messages: conversations without a name. The same people always have the same one, nobody else learns that it exists,
//! and who is in it stays so.

use std::collections::BTreeSet;

use crate::{
    changes::{StartDirect, StartDirectRefusal},
    chat::Chat,
    limits::{DIRECT_OTHERS_MAX, DIRECTS_PER_PERSON_MAX},
    model::{NewRoom, PeopleKey, PersonId, Room},
    rates::RetryAfter,
    store::StoreError,
};

/// Why a direct message was not begun.
#[derive(Debug, thiserror::Error)]
pub enum StartDirectError {
    /// Nobody was named.
    #[error("say with whom: name at least one person, which may be yourself")]
    Nobody,
    /// More people than one may have.
    #[error("a direct message is for at most {DIRECT_OTHERS_MAX} others; make a room, and bring them in")]
    TooManyPeople,
    /// One of them does not exist, may not sign in, or is nobody whom a guest knows: the same answer.
    #[error("there is nobody of one of these ids whom you could write to; look for people by name")]
    NoSuchPerson,
    /// The person has begun as many as they may.
    #[error(
        "you have begun {DIRECTS_PER_PERSON_MAX} direct messages, which is as many as one person may; use one that is there"
    )]
    TooManyOfPerson,
    /// Too many at once.
    #[error(transparent)]
    TooMany(#[from] RetryAfter),
    /// The store could not; nothing was changed.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

impl Chat {
    /// The direct message of these people and the one who asks, and whether it is new. It is there for all of them at once;
    /// their clients show one without a message to nobody but who opened it.
    ///
    /// # Errors
    /// See [`StartDirectError`].
    pub async fn start_direct(
        &self,
        person: PersonId,
        others: BTreeSet<PersonId>,
    ) -> Result<(Room, bool), StartDirectError> {
        if others.is_empty() {
            return Err(StartDirectError::Nobody);
        }
        let mut everybody = others.clone();
        everybody.insert(person);
        if everybody.len() > DIRECT_OTHERS_MAX + 1 {
            return Err(StartDirectError::TooManyPeople);
        }
        let key = PeopleKey::of(&everybody);
        if let Some(room) = self.0.store.direct_of(key, person).await? {
            return Ok((room, false));
        }
        self.0.limiters.directs.take(person, self.0.steady.now())?;
        let started =
            self.write::<_, StartDirectError>(StartDirect { person, others, room: NewRoom::direct() }).await?;
        Ok((started.room, !started.existed))
    }
}

impl From<StartDirectRefusal> for StartDirectError {
    fn from(refusal: StartDirectRefusal) -> Self {
        match refusal {
            StartDirectRefusal::NoSuchPerson => Self::NoSuchPerson,
            StartDirectRefusal::TooMany => Self::TooManyOfPerson,
        }
    }
}
