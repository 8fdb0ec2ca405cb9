// The page of each version before, in a tab that stays open while the server becomes the present one.

import assert from 'node:assert/strict';
import { before, suite, test } from 'node:test';

import { Left, VERSIONS } from '../harness/fixtures.mjs';
import { Ui, profile, screenshot } from '../harness/browser.mjs';
import { Person } from '../harness/http.mjs';
import { Proxy } from '../harness/proxy.mjs';
import { Server } from '../harness/server.mjs';
import { until } from '../harness/wait.mjs';

// What Chromium says itself: that a link is down, and that somebody is not signed in.
const EXPECTED = /^WebSocket connection to|^WebSocket is already in CLOSING|^Failed to load resource: (net::|.* 401 )/;

for (const version of VERSIONS) {
  suite(`the page of ${version}`, { timeout: 120_000 }, () => {
    let left, general;
    before(() => {
      left = new Left(version);
      general = left.room('General');
    });

    /** A server of the present version that gives out the old page, on the folder the old version left. */
    const serving = async (t) => {
      const server = await Server.start({ dataDir: left.dataDir(), database: 'sqlite', args: ['--web-dir', left.webDir] });
      t.after(() => server.kill());
      return server;
    };
    /** The old page, and what is said in its console that nobody expects. */
    const tab = async (t, url) => {
      const page = await profile(t);
      const said = [];
      page.on('console', (message) => ['error', 'warning'].includes(message.type()) && !EXPECTED.test(message.text()) && said.push(message.text()));
      await page.goto(url);
      return { page, ui: new Ui(page), said };
    };
    const words = (node) => (typeof node === 'string' ? node : Array.isArray(node) ? node.map(words).join('') : (node.text ?? words(node.content ?? node.href ?? '')));
    const shown = ({ body, content, edited }) => (content ? words(content) : body) + (edited ? ' (edited)' : '');
    const texts = (room) => left.messages(room).filter((message) => !message.deleted).map(shown);
    const seesAll = (ui, expected) =>
      until('the page shows every message once and in order', async () => {
        const shown = await ui.texts();
        assert.deepEqual(shown, expected);
        return true;
      });

    test('signs in, shows what was said, sends, receives, reloads, and catches up after a cut', async (t) => {
      const server = await serving(t);
      const proxy = await Proxy.to(server.port);
      t.after(() => proxy.close());
      const [ana] = left.people;
      const [, friend] = await left.signIn(server);
      const { page, ui, said } = await tab(t, proxy.url);
      assert.match(await page.content(), new RegExp(left.assets.js), 'it is the old page');

      await ui.signIn({ ...ana, password: 'not the password' });
      await page.getByText('E-mail or password is wrong. Check both and try again.').waitFor();
      await ui.signIn(ana);
      await ui.roomLink('General').click();
      await ui.room('General').waitFor();
      const all = texts(general);
      await seesAll(ui, all);

      const say = async (text) => {
        await ui.say(text);
        await ui.sees(text);
        all.push(text);
      };
      const hear = async (text) => {
        assert.equal((await friend.say(general.id, text)).status, 201);
        all.push(text);
      };
      await say('said by the old page');
      await hear('heard by the old page');
      await seesAll(ui, all);
      assert.deepEqual((await friend.events(general.id)).at(-2).message.body, 'said by the old page');

      await ui.roomLink('Zahrádka').click();
      await seesAll(ui, texts(left.room('Zahrádka')));
      await ui.roomLink('General').click();
      await page.reload();
      await ui.room('General').waitFor();
      await seesAll(ui, all);

      proxy.cut();
      await ui.say('written without a link');
      await ui.sees('written without a link', 'pending');
      for (let n = 1; n <= 5; n += 1) await hear(`missed ${n}`);
      proxy.restore();
      await ui.sees('written without a link');
      all.push('written without a link');
      await seesAll(ui, all);
      await say('and on it goes');

      // What this page has never heard of: messages that are edited, deleted and restored.
      const mind = (await friend.say(general.id, 'not yet my last word')).json;
      const path = `/v1/rooms/${general.id}/messages/${mind.id}`;
      await ui.sees('not yet my last word');
      assert.equal((await friend.patch(path, { body: 'my last word' })).status, 200);
      assert.equal((await friend.delete(path)).status, 200);
      assert.equal((await friend.post(`${path}/restore`, {})).status, 200);
      assert.equal((await friend.delete(path)).status, 200);
      await hear('and on');
      await ui.sees('and on');
      await page.getByText('my last word').waitFor({ state: 'detached' });
      await screenshot(page, 'old-page');

      // Pages up to schema 6 have a colon in the name of the button.
      await page.getByRole('button', { name: new RegExp(`^${ana.name}:? your menu$`) }).click();
      await page.getByRole('menuitem', { name: 'Sign out' }).click();
      // The first page may hear of the socket's end before the answer, and says that then.
      await page.getByText(/^(You are signed out\.|Your session has ended)/).waitFor();
      assert.deepEqual(said, []);
    });

    test('asks to sign in again when its session ended while its link was cut', async (t) => {
      const server = await serving(t);
      const proxy = await Proxy.to(server.port);
      t.after(() => proxy.close());
      const { page, ui, said } = await tab(t, proxy.url);
      await ui.signIn(left.people[0]);
      await ui.roomLink('General').click();
      await ui.room('General').waitFor();
      const [cookie] = await page.context().cookies();
      proxy.cut();
      assert.equal((await new Person(server, `${cookie.name}=${cookie.value}`).delete('/v1/session')).status, 204);
      proxy.restore();
      await page.getByText(/^Your session has ended/).waitFor();
      assert.deepEqual(said, []);
    });

    test('stays open over the upgrade, and after a reload the new page sends what the old one could not', async (t) => {
      const old = await serving(t);
      let server;
      t.after(() => server?.kill());
      const [ana] = left.people;
      const { page, ui, said } = await tab(t, old.url);
      await ui.signIn(ana);
      await ui.roomLink('General').click();
      const all = texts(general);
      await seesAll(ui, all);

      assert.equal(await old.stop(), 0);
      await ui.say('written between the versions');
      await ui.sees('written between the versions', 'pending');
      all.push('written between the versions');
      server = new Server({ dataDir: old.dataDir, database: 'sqlite' });
      server.port = old.port;
      await server.start();
      await ui.sees('written between the versions');
      const [reader, friend] = await left.signIn(server);
      assert.equal((await friend.say(general.id, 'welcome back')).status, 201);
      all.push('welcome back');
      await seesAll(ui, all);
      assert.match(await page.content(), new RegExp(left.assets.js), 'it is still the old page');

      await server.kill();
      await ui.say('kept for the new page');
      await ui.sees('kept for the new page', 'pending');
      all.push('kept for the new page');
      await page.goto('about:blank');
      await server.start();
      // The old page did not tell the server what was read; the new one would open there.
      await reader.readAll();
      await page.goto(`${server.url}/rooms/${general.id}`);
      await ui.room('General').waitFor();
      await ui.sees('kept for the new page');
      await seesAll(ui, all);
      assert.deepEqual(said, []);
    });
  });
}
