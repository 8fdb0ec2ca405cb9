//! What holds of the tree of any text, for the property tests here and the fuzz target in `fuzz/`, which includes this file.

use crate::markup::{Block, Content, Inline, Item, Mark};

/// Bytes of a tree's JSON for each byte of its source, at most: `>` is a quotation in a quotation.
const GROWTH_MAX: usize = 32;
/// Bytes of a tree's JSON beside these, at most: what encloses the shortest text.
const FRAME_BYTES: usize = 64;

/// Asserts that nothing is lost but marks, that links lead nowhere else, and that the tree is bounded.
pub(crate) fn assert_promises(source: &str) {
    let Some(content) = Content::of(source) else { return };
    let json = serde_json::to_string(&content).expect("a tree is JSON");
    assert!(
        json.len() <= GROWTH_MAX * source.len() + FRAME_BYTES,
        "{} bytes of {}: {source:?}",
        json.len(),
        source.len()
    );
    let mut told = String::new();
    blocks(&content.0, &mut told);
    let mut characters = told.chars();
    for c in source.chars().filter(|c| !is_mark(*c)) {
        assert!(characters.any(|other| other == c), "{c:?} of {source:?} is not in {json}");
    }
}

/// What the marks are made of: everything else is told. A number of a list may begin with zeros.
fn is_mark(c: char) -> bool {
    c.is_whitespace() || "*_~`[]()<>!#-+=\\.\"':0".contains(c)
}

fn blocks(list: &[Block], told: &mut String) {
    for block in list {
        match block {
            Block::P { content } | Block::Heading { content, .. } => inlines(content, told),
            Block::Quote { content } => blocks(content, told),
            Block::CodeBlock { language, text } => {
                told.push_str(language.as_deref().unwrap_or_default());
                told.push_str(text);
            }
            Block::List { items } | Block::OrderedList { items } => {
                for Item { number, content } in items {
                    told.push_str(&number.map_or(String::new(), |number| number.to_string()));
                    blocks(content, told);
                }
            }
            Block::Rule => {}
        }
    }
}

fn inlines(list: &[Inline], told: &mut String) {
    for inline in list {
        match inline {
            Inline::Text(text) | Inline::Marked(Mark::Code { text }) => told.push_str(text),
            Inline::Marked(Mark::Mention { person, everybody, text }) => {
                assert!(person.is_some() != everybody.is_some(), "a mention of {text:?}");
                told.push_str(text);
            }
            Inline::Marked(Mark::Room { text, .. }) => told.push_str(text),
            Inline::Marked(Mark::Em { content } | Mark::Strong { content } | Mark::Strike { content }) => {
                inlines(content, told);
            }
            Inline::Marked(Mark::Link { href, title, content }) => {
                let scheme = href.split(':').next().unwrap_or_default().to_lowercase();
                assert!(["http", "https", "mailto"].contains(&scheme.as_str()), "a link to {href:?}");
                assert!(!href.contains(|c: char| c.is_control() || c.is_whitespace()), "a link to {href:?}");
                inlines(content, told);
                told.push_str(href);
                told.push_str(title.as_deref().unwrap_or_default());
            }
        }
    }
}
