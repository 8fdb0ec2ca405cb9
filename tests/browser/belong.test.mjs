// Who one is to others, and one's own account: two people and two devices at once.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Ui, axe, profile, screenshot } from '../harness/browser.mjs';
import { Person } from '../harness/http.mjs';
import { Server } from '../harness/server.mjs';
import { until } from '../harness/wait.mjs';

let server, ana, ben;
before(async () => {
  server = await Server.start({ args: ['--rate-limits', 'false'] });
  ana = await Person.setUp(server);
  ben = await Person.invited(ana, { name: 'Ben', email: 'ben@example.org' });
});
after(() => server.kill());

async function open(t, person, path = '', options = {}) {
  const page = await profile(t, options);
  const ui = new Ui(page);
  await page.goto(server.url);
  await ui.signIn(person);
  await ui.room('General').waitFor();
  if (path) await page.goto(`${server.url}${path}`);
  return { page, ui, dialog: page.getByRole('dialog', { name: 'Settings' }) };
}

/** The form of this heading. */
const form = ({ dialog }, name) => dialog.getByRole('form', { name });

test('a new name is seen at once by others, also at what was said before, and on one’s other devices', async (t) => {
  await ben.say(ana.room.id, 'before the change');
  const [mine, other, phone] = [await open(t, ana), await open(t, ben), await open(t, ben)];
  await mine.ui.sees('before the change');
  await mine.page.getByRole('button', { name: /People/ }).first().click();
  await other.ui.choose('Ben your menu', 'Settings');
  assert.equal(new URL(other.page.url()).pathname, '/settings/profile');
  const about = form(other, 'About you');
  await about.getByLabel('Name').fill('Benno');
  await about.getByLabel('Title').fill('Cook');
  await about.getByLabel('Time zone').selectOption('Asia/Dubai');
  await about.getByRole('button', { name: 'Save' }).click();
  await about.getByText('Saved').waitFor();
  await screenshot(other.page, 'settings-profile');
  for (const { page, ui } of [mine, phone]) {
    await ui.message('before the change').getByText('Benno', { exact: true }).waitFor();
    assert.match(await ui.message('before the change').getAttribute('aria-label'), /^Benno, /);
    await page.getByText('Benno').first().waitFor();
  }
  await phone.ui.button('Benno your menu').waitFor();
  await mine.page.getByTestId('people-here').getByText('Benno').waitFor();
  await other.page.keyboard.press('Escape');
  await other.ui.room('General').waitFor();
  assert.equal(new URL(other.page.url()).pathname, `/rooms/${ana.room.id}`);
  await other.ui.say('after it');
  await mine.ui.sees('after it');

  // Their card, from what they said.
  await mine.ui.message('before the change').getByText('Benno', { exact: true }).click();
  const card = mine.page.getByRole('dialog', { name: 'Profile' });
  await card.getByText('Cook').waitFor();
  await card.getByText(/^\d\d:\d\d, 4 h ahead of you$/).waitFor();
  await card.getByText('Online').waitFor();
  assert.deepEqual(await axe(mine.page, 'dialog'), []);
  await screenshot(mine.page, 'person-card');
  await card.getByRole('button', { name: 'Message' }).click();
  await mine.ui.room('Benno').waitFor();
  await mine.ui.say('hello');
  await mine.page.getByRole('heading', { level: 1 }).getByRole('button', { name: 'Benno' }).click();
  await card.getByText('Cook').waitFor();
  await mine.page.keyboard.press('Escape');
  await ben.patch('/v1/me/profile', { name: 'Ben' });
  await mine.ui.room('Ben').waitFor();
});

test('a status is set and seen, and is gone when it is over', async (t) => {
  await ana.say((await ana.post('/v1/direct', { people: [ben.id] })).json.id, 'a word');
  const [mine, other] = [await open(t, ana), await open(t, ben, '/settings/profile')];
  const status = form(other, 'Status');
  await status.getByRole('button', { name: 'Choose an emoji' }).click();
  await other.page.getByRole('searchbox', { name: 'Search emoji' }).fill('palm tree');
  await other.page.keyboard.press('Enter');
  await status.getByLabel('What are you at?').fill('On holiday');
  await status.getByLabel('Until').selectOption('For an hour');
  await status.getByRole('button', { name: 'Set status' }).click();
  await status.getByText('Saved').waitFor();
  const link = mine.ui.roomLink(/^Ben/);
  await until('the status stands beside the name', async () => /🌴 On holiday/u.test(await link.first().innerText()));
  await mine.page.getByRole('button', { name: /People/ }).first().click();
  await mine.page.getByTestId('people-here').getByText('On holiday', { exact: true }).waitFor();
  await screenshot(mine.page, 'status');
  // One that is over soon: nobody sweeps it, the page sees that it is over.
  await ben.patch('/v1/me/profile', { status: { emoji: '☕', text: 'Coffee', ends: Date.now() + 2_500 } });
  await mine.page.getByTestId('people-here').getByText('Coffee', { exact: true }).waitFor();
  await mine.page.getByTestId('people-here').getByText('Coffee', { exact: true }).waitFor({ state: 'detached' });
  assert.equal((await ana.get(`/v1/people/${ben.id}`)).json.status, undefined);
});

