// Two people, two profiles: from the set-up link through a conversation to a kill in its middle.
// The tests of this file are one story and run in order (3.1).

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Ui, clean, profile, screenshot } from '../harness/browser.mjs';
import { Person, request } from '../harness/http.mjs';
import { Proxy } from '../harness/proxy.mjs';
import { Server } from '../harness/server.mjs';
import { until } from '../harness/wait.mjs';

const ANA = { name: 'Ana', email: 'ana@example.org', password: 'correct horse battery' };
const BEN = { name: 'Ben', email: 'ben@example.org', password: 'staple of the stable' };

let server, proxy, anasPage, bensPage, ana, ben, inviteLink;
// Closed in the reverse order, when the story has ended.
const cleanups = [];
const story = { after: (task) => cleanups.unshift(task) };

before(async () => {
  server = await Server.start();
  story.after(() => server.kill());
  proxy = await Proxy.to(server.port);
  story.after(() => proxy.close());
  anasPage = await profile(story, { watch: false, permissions: ['clipboard-read', 'clipboard-write'] });
  bensPage = await profile(story, { watch: false });
  [ana, ben] = [new Ui(anasPage), new Ui(bensPage)];
});
after(async () => {
  for (const task of cleanups) await task();
});

test('the set-up link opens one form, and submitting it lands in General with an invite to give away', async () => {
  await anasPage.goto(`${server.url}/setup#${await server.setupCode()}`);
  await ana.makeAccount({ ...ANA, password: 'short' });
  await anasPage.getByText(/Use at least 10/).waitFor();
  await screenshot(anasPage, 'set-up');
  await ana.makeAccount(ANA);
  await ana.room('General').waitFor();
  await until('the composer is focused', () => ana.composer.evaluate((element) => element === document.activeElement));
  await ana.inviteCard.waitFor();
  inviteLink = await anasPage.getByLabel('Invite link').inputValue();
  assert.ok(inviteLink.startsWith(`${server.url}/invite#`), inviteLink);
  await anasPage.getByRole('img', { name: 'QR code of the invite link' }).waitFor();
  await anasPage.getByText(/Only this computer/).waitFor();
  await ana.button('Copy').click();
  await ana.button('Copied').waitFor();
  assert.equal(await anasPage.evaluate(() => navigator.clipboard.readText()), inviteLink);
  await screenshot(anasPage, 'welcome');
});

test('the invite link shows the same form to the next person, who lands in the same room', async () => {
  await bensPage.goto(inviteLink.replace(server.url, proxy.url));
  await bensPage.getByRole('heading', { name: 'Ana invited you' }).waitFor();
  await screenshot(bensPage, 'invite');
  await ben.makeAccount(BEN);
  await ben.room('General').waitFor();
  await anasPage.getByText('Ben joined').waitFor();
  assert.ok(new URL(bensPage.url()).hash === '', 'the invite code is not left in the address bar');
  await ana.inviteCard.getByRole('button', { name: 'Dismiss' }).click();
});

test('an invite that does not exist says so and what to do', async () => {
  const page = await bensPage.context().newPage();
  await page.goto(`${proxy.url}/invite#no-such-invite`);
  await page.getByText('That invite link does not work any more.').waitFor();
  await page.close();
});

test('a message is pending at once, then sent with the server\'s word, and live at everyone else with name and time', async () => {
  await ana.say('hello Ben');
  await ana.sees('hello Ben');
  await ben.sees('hello Ben');
  const row = ben.message('hello Ben');
  assert.match(await row.getAttribute('aria-label'), /^Ana, \d\d?:\d\d.*: hello Ben$/);
  assert.equal(await row.locator('.avatar').innerText(), 'A');

  proxy.pause();
  await ben.say('hello Ana');
  await ben.sees('hello Ana', 'pending');
  assert.equal(await ana.message('hello Ana').count(), 0);
  proxy.resume();
  await ben.sees('hello Ana', 'sent');
  await ana.sees('hello Ana');
  assert.equal(await ben.message('hello Ana').count(), 1);
  const numbers = await Promise.all([ana, ben].map((one) => one.message('hello Ana').getAttribute('data-number')));
  assert.ok(Number(numbers[0]) > 0);
  assert.equal(numbers[0], numbers[1]);
});

test('who is typing is seen, and gone with the message (4.25)', async () => {
  await ben.composer.pressSequentially('I am writ');
  await ana.typing.getByText('Ben is typing…').waitFor();
  await ben.say('I have written');
  await ana.sees('I have written');
  await until('nobody types', async () => (await ana.typing.innerText()) === '');
});

test('who is here now is right when somebody goes and comes back', async () => {
  await until('two are here', async () => (await ana.here.innerText()) === '2');
  await anasPage.getByRole('button', { name: /People/ }).first().click();
  const here = anasPage.getByTestId('people-here');
  await here.getByText('Ben').waitFor();
  await screenshot(anasPage, 'people');
  const address = bensPage.url();
  await bensPage.goto('about:blank');
  await until('one is here', async () => (await ana.here.innerText()) === '1');
  await anasPage.getByTestId('people-away').getByText('Ben').waitFor();
  await bensPage.goto(address);
  await until('two are here again', async () => (await ana.here.innerText()) === '2');
  await ana.button('Close people').click();
});

