// A backend that is wrong, or whose key was taken: one call must not hold up the others or take the memory.

import assert from 'node:assert/strict';
import { Agent, request } from 'node:http';
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
  const { json } = await within(5_000, 'an answer', api(server, 'broadcast', { channels: names('', 10_000), data: 1, tags }));
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

test('a batch that asks for a history a thousand times is answered in a few megabytes', async (t) => {
  const server = await start(t);
  for (let n = 0; n < 10; n += 1) await api(server, 'publish', { channel: 'large', data: 'x'.repeat(60_000) });
  const commands = Array.from({ length: 1_000 }, () => ({ history: { channel: 'large', limit: -1 } }));
  for (const parallel of [false, true]) {
    const { json } = await within(20_000, 'an answer', api(server, 'batch', { commands, parallel }));
    const bytes = JSON.stringify(json).length;
    const refused = json.replies.filter((reply) => reply.error?.code === 106).length;
    t.diagnostic(`parallel ${parallel}: ${Math.round(bytes / 1024)} KiB, ${refused} refused`);
    // 4 MiB, and what was under way when they were reached.
    assert.ok(bytes < 13 << 20 && refused > 900, `${bytes} bytes, ${refused} refused`);
  }
  t.diagnostic(`memory at most ${Math.round(server.peak)} MiB`);
  assert.ok(server.alive && server.peak < 400, `${server.peak} MiB`);
});

test('ten thousand tries without a key are answered, and the server goes on as before', async (t) => {
  const server = await start(t);
  const agent = new Agent({ keepAlive: true, maxSockets: 32 });
  t.after(() => agent.destroy());
  const guess = (n) =>
    new Promise((resolve, reject) => {
      const asked = request(`${server.url}/api/info`, { method: 'POST', agent, headers: { 'x-api-key': `guess-${n}-that-is-long-enough` } }, (answer) => {
        answer.resume();
        answer.on('end', () => resolve(answer.statusCode));
      });
      asked.on('error', reject);
      asked.end('{}');
    });
  const all = await within(60_000, 'all answers', Promise.all(Array.from({ length: 10_000 }, (_, n) => guess(n))));
  assert.ok(all.every((status) => status === 401));
  const began = Date.now();
  assert.ok((await api(server, 'info', {})).json.result);
  t.diagnostic(`the next call with the key took ${Date.now() - began} ms, memory at most ${Math.round(server.peak)} MiB`);
  assert.ok(server.peak < 300);
});

test('pages of connections and of channels are bounded, and their cursors lead through all', async (t) => {
  const server = await start(t);
  const frames = await Promise.all(names('user', 30).map((user) => Frames.connect(server.websocketUrl, { token: tokenFor(user) })));
  for (const [n, one] of frames.entries()) {
    one.send(...names(`${n}-`, 100).map((channel, m) => ({ id: 100 + m, subscribe: { channel } })));
    await one.ask({ unsubscribe: { channel: 'none' } });
  }
  for (const [method, field, count] of [['connections', 'connections', 30], ['channels', 'channels', 3_000]]) {
    const seen = new Set();
    let cursor = '';
    do {
      const { json } = await api(server, method, { limit: 7 * (count / 30), cursor });
      for (const name of Object.keys(json.result[field])) seen.add(name);
      cursor = json.result.cursor;
    } while (cursor);
    assert.equal(seen.size, count, method);
  }
  const { json } = await api(server, 'publish_pattern', { pattern: '1*', data: 1 });
  assert.equal(json.result.num_channels, 11 * 100);
});
