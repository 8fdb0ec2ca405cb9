// The list of rooms in the page: asked for once, and page by page.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Ui, profile } from '../harness/browser.mjs';
import { Person } from '../harness/http.mjs';
import { Server } from '../harness/server.mjs';

let server, ana, ben;
before(async () => {
  server = await Server.start({ args: ['--rate-limits', 'false'] });
  ana = await Person.setUp(server);
  ben = await Person.invited(ana, { name: 'Ben', email: 'ben@example.org' });
});
after(() => server.kill());

test('a page that opens asks for the rooms once, and for more when they are wanted', async (t) => {
  for (let n = 100; n < 230; n += 1) await ana.createRoom(`Room ${n}`);
  const page = await profile(t);
  const ui = new Ui(page);
  await page.goto(server.url);
  await ui.signIn(ben);
  await ui.room('General').waitFor();
  const asked = [];
  page.on('request', (request) => new URL(request.url()).pathname === '/v1/rooms' && asked.push(request.url()));
  await page.reload();
  await ui.room('General').waitFor();
  await ui.say('connected');
  await ui.sees('connected', 'sent');
  assert.equal(asked.length, 1, asked.join(' '));

  await page.goto(`${server.url}/rooms/${(await ana.get('/v1/rooms?limit=200')).json.rooms.at(-1).id}`);
  await page.getByRole('heading', { name: /Room 229/ }).waitFor();
  await page.getByRole('button', { name: 'Browse rooms' }).first().click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('Room 199', { exact: true }).waitFor();
  assert.equal(await dialog.getByText('Room 215', { exact: true }).count(), 0);
  const filter = dialog.getByRole('searchbox');
  await filter.fill('Room 215');
  await dialog.getByText('No room with that name so far. There are more rooms.').waitFor();
  await dialog.getByRole('button', { name: 'Show more rooms' }).click();
  await dialog.getByText('Room 215', { exact: true }).waitFor();
  await filter.fill('no such room');
  await dialog.getByText('No room with that name.', { exact: true }).waitFor();
  await filter.fill('');
  assert.equal(await dialog.getByRole('button', { name: 'Show more rooms' }).count(), 0);
});

test('people whose names are the same are told apart beside what they say', async (t) => {
  const [one, other] = [await Person.invited(ana, { name: 'Anna' }), await Person.invited(ana, { name: 'Аnnа' })];
  await one.say(ana.room.id, 'I am Anna');
  await other.say(ana.room.id, 'So am I');
  const page = await profile(t);
  const ui = new Ui(page);
  await page.goto(server.url);
  await ui.signIn(ben);
  for (const person of [one, other]) await page.getByText(`#${person.id.slice(-4)}`).first().waitFor();
});
