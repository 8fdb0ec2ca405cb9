//! What client tokens are refused for, whatever they say: tokens that were revoked, users whose tokens were, users who are
//! blocked.
//!
//! The users are an application's, and never people of the chat: these have sessions, which end.

use sha2::{Digest, Sha256};

use super::Time;

/// What is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// One token.
    Token {
        /// Its claim `jti`.
        id: String,
    },
    /// The tokens of a user that were issued before a time, and those that do not say when they were.
    Tokens {
        /// Their claim `sub`.
        user: String,
        /// Only subscription tokens for this channel; all of their tokens without one.
        channel: Option<String>,
        /// By their claim `iat`.
        issued_before: Time,
    },
    /// A user, whatever their token.
    User {
        /// The claim `sub`.
        user: String,
    },
}

/// A denial that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// What is refused.
    pub denial: Denial,
    /// Since when.
    pub created: Time,
    /// Until when; `None`: for ever.
    pub ends: Option<Time>,
}

/// SHA-256 of what is denied, without its times: there is one denial of a kind for a token, a user, a user in a channel.
pub(crate) type DenialKey = [u8; 32];

/// What a token says of itself that a denial may be about.
#[derive(Debug, Clone, Copy, Default)]
pub struct Presented<'a> {
    /// The claim `sub`; empty: nobody in particular, who cannot be blocked.
    pub user: &'a str,
    /// The claim `jti`.
    pub id: Option<&'a str>,
    /// The claim `iat`.
    pub issued: Option<Time>,
    /// The claim `channel` of a subscription token.
    pub channel: Option<&'a str>,
}

/// Why a token is refused that is good in itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was revoked; another token of the same user may be good.
    Revoked,
    /// Its user is blocked.
    Blocked,
}

impl Denial {
    pub(crate) fn key(&self) -> DenialKey {
        key(self.kind(), self.subject(), self.channel())
    }

    /// As it stands in the database.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Token { .. } => TOKEN,
            Self::Tokens { .. } => TOKENS,
            Self::User { .. } => USER,
        }
    }

    /// The token or the user that it is about.
    pub(crate) fn subject(&self) -> &str {
        match self {
            Self::Token { id } => id,
            Self::Tokens { user, .. } | Self::User { user } => user,
        }
    }

    pub(crate) fn channel(&self) -> Option<&str> {
        if let Self::Tokens { channel, .. } = self { channel.as_deref() } else { None }
    }

    pub(crate) fn issued_before(&self) -> Option<Time> {
        if let Self::Tokens { issued_before, .. } = self { Some(*issued_before) } else { None }
    }

    /// From the columns of the database; `None` when they make none.
    pub(crate) fn read(
        kind: &str,
        subject: String,
        channel: Option<String>,
        issued_before: Option<Time>,
    ) -> Option<Self> {
        match (kind, issued_before) {
            (TOKEN, _) => Some(Self::Token { id: subject }),
            (TOKENS, Some(issued_before)) => Some(Self::Tokens { user: subject, channel, issued_before }),
            (USER, _) => Some(Self::User { user: subject }),
            _ => None,
        }
    }

    /// The keys of all denials that could be about a token.
    pub(crate) fn keys_of(token: &Presented<'_>) -> impl Iterator<Item = DenialKey> {
        let Presented { user, id, channel, .. } = *token;
        let user = Some(user).filter(|user| !user.is_empty());
        let blocked = user.map(|user| key(USER, user, None));
        let all_of_theirs = user.map(|user| key(TOKENS, user, None));
        let in_the_channel = user.zip(channel).map(|(user, channel)| key(TOKENS, user, Some(channel)));
        let itself = id.map(|id| key(TOKEN, id, None));
        [blocked, itself, all_of_theirs, in_the_channel].into_iter().flatten()
    }

    /// Whether a token is refused for it, of which it is about the token, the user or the user in the channel.
    #[must_use]
    pub fn denies(&self, token: &Presented<'_>) -> Option<Verdict> {
        match self {
            Self::Token { id } => (token.id == Some(id)).then_some(Verdict::Revoked),
            Self::User { user } => (token.user == user).then_some(Verdict::Blocked),
            Self::Tokens { user, channel, issued_before } => {
                let is_theirs = token.user == user && (channel.is_none() || token.channel == channel.as_deref());
                // When a token was issued is not known by guessing: without a date it may be older.
                let is_older = token.issued.is_none_or(|issued| issued < *issued_before);
                (is_theirs && is_older).then_some(Verdict::Revoked)
            }
        }
    }
}

impl Denied {
    /// Whether it has ended.
    #[must_use]
    pub fn is_over(&self, now: Time) -> bool {
        self.ends.is_some_and(|ends| ends <= now)
    }

