// Text is text: whatever people call themselves or their rooms, and whatever they write (S48).

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Ui, profile, screenshot } from '../harness/browser.mjs';
import { Person } from '../harness/http.mjs';
import { Server } from '../harness/server.mjs';

const VECTORS = [
  '<script>globalThis.harmed = 1</script>',
  '<img src=x onerror="globalThis.harmed = 1">',
  '<svg/onload=globalThis.harmed=1>',
  '"><iframe srcdoc="<script>parent.harmed=1</script>">',
  '<a href="javascript:globalThis.harmed=1">x</a>',
  'javascript:globalThis.harmed=1',
  'data:text/html,<script>alert(1)</script>',
  'vbscript:msgbox(1)',
  'https://example.org/"onmouseover="globalThis.harmed=1',
  "https://example.org/'><img src=x onerror=globalThis.harmed=1>",
  '[x](javascript:globalThis.harmed=1)',
  '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=globalThis.harmed=1&gt;">',
  '<form id=app><input name=firstChild>',
  '<style>*{display:none}</style>',
  '{{constructor.constructor("globalThis.harmed=1")()}}',
  '&lt;script&gt;globalThis.harmed=1&lt;/script&gt;',
  'user@example.org http:// https:// ftp://example.org //example.org',
  '\u202egnp.exe nul-free \u2028line',
];
const NAME = '<img src=x onerror="globalThis.harmed=1">';

let server, ana, room;
before(async () => {
  server = await Server.start({ args: ['--server-name', '"><script>globalThis.harmed=1</script>'] });
  ana = await Person.setUp(server);
  const eve = await Person.invited(ana, { name: NAME, email: 'eve@example.org' });
  room = (await eve.createRoom(NAME, { topic: NAME })).id;
  await ana.put(`/v1/rooms/${room}/members/me`, {});
  for (const vector of VECTORS) assert.equal((await eve.say(room, vector)).status, 201, vector);
});
after(() => server.kill());

test('no message, name, topic or server name becomes anything but text', async (t) => {
  const page = await profile(t);
  const ui = new Ui(page);
  await page.goto(`${server.url}/rooms/${room}`);
  await ui.signIn(ana);
  await ui.room(NAME).waitFor();
  await ui.sees(VECTORS[0]);
  assert.deepEqual(await ui.texts(), VECTORS);
  await page.getByRole('button', { name: /People/ }).first().click();
  await page.getByTestId('people-away').getByText(NAME).waitFor();
  assert.equal(await page.evaluate(() => globalThis.harmed), undefined);
  const hrefs = await ui.log.getByRole('link').evaluateAll((links) => links.map((link) => [new URL(link.href).protocol, link.rel]));
  for (const [protocol, rel] of hrefs) {
    assert.match(protocol, /^https?:$/);
    assert.match(rel, /noopener/);
  }
  assert.equal(await ui.log.locator('script, iframe, img, form, style').count(), 0);
  await screenshot(page, 'text-is-text');
});

test('marks of direction turn nothing but their own text, and the host of a link is what it seems to be (S49)', async (t) => {
  const page = await profile(t);
  const ui = new Ui(page);
  const bidi = await ana.createRoom('\u05d3\u05e0\u05d4'); // Hebrew
  const texts = ['turned \u202e round https://bank.example/login behind it', '\u2067https://bank.example/login', 'https://g\u043e\u043egle.example/login', 'https://b\u00fccher.example/'];
  for (const text of texts) assert.equal((await ana.say(bidi.id, text)).status, 201);
  await page.goto(`${server.url}/rooms/${bidi.id}`);
  await ui.signIn(ana);
  await page.getByRole('link', { name: 'https://xn--ggle-55da.example/login' }).waitFor();
  const links = await ui.log.getByRole('link').evaluateAll((all) => all.map((link) => {
    const [first, last] = [0, link.textContent.length - 1].map((at) => {
      const range = document.createRange();
      range.setStart(link.firstChild, at);
      range.setEnd(link.firstChild, at + 1);
      return range.getBoundingClientRect().left;
    });
    return { text: link.textContent, href: link.href, leftToRight: first < last };
  }));
  assert.deepEqual(links, [
    { text: 'https://bank.example/login', href: 'https://bank.example/login', leftToRight: true },
    { text: 'https://bank.example/login', href: 'https://bank.example/login', leftToRight: true },
    { text: 'https://xn--ggle-55da.example/login', href: 'https://xn--ggle-55da.example/login', leftToRight: true },
    { text: 'https://b\u00fccher.example/', href: 'https://xn--bcher-kva.example/', leftToRight: true },
  ]);
  // Behind how many are unread.
  assert.equal((await page.title()).replace(/^\(\d+\) /, ''), '\u2068\u05d3\u05e0\u05d4\u2069 \u00b7 "><script>globalThis.harmed=1</script>');
  await screenshot(page, 'direction-and-hosts');
});

test('a page from elsewhere cannot frame this one', async (t) => {
  const page = await profile(t, { watch: false });
  await page.goto(`${server.url}/healthz`);
  await page.setContent(`<iframe src="${server.url}/"></iframe>`);
  const [, frame] = page.frames();
  await frame.waitForLoadState();
  assert.equal(await frame.getByLabel('Password').count().catch(() => 0), 0);
});