test('rooms are created, found, joined and left', async () => {
  await ana.choose('Create or join a room', 'Create a room');
  const dialog = anasPage.getByRole('dialog', { name: 'Create a room' });
  await dialog.getByLabel('Name').fill('Garden');
  await dialog.getByLabel('Topic').fill('Peas and beans');
  await dialog.getByRole('button', { name: 'Create room' }).click();
  await ana.room('Garden').waitFor();
  await ana.say('first in the garden');

  await ben.choose('Create or join a room', 'Browse rooms');
  await bensPage.getByRole('button', { name: 'Join Garden' }).click();
  await ben.room('Garden').waitFor();
  await ben.sees('first in the garden');
  await anasPage.getByText('Ben joined').waitFor();
  await ben.say('second in the garden');
  await ana.sees('second in the garden');

  await ben.choose('Room menu', 'Leave room');
  await bensPage.getByRole('dialog').getByRole('button', { name: 'Leave' }).click();
  await ben.room('General').waitFor();
  await anasPage.getByText('Ben left').waitFor();
  assert.equal(await ben.roomLink('Garden').count(), 0);
  await ana.roomLink('General').click();
  await ana.room('General').waitFor();
});

test('unread messages of another room are counted, until they were seen', async () => {
  const rest = new Person(server);
  await rest.signIn(ANA);
  const garden = (await rest.get('/v1/rooms')).json.rooms.find((room) => room.name === 'Garden');
  const benByRest = new Person(server);
  await benByRest.signIn(BEN);
  await benByRest.put(`/v1/rooms/${garden.id}/members/me`, {});
  await rest.readAll();
  for (const text of ['knock', 'knock, knock']) assert.equal((await benByRest.say(garden.id, text)).status, 201);
  await anasPage.getByRole('link', { name: /Garden.*2 unread messages/ }).waitFor();
  await ana.roomLink('Garden').click();
  await ana.sees('knock, knock');
  await until('nothing is unread', async () => (await anasPage.getByRole('link', { name: /unread/ }).count()) === 0);
  await ana.roomLink('General').click();
  await ana.room('General').waitFor();
  assert.equal(await anasPage.getByRole('link', { name: /unread/ }).count(), 0);
});

test('messages of one author are grouped under one header, under the day on which they were said', async () => {
  for (const text of ['one', 'two', 'three']) await ana.say(text);
  await ben.sees('three');
  assert.deepEqual(
    await Promise.all(['one', 'two', 'three'].map((text) => ben.message(text).locator('.message-author').count())),
    [1, 0, 0],
  );
  await bensPage.getByRole('button', { name: 'Today: go to another date' }).waitFor();
  assert.equal(await bensPage.getByRole('button', { name: 'Today: go to another date' }).count(), 1);
});

test('links are clickable and nothing else becomes one', async () => {
  await ana.say('see https://example.org/a?b=1&c=(2). or http://[::1]/x');
  const body = ben.message('see https://example.org/a?b=1&c=(2). or http://[::1]/x');
  await body.waitFor();
  const link = body.getByRole('link').first();
  assert.equal(await link.getAttribute('href'), 'https://example.org/a?b=1&c=(2)');
  assert.equal(await link.getAttribute('rel'), 'noopener noreferrer nofollow');
  assert.equal(await link.getAttribute('target'), '_blank');
});

test('Shift+Enter is a new line, Enter sends, and an empty message goes nowhere', async () => {
  await ben.composer.fill('');
  await ben.composer.press('Enter');
  await ben.composer.pressSequentially('line 1');
  await ben.composer.press('Shift+Enter');
  await ben.composer.pressSequentially('line 2');
  await ben.composer.press('Enter');
  await until('both lines arrive as one message', async () => (await ana.texts()).includes('line 1\nline 2'));
  assert.equal(await ben.composer.inputValue(), '');
});

test('a message that is too long is not sent, and the page says by how much', async () => {
  await ben.composer.fill('é'.repeat(8_193));
  await bensPage.getByText('1 character too long for one message.').waitFor();
  assert.equal(await ben.button('Send').isDisabled(), true);
  await ben.composer.fill('');
});

test('two tabs of one person show the same, whichever of them sent it', async () => {
  const page = await bensPage.context().newPage();
  const second = new Ui(page);
  await page.goto(bensPage.url());
  await second.room('General').waitFor();
  await second.say('from the second tab');
  for (const one of [ana, ben, second]) await one.sees('from the second tab');
  await ben.say('from the first tab');
  await second.sees('from the first tab');
  assert.deepEqual(await second.texts(), await ben.texts());
  assert.equal(await ana.here.innerText(), '2', 'a person with two tabs is here once');
  await page.close();
});

