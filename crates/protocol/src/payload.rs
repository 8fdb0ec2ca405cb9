//! What applications send through us, and we carry and never look into: one JSON value, or bytes.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// How deep a payload may be nested, in arrays and objects within each other.
///
/// Readers recurse: Python's gives up at about 1,000, and one message that its readers cannot read would cut every
/// subscriber off again and again, because recovery would bring it back.
pub const PAYLOAD_DEPTH_MAX: usize = 128;

/// Characters of one number in a payload.
///
/// Readers give up here too: Python's `int()` at 4,300 digits, which an operator may lower to 640, and that ends its
/// client for good as depth does. The largest double written out has 309 digits.
pub const PAYLOAD_NUMBER_CHARS_MAX: usize = 512;

/// One valid JSON value, or bytes of the application's own form, and it says which. Cheap to clone.
///
/// JSON is kept as its text, at most [`PAYLOAD_DEPTH_MAX`] deep and with numbers of at most
/// [`PAYLOAD_NUMBER_CHARS_MAX`] characters. Line breaks between tokens are removed on the way in,
/// because messages in a frame are separated by them. Bytes reach those whose encoding can carry them, and the others only
/// where they are such JSON after all.
#[derive(Clone)]
pub struct Payload(Form);

#[derive(Clone)]
enum Form {
    Json(Arc<RawValue>),
    Bytes(Arc<[u8]>),
}

/// These bytes are not exactly one JSON value in UTF-8, or one that its readers could not read.
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

    /// Writes a value of a type of the program's own, and trusts it: that it is not nested deep, has no long number, and
    /// holds no JSON that somebody else wrote but [`Payload`]s. What we have written is not read again.
    ///
    /// # Errors
    /// As [`from_value`](Self::from_value).
    pub fn from_own<T: Serialize + ?Sized>(value: &T) -> Result<Self, InvalidJson> {
        Ok(Self(Form::Json(serde_json::value::to_raw_value(value)?.into())))
    }

    /// Takes bytes that are no JSON, or shall not be read as such.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(Form::Bytes(bytes.into()))
    }

    /// Reads the value as a `T`.
    ///
    /// # Errors
    /// [`InvalidJson`] when the value does not have that shape; bytes are read as JSON text, which they may be.
    pub fn to_value<'a, T: Deserialize<'a>>(&'a self) -> Result<T, InvalidJson> {
        Ok(match &self.0 {
            Form::Json(json) => serde_json::from_str(json.get()),
            Form::Bytes(bytes) => serde_json::from_slice(bytes),
        }?)
    }

    /// The JSON text; `None` for bytes.
    #[must_use]
    pub fn as_json(&self) -> Option<&str> {
        match &self.0 {
            Form::Json(json) => Some(json.get()),
            Form::Bytes(_) => None,
        }
    }

    /// The bytes, or those of the JSON text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Form::Json(json) => json.get().as_bytes(),
            Form::Bytes(bytes) => bytes,
        }
    }

    /// Whether JSON subscribers can have it: JSON, or bytes that are.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.to_json().is_ok()
    }

    /// A text, as the JSON string that it is.
    pub(crate) fn from_text(text: &str) -> Result<Self, serde_json::Error> {
        Ok(Self(Form::Json(serde_json::value::to_raw_value(text)?.into())))
    }

    /// The JSON text, also of bytes that are JSON: somebody may have sent it so, as whoever speaks protobuf does.
    pub(crate) fn to_json(&self) -> Result<Cow<'_, RawValue>, serde_json::Error> {
        match &self.0 {
            Form::Json(json) => Ok(Cow::Borrowed(json)),
            Form::Bytes(bytes) => one_line(serde_json::from_slice(bytes)?).map(Cow::Owned),
        }
    }

    fn from_raw(raw: Box<RawValue>) -> Result<Self, serde_json::Error> {
        one_line(raw).map(|json| Self(Form::Json(json.into())))
    }
}

/// JSON that readers can read, without line breaks.
fn one_line(raw: Box<RawValue>) -> Result<Box<RawValue>, serde_json::Error> {
    if is_unreadable(raw.get().as_bytes()) {
        return Err(serde::de::Error::custom(format_args!(
            "nested deeper than {PAYLOAD_DEPTH_MAX}, or with a number longer than {PAYLOAD_NUMBER_CHARS_MAX}"
        )));
    }
    // A valid JSON string holds no raw control character, so a line break can only stand between tokens.
    if !raw.get().bytes().fold(false, |any, byte| any | matches!(byte, b'\n' | b'\r')) {
        return Ok(raw);
    }
    RawValue::from_string(raw.get().replace(['\n', '\r'], " "))
}

/// Whether JSON text is more than every reader can read: deeper than [`PAYLOAD_DEPTH_MAX`], or with a number longer than
/// [`PAYLOAD_NUMBER_CHARS_MAX`]. Of a whole request it says why a payload in it was refused.
#[must_use]
pub fn is_unreadable(json: &[u8]) -> bool {
    // Most payloads have so few brackets, and no such run of digits, that the first look is enough.
    (has_many_brackets(json) || has_long_run(json)) && is_deep_or_long(json)
}

fn has_many_brackets(json: &[u8]) -> bool {
    // By chunks that a byte can count, which lets the compiler look at many bytes at a time.
    let brackets = |chunk: &[u8]| chunk.iter().map(|byte| u8::from(matches!(byte, b'[' | b'{'))).sum::<u8>();
    json.len() > PAYLOAD_DEPTH_MAX
        && json.chunks(u8::MAX.into()).map(|chunk| usize::from(brackets(chunk))).sum::<usize>() > PAYLOAD_DEPTH_MAX
}

/// Looks at every so manieth byte only: a longer number cannot pass between two of them.
fn has_long_run(json: &[u8]) -> bool {
    let stride = PAYLOAD_NUMBER_CHARS_MAX + 1;
    if json.len() < stride {
        return false;
    }
    let run = |bytes: &mut dyn Iterator<Item = &u8>| bytes.take_while(|byte| is_of_number(**byte)).take(stride).count();
    (0..json.len())
        .step_by(stride)
        .any(|at| run(&mut json[..at].iter().rev()) + run(&mut json[at..].iter()) > PAYLOAD_NUMBER_CHARS_MAX)
}

fn is_of_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
}

/// Counts brackets and characters of numbers outside of strings.
fn is_deep_or_long(json: &[u8]) -> bool {
    let (mut depth, mut number, mut in_string, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in json {
        number = if !in_string && is_of_number(*byte) { number + 1 } else { 0 };
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > PAYLOAD_DEPTH_MAX || number > PAYLOAD_NUMBER_CHARS_MAX {
            return true;
        }
    }
    false
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Json(json) => f.write_str(json.get()),
            Form::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
        }
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.as_json().is_some() == other.as_json().is_some() && self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Payload {}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_raw(Box::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
