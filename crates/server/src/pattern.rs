//! Patterns of channel names, in which `*` stands for any characters: of the server API, of its keys, and of tokens.

/// A pattern for many names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(String);

impl Pattern {
    pub(crate) fn new(pattern: &str) -> Self {
        Self(pattern.to_owned())
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        matches(&self.0, text)
    }
}

/// Goes through both once: each part is taken where it first stands, and the last one at the end.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(first) else { return false };
    let Some((between, last)) = rest.rsplit_once('*') else { return text.ends_with(rest) };
    let Some(mut text) = text.strip_suffix(last) else { return false };
    for part in between.split('*') {
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn a_star_in_a_pattern_stands_for_any_characters() {
        for (pattern, text) in [("*", "news"), ("news", "news"), ("n*s", "news"), ("a:*:c", "a:b:c"), ("*:b*", "a:bc")]
        {
            assert!(Pattern::new(pattern).matches(text), "{pattern} {text}");
        }
        for (pattern, text) in [("new", "news"), ("n*x", "news"), ("a:*:c", "a:c"), ("ab*b", "ab"), ("a*b*b", "ab")] {
            assert!(!Pattern::new(pattern).matches(text), "{pattern} {text}");
        }
    }
}
