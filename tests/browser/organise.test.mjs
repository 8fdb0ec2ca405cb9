// Rooms for some, direct messages, and who looks after what: seen from two or three people's sides.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Ui, axe, profile, screenshot } from '../harness/browser.mjs';
import { Person } from '../harness/http.mjs';
import { Server } from '../harness/server.mjs';
import { until } from '../harness/wait.mjs';

/** What everybody in a room may do with it for themselves. */
const MINE = ['Go to a date…', 'Add to favourites', 'Mute', 'Choose a heading…'];

let server, ana, ben, cho, dora;
before(async () => {
  server = await Server.start({ args: ['--rate-limits', 'false'] });
  ana = await Person.setUp(server, { name: 'Ana' });
  ben = await Person.invited(ana, { name: 'Ben', email: 'ben@example.org' });
  cho = await Person.invited(ana, { name: 'Cho', email: 'cho@example.org' });
  dora = await Person.invited(ana, { name: 'Dora', email: 'dora@example.org' });
});
after(() => server.kill());

async function open(t, person, options = {}) {
  const page = await profile(t, options);
  const ui = new Ui(page);
  await page.goto(server.url);
  await ui.signIn(person);
  await ui.composer.waitFor();
  const dialog = (name) => page.getByRole('dialog', { name });
  const sidebar = page.getByRole('navigation', { name: 'Rooms' });
  return { page, ui, dialog, sidebar };
}

/** Types a name into the picker of a dialog, and chooses who is found. */
async function pick(dialog, name) {
  await dialog.getByRole('combobox', { name: 'Find people by name' }).fill(name);
  await dialog.getByRole('option', { name: new RegExp(`^${name}`) }).waitFor();
  await dialog.getByRole('combobox').press('Enter');
  await dialog.getByRole('list', { name: 'Chosen' }).getByText(name, { exact: true }).waitFor();
}

test('a private room is for its members alone, who bring others in, and each sees so at once (S37)', async (t) => {
  const [b, c, a] = [await open(t, ben), await open(t, cho), await open(t, ana)];
  await b.ui.choose('Create or join a room', 'Create a room');
  const create = b.dialog('Create a room');
  await create.getByLabel('Name', { exact: true }).fill('Plans');
  await create.getByRole('radio', { name: 'Members only' }).check();
  await screenshot(b.page, 'organise-create');
  assert.deepEqual(await axe(b.page), []);
  await create.getByRole('button', { name: 'Create room' }).click();
  await b.ui.room(/^Plans ?, private$/).waitFor();
  await b.ui.say('between us');

  await b.ui.choose('Room menu', 'Add people');
  const add = b.dialog('Add people to Plans');
  await pick(add, 'Cho');
  await screenshot(b.page, 'organise-add');
  assert.deepEqual(await axe(b.page), []);
  await add.getByRole('button', { name: 'Add', exact: true }).click();
  await b.page.getByText('Cho can read and write in Plans now').waitFor();
  await b.page.getByText('Ben added Cho').waitFor();

  // Cho has it without a reload, and hears what is said there.
  await c.sidebar.getByRole('link', { name: /Plans ?, private/ }).click();
  await c.ui.sees('between us');
  await b.ui.say('hello Cho');
  await c.ui.sees('hello Cho');
  await screenshot(c.page, 'organise-private');

  // Ana owns the server, and learns nothing.
  assert.equal(await a.sidebar.getByText('Plans').count(), 0);
  await a.ui.choose('Create or join a room', 'Browse rooms');
  await a.dialog('Browse rooms').getByText('General').first().waitFor();
  assert.equal(await a.dialog('Browse rooms').getByText('Plans').count(), 0);
  await a.page.keyboard.press('Escape');
  await a.page.goto(b.page.url());
  await a.page.getByText('That room is not here').waitFor();

  // Opened, it is asked for once more; then everybody reads it.
  await b.ui.choose('Room menu', 'Edit room');
  const edit = b.dialog('Edit Plans');
  await edit.getByRole('radio', { name: 'Everybody' }).check();
  await edit.getByLabel('Name', { exact: true }).fill('Ideas');
  await edit.getByLabel('Description').fill('What we could do\nand what not');
  await screenshot(b.page, 'organise-edit');
  await edit.getByRole('button', { name: 'Save' }).click();
  const sure = b.dialog('Make Plans public?');
  await sure.getByText('read everything that was ever said in it').waitFor();
  await screenshot(b.page, 'organise-open');
  await sure.getByRole('button', { name: 'Make public' }).click();
  await c.ui.room('Ideas').waitFor();
  await c.page.getByText('Ben made this room public').waitFor();
  await c.page.getByText('Ben renamed this room').waitFor();
  await c.sidebar.getByRole('link', { name: 'Ideas' }).waitFor();
  await a.ui.choose('Create or join a room', 'Browse rooms');
  await a.dialog('Browse rooms').getByRole('button', { name: 'Join Ideas' }).click();
  await a.ui.sees('between us');
});

