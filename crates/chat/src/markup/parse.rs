//! From the parser's events to the tree.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag};

use super::{
    Block, Inline, Item, Mark,
    addresses::{self, Found},
    mask::{BRACKET, IMAGE, mask, unmask},
    mentions,
};
use crate::limits::{CODE_LANGUAGE_CHARS_MAX, MARKUP_DEPTH_MAX, MARKUP_NODES_MAX};

/// The blocks of a text; `None` where there are too many parts, or they are nested too deep.
pub(super) fn parse(source: &str) -> Option<Vec<Block>> {
    let addresses = mentions::among(addresses::find(source), source);
    // The parser must see where a link leads, or it sees no link. What it then takes for none is hidden from it in turn.
    let mut targets = addresses::targets(source, &addresses);
    for _ in 0..TRIES_MAX {
        let masked = mask(source, &addresses, &targets)?;
        let mut builder = Builder {
            source,
            addresses: &addresses,
            targets: &targets,
            reached: Vec::new(),
            open: vec![Open::new(Kind::Root, 0)],
            text: String::new(),
            nodes: 0,
            line_begins: true,
            told: 0,
            links: 0,
        };
        for (event, range) in Parser::new_ext(&masked, Options::ENABLE_STRIKETHROUGH).into_offset_iter() {
            builder.event(event, range);
            if builder.nodes > MARKUP_NODES_MAX || builder.open.len() > MARKUP_DEPTH_MAX {
                return None;
            }
        }
        builder.end_lines();
        let reached = builder.reached;
        if reached.len() == targets.len() {
            return builder.open.pop().map(|root| root.blocks);
        }
        targets = reached;
    }
    None
}

/// What one reading hides may change what the next one takes for a link. Nobody writes so.
const TRIES_MAX: usize = 3;

/// What is being built, with what it has so far.
struct Open {
    kind: Kind,
    /// Where it begins in the source.
    start: usize,
    blocks: Vec<Block>,
    inlines: Vec<Inline>,
    items: Vec<Item>,
}

enum Kind {
    Root,
    Quote,
    List {
        ordered: bool,
    },
    /// `column`: where its text begins, counted from the start of its line; from the first text on.
    Item {
        number: Option<u64>,
        column: Option<usize>,
    },
    /// `indented`: by spaces, and not between fences.
    Code {
        language: Option<String>,
        text: String,
        indented: bool,
    },
    /// `implicit`: the parser says nothing of it (the text of a tight list).
    Paragraph {
        implicit: bool,
    },
    /// `underlined`: a text with a line under it, which in a chat is that.
    Heading {
        level: u8,
        underlined: bool,
    },
    Em,
    Strong,
    Strike,
    Link {
        href: String,
        title: Option<String>,
    },
    /// No markup of ours: its marks are text, and it ends with this mark, or with what has not been told yet.
    Text {
        ends: Option<&'static str>,
    },
}

impl Open {
    fn new(kind: Kind, start: usize) -> Self {
        Self { kind, start, blocks: Vec::new(), inlines: Vec::new(), items: Vec::new() }
    }

    fn has_lines(&self) -> bool {
        !matches!(self.kind, Kind::Root | Kind::Quote | Kind::List { .. } | Kind::Item { .. } | Kind::Code { .. })
    }
}

struct Builder<'a> {
    source: &'a str,
    addresses: &'a [Found],
    /// Those of them that the parser sees, because links may lead there.
    targets: &'a [Range<usize>],
    /// Those of these to which links lead.
    reached: Vec<Range<usize>>,
    /// From the root to what is innermost.
    open: Vec<Open>,
    /// Text that is not in the tree yet, masked.
    text: String,
    nodes: usize,
    /// Nothing of the present line has been told yet.
    line_begins: bool,
    /// Up to where the source has been told.
    told: usize,
    /// How many links are open.
    links: usize,
}

