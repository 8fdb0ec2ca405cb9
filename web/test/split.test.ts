import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesOf, charactersIn, charactersOver, split } from "../src/models/split.ts";

const MAX = 400;

function checked(text: string): string[] {
  const pieces = split(text, MAX);
  for (const piece of pieces) {
    assert.ok(bytesOf(piece) <= MAX, `${bytesOf(piece)} bytes`);
    assert.ok(piece.trim() !== "");
    assert.ok(!/[\ud800-\udbff]$|^[\udc00-\udfff]/.test(piece), "no half character");
  }
  return pieces;
}

test("what fits is one message", () => {
  assert.deepEqual(checked("hello\n\nworld"), ["hello\n\nworld"]);
});

test("it is cut between paragraphs, else between lines, words or characters, and nothing is lost", () => {
  const paragraphs = Array.from({ length: 6 }, (_, at) => `${at} ${"word ".repeat(25)}`.trim());
  const byParagraph = checked(paragraphs.join("\n\n"));
  assert.deepEqual(byParagraph.join("\n\n"), paragraphs.join("\n\n"));
  const lines = Array.from({ length: 30 }, (_, at) => `  ${at} ${"x".repeat(30)}`);
  assert.deepEqual(checked(lines.join("\n")).join("\n"), lines.join("\n"));
  const words = "word ".repeat(300).trim();
  assert.deepEqual(checked(words).join(" "), words);
  for (const character of ["x", "é", "🍰", "👩‍👩‍👧"]) {
    const long = character.repeat(500);
    assert.equal(checked(long).join(""), long, character);
  }
});

test("code that is cut is closed, and opened again with its language", () => {
  const lines = Array.from({ length: 40 }, (_, at) => `    let x${at} = call(${at});`);
  const pieces = checked(`Look:\n\n\`\`\`rust\n${lines.join("\n")}\n\`\`\`\nThat is it.`);
  assert.ok(pieces.length > 2);
  assert.match(pieces[0] ?? "", /^Look:\n\n```rust\n {4}let x0[^]*\n```$/);
  for (const piece of pieces.slice(1, -1)) assert.match(piece, /^```rust\n {4}let[^]*;\n```$/);
  assert.match(pieces.at(-1) ?? "", /^```rust\n[^]*\n```\nThat is it\.$/);
  const code = pieces.join("\n").split("\n").filter((line) => line.startsWith("    "));
  assert.deepEqual(code, lines);
});

test("a fence that nobody could open again loses its language and nothing else", () => {
  const pieces = checked(`\`\`\`${"l".repeat(200)}\n${"code\n".repeat(200)}`);
  for (const piece of pieces.slice(1)) assert.match(piece, /^```\ncode/);
});

test("any text ends up in messages that fit", () => {
  let seed = 7;
  const next = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below;
  const parts = ["```\n", "~~~~ x\n", "\n\n", "\n", " ", "word", "🍰", "é", "\u200d", "    ", "```", "`".repeat(90)];
  for (let round = 0; round < 300; round++) {
    checked(Array.from({ length: 400 }, () => parts[next(parts.length)]).join(""));
  }
});

test("people are told of characters, whatever the server counts", () => {
  assert.equal(charactersIn(10, "abc"), 10);
  assert.equal(charactersIn(10, "ééé"), 5);
  assert.equal(charactersOver("abcdef", 4), 2);
  assert.equal(charactersOver("ééé", 4), 1);
  assert.equal(charactersOver("👩‍👩‍👧".repeat(2), 18), 1);
});
