//! The short texts people give: names, topics, e-mail addresses. Parsed once, at the edge; afterwards they are valid.

use std::fmt;

use crate::limits::{EMAIL_BYTES_MAX, NAME_CHARS_MAX, TOPIC_CHARS_MAX};

/// A person's or a room's name: 1 to 80 characters without controls, trimmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

/// What a room is about: up to 250 characters without controls, trimmed; may be empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Topic(String);

/// An e-mail address in the one form in which it identifies an account: trimmed and in lower case.
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
}

/// The text is not an e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an e-mail address")]
pub struct EmailError;

impl Name {
    /// Reads a name.
    ///
    /// # Errors
    /// When it is empty, longer than [`NAME_CHARS_MAX`] characters, or has control characters.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let name = line(text, NAME_CHARS_MAX)?;
        if name.chars().all(is_invisible) { Err(NameError::Empty) } else { Ok(Self(name)) }
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

impl Email {
    /// Reads an e-mail address: something before the last `@`, a host after it, no white space. Only a mail could prove
    /// more.
    ///
    /// # Errors
    /// When it is not one.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        let email = text.trim().to_lowercase();
        let (mailbox, host) = email.rsplit_once('@').ok_or(EmailError)?;
        let plain = !email.chars().any(|c| c.is_whitespace() || misleads(c));
        let valid = plain && !mailbox.is_empty() && !host.is_empty() && email.len() <= EMAIL_BYTES_MAX;
        if valid { Ok(Self(email)) } else { Err(EmailError) }
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

fn line(text: &str, chars_max: usize) -> Result<String, NameError> {
    let text = text.trim();
    if text.chars().any(misleads) {
        return Err(NameError::Control);
    }
    if text.chars().count() > chars_max {
        return Err(NameError::TooLong { max: chars_max });
    }
    Ok(text.to_owned())
}

/// Takes no room on the screen: white space of all kinds, joiners, marks of direction, the soft hyphen.
pub(super) fn is_invisible(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
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
        assert!(Name::parse("\u{1F469}\u{200D}\u{1F52C}").is_ok());
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
    fn an_email_is_the_same_account_in_any_spelling() {
        assert_eq!(Email::parse(" Ana@Example.COM "), Email::parse("ana@example.com"));
        for text in ["", "ana", "@example.com", "ana@", "a b@example.com", "ana@exa\nmple.com"] {
            assert_eq!(Email::parse(text), Err(EmailError), "{text:?}");
        }
        assert_eq!(Email::parse(&format!("{}@example.com", "a".repeat(250))), Err(EmailError));
    }
}
