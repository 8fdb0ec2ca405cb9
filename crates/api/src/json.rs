//! How fields are written in JSON: zeros left out, `null` the same as nothing, and `bytes` as the JSON value that they are.

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

pub(crate) fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

pub(crate) fn null_is_absent<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Entries that are `null` are absent too.
pub(crate) fn texts<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    let texts: Option<BTreeMap<String, Option<String>>> = Option::deserialize(from)?;
    Ok(texts.into_iter().flatten().filter_map(|(name, value)| Some((name, value?))).collect())
}

/// The text of any JSON value, `null` included.
pub(crate) fn value<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
    let text: Box<str> = Box::<RawValue>::deserialize(from)?.into();
    Ok(String::from(text).into())
}

/// The text of a JSON value; nothing for `null`.
pub(crate) fn value_or_null<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
    value(from).map(|text| if text == "null" { Bytes::new() } else { text })
}

/// As it stands; `null` for what is no JSON.
pub(crate) fn raw<S: Serializer>(bytes: &Bytes, to: S) -> Result<S::Ok, S::Error> {
    match serde_json::from_slice::<&RawValue>(bytes) {
        Ok(value) => value.serialize(to),
        Err(_) => to.serialize_unit(),
    }
}
