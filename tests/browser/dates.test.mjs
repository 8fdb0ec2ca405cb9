// To what was said on a day, however long ago.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { join } from 'node:path';

import { Ui, axe, profile, screenshot } from '../harness/browser.mjs';
import { Person } from '../harness/http.mjs';
import { Server, run } from '../harness/server.mjs';

const DAYS = 60;
const PER_DAY = 25;
const DAY = 24 * 3600 * 1000;
const today = new Date();
/** Noon of the day so many days ago. */
const noon = (ago) => new Date(today.getFullYear(), today.getMonth(), today.getDate() - ago, 12).getTime();
const field = (time) => new Intl.DateTimeFormat('sv', { dateStyle: 'short' }).format(time);

let server, ana, general;
before(async () => {
  server = await Server.start({ args: ['--rate-limits', 'false'], database: 'sqlite' });
  ana = await Person.setUp(server, { name: 'Ana' });
  general = ana.room;
  for (let ago = DAYS; ago >= 1; ago -= 1) {
    // Nothing was said on the tenth day before today.
    for (let n = 1; n <= (ago === 10 ? 0 : PER_DAY); n += 1) assert.equal((await ana.say(general.id, `${ago} days ago, ${n}`)).status, 201);
  }
  assert.equal(await server.stop(), 0);
  // The past has to be written by hand.
  const when = `CASE WHEN body LIKE '% days ago, %' THEN ${noon(0)} - ${DAY} * CAST(substr(body, 1, instr(body, ' ') - 1) AS INTEGER) + number END`;
  await run('sqlite3', [
    join(server.dataDir, 'tidings.db'),
    `UPDATE messages SET time = ${when}; UPDATE room_events SET time = coalesce((SELECT m.time FROM messages m WHERE m.id = room_events.message), ${noon(DAYS + 1)});
     UPDATE rooms SET created = ${noon(DAYS + 1)};`,
  ]);
  await server.restart();
});
after(() => server.kill());

test('from the name of a day, or from the menu of the room, one goes to what was said first on another day', async (t) => {
  const page = await profile(t);
  const ui = new Ui(page);
  await page.goto(server.url);
  await ui.signIn(ana);
  await ui.sees('1 days ago, 25');
  const dialog = page.getByRole('dialog', { name: 'Go to a date' });
  const go = async (ago) => {
    await dialog.getByLabel('Date').fill(field(noon(ago)));
    await dialog.getByRole('button', { name: 'Go', exact: true }).click();
    await dialog.waitFor({ state: 'detached' });
  };
  const inView = async (text) => {
    await ui.message(text).waitFor();
    const box = await ui.message(text).boundingBox();
    assert.ok(box.y >= 0 && box.y < 800, `${text} is in view`);
  };

  await page.getByRole('button', { name: 'Yesterday: go to another date' }).click();
  await screenshot(page, 'dates');
  assert.deepEqual(await axe(page), []);
  await go(41);
  await inView('41 days ago, 1');
  // The day before is above it, the next one below, without a hole.
  await page.mouse.move(640, 400);
  await page.mouse.wheel(0, -700);
  await ui.message('42 days ago, 25').waitFor();

  await ui.choose('Room menu', 'Go to a date…');
  await go(10);
  await inView('9 days ago, 1');

  await ui.choose('Room menu', 'Go to a date…');
  await dialog.getByRole('button', { name: 'The beginning' }).click();
  await dialog.getByRole('button', { name: 'Go', exact: true }).click();
  await inView('60 days ago, 1');

  await ui.choose('Room menu', 'Go to a date…');
  await go(0);
  await page.getByText('Nothing was said on that day or later.').waitFor();
  await ui.choose('Room menu', 'Go to a date…');
  await dialog.getByLabel('Date').fill('');
  await dialog.getByRole('button', { name: 'Go', exact: true }).click();
  await dialog.getByText('Choose a day.').waitFor();
  await dialog.getByLabel('Date').fill(field(noon(-2)));
  await dialog.getByRole('button', { name: 'Go', exact: true }).click();
  await dialog.getByText('That day has not come yet. Choose an earlier one.').waitFor();
});
