//! The short texts people give: names, topics, e-mail addresses. Parsed once, at the edge; afterwards they are valid.

use std::fmt;

use serde::Serialize;
use unicode_normalization::UnicodeNormalization;

use super::looks::{self, is_blank};
use crate::limits::{
    DESCRIPTION_CHARS_MAX, EMAIL_BYTES_MAX, NAME_CHARS_MAX, NAME_MARKS_MAX, SECTION_CHARS_MAX, TOPIC_CHARS_MAX,
};

/// A person's or a room's name: 1 to 80 characters that can be seen, trimmed, with white space of any kind as one space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

/// What a room is about: up to 250 characters without controls, trimmed; may be empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Topic(String);

/// What a room is about, at length: up to 1000 characters in lines, without other controls, trimmed; may be empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Description(String);

/// A heading that somebody gives to some of their rooms: up to 50 characters without controls, trimmed; may be empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Section(String);

/// An e-mail address in the one form in which it identifies an account: trimmed and in lower case; that of a new account
/// also with its letters and their marks composed (NFC), which keyboards differ in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Email(String);

/// Why a text cannot be a name or a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing that could be seen.
    #[error("must not be empty")]
    Empty,
    /// Too many characters.
    #[error("may have at most {max} characters")]
    TooLong {
        /// How many characters are allowed.
        max: usize,
    },
    /// A line break, another control character, or one that turns the direction of the text around it: it could make a
    /// name, or a line of a log, look like something else.
    #[error("must not contain control characters")]
    Control,
    /// A character that takes no room on the screen, or is blank: two names that differ look the same.
    #[error("must not contain invisible or blank characters")]
    Invisible,
    /// A mark without a letter of its own script, or too many on one: it covers what stands around it.
    #[error("must not have a mark without its letter, or more than {max} marks on one")]
    Marks {
        /// How many are allowed.
        max: usize,
    },
}

/// The text is not an e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an e-mail address")]
pub struct EmailError;

impl Name {
    /// Reads a name.
    ///
    /// # Errors
    /// When it is empty, longer than [`NAME_CHARS_MAX`] characters, or has control characters, invisible ones, or stray
    /// marks. Those that a script or an emoji needs in their place are no error.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let name = line(text, NAME_CHARS_MAX)?.split_whitespace().collect::<Vec<_>>().join(" ");
        if name.chars().all(is_blank) {
            return Err(NameError::Empty);
        }
        if looks::has_invisible(&name) {
            return Err(NameError::Invisible);
        }
        if looks::has_stray_mark(&name) { Err(NameError::Marks { max: NAME_MARKS_MAX }) } else { Ok(Self(name)) }
    }

    /// The same for names that differ only in case, width, or what cannot be seen.
    pub(crate) fn folded(&self) -> String {
        looks::folded(&self.0)
    }

    /// The same for names that look alike.
    pub(crate) fn look(&self) -> String {
        looks::look(&self.0)
    }

    /// As it is shown: trimmed, on one line.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }
}

impl Topic {
    /// Reads a topic.
    ///
    /// # Errors
    /// When it is longer than [`TOPIC_CHARS_MAX`] characters or has control characters.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        line(text, TOPIC_CHARS_MAX).map(Self)
    }

    /// As it is shown: trimmed, on one line.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }
}

impl Description {
    /// Reads a description.
    ///
    /// # Errors
    /// When it is longer than [`DESCRIPTION_CHARS_MAX`] characters or has control characters.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let text = text.replace("\r\n", "\n");
        if text.trim().chars().count() > DESCRIPTION_CHARS_MAX {
            return Err(NameError::TooLong { max: DESCRIPTION_CHARS_MAX });
        }
        text.trim().lines().try_for_each(|text| line(text, DESCRIPTION_CHARS_MAX).map(drop))?;
        Ok(Self(text.trim().to_owned()))
    }

    /// As it is shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }
}

impl Section {
    /// Reads a heading.
    ///
    /// # Errors
    /// When it is longer than [`SECTION_CHARS_MAX`] characters or has control characters.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        line(text, SECTION_CHARS_MAX).map(Self)
    }

    /// As it is shown: trimmed, on one line.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }
}

