//! What concerns a person in particular, in one list for all of their rooms.

use crate::{
    chat::Chat,
    limits::ACTIVITY_PAGE_MAX,
    model::{ActivityPage, ActivityQuery, PersonId},
    store::StoreError,
};

impl Chat {
    /// Who mentioned the person, answered them and reacted to what they wrote, the newest first: in the rooms that they are
    /// in, and of messages that stand.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn activity(&self, person: PersonId, query: ActivityQuery) -> Result<ActivityPage, StoreError> {
        let limit = query.limit.clamp(1, ACTIVITY_PAGE_MAX);
        self.0.store.activity(person, ActivityQuery { limit, ..query }).await
    }
}
