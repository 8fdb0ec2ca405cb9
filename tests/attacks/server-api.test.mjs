// A backend that is wrong, or whose key was taken: one call must not hold up the others or take the memory.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Frames } from '../harness/frames.mjs';
import { api } from '../harness/http.mjs';
import { Server } from '../harness/server.mjs';
import { SECRETS, tokenFor } from '../harness/tokens.mjs';
import { within } from '../harness/wait.mjs';

const names = (prefix, number) => Array.from({ length: number }, (_, n) => prefix + n.toString(36));

async function start(t) {
  const server = await Server.start({ env: SECRETS, memory: 512 });
  t.after(() => server.kill());
  return server;
}

test('a pattern of a million stars is refused at once', async (t) => {
  const server = await start(t);
  const frames = await Promise.all(names('user', 4).map((user) => Frames.connect(server.websocketUrl, { token: tokenFor(user) })));
  for (const [n, one] of frames.entries()) {
    one.send(...names(`aaaaaaaa${n}-`, 100).map((channel, m) => ({ id: 100 + m, subscribe: { channel } })));
    await one.ask({ unsubscribe: { channel: 'none' } });
  }
  const began = Date.now();
  const { json } = await within(5_000, 'an answer', api(server, 'channels', { pattern: '*'.repeat(1_000_000) }));
  t.diagnostic(`answered after ${Date.now() - began} ms`);
  assert.equal(json.error?.code, 107);
});

test('a broadcast with thirty thousand tags is refused at once', async (t) => {
  const server = await start(t);
  const tags = Object.fromEntries(names('t', 30_000).map((name) => [name, 'v']));
  const began = Date.now();
  const { json } = await within(5_000, 'an answer', api(server, 'broadcast', { channels: names('', 40_000), data: 1, tags }));
  t.diagnostic(`answered after ${Date.now() - began} ms`);
  assert.equal(json.error?.code, 107);
});

test('publications that are all tags do not take the memory', async (t) => {
  const server = await start(t);
  const all = Object.fromEntries(names('', 30_000).map((name) => [name, '']));
  const most = Object.fromEntries(names('', 64).map((name) => [name, '']));
  for (let n = 0; n < 60; n += 1) await api(server, 'publish', { channel: `all${n}`, data: 1, tags: all });
  for (let n = 0; n < 4; n += 1) await api(server, 'broadcast', { channels: names('c', 10_000), data: 1, tags: most });
  t.diagnostic(`memory at most ${Math.round(server.peak)} MiB`);
  assert.ok(server.alive && server.peak < 450, `${server.peak} MiB`);
});
