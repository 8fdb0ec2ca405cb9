//! What applications send through us: one JSON value that we carry and never look into.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// How deep a payload may be nested, in arrays and objects within each other.
///
/// Readers recurse: Python's gives up at about 1,000, and one message that its readers cannot read would cut every
/// subscriber off again and again, because recovery would bring it back.
pub const PAYLOAD_DEPTH_MAX: usize = 128;

/// The text of one valid JSON value without raw line breaks, at most [`PAYLOAD_DEPTH_MAX`] deep. Cheap to clone.
///
/// Line breaks between tokens are removed on the way in, because messages in a frame are separated by them.
#[derive(Clone)]
pub struct Payload(Arc<RawValue>);

/// These bytes are not exactly one JSON value in UTF-8, or one that is nested too deep.
#[derive(Debug, thiserror::Error)]
#[error("not one valid JSON value: {0}")]
pub struct InvalidJson(#[from] serde_json::Error);

impl Payload {
    /// Takes one JSON value as it was written.
    ///
    /// # Errors
    /// [`InvalidJson`] when `json` is anything else than one JSON value, possibly with white space around it.
    pub fn parse(json: &[u8]) -> Result<Self, InvalidJson> {
        Ok(serde_json::from_slice(json)?)
    }

    /// Writes `value` as JSON.
    ///
    /// # Errors
    /// [`InvalidJson`] when the value cannot be JSON: a map whose keys are not strings, or a failing `Serialize`.
    pub fn from_value<T: Serialize + ?Sized>(value: &T) -> Result<Self, InvalidJson> {
        Ok(Self::from_raw(serde_json::value::to_raw_value(value)?)?)
    }

    /// Reads the value as a `T`.
    ///
    /// # Errors
    /// [`InvalidJson`] when the value does not have that shape.
    pub fn to_value<'a, T: Deserialize<'a>>(&'a self) -> Result<T, InvalidJson> {
        Ok(serde_json::from_str(self.as_str())?)
    }

    /// The JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// The JSON text as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.as_str().as_bytes()
    }

    fn from_raw(raw: Box<RawValue>) -> Result<Self, serde_json::Error> {
        if is_too_deep(raw.get().as_bytes()) {
            return Err(serde::de::Error::custom(format_args!("nested deeper than {PAYLOAD_DEPTH_MAX}")));
        }
        // A valid JSON string holds no raw control character, so a line break can only stand between tokens.
        let line_break = |c: char| c == '\n' || c == '\r';
        if !raw.get().contains(line_break) {
            return Ok(Self(raw.into()));
        }
        let one_line = raw.get().replace(line_break, " ");
        Ok(Self(RawValue::from_string(one_line)?.into()))
    }
}

/// Counts brackets outside of strings; most payloads have so few of them that the first look is enough.
fn is_too_deep(json: &[u8]) -> bool {
    let opens = |byte: &u8| matches!(byte, b'[' | b'{');
    if json.iter().filter(|byte| opens(byte)).count() <= PAYLOAD_DEPTH_MAX {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > PAYLOAD_DEPTH_MAX {
            return true;
        }
    }
    false
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Payload {}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_raw(Box::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
