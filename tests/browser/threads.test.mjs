// People answer in threads beside the room: who follows one has what others say there to read, and nobody loses their place.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Ui, axe, profile, screenshot } from '../harness/browser.mjs';
import { Person } from '../harness/http.mjs';
import { Server } from '../harness/server.mjs';
import { until } from '../harness/wait.mjs';

let server, ana, ben, room;
before(async () => {
  server = await Server.start();
  ana = await Person.setUp(server, { name: 'Ana' });
  ben = await Person.invited(ana, { name: 'Ben', email: 'ben@example.org' });
  room = ana.room.id;
});
after(() => server.kill());

async function open(t, person, options) {
  const page = await profile(t, options);
  const ui = new Ui(page);
  await page.goto(server.url);
  await ui.signIn(person);
  await ui.room('General').waitFor();
  await ui.composer.waitFor();
  const panel = page.getByRole('complementary', { name: 'Thread in General' });
  return {
    page,
    ui,
    panel,
    answers: panel.getByRole('log', { name: 'Replies in the thread' }),
    composer: panel.getByRole('textbox', { name: 'Reply in the thread' }),
    threads: page.getByRole('navigation', { name: 'Rooms' }).getByRole('link', { name: /^Threads/ }),
  };
}

const list = (page) => page.getByRole('log', { name: 'Messages in General' });
const row = (within, text) => within.getByTestId('message').filter({ has: within.page().getByTestId('message-body').filter({ hasText: text }) });
const line = (page, text) => row(list(page), text).getByTestId('thread-line');
const isFocused = (locator) => locator.evaluate((element) => element === document.activeElement);
const bodies = (within) => within.getByTestId('message-body').allTextContents();

async function startThread(page, text) {
  await row(list(page), text).hover();
  await row(list(page), text).getByRole('button', { name: 'Reply in thread' }).click();
}

async function answer({ composer, answers }, text) {
  await composer.fill(text);
  await composer.press('Enter');
  await row(answers, text).and(answers.locator('[data-state=sent]')).waitFor();
}

async function ok(who, method, path, body) {
  const { status, json, text } = await who.request(method, path, body);
  assert.ok(status >= 200 && status < 300, `${method} ${path}: ${status} ${text}`);
  return json;
}

/** A message by REST, in a thread or not. */
let sent = 0;
async function says(who, body, more = {}) {
  sent += 1;
  const clientId = `01890000-0000-7000-8000-${String(sent).padStart(12, '0')}`;
  return ok(who, 'POST', `/v1/rooms/${room}/messages`, { client_id: clientId, body, ...more });
}

test('a thread begins beside the room, waits for who wrote the message, and is read where it is looked at', async (t) => {
  const [his, hers] = [await open(t, ben), await open(t, ana)];
  await hers.ui.say('where do we go for lunch?');
  await his.ui.sees('where do we go for lunch?');
  await startThread(his.page, 'where do we go');
  await his.panel.getByText('No replies yet').waitFor();
  await until('the thread has the focus', () => isFocused(his.composer));
  assert.match(new URL(his.page.url()).pathname, /^\/rooms\/[^/]+\/thread\/[^/]+$/);
  await answer(his, 'to the market?');
  await screenshot(his.page, 'thread');

  // It stands in the thread alone; what is told of it is under the message.
  await line(hers.page, 'where do we go').getByText('1 reply').waitFor();
  assert.deepEqual(await bodies(list(hers.page)), ['where do we go for lunch?']);
  await line(hers.page, 'where do we go').getByText('1 new').waitFor();
  await hers.page.getByRole('link', { name: /^Threads ?, something new in 1 thread$/ }).waitFor();
  await screenshot(hers.page, 'thread-unread');

  // She looks at it, and it is read: here, and among her threads.
  await hers.page.bringToFront();
  await line(hers.page, 'where do we go').click();
  await row(hers.answers, 'to the market?').waitFor();
  await hers.answers.getByRole('separator', { name: 'New since you were here' }).waitFor();
  await hers.page.getByRole('link', { name: 'Threads', exact: true }).waitFor();
  assert.equal(await line(hers.page, 'where do we go').getByText('new').count(), 0);

  // Also in the room, on request: there it leads to the thread.
  await hers.panel.getByRole('checkbox', { name: 'Also send to General' }).check();
  await answer(hers, 'yes, at noon, all of us');
  const inRoom = row(list(his.page), 'yes, at noon');
  await inRoom.waitFor();
  await inRoom.getByRole('button', { name: /^In the thread of Ana ?: where do we go/ }).waitFor();
  assert.equal(await hers.panel.getByRole('checkbox', { name: 'Also send to General' }).isChecked(), false, 'each time anew');
  assert.deepEqual(await bodies(list(his.page)), ['where do we go for lunch?', 'yes, at noon, all of us']);
  await row(his.answers, 'yes, at noon').waitFor();
  await line(his.page, 'where do we go').getByText('2 replies').waitFor();

  // An edit, a reaction and a deletion in the thread are seen in the thread.
  await his.composer.focus();
  await his.composer.press('ArrowUp');
  await his.panel.getByRole('textbox', { name: 'Edit the message' }).fill('to the old market?');
  await his.page.keyboard.press('Enter');
  await row(hers.answers, 'to the old market?').waitFor();
  await until('back in the thread', () => isFocused(his.composer));
  await row(hers.answers, 'to the old market').hover();
  await row(hers.answers, 'to the old market').getByRole('button', { name: 'More' }).click();
  await hers.page.getByRole('menuitem', { name: 'Reply', exact: true }).click();
  await hers.panel.getByText('Replying to Ben').waitFor();
  await answer(hers, 'that one');
  await row(his.answers, 'that one').getByRole('button', { name: /^In reply to Ben ?: to the old market/ }).waitFor();
  await line(his.page, 'where do we go').getByText('3 replies').waitFor();
  await row(hers.answers, 'that one').hover();
  await row(hers.answers, 'that one').getByRole('button', { name: 'More' }).click();
  await hers.page.getByRole('menuitem', { name: 'Delete' }).click();
  await line(his.page, 'where do we go').getByText('2 replies').waitFor();
  await his.answers.getByText('Message deleted').waitFor();

  // Escape closes it, and the focus goes back.
  await his.composer.focus();
  await his.page.keyboard.press('Escape');
  await his.panel.waitFor({ state: 'detached' });
  assert.match(new URL(his.page.url()).pathname, /^\/rooms\/[^/]+$/);
  await until('the focus is in the room', () => his.page.evaluate(() => document.activeElement !== document.body));
  await his.page.goBack();
  await his.panel.waitFor();
});