test('do not disturb is said in words, and taken back', async (t) => {
  const [mine, other] = [await open(t, ana), await open(t, ben)];
  await other.ui.choose('Ben your menu', 'Do not disturb');
  await mine.page.getByRole('button', { name: /People/ }).first().click();
  await mine.page.getByTestId('people-here').getByText('Do not disturb').waitFor();
  await mine.ui.roomLink(/^Ben.*do not disturb/).waitFor();
  await screenshot(mine.page, 'quiet');
  await other.ui.choose('Ben your menu', 'Be disturbed again');
  await mine.page.getByTestId('people-here').getByText('Do not disturb').waitFor({ state: 'detached' });
});

test('g6_who does nothing at any of their pages is idle, and offline when all are gone', async (t) => {
  const mine = await open(t, ana);
  await mine.page.getByRole('button', { name: /People/ }).first().click();
  const here = mine.page.getByTestId('people-here');
  const other = await profile(t);
  // Their clocks are ours: ten minutes pass at one of two pages, then at the other.
  await other.clock.install();
  const ui = new Ui(other);
  await other.goto(server.url);
  await ui.signIn(ben);
  await ui.room('General').waitFor();
  await here.getByText('Ben').waitFor();
  const second = await other.context().newPage();
  await second.clock.install();
  await second.goto(server.url);
  await new Ui(second).room('General').waitFor();
  await other.clock.fastForward('10:05');
  await second.clock.fastForward('10:05');
  await here.getByText('Idle: no activity for ten minutes').waitFor();
  await screenshot(mine.page, 'idle');
  await second.mouse.move(200, 200);
  await here.getByText('Idle: no activity for ten minutes').waitFor({ state: 'detached' });
  await other.context().close();
  await mine.page.getByTestId('people-away').getByText('Ben').waitFor();
  await mine.page.getByText(/^Offline, /).waitFor();
});

test('s21_a new password ends the other devices, which are told why, and this one stays', async (t) => {
  const person = await Person.invited(ana, { name: 'Cleo', email: 'cleo@example.org' });
  const [desk, phone] = [await open(t, person), await open(t, person)];
  await desk.ui.choose('Cleo your menu', 'Settings');
  await desk.dialog.getByRole('link', { name: 'Account' }).click();
  const password = form(desk, 'Password');
  await password.getByLabel('Present password').fill('not my password');
  await password.getByLabel('New password').fill('another pass phrase');
  await password.getByRole('button', { name: 'Change password' }).click();
  await password.getByText('This is not the password of this account.').waitFor();
  assert.deepEqual(await axe(desk.page, 'dialog'), []);
  await screenshot(desk.page, 'settings-account');
  await password.getByLabel('Present password').fill(person.password);
  await password.getByRole('button', { name: 'Change password' }).click();
  await password.getByText(/^Your password is changed/).waitFor();
  await phone.page.getByText('Your password was changed on another device. Sign in with the new one.').waitFor();
  await desk.page.keyboard.press('Escape');
  await desk.ui.say('still here');
  await desk.ui.sees('still here');
  assert.equal((await person.get('/v1/me')).json.code, 'password_changed');
  await phone.ui.signIn({ ...person, password: 'another pass phrase' });
  await phone.ui.room('General').waitFor();

  // Where one is signed in, and out of everywhere else.
  await desk.ui.choose('Cleo your menu', 'Signed-in devices');
  await desk.dialog.getByText('127.0.0.1').first().waitFor();
  await desk.dialog.getByText(/^Last used now|seconds? ago|minute/).first().waitFor();
  await screenshot(desk.page, 'settings-sessions');
  await desk.dialog.getByRole('button', { name: 'Sign out everywhere else' }).click();
  await desk.dialog.getByText('1 other device is signed out').waitFor();
  await phone.page.getByText('You were signed out from another device. Sign in again.').waitFor();
});