impl<'a> Builder<'a> {
    fn event(&mut self, event: Event<'_>, range: Range<usize>) {
        match event {
            Event::Start(tag) => self.start(tag, range),
            Event::End(_) => self.end(range),
            Event::Text(text) => {
                if let Kind::Code { text: code, .. } = &mut self.innermost().kind {
                    code.push_str(&text);
                } else {
                    self.begin_line(range.start);
                    self.text(&text, range);
                }
            }
            Event::Code(code) => {
                self.begin_line(range.start);
                self.mark(Mark::Code { text: unmask(&code) });
                self.told = range.end;
            }
            Event::SoftBreak | Event::HardBreak => {
                self.text.push('\n');
                self.line_begins = true;
                self.told = range.end;
            }
            Event::Rule => {
                self.end_lines();
                self.block(Block::Rule);
            }
            // HTML behind an escaped bracket, which the mask leaves alone; nothing else is asked of the parser.
            _ => {
                self.begin_line(range.start);
                let written = &self.source[range.clone()];
                self.text.push_str(written);
                self.told = range.end;
            }
        }
    }

    fn start(&mut self, tag: Tag<'_>, range: Range<usize>) {
        let source = self.source;
        let kind = match tag {
            Tag::Emphasis => Kind::Em,
            Tag::Strong => Kind::Strong,
            Tag::Strikethrough if source[range.start..].starts_with("~~") => Kind::Strike,
            Tag::Strikethrough => Kind::Text { ends: Some("~") },
            Tag::Link { dest_url, title, .. } | Tag::Image { dest_url, title, .. } => {
                let (href, title) = (unmask(&dest_url), unmask(&title));
                if addresses::is_link(&href) {
                    Kind::Link { href, title: Some(title).filter(|title| !title.is_empty()) }
                } else {
                    Kind::Text { ends: None }
                }
            }
            tag => return self.start_block(tag, range),
        };
        self.begin_line(range.start);
        match kind {
            Kind::Text { ends } => self.text.push_str(ends.unwrap_or("[")),
            Kind::Link { .. } => {
                self.links += 1;
                if self.text.ends_with(char::from(IMAGE)) {
                    self.text.pop();
                }
            }
            _ => {}
        }
        let is_text = matches!(kind, Kind::Text { .. });
        self.told = range.start + 1;
        self.flush();
        self.nodes += usize::from(!is_text);
        self.open.push(Open::new(kind, range.start));
    }

    fn start_block(&mut self, tag: Tag<'_>, range: Range<usize>) {
        self.end_lines();
        let written = &self.source[range.clone()];
        let kind = match tag {
            Tag::BlockQuote(_) => Kind::Quote,
            Tag::List(first) => Kind::List { ordered: first.is_some() },
            Tag::Item => {
                // Behind a tab the parser may say that it begins before the mark of the quotation that it is in.
                let mark = written.trim_start_matches([' ', '\t', '>']);
                let digits = mark.len() - mark.trim_start_matches(|c: char| c.is_ascii_digit()).len();
                Kind::Item { number: mark[..digits].parse().ok(), column: None }
            }
            Tag::CodeBlock(CodeBlockKind::Fenced(info)) => {
                // More than a word behind the fence, and somebody has begun with the code there.
                let info = unmask(&info);
                let is_word = info.chars().count() <= CODE_LANGUAGE_CHARS_MAX && !info.contains(char::is_whitespace);
                let text = if is_word { String::new() } else { format!("{info}\n") };
                Kind::Code { language: Some(info).filter(|info| is_word && !info.is_empty()), text, indented: false }
            }
            Tag::CodeBlock(CodeBlockKind::Indented) => {
                Kind::Code { language: None, text: String::new(), indented: true }
            }
            Tag::Heading { level, .. } => {
                let behind = written.trim_start_matches('#');
                let has_marks =
                    behind.len() < written.len() && (behind.is_empty() || behind.starts_with([' ', '\t', '\r', '\n']));
                Kind::Heading { level: number(level), underlined: !has_marks }
            }
            _ => Kind::Paragraph { implicit: false },
        };
        self.nodes += 1;
        self.line_begins = true;
        self.told = range.start;
        self.open.push(Open::new(kind, range.start));
    }

