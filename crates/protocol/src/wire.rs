//! How every message is written in JSON: zero values are left out, `null` means absent (of a payload it is a value), unknown fields are ignored.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::Payload;

/// A value that proto3 leaves out because it is what the reader assumes anyway.
pub(crate) trait Zero {
    fn is_zero(&self) -> bool;
}

macro_rules! zero_by_equality {
    ($($type:ty = $zero:expr),* $(,)?) => {$(
        impl Zero for $type {
            fn is_zero(&self) -> bool {
                *self == $zero
            }
        }
    )*};
}
zero_by_equality!(bool = false, u16 = 0, u32 = 0, u64 = 0, i32 = 0, i64 = 0);

impl Zero for String {
    fn is_zero(&self) -> bool {
        self.is_empty()
    }
}

impl Zero for Cow<'_, str> {
    fn is_zero(&self) -> bool {
        self.is_empty()
    }
}

impl<T> Zero for Option<T> {
    fn is_zero(&self) -> bool {
        self.is_none()
    }
}

impl<T> Zero for Vec<T> {
    fn is_zero(&self) -> bool {
        self.is_empty()
    }
}

impl<K, V> Zero for BTreeMap<K, V> {
    fn is_zero(&self) -> bool {
        self.is_empty()
    }
}

impl Zero for crate::ClientInfo {
    /// Whose it is stays visible even when the user is anonymous.
    fn is_zero(&self) -> bool {
        false
    }
}

pub(crate) fn null_is_absent<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// How a field reads `null`: it means absent, but for a payload, of which it is one value among others.
pub(crate) trait Field: Sized {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

impl Field for Option<Payload> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Payload::deserialize(deserializer).map(Some)
    }
}

macro_rules! null_is_absent_in {
    ($($type:ty),* $(,)?) => {$(
        impl Field for $type {
            fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                null_is_absent(deserializer)
            }
        }
    )*};
}
null_is_absent_in!(bool, u16, u32, u64, i32, i64, String, Cow<'static, str>, crate::ClientInfo);
null_is_absent_in!(Option<crate::ClientInfo>, Option<crate::StreamPosition>);

impl<T: DeserializeOwned> Field for Vec<T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        null_is_absent(deserializer)
    }
}

impl<T: DeserializeOwned> Field for BTreeMap<String, T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        null_is_absent(deserializer)
    }
}

/// Declares messages whose every field is left out when zero and may be missing or, but for payloads, `null`.
macro_rules! messages {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)* }
    )*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default)]
        pub struct $name {
            $(
                $(#[$field_meta])*
                #[serde(
                    skip_serializing_if = "crate::wire::Zero::is_zero",
                    deserialize_with = "crate::wire::Field::read"
                )]
                pub $field: $type,
            )*
        }
    )*};
}
pub(crate) use messages;
