//! Patterns of channel names, in which `*` stands for any characters.

/// A pattern, taken apart once for all names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    head: String,
    /// What follows each `*`; none: the name must be `head`.
    parts: Vec<String>,
}

impl Pattern {
    pub(crate) fn new(pattern: &str) -> Self {
        let mut parts = pattern.split('*').map(str::to_owned);
        Self { head: parts.next().unwrap_or_default(), parts: parts.collect() }
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        let Some((last, between)) = self.parts.split_last() else { return self.head == text };
        let Some(mut rest) = text.strip_prefix(&*self.head) else { return false };
        for part in between {
            match rest.find(&**part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(&**last)
    }
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
        for (pattern, text) in [("new", "news"), ("n*x", "news"), ("a:*:c", "a:c"), ("ab*b", "ab")] {
            assert!(!Pattern::new(pattern).matches(text), "{pattern} {text}");
        }
    }
}
