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

test("a host that could be read as another one is shown as the browser asks for it, and leads where it led (S49)", () => {
  for (const [written, shown] of [
    ["https://gооgle.example/path?q", "https://xn--ggle-55da.example/path?q"], // Cyrillic о in Latin
    ["https://аррӏе.example/", "https://xn--80ak6aa92e.example/"], // nothing but lookalikes
    ["https://сасе.example", null],
    ["https://ехре.com.example", null],
    ["https://ωωω.example", null],
    ["https://ίκα.example", null],
    ["https://ɡooɡle.example", null], // a Latin g that is another
    ["https://paypaı.example", null], // a dotless i
    ["https://bank.example⁄login.evil.example/", null], // a fraction slash
    ["https://bank.exampleノlogin.evil.example/", null],
    ["https://bank.example.ノノ.evil.example/", null],
    ["https://ｂａｎｋ.example/", "https://bank.example/"], // what the browser maps is shown mapped
    ["https://𝐛𝐚𝐧𝐤.example/", "https://bank.example/"],
    ["https://bank。example/", "https://bank.example/"],
    ["https://%62ank.example/", "https://bank.example/"],
    ["http://0x7f.1/", "http://127.0.0.1/"],
    ["https:///evil.example/", "https:///evil.example/"],
    ["https://مثال.example/", null], // from right to left
    ["https://BÜCHER.example:8080/", "https://xn--bcher-kva.example:8080/"],
    ["www.gооgle.example", "www.xn--ggle-55da.example"],
    ["mailto:ana@gооgle.example", "mailto:ana@xn--ggle-55da.example"],
  ] as const) {
    const [piece, ...more] = pieces(`see ${written} there`).slice(1);
    const address = written.startsWith("www.") ? `https://${written}` : written;
    assert.equal(piece?.href, new URL(address).href, written);
    assert.equal(more.length, 1, written);
    if (shown !== null) assert.equal(piece.text, shown, written);
    else assert.match(piece.text, /^https:\/\/[\x21-\x7e]*xn--[\x21-\x7e]*$/, written);
  }
});

test("a host of one script is shown as it was written", () => {
  for (const written of [
    "https://bücher.example/straße",
    "https://żółć.example",
    "https://xn--bcher-kva.example",
    "https://Example.ORG/",
    "https://a.example:443/",
    "https://москва.example/",
    "https://παράδειγμα.example",
    "https://例え.テスト",
    "https://ドメイン.example",
    "https://中文.example/路径",
    "https://한국어.example",
    "https://उदाहरण.example",
    "mailto:ana@bücher.example",
    "http://[::1]:8080/",
  ]) {
    assert.deepEqual(pieces(written).map((piece) => [piece.text, piece.href !== undefined]), [[written, true]], written);
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
