//! Agreeing on permessage-deflate (RFC 7692 §7.1).

use crate::deflate::{Agreement, WINDOW_BITS_MAX, WINDOW_BITS_MIN};

const NAME: &str = "permessage-deflate";

/// What this end wants of permessage-deflate.
///
/// Memory while a connection is idle: with context takeover a compressor (371 KiB with 15 window bits, 259 with 12, 245
/// with 9) and an inflater of 47 KiB stay with each connection once used; without it they are borrowed from the thread, and
/// the connection holds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeflateOptions {
    /// 1 (fast) to 9 (small).
    pub level: u32,
    /// Messages shorter than this many bytes are sent as they are.
    pub threshold_bytes: usize,
    /// The server starts every message with an empty window: less memory, more bytes, and prepared messages are
    /// compressed once for all.
    pub server_no_context_takeover: bool,
    /// The client starts every message with an empty window.
    pub client_no_context_takeover: bool,
    /// The largest window of the server, as the exponent of two: 9 to 15. Anything else counts as the nearest of these:
    /// RFC 7692 §7.1.2 knows 8 to 15, and the compressor cannot do 8.
    pub server_max_window_bits: u8,
    /// The largest window of the client, likewise.
    pub client_max_window_bits: u8,
}

/// Nobody keeps a window, so that a connection costs nothing while idle; fast compression; from 128 bytes.
impl Default for DeflateOptions {
    fn default() -> Self {
        DeflateOptions {
            level: 1,
            threshold_bytes: 128,
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            server_max_window_bits: WINDOW_BITS_MAX,
            client_max_window_bits: WINDOW_BITS_MAX,
        }
    }
}

impl DeflateOptions {
    /// The same with both ends keeping their windows: fewer bytes, more memory for each connection.
    #[must_use]
    pub fn with_context_takeover(mut self) -> Self {
        self.server_no_context_takeover = false;
        self.client_no_context_takeover = false;
        self
    }

    /// The same with windows that we can offer and keep to.
    fn in_bounds(mut self) -> Self {
        self.server_max_window_bits = self.server_max_window_bits.clamp(WINDOW_BITS_MIN, WINDOW_BITS_MAX);
        self.client_max_window_bits = self.client_max_window_bits.clamp(WINDOW_BITS_MIN, WINDOW_BITS_MAX);
        self
    }
}

/// The parameters of one offer or answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Parameters {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    /// Present without a value in an offer: the client lets the server choose.
    client_max_window_bits: Option<Option<u8>>,
}

impl Parameters {
    /// Reads one element of `Sec-WebSocket-Extensions`; `None` unless it is permessage-deflate with parameters that are
    /// known, valid, and each there once.
    fn parse(element: &str) -> Option<Self> {
        let mut parts = element.split(';').map(str::trim);
        if !parts.next()?.eq_ignore_ascii_case(NAME) {
            return None;
        }
        let mut parameters = Parameters::default();
        for part in parts {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name.trim_end(), Some(window_bits(value.trim_start())?)),
                None => (part, None),
            };
            let first = match (name, value) {
                ("server_no_context_takeover", None) => {
                    !std::mem::replace(&mut parameters.server_no_context_takeover, true)
                }
                ("client_no_context_takeover", None) => {
                    !std::mem::replace(&mut parameters.client_no_context_takeover, true)
                }
                ("server_max_window_bits", Some(bits)) => parameters.server_max_window_bits.replace(bits).is_none(),
                ("client_max_window_bits", bits) => parameters.client_max_window_bits.replace(bits).is_none(),
                _ => false,
            };
            if !first {
                return None;
            }
        }
        Some(parameters)
    }
}

fn window_bits(value: &str) -> Option<u8> {
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    let plain = value.bytes().all(|byte| byte.is_ascii_digit()) && !value.starts_with('0');
    value.parse().ok().filter(|bits| plain && (8..=WINDOW_BITS_MAX).contains(bits))
}

