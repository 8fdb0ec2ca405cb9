//! Which web pages may open a connection. Browsers send cookies with every handshake and enforce no same-origin rule on
//! sockets, so a server that does not look at `Origin` lends its users' sessions to every page on the web (S01).

use http::{Uri, uri::Authority};
use std::str::FromStr;

/// Which `Origin` may connect. A request without one comes from no browser and passes, unless
/// [`ServerRequest::require_origin`](super::ServerRequest::require_origin) says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OriginPolicy {
    /// The origin's host and port must be those of the request's own `Host`.
    #[default]
    SameHost,
    /// The origin must be one of these, in scheme, host and port; of a host such as `*.example.com`, any below it.
    Listed(Vec<Origin>),
    /// Every page on the web. Only for services without cookies or other ambient credentials.
    Any,
}

impl OriginPolicy {
    /// These origins. `https://*.example.com` stands for all hosts below `example.com`, and not for that one; elsewhere
    /// a `*` stands for nothing.
    ///
    /// # Errors
    /// [`InvalidOrigin`] names the first that is none.
    pub fn listed<T: AsRef<str>>(origins: impl IntoIterator<Item = T>) -> Result<Self, InvalidOrigin> {
        let listed = |text: T| {
            let origin: Origin = text.as_ref().parse()?;
            let host = origin.host.strip_prefix("*.").unwrap_or(&origin.host);
            if host.contains('*') { Err(InvalidOrigin(text.as_ref().to_owned())) } else { Ok(origin) }
        };
        origins.into_iter().map(listed).collect::<Result<_, _>>().map(OriginPolicy::Listed)
    }

    /// Whether a page of `origin` may connect to `host`, both as the request says them.
    #[must_use]
    pub fn allows(&self, origin: &str, host: Option<&str>) -> bool {
        if *self == OriginPolicy::Any {
            return true;
        }
        let Ok(origin) = origin.parse::<Origin>() else { return false };
        match self {
            OriginPolicy::SameHost => host.is_some_and(|host| origin.is_at(host)),
            OriginPolicy::Listed(listed) => listed.iter().any(|one| one.covers(&origin)),
            OriginPolicy::Any => true,
        }
    }
}

/// The origin of a web page: scheme, host and port. `https://example.com` and `https://example.com:443` are the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Origin {
    /// Whether it is the other one, or stands for all hosts below one and the other is such.
    fn covers(&self, other: &Self) -> bool {
        let is_below = |domain: &str| {
            other
                .host
                .strip_suffix(domain)
                .and_then(|below| below.strip_suffix('.'))
                .is_some_and(|below| !below.is_empty())
        };
        let has_host = match self.host.strip_prefix("*.") {
            Some(domain) => is_below(domain),
            None => self.host == other.host,
        };
        has_host && self.scheme == other.scheme && self.port == other.port
    }

    /// Whether this is the host and port of a `Host` header. A `Host` without a port means the origin's own default,
    /// because a server behind a proxy cannot know which scheme the browser used.
    fn is_at(&self, host: &str) -> bool {
        let Some(default) = default_port(&self.scheme) else { return false };
        let Ok(authority) = host.parse::<Authority>() else { return false };
        let Some((host, port)) = host_and_port(&authority) else { return false };
        host.eq_ignore_ascii_case(&self.host) && port.unwrap_or(default) == self.port.unwrap_or(default)
    }
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let invalid = || InvalidOrigin(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| invalid())?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(invalid()) };
        let bare = text.len() == scheme.len() + "://".len() + authority.as_str().len();
        let (host, port) = host_and_port(authority).filter(|_| bare).ok_or_else(invalid)?;
        let scheme = scheme.to_ascii_lowercase();
        let port = port.filter(|port| default_port(&scheme) != Some(*port));
        Ok(Origin { host: host.to_ascii_lowercase(), port, scheme })
    }
}

/// An authority that is exactly `host` or `host:port`; parsers of URLs are more generous.
fn host_and_port(authority: &Authority) -> Option<(&str, Option<u16>)> {
    let host = authority.host();
    let rest = authority.as_str().strip_prefix(host).filter(|_| !host.is_empty())?;
    let port = match rest.strip_prefix(':') {
        Some(digits) => Some(digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))?),
        None if rest.is_empty() => None,
        None => return None,
    };
    Some((host, port))
}

