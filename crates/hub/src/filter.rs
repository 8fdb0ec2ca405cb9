//! Which publications a subscriber wants, by their tags: the filter `tf` of a subscription.
//!
//! Source: the behaviour of the protocol's servers; numbers are compared as decimals of any length.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use tidings_protocol::FilterNode;

use crate::limits::{FILTER_BYTES_MAX, FILTER_DEPTH_MAX, FILTER_NODES_MAX};

/// A filter that makes sense. Two that are written alike are equal.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// Of the node: where each subscriber has a filter of its own, they are told apart by this.
    digest: u64,
    node: FilterNode,
}

/// Why a filter makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// It costs too much for each publication.
    #[error(
        "a filter has at most {FILTER_NODES_MAX} nodes, {FILTER_DEPTH_MAX} within each other, of {FILTER_BYTES_MAX} bytes"
    )]
    TooLarge,
    /// A leaf compares with too little or too much.
    #[error("the comparison {0:?} of a filter needs {1}")]
    Comparison(String, &'static str),
    /// Neither a leaf nor `and`, `or`, `not`.
    #[error("a filter's op is empty, and, or, not; this one has {0:?}")]
    Op(String),
    /// `and` and `or` of nothing, `not` of several.
    #[error("the op {0:?} of a filter needs {1}")]
    Nodes(String, &'static str),
}

impl Filter {
    /// Checks a filter as a client wrote it.
    ///
    /// # Errors
    /// [`FilterError`] when it makes no sense, or is too large.
    pub fn new(node: FilterNode) -> Result<Self, FilterError> {
        let (mut nodes, mut bytes) = (0, 0);
        check(&node, 1, &mut nodes, &mut bytes)?;
        let mut hasher = DefaultHasher::new();
        hash(&node, &mut hasher);
        Ok(Self { digest: hasher.finish(), node })
    }

    /// The same for filters that are equal.
    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// Whether a publication with these tags is wanted.
    #[must_use]
    pub fn matches(&self, tags: &BTreeMap<String, String>) -> bool {
        matches(&self.node, tags)
    }
}

fn hash(node: &FilterNode, hasher: &mut impl Hasher) {
    let FilterNode { op, key, cmp, val, vals, nodes } = node;
    (op, key, cmp, val, vals, nodes.len()).hash(hasher);
    nodes.iter().for_each(|node| hash(node, hasher));
}

fn check(node: &FilterNode, depth: usize, nodes: &mut usize, bytes: &mut usize) -> Result<(), FilterError> {
    let FilterNode { op, key, cmp, val, vals, nodes: inner } = node;
    *nodes += 1;
    *bytes += op.len() + key.len() + cmp.len() + val.len() + vals.iter().map(String::len).sum::<usize>() + vals.len();
    if *nodes > FILTER_NODES_MAX || *bytes > FILTER_BYTES_MAX || depth > FILTER_DEPTH_MAX {
        return Err(FilterError::TooLarge);
    }
    match op.as_str() {
        "" => return check_leaf(key, cmp, val, vals, inner),
        "and" | "or" if inner.is_empty() => return Err(FilterError::Nodes(op.clone(), "at least one node")),
        "not" if inner.len() != 1 => return Err(FilterError::Nodes(op.clone(), "exactly one node")),
        "and" | "or" | "not" => {}
        _ => return Err(FilterError::Op(op.clone())),
    }
    inner.iter().try_for_each(|node| check(node, depth + 1, nodes, bytes))
}

fn check_leaf(key: &str, cmp: &str, val: &str, vals: &[String], inner: &[FilterNode]) -> Result<(), FilterError> {
    let wrong = |needs| Err(FilterError::Comparison(cmp.to_owned(), needs));
    if key.is_empty() {
        return wrong("a key");
    }
    if !inner.is_empty() {
        return wrong("no nodes");
    }
    match cmp {
        "eq" | "neq" | "sw" | "ew" | "ct" if val.is_empty() || !vals.is_empty() => wrong("val, and no vals"),
        "gt" | "gte" | "lt" | "lte" if Decimal::parse(val).is_none() || !vals.is_empty() => {
            wrong("a number as its val, and no vals")
        }
        "in" | "nin" if vals.is_empty() || !val.is_empty() => wrong("vals, and no val"),
        "ex" | "nex" if !val.is_empty() || !vals.is_empty() => wrong("neither val nor vals"),
        "eq" | "neq" | "sw" | "ew" | "ct" | "gt" | "gte" | "lt" | "lte" | "in" | "nin" | "ex" | "nex" => Ok(()),
        _ => wrong("to be one of eq neq in nin ex nex sw ew ct gt gte lt lte"),
    }
}

fn matches(node: &FilterNode, tags: &BTreeMap<String, String>) -> bool {
    match node.op.as_str() {
        "and" => node.nodes.iter().all(|node| matches(node, tags)),
        "or" => node.nodes.iter().any(|node| matches(node, tags)),
        "not" => !node.nodes.iter().all(|node| matches(node, tags)),
        _ => matches_leaf(node, tags.get(&node.key).map(String::as_str)),
    }
}

fn matches_leaf(FilterNode { cmp, val, vals, .. }: &FilterNode, tag: Option<&str>) -> bool {
    let is = |wanted: fn(&str, &str) -> bool| tag.is_some_and(|tag| wanted(tag, val));
    let among = || tag.is_some_and(|tag| vals.iter().any(|val| val == tag));
    let ordering = || Some(Decimal::parse(tag?)?.cmp(Decimal::parse(val)?));
    let ordered = |wanted: fn(Ordering) -> bool| ordering().is_some_and(wanted);
    match cmp.as_str() {
        "eq" => is(|tag, val| tag == val),
        "neq" => !is(|tag, val| tag == val),
        "in" => among(),
        "nin" => !among(),
        "ex" => tag.is_some(),
        "nex" => tag.is_none(),
        "sw" => is(|tag, val| tag.starts_with(val)),
        "ew" => is(|tag, val| tag.ends_with(val)),
        "ct" => is(|tag, val| tag.contains(val)),
        "gt" => ordered(Ordering::is_gt),
        "gte" => ordered(Ordering::is_ge),
        "lt" => ordered(Ordering::is_lt),
        "lte" => ordered(Ordering::is_le),
        _ => false,
    }
}

/// A number as it is written: sign, digits before the point without leading zeros, digits behind it without trailing ones.
#[derive(Clone, Copy)]
struct Decimal<'a> {
    is_negative: bool,
    whole: &'a str,
    part: &'a str,
}