test('whoever is removed from a room is out of it at once, and may come back where the room is open (G5)', async () => {
  await anasPage.getByRole('button', { name: /People/ }).first().click();
  await ana.choose('What to do with Ben', 'Remove from the room');
  await anasPage.getByRole('dialog').getByRole('button', { name: 'Remove', exact: true }).click();
  await bensPage.getByText('You are not in General').waitFor();
  assert.equal(await ben.messages.count(), 0);
  await until('one is here', async () => (await ana.here.innerText()) === '1');
  await ana.say('Ben does not see this yet');
  await screenshot(bensPage, 'removed');
  await ben.button('Join').click();
  await ben.sees('Ben does not see this yet');
  await ana.button('Close people').click();
});

test('another device is seen in the list and can be signed out from here (S23)', async () => {
  const phone = new Person(server);
  await phone.signIn(BEN);
  await ben.choose('Ben your menu', 'Signed-in devices');
  const dialog = bensPage.getByRole('dialog', { name: 'Settings' });
  await dialog.getByText('This device').waitFor();
  const others = dialog.getByRole('button', { name: /^Sign out (?!everywhere)/ });
  for (let left = await others.count(); left > 0; left -= 1) {
    await others.first().click();
    await until('the list is shorter', async () => (await others.count()) < left);
  }
  await until('it is signed out', async () => (await phone.get('/v1/me')).status === 401);
  await dialog.getByRole('button', { name: 'Close' }).click();
  await ben.say('still signed in here');
  await ana.sees('still signed in here');
});

test('signing out ends the session; a wrong password does not say which part was wrong', async () => {
  await ben.choose('Ben your menu', 'Sign out');
  await bensPage.getByText('You are signed out.').waitFor();
  await until('one is here', async () => (await ana.here.innerText()) === '1');
  const refusal = bensPage.getByText('E-mail or password is wrong. Check both and try again.');
  await ben.signIn({ email: BEN.email, password: 'not my password' });
  await refusal.waitFor();
  await ben.signIn({ email: 'nobody@example.org', password: BEN.password });
  await refusal.waitFor();
  await ben.signIn(BEN);
  await ben.room('General').waitFor();
  await ben.sees('three');
});

test('whoever forgot the password gets a new one from the command line, and is signed out everywhere', async () => {
  BEN.password = 'brand new pass phrase';
  const changed = await server.cliWithInput(`${BEN.password}\n${BEN.password}\n`, 'user', 'password', BEN.email);
  assert.equal(changed.code, 0, changed.stderr);
  await bensPage.reload();
  await bensPage.getByLabel('Password', { exact: true }).waitFor();
  await ben.signIn(BEN);
  await ben.room('General').waitFor();
});

test('what was missed while the link was cut appears once and in order', async () => {
  const rest = new Person(server);
  await rest.signIn(ANA);
  const general = (await rest.get('/v1/rooms')).json.rooms.find((room) => room.name === 'General');
  await ben.sees('three');
  proxy.cut();
  const missed = Array.from({ length: 12 }, (_, n) => `missed ${n}`);
  for (const text of missed) assert.equal((await rest.say(general.id, text)).status, 201);
  proxy.restore();
  await ben.sees('missed 11');
  assert.deepEqual((await ben.texts()).filter((text) => text.startsWith('missed')), missed);
});

test('killed and started again in mid-conversation, the server has lost nothing and doubled nothing; the composer is usable meanwhile', { timeout: 90_000 }, async () => {
  await ana.say('before the kill');
  await ben.sees('before the kill');
  await server.kill();
  const said = [];
  for (const [who, texts] of [[ana, ['Ana writes on', 'and on']], [ben, ['Ben too']]]) {
    for (const text of texts) {
      await who.say(text);
      await who.sees(text, 'pending');
      said.push(text);
    }
  }
  await screenshot(anasPage, 'while-the-server-is-away');
  await server.start();
  for (const text of said) {
    await ana.sees(text);
    await ben.sees(text);
  }
  await ana.say('after the kill');
  await ben.sees('after the kill');

  const rest = new Person(server);
  await rest.signIn(ANA);
  const general = (await rest.get('/v1/rooms')).json.rooms.find((room) => room.name === 'General');
  const stored = (await rest.events(general.id)).filter((event) => event.type === 'message.posted').map((event) => event.message.body);
  assert.deepEqual(await ana.texts(), stored);
  await until('Ben sees the same', async () => JSON.stringify(await ben.texts()) === JSON.stringify(stored));
  for (const text of said) assert.equal(stored.filter((other) => other === text).length, 1, text);
});

test('an unsent message survives a reload of the page while the server is away', { timeout: 90_000 }, async () => {
  const page = await anasPage.context().newPage();
  const second = new Ui(page);
  await page.goto(server.url);
  await second.room('General').waitFor();
  await second.sees('after the kill');
  await server.kill();
  await second.say('kept in the browser');
  await second.sees('kept in the browser', 'pending');
  await page.close();
  await server.start();
  await ana.sees('kept in the browser');
  await ben.sees('kept in the browser');
  assert.equal(await ben.message('kept in the browser').count(), 1);
});

test('all the while no policy was violated, no other host was asked, and nothing threw (S46)', async () => {
  clean(anasPage.seen);
  clean(bensPage.seen);
  assert.equal((await request(`${server.url}/`)).status, 200);
});
