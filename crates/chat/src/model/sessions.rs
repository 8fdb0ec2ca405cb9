//! Sessions: a signed-in browser or device, proved by a token in a cookie. The token is stored as its digest only.

use std::net::IpAddr;

use super::{
    ids::{RoomId, SessionId},
    people::Person,
    secrets::{SecretDigest, Token, digest},
    time::Time,
};
use crate::limits::{SESSION_IDLE, SESSION_LIFETIME, USER_AGENT_CHARS_MAX};

/// A session, as its person sees it in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Not its secret: it may be shown.
    pub id: SessionId,
    /// When it was opened.
    pub created: Time,
    /// When it was last used, to within five minutes.
    pub last_seen: Time,
    /// What the browser said about itself at sign-in.
    pub user_agent: String,
    /// Where it was used from lately; unknown of one that a version before opened.
    pub address: Option<IpAddr>,
}

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Its person signed out there.
    SignedOut,
    /// Its person signed out there from elsewhere.
    Elsewhere,
    /// Its person has another password.
    Password,
    /// Its person may not sign in any more.
    Deactivated,
    /// Another took its place, in the same browser or because there were too many.
    Replaced,
    /// By idleness or by age.
    Expired,
}

impl Ended {
    /// `signed_out`, `elsewhere`, `password`, `deactivated`, `replaced` or `expired`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignedOut => "signed_out",
            Self::Elsewhere => "elsewhere",
            Self::Password => "password",
            Self::Deactivated => "deactivated",
            Self::Replaced => "replaced",
            Self::Expired => "expired",
        }
    }

    /// The reason of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        use Ended::{Deactivated, Elsewhere, Expired, Password, Replaced, SignedOut};
        [SignedOut, Elsewhere, Password, Deactivated, Replaced, Expired].into_iter().find(|why| why.as_str() == name)
    }
}

impl Session {
    /// Whether it has not yet expired, by idleness or by age. One that was ended is over whatever its times say.
    pub(crate) fn is_fresh(&self, now: Time) -> bool {
        self.last_seen > Self::last_seen_of_expired(now) && self.created > Self::created_of_expired(now)
    }

    /// Sessions last used then or earlier have expired.
    pub(crate) fn last_seen_of_expired(now: Time) -> Time {
        now.minus(SESSION_IDLE)
    }

    /// Sessions opened then or earlier have expired.
    pub(crate) fn created_of_expired(now: Time) -> Time {
        now.minus(SESSION_LIFETIME)
    }
}

/// Who is behind a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// Whose session it is.
    pub person: Person,
    /// The session. Its text is also the tag of its live connections in the hub.
    pub session: Session,
}

/// Whose session is looked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SessionKey {
    Token(SecretDigest),
    Id(SessionId),
}

/// Somebody with a session comes to listen: all that is asked of the database for it, read at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) who: SignedIn,
    /// Rooms they are a member of: all, up to a limit.
    pub(crate) rooms: Vec<Stand>,
}

/// Where the stream of a room's events stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stand {
    pub(crate) room: RoomId,
    /// The number of the last event.
    pub(crate) offset: u64,
    pub(crate) epoch: String,
}

/// What comes from the browser of somebody who signs in, beside what they typed.
#[derive(Debug, Clone)]
pub struct Browser {
    /// Where the request came from.
    pub address: IpAddr,
    /// What the browser says about itself.
    pub user_agent: String,
    /// The token of the session that it had until now; that session ends when another begins.
    pub session: Option<String>,
    /// The text of its device cookie.
    pub device: Option<String>,
}

/// Somebody has just signed in.
#[derive(Debug, Clone)]
pub struct Entered {
    /// Who.
    pub person: Person,
    /// The session opened for it.
    pub session: SessionId,
    /// Its secret, for the cookie; it is not stored and cannot be had again.
    pub token: Token,
    /// The text for the cookie by which this device is known from now on; `None` when it could not be made.
    pub device: Option<String>,
}

/// A session to be opened.
#[derive(Debug, Clone)]
pub(crate) struct NewSession {
    pub(crate) id: SessionId,
    pub(crate) token: SecretDigest,
    pub(crate) user_agent: String,
    pub(crate) address: Option<IpAddr>,
    /// The session whose cookie came along, whoever's it is: the new one takes its place in the browser (S20).
    pub(crate) replaces: Option<SecretDigest>,
}

impl NewSession {
    /// One with a fresh secret, which only the caller has.
    pub(crate) fn with_token(browser: &Browser) -> (Self, Token) {
        let token = Token::fresh();
        let user_agent = browser.user_agent.chars().filter(|c| !c.is_control()).take(USER_AGENT_CHARS_MAX).collect();
        let replaces = browser.session.as_deref().map(digest);
        let address = Some(browser.address);
        (Self { id: SessionId::fresh(), token: token.digest(), user_agent, address, replaces }, token)
    }
}
