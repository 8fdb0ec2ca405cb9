import assert from "node:assert/strict";
import { test } from "node:test";
import { isEmojiOnly, plainText } from "../src/models/content.ts";
import type { Block } from "../src/wire.ts";

test("without marks it reads as one would say it", () => {
  const blocks: Block[] = [
    { type: "heading", level: 1, content: ["Plan"] },
    { type: "p", content: ["a ", { type: "em", content: ["b ", { type: "strong", content: ["c"] }] }, { type: "code", text: "*d*" }] },
    { type: "ordered_list", items: [{ number: 3, content: [{ type: "p", content: ["e"] }] }] },
    { type: "list", items: [{ content: [{ type: "p", content: ["f"] }] }] },
    { type: "rule" },
    { type: "quote", content: [{ type: "p", content: [{ type: "link", href: "https://g.example" }] }] },
    { type: "p", content: [{ type: "link", href: "https://h.example", content: ["words"] }] },
    { type: "code_block", language: "rust", text: "let i;" },
  ];
  assert.equal(plainText(blocks), "Plan\na b c*d*\n3. e\nf\nhttps://g.example\nwords\nlet i;");
});

test("what a later version of the server adds is shown as far as it is text", () => {
  const later = [
    { type: "p", content: ["hello ", { type: "mention", person: "1", text: "@Ana" }, { type: "spoiler", content: [" x"] }] },
    { type: "fold", content: [{ type: "p", content: ["y"] }] },
    { type: "formula", text: "z" },
    { type: "nothing" },
  ];
  assert.equal(plainText(later as unknown as Block[]), "hello @Ana x\ny\nz");
});

test("one to three emoji alone are emoji only", () => {
  for (const text of ["🍰", "🍰 🎉", "👍🏽👍🏽👍🏽", "👩‍👩‍👧‍👦", "🇩🇪", "❤️", "1️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🏳️‍🌈\n"]) assert.ok(isEmojiOnly(text), text);
  for (const text of ["", " ", "1", "a🍰", "🍰.", "🍰🍰🍰🍰", "©", "#", "❤", "🍰".repeat(500)]) assert.ok(!isEmojiOnly(text), text);
});
