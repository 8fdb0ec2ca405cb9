//! What people say of themselves: a title, a time zone, a status, and that they do not want to be disturbed.
//!
//! A status and a time without disturbance end by themselves. Nothing is swept: whoever reads compares the time
//! ([`Profile::at`]), and so does every page.

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::{
    ids::{PersonId, RoomId},
    names::{Name, NameError, line},
    people::Role,
    reactions::Emoji,
    time::Time,
};
use crate::limits::{STATUS_CHARS_MAX, STATUS_LASTS_MAX, TITLE_CHARS_MAX, ZONE_BYTES_MAX};

/// What somebody is or does, in a line: up to 80 characters without controls, trimmed; may be empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Title(String);

/// The name of a time zone, such as `Europe/Berlin`; may be empty. By its form alone: the server reckons with none, and a page
/// that does not know it shows no local time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Zone(String);

/// The text is not the name of a time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a time zone has a name like Europe/Berlin")]
pub struct ZoneError;

/// What somebody is at, for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// One emoji, or none.
    pub emoji: Option<Emoji>,
    /// Up to 100 characters; empty only beside an emoji.
    pub text: String,
    /// When it is over; `None`: when it is taken away.
    pub ends: Option<Time>,
}

/// Why something is no status, or no time without disturbance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StatusError {
    /// Neither an emoji nor a text.
    #[error("a status has an emoji or a text")]
    Empty,
    /// Something else than one emoji.
    #[error("a status has one emoji")]
    Emoji,
    /// See [`NameError`].
    #[error("a status {0}")]
    Text(NameError),
    /// It ends in the past, or further away than anybody plans.
    #[error("it ends in the next year, or when it is taken away")]
    Ends,
}

/// Somebody does not want to be disturbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quiet {
    /// Until when; `None`: until they say so.
    pub ends: Option<Time>,
}

/// Somebody as others see them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Which person.
    pub id: PersonId,
    /// Their name.
    pub name: Name,
    /// Whether somebody else has the same name, or one that looks alike.
    pub same_name: bool,
    /// What they may do on the server.
    pub role: Role,
    /// Whether they may sign in.
    pub is_active: bool,
    /// What they say of themselves.
    pub said: Said,
    /// When any of this changed last by their own hand: of two that a client has, the later one holds.
    pub changed: Time,
}

/// What somebody says of themselves beside their name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Said {
    /// What they are or do.
    pub title: Title,
    /// Where their clock is.
    pub zone: Zone,
    /// What they are at.
    pub status: Option<Status>,
    /// Whether they do not want to be disturbed.
    pub quiet: Option<Quiet>,
}

/// What somebody changes about themselves; what is `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProfileEdit {
    /// Another name.
    pub name: Option<Name>,
    /// Another title.
    pub title: Option<Title>,
    /// Another time zone.
    pub zone: Option<Zone>,
    /// Another status, or none.
    pub status: Option<Option<Status>>,
    /// Not to be disturbed, or again.
    pub quiet: Option<Option<Quiet>>,
}

/// Somebody whose profile changed, and the rooms that hear of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Changed {
    pub(crate) profile: Profile,
    pub(crate) rooms: Vec<RoomId>,
}

impl Title {
    /// Reads a title.
    ///
    /// # Errors
    /// When it is longer than [`TITLE_CHARS_MAX`] characters or has control characters.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        line(text, TITLE_CHARS_MAX).map(Self)
    }

    /// As it is shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }
}

impl Zone {
    /// Reads the name of a time zone.
    ///
    /// # Errors
    /// When it does not look like one.
    pub fn parse(text: &str) -> Result<Self, ZoneError> {
        let is_part = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphabetic())
                && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+'))
        };
        let is_name = text.len() <= ZONE_BYTES_MAX && text.split('/').count() <= 3 && text.split('/').all(is_part);
        if text.is_empty() || is_name { Ok(Self(text.to_owned())) } else { Err(ZoneError) }
    }

    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }
}

impl Status {
    /// Reads a status that is set at `now`.
    ///
    /// # Errors
    /// See [`StatusError`].
    pub fn parse(emoji: &str, text: &str, ends: Option<Time>, now: Time) -> Result<Self, StatusError> {
        let emoji = match emoji {
            "" => None,
            emoji => Some(Emoji::parse(emoji).ok_or(StatusError::Emoji)?),
        };
        let text = line(text, STATUS_CHARS_MAX).map_err(StatusError::Text)?;
        if emoji.is_none() && text.is_empty() {
            return Err(StatusError::Empty);
        }
        Ok(Self { emoji, text, ends: in_time(ends, now)? })
    }
}

impl Status {
    /// The columns of a status, or of none.
    pub(crate) fn columns(status: Option<&Self>) -> (String, String, Option<Time>) {
        let emoji =
            status.and_then(|status| status.emoji.as_ref()).map_or_else(String::new, |emoji| emoji.as_str().to_owned());
        let text = status.map_or_else(String::new, |status| status.text.clone());
        (emoji, text, status.and_then(|status| status.ends))
    }
}

impl Quiet {
    /// From `now` until then.
    ///
    /// # Errors
    /// When that is in the past, or further away than anybody plans.
    pub fn until(ends: Option<Time>, now: Time) -> Result<Self, StatusError> {
        Ok(Self { ends: in_time(ends, now)? })
    }
}

