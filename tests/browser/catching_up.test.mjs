// Away for a while, away for long, in one tab and in two: what the page shows afterwards, and what it asks for (G4).

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Ui, profile, screenshot } from '../harness/browser.mjs';
import { Person } from '../harness/http.mjs';
import { Proxy } from '../harness/proxy.mjs';
import { Server } from '../harness/server.mjs';
import { until } from '../harness/wait.mjs';

const WRITERS = 40;

let server, people, ana;
before(async () => {
  server = await Server.start();
  ana = await Person.setUp(server);
  people = [];
  while (people.length < WRITERS) people.push(await Person.invited(ana));
});
after(() => server.kill());

/** Everybody says something in turn, some at a time. */
async function say(room, texts) {
  for (let at = 0; at < texts.length; at += WRITERS) {
    const answers = await Promise.all(texts.slice(at, at + WRITERS).map((text, n) => people[n].say(room, text)));
    for (const { status, text } of answers) assert.equal(status, 201, text);
  }
}

const counting = (word, count) => Array.from({ length: count }, (_, n) => `${word} ${n}`);

/** A page behind a link that can be cut, and what it asks the API for. */
async function tab(t, options) {
  const proxy = await Proxy.to(server.port);
  t.after(() => proxy.close());
  const page = await profile(t, options);
  const asked = [];
  page.context().on('request', (request) => {
    const { pathname, search } = new URL(request.url());
    if (request.method() === 'GET' && pathname.startsWith('/v1/')) asked.push(pathname.replace(/[0-9a-f-]{36}/, ':id') + search);
  });
  return { proxy, page, ui: new Ui(page), asked };
}

/** A room of its own, with everybody in it. */
async function roomOf(name, texts) {
  const room = await ana.createRoom(name);
  await Promise.all(people.map((person) => person.put(`/v1/rooms/${room.id}/members/me`, {})));
  await say(room.id, texts);
  for (const person of people) await person.readAll();
  return room.id;
}

/** The uppermost message in view, and where it stands. */
const place = (ui) => ui.log.evaluate((log) => {
  const { top } = log.getBoundingClientRect();
  const row = [...log.querySelectorAll('article')].find((one) => one.getBoundingClientRect().bottom > top + 80);
  return { key: row.dataset.key, top: row.getBoundingClientRect().top, text: row.querySelector('[data-testid=message-body]').textContent };
});
const topOf = (ui, key) => ui.log.evaluate((log, wanted) => log.querySelector(`[data-key="${CSS.escape(wanted)}"]`)?.getBoundingClientRect().top, key);

/** A tab with a room of 160 messages, whose reader has scrolled up. */
async function furtherUp(t, room) {
  const opened = await tab(t);
  const { proxy, page, ui } = opened;
  await page.goto(`${proxy.url}/rooms/${room}`);
  await ui.signIn(ana);
  await ui.sees('read 159');
  await until('the reader is further up', async () => {
    await ui.log.evaluate((log) => log.scrollBy(0, -300));
    return (await place(ui)).text <= 'read 120';
  });
  return opened;
}

test('who reads further up while more than a thousand messages are missed keeps the line, and comes down to all of them (G4)', { timeout: 180_000 }, async (t) => {
  const room = await roomOf('Long absence', counting('read', 160));
  const { proxy, page, ui, asked } = await furtherUp(t, room);
  const before = await place(ui);

  proxy.cut();
  const missed = counting('missed', 1_200);
  await say(room, missed);
  asked.length = 0;
  proxy.restore();
  await page.getByRole('button', { name: /new messages, go to the end/i }).waitFor();
  await say(room, ['one more']);
  const moved = Math.abs((await topOf(ui, before.key)) - before.top);
  const reads = asked.filter((path) => path.includes('/events'));
  t.diagnostic(`the line moved by ${moved} px; asked for ${reads.length} pages: ${reads.join(' ')}`);
  assert.ok(moved < 3, `${before.top} → ${await topOf(ui, before.key)}`);
  assert.ok(reads.length <= 2, reads.join('\n'));
  await screenshot(page, 'long-absence-further-up');

  const told = (await ana.events(room)).filter((event) => event.type === 'message.posted').map((event) => event.message.body);
  const found = new Set();
  await until('all of it is reached by scrolling down', async () => {
    for (const text of await ui.texts()) found.add(text);
    await ui.log.evaluate((log) => log.scrollBy(0, 2 * log.clientHeight));
    return found.has('one more');
  }, { timeout: 90_000 });
  const seen = [...found];
  assert.deepEqual(seen, told.slice(told.indexOf(seen[0])), 'every one, in order');
  assert.ok(missed.every((text) => found.has(text)));
});

test('who reads further up after a long absence can go to the newest message at once', { timeout: 120_000 }, async (t) => {
  const room = await roomOf('To the end', counting('read', 160));
  const { proxy, page, ui, asked } = await furtherUp(t, room);
  proxy.cut();
  await say(room, counting('missed', 1_200));
  proxy.restore();
  const toEnd = page.getByRole('button', { name: /new messages, go to the end/i });
  await toEnd.waitFor();
  asked.length = 0;
  await toEnd.click();
  await ui.sees('missed 1199');
  await until('it shows the end', () => ui.log.evaluate((log) => log.scrollHeight - log.scrollTop - log.clientHeight < 2));
  await screenshot(page, 'long-absence-at-the-end');
  assert.ok(asked.filter((path) => path.includes('/events')).length <= 3, asked.join('\n'));
  await ui.say('and an answer');
  await ui.sees('and an answer');
});

