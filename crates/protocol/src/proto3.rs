//! The format of protobuf, as far as our messages need it: a message is a list of fields, a field a number and what it
//! holds, which is a number too or bytes behind their length.
//!
//! Nothing is made room for before its bytes are there. Knows no message of ours.

/// How deep messages may lie within each other, which only [filters](crate::FilterNode) use: about what JSON can carry.
pub(crate) const MESSAGE_DEPTH_MAX: usize = 64;

/// Why something is no message.
pub(crate) type Malformed = &'static str;

/// A message of protobuf.
pub(crate) trait Message: Default {
    /// Writes its fields.
    fn write(&self, out: &mut Vec<u8>);

    /// Takes a field; one that it does not know is ignored. It may hold messages as deep as `depth`.
    fn set(&mut self, number: u32, value: Value<'_>, depth: usize) -> Result<(), Malformed>;
}

impl<T: Message> Message for Box<T> {
    fn write(&self, out: &mut Vec<u8>) {
        T::write(self, out);
    }

    fn set(&mut self, number: u32, value: Value<'_>, depth: usize) -> Result<(), Malformed> {
        T::set(self, number, value, depth)
    }
}

/// What a field holds, as far as our messages have such fields.
pub(crate) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Four or eight bytes, or a group.
    Other,
}

impl<'a> Value<'a> {
    pub(crate) fn number(&self) -> Result<u64, Malformed> {
        if let Self::Number(number) = self { Ok(*number) } else { Err("a number is expected") }
    }

    pub(crate) fn bytes(&self) -> Result<&'a [u8], Malformed> {
        if let Self::Bytes(bytes) = self { Ok(bytes) } else { Err("something with a length is expected") }
    }

    pub(crate) fn text(&self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| "a text is not UTF-8")
    }

    /// Adds the fields to a message.
    pub(crate) fn message<M: Message>(&self, message: &mut M, depth: usize) -> Result<(), Malformed> {
        let depth = deeper(depth)?;
        for field in Fields::of(self.bytes()?) {
            let (number, value) = field?;
            message.set(number, value, depth)?;
        }
        Ok(())
    }
}

/// How deep messages may still lie within a message of so many.
pub(crate) fn deeper(depth: usize) -> Result<usize, Malformed> {
    depth.checked_sub(1).ok_or("messages lie too deep within each other")
}

/// The fields of a message, by their numbers; the last one is an error when the message is malformed.
pub(crate) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    fn read(&mut self) -> Result<(u32, Value<'a>), Malformed> {
        let (number, kind) = key(&mut self.0)?;
        let value = match kind {
            VARINT => Value::Number(varint(&mut self.0)?),
            DELIMITED => Value::Bytes(delimited_bytes(&mut self.0)?),
            _ => {
                skip(&mut self.0, number, kind, MESSAGE_DEPTH_MAX)?;
                Value::Other
            }
        };
        Ok((number, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

// What a field's key says of what follows (the wire types of the format).
const VARINT: u64 = 0;
const EIGHT_BYTES: u64 = 1;
const DELIMITED: u64 = 2;
const GROUP: u64 = 3;
const GROUP_END: u64 = 4;
const FOUR_BYTES: u64 = 5;

fn key(input: &mut &[u8]) -> Result<(u32, u64), Malformed> {
    let key = varint(input)?;
    match u32::try_from(key >> 3) {
        Ok(number) if number > 0 => Ok((number, key & 7)),
        _ => Err("the number of a field is out of range"),
    }
}

fn skip(input: &mut &[u8], number: u32, kind: u64, depth: usize) -> Result<(), Malformed> {
    match kind {
        VARINT => varint(input).map(|_| ()),
        EIGHT_BYTES => take(input, 8).map(|_| ()),
        DELIMITED => delimited_bytes(input).map(|_| ()),
        FOUR_BYTES => take(input, 4).map(|_| ()),
        // Long out of use, but what is unknown may be one.
        GROUP => loop {
            match key(input)? {
                (inner, GROUP_END) if inner == number => return Ok(()),
                (inner, kind) => skip(input, inner, kind, deeper(depth)?)?,
            }
        },
        _ => Err("a field is of no known kind"),
    }
}

fn take<'a>(input: &mut &'a [u8], count: u64) -> Result<&'a [u8], Malformed> {
    let split = usize::try_from(count).ok().and_then(|count| input.split_at_checked(count));
    let (taken, rest) = split.ok_or("a message ends before its time")?;
    *input = rest;
    Ok(taken)
}

pub(crate) fn delimited_bytes<'a>(input: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let count = varint(input)?;
    take(input, count)
}

/// A number in groups of seven bits, the lowest first.
fn varint(input: &mut &[u8]) -> Result<u64, Malformed> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(input, 1)?[0];
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            break;
        }
        number |= bits << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err("a number has more than 64 bits")
}

fn write_varint(mut number: u64, out: &mut Vec<u8>) {
    while number > 0x7f {
        out.push(0x80 | (number & 0x7f) as u8);
        number >>= 7;
    }
    out.push((number & 0x7f) as u8);
}

fn write_key(number: u32, kind: u64, out: &mut Vec<u8>) {
    write_varint(u64::from(number) << 3 | kind, out);
}

pub(crate) fn write_number(number: u32, value: u64, out: &mut Vec<u8>) {
    write_key(number, VARINT, out);
    write_varint(value, out);
}

pub(crate) fn write_bytes(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    write_key(number, DELIMITED, out);
    write_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

pub(crate) fn write_message(number: u32, message: &impl Message, out: &mut Vec<u8>) {
    write_delimited(number, out, |out| message.write(out));
}

pub(crate) fn write_delimited(number: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    write_key(number, DELIMITED, out);
    delimited(out, write);
}

/// Puts the length before what is written, which moves up when the length takes more than the one byte that was left for it.
pub(crate) fn delimited(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.push(0);
    write(out);
    let length = out.len() - start - 1;
    if let Ok(byte @ ..0x80) = u8::try_from(length) {
        out[start] = byte;
    } else {
        let mut written = Vec::new();
        write_varint(length as u64, &mut written);
        out.splice(start..=start, written);
    }
}
