//! Reactions: emoji under messages, and what is one.

use std::collections::HashMap;

use serde::Serialize;
use unicode_properties::{UnicodeEmoji, emoji::EmojiStatus};

use super::{ids::MessageId, messages::Message, people::Who};
use crate::limits::EMOJI_BYTES_MAX;

/// One emoji, as UTS 51 spells them: a pictograph with its variation selector, skin tone, keycap or tags, several of these
/// joined, or a flag of two letters. In its one full spelling: a character that is text by itself has the variation selector for
/// emoji, and one that is a picture by itself has none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Emoji(String);

const JOINER: char = '\u{200d}';
const EMOJI_STYLE: char = '\u{fe0f}';
const KEYCAP: char = '\u{20e3}';
const END_OF_TAGS: char = '\u{e007f}';

impl Emoji {
    /// Reads one; `None` when the text is something else, or more than one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut emoji = String::with_capacity(text.len());
        let mut chars = text.chars().peekable();
        loop {
            let first = chars.next()?;
            emoji.push(first);
            if is_flag_letter(first) {
                emoji.push(chars.next().filter(|second| is_flag_letter(*second))?);
            } else {
                first.is_emoji_char().then_some(())?;
                let is_styled = chars.next_if_eq(&EMOJI_STYLE).is_some();
                let tone = chars.next_if(|c| matches!(c, '\u{1f3fb}'..='\u{1f3ff}'));
                let cap = chars.next_if_eq(&KEYCAP);
                // Digits, and signs such as ©, are text by themselves.
                (cap.is_some() || !first.is_ascii()).then_some(())?;
                (is_styled || cap.is_some() || first >= '\u{100}').then_some(())?;
                if tone.is_none() && !is_picture(first) {
                    emoji.push(EMOJI_STYLE);
                }
                emoji.extend(tone.into_iter().chain(cap));
                let before = emoji.len();
                emoji.extend(std::iter::from_fn(|| chars.next_if(|c| is_tag(*c))));
                if emoji.len() > before {
                    emoji.push(chars.next_if_eq(&END_OF_TAGS)?);
                }
            }
            match chars.next() {
                None => return (emoji.len() <= EMOJI_BYTES_MAX).then_some(Self(emoji)),
                Some(JOINER) => emoji.push(JOINER),
                Some(_) => return None,
            }
        }
    }

    pub(crate) fn stored(text: String) -> Self {
        Self(text)
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

/// Whether it is drawn as a picture without being asked to.
fn is_picture(c: char) -> bool {
    matches!(
        c.emoji_status(),
        EmojiStatus::EmojiPresentation
            | EmojiStatus::EmojiPresentationAndModifierBase
            | EmojiStatus::EmojiPresentationAndEmojiComponent
            | EmojiStatus::EmojiPresentationAndModifierAndEmojiComponent
    )
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

/// Gives each of the messages what was reacted to it; one that was deleted shows none.
pub(crate) fn show_reactions<'a>(
    reactions: &HashMap<MessageId, Vec<Reacted>>,
    messages: impl Iterator<Item = &'a mut Message>,
) {
    for message in messages.filter(|message| message.deleted.is_none()) {
        message.reactions = reactions.get(&message.id).cloned().unwrap_or_default();
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
