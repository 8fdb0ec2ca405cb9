// The list of rooms as each keeps it: favourites, headings of one's own, what is muted, in which order.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Ui, axe, profile, screenshot } from '../harness/browser.mjs';
import { Person } from '../harness/http.mjs';
import { Server } from '../harness/server.mjs';
import { until } from '../harness/wait.mjs';

let server, ana, ben, rooms;
before(async () => {
  server = await Server.start({ args: ['--rate-limits', 'false'] });
  ana = await Person.setUp(server, { name: 'Ana' });
  ben = await Person.invited(ana, { name: 'Ben', email: 'ben@example.org' });
  rooms = {};
  for (const name of ['Apples', 'Books', 'Club', 'Plans']) {
    rooms[name] = await ana.createRoom(name);
    assert.equal((await ben.put(`/v1/rooms/${rooms[name].id}/members/me`, {})).status, 200);
  }
});
after(() => server.kill());

async function open(t, person, path = '/', options = {}) {
  const page = await profile(t, options);
  const ui = new Ui(page);
  await page.goto(server.url + path);
  await ui.signIn(person);
  await ui.composer.waitFor();
  const sidebar = page.getByRole('navigation', { name: 'Rooms' });
  /** The headings with the names of the rooms under each. */
  const listed = () =>
    sidebar.evaluate((nav) =>
      [...nav.querySelectorAll('h2')].map((heading) => {
        const list = nav.querySelector(`ul[aria-labelledby="${CSS.escape(heading.id)}"]`);
        return [heading.textContent, ...[...list.querySelectorAll('.room-link-name')].map((name) => name.textContent)].join(' ');
      }),
    );
  const lists = (expected) =>
    until(`the list is ${expected.join(', ')}`, async () => {
      assert.deepEqual(await listed(), expected);
      return true;
    });
  return { page, ui, sidebar, lists };
}

test('favourites, headings of one’s own and muted rooms are listed so on all devices of the person, and on nobody else’s', async (t) => {
  const path = `/rooms/${rooms.Plans.id}`;
  const [desk, phone, other] = [await open(t, ana, path), await open(t, ana, path), await open(t, ben, path)];
  const plain = ['Rooms Apples Books Club General Plans', 'Direct messages'];
  await desk.lists(plain);

  await desk.ui.choose('Room menu', 'Add to favourites');
  for (const device of [desk, phone]) await device.lists(['Favourites Plans', 'Rooms Apples Books Club General', 'Direct messages']);
  await desk.sidebar.getByRole('link', { name: 'Books' }).click();
  await desk.ui.room('Books').waitFor();
  await desk.ui.choose('Room menu', 'Choose a heading…');
  const dialog = desk.page.getByRole('dialog', { name: 'Where to list Books' });
  await dialog.getByRole('textbox', { name: 'Heading' }).fill('  To read ');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await dialog.waitFor({ state: 'detached' });
  await desk.sidebar.getByRole('link', { name: 'Club' }).click();
  await desk.ui.room('Club').waitFor();
  await desk.ui.choose('Room menu', 'Choose a heading…');
  await desk.page.getByRole('dialog').getByRole('button', { name: 'To read' }).click();
  await screenshot(desk.page, 'listing-heading');
  assert.deepEqual(await axe(desk.page), []);
  await desk.page.getByRole('dialog').getByRole('button', { name: 'Save' }).click();
  for (const device of [desk, phone]) await device.lists(['Favourites Plans', 'To read Books Club', 'Rooms Apples General', 'Direct messages']);
  await other.lists(plain);

  // What is said in a muted room is not brought up, and is there to be read.
  await phone.sidebar.getByRole('link', { name: 'Books' }).click();
  await phone.ui.room('Books').waitFor();
  await phone.ui.choose('Room menu', 'Mute');
  await desk.sidebar.getByRole('link', { name: /^Books ?, muted$/ }).waitFor();
  await desk.sidebar.getByRole('link', { name: 'General' }).click();
  await phone.sidebar.getByRole('link', { name: 'General' }).click();
  await desk.ui.room('General').waitFor();
  assert.equal((await ben.say(rooms.Books.id, 'nobody need look')).status, 201);
  assert.equal((await ben.say(rooms.Apples.id, 'look')).status, 201);
  await desk.sidebar.getByRole('link', { name: 'Apples , 1 unread message' }).waitFor();
  assert.equal(await desk.sidebar.getByRole('link', { name: /^Books ?, muted$/ }).count(), 1, 'nothing is brought up');
  assert.match(await desk.page.title(), /^\(1\)/);
  await screenshot(desk.page, 'listing');
  assert.deepEqual(await axe(desk.page), []);
  await desk.page.emulateMedia({ colorScheme: 'dark' });
  await screenshot(desk.page, 'listing-dark');
  assert.deepEqual(await axe(desk.page), []);
  await desk.page.keyboard.press('Alt+Shift+ArrowDown');
  await desk.ui.room('Apples').waitFor();

  // Kept over a reload, and taken back.
  await desk.page.reload();
  await desk.lists(['Favourites Plans', 'To read Books Club', 'Rooms Apples General', 'Direct messages']);
  await desk.sidebar.getByRole('link', { name: 'Books' }).click();
  await desk.ui.sees('nobody need look');
  await desk.ui.choose('Room menu', 'Unmute');
  await desk.sidebar.getByRole('link', { name: /^Books$/ }).waitFor();
  await desk.ui.choose('Room menu', 'Choose a heading…');
  await desk.page.getByRole('dialog').getByRole('textbox', { name: 'Heading' }).fill('');
  await desk.page.keyboard.press('Enter');
  await desk.lists(['Favourites Plans', 'To read Club', 'Rooms Apples Books General', 'Direct messages']);
});

