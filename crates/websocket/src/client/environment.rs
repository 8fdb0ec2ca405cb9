//! Which proxy the environment names for a URL, by the rules of curl. Reads variables through a function, so that it can be
//! tried without setting any.

use super::{
    InvalidProxy, Proxy,
    dial::{Target, without_brackets},
};
use http::Uri;
use std::net::IpAddr;

/// The proxy for a URL; `None` if it is to be reached without one.
pub(super) fn proxy(uri: &Uri, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Proxy>, InvalidProxy> {
    let Ok(target) = Target::of(uri) else { return Ok(None) };
    let either_case = |upper: &str| variable(&upper.to_lowercase()).or_else(|| variable(upper));
    let exceptions = either_case("NO_PROXY").unwrap_or_default();
    if exceptions.split([',', ' ']).any(|exception| covers(exception, &target)) {
        return Ok(None);
    }
    let own = match (target.tls, variable("REQUEST_METHOD")) {
        (true, _) => either_case("HTTPS_PROXY"),
        (false, None) => either_case("HTTP_PROXY"),
        // In a CGI program, HTTP_PROXY is the request's header field Proxy, and its sender's to choose.
        (false, Some(_)) => variable("http_proxy"),
    };
    let Some(text) = own.filter(|text| !text.is_empty()).or_else(|| either_case("ALL_PROXY")) else { return Ok(None) };
    match text.as_str() {
        "" => Ok(None),
        text if text.contains("://") => text.parse().map(Some),
        text => format!("http://{text}").parse().map(Some),
    }
}

/// Whether an element of `NO_PROXY` means this target: `*`, a domain with all below it, an address, or a network such as
/// `10.0.0.0/8`; all but the first perhaps with a port.
fn covers(exception: &str, target: &Target<'_>) -> bool {
    let (name, port) = match exception.rsplit_once(':') {
        // Not the last colon of an IPv6 address.
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, Some(port)),
        _ => (exception, None),
    };
    if name == "*" {
        return true;
    }
    if name.is_empty() || port.is_some_and(|port| port.parse() != Ok(target.port)) {
        return false;
    }
    let name = without_brackets(name);
    if let Ok(address) = target.host.parse() {
        return is_in(address, name);
    }
    let (name, host) = (name.to_ascii_lowercase(), target.host.to_ascii_lowercase());
    let domain = name.trim_start_matches('*').trim_start_matches('.');
    host.strip_suffix(domain).is_some_and(|below| below.is_empty() || below.ends_with('.'))
}

fn is_in(address: IpAddr, network: &str) -> bool {
    let (base, bits) = network.split_once('/').unwrap_or((network, "128"));
    let (address, base, width) = match (address, base.parse()) {
        (IpAddr::V4(address), Ok(IpAddr::V4(base))) => (address.to_bits().into(), base.to_bits().into(), 32),
        (IpAddr::V6(address), Ok(IpAddr::V6(base))) => (address.to_bits(), base.to_bits(), 128),
        _ => return false,
    };
    let differs: u128 = address ^ base;
    bits.parse::<u32>().is_ok_and(|bits| differs.checked_shr(width - bits.min(width)).unwrap_or_default() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The proxy for a URL in an environment.
    fn chosen(url: &str, environment: &[(&str, &str)]) -> Option<String> {
        let variable = |name: &str| {
            environment.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned())
        };
        proxy(&url.parse().unwrap(), variable).unwrap().map(|proxy| format!("{proxy:?}"))
    }

    #[test]
    fn each_scheme_has_its_proxy_and_one_is_for_all() {
        let all = [("http_proxy", "http://a:1"), ("HTTPS_PROXY", "b:2"), ("ALL_PROXY", "socks5://c:3")];
        assert_eq!(chosen("ws://x/", &all).as_deref(), Some("Proxy(Http a:1)"));
        assert_eq!(chosen("wss://x/", &all).as_deref(), Some("Proxy(Http b:2)"));
        assert_eq!(chosen("ws://x/", &all[2..]).as_deref(), Some("Proxy(Socks5 c:3)"));
        assert_eq!(
            chosen("wss://x/", &[("HTTPS_PROXY", "a:1"), ("https_proxy", "b:2")]).as_deref(),
            Some("Proxy(Http b:2)")
        );
        assert_eq!(chosen("wss://x/", &[("HTTPS_PROXY", "")]), None);
        assert_eq!(chosen("wss://x/", &[]), None);
        let wrong = |name: &str| (name == "ALL_PROXY").then(|| "ftp://a".to_owned());
        assert_eq!(proxy(&"ws://x/".parse().unwrap(), wrong), Err(InvalidProxy));
    }

    #[test]
    fn a_request_to_a_cgi_program_chooses_no_proxy() {
        assert_eq!(chosen("ws://x/", &[("HTTP_PROXY", "evil:1"), ("REQUEST_METHOD", "GET")]), None);
    }

    #[test]
    fn no_proxy_names_hosts_domains_addresses_and_networks() {
        let direct =
            |url: &str, exceptions: &str| chosen(url, &[("ALL_PROXY", "a:1"), ("NO_PROXY", exceptions)]).is_none();
        for (url, exceptions) in [
            ("ws://x/", "*"),
            ("ws://x.example/", "y, X.example"),
            ("ws://deep.x.example/", "x.example"),
            ("ws://deep.x.example/", ".x.example y"),
            ("ws://deep.x.example/", "*.x.example"),
            ("ws://x.example:81/", "x.example:81"),
            ("wss://x.example/", "x.example:443"),
            ("ws://10.1.2.3/", "10.0.0.0/8"),
            ("ws://10.1.2.3/", "10.1.2.3"),
            ("ws://10.1.2.3/", "0.0.0.0/0"),
            ("ws://[fd00::1]/", "fd00::/8"),
            ("ws://[::1]:81/", "[::1]:81"),
            ("ws://[::1]/", "::/0"),
        ] {
            assert!(direct(url, exceptions), "{url} {exceptions}");
        }
        for (url, exceptions) in [
            ("ws://x/", ""),
            ("ws://x/", ","),
            ("ws://notx.example/", "x.example"),
            ("ws://x.example/", "deep.x.example"),
            ("ws://x.example/", "x.example:81"),
            ("ws://x.example/", "x.example:y"),
            ("ws://11.1.2.3/", "10.0.0.0/8"),
            ("ws://10.1.2.3/", "10.1.2"),
            ("ws://10.1.2.3/", "10.1.2.3/x"),
            ("ws://[fe00::1]/", "fd00::/8"),
        ] {
            assert!(!direct(url, exceptions), "{url} {exceptions}");
        }
    }
}
