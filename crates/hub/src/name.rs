//! The name of a channel, under which publishers and subscribers meet.

use std::fmt;
use std::sync::Arc;

use crate::limits::CHANNEL_NAME_BYTES_MAX;

/// A valid channel name: 1 to 255 bytes of printable ASCII. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelName(Arc<str>);

/// This is no channel name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelNameError {
    /// There is no name at all, which breaks the protocol.
    #[error("the channel name is empty")]
    Empty,
    /// More than [`CHANNEL_NAME_BYTES_MAX`] bytes.
    #[error("a channel name has at most {CHANNEL_NAME_BYTES_MAX} bytes")]
    TooLong,
    /// Something else than printable ASCII.
    #[error("a channel name consists of printable ASCII")]
    NotPrintableAscii,
}

impl ChannelName {
    /// Reads a channel name.
    ///
    /// # Errors
    /// [`ChannelNameError`] says which rule the name breaks.
    pub fn parse(name: &str) -> Result<Self, ChannelNameError> {
        match name {
            "" => Err(ChannelNameError::Empty),
            _ if name.len() > CHANNEL_NAME_BYTES_MAX => Err(ChannelNameError::TooLong),
            _ if !name.bytes().all(|byte| (0x20..0x7f).contains(&byte)) => Err(ChannelNameError::NotPrintableAscii),
            _ => Ok(Self(name.into())),
        }
    }

    /// As it is written on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the first colon, by which applications tell kinds of channels apart.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.0.split_once(':').map(|(namespace, _)| namespace)
    }

    /// The part after `namespace:`, when the channel is in that namespace.
    #[must_use]
    pub fn name_in(&self, namespace: &str) -> Option<&str> {
        self.0.strip_prefix(namespace)?.strip_prefix(':')
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl std::str::FromStr for ChannelName {
    type Err = ChannelNameError;

    fn from_str(name: &str) -> Result<Self, ChannelNameError> {
        Self::parse(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_name_is_1_to_255_bytes_of_printable_ascii() {
        for good in ["a", "room:0199", "with space", "~!@#", &"x".repeat(255)] {
            assert_eq!(ChannelName::parse(good).unwrap().as_str(), good);
        }
        assert_eq!(ChannelName::parse(""), Err(ChannelNameError::Empty));
        assert_eq!(ChannelName::parse(&"x".repeat(256)), Err(ChannelNameError::TooLong));
        for bad in ["é", "a\n", "a\0", "a\u{7f}", "\t"] {
            assert_eq!(ChannelName::parse(bad), Err(ChannelNameError::NotPrintableAscii), "{bad:?}");
        }
    }

    #[test]
    fn the_namespace_stands_before_the_first_colon() {
        let channel = ChannelName::parse("room:a:b").unwrap();
        assert_eq!((channel.namespace(), channel.name_in("room")), (Some("room"), Some("a:b")));
        assert_eq!((channel.name_in("user"), channel.name_in("ro")), (None, None));
        assert_eq!(ChannelName::parse("rooms").unwrap().namespace(), None);
    }
}
