// What people write: marks, code, links, long texts, drafts; for the writer and for somebody who reads it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Ui, axe, profile, screenshot } from '../harness/browser.mjs';
import { Person } from '../harness/http.mjs';
import { Server } from '../harness/server.mjs';
import { until } from '../harness/wait.mjs';

let server, ana, bea;
before(async () => {
  server = await Server.start();
  ana = await Person.setUp(server, { name: 'Ana' });
  bea = await Person.invited(ana, { name: 'Bea', email: 'bea@example.org' });
});
after(() => server.kill());

async function open(t, person, room, options) {
  const page = await profile(t, options);
  const ui = new Ui(page);
  await page.goto(`${server.url}/rooms/${room}`);
  await ui.signIn(person);
  await ui.composer.waitFor();
  await ui.page.getByText('This is where').waitFor();
  return { page, ui };
}

/** A room of its own, with both; made by them in turns, since nobody may make many at once. */
let rooms = 0;
async function room(name) {
  const [maker, other] = rooms++ % 2 ? [bea, ana] : [ana, bea];
  const { id } = await maker.createRoom(name);
  assert.equal((await other.put(`/v1/rooms/${id}/members/me`, {})).status, 200);
  return id;
}

const marked = (page, selector) => page.getByTestId('message-body').locator(selector);
const value = (ui) => ui.composer.inputValue();
const focused = (locator) => until('it has the focus', () => locator.evaluate((element) => element === document.activeElement));

const TOUR = [
  '# Saturday',
  '**Bold**, _italic_, ~~gone~~ and `code`',
  '',
  '> quoted',
  '> twice',
  '',
  '3. three',
  '7. seven',
  '   - inner',
  '',
  '---',
  '',
  '```rust',
  'fn answer() -> u32 {',
  '    41 + 1 // a long line that goes on and on and on, until it is wider than any column that a message could have here',
  '}',
  '```',
  'See https://example.org/a_b_c and [the plan](https://example.org/plan).',
].join('\n');

test('marks are shown to both, live and after a reload; the label of the message has none', async (t) => {
  const id = await room('Marks');
  const [writer, reader] = [await open(t, ana, id), await open(t, bea, id)];
  await writer.ui.composer.fill(TOUR);
  await writer.ui.composer.press('Enter');
  for (const { page } of [writer, reader]) {
    await marked(page, 'strong').getByText('Bold').waitFor();
    await looksRight(page);
  }
  await screenshot(reader.page, 'writing-tour');
  await reader.page.reload();
  await marked(reader.page, 'strong').getByText('Bold').waitFor();
  await looksRight(reader.page);
  const label = await reader.ui.messages.last().getAttribute('aria-label');
  assert.match(label, /^Ana, \d\d:\d\d: Saturday\nBold, italic, gone and code\nquoted\ntwice\n3\. three\n7\. seven\ninner\nfn answer/);
  const { json } = await bea.get(`/v1/rooms/${id}/messages`);
  assert.equal(json.messages.at(-1).body, TOUR, 'the source is kept byte for byte');
});

