// Reading back: history loads on entering and pages while scrolling up, and the line being read stays where it is.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Ui, profile, screenshot } from '../harness/browser.mjs';
import { Person } from '../harness/http.mjs';
import { Proxy } from '../harness/proxy.mjs';
import { Server } from '../harness/server.mjs';
import { until } from '../harness/wait.mjs';

const MESSAGES = 400;

let server, people, room;
before(async () => {
  server = await Server.start();
  const ana = await Person.setUp(server);
  room = ana.room.id;
  people = [ana];
  while (people.length < 4) people.push(await Person.invited(ana));
  for (let n = 0; n < MESSAGES; n += 1) {
    const { status, text } = await people[n % 4].say(room, `line ${n}${n % 7 === 3 ? `\n${'and more words '.repeat(n % 40)}` : ''}`);
    assert.equal(status, 201, text);
  }
  for (const person of people) await person.readAll();
});
after(() => server.kill());

test('all of a long history is reached by scrolling up, in order and once (4.26)', { timeout: 120_000 }, async (t) => {
  const page = await profile(t);
  const ui = new Ui(page);
  await page.goto(server.url);
  await ui.signIn(people[0]);
  await ui.room('General').waitFor();
  await ui.message(`line ${MESSAGES - 1}`).waitFor();
  const atEnd = () => ui.log.evaluate((log) => log.scrollHeight - log.scrollTop - log.clientHeight < 2);
  await until('it shows the end', atEnd);

  const seen = new Map();
  const look = async () => {
    const rows = await ui.messages.evaluateAll((all) => all.map((row) => [Number(row.dataset.number), row.querySelector('[data-testid=message-body]').textContent.split('\n')[0]]));
    for (const [number, text] of rows) seen.set(number, text);
    assert.deepEqual(rows.map(([number]) => number), rows.map(([number]) => number).toSorted((a, b) => a - b), 'the page is in order');
    return rows;
  };
  let most = 0;
  const beginning = page.getByText('This is where General begins.');
  await until('the beginning is reached', async () => {
    most = Math.max(most, (await look()).length);
    if (await beginning.count()) return look();
    await ui.log.evaluate((log) => log.scrollBy(0, -log.clientHeight));
    return false;
  }, { timeout: 60_000 });
  assert.deepEqual([...seen].sort(([a], [b]) => a - b).map(([, text]) => text), Array.from({ length: MESSAGES }, (_, n) => `line ${n}`));
  assert.ok(most <= 320, `${most} messages in the page at once`);
  await screenshot(page, 'beginning');

  await page.getByRole('button', { name: 'Go to the newest message' }).click();
  await until('it is back at the end', async () => (await ui.message(`line ${MESSAGES - 1}`).count()) > 0 && (await atEnd()));
});

test('the line being read stays where it is when an older page arrives above it and a new message below', async (t) => {
  const page = await profile(t);
  const ui = new Ui(page);
  // Older pages wait until the test lets them through.
  let release = () => {};
  const held = new Promise((resolve) => (release = resolve));
  let asked = false;
  await page.route(/\/v1\/rooms\/[^/]+\/(events|messages)\?.*before=/, async (route) => {
    asked = true;
    await held;
    await route.continue();
  });
  await page.goto(server.url);
  await ui.signIn(people[1]);
  await ui.message(`line ${MESSAGES - 1}`).waitFor();
  await until('an older page is asked for', async () => {
    await ui.log.evaluate((log) => log.scrollBy(0, -200));
    return asked;
  });
  const place = async () => ui.log.evaluate((log) => {
    const top = log.getBoundingClientRect().top;
    const row = [...log.querySelectorAll('article')].find((one) => one.getBoundingClientRect().bottom > top + 80);
    return { key: row.dataset.key, top: row.getBoundingClientRect().top };
  });
  const before = await place();
  const rows = await ui.messages.count();
  release();
  await until('the older page is there', async () => (await ui.messages.count()) > rows);
  const where = () => ui.log.evaluate((log, key) => log.querySelector(`[data-key="${CSS.escape(key)}"]`)?.getBoundingClientRect().top, before.key);
  assert.ok(Math.abs((await where()) - before.top) < 3, `${before.top} → ${await where()}`);

  await people[0].say(room, 'something new');
  await page.getByRole('button', { name: /1 new message/ }).waitFor();
  assert.ok(Math.abs((await where()) - before.top) < 3, 'a new message does not move what is read');
  await page.getByRole('button', { name: /1 new message/ }).click();
  await ui.sees('something new');
});

test('who was away for more than a page, over a restart, finds all of it: no hole and no double (G4)', { timeout: 120_000 }, async (t) => {
  const proxy = await Proxy.to(server.port);
  t.after(() => proxy.close());
  const page = await profile(t);
  const ui = new Ui(page);
  await page.goto(proxy.url);
  await ui.signIn(people[2]);
  await ui.sees('something new');
  proxy.cut();
  await server.restart();
  const missed = [];
  for (let n = 0; n < 350; n += 1) {
    missed.push(`missed ${n}`);
    assert.equal((await people[n % 4].say(room, missed[n])).status, 201);
  }
  proxy.restore();
  await ui.sees('missed 349');
  const seen = new Set();
  await until('everything that was missed is in the page', async () => {
    for (const text of await ui.texts()) seen.add(text);
    await ui.log.evaluate((log) => log.scrollBy(0, -log.clientHeight / 2));
    return missed.every((text) => seen.has(text)) && seen.has('something new');
  }, { timeout: 60_000 });
  const order = (await ui.texts()).filter((text) => text.startsWith('missed'));
  assert.deepEqual(order, missed.slice(missed.indexOf(order[0]), missed.indexOf(order[0]) + order.length));
});
