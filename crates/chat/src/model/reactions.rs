//! Reactions: emoji under messages, and what is one.

use serde::Serialize;
use unicode_properties::UnicodeEmoji;

use super::{ids::MessageId, people::Who};
use crate::limits::EMOJI_BYTES_MAX;

/// One emoji, as UTS 51 spells them: a pictograph with its variation selector, skin tone, keycap or tags, several of these
/// joined, or a flag of two letters. Kept as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Emoji(String);

const JOINER: char = '\u{200d}';
const EMOJI_STYLE: char = '\u{fe0f}';
const KEYCAP: char = '\u{20e3}';

impl Emoji {
    /// Reads one; `None` when the text is something else, or more than one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut chars = text.chars().peekable();
        loop {
            let first = chars.next()?;
            if is_flag_letter(first) {
                is_flag_letter(chars.next()?).then_some(())?;
            } else {
                let is_keycap = matches!(first, '0'..='9' | '#' | '*');
                first.is_emoji_char().then_some(())?;
                let is_styled = chars.next_if_eq(&EMOJI_STYLE).is_some();
                let has_tone = chars.next_if(|c| matches!(c, '\u{1f3fb}'..='\u{1f3ff}')).is_some();
                let has_cap = chars.next_if_eq(&KEYCAP).is_some();
                // Digits and signs such as ©, which are text by themselves.
                (!is_keycap || has_cap).then_some(())?;
                (is_styled || has_tone || has_cap || !is_ascii_or_latin(first)).then_some(())?;
                if chars.next_if(|c| is_tag(*c)).is_some() {
                    while chars.next_if(|c| is_tag(*c)).is_some() {}
                    chars.next_if_eq(&'\u{e007f}')?;
                }
            }
            match chars.next() {
                None => return (text.len() <= EMOJI_BYTES_MAX).then(|| Self(text.to_owned())),
                Some(JOINER) => {}
                Some(_) => return None,
            }
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_flag_letter(c: char) -> bool {
    matches!(c, '\u{1f1e6}'..='\u{1f1ff}')
}

fn is_tag(c: char) -> bool {
    matches!(c, '\u{e0020}'..='\u{e007e}')
}

fn is_ascii_or_latin(c: char) -> bool {
    c < '\u{100}'
}

/// Somebody reacted to a message, or takes that back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reaction {
    /// To which one.
    pub message: MessageId,
    /// With what.
    pub emoji: String,
    /// Who.
    pub person: Who,
}

/// Those who reacted to a message with the same emoji, as one reader sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reacted {
    /// With what.
    pub emoji: String,
    /// How many there are.
    pub count: u32,
    /// Whether the reader is one of them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub mine: bool,
    /// The first [`REACTION_PEOPLE_SHOWN`](crate::limits::REACTION_PEOPLE_SHOWN) of them.
    pub people: Vec<Who>,
}

/// What a new reaction of somebody to a message meets.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reactions {
    /// Whether the person has reacted with this emoji.
    pub(crate) is_mine: bool,
    /// Whether anybody has.
    pub(crate) is_used: bool,
    /// How many different ones there are.
    pub(crate) kinds: u32,
}

/// A page of those who reacted to a message with an emoji.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReactedPage {
    /// In the order in which they did.
    pub people: Vec<Who>,
    /// Whether there are more.
    pub more: bool,
}

/// The reactions of a message, gathered from rows that come sorted by emoji: who, whether that is the reader, and how many
/// there are in all.
pub(crate) fn gather(reacted: &mut Vec<Reacted>, emoji: &str, count: u32, mine: bool, person: Who) {
    match reacted.last_mut() {
        Some(last) if last.emoji == emoji => last.people.push(person),
        _ => reacted.push(Reacted { emoji: emoji.to_owned(), count, mine, people: vec![person] }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emoji_is_one_of_whatever_length_and_nothing_else() {
        for emoji in ["👍", "👍🏽", "❤️", "☕", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇨🇿", "1️⃣", "#️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🧑🏽‍🚀", "©️", "🫠"]
        {
            assert_eq!(Emoji::parse(emoji).as_ref().map(Emoji::as_str), Some(emoji), "{emoji}");
        }
        for other in [
            "",
            "a",
            "1",
            "#",
            "©",
            "👍👍",
            "👍 ",
            " 👍",
            "👍a",
            "🇨",
            "\u{200d}",
            "👍\u{200d}",
            "\u{fe0f}",
            ":thumbsup:",
            "🏽\u{200d}a",
            "<b>",
        ] {
            assert_eq!(Emoji::parse(other), None, "{other:?}");
        }
        assert_eq!(Emoji::parse(&vec!["👩"; 20].join("\u{200d}")), None, "longer than any that is drawn");
    }
}
