//! What a message's source means: Markdown, read into a small tree of a few kinds, which pages build out of elements.
//!
//! CommonMark without tables, raw HTML, images and reference definitions, as a chat needs it: a line break is a line
//! break, spaces at the start of a line stay, and nothing that was written vanishes but the marks themselves (what is no
//! markup of ours is text, as it was written). The tree holds text and addresses only, never HTML (S48).
//!
//! `mask` hides from the parser what is none of our markup, `addresses` says what may be a link, `parse` turns the
//! parser's events into the tree. Another kind of span (as a mention or a room, which `mentions` finds) is a variant of
//! [`Mark`], found where `parse` finds bare addresses. Knows nothing of messages, and of people and rooms what their ids look like.

mod addresses;
mod mask;
mod mentions;
mod parse;
#[cfg(test)]
mod promises;
#[cfg(test)]
mod tests;

use serde::Serialize;

/// The tree of a message's text: blocks, one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Content(pub Vec<Block>);

/// A paragraph, or another part that stands by itself. A reader that does not know a `type` shows its `content`, its
/// `items` or its `text`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Block {
    /// Lines of text.
    P {
        /// What it says.
        content: Vec<Inline>,
    },
    /// A line that heads what follows.
    Heading {
        /// 1 to 6.
        level: u8,
        /// What it says.
        content: Vec<Inline>,
    },
    /// What somebody else said.
    Quote {
        /// What is quoted.
        content: Vec<Block>,
    },
    /// Code, with its lines and spaces as they were written.
    CodeBlock {
        /// The word behind the opening fence, as it was written.
        #[serde(skip_serializing_if = "Option::is_none")]
        language: Option<String>,
        /// The lines, without a line break at the end.
        text: String,
    },
    /// Points.
    List {
        /// Each of them.
        items: Vec<Item>,
    },
    /// Points with the numbers that were written.
    OrderedList {
        /// Each of them.
        items: Vec<Item>,
    },
    /// A line across.
    Rule,
}

/// A point of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Its number, in an ordered list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// What it says.
    pub content: Vec<Block>,
}

/// A piece of a line: text, in which line breaks and spaces count, or something marked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Inline {
    /// Text as it is.
    Text(String),
    /// Text that is marked.
    Marked(Mark),
}

/// A marked piece of a line. A reader that does not know a `type` shows its `content` or its `text`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Mark {
    /// Emphasis: italics.
    Em {
        /// What is emphasised.
        content: Vec<Inline>,
    },
    /// Strong emphasis: bold.
    Strong {
        /// What is emphasised.
        content: Vec<Inline>,
    },
    /// Struck through.
    Strike {
        /// What is no longer so.
        content: Vec<Inline>,
    },
    /// Code within a line.
    Code {
        /// The code.
        text: String,
    },
    /// A link.
    Link {
        /// Where it leads: `http:`, `https:` or `mailto:`, without invisible characters and without a user's name.
        href: String,
        /// What its author says of it.
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        /// What is shown; the address itself where nothing is here.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        content: Vec<Inline>,
    },
    /// Somebody is mentioned: one person, or everybody.
    Mention {
        /// Who. Left out where it is everybody, and where readers are not told who that is.
        #[serde(skip_serializing_if = "Option::is_none")]
        person: Option<String>,
        /// All in the room, or those of them who listen.
        #[serde(skip_serializing_if = "Option::is_none")]
        everybody: Option<Everybody>,
        /// The name behind an `@`; as it was written until the tree is [`named`](Content::named).
        text: String,
    },
    /// A room. Who may see it differs by reader, and each has its name in the list of their rooms.
    Room {
        /// Which.
        id: String,
        /// What stands for the name.
        text: String,
    },
}

/// Whom a mention of more than one means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Everybody {
    /// Members of the room who listen to it when it is posted.
    Here,
    /// All members of the room.
    Room,
}

impl Content {
    /// The tree of a text; `None` where it is no more than lines and paragraphs of plain text, or is nested too deep or has
    /// too many parts ([`limits`](crate::limits)): then it is shown as it was written.
    #[must_use]
    pub fn of(source: &str) -> Option<Self> {
        if mask::is_surely_plain(source) {
            return None;
        }
        let blocks = parse::parse(source)?;
        if is_plain(&blocks, source) { None } else { Some(Self(blocks)) }
    }

    /// The same with the names of those who are mentioned, as `name_of` knows them; who is not known to it is not told who
    /// that is.
    #[must_use]
    pub fn named(mut self, name_of: impl Fn(&str) -> Option<String>) -> Self {
        mentions::each_mark(&mut self.0, &mut |mark| mentions::name(mark, &name_of));
        self
    }
}

pub(crate) use mentions::{Mentioned, may_mention, mentioned};

/// The words of a text without its marks, in one line, with the names of those who are mentioned; and the rooms that are, each
/// of which stands there as [`mentions::ROOM`].
#[must_use]
pub(crate) fn words(source: &str, name_of: impl Fn(&str) -> Option<String>) -> (String, Vec<String>) {
    let (mut words, mut rooms) = (String::new(), Vec::new());
    match Content::of(source).map(|content| content.named(name_of)) {
        Some(Content(mut blocks)) => {
            blocks.iter().for_each(|block| add_block(&mut words, block));
            mentions::each_mark(&mut blocks, &mut |mark| {
                if let Mark::Room { id, .. } = mark {
                    rooms.push(id.clone());
                }
            });
        }
        None => words.push_str(source),
    }
    (words.split_whitespace().collect::<Vec<_>>().join(" "), rooms)
}

fn add_block(words: &mut String, block: &Block) {
    match block {
        Block::P { content } | Block::Heading { content, .. } => {
            content.iter().for_each(|inline| add_inline(words, inline));
        }
        Block::Quote { content } => content.iter().for_each(|block| add_block(words, block)),
        Block::CodeBlock { text, .. } => words.push_str(text),
        Block::List { items } | Block::OrderedList { items } => {
            items.iter().flat_map(|item| &item.content).for_each(|block| add_block(words, block));
        }
        Block::Rule => {}
    }
    words.push(' ');
}

fn add_inline(words: &mut String, inline: &Inline) {
    match inline {
        Inline::Text(text)
        | Inline::Marked(Mark::Code { text } | Mark::Mention { text, .. } | Mark::Room { text, .. }) => {
            words.push_str(text);
        }
        Inline::Marked(Mark::Link { href, content, .. }) if content.is_empty() => words.push_str(href),
        Inline::Marked(
            Mark::Em { content } | Mark::Strong { content } | Mark::Strike { content } | Mark::Link { content, .. },
        ) => content.iter().for_each(|inline| add_inline(words, inline)),
    }
}

/// Whether there is nothing but paragraphs of text, and nothing of the source is missing but white space.
fn is_plain(blocks: &[Block], source: &str) -> bool {
    let mut rest = source.chars().filter(|c| !c.is_whitespace());
    let all_text = blocks.iter().all(|block| match block {
        Block::P { content } => content.iter().all(|inline| match inline {
            Inline::Text(text) => text.chars().filter(|c| !c.is_whitespace()).all(|c| rest.next() == Some(c)),
            Inline::Marked(_) => false,
        }),
        _ => false,
    });
    all_text && rest.next().is_none()
}
