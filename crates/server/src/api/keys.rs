//! The keys that backends and an operator's monitoring show: who they are, what they may, where they reach.
//!
//! A key is known by its SHA-256 and by its name; its value is in no log, no metric and no answer.

use super::refusal::other;
use super::scopes::{Group, Scopes};
use crate::app::App;
use crate::http::problem::RequestId;
use crate::limits::KEY_USERS_REMEMBERED;
use crate::pattern::Pattern;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use tidings_api::{Error, Method};
use tidings_chat::SECURITY_LOG;
use tidings_hub::ChannelName;

/// The name of the key that the server has made in its data folder, which may everything.
pub(crate) const GENERATED: &str = "api-key";

/// A key, without its value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) name: Arc<str>,
    pub(crate) digest: KeyDigest,
    pub(crate) scopes: Scopes,
    /// `None`: every channel of the application.
    pub(crate) channels: Option<Vec<Pattern>>,
}

/// SHA-256 of a key's value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyDigest(pub(crate) [u8; 32]);

impl KeyDigest {
    pub(crate) fn of(value: &[u8]) -> Self {
        Self(Sha256::digest(value).into())
    }
}

impl std::fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyDigest(redacted)")
    }
}

impl Key {
    /// The one of the data folder.
    pub(crate) fn generated(value: &str) -> Self {
        let digest = KeyDigest::of(value.as_bytes());
        Self { name: GENERATED.into(), digest, scopes: Scopes::all(), channels: None }
    }

    /// # Errors
    /// 103 with the scope that is missing.
    pub(crate) fn may(&self, method: Method) -> Result<(), Error> {
        if self.scopes.has(method) {
            return Ok(());
        }
        let group = Group::of(method).name();
        let alone =
            if method.name() == group { String::new() } else { format!(" (or {method}, for this method alone)") };
        let name = &self.name;
        let message = format!(
            "permission denied: the key {name} lacks the scope {group}{alone}; see api_keys in the configuration"
        );
        Err(other(&tidings_protocol::Error::PERMISSION_DENIED, message))
    }

    /// Whether it sees what is the operator's alone.
    pub(crate) fn is_admin(&self) -> bool {
        self.scopes.has(Method::Reload)
    }

    /// Whether there are channels that it does not reach.
    pub(crate) fn is_bounded(&self) -> bool {
        self.channels.is_some()
    }

    /// Whether it may do anything with this channel.
    pub(crate) fn reaches(&self, channel: &ChannelName) -> bool {
        self.channels.as_ref().is_none_or(|patterns| patterns.iter().any(|pattern| pattern.matches(channel.as_str())))
    }
}

/// All keys that hold now.
pub(crate) struct Keys(RwLock<Arc<[Arc<Key>]>>);

impl Keys {
    pub(crate) fn new(keys: Vec<Key>) -> Self {
        Self(RwLock::new(keys.into_iter().map(Arc::new).collect()))
    }

    /// Puts other keys in the place of these; says whether they differ.
    pub(crate) fn replace(&self, keys: Vec<Key>) -> bool {
        let keys: Arc<[Arc<Key>]> = keys.into_iter().map(Arc::new).collect();
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let differ = *held != keys;
        *held = keys;
        differ
    }

    /// The key with this value. Looks at all of them, and for as long whichever it is (S32).
    pub(crate) fn find(&self, value: &[u8]) -> Option<Arc<Key>> {
        let given = KeyDigest::of(value);
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        let (mut found, mut at) = (Choice::from(0), 0_u32);
        for (number, key) in (0_u32..).zip(keys.iter()) {
            let is_same = given.0.ct_eq(&key.digest.0);
            at = u32::conditional_select(&at, &number, is_same);
            found |= is_same;
        }
        bool::from(found).then(|| keys[at as usize].clone())
    }

    /// The key as it holds now, for a request that took its time; `None` when it was taken back meanwhile.
    pub(crate) fn current(&self, key: &Key) -> Option<Arc<Key>> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        keys.iter().find(|current| current.digest == key.digest).cloned()
    }
}

/// The key that a request shows: `X-API-Key: KEY`, `Authorization: apikey KEY` or, where the configuration lets it,
/// `?api_key=KEY`, which ends up in the logs of whatever it passes through (S18).
pub(crate) fn key_of(app: &App, headers: &HeaderMap, uri: &Uri) -> Option<Arc<Key>> {
    let authorization = || headers.get(header::AUTHORIZATION).and_then(|value| apikey(value.as_bytes()));
    let in_header = headers.get("x-api-key").map(HeaderValue::as_bytes).or_else(authorization);
    let in_url = || uri.query().filter(|_| app.config.settings.api_key_in_url).and_then(api_key_in);
    app.keys.find(in_header.or_else(in_url)?)
}

