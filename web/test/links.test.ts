import assert from "node:assert/strict";
import { test } from "node:test";
import { linkOf } from "../src/models/links.ts";
import type { Inline } from "../src/wire.ts";

const shown = (href: string, content?: Inline[]): string | null => {
  const link = linkOf(href, content);
  return link && ("text" in link ? link.text : `> ${link.to}`);
};

test("an address is shown as it was written, and words with where they lead", () => {
  assert.equal(shown("https://a.example/b?c=d#e"), "https://a.example/b?c=d#e");
  assert.equal(shown("https://www.a.example", ["www.a.example"]), "www.a.example");
  assert.equal(shown("mailto:ana@a.example"), "mailto:ana@a.example");
  assert.equal(shown("https://a.example/b", ["words"]), "> a.example");
  assert.equal(shown("https://a.example:8080/b", [{ type: "em", content: ["https://a.example:8080/b"] }]), "> a.example:8080");
  assert.equal(shown("mailto:ana@a.example?subject=x", ["write"]), "> ana@a.example");
  assert.equal(shown("https://evil.example", ["https://bank.example"]), "> evil.example");
});

test("nothing else is a link, whatever the server says (S48)", () => {
  for (const href of [
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)//https",
    "data:text/html,<script>alert(1)</script>",
    "java\nscript:alert(1)",
    "ftp://a.example",
    "https://",
    "//a.example",
    "mailto:nobody",
    "https://user:secret@a.example/",
    "https://bank.example@evil.example/",
  ]) {
    assert.equal(shown(href), null, href);
    assert.equal(shown(href, ["words"]), null, href);
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
    const address = written.startsWith("www.") ? `https://${written}` : written;
    const link = linkOf(address, [written]);
    assert.equal(link?.href, new URL(address).href, written);
    assert.ok("text" in link, written);
    if (shown !== null) assert.equal(link.text, shown, written);
    else assert.match(link.text, /^https:\/\/[\x21-\x7e]*xn--[\x21-\x7e]*$/, written);
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
    assert.equal(shown(written), written);
  }
});