    fn end(&mut self, range: Range<usize>) {
        // The text of a tight list ends with its item.
        if matches!(self.innermost().kind, Kind::Paragraph { implicit: true }) {
            self.end_lines();
        }
        if matches!(self.innermost().kind, Kind::Text { .. } | Kind::Link { .. }) {
            return self.end_link(range);
        }
        self.flush();
        let Some(Open { kind, start, blocks, inlines, items }) = self.open.pop() else { return };
        let written = self.source[start..range.end.max(start)].trim_end();
        // What is empty was not meant as markup: ">", "1.", "```".
        let as_written = || Block::P { content: vec![Inline::Text(written.to_owned())] };
        let told = self.told;
        self.told = range.end;
        match kind {
            Kind::Em => self.push(Inline::Marked(Mark::Em { content: inlines })),
            Kind::Strong => self.push(Inline::Marked(Mark::Strong { content: inlines })),
            Kind::Strike => self.push(Inline::Marked(Mark::Strike { content: inlines })),
            Kind::Paragraph { .. } => self.block(Block::P { content: inlines }),
            Kind::Heading { underlined: true, .. } => {
                let line = self.source[told..range.end].trim_start_matches(['\r', '\n', ' ', '\t', '>']).trim_end();
                self.end_underlined(inlines, line);
            }
            Kind::Heading { .. } if inlines.is_empty() => self.block(as_written()),
            Kind::Heading { level, .. } => self.block(Block::Heading { level, content: inlines }),
            Kind::Quote if blocks.is_empty() => self.block(as_written()),
            Kind::Quote => self.block(Block::Quote { content: blocks }),
            // One line that begins with spaces is just that.
            Kind::Code { text, indented: true, .. } if !text.trim_end().contains('\n') => {
                let line = format!("{}{}", self.indentation(start), unmask(text.trim_end()));
                self.block(Block::P { content: vec![Inline::Text(line)] });
            }
            Kind::Code { language, text, .. } => {
                let text = unmask(text.strip_suffix('\n').unwrap_or(&text));
                self.block(if text.is_empty() { as_written() } else { Block::CodeBlock { language, text } });
            }
            Kind::Item { number, .. } => self.innermost().items.push(Item { number, content: blocks }),
            Kind::List { .. } if items.iter().all(|item| item.content.is_empty()) => self.block(as_written()),
            Kind::List { ordered: true } => self.block(Block::OrderedList { items }),
            Kind::List { ordered: false } => self.block(Block::List { items }),
            Kind::Root | Kind::Link { .. } | Kind::Text { .. } => {}
        }
    }

    /// A link ends, or what is none after all.
    fn end_link(&mut self, range: Range<usize>) {
        if let Kind::Text { ends } = self.innermost().kind {
            let rest = ends.unwrap_or(&self.source[self.told.min(range.end)..range.end]);
            self.text.push_str(rest);
        }
        self.flush();
        let Some(Open { kind, inlines, .. }) = self.open.pop() else { return };
        if let Kind::Link { href, title } = kind {
            self.links -= 1;
            let href = self.written_target(range.end).filter(|written| addresses::is_link(written)).unwrap_or(href);
            self.push(Inline::Marked(Mark::Link { href, title, content: inlines }));
        } else {
            inlines.into_iter().for_each(|inline| self.push(inline));
        }
        self.told = range.end;
    }

    /// Where the link leads that ends here, as it was written: the parser reads `&copy;` as something else.
    fn written_target(&mut self, end: usize) -> Option<String> {
        let behind = self.source.get(self.told..end)?.strip_prefix("](")?.trim_start();
        let in_brackets = behind.starts_with('<');
        let start = end - behind.len() + usize::from(in_brackets);
        if let Ok(index) = self.targets.binary_search_by_key(&start, |target| target.start) {
            self.reached.push(self.targets[index].clone());
        }
        Some(addresses::target(&self.source[start..end], in_brackets))
    }

    /// A paragraph with a line under it: in a chat that is what it is, and no heading.
    fn end_underlined(&mut self, mut content: Vec<Inline>, line: &str) {
        if line.len() >= 3 && line.starts_with('-') {
            self.block(Block::P { content });
            self.nodes += 1;
            self.block(Block::Rule);
        } else {
            add(&mut content, Inline::Text(format!("\n{line}")));
            self.block(Block::P { content });
        }
    }

