//! Passwords: what may be one, and how a hash of one is carried about.

use std::{collections::HashSet, fmt, sync::LazyLock};

use super::names::Email;
use crate::limits::{PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN};

/// A password that may be set: long enough, not too long, not a common one. No rules of composition (S25).
#[derive(Clone)]
pub struct NewPassword(String);

/// Why a text may not become a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Fewer than [`PASSWORD_CHARS_MIN`] characters.
    #[error("must have at least {PASSWORD_CHARS_MIN} characters")]
    TooShort,
    /// More than [`PASSWORD_BYTES_MAX`] bytes.
    #[error("may have at most {PASSWORD_BYTES_MAX} bytes")]
    TooLong,
    /// One of those everybody tries first, or the account's own e-mail address.
    #[error("is one of the passwords that are guessed first")]
    Common,
}

/// The passwords guessed first that are long enough to be set, one a line, in lower case.
static COMMON: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| include_str!("passwords.txt").lines().filter(|line| !line.starts_with('#')).collect());

impl NewPassword {
    /// Reads a password that is to be set for the account of `email`.
    ///
    /// # Errors
    /// When it is too short, too long, or easily guessed.
    pub fn parse(text: &str, email: &Email) -> Result<Self, PasswordError> {
        if text.len() > PASSWORD_BYTES_MAX {
            return Err(PasswordError::TooLong);
        }
        if text.chars().count() < PASSWORD_CHARS_MIN {
            return Err(PasswordError::TooShort);
        }
        let folded = text.trim().to_lowercase();
        let first = folded.chars().next();
        let one_character = folded.chars().all(|c| Some(c) == first);
        if one_character || COMMON.contains(folded.as_str()) || folded == email.as_str() {
            return Err(PasswordError::Common);
        }
        Ok(Self(text.to_owned()))
    }
}

impl NewPassword {
    /// The text for the hash function. Goes nowhere else.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for NewPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewPassword(…)")
    }
}

/// A password's hash: a PHC string.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct StoredHash(pub(crate) String);

impl fmt::Debug for StoredHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoredHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<NewPassword, PasswordError> {
        NewPassword::parse(text, &Email::parse("ana.banana@example.com").unwrap())
    }

    #[test]
    fn s25_a_password_has_at_least_ten_characters_and_no_rules_of_composition() {
        assert_eq!(parse("ninechars").unwrap_err(), PasswordError::TooShort);
        assert!(parse("only letters").is_ok());
        assert!(parse("десятьбукв").is_ok(), "characters are counted, not bytes");
        assert!(parse(&"long ".repeat(204)).is_ok());
        assert_eq!(parse(&"x".repeat(1025)).unwrap_err(), PasswordError::TooLong);
    }

    #[test]
    fn s25_a_password_that_is_guessed_first_is_refused() {
        assert!(COMMON.len() > 3_000, "{}", COMMON.len());
        for text in ["password123", "Password123", "1234567890", "qwertyuiop", "aaaaaaaaaaaa", "Ana.Banana@example.com"]
        {
            assert_eq!(parse(text).unwrap_err(), PasswordError::Common, "{text}");
        }
    }
}
