//! What a client token says, as plain data: read once, honoured or refused, and never ignored.

use super::caps::{Caps, Operations, WrittenCap};
use crate::limits::INFO_BYTES_MAX;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;
use tidings_chat::{Presented, Time};
use tidings_hub::{ChannelName, Overrides};
use tidings_protocol::Payload;

/// What a good token says, be it for a connection or for a subscription (which also names its channel).
#[derive(Debug, Default)]
pub(crate) struct Claims {
    /// The application's name for the user (`sub`); empty: nobody in particular.
    pub(crate) user: String,
    /// The token's own id (`jti`), by which it can be revoked.
    pub(crate) id: Option<String>,
    /// When it was made (`iat`).
    pub(crate) issued: Option<Time>,
    /// Shown to others in presence, joins and publications.
    pub(crate) info: Option<Payload>,
    /// For the server alone: no client is shown it.
    pub(crate) meta: Option<Payload>,
    /// How long the connection or subscription lasts unless it is refreshed; `None`: for ever.
    pub(crate) lasts: Option<Duration>,
    /// What a connection token gives.
    pub(crate) given: Given,
    /// What a subscription token is for; `None`: a connection token.
    pub(crate) subscription: Option<Subscription>,
}

/// What a connection token gives beside its user.
#[derive(Debug, Default, PartialEq, Hash)]
pub(crate) struct Given {
    /// Channels that the server subscribes the connection to, by name.
    pub(crate) channels: BTreeMap<String, GivenChannel>,
    /// What it may do in channels by their names.
    pub(crate) caps: Caps,
}

/// What a connection token says of one of its channels.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct GivenChannel {
    pub(crate) info: Option<Payload>,
    pub(crate) data: Option<Payload>,
    /// What is otherwise for it than the channel's options say.
    pub(crate) overrides: Overrides,
}

/// What a subscription token is for.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Subscription {
    pub(crate) channel: String,
    /// The one connection that may use it (the claim `client`, as older backends write it).
    pub(crate) client: Option<String>,
    pub(crate) overrides: Overrides,
    /// What it may do in the channel, beside subscribing.
    pub(crate) allow: Operations,
}

impl std::hash::Hash for GivenChannel {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        [&self.info, &self.data].map(|value| value.as_ref().map(Payload::as_bytes)).hash(state);
        self.overrides.hash(state);
    }
}

impl Claims {
    /// What the token may be denied for. A subscription token without a user is the connection's.
    pub(crate) fn presented<'a>(&'a self, user: &'a str) -> Presented<'a> {
        let channel = self.subscription.as_ref().map(|subscription| &*subscription.channel);
        Presented { user, id: self.id.as_deref(), issued: self.issued, channel }
    }
}

/// The claims as they are written.
#[derive(Deserialize)]
pub(super) struct Written {
    sub: Option<String>,
    pub(super) exp: Option<NumericDate>,
    pub(super) nbf: Option<NumericDate>,
    iat: Option<NumericDate>,
    /// The connection or subscription expires then; 0: never. `exp` itself where it is absent.
    pub(super) expire_at: Option<NumericDate>,
    pub(super) aud: Option<Audience>,
    pub(super) iss: Option<String>,
    jti: Option<String>,
    channel: Option<String>,
    client: Option<String>,
    channels: Option<Vec<String>>,
    subs: Option<BTreeMap<String, Option<WrittenGiven>>>,
    caps: Option<Vec<WrittenCap>>,
    allow: Option<Vec<String>>,
    info: Option<Payload>,
    b64info: Option<String>,
    meta: Option<Payload>,
    #[serde(rename = "override")]
    overrides: Option<WrittenOverrides>,
}

/// The options of a channel in the claim `subs`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenGiven {
    info: Option<Payload>,
    b64info: Option<String>,
    data: Option<Payload>,
    b64data: Option<String>,
    join_leave: Option<bool>,
    #[serde(rename = "override")]
    overrides: Option<WrittenOverrides>,
}

/// What is otherwise than the channel's options say.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenOverrides {
    presence: Option<Forced>,
    join_leave: Option<Forced>,
    force_push_join_leave: Option<Forced>,
    force_recovery: Option<Forced>,
    force_positioning: Option<Forced>,
}

