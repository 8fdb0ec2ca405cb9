// G4 in the page: a tab that stays open while the server's data is put back to an earlier state.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';

import { Ui, profile } from '../harness/browser.mjs';
import { Person } from '../harness/http.mjs';
import { Server, temporaryFolder } from '../harness/server.mjs';
import { until } from '../harness/wait.mjs';

test('g4_after_a_restore_the_open_page_shows_what_there_is', { timeout: 120_000 }, async (t) => {
  const server = await Server.start({ database: 'sqlite' });
  t.after(() => server.kill());
  const ana = await Person.setUp(server);
  const ben = await Person.invited(ana, { name: 'Ben' });
  const page = await profile(t);
  const ui = new Ui(page);
  await page.goto(server.url);
  await ui.signIn(ana);
  await ui.room('General').waitFor();
  const say = async (...texts) => {
    for (const text of texts) assert.equal((await ben.say(ana.room.id, text)).status, 201);
  };
  const shows = (expected) =>
    until(`the page shows ${expected}`, async () => {
      assert.deepEqual(await ui.texts(), expected);
      return true;
    }, { timeout: 20_000 });
  await say('one', 'two');
  await shows(['one', 'two']);
  const file = join(temporaryFolder(), 'backup');
  assert.equal((await server.cli('backup', file)).code, 0);
  await say('three', 'four');
  await shows(['one', 'two', 'three', 'four']);

  await server.stop();
  const { code, stderr } = await server.cli('restore', file, '--replace');
  assert.equal(code, 0, stderr);
  await server.start();
  await say('another three', 'another four', 'five');
  await shows(['one', 'two', 'another three', 'another four', 'five']);
  await say('six');
  await shows(['one', 'two', 'another three', 'another four', 'five', 'six']);
});
