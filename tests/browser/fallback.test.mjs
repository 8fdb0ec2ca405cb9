// A network that lets no WebSocket through: the page finds another way, by itself, and the chat is as ever.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Ui, profile } from '../harness/browser.mjs';
import { Person } from '../harness/http.mjs';
import { Proxy } from '../harness/proxy.mjs';
import { ReverseProxy, allButEvents } from '../harness/reverse_proxy.mjs';
import { Server } from '../harness/server.mjs';
import { until } from '../harness/wait.mjs';

let server, ana, bea;
before(async () => {
  server = await Server.start();
  ana = await Person.setUp(server);
  bea = await Person.invited(ana, { name: 'Bea' });
});
after(() => server.kill());

for (const [name, options, path] of [
  ['refuses WebSockets', {}, '/connection/http_stream'],
  ['swallows WebSockets', { websocket: 'swallow' }, '/connection/http_stream'],
  ['refuses WebSockets and holds answers back until they end', { holds: allButEvents }, '/connection/sse'],
]) {
  test(`behind a proxy that ${name} the page talks through ${path}`, { timeout: 90_000 }, async (t) => {
    const proxy = await ReverseProxy.to(server.port, options);
    t.after(() => proxy.close());
    const page = await profile(t);
    const ui = new Ui(page);
    await page.goto(proxy.url);
    await ui.signIn(ana);
    await ui.room('General').waitFor();
    await until('it has found its way', () => proxy.seen.includes('POST /emulation'), { timeout: 30_000 });
    await until('it opened the stream that works', () => proxy.seen.some((one) => one.endsWith(path)));
    // Several at once, which requests of their own must not put out of order.
    const texts = [1, 2, 3, 4, 5].map((n) => `${name}: ${n}`);
    for (const text of texts) await ui.say(text);
    for (const text of texts) await ui.sees(text, 'sent');
    const events = await ana.events(ana.room.id);
    assert.deepEqual(events.filter(({ type }) => type === 'message.posted').map(({ message }) => message.body).slice(-5), texts);
    await bea.say(ana.room.id, `an answer where it ${name}`);
    await ui.sees(`an answer where it ${name}`, 'sent');
  });
}

test('a page that lost its stream comes back over it, with what was missed', { timeout: 60_000 }, async (t) => {
  const line = await Proxy.to(server.port);
  t.after(() => line.close());
  const proxy = await ReverseProxy.to(line.port);
  t.after(() => proxy.close());
  const page = await profile(t);
  const ui = new Ui(page);
  await page.goto(proxy.url);
  await ui.signIn(ana);
  await ui.room('General').waitFor();
  await until('it has found its way', () => proxy.seen.includes('POST /emulation'));
  const upgrades = proxy.seen.filter((one) => one.startsWith('upgrade')).length;
  line.cut();
  await bea.say(ana.room.id, 'said while the line was cut');
  line.restore();
  await ui.sees('said while the line was cut', 'sent');
  assert.equal(proxy.seen.filter((one) => one.startsWith('upgrade')).length, upgrades, 'it does not try what failed again');
});
