import assert from "node:assert/strict";
import { test } from "node:test";
import { pieces } from "../src/models/links.ts";

const links = (text: string): string[] => pieces(text).flatMap((piece) => (piece.href === undefined ? [] : [`${piece.text} > ${piece.href}`]));

test("no piece of the text is lost or changed", () => {
  for (const text of ["", "plain", "a https://x.example b\nc www.y.example.", "https://x.example", "https://x.example https://y.example/"]) {
    assert.equal(pieces(text).map((piece) => piece.text).join(""), text);
  }
});

test("web and mail addresses are links", () => {
  assert.deepEqual(links("see https://a.example/b?c=d#e and http://f.example:8080"), [
    "https://a.example/b?c=d#e > https://a.example/b?c=d#e",
    "http://f.example:8080 > http://f.example:8080/",
  ]);
  assert.deepEqual(links("www.a.example"), ["www.a.example > https://www.a.example/"]);
  assert.deepEqual(links("mailto:ana@a.example"), ["mailto:ana@a.example > mailto:ana@a.example"]);
});

test("punctuation after a link belongs to the sentence, a bracket of its own to the link", () => {
  assert.deepEqual(links("(https://a.example/b)."), ["https://a.example/b > https://a.example/b"]);
  assert.deepEqual(links("https://a.example/b_(c)!"), ["https://a.example/b_(c) > https://a.example/b_(c)"]);
  assert.deepEqual(links("https://a.example/b, https://c.example…"), [
    "https://a.example/b > https://a.example/b",
    "https://c.example > https://c.example/",
  ]);
});

test("nothing else becomes a link (S48)", () => {
  for (const text of [
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)//https",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:x file:///etc/passwd ftp://a.example",
    "https://",
    "http:// a",
    "mailto:nobody",
    "xhttps://a.example",
    "https://user:secret@a.example/",
    "https://bank.example@evil.example/",
    "//a.example",
  ]) {
    assert.deepEqual(links(text), [], text);
  }
});

test("quotes, tags and invisible characters end a link (S49)", () => {
  assert.deepEqual(links('https://a.example/"onmouseover="x'), ["https://a.example/ > https://a.example/"]);
  assert.deepEqual(links("https://a.example/<script>"), ["https://a.example/ > https://a.example/"]);
  assert.deepEqual(links("https://a.example/\u202egpj.exe"), ["https://a.example/ > https://a.example/"]);
  assert.deepEqual(links("https://a.example/\u0000b"), ["https://a.example/ > https://a.example/"]);
});

test("a long text takes no time", () => {
  const started = performance.now();
  pieces("https://a.example/" + "(".repeat(8_000) + ")".repeat(8_000));
  pieces("www.".repeat(4_000));
  pieces("https://".repeat(2_000));
  assert.ok(performance.now() - started < 1_000);
});
