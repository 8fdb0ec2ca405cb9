//! What a token lets its user do in channels by their names: one token for many channels, by patterns.
//!
//! They only ever give: what a namespace allows somebody anyway needs none, and no order of them matters. Patterns are matched
//! in linear time (S64), and bounded in number and length.

use crate::limits::{CAP_PATTERN_BYTES_MAX, CAP_PATTERNS_MAX, CAP_REGEX_BYTES_MAX, CAP_REGEXES_KEPT};
use crate::pattern;
use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tidings_hub::ChannelName;

/// What may be done in a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Subscribe,
    Publish,
    /// Ask who is there.
    Presence,
    /// Read what was published.
    History,
}

/// Some of the operations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Operations(u8);

/// All that a token gives in this way. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Caps(Option<Arc<[Cap]>>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Cap {
    channels: Vec<String>,
    matched: Match,
    allow: Operations,
}

/// How channels are named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
enum Match {
    /// By their whole name.
    #[default]
    Exact,
    /// A `*` stands for any characters, also none.
    Wildcard,
    /// By a regular expression for any part of the name.
    Regex,
}

/// An object of the claim `caps`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenCap {
    channels: Vec<String>,
    #[serde(rename = "match", default)]
    matched: Option<String>,
    allow: Vec<String>,
}

/// As they stand in a token.
const NAMES: [(&str, Operation); 4] = [
    ("sub", Operation::Subscribe),
    ("pub", Operation::Publish),
    ("prs", Operation::Presence),
    ("hst", Operation::History),
];

impl Operations {
    pub(super) fn read(names: &[String]) -> Result<Self, String> {
        names.iter().try_fold(Self::default(), |Self(bits), name| {
            let known = NAMES.iter().find(|(known, _)| known == name);
            let (_, operation) =
                known.ok_or_else(|| format!("its `allow` has {name:?}; known are sub, pub, prs and hst"))?;
            Ok(Self(bits | 1 << *operation as u8))
        })
    }

    pub(crate) fn contains(self, operation: Operation) -> bool {
        self.0 & 1 << operation as u8 != 0
    }
}

impl std::fmt::Display for Operations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = NAMES.iter().filter(|(_, operation)| self.contains(*operation)).map(|(name, _)| *name);
        f.write_str(&names.collect::<Vec<_>>().join(", "))
    }
}

impl Caps {
    pub(super) fn read(written: Vec<WrittenCap>) -> Result<Self, String> {
        let patterns: usize = written.iter().map(|cap| cap.channels.len()).sum();
        if patterns.max(written.len()) > CAP_PATTERNS_MAX {
            return Err(format!("its claim `caps` names more than {CAP_PATTERNS_MAX} channels; use patterns"));
        }
        let caps = written.into_iter().map(Cap::read).collect::<Result<Vec<_>, _>>()?;
        Ok(Self((!caps.is_empty()).then(|| caps.into())))
    }

    /// Whether the token lets its user do that in the channel, whatever the namespace says of everybody.
    pub(crate) fn allow(&self, channel: &ChannelName, operation: Operation) -> bool {
        let caps = self.0.as_deref().unwrap_or_default();
        caps.iter().any(|cap| cap.allow.contains(operation) && cap.is_about(channel.as_str()))
    }

    /// In words, one for each object.
    pub(crate) fn described(&self) -> impl Iterator<Item = String> {
        self.0.as_deref().unwrap_or_default().iter().map(|cap| {
            let how = match cap.matched {
                Match::Exact => "",
                Match::Wildcard => " (wildcards)",
                Match::Regex => " (regular expressions)",
            };
            format!("{} in {}{how}", cap.allow, cap.channels.join(", "))
        })
    }
}

impl Cap {
    fn read(WrittenCap { channels, matched, allow }: WrittenCap) -> Result<Self, String> {
        let matched = match matched.as_deref() {
            None | Some("") => Match::Exact,
            Some("wildcard") => Match::Wildcard,
            Some("regex") => Match::Regex,
            Some(other) => {
                return Err(format!("its claim `caps` has the match {other:?}; known are wildcard and regex"));
            }
        };
        for pattern in &channels {
            if pattern.is_empty() || pattern.len() > CAP_PATTERN_BYTES_MAX {
                return Err(format!(
                    "its claim `caps` has a pattern of {} bytes; they have 1 to {CAP_PATTERN_BYTES_MAX}",
                    pattern.len()
                ));
            }
            if matched == Match::Regex {
                REGEXES.with(pattern, |_| ()).map_err(|error| format!("its claim `caps` has {pattern:?}: {error}"))?;
            }
        }
        Ok(Self { channels, matched, allow: Operations::read(&allow)? })
    }

    fn is_about(&self, channel: &str) -> bool {
        self.channels.iter().any(|pattern| match self.matched {
            Match::Exact => pattern == channel,
            Match::Wildcard => pattern::matches(pattern, channel),
            // It was good when the token was read.
            Match::Regex => REGEXES.with(pattern, |regex| regex.is_match(channel)).unwrap_or(false),
        })
    }
}

/// Regular expressions that were used lately, so that each is compiled once and not by every question.
struct Regexes(Mutex<Option<HashMap<Box<str>, Regex>>>);

static REGEXES: Regexes = Regexes(Mutex::new(None));