async function looksRight(page) {
  const text = (selector) => marked(page, selector).allInnerTexts();
  assert.deepEqual(await text('em'), ['italic']);
  assert.deepEqual(await text('s'), ['gone']);
  assert.deepEqual(await text('.content-code'), ['code']);
  assert.deepEqual(await text('.content-heading'), ['Saturday']);
  assert.deepEqual(await text('blockquote'), ['quoted\ntwice']);
  assert.deepEqual(await marked(page, 'ol > li').evaluateAll((items) => items.map((item) => item.value)), [3, 7]);
  assert.equal(await marked(page, 'ol ul li').innerText(), 'inner');
  assert.equal(await marked(page, 'hr').count(), 1);
  assert.match(await marked(page, 'pre').innerText(), /^fn answer\(\) -> u32 \{\n {4}41 \+ 1/);
  const links = await marked(page, 'a').evaluateAll((all) => all.map((link) => [link.textContent, link.href, link.target, link.rel]));
  assert.deepEqual(links, [
    ['https://example.org/a_b_c', 'https://example.org/a_b_c', '_blank', 'noopener noreferrer nofollow'],
    ['the plan', 'https://example.org/plan', '_blank', 'noopener noreferrer nofollow'],
  ]);
  assert.equal(await marked(page, '.content-host').innerText(), '(example.org)', 'words say where they lead');
}

test('what is not sent yet is shown as it was written, and replaced in place', async (t) => {
  const id = await room('Pending');
  const page = await profile(t);
  const ui = new Ui(page);
  let release;
  const released = new Promise((resolve) => (release = resolve));
  await page.routeWebSocket(/\/connection\/websocket/, (socket) => {
    const upstream = socket.connectToServer();
    socket.onMessage(async (frame) => {
      for (const line of frame.split('\n')) {
        if (JSON.parse(line).rpc?.method === 'post') await released;
        upstream.send(line);
      }
    });
  });
  await page.goto(`${server.url}/rooms/${id}`);
  await ui.signIn(ana);
  await ui.say('so **far**');
  assert.equal(await ui.messages.last().getAttribute('data-state'), 'pending');
  await ui.messages.last().evaluate((element) => (element.dataset.kept = 'yes'));
  release();
  await marked(page, 'strong').getByText('far').waitFor();
  assert.equal(await ui.messages.last().getAttribute('data-kept'), 'yes');
  assert.equal(await ui.messages.count(), 1);
});

test('code is coloured by a file that is loaded then, scrolled with the keys, and copied as it was written', async (t) => {
  const id = await room('Code');
  const page = await profile(t, { permissions: ['clipboard-read', 'clipboard-write'] });
  const ui = new Ui(page);
  const loaded = [];
  page.on('request', (request) => /highlight-.*\.js/.test(request.url()) && loaded.push(request.url()));
  await page.goto(`${server.url}/rooms/${id}`);
  await ui.signIn(bea);
  await ui.composer.waitFor();
  await ana.say(id, 'plain `code` needs no colours');
  await marked(page, '.content-code').waitFor();
  assert.equal(loaded.length, 0, 'nothing is loaded before there is something to colour');
  await ana.say(id, '```rust\nlet answer = 41 + 1; // because\n```');
  await marked(page, '.hljs-keyword').getByText('let').waitFor();
  assert.equal(loaded.length, 1);
  await ana.say(id, `\`\`\`nosuchlanguage\n  ${'wide '.repeat(60)}\n\`\`\``);
  const wide = marked(page, 'pre').nth(1);
  await wide.waitFor();
  await wide.focus();
  await focused(wide);
  await page.keyboard.press('ArrowRight');
  await until('it scrolls', () => wide.evaluate((element) => element.scrollLeft > 0));
  await page.getByRole('button', { name: 'Copy the code' }).first().click();
  await page.getByRole('button', { name: 'Copied' }).waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), 'let answer = 41 + 1; // because');
});

test('what was plain stays as it was: lines, spaces, and no tree on the wire', async (t) => {
  const id = await room('Plain');
  const text = 'if it is so:\n    then this\n\n\n  and <b>that</b> &amp; 5 * 3';
  const { page, ui } = await open(t, bea, id);
  await ana.say(id, text);
  await ui.messages.first().waitFor();
  assert.deepEqual(await ui.texts(), [text]);
  assert.equal(await marked(page, 'p, div, b').count(), 0);
  await ui.composer.fill('\n  if it is pasted:\n      this stays\n\n');
  await ui.composer.press('Enter');
  await ui.sees('  if it is pasted:\n      this stays');
  const { json } = await bea.get(`/v1/rooms/${id}/messages`);
  assert.ok(!('content' in json.messages[0]), JSON.stringify(json));
});

