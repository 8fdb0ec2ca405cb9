// The list of rooms in the page: asked for once, and page by page.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Ui, profile, screenshot } from '../harness/browser.mjs';
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

test('rooms whose names look alike are told apart wherever they are named, and people in the quiet lines too', async (t) => {
  const [one, other] = [await ana.createRoom('Kitchen'), await ana.createRoom('\u041aitchen')]; // Cyrillic
  const [oneMark, otherMark] = [one, other].map(({ id }) => `#${id.slice(-4)}`);
  for (const room of [one, other]) await ben.put(`/v1/rooms/${room.id}/members/me`, {});
  const page = await profile(t);
  const ui = new Ui(page);
  await page.goto(`${server.url}/rooms/${other.id}`);
  await ui.signIn(ben);
  await ui.room('\u041aitchen').waitFor();
  await page.locator('.room-header').getByText(otherMark).waitFor();
  for (const mark of [oneMark, otherMark]) await ui.roomLink(mark).waitFor();
  assert.doesNotMatch(await ui.roomLink('General').textContent(), /#/);

  const emma = await Person.invited(ana, { name: 'Emma', room: other.id });
  const alike = await Person.invited(ana, { name: '\u0415mma', room: other.id }); // Cyrillic
  await ui.log.getByText(`\u0415mma #${alike.id.slice(-4)} joined`).waitFor();
  await page.reload();
  await ui.log.getByText(`Emma #${emma.id.slice(-4)}, and \u0415mma #${alike.id.slice(-4)} joined`).waitFor();
  await screenshot(page, 'rooms-alike');

  await page.keyboard.press('Control+K');
  const dialog = page.getByRole('dialog');
  for (const mark of [oneMark, otherMark]) await dialog.getByRole('option', { name: mark }).waitFor();
  await screenshot(page, 'rooms-alike-switcher');
  await page.keyboard.press('Escape');
  await ui.choose('Create or join a room', 'Browse rooms');
  for (const mark of [oneMark, otherMark]) await dialog.getByText(`${mark}, another room has a similar name`).waitFor();
  await screenshot(page, 'rooms-alike-browse');
});

test('who invites is told apart from somebody of the same name', async (t) => {
  const olga = await Person.invited(ana, { name: 'Olga' });
  await Person.invited(ana, { name: '\u041elga' }); // Cyrillic
  const room = await olga.createRoom('Orchard');
  const { json: invite } = await olga.get(`/v1/rooms/${room.id}/invite`);
  const page = await profile(t);
  await page.goto(`${server.url}/invite#${invite.code}`);
  await page.getByRole('heading', { name: `Olga #${olga.id.slice(-4)} invited you` }).waitFor();
});

test('a member who opens the invite of a room whose link was revoked is told who can make another', async (t) => {
  const room = await ana.createRoom('Workshop');
  await ben.put(`/v1/rooms/${room.id}/members/me`, {});
  assert.equal((await ana.delete(`/v1/rooms/${room.id}/invite`)).status, 204);
  const page = await profile(t);
  const ui = new Ui(page);
  await page.goto(`${server.url}/rooms/${room.id}`);
  await ui.signIn(ben);
  await ui.choose('Room menu', 'Invite people');
  await ui.inviteCard.getByText('The invite link of this room was revoked. An owner of the room or an administrator can make a new one.').waitFor();
  assert.equal(await ui.inviteCard.getByRole('button', { name: 'Try again' }).count(), 0);
  await screenshot(page, 'invite-revoked');

  assert.equal((await ana.post(`/v1/rooms/${room.id}/invite`, {})).status, 201);
  await ui.choose('Room menu', 'Invite people');
  await ui.inviteCard.getByRole('textbox', { name: 'Invite link' }).waitFor();
  assert.equal(await ui.inviteCard.getByText('was revoked').count(), 0);
});
