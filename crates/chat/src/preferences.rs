//! How people keep their rooms: which come first, which are muted, under which headings they stand.

use crate::{
    changes::{NotMember, Prefer},
    chat::Chat,
    model::{PersonId, PreferencesEdit, RoomId, RoomPreferences},
    rates::RetryAfter,
    store::StoreError,
};

/// Why a room is kept as before.
#[derive(Debug, thiserror::Error)]
pub enum PreferError {
    /// There is no such room, or the person is not a member: the same answer.
    #[error("no such room")]
    NotMember,
    /// Too often.
    #[error(transparent)]
    TooMany(#[from] RetryAfter),
    /// The store could not; nothing was changed.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

impl Chat {
    /// The person keeps a room otherwise; their other devices are told. Counts as one of the reads that they may do.
    ///
    /// # Errors
    /// See [`PreferError`].
    pub async fn prefer(
        &self,
        person: PersonId,
        room: RoomId,
        edit: PreferencesEdit,
    ) -> Result<RoomPreferences, PreferError> {
        self.0.limiters.reads.take(person, self.0.steady.now())?;
        self.write(Prefer { person, room, edit }).await
    }
}

impl From<NotMember> for PreferError {
    fn from(NotMember: NotMember) -> Self {
        Self::NotMember
    }
}