impl<'a> Decimal<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (is_negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
        let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(part) {
            return None;
        }
        let (whole, part) = (whole.trim_start_matches('0'), part.trim_end_matches('0'));
        let is_zero = whole.is_empty() && part.is_empty();
        Some(Self { is_negative: is_negative && !is_zero, whole, part })
    }

    fn cmp(self, other: Self) -> Ordering {
        let size = |one: Self, other: Self| {
            (one.whole.len(), one.whole, one.part).cmp(&(other.whole.len(), other.whole, other.part))
        };
        match (self.is_negative, other.is_negative) {
            (false, false) => size(self, other),
            (true, true) => size(other, self),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(cmp: &str, val: &str, vals: &[&str]) -> FilterNode {
        let vals = vals.iter().map(|val| (*val).to_owned()).collect();
        FilterNode { key: "k".into(), cmp: cmp.into(), val: val.into(), vals, ..FilterNode::default() }
    }

    fn op(op: &str, nodes: Vec<FilterNode>) -> FilterNode {
        FilterNode { op: op.into(), nodes, ..FilterNode::default() }
    }

    fn takes(node: FilterNode, tag: Option<&str>) -> bool {
        let tags = tag.map(|tag| ("k".to_owned(), tag.to_owned())).into_iter().collect();
        Filter::new(node).unwrap().matches(&tags)
    }

    #[test]
    fn every_comparison_with_a_tag_that_fits_one_that_does_not_and_none() {
        // comparison, val, vals, a tag that it takes, one that it does not, whether it takes what has no such tag
        for (cmp, val, vals, fits, other, without) in [
            ("eq", "a", &[][..], "a", "b", false),
            ("neq", "a", &[], "b", "a", true),
            ("in", "", &["a", "b"], "b", "c", false),
            ("nin", "", &["a", "b"], "c", "a", true),
            ("sw", "ab", &[], "abc", "cab", false),
            ("ew", "bc", &[], "abc", "bca", false),
            ("ct", "b", &[], "abc", "ac", false),
            ("gt", "9", &[], "10", "9", false),
            ("gte", "9.50", &[], "9.5", "9.49", false),
            ("lt", "-1", &[], "-1.5", "0", false),
            ("lte", "-0", &[], "0.0", "0.000001", false),
        ] {
            let node = || leaf(cmp, val, vals);
            assert!(takes(node(), Some(fits)), "{cmp} {fits}");
            assert!(!takes(node(), Some(other)), "{cmp} {other}");
            assert_eq!(takes(node(), None), without, "{cmp} without");
        }
        assert!(takes(leaf("ex", "", &[]), Some("")) && !takes(leaf("ex", "", &[]), None));
        assert!(takes(leaf("nex", "", &[]), None) && !takes(leaf("nex", "", &[]), Some("a")));
        // What is no number is neither more nor less.
        assert!(!takes(leaf("gt", "1", &[]), Some("two")) && !takes(leaf("lte", "1", &[]), Some("1e0")));
        let long = "123456789012345678901234567890.000000000000000000001";
        assert!(takes(leaf("gt", "123456789012345678901234567890", &[]), Some(long)));
    }

    #[test]
    fn filters_are_joined_by_and_or_not() {
        let (a, b) = (|| leaf("ct", "a", &[]), || leaf("ct", "b", &[]));
        for (node, both, one, neither) in [
            (op("and", vec![a(), b()]), true, false, false),
            (op("or", vec![a(), b()]), true, true, false),
            (op("not", vec![a()]), false, false, true),
            (op("not", vec![op("or", vec![a(), b()])]), false, false, true),
        ] {
            assert_eq!(takes(node.clone(), Some("ab")), both, "{node:?}");
            assert_eq!(takes(node.clone(), Some("a")), one, "{node:?}");
            assert_eq!(takes(node.clone(), Some("c")), neither, "{node:?}");
        }
    }

    #[test]
    fn a_filter_that_makes_no_sense_or_is_too_large_is_refused_with_what_is_wrong() {
        let keyless = FilterNode { key: String::new(), ..leaf("eq", "a", &[]) };
        let deep = (0..FILTER_DEPTH_MAX).fold(leaf("ex", "", &[]), |inner, _| op("not", vec![inner]));
        for (node, says) in [
            (FilterNode::default(), "needs a key"),
            (keyless, "needs a key"),
            (leaf("eq", "", &[]), "needs val"),
            (leaf("eq", "a", &["b"]), "no vals"),
            (leaf("in", "", &[]), "needs vals"),
            (leaf("ex", "a", &[]), "neither"),
            (leaf("gt", "ten", &[]), "a number"),
            (leaf("like", "a", &[]), "one of eq neq"),
            (op("xor", vec![leaf("ex", "", &[])]), "empty, and, or, not"),
            (op("and", vec![]), "at least one"),
            (op("not", vec![leaf("ex", "", &[]), leaf("ex", "", &[])]), "exactly one"),
            (op("or", vec![leaf("ex", "", &[]); FILTER_NODES_MAX]), "at most"),
            (leaf("eq", &"x".repeat(FILTER_BYTES_MAX), &[]), "at most"),
            (deep, "at most"),
        ] {
            let error = Filter::new(node.clone()).unwrap_err().to_string();
            assert!(error.contains(says), "{error} does not say {says:?}: {node:?}");
        }
    }
}