/// The server's side: agrees to the first offer that it can meet, and says so in the answer's element.
pub(crate) fn agree<'a>(
    offers: impl Iterator<Item = &'a str>,
    options: &DeflateOptions,
) -> Option<(Agreement, String)> {
    // We cannot compress into a window of 2^8 bytes, so such an offer is passed over.
    let offer = offers.filter_map(Parameters::parse).find(|offer| offer.server_max_window_bits != Some(8))?;
    let options = options.in_bounds();
    let agreed = Agreement {
        server_no_context_takeover: offer.server_no_context_takeover || options.server_no_context_takeover,
        client_no_context_takeover: offer.client_no_context_takeover || options.client_no_context_takeover,
        server_max_window_bits: offer
            .server_max_window_bits
            .unwrap_or(WINDOW_BITS_MAX)
            .min(options.server_max_window_bits),
        client_max_window_bits: match offer.client_max_window_bits {
            Some(limit) => limit.unwrap_or(WINDOW_BITS_MAX).min(options.client_max_window_bits),
            None => WINDOW_BITS_MAX, // only a client that names the parameter can be asked for it
        },
    };
    let mut answer = NAME.to_owned();
    if agreed.server_no_context_takeover {
        answer.push_str("; server_no_context_takeover");
    }
    if agreed.client_no_context_takeover {
        answer.push_str("; client_no_context_takeover");
    }
    if agreed.server_max_window_bits < WINDOW_BITS_MAX || offer.server_max_window_bits.is_some() {
        answer.push_str(&format!("; server_max_window_bits={}", agreed.server_max_window_bits));
    }
    if agreed.client_max_window_bits < WINDOW_BITS_MAX {
        answer.push_str(&format!("; client_max_window_bits={}", agreed.client_max_window_bits));
    }
    Some((agreed, answer))
}

/// The client's side: what it offers.
#[cfg(feature = "client")]
pub(crate) fn offer(options: &DeflateOptions) -> String {
    let options = options.in_bounds();
    let mut offer = NAME.to_owned();
    if options.server_no_context_takeover {
        offer.push_str("; server_no_context_takeover");
    }
    if options.client_no_context_takeover {
        offer.push_str("; client_no_context_takeover");
    }
    if options.server_max_window_bits < WINDOW_BITS_MAX {
        offer.push_str(&format!("; server_max_window_bits={}", options.server_max_window_bits));
    }
    offer.push_str("; client_max_window_bits");
    if options.client_max_window_bits < WINDOW_BITS_MAX {
        offer.push_str(&format!("={}", options.client_max_window_bits));
    }
    offer
}

