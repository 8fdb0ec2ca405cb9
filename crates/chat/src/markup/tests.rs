//! What becomes of a text, by example, and what holds of any.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{promises::assert_promises, *};
use crate::limits::{BODY_BYTES_MAX, MARKUP_DEPTH_MAX, MARKUP_NODES_MAX};

/// The tree, shortened so that a line tells it: `p[…]`, `em[…]`; `-` where there is none.
fn shape(source: &str) -> String {
    Content::of(source).map_or_else(|| "-".into(), |content| blocks(&content.0))
}

fn blocks(list: &[Block]) -> String {
    let items = |items: &[Item]| {
        let item = |item: &Item| {
            format!("{}{}", item.number.map_or(String::new(), |number| format!("{number}:")), blocks(&item.content))
        };
        items.iter().map(item).collect::<Vec<_>>().join(" | ")
    };
    let block = |block: &Block| match block {
        Block::P { content } => format!("p[{}]", inlines(content)),
        Block::Heading { level, content } => format!("h{level}[{}]", inlines(content)),
        Block::Quote { content } => format!("quote[{}]", blocks(content)),
        Block::CodeBlock { language, text } => format!("code {}[{text}]", language.as_deref().unwrap_or("?")),
        Block::List { items: points } => format!("list[{}]", items(points)),
        Block::OrderedList { items: points } => format!("numbers[{}]", items(points)),
        Block::Rule => "rule".into(),
    };
    list.iter().map(block).collect::<Vec<_>>().join(" ")
}

fn inlines(list: &[Inline]) -> String {
    let inline = |inline: &Inline| match inline {
        Inline::Text(text) => text.clone(),
        Inline::Marked(Mark::Em { content }) => format!("em[{}]", inlines(content)),
        Inline::Marked(Mark::Strong { content }) => format!("strong[{}]", inlines(content)),
        Inline::Marked(Mark::Strike { content }) => format!("strike[{}]", inlines(content)),
        Inline::Marked(Mark::Code { text }) => format!("code[{text}]"),
        Inline::Marked(Mark::Link { href, title, content }) => {
            let title = title.as_ref().map_or(String::new(), |title| format!(" {title:?}"));
            format!("link({href}{title})[{}]", inlines(content))
        }
        Inline::Marked(Mark::Mention { text, .. }) => format!("mention[{text}]"),
        Inline::Marked(Mark::Room { text, .. }) => format!("room[{text}]"),
    };
    list.iter().map(inline).collect()
}

#[test]
fn plain_text_has_no_tree() {
    for source in [
        "hello",
        "hello\n\nworld  x\n   y",
        "snake_case, 5 * 3, a > b & c < d, #1, -x, 1.5 and 2) of `",
        "Is it 7 o'clock? [yes] (or no)",
        ">:( >_< ->",
        "\"quotes\" &amp; &lt;script&gt;",
        "<b>no HTML</b>",
        "1.\n",
        ">",
        "```",
        "***a",
        "   three spaces",
        "\ttabs\tand  spaces",
        "ünïcödé \u{200b} 🍰",
    ] {
        assert_eq!(shape(source), "-", "{source:?}");
    }
}

#[test]
fn marks_become_a_tree_and_only_they_are_gone() {
    for (source, expected) in [
        ("a *b* _c_ **d** __e__ ~~f~~ `g*`", "p[a em[b] em[c] strong[d] strong[e] strike[f] code[g*]]"),
        ("***a** b*", "p[em[strong[a] b]]"),
        ("~a~ and ~ b", "-"),
        ("\\*a\\* \\<b>", "p[*a* <b>]"),
        ("# a #\n## b", "h1[a] h2[b]"),
        ("#a\n##", "-"),
        ("*a*\n\n---\n\nb", "p[em[a]] rule p[b]"),
        ("&amp; <i>*a*</i> <!-- b --> &#42;", "p[&amp; <i>em[a]</i> <!-- b --> &#42;]"),
        ("`` a ` b ``", "p[code[a ` b]]"),
        ("[a]: https://b.example", "p[[a]: link(https://b.example)[]]"),
        ("[a]: b\n\n*c* [a] [d][a]", "p[[a]: b] p[em[c] [a] [d][a]]"),
    ] {
        assert_eq!(shape(source), expected, "{source:?}");
    }
}

