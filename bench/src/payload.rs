//! What the load generator publishes, and how it finds it again in what a subscriber receives.
//!
//! Subscribers search instead of decoding JSON: on a machine that also runs the server, the generator's own work would
//! otherwise be most of what is measured.

use std::fmt::Write as _;

/// One published message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Counts from 1.
    pub(crate) number: u64,
    /// Which of the window's places it holds until every subscriber has it.
    pub(crate) place: usize,
    /// When it was sent, since the run began.
    pub(crate) sent_ns: u64,
}

impl Stamp {
    /// JSON text of exactly `bytes` bytes, or of as few as possible when that is too short.
    pub(crate) fn write(self, bytes: usize) -> String {
        let Stamp { number, place, sent_ns } = self;
        let mut json = String::with_capacity(bytes);
        let _ = write!(json, r#"{{"n":{number},"p":{place},"at":{sent_ns},"pad":""#);
        let padding = bytes.saturating_sub(json.len() + 2);
        json.extend(std::iter::repeat_n('x', padding));
        json.push_str("\"}");
        json
    }

    /// Finds the stamp in a line of the server; `None` in a line that is no publication of ours.
    pub(crate) fn find(line: &str) -> Option<Stamp> {
        let (_, rest) = line.split_once(r#"{"n":"#)?;
        let (number, rest) = rest.split_once(r#","p":"#)?;
        let (place, rest) = rest.split_once(r#","at":"#)?;
        let (sent_ns, _) = rest.split_once(',')?;
        Some(Stamp { number: number.parse().ok()?, place: place.parse().ok()?, sent_ns: sent_ns.parse().ok()? })
    }
}

/// The number that the server gave a publication; `None` in a channel without history.
pub(crate) fn offset(line: &str) -> Option<u64> {
    let (_, rest) = line.rsplit_once(r#","offset":"#)?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    rest[..digits].parse().ok()
}

/// The number of the channel that a publication came in.
pub(crate) fn channel(line: &str) -> Option<usize> {
    number_after(line, r#""channel":"bench-"#)
}

/// The first number behind these words.
pub(crate) fn number_after<T: std::str::FromStr>(text: &str, words: &str) -> Option<T> {
    let (_, rest) = text.split_once(words)?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    rest[..digits].parse().ok()
}

/// The text of one message of the chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Note {
    /// Counts from 1.
    pub(crate) number: u64,
    /// When it was due, since the run began.
    pub(crate) due_ns: u64,
}

impl Note {
    /// Text of exactly `bytes` bytes, or of as few as possible when that is too short. Needs no escaping in JSON.
    pub(crate) fn write(self, bytes: usize) -> String {
        let mut text = format!("#{} {} ", self.number, self.due_ns);
        let padding = bytes.saturating_sub(text.len());
        text.extend(std::iter::repeat_n('x', padding));
        text
    }

    /// Finds the note in the text of a message.
    pub(crate) fn parse(text: &str) -> Option<Note> {
        let (number, rest) = text.strip_prefix('#')?.split_once(' ')?;
        let (due_ns, _) = rest.split_once(' ')?;
        Some(Note { number: number.parse().ok()?, due_ns: due_ns.parse().ok()? })
    }

    /// Finds the note in a line of the server; `None` in a line that brings no message of ours.
    pub(crate) fn find(line: &str) -> Option<Note> {
        Note::parse(line.split_once(r#""body":""#)?.1)
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
                let json = Stamp { number, place: 1023, sent_ns: 600_000_000_000 }.write(bytes);
                assert_eq!(json.len(), bytes);
                assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
            }
        }
    }

    #[test]
    fn what_was_published_is_found_again_inside_a_push() {
        let stamp = Stamp { number: 17, place: 3, sent_ns: 123_456 };
        let data = tidings_protocol::Payload::parse(stamp.write(128).as_bytes()).unwrap();
        let epoch = "E".to_owned();
        let publication = tidings_protocol::Publication { data: Some(data), offset: 42, epoch, ..Default::default() };
        let line = crate::ENCODING.encode_publication(tidings_protocol::Label::Channel("bench"), &publication).unwrap();
        let line = std::str::from_utf8(&line).unwrap();
        assert_eq!(Stamp::find(line), Some(stamp));
        assert_eq!(offset(line), Some(42));
        assert_eq!(channel(line), None);
        assert_eq!(channel(&line.replace("bench", "bench-17")), Some(17));
        assert_eq!(offset(r#"{"push":{"channel":"bench","pub":{"data":1}}}"#), None);
        assert_eq!(Stamp::find(r#"{"id":3,"publish":{}}"#), None);
        assert_eq!(Stamp::find("{}"), None);
    }

    #[test]
    fn a_message_of_the_chat_is_found_again_by_its_text() {
        let note = Note { number: 7, due_ns: 1_234_567 };
        assert_eq!(note.write(100).len(), 100);
        assert_eq!(Note::parse(&note.write(100)), Some(note));
        let line = format!(r#"{{"push":{{"pub":{{"data":{{"message":{{"body":"{}","time":5}}}}}}}}}}"#, note.write(64));
        assert_eq!(Note::find(&line), Some(note));
        assert_eq!(Note::find(r#"{"body":"hello"}"#), None);
    }
}
