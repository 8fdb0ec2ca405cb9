//! People are found by name, by those who may write to them or bring them into a room.

use crate::{
    chat::Chat,
    limits::{NAME_CHARS_MAX, PEOPLE_FOUND_MAX, PEOPLE_FOUND_READ},
    model::{Name, Person, PersonId},
    rates::RetryAfter,
    store::StoreError,
};

/// Why nobody was looked for.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// No name is that long.
    #[error("look for at most {NAME_CHARS_MAX} characters of a name")]
    TooLong,
    /// Too many questions at once.
    #[error(transparent)]
    TooMany(#[from] RetryAfter),
    /// The store could not be read.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

impl Chat {
    /// Some of the people whose name has this in it, or looks as if it had; those first of whose names a word begins with it.
    /// Without any text, the first by name. A guest finds those with whom they share a room; nobody finds who may not sign
    /// in.
    ///
    /// # Errors
    /// See [`FindError`].
    pub async fn find_people(&self, asking: PersonId, text: &str) -> Result<Vec<Person>, FindError> {
        if text.chars().count() > NAME_CHARS_MAX {
            return Err(FindError::TooLong);
        }
        self.0.limiters.searches.take(asking, self.0.steady.now())?;
        let sought = Name::stored(text.to_owned());
        let (look, folded) = (sought.look(), sought.folded());
        let mut found = self.0.store.people_alike(asking, look, PEOPLE_FOUND_READ).await?;
        found.sort_by_cached_key(|person| rank(&person.name.folded(), &folded));
        found.truncate(PEOPLE_FOUND_MAX as usize);
        Ok(found)
    }
}

/// How far from the front a name comes, both of them folded.
fn rank(name: &str, sought: &str) -> u8 {
    if name.starts_with(sought) {
        0
    } else if name.split(|c: char| !c.is_alphanumeric()).any(|word| word.starts_with(sought)) {
        1
    } else if name.contains(sought) {
        2
    } else {
        3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_name_begins_so_comes_before_who_has_it_inside_and_before_who_only_looks_so() {
        let ranks = ["anna", "leo-anna", "susanna", "arnold"].map(|name| rank(name, "ann"));
        assert_eq!(ranks, [0, 1, 2, 3]);
        assert_eq!(rank("anna", ""), 0);
    }
}