const VECTORS = [
  '[x](javascript:globalThis.harmed=1)', '[x](JaVaScRiPt:globalThis.harmed=1)', '[x](java\tscript:globalThis.harmed=1)', '[x]( javascript:globalThis.harmed=1)',
  '[x](<javascript:globalThis.harmed=1>)', '[x](data:text/html,<script>parent.harmed=1</script>)', '[x](vbscript:x)', '<javascript:globalThis.harmed=1>',
  '![x](javascript:globalThis.harmed=1)', '![x](x"onerror="globalThis.harmed=1)', '[x](https://a.example "onmouseover=globalThis.harmed=1")',
  '[x](https://a.example\'"><img src=x onerror=globalThis.harmed=1>)', '[a]: javascript:globalThis.harmed=1\n[a]', '*<img src=x onerror=globalThis.harmed=1>*',
  '**<script>globalThis.harmed=1</script>**', '```html\n<script>globalThis.harmed=1</script>\n```', '```"><img src=x onerror=globalThis.harmed=1>\nx\n```', '`<svg/onload=globalThis.harmed=1>`',
  '> <math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=globalThis.harmed=1&gt;">', '- <form id=app><input name=firstChild>', '# <style>*{display:none}</style>',
  '[x](https://bank.example@evil.example/)', 'https://bank.example@evil.example/ *x*', '[x](https://a.example/\u202egpj.exe)', '[x](&#106;avascript:globalThis.harmed=1)', '<a href="javascript:globalThis.harmed=1">*x*</a>',
  '*a* <iframe srcdoc="<script>parent.harmed=1</script>">', '[<img src=x onerror=globalThis.harmed=1>](https://a.example)', '[x](//evil.example)', '[x](\\\\evil.example)', '*a* {{constructor.constructor("globalThis.harmed=1")()}}',
];

