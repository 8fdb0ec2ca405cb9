//! What a message says: its source, with what its readers need beside that.

use std::{fmt, ops::Deref};

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::{
    ids::MessageId,
    messages::{Answered, Message},
    people::Who,
};
use crate::{
    limits::ANSWERED_CHARS_MAX,
    markup::{self, Content, may_mention},
};

/// A text as it was written, byte for byte, with the names of those whom it mentions, as they are when it is read. Written
/// with `content` beside it, the tree of its marks, where it has any: read from the source each time, so that old messages
/// look as this version reads them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Text {
    source: String,
    names: Vec<Who>,
}

impl Text {
    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// A text with the names of those whom it mentions; others among them do not count.
    pub(crate) fn new(source: impl Into<String>, mut names: Vec<Who>) -> Self {
        let source = source.into();
        names.retain(|who| source.contains(&who.id.to_string()));
        names.sort_unstable_by_key(|who| who.id);
        names.dedup_by_key(|who| who.id);
        Self { source, names }
    }

    /// The names of those whom it mentions.
    pub(crate) fn names(&self) -> &[Who] {
        &self.names
    }

    /// The beginning of a text, in one line without marks, and the rooms that are mentioned in it: who may see them differs by
    /// reader, so each stands there as `#…`.
    pub(crate) fn beginning(&self) -> (String, Vec<String>) {
        markup::words(self.whole_mentions(), |id| self.name_of(id))
    }

    /// The same without the rooms.
    #[cfg(test)]
    pub(crate) fn words(&self) -> String {
        self.beginning().0
    }

    /// Without a mention that the end has cut, whose id would be shown.
    fn whole_mentions(&self) -> &str {
        let is_cut = self.source.chars().count() >= ANSWERED_CHARS_MAX;
        match self.source.rfind("<@").max(self.source.rfind("<#")) {
            Some(at) if is_cut && !self.source[at..].contains(['>', ' ', '\n']) => &self.source[..at],
            _ => &self.source,
        }
    }

    fn name_of(&self, id: &str) -> Option<String> {
        self.names.iter().find(|who| who.id.to_string() == id).map(|who| who.name.clone())
    }
}

impl From<String> for Text {
    fn from(source: String) -> Self {
        Self { source, names: Vec::new() }
    }
}

impl From<&str> for Text {
    fn from(source: &str) -> Self {
        source.to_owned().into()
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.source
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, source: &str) -> bool {
        self.source == source
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, source: &&str) -> bool {
        self.source == *source
    }
}

impl PartialEq<String> for Text {
    fn eq(&self, source: &String) -> bool {
        self.source == *source
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)?;
        if self.names.is_empty() { Ok(()) } else { self.names.fmt(f) }
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = serializer.serialize_struct("Text", 2)?;
        text.serialize_field("body", &self.source)?;
        if let Some(content) = Content::of(&self.source) {
            text.serialize_field("content", &content.named(|id| self.name_of(id)))?;
        }
        text.end()
    }
}

/// The messages whose names must be read to show these, and what they answer.
pub(crate) fn mentioning<'a>(messages: impl Iterator<Item = &'a Message>) -> Vec<MessageId> {
    let mut those = Vec::new();
    for Message { id, body, reply_to, .. } in messages {
        if may_mention(body) {
            those.push(*id);
        }
        those.extend(mentioning_beginnings(reply_to.iter()));
    }
    those
}

/// The same of the beginnings of messages.
pub(crate) fn mentioning_beginnings<'a>(beginnings: impl Iterator<Item = &'a Answered>) -> Vec<MessageId> {
    beginnings.filter(|answered| may_mention(&answered.body)).map(|answered| answered.id).collect()
}

/// Gives beginnings of messages the names that were read for them.
pub(crate) fn show_names_in<'a>(
    names: impl Fn(MessageId) -> Option<Vec<Who>>,
    beginnings: impl Iterator<Item = &'a mut Answered>,
) {
    beginnings.for_each(|answered| show(&names, answered.id, &answered.author, &mut answered.body));
}

/// Gives messages, and what they answer, the names that were read for them.
pub(crate) fn show_names<'a>(
    names: impl Fn(MessageId) -> Option<Vec<Who>>,
    messages: impl Iterator<Item = &'a mut Message>,
) {
    for message in messages {
        show(&names, message.id, &message.author, &mut message.body);
        show_names_in(&names, message.reply_to.iter_mut());
    }
}

/// The author is known beside: nobody writes down that one has mentioned oneself.
pub(crate) fn show(names: &impl Fn(MessageId) -> Option<Vec<Who>>, message: MessageId, author: &Who, text: &mut Text) {
    if may_mention(text) {
        let mut names = names(message).unwrap_or_default();
        names.push(author.clone());
        *text = Text::new(std::mem::take(&mut text.source), names);
    }
}