#[test]
fn a_line_break_is_a_line_break_and_spaces_at_the_start_of_a_line_stay() {
    for (source, expected) in [
        ("*a*\nb", "p[em[a]\nb]"),
        ("*a*  \nb\\\nc\r\nd", "p[em[a]\nb\nc\nd]"),
        ("  if *x*:\n      return `y`\n\n   z", "p[  if em[x]:\n      return code[y]] p[   z]"),
        ("> a\n>   b\n>\n> c\nlazy", "quote[p[a\n  b] p[c\nlazy]]"),
        ("- a\n    b\n  c", "list[p[a\n  b\nc]]"),
        ("> - a\n>     b", "quote[list[p[a\n  b]]]"),
    ] {
        assert_eq!(shape(source), expected, "{source:?}");
    }
}

#[test]
fn code_is_kept_as_it_was_written_with_the_name_of_its_language() {
    for (source, expected) in [
        (
            "```rust\nfn *x*() {\n  <b> &amp; https://a_b_c.example\n}\n```",
            "code rust[fn *x*() {\n  <b> &amp; https://a_b_c.example\n}]",
        ),
        ("a\n```\nb\n```\nc", "p[a] code ?[b] p[c]"),
        ("~~~\r\na\r\n\r\n b\r\n", "code ?[a\n\n b]"),
        ("    a\n\n      b", "code ?[a\n\n  b]"),
        ("a\n\n\t*b*\n\nc", "-"),
        ("*a*\n\n    *b*\n\nc", "p[em[a]] p[    *b*] p[c]"),
        ("> *a*\n>\n>     b", "quote[p[em[a]] p[    b]]"),
        ("```what is that\nx\n```", "code ?[what is that\nx]"),
        ("- ```c++\n  x\n   y\n  ```", "list[code c++[x\n y]]"),
        ("```\n>:( [a]: &\n```", "code ?[>:( [a]: &]"),
    ] {
        assert_eq!(shape(source), expected, "{source:?}");
    }
}

#[test]
fn lists_keep_the_numbers_that_were_written() {
    for (source, expected) in [
        ("- a\n- b\n  - c", "list[p[a] | p[b] list[p[c]]]"),
        ("3. a\n7. b\n   1. c", "numbers[3:p[a] | 7:p[b] numbers[1:p[c]]]"),
        ("- a\n\n- b\n\n  c", "list[p[a] | p[b] p[c]]"),
        ("+ *a*", "list[p[em[a]]]"),
        ("a\n- b", "p[a] list[p[b]]"),
        ("2024. A year", "numbers[2024:p[A year]]"),
    ] {
        assert_eq!(shape(source), expected, "{source:?}");
    }
}

#[test]
fn a_line_under_a_text_makes_no_heading_of_it() {
    for (source, expected) in [
        ("Ana\n---\nBea", "p[Ana] rule p[Bea]"),
        ("Ana\n===", "-"),
        ("Ana *x*\n-", "p[Ana em[x]\n-]"),
        ("> Ana\n> ---", "quote[p[Ana] rule]"),
    ] {
        assert_eq!(shape(source), expected, "{source:?}");
    }
}

#[test]
fn addresses_are_links_and_nothing_in_them_is_markup() {
    for (source, expected) in [
        ("https://a.example/_b_*c*", "p[link(https://a.example/_b_*c)[]*]"),
        ("**https://a.example/~x~**, ok", "p[strong[link(https://a.example/~x)[]~], ok]"),
        ("see <https://a.example/_b_>.", "p[see link(https://a.example/_b_)[].]"),
        ("\\<https://a.example>", "p[<link(https://a.example)[]>]"),
        ("www.a.example", "p[link(https://www.a.example)[www.a.example]]"),
        ("https://a.example/?a=1&copy=2&amp;", "p[link(https://a.example/?a=1&copy=2&amp)[];]"),
        ("[a *b*](https://c.example/_d_ \"e\")", "p[link(https://c.example/_d_ \"e\")[a em[b]]]"),
        ("[a](<https://c.example/?d=1&e=2>)", "p[link(https://c.example/?d=1&e=2)[a]]"),
        ("[a](https://c.example/&copy;\\(d\\))", "p[link(https://c.example/&copy;(d))[a]]"),
        ("[a](mailto:ana@a.example)", "p[link(mailto:ana@a.example)[a]]"),
        ("[https://a_b_.example](https://c.example)", "p[link(https://c.example)[https://a_b_.example]]"),
        ("[](https://c.example)", "p[link(https://c.example)[]]"),
        ("![a](https://c.example/i.png)!", "p[link(https://c.example/i.png)[a]!]"),
        ("[![a](https://b.example)](https://c.example)", "p[[link(https://b.example)[a]](link(https://c.example)[])]"),
        ("`https://a.example`", "p[code[https://a.example]]"),
        ("[`](https://b.example)`](https://c.example)", "p[link(https://c.example)[code[](https://b.example)]]]"),
        ("[`](https://b.example)`](c)", "p[[code[](https://b.example)]](c)]"),
        ("(see https://a.example/b_(c))", "p[(see link(https://a.example/b_(c))[])]"),
    ] {
        assert_eq!(shape(source), expected, "{source:?}");
    }
}