/// The client's side: reads the server's answer. `Ok(None)` when it agreed to nothing, `Err` when it agreed to
/// something that was not offered (RFC 6455 §4.1, RFC 7692 §5.1).
#[cfg(feature = "client")]
pub(crate) fn read_answer<'a>(
    mut elements: impl Iterator<Item = &'a str>,
    options: Option<&DeflateOptions>,
) -> Result<Option<Agreement>, ()> {
    let Some(element) = elements.next() else { return Ok(None) };
    let (Some(options), None) = (options.map(|options| options.in_bounds()), elements.next()) else { return Err(()) };
    let answer = Parameters::parse(element).ok_or(())?;
    let server_bits = answer.server_max_window_bits.unwrap_or(WINDOW_BITS_MAX);
    let client_bits = match answer.client_max_window_bits {
        None => options.client_max_window_bits,
        Some(Some(bits)) => bits.min(options.client_max_window_bits),
        Some(None) => return Err(()), // an answer says how many
    };
    let broken = (options.server_no_context_takeover && !answer.server_no_context_takeover)
        || server_bits > options.server_max_window_bits;
    if broken {
        return Err(());
    }
    Ok(Some(Agreement {
        server_no_context_takeover: answer.server_no_context_takeover,
        client_no_context_takeover: answer.client_no_context_takeover || options.client_no_context_takeover,
        server_max_window_bits: server_bits,
        client_max_window_bits: client_bits,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(offer: &str, options: DeflateOptions) -> Option<String> {
        agree(offer.split(',').map(str::trim), &options).map(|(_, answer)| answer)
    }

    #[test]
    fn the_first_offer_that_can_be_met_is_met() {
        let keep = DeflateOptions::default().with_context_takeover();
        assert_eq!(answer("permessage-deflate", keep).as_deref(), Some("permessage-deflate"));
        assert_eq!(
            answer("permessage-deflate; client_max_window_bits", DeflateOptions::default()).as_deref(),
            Some("permessage-deflate; server_no_context_takeover; client_no_context_takeover")
        );
        assert_eq!(
            answer(
                "permessage-deflate; server_max_window_bits=8, x-other, permessage-deflate; server_max_window_bits=10",
                keep
            )
            .as_deref(),
            Some("permessage-deflate; server_max_window_bits=10")
        );
        let small = DeflateOptions { server_max_window_bits: 9, client_max_window_bits: 10, ..keep };
        assert_eq!(
            answer("permessage-deflate; client_max_window_bits", small).as_deref(),
            Some("permessage-deflate; server_max_window_bits=9; client_max_window_bits=10")
        );
        assert_eq!(
            answer("PERMESSAGE-DEFLATE; client_max_window_bits=\"9\"", keep).as_deref(),
            Some("permessage-deflate; client_max_window_bits=9")
        );
    }

    #[test]
    fn an_offer_with_unknown_invalid_or_repeated_parameters_is_passed_over() {
        for offer in [
            "x-webkit-deflate-frame",
            "permessage-deflate; x",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate; server_max_window_bits=010",
            "permessage-deflate; server_max_window_bits=+9",
            "permessage-deflate; client_max_window_bits=0",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        ] {
            assert_eq!(answer(offer, DeflateOptions::default()), None, "{offer}");
        }
    }

    #[cfg(feature = "client")]
    #[test]
    fn windows_that_cannot_be_are_brought_to_the_nearest_that_can() {
        let odd = |server, client| DeflateOptions {
            server_max_window_bits: server,
            client_max_window_bits: client,
            ..DeflateOptions::default().with_context_takeover()
        };
        let (small, large) = (odd(0, 8), odd(16, 255));
        let offered = "permessage-deflate; server_max_window_bits=9; client_max_window_bits=9";
        assert_eq!(offer(&small), offered);
        assert_eq!(answer("permessage-deflate; client_max_window_bits", small).as_deref(), Some(offered));
        let agreed = read_answer(std::iter::once(offered), Some(&small)).unwrap().unwrap();
        assert_eq!((agreed.server_max_window_bits, agreed.client_max_window_bits), (9, 9));
        assert_eq!(offer(&large), "permessage-deflate; client_max_window_bits");
        let agreed = read_answer(std::iter::once("permessage-deflate"), Some(&large)).unwrap().unwrap();
        assert_eq!((agreed.server_max_window_bits, agreed.client_max_window_bits), (15, 15));
    }

    #[cfg(feature = "client")]
    #[test]
    fn a_client_refuses_an_answer_that_goes_beyond_its_offer() {
        let offered = DeflateOptions { server_max_window_bits: 10, ..DeflateOptions::default() };
        let read = |element: &str| read_answer(std::iter::once(element), Some(&offered));
        assert!(read("permessage-deflate; server_no_context_takeover; server_max_window_bits=10").unwrap().is_some());
        assert!(read("permessage-deflate; server_no_context_takeover; server_max_window_bits=11").is_err());
        assert!(read("permessage-deflate; server_max_window_bits=10").is_err());
        assert!(read("permessage-deflate; server_no_context_takeover").is_err());
        assert!(read("permessage-deflate; x").is_err());
        assert!(read_answer(std::iter::once("permessage-deflate"), None).is_err());
        assert_eq!(read_answer(std::iter::empty(), Some(&offered)), Ok(None));
    }
}