    /// Text, with the addresses in it as links.
    fn text(&mut self, text: &str, range: Range<usize>) {
        let is_verbatim = text.len() == range.len();
        let mut at = range.start.max(self.told);
        while is_verbatim && at < range.end {
            let next = self.addresses.partition_point(|found| found.range.start < at);
            let mut ahead = self.addresses[next..].iter().take_while(|found| found.range.start < range.end);
            // There is no link in a link; somebody may be mentioned in one.
            let Some(found) = ahead.find(|found| self.links == 0 || found.mark.is_some()) else { break };
            self.text.push_str(&text[at - range.start..found.range.start - range.start]);
            if let Some(mark) = &found.mark {
                self.mark(mark.clone());
                at = found.range.end;
                continue;
            }
            let is_marked = found.whole != found.range && self.text.ends_with(char::from(BRACKET));
            if is_marked {
                self.text.pop();
            }
            let written = self.source[found.range.clone()].to_owned();
            let (href, content) = match &found.href {
                Some(href) => (href.clone(), vec![Inline::Text(written)]),
                None => (written, Vec::new()),
            };
            self.mark(Mark::Link { href, title: None, content });
            at = if is_marked { found.whole.end } else { found.range.end };
        }
        if at < range.end {
            self.text.push_str(if is_verbatim { &text[at - range.start..] } else { text });
        }
        self.told = at.max(range.end);
    }

    /// Something of a line is about to be told: opens a paragraph where there is none, and keeps the line's own spaces.
    fn begin_line(&mut self, at: usize) {
        if !self.innermost().has_lines() {
            self.nodes += 1;
            self.open.push(Open::new(Kind::Paragraph { implicit: true }, at));
            self.line_begins = true;
        }
        if !std::mem::take(&mut self.line_begins) {
            return;
        }
        let indentation = self.indentation(at);
        self.text.push_str(indentation);
    }

    /// The spaces with which the line begins whose text begins here, as far as they are not the mark of what encloses it.
    fn indentation(&mut self, at: usize) -> &'a str {
        let source = self.source;
        let line = source[..at].rfind(['\n', '\r']).map_or(0, |end| end + 1);
        let mut before = &source[line..at];
        // What encloses the text takes its part of the line: a quotation its mark and a space, an item its indentation.
        let inner = self.open.iter().rposition(|open| matches!(open.kind, Kind::Quote | Kind::Item { .. }));
        let is_quoted = self.open.iter().any(|open| matches!(open.kind, Kind::Quote));
        if is_quoted && let Some(mark) = before.rfind('>') {
            before = &before[mark + 1..];
            before = before.strip_prefix(' ').unwrap_or(before);
        }
        if let Some(Kind::Item { column, .. }) = inner.map(|inner| &mut self.open[inner].kind) {
            let column = *column.get_or_insert(before.len());
            let blank = before.len() - before.trim_start_matches([' ', '\t']).len();
            before = &before[blank.min(column)..];
        }
        let spaces = before.len() - before.trim_start_matches([' ', '\t']).len();
        &before[..spaces]
    }

    fn mark(&mut self, mark: Mark) {
        self.flush();
        self.nodes += 1;
        self.push(Inline::Marked(mark));
    }

    fn push(&mut self, inline: Inline) {
        add(&mut self.innermost().inlines, inline);
    }

    fn block(&mut self, block: Block) {
        self.innermost().blocks.push(block);
    }

    /// What was read of the text goes into the tree.
    fn flush(&mut self) {
        if !self.text.is_empty() {
            let text = unmask(&std::mem::take(&mut self.text));
            self.push(Inline::Text(text));
        }
    }

    /// Ends a paragraph that the parser says nothing of.
    fn end_lines(&mut self) {
        self.flush();
        if matches!(self.innermost().kind, Kind::Paragraph { implicit: true })
            && let Some(Open { inlines, .. }) = self.open.pop()
        {
            self.block(Block::P { content: inlines });
        }
    }

    fn innermost(&mut self) -> &mut Open {
        self.open.last_mut().expect("the root is closed by nobody")
    }
}

/// One text is one string.
fn add(inlines: &mut Vec<Inline>, inline: Inline) {
    match (inlines.last_mut(), inline) {
        (Some(Inline::Text(before)), Inline::Text(text)) => before.push_str(&text),
        (_, inline) => inlines.push(inline),
    }
}

fn number(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}
