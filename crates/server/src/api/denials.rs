//! `block`, `unblock`, `blocked`, `revoke_token` and `revoke_user`: whom and what client tokens are refused for.

use super::connections::{page_size, remaining};
use super::refusal::{bad_request, refused, too_much};
use super::{Call, Perform};
use crate::limits::{ISSUED_BEFORE_AHEAD_MAX, LISTED_DEFAULT, LISTED_MAX};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tidings_api::{
    BlockRequest, BlockResult, BlockedRequest, BlockedResult, Error, RevokeTokenRequest, RevokeTokenResult,
    RevokeUserRequest, RevokeUserResult, UnblockRequest, UnblockResult,
};
use tidings_chat::{Denial, Denied, DenyError, StoreError, Time};
use tidings_hub::ChannelName;
use tidings_protocol::Error as Code;

impl Perform for BlockRequest {
    async fn perform(self, call: &Call) -> Result<BlockResult, Error> {
        let user = needed("user", &self.user)?;
        call.app.chat.block(user, ends(self.expire_at)?).await.map_err(|error| refusal(&error, "user"))?;
        Ok(BlockResult {})
    }
}

impl Perform for UnblockRequest {
    async fn perform(self, call: &Call) -> Result<UnblockResult, Error> {
        let Self { user, tokens, channel, uid } = self;
        if !uid.is_empty() {
            if tokens || !user.is_empty() || !channel.is_empty() {
                return Err(bad_request("uid names one token: leave user, tokens and channel out, or ask twice"));
            }
            let was_blocked = call.app.chat.unrevoke_token(&uid).await.map_err(|error| refusal(&error, "uid"))?;
            return Ok(UnblockResult { was_blocked });
        }
        let user = needed("user", &user)?;
        let channel = match &*channel {
            "" => None,
            _ if !tokens => return Err(bad_request("channel goes with tokens: a user is blocked in all of them")),
            name => Some(call.reached(name)?),
        };
        let was_blocked = match tokens {
            true => call.app.chat.unrevoke_user(user, channel.as_ref().map(ChannelName::as_str)).await,
            false => call.app.chat.unblock(user).await,
        };
        Ok(UnblockResult { was_blocked: was_blocked.map_err(|error| refusal(&error, "user"))? })
    }
}

impl Perform for RevokeTokenRequest {
    async fn perform(self, call: &Call) -> Result<RevokeTokenResult, Error> {
        let uid = needed("uid", &self.uid)?;
        call.app.chat.revoke_token(uid, ends(self.expire_at)?).await.map_err(|error| refusal(&error, "uid"))?;
        Ok(RevokeTokenResult {})
    }
}

impl Perform for RevokeUserRequest {
    async fn perform(self, call: &Call) -> Result<RevokeUserResult, Error> {
        let user = needed("user", &self.user)?;
        let channel = match &*self.channel {
            "" => None,
            name => Some(call.channel(name)?.0),
        };
        let issued_before = match self.issued_before {
            0 => None,
            seconds => Some(time(seconds).ok_or_else(|| bad_request("issued_before is a time in seconds since 1970"))?),
        };
        let latest = crate::serve::clock().now().plus(ISSUED_BEFORE_AHEAD_MAX);
        if issued_before.is_some_and(|time| time > latest) {
            let message = "issued_before is more than a day away, and the user could have no good token until then: it is a \
                           time in seconds since 1970, not in milliseconds; block refuses a user for longer";
            return Err(bad_request(message));
        }
        let channel = channel.as_ref().map(ChannelName::as_str);
        let revoked = call.app.chat.revoke_user(user, channel, issued_before, ends(self.expire_at)?).await;
        revoked.map_err(|error| refusal(&error, "user"))?;
        Ok(RevokeUserResult {})
    }
}

