//! What the load generator publishes, and how it finds it again in what a subscriber receives.
//!
//! Subscribers search instead of decoding JSON: on a machine that also runs the server, the generator's own work would
//! otherwise be most of what is measured.

use std::fmt::Write as _;

/// One published message: its number from 1, and when it was sent, in nanoseconds since the run began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) number: u64,
    pub(crate) sent_ns: u64,
}

impl Stamp {
    /// JSON text of exactly `bytes` bytes, or of as few as possible when that is too short.
    pub(crate) fn write(self, bytes: usize) -> String {
        let mut json = String::with_capacity(bytes);
        let _ = write!(json, r#"{{"n":{},"at":{},"pad":""#, self.number, self.sent_ns);
        let padding = bytes.saturating_sub(json.len() + 2);
        json.extend(std::iter::repeat_n('x', padding));
        json.push_str("\"}");
        json
    }

    /// Finds the stamp in a line of the server; `None` in a line that is no publication of ours.
    pub(crate) fn find(line: &str) -> Option<Stamp> {
        let (_, rest) = line.split_once(r#"{"n":"#)?;
        let (number, rest) = rest.split_once(r#","at":"#)?;
        let (sent_ns, _) = rest.split_once(',')?;
        Some(Stamp { number: number.parse().ok()?, sent_ns: sent_ns.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::PAYLOAD_BYTES_MIN;

    #[test]
    fn a_payload_is_json_of_the_size_asked_for() {
        for bytes in [PAYLOAD_BYTES_MIN, 128, 1000] {
            for number in [1, 10_000_000] {
                let json = Stamp { number, sent_ns: 600_000_000_000 }.write(bytes);
                assert_eq!(json.len(), bytes);
                assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
            }
        }
    }

    #[test]
    fn what_was_published_is_found_again_inside_a_push() {
        let stamp = Stamp { number: 17, sent_ns: 123_456 };
        let data = tidings_protocol::Payload::parse(stamp.write(128).as_bytes()).unwrap();
        let publication = tidings_protocol::Publication { data: Some(data), offset: 17, ..Default::default() };
        let line = tidings_protocol::json::encode_publication("bench", &publication);
        assert_eq!(Stamp::find(std::str::from_utf8(&line).unwrap()), Some(stamp));
        assert_eq!(Stamp::find(r#"{"id":3,"publish":{}}"#), None);
        assert_eq!(Stamp::find("{}"), None);
    }
}