test('a direct message is there for the other with its first message, and the same from both sides (S39)', async (t) => {
  const [a, b] = [await open(t, ana), await open(t, ben)];
  await a.ui.button('Write to somebody').click();
  const dialog = a.dialog('New direct message');
  await dialog.getByRole('option').first().waitFor();
  await screenshot(a.page, 'organise-direct');
  await pick(dialog, 'Ben');
  assert.deepEqual(await axe(a.page), []);
  await dialog.getByRole('button', { name: 'Start' }).click();
  await a.ui.room('Ben').waitFor();
  await a.page.getByText('This is where your messages with Ben begin.').waitFor();
  // The other is not told of one in which nothing was said.
  await b.ui.say('a moment');
  assert.equal(await b.sidebar.getByRole('link', { name: /^Ana/ }).count(), 0);
  await a.ui.composer.pressSequentially('psst');
  await a.ui.say('psst, Ben');
  await b.sidebar.getByRole('link', { name: /^Ana ?, online/ }).click();
  await b.ui.sees('psst, Ben');
  await b.ui.composer.pressSequentially('yes');
  await a.ui.typing.getByText('Ben is typing…').waitFor();
  await b.ui.say('yes?');
  await a.ui.sees('yes?');
  await screenshot(a.page, 'organise-dm');
  assert.deepEqual(await axe(a.page), []);

  // Ben comes to the same one by Ana's name in the room.
  await b.sidebar.getByRole('link', { name: 'General' }).click();
  await b.page.getByRole('button', { name: /^People/ }).click();
  await b.ui.choose('What to do with Ana', 'Message');
  await b.ui.sees('psst, Ben');
  assert.equal(b.page.url(), a.page.url());
  await b.page.getByRole('button', { name: 'Room menu' }).click();
  assert.deepEqual(await b.page.getByRole('menuitem').allInnerTexts(), ['People', ...MINE], 'nobody leaves, invites or renames');
  await b.page.keyboard.press('Escape');

  // A group, and notes to oneself.
  await a.ui.button('Write to somebody').click();
  for (const name of ['Cho', 'Ben']) await pick(a.dialog('New direct message'), name);
  await a.dialog('New direct message').getByRole('button', { name: 'Start' }).click();
  await a.ui.room('Ben, Cho').waitFor();
  await a.ui.say('for both');
  await b.sidebar.getByRole('link', { name: /^Ana, Cho/ }).waitFor();
  await a.ui.button('Write to somebody').click();
  await pick(a.dialog('New direct message'), 'Ana');
  await a.dialog('New direct message').getByRole('button', { name: 'Start' }).click();
  await a.ui.room('Ana (you)').waitFor();
  await a.ui.say('remember the milk');
  await a.page.reload();
  await a.sidebar.getByRole('link', { name: /Ana \(you\)/ }).waitFor();
  const third = await open(t, dora);
  assert.equal(await third.sidebar.getByRole('list', { name: 'Direct messages' }).getByRole('link').count(), 0);
});

test('an archived room is read and not written in, until its owner restores it', async (t) => {
  const room = await ben.createRoom('Old things');
  await cho.put(`/v1/rooms/${room.id}/members/me`);
  await ben.say(room.id, 'said long ago');
  const [b, c] = [await open(t, ben), await open(t, cho)];
  for (const one of [b, c]) await one.sidebar.getByRole('link', { name: 'Old things' }).click();
  await b.ui.choose('Room menu', 'Archive room');
  await b.dialog('Archive Old things?').getByRole('button', { name: 'Archive', exact: true }).click();
  await c.page.getByText('This room is archived. It can be read').waitFor();
  await c.page.getByText('Ben archived this room').waitFor();
  assert.equal(await c.ui.composer.count(), 0);
  await screenshot(c.page, 'organise-archived');
  assert.deepEqual(await axe(c.page), []);
  // As long as something in it is unread it stays.
  assert.equal((await cho.post('/v1/rooms/read-all', {})).status, 200);
  await c.sidebar.getByRole('link', { name: 'General' }).click();
  await until('it is out of the way', async () => (await c.sidebar.getByText('Old things').count()) === 0);
  await c.ui.choose('Create or join a room', 'Browse rooms');
  await c.dialog('Browse rooms').getByRole('list', { name: 'Archived' }).getByRole('button', { name: 'Open Old things' }).click();
  await c.ui.sees('said long ago');
  await b.ui.button('Restore room').click();
  await c.ui.composer.waitFor();
  await c.ui.say('and now again');
});