/// Whether the text is what a `Host` header says: a host, and perhaps a port, which may be empty (RFC 9110 §7.2, RFC 3986
/// §3.2.3).
pub(super) fn is_host(text: &str) -> bool {
    let text = text.strip_suffix(':').unwrap_or(text);
    text.parse::<Authority>().is_ok_and(|authority| host_and_port(&authority).is_some())
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// The text is no `scheme://host` or `scheme://host:port`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an origin such as https://example.com")]
pub struct InvalidOrigin(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_the_same_host_and_port_connect_by_default_s01() {
        let allows = |origin, host| OriginPolicy::SameHost.allows(origin, Some(host));
        assert!(allows("https://example.com", "example.com"));
        assert!(allows("http://EXAMPLE.com", "example.COM"));
        assert!(allows("http://127.0.0.1:8000", "127.0.0.1:8000"));
        assert!(allows("http://[::1]:8000", "[::1]:8000"));
        assert!(allows("https://example.com", "example.com:443"));
        for (origin, host) in [
            ("https://evil.com", "example.com"),
            ("https://example.com.evil", "example.com"),
            ("https://example.com@evil.com", "example.com"),
            ("https://example.com:8443", "example.com"),
            ("http://example.com", "example.com:8000"),
            ("https://evil.com/https://example.com", "example.com"),
            ("null", "null"),
            ("", "example.com"),
            ("file://", "example.com"),
            ("chrome-extension://example.com", "example.com"),
            ("https://example.com:", "example.com"),
            ("https://example.com", "example.com:"),
            ("https://example.com", ""),
            ("https://example.com https://evil.com", "example.com"),
            ("http://[::1]a:8000", "[::1]:8000"),
            ("http://[::1]:8000", "[::1]a:8000"),
            ("https://example.com:+443", "example.com"),
        ] {
            assert!(!allows(origin, host), "{origin} at {host}");
        }
        assert!(!OriginPolicy::SameHost.allows("https://example.com", None));
    }

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for host in
            ["a", "a.example", "a_b.example", "127.0.0.1:80", "[::1]", "[::1]:8000", "a.example:", "xn--a:65535"]
        {
            assert!(is_host(host), "{host:?}");
        }
        for text in
            ["", ":", ":80", "a::", "a b", "a/b", "a:x", "a:65536", "u@a", "a, b", "http://a", "[::1", "a?", "ä"]
        {
            assert!(!is_host(text), "{text:?}");
        }
    }

    #[test]
    fn a_list_of_origins_is_exact_s01() {
        let policy = OriginPolicy::listed(["https://chat.example.com", "http://localhost:3000"]).unwrap();
        assert!(policy.allows("https://chat.example.com", None));
        assert!(policy.allows("https://chat.example.com:443", None));
        assert!(policy.allows("http://localhost:3000", None));
        for origin in ["http://chat.example.com", "https://example.com", "http://localhost", "null", "*"] {
            assert!(!policy.allows(origin, Some("chat.example.com")), "{origin}");
        }
        assert!(OriginPolicy::listed(["chat.example.com"]).is_err());
        assert!(OriginPolicy::listed(["https://chat.example.com/"]).is_err());
        assert!(OriginPolicy::listed(["*"]).is_err());
    }

    #[test]
    fn an_asterisk_stands_for_hosts_below_one_and_for_nothing_else_s01() {
        let policy = OriginPolicy::listed(["https://*.example.com", "http://*.localhost:3000"]).unwrap();
        for origin in [
            "https://a.example.com",
            "https://A.b.Example.com:443",
            "http://app.localhost:3000",
            "https://-.example.com",
        ] {
            assert!(policy.allows(origin, None), "{origin}");
        }
        for origin in [
            "https://example.com",
            "https://.example.com",
            "https://evilexample.com",
            "https://a.example.com.evil",
            "http://a.example.com",
            "https://a.example.com:8443",
            "http://app.localhost",
            "https://a.example.com@evil.com",
        ] {
            assert!(!policy.allows(origin, None), "{origin}");
        }
        for text in
            ["https://*", "https://a.*.example.com", "https://*example.com", "https://example.*", "https://*.*.a"]
        {
            assert!(OriginPolicy::listed([text]).is_err(), "{text}");
        }
    }
}