test('a room whose numbers started anew is shown from its end, also to who read further up', { timeout: 60_000 }, async (t) => {
  const room = await roomOf('Restored', counting('read', 160));
  const told = await ana.events(room);
  const { epoch } = (await ana.get('/v1/rooms')).json.rooms.find((one) => one.id === room);
  const { proxy, page, ui } = await tab(t);
  // As after a restoration from a backup of when there were fewer events: another epoch, other numbers.
  const [kept, newEpoch] = [60, 'restored'];
  let restored = false;
  const fewer = (text) => text.split('\n').map((line) => {
    const said = JSON.parse(line.replaceAll(epoch, newEpoch));
    if (said.subscribe?.epoch === newEpoch) Object.assign(said.subscribe, { offset: kept, recovered: false, publications: [] });
    return JSON.stringify(said);
  }).join('\n');
  await page.routeWebSocket(/\/connection\/websocket/, (socket) => {
    const upstream = socket.connectToServer();
    socket.onMessage((frame) => upstream.send(frame));
    upstream.onMessage((frame) => socket.send(restored ? fewer(frame) : frame));
  });
  await page.route('**/v1/rooms/*/events?*', async (route) => {
    // The link may be cut in the middle of an answer.
    const answer = await route.fetch().catch(() => null);
    const body = await answer?.json().catch(() => null);
    if (!body) return route.abort().catch(() => {});
    if (!restored) return route.fulfill({ response: answer, json: body });
    const { searchParams } = new URL(route.request().url());
    const end = Math.min(kept, Number(searchParams.get('before') ?? Infinity) - 1);
    const events = told.filter(({ number }) => number <= end).slice(-Number(searchParams.get('limit')));
    return route.fulfill({ response: answer, json: { ...body, events, epoch: newEpoch, offset: kept } });
  });
  await page.goto(`${proxy.url}/rooms/${room}`);
  await ui.signIn(ana);
  await ui.sees('read 159');
  await until('the reader is further up', async () => {
    await ui.log.evaluate((log) => log.scrollBy(0, -300));
    return (await place(ui)).text <= 'read 120';
  });
  proxy.cut();
  restored = true;
  proxy.restore();
  await until('it shows the end', () => ui.log.evaluate((log) => log.scrollHeight - log.scrollTop - log.clientHeight < 2));
  const texts = told.filter((event) => event.number <= kept && event.type === 'message.posted').map((event) => event.message.body);
  await until('all of what there is now is there', async () => JSON.stringify(await ui.texts()) === JSON.stringify(texts));
});

test('what one tab sends after a cut is in the other once, however late that one reads what was left unsent', { timeout: 120_000 }, async (t) => {
  const { proxy, page, ui: first } = await tab(t);
  const room = await roomOf('Two tabs', ['hello']);
  await page.goto(`${proxy.url}/rooms/${room}`);
  await first.signIn(ana);
  await first.sees('hello');
  const other = await page.context().newPage();
  // The second tab's disk answers late: what it reads there is older than what has arrived meanwhile.
  await other.addInitScript(() => {
    Object.defineProperty(IDBTransaction.prototype, 'oncomplete', {
      set(task) {
        this.addEventListener('complete', () => (this.mode === 'readonly' ? setTimeout(task, 400) : task()));
      },
    });
  });
  const second = new Ui(other);
  await other.goto(`${proxy.url}/rooms/${room}`);
  await second.sees('hello');
  const expected = ['hello'];
  for (let round = 0; round < 8; round += 1) {
    proxy.cut();
    const text = `round ${round}`;
    expected.push(text);
    await first.say(text);
    proxy.restore();
    for (const ui of [first, second]) {
      await ui.page.bringToFront();
      await ui.sees(text);
      await until('everything is there, sent and once', async () => {
        assert.deepEqual(await ui.texts(), expected);
        assert.equal(await ui.log.locator('[data-testid=message]:not([data-state=sent])').count(), 0);
        return true;
      });
    }
  }
  assert.deepEqual(await first.texts(), await second.texts());
});

test('after each connect the rooms are asked for once', { timeout: 60_000 }, async (t) => {
  const { proxy, page, ui, asked } = await tab(t);
  const rooms = () => asked.filter((path) => path === '/v1/rooms').length;
  await page.goto(proxy.url);
  await ui.signIn(ana);
  await ui.room('General').waitFor();
  await until('somebody is here', async () => (await ui.here.innerText()) === '1');
  t.diagnostic(`after signing in: ${rooms()}`);
  assert.equal(rooms(), 1, 'after signing in');
  asked.length = 0;
  await page.reload();
  await ui.room('General').waitFor();
  await until('somebody is here', async () => (await ui.here.innerText()) === '1');
  t.diagnostic(`after a reload: ${rooms()}`);
  assert.equal(rooms(), 1, 'after a reload');
  asked.length = 0;
  proxy.cut();
  await ui.say('written meanwhile');
  proxy.restore();
  await ui.sees('written meanwhile');
  t.diagnostic(`after a cut: ${rooms()}`);
  assert.equal(rooms(), 1, 'after a cut');
});

test('where no live connection comes about, the rooms and what was said in them are there nevertheless', { timeout: 60_000 }, async (t) => {
  const { page, ui, proxy } = await tab(t);
  await page.routeWebSocket(/\/connection\/websocket/, (socket) => socket.close());
  await page.goto(proxy.url);
  await ui.signIn(ana);
  await ui.room('General').waitFor();
  await ui.sees('written meanwhile');
});