#[test]
fn s48_whatever_is_no_address_of_ours_stays_text() {
    for (source, expected) in [
        ("[a *b*](javascript:alert(1))", "p[[a em[b]](javascript:alert(1))]"),
        ("[a](JaVaScRiPt:alert(1)) *x*", "p[[a](JaVaScRiPt:alert(1)) em[x]]"),
        ("![x](data:text/html,<script>alert(1)</script>)", "-"),
        ("<javascript:alert(1)> <a@b.example>", "-"),
        ("[a](java&#115;cript:x)", "-"),
        ("[a](//b.example) [c](/d) [e](#f) []()", "-"),
        ("[a](https://b.example@c.example)", "-"),
        ("[a](https:b.example)", "-"),
        ("[a](<https://b.example/ c>)", "-"),
    ] {
        assert_eq!(shape(source), expected, "{source:?}");
    }
}

#[test]
fn people_and_rooms_are_mentioned_by_their_ids_and_in_code_they_are_code() {
    let id = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";
    for (source, expected) in [
        ("<@ID>", "p[mention[<@ID>]]"),
        (
            "hello *<@ID>*, <@here> and\n<@room>!",
            "p[hello em[mention[<@ID>]], mention[<@here>] and\nmention[<@room>]!]",
        ),
        ("see <#ID>.", "p[see room[<#ID>].]"),
        ("`<@ID>`", "p[code[<@ID>]]"),
        ("```\n<@ID>\n```", "code ?[<@ID>]"),
        ("\\<@here> \\\\<@here>", "p[<@here> \\mention[<@here>]]"),
        ("[<@ID>](https://a.example)", "p[link(https://a.example)[mention[<@ID>]]]"),
        ("[a](<@here>)", "p[[a](mention[<@here>])]"),
        ("> <@ID>\n- <@ID>", "quote[p[mention[<@ID>]]] list[p[mention[<@ID>]]]"),
        ("www.a.example/<@ID>", "p[link(https://www.a.example/)[www.a.example/]mention[<@ID>]]"),
        ("# <@room>", "h1[mention[<@room>]]"),
        ("<@ ID> <@everybody> <@> <#here> <@0190A1B2-C3D4-7E5F-8A9B-0C1D2E3F4A5B>", "-"),
        ("<@IDa> <@0190a1b2>", "-"),
    ] {
        assert_eq!(shape(&source.replace("ID", id)), expected.replace("ID", id), "{source:?}");
    }
}

#[test]
fn a_tree_with_names_has_no_ids_of_people_but_beside_the_names() {
    let (ana, nobody) = ("0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5c");
    let source = format!("**<@{ana}>** <@{nobody}> <@here> <#{nobody}>");
    let name_of = |id: &str| (id == ana).then(|| "Ana B".to_owned());
    let tree = Content::of(&source).unwrap().named(name_of);
    assert_eq!(
        serde_json::to_string(&tree).unwrap(),
        concat!(
            r#"[{"type":"p","content":[{"type":"strong","content":[{"type":"mention","#,
            r#""person":"0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b","text":"@Ana B"}]}," ",{"type":"mention","text":"@unknown"},"#,
            r#"" ",{"type":"mention","everybody":"here","text":"@here"}," ","#,
            r##"{"type":"room","id":"0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5c","text":"#…"}]}]"##
        )
    );
    assert_eq!(words(&source, name_of), ("@Ana B @unknown @here #…".to_owned(), vec![nobody.to_owned()]));
}

#[test]
fn beyond_the_bounds_it_is_plain_text() {
    let quotes = |levels: usize| format!("{}a", "> ".repeat(levels));
    // The root and the paragraph are levels too.
    assert!(Content::of(&quotes(MARKUP_DEPTH_MAX - 2)).is_some());
    assert_eq!(Content::of(&quotes(MARKUP_DEPTH_MAX - 1)), None);
    assert_eq!(Content::of(&quotes(5_000)), None);
    assert!(Content::of(&"*a* ".repeat(MARKUP_NODES_MAX - 1)).is_some());
    assert_eq!(Content::of(&"*a* ".repeat(MARKUP_NODES_MAX)), None);
}

