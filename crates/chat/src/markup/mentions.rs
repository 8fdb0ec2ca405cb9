//! Who is mentioned in a text, and which rooms: `<@ID>`, `<@here>`, `<@room>` and `<#ID>`, where `ID` is a person's or a
//! room's in its canonical form. In code they are code, and behind a backslash they are text.

use super::{Block, Content, Everybody, Inline, Item, Mark, addresses::Found};

/// Shown for somebody whom readers are not told.
const UNKNOWN: &str = "@unknown";
/// Shown for a room by whoever does not look for its name.
const ROOM: &str = "#…";
/// Bytes of what is between the brackets, at most.
const INSIDE_BYTES_MAX: usize = "@00000000-0000-0000-0000-000000000000".len();

/// Whom a text mentions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mentioned {
    /// By name, each once, in the order of the text.
    pub(crate) people: Vec<String>,
    /// Those who listen.
    pub(crate) here: bool,
    /// All in the room.
    pub(crate) room: bool,
}

/// Whether a quick look leaves it open that somebody is mentioned: most messages mention nobody.
pub(crate) fn may_mention(source: &str) -> bool {
    source.contains("<@")
}

/// Whom the text mentions.
pub(crate) fn mentioned(source: &str) -> Mentioned {
    let mut all = Mentioned::default();
    if !may_mention(source) {
        return all;
    }
    let Some(Content(mut blocks)) = Content::of(source) else { return all };
    each_mark(&mut blocks, &mut |mark| match mark {
        Mark::Mention { everybody: Some(Everybody::Here), .. } => all.here = true,
        Mark::Mention { everybody: Some(Everybody::Room), .. } => all.room = true,
        Mark::Mention { person: Some(person), .. } if !all.people.contains(person) => {
            all.people.push(person.clone());
        }
        _ => {}
    });
    all
}

/// The mentions and rooms of the text in their places among the addresses.
pub(super) fn among(mut addresses: Vec<Found>, source: &str) -> Vec<Found> {
    let bytes = source.as_bytes();
    let mut escaped = false;
    for at in 0..bytes.len() {
        let begins = bytes[at] == b'<' && !escaped;
        escaped = bytes[at] == b'\\' && !escaped;
        if !begins {
            continue;
        }
        if let Some((mark, length)) = read(&source[at..]) {
            let range = at..at + length;
            // What was taken for an address may have run into it.
            addresses.retain(|found| found.range.end <= range.start || found.range.start >= range.end);
            addresses.push(Found { whole: range.clone(), range, href: None, mark: Some(mark) });
        }
    }
    addresses.sort_unstable_by_key(|found| found.range.start);
    addresses
}

/// The mark with which the text begins, and its length.
fn read(text: &str) -> Option<(Mark, usize)> {
    let inside = text.strip_prefix('<')?;
    let end = inside.bytes().take(INSIDE_BYTES_MAX + 1).position(|byte| byte == b'>')?;
    let (inside, length) = (&inside[..end], end + 2);
    let text = text[..length].to_owned();
    let mark = match inside {
        "@here" => Mark::Mention { person: None, everybody: Some(Everybody::Here), text },
        "@room" => Mark::Mention { person: None, everybody: Some(Everybody::Room), text },
        _ => match inside.strip_prefix('#') {
            Some(room) => Mark::Room { id: id(room)?, text },
            None => Mark::Mention { person: Some(id(inside.strip_prefix('@')?)?), everybody: None, text },
        },
    };
    Some((mark, length))
}

/// The canonical form of a UUID.
fn id(text: &str) -> Option<String> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let fits = |(at, byte)| if matches!(at, 8 | 13 | 18 | 23) { byte == b'-' } else { is_digit(byte) };
    (text.len() == 36 && text.bytes().enumerate().all(fits)).then(|| text.to_owned())
}

/// Gives a mark its name, if it is one that has one.
pub(super) fn name(mark: &mut Mark, name_of: &impl Fn(&str) -> Option<String>) {
    match mark {
        Mark::Mention { everybody: Some(Everybody::Here), text, .. } => "@here".clone_into(text),
        Mark::Mention { everybody: Some(Everybody::Room), text, .. } => "@room".clone_into(text),
        Mark::Mention { person, text, .. } => match person.as_deref().and_then(name_of) {
            Some(name) => *text = format!("@{name}"),
            None => {
                *person = None;
                UNKNOWN.clone_into(text);
            }
        },
        Mark::Room { text, .. } => ROOM.clone_into(text),
        _ => {}
    }
}

/// Shows each mark of a tree, in the order of the text.
pub(super) fn each_mark(blocks: &mut [Block], see: &mut impl FnMut(&mut Mark)) {
    for block in blocks {
        match block {
            Block::P { content } | Block::Heading { content, .. } => each_inline(content, see),
            Block::Quote { content } => each_mark(content, see),
            Block::List { items } | Block::OrderedList { items } => {
                for Item { content, .. } in items {
                    each_mark(content, see);
                }
            }
            Block::CodeBlock { .. } | Block::Rule => {}
        }
    }
}

fn each_inline(inlines: &mut [Inline], see: &mut impl FnMut(&mut Mark)) {
    for inline in inlines {
        let Inline::Marked(mark) = inline else { continue };
        see(mark);
        if let Mark::Em { content } | Mark::Strong { content } | Mark::Strike { content } | Mark::Link { content, .. } =
            mark
        {
            each_inline(content, see);
        }
    }
}
