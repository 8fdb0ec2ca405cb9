import assert from "node:assert/strict";
import { test } from "node:test";
import { format, type Format } from "../src/models/format.ts";

/** What stands there afterwards; `|` are the ends of the selection, before and after. */
function applied(kind: Format, before: string): string {
  const [head = "", ...parts] = before.split("|");
  const [chosen, tail] = parts.length === 2 ? [parts[0] ?? "", parts[1] ?? ""] : ["", parts[0] ?? ""];
  const value = head + chosen + tail;
  const { from, to, text, start, end } = format(kind, value, head.length, head.length + chosen.length);
  const after = value.slice(0, from) + text + value.slice(to);
  return start === end ? `${after.slice(0, start)}|${after.slice(start)}` : `${after.slice(0, start)}|${after.slice(start, end)}|${after.slice(end)}`;
}

test("marks go around what is selected, or where one writes, and away again", () => {
  for (const [kind, before, after] of [
    ["bold", "a |b| c", "a **|b|** c"],
    ["bold", "a **|b|** c", "a |b| c"],
    ["bold", "a |**b**| c", "a |b| c"],
    ["bold", "a |b |c", "a **|b|** c"],
    ["bold", "a |", "a **|**"],
    ["bold", "a **|**", "a |"],
    ["italic", "|a|", "_|a|_"],
    ["strike", "|a|", "~~|a|~~"],
    ["code", "|a|", "`|a|`"],
    ["code", "x |a\nb| y", "x \n```\n|a\nb|\n```\n y"],
    ["link", "|a|", "[a](|https://|)"],
    ["link", "|https://a.example|", "[|](https://a.example)"],
    ["link", "|", "[](|https://|)"],
    ["quote", "a\nb|c\nd", "a\n> bc|\nd"],
    ["quote", "|a\nb|", "|> a\n> b|"],
    ["quote", "|> a\n> b|", "|a\nb|"],
    ["list", "|", "- |"],
    ["list", "|a\n- b|", "|- a\n- - b|"],
  ] as const) {
    assert.equal(applied(kind, before), after, `${kind} ${before}`);
  }
});
