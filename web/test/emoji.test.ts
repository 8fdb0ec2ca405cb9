/** Emoji are found by their short names first, and by what they are. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { allEmoji, byShortcode, findEmoji, shortcodeBefore, shortcodeClosed, withRecent } from "../src/models/emoji.ts";
import { EMOJI_RECENT_MAX } from "../src/limits.ts";

const groups = await allEmoji();
const found = (query: string): string[] => findEmoji(groups, query).map(([emoji]) => emoji);

test("the first that is found is the one of that short name", () => {
  for (const [query, emoji] of [["tada", "🎉"], ["+1", "👍"], ["heart", "❤️"], [":rocket:", "🚀"], ["coffee", "☕"], ["eyes", "👀"]] as const) {
    assert.equal(found(query)[0], emoji, query);
  }
  assert.ok(found("grin").length > 3);
  assert.ok(found("celebrate").includes("🎉") || found("party").includes("🎉"), "by other words too");
  assert.ok(found("czech").includes("🇨🇿") && found("Czéch").includes("🇨🇿"));
  assert.deepEqual([found(""), found("no emoji is called so")], [[], []]);
});

test("each of them may stand alone, and none comes twice", () => {
  const all = groups.flat().map(([emoji]) => emoji);
  assert.ok(all.length > 1_500 && new Set(all).size === all.length, String(all.length));
  assert.equal(byShortcode(groups, "tada"), "🎉");
  assert.equal(byShortcode(groups, "nothing_like_it"), null);
});

test("a short name is being written from its colon to the caret, where a word may begin", () => {
  assert.deepEqual(shortcodeBefore("so :tad", 7), { from: 3, code: "tad" });
  assert.deepEqual(shortcodeBefore(":ta and more", 3), { from: 0, code: "ta" });
  for (const text of ["10:30", "http://x", ":", ":a", "a:tada", ": tada", "::", "`x`:"]) assert.equal(shortcodeBefore(text, text.length), null, text);
});

test("a short name is closed where a word may begin, and not in code", () => {
  const closed = (text: string): string | undefined => shortcodeClosed(text, text.length)?.code;
  for (const text of [":tada:", "so :Tada:", "(:tada:", "`a` :tada:", "```\na\n\nb\n```\n:tada:", "a ` b\n\n:tada:", "``a ` b`` :tada:", "\\` :tada:"]) {
    assert.equal(closed(text), "tada", text);
  }
  assert.deepEqual(shortcodeClosed("so :tada: it", 9), { from: 3, code: "tada" });
  for (const text of ["10:30:45:", "std::vec::", "a:tada:", "` :tada:", "a `b :tada:", "``a ` :tada:", "```\n:tada:", "```\na\n```\n\n~~~\n :tada:"]) {
    assert.equal(closed(text), undefined, text);
  }
});

test("those used lately come first, each once, and not without end", () => {
  assert.deepEqual(withRecent(["👍", "🎉"], "🎉"), ["🎉", "👍"]);
  const many = Array.from({ length: 40 }, (_, n) => String.fromCodePoint(0x1f600 + n)).reduce<string[]>((recent, emoji) => withRecent(recent, emoji), []);
  assert.equal(many.length, EMOJI_RECENT_MAX);
});
