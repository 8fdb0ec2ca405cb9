// Names in messages: chosen by keyboard, told to whom they mean, and found again in one list.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Ui, axe, profile, screenshot } from '../harness/browser.mjs';
import { Person } from '../harness/http.mjs';
import { Server } from '../harness/server.mjs';

let server, ana, ben, eva;
before(async () => {
  server = await Server.start({ args: ['--rate-limits', 'false'] });
  ana = await Person.setUp(server);
  ben = await Person.invited(ana, { name: 'Bén Carter', email: 'ben@example.org' });
  eva = await Person.invited(ana, { name: 'Eva', email: 'eva@example.org' });
});
after(() => server.kill());

async function open(t, person, path, options = {}) {
  const page = await profile(t, options);
  const ui = new Ui(page);
  await page.goto(server.url + path);
  await ui.signIn(person);
  return { page, ui };
}

const dark = (page) => page.emulateMedia({ colorScheme: 'dark' });

test('somebody is mentioned by keyboard, has a badge, and it goes when they have read it', async (t) => {
  const other = await ana.createRoom('Plans');
  await ben.put(`/v1/rooms/${other.id}/members/me`, {});
  const [{ page, ui }, bens] = [await open(t, ana, `/rooms/${other.id}`), await open(t, ben, `/rooms/${ana.room.id}`)];
  await ui.room('Plans').waitFor();
  await bens.ui.room('General').waitFor();
  await ui.composer.pressSequentially('hello @be');
  const offered = page.getByRole('listbox', { name: 'People in this room' });
  await offered.getByRole('option', { name: /Bén Carter/ }).waitFor();
  assert.equal(await ui.composer.getAttribute('aria-activedescendant'), await offered.getByRole('option').first().getAttribute('id'));
  assert.deepEqual(await axe(page), []);
  await screenshot(page, 'mentions-offered');
  await page.keyboard.press('Enter');
  assert.equal(await ui.composer.inputValue(), 'hello @Bén Carter ');
  await ui.composer.pressSequentially('and #Gen');
  await page.getByRole('listbox', { name: 'Rooms by name' }).getByRole('option', { name: 'General' }).waitFor();
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await ui.sees('hello @Bén Carter and #General');
  await bens.ui.roomLink(/Plans ?, 1 mention ?, 1 unread message/).waitFor();
  await bens.ui.roomLink(/Activity ?, 1 mention/).waitFor();
  await bens.page.waitForFunction(() => document.title.startsWith('(@1, 1) '));
  await screenshot(bens.page, 'mentions-badge');
  assert.deepEqual(await axe(bens.page), []);
  await bens.page.reload();
  await bens.ui.roomLink(/Plans ?, 1 mention ?, 1 unread message/).click();
  await bens.ui.sees('hello @Bén Carter and #General');
  assert.equal(await bens.page.locator('.message-for-me .mention-me').textContent(), '@Bén Carter');
  await bens.page.getByRole('article', { name: /hello @Bén Carter and #General, mentions you/ }).waitFor();
  await bens.ui.roomLink(/^Activity$/).waitFor();
  await bens.page.waitForFunction(() => !document.title.startsWith('('));
  await screenshot(bens.page, 'mentions-mine');
  await dark(bens.page);
  await screenshot(bens.page, 'mentions-mine-dark');
  assert.deepEqual(await axe(bens.page), []);
  await bens.page.getByTestId('message-body').getByRole('link', { name: '#General' }).click();
  await bens.ui.room('General').waitFor();
});

test('what is edited keeps its names, and whoever is changed in it is plain text', async (t) => {
  const room = await ana.createRoom('Edits');
  await ben.put(`/v1/rooms/${room.id}/members/me`, {});
  await eva.put(`/v1/rooms/${room.id}/members/me`, {});
  const { page, ui } = await open(t, ana, `/rooms/${room.id}`);
  await ui.composer.pressSequentially('@ev');
  await page.getByRole('option', { name: 'Eva' }).waitFor();
  await page.keyboard.press('Tab');
  await ui.composer.pressSequentially('and @bén carter: tea?');
  await page.keyboard.press('Enter');
  await ui.sees('@Eva and @Bén Carter: tea?');
  const said = (await ana.get(`/v1/rooms/${room.id}/messages`)).json.messages.at(-1);
  assert.equal(said.body, `<@${eva.id}> and <@${ben.id}>: tea?`, 'a name that was written out counts too');

  await page.keyboard.press('ArrowUp');
  const editor = page.getByRole('textbox', { name: 'Edit the message' });
  assert.equal(await editor.inputValue(), '@Eva and @Bén Carter: tea?');
  await editor.press('Home');
  await editor.press('ArrowRight');
  await editor.press('Delete');
  await editor.press('End');
  await editor.pressSequentially(' @ro');
  await page.getByRole('option', { name: /room/ }).waitFor();
  await screenshot(page, 'mentions-editor');
  await page.keyboard.press('Escape');
  await editor.press('Backspace');
  await editor.press('Backspace');
  await editor.press('Backspace');
  await editor.press('Enter');
  await ui.message('@va and @Bén Carter: tea? (edited)').waitFor();
  const edited = (await ana.get(`/v1/rooms/${room.id}/messages/${said.id}`)).json;
  assert.equal(edited.body, `@va and <@${ben.id}>: tea?`);
  await page.getByRole('button', { name: /Show what it said before/ }).click();
  await page.getByRole('dialog').getByText('@Eva and @Bén Carter: tea?').waitFor();
  assert.doesNotMatch(await page.getByRole('dialog').textContent(), new RegExp(eva.id));
  await page.keyboard.press('Escape');

  // A draft keeps its names over a reload.
  await ui.composer.pressSequentially('@ev');
  await page.getByRole('option', { name: 'Eva' }).waitFor();
  await page.keyboard.press('Enter');
  await ui.composer.pressSequentially('later');
  await page.reload();
  await page.waitForFunction(() => document.querySelector('#composer')?.value === '@Eva later');
  await ui.composer.press('Enter');
  await ui.sees('@Eva later');
  assert.equal((await ana.get(`/v1/rooms/${room.id}/messages`)).json.messages.at(-1).body, `<@${eva.id}> later`);
});

test('everybody in a large room is told after a question', async (t) => {
  const room = await ana.createRoom('Large');
  for (let n = 0; n < 26; n += 1) await Person.invited(ana, { name: `Person ${n}`, room: room.id });
  await ben.put(`/v1/rooms/${room.id}/members/me`, {});
  const [{ page, ui }, bens] = [await open(t, ana, `/rooms/${room.id}`), await open(t, ben, `/rooms/${ana.room.id}`)];
  await ui.room('Large').waitFor();
  await bens.ui.roomLink('Large').waitFor();
  await page.waitForFunction(async (id) => (await (await fetch(`/v1/rooms/${id}`)).json()).members === 28, room.id);
  await page.reload();
  await ui.composer.pressSequentially('@room tea?');
  await page.keyboard.press('Enter');
  const dialog = page.getByRole('dialog', { name: 'This tells 27 people. Post it?' });
  await dialog.waitFor();
  assert.deepEqual(await axe(page), []);
  await screenshot(page, 'mentions-everybody');
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  assert.equal(await ui.composer.inputValue(), '@room tea?');
  await ui.composer.press('Enter');
  await dialog.getByRole('button', { name: 'Post' }).click();
  await ui.sees('@room tea?');
  await bens.ui.roomLink(/Large ?, 1 mention/).waitFor();
  const refused = await ana.post(`/v1/rooms/${room.id}/messages`, { client_id: crypto.randomUUID(), body: '<@room>' });
  assert.deepEqual([refused.status, refused.json.code], [428, 'everybody_not_confirmed']);
});

test('activity shows who mentioned, answered and reacted, and leads there', async (t) => {
  const room = await ana.createRoom('Busy');
  await ben.put(`/v1/rooms/${room.id}/members/me`, {});
  const { page, ui } = await open(t, ben, '/activity');
  await page.getByRole('heading', { level: 1, name: 'Activity' }).waitFor();
  const entries = page.getByTestId('activity');
  const had = await entries.count();
  const { json: mine } = await ben.say(room.id, 'who has the key?');
  await ana.put(`/v1/rooms/${room.id}/messages/${mine.id}/reactions/${encodeURIComponent('🔑')}`, {});
  await entries.first().getByText('reacted with 🔑').waitFor();
  await ana.post(`/v1/rooms/${room.id}/messages`, { client_id: crypto.randomUUID(), body: 'I have', reply_to: mine.id });
  await entries.first().getByText('replied to you').waitFor();
  await ana.say(room.id, `<@${ben.id}> at the **door**`);
  await entries.first().getByText('@Bén Carter at the door').waitFor();
  await page.getByText('hello @Bén Carter and #General').waitFor();
  assert.ok((await entries.count()) >= Math.max(3, had));
  assert.deepEqual(await axe(page), []);
  await screenshot(page, 'activity');
  await dark(page);
  assert.deepEqual(await axe(page), []);
  await screenshot(page, 'activity-dark');
  await page.getByRole('button', { name: 'Replies' }).click();
  await page.waitForFunction(() => document.querySelectorAll('[data-testid=activity]').length === 1);
  await entries.first().click();
  await ui.room('Busy').waitFor();
  await page.getByRole('article', { name: /I have/ }).waitFor();
  assert.match(page.url(), new RegExp(`/rooms/${room.id}/`));
  await page.goBack();
  await page.getByRole('heading', { level: 1, name: 'Activity' }).waitFor();
  await page.getByRole('button', { name: 'Reactions' }).click();
  await entries.getByText('reacted with 🔑').waitFor();
});

test('on a phone names are offered, and activity has its place', async (t) => {
  const { page, ui } = await open(t, eva, `/rooms/${ana.room.id}`, { viewport: { width: 360, height: 640 }, hasTouch: true, isMobile: true });
  await ui.composer.tap();
  await ui.composer.pressSequentially('@');
  const offered = page.getByRole('listbox', { name: 'People in this room' });
  await offered.getByRole('option').first().waitFor();
  await screenshot(page, 'mentions-phone');
  await offered.getByRole('option', { name: /Bén/ }).tap();
  assert.equal(await ui.composer.inputValue(), '@Bén Carter ');
  await page.goto(`${server.url}/activity`);
  await page.getByRole('heading', { level: 1, name: 'Activity' }).waitFor();
  await screenshot(page, 'activity-phone');
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true);
  assert.deepEqual(await axe(page), []);
  await page.getByRole('button', { name: /^Rooms/ }).tap();
  await page.getByRole('link', { name: 'Activity' }).waitFor();
  await page.waitForFunction(() => document.querySelector('.sidebar').getBoundingClientRect().left === 0);
  await screenshot(page, 'activity-phone-rooms');
});
