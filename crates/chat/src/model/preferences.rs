//! How somebody keeps a room among theirs. Nobody else learns of it.

use serde::Serialize;

use super::{ids::RoomId, names::Section};

/// How a member keeps a room in their list. What is as it is with everybody is left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Preferences {
    /// Whether it stands before all others.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub favourite: bool,
    /// Whether what is said there is not to be brought up, unless it mentions them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub muted: bool,
    /// Under which heading of theirs it stands; empty for that of its kind.
    #[serde(skip_serializing_if = "Section::is_empty")]
    pub section: Section,
}

impl Preferences {
    pub(crate) fn changed_by(&self, edit: &PreferencesEdit) -> Self {
        Self {
            favourite: edit.favourite.unwrap_or(self.favourite),
            muted: edit.muted.unwrap_or(self.muted),
            section: edit.section.clone().unwrap_or_else(|| self.section.clone()),
        }
    }
}

/// What is to become of them; what is `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct PreferencesEdit {
    /// Whether the room stands before all others.
    pub favourite: Option<bool>,
    /// Whether what is said there is not to be brought up.
    pub muted: Option<bool>,
    /// Under which heading it stands; an empty one for that of its kind.
    pub section: Option<Section>,
}

/// The same with its room. Its fields are named as in [`RoomCard`](super::RoomCard).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoomPreferences {
    /// Which room.
    pub id: RoomId,
    /// How it is kept.
    #[serde(flatten)]
    pub preferences: Preferences,
}