test('s26_another address to sign in with is taken with the password, and is nobody else’s', async (t) => {
  const person = await Person.invited(ana, { name: 'Dora', email: 'dora@example.org' });
  const desk = await open(t, person, '/settings/account');
  const email = form(desk, 'E-mail');
  await email.getByLabel('E-mail').fill('ben@example.org');
  await email.getByLabel('Present password').fill(person.password);
  await email.getByRole('button', { name: 'Change e-mail' }).click();
  await email.getByText('This address cannot be used here; take another one.').waitFor();
  await email.getByLabel('E-mail').fill('theodora@example.org');
  await email.getByRole('button', { name: 'Change e-mail' }).click();
  await email.getByText('Saved').waitFor();
  const again = await profile(t);
  await again.goto(server.url);
  await new Ui(again).signIn({ email: 'theodora@example.org', password: person.password });
  await new Ui(again).room('General').waitFor();
});

test('what is said nearer together is kept, and each part of the settings has its address', async (t) => {
  const { page, ui, dialog } = await open(t, ana, '/settings/appearance');
  const height = () => ui.messages.first().evaluate((row) => row.getBoundingClientRect().height);
  const before = await height();
  await dialog.getByRole('radio', { name: 'Compact' }).check();
  assert.ok((await height()) < before, 'rows are lower');
  await page.reload();
  await dialog.getByRole('radio', { name: 'Compact' }).waitFor();
  assert.ok(await dialog.getByRole('radio', { name: 'Compact' }).isChecked());
  await screenshot(page, 'settings-appearance');
  await dialog.getByRole('button', { name: 'Close' }).click();
  await ui.room('General').waitFor();
  await screenshot(page, 'compact');
});

for (const scheme of ['light', 'dark']) {
  for (const [width, height] of [[1280, 800], [360, 740]]) {
    test(`${scheme}, ${width} px: the settings and a card have no findings, and fit`, async (t) => {
      const phone = width < 900 ? { hasTouch: true, isMobile: true } : {};
      const { page, dialog } = await open(t, ana, '', { viewport: { width, height }, colorScheme: scheme, ...phone });
      for (const section of ['profile', 'account', 'sessions', 'tokens', 'appearance']) {
        await page.goto(`${server.url}/settings/${section}`);
        await dialog.getByRole('heading', { level: 3 }).first().waitFor();
        assert.deepEqual(await axe(page, 'dialog'), [], section);
        assert.equal(await page.evaluate(() => document.querySelector('.settings-section').scrollWidth - document.querySelector('.settings-section').clientWidth), 0);
        await screenshot(page, `settings-${section}-${scheme}-${width}`);
      }
      await dialog.getByRole('button', { name: 'Close' }).click();
      await page.getByTestId('message').first().locator('.message-author').getByRole('button').click();
      await page.getByTestId('person-card').waitFor();
      assert.deepEqual(await axe(page, 'dialog'), []);
      await screenshot(page, `person-card-${scheme}-${width}`);
    });
  }
}

test('a token for a program is made, shown once and revoked', async (t) => {
  const desk = await open(t, ben, '/settings/tokens');
  const make = form(desk, 'Make an API token');
  await make.getByRole('button', { name: 'Make token' }).click();
  await make.getByText(/^Give it a name/).waitFor();
  await make.getByLabel('Name', { exact: true }).fill('Calendar');
  await make.getByRole('checkbox', { name: 'Write' }).check();
  await make.getByRole('button', { name: 'Make token' }).click();
  const field = desk.dialog.getByRole('textbox', { name: 'Token', exact: true });
  await field.waitFor();
  const secret = await field.inputValue();
  assert.match(secret, /^tdp_/);
  assert.deepEqual(await axe(desk.page, 'dialog'), []);
  await screenshot(desk.page, 'settings-tokens');
  const set = await fetch(`${server.url}/v1/me/profile`, {
    method: 'PATCH',
    headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
    body: JSON.stringify({ status: { text: 'In a meeting' } }),
  });
  assert.equal(set.status, 200);
  await desk.page.reload();
  await desk.dialog.getByText('Calendar').waitFor();
  assert.equal(await field.count(), 0, 'it is not shown again');
  await desk.dialog.getByText(/Read, Write · used now/).waitFor();
  await desk.dialog.getByRole('button', { name: 'Revoke Calendar' }).click();
  await desk.dialog.getByText('Calendar is revoked').waitFor();
  const gone = await fetch(`${server.url}/v1/me`, { headers: { authorization: `Bearer ${secret}` } });
  assert.equal(gone.status, 401);
});