#[test]
fn the_tree_has_the_shape_that_clients_were_promised() {
    let source =
        "*a* `b` [c](https://d.example)\n\n```rust\ne\n```\n\n1. f\n\n- g\n\n> h\n\n# i\n\n---\n\nhttps://j.example";
    let json = serde_json::to_value(Content::of(source)).unwrap();
    assert_eq!(
        json,
        serde_json::json!([
            { "type": "p", "content": [
                { "type": "em", "content": ["a"] }, " ", { "type": "code", "text": "b" }, " ",
                { "type": "link", "href": "https://d.example", "content": ["c"] },
            ] },
            { "type": "code_block", "language": "rust", "text": "e" },
            { "type": "ordered_list", "items": [{ "number": 1, "content": [{ "type": "p", "content": ["f"] }] }] },
            { "type": "list", "items": [{ "content": [{ "type": "p", "content": ["g"] }] }] },
            { "type": "quote", "content": [{ "type": "p", "content": ["h"] }] },
            { "type": "heading", "level": 1, "content": ["i"] },
            { "type": "rule" },
            { "type": "p", "content": [{ "type": "link", "href": "https://j.example" }] },
        ])
    );
}

#[test]
fn what_takes_parsers_long_takes_this_one_no_time() {
    let started = Instant::now();
    for unit in [
        "*",
        "_a ",
        "**a ",
        "[",
        "[a](",
        "![",
        "`",
        "` `` ",
        "<",
        "> ",
        "- ",
        "1. ",
        "~~a ",
        "\\",
        "&",
        "https://",
        "www.",
        "a]:",
        "*a_ ",
        "[a](<b",
        "#\n",
        "```\n",
        "(https://a.",
        "\t",
        " \n",
    ] {
        std::hint::black_box(Content::of(&unit.repeat(BODY_BYTES_MAX / unit.len())));
    }
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

/// Pieces that mean something to a parser, between those that do not.
fn texts() -> impl Strategy<Value = String> {
    let marked = prop::sample::select(vec![
        "*",
        "**",
        "_",
        "~~",
        "~",
        "`",
        "```",
        "```rust\n",
        "\n",
        "\n\n",
        "> ",
        ">",
        "- ",
        "1. ",
        "12) ",
        "# ",
        "    ",
        "\t",
        "\\",
        "[",
        "](",
        ")",
        "](https://a.example/b ",
        "![",
        "]: ",
        "<",
        "<b>",
        "</b>",
        "<!--",
        "&amp;",
        "&#42;",
        "\"t\")",
        "https://a.example/_b_",
        "www.a.example",
        "mailto:a@b",
        "javascript:x",
        "<@here>",
        "<@0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b>",
        "<#0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b>",
        "<@",
        "---\n",
        "===\n",
        "\r\n",
        "a",
        "word ",
        "é",
        "0",
        "  ",
    ]);
    let any = "[^\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f]{0,6}";
    prop::collection::vec(prop_oneof![4 => marked.prop_map(String::from), 1 => any], 0..60)
        .prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn of_any_text_nothing_is_lost_but_marks_and_the_tree_is_bounded(source in texts()) {
        assert_promises(&source);
    }

    #[test]
    fn no_text_at_all_is_too_much(source in any::<String>()) {
        assert_promises(&source);
    }
}

#[test]
fn a_number_behind_a_tab_is_the_one_that_was_written() {
    assert_promises("]: ~~```\t!ýa**]: \\===\n¥> \\12) _```\n12) \t```rust\n1. >\t12) )```rust\n\r\n\u{7a566}𡘚é");
    assert_eq!(shape("1. >\t12) so"), "numbers[1:quote[numbers[12:p[so]]]]");
}

/// What it costs, for a person to look at: `cargo test --release -p tidings-chat --lib markup -- --ignored --nocapture`.
#[test]
#[ignore = "measures, and asserts nothing"]
fn measure() {
    let plain = "Morning. I can see you, and my phone can too; the plan for Saturday stands.";
    let marked = "Have you seen **this**? It is at https://example.org/harbour/saturday, and `make run` does it:\n\n- one\n- two";
    let code = format!("```rust\n{}```", "    let answer = call(41) + 1;\n".repeat(20));
    let long = "word *word* `word` ".repeat(BODY_BYTES_MAX / 19 / 2);
    for (name, text) in [
        ("plain", plain),
        ("marked", marked),
        ("code", &code),
        ("8 KiB of marks", &long),
        ("16 KiB plain", &"word ".repeat(3_276)),
    ] {
        let rounds = 2_000;
        let started = Instant::now();
        let mut bytes = 0;
        for _ in 0..rounds {
            bytes = serde_json::to_string(&Content::of(std::hint::black_box(text))).unwrap().len();
        }
        println!("{name}: {} bytes, {bytes} of JSON, {:?}", text.len(), started.elapsed() / rounds);
    }
}
