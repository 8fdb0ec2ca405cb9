//! Hides from the parser what is none of our markup.
//!
//! Each character that must not count is replaced by a control character, which no message has, and put back afterwards:
//! a byte for a byte, so that every place in what the parser sees is the same place in the source. Hidden are: what
//! addresses and mentions are made of (`a_b_c` in an address is no emphasis), HTML, entities, definitions of references, the mark of an
//! image, and a `>` that is no quotation because no space follows it (`>:(`).

use std::ops::Range;

use super::addresses::{self, Found};

/// What is hidden, each by its stand-in.
const HIDDEN: [(u8, u8); 10] = [
    (b'*', 1),
    (b'_', 2),
    (b'~', 3),
    (b'[', 4),
    (b']', 5),
    (b'!', IMAGE),
    (b'&', 7),
    (b'<', BRACKET),
    (b':', 0x0e),
    (b'>', 0x0f),
];
/// What stands for the mark of an image, which is shown as a link.
pub(super) const IMAGE: u8 = 6;
/// What stands for `<`.
pub(super) const BRACKET: u8 = 8;

/// Whether a quick look is enough to see that a text has no markup: most messages are such, and this costs a nanosecond a
/// character. Where it says no, nothing is said.
pub(super) fn is_surely_plain(source: &str) -> bool {
    let bytes = source.as_bytes();
    // Emphasis, code, links and escapes; and what may be in the beginning of an address.
    let is_mark = |byte: &u8| matches!(byte, b'*' | b'_' | b'`' | b'~' | b']' | b'\\');
    let is_in_address = |two: &[u8]| two[0] == b':' || two.eq_ignore_ascii_case(b"ww");
    let begins_mention = |two: &[u8]| two[0] == b'<' && matches!(two[1], b'@' | b'#');
    !bytes.iter().any(is_mark)
        && !bytes.windows(2).any(begins_mention)
        && (!bytes.windows(2).any(is_in_address) || addresses::find(source).is_empty())
        && source.split(['\n', '\r']).all(is_plain_line)
}

/// Begins no heading, quotation, list, rule, underline or indented code.
fn is_plain_line(line: &str) -> bool {
    let text = line.trim_start_matches([' ', '\t']);
    let indent = &line[..line.len() - text.len()];
    if indent.len() > 3 || indent.contains('\t') {
        return false;
    }
    match text.bytes().next() {
        Some(b'#' | b'>' | b'-' | b'+' | b'=') => false,
        Some(b'0'..=b'9') => !text.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with(['.', ')']),
        _ => true,
    }
}

/// The text as the parser sees it; `None` where it has control characters of its own. `targets` are addresses that stay as
/// they are.
pub(super) fn mask(source: &str, addresses: &[Found], targets: &[Range<usize>]) -> Option<String> {
    let mut bytes = source.as_bytes().to_vec();
    if bytes.iter().any(|&byte| byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r')) {
        return None;
    }
    let is_target = |found: &&Found| targets.binary_search_by_key(&found.range.start, |target| target.start).is_ok();
    for found in addresses.iter().filter(|found| !is_target(found)) {
        bytes[found.range.clone()].iter_mut().for_each(hide);
    }
    let mut escaped = false;
    for (at, byte) in bytes.iter_mut().enumerate() {
        let next = targets.partition_point(|target| target.end <= at);
        if targets.get(next).is_some_and(|target| target.contains(&at)) {
            continue;
        }
        let (before, after) = (&source.as_bytes()[..at], source.as_bytes().get(at + 1));
        match *byte {
            b'&' | b'!' | b':' | b'<' if escaped => {}
            b'&' => hide(byte),
            // The end of a line like any other; the parser is not always sure of it.
            b'\r' if after != Some(&b'\n') => *byte = b'\n',
            b'!' if after == Some(&b'[') => hide(byte),
            b':' if before.ends_with(b"]") => hide(byte),
            b'<' if !before.ends_with(b"](") => hide(byte),
            _ => {}
        }
        escaped = source.as_bytes()[at] == b'\\' && !escaped;
    }
    let mut start = 0;
    for line in source.split_inclusive(['\n', '\r']) {
        let quotes = line.len() - line.trim_start_matches([' ', '\t', '>']).len();
        let glued = line[..quotes].len() - line[..quotes].trim_end_matches('>').len();
        let ends = line[quotes..].trim_end().is_empty();
        if glued > 0 && !ends {
            bytes[start + quotes - glued..start + quotes].iter_mut().for_each(hide);
        }
        start += line.len();
    }
    Some(String::from_utf8(bytes).expect("one ASCII character is replaced by another"))
}

/// What was written.
pub(super) fn unmask(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for byte in bytes.iter_mut().filter(|byte| **byte < b' ') {
        if let Some((hidden, _)) = HIDDEN.iter().find(|(_, stand_in)| stand_in == byte) {
            *byte = *hidden;
        }
    }
    String::from_utf8(bytes).expect("one ASCII character is replaced by another")
}

fn hide(byte: &mut u8) {
    if let Some((_, stand_in)) = HIDDEN.iter().find(|(hidden, _)| hidden == byte) {
        *byte = *stand_in;
    }
}
