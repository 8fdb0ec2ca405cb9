//! What applications send through us: one JSON value that we carry and never look into.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// The text of one valid JSON value without raw line breaks. Cheap to clone.
///
/// Line breaks between tokens are removed on the way in, because messages in a frame are separated by them.
#[derive(Clone)]
pub struct Payload(Arc<RawValue>);

/// These bytes are not exactly one JSON value in UTF-8.
#[derive(Debug, thiserror::Error)]
#[error("not one valid JSON value: {0}")]
pub struct InvalidJson(#[from] serde_json::Error);

impl Payload {
    /// Takes one JSON value as it was written.
    ///
    /// # Errors
    /// [`InvalidJson`] when `json` is anything else than one JSON value, possibly with white space around it.
    pub fn parse(json: &[u8]) -> Result<Self, InvalidJson> {
        Ok(Self::from_raw(serde_json::from_slice::<Box<RawValue>>(json)?))
    }

    /// Writes `value` as JSON.
    ///
    /// # Errors
    /// [`InvalidJson`] when the value cannot be JSON: a map whose keys are not strings, or a failing `Serialize`.
    pub fn from_value<T: Serialize + ?Sized>(value: &T) -> Result<Self, InvalidJson> {
        Ok(Self::from_raw(serde_json::value::to_raw_value(value)?))
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

    fn from_raw(raw: Box<RawValue>) -> Self {
        // A valid JSON string holds no raw control character, so a line break can only stand between tokens.
        let line_break = |c: char| c == '\n' || c == '\r';
        if !raw.get().contains(line_break) {
            return Self(raw.into());
        }
        let one_line = raw.get().replace(line_break, " ");
        Self(RawValue::from_string(one_line).map_or_else(|_| raw.into(), Into::into))
    }
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

impl From<&serde_json::Value> for Payload {
    fn from(value: &serde_json::Value) -> Self {
        Self::from_value(value).expect("a JSON value is JSON")
    }
}

impl From<serde_json::Value> for Payload {
    fn from(value: serde_json::Value) -> Self {
        Self::from(&value)
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from_raw(Box::deserialize(deserializer)?))
    }
}