impl Email {
    /// Reads an e-mail address for a new account: something before the last `@`, a host after it, no white space and
    /// nothing that cannot be seen. Only a mail could prove more.
    ///
    /// # Errors
    /// When it is not one.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        let email = Self::of_account(text)?.composed();
        if email.0.chars().any(is_blank) { Err(EmailError) } else { Ok(email) }
    }

    /// Reads the address of an account that there may be: also one that a version before let in, though it has
    /// characters that cannot be seen, or is not composed.
    ///
    /// # Errors
    /// When there can be no such account.
    pub fn of_account(text: &str) -> Result<Self, EmailError> {
        let email = text.trim().to_lowercase();
        let (mailbox, host) = email.rsplit_once('@').ok_or(EmailError)?;
        let plain = !email.chars().any(|c| c.is_whitespace() || misleads(c));
        let valid = plain && !mailbox.is_empty() && !host.is_empty() && email.len() <= EMAIL_BYTES_MAX;
        if valid { Ok(Self(email)) } else { Err(EmailError) }
    }

    /// As an account that is new would have it, though it may have been typed in another way.
    pub(crate) fn composed(&self) -> Self {
        Self(self.0.nfc().collect())
    }

    /// In the one form that identifies the account.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(super) fn line(text: &str, chars_max: usize) -> Result<String, NameError> {
    let text = text.trim();
    if text.chars().any(misleads) {
        return Err(NameError::Control);
    }
    if text.chars().count() > chars_max {
        return Err(NameError::TooLong { max: chars_max });
    }
    Ok(text.to_owned())
}

/// Control characters, line and paragraph separators, and the marks that override the direction of text.
fn misleads(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_line_of_1_to_80_characters() {
        assert_eq!(Name::parse("  Ana  ").unwrap().as_str(), "Ana");
        assert_eq!(Name::parse(" \t "), Err(NameError::Empty));
        assert_eq!(Name::parse("\u{200b}\u{feff}"), Err(NameError::Empty), "a name can be seen");
        assert_eq!(
            Name::parse("山田\u{3000}太郎\u{a0} x").unwrap().as_str(),
            "山田 太郎 x",
            "all white space is one space"
        );
        assert!(Name::parse(&"ж".repeat(80)).is_ok());
        assert_eq!(Name::parse(&"ж".repeat(81)), Err(NameError::TooLong { max: 80 }));
    }

    #[test]
    fn s50_a_name_cannot_forge_a_line_or_turn_the_text_around() {
        for name in ["Ana\r\nadmin", "\u{1b}[31mred", "Ana\u{202e}nimda", "a\0b", "a\u{2028}b"] {
            assert_eq!(Name::parse(name), Err(NameError::Control), "{name:?}");
        }
    }

    #[test]
    fn a_name_or_address_has_nothing_in_it_that_cannot_be_seen() {
        for name in
            ["An\u{200b}a", "Ana\u{2060}", "A\u{ad}na", "Ana\u{3164}", "A\u{2800}na", "Ana\u{200e}", "Ana\u{e0041}"]
        {
            assert_eq!(Name::parse(name), Err(NameError::Invisible), "{name:?}");
            assert_eq!(Email::parse(&format!("{name}@example.com")), Err(EmailError), "{name:?}");
            assert!(Email::of_account(&format!("{name}@example.com")).is_ok(), "an account that is there is found");
        }
    }

    #[test]
    fn a_name_has_no_heap_of_marks() {
        let heap = format!("a{}", "\u{301}".repeat(79));
        for name in ["\u{338}\u{338}", "\u{301}Ana", &heap] {
            assert_eq!(Name::parse(name), Err(NameError::Marks { max: 4 }), "{name:?}");
        }
        for name in ["\u{e000}", "Ana\u{fdd0}", "Ana 1\u{200d}2"] {
            assert_eq!(Name::parse(name), Err(NameError::Invisible), "{name:?}");
        }
        assert_eq!(Name::stored(heap.clone()).as_str(), heap, "a name that is there stays");
    }

    #[test]
    fn an_email_is_the_same_account_in_any_spelling() {
        assert_eq!(Email::parse(" Ana@Example.COM "), Email::parse("ana@example.com"));
        assert_eq!(Email::parse("Rene\u{301}@example.com"), Email::parse("RENÉ@example.com"));
        let typed = Email::of_account("rene\u{301}@example.com").unwrap();
        assert_eq!(typed.as_str(), "rene\u{301}@example.com", "an account that is there is found");
        assert_eq!(typed.composed(), Email::parse("rené@example.com").unwrap());
        for text in ["", "ana", "@example.com", "ana@", "a b@example.com", "ana@exa\nmple.com"] {
            assert_eq!(Email::parse(text), Err(EmailError), "{text:?}");
        }
        assert_eq!(Email::parse(&format!("{}@example.com", "a".repeat(250))), Err(EmailError));
    }
}