/// What follows the scheme `apikey`, in any case and after any number of spaces (RFC 9110 §11.4).
fn apikey(authorization: &[u8]) -> Option<&[u8]> {
    let space = authorization.iter().position(|byte| *byte == b' ')?;
    let (scheme, credentials) = authorization.split_at(space);
    scheme.eq_ignore_ascii_case(b"apikey").then(|| credentials.trim_ascii())
}

/// As it stands: our keys, and those of most generators, have no character that is written otherwise in a URL.
fn api_key_in(query: &str) -> Option<&[u8]> {
    query.split('&').find_map(|pair| pair.strip_prefix("api_key=")).map(str::as_bytes)
}

/// Who used which key, for the security log: the first use from each network since the start, and every try without one,
/// as many as the log takes.
#[derive(Default)]
pub(crate) struct KeyUses(Mutex<HashSet<(Arc<str>, IpAddr)>>);

impl KeyUses {
    pub(crate) fn tell(&self, app: &App, parts: &Parts, key: Option<&Key>, request_id: RequestId) {
        let address = tidings_serve::Caller::of(parts).and_then(|caller| caller.address);
        // Who comes through a Unix socket is on this machine.
        let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        match key {
            None => {
                app.metrics.api_unauthorized.inc();
                if let Some(left_out) = app.chat.security_line() {
                    tracing::warn!(target: SECURITY_LOG, %address, %request_id, left_out, "the server API was called without its key");
                }
            }
            Some(key) if self.is_first(&key.name, address) => {
                tracing::info!(target: SECURITY_LOG, %address, key = %key.name, "the server API was called with this key from here, for the first time");
            }
            Some(_) => {}
        }
    }

    fn is_first(&self, key: &Arc<str>, address: IpAddr) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.len() < KEY_USERS_REMEMBERED && known.insert((key.clone(), tidings_hub::network_of(address)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, value: &str) -> Key {
        Key { name: name.into(), ..Key::generated(value) }
    }

    #[test]
    fn the_scheme_of_authorization_is_read_in_any_case() {
        for given in ["apikey KEY", "ApiKey KEY", "APIKEY   KEY"] {
            assert_eq!(apikey(given.as_bytes()), Some(&b"KEY"[..]), "{given}");
        }
        for given in ["apikeyKEY", "Bearer KEY", "KEY", "apikey", ""] {
            assert_eq!(apikey(given.as_bytes()), None, "{given}");
        }
    }

    #[test]
    fn a_key_in_a_url_is_one_parameter_among_others() {
        assert_eq!(api_key_in("a=1&api_key=KEY&b"), Some(&b"KEY"[..]));
        assert_eq!(api_key_in("my_api_key=KEY"), None);
    }

    #[test]
    fn s32_a_key_is_found_by_all_of_its_value_wherever_it_stands() {
        let keys = Keys::new(vec![key("a", "one-of-the-keys"), key("b", "another-one"), key("c", "one-more")]);
        for (value, name) in [("one-of-the-keys", "a"), ("another-one", "b"), ("one-more", "c")] {
            assert_eq!(&*keys.find(value.as_bytes()).unwrap().name, name);
        }
        for value in ["", "one", "one-of-the-key", "one-of-the-keys ", "a"] {
            assert!(keys.find(value.as_bytes()).is_none(), "{value}");
        }
    }

    #[test]
    fn other_keys_take_the_place_of_these_and_it_is_said_whether_they_differ() {
        let keys = Keys::new(vec![key("a", "one")]);
        assert!(!keys.replace(vec![key("a", "one")]));
        assert!(keys.replace(vec![key("a", "two")]));
        assert!(keys.find(b"one").is_none() && keys.find(b"two").is_some());
    }

    #[test]
    fn a_key_is_as_the_newest_configuration_has_it_and_gone_when_that_has_it_no_more() {
        let keys = Keys::new(vec![key("a", "one"), key("b", "two")]);
        let (one, two) = (keys.find(b"one").unwrap(), keys.find(b"two").unwrap());
        keys.replace(vec![key("other", "two")]);
        assert!(keys.current(&one).is_none());
        assert_eq!(&*keys.current(&two).unwrap().name, "other");
    }

    #[test]
    fn s66_a_key_does_not_show_its_value() {
        let shown = format!("{:?}", key("a", "secret-value"));
        assert!(shown.contains("redacted") && !shown.contains("secret-value"), "{shown}");
    }

    #[test]
    fn what_a_key_lacks_is_named() {
        let mut key = key("shop", "one");
        key.scopes = Scopes::default();
        let refusal = key.may(Method::Broadcast).unwrap_err();
        assert_eq!(refusal.code, 103);
        assert!(refusal.message.contains("the key shop lacks the scope publish (or broadcast, for this method alone)"));
        assert!(key.may(Method::Publish).unwrap_err().message.contains("lacks the scope publish;"));
    }
}