test('who follows a thread and who does not is up to each, and a stop by hand stays', async (t) => {
  const root = (await says(ana, 'the plan for spring')).id;
  await says(ben, 'tulips', { thread: root });
  const [one, other] = [await open(t, ana), await open(t, ana)];
  await line(one.page, 'the plan for spring').click();
  const following = ({ panel }, name) => panel.getByRole('button', { name, exact: true });
  await following(one, 'Following').click();
  await following(one, 'Follow').waitFor();
  await line(other.page, 'the plan for spring').click();
  await following(other, 'Follow').waitFor();
  await answer(one, 'roses');
  await says(ben, 'or nothing', { thread: root });
  await row(other.answers, 'or nothing').waitFor();
  assert.equal((await ok(ana, 'GET', '/v1/threads')).threads.some((thread) => thread.id === root), false);
  await following(other, 'Follow').click();
  await following(one, 'Following').waitFor();
  assert.equal((await ok(ana, 'GET', '/v1/threads')).threads[0].id, root);
});

test('the overview has the threads that one follows, with what is new in them', async (t) => {
  const first = (await says(ben, 'who has the keys?')).id;
  const second = (await says(ana, 'the roof leaks')).id;
  await says(ana, 'not me', { thread: first });
  await says(ben, 'since when?', { thread: second });
  const hers = await open(t, ana);
  await hers.threads.click();
  await hers.page.getByRole('heading', { level: 1, name: 'Threads' }).waitFor();
  const entries = hers.page.getByRole('region', { name: 'Threads' }).getByRole('listitem');
  await entries.filter({ hasText: 'the roof leaks' }).getByText('1 new').waitFor();
  assert.match(await entries.first().innerText(), /the roof leaks/);
  assert.equal(await entries.filter({ hasText: 'who has the keys' }).getByText('new').count(), 0);
  await says(ben, 'found them', { thread: first });
  await until('the one that was answered comes to the top', async () => /who has the keys[\s\S]*found them/.test(await entries.first().innerText()));
  for (const theme of ['light', 'dark']) {
    await hers.page.emulateMedia({ colorScheme: theme });
    assert.deepEqual(await axe(hers.page), []);
    await screenshot(hers.page, `threads-${theme}`);
  }
  await entries.filter({ hasText: 'the roof leaks' }).getByRole('link').click();
  await row(hers.answers, 'since when?').waitFor();
  await hers.page.goBack();
  await hers.page.getByRole('heading', { level: 1, name: 'Threads' }).waitFor();
});

