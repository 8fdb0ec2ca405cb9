//! Text that somebody else has chosen, as it may stand on a terminal: names, programs, claims, what a configuration says.

/// With everything escaped that moves a cursor or turns text around (S50), as `\u001b`. In JSON and in TOML that is how it can
/// be written too: there the value stays what it was.
pub(crate) fn plain(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut plain, c| {
        if is_harmless(c) {
            plain.push(c);
        } else {
            plain += &format!("\\u{:04x}", u32::from(c));
        }
        plain
    })
}

/// The same with lines that stay lines.
pub(crate) fn plain_lines(text: &str) -> String {
    text.split('\n').map(plain).collect::<Vec<_>>().join("\n")
}

/// The same of JSON, whoever wrote it: between its values there may be tabs and ends of lines, and in them there are none.
pub(crate) fn plain_json(text: &str) -> String {
    plain(&text.replace(['\t', '\r', '\n'], " "))
}

/// Without what stands before the host of an address, which may be a password (S66). What is no address stays as it is, unless
/// it reads like a part of one.
pub(crate) fn without_password(text: &str) -> String {
    let Some(end) = text.rfind('@') else { return text.to_owned() };
    let begin = text.find("//").map(|slashes| slashes + 2).filter(|begin| *begin <= end);
    match begin.or_else(|| text[..end].contains(':').then_some(0)) {
        Some(begin) => format!("{}…{}", &text[..begin], &text[end..]),
        None => text.to_owned(),
    }
}

fn is_harmless(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !c.is_control() && !turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s50_what_a_terminal_would_obey_is_shown_and_not_done() {
        for (text, shown) in [
            ("\x1b[2Jeve", "\\u001b[2Jeve"),
            ("a\nb\tc\x7f", "a\\u000ab\\u0009c\\u007f"),
            ("\u{9b}31m", "\\u009b31m"),
            ("\u{202e}txt.exe", "\\u202etxt.exe"),
            ("Zoë, Łukasz, 東京, \\o/", "Zoë, Łukasz, 東京, \\o/"),
        ] {
            assert_eq!(plain(text), shown);
        }
        assert_eq!(plain_lines("a\x1b\nb\n"), "a\\u001b\nb\n");
    }

    #[test]
    fn s66_of_an_address_what_may_be_a_password_is_not_shown() {
        for (text, shown) in [
            ("https://ana:secret@login.example.org/keys", "https://…@login.example.org/keys"),
            ("https://secret@login.example.org", "https://…@login.example.org"),
            ("https://ana:se/cr?et@x@login.example.org", "https://…@login.example.org"),
            ("ana:secret@127.0.0.1:80", "…@127.0.0.1:80"),
            ("https://login.example.org/keys", "https://login.example.org/keys"),
            ("ana@example.org", "ana@example.org"),
        ] {
            assert_eq!(without_password(text), shown);
        }
    }

    #[test]
    fn json_stays_what_it_says() {
        let json = "{\"a\u{9b}\":\t\"\u{202e}\\n\",\r\n\"b\": \"\x7f\"}";
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        let shown = plain_json(json);
        assert_eq!(value(&shown), value(json));
        assert!(shown.chars().all(is_harmless), "{shown:?}");
    }
}
