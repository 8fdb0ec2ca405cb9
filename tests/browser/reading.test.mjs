// What counts as read: what was in view before somebody who looks, and nothing else; the same on all of their devices.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Ui, axe, profile, screenshot } from '../harness/browser.mjs';
import { Person } from '../harness/http.mjs';
import { Proxy } from '../harness/proxy.mjs';
import { Server } from '../harness/server.mjs';
import { until } from '../harness/wait.mjs';

let server, ana, ben;
before(async () => {
  server = await Server.start({ args: ['--rate-limits', 'false'] });
  ana = await Person.setUp(server, { name: 'Ana' });
  ben = await Person.invited(ana, { name: 'Ben', email: 'ben@example.org' });
});
after(() => server.kill());

const lines = (count, word = 'line') => Array.from({ length: count }, (_, n) => `${word} ${n}`);

/** A room of both, with what Ana says in it. */
async function roomOf(name, texts = []) {
  const room = await ana.createRoom(name);
  await ben.put(`/v1/rooms/${room.id}/members/me`, {});
  await say(room, texts);
  return room;
}

async function say(room, texts) {
  for (const text of texts) assert.equal((await ana.say(room.id, text)).status, 201);
}

const reading = async (person, room) => (await person.get(`/v1/rooms/${room.id}`)).json;
const isRead = (person, room) => until(`${room.name} is read`, async () => (await reading(person, room)).unread === 0);

/** A page of Ben's; what is behind a link that can be cut, where there is one. */
async function device(t, { url = server.url, room, ...options } = {}) {
  const page = await profile(t, options);
  const ui = new Ui(page);
  await page.goto(room ? `${url}/rooms/${room.id}` : url);
  await ui.signIn(ben);
  await ui.room(room?.name ?? 'General').waitFor();
  return { page, ui, badge: (name, unread) => ui.roomLink(unread ? new RegExp(`^${name}.*, ${unread}`) : new RegExp(`^${name}$`)) };
}

/** Another window lies in front, as far as the page knows; returns the way back. */
async function lookAway(page) {
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('Emulation.setFocusEmulationEnabled', { enabled: false });
  const other = await page.context().newPage();
  await other.bringToFront();
  await until('the window has lost the focus', () => page.evaluate(() => !document.hasFocus()));
  return async () => {
    await other.close();
    await devtools.send('Emulation.setFocusEmulationEnabled', { enabled: true });
    await page.bringToFront();
    await until('the window has the focus', () => page.evaluate(() => document.hasFocus()));
  };
}

/** For as long as a message must be in view to be seen, and told of: what did not happen by then does not. */
const aMoment = (page) => page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 2_000)));

const line = (page) => page.getByRole('separator', { name: 'New since you were here' });
/** The text behind the line. */
const behindLine = (page) => line(page).evaluate((row) => {
  let next = row.nextElementSibling;
  while (next && next.tagName !== 'ARTICLE') next = next.nextElementSibling;
  return next?.querySelector('[data-testid=message-body]').textContent;
});

test('a room opens where something new begins; a screenful of it is read, and no more than that', async (t) => {
  const room = await roomOf('Much', ['before', 'and before']);
  await ben.readAll();
  const { offset } = await reading(ben, room);
  await say(room, lines(80));
  const { page, ui, badge } = await device(t);
  await badge('Much', '80 unread messages').waitFor();
  await ui.roomLink('Much').click();
  await ui.sees('line 0');
  assert.equal(await behindLine(page), 'line 0');
  await until('it is at the line', () => line(page).evaluate((row) => {
    const top = row.getBoundingClientRect().top - row.closest('[role=log]').getBoundingClientRect().top;
    return top >= 0 && top < 80;
  }));
  await screenshot(page, 'reading-opened');
  const inView = () => ui.messages.evaluateAll((all) => all.filter((row) => {
    const [own, log] = [row.getBoundingClientRect(), row.closest('[role=log]').getBoundingClientRect()];
    return (Math.min(own.bottom, log.bottom) - Math.max(own.top, log.top)) * 2 >= own.height;
  }).map((row) => Number(row.dataset.number)));
  const last = Math.max(...await inView());
  await until('what is in view is read', async () => (await reading(ben, room)).read === last);
  const { unread } = await reading(ben, room);
  assert.ok(unread === offset + 80 - last && unread > 20, `${unread} unread`);
  await badge('Much', `${unread} unread messages`).waitFor();
  assert.equal(await behindLine(page), 'line 0', 'the line stays');

  // Whoever goes to the end is done with what lies between.
  await page.locator('.to-end').click();
  await ui.sees('line 79');
  await isRead(ben, room);
  await badge('Much').waitFor();
  assert.deepEqual(await axe(page), []);
});

test('what comes into view while scrolling is read, as far as that is', async (t) => {
  const room = await roomOf('Scrolled');
  await say(room, lines(80));
  const { ui } = await device(t, { room });
  await ui.sees('line 0');
  let { read } = await reading(ben, room);
  const further = async () => {
    const now = (await reading(ben, room)).read;
    const is = now > read;
    read = now;
    return is;
  };
  await until('some is read', further);
  await ui.log.evaluate((log) => log.scrollBy(0, log.clientHeight / 2));
  await until('more is read', further);
  assert.ok((await reading(ben, room)).unread > 0);
  await until('the end is reached', async () => {
    await ui.log.evaluate((log) => log.scrollBy(0, log.clientHeight / 2));
    return (await reading(ben, room)).unread === 0;
  });
});

