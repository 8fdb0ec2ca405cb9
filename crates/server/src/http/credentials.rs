//! What one signs in with, as forms ask for it.

use super::problem::{Problem, sentence};
use tidings_chat::{Email, EmailError, NewPassword, PasswordError};

pub(super) fn parse_email(email: &str) -> Result<Email, Problem> {
    Email::parse(email).map_err(|error: EmailError| {
        Problem::field("email", "email_invalid", format!("This does not look like an e-mail address: {error}."))
    })
}

pub(super) fn parse_password(password: &str, email: &Email) -> Result<NewPassword, Problem> {
    NewPassword::parse(password, email).map_err(|error| {
        let code = match error {
            PasswordError::TooShort => "password_too_short",
            PasswordError::TooLong => "password_too_long",
            PasswordError::Common => "password_common",
        };
        Problem::field("password", code, sentence(&error))
    })
}
