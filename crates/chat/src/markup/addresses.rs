//! What may be a link, and where one stands in a text without any mark (S48, S49).
//!
//! How a host is *shown* is the reader's matter: a browser knows best what its own parser makes of an address.

use std::ops::Range;

use super::Mark;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// The schemes of links.
const SCHEMES: [&str; 3] = ["https://", "http://", "mailto:"];
/// What people write of an address when they leave out the scheme.
const BARE_HOST: &str = "www.";

/// An address in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Where it stands.
    pub(super) range: Range<usize>,
    /// The same, with the angle brackets around it that mark it as an address.
    pub(super) whole: Range<usize>,
    /// Where it leads, if that is not what is written.
    pub(super) href: Option<String>,
    /// The mark that stands there, where it is no address: a mention or a room.
    pub(super) mark: Option<Mark>,
}

/// The addresses in a text, from its start to its end.
pub(super) fn find(text: &str) -> Vec<Found> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let Some(start) = next_start(text, at) else { break };
        let (full, sentence) = length(&text[start..]);
        let in_brackets = text[..start].ends_with('<') && text[start + full..].starts_with('>');
        let range = start..start + if in_brackets { full } else { sentence };
        let written = &text[range.clone()];
        let href = starts_with(written, BARE_HOST).then(|| format!("https://{written}"));
        if !is_link(href.as_deref().unwrap_or(written)) {
            at = start + 1;
            continue;
        }
        at = range.end;
        let whole = if in_brackets { range.start - 1..range.end + 1 } else { range.clone() };
        found.push(Found { range, whole, href, mark: None });
    }
    found
}

/// Of these, those that stand where the address of a link with a text of its own would stand, `[text](address)`.
pub(super) fn targets(source: &str, found: &[Found]) -> Vec<Range<usize>> {
    let is_target = |range: &Range<usize>| {
        let before = source[..range.start].trim_end();
        before.strip_suffix('<').unwrap_or(before).trim_end().ends_with("](")
    };
    found.iter().map(|found| found.range.clone()).filter(is_target).collect()
}

/// Where a link leads whose address begins the text: as it was written, but for the backslashes that escape something.
pub(super) fn target(text: &str, in_brackets: bool) -> String {
    let (mut round, mut target) = (0, String::new());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\\' if characters.peek().is_some_and(char::is_ascii_punctuation) => {
                target.extend(characters.next());
                continue;
            }
            '(' => round += 1,
            ')' => round -= 1,
            _ => {}
        }
        if if in_brackets { c == '>' } else { round < 0 || c.is_whitespace() } {
            break;
        }
        target.push(c);
    }
    target
}

/// Whether this address may be a link: one of three schemes, nothing invisible in it, and no user's name before the host,
/// as in `https://bank.example@evil.example`, which reads as one host and opens another.
pub(super) fn is_link(address: &str) -> bool {
    if !address.chars().all(is_visible) {
        return false;
    }
    let Some(scheme) = SCHEMES.into_iter().find(|scheme| starts_with(address, scheme)) else { return false };
    let rest = &address[scheme.len()..];
    if scheme == "mailto:" {
        return rest.split('?').next().is_some_and(|to| to.contains('@'));
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    !authority.is_empty() && !authority.contains('@')
}

/// Where the next one could begin: not in the middle of a word.
fn next_start(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    (from..bytes.len()).find(|&at| {
        matches!(bytes[at], b'h' | b'H' | b'm' | b'M' | b'w' | b'W')
            && SCHEMES.into_iter().chain([BARE_HOST]).any(|start| starts_with(&text[at..], start))
            && !text[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

fn starts_with(text: &str, ascii: &str) -> bool {
    text.as_bytes().get(..ascii.len()).is_some_and(|start| start.eq_ignore_ascii_case(ascii.as_bytes()))
}

/// How long the address is that begins here: up to white space, a quoting character, one that is invisible, or a closing
/// bracket that it did not open; and how long without the punctuation at its end, which belongs to the sentence.
fn length(text: &str) -> (usize, usize) {
    let (mut round, mut square) = (0, 0);
    let end = text.char_indices().find(|&(_, c)| {
        match c {
            '(' => round += 1,
            '[' => square += 1,
            ')' => round -= 1,
            ']' => square -= 1,
            _ => {}
        }
        round < 0 || square < 0 || !is_visible(c) || matches!(c, '\'' | '{' | '}' | '|' | '^')
    });
    let written = &text[..end.map_or(text.len(), |(at, _)| at)];
    (written.len(), written.trim_end_matches(['.', ',', ':', ';', '!', '?', '*', '_', '~', '…', '(', '[']).len())
}

/// No white space, control character, mark of direction or the like; and none of the characters that quote an address.
fn is_visible(c: char) -> bool {
    let is_invisible =
        c.is_whitespace() || c.is_control() || (!c.is_ascii() && c.general_category() == GeneralCategory::Format);
    !is_invisible && !matches!(c, '<' | '>' | '"' | '`' | '\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(text: &str) -> Vec<String> {
        let show = |found: Found| found.href.unwrap_or_else(|| text[found.range].to_owned());
        find(text).into_iter().map(show).collect()
    }

    #[test]
    fn web_and_mail_addresses_are_links() {
        assert_eq!(
            links("see https://a.example/b?c=d#e and HTTP://f.example:8080"),
            ["https://a.example/b?c=d#e", "HTTP://f.example:8080"]
        );
        assert_eq!(links("www.a.example"), ["https://www.a.example"]);
        assert_eq!(links("mailto:ana@a.example"), ["mailto:ana@a.example"]);
        assert_eq!(links("https://bücher.example/straße é"), ["https://bücher.example/straße"]);
    }

    #[test]
    fn punctuation_after_a_link_belongs_to_the_sentence_and_a_bracket_of_its_own_to_the_link() {
        assert_eq!(links("(https://a.example/b)."), ["https://a.example/b"]);
        assert_eq!(links("https://a.example/b_(c)!"), ["https://a.example/b_(c)"]);
        assert_eq!(links("https://a.example/b, https://c.example…"), ["https://a.example/b", "https://c.example"]);
        assert_eq!(
            links("<https://a.example/_b_>, <https://a.example c>"),
            ["https://a.example/_b_", "https://a.example"]
        );
        assert_eq!(links("[https://a.example](https://b.example/c)d"), ["https://a.example", "https://b.example/c"]);
    }

    #[test]
    fn s48_nothing_else_becomes_a_link() {
        for text in [
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)//https",
            "data:text/html,<script>alert(1)</script>",
            "vbscript:x file:///etc/passwd ftp://a.example",
            "https://",
            "http:// a",
            "https:///evil.example",
            "mailto:nobody",
            "mailto:?to=a@b",
            "xhttps://a.example",
            "_https://a.example",
            "https://user:secret@a.example/",
            "https://bank.example@evil.example/",
            "//a.example",
            "h",
        ] {
            assert_eq!(links(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn s49_quotes_tags_and_invisible_characters_end_a_link() {
        for text in [
            "https://a.example/\"onmouseover=\"x",
            "https://a.example/<script>",
            "https://a.example/\u{202e}gpj.exe",
            "https://a.example/\u{200b}b",
            "https://a.example/\u{0}b",
            "https://a.example/'x",
        ] {
            assert_eq!(links(text), ["https://a.example/"], "{text:?}");
        }
        for address in ["https://a.example/ b", "https://a.example\\b", "https://a\u{202e}b.example", "https:a.example"]
        {
            assert!(!is_link(address), "{address:?}");
        }
    }
}
