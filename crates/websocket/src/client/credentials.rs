//! `user:password@` in a URL.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::uri::Authority;

/// As they are sent, without the URL's percent encoding.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) user: Vec<u8>,
    /// Empty if the URL names only the user.
    pub(super) password: Vec<u8>,
}

impl Credentials {
    pub(super) fn of(authority: &Authority) -> Option<Self> {
        let (credentials, _) = authority.as_str().rsplit_once('@')?;
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        let credentials = Credentials { user: percent_decoded(user), password: percent_decoded(password) };
        (!credentials.user.is_empty() || !credentials.password.is_empty()).then_some(credentials)
    }

    /// The value of `Authorization` and `Proxy-Authorization` (RFC 7617 §2).
    pub(super) fn basic(&self) -> String {
        format!("Basic {}", STANDARD.encode([&self.user[..], b":", &self.password[..]].concat()))
    }
}

/// A percent sign without two digits behind it stands for itself, as in browsers.
fn percent_decoded(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let digit = |at: usize| behind.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        let encoded = if *first == b'%' { digit(0).zip(digit(1)) } else { None };
        let code = encoded.and_then(|(high, low)| u8::try_from(16 * high + low).ok());
        decoded.push(code.unwrap_or(*first));
        rest = if code.is_some() { &behind[2..] } else { behind };
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_decoded_and_need_no_password() {
        let of = |authority: &str| {
            let credentials = Credentials::of(&authority.parse().unwrap())?;
            Some((String::from_utf8(credentials.user).unwrap(), String::from_utf8(credentials.password).unwrap()))
        };
        let some = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(of("ana:secret@a"), some("ana", "secret"));
        assert_eq!(of("ana@a:80"), some("ana", ""));
        assert_eq!(of(":secret@[::1]"), some("", "secret"));
        assert_eq!(of("%61na:p%40%3A%c3%A4:%2@a"), some("ana", "p@:ä:%2"));
        assert_eq!((of("a"), of(":@a")), (None, None));
    }
}