/// A boolean that says whether it was said.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Forced {
    #[serde(default)]
    value: bool,
}

/// Seconds since the Unix epoch, perhaps with a fraction (RFC 7519 §2).
#[derive(Clone, Copy, PartialEq, PartialOrd, Deserialize)]
pub(super) struct NumericDate(pub(super) f64);

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    pub(super) fn names(&self, audience: &str) -> bool {
        match self {
            Self::One(name) => name == audience,
            Self::Several(names) => names.iter().any(|name| name == audience),
        }
    }
}

impl NumericDate {
    pub(super) fn time(self) -> Time {
        // Saturates where a date lies beyond all that can be.
        #[expect(clippy::cast_possible_truncation, reason = "a conversion from a float saturates")]
        Time::from_millis((self.0 * 1e3).floor() as i64)
    }
}

impl From<WrittenOverrides> for Overrides {
    fn from(written: WrittenOverrides) -> Self {
        let value = |forced: Option<Forced>| forced.map(|forced| forced.value);
        Self {
            presence: value(written.presence),
            says_join_leave: value(written.join_leave),
            hears_join_leave: value(written.force_push_join_leave),
            recovery: value(written.force_recovery),
            positioning: value(written.force_positioning),
        }
    }
}

impl Written {
    /// Everything but what is decided by the time.
    pub(super) fn read(self) -> Result<Claims, String> {
        // Both name channels; `subs` says more about them.
        let mut channels: BTreeMap<String, GivenChannel> =
            self.channels.into_iter().flatten().map(|name| (name, GivenChannel::default())).collect();
        for (name, given) in self.subs.into_iter().flatten() {
            let WrittenGiven { info, b64info, data, b64data, join_leave, overrides } = given.unwrap_or_default();
            let mut overrides = Overrides::from(overrides.unwrap_or_default());
            overrides.hears_join_leave = overrides.hears_join_leave.or(join_leave.filter(|hears| *hears));
            let info = shown(b64info, info)?;
            channels.insert(name, GivenChannel { info, data: value("b64data", b64data, data)?, overrides });
        }
        for name in channels.keys().chain(&self.channel) {
            ChannelName::parse(name).map_err(|error| format!("it names the channel {name:?}: {error}"))?;
        }
        let overrides = self.overrides.map(Overrides::from);
        let allow = Operations::read(self.allow.as_deref().unwrap_or_default())?;
        let subscription = match self.channel {
            Some(channel) => {
                Some(Subscription { channel, client: self.client, overrides: overrides.unwrap_or_default(), allow })
            }
            None if overrides.is_some() || self.allow.is_some() => {
                return Err("its claims `override` and `allow` belong into a token with a `channel`; those of a connection are in `subs` and `caps`".into());
            }
            None => None,
        };
        Ok(Claims {
            user: self.sub.unwrap_or_default(),
            id: self.jti,
            issued: self.iat.map(NumericDate::time),
            info: shown(self.b64info, self.info)?,
            meta: self.meta,
            lasts: None,
            given: Given { channels, caps: Caps::read(self.caps.unwrap_or_default())? },
            subscription,
        })
    }
}

/// What others see.
fn shown(base64: Option<String>, plain: Option<Payload>) -> Result<Option<Payload>, String> {
    let info = value("b64info", base64, plain)?;
    match info.as_ref().map(|info| info.as_bytes().len()) {
        Some(bytes) if bytes > INFO_BYTES_MAX => {
            Err(format!("its claim `info` has {bytes} bytes; others are shown {INFO_BYTES_MAX} at most"))
        }
        _ => Ok(info),
    }
}

/// A claim's value, which its form in Base64 wins over. It must be JSON: others see it, and those who speak JSON would be closed
/// for anything else (3506).
fn value(claim: &str, base64: Option<String>, plain: Option<Payload>) -> Result<Option<Payload>, String> {
    let Some(text) = base64.filter(|text| !text.is_empty()) else { return Ok(plain) };
    let decoded = STANDARD.decode(text).map_err(|error| format!("its claim `{claim}` is not Base64: {error}"))?;
    let parsed = Payload::parse(&decoded);
    parsed.map(Some).map_err(|error| format!("its claim `{claim}` holds {error}; other data is not supported"))
}