test('S48: no mark, link or language becomes anything but text and addresses of three schemes', async (t) => {
  const id = await room('Vectors');
  const { page, ui } = await open(t, bea, id);
  for (const vector of VECTORS) assert.equal((await ana.say(id, vector)).status, 201, vector);
  await until('all are there', async () => (await ui.messages.count()) === VECTORS.length);
  for (const link of await marked(page, 'a').all()) {
    assert.match(await link.getAttribute('href'), /^https:\/\/(a|evil)\.example\//);
    assert.equal(await link.getAttribute('rel'), 'noopener noreferrer nofollow');
  }
  for (const link of await marked(page, 'a').all()) assert.ok(!/bank/.test(await link.getAttribute('href')));
  assert.equal(await ui.log.locator('script, iframe, img, form, input, style, math, [onerror], [onload], [onmouseover]').count(), 0);
  await page.mouse.move(400, 400);
  assert.equal(await page.evaluate(() => globalThis.harmed), undefined);
  assert.equal(await page.evaluate(() => document.body.textContent.includes('<script>globalThis.harmed=1</script>')), true);
});

test('S49: a link whose words are another address says where it leads', async (t) => {
  const id = await room('Links');
  const { page } = await open(t, bea, id);
  await ana.say(id, '[https://bank.example/login](https://evil.example/x) and [g\u043e\u043egle](https://g\u043e\u043egle.example)');
  await marked(page, 'a').first().waitFor();
  assert.deepEqual(await marked(page, '.content-host').allInnerTexts(), ['(evil.example)', '(xn--ggle-55da.example)']);
});

test('the toolbar is one stop of the Tab key, puts marks around what is selected, and is hidden for good by a button', async (t) => {
  const id = await room('Toolbar');
  const { page, ui } = await open(t, ana, id);
  await ui.composer.fill('one two');
  await ui.composer.evaluate((element) => element.setSelectionRange(4, 7));
  await page.keyboard.press('Control+b');
  assert.equal(await value(ui), 'one **two**');
  await page.keyboard.press('Control+i');
  assert.equal(await value(ui), 'one **_two_**');
  await page.keyboard.press('Control+z');
  assert.equal(await value(ui), 'one **two**', 'it can be undone');
  await ui.composer.evaluate((element) => element.setSelectionRange(0, 3));
  await page.keyboard.press('Shift+Tab');
  await focused(ui.button('Bold'));
  for (const name of ['Italic', 'Strikethrough']) {
    await page.keyboard.press('ArrowRight');
    await focused(ui.button(name));
  }
  await page.keyboard.press('Enter');
  assert.equal(await value(ui), '~~one~~ **two**');
  await focused(ui.composer);
  await ui.button('Quote').click();
  assert.equal(await value(ui), '> ~~one~~ **two**');
  await screenshot(page, 'writing-toolbar');
  await ui.button('Hide formatting').click();
  assert.equal(await page.getByRole('toolbar').count(), 0);
  await page.reload();
  await ui.composer.waitFor();
  assert.equal(await page.getByRole('toolbar').count(), 0, 'kept for this browser');
  await page.keyboard.press('Control+e');
  await ui.button('Show formatting').click();
  await page.getByRole('toolbar', { name: 'Formatting' }).waitFor();
});

test('Shift+Enter makes a new line; on touch Enter does, and the button sends', async (t) => {
  const id = await room('Enter');
  const desk = await open(t, ana, id);
  await desk.ui.composer.click();
  await page_type(desk.page, ['a', 'Shift+Enter', 'b', 'Enter']);
  await desk.ui.sees('a\nb');
  const phone = await open(t, bea, id, { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
  await phone.ui.composer.tap();
  await page_type(phone.page, ['c', 'Enter', 'd']);
  assert.equal(await value(phone.ui), 'c\nd');
  await phone.ui.button('Send').tap();
  await desk.ui.sees('c\nd');
});

async function page_type(page, keys) {
  for (const key of keys) await page.keyboard.press(key);
}

test('a text that is too long says by how many characters, and goes out as several messages, code whole in each', async (t) => {
  const id = await room('Long');
  const { page, ui } = await open(t, ana, id);
  await ui.composer.fill('\u00e9'.repeat(8_000));
  await page.getByText('192 characters left').waitFor();
  await ui.composer.fill('x'.repeat(16_384 + 3));
  await page.getByText('3 characters too long for one message.').waitFor();
  await ui.composer.press('Enter');
  assert.equal((await value(ui)).length, 16_387, 'nothing is sent that does not fit');
  const code = Array.from({ length: 700 }, (_, at) => `    line(${at}, "of a long listing");`);
  const text = `Here it is:\n\n\`\`\`js\n${code.join('\n')}\n\`\`\`\nDone.`;
  await ui.composer.fill(text);
  await ui.button('Send as 2 messages').click();
  await until('both are sent', async () => (await page.locator('[data-testid=message][data-state=sent]').count()) === 2);
  assert.equal(await value(ui), '');
  assert.equal(await marked(page, 'pre').count(), 2);
  const bodies = (await ana.events(id)).flatMap((event) => event.message?.body ?? []);
  assert.deepEqual(bodies.join('\n').split('\n').filter((line) => line.startsWith('    ')), code);
  assert.ok(bodies[0].endsWith('\n```') && bodies[1].startsWith('```js\n'));
});

test('a long message is folded, and unfolds in place by the keyboard', async (t) => {
  const id = await room('Fold');
  const lines = Array.from({ length: 60 }, (_, at) => `line ${at}`);
  for (let at = 0; at < 10; at += 1) await ana.say(id, `before ${at}`);
  await ana.say(id, `**Long**\n${lines.join('\n')}`);
  await bea.readAll();
  const { page, ui } = await open(t, bea, id);
  const more = ui.button('Show more');
  await more.waitFor();
  const body = ui.bodies.last();
  const fold = page.locator('.fold');
  const heightOf = async (locator) => (await locator.boundingBox()).height;
  assert.ok((await heightOf(fold)) < 500, `${await heightOf(fold)} px`);
  const before = (await body.boundingBox()).y;
  await screenshot(page, 'writing-folded');
  await more.focus();
  await page.keyboard.press('Enter');
  await ui.button('Show less').waitFor();
  assert.ok((await heightOf(fold)) > 1_000);
  assert.ok(Math.abs((await body.boundingBox()).y - before) < 2, 'the reader stays where they were');
  await ana.say(id, 'after');
  await ui.message('after').waitFor({ state: 'attached' });
  assert.equal(await ui.button('Show less').count(), 1, 'it stays open');
  await ui.button('Show less').click();
  await more.waitFor();
  assert.ok((await heightOf(fold)) < 500);
});

test('one to three emoji alone are big', async (t) => {
  const id = await room('Emoji');
  const { page, ui } = await open(t, ana, id);
  for (const text of ['\ud83c\udf70\ud83c\udf89', 'cake \ud83c\udf70']) {
    await ui.say(text);
    await ui.sees(text);
  }
  const sizes = await page.locator('.message-text').evaluateAll((all) => all.map((element) => parseFloat(getComputedStyle(element).fontSize)));
  assert.ok(sizes[0] > 2 * sizes[1], String(sizes));
});

test('a draft stays in its room over a reload and a restart, is marked in the list, and goes at sign-out', async (t) => {
  const id = await room('Drafts');
  await room('Elsewhere');
  const { page, ui } = await open(t, ana, id);
  await ui.composer.fill('not *yet* said');
  const entry = (name) => page.getByRole('navigation', { name: 'Rooms' }).getByRole('link', { name });
  assert.equal(await entry(/^Drafts.*draft/).count(), 0, 'the open room shows it itself');
  await ui.roomLink('Elsewhere').click();
  await ui.room('Elsewhere').waitFor();
  assert.equal(await value(ui), '');
  await entry(/^Drafts.*, draft$/).waitFor();
  await screenshot(page, 'writing-draft');
  await page.reload();
  await entry(/^Drafts.*, draft$/).waitFor();
  await server.restart();
  await entry(/^Drafts.*, draft$/).click();
  await ui.room('Drafts').waitFor();
  assert.equal(await value(ui), 'not *yet* said');
  await ui.roomLink('Elsewhere').click();
  await ui.choose('Ana your menu', 'Sign out');
  await ui.button('Sign in').waitFor();
  assert.deepEqual(await page.evaluate(() => Object.keys(localStorage).filter((key) => key.includes('draft'))), []);
  await ui.signIn(ana);
  await ui.composer.waitFor();
  await page.goto(`${server.url}/rooms/${id}`);
  await ui.room('Drafts').waitFor();
  await ui.composer.waitFor();
  assert.equal(await value(ui), '');
});

for (const [scheme, width] of [['light', 1280], ['dark', 1280], ['light', 360], ['dark', 360]]) {
  test(`${scheme}, ${width} px: axe finds nothing in a room full of marks, and nothing is wider than the screen`, async (t) => {
    const id = await room(`Looks ${scheme} ${width}`);
    const narrow = width < 900 ? { hasTouch: true, isMobile: true } : {};
    const { page, ui } = await open(t, bea, id, { colorScheme: scheme, viewport: { width, height: 900 }, ...narrow });
    await ana.say(id, 'A plain one before it.');
    await ana.say(id, TOUR);
    await ana.say(id, '```python\ndef hello(name: str) -> None:\n    """Says it."""\n    print(f"hello {name}", 42, None)  # once\n```\n- one `inline`\n- two\n\n> And **a quote** with [words](https://example.org).');
    await ana.say(id, '\ud83c\udf89');
    await marked(page, '.hljs-keyword').first().waitFor();
    assert.equal(await page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth), 0);
    await ui.composer.fill('x'.repeat(16_390));
    if (!(await page.getByRole('toolbar').count())) await ui.button('Show formatting').click();
    assert.deepEqual(await axe(page, '.main'), []);
    await screenshot(page, `writing-${scheme}-${width}-full`);
    await ui.composer.fill('What about _this_?');
    await screenshot(page, `writing-${scheme}-${width}`);
    await ui.log.evaluate((element) => (element.scrollTop = 0));
    await screenshot(page, `writing-${scheme}-${width}-top`);
    assert.equal(await page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth), 0);
  });
}
