// Links to messages: they lead to the message in its context, wherever in the history it is, for those who may read it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Ui, axe, profile, screenshot } from '../harness/browser.mjs';
import { Person } from '../harness/http.mjs';
import { Server } from '../harness/server.mjs';
import { until } from '../harness/wait.mjs';

const MESSAGES = 1_408;

let server, ana, ben, club, ids;
before(async () => {
  server = await Server.start();
  ana = await Person.setUp(server, { name: 'Ana' });
  ben = await Person.invited(ana, { name: 'Ben', email: 'ben@example.org' });
  const people = [ana, ben, ...await Promise.all(Array.from({ length: 14 }, () => Person.invited(ana)))];
  const say = async (n) => {
    const { status, text } = await people[n % people.length].say(ana.room.id, `line ${n}`);
    assert.equal(status, 201, text);
  };
  for (let n = 0; n < MESSAGES; n += people.length) await Promise.all(people.map((_, at) => say(n + at)));
  await ben.readAll();
  club = await ana.createRoom('Club');
  await ana.say(club.id, 'among us');
  ids = new Map();
  for (const { message } of await ana.events(ana.room.id)) if (message) ids.set(message.body, message.id);
});
after(() => server.kill());

const linkTo = (text) => `${server.url}/rooms/${ana.room.id}/${ids.get(text)}`;
const row = (page, text) => page.getByTestId('message').filter({ hasText: new RegExp(`${text}$`) });
const isFocused = (locator) => locator.evaluate((element) => element === document.activeElement);

async function open(t, person, url, options) {
  const page = await profile(t, options);
  const ui = new Ui(page);
  await page.goto(url);
  await ui.signIn(person);
  return { page, ui };
}

test('a link to a message opens it in its context; history goes on both ways, and the end is one button away', async (t) => {
  const { page, ui } = await open(t, ben, linkTo('line 200'));
  await row(page, 'line 200').waitFor();
  await until('it has the focus', () => isFocused(row(page, 'line 200')));
  const shown = await ui.texts();
  assert.ok(shown.includes('line 190') && shown.includes('line 215') && !shown.includes(`line ${MESSAGES - 1}`), shown.join());
  const isInMiddle = await row(page, 'line 200').evaluate((element) => {
    const [own, log] = [element.getBoundingClientRect(), element.closest('[role=log]').getBoundingClientRect()];
    return Math.abs((own.top + own.bottom - log.top - log.bottom) / 2) < log.height / 4;
  });
  assert.ok(isInMiddle);
  await screenshot(page, 'place');
  assert.deepEqual(await axe(page), []);
  await ui.log.evaluate((log) => log.scrollBy(0, -4 * log.clientHeight));
  await row(page, 'line 150').waitFor();
  await page.locator('.to-end').click();
  await row(page, `line ${MESSAGES - 1}`).waitFor();

  // The same page goes on to another one, and Back returns.
  await page.evaluate((url) => { history.pushState(null, '', url); dispatchEvent(new PopStateEvent('popstate')); }, linkTo('line 700'));
  await until('the other has the focus', async () => (await row(page, 'line 700').count()) > 0 && isFocused(row(page, 'line 700')));
  await page.goBack();
  await until('the first has it again', async () => (await row(page, 'line 200').count()) > 0 && isFocused(row(page, 'line 200')));
});

test('the link is in the message’s menu, and says so once it is copied', async (t) => {
  const { page, ui } = await open(t, ben, server.url, { permissions: ['clipboard-read', 'clipboard-write'] });
  await ui.message(`line ${MESSAGES - 1}`).waitFor();
  await row(page, `line ${MESSAGES - 1}`).hover();
  await row(page, `line ${MESSAGES - 1}`).getByRole('button', { name: 'More' }).click();
  await page.getByRole('menuitem', { name: 'Copy link' }).click();
  await page.getByTestId('toast').getByText('Link copied').waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), linkTo(`line ${MESSAGES - 1}`));
});

test('S40 a link to a message that does not exist and one to a message of a room that one is not in say the same', async (t) => {
  const strange = `${server.url}/rooms/${ana.room.id}/${club.id}`;
  const { page } = await open(t, ben, strange);
  await page.getByTestId('toast').getByText('There is no such message here.').waitFor();
  await row(page, `line ${MESSAGES - 1}`).waitFor();
  const { json: { messages } } = await ana.get(`/v1/rooms/${club.id}/messages`);
  const { page: outside } = await open(t, ben, `${server.url}/rooms/${club.id}/${messages[0].id}`);
  await outside.getByRole('button', { name: 'Join', exact: true }).waitFor();
  assert.equal(await outside.getByText('among us').count(), 0);
  await outside.getByRole('button', { name: 'Join', exact: true }).click();
  await row(outside, 'among us').waitFor();
});