test('the list is ordered by name, by what is most recent or by what is unread, as one asks, and that is kept on the device', async (t) => {
  const { page, ui, sidebar, lists } = await open(t, ben, `/rooms/${rooms.Plans.id}`);
  await ben.readAll();
  for (const name of ['Club', 'Apples']) assert.equal((await ana.say(rooms[name].id, `in ${name}`)).status, 201);
  const { json: general } = await ben.get('/v1/rooms');
  const first = general.rooms.find((room) => room.name === 'General').id;
  assert.equal((await ben.say(first, 'the latest')).status, 201);
  // The menu stays, so that one sees what each does.
  await ui.choose('Order of the list', 'Most recent first');
  await lists(['Rooms General Apples Club Books Plans', 'Direct messages']);
  await page.getByRole('menuitemradio', { name: 'Unread first' }).click();
  await lists(['Rooms Apples Club Books General Plans', 'Direct messages']);
  await page.reload();
  await lists(['Rooms Apples Club Books General Plans', 'Direct messages']);
  await sidebar.getByRole('link', { name: /^Apples/ }).click();
  await ui.sees('in Apples');
  await lists(['Rooms Club Apples Books General Plans', 'Direct messages']);
  await ui.choose('Order of the list', 'By name');
  await lists(['Rooms Apples Books Club General Plans', 'Direct messages']);
});

test('a direct message can be muted, also on a phone', async (t) => {
  const { id } = (await ana.post('/v1/direct', { people: [ben.id] })).json;
  assert.equal((await ana.say(id, 'hello Ben')).status, 201);
  const { page, ui, sidebar } = await open(t, ben, `/rooms/${id}`, { viewport: { width: 360, height: 640 } });
  await ui.choose('Room menu', 'Mute');
  await ui.button('Rooms').or(ui.button('Rooms, something is unread')).click();
  await sidebar.getByRole('link', { name: /^Ana.*, muted/ }).waitFor();
  await screenshot(page, 'listing-360');
  assert.deepEqual(await axe(page), []);
});