test('a link to an answer opens its thread with it in view, also among a hundred', async (t) => {
  const root = (await says(ana, 'a long story')).id;
  const ids = [];
  for (let n = 1; n <= 100; n++) ids.push((await says(n % 2 ? ana : ben, `chapter ${n}`, { thread: root })).id);
  const his = await open(t, ben);
  await line(his.page, 'a long story').getByText('100 replies').waitFor();
  await his.page.goto(`${server.url}/rooms/${room}/${ids[19]}`);
  await row(his.answers, /^chapter 20$/).waitFor();
  await until('it has the focus', () => isFocused(row(his.answers, /^chapter 20$/)));
  assert.match(new URL(his.page.url()).pathname, new RegExp(`/thread/${root}$`));
  await his.page.goto(`${server.url}/rooms/${room}/thread/${root}`);
  await row(his.answers, /^chapter 100$/).waitFor();
  assert.equal(await row(his.answers, /^chapter 10$/).count(), 0, 'some at a time');
  await his.panel.getByRole('button', { name: 'Show earlier replies' }).click();
  await row(his.answers, /^chapter 10$/).waitFor();
  await screenshot(his.page, 'thread-long');
});

test('a draft in a thread is there after a reload, and what was sent over a cut link arrives in order', async (t) => {
  const root = (await says(ana, 'over the mountains')).id;
  await says(ben, 'far', { thread: root });
  const hers = await open(t, ana);
  await line(hers.page, 'over the mountains').click();
  await hers.composer.fill('half of a thought');
  await hers.page.reload();
  await hers.panel.waitFor();
  await until('the draft is back', async () => (await hers.composer.inputValue()) === 'half of a thought');
  await until('she is in the room', async () => Number(await hers.ui.here.innerText()) >= 1);
  const address = hers.page.url();
  await hers.ui.choose('Ana your menu', 'Settings');
  await hers.page.getByRole('dialog', { name: 'Settings' }).waitFor();
  await hers.page.keyboard.press('Escape');
  assert.equal(hers.page.url(), address, 'the settings leave what is behind them as it was');
  await hers.panel.waitFor();
  assert.equal(await hers.ui.composer.inputValue(), '', 'and in the thread alone');
  await hers.page.context().setOffline(true);
  for (const text of ['first', 'second', 'third']) {
    await hers.composer.fill(text);
    await hers.composer.press('Enter');
    await row(hers.answers, text).waitFor();
  }
  assert.equal(await row(list(hers.page), 'second').count(), 0);
  await says(ben, 'meanwhile', { thread: root });
  await hers.page.context().setOffline(false);
  await until('all are there', async () => (await hers.answers.locator('[data-state=sent]').count()) >= 6);
  const { messages } = await ok(ana, 'GET', `/v1/rooms/${room}/messages/${root}/thread`);
  assert.deepEqual(messages.map(({ body }) => body), ['far', 'meanwhile', 'first', 'second', 'third']);
  assert.deepEqual((await bodies(hers.answers)).slice(1), ['far', 'meanwhile', 'first', 'second', 'third']);
});

test('by keyboard: T opens it, F6 goes through it, and on a phone Back closes it', async (t) => {
  const root = (await says(ben, 'by hand and by foot')).id;
  await says(ana, 'by heart', { thread: root });
  const hers = await open(t, ana);
  await row(list(hers.page), 'by hand and by foot').focus();
  await hers.page.keyboard.press('t');
  await until('one writes there', () => isFocused(hers.composer));
  await hers.page.keyboard.press('Shift+F6');
  await until('its answers have the focus', () => isFocused(hers.answers));
  for (const theme of ['light', 'dark']) {
    await hers.page.emulateMedia({ colorScheme: theme });
    assert.deepEqual(await axe(hers.page), []);
    await screenshot(hers.page, `thread-${theme}`);
  }

  const his = await open(t, ben, { viewport: { width: 360, height: 640 }, hasTouch: true, isMobile: true });
  await line(his.page, 'by hand and by foot').click();
  await row(his.answers, 'by heart').waitFor();
  const box = await his.panel.boundingBox();
  assert.deepEqual([box.x, box.width], [0, 360], 'over the room');
  assert.deepEqual(await axe(his.page), []);
  await screenshot(his.page, 'thread-phone');
  await his.page.goBack();
  await his.panel.waitFor({ state: 'detached' });
  await his.ui.composer.waitFor();
});

test('in a direct message there are threads too', async (t) => {
  const direct = await ok(ana, 'POST', '/v1/direct', { people: [ben.id] });
  const said = await ok(ana, 'POST', `/v1/rooms/${direct.id}/messages`, { client_id: '01890000-0000-7000-8000-00000000ffff', body: 'between us' });
  const his = await open(t, ben);
  await his.page.goto(`${server.url}/rooms/${direct.id}/thread/${said.id}`);
  const panel = his.page.getByRole('complementary', { name: 'Thread in Ana' });
  await panel.getByRole('checkbox', { name: 'Also send outside the thread' }).waitFor();
  await panel.getByRole('textbox', { name: 'Reply in the thread' }).fill('and nobody else');
  await his.page.keyboard.press('Enter');
  await panel.locator('[data-state=sent]').filter({ hasText: 'and nobody else' }).waitFor();
});