impl Perform for BlockedRequest {
    async fn perform(self, call: &Call) -> Result<BlockedResult, Error> {
        let limit = page_size(self.limit, LISTED_DEFAULT, LISTED_MAX)?;
        let after = match &*self.cursor {
            "" => None,
            cursor => {
                Some(read_cursor(cursor).ok_or_else(|| bad_request("cursor is not one that a page before has given"))?)
            }
        };
        let mut denied = call.app.chat.denials().list(after.as_ref(), limit + 1, crate::serve::clock().now());
        let more = denied.len() > limit;
        denied.truncate(limit);
        let cursor = denied.last().filter(|_| more).map(|last| cursor(&last.denial)).unwrap_or_default();
        Ok(BlockedResult { denials: denied.into_iter().map(told).collect(), cursor })
    }
}

fn needed<'a>(field: &str, value: &'a str) -> Result<&'a str, Error> {
    if value.is_empty() {
        Err(bad_request(&format!("{field} is missing: it says who or what is meant")))
    } else {
        Ok(value)
    }
}

fn ends(expire_at: i64) -> Result<Option<Time>, Error> {
    remaining(expire_at).map(|_| time(expire_at).filter(|_| expire_at != 0))
}

fn time(seconds: i64) -> Option<Time> {
    (seconds >= 0).then(|| seconds.checked_mul(1_000)).flatten().map(Time::from_millis)
}

fn refusal(error: &DenyError, field: &str) -> Error {
    match error {
        DenyError::Name => bad_request(&format!("{field} {error}")),
        DenyError::TooMany => too_much(format!("limit exceeded: {error}")),
        DenyError::Store(StoreError::Busy | StoreError::Away | StoreError::Closed) => refused(Code::TOO_MANY_REQUESTS),
        DenyError::Store(_) => {
            tracing::error!(%error, "a denial was not written");
            refused(Code::INTERNAL)
        }
    }
}

fn told(Denied { denial, created, ends }: Denied) -> tidings_api::Denial {
    let seconds = |time: Time| time.millis() / 1_000;
    let told = tidings_api::Denial {
        created: seconds(created),
        expire_at: ends.map(seconds).unwrap_or_default(),
        ..tidings_api::Denial::default()
    };
    match denial {
        Denial::Token { id } => tidings_api::Denial { uid: id, ..told },
        Denial::User { user } => tidings_api::Denial { user, ..told },
        Denial::Tokens { user, channel, issued_before } => tidings_api::Denial {
            user,
            channel: channel.unwrap_or_default(),
            issued_before: seconds(issued_before),
            ..told
        },
    }
}

/// What a denial is about, which is where a page goes on. No name has a zero byte.
fn cursor(denial: &Denial) -> String {
    let text = match denial {
        Denial::Token { id } => format!("token\0{id}"),
        Denial::User { user } => format!("user\0{user}"),
        Denial::Tokens { user, channel: None, .. } => format!("tokens\0{user}"),
        Denial::Tokens { user, channel: Some(channel), .. } => format!("tokens\0{user}\0{channel}"),
    };
    URL_SAFE_NO_PAD.encode(text)
}

fn read_cursor(cursor: &str) -> Option<Denial> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let parts: Vec<_> = text.split('\0').map(str::to_owned).collect();
    let issued_before = Time::from_millis(0);
    match <[String; 2]>::try_from(parts) {
        Ok([kind, id]) if kind == "token" => Some(Denial::Token { id }),
        Ok([kind, user]) if kind == "user" => Some(Denial::User { user }),
        Ok([kind, user]) if kind == "tokens" => Some(Denial::Tokens { user, channel: None, issued_before }),
        Ok(_) => None,
        Err(parts) => match <[String; 3]>::try_from(parts) {
            Ok([kind, user, channel]) if kind == "tokens" => {
                Some(Denial::Tokens { user, channel: Some(channel), issued_before })
            }
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_goes_on_behind_any_denial() {
        let issued_before = Time::from_millis(0);
        for denial in [
            Denial::Token { id: "a".into() },
            Denial::User { user: "tokens".into() },
            Denial::Tokens { user: "42".into(), channel: None, issued_before },
            Denial::Tokens { user: "42".into(), channel: Some("news".into()), issued_before },
        ] {
            assert_eq!(read_cursor(&cursor(&denial)), Some(denial));
        }
        for nonsense in ["", "!", "YQ", &URL_SAFE_NO_PAD.encode("user\0a\0b")] {
            assert_eq!(read_cursor(nonsense), None, "{nonsense}");
        }
    }
}
