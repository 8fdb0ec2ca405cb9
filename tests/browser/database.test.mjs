// Postgres goes away under people who write, and comes back: nobody does anything, and the page says what is the matter.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Ui, profile, screenshot } from '../harness/browser.mjs';
import { Person, request } from '../harness/http.mjs';
import { Postgres, noCluster } from '../harness/postgres.mjs';
import { pause } from '../harness/senders.mjs';
import { Server } from '../harness/server.mjs';
import { until } from '../harness/wait.mjs';

/** Within this after Postgres is back everything is as before: the page's longest wait, and what the server needs. */
const BACK_MS = 25_000;

const postgres = await Postgres.start();
const skip = !postgres && noCluster;

let server, ana, ben;
before(async () => {
  if (skip) return;
  server = await Server.start({ database: await postgres.database() });
  ana = await Person.setUp(server);
  ben = await Person.invited(ana);
});
after(() => server?.kill());

/** Somebody in the room, with a page of their own that counts the messages which were ever called "not sent". */
async function inTheRoom(t, person) {
  const page = await profile(t);
  await page.addInitScript(() => {
    globalThis.failures = 0;
    new MutationObserver(() => (globalThis.failures += document.querySelectorAll('[data-state=failed]').length)).observe(document, {
      subtree: true,
      childList: true,
      attributeFilter: ['data-state'],
    });
  });
  const ui = new Ui(page);
  await page.goto(server.url);
  await ui.signIn(person);
  await ui.room('General').waitFor();
  return Object.assign(ui, { person, bar: page.getByRole('status', { name: 'Connection' }), failures: () => page.evaluate(() => globalThis.failures) });
}

/** Both write at that pace until the task is done; answers what each has written. */
async function bothWrite(people, every, task) {
  let isDone = false;
  const doing = task().finally(() => (isDone = true));
  const written = people.map(() => []);
  for (let n = 1; !isDone; n += 1) {
    await Promise.all(people.map(async (ui, who) => {
      const text = `${ui.person.name} ${n} of ${every}`;
      await ui.say(text);
      written[who].push(text);
    }));
    await Promise.race([pause(every), doing]);
  }
  await doing;
  return written;
}

/** Everybody's messages arrive, in the order in which each has written them, and nobody was told that they would not. */
async function everythingArrives(people, written) {
  const all = written.flat();
  for (const ui of people) {
    await until(`${ui.person.name} sees everything`, async () => {
      const sent = await ui.page.locator('[data-testid=message][data-state=sent] [data-testid=message-body]').allTextContents();
      return all.every((text) => sent.includes(text));
    }, { timeout: BACK_MS });
    await ui.bar.waitFor({ state: 'hidden' });
    assert.equal(await ui.failures(), 0, 'nothing was ever called "not sent"');
  }
  const stored = (await ana.events(ana.room.id)).filter((event) => event.type === 'message.posted').map((event) => event.message.body);
  for (const texts of written) assert.deepEqual(stored.filter((text) => texts.includes(text)), texts, 'once, in the order written');
  for (const ui of people) assert.deepEqual((await ui.texts()).filter((text) => all.includes(text)), stored.filter((text) => all.includes(text)));
}

test('an outage of twenty seconds while two people write once a second: messages wait, and all arrive in order', { skip, timeout: 120_000 }, async (t) => {
  t.after(() => postgres.mend());
  const people = [await inTheRoom(t, ana), await inTheRoom(t, ben)];
  await postgres.stop();
  const written = await bothWrite(people, 1_000, async () => {
    await pause(20_000);
    for (const ui of people) {
      await ui.bar.getByText('The server cannot use its database just now.').waitFor();
      await ui.page.getByText('Waiting for the server').first().waitFor();
    }
    await screenshot(people[0].page, 'database-away');
    await postgres.again();
  });
  assert.ok(written[0].length >= 8, `${written[0].length} messages each`);
  await everythingArrives(people, written);
  await screenshot(people[0].page, 'database-back');
});

test('a restart of three seconds in a burst of messages: all arrive in order', { skip, timeout: 90_000 }, async (t) => {
  t.after(() => postgres.mend());
  const people = [await inTheRoom(t, ana), await inTheRoom(t, ben)];
  const written = await bothWrite(people, 200, async () => {
    await postgres.stop();
    await pause(2_000);
    await postgres.again();
  });
  await everythingArrives(people, written);
});

test('what is asked for meanwhile is answered with what is the matter, and a page that is opened comes up by itself', { skip, timeout: 120_000 }, async (t) => {
  t.after(() => postgres.mend());
  const ui = await inTheRoom(t, ana);
  const { page } = ui;
  await ui.say('before the outage');
  await ui.sees('before the outage');
  const stranger = await profile(t);
  await stranger.goto(server.url);
  await postgres.stop();
  await until('the server has noticed', async () => (await request(`${server.url}/readyz`)).status === 503);

  await ui.choose('Create or join a room', 'Create a room');
  const dialog = page.getByRole('dialog', { name: 'Create a room' });
  await dialog.getByLabel('Name').fill('Garden');
  await dialog.getByRole('button', { name: 'Create room' }).click();
  await dialog.getByText('The server cannot use its database just now. Try again in a moment.').waitFor();
  await screenshot(page, 'database-away-dialog');

  await page.reload();
  await page.getByText('This page tries again by itself.').waitFor();
  await screenshot(page, 'database-away-reloaded');
  await stranger.goto(`${server.url}/invite#${ana.invite.code}`);
  await stranger.getByText('This page tries again by itself.').waitFor();

  await postgres.again();
  await ui.room('General').waitFor({ timeout: BACK_MS });
  await ui.message('before the outage', 'sent').waitFor({ timeout: BACK_MS });
  await stranger.getByRole('heading', { name: 'Ana invited you' }).waitFor({ timeout: BACK_MS });
});