impl Regexes {
    fn with<T>(&self, pattern: &str, use_it: impl FnOnce(&Regex) -> T) -> Result<T, String> {
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known().as_ref().and_then(|known| known.get(pattern).cloned());
        if let Some(regex) = found {
            return Ok(use_it(&regex));
        }
        let compiled =
            RegexBuilder::new(pattern).size_limit(CAP_REGEX_BYTES_MAX).dfa_size_limit(CAP_REGEX_BYTES_MAX).build();
        let regex = compiled.map_err(|error| error.to_string().lines().last().unwrap_or_default().to_owned())?;
        {
            let mut known = known();
            let known = known.get_or_insert_default();
            if known.len() >= CAP_REGEXES_KEPT {
                known.clear();
            }
            known.insert(pattern.into(), regex.clone());
        }
        Ok(use_it(&regex))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn caps(claim: Value) -> Result<Caps, String> {
        Caps::read(serde_json::from_value(claim).unwrap())
    }

    /// What a claim allows in a channel, in the words of the claim.
    fn allowed(claim: &Value, channel: &str) -> Vec<&'static str> {
        let (caps, channel) = (caps(claim.clone()).unwrap(), ChannelName::parse(channel).unwrap());
        NAMES.into_iter().filter(|(_, operation)| caps.allow(&channel, *operation)).map(|(name, _)| name).collect()
    }

    #[test]
    fn what_a_channel_is_given_is_what_all_that_match_it_give_in_any_order() {
        let claim = json!([
            {"channels": ["news", "user_42"], "allow": ["sub"]},
            {"channels": ["user_42"], "allow": ["pub", "hst", "prs"]},
        ]);
        assert_eq!(allowed(&claim, "news"), ["sub"]);
        assert_eq!(allowed(&claim, "user_42"), ["sub", "pub", "prs", "hst"]);
        assert_eq!(allowed(&claim, "user_4"), [""; 0]);
        assert_eq!(allowed(&json!([]), "news"), [""; 0]);
    }

    #[test]
    fn a_star_stands_for_any_characters_and_nothing_else_is_special() {
        for (pattern, fits, does_not) in [
            ("news:*", vec!["news:", "news:a", "news:a:b"], vec!["news", "anews:a"]),
            ("*", vec!["a", "$a", "#42"], vec![]),
            ("a*b*c", vec!["abc", "axbxc", "abbcc", "abcbc"], vec!["acb", "ab", "abcd"]),
            ("*:x:*", vec!["a:x:b", ":x:"], vec!["a:y:b", "x"]),
            ("a.c", vec!["a.c"], vec!["abc"]),
            ("ab*ba", vec!["abba", "abxba"], vec!["aba"]),
        ] {
            let claim = json!([{"channels": [pattern], "match": "wildcard", "allow": ["sub"]}]);
            for channel in fits {
                assert_eq!(allowed(&claim, channel), ["sub"], "{pattern} {channel}");
            }
            for channel in does_not {
                assert_eq!(allowed(&claim, channel), [""; 0], "{pattern} {channel}");
            }
        }
        assert_eq!(allowed(&json!([{"channels": ["a*"], "allow": ["sub"]}]), "ab"), [""; 0], "only where it says so");
    }

    #[test]
    fn a_regular_expression_is_one_for_a_part_of_the_name_unless_it_says_otherwise() {
        let whole = json!([{"channels": [r"^posts_[\d]+$"], "match": "regex", "allow": ["sub", "hst"]}]);
        assert_eq!(allowed(&whole, "posts_42"), ["sub", "hst"]);
        assert_eq!(allowed(&whole, "posts_42a"), [""; 0]);
        let part = json!([{"channels": ["news"], "match": "regex", "allow": ["sub"]}]);
        assert_eq!(allowed(&part, "old:news:1"), ["sub"]);
    }

    #[test]
    fn s64_what_cannot_be_matched_in_linear_time_or_is_too_large_is_refused_with_the_token() {
        let slow = "(a*)*".repeat(40);
        for (claim, why) in [
            (json!([{"channels": [r"(a)\1"], "match": "regex", "allow": ["sub"]}]), "backreferences are not supported"),
            (json!([{"channels": ["["], "match": "regex", "allow": ["sub"]}]), "unclosed character class"),
            (json!([{"channels": ["(a{1000}){1000}"], "match": "regex", "allow": ["sub"]}]), "size limit"),
            (json!([{"channels": ["a"], "match": "glob", "allow": ["sub"]}]), "known are wildcard and regex"),
            (json!([{"channels": ["a"], "allow": ["subscribe"]}]), "known are sub, pub, prs and hst"),
            (json!([{"channels": [""], "allow": ["sub"]}]), "they have 1 to"),
            (json!([{"channels": ["a".repeat(CAP_PATTERN_BYTES_MAX + 1)], "allow": ["sub"]}]), "they have 1 to"),
            (json!([{"channels": vec!["a"; CAP_PATTERNS_MAX + 1], "allow": ["sub"]}]), "use patterns"),
            (json!(vec![json!({"channels": [], "allow": []}); CAP_PATTERNS_MAX + 1]), "use patterns"),
        ] {
            let refused = caps(claim.clone()).unwrap_err();
            assert!(refused.contains(why), "{claim} {refused}");
        }
        let claim = json!([{"channels": [slow], "match": "regex", "allow": ["sub"]}]);
        assert_eq!(allowed(&claim, &"a".repeat(255)), ["sub"]);
        let stars = json!([{"channels": ["a*".repeat(100) + "b"], "match": "wildcard", "allow": ["sub"]}]);
        assert_eq!(allowed(&stars, &"a".repeat(255)), [""; 0]);
    }

    #[test]
    fn more_expressions_than_are_kept_are_matched_all_the_same() {
        for number in 0..=CAP_REGEXES_KEPT {
            let claim = json!([{"channels": [format!("^{number}$")], "match": "regex", "allow": ["sub"]}]);
            assert_eq!(allowed(&claim, &number.to_string()), ["sub"]);
        }
    }
}