test('a window without the focus reads nothing: not what comes, not by reconnecting; the line says where one was', async (t) => {
  const room = await roomOf('Away', ['seen']);
  await ben.readAll();
  const proxy = await Proxy.to(server.port);
  t.after(() => proxy.close());
  const { page, ui, badge } = await device(t, { url: proxy.url, room });
  await isRead(ben, room);
  const { read } = await reading(ben, room);
  const back = await lookAway(page);
  await say(room, ['one', 'two']);
  await ui.sees('two');
  proxy.cut();
  await say(room, ['three']);
  proxy.restore();
  await ui.sees('three');
  await aMoment(page);
  assert.deepEqual([(await reading(ben, room)).read, (await reading(ben, room)).unread], [read, 3]);
  assert.equal(await behindLine(page), 'one', 'what came later did not move the line');
  assert.match(await page.title(), /^\(3\)/);

  await back();
  await isRead(ben, room);
  await badge('Away').waitFor();
  assert.equal(await behindLine(page), 'one', 'the line stays where it is');
  await screenshot(page, 'reading-line');
  const again = await lookAway(page);
  await say(room, ['four']);
  await ui.sees('four');
  assert.equal(await behindLine(page), 'four', 'and is at what is new the next time');
  await again();
});

test('a line whose first message was not seen stays, and stands before the next one when that is deleted', async (t) => {
  const room = await roomOf('Line', ['seen']);
  const { page, ui } = await device(t, { room });
  await isRead(ben, room);
  const back = await lookAway(page);
  const { json: first } = await ana.say(room.id, 'a slip');
  await say(room, ['what stands']);
  await ui.sees('what stands');
  assert.equal(await behindLine(page), 'a slip');
  assert.equal((await ana.delete(`/v1/rooms/${room.id}/messages/${first.id}`)).status, 200);
  await until('the line stands before the next', async () => (await behindLine(page)) === 'what stands');
  assert.equal((await reading(ben, room)).unread, 1);
  await back();
  await isRead(ben, room);
});

test('devices agree within a moment, and one that is new shows what is unread', async (t) => {
  const [garden, shed] = [await roomOf('Garden'), await roomOf('Shed')];
  await ben.readAll();
  await say(garden, lines(3));
  await say(shed, lines(120));
  const [desk, phone] = [await device(t), await device(t, { viewport: { width: 360, height: 740 } })];
  await desk.badge('Garden', '3 unread messages').waitFor();
  await desk.badge('Shed', 'Unread messages').waitFor();
  await screenshot(desk.page, 'reading-badges');
  await phone.ui.button('Rooms, something is unread').click();
  await phone.badge('Garden', '3 unread messages').waitFor();
  await phone.page.waitForFunction(() => document.getAnimations().length === 0);
  await screenshot(phone.page, 'reading-badges-360');
  await phone.ui.roomLink('Garden').click();
  await phone.ui.sees('line 2');
  await screenshot(phone.page, 'reading-360');
  await desk.badge('Garden').waitFor();

  // And back: from the first of them on, on every device.
  await desk.ui.roomLink('Garden').click();
  await desk.ui.sees('line 1');
  await desk.ui.message('line 1').hover();
  await desk.ui.message('line 1').getByRole('button', { name: 'More' }).click();
  await desk.page.getByRole('menuitem', { name: 'Mark as unread from here' }).click();
  await desk.badge('Garden', '2 unread messages').waitFor();
  assert.equal(await behindLine(desk.page), 'line 1');
  await screenshot(desk.page, 'reading-marked-unread');
  await aMoment(desk.page);
  assert.equal((await reading(ben, garden)).unread, 2, 'what is marked stays so, although it is in view');
  await phone.ui.button('Rooms, something is unread').or(phone.ui.button('Rooms')).click();
  await phone.badge('Garden', '2 unread messages').waitFor();

  await desk.page.getByRole('button', { name: /your menu/ }).click();
  await desk.page.getByRole('menuitem', { name: 'Mark all as read' }).click();
  await desk.badge('Shed').waitFor();
  await desk.badge('Garden').waitFor();
  await phone.badge('Shed').waitFor();
  assert.deepEqual((await Promise.all([garden, shed].map((room) => reading(ben, room)))).map(({ unread }) => unread), [0, 0]);
});

test('Shift+Escape reads all rooms, also in the dark', async (t) => {
  const room = await roomOf('Escaped', lines(5));
  const { page, badge } = await device(t, { colorScheme: 'dark' });
  await badge('Escaped', '5 unread messages').waitFor();
  await screenshot(page, 'reading-badges-dark');
  assert.deepEqual(await axe(page), []);
  await page.keyboard.press('Shift+Escape');
  await badge('Escaped').waitFor();
  await isRead(ben, room);
});

test('a page that is closed has told what was read', async (t) => {
  const room = await roomOf('Closed', ['hello']);
  const { page, ui } = await device(t, { room });
  await ui.sees('hello');
  await isRead(ben, room);
  await say(room, ['one more']);
  await ui.sees('one more');
  await until('it was seen', async () => (await ui.roomLink(/^Closed$/).count()) === 1);
  await page.close();
  await isRead(ben, room);
});

test('what one has written oneself is never unread, and a link to a message further down reads nothing before it', async (t) => {
  const room = await roomOf('Linked', lines(200));
  const { json: mine } = await ben.say(room.id, 'my own');
  assert.equal((await reading(ben, room)).unread, 100);
  const target = (await ben.get(`/v1/rooms/${room.id}/messages?after=${mine.number - 60}&limit=1`)).json.messages[0];
  const page = await profile(t);
  const ui = new Ui(page);
  await page.goto(`${server.url}/rooms/${room.id}/${target.id}`);
  await ui.signIn(ben);
  await ui.sees(target.body);
  await aMoment(page);
  assert.equal((await reading(ben, room)).unread, 100);
  await page.locator('.to-end').click();
  await ui.sees('my own');
  await isRead(ben, room);
});