    /// What holds when this is said of something of which the other was said before: who revokes takes away and gives nothing
    /// back. A block is as it was said last.
    pub(crate) fn after(mut self, earlier: Option<Self>, now: Time) -> Self {
        let Some(earlier) = earlier.filter(|earlier| !earlier.is_over(now)) else { return self };
        if let Denial::User { .. } = self.denial {
            return self;
        }
        if let Denial::Tokens { issued_before, .. } = &mut self.denial {
            *issued_before = (*issued_before).max(earlier.denial.issued_before().unwrap_or(*issued_before));
        }
        self.ends = self.ends.zip(earlier.ends).map(|(one, other)| one.max(other));
        self
    }
}

const TOKEN: &str = "token";
const TOKENS: &str = "tokens";
const USER: &str = "user";

/// Neither a kind nor, by [`limits`](crate::limits::DENIAL_NAME_BYTES_MAX), a subject has a zero byte in it.
fn key(kind: &str, subject: &str, channel: Option<&str>) -> DenialKey {
    let mut digest = Sha256::new();
    for part in [kind, subject, channel.unwrap_or_default()] {
        digest.update(part);
        digest.update([0]);
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Time {
        Time::from_millis(second * 1_000)
    }

    fn tokens(channel: Option<&str>, before: i64) -> Denial {
        Denial::Tokens { user: "42".into(), channel: channel.map(str::to_owned), issued_before: at(before) }
    }

    #[test]
    fn a_denial_is_found_by_the_keys_of_what_it_denies() {
        let token = Presented { user: "42", id: Some("a"), issued: Some(at(5)), channel: Some("news") };
        for denial in [
            Denial::Token { id: "a".into() },
            Denial::User { user: "42".into() },
            tokens(None, 6),
            tokens(Some("news"), 6),
        ] {
            assert!(Denial::keys_of(&token).any(|key| key == denial.key()), "{denial:?}");
            assert!(denial.denies(&token).is_some(), "{denial:?}");
        }
        for denial in [
            Denial::Token { id: "42".into() },
            Denial::User { user: "a".into() },
            tokens(Some("sport"), 6),
            Denial::Tokens { user: "4".into(), channel: Some("2".into()), issued_before: at(6) },
        ] {
            assert!(!Denial::keys_of(&token).any(|key| key == denial.key()), "{denial:?}");
            assert!(denial.denies(&token).is_none(), "{denial:?}");
        }
    }

    #[test]
    fn tokens_from_before_the_time_are_refused_and_those_that_do_not_say_when_they_are_from() {
        let denial = tokens(None, 10);
        let of = |issued| Presented { user: "42", issued, ..Presented::default() };
        assert_eq!(denial.denies(&of(Some(at(9)))), Some(Verdict::Revoked));
        assert_eq!(denial.denies(&of(None)), Some(Verdict::Revoked));
        assert_eq!(denial.denies(&of(Some(at(10)))), None);
    }

    #[test]
    fn of_one_channel_subscription_tokens_alone_are_revoked() {
        let denial = tokens(Some("news"), 10);
        let of = |channel| Presented { user: "42", channel, ..Presented::default() };
        assert_eq!(denial.denies(&of(Some("news"))), Some(Verdict::Revoked));
        assert_eq!((denial.denies(&of(Some("sport"))), denial.denies(&of(None))), (None, None));
    }

    #[test]
    fn nobody_in_particular_is_not_blocked() {
        let token = Presented { user: "", ..Presented::default() };
        assert_eq!(Denial::keys_of(&token).count(), 0);
    }

    #[test]
    fn a_revocation_that_is_made_again_takes_nothing_back_and_a_block_is_as_it_was_said_last() {
        let denied = |denial, ends| Denied { denial, created: at(0), ends };
        let again = denied(tokens(None, 5), Some(at(20))).after(Some(denied(tokens(None, 9), Some(at(30)))), at(1));
        assert_eq!(again, denied(tokens(None, 9), Some(at(30))));
        let again = denied(tokens(None, 5), Some(at(20))).after(Some(denied(tokens(None, 9), None)), at(1));
        assert_eq!(again.ends, None);
        // What has ended is as if it had not been.
        let again = denied(tokens(None, 5), None).after(Some(denied(tokens(None, 9), Some(at(1)))), at(1));
        assert_eq!(again, denied(tokens(None, 5), None));
        let user = || Denial::User { user: "42".into() };
        let again = denied(user(), Some(at(20))).after(Some(denied(user(), None)), at(1));
        assert_eq!(again.ends, Some(at(20)));
    }
}