fn in_time(ends: Option<Time>, now: Time) -> Result<Option<Time>, StatusError> {
    let fits = ends.is_none_or(|ends| ends > now && ends <= now.plus(STATUS_LASTS_MAX));
    if fits { Ok(ends) } else { Err(StatusError::Ends) }
}

impl Profile {
    /// As it is at that time: without what is over.
    #[must_use]
    pub fn at(mut self, now: Time) -> Self {
        let is_on = |ends: Option<Time>| ends.is_none_or(|ends| ends > now);
        self.said.status = self.said.status.filter(|status| is_on(status.ends));
        self.said.quiet = self.said.quiet.filter(|quiet| is_on(quiet.ends));
        self
    }

    /// With that changed by their own hand.
    pub(crate) fn edited(mut self, edit: &ProfileEdit, now: Time) -> Self {
        let ProfileEdit { name, title, zone, status, quiet } = edit.clone();
        self.name = name.unwrap_or(self.name);
        self.said.title = title.unwrap_or(self.said.title);
        self.said.zone = zone.unwrap_or(self.said.zone);
        self.said.status = status.unwrap_or(self.said.status);
        self.said.quiet = quiet.unwrap_or(self.said.quiet);
        // A clock that was set back must not make what is newer look older.
        self.changed = now.max(Time::from_millis(self.changed.millis() + 1));
        self
    }
}

impl Serialize for Profile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Said { title, zone, status, quiet } = &self.said;
        let mut card = serializer.serialize_struct("Profile", 9)?;
        card.serialize_field("id", &self.id)?;
        card.serialize_field("name", self.name.as_str())?;
        if self.same_name {
            card.serialize_field("same_name", &true)?;
        }
        if self.role != Role::Member {
            card.serialize_field("role", self.role.as_str())?;
        }
        if !self.is_active {
            card.serialize_field("deactivated", &true)?;
        }
        if !title.as_str().is_empty() {
            card.serialize_field("title", title.as_str())?;
        }
        if !zone.as_str().is_empty() {
            card.serialize_field("zone", zone.as_str())?;
        }
        if let Some(status) = status {
            card.serialize_field("status", status)?;
        }
        if let Some(quiet) = quiet {
            card.serialize_field("quiet", quiet)?;
        }
        card.serialize_field("changed", &self.changed)?;
        card.end()
    }
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut status = serializer.serialize_struct("Status", 3)?;
        if let Some(emoji) = &self.emoji {
            status.serialize_field("emoji", emoji.as_str())?;
        }
        if !self.text.is_empty() {
            status.serialize_field("text", &self.text)?;
        }
        if let Some(ends) = self.ends {
            status.serialize_field("ends", &ends)?;
        }
        status.end()
    }
}

impl Serialize for Quiet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut quiet = serializer.serialize_struct("Quiet", 1)?;
        if let Some(ends) = self.ends {
            quiet.serialize_field("ends", &ends)?;
        }
        quiet.end()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Time = Time::from_millis(1_763_630_000_000);

    #[test]
    fn a_time_zone_is_taken_by_its_form() {
        for good in
            ["", "UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+3", "America/Port-au-Prince"]
        {
            assert_eq!(Zone::parse(good).as_ref().map(Zone::as_str), Ok(good));
        }
        for bad in ["Europe/", "/Berlin", "Europe Berlin", "a/b/c/d", "1/2", "Zür/ich", "../etc", &"a".repeat(65)] {
            assert_eq!(Zone::parse(bad), Err(ZoneError), "{bad}");
        }
    }

    #[test]
    fn a_status_is_an_emoji_or_a_line_and_ends_within_a_year() {
        let minute = Some(NOW.plus(Duration::from_secs(60)));
        let status = Status::parse("🌴", " On holiday ", minute, NOW).unwrap();
        assert_eq!(
            serde_json::to_string(&status).unwrap(),
            r#"{"emoji":"🌴","text":"On holiday","ends":1763630060000}"#
        );
        assert_eq!(Status::parse("", "", None, NOW), Err(StatusError::Empty));
        assert_eq!(Status::parse("no", "", None, NOW), Err(StatusError::Emoji));
        assert_eq!(Status::parse("", "two\nlines", None, NOW), Err(StatusError::Text(NameError::Control)));
        let long = "a".repeat(STATUS_CHARS_MAX + 1);
        assert_eq!(Status::parse("", &long, None, NOW), Err(StatusError::Text(NameError::TooLong { max: 100 })));
        for ends in [NOW, NOW.minus(Duration::from_secs(1)), NOW.plus(STATUS_LASTS_MAX).plus(Duration::from_millis(1))]
        {
            assert_eq!(Status::parse("", "a", Some(ends), NOW), Err(StatusError::Ends));
            assert_eq!(Quiet::until(Some(ends), NOW), Err(StatusError::Ends));
        }
    }

    #[test]
    fn what_is_over_is_not_read() {
        let ends = Some(NOW.plus(Duration::from_secs(60)));
        let profile = Profile {
            id: PersonId::from_bytes([1; 16]),
            name: Name::stored("Ana".into()),
            same_name: false,
            role: Role::Member,
            is_active: true,
            said: Said {
                status: Some(Status::parse("", "Back soon", ends, NOW).unwrap()),
                quiet: Some(Quiet::until(ends, NOW).unwrap()),
                ..Said::default()
            },
            changed: NOW,
        };
        let later = |seconds| profile.clone().at(NOW.plus(Duration::from_secs(seconds))).said;
        assert_eq!(later(59), profile.said);
        assert_eq!(later(60), Said::default());
    }
}