test('whoever owns a room hands it over, and who was given it can do what its owner can', async (t) => {
  const room = await ben.createRoom('Handed over');
  await cho.put(`/v1/rooms/${room.id}/members/me`);
  const [b, c] = [await open(t, ben), await open(t, cho)];
  for (const one of [b, c]) await one.sidebar.getByRole('link', { name: 'Handed over' }).click();
  await c.page.getByRole('button', { name: 'Room menu' }).click();
  assert.equal(await c.page.getByRole('menuitem', { name: 'Edit room' }).count(), 0);
  await c.page.keyboard.press('Escape');
  await b.page.getByRole('button', { name: /^People/ }).click();
  await b.ui.choose('What to do with Cho', 'Make owner of this room');
  await c.page.getByText('Ben made Cho an owner of this room').waitFor();
  await b.page.getByTestId('people-here').getByText('owns this room').nth(1).waitFor();
  await screenshot(b.page, 'organise-people');
  await c.ui.choose('Room menu', 'Edit room');
  await c.dialog('Edit Handed over').getByRole('button', { name: 'Cancel' }).click();
  await c.page.getByRole('button', { name: /^People/ }).click();
  await c.ui.choose('What to do with Ben', 'No longer owner of this room');
  await b.page.getByText('Cho made Ben a member like others').waitFor();
  await b.page.getByRole('button', { name: 'Room menu' }).click();
  assert.equal(await b.page.getByRole('menuitem', { name: 'Edit room' }).count(), 0);
});

test('a guest sees the rooms they were brought into, from the moment in which they become one (S21, S44)', async (t) => {
  await ana.createRoom('Not for guests');
  const [a, d] = [await open(t, ana), await open(t, dora)];
  await d.ui.button('Create or join a room').waitFor();
  await a.page.getByRole('button', { name: /^People/ }).click();
  await a.ui.choose('What to do with Dora', 'Make guest');
  await a.page.getByText('guest', { exact: true }).waitFor();
  await until('she makes no rooms', async () => (await d.ui.button('Create or join a room').count()) === 0);
  await d.ui.say('still here');
  await d.ui.sees('still here');
  const refused = await dora.post('/v1/rooms', { name: 'Mine' });
  assert.equal(refused.status, 403);
  assert.equal((await dora.get('/v1/rooms')).json.rooms.every((room) => room.member), true);
  await d.page.getByRole('button', { name: 'Room menu' }).click();
  assert.deepEqual(await d.page.getByRole('menuitem').allInnerTexts(), ['People', ...MINE, 'Leave room']);
  await a.ui.choose('What to do with Dora', 'Make member');
  await d.ui.button('Create or join a room').waitFor();
});

test('all of it fits a phone, in both themes', async (t) => {
  const room = await ben.createRoom('A room with a rather long name that has to fit');
  await ben.patch(`/v1/rooms/${room.id}`, { private: true });
  await ben.post(`/v1/rooms/${room.id}/members`, { person: ana.id });
  for (const colorScheme of ['light', 'dark']) {
    const { page, ui } = await open(t, ana, { viewport: { width: 360, height: 740 }, colorScheme, hasTouch: true, isMobile: true });
    await page.getByRole('button', { name: /^Rooms/ }).first().click();
    await page.getByRole('heading', { name: 'Direct messages' }).waitFor();
    await screenshot(page, `organise-phone-rooms-${colorScheme}`);
    assert.deepEqual(await axe(page), []);
    await ui.button('Write to somebody').click();
    await page.getByRole('option').first().waitFor();
    await screenshot(page, `organise-phone-direct-${colorScheme}`);
    assert.deepEqual(await axe(page), []);
    await page.keyboard.press('Escape');
    await page.getByRole('link', { name: /rather long name/ }).click();
    await page.getByRole('heading', { level: 1, name: /rather long/ }).waitFor();
    await page.getByRole('button', { name: /^People/ }).click();
    await page.getByTestId('people-away').or(page.getByTestId('people-here')).first().waitFor();
    await screenshot(page, `organise-phone-people-${colorScheme}`);
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.equal(width, 360, 'nothing is wider than the screen');
  }
});
