//! How every field of a message is written, in JSON and in protobuf, and the macros that declare a message once for both.
//!
//! In both, zero values are left out and unknown fields are ignored. In JSON `null` means absent, but of a payload it is a
//! value.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::Payload;
use crate::proto3::{self, Fields, Malformed, Message, Value};

/// A type that fields of messages have.
pub(crate) trait Field: Sized {
    /// It is left out, because it is what the reader assumes anyway.
    fn is_zero(&self) -> bool;

    /// It is left out also where zeros are written.
    fn is_absent(&self) -> bool {
        false
    }

    /// Reads what stands in JSON.
    fn read_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;

    /// Writes it as the field `number`; what is zero is not written.
    fn write_protobuf(&self, number: u32, out: &mut Vec<u8>);

    /// Takes what a field holds, of a message that may hold others as deep as `depth` within each other.
    fn read_protobuf(&mut self, value: Value<'_>, depth: usize) -> Result<(), Malformed>;
}

pub(crate) fn null_is_absent<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

macro_rules! varints {
    ($($type:ty: $to:expr, $from:expr;)*) => {$(
        impl Field for $type {
            fn is_zero(&self) -> bool {
                *self == Self::default()
            }
            fn read_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                null_is_absent(deserializer)
            }
            fn write_protobuf(&self, number: u32, out: &mut Vec<u8>) {
                proto3::write_number(number, $to(*self), out);
            }
            fn read_protobuf(&mut self, value: Value<'_>, _: usize) -> Result<(), Malformed> {
                *self = $from(value.number()?)?;
                Ok(())
            }
        }
    )*};
}
// A number that is too large for a 32-bit field loses its upper bits, as protobuf wants it; but close codes are 16 bits here.
varints! {
    bool: u64::from, |number| Ok::<_, Malformed>(number != 0);
    u16: u64::from, |number| Self::try_from(number).map_err(|_| "a close code has 16 bits");
    u32: u64::from, |number| Ok::<_, Malformed>(low_bits(number));
    u64: u64::from, Ok::<_, Malformed>;
    i32: |number| i64::from(number).cast_unsigned(), |number| Ok::<_, Malformed>(low_bits(number).cast_signed());
    i64: i64::cast_unsigned, |number: u64| Ok::<_, Malformed>(number.cast_signed());
}

#[expect(clippy::cast_possible_truncation, reason = "it is meant")]
fn low_bits(number: u64) -> u32 {
    number as u32
}

macro_rules! texts {
    ($($type:ty),*) => {$(
        impl Field for $type {
            fn is_zero(&self) -> bool {
                self.is_empty()
            }
            fn read_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                null_is_absent(deserializer)
            }
            fn write_protobuf(&self, number: u32, out: &mut Vec<u8>) {
                proto3::write_bytes(number, self.as_bytes(), out);
            }
            fn read_protobuf(&mut self, value: Value<'_>, _: usize) -> Result<(), Malformed> {
                *self = value.text()?.to_owned().into();
                Ok(())
            }
        }
    )*};
}
texts!(String, Cow<'static, str>);

impl Field for Option<Payload> {
    /// Protobuf cannot tell no data from no bytes.
    fn is_zero(&self) -> bool {
        self.as_ref().is_none_or(|payload| payload.as_bytes().is_empty())
    }

    fn is_absent(&self) -> bool {
        self.is_zero()
    }

    fn read_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Payload::deserialize(deserializer).map(Some)
    }

    fn write_protobuf(&self, number: u32, out: &mut Vec<u8>) {
        proto3::write_bytes(number, self.as_ref().map_or(&[], Payload::as_bytes), out);
    }

    fn read_protobuf(&mut self, value: Value<'_>, _: usize) -> Result<(), Malformed> {
        *self = Some(value.bytes()?).filter(|bytes| !bytes.is_empty()).map(Payload::from_bytes);
        Ok(())
    }
}

impl<T: Message + DeserializeOwned> Field for Option<T> {
    fn is_zero(&self) -> bool {
        self.is_none()
    }

    fn is_absent(&self) -> bool {
        self.is_none()
    }

    fn read_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(deserializer)
    }

    fn write_protobuf(&self, number: u32, out: &mut Vec<u8>) {
        if let Some(message) = self {
            proto3::write_message(number, message, out);
        }
    }

    fn read_protobuf(&mut self, value: Value<'_>, depth: usize) -> Result<(), Malformed> {
        value.message(self.get_or_insert_default(), depth)
    }
}

impl<T: Message + DeserializeOwned> Field for Vec<T> {
    fn is_zero(&self) -> bool {
        self.is_empty()
    }

    fn read_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        null_is_absent(deserializer)
    }

    fn write_protobuf(&self, number: u32, out: &mut Vec<u8>) {
        self.iter().for_each(|message| proto3::write_message(number, message, out));
    }

    fn read_protobuf(&mut self, value: Value<'_>, depth: usize) -> Result<(), Malformed> {
        let mut message = T::default();
        value.message(&mut message, depth)?;
        self.push(message);
        Ok(())
    }
}

impl Field for Vec<String> {
    fn is_zero(&self) -> bool {
        self.is_empty()
    }

    fn read_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        null_is_absent(deserializer)
    }

    fn write_protobuf(&self, number: u32, out: &mut Vec<u8>) {
        self.iter().for_each(|text| proto3::write_bytes(number, text.as_bytes(), out));
    }

    fn read_protobuf(&mut self, value: Value<'_>, _: usize) -> Result<(), Malformed> {
        self.push(value.text()?.to_owned());
        Ok(())
    }
}

impl<T: MapValue + DeserializeOwned> Field for BTreeMap<String, T> {
    fn is_zero(&self) -> bool {
        self.is_empty()
    }

    fn read_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        null_is_absent(deserializer)
    }

    /// A map is a list of messages with a key and a value.
    fn write_protobuf(&self, number: u32, out: &mut Vec<u8>) {
        for (key, value) in self {
            proto3::write_delimited(number, out, |out| {
                proto3::write_bytes(1, key.as_bytes(), out);
                value.write_value(out);
            });
        }
    }

    fn read_protobuf(&mut self, value: Value<'_>, depth: usize) -> Result<(), Malformed> {
        let depth = proto3::deeper(depth)?;
        let (mut key, mut held) = (String::new(), T::default());
        for field in Fields::of(value.bytes()?) {
            match field? {
                (1, value) => key.read_protobuf(value, depth)?,
                (2, value) => held.read_value(value, depth)?,
                _ => {}
            }
        }
        self.insert(key, held);
        Ok(())
    }
}

/// What a map may hold: messages and texts.
pub(crate) trait MapValue: Default {
    fn write_value(&self, out: &mut Vec<u8>);
    fn read_value(&mut self, value: Value<'_>, depth: usize) -> Result<(), Malformed>;
}

impl<T: Message> MapValue for T {
    fn write_value(&self, out: &mut Vec<u8>) {
        proto3::write_message(2, self, out);
    }

    fn read_value(&mut self, value: Value<'_>, depth: usize) -> Result<(), Malformed> {
        value.message(self, depth)
    }
}

impl MapValue for String {
    fn write_value(&self, out: &mut Vec<u8>) {
        self.write_protobuf(2, out);
    }

    fn read_value(&mut self, value: Value<'_>, depth: usize) -> Result<(), Malformed> {
        self.read_protobuf(value, depth)
    }
}

/// Declares messages with the number that each field has in protobuf. Every field is left out when zero, but of messages
/// `with zeros` in JSON, and may be missing or, but for payloads, `null`.
macro_rules! messages {
    ($(
        $(#[$meta:meta])*
        $vis:vis struct $name:ident $(with $zeros:ident)? { $($fields:tt)* }
    )*) => {$(
        crate::wire::message! { [$($zeros)?] $(#[$meta])* $vis struct $name { $($fields)* } }
    )*};
}
pub(crate) use messages;

macro_rules! message {
    ([] $($message:tt)*) => { crate::wire::message! { "crate::wire::Field::is_zero", $($message)* } };
    ([zeros] $($message:tt)*) => { crate::wire::message! { "crate::wire::Field::is_absent", $($message)* } };
    (
        $left_out:literal,
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $($(#[$field_meta:meta])* $field_vis:vis $field:ident: $type:ty = $number:literal,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default)]
        $vis struct $name {
            $(
                $(#[$field_meta])*
                #[serde(skip_serializing_if = $left_out, deserialize_with = "crate::wire::Field::read_json")]
                $field_vis $field: $type,
            )*
        }

        impl crate::proto3::Message for $name {
            fn write(&self, _out: &mut Vec<u8>) {
                $(
                    if !crate::wire::Field::is_zero(&self.$field) {
                        crate::wire::Field::write_protobuf(&self.$field, $number, _out);
                    }
                )*
            }

            fn set(
                &mut self,
                number: u32,
                _value: crate::proto3::Value<'_>,
                _depth: usize,
            ) -> Result<(), crate::proto3::Malformed> {
                match number {
                    $($number => crate::wire::Field::read_protobuf(&mut self.$field, _value, _depth),)*
                    _ => Ok(()),
                }
            }
        }
    };
}
pub(crate) use message;

/// Declares an enum of messages, of which another message carries one, with the number and the name that each has in that
/// one; and that one as it stands in a frame.
macro_rules! choices {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            $($(#[$variant_meta:meta])* $variant:ident($type:ty) = $number:literal $field:ident,)*
            $(; $(#[$other_meta:meta])* $other:ident)?
        }
        $(#[$wire_meta:meta])*
        struct $wire:ident { $($own:ident: $own_type:ty = $own_number:literal,)* }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$variant_meta])* $variant($type),)*
            $($(#[$other_meta])* $other,)?
        }

        impl $name {
            pub(crate) fn write_protobuf(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$variant(message) => crate::proto3::write_message($number, message, out),)*
                    $(Self::$other => {})?
                }
            }
        }

        crate::wire::messages! {
            $(#[$wire_meta])*
            pub(crate) struct $wire {
                $(pub(crate) $own: $own_type = $own_number,)*
                $(pub(crate) $field: Option<$type> = $number,)*
            }
        }

        impl $wire {
            /// Of several the first counts, in the order in which they are declared.
            pub(crate) fn choice(&mut self) -> Option<$name> {
                $(
                    if let Some(message) = self.$field.take() {
                        return Some($name::$variant(message));
                    }
                )*
                None
            }
        }
    };
}
pub(crate) use choices;
